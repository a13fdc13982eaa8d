"""Members that are read along very many ways are evaluated once, wherever plaintexts and ciphertexts are followed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from deep_programs import HEAD, SLOTS

from slotlang import api
from slotlang.diagnostics import SlotError
from slotlang.graph.ring import Evaluations, PlainEvaluator
from slotlang.proof.field import PRIMES, random_field

DEPTH = 40
SHORT = HEAD.replace("weight w[n]\n", "")


def plain(first: str, step: str, said: str, *, second: str = "", depth: int = DEPTH) -> str:
    """A product with the last of a family of plaintexts, each made of those before it."""
    head = HEAD if "w" in first + step else SHORT
    second = f" else {second} if k == 1" if second else ""
    return f"""{head}plain P[k < {depth}] = {first} if k == 0{second} else {step}
Y = X * P[{depth - 1}]
output y[t] = Y
prove y[i < n] == {said}
"""


def cipher(step: str, said: str, *, second: str = "") -> str:
    """The same of ciphertexts."""
    second = f" else {second} if k == 1" if second else ""
    return f"""{SHORT}S[k < {DEPTH}] = X if k == 0{second} else {step}
output y[t] = S[{DEPTH - 1}]
prove y[i < n] == {said}
"""


def fibonacci(n: int) -> int:
    a, b = 1, 1
    for _ in range(n):
        a, b = b, a + b
    return a


TWICE, FIB = 2 ** (DEPTH - 1), fibonacci(DEPTH - 1)
RIGHT = [
    plain("1", "P[k - 1] + P[k - 1]", f"{TWICE} * x[i]"),
    plain("w[t]", "P[k - 1] + P[k - 1]", f"{TWICE} * x[i] * w[i]"),
    plain("w[t]", "P[k - 1] + P[k - 2]", f"{FIB} * x[i] * w[i]", second="w[t]"),
    plain("[t < 4]", "P[k - 1] * P[k - 1]", "[i < 4] * x[i]"),
    plain("1", "P[k - 1] * P[k - 1]", "x[i]"),
    plain("1", "sum j < k: P[j]", f"{2 ** (DEPTH - 2)} * x[i]"),
    cipher("S[k - 1] + S[k - 1]", f"{TWICE} * x[i]"),
    cipher("S[k - 1] + S[k - 2]", f"{FIB} * x[i]", second="X"),
    cipher("S[k - 1] - S[k - 1]", "0 * x[i]"),
]
WRONG = [
    plain("2", "P[k - 1] * P[k - 1]", "x[i]"),
    plain("1/2", "P[k - 1] * P[k - 1]", "x[i]"),
    plain("w[t]", "P[k - 1] * P[k - 1]", "x[i] * w[i]"),
    plain("w[t]", "P[k - 1] * P[k - 2]", "x[i] * w[i]", second="w[t]"),
    plain("1", "P[k - 1] + P[k - 1]", f"{TWICE + 1} * x[i]"),
    plain("w[t]", "P[k - 1] + (P[k - 1] << 1)", "x[i] * w[i]", depth=24),
    cipher("S[k - 1] * S[k - 2]", "x[i]", second="X"),
]


@pytest.mark.parametrize("text", RIGHT)
def test_right_programs_are_proved(text: str) -> None:
    assert api.check(api.loads(text)).status == "proved"


@pytest.mark.parametrize("text", WRONG)
def test_wrong_programs_are_refuted(text: str) -> None:
    assert api.check(api.loads(text)).status == "refuted"


@pytest.mark.parametrize("text", [RIGHT[1], RIGHT[2], RIGHT[7]])
def test_the_random_and_the_exact_method_end(text: str) -> None:
    program = api.loads(text)
    assert api.check(program, "random").status == "tested"
    assert api.check(program, "exact").status in ("proved", "unknown")


@pytest.mark.parametrize("text", [RIGHT[3], RIGHT[6], WRONG[1], WRONG[3]])
@pytest.mark.parametrize("command", [api.cost, api.show])
def test_costs_and_pictures_end(text: str, command: Callable[..., object]) -> None:
    assert command(api.loads(text)) is not None


@pytest.mark.parametrize("text", [RIGHT[4], RIGHT[6], WRONG[2]])
def test_formulas_end(text: str) -> None:
    assert api.formulas(api.loads(text)) is not None


def test_what_overflows_doubles_is_refused() -> None:
    with pytest.raises(SlotError, match="SL404"):
        api.cost(api.loads(WRONG[0]))


def test_modules_that_never_end_are_refused() -> None:
    with pytest.raises(SlotError, match=r"(?s)SL309.*65,536 ways.*P\[16\] is the first such member.*2 \* P\[k - 1\]"):
        api.lower(api.loads(RIGHT[1]))
    assert api.lower(api.loads(plain("w[t]", "P[k - 1] + P[k - 1]", "128 * x[i] * w[i]", depth=8))).text


@pytest.mark.parametrize("step", ["P[k - 1] * P[k - 1] + P[k - 2]", "(P[k - 1] << 3) - (P[k - 2] >> 2) * P[k - 1]"])
def test_values_are_those_of_numpy(step: str) -> None:
    program = api.loads(plain("w[t]", step, "x[i]", second="w[t] << 1", depth=9))
    field = random_field(program, PRIMES[:1], 5)
    p, w = PRIMES[0], field.tensors["w"][0].astype(object)
    members = [w, np.roll(w, -1)]
    for _ in range(7):
        a, b = members[-1], members[-2]
        members.append((a * a + b if "+" in step else np.roll(a, -3) - np.roll(b, 2) * a) % p)
    evaluator = PlainEvaluator(program, field)
    found = evaluator.value(program.families["P[8]"].body, {}, evaluator.all_slots)
    assert found[0, 0].tolist() == members[-1].tolist()
    some = np.array([5, 2, 2])
    assert evaluator.value(program.families["P[8]"].body, {}, some)[0, 0].tolist() == members[-1][some].tolist()


def test_nothing_is_remembered_from_one_evaluation_to_the_next() -> None:
    program = api.loads(plain("w[t]", "P[k - 1] + P[k - 1]", "4 * x[i] * w[i]", depth=3))
    field = random_field(program, PRIMES[:1], 5)
    evaluator = PlainEvaluator(program, field)
    body = program.families["P[2]"].body
    first = evaluator.value(body, {}, evaluator.all_slots)
    field.tensors["w"][:] = 1
    assert evaluator.value(body, {}, evaluator.all_slots)[0, 0].tolist() == [4] * SLOTS != first[0, 0].tolist()


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    program = api.loads(plain("w[t]", "P[k - 1] + P[k - 2]", f"{FIB} * x[i] * w[i]", second="w[t]"))
    field = random_field(program, PRIMES[:1], 5)
    monkeypatch.setattr("slotlang.graph.ring.MAX_REMEMBERED", 4 * 8 * SLOTS)
    evaluator = PlainEvaluator(program, field)
    found = evaluator.value(program.families[f"P[{DEPTH - 1}]"].body, {}, evaluator.all_slots)
    assert found[0, 0].tolist() == [int(v) * FIB % PRIMES[0] for v in field.tensors["w"][0]]


def test_operations_are_counted_as_they_are_done() -> None:
    program = api.loads(RIGHT[1])
    assert Evaluations(program).of(program.families[f"P[{DEPTH - 1}]"].body) < 6 * DEPTH
