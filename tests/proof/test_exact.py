"""The exact method against the brute-force oracle and the polyhedral method; its polynomials against plain dicts.

The oracle works on the syntax tree, slot by slot, and shares no code with what is tested. Every refutation here is
checked against it: the slot is wrong, and the monomial has there, and should have, just the coefficients reported.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import reduce
from random import Random

import numpy as np
import oracle
import pytest
from amounts import examples
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from repository import bind_text, program_text

from slotlang.graph.graph import Graph, Node
from slotlang.graph.unroll import unroll
from slotlang.meaning.program import Claim, Program
from slotlang.proof import coverage, exact, polynomials
from slotlang.proof.coverage import covered_exact
from slotlang.proof.exact import prove_exact
from slotlang.proof.polyhedral import Polyhedral
from slotlang.proof.polynomial_ring import PolynomialRing
from slotlang.proof.polynomials import ONE, ZERO, Polynomials
from slotlang.proof.verdict import Goal, Outcome, Uncovered, Wrong
from slotlang.refusals import GaveUp
from slotlang.schedule.build import schedule
from slotlang.source import Source
from slotlang.syntax.parser import parse

EXAMPLE = program_text("rank_complex")
TINY = {"d": 16, "r": 4, "batch": 2, "slots": 16}
SMALL = {"d": 64, "r": 8, "batch": 2, "slots": 32}


@dataclass
class Case:
    """A program with the exact method's answers and the oracle's."""

    program: Program
    graph: Graph
    goals: list[Goal]
    outcomes: list[Outcome]
    judged: oracle.Judgement

    @property
    def statuses(self) -> list[str]:
        return [outcome.status for outcome in self.outcomes]


def goals_of(program: Program) -> list[Goal]:
    claims = [Goal(step, f"claim {step.family}") for step in program.steps if isinstance(step, Claim)]
    return claims + [Goal(output, f"output {output.name}") for output in program.outputs]


def built(text: str, sizes: Mapping[str, int] | None = None) -> tuple[Program, Graph, list[Goal]]:
    program = bind_text(text, dict(sizes or {}))
    return program, unroll(schedule(program)), goals_of(program)


def case(text: str, sizes: Mapping[str, int] | None = None) -> Case:
    """Both opinions on a program, which must agree on every goal and every element."""
    program, graph, goals = built(text, sizes)
    judged = oracle.judge(parse(Source("test", text)), sizes or {})
    outcomes = prove_exact(graph, goals)
    places = {line for line, _, _ in judged.wrong}
    for goal, outcome in zip(goals, outcomes, strict=True):
        assert outcome.status == ("refuted" if goal.span.line in places else "proved"), (goal.what, outcome, text)
        if outcome.failure is not None:
            check_wrong(outcome.failure, goal, judged)
    for name, elements in judged.outputs.items():
        once = all(len(values) == 1 for values in elements.values())
        assert covered_exact(program, name).status == ("proved" if once else "refuted")
    return Case(program, graph, goals, outcomes, judged)


def check_wrong(failure: object, goal: Goal, judged: oracle.Judgement) -> None:
    assert isinstance(failure, Wrong)
    assert failure.goal is goal
    assert failure.monomial is not None and failure.holds != failure.should
    scalars, reads = failure.monomial
    assert list(scalars) == sorted(scalars) and list(reads) == sorted(reads)
    names = [*scalars, *(f"{tensor}[{','.join(map(str, indices))}]" for tensor, indices in reads)]
    actual, expected = judged.wrong[goal.span.line, tuple(sorted(failure.binders.items())), failure.slot]
    key = tuple(sorted(names))
    assert failure.holds == actual.get(key, (0, 0))
    assert failure.should == expected.get(key, (0, 0))


def edited(old: str, new: str, text: str = EXAMPLE) -> str:
    assert text.count(old) == 1, old
    return text.replace(old, new)


def without_claims(text: str = EXAMPLE) -> str:
    return "\n".join(line for line in text.split("\n") if not line.startswith("claim"))


# The example


@pytest.mark.parametrize(
    "sizes",
    [
        {"d": 4, "r": 2, "batch": 1, "slots": 4},
        TINY,
        {"d": 24, "r": 6, "batch": 2, "slots": 24},
        {"d": 16, "r": 16, "batch": 3, "slots": 24},
    ],
)
@pytest.mark.parametrize("change", [lambda text: text, without_claims], ids=["claimed", "unclaimed"])
def test_example_is_proved(sizes: dict[str, int], change: Callable[[str], str]) -> None:
    assert set(case(change(EXAMPLE), sizes).statuses) == {"proved"}


@pytest.mark.parametrize("how", ["", "by tree", "by bsgs(2)", "by horner"])
def test_every_way_to_add_up(how: str) -> None:
    text = edited("sum q < R: (S << q*batch) * V[q, c]", f"sum q < R {how}: (S << q*batch) * V[q, c]")
    if how == "by horner":
        text = edited("T = sum q < R by horner:", "T = sum q < R:", EXAMPLE)
    assert case(text, {"d": 16, "r": 8, "batch": 2, "slots": 16}).statuses == ["proved", "proved"]


@pytest.mark.parametrize("sizes", [{"d": 1024}, pytest.param({}, marks=pytest.mark.slow)])
def test_example_at_real_size(sizes: dict[str, int]) -> None:
    _, graph, goals = built(EXAMPLE, sizes)
    start = time.process_time()
    assert [o.status for o in prove_exact(graph, goals)] == ["proved", "proved"]
    assert time.process_time() - start < 30


WRONG = [
    ("P[q] << q*batch", "P[q] << (q + 1)*batch", 0),
    ("P[q] << q*batch", "P[q] >> q*batch", 0),
    ("by doubling: T << f*R*batch", "by doubling: T << f*batch", 0),
    ("sum f < C/R by doubling", "sum f < C/R - 1 by doubling", 0),
    ("+ 1i * B[(h - q) % R + R, c*C + h]", "- 1i * B[(h - q) % R + R, c*C + h]", 0),
    ("= B[(h - q) % R, c*C + h]", "= B[(h + q) % R, c*C + h]", 0),
    ("(B @ x)[h % R, t] +", "(B @ x)[(h + 1) % R, t] +", 0),
    ("X[c] * W[q, c]", "conj X[c] * W[q, c] + X[c] * [h == 1]", 0),
    ("+ 1i * (B @ x)[h % R + R, t]", "+ 1/2 * 1i * (B @ x)[h % R + R, t]", 0),
    ("(S << q*batch) * V[q, c]", "(S << q*batch) * V[q, 0]", 1),
    ("(S << q*batch) * V[q, c]", "(S >> q*batch) * V[q, c]", 1),
    ("(S << q*batch) * V[q, c]", "conj (S << q*batch) * V[q, c]", 1),
    ("- 1i * A[c*C + h, (h + q) % R + R]", "+ 1i * A[c*C + h, (h + q) % R + R]", 1),
    ("A[c*C + h, (h + q) % R] -", "A[c*C + h, (h + q) % (R - 1)] -", 1),
    ("scale * (A[", "1/3 * scale * (A[", 1),
    ("= re Y[c]", "= im Y[c]", 1),
    ("= re Y[c]", "= Y[c]", 1),
    ("prove  y == scale * A @ B @ x", "prove  y == scale * A @ B @ x - 0.001 * x", 1),
]


@pytest.mark.parametrize(("old", "new", "first"), WRONG)
def test_wrong_edits_are_refuted(old: str, new: str, first: int) -> None:
    found = case(edited(old, new), {"d": 12, "r": 6, "batch": 2, "slots": 12})
    assert found.statuses.index("refuted") == first
    assert isinstance(found.outcomes[first].failure, Wrong)


def test_it_is_the_graph_that_is_proved() -> None:
    """A graph that does not do what the program says is refuted."""
    _, graph, goals = built(EXAMPLE, TINY)
    changes = 0
    for number, node in enumerate(graph.nodes):
        changed = {"rotate": node._replace(step=node.step + 1), "sum": node._replace(signs=(-1, *node.signs[1:]))}
        if node.kind in changed:
            graph.nodes[number] = changed[node.kind]
            assert "refuted" in {o.status for o in prove_exact(graph, goals)}
            graph.nodes[number] = node
            changes += 1
    assert changes > 10
    assert [o.status for o in prove_exact(graph, goals)] == ["proved", "proved"]


def test_every_kind_of_node() -> None:
    """Nodes that no schedule of these tests has: a rescale, and the negative of one vector."""
    _, graph, goals = built(
        "program p(n = 3)\ninput x[n]\naxes (h < n)\ncipher X = x[h]\noutput y[h] = X\nprove y == x"
    )
    assert [n.kind for n in graph.nodes] == ["cipher"]
    graph.nodes += [Node("rescale", (0,)), Node("neg", (1,)), Node("sum", (2,), (-1,)), Node("sum", (2,), (1,))]
    for node, status in ((1, "proved"), (2, "refuted"), (3, "proved"), (4, "refuted")):
        graph.values["X", ()] = node
        assert [o.status for o in prove_exact(graph, goals)] == [status]


# Agreement with the polyhedral method


@st.composite
def edits(draw: st.DrawFn) -> str:
    """A small program whose shifts, moduli, conjugates and signs are drawn, right ones more often than not."""

    def pick(right: str, *others: str) -> str:
        return draw(st.sampled_from([right] * 8 + list(others)))

    shift, back = pick("q*t", "q", "q*t + 1", "(q + 1)*t"), pick("<<", ">>")
    return f"""
program edited(n = 4, r = 2, t = 2)
let C = {pick("n", "n + 2")}
input x[n, t]
weight B[r, n], A[n, r]
axes (h < C, k < t)
cipher X = x[h, k] else 0
plain W[q < r] = B[(h {pick("-", "+")} q) % {pick("r", "n")} % r, h % n] {pick("", "* [h < n]", "* [h > 0]", "* 1i")}
S = sum q < r: {pick("", "-", "conj ")}(X * W[q] {back} {shift})
U = sum f < {pick("C // r", "C // r + 1", "1")}: S << {pick("f*r*t", "f*t", "f")}
claim U == {pick("", "-")}(B @ x)[{pick("h % r", "(h + 1) % r", "0")}, k]{pick("", " where h < r", " where h != 1")}
plain V[q < r] = [h < n] * A[h % n, (h + q) % r]
Y = {pick("", "1/2 * ", "1i * ")}(sum q < r: {pick("", "conj ")}(U {back} q*t) * V[q])
output y[{pick("h", "C - 1 - h")}, k] = {pick("", "re ", "im ")}Y{pick("", " where h < n", " where h > 0")}
prove y == {pick("", "-", "1/2 * ")}A @ B @ x
"""


@examples(100, suppress_health_check=list(HealthCheck))
@given(edits(), st.sampled_from([{}, {"n": 6, "r": 3, "t": 1}, {"n": 4, "r": 4, "t": 1}]))
def test_agrees_with_the_polyhedral_method(text: str, sizes: dict[str, int]) -> None:
    note(text)
    found = case(text, sizes)
    method = Polyhedral(found.program)
    for goal, outcome in zip(found.goals, found.outcomes, strict=True):
        other = method.prove(goal)
        assert other.status in (outcome.status, "unknown")
    other = method.covered("y")
    assert other.status == covered_exact(found.program, "y").status


def test_the_drawn_programs_are_right_and_wrong() -> None:
    seen: set[tuple[str, ...]] = set()

    @settings(deadline=None, max_examples=40, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(edits())
    def collect(text: str) -> None:
        _, graph, goals = built(text)
        seen.add(tuple(o.status for o in prove_exact(graph, goals)))

    collect()
    assert {("proved", "proved"), ("proved", "refuted"), ("refuted", "refuted")} <= seen


# Claims


def small(statements: str, header: str = "program small(n = 4)") -> str:
    return (
        f"{header}\ninput x[n], z[n]\nweight A[n, n], B[n, n], b[n]\nscalar s\naxes (h < n)\n"
        f"cipher X = x[h]\ncipher Z = z[h]\nplain D[q < n] = B[h, (h + q) % n]\nplain E[q < n] = A[h, (h + q) % n]\n"
        f"S = sum q < n: (X << q) * D[q]\n{statements}\n"
    )


CLAIMS = {
    "constant members": (
        "P[i < 3] = X << i\nclaim P[1] == x[(h + 1) % n]\nclaim P[2] == x[(h + 1) % n]\nclaim P[0] == x[h]\n"
        "output y[h] = P[0]\nprove y == x",
        ["proved", "refuted", "proved", "proved"],
    ),
    "a member named by an expression": (
        "P[i < 3, j < 3] = X << i + 2*j\nclaim P[i, 2 - i] == x[(h - i) % n]\nclaim P[i, 2 - i] == x[(h + i) % n]\n"
        "claim P[1, j] == x[(h + 1 + j) % n]\nclaim P[1 + 1, j] == x[(h + 2 + j) % n]\n"
        "output y[h] = P[0, 0]\nprove y == x",
        ["proved", "refuted", "refuted", "refuted", "proved"],
    ),
    "where": (
        "claim S == (B @ x)[0] where h == 0\nclaim S == (B @ x)[1] where h < 2\n"
        "Y = sum q < n: (S << q) * E[q]\noutput y[h] = Y\nprove y == A @ B @ x",
        ["proved", "refuted", "proved"],
    ),
    "where nothing holds": (
        "claim S == z[h] where h < 0\noutput y[h] = S\nprove y == B @ x",
        ["proved", "proved"],
    ),
    "half a cut": (
        "claim S == (B @ x)[h] where h < 2\nY = sum q < n: (S << q) * E[q]\noutput y[h] = Y\nprove y == A @ B @ x",
        ["proved", "proved"],
    ),
    "a false claim is not used": (
        "claim S == (B @ z)[h]\nY = sum q < n: (S << q) * E[q]\noutput y[h] = Y\nprove y == A @ B @ x",
        ["refuted", "proved"],
    ),
    "a false claim does not help": (
        "claim S == (B @ z)[h]\nY = sum q < n: (S << q) * E[q]\noutput y[h] = Y\nprove y == A @ B @ z",
        ["refuted", "refuted"],
    ),
    "a claim false at one slot does not help at others": (
        "M = S * [h < 3]\nclaim M == (B @ x)[h]\noutput y[h] = M\nprove y == B @ x",
        ["refuted", "refuted"],
    ),
    "two claims about one member": (
        "claim S == (B @ x)[h]\nclaim S == sum k < n: B[h, k] * x[k]\nclaim S == sum k < n: B[h, k] * x[0]\n"
        "output y[h] = S\nprove y == B @ x",
        ["proved", "proved", "refuted", "proved"],
    ),
    "opaque on one side only": (
        "claim S == (B @ x)[h]\nM = S - X * b[h]\nclaim M == (sum k < n: B[h, k] * x[k]) - b[h] * x[h]\n"
        "N = M + X * b[h]\noutput y[h] = N\nprove y == B @ x",
        ["proved", "proved", "proved"],
    ),
    "opaque in a product": (
        "claim S == (B @ x)[h]\nN = S * S\nclaim N == (B @ x)[h] * (sum k < n: B[h, k] * x[k])\n"
        "claim N == (B @ x)[h] * (B @ z)[h]\noutput y[h] = S\nprove y == B @ x",
        ["proved", "proved", "refuted", "proved"],
    ),
    "the longest chain": (
        "claim S == (B @ x)[h]\nY = sum q < n: (S << q) * E[q]\nclaim Y == (A @ B @ x)[h]\n"
        "U = sum q < n: (Y << q) * D[q]\noutput y[h] = U\nprove y == B @ A @ B @ x",
        ["proved", "proved", "proved"],
    ),
    "a chain claimed transposed": (
        "claim S == (x @ B.T)[h]\nY = sum q < n: (S << q) * E[q]\noutput y[h] = Y\nprove y == A @ B @ x",
        ["proved", "proved"],
    ),
    "a sum of chains": (
        "M = S + Z\nclaim M == (1/2 * B @ x + z + 0.5 * B @ x)[h]\nY = sum q < n: (M << q) * E[q]\n"
        "output y[h] = Y\nprove y == A @ B @ x + A @ z",
        ["proved", "proved"],
    ),
    "claims about families the output does not need": (
        "M = S * 2\nN[i < 2] = M << i\nclaim N[i] == 2 * (B @ x)[(h + i) % n]\nclaim N[i] == 2 * (B @ x)[h]\n"
        "output y[h] = S\nprove y == B @ x",
        ["proved", "refuted", "proved"],
    ),
    "a claim that refers to families": (
        "M = S + X\nclaim M == S + X\nclaim M == S + X << 4\nclaim M == S + X << 3\nclaim S == M - X\n"
        "claim S == M + X\noutput y[h] = M\nprove y == B @ x + x",
        ["proved", "proved", "refuted", "proved", "refuted", "proved"],
    ),
    "a claim about what the client packs": (
        "claim X == x[h]\nclaim Z == x[h]\noutput y[h] = Z\nprove y == z",
        ["proved", "refuted", "proved"],
    ),
    "a claim about plaintexts": (
        "claim D[0] == B[h, h]\nclaim E[1] == A[h, h]\noutput y[h] = S\nprove y == B @ x",
        ["proved", "refuted", "proved"],
    ),
}


@pytest.mark.parametrize("name", CLAIMS)
def test_claims(name: str) -> None:
    statements, statuses = CLAIMS[name]
    assert case(small(statements)).statuses == statuses


def test_a_claim_with_members_right_and_wrong() -> None:
    text = "P[i < 3] = X << i*i\nclaim P[i] == x[(h + i) % n]\noutput y[(h + 1) % n] = P[1]\nprove y == x"
    found = case(small(text))
    assert found.statuses == ["refuted", "proved"]
    failure = found.outcomes[0].failure
    assert isinstance(failure, Wrong) and failure.binders == {"i": 2}


def test_chains_of_definitions_are_evaluated_once() -> None:
    chain = "\n".join(f"Q{k} = Q{k - 1} + (Q{k - 1} << 1) - Q{k - 1}" for k in range(1, 25))
    found = case(small(f"Q0 = X * 1\n{chain}\nclaim Q24 == x[(h + 24) % n]\noutput y[h] = X\nprove y == x"))
    assert found.statuses == ["proved", "proved"]


def test_after_a_claim_nothing_is_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cut works: the output is compared in atoms of B @ x, however the chain was claimed."""

    def never(*_: object) -> int:
        raise AssertionError("expanded")

    monkeypatch.setattr(PolynomialRing, "expanded", never)
    for chain in ("(B @ x)[h]", "(x @ B.T)[h]"):
        _, graph, goals = built(
            small(f"claim S == {chain}\nY = sum q < n: (S << q) * E[q]\noutput y[h] = Y\nprove y == A @ B @ x")
        )
        assert [o.status for o in prove_exact(graph, goals)] == ["proved", "proved"]


def terms_needed(text: str, sizes: Mapping[str, int]) -> int:
    _, graph, goals = built(text, sizes)
    prover = exact._Prover(graph, goals)
    assert {o.status for o in prover.run()} == {"proved"}
    return prover.ring.polynomials._work


def test_a_claim_saves_work() -> None:
    sizes = {"d": 128, "r": 8, "batch": 2, "slots": 128}
    assert 4 * terms_needed(EXAMPLE, sizes) < terms_needed(without_claims(), sizes)


def test_an_element_in_a_definition_is_opaque_too() -> None:
    text = """
program dense(n = 4)
input x[n]
weight A[n, n], B[n, n]
axes (h < n)
cipher X = x[h]
Y = sum q < n: (X << q) * (A @ B)[h, (h + q) % n]
output y[h] = Y
prove y == A @ B @ x
"""
    assert case(text).statuses == ["proved"]
    assert case(edited("prove y == A @ B @ x", "prove y == B @ A @ x", text)).statuses == ["refuted"]
    turned = edited("(A @ B)[h, (h + q) % n]", "(B.T @ A.T)[(h + q) % n, h]", text)
    assert case(turned).statuses == ["proved"]
    by_hand = edited("(A @ B)[h, (h + q) % n]", "(sum k < n: A[h, k] * B[k, (h + q) % n])", text)
    assert case(by_hand).statuses == ["proved"]


# Everything a vector can be


PROGRAMS = {
    "cycles": (
        "perm p: cycles (0, 2, 3), (1, 4)\nM = permute(X, p)\n"
        "claim M == x[3] where h == 0\nclaim M == x[4] where h == 1\nclaim M == x[3] where h == 2\n"
        "N = permute(M, inverse(p))\noutput y[h] = N\nprove y == x",
        ["proved", "proved", "refuted", "proved"],
    ),
    "a table": (
        "perm p: slot -> 2*slot % n\nM = permute(permute(permute(permute(X, p), p), p), p) + 0 * Z\n"
        "N = permute(X, p)\nclaim N == x[3*h % n]\nclaim N == x[2*h % n]\noutput y[h] = M\nprove y == x",
        ["proved", "refuted", "proved"],
    ),
    "products": (
        "M = X * Z * X\nclaim M == Z * (X * X)\nclaim M == X * Z * Z\nN = (X + Z) * (X - Z)\n"
        "claim N == X * X - Z * Z\nclaim N == X * X + Z * Z\noutput y[h] = X\nprove y == x",
        ["proved", "refuted", "proved", "refuted", "proved"],
    ),
    "high powers": (
        "M = X * X * X * X * X * X * X\nN = (X * X) * (X * X) * (X * X) * X\nclaim M == N\nclaim M == X * X * X * N\n"
        "output y[h] = X\nprove y == x",
        ["proved", "refuted", "proved"],
    ),
    "complex coefficients": (
        "M = (1 + 2i) * X * (3 - 1i)\nclaim M == (5 + 5i) * x[h]\nclaim M == (5 - 5i) * x[h]\n"
        "N = 1/10 * M\noutput y[h] = re N\noutput w[h] = im N\noutput v[h] = N\n"
        "prove y == 1/2 * x\nprove w == 0.5 * x\nprove v == 1/2 * x",
        ["proved", "refuted", "proved", "proved", "refuted"],
    ),
    "conjugates": (
        "M = X + 1i * Z\nN = M * conj M\nclaim N == x[h] * x[h] + z[h] * z[h]\nclaim N == x[h] * x[h] - z[h] * z[h]\n"
        "U = 1/2 * (M + conj M)\nV = -1/2 * 1i * (M - conj M)\noutput y[h] = U\noutput w[h] = V\n"
        "prove y == x\nprove w == z",
        ["proved", "refuted", "proved", "proved"],
    ),
    "large and small constants": (
        "M = 123456789012345678901234567890 * X * 0.000000000000000000000000000001\n"
        "claim M == 0.12345678901234567890123456789 * x[h]\nclaim M == 0.12345678901234567890123456788 * x[h]\n"
        "N = M * 1/3 + M * 2/3 - M + X\noutput y[h] = N\nprove y == x",
        ["proved", "refuted", "proved"],
    ),
    "sums that cancel": (
        "M = sum k < 12: (1/3 - [h < n] * 1/3) * X\nclaim M == 0 * x[h]\nclaim M == [h == 9] * X\nN = X - X + M + Z\n"
        "output y[h] = N\nprove y == z",
        ["proved", "proved", "proved"],
    ),
    "plaintexts added": (
        "M = X - D[0] + s\nN = A[h, 0] - M\nclaim M == x[h] - B[h, h] + s\nclaim N == A[h, 0] - x[h] + B[h, h] - s\n"
        "claim N == A[h, 0] - x[h] - B[h, h] - s\nU = (-N + E[1]) * 2 - 2 * E[1] + 2 * A[h, 0] + 2 * D[0] - (s + s)\n"
        "output y[h] = U\nprove y == 2 * x",
        ["proved", "proved", "refuted", "proved"],
    ),
    "scalars": (
        "M = s * X * s\nclaim M == s * s * x[h]\nclaim M == s * x[h]\noutput y[h] = M\nprove y == s * s * x",
        ["proved", "refuted", "proved"],
    ),
    "digits": (
        "axes (u < 5, v < 1)\nM = X * [u == 2] + (X << 1) * [not u == 2]\n"
        "claim M == x[(h + 1) % n] where u != 2\nclaim M == x[u] where v == 0\n"
        "output y[u] = M where u == 2\noutput y[(u + 1) % n] = M where u != 2\nprove y == x",
        ["proved", "refuted", "proved", "proved"],
    ),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs(name: str) -> None:
    statements, statuses = PROGRAMS[name]
    assert case(small(statements, "program small(n = 5)")).statuses == statuses


SPARSE = """
program sparse_scheme(n = 6)
input x[n]
weight A[i < n, j < n] sparse where i % 2 == j % 2 and not i == j, B[i < n, j < n] sparse where i == j
axes (h < n)
cipher X = x[h]
S = (X << 2) * A[h, (h + 2) % n] + (X << 4) * A[h, (h + 4) % n]
claim S == (A @ x)[h]
U = S * B[h, h]
output y[h] = U
prove y == B @ A @ x
"""


def test_sparse_patterns() -> None:
    assert case(SPARSE).statuses == ["proved", "proved"]
    assert case(edited("and not i == j,", ",", SPARSE)).statuses == ["refuted", "refuted"]
    assert case(edited("sparse where i == j", "", SPARSE)).statuses == ["proved", "refuted"]
    assert case(edited("+ (X << 4) * A[h, (h + 4) % n]", "+ X * A[h, (h + 4) % n]", SPARSE)).statuses[0] == "refuted"
    assert case(
        edited("(X << 4) * A[h, (h + 4) % n]", "(X << 4) * A[h, (h + 4) % n] + X * A[h, h]", SPARSE)
    ).statuses == [
        "proved",
        "proved",
    ]
    # B is diagonal, so B.T is B: not the same chain, and equal all the same
    assert case(edited("prove y == B @ A @ x", "prove y == B.T @ A @ x", SPARSE)).statuses == ["proved", "proved"]
    # (B @ x) is claimed opaque and wanted as (B.T @ x)
    text = SPARSE.replace("claim S == (A @ x)[h]\nU = S * B[h, h]\n", "U = X * B[h, h]\nclaim U == (B @ x)[h]\n")
    assert case(edited("prove y == B @ A @ x", "prove y == B.T @ x", text)).statuses == ["proved", "proved"]


# Coverage

COVERAGE = [
    ("output y[h] = X", True, 0),
    ("output y[n - 1 - h] = X", True, 0),
    ("output y[h] = X where h > 0", False, 0),
    ("output y[h + 1] = X", False, 0),
    ("output y[h // 2] = X", False, 2),
    ("output y[h] = X\noutput y[n - 1 - h] = X where h == 1", False, 2),
    ("output y[h] = X where h < 2\noutput y[h] = X where 2 <= h", True, 0),
    ("output y[h] = X where h < 2\noutput y[h] = X where 3 <= h", False, 0),
    ("P[i < 2] = X\noutput y[h + 2*i] = P[i] where h < 2", True, 0),
    ("P[i < 2] = X\noutput y[h] = P[i]", False, 2),
    ("P[i < 3] = X\noutput y[h * 0] = P[i] where h == 0", False, 3),
]


@pytest.mark.parametrize(("output", "covered", "carriers"), COVERAGE)
def test_coverage(output: str, covered: bool, carriers: int) -> None:
    program, _, _ = built(small(f"{output}\nprove y == x"))
    outcome = covered_exact(program, "y")
    assert (outcome.status == "proved") == covered
    assert Polyhedral(program).covered("y").status == outcome.status
    if covered:
        return
    failure = outcome.failure
    assert isinstance(failure, Uncovered) and failure.output == "y"
    assert len(failure.carriers) == carriers
    assert len({(id(o), *sorted(env.items()), slot) for o, env, slot in failure.carriers}) == carriers
    judged = oracle.judge(program.syntax, {})
    assert len(judged.outputs["y"][failure.element]) == carriers


def test_coverage_of_a_matrix_with_slots_left_over() -> None:
    found = case("program m(n = 3)\ninput x[n, 2]\naxes (h < 4, t < 4)\ncipher X = x[h, t] else 0\n"
                 "output y[h, t] = X\nprove y == x")  # fmt: skip
    assert found.statuses == ["proved"] and found.judged.correct


@pytest.mark.parametrize("limit", ["MAX_ELEMENTS", "MAX_READ", "MAX_SLOTS"])
def test_a_result_too_large_to_count(limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program, graph, goals = built(small("output y[h] = X\nprove y == x"))
    assert covered_exact(program, "y").status == "proved"
    monkeypatch.setattr(coverage, limit, 3)
    if limit == "MAX_SLOTS":
        monkeypatch.setattr(exact, limit, 3)
    outcome = covered_exact(program, "y")
    assert outcome.status == "unknown" and outcome.reason.startswith("output y: 4 ")
    assert prove_exact(graph, goals)[0].status == ("unknown" if limit == "MAX_SLOTS" else "proved")


# Budgets


@pytest.mark.parametrize("sizes", [{}, {"n": 36}])
def test_a_few_slots_are_tried_first(sizes: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """What is wrong everywhere is found where the right values do not fit; what is wrong at one slot is found too."""
    monkeypatch.setattr(exact, "MANY", 8)
    monkeypatch.setattr(exact, "FEW", 2)
    text = small("Y = S - X\noutput y[h] = Y\nprove y == A @ B @ x", "program small(n = 24)")
    assert case(text, sizes).statuses == ["refuted"]
    _, graph, goals = built(text, sizes)
    sizes_met = []
    original = exact._Prover._wrong_at

    def recorded(self: exact._Prover, goal: Goal, env: dict[str, int], held: object, slots: exact.Slots) -> object:
        sizes_met.append(slots.size)
        return original(self, goal, env, held, slots)

    monkeypatch.setattr(exact._Prover, "_wrong_at", recorded)
    assert [o.status for o in prove_exact(graph, goals)] == ["refuted"]
    assert sizes_met == [2]
    one = small("Y = S + X * [h == 5]\noutput y[h] = Y\nprove y == B @ x", "program small(n = 24)")
    assert case(one, sizes).statuses == ["refuted"]
    assert sizes_met == [2, 2, sizes.get("n", 24)]


def test_too_large_is_unknown_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polynomials, "MAX_BYTES", 1_000_000)
    _, graph, goals = built(without_claims(), {"d": 128, "r": 16, "batch": 2, "slots": 128})
    (outcome,) = prove_exact(graph, goals)
    assert (outcome.status, outcome.reason) == ("unknown", "output y: the values take more than 0.0 GB")
    monkeypatch.setattr(polynomials, "MAX_BYTES", 1 << 40)
    monkeypatch.setattr(polynomials, "MAX_WORK", 10_000)
    (outcome,) = prove_exact(graph, goals)
    assert outcome.status == "unknown"
    assert "the exact method computes up to 10,000 terms, and these were not enough" in outcome.reason


def test_what_is_too_large_does_not_spoil_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    power = " * ".join(["M"] * 7)
    text = small(
        f"M = S + Z\nN = {power}\nclaim N == {power}\nU = N * 0 + X\nclaim X == x[h]\nclaim X == z[h]\n"
        "output w[h] = U\noutput y[h] = S\nprove w == x\nprove y == B @ x",
        "program small(n = 8)",
    )
    for limit, statuses in ((2_000_000, ["unknown", "proved", "refuted", "unknown", "proved"]),):
        monkeypatch.setattr(polynomials, "MAX_BYTES", limit)
        _, graph, goals = built(text)
        outcomes = prove_exact(graph, goals)
        assert [o.status for o in outcomes] == statuses
        assert outcomes[0].reason.startswith("claim N: ") and outcomes[3].reason.startswith("output w: ")


def test_a_counterexample_too_large_to_expand_has_a_place(monkeypatch: pytest.MonkeyPatch) -> None:
    _, graph, goals = built(edited("scale * (A[", "(scale + [h == 3]) * (A["), TINY)
    original = PolynomialRing.expanded
    calls = 0

    def once(self: PolynomialRing, number: int) -> int:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise GaveUp("too large")
        return original(self, number)

    monkeypatch.setattr(PolynomialRing, "expanded", once)
    failure = prove_exact(graph, goals)[1].failure
    assert isinstance(failure, Wrong)
    assert (failure.slot // 2, failure.monomial, failure.holds, failure.should) == (3, None, None, None)


def test_giving_up_leaves_everything_as_it_was() -> None:
    _, graph, goals = built(small("M = S * Z\nclaim M == (B @ x)[h] * z[h]\noutput y[h] = S\nprove y == B @ x"))
    prover = exact._Prover(graph, goals)
    product = next(node for node in graph.nodes if node.kind == "mul_plain")
    one = prover.ring.scalar("s")
    lazy = prover.members["lazy", ()] = prover.ring.add(prover.ring.mul(one, one), prover.ring.mul(one, one))
    prover._attempt(lambda: None)
    count, size = prover.ring.polynomials.monomials.count(), prover.ring.polynomials.bytes

    def action() -> None:
        assert prover.ring.ids(lazy).size == 1 and lazy.ids is not None
        prover.member(("M", ()))
        prover._plain(product)
        assert ("M", ()) in prover.members and prover.plains and prover.ring.polynomials.bytes > size
        raise GaveUp("too large")

    with pytest.raises(GaveUp):
        prover._attempt(action)
    assert list(prover.members) == [("lazy", ())] and not prover.plains
    assert lazy.ids is None and [v.factor is not None for _, _, v in lazy.terms] == [True, True]
    assert sum(prover.ring.polynomials.monomials.count()) == sum(count)
    assert prover.ring.polynomials.bytes == size
    assert [o.status for o in prover.run()] == ["proved", "proved"]


def test_definitions_outside_the_graph_read_what_nodes_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    defined = []
    original = exact._Prover._defined

    def recorded(self: exact._Prover, key: exact.Key) -> object:
        defined.append(key[0])
        return original(self, key)

    monkeypatch.setattr(exact._Prover, "_defined", recorded)
    statements = "M = S * 2\nclaim M == 2 * (B @ x)[h]\nN = M + S\nclaim N == 3 * S\noutput y[h] = S\nprove y == B @ x"
    _, graph, goals = built(small(statements))
    prover = exact._Prover(graph, goals)
    assert [o.status for o in prover.run()] == ["proved", "proved", "proved"]
    assert sorted(defined) == ["M", "N", "X"]
    # and a claim about one of them cuts it
    assert prover.ring.chains_in(prover.ring.ids(prover.members["M", ()]))


def test_memory_is_swept(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a budget that holds what is alive and not all that ever was, the proof goes through."""
    _, graph, goals = built(EXAMPLE, {"d": 256, "r": 16, "batch": 2, "slots": 128})
    prover = exact._Prover(graph, goals)
    assert {o.status for o in prover.run()} == {"proved"}
    needed = prover.ring.polynomials.bytes
    swept = 0
    original = Polynomials.keep

    def counted(self: Polynomials, vectors: Iterable[polynomials.Ids]) -> None:
        nonlocal swept
        swept += 1
        original(self, vectors)

    monkeypatch.setattr(Polynomials, "keep", counted)
    monkeypatch.setattr(polynomials, "MAX_BYTES", needed * 9 // 10)
    monkeypatch.setattr(exact, "MAX_BYTES", needed * 9 // 10)
    assert [o.status for o in prove_exact(graph, goals)] == ["proved", "proved"]
    assert swept > 0


# Polynomials against dicts

Dict = dict[tuple[int, ...], tuple[Fraction, Fraction]]


def plus(a: Dict, b: Dict, sign: int = 1) -> Dict:
    result = dict(a)
    for monomial, (re, im) in b.items():
        x, y = result.get(monomial, (Fraction(0), Fraction(0)))
        result[monomial] = (x + sign * re, y + sign * im)
    return {m: c for m, c in result.items() if c != (0, 0)}


def times(a: Dict, b: Dict) -> Dict:
    result: Dict = {}
    for m, (x, y) in a.items():
        for n, (u, v) in b.items():
            result = plus(result, {tuple(sorted(m + n)): (x * u - y * v, x * v + y * u)})
    return result


def stored(store: Polynomials, value: Dict) -> int:
    total = ZERO
    for monomial, (re, im) in value.items():
        term = np.array([store.constant(re, im)])
        for atom in monomial:
            term = store.total([(1, term, store.atoms(np.array([atom])))])
        total = int(store.total([(1, np.array([total]), None), (1, term, None)])[0])
    return total


def read(store: Polynomials, number: int) -> Dict:
    _, keys, _ = store.entries(np.array([number]))
    result = {}
    for monomial in {key >> 1 for key in keys.tolist()}:
        atoms = tuple(store.monomials.atoms(np.array([monomial])).ravel().tolist())
        result[atoms] = store.coefficient(number, monomial)
    return result


numbers = st.one_of(
    st.integers(-3, 3),
    st.sampled_from([2**39, -(2**40), 2**40 - 1, 2**61, 10**30]),
    st.fractions(max_denominator=10**12),
).map(Fraction)
dicts = st.dictionaries(
    st.lists(st.integers(0, 4) | st.just(2**31 - 1), max_size=4).map(lambda m: tuple(sorted(m))),
    st.tuples(numbers, numbers).filter(lambda c: c != (0, 0)),
    max_size=4,
)


@examples(150, share=6)
@given(st.lists(dicts, min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_polynomials_are_dicts(values: list[Dict], random: Random) -> None:
    store = Polynomials()
    ids = np.array([stored(store, v) for v in values])
    for number, value in zip(ids.tolist(), values, strict=True):
        assert read(store, number) == value
    a, b, c = (np.array([random.randrange(len(values)) for _ in range(6)]) for _ in range(3))
    found = store.total([(1, ids[a], ids[b]), (-1, ids[c], None), (-1, ids[b], ids[c]), (1, ids[:1], None)])
    for slot, number in enumerate(found.tolist()):
        p, q, r = values[a[slot]], values[b[slot]], values[c[slot]]
        wanted = plus(plus(plus(times(p, q), r, -1), times(q, r), -1), values[0])
        assert read(store, number) == wanted
        assert stored(store, wanted) == number
    for name, change in (
        ("conj", lambda x, y: (x, -y)),
        ("re", lambda x, y: (x, Fraction(0))),
        ("im", lambda x, y: (y, Fraction(0))),
    ):
        mapped = store.conj(ids) if name == "conj" else store.part(ids, name)
        for number, value in zip(mapped.tolist(), values, strict=True):
            assert read(store, number) == plus({}, {m: change(*z) for m, z in value.items()})


def test_zero_one_and_nothing() -> None:
    store = Polynomials()
    assert (read(store, ZERO), read(store, ONE)) == ({}, {(): (1, 0)})
    assert store.constant(Fraction(0), Fraction(0)) == ZERO and store.constant(Fraction(1), Fraction(0)) == ONE
    assert store.atoms(np.array([-1, 3, -1])).tolist()[::2] == [ZERO, ZERO]
    none = np.zeros(0, np.int64)
    assert store.total([(1, none, None), (-1, none, none)]).size == 0


def test_chunks_do_not_change_results(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("_CHUNK", 7), ("_MAX_ROWS", 3)):
        monkeypatch.setattr(polynomials, name, value)
        assert case(EXAMPLE, TINY).statuses == ["proved", "proved"]
        assert case(edited("by doubling: T << f*R*batch", "by doubling: T << f*batch"), TINY).statuses[0] == "refuted"


def test_a_value_with_too_many_terms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polynomials, "_MAX_ROW", 3)
    _, graph, goals = built(small("output y[h] = S\nprove y == B @ x"))
    assert prove_exact(graph, goals)[0].reason == "output y: a single value has up to 4 terms"


def test_a_product_of_too_many_factors() -> None:
    store = Polynomials()
    atom = store.atoms(np.array([1]))
    power = reduce(lambda p, _: store.total([(1, p, p)]), range(7), atom)
    assert read(store, int(power[0])) == {(1,) * 128: (1, 0)}
    with pytest.raises(GaveUp, match="255 factors"):
        store.total([(1, power, power)])


def test_forgotten_polynomials_come_back() -> None:
    store = Polynomials()
    a, b, c = (store.atoms(np.array([n])) for n in range(3))
    ab = store.total([(1, a, b)])
    count, size = store.monomials.count(), store.bytes
    abc = store.total([(1, ab, c), (1, a, None)])
    assert store.bytes > size
    store.keep((a, b, c, ab))
    store.monomials.forget(count)
    assert store.bytes <= size
    with pytest.raises(KeyError):
        store.entries(abc)
    other = store.total([(1, store.total([(1, b, b)]), c), (1, a, None)])
    assert read(store, int(other[0])) == {(1, 1, 2): (1, 0), (0,): (1, 0)}
    again = store.total([(1, store.total([(1, b, c)]), a), (1, a, None)])
    assert read(store, int(again[0])) == {(0, 1, 2): (1, 0), (0,): (1, 0)}
    assert int(again[0]) == int(store.total([(1, ab, c), (1, a, None)])[0])


def test_goals_may_be_left_out_and_repeated() -> None:
    _, graph, goals = built(EXAMPLE, TINY)
    assert [o.status for o in prove_exact(graph, goals[1:])] == ["proved"]
    assert [o.status for o in prove_exact(graph, [goals[1], goals[0], goals[0]])] == ["proved"] * 3
    assert prove_exact(graph, []) == []
    false = replace(goals[0], what="again")
    assert [o.status for o in prove_exact(graph, [false])] == ["proved"]
