"""Sums whose ciphertexts cancel and leave a plaintext: refused where nothing can hide it, and computed elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
from emit.test_standalone import Alone, standalone
from worlds import World, error

from slotlang import api
from slotlang.diagnostics import SlotError
from slotlang.planning.target import KernelChoice, Target
from slotlang_runtime import Server, Weights

START = """program cancels(d = 8, slots = 8)
input x[d]
weight a[d], b[d]
cipher X = x[slot]
plain A = a[slot]
plain B = b[slot]
plain M = -a[slot]
"""

REFUSED = [
    ("Y = (X - X) + B", "b"),
    ("Y = (X - X) - B", "-b"),
    ("Y = (-X + X) + B", "b"),
    ("Z = X + B\nY = Z - X", "b"),
    ("Z = X - B\nY = X - Z", "b"),
    ("Z = X + B\nU = X + A\nY = Z - U", "b - a"),
    ("R = X << 1\nS = X << 1\nT = R + X\nU = X + S\nV = T - U\nY = V + B", "b"),
    ("R = (X << 1) + X\nU = R + B\nW = (X + (X << 1))\nY = U - W", "b"),
    ("Z = conj X\nU = conj X + B\nY = U - Z", "b"),
    ("Z = (X - X) + B\nY = Z + X", "b + x"),
]

COMPUTED = [
    ("V = X * A\nZ = V + B\nY = Z - V", "b"),
    ("V = X * A\nZ = V - B\nY = V - Z", "b"),
    ("V = X * A\nZ = V + B\nU = V + A\nY = Z - U", "b - a"),
    ("V = X * A\nZ = V + B\nY = (Z - V) + V - X * A", "b"),
    ("V = X * A\nZ = V + B\nY = (Z - V) + X", "b + x"),
    ("V = X * A\nZ = V + B\nW = Z - V\nY = W + W", "2 * b"),
    ("V = X * A\nZ = V + B\nW = Z - V\nY = (W << 3) + (W << 5) - (W << 5) - (W << 3) + W", "b"),
    ("U = X * A + X * M\nY = U + B", "b"),
    ("V = X + B\nY = V - B", "x"),
    ("Y = X + B - X + X", "b + x"),
    ("Z = X + B\nY = Z - X + X", "b + x"),
    ("Z = X + B\nW = X + B\nY = (Z - W) + X", "x"),
]


@pytest.mark.parametrize(("lines", "wanted"), REFUSED)
def test_nothing_hides_a_plaintext_before_any_product(lines: str, wanted: str) -> None:
    text = f"{START}{lines}\noutput y[slot] = Y\nprove y == {wanted}\n"
    assert api.check(api.loads(text)).proved
    for kernel in ("auto", "seal"):
        with pytest.raises(SlotError) as problem:
            api.plan(api.loads(text), target=Target(kernel=kernel))
        (diagnostic,) = problem.value.diagnostics
        assert diagnostic.code == "SL409" and diagnostic.span and diagnostic.hint


@pytest.mark.parametrize("kernel", ["auto", "seal"])
@pytest.mark.parametrize(("lines", "wanted"), COMPUTED)
def test_what_cancels_on_the_way(lines: str, wanted: str, kernel: KernelChoice) -> None:
    text = f"{START}{lines}\noutput y[slot] = Y\nprove y == {wanted}\n"
    assert api.check(api.loads(text)).proved
    world = World(text, None, kernel=kernel)
    assert error(world.result(), world.expected()) < 1e-6
    weights = {name: np.asarray(array, float) for name, array in world.weights.items()}
    alone = Alone(standalone(text), weights)
    assert error(alone.results(world.inputs)["y"], world.expected()) < 1e-6


def test_one_pass_over_residues_leaves_plaintexts_too() -> None:
    """``(X + b) * a - X * a`` is ``b * a``."""
    text = """program pass(d = 8, n = 2, slots = 8)
input x[d]
weight a[n, d], b[n, d]
cipher X = x[slot]
plain B[i < n] = b[i, slot]
plain A[i < n] = a[i, slot]
Z[i < n] = X + B[i]
Y = sum i < n: Z[i] * A[i]
output y[slot] = Y
prove y == x
"""
    world = World(text, None, kernel="fused")
    weights = {"a": np.array([np.full(8, 0.5), np.full(8, -0.5)]), "b": np.array([np.arange(8.0), np.zeros(8)])}
    server = Server(Weights.encode(world.module, **weights))
    found = world.client.decrypt(server.evaluate(world.upload, world.keys).data)
    assert np.abs(found - np.arange(8) / 2).max() < 1e-6
    equal = Server(Weights.encode(world.module, a=weights["a"], b=np.ones((2, 8))))
    answer = equal.evaluate(world.upload, world.keys)
    assert not world.client.decrypt(answer.data).any() and answer.vanished == 1
