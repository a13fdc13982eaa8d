"""Which theorems keep the tokens of an input apart, in all forms."""

from __future__ import annotations

import numpy as np
import pytest

from slotlang.diagnostics import SlotError
from slotlang.run.results import joined
from slotlang.run.roles import token_input
from slotlang.source import Source
from slotlang.syntax.parser import parse

HEAD = "program p(d = 4, b = 2)\nweight A[d, d], c[d], T[b, b]\nscalar s\n"


def kept(theorem: str, shape: str = "d, b") -> bool:
    """Whether a program with this theorem runs token by token."""
    try:
        token_input(parse(Source("p", f"{HEAD}input x[{shape}]\nprove {theorem}\n")))
    except SlotError as problem:
        assert problem.diagnostics[0].code == "SL506"
        return False
    return True


@pytest.mark.parametrize(
    ("theorem", "apart"),
    [
        ("y == (A @ x) ** 2", True),
        ("y == (A @ x) * x", True),
        ("y == (A * (ones(d, d) - eye(d))) @ x", True),
        ("y == x @ T", False),
        ("y == x * ones(d, b)", False),
        ("y[i < d, t < b] == x[i, t] + c[i]", True),
        ("y[i < d, t < b] == c[i] + sum k < d: A[i, k] * x[k, t] ** 2", True),
        ("y[i < d, t < b] == s * (x[i - 1, t] else 0)", True),
        ("y[i < d, t < b] == x[i, b - 1 - t]", False),
        ("y[i < d, t < b] == x[i, t] * [t == 0]", False),
        ("y[i < d, t < b] == x[i, t] * T[0, t]", False),
        ("y[i < d, t < b] == x[t, i % b]", False),
        ("y[i < d, t < b] == sum u < b: x[i, u]", False),
        ("y[i < d, t < b] == (A @ x)[i, t]", False),
        ("y[t < b, i < d] == x[i, t]", False),
        ("y[i < d, t < 1] == x[i, t]", False),
        ("y[i < d] == sum t < b: x[i, t]", False),
    ],
)
def test_tokens_stay_apart(theorem: str, apart: bool) -> None:
    assert kept(theorem) == apart


@pytest.mark.parametrize(
    ("theorem", "one"),
    [("y == x ** 2", True), ("y[i < d] == x[i] + c[i]", True), ("y[i < d, j < d] == x[i] * x[j]", False)],
)
def test_one_token_has_one_result(theorem: str, one: bool) -> None:
    assert kept(theorem, "d") == one


def test_numbers_of_several_tokens_are_rows() -> None:
    assert np.array_equal(joined([np.array(2.0), np.array(3.0)], 2), [[2.0], [3.0]])
