"""Campaigns as users run them: processes that find planted defects, are killed, go on, and replay what they found."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.planted import PROGRAM, defect_of
from emu.fuzz.finding import about_of, read, tree
from emu.fuzz.grammar import CALL_ROWS
from emu.fuzz.plan import ERRNO, Answer, Plan, decode, signed
from syscalls.errno import EBADF, EINVAL

Binary = Callable[[str], Path]
RUNS = 400
KILLS = int(os.environ.get("RT0_KILLS", "3"))
REPLAYS = int(os.environ.get("RT0_REPLAYS", "1"))


def rt0(*arguments: str | Path, accel: bool = True) -> subprocess.CompletedProcess[str]:
    environment = os.environ | ({} if accel else {"RT0_ACCEL": "0"})
    command = [sys.executable, "-c", "from emu.cli.main import entry; entry()", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def start(*arguments: str | Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", "from emu.cli.main import entry; entry()", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def summary(out: Path) -> Any:
    return json.loads((out / "summary.json").read_bytes())


def items(out: Path) -> set[str]:
    return {path.name for path in (out / "corpus").iterdir()}


def whole(out: Path) -> set[str]:
    """The items that were written to their ends."""
    return {name for name in items(out) if not name.startswith(".")}


def defects(out: Path) -> set[str]:
    return {name for path in tree(out) if (name := defect_of(about_of(path)))}


@pytest.fixture(scope="module")
def campaign(binary: Binary, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a short campaign on the program with planted defects."""
    out = tmp_path_factory.mktemp("campaign")
    done = rt0("fuzz", binary(PROGRAM), "--out", out, "--max-runs", str(RUNS), "--seed", "1", "--tier", "hostile")
    assert (done.returncode, done.stderr) == (0, "")
    return out


def test_planted_defects_are_found(campaign: Path) -> None:
    """A second or two are enough for the one that one answer leads to."""
    assert "one" in defects(campaign)


def test_the_summary_says_what_is_there(campaign: Path) -> None:
    """Counts, and each finding by the name of its folder."""
    said = summary(campaign)

    assert set(said) == {"executions", "seconds", "executions_per_second", "edges", "corpus", "findings"}
    assert said["executions"] == RUNS
    assert said["corpus"] == len(items(campaign)) > 5
    assert said["edges"] > 100
    for found in said["findings"]:
        about = about_of(campaign / "findings" / found["name"] / "world.toml")
        assert found == {
            "name": found["name"], "outcome": about.outcome, "function": about.function, "tier": about.tier,
        }  # fmt: skip
    assert len(said["findings"]) == len(tree(campaign))


def test_a_finding_is_few_simple_answers(campaign: Path) -> None:
    """What one answer is enough for has one rule, and the folder has the record of just that World."""
    assert "one" in defects(campaign)
    for path in tree(campaign):
        if defect_of(about_of(path)) == "one":
            assert len(read(path).world.responses) == 1, path
        record = json.loads((path.parent / "record.json").read_bytes())
        expected = about_of(path)
        assert record["outcome"]["kind"] == ("reached" if expected.kind == "wrong-value" else expected.outcome)
        assert path.parent.name in (path.parent / "README.md").read_text()


def test_findings_replay_in_another_process_without_the_accelerator(campaign: Path) -> None:
    """The same outcome, each time, on the slower engine."""
    total = len(tree(campaign))
    done = rt0("replay", campaign, "--times", str(REPLAYS), accel=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == f"{total} of {total} as they were"


def test_a_finding_boots_to_its_outcome(campaign: Path, binary: Binary) -> None:
    """`rt0 boot --world` takes the file as it is."""
    assert tree(campaign)
    for path in tree(campaign):
        done = rt0("boot", binary(PROGRAM), "--world", path, "--until", about_of(path).until, "--json")

        assert json.loads(done.stdout)["outcome"]["kind"] == json.loads((path.parent / "record.json").read_bytes())[
            "outcome"
        ]["kind"]  # fmt: skip


def test_a_finding_that_does_something_else_is_said(campaign: Path, tmp_path: Path) -> None:
    """Without its answers nothing happens: exit status 1, and a line that says so."""
    path = next(path for path in tree(campaign) if defect_of(about_of(path)) == "one")
    changed = tmp_path / "world.toml"
    changed.write_text(path.read_text().partition("[[response]]")[0])
    done = rt0("replay", changed)

    assert done.returncode == 1
    assert "differs: expected wrong-value in runtime.getproccount; ok" in done.stdout


def test_the_same_seed_finds_the_same(campaign: Path, binary: Binary, tmp_path: Path) -> None:
    """One process, one seed, as many runs: the same corpus and the same findings."""
    rt0("fuzz", binary(PROGRAM), "--out", tmp_path, "--max-runs", str(RUNS), "--seed", "1", "--tier", "hostile")

    assert items(tmp_path) == items(campaign)
    for path in tree(campaign):
        assert (tmp_path / path.relative_to(campaign)).read_text() == path.read_text()


def test_a_killed_campaign_loses_nothing(binary: Binary, tmp_path: Path) -> None:
    """SIGKILL at random moments: corpus and findings are readable, and the next campaign goes on with them."""
    rng = random.Random(5)
    before: set[str] = set()
    executions = 0
    for seed in range(KILLS):
        process = start("fuzz", binary(PROGRAM), "--out", tmp_path, "--seed", str(seed))
        if not before:  # a busy machine may need longer to begin
            deadline = time.monotonic() + 60
            while not ((tmp_path / "corpus").exists() and whole(tmp_path)) and time.monotonic() < deadline:
                time.sleep(0.05)
        time.sleep(rng.uniform(0.5, 2.5))
        process.kill()
        process.communicate()
        if (tmp_path / "summary.json").exists():
            assert summary(tmp_path)["executions"] >= executions
            executions = summary(tmp_path)["executions"]
        if (tmp_path / "corpus").exists():
            assert items(tmp_path) >= before
            before = whole(tmp_path)
        assert before
        assert all(decode((tmp_path / "corpus" / name).read_bytes()).answers for name in before)
        for folder in (tmp_path / "findings").glob("[!.]*"):
            assert read(folder / "world.toml").about.kind
            assert json.loads((folder / "record.json").read_bytes())["outcome"]
    done = rt0("fuzz", binary(PROGRAM), "--out", tmp_path, "--max-runs", "200", "--quiet")

    assert (done.returncode, done.stderr) == (0, "")
    assert items(tmp_path) >= before
    assert summary(tmp_path)["executions"] >= executions + 200
    assert list((tmp_path / "pending").iterdir()) == []
    assert list(tmp_path.rglob(".new-*")) == []


def test_what_was_found_and_not_explained_is_explained_by_the_next(binary: Binary, tmp_path: Path) -> None:
    """A plan in pending/ is all that a process leaves that was killed while it made a finding small."""
    refused = Answer(CALL_ROWS["sched_getaffinity"], 1, ERRNO, signed(EINVAL))
    needless = Answer(CALL_ROWS["fcntl"], 9, ERRNO, signed(EBADF))
    (tmp_path / "pending").mkdir()
    (tmp_path / "pending" / "found").write_bytes(Plan((needless, refused)).encode())
    rt0("fuzz", binary(PROGRAM), "--out", tmp_path, "--max-runs", "1", "--tier", "hostile")

    assert list((tmp_path / "pending").iterdir()) == []
    assert defects(tmp_path) == {"one"}
    assert [response.call for path in tree(tmp_path) for response in read(path).world.responses] == [
        "sched_getaffinity"
    ]


def test_interrupting_ends_a_campaign_in_order(binary: Binary, tmp_path: Path) -> None:
    """SIGINT: the summary on disk and on the screen, exit status 130."""
    process = start("fuzz", binary(PROGRAM), "--out", tmp_path)
    deadline = time.monotonic() + 30
    while not (tmp_path / "summary.json").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=30)

    assert (process.returncode, error) == (130, "")
    assert out.startswith(f"{summary(tmp_path)['executions']:,} runs in ")


@pytest.mark.parametrize("said", ["", "{", "[]", "\xff"])
def test_a_damaged_state_costs_counts_only(tmp_path: Path, said: str) -> None:
    """What a full disk or an editor left of state/0.json: the campaign goes on, and counts from nothing."""
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "0.json").write_bytes(said.encode("latin-1"))

    done = rt0("fuzz", "--out", tmp_path, "--max-runs", "3")

    assert (done.returncode, done.stderr) == (0, "")
    assert summary(tmp_path)["executions"] == 3


def test_two_processes_share_a_campaign(binary: Binary, tmp_path: Path) -> None:
    """Both search, the runs are divided, the summary is the sum."""
    done = rt0("fuzz", binary(PROGRAM), "--out", tmp_path, "--max-runs", "601", "--jobs", "2", "--quiet")

    assert (done.returncode, done.stderr) == (0, "")
    parts = [json.loads(path.read_bytes())["executions"] for path in sorted((tmp_path / "state").iterdir())]
    assert parts[0] >= 301
    assert parts[1] >= 300
    assert summary(tmp_path)["executions"] == sum(parts)


def test_a_corpus_is_merged_and_made_small(campaign: Path, binary: Binary, tmp_path: Path) -> None:
    """Another campaign's inputs come in; those that add nothing go, and a second time changes nothing."""
    rt0("fuzz", binary(PROGRAM), "--out", tmp_path, "--max-runs", "1", "--merge", campaign, "--tier", "hostile")
    merged = items(tmp_path)
    first = rt0("fuzz", binary(PROGRAM), "--out", tmp_path, "--minimise", "--tier", "hostile")
    kept = items(tmp_path)
    second = rt0("fuzz", binary(PROGRAM), "--out", tmp_path, "--minimise", "--tier", "hostile")

    assert merged == items(campaign)
    assert first.stdout == f"{len(merged)} inputs, of which {len(kept)} have all the coverage and were kept\n"
    assert 0 < len(kept) < len(merged)
    assert second.stdout == f"{len(kept)} inputs, of which {len(kept)} have all the coverage and were kept\n"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--out", "summary.json"], "--out: summary.json: not a directory"),
        (["--out", ""], "--out: no folder is named"),
        (["--minimise", "--out", "none"], "--minimise: none: no campaign is there"),
        (["--from", "runtime.nowhere"], "--from or --until: "),
        (["--until", "runtime.nowhere"], "--from or --until: "),
        (["--merge", "absent"], "--merge: absent: no such directory"),
        (["--tier", "soft"], "invalid choice"),
        (["--time", "-1"], "--time: '-1' is no number of seconds, such as 60 or 0.5"),
        (["--max-runs", "0"], "--max-runs: '0' is no number from 1 on"),
        (["--jobs", "none"], "--jobs"),
        (["--set", "nonsense=1"], "nonsense"),
        (["--also", "absent"], "absent"),
        (["--max-instructions", "1000"], "hello does not get to runtime.osinit: more than 1000 instructions"),
        (["--max-instructions", "1000", "--jobs", "2"], "hello does not get to runtime.osinit: more than 1000 "),
    ],
)
def test_bad_usage_is_one_line(
    arguments: list[str], problem: str, campaign: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit status 2, one line that says what is wrong, nothing else."""
    monkeypatch.chdir(campaign)
    out = [] if "--out" in arguments else ["--out", "other"]
    done = subprocess.run(
        [sys.executable, "-c", "from emu.cli.main import entry; entry()", "fuzz", "--max-runs", "2", *out, *arguments],
        capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("rt0: ")
    assert done.stderr.count("\n") == 1
    assert problem in done.stderr


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_full_disk_is_one_line(tmp_path: Path, jobs: str) -> None:
    """From any of the processes: which file has no room, and status 2.  A limit of 4 KiB a file stands for the disk."""
    command = f"{Path(sys.executable).with_name('rt0')} fuzz --tier hostile --max-runs 2000 --jobs {jobs} --out ."
    done = subprocess.run(
        ["sh", "-c", f"ulimit -f 8; {command}"], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("rt0: --out: ")
    assert done.stderr.endswith("file too large\n")


def test_a_finding_whose_program_is_not_at_hand(campaign: Path, tmp_path: Path) -> None:
    """A finding that came from another machine says which program it is about, and takes one by name."""
    path = tree(campaign)[0]
    changed = tmp_path / "world.toml"
    text = path.read_text()
    place = about_of(path).path
    changed.write_text(text.replace(place, ""))

    missing = rt0("replay", changed)
    assert (missing.returncode, missing.stdout) == (2, "")
    assert f"its program, {PROGRAM}" in missing.stderr
    assert rt0("replay", changed, "--binary", place).returncode == 0
