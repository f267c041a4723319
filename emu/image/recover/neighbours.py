"""What the reference of another release proves: the parts of variables that unchanged code touches, and what is around.

The linker's address in an instruction is a variable's plus the distance of a part, in one number.  So a site that was
found in another release proves where the part is that the instruction touches, ``runtime.sched.maxmcount`` rather than
``runtime.sched``: the struct may have changed.  It proves more

- where the program's own type descriptor gives the struct's layout: each part then tells where the whole is;
- where every function that the reference knows to use the variable has the same code in the program, and all of their
  sites give the same start for the whole: then its layout is the reference's;
- within a minor release, where many parts of the variable lie as far from each other as they did: then what lies
  between the first and the last of them does too.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from emu.image.elf import Elf
from emu.image.recover.table import TypeTable
from emu.image.recover.votes import Source, Vote, of_pointers
from emu.image.reference.format import Site
from emu.image.types import Leaf

WORD = 8
MIN_PARTS = 4  # parts of a variable that must lie as they did, for those between them to be believed


@dataclass(slots=True)
class Use:
    """How the sites of unchanged functions see one variable."""

    starts: set[int] = field(default_factory=set)  # addresses of the whole, if its layout is the reference's
    parts: set[int] = field(default_factory=set)  # byte offsets that are touched
    reach: int = 0  # byte offset after the last part
    bounded: bool = False  # the length of an array stands in the code of a function that uses it
    changed: bool = False  # a function that uses it has other code in the program, or is not there


def of_other_release(elf: Elf, source: Source, table: TypeTable, same_minor: bool) -> Iterator[Vote]:
    """Yield what *source* says about the program *elf*, of another release; *same_minor*: another patch release."""
    sites = list(source.matches.sites(elf))
    uses = _uses(source, sites, same_minor)
    changed = {code.name.rpartition(".")[0] for code in source.matches.differing} if same_minor else None
    whole = {target for target, use in uses.items() if _is_unmoved(source, table, target, use, changed)}
    believed = {target for target in uses if _is_believed(source, table, target, uses[target])}
    for site, addr, place in sites:
        variable = source.variables[site.target]
        if site.target not in believed:
            continue
        entire = Vote(variable.name, addr - site.addend, variable.type, "", variable.name, source.layouts)
        vote = entire if site.target in whole else _part(source, table, site, addr, entire)
        if vote is not None:
            yield vote._replace(place=f"{place} as in {source.reference.go}")
    if same_minor:
        for target, use in uses.items():
            if target in believed - whole and len(use.starts) == 1 and len(use.parts) >= MIN_PARTS:
                yield from _between(source, table, target, use)
        # What unchanged code reads through pointers in a variable is where it was, too.
        starts = defaultdict(set, {target: set(use.starts) for target, use in uses.items()})
        for vote in of_pointers(elf, source, starts, lambda number: number in uses and not uses[number].changed):
            if vote.type.kind != "array" and table.is_known(source.layouts, vote.type):
                yield vote._replace(place=f"{vote.place} as in {source.reference.go}")


def _uses(source: Source, sites: list[tuple[Site, int, str]], same_minor: bool) -> dict[int, Use]:
    uses: defaultdict[int, Use] = defaultdict(Use)
    for site, addr, _ in sites:
        use = uses[site.target]
        use.starts.add(addr - site.addend)
        use.parts.add(site.addend)
        use.reach = max(use.reach, site.addend + site.size)
        use.bounded |= site.bounded
    for code in source.matches.others(absent=not same_minor):
        for site in code.sites:
            uses[site.target].changed = True
    return uses


def _is_believed(source: Source, table: TypeTable, target: int, use: Use) -> bool:
    # Names of fields do not stand in code.  Those of a struct of another package, which may have changed without any of
    # this one's code, are believed by its descriptor only; and an array by its length or its last element in code.
    variable = source.variables[target]
    if variable.type.kind == "array" and not (use.bounded or use.reach >= variable.type.size):
        return False
    return table.is_of(source.layouts, variable.type, variable.name.rpartition(".")[0])


def _is_unmoved(source: Source, table: TypeTable, target: int, use: Use, changed: set[str] | None) -> bool:
    # *changed*: what methods that differ are methods of; None if it does not matter, because a method may be anywhere.
    kind = source.variables[target].type
    if table.is_known(source.layouts, kind) or use.changed or len(use.starts) != 1:
        return False
    package, _, short = kind.name.rpartition(".")
    by_methods = changed is not None and f"{package}.(*{short})" not in changed
    return len(use.parts) > 1 or kind.kind == "array" or by_methods


def _part(source: Source, table: TypeTable, site: Site, addr: int, entire: Vote) -> Vote | None:
    # What one site proves by itself; *entire* is what it would prove of a layout that is known.
    if entire.type.kind != "struct":
        return entire if table.is_known(source.layouts, entire.type) else None
    described = table.descriptor(entire.type.name)
    if site.size == 0:  # the whole, or its first field, which elsewhere may not be the first
        return entire._replace(exact=False) if described is not None and site.addend == 0 else None
    leaf = next(source.layouts.leaves(entire.type, site.addend, site.addend + 1), None)
    if leaf is None or not _touches(leaf, site):
        return None
    start = addr - (site.addend - leaf.offset)
    if described is None:
        return entire._replace(name=f"{entire.name}.{leaf.path}", addr=start, type=leaf.type)
    offset = table.offset_of(described, leaf.path)
    return None if offset is None else entire._replace(addr=start - offset)


def _touches(leaf: Leaf, site: Site) -> bool:
    # Is it the leaf, or a word of a string, slice or interface, that the instruction reads or writes?
    if leaf.type.kind in ("array", "struct", "opaque"):
        return False
    if leaf.type.size > WORD:
        return site.size in (WORD, leaf.type.size) and (site.addend - leaf.offset) % WORD == 0
    return site.addend == leaf.offset and site.size == leaf.type.size


def _between(source: Source, table: TypeTable, target: int, use: Use) -> Iterator[Vote]:
    variable, start = source.variables[target], next(iter(use.starts))
    if variable.type.kind != "struct" or table.descriptor(variable.type.name) is not None:
        return
    low, high = min(use.parts), max(use.parts)
    place = f"{len(use.parts)} parts of {variable.name} that are as far apart as in {source.reference.go}"
    for leaf in source.layouts.leaves(variable.type, low, high + 1):
        if leaf.offset >= low and table.is_known(source.layouts, leaf.type):
            name = f"{variable.name}.{leaf.path}"
            yield Vote(name, start + leaf.offset, leaf.type, place, variable.name, source.layouts)
