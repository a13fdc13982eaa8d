"""Verdicts of the proof methods against the brute-force oracle: on the corpus, and on random programs.

"proved" needs a program that is right, "refuted" one that is wrong, with a counterexample that is one. "unknown" is
never a wrong answer, but must stay rare.
"""

from __future__ import annotations

import multiprocessing
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random

import generate
import oracle
import pytest
from amounts import drawn, examples, one_in, some
from hypothesis import HealthCheck, Phase, given, note
from judging import Verdict, disagreement, tiny, verdict
from repository import PROGRAMS

from slotlang.meaning.bind import bind
from slotlang.meaning.program import Program
from slotlang.proof.goals import goals
from slotlang.proof.polyhedral import Polyhedral
from slotlang.source import Source
from slotlang.syntax.parser import parse

CORPUS = sorted(PROGRAMS.glob("**/*.slot"))
SEEDS = range(some(36, 12))
SECONDS = 6.0
"""Time for one question: tiny as these programs are, some take isl minutes."""
FORK = multiprocessing.get_context("fork")


# Methods


Method = Callable[[Program], Verdict]


def polyhedral(program: Program) -> Verdict:
    """The polyhedral method alone, every goal and not only up to the first that is refuted."""
    method = Polyhedral(program)
    outcomes = [method.prove(goal) for goal in goals(program)] + [method.covered(name) for name in program.theorems]
    statuses = tuple(outcome.status for outcome in outcomes)
    status = "refuted" if "refuted" in statuses else "proved" if set(statuses) == {"proved"} else "unknown"
    return Verdict(status, statuses, tuple(o.failure for o in outcomes if o.failure is not None))


METHODS: dict[str, Method] = {
    "polyhedral": polyhedral,
    "exact": lambda program: verdict(program, "exact"),
    "random": lambda program: verdict(program, "random"),
    "auto": lambda program: verdict(program, "auto"),
}


# Agreement


def judged_by(method: str, example: Example) -> tuple[str, str]:
    """The method's status and what is wrong with what it says."""
    said = METHODS[method](example.program)
    return said.status, disagreement(example.program, said, example.judged)


def compare(method: str, example: Example, seconds: float = SECONDS) -> tuple[str, str]:
    """The same of a program that no one has tried. Runs in a process of its own, so that a question
    over which isl sits for minutes is "unknown" after some seconds."""
    receiver, sender = FORK.Pipe(duplex=False)

    def run() -> None:
        try:
            sender.send(judged_by(method, example))
        except BaseException as problem:
            sender.send(("failed", f"{type(problem).__name__}: {str(problem)[:500]}"))

    process = FORK.Process(target=run, daemon=True)
    process.start()
    sender.close()
    try:
        return receiver.recv() if receiver.poll(seconds) else ("unknown", "")
    finally:
        process.kill()
        process.join()


@dataclass(frozen=True)
class Example:
    program: Program
    judged: oracle.Judgement


def example(text: str, sizes: Mapping[str, int], name: str = "program") -> Example:
    syntax = parse(Source(name, text))
    return Example(bind(syntax, dict(sizes)), oracle.judge(syntax, sizes))


# The corpus


@cache
def corpus_example(path: Path) -> Example:
    return example(*tiny(path), str(path))


# tests/test_corpus.py compares every method with what each program expects
@pytest.mark.parametrize("path", one_in(3, CORPUS, lambda p: p.stem))
@pytest.mark.parametrize("method", METHODS)
def test_corpus(method: str, path: Path) -> None:
    status, problem = judged_by(method, corpus_example(path))
    assert not problem, status


@pytest.mark.parametrize("path", CORPUS, ids=lambda p: p.stem)
def test_corpus_expectation(path: Path) -> None:
    """What a program expects of the prover is so at its tiny sizes."""
    expected = re.search(r"^# expect:\s*(proved|refuted)\b", path.read_text(encoding="utf-8"), re.MULTILINE)
    if expected:
        judged = corpus_example(path).judged
        assert judged.correct == (expected[1] == "proved"), judged.first_wrong


@pytest.mark.parametrize("path", one_in(6, CORPUS, lambda p: p.stem))
def test_corpus_mutants(path: Path) -> None:
    """The corpus with one random edit each, which makes most of it wrong."""
    text, sizes = tiny(path)
    text = generate.mutant(Random(path.name), text, sizes)
    status, problem = compare("polyhedral", example(text, sizes))
    assert not problem, f"{status}: {problem}\n\n{text}"


# Random programs


@cache
def random_example(seed: int) -> tuple[str, dict[str, int], Example]:
    text, sizes = generate.random_program(Random(seed))
    return text, sizes, example(text, sizes)


@drawn
@pytest.mark.parametrize("method", METHODS)
def test_random_programs(method: str, record_property: Callable[[str, object], None]) -> None:
    statuses = Counter()
    for seed in SEEDS:
        text, _, found = random_example(seed)
        status, problem = compare(method, found)
        statuses[status] += 1
        assert not problem, f"seed {seed}: {problem}\n\n{text}"
    share = statuses["unknown"] / len(SEEDS)
    record_property("unknown", share)
    print(f"{method}: {share:.0%} of {len(SEEDS)} programs unknown; {dict(statuses)}")
    assert share < 0.2, statuses


@drawn
def test_about_half_of_the_random_programs_are_right() -> None:
    right = sum(random_example(seed)[2].judged.correct for seed in SEEDS)
    assert 0.3 * len(SEEDS) < right < 0.7 * len(SEEDS)


@examples(12, suppress_health_check=list(HealthCheck), phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(generate.programs())
def test_polyhedral_on_any_program(drawn: tuple[str, dict[str, int]]) -> None:
    text, sizes = drawn
    note(text)
    status, problem = compare("polyhedral", example(text, sizes))
    assert not problem, status


# Programs found by the tests above, or by thinking of them

INTERESTING = {
    "a claim about members with two equal indices says nothing of the others": (
        False,
        """
program repeated(n = 2)
input x[n, n]
axes (h < n)
cipher P[a < n, b < n] = x[a, h]
claim P[q, q] == x[q, h]
Y[a < n] = P[0, a] * 1
output y[a, h] = Y[a]
prove y == x
""",
    ),
    "and what it says of them is of use": (
        True,
        """
program repeated(n = 2)
input x[n, n]
axes (h < n)
cipher P[a < n, b < n] = x[a, h]
claim P[q, q] == x[q, h]
Y[a < n] = P[a, 0] * 1
output y[a, h] = Y[a]
prove y == x
""",
    ),
    "an index of a claim made of its bare names is not made of the names of a caller": (
        False,
        """
program capture(n = 2)
input x[n, n]
axes (h < n)
cipher P[a < n, b < n] = x[b, h]
claim P[q, 1 - q] == x[1 - q, h]
Y[q < n] = P[1 - q, 1 - q] * 1
output y[q, h] = Y[q]
prove y == x
""",
    ),
    "a claim may compare a vector with itself": (
        True,
        """
program period(n = 2)
input x[n]
axes (h < 2 * n)
cipher X = x[h % n]
claim X == X << n
Y = X << n
output y[h] = Y
prove y == x
""",
    ),
    "a claim may speak of what is computed from its family": (
        True,
        """
program later(n = 2)
input x[n]
axes (h < n)
cipher X = x[h]
Z = X * 2
claim X == 1/2 * Z
Y = X + X
output y[h] = Y
prove y == 2 * x
""",
    ),
}


@pytest.mark.parametrize("name", INTERESTING)
@pytest.mark.parametrize("method", METHODS)
def test_interesting(method: str, name: str) -> None:
    right, text = INTERESTING[name]
    found = example(text, {})
    assert found.judged.correct == right
    status, problem = judged_by(method, found)
    assert not problem, status
    assert method == "random" or status == ("proved" if right else "refuted")


# The oracle itself: what each construct means, told by small programs that are right and wrong


def judged(statements: str) -> oracle.Judgement:
    text = f"program small(n = 4)\ninput x[n]\naxes (h < n)\ncipher X = x[h]\n{statements}\n"
    return oracle.judge(parse(Source("small", text)), {})


def claims(*statements: str) -> list[bool]:
    return judged("\n".join(statements) + "\noutput y[h] = X\nprove y == x").claims


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("claim X << 1 == x[h]", None),
        ("claim X == 2 * x[h] - x[h]", "claim X == x[0]"),
        ("claim X == x[h] + 1i * 0", "claim X == conj (1i * x[h])"),
        ("claim X == x[0] where h == 0", "claim X == x[0] where h <= 1"),
        ("claim X == x[h] * [0 <= h < 4]", "claim X == x[h] * [0 < h < 4]"),
        ("claim X == [h < 2] * X + X * [not h < 2]", "claim X == [h < 2 or h == 3] * X"),
        ("claim X == x[h + 0] else 0", "claim X == x[h + 1] else 0"),
        ("claim X == sum q < 2: 0.5 * x[h]", "claim X == sum q < 2: x[h]"),
        ("claim X == X / 2 + 1/2 * X", "claim X == n * X"),
        ("claim X == (x + 2 * x - x / 1/2)[h] - x[h] + 1/2 * x[h]", None),
    ],
)
def test_oracle_claims(right: str, wrong: str | None) -> None:
    if wrong is not None:
        assert claims(right, wrong) == [True, False]


@pytest.mark.parametrize(
    ("define", "claim"),
    [
        ("Z = X << 1", "x[(h + 1) % 4]"),
        ("Z = X >> 1", "x[(h - 1) % 4]"),
        ("Z = X << 5", "x[(h + 1) % 4]"),
        ("perm p: slot -> (slot + 1) % 4\nZ = permute(X, p)", "x[(h - 1) % 4]"),
        ("perm p: slot -> (slot + 1) % 4\nZ = permute(X, inverse(p))", "x[(h + 1) % 4]"),
        ("perm p: cycles (0, 1, 2)\nZ = permute(X, p)", "[h < 3] * x[(h - 1) % 3] + [h == 3] * x[3]"),
        ("axes (a < 2, b < 2)\nperm p: (a, b) -> (b, 1 - a)\nZ = permute(X, p)", "x[2 * (1 - b) + a]"),
        ("Z = 1/2 * (1i * X - conj (1i * X))", "1i * x[h]"),
        ("weight A[i < 4, j < 4] sparse where i == j\nZ = X * A[h, 0]", "[h == 0] * A[0, 0] * x[0]"),
        ("weight A[2, n]\nscalar s\nZ = X * (s * A[1, h])", "(2 * s * A / 2)[1, h] * (x[h] + 0)"),
        ("weight A[n, n]\nZ = sum q < n by horner: (X << q) * A[(h + q) % n, h]", "(x @ A)[h]"),
        ("weight A[n, n]\nZ = sum q < n: (X << q) * A[h, (h + q) % n]", "(A.T.T @ x)[h]"),
        ("Z = X * X * conj X", "x[h] * x[h] * x[h]"),
    ],
)
def test_oracle_values(define: str, claim: str) -> None:
    assert claims(define, f"claim Z == {claim}", f"claim Z == {claim} + [h == 3]") == [True, False]


@pytest.mark.parametrize(
    ("right", "outputs"),
    [
        (True, "output y[h] = X\nprove y == x"),
        (True, "output y[h] = re X\nprove y == x"),
        (False, "output y[h] = im X\nprove y == x"),
        (True, "Z = -1i * X\noutput y[h] = im Z\nprove y == -x"),
        (False, "Z = X + 1i * X\noutput y[h] = Z\nprove y == x"),
        (True, "output y[h] = X where h < 2\noutput y[h] = X where h >= 2\nprove y == x"),
        (False, "output y[h] = X where h < 2\nprove y == x"),
        (False, "output y[h] = X\noutput y[h] = X where h < 2\nprove y == x"),
        (False, "Z[q < 2] = X\noutput y[h] = Z[q]\nprove y == x"),
        (True, "Z[q < 2] = X << q\noutput y[(h + q) % 4] = Z[q] where h % 2 == 0\nprove y == x"),
        (True, "Z = X << 1\noutput y[h + 1] = Z\noutput y[h - 3] = Z\nprove y == x"),
        (False, "output y[h] = X\nprove y == x\nZ = X << 1\noutput z[h] = Z\nprove z == x"),
        (False, "claim X == x[0]\noutput y[h] = X\nprove y == x"),
    ],
)
def test_oracle_outputs(right: bool, outputs: str) -> None:
    assert judged(outputs).correct == right


@pytest.mark.parametrize(
    "statement",
    ["claim X == x[h + 1]", "let m = n / 3", "require n < 4", "perm p: slot -> slot // 2", "axes (a < 3)"],
)
def test_oracle_refuses_what_means_nothing(statement: str) -> None:
    with pytest.raises(oracle.Invalid):
        judged(f"{statement}\noutput y[h] = X\nprove y == x")


def test_oracle_engines_agree() -> None:
    small = sorted((len(random_example(seed)[0]), seed) for seed in SEEDS)[:8]
    for _, seed in small:
        text, sizes, found = random_example(seed)
        again = oracle.judge(parse(Source("again", text)), sizes, engine="sympy")
        assert (again.correct, again.claims) == (found.judged.correct, found.judged.claims), text
        assert again.wrong == found.judged.wrong
