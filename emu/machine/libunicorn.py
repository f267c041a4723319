"""The few functions of libunicorn that the machine calls, by ctypes.

The library is the ``unicorn`` package's own; only its Python half is left aside, whose import costs 20 ms of a boot's
110 (measured: it knows nine architectures, and imports inspect, importlib.resources and tempfile to find its library).
Names and numbers are the package's; ``tests/machine/test_libunicorn.py`` compares them with it.
"""

from __future__ import annotations

import ctypes
import os
from ctypes import c_int, c_size_t, c_uint32, c_uint64, c_void_p
from importlib.machinery import PathFinder

ARCH_X86, MODE_64, PROT_ALL = 4, 8, 7
HOOK_INTR, HOOK_INSN, HOOK_BLOCK = 1, 2, 8
ERR_INSN_INVALID = 10
INS = {"cpuid": 113, "in": 218, "out": 500, "rdtsc": 608, "rdtscp": 609, "syscall": 699}
REG = {
    "rax": 35, "rbp": 36, "rbx": 37, "rcx": 38, "rdi": 39, "rdx": 40, "rip": 41, "rsi": 43, "rsp": 44,
    "r8": 106, "r9": 107, "r10": 108, "r11": 109, "r12": 110, "r13": 111, "r14": 112, "r15": 113,
    "cs": 11, "ss": 49, "cr0": 50, "cr2": 52, "cr3": 53, "cr4": 54, "gdtr": 243, "fpcw": 246, "msr": 248,
    "mxcsr": 249, "fs_base": 250, "gs_base": 251, "rflags": 253, "fpsw": 31, "fptag": 247,
    **{f"fp{n}": 82 + n for n in range(8)}, **{f"xmm{n}": 122 + n for n in range(16)},
}  # fmt: skip
# Controls that write; their low bits number the control, bits 26 and up its arguments (unicorn.h, UC_CTL).
WRITE = 1 << 30
TB_REMOVE_CACHE = 9 | WRITE | 2 << 26
TB_FLUSH = 10 | WRITE
TLB_FLUSH = 11 | WRITE  # the package has no name for it in 2.1.4

PROTOTYPES: dict[str, tuple[object, ...]] = {
    "uc_open": (c_int, c_int, c_void_p),
    "uc_close": (c_void_p,),
    "uc_mem_map_ptr": (c_void_p, c_uint64, c_uint64, c_uint32, c_void_p),
    "uc_reg_read": (c_void_p, c_int, c_void_p),
    "uc_reg_write": (c_void_p, c_int, c_void_p),
    "uc_reg_read_batch": (c_void_p, c_void_p, c_void_p, c_int),
    "uc_reg_write_batch": (c_void_p, c_void_p, c_void_p, c_int),
    "uc_hook_del": (c_void_p, c_size_t),
    "uc_emu_start": (c_void_p, c_uint64, c_uint64, c_uint64, c_size_t),
    "uc_emu_stop": (c_void_p,),
    "uc_context_alloc": (c_void_p, c_void_p),
    "uc_context_save": (c_void_p, c_void_p),
    "uc_context_restore": (c_void_p, c_void_p),
    "uc_context_free": (c_void_p,),
    "uc_context_reg_write": (c_void_p, c_int, c_void_p),
}
"""Argument types, but for the functions with a variable number (uc_hook_add, uc_ctl); all return an error number."""


class UnicornError(RuntimeError):
    """A call of libunicorn failed; it never does for what a guest did."""


def path() -> str:
    """Return where the library is, without importing the package; raise UnicornError."""
    found = PathFinder.find_spec("unicorn")  # importlib.util takes 3 ms to import, and is no better at this
    for folder in (found.submodule_search_locations or []) if found else []:
        library = os.path.join(folder, "lib", "libunicorn.so.2")  # noqa: PTH118 - pathlib takes 4 ms to import
        if os.path.exists(library):  # noqa: PTH110 - as above
            return library
    raise UnicornError("the package unicorn is not installed, or has no libunicorn.so.2")


class _State:
    library: ctypes.CDLL | None = None


def library() -> ctypes.CDLL:
    """Return the loaded library; ``emu.machine.accel.load`` must have been called before."""
    if _State.library is None:
        loaded = ctypes.CDLL(path())
        for name, types in PROTOTYPES.items():
            getattr(loaded, name).argtypes = types
        loaded.uc_context_size.argtypes = (c_void_p,)
        loaded.uc_context_size.restype = c_size_t
        loaded.uc_strerror.restype = ctypes.c_char_p
        _State.library = loaded
    return _State.library


def check(status: int, what: str) -> None:
    """Raise UnicornError for an error number that is not 0."""
    if status:
        raise UnicornError(f"{what}: {library().uc_strerror(status).decode()}")


def version() -> str:
    """Return the library's version, "2.1.4"."""
    number: int = library().uc_version(None, None)
    return f"{number >> 24}.{number >> 16 & 0xFF}.{number >> 8 & 0xFF}"


class Core:
    """One engine for 64-bit x86; closed with the object, or before."""

    def __init__(self) -> None:
        self._library = library()
        self._uch = c_void_p()
        check(self._library.uc_open(ARCH_X86, MODE_64, ctypes.byref(self._uch)), "uc_open")

    def close(self) -> None:
        """Give back what the engine holds; nothing may use its handle any more."""
        if self._uch.value:
            self._library.uc_close(self._uch)
            self._uch = c_void_p()

    def __del__(self) -> None:
        self.close()

    def ctl_flush_tb(self) -> None:
        """Drop all translated code."""
        check(self._library.uc_ctl(self._uch, c_int(TB_FLUSH)), "uc_ctl")

    def ctl_remove_cache(self, low: int, high: int) -> None:
        """Drop translated code that has an instruction in [*low*, *high*); there may be none."""
        self._library.uc_ctl(self._uch, c_int(TB_REMOVE_CACHE), c_uint64(low), c_uint64(high))
