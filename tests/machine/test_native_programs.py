"""The same small C programs, run by this machine's kernel and by ours on the emulated CPU: the same output."""

from __future__ import annotations

import itertools
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from emu.image import elf
from emu.machine import snapshot
from emu.machine.engine import MOST_MOVES
from emu.machine.machine import Machine
from emu.machine.outcome import Outcome
from fixtures import store
from fixtures.native import compile_program
from syscalls.numbers import NUMBERS
from syscalls.world import File, Limits, Process, Uname, World


@dataclass(frozen=True)
class Program:
    """A static program as the loader wants it; no Go about it."""

    name: str
    file: elf.Elf
    kind: str = "exec"

    @property
    def data(self) -> elf.Data:
        return self.file.data

    @property
    def entry(self) -> int:
        return self.file.header.entry

    @property
    def segments(self) -> tuple[elf.Segment, ...]:
        return self.file.segments

    @property
    def program_headers(self) -> tuple[int, int, int]:
        header = self.file.header
        return self.file.address_of(header.phoff) or 0, header.phentsize, header.phnum


def host_world() -> World:
    """The defaults, with the release of the kernel that runs here: where it places mappings depends on it."""
    return replace(World(), uname=Uname(release=os.uname().release))


def run_static(path: Path, world: World | None = None) -> tuple[Outcome, str]:
    """Run a static program on the machine until it ends; how it ended, and what it printed."""
    machine = Machine(Program(path.name, elf.parse(path.read_bytes())), world or host_world())  # type: ignore[arg-type]
    outcome = machine.run()
    return outcome, b"".join(data for _, data in machine.kernel.output).decode()


def both(name: str, chained: bool) -> tuple[str, Machine]:
    """What a program of tests/native prints natively, and a machine that has yet to run it."""
    path = compile_program(store.ROOT / "tests" / "native" / f"{name}.c", base=("-static", "-O1", "-w"))
    there = subprocess.run([str(path)], check=True, capture_output=True, text=True).stdout
    machine = Machine(Program(path.name, elf.parse(path.read_bytes())), host_world())  # type: ignore[arg-type]
    if chained:
        machine.engine.chain_pages()
    return there, machine


@pytest.mark.parametrize("name", ["memory", "waiting", "signals"])
def test_program_prints_what_it_prints_natively(native: Callable[..., Path], name: str) -> None:
    """Line by line: every call with its arguments and result, every byte read back, all that a handler can see."""
    path = native(name)
    there = subprocess.run([str(path)], check=True, capture_output=True, text=True).stdout

    outcome, here = run_static(path)

    assert outcome.exit_status == 0, outcome
    assert len(there.splitlines()) > 100
    assert here.splitlines() == there.splitlines()


@pytest.mark.parametrize("through", [None, False, True], ids=["in memory", "over a bind", "through a bind"])
def test_file_calls_do_what_they_do_natively(native: Callable[..., Path], tmp_path: Path, through: bool | None) -> None:
    """Some 450 steps in an empty folder, wherever that is: results, contents, what files are and when they changed."""
    path = native("files", *(("-DTHROUGH",) if through else ()))
    for folder in ("there", "here"):
        (tmp_path / folder).mkdir()
    there = subprocess.run([str(path)], check=True, capture_output=True, text=True, cwd=tmp_path / "there").stdout
    process = Process(uid=os.getuid(), euid=os.geteuid(), gid=os.getgid(), egid=os.getegid())
    binds = () if through is None else ((str(tmp_path / "here"), "/tmp/work", through),)

    outcome, here = run_static(path, replace(host_world(), cwd="/tmp/work", binds=binds, process=process))

    assert outcome.exit_status == 0, outcome
    assert len(there.splitlines()) > 400
    assert here.splitlines() == there.splitlines()
    left = {file.name for file in (tmp_path / "there").iterdir()} if through else set()
    assert {file.name for file in (tmp_path / "here").iterdir()} == left


@pytest.mark.parametrize("through", [None, False, True], ids=["in memory", "over a bind", "through a bind"])
def test_private_mappings_follow_their_file_until_they_are_stored_into(tmp_path: Path, through: bool | None) -> None:
    """Page by page, whoever changes the file, and however."""
    path = compile_program(store.ROOT / "tests" / "native" / "privately.c", base=("-static", "-O1", "-w"))
    for folder in ("there", "here"):
        (tmp_path / folder).mkdir()
    there = subprocess.run([str(path)], check=True, capture_output=True, text=True, cwd=tmp_path / "there").stdout
    binds = () if through is None else ((str(tmp_path / "here"), "/tmp/work", through),)

    outcome, here = run_static(path, replace(host_world(), cwd="/tmp/work", binds=binds))

    assert outcome.exit_status == 0, outcome
    assert len(there.splitlines()) > 10
    assert here.splitlines() == there.splitlines()


@pytest.mark.parametrize("end", [None, 15, 9, 0], ids=["by itself", "by SIGTERM", "by SIGKILL", "by a limit"])
def test_what_is_stored_into_mappings_of_bound_files_is_in_them(tmp_path: Path, end: int | None) -> None:
    """Whenever the program could tell, and in the host's files at its end, however that comes."""
    path = compile_program(store.ROOT / "tests" / "native" / "boundmaps.c", base=("-static", "-O1", "-w"))
    for folder in ("there", "here"):
        (tmp_path / folder).mkdir()
    words = [str(path)] if end is None else [str(path), str(end)]
    judge = words if end != 0 else [str(path), "15"]
    there = subprocess.run(judge, check=False, capture_output=True, text=True, cwd=tmp_path / "there")
    binds = ((str(tmp_path / "here"), "/tmp/work", True), (str(path), str(path), False))
    limits = Limits(instructions=3_000_000)
    world = replace(host_world(), argv=tuple(words), cwd="/tmp/work", binds=binds, limits=limits)

    outcome, here = run_static(path, world)

    assert (outcome.exit_status, outcome.signal, outcome.at) == {
        None: (0, None, None), 15: (143, 15, None), 9: (137, 9, None), 0: (None, None, "instructions"),
    }[end]  # fmt: skip
    lines = there.stdout.splitlines()
    assert len(lines) > 24
    assert here.splitlines() == (lines if end != 0 else [*lines[:-1], "ending by 0"])
    left = {file.name: file.read_bytes() for file in (tmp_path / "there").iterdir()}
    assert b"stored at last" in left["renamed"]
    assert {file.name: file.read_bytes() for file in (tmp_path / "here").iterdir()} == left


def test_processes_do_what_they_do_natively(tmp_path: Path) -> None:
    """Some 200 steps with glibc: children, what they share, programs and scripts, waiting, who they are."""
    path = compile_program(store.ROOT / "tests" / "native" / "processes.c", base=("-static", "-O1", "-w"))
    (tmp_path / "work").mkdir()
    there = subprocess.run([str(path)], check=True, capture_output=True, text=True, cwd=tmp_path / "work").stdout
    process = Process(uid=os.getuid(), euid=os.geteuid(), gid=os.getgid(), egid=os.getegid())

    outcome, here = run_static(path, replace(host_world(), cwd="/tmp/work", process=process))

    assert outcome.exit_status == 0, outcome
    assert len(there.splitlines()) > 150
    assert here.splitlines() == there.splitlines()


def test_faults_of_instructions_that_read_and_write() -> None:
    """To one place in memory: which signal, and whether it was to be written, by what is mapped there."""
    path = compile_program(store.ROOT / "tests" / "native" / "rewriting.c", base=("-static", "-O1", "-w"))
    there = subprocess.run([str(path)], check=True, capture_output=True, text=True).stdout

    outcome, here = run_static(path)

    assert outcome.exit_status == 0, outcome
    assert there.count("error 0x6") > 150
    assert there.count("error 0x4") > 50
    assert here.splitlines() == there.splitlines()


def test_jumps_to_where_no_address_can_be() -> None:
    """The fault is at the jump, with the stack as it was before it; at the target where that could be an address."""
    path = compile_program(store.ROOT / "tests" / "native" / "astray.c", base=("-static", "-O1", "-w"))
    there = subprocess.run([str(path)], check=True, capture_output=True, text=True).stdout

    outcome, here = run_static(path)

    assert outcome.exit_status == 0, outcome
    assert there.count("trap 13 error 0 at +0 rsp +0") == 4 * 7
    assert there.count("there") > 20
    assert here.splitlines() == there.splitlines()


def test_touching_a_mapping_behind_its_file_s_end(tmp_path: Path) -> None:
    """SIGBUS, not SIGSEGV, where permissions would let it be; pages come and go with the file."""
    path = compile_program(store.ROOT / "tests" / "native" / "pastend.c", base=("-static", "-O1", "-w"))
    (tmp_path / "work").mkdir()
    there = subprocess.run([str(path)], check=False, capture_output=True, text=True, cwd=tmp_path / "work")

    outcome, here = run_static(path, replace(host_world(), cwd="/tmp/work"))

    assert there.stdout.count("signal 7 code 2") > 20
    assert here.splitlines() == there.stdout.splitlines()
    assert there.returncode == -7
    assert (outcome.signal, outcome.exit_status) == (7, 128 + 7)
    assert "SIGBUS" in (outcome.message or "")


@pytest.mark.parametrize("chained", [False, True])
def test_code_in_another_page_is_what_is_there(chained: bool) -> None:
    """However often the place was jumped to before, and with jumps between pages chained or not."""
    there, machine = both("moved", chained)

    outcome = machine.run()

    assert outcome.exit_status == 0, outcome
    here = b"".join(data for _, data in machine.kernel.output).decode()
    assert there.splitlines()[:3] == ["as it was: 1000", "mapped anew: 2000", "stored into: 3000"]
    assert here.splitlines() == there.splitlines()


def test_where_code_moves_often_jumps_are_not_chained() -> None:
    """Each move costs all translations; the program sees nothing of it."""
    there, machine = both("movesoften", chained=True)
    flushed = 0

    def forget() -> None:
        nonlocal flushed
        flushed += 1
        forget_all()

    forget_all, machine.engine.forget_all_code = machine.engine.forget_all_code, forget  # type: ignore[method-assign]

    assert machine.run().exit_status == 0
    assert b"".join(data for _, data in machine.kernel.output).decode() == there
    assert there == "200 times\n"
    assert flushed <= MOST_MOVES + 5


@pytest.mark.parametrize(("name", "last"), [("moved", "clone"), ("goneown", "exit_group")])
def test_code_is_what_it_was_at_the_moment_of_a_snapshot(name: str, last: str) -> None:
    """With chains between pages: forwards and backwards over moments at which other code, or none, was mapped there."""
    there, machine = both(name, chained=True)
    telling = {NUMBERS[call] for call in ("mmap", "munmap", "write", last)}
    machine.before_call = lambda nr, _: nr in telling
    moments = []
    while machine.run().at != last:
        moments.append(snapshot.take(machine))
    before = b"".join(data for _, data in machine.kernel.output).decode()
    assert len(moments) >= 5
    assert len(before.splitlines()) >= 4
    assert there.startswith(before)
    for other, moment in itertools.product(moments, repeat=2):
        snapshot.restore(machine, other)
        machine.before_call = lambda nr, _: nr in telling
        machine.run()
        snapshot.restore(machine, moment)
        machine.before_call = lambda nr, _: nr == NUMBERS[last]
        assert machine.run().at == last
        assert b"".join(data for _, data in machine.kernel.output).decode() == before


@pytest.mark.parametrize("chained", [False, True])
def test_code_that_is_written_and_run_by_turns(chained: bool) -> None:
    """What was written while the page could not be executed runs afterwards, in private and in shared memory."""
    there, machine = both("written", chained)

    outcome = machine.run()

    assert outcome.exit_status == 0, outcome
    here = b"".join(data for _, data in machine.kernel.output).decode()
    assert [line.partition(": ")[2] for line in there.splitlines()] == ["1 2 -4 3 -8 4 -11 5 -11 6"] * 5
    assert here.splitlines() == there.splitlines()


def test_shared_mappings_of_one_file_see_each_other() -> None:
    """At once, whichever of them come and go; from a snapshot among them, and on a machine that was used before."""
    path = compile_program(store.ROOT / "tests" / "native" / "aliases.c", base=("-static", "-O1", "-w"))
    there = subprocess.run([str(path)], check=True, capture_output=True, text=True).stdout

    outcome, here = run_static(path)

    assert outcome.exit_status == 0, outcome
    assert len(there.splitlines()) > 20
    assert here.splitlines() == there.splitlines()

    world = host_world()
    alone = replace(world, argv=("aliases", "alone"))  # without the child, so that it can be saved
    machine = Machine(Program(path.name, elf.parse(path.read_bytes())), alone)  # type: ignore[arg-type]
    machine.before_call = lambda nr, _: nr == NUMBERS["unlink"]
    assert machine.run().at == "unlink"
    taken, before = snapshot.take(machine), len(machine.kernel.output)
    machine.before_call = None
    said = []
    for _ in range(2):
        assert machine.run().exit_status == 0
        said.append(machine.kernel.output[before:])
        snapshot.restore(machine, taken)
    assert said[0] == said[1]
    everything = [data for _, data in machine.kernel.output] + [data for _, data in said[0]]
    machine.begin_anew(machine.world)
    assert machine.run().exit_status == 0
    assert [data for _, data in machine.kernel.output] == everything


@pytest.mark.parametrize("name", ["holding", "signalfd", "sharedfutex", "moving", "severalmessages", "ownfiles"])
def test_programs_with_threads_and_files(name: str, tmp_path: Path) -> None:
    """Waiting calls keep their files, whatever gets the number; signals are read; processes share words, and memory
    that moves; several messages are waited for one by one; files in /proc are of the program that runs.
    """
    base = ("-static", "-O1", "-w", "-pthread")
    path = compile_program(store.ROOT / "tests" / "native" / f"{name}.c", base=base)
    there = subprocess.run([str(path)], check=True, capture_output=True, text=True, cwd=tmp_path).stdout

    outcome, here = run_static(path)

    assert outcome.exit_status == 0, outcome
    assert len(there.splitlines()) > 10
    assert here.splitlines() == there.splitlines()


def test_stops_of_an_observer_change_no_times() -> None:
    """Of a file that is stored into by a mapping, where the machine stops between that and a call on the file."""
    path = compile_program(store.ROOT / "tests" / "native" / "storedlate.c", base=("-static", "-O1", "-w"))
    outcome, told = run_static(path)
    machine = Machine(Program(path.name, elf.parse(path.read_bytes())), host_world())  # type: ignore[arg-type]
    machine.before_call, machine.before_nr = lambda *_: True, NUMBERS["getppid"]
    stops = 0
    while machine.run().kind == "reached":
        stops += 1

    assert (outcome.exit_status, stops) == (0, 10)
    assert b"".join(data for _, data in machine.kernel.output).decode() == told


def test_a_snapshot_is_not_put_back_once_the_guest_has_made_processes() -> None:
    """Their memory, files and numbers are none of its: the machine has to begin anew."""
    path = compile_program(store.ROOT / "tests" / "native" / "moving.c", base=("-static", "-O1", "-w", "-pthread"))
    machine = Machine(Program(path.name, elf.parse(path.read_bytes())), host_world())  # type: ignore[arg-type]
    machine.before_call, machine.before_nr = lambda *_: True, NUMBERS["clone"]
    assert machine.run().kind == "reached"
    taken = snapshot.take(machine)
    snapshot.restore(machine, taken)
    machine.before_call = None

    assert machine.run().exit_status == 0
    assert not snapshot.is_single(machine)
    with pytest.raises(ValueError, match="has made processes since"):
        snapshot.restore(machine, taken)


def test_a_file_of_the_worlds_in_proc_keeps_no_others_from_changing() -> None:
    """Those of a program that has run another in its place."""
    path = compile_program(store.ROOT / "tests" / "native" / "ownfiles.c", base=("-static", "-O1", "-w", "-pthread"))
    world = replace(host_world(), files=(File("/proc/self/cgroup", b"0::/somewhere\n"),))

    assert run_static(path, world) == run_static(path)
