"""Binds: what the host shows, what a guest's writes do to it, and that nothing outside is ever reached."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from syscalls import abi
from syscalls.errno import EACCES, EBUSY, EEXIST, ENOENT, ENOTDIR, EPERM, EXDEV, NAMES
from syscalls.world import World
from tests.syscalls.bytememory import BUFFER, Guest, guest

READ, WRITE, OPEN, CLOSE, STAT, RENAME, MKDIR, RMDIR, LINK = 0, 1, 2, 3, 4, 82, 83, 84, 86
MMAP, MPROTECT, MUNMAP, MSYNC, MS_SYNC = 9, 10, 11, 26, 4
UNLINK, SYMLINK, READLINK, CHMOD, CHOWN, MKNOD, TRUNCATE, UTIMENSAT = 87, 88, 89, 90, 92, 133, 76, 280
NS = 1_000_000_000


@dataclass
class Bound:
    """A guest that sees the folder ``in`` of *outer* at /b; what lies beside it must stay as it was."""

    g: Guest
    outer: Path

    @property
    def inner(self) -> Path:
        return self.outer / "in"

    def do(self, nr: int, *args: str | int) -> int:
        """Make a call whose texts are stored one after the other."""
        values, at = [], 4096
        for arg in args:
            values.append(self.g.put(arg.encode() + b"\0", at) if isinstance(arg, str) else arg)
            at += 512
        return self.g.call(nr, *values)

    def write(self, path: str, data: bytes, flags: int = abi.O_CREAT | abi.O_TRUNC) -> int:
        fd = self.do(OPEN, path, flags | abi.O_WRONLY, 0o644)
        if fd < 0:
            return fd
        done = self.g.call(WRITE, fd, self.g.put(data), len(data))
        assert self.g.call(CLOSE, fd) == 0
        return done

    def read(self, path: str) -> bytes | int:
        fd = self.do(OPEN, path, 0, 0)
        if fd < 0:
            return fd
        size = self.g.call(READ, fd, BUFFER, 4096)
        assert self.g.call(CLOSE, fd) == 0
        return self.g.get(size) if size >= 0 else size

    def beside(self) -> dict[str, bytes]:
        """Every file outside of the bind."""
        found = (path for path in self.outer.rglob("*") if path.is_file() and self.inner not in path.parents)
        return {str(path.relative_to(self.outer)): path.read_bytes() for path in found}


def bound(tmp_path: Path, writable: bool) -> Bound:
    inner = tmp_path / "in"
    (inner / "sub").mkdir(parents=True)
    (inner / "file").write_bytes(b"original")
    (inner / "sub" / "deep").write_bytes(b"deep")
    (tmp_path / "secret").write_bytes(b"secret")
    (inner / "up").symlink_to("../secret")
    (inner / "far").symlink_to(tmp_path / "secret")
    (inner / "above").symlink_to("..")
    os.mkfifo(inner / "pipe")
    return Bound(guest(World(binds=((str(inner), "/b", writable),))), tmp_path)


@pytest.fixture(params=[False, True], ids=["memory", "through"])
def both(request: pytest.FixtureRequest, tmp_path: Path) -> Bound:
    """A bind of each kind."""
    return bound(tmp_path, request.param)


@pytest.fixture
def memory(tmp_path: Path) -> Bound:
    """A bind whose writes stay in memory."""
    return bound(tmp_path, False)


@pytest.fixture
def through(tmp_path: Path) -> Bound:
    """A bind that writes through."""
    return bound(tmp_path, True)


def test_the_guest_sees_its_own_writes(both: Bound) -> None:
    """Whichever way they go."""
    assert both.read("/b/file") == b"original"
    assert both.write("/b/file", b"new", abi.O_TRUNC) == 3
    assert both.read("/b/file") == b"new"
    assert both.write("/b/sub/made", b"made") == 4
    assert both.do(RENAME, "/b/sub/made", "/b/moved") == 0
    assert both.read("/b/moved") == b"made"
    assert both.read("/b/sub/made") == -ENOENT
    assert both.do(MKDIR, "/b/folder", 0o755) == 0
    assert both.do(RENAME, "/b/sub", "/b/folder/sub") == 0
    assert both.read("/b/folder/sub/deep") == b"deep"
    assert both.do(UNLINK, "/b/folder/sub/deep") == 0
    assert both.do(RMDIR, "/b/folder/sub") == 0
    assert both.do(LINK, "/b/file", "/b/twin") == 0
    assert both.read("/b/twin") == b"new"
    assert both.do(SYMLINK, "file", "/b/link") == 0
    assert both.read("/b/link") == b"new"
    assert sorted(both.g.kernel.tree.resolve("/b").names()) == [  # type: ignore[attr-defined]  # it is a directory
        "above", "far", "file", "folder", "link", "moved", "twin", "up",
    ]  # fmt: skip


def test_a_bind_in_memory_leaves_the_host_as_it_was(memory: Bound) -> None:
    """Contents, names, permissions and times."""
    before = {path: (path.lstat().st_mtime_ns, path.lstat().st_mode) for path in memory.outer.rglob("*")}
    test_the_guest_sees_its_own_writes(memory)
    assert memory.do(CHMOD, "/b/file", 0o700) == 0
    assert memory.do(TRUNCATE, "/b/file", 1) == 0

    assert {path: (path.lstat().st_mtime_ns, path.lstat().st_mode) for path in memory.outer.rglob("*")} == before
    assert (memory.inner / "file").read_bytes() == b"original"


def test_a_bind_that_writes_through_changes_the_host(through: Bound) -> None:
    """And the host's own changes are seen at once."""
    test_the_guest_sees_its_own_writes(through)
    through.g.kernel.process.umask = 0
    assert through.do(CHMOD, "/b/file", 0o640) == 0
    (through.inner / "host").write_bytes(b"from outside")

    assert (through.inner / "moved").read_bytes() == b"made"
    assert (through.inner / "file").read_bytes() == (through.inner / "twin").read_bytes() == b"new"
    assert (through.inner / "file").stat().st_mode & 0o7777 == 0o640
    assert (through.inner / "link").readlink() == Path("file")
    assert not (through.inner / "sub").exists()
    assert through.read("/b/host") == b"from outside"


def test_links_lead_nowhere_outside(both: Bound) -> None:
    """They are resolved in the guest's tree: .. of the bind is the guest's root, an absolute path the guest's own."""
    outside = both.beside()

    assert both.read("/b/up") == -ENOENT
    assert both.read("/b/far") == -ENOENT
    assert both.read("/b/above/secret") == -ENOENT
    assert both.write("/b/above/new", b"x") == 1  # the guest's root
    assert both.read("/new") == b"x"
    assert both.write(f"/b/..{both.outer}/secret", b"x") == -ENOENT
    assert both.read("/proc/self/root/secret") == -ENOENT
    assert both.read(f"/proc/self/root{both.outer}/secret") == -ENOENT
    assert both.do(SYMLINK, str(both.outer / "secret"), "/b/mine") == 0
    assert both.read("/b/mine") == -ENOENT
    assert both.write("/b/mine", b"x") == -ENOENT  # its folder is not in the guest
    assert both.do(SYMLINK, "../secret", "/b/sub/mine") == 0
    assert both.write("/b/sub/mine", b"y") == 1  # /b/secret
    assert both.beside() == outside


def test_nothing_but_files_folders_and_links_is_shown_or_made(both: Bound) -> None:
    """No pipe, no device, and no program that runs as another user."""
    assert both.read("/b/pipe") == -ENOENT
    assert both.do(MKNOD, "/b/device", abi.S_IFCHR | 0o666, 0x103) == -EPERM
    assert both.do(MKNOD, "/b/socket", abi.S_IFSOCK | 0o666, 0) == -EPERM
    assert not (both.inner / "device").exists()


def test_no_program_for_another_user_is_made(through: Bound) -> None:
    """Set-user-ID and set-group-ID, by chmod and by open; and files stay their owner's."""
    assert through.do(CHMOD, "/b/file", 0o4755) == -EPERM
    assert through.do(CHMOD, "/b/file", 0o2755) == -EPERM
    assert through.do(OPEN, "/b/suid", abi.O_CREAT | abi.O_WRONLY, 0o4755) == -EPERM
    assert through.do(CHOWN, "/b/file", 12345, 12345) == -EPERM
    assert (through.inner / "file").stat().st_mode & 0o7000 == 0
    assert not (through.inner / "suid").exists()


def test_a_link_put_in_place_of_a_folder_is_not_followed(through: Bound) -> None:
    """A host that swaps a folder under an open descriptor leads nowhere either."""
    fd = through.do(OPEN, "/b/sub", abi.O_DIRECTORY, 0)
    (through.inner / "sub").rename(through.inner / "old")
    (through.inner / "sub").symlink_to(through.outer)
    openat = through.g.call(257, fd, through.g.put(b"secret\0", 4096), 0, 0)
    assert openat in (-ENOTDIR, -ENOENT), NAMES.get(-openat)
    made = through.g.call(257, fd, through.g.put(b"made\0", 4096), abi.O_CREAT | abi.O_WRONLY, 0o644)
    assert made in (-ENOTDIR, -ENOENT), NAMES.get(-made)
    assert not (through.outer / "made").exists()


def test_binds_are_mounts(both: Bound) -> None:
    """They cannot be moved or removed, and nothing moves or links across their edge."""
    assert both.do(RMDIR, "/b") == -EBUSY
    assert both.do(RENAME, "/b", "/c") == -EBUSY
    assert both.do(RENAME, "/b/file", "/tmp/file") == -EXDEV
    assert both.do(LINK, "/b/file", "/file") == -EXDEV
    assert both.do(MKDIR, "/b", 0o755) == -EEXIST
    kind = b"virtiofs" if both.g.kernel.world.binds[0][2] else b"overlay"
    mountinfo = both.read("/proc/self/mountinfo")
    assert isinstance(mountinfo, bytes)
    assert b" /b rw,relatime - " + kind + b" bind0 rw" in mountinfo


def test_times_are_the_worlds(through: Bound) -> None:
    """Whatever the host's are; those that the guest sets are the host's too."""
    start = World().clock.realtime

    def times(path: str) -> tuple[int, ...]:
        assert through.do(STAT, path, BUFFER) == 0
        return abi.STAT.unpack(through.g.get(144))[10:16]

    assert times("/b/file") == (start // NS, 0) * 3
    through.g.now[0] = 2_000_000_000  # instructions: a second
    assert through.write("/b/file", b"x") == 1
    assert times("/b/file") == (start // NS, 0, start // NS + 1, 0, start // NS + 1, 0)
    through.g.put(abi.TIMESPEC.pack(5, 6) + abi.TIMESPEC.pack(7, 8), 64)
    assert through.do(UTIMENSAT, abi.AT_FDCWD, "/b/file", BUFFER + 64, 0) == 0
    assert times("/b/file")[:4] == (5, 6, 7, 8)
    assert (through.inner / "file").stat().st_mtime_ns == 7 * NS + 8


def test_an_open_file_lives_on_without_its_name(both: Bound) -> None:
    """Also when the host's file is gone."""
    fd = both.do(OPEN, "/b/file", abi.O_RDWR, 0)
    assert both.do(UNLINK, "/b/file") == 0
    assert both.g.call(WRITE, fd, both.g.put(b"ORI"), 3) == 3
    assert both.g.call(17, fd, BUFFER, 100, 0) == 8
    assert both.g.get(8) == b"ORIginal"
    assert both.g.call(5, fd, BUFFER) == 0
    assert abi.STAT.unpack(both.g.get(144))[2] == 0
    assert both.read("/b/file") == -ENOENT


def test_a_file_alone_can_be_bound(tmp_path: Path) -> None:
    """Read, written through, and not removed."""
    (tmp_path / "one").write_bytes(b"1")
    b = Bound(guest(World(binds=((str(tmp_path / "one"), "/etc/one", True),))), tmp_path)

    assert b.read("/etc/one") == b"1"
    assert b.write("/etc/one", b"22", abi.O_APPEND) == 2
    assert (tmp_path / "one").read_bytes() == b"122"
    assert b.do(UNLINK, "/etc/one") == -EBUSY


def test_a_bind_below_a_bind_that_writes_through(tmp_path: Path) -> None:
    """Each writes to its own place on the host, whatever the one above it has by that name."""
    for name in ("upper", "upper/in", "lower"):
        (tmp_path / name).mkdir()
    (tmp_path / "lower" / "file").write_bytes(b"lower's")
    binds = ((str(tmp_path / "upper"), "/b", True), (str(tmp_path / "lower"), "/b/in", True))
    b = Bound(guest(World(binds=binds)), tmp_path)
    assert b.read("/b/in/file") == b"lower's"
    assert b.write("/b/in/new", b"below") == 5
    assert b.write("/b/new", b"above") == 5
    assert (tmp_path / "lower" / "new").read_bytes() == b"below"
    assert (tmp_path / "upper" / "new").read_bytes() == b"above"
    assert list((tmp_path / "upper" / "in").iterdir()) == []


def test_what_the_host_refuses_is_refused(through: Bound) -> None:
    """A folder that is not ours to write, unless root runs the tests."""
    (through.inner / "sub").chmod(0o555)
    if os.geteuid():
        assert through.write("/b/sub/x", b"x") == -EACCES
    assert through.do(STAT, "/b/sub", BUFFER) == 0
    assert abi.STAT.unpack(through.g.get(144))[3] == 0o040555


def test_a_bind_within_a_bind(tmp_path: Path) -> None:
    """Each writes to its own folder, as what `go test -cover` asks for; over one that writes through, too."""
    for folder in ("outer/sub", "inner", "kept"):
        (tmp_path / folder).mkdir(parents=True)
    binds = (("outer", "/b", True), ("inner", "/b/sub", True), ("kept", "/b/kept", False))
    world = World(binds=tuple((str(tmp_path / host), at, through) for host, at, through in binds))
    b = Bound(guest(world), tmp_path)

    assert b.write("/b/sub/file", b"inner") == 5
    assert b.write("/b/file", b"outer") == 5
    assert b.write("/b/kept/file", b"kept") == 4
    assert b.do(CHMOD, "/b/kept/file", 0o600) == 0
    assert b.do(CHMOD, "/b/sub", 0o700) == 0
    assert (tmp_path / "inner" / "file").read_bytes() == b"inner"
    assert (tmp_path / "inner").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "outer" / "file").read_bytes() == b"outer"
    assert not list((tmp_path / "kept").iterdir())
    assert not list((tmp_path / "outer" / "sub").iterdir())


def test_stores_into_a_mapping_are_written_and_nothing_else(through: Bound) -> None:
    """As when two have a page cache in common: what others wrote beside them stays, as do files that are only read."""
    (through.inner / "file").write_bytes(b"0123456789" * 500)
    fd = through.do(OPEN, "/b/file", abi.O_RDWR, 0)
    at = through.g.call(MMAP, 0, 8192, abi.PROT_READ | abi.PROT_WRITE, abi.MAP_SHARED, fd, 0)
    assert at > 0
    with (through.inner / "file").open("r+b") as host:
        host.write(b"HOST")
    through.g.mem.write(at + 4998, b"mapped")
    through.g.mem.write(at + 7, b"M")
    assert (through.inner / "file").read_bytes()[:10] == b"HOST456789"  # nobody could tell yet
    assert through.g.call(MSYNC, at, 8192, MS_SYNC) == 0
    assert (through.inner / "file").read_bytes() == b"HOST456M89" + b"0123456789" * 498 + b"01234567ma"

    fd = through.do(OPEN, "/b/sub/deep", 0, 0)
    assert through.g.call(MMAP, 0, 4096, abi.PROT_READ | abi.PROT_WRITE, abi.MAP_SHARED, fd, 0) == -EACCES
    shown = through.g.call(MMAP, 0, 4096, abi.PROT_READ, abi.MAP_SHARED, fd, 0)
    assert shown > 0
    assert through.g.call(MPROTECT, shown, 4096, abi.PROT_READ | abi.PROT_WRITE) == -EACCES


def test_a_file_is_mapped_as_it_is_by_then(through: Bound) -> None:
    """Once the last mapping is gone, the next one shows what others wrote since."""
    fd = through.do(OPEN, "/b/file", abi.O_RDWR, 0)
    for text in (b"original", b"another's", b"a third"):
        (through.inner / "file").write_bytes(text)
        at = through.g.call(MMAP, 0, 4096, abi.PROT_READ | abi.PROT_WRITE, abi.MAP_SHARED, fd, 0)
        assert through.g.mem.read(at, len(text)) == text
        through.g.mem.write(at, b"A")
        assert through.g.call(MUNMAP, at, 4096) == 0
        assert (through.inner / "file").read_bytes() == b"A" + text[1:]


def test_stores_do_not_bring_back_what_others_cut_off(through: Bound) -> None:
    """A page behind the end of the file by now is nobody's, and one at its end is written up to there."""
    (through.inner / "file").write_bytes(b"." * 9000)
    fd = through.do(OPEN, "/b/file", abi.O_RDWR, 0)
    at = through.g.call(MMAP, 0, 9000, abi.PROT_READ | abi.PROT_WRITE, abi.MAP_SHARED, fd, 0)
    os.truncate(through.inner / "file", 4200)
    for offset in (10, 4190, 4500, 8500):
        through.g.mem.write(at + offset, b"#")

    assert through.g.call(MUNMAP, at, 9000) == 0
    content = (through.inner / "file").read_bytes()
    assert len(content) == 4200
    assert [offset for offset, byte in enumerate(content) if byte == ord("#")] == [10, 4190]
