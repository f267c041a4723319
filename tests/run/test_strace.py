"""``rt0 run --strace``: what strace(1) shows of the same programs, where the values are the same."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from emu.run.names import mode, octal, quoted
from emu.run.socketargs import address
from emu.run.strace import Strace
from emu.run.structures import signal_set, stack, stat, wait_status
from fixtures import store
from fixtures.native import compile_program
from syscalls import abi
from syscalls.events import SyscallEvent
from syscalls.table import ROWS

Binary = Callable[[str], Path]
RT0 = [sys.executable, "-c", "from emu.cli.main import entry; entry()", "run"]


def native(folder: Path, *argv: str | Path, cwd: Path | None = None) -> list[str]:
    """The calls of *argv* that strace -f shows, each whole, without the threads' ids."""
    trace = folder / "native"
    subprocess.run(["strace", "-f", "-o", trace, *argv], capture_output=True, check=False, timeout=60, cwd=cwd)
    calls, begun = [], {}
    for line in trace.read_text().splitlines():
        pid, _, text = line.partition(" ")
        text = text.lstrip()
        if text.endswith("<unfinished ...>"):
            begun[pid] = text.removesuffix("<unfinished ...>").rstrip()
            continue
        resumed = re.match(r"<\.\.\. \w+ resumed>(.*)", text)
        if resumed:
            before, after = begun.pop(pid), resumed.group(1).lstrip()
            text = f"{before}{' ' if before.endswith(',') else ''}{after}"
        calls.append(re.sub(r"\)\s+= ", ") = ", text))
    return calls


def emulated(folder: Path, *argv: str | Path, cwd: Path | None = None) -> list[str]:
    """The calls that rt0 shows, without the threads' ids."""
    trace = folder / "emulated"
    subprocess.run([*RT0, "--strace", trace, *argv], capture_output=True, check=False, timeout=60, cwd=cwd)
    lines = [re.sub(r"^\[pid +\d+\] ", "", line) for line in trace.read_text().splitlines()]
    return [re.sub(r"\)\s+= ", ") = ", line) for line in lines]


def alike(lines: list[str], *names: str) -> list[str]:
    """The lines of the calls *names*, each once, with what differs from run to run left out."""
    found = {line for line in lines if line.startswith(tuple(f"{name}(" for name in names))}
    # Two signals are the C library's own: what they do is inherited from whoever started the native program.
    found = {line for line in found if not line.startswith(("rt_sigaction(SIGRTMIN,", "rt_sigaction(SIGRT_1,"))}
    shown = {re.sub(r"0x[0-9a-f]{9,}", "ADDRESS", line) for line in found}
    return sorted({re.sub(r"^(clone\(.*\) = )\d+", r"\1TID", line) for line in shown})


def test_what_go_asks_at_its_start(binary: Binary, tmp_path: Path) -> None:
    """Signals with their handlers and masks, stacks, threads, descriptors, sleeping: the same lines."""
    path = binary("hello-1.27.3")
    theirs, ours = native(tmp_path, path), emulated(tmp_path, path)
    for names, least in (
        (["rt_sigaction"], 100), (["rt_sigprocmask"], 3), (["sigaltstack"], 2), (["clone"], 1), (["arch_prctl"], 1),
    ):  # fmt: skip
        assert len(alike(theirs, *names)) >= least
        assert alike(ours, *names) == alike(theirs, *names)
    for line in ours:  # these happen when they happen
        if line.startswith("nanosleep({tv_sec=0, tv_nsec=20000}"):
            assert line == "nanosleep({tv_sec=0, tv_nsec=20000}, NULL) = 0"
    huge = 'openat(AT_FDCWD, "/sys/kernel/mm/transparent_hugepage/hpage_pmd_size", O_RDONLY) = 3'
    assert huge in ours
    assert {line for line in theirs if line.startswith("fcntl(0, F_GETFD")} <= set(ours)
    woken = [line for line in ours if "_WAKE" in line]
    assert woken
    assert all(re.fullmatch(r"futex\(0x\w+, FUTEX_WAKE_PRIVATE, 1\) = [01]", line) for line in woken)


def test_files_and_pipes(tmp_path: Path, busybox: str) -> None:
    """A device's numbers, a pipe's descriptors."""
    theirs: list[str] = []
    ours: list[str] = []
    for command, wanted in (
        (["ls", "-d", "/dev/null"], "stat"),
        (["sh", "-c", "echo a | read word"], "pipe"),
    ):
        theirs, ours = native(tmp_path, busybox, *command), emulated(tmp_path, busybox, *command)
        found = [
            line for line in theirs if wanted in line.partition("(")[0] and ("/dev/null" in line or wanted == "pipe")
        ]
        assert found
        assert set(found) <= set(ours)
    waits = [
        {re.sub(r"0x\w+", "ADDRESS", re.sub(r"\d{3,}$", "PID", line)) for line in lines if line.startswith("wait4")}
        for lines in (theirs, ours)
    ]
    assert len(waits[0]) == 2  # a child's end, though its signal has a handler; and that none is left
    assert waits[0] == waits[1]


def happenings(trace: Path, pattern: str) -> list[list[str]]:
    """The lines of signals and ends of each thread, those that began first coming first; *pattern* finds its id."""
    found: dict[int, list[str]] = {}
    for line in trace.read_text().splitlines():
        match = re.match(pattern, line)
        assert match is not None
        number = int(match.group(1) or 1000)
        shown = found.setdefault(number, [])
        text = line[match.end() :].removesuffix(" (core dumped) +++") + (" +++" if "(core dumped)" in line else "")
        if text.startswith(("---", "+++")):
            shown.append(re.sub(r"(si_pid|si_uid|si_utime|si_stime)=\d+", r"\1=N", text))
    return [found[number] for number in sorted(found)]


@pytest.mark.parametrize("argument", [(), ("5",)])
def test_signals_and_ends(tmp_path: Path, argument: tuple[str, ...]) -> None:
    """Whatever sends them, ignored ones and stops too, in the order in which each thread takes them."""
    source = store.ROOT / "tests" / "native" / "straced.c"
    program = compile_program(source, base=("-static", "-O0", "-w", "-pthread"))
    subprocess.run(["strace", "-f", "-o", tmp_path / "native", program, *argument], check=False, timeout=60)
    subprocess.run([*RT0, "--strace", tmp_path / "emulated", program, *argument], check=False, timeout=60)

    theirs = happenings(tmp_path / "native", r"(\d+) +")
    ours = happenings(tmp_path / "emulated", r"(?:\[pid +(\d+)\] )?")

    assert len(theirs) == (7 if argument else 6)
    assert sum(len(lines) for lines in theirs) > 30
    assert ours == theirs


def test_calls_that_signals_interrupt(tmp_path: Path) -> None:
    """When each of them is made again, and what the return from the handler brings back."""
    program = compile_program(store.ROOT / "tests" / "native" / "interrupted.c", base=("-static", "-O1", "-w"))
    names = (
        "read",
        "recvfrom",
        "pause",
        "rt_sig",
        "nanosleep",
        "clock_n",
        "poll",
        "ppoll",
        "select",
        "pselect6",
        "futex",
        "epoll_w",
    )

    def shown(lines: list[str]) -> list[str]:
        kept = [line for line in lines if line.startswith(names) and "rt_sigaction" not in line]
        return [re.sub(r"0x[0-9a-f]+|0x\w+, NULL|(, )\{tv_sec=0, tv_nsec=\d+\}", r"\1X", line) for line in kept]

    theirs, ours = shown(native(tmp_path, program)), shown(emulated(tmp_path, program))

    assert sum("ERESTART" in line for line in theirs) > 15
    assert [line.replace("(0, X, NULL", "(0, [], NULL") for line in theirs] == ours


def test_a_signal_that_comes_in_a_call_is_shown_behind_it(tmp_path: Path) -> None:
    """As it is taken on the way back; a call that ends the thread stands before its end."""
    source = store.ROOT / "tests" / "native" / "straced.c"
    program = compile_program(source, base=("-static", "-O0", "-w", "-pthread"))
    subprocess.run([*RT0, "--strace", tmp_path / "trace", program, "5"], check=False, timeout=60)

    lines = [re.sub(r"^\[pid +\d+\] ", "", line) for line in (tmp_path / "trace").read_text().splitlines()]
    behind = {lines[at - 1].split("(")[0] for at, line in enumerate(lines) if "SIGURG {" in line or "SIGHUP {" in line}
    assert behind == {"kill"}
    assert "wait4" in next(lines[at - 1] for at, line in enumerate(lines) if "code=CLD_EXITED" in line)
    assert re.sub(" +", " ", " ".join(lines[-3:])) == "exit_group(5) = ? +++ exited with 5 +++ +++ exited with 5 +++"


def test_structures() -> None:
    """As strace's sources print them."""
    assert signal_set(bytes(8)) == "[]"
    assert signal_set(b"\xff" * 8) == "~[]"
    assert signal_set((2**64 - 1 ^ 1 << 31 ^ 1 << 32).to_bytes(8, "little")) == "~[RTMIN RT_1]"
    assert signal_set((1 << 1 | 1 << 22).to_bytes(8, "little")) == "[INT URG]"
    assert stack(bytes(8) + b"\x02" + bytes(15)) == "{ss_sp=NULL, ss_flags=SS_DISABLE, ss_size=0}"
    fields = [0] * 16
    fields[3], fields[7] = 0o100644, 5  # st_mode, st_size
    assert wait_status(b"\x00\x07\x00\x00") == "[{WIFEXITED(s) && WEXITSTATUS(s) == 7}]"
    assert wait_status(b"\x86\x00\x00\x00") == "[{WIFSIGNALED(s) && WTERMSIG(s) == SIGABRT && WCOREDUMP(s)}]"
    assert stat(abi.STAT.pack(*fields)) == "{st_mode=S_IFREG|0644, st_size=5, ...}"


MASKS = (
    (r" /\* (IPPROTO_\?\?\?) \*/", ""),
    (r"0x[0-9a-f]{6,}", "ADDRESS"),
    (r"\b(si_pid=|kill\(|wait4\(|waitid\(P_PID, )\d{3,}", r"\1PID"),
    (r"(tgkill\()\d+, \d+", r"\1PID, PID"),
    (r"^(.*clone3?\(.*|fork\(.*|wait4\(.*|getpid\(\)|set_tid_address\(.*) = \d{3,}$", r"\1 = PID"),
    (r"^kill\(PID, SIGKILL\) = .*", "kill(PID, SIGKILL)"),  # which does not return
    (r'^getrandom\("[^"]*", 8, ', 'getrandom("RANDOM", 8, '),
    (r"\[110 => 12\]", "[12]"),  # how much room there was is not kept
    (r"(stx_mask=STATX_BASIC_STATS)[|A-Z_]*", r"\1"),  # the file system decides
    (r"(S_IFDIR\|0700, st_size=)\d+", r"\1SIZE"),
    (r"ru_utime=.*, \.\.\.\}\)", "USED)"),
    (r"(si_status=SIGKILL), .*?\}", r"\1, ...}"),
)


def masked(lines: list[str]) -> list[str]:
    """*lines* without what differs from run to run, and signals and ends, which are no calls."""
    found = []
    for text in lines:
        for pattern, mask in MASKS:
            text = re.sub(pattern, mask, text)  # noqa: PLW2901 - each mask after the other
        if not text.startswith(("+++", "---")):
            found.append(text)
    return found


def test_every_argument_is_shown_as_strace_shows_it(tmp_path: Path) -> None:
    """Some 200 calls, line by line; of those of several processes, which come when they come, all of them."""
    base = ("-static", "-O1", "-w")
    program = compile_program(store.ROOT / "tests" / "native" / "calls.c", base=base)
    for folder in ("this", "that"):  # names as long as each other
        (tmp_path / folder).mkdir()
        shutil.copy(program, tmp_path / folder / "calls")
    theirs = masked(native(tmp_path, "./calls", cwd=tmp_path / "this"))
    assert theirs.pop(0).startswith('execve("./calls", ["./calls"]')  # ours begins after it
    ours = masked(emulated(tmp_path, "--bind", ".", "./calls", cwd=tmp_path / "that"))
    marks = [theirs.index('write(1, "processes\\n", 10) = 10'), ours.index('write(1, "processes\\n", 10) = 10')]

    assert marks[0] > 150
    assert ours[: marks[1]] == theirs[: marks[0]]
    assert len(theirs) - marks[0] > 40
    assert sorted(ours[marks[1] :]) == sorted(theirs[marks[0] :])


def test_words() -> None:
    """As strace's sources print them: octal escapes no longer than they must be, modes, addresses."""
    assert quoted(b'\1\x012\n\xff"') == r'"\1\0012\n\377\""'
    assert quoted(b"x" * 33) == f'"{"x" * 32}"...'
    assert (octal(0), octal(0o7), octal(0o644)) == ("000", "007", "0644")
    assert mode(0o104755) == "S_IFREG|S_ISUID|0755"
    assert address(b"\x02\0\0\x50\x7f\0\0\x01" + bytes(8)).endswith(
        'sin_port=htons(80), sin_addr=inet_addr("127.0.0.1")}'
    )
    assert address(b"\1\0") == "{sa_family=AF_UNIX}"


@pytest.mark.parametrize("seed", range(4))
def test_nothing_that_a_program_asks_for_ends_the_trace(seed: int) -> None:
    """Any arguments and results, and any bytes where they point to, or none."""
    random = Random(seed)
    for row in ROWS * 20:
        args = tuple(random.choice((0, 1, 4, 8, random.getrandbits(8), random.getrandbits(64))) for _ in row.kinds)
        size = random.choice((0, 1, 7, 16, 40, 128))
        detail = {
            n: random.randbytes(size) for n, kind in enumerate(row.kinds) if kind.direction and random.random() < 0.7
        }
        failed = random.random() < 0.3
        result = -22 if failed else random.choice((0, 1, 3, 40))
        event = SyscallEvent(row.nr, row.name, args, result, "EINVAL" if failed else None, False, 1000, 0, detail)
        lines: list[str] = []
        reads = random.random() < 0.7

        def peek(_: int, wanted: int, reads: bool = reads) -> bytes | None:
            assert 0 <= wanted <= 1 << 16
            return random.randbytes(wanted) if reads else None

        Strace(lines.append, 1000, peek).call(event)
        assert len(lines) == 1
        assert lines[0].startswith(f"{row.name}(")
