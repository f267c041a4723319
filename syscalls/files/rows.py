"""The rows of the table for calls that change files, or copy and describe them; others are in the table itself."""

from __future__ import annotations

from syscalls.files import attributes, copies, entries, listing, locks, paths, sizes, status, xattr
from syscalls.kinds import (
    ADDR,
    DIRFD,
    FD,
    INT,
    LONG,
    PATH,
    PATH_OR_NULL,
    SIZE,
    UINT,
    flags,
    in_struct,
    in_vector,
    inout_struct,
    out_buf,
    out_struct,
    out_vector,
)
from syscalls.row import COUNT, NEW_FD, PARTIAL, SUPPORTED, ZERO, Syscall, later

MODE, ID = UINT, INT._replace(name="id")
AT_FLAGS = flags("flags", "AT_")
NAME = PATH  # text that ends in a null
OFFSET = inout_struct("offset", 8)
TIMES, TIMEVALS = in_struct("timespec", 32), in_struct("timeval", 32)
RWF = flags("flags", "RWF_")
KINDS = "Regular files and named pipes; devices and sockets are EPERM."
IN_MEMORY = "What is in memory lasts as long as the run."
HINT = "A hint: everything is in memory, and nothing changes."
NO_XATTR = "No file has extended attributes, and none can be made."
NO_HANDLES = "No file system gives handles."

ROWS: tuple[Syscall, ...] = (
    Syscall(40, "sendfile", (FD, FD, OFFSET, SIZE), COUNT, copies.sendfile),
    Syscall(73, "flock", (FD, flags("operation", "LOCK_")), ZERO, locks.flock),
    Syscall(74, "fsync", (FD,), ZERO, sizes.fsync, SUPPORTED, IN_MEMORY),
    Syscall(75, "fdatasync", (FD,), ZERO, sizes.fsync, SUPPORTED, IN_MEMORY),
    Syscall(76, "truncate", (PATH, LONG), ZERO, sizes.truncate),
    Syscall(77, "ftruncate", (FD, LONG), ZERO, sizes.ftruncate),
    Syscall(78, "getdents", (FD, out_buf(2), UINT), COUNT, listing.getdents),
    Syscall(82, "rename", (PATH, PATH), ZERO, entries.rename),
    Syscall(83, "mkdir", (PATH, MODE), ZERO, entries.mkdir),
    Syscall(84, "rmdir", (PATH,), ZERO, entries.rmdir),
    Syscall(86, "link", (PATH, PATH), ZERO, entries.link),
    Syscall(87, "unlink", (PATH,), ZERO, entries.unlink),
    Syscall(88, "symlink", (PATH, PATH), ZERO, entries.symlink),
    Syscall(90, "chmod", (PATH, MODE), ZERO, attributes.chmod),
    Syscall(91, "fchmod", (FD, MODE), ZERO, attributes.fchmod),
    Syscall(92, "chown", (PATH, ID, ID), ZERO, attributes.chown),
    Syscall(93, "fchown", (FD, ID, ID), ZERO, attributes.fchown),
    Syscall(94, "lchown", (PATH, ID, ID), ZERO, attributes.lchown),
    Syscall(132, "utime", (PATH, in_struct("utimbuf", 16)), ZERO, attributes.utime),
    Syscall(133, "mknod", (PATH, MODE, UINT), ZERO, entries.mknod, PARTIAL, KINDS),
    Syscall(137, "statfs", (PATH, out_struct("statfs", 120)), ZERO, status.statfs),
    Syscall(138, "fstatfs", (FD, out_struct("statfs", 120)), ZERO, status.fstatfs),
    Syscall(162, "sync", (), ZERO, sizes.sync, SUPPORTED, IN_MEMORY),
    Syscall(187, "readahead", (FD, LONG, SIZE), ZERO, sizes.readahead, SUPPORTED, HINT),
    Syscall(188, "setxattr", (PATH, NAME, ADDR, SIZE, INT), ZERO, xattr.setxattr, PARTIAL, NO_XATTR),
    Syscall(189, "lsetxattr", (PATH, NAME, ADDR, SIZE, INT), ZERO, xattr.lsetxattr, PARTIAL, NO_XATTR),
    Syscall(190, "fsetxattr", (FD, NAME, ADDR, SIZE, INT), ZERO, xattr.fsetxattr, PARTIAL, NO_XATTR),
    Syscall(191, "getxattr", (PATH, NAME, ADDR, SIZE), COUNT, xattr.getxattr, PARTIAL, NO_XATTR),
    Syscall(192, "lgetxattr", (PATH, NAME, ADDR, SIZE), COUNT, xattr.lgetxattr, PARTIAL, NO_XATTR),
    Syscall(193, "fgetxattr", (FD, NAME, ADDR, SIZE), COUNT, xattr.fgetxattr, PARTIAL, NO_XATTR),
    Syscall(194, "listxattr", (PATH, ADDR, SIZE), COUNT, xattr.listxattr, PARTIAL, NO_XATTR),
    Syscall(195, "llistxattr", (PATH, ADDR, SIZE), COUNT, xattr.llistxattr, PARTIAL, NO_XATTR),
    Syscall(196, "flistxattr", (FD, ADDR, SIZE), COUNT, xattr.flistxattr, PARTIAL, NO_XATTR),
    Syscall(197, "removexattr", (PATH, NAME), ZERO, xattr.removexattr, PARTIAL, NO_XATTR),
    Syscall(198, "lremovexattr", (PATH, NAME), ZERO, xattr.lremovexattr, PARTIAL, NO_XATTR),
    Syscall(199, "fremovexattr", (FD, NAME), ZERO, xattr.fremovexattr, PARTIAL, NO_XATTR),
    Syscall(221, "fadvise64", (FD, LONG, LONG, INT), ZERO, sizes.fadvise64, SUPPORTED, HINT),
    Syscall(235, "utimes", (PATH, TIMEVALS), ZERO, attributes.utimes),
    Syscall(258, "mkdirat", (DIRFD, PATH, MODE), ZERO, entries.mkdirat),
    Syscall(259, "mknodat", (DIRFD, PATH, MODE, UINT), ZERO, entries.mknodat, PARTIAL, KINDS),
    Syscall(260, "fchownat", (DIRFD, PATH, ID, ID, AT_FLAGS), ZERO, attributes.fchownat),
    Syscall(261, "futimesat", (DIRFD, PATH_OR_NULL, TIMEVALS), ZERO, attributes.futimesat),
    Syscall(263, "unlinkat", (DIRFD, PATH, flags("flags", "AT_REMOVE")), ZERO, entries.unlinkat),
    Syscall(264, "renameat", (DIRFD, PATH, DIRFD, PATH), ZERO, entries.renameat),
    Syscall(265, "linkat", (DIRFD, PATH, DIRFD, PATH, AT_FLAGS), ZERO, entries.linkat),
    Syscall(266, "symlinkat", (PATH, DIRFD, PATH), ZERO, entries.symlinkat),
    Syscall(268, "fchmodat", (DIRFD, PATH, MODE), ZERO, attributes.fchmodat),
    Syscall(275, "splice", (FD, ADDR, FD, ADDR, SIZE, flags("flags", "SPLICE_F_")), COUNT,
            later("syscalls.files.splices", "splice")),
    Syscall(277, "sync_file_range", (FD, LONG, LONG, UINT), ZERO, sizes.sync_file_range, SUPPORTED, IN_MEMORY),
    Syscall(280, "utimensat", (DIRFD, PATH_OR_NULL, TIMES, AT_FLAGS), ZERO, attributes.utimensat),
    Syscall(285, "fallocate", (FD, flags("mode", "FALLOC_FL_"), LONG, LONG), ZERO, sizes.fallocate, PARTIAL,
            "Ranges are given space, zeros or a hole; inserting, collapsing and unsharing them is EOPNOTSUPP."),
    Syscall(295, "preadv", (FD, out_vector(2), SIZE, LONG, LONG), COUNT, copies.preadv),
    Syscall(296, "pwritev", (FD, in_vector(2), SIZE, LONG, LONG), COUNT, copies.pwritev),
    Syscall(303, "name_to_handle_at", (DIRFD, PATH, ADDR, ADDR, AT_FLAGS), ZERO, xattr.name_to_handle_at, PARTIAL,
            NO_HANDLES),
    Syscall(306, "syncfs", (FD,), ZERO, sizes.syncfs, SUPPORTED, IN_MEMORY),
    Syscall(316, "renameat2", (DIRFD, PATH, DIRFD, PATH, flags("flags", "RENAME_")), ZERO, entries.renameat2, PARTIAL,
            "RENAME_WHITEOUT is EINVAL.", (3, 15)),
    Syscall(319, "memfd_create", (NAME, flags("flags", "MFD_")), NEW_FD, copies.memfd_create, PARTIAL,
            "MFD_HUGETLB is EINVAL; seals are kept, but one against writing does not look for mappings.", (3, 17)),
    Syscall(326, "copy_file_range", (FD, OFFSET, FD, OFFSET, SIZE, UINT), COUNT, copies.copy_file_range,
            since=(4, 5)),
    Syscall(327, "preadv2", (FD, out_vector(2), SIZE, LONG, LONG, RWF), COUNT, copies.preadv2, PARTIAL,
            "RWF_APPEND is EOPNOTSUPP; the other flags change nothing.", (4, 6)),
    Syscall(328, "pwritev2", (FD, in_vector(2), SIZE, LONG, LONG, RWF), COUNT, copies.pwritev2, PARTIAL,
            "RWF_APPEND is EOPNOTSUPP; the other flags change nothing.", (4, 6)),
    Syscall(332, "statx", (DIRFD, PATH, AT_FLAGS, flags("mask", "STATX_"), out_struct("statx", 256)), ZERO,
            status.statx, since=(4, 11)),
    Syscall(437, "openat2", (DIRFD, PATH, in_struct("open_how", 24), SIZE), NEW_FD, paths.openat2, since=(5, 6)),
)  # fmt: skip
