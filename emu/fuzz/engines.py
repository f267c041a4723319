"""What drives a search: a loop of ours, which is always there, or libFuzzer by way of atheris (the extra ``fuzz``).

Both run the same plans through the same :class:`~emu.fuzz.search.Search`, with the same mutator; they differ in which
plan of the corpus is changed next.  ``docs/fuzzing.md`` has what each found in the same time.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random

from emu.fuzz.search import Search
from emu.fuzz.sites import Sites

PLAIN, ATHERIS = "plain", "atheris"
Engine = Callable[[Search, Callable[[], bool], Callable[[], None]], None]
"""Takes the search, whether to go on, and what to do at the end."""

SLOTS = 1 << 16  # counters that libFuzzer looks at; blocks beyond are invisible to it
PC_ENTRY = 16  # bytes of one entry of its table of addresses: an address and flags
MAX_INPUT = 600
# No limits (a day stands for none: 0 ends at once) and no signal handlers of its own; no input is dropped for its size.
FLAGS = (
    "-reduce_inputs=0", "-len_control=0", f"-max_len={MAX_INPUT}", "-verbosity=0", "-timeout=86400",
    "-rss_limit_mb=0", "-detect_leaks=0", "-handle_int=0", "-handle_term=0", "-handle_xfsz=0", "-handle_usr1=0",
    "-handle_usr2=0",
)  # fmt: skip


class NoEngine(Exception):
    """The engine that was asked for is not installed."""


def plain(search: Search, going: Callable[[], bool], finish: Callable[[], None]) -> None:
    """Step by step."""
    while going():
        search.step()
    finish()


def atheris(search: Search, going: Callable[[], bool], finish: Callable[[], None]) -> None:
    """Hand the process to libFuzzer; it ends from within, when *going* says so, and nothing returns from here."""
    module = importlib.import_module(ATHERIS)  # an optional extra

    counters = (ctypes.c_ubyte * SLOTS)()
    sites: dict[bytes, Sites] = {}
    nowhere = Sites()

    def one(data: bytes) -> None:
        if not going():
            finish()
            os._exit(0)  # libFuzzer knows no other way to end without a crash
        known = len(search.entries)
        result = search.run(search.plan_of(data))
        if len(search.entries) > known:
            sites[data] = Sites(result.calls)
        ctypes.memmove(counters, result.coverage, min(len(result.coverage), SLOTS))

    def change(data: bytes, max_size: int, seed: int) -> bytes:
        return search.changed(search.plan_of(data), sites.get(data, nowhere), Random(seed)).encode()[:max_size]

    folder = str(search.corpus.folder)
    module.Setup(
        [sys.argv[0], *FLAGS, f"-seed={search.seed}", folder], one, custom_mutator=change, enable_python_coverage=False
    )
    _show_counters(Path(str(module.__file__)).parent, counters)
    module.Fuzz()


def _show_counters(package: Path, counters: ctypes.Array[ctypes.c_ubyte]) -> None:
    # The mutator's library first and for all to see: else libFuzzer finds its own weak symbol, and never calls ours.
    (mutator,) = package.glob("custom_mutator*.so")
    ctypes.CDLL(str(mutator), ctypes.RTLD_GLOBAL)
    (core,) = package.glob("core_with_libfuzzer*.so")
    library = ctypes.CDLL(str(core))
    start = ctypes.addressof(counters)
    addresses = (ctypes.c_ubyte * (SLOTS * PC_ENTRY))()
    table = ctypes.addressof(addresses)
    library.__sanitizer_cov_8bit_counters_init(ctypes.c_void_p(start), ctypes.c_void_p(start + SLOTS))
    library.__sanitizer_cov_pcs_init(ctypes.c_void_p(table), ctypes.c_void_p(table + len(addresses)))
    _KEPT.append(addresses)


_KEPT: list[object] = []
"""What libFuzzer has the address of, for the life of the process."""


def engine(name: str) -> Engine:
    """The engine called *name*; raises NoEngine if it is not installed."""
    if name == PLAIN:
        return plain
    if importlib.util.find_spec(ATHERIS) is None:
        raise NoEngine(f"{name} is not installed (pip install rt0[fuzz])")
    return atheris
