"""Members that are said to be alike against what they hold."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from repository import program_text

from slotlang import api
from slotlang.cost.variances import Contents
from slotlang.graph.graph import Member
from slotlang.graph.member_classes import Likeness
from slotlang.planning import zeros
from slotlang.planning.zeros import zero_plaintexts
from slotlang.schedule.build import schedule
from slotlang.search.structure import Shape, Structure
from slotlang.search.text import text

PADDED = Structure(Shape(75, 90, 5, 3), 64, 1, "pairs", False, ranks=4, up=2)
TEXTS = {
    "padded pairs": text(PADDED),
    "padded channels": text(Structure(Shape(75, 90, 5, 3), 64, 1, "channels", False, ranks=8, down=3)),
    "padded dense": text(Structure(Shape(75, 90, 5, 3), 64, 2, "real", True, ranks=32, down=4)),
    "cancelling": """program cancelling(n = 8, slots = 8)
input x[n]
weight A[n]
cipher X = x[slot]
plain W[q < 3] = A[(slot + q) % n] - A[slot]
Y[q < 3] = X * W[q]
output y[slot] = Y[1]
prove y == x
""",
    "beyond": """program beyond(n = 8, slots = 8)
input x[n]
weight A[n]
cipher X = x[slot]
plain W[q < 4] = (A[slot + 4*q] else 0) + 1i * (A[slot + 8*q] else 0)
Y[q < 4] = X * (W[q] << 1)
output y[slot] = Y[1]
prove y == x
""",
    "sparse": program_text("sparse_heads"),
    "masked": program_text("seed/two_phase_fixed"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_members_that_are_alike_hold_alike(name: str) -> None:
    built = schedule(api.loads(TEXTS[name]))
    contents = Contents(built)
    for family in built.plains.values():
        likeness = Likeness(built.program, family)
        seen: dict[tuple[int, ...], np.ndarray] = {}
        for indices in list(product(*(range(loop.size) for loop in family.loops)))[:200]:
            held = contents.plain(family, indices)
            first = seen.setdefault(likeness.of(indices), held)
            assert first.shape == held.shape and (first == held).all()


def test_most_members_of_a_padded_family_are_alike() -> None:
    built = schedule(api.loads(text(Structure(Shape(1000, 90, 4, 1), 64, 1, "real", False, ranks=4))))
    family = built.plains["W"]
    likeness = Likeness(built.program, family)
    members = list(product(*(range(loop.size) for loop in family.loops)))
    # all ciphertexts of x but the last are full
    assert len(members) == 4 * 16
    assert len({likeness.of(m) for m in members}) == 2


@pytest.mark.parametrize("name", TEXTS)
def test_zeros_are_those_of_each_member(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    built = schedule(api.loads(TEXTS[name]))
    members: list[Member] = [
        (family.name, indices)
        for family in built.plains.values()
        for indices in list(product(*(range(loop.size) for loop in family.loops)))[:200]
    ]
    together = [zero_plaintexts(built)(member) for member in members]
    monkeypatch.setattr(Likeness, "of", lambda self, indices: indices)
    monkeypatch.setattr(zeros._Zeros, "phase", lambda self, value: None)
    assert together == [zero_plaintexts(built)(member) for member in members]
    assert any(together) == (name in ("cancelling", "beyond"))
