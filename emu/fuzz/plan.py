"""Plans: what the kernel shall answer in one run, as a value, as bytes, and as rules of a World.

Every byte string is a plan, and every plan has bytes that are it again.  A plan knows nothing of a program: it says
"the 2nd read: EINTR", and means nothing where there is no 2nd read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

from emu.fuzz.grammar import CONTRACT, HOSTILE, ROWS, Row
from syscalls.errno import NAMES, NUMBERS
from syscalls.events import SyscallEvent
from syscalls.responses import Rule, When
from syscalls.world import File, Response, World, WorldError
from syscalls.worldfile import apply, check

# Kinds of answers.  The first five are of calls; the others are all that a file, or a setting, can have.
ERRNO, RESULT, DATA, BOTH, ARGUMENT, CONTENTS, SETTING = range(7)
OF_CALLS = (ERRNO, RESULT, DATA, BOTH, ARGUMENT)
EVERY = 0
"""As *nth*: this call and all that come after the fuzzed stretch began."""
LAST = 0xFF
"""The highest *nth*."""
MAX_PAYLOAD = 0xFFFF
ERRNOS = tuple(sorted(set(NUMBERS.values())))
FOREVER = ("EINTR", "EAGAIN")  # errors that no kernel gives for ever


class Answer(NamedTuple):
    """What the *nth* call (from 1, since the fuzzed stretch began) that *row* of the grammar describes is answered.

    *payload*, integers little-endian: the errno (2 bytes); the result (8); the data; the result and the data; the
    number of an argument (1) and its value (8); a file's contents; a setting's text.  What is missing is zero.
    """

    row: int
    nth: int
    kind: int
    payload: bytes


class Meaning(NamedTuple):
    """What an answer makes of its call."""

    errno: str | None = None
    result: int | None = None
    data: bytes | None = None
    arguments: tuple[tuple[int, int], ...] = ()


def _signed(payload: bytes) -> int:
    return int.from_bytes(payload[:8].ljust(8, b"\0"), "little", signed=True)


def signed(value: int) -> bytes:
    """*value* as the payload that means it, without zeros at its end; what does not fit loses its upper bits."""
    return (value & (1 << 64) - 1).to_bytes(8, "little").rstrip(b"\0")


def errno_of(payload: bytes) -> str:
    """The errno that *payload* means: every payload means one."""
    number = int.from_bytes(payload[:2], "little")
    return NAMES[number if number in NAMES and number else ERRNOS[number % len(ERRNOS)]]


@lru_cache(maxsize=1 << 10)
def meaning(answer: Answer) -> Meaning:
    """What *answer*, which is one to a call, means."""
    payload, zero = answer.payload, 0 if ROWS[answer.row].returns_zero else None
    if answer.kind == ERRNO:
        return Meaning(errno=errno_of(payload))
    if answer.kind == RESULT:
        return Meaning(result=_signed(payload))
    if answer.kind == DATA:
        return Meaning(result=zero, data=payload)
    if answer.kind == BOTH:
        return Meaning(result=_signed(payload), data=payload[8:])
    return Meaning(arguments=((payload[0] % 6 if payload else 0, _signed(payload[1:])),))


@lru_cache(maxsize=1 << 14)
def is_legal(answer: Answer) -> bool:
    """Say whether a Linux kernel may legally answer so."""
    row, payload = ROWS[answer.row], answer.payload
    if row.contents:
        return row.contents.legal(payload)
    if row.setting:
        return payload in [text.encode() for text in row.texts]
    errno, result, data, arguments = meaning(answer)
    if errno is not None:
        return errno in row.errnos and not (answer.nth == EVERY and errno in FOREVER)
    if arguments:
        ((number, value),) = arguments
        return any(number == n and low <= value <= high for n, low, high in row.arguments)
    if data is not None:
        return answer.kind == DATA and row.data is not None and row.data.legal(data)
    return result is not None and any(low <= result <= high for low, high in row.results)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is answered in one run; in order, the first answer to a call wins."""

    answers: tuple[Answer, ...] = ()

    @property
    def tier(self) -> str:
        """``contract`` if a Linux kernel may legally answer all this, else ``hostile``."""
        return CONTRACT if all(is_legal(answer) for answer in self.answers) else HOSTILE

    @property
    def from_entry(self) -> bool:
        """Whether it changes the World in a way that begins at the program's entry point."""
        return any(answer.kind == SETTING for answer in self.answers)

    def encode(self) -> bytes:
        """Return the bytes that :func:`decode` makes this plan of."""
        parts = []
        for row, nth, kind, payload in self.answers:
            parts.append(bytes((row, nth, kind)) + len(payload).to_bytes(2, "little") + payload)
        return b"".join(parts)

    def files(self) -> dict[str, bytes]:
        """The contents of the files that it answers for; the first answer wins."""
        found: dict[str, bytes] = {}
        for answer in self.answers:
            if answer.kind == CONTENTS:
                found.setdefault(ROWS[answer.row].file, answer.payload)
        return found

    def files_over(self, files: tuple[File, ...]) -> tuple[File, ...]:
        """Return *files* with those that it answers for in their places."""
        answered = self.files()
        if not answered:
            return files
        kept = (file for file in files if file.path not in answered)
        return (*kept, *(_file(path, content) for path, content in answered.items()))

    def rules(self, before: Mapping[str, int], made: Mapping[str, int] | None = None) -> list[tuple[int, Rule]]:
        """The answers to calls as compiled rules, each with its call's number.

        *before*: how many calls were made before the fuzzed stretch; *made*: before the rules begin to count.
        """
        made = before if made is None else made
        found = []
        for answer in self.answers:
            if answer.kind <= ARGUMENT:
                row = ROWS[answer.row]
                first = before.get(row.call, 0) + max(answer.nth, 1)
                when = When(first, None if answer.nth == EVERY else first)
                errno, result, data, arguments = meaning(answer)
                rule = Rule(when, None, NUMBERS[errno] if errno else 0, result, data, arguments)
                rule.count = made.get(row.call, 0)
                found.append((row.nr, rule))
        return found

    def responses(self, before: Mapping[str, int]) -> tuple[Response, ...]:
        """The answers to calls as rules of a World, for a run from the entry point."""
        found = []
        for answer in self.answers:
            if answer.kind <= ARGUMENT:
                call = ROWS[answer.row].call
                first = before.get(call, 0) + max(answer.nth, 1)
                when = f"{first}+" if answer.nth == EVERY else str(first)
                errno, result, data, arguments = meaning(answer)
                found.append(Response(call, when, None, errno, result, data, arguments))
        return tuple(found)

    def to_world(self, world: World, calls_before: Sequence[SyscallEvent] = ()) -> World:
        """Return *world* with what this plan changes; *calls_before* were made before it begins.

        A setting that cannot be is left out.
        """
        for answer in self.answers:
            if answer.kind == SETTING:
                world = _with_setting(world, ROWS[answer.row], answer.payload)
        return replace(
            world,
            files=self.files_over(world.files),
            responses=(*self.responses(Counter(event.name for event in calls_before)), *world.responses),
        )


@lru_cache(maxsize=256)
def _file(path: str, content: bytes) -> File:
    return File(path, content)


def _with_setting(world: World, row: Row, text: bytes) -> World:
    try:
        changed = apply(world, f"{row.setting}={text.decode('utf-8', 'replace')}", literal=True)
        check(changed)
    except WorldError:
        return world
    return changed


def canonical(row: int, nth: int, kind: int, payload: bytes) -> Answer:
    """The answer that these numbers mean: any do."""
    row %= len(ROWS)
    if ROWS[row].contents:
        return Answer(row, 0, CONTENTS, payload)
    if ROWS[row].setting:
        return Answer(row, 0, SETTING, payload)
    return Answer(row, nth & 0xFF, kind % len(OF_CALLS), payload)


def decode(data: bytes) -> Plan:
    """Return the plan that *data* means: every byte string is one.

    An answer is its row, nth and kind (a byte each), the size of its payload (2, little-endian) and that; what is cut
    off is zero or empty.
    """
    answers = []
    at = 0
    while at < len(data):
        row, nth, kind, low, high = data[at : at + 5].ljust(5, b"\0")
        size = low | high << 8
        answers.append(canonical(row, nth, kind, data[at + 5 : at + 5 + size]))
        at += 5 + size
    return Plan(tuple(answers))
