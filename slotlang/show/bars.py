"""Costs as bars: of one program its times, of several the same measure side by side."""

from __future__ import annotations

from collections.abc import Sequence

from slotlang.cost.report import Cost
from slotlang.show.canvas import CHARACTER, INK, PALE, Canvas
from slotlang.show.colours import spectrum
from slotlang.show.compared import Comparison
from slotlang.show.quantities import size_text, time_text
from slotlang_runtime.amounts import count_of

__all__ = ["comparison_svg", "cost_svg"]

LENGTH = 260
"""Pixels of the longest bar."""
ROW, HEAD = 20, 26
MOST = 24
"""Programs that are drawn; the table has all."""

_Bar = tuple[str, float, str]
"""A name, how much, and that as a text."""


def cost_svg(cost: Cost) -> str:
    """What one program takes, step by step, and what it sends and keeps."""
    t = cost.predicted
    times = {
        "encode weights": t.encoding,
        "encrypt": t.encryption,
        "read": t.reading,
        "evaluate": t.evaluation,
        "make masks": t.masking,
        "write": t.saving,
        "decrypt": t.decryption,
    }
    sizes = {
        "keys in memory": cost.galois_key_bytes,
        "keys sent": cost.evaluation_key_bytes,
        "up": cost.upload_bytes,
        "down": cost.download_bytes,
    }
    c = cost.counts
    return _drawn(
        f"{cost.program}: {count_of(c.rotations, 'rotation')}, {count_of(c.plain_products, 'product')}",
        [
            ("predicted times", [(name, s, time_text(s)) for name, s in times.items()]),
            ("bytes", [(name, n, size_text(n)) for name, n in sizes.items()]),
        ],
    )


def comparison_svg(found: Comparison) -> str:
    """A group of bars for each measure, a bar for each program."""
    programs = list(zip(found.names, found.costs, strict=True))[:MOST]
    groups: list[tuple[str, list[_Bar]]] = [
        ("predicted evaluation", [(n, c.predicted.evaluation, time_text(c.predicted.evaluation)) for n, c in programs]),
        ("rotations", [(n, c.counts.rotations, f"{c.counts.rotations:,}") for n, c in programs]),
        ("keys in memory", [(n, c.galois_key_bytes, size_text(c.galois_key_bytes)) for n, c in programs]),
        (
            "bytes up and down",
            [(n, b, size_text(b)) for n, c in programs for b in [c.upload_bytes + c.download_bytes]],
        ),
    ]
    return _drawn(f"{count_of(len(found.costs), 'program')}, compared", groups)


def _drawn(title: str, groups: Sequence[tuple[str, Sequence[_Bar]]]) -> str:
    canvas = Canvas("bars")
    longest = max((len(name) for _, bars in groups for name, _, _ in bars), default=1)
    left = 28 + CHARACTER * 12 * min(longest, 40) + 10
    canvas.text(28, 34, title, 15, INK, bold=True)
    y = 44.0
    for number, (head, bars) in enumerate(groups):
        y += HEAD
        canvas.text(28, y, head, 12.5, INK, bold=True)
        most = max((amount for _, amount, _ in bars), default=0) or 1
        for name, amount, text in bars:
            y += ROW
            shown = name if len(name) <= 40 else f"{name[:39]}…"
            canvas.text(left - 10, y, shown, 12, PALE, anchor="end")
            width = LENGTH * amount / most
            if width:
                canvas.cell(left, y - 11, max(width, 1), 13, spectrum(number / 6), f"{name}: {text}")
            canvas.text(left + width + 8, y, text, 12, INK)
    return canvas.finish(left + LENGTH + 110, y + 24, title, title)
