"""Damages stripped programs by one byte and recovers what they still tell, in a process of its own with little memory.

``python -m tests.image.damage_recovery FILE SEED COUNT`` prints a JSON object: for each part how its damages ended
("recovered", "untyped", "refused"), the slowest in seconds of CPU, what was shown at a wrong place, and a traceback of
anything else.  FILE has DWARF, which is the judge; what is damaged is the file without its section table.
"""

from __future__ import annotations

import json
import os
import random
import resource
import sys
import time
import traceback
from collections import Counter
from pathlib import Path

from emu.image import Image, ImageError, parse
from emu.image.buildinfo import MAGIC
from tests.image.samples import Place, leaves, without_sections

MEMORY = 512 << 20  # bytes of address space
DESCRIPTORS = "type descriptors"  # what they say wrong of a struct is shown so: nothing else tells


def parts(image: Image) -> dict[str, range]:
    """Return which bytes of the file hold what a recovery reads, but for code."""
    elf, module = image.elf, image.moduledata
    assert module
    blob = elf.data.find(MAGIC)
    table = image.pclntab
    types = elf.offset_of(module.types)
    start = elf.offset_of(module.addr)
    return {
        "build info": range(blob, blob + 64),
        "pclntab header": range(table.offset, table.offset + 72),
        "pclntab": range(table.offset, table.end),
        "moduledata": range(start, start + 512),
        DESCRIPTORS: range(types, types + module.etypes - module.types),
    }


def wrong(image: Image, truth: dict[str, Place]) -> list[str]:
    """Return what *image* shows where the judge does not have it."""
    return [path for path, place in leaves(image.layouts).items() if truth.get(path) != place]


def main(path: str, seed: int, count: int) -> dict[str, object]:
    """Damage *count* bytes of each part and return what happened."""
    os.environ["RT0_CACHE"] = "off"
    data = Path(path).read_bytes()
    whole = parse(data, "whole")
    truth = leaves(whole.layouts)
    bare = without_sections(data)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    draw = random.Random(seed)
    outcomes: dict[str, Counter[str]] = {}
    slowest, unexpected, misplaced = 0.0, "", ""
    for name, where in parts(whole).items():
        outcomes[name] = Counter()
        for _ in range(count):
            at = draw.choice(where)
            damaged = bytearray(bare)
            damaged[at] = draw.choice([bare[at] ^ 1 << draw.randrange(8), 0, 255, draw.randrange(256)])
            what = f"{name} at {at:#x}, {bare[at]} to {damaged[at]}"
            start = time.process_time()
            try:
                image = parse(bytes(damaged), "damaged")
                outcomes[name]["recovered" if image.typed else "untyped"] += 1
                found = wrong(image, truth)
                if found and not misplaced and name != DESCRIPTORS:
                    misplaced = f"{what}: {found[:5]}, {image.evidence(found[0])}"
            except ImageError:
                outcomes[name]["refused"] += 1
            except Exception:  # noqa: BLE001 - reported, and the test fails on it
                unexpected = unexpected or f"{what}:\n{traceback.format_exc()}"
            slowest = max(slowest, time.process_time() - start)
    return {"outcomes": outcomes, "slowest": slowest, "unexpected": unexpected, "misplaced": misplaced}


if __name__ == "__main__":
    json.dump(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])), sys.stdout)
