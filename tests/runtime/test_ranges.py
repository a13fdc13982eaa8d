"""Bounds of messages: never below what an input within the limits can reach, and not far above."""

from __future__ import annotations

import dataclasses
import math
import random
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from amounts import one_in
from exact_slots import ExactOperations, ExactRing, Memory, packed_ciphertexts
from judging import tiny
from repository import PROGRAMS

from slotlang import api
from slotlang.run.runner import load_module
from slotlang_runtime import Rejected
from slotlang_runtime.data import random_data
from slotlang_runtime.engine import encoded_plaintexts
from slotlang_runtime.limits import Limit
from slotlang_runtime.module import Module
from slotlang_runtime.operations import Evaluation
from slotlang_runtime.ranges import ranges

LINEAR = [
    "columns",
    "dense_ab",
    "gated",
    "lora",
    "nonsquare",
    "permuted",
    "rank_complex",
    "rank_first",
    "several_outputs",
    "sparse_heads",
    "squat_tall",
    "two_channels",
    "two_tokens",
    "seed/two_phase_fixed",
]


def lowered(name: str) -> Module:
    path: Path = PROGRAMS / f"{name}.slot"
    _, sizes = tiny(path)
    return load_module(api.lower(api.load(str(path), sizes)).text)


def slots_of(module: Module, ring: ExactRing, weights: dict[str, Any], inputs: dict[str, Any]) -> dict[Any, Any]:
    """What the returned ciphertexts hold, without masks."""
    memory = Memory()
    plain = encoded_plaintexts(module, ring, weights)
    cipher = packed_ciphertexts(module, ring, memory, inputs, random.Random(0))
    ev: Any = Evaluation(ExactOperations(ring, memory), module.parameters, module.slots)
    return {name: value.values for name, value in module.evaluate(ev, cipher, plain).items() if value is not None}


@pytest.mark.parametrize(
    ("proved", "name"),
    one_in(
        3,
        product([True, False], LINEAR),
        lambda case: f"{case[1]}-by the {'theorem' if case[0] else 'operations alone'}",
    ),
)
def test_no_input_within_the_limits_exceeds_a_bound(name: str, proved: bool) -> None:
    module = lowered(name)
    if not proved:
        module = dataclasses.replace(module, forms={})
    ring = ExactRing(module.parameters, module.slots)
    _, weights = random_data(module, 3)
    weights = {n: np.asarray(a, float) for n, a in weights.items()}
    (tensor, shape), *others = module.inputs.items()
    assert not others
    found = ranges(module, ring, weights, {tensor: Limit(norm=2.0)})
    # each slot's row, from the unit vectors
    columns = math.prod(shape[1:])
    rows: dict[Any, list[Any]] = {}
    for place in range(math.prod(shape)):
        unit = np.zeros(math.prod(shape))
        unit[place] = 1.0
        for member, values in slots_of(module, ring, weights, {tensor: unit.reshape(shape)}).items():
            rows.setdefault(member, []).append(values)
    for member, parts in rows.items():
        row = np.array(parts).reshape(shape[0], columns, module.slots)
        re, im = (np.sqrt((part**2).sum(axis=0)).sum(axis=0) * 2.0 for part in (row.real, row.imag))
        read = module.read[member].any(axis=1)
        # what any input with tokens of norm 2 can reach: in the part that is read, or in modulus at least in either
        reached = re if not read[1] else im if not read[0] else np.maximum(re, im)
        bound = np.broadcast_to(found.results[member], module.slots)
        assert (bound >= reached * (1 - 1e-9)).all()
        # two parts that are read make one modulus
        assert bound.mean() <= (12 if not proved else 1.5 if read.all() else 1.01) * reached.mean()


EDITED = """
program edited(n = 4, slots = 4)
input x[n], z[n]
weight w[n, n]
axes (h < n)
cipher X = {packing}
cipher Z = z[h]
plain  W[q < n] = w[h, (h + q) % n]
Y = sum q < n: (X << q) * W[q] + (Z << q) * W[q]
output y[h] = Y
prove y == {times} w @ x + w @ z
"""


@pytest.mark.parametrize("factor", [2.0, 0.5, 1024.0, 1e6, 1j, 2 + 1j])
@pytest.mark.parametrize("packing", ["x[h]", "3 * x[h]"])
def test_a_packing_that_was_edited_to_hold_larger_numbers_is_refused(packing: str, factor: complex) -> None:
    """`check` proves modules whose packing multiplies and whose plaintexts divide: bounds are about what is packed."""
    text = EDITED.format(packing=packing, times="3 *" if packing != "x[h]" else "")
    module = load_module(api.lower(api.loads(text)).text)
    ring = ExactRing(module.parameters, module.slots)
    weights = {"w": np.eye(4)}
    sound = ranges(module, ring, weights, module.limits)
    family = module.packing["X"]
    changed = dataclasses.replace(family, function=lambda inputs: factor * family.function(inputs))
    edited = dataclasses.replace(module, packing={**module.packing, "X": changed})
    if factor == 1j or (factor == 0.5 and family.gain is not None):
        # still an element, or no larger than it was
        assert ranges(edited, ring, weights, module.limits).room == pytest.approx(sound.room)
        return
    with pytest.raises(Rejected, match="the packing of X was edited"):
        ranges(edited, ring, weights, module.limits)


def test_a_packing_that_was_edited_to_hold_sums_or_products_is_refused() -> None:
    module = load_module(api.lower(api.loads(EDITED.format(packing="x[h]", times=""))).text)
    ring = ExactRing(module.parameters, module.slots)
    for function in (
        lambda inputs: inputs["x"] + inputs["z"],
        lambda inputs: inputs["x"] * inputs["x"],
        lambda inputs: inputs["x"] + 1.0,
        lambda inputs: 0.0 * inputs["x"] + 7.0,
        lambda inputs: 1j * inputs["x"] * inputs["x"][0],
    ):
        changed = dataclasses.replace(module.packing["X"], function=function)
        edited = dataclasses.replace(module, packing={**module.packing, "X": changed})
        with pytest.raises(Rejected, match="the packing of X was edited"):
            ranges(edited, ring, {"w": np.eye(4)}, module.limits)
