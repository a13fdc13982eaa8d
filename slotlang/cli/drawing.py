"""``slotlang show``: what slots hold, and which of them are wrong."""

from __future__ import annotations

from pathlib import Path

from slotlang.cli.output import emit_json, write_file
from slotlang.diagnostics import error
from slotlang.meaning.program import Program
from slotlang.proof.check import check
from slotlang.show.content import contents, parse_target
from slotlang.show.overview import overview
from slotlang.show.svg import svg, svg_report
from slotlang.show.terminal import draw, draw_overview, draw_refutation
from slotlang.show.wrong import held, mark_wrong, refutation, wrong_slots


def show_program(file: Path, program: Program, target: str | None, svg_path: Path | None, as_json: bool) -> None:
    """Draw a member of a family, or all families at a glance; a refuted program's wrong slots with them.

    Claims stand for what they say only where the check found them to hold.
    """
    from rich.console import Console

    report = check(program)
    claims = held(program, report)
    wrong = wrong_slots(program, report.failure, claims) if report.status == "refuted" else None
    refuted = refutation(program, report, wrong) if report.status == "refuted" else None
    console = Console(highlight=False)
    if target is None:
        if svg_path is not None:
            if refuted is None:
                raise error("SL005", "--svg needs the name of what to draw", hint="slotlang show FILE X --svg x.svg")
            write_file(svg_path, svg_report(refuted))
        rows = overview(program)
        if as_json:
            families = [row.to_json() for row in rows]
            values = {"file": str(file), "verdict": report.status, "families": families}
            emit_json("show", {**values, "refutation": refuted.to_json() if refuted else None})
            return
        console.print(draw_overview(program.name, program.slots, rows))
        if refuted is not None:
            console.print(draw_refutation(refuted))
        return
    found = mark_wrong(contents(program, *parse_target(target), claims=claims), wrong)
    if svg_path is not None:
        write_file(svg_path, svg(found))
    if as_json:
        emit_json("show", {"file": str(file), "verdict": report.status, **found.to_json()})
    else:
        console.print(draw(found))
