"""One tree out of a World and the facts of a process.

Binds win over what is derived, and the World's own files over both.
"""

from __future__ import annotations

from syscalls.errno import ELOOP, NUMBERS
from syscalls.tree import process, sysfs, system
from syscalls.tree.facts import ProcessFacts
from syscalls.tree.mounts import mounts
from syscalls.tree.nodes import TERMINAL, TTY_GROUP, Device, Directory, Entry, Link, Meta, Node, TreeError
from syscalls.tree.resolve import MAX_LINKS, Tree
from syscalls.tree.store import Store
from syscalls.tree.stored import Folder, StoredFile
from syscalls.world import File, World

# Character devices by their numbers: Documentation/admin-guide/devices.txt
DEVICES = {"full": (1, 7), "null": (1, 3), "random": (1, 8), "tty": (5, 0), "urandom": (1, 9), "zero": (1, 5)}


def build(world: World, facts: ProcessFacts) -> Tree:
    """The tree that *world* describes for the process of *facts*; directories below it are made when looked up."""
    table = mounts(world)
    store = _store(world, facts)
    first, current = world.process.pid, facts.current
    proc: dict[str, Entry] = {
        **dict(system.files(world, facts)),
        "mounts": Link("self/mounts"),
        "self": Link(str(first) if current is None else lambda: str(current())),
    }

    folders: dict[int, tuple[ProcessFacts, Node]] = {}

    def find(name: str) -> Node | None:
        number = process.number(name)
        if number is None:
            return None
        found = facts if facts.others is None and number == first else facts.others(number) if facts.others else None
        if found is None:
            folders.pop(number, None)
            return None
        if number not in folders or folders[number][0] is not found:
            folders[number] = found, process.folder(world, found, table)
        return folders[number][1]

    def pids() -> list[str]:
        return [str(pid) for pid in facts.pids() or (first,)]

    root = Folder(
        store,
        {
            "bin": lambda: Folder(store),
            "dev": lambda: _dev(store, world),
            "etc": lambda: Folder(store),
            "proc": lambda: Directory(proc, 0o555, find, pids),
            "root": lambda: Folder(store, permissions=0o700),
            "sys": lambda: sysfs.root(world),
            "tmp": lambda: Folder(store, permissions=0o1777),
        },
    )
    place(root, facts.exe, StoredFile(store, facts.program, 0o755))
    if world.binds:
        from syscalls.tree.binds import node_for  # most runs bind nothing

        for bind in world.binds:
            place(root, bind[1], node_for(*bind, store))
    make_folder(root, world.cwd)
    contents = {file.path: file.content or b"" for file in world.files}
    for file in world.files:
        place(root, file.path, written(file, store, contents))
    return Tree(root, table, store, contents)


def _store(world: World, facts: ProcessFacts) -> Store:
    clock, user = world.clock, (world.process.euid, world.process.egid)
    uptime = facts.monotonic_ns
    return Store(
        clock.realtime,
        world.memory.limit,
        (lambda: clock.realtime + uptime() - clock.monotonic) if uptime else lambda: clock.realtime,
        facts.who or (lambda: user),
        facts.opened,
        facts.spaces,
    )


def _dev(store: Store, world: World) -> Folder:
    terminals: dict[str, Entry] = {}
    if world.process.terminals:
        terminal, now = Device("0", *TERMINAL), world.clock.realtime
        terminal.permissions, terminal.meta = 0o620, Meta(world.process.euid, TTY_GROUP, now, now, now, now)
        terminals["0"] = terminal
    entries: dict[str, Entry] = {name: Device(name, *numbers) for name, numbers in DEVICES.items()}
    entries |= {
        "fd": Link("/proc/self/fd"),
        "pts": Folder(store, terminals),
        "shm": Folder(store, permissions=0o1777),
        "stderr": Link("/proc/self/fd/2"),
        "stdin": Link("/proc/self/fd/0"),
        "stdout": Link("/proc/self/fd/1"),
    }
    return Folder(store, entries)


def written(file: File, store: Store, contents: dict[str, bytes]) -> Node | None:
    """What stands where the user wrote *file* down; one that only fails to open is there all the same.

    It holds what *contents* has for its path.
    """
    if file.content is None and file.errno is None:
        return None
    path, errno = file.path, NUMBERS[file.errno] if file.errno else 0
    return StoredFile(store, lambda: contents[path], file.mode, None, errno)


def replace_files(tree: Tree, before: tuple[File, ...], files: tuple[File, ...]) -> None:
    """Let *files* be those that the user wrote down, instead of those *before*, in a tree that was written to."""
    tree.known.clear()
    for path in {file.path for file in before} - {file.path for file in files}:
        *folders, name = [part for part in path.split("/") if part not in ("", ".")] or [""]
        _descend(tree.root, folders).forget(name)
    tree.contents.update((file.path, file.content or b"") for file in files)
    for file in files:
        place(tree.root, file.path, written(file, tree.store, tree.contents))


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
        here = stack[-1]
        folder = child if isinstance(child, Directory) else _empty(here)
        # Kept even where it was there: a folder that is made at each look-up would forget what is put into it.
        here.put(part, folder)
        stack.append(folder)
    return stack[-1]


def _empty(below: Directory) -> Directory:
    return Folder(below.store) if isinstance(below, Folder) else Directory({}, 0o755)
