"""The table of other libraries beside ours, and the ratios, as Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmarks.pages import markdown
from benchmarks.peers.common import Result

Shape = tuple[int, int, int]
HEADS = (
    *("d", "r", "tokens", "scheme", "degree: primes", "ms", "keys", "keys, MB", "up", "up, MB", "down", "down, MB"),
    *("max error", "rms error", "memory, MB"),
)
RATIO_HEADS = ("d", "r", "tokens", "ours", "of", "ratio", "goal", "ciphertexts up")


@dataclass(frozen=True)
class Row:
    """A scheme at a shape, for a relative rms error; the results of every round, in order."""

    shape: Shape
    precision: float
    ours: bool
    rounds: tuple[Result, ...]

    @property
    def milliseconds(self) -> float:
        return statistics.median(result.milliseconds for result in self.rounds)

    @property
    def name(self) -> str:
        """Its scheme, with the precision where that does not say it."""
        scheme = self.rounds[0].scheme
        return scheme if self.ours else f"{scheme}, {self.precision:.0e}".replace("e-0", "e-")


@dataclass(frozen=True)
class Goal:
    """What the project set itself: at most this part of the time of the schemes whose name starts so."""

    shape: Shape
    precision: float
    peer: str
    ratio: float


GOALS = (
    Goal((4096, 16, 8), 1e-6, "HElayers", 0.35),
    Goal((4096, 16, 8), 1e-3, "HElayers", 0.22),
    Goal((4096, 16, 1), 1e-6, "HElayers", 0.5),
    Goal((4096, 16, 1), 1e-6, "HEIR", 0.6),
    Goal((4096, 16, 1), 1e-3, "HElayers", 0.28),
    Goal((1024, 8, 1), 1e-3, "HElayers", 0.4),
)


@dataclass(frozen=True)
class Ratio:
    """Our time over another's, the median over rounds; ``goal`` None where none is set."""

    ours: Row
    other: Row
    ratio: float
    goal: float | None


def fastest(results: Iterable[Result], precision: float) -> Result | None:
    """The fastest that is precise enough."""
    usable = [result for result in results if result.error <= precision]
    return min(usable, key=lambda result: result.milliseconds, default=None)


def ratios(rows: Sequence[Row]) -> list[Ratio]:
    """Ours against all others of a shape that are at least as coarse, round by round, for the load of a machine moves.

    A scheme of 1e-6 stands beside ours of 1e-3 too: where it has no faster one, that is what people would take.
    """
    found = []
    for mine in (row for row in rows if row.ours):
        for other in rows:
            if other.ours or other.shape != mine.shape or other.precision > mine.precision:
                continue
            each = [a.milliseconds / b.milliseconds for a, b in zip(mine.rounds, other.rounds, strict=True)]
            goal = next(
                (
                    g.ratio
                    for g in GOALS
                    if (g.shape, g.precision) == (mine.shape, mine.precision) and other.name.startswith(g.peer)
                ),
                None,
            )
            found.append(Ratio(mine, other, statistics.median(each), goal))
    return found


def megabytes(count: int | None) -> str:
    return "" if count is None else f"{count / 1e6:,.1f}"


def exponent(error: float | None) -> str:
    return "" if error is None else f"{error:.0e}"


def cells(row: Row) -> tuple[str, ...]:
    """A line of the first table."""
    last = row.rounds[-1]
    return (
        *map(str, row.shape),
        row.name,
        last.parameters,
        f"{row.milliseconds:,.1f}",
        str(last.keys),
        megabytes(last.key_bytes),
        str(last.upload_ciphertexts),
        megabytes(last.upload_bytes),
        str(last.download_ciphertexts),
        megabytes(last.download_bytes),
        exponent(last.max_error),
        exponent(last.error),
        megabytes(last.peak_memory),
    )


def ratio_cells(ratio: Ratio) -> tuple[str, ...]:
    """A line of the second."""
    ups = [row.rounds[-1].upload_ciphertexts for row in (ratio.ours, ratio.other)]
    goal = "" if ratio.goal is None else f"{ratio.goal:.2f}, {'met' if ratio.ratio <= ratio.goal else 'missed'}"
    return (
        *map(str, ratio.ours.shape),
        ratio.ours.name,
        ratio.other.name,
        f"{ratio.ratio:.2f}",
        goal,
        f"{ups[0]} to {ups[1]}",
    )


def tables(rows: Sequence[Row], absent: dict[str, str]) -> list[str]:
    """Both tables, and what could not be measured."""
    missing = [f"Not measured: {name}, which {reason}." for name, reason in absent.items()]
    return [
        *markdown([HEADS, *map(cells, rows)], left=("scheme", "degree: primes")),
        *missing,
        *markdown([RATIO_HEADS, *map(ratio_cells, ratios(rows))], left=("ours", "of", "goal")),
    ]
