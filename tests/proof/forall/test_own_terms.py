"""What is not shown for all sizes is said in sizes and variables of the program."""

from __future__ import annotations

import pytest
from repository import PROGRAMS

from slotlang import api
from slotlang.diagnostics import SlotError
from slotlang.proof.forall.check import check_for_all
from slotlang.proof.forall.own_terms import in_own_terms
from slotlang.proof.forall.polynomials import Poly
from slotlang.proof.forall.prover import _Question
from slotlang.proof.forall.sums import Rules
from slotlang.syntax.parser import parse, read_source


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("column_scores", "sum i < w: q[(slot % m), i] * k[(((slot % m) + j) % m), i]"),
        # m is n times another number there
        ("column_scores_steps", "sum i < w: q[(slot % m), i] * k[((g*n + (slot % m) + b) % m), i]"),
    ],
)
def test_what_is_not_shown(name: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the rule for conditions on quotients, and without what conditions say."""
    monkeypatch.setattr(Rules, "_floor", lambda self, p: None)
    monkeypatch.setattr(_Question, "assume", lambda self, given: None)
    report = check_for_all(parse(read_source(PROGRAMS / f"{name}.slot")), ["all"], {}, 0)
    assert report.status == "unknown"
    assert f"{said} is not shown to be part of what it should be" in report.reason
    assert "$" not in report.reason


def test_names() -> None:
    program = api.loads(
        "program p(i = 2, j = 2, slots = 4)\ninput x[i, j]\naxes (h < i, t < j)\ncipher X = x[h, t]\n"
        "output y[h, t] = X\nprove y == x\n"
    )
    sizes = {"i": Poly.symbol("i"), "j": Poly.symbol("i") * Poly.symbol("k")}
    digits = {"$1": "(slot // (i*k))", "$12": "($1 % (i))"}
    said = in_own_terms("sum m$3 < i*k, k$4 < i: x[$12, k$4] * x[m$3, (k % (i*k))]", program, sizes, digits)
    # i and j are sizes, k a symbol of the text
    assert said == "sum l < j, m < i: x[((slot // j) % i), m] * x[l, (k % j)]"


def test_a_bound_that_another_one_implies_is_not_listed() -> None:
    """Every size is at least 1 where a number of slots is; a requirement that says more is listed alone."""
    text = (
        "program p(n = 8)\nrequire n >= 2\nrequire n > 2\ninput x[n]\naxes (h < n)\ncipher X = x[h]\nY = X << 1\n"
        "output y[h] = Y\nprove y[i < n] == x[(i + 1) % n]\n"
    )
    report = check_for_all(api.loads(text).syntax, ["n"], {}, 0)
    assert report.status == "proved" and report.for_all is not None and report.for_all.conditions == ("n > 2",)
    plain = check_for_all(api.loads(text.replace("require n >= 2\nrequire n > 2\n", "")).syntax, ["n"], {}, 0)
    assert plain.for_all is not None and plain.for_all.conditions == ("n >= 1",)


def test_a_remainder_is_below_its_divisor_whatever_is_divided() -> None:
    """``(i + k // 2) % n`` has no normal form, and stays inside all the same; by another number it does not."""
    text = (
        "program halves(n = 8, m = 4)\ninput x[n]\naxes (h < n)\ncipher X = x[h]\nY[k < m] = X << (k // 2)\n"
        "output y[k, h] = Y[k]\nprove y[k < m, i < n] == x[(i + k // 2) % n]\n"
    )
    assert check_for_all(api.loads(text).syntax, ["all"], {}, 0).status == "proved"
    wider = text.replace("input x[n]", "input x[n], z[n - 1]").replace(
        "== x[(i + k // 2) % n]", "== z[(i + k // 2) % n]"
    )
    with pytest.raises(SlotError, match="SL308"):
        check_for_all(api.loads(wider).syntax, ["all"], {}, 0)
