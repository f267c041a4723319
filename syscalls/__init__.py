"""The fake Linux kernel: answers that derive from one :class:`~syscalls.world.World`.

Imports the standard library and itself, never an engine, an ELF reader or anything about Go.
"""
