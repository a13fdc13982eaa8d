"""Structures: each text is proved, and each formula counts what its graph has."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

from slotlang import api
from slotlang.cost.predict import evaluation_calls
from slotlang.planning.parameters import Parameters
from slotlang.planning.planner import plan
from slotlang.planning.target import Target
from slotlang.search.estimate import estimate
from slotlang.search.structure import Packing, Shape, Structure
from slotlang.search.text import text
from slotlang.source import Source
from slotlang.syntax.formatter import format_program
from slotlang.syntax.parser import parse

PACKINGS: tuple[Packing, ...] = ("real", "pairs", "tokens", "channels")


def powers(limit: int) -> list[int]:
    return [1 << k for k in range(limit.bit_length())]


def drawn(seed: int, packing: Packing, dense: bool) -> Structure:
    """A structure with sizes that need not divide."""
    pick = random.Random(seed)
    slots = pick.choice([8, 16, 32])
    shape = Shape(pick.randint(1, 20), pick.randint(1, 20), pick.randint(1, 9), pick.randint(1, 12))
    s = Structure(shape, slots, pick.choice([1, 2, 4, 8]), packing, dense, ranks=1)
    s = replace(s, ranks=pick.choice(powers(min(s.positions, s.rows))))
    s = replace(s, copies=pick.choice(powers(s.ranks)), shares=1 if dense else pick.choice(powers(s.ranks)))
    down = pick.choice([0, *range(1, s.diagonals)])
    up = 0 if dense or s.views < 3 else pick.choice([0, *range(2, s.views)])
    s = replace(s, down=down, up=up, radix=pick.choice([2, 4, 8]))
    return replace(s, direct=down == 0 and s.diagonals > 2 and pick.choice([False, True]))


CASES = [
    (seed, packing, dense)
    for packing in PACKINGS
    for dense in (False, True)
    for seed in range(6)
    if not (dense and packing == "channels")
]


@pytest.mark.parametrize(("seed", "packing", "dense"), CASES)
def test_texts_are_proved(seed: int, packing: Packing, dense: bool) -> None:
    source = text(drawn(seed, packing, dense))
    program = api.loads(source)
    report = api.check(program, "polyhedral")
    assert report.proved, source
    # nothing of it depends on how one prover sees it
    assert api.check(program, "random", seed=seed).status == "tested"
    formatted = format_program(parse(Source("synth", source)))
    assert format_program(parse(Source("synth", formatted))) == formatted


def test_what_is_computed_is_the_product() -> None:
    shape = Shape(12, 20, 3, 5)
    s = Structure(shape, 16, 4, "pairs", False, ranks=2, copies=2, shares=2)
    assert s.groups == 2
    weights = text(s).splitlines()
    wrong = [line.replace("- 1i", "+ 1i") if line.startswith("plain  V") else line for line in weights]
    assert wrong != weights
    assert api.check(api.loads("\n".join(wrong))).status == "refuted"


def dividing(seed: int, packing: Packing, dense: bool) -> Structure:
    """A structure without padding, so that no plaintext is zero, and with baby steps that divide."""
    pick = random.Random(seed)
    slots, tokens = pick.choice([8, 16, 32]), pick.choice([1, 2, 4])
    positions = slots // tokens
    ranks = pick.choice(powers(positions))
    blocks = pick.choice([1, 2, 3]) if ranks == positions else 1
    copies = pick.choice(powers(ranks))
    shares = 1 if dense else pick.choice(powers(ranks))
    rows = ranks * blocks * (2 if packing == "pairs" else 1)
    per = 2 if packing == "channels" else 1
    d_out = rows if dense else pick.choice([1, 2, 3]) * positions // shares * per
    shape = Shape(
        pick.choice([1, 2, 3]) * positions // copies * per,
        d_out,
        pick.randint(1, 9) if dense else rows,
        tokens * (2 if packing == "tokens" else 1),
    )
    down = pick.choice([0, *powers(ranks // copies)[1:-1]])
    up = 0 if dense else pick.choice([0, *powers(ranks // shares)[1:-1]])
    radix = pick.choice([2, 4, 8])
    direct = down == 0 and ranks // copies > 2 and pick.choice([False, True])
    return Structure(shape, slots, tokens, packing, dense, ranks, copies, down, shares, up, radix, direct)


@pytest.mark.parametrize(("seed", "packing", "dense"), CASES)
def test_formulas_count_the_graph(seed: int, packing: Packing, dense: bool) -> None:
    s = dividing(seed, packing, dense)
    made, formula = plan(api.loads(text(s)), target=Target(hide="none")), estimate(s)
    counts = made.counts
    assert formula.rotations == counts.rotations
    assert formula.conjugations == counts.conjugations
    assert formula.keys == counts.galois_keys
    assert formula.products == counts.plain_products
    assert formula.additions == counts.additions
    assert (formula.inputs, formula.outputs) == (counts.ciphertexts_in, counts.ciphertexts_out)
    assert (formula.decompositions, formula.mod_downs) == (counts.decompositions, counts.mod_downs)
    assert +formula.calls(2) == evaluation_calls(made.graph, 2)
    assert +formula.calls(2, parts=True) == evaluation_calls(made.graph, 2, parts=True)
    for drops in [(1,), (2,), (1, 2)][: 3 if s.depth == 2 else 1]:
        dropping = plan(
            api.loads(text(s)), Parameters(16384, (60, 40, 40, 60), 40, drops, (40, 40, 40)), target=Target(hide="none")
        )
        for parts in (False, True):
            assert +formula.calls(3, drops, parts=parts) == evaluation_calls(dropping.graph, 3, parts=parts)


def test_groups_of_tokens_cost_what_one_does_each() -> None:
    s = Structure(Shape(16, 16, 4, 6), 16, 2, "pairs", False, ranks=2)
    one, all_of_it = (plan(api.loads(text(t)), target=Target(hide="none")).counts for t in (s.one_group(), s))
    assert s.groups == 3
    assert all_of_it.rotations == 3 * one.rotations
    assert all_of_it.plain_products == 3 * one.plain_products
    assert all_of_it.galois_keys == one.galois_keys
    assert all_of_it.plaintexts == one.plaintexts


def test_names_tell_structures_apart() -> None:
    shape = Shape(16, 16, 4, 2)
    base = Structure(shape, 16, 2, "pairs", False, ranks=2)
    variants = [
        base,
        replace(base, packing="real", ranks=4),
        replace(base, dense=True, ranks=8),
        replace(base, copies=2),
        replace(base, shares=2),
        replace(base, ranks=4, direct=True),
        replace(base, tokens=16, ranks=1),
    ]
    assert len(np.unique([v.name() for v in variants])) == len(variants)
