"""What the place of a cursor or of a message decides: notes on headers, lenses, proposals, preferred repairs."""

from __future__ import annotations

import pytest
from small_programs import diagonals

from slotlang import api
from slotlang.editor.analysis import analyse
from slotlang.editor.completion import completions
from slotlang.editor.hovering import hover
from slotlang.editor.questions import check_text
from slotlang.mutation.repair import nearest_repairs

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
    assert (mark.code, mark.weight) == ("SL409", "information")
    assert text[mark.start : mark.end] == f"program odd(n = {n})"
    padded = next(2**k for k in range(20) if 2**k >= n)
    assert f"pad to {padded:,}" in mark.message
    _, known = check_text(text)
    assert [v.status for v in known.verdicts] == ["proved"]
    assert [m.runs for m in known.measures] == [False]


def test_a_program_that_is_larger_than_any_ring() -> None:
    (mark,) = analyse(ODD.format(n=32768)).marks
    assert mark.code == "SL409" and "16,384" in mark.message


@pytest.mark.parametrize("n", [1, 16, 16384])
def test_a_program_that_a_ring_can_run(n: int) -> None:
    assert not analyse(ODD.format(n=n)).marks


def test_a_size_that_is_never_used() -> None:
    text = diagonals("small", 4, "m").replace("n = 4", "k = 1, n = 4")
    (mark,) = analyse(text).marks
    assert (mark.code, text[mark.start : mark.end]) == ("SL331", "k = 1")
    assert "size 'k'" in mark.message


SMALL = diagonals("small", 4, "m")


def proposed(line: str) -> set[str]:
    """The names of the small program's own that are proposed at the end of a line below it."""
    text = SMALL.replace("axes", "scalar s\naxes", 1) + line
    _, found = completions(analyse(text), len(text))
    return {p.label for p in found} & {"n", "m", "x", "A", "s", "h", "t", "X", "D", "Y", "y", "k"}


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("prove y == ", "x A s n m"),
        ("prove ", "y"),
        ("tensor u = A @ ", "x A s n m"),
        ("axes (", "n m"),
        ("axes (g < ", "n m"),
        ("let k = n + ", "n m"),
        ("require n < ", "n m"),
        ("weight B[", "n m"),
        ("cipher Z = ", "x n m"),
        ("plain Z = ", "A D s n m"),
        ("plain Z = A[", "n m h t"),
        ("plain Z[k < ", "n m k"),
        ("output z[h] = ", "X Y"),
        ("output z[", "n m h t"),
        ("Z = sum k < n: (X << ", "n m k"),
        ("Z = sum k < n: (X << k) * ", "X D Y s n m k"),
        ("claim Y", "X D Y"),
        ("claim Y == ", "x A s n m X D Y h t"),
        ("claim Y == X where ", "n m h t"),
        ("bound |", "x A s"),
    ],
)
def test_proposals_know_their_place(line: str, names: str) -> None:
    assert proposed(line) == set(names.split())


@pytest.mark.parametrize(
    ("right", "wrong", "meant"),
    [
        ("sum q < n: (X <<", "sum q < n: (Xx <<", "X"),
        ("cipher X = x[h, t]", "cipher X = Xx[h, t]", "x"),
        ("= A[h,", "= Aa[h,", "A"),
        ("output y[h, t] = Y", "output y[h, t] = Yy", "Y"),
    ],
)
def test_names_that_were_meant_can_stand_there(right: str, wrong: str, meant: str) -> None:
    """``Xx`` is as near to the input x as to the ciphertext X, and one of them is no name for the place."""
    text = SMALL.replace(right, wrong)
    assert text != SMALL
    mark = analyse(text).marks[0]
    assert [fix.title for fix in mark.fixes] == [f"change to '{meant}'"]
    ((start, end, new),) = mark.fixes[0].edits
    assert text[:start] + new + text[end:] == SMALL


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("D[q]\n", "D[q\n"),
        ("D[q]\n", "D[q  # a comment ]\n"),
        ("(X << q*m) * D[q]\n", "((X << q*m) * D[q]\n"),
        ("(X << q*m) * D[q]\n", "((X <<\n    q*m) * D[q\n"),
        ("plain D[q < n]", "plain D[q < n"),
    ],
)
def test_a_bracket_that_is_never_closed(right: str, wrong: str) -> None:
    assert right in SMALL
    text = SMALL.replace(right, wrong)
    (mark,) = analyse(text).marks
    assert mark.code == "SL101"
    if wrong.startswith("plain"):
        # what follows is inside of it: only a person can tell
        assert mark.fixes == ()
        return
    (fix,) = mark.fixes
    ((start, end, new),) = fix.edits
    assert fix.preferred and fix.title == f"add {new}"
    assert not [m for m in analyse(text[:start] + new + text[end:]).marks if m.weight == "error"]


def test_a_needless_number_is_no_preferred_repair() -> None:
    """Of changes that all prove, the one without an arbitrary number comes first, for ``check`` and for editors."""
    text = """program row(n = 16)
input x[n]
axes (h < n)
cipher X = x[h]
S = sum f < n by doubling: X << 2*f
output y = S where h == 0
prove y == ones(n) @ x
"""
    marks, _ = check_text(text)
    (mark,) = [m for m in marks if m.code == "refuted"]
    assert [fix.preferred for fix in mark.fixes] == [n == 0 for n in range(len(mark.fixes))]
    ((start, end, new),) = mark.fixes[0].edits
    assert text[:start] + new + text[end:] == text.replace("2*f", "f")
    program = api.loads(text)
    first = nearest_repairs(program, api.check(program), seconds=30)[0]
    assert first.description() == mark.fixes[0].title


def test_hover_of_digits() -> None:
    found = analyse(SMALL)
    at = SMALL.index("t < m")
    said = hover(found, at)
    assert said is not None and said.text.endswith("1 slot apart")
