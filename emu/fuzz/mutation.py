"""How one plan becomes another: aimed at the calls that its run made, within the tier, by what the program compares.

Engine-neutral: a function of a plan, a random generator and what is known of the run.
"""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from emu.fuzz import plan as plans
from emu.fuzz.grammar import CALL_ROWS, CONTRACT, FILE_ROWS, ROWS, SETTING_ROWS, Row
from emu.fuzz.plan import Answer, Plan, canonical, is_legal
from emu.fuzz.shapes import Hints, number
from emu.fuzz.sites import NOWHERE, Sites
from syscalls.abi import MAP_FIXED
from syscalls.errno import NUMBERS
from syscalls.events import SyscallEvent

TRIES = 8
FAR = 4  # how many calls beyond those that were made an answer may aim at
EVERY_SHARE = 0.1  # of the answers go to all calls of a kind
LATER = 1 << 62


def mutate(
    plan: Plan,
    rng: Random,
    tier: str,
    sites: Sites = NOWHERE,
    hints: Hints = (),
    *,
    settings: bool = False,
    since: int = 0,
) -> Plan:
    """Return a changed *plan* of *tier*.

    *sites* are those of its run, *hints* what the program compares with; with *settings* the rest of the World may
    change too.  What is answered before the call with the number *since* stays as it is: *sites* have none of those.
    """
    aim = _Aim(tier, sites, hints, settings and not since, since)
    answers = list(plan.answers)
    choice = rng.random()
    free = [index for index, answer in enumerate(answers) if not since or sites.first_call(answer) >= since]
    if not free or choice < 0.45:
        answers.insert(rng.randint(0, len(answers)), _new(rng, aim))
    elif choice < 0.75:
        index = rng.choice(free)
        answers[index] = _changed(answers[index], rng, tier, hints)
    elif choice < 0.87:
        index = rng.choice(free)
        moved = _retargeted(answers[index], rng)
        answers[index] = moved if sites.first_call(moved) >= since else answers[index]
    elif choice < 0.95 or len(free) < len(answers):
        del answers[rng.choice(free)]
    else:
        rng.shuffle(answers)
    return Plan(tuple(answers))


class _Aim(NamedTuple):
    """What an answer shall fit: see :func:`mutate`."""

    tier: str
    sites: Sites
    hints: Hints
    settings: bool
    since: int


def _new(rng: Random, aim: _Aim) -> Answer:
    tier, sites, hints, settings, since = aim
    for _ in range(TRIES):
        row = _row(rng, sites, settings)
        legal = _legal(ROWS[row], rng, hints)
        if tier != CONTRACT and (legal is None or rng.random() < 0.5):
            kind, payload = _wild(ROWS[row], rng, hints, b"" if legal is None else legal[1])
        elif legal is None:
            continue
        else:
            kind, payload = legal
        answer = _aimed(canonical(row, 1, kind, payload), rng, tier, sites)
        if answer is not None and (tier != CONTRACT or is_legal(answer)) and sites.first_call(answer) >= since:
            return answer
    return Answer(CALL_ROWS["openat"], plans.LAST, plans.ERRNO, plans.signed(NUMBERS["ENOENT"]))


def _row(rng: Random, sites: Sites, settings: bool) -> int:
    # Kinds of calls, not calls: there are more mappings than anything else.
    if settings and rng.random() < 0.2:
        return rng.choice(SETTING_ROWS)
    if sites.rows and rng.random() < 0.95:
        return rng.choice(sites.rows)
    return rng.choice([*CALL_ROWS.values(), *FILE_ROWS.values()])


def _aimed(answer: Answer, rng: Random, tier: str, sites: Sites) -> Answer | None:
    # *answer*, which is one to a first call, given to a call of the run that it makes a difference to.
    found = sites.of_row.get(answer.row)
    if answer.kind > plans.ARGUMENT:
        return answer
    if not found:
        return answer._replace(nth=rng.randint(1, FAR))
    if answer.kind == plans.ARGUMENT:
        ((index, value),) = plans.meaning(answer).arguments
        found = [site for site in found if _differs(sites.calls[site.at], index, value)]
        if not found:
            return None
        if tier == CONTRACT and ROWS[answer.row].call == "mmap":  # not to all: some have to be where they are asked for
            return answer._replace(nth=rng.choice(found).nth)
    return answer._replace(nth=plans.EVERY if rng.random() < EVERY_SHARE else rng.choice(found).nth)


def _differs(event: SyscallEvent, index: int, value: int) -> bool:
    # Whether another argument is another call; a mapping that has to be where it is asked for is never put elsewhere.
    if event.name == "mmap" and event.args[3] & MAP_FIXED:
        return False
    return index < len(event.args) and event.args[index] != value & (1 << 64) - 1


def _legal(row: Row, rng: Random, hints: Hints) -> tuple[int, bytes] | None:
    # Kind and payload of something that a kernel may answer; None where the row has nothing.
    if row.contents:
        return plans.CONTENTS, row.contents.make(rng, hints)
    if row.setting:
        return (plans.SETTING, rng.choice(row.texts).encode()) if row.texts else None
    kinds = [plans.ERRNO] * bool(row.errnos) + [plans.RESULT] * bool(row.results)
    kinds += [plans.DATA] * 2 * bool(row.data) + [plans.ARGUMENT] * bool(row.arguments)
    if not kinds:
        return None
    kind = rng.choice(kinds)
    if kind == plans.ERRNO:
        return kind, plans.signed(NUMBERS[rng.choice(row.errnos)])
    if kind == plans.RESULT:
        return kind, plans.signed(number(rng, *rng.choice(row.results), hints))
    if kind == plans.DATA and row.data:
        return kind, row.data.make(rng, hints)
    index, low, high = rng.choice(row.arguments)
    value = number(rng, low, min(high, 64), hints) if low < 64 and rng.random() < 0.7 else number(rng, low, high, hints)
    return kind, bytes((index,)) + plans.signed(value)


def _wild(row: Row, rng: Random, hints: Hints, near: bytes) -> tuple[int, bytes]:
    # Anything; often close to *near*, which is legal.
    if row.setting:
        texts = (*row.wild, *row.texts)
        return plans.SETTING, rng.choice(texts).encode() if rng.random() < 0.9 else _bytes(rng, hints, near)
    if row.contents:
        return plans.CONTENTS, _bytes(rng, hints, near)
    kind = rng.choice(plans.OF_CALLS)
    if kind == plans.ERRNO:
        return kind, plans.signed(rng.choice(plans.ERRNOS))
    if kind == plans.RESULT:
        return kind, plans.signed(_any_number(rng, hints))
    if kind == plans.ARGUMENT:
        return kind, bytes((rng.randrange(6),)) + plans.signed(_any_number(rng, hints))
    data = _bytes(rng, hints, near)
    result = len(data) if rng.random() < 0.5 else _any_number(rng, hints)
    return kind, (data if kind == plans.DATA else plans.signed(result).ljust(8, b"\0") + data)


def _any_number(rng: Random, hints: Hints) -> int:
    if rng.random() < 0.2:
        return -rng.choice((1, 4, 11, 12, 22, 38, 4095, 4096, LATER))
    return number(rng, 0, rng.choice((64, 8192, 1 << 20, 1 << 47, (1 << 64) - 1)), hints)


def _bytes(rng: Random, hints: Hints, near: bytes) -> bytes:
    # *near* with a few edits, or bytes from nowhere.
    if not near or rng.random() < 0.1:
        near = rng.randbytes(rng.choice((0, 1, 7, 8, 9, 64, 1024, 8192))) if rng.random() < 0.7 else b"9" * 25
    data = bytearray(near)
    for _ in range(rng.randint(1, 3)):
        _edit(data, rng, hints)
    return bytes(data[: plans.MAX_PAYLOAD])


def _edit(data: bytearray, rng: Random, hints: Hints) -> None:
    at = rng.randint(0, len(data))
    choice = rng.randrange(7)
    if choice == 0:
        del data[at:]
    elif choice == 1:
        del data[at : at + rng.randint(1, 8)]
    elif choice == 2:
        data[at:at] = data[at : at + rng.randint(1, 64)] * rng.choice((1, 1, 16))
    elif choice == 3:
        data[at : at + 1] = bytes((rng.randrange(256),))
    elif choice == 4:
        data[at:at] = rng.choice((b"0", b"9", b"-", b" ", b"\n", b"\0", b"/", b":", b"\xff", b"\\", b"\\040"))
    elif choice == 5:
        data[at : at + rng.choice((0, 8))] = b"%d" % _any_number(rng, hints)
    else:
        size = rng.choice((1, 2, 4, 8))
        data[at : at + size] = (_any_number(rng, hints) & (1 << 8 * size) - 1).to_bytes(size, "little")


def _changed(answer: Answer, rng: Random, tier: str, hints: Hints) -> Answer:
    # Another answer in its place, or one near it.
    row = ROWS[answer.row]
    for _ in range(TRIES):
        if rng.random() < 0.5:
            payload = bytearray(answer.payload)
            _edit(payload, rng, hints)
            changed = canonical(*answer[:3], bytes(payload[: plans.MAX_PAYLOAD]))
        else:
            legal = _legal(row, rng, hints)
            wild = tier != CONTRACT and (legal is None or rng.random() < 0.5)
            made = _wild(row, rng, hints, answer.payload) if wild else legal
            if made is None:
                continue
            changed = canonical(answer.row, answer.nth, *made)
        if tier != CONTRACT or is_legal(changed):
            return changed
    return answer


def _retargeted(answer: Answer, rng: Random) -> Answer:
    if answer.kind > plans.ARGUMENT:
        return answer
    nth = min(max(answer.nth + rng.choice((-2, -1, -1, 1, 1, 2, 5)), plans.EVERY), 0xFF)
    moved = answer._replace(nth=nth)
    return moved if is_legal(moved) or not is_legal(answer) else answer
