"""Values of many points side by side are those of one vector after the other."""

from __future__ import annotations

import numpy as np
import pytest

from slotlang.graph.ring import PlainEvaluator
from slotlang.meaning.bind import bind
from slotlang.meaning.program import Claim
from slotlang.proof import points
from slotlang.proof.check import check
from slotlang.proof.field import PRIMES, random_field
from slotlang.proof.points import Points
from slotlang.source import Source
from slotlang.syntax.parser import parse

PROGRAM = """program many(n = 12, m = 5)

input  x[n]
weight A[n, n], b[m]
scalar a

axes (h < n)

perm p: slot -> (slot + 5) % n

cipher X = x[h]
plain  D[q < m] = A[h, (h + q) % n] + 2i * [h < q]
plain  E[q < m] = (D[q] << q) * a - permute(D[(q + 1) % m], p)

Y[q < m] = X * E[q] + D[q] + (X << 1)
claim D[q] == A[h, (h + q) % n] + 2i * [h < q]
claim E[q] == (D[q] << q) * a - permute(D[(q + 1) % m], p)
claim E[q] == (sum k < 7: [k == 3] * (D[q] << q) * a) - conj (conj permute(D[(q + 1) % m], p))
claim Y[q] == x[(h + 1) % n] + D[q] + E[q] * (sum j < n, k < 2: [k == 1] * [j == h] * (x[j + k - 1] else 0))

Z = X
output z[h] = Z
prove  z == x
"""


@pytest.mark.parametrize("piece", [1, 8, 40, 4096])
def test_side_by_side_is_one_after_the_other(piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever number of points is evaluated at once: pieces of a vector, several vectors, several terms of a sum."""
    monkeypatch.setattr(points, "PIECE", piece)
    program = bind(parse(Source("many.slot", PROGRAM)))
    field = random_field(program, PRIMES, 1)
    one, many = PlainEvaluator(program, field), Points(program, field)
    for step in program.steps:
        if not isinstance(step, Claim):
            continue
        envs = list(step.envs())
        for env, vector in zip(envs, many.vectors(step.value, envs), strict=True):
            expected = one.value(step.value, env, one.all_slots)
            assert np.array_equal(*np.broadcast_arrays(vector, expected))


def test_wrong_members_are_found_in_any_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    """The random method refutes a claim that is wrong at one slot of the last member."""
    wrong = PROGRAM.replace("claim D[q] == A[h, (h + q) % n]", "claim D[q] == [h * q < 44] * A[h, (h + q) % n]")
    for piece in (8, 4096):
        monkeypatch.setattr(points, "PIECE", piece)
        report = check(bind(parse(Source("many.slot", wrong))), "random")
        assert report.status == "refuted"
        assert report.failure is not None and (report.failure.slot, report.failure.binders) == (11, {"q": 4})  # type: ignore[union-attr]
        assert check(bind(parse(Source("many.slot", PROGRAM))), "random").status == "tested"
