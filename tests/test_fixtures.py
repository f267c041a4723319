"""The fixtures are what the manifest says they are, and the store never hands out anything else."""

from __future__ import annotations

import lzma
import re
import struct
import subprocess
import zipfile
from pathlib import Path

import pytest

from fixtures import fetch, store

BUILT = [name for name, fixture in store.fixtures().items() if isinstance(fixture.origin, store.Built)]
CHOOSY = "hello-1.27.3-v3"  # what it says depends on the CPU: tests/boot/test_odd_links.py
RUNNABLE = [
    name
    for name in BUILT
    if name.startswith(("hello", "planted")) and store.fixtures()[name].kind != "dynamic" and name != CHOOSY
]
ET_EXEC, ET_DYN, PT_INTERP, SHT_SYMTAB = 2, 3, 3, 2


def facts(data: bytes) -> tuple[str, bool, bool]:
    """Return (kind, dwarf, stripped) as ELF64 headers show them; gABI chapters 4 and 5."""
    kind, phoff, shoff = struct.unpack_from("<H", data, 16)[0], *struct.unpack_from("<QQ", data, 32)
    phentsize, phnum, shentsize, shnum = struct.unpack_from("<4H", data, 54)
    interpreter = any(struct.unpack_from("<I", data, phoff + i * phentsize)[0] == PT_INTERP for i in range(phnum))
    symtab = any(struct.unpack_from("<I", data, shoff + i * shentsize + 4)[0] == SHT_SYMTAB for i in range(shnum))
    name = "dynamic" if interpreter else {ET_EXEC: "exec", ET_DYN: "pie"}[kind]
    return name, b"\0.debug_info\0" in data or b"\0.zdebug_info\0" in data, not symtab


@pytest.mark.parametrize("name", BUILT)
def test_committed_binary_is_what_the_manifest_says(name: str) -> None:
    """Content by sha256; kind, DWARF and symbols by the ELF headers; the release by its own build information."""
    fixture = store.fixtures()[name]
    data = store.path(name).read_bytes()

    assert store.checked(fixture, data) == data
    assert facts(data) == (fixture.kind, fixture.dwarf, fixture.stripped)
    assert re.search(rb"\xff Go buildinf:.{18,64}?go([0-9.]+)", data, re.DOTALL) is not None
    assert f"go{fixture.go}".encode() in data


@pytest.mark.parametrize("name", RUNNABLE)
def test_hello_says_test(name: str) -> None:
    """Each committed binary that needs no loader runs natively and prints what its source says."""
    done = subprocess.run([store.path(name)], capture_output=True, check=True, stdin=subprocess.DEVNULL)

    assert done.stdout == b"test\n"


def test_binary_names_no_build_machine() -> None:
    """-trimpath keeps the folders of the machine that built them out."""
    for name in BUILT:
        data = store.path(name).read_bytes()
        assert not re.search(rb"/(root|home|work|tmp)/[a-z]", data), name


def test_fetched_binary_keeps_its_pinned_hash(binary) -> None:  # type: ignore[no-untyped-def]
    """A file that npm delivers is accepted by hash alone."""
    path: Path = binary("esbuild-0.1.0")

    assert store.checked(store.fixtures()["esbuild-0.1.0"], path.read_bytes())


def test_damaged_content_is_refused() -> None:
    """One flipped bit in a committed binary is noticed."""
    fixture = store.fixtures()["hello-1.21.13"]
    assert isinstance(fixture.origin, store.Built)
    content = bytearray(lzma.decompress((store.ROOT / fixture.origin.file).read_bytes()))
    content[4096] ^= 1

    with pytest.raises(store.FixtureError, match=r"hello-1\.21\.13: sha256 is"):
        store.checked(fixture, bytes(content))


def test_unknown_name_lists_what_there_is() -> None:
    """A misspelt fixture says which names exist."""
    with pytest.raises(store.FixtureError, match=r"no fixture 'hello-9'.*hello-1\.27\.3"):
        store.path("hello-9")


def test_truncated_cache_file_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache file that lost its tail is unpacked again."""
    monkeypatch.setenv("RT0_FIXTURES", str(tmp_path))
    path = store.path("hello-1.21.13-stripped")
    path.write_bytes(path.read_bytes()[:1000])

    assert store.path("hello-1.21.13-stripped").stat().st_size == store.fixtures()["hello-1.21.13-stripped"].size


def test_a_wheel_s_member_is_had_or_the_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pip fetches the wheel, here from a folder; a member or release that there is not is refused by name."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with zipfile.ZipFile(tmp_path / "thing-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("thing/tool", b"\x7fELF")
        wheel.writestr("thing-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: thing\nVersion: 1.0\n")
        wheel.writestr("thing-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\n")

    assert fetch.wheel_member("thing==1.0", "thing/tool") == b"\x7fELF"
    with pytest.raises(store.FixtureError, match=r"^thing==1\.0: thing/other is not a file$"):
        fetch.wheel_member("thing==1.0", "thing/other")
    with pytest.raises(store.FixtureError, match=r"(?s)^thing==1\.1: pip download failed: .*No matching"):
        fetch.wheel_member("thing==1.1", "thing/tool")
