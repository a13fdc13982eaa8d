"""``slotlang show``: what slots hold, and which of them are wrong."""

from __future__ import annotations

from pathlib import Path

from slotlang.cli.console import console_for_drawings
from slotlang.cli.output import emit_json, write_file
from slotlang.cli.progress import working
from slotlang.diagnostics import error
from slotlang.files import path_text
from slotlang.meaning.program import Program
from slotlang.show.shown import Shown, shown
from slotlang.show.svg import svg, svg_report


def show_program(file: Path, program: Program, target: str | None, svg_path: Path | None, as_json: bool) -> None:
    """Draw a member of a family, or all families at a glance; a refuted program's wrong slots with them."""
    with working("proving and drawing"):
        found = shown(program, target)
    if svg_path is not None:
        write_file(svg_path, _svg(found))
    if not as_json:
        for drawing in found.drawings():
            console_for_drawings().print(drawing)
        return
    values: dict[str, object] = {"file": path_text(file), "verdict": found.report.status}
    if found.contents is not None:
        emit_json("show", {**values, **found.contents.to_json()})
        return
    refuted = found.refutation.to_json() if found.refutation else None
    emit_json("show", {**values, "families": [row.to_json() for row in found.rows], "refutation": refuted})


def _svg(found: Shown) -> str:
    if found.contents is not None:
        return svg(found.contents)
    if found.refutation is None:
        raise error("SL005", "--svg needs the name of what to draw", hint="slotlang show FILE X --svg x.svg")
    return svg_report(found.refutation)
