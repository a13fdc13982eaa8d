"""Exports of the graph can be read back, with the same nodes and edges."""

from __future__ import annotations

import io
import json
import re

import networkx as nx
import pytest
from small_programs import CASES, Case, case

from slotlang import api
from slotlang.graph.graph import Graph
from slotlang.graph.views import export, label, node_link, to_networkx


def graph_of(small: Case) -> Graph:
    return api.plan(api.loads(small.text)).graph


def parse_dot(text: str) -> tuple[dict[str, dict[str, str]], list[tuple[str, str]]]:
    """Nodes with their attributes, and edges: as much of DOT as is written here."""
    head, *lines, end = text.split("\n")
    assert re.fullmatch(r'digraph "(?:[^"\\]|\\.)*" \{', head)
    assert end == "}"
    nodes: dict[str, dict[str, str]] = {}
    edges = []
    quoted = r'"(?:[^"\\]|\\.)*"'
    for line in lines[1:]:
        if node := re.fullmatch(rf"  (n\d+) \[((?:\w+=(?:{quoted}|[\w.]+)(?:, )?)+)\];", line):
            nodes[node[1]] = dict(re.findall(rf"(\w+)=({quoted}|[\w.]+)", node[2]))
        else:
            edge = re.fullmatch(r"  (n\d+) -> (n\d+);", line)
            assert edge, line
            edges.append((edge[1], edge[2]))
    return nodes, edges


@pytest.mark.parametrize("small", CASES, ids=lambda c: c.name)
def test_exports_are_read_back(small: Case) -> None:
    graph = graph_of(small)
    view = to_networkx(graph)
    assert view.number_of_nodes() == len(graph.nodes)
    assert view.number_of_edges() == sum(len(set(n.operands)) for n in graph.nodes)
    assert nx.is_directed_acyclic_graph(view)

    from_graphml = nx.read_graphml(io.StringIO(export(graph, "graphml")), node_type=int)
    assert dict(from_graphml.nodes(data=True)) == dict(view.nodes(data=True))
    assert {(a, b): d["sign"] for a, b, d in from_graphml.edges(data=True)} == {
        (a, b): d["sign"] for a, b, d in view.edges(data=True)
    }

    from_json = nx.node_link_graph(json.loads(export(graph, "json")), edges="edges")
    assert dict(from_json.nodes(data=True)) == dict(view.nodes(data=True))
    assert set(from_json.edges) == set(view.edges)
    assert from_json.graph == {"program": graph.schedule.program.name}
    assert node_link(graph) == json.loads(export(graph, "json"))

    nodes, edges = parse_dot(export(graph, "dot"))
    assert set(nodes) == {f"n{n}" for n in view}
    assert sorted(edges) == sorted((f"n{a}", f"n{b}") for a, b in view.edges)
    assert sum("penwidth" in a for a in nodes.values()) == len({o.node for o in graph.outputs})


def test_attributes() -> None:
    graph = graph_of(case("horner and doubling"))
    view = to_networkx(graph)
    turned = [n for n, d in view.nodes(data=True) if d["kind"] == "rotate"]
    assert all(view.nodes[n]["rotation_of"] in view for n in turned)
    assert all("rotation_of" not in d for n, d in view.nodes(data=True) if n not in turned)
    assert {d["output"] for _, d in view.nodes(data=True)} == {"", "y"}
    assert all(d["live"] for _, d in view.nodes(data=True))
    assert {label(n) for n in graph.of_kind("cipher")} == {"X[0]", "X[1]", "X[2]", "X[3]"}


def test_subtraction_and_repeated_operands() -> None:
    text = """program p(slots = 4)
input x[slots, slots], z[slots]
cipher X = x[0, slot]
cipher Z = z[slot]
Y = X + X - Z
S = X * X
output y[0, slot] = Y
output s[0, slot] = S
prove y == 2 * x
prove s == x
"""
    view = to_networkx(api.plan(api.loads(text)).graph)
    by_kind = {d["kind"]: n for n, d in view.nodes(data=True) if d["kind"] in ("sum", "mul")}
    into_sum = {(d["positions"], d["sign"]) for _, _, d in view.in_edges(by_kind["sum"], data=True)}
    assert into_sum == {("0,1", 1), ("2", -1)}
    assert [d["positions"] for _, _, d in view.in_edges(by_kind["mul"], data=True)] == ["0,1"]
