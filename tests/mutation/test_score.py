"""The verifier on some single changes of the corpus; ``make mutate`` takes 2,400."""

from __future__ import annotations

import ast
from dataclasses import replace

from amounts import drawn, some
from repository import PROGRAMS

from benchmarks import module_score
from benchmarks.module_mutants import Meaning, module_mutants
from benchmarks.mutate import choices, judge, score, unknown
from slotlang import api


@drawn
def test_no_wrong_program_is_proved_and_no_right_one_refuted() -> None:
    results = [judge(choice) for choice in choices(some(120), seed=2)]
    assert not score(results)
    assert len(results) / 6 < sum(result.right for result in results) < len(results) * 5 / 6


def test_the_score_tells_wrong_verdicts() -> None:
    result = judge(choices(1, seed=2)[0])
    assert score([replace(result, statuses={"auto": "unknown"})])
    assert score([replace(result, problems={"auto": "proved, and it is wrong"})])
    assert unknown([result]) == 0


@drawn
def test_no_wrong_module_is_proved_and_no_right_one_refuted() -> None:
    path = PROGRAMS / "rank_complex.slot"
    sizes = {"d": 16, "r": 4, "batch": 2, "slots": 16}
    many = some(90)
    results = [module_score.judge(c) for c in module_score.choices([(path, path.read_text(), sizes)], many, seed=3)]
    assert not module_score.wrong(results)
    statuses = [r.status for r in results]
    assert statuses.count("refuted") > many / 3 and statuses.count("refused") > many / 6 and "proved" in statuses
    assert statuses.count("unknown") <= many / 20 and "endless" not in statuses
    # what may not be edited is never refuted: it is refused, or other parameters make another right module
    fixed = [r for r in results if r.kind.split(":")[0] in ("digits", "settings", "parameters", "tables", "fixed")]
    assert fixed and all(r.status == "refused" or (r.right and r.status == "proved") for r in fixed)


def test_the_score_of_modules_tells_wrong_verdicts() -> None:
    result = module_score.ModuleResult("p", "plain: sign", "", True, "refuted")
    wrong = replace(result, right=False)
    told = module_score.wrong([result, wrong, replace(wrong, status="proved"), replace(result, status="unknown")])
    assert told == ["module p, : right and refuted", "module p, : wrong and proved"]


def test_changed_modules() -> None:
    """Every change of an emitted module is a module, and most are wrong."""
    program = api.load(PROGRAMS / "rank_complex.slot", {"d": 16, "r": 4, "batch": 2, "slots": 16})
    made = api.lower(program)
    meaning = Meaning(made)
    assert meaning.right(made.text)
    changed = list(module_mutants(made.text))
    places = {"pack", "plain", "evaluate", "unpack", "digits", "settings", "parameters", "tables", "fixed"}
    assert {m.kind.split(":")[0] for m in changed} == places
    for mutation in changed:
        assert mutation.text != made.text
    for mutation in changed[::20]:
        ast.parse(mutation.text)
    step = next(m for m in changed if m.after == "ev.doubling(T + 1, batch * R, C // R)" or "C // R + 1" in m.after)
    assert not meaning.right(step.text)
    unpacked = next(m for m in changed if m.kind == "unpack: order" or m.kind == "unpack: operator")
    assert not meaning.right(unpacked.text)
