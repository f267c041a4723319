"""The rows of the table for calls that change files, or copy and describe them; others are in the table itself."""

from __future__ import annotations

from syscalls.files import entries, listing
from syscalls.kinds import DIRFD, FD, PATH, UINT, flags, out_buf
from syscalls.row import COUNT, PARTIAL, ZERO, Syscall

MODE = UINT
KINDS = "Regular files and named pipes; devices and sockets are EPERM."

ROWS: tuple[Syscall, ...] = (
    Syscall(78, "getdents", (FD, out_buf(2), UINT), COUNT, listing.getdents),
    Syscall(82, "rename", (PATH, PATH), ZERO, entries.rename),
    Syscall(83, "mkdir", (PATH, MODE), ZERO, entries.mkdir),
    Syscall(84, "rmdir", (PATH,), ZERO, entries.rmdir),
    Syscall(86, "link", (PATH, PATH), ZERO, entries.link),
    Syscall(87, "unlink", (PATH,), ZERO, entries.unlink),
    Syscall(88, "symlink", (PATH, PATH), ZERO, entries.symlink),
    Syscall(133, "mknod", (PATH, MODE, UINT), ZERO, entries.mknod, PARTIAL, KINDS),
    Syscall(258, "mkdirat", (DIRFD, PATH, MODE), ZERO, entries.mkdirat),
    Syscall(259, "mknodat", (DIRFD, PATH, MODE, UINT), ZERO, entries.mknodat, PARTIAL, KINDS),
    Syscall(263, "unlinkat", (DIRFD, PATH, flags("flags", "AT_")), ZERO, entries.unlinkat),
    Syscall(264, "renameat", (DIRFD, PATH, DIRFD, PATH), ZERO, entries.renameat),
    Syscall(265, "linkat", (DIRFD, PATH, DIRFD, PATH, flags("flags", "AT_")), ZERO, entries.linkat),
    Syscall(266, "symlinkat", (PATH, DIRFD, PATH), ZERO, entries.symlinkat),
    Syscall(316, "renameat2", (DIRFD, PATH, DIRFD, PATH, flags("flags", "RENAME_")), ZERO, entries.renameat2, PARTIAL,
            "RENAME_WHITEOUT is EINVAL.", (3, 15)),
)  # fmt: skip
