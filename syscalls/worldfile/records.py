"""The kinds of keys that are arrays of tables: files, binds and responses."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from syscalls.errno import NUMBERS
from syscalls.light import Any, NamedTuple
from syscalls.numbers import NUMBERS as CALLS
from syscalls.responses import parse_when
from syscalls.world import File, Response, WorldError
from syscalls.worldfile.kinds import Bad, Boolean, Bytes, Integer, Kind, Mode, Optional, Path, Text, nearest, show
from syscalls.worldfile.tables import Many, as_list, as_table


class Errno(Text):
    """The name of an error, as errno(3) spells it."""

    def __init__(self) -> None:
        super().__init__(32, "an errno name such as EINTR")

    def read(self, value: Any) -> str:
        name = super().read(value)
        if name not in NUMBERS:
            raise Bad(f"unknown errno {show(name)}{nearest(name.upper(), NUMBERS)}")
        return name


class When(Text):
    """Which of the matching calls, counted from 1: the grammar of strace(1)'s ``when=``."""

    def __init__(self) -> None:
        super().__init__(32, "N, N..M, N+, N+S or N..M+S with N, M and S from 1, such as 2, 1..3, 4+ or 1+2")

    def read(self, value: Any) -> str:
        text = str(value) if isinstance(value, int) and not isinstance(value, bool) else super().read(value)
        try:
            parse_when(text)
        except WorldError as error:
            raise Bad(f"{show(text)} is not such a rule") from error
        return text


class CallName(Text):
    """The name of a system call."""

    def __init__(self) -> None:
        super().__init__(32, "the name of a system call, such as openat")

    def read(self, value: Any) -> str:
        name = super().read(value)
        if name not in CALLS:
            raise Bad(f"unknown system call {show(name)}{nearest(name, CALLS)}")
        return name


class Replaced(Many):
    """Arguments of a call by number: ``{2 = 1}``."""

    def __init__(self) -> None:
        super().__init__("integers by number", "a table of integers with keys from 0 to 5, such as {2 = 1}")

    def read(self, value: Any) -> tuple[tuple[int, int], ...]:
        found = []
        for name, item in as_table(value, "integers").items():
            if name not in ("0", "1", "2", "3", "4", "5"):
                raise Bad(f"no argument has the number {show(name)}")
            found.append((int(name), Integer(-(1 << 63), (1 << 63) - 1).read(item)))
        return tuple(sorted(found))

    def write(self, value: Any) -> dict[str, int] | None:
        return {str(number): item for number, item in value} or None


class Field(NamedTuple):
    """One key of a table: the attribute it sets, its kind, and whether it must be there."""

    attribute: str
    kind: Kind
    required: bool = False


class Records(Many):
    """An array of tables, each of which makes one record."""

    def __init__(self, singular: str, fields: Mapping[str, Field], make: Callable[..., Any], allowed: str) -> None:
        super().__init__("tables", allowed)
        self.singular, self.fields, self.make = singular, fields, make

    def read(self, value: Any) -> tuple[Any, ...]:
        made = []
        for number, item in enumerate(as_list(value, "tables"), 1):
            try:
                made.append(self.record(item))
            except Bad as error:
                raise Bad(error.problem, error.allowed, f" {number}{error.place}") from error
        return tuple(made)

    def record(self, table: Any) -> Any:
        """Make one record from a TOML table; raise :class:`Bad` naming the key inside it."""
        values: dict[str, Any] = {}
        for name, item in as_table(table, "keys").items():
            field = self.fields.get(name.replace("_", "-"))
            if field is None:
                raise Bad(f"unknown key {show(name)}{nearest(name, self.fields)}", ", ".join(self.fields))
            try:
                values[field.attribute] = field.kind.read(item)
            except Bad as error:
                raise Bad(error.problem, error.allowed or field.kind.allowed, f": {name}") from error
        missing = [name for name, field in self.fields.items() if field.required and field.attribute not in values]
        if missing:
            raise Bad(f"a {self.singular} without {missing[0]}")
        return self.make(**values)

    def write(self, value: Any) -> list[dict[str, Any]]:
        tables = []
        for record in value:
            items = ((name, getattr(record, field.attribute), field.kind) for name, field in self.fields.items())
            tables.append({name: kind.write(item) for name, item, kind in items if self._written(kind, item)})
        return tables

    def _written(self, kind: Kind, item: Any) -> bool:
        # None has no spelling in TOML, except where the kind has a word for it.
        return item not in (None, ()) or isinstance(kind, Optional)


class Files(Records):
    """Files of the guest's tree; each path once."""

    item_type = "content"

    def __init__(self) -> None:
        fields = {
            "path": Field("path", Path(), required=True),
            "content": Field("content", Optional(Bytes(), "absent")),
            "mode": Field("mode", Mode()),
            "errno": Field("errno", Errno()),
        }
        super().__init__("file", fields, File, "tables with path, content, mode and errno")

    def read(self, value: Any) -> tuple[Any, ...]:
        files = super().read(value)
        seen: set[str] = set()
        for file in files:
            if file.path in seen:
                raise Bad(f"the file {show(file.path)} is given twice")
            seen.add(file.path)
        return files

    def with_item(self, current: Any, name: str, text: str) -> tuple[Any, ...]:
        new = self.record({"path": name, "content": text})
        return tuple({file.path: file for file in (*current, new)}.values())


class Bind(NamedTuple):
    """One host path that the guest may see; a tuple as ``World.binds`` holds it."""

    host: str
    guest: str
    writable: bool


class Binds(Records):
    """Host files and folders shown to the guest."""

    def __init__(self) -> None:
        fields = {
            "host": Field("host", Text(4095, empty=False), required=True),
            "guest": Field("guest", Path(), required=True),
            "writable": Field("writable", Boolean()),
        }
        super().__init__("bind", fields, self._tuple, "tables with host, guest and writable")

    @staticmethod
    def _tuple(host: str, guest: str, writable: bool = False) -> tuple[str, str, bool]:
        return (host, guest, writable)

    def write(self, value: Any) -> list[dict[str, Any]]:
        return super().write([Bind(*bind) for bind in value])


class Responses(Records):
    """Rules that change what single calls return."""

    def __init__(self) -> None:
        fields = {
            "call": Field("call", CallName(), required=True),
            "when": Field("when", When()),
            "path": Field("path", Text(4095)),
            "errno": Field("errno", Errno()),
            "result": Field("result", Integer(-(1 << 63), (1 << 63) - 1)),
            "data": Field("data", Bytes()),
            "arguments": Field("arguments", Replaced()),
        }
        allowed = "tables with call, when, path, errno, result, data and arguments"
        super().__init__("response", fields, self._checked, allowed)

    @staticmethod
    def _checked(**values: Any) -> Response:
        rule = Response(**values)
        answers = rule.errno is not None or rule.result is not None or rule.data is not None
        if not answers and not rule.arguments:
            raise Bad(f"a response to {rule.call} that changes nothing", "errno, result, data or arguments")
        if answers and rule.arguments:
            problem = f"a response to {rule.call} with arguments of a call that is not performed"
            raise Bad(problem, "arguments alone, or errno, result or data")
        if rule.errno is not None and (rule.result is not None or rule.data is not None):
            raise Bad(f"a response to {rule.call} with errno and result or data", "errno alone, or result and data")
        return rule
