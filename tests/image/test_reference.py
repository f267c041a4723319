"""Reference data: what is shipped is what the builder makes of the fixtures, and its file format keeps all of it."""

from __future__ import annotations

import hashlib
import json
import lzma
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from emu.image import Image, ImageError, load
from emu.image.recover.recovery import references_for
from emu.image.reference import build
from emu.image.reference import format as fmt
from emu.image.reference.code import Decoder
from fixtures import store
from fixtures.reference import SOURCES

COMMITTED = tuple(
    names for names in SOURCES if all(isinstance(store.fixtures()[name].origin, store.Built) for name in names)
)
MAX_SIZE = 110_000  # bytes of one release's file


@pytest.mark.parametrize("names", COMMITTED, ids=lambda names: str(names[0]))
def test_shipped_data_are_what_the_builder_makes(names: tuple[str, ...], image: Callable[[str], Image]) -> None:
    """Byte for byte, before compression; `make reference` rebuilds them."""
    made = build.build([image(name) for name in names])

    assert fmt.pack(made) == lzma.decompress((fmt.DATA / f"{made.go}.xz").read_bytes())


def test_the_index_lists_every_file_and_every_source() -> None:
    """Nothing is shipped that the index does not know, and each release comes from a fixture of that release."""
    versions = {f"go{store.fixtures()[names[0]].go}" for names in SOURCES}

    assert {path.name for path in fmt.DATA.iterdir()} == {*(f"{go}.xz" for go in fmt.index()), "index.json"}
    assert set(fmt.index()) == versions
    for go, digest in fmt.index().items():
        content = (fmt.DATA / f"{go}.xz").read_bytes()
        assert hashlib.sha256(content).hexdigest() == digest
        assert len(content) <= MAX_SIZE


@pytest.mark.parametrize("go", sorted(fmt.index()))
def test_a_file_keeps_everything(go: str) -> None:
    """Packing what was unpacked gives the same bytes."""
    reference = fmt.load(go)

    assert reference.go == go
    assert fmt.unpack(fmt.pack(reference)) == reference
    names = {name for name, _, _ in reference.globals}
    assert {"runtime.sched", "runtime.m0", "runtime.allp", "runtime.firstmoduledata"} <= names
    assert {name for name, _ in reference.borrowed} <= names
    assert not names & set(reference.unproven)
    assert {"runtime.rt0_go", "runtime.schedinit"} <= {code.name for code in reference.functions}


def test_only_the_runtime_is_kept() -> None:
    """Nothing of the programs that the data were taken from: no package of theirs, not even main."""
    assert len(fmt.index()) > 10
    for go in fmt.index():
        reference = fmt.load(go)
        names = [*(name for name, _, _ in reference.globals), *(code.name for code in reference.functions)]
        names += reference.unproven
        assert len(names) > 1000
        assert [name for name in names if not build.kept(name)] == []
        assert not any(name.startswith(("main.", "esbuild", "github.com")) for name in names)


def test_damaged_data_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is not the one of the index is not used: the image is refused with a sentence that says why."""
    folder = tmp_path / "data"
    folder.mkdir()
    for path in fmt.DATA.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "go1.27.3.xz").write_bytes(b"damaged")
    monkeypatch.setattr(fmt, "DATA", folder)
    monkeypatch.setenv("RT0_CACHE", "off")

    with pytest.raises(ImageError, match=r"reference data of go1\.27\.3 are damaged"):
        load(store.path("hello-1.27.3-stripped"))


@pytest.mark.parametrize(
    ("go", "wanted"),
    [
        ("go1.27.3", (["go1.27.3"], True)),
        ("go1.24.11 X:nocoverageredesign", (["go1.24.11"], True)),
        ("go1.23.5", (["go1.23.9"], False)),  # another patch release
        ("go1.15", (["go1.15.3"], False)),
        ("go1.18.2", (["go1.17.2", "go1.19.8"], False)),  # both neighbours
        ("go1.9.2", (["go1.9.2"], True)),
        ("go1.11", (["go1.11.2"], False)),
        ("go1.10.3", (["go1.9.2", "go1.11.2"], False)),
        ("go1.8", (["go1.9.2"], False)),  # older than the oldest
        ("go1.28", (["go1.27.3"], False)),  # the newest
        ("go1.28rc1", (["go1.27.3"], False)),
        ("devel go1.28-abcdef", (["go1.27.3"], False)),
        ("", (["go1.27.3"], False)),
    ],
)
def test_which_reference_applies(go: str, wanted: tuple[list[str], bool]) -> None:
    """The very release, else the nearest patch release of the same minor one, else those on either side."""
    assert references_for(fmt.version(go)) == wanted


def test_versions_are_ordered_as_releases_are() -> None:
    """1.9 comes before 1.10, and 1.21.2 before 1.21.13."""
    parsed = [fmt.version(f"go{text}") for text in ("1.9", "1.10", "1.21.2", "1.21.13", "1.27rc1", "1.27.3")]

    assert all(a and b and a < b for a, b in pairwise(parsed))
    assert fmt.version("devel") is None


def test_references_in_code() -> None:
    """What the linker put in, by hand: mov eax, [rip+0x10]; lea rdi, [rip-4]; call +0x100; jmp within; jne outside."""
    code = bytes.fromhex("8b0510000000488d3dfcffffffe800010000eb000f8500020000c3")
    entry = 0x401000

    decoded = Decoder().references(code, entry)

    assert decoded
    found, constants = decoded
    assert constants == set()
    assert [(r.at, r.end, r.target - entry, r.size, r.data) for r in found] == [
        (2, 6, 0x16, 4, True),
        (9, 13, 9, 0, True),
        (14, 18, 0x112, 0, False),
        (22, 26, 0x21A, 0, False),
    ]


def test_constants_in_code() -> None:
    """By which arrays show their lengths: cmp rcx, 0x44; sub rcx, -0x80, which adds 0x80; mov [rax+0x10], rbx."""
    decoded = Decoder().references(bytes.fromhex("4883f9444883e98048895810"), 0x401000)

    assert decoded == ([], {0x44, 0x80})


def test_code_that_is_no_code_has_no_references() -> None:
    """A function that does not disassemble to its last byte is left out, rather than half of it being believed."""
    assert Decoder().references(bytes.fromhex("8b05100000"), 0x401000) is None  # cut short
    assert Decoder().references(bytes.fromhex("06c3"), 0x401000) is None  # not an instruction in 64-bit mode


def test_a_witness_takes_away_what_it_contradicts() -> None:
    """A site that means another variable elsewhere is dropped; code that only the witness has is added."""
    both = fmt.Site(2, 6, target=0, addend=0, size=4)
    one = fmt.Site(10, 14, target=1, addend=8, size=8)
    other = fmt.Site(10, 14, target=2, addend=0, size=8)
    found = {
        ("f", "aa"): fmt.Code("f", False, 20, "aa", (2, 10), (), (both, one)),
        ("g", "bb"): fmt.Code("g", False, 20, "bb", (2,), (), (both,)),
    }
    witness = {
        ("f", "aa"): fmt.Code("f", False, 20, "aa", (2, 10), (), (both, other)),
        ("g", "dd"): fmt.Code("g", False, 22, "dd", (2,), (), (both,)),
    }

    build.merge(found, witness)

    assert {key: code.sites for key, code in found.items()} == {
        ("f", "aa"): (both,),
        ("g", "bb"): (both,),
        ("g", "dd"): (both,),
    }


def test_the_command_builds_into_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Reference data of one's own: for a release that the project has none of."""
    assert build.main(["--out", str(tmp_path), str(store.path("hello-1.22.10"))]) == 0

    assert json.loads((tmp_path / "index.json").read_text()).keys() == {"go1.22.10"}
    assert capsys.readouterr().out.startswith("go1.22.10: ")
    assert lzma.decompress((tmp_path / "go1.22.10.xz").read_bytes()) == fmt.pack(fmt.load("go1.22.10"))


def test_stripped_programs_make_no_reference() -> None:
    """The builder refuses what has no symbols, with a sentence."""
    with pytest.raises(SystemExit, match="need a symbol table"):
        build.main([str(store.path("hello-1.27.3-stripped"))])
