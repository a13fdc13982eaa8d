"""Arrays from elsewhere, and what packing functions index with."""

from __future__ import annotations

import base64
import zlib
from typing import Any

import numpy as np
import pytest

from slotlang_runtime.arrays import check_array, element, table
from slotlang_runtime.errors import Rejected


@pytest.mark.parametrize("value", [[[1, 2, 3]] * 2, np.ones((2, 3), np.float32), np.ones((2, 3), np.uint8)])
def test_real_numbers_become_doubles(value: Any) -> None:
    found = check_array("a", value, (2, 3))
    assert found.dtype == np.float64 and np.array_equal(found, np.asarray(value))


def test_a_checked_array_is_a_copy() -> None:
    value = np.ones(3)
    found = check_array("a", value, (3,))
    value[:] = np.nan
    assert np.isfinite(found).all()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.zeros((3, 2)), r"a must have shape \(2, 3\), not \(3, 2\)"),
        (np.zeros(6), r"a must have shape \(2, 3\), not \(6,\)"),
        (0.0, r"a must have shape \(2, 3\), not \(\)"),
        (np.zeros((2, 3), complex), "a must be real numbers, not complex128"),
        (np.ma.masked_array(np.zeros((2, 3)), False), "a is a masked array: fill it"),
        (np.zeros((2, 3), bool), "a must be real numbers, not bool"),
        (np.full((2, 3), "1"), "a must be real numbers, not <U1"),
        (np.full((2, 3), None), "a must be real numbers, not object"),
        (None, "a must be real numbers, not object"),
        ([[1, 2, 3], [1, 2]], "a is not an array"),
        ([[1, np.nan, 3], [1, 2, 3]], "a holds NaN or infinity"),
        ([[1, np.inf, 3], [1, 2, 3]], "a holds NaN or infinity"),
    ],
)
def test_arrays_that_do_not_fit(value: Any, message: str) -> None:
    with pytest.raises(Rejected, match=message):
        check_array("a", value, (2, 3))


def test_patterns() -> None:
    limit = np.eye(3, dtype=bool)
    assert np.array_equal(check_array("a", 2 * np.eye(3), (3, 3), limit), 2 * np.eye(3))
    with pytest.raises(Rejected, match=r"^a\[1, 2\] is not zero, as its declared pattern says$"):
        check_array("a", [[1, 0, 0], [0, 1, -1e-300], [0, 0, 1]], (3, 3), limit)


def test_elements_outside_are_zero() -> None:
    a = np.arange(6.0).reshape(2, 3) + 1
    rows, columns = np.arange(-1, 3)[:, None], np.arange(-1, 4)[None]
    found = element(a, (rows, columns))
    assert np.array_equal(found, np.pad(a, 1))
    assert element(a, (1, 2)) == 6 and element(a, (2, 0)) == 0 and element(a, (0, -1)) == 0
    assert np.array_equal(element(a, (np.arange(3), 1)), [2, 5, 0])


def test_tables() -> None:
    values = np.array([0, 5, 2, 2**31 - 1, 16383], "<i4")
    text = base64.b85encode(zlib.compress(values.tobytes())).decode()
    found = table(text)
    assert found.dtype == np.int64 and found.tolist() == values.tolist()
