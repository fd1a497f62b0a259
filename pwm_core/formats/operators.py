"""A forward model as a list of nodes and arrays, and back."""

from __future__ import annotations

from typing import Any

from ..errors import BadValue
from ..operator import Operator
from .contents import Contents
from .values import build, encode

_UNFOLDED = 100_000  # nodes of the graph when every shared one is counted each time it is used
_DEPTH = 100


def pack_operator(contents: Contents, operator: Operator) -> dict[str, Any]:
    """``{"root": index, "nodes": [{"type", "fields"}]}``; a node comes after the nodes inside it."""

    def keep(array: Any) -> str:
        return contents.put(f"operator/{len(contents.arrays)}", array)

    graph = operator.graph(keep)
    nodes = [
        {"type": node["type"], "fields": {k: _field(v, keep) for k, v in node["fields"].items()}}
        for node in graph["nodes"]
    ]
    return {"root": graph["root"], "nodes": nodes}


def _field(value: Any, keep: Any) -> Any:
    """Arrays and operators are in their stored form already, each a dictionary of one entry."""
    return value if isinstance(value, dict) and value.keys() <= {"node", "array"} else encode(value, keep)


def unpack_operator(contents: Contents, graph: Any) -> Operator:
    """The operator that ``pack_operator`` took apart; a node that was shared is shared again."""
    if not isinstance(graph, dict) or not isinstance(graph.get("nodes"), list):
        raise contents.bad("the operator", "has no list of nodes")
    built: list[Operator] = []
    sizes: list[tuple[int, int]] = []  # unfolded nodes and depth of each
    for index, packed in enumerate(graph["nodes"]):
        inside: list[tuple[int, int]] = []

        def node(i: Any, inside: list[tuple[int, int]] = inside) -> Operator:
            inside.append(sizes[_index(contents, i, len(built))])
            return built[i]

        try:
            operator = build(packed, Operator, contents.array, node)
        except BadValue as error:
            raise contents.bad(f"node {index} of the operator", f"is refused: {error}") from error
        built.append(operator)
        sizes.append((1 + sum(n for n, _ in inside), 1 + max((d for _, d in inside), default=0)))
        if sizes[-1][0] > _UNFOLDED or sizes[-1][1] > _DEPTH:
            raise contents.bad(f"node {index} of the operator", "unfolds to an absurdly large graph")
    return built[_index(contents, graph.get("root"), len(built))]


def _index(contents: Contents, index: Any, count: int) -> int:
    """A node refers only to earlier ones, which leaves no room for a circle."""
    if type(index) is not int or not 0 <= index < count:
        raise contents.bad("the operator", f"refers to node {index!r}, of which there is none before")
    return index
