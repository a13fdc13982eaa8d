"""Random data for a program, and its specification in numpy."""

from __future__ import annotations

from typing import Any

import numpy as np

from slotlang.meaning.program import Program
from slotlang.validation.meaning import declared


def random_data(program: Program, seed: int = 1) -> tuple[dict[str, Any], dict[str, Any]]:
    """Inputs, and weights and scalars, normally distributed; sparse weights are zero outside their pattern."""
    rng = np.random.default_rng(seed)
    inputs: dict[str, Any] = {}
    weights: dict[str, Any] = {}
    for name, decl in program.tensors.items():
        values = rng.standard_normal(decl.shape)
        pattern = declared(program, name).pattern
        if pattern is not None:
            values = values * pattern
        (inputs if decl.kind == "input" else weights)[name] = values
    weights.update({name: rng.uniform(0.5, 2.0) for name in program.scalars})
    return inputs, weights


def specification(program: Program, data: dict[str, Any]) -> dict[str, Any]:
    """What each result should be."""
    results = {}
    for name, theorem in program.theorems.items():
        total: Any = 0.0
        for chain in theorem.form.chains:
            value: Any = None
            for factor in reversed(chain.factors):
                matrix = data[factor.tensor].T if factor.transposed else data[factor.tensor]
                value = matrix if value is None else matrix @ value
            for scalar in chain.scalars:
                value = value * data[scalar]
            total = total + float(chain.coefficient) * value
        results[name] = np.broadcast_to(total, theorem.form.shape)
    return results
