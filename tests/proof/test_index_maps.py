"""Index expressions found for tables: what is found is right on every known entry, and layouts are found."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
import pytest
from amounts import examples
from hypothesis import given
from hypothesis import strategies as st
from repository import bind_text

from slotlang.meaning.integers import show, variables
from slotlang.proof.index_maps import Names, fit

PROGRAM = """program p(n = 12, r = 4, b = 6, slots = 24)
input x[40], v[12, 2]
axes (h < 12, t < 2)
cipher X[c < r] = x[h % r * 6 + c % 6 + t]
output y[h, t] = X[0]
prove y == v
"""


@cache
def names() -> Names:
    return Names(bind_text(PROGRAM))


def table(f: str, **extents: int) -> npt.NDArray[np.int64]:
    """The values of a Python expression at every point of a box."""
    points = np.array(np.meshgrid(*map(np.arange, extents.values()), indexing="ij"))
    values = [
        eval(f, {}, dict(zip(extents, map(int, point), strict=True))) for point in points.reshape(len(extents), -1).T
    ]
    return np.array(values, dtype=np.int64).reshape(*extents.values())


def check_fit(f: str, known: npt.NDArray[np.bool_] | None = None, **extents: int) -> str | None:
    """What is found for a table; that it is right is worked out by Python from its text."""
    values = table(f, **extents)
    known = np.ones(values.shape, bool) if known is None else known
    found = fit(values, known, list(extents.items()), names())
    if found is None:
        return None
    assert variables(found) <= extents.keys()
    text = show(found)
    sizes = {"n": 12, "r": 4, "b": 6, "slots": 24}
    for point in np.argwhere(known):
        at = dict(zip(extents, map(int, point), strict=True))
        assert eval(text, {}, {**sizes, **at}) == values[tuple(point)], (text, at)
    return text


FORMS = ["h", "5", "3*h + 2", "7 - h", "h % 4", "h // 4", "h % 4 * 3 + h // 4", "(h + 5) % 12", "11 - (h + 3) % 12"]


@pytest.mark.parametrize("form", FORMS)
def test_one_variable(form: str) -> None:
    assert check_fit(form, h=12) is not None


@pytest.mark.parametrize(
    "form", ["h*2 + t", "t*12 + h", "h % 4 + 4*t", "(h + 6*t) % 12", "c*24 + h*2 + t", "h // 4 - c"]
)
def test_several_variables(form: str) -> None:
    assert check_fit(form, h=12, t=2, c=3) is not None


def test_sizes_go_by_their_names() -> None:
    assert check_fit("h % 4", h=12) == "h % r"


@examples(80)
@given(st.lists(st.integers(0, 5), min_size=6, max_size=6))
def test_never_wrong(values: list[int]) -> None:
    """Any table at all: nothing is found for most, and what is found is right."""
    data = np.array(values)
    found = fit(data, np.ones(6, bool), [("h", 6)], names())
    if found is not None:
        sizes = {"n": 12, "r": 4, "b": 6, "slots": 24}
        assert [eval(show(found), {}, {**sizes, "h": h}) for h in range(6)] == values


def test_entries_that_are_not_known_do_not_count() -> None:
    values = table("2*h + 1", h=12)
    known = np.arange(12) % 5 != 2
    values[~known] = -99
    found = fit(values, known, [("h", 12)], names())
    assert found is not None
    assert [eval(show(found), {}, {"h": h}) for h in range(12)] == [2 * h + 1 for h in range(12)]


def test_nothing_known_and_nothing_fitting() -> None:
    assert fit(np.zeros(4, np.int64), np.zeros(4, bool), [("h", 4)], names()) is None
    assert fit(np.array([0, 1, 4, 9, 16, 25, 36]), np.ones(7, bool), [("h", 7)], names()) is None
