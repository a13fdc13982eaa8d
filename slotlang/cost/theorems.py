"""Lower bounds as arithmetic: ``docs/bounds.md`` has the theorems and their proofs, by the names used here."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from math import ceil


@dataclass(frozen=True, slots=True)
class Bound:
    """A lower bound on one of the counts.

    ``of``: the key of the count in ``cost --json``; ``key_switches`` are rotations and conjugations here, since
    bounded schedules multiply no ciphertexts. ``theorem``: spread, products or two-products; ``proved`` is False
    for what is only conjectured. ``among``: the schedules it speaks of, the program one of them. ``gap``: the
    program's count minus the bound.
    """

    of: str
    theorem: str
    proved: bool
    at_least: int
    gap: int
    among: str

    @property
    def gap_text(self) -> str:
        """How the bound compares with the program's count, for a reader: ``4 fewer than here``."""
        return f"{abs(self.gap)} {'fewer' if self.gap > 0 else 'more'} than here" if self.gap else "as many as here"


def rank_dimension(d_in: int, d_out: int, rank: int) -> int:
    """Dimension of the variety of ``d_out`` x ``d_in`` matrices of rank at most ``rank``."""
    r = min(d_in, d_out, rank)
    return r * (d_in + d_out - r)


def products_bound(dimension: int, groups: int, slots: int, parameters: int = 2) -> int:
    """Fewest ciphertext-plaintext products, by the products theorem: maps of that dimension, token groups
    kept apart, real ``parameters`` of one plaintext slot (2 where plaintexts may be complex, else 1)."""
    return ceil(groups * dimension / (parameters * slots))


@dataclass(frozen=True, slots=True)
class TwoProducts:
    """What the two-products theorem needs to know: ``inputs`` and ``outputs`` ciphertexts, ``width`` = slots of
    one group of tokens in a ciphertext (slots / groups, rounded up), ``copies`` = most places in which the client
    puts one element. ``parameters``: real numbers in one plaintext slot, 1 or 2; ``parts_in`` and ``parts_out``: 2
    where slots of inputs may be complex, and where imaginary parts are read; with real plaintexts both are 1."""

    inputs: int
    outputs: int
    d_in: int
    d_out: int
    rank: int
    width: int
    copies: int = 1
    parameters: int = 2
    parts_in: int = 1
    parts_out: int = 1

    def allows(self, before: int, between: int, after: int) -> bool:
        """Whether the three inequalities of the theorem leave room for a schedule with that many rotations and
        conjugations before the first products, between the two, and after the second."""
        sources, sinks = self.inputs + before, self.outputs + after
        dense_in = min(self.width, 1 << after)
        dense_out = min(self.width, self.copies << before)
        entered = sum(min(self.width - dense_in, 1 << (p + after)) for p in range(between))
        left = sum(min(self.width - dense_out, self.copies << (p + before)) for p in range(between))
        rows = sources * (self.parameters * entered + self.parts_in * self.rank * dense_in)
        columns = sinks * (self.parameters * left + self.parts_out * self.rank * dense_out)
        pairs = max(self.parts_in, self.parts_out) * sources * sinks * self.width << between
        return rows >= self.rank * self.d_in and columns >= self.rank * self.d_out and pairs >= self.d_in * self.d_out

    def bound(self) -> int:
        """Fewest rotations and conjugations that the theorem allows."""
        return next(
            t for t in count() if any(self.allows(a, t - a - c, c) for a in range(t + 1) for c in range(t + 1 - a))
        )

    def best_known(self) -> int | None:
        """Rotations of the best structure of ``docs/cost.md`` for this packing, which is conjectured to be the
        least; None where imaginary parts are in use, or the sizes do not divide, and no structure applies as it is."""
        if self.parts_in > 1 or self.parts_out > 1:
            return None
        rank, rest = divmod(self.rank, self.parameters)
        full = self.inputs * self.width == self.d_in and self.outputs * self.width == self.d_out
        if rest or self.width % rank or not full:
            return None
        squat = baby_split(rank, self.inputs, 1)
        tall = baby_split(rank, 1, self.outputs)
        sums = (self.width // rank - 1).bit_length()
        return min(squat + sums + tall, baby_split(self.width, self.inputs, self.outputs))


def baby_split(count: int, baby: int, giant: int) -> int:
    """Fewest ``baby*(n1 - 1) + giant*(n2 - 1)`` over n1*n2 >= count."""
    return min(baby * (n - 1) + giant * (-(-count // n) - 1) for n in range(1, count + 1))
