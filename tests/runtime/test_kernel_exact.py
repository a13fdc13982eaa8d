"""Kernels give Python's integers, at random and at the largest residues, in every arithmetic and at every level."""

from __future__ import annotations

from collections import Counter
from itertools import product
from typing import Any

import numpy as np
import pytest
import tenseal.sealapi as seal
from amounts import one_in
from exact_residues import (
    PATTERNS,
    centred,
    coefficients,
    filled,
    integers,
    moved,
    primes,
    residue_ring,
    substituted,
    transformed,
    without_last,
)

from slotlang_runtime.kernels.processor import processor
from slotlang_runtime.kernels.residues import Ciphertext, ResidueRing, addresses
from slotlang_runtime.parameters import RingParameters
from slotlang_runtime.seal.ring import cached_context
from slotlang_runtime.seal.saved import Saved, plaintext_limit, saved


class Doubles(tuple[int, ...]):
    """Bits of primes, for a processor without IFMA."""


MIXED = [(60, 40, 30, 60), (50, 30, 25, 50), (45, 30, 25, 45), Doubles((50, 30, 25, 50))]
"""All arithmetics: primes of all sizes in one ring."""

LARGEST = [(60, 60, 60), (50, 50, 50), (45, 45, 45), Doubles((50, 50, 50))]

LARGER = [8192, 16384, pytest.param(32768, marks=pytest.mark.slow)]

ELEMENTS = [3, 9, pow(3, 100, 8192), 8191]


def kind(bits: tuple[int, ...]) -> str:
    return "doubles" if isinstance(bits, Doubles) else processor().kind(max(bits))


class Room:
    """A ring of kernels with ciphertexts of any residues."""

    def __init__(self, bits: tuple[int, ...], degree: int = 4096, seed: int = 0) -> None:
        self.ring: ResidueRing = residue_ring(degree, bits, kind(bits))
        assert self.ring.kernels.kind == kind(bits)
        self.degree, self.moduli = degree, primes(degree, bits)
        self.rng = np.random.default_rng(seed)

    def words(self, pattern: str, size: int = 2, level: int = 0) -> Any:
        """Residues, polynomials x primes x degree."""
        moduli = self.moduli[: self.ring.primes(level)]
        return np.array([filled(pattern, moduli, self.degree, self.rng) for _ in range(size)])

    def cipher(self, words: Any, level: int = 0) -> Ciphertext:
        return self.ring.taken(words, level, 1.0)

    def layout(self, level: int = 0) -> tuple[int, int, int, int]:
        return self.ring.primes(level), self.degree, self.ring.stride, self.ring.table

    def __getattr__(self, name: str) -> Any:
        return getattr(self.ring.kernels, name)


def column(room: Room, level: int = 0) -> Any:
    """The primes of a level, to reduce an array of primes x degree by."""
    return np.array(room.moduli[: room.ring.primes(level)], object)[:, None]


@pytest.mark.parametrize("bits", MIXED, ids=kind)
@pytest.mark.parametrize("pattern", PATTERNS)
def test_residues_come_back(bits: tuple[int, ...], pattern: str) -> None:
    room = Room(bits)
    for level in range(3):
        words = room.words(pattern, 3, level)
        assert np.array_equal(room.ring.given(room.cipher(words, level)), words)


def transforms(room: Room, words: Any) -> None:
    """Both transforms of primes x degree residues, between rows and in place."""
    ring, degree = room.ring, room.degree
    there, back = room.cipher(words[None]), room.cipher(np.zeros_like(words[None]))
    for j in range(len(words)):
        x, y = (a.rows.at + 8 * ring.stride * j for a in (there, back))
        room.transform(x, y, degree, ring.table + 40 * j)
        room.untransform(x, x, degree, ring.table + 40 * j)
    for j, p in enumerate(room.moduli[:-1]):
        values = integers(words[j])
        assert np.array_equal(integers(ring.given(back)[0, j]), transformed(values, p))
        assert np.array_equal(integers(ring.given(there)[0, j]), coefficients(values, p))
        x, y = (a.rows.at + 8 * ring.stride * j for a in (there, back))
        room.transform(x, x, degree, ring.table + 40 * j)
        room.untransform(y, y, degree, ring.table + 40 * j)
    assert np.array_equal(ring.given(there)[0], words) and np.array_equal(ring.given(back)[0], words)


@pytest.mark.parametrize("bits", MIXED, ids=kind)
@pytest.mark.parametrize("pattern", PATTERNS)
def test_transforms(bits: tuple[int, ...], pattern: str) -> None:
    room = Room(bits)
    transforms(room, room.words(pattern, 1)[0])


@pytest.mark.parametrize("degree", LARGER)
@pytest.mark.parametrize("bits", LARGEST, ids=kind)
def test_transforms_of_every_degree(bits: tuple[int, ...], degree: int) -> None:
    room = Room(bits, degree)
    transforms(room, room.words("halves", 1)[0])


@pytest.mark.parametrize("bits", [(30, 25, 27), (50, 30, 27)], ids=str)
def test_the_order_is_that_of_seal(bits: tuple[int, ...]) -> None:
    context = cached_context(RingParameters(4096, bits))
    room, plain = Room(bits), seal.Plaintext()
    context.encoder.encode(room.rng.standard_normal(2048).tolist(), context.levels[0], 2.0**20, plain)
    record = Saved(context, saved(plain), plaintext_limit(context, 2))
    values = record.plaintext(context.levels[0], room.moduli[:2], 2.0**20)
    # a small polynomial: the same one modulo both primes, if the order and the roots are SEAL's
    cipher = room.cipher(values[None])
    for j in range(2):
        x = cipher.rows.at + 8 * room.ring.stride * j
        room.untransform(x, x, 4096, room.ring.table + 40 * j)
    a, b = (centred(integers(row), p) for row, p in zip(room.ring.given(cipher)[0], room.moduli, strict=False))
    assert np.array_equal(a, b) and max(abs(a)) < 2**24


@pytest.mark.parametrize("bits", MIXED, ids=kind)
@pytest.mark.parametrize("pattern", PATTERNS)
def test_sums_and_differences(bits: tuple[int, ...], pattern: str) -> None:
    room = Room(bits)
    for level in range(3):
        x, y = room.words(pattern, 3, level), room.words("near", 3, level)
        a, b, out = room.cipher(x, level), room.cipher(y, level), room.cipher(x, level)
        p, layout = column(room, level), room.layout(level)
        room.added(a.rows.at, b.rows.at, out.rows.at, 3, *layout)
        assert np.array_equal(integers(room.ring.given(out)), (integers(x) + integers(y)) % p)
        room.subtracted(a.rows.at, b.rows.at, out.rows.at, 3, *layout)
        assert np.array_equal(integers(room.ring.given(out)), (integers(x) - integers(y)) % p)
        room.subtracted(a.rows.at, a.rows.at, out.rows.at, 3, *layout)
        assert not room.ring.given(out).any() and not room.ring.view(out.rows)[:, : room.degree].any()
        room.negated(a.rows.at, out.rows.at, 3, *layout)
        assert np.array_equal(integers(room.ring.given(out)), -integers(x) % p)
        room.added(a.rows.at, b.rows.at, a.rows.at, 3, *layout)
        assert np.array_equal(integers(room.ring.given(a)), (integers(x) + integers(y)) % p)
        assert np.array_equal(room.ring.given(b), y)


@pytest.mark.parametrize("bits", MIXED, ids=kind)
@pytest.mark.parametrize("pattern", PATTERNS)
def test_products(bits: tuple[int, ...], pattern: str) -> None:
    room = Room(bits)
    for level in range(3):
        p, layout = column(room, level), room.layout(level)
        x, y = room.words(pattern, 2, level), room.words("near" if pattern == "random" else pattern, 2, level)
        a, b, out = room.cipher(x, level), room.cipher(y, level), room.ring.ciphertext(3, level, 1.0)
        room.multiplied(a.rows.at, b.rows.at, out.rows.at, *layout)
        (x0, x1), (y0, y1) = integers(x), integers(y)
        expected = np.array([x0 * y0, x0 * y1 + x1 * y0, x1 * y1]) % p
        assert np.array_equal(integers(room.ring.given(out)), expected)
        plain, three = room.ring.plaintext(y[0], level, 1.0, False), room.ring.ciphertext(3, level, 1.0)
        room.multiplied_plain(out.rows.at, plain.rows.at, three.rows.at, 3, *layout)
        assert np.array_equal(integers(room.ring.given(three)), expected * y0 % p)


@pytest.mark.parametrize(
    ("bits", "terms"),
    # each number of terms in one kind at least
    one_in(3, product(MIXED, [1, 2, 7, 8, 9, 16, 17, 300]), lambda case: f"{kind(case[0])}-{case[1]}"),
)
def test_sums_of_products(bits: tuple[int, ...], terms: int) -> None:
    room, sums = Room(bits), 2
    for level, pattern in ((0, "largest"), (1, "middle"), (0, "halves"), (2, "random")):
        p = column(room, level)
        x = [room.words(pattern, 2, level) for _ in range(min(terms, 5))]
        w = [room.words(pattern, 1, level)[0] for _ in range(7)]
        ciphers = [room.cipher(words, level) for words in x]
        plains = [room.ring.plaintext(words, level, 1.0, False) for words in w]
        outs = [room.ring.ciphertext(2, level, 1.0) for _ in range(sums)]
        a = addresses(ciphers[t % len(x)].rows.at for t in range(terms))
        b = addresses(plains[(q + t) % 7].rows.at for q in range(sums) for t in range(terms))
        c = addresses(out.rows.at for out in outs)
        room.dotted(a[1], b[1], terms, c[1], sums, *room.layout(level))
        exact, factors = [integers(words) for words in x], [integers(words) for words in w]
        for q, out in enumerate(outs):
            count = Counter((t % len(x), (q + t) % 7) for t in range(terms))
            expected = sum(n * exact[i] * factors[k] for (i, k), n in count.items()) % p
            assert np.array_equal(integers(room.ring.given(out)), expected)


@pytest.mark.parametrize("bits", [*MIXED, (60, 60, 60), (50, 50, 50)], ids=str)
@pytest.mark.parametrize("pattern", PATTERNS)
def test_divisions(bits: tuple[int, ...], pattern: str) -> None:
    room = Room(bits)
    for level in range(room.ring.count - 2):
        divisions(room, room.words(pattern, 2, level), level)


@pytest.mark.parametrize("degree", LARGER)
@pytest.mark.parametrize("bits", LARGEST, ids=kind)
def test_divisions_of_every_degree(bits: tuple[int, ...], degree: int) -> None:
    # a single coefficient that is not centred changes all values
    room = Room(bits, degree)
    divisions(room, room.words("random", 1))


@pytest.mark.parametrize("bits", MIXED, ids=kind)
def test_divisions_of_coefficients_at_the_middle(bits: tuple[int, ...]) -> None:
    room = Room(bits)
    words = room.words("random", 1)
    last = room.moduli[2]
    middle = integers(filled("halves", [last], room.degree, room.rng)[0])
    words[0, 2] = transformed(middle, last).astype(np.uint64)
    divisions(room, words)


def divisions(room: Room, words: Any, level: int = 0) -> None:
    """A division of any polynomials by the last prime of their level."""
    count = room.ring.primes(level)
    a, out, rows = (
        room.cipher(words, level),
        room.ring.ciphertext(len(words), level + 1, 1.0),
        room.ring.rows(2 * len(words)),
    )
    _, *layout = room.layout(level)
    room.divided(a.rows.at, out.rows.at, len(words), count, room.ring.count, *layout, room.ring.pairs, rows.at)
    expected = [without_last(list(integers(polynomial)), room.moduli[:count]) for polynomial in words]
    assert np.array_equal(integers(room.ring.given(out)), np.array(expected))
    assert np.array_equal(room.ring.given(a), words)


def test_moves_are_substitutions() -> None:
    # of the reference itself: X -> X^element on coefficients and on values
    n, p = 4096, primes(4096, (30,))[0]
    x = integers(np.random.default_rng(0).integers(0, p, n, np.uint64))
    for element in ELEMENTS:
        assert np.array_equal(transformed(substituted(x, element), p), moved(transformed(x, p), element))
