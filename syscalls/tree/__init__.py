"""The guest's file tree: /proc, /sys, /dev, control groups and the World's own files, in which no two views disagree.

Everything derives from one World, and from what the running kernel says when a file is opened (:class:`ProcessFacts`).
Nothing comes from the host but what the World binds.  Paths are text with surrogates for bytes that are not UTF-8
(``os.fsdecode``'s form).
"""

from syscalls.tree.build import build
from syscalls.tree.facts import Identity, ProcessFacts, SignalSets, VmSizes
from syscalls.tree.nodes import Device, Directory, FileNode, Link, Node, TreeError
from syscalls.tree.resolve import Place, Tree
from syscalls.tree.store import Store, StoreState
from syscalls.tree.stored import Fifo, Folder, SocketNode, StoredFile

__all__ = [
    "Device",
    "Directory",
    "Fifo",
    "FileNode",
    "Folder",
    "Identity",
    "Link",
    "Node",
    "Place",
    "ProcessFacts",
    "SignalSets",
    "SocketNode",
    "Store",
    "StoreState",
    "StoredFile",
    "Tree",
    "TreeError",
    "VmSizes",
    "build",
]
