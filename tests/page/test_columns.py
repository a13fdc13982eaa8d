"""Columns and texts are read back as they were, and what is regular is short."""

from __future__ import annotations

import numpy as np
import pytest
from amounts import examples
from hypothesis import given
from hypothesis import strategies as st
from page_reader import expand, slot_texts

from slotlang.page.columns import column, texts

NUMBERS = st.lists(st.integers(-(2**31), 2**31 - 1), max_size=40)
STEPS = st.lists(st.tuples(st.integers(-9, 9), st.integers(-3, 3), st.integers(1, 6)), max_size=6)


@examples(60)
@given(NUMBERS)
def test_any_numbers_are_read_back(numbers):
    assert expand(column(numbers)) == numbers


@examples(60)
@given(STEPS, st.integers(1, 4))
def test_runs_that_repeat_are_read_back(runs, times):
    numbers = [start + step * k for start, step, count in runs for k in range(count)] * times
    assert expand(column(numbers)) == numbers


def test_what_is_regular_is_short():
    slots = np.arange(4096)
    assert len(column(slots)) == 5
    assert len(column(slots % 64)) == 5
    assert len(column(slots // 64)) == 2 + 3 * 64
    assert len(column((slots // 64) % 8)) == 2 + 3 * 8


@pytest.mark.parametrize(
    "found",
    [
        ["x[3, 0]", "x[4, 0]", "0", "x[5, 12] + 1i * B[2, 1]"],
        ["1/2 * a[0]", "", "007", "x2[1]", "0.25", "12345678901234567890", "a\0b 3"],
    ],
)
def test_texts_are_read_back(found):
    value = {"texts": texts(found), "described": "slots"}
    assert slot_texts(value, len(found)) == [text.replace("\0", "") for text in found]
