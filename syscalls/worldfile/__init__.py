"""Worlds as files and as settings: TOML in and out, ``KEY=VALUE``, and errors that name the key.

``load`` reads a file or a bundled World and applies settings; ``to_toml`` writes what ``from_toml`` reads back equal;
``describe_keys`` lists every key for documentation.  TOML's grammar is that of TOML 1.0 (Python's tomllib).
"""

from syscalls.world import WorldError
from syscalls.worldfile.keys import KeyInfo, describe_keys
from syscalls.worldfile.reader import apply, apply_all, bundled, check, from_toml, load, split_setting
from syscalls.worldfile.writer import as_dict, digest, inline_value, to_toml

__all__ = [
    "KeyInfo",
    "WorldError",
    "apply",
    "apply_all",
    "as_dict",
    "bundled",
    "check",
    "describe_keys",
    "digest",
    "from_toml",
    "inline_value",
    "load",
    "split_setting",
    "to_toml",
]
