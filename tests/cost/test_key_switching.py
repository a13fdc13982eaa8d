"""Decompositions, key products and mod-downs of a graph, compared with an evaluation of its module that counts them."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from random import Random

import pytest
from amounts import drawn, one_in, some
from generate import random_program
from lazy_switches import Lazy, LazyOperations, lazy_counts
from repository import PROGRAMS, bind_text
from small_programs import CASES, Case

from slotlang.cost.counts import count
from slotlang.cost.key_switching import KeySwitching, key_switching
from slotlang.diagnostics import SlotError
from slotlang.emit.head import Lowering
from slotlang.emit.module import emit
from slotlang.graph.unroll import unroll
from slotlang.meaning.program import Program
from slotlang.planning.hiding import Hiding
from slotlang.planning.parameters import Parameters
from slotlang.planning.plan import Plan
from slotlang.planning.zeros import zero_plaintexts
from slotlang.refusals import GaveUp
from slotlang.schedule.build import schedule

PROVED = Lowering("0", "proved", "exact", validated=True)


def compared(program: Program, drops: tuple[int, ...] = ()) -> dict[str, int]:
    """The counts of an evaluation, which are those of the graph."""
    made = schedule(program, drops)
    graph = unroll(made, zero_plaintexts(made))
    primes = (*[60] * (made.depth + 2), *[40] * len(made.drops), 60)
    parameters = Parameters(2 * program.slots, primes, 40, tuple(made.drops))
    found = key_switching(graph)
    mine = {"decompositions": found.decompositions, "key_products": found.key_products, "mod_downs": found.mod_downs}
    for kernel in ("seal", "compiled"):
        plan = Plan(program, graph, parameters, count(graph), Hiding("none"), GaveUp("not asked for"), kernel)
        executed = lazy_counts(emit(plan, PROVED), program)
        assert {name: parts.total() for name, parts in mine.items() if parts} == executed
    return executed


@pytest.mark.parametrize("small", one_in(2, CASES, lambda c: c.name))
def test_small_programs(small: Case) -> None:
    compared(bind_text(small.text))
    compared(bind_text(small.text), (1, 2))


CORPUS = sorted(PROGRAMS.rglob("*.slot"))


@pytest.mark.parametrize("path", one_in(3, CORPUS, lambda p: p.stem))
def test_the_corpus_at_tiny_sizes(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    (tiny,) = re.findall(r"^# tiny: (.*)$", text, re.MULTILINE)
    sizes = {name: int(value) for name, value in (pair.split("=") for pair in tiny.split())}
    compared(bind_text(text, sizes))


@drawn
def test_random_programs() -> None:
    done = switched = 0
    for seed in range(some(200)):
        text, sizes = random_program(Random(seed))
        program = bind_text(text, sizes)
        try:
            found = compared(program)
        except SlotError as refused:
            assert {d.code for d in refused.diagnostics} <= {"SL401", "SL402", "SL403"}, text
            continue
        done += 1
        switched += found.get("key_products", 0) > 0
    assert done >= 10
    assert switched >= 5


HEAD = """program p(slots = 64)
input x[slots], z[slots]
weight w[8, slots]
cipher X = x[slot]
cipher Z = z[slot]
plain W[q < 8] = w[q, slot]
"""


@pytest.mark.parametrize(
    ("statements", "decompositions", "key_products", "mod_downs"),
    [
        # one pending sum, of rotations of one and of several
        ("Y = (X << 1) + (X << 5) + (X << 9)", 1, 3, 1),
        ("Y = (X << 1) + (Z << 5) + X", 2, 2, 1),
        ("Y = (X << 1) + (Z << 5) + conj X", 2, 3, 1),
        ("Y = sum f < 8 by doubling: X << f", 3, 3, 3),
        ("Y = sum f < 8 by doubling(4): X << f", 2, 4, 2),
        ("Y = sum f < 16 by doubling(4): X << f", 2, 6, 2),
        ("Y = sum f < 8 by doubling(8): X << f", 1, 7, 1),
        # the sum of each stage is rotated next; the last is returned
        ("Y = sum f < 8 by horner: (X * W[f]) << f", 7, 7, 7),
        # giant steps of different ciphertexts share the mod-down
        ("Y = sum f < 8: (X * W[f]) << (f + 1)", 8, 8, 1),
        # products settle each
        ("Y = (X << 1) * W[0] + (X << 5) * W[1]", 1, 2, 2),
        # so do negations and what is subtracted
        ("Y = Z - (X << 1)", 1, 1, 1),
        ("Y = (X << 1) - Z", 1, 1, 1),
        ("Y = (X << 1) - (X << 2)", 1, 2, 2),
        ("Y = -(X << 1)", 1, 1, 1),
        # what two sums need is divided by itself, and then by neither
        ("R = X << 1\nA = R + Z\nB = R + X\nY = A * W[0] + B * W[1]", 1, 1, 2),
        ("R = X << 1\nA = R + (Z << 3)\nB = R + X\nY = A * W[0] + B * W[1]", 2, 2, 2),
        ("R = X << 1\nY = R + R", 1, 1, 2),
        # rotated again: a value at last
        ("R = X << 1\nY = (R << 3) + R", 2, 2, 2),
        # a sum that is relinearised is settled before, and after
        ("Y = X * Z + (X << 1)", 2, 2, 2),
        ("P = X * Z * W[0]\nQ = Z * W[1] << 1\nY = P + Q", 2, 2, 2),
        ("Y = X * Z * W[0]", 1, 1, 1),
        ("Y = (X << 1) * (Z << 1)", 3, 3, 3),
        # nothing is switched
        ("Y = X * W[0] + Z", 0, 0, 0),
    ],
)
def test_by_hand(statements: str, decompositions: int, key_products: int, mod_downs: int) -> None:
    program = bind_text(f"{HEAD}{statements}\noutput y[slot] = Y\nprove y == x\n")
    wanted = {"decompositions": decompositions, "key_products": key_products, "mod_downs": mod_downs}
    assert compared(program) == {name: times for name, times in wanted.items() if times}


def test_parts_stand_at_their_levels() -> None:
    program = bind_text(f"{HEAD}T = (X << 1) * W[0]\nY = (T << 2) + (T << 3)\noutput y[slot] = Y\nprove y == x\n")
    found = key_switching(unroll(schedule(program, (1,))))
    assert found == KeySwitching(Counter({0: 1, 1: 1}), Counter({0: 1, 1: 2}), Counter({0: 1, 1: 1}))


def test_the_reference_takes_no_products_twice() -> None:
    """A pending ciphertext in two sums is divided once for itself, and no sum holds more than was computed."""
    operations = LazyOperations()
    a = operations.rotate(Lazy(), 1)
    b = operations.add(a, Lazy(), 1, owned=False)
    c = operations.add(a, Lazy(), 1, owned=False)
    assert (a.waiting, b.waiting, c.waiting, operations.counts["mod_downs"]) == (0, 1, 0, 1)
    assert operations.most_waiting == 1
