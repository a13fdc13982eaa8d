"""Operations on residues against SEAL's: the same residues where no key is switched; elsewhere the same meaning, with
the noise that one key switch has, in the worst slot too."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from exact_residues import Integers, moved
from kernel_worlds import KINDS, SLOTS, WORST, World, same, world

from slotlang_runtime.errors import NOT_EVALUATED, Rejected
from slotlang_runtime.kernels.operations import Value
from slotlang_runtime.kernels.residues import Ciphertext, Pending
from slotlang_runtime.operations import Cancelled, Evaluation

# where no key is switched


@pytest.mark.parametrize("level", [0, 1])
@KINDS
def test_products_sums_and_differences_are_those_of_seal(bits: tuple[int, ...], level: int) -> None:
    w = world(bits)
    # scales that three products fit
    (a, x), (b, y) = w.cipher(level, 2.0**8), w.cipher(level, 2.0**8)
    (p, u), (q, v) = w.plain(level, 2.0**8), w.added(level, 2.0**8)
    k, s = w.kernels, w.seal
    same(w, k.multiply_plain(x, u), s.multiply_plain(a, p))
    same(w, k.multiply(x, y), s.multiply(a, b))
    same(w, k.multiply_plain(k.multiply(x, y), u), s.multiply_plain(s.multiply(a, b), p))
    same(w, k.negate(x), s.negate(a))
    same(w, k.negate(k.multiply(x, y)), s.negate(s.multiply(a, b)))
    for sign in (1, -1):
        same(w, k.add(x, y, sign, owned=False), s.add(a, b, sign, owned=False))
        same(w, k.add_plain(x, v, sign), s.add_plain(a, q, sign))


@KINDS
def test_three_polynomials_add_up_with_two(bits: tuple[int, ...]) -> None:
    w, k, s = world(bits), world(bits).kernels, world(bits).seal
    (a, x), (b, y), (p, u) = w.cipher(), w.cipher(), w.plain()
    three, two = k.multiply(x, y), k.multiply_plain(x, u)
    others = s.multiply(a, b), s.multiply_plain(a, p)
    for sign in (1, -1):
        same(w, k.add(three, two, sign, owned=False), s.add(*others, sign, owned=False))
        same(w, k.add(two, three, sign, owned=False), s.add(*others[::-1], sign, owned=False))
        same(
            w, k.add(three, k.multiply(y, y), sign, owned=False), s.add(others[0], s.multiply(b, b), sign, owned=False)
        )


@KINDS
def test_rescales_are_those_of_seal(bits: tuple[int, ...]) -> None:
    w, k, s = world(bits), world(bits).kernels, world(bits).seal
    (a, x), (b, y), (p, u) = w.cipher(), w.cipher(), w.plain()
    same(w, k.rescale(k.multiply_plain(x, u)), s.rescale(s.multiply_plain(a, p)))
    same(w, k.rescale(k.multiply(x, y)), s.rescale(s.multiply(a, b)))


@pytest.mark.parametrize("terms", [2, 3, 8, 9, 40])
@KINDS
def test_sums_of_products_are_those_of_seal(bits: tuple[int, ...], terms: int) -> None:
    w, k, s = world(bits), world(bits).kernels, world(bits).seal
    ciphers, plains = [w.cipher() for _ in range(5)], [w.plain() for _ in range(7)]
    pairs = [(ciphers[n % 5], plains[n % 7]) for n in range(terms)]
    ours = k.dot([(x, u) for (_, x), (_, u) in pairs])
    theirs = s.multiply_plain(pairs[0][0][0], pairs[0][1][0])
    for (a, _), (p, _) in pairs[1:]:
        theirs = s.add(theirs, s.multiply_plain(a, p), 1, owned=True)
    assert ours is not None
    same(w, ours, theirs)
    assert k.dot([(ciphers[0][1], plains[0][1]), (k.multiply(ciphers[0][1], ciphers[1][1]), plains[0][1])]) is None


# where keys are switched


@pytest.mark.parametrize("level", [0, 1])
@KINDS
def test_a_key_switch_has_the_noise_of_its_model_and_no_more_than_seal(bits: tuple[int, ...], level: int) -> None:
    w = world(bits)
    a, x = w.cipher(level)
    before = w.phase(w.given(x))
    # at level 1 a digit is gone
    switches = sum(p**2 for p in w.ring.primes(level)) / sum(p**2 for p in w.ring.primes(0))
    for element, ours, theirs in (
        (w.element(1), w.kernels.rotate(x, 1), w.seal.rotate(a, 1)),
        (w.element(20), w.kernels.rotate(x, 20), w.seal.rotate(a, 20)),
        (2 * w.ring.degree - 1, w.kernels.conjugate(x), w.seal.conjugate(a)),
    ):
        expected = moved(before, element)
        w.check(w.given(ours), expected, switches, 1)
        quieter(w, w.given(ours), w.words(theirs), expected)


def quieter(w: World, ours: Any, theirs: Any, expected: Integers) -> None:
    """No noisier than SEAL, whose digits are not around 0: in the mean, and in the worst slot."""
    found, reference = w.noise(ours, expected), w.noise(theirs, expected)
    assert math.sqrt((found**2).mean()) < 1.1 * math.sqrt((reference**2).mean())
    assert found.max() < 3 * reference.max()


@pytest.mark.parametrize("terms", [2, 7, 8, 9, 20])
@KINDS
def test_sums_of_rotations_are_divided_once(bits: tuple[int, ...], terms: int) -> None:
    w, k = world(bits), world(bits).kernels
    (_, x), (_, y) = w.cipher(), w.cipher()
    total: Value = x
    expected = w.phase(w.given(x))
    for n in range(terms):
        source = y if n % 3 == 2 else x
        total = k.add(total, k.rotate(source, n + 1), 1, owned=n > 0)
        expected = expected + moved(w.phase(w.given(source)), w.element(n + 1))
    assert isinstance(total, Pending) and total.value is None
    w.check(w.given(total), expected, terms, 1)


@KINDS
def test_relinearised_products_wait_too(bits: tuple[int, ...]) -> None:
    w, k = world(bits), world(bits).kernels
    (_, x), (_, y), (_, z) = w.cipher(), w.cipher(), w.cipher(0, 2.0**40)
    product, square = k.multiply(x, y), k.multiply(x, x)
    assert k.relinearize(x) is x
    waits = k.relinearize(product)
    assert isinstance(waits, Pending) and k.relinearize(waits) is waits
    expected = w.phase(w.own.given(product))
    w.check(w.given(waits), expected, 1, 1)
    total = k.add(k.relinearize(product), k.rotate(z, 3), 1, owned=False)
    total = k.add(total, k.relinearize(square), 1, owned=True)
    expected = expected + moved(w.phase(w.given(z)), w.element(3)) + w.phase(w.own.given(square))
    w.check(w.given(total), expected, 3, 1)


@KINDS
def test_sums_that_wait_are_shared(bits: tuple[int, ...]) -> None:
    w, k = world(bits), world(bits).kernels
    (_, x), (_, y) = w.cipher(), w.cipher()
    at = [moved(w.phase(w.given(x)), w.element(step)) for step in range(5)]
    shared = k.add(k.rotate(x, 1), k.rotate(x, 2), 1, owned=False)
    first = k.add(shared, k.rotate(x, 3), 1, owned=False)
    second = k.add(k.rotate(x, 4), shared, 1, owned=False)
    twice = k.add(shared, shared, 1, owned=False)
    w.check(w.given(second), at[1] + at[2] + at[4], 3, 2)
    w.check(w.given(first), at[1] + at[2] + at[3], 3, 1)
    w.check(w.given(shared), at[1] + at[2], 2, 1)
    w.check(w.given(twice), 2 * (at[1] + at[2]), 8, 4)
    # what is asked for first is what others see
    w.check(w.given(k.add(shared, y, 1, owned=False)), at[1] + at[2] + w.phase(w.given(y)), 2, 1)
    again = k.rotate(shared, 2)
    w.check(w.given(again), moved(at[1] + at[2], w.element(2)), 3, 2)


@KINDS
def test_differences_are_of_ciphertexts(bits: tuple[int, ...]) -> None:
    w, k = world(bits), world(bits).kernels
    _, x = w.cipher()
    before = w.phase(w.given(x))
    turned = moved(before, w.element(5))
    w.check(w.given(k.add(x, k.rotate(x, 5), -1, owned=False)), before - turned, 1, 1)
    w.check(w.given(k.add(k.rotate(x, 5), x, -1, owned=False)), turned - before, 1, 1)
    both = k.add(k.rotate(x, 5), k.conjugate(x), -1, owned=False)
    w.check(w.given(both), turned - moved(before, 2 * w.ring.degree - 1), 2, 2)
    w.check(w.given(k.negate(k.rotate(x, 5))), -turned, 1, 1)


@KINDS
def test_a_sum_that_grows_has_new_digits(bits: tuple[int, ...]) -> None:
    w, k = world(bits), world(bits).kernels
    (_, x), (_, y) = w.cipher(), w.cipher()
    total = k.add(x, y, 1, owned=False)
    w.given(k.rotate(total, 1))
    grown = k.add(total, y, 1, owned=True)
    assert grown is total
    expected = moved(w.phase(w.given(x)) + 2 * w.phase(w.given(y)), w.element(1))
    w.check(w.given(k.rotate(grown, 1)), expected, 1, 1)


@KINDS
def test_what_cancels_leaves_nothing_in_the_clear(bits: tuple[int, ...]) -> None:
    w, k = world(bits), world(bits).kernels
    (_, x), (_, u) = w.cipher(), w.added()
    bare = k.add(k.rotate(x, 1), k.rotate(k.negate(x), 1), 1, owned=False)
    assert not w.given(bare)[0].any() and (w.given(bare)[1] == 1).all()
    # what was added in the clear, and nothing hides
    with pytest.raises(Cancelled) as found:
        k.add(k.add_plain(x, u, 1), x, -1, owned=False)
    rest = found.value.rest
    assert w.own.given(rest)[0].any() and not w.own.given(rest)[1].any()
    for bare in (
        k.add(k.add(rest, k.rotate(x, 1), 1, owned=False), k.rotate(k.negate(x), 1), 1, owned=True),
        k.add(k.add(k.rotate(x, 1), k.rotate(k.negate(x), 1), 1, owned=False), rest, 1, owned=True),
    ):
        assert (w.given(bare)[1] == 1).all() and np.array_equal(w.given(bare)[0], w.own.given(rest)[0])
    # what is subtracted from a sum that waits cancels when that is divided
    bare = k.add(k.rotate(x, 2), k.rotate(x, 2), -1, owned=False)
    assert not w.given(bare)[0].any() and (w.given(bare)[1] == 1).all()
    for a, b in ((x, x), (k.multiply(x, x), k.multiply(x, x))):
        with pytest.raises(Cancelled) as found:
            k.add(a, b, -1, owned=False)
        assert found.value.rest is None
    plain = w.plain()[1]
    with pytest.raises(Cancelled) as found:
        k.dot([(x, plain), (k.negate(x), plain)])
    assert found.value.rest is None


@KINDS
def test_a_zero_that_is_divided_is_bare(bits: tuple[int, ...]) -> None:
    w, k = world(bits), world(bits).kernels
    with pytest.raises(Cancelled):
        k.rescale(
            k.multiply_plain(k.zero(w.plain()[1]), w.own.plaintext(np.ones((2, 4096), np.uint64), 0, 2.0**20, False))
        )


@KINDS
def test_what_does_not_fit_is_refused(bits: tuple[int, ...]) -> None:
    w, k = world(bits), world(bits).kernels
    x, low, other = (w.cipher(*given)[1] for given in ((), (1,), (0, 2.0**21)))
    u, lower, larger = (w.plain(*given)[1] for given in ((), (1,), (0, 2.0**21)))
    three = k.multiply(x, x)
    wrong: list[Callable[[], Any]] = [
        lambda: k.add(x, low, 1, owned=False),
        lambda: k.add(x, other, 1, owned=False),
        lambda: k.add(k.rotate(x, 1), k.rotate(low, 1), 1, owned=False),
        lambda: k.add(k.rotate(x, 1), k.rotate(other, 1), 1, owned=False),
        lambda: k.add(k.rotate(x, 1), other, -1, owned=False),
        lambda: k.add(three, x, 1, owned=False),
        lambda: k.multiply_plain(x, lower),
        lambda: k.add_plain(x, lower, 1),
        lambda: k.add_plain(x, larger, 1),
        lambda: k.dot([(x, u), (low, lower)]),
        lambda: k.dot([(x, u), (x, lower)]),
        lambda: k.dot([(x, u), (other, u)]),
        lambda: k.dot([(x, u), (x, larger)]),
        lambda: k.multiply(x, low),
        lambda: k.multiply(three, x),
        lambda: k.multiply(x, three),
        lambda: k.rotate(three, 1),
        lambda: k.conjugate(three),
        lambda: k.rescale(x),
        lambda: k.rescale(k.multiply_plain(low, lower)),
        lambda: k.rescale(k.multiply_plain(other, larger)),
    ]
    for number, make in enumerate(wrong):
        with pytest.raises(Rejected) as found:
            w.kernels.settled(make())
            pytest.fail(f"case {number} was computed")
        assert found.value.code == NOT_EVALUATED


# random evaluations


def random_evaluation(w: World, seed: int, steps: int = 30) -> None:
    """Random sums, differences, negations and key switches of values that are there: what each should hold is known,
    and none that was there ever changes."""
    rng, k = np.random.default_rng(seed), w.kernels
    values: list[tuple[Value, Integers, float]] = []
    kept: list[tuple[Ciphertext, bytes]] = []
    for _ in range(3):
        _, x = w.cipher()
        values.append((x, w.phase(w.own.given(x)), 0))
        kept.append((x, w.own.given(x).tobytes()))
    evaluation: Evaluation[Any, Any] = Evaluation(k, w.parameters, SLOTS)
    for _ in range(steps):
        chosen = [values[int(rng.integers(len(values)))] for _ in range(int(rng.integers(2, 5)))]
        a, phase, noise = chosen[0]
        kind = rng.integers(6)
        if kind < 2:
            step = int(rng.integers(1, 21))
            made = evaluation.rotate(a, step), moved(phase, w.element(step)), noise + 1
        elif kind == 2:
            made = evaluation.conj(a), moved(phase, 2 * w.ring.degree - 1), noise + 1
        elif kind == 3:
            made = evaluation.negate(a), -phase, noise
        else:
            signs = "".join(rng.choice(list("++-" if kind == 4 else "+"), len(chosen)))
            total = sum((v[1] if sign == "+" else -v[1] for v, sign in zip(chosen, signs, strict=True)), phase * 0)
            made = evaluation.combine(signs, *(v[0] for v in chosen)), total, sum(v[2] for v in chosen)
        if made[0] is not None and made[2] < 200:
            values.append(made)
        if rng.integers(4) == 0 and isinstance(values[-1][0], Pending):
            settled = k.settled(values[-1][0])
            kept.append((settled, w.own.given(settled).tobytes()))
        assert all(w.own.given(x).tobytes() == data for x, data in kept)
    one = math.sqrt(w.ring.degree * (w.of_a_switch() + w.of_a_division()))
    # the encrypted zero of what cancels is at most the secret
    for value, phase, noise in values:
        assert w.noise(w.given(value), phase).max() < (WORST * noise + 1) * one + 300 * (noise > 0)
    assert all(w.own.given(x).tobytes() == data for x, data in kept)


@pytest.mark.parametrize("seed", range(3))
@KINDS
def test_random_evaluations(bits: tuple[int, ...], seed: int) -> None:
    random_evaluation(world(bits), seed)


def test_a_larger_ring() -> None:
    w = world((60, 40, 60), 8192)
    assert w.own.kernels.kind == "words"
    (a, x), (p, u) = w.cipher(), w.plain()
    expected = moved(w.phase(w.given(x)), w.element(7))
    w.check(w.given(w.kernels.rotate(x, 7)), expected, 1, 1)
    quieter(w, w.given(w.kernels.rotate(x, 7)), w.words(w.seal.rotate(a, 7)), expected)
    same(w, w.kernels.rescale(w.kernels.multiply_plain(x, u)), w.seal.rescale(w.seal.multiply_plain(a, p)))
