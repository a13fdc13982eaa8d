"""What is not shown for all sizes is said in sizes and variables of the program."""

from __future__ import annotations

import pytest
from repository import PROGRAMS

from slotlang import api
from slotlang.diagnostics import SlotError
from slotlang.proof.forall.check import _tried, check_for_all
from slotlang.proof.forall.own_terms import in_own_terms, own_names
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
    assert said == "sum m < j, l < i: x[((slot // j) % i), l] * x[m, (k % j)]"


def test_variables_have_the_names_that_the_program_gives_them() -> None:
    program = api.loads(
        "program p(n = 2, slots = 4)\ninput x[slots]\ncipher X = x[slot]\noutput y[slot] = X\nprove y == x\n"
    )
    assert own_names("2**(k1$5), which differs from term to term of a sum", program) == (
        "2**k1, which differs from term to term of a sum"
    )
    # one name for one variable, two for two: a size, a tensor and a variable of the text keep theirs
    assert (
        own_names("a division by a$1 + a$2 + n$3 + x!0 + k + k$4 + $5 + m'1$6", program)
        == "a division by a + i + j + l + k + m + o + p"
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        # to the rules a power is a size, so one that differs from term to term is beyond them
        (
            ("sum k < n: X << k*m", "sum k1 < n: X << 2**k1"),
            "output y[h, t]: 2**k1, which differs from term to term of a sum",
        ),
        (("y[h, t]", "y[0, t]"), "y complete: sum h < n, t < m: y[0, t] is not shown to be part of what it should be"),
    ],
)
def test_no_reason_has_a_name_that_the_program_does_not_have(change: tuple[str, str], said: str) -> None:
    text = (
        "program p(n = 4, m = 2)\ninput x[n, m]\naxes (h < n, t < m)\ncipher X = x[h, t]\n"
        "S[b < m] = sum k < n: X << k*m\noutput y[h, t] = S[0]\n"
        "prove y[i < n, j < m] == sum k < n: x[(i + k) % n, j]\n"
    )
    assert check_for_all(api.loads(text).syntax, ["all"], {}, 0).status == "proved"
    # both are refuted in the end; this is what the rules alone say
    assert _tried(api.loads(text.replace(*change, 1)).syntax, {}, ("n", "m"), 0).reason == said


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
