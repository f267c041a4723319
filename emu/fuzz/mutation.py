"""How one plan becomes another: aimed at the calls that its run made, within the tier, by what the program compares.

Engine-neutral: a function of a plan, a random generator and what is known of the run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from random import Random

from emu.fuzz import plan as plans
from emu.fuzz.grammar import CALL_ROWS, CONTRACT, FILE_ROWS, ROWS, SETTING_ROWS, Row
from emu.fuzz.plan import Answer, Plan, canonical, is_legal
from emu.fuzz.shapes import Hints, number
from syscalls.errno import NUMBERS
from syscalls.events import SyscallEvent
from syscalls.kernel import COMPILED

TRIES = 8
FAR = 4  # how many calls beyond those that were made an answer may aim at
EVERY_SHARE = 0.1  # of the answers go to all calls of a kind
LATER = 1 << 62


def mutate(
    plan: Plan, rng: Random, tier: str, calls: Sequence[SyscallEvent] = (), hints: Hints = (), *, settings: bool = False
) -> Plan:
    """Return a changed *plan* of *tier*.

    *calls* are those that its run made, *hints* what the program compares with; with *settings* the rest of the World
    may change too.
    """
    answers = list(plan.answers)
    choice = rng.random()
    if not answers or choice < 0.45:
        answers.insert(rng.randint(0, len(answers)), _new(rng, tier, calls, hints, settings))
    elif choice < 0.75:
        index = rng.randrange(len(answers))
        answers[index] = _changed(answers[index], rng, tier, hints)
    elif choice < 0.87:
        index = rng.randrange(len(answers))
        answers[index] = _retargeted(answers[index], rng)
    elif choice < 0.95:
        del answers[rng.randrange(len(answers))]
    else:
        rng.shuffle(answers)
    return Plan(tuple(answers))


def sites(calls: Sequence[SyscallEvent]) -> list[tuple[int, int]]:
    """Return where answers can go, as (row, nth): the calls that were made and the files that were looked for."""
    found = []
    counts: Counter[str] = Counter()
    for event in calls:
        counts[event.name] += 1
        row = CALL_ROWS.get(event.name)
        if row is not None:
            found.append((row, min(counts[event.name], 0xFF)))
        if event.name in ("open", "openat"):
            path = event.detail.get(COMPILED[event.nr].path_index, b"").decode("utf-8", "replace").replace("//", "/")
            if path in FILE_ROWS:
                found += [(FILE_ROWS[path], 0)] * 4  # a file's contents are worth more than one call
    return found


def _site(rng: Random, calls: Sequence[SyscallEvent], settings: bool) -> tuple[int, int]:
    if settings and rng.random() < 0.2:
        return rng.choice(SETTING_ROWS), 0
    found = sites(calls)
    if found and rng.random() < 0.95:
        # Kinds of calls first: there are more mappings than anything else.
        row = rng.choice(sorted({row for row, _ in found}))
        row, nth = rng.choice([site for site in found if site[0] == row])
        return row, plans.EVERY if rng.random() < EVERY_SHARE else nth
    row = rng.choice([*CALL_ROWS.values(), *FILE_ROWS.values()])
    return row, rng.randint(1, FAR)


def _new(rng: Random, tier: str, calls: Sequence[SyscallEvent], hints: Hints, settings: bool) -> Answer:
    answer = canonical(0, 1, plans.ARGUMENT, b"")
    for _ in range(TRIES):
        row, nth = _site(rng, calls, settings)
        legal = _legal(ROWS[row], rng, hints)
        if tier != CONTRACT and (legal is None or rng.random() < 0.5):
            kind, payload = _wild(ROWS[row], rng, hints, b"" if legal is None else legal[1])
        elif legal is None:
            continue
        else:
            kind, payload = legal
        answer = canonical(row, nth, kind, payload)
        if tier != CONTRACT or is_legal(answer):
            return answer
    return Answer(CALL_ROWS["openat"], 1, plans.ERRNO, plans.signed(NUMBERS["ENOENT"]))


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
