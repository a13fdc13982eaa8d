"""That an edited packing holds numbers no larger than the module's tables say, for all inputs within their limits.

The range of every message starts from what the client packs: a family without a gain holds an element in each slot, or
an element plus i times another one, or zero; a family with a gain holds at most that many times the largest element.
``Weights.encode`` tries it on random inputs; here it is decided on expressions, for all.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from slotlang.validation.symbolic import Vector
from slotlang_runtime.magnitudes import OUTWARDS
from slotlang_runtime.module import Module, Name

MOST_TERMS = 64
"""Terms of a slot that are compared with each other."""


def too_large(module: Module, packed: Mapping[Name, Vector]) -> str | None:
    """Why a packing is not known to hold what the tables say; None where all are. ``packed``: by ciphertext."""
    limits = {name: limit.within((module.inputs[name] or (1,))[0]).largest for name, limit in module.limits.items()}
    most = max(limits.values(), default=0.0)
    for name, vector in packed.items():
        gain = module.packing[name[0]].gain
        if gain is None:
            if not _selects(vector, frozenset(limits)):
                return f"{name[0]} is not shown to be packed with elements of inputs alone"
        elif not (_bound(vector, limits) <= gain * most * OUTWARDS).all():
            return f"{name[0]} is not shown to be packed with numbers up to {gain * most:.4g}"
    return None


def _selects(vector: Vector, inputs: frozenset[str]) -> bool:
    """Whether each slot is at most an element, plus i times one."""
    merged: list[tuple[str, npt.NDArray[np.int64], npt.NDArray[np.complex128]]] = []
    for term in vector.terms:
        left = np.array(np.broadcast_to(term.coefficient, vector.shape), np.complex128)
        if not left.any():
            continue
        if [len(atom) for atom, _ in term.reads] != [1] or len(merged) == MOST_TERMS:
            return False
        (((name,), positions),) = term.reads
        if name not in inputs:
            return False
        at = np.broadcast_to(positions, vector.shape)
        for other, places, coefficient in merged:
            # the same element again
            same = (places == at) & (name == other)
            coefficient += np.where(same, left, 0)
            left = np.where(same, 0, left)
        merged.append((name, at, left))
    parts = np.array([[coefficient.real, coefficient.imag] for _, _, coefficient in merged])
    return not merged or bool(((parts != 0).sum(axis=0) <= 1).all() and (np.abs(parts) <= OUTWARDS).all())


def _bound(vector: Vector, limits: Mapping[str, float]) -> npt.NDArray[np.float64]:
    """A bound on |slot|, for each slot."""
    total = np.zeros(vector.shape)
    for term in vector.terms:
        size = np.abs(np.broadcast_to(term.coefficient, vector.shape))
        for atom, _ in term.reads:
            for factor in atom:
                size = size * limits[factor.removesuffix(".T")]
        total = total + size
    return total
