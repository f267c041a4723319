"""What a kernel may answer: one row for each call, or call on one file, that a Go program makes while it starts."""

from __future__ import annotations

CONTRACT, HOSTILE = "contract", "hostile"
TIERS = (CONTRACT, HOSTILE)
"""What a Linux kernel may legally answer, so that a failure says something about Go; and anything at all."""
