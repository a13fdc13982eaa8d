"""All wrong slots of a vector, against the brute-force oracle; what is said of them."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import generate
import numpy as np
import oracle
import pytest
from repository import bind_text

from slotlang.diagnostics import SlotError
from slotlang.meaning.bind import bind
from slotlang.meaning.program import Program
from slotlang.proof.check import check
from slotlang.proof.goals import goals, member
from slotlang.proof.verdict import Wrong
from slotlang.schedule.build import schedule
from slotlang.show import wrong as wrong_module
from slotlang.show.content import contents
from slotlang.show.wrong import as_set, at_random, held, mark_wrong, refutation, wrong_contents, wrong_slots
from slotlang.source import Source
from slotlang.syntax.parser import parse

FOLDER = Path(__file__).resolve().parent
TEXT = (FOLDER / "rank_complex.slot").read_text(encoding="utf-8")


def bound(text: str, **sizes: int) -> Program:
    return bind_text(text, sizes)


def edited(old: str, new: str, **sizes: int) -> Program:
    assert old in TEXT
    return bound(TEXT.replace(old, new), **sizes)


def masks_agree(text: str, sizes: dict[str, int]) -> int:
    """Every member of every goal; the number of wrong slots."""
    syntax = parse(Source("t.slot", text))
    program = bind(syntax, sizes)
    judged = oracle.judge(syntax, sizes)
    if not judged.wrong:
        return 0
    try:
        schedule(program)
        scheduled = True
    except SlotError:
        scheduled = False
    wrong = 0
    for goal in goals(program):
        for binders in goal.statement.envs():
            key = (goal.span.line, tuple(sorted(binders.items())))
            expected = [s for s in range(program.slots) if (*key, s) in judged.wrong]
            if not expected:
                continue
            failure = Wrong(goal, binders, expected[-1])
            found = wrong_slots(program, failure)
            ways = [as_set(program, failure), at_random(program, failure)]
            assert scheduled or ways[1] is None
            masks = [mask for mask in ways if mask is not None]
            assert bool(masks) == (found is not None)
            if found is not None:
                assert found.member == member(program, goal.statement, binders)[1]
                masks.append((found.wrong, found.claimed))
            for mask, claimed in masks:
                assert np.flatnonzero(mask).tolist() == expected
                assert bool(claimed[expected].all())
            wrong += len(expected) * (ways[0] is not None)
    return wrong


def test_masks_of_random_programs() -> None:
    wrong = 0
    for seed in range(12):
        text, sizes = generate.random_program(Random(1000 + seed))
        wrong += masks_agree(text, sizes)
    assert wrong > 10


TINY = {"d": 16, "r": 4, "batch": 2, "slots": 8}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("T << f*R*batch", "T << f*batch"),
        ("(h + q) % R] - 1i", "(h + q) % R] + 1i"),
        ("output y[c*C + h, t]", "output y[c*C + h, 1 - t]"),
        ("output y[c*C + h, t]", "output y[c*C + h, t - 1]"),
        ("cipher X[c < K] = x[c*C + h, t]", "cipher X[c < K] = x[c*C + h, t] * [h != 1 or c != 1]"),
        ("claim S == (B @ x)[h % R, t]", "claim S == (B @ x)[(h + t) % R, t]"),
    ],
)
def test_masks_of_rank_complex(old: str, new: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sets have as many operations here as all of these programs need, so that every one of them is compared."""
    monkeypatch.setattr(wrong_module, "MAX_SET_OPERATIONS", 100_000)
    assert old in TEXT
    assert masks_agree(TEXT.replace(old, new), TINY) > 0


def test_no_wrong_slots() -> None:
    program = bound(TEXT, **TINY)
    assert wrong_slots(program, None) is None
    assert wrong_slots(program, check(program, "polyhedral").failure) is None


def test_at_real_size() -> None:
    program = edited("cipher X[c < K] = x[c*C + h, t]", "cipher X[c < K] = x[c*C + h, t] * [t != 3]")
    report = check(program, "polyhedral")
    found = wrong_slots(program, report.failure)
    assert found is not None
    assert found.sentence() == "512 of 4,096 slots of S are wrong: exactly those with t = 3"
    marked = mark_wrong(contents(program, "S"), found)
    assert marked.wrong_sentence() == "512 of 4,096 slots of S are wrong"
    assert marked.to_json()["wrong"] == 512
    assert mark_wrong(contents(program, "T"), found).wrong is None
    assert wrong_contents(program, report, found).text(3) == "0"


def test_sentences() -> None:
    def sentence(old: str, new: str) -> str:
        program = edited(old, new, **TINY)
        found = wrong_slots(program, check(program, "polyhedral").failure)
        assert found is not None
        return found.sentence()

    x = "cipher X[c < K] = x[c*C + h, t]"
    assert sentence(x, x + " * [h != 2]") == "all 8 slots of S are wrong"
    assert sentence(x, x + " * [h != 2 or t == 1]") == "4 of 8 slots of S are wrong: exactly those with t = 0"
    v = "(h + q) % R + R])"
    assert sentence(v, v + " * [h % 2 == 0]") == "4 of 8 slots of Y[0] are wrong: exactly those with h = 1, 3"
    assert sentence(v, v + " * [h < 1 or t < 1]") == "3 of 8 slots of Y[0] are wrong"
    where = sentence("[h % R + R, t]\n", "[h % R + R, 0] where h < 3\n")
    assert where == "3 of 6 slots of S that are claimed are wrong: exactly those with t = 1"


def test_refutation_of_a_claim() -> None:
    program = edited("B[(h - q) % R, c*C + h] +", "B[h % R, c*C + h] +", **TINY)
    report = check(program, "polyhedral")
    found = refutation(program, report)
    assert (found.statement, found.line, found.title) == ("claim S", 23, "S")
    assert found.slot is not None
    assert [n.slot for n in found.around] == [s for s in range(found.slot - 3, found.slot + 4) if 0 <= s < 8]
    (here,) = [n for n in found.around if n.slot == found.slot]
    assert here.wrong
    h, t = here.digits
    assert here.should.text == f"(B @ x)[{h % 2}, {t}] + 1i * (B @ x)[{h % 2 + 2}, {t}]"
    data = found.to_json()
    assert json.loads(json.dumps(data)) == data
    assert found.wrong is not None
    assert (data["wrong"], data["of"]) == (found.wrong.count, 8)


def test_refutation_of_an_output_uses_the_claims_proved_before() -> None:
    program = edited("(h + q) % R] - 1i", "(h + q) % R] + 1i", **TINY)
    found = refutation(program, check(program, "polyhedral"))
    assert found.statement == "output y[c*C + h, t]"
    assert "(B @ x)" in found.around[0].holds.text
    assert found.around[0].should.text.startswith("scale * (A @ B @ x)[")


def test_slots_that_are_not_output_should_hold_anything() -> None:
    program = edited("output y[c*C + h, t]", "output y[c*C + h, t - 1]", **TINY)
    found = refutation(program, check(program, "polyhedral"))
    assert {n.claimed for n in found.around} == {True, False}
    assert all(n.claimed == (n.digits[1] == 1) for n in found.around)
    assert all(not n.wrong for n in found.around if not n.claimed)
    assert found.wrong is not None
    assert found.wrong.sentence() == "all 4 slots of Y[0] that are output are wrong"


def test_refutation_without_wrong_slots() -> None:
    program = edited("output y[c*C + h, t]", "output y[c*C + h, 0]", **{**TINY, "batch": 1, "slots": 4})
    twice = bound(TEXT.replace("prove  y", "output y[c*C + h, t] = re Y[c]\nprove  y"), **TINY)
    found = refutation(twice, check(twice, "polyhedral"))
    assert (found.slot, found.around, found.wrong) == (None, (), None)
    assert "more than once" in found.lines[0]
    with pytest.raises(ValueError, match="nothing is refuted"):
        refutation(program, check(program, "polyhedral"))


def test_where_is_exact() -> None:
    program = edited("cipher X[c < K] = x[c*C + h, t]", "cipher X[c < K] = x[c*C + h, t]", **TINY)
    found = wrong_slots(program, Wrong(goals(program)[0], {}, 5))
    assert found is not None
    assert found.sentence() == "1 of 8 slots of S is wrong"
    assert found.where() == ""


def test_of_claims_that_are_worded_alike_only_the_right_one_is_believed() -> None:
    program = bound("""program twice(n = 4)
input x[n]
axes (h < n)
cipher X = x[h]
S = X << 1
claim S == x[(h + 1) % n]
claim S == x[(h + 2) % n]
output y[(h + 1) % n] = S
prove y == x
""")
    report = check(program)
    assert [status for _, status in report.steps[:2]] == ["proved", "refuted"]
    assert [claim.span.line for claim in held(program, report.steps)] == [6]


def test_one_slot_that_carries_a_number_is_told_as_one() -> None:
    program = bound(
        "program p(n = 8)\ninput x[n]\naxes (h < n)\ncipher X = x[h]\nS = X + (X << 4)\n"
        "output y = S where slot == 0\nprove y == x[0] + x[1]\n"
    )
    found = refutation(program, check(program, "polyhedral"))
    assert found.wrong is not None and found.wrong.sentence() == "the one slot of S that is output is wrong"
