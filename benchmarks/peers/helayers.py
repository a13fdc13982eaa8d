"""HElayers on SEAL: tile tensors x (d/t1, 1 repeated t2 times, tokens/t3), B and A (d/t1, r/t2, 1 repeated t3 times).

u = Bx sums over the first dimension, which leaves u duplicated along it, and y = Au sums over the second: both with
``multiply_plain_and_sum``, which rescales. Tokens may be packed two to a slot, as real and imaginary part. Tile shapes
are searched: an estimate from their rotations and products picks the few of each kind that are measured.

pyhelayers is licensed for non-commercial use.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import pyhelayers

from benchmarks.peers.common import Configuration, Prepared, Task, serve

CONTEXTS = ((4096, 40, 20), (2048, 24, 6))
"""Slots, bits of fraction, bits of integer part: the largest modulus, rounded, that has 128 bits of security there."""
MEASURED = 4
"""Tile shapes of each context and packing."""
LARGEST = 4.0
"""Entry of B as encoded, 1 of A: the smaller context reaches 1e-3 for every key so, and not with B as it is."""


def rotations(sizes: tuple[int, int, int]) -> list[int]:
    """Steps of the sums inside tiles: along the first dimension, then the second."""
    t1, t2, t3 = sizes
    return [t3 << k for k in range((t1 * t2).bit_length() - 1)]


def estimate(shape: tuple[int, int, int], sizes: tuple[int, int, int]) -> float:
    """Relative time; a rotation of the second sum stands one level lower, products take a ninth of a rotation."""
    (tiles, ranks, groups), (t1, t2, _) = (-(-s // t) for s, t in zip(shape, sizes, strict=True)), sizes
    return groups * (2 * ranks * math.log2(t1) + tiles * math.log2(t2) + 4 / 9 * tiles * ranks)


def tile_sizes(shape: tuple[int, int, int], slots: int) -> Iterator[tuple[int, int, int]]:
    """Powers of two that fill the slots and exceed no dimension."""
    d, r, tokens = ((size - 1).bit_length() for size in shape)
    for rank in range(r + 1):
        for token in range(tokens + 1):
            channels = slots.bit_length() - 1 - rank - token
            if 0 <= channels <= d:
                yield 1 << channels, 1 << rank, 1 << token


def candidates(task: Task) -> list[Configuration]:
    """The promising tile shapes of every context, with one and with two tokens in a slot."""
    d, r, tokens = task.shape
    found: list[Configuration] = []
    for slots, fraction, integer in CONTEXTS:
        for pair in (False, True) if tokens > 1 else (False,):
            held = (d, r, -(-tokens // 2) if pair else tokens)
            best = sorted(tile_sizes(held, slots), key=lambda sizes, held=held: estimate(held, sizes))[:MEASURED]
            found += [
                {"slots": slots, "fraction": fraction, "integer": integer, "tile": list(sizes), "complex": pair}
                for sizes in best
            ]
    return found


@cache
def context(slots: int, fraction: int, integer: int, steps: tuple[int, ...]) -> Any:
    """Keys for exactly these rotations."""
    wanted = pyhelayers.HeConfigRequirement(
        num_slots=slots,
        multiplication_depth=2,
        fractional_part_precision=fraction,
        integer_part_precision=integer,
        security_level=128,
    )
    functions = wanted.public_functions
    functions.rotate = pyhelayers.RotationSetType.CUSTOM_ROTATIONS
    functions.set_rotation_steps(np.array(steps, dtype=np.int32))
    functions.relinearize = False
    functions.conjugate = pyhelayers.ConjugationSupport.FALSE
    wanted.public_functions = functions
    made = pyhelayers.SealCkksContext()
    made.init(wanted)
    if made.get_security_level() < 128:
        raise ValueError(f"{made.get_security_level()} bits of security")
    return made


def tensor_shape(*dims: Any) -> Any:
    shape = pyhelayers.TTShape()
    for dim in dims:
        shape.add_dim(dim)
    return shape


def prepare(task: Task, configuration: Configuration) -> Prepared:
    """Encrypted x, encoded weights."""
    d, r, tokens = task.shape
    t1, t2, t3 = configuration["tile"]
    pair = configuration["complex"]
    steps = rotations((t1, t2, t3))
    he = context(configuration["slots"], configuration["fraction"], configuration["integer"], tuple(steps))
    encoder, top = pyhelayers.TTEncoder(he), he.get_top_chain_index()
    dim = pyhelayers.TTDim
    # of a dimension: size, tile size, duplicated, unused slots unknown, interleaved, complex
    x = encoder.encode_encrypt(
        tensor_shape(dim(d, t1), dim(1, t2, t2), dim(tokens, t3, 1, False, False, pair)), task.x.reshape(d, 1, tokens)
    )
    largest_b, largest_a = np.abs(task.b).max() / LARGEST, np.abs(task.a).max()
    of_weights = tensor_shape(dim(d, t1), dim(r, t2), dim(1, t3, t3))
    b = encoder.encode(of_weights, (task.b.T / largest_b).reshape(d, r, 1), top)
    a = encoder.encode(of_weights, (task.a / largest_a).reshape(d, r, 1), top - 1)

    functions = pyhelayers.PublicFunctions()
    functions.rotate = pyhelayers.RotationSetType.CUSTOM_ROTATIONS
    functions.set_rotation_steps(np.array(steps, dtype=np.int32))
    functions.relinearize = functions.encrypt = False
    functions.conjugate = pyhelayers.ConjugationSupport.FALSE

    def decrypt(y: Any) -> np.ndarray:
        values = np.array(encoder.decrypt_decode_double(y)).reshape(d, -1)[:, :tokens]
        return values * (largest_a * largest_b)

    bits = [int(prime).bit_length() for prime in he.get_modulus_chain()]
    return Prepared(
        "HElayers, two tokens a slot" if pair else "HElayers",
        f"{2 * he.slot_count()}: {','.join(map(str, bits))} + key, rescaled, tile {t1}×{t2}×{t3}",
        lambda: x.get_multiply_plain_and_sum(b, 0).get_multiply_plain_and_sum(a, 1),
        decrypt,
        lambda y: (y.get_num_used_tiles(), len(y.save_to_buffer())),
        len(steps),
        len(he.save_to_buffer(functions)),
        x.get_num_used_tiles(),
        len(x.save_to_buffer()),
    )


if __name__ == "__main__":
    serve(candidates, prepare)
