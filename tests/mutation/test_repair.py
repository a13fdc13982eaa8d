"""What would make a refuted program prove."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import slotlang
from repository import PROGRAMS, program_text

from slotlang import api
from slotlang.mutation.repair import Repair, nearest_repairs
from slotlang.proof.goals import goals
from slotlang.proof.polyhedral import Polyhedral

LORA = program_text("rank_complex")


def repairs(text: str) -> list[Repair]:
    program = api.loads(text)
    report = api.check(program)
    assert report.status == "refuted"
    # the budget of processor time is for people; a test has to find the same on any machine
    return nearest_repairs(program, report, seconds=30)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("T = sum q < R by horner: P[q] << q*batch", "T = sum q < R by horner: P[q] >> q*batch"),
        pytest.param("(A[c*C + h, (h + q) % R] - 1i", "(A[c*C + h, (h + q) % R] + 1i", marks=pytest.mark.slow),
        ("B[(h - q) % R, c*C + h] +", "B[(h + q) % R, c*C + h] +"),
    ],
)
def test_the_slip_is_undone(right: str, wrong: str) -> None:
    assert right in LORA
    found = repairs(LORA.replace(right, wrong))
    assert LORA in [repair.mutation.text() for repair in found]
    assert not any(repair.of_claim for repair in found)


SMALL = """program small(n = 8)
input  x[n]
weight M[n, n]
axes (h < n)
cipher X = 1i * x[h]
plain  D[q < n] = -1i * M[h, (h + q) % n]
Y = sum q < n: (X << q) * D[q]
output y[h] = re Y
prove  y == M @ x
"""


@pytest.mark.parametrize(
    ("right", "wrong", "said", "after"),
    [
        # over a line break, with a comment in it
        ("(X << q)", "((X  # twice\n  + X) << q)", "with `X` for `X + X` in line 7", "Y = sum q < n: (X << q) * D[q]"),
        # in the second line of a statement
        ("(X << q) *", "(X\n  >> q) *", "with `<<` for `>>` in line 8", "Y = sum q < n: (X << q) * D[q]"),
        # the sign of 1i, which can be mended in the other factor as well
        ("-1i * M", "1i * M", "with `-1i` for `1i` in line 5", "cipher X = -1i * x[h]"),
        # a whole word
        ("re Y", "im Y", "with `re Y` for `im Y` in line 8", "output y[h] = re Y"),
    ],
)
def test_changes_of_every_kind_are_said(right: str, wrong: str, said: str, after: str) -> None:
    assert right in SMALL
    found = repairs(SMALL.replace(right, wrong))
    sizes = [repair.mutation.size for repair in found]
    assert sizes == sorted(sizes), "the shortest change comes first"
    assert (f"{said} this proves", after) in [(repair.description(), repair.after()) for repair in found]


def test_a_wrong_claim() -> None:
    right = "claim S == (B @ x)[h % R, t] +"
    found = repairs(LORA.replace(right, right.replace("+", "-")))
    assert found[0].of_claim
    assert found[0].after().startswith(right)
    assert "the claim changes" in found[0].description()


def test_every_repair_proves_and_leaves_the_theorem() -> None:
    wrong = LORA.replace("(S << q*batch) * V", "(S >> q*batch) * V")
    original = api.loads(wrong)
    found = repairs(wrong)
    assert found
    for repair in found:
        program = api.loads(repair.mutation.text())
        assert api.check(program, "exact" if program.slots < 64 else "auto").proved
        assert program.theorems == original.theorems
        assert program.tensors == original.tensors


def test_nothing_repairs_what_is_far_from_right() -> None:
    program = api.load(PROGRAMS / "seed" / "rank_summed.slot", {"d": 16, "r": 2, "batch": 2, "slots": 8})
    assert nearest_repairs(program, api.check(program), seconds=1) == []


def test_a_hard_question_of_isl_ends() -> None:
    """Moduli 7 and 16 in one index: isl took more than ten minutes."""
    text = program_text("sparse_heads")
    wrong = text.replace("B[(h - q) % heads * N", "B[(h - q) % (heads - 1) * N")
    assert wrong != text
    program = api.loads(wrong)
    outcome = Polyhedral(program, 5_000).prove(goals(program)[0])
    assert outcome.status == "unknown"
    assert "too large" in outcome.reason


def test_a_statement_that_is_taken_away_leaves_no_blank_line(tmp_path: Path) -> None:
    path = tmp_path / "agree.slot"
    path.write_text(
        "program agree(H = 2, T = 2)\ninput x[H*T]\naxes (h < H, t < T)\ncipher X = x[slot]\nY = X + X\n"
        "claim Y == 0 where h*t >= t + t\noutput y[slot] = Y\nprove y == 2 * x\n"
    )
    lines = slotlang("check", str(path)).out.splitlines()
    assert any(line.startswith("  without `claim Y == 0 where h*t >= t + t` in line 6 this proves") for line in lines)
    assert lines[-1].strip() and not lines[-1].endswith(":")
