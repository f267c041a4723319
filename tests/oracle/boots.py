"""The binaries whose boots are held against native runs: one of each release that has DWARF, and PIE."""

from __future__ import annotations

BINARIES = (
    "esbuild-0.0.2",  # Go 1.12.9
    "esbuild-0.1.0",  # Go 1.13.8
    "esbuild-0.5.0",  # Go 1.14.2
    "buildifier-4.0.1",  # Go 1.15.3
    "hello-1.19.8",
    "hello-1.21.13",
    "hello-1.22.10",
    "hello-1.23.9",
    "hello-1.24.11",
    "hello-1.25.5",
    "hello-1.26.6",
    "hello-1.27.3",
    "hello-1.21.13-pie",
    "hello-1.27.3-pie",
)
