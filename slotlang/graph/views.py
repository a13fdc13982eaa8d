"""The graph for graph algorithms and other tools: networkx, DOT, GraphML, JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from slotlang.graph.graph import Graph, Node
from slotlang.graph.kinds import KINDS
from slotlang.meaning.program import member_text

if TYPE_CHECKING:
    import networkx as nx

FORMATS = ("dot", "graphml", "json")


def label(node: Node) -> str:
    """What a person reads on a node."""
    member = ""
    if node.plain is not None:
        member = member_text(*node.plain)
    match node.kind:
        case "cipher":
            return member
        case "rotate":
            return f"<< {node.step}"
        case "mul_plain":
            return f"* {member}"
        case "add_plain" | "plain":
            return f"{'+' if node.signs[0] > 0 else '-'} {member}"
        case "mul":
            return "*"
        case "sum":
            return "+"
        case kind:
            return kind


def to_networkx(graph: Graph) -> nx.DiGraph[int]:
    """One node per operation, with kind, label, level, statement, step, output and whether it is ``live`` (some
    output depends on it). A rotation has ``rotation_of``, the node that it is a rotation of as the program writes
    it: those that agree in it could be hoisted together. Edges go from operand to user, with the operand's
    ``positions`` (an operation may use a value twice) and its ``sign`` in sums."""
    import networkx as nx

    outputs: dict[int, list[str]] = {}
    for output in graph.outputs:
        outputs.setdefault(output.node, []).append(output.output.name)
    live = graph.ancestors(o.node for o in graph.outputs)
    result: nx.DiGraph[int] = nx.DiGraph(program=graph.schedule.program.name)
    for number, node in enumerate(graph.nodes):
        attributes: dict[str, Any] = {
            "kind": node.kind,
            "label": label(node),
            "level": graph.levels[number],
            "statement": graph.statement[number],
            "step": node.step,
            "output": ",".join(dict.fromkeys(outputs.get(number, []))),
            "live": number in live,
        }
        if node.kind == "rotate":
            attributes["rotation_of"] = graph.bases.get(number, node.operands[0])
        result.add_node(number, **attributes)
        positions: dict[int, list[str]] = {}
        for position, operand in enumerate(node.operands):
            positions.setdefault(operand, []).append(str(position))
        for operand, places in positions.items():
            sign = node.signs[int(places[0])] if node.kind == "sum" else 1
            result.add_edge(operand, number, positions=",".join(places), sign=sign)
    return result


def node_link(graph: Graph) -> dict[str, Any]:
    """``to_networkx`` as plain data, the way networkx writes it: ``node_link_graph(data, edges="edges")``."""
    view = to_networkx(graph)
    return {
        "directed": True,
        "multigraph": False,
        "graph": dict(view.graph),
        "nodes": [{**attributes, "id": number} for number, attributes in view.nodes(data=True)],
        "edges": [{**attributes, "source": a, "target": b} for a, b, attributes in view.edges(data=True)],
    }


def export(graph: Graph, format_: str) -> str:
    """The graph as text in one of ``FORMATS``."""
    if format_ == "dot":
        return _dot(graph)
    if format_ == "json":
        return json.dumps(node_link(graph), indent=1)
    import networkx as nx

    return "\n".join(nx.generate_graphml(to_networkx(graph)))


def _quote(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _dot(graph: Graph) -> str:
    lines = [f"digraph {_quote(graph.schedule.program.name)} {{", "  rankdir=LR; node [shape=box, style=filled];"]
    results = {o.node for o in graph.outputs}
    for number, node in enumerate(graph.nodes):
        colour = KINDS[node.kind].colour
        border = ", penwidth=3" if number in results else ""
        lines.append(f"  n{number} [label={_quote(label(node))}, fillcolor={colour}{border}];")
        lines += [f"  n{operand} -> n{number};" for operand in dict.fromkeys(node.operands)]
    return "\n".join([*lines, "}"])
