"""One tree out of a World and the facts of a process.

Binds win over what is derived, and the World's own files over both.
"""

from __future__ import annotations

from syscalls.errno import ELOOP, NUMBERS
from syscalls.tree import process, sysfs, system
from syscalls.tree.binds import node_for
from syscalls.tree.facts import ProcessFacts
from syscalls.tree.mounts import mounts
from syscalls.tree.nodes import Device, Directory, Entry, FileNode, Link, Node, TreeError
from syscalls.tree.resolve import MAX_LINKS, Tree
from syscalls.world import File, World

# Character devices by their numbers: Documentation/admin-guide/devices.txt
DEVICES = {"full": (1, 7), "null": (1, 3), "random": (1, 8), "tty": (5, 0), "urandom": (1, 9), "zero": (1, 5)}


def build(world: World, facts: ProcessFacts) -> Tree:
    """The tree that *world* describes for the process of *facts*; directories below it are made when looked up."""
    table = mounts(world)
    pid = str(world.process.pid)
    proc: dict[str, Entry] = {
        **dict(system.files(world, facts)),
        pid: lambda: process.folder(world, facts, table),
        "mounts": Link("self/mounts"),
        "self": Link(pid),
    }
    root = Directory(
        {
            "bin": Directory({}, 0o755),
            "dev": _dev,
            "etc": Directory({}, 0o755),
            "proc": lambda: Directory(proc),
            "root": Directory({}, 0o700),
            "sys": lambda: sysfs.root(world),
            "tmp": Directory({}, 0o1777),
        },
        0o755,
    )
    program = FileNode(facts.program, 0o755, shown_size=None)
    place(root, facts.exe, program)
    for bind in world.binds:
        place(root, bind[1], node_for(*bind))
    make_folder(root, world.cwd)
    for file in world.files:
        place(root, file.path, _written(file))
    return Tree(root, table)


def _dev() -> Directory:
    entries: dict[str, Entry] = {name: Device(name, *numbers) for name, numbers in DEVICES.items()}
    entries |= {
        "fd": Link("/proc/self/fd"),
        "pts": Directory({}, 0o755),
        "shm": Directory({}, 0o1777),
        "stderr": Link("/proc/self/fd/2"),
        "stdin": Link("/proc/self/fd/0"),
        "stdout": Link("/proc/self/fd/1"),
    }
    return Directory(entries, 0o755)


def _written(file: File) -> Node | None:
    # A file that the user wrote down; one that only fails to open is there all the same.
    if file.content is None and file.errno is None:
        return None
    content = file.content or b""
    return FileNode(lambda: content, file.mode, None, NUMBERS[file.errno] if file.errno else 0)


def place(root: Directory, path: str, node: Node | None) -> None:
    """Let *node* stand at *path*; folders on the way are made, and win over anything that is no folder."""
    *folders, name = [part for part in path.split("/") if part not in ("", ".")] or [""]
    if name:
        _descend(root, folders).put(name, node)


def make_folder(root: Directory, path: str) -> None:
    """See to it that *path* is a directory."""
    _descend(root, [part for part in path.split("/") if part not in ("", ".")])


def _descend(root: Directory, parts: list[str]) -> Directory:
    # The directory at the end of *parts*, following the links of the tree, making what is missing.
    stack, rest, links = [root], parts[::-1], 0
    while rest:
        part = rest.pop()
        if part == "..":
            del stack[max(1, len(stack) - 1) :]
            continue
        child = stack[-1].get(part)
        if isinstance(child, Link):
            links += 1
            if links > MAX_LINKS:
                raise TreeError(ELOOP)
            target = child.target
            if target.startswith("/"):
                del stack[1:]
            rest += [each for each in target.split("/") if each not in ("", ".")][::-1]
            continue
        folder = child if isinstance(child, Directory) else Directory({}, 0o755)
        # Kept even where it was there: a folder that is made at each look-up would forget what is put into it.
        stack[-1].put(part, folder)
        stack.append(folder)
    return stack[-1]
