"""Boots programs in several Worlds and prints, for each, the SHA-256 of the record's JSON.

``python -m tests.boot.digests [--drop-to UID] [--default] PATH...`` prints JSON.  With ``--drop-to`` every
program and every World are booted once as it is, so that all modules are loaded, before it becomes that user.  With
``--default`` only the default World is taken.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from emu.boot.boot import boot
from emu.image.image import load
from syscalls.worldfile import load as load_world

WORLDS: dict[str, tuple[str, ...]] = {
    "default": (),
    "another machine": ("cpus=0,2-3,64", "thp=absent", "vdso=false", "cgroup.version=1", "cgroup.cpu-quota=250000"),
    "throws": ("page-size=1024",),
    "crashes": ('responses=[{call="rt_sigprocmask",errno="EINVAL"}]',),
    "hits a limit": ("limits.instructions=33333",),
    "drawn entropy": ("auxv.AT_RANDOM=absent", "seed=99", "env.GODEBUG=gctrace=1"),
}


def digests(paths: list[str], names: Iterable[str] = WORLDS) -> dict[str, str]:
    """SHA-256 of each record, by the program's name and the World's."""
    found = {}
    for path in paths:
        for name in names:
            record = boot(load(path), load_world(None, WORLDS[name]))
            found[f"{Path(path).name} {name}"] = hashlib.sha256(record.to_json().encode()).hexdigest()
    return found


def main(arguments: list[str]) -> None:
    """Print the digests."""
    if arguments[0] == "--drop-to":
        digests(arguments[2:], ["default"])
        digests(arguments[2:3])
        os.setgroups([])
        os.setgid(int(arguments[1]))
        os.setuid(int(arguments[1]))
        arguments = arguments[2:]
    if arguments[0] == "--default":
        json.dump(digests(arguments[1:], ["default"]), sys.stdout)
    else:
        json.dump(digests(arguments), sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1:])
