"""Options that make a World: each acts, in the order given, and says what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from emu.cli import options, programs
from emu.cli.errors import UsageError
from syscalls.cpuset import CpuSet
from syscalls.world import World


def parse(*argv: str) -> World:
    parser = options.Parser("test", "a test", "")
    options.add_world(parser)
    return options.world(parser.parse(argv))


def test_nothing_given_is_the_default_world() -> None:
    """No option, no change."""
    assert parse() == World()


@pytest.mark.parametrize(
    ("text", "cpus"),
    [("3", [0, 1, 2]), ("1", [0]), ("0,2-3,64", [0, 2, 3, 64]), ("0x5", [0, 2]), ("1000", list(range(1000)))],
)
def test_cpus(text: str, cpus: list[int]) -> None:
    """A count, a list, a mask."""
    assert parse("--cpus", text).cpus == CpuSet.of(cpus)


@pytest.mark.parametrize(
    ("text", "content"), [("absent", None), ("4096", b"4096\n"), ("garbage", b"garbage"), ("-1", b"-1\n")]
)
def test_thp(text: str, content: bytes | None) -> None:
    """A number is written as the kernel writes it, other text as it stands, absent is no file."""
    found = parse(f"--thp={text}").thp.pmd_size

    assert found == content or (found is not None and found.strip() == (content or b"").strip())


def test_short_forms() -> None:
    """Each sets its key."""
    world = parse("--page-size", "16384", "--seed", "7", "--max-instructions", "1000")

    assert (world.page_size, world.seed, world.limits.instructions) == (16384, 7, 1000)


def test_environment() -> None:
    """A variable is added or changed; its name may hold dots, its value anything."""
    world = parse("--env", "GOGC=off", "--env", "A.B=x=y z", "--env", 'Q"=1', "--env", "HOME=/tmp")

    assert world.env == ("PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/tmp", "GOGC=off", "A.B=x=y z", 'Q"=1')


def test_later_options_win(tmp_path: Path) -> None:
    """The file comes first, then the options as they are given, whichever they are."""
    file = tmp_path / "w.toml"
    file.write_text('cpus = "0-7"\nseed = 9\n')

    assert parse("--cpus", "3", "--world", str(file)).cpus == CpuSet.first(3)
    assert parse("--world", str(file)).seed == 9
    assert parse("--cpus", "3", "--set", "cpus=5").cpus == CpuSet.first(5)
    assert parse("--set", "cpus=5", "--cpus", "3").cpus == CpuSet.first(3)


def test_bundled_worlds() -> None:
    """A bare name is a World that comes with the program."""
    assert parse("--world", "walk").thp.pmd_size is None


def test_binds(tmp_path: Path) -> None:
    """A host path may hold colons, a guest path may not."""
    host = tmp_path / "a:b"
    host.write_text("x")

    assert parse("--bind", f"{host}:/etc/x").binds == ((str(host), "/etc/x", False),)
    assert parse("--bind", f"{host}:/etc/x:rw").binds == ((str(host), "/etc/x", True),)


def test_a_bind_of_one_path_is_at_the_same_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `go test -exec 'rt0 run --bind .'` needs it: what the test names by its own path is there."""
    monkeypatch.chdir(tmp_path)

    assert parse("--bind", ".").binds == ((".", str(tmp_path), False),)
    assert parse("--bind", ".:rw").binds == ((".", str(tmp_path), True),)
    assert parse("--bind", str(tmp_path)).binds == ((str(tmp_path), str(tmp_path), False),)


@pytest.mark.parametrize("text", ["", "x:y", ":/etc/x", "x:", ":rw"])
def test_bad_binds(text: str) -> None:
    """One path, or two, the second absolute."""
    with pytest.raises(
        UsageError, match=r"^--bind: binds: '.*' is not HOST, HOST:GUEST or HOST:GUEST:rw; allowed: one path or two$"
    ):
        parse(f"--bind={text}")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--cpus", "none"], "--cpus: 'none' is neither a count, a list nor a mask of CPUs; allowed: "),
        (["--cpus", "0"], "--cpus: 0 CPUs: at least one CPU is needed; allowed: "),
        (["--page-size", "many"], "--page-size: 'many' is not an integer; allowed: "),
        (["--seed", "-1"], "--seed: -1 is out of range; allowed: "),
        (["--set", "cpu=3"], "--set: cpu: unknown key"),
        (["--set", "cpus"], "--set: 'cpus' is not a setting; allowed: KEY=VALUE"),
        (["--set", "process.pid=0"], "--set: process.pid: "),
        (["--env", "GOGC"], "--env: env: 'GOGC' has no =; allowed: NAME=VALUE"),
        (["--env", "=x"], "--env: "),
        (["--max-instructions", "1.5"], "--max-instructions: '1.5' is not an integer; allowed: "),
        (["--bind", "/no/such/file:/x"], "--bind: binds: "),
        (["--world", "nowhere"], "--world: no such World: 'nowhere'"),
        (["--cpus"], "test: argument --cpus: expected one argument (rt0 test --help lists what there is)"),
        (
            ["--cpu", "3"],
            'test: unrecognized arguments: --cpu 3 (did you mean "--cpus"?) (rt0 test --help lists what there is)',
        ),
    ],
)
def test_errors_name_option_and_key(argv: list[str], message: str) -> None:
    """One line that says where and what, and for values what is allowed."""
    with pytest.raises(UsageError) as caught:
        parse(*argv)

    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_quotes_of_the_shell_and_of_a_file() -> None:
    """--set takes a line of a World's file; what the other options get is the text itself."""
    assert parse("--set", 'env.X = "a b"', "--env", 'Y="c"').env[-2:] == ("X=a b", 'Y="c"')
    assert parse("--thp", '"x"').thp.pmd_size == b'"x"'
    assert parse("--set", 'thp.pmd-size = "x"').thp.pmd_size == b"x"


@pytest.mark.parametrize("width", [40, 60, 120])
def test_help_is_as_wide_as_the_screen(width: int) -> None:
    """Prose is filled anew, lines of a list stay apart; nothing is lost."""
    text = "Some prose that is\nbroken somewhere.\n\nexamples:\n  rt0 x     a long example, with what it does\n  rt0 y"
    found = options.fitted(text, width).split("\n")

    assert max(map(len, found)) <= width
    assert " ".join("\n".join(found).split()) == " ".join(text.split())
    assert "  rt0 y" in found
    assert found[0] == "Some prose that is broken somewhere."


def test_a_bad_world_file_is_named(tmp_path: Path) -> None:
    """The file, the key and what is wrong."""
    file = tmp_path / "w.toml"
    file.write_text("page-siez = 4096\n")

    with pytest.raises(UsageError, match=r"^--world: .*w\.toml: page-siez: unknown key"):
        parse("--world", str(file))


def test_arguments_follow_the_programs_name() -> None:
    """The World's own name stays; without arguments nothing changes."""
    assert programs.with_arguments(World(), "hello", []).argv == ()
    assert programs.with_arguments(World(), "hello", ["a", "-b"]).argv == ("hello", "a", "-b")
    assert programs.with_arguments(World(argv=("me", "old")), "hello", ["new"]).argv == ("me", "new")
