"""A program bound again after one change, compared with one that is bound from scratch."""

from __future__ import annotations

from itertools import islice

import pytest
from repository import bind_text, program_text

from slotlang.diagnostics import SlotError
from slotlang.meaning.bind import bind
from slotlang.meaning.rebind import Rebinder
from slotlang.mutation.mutants import mutants

TINY = {"d": 16, "r": 4, "batch": 2, "slots": 8}
WRITTEN_OUT = """program p(n = 8)
input x[n]
axes (h < n)
cipher X = x[h]
S[k < 3] = (X if k == 0 else S[k - 1] + (S[k - 1] << 2**(k - 1)))
claim S[2] == x[h] + x[(h + 1) % n] + x[(h + 2) % n] + x[(h + 3) % n]
T = S[2] << 4
Y = S[2] + T
output y[h] = Y
prove y == ones(n, n) @ x
"""


@pytest.mark.parametrize("name", ["rank_complex", "permuted", "several_outputs", "written out"])
def test_every_change(name: str) -> None:
    own = {"permuted": {**TINY, "r": 2, "slots": 16}, "several_outputs": {"d": 16, "r": 4}, "written out": {}}
    text = WRITTEN_OUT if name == "written out" else program_text(name)
    program = bind_text(text, own.get(name, TINY))
    rebinder = Rebinder(program)
    kept = refused = 0
    for mutation in islice(mutants(program.syntax), 0, None, 8):
        try:
            expected = bind(mutation.program, rebinder.sizes)
        except SlotError:
            refused += 1
            continue
        assert rebinder.bind(mutation.program, mutation.statement) == expected, mutation.description
        kept += 1
    assert kept > 8
    assert refused > 0
