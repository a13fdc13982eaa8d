"""What a proof method says of a program, held against what the brute-force oracle finds true of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import oracle

from slotlang.diagnostics import SlotError
from slotlang.meaning.program import Program
from slotlang.proof.check import Method, check
from slotlang.proof.verdict import Failure, Uncovered, Wrong

UNSCHEDULED = ("SL401", "SL402", "SL403")
"""The schedule can't follow a `by`: there is no graph, and nothing for the methods that work on it to say."""


@dataclass(frozen=True)
class Verdict:
    """What a method says: in all, about each goal it tried (claims, outputs, completeness of results, each in the
    program's order), and its counterexamples."""

    status: str
    goals: tuple[str, ...]
    failures: tuple[Failure, ...]


def verdict(program: Program, method: Method) -> Verdict:
    """What ``check`` says by one method."""
    try:
        report = check(program, method=method)
    except SlotError as problem:
        if problem.diagnostics[0].code in UNSCHEDULED:
            return Verdict("unscheduled", (), ())
        raise
    statuses = tuple(status for _, status in report.steps)
    return Verdict(report.status, statuses, () if report.failure is None else (report.failure,))


def truths(program: Program, judged: oracle.Judgement) -> list[bool]:
    """Which of the program's goals are true: its claims, its outputs, and that each result is complete."""
    wrong = {line for line, _, _ in judged.wrong}
    outputs = [output.span.line not in wrong for output in program.outputs]
    complete = [all(len(values) == 1 for values in judged.outputs[name].values()) for name in program.theorems]
    return [*judged.claims, *outputs, *complete]


def disagreement(program: Program, said: Verdict, judged: oracle.Judgement) -> str:
    """What a method says that is not so; empty when all of it is."""
    if said.status in ("proved", "tested") and not judged.correct:
        return f"{said.status}, and it is wrong: {judged.first_wrong}"
    if said.status == "refuted" and judged.correct:
        return "refuted, and it is right"
    for number, (status, true) in enumerate(zip(said.goals, truths(program, judged), strict=False)):
        if (status in ("proved", "tested") and not true) or (status == "refuted" and true):
            return f"goal {number} is {status}, and it is {str(true).lower()}"
    for failure in said.failures:
        match failure:
            case Wrong() if problem := _no_counterexample(failure, judged):
                return problem
            case Uncovered(name, element, carriers):
                count = len(judged.outputs[name][element])
                if count == 1 or bool(carriers) != bool(count) or len(carriers) == 1:
                    return f"{name}{list(element)}: {len(carriers)} carriers named, {count} are there"
            case _:
                pass
    return ""


def _no_counterexample(failure: Wrong, judged: oracle.Judgement) -> str:
    place = (failure.goal.span.line, tuple(sorted(failure.binders.items())), failure.slot)
    if place not in judged.wrong:
        return f"nothing is wrong at {place}"
    if failure.monomial is None:
        return ""
    scalars, reads = failure.monomial
    names = [*scalars, *(f"{tensor}[{','.join(map(str, indices))}]" for tensor, indices in reads)]
    actual, expected = (terms.get(tuple(sorted(names)), (0, 0)) for terms in judged.wrong[place])
    if (actual, expected) != (failure.holds, failure.should) or actual == expected:
        return f"at {place}, {names} is {actual} and should be {expected}; the method says {failure}"
    return ""


@cache
def tiny(path: Path) -> tuple[str, dict[str, int]]:
    """The text of a program of the corpus, and the sizes at which the oracle is quick."""
    text = path.read_text(encoding="utf-8")
    found = re.search(r"^# tiny:(.*)$", text, re.MULTILINE)
    if found is None:
        raise AssertionError(f"{path.name} has no line `# tiny: d=16 r=4 ...`: the sizes for the oracle")
    return text, {name: int(value) for name, value in re.findall(r"(\w+)\s*=\s*(\d+)", found[1])}
