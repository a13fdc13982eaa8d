"""How one part of slotlang says no to another: a question left open, or a demand that nothing meets.

What is wrong with a program, a file or an argument is said to its author instead, by a ``SlotError``.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf


class GaveUp(Exception):
    """A method leaves a question open: it does not decide questions of this form, or not within its limits, which says
    nothing about the answer. ``reason``: why, in words that fit into a sentence of a message."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Unreachable:
    """Nothing meets a demand. ``best``: the smallest value that can be had in place of the one asked for; infinite
    where nothing can be had at all."""

    best: float = inf
