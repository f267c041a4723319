"""Go's own tests of its standard library, natively and emulated, compared test by test: docs/suites.md."""
