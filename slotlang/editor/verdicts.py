"""The verdict on a text's programs, and the changes that would repair what is refuted."""

from __future__ import annotations

from dataclasses import dataclass, replace

from slotlang.diagnostics import SlotError
from slotlang.editor.analysis import Analysis, ProgramView
from slotlang.editor.marks import Fix, Mark, Related, Weight, line_range, own
from slotlang.meaning.program import Program
from slotlang.mutation.repair import nearest_repairs
from slotlang.proof.check import Report, check
from slotlang.proof.explain import Counterexample
from slotlang.proof.goals import decided
from slotlang.proof.information_loss import find_loss
from slotlang.proof.verdict import Status, Uncovered, Wrong
from slotlang.refusals import GaveUp
from slotlang.source import Source, Span

__all__ = ["GoalVerdict", "Verdict", "explained", "prove"]


@dataclass(frozen=True, slots=True)
class GoalVerdict:
    """What was found of one claim or output. ``start``, ``end``: the statement's place in the text."""

    what: str
    status: Status
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known of one program of a text. ``start``, ``end``: its header; ``mark``: the message, unless it is
    proved. ``seconds``: how long the proof took."""

    program: str
    status: Status
    method: str
    seconds: float
    reason: str
    goals: tuple[GoalVerdict, ...]
    start: int
    end: int
    mark: Mark | None = None

    @property
    def sentence(self) -> str:
        """``proved in 12 ms``."""
        return f"{self.status} in {_time(self.seconds)}"


def _time(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def prove(analysis: Analysis, view: ProgramView) -> tuple[Verdict, Report] | None:
    """Check one program. None for one that is not right yet."""
    program, header = view.bound, view.header
    if program is None or header is None:
        return None
    place = (header.span.start, header.span.end)
    try:
        report = check(program)
    except SlotError as problem:
        found = problem.diagnostics[0]
        report = Report("unknown", "auto", 0.0, reason=found.message)
    results = _goals(program, report, analysis.source)
    verdict = Verdict(
        program.name, report.status, report.method, report.seconds, report.reason, results, place[0], place[1]
    )
    return replace(verdict, mark=_mark(analysis.source, program, report, place)), report


def _goals(program: Program, report: Report, source: Source) -> tuple[GoalVerdict, ...]:
    """Verdicts on the goals that stand in the text itself, in their order."""
    found = []
    for goal, status in decided(program, report.steps):
        place = goal.span.written
        if own(place, source):
            found.append(GoalVerdict(goal.what, status, place.start, place.end))
    return tuple(found)


_WEIGHTS: dict[str, Weight] = {"refuted": "error", "tested": "warning", "unknown": "warning"}


def _mark(source: Source, program: Program, report: Report, header: tuple[int, int]) -> Mark | None:
    if report.status == "proved":
        return None
    weight = _WEIGHTS[report.status]
    place = header
    if report.status != "refuted":
        lines = {"tested": "right at random points, which is no proof", "unknown": "not decided"}[report.status]
        return Mark(*place, weight, report.status, f"{lines}{': ' + report.reason if report.reason else ''}")
    lines = report.what
    if isinstance(report.counterexample, Counterexample):
        lines = "\n".join([report.counterexample.where, *report.counterexample.lines()])
    related: tuple[Related, ...] = ()
    span = _failing(program, report)
    if span is not None and own(span.written, source):
        place = (span.written.start, span.written.end)
    if isinstance(report.failure, Uncovered):
        for output, _, slot in report.failure.carriers:
            other = output.span.written
            if own(other, source):
                related += (Related(None, other.start, other.end, f"slot {slot} carries it by this output"),)
    return Mark(*place, weight, "refuted", lines, related)


def _failing(program: Program, report: Report) -> Span | None:
    failure = report.failure
    if isinstance(failure, Wrong):
        return failure.goal.span
    if isinstance(failure, Uncovered):
        return next((o.span for o in program.outputs if o.name == failure.output), None)
    return None


def explained(
    analysis: Analysis, view: ProgramView, verdict: Verdict, report: Report, *, repairs: bool = True
) -> Verdict:
    """A refuted program's verdict with the statement that lost what the result needs, and with the nearest repairs as
    fixes, where they are wanted. This takes about a second."""
    program, mark = view.bound, verdict.mark
    if program is None or mark is None or report.status != "refuted":
        return verdict
    source = analysis.source
    related = mark.related
    try:
        loss = find_loss(program) if isinstance(report.failure, Wrong) else None
    except (SlotError, GaveUp):
        loss = None
    if loss is not None:
        related += (Related(None, *line_range(source, loss.line), "\n".join(loss.lines())),)
    fixes: list[Fix] = []
    for repair in nearest_repairs(program, report) if repairs else ():
        whole = repair.mutation.whole
        place = whole.written
        # a change inside of a definition changes all its uses: that is for its author to decide
        if not own(place, source) or place.text != whole.text or whole.definitions:
            continue
        new = "\n".join(repair.mutation.lines())
        fix = Fix(repair.description(), ((place.start, place.end, new),), not fixes and not repair.of_claim)
        related += (Related(None, place.start, place.end, f"{repair.description()}: {repair.after() or 'left out'}"),)
        fixes.append(fix)
    return replace(verdict, mark=replace(mark, related=related, fixes=tuple(fixes)))
