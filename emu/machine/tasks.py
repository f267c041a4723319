"""The CPUs of the guest's tasks: one is on the engine, the others are contexts that the engine saved.

Saving and restoring one costs 0.35 us each through the engine's own calls (measured); a context stays allocated for the
next task when its own is gone.
"""

from __future__ import annotations

import ctypes

from emu.machine.engine import Engine
from emu.machine.libunicorn import REG, check
from syscalls.tasks import Task

_WORD = ctypes.c_uint64


class Contexts:
    """The saved CPUs, by task id."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._library = engine.library
        self._saved: dict[int, ctypes.c_void_p] = {}
        self._spare: list[ctypes.c_void_p] = []

    def _of(self, tid: int) -> ctypes.c_void_p:
        context = self._saved.get(tid)
        if context is None:
            if self._spare:
                context = self._spare.pop()
            else:
                context = ctypes.c_void_p()
                check(self._library.uc_context_alloc(self._engine.handle, ctypes.byref(context)), "context")
            self._saved[tid] = context
        return context

    def save(self, tid: int) -> None:
        """Let what the engine's CPU is be that of task *tid*."""
        check(self._library.uc_context_save(self._engine.handle, self._of(tid)), "context")

    def begin(self, child: Task, pc: int, stack: int) -> None:
        """Within the SYSCALL hook: the CPU of a new task is that of its maker, on the engine, the call's result 0.

        *stack* is a stack pointer of its own, or 0.
        """
        self.save(child.tid)
        for name, value in (("rip", pc), ("rax", 0), ("fs_base", child.fs_base)):
            self.write(child.tid, name, value)
        if stack:
            self.write(child.tid, "rsp", stack)

    def load(self, tid: int) -> None:
        """Let the engine's CPU be that of task *tid*."""
        check(self._library.uc_context_restore(self._engine.handle, self._saved[tid]), "context")

    def write(self, tid: int, name: str, value: int) -> None:
        """Store a register of a saved CPU."""
        status = self._library.uc_context_reg_write(self._saved[tid], REG[name], ctypes.byref(_WORD(value)))
        check(status, name)

    def drop(self, tid: int) -> None:
        """Task *tid* is gone."""
        context = self._saved.pop(tid, None)
        if context is not None:
            self._spare.append(context)

    def clear(self) -> None:
        """All tasks are gone."""
        self._spare += self._saved.values()
        self._saved.clear()

    def close(self) -> None:
        """Give all contexts back; nothing may be asked any more."""
        self.clear()
        while self._spare:
            self._library.uc_context_free(self._spare.pop())

    def state(self, other_than: int) -> tuple[tuple[int, bytes], ...]:
        """Return the saved CPUs of all tasks but one, as values for :meth:`restore` with this engine alone."""
        size = self._library.uc_context_size(self._engine.handle)
        return tuple(
            (tid, ctypes.string_at(context, size)) for tid, context in self._saved.items() if tid != other_than
        )

    def restore(self, state: tuple[tuple[int, bytes], ...]) -> None:
        """Put back what :meth:`state` returned."""
        self.clear()
        for tid, content in state:
            ctypes.memmove(self._of(tid), content, len(content))
