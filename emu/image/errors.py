"""The one way in which an image is refused."""

from __future__ import annotations


class ImageError(ValueError):
    """The file is not a program that rt0 can boot.  The message is one line and says what is wrong, and where."""


class Unreadable(ValueError):
    """A table inside an otherwise bootable file is absent or damaged; its reader falls back or leaves a note."""
