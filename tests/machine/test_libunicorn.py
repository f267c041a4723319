"""Our own few lines of binding, against the package's."""

from __future__ import annotations

import inspect

import pytest

from emu.machine import accel, libunicorn

accel.load()

import unicorn  # noqa: E402 - only after the accelerator
from unicorn import unicorn_const, x86_const  # noqa: E402
from unicorn.unicorn_py3 import unicorn as binding  # noqa: E402


def test_numbers_are_the_packages() -> None:
    """Every register, instruction, hook and control has the number that the package gives it."""
    assert {name: getattr(x86_const, f"UC_X86_REG_{name.upper()}") for name in libunicorn.REG} == libunicorn.REG
    assert {name: getattr(x86_const, f"UC_X86_INS_{name.upper()}") for name in libunicorn.INS} == libunicorn.INS
    for name in ("ARCH_X86", "MODE_64", "PROT_ALL", "HOOK_INTR", "HOOK_INSN", "HOOK_BLOCK", "ERR_INSN_INVALID"):
        assert getattr(libunicorn, name) == getattr(unicorn_const, f"UC_{name}")
    assert libunicorn.TB_REMOVE_CACHE & 0xFF == unicorn_const.UC_CTL_TB_REMOVE_CACHE
    assert libunicorn.TB_FLUSH & 0xFF == unicorn_const.UC_CTL_TB_FLUSH
    assert libunicorn.WRITE == unicorn_const.UC_CTL_IO_WRITE << 30


def test_library_is_the_packages() -> None:
    """Both load one and the same file, once."""
    assert libunicorn.library()._handle == binding.uclib._handle
    assert libunicorn.version() == unicorn.__version__
    assert libunicorn.path() == inspect.getfile(unicorn).replace("__init__.py", "lib/libunicorn.so.2")


@pytest.mark.parametrize("name", ["uc_reg_read", "uc_emu_start", "uc_mem_map_ptr", "uc_context_save", "uc_hook_del"])
def test_prototypes_have_the_packages_arity(name: str) -> None:
    """As many arguments as the package declares."""
    assert len(libunicorn.PROTOTYPES[name]) == len(getattr(binding.uclib, name).argtypes)


def test_errors_say_what_failed() -> None:
    """A refused call names itself and the library's reason."""
    core = libunicorn.Core()
    status = libunicorn.library().uc_mem_map_ptr(core._uch, 1, 4096, libunicorn.PROT_ALL, None)

    with pytest.raises(libunicorn.UnicornError, match=r"mapping: .*argument"):
        libunicorn.check(status, "mapping")
