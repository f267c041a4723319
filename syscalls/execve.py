"""Running another program; execve(2), execveat(2).

The file comes from the guest's tree; the machine loads it into a memory of its own, and only when that has succeeded is
the old program gone.  Source: fs/exec.c and fs/binfmt_script.c of Linux 6.1 (read).
"""

from __future__ import annotations

from syscalls import abi, timers
from syscalls.ending import release_maker, release_memory
from syscalls.errno import E2BIG, EACCES, EINVAL, ELOOP, ENOENT, ENOEXEC, ENOSYS, SyscallError
from syscalls.files.paths import find, may, text
from syscalls.guest import Execution
from syscalls.light import TYPE_CHECKING, NamedTuple, replace
from syscalls.outcome import Exit
from syscalls.space import AddressSpace
from syscalls.world import World

if TYPE_CHECKING:
    from syscalls.kernel import Kernel
    from syscalls.processes import Process
    from syscalls.tasks import Task
    from syscalls.tree import FileNode

MOST, LEAST = 6 << 20, 128 << 10  # bytes of arguments: a quarter of the stack's limit, within these (bprm_stack_limits)
MAX_ARG_STRLEN = 128 << 10  # bytes of one argument, its null included (uapi/linux/binfmts.h)
SCRIPTS = 5  # interpreters of interpreters, and what they run


class Call(NamedTuple):
    """What to run, and how it is to be called."""

    node: FileNode
    argv: tuple[bytes, ...]
    name: bytes


def execve(k: Kernel, t: Task, path: bytes, argv: int, envp: int) -> int:
    """Run the program at *path* in place of the caller's; execve(2)."""
    return _execute(k, t, abi.AT_FDCWD, path, argv, envp, 0)


def execveat(k: Kernel, t: Task, dirfd: int, path: bytes, argv: int, envp: int, flags: int) -> int:
    """Run the program at *path*, or with AT_EMPTY_PATH that of *dirfd*; execveat(2)."""
    if flags & ~(abi.AT_EMPTY_PATH | abi.AT_SYMLINK_NOFOLLOW):
        raise SyscallError(EINVAL)
    return _execute(k, t, dirfd, path, argv, envp, flags)


def _execute(k: Kernel, t: Task, dirfd: int, path: bytes, argv: int, envp: int, flags: int) -> int:
    if k.memories is None:
        raise SyscallError(ENOSYS)
    node = _opened(k, dirfd, path, flags)
    name = path
    if dirfd != abi.AT_FDCWD and not path.startswith(b"/"):
        name = b"/dev/fd/%d" % dirfd + (b"/" + path if path else b"")
    # A program without even a name of its own gets an empty one (since 5.18).
    arguments, environment = strings(k, argv) or (b"",), strings(k, envp)
    call = Call(node, arguments, name)
    for _ in range(SCRIPTS + 1):
        data = call.node.content()
        _check_size(t.process, (*call.argv, *environment, name))
        if data[:2] != b"#!":
            break
        call = _script(k, call, data[: abi.BINPRM_BUF_SIZE])
    else:
        raise SyscallError(ELOOP)

    def read(wanted: str) -> bytes:
        return _opened(k, abi.AT_FDCWD, wanted.encode("utf-8", "surrogateescape"), 0).content()

    execution = Execution(
        data, call.node.path, text(name), tuple(map(text, call.argv)), tuple(map(text, environment)),
        k.entropy.take(16), _world_of(k, t.process), read,
    )  # fmt: skip
    start = k.memories.load(execution)
    _leave_old(k, t)
    me = t.process
    me.program, me.mem = start.program, start.mem
    me.space = AddressSpace(k.world, me.mem, me.program, me.rlimits)
    me.number = me.pid
    k.memories.serve(me.mem, me.space.mapping_at)
    me.dumpable, me.executed = 1, True
    t.comm = text(name.rpartition(b"/")[2][:15])
    k.enter(me)
    k.started = (t, start.entry, start.sp)
    return 0


def _opened(k: Kernel, dirfd: int, path: bytes, flags: int) -> FileNode:
    # The file to run; raise what opening it for that fails with.
    from syscalls.tree import FileNode, Link

    if not path:
        if not flags & abi.AT_EMPTY_PATH:
            raise SyscallError(ENOENT)
        found = find(k, dirfd, b".") if dirfd == abi.AT_FDCWD else k.files.get(dirfd).node
    else:
        found = find(k, dirfd, path, follow=not flags & abi.AT_SYMLINK_NOFOLLOW)
    if isinstance(found, Link):
        raise SyscallError(ELOOP)
    if not isinstance(found, FileNode) or not may(k, found, abi.X_OK):
        raise SyscallError(EACCES)
    return found


def strings(k: Kernel, addr: int) -> tuple[bytes, ...]:
    """Return the strings of the vector at *addr*, which a null pointer ends; a null vector is empty.  E2BIG."""
    found: list[bytes] = []
    total = 0
    while addr:
        (place,) = abi.U64.unpack(k.mem.read(addr, 8))
        if not place:
            break
        item = k.read_text(place, MAX_ARG_STRLEN)
        total += len(item) + 9
        if len(item) >= MAX_ARG_STRLEN or total > MOST:
            raise SyscallError(E2BIG)
        found.append(item)
        addr += 8
    return tuple(found)


def _check_size(process: Process, items: tuple[bytes, ...]) -> None:
    room = max(min(MOST, process.rlimits[abi.RLIMIT_STACK][0] // 4), LEAST)
    if sum(len(item) + 9 for item in items) > room:
        raise SyscallError(E2BIG)


def _script(k: Kernel, call: Call, line: bytes) -> Call:
    # Run the interpreter that the first line names, with the rest of the line as one argument, and the script's path.
    end = line.find(b"\n")
    if end < 0:
        # Without its end the line is good enough if at least the interpreter's path is whole.
        if len(line) == abi.BINPRM_BUF_SIZE and not line[2:].strip(b" \t").partition(b" ")[1]:
            raise SyscallError(ENOEXEC)
        end = len(line)
    interpreter, _, argument = line[2:end].replace(b"\t", b" ").strip(b" ").partition(b" ")
    interpreter = interpreter.partition(b"\0")[0]
    if not interpreter:
        raise SyscallError(ENOEXEC)
    argument = argument.strip(b" ").partition(b"\0")[0]
    extra = (argument,) if argument else ()
    node = _opened(k, abi.AT_FDCWD, interpreter, 0)
    return Call(node, (interpreter, *extra, call.name, *call.argv[1:]), interpreter)


def _world_of(k: Kernel, process: Process) -> World:
    # The World with the identity that the process has by now, for its auxiliary vector.
    ids, who = process.ids, k.world.process
    if (ids.uid, ids.euid, ids.gid, ids.egid) == (who.uid, who.euid, who.gid, who.egid):
        return k.world
    return replace(k.world, process=replace(who, uid=ids.uid, euid=ids.euid, gid=ids.gid, egid=ids.egid))


def _leave_old(k: Kernel, t: Task) -> None:
    # The point of no return: begin_new_exec.
    me = t.process
    for other in k.tasks_of(me):
        if other is not t:
            if k.told is not None:
                k.told(other, Exit(0))
            k.forget(other)
    if t.tid != me.pid:  # the thread that calls becomes the first one
        del k.tasks[t.tid]
        t.tid = me.pid
        k.tasks[t.tid] = t
    if me is k.first:
        k.main = t
    me.space.leave()
    release_maker(k, me)
    release_memory(k, me)
    me.actions = {signum: action for signum, action in me.actions.items() if action[0] == abi.SIG_IGN}
    if any(each is not me and each.ended is None and each.files is me.files for each in k.processes.values()):
        me.files = me.files.copy(me.rlimits)  # unshare_files
    for fd in me.files.close_on_exec():
        me.files.drop(fd)
    timers.forget(k, me, itimers=False)
    t.altstack, t.rseq, t.keeps_caps = (0, abi.SS_DISABLE, 0), None, False
    t.robust_list = t.clear_child_tid = t.fs_base = t.gs_base = 0
