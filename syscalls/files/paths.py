"""From a path to an open file: open, openat, readlink, getcwd, chdir, access.

The tree resolves paths; this module knows what opening what it finds does.  Descriptor names below /proc/self/fd lead
straight to their files, as Linux's magic links do.  The order of the checks is the kernel's: EMFILE is found before the
path is looked at, EEXIST before permissions.  Sources: open(2), path_resolution(7), fs/namei.c of Linux 6.1 (read).
"""

from __future__ import annotations

from syscalls import abi
from syscalls.abi import O_ACCMODE, O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_PATH, O_RDONLY, O_TMPFILE, O_TRUNC
from syscalls.errno import (
    E2BIG,
    EACCES,
    EAGAIN,
    EEXIST,
    EINVAL,
    EISDIR,
    ELOOP,
    ENAMETOOLONG,
    ENOENT,
    ENOTDIR,
    ENXIO,
    EOPNOTSUPP,
    EPERM,
    ERANGE,
    EROFS,
    ETXTBSY,
    SyscallError,
)  # fmt: skip
from syscalls.files import fifos, known, opened
from syscalls.files.opened import DISK, PROC, SYSFS, Facts, OpenFile
from syscalls.guest import PAGE
from syscalls.light import TYPE_CHECKING

if TYPE_CHECKING:
    from syscalls import tree
    from syscalls.kernel import Kernel
    from syscalls.tasks import Task
    from syscalls.tree import Folder, Node, Place, Tree

FILESYSTEMS = {"proc": PROC, "sysfs": SYSFS, "cgroup": SYSFS, "cgroup2": SYSFS}
# What open remembers of its flags: the rest only say how to open (do_dentry_open; O_CLOEXEC belongs to the descriptor).
PATH_FLAGS = O_PATH | O_DIRECTORY | O_NOFOLLOW | abi.O_CLOEXEC
KNOWN_FLAGS = (
    O_ACCMODE | O_CREAT | O_EXCL | abi.O_NOCTTY | O_TRUNC | abi.O_APPEND | abi.O_NONBLOCK | abi.O_SYNC | abi.O_ASYNC
    | abi.O_DIRECT | abi.O_LARGEFILE | O_DIRECTORY | O_NOFOLLOW | abi.O_NOATIME | abi.O_CLOEXEC | O_PATH | O_TMPFILE
)  # fmt: skip
NO_XDEV, BELOW = abi.RESOLVE_NO_XDEV, abi.RESOLVE_BENEATH | abi.RESOLVE_IN_ROOT
KNOWN_RESOLVE = NO_XDEV | abi.RESOLVE_NO_MAGICLINKS | abi.RESOLVE_NO_SYMLINKS | BELOW | abi.RESOLVE_CACHED
EVERYONE = 0o111  # whose mode has these lets all users search it
FORGOTTEN = O_CREAT | O_EXCL | abi.O_NOCTTY | O_TRUNC | abi.O_CLOEXEC


def text(path: bytes) -> str:
    """Return *path* as the tree spells it: undecodable bytes as surrogates."""
    return path.decode("utf-8", "surrogateescape")


def base_of(k: Kernel, dirfd: int, path: bytes) -> str | tree.Directory:
    """Return the directory that a relative *path* starts from; raise EBADF or ENOTDIR."""
    if dirfd == abi.AT_FDCWD or path.startswith(b"/"):
        cwd = k.process.cwd
        return k.tree.store.lost.get(cwd, cwd)
    from syscalls.tree import Directory

    node = k.files.get(dirfd).node
    if not isinstance(node, Directory):
        raise SyscallError(ENOTDIR)
    return node


def locate(k: Kernel, dirfd: int, path: bytes, follow: bool = True, how: int = 0) -> Place:
    """Return where *path* leads, its way restricted by *how*; its last name may be free."""
    base = base_of(k, dirfd, b"." if how & abi.RESOLVE_IN_ROOT else path)
    return tree_of(k).locate(text(path), base, follow, how)


def find(k: Kernel, dirfd: int, path: bytes, follow: bool = True) -> Node:
    """Return the node at *path*; raise what path resolution fails with."""
    return tree_of(k).resolve(text(path), base_of(k, dirfd, path), follow)


def tree_of(k: Kernel) -> Tree:
    """Return the guest's tree, searched with the rights of the process."""
    found = k.tree
    others_than_root = k.process.ids.euid != 0
    found.may_search = (lambda folder: may_search(k, folder)) if others_than_root else None
    return found


def may_search(k: Kernel, folder: Node) -> bool:
    """Say whether the process may look something up in *folder*: most let everyone."""
    return folder.permissions & EVERYONE == EVERYONE or may(k, folder, abi.X_OK)


def identity(k: Kernel, real: bool = False) -> tuple[int, int]:
    """Return the user and group whose rights count: the effective ones, or the *real* ones."""
    ids = k.process.ids
    return (ids.uid, ids.gid) if real else (ids.euid, ids.egid)


def magic_fd(k: Kernel, dirfd: int, path: bytes) -> OpenFile | None:
    """Return the open file that *path* names by its descriptor (/dev/stdin, /proc/self/fd/3), or None."""
    if b"fd/" not in path and b"/std" not in path:
        return None
    from syscalls.tree import Link

    node = locate(k, dirfd, path, follow=False).node
    for _ in range(40):  # MAXSYMLINKS
        if not isinstance(node, Link) or node.parent is None:
            return None
        if node.parent.path.startswith("/proc/") and node.parent.name == "fd":
            process = k.processes.get(int(node.parent.path.split("/")[2]))
            return k.files.get(-1) if process is None else process.files.get(int(node.name))
        node = tree_of(k).locate(node.target, node.parent, follow=False).node
    raise SyscallError(ELOOP)


def facts_of(k: Kernel, node: Node) -> Facts:
    """Return what stat says of *node*."""
    mount = k.tree.mount_of(node)
    filesystem = FILESYSTEMS.get(mount.fstype, DISK)
    facts = opened.described(node, mount.device, node.rdev, filesystem)
    number = facts.place.split("/", 3)[2] if filesystem == PROC and facts.place != "/proc" else ""
    process = k.processes.get(int(number)) if number.isdecimal() else None
    return facts if process is None else facts._replace(owner=(process.ids.euid, process.ids.egid))


def facts_at(k: Kernel, dirfd: int, path: bytes, follow: bool) -> Facts:
    """Return what stat says of the file at *path*."""
    file = magic_fd(k, dirfd, path) if follow else None
    return facts_of(k, find(k, dirfd, path, follow)) if file is None else file.facts


def permits(k: Kernel, facts: Facts, wanted: int, real: bool = False) -> bool:
    """Say whether the process may use a file for *wanted* (R_OK, W_OK, X_OK), by its *real* ids or its effective ones.

    path_resolution(7)
    """
    mode, owner, (user, group) = facts.mode, facts.owner, identity(k, real)
    if user == 0:
        return permits_root(mode, wanted)
    in_group = owner[1] in (group, *k.process.ids.groups)
    bits = mode >> 6 if user == owner[0] else mode >> 3 if in_group else mode
    return bits & wanted == wanted


def permits_root(mode: int, wanted: int) -> bool:
    """Say whether root may use a file of that *mode* for *wanted*.

    CAP_DAC_OVERRIDE: everything but executing what nobody may execute.
    """
    return not wanted & abi.X_OK or bool(mode & 0o111) or mode & abi.S_IFMT == abi.S_IFDIR


def may(k: Kernel, node: Node, wanted: int) -> bool:
    """Say whether the process may use *node* for *wanted*."""
    if not k.process.ids.euid:  # all of a file's facts take much longer than what root needs of them
        return permits_root(node.mode, wanted)
    return permits(k, facts_of(k, node), wanted)


def filesystem_of(k: Kernel, node: Node) -> str:
    """Return what kind of file system *node* lies on."""
    return FILESYSTEMS.get(k.tree.mount_of(node).fstype, DISK)


def openat(k: Kernel, t: Task, dirfd: int, path: bytes, flags: int, mode: int, how: int = 0) -> int:
    """Open *path* and return its descriptor; openat(2)."""
    if flags & O_TMPFILE == O_TMPFILE and flags & O_ACCMODE == O_RDONLY:
        raise SyscallError(EINVAL)
    if flags & (O_CREAT | O_DIRECTORY) == O_CREAT | O_DIRECTORY and not flags & O_PATH and k.release >= (6, 4):
        raise SyscallError(EINVAL)  # open(2), HISTORY; older kernels ignored O_DIRECTORY where a file was created
    if flags & O_PATH:
        flags &= PATH_FLAGS
    if not path:
        raise SyscallError(ENOENT)
    if t.woken is not None:  # only a named pipe lets an open wait
        return fifos.opened(k, t)
    fd = k.files.lowest()
    file = open_file(k, dirfd, path, flags, mode, how)
    k.files.put(fd, file, bool(flags & abi.O_CLOEXEC))
    return fifos.met(k, t, fd, file) if isinstance(file, fifos.FifoEnd) else fd


def openat2(k: Kernel, t: Task, dirfd: int, path: bytes, addr: int, size: int) -> int:
    """Open *path* in a way that the struct open_how at *addr* restricts; openat2(2).

    Unlike openat, it refuses what it does not know: EINVAL, or E2BIG for a longer structure with something in it.
    """
    if size < abi.OPEN_HOW.size:
        raise SyscallError(EINVAL)
    if size > PAGE or any(k.mem.read(addr + abi.OPEN_HOW.size, size - abi.OPEN_HOW.size)):
        raise SyscallError(E2BIG)
    flags, mode, how = abi.OPEN_HOW.unpack(k.mem.read(addr, abi.OPEN_HOW.size))
    creates = flags & O_CREAT or flags & O_TMPFILE == O_TMPFILE
    if flags & ~KNOWN_FLAGS or how & ~KNOWN_RESOLVE or mode & ~0o7777 or (mode and not creates):
        raise SyscallError(EINVAL)
    if how & BELOW == BELOW or (flags & O_PATH and flags & ~PATH_FLAGS):
        raise SyscallError(EINVAL)
    if how & abi.RESOLVE_CACHED and (creates or flags & O_TRUNC):
        raise SyscallError(EAGAIN)
    return openat(k, t, dirfd, path, flags, mode, how)


def open_(k: Kernel, t: Task, path: bytes, flags: int, mode: int) -> int:
    """Open *path*; open(2)."""
    return openat(k, t, abi.AT_FDCWD, path, flags, mode)


def creat(k: Kernel, t: Task, path: bytes, mode: int) -> int:
    """Create *path* for writing; creat(2)."""
    return openat(k, t, abi.AT_FDCWD, path, O_CREAT | abi.O_WRONLY | O_TRUNC, mode)


def open_file(k: Kernel, dirfd: int, path: bytes, flags: int, mode: int = 0, how: int = 0) -> OpenFile:
    """Return the file that *path* and *flags* open, created with *mode* if need be; *how* is openat2's restriction."""
    if not how:
        again = known.reopened(k, path, flags)
        if again is not None:
            return again
    exclusive = flags & (O_CREAT | O_EXCL) == O_CREAT | O_EXCL
    if flags & O_CREAT and path.endswith(b"/"):
        raise SyscallError(EISDIR)
    if flags & O_TMPFILE == O_TMPFILE:
        folder = locate(k, dirfd, path, how=how).node
        return open_unnamed(k, path, folder, flags, mode)
    magic = None if flags & O_NOFOLLOW or exclusive or how & ~NO_XDEV else magic_fd(k, dirfd, path)
    if magic is not None and magic.node is None:
        return magic
    if magic is not None and magic.node is not None:
        return open_found(k, path, magic.node, flags)
    place = locate(k, dirfd, path, not flags & O_NOFOLLOW and not exclusive, how)
    if flags & O_CREAT and place.slash:
        raise SyscallError(EISDIR)  # a link led to a name and a slash: fs/namei.c, open_last_lookups
    if place.node is None:
        if not flags & O_CREAT:
            raise SyscallError(ENOENT)
        node = place_for_new(k, place, ENOENT, EACCES).new_file(place.name, permissions(k, mode))
        node.open(flags)
        return opened.Plain(path, flags & ~FORGOTTEN | abi.O_LARGEFILE, facts_of(k, node), node)
    if exclusive:
        raise SyscallError(EEXIST)
    return open_found(k, path, place.node, flags)


def open_found(k: Kernel, path: bytes, node: Node, flags: int) -> OpenFile:
    """Open *node*, which is there."""
    check_type(node.mode, flags)
    if flags & O_PATH:
        return opened.PathOnly(path, flags & ~abi.O_CLOEXEC, facts_of(k, node), node)
    return open_node(k, path, node, flags)


def permissions(k: Kernel, mode: int) -> int:
    """Return the permissions of a new file that is asked for with *mode*: without those of the umask."""
    return mode & 0o7777 & ~k.umask


def place_for_new(k: Kernel, place: Place, in_proc: int, in_sysfs: int) -> Folder:
    """Return the folder of *place*, to create something in; *in_proc* and *in_sysfs* are what these fail with."""
    from syscalls.tree import Folder

    folder = place.folder
    refused = {PROC: in_proc, SYSFS: in_sysfs}.get(filesystem_of(k, folder))
    if refused is not None:
        raise SyscallError(refused)
    if folder.gone:
        raise SyscallError(ENOENT)
    if not may(k, folder, abi.W_OK | abi.X_OK):
        raise SyscallError(EACCES)
    if not isinstance(folder, Folder):
        raise SyscallError(EROFS)
    return folder


def open_unnamed(k: Kernel, path: bytes, folder: Node | None, flags: int, mode: int) -> OpenFile:
    """Open a new file in *folder* that has no name; open(2), O_TMPFILE."""
    from syscalls.tree import Directory, Place

    if not isinstance(folder, Directory):
        raise SyscallError(ENOENT if folder is None else ENOTDIR)
    node = place_for_new(k, Place(folder, "", folder), EOPNOTSUPP, EOPNOTSUPP).new_unnamed(permissions(k, mode))
    node.linkable = not flags & O_EXCL
    kept = flags & ~FORGOTTEN | abi.O_LARGEFILE
    return opened.Plain(path, kept, facts_of(k, node), node)


def check_type(mode: int, flags: int) -> None:
    """Raise what opening a link, or a directory for writing, fails with."""
    kind = mode & abi.S_IFMT
    if flags & O_DIRECTORY and kind != abi.S_IFDIR:
        raise SyscallError(ENOTDIR)
    if flags & O_PATH:
        return
    if kind == abi.S_IFLNK:
        raise SyscallError(ELOOP)
    if kind == abi.S_IFDIR and (flags & O_ACCMODE != O_RDONLY or flags & O_CREAT):
        raise SyscallError(EISDIR)


def open_node(k: Kernel, path: bytes, node: Node, flags: int) -> OpenFile:
    """Open *node* as its kind demands."""
    from syscalls.tree import Device, Directory, Fifo, FileNode, SocketNode, StoredFile
    from syscalls.tree.nodes import TERMINAL

    facts = facts_of(k, node)
    access = flags & O_ACCMODE
    writes = access != O_RDONLY or bool(flags & O_TRUNC)
    wanted = (abi.R_OK, abi.W_OK, abi.R_OK | abi.W_OK, abi.R_OK | abi.W_OK)[access]
    if not permits(k, facts, wanted | (abi.W_OK if writes else 0)):
        raise SyscallError(EACCES)
    if flags & abi.O_NOATIME and identity(k)[0] not in (0, facts.owner[0]):
        raise SyscallError(EPERM)
    kept = flags & ~FORGOTTEN | abi.O_LARGEFILE
    if isinstance(node, Directory):
        return opened.Directory(path, kept, facts, node)
    if isinstance(node, Device):
        if node.name == "tty" or node.rdev == TERMINAL:
            if k.tty is None:
                raise SyscallError(ENXIO)  # no controlling terminal
            from syscalls.files import terminal

            return terminal.opened(k, kept, facts)
        return opened.Device(path, kept, facts, node.name, node)
    if isinstance(node, Fifo):
        return fifos.open_end(k, path, kept, facts, node)
    if isinstance(node, SocketNode):
        raise SyscallError(ENXIO)
    assert isinstance(node, FileNode)
    if isinstance(node, StoredFile) and facts.filesystem == DISK:
        if writes and node.born == k.program.exe:
            raise SyscallError(ETXTBSY)
        node.open(flags)
        if flags & O_TRUNC:
            node.truncate(0)
        return opened.Plain(path, kept, facts, node)
    if writes and facts.filesystem != PROC:
        # kernfs_fop_open: nobody may write what has no write bits; what has them is read-only here.
        raise SyscallError(EROFS if node.mode & 0o222 else EACCES)
    known.learn(k, path, node, facts)
    return opened.Regular(path, kept, facts, node.content())


def readlinkat(k: Kernel, t: Task, dirfd: int, path: bytes, addr: int, size: int) -> int:
    """Store the text of the link at *path*, cut to *size*, without a null; readlink(2)."""
    from syscalls.tree import Link

    if size <= 0:
        raise SyscallError(EINVAL)
    node = find(k, dirfd, path, follow=False) if path else k.files.get(dirfd).node
    if not isinstance(node, Link):
        raise SyscallError(EINVAL if path else ENOENT)
    target = node.target.encode("utf-8", "surrogateescape")[:size]
    k.mem.write(addr, target)
    return len(target)


def readlink(k: Kernel, t: Task, path: bytes, addr: int, size: int) -> int:
    """Store the text of the link at *path*; readlink(2)."""
    return readlinkat(k, t, abi.AT_FDCWD, path, addr, size)


def getcwd(k: Kernel, t: Task, addr: int, size: int) -> int:
    """Store the working directory with its null and return their length; getcwd(2), "C library/kernel"."""
    path = k.cwd.encode("utf-8", "surrogateescape") + b"\0"
    if k.tree.lookup(".", k.cwd) is None:
        raise SyscallError(ENOENT)  # it was removed
    if len(path) > abi.PATH_MAX:
        raise SyscallError(ENAMETOOLONG)  # deeper than a path is long: fs/d_path.c
    if len(path) > size:
        raise SyscallError(ERANGE)
    k.mem.write(addr, path)
    return len(path)


def chdir(k: Kernel, t: Task, path: bytes) -> int:
    """Make *path* the working directory; chdir(2)."""
    enter(k, find(k, abi.AT_FDCWD, path))
    return 0


def fchdir(k: Kernel, t: Task, fd: int) -> int:
    """Make the directory of *fd* the working directory; chdir(2)."""
    enter(k, k.files.get(fd).node)
    return 0


def enter(k: Kernel, node: Node | None) -> None:
    """Let *node* be the working directory; raise ENOTDIR or EACCES."""
    from syscalls.tree import Directory

    if node is None or node.mode & abi.S_IFMT != abi.S_IFDIR:
        raise SyscallError(ENOTDIR)
    if not may(k, node, abi.X_OK):
        raise SyscallError(EACCES)
    k.cwd = node.place
    if node.gone:  # it is found by what it is called now
        assert isinstance(node, Directory)
        k.tree.store.lost[k.cwd] = node
