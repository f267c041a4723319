"""What the walk says of throws and of entries of the auxiliary vector: knowledge that no record holds.

Throws: read in the sources of Go 1.12.9, 1.15.3, 1.19 and 1.21 to 1.27 (malloc.go, symtab.go, stack.go); that a
message is in a binary is checked when the page is made.  Entries: getauxval(3), runtime/os_linux.go and
vdso_linux.go.
"""

from __future__ import annotations

from typing import NamedTuple


class Throw(NamedTuple):
    """One way to give up: its message, the condition that must hold, and what its failure says."""

    function: str
    message: str
    check: str
    meaning: str


MALLOCINIT, VERIFY, STACKINIT = "mallocinit", "moduledataverify", "stackinit"

THROWS = (
    Throw(MALLOCINIT, "bad TinySizeClass", "size class 2 is 16 bytes",
          "the generated table of size classes and the tiny allocator, which packs small pointer-free objects into "
          "blocks of that class, no longer agree: a broken toolchain"),
    Throw(MALLOCINIT, "heapArenaBitmapBytes not a power of 2", "the heap bitmap of an arena is a power of two",
          "addresses within the bitmap are computed by masking; a constant, so the compiler decides it"),
    Throw(MALLOCINIT, "heapArenaBitmapWords not a power of 2", "the same, counted in words since 1.20", "the same"),
    Throw(MALLOCINIT, "failed to get system page size", "`physPageSize` is not 0",
          "the auxiliary vector had no AT_PAGESZ (or it said 0), and nothing else told the page size"),
    Throw(MALLOCINIT, "bad system page size",
          "`physPageSize` is at least 4096, a power of two and (since 1.14) at most 512 KiB",
          "the kernel uses pages that the runtime cannot work with; the line before it says which of the three"),
    Throw(MALLOCINIT, "bad system huge page size", "`physHugePageSize` is 0 or a power of two",
          "cannot happen on Linux: getHugePageSize turns any other number into 0 before"),
    Throw(MALLOCINIT, "bad pagesPerSpanRoot", "an arena is a whole number of span roots (since 1.14)",
          "constants disagree; decided by the compiler"),
    Throw(MALLOCINIT, "bad pagesPerReclaimerChunk", "an arena is a whole number of reclaimer chunks (since 1.14)",
          "constants disagree; decided by the compiler"),
    Throw(MALLOCINIT, "min size of malloc header is not a size class boundary",
          "the smallest object with a malloc header (1.22) starts a size class",
          "two parts of the allocator would disagree about which objects have a header to describe their pointers"),
    Throw(MALLOCINIT, "expected all size classes up to min size for malloc header to fit in one-page spans",
          "spans of objects without a header are one page", "their pointer bitmap lies at the end of that page"),
    Throw(MALLOCINIT, "max pointer/scan bitmap size for headerless objects is too large",
          "the pointers of a headerless object fit a 64-bit mask", "constants disagree; decided by the compiler"),
    Throw(MALLOCINIT, "tagBits too small", "a tagged pointer leaves enough bits for its tag (1.24)",
          "constants disagree; decided by the compiler"),
    Throw(MALLOCINIT, "not enough heapRandSeed bits remaining",
          "the random heap base takes at most 64 random bits (1.26)",
          "constants disagree"),
    Throw(VERIFY, "invalid function symbol table",
          "the function table begins with the release's magic number, two zero bytes, 1 (instructions start at any "
          "byte) and 8 (bytes in a pointer)",
          "the program's tables were written for another release or another machine, or the file is damaged"),
    Throw(VERIFY, "invalid runtime symbol table", "each function starts at or after the one before it",
          "the linker, or a tool that rewrote the file, left the table unsorted; a binary search in it would give "
          "wrong names. The lines before it name the first pair"),
    Throw(VERIFY, "minpc or maxpc invalid", "`minpc` and `maxpc` are the first and the last address of the table",
          "the test for *is this address ours* would be wrong"),
    Throw(VERIFY, "abi mismatch", "every shared module was linked against what is loaded now",
          "only with `-buildmode=shared` or plugins: a library was rebuilt, the program was not"),
    Throw(STACKINIT, "cache size must be a multiple of page size",
          "32 KiB of cached stacks are whole 8 KiB pages of the heap",
          "constants disagree; decided by the compiler"),
)  # fmt: skip

IGNORED = "nothing"
AUXV: dict[str, tuple[str, str]] = {
    "AT_SYSINFO_EHDR": ("where the vDSO lies", "looks for clock functions in it (`vdsoauxv`)"),
    "AT_HWCAP": ("CPUID leaf 1, EDX", "nothing on amd64: it asks CPUID itself"),
    "AT_PAGESZ": ("bytes in a page", "`physPageSize`"),
    "AT_CLKTCK": ("ticks of times(2) in a second", IGNORED),
    "AT_PHDR": ("the program headers", IGNORED),
    "AT_PHENT": ("bytes of one program header", IGNORED),
    "AT_PHNUM": ("their number", IGNORED),
    "AT_BASE": ("where the loader lies; 0: there is none", IGNORED),
    "AT_FLAGS": ("unused by Linux", IGNORED),
    "AT_ENTRY": ("the entry point", IGNORED),
    "AT_UID": ("real user id", IGNORED),
    "AT_EUID": ("effective user id", IGNORED),
    "AT_GID": ("real group id", IGNORED),
    "AT_EGID": ("effective group id", IGNORED),
    "AT_SECURE": ("1: set-user-ID or the like", "`secureMode`, from 1.21 (and late patch releases of 1.19 and 1.20)"),
    "AT_RANDOM": (
        "16 random bytes",
        "`startupRandomData`, `startupRand` from 1.22: seeds map hashes, and from 1.22 all randomness",
    ),
    "AT_HWCAP2": ("more CPU features", IGNORED),
    "AT_EXECFN": ("the path that was executed", IGNORED),
    "AT_PLATFORM": ("the string x86_64", IGNORED),
    "AT_NULL": ("the end", "stops here"),
}
"""Entry -> what it is, what Go's start-up does with it."""

VIEWS: dict[str, str] = {
    "runtime.argslice": "the arguments, as text",
    "runtime.envs": "the environment, as text",
    "auxv": "the auxiliary vector on the stack: tags by name, values",
    "runtime.g0": "the scheduler's goroutine: address, stack bounds, guards",
    "runtime.m0": "the first thread: its goroutines, its P, signal mask, thread-local storage",
    "runtime.allp": "each P: address, id, status, thread, cache, next goroutine",
    "runtime.allgs": "each goroutine made so far: number, status, function, stack",
    "runtime.stackpool": "for each order of small stacks, the spans with free ones",
    "sizeclasses": "bytes of each size class",
    "runtime.mheap_.arenaHints": "addresses where the heap would like its arenas, in order",
    "runtime.mheap_.userArena.arenaHints": "the same for user arenas (from 1.20)",
    "mcache": "the first P's cache of spans: which span classes have one",
    "runtime.itabTable": "places and entries of the table of interface tables",
    "modules": "each module: addresses, number of functions, of types, of interface tables",
    "internal/cpu.X86": "the CPU's features as Go found them",
    "runtime.debug": "every GODEBUG variable of the runtime",
    "runtime.initSigmask": "the signal mask that the program was started with",
    "hash": "whether maps hash with AES instructions, and their keys",
}
"""View of the record -> what it holds."""
