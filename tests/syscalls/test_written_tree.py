"""The tree that the guest changes: snapshots, room, permissions, locks and listings."""

from __future__ import annotations

import json
import struct
from dataclasses import replace

import pytest

from syscalls import abi, statefile
from syscalls.errno import EACCES, EAGAIN, EFBIG, ENOENT, ENOSPC, EPERM
from syscalls.saved import restore, save
from syscalls.tree import Directory, Node, StoredFile
from syscalls.world import File, Memory, Process, World
from tests.syscalls.bytememory import BUFFER, Guest, guest

READ, WRITE, OPEN, CLOSE, LSEEK, PWRITE, MMAP, FTRUNCATE = 0, 1, 2, 3, 8, 18, 9, 77
RENAME, MKDIR, RMDIR, LINK, UNLINK, SYMLINK, CHMOD, CHOWN, GETDENTS = 82, 83, 84, 86, 87, 88, 90, 92, 217
FCNTL, FLOCK, GETCWD, CHDIR, FCHDIR, ACCESS, STAT = 72, 73, 79, 80, 81, 21, 4
WRONLY, RDWR, CREAT, TRUNC = abi.O_WRONLY, abi.O_RDWR, abi.O_CREAT, abi.O_TRUNC
FILES = (File("/data", b"original"), File("/tmp/d/x", b"x"), File("/tmp/d/y", b"y"))


def do(g: Guest, nr: int, *args: str | int) -> int:
    """Make a call whose texts are stored one after the other."""
    values, at = [], 4096
    for arg in args:
        values.append(g.put(arg.encode() + b"\0", at) if isinstance(arg, str) else arg)
        at += 512
    return g.call(nr, *values)


def write(g: Guest, path: str, data: bytes) -> None:
    fd = do(g, OPEN, path, WRONLY | CREAT | TRUNC, 0o644)
    assert fd >= 0
    assert g.call(WRITE, fd, g.put(data), len(data)) == len(data)
    assert g.call(CLOSE, fd) == 0


def seen(g: Guest) -> dict[str, object]:
    """Everything that a guest could have changed: by path, what it is and holds."""
    found: dict[str, object] = {}
    left: list[Directory] = [g.kernel.tree.root]
    while left:
        folder = left.pop()
        for name in folder.names():
            node = folder.get(name)
            assert node is not None
            if node.path in ("/proc", "/sys", "/dev", "/bin"):
                continue
            content = node.content() if isinstance(node, StoredFile) else None
            found[node.path] = (node.mode, node.inode, node.links, node.size, node.meta, content)
            if isinstance(node, Directory):
                left.append(node)
    return found


def stir(g: Guest) -> None:
    """Change the tree in every way."""
    write(g, "/data", b"changed")
    write(g, "/tmp/new", b"n" * 5000)
    assert do(g, MKDIR, "/tmp/folder", 0o700) == 0
    assert do(g, RENAME, "/tmp/d", "/tmp/folder/d") == 0
    assert do(g, LINK, "/tmp/new", "/tmp/folder/twin") == 0
    assert do(g, SYMLINK, "../new", "/tmp/folder/link") == 0
    assert do(g, UNLINK, "/tmp/folder/d/x") == 0
    assert do(g, CHMOD, "/tmp/folder/d/y", 0o600) == 0
    assert do(g, CHOWN, "/tmp/new", 7, 8) == 0


def test_a_restored_tree_is_the_saved_one() -> None:
    """As often as one likes, forwards and backwards; and nothing is kept while nothing was changed."""
    g = guest(World(files=FILES))
    first, untouched = save(g.kernel), seen(g)
    assert first.tree is None
    stir(g)
    second, changed = save(g.kernel), seen(g)
    assert do(g, UNLINK, "/data") == 0
    write(g, "/tmp/new", b"again")
    assert do(g, RENAME, "/tmp/folder/d", "/tmp/d") == 0
    third, last = save(g.kernel), seen(g)

    for state, what in ((second, changed), (first, untouched), (third, last), (first, untouched), (second, changed)):
        restore(g.kernel, state)
        assert seen(g) == what
    restore(g.kernel, first)
    stir(g)
    assert seen(g) == changed


def test_open_files_are_restored_with_the_tree() -> None:
    """Also one that has no name any more."""
    g = guest(World(files=FILES))
    write(g, "/tmp/gone", b"before")
    fd = do(g, OPEN, "/tmp/gone", RDWR, 0)
    assert do(g, UNLINK, "/tmp/gone") == 0
    state = save(g.kernel)
    assert g.call(PWRITE, fd, g.put(b"AFTER, and longer"), 17, 0) == 17

    restore(g.kernel, state)
    assert g.call(READ, fd, BUFFER, 100) == 6
    assert g.get(6) == b"before"


def test_a_tree_goes_through_json() -> None:
    """Into another kernel of the same World, with what is open."""
    g, other = guest(World(files=FILES)), guest(World(files=FILES))
    stir(g)
    fd = do(g, OPEN, "/tmp/new", RDWR, 0)
    assert do(g, OPEN, "/tmp/folder", abi.O_DIRECTORY, 0) == fd + 1
    assert g.call(GETDENTS, fd + 1, BUFFER, 60) > 0
    assert g.call(FLOCK, fd, abi.LOCK_EX) == 0
    text = json.dumps(statefile.to_json(save(g.kernel)))
    restore(other.kernel, statefile.from_json(json.loads(text), other.kernel))

    assert seen(other) == seen(g)
    assert len(other.kernel.locks) == 1
    assert other.call(LSEEK, fd, 0, abi.SEEK_END) == 5000
    assert other.call(WRITE, fd, other.put(b"!"), 1) == 1
    assert do(other, OPEN, "/tmp/folder/twin", 0, 0) == fd + 2
    assert other.call(LSEEK, fd + 2, 0, abi.SEEK_END) == 5001
    rest = [each.call(GETDENTS, fd + 1, BUFFER, 4096) for each in (g, other)]
    assert rest[0] == rest[1] > 0


def test_there_is_as_much_room_as_the_world_has_memory() -> None:
    """ENOSPC for what does not fit, and files that are removed leave room; a hole takes none."""
    g = guest(World(memory=Memory(limit=1 << 20)))
    fd = do(g, OPEN, "/tmp/big", RDWR | CREAT, 0o644)
    assert g.call(FTRUNCATE, fd, 1 << 40) == 0
    size = 2 << 20
    assert g.call(MMAP, 0x2000_0000, size, 3, 0x32, -1) == 0x2000_0000
    written = g.call(WRITE, fd, 0x2000_0000, size)
    assert 0 < written <= 1 << 20
    assert g.call(WRITE, fd, 0x2000_0000, 4096) == -ENOSPC
    assert do(g, UNLINK, "/tmp/big") == 0
    assert do(g, OPEN, "/tmp/other", WRONLY | CREAT, 0o644) == fd + 1
    assert g.call(WRITE, fd + 1, 0x2000_0000, 4096) == -ENOSPC  # it is still open
    assert g.call(CLOSE, fd) == 0
    assert g.call(WRITE, fd + 1, 0x2000_0000, 4096) == 4096


def test_there_are_as_many_files_as_pages() -> None:
    """Each costs memory of the host, so there is an end to them."""
    g = guest(World(memory=Memory(limit=64 * 4096)))
    results = [do(g, MKDIR, f"/tmp/{n}", 0o755) for n in range(100)]
    assert results.count(0) in range(32, 65)
    assert results[-1] == -ENOSPC


def test_a_file_cannot_grow_beyond_what_its_limit_says() -> None:
    """RLIMIT_FSIZE: a write is cut, the next is EFBIG and brings SIGXFSZ.  setrlimit(2)"""
    g = guest()
    assert g.call(13, abi.SIGXFSZ, g.put(struct.pack("<4Q", 1, 0, 0, 0)), 0, 8) == 0
    assert g.call(160, abi.RLIMIT_FSIZE, g.put(struct.pack("<QQ", 10, 10))) == 0
    fd = do(g, OPEN, "/tmp/f", WRONLY | CREAT, 0o644)
    assert g.call(WRITE, fd, BUFFER, 20) == 10
    assert g.call(WRITE, fd, BUFFER, 1) == -EFBIG
    assert g.kernel.exit is None


def user(gid: int = 1000) -> Guest:
    files = (File("/shared/theirs", b"x", 0o644), File("/tmp/roots", b"x", 0o666), File("/open", b"x", 0o606))
    who = Process(uid=1000, euid=1000, gid=gid, egid=gid)
    return guest(replace(World(), files=files, process=who))


def test_permissions_of_another_user() -> None:
    """Folders of root's take nothing, /tmp does; what is in it stays its owner's (the sticky bit)."""
    g = user()
    assert do(g, OPEN, "/new", WRONLY | CREAT, 0o644) == -EACCES
    assert do(g, MKDIR, "/shared/new", 0o755) == -EACCES
    assert do(g, UNLINK, "/shared/theirs") == -EACCES
    assert do(g, OPEN, "/tmp/../root/x", 0, 0) == -EACCES  # not even searched: 0700
    assert do(g, OPEN, "/shared/theirs", WRONLY, 0) == -EACCES
    write(g, "/tmp/mine", b"x")
    node = g.kernel.tree.resolve("/tmp/mine")
    assert node.meta is not None
    assert (node.meta.uid, node.meta.gid) == (1000, 1000)
    assert do(g, UNLINK, "/tmp/roots") == -EPERM
    assert do(g, RENAME, "/tmp/roots", "/tmp/other") == -EPERM
    assert do(g, RENAME, "/tmp/mine", "/tmp/roots") == -EPERM
    assert do(g, CHMOD, "/tmp/roots", 0o600) == -EPERM
    assert do(g, CHOWN, "/tmp/mine", 0, -1) == -EPERM
    assert do(g, CHMOD, "/tmp/mine", 0o200) == 0
    assert do(g, OPEN, "/tmp/mine", 0, 0) == -EACCES
    assert do(g, CHMOD, "/tmp/mine", 0o4711) == 0
    assert do(g, UNLINK, "/tmp/mine") == 0
    assert do(g, ACCESS, "/open", abi.W_OK) == 0  # others may, whom the group of the file excludes
    assert do(user(gid=0), ACCESS, "/open", abi.W_OK) == -EACCES
    g.kernel.process.ids = g.kernel.process.ids._replace(groups=(0,))
    assert do(g, ACCESS, "/open", abi.W_OK) == -EACCES  # a supplementary group is one


def test_a_listing_keeps_its_places_while_entries_come_and_go() -> None:
    """Nothing twice, nothing that is there throughout is left out, what was removed is not shown."""
    g = guest()
    for n in range(20):
        write(g, f"/tmp/{n:02}", b"")
    fd = do(g, OPEN, "/tmp", abi.O_DIRECTORY, 0)

    def some() -> list[str]:
        data, names = g.get(size) if (size := g.call(GETDENTS, fd, BUFFER, 200)) else b"", []
        while data:
            length = struct.unpack_from("<H", data, 16)[0]
            names.append(data[19:length].split(b"\0")[0].decode())
            data = data[length:]
        return names

    names = some()
    for n in (0, 10, 19):
        assert do(g, UNLINK, f"/tmp/{n:02}") == 0
    write(g, "/tmp/055", b"")
    while more := some():
        names += more

    assert names[:3] == [".", "..", "00"]
    assert len(names) == len(set(names))
    assert {f"{n:02}" for n in range(20)} - {"00", "10", "19"} <= set(names)
    assert not {"10", "19"} & set(names)
    assert g.call(LSEEK, fd, 0, abi.SEEK_SET) == 0
    names = some()
    while more := some():
        names += more
    assert "055" in names
    assert "00" not in names


def test_locks_wait_and_are_let_go() -> None:
    """A flock that has to wait is given when the other is closed; F_SETLK of one's own never conflicts."""
    g = guest()
    write(g, "/tmp/k", b"0123456789")
    first, second = do(g, OPEN, "/tmp/k", RDWR, 0), do(g, OPEN, "/tmp/k", RDWR, 0)
    lock = g.put(abi.FLOCK.pack(abi.F_WRLCK, 0, 0, 5, 0), 64)
    assert g.call(FCNTL, first, abi.F_SETLK, lock) == 0
    assert g.call(FCNTL, second, abi.F_SETLK, lock) == 0
    assert g.call(FCNTL, second, abi.F_OFD_SETLK, lock) == -EAGAIN
    assert g.call(FLOCK, first, abi.LOCK_EX) == 0
    other = g.task.copy()
    other.tid = 1001
    g.kernel.tasks[1001] = other
    assert g.kernel.call(other, FLOCK, (second, abi.LOCK_EX, 0, 0, 0, 0)) is None
    assert g.call(CLOSE, first) == 0
    assert other.woken == "woken"
    assert g.kernel.resume(other) == 0


def test_a_working_directory_follows_its_folder() -> None:
    """Renamed, it has another name; removed, none, and the way up is still there."""
    g = guest()
    for path in ("/tmp/a", "/tmp/a/b"):
        assert do(g, MKDIR, path, 0o755) == 0
    assert do(g, CHDIR, "/tmp/a/b") == 0
    assert do(g, RENAME, "/tmp/a", "/tmp/c") == 0
    assert g.call(GETCWD, BUFFER, 100) == len("/tmp/c/b") + 1
    assert do(g, RMDIR, "/tmp/c/b") == 0
    assert g.call(GETCWD, BUFFER, 100) == -ENOENT
    assert do(g, OPEN, "x", WRONLY | CREAT, 0o644) == -ENOENT
    assert do(g, CHDIR, "..") == 0
    assert g.call(GETCWD, BUFFER, 100) == len("/tmp/c") + 1


@pytest.mark.parametrize("path", ["/proc/version", "/proc/self", "/sys/kernel", "/sys/fs/cgroup"])
def test_what_is_derived_stays_as_it_is(path: str) -> None:
    """Nothing in procfs, sysfs and control groups is removed, renamed or given to somebody."""
    g = guest()
    for nr, *rest in ((UNLINK,), (RMDIR,), (RENAME, "/tmp/x"), (CHMOD, 0o777), (CHOWN, 1, 1), (LINK, "/tmp/x")):
        assert do(g, nr, path, *rest) < 0, nr
    assert g.kernel.tree.store.save() is None


def test_what_a_call_costs_does_not_grow_with_the_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Making, asking and removing look at no other entry of a folder, however many there are; the count stays right."""
    g = guest(World())
    assert do(g, MKDIR, "/tmp/many", 0o777) == 0
    for n in range(300):
        assert do(g, MKDIR, f"/tmp/many/{n}", 0o777) == 0
    assert g.kernel.tree.resolve("/tmp/many").links == 302
    looks = 0
    original = Directory.get

    def counted(self: Directory, name: str) -> Node | None:
        nonlocal looks
        looks += 1
        return original(self, name)

    monkeypatch.setattr(Directory, "get", counted)
    assert do(g, MKDIR, "/tmp/many/new", 0o777) == 0
    assert do(g, STAT, "/tmp/many", BUFFER) == 0
    assert do(g, RENAME, "/tmp/many/new", "/tmp/many/other") == 0
    assert do(g, RMDIR, "/tmp/many/other") == 0
    assert looks < 40
    assert g.kernel.tree.resolve("/tmp/many").links == 302
    write(g, "/tmp/many/file", b"")
    assert do(g, RMDIR, "/tmp/many/7") == do(g, UNLINK, "/tmp/many/file") == 0
    assert g.kernel.tree.resolve("/tmp/many").links == 301
    assert len(g.kernel.tree.resolve("/tmp/many").own_state()) == 299  # nothing is kept of what went


def test_a_removed_folder_can_still_be_entered() -> None:
    """By a descriptor; what was removed while nobody was in it is kept by nothing else."""
    g = guest(World())
    assert do(g, MKDIR, "/tmp/gone", 0o777) == 0
    fd = do(g, OPEN, "/tmp/gone", 0)
    assert do(g, RMDIR, "/tmp/gone") == 0
    assert not g.kernel.tree.store.lost
    assert g.call(FCHDIR, fd) == 0
    assert do(g, GETCWD, BUFFER, 100) == -ENOENT
    assert do(g, OPEN, "x", WRONLY | CREAT, 0o644) == -ENOENT
    assert do(g, STAT, ".", BUFFER) == 0
