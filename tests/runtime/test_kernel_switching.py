"""Key switches give Python's integers: digits around 0, their products with keys, and the division by the key prime."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pytest
from amounts import one_in
from exact_residues import (
    PATTERNS,
    Integers,
    centred,
    coefficients,
    filled,
    integers,
    moved,
    primes,
    residue_ring,
    transformed,
    without_last,
)

from slotlang_runtime.kernels.residues import Ciphertext, ResidueRing, Rows, addresses

WORDS, FIFTY, LAZY = (60, 40, 30, 60), (50, 30, 25, 50), (45, 30, 25, 45)
RINGS = [(4096, WORDS), (4096, FIFTY), (4096, LAZY), (4096, FIFTY, "doubles")]
"""Degree and bits of primes; the arithmetic, where it is not this processor's."""

WIDE = [(4096, (60, 60, 60)), (4096, (50, 50, 50)), (4096, (45, 45, 45)), (4096, (50, 50, 50), "doubles")]
"""All residues are large."""


def ring_name(ring: Any) -> str:
    return "-".join(map(str, [ring[0], *ring[1], *ring[2:]]))


@dataclass(frozen=True, eq=False)
class Term:
    """A polynomial to switch, an automorphism, and a key: digits x 2 x primes x degree."""

    source: Ciphertext
    element: int
    key: Any


class Room:
    """Key switches of a ring, by kernels and by Python's integers."""

    def __init__(self, degree: int, bits: tuple[int, ...], kind: str = "", level: int = 0) -> None:
        self.ring: ResidueRing = residue_ring(degree, bits, kind)
        self.degree, self.moduli, self.level = degree, primes(degree, bits), level
        self.primes = self.ring.primes(level)
        self.used = [*self.moduli[: self.primes], self.moduli[-1]]
        self.rng = np.random.default_rng(level)

    def cipher(self, pattern: str, size: int = 2) -> Ciphertext:
        """A ciphertext of any residues."""
        words = [filled(pattern, self.moduli[: self.primes], self.degree, self.rng) for _ in range(size)]
        return self.ring.taken(np.array(words), self.level, 1.0)

    def key(self, pattern: str, first: int = 0) -> Any:
        """A key for ciphertexts of level ``first`` and below, of any residues."""
        moduli = [*self.moduli[: self.ring.primes(first)], self.moduli[-1]]
        words = [filled(pattern, moduli, self.degree, self.rng) for _ in range(2 * len(moduli) - 2)]
        return np.array(words).reshape(len(moduli) - 1, 2, len(moduli), self.degree)

    def last(self, a: Ciphertext) -> int:
        """The address of a ciphertext's last polynomial."""
        return a.rows.at + 8 * self.ring.stride * self.primes * (a.size - 1)

    # by kernels

    def decomposed(self, a: Ciphertext) -> Rows:
        ring = self.ring
        digits, room = ring.rows(self.primes * (self.primes + 1)), ring.rows(self.primes)
        ring.kernels.decomposed(
            self.last(a), digits.at, self.primes, ring.count, self.degree, ring.stride, ring.table, ring.pairs, room.at
        )
        return digits

    def switched(self, terms: Sequence[Term], sums: Rows, more: bool) -> None:
        """The sum for terms of one source."""
        ring, source = self.ring, terms[0].source
        digits, keys = self.decomposed(source), [ring.key(term.key) for term in terms]
        moves = [ring.tables.move(term.element) for term in terms]
        lists = [
            addresses(key.at for key in keys),
            addresses(key.digits for key in keys),
            addresses(m[0] for m in moves),
            addresses(m[1] for m in moves),
        ]
        ring.kernels.switched(
            self.last(source), digits.at, *(at for _, at in lists), len(terms), sums.at, more,
            self.primes, ring.count, self.degree, ring.stride, ring.table,
        )  # fmt: skip

    def sums(self) -> Rows:
        return self.ring.rows(2 * (self.primes + 1) + 2)

    def settled(
        self,
        sums: Rows,
        firsts: Sequence[tuple[Ciphertext, int]],
        plus: Sequence[Ciphertext],
        minus: Sequence[Ciphertext] = (),
    ) -> Integers:
        ring, out = self.ring, self.ring.ciphertext(2, self.level, 1.0)
        moves = [ring.tables.move(element) for _, element in firsts]
        lists = [
            addresses(a.rows.at for a, _ in firsts),
            addresses(m[0] for m in moves),
            addresses(m[1] for m in moves),
            addresses(a.rows.at for a in plus),
            addresses(a.rows.at for a in minus),
        ]
        first, sources, lanes, more, less = (at for _, at in lists)
        ring.kernels.settled(
            sums.at, first, sources, lanes, len(firsts), more, len(plus), less, len(minus), out.rows.at,
            self.primes, ring.count, self.degree, ring.stride, ring.table, ring.pairs,
        )  # fmt: skip
        return integers(ring.given(out))

    def residues(self, rows: Rows, number: int, prime: int) -> Integers:
        """A row modulo a prime: lazy residues too, of which IFMA's are the low bits."""
        row = integers(self.ring.view(rows)[number, : self.degree]).astype(object)
        return (row % 2**52 if "ifma" in self.ring.kernels.kind else row) % prime

    # by Python's integers

    def exact(self, a: Ciphertext) -> Integers:
        return integers(self.ring.given(a))

    def digits(self, a: Ciphertext) -> list[Integers]:
        """Digits as polynomials of small integers."""
        return [centred(coefficients(x, p), p) for x, p in zip(self.exact(a)[-1], self.moduli, strict=False)]

    def products(self, terms: Sequence[Term]) -> list[list[Integers]]:
        """The sums that ``switched`` makes: both polynomials, by prime, the key prime last."""
        out: list[list[Any]] = [[0] * len(self.used) for _ in range(2)]
        known: dict[int, list[list[Integers]]] = {}
        places = [*range(self.primes), -1]
        for term in terms:
            if id(term.source) not in known:
                digits = self.digits(term.source)
                known[id(term.source)] = [[transformed(d, p) for p in self.used] for d in digits]
            for i, digit in enumerate(known[id(term.source)]):
                for k, (j, p) in enumerate(zip(places, self.used, strict=True)):
                    turned = moved(digit[k], term.element)
                    for side in range(2):
                        out[side][k] = (out[side][k] + turned * integers(term.key[i, side, j])) % p
        return out


def column(room: Room) -> Any:
    return np.array(room.moduli[: room.primes], object)[:, None]


@pytest.mark.parametrize("level", range(3))
@pytest.mark.parametrize("ring", RINGS, ids=ring_name)
@pytest.mark.parametrize("pattern", PATTERNS)
def test_digits(ring: Any, pattern: str, level: int) -> None:
    room = Room(*ring, level=level)
    digits(room, room.cipher(pattern))


@pytest.mark.parametrize("ring", RINGS, ids=ring_name)
def test_digits_at_the_middle(ring: Any) -> None:
    # coefficients beside half of the prime, where a digit changes its sign
    room = Room(*ring)
    middle = filled("halves", room.moduli[:3], room.degree, room.rng)
    words = [transformed(integers(row), p).astype(np.uint64) for row, p in zip(middle, room.moduli, strict=False)]
    digits(room, room.ring.taken(np.array([words, words]), 0, 1.0))


@pytest.mark.parametrize("ring", [(8192, (60, 60, 60)), (8192, (50, 50, 50)), (16384, (50, 50, 50))], ids=ring_name)
def test_digits_of_larger_rings(ring: Any) -> None:
    room = Room(*ring)
    digits(room, room.cipher("random"))


def digits(room: Room, a: Ciphertext) -> None:
    found, before = room.decomposed(a), room.ring.given(a)
    for i, digit in enumerate(room.digits(a)):
        for k, p in enumerate(room.used):
            if k != i:
                assert np.array_equal(room.residues(found, i * len(room.used) + k, p), transformed(digit, p))
    assert np.array_equal(room.ring.given(a), before)


@pytest.mark.parametrize(
    ("pattern", "ring", "level"),
    one_in(
        2,
        product(["random", "largest", "halves"], RINGS, range(3)),
        lambda case: f"{case[0]}-{ring_name(case[1])}-{case[2]}",
    ),
)
def test_key_switches(ring: Any, pattern: str, level: int) -> None:
    # 6 terms of 3 digits are 18 products, more than are added up at a time; conjugation and relinearisation among them
    key_switches(Room(*ring, level=level), pattern, [3, 8191, 1, pow(3, 77, 8192), 3, 5])


@pytest.mark.parametrize("ring", WIDE, ids=ring_name)
@pytest.mark.parametrize(("pattern", "terms"), [("middle", 4), ("near", 5), ("largest", 13)])
def test_key_switches_of_large_residues(ring: Any, pattern: str, terms: int) -> None:
    key_switches(Room(*ring), pattern, [pow(3, n, 8192) for n in range(terms)])


@pytest.mark.parametrize("ring", [(8192, (60, 60, 60)), (8192, (50, 50, 50)), (16384, (50, 50))], ids=ring_name)
def test_key_switches_of_larger_rings(ring: Any) -> None:
    key_switches(Room(*ring), "random", [3, 2 * ring[0] - 1])


def key_switches(room: Room, pattern: str, elements: Sequence[int]) -> None:
    """Products of the digits of two ciphertexts, one of them of three polynomials, and the division of the sum."""
    a, b = room.cipher(pattern), room.cipher(pattern, 3)
    # keys of different first levels, this one's and all above
    keys = [room.key(pattern if n % 2 else "random", n % (room.level + 1)) for n in range(3)]
    terms = [Term(a, element, keys[n % 3]) for n, element in enumerate(elements)]
    others = [Term(b, 1, keys[0])]
    before = [room.ring.given(x) for x in (a, b)]
    sums = room.sums()
    room.switched(terms, sums, False)
    room.switched(others, sums, True)
    expected = room.products([*terms, *others])
    for side in range(2):
        for k, p in enumerate(room.used):
            assert np.array_equal(room.residues(sums, side * len(room.used) + k, p), expected[side][k])
    found = room.settled(sums, [(a, element) for element in elements], [b, a, a], [b, b])
    divided = np.array([without_last(rows, room.used) for rows in expected])
    first, plus = room.exact(a)[0], 2 * room.exact(a) - room.exact(b)[:2]
    divided[0] += sum(np.array([moved(row, element) for row in first]) for element in elements)
    assert np.array_equal(found, (divided + plus) % column(room))
    assert all(np.array_equal(room.ring.given(x), y) for x, y in zip((a, b), before, strict=True))


@pytest.mark.parametrize("ring", RINGS, ids=ring_name)
def test_divisions_at_the_middle_of_the_key_prime(ring: Any) -> None:
    room = Room(*ring)
    sums = room.sums()
    rows = np.array([filled("near", [p], room.degree, room.rng)[0] for p in [*room.used, *room.used]])
    middle = integers(filled("halves", [room.used[-1]], room.degree, room.rng)[0])
    rows[len(room.used) - 1] = transformed(middle, room.used[-1]).astype(np.uint64)
    view = room.ring.view(sums)
    for number, p in enumerate([*room.used, *room.used]):
        values = integers(rows[number])
        stored = centred(values, p) if room.ring.kernels.kind == "doubles" else values
        view[number, : room.degree] = stored.astype(view.dtype)
    halves = [list(integers(rows)[: len(room.used)]), list(integers(rows)[len(room.used) :])]
    expected = np.array([without_last(half, room.used) for half in halves])
    assert np.array_equal(room.settled(sums, [], []), expected)


@pytest.mark.parametrize("ring", RINGS, ids=ring_name)
def test_opposite_digits_cancel(ring: Any) -> None:
    # digits are centred: those of -a are those of a, negated, so nothing is left of a sum of both
    room = Room(*ring)
    a, key = room.cipher("near"), room.key("random")
    negated = room.ring.taken((-integers(room.ring.given(a)) % column(room)).astype(np.uint64), 0, 1.0)
    sums = room.sums()
    room.switched([Term(a, 3, key)], sums, False)
    room.switched([Term(negated, 3, key)], sums, True)
    assert not room.settled(sums, [(a, 3), (negated, 3)], []).any()
