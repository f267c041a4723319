"""Start-up against answers that a kernel rarely gives, a thousand and more a second, judged by models of Go."""
