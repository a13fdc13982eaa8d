"""SVG from a few shapes: no scripts, no styles, no fonts from elsewhere; every text is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, log
from xml.sax.saxutils import escape, quoteattr

__all__ = ["CHARACTER", "INK", "LINE", "MONO", "PALE", "Canvas", "Fold", "fold", "wrapped"]

MONO = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
SANS = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, 'DejaVu Sans', sans-serif"
CHARACTER = 0.61
"""Width of a character, in parts of its size: of a monospaced font, and at most, on average, of another."""
INK, PALE, PAPER, LINE = "#1f2328", "#59636e", "#ffffff", "#d1d9e0"


def _clean(text: str) -> str:
    """Escaped, and without the characters that XML can't hold."""
    return escape(
        "".join(ch for ch in text if ch >= " " and not 0xD7FF < ord(ch) < 0xE000 and ch not in "\ufffe\uffff")
    )


class Canvas:
    """A drawing that grows by shapes. ``name`` makes its ids unlike those of other drawings on a page."""

    def __init__(self, name: str) -> None:
        self.id = "slots-" + "".join(ch if ch.isalnum() and ch.isascii() else "-" for ch in name)
        self.parts: list[str] = []

    @property
    def hatched(self) -> str:
        """The fill of empty cells."""
        return f"url(#{self.id}-empty)"

    def text(
        self,
        x: float,
        y: float,
        text: str,
        size: float = 13,
        fill: str = INK,
        *,
        mono: bool = False,
        bold: bool = False,
        anchor: str = "start",
    ) -> None:
        """One line of text, its baseline at ``y``."""
        family = f' font-family={quoteattr(MONO)} xml:space="preserve"' if mono else ""
        weight = ' font-weight="600"' if bold else ""
        place = "" if anchor == "start" else f' text-anchor="{anchor}"'
        self.parts.append(
            f'<text x="{x:g}" y="{y:g}" font-size="{size:g}" fill="{fill}"{family}{weight}{place}>{_clean(text)}</text>'
        )

    def cell(self, x: float, y: float, width: float, height: float, fill: str, tip: str = "", stroke: str = "") -> None:
        """A rectangle, with a text shown under the pointer."""
        line = f' stroke="{stroke}" stroke-width="1.5"' if stroke else ""
        shape = f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="2" fill="{fill}"{line}'
        self.parts.append(f"{shape}><title>{_clean(tip)}</title></rect>" if tip else f"{shape}/>")

    def squares(self, places: Sequence[tuple[int, int]], side: int, fill: str) -> None:
        """Many squares of one colour, as one path."""
        if places:
            path = "".join(f"M{x} {y}h{side}v{side}h-{side}z" for x, y in places)
            self.parts.append(f'<path fill="{fill}" d="{path}"/>')

    def line(self, x: float, y: float, to_x: float, to_y: float, colour: str = LINE, width: float = 1) -> None:
        """A straight line."""
        wide = "" if width == 1 else f' stroke-width="{width:g}"'
        self.parts.append(f'<path stroke="{colour}"{wide} fill="none" d="M{x:g} {y:g}L{to_x:g} {to_y:g}"/>')

    def path(self, path: str, colour: str, width: float, tip: str) -> None:
        """A curve, with a text shown under the pointer."""
        shape = f'<path stroke="{colour}" stroke-width="{width:g}" fill="none" d="{path}"'
        self.parts.append(f"{shape}><title>{_clean(tip)}</title></path>")

    def circle(self, x: float, y: float, radius: float, fill: str, tip: str, stroke: str = INK) -> None:
        """A disc, with a text shown under the pointer."""
        shape = f'<circle cx="{x:g}" cy="{y:g}" r="{radius:g}" fill="{fill}" stroke="{stroke}"'
        self.parts.append(f"{shape}><title>{_clean(tip)}</title></circle>")

    def cross(self, x: float, y: float, side: float, colour: str) -> None:
        """A cross in a square."""
        self.parts.append(
            f'<path stroke="{colour}" stroke-width="1.8" stroke-linecap="round" fill="none" '
            f'd="M{x:g} {y:g}l{side:g} {side:g}M{x + side:g} {y:g}l-{side:g} {side:g}"/>'
        )

    def finish(self, width: float, height: float, title: str, description: str) -> str:
        """The document."""
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {ceil(width)} {ceil(height)}" '
            f'width="{ceil(width)}" height="{ceil(height)}" role="img" font-family={quoteattr(SANS)} '
            f'aria-labelledby="{self.id}-title {self.id}-desc">'
        )
        hatch = (
            f'<defs><pattern id="{self.id}-empty" width="5" height="5" patternUnits="userSpaceOnUse" '
            'patternTransform="rotate(45)"><rect width="5" height="5" fill="#f6f8fa"/>'
            '<path d="M0 0v5" stroke="#cfd6dd" stroke-width="1.6"/></pattern></defs>'
        )
        return "\n".join(
            [
                head,
                f'<title id="{self.id}-title">{_clean(title)}</title>',
                f'<desc id="{self.id}-desc">{_clean(description)}</desc>',
                hatch,
                f'<rect width="100%" height="100%" fill="{PAPER}"/>',
                *self.parts,
                "</svg>",
                "",
            ]
        )


class Fold:
    """A grid cut into blocks, so that it is about as wide as high: tall ones stand side by side, wide ones on
    top of each other."""

    def __init__(self, rows: int, columns: int, blocks: int, down: bool) -> None:
        self.blocks = blocks
        self.down = down
        self.rows = ceil(rows / blocks) if down else rows
        self.columns = columns if down else ceil(columns / blocks)

    @property
    def across(self) -> int:
        """Cells in the width of the whole."""
        return self.columns * (self.blocks if self.down else 1)

    @property
    def height(self) -> int:
        """Cells in the height of the whole."""
        return self.rows * (1 if self.down else self.blocks)

    def place(self, row: int, column: int) -> tuple[int, int, int]:
        """Block, and row and column in it."""
        if self.down:
            return row // self.rows, row % self.rows, column
        return column // self.columns, row, column % self.columns


def fold(rows: int, columns: int, shape: float = 1.0) -> Fold:
    """The cut whose width and height are nearest to ``shape``; only cuts into equal blocks, if there are any."""
    down = rows > columns
    length = rows if down else columns
    options = [b for b in range(1, min(length, 128) + 1) if length % b == 0]
    if max(options) == 1 and length > 64:
        options = list(range(1, min(length, 128) + 1))
    folds = [Fold(rows, columns, b, down) for b in options]
    return min(folds, key=lambda f: abs(log(f.across / f.height / shape)))


def wrapped(text: str, width: int, lines: int) -> list[str]:
    """The text in at most ``lines`` lines of ``width`` characters, broken before a sign or after a factor."""
    result: list[str] = []
    rest = text
    while rest and len(result) < lines:
        if len(rest) <= width:
            result.append(rest)
            return result
        cut = max(rest.rfind(" + ", 1, width + 1), rest.rfind(" - ", 1, width + 1))
        if cut <= 0:
            cut = max(rest.rfind("*", 1, width) + 1, rest.rfind(" ", 1, width + 1), rest.rfind("(", 1, width))
        if cut <= 0:
            cut = width
        result.append(rest[:cut].rstrip())
        rest = rest[cut:].lstrip()
    if rest:
        result[-1] = result[-1][: width - 1] + "…"
    return result
