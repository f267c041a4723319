"""The tree of a boot: each function with what it is for, what it asked the kernel and what it left in memory.

What happened within a function stands in the order in which it happened, as far as the record knows: a change is
seen when the next bootstrap function is entered or left.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import groupby

from emu.boot import values
from emu.boot.catalogue import BY_NAME
from emu.boot.record import BootRecord, FunctionCall, Write
from emu.boot.values import Value
from emu.report import calls, words
from emu.report.origins import Origins
from emu.report.paper import Paper, Spans
from emu.report.source import Sources
from emu.report.views import described, described_write, some
from syscalls.auxv import NAMES as AUXV_NAMES
from syscalls.light import Any, dataclass, field

CALLED, ASKED, WROTE = 0, 1, 2
MEMORY_CALLS = frozenset(("mmap", "munmap", "mprotect", "madvise", "prctl"))
FEW_CALLS = 4  # calls for memory, or pieces of text, in a row that are shown one by one
FEW_ALIKE = 3  # calls of one function in a row, each of which changes something, that are shown one by one
STANDARD_ERROR = 2
SETTLED = ("modules", "sizeclasses")  # views of what the linker wrote: at the end they are what they always were
FEW_WRITES = 3  # values without a declaration that are shown though nobody asked
MAX_GROUPS = 5
MAX_VARYING = 16  # arguments of folded calls
AUXV_VIEW = 1 << 28  # the length that sysargs gives to a vector whose length it does not know (os_linux.go)
TAGS = {("runtime.vdsoauxv", "tag"), ("runtime.archauxv", "tag")}


@dataclass(slots=True)
class Node:
    """One call, with its events: (index of the newest call, CALLED, ASKED or WROTE, what)."""

    index: int
    call: FunctionCall
    events: list[tuple[int, int, Any]] = field(default_factory=list)


def build(record: BootRecord) -> tuple[list[Node], list[Node]]:
    """The record's calls as (all nodes, those without a parent), events in order."""
    nodes = [Node(i, call) for i, call in enumerate(record.functions)]
    roots = []
    for node in nodes:
        if node.call.parent is None:
            roots.append(node)
        else:
            nodes[node.call.parent].events.append((node.index, CALLED, node))
        for i in node.call.syscalls:
            after = record.syscalls[i].after_call
            node.events.append((node.index if after is None else after, ASKED, i))
        node.events += [(write.after_call, WROTE, write) for write in node.call.writes]
    for node in nodes:
        node.events.sort(key=lambda event: event[:2])
    return nodes, roots


class Tree:
    """Renders the tree of one record."""

    def __init__(
        self, record: BootRecord, paper: Paper, show_all: bool = False, sources: Sources | None = None
    ) -> None:
        self.record, self.paper, self.show_all, self.sources = record, paper, show_all, sources
        self.origins = Origins(record)
        self._stopped_in = self._innermost() if record.outcome["kind"] != "reached" else None
        self._views_at = self._places_of_views()
        self._told: set[str] = set()  # values whose meaning was told

    def _innermost(self) -> int | None:
        running = [i for i, call in enumerate(self.record.functions) if not call.returned]
        return running[-1] if running else None

    def _places_of_views(self) -> dict[str, list[Value]]:
        # Values that no variable holds are shown with the first function of theirs that ran, if none changes them.
        found: dict[str, list[Value]] = {}
        ran = {call.name for call in self.record.functions if call.returned}
        for value in values.VALUES:
            if value.view in SETTLED and value.view in self.record.views:
                name = next((name for name in value.after if name in ran), None)
                if name is not None:
                    found.setdefault(name, []).append(value)
        return found

    def lines(self) -> Iterator[str]:
        """Every line of the tree."""
        _, roots = build(self.record)
        for root in roots:
            yield from self._node(root, "", "")

    # One function

    def _node(self, node: Node, first: str, rest: str) -> Iterator[str]:
        yield from self.paper.lay(self._head(node.call), first, rest + self.paper.stem(False), self._place(node.call))
        parts = list(self._parts(node))
        children = [i for i, (kind, _) in enumerate(parts) if kind == CALLED]
        last = children[-1] if children else -1
        yield from self._about(node, rest + self.paper.stem(last >= 0))
        for i, (kind, what) in enumerate(parts):
            if kind == CALLED:
                yield from self._child(what, rest, i == last)
            else:
                yield from self._lay(what, rest + self.paper.stem(i < last))

    def _child(self, run: list[Node], rest: str, last: bool) -> Iterator[str]:
        below = rest + self.paper.stem(not last)
        if len(run) == 1:
            yield from self._node(run[0], rest + self.paper.branch(last), below)
            return
        total = sum(node.call.instructions for node in run)
        spans: Spans = [("name", run[0].call.name), ("", f"  {len(run)} more calls {self._did(run)}")]
        told = self._varying(run)
        if told:
            spans.append(("faint", f": {told}"))
        yield from self.paper.lay(spans, rest + self.paper.branch(last), below + self.paper.stem(False), f"{total:,}")

    def _is_plain(self, node: Node) -> bool:
        # Whether a call did nothing that a reader looks for: nothing but memory was asked for, no key value changed.
        for _, kind, what in node.events:
            if kind == CALLED or (kind == ASKED and self.record.syscalls[what].name not in MEMORY_CALLS):
                return False
            if kind == WROTE and values.of_leaf(what.name) is not None:
                return False
        return True

    def _did(self, run: list[Node]) -> str:
        # What the calls of a run did, in a few words.
        counts = Counter(kind for node in run for _, kind, _ in node.events)
        if not counts:
            return "that change nothing"
        did = [
            words.count(counts[kind], noun)
            for kind, noun in ((CALLED, "call"), (ASKED, "system call"), (WROTE, "change of a value"))
            if counts[kind]
        ]
        return f"like it: {', '.join(did).replace('change of a values', 'changes of values')}  (--all)"

    def _varying(self, run: list[Node]) -> str:
        name, arguments = run[0].call.name, run[0].call.arguments
        first = next(iter(arguments), None)
        if first is None:
            return ""
        return f"{first} = " + some([argument(name, first, node.call.arguments[first]) for node in run], MAX_VARYING)

    def _head(self, call: FunctionCall) -> Spans:
        shown = ", ".join(f"{name} = {argument(call.name, name, x)}" for name, x in call.arguments.items())
        spans: Spans = [("name", call.name), ("", f"({shown})")]
        if call.results and call.returned:
            spans.append(("value", " -> " + ", ".join(words.value(item) for item in call.results)))
        return spans

    def _place(self, call: FunctionCall) -> str:
        own = f" ({call.own:,} own)" if call.own != call.instructions else ""
        return f"{short_file(call.file)}:{call.line}  {call.instructions:,}{own}"

    def _about(self, node: Node, below: str) -> Iterator[str]:
        row = BY_NAME.get(node.call.name)
        if row is not None:
            yield from self.paper.lay([("faint", row.doc)], below, below)
        if self.sources is not None:
            for number, text in self.sources.around(node.call.file, node.call.line):
                yield from self.paper.lay([("faint", f"{number:>5}  "), ("", text)], below, below)
        if node.index == self._stopped_in:
            yield from self.paper.lay([("bad", f"stopped here: {self.record.outcome['message']}")], below, below)

    # What happened in it

    def _parts(self, node: Node) -> Iterator[tuple[int, Any]]:
        # (CALLED, run of nodes), or (ASKED or WROTE, spans of one line).
        hidden: list[Write] = []
        events = node.events
        at = 0
        while at < len(events):
            kind = events[at][1]
            end = at + 1
            while end < len(events) and events[end][1] == kind:
                end += 1
            whats = [event[2] for event in events[at:end]]
            at = end
            if kind == CALLED:
                yield from ((CALLED, run) for run in self._runs(whats))
            elif kind == ASKED:
                yield from ((ASKED, spans) for spans in self._asked(whats))
            else:
                yield from ((WROTE, spans) for spans in self._wrote(whats, hidden))
        if len(hidden) <= FEW_WRITES:
            yield from ((WROTE, self._write(write, None)) for write in hidden)
        else:
            yield WROTE, self._more(hidden)
        for value in self._views_at.get(node.call.name, ()):
            shown = described(value.view, self.record.views[value.view])
            yield WROTE, [("value", f"= {value.name}: {shown}"), *self._meaning(value)]

    def _runs(self, nodes: list[Node]) -> Iterator[list[Node]]:
        # Neighbours of one name that did nothing but run are shown as one; of many that did the same, the first.
        for (_, idle, plain), same in groupby(nodes, key=self._sort):
            run = list(same)
            if idle and not self.show_all:
                yield run
            elif plain and len(run) > FEW_ALIKE and not self.show_all:
                yield from ([run[0]], run[1:])
            else:
                yield from ([node] for node in run)

    def _sort(self, node: Node) -> tuple[str, bool, bool]:
        # What kind of call a node is: which function, whether it did nothing, whether it did nothing to look for.
        return node.call.name, not node.events, self._is_plain(node)

    def _asked(self, indices: list[int]) -> Iterator[Spans]:
        for fold, same in groupby(indices, key=self._fold):
            run = list(same)
            if fold is not None and len(run) > FEW_CALLS and not self.show_all:
                yield fold(run)
            else:
                yield from (self._call(i) for i in run)

    def _fold(self, index: int) -> Callable[[list[int]], Spans] | None:
        # How calls of this kind are shown when there are many in a row.
        call = self.record.syscalls[index]
        if call.name in MEMORY_CALLS:
            return self._memory
        return self._printed if call.name == "write" and call.arguments[0] == STANDARD_ERROR else None

    def _printed(self, run: list[int]) -> Spans:
        made = [self.record.syscalls[i] for i in run]
        size = sum(call.result for call in made if not call.errno)
        text = f"> {len(run)} calls of write to standard error: {size:,} bytes, shown at the end"
        return [("call", text), ("faint", "  (--all)")]

    def _call(self, index: int) -> Spans:
        spans: Spans = [("call", f"> {calls.text(self.record.syscalls[index])}")]
        key = self.origins.key_of_call(index)
        return [*spans, ("world", f"  World: {key}")] if key else spans

    def _memory(self, run: list[int]) -> Spans:
        made = [self.record.syscalls[i] for i in run]
        names = Counter(call.name for call in made)
        failed = [f"{call.name} {call.errno}" for call in made if call.errno]
        size = sum(call.arguments[1] for call in made if call.name == "mmap" and not call.errno)
        listed = ", ".join(f"{n} {name}" for name, n in names.items())
        text = f"> {len(run)} calls for memory: {listed}; {words.short_size(size)} of addresses"
        return [("call", text + (f"; failed: {', '.join(failed)}" if failed else "")), ("faint", "  (--all)")]

    def _wrote(self, writes: list[Write], hidden: list[Write]) -> Iterator[Spans]:
        groups: dict[str, list[Write]] = {}
        for write in writes:
            value = values.of_leaf(write.name)
            if value is None:
                if self.show_all:
                    yield self._write(write, None)
                else:
                    hidden.append(write)
            elif write.name in value.sources or self.show_all:
                yield self._write(write, value)
            else:
                groups.setdefault(value.name, []).append(write)
        for name, group in groups.items():
            yield self._group(values.BY_NAME[name], group)

    def _write(self, write: Write, value: Value | None) -> Spans:
        unit = value.unit if value else ""
        shown = described_write(value.view, write.after) if value else ""
        if not shown:
            before = words.value(write.before, write.type, unit and ("address" if unit == "address" else ""))
            shown = f"{before} -> {words.value(write.after, write.type, unit)}"
        spans: Spans = [("value", f"= {write.name}: {shown}")]
        return [*spans, *self._meaning(value)] if value else spans

    def _meaning(self, value: Value) -> Spans:
        # Told once: a value may be written many times.
        if value.name in self._told:
            return []
        self._told.add(value.name)
        return [("faint", f"  # {value.doc}")]

    def _group(self, value: Value, group: list[Write]) -> Spans:
        prefix = next(source[:-1] for source in value.sources if group[0].name.startswith(source[:-1]))
        parts = [
            f"{w.name[len(prefix) :].strip('[]')}={words.value(w.after, w.type)}" for w in group if w.after is not True
        ]
        parts += [w.name[len(prefix) :] for w in group if w.after is True]
        return [("value", f"= {prefix.rstrip('.')}: {', '.join(parts)}"), *self._meaning(value)]

    def _more(self, hidden: list[Write]) -> Spans:
        groups = Counter(variable(write.name) for write in hidden)
        listed = ", ".join(f"{name} {n}" for name, n in groups.most_common(MAX_GROUPS))
        rest = sum(n for _, n in groups.most_common()[MAX_GROUPS:])
        others = f", others {rest}" if rest else ""
        return [("faint", f"= and {len(hidden)} more values: {listed}{others}  (--all)")]

    def _lay(self, spans: Spans, below: str) -> Iterator[str]:
        yield from self.paper.lay(spans, below, below + self.paper.indent)


def argument(function: str, name: str, value: Any) -> str:
    """One argument of *function*."""
    if (function, name) == ("runtime.sysauxv", "auxv") and isinstance(value, dict) and value["len"] == AUXV_VIEW:
        return f"{value['data']}, seen as 1<<28 words; AT_NULL ends it"
    if (function, name) in TAGS and isinstance(value, int):
        return AUXV_NAMES.get(value, str(value))
    if isinstance(value, int) and (name.endswith("pc") or words.ADDRESS_FROM <= value != words.MAX_INT64):
        return hex(value)
    return words.value(value)


def variable(leaf: str) -> str:
    """The variable that a leaf is a part of, or its first field if that is one of a few large ones."""
    package, slash, rest = leaf.rpartition("/")
    names = rest.split("[")[0].split(".")
    return package + slash + ".".join(names[:2])


def short_file(path: str) -> str:
    """A source file as the release's source tree names it: what stands behind ``/src/``."""
    return path.rpartition("/src/")[2]
