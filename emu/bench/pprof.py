"""A profile of start-up as ``go tool pprof`` reads it: gzip'd protocol buffer, profile.proto of google/pprof.

Stacks are as deep as is known: the bootstrap functions that run, each with the function that called it, and on top the
function of the program that executed.  Every instruction, block, system call and first store to a page is in it, once.

The encoding is written out here: the message needs two of protobuf's wire types and nine small structures, and a
library with generated code would be the only thing that the command has to install.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable

from emu.bench.meter import Meter, Path, Spent
from emu.boot.names import CodeNames, Span
from emu.image.image import Image
from emu.machine.machine import Machine
from syscalls.world import World

SAMPLE_TYPES = ("instructions", "blocks", "syscalls", "pages")
VARINT, BYTES = 0, 2  # wire types (protobuf.dev/programming-guides/encoding)
Values = list[int]


def varint(value: int) -> bytes:
    """*value*, not negative, in groups of seven bits, lowest first."""
    groups = bytearray()
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    groups.append(value)
    return bytes(groups)


def number(field: int, value: int) -> bytes:
    """A number; a zero is left out, as proto3 has it."""
    return varint(field << 3 | VARINT) + varint(value) if value else b""


def block(field: int, content: bytes) -> bytes:
    """A string, a message or packed numbers."""
    return varint(field << 3 | BYTES) + varint(len(content)) + content


def packed(field: int, values: Iterable[int]) -> bytes:
    """A repeated number."""
    return block(field, b"".join(map(varint, values)))


class Profile:
    """Puts a profile together.  Tables are numbered from 1 in order of first use, texts from 0."""

    def __init__(self, image: Image, names: CodeNames, bias: int) -> None:
        self._image, self._names, self._bias = image, names, bias
        self._texts = {"": 0}
        self._functions: dict[tuple[str, str, int], int] = {}
        self._locations: dict[int, int] = {}
        self._samples: dict[tuple[int, ...], Values] = {}
        self._encoded: list[bytes] = []  # functions and locations

    def text(self, text: str) -> int:
        """The number of *text* in the string table."""
        return self._texts.setdefault(text, len(self._texts))

    def location(self, pc: int) -> int:
        """The number of the location of *pc*, an address of the running program."""
        known = self._locations.get(pc)
        if known is None:
            known = self._locations[pc] = len(self._locations) + 1
            function, line = self._place(pc)
            place = number(1, function) + number(2, line)
            mapped = number(2, 1) if self._in_program(pc) else b""
            self._encoded.append(block(4, number(1, known) + mapped + number(3, pc) + block(4, place)))
        return known

    def _in_program(self, pc: int) -> bool:
        return any(one.addr <= pc - self._bias < one.addr + one.size for one in self._image.segments)

    def _place(self, pc: int) -> tuple[int, int]:
        # The function that *pc* is in, and its line.  Which function inlined code is from is not known: from another
        # file it gets the line where the function begins, from the same one its own.
        span = self._names.span(pc)
        name = self._names.at(pc)
        found = self._image.function_at(pc - self._bias)
        file, start = (found.file, found.line) if found is not None and span is not None else ("", 0)
        number_of = self._function(name, file, start)
        inner, line = self._image.line_of(pc - self._bias)
        return number_of, line if inner == file and line >= start else start

    def _function(self, name: str, file: str, line: int) -> int:
        key = (name, file, line)
        known = self._functions.get(key)
        if known is None:
            known = self._functions[key] = len(self._functions) + 1
            texts = number(2, self.text(name)) + number(3, self.text(name)) + number(4, self.text(file))
            self._encoded.append(block(5, number(1, known) + texts + number(5, line)))
        return known

    def add(self, path: Path, spent: Spent) -> None:
        """Add what was spent while *path* was innermost."""
        around, innermost = self._stack(path)
        for (pc, instructions), executions in spent.blocks.items():
            self._count(self._on_top(around, innermost, pc), (instructions * executions, executions, 0, 0))
        for (pc, _), count in spent.syscalls.items():
            self._count(self._on_top(around, innermost, pc), (0, 0, count, 0))
        if spent.pages:
            here = (self.location(innermost.entry), *around) if innermost else around
            self._count(here, (0, 0, 0, spent.pages))

    def _stack(self, path: Path) -> tuple[tuple[int, ...], Span | None]:
        # The locations around the innermost function, from the inside, and that function.
        around: list[int] = []
        outer: Span | None = None
        for step in path:
            caller = self._names.span(step.returns_to - 1) if step.returns_to is not None else None
            if outer is not None and (caller is None or caller.name != outer.name):
                around.append(self.location(outer.entry))
            if caller is not None and step.returns_to is not None:
                around.append(self.location(step.returns_to - 1))
            outer = self._names.span(step.entry)
        return tuple(reversed(around)), outer

    def _on_top(self, around: tuple[int, ...], innermost: Span | None, pc: int) -> tuple[int, ...]:
        if innermost is None or self._names.at(pc) == innermost.name:
            return (self.location(pc), *around)
        return (self.location(pc), self.location(innermost.entry), *around)

    def _count(self, stack: tuple[int, ...], values: tuple[int, ...]) -> None:
        # Stacks that differ by addresses within the same lines stay apart: pprof adds them up as it is asked to.
        counted = self._samples.setdefault(stack, [0] * len(SAMPLE_TYPES))
        for index, value in enumerate(values):
            counted[index] += value

    def encode(self) -> bytes:
        """The whole message, compressed; the same bytes each time, as far as the host compresses alike."""
        count = self.text("count")
        types = [block(1, number(1, self.text(name)) + number(2, count)) for name in SAMPLE_TYPES]
        samples = [block(2, packed(1, stack) + packed(2, values)) for stack, values in self._samples.items()]
        low = min(one.addr for one in self._image.segments) + self._bias
        high = max(one.addr + one.size for one in self._image.segments) + self._bias
        build = self._image.build.gnu_build_id or self._image.build.go_build_id
        named = number(5, self.text(self._image.name)) + number(6, self.text(build))
        # Functions, files and lines are all here: pprof need not look for the program.
        mapping = number(1, 1) + number(2, low) + number(3, high) + named + b"".join(number(i, 1) for i in (7, 8, 9))
        default = number(14, self.text(SAMPLE_TYPES[0]))
        texts = [block(6, text.encode("utf-8", "replace")) for text in self._texts]
        message = b"".join((*types, *samples, block(3, mapping), *self._encoded, *texts, default))
        return gzip.compress(message, mtime=0)


def encode(image: Image, world: World, machine: Machine, meter: Meter) -> bytes:
    """The profile of a finished boot, compressed."""
    profile = Profile(image, CodeNames(image, machine.loaded.bias, world), machine.loaded.bias)
    for path, spent in meter.spent.items():
        profile.add(path, spent)
    return profile.encode()
