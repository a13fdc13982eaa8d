"""What ``slotlang show`` draws: a member of a family or all families at a glance, and what is wrong with them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console, RenderableType

from slotlang.displayed import Pictured
from slotlang.meaning.program import Program
from slotlang.proof.check import Report, check
from slotlang.show.content import SlotContents, contents, parse_target
from slotlang.show.overview import FamilyRow, overview
from slotlang.show.terminal import draw, draw_overview, draw_refutation
from slotlang.show.wrong import Refutation, held, mark_wrong, refutation, wrong_slots
from slotlang_runtime.amounts import count_of


@dataclass(frozen=True)
class Shown(Pictured):
    """``contents`` of the member that was asked for, or else the ``rows`` of all families; ``refutation`` of a program
    that is refuted. As a string it is the drawing of ``slotlang show`` in ``width`` columns."""

    program: Program
    report: Report
    contents: SlotContents | None
    rows: Sequence[FamilyRow]
    refutation: Refutation | None
    width: int = 80

    def __str__(self) -> str:
        return self.text(self.width)

    def __repr__(self) -> str:
        if self.contents is None:
            return (
                f"<Shown {self.program.name}: {count_of(len(self.rows), 'family')} "
                f"of {count_of(self.program.slots, 'slot')}>"
            )
        return f"<Shown {self.program.name}: {self.contents.title}, {count_of(self.contents.slots, 'slot')}>"

    def drawings(self) -> list[RenderableType]:
        """What to print, in order."""
        if self.contents is not None:
            return [draw(self.contents)]
        whole = [draw_overview(self.program.name, self.program.slots, self.rows)]
        return whole if self.refutation is None else [*whole, draw_refutation(self.refutation)]

    def text(self, width: int) -> str:
        """The drawings without colours, whose lines end with their text. Prose is not wrapped."""
        stream = io.StringIO()
        # in Jupyter rich would display the drawing and write nothing
        console = Console(
            file=stream, width=width, color_system=None, highlight=False, soft_wrap=True, force_jupyter=False
        )
        for drawing in self.drawings():
            console.print(drawing)
        return "".join(f"{line.rstrip()}\n" for line in stream.getvalue().splitlines())


def shown(program: Program, target: str | None, width: int = 80, report: Report | None = None) -> Shown:
    """Check a program, unless its ``report`` is given, and look at what slots hold: of ``X``, ``W[2, 5]``, or of all
    families. Claims stand for what they say only where the check found them to hold. Raises SL601 and SL602."""
    report = report or check(program)
    claims = held(program, report.steps)
    wrong = wrong_slots(program, report.failure, claims) if report.status == "refuted" else None
    refuted = refutation(program, report, wrong) if report.status == "refuted" else None
    if target is None:
        return Shown(program, report, None, overview(program), refuted, width)
    found = mark_wrong(contents(program, *parse_target(target), claims=claims), wrong)
    return Shown(program, report, found, (), refuted, width)
