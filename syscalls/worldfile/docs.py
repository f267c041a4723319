"""The page ``docs/world.md``: how a World is written, and every key, from the table that reads it.

``python -m syscalls.worldfile.docs`` prints it.
"""

from __future__ import annotations

from syscalls.worldfile import bundled, describe_keys
from syscalls.worldfile.keys import KEYS, KeyInfo

INTRODUCTION = """\
# The World

A World is everything that the fake kernel, the loader and the CPU will answer. It is a TOML file; nothing else
configures a run. What a file does not name has its default. `--world FILE.toml` reads one, `--set KEY=VALUE` changes
any key of it afterwards, and both report a mistake in one line that names the key, the value and what is allowed.

Keys are written with hyphens; underscores are accepted. In a file a dotted key stands in its table:

```toml
cpus = "0,2-3,64"       # a count such as 3, a list, or a mask such as "0x5"; "2-2" is CPU 2 alone
page-size = "64KiB"     # sizes: an integer, or text with B, KiB, MiB, GiB or TiB
thp = 2097152           # short for thp.pmd-size: a number, any text, or "absent"

[memory]
total = "8GiB"

[cpuid]
aes = false             # switches one feature of cpuid.features

[auxv]
AT_RANDOM = "absent"

[[file]]
path = "/etc/motd"
content = "hello\\n"     # "absent": there is no such file, whatever the kernel would derive

[[response]]
call = "openat"         # the 2nd openat of this path is interrupted
path = "/sys/kernel/mm/transparent_hugepage/hpage_pmd_size"
when = 2                # N, N..M, N+, N+S or N..M+S
errno = "EINTR"         # or result = N, and data = the bytes that are stored
```

On the command line the same key is dotted, and elements of tables are named after it: `--set memory.total=8GiB`,
`--set auxv.AT_RANDOM=absent`, `--set env.GOGC=off`, `--set 'files."/etc/motd"=hello'`, `--set cpuid.aes=false`,
`--set rlimits.nofile=1024:4096`. Lists and tables of tables are inline TOML:
`--set 'responses=[{call = "read", errno = "EIO"}]'`. A line of a World file is a setting, too:
`--set 'thp.pmd-size = "absent"'`; and so are the lines that `rt0 boot` shows behind `World`.

Some keys have short options: `--cpus`, `--thp`, `--page-size`, `--seed`, `--env NAME=VALUE`, `--bind HOST[:GUEST][:rw]`
and `--max-instructions` (`limits.instructions`). The file comes first, then the options, of which the last one wins:

```sh
rt0 boot --world walk --cpus 0,2 --thp absent
rt0 boot --set 'responses=[{call = "sched_getaffinity", errno = "EPERM"}]'
rt0 boot --set auxv.AT_SYSINFO_EHDR=absent --set 'files."/etc/motd"=hello'
rt0 boot --max-instructions 1000   # exit status 5
```

Bytes (contents of files, data of responses, `thp`, and the strings of `argv` and `env`) are text. Bytes that are not
readable text are written `hex:00ff`; a text that itself begins with `hex:` or `text:`, or is the word `absent`, is
written with `text:` before it. Of `thp`, a whole number *n* means *n* and a newline; `text:2097152` is the digits
without one.
"""


def render() -> str:
    """The whole page."""
    worlds = ", ".join(f"`{name}`" for name in bundled())
    lines = [INTRODUCTION, f"Worlds that come with rt0, to be named without a path: {worlds}.", "", "## Keys", ""]
    lines += ["| Key | Type | Default | Meaning |", "|---|---|---|---|"]
    lines += [_row(info) for info in describe_keys()]
    lines += ["", "## What each key allows", ""]
    lines += [f"- `{key.name}`: {key.kind.allowed}" for key in KEYS.values()]
    return "\n".join(lines) + "\n"


def _row(info: KeyInfo) -> str:
    default = f"`{info.default}`" if info.default else ""
    return f"| `{info.key}` | {info.type} | {default} | {info.doc} |".replace("|  |", "| |")


if __name__ == "__main__":
    print(render(), end="")
