"""What is said of a verdict for all sizes that does not settle the matter."""

from __future__ import annotations

import pytest

from slotlang.proof.forall.check import check_for_all
from slotlang.proof.report import Report
from slotlang.source import Source
from slotlang.syntax.parser import parse

CENTRED = """program centred(H = 4, P = 8, T = 2)
require P >= H + 2
let slots = P * T
input x[H, T]
weight k[3]
axes (r < P, t < T)
cipher X = x[r, t] else 0
plain W[a < 3] = k[a]
Y = sum a < 3: W[a] * (X << (a - 1)*T)
output y[r, t] = Y where r < H
prove y[i < H, t < T] == sum a < 3: k[a] * (x[i + a - 1, t] else 0)
"""
UNKNOWN = "neither proved nor refuted: nothing says that the program is wrong at any of these sizes"


def report(text: str, *free: str) -> Report:
    return check_for_all(parse(Source("p.slot", text)), free)


def test_an_unknown_verdict_says_what_it_is_and_what_to_try_with_one_size_open() -> None:
    found = report(CENTRED, "P")
    assert found.status == "unknown"
    assert found.notes == (UNKNOWN, "to try: rotate by amounts that are not negative in line 9")


@pytest.mark.slow
def test_an_unknown_verdict_says_what_it_is_and_what_to_try() -> None:
    found = report(CENTRED, "H", "P")
    assert found.status == "unknown"
    assert found.notes[0] == UNKNOWN
    assert found.notes[1].startswith("to try: fix some of the sizes: --for-all H")
    assert found.notes[1].endswith("; rotate by amounts that are not negative in line 9")
    assert [f"note: {note}" for note in found.notes] == found.lines()[-2:]


def test_what_is_to_be_tried_helps() -> None:
    assert report(CENTRED, "H").proved
    forward = CENTRED.replace("(a - 1)*T", "a*T").replace("x[i + a - 1, t]", "x[i + a, t]")
    assert report(forward, "H", "P").proved


def test_nothing_is_advised_that_has_nothing_to_do_with_the_reason() -> None:
    # a number that a size is used as: neither rotations nor a `require` are to blame
    text = """program p(n = 4, m = 4)
input x[n, m]
axes (h < n, t < m)
cipher X = x[h, t]
Y = n * X
output y[h, t] = Y
prove y == n * x
"""
    found = report(text, "all")
    assert found.status == "unknown" and "'n' is used as a number" in found.reason
    assert found.notes == (UNKNOWN, "to try: take n out of --for-all")
    assert report(text, "n").notes == (UNKNOWN,)


@pytest.mark.parametrize(("open_", "where"), [("H", "H = 9 is"), ("P", "P = 1 is")])
def test_sizes_that_nobody_means_are_told_apart(open_: str, where: str) -> None:
    text = CENTRED.replace("require P >= H + 2\n", "").replace(", T = 2", ", T = 2")
    found = report(text, open_)
    assert found.status == "refuted"
    (note,) = found.notes
    assert note.startswith("proved at the program's own sizes, H = 4, P = 8, T = 2: where ")
    assert note.endswith(" not meant, say so by a `require` in the program")
    at = found.for_all.refuted_at
    assert f"where {open_} = {at[open_]} is not meant" in note


def test_a_program_that_is_wrong_at_its_own_sizes_needs_no_require() -> None:
    wrong = CENTRED.replace("(a - 1)*T", "a*T")
    found = report(wrong, "H")
    assert found.status == "refuted" and found.notes == ()
    without = CENTRED.replace("require P >= H + 2\n", "").replace("P = 8", "P")
    found = check_for_all(parse(Source("p.slot", without)), ["H"], {"P": 8})
    # with --set it has sizes of its own
    assert found.status == "refuted" and len(found.notes) == 1
