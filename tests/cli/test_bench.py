"""``rt0 bench``: files, screens, exit statuses, one-line errors."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from emu.bench.recording import to_json
from emu.cli.main import main
from tests.bench.recordings import recording, row
from tests.booted import BUNDLED

HELLO = str(BUNDLED)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder, the current one, with two recordings: new.json has ten instructions more than old.json."""
    for name, extra in (("old", 0), ("new", 10)):
        rows = row("runtime.schedinit", 200 + extra), row("runtime.osinit", 800)
        (tmp_path / f"{name}.json").write_text(to_json([recording(*rows)]) + "\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_record_writes_the_file_and_says_what_it_found(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line a program; the file is one line of JSON with sorted keys."""
    assert main(["bench", "record", HELLO, HELLO, "-o", "out.json", "--cpus", "3"]) == 0

    text = (files / "out.json").read_text()
    whole = json.loads(text)
    assert text == json.dumps(whole, sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n"
    assert whole["schema"] == "rt0.bench/1"
    assert [one["world"]["cpus"] for one in whole["programs"]] == ["0-2", "0-2"]
    assert "0-2" in str(whole["programs"][0]["world"])
    shown = f"hello (go1.27.3): {whole['programs'][0]['totals']['instructions']:,} instructions, 62 system calls, "
    assert capsys.readouterr().out.splitlines()[0].startswith(shown)


def test_recording_of_a_program_compared_with_itself(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two recordings are identical, and nothing moved."""
    for name in ("a.json", "b.json"):
        assert main(["bench", "record", HELLO, "-o", name, "--quiet"]) == 0

    assert (files / "a.json").read_bytes() == (files / "b.json").read_bytes()
    assert main(["bench", "compare", "a.json", "b.json", "--fail-over", "0"]) == 0
    assert "Nothing moved." in capsys.readouterr().out


def test_record_passes_arguments_on(files: Path) -> None:
    """What follows -- is the program's."""
    assert main(["bench", "record", HELLO, "-o", "out.json", "--quiet", "--", "--port", "80"]) == 0

    (one,) = json.loads((files / "out.json").read_text())["programs"]
    assert one["world"]["argv"] == ["hello", "--port", "80"]


def test_record_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    """As JSON and as benchmarks; nothing else is printed."""
    assert main(["bench", "record", HELLO, "-o", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["schema"] == "rt0.bench/1"
    assert main(["bench", "record", HELLO, "-o", "-", "--format", "benchstat"]) == 0
    assert capsys.readouterr().out.startswith("goos: linux\n")


def test_profile_needs_no_recording(files: Path) -> None:
    """--pprof alone writes a compressed profile; the same bytes each time."""
    for name in ("a.pb.gz", "b.pb.gz"):
        assert main(["bench", "record", HELLO, "--pprof", name, "--quiet"]) == 0

    assert (files / "a.pb.gz").read_bytes() == (files / "b.pb.gz").read_bytes()
    assert b"runtime.schedinit" in gzip.decompress((files / "a.pb.gz").read_bytes())


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize(
    ("options", "status"),
    [
        ([], 1),
        (["--fail-over", "1%"], 0),
        (["--fail-over", "0.9%"], 1),
        (["--fail-over", "schedinit=9"], 1),
        (["--fail-over", "schedinit=10", "--fail-over", "osinit=0"], 0),
        (["--fail-over", "schedinit=10", "--fail-over", "syscalls:0", "--fail-over", "5"], 1),
        (["--quiet"], 1),
        (["--format", "benchstat"], 1),
    ],
)
def test_exit_status_of_compare(options: list[str], status: int, capsys: pytest.CaptureFixture[str]) -> None:
    """1 for a regression, 0 otherwise; standard error stays empty."""
    assert main(["bench", "compare", "old.json", "new.json", *options]) == status
    assert capsys.readouterr().err == ""
    assert main(["bench", "compare", "new.json", "old.json", *options]) == 0


@pytest.mark.usefixtures("files")
def test_screen_of_compare(capsys: pytest.CaptureFixture[str]) -> None:
    """The totals, what moved and why, the verdict last."""
    main(["bench", "compare", "old.json", "new.json"])

    assert capsys.readouterr().out.splitlines() == [
        "server (go1.27.3, the same program)",
        "",
        "                             old             new          change",
        "  instructions             1,000           1,010             +10    +1.00 %",
        "",
        "What moved, by instructions of its own:",
        "  runtime.schedinit  +10 (200 -> 210, +5.00 %)",
        "      its own code: +10",
        "",
        "regression: instructions in all +10 (+1.00 %), allowed 0",
    ]


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("option", [["--json"], ["--format", "json"]])
def test_json_of_compare(option: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Everything that the screen shows, for scripts."""
    assert main(["bench", "compare", "old.json", "new.json", *option]) == 1

    whole = json.loads(capsys.readouterr().out)
    (one,) = whole["programs"]
    assert (whole["schema"], whole["ok"], whole["only_old"], whole["only_new"]) == (
        "rt0.bench-compare/1",
        False,
        [],
        [],
    )
    assert one["totals"]["instructions"] == {"old": 1000, "new": 1010}
    assert one["functions"][0]["name"] == "runtime.schedinit"
    assert one["functions"][0]["causes"] == [
        {"kind": "code", "name": "runtime.schedinit", "old": 200, "new": 210, "calls": {"old": 1, "new": 1}}
    ]
    assert one["regressions"] == [
        {"threshold": "0", "metric": "instructions", "function": None, "old": 1000, "new": 1010}
    ]


def test_programs_of_one_side_are_named(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """They are no regression, and no secret."""
    programs = [recording(row("runtime.args", 7), name=name) for name in ("a", "b", "c")]
    (files / "ab.json").write_text(to_json(programs[:2]))
    (files / "bc.json").write_text(to_json(programs[1:]))

    assert main(["bench", "compare", "ab.json", "bc.json"]) == 0
    out = capsys.readouterr().out
    assert "only in ab.json: a\n" in out
    assert "only in bc.json: c\n" in out


BAD = {
    "no command": ([], "bench: a command is missing"),
    "another command": (["recrod"], "bench: no command 'recrod'"),
    "no file": (["record", HELLO], "bench record: -o FILE or --pprof FILE is missing"),
    "two profiles": (["record", HELLO, HELLO, "--pprof", "x"], "bench record: --pprof takes one program at a time"),
    "no program": (["record", "absent", "-o", "x"], "absent: no such file"),
    "not Go": (["record", "/bin/true", "-o", "x"], "/bin/true: not a Go program"),
    "over a program": (["record", HELLO, "-o", HELLO], f"-o: {HELLO} is a program, not to be overwritten"),
    "no folder": (["record", HELLO, "--pprof", "no/x"], "--pprof: no/x: no such directory"),
    "a World's error": (["record", HELLO, "-o", "x", "--cpus", "no"], "--cpus: "),
    "not reached": (["record", HELLO, "-o", "x", "--page-size", "1024"], "hello did not reach runtime.mstart: throw: "),
    "absent": (["compare", "absent", "new.json"], "absent: no such file"),
    "a folder": (["compare", ".", "new.json"], ".: is a directory"),
    "not text": (["compare", HELLO, "new.json"], "not a recording: not text"),
    "not JSON": (["compare", "noise", "new.json"], "noise: not JSON"),
    "deep JSON": (["compare", "deep", "new.json"], "deep: not JSON"),
    "other JSON": (["compare", "other", "new.json"], "other: not a recording: its schema is None"),
    "of nothing": (["compare", "nothing", "new.json"], "nothing: a recording of no program"),
    "no pair": (["compare", "ab", "cd"], "no program is in both: ab has a, b; cd has c, d"),
    "threshold": (["compare", "old.json", "new.json", "--fail-over", "x"], "--fail-over: 'x' is not [METRIC:]"),
    "its function": (["compare", "old.json", "new.json", "--fail-over", "f=1"], "has a function f"),
    "format": (["compare", "old.json", "new.json", "--format", "xml"], "bench compare: argument --format"),
}


@pytest.mark.parametrize(("words", "complaint"), BAD.values(), ids=BAD)
def test_mistakes_are_one_line(
    words: list[str], complaint: str, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 2, nothing on standard output, no file left behind."""
    (files / "noise").write_text("{")
    (files / "deep").write_text("[" * 100_000)
    (files / "other").write_text("[1]")
    (files / "nothing").write_text('{"schema":"rt0.bench/1","programs":[]}')
    for name in ("ab", "cd"):
        (files / name).write_text(to_json([recording(row("runtime.args", 7), name=one) for one in name]))
    before = sorted(files.iterdir())

    assert main(["bench", *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert complaint in err
    assert err.count("\n") == 1
    assert sorted(files.iterdir()) == before


def test_damaged_recordings_are_refused(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever field is missing or of another kind: one line that names it, never a traceback."""
    whole = json.loads((files / "old.json").read_text())
    assert len(places(whole)) > 20
    for place in places(whole):
        value: object
        for value in (None, -1, "x", [], {}, 1.5, True):
            damaged = json.loads(json.dumps(whole))
            at = damaged
            for step in place[:-1]:
                at = at[step]
            if at[place[-1]] == value or (type(at[place[-1]]) is type(value) and not isinstance(value, int)):
                continue
            at[place[-1]] = value
            (files / "damaged.json").write_text(json.dumps(damaged))
            status = main(["bench", "compare", "damaged.json", "new.json"])
            err = capsys.readouterr().err
            optional = place[-1] == "writes" and value is None
            assert (status, err.count("\n")) == ((1, 0) if optional else (2, 1)), (place, value, err)


def places(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The path of every value below *value*."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, part in inner for found in ((*path, key), *places(part, (*path, key)))]


def test_nothing_is_left_of_a_file_that_could_not_be_written(
    files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A full disk, or Ctrl-C while writing: the old file stays as it was."""
    (files / "out.json").write_text("old")
    for error, status in ((OSError(28, "No space left on device"), 2), (KeyboardInterrupt(), 130)):

        def fail(*_: object, _error: BaseException = error) -> None:
            raise _error

        with monkeypatch.context() as patched:
            patched.setattr("os.replace", fail)
            assert main(["bench", "record", HELLO, "-o", "out.json", "--quiet"]) == status
        assert capsys.readouterr().err.count("\n") == 1

    assert (files / "out.json").read_text() == "old"
    assert sorted(path.name for path in files.iterdir()) == ["new.json", "old.json", "out.json"]


@pytest.mark.parametrize("words", [["--help"], ["record", "--help"], ["compare", "--help"]])
def test_help_has_examples(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Each page shows how the command is used and how it ends."""
    assert main(["bench", *words]) == 0
    assert "examples:" in capsys.readouterr().out


def test_fetched_programs_need_nothing_else(files: Path, binary: Callable[[str], Path]) -> None:
    """A program from a registry, of another release, beside the bundled one in one recording."""
    path = str(binary("esbuild-0.1.0"))
    assert main(["bench", "record", path, HELLO, "-o", "out.json", "--quiet"]) == 0

    assert [one["go"] for one in json.loads((files / "out.json").read_text())["programs"]] == ["go1.13.8", "go1.27.3"]
