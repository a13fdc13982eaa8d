"""The promise of a plan for weights that are given, with what the runtime compares other weights with."""

from __future__ import annotations

from dataclasses import replace
from math import isfinite, log2, ceil

import numpy as np

from slotlang.cost.promise import Promise, rounded_up
from slotlang.emit.head import Lowering
from slotlang.emit.module import emit
from slotlang.planning.plan import Plan
from slotlang.proof.field import pattern_mask
from slotlang_runtime.module import root_mean_square


def about_weights(made: Plan) -> Promise:
    """The promise of a plan; of one for given weights with their sizes and gains: of a scalar its value, of a weight
    the rms of the elements that may be nonzero, and of gains the next power of two."""
    weights = {
        name: np.asarray(value, np.float64).reshape(made.program.tensors[name].shape if name in made.program.tensors else ())
        for name, value in made.data.weights.items()
    }
    if not weights:
        return made.promise
    # a command without weights starts without the runtime
    from slotlang.emit.loaded import load_module
    from slotlang_runtime.growth import gains

    found = gains(load_module(emit(made, Lowering("", "", "", validated=False)), "promised"), weights)
    sizes = {}
    for name, value in weights.items():
        mask = pattern_mask(made.program, name) if name in made.program.tensors else None
        sizes[name] = rounded_up(root_mean_square(value if mask is None else value[mask.reshape(value.shape)]))
    effects = {name: {leaf: _power_of_two(size) for leaf, size in of.items()} for name, of in found.items()}
    return replace(made.promise, sizes=sizes, gains=effects)


def _power_of_two(value: float) -> float:
    """The next one, which tells little of the weights; 0 of 0."""
    return 2.0 ** min(ceil(log2(value)), 1000) if 0 < value and isfinite(value) else 0.0
