"""The kinds of system call arguments: how wide each is, which way its bytes go and where its size stands.

A row of :mod:`syscalls.table` names the kind of each argument; the dispatcher, the response rules, the trace, the
fuzzer and the documentation read nothing else about a call's arguments.
"""

from __future__ import annotations

from syscalls.light import NamedTuple

IN, OUT, INOUT, VALUE = "in", "out", "inout", ""


class Kind(NamedTuple):
    """One argument.

    *bits* and *signed* say how the kernel narrows the 64-bit register (a C ``int`` drops the upper half).  A pointer
    has a *direction*; its bytes number *size*, or as many as argument *size_arg* says (or, for an I/O vector, hold
    *size_arg* entries of ``struct iovec``), and never more than the call returned when *by_result* is set.
    """

    name: str
    bits: int = 64
    signed: bool = False
    direction: str = VALUE
    size: int = 0
    size_arg: int | None = None
    by_result: bool = False
    path: bool = False
    vector: bool = False
    fd: bool = False
    prefix: str = ""  # of the constants in syscalls.abi that this argument is made of
    is_mask: bool = False  # those constants are bits to be or-ed, not alternatives
    nullable: bool = False  # a path that may be a null pointer, which the handler receives as 0
    strings: bool = False  # an array of pointers to strings, which a null pointer ends
    whole: bool = False  # an event keeps all of it, not only its beginning

    def __str__(self) -> str:
        return f"{self.name} {self.direction}".strip()


INT = Kind("int", 32, True)
UINT = Kind("uint", 32)
LONG = Kind("long", 64, True)
ULONG = Kind("ulong")
SIZE = Kind("size")
ADDR = Kind("addr")  # an address that the kernel does not follow
FD = Kind("fd", 32, True, fd=True)
DIRFD = Kind("dirfd", 32, True, prefix="AT_FDCWD")
PID = Kind("pid", 32, True)
SIGNAL = Kind("signal", 32, True, prefix="SIG")
PATH = Kind("path", direction=IN, path=True)
PATH_OR_NULL = Kind("path", direction=IN, path=True, nullable=True)


def choice(name: str, prefix: str, bits: int = 32) -> Kind:
    """An integer that is one of the constants with *prefix*."""
    return Kind(name, bits, bits == 32, prefix=prefix)


def flags(name: str, prefix: str, bits: int = 32) -> Kind:
    """An integer made of the bits with *prefix*."""
    return Kind(name, bits, bits == 32, prefix=prefix, is_mask=True)


def in_buf(size_arg: int) -> Kind:
    """A buffer that the kernel reads, of as many bytes as argument *size_arg* says."""
    return Kind("buffer", direction=IN, size_arg=size_arg)


def out_buf(size_arg: int, by_result: bool = True) -> Kind:
    """A buffer that the kernel fills; with *by_result* the call's result says how many bytes it filled."""
    return Kind("buffer", direction=OUT, size_arg=size_arg, by_result=by_result)


def out_set(size_arg: int) -> Kind:
    """A set of bits that the kernel fills, of which a part would say something else than the whole."""
    return out_buf(size_arg)._replace(whole=True)


def in_struct(name: str, size: int) -> Kind:
    """A pointer to a structure of *size* bytes that the kernel reads."""
    return Kind(name, direction=IN, size=size)


def out_struct(name: str, size: int) -> Kind:
    """A pointer to a structure of *size* bytes that the kernel writes."""
    return Kind(name, direction=OUT, size=size)


def inout_struct(name: str, size: int) -> Kind:
    """A pointer to a structure of *size* bytes that the kernel reads and may write."""
    return in_struct(name, size)._replace(direction=INOUT)


def in_strings(name: str) -> Kind:
    """A vector of strings, as execve takes it: an event keeps them one after the other, each with its null."""
    return Kind(name, direction=IN, size=8, strings=True, whole=True)


def in_vector(count_arg: int) -> Kind:
    """An array of ``struct iovec`` whose buffers the kernel reads."""
    return Kind("iovec", direction=IN, size_arg=count_arg, vector=True)


def out_vector(count_arg: int) -> Kind:
    """An array of ``struct iovec`` whose buffers the kernel fills."""
    return Kind("iovec", direction=OUT, size_arg=count_arg, by_result=True, vector=True)
