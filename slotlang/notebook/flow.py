"""A program's stages as a drawing: what reads what, and where slots are moved. The page draws the same data."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from slotlang.meaning.program import Program
from slotlang.page.stages import edges, stages
from slotlang.show.canvas import INK, PALE, Canvas
from slotlang.show.colours import NEUTRAL, RIGHT, UNSPOKEN

__all__ = ["MAX_STAGES", "flow_svg"]

MAX_STAGES = 160
"""Stages up to which they are drawn, as on the page."""
WIDTH, HEIGHT, ACROSS, DOWN, MARGIN = 132, 46, 42, 14, 10
MOVED = "#8a5a00"
_FILLS = {"cipher": RIGHT, "plain": UNSPOKEN, "compute": NEUTRAL}
_KINDS = {"cipher": "packed by the client", "plain": "plaintext", "compute": "computed"}


def flow_svg(program: Program) -> str | None:
    """Stages in columns by what they read; thick lines where slots are rotated or permuted on the way. None where there
    are too many."""
    found = stages(program, None)
    if len(found) > MAX_STAGES:
        return None
    places = _places(found)
    canvas = Canvas(f"{program.name}-flow")
    for a, b, moved in edges(program):
        if a != b and a in places and b in places:
            (x, y), (u, v) = places[a], places[b]
            middle = (x + WIDTH + u) / 2
            path = f"M{x + WIDTH} {y + HEIGHT / 2:g} C{middle:g} {y + HEIGHT / 2:g} {middle:g} {v + HEIGHT / 2:g} "
            tip = f"{b} reads {a}" + ", moved to other slots" * moved
            canvas.path(f"{path}{u} {v + HEIGHT / 2:g}", MOVED if moved else PALE, 2.5 if moved else 1, tip)
    for stage in found:
        x, y = places[stage["name"]]
        members = f" × {stage['members']:,}" if stage["members"] > 1 else ""
        kind = _KINDS[stage["kind"]]
        tip = f"{stage['name']}{members}, {kind}"
        canvas.cell(x, y, WIDTH, HEIGHT, _FILLS[stage["kind"]], tip, PALE)
        canvas.text(x + 7, y + 19, f"{_short(stage['name'])}{members}", 13, INK, mono=True)
        canvas.text(x + 7, y + 36, kind, 11, PALE)
    width = max(x for x, _ in places.values()) + WIDTH + MARGIN
    height = max(y for _, y in places.values()) + HEIGHT + MARGIN
    title = f"Dataflow of {program.name}"
    return canvas.finish(width, height, title, "Thick lines: slots are rotated or permuted on the way.")


def _places(found: list[dict[str, Any]]) -> dict[str, tuple[int, int]]:
    columns: dict[int, int] = defaultdict(int)
    places = {}
    for stage in found:
        number = columns[stage["rank"]]
        columns[stage["rank"]] += 1
        places[stage["name"]] = (
            MARGIN + stage["rank"] * (WIDTH + ACROSS),
            MARGIN + number * (HEIGHT + DOWN),
        )
    return places


def _short(name: str) -> str:
    return name if len(name) <= 9 else f"{name[:8]}…"
