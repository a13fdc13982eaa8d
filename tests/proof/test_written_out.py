"""Choices, families that read themselves, swizzles, functions of integers: by every method, against the oracle."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random

import oracle
import pytest
from amounts import drawn, one_in, some
from repository import bind_text
from small_programs import case

from slotlang import api, recheck
from slotlang.cost.counts import count
from slotlang.diagnostics import SlotError
from slotlang.graph.unroll import unroll
from slotlang.meaning.bind import bind
from slotlang.meaning.program import Claim
from slotlang.mutation.mutants import mutants
from slotlang.proof.certificate import certificate
from slotlang.proof.check import METHODS, Checker, check
from slotlang.proof.claim_inference import propose, with_claims
from slotlang.proof.forall.check import check_for_all
from slotlang.schedule.build import EVERY, schedule
from slotlang.show.content import resolve
from slotlang.show.shown import shown
from slotlang.source import Source
from slotlang.syntax.formatter import format_program
from slotlang.syntax.parser import parse

CONDITIONAL = """program conditional(n = 16, m = 8)
let big = n if n > m else m
let lg = log2(n)
let p = 2 ** 3
let q = min(n, m)
input x[n]
axes (h < n)
cipher X = x[h]
output y[h] = X
prove y == x
"""
WINDOWS = """program windows(n = 8, steps = 4)
input x[n]
axes (h < n)
cipher X = x[h]
S[k < steps] = (X if k == 0 else S[k - 1] + (S[k - 1] << 2**(k - 1)))
claim S[0] == x[h]
claim S[1] == sum j < 2: x[(h + j) % n]
claim S[2] == sum j < 4: x[(h + j) % n]
D = S[2] - (sum j < 4: X << j) + X
output y[h] = D
prove y == x
"""
SWIZZLE = """program swizzle(n = 4, slots = 16)
input x[n, n]
axes (a < n, b < n)
cipher X = x[a, b]
perm s: slot -> a*n + (a ^ b)
Y = permute(X, s)
Z = permute(Y, inverse(s))
output y[a, b] = Z
prove y == x
"""
ACROSS = """program across(n = 8)
input x[n]
weight u[3, n]
axes (h < n)
cipher X[c < 2] = (x[h] if c == 0 else x[(h + 4) % n])
plain U[k < 3] = (u[k, h] if k == 0 else U[k - 1] + u[k, h])
P[k < 3, c < 2] = (X[c] if k == 0 else P[k - 1, (c + 1) % 2] * U[k])
claim P[1, c] == X[1 - c] * (u[0, h] + u[1, h])
T = sum k < 3, c < 2: ([h < 4] * P[k, c] if k < 1 and c == 0 else 0 * P[k, c])
R = (sum k < 2 by tree: T << k*4) - [h >= 4] * X[0] + [h >= 4] * (X[1] << 4 if n > 4 else X[0])
output y[h] = R where h < 4
output y[h] = R where h >= 4
prove y == x
"""
ACROSS = ACROSS.replace("(sum k < 2 by tree: T << k*4)", "(sum k < 2 by tree: (T if k == 0 else [h >= 4] * X[0]))")
PREFIX = """program prefix_sums(n = 8, steps = 4)
input x[n]
axes (h < n)
cipher X = x[h]
S[k < steps] = (X if k == 0 else S[k - 1] + (S[k - 1] << 2**(k - 1)))
output y[h] = S[2]
prove y[i < n] == sum j < 4: x[(i + j) % n]
"""
ELEMENTS = """program elements(n = 8)
input x[n]
axes (h < n)
cipher X = x[h]
output y[h] = X
prove y[i < n] == x[(i ^ 3)] - x[(i ^ 3)] + x[i if i < 4 else max(i, 4)] * 2**0 * min(n, 1) * [2**i > min(i, 3)]
"""
OWN = """program own(n = 8, steps = 4)
input x[n]
axes (h < n)
cipher X = x[h]
S[k < steps] = (X if k == 0 else (S[k - 1] << 2**(k - 1)))
T[k < steps] = (S[k] if k == 0 else T[k - 1] - S[k] + S[k - 1])
output y[(h + 3) % n] = S[2]
prove y == x
"""
FUNCTIONS = case("functions in indices").text.replace("n = 8, m = 4", "n = 4, m = 4").replace("min = 3", "min = 2")
LADDER = case("a ladder of a family's own members").text.replace("n = 16, rows = 3", "n = 4, rows = 2")
LADDER = LADDER.replace("k < 5", "k < 3").replace("j < 4", "j < 2**2")
EXPONENTS = """program exponents(n = 4, m = 3)
input x[n]
weight c[m]
bound |x| <= 1
bound |c| <= 1
axes (i < n)
cipher X = x[i]
plain C[k < m] = (c[k] - 1/2) ** (k % 2 + 1)
Q[k < m] = X ** (k + 1)
Y = sum k < m: Q[k] * C[k]
claim Q[k] == x[i] ** (k + 1)
claim C[1] == c[1] ** 2 - c[1] + 0.5 ** 2
output y[i] = Y
prove y[j < n] == sum i < m: (c[i] - 1/2) ** (i % 2 + 1) * x[j] ** (i + 1) * (1 - 1) ** 0
"""
OF_DIGITS = """program of_digits(n = 4)
input x[n]
weight M[n, n]
axes (h < n)
cipher X = x[h]
plain D[q < n] = M[h, (h + q) % n]
Y = (sum q < n: (X << q) * D[q]) + (sum q < n by doubling: X << q)
output y[h] = Y
prove y[i < n] == (sum h < n: M[i, h] * x[h]) + sum h < n: x[h] ** 1
"""
POWERS = case("members at different levels").text.replace("n = 8", "n = 4")
TEXTS = {
    "conditional": CONDITIONAL,
    "windows": WINDOWS,
    "swizzle": SWIZZLE,
    "across": ACROSS,
    "functions": FUNCTIONS,
    "ladder": LADDER,
    "powers": POWERS,
    "prefix": PREFIX,
    "elements": ELEMENTS,
    "exponents": EXPONENTS,
    "sums over digits' names": OF_DIGITS,
}
every = pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
half = pytest.mark.parametrize("name", one_in(2, TEXTS))


@pytest.mark.parametrize("method", METHODS)
@every
def test_right_programs(text: str, method: str) -> None:
    program = bind_text(text)
    assert oracle.judge(program.syntax, {}).correct
    report = check(program, method)  # type: ignore[arg-type]
    expected = {"random": {"tested"}, "polyhedral": {"proved", "unknown"}}.get(method, {"proved"})
    assert report.status in expected, report.reason


@half
def test_texts_and_certificates(name: str) -> None:
    text = TEXTS[name]
    program = bind_text(text)
    formatted = format_program(program.syntax)
    assert parse(Source("p", formatted)) == program.syntax
    assert format_program(parse(Source("p", formatted))) == formatted
    made = certificate(program, check(program))
    proof = recheck.recheck(made.encode())
    assert proof.program == program.name
    with pytest.raises(recheck.Rejected):
        recheck.recheck(made.replace("h", "(h + 0)", 1).encode())


@drawn
@half
def test_changed_programs(name: str) -> None:
    """No method says what the oracle does not find, of any single change."""
    text = TEXTS[name]
    seen: Counter[str] = Counter()
    changed = list(mutants(parse(Source("p", text))))
    for mutation in Random(text).sample(changed, min(len(changed), some(36))):
        source = mutation.text()
        syntax = parse(Source("p", source))
        try:
            program = bind(syntax)
        except SlotError:
            seen["refused"] += 1
            continue
        judged = oracle.judge(syntax, {})
        for method in METHODS:
            try:
                status = check(program, method).status
            except SlotError as problem:
                assert problem.diagnostics[0].code in ("SL401", "SL402", "SL403"), source
                continue
            seen[f"{method} {status}"] += 1
            assert status != "refuted" or not judged.correct, (method, source)
            assert status not in ("proved", "tested") or judged.correct, (method, judged.first_wrong, source)
            assert status != "unknown" or method == "polyhedral", source
        try:
            sizes = {n: program.sizes[n] for n in program.parameters}
            made = recheck.certificate(source, sizes, lambda _, over, sides: recheck.by_products(over, sides))
        except recheck.Rejected:
            seen["not re-checked"] += 1
        else:
            seen["re-checked"] += 1
            assert judged.correct, source
            assert made
    assert seen["exact refuted"] and seen["refused"] < sum(seen.values()) / 3, seen


@every
def test_encrypted_runs(text: str, tmp_path: Path) -> None:
    path = tmp_path / "p.slot"
    path.write_text(text, encoding="utf-8")
    report = api.run(path).report
    assert report.passed and report.executed == report.predicted
    assert report.relative_error < 1e-5


def test_families_that_mention_each_other_often_are_looked_at_once() -> None:
    """Each of 40 members mentions the one before twice: 2**40 ways down."""
    text = """program often(n = 8, steps = 40)
input x[n]
weight u[n]
axes (h < n)
cipher X = x[h]
plain U[k < steps] = ([h < 2] * u[h] if k == 0 else U[k - 1] << 1)
S[k < steps] = (X if k == 0 else S[k - 1] - (S[k - 1] << 4))
T = X + 0 * S[steps - 1] * U[steps - 1]
output y[h] = T
prove y == x
"""
    program = bind_text(text)
    assert check(program, "exact").proved
    assert check(program, "random").status == "tested"
    assert api.cost(program).counts.rotations


def test_a_long_chain_is_proved() -> None:
    text = """program chain(n = 8, steps = 400)
input x[n]
axes (h < n)
cipher X = x[h]
S[k < steps] = (X if k == 0 else S[k - 1] << 1)
output y[h] = S[steps - 8]
prove y == x
"""
    assert check(bind_text(text), "polyhedral").proved
    assert check(bind_text(text), "exact").proved
    wrong = bind_text(text.replace("steps - 8]", "steps - 9]"))
    assert {check(wrong, method).status for method in ("polyhedral", "exact", "random")} == {"refuted"}


def test_claims_are_found_about_members() -> None:
    """What is proposed stands behind the definition in the text, under the names there."""
    program = bind_text(LADDER.replace("claim", "# claim"))
    report = check(program)
    assert report.proved
    lines = propose(Checker(program).graph)
    assert any(line.startswith("claim S[0, r] ==") for line in lines) or not lines
    windows = bind_text(
        WINDOWS.replace("claim", "# claim").replace("output y[h] = D", "E = D + D - D\noutput y[h] = E")
    )
    lines = propose(Checker(windows).graph)
    assert "claim S[0] == x[h]" in lines
    assert {c.family for c in with_claims(windows, lines).steps if isinstance(c, Claim)} >= {"S[0]", "D"}


def test_pictures_know_members_by_the_names_in_the_text() -> None:
    program = bind_text(LADDER)
    assert [f.name for f in program.families.values()][-3:] == ["S[0, :]", "S[1, :]", "S[2, :]"]
    assert resolve(program, "S", (2, 1)) == (program.families["S[2, :]"], (1,))
    assert resolve(program, "S", ()) == (program.families["S[0, :]"], (0,))
    for member in ((3, 0), (1,), (1, 5)):
        with pytest.raises(SlotError, match="SL601"):
            resolve(program, "S", member)


def test_a_sum_read_one_step_too_late_is_refuted() -> None:
    program = bind_text(PREFIX.replace("= S[2]", "= S[3]"))
    assert not oracle.judge(program.syntax, {}).correct
    for method in ("auto", "polyhedral", "exact", "random"):
        assert check(program, method).status == "refuted"


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("X ** (k + 1)", "X ** (k + 2)"),
        ("x[j] ** (i + 1)", "x[j] ** (3 - i)"),
        ("(i % 2 + 1)", "(i // 2 + 1)"),
        ("0.5 ** 2", "0.5 ** 3"),
        ("claim Q[k] == x[i] ** (k + 1)", "claim Q[k] == x[i] ** 2"),
    ],
)
def test_another_exponent_is_refuted(right: str, wrong: str) -> None:
    program = bind_text(EXPONENTS.replace(right, wrong))
    assert not oracle.judge(program.syntax, {}).correct
    for method in METHODS:
        assert check(program, method).status == "refuted"


def test_a_power_is_computed_by_halves() -> None:
    """x^64 by six squares; x^7 as (x^2 * x^2) * (x^2 * x)."""
    for exponent, products, depth in ((2, 1, 1), (64, 6, 6), (7, 4, 3), (1, 0, 0)):
        text = f"""program p(n = 8)
input x[n]
axes (h < n)
cipher X = x[h]
Y = X ** {exponent}
output y[h] = Y
prove y == x ** {exponent}
"""
        counts = count(unroll(schedule(bind_text(text), EVERY)))
        assert (counts.cipher_products, counts.depth) == (products, depth)


def test_members_lie_at_levels_of_their_own() -> None:
    counts = api.cost(bind_text(POWERS)).counts
    assert counts.depth == 2


@half
def test_pictures_of_programs_that_are_written_out(name: str) -> None:
    text = TEXTS[name]
    program = bind_text(text)
    assert [row.family for row in shown(program, None).rows] == list(program.families)
    for family in program.families.values():
        written = family.name.replace(":", "0")
        assert shown(program, written).text(100)
        assert shown(program, written.partition("[")[0]).text(100)


@pytest.mark.parametrize(
    ("text", "names", "status"),
    [
        (CONDITIONAL, ["all"], "proved"),
        (CONDITIONAL, ["m"], "proved"),
        (WINDOWS, ["n"], "proved"),
        (WINDOWS, ["steps"], "unknown"),
        (SWIZZLE, ["all"], "unknown"),
        (FUNCTIONS, ["all"], "unknown"),
        (LADDER, ["rows"], "proved"),
        (LADDER, ["n"], "unknown"),
        (OWN, ["n"], "proved"),
        (OWN.replace("= S[2]\n", "= S[1]\n"), ["n"], "refuted"),
        (OWN, ["steps"], "unknown"),
        (EXPONENTS, ["n"], "proved"),
        (EXPONENTS.replace("X ** (k + 1)", "X ** (2 * k + 1)"), ["n"], "refuted"),
        (EXPONENTS, ["m"], "unknown"),
        (OF_DIGITS, ["all"], "proved"),
        (OF_DIGITS.replace("M[i, h] * x[h]", "M[h, i] * x[h]"), ["all"], "refuted"),
        (CONDITIONAL.replace("cipher X = x[h]", "cipher X = x[(h if n > m else n - 1 - h)]"), ["m"], "refuted"),
        (CONDITIONAL.replace("= X\n", "= (X if n > m else X << 1)\n").replace("output y[h]", "Y"), ["m"], "refuted"),
        (CONDITIONAL.replace("cipher X = x[h]", "cipher X = x[(h if n > m else h * 1)]"), ["m"], "unknown"),
    ],
)
def test_for_all_sizes(text: str, names: list[str], status: str) -> None:
    if "Y = (X if" in text:
        text = text.replace("prove", "output y[h] = Y\nprove")
    report = check_for_all(parse(Source("p", text)), names)
    assert report.status == status, report.reason
    assert report.reason or status != "unknown"
