"""Findings as files: they read back equal, the World is a World, and what is damaged is refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from emu.fuzz.finding import (
    MARK,
    About,
    BadFinding,
    Elsewhere,
    Finding,
    about_of,
    name_of,
    page,
    publish,
    read,
    sentence,
    to_text,
    tree,
)  # fmt: skip
from emu.fuzz.oracles import Verdict
from syscalls.cpuset import CpuSet
from syscalls.world import Response, World
from syscalls.worldfile import load

PMD_SIZE = "/sys/kernel/mm/transparent_hugepage/hpage_pmd_size"
ABOUT = About(
    "hello", "ab" * 32, "go1.24.11", "", "runtime.osinit", "runtime.mstart", "contract", "hang", "more than 5 rounds",
    "runtime.spin", ("runtime.spin", "runtime.osinit"), "hang/spin",
)  # fmt: skip
WORLD = World(
    cpus=CpuSet.first(3),
    responses=(
        Response("openat", "1", PMD_SIZE, errno="EINTR"),
        Response("read", "1+", PMD_SIZE, data=b"huge\x00\xff\n"),
        Response("mmap", "2..3", result=0x7F00_0000_0000),
    ),
)
FINDING = Finding(WORLD, ABOUT)


def written(folder: Path, name: str = "hang-spin") -> Path:
    assert publish(folder, name, FINDING, "{}", ())
    return folder / name / "world.toml"


def test_a_finding_reads_back_equal(tmp_path: Path) -> None:
    """Both halves of the file: what it is about, and the World."""
    assert read(written(tmp_path)) == FINDING


def test_a_finding_is_a_world(tmp_path: Path) -> None:
    """`rt0 boot --world` takes the same file."""
    assert load(written(tmp_path)) == WORLD


def test_a_hang_is_a_limit_in_the_record() -> None:
    """The names of outcomes are those of records."""
    assert ABOUT.outcome == "limit"
    assert ABOUT._replace(kind="wrong-value").outcome == "wrong-value"


def test_the_first_finder_wins(tmp_path: Path) -> None:
    """Of two processes with the same finding one writes it, and nothing half-made is left."""
    written(tmp_path)

    assert not publish(tmp_path, "hang-spin", Finding(World(), ABOUT), "{}", ())
    assert [path.name for path in tmp_path.iterdir()] == ["hang-spin"]
    assert read(tmp_path / "hang-spin" / "world.toml") == FINDING


def test_names_depend_on_the_key_alone() -> None:
    """The same finding has the same name wherever it is found; another one has another."""
    one = Verdict("hang", "after 5 s", "runtime.spin", ("runtime.spin",), "contract")
    other = one._replace(kind="signal")

    assert name_of(one) == name_of(one._replace(message="after 6 s"))
    assert name_of(one) != name_of(other)
    assert name_of(one).startswith("hang-spin-")


@pytest.mark.parametrize(
    ("response", "words"),
    [
        (WORLD.responses[0], f"`openat` of `{PMD_SIZE}`, call 1: fails with EINTR"),
        (WORLD.responses[1], f"`read` of `{PMD_SIZE}`, every call: stores 7 bytes: `68 75 67 65 00 ff 0a`"),
        (WORLD.responses[2], "`mmap`, calls 2..3: returns 0x7f0000000000"),
        (Response("mmap", "7", arguments=((0, 0),)), "`mmap`, call 7: is performed with argument 0 as 0x0"),
        (Response("read", "1", result=3, data=b"12\n"), "`read`, call 1: returns 3, stores 3 bytes: `'12\\n'`"),
    ],
)
def test_answers_in_words(response: Response, words: str) -> None:
    """Each kind of answer has its sentence."""
    assert sentence(response) == words


def test_the_page_says_which_programs_are_affected() -> None:
    """Same outcome and function: yes; otherwise what happens instead."""
    same = Verdict("hang", "more than 5 rounds", "runtime.spin", (), "contract")
    text = page("x", FINDING, [Elsewhere("a", "go1.21", same), Elsewhere("b", "go1.22", same._replace(kind="ok"))])

    assert "| `a` | go1.21 | yes | hang in `runtime.spin`: more than 5 rounds |" in text
    assert "| `b` | go1.22 | no | as it should |" in text
    assert "ends in **limit** in `runtime.spin`" in text


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("cpus = 3\n", "not a finding: no line begins with"),
        (f"{MARK}{{\n", "not JSON"),
        (f"{MARK}[]\n", "lacks or adds a field"),
        (f'{MARK}{{"kind": "hang"}}\n', "lacks or adds a field"),
        (to_text(FINDING).replace('"hello"', "7"), "a value that is no text"),
        (to_text(FINDING) + "\n[nonsense]\nx = 1\n", "nonsense"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    """One line that names the file and what is wrong."""
    path = tmp_path / "world.toml"
    path.write_text(text)

    with pytest.raises(BadFinding, match=problem) as error:
        read(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    """Bytes that are no UTF-8."""
    path = tmp_path / "world.toml"
    path.write_bytes(b"\xff\xfe")

    with pytest.raises(BadFinding, match="not text"):
        about_of(path)


def test_a_folder_stands_for_all_below_it(tmp_path: Path) -> None:
    """A tree of findings in order; half-made ones are passed over; an empty folder is an error."""
    paths = [written(tmp_path / "a", "two"), written(tmp_path / "a", "one"), written(tmp_path / "b")]
    (tmp_path / "b" / ".new-1-x").mkdir()
    (tmp_path / "b" / ".new-1-x" / "world.toml").write_text("")

    assert tree(tmp_path) == sorted(paths)
    assert tree(paths[0]) == [paths[0]]
    with pytest.raises(BadFinding, match=r"no world\.toml"):
        tree(_empty(tmp_path))
    with pytest.raises(BadFinding, match="no such file"):
        tree(tmp_path / "absent")


def _empty(tmp_path: Path) -> Path:
    folder = tmp_path / "empty"
    folder.mkdir()
    return folder
