"""Claims found for programs that have none, and how they help to prove them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from amounts import one_in
from repository import PROGRAMS
from test_corpus import CORPUS, head, ids

from slotlang.api import check, loads
from slotlang.meaning.integers import show
from slotlang.proof import check as module
from slotlang.proof.check import Checker
from slotlang.proof.claim_inference import propose, with_claims
from slotlang.proof.goals import goals
from slotlang.proof.index_maps import Names, fit
from slotlang.proof.polyhedral import Polyhedral


def unclaimed(path: Path) -> str:
    lines = path.read_text(encoding="utf-8").split("\n")
    return "\n".join(line for line in lines if not line.startswith("claim"))


CLAIMED = [path for path in CORPUS if "\nclaim " in path.read_text(encoding="utf-8")]


@pytest.mark.parametrize("path", one_in(3, CLAIMED, ids))
def test_without_its_claims_a_program_is_decided_the_same_way(path):
    verdict, tiny = head(path)
    assert check(loads(unclaimed(path), tiny)).status == verdict


@pytest.mark.parametrize(
    ("name", "sizes", "claims"),
    [
        ("rank_complex", {}, ["S == (B @ x)[h % R, t] + 1i * (B @ x)[h % R + R, t]"]),
        ("lora", {"r": 15, "d_in": 700}, ["S == (B @ x)[h % pairs, t] + 1i * ((B @ x)[h % pairs + pairs, t] else 0)"]),
        ("lora_xs", {}, ["S == (B @ x)[h % r, t]", "U == (G @ B @ x)[h % r, t]"]),
        ("several_outputs", {}, ["S == (Bq @ x)[h % r] where side == 0", "S == (Bv @ x)[h % r] where side == 1"]),
        ("permuted", {}, ["Z[c] == x[c*C + h, t]", "S == (B @ x)[h % r, t]"]),
        ("conjugate", {}, ["C == a[h] - 1i * b[h]", "F == b[h] + 1i * a[h]"]),
        ("seed/lazy_fixed", {}, ["Z[i] == (B @ x)[i, t]", "S == ((B @ x)[h, t] else 0)", "E[i] == (B @ x)[i, t]"]),
    ],
)
def test_claims_found(name, sizes, claims):
    program = loads(unclaimed(PROGRAMS / f"{name}.slot"), {**sizes})
    lines = propose(Checker(program).graph)
    assert [line.removeprefix("claim ") for line in lines] == claims
    claimed = with_claims(program, lines)
    prover = Polyhedral(claimed)
    assert [prover.prove(goal).status for goal in goals(claimed)[: len(lines)]] == ["proved"] * len(lines)


def test_multiples_are_found():
    text = """program p(d = 16, r = 4, slots = 16)
input x[d]
weight A[d, r], B[r, d]
axes (h < d)
cipher X = x[h]
plain W[q < r] = B[(h - q) % r, h]
P[q < r] = X * W[q]
T = sum q < r by horner: P[q] << q
S = sum f < d by doubling: T << f*r
plain V[q < r] = 1/4 * A[h, (h + q) % r]
Y = sum q < r: (S << q) * V[q]
output y[h] = Y
prove y == A @ B @ x
"""
    assert propose(Checker(loads(text)).graph) == ("claim S == 4 * (B @ x)[h % r]",)


SWAPPED = """program p(d = 256, r = 4, slots = 256)
input x[d]
weight A[d, r], B[r, d]
axes (h < d)
perm p: cycles CYCLES
cipher X = x[h]
plain W[q < r] = B[(h - q) % r, h]
P[q < r] = X * W[q]
T = sum q < r by horner: P[q] << q
S = sum f < d/r by doubling: T << f*r
Z = permute(S, p)
plain V[q < r] = A[h, (h + q) % r]
Y = sum q < r: (permute(Z, inverse(p)) << q) * V[q]
output y[h] = Y
prove y == A @ B @ x
""".replace("CYCLES", ", ".join(f"({2 * n}, {2 * n + 1})" for n in range(128)))


def test_found_claims_are_proved_used_and_told():
    report = check(loads(SWAPPED))
    assert (report.status, report.method) == ("proved", "exact")
    assert report.claims[0] == "claim S == (B @ x)[h % r]"
    assert report.claims[1].startswith("claim Z == (B @ x)[")
    assert all(what in dict(report.steps) for what in ("claim S", "claim Z"))
    pasted = SWAPPED.replace("Z = permute", report.claims[0] + "\nZ = permute", 1)
    assert check(loads(pasted)).proved


def test_a_wrong_guess_is_never_used(monkeypatch):
    import slotlang.proof.claim_inference as finder

    monkeypatch.setattr(finder, "propose", lambda graph: ("claim S == (B @ x)[(h + 1) % r]",))
    report = check(loads(SWAPPED))
    assert report.claims == ()
    assert report.status == "proved"
    assert "claim S" not in dict(report.steps)


def test_what_one_method_proves_the_other_uses(monkeypatch):
    """The exact method is asked for the claim about Z alone: what stands before and after is left to the other."""
    import slotlang.proof.exact as exact

    asked = []
    original = exact.prove_exact

    def watched(graph, goals, known=()):
        asked.append([goal.what for n, goal in enumerate(goals) if n not in known])
        return original(graph, goals, known)

    monkeypatch.setattr(exact, "prove_exact", watched)
    text = SWAPPED.replace("permute(Z, inverse(p)) <<", "U <<").replace(
        "plain V", "U = permute(Z, inverse(p))\nplain V"
    )
    assert check(loads(text)).proved
    assert asked == [["claim Z"], ["claim U"]]


def test_a_refuted_program_is_not_searched(monkeypatch):
    monkeypatch.setattr(module.Checker, "claimed", lambda self: pytest.fail("searched for claims"))
    wrong = SWAPPED.replace("permute(Z, inverse(p)) << q", "permute(Z, inverse(p)) << q + 1")
    assert check(loads(wrong)).status == "refuted"


# index expressions

VARIABLES = [("c", 3), ("h", 24), ("t", 2)]
NAMES = """program n(C = 24, r = 6, m = 4, slots = 48)
axes (h < C, t < 2)
input x[100, 2]
weight B[r, 100]
cipher X[c < 3] = x[c*C + h, t]
plain W[c < 3] = B[h % r, h // m]
Y[c < 3] = X[c] * W[c]
output y[c*C + h, t] = Y[c]
prove y == x
"""


@pytest.mark.parametrize(
    "expected",
    ["h", "t", "c*C + h", "h % r", "c*C + 23 - h", "h % r // 3 + h % 3*2", "h // m", "2*t + 1", "(h - c) % r"],
)
def test_expressions_are_found_from_their_values(expected):
    names = Names(loads(NAMES))
    c, h, t = np.meshgrid(np.arange(3), np.arange(24), np.arange(2), indexing="ij")
    table = eval(expected, {"C": 24, "r": 6, "m": 4, "c": c, "h": h, "t": t})
    known = np.ones(table.shape, bool)
    known[1, 5:7, 0] = False
    found = fit(table, known, VARIABLES, names)
    assert found is not None
    again = eval(show(found), {"C": 24, "r": 6, "m": 4, "c": c, "h": h, "t": t})
    assert np.array_equal(np.broadcast_to(again, table.shape)[known], table[known])


def test_no_expression_is_made_up():
    table = np.random.default_rng(0).permutation(3 * 24 * 2).reshape(3, 24, 2)
    assert fit(table, np.ones(table.shape, bool), VARIABLES, Names(loads(NAMES))) is None
