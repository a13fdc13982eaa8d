"""Baby and giant steps both ways, the plan that HEIR compiles y = A(Bx) to: diagonals and steps, no library.

One token fills a ciphertext of n slots, repeated d after d. B is squat: its r wrapped diagonals times x shifted give
sums over d/r blocks of channels, which rotate-and-add completes; u = Bx then repeats every r slots. A is tall: its r
diagonals times u shifted give y. With r <= n1 n2, each takes n1 + n2 - 2 rotations, and the ladder log2(d/r).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Steps:
    """Baby steps 0..babies-1, giant steps multiples of ``babies``; powers of two of rotate-and-add."""

    babies: int
    giants: int
    ladder: tuple[int, ...]

    def rotations(self) -> list[int]:
        """Steps that need a key, each once."""
        return sorted({*range(1, self.babies), *(self.babies * g for g in range(1, self.giants)), *self.ladder})


def steps(d: int, r: int, more_babies: bool = False) -> Steps:
    """The fewest rotations for rank r; where babies and giants tie, ``more_babies`` says which there are more of."""
    if d & (d - 1) or r & (r - 1) or r > d:
        raise ValueError(f"the plan is for powers of two, r <= d, not d = {d}, r = {r}")
    pairs = [(1 << k, r >> k) for k in range(r.bit_length())]
    babies, giants = min(pairs, key=lambda p: (sum(p), -p[0] if more_babies else p[0]))
    return Steps(babies, giants, tuple(r << k for k in range((d // r).bit_length() - 1)))


def diagonals(matrix: np.ndarray, plan: Steps, slots: int) -> list[list[np.ndarray]]:
    """``[g][s]``: what baby step s is multiplied by in giant step g, rotated back by that giant step.

    For B (r, d) as for A (d, r): slot j of diagonal i holds row j, column j + i, both wrapped.
    """
    rows, columns = matrix.shape
    j = np.arange(slots)

    def diagonal(g: int, s: int) -> np.ndarray:
        values = matrix[j % rows, (j + g * plan.babies + s) % columns]
        return np.roll(values, g * plan.babies)

    return [[diagonal(g, s) for s in range(plan.babies)] for g in range(plan.giants)]


@dataclass(frozen=True)
class Operations:
    """What a library does with ciphertexts; ``babies`` returns the rotations by 0..count-1, hoisted where it can.

    ``drop`` follows the products of a matrix: a rescale, or nothing.
    """

    babies: Callable[[Any, int], list[Any]]
    rotate: Callable[[Any, int], Any]
    multiply: Callable[[Any, Any], Any]
    add: Callable[[Any, Any], Any]
    drop: Callable[[Any], Any]


def product(ops: Operations, encoded: Sequence[Sequence[Any]], plan: Steps, x: Any) -> Any:
    """The sum of rotated sums; dropped before giant steps, which are then a level cheaper."""
    shifted = ops.babies(x, plan.babies)
    total = None
    for g, row in enumerate(encoded):
        part = ops.multiply(shifted[0], row[0])
        for view, weights in zip(shifted[1:], row[1:], strict=True):
            part = ops.add(part, ops.multiply(view, weights))
        part = ops.drop(part)
        if g:
            part = ops.rotate(part, g * plan.babies)
        total = part if total is None else ops.add(total, part)
    return total


def evaluate(ops: Operations, b: Sequence[Any], a: Sequence[Any], plan: Steps, x: Any) -> Any:
    """A(Bx) of one token, with the encoded diagonals of both."""
    u = product(ops, b, plan, x)
    for step in plan.ladder:
        u = ops.add(u, ops.rotate(u, step))
    return product(ops, a, plan, u)
