"""What results look like in a notebook. ``slotlang.displayed`` asks for ``html`` and ``svg``, by the name of a class,
so that no drawing loads what its own result did not need."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from slotlang.diagnostics import Diagnostic, SlotError, render
from slotlang.editor.tokens import tokens
from slotlang.meaning.program import Program, written_name
from slotlang.notebook.flow import MAX_STAGES, flow_svg
from slotlang.notebook.html import MAX_TEXT, Html, badge, card, code, details, lines, picture, table, tag
from slotlang.proof.report import Report
from slotlang.proof.verdict import Wrong
from slotlang.refusals import GaveUp
from slotlang_runtime.amounts import count_of

if TYPE_CHECKING:
    from slotlang.cost.report import Cost
    from slotlang.lower import Lowered
    from slotlang.notebook.live import Page
    from slotlang.notebook.magic import Checked
    from slotlang.optimize.optimized import Optimized
    from slotlang.run.session import Session
    from slotlang.search.candidate import Found
    from slotlang.show.compared import Comparison
    from slotlang.show.shown import Shown

__all__ = ["body", "html", "refused", "svg"]

MAX_CELLS = 1 << 13
"""Slots of a picture, at most: where all are wrong, they take 270 kB."""
MAX_LINES = 40
_COLOURED = {"comment": "comment", "keyword": "keyword", "number": "digits", "string": "string"}


def html(result: object) -> str:
    """A whole drawing of a result."""
    return card(*body(result))


def body(result: object) -> list[Html]:
    """The parts of a drawing. What can't be drawn says so, as an error of the command line does."""
    try:
        return list(_named(result, _BODIES)(result))
    except SlotError as problem:
        return [refused(problem.diagnostics)]
    except GaveUp as problem:
        return [tag("p", f"not drawn: {problem.reason}", class_="hint")]


def svg(result: object) -> str | None:
    """The picture alone; None where there is none."""
    try:
        found: str | None = _named(result, _PICTURES)(result)
    except (SlotError, GaveUp):
        return None
    return found


def _named(result: object, known: dict[str, Callable[[Any], Any]]) -> Callable[[Any], Any]:
    return next(known[kind.__name__] for kind in type(result).__mro__ if kind.__name__ in known)


def refused(diagnostics: Sequence[Diagnostic], kind: str = "error") -> Html:
    """Messages as the command line shows them, with place and caret."""
    parts = []
    for found in diagnostics:
        head, newline, rest = render(found, kind).partition("\n")
        parts.append(tag("pre", tag("b", head, class_=kind), newline + rest))
    return tag("div", *parts, role="alert" if kind == "error" else "")


def _cut(text: str) -> str:
    """As much of a text as is shown."""
    if len(text) <= MAX_TEXT:
        return text
    return f"{text[:MAX_TEXT].rpartition(chr(10))[0]}\n… {count_of(len(text) - MAX_TEXT, 'more character')}"


def coloured(text: str) -> Html:
    """A program's text with the colours of its words."""
    text = _cut(text.strip("\n"))
    cuts = [(t.start, t.end, _COLOURED[t.kind]) for t in tokens(text) if t.kind in _COLOURED]
    parts: list[str] = []
    for (_, before, _), (start, end, kind) in pairwise([(0, 0, ""), *cuts]):
        parts += [text[before:start], tag("span", text[start:end], class_=kind)]
    parts.append(text[cuts[-1][1] if cuts else 0 :])
    return tag("pre", *parts, class_="text")


def _program(program: Program) -> Iterator[Html]:
    sizes = ", ".join(f"{name} = {program.sizes[name]:,}" for name in program.parameters)
    axes = ", ".join(f"{name} < {program.digits[name].size:,}" for system in program.axes[:1] for name in system)
    slots = count_of(program.slots, "slot") + (f" ({axes})" if axes else "")
    about = f"{sizes}; {slots}" if sizes else slots
    yield tag("p", tag("b", program.name), tag("span", f" {about}", class_="hint"))
    yield coloured(program.span.written.source.text)
    drawn = flow_svg(program)
    names = {written_name(name) for name in program.families}
    what = f"dataflow: {count_of(len(names), 'stage')}"
    if drawn is None:
        yield tag("p", f"{what}, and more than {MAX_STAGES} are not drawn", class_="hint")
    elif names:
        yield details(what, picture(drawn))


def _flow(program: Program) -> str | None:
    return flow_svg(program) if program.families else None


def _report(report: Report, repairs: Sequence[str] = ()) -> Iterator[Html]:
    name = (tag("b", report.program.name), " ") if report.program else ()
    how = f" by the {report.method} method" + (f": {report.reason}" if report.reason else "")
    yield tag("p", *name, badge(report.status), how, tag("span", f"  {1e3 * report.seconds:.0f} ms", class_="hint"))
    if report.status == "refuted":
        yield from _refuted(report)
    if repairs:
        yield lines(repairs)
    rows = [(code(goal), badge(status)) for goal, status in report.steps]
    if rows:
        goals = table(("goal", "verdict"), rows)
        yield details(count_of(len(rows), "goal"), goals)
    if report.status != "refuted":
        yield details("what this means", lines(report.lines()[: 2 * MAX_LINES]))


def _refuted(report: Report) -> Iterator[Html]:
    """The wrong slot, what stands around it and where it came from; without the program the counterexample in words."""
    from slotlang.proof.information_loss import find_loss
    from slotlang.show.explained import explanation

    drawn = _refutation(report)
    if drawn is None or report.program is None:
        yield lines(report.lines()[:MAX_LINES])
        return
    yield picture(drawn)
    loss = find_loss(report.program) if isinstance(report.failure, Wrong) else None
    yield lines(explanation(report.program, report, loss)[:MAX_LINES])


def _refutation(report: Report) -> str | None:
    from slotlang.show.svg import svg_report
    from slotlang.show.wrong import refutation

    if report.program is None or report.status != "refuted":
        return None
    try:
        found = refutation(report.program, report)
    except ValueError:
        return None
    return svg_report(replace(found, lines=found.lines[:MAX_LINES]), MAX_CELLS)


def _shown(shown: Shown) -> Iterator[Html]:
    if shown.contents is None:
        heads = ("", "kind", "members", "definition", "contents", "empty")
        unknown = "not known"
        rows = [
            (
                code(row.family),
                row.kind,
                f"{row.members:,}",
                code(row.definition),
                unknown if row.distinct is None else f"{row.distinct:,}",
                unknown if row.empty is None else f"{row.empty:,}",
            )
            for row in shown.rows
        ]
        caption = f"{shown.program.name}: {count_of(len(rows), 'family')} of {count_of(shown.program.slots, 'slot')}"
        yield table(heads, rows, (2, 4, 5), caption)
    drawn = _shown_picture(shown)
    if drawn is not None:
        yield picture(drawn)


def _shown_picture(shown: Shown) -> str | None:
    from slotlang.show.svg import svg as vector
    from slotlang.show.svg import svg_report

    if shown.contents is not None:
        return vector(shown.contents, MAX_CELLS)
    return svg_report(shown.refutation, MAX_CELLS) if shown.refutation is not None else None


def _cost(cost: Cost) -> Iterator[Html]:
    from slotlang.page.costs import cost_rows

    found = cost_rows(cost)
    sizes = ", ".join(f"{name} = {size:,}" for name, size in cost.sizes.items())
    yield tag("p", tag("b", cost.program), f"  {sizes}")
    primes = ", ".join(found["primes"])
    yield tag("p", f"degree {found['parameters']}, primes of {primes} bits; {found['range']}", class_="hint")
    yield table(("", ""), found["rows"], (0,), "What one evaluation takes")
    if found["bounds"]:
        rows = [(str(b["at_least"]), b["of"], str(b["gap"]), f"{b['theorem']}: {b['among']}") for b in found["bounds"]]
        yield details("bounds and gaps", table(("at least", "of", "gap", "by"), rows, (0, 2)))


def _comparison(comparison: Comparison) -> Iterator[Html]:
    from slotlang.show.compared import HEADS

    rows = [(code(name), badge(verdict), *cells) for name, verdict, *cells in comparison.rows]
    yield table(HEADS, rows, range(2, len(HEADS)))


def _found(found: Found) -> Iterator[Html]:
    from slotlang.show.front import front_heads, front_lines, front_rows, front_svg

    if not found.candidates:
        yield tag("p", "nothing was found yet")
        return
    title, *more = front_lines(found)
    yield tag("p", tag("b", title), f"  {more[0]}")
    rows = front_rows(found)
    heads = ("", *front_heads(found))
    # the picture has the numbers of the front, which the best need not be on
    on_front = {id(c): str(n) for n, c in enumerate(found.pareto, 1)}
    cells = [(on_front.get(id(c), ""), *texts) for c, texts in rows]
    chosen = next(n for n, (c, _) in enumerate(rows) if c is found.ranked[0])
    caption = f"{more[1]}; the Pareto front, {more[2]}"
    yield table(heads, cells, (0, *range(3, len(heads))), caption, chosen)
    yield picture(front_svg(found))
    yield details("the best as a program", coloured(found.text))


def _front(found: Found) -> str | None:
    from slotlang.show.front import front_svg

    return front_svg(found) if found.candidates else None


def _session(session: Session) -> Iterator[Html]:
    from slotlang.show.ran import run_lines, run_rows

    passed = session.report.passed
    title, *more = run_lines(session)
    ended = tag("b", "passed" if passed else "FAILED", class_="proved" if passed else "refuted")
    yield tag("p", ended, f"  {title}")
    yield tag("p", "; ".join(more), class_="hint")
    if session.failure is not None:
        yield refused([session.failure])
    if session.warnings:
        yield refused(session.warnings, "warning")
    yield table(("", ""), run_rows(session), (0,))


def _lowered(lowered: Lowered) -> Iterator[Html]:
    plan = lowered.plan
    yield tag(
        "p", tag("b", plan.program.name), " ", badge(lowered.report.status), f"  {plan.used}, kernel {plan.kernel}"
    )
    yield tag("p", lowered.range.line(), class_="hint")
    yield lines(lowered.validation.lines()[:MAX_LINES])
    length = lowered.text.count("\n")
    yield details(f"the module, {count_of(length, 'line')}", tag("pre", _cut(lowered.text), class_="text"))


def _optimized(found: Optimized) -> Iterator[Html]:
    yield tag("p", tag("b", found.after.name), " ", badge(found.report.status), f"  least {found.objective}")
    if found.changes:
        yield table(("rule", "what it did"), [(code(rule), what) for rule, what in found.changes])
    else:
        yield tag("p", "nothing cheaper was found")
    kept = [(code(rule), why) for rule, why in found.why_not.items() if why is not None]
    if kept:
        yield details("rules that were not taken", table(("rule", "why not"), kept))
    yield details("the program", coloured(found.text))


def _cost_bars(cost: Cost) -> str:
    from slotlang.show.bars import cost_svg

    return cost_svg(cost)


def _comparison_bars(found: Comparison) -> str:
    from slotlang.show.bars import comparison_svg

    return comparison_svg(found)


def _checked(found: Checked) -> Iterator[Html]:
    yield from _report(found.report, found.repair_lines)
    if found.warnings:
        yield refused(found.warnings, "warning")
    for part in found.parts:
        yield from [refused(part.diagnostics)] if isinstance(part, SlotError) else body(part)


def _page(page: Page) -> Iterator[Html]:
    # in single quotes, which a page has few of
    document = page.document.replace("&", "&amp;").replace("'", "&#39;")
    style = f"width: 100%; height: {page.height}px; border: 0"
    title = f"{page.program}: slots, rotations, dataflow, proof and costs"
    head = tag("iframe", title=title, sandbox="allow-scripts", style=style).removesuffix("></iframe>")
    yield Html(f"{head} srcdoc='{document}'></iframe>")


_BODIES: dict[str, Callable[[Any], Iterator[Html]]] = {
    "Program": _program,
    "Report": _report,
    "Shown": _shown,
    "Cost": _cost,
    "Comparison": _comparison,
    "Found": _found,
    "Session": _session,
    "Lowered": _lowered,
    "Optimized": _optimized,
    "Checked": _checked,
    "Page": _page,
}
_PICTURES: dict[str, Callable[[Any], str | None]] = {
    "Program": _flow,
    "Report": _refutation,
    "Shown": _shown_picture,
    "Found": _front,
    "Cost": _cost_bars,
    "Comparison": _comparison_bars,
}
