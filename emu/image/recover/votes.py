"""What sites, pointers and symbols say about variables: where each is, with how many witnesses and none against."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import NamedTuple

from emu.image.elf import Elf
from emu.image.errors import Unreadable
from emu.image.recover.match import Matches, go_string
from emu.image.recover.table import TypeTable
from emu.image.reference.format import Pointer, Reference
from emu.image.symbols import SymbolTable
from emu.image.types import Global, Layouts, LayoutTables, Type

WORD = 8
SYMBOL = "the symbol table"  # Image.source_of knows it by this
MIN_ADDRESSES_TAKEN = 2  # places that must agree when none of them says which field it means


class Found(NamedTuple):
    """A variable, or a part of one, at *addr*; *type* is an id of the table of types."""

    name: str
    addr: int
    type: int
    evidence: str  # "runtime.schedinit+0x4c and 12 more places"


class Vote(NamedTuple):
    """One witness: *name*, of type *type* of the reference's layouts, is at *addr*, as *place* says."""

    name: str
    addr: int
    type: Type
    place: str
    variable: str  # what the name is a part of, or the same
    layouts: Layouts  # that the type is of
    exact: bool = True  # False: the place only takes an address, and may mean a field that the layout has elsewhere

    @property
    def typed(self) -> tuple[Layouts, Type]:
        """The type, with the layouts that it is of."""
        return self.layouts, self.type


class Source:
    """One reference with its layouts and what of it the program has."""

    def __init__(self, matches: Matches) -> None:
        self.matches = matches
        self.reference: Reference = matches.reference
        self.layouts = Layouts(LayoutTables(self.reference.types, ([], [], []), self.reference.signatures))
        self.variables = [Global(name, 0, self.layouts.type(type_id)) for name, type_id, _ in self.reference.globals]
        self.names = {name for name, _, _ in self.reference.globals}

    def fields(self, t: Type, path: str) -> Iterator[str]:
        """Yield the paths of the fields of *t*, a variable called *path*, those of structs within it too."""
        for name, _, member in t.members:
            if name != "_":
                yield f"{path}.{name}"
                yield from self.fields(self.layouts.type(member), f"{path}.{name}")


def of_same_release(elf: Elf, source: Source) -> Iterator[Vote]:
    """Yield what sites and pointers say when the reference is of the program's own release."""
    bases: defaultdict[int, set[int]] = defaultdict(set)
    for site, addr, place in source.matches.sites(elf):
        variable = source.variables[site.target]
        bases[site.target].add(addr - site.addend)
        yield Vote(variable.name, addr - site.addend, variable.type, place, variable.name, source.layouts)
    yield from of_pointers(elf, source, bases, lambda _: True)


def of_pointers(
    elf: Elf, source: Source, bases: defaultdict[int, set[int]], is_sound: Callable[[int], bool]
) -> Iterator[Vote]:
    """Yield what pointers say that stand in variables at known *bases*, of those variables that are *is_sound*."""
    for _ in range(2):  # a pointer may stand in a variable that another pointer found
        for pointer in source.reference.pointers:
            if len(bases[pointer.source]) != 1 or not is_sound(pointer.source):
                continue
            try:
                addr = _follow(elf, next(iter(bases[pointer.source])), pointer) - pointer.addend
            except Unreadable:
                continue
            variable = source.variables[pointer.target]
            if addr not in bases[pointer.target]:
                bases[pointer.target].add(addr)
                place = f"the pointer in {source.variables[pointer.source].name}"
                yield Vote(variable.name, addr, variable.type, place, variable.name, source.layouts)


def _follow(elf: Elf, addr: int, pointer: Pointer) -> int:
    at = addr
    for step in pointer.path:
        at, addr = addr + step, int.from_bytes(elf.read(addr + step, WORD), "little")
    if pointer.key and go_string(elf, at + pointer.key_at) != pointer.key:
        raise Unreadable(f"no element {pointer.key}")
    return addr


def of_symbols(symbols: SymbolTable, source: Source, table: TypeTable) -> Iterator[Vote]:
    """Yield what the symbol table says about variables of known types that have the size of their symbol."""
    for variable in source.variables:
        symbol = symbols.get(variable.name)
        if symbol is not None and symbol.size and table.size_of(source.layouts, variable.type) == symbol.size:
            place = f"{SYMBOL}, with the size that it has in {source.reference.go}"
            yield Vote(variable.name, symbol.addr, variable.type, place, variable.name, source.layouts)


def count(votes: list[Vote]) -> tuple[int, str] | None:
    """Return the address that all of *votes* give, and the evidence; None if they disagree or do not suffice."""
    exact = [vote for vote in votes if vote.exact] or votes
    if len({vote.addr for vote in votes}) != 1 or not (exact[0].exact or len(votes) >= MIN_ADDRESSES_TAKEN):
        return None
    if len({(vote.type.kind, vote.type.size) for vote in votes if vote.type.kind != "struct"}) > 1:
        return None  # the neighbours on either side disagree about the type
    places = sorted({vote.place for vote in votes}, key=lambda place: (not place.startswith(SYMBOL), len(place), place))
    more = f" and {len(places) - 1} more places" if len(places) > 1 else ""
    return exact[0].addr, f"{places[0]}{more}"
