"""Families of sizes: each is proved, refuted and checked at sizes of its own."""

from __future__ import annotations

import sys
from pathlib import Path
from random import Random

import pytest
from amounts import drawn, some

from slotlang.diagnostics import SlotError
from slotlang.proof.forall import check as module
from slotlang.proof.forall.check import check_for_all
from slotlang.proof.forall.conditions import conditions
from slotlang.proof.forall.size_solver import Empty, cases
from slotlang.proof.verdict import Disagreement
from slotlang.source import Source
from slotlang.syntax.parser import parse

sys.path.insert(0, str(Path(__file__).resolve().parent))

from generate_families import random_families
from sweep_families import judged

SCALED = """program scaled(n = 8, C = 4, r = 1)
require 64 % r == 0
let K = n / C
let k = r // 32
input x[n]
weight A[i < n, j < n] sparse where i == j
axes (h < C)
cipher X[c < K] = x[c*C + h]
plain V[c < K] = A[c*C + h, c*C + h] * FACTOR
Y[c < K] = X[c] * V[c]
output y[c*C + h] = Y[c]
prove y == A @ x
"""
"""Families r = 1, 2, ..., 64, in which k is 0, 0, 0, 0, 0, 1, 2."""


def report(text: str, names=("all",)):
    return check_for_all(parse(Source("p", text)), list(names))


@pytest.mark.parametrize(
    ("factor", "wrong"),
    [
        ("(1 - k/2)", {32, 64}),
        ("(1 + k - k)", set()),
        ("(1 + k * (k - 1))", {64}),
        ("(1 + k * (k - 1) * (k - 2))", set()),
        ("([r < 64] + [r >= 64] * (3 - k))", set()),
        ("([r < 64] + [r == 64] * k)", {64}),
    ],
)
def test_a_number_that_differs_from_family_to_family(factor, wrong):
    found = report(SCALED.replace("FACTOR", factor))
    assert found.status == ("refuted" if wrong else "proved"), found.reason
    assert found.for_all is not None
    if wrong:
        assert found.for_all.refuted_at is not None and found.for_all.refuted_at["r"] in wrong
    else:
        assert {sizes["r"] for sizes in found.for_all.checked} == {1, 2, 4, 8, 16, 32, 64}


ONLY_LARGE = """program large(d = 8, r = 1)
require 4099 % r == 0
let factor = FACTOR
input x[d]
axes (h < d)
cipher X = x[h]
Y = X + X - X
output y[h] = Y
prove y == factor * x
"""


@pytest.mark.parametrize(("factor", "status"), [("r", "refuted"), ("r - 4098 * (r // 4099)", "proved")])
def test_a_family_of_large_sizes_only(factor, status):
    found = report(ONLY_LARGE.replace("FACTOR", factor))
    assert found.status == status
    assert found.for_all is not None
    if status == "refuted":
        assert found.for_all.refuted_at is not None and found.for_all.refuted_at["r"] == 4099
    else:
        assert {sizes["r"] for sizes in found.for_all.checked} == {1, 4099}


@pytest.mark.parametrize("require", ["n >= 5000", "n * m >= 3000 and n < 2 * m", "3 * n == 5 * m + 1000"])
def test_sizes_that_small_ones_do_not_meet(require):
    text = f"program p(n = 8, m = 8)\nrequire {require}\ninput x[n, m]\naxes (h < n, t < m)\ncipher X = x[h, t]\n"
    text += "output y[h, t] = X\nprove y == x\n"
    found = report(text)
    assert found.status == "proved", found.reason
    assert found.for_all is not None and found.for_all.checked


def test_sizes_beyond_what_the_front_end_takes():
    """All sizes that meet the conditions are larger than 2^40: nothing can be bound, so nothing is proved."""
    text = "program p(n = 2, k = 1)\nlet m = 1024 * 1024 * 1024\nrequire n >= 1024 * m * k\nrequire k > 1\n"
    text += "input x[n]\naxes (h < n)\ncipher X = x[h]\noutput y[h] = X\nprove y == x\n"
    with pytest.raises(SlotError) as problem:
        report(text)
    assert problem.value.diagnostics[0].code == "SL214"


def test_a_family_without_sizes_is_none():
    """r divides 64 and is more than 20: two families, and none of the others has sizes."""
    syntax = parse(Source("p", "program p(n = 2, r = 32)\nrequire 64 % r == 0\nrequire r > 20\ninput x[n, r]\n"))
    assert [str(s.sizes["r"]) for s in cases(conditions(syntax, {}, ("n", "r")))] == ["32", "64"]
    text = "program p(n = 2, m = 2)\nrequire n + 2 < m\nrequire m < n + n // n\ninput x[n, m]\n"
    with pytest.raises(Empty, match="m < n"):
        cases(conditions(parse(Source("p", text)), {}, ("n", "m")))


def test_conditions_that_exclude_each_other_are_named():
    text = "program p(n = 8)\nrequire n > 20\nrequire 16 % n == 0\ninput x[n]\naxes (h < n)\ncipher X = x[h]\n"
    with pytest.raises(SlotError) as problem:
        report(text + "output y[h] = X\nprove y == x\n")
    assert problem.value.diagnostics[0].code == "SL724"
    assert "16 % n == 0" in problem.value.diagnostics[0].notes[0] or "n > 20" in problem.value.diagnostics[0].notes[0]


@pytest.mark.parametrize("divisor", ["0", "(0 - 2)", "(C - C)"])
def test_a_divisor_that_is_never_positive(divisor):
    text = "program p(A = 2, C = 2)\nrequire C > 2\ninput z[A]\naxes (h < A)\ncipher Z = z[h]\n"
    text += f"claim Z == z[1 % {divisor} % A]\noutput y[slot] = Z\nprove y == z\n"
    with pytest.raises(SlotError) as problem:
        report(text)
    assert problem.value.diagnostics[0].code in ("SL205", "SL724")


def test_every_family_is_checked_at_its_own_sizes(monkeypatch):
    """A prover that is right about the first family only is found out."""
    text = SCALED.replace("FACTOR", "(1 + k * (k - 1))")
    proved = report(SCALED.replace("FACTOR", "(1 + k - k)"))
    monkeypatch.setattr(module, "_decided", lambda *_: ("mixed-radix", [], "", []))
    assert proved.proved
    with pytest.raises(Disagreement, match="r = 64"):
        report(text)


@drawn
@pytest.mark.parametrize("seed", range(some(16, 6)))
def test_verdicts_on_random_families(seed):
    """``sweep_families.py`` does the same to as many programs as one likes."""
    found = judged(random_families(Random(seed)), seed, thorough=False)
    assert not found.problem
