"""What the place of a cursor or of a message decides: notes on headers, lenses, proposals, preferred repairs."""

from __future__ import annotations

import pytest
from small_programs import diagonals

from slotlang.editor.analysis import analyse
from slotlang.editor.questions import check_text

ODD = """program odd(n = {n})
input x[n]
axes (h < n)
cipher X = x[h]
output y[h] = X
prove y == x
"""


@pytest.mark.parametrize("n", [12, 60, 1000])
def test_a_program_that_no_ring_can_run(n: int) -> None:
    text = ODD.format(n=n)
    (mark,) = analyse(text).marks
    assert (mark.code, mark.weight) == ("SL334", "information")
    assert text[mark.start : mark.end] == f"program odd(n = {n})"
    padded = next(2**k for k in range(20) if 2**k >= n)
    assert f"pad to {padded:,}" in mark.message
    _, known = check_text(text)
    assert [v.status for v in known.verdicts] == ["proved"]
    assert [m.runs for m in known.measures] == [False]


def test_a_program_that_is_larger_than_any_ring() -> None:
    (mark,) = analyse(ODD.format(n=32768)).marks
    assert mark.code == "SL334" and "16,384" in mark.message


@pytest.mark.parametrize("n", [1, 16, 16384])
def test_a_program_that_a_ring_can_run(n: int) -> None:
    assert not analyse(ODD.format(n=n)).marks


def test_a_size_that_is_never_used() -> None:
    text = diagonals("small", 4, "m").replace("n = 4", "k = 1, n = 4")
    (mark,) = analyse(text).marks
    assert (mark.code, text[mark.start : mark.end]) == ("SL331", "k = 1")
    assert "size 'k'" in mark.message
