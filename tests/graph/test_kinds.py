"""The table of kinds: complete, and in the terms of the stages that read it."""

from __future__ import annotations

from dataclasses import fields
from typing import get_args

from slotlang.cost.counts import Counts, count
from slotlang.cost.predict import evaluation_calls
from slotlang.cost.primitives import PRIMITIVES
from slotlang.graph.kinds import KINDS
from slotlang.graph.ring import unary
from slotlang.graph.unroll import unroll
from slotlang.meaning.bind import bind
from slotlang.schedule import ops
from slotlang.schedule.build import EVERY, schedule
from slotlang.source import Source
from slotlang.syntax.parser import parse

PROGRAM = """program all(slots = 8)
input  x[8]
weight A[8, 8]
cipher X = x[slot]
plain  V = A[0, slot]
S = (X << 1) * X + conj X * V - V
Y = -(S * V)
output y[slot] = re Y
prove y == x
"""


def test_every_counter_and_primitive_is_known() -> None:
    counters = {f.name for f in fields(Counts)}
    for kind in KINDS.values():
        assert kind.counter is None or kind.counter in counters
        assert set(kind.primitives) <= set(PRIMITIVES)


def test_every_kind_of_node_is_in_the_table() -> None:
    graph = unroll(schedule(bind(parse(Source("t", PROGRAM))), EVERY))
    kinds = {node.kind for node in graph.nodes}
    assert kinds == set(KINDS) - {"plain"}
    counts = count(graph)
    assert (counts.rotations, counts.conjugations, counts.key_switches, counts.galois_keys) == (1, 1, 3, 2)
    called = {name for name, _ in evaluation_calls(graph, counts.depth + 1, compiled=False)}
    wanted = {name for kind in kinds for name in KINDS[kind].primitives}
    assert wanted <= called


def test_operations_that_work_slot_by_slot_have_a_meaning_in_every_ring() -> None:
    class Complex:
        def const(self, re: object, im: object) -> complex:
            return complex(float(str(re)), float(str(im)))

        def sub(self, a: complex, b: complex) -> complex:
            return a - b

        def conj(self, a: complex) -> complex:
            return a.conjugate()

    meanings = {kind.kind: unary(Complex(), kind.kind, 1 + 2j) for kind in get_args(ops.Unary)}  # type: ignore[arg-type]
    assert meanings == {"neg": -1 - 2j, "conj": 1 - 2j, "relinearize": 1 + 2j}


def test_operations_are_rebuilt_from_their_operands() -> None:
    graph = unroll(schedule(bind(parse(Source("t", PROGRAM))), EVERY))
    for family in graph.schedule.ciphers:
        if family.body is None:
            continue
        again = ops.rebuilt(family.body, lambda op: op)
        assert ops.children(again) == ops.children(family.body)
        other = ops.Ref("X", ())
        assert ops.children(ops.rebuilt(family.body, lambda _, o=other: o)) == (other,) * len(ops.children(family.body))
