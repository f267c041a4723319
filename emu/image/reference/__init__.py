"""Reference data: what one unstripped binary of a Go release tells about every stripped one of that release.

The same release compiles the runtime to the same machine code, up to the addresses that the linker puts in.  A
reference holds, of the packages runtime and internal/...: the types, the names and types of the globals, the
signatures of the functions, and of every function that refers to a global its size, a digest of its code with the
linker's addresses taken out, and its *sites*: where in the code stands the address of which global.

One compressed file a release below ``data/``, made from the fixtures by ``python -m emu.image.reference.build`` (``make
reference``), read only for binaries that need it; ``data/index.json`` lists them with their digests.
:mod:`emu.image.recover` applies them.
"""
