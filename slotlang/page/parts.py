"""All that a page shows of a text, part after part: what is known at once first, what takes long last."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from slotlang import api
from slotlang.diagnostics import SlotError
from slotlang.editor.analysis import Analysis, ProgramView, analyse
from slotlang.editor.marks import Mark, Related, mark_of
from slotlang.editor.measures import Measures, measure
from slotlang.editor.verdicts import Verdict, explained, prove
from slotlang.meaning.program import Program, member_text
from slotlang.page.costs import cost_rows
from slotlang.page.knobs import Knobs, admitted_sizes, shape_of
from slotlang.page.offsets import unit
from slotlang.page.pieces import line_at, pieces, statements
from slotlang.page.results import proved_results
from slotlang.page.stages import edges, stages
from slotlang.page.values import MAX_DRAWN, value, values
from slotlang.planning.target import Target
from slotlang.proof.check import Report
from slotlang.proof.verdict import Status, Wrong
from slotlang.refusals import GaveUp
from slotlang.show.trace import trace_of
from slotlang.show.wrong import WrongSlots, held, refutation, wrong_slots
from slotlang.syntax.statements import parse_broken
from slotlang_runtime.amounts import count_of

__all__ = ["Part", "merged", "one_value", "parts", "whole"]

Part = tuple[tuple[str | int, ...], Any]
"""Where a part belongs in the whole, as keys, and the part: ``(("programs", 0, "verdict"), {...})``."""

ROOM = 1_000_000
"""Bytes of values in one page."""
VERSION = 1


def parts(
    text: str,
    name: str,
    folder: str | None,
    sizes: Mapping[str, int] = MappingProxyType({}),
    only: str | None = None,
    drawn: int = MAX_DRAWN,
    *,
    knobs: Knobs | None = None,
    known: Callable[[Verdict | Measures], None] = lambda _: None,
    repairs: bool = True,
) -> Iterator[Part]:
    """What is known of a text. ``sizes`` take the place of those in the text; ``only``: the one program that is wanted;
    ``drawn``: slots of all values, at most. What is wrong with the text is in ``marks``: nothing is raised for it.
    ``knobs``: what was set on the page, whose values are looked for; ``known`` is told what the engine has found.
    ``repairs``: whether the nearest repairs of a refuted program are looked for."""
    analysis = analyse(text, name, folder, {**sizes, **(knobs.sizes if knobs else {})})
    listed = statements(analysis)
    views = [(n, v) for n, v in enumerate(analysis.programs) if only is None or v.name == only]
    yield (
        (),
        {
            "version": VERSION,
            "file": name,
            "pieces": pieces(analysis, listed),
            "statements": [{k: v for k, v in s.items() if k not in ("start", "end")} for s in listed],
            "marks": [_mark(analysis, m) for m in _marks(analysis)],
            "right": analysis.right,
            "programs": [_program(v, number) for number, v in views],
        },
    )
    if not analysis.right:
        return
    room = ROOM // max(1, len(views))
    for number, (_, view) in enumerate(views):
        yield from _background(analysis, view, number, room, drawn // len(views), knobs, known, repairs)


def whole(
    text: str,
    name: str,
    folder: str | None,
    sizes: Mapping[str, int] = MappingProxyType({}),
    only: str | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """All parts of a text in one. ``progress`` is told how many parts there are, as they come."""
    data: dict[str, Any] = {}
    for number, part in enumerate(parts(text, name, folder, sizes, only), 1):
        data = merged(data, part)
        progress(f"proving, counting and drawing: {count_of(number, 'part')}")
    return data


def merged(data: dict[str, Any], part: Part) -> dict[str, Any]:
    """The data with one more part, which replaces what is at its place."""
    keys, found = part
    if not keys:
        return dict(found)
    place: Any = data
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = found
    return data


def one_value(
    text: str,
    name: str,
    folder: str | None,
    sizes: Mapping[str, int],
    program: str,
    family: str,
    member: tuple[int, ...],
    goals: Sequence[tuple[str, Status]] = (),
) -> Iterator[dict[str, Any]]:
    """A value that a page has no room for. ``goals`` with their verdicts: claims that hold are taken at their word.
    Yields nothing where there is no such value."""
    for view in analyse(text, name, folder, sizes).programs:
        bound = view.bound
        if bound is None or bound.name != program or family not in bound.families:
            continue
        binders = bound.families[family].binders
        if len(binders) == len(member) and all(0 <= i < b.size for i, b in zip(member, binders, strict=True)):
            yield value(bound, family, member, held(bound, goals), results=proved_results(bound, goals))


def _marks(analysis: Analysis) -> tuple[Mark, ...]:
    """The messages about a text; an empty one, of which an editor says nothing before something is typed, has that
    which the commands give."""
    if analysis.marks or analysis.source.text.strip():
        return analysis.marks
    _, problems = parse_broken(analysis.source)
    return tuple(mark_of(problem, analysis.source, ()) for problem in problems)


def _mark(analysis: Analysis, mark: Mark) -> dict[str, Any]:
    afters, others = _repairs(mark)
    return {
        "line": line_at(analysis, mark.start),
        "from": unit(analysis.source.text, mark.start),
        "to": unit(analysis.source.text, mark.end),
        "weight": mark.weight,
        "code": mark.code,
        "message": mark.message,
        "related": [[line_at(analysis, r.start) if r.file is None else 0, r.text] for r in others],
        "fixes": [
            {"title": fix.title, "after": after, "edits": [_edit(analysis, edit) for edit in fix.edits]}
            for fix, after in zip(mark.fixes, afters, strict=True)
        ],
    }


def _repairs(mark: Mark) -> tuple[list[str], list[Related]]:
    """What each repair makes of its statement, empty where its title says all, and the related places that are not
    repairs: language servers show repairs among these, a page shows them once."""
    afters, others = [""] * len(mark.fixes), []
    for related in mark.related:
        for n, fix in enumerate(mark.fixes):
            start, same, after = related.text.partition(f"{fix.title}: ")
            if related.file is None and same and not start and not afters[n]:
                afters[n] = after
                break
        else:
            others.append(related)
    return afters, others


def _edit(analysis: Analysis, edit: tuple[int, int, str]) -> tuple[int, int, str]:
    start, end, new = edit
    text = analysis.source.text
    return unit(text, start), unit(text, end), new


def _program(view: ProgramView, number: int) -> dict[str, Any]:
    """What is known of a program before anything is proved."""
    program = view.bound
    if program is None:
        return {"name": view.name, "number": number, "bound": False}
    return {
        "name": program.name,
        "number": number,
        "bound": True,
        "sizes": {name: program.sizes[name] for name in program.parameters},
        "slots": program.slots,
        "axes": [[axis, program.digits[axis].size] for system in program.axes[:1] for axis in system],
        "families": {
            f.name: {"kind": f.kind, "binders": [[b.name, b.size] for b in f.binders]}
            for f in program.families.values()
        },
        "results": {t.name: [list(t.shape), t.text] for t in program.theorems.values()},
        "outputs": list(dict.fromkeys(o.family.name for o in program.outputs)),
        "stages": stages(program, None),
        "edges": edges(program),
    }


def _background(
    analysis: Analysis,
    view: ProgramView,
    number: int,
    room: int,
    drawn: int,
    knobs: Knobs | None,
    known: Callable[[Verdict | Measures], None],
    repairs: bool,
) -> Iterator[Part]:
    program, at = view.bound, ("programs", number)
    assert program is not None, "a right text's programs are bound"
    found = prove(analysis, view)
    if found is None:
        return
    verdict, report = found
    known(verdict)
    yield (*at, "verdict"), _verdict(analysis, verdict)
    claims = held(program, report.steps)
    wrong = wrong_slots(program, report.failure, claims) if report.status == "refuted" else None
    if report.status == "refuted":
        yield (*at, "refutation"), _refutation(program, report, wrong)
    target = Target(precision=knobs.precision if knobs else None)
    measures = measure(analysis, view, target)
    if measures is not None:
        known(measures)
        if not measures.problem:
            yield (*at, "stages"), stages(program, measures)
        yield (*at, "measured"), measures.sentence
        yield (*at, "cost"), _cost(program, target, measures.problem)
    listed, complete = values(program, claims, wrong, room, drawn, proved_results(program, report.steps))
    yield (*at, "values"), listed
    yield (*at, "complete"), complete
    if knobs is not None:
        yield (*at, "knobs"), {"sizes": admitted_sizes(analysis, view), "shape": shape_of(analysis, view)}
    if report.status == "refuted":
        last = explained(analysis, view, verdict, report, repairs=repairs)
        known(last)
        yield (*at, "verdict"), _verdict(analysis, last)


def _verdict(analysis: Analysis, verdict: Verdict) -> dict[str, Any]:
    return {
        "status": verdict.status,
        "method": verdict.method,
        "sentence": verdict.sentence,
        "reason": verdict.reason,
        "goals": [{"what": g.what, "status": g.status, "line": line_at(analysis, g.start)} for g in verdict.goals],
        "mark": None if verdict.mark is None else _mark(analysis, verdict.mark),
    }


def _refutation(program: Program, report: Report, wrong: WrongSlots | None) -> dict[str, Any] | None:
    """The wrong slot, its value's title, what stands around it, and where its content came from: a line for each step
    of the way back, and the slots on it."""
    try:
        shown = refutation(program, report, wrong)
    except (ValueError, GaveUp, SlotError, RecursionError):
        return None
    found: dict[str, Any] = shown.to_json()
    found["value"], found["origin"], found["way"] = None, [], []
    if isinstance(report.failure, Wrong) and wrong is not None:
        found["value"] = member_text(wrong.family, wrong.member)
        try:
            steps = trace_of(program, report)
        except RecursionError:
            # the refutation stands without its way back
            steps = []
        found["origin"] = [step.text for step in steps]
        found["way"] = [[member_text(*step.place[:2]), step.place[2]] for step in steps]
    return found


def _cost(program: Program, target: Target, problem: str) -> dict[str, Any]:
    if problem:
        return {"problem": problem}
    try:
        return cost_rows(api.cost(program, target=target))
    except SlotError as refused:
        return {"problem": refused.diagnostics[0].message}
    except GaveUp as gave_up:
        return {"problem": gave_up.reason}
