"""Schedules against theorems in all forms: every pair is decided as brute force decides it, right or wrong."""

from __future__ import annotations

from collections import Counter
from functools import cache
from itertools import product
from random import Random

import oracle
import pytest
from amounts import drawn, one_in, some
from judging import disagreement, verdict
from repository import PROGRAMS, bind_text

from slotlang.meaning.program import Program
from slotlang.proof.certificate import certificate
from slotlang.proof.check import check
from slotlang.proof.forall.check import check_for_all
from slotlang.recheck import recheck
from slotlang.source import Source
from slotlang.syntax.parser import parse

VECTORS = """program t(n = 4)
input  x[n], z[n]
weight M[n, n], b[n], F[3]
scalar s
axes (h < n)
cipher X = x[h]
cipher Z = z[h]
plain  D[q < n] = M[h, (h + q) % n]
plain  E[a < 3] = F[a] * [0 <= h + a - 1 < n]
plain  c = b[h]
plain  e = s
Y = sum q < n: (X << q) * D[q]
"""
SCHEDULES = {
    "square": "R = X * X",
    "cube": "R = X * X * X",
    "layer": "R = Y * Y",
    "fourth": "P = Y * Y\nR = P * P",
    "masked": "R = X * Z * e",
    "biased": "R = (Y + c) * (Y + c)",
    "convolved": "R = sum a < 3: (X << a - 1) * E[a]",
    "mixed": "R = Y * X - X * c * X",
    "zero": "R = X - X",
}
THEOREMS = [
    "y == x ** 2",
    "y == x * x",
    "y[i < n] == x[i] * x[i]",
    "y == x ** 2 * x",
    "y[k < n] == x[k] ** 3",
    "y == (M @ x) ** 2",
    "y[i < n] == (sum k < n: M[i, k] * x[k]) * (M @ x)[i]",
    "y[i < n] == sum k < n, l < n: M[i, k] * x[l] * M[i, l] * x[k]",
    "y[i < n] == sum k < n, l < n: M[i, k] * x[k] * M[l, i] * x[l]",
    "y == ((M @ x) * (M @ x)) ** 2",
    "y == (M.T @ x) ** 2",
    "y == s * x * z",
    "y[i < n] == z[i] * s * x[i]",
    "y == (x + z) ** 2 * s / 4 - (x - z) ** 2 * s / 4",
    "y == (M @ x + b) ** 2",
    "y[i < n] == (b[i] + sum k < n: M[i, k] * x[k]) ** 2",
    "y == (M @ x) ** 2 + 2 * b * (M @ x) + b * b",
    "y[i < n] == sum a < 3: F[a] * (x[i + a - 1] else 0)",
    "y[i < n] == sum a < 3: (x[i + a - 1] else 0) * F[2 - a]",
    "y[i < n] == sum a < 3: F[a] * x[(i + a + 3) % n]",
    "y == (M @ x) * x - b * x ** 2",
    "y[i < n] == (M @ x)[i] * x[i] - [i >= 0] * x[i] ** 2 * b[i]",
    "y[i < n] == (sum k < n: (M[i, k] - b[i] * [i == k]) * x[k]) * x[i]",
    "y == zeros(n) * x",
    "y == (ones(n) - 1 * ones(n)) * b",
    "y[i < n] == 0",
]


def program(schedule: str, theorem: str) -> Program:
    return bind_text(f"{VECTORS}{SCHEDULES[schedule]}\noutput y[h] = R\nprove {theorem}\n")


@cache
def truth(schedule: str, theorem: str) -> oracle.Judgement:
    return oracle.judge(program(schedule, theorem).syntax, {})


def test_the_pairs_are_right_and_wrong() -> None:
    """So that verdicts can be wrong both ways: each schedule has theorems, and each theorem a schedule."""
    right = {pair for pair in product(SCHEDULES, THEOREMS) if truth(*pair).correct}
    assert {schedule for schedule, _ in right} == SCHEDULES.keys()
    unproved = {"y[i < n] == sum k < n, l < n: M[i, k] * x[k] * M[l, i] * x[l]", "y == (M.T @ x) ** 2"}
    unproved |= {THEOREMS[18], THEOREMS[19], THEOREMS[20]}
    assert {theorem for _, theorem in right} == set(THEOREMS) - unproved | {THEOREMS[20]}


def tried(schedule: str) -> list[str]:
    """The theorems that a schedule proves, and some that it does not."""
    wrong = [theorem for theorem in THEOREMS if not truth(schedule, theorem).correct]
    chosen = Random(schedule).sample(wrong, some(len(wrong)))
    return [theorem for theorem in THEOREMS if theorem in chosen or theorem not in wrong]


@drawn
@pytest.mark.parametrize("method", ["polyhedral", "exact", "random"])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_verdicts_are_those_of_brute_force(schedule: str, method: str) -> None:
    said: Counter[str] = Counter()
    for theorem in tried(schedule):
        bound = program(schedule, theorem)
        found = verdict(bound, method)  # type: ignore[arg-type]
        assert disagreement(bound, found, truth(schedule, theorem)) == "", (schedule, theorem)
        said[found.status] += 1
    # the polyhedral method leaves products of four elements of one tensor open
    assert said["unknown"] == 0 or method == "polyhedral"


@pytest.mark.parametrize("pair", [p for p in product(SCHEDULES, THEOREMS) if p[0] not in ("fourth",)], ids=str)
def test_certificates_are_for_what_is_right(pair: tuple[str, str]) -> None:
    if not truth(*pair).correct:
        return
    bound = program(*pair)
    report = check(bound)
    assert report.proved
    assert recheck(certificate(bound, report).encode()).goals[0] == "output y"


@drawn
@pytest.mark.parametrize("schedule", one_in(6, SCHEDULES))
def test_for_all_sizes_nothing_wrong_is_proved(schedule: str) -> None:
    for theorem in tried(schedule):
        text = f"{VECTORS}{SCHEDULES[schedule]}\noutput y[h] = R\nprove {theorem}\n"
        report = check_for_all(parse(Source("t.slot", text)), ["n"])
        assert not report.proved or truth(schedule, theorem).correct, (schedule, theorem)


CORPUS = sorted((PROGRAMS / "theorems").glob("*.slot"))


@pytest.mark.parametrize("path", CORPUS, ids=lambda p: p.stem)
def test_programs_are_proved_for_all_sizes(path) -> None:
    syntax = parse(Source(path.name, path.read_text(encoding="utf-8")))
    report = check_for_all(
        syntax, [s.name for s in syntax.header.sizes if s.name != "m" or path.stem != "square_layer"]
    )
    assert report.proved, report.reason
