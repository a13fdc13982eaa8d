"""Schedules for ``y = scale * A @ B @ x`` as points of one space: every structure of ``docs/synth.md`` is a choice of
the numbers of a ``Structure``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from slotlang.schedule.doubling import RADIX
from slotlang_runtime.amounts import count_of

Packing: TypeAlias = Literal["real", "pairs", "tokens", "channels"]
"""What the imaginary part of a slot is used for: nothing; a second rank (of the result: a second row); a second
token; a second channel."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What is computed: ``y[d_out, batch] = scale * A[d_out, rank] @ B[rank, d_in] @ x[d_in, batch]``."""

    d_in: int
    d_out: int
    rank: int
    batch: int


@dataclass(frozen=True, slots=True)
class Structure:
    """A schedule.

    ``slots`` of a ciphertext hold ``tokens`` side by side for each of C = slots / tokens positions. ``dense``: A @ B is
    multiplied out and plays the part of B, and there is no second product. ``copies``: how often a channel of x stands
    in its ciphertext; each copy takes its share of the diagonals of B. ``down``: baby steps of the sum over those
    diagonals, 0 for Horner's rule after the products. ``ranks``: rows of B (pairs of them when packed so) that stand
    side by side, a power of two; what is more goes to further ciphertexts. ``shares``: into how many neighbouring
    positions the diagonals of A are dealt out, whose sums are added last. ``up``: baby steps past A, 0 for rotations
    that all ciphertexts of y share. ``radix``: how many rotated copies the sums by doubling add up at a time.
    ``direct``: in place of Horner's rule, each product is rotated by a step of its own, with a key of its own, and all
    of them share a mod-down.
    """

    shape: Shape
    slots: int
    tokens: int
    packing: Packing
    dense: bool
    ranks: int
    copies: int = 1
    down: int = 0
    shares: int = 1
    up: int = 0
    radix: int = RADIX
    direct: bool = False

    @property
    def rows(self) -> int:
        """Slots that a token's intermediate result takes: rows of the first matrix, packed."""
        rows = self.shape.d_out if self.dense else self.shape.rank
        return -(-rows // 2) if self.packing == "pairs" else rows

    @property
    def positions(self) -> int:
        """C: slots of one token in a ciphertext."""
        return self.slots // self.tokens

    @property
    def held(self) -> int:
        """Tokens of one ciphertext."""
        return self.tokens * (2 if self.packing == "tokens" else 1)

    @property
    def groups(self) -> int:
        """Groups of tokens, one after the other."""
        return -(-self.shape.batch // self.held)

    @property
    def channels(self) -> int:
        """D: different slots of channels in a ciphertext of x."""
        return self.positions // self.copies

    @property
    def inputs(self) -> int:
        """K: ciphertexts of x for a group of tokens."""
        return -(-self.shape.d_in // (self.channels * (2 if self.packing == "channels" else 1)))

    @property
    def blocks(self) -> int:
        """G: ciphertexts of the intermediate result."""
        return -(-self.rows // self.ranks)

    @property
    def diagonals(self) -> int:
        """Q: diagonals of the first matrix for each ciphertext of x and block."""
        return self.ranks // self.copies

    @property
    def width(self) -> int:
        """F: slots of results that are read in a ciphertext of y."""
        return self.positions // self.shares

    @property
    def outputs(self) -> int:
        """L: ciphertexts of y for a group of tokens."""
        if self.dense:
            return self.blocks
        return -(-self.shape.d_out // (self.width * (2 if self.packing == "channels" else 1)))

    @property
    def views(self) -> int:
        """Rotations of the intermediate result that meet A, the one by nothing included."""
        return 1 if self.dense else self.ranks // self.shares

    @property
    def depth(self) -> int:
        """Products in a row."""
        return 1 if self.dense else 2

    def one_group(self) -> Structure:
        """The structure for a single group of tokens: all groups are computed alike, one after the other."""
        return replace(self, shape=replace(self.shape, batch=min(self.shape.batch, self.held)))

    def name(self) -> str:
        """The structure in a few words."""
        if self.positions == 1:
            base = "column packing of A @ B" if self.dense else "column packing"
        elif self.dense:
            base = "A @ B multiplied out, squat"
        else:
            base = "squat B, tall A"
        kinds = {
            "real": "real",
            "pairs": "row pairs" if self.dense else "rank pairs",
            "tokens": "token pairs",
            "channels": "channel pairs",
        }
        parts = [base, kinds[self.packing]]
        if self.copies > 1:
            parts.append(f"{count_of(self.copies, 'copy')} of x")
        if self.shares > 1:
            parts.append(f"{count_of(self.shares, 'share')} of y")
        if self.blocks > 1 and self.positions > 1 and not self.dense:
            parts.append(count_of(self.blocks, "rank block"))
        steps = [f"{baby} {where}" for baby, where in ((self.down, "down"), (self.up, "up")) if baby]
        if steps:
            parts.append(f"baby steps {' and '.join(steps)}")
        if self.direct:
            parts.append("a key for each diagonal")
        if self.radix != RADIX:
            parts.append(f"rotate-and-add by {self.radix}")
        return ", ".join(parts)
