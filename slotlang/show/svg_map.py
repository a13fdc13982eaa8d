"""A map of many slots: one small cell each, in the order of their digits."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import numpy as np
import numpy.typing as npt

from slotlang.show.canvas import PALE, Canvas, Fold, fold
from slotlang.show.colours import WRONG
from slotlang.show.grid import Grid, Stretch
from slotlang_runtime.amounts import count_of

__all__ = ["MAX_CELLS", "draw_map"]

MAX_CELLS = 1 << 16
"""Slots drawn; of longer vectors the first ones are."""
MAP = 520
"""Width and height of a map of many slots, about."""


def draw_map(
    canvas: Canvas,
    x: float,
    y: float,
    grid: Grid,
    fills: Sequence[str],
    wrong: npt.NDArray[np.bool_] | None,
    tips: Sequence[str] | None = None,
) -> tuple[float, float]:
    """Cells in the colours ``fills``, with texts under the pointer or as one path per colour; wrong ones marked.

    Returns the right edge and the bottom of the drawing.
    """
    rows = -(-len(fills) // grid.columns)
    cut = fold(rows, grid.columns)
    side = max(2, min(28, MAP // max(cut.across, cut.height)))
    between = 0 if cut.blocks == 1 else 10 if cut.down else 22
    inner = side - (1 if side > 3 else 0)
    if cut.blocks > 1:
        _block_labels(canvas, x, y, grid, cut, side, between)
        y += 6 if cut.down else 0
    left, top = int(x), int(y)
    places: dict[str, list[tuple[int, int]]] = {}
    crossed: list[tuple[int, int]] = []
    for slot, fill in enumerate(fills):
        block, row, column = cut.place(*divmod(slot, grid.columns))
        across = column + (block * cut.columns if cut.down else 0)
        down = row + (0 if cut.down else block * cut.rows)
        shift = block * between
        cx = left + across * side + (shift if cut.down else 0)
        cy = top + down * side + (0 if cut.down else shift)
        if tips is not None:
            canvas.cell(cx, cy, inner, inner, fill, tips[slot])
        else:
            places.setdefault(fill, []).append((cx, cy))
        if wrong is not None and wrong[slot]:
            small = max(1, inner // 2)
            crossed.append((cx + (inner - small) // 2, cy + (inner - small) // 2))
    for fill, rectangles in places.items():
        canvas.squares(rectangles, inner, fill)
    canvas.squares(crossed, max(1, inner // 2), WRONG)
    gaps = between * (cut.blocks - 1)
    right = left + cut.across * side + (gaps if cut.down else 0)
    bottom = top + cut.height * side + (0 if cut.down else gaps)
    canvas.text(x, bottom + 18, _caption(grid, cut, len(fills)), 11.5, PALE)
    return right, bottom + 20


def _block_labels(canvas: Canvas, x: float, y: float, grid: Grid, cut: Fold, side: int, between: int) -> None:
    step = cut.columns * side if cut.down else cut.rows * side
    longest = max(len(grid.row_label(Stretch(r, min(r + cut.rows, grid.rows)))) for r in range(0, grid.rows, cut.rows))
    # labels that would run into each other are left out
    every = ceil((longest * 10 * 0.56 + 6) / (step + between))
    for block in range(cut.blocks):
        if block * (cut.rows if cut.down else cut.columns) >= (grid.rows if cut.down else grid.columns):
            break
        if cut.down:
            label = grid.row_label(Stretch(block * cut.rows, min((block + 1) * cut.rows, grid.rows)))
            if block % every:
                continue
            canvas.text(x + block * (step + between), y, label, 10, PALE)
        else:
            stop = min((block + 1) * cut.columns, grid.columns)
            label = grid.column_label(Stretch(block * cut.columns, stop))
            canvas.text(x, y + block * (step + between) - 5, label, 10, PALE)


def _caption(grid: Grid, cut: Fold, drawn: int) -> str:
    if grid.down:
        down, across = (", ".join(name for name, _ in d) for d in (grid.down, grid.across))
        text = f"{across} from left to right, {down} from top to bottom"
    else:
        text = f"slot 0 at the top left, {count_of(grid.columns, 'slot')} in a row"
    if cut.blocks > 1:
        text += f", in {count_of(cut.blocks, 'block')}"
    if drawn <= (grid.rows - 1) * grid.columns:
        text += f"; the first {count_of(drawn, 'slot')}"
    return text
