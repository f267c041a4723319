"""The written list: why the two machines may differ, and what was done about each cause.

A difference that has no cause in :data:`CAUSES` is a failure.  That list is short because the other causes are taken
away instead of being excused: what stands in :data:`IMPOSED` is told to both machines alike.
"""

from __future__ import annotations

from collections.abc import Mapping

LAYOUT, FILES, CURRENT_CPU = "address-space layout", "file identity", "current CPU"

CAUSES: Mapping[str, str] = {
    LAYOUT: "the kernels placed a mapping elsewhere: the addresses differ, but point at the same place",
    FILES: "a stat of a file tells the device, inode, size, mode and times that it has in each machine's tree",
    CURRENT_CPU: "the kernel keeps the number of the CPU that runs the program in the area that rseq registered",
}

IMPOSED: Mapping[str, str] = {
    "time": "RDTSC, RDTSCP, clock_gettime and gettimeofday tell the native program the World's time, and the vDSO that "
    "it finds is the World's",
    "entropy": "the 16 bytes behind AT_RANDOM, and getrandom, are the World's",
    "CPU features": "CPUID answers from the World, which offers what this CPU has and the engine executes: no AVX",
    "memory map text": "/proc/self/maps reads on both sides as this kernel wrote it at the first instruction",
}
