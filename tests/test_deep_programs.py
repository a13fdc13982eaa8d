"""Families that read each other many times in a row: every command has an answer, and a refutation stands."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import deep_programs
import pytest
from command_line import slotlang
from deep_programs import HEAD, SLOTS, chain, plain, recursive

import slotlang.show.wrong as wrong_module
from slotlang.api import check, cost, loads, lower
from slotlang.diagnostics import SlotError
from slotlang.graph.ring import Evaluations
from slotlang.meaning.integers import SLOT, IntVar
from slotlang.meaning.unused import unused
from slotlang.proof.random import degree
from slotlang.proof.report import Method
from slotlang.proof.terms import MAX_FACTORS, ONE, Expander, collected
from slotlang.proof.verdict import Wrong
from slotlang.refusals import GaveUp
from slotlang.show.explained import FIRST, LAST, explanation
from slotlang.show.shown import shown
from slotlang.show.trace import trace
from slotlang.show.wrong import refutation

KINDS: list[Callable[..., str]] = [recursive, chain, plain]
DEPTHS = [150, pytest.param(400, marks=pytest.mark.slow), pytest.param(1000, marks=pytest.mark.slow)]


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("text", KINDS)
def test_right_programs_are_proved(text: Callable[..., str], depth: int) -> None:
    report = check(loads(text(depth)))
    assert report.status == "proved" and not any("not cross-checked" in note for note in report.notes)


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("text", KINDS)
def test_wrong_programs_are_refuted_and_explained(text: Callable[..., str], depth: int) -> None:
    program = loads(text(depth, off=1))
    report = check(program)
    assert report.status == "refuted" and isinstance(report.failure, Wrong)
    assert report.counterexample is not None and report.counterexample.confirmed
    found = refutation(program, report)
    assert found.left_out == "" and found.wrong is not None and found.wrong.count == SLOTS
    for near in found.around:
        step = (near.slot + depth - 1) % SLOTS
        extra = f"x[{near.slot}] * " if text is plain else ""
        name = "w" if text is plain else "x"
        texts = [f"{name}[{(step + off) % SLOTS}]" for off in (0, 1)]
        if text is plain:
            assert texts[0] in near.holds.text and texts[1] in near.should.text and extra.strip(" *") in near.holds.text
        else:
            assert [near.holds.text, near.should.text] == texts


def test_the_way_back_is_as_long_as_the_program() -> None:
    program = loads(recursive(1000, off=1))
    lines = [step.text for step in trace(program, "S[999]", (), 2)]
    assert len(lines) == 1001 and lines[0] == "S[999] slot 2 <- S[998] slot 3"
    assert lines[-1] == f"X slot {(2 + 999) % SLOTS} = x[{(2 + 999) % SLOTS}]"


def test_a_long_way_back_is_shortened() -> None:
    program = loads(recursive(150, off=1))
    lines = explanation(program, check(program), None)
    assert len(lines) == 1 + FIRST + 1 + LAST and lines[1 + FIRST] == f"  … {151 - FIRST - LAST} steps"
    short = loads(recursive(10, off=1))
    assert len(explanation(short, check(short), None)) == 1 + 11


def test_degrees_and_work_of_a_thousand_families() -> None:
    program = loads(recursive(1000, body="S[k - 1] * X"))
    last = program.families["S[999]"].body
    assert degree(program, last) == 1000
    # a read for X, and a product and a read of X for each member
    assert Evaluations(program).of(last) == 1 + 999 * 2


@pytest.mark.parametrize("text", [recursive, chain])
def test_a_glance_and_the_costs(text: Callable[..., str]) -> None:
    program = loads(text(150))
    rows = shown(program, None).rows
    assert len(rows) == 151 and all(row.distinct == SLOTS for row in rows[:100])
    assert cost(program).counts.rotations == 149


def command(tmp_path: Path, text: str, *words: str):  # type: ignore[no-untyped-def]
    path = tmp_path / "p.slot"
    path.write_text(text)
    return slotlang(*[str(path) if word == "FILE" else word for word in words])


def test_check_of_a_wrong_program(tmp_path: Path) -> None:
    found = command(tmp_path, recursive(150, off=1), "check", "FILE")
    assert found.status == 1 and found.err == ""
    assert found.out.startswith("refuted") and "where it came from" in found.out and "holds" in found.out


def test_check_of_a_wrong_program_as_json(tmp_path: Path) -> None:
    found = command(tmp_path, chain(150, off=1), "check", "--json", "FILE")
    (file,) = json.loads(found.out)["files"]
    assert (found.status, file["verdict"], file["diagnostics"]) == (1, "refuted", [])


@pytest.mark.slow
@pytest.mark.parametrize("depth", [150, 400, 1000])
@pytest.mark.parametrize("text", KINDS)
def test_every_command(tmp_path: Path, text: Callable[..., str], depth: int) -> None:
    wrong, right = text(depth, off=1), text(depth)
    for words in (["check", "FILE"], ["check", "--json", "FILE"]):
        assert command(tmp_path, wrong, *words).status == 1
        assert command(tmp_path, right, *words).status == 0
    for words in (["show", "FILE"], ["cost", "FILE"], ["graph", "FILE", "--format", "json"]):
        assert command(tmp_path, wrong, *words).status == 0
    module = str(tmp_path / "m.py")
    lowered = command(tmp_path, right, "lower", "FILE", "-o", module)
    if text is plain and depth > 200:
        assert lowered.status == 2 and lowered.err.count("error[") == 1 and "error[SL309]" in lowered.err
        return
    assert lowered.status == 0
    # validation follows 20 calls in a row, and says that it does not decide
    assert command(tmp_path, right, "check", module).status == int(text is plain)
    assert command(tmp_path, right, "run", "FILE").status == 0


def test_a_module_of_plain_families_that_read_each_other() -> None:
    with pytest.raises(SlotError) as caught:
        lower(loads(plain(201)))
    (found,) = caught.value.diagnostics
    assert found.code == "SL309" and "more than 200 times in a row" in found.message


@pytest.mark.slow
def test_a_refutation_stands_where_values_are_too_long(tmp_path: Path) -> None:
    # 2^13 terms, each at another place, are more than are written out
    found = command(tmp_path, recursive(14, off=1, body="S[k - 1] + (S[k - 1] << 2**k)"), "check", "FILE")
    assert found.status == 1 and found.out.startswith("refuted")
    assert "left out: what the slots around it hold (more than 4096 terms)" in found.out


@pytest.mark.parametrize("at", ["slotlang.show.wrong._around", "slotlang.show.trace.trace"])
def test_a_refutation_stands_where_the_stack_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str) -> None:
    def deep(*_: object, **__: object) -> None:
        raise RecursionError

    monkeypatch.setattr(at, deep)
    found = command(tmp_path, recursive(4, off=1), "check", "FILE")
    assert found.status == 1 and found.out.startswith("refuted") and "error" not in found.err
    assert "left out: " in found.out and "(values nest too deeply to follow them)" in found.out


def test_indices_that_nest_too_deeply_leave_the_verdict(tmp_path: Path) -> None:
    text = f"""{HEAD.replace("weight w[n]", "").replace("x[n]", "x[4, n]").replace("X = x[t]", "X[j < 4] = x[j, t]")}
S[j < 4, k < 300] = X[j] if k == 0 else S[(j + 1) % 4, k - 1]
output y[j, t] = S[j, 299]
prove y[j < 4, i < n] == x[(j + {{off}}) % 4, i]
"""
    right, wrong = (check(loads(text.format(off=off))) for off in (299 % 4, 2))
    assert (right.status, wrong.status) == ("proved", "refuted")
    found = refutation(loads(text.format(off=2)), wrong)
    assert "nests more than 200 deep" in found.left_out


def test_certificates_of_deep_programs(tmp_path: Path) -> None:
    out = tmp_path / "c.json"
    found = command(tmp_path, recursive(1000), "check", "FILE", "--certificate", str(out))
    assert found.status == 2 and "SL705" in found.err and "too many times in a row for the checker" in found.err
    assert not out.exists()


@pytest.mark.parametrize(
    "line",
    ["Y = " + "(" * 1000 + "X" + ")" * 1000, "Y = " + "-" * 1000 + "X", "Y = X" + " + X" * 1000],
    ids=["parentheses", "signs", "sums"],
)
def test_a_deep_expression_is_one_error(tmp_path: Path, line: str) -> None:
    tail = "\noutput y[t] = Y\nprove y[i < n] == x[i]\n"
    found = command(tmp_path, deep_programs.HEAD.replace("weight w[n]", "") + line + tail, "check", "FILE")
    assert found.status == 2 and found.err.count("error[") == 1 and "error[SL104]" in found.err


def test_deep_definitions_are_one_error(tmp_path: Path) -> None:
    nested = "def f0(v) = v << 1\n" + "".join(f"def f{i}(v) = f{i - 1}(v) << 1\n" for i in range(1, 1000))
    tail = "Y = f999(X)\noutput y[t] = Y\nprove y[i < n] == x[i]\n"
    found = command(tmp_path, nested + HEAD.replace("weight w[n]", "") + tail, "check", "FILE")
    assert found.status == 2 and found.err.count("error[") == 1 and "error[SL115]" in found.err


def test_the_module_of_wrong_slots_says_what_is_left_out() -> None:
    assert wrong_module.left_out("this", ValueError("that")) == "left out: this (that)"


@pytest.mark.parametrize("method", ["auto", "random", "polyhedral", "exact"])
def test_squares_of_squares_end(method: Method) -> None:
    # a power 2^20, and 2^149, of x: its factors are never written out
    for depth in (21, 150):
        program = loads(recursive(depth, body="S[k - 1] * S[k - 1]"))
        report = check(program, method)
        if method in ("auto", "random"):
            assert report.status == "refuted" and report.counterexample is not None and report.counterexample.confirmed
            assert "factors" in refutation(program, report).left_out
        else:
            assert report.status == "unknown" and "factors" in report.reason


def test_squares_are_expanded_once() -> None:
    program = loads(recursive(11, body="S[k - 1] * S[k - 1]"))
    expander = Expander(program)
    (term,) = expander.expand(program.outputs[0].family, {}, IntVar(SLOT))
    assert len(term.reads) == 1024 == MAX_FACTORS
    assert expander._work < 100
    twice = loads(recursive(12, body="S[k - 1] * S[k - 1]"))
    with pytest.raises(GaveUp, match="products of 2,048 factors"):
        Expander(twice).expand(twice.outputs[0].family, {}, IntVar(SLOT))


@pytest.mark.parametrize("depth", [13, 14, 20, 300])
def test_doubling_says_the_factor(depth: int) -> None:
    program = loads(recursive(depth, body="S[k - 1] + S[k - 1]").replace(f"(i + {(depth - 1) % SLOTS}) % n", "i"))
    report = check(program)
    assert report.status == "refuted" and report.counterexample is not None
    found = report.counterexample
    assert (found.monomial, found.should_hold, found.holds) == ("x[0]", "1", str(2 ** (depth - 1)))
    drawn = refutation(program, report)
    assert not drawn.left_out and [n.should.text for n in drawn.around] == [f"x[{n.slot}]" for n in drawn.around]
    assert trace(program, f"S[{depth - 1}]", (), 0)[0].text == f"S[{depth - 1}] slot 0 <- S[{depth - 2}] slot 0 (twice)"


def test_equal_terms_are_added_up_and_those_that_cancel_left_out() -> None:
    one = replace(ONE, scalars=("a",))
    other = replace(ONE, scalars=("b",))
    loop = replace(ONE, bound=(("q", 3),))
    less = replace(other, re=Fraction(-1))
    assert collected([one, other, loop, one, less, loop]) == [replace(one, re=Fraction(2)), loop, loop]


@pytest.mark.slow
@pytest.mark.parametrize("right", [True, False])
def test_permutations_of_permutations(right: bool) -> None:
    text = recursive(1000, off=0 if right else 1, body="permute(S[k - 1], s)")
    text = text.replace("S[k <", f"perm s: slot -> (slot + {SLOTS - 1}) % {SLOTS}\nS[k <")
    assert check(loads(text)).status == ("proved" if right else "refuted")


def test_a_family_that_is_written_out_is_one_warning() -> None:
    text = recursive(100).replace("output y[t] = S[99]", "output y[t] = S[40]")
    text = text.replace(f"(i + {99 % SLOTS})", f"(i + {40 % SLOTS})")
    (warning,) = unused(loads(text))
    assert warning.message == "59 of 100 members of 'S', the first of them 'S[41]', are never used"
    (warning,) = unused(loads(recursive(100).replace("output y[t] = S[99]", "output y[t] = S[98]")))
    assert warning.message == "one of 100 members of 'S', 'S[99]', is never used"
    (warning,) = unused(loads(recursive(100).replace("output y[t] = S[99]", "output y[t] = X")))
    assert warning.message == "computed family 'S' is never used"
    claimed = text.replace("output y", f"claim S[k] == x[(t + k) % {SLOTS}]\noutput y")
    # a claim about all members is one of those that are used as well
    assert [warning.code for warning in unused(loads(claimed))] == ["SL331"]
