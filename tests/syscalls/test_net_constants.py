"""The numbers and layouts of sockets against this system's headers: one C program prints what they say."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from struct import Struct

import pytest

from syscalls.net import constants

HEADERS = (
    "sys/types.h", "sys/socket.h", "netinet/in.h", "netinet/tcp.h", "sys/un.h", "linux/netlink.h", "stddef.h",
)  # fmt: skip
LAYOUTS = {
    "SOCKADDR_IN": "struct sockaddr_in", "SOCKADDR_IN6": "struct sockaddr_in6", "SOCKADDR_NL": "struct sockaddr_nl",
    "MSGHDR": "struct msghdr", "CMSGHDR": "struct cmsghdr", "UCRED": "struct ucred", "LINGER": "struct linger",
}  # fmt: skip
OTHERS = {"SOCKADDR_UN_SIZE": "sizeof(struct sockaddr_un)", "MMSGHDR_SIZE": "sizeof(struct mmsghdr)"}
OWN = {"SOMAXCONN"}  # net.core.somaxconn; the header's is that of older kernels


def test_numbers_and_layouts_are_the_systems(tmp_path: Path) -> None:
    """Each constant has the value of the header, each layout the size of its structure."""
    if shutil.which("gcc") is None:
        pytest.skip("no C compiler to read the system's headers with")
    numbers = {name: value for name, value in vars(constants).items() if name.isupper() and isinstance(value, int)}
    lines = [
        "#define _GNU_SOURCE",
        *(f"#include <{header}>" for header in HEADERS),
        "#include <stdio.h>",
        "int main(void) {",
    ]
    for name in numbers:
        spelled = OTHERS.get(name, name)
        lines.append(f'printf("{name} %lld\\n", (long long)({spelled}));')
    lines += [f'printf("sizeof {name} %zu\\n", sizeof({spelled}));' for name, spelled in LAYOUTS.items()]
    (tmp_path / "net.c").write_text("\n".join([*lines, "return 0; }"]))
    subprocess.run(["gcc", "-w", "-o", str(tmp_path / "net"), str(tmp_path / "net.c")], check=True)
    out = subprocess.run([str(tmp_path / "net")], check=True, capture_output=True, text=True).stdout
    said = {name: int(value) for name, value in (line.rsplit(" ", 1) for line in out.splitlines())}

    sizes = {f"sizeof {name}": vars(constants)[name].size for name in LAYOUTS}
    assert {name for name, value in vars(constants).items() if isinstance(value, Struct)} == set(LAYOUTS)
    expected = numbers | sizes
    assert {name: said[name] for name in expected if name not in OWN} == {
        name: value for name, value in expected.items() if name not in OWN
    }
