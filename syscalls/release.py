"""The kernel release that the World claims, as a pair of numbers that handlers compare with."""

from __future__ import annotations

UNKNOWN = (6, 1)  # what a release that starts with no number counts as: the default World's


def parse(release: str) -> tuple[int, int]:
    """Return (major, minor) of *release* (``"4.19.76-linuxkit"`` -> (4, 19))."""
    major, _, rest = release.partition(".")
    minor = rest[: len(rest) - len(rest.lstrip("0123456789"))]
    return (int(major), int(minor)) if major.isdecimal() and minor and release.isascii() else UNKNOWN
