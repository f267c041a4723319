"""Response rules: what Go does when single system calls answer otherwise, by its own code for that case."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from emu.boot.record import BootRecord
from emu.cli.main import main
from tests.booted import UNSTRIPPED, booted, image_of, number, release_of

NEWER = tuple(name for name in UNSTRIPPED if name.startswith("hello"))
THP = "/sys/kernel/mm/transparent_hugepage/hpage_pmd_size"
CRASH = 0xF1  # where assembly functions store to when a call that cannot fail has failed (sys_linux_amd64.s)


def rules(*texts: str) -> str:
    """A setting of the World with these rules."""
    return "responses=[" + ",".join(f"{{{text}}}" for text in texts) + "]"


@pytest.mark.parametrize("name", UNSTRIPPED)
@pytest.mark.parametrize(
    ("error", "output"),
    [
        ("ENOMEM", "fatal error: runtime: cannot allocate memory\n"),
        ("EACCES", "runtime: mmap: access denied\n"),
        ("EAGAIN", "runtime: mmap: too much locked memory (check 'ulimit -l').\n"),
    ],
)
def test_a_refused_mapping(binary: Callable[[str], Path], name: str, error: str, output: str) -> None:
    """Go's sysAlloc (mem_linux.go) tells three kinds of refusal apart: it throws for one, and just exits for two."""
    record = booted(binary(name), rules(f'call="mmap",errno="{error}",when="1"'))
    said = output.strip()
    ended = ("throw", "runtime: cannot allocate memory") if error == "ENOMEM" else ("exit", f"exit status 2: {said}")

    assert (record.outcome["kind"], record.outcome["message"]) == ended
    assert record.outcome["exit_status"] == 2
    assert record.output.startswith(output)
    first = next(call for call in record.syscalls if call.name == "mmap")
    assert (first.errno, first.overridden) == (error, True)


@pytest.mark.parametrize("name", UNSTRIPPED)
@pytest.mark.parametrize(
    ("call", "function"), [("arch_prctl", "runtime.settls"), ("rt_sigprocmask", "runtime.rtsigprocmask")]
)
def test_a_call_that_cannot_fail(binary: Callable[[str], Path], name: str, call: str, function: str) -> None:
    """The store to 0xf1 is a crash with a fixed address, in a function that says which call it was."""
    record = booted(binary(name), rules(f'call="{call}",errno="EINVAL"'))

    assert record.outcome["kind"] == "signal"
    assert record.outcome["message"] == f"SIGSEGV: page fault at address {CRASH:#x}"
    assert record.outcome["function"] == function
    assert record.syscalls[-1].name == call


@pytest.mark.parametrize("name", [name for name in NEWER if name not in ("hello-1.19.8", "hello-1.21.13")])
def test_a_descriptor_that_cannot_be_asked_about(binary: Callable[[str], Path], name: str) -> None:
    """Anything but EBADF from fcntl is a throw (fds_unix.go), with the number of the error."""
    record = booted(binary(name), rules('call="fcntl",errno="EACCES",when="2"'))

    assert (record.outcome["kind"], record.outcome["message"]) == ("throw", "cannot open standard fds")
    assert record.output.startswith("runtime: unexpected error while checking standard file descriptor 1, errno=13\n")


@pytest.mark.parametrize("name", UNSTRIPPED)
def test_hints_that_are_not_honoured_are_tried_one_by_one(binary: Callable[[str], Path], name: str) -> None:
    """All 128 (64 and 64 for user arenas since 1.20), then anywhere; two new hints lie around that (malloc.go)."""
    honoured, refused = booted(binary(name)), booted(binary(name), "memory.honour-hints=false")
    hints = 64 if release_of(honoured) >= (1, 20) else 128

    def mappings(record: BootRecord) -> int:
        return sum(call.name == "mmap" for call in record.syscalls)

    def arenas(record: BootRecord) -> list[int]:
        return [int(addr, 16) for addr in record.views["runtime.mheap_.arenaHints"]]

    assert honoured.outcome["kind"] == refused.outcome["kind"] == "reached"
    assert len(arenas(honoured)) == hints
    assert mappings(refused) - mappings(honoured) == hints
    above, below = arenas(refused)
    assert above - below == 64 << 20
    assert below <= int(refused.views["runtime.allgs"][0]["addr"], 16) < above


@pytest.mark.parametrize("name", UNSTRIPPED)
def test_rules_count_calls_of_their_own(binary: Callable[[str], Path], name: str) -> None:
    """The second openat only: up to 1.12 there is one at most, later the first is that of the huge-page file."""
    path = "/sys/kernel/mm/transparent_hugepage/hpage_pmd_size"
    record = booted(binary(name), rules(f'call="openat",path="{path}",errno="EINTR",when="2"'))

    assert not any(call.overridden for call in record.syscalls)
    if release_of(record) >= (1, 13):
        assert number(record, "physHugePageSize") == 2 << 20


def test_a_result_alone_skips_the_call() -> None:
    """A close that only claims to have worked: the descriptor stays taken, so the next file gets another number."""
    plain, ruled = booted(None), booted(None, rules('call="close",result=0'))

    def descriptors(record: BootRecord) -> list[int]:
        return [call.result for call in record.syscalls if call.name == "openat" and call.result >= 0]

    assert descriptors(plain) == [3] * len(descriptors(plain))
    assert descriptors(ruled) == list(range(3, 3 + len(descriptors(plain))))
    assert len(descriptors(ruled)) == 4  # the huge-page file, cgroup, mountinfo, cpu.max


@pytest.mark.parametrize(
    ("rule", "status", "word"),
    [
        ('call="mmap",errno="ENOMEM"', 3, "runtime: cannot allocate memory"),
        ('call="arch_prctl",errno="EINVAL"', 4, "SIGSEGV"),
        (f'call="read",path="{THP}",errno="EIO"', 0, "physHugePageSize"),
    ],
)
def test_the_exit_status_tells_how_it_ended(
    rule: str, status: int, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """3: the guest gave up; 4: a fatal signal; 0: reached in spite of it."""
    assert main(["boot", "--set", rules(rule)]) == status

    assert word in capsys.readouterr().out


def test_data_that_a_mapping_has_replaced(binary: Callable[[str], Path]) -> None:
    """A mapping without permissions over all of the program's data: a crash, and the values are the last ones seen."""
    path = binary("hello-1.27.3")
    data = [segment for segment in image_of(path).elf.segments if segment.prot & 2]
    addr, end = data[0].addr & -4096, max(segment.end for segment in data)
    fixed = f"arguments={{0={addr},1={end - addr},2=0,3=0x32}}"  # PROT_NONE, MAP_FIXED | MAP_ANONYMOUS | MAP_PRIVATE
    record = booted(path, rules(f'call="mmap",when="20",{fixed}'))

    assert record.outcome["kind"] == "signal"
    assert record.globals["runtime.numCPUStartup"] == 2
