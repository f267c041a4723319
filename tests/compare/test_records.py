"""Records read back: whole, or refused with a line that says what is wrong."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from emu.compare.diff import diff
from emu.compare.records import RecordError, load, parse
from emu.report import diff as report
from emu.report.paper import Paper
from tests.booted import booted


@pytest.fixture(scope="module")
def text() -> bytes:
    return booted().to_json().encode()


def test_a_record_comes_back_as_it_was(text: bytes, tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.write_bytes(text)

    assert load(path).to_json().encode() == text


def test_fields_of_later_versions_are_ignored(text: bytes) -> None:
    """As the schema asks its readers to do."""
    found = json.loads(text)
    found["more"] = found["functions"][0]["more"] = found["syscalls"][0]["more"] = 1
    found["functions"][2]["writes"][0]["more"] = 1

    assert parse(json.dumps(found).encode()).to_json().encode() == text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"\n", "the file is empty"),
        (b"\xff\xfe\x00", "not JSON, or cut off: "),
        (b"{", "not JSON, or cut off: "),
        (b"[" * 100_000, "not JSON, or cut off: "),
        (b"[]", "JSON, but no record of a boot (rt0.boot/1)"),
        (b"{}", "JSON, but no record of a boot (rt0.boot/1)"),
        (b'{"schema": "rt0.verify/1"}', "a record of schema 'rt0.verify/1'; this reads 'rt0.boot/1'"),
        (b'{"schema": NaN}', "not JSON, or cut off: NaN is no number of JSON"),
        (b'{"schema": "rt0.boot/1"}', "damaged: record has no 'binary'"),
    ],
)
def test_what_is_no_record_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(RecordError) as caught:
        parse(content)

    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("totals", "instructions"), -1, "record.totals.instructions is less than 0"),
        (("totals", "syscalls"), "many", "record.totals.syscalls is not of type integer"),
        (("totals", "tasks"), True, "record.totals.tasks is not of type integer"),
        (("binary", "sha256"), "abc", "record.binary.sha256 does not look as it should"),
        (("outcome", "kind"), "fine", "record.outcome.kind is none of "),
        (("functions", 3, "parent"), "x", "record.functions[3].parent is none of what it may be"),
        (("functions", 3, "parent"), 3, "record.functions[3].parent is not a call before it"),
        (("functions", 3, "syscalls"), [10_000], "record.functions[3].syscalls names a call that is not there"),
        (("views",), [], "record.views is not of type object"),
    ],
)
def test_damage_is_named(path: tuple[Any, ...], value: object, message: str, text: bytes) -> None:
    found = json.loads(text)
    inner = found
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value

    with pytest.raises(RecordError) as caught:
        parse(json.dumps(found).encode())

    assert str(caught.value).startswith(f"damaged: {message}")


def test_every_cut_is_refused(text: bytes) -> None:
    assert len(text) > 100_000
    for size in range(0, len(text), 997):
        with pytest.raises(RecordError):
            parse(text[:size])


def test_values_of_any_shape_are_compared_and_shown(text: bytes) -> None:
    """500 records in which one value, chosen at random, is another: refused, or compared and shown without a fault."""
    random_ = random.Random(1)
    strange: list[Any] = [
        None,
        -1,
        1 << 70,
        "",
        "0x",
        "\x1b[31m",
        [],
        {},
        [[]],
        {"len": {}, "text": []},
        {"cap": 1, "data": 2},
    ]
    refused = 0
    whole = booted()
    for _ in range(500):
        found = json.loads(text)
        _put(found, random_, random_.choice(strange))
        try:
            record = parse(json.dumps(found).encode())
        except RecordError:
            refused += 1
            continue
        for show_all in (False, True):
            lines = list(report.lines(diff(whole, record), Paper(), show_all))
            assert lines

    assert 0 < refused < 500


def _put(found: Any, random_: random.Random, value: Any) -> None:
    # Goes down at random until it stands before a leaf, or stops on the way, and puts the value there.
    while True:
        keys = list(found) if isinstance(found, dict) else list(range(len(found)))
        key = random_.choice(keys)
        if not isinstance(found[key], dict | list) or not found[key] or random_.random() < 0.1:
            found[key] = value
            return
        found = found[key]
