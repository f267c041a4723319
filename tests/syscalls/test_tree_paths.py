"""Paths: how they resolve, what fails with which error, and files that a World writes down."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from syscalls.errno import EACCES, EIO, ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR
from syscalls.tree import Directory, FileNode, Link, ProcessFacts, Tree, TreeError, build
from syscalls.tree.build import place
from syscalls.world import File, World, WorldError
from syscalls.worldfile import from_toml

DEFAULT = World()


def tree_of(world: World = DEFAULT, **facts: object) -> Tree:
    return build(world, ProcessFacts("hello", "/bin/hello", **facts))  # type: ignore[arg-type]


def content(tree: Tree, path: str) -> bytes:
    node = tree.resolve(path)
    assert isinstance(node, FileNode)
    return node.content()


def error(call: Callable[[], object]) -> int:
    with pytest.raises(TreeError) as caught:
        call()
    return caught.value.errno


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/", "/"),
        ("//", "/"),
        ("/.", "/"),
        ("/..", "/"),
        ("/../../proc/./../proc//version", "/proc/version"),
        ("/proc/self/../self/status", "/proc/1000/status"),
        ("/dev/fd/../maps", "/proc/1000/maps"),  # .. leaves where the link led: path_resolution(7)
        ("/proc/mounts", "/proc/1000/mounts"),
        ("/sys/devices/system/cpu/cpu1/node0/", "/sys/devices/system/node/node0"),
        ("/proc/self/cwd/tmp/", "/tmp"),
    ],
)
def test_paths_resolve_as_linux_does(path: str, found: str) -> None:
    """Dots, slashes and links."""
    assert tree_of().resolve(path).path == found


def test_relative_paths_start_at_the_working_directory() -> None:
    """Which itself may be reached through a link."""
    tree = tree_of()

    assert tree.resolve("version", cwd="/proc").path == "/proc/version"
    assert tree.resolve("../version", cwd="/proc/self").path == "/proc/version"
    assert tree.resolve("../../dev/null", cwd="/proc/self").path == "/dev/null"
    assert tree.resolve(".", cwd="/tmp").path == "/tmp"
    assert tree.resolve("/proc", cwd="/nowhere").path == "/proc"
    assert tree.lookup("x", cwd="/nowhere") is None


def test_links_at_the_end_are_followed_on_request() -> None:
    """O_NOFOLLOW and lstat(2) want the link itself, unless a slash comes after it."""
    tree = tree_of()

    assert isinstance(tree.resolve("/proc/self", follow=False), Link)
    assert isinstance(tree.resolve("/proc/self/", follow=False), Directory)
    assert isinstance(tree.resolve("/proc/self/exe", follow=False), Link)
    assert isinstance(tree.resolve("/proc/self/exe"), FileNode)


def test_errors_are_linux_s() -> None:
    """ENOENT, ENOTDIR, ELOOP and ENAMETOOLONG; lookup turns the first into None and nothing else."""
    tree = tree_of()
    place(tree.root, "/tmp/loop", Link("/tmp/loop"))
    place(tree.root, "/tmp/dangling", Link("nowhere"))
    for n in range(41):
        place(tree.root, f"/tmp/l{n}", Link(f"l{n + 1}" if n < 40 else "/etc"))

    assert error(lambda: tree.resolve("")) == ENOENT
    assert error(lambda: tree.resolve("/nope")) == ENOENT
    assert error(lambda: tree.resolve("/nope/..")) == ENOENT
    assert error(lambda: tree.resolve("/proc/version/x")) == ENOTDIR
    assert error(lambda: tree.resolve("/proc/version/")) == ENOTDIR
    assert error(lambda: tree.resolve("/proc/version/.")) == ENOTDIR
    assert error(lambda: tree.resolve("/tmp/loop")) == ELOOP
    assert error(lambda: tree.resolve("/tmp/dangling")) == ENOENT
    assert tree.resolve("/tmp/l1").path == "/etc"  # 40 links
    assert error(lambda: tree.resolve("/tmp/l0")) == ELOOP  # 41
    assert error(lambda: tree.resolve("/" + "a" * 256)) == ENAMETOOLONG
    assert error(lambda: tree.resolve("/" + "a" * 255)) == ENOENT
    assert error(lambda: tree.resolve("/" * 4096)) == ENAMETOOLONG
    assert tree.resolve("/" * 4095).path == "/"
    assert tree.lookup("/nope") is None
    assert error(lambda: tree.lookup("/proc/version/x")) == ENOTDIR


@pytest.mark.parametrize(
    "path",
    [
        *("file/x", "file/", "file/.", "loop", "loop/x", "missing", "missing/..", "dir/../file", "link", "link/"),
        *("dir/", "", "a" * 256),
    ],
)
def test_errors_are_those_of_this_kernel(path: str, tmp_path: Path) -> None:
    """The same small folder, natively and in the tree."""
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "dir").mkdir()
    (tmp_path / "link").symlink_to("dir")
    (tmp_path / "loop").symlink_to("loop")
    tree = tree_of(World(files=(File("/t/file", b"x"), File("/t/dir/x", b""))))
    place(tree.root, "/t/link", Link("dir"))
    place(tree.root, "/t/loop", Link("loop"))
    native = 0
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        os.stat(path, dir_fd=folder)
    except OSError as failure:
        native = failure.errno or 0
    finally:
        os.close(folder)
    emulated = 0
    try:
        tree.resolve(path, cwd="/t")
    except TreeError as failure:
        emulated = failure.errno

    assert errno.errorcode.get(emulated) == errno.errorcode.get(native)


def test_written_files_win_over_derived_ones() -> None:
    """Contents, modes, absence, through links, in any folder."""
    world = from_toml("""
        cgroup.version = 1
        [[file]]
        path = "/proc/self/status"
        content = "mine\\n"
        [[file]]
        path = "/sys/fs/cgroup/cpu/cpu.cfs_quota_us"
        content = "12345\\n"
        [[file]]
        path = "/sys/devices/system/cpu/cpu7/online"
        content = "1\\n"
        [[file]]
        path = "/proc/cpuinfo"
        content = "absent"
        [[file]]
        path = "/dev/null"
        content = "no device\\n"
        [[file]]
        path = "/sys/kernel/mm/transparent_hugepage"
        content = "absent"
        [[file]]
        path = "/a/b/c"
        content = "deep"
        mode = 0o640
        [[file]]
        path = "/bin/hello"
        content = "replaced"
    """)
    tree = tree_of(world, program=lambda: b"the program")

    assert content(tree, "/proc/1000/status") == b"mine\n"
    assert content(tree, "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us") == b"12345\n"
    assert content(tree, "/sys/devices/system/cpu/cpu7/online") == b"1\n"
    assert content(tree, "/dev/null") == b"no device\n"
    assert content(tree, "/proc/self/exe") == b"replaced"
    assert tree.lookup("/proc/cpuinfo") is None
    assert tree.lookup("/sys/kernel/mm/transparent_hugepage/enabled") is None
    deep = tree.resolve("/a/b/c")
    assert (deep.mode, deep.size) == (0o100640, 4)
    assert isinstance(tree.resolve("/a/b"), Directory)
    listing = tree.resolve("/proc")
    assert isinstance(listing, Directory)
    assert "cpuinfo" not in listing.names()
    assert {"meminfo", "self", "1000"} <= set(listing.names())
    root = tree.resolve("/")
    assert isinstance(root, Directory)
    assert root.names() == ["a", "bin", "dev", "etc", "proc", "root", "sys", "tmp"]


def test_written_files_stay_in_folders_that_come_and_go() -> None:
    """Folders of CPUs and threads are made when they are looked up; what a World puts there is always found."""
    paths = ("/sys/devices/system/cpu/cpu0/x", "/sys/devices/system/cpu/cpu1/online", "/proc/self/task/1000/status")
    tree = tree_of(World(files=tuple(File(path, b"mine") for path in paths)))

    for path in (*paths, *paths):
        assert content(tree, path) == b"mine"
    assert content(tree, "/sys/devices/system/cpu/cpu0/topology/core_id") == b"0\n"
    assert tree.lookup("/proc/self/task/1000/stat") is not None


def test_a_written_file_below_a_file_makes_it_a_folder() -> None:
    """The later file wins; nothing is silently lost."""
    tree = tree_of(World(files=(File("/proc/version/x", b"y"),)))

    assert content(tree, "/proc/version/x") == b"y"


def test_opening_can_be_made_to_fail() -> None:
    """The file is there, and its content is the World's errno."""
    tree = tree_of(World(files=(File("/etc/x", b"", errno="EACCES"), File("/proc/self/auxv", None, errno="EIO"))))
    denied, broken = tree.resolve("/etc/x"), tree.resolve("/proc/self/auxv")

    assert isinstance(denied, FileNode)
    assert isinstance(broken, FileNode)
    assert error(denied.content) == EACCES
    assert error(broken.content) == EIO


def test_a_bind_shows_host_files_and_nothing_else_of_the_host(tmp_path: Path) -> None:
    """Folders, files and links, read when they are opened; links lead nowhere outside; the World's files win."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "file").write_bytes(b"before")
    (tmp_path / "out").symlink_to("/etc")
    (tmp_path / "in").symlink_to("sub/file")
    os.mkfifo(tmp_path / "pipe")
    binds = ((str(tmp_path), "/data", False), (str(tmp_path / "sub" / "file"), "/one", False))
    tree = tree_of(World(binds=binds, files=(File("/data/sub/mine", b"written"),)))
    (tmp_path / "sub" / "file").write_bytes(b"after")

    assert content(tree, "/data/sub/file") == content(tree, "/data/in") == content(tree, "/one") == b"after"
    assert content(tree, "/data/sub/mine") == b"written"
    assert tree.resolve("/data/out").path == "/etc"  # the guest's, which is empty
    assert tree.lookup("/data/out/passwd") is None
    assert tree.lookup("/data/pipe") is None
    assert tree.lookup("/data/../data/none") is None
    folder = tree.resolve("/data")
    assert isinstance(folder, Directory)
    assert folder.names() == ["in", "out", "sub"]


def test_binds_that_cannot_be() -> None:
    """One line names the bind."""
    with pytest.raises(
        WorldError,
        match=r"^binds: '/nowhere/x' cannot be shown at /x: no such file or directory; allowed: a file or folder$",
    ):
        tree_of(World(binds=(("/nowhere/x", "/x", False),)))
    with pytest.raises(WorldError, match=r"^binds: '/dev/null' is neither a file nor a folder"):
        tree_of(World(binds=(("/dev/null", "/x", False),)))
    with pytest.raises(WorldError, match=r"^binds: '/dev/null' is neither a file nor a folder"):
        tree_of(World(binds=(("/dev/null", "/x", True),)))


def test_the_working_directory_exists() -> None:
    """Whatever folder the World names."""
    tree = tree_of(World(cwd="/home/user"))

    assert isinstance(tree.resolve("/home/user"), Directory)
    assert tree.resolve("/proc/self/cwd").path == "/home/user"
    assert tree.resolve("..", cwd="/home/user").path == "/home"


def test_nodes_have_stable_numbers_and_devices() -> None:
    """st_ino and st_dev are the same in every run and differ between files and mounts."""
    tree, again = tree_of(), tree_of()
    version, meminfo = tree.resolve("/proc/version"), tree.resolve("/proc/meminfo")

    assert version.inode == again.resolve("/proc/version").inode != meminfo.inode
    assert tree.mount_of(version).device == (0, 20)
    assert tree.mount_of(tree.resolve("/sys/fs/cgroup/cpu.max")).fstype == "cgroup2"
    assert tree.mount_of(tree.resolve("/bin/hello")).point == "/"
    assert tree.mount_of(tree.root).point == "/"


def test_directories_count_their_folders() -> None:
    """st_nlink is two more than this."""
    root = tree_of().root

    assert root.subdirectories == 7
    assert [name for name in root.names() if not isinstance(root.get(name), Directory)] == []
