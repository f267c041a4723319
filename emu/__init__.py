"""rt0: boots Go programs inside an emulator and shows what their start-up computes."""

__version__ = "0.1.0"
"""As pyproject.toml has it; a test compares them."""
