"""The unrolled graph: equal operations once, zeros dropped, ladders remembered, and what it computes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path

import pytest
from amounts import one_in
from small_programs import CASES, Case, case

from slotlang import api
from slotlang.cost.counts import count
from slotlang.diagnostics import SlotError
from slotlang.graph import unroll as unroll_file
from slotlang.graph.graph import Graph, Node
from slotlang.graph.unroll import unroll
from slotlang.planning.zeros import zero_plaintexts
from slotlang.proof.goals import goals
from slotlang.proof.random import test_random as at_random_points
from slotlang.schedule.build import EVERY, schedule


def graph_of(text: str, drop: bool = False, drops: Sequence[int] = ()) -> Graph:
    made = schedule(api.loads(text), drops)
    return unroll(made, zero_plaintexts(made)) if drop else unroll(made)


@pytest.mark.parametrize(
    ("drop", "small"),
    one_in(3, product([False, True], CASES), lambda case: f"{case[1].name}-{'zeros dropped' if case[0] else 'whole'}"),
)
def test_values_are_those_of_the_program(small: Case, drop: bool) -> None:
    for drops in ((), EVERY, (2,)):
        graph = graph_of(small.text, drop, drops)
        outcomes = at_random_points(graph, goals(graph.schedule.program))
        assert {o.status for o in outcomes} == {"tested"}


@pytest.mark.parametrize("small", CASES, ids=lambda c: c.name)
def test_the_graph_is_in_order_and_nothing_is_there_twice(small: Case) -> None:
    graph = graph_of(small.text, drop=True)
    assert len(set(graph.nodes)) == len(graph.nodes) == len(graph.levels) == len(graph.statement)
    for number, node in enumerate(graph.nodes):
        assert all(operand < number for operand in node.operands)
        assert (node.kind == "rotate") == (0 < node.step < graph.schedule.program.slots)
        assert len(node.signs) == (len(node.operands) if node.kind == "sum" else 1 if node.kind == "add_plain" else 0)
    live = graph.ancestors(o.node for o in graph.outputs)
    assert {o.node for o in graph.outputs} <= live
    assert all(operand in live for number in live for operand in graph.nodes[number].operands)
    for number, base in graph.bases.items():
        assert graph.nodes[number].kind == "rotate"
        total = 0
        while number != base:
            total += graph.nodes[number].step
            (number,) = graph.nodes[number].operands
        assert total > 0


def small(statements: str, slots: int = 8) -> Graph:
    return graph_of(f"""program p(slots = {slots})
input x[slots], z[slots]
weight A[slots, slots]
cipher X = x[slot]
cipher Z = z[slot]
plain W[q < slots] = A[slot, q]
{statements}
output y[slot] = Y
prove y == x
""")


@pytest.mark.parametrize(
    ("statements", "kind", "times"),
    [
        ("P = X * Z\nQ = Z * X\nY = P + Q", "mul", 1),
        ("P = X << 3\nQ = X >> 5\nY = P + Q", "rotate", 1),
        ("Y = (X << 8) + (X >> 16)", "rotate", 0),
        ("Y = conj X + conj X", "conj", 1),
        ("P[q < 6] = (X << (q % 3)) * W[q]\nY = sum q < 6: P[q]", "rotate", 2),
        ("Y = X * W[2] + X * W[2]", "mul_plain", 1),
        ("Y = -X + Z + -X", "neg", 0),
        ("Y = -X - Z", "neg", 1),
        ("Y = sum f < 8 by doubling: X << 2*f", "rotate", 2),
        ("Y = sum f < 5 by doubling: X << 8*f", "rotate", 0),
        ("Y = X - X + Z", "sum", 0),
        ("Y = X - Z + X + Z", "sum", 1),
    ],
)
def test_equal_operations_are_shared(statements: str, kind: str, times: int) -> None:
    assert sum(1 for _ in small(statements).of_kind(kind)) == times


@pytest.mark.parametrize("terms", range(1, 18))
def test_trees_are_balanced_and_pair_neighbours(terms: int) -> None:
    graph = small(
        f"Y = sum q < {terms} by tree: X * W[q % 8]" if terms > 8 else f"Y = sum q < {terms} by tree: X * W[q]"
    )
    depth: dict[int, int] = {}
    for number, node in enumerate(graph.nodes):
        below = max((depth[o] for o in node.operands), default=0)
        depth[number] = below + (node.kind == "sum")
    assert max(depth.values()) == (terms - 1).bit_length()


def test_zeros_are_dropped_and_what_is_zero_then() -> None:
    text = """program p(slots = 4)
input x[slots]
weight A[slots, slots], D[i < slots, j < slots] sparse where i == j
cipher X = x[slot]
plain W[q < 4] = D[slot, (slot + q) % 4]
plain V[q < 4] = A[slot, (slot + q) % 4]
S = sum q < 4: (X << q) * W[q]
Z[k < 2] = X * W[k + 1]
T = sum q < 4: (Z[1] << q) * V[q]
U = conj Z[0] - Z[1]
Y = S + T - U
output y[slot] = Y
output t[slot] = T
prove y == D @ x
prove t == x - x
"""
    program = api.loads(text)
    assert api.check(program).proved
    plan = api.plan(program)
    # one diagonal of D, and S times 1 to be as deep as T would be
    assert plan.counts.executed() == {"rotations": 3, "plain_products": 2}
    assert plan.counts.ciphertexts_out == 1
    whole = count(unroll(schedule(program)))
    # S: 4, Z: 2, T: 4, and S and U times 1
    assert (whole.plain_products, whole.conjugations, whole.rotations) == (12, 1, 6)


def test_a_plaintext_added_to_zero_is_a_node_of_its_own() -> None:
    graph = graph_of(
        """program p(slots = 4)
input x[slots]
weight b[slots]
cipher X = x[slot]
plain N = b[slot] * [slot > 5]
plain B = b[slot]
Y = X * N + B
output y[slot] = Y
prove y == b
""",
        drop=True,
    )
    assert [n.kind for n in graph.nodes] == ["cipher", "plain"]
    assert count(graph).executed() == {}


def test_zeros_that_cost_too_much_to_find_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    from slotlang.planning import zeros

    program = api.loads(case("a sparse pattern").text)
    assert api.plan(program).counts.plain_products == 2
    monkeypatch.setattr(zeros, "MAX_WORK", 10)
    assert api.plan(program).counts.plain_products == 8


def test_too_many_operations_are_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unroll_file, "MAX_NODES", 10)
    with pytest.raises(SlotError, match="SL309") as problem:
        small("P[q < 8] = X * W[q]\nY = sum q < 8: P[q] << q")
    assert "more than 10" in problem.value.diagnostics[0].message
    monkeypatch.setattr(unroll_file, "MAX_STEPS", 20)
    with pytest.raises(SlotError, match="SL309") as problem:
        small("P[q < 8] = X * W[q]\nY = sum q < 8: P[q] << q")
    assert "limit" in problem.value.diagnostics[0].message


def test_absurd_sizes_end_at_once(root: Path) -> None:
    program = api.load(root / "programs" / "rank_complex.slot", {"d": 2**39})
    for action in (api.plan, api.cost, api.lower):
        with pytest.raises(SlotError, match="SL309"):
            action(program)


def test_ladders_remember_what_they_rotate() -> None:
    graph = small("Y = sum q < 5: (X << 2*q) * W[q]", 16)
    x = graph.nodes.index(Node("cipher", (), plain=("X", ())))
    assert len(graph.bases) == 4
    assert set(graph.bases.values()) == {x}
    assert count(graph).hoistable == 4
    assert count(small("Y = sum q < 5 by horner: (X * W[q]) << 2*q", 16)).hoistable == 0
    assert count(small("Y = (X << 1) + (X << 3) + (Z << 1)", 16)).hoistable == 2
