"""Where the peaks of key switches' noise stand, and which of them are the same.

Three quarters of a key switch's noise are the same whenever the same key is used on ciphertexts with the same scale,
and most of that is in slot 0 (docs/cost.md). Rotations move such peaks; where those of one key meet in a slot before
the next product, their amplitudes add up, not their squares.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from slotlang.graph.graph import Graph
from slotlang.graph.kinds import KINDS

Floats: TypeAlias = npt.NDArray[np.float64]


def peaks(graph: Graph, products: list[int], slots: int, *, coarse: bool) -> dict[int, dict[tuple[int, int], Floats]]:
    """For nodes that are multiplied, conjugated or returned: how many times the mean square of one key switch stands
    where, by the primes dropped and the products carried when it was made. Arrays over the ring's slots, only their
    sum when ``coarse``."""
    wanted = {o.node for o in graph.outputs}
    last: dict[int, int] = {}
    for number, node in enumerate(graph.nodes):
        last.update(dict.fromkeys(node.operands, number))
        wanted.update(node.operands if KINDS[node.kind].mixes else ())
    result: dict[int, dict[tuple[int, int], Floats]] = {}
    held: dict[int, dict[tuple[tuple[str, int], int, int], Floats]] = {}
    for number, node in enumerate(graph.nodes):
        amplitudes: dict[tuple[tuple[str, int], int, int], Floats] = {}
        if not KINDS[node.kind].mixes:
            signs = node.signs if node.kind == "sum" else (1,) * len(node.operands)
            for sign, operand in zip(signs, node.operands, strict=True):
                for key, there in held[operand].items():
                    rotated = np.roll(there, -node.step) if node.step else there
                    amplitudes[key] = amplitudes[key] + sign * rotated if key in amplitudes else sign * rotated
        switched = KINDS[node.kind].key
        if switched is not None:
            own = np.zeros(slots)
            own[0] = 1.0
            key = ((switched, node.step), graph.levels[number], products[number])
            amplitudes[key] = amplitudes[key] + own if key in amplitudes else own
        held[number] = amplitudes
        if number in wanted:
            squares: dict[tuple[int, int], Floats] = defaultdict(lambda: np.zeros(1 if coarse else slots))
            for (_, level, carried), there in amplitudes.items():
                squares[level, carried] += np.sum(there**2, keepdims=True) if coarse else there**2
            result[number] = squares
        for operand in node.operands:
            if last[operand] == number:
                held.pop(operand, None)
    return result
