"""Rows of ``python -m benchmarks.schemes`` as tables, as ratios, as a plot, and in docs/benchmarks.md."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias

from rich.table import Table

from benchmarks.child import Row
from benchmarks.pages import markdown, rewrite
from slotlang.show.axis import Axis
from slotlang.show.canvas import CHARACTER, INK, PALE, Canvas
from slotlang_runtime.amounts import count_of

SCHEMA = "slotlang.schemes/2"
PAGE = Path(__file__).resolve().parent.parent / "docs" / "benchmarks.md"
PLOT = PAGE.with_suffix(".svg")
BEST = "synth 1e-3"
"""What the others are compared with."""
FEW = 8
"""Tokens whose time per token more of them are compared with."""

Shape: TypeAlias = tuple[int, int, int]
Aim: TypeAlias = tuple[str, str, tuple[Shape, str], tuple[Shape, str]]

AIMS: Sequence[Aim] = (
    ("TenSEAL's product over synth 1e-3", "≥ 1,000", ((1024, 8, 1), "TenSEAL"), ((1024, 8, 1), BEST)),
    *(
        (
            f"synth 1e-3 per token, {tokens} tokens over {FEW}",
            wanted,
            ((4096, 16, tokens), BEST),
            ((4096, 16, FEW), BEST),
        )
        for tokens, wanted in ((64, "< 1"), (512, "< 1"), (2048, "≤ 0.25"))
    ),
)
"""What is divided by what, per token, and what it ought to be."""

COLUMNS: Mapping[str, Callable[[Row], str]] = {
    "d": lambda row: f"{row.shape[0]}",
    "r": lambda row: f"{row.shape[1]}",
    "tokens": lambda row: f"{row.shape[2]}",
    "scheme": lambda row: row.scheme,
    "ms": lambda row: ms(row.seconds),
    "ms per token": lambda row: ms(row.per_token),
    "±": lambda row: f"{row.spread:.0%}" if row.evaluations > 1 else "",
    "masks": lambda row: ms(row.mask_seconds),
    "load": lambda row: ms(row.load_seconds),
    "save": lambda row: ms(row.save_seconds),
    "key switches": lambda row: "" if row.key_switches is None else f"{row.key_switches:,}",
    "keys, MB": lambda row: mb(row.key_bytes),
    "up": lambda row: f"{row.ciphertexts_up:,}",
    "up, MB": lambda row: mb(row.upload_bytes),
    "down": lambda row: f"{row.ciphertexts_down:,}",
    "down, MB": lambda row: mb(row.download_bytes),
    "memory, MB": lambda row: f"{row.memory_bytes / 1e6:,.0f}",
    "error": lambda row: f"{row.error:.0e}",
}
"""Heads of the table, and what stands below."""

TEXTS = ("schedule", "degree: primes, scales")
"""Heads of what ``synth`` picks."""


def ms(seconds: float) -> str:
    """Milliseconds, three digits."""
    value = 1e3 * seconds
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def mb(count: int) -> str:
    """Megabytes, of few also below one."""
    value = count / 1e6
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def times(ratio: float) -> str:
    """A ratio, three digits."""
    return f"{ratio:,.0f}" if ratio >= 100 else f"{ratio:.1f}" if ratio >= 10 else f"{ratio:.2f}"


def cells(rows: Sequence[Row], heads: Sequence[str]) -> list[list[str]]:
    """The heads, and a line for each row."""
    return [[*heads], *([COLUMNS[head](row) for head in heads] for row in rows)]


def ratios(rows: Sequence[Row]) -> list[list[str]]:
    """For each shape how many times as long as BEST every other scheme takes, and what BEST takes per token against
    FEW tokens, the second time with masks, reading and writing; empty where a scheme was not measured."""
    known = {(row.shape, row.scheme): row for row in rows}
    others = [scheme for scheme in dict.fromkeys(row.scheme for row in rows) if scheme != BEST]

    def ratio(above: tuple[Shape, str], below: tuple[Shape, str], seconds: str = "per_token") -> str:
        if above not in known or below not in known:
            return ""
        return times(getattr(known[above], seconds) / getattr(known[below], seconds))

    found = [["d", "r", "tokens", *others, f"{BEST}, of {FEW} tokens", "with load and save"]]
    for shape in dict.fromkeys(row.shape for row in rows):
        best, few = (shape, BEST), ((*shape[:2], FEW), BEST)
        against = [ratio(best, few, what) if shape[2] > FEW else "" for what in ("per_token", "whole_per_token")]
        found.append([*map(str, shape), *(ratio((shape, other), best) for other in others), *against])
    return found


def aims(rows: Sequence[Row]) -> list[list[str]]:
    """What is measured of AIMS."""
    per_token = {(row.shape, row.scheme): row.per_token for row in rows}
    found = [["per token", "d, r, tokens", "wanted", "measured"]]
    for what, wanted, above, below in AIMS:
        if above in per_token and below in per_token:
            shape = ", ".join(map(str, above[0]))
            found.append([what, shape, wanted, times(per_token[above] / per_token[below])])
    return found


def terminal_tables(rows: Sequence[Row]) -> list[Table]:
    """Everything, for a terminal."""
    found = []
    for title, lines, left in (
        ("all tokens together, one thread, CPU time; masks, load and save in ms besides", cells(rows, [*COLUMNS]), 4),
        (f"per token, times as long as {BEST}", ratios(rows), 0),
        ("ratios that are wanted", aims(rows), 1),
    ):
        if len(lines) > 1:
            table = Table(title=title, box=None)
            for number, head in enumerate(lines[0]):
                table.add_column(head, justify="left" if number == left - 1 else "right", no_wrap=True)
            for line in lines[1:]:
                table.add_row(*line)
            found.append(table)
    return found


def page_lines(rows: Sequence[Row], values: Mapping[str, Any]) -> list[str]:
    """The measured region of docs/benchmarks.md. ``values``: what the JSON says of the run."""
    machine = values["machine"]
    # a table holds one d: the head says which
    heads = [head for head in COLUMNS if head != "d"]
    lines = [
        "",
        f"{values['date']}, {machine['processor']}, {machine['cores']} cores, TenSEAL {machine['tenseal']}.",
        "",
        f"![Time per token of every scheme, by tokens]({PLOT.name})",
    ]
    for d in dict.fromkeys(row.shape[0] for row in rows):
        part = [row for row in rows if row.shape[0] == d]
        lines += ["", f"### {d} channels", *markdown(cells(part, heads), ["scheme"])[:-1]]
        for scheme in dict.fromkeys(row.scheme for row in part if row.scheme.startswith("synth")):
            lines += [
                "",
                f"What {scheme} picks:",
                *markdown(picks([row for row in part if row.scheme == scheme]), TEXTS)[:-1],
            ]
    lines += [
        "",
        "### Ratios",
        "",
        f"Per token, times as long as {BEST}; last, of that itself, more tokens against {FEW}:",
    ]
    lines += markdown(ratios(rows))
    if len(wanted := aims(rows)) > 1:
        lines += ["What the project wants of them:", *markdown(wanted)]
    return lines


def picks(rows: Sequence[Row]) -> list[list[str]]:
    """Schedule and parameters of each shape."""
    heads = ["r", "tokens", "at a time", *TEXTS]
    return [heads, *([*map(str, row.shape[1:]), str(row.held), row.schedule, row.parameters] for row in rows)]


def write_docs(rows: Sequence[Row], values: Mapping[str, Any]) -> None:
    """Rewrite the measured region of docs/benchmarks.md, and its plot."""
    rewrite(PAGE, page_lines(rows, values))
    PLOT.write_text(plot_svg(rows), encoding="utf-8")


# The plot

WIDTH, HEIGHT, GAP, LEFT, TOP, BELOW = 300, 270, 34, 76, 150, 84
COLOURS = ("#9a6700", "#59636e", "#d55e00", "#0072b2", "#a8328f", "#118a5b")
"""Of schemes; they differ for the colour-blind, and stand out from white."""
RADIUS = 5
DODGE, ASIDE = 4, 12
"""How far schemes stand beside each other, that equal times don't cover each other, and the room they take for it."""


def plot_svg(rows: Sequence[Row]) -> str:
    """A panel for each d and r of which several numbers of tokens were measured, d from top to bottom and r from left
    to right: time per token against tokens, a line for each scheme, both logarithmic."""
    schemes = list(dict.fromkeys(row.scheme for row in rows))
    colours = {scheme: COLOURS[number % len(COLOURS)] for number, scheme in enumerate(schemes)}
    panels: dict[tuple[int, int], list[Row]] = {}
    for row in rows:
        panels.setdefault(row.shape[:2], []).append(row)
    panels = {key: part for key, part in panels.items() if len({row.shape[2] for row in part}) > 1}
    canvas = Canvas("benchmarks")
    canvas.text(28, 40, "CPU time per token", 20, bold=True)
    canvas.text(28, 62, "ms, one thread, weights encoded beforehand; the lower the better", 12.5, PALE)
    _legend(canvas, colours)
    widths, ranks = (list(dict.fromkeys(key[n] for key in panels)) for n in (0, 1))
    for (d, r), part in panels.items():
        left = LEFT + ranks.index(r) * (WIDTH + GAP)
        top = TOP + widths.index(d) * (HEIGHT + BELOW)
        across = Axis([row.shape[2] for row in rows], left + ASIDE, left + WIDTH - ASIDE)
        of_line = [1e3 * row.per_token for key, other in panels.items() if key[0] == d for row in other]
        up = Axis(of_line, top + HEIGHT, top)
        canvas.text(left, top - 12, f"d = {d}, r = {r}", 13, INK, bold=True)
        _grid(canvas, left, top, across, up, sorted({row.shape[2] for row in part}), first=r == ranks[0])
        for number, scheme in enumerate(schemes):
            aside = (number - (len(schemes) - 1) / 2) * DODGE
            line = sorted((row for row in part if row.scheme == scheme), key=lambda row: row.shape[2])
            _line(
                canvas,
                [(across.place(row.shape[2]) + aside, up.place(1e3 * row.per_token), row) for row in line],
                colours[scheme],
            )
    width = LEFT + len(ranks) * (WIDTH + GAP) - GAP + 28
    about = f"Time per token of {', '.join(schemes)}, by tokens."
    return canvas.finish(
        max(width, _legend_width(schemes)), TOP + len(widths) * (HEIGHT + BELOW) - 20, "Schemes", about
    )


def _legend_width(schemes: Sequence[str]) -> float:
    return 28 + sum(30 + len(scheme) * 12.5 * CHARACTER for scheme in schemes)


def _legend(canvas: Canvas, colours: Mapping[str, str]) -> None:
    x = 34.0
    for scheme, colour in colours.items():
        canvas.circle(x, 92, RADIUS, colour, scheme, stroke=colour)
        canvas.text(x + 10, 96, scheme, 12.5)
        x += 30 + len(scheme) * 12.5 * CHARACTER


def _grid(
    canvas: Canvas, left: float, top: float, across: Axis, up: Axis, tokens: Sequence[int], *, first: bool
) -> None:
    """Lines and numbers; times at the first panel of a line only, which the others share."""
    for value, place in up.ticks():
        canvas.line(left, place, left + WIDTH, place)
        if first:
            canvas.text(left - 8, place + 4, f"{value:,g}", 11, PALE, anchor="end")
    for count in tokens:
        place = across.place(count)
        canvas.line(place, top, place, top + HEIGHT)
        canvas.text(place, top + HEIGHT + 18, f"{count}", 11, PALE, anchor="middle")
    canvas.text(left + WIDTH / 2, top + HEIGHT + 38, "tokens", 12, PALE, anchor="middle")


def _line(canvas: Canvas, points: Sequence[tuple[float, float, Row]], colour: str) -> None:
    for (x, y, _), (to_x, to_y, _) in pairwise(points):
        canvas.line(x, y, to_x, to_y, colour, 1.8)
    for x, y, row in points:
        tip = (
            f"{row.scheme}, {count_of(row.shape[2], 'token')}: {ms(row.per_token)} ms per token, error {row.error:.0e}"
        )
        canvas.circle(x, y, RADIUS, colour, tip, stroke="#ffffff")
