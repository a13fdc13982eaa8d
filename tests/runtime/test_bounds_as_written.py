"""Bounds as a program writes them, and as messages propose them."""

from __future__ import annotations

import re
from fractions import Fraction

import numpy as np
import pytest
from worlds import World, emitted, layer

from slotlang import api
from slotlang.planning.parameters import Parameters
from slotlang.run.runner import load_module
from slotlang_runtime import Rejected, Weights


@pytest.mark.parametrize("packing", ["x[h] + 1000000", "x[h] * x[h]", "1000 * x[h]"])
def test_bounds_that_are_proposed_would_do_where_a_packing_holds_more_than_elements(packing: str) -> None:
    """A constant does not get smaller as the input does."""
    text = f"""program packed(n = 4, slots = 4)
input x[n]
weight w[n, n]
axes (h < n)
cipher X = {packing}
plain W[q < n] = w[h, (h + q) % n]
Y = sum q < n: (X << q) * W[q]
output y[h] = Y
prove y == w @ x
bound |x| <= LIMIT
"""
    # what is divided is bounded by the operations that lead to it
    parameters = Parameters(8192, (60, 40, 60), 40, (1,))
    module = load_module(emitted(api.loads(text.replace("LIMIT", "4096")), parameters).text)
    refused = 0
    for power in range(-24, 30, 2):
        weights = {"w": np.full((4, 4), 2.0**power)}
        try:
            Weights.encode(module, **weights)
        except Rejected as problem:
            proposed = re.findall(r"smaller bounds \(\|x\| <= ([^ )]+)\)", str(problem))
            refused += 1
            for limit in proposed:
                Weights.encode(
                    load_module(emitted(api.loads(text.replace("LIMIT", limit)), parameters).text), **weights
                )
    assert refused > 3


@pytest.mark.parametrize("limit", ["1/100", "1/3", "0.1", "0.7", "1e-3"])
def test_a_number_is_within_the_bound_that_is_written_like_it(limit: str) -> None:
    """Also where the double next to the bound is above it."""
    program = api.loads(layer("q"), bounds={"x": limit, "Wq": limit})
    world = World(program.syntax.source.text)
    number = float(Fraction(limit))
    world.client.encrypt(x=np.full(8, number))
    Weights.encode(world.module, **{name: np.full(a.shape, number) for name, a in world.weights.items()})
    with pytest.raises(Rejected, match="this program takes elements up to"):
        world.client.encrypt(x=np.full(8, number * (1 + 1e-12)))
