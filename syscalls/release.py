"""The kernel release that the World claims, as a pair of numbers that handlers compare with."""

from __future__ import annotations

import re

UNKNOWN = (6, 1)  # what a release that starts with no number counts as: the default World's


def parse(release: str) -> tuple[int, int]:
    """Return (major, minor) of *release* (``"4.19.76-linuxkit"`` -> (4, 19))."""
    found = re.match(r"(\d+)\.(\d+)", release)
    return (int(found[1]), int(found[2])) if found else UNKNOWN
