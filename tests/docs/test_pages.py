"""The generated pages: they are current, every figure in them comes from a record, and what they promise is so."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from docs.generate import pages
from docs.generate.meanings import AUXV, THROWS, VIEWS
from docs.generate.subjects import PROGRAMS, Subject, subject
from docs.generate.template import PLACEHOLDER, PageError, render
from emu.boot.views import VIEWS as RECORDED

Binary = Callable[[str], Path]
ROOT = pages.DOCS.parent
# A number that counts or measures something: hexadecimal, or of three digits and more, or with a unit.
FIGURE = re.compile(
    r"(?<![\w.@-])(0x[0-9a-f]+|\d[\d,]{2,}|\d+ (?:[KM]iB|bytes?|bits?|CPUs|instructions|functions|threads|hints))\b"
)
# Constants that a template may state by itself, each with the place that says so.
CONSTANTS = {
    "0x123": "asm_amd64.s, rt0_go: what the self-test writes",
    "0xc000000000": "malloc.go, mallocinit: 0x00c0 << 32",
    "65,536": "os_linux.go, getCPUCount: maxCPUs",
    "64 KiB": "asm_amd64.s, rt0_go",
    "4 CPUs": "the walker's laptop; worlds/walk.toml, possible-cpus",
    "2 CPUs": "those of the 4 that he did not have",
    "16 bytes": "getauxval(3), AT_RANDOM",
    "16 KiB": "stack.go: the largest stack that has a pool",
    "32 KiB": "sizeclasses.go: _MaxSmallSize",
    "64 MiB": "malloc.go: heapArenaBytes",
    "4 MiB": "mgc.go: defaultHeapMinimum; mpagealloc.go: pallocChunkBytes",
    "1 MiB": "the page size of the table above it",
    "24 bytes": "the size class that 1.16 added",
    "8 CPUs": "the setting of the table above it",
    "2097152": "the setting of the table above it",
    "100": "mgcpacer.go, readGOGC: percent",
    "0x0": "emu/boot/decode.py: how nil is written",
    "2020": "the draft of JSON Schema",
    "256": "emu/boot/decode.py: MAX_ELEMENTS and MAX_BYTES",
}


@pytest.fixture(scope="module", autouse=True)
def programs(binary: Binary) -> None:
    """Both programs are there, or the tests are skipped for the reason that the registry gives."""
    for fixture, _, _ in PROGRAMS.values():
        binary(fixture)


def subjects() -> dict[str, Subject]:
    return {key: subject(key) for key in PROGRAMS}


def changed(one: Subject, change: Callable[[dict[str, Any]], None]) -> Subject:
    """*one* with its record changed."""
    record = copy.deepcopy(one.record)
    change(record)
    return Subject(one.key, record, one.image)


@pytest.mark.parametrize("name", pages.TEMPLATES)
def test_page_is_current(name: str, golden: Callable[[str, str], None]) -> None:
    """``make docs`` (or ``make golden``) rewrites it."""
    golden(f"docs/{name}.md", pages.page(name))


@pytest.mark.parametrize("name", pages.TEMPLATES)
def test_template_holds_no_figure_of_its_own(name: str) -> None:
    """Whoever writes a number by hand has it rejected, unless it is a name or a constant that is listed above."""
    prose = PLACEHOLDER.sub("", pages.template(name))
    prose = re.sub(r"^```.*?^```$|https?://\S+", "", prose, flags=re.MULTILINE | re.DOTALL)

    found = [figure for figure in FIGURE.findall(prose) if figure not in CONSTANTS]

    assert found == []


def test_allowed_constants_are_in_use() -> None:
    """An exception that no page needs any more is taken off the list."""
    prose = "".join(PLACEHOLDER.sub("", pages.template(name)) for name in pages.TEMPLATES)

    assert set(CONSTANTS) - set(FIGURE.findall(prose)) == set()


def _global(name: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda record: record["globals"].update({name: value})


def _call(name: str, field: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(record: dict[str, Any]) -> None:
        next(call for call in record["functions"] if call["name"] == name)[field] = value

    return change


def _view(name: str, *path: Any) -> Callable[[dict[str, Any]], None]:
    def change(record: dict[str, Any]) -> None:
        at = record["views"][name]
        for step in path[:-2]:
            at = at[step]
        at[path[-2]] = path[-1]

    return change


def _syscall(name: str, field: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(record: dict[str, Any]) -> None:
        next(call for call in record["syscalls"] if call["name"] == name)[field] = value

    return change


def _write(name: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(record: dict[str, Any]) -> None:
        for call in record["functions"]:
            for write in call["writes"]:
                if write["name"] == name:
                    write["after"] = value

    return change


CHANGES = {
    "ncpu": ("old", _global("runtime.ncpu", 77)),
    "ncpu as stored": ("old", _write("runtime.ncpu", 77)),
    "the affinity mask's size": ("old", _syscall("sched_getaffinity", "result", 24)),
    "the error of openat": ("old", _syscall("openat", "errno", "EACCES")),
    "physHugePageSize": ("new", _global("runtime.physHugePageSize", 12345)),
    "the stack's upper end": ("old", _global("runtime.g0.stack.hi", 0x7FFFFFFF1230)),
    "a line number": ("new", _call("runtime.osinit", "line", 4321)),
    "an address": ("new", _call("runtime.mallocinit", "pc", "0x123456")),
    "an instruction count": ("old", _call("runtime.itabsinit", "instructions", 987654)),
    "the number of functions": ("old", _view("modules", 0, "functions", 1)),
    "an arena hint": ("old", _view("runtime.mheap_.arenaHints", 0, "0xdddddddd0000")),
    "a P's status": ("old", _view("runtime.allp", 1, "status_name", "dead")),
    "a CPU feature": ("new", _view("internal/cpu.X86", "HasAES", False)),
    "a debug variable": ("new", _view("runtime.debug", "gctrace", 5)),
    "the total": ("new", lambda record: record["totals"].update(syscalls=4711)),
    "an entry of the vector": ("new", _view("auxv", 3, "value", 4711)),
    "the itab count": ("new", _view("runtime.itabTable", "count", 4711)),
}


@pytest.mark.parametrize(("which", "change"), CHANGES.values(), ids=CHANGES)
def test_other_value_in_a_record_changes_the_walk(which: str, change: Callable[[dict[str, Any]], None]) -> None:
    """The walk says what the record says."""
    both = subjects()
    both[which] = changed(both[which], change)

    assert render(pages.template("walk"), both, pages.VERBS) != pages.page("walk")


def test_stack_that_does_not_add_up_is_no_picture() -> None:
    """If argc, envp and the place of the auxiliary vector disagree, the page is refused, not drawn wrong."""
    both = subjects()
    both["old"] = changed(both["old"], _global("runtime.argc", 2))

    with pytest.raises(PageError, match="do not add up"):
        render("{{old.stack}}", both, pages.VERBS)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a\nb {{old.value runtime.nonesuch}}", "line 2: .*no global runtime.nonesuch"),
        ("{{old.frobnicate}}", "line 1: .*frobnicate"),
        ("{{elsewhere.value runtime.ncpu}}", "elsewhere"),
        ("{{old.line runtime.checkfds}}", "runtime.checkfds was not called"),
        ("{{old.value runtime.ncpu | sideways}}", "sideways"),
        ("{{old.value", "not a placeholder"),
        ("{{new[cpu=3].value runtime.gomaxprocs}}", "unknown key"),
        ("{{new.value views:runtime.allp/9/id}}", "has no 9"),
    ],
)
def test_placeholder_that_names_nothing_is_an_error(text: str, complaint: str) -> None:
    """A page with a hole is not made."""
    with pytest.raises(PageError, match=complaint):
        render(text, subjects(), pages.VERBS)


def test_every_throw_that_no_compiler_settles_is_in_a_binary() -> None:
    """A message that neither program holds would be one that the page made up."""
    files = [bytes(one.image.data) for one in subjects().values()]

    missing = [
        throw.message
        for throw in THROWS
        if "compiler" not in throw.meaning + throw.check and not any(throw.message.encode() in data for data in files)
    ]

    assert missing == ["heapArenaBitmapWords not a power of 2"]  # "the same", as the row above it says


def test_everything_recorded_has_a_meaning() -> None:
    """Views and entries of the auxiliary vector are all explained, and nothing else is."""
    assert set(VIEWS) == {name for name, _ in RECORDED}
    assert {entry["tag"] for entry in subject("old").record["views"]["auxv"]} <= set(AUXV)


def test_excerpts_are_json_of_the_record() -> None:
    """Each JSON block of record.md parses and is part of a record."""
    blocks = re.findall(r"```json\n(.*?)```", pages.page("record"), re.DOTALL)
    whole = json.dumps([one.record for one in subjects().values()], sort_keys=True)

    assert len(blocks) >= 6
    assert [block for block in blocks if json.dumps(json.loads(block), sort_keys=True) not in whole] == []
