"""What stands for a ciphertext that is zero: it holds nothing of any input, at every level and scale, and no more noise
than what the client encrypts."""

from __future__ import annotations

import warnings
from itertools import product
from typing import Any

import numpy as np
import pytest
import tenseal.sealapi as seal
from amounts import one_in
from emit.test_standalone import Alone, standalone
from worlds import World, error

from slotlang import api
from slotlang.planning.parameters import Parameters
from slotlang.planning.target import KernelChoice
from slotlang_runtime import BelowPrecision, Server, Weights, embedding
from slotlang_runtime.seal.operations import SealOperations

START = """program cancels(d = 8, slots = 8)
input x[d]
weight a[d], b[d]
cipher X = x[slot]
plain A = a[slot]
plain B = b[slot]
plain M = -a[slot]
"""

CANCELS = [
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


@pytest.mark.parametrize("kernel", ["auto", pytest.param("seal", marks=pytest.mark.slow)])
@pytest.mark.parametrize(("lines", "wanted"), CANCELS)
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
    world = World(text, None, kernel="compiled")
    weights = {"a": np.array([np.full(8, 0.5), np.full(8, -0.5)]), "b": np.array([np.arange(8.0), np.zeros(8)])}
    server = Server(Weights.encode(world.module, **weights))
    found = world.client.decrypt(server.evaluate(world.upload, world.keys).data)
    assert np.abs(found - np.arange(8) / 2).max() < 1e-6
    equal = Server(Weights.encode(world.module, a=weights["a"], b=np.ones((2, 8))))
    answer = equal.evaluate(world.upload, world.keys)
    assert not world.client.decrypt(answer.data).any() and answer.vanished == 1


FIXED = Parameters(8192, (60, 60, 60), 20)
DROPPING = Parameters(8192, (60, 40, 40, 60), 40, (1,))
MIXED = Parameters(8192, (60, 40, 40, 60), 0, (1,), (40, 26, 20))

PLACES: dict[str, tuple[str, str]] = {
    "behind a product": ("Y = Z * P + Q", "D @ z + v"),
    "behind two products": ("V = Z * P\nY = V * R - Q", "E @ D @ z - v"),
    "between products": ("V = Z * P + Q\nY = V * R", "E @ D @ z + E @ v"),
    "moved": ("V = Z * P\nY = (((V * R) + Q) << 3) >> 3", "E @ D @ z + v"),
    "in one pass": ("W = sum i < 2: ZZ[i] * S[i]\nY = W + Q", "D @ z + v"),
}


def zeroed(lines: str, wanted: str, limit: int) -> str:
    """A program in which D meets z; x has nothing to do with y and may be large."""
    return f"""program zero(d = 8, slots = 8)
input x[d], z[d]
weight D[i < d, j < d] sparse where i == j
weight E[i < d, j < d] sparse where i == j
weight v[d]
bound |x| <= {limit}
bound |z| <= 1
axes (h < d)
cipher X = x[h]
cipher Z = z[h]
cipher ZZ[i < 2] = z[h]
plain P = D[h, h]
plain S[i < 2] = D[h, h] * [h % 2 == i]
plain R = E[h, h]
plain Q = v[h]
{lines}
output y[h] = Y
output t[h] = X
prove y == {wanted}
prove t == x
"""


@pytest.mark.parametrize(
    ("place", "parameters"),
    # each place at least once
    one_in(2, product(PLACES, [FIXED, DROPPING, MIXED]), lambda case: f"{case[0]}-{case[1].text()}"),
)
def test_a_zero_holds_nothing_of_any_input(place: str, parameters: Parameters) -> None:
    """D is zero, or so small that it is encoded as zero: y is what it is without z, whatever x is."""
    lines, wanted = PLACES[place]
    text = zeroed(lines, wanted, 1_000_000)
    assert api.check(api.loads(text)).proved
    kernels: list[KernelChoice] = ["seal", "compiled"] if place == "in one pass" else ["seal"]
    worlds = [World(text, parameters, kernel=kernel) for kernel in kernels]
    rng = np.random.default_rng(0)
    inputs = {"x": rng.uniform(-1e6, 1e6, 8), "z": rng.uniform(-1, 1, 8)}
    for entry in (0.0, 1e-30):
        weights: dict[str, Any] = {
            "D": entry * np.eye(8),
            "E": np.diag(rng.uniform(-1, 1, 8)),
            "v": rng.uniform(-1, 1, 8),
        }
        expected = worlds[0].module.reference(inputs, weights)
        found = [Alone(standalone(text, parameters), weights).results(inputs)]
        for world in worlds:
            with warnings.catch_warnings():
                # weights so small are lost when they are rounded
                warnings.simplefilter("ignore", BelowPrecision)
                server = Server(Weights.encode(world.module, **weights))
            found.append(world.client.decrypt(server.evaluate(world.client.encrypt(**inputs), world.keys).data))
            noise = server.weights.ranges.noise
            rounded = server.weights.ranges.errors
        for results in found:
            for name, member in (("y", ("Y",)), ("t", ("X",))):
                # within the noise, of transforms in double precision too; x is far larger than that
                size = np.abs(expected[name]).max()
                # no slot of 8 exceeds 8 times their mean
                allowed = 8 * noise[member] + 8 * rounded[member] + 2.0**-44 * size
                assert error(results[name], expected[name]) < allowed
            assert noise["Y",] < 1e-3 and rounded["Y",] < 1e-3


@pytest.mark.parametrize("level", [0, 1])
def test_a_zero_of_seal_is_smaller_than_fresh_noise(level: int) -> None:
    """It decrypts to coefficients of -1, 0 and 1, whatever the scale."""
    world = World(zeroed(*PLACES["behind two products"], 1), DROPPING)
    ring, operations = world.ring, SealOperations(world.ring, None, None)
    for scale in (2.0**10, 2.0**70):
        like, out = seal.Plaintext(), seal.Plaintext()
        ring.encoder.encode(1.0, ring.levels[level], scale, like)
        zero = operations.zero(like)
        assert (zero.scale, zero.parms_id()) == (scale, ring.levels[level]) and not zero.is_transparent()
        world.client.secret.decryptor.decrypt(zero, out)
        coefficients = scale * embedding.coefficients(ring.decode_copies(out))
        assert np.abs(coefficients - np.rint(coefficients)).max() < 1e-6
        assert set(np.rint(coefficients)) == {-1, 0, 1}
        # new for each sum, as it may be written over
        assert operations.zero(like) is not zero
