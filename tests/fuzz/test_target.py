"""The fuzzed target: a run from a snapshot is a boot of its World, told by values, stack, coverage and verdict."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from emu.boot.boot import MSTART, describe, entry_of, printed
from emu.fuzz import plan as plans
from emu.fuzz.grammar import CALL_ROWS, CONTRACT, FILE_ROWS, HOSTILE, ROWS, SETTING_ROWS, THP
from emu.fuzz.models import wrong_values
from emu.fuzz.mutation import mutate
from emu.fuzz.oracles import OK, Verdict, verdict
from emu.fuzz.plan import Answer, Plan
from emu.fuzz.search import tier_of
from emu.fuzz.sites import Sites
from emu.fuzz.target import QUICK, SLOW, Result, Target
from emu.image.image import Image
from emu.machine.machine import Machine
from syscalls.cpuset import CpuSet
from syscalls.errno import EBADF, ENOENT, ENOMEM, NUMBERS
from syscalls.events import SyscallEvent
from syscalls.kernel import Kernel
from syscalls.world import Cgroup, Limits, World
from tests.booted import image_of

PLANS = int(os.environ.get("RT0_PLANS", "60"))
"""How many random plans are compared with cold starts; `make test-fuzz` takes 1,000."""
MMAP = CALL_ROWS["mmap"]


def call(name: str, nth: int, kind: int, payload: bytes) -> Answer:
    """An answer to a call."""
    return Answer(CALL_ROWS[name], nth, kind, payload)


def fails(name: str, nth: int, errno: int) -> Answer:
    """A call that fails."""
    return call(name, nth, plans.ERRNO, plans.signed(errno))


def setting(key: str, text: str) -> Answer:
    """Another World."""
    return Answer(next(row for row in SETTING_ROWS if ROWS[row].setting == key), 0, plans.SETTING, text.encode())


@pytest.fixture(scope="module")
def image() -> Image:
    """The bundled hello."""
    return image_of()


@pytest.fixture(scope="module")
def target(image: Image) -> Target:
    """It, from osinit to mstart in the default World."""
    return Target(image, World())


def cold(image: Image, world: World) -> tuple[object, int, list[SyscallEvent]]:
    """Outcome, instructions and calls of a boot on a new machine."""
    machine = Machine(image, world)
    outcome = machine.run(entry_of(image, MSTART) + machine.loaded.bias, MSTART)
    return describe(image, machine, outcome, printed(machine)), machine.total(), machine.kernel.events


def compare_with_cold_starts(target: Target, count: int, seed: int) -> list[str]:
    """Run *count* random plans, each grown from an earlier one; return the kinds of how they ended."""
    rng, found = Random(seed), list[str]()
    grown = [(Plan(), target.run(Plan()).calls)]
    hints = target.hints()
    while len(found) < count:
        plan, calls = rng.choice(grown[-8:])
        for _ in range(rng.randint(1, 3)):
            plan = mutate(plan, rng, target.tier, Sites(calls), hints, settings=rng.random() < 0.2)
        plan = Plan(plan.answers[:10])
        result = target.run(plan)
        assert not result.defect, plan
        kind = result.outcome["kind"]
        if kind == "reached" or not rng.randrange(4):  # most of what grows out of a failure fails
            grown.append((plan, result.calls))
        if kind in (SLOW, "limit"):
            continue
        outcome, instructions, events = cold(target.image, target.world_of(plan))
        assert (result.outcome, result.instructions) == (outcome, instructions), plan
        assert list(result.calls) == events[len(events) - len(result.calls) :], plan
        found.append(kind)
    return found


def told(target: Target, result: Result) -> object:
    """All that a run tells, but the numbers of its blocks, which each target gives by itself."""
    places = target.machine.counter.places()
    covered = {place: count for place, count in zip(places, result.coverage, strict=True) if count}
    return result.outcome, result.values, result.calls, result.stack, result.instructions, covered


def test_a_run_does_not_depend_on_where_it_begins(image: Image) -> None:
    """From a snapshot along another plan's run as from the beginning: the same in everything, coverage included."""
    plain, following = Target(image, World(), tier=HOSTILE), Target(image, World(), tier=HOSTILE)
    rng, parent = Random(3), Plan()
    hints = plain.hints()
    compared = 0
    for turn in range(PLANS // 3):
        calls = plain.run(parent).calls
        since = rng.choice((0, rng.randrange(len(calls))))
        sites = Sites(calls).since(since)
        children = [mutate(parent, rng, HOSTILE, sites, hints, since=since) for _ in range(3)]
        following.follow(parent, Sites(calls), children)
        for child in children:
            plain._prepare()  # nothing is left of any other run
            alone, behind = plain.run(child), following.run(child)
            if SLOW not in (alone.outcome["kind"], behind.outcome["kind"]):
                assert told(plain, alone) == told(following, behind), (turn, parent, child)
                compared += 1
        arrived = following.run(children[0]).outcome["kind"] == "reached"
        parent = Plan(children[0].answers[:6]) if arrived else Plan()
    assert compared > PLANS // 2


def test_a_throw_that_was_seen_is_not_printed_again(image: Image) -> None:
    """The fourth run that throws in the same way ends before its traceback, says nothing, and covers what it should."""
    target = Target(image, World())
    plan = Plan((fails("mmap", 9, ENOMEM),))
    first, *_, fourth = [target.run(plan) for _ in range(4)]

    assert (first.outcome["kind"], verdict(first).kind) == ("throw", "throw")
    assert (fourth.outcome["kind"], verdict(fourth).kind) == (SLOW, OK)
    assert fourth.calls == first.calls[: len(fourth.calls)]
    assert len(fourth.calls) < len(first.calls)
    assert target.run(plan, whole=True).outcome == first.outcome


def test_a_run_starts_late_where_it_can(target: Target) -> None:
    """Behind the last call before the first that is answered in another way than in the run that is followed."""
    parent = Plan((call("sched_getaffinity", 1, plans.DATA, b"\x07" + bytes(7)), fails("mmap", 9, ENOMEM)))
    calls = target.run(parent).calls
    children = [
        Plan((*parent.answers[:1], fails("mmap", 10, ENOMEM))),
        Plan((call("sched_getaffinity", 1, plans.DATA, b"\x0f" + bytes(7)), *parent.answers[1:])),
        parent,
    ]
    target.follow(parent, Sites(calls), children)
    trail = target._followed
    assert trail is not None
    ninth = [number for number, event in enumerate(calls) if event.name == "mmap"][8]
    elsewhere, other, same = map(trail.start_of, children)

    assert elsewhere.done == ninth < same.done == len(calls) - 1
    assert other.done == 0


@pytest.mark.parametrize("tier", [CONTRACT, HOSTILE])
def test_a_run_equals_a_cold_start_in_its_world(image: Image, tier: str) -> None:
    """The same outcome, the same instructions, the same calls with the same contents at the same times."""
    kinds = compare_with_cold_starts(Target(image, World(), tier=tier, settings=True), PLANS // 2, seed=11)

    assert {"reached", "throw"} <= set(kinds)


def test_other_begin_and_program(binary: Callable[[str], Path]) -> None:
    """From schedinit of Go 1.13, where calls were made before that count for the rules."""
    target = Target(image_of(binary("esbuild-0.1.0")), World(), begin="runtime.schedinit", tier=HOSTILE)

    assert compare_with_cold_starts(target, PLANS // 5, seed=2)


def test_the_unchanged_run(target: Target) -> None:
    """It gets to its end, and no model has anything to say."""
    result = target.run(Plan())

    assert (result.outcome["kind"], result.outcome["at"], result.tier) == ("reached", MSTART, CONTRACT)
    assert (result.values["ncpu"], result.values["gomaxprocs"], result.values["npidle"]) == (2, 2, 1)
    assert result.values["physHugePageSize"] == 2 << 20
    assert result.values["allp"] == (2, [(0, 0, 1), (1, 1, 0)])
    assert verdict(result) == Verdict(OK, "reached runtime.mstart", "", (), CONTRACT)


def test_answers_move_values(target: Target) -> None:
    """A mask of 3 CPUs, then the unchanged run again."""
    changed = target.run(Plan((call("sched_getaffinity", plans.EVERY, plans.DATA, b"\x15" + bytes(7)),)))

    assert (changed.values["ncpu"], changed.values["gomaxprocs"], verdict(changed).kind) == (3, 3, OK)
    assert target.run(Plan()).values["ncpu"] == 2


def test_a_short_read_makes_a_wrong_value(target: Target) -> None:
    """read(2) may give less than there is; of "2097152" Go takes "2" and believes in huge pages of 2 bytes."""
    result = target.run(Plan((call("read", 1, plans.ARGUMENT, b"\x02\x02"),)))
    found = verdict(result)

    assert (found.kind, found.function, found.tier) == ("wrong-value", "runtime.getHugePageSize", CONTRACT)
    assert found.message == "physHugePageSize is 2, and the file says b'2097152\\n'"


def test_a_throw_has_its_message_and_stack(target: Target) -> None:
    """Descriptor 1 is closed, and there is no /dev/null: checkfds refuses."""
    found = verdict(target.run(Plan((fails("fcntl", 2, EBADF), fails("openat", plans.EVERY, ENOENT)))))

    assert (found.kind, found.message) == ("throw", "cannot open standard fds")
    assert (found.function, found.stack) == (
        "runtime.checkfds",
        ("runtime.checkfds", "runtime.schedinit", "runtime.rt0_go"),
    )


def test_a_crash_has_its_function(target: Target) -> None:
    """An munmap must not fail: sysMunmap stores to 0xf1 then (runtime/sys_linux_amd64.s)."""
    hinted = call("mmap", plans.EVERY, plans.ARGUMENT, b"")
    found = verdict(target.run(Plan((hinted, fails("munmap", 1, ENOMEM)))))

    assert (found.kind, found.message) == ("signal", "SIGSEGV: page fault at address 0xf1")
    assert "runtime.rt0_go" in found.stack


def test_keys_forget_numbers_but_not_places() -> None:
    """The same throw with another number is the same finding; in another function it is not."""
    one = Verdict("throw", "index 5 of 4", "runtime.f", ("runtime.schedinit",), CONTRACT)

    assert one.key == one._replace(message="index 9 of 8").key
    assert one.key != one._replace(function="runtime.g").key
    assert one.key != one._replace(message="bad index").key
    path = one._replace(message="the limit is read from /a b/cpu.max, and should be from /x\\y")
    assert path.key == path._replace(message="the limit is read from /c, and should be from /d").key
    assert path.key != path._replace(message="the limit is read from None, and should be from /d").key


def test_hang_names_the_function_that_spins(image: Image) -> None:
    """The limit is the World's own; where it ends is told."""
    limits = Limits(instructions=10_000)
    found = verdict(Target(image, World(limits=limits)).run(Plan()))

    assert (found.kind, found.message) == ("hang", "more than 10000 instructions")
    assert found.function == "runtime.moduledataverify1"


def test_much_work_is_no_hang(image: Image) -> None:
    """8,192 CPUs cost more than the quick limit; the run is looked at closely, and comes to its end."""
    target = Target(image, World())
    mask = call("sched_getaffinity", plans.EVERY, plans.DATA, b"\xff" * 1024)
    results = [target.run(Plan((mask,))) for _ in range(4)]

    assert [result.outcome["kind"] for result in results] == ["reached"] * 3 + [SLOW]
    assert results[0].values["ncpu"] == 8192
    assert results[0].instructions > QUICK
    assert {verdict(result).kind for result in results} == {OK}


def test_a_long_start_is_no_much_work(image: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the unchanged run takes, other runs may take as well, however often they come."""
    monkeypatch.setattr("emu.fuzz.target.QUICK", 100_000)
    target = Target(image, World())
    changed = Plan((Answer(FILE_ROWS[THP], 0, plans.CONTENTS, b"1048576\n"),))

    assert {target.run(plan).outcome["kind"] for plan in [Plan()] * 6 + [changed] * 6} == {"reached"}


def test_memory_is_bounded(image: Image) -> None:
    """A guest that touches more than there is meets a limit, and the next run is unharmed."""
    target = Target(image, World())
    result = target.run(
        Plan((call("sched_getaffinity", plans.EVERY, plans.BOTH, plans.signed(8192) + b"\xff" * 8192),))
    )

    assert verdict(result).kind in (OK, "memory", "throw")
    assert target.machine.pages.frames <= 256 << 8
    assert verdict(target.run(Plan())).kind == OK


def test_an_exception_of_ours_is_a_defect(image: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is reported with its place, and the target goes on; blocks of code have the numbers that they had."""
    target = Target(image, World())
    plan = Plan((Answer(FILE_ROWS[THP], 0, plans.CONTENTS, b"1048576\n"),))
    other = Plan((fails("sched_getaffinity", 0, ENOMEM),))
    target.run(Plan((fails("mmap", 9, ENOMEM),)))
    before, place = target.run(other).coverage, target.machine.counter.places()

    def broken(_kernel: Kernel, _files: object) -> None:
        raise ZeroDivisionError("broken")

    with monkeypatch.context() as patched:
        patched.setattr(Kernel, "replace_files", broken)
        found = verdict(target.run(plan))
    assert (found.kind, found.message) == ("defect", "ZeroDivisionError: broken (test_target.py, broken)")
    result = target.run(plan)
    assert (verdict(result).kind, result.values["physHugePageSize"]) == (OK, 1 << 20)
    assert target.run(other).coverage.startswith(before)
    assert target.machine.counter.places()[: len(place)] == place


def test_settings_change_the_world_when_asked(image: Image) -> None:
    """And do nothing to a target that was not asked."""
    plan = Plan((setting("env.GOMAXPROCS", "3"),))
    asked, plain = Target(image, World(), settings=True), Target(image, World())

    assert asked.run(plan).values["gomaxprocs"] == 3
    assert "GOMAXPROCS=3" in asked.world_of(plan).env
    assert asked.run(Plan()).values["gomaxprocs"] == 2
    assert plain.run(plan).values["gomaxprocs"] == 2
    assert plain.world_of(plan) == plain.world


def test_settings_belong_to_what_a_run_showed(image: Image) -> None:
    """Without them its World would not do the same again; what was read before the stretch is not told."""
    target = Target(image, World(), settings=True)
    plan = Plan((setting("env.GOMEMLIMIT", "x"), fails("munmap", 200, ENOMEM), setting("auxv.AT_PAGESZ", "4096")))
    result = target.run(plan)
    again = Target(image, target.world_of(result.plan)).run(Plan())

    assert result.plan == plan
    assert verdict(result).kind == "throw"
    assert "malformed GOMEMLIMIT" in verdict(result).message
    assert verdict(again) == verdict(result)
    assert Target(image, World(), settings=True).run(Plan((setting("auxv.AT_PAGESZ", "0"),))).tier == HOSTILE


def test_a_run_that_does_not_get_to_the_beginning_has_its_own_stack(image: Image) -> None:
    """Whatever runs came before, of which one was stopped in a throw."""
    early, thrown = Plan((setting("auxv.AT_PAGESZ", "0"),)), Plan((fails("mmap", 0, ENOMEM),))
    target, other = (Target(image, World(), "runtime.modulesinit", settings=True) for _ in range(2))
    results = [target.run(thrown) for _ in range(4)]

    assert results[-1].outcome["kind"] == SLOW
    assert target.run(early).stack == other.run(early).stack


def test_moved_fixed_mappings_are_not_of_the_contract(image: Image) -> None:
    """Linux may ignore a hint, but not MAP_FIXED; such a run says nothing there, and something in the other tier."""
    plan = Plan((call("mmap", plans.EVERY, plans.ARGUMENT, b"\0\0\0\0\0\x20"),))
    fair, wild = Target(image, World()).run(plan), Target(image, World(), tier=HOSTILE).run(plan)

    assert (fair.outcome["kind"], fair.tier) == (SLOW, HOSTILE)
    assert wild.outcome["kind"] != SLOW


def test_coverage_tells_runs_apart(target: Target) -> None:
    """The same run covers the same blocks; a refused file covers others."""
    first, again = target.run(Plan()).coverage, target.run(Plan()).coverage
    other = target.run(Plan((fails("openat", 1, ENOENT),))).coverage

    assert first == again[: len(first)]
    assert sum(map(bool, first)) > 1000
    assert [bool(n) for n in first] != [bool(n) for n in other[: len(first)]]


def test_hints_are_what_the_code_compares_with(target: Target) -> None:
    """8,192 is the size of getCPUCount's buffer; 6 and 25 are entries of the auxiliary vector."""
    target.run(Plan())

    assert {8192, 6, 25} <= set(target.hints())


def changed(result: Result, **values: object) -> list[str]:
    """Which functions the models blame when *values* stand in *result* in place of its own."""
    return [wrong.function for wrong in wrong_values(result._replace(values=result.values | values))]


def test_models_find_wrong_values(target: Target) -> None:
    """One value changed after the run, one function blamed."""
    result = target.run(Plan())
    counting = "runtime.getCPUCount" if result.release >= (1, 25) else "runtime.getproccount"

    assert changed(result) == []
    assert changed(result, ncpu=3, gomaxprocs=3, npidle=2, allp=(3, [])) == [counting]
    assert changed(result, physHugePageSize=4096) == ["runtime.getHugePageSize"]
    assert changed(result, physHugePageSize=0) == []  # not to know is allowed
    assert changed(result, physPageSize=8192) == ["runtime.sysauxv"]
    assert changed(result, gomaxprocs=1, npidle=0, allp=(1, [(0, 0, 1)])) == ["runtime.schedinit"]
    assert changed(result, npidle=0) == ["runtime.procresize"]
    assert changed(result, allp=(2, [(0, 0, 1), (1, 0, 0)])) == ["runtime.procresize"]
    assert changed(result, allp=(2, [(0, 0, 0), (1, 1, 0)])) == ["runtime.procresize"]


@pytest.mark.parametrize(
    ("quota", "expected"), [(None, 8), (100_000, 2), (150_000, 2), (250_000, 3), (300_000, 3), (9_000_000, 8)]
)
@pytest.mark.parametrize("version", [1, 2])
def test_model_of_the_group_limit(
    binary: Callable[[str], Path], version: int, quota: int | None, expected: int
) -> None:
    """The average throughput, rounded up, at least 2, and never more than the CPUs (cgroup_linux.go, Go 1.25)."""
    world = World(cpus=CpuSet.first(8), cgroup=Cgroup(version=version, cpu_quota=quota))
    result = Target(image_of(binary("hello-1.27.3")), world).run(Plan())

    assert result.values["containermaxprocs"] == 1
    assert result.values["gomaxprocs"] == expected
    assert verdict(result).kind == OK
    assert changed(result, gomaxprocs=5, npidle=4, allp=(5, [])) == ["runtime.schedinit"]


def test_errors_of_the_grammar_exist() -> None:
    """Each errno of each row is one that the kernel knows."""
    assert {errno for row in ROWS for errno in row.errnos} <= set(NUMBERS)


def test_begin_must_be_reached(image: Image) -> None:
    """A World in which the program ends before is refused at once."""
    with pytest.raises(ValueError, match=r"does not get to runtime.osinit: more than 50 instructions"):
        Target(image, World(limits=Limits(instructions=50)))


@pytest.mark.parametrize("nth", [1, 4])
def test_a_world_is_judged_as_its_plan(binary: Callable[[str], Path], nth: int) -> None:
    """A read that was cut short, by the rule of a plan or of a World: the same verdict, a wrong value both times."""
    image = image_of(binary("hello-1.27.3"))
    target = Target(image, World())
    plan = Plan((call("read", nth, plans.ARGUMENT, b"\x02\x02"),))
    found = verdict(target.run(plan))

    assert (found.kind, found.function) == (
        "wrong-value", "runtime.getHugePageSize" if nth == 1 else "internal/runtime/cgroup.FindCPU",
    )  # fmt: skip
    assert verdict(Target(image, target.world_of(plan)).run(Plan())).key == found.key


def test_no_kernel_reads_more_than_it_was_asked_for(target: Target) -> None:
    """A count beyond the program's own is of the hostile tier where there is as much to read, else it is harmless."""
    larger = call("read", 1, plans.ARGUMENT, b"\x02\x40")
    long = Answer(FILE_ROWS[THP], 0, plans.CONTENTS, b"9" * 40)

    assert tier_of(target.run(Plan((larger,)))) == CONTRACT
    assert tier_of(Target(target.image, World(), tier=HOSTILE).run(Plan((larger, long)))) == HOSTILE
