"""The end of the report: how the boot ended, and the key values with the function and the answers behind each."""

from __future__ import annotations

from collections.abc import Iterator

from emu.boot import values
from emu.boot.record import BootRecord
from emu.boot.values import Absent, Captured, Value
from emu.report import setting, words
from emu.report.origins import Origins, chain, moment
from emu.report.paper import Paper, Spans
from emu.report.views import described

ENTRY = ("_rt0_amd64_linux", "_rt0_amd64", "main", "runtime.rt0_go")
KINDS = {"exec": "static", "pie": "static and position-independent", "dynamic": "dynamically linked"}
# Views of what later functions change: their state is that at the end, whoever made them.
BEHIND_POINTERS = (
    "runtime.allgs", "runtime.allp", "runtime.mheap_.arenaHints", "runtime.mheap_.userArena.arenaHints",
    "runtime.stackpool",
)  # fmt: skip
MAX_OUTPUT = 40  # lines of the guest's output


def program(record: BootRecord) -> str:
    """The program in a line."""
    binary = record.binary
    tables = "stripped" if binary["stripped"] else "with symbols"
    changed = any(call.writes for call in record.functions)
    types = "with types" if binary["dwarf"] else "types recovered" if changed else "without types"
    return f"{binary['name']}: {binary['go'] or 'Go of an unknown release'}, {KINDS[binary['kind']]}, {tables}, {types}"


def outcome(record: BootRecord) -> str:
    """How the boot ended, in a line."""
    end, totals = record.outcome, record.totals
    did = f"{words.count(totals['instructions'], 'instruction')}, {words.count(totals['syscalls'], 'system call')}"
    running = [call.name for call in record.functions if not call.returned]
    # Whoever gives up does so in runtime.exit, called from the bootstrap function that matters.
    by_itself = end["kind"] in ("throw", "exit") or (end["kind"] == "unsupported" and end["exit_status"] is not None)
    function = running[-1] if running and by_itself else end["function"]
    where = f" in {function}" if function else ""
    match end["kind"]:
        case "reached":
            return f"reached {end['at']} after {did}"
        case "throw":
            return f"gave up{where}: {end['message']} (exit status {end['exit_status']}; {did})"
        case "exit":
            return f"ended{where} by itself with exit status {end['exit_status']} ({did})"
        case "signal":
            return f"killed{where} at {end['pc']} by {end['message']} ({did})"
        case "limit":
            return f"stopped{where} at {end['pc']} by a limit: {end['message']} ({did})"
    return f"stopped{where}: {end['message']} ({did})"


class Summary:
    """Renders the summary of one record."""

    def __init__(self, record: BootRecord, paper: Paper, show_all: bool = False) -> None:
        self.record, self.paper, self.show_all = record, paper, show_all
        self.origins = Origins(record)
        self._writes = {write.name: write for call in record.functions for write in call.writes}

    def head(self) -> Iterator[str]:
        """The first lines: program, World and outcome."""
        changed = setting.changes(self.record.world)
        yield from self._field("program", [("name", program(self.record))])
        world: Spans = [("world", f"{text}, ") for text in changed[:-1]] + [("world", text) for text in changed[-1:]]
        if not world:
            world = [("", f"the defaults: {setting.DEFAULTS}")]
        yield from self._field("World", [*world, ("faint", "  (--set KEY=VALUE or --world FILE change it)")])
        style = "value" if self.record.outcome["kind"] == "reached" else "bad"
        yield from self._field("outcome", [(style, outcome(self.record))])
        for note in self.record.notes:
            yield from self._field("note", [("", note)])

    def _field(self, name: str, spans: Spans) -> Iterator[str]:
        yield from self.paper.lay(spans, f"{name:<9}", " " * 9)

    def tail(self) -> Iterator[str]:
        """The last lines: key values, what is missing, what the guest printed, the outcome once more."""
        yield from self._values()
        if self.record.output:
            yield ""
            yield self.paper.styled("head", "What the program printed")
            lines = self.record.output.splitlines()
            for line in lines[:MAX_OUTPUT]:
                yield from self.paper.lay([("", line.expandtabs(4))], "  ", "  ")
            if len(lines) > MAX_OUTPUT:
                yield f"  ... and {len(lines) - MAX_OUTPUT} more lines"
        if self.record.unknown_syscalls:
            numbers = ", ".join(map(str, self.record.unknown_syscalls))
            yield from self._field("unknown", [("", f"system calls that are not known here (ENOSYS): {numbers}")])
        yield ""
        style = "value" if self.record.outcome["kind"] == "reached" else "bad"
        yield from self._field("outcome", [(style, outcome(self.record))])

    def _values(self) -> Iterator[str]:
        missing: dict[str, list[str]] = {}
        known: list[tuple[Value, Captured]] = []
        for value in values.VALUES:
            if not value.key and not self.show_all:
                continue
            found = values.read(self.record, value)
            if isinstance(found, Absent):
                missing.setdefault(found.reason, []).append(values.spelled(value, self.record.globals))
            else:
                known.append((value, found))
        if known:
            yield from self._heading()
        for value, captured in sorted(known, key=lambda pair: moment(self.record, pair[0])):
            yield from self._value(value, captured)
        for reason, names in missing.items():
            yield from self.paper.lay([("faint", f"{reason}: {', '.join(names)}")], "  ", "    ")

    def _heading(self) -> Iterator[str]:
        yield ""
        yield self.paper.styled("head", "Key values")
        about = (
            "In the order in which they were computed: value, the functions that computed it, what it means, "
            "<- what from, World: the key that changes that."
        )
        yield from self.paper.lay([("faint", about)])
        yield ""

    def _value(self, value: Value, found: Captured) -> Iterator[str]:
        makers = [call.name.removeprefix("runtime.") for call in chain(self.record, value) if call.name not in ENTRY]
        by = " > ".join(makers) or "rt0_go"
        name = values.spelled(value, self.record.globals)
        spans: Spans = [("name", name), ("value", f" = {self._shown(value, found)}")]
        write = self._writes.get(found.source)
        if write is not None and write.source != "dwarf":
            spans.append(("faint", f"  ({write.source})"))
        # The functions stand at the right, or, where the value needs that space, on a line of their own.
        beside = len(name) + len(spans[1][1]) + len(by) + 4 <= self.paper.width
        yield from self.paper.lay(spans, "  ", "      ", by if beside else "")
        if not beside:
            yield from self.paper.lay([("faint", f"in {by}")], " " * 6, " " * 6)
        yield from self.paper.lay([("faint", value.doc)], " " * 6, " " * 6)
        for text, world, decided in self.origins.of(value):
            line: Spans = [("call", f"<- {text}")]
            if decided:
                line.append(("value", "  decided"))
            if world:
                line.append(("world", f"  World: {world}"))
            yield from self.paper.lay(line, " " * 6, " " * 9)

    def _shown(self, value: Value, found: Captured) -> str:
        if value.view in self.record.views:
            shown = described(value.view, found.value)
            return f"{shown} (at the end)" if value.view in BEHIND_POINTERS else shown
        write = self._writes.get(found.source)
        kind = write.type if write else ""
        shown = words.value(found.value, kind, value.unit)
        left = words.value(self.origins.left(value, found), kind, value.unit)
        return shown if shown == left else f"{left}; {shown} at the end"
