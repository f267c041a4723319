"""Differences between two boots: none where there is none, each where it is, with the World's key behind it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from emu.boot.record import BootRecord
from emu.compare import explain
from emu.compare.diff import diff
from tests.booted import booted

Rows = list[dict[str, Any]]


def by_name(rows: Rows) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in rows}


def function(found: Any, name: str) -> dict[str, Any]:
    (unit,) = (unit for unit in found["functions"] if unit["name"] == name)
    return dict(unit)


def test_the_same_record_has_no_differences() -> None:
    """Nothing in any part of it; and another name of the file is none."""
    record = booted()
    renamed = replace(record, binary={**record.binary, "name": "other"})

    for found in (diff(record, record), diff(record, renamed)):
        assert found["equal"]
        assert all(unit["same"] for unit in found["functions"])
        assert len(found["functions"]) == len(record.functions)
        assert found["globals"] == {"equal": len(record.globals), "changed": [], "removed": [], "added": []}
        assert [found[part] for part in ("world", "values", "views", "missing", "other_syscalls")] == [[]] * 5
        assert (found["notes"], found["output"]) == ({"a": [], "b": []}, None)


def test_one_more_cpu() -> None:
    """2 and 3 CPUs: the mask, its count, what follows from it, and that the key `cpus` decides it."""
    found = diff(booted(), booted(None, "cpus=3"))

    assert [change["key"] for change in found["world"]] == ["cpus", "possible-cpus"]
    assert found["world"][0] == {"key": "cpus", "a": "0-1", "b": "0-2"}
    values = by_name(found["values"])
    for name, a, b in (("ncpu", 2, 3), ("gomaxprocs", 2, 3), ("sched.npidle", 1, 2), ("stealOrder.count", 2, 3)):
        assert (values[name]["a"]["value"], values[name]["b"]["value"], values[name]["from"]) == (a, b, ["cpus"])
    assert "physPageSize" not in values

    counted = function(found, "runtime.getCPUCount")
    assert counted["results"] == [{"path": "[0]", "kind": "value", "a": 2, "b": 3}]
    (call,) = counted["syscalls"]
    assert [call[side]["arguments"][2]["hex"] for side in "ab"] == ["0300000000000000", "0700000000000000"]
    assert counted["instructions"]["delta"] == counted["own"]["delta"] > 0
    written = by_name(function(found, "runtime.osinit")["writes"])["runtime.numCPUStartup"]
    assert [(written[side]["before"], written[side]["after"]) for side in "ab"] == [(0, 2), (0, 3)]
    assert function(found, "runtime.mallocinit")["same"]
    assert by_name(found["globals"]["changed"])["runtime.numCPUStartup"]["b"]["value"] == 3
    assert {"path": "runtime.allp[2].id", "kind": "value", "b": 2} in by_name(found["views"])["runtime.allp"]["changed"]


@pytest.mark.parametrize(
    ("settings", "name", "keys"),
    [
        (("page-size=16384",), "physPageSize", ["page-size"]),
        (("thp=absent",), "physHugePageSize", ["thp.pmd-size"]),
        (("env.GOGC=50",), "gcPercent", ["env.GOGC"]),
        (("env.GOGC=50",), "heapMinimum", ["env.GOGC"]),
        (("env.GOMAXPROCS=1", "cpus=3"), "gomaxprocs", ["cpus", "env.GOMAXPROCS"]),
        (("seed=2", "cpus=3"), "aeskeysched", ["seed"]),
        (("cpuid.aes=false", "cpus=3"), "useAeshash", ["cpuid.features.aes"]),
        (("process.sigmask=0x2",), "initSigmask", ["process.sigmask"]),
        (("process.secure=true",), "secureMode", ["process.secure"]),
    ],
)
def test_a_value_knows_which_key_decides_it(settings: tuple[str, ...], name: str, keys: list[str]) -> None:
    """Of all keys that differ, only those that the value depends on."""
    found = diff(booted(), booted(None, *settings))

    assert by_name(found["values"])[name]["from"] == keys
    assert set(keys) <= {change["key"] for change in found["world"]}


def test_addresses_are_told_apart() -> None:
    """One more variable in the environment moves the stack, and changes no value that does not depend on it."""
    found = diff(booted(), booted(None, f"env.MORE={'x' * 100}"))

    values = by_name(found["values"])
    assert values["argv"]["kind"] == "address"
    assert values["argv"]["from"] == ["env.MORE"]
    assert values["envs"]["kind"] == "value"
    assert "ncpu" not in values


def test_across_releases(binary: Callable[[str], Path]) -> None:
    """Go 1.13.8 and 1.27.3: functions by descent, variables by their other names, the inlined in what holds them."""
    found = diff(booted(binary("esbuild-0.1.0")), booted(binary("hello-1.27.3")))

    assert found["world"] == []
    counted = function(found, "runtime.getCPUCount")
    assert (counted["relation"], counted["a"]["names"]) == ("renamed", ["runtime.getproccount"])
    assert counted["results"] == []
    debug = function(found, "runtime.parseRuntimeDebugVars")
    assert (debug["relation"], debug["a"]["names"]) == ("split", ["runtime.parsedebugvars"])
    schedinit = function(found, "runtime.schedinit")
    assert set(schedinit["inlined"]["a"]) >= {"runtime.moduledataverify", "runtime.cpuinit", "runtime.stackinit"}
    assert function(found, "runtime.checkfds")["relation"] == "added"
    # Written by two functions, and equal: gcinit did what (*gcControllerState).init does.
    written = by_name(function(found, "runtime.gcinit")["writes"])["runtime.gcpercent"]
    assert written["elsewhere"] == "runtime.(*gcControllerState).init"
    named = {row["a"]["name"]: row["b"]["name"] for row in found["globals"]["changed"] if row["kind"] == "name"}
    assert named["runtime.ncpu"] == "runtime.numCPUStartup"
    assert named["runtime.gcpercent"] == "runtime.gcController.gcPercent"
    assert named["runtime.useAeshash"] == "internal/runtime/maps.UseAeshash"
    missing = by_name(found["values"])["secureMode"]
    assert (missing["a"], missing["b"]["value"]) == ({"missing": "not in this release"}, False)


def test_both_directions_say_the_same(binary: Callable[[str], Path]) -> None:
    """What is added one way is removed the other, and every count has the other sign."""
    a, b = booted(binary("hello-1.24.11")), booted(binary("hello-1.25.5"))
    there, back = diff(a, b), diff(b, a)

    def relations(found: Any, relation: str) -> list[str]:
        return [unit["name"] for unit in found["functions"] if unit["relation"] == relation]

    assert relations(there, "added") == relations(back, "removed")
    assert relations(there, "removed") == relations(back, "added")
    assert [row["name"] for row in there["globals"]["added"]] == [row["name"] for row in back["globals"]["removed"]]
    assert there["totals"]["instructions"]["delta"] == -back["totals"]["instructions"]["delta"]
    assert there["globals"]["equal"] == back["globals"]["equal"]


def test_outcome_output_and_calls_without_capture() -> None:
    """A throw against a start; and a bare record's system calls, which belong to no function."""
    found = diff(booted(), booted(None, "page-size=1024"))
    assert not found["outcome"]["same"]
    assert found["outcome"]["b"]["kind"] == "throw"
    assert "fatal error" in found["output"]["b"]

    def bare(record: BootRecord) -> BootRecord:
        return replace(record, functions=(), globals={}, views={}, missing={})

    found = diff(bare(booted()), bare(booted(None, "cpus=3")))
    assert [row["name"] for row in found["other_syscalls"] if row["kind"] == "value"] == ["sched_getaffinity"]


def test_the_result_is_json_and_always_the_same() -> None:
    a, b = booted(), booted(None, "cpus=3")

    first, second = (json.dumps(diff(a, b), sort_keys=True) for _ in range(2))

    assert first == second
    assert json.loads(first) == diff(a, b)


def test_worlds_are_flat() -> None:
    """Each variable of the environment, each feature of the CPU and each file is a key of its own."""
    a = {
        "env": ["A=1", "B=2"],
        "cpuid": {"features": ["aes", "avx"]},
        "files": [{"path": "/x", "text": "1"}],
        "seed": 1,
    }
    b = {"env": ["A=1", "B=3"], "cpuid": {"features": ["avx"]}, "files": [{"path": "/x", "text": "2"}], "seed": 1}

    assert explain.changes(a, b) == [
        {"key": "cpuid.features.aes", "a": True},
        {"key": "env.B", "a": "2", "b": "3"},
        {"key": "files./x", "a": {"path": "/x", "text": "1"}, "b": {"path": "/x", "text": "2"}},
    ]
