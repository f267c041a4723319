"""What Go promises to compute at its start, as models in Python, and where a run's values are not that.

Written from the documentation of package runtime (NumCPU, GOMAXPROCS) and the comments in os_linux.go, cgroup_linux.go
and proc.go, not from their code: a model takes what the kernel answered in the run and says what that means.  Where the
answers do not settle what is right (an error in between, contents that are not whole), a model says nothing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from emu.fuzz import groups, shapes
from emu.fuzz.grammar import ROWS, THP
from emu.fuzz.plan import ARGUMENT, CONTENTS, meaning
from syscalls.abi import AT_PAGESZ
from syscalls.events import SyscallEvent
from syscalls.kernel import COMPILED
from syscalls.responses import parse_when
from syscalls.tree.cgroup import proc_cgroup
from syscalls.tree.mounts import mounts
from syscalls.world import Cgroup, World

if TYPE_CHECKING:
    from emu.fuzz.target import Result

P_IDLE, P_RUNNING = 0, 1  # runtime/runtime2.go
CONTAINERS_SINCE = (1, 25)  # GOMAXPROCS follows the control group's limit
HUGE_PAGES_SINCE = (1, 13)
MAX_DATA = 1 << 20  # bytes; a rule may claim any number
SELF_CGROUP, SELF_MOUNTINFO = "/proc/self/cgroup", "/proc/self/mountinfo"
LIMIT_FILES = ("/cpu.max", "/cpu.cfs_quota_us")
CPU_MAX = re.compile(rb"(max|\d{1,18}) (\d{1,18})\n")


class Wrong(NamedTuple):
    """A value that is not what the model says; *function* should have computed it."""

    function: str
    message: str


OPENS, READS, CLOSE = ("openat", "open"), ("read", "pread64"), "close"


def _path(event: SyscallEvent) -> str:
    path = event.detail.get(COMPILED[event.nr].path_index, b"").decode("utf-8", "surrogateescape")
    return re.sub(r"/{2,}", "/", path) if "//" in path else path


class Calls:
    """The calls of a run, and what the guest was given by each."""

    def __init__(self, result: Result) -> None:
        self._result = result
        self.events = result.calls
        # The calls that the models look at: (number of the call, which of its name, event).
        self._of_files: list[tuple[int, int, SyscallEvent]] = []
        # Which calls open files, and the paths of those; and those that opened one.
        self.opens: list[tuple[int, str]] = []
        self._opened: list[tuple[int, str]] = []
        counts = dict.fromkeys((*READS, CLOSE, *OPENS), 0)
        for at, event in enumerate(self.events):
            name = event.name
            if name in counts:
                counts[name] += 1
                self._of_files.append((at, counts[name], event))
                if name in OPENS:
                    opened = at, _path(event)
                    self.opens.append(opened)
                    if event.result >= 0 and not event.overridden:
                        self._opened.append(opened)

    def first(self, name: str) -> SyscallEvent | None:
        """The first call of *name*."""
        return next((event for event in self.events if event.name == name), None)

    def data(self, nth: int, event: SyscallEvent) -> bytes | None:
        """All that the first output buffer of *event* was given; None if that is not known."""
        if not 0 <= event.result <= MAX_DATA:
            return None
        index = COMPILED[event.nr].outputs[0][0]
        shown = event.detail.get(index, b"")
        if not event.overridden or event.result <= len(shown):
            return shown if event.result <= len(shown) else None
        for answer in self._result.plan.answers:
            if answer.kind < ARGUMENT and ROWS[answer.row].call == event.name and answer.nth in (0, nth):
                return (meaning(answer).data or b"").ljust(event.result, b"\0")
        return None

    def is_answered(self, nth: int, event: SyscallEvent) -> bool:
        """Say whether *event*, which a rule applied to, was answered rather than performed with other arguments."""
        for answer in self._result.plan.answers:
            if answer.kind <= ARGUMENT and ROWS[answer.row].call == event.name and answer.nth in (0, nth):
                return answer.kind != ARGUMENT
        for rule in self._result.world.responses:
            made = self._result.made.get(event.name, 0)
            if rule.call == event.name and rule.path is None and parse_when(rule.when).hits(made + nth):
                return not rule.arguments
        return True

    def reads_of(self, wanted: Callable[[str], bool]) -> list[tuple[int, SyscallEvent]] | None:
        """The reads of the first file whose path is *wanted*; None if it was not opened."""
        opened = [at for at, path in self._opened if wanted(path)]
        if not opened:
            return None
        first = opened[0]
        fd = self.events[first].result
        found = []
        for at, nth, event in self._of_files:
            if at <= first or event.args[0] != fd:
                continue
            if event.name in READS:
                found.append((nth, event))
            elif event.name == CLOSE:
                break
        return found

    def contents(self, path: str) -> bytes | None:
        """What the file at *path*, which the plan or the World wrote down, holds; None if neither did."""
        for answer in self._result.plan.answers:
            if answer.kind == CONTENTS and ROWS[answer.row].file == path:
                return answer.payload
        return next((file.content for file in self._result.world.files if file.path == path), None)


def cpus(result: Result, calls: Calls) -> Iterator[Wrong]:
    """runtime.NumCPU: the bits of the affinity mask; 1 if there is no mask, or none set."""
    if "ncpu" not in result.values:
        return
    first = calls.first("sched_getaffinity")
    if first is None:
        return
    mask = calls.data(1, first)
    if mask is None and first.result >= 0:
        return
    expected = max(int.from_bytes(mask or b"", "little").bit_count(), 1)
    if result.values["ncpu"] != expected:
        function = "runtime.getCPUCount" if result.release >= CONTAINERS_SINCE else "runtime.getproccount"
        yield Wrong(function, f"ncpu is {result.values['ncpu']}, and the mask has {expected}")


def huge_page(result: Result, calls: Calls) -> Iterator[Wrong]:
    """physHugePageSize: what hpage_pmd_size says, a power of two; 0 is always right: it is not known."""
    got = result.values.get("physHugePageSize", 0)
    if not got:
        return
    if any(path == THP and calls.events[at].overridden and calls.events[at].result >= 0 for at, path in calls.opens):
        return  # a descriptor out of thin air: what it refers to says the plan, not the path
    reads = calls.reads_of(lambda path: path == THP)
    contents = calls.contents(THP)
    if contents is None:
        contents = result.world.thp.pmd_size or b""
    if reads and reads[0][1].overridden and calls.is_answered(*reads[0]):
        contents = calls.data(*reads[0]) or b""
    found = re.fullmatch(rb"(\d{1,25})\n?", contents)
    said = int(found[1]) if found else 0
    expected = said if said.bit_count() == 1 else 0
    if reads is None or got != expected:
        yield Wrong("runtime.getHugePageSize", f"physHugePageSize is {got}, and the file says {contents[:40]!r}")


def page(result: Result, _: Calls) -> Iterator[Wrong]:
    """physPageSize: the last AT_PAGESZ of the auxiliary vector."""
    got, size = result.values.get("physPageSize"), _page_size(tuple(result.values.get("auxv", ())))
    if got is not None and size is not None and got != size:
        yield Wrong("runtime.sysauxv", f"physPageSize is {got}, and AT_PAGESZ {size}")


@lru_cache(maxsize=64)
def _page_size(auxv: tuple[tuple[int, int], ...]) -> int | None:
    return next((value for tag, value in reversed(auxv) if tag == AT_PAGESZ), None)


def maxprocs(result: Result, calls: Calls) -> Iterator[Wrong]:
    """GOMAXPROCS: the variable if it is a positive number, else the CPUs; from 1.25 no more than the group may use."""
    got, ncpu = result.values.get("gomaxprocs"), result.values.get("ncpu")
    if got is None or ncpu is None:
        return
    given = _positive(next((item[11:] for item in result.world.env if item.startswith("GOMAXPROCS=")), ""))
    if given:
        expected = given
    elif result.release < CONTAINERS_SINCE or not result.values.get("containermaxprocs"):
        expected = ncpu
    else:
        limit = group_limit(calls)
        if limit is None:
            return
        expected = min(ncpu, limit)
    if got != expected:
        yield Wrong("runtime.schedinit", f"gomaxprocs is {got}, and should be {expected} of {ncpu} CPUs")


def _positive(text: str) -> int:
    # A positive decimal number of 32 bits, or 0.
    found = re.fullmatch(r"\+?(\d{1,18})", text)
    value = int(found[1]) if found and not text.startswith("+") else 0
    return value if 0 < value < 1 << 31 else 0


def group_limit(calls: Calls) -> int | None:
    """CPUs that the group's files, as they were read, allow: at least 2; 1 << 31 for no limit; None: not settled."""
    quota = _read_whole(calls, "/cpu.max")
    if quota is not None:
        found = CPU_MAX.fullmatch(quota)
        return None if not found else _limit(found[1], int(found[2]))
    quota, period = _read_whole(calls, "/cpu.cfs_quota_us"), _read_whole(calls, "/cpu.cfs_period_us")
    if quota is None and period is None:
        return None if _has_limit_file(calls) else 1 << 31
    if quota == b"-1\n":
        return 1 << 31
    if any(text is None or not re.fullmatch(rb"\d{1,18}\n", text) for text in (quota, period)):
        return None
    assert quota is not None
    assert period is not None
    return _limit(quota.strip(), int(period))


def _limit(quota: bytes, period: int) -> int | None:
    if quota == b"max":
        return 1 << 31
    return max(math.ceil(int(quota) / period), 2) if period else None


def _has_limit_file(calls: Calls) -> bool:
    return any(path.endswith(LIMIT_FILES) and calls.events[at].result >= 0 for at, path in calls.opens)


def _read_whole(calls: Calls, name: str) -> bytes | None:
    # What the first file of that name gave in one read that left room for more; None if it did not.
    reads = calls.reads_of(lambda path: path.endswith(name))
    if not reads:
        return None
    nth, event = reads[0]
    data = calls.data(nth, event)
    if data is None or len(data) >= event.args[2] or (event.overridden and not data.endswith(b"\n")):
        return None
    return data


def limit_file(result: Result, calls: Calls) -> Iterator[Wrong]:
    """The CPU limit is that of the program's own control group, and read from where that is mounted."""
    if result.release < CONTAINERS_SINCE or not all(_whole(calls, path) for path in (SELF_CGROUP, SELF_MOUNTINFO)):
        return
    texts = derived(result.world.cgroup)
    said, mounted = calls.contents(SELF_CGROUP), calls.contents(SELF_MOUNTINFO)
    settled, wanted = expected_file(texts[0] if said is None else said, texts[1] if mounted is None else mounted)
    if not settled:
        return
    got = next((path for _, path in calls.opens if path.endswith(LIMIT_FILES)), None)
    if got != wanted:
        yield Wrong("internal/runtime/cgroup.FindCPU", f"the limit is read from {got}, and should be from {wanted}")


@lru_cache(maxsize=64)
def derived(cgroup: Cgroup) -> tuple[bytes, bytes]:
    """What /proc/self/cgroup and mountinfo hold in a World with *cgroup*."""
    world = World(cgroup=cgroup)
    return proc_cgroup(world).encode(), "".join(mount.mountinfo() for mount in mounts(world)).encode()


@lru_cache(maxsize=1024)
def expected_file(said: bytes, mounted: bytes) -> tuple[bool, str | None]:
    """Whether these contents settle which file has the limit, and its path."""
    if not (shapes.CGROUP.legal(said) and shapes.MOUNTINFO.legal(mounted) and groups.is_plain(said, mounted)):
        return False, None
    expected = groups.limit_file(said, mounted)
    return True, None if expected is None else re.sub(r"/{2,}", "/", expected.decode("utf-8", "surrogateescape"))


def _whole(calls: Calls, path: str) -> bool:
    # The file at *path* was opened and read to its end, by calls that were performed.
    reads = calls.reads_of(lambda opened: opened == path)
    if not reads or any(event.result < 0 for _, event in reads):
        return False
    return not any(event.overridden and calls.is_answered(nth, event) for nth, event in reads)


def processors(result: Result, _: Calls) -> Iterator[Wrong]:
    """procresize: as many Ps as GOMAXPROCS, numbered from 0; the first one runs, the others are idle."""
    got = result.values.get("gomaxprocs")
    if got is None or "allp" not in result.values:
        return
    length, some = result.values["allp"]
    wrong = [f"allp has {length}"] if length != got else []
    for index, number, status in some:
        if number != index or status != (P_IDLE if index else P_RUNNING):
            wrong.append(f"P {index} has id {number} and status {status}")
    if result.values.get("npidle", got - 1) != got - 1:
        wrong.append(f"npidle is {result.values['npidle']}")
    if wrong:
        yield Wrong("runtime.procresize", f"gomaxprocs is {got}, and {', '.join(wrong)}")


MODELS = (cpus, huge_page, page, maxprocs, limit_file, processors)


def wrong_values(result: Result) -> list[Wrong]:
    """Every value of *result*, which reached its end, that a model contradicts."""
    calls = Calls(result)
    return [wrong for model in MODELS for wrong in model(result, calls)]
