"""The published schema, against real records and against records with a mistake in them."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from emu.boot.boot import boot
from emu.boot.schema import schema, to_json
from emu.image.image import load
from syscalls.world import World
from tests.booted import BUNDLED, booted

VALIDATOR = jsonschema.Draft202012Validator(schema())


def problems(record: Any) -> list[str]:
    return [f"{'/'.join(map(str, error.path))}: {error.message[:80]}" for error in VALIDATOR.iter_errors(record)]


def test_the_schema_is_one() -> None:
    """It is valid draft 2020-12, and what is printed is the same."""
    jsonschema.Draft202012Validator.check_schema(schema())

    assert json.loads(to_json()) == schema()


@pytest.mark.parametrize(
    "name", ["hello-1.19.8", "hello-1.27.3", "hello-1.27.3-pie", "hello-1.27.3-stripped", "esbuild-0.1.0"]
)
def test_real_records_follow_it(binary: Callable[[str], Path], name: str) -> None:
    """Old and new releases, a PIE and a stripped binary."""
    assert problems(json.loads(booted(binary(name)).to_json())) == []


@pytest.mark.parametrize(
    "settings",
    [
        ("page-size=1024",),
        ("auxv.AT_RANDOM=4096",),
        ("limits.instructions=20000",),
        ("thp=absent", "cpus=0x5"),
        ("vdso=false",),
    ],
    ids=str,
)
def test_records_of_every_outcome_follow_it(settings: tuple[str, ...]) -> None:
    """A throw, a fatal signal, a limit, and Worlds with other answers."""
    assert problems(json.loads(booted(BUNDLED, *settings).to_json())) == []


def test_a_bare_record_follows_it() -> None:
    """Without capture there are no functions, and system calls belong to none."""
    record = boot(load(BUNDLED), World(), capture=False).as_dict()

    assert record["functions"] == []
    assert {call["after_call"] for call in record["syscalls"]} == {None}
    assert problems(record) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("schema",), "rt0.boot/2"),
        (("outcome", "kind"), "finished"),
        (("outcome", "pc"), 4711),
        (("totals", "instructions"), -1),
        (("functions", 0, "pc"), 4711),
        (("functions", 3, "writes"), [{"name": "runtime.ncpu"}]),
        (("syscalls", 0, "arguments", 0), None),
        (("syscalls", 1, "arguments", 2), {"addr": "0x1000", "size": 8}),
        (("syscalls", 0, "errno"), "no such file"),
        (("missing",), {"ncpu": 3}),
    ],
    ids=str,
)
def test_a_wrong_record_is_refused(path: tuple[str | int, ...], value: Any) -> None:
    """One wrong value anywhere is found."""
    record = copy.deepcopy(booted().as_dict())
    place: Any = record
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value

    assert problems(record) != []


@pytest.mark.parametrize("name", sorted(schema()["required"]))
def test_nothing_may_be_left_out(name: str) -> None:
    """Every part of the record is required."""
    record = booted().as_dict()
    del record[name]

    assert problems(record) != []
