"""What varies, read from options and files."""

from __future__ import annotations

from pathlib import Path

import pytest

from emu.sweep import points
from emu.sweep.plan import Plan, PlanError, check, chunks
from syscalls.world import World, WorldError
from syscalls.worldfile import apply


def values(*texts: str) -> list[list[str]]:
    """The values of each factor that ``--vary`` *texts* give; each has one key."""
    return [[settings[0][1] for settings in axis] for axis in points.from_options(texts)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cpus=1,2,3", ["1", "2", "3"]),
        ("cpus=1,1,2", ["1", "2"]),
        ("thp=absent", ["absent"]),
        ("thp=", [""]),
        ("cpus=1..4", ["1", "2", "3", "4"]),
        ("cpus=1,5..9+2,64", ["1", "5", "7", "9", "64"]),
        ("page-size=4096..65536*4", ["4096", "16384", "65536"]),
        (r"cpus=0\,2-3,64", ["0,2-3", "64"]),
        (r"uname.release=6\.1.0,1\..3", ["6.1.0", "1..3"]),
        (r"uname.version=a\\,b", ["a\\", "b"]),
        (r"exe=/a\b", [r"/a\b"]),
        ('argv=["a", "b"],["c"]', ['["a", "b"]', '["c"]']),
        ("argv=['a,b'],[]", ["['a,b']", "[]"]),
        ('files."/x=y,z"=1,2', ["1", "2"]),
    ],
)
def test_values_of_a_key(text: str, expected: list[str]) -> None:
    """Commas divide, but not in quotes and brackets nor behind a backslash; ranges are spelled out."""
    assert values(text) == [expected]


def test_key_given_again_has_whole_values() -> None:
    """Then commas divide nothing."""
    assert values("cpus=0,2-3,64", "seed=1,2", "cpus=1..3") == [["0,2-3,64", "1..3"], ["1", "2"]]


@pytest.mark.parametrize("text", ["cpus=3..1", "cpus=1..5+0", "cpus=0..8*2", "cpus=1..8*1", "seed=0..1000000", "cpus"])
def test_no_range(text: str) -> None:
    """What cannot end, or has no KEY=, is refused in a line."""
    with pytest.raises(PlanError) as error:
        values(text)
    assert "\n" not in str(error.value)


def test_toml_file(tmp_path: Path) -> None:
    """A product, and points of several keys; nested tables are keys with dots."""
    path = tmp_path / "vary.toml"
    path.write_text(
        'vary.cpus = [1, "0,2-3"]\nvary.vdso = [true]\n[vary.memory]\nlimit = ["64M"]\n'
        '[[point]]\nseed = 1\nargv = ["a", "b"]\n[[point]]\nseed = 2\nenv.GOGC = "off"\n'
    )

    assert points.from_file(path) == [
        ((("cpus", "1"),), (("cpus", "0,2-3"),)),
        ((("vdso", "true"),),),
        ((("memory.limit", "64M"),),),
        ((("seed", "1"), ("argv", '["a", "b"]')), (("seed", "2"), ("env.GOGC", "off"))),
    ]


def test_csv_file(tmp_path: Path) -> None:
    """A row of keys, a row a point; an empty cell sets nothing."""
    path = tmp_path / "points.csv"
    path.write_text('cpus,thp\n1,absent\n"0,2-3",\n\n1,absent\n')

    assert points.from_file(path) == [((("cpus", "1"), ("thp", "absent")), (("cpus", "0,2-3"),))]


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.csv", "cpus\n", "a row of keys is needed"),
        ("a.csv", "cpus,cpus\n1,2\n", "each key once"),
        ("a.csv", "cpus,thp\n1\n", "row 2 has 1 cells, not 2"),
        ("a.toml", "cpus = [1]", r"only a table \[vary\]"),
        ("a.toml", "[vary]\ncpus = 1", "cpus: an array of values"),
        ("a.toml", "point = [1]", "tables are needed"),
        ("a.toml", "[vary", "bad TOML"),
        ("a.toml", "", "nothing varies"),
        ("a.toml", "[vary]\nseed = [1.5]", "no TOML for 1.5"),
    ],
)
def test_bad_files(tmp_path: Path, name: str, content: str, problem: str) -> None:
    """Each mistake is a line that names the file."""
    (tmp_path / name).write_text(content)

    with pytest.raises(PlanError, match=problem) as error:
        points.from_file(tmp_path / name)
    assert str(error.value).startswith(f"{tmp_path / name}: ")


@pytest.mark.parametrize("name", ["missing.toml", "."])
def test_unreadable_file(tmp_path: Path, name: str) -> None:
    """No file, or a folder: a line too."""
    with pytest.raises(PlanError, match=r"no such file|is a directory"):
        points.from_file(tmp_path / name)


def plan(*texts: str, worlds: tuple[tuple[str, World], ...] = (("", World()),), binaries: int = 1) -> Plan:
    """A plan of what *texts* vary."""
    names = tuple(f"b{n}" for n in range(binaries))
    return Plan(names, worlds, tuple(points.from_options(texts)), ("ncpu",), "runtime.mstart", len(worlds) > 1)


def test_points_are_the_product() -> None:
    """Every combination once, the last knob fastest; the World of a point is what its settings make."""
    other = apply(World(), "seed=9")
    made = plan("cpus=1,2", "page-size=4096,16384", worlds=(("a", World()), ("b", other)), binaries=2)

    varied = [made.vary(index) for index in range(made.size)]

    assert made.size == 16
    assert len({tuple(point.items()) for point in varied}) == 16
    assert varied[0] == {"binary": "b0", "world": "a", "cpus": "1", "page-size": "4096"}
    assert varied[1] == {"binary": "b0", "world": "a", "cpus": "1", "page-size": "16384"}
    assert varied[15] == {"binary": "b1", "world": "b", "cpus": "2", "page-size": "16384"}
    assert made.world(15) == apply(apply(other, "cpus=2"), "page-size=16384")
    assert [made.binary(index) for index in range(16)] == [0] * 8 + [1] * 8
    assert made.knobs() == ["binary", "world", "cpus", "page-size"]


def test_one_point() -> None:
    """Nothing varies: one World, no knobs."""
    assert (plan().size, plan().vary(0), plan().knobs(), plan().world(0)) == (1, {}, [], World())


@pytest.mark.parametrize(
    ("texts", "problem"),
    [
        (("cpu=1",), "unknown key"),
        (("cpus=0,x",), "cpus"),
        (("cpus=1",) * 1 + ("env.A=1",) + ("memory=1",), "memory"),
    ],
)
def test_impossible_knobs(texts: tuple[str, ...], problem: str) -> None:
    """A knob that nothing can be done with ends the sweep before it begins."""
    with pytest.raises(PlanError, match=problem):
        check(plan(*texts))


def test_one_impossible_value_is_a_row() -> None:
    """So that it is no reason to refuse the plan."""
    made = plan("cpus=0,1")
    check(made)

    with pytest.raises(WorldError, match="cpus: 0 CPUs"):
        made.world(0)
    assert made.world(1) == apply(World(), "cpus=1")


def test_key_of_two_factors() -> None:
    """A key of a file may not be given again on the command line."""
    made = plan("cpus=1,2")

    with pytest.raises(PlanError, match="cpus varies in two places"):
        check(made._replace(axes=made.axes * 2))


@pytest.mark.parametrize(("count", "workers"), [(1, 1), (5, 2), (84, 2), (1000, 3), (10_000, 2)])
def test_chunks_hold_each_point_once(count: int, workers: int) -> None:
    """Enough pieces for all workers, none too large."""
    pieces = list(chunks(range(count), workers))

    assert [index for piece in pieces for index in piece] == list(range(count))
    assert len(pieces) >= min(count, workers)
    assert max(map(len, pieces)) <= 64
