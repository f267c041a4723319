"""A terminal behind standard input, output and error; tty_ioctl(4), termios(3).

What the guest sees of it is the World's and its own: settings, size, the processes in the foreground.  Editing of lines
and echo are left to the terminal that rt0 itself runs in, which is told how the guest set its own; where there is none,
what is read is cut into lines, and that is all.  Job control works within the session: a group in the background that
reads is stopped.  Sources: drivers/tty/tty_io.c, n_tty.c and tty_jobctrl.c of Linux 6.1 (read).
"""

from __future__ import annotations

from struct import Struct
from zlib import crc32

from syscalls import abi
from syscalls.errno import EAGAIN, EINVAL, EIO, ENOTTY, ENXIO, EPERM, ESRCH, SyscallError
from syscalls.files import speeds
from syscalls.files.kept import Kept
from syscalls.files.opened import KEYS, STDIN, Facts, Input, Stream
from syscalls.light import TYPE_CHECKING, NoReturn
from syscalls.sending import bits, is_ignored, send_process
from syscalls.siginfo import from_kernel
from syscalls.tree.nodes import TERMINAL, TTY_GROUP
from syscalls.waits import AGAIN, TIMEOUT, Blocked, Channel, Wait

if TYPE_CHECKING:
    from syscalls.kernel import Kernel
    from syscalls.processes import Process

PATH = "/dev/pts/0"
FOREGROUND: Channel = ("foreground",)  # woken when another group of processes is
SPEEDS = Struct("<II")
TENTH = 100_000_000  # of a second, in nanoseconds: what VTIME counts
# ICRNL | IXON, OPOST | ONLCR, B38400 | CS8 | CREAD, and of the local modes ISIG, ICANON, ECHO, ECHOE, ECHOK, ECHOCTL,
# ECHOKE, IEXTEN; the characters are INIT_C_CC: a pseudo terminal that nobody has set (pty_unix98_pts_init).
NEW = abi.TERMIOS.pack(0x500, 0x5, 0xBF, 0x8A3B, 0, bytes.fromhex("031c7f150400010011131a00120f171600"))
OF_SPEEDS = {abi.TCSETS2: abi.TCSETS, abi.TCSETSW2: abi.TCSETSW, abi.TCSETSF2: abi.TCSETSF}
ATTRIBUTES = (abi.TCSETS, abi.TCSETSW, abi.TCSETSF, *OF_SPEEDS)


class Tty(Kept):
    """The terminal: its settings (a struct termios), speeds, size, session and foreground group.

    *fed* says that standard input is it; *outlets* are the streams that it shows, 1 and 2.  *pending* was read of
    standard input and not yet by the guest.
    """

    __slots__ = ("fed", "foreground", "outlets", "pending", "session", "settings", "speeds", "window")

    def __init__(self, descriptors: tuple[int, ...], window: tuple[int, int], settings: bytes, session: int) -> None:
        self.fed = 0 in descriptors
        self.outlets = tuple(fd for fd in descriptors if fd)
        self.window, self.settings = window, settings
        self.speeds = speeds.of(abi.TERMIOS.unpack(settings)[2], speeds.NEW)
        self.session = self.foreground = session
        self.pending = b""

    # What a process may do

    def check(self, k: Kernel, signum: int) -> None:
        """Stop the group of the current process with *signum* if it is in the background; __tty_check_change.

        SIGTTIN is for reading: EIO where that signal is ignored or blocked.  SIGTTOU is for changing something, which
        such a process may do.
        """
        process = k.process
        if process.sid != self.session or process.pgid == self.foreground:
            return
        task = k.running
        blocked = task is not None and task.sigmask & bits(signum)
        if blocked or is_ignored(process.actions, signum):
            if signum == abi.SIGTTIN:
                raise SyscallError(EIO)
            return
        group = self.group(k, process.pgid)
        if not any(self._has_shell(k, member) for member in group):
            raise SyscallError(EIO)  # nobody would make it go on
        for member in group:
            send_process(k, member, signum, from_kernel(signum))
        raise Blocked(Wait("the foreground of its terminal", (FOREGROUND,)))

    def group(self, k: Kernel, pgid: int) -> list[Process]:
        """Return the processes of group *pgid* in this terminal's session that have not ended."""
        return [
            process for process in k.processes.values()
            if process.pgid == pgid and process.sid == self.session and process.ended is None
        ]  # fmt: skip

    def _has_shell(self, k: Kernel, process: Process) -> bool:
        # Whether its parent could do job control for it; else its group is orphaned: will_become_orphaned_pgrp.
        parent = k.processes.get(process.ppid)
        return parent is not None and parent.pgid != process.pgid and parent.sid == process.sid

    def signal(self, k: Kernel, signum: int) -> None:
        """Send *signum* to whoever is in the foreground, as a key does."""
        for process in self.group(k, self.foreground):
            send_process(k, process, signum, from_kernel(signum))

    def resize(self, k: Kernel, window: tuple[int, int]) -> None:
        """Let its size be *window*, and tell the foreground if that is new."""
        if window != self.window:
            self.window = window
            self.signal(k, abi.SIGWINCH)

    # Reading

    def local(self) -> tuple[int, bytes]:
        """Return the local modes and the control characters."""
        _, _, _, modes, _, characters = abi.TERMIOS.unpack(self.settings)
        return modes, characters

    @property
    def channel(self) -> Channel:
        """What those who read wait on."""
        return STDIN if self.fed else KEYS

    def source(self, k: Kernel) -> Input | None:
        """Return where what is typed comes from; None where nothing does."""
        if not self.fed:
            return k.keys
        return Input(k.stdin or (lambda _: b""), k.has_input or (lambda _: True))

    def has(self, k: Kernel, ask: bool) -> bool:
        """Say whether something can be read, having asked outside if need be and *ask*."""
        source = self.source(k)
        return bool(self.pending) or (source is not None and source.has(ask))

    def read(self, k: Kernel, size: int, nonblocking: bool) -> bytes:
        """Return up to *size* bytes of a line, or as many as VMIN and VTIME say."""
        if self.source(k) is None:
            raise SyscallError(EIO)
        modes, characters = self.local()
        if modes & abi.ICANON:
            if not self.pending and not self._fetch(k, size, nonblocking):
                return b""
            return self._taken(min(self.pending.find(b"\n") + 1 or size, size))
        least, tenths = characters[abi.VMIN], characters[abi.VTIME]
        waits = not nonblocking and least > 0
        while len(self.pending) < min(size, max(least, 1)):
            try:
                if not self._fetch(k, size - len(self.pending), not waits):
                    break
            except SyscallError:
                if nonblocking and not self.pending and (least or tenths):
                    raise
                if not nonblocking and tenths:
                    self._wait(k, size, tenths)
                break
            except Blocked:
                if not self.pending or not tenths:
                    raise
                self._wait(k, size, tenths)
                break
        return self._taken(size)

    def _taken(self, size: int) -> bytes:
        data, self.pending = self.pending[:size], self.pending[size:]
        return data

    def _fetch(self, k: Kernel, size: int, at_once: bool) -> bool:
        # Read what has come; False at the end.
        source = self.source(k)
        assert source is not None
        data = source.take(size)
        if data is None and at_once and source.has(True):
            data = source.take(size)
        if data is None:
            if at_once:
                raise SyscallError(EAGAIN)
            raise Blocked(Wait("the terminal", (self.channel,), data=size))
        self.pending += data
        return bool(data)

    def _wait(self, k: Kernel, size: int, tenths: int) -> None:
        # Wait for another byte as long as VTIME says, from the last one on; return when the time is over.
        task = k.running
        if task is None or task.woken == TIMEOUT:
            return
        deadline = task.wait.deadline if task.woken == AGAIN and task.wait else None
        if deadline is None:
            deadline = k.clock.monotonic_ns() + tenths * TENTH
        raise Blocked(Wait("the terminal", (self.channel,), deadline, data=size))


class Terminal(Stream):
    """A descriptor of the terminal: standard stream *number*, or one that was opened."""

    __slots__ = ("tty",)

    def __init__(self, tty: Tty, number: int, flags: int, facts: Facts) -> None:
        super().__init__(number, flags, facts)
        self.tty = tty

    def look(self, k: Kernel) -> None:
        self.tty.has(k, True)

    def read(self, k: Kernel, offset: int, size: int) -> bytes:
        self.tty.check(k, abi.SIGTTIN)
        return self.tty.read(k, size, bool(self.flags & abi.O_NONBLOCK)) if size else b""

    def write(self, k: Kernel, data: bytes) -> int:
        if self.tty.local()[0] & abi.TOSTOP:
            self.tty.check(k, abi.SIGTTOU)
        return super().write(k, data)

    def ready(self, k: Kernel) -> int:
        ready = abi.POLLOUT | abi.POLLWRNORM
        if self.tty.has(k, False):
            ready |= abi.POLLIN | abi.POLLRDNORM
        return ready

    def channels(self, events: int) -> tuple[Channel, ...]:
        return (self.tty.channel,)

    def ioctl(self, k: Kernel, request: int, arg: int) -> int:
        action = ACTIONS.get(request)
        if action is None:
            raise SyscallError(ENOTTY)
        return action(k, self.tty, request, arg)


def facts_of(k: Kernel) -> Facts:
    """Return what stat says of the terminal: what it says of :data:`PATH`."""
    owner = k.world.process.euid, TTY_GROUP
    return Facts(PATH, abi.S_IFCHR | 0o620, 0, crc32(PATH.encode()) or 1, (0, 5), 1, TERMINAL, owner=owner)


def attach(k: Kernel, descriptors: tuple[int, ...]) -> Tty:
    """Put a terminal, as the World of *k* describes it, behind the standard *descriptors* that are open."""
    me = k.world.process
    tty = Tty(descriptors, me.window or (24, 80), me.termios or NEW, k.process.sid)
    for fd in descriptors:
        if k.files.is_open(fd):
            k.files.put(fd, Terminal(tty, fd, abi.O_RDWR | abi.O_LARGEFILE, facts_of(k)))
    return tty


def opened(k: Kernel, flags: int, facts: Facts) -> Terminal:
    """Open the terminal by name; ENXIO where the process has none."""
    tty = k.tty
    if tty is None or (facts.rdev != TERMINAL and k.process.sid != tty.session):
        raise SyscallError(ENXIO)
    return Terminal(tty, tty.outlets[0] if tty.outlets else 0, flags, facts)


# What ioctl does; tty_ioctl(4)


def _get(k: Kernel, tty: Tty, request: int, arg: int) -> int:
    k.mem.write(arg, tty.settings)
    return 0


def _get_with_speeds(k: Kernel, tty: Tty, request: int, arg: int) -> int:
    k.mem.write(arg, tty.settings + SPEEDS.pack(*tty.speeds))  # struct termios2
    return 0


def _set(k: Kernel, tty: Tty, request: int, arg: int) -> int:
    tty.check(k, abi.SIGTTOU)
    settings, given = k.mem.read(arg, abi.TERMIOS.size), tty.speeds
    if request in OF_SPEEDS:
        given = SPEEDS.unpack(k.mem.read(arg + abi.TERMIOS.size, SPEEDS.size))
        request = OF_SPEEDS[request]
    if request == abi.TCSETSF:
        tty.pending = b""
    tty.settings = settings = speeds.kept(settings)
    tty.speeds = speeds.of(abi.TERMIOS.unpack(settings)[2], given)
    if k.set_terminal is not None:
        k.set_terminal(request, settings)
    return 0


def _flush(k: Kernel, tty: Tty, request: int, arg: int) -> int:
    tty.check(k, abi.SIGTTOU)
    if arg not in (abi.TCIFLUSH, abi.TCOFLUSH, abi.TCIOFLUSH):
        raise SyscallError(EINVAL)
    if arg != abi.TCOFLUSH:
        tty.pending = b""
        if k.set_terminal is not None:
            k.set_terminal(request, b"")
    return 0


def _drain(k: Kernel, tty: Tty, request: int, arg: int) -> int:
    tty.check(k, abi.SIGTTOU)
    return 0  # all that was written is out


def _get_window(k: Kernel, tty: Tty, request: int, arg: int) -> int:
    k.mem.write(arg, abi.WINSIZE.pack(*tty.window, 0, 0))
    return 0


def _set_window(k: Kernel, tty: Tty, request: int, arg: int) -> int:
    tty.resize(k, abi.WINSIZE.unpack(k.mem.read(arg, abi.WINSIZE.size))[:2])
    return 0


def _of_session(k: Kernel, tty: Tty) -> None:
    if k.process.sid != tty.session:
        raise SyscallError(ENOTTY)


def _get_group(k: Kernel, tty: Tty, request: int, arg: int) -> int:
    _of_session(k, tty)
    k.mem.write(arg, abi.U32.pack(tty.foreground))
    return 0


def _set_group(k: Kernel, tty: Tty, request: int, arg: int) -> int:
    _of_session(k, tty)
    tty.check(k, abi.SIGTTOU)
    pgid = int.from_bytes(k.mem.read(arg, 4), "little", signed=True)
    if pgid < 0:
        raise SyscallError(EINVAL)
    members = [process for process in k.processes.values() if process.pgid == pgid]
    if not members:
        raise SyscallError(ESRCH)
    if members[0].sid != tty.session:
        raise SyscallError(EPERM)
    tty.foreground = pgid
    k.wake(FOREGROUND)
    return 0


def _get_session(k: Kernel, tty: Tty, request: int, arg: int) -> int:
    _of_session(k, tty)
    k.mem.write(arg, abi.U32.pack(tty.session))
    return 0


def _make_controlling(k: Kernel, tty: Tty, request: int, arg: int) -> int:
    if k.process.sid != tty.session or k.process.pid != tty.session:
        raise SyscallError(EPERM)  # it is another session's already
    return 0


def _waiting_input(k: Kernel, tty: Tty, request: int, arg: int) -> int:
    k.mem.write(arg, abi.U32.pack(len(tty.pending)))  # what the terminal outside holds is not asked
    return 0


def _waiting_output(k: Kernel, tty: Tty, request: int, arg: int) -> int:
    k.mem.write(arg, abi.U32.pack(0))
    return 0


def _give_up(k: Kernel, tty: Tty, request: int, arg: int) -> NoReturn:
    raise SyscallError(ENOTTY if k.process.sid != tty.session else EINVAL)


ACTIONS = {
    abi.TCGETS: _get, abi.TCGETS2: _get_with_speeds, **dict.fromkeys(ATTRIBUTES, _set),
    abi.TCSBRK: _drain, abi.TCSBRKP: _drain, abi.TCFLSH: _flush,
    abi.TIOCGWINSZ: _get_window, abi.TIOCSWINSZ: _set_window, abi.TIOCGPGRP: _get_group, abi.TIOCSPGRP: _set_group,
    abi.TIOCGSID: _get_session, abi.TIOCSCTTY: _make_controlling, abi.TIOCNOTTY: _give_up,
    abi.FIONREAD: _waiting_input, abi.TIOCOUTQ: _waiting_output,
}  # fmt: skip
