"""Sums of products wait for others of the same ciphertexts: whatever is done between them, residues are SEAL's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from kernel_worlds import KINDS, SLOTS, same, world

from slotlang_runtime.errors import NOT_EVALUATED, Rejected
from slotlang_runtime.kernels import operations
from slotlang_runtime.kernels.operations import ResidueOperations
from slotlang_runtime.operations import Evaluation
from slotlang_runtime.parameters import SUMS_TOGETHER as SUMS

Pair = tuple[Any, Any]


class Both:
    """The same operations by kernels and by SEAL."""

    def __init__(self, bits: tuple[int, ...]) -> None:
        self.w = world(bits)
        self.k = ResidueOperations(self.w.own, self.w.kernels.key)
        self.s = self.w.seal

    def dot(self, ciphers: list[Pair], plains: list[Pair]) -> Pair:
        theirs = self.s.multiply_plain(ciphers[0][0], plains[0][0])
        for (a, _), (p, _) in zip(ciphers[1:], plains[1:], strict=True):
            theirs = self.s.add(theirs, self.s.multiply_plain(a, p), 1, owned=True)
        return theirs, self.k.dot([(x, u) for (_, x), (_, u) in zip(ciphers, plains, strict=True)])

    def same(self, pair: Pair) -> None:
        settled = self.k.settled(pair[1])
        assert not settled.waits
        same(self.w, settled, pair[0])


@pytest.mark.parametrize("sums", [1, 2, SUMS - 1, SUMS, SUMS + 1, 2 * SUMS + 3])
@pytest.mark.parametrize("terms", [2, 9])
@KINDS
def test_sums_of_the_same_ciphertexts(bits: tuple[int, ...], terms: int, sums: int) -> None:
    both = Both(bits)
    ciphers, plains = [both.w.cipher() for _ in range(terms)], [both.w.plain() for _ in range(terms + sums)]
    made = [both.dot(ciphers, plains[n : n + terms]) for n in range(sums)]
    for n in np.random.default_rng(sums).permutation(sums):
        both.same(made[n])


@pytest.mark.parametrize("seed", range(6))
@KINDS
def test_whatever_is_done_between_them(bits: tuple[int, ...], seed: int) -> None:
    rng, both = np.random.default_rng(seed), Both(bits)
    scale = 2.0**4
    lists = [[both.w.cipher(0, scale) for _ in range(int(rng.integers(2, 11)))] for _ in range(3)]
    # the same ciphertexts in another order, and a part of them
    lists += [lists[0][::-1], lists[0][:2]]
    plains = [both.w.plain(0, scale) for _ in range(12)]
    made: list[Pair] = []
    for _ in range(60):
        kind = rng.integers(8)
        if kind < 5 or len(made) < 2:
            ciphers = lists[rng.integers(len(lists))] if rng.integers(3) else lists[0]
            made.append(both.dot(ciphers, [plains[n] for n in rng.integers(12, size=len(ciphers))]))
            continue
        (a, x), (b, y) = (made[n] for n in rng.integers(len(made), size=2))
        if kind == 5 and a is not b:
            sign = int(rng.choice([1, -1]))
            made.append((both.s.add(a, b, sign, owned=False), both.k.add(x, y, sign, owned=False)))
        elif kind == 6:
            made.append((both.s.negate(a), both.k.negate(x)))
        else:
            both.same((a, x))
    for pair in made:
        both.same(pair)


@KINDS
def test_sums_that_wait_are_rotated_multiplied_and_added(bits: tuple[int, ...]) -> None:
    both = Both(bits)
    scale = 2.0**5
    ciphers, plains = [both.w.cipher(0, scale) for _ in range(3)], [both.w.plain(0, scale) for _ in range(6)]

    def waiting(n: int) -> Pair:
        pair = both.dot(ciphers, plains[n : n + 3])
        assert pair[1].waits
        return pair

    a, b = waiting(0), waiting(1)
    # of a sum that waits
    both.same(both.dot([a, b], plains[:2]))
    a, b = waiting(0), waiting(1)
    both.same((both.s.multiply(a[0], b[0]), both.k.multiply(a[1], b[1])))
    a = waiting(2)
    both.same((both.s.multiply_plain(a[0], plains[0][0]), both.k.multiply_plain(a[1], plains[0][1])))
    # one that is added to a sum of rotations, and read after it
    (_, x), (_, y) = waiting(0), waiting(3)
    _, turned = both.w.cipher(0, scale**2)
    total = both.k.add(both.k.rotate(turned, 1), x, 1, owned=False)
    assert x.waits
    found = both.w.own.given(both.k.settled(total))
    alone = both.w.own.given(both.k.settled(both.k.rotate(turned, 1)))
    moduli = np.array(both.w.ring.primes(0), np.uint64)[:, None]
    assert np.array_equal(found, (alone + both.w.own.given(both.k.settled(x))) % moduli)
    assert not x.waits and not y.waits


@KINDS
def test_a_sum_that_cancels_does_not_wait(bits: tuple[int, ...]) -> None:
    both = Both(bits)
    ciphers, plains = [both.w.cipher() for _ in range(2)], [both.w.plain() for _ in range(3)]
    first = both.dot(ciphers, plains[:2])
    # the same ciphertexts of which a sum waits, and the negative of one
    (a, x), (_, u) = ciphers[0], plains[0]
    minus = both.s.negate(a), both.k.negate(x)
    with pytest.raises(operations.Cancelled) as found:
        both.k.dot([(x, u), (minus[1], u)])
    assert found.value.rest is None
    second = both.dot(ciphers, plains[1:])
    both.same(second)
    both.same(first)


@KINDS
def test_a_sum_that_is_refused_leaves_those_that_wait(bits: tuple[int, ...]) -> None:
    both = Both(bits)
    ciphers, plains = [both.w.cipher() for _ in range(2)], [both.w.plain() for _ in range(2)]
    first = both.dot(ciphers, plains)
    with pytest.raises(Rejected) as found:
        both.k.dot([(ciphers[0][1], plains[0][1]), (ciphers[1][1], both.w.plain(1)[1])])
    assert found.value.code == NOT_EVALUATED
    second = both.dot(ciphers, plains[::-1])
    both.same(first)
    both.same(second)


class Direct(ResidueOperations):
    """No sum of products waits."""

    def _waits(self, *given: Any) -> bool:
        return False


@pytest.mark.parametrize("seed", range(4))
@KINDS
def test_evaluations_are_the_same_bit_for_bit_whether_sums_wait_or_not(bits: tuple[int, ...], seed: int) -> None:
    """Key switches have no randomness of their own, so an evaluation has one result."""
    w, rng = world(bits), np.random.default_rng(seed)
    evaluations = [
        Evaluation[Any, Any](kind(w.own, w.kernels.key), w.parameters, SLOTS) for kind in (ResidueOperations, Direct)
    ]
    inputs = [w.cipher(0, 2.0**4)[1] for _ in range(6)]
    plains, added = [w.plain(0, 2.0**4)[1] for _ in range(8)], [w.added(0, 2.0**8)[1] for _ in range(2)]
    sources: list[list[Any]] = [[x, x] for x in inputs]
    sums: list[list[Any]] = []

    def apply(build: Any) -> None:
        sums.append([build(ev, side) for side, ev in enumerate(evaluations)])

    for _ in range(80):
        kind = int(rng.integers(10))
        if kind < 4 or not sums:
            chosen = [sources[n] for n in rng.permutation(len(sources))[: int(rng.integers(2, 7))]]
            for _ in range(int(rng.integers(1, 12))):
                factors = [plains[n] for n in rng.integers(8, size=len(chosen))]
                apply(lambda ev, side, c=chosen, f=factors: ev.dot(zip((x[side] for x in c), f, strict=True)))
            continue
        some = [sums[n] for n in rng.integers(len(sums), size=3)]
        step = int(rng.integers(1, 21))
        if kind == 4:
            # a source that is the rotation of an input
            x = sources[rng.integers(len(sources))]
            sources.append([ev.rotate(x[side], step) for side, ev in enumerate(evaluations)])
        elif kind == 5:
            apply(lambda ev, side, s=some: ev.sum(ev.rotate(x[side], k + 1) for k, x in enumerate(s)))
        elif kind == 6:
            apply(lambda ev, side, s=some, k=step: ev.sum_of(ev.rotate(s[0][side], k), s[1][side], s[2][side]))
        elif kind == 7:
            apply(lambda ev, side, s=some: ev.combine("+-+", *(x[side] for x in s)))
        elif kind == 8:
            apply(lambda ev, side, s=some, p=added[step % 2]: ev.add_plain(s[0][side], p))
        else:
            apply(lambda ev, side, s=some: ev.doubling(s[0][side], 1, 4, 4))
    order = rng.permutation(len(sums))
    for n in order:
        ours, theirs = sums[n]
        assert (ours is None) == (theirs is None)
        if ours is not None:
            found = [ev.operations.settled(x) for ev, x in zip(evaluations, sums[n], strict=True)]
            assert np.array_equal(*(w.own.given(x) for x in found)) and found[0].scale == found[1].scale
    assert evaluations[0].counts == evaluations[1].counts
