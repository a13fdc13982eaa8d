"""How ``slotlang check`` shows a counterexample: the slots concerned, where they came from, what was lost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from slotlang.cli.output import write_file

if TYPE_CHECKING:
    from slotlang.meaning.program import Program
    from slotlang.proof.check import Report
    from slotlang.proof.information_loss import Loss


def print_refuted(program: Program, report: Report, loss: Loss | None) -> None:
    """The drawing and the explanation, below the counterexample."""
    from slotlang.cli.console import console_for_drawings
    from slotlang.show.explained import explanation
    from slotlang.show.terminal import draw_refutation
    from slotlang.show.wrong import refutation

    console = console_for_drawings()
    console.print(draw_refutation(refutation(program, report, reach=1), words=False))
    for line in explanation(program, report, loss):
        console.print(f"  {line}", markup=False)


def write_svg(path: Path, program: Program, report: Report, loss: Loss | None) -> None:
    """The drawing as SVG."""
    from slotlang.show.explained import explanation
    from slotlang.show.svg import svg_report
    from slotlang.show.wrong import refutation

    found = refutation(program, report)
    write_file(
        path,
        svg_report(
            replace(found, lines=(*found.lines, *filter(None, [found.left_out]), *explanation(program, report, loss)))
        ),
    )
