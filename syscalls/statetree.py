"""The guest's files in a state's JSON: what was changed of them, and how anything else refers to a node.

A node that was changed is a number in a list; any other is the path where the tree of the same World has it at first.
"""

from __future__ import annotations

from syscalls.light import TYPE_CHECKING, Any
from syscalls.tree.nodes import Directory, Link, Meta, Node
from syscalls.tree.store import PAGE, NodeState, Store, StoreState, state_of
from syscalls.tree.stored import Fifo, Folder, SocketNode, StoredFile

if TYPE_CHECKING:
    from syscalls.kernel import Kernel, TreeState

Json = dict[str, Any]
SAME = "="  # in a directory: what is there at first


class Writer:
    """Turns what was changed of a tree into JSON's types."""

    def __init__(self, state: TreeState | None) -> None:
        self.store = None if state is None else state[1]
        nodes = self.store.nodes if self.store else ()
        self._numbers = {node: number for number, (node, _, _) in enumerate(nodes)}

    def refer(self, node: Node | None) -> int | str | None:
        """Return what stands for *node*."""
        return None if node is None else self._numbers.get(node, node.born)

    def to_json(self) -> Json | None:
        """Return the whole."""
        if self.store is None:
            return None
        nodes = [self._node(node, now) for node, _, now in self.store.nodes]
        return {"nodes": nodes, "used": self.store.used, "created": self.store.created}

    def _node(self, node: Node, state: NodeState) -> Json:
        permissions, meta, parent, name, gone, own = state
        kept: Json = {
            "kind": type(node).__name__, "born": node.born, "permissions": permissions, "parent": self.refer(parent),
            "meta": None if meta is None else list(meta), "name": name, "gone": gone, "own": None,
        }  # fmt: skip
        if isinstance(node, StoredFile) and own is not None:
            kept["own"] = {
                "pages": [(number, page.hex()) for number, page in own[0].items()],
                "length": own[1],
                "seals": own[2],
            }
        elif isinstance(node, Folder):
            kept["own"] = [(name, self._entry(child)) for name, child in own.items()]
        elif isinstance(node, Link):
            kept["to"] = node.target
        return kept

    def _entry(self, child: Node | None) -> int | str | None:
        return None if child is None else self._numbers.get(child, SAME)


class Reader:
    """Finds or makes, in the tree of a kernel, what :class:`Writer` wrote."""

    def __init__(self, data: Json | None, k: Kernel) -> None:
        """Raise KeyError, TypeError or ValueError for what cannot be such a state."""
        self._kernel, self.state = k, None
        self._nodes: list[Node] = []
        if data is None:
            return
        store = k.tree.store
        self._nodes = [
            _made(each, store) if each["born"].startswith("#") else self._at(each["born"]) for each in data["nodes"]
        ]
        states = [self._state(node, each) for node, each in zip(self._nodes, data["nodes"], strict=True)]
        nodes = tuple(
            (node, None if node.born.startswith("#") else state_of(node), state)
            for node, state in zip(self._nodes, states, strict=True)
        )
        self.state = k.tree, StoreState(nodes, int(data["used"]), int(data["created"]))

    def find(self, reference: int | str | None) -> Node | None:
        """Return the node that *reference* stands for."""
        if reference is None:
            return None
        return self._nodes[reference] if isinstance(reference, int) else self._at(reference)

    def _at(self, path: str) -> Node:
        node: Node | None = self._kernel.tree.root
        for name in path.split("/")[1:]:
            node = node.get(name) if isinstance(node, Directory) else None
        if node is None:
            raise ValueError(f"{path} is not in this World")
        return node

    def _state(self, node: Node, data: Json) -> NodeState:
        meta = None if data["meta"] is None else Meta(*map(int, data["meta"]))
        own: Any = None
        if isinstance(node, StoredFile) and data["own"] is not None:
            pages = {int(number): bytes.fromhex(page) for number, page in data["own"]["pages"]}
            if any(len(page) != PAGE for page in pages.values()):
                raise ValueError("a page of a file is not a page long")
            own = pages, int(data["own"]["length"]), data["own"]["seals"]
        elif isinstance(node, Folder):
            own = {name: node.get(name) if child == SAME else self.find(child) for name, child in data["own"]}
        return int(data["permissions"]), meta, self.find(data["parent"]), str(data["name"]), bool(data["gone"]), own


def _made(data: Json, store: Store) -> Node:
    node: Node
    if data["kind"] == "StoredFile":
        node = StoredFile(store)
    elif data["kind"] == "Folder":
        node = Folder(store)
    elif data["kind"] == "Link":
        node = Link(str(data["to"]))
    elif data["kind"] == "Fifo":
        node = Fifo(0)
    elif data["kind"] == "SocketNode":
        node = SocketNode(0)
    else:
        raise ValueError(f"no guest can create a {data['kind']}")
    node.born = data["born"]
    return node
