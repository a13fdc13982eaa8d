"""What would make a refuted program prove."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import slotlang
from repository import PROGRAMS, program_text
from small_programs import diagonals

from slotlang import api
from slotlang.meaning.program import Program
from slotlang.mutation import repair as repair_module
from slotlang.mutation.repair import Repair, nearest_repairs
from slotlang.mutation.witness import Witness
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
        pytest.param("B[(h - q) % R, c*C + h] +", "B[(h + q) % R, c*C + h] +", marks=pytest.mark.slow),
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


TOKENS = diagonals("tokens", 8, "batch")
FEW_TOKENS = diagonals("tokens", 4, "batch")


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("q*batch", "q", "with `q*batch` for `q` in line 7 this proves"),
        ("q*batch", "batch", "with `batch*q` for `batch` in line 7 this proves"),
        ("(h + q) % n", "q % n", "with `q + h` for `q` in line 6 this proves"),
        ("(h + q) % n", "h % n", "with `h + q` for `h` in line 6 this proves"),
    ],
)
def test_what_was_forgotten_is_put_in(right: str, wrong: str, said: str) -> None:
    assert said in [repair.description() for repair in repairs(TOKENS.replace(right, wrong))]


def test_what_proves_by_chance_at_these_sizes_is_not_offered_beside_what_proves_at_others() -> None:
    # with two tokens `q + q` is `q*batch`
    found = [repair.description() for repair in repairs(FEW_TOKENS.replace("q*batch", "q"))]
    assert found == ["with `q*batch` for `q` in line 7 this proves"]
    # where nothing better is found, it stays
    found = [repair.after() for repair in repairs(FEW_TOKENS.replace("q*batch", "q*q"))]
    assert found == ["Y = sum q < n: (X << q + q) * D[q]"]


def test_titles_say_which_occurrence_is_changed() -> None:
    text = """program thrice(n = 8)
input x[n]
axes (h < n)
cipher X = x[h]
X2 = X * X
X22 = X2
Y = X22 * 0 + X2 * (X2 << n)  # X2
output y[h] = Y
prove y[i < n] == x[i] ** 3
"""
    found = [(repair.description(), repair.after()) for repair in repairs(text)]
    # a part of a longer word is not an occurrence
    assert ("with `X` for the first `X2` in line 7 this proves", "Y = X22 * 0 + X * (X2 << n)") in found
    assert ("with `X` for the second `X2` in line 7 this proves", "Y = X22 * 0 + X2 * (X << n)") in found


def test_operands_in_another_order_are_no_other_repair() -> None:
    text = """program cube(n = 8)
input x[n]
axes (h < n)
cipher X = x[h]
X2 = X * X
Y = X2 * X2
output y[h] = Y
prove y[i < n] == x[i] ** 3
"""
    assert [repair.after() for repair in repairs(text)] == ["Y = X * X2"]


DOT = """program dot(n = 8, t = 2)
input x[n]
weight w[1, n]
axes (h < n, u < t)
cipher X = x[h]
plain W = w[0, h]
P = W * X
S = sum f < n by doubling: P << f*t
output y[0] = S
prove y == w @ x
"""


@pytest.mark.parametrize(
    ("text", "after"),
    [
        (DOT, "output y[0] = S where h == 0 and u == 0"),
        # `h == 0` alone proves here too, and not at other sizes
        (DOT.replace("t = 2", "t = 1"), "output y[0] = S where h == 0 and u == 0"),
        (
            FEW_TOKENS.replace("axes (h < n, t < batch)", "axes (h < n, c < 2, t < batch)").replace(
                "q*batch", "2*q*batch"
            ),
            "output y[h, t] = Y where c == 0",
        ),
        (
            FEW_TOKENS.replace("(h < n", "(h < 2*n")
            .replace("x[h,", "x[h % n,")
            .replace("A[h, ", "A[h % n, ")
            .replace("y[h,", "y[h % n,"),
            "output y[h % n, t] = Y where h < n",
        ),
        (
            "program slots(slots = 4)\ninput x[1]\ncipher X = x[0]\noutput y[0] = X\nprove y == x\n",
            "output y[0] = X where slot == 0",
        ),
    ],
)
def test_of_the_slots_that_carry_the_same_element_one_is_chosen(text: str, after: str) -> None:
    found = repairs(text)
    assert found[0].after() == after
    assert api.check(api.loads(found[0].mutation.text())).proved


GIANT_STEPS = """program giant_steps(n = 8, n1 = 2)
let n2 = n / n1
input x[n]
weight M[n, n]
axes (h < n)
cipher X = x[h]
plain W[j < n2, i < n1] = M[(h - j*n1) % n, (h + i) % n]
G[j < n2] = sum i < n1: W[j, i] * (X << i)
S = sum j < n2: G[j] << j*n1
output y[h] = S
prove y == M @ x
"""
OF_TOKENS = (
    GIANT_STEPS.replace("n1 = 2", "n1 = 2, batch = 2")
    .replace("x[n]", "x[n, batch]")
    .replace("x[h]", "x[h, t]")
    .replace("(h < n)", "(h < n, t < batch)")
    .replace("<< i", "<< i*batch")
    .replace("<< j*n1", "<< j*n1*batch")
    .replace("y[h]", "y[h, t]")
)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        (GIANT_STEPS, "M[h, (h + j*n1 + i) % n]"),
        (OF_TOKENS, "M[h, (h + j*n1 + i) % n]"),
        (
            GIANT_STEPS.replace("G[j]", "G[k]")
            .replace("G[k < n2] =", "G[k < n2] =")
            .replace("j < n2: G[k] << j", "k < n2: G[k] << k"),
            "M[h, (h + i + j*n1) % n]",
        ),
        (
            GIANT_STEPS.replace("G[j] << j*n1", "G[j] >> j*n1").replace("h - j*n1", "h + j*n1"),
            "M[h, (h - j*n1 + i) % n]",
        ),
    ],
)
def test_rows_of_giant_steps_are_rotated_beforehand(right: str, wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repair_module, "ENOUGH", 1)
    before = "M[(h + j*n1) % n, (h + i) % n]" if ">>" in right else "M[(h - j*n1) % n, (h + i) % n]"
    assert before in right
    program = api.loads(right.replace(before, wrong))
    report = api.check(program)
    assert report.status == "refuted"
    found = nearest_repairs(program, report, seconds=30)
    assert found[0].mutation.text() == right


def test_what_a_proved_claim_mentions_may_be_wrong() -> None:
    """The product by baby and giant steps is proved of D; what is wrong is D."""
    text = """import "std/schedules.slot" as s
program p(n = 64)
input x[n]
weight M[n, n]
axes (h < n)
cipher X = x[h]
plain D[q < n] = M[h, (h - q) % n]
Y = s.bsgs_product(X, D, n, 8)
output y[h] = Y
prove y == M @ x
"""
    found = repairs(text)
    assert "with `+` for `-` in line 7 this proves" in [repair.description() for repair in found]


@pytest.mark.slow
def test_counterexamples_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few changes have to be proved: most are wrong where another one was."""
    tried = []
    proves = repair_module._failing_goal_proves

    def counted(program: Program, witness: Witness) -> bool:
        tried.append(program)
        return proves(program, witness)

    monkeypatch.setattr(repair_module, "_failing_goal_proves", counted)
    text = LORA.replace("(A[c*C + h, (h + q) % R]", "(A[c*C + h, (c + q) % R]")
    assert repairs(text)
    assert len(tried) < 40


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


@pytest.mark.parametrize("condition", ["h < 8", "h <= 7 and h < n", "8 > h"])
def test_a_condition_is_not_emptied(condition: str) -> None:
    right = "program p(n = 16)\ninput x[n]\naxes (h < n)\ncipher X = x[h]\noutput y[h] = X\nprove y == x\n"
    after = [r.after() for r in repairs(right.replace("= X\n", f"= X where {condition}\n"))]
    assert after
    for text in after:
        _, _, changed = text.partition(" where ")
        # `h - h < 8` and `h < 8 + slot` prove as well: they say nothing
        assert changed.count("h") <= condition.count("h") and "slot" not in changed
    if "and" not in condition:
        assert {"output y[h] = X", f"output y[h] = X where {condition.replace('8', 'n')}"} <= set(after)


NUMBER = """program number(n = 8)
input x[n]
axes (h < n)
cipher X = x[h]
T = X + (X << 4)
U = T + (T << 2)
S = U + (U << 1)
output y = S
prove y == ones(n) @ x
"""


def test_a_number_in_all_slots_is_read_from_the_first() -> None:
    (found,) = repairs(NUMBER)
    assert found.after() == "output y = S where slot == 0"


def test_a_claim_that_would_say_nothing_is_no_repair() -> None:
    """A claim of slot 2 that is wrong there proves where its condition never holds."""
    before = NUMBER.replace("= S\n", "= S where slot == 0\n") + "claim T == 3 * x[h] where slot == 2\n"
    after = before.replace("slot == 2", "slot * n == 2")
    assert repair_module._claims_nothing(api.loads(before), api.loads(after))
    assert not repair_module._claims_nothing(api.loads(before), api.loads(before.replace("slot == 2", "slot == 7")))
    assert all("slot * n" not in repair.after() and "n * slot" not in repair.after() for repair in repairs(before))
