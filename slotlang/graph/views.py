"""The graph for graph algorithms and other tools: networkx, DOT, GraphML, JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from slotlang.graph.graph import Graph, Node

if TYPE_CHECKING:
    import networkx as nx

FORMATS = ("dot", "graphml", "json")


def label(node: Node) -> str:
    """What a person reads on a node."""
    member = ""
    if node.plain is not None:
        name, indices = node.plain
        member = f"{name}[{', '.join(map(str, indices))}]" if indices else name
    match node.kind:
        case "cipher":
            return member
        case "rotate":
            return f"<< {node.step}"
        case "mul_plain":
            return f"* {member}"
        case "add_plain":
            return f"{'+' if node.signs[0] > 0 else '-'} {member}"
        case "mul":
            return "*"
        case "sum":
            return "+"
        case kind:
            return kind


def to_networkx(graph: Graph) -> nx.DiGraph[int]:
    """One node per operation, with kind, label, level, statement and output; edges from operand to user, with the
    operand's ``position``s (an operation may use a value twice)."""
    import networkx as nx

    outputs: dict[int, list[str]] = {}
    for output in graph.outputs:
        outputs.setdefault(output.node, []).append(output.output.name)
    result: nx.DiGraph[int] = nx.DiGraph(program=graph.schedule.program.name)
    for number, node in enumerate(graph.nodes):
        attributes: dict[str, Any] = {
            "kind": node.kind,
            "label": label(node),
            "level": graph.levels[number],
            "statement": graph.statement[number],
            "step": node.step,
            "output": ",".join(dict.fromkeys(outputs.get(number, []))),
        }
        result.add_node(number, **attributes)
        for operand in dict.fromkeys(node.operands):
            places = [str(i) for i, o in enumerate(node.operands) if o == operand]
            result.add_edge(operand, number, position=",".join(places))
    return result


def export(graph: Graph, format_: str) -> str:
    """The graph as text in one of ``FORMATS``."""
    if format_ == "dot":
        return _dot(graph)
    import networkx as nx

    view = to_networkx(graph)
    if format_ == "json":
        return json.dumps(nx.node_link_data(view, edges="edges"), indent=1)
    return "\n".join(nx.generate_graphml(view))


_COLOURS = {"cipher": "lightblue", "rotate": "orange", "conj": "orange", "mul": "salmon", "mul_plain": "palegreen"}


def _quote(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _dot(graph: Graph) -> str:
    lines = [f"digraph {_quote(graph.schedule.program.name)} {{", "  rankdir=LR; node [shape=box, style=filled];"]
    results = {o.node: o.output.name for o in graph.outputs}
    for number, node in enumerate(graph.nodes):
        colour = _COLOURS.get(node.kind, "white")
        border = ", penwidth=3" if number in results else ""
        lines.append(f"  n{number} [label={_quote(label(node))}, fillcolor={colour}{border}];")
        lines += [f"  n{operand} -> n{number};" for operand in node.operands]
    return "\n".join([*lines, "}"])
