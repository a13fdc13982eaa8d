"""BLAKE2Xb as SEAL's generator uses it: block i of 4,096 bytes is the output for the message i (8 bytes) under the seed
as key. Imports neither tenseal nor numba.

One compression of BLAKE2b hashes seed and number to a root; 64 more of them, all independent, make 64 bytes of output
each. ``compressed`` writes a compression for numpy's arrays and for lanes of a kernel alike. RFC 7693, and "BLAKE2X" by
Aumasson, Neves, Wilcox-O'Hearn and Winnerlein.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

BLOCK = 512
"""Words of a block."""

SEED_BYTES = 64

_LENGTH = 8 * BLOCK << 32  # of the output, in the parameters of BLAKE2Xb
_ALL = (1 << 64) - 1

_START = (
    0x6A09E667F3BCC908,
    0xBB67AE8584CAA73B,
    0x3C6EF372FE94F82B,
    0xA54FF53A5F1D36F1,
    0x510E527FADE682D1,
    0x9B05688C2B3E6C1F,
    0x1F83D9ABFB41BD6B,
    0x5BE0CD19137E2179,
)
_ORDER = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
    (14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3),
    (11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4),
    (7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8),
    (9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13),
    (2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9),
    (12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11),
    (13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10),
    (6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5),
    (10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0),
)
_MIXED = (
    (0, 4, 8, 12),
    (1, 5, 9, 13),
    (2, 6, 10, 14),
    (3, 7, 11, 15),
    (0, 5, 10, 15),
    (1, 6, 11, 12),
    (2, 7, 8, 13),
    (3, 4, 9, 14),
)
_ROUNDS = 12


@dataclass(frozen=True, slots=True)
class Lanes:
    """What a compression is written with: sums modulo 2^64, differences of bits, rotations to the right, constants."""

    add: Callable[[Any, Any], Any]
    xor: Callable[[Any, Any], Any]
    rotated: Callable[[Any, int], Any]
    constant: Callable[[int], Any]


def compressed(o: Lanes, state: Sequence[Any], message: Sequence[Any], count: int, last: bool) -> list[Any]:
    """The state of 8 words after a message of up to 16 (the others are zero). ``count``: bytes of all messages so
    far."""
    v = [*state, *map(o.constant, _START)]
    v[12] = o.xor(v[12], o.constant(count))
    if last:
        v[14] = o.xor(v[14], o.constant(_ALL))

    def added(x: Any, y: Any, at: int) -> Any:
        total = o.add(x, y)
        return o.add(total, message[at]) if at < len(message) else total

    for number in range(_ROUNDS):
        order = _ORDER[number % len(_ORDER)]
        for k, (a, b, c, d) in enumerate(_MIXED):
            v[a] = added(v[a], v[b], order[2 * k])
            v[d] = o.rotated(o.xor(v[d], v[a]), 32)
            v[c] = o.add(v[c], v[d])
            v[b] = o.rotated(o.xor(v[b], v[c]), 24)
            v[a] = added(v[a], v[b], order[2 * k + 1])
            v[d] = o.rotated(o.xor(v[d], v[a]), 16)
            v[c] = o.add(v[c], v[d])
            v[b] = o.rotated(o.xor(v[b], v[c]), 63)
    return [o.xor(o.xor(state[n], v[n]), v[n + 8]) for n in range(8)]


def _state(o: Lanes, *parameters: int) -> list[Any]:
    words = [*parameters, *[0] * 8]
    return [o.constant(start ^ word) for start, word in zip(_START, words, strict=False)]


def root(o: Lanes, seed: Sequence[Any], number: Any) -> list[Any]:
    """The root of block ``number``: 8 words, of a seed of 8 words."""
    state = _state(o, 64 | 64 << 8 | 1 << 16 | 1 << 24, _LENGTH)
    state = compressed(o, state, [*seed, *[o.constant(0)] * 8], 128, False)
    return compressed(o, state, [number], 136, True)


def leaf(o: Lanes, top: Sequence[Any], number: Any) -> list[Any]:
    """Words 8·number to 8·number + 7 of a block with this root."""
    state = _state(o, 64 | 64 << 32, _LENGTH, 64 << 8)
    state[1] = o.xor(state[1], number)
    return compressed(o, state, top, 64, True)


def _rotated(x: Any, count: int) -> Any:
    return x >> np.uint64(count) | x << np.uint64(64 - count)


_ARRAYS = Lanes(lambda x, y: x + y, lambda x, y: x ^ y, _rotated, lambda x: np.array([x], np.uint64))


def blocks(seed: bytes, first: int, count: int) -> npt.NDArray[np.uint64]:
    """Blocks ``first`` to ``first + count - 1``, one after another, by numpy."""
    words = [word[None] for word in np.frombuffer(seed, "<u8").astype(np.uint64)]
    tops = root(_ARRAYS, words, np.arange(first, first + count, dtype=np.uint64))
    numbers = np.arange(BLOCK // 8, dtype=np.uint64)[None]
    made = leaf(_ARRAYS, [top[:, None] for top in tops], numbers)
    return np.stack(made, axis=-1).reshape(-1)
