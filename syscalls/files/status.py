"""What a file is: the stat family and access.  Times are those of the World's clock."""

from __future__ import annotations

from syscalls import abi
from syscalls.errno import EACCES, EINVAL, ENOENT, SyscallError
from syscalls.files.opened import DISK, PROC, Facts
from syscalls.files.paths import facts_at, permits
from syscalls.light import TYPE_CHECKING

if TYPE_CHECKING:
    from syscalls.kernel import Kernel
    from syscalls.tasks import Task

NS = 1_000_000_000
BLOCK = 4096


def encode_device(number: tuple[int, int]) -> int:
    """Return (major, minor) as st_dev and st_rdev hold them (new_encode_dev, include/linux/kdev_t.h)."""
    major, minor = number
    return minor & 0xFF | major << 8 | (minor & ~0xFF) << 12


def blocks_of(facts: Facts) -> int:
    """Return st_blocks, in units of 512 bytes."""
    if facts.blocks is not None:
        return facts.blocks
    on_disk = facts.filesystem == DISK and facts.mode & abi.S_IFMT in (abi.S_IFREG, abi.S_IFDIR)
    return -(-facts.size // BLOCK) * (BLOCK // 512) if on_disk else 0


def times_of(k: Kernel, facts: Facts) -> tuple[int, int, int, int]:
    """Return when it was read, written, changed and created, in nanoseconds since 1970."""
    return facts.times or (k.world.clock.realtime,) * 4


def block_size(facts: Facts) -> int:
    """Return st_blksize."""
    return 1024 if facts.filesystem == PROC else BLOCK


def pack(k: Kernel, facts: Facts) -> bytes:
    """Return *facts* as struct stat."""
    read, written, changed, _ = times_of(k, facts)
    return abi.STAT.pack(
        encode_device(facts.device), facts.inode, facts.links, facts.mode, *facts.owner, encode_device(facts.rdev),
        facts.size, block_size(facts), blocks_of(facts), *divmod(read, NS), *divmod(written, NS), *divmod(changed, NS),
    )  # fmt: skip


def newfstatat(k: Kernel, t: Task, dirfd: int, path: bytes, addr: int, flags: int) -> int:
    """Store what the file at *path* is; fstatat(2)."""
    if flags & ~(abi.AT_SYMLINK_NOFOLLOW | abi.AT_NO_AUTOMOUNT | abi.AT_EMPTY_PATH):
        raise SyscallError(EINVAL)
    if not path:
        if not flags & abi.AT_EMPTY_PATH:
            raise SyscallError(ENOENT)
        if dirfd != abi.AT_FDCWD:
            return fstat(k, t, dirfd, addr)
        path = b"."
    k.mem.write(addr, pack(k, facts_at(k, dirfd, path, not flags & abi.AT_SYMLINK_NOFOLLOW)))
    return 0


def stat(k: Kernel, t: Task, path: bytes, addr: int) -> int:
    """Store what the file at *path* is; stat(2)."""
    return newfstatat(k, t, abi.AT_FDCWD, path, addr, 0)


def lstat(k: Kernel, t: Task, path: bytes, addr: int) -> int:
    """Store what the file, or link, at *path* is; lstat(2)."""
    return newfstatat(k, t, abi.AT_FDCWD, path, addr, abi.AT_SYMLINK_NOFOLLOW)


def fstat(k: Kernel, t: Task, fd: int, addr: int) -> int:
    """Store what the file of *fd* is; fstat(2)."""
    k.mem.write(addr, pack(k, k.files.get(fd).facts))
    return 0


def faccessat2(k: Kernel, t: Task, dirfd: int, path: bytes, mode: int, flags: int) -> int:
    """Check whether the process may use *path* for *mode*; faccessat2(2).  The real ids count, without AT_EACCESS."""
    if mode & ~(abi.R_OK | abi.W_OK | abi.X_OK):
        raise SyscallError(EINVAL)
    if flags & ~(abi.AT_EACCESS | abi.AT_SYMLINK_NOFOLLOW | abi.AT_EMPTY_PATH):
        raise SyscallError(EINVAL)
    if not path and flags & abi.AT_EMPTY_PATH and dirfd != abi.AT_FDCWD:
        facts = k.files.get(dirfd).facts
    else:
        facts = facts_at(k, dirfd, path, not flags & abi.AT_SYMLINK_NOFOLLOW)
    if not permits(k, facts, mode, real=not flags & abi.AT_EACCESS):
        raise SyscallError(EACCES)
    return 0


def faccessat(k: Kernel, t: Task, dirfd: int, path: bytes, mode: int) -> int:
    """Check whether the process may use *path* for *mode*; faccessat(2)."""
    return faccessat2(k, t, dirfd, path, mode, 0)


def access(k: Kernel, t: Task, path: bytes, mode: int) -> int:
    """Check whether the process may use *path* for *mode*; access(2)."""
    return faccessat2(k, t, abi.AT_FDCWD, path, mode, 0)


def statx(k: Kernel, t: Task, dirfd: int, path: bytes, flags: int, mask: int, addr: int) -> int:
    """Store what the file at *path* is, all of it whatever *mask* asks for; statx(2)."""
    known = abi.AT_SYMLINK_NOFOLLOW | abi.AT_NO_AUTOMOUNT | abi.AT_EMPTY_PATH | SYNC_TYPE
    if flags & ~known or flags & SYNC_TYPE == SYNC_TYPE or mask & abi.STATX__RESERVED:
        raise SyscallError(EINVAL)
    if not path:
        if not flags & abi.AT_EMPTY_PATH:
            raise SyscallError(ENOENT)
        facts = facts_at(k, dirfd, b".", True) if dirfd == abi.AT_FDCWD else k.files.get(dirfd).facts
    else:
        facts = facts_at(k, dirfd, path, not flags & abi.AT_SYMLINK_NOFOLLOW)
    k.mem.write(addr, pack_extended(k, facts))
    return 0


def pack_extended(k: Kernel, facts: Facts) -> bytes:
    """Return *facts* as struct statx."""
    read, written, changed, created = times_of(k, facts)
    has_birth = facts.filesystem == DISK and facts.mode & abi.S_IFMT != abi.S_IFIFO
    birth = divmod(created, NS) if has_birth else (0, 0)
    mount = next((mount.number for mount in k.tree.mounts if mount.device == facts.device), 0)
    return abi.STATX.pack(
        abi.STATX_BASIC_STATS | (abi.STATX_BTIME if has_birth else 0), block_size(facts), 0, facts.links, *facts.owner,
        facts.mode, facts.inode, facts.size, blocks_of(facts), 0, *divmod(read, NS), *birth, *divmod(changed, NS),
        *divmod(written, NS), *facts.rdev, *facts.device, mount, 0, 0,
    )  # fmt: skip


SYNC_TYPE = abi.AT_STATX_FORCE_SYNC | abi.AT_STATX_DONT_SYNC
# include/uapi/linux/magic.h
MAGIC = {
    "ext4": 0xEF53, "proc": 0x9FA0, "sysfs": 0x6265_6572, "tmpfs": 0x0102_1994, "devtmpfs": 0x0102_1994,
    "cgroup": 0x27_E0EB, "cgroup2": 0x6367_7270, "overlay": 0x794C_7630, "virtiofs": 0x6573_5546,
}  # fmt: skip
PIPEFS_MAGIC = 0x5049_5045
STATFS_FLAGS = {"nosuid": 2, "nodev": 4, "noexec": 8, "relatime": 0x1000}  # include/linux/statfs.h, ST_*
ST_VALID = 0x20


def pack_filesystem(k: Kernel, device: tuple[int, int]) -> bytes:
    """Return what is known of the file system *device* as struct statfs; pseudo file systems have no size."""
    mount = next((mount for mount in k.tree.mounts if mount.device == device), None)
    if mount is None:
        return abi.STATFS.pack(PIPEFS_MAGIC, BLOCK, 0, 0, 0, 0, 0, 0, 0, abi.NAME_MAX, BLOCK, ST_VALID)
    store = k.tree.store
    sized = mount.fstype in ("ext4", "tmpfs", "devtmpfs", "overlay", "virtiofs")
    total, free = (store.limit, store.free) if sized else (0, 0)
    files, unused = (store.limit, store.limit - len(store.touched)) if sized else (0, 0)
    flags = sum(STATFS_FLAGS.get(option, 0) for option in mount.options.split(",")) | ST_VALID
    number = encode_device(device)
    return abi.STATFS.pack(
        MAGIC[mount.fstype], BLOCK, total, free, free, files, unused, number, 0, abi.NAME_MAX, BLOCK, flags
    )


def statfs(k: Kernel, t: Task, path: bytes, addr: int) -> int:
    """Store what the file system of *path* is; statfs(2)."""
    k.mem.write(addr, pack_filesystem(k, facts_at(k, abi.AT_FDCWD, path, True).device))
    return 0


def fstatfs(k: Kernel, t: Task, fd: int, addr: int) -> int:
    """Store what the file system of *fd* is; statfs(2)."""
    k.mem.write(addr, pack_filesystem(k, k.files.get(fd).facts.device))
    return 0
