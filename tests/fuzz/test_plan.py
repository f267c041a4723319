"""Plans: every byte string is one, bytes and Worlds say the same as rules, and mutation keeps to the tier."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emu.fuzz import plan as plans
from emu.fuzz import shapes
from emu.fuzz.grammar import CALL_ROWS, CONTRACT, FILE_ROWS, HOSTILE, ROWS, THP
from emu.fuzz.mutation import mutate
from emu.fuzz.plan import Answer, Plan, decode
from emu.fuzz.sites import NEVER, Sites
from syscalls.abi import MAP_FIXED, MAP_PRIVATE
from syscalls.errno import EINTR, ENOMEM
from syscalls.events import SyscallEvent
from syscalls.numbers import NUMBERS
from syscalls.responses import Responses
from syscalls.world import File, Response, World
from syscalls.worldfile import apply, from_toml, to_toml

READ, OPENAT, MMAP, GETAFFINITY = (CALL_ROWS[name] for name in ("read", "openat", "mmap", "sched_getaffinity"))


def event(name: str, *args: int, path: bytes = b"") -> SyscallEvent:
    """A call that succeeded."""
    return SyscallEvent(NUMBERS[name], name, args, 0, None, False, 1, 0, {1: path} if path else {})


@given(st.binary(max_size=200))
def test_every_byte_string_is_a_plan(data: bytes) -> None:
    """Decoding never fails, and what it gives has bytes that mean the same."""
    plan = decode(data)

    assert decode(plan.encode()) == plan


@given(st.binary(max_size=120))
def test_a_plan_and_its_world_say_the_same(data: bytes) -> None:
    """Rules made at once equal those that the World's file leads to, which reads back equal."""
    plan = decode(data)
    world = plan.to_world(World())

    assert from_toml(to_toml(world)) == world
    direct, read = plan.rules({}), Responses(plan.responses({}), NUMBERS)
    fields = ("when", "path", "errno", "result", "data", "arguments")
    assert [[getattr(rule, name) for name in fields] for _, rule in direct] == [
        [getattr(rule, name) for name in fields] for rule in read.rules
    ]


def test_an_answer_is_a_rule() -> None:
    """Each kind, spelled out."""
    plan = Plan((
        Answer(READ, 2, plans.ERRNO, plans.signed(EINTR)),
        Answer(OPENAT, plans.EVERY, plans.ERRNO, plans.signed(ENOMEM)),
        Answer(GETAFFINITY, 1, plans.DATA, b"\x07" + bytes(7)),
        Answer(READ, 1, plans.ARGUMENT, b"\x02\x01"),
        Answer(READ, 3, plans.BOTH, plans.signed(-1) + b"abc"),
        Answer(CALL_ROWS["rt_sigprocmask"], 1, plans.DATA, bytes(8)),
        Answer(FILE_ROWS[THP], 0, plans.CONTENTS, b"1048576\n"),
    ))  # fmt: skip

    world = plan.to_world(World(files=(File(THP, b"x"), File("/x"))), [event("read"), event("read")])

    assert world.responses == (
        Response("read", "4", errno="EINTR"),
        Response("openat", "1+", errno="ENOMEM"),
        Response("sched_getaffinity", "1", data=b"\x07" + bytes(7)),
        Response("read", "3", arguments=((2, 1),)),
        Response("read", "5", result=-1, data=b"abc"),
        Response("rt_sigprocmask", "1", result=0, data=bytes(8)),  # it returns 0, not how much it stored
    )
    assert world.files == (File("/x"), File(THP, b"1048576\n"))


def test_rules_count_from_where_they_are_put_in() -> None:
    """*before* shifts which call is meant; *made* is what the rule has seen when it begins."""
    ((nr, rule),) = Plan((Answer(READ, 3, plans.ERRNO, b"\x04"),)).rules({"read": 2}, {"read": 4})

    assert (nr, rule.when.first, rule.count) == (NUMBERS["read"], 5, 4)


@pytest.mark.parametrize(
    ("answer", "tier"),
    [
        (Answer(READ, 1, plans.ERRNO, b"\x04"), CONTRACT),
        (Answer(READ, plans.EVERY, plans.ERRNO, b"\x04"), HOSTILE),  # EINTR for ever
        (Answer(READ, plans.EVERY, plans.ERRNO, b"\x05"), CONTRACT),
        (Answer(READ, 1, plans.ERRNO, b"\x26"), HOSTILE),  # ENOSYS
        (Answer(READ, 1, plans.ARGUMENT, b"\x02\x01"), CONTRACT),
        (Answer(READ, 1, plans.ARGUMENT, b"\x02"), HOSTILE),  # nothing read: the end of the file
        (Answer(READ, 1, plans.RESULT, b"\x05"), HOSTILE),  # nothing stored
        (Answer(GETAFFINITY, 1, plans.DATA, b"\x01" + bytes(7)), CONTRACT),
        (Answer(GETAFFINITY, 1, plans.DATA, b"\x01" + bytes(6)), HOSTILE),  # no whole word
        (Answer(GETAFFINITY, 1, plans.DATA, bytes(8)), HOSTILE),  # no CPU
        (Answer(MMAP, 1, plans.ARGUMENT, b""), CONTRACT),  # the hint is ignored
        (Answer(MMAP, 1, plans.RESULT, b"\0\0\x10"), HOSTILE),  # nothing mapped
        (Answer(FILE_ROWS[THP], 0, plans.CONTENTS, b"2097152\n"), CONTRACT),
        (Answer(FILE_ROWS[THP], 0, plans.CONTENTS, b"2097152"), HOSTILE),
        (Answer(FILE_ROWS[THP], 0, plans.CONTENTS, b"2097153\n"), HOSTILE),
    ],
)
def test_tier_of_an_answer(answer: Answer, tier: str) -> None:
    """What Linux may say, and what not."""
    assert Plan((answer,)).tier == tier


CALLS = [
    event("sched_getaffinity", 0, 8192, 0), event("openat", 0, 0, path=THP.encode()), event("read", 3, 0, 20),
    event("read", 3, 0, 20), event("mmap", 0xC000000000, 4096, 0, MAP_PRIVATE), event("mmap", 4096, 4096, 3, MAP_FIXED),
]  # fmt: skip


@pytest.mark.parametrize("seed", range(5))
def test_contract_mutations_stay_legal(seed: int) -> None:
    """However often a plan is changed, with or without knowledge of its run."""
    rng, plan = Random(seed), Plan()
    for turn in range(400):
        plan = mutate(plan, rng, CONTRACT, Sites(CALLS if turn % 2 else ()), (5, 77777), settings=turn % 3 == 0)
        plan = Plan(plan.answers[:10])

        assert plan.tier == CONTRACT
        assert decode(plan.encode()) == plan


def test_mutation_is_a_function_of_its_seed() -> None:
    """The same plans in every process."""
    made = []
    for _ in range(2):
        rng, plan = Random(7), Plan()
        for _ in range(200):
            plan = mutate(plan, rng, HOSTILE, Sites(CALLS), (300,), settings=True)
            plan = Plan(plan.answers[:8])
        made.append(plan)

    assert made[0] == made[1]


def test_mutation_aims_at_what_was_called() -> None:
    """Calls by their number, and files by the paths that were opened."""
    sites = {(site.row, site.nth): site.at for site in Sites(CALLS)}
    assert sites == {
        (GETAFFINITY, 1): 0, (OPENAT, 1): 1, (FILE_ROWS[THP], 0): 1, (READ, 1): 2, (READ, 2): 3,
        (MMAP, 1): 4, (MMAP, 2): 5,
    }  # fmt: skip
    rng = Random(3)
    aimed = [mutate(Plan(), rng, CONTRACT, Sites(CALLS)).answers[0] for _ in range(400)]
    within = [answer for answer in aimed if (answer.row, answer.nth) in sites or answer.nth == plans.EVERY]
    assert len(within) > 350
    assert {answer.row for answer in within} >= {GETAFFINITY, OPENAT, READ, MMAP, FILE_ROWS[THP]}


def test_a_hint_is_refused_where_there_is_one() -> None:
    """Not of a mapping that asked for no place, nor of one that has to be there: such an answer changes nothing."""
    rng = Random(4)
    made = [mutate(Plan(), rng, CONTRACT, Sites(CALLS)).answers[0] for _ in range(2000)]
    refused = [one for one in made if one.row == MMAP and one.kind == plans.ARGUMENT and not one.payload[1:]]

    assert refused
    assert {one.nth for one in refused} == {1}


def test_changes_of_a_late_turn_leave_the_first_calls_alone() -> None:
    """Whatever is drawn: answers to calls before it, and to files that were opened before, stay and none comes."""
    rng, sites = Random(5), Sites(CALLS)
    early = Plan((Answer(OPENAT, 1, plans.ERRNO, b"\x04"), Answer(FILE_ROWS[THP], 0, plans.CONTENTS, b"1048576\n")))
    begun = plan = Plan((*early.answers, Answer(READ, 2, plans.ERRNO, b"\x04")))
    for _ in range(500):
        plan = mutate(plan if len(plan.answers) < 8 else begun, rng, CONTRACT, sites.since(3), (5,), since=3)

        assert tuple(one for one in plan.answers if sites.first_call(one) < 3) == early.answers
    assert sites.first_call(Answer(MMAP, 9, plans.ERRNO, b"\x0c")) == NEVER
    assert sites.first_call(Answer(READ, plans.EVERY, plans.ERRNO, b"\x05")) == 2


def test_hints_reach_texts_and_numbers() -> None:
    """A number that the program compares with stands in a file soon."""
    rng, row = Random(1), FILE_ROWS["/sys/fs/cgroup/cpu.max"]
    opened = [event("openat", 0, 0, path=b"/sys/fs/cgroup//cpu.max")]
    texts = [
        answer.payload
        for _ in range(300)
        for answer in mutate(Plan(), rng, CONTRACT, Sites(opened), (424_242,)).answers
        if answer.row == row
    ]

    assert any(b"424242" in text for text in texts)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.call or row.file or row.setting)
def test_what_the_grammar_makes_is_legal(row: object) -> None:
    """Every shape calls its own products legal; every setting is one of the World's."""
    assert isinstance(row, type(ROWS[0]))
    for shape in (row.data, row.contents):
        if isinstance(shape, shapes.Shape):
            for seed in range(200):
                made = shape.make(Random(seed), (3, 4096, 77777))
                assert shape.legal(made), made
    for text in (*row.texts, *row.wild):
        apply(World(), f"{row.setting}={text}", literal=True)


@pytest.mark.parametrize(
    ("shape", "data"),
    [
        (shapes.MASK, bytes(1024) + b"\1" * 8),
        (shapes.HUGE_PAGE, b"0\n"),
        (shapes.HUGE_PAGE, b"02097152\n"),
        (shapes.CPU_MAX, b"max\n"),
        (shapes.CPU_MAX, b"-1 100000\n"),
        (shapes.CPU_MAX, b"100000 0\n"),
        (shapes.QUOTA, b"-2\n"),
        (shapes.PERIOD, b"0\n"),
        (shapes.CGROUP, b"0::relative\n"),
        (shapes.CGROUP, b"0::/"),
        (shapes.MOUNTINFO, b"20 1 0:22 / /sys rw\n"),
        (shapes.AUXV, b"\6" + bytes(7)),
        (shapes.UTSNAME, bytes(390)),
        (shapes.TIMESPEC, bytes(8) + b"\xff" * 8),
        (shapes.SIGSET, b"\xff" * 8),
        (shapes.SIGACTION, b"\2" + bytes(31)),
        (shapes.ALTSTACK, bytes(24)),
        (shapes.RLIMIT, b"\2" + bytes(7) + b"\1" + bytes(7)),
        (shapes.ENTROPY, b""),
    ],
)
def test_what_linux_would_not_say_is_not_legal(shape: shapes.Shape, data: bytes) -> None:
    """One thing wrong with each."""
    assert not shape.legal(data)
