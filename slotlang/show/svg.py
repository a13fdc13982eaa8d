"""Vectors and refutations as standalone SVG documents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from slotlang.show.canvas import CHARACTER, INK, LINE, PALE, Canvas, wrapped
from slotlang.show.colours import (
    FEW,
    NEUTRAL,
    RIGHT,
    SPECTRUM_STEPS,
    UNSPOKEN,
    WRONG,
    WRONG_PALE,
    content_colour,
    spectrum,
)
from slotlang.show.content import SlotContents
from slotlang.show.grid import Digits, Grid, Stretch, grid_of
from slotlang.show.holding import Holding
from slotlang.show.svg_map import MAX_CELLS, draw_map
from slotlang.show.wrong import Neighbour, Refutation, WrongSlots
from slotlang_runtime.amounts import count_of

__all__ = ["svg", "svg_report"]

MAX_LABELLED = 128
MAX_TIPS = 512
"""Cells up to which each is a shape of its own, with its content under the pointer."""

MARGIN = 28
WIDTH = 900
"""Width that texts and strips fill; labelled grids may be narrower or, up to ``MAX_WIDTH``, wider."""
MAX_WIDTH = 1240
CELL_TEXT = 12
MAX_LINES = 3


def svg(contents: SlotContents, cells: int = MAX_CELLS) -> str:
    """A vector: a grid with a label in every cell where there is room, else a map of all slots with the first
    ones in detail; equal contents in equal colours, empty slots hatched, wrong ones crossed. ``cells``: slots that a
    map has, at most; of longer vectors the first ones."""
    canvas = Canvas(f"{contents.program}-{contents.title}")
    y = _header(canvas, contents)
    labels = _Labels.of(contents)
    if labels is not None:
        width, y = labels.draw(canvas, contents, y)
        y = _Legend(canvas, contents, MARGIN, WIDTH).draw(y + 14)
    else:
        y = _strip(canvas, contents, y)
        width, y = _whole(canvas, contents, y + 30, cells)
    title = f"{contents.title} of {contents.program}: what its {count_of(contents.slots, 'slot')} hold"
    description = " ".join(
        f"{part}." for part in (contents.definition, contents.summary(), contents.wrong_sentence()) if part
    )
    return canvas.finish(max(width, WIDTH + 2 * MARGIN), y + MARGIN - 8, title, description)


def _header(canvas: Canvas, contents: SlotContents) -> float:
    kind = {"cipher": "packed by the client", "plain": "plaintext"}.get(contents.kind, "computed")
    digits = ", ".join(f"{name} < {extent}" for name, extent in contents.axes)
    y = MARGIN + 16.0
    canvas.text(MARGIN, y, contents.title, 20, bold=True)
    about = f"{kind}, {count_of(contents.slots, 'slot')}" + (f" ({digits})" if digits else "")
    canvas.text(MARGIN + len(contents.title) * 12 + 16, y, about, 13, PALE)
    lines = wrapped(contents.definition, 115, 3)
    for line, text in contents.claims[:3]:
        lines += wrapped(f"as claimed in line {line}: {text}", 115, 2)
    for n, line_text in enumerate(lines):
        y += 24 if n == 0 else 17
        canvas.text(MARGIN, y, line_text, 12.5, INK if n == 0 else PALE, mono=True)
    return y + 26


@dataclass(frozen=True)
class _Labels:
    """A grid whose cells all have room for their content."""

    grid: Grid
    holdings: Sequence[Holding]
    characters: int
    lines: int

    @staticmethod
    def of(contents: SlotContents) -> _Labels | None:
        """None where there are too many slots, or their contents are too long."""
        grid = grid_of(contents)
        if contents.slots > min(MAX_LABELLED, contents.describer.affordable):
            return None
        holdings = contents.holdings(range(contents.slots))
        room = (MAX_WIDTH - 2 * MARGIN - 80) / grid.columns
        most = int((room - 14) / (CELL_TEXT * CHARACTER))
        longest = max(len(h.short) for h in holdings)
        if most < 3:
            return None
        # shorter lines as long as that costs no more lines
        for lines in range(1, MAX_LINES + 1):
            for characters in range(min(max(4, longest // lines), most), min(longest, most) + 1):
                if all("…" not in "".join(wrapped(h.short, characters, lines)) for h in holdings):
                    return _Labels(grid, holdings, characters, lines)
        return None

    def draw(self, canvas: Canvas, contents: SlotContents, y: float) -> tuple[float, float]:
        grid = self.grid
        heads = [grid.column_label(Stretch(c, c + 1)) for c in range(grid.columns)]
        widest = max(map(len, heads)) * 11 * CHARACTER
        width = max(44.0, widest, self.characters * CELL_TEXT * CHARACTER + 14)
        height = 16.0 + 15 * self.lines
        rows = [grid.row_label(Stretch(r, r + 1)) for r in range(grid.rows)]
        left = MARGIN + max(map(len, rows)) * 11 * CHARACTER + 12
        for c, label in enumerate(heads):
            canvas.text(left + (c + 0.5) * width, y, label, 11, PALE, anchor="middle")
        y += 8
        for r, label in enumerate(rows):
            canvas.text(left - 10, y + (r + 0.5) * height + 4, label, 11, PALE, anchor="end")
        for slot, held in enumerate(self.holdings):
            row, column = divmod(slot, grid.columns)
            x, top = left + column * width, y + row * height
            wrong = contents.wrong is not None and bool(contents.wrong[slot])
            tip = f"slot {slot}: {held.text}"
            fill = _fill(canvas, contents, slot)
            canvas.cell(x + 1, top + 1, width - 2, height - 2, fill, tip, WRONG if wrong else "")
            if wrong:
                canvas.cross(x + width - 11, top + 5, 6, WRONG)
            if _is_empty(contents, slot, held):
                continue
            _centred(canvas, x + width / 2, top + height / 2, wrapped(held.short, self.characters, self.lines))
        return left + grid.columns * width + MARGIN, y + grid.rows * height


def _centred(canvas: Canvas, x: float, y: float, lines: Sequence[str]) -> None:
    for n, line in enumerate(lines):
        canvas.text(x, y + 4 + (n - (len(lines) - 1) / 2) * 15, line, CELL_TEXT, mono=True, anchor="middle")


def _is_empty(contents: SlotContents, slot: int, held: Holding | None = None) -> bool:
    if contents.groups is not None:
        return bool(contents.groups[slot] < 0)
    return held is not None and held.empty


def _fill(canvas: Canvas, contents: SlotContents, slot: int) -> str:
    if contents.groups is None or contents.repetition is None:
        return NEUTRAL
    group = int(contents.groups[slot])
    return canvas.hatched if group < 0 else content_colour(group, contents.repetition.distinct)


# many slots


def _whole(canvas: Canvas, contents: SlotContents, y: float, cells: int) -> tuple[float, float]:
    """A map of all slots, and the legend beside it or, where there is no room, below."""
    grid = _map_grid(contents, cells)
    tips = None
    if contents.slots <= min(MAX_TIPS, contents.describer.affordable):
        tips = [f"slot {s}: {h.text}" for s, h in enumerate(contents.holdings(range(contents.slots)))]
    fills = [_fill(canvas, contents, slot) for slot in range(min(contents.slots, cells))]
    right, bottom = draw_map(canvas, MARGIN, y, grid, fills, contents.wrong, tips)
    beside = WIDTH + MARGIN - right - 36
    if beside >= 240:
        legend = _Legend(canvas, contents, right + 36, beside).draw(y)
        return right + MARGIN, max(bottom, legend)
    return right + MARGIN, _Legend(canvas, contents, MARGIN, WIDTH).draw(bottom + 14)


def _map_grid(what: Digits, cells: int) -> Grid:
    if what.slots > cells:
        return Grid(-(-what.slots // 256), 256, (), ())
    return grid_of(what, 64 if what.slots >= 1024 else 16)


def _strip(canvas: Canvas, contents: SlotContents, y: float) -> float:
    """The first slots that differ, or those around the first wrong one, with their contents."""
    runs, wrong_run = _runs(contents)
    first = max(0, (wrong_run or 0) - 2)
    runs = runs[first : first + min(12, contents.describer.affordable)]
    held = contents.holdings([r.start for r in runs])
    longest = max(len(h.short) for h in held)
    # two lines of halves, or three of thirds
    characters = max(9, min(longest, 22 if longest > 22 else longest))
    characters = max(characters, -(-min(longest, 60) // 3) + 2) if longest > characters else characters
    labels = [f"slots {r.start}–{r.stop - 1}" if r.stop > r.start + 1 else f"slot {r.start}" for r in runs]
    digits = [", ".join(f"{k} = {v}" for k, v in contents.digits(r.start).items()) for r in runs]
    characters = max(characters, *(len(label) for label in labels), *(len(text) - 2 for text in digits))
    width = characters * CELL_TEXT * CHARACTER + 14
    count = max(1, min(len(runs), int(WIDTH // width)))
    what = "Around the first wrong slot" if wrong_run is not None else "The first slots"
    canvas.text(MARGIN, y, what, 13, bold=True)
    lines = max(len(wrapped(h.short, characters, MAX_LINES)) for h in held[:count])
    y += 24
    height = 16.0 + 15 * lines
    for n in range(count):
        x, slot = MARGIN + n * width, runs[n].start
        canvas.text(x + width / 2, y, labels[n], 11, PALE, anchor="middle")
        wrong = contents.wrong is not None and bool(contents.wrong[slot])
        fill = _fill(canvas, contents, slot)
        stroke = WRONG if wrong else ""
        canvas.cell(x + 1, y + 8, width - 2, height, fill, f"slot {slot}: {held[n].text}", stroke)
        if wrong:
            canvas.cross(x + width - 11, y + 13, 6, WRONG)
        if not _is_empty(contents, slot, held[n]):
            _centred(canvas, x + width / 2, y + 8 + height / 2, wrapped(held[n].short, characters, MAX_LINES))
        canvas.text(x + width / 2, y + height + 24, digits[n], 11, PALE, anchor="middle")
    return y + height + 24 + (4 if contents.axes else -16)


def _runs(contents: SlotContents) -> tuple[list[Stretch], int | None]:
    """Stretches of neighbours that hold the same, the first few, or those up to the first wrong one."""
    if contents.groups is None:
        marks = np.arange(contents.slots)
    else:
        marks = contents.groups * 2 if contents.wrong is None else contents.groups * 2 + contents.wrong
    edges = [0, *(np.flatnonzero(np.diff(marks)) + 1).tolist(), contents.slots]
    runs = [Stretch(a, b) for a, b in pairwise(edges)]
    if contents.wrong is None or not contents.wrong.any():
        return runs, None
    slot = int(np.flatnonzero(contents.wrong)[0])
    return runs, next(n for n, r in enumerate(runs) if r.start <= slot < r.stop)


@dataclass(frozen=True)
class _Legend:
    """What the colours mean, and how contents repeat; ``width`` wide from ``x``."""

    canvas: Canvas
    contents: SlotContents
    x: float
    width: float

    def draw(self, y: float) -> float:
        """The bottom of the drawing."""
        canvas, contents, x = self.canvas, self.contents, self.x
        repetition = contents.repetition
        y += 14
        if contents.wrong is not None:
            y = self._paragraph(contents.wrong_sentence(), y, WRONG, bold=True) + 6
        y = self._paragraph(contents.summary(), y) + 10
        if repetition is not None and 0 < repetition.distinct <= FEW:
            y = self._few(y)
        elif repetition is not None and repetition.distinct:
            y = self._many(y)
        if repetition is not None and repetition.empty:
            canvas.cell(x, y - 11, 14, 14, canvas.hatched, stroke=LINE)
            canvas.text(x + 22, y, f"empty: {count_of(repetition.empty, 'slot')}", 12)
            y += 22
        if contents.wrong is not None:
            canvas.squares([(int(x) + 3, int(y) - 8)], 8, WRONG)
            canvas.text(x + 22, y, "wrong", 12)
            y += 22
        return y - 18

    def _paragraph(self, text: str, y: float, fill: str = INK, bold: bool = False) -> float:
        for line in wrapped(text, int(self.width / (13 * 0.56)), 6):
            self.canvas.text(self.x, y, line, 13, fill, bold=bold)
            y += 18
        return y

    def _few(self, y: float) -> float:
        canvas, contents = self.canvas, self.contents
        groups = contents.groups
        assert groups is not None
        numbers, first, counts = np.unique(groups, return_index=True, return_counts=True)
        chosen = [(int(g), int(s), int(c)) for g, s, c in zip(numbers, first, counts, strict=True) if g >= 0]
        held = contents.holdings([s for _, s, _ in chosen[: contents.describer.affordable]])
        for (group, _, count), holding in zip(chosen, held, strict=False):
            canvas.cell(self.x, y - 11, 14, 14, content_colour(group, len(chosen)))
            times = f"in {count_of(count, 'slot')}"
            room = int((self.width - 34) / (12 * CHARACTER)) - len(times)
            (text,) = wrapped(holding.text if len(holding.text) <= room else holding.short, room, 1)
            canvas.text(self.x + 22, y, text, 12, mono=True)
            canvas.text(self.x + 34 + len(text) * 12 * CHARACTER, y, times, 12, PALE)
            y += 20
        return y + 4

    def _many(self, y: float) -> float:
        canvas, contents = self.canvas, self.contents
        groups = contents.groups
        assert groups is not None
        ends = [int(np.flatnonzero(groups == g)[0]) for g in (0, int(groups.max()))]
        room = int((self.width - 34) / (12 * CHARACTER))
        first, last = (wrapped(h.short, room, 1)[0] for h in contents.holdings(ends))
        canvas.text(self.x, y, "colours: contents by first appearance", 12, PALE)
        y += 8
        steps = SPECTRUM_STEPS // 2
        for step in range(steps):
            fill = spectrum(step / (steps - 1), pale=step % 2 == 1)
            canvas.cell(self.x + step * 8, y, 8, 12, fill)
        for name, text in (("first", first), ("last", last)):
            y += 28 if name == "first" else 18
            canvas.text(self.x, y, name, 12, PALE)
            canvas.text(self.x + 34, y, text, 12, mono=True)
        return y + 26


# refutations


def svg_report(refutation: Refutation, cells: int = MAX_CELLS) -> str:
    """A refuted program: the counterexample in words, the slots around the wrong one with what they hold and
    should hold, and a map of all wrong slots of the vector, or of its first ``cells`` slots."""
    canvas = Canvas(f"{refutation.program}-{refutation.statement}-refuted")
    y = MARGIN + 16.0
    canvas.text(MARGIN, y, f"{refutation.statement} is refuted", 20, bold=True)
    y += 20
    canvas.text(MARGIN, y, f"line {refutation.line} of {refutation.program}", 13, PALE)
    y += 12
    for line in refutation.lines:
        for part in wrapped(line.strip(), 112, 3):
            y += 18
            canvas.text(MARGIN + 12 * (len(line) - len(line.lstrip()) > 0), y, part, 12.5, mono=True)
    width = WIDTH + 2.0 * MARGIN
    if refutation.around:
        y = _boxes(canvas, refutation, y + 34)
    if refutation.wrong is not None:
        y = _wrong_map(canvas, refutation.wrong, y + 34, cells)
    sentence = "" if refutation.wrong is None else refutation.wrong.sentence()
    description = ". ".join([*(line.strip() for line in refutation.lines), sentence])
    title = f"{refutation.program}: {refutation.statement} is refuted"
    return canvas.finish(width, y + MARGIN, title, description)


def _boxes(canvas: Canvas, refutation: Refutation, y: float) -> float:
    canvas.text(MARGIN, y, f"Slots of {refutation.title}", 13, bold=True)
    y += 14
    width = min(220.0, WIDTH / len(refutation.around))
    characters = int((width - 18) / (11 * CHARACTER))
    texts = [_box_texts(n, characters) for n in refutation.around]
    should_lines = max(len(should) for should, _ in texts)
    holds_lines = max(len(holds) for _, holds in texts)
    height = 84.0 + 14 * (should_lines + holds_lines)
    for k, (neighbour, (should, holds)) in enumerate(zip(refutation.around, texts, strict=True)):
        x = MARGIN + k * width
        here = neighbour.slot == refutation.slot
        fill = WRONG_PALE if neighbour.wrong else RIGHT if neighbour.claimed else UNSPOKEN
        tip = f"slot {neighbour.slot} should hold {neighbour.should.text}; holds {neighbour.holds.text}"
        canvas.cell(x + 2, y, width - 4, height, fill, tip, WRONG if here else "")
        canvas.text(x + 10, y + 19, f"slot {neighbour.slot}", 12.5, bold=True)
        if neighbour.wrong:
            canvas.cross(x + width - 18, y + 10, 8, WRONG)
        names = [name for name, _ in refutation.axes]
        digits = ", ".join(f"{k} = {v}" for k, v in zip(names, neighbour.digits, strict=True))
        canvas.text(x + 10, y + 34, digits, 10.5, PALE)
        _box_text(canvas, x + 10, y + 52, "should hold", should)
        _box_text(canvas, x + 10, y + 72 + 14 * should_lines, "holds", holds)
    return y + height


def _box_texts(n: Neighbour, characters: int) -> tuple[list[str], list[str]]:
    should = n.should.short if n.claimed else "anything"
    holds = "as it should" if n.wrong is False and n.claimed else n.holds.short
    return wrapped(should, characters, 4), wrapped(holds, characters, 4)


def _box_text(canvas: Canvas, x: float, y: float, head: str, lines: Sequence[str]) -> None:
    canvas.text(x, y, head, 10, PALE)
    for n, line in enumerate(lines):
        canvas.text(x, y + 14 * (n + 1), line, 11, mono=True)


def _wrong_map(canvas: Canvas, wrong: WrongSlots, y: float, cells: int) -> float:
    canvas.text(MARGIN, y, wrong.sentence(), 14, WRONG, bold=True)
    claimed = wrong.claimed[:cells]
    grid = _map_grid(wrong, cells)
    kinds = {RIGHT: "holds what it should", canvas.hatched: "not spoken of", WRONG_PALE: "wrong"}
    fills = [
        WRONG_PALE if bad else RIGHT if said else canvas.hatched
        for bad, said in zip(wrong.wrong.tolist(), claimed.tolist(), strict=False)
    ]
    y += 26
    right, bottom = draw_map(canvas, MARGIN, y, grid, fills, wrong.wrong)
    x = right + 36
    for fill in [fill for fill in kinds if fill in fills]:
        canvas.cell(x, y - 4, 14, 14, fill, stroke=LINE)
        if fill == WRONG_PALE:
            canvas.squares([(int(x) + 4, int(y) - 1)], 7, WRONG)
        canvas.text(x + 22, y + 7, kinds[fill], 12)
        y += 22
    return bottom
