"""What rounding adds to a message, for inputs that are chosen along it: never above its bound, and not far below."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pytest
from exact_slots import Cipher, ExactOperations, ExactRing, Memory, packed_ciphertexts
from judging import tiny
from repository import PROGRAMS
from worlds import SMALL, World

from slotlang import api
from slotlang.run.runner import load_module
from slotlang_runtime import Server, Weights
from slotlang_runtime.data import random_data
from slotlang_runtime.embedding import coefficients
from slotlang_runtime.engine import encoded_plaintexts
from slotlang_runtime.module import Module
from slotlang_runtime.noise import ROUNDING, SIGMAS, constant_rounding, vector_rounding
from slotlang_runtime.operations import Evaluation
from slotlang_runtime.ranges import ranges
from slotlang_runtime.seal.ring import Ring

SLOTS = 512
DIAGONAL = f"""program diagonal(d = {SLOTS}, slots = {SLOTS})
input x[d], z[d]
weight D[i < d, j < d] sparse where i == j
weight E[i < d, j < d] sparse where i == j
bound |x| <= 1
bound |z| <= 1
axes (h < d)
cipher X = x[h] + 1i * z[h]
plain W = D[h, h] + 1i * E[h, h]
Y = X * W
output y[h] = re Y
prove y == D @ x - E @ z
"""


def values_of(polynomial: Any) -> Any:
    """The slots of a polynomial, by the definition: its values at the roots with exponents 3^j."""
    count = len(polynomial)
    exponents = np.array([pow(3, j, 2 * count) for j in range(count // 2)])
    return np.exp(1j * math.pi / count * (np.outer(exponents, np.arange(count)) % (2 * count))) @ polynomial


def drawn(kind: str, rng: np.random.Generator) -> Any:
    """Complex weights in slots: any, or such that all coefficients are rounded by nearly 1/2. Small ones: what they
    multiply noise by is little."""
    if kind == "any":
        return (rng.uniform(-1, 1, SLOTS) + 1j * rng.uniform(-1, 1, SLOTS)) / 64
    halves = rng.integers(-2000, 2000, 2 * SLOTS) + rng.choice([-0.499, 0.499], 2 * SLOTS)
    return values_of(halves) / 2.0**SMALL.scale_bits


@pytest.mark.parametrize(("kind", "share", "times"), [("any", 0.4, 1.8), ("halves", 0.7, 2.9)])
def test_inputs_along_the_rounding_of_weights(kind: str, share: float, times: float) -> None:
    """All terms of one coefficient have one sign. The error exceeds 12 deviations of independent rounding."""
    world = World(DIAGONAL)
    weights = drawn(kind, np.random.default_rng(1))
    rounded = world.ring.decode(world.ring.encode(weights)) - weights
    arrays = {"D": np.diag(weights.real), "E": np.diag(weights.imag)}
    encoded = Weights.encode(world.module, **arrays)
    inputs = {"x": np.sign(rounded.real), "z": -np.sign(rounded.imag)}
    answer = Server(encoded).evaluate(world.client.encrypt(**inputs), world.keys)
    off = world.client.decrypt(answer.data) - world.module.reference(inputs, arrays)["y"]
    # of the polynomial with these slots, the coefficient of 1
    measured = abs(float(np.mean(off)))
    assert encoded.ranges is not None
    name = ("Y",)
    error, noise = encoded.ranges.errors[name], encoded.ranges.noise[name] / math.sqrt(SMALL.degree)
    assert share * error < measured < error + SIGMAS * noise
    # |x + i*z| <= sqrt(2)
    independent = SIGMAS * math.sqrt(2 * ROUNDING) / 2.0**SMALL.scale_bits
    assert measured > times * independent + SIGMAS * noise


def test_an_input_whose_own_rounding_is_along_the_weights() -> None:
    """The client rounds its vector, and weights multiply that: the mean of many uploads has little noise."""
    world = World(DIAGONAL)
    rng = np.random.default_rng(2)
    halves = rng.integers(-2000, 2000, 2 * SLOTS) + rng.choice([-0.499, 0.499], 2 * SLOTS)
    slots = values_of(halves) / 2.0**SMALL.scale_bits
    rounded = world.ring.decode(world.ring.encode(slots, added=True)) - slots
    weights = np.sign(rounded.real) - 1j * np.sign(rounded.imag)
    arrays = {"D": np.diag(weights.real), "E": np.diag(weights.imag)}
    encoded = Weights.encode(world.module, **arrays)
    server, found = Server(encoded), []
    for _ in range(16):
        upload = world.client.encrypt(x=slots.real, z=slots.imag)
        found.append(world.client.decrypt(server.evaluate(upload, world.keys).data) - (weights * slots).real)
    measured = abs(float(np.mean(found)))
    assert encoded.ranges is not None
    error, noise = encoded.ranges.errors["Y",], encoded.ranges.noise["Y",] / math.sqrt(SMALL.degree)
    # the norm of what is rounded, times |w|
    most = math.sqrt(2 * SLOTS) / 2 * math.sqrt(2) / 2.0**SMALL.scale_bits
    assert 0.5 * most < measured < error + SIGMAS * noise


class Rounded(ExactRing):
    """Encodes as SEAL does."""

    def __init__(self, module: Module) -> None:
        super().__init__(module.parameters, module.slots)
        self.seal = Ring(module.parameters, module.slots)

    def encode(self, values: Any, level: int = 0, products: int = 0, added: bool = False) -> Any:
        plain = super().encode(values, level, products, added)
        if plain is not None:
            plain.values = self.seal.decode(self.seal.encode(values, level, products, added))
        return plain


def held(module: Module, ring: ExactRing, weights: dict[str, Any], inputs: dict[str, Any]) -> dict[Any, Cipher]:
    """What the returned ciphertexts hold."""
    memory = Memory()
    cipher = packed_ciphertexts(module, ring, memory, inputs, random.Random(0))
    ev: Any = Evaluation(ExactOperations(ring, memory), module.parameters, module.slots)
    found = module.evaluate(ev, cipher, encoded_plaintexts(module, ring, weights))
    return {name: value for name, value in found.items() if value is not None}


@pytest.mark.parametrize("name", ["dense_ab", "rank_complex", "nonsquare"])
def test_no_input_within_the_limits_exceeds_the_bound_of_what_rounding_adds(name: str) -> None:
    """The error of each coefficient is linear in the input, and so has a largest one, up to noise."""
    path = PROGRAMS / f"{name}.slot"
    module = load_module(api.lower(api.load(str(path), tiny(path)[1])).text)
    _, weights = random_data(module, 3)
    weights = {n: np.asarray(a, float) for n, a in weights.items()}
    ((tensor, shape),) = module.inputs.items()
    exact, rounded = ExactRing(module.parameters, module.slots), Rounded(module)
    rows: dict[Any, list[Any]] = {}
    for place in range(math.prod(shape)):
        unit = np.zeros(math.prod(shape))
        unit[place] = 1.0
        inputs = {tensor: unit.reshape(shape)}
        right, found = held(module, exact, weights, inputs), held(module, rounded, weights, inputs)
        for member, value in found.items():
            rows.setdefault(member, []).append(coefficients(value.values - right[member].values))
    bounds = ranges(module, exact, weights, module.limits).errors
    for member, parts in rows.items():
        # tokens are bounded one by one
        linear = np.array(parts).reshape(shape[0], math.prod(shape[1:]), -1)
        reached = np.sqrt((linear**2).sum(axis=0)).sum(axis=0).max() * module.limits[tensor].norm
        assert 0 < reached <= bounds[member] * (1 + 1e-9)
        assert bounds[member] < 30 * reached


@pytest.mark.parametrize("value", [1.0, 0.3, -2.7, 0.1 + 0.7j, 1j])
def test_one_number_in_all_slots(value: complex) -> None:
    world = World(DIAGONAL)
    scale = world.ring.plaintext_scale(0, 0, False)
    plain = world.ring.encode(np.full(SLOTS, value))
    off = coefficients(world.ring.decode_copies(plain) - value) * scale
    bound = constant_rounding(value, scale)
    assert np.linalg.norm(off) == pytest.approx(bound.norm, abs=1e-4)
    assert np.abs(off).sum() == pytest.approx(bound.total, abs=1e-2)
    most = vector_rounding(3 if value.imag else 1, scale * abs(value))
    assert bound.norm <= most.norm and bound.total <= most.total
