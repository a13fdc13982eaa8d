"""Two-product schedules of docs/bounds.md, all of them, at sizes where a search ends.

Run as a program (``make bounds``), it prints the fewest rotations found beside the bound.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from slotlang.cost.theorems import TwoProducts

Ints = npt.NDArray[np.int64]


def wirings(turns: int, first: int = 0) -> Iterator[tuple[tuple[int, ...], ...]]:
    """For each of several rotations, which of ``first`` vectors and of the rotations before it its operand adds up."""
    yield from product(*(product((0, 1), repeat=first + number) for number in range(turns)))


def rotations(slots: int, turns: int) -> Iterator[tuple[int, ...]]:
    yield from product(range(1, slots), repeat=turns)


def good_pairs(paths: Ints, rank: int) -> npt.NDArray[np.bool_]:
    """For all t x r matrices P, Q over the field of two elements: is P^T paths Q the identity?"""
    turns = len(paths)
    every = np.array(list(product((0, 1), repeat=turns * rank)), np.int64).reshape(-1, turns, rank)
    left = np.einsum("ptr,tu->pru", every, paths) % 2
    found = np.ones((len(every), len(every)), bool)
    for row, column in product(range(rank), repeat=2):
        found &= (left[:, row] @ every[:, :, column].T) % 2 == (row == column)
    return found


def solvable(good: list[npt.NDArray[np.bool_]]) -> bool:
    """Are there P[j] and Q[i] with good[(i - j) % n][P[j], Q[i]] for all i != j?"""
    n = len(good)
    size = len(good[1])
    # variables in the order P[0], Q[0], P[1], ...; each cuts what those of the other side may be
    start = np.ones((2 * n, size), bool)

    def search(number: int, domains: npt.NDArray[np.bool_]) -> bool:
        if number == 2 * n:
            return True
        place, is_q = divmod(number, 2)
        for value in np.flatnonzero(domains[number]):
            cut = domains.copy()
            for other in range(n):
                if other != place:
                    shift = (place - other) % n if is_q else (other - place) % n
                    table = good[shift][:, value] if is_q else good[shift][value]
                    cut[2 * other + (not is_q)] &= table
            if cut[number + 1 :].any(axis=1).all() and search(number + 1, cut):
                return True
        return False

    return search(0, start)


def reached_between(slots: int, rank: int, turns: int) -> bool:
    """Whether some schedule with all rotations between the two products computes A @ B for generic A and B, one
    token, over the field of two elements. P[j] says how the second plaintexts at slot j take their values from row j
    of A, Q[i] how the first ones at slot i take them from column i of B; paths without rotation are unlimited."""
    for steps, wiring in product(rotations(slots, turns), wirings(turns)):
        paths = np.zeros((slots, turns, turns), np.int64)
        for entry in range(turns):
            vectors: list[Ints] = []
            for number, (chosen, step) in enumerate(zip(wiring, steps, strict=True)):
                total = np.zeros(slots, np.int64)
                total[0] = number == entry
                total += sum((v for v, c in zip(vectors, chosen, strict=True) if c), np.zeros(slots, np.int64))
                vectors.append(np.roll(total, step))
                paths[:, number, entry] = vectors[-1] % 2
        good: list[Any] = [good_pairs(paths[shift], rank) if shift else None for shift in range(slots)]
        if all(g.any() for g in good[1:]) and solvable(good):
            return True
    return False


def main() -> None:
    print("channels  rank  found  bound  seconds")
    for slots, rank in ((2, 1), (2, 2), (2, 3), (3, 1), (3, 2), (4, 1), (4, 2), (5, 1), (6, 1), (7, 1), (8, 1)):
        start = time.perf_counter()
        case = TwoProducts(1, 1, slots, slots, rank, slots, parameters=1)
        bound = next(t for t in range(1, 99) if case.allows(0, t, 0))
        found = next(t for t in range(1, 99) if reached_between(slots, rank, t))
        print(f"{slots:8} {rank:5} {found:6} {bound:6} {time.perf_counter() - start:8.1f}", flush=True)


if __name__ == "__main__":
    main()
