"""Logarithmic axes of drawings."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor, log10

__all__ = ["Axis"]


class Axis:
    """A logarithmic scale over values from 0; zeros stand at the start."""

    def __init__(self, values: Sequence[float], start: float, end: float) -> None:
        positive = [v for v in values if v > 0] or [1.0]
        margin = 0.08
        self.low = log10(min(positive)) - margin
        self.high = max(log10(max(positive)) + margin, self.low + 0.3)
        if min(values) <= 0:
            self.low -= 0.3
        self.start, self.end = start, end

    def place(self, value: float) -> float:
        """Where a value stands."""
        part = 0.0 if value <= 0 else (log10(value) - self.low) / (self.high - self.low)
        return round(self.start + part * (self.end - self.start), 1)

    def ticks(self) -> list[tuple[float, float]]:
        """Round values, a few to many."""
        steps = (1, 2, 5) if self.high - self.low < 2 else (1,)
        powers = range(floor(self.low), ceil(self.high) + 1)
        values = [step * 10.0**power for power in powers for step in steps]
        return [(v, self.place(v)) for v in values if self.low <= log10(v) <= self.high]
