"""Puzzles can be solved, are not solved as they are given, and can't be solved by changing what is asked."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from command_line import slotlang
from repository import ROOT, TESTS

from slotlang.api import check, cost, loads
from slotlang.diagnostics import SlotError
from slotlang.meaning.bind import bind
from slotlang.proof.check import Report
from slotlang.puzzles.book import PUZZLES, Puzzle
from slotlang.puzzles.judge import Judged, judge, judge_file
from slotlang.source import Source
from slotlang.syntax import tree
from slotlang.syntax.parser import parse

SOLUTIONS = TESTS / "puzzles" / "solutions"
BY_NAME = {puzzle.name: puzzle for puzzle in PUZZLES}

each = pytest.mark.parametrize("puzzle", PUZZLES, ids=lambda p: p.name)


def solution(name: str) -> str:
    return (SOLUTIONS / f"{name}.slot").read_text(encoding="utf-8")


def judged(name: str, text: str) -> Judged:
    return judge(BY_NAME[name], parse(Source(f"{name}.slot", text)))


def edited(name: str, *edits: tuple[str, str]) -> Judged:
    """A solution with other parts."""
    text = solution(name)
    for before, after in edits:
        assert text.count(before) == 1, before
        text = text.replace(before, after)
    return judged(name, text)


def test_there_are_eight_with_a_solution_each() -> None:
    assert len(PUZZLES) == len(BY_NAME) == 8
    assert sorted(path.stem for path in SOLUTIONS.glob("*.slot")) == sorted(BY_NAME)


@pytest.mark.parametrize(
    "puzzle", [pytest.param(p, marks=[pytest.mark.slow] if p.every_size else [], id=p.name) for p in PUZZLES]
)
def test_a_solution_meets_the_goal(puzzle: Puzzle) -> None:
    found = judge_file(SOLUTIONS / f"{puzzle.name}.slot")
    assert found.puzzle is puzzle and found.solved and found.hint == "", found.lines()
    assert found.counts.keys() == puzzle.limits.keys()


def test_a_proof_for_every_size_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    # the proof itself takes more than two seconds
    asked: list[list[str]] = []

    def proved(syntax: tree.Program, names: list[str]) -> Report:
        asked.append(names)
        return check(bind(syntax, {"n": 4}))

    monkeypatch.setattr("slotlang.puzzles.judge.check_for_all", proved)
    assert judge_file(SOLUTIONS / "sizes.slot").solved and asked == [["all"]]


@each
def test_the_puzzle_itself_does_not(puzzle: Puzzle) -> None:
    found = judged(puzzle.name, puzzle.text)
    assert not found.solved and found.changed == ()
    assert found.hint in puzzle.hints.values() and found.hint


@each
def test_what_it_says_of_itself(puzzle: Puzzle) -> None:
    head = puzzle.text[: puzzle.text.index("\nprogram ")]
    goal = head.partition("# Goal: ")[2].partition("\n")[0]
    assert goal.startswith(puzzle.goal.rstrip("."))
    assert head.startswith(f"# Puzzle {puzzle.name}: ") and "# Yours to change: " in head
    assert puzzle.syntax.header.name == puzzle.name


@each
def test_it_leads_to_a_section_of_the_tutorial(puzzle: Puzzle) -> None:
    tutorial = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    assert f"\n## {puzzle.section}\n" in tutorial
    assert f"]({puzzle.link.removeprefix('docs/')})" in (ROOT / "docs" / "puzzles.md").read_text(encoding="utf-8")


@each
def test_the_page_says_what_it_costs_as_it_is_given(puzzle: Puzzle) -> None:
    page = (ROOT / "docs" / "puzzles.md").read_text(encoding="utf-8")
    (row,) = [line for line in page.splitlines() if line.startswith(f"| `{puzzle.name}` |")]
    given = row.split("|")[2]
    nouns = {"rotations": "rotations", "Galois keys": "galois_keys", "products in a row": "depth"}
    nouns["ciphertexts down"] = "ciphertexts_out"
    said = {nouns[noun]: int(n) for n, noun in re.findall(rf"(\d+) ({'|'.join(nouns)})", given)}
    assert bool(said) == ("expensive" in given) == bool(puzzle.limits and "wrong" not in given)
    if said:
        counts = cost(loads(puzzle.text)).counts
        assert said == {name: getattr(counts, name) for name in said}
        assert check(loads(puzzle.text)).proved
    assert ("wrong" in given) == (check(loads(puzzle.text)).status == "refuted")


@each
def test_every_hint_can_be_met(puzzle: Puzzle) -> None:
    states = set(puzzle.limits) | {"refuted", "unknown"}
    assert set(puzzle.hints) <= states and set(puzzle.limits) <= set(puzzle.hints)


def test_half_of_a_solution_gets_the_next_hint() -> None:
    # right, but a rotation for each channel
    found = edited("score", ("f < C by doubling:", "f < C:"))
    assert found.report is not None and found.report.proved and not found.solved
    assert (found.counts["rotations"], found.over) == (7, ("rotations",))
    assert found.hint == BY_NAME["score"].hints["rotations"]


def test_a_wrong_claim_about_every_step_is_refuted() -> None:
    found = edited("sizes", ("x[(h - j) % n]", "x[(h + j) % n]"))
    assert found.report is not None and found.report.status == "refuted"
    assert found.hint == BY_NAME["sizes"].hints["refuted"]


# Cheating


@pytest.mark.parametrize(
    ("name", "edits"),
    [
        pytest.param("layout", [("prove  z == x", "prove  z == 0 * x")], id="another theorem"),
        pytest.param("score", [("claim S == (w @ x)[t]\n", "")], id="a claim left out"),
        pytest.param("score", [("claim S == (w @ x)[t]", "claim S == S")], id="a claim of nothing"),
        pytest.param("score", [("d = 32", "d = 8")], id="a smaller size"),
        pytest.param("score", [("where h == 0", "where h == 1")], id="another slot of the result"),
        pytest.param("ranks", [("require C % r == 0\n", "")], id="a requirement left out"),
        pytest.param("ranks", [("let K = d / C ", "let K = 2 * d / C - d / C ")], id="another let"),
        pytest.param("levels", [("weight A[d, r], B[r, d]", "weight A[d, r], B[r, d], F[d, d]")], id="another weight"),
        pytest.param("levels", [("scalar scale\n", "scalar scale, other\n")], id="another scalar"),
        pytest.param(
            "keys", [("cipher X[c < K] = x[c*C + h, t]", "cipher X[c < K] = 2 * x[c*C + h, t]")], id="packing"
        ),
        pytest.param(
            "score",
            [("\nP = sum", "\ncipher Z[c < K, f < C] = x[c*C + (h + f) % C, t]\nP = sum")],
            id="the client rotates",
        ),
        pytest.param("sizes", [("let steps", "require n == 16\nlet steps")], id="one size alone"),
        pytest.param("sizes", [("axes (h < n)", "bound |x| <= 0\naxes (h < n)")], id="a bound"),
        pytest.param(
            "pairs",
            [("axes (h", "parameters degree 8192 primes 60, 60, 60 scales 36\naxes (h")],
            id="parameters",
        ),
        pytest.param(
            "layout", [("prove  z == x", "prove  z == x\noutput u[h*K + c, t] = X[c]\nprove u == x")], id="output"
        ),
    ],
)
def test_what_is_asked_can_not_be_changed(name: str, edits: list[tuple[str, str]]) -> None:
    found = edited(name, *edits)
    assert not found.solved and found.changed and found.report is None, found.lines()
    assert f"slotlang puzzle show {name}" in found.hint


def test_comments_spaces_and_more_claims_are_free() -> None:
    more = "# mine\nlet half = C / 2\nclaim P == sum c < K: w[c*C + h] * x[c*C + h, t]\nS = "
    found = edited("score", ("S = ", more), ("let C = slots / batch            #", "let C=slots/batch #"))
    assert found.solved, found.lines()


def test_a_definition_hides_no_change() -> None:
    # what is imported or defined is expanded before anything is compared
    text = solution("score").replace("prove  y == w @ x", "def all(v) = 0 * (w @ v)\nprove  y == all(x)")
    assert not judged("score", text).solved


def test_a_name_that_no_puzzle_has(tmp_path: Path) -> None:
    path = tmp_path / "p.slot"
    path.write_text(solution("layout").replace("program layout", "program layuot"))
    with pytest.raises(SlotError) as raised:
        judge_file(path)
    (diagnostic,) = raised.value.diagnostics
    assert diagnostic.code == "SL011" and diagnostic.hint == "did you mean 'layout'?"


# The command


def test_a_puzzle_has_a_number_too() -> None:
    assert slotlang("puzzle", "show", "2").out == slotlang("puzzle", "show", "score").out
    for name in ("0", "9", "-1", "²"):
        assert slotlang("puzzle", "show", "--", name).status == 2


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_from_the_list_to_a_solution(folder: Path) -> None:
    listed = slotlang("puzzle")
    assert listed.status == 0 and listed.out.endswith("next: slotlang puzzle show layout\n")
    assert re.findall(r"^\d  (\w+)", listed.out, re.MULTILINE) == [puzzle.name for puzzle in PUZZLES]
    assert "0 of 8 solved" in listed.out
    shown = slotlang("puzzle", "show", "layout")
    assert shown.status == 0 and BY_NAME["layout"].text in shown.out
    assert slotlang("puzzle", "start", "layout").status == 0
    path = folder / "layout.slot"
    assert path.read_text() == BY_NAME["layout"].text
    wrong = slotlang("puzzle", "check", "layout.slot")
    assert wrong.status == 1 and wrong.out.startswith("not solved  layout: prove it\n") and "\nhint: " in wrong.out
    assert "layout     started" in slotlang("puzzle").out
    path.write_text(solution("layout"))
    right = slotlang("puzzle", "check", "layout.slot")
    assert right.status == 0 and right.out.startswith("solved  layout: prove it\n")
    assert right.out.endswith("next: slotlang puzzle show score\n")
    again = slotlang("puzzle").out
    assert "layout     solved" in again and "1 of 8 solved" in again and "show score" in again


def test_nothing_is_overwritten(folder: Path) -> None:
    path = folder / "layout.slot"
    path.write_text("mine")
    ended = slotlang("puzzle", "start", "layout")
    assert ended.status == 2 and ended.err.startswith("error[SL010]: layout.slot is there already")
    assert path.read_text() == "mine"
    assert slotlang("puzzle", "start", "layout", "-o", "other.slot").status == 0
    assert (folder / "other.slot").read_text() == BY_NAME["layout"].text


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["show", "layuot"], "SL005"),
        (["start", "nothing"], "SL005"),
        (["start", "layout", "-o", "no/where.slot"], "SL004"),
        (["check", "absent.slot"], "SL001"),
        (["check", "broken.slot"], "SL101"),
        (["check"], "SL005"),
    ],
)
def test_bad_input(words: list[str], code: str, folder: Path) -> None:
    (folder / "broken.slot").write_text("program layout(\n")
    ended = slotlang("puzzle", *words)
    assert ended.status == 2 and f"error[{code}]" in ended.err
    assert [d["code"] for d in json.loads(slotlang("puzzle", *words, "--json").out)["diagnostics"]] == [code]


def test_what_is_not_a_program_is_started_and_not_solved(folder: Path) -> None:
    (folder / "layout.slot").write_text("program layout(\n")
    # a solution of another puzzle solves this one as little
    (folder / "score.slot").write_text(solution("layout"))
    values = json.loads(slotlang("puzzle", "--json").out)
    assert [p["progress"] for p in values["puzzles"][:3]] == ["started", "started", "new"] and values["solved"] == 0


def test_json_of_a_check(folder: Path) -> None:
    (folder / "keys.slot").write_text(BY_NAME["keys"].text)
    ended = slotlang("puzzle", "check", "keys.slot", "--json")
    values = json.loads(ended.out)
    assert ended.status == 1 and values["schema"] == "slotlang.puzzle.check/1"
    assert (values["solved"], values["verdict"], values["counts"]["galois_keys"]) == (False, "proved", 3)
    assert values["limits"] == {"galois_keys": 2, "rotations": 7} and values["hint"]
