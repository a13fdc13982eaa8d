"""Plain vectors in a ring, against what the language says that each slot holds, worked out slot by slot."""

from __future__ import annotations

from dataclasses import fields
from fractions import Fraction
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import pytest
from repository import bind_text

from slotlang.graph.ring import PlainEvaluator
from slotlang.meaning.integers import IntConst
from slotlang.meaning.value import FamilyRef, Injective, Linear, Operator, Slotwise, TensorForm, Value
from slotlang.source import Source, Span

PROGRAM = """program p(n = 3, slots = 12)
input x[12]
weight A[4, n], B[n, 4], u[20]
scalar s
axes (h < 4, t < n)
axes wide (a < 2, b < 6)
perm swap: (h, t) -> ((h + 1) % 4, n - 1 - t)
perm round: cycles (0, 5, 2)
cipher X = x[slot]
plain V[q < 3] = {body}
output y[slot] = X
prove y == x
"""

rng = np.random.default_rng(5)
A, B, U = rng.integers(-9, 9, (4, 3)), rng.integers(-9, 9, (3, 4)), rng.integers(-9, 9, 20)
S = 7


class Integers:
    """Gaussian integers and halves as exact complex numbers: all here are small."""

    def const(self, re: Fraction, im: Fraction) -> Any:
        return np.array([complex(re, im)])

    def scalar(self, name: str) -> Any:
        return np.array([complex(S)])

    def gather(self, tensor: str, flat: npt.NDArray[np.int64]) -> Any:
        return {"A": A, "B": B, "u": U}[tensor].reshape(-1)[flat].astype(complex)

    def element(self, form: TensorForm, flat: npt.NDArray[np.int64]) -> Any:
        assert form.shape == (4, 4)
        return (A @ B).reshape(-1)[flat].astype(complex)

    def add(self, a: Any, b: Any) -> Any:
        return a + b

    def sub(self, a: Any, b: Any) -> Any:
        return a - b

    def mul(self, a: Any, b: Any) -> Any:
        return a * b

    def conj(self, a: Any) -> Any:
        return np.conj(a)

    def masked(self, a: Any, mask: npt.NDArray[np.bool_]) -> Any:
        return np.where(mask, a, 0)


def held(body: str, q: int = 0) -> list[complex]:
    program = bind_text(PROGRAM.format(body=body))
    evaluator = PlainEvaluator(program, Integers())
    value = evaluator.value(program.families["V"].body, {"q": q}, evaluator.all_slots)
    return [complex(c) for c in np.broadcast_to(value, (12,))]


def swap(s: int) -> int:
    """Where slot s goes."""
    h, t = divmod(s, 3)
    return (h + 1) % 4 * 3 + 2 - t


ROUND = {0: 5, 5: 2, 2: 0}

CASES: dict[str, Any] = {
    "A[h, t]": lambda s, q: A[s // 3, s % 3],
    "u[slot + q]": lambda s, q: U[s + q],
    "u[6*a + b]": lambda s, q: U[s],
    "A[h, t + q] else 0": lambda s, q: A[s // 3, s % 3 + q] if s % 3 + q < 3 else 0,
    "B[t - q, h - q] else 0": lambda s, q: B[s % 3 - q, s // 3 - q] if s % 3 >= q and s // 3 >= q else 0,
    "(A @ B)[h, 3 - h]": lambda s, q: (A @ B)[s // 3, 3 - s // 3],
    "s * u[slot] - 1i": lambda s, q: S * U[s] - 1j,
    "-(u[slot] + 2i) * (1 - 1i)": lambda s, q: -(U[s] + 2j) * (1 - 1j),
    "conj (u[slot] * 1i + 3)": lambda s, q: 3 - 1j * U[s],
    "u[slot] * [h < 2 and not t == q]": lambda s, q: U[s] * (s // 3 < 2 and s % 3 != q),
    "u[slot] << 5": lambda s, q: U[(s + 5) % 12],
    "u[slot] >> 5*q": lambda s, q: U[(s - 5 * q) % 12],
    "(u[slot] << q) << 12 - q": lambda s, q: U[s],
    "sum r < 4: u[slot + r] * [t == r % 3]": lambda s, q: sum(U[s + r] for r in range(4) if s % 3 == r % 3),
    "sum r < 2, m < 3: (A[h, m] * 1i) << r*3": lambda s, q: sum(1j * A[(s + 3 * r) % 12 // 3].sum() for r in range(2)),
    "permute(u[slot], swap)": lambda s, q: next(U[e] for e in range(12) if swap(e) == s),
    "permute(u[slot], inverse(swap))": lambda s, q: U[swap(s)],
    "permute(u[slot] << 1, round)": lambda s, q: next(U[(e + 1) % 12] for e in range(12) if ROUND.get(e, e) == s),
    "permute(permute(u[slot], swap), inverse(swap)) / 2": lambda s, q: U[s] / 2,
}


@pytest.mark.parametrize("body", CASES)
def test_slots(body: str) -> None:
    for q in range(3):
        assert held(body, q) == [complex(CASES[body](s, q)) for s in range(12)], q


def test_a_ciphertext_means_its_definition() -> None:
    """A family in a value is looked up at its own indices: also the reference meaning of what is encrypted."""
    program = bind_text(
        PROGRAM.format(body="u[slot + 2*q]").replace("output y", "plain W[c < 2] = V[c + 1] << c\noutput y")
    )
    evaluator = PlainEvaluator(program, Integers())
    for c in range(2):
        value = evaluator.value(program.families["W"].body, {"c": c}, evaluator.all_slots)
        assert list(value) == [U[(s + c) % 12 + 2 * (c + 1)] for s in range(12)]


# What the groups of operators in value.py promise, of every operator in them


NOWHERE = Span(Source("", ""), 0, 0)
OPERATORS = pytest.mark.parametrize("operator", get_args(Operator), ids=lambda operator: operator.__name__)


def applied(operator: type[Value], body: str) -> npt.NDArray[np.complex128]:
    """What an operator makes of a plain vector, slot by slot; two operands are the same vector."""
    program = bind_text(PROGRAM.format(body=body))
    operand = FamilyRef("V", (IntConst(0),), NOWHERE)
    given = {
        "op": "-",
        "amount": IntConst(5),
        "var": "k",
        "extent": IntConst(2),
        "how": None,
        "argument": None,
        "permutation": "swap",
        "inverse": False,
        "span": NOWHERE,
    }
    value = operator(**{f.name: given.get(f.name, operand) for f in fields(operator)})
    evaluator = PlainEvaluator(program, Integers())
    return np.broadcast_to(evaluator.value(value, {}, evaluator.all_slots), program.slots)


@OPERATORS
def test_linear_operators_add_up(operator: type[Value]) -> None:
    one, other = "u[slot] + 2i * u[slot + 3]", "u[slot + 7] * u[slot] - 3i * u[slot + 1]"
    if operator in get_args(Linear):
        assert (applied(operator, f"{one} + ({other})") == applied(operator, one) + applied(operator, other)).all()
        assert (applied(operator, f"5/2 * ({one})") == 2.5 * applied(operator, one)).all()


@OPERATORS
def test_injective_operators_give_zero_for_zero_alone(operator: type[Value]) -> None:
    if operator in get_args(Injective):
        for body in ("[slot == 4]", "1i * [slot == 4]", "u[slot] * [slot == 4] + 1i"):
            zeros = applied(operator, body) == 0
            assert zeros.sum() == (0 if "u" in body else 11)


@OPERATORS
def test_slotwise_operators_read_their_own_slot(operator: type[Value]) -> None:
    if operator in get_args(Slotwise):
        changed = applied(operator, "u[slot] + 9 * [slot == 4]") != applied(operator, "u[slot]")
        assert not np.delete(changed, 4).any()


def test_the_groups_hold_the_operators_that_are_known_to_belong_there() -> None:
    names = {group: {operator.__name__ for operator in get_args(group)} for group in (Linear, Injective, Slotwise)}
    assert names[Linear] >= {"Negate", "Shift", "Conj", "SumOver", "Permuted"}
    assert names[Injective] >= {"Negate", "Shift", "Conj", "Permuted"}
    assert names[Slotwise] >= {"Arith", "Negate", "Conj"}
