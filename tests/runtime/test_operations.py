"""The operations of an evaluation, over exact slots and over SEAL: what is computed, counted, shared and refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import tenseal.sealapi as seal
from exact_slots import Cipher, ExactOperations, ExactRing, Memory, Plain
from worlds import PAIRS, World, residues

from slotlang.schedule import doubling
from slotlang_runtime.client import SecretKey
from slotlang_runtime.errors import Rejected
from slotlang_runtime.operations import Cancelled, Evaluation
from slotlang_runtime.parameters import Parameters
from slotlang_runtime.seal.memory import residues_of
from slotlang_runtime.seal.operations import SealOperations
from slotlang_runtime.seal.ring import Ring

SLOTS = 16
PARAMETERS = Parameters(
    8192,
    (60, 40, 60),
    (40,),
    (1,),
    rotations=tuple(range(1, SLOTS)),
    conjugation=True,
    relinearization=True,
)


class Exact:
    """An evaluation over exact slots, and what its operations were asked for."""

    def __init__(self, parameters: Parameters = PARAMETERS, *, one_pass: bool = False) -> None:
        self.ring = ExactRing(parameters, SLOTS)
        self.rng = np.random.default_rng(0)
        self.memory = Memory()
        self.operations = ExactOperations(self.ring, self.memory, one_pass=one_pass)
        self.ev: Evaluation[Cipher, Plain] = Evaluation(self.operations, parameters, SLOTS)

    def cipher(self, level: int = 0, products: int = 0) -> Cipher:
        values = self.rng.standard_normal(SLOTS) + 1j * self.rng.standard_normal(SLOTS)
        scale = self.ring.scale(level, products)
        return Cipher(self.memory, values, level, scale, int(self.rng.integers(1, 1 << 60)))

    def plain(self, level: int = 0, products: int = 0, added: bool = False) -> Plain:
        made = self.ring.encode(self.rng.standard_normal(SLOTS), level, products, added)
        assert made is not None
        return made


def counts(exact: Exact) -> dict[str, int]:
    return dict(+exact.ev.counts)


def rotated(values: Any, step: int) -> Any:
    return np.roll(values, -step)


def values_of(cipher: Cipher | None) -> Any:
    assert cipher is not None
    return cipher.values


# one by one


def test_operations_compute_and_count() -> None:
    e = Exact()
    ev = e.ev
    a, b, w = e.cipher(), e.cipher(), e.plain()
    added, product = e.plain(added=True), e.cipher(0, 1)
    both = e.operations.multiply(a, b)
    steps: list[tuple[Callable[[], Cipher | None], Any, str, int]] = [
        (lambda: ev.rotate(a, 3), rotated(a.values, 3), "rotations", 1),
        (lambda: ev.conj(a), a.values.conj(), "conjugations", 1),
        (lambda: ev.product(a, b), a.values * b.values, "cipher_products", 1),
        (lambda: ev.relinearize(both), both.values, "relinearizations", 1),
        (lambda: ev.multiply(a, w), a.values * w.values, "plain_products", 1),
        (lambda: ev.negate(a), -a.values, "negations", 1),
        (lambda: ev.sum_of(a, b), a.values + b.values, "additions", 1),
        (lambda: ev.sum([a, b, a]), 2 * a.values + b.values, "additions", 2),
        (lambda: ev.add_plain(a, added), a.values + added.values, "additions", 1),
        (lambda: ev.add_plain(a, added, -1), a.values - added.values, "additions", 1),
        (lambda: ev.rescale(product), product.values, "rescales", 1),
        (lambda: ev.hide(a, [added, added]), a.values + 2 * added.values, "masks", 2),
    ]
    for operation, expected, name, count in steps:
        assert np.allclose(values_of(operation()), expected)
        assert counts(e) == {name: count}
        ev.counts.clear()
    assert ev.vanished == 0


@pytest.mark.parametrize("step", [0, SLOTS, -SLOTS, 1, -1, 5, SLOTS + 5, 3 * SLOTS - 2])
def test_steps_are_modulo_the_slots(step: int) -> None:
    e = Exact()
    a = e.cipher()
    found = e.ev.rotate(a, step)
    assert np.array_equal(values_of(found), rotated(a.values, step))
    assert counts(e) == ({"rotations": 1} if step % SLOTS else {})
    assert (found is a) == (step % SLOTS == 0)


def test_operands_are_not_changed() -> None:
    e = Exact()
    a, b, c = e.cipher(), e.cipher(), e.cipher()
    before = [x.values.copy() for x in (a, b, c)]
    total = e.ev.sum([a, b, c, a])
    assert np.allclose(values_of(total), before[0] * 2 + before[1] + before[2])
    e.ev.combine("-+-", a, b, c)
    e.ev.tree([a, b, c])
    e.ev.horner([a, b, c], 1)
    e.ev.doubling(a, 1, 8)
    assert all(np.array_equal(x.values, old) for x, old in zip((a, b, c), before, strict=True))


def test_a_sum_of_one_is_that_one() -> None:
    e = Exact()
    a = e.cipher()
    assert e.ev.sum([a]) is a and e.ev.sum_of(None, a, None) is a and e.ev.tree([a]) is a
    assert e.ev.sum([]) is None and e.ev.sum([None, None]) is None
    assert not counts(e)


# zeros


def test_zeros_cost_nothing() -> None:
    e = Exact()
    a, w = e.cipher(), e.plain()
    ev = e.ev
    assert ev.rotate(None, 3) is None
    assert ev.conj(None) is None
    assert ev.product(a, None) is None and ev.product(None, a) is None
    assert ev.multiply(None, w) is None and ev.multiply(a, None) is None
    assert ev.rescale(None) is None and ev.negate(None) is None
    assert ev.add_plain(a, None) is a and ev.add_plain(None, None) is None
    assert ev.dot([(None, w), (a, None)]) is None
    assert ev.combine("+-", None, None) is None
    assert ev.hide(None, [w]) is None
    assert ev.horner([None, None], 2) is None and ev.doubling(None, 1, 8) is None and ev.tree([None] * 3) is None
    assert not counts(e) and ev.vanished == 0


def test_a_zero_that_something_is_added_to() -> None:
    e = Exact()
    for level, products, sign in ((0, 0, 1), (0, 1, 1), (1, 0, -1)):
        plain = e.plain(level, products, True)
        found = e.ev.add_plain(None, plain, sign)
        assert found is not None and (found.level, found.scale) == (level, plain.scale)
        assert np.allclose(found.values, sign * plain.values)
    assert not counts(e)


def test_what_cancels_is_a_zero() -> None:
    e = Exact()
    a, b = e.cipher(), e.cipher()
    minus = e.ev.negate(a)
    e.ev.counts.clear()
    assert e.ev.sum_of(a, minus) is None
    assert (e.ev.vanished, counts(e)) == (1, {"additions": 1})
    # and what comes after it is a sum of its own, which must not be written over
    before = b.values.copy()
    found = e.ev.sum_of(a, minus, b)
    assert found is b and e.ev.vanished == 2
    found = e.ev.sum_of(a, minus, b, b)
    assert np.array_equal(values_of(found), 2 * before) and np.array_equal(b.values, before)


def left(e: Exact, a: Cipher, plain: Plain) -> Cipher:
    """A sum of which only a plaintext is left when ``a`` is subtracted."""
    found = e.ev.add_plain(a, plain)
    assert found is not None
    return found


def test_what_plaintexts_leave_is_added_to_a_zero() -> None:
    e = Exact()
    a, b = e.cipher(1), e.cipher(1)
    plain, other = e.plain(1, 0, True), e.plain(1, 0, True)
    for found in (e.ev.combine("+-", left(e, a, plain), a), e.ev.sum_of(left(e, a, plain), e.ev.negate(a))):
        assert np.allclose(values_of(found), plain.values) and found is not None and found.c1
    found = e.ev.combine("-+", left(e, a, plain), left(e, a, other))
    assert np.allclose(values_of(found), other.values - plain.values)
    assert e.ev.vanished == 0
    # more terms hide it, and are not written over
    before = b.values.copy()
    found = e.ev.sum_of(left(e, a, plain), e.ev.negate(a), b, b)
    assert np.allclose(values_of(found), plain.values + 2 * before) and np.array_equal(b.values, before)
    assert e.ev.combine("+--", left(e, a, plain), a, left(e, e.ev.combine("+-", a, a) or b, plain)) is not None
    # equal plaintexts cancel too
    assert e.ev.combine("+-", left(e, a, plain), left(e, a, plain)) is None and e.ev.vanished == 1


@pytest.mark.parametrize("one_pass", [False, True])
def test_what_plaintexts_leave_in_dots(one_pass: bool) -> None:
    e = Exact(one_pass=one_pass)
    a, w, plain = e.cipher(), e.plain(), e.plain(0, 0, True)
    minus = Cipher(e.memory, -a.values, a.level, a.scale, -a.c1 % ((1 << 61) - 1))
    found = e.ev.dot([(left(e, a, plain), w), (minus, w)])
    assert np.allclose(values_of(found), plain.values * w.values) and found is not None and found.c1
    assert e.ev.vanished == 0


def test_what_plaintexts_leave_when_a_prime_is_dropped() -> None:
    """What was added to a zero is divided, and the zero vanishes: the quotient is added to another."""
    e = Exact()
    a = e.cipher(1)
    for rest in (e.operations.add_plain(a, e.plain(1, 0, True), 1), None):
        e.operations.rescale = raising(Cancelled(rest))  # type: ignore[method-assign]
        found = e.ev.rescale(e.cipher())
        assert (found is None) == (rest is None)
        assert rest is None or np.array_equal(values_of(found), rest.values)
    assert counts(e) == {"rescales": 2} and e.ev.vanished == 0


def raising(problem: Exception) -> Any:
    """A function that raises."""

    def function(*operands: Any) -> Any:
        raise problem

    return function


def test_what_is_subtracted_from_itself_is_left_out() -> None:
    e = Exact()
    a, b = e.cipher(), e.cipher()
    assert e.ev.combine("+-", a, a) is None and e.ev.combine("-+", a, a) is None
    assert e.ev.combine("+-+", a, a, b) is b
    assert not counts(e) and e.ev.vanished == 0
    found = e.ev.combine("++-", a, a, a)
    assert found is a
    found = e.ev.combine("+--", a, a, a)
    assert np.array_equal(values_of(found), -a.values) and counts(e) == {"negations": 1}


@pytest.mark.parametrize("signs", ["+", "-", "++", "+-", "-+", "--", "+-+-", "--+", "-+-+"])
def test_signs(signs: str) -> None:
    e = Exact()
    terms: list[Cipher | None] = [e.cipher() for _ in signs]
    found = e.ev.combine(signs, *terms)
    assert np.allclose(values_of(found), sum((1 if s == "+" else -1) * values_of(t) for s, t in zip(signs, terms)))  # noqa: B905
    expected = {"additions": len(signs) - 1, "negations": int("+" not in signs)}
    assert counts(e) == {k: v for k, v in expected.items() if v}
    with pytest.raises(ValueError, match="zip"):
        e.ev.combine(signs, *terms, e.cipher())


# products


@pytest.mark.parametrize("one_pass", [False, True])
@pytest.mark.parametrize("terms", [1, 2, 3, 7])
def test_dots(terms: int, one_pass: bool) -> None:
    e = Exact(one_pass=one_pass)
    pairs = [(e.cipher(), e.plain()) for _ in range(terms)]
    found = e.ev.dot(iter([(None, e.plain()), *pairs, (e.cipher(), None)]))
    assert np.allclose(values_of(found), sum(a.values * w.values for a, w in pairs))
    expected = {"plain_products": terms, "additions": terms - 1}
    assert counts(e) == {k: v for k, v in expected.items() if v}


@pytest.mark.parametrize("one_pass", [False, True])
def test_dots_that_cancel(one_pass: bool) -> None:
    e = Exact(one_pass=one_pass)
    a, w = e.cipher(), e.plain()
    minus = Cipher(e.memory, -a.values, a.level, a.scale, -a.c1 % ((1 << 61) - 1))
    assert e.ev.dot([(a, w), (minus, w)]) is None
    assert counts(e) == {"plain_products": 2, "additions": 1} and e.ev.vanished == 1


# what is computed once


def test_once() -> None:
    e = Exact()
    a, b = e.cipher(), e.cipher()
    ev = e.ev
    first = ev.once(ev.rotate, a, 3)
    assert ev.once(ev.rotate, a, 3) is first and ev.once(ev.rotate, a, 3 - SLOTS) is first
    assert ev.once(ev.rotate, b, 3) is not first and ev.once(ev.rotate, a, 4) is not first
    product = ev.once(ev.product, a, b)
    assert ev.once(ev.product, b, a) is product
    assert ev.once(ev.sum_of, a, b) is ev.once(ev.sum_of, a, b)
    assert ev.once(ev.combine, "+-", a, b) is not ev.once(ev.combine, "-+", a, b)
    assert ev.once(ev.conj, None) is None
    assert counts(e) == {"rotations": 3, "cipher_products": 1, "additions": 3}


def test_what_is_kept_keeps_its_operands() -> None:
    """Another ciphertext may come to lie where one was: its result is not that one's."""
    e = Exact()
    seen = set()
    for _ in range(50):
        seen.add(id(values_of(e.ev.once(e.ev.negate, e.cipher()))))
    assert len(seen) == 50 and counts(e) == {"negations": 50}


# rotations


def test_a_rotation_without_a_key_is_refused() -> None:
    e = Exact(replace(PARAMETERS, rotations=(1, 4)))
    with pytest.raises(Rejected, match="there is no Galois key for a rotation by 2"):
        e.ev.rotate(e.cipher(), 2)
    with pytest.raises(Rejected, match="there is no Galois key for a rotation by 15"):
        e.ev.rotate(e.cipher(), -1)
    with pytest.raises(Rejected, match="a rotation by 3"):
        e.ev.doubling(e.cipher(), 3, 2)
    assert not counts(e)


def test_what_has_two_polynomials_is_not_relinearised() -> None:
    e = Exact()
    a = e.cipher()
    assert e.ev.relinearize(a) is a and e.ev.relinearize(None) is None
    assert not counts(e)


def test_switches_that_have_no_key_are_refused() -> None:
    e = Exact(replace(PARAMETERS, conjugation=False, relinearization=False))
    with pytest.raises(Rejected, match="there is no Galois key for conjugation"):
        e.ev.conj(e.cipher())
    with pytest.raises(Rejected, match="there is no relinearization key"):
        e.ev.relinearize(e.ev.product(e.cipher(), e.cipher()))
    assert counts(e) == {"cipher_products": 1}


def test_routes() -> None:
    e = Exact(replace(PARAMETERS, rotations=(1, 4), routes={5: (4, 1), 9: (4, 4, 1), 3: (4, 15)}))
    a, b = e.cipher(), e.cipher()
    assert np.array_equal(values_of(e.ev.rotate(a, 5)), rotated(a.values, 5))
    assert counts(e) == {"rotations": 2}
    # what routes of one ciphertext start with is done once, while no other is rotated in between
    assert np.array_equal(values_of(e.ev.rotate(a, 9)), rotated(a.values, 9))
    assert counts(e) == {"rotations": 4}
    assert np.array_equal(values_of(e.ev.rotate(a, 4)), rotated(a.values, 4))
    assert np.array_equal(values_of(e.ev.rotate(a, 8 + 1)), rotated(a.values, 9))
    assert counts(e) == {"rotations": 4}
    e.ev.rotate(b, 4)
    e.ev.rotate(a, 4)
    assert counts(e) == {"rotations": 6}
    with pytest.raises(Rejected, match="a rotation by 15"):
        e.ev.rotate(a, 3)
    with pytest.raises(Rejected, match="a rotation by 2"):
        e.ev.rotate(a, 2)


# sums of rotations


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("terms", range(1, 18))
def test_trees(terms: int, shared: bool) -> None:
    e = Exact()
    given = [e.cipher() for _ in range(terms)]
    found = e.ev.tree(iter(given), shared)
    assert np.allclose(values_of(found), sum(c.values for c in given))
    assert counts(e) == ({"additions": terms - 1} if terms > 1 else {})
    again = e.ev.tree(iter(given), shared)
    assert (again is found) == (shared or terms == 1)


def test_a_tree_is_balanced() -> None:
    class Depth(ExactOperations):
        def add(self, total: Cipher, term: Cipher, sign: int, *, owned: bool) -> Cipher:
            made = super().add(total, term, sign, owned=False)
            depth[id(made)] = 1 + max(depth.get(id(total), 0), depth.get(id(term), 0))
            kept.append(made)
            return made

    depth: dict[int, int] = {}
    kept: list[Cipher] = []
    e = Exact()
    ev: Evaluation[Cipher, Plain] = Evaluation(Depth(e.ring, e.memory), PARAMETERS, SLOTS)
    for terms in range(2, 40):
        found = ev.tree([e.cipher() for _ in range(terms)])
        assert depth[id(found)] <= (terms - 1).bit_length() + (terms & (terms - 1) != 0)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize(("terms", "step"), [(1, 3), (2, 3), (5, 2), (16, 1), (3, SLOTS), (4, -1)])
def test_horner(terms: int, step: int, shared: bool) -> None:
    e = Exact()
    given = [e.cipher() for _ in range(terms)]
    found = e.ev.horner(reversed(given), step, shared)
    expected = sum(rotated(c.values, v * step) for v, c in enumerate(given))
    assert np.allclose(values_of(found), expected)
    rotations = (terms - 1) * bool(step % SLOTS)
    assert counts(e) == {k: v for k, v in {"rotations": rotations, "additions": terms - 1}.items() if v}


def test_horner_with_zeros_among_the_terms() -> None:
    e = Exact()
    a, b = e.cipher(), e.cipher()
    found = e.ev.horner([None, a, None, b], 2)
    assert np.allclose(values_of(found), b.values + rotated(a.values, 4))
    assert counts(e) == {"rotations": 2, "additions": 1}


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("radix", [2, 3, 4, 8, 100])
@pytest.mark.parametrize("step", [1, 3])
def test_doubling(radix: int, step: int, shared: bool) -> None:
    for count in range(1, 40):
        e = Exact()
        a = e.cipher()
        found = e.ev.doubling(a, step, count, radix, shared)
        assert np.allclose(values_of(found), sum(rotated(a.values, f * step) for f in range(count)))
        assert e.ev.counts["additions"] == doubling.additions(count, radix)
        assert e.ev.counts["rotations"] <= e.ev.counts["additions"]
        if shared:
            before = counts(e)
            assert e.ev.doubling(a, step, count, radix, True) is found and counts(e) == before


@pytest.mark.parametrize("count", [0, -1, -2, True, 2.0])
def test_a_sum_of_no_rotations_is_refused(count: Any) -> None:
    with pytest.raises(Rejected, match=f"a sum of {count} rotations"):
        Exact().ev.doubling(Exact().cipher(), 1, count)


@pytest.mark.parametrize("radix", [1, 0, -4, True, 4.0, None])
def test_copies_that_can_not_be_added_up_at_a_time_are_refused(radix: Any) -> None:
    with pytest.raises(Rejected, match=f"a sum of {radix} rotations at a time"):
        Exact().ev.doubling(Exact().cipher(), 1, 8, radix)


# SEAL


@pytest.fixture(scope="module")
def world() -> World:
    return World(PAIRS)


def rescaling() -> tuple[Ring, SealOperations, SecretKey]:
    ring = Ring(PARAMETERS, SLOTS)
    return ring, SealOperations(ring, None, None), SecretKey(PARAMETERS.ring)


def encrypted(ring: Ring, encryptor: Any, scale: float) -> Any:
    plain, out = seal.Plaintext(), seal.Ciphertext()
    ring.encoder.encode(1.5, ring.levels[0], scale, plain)
    encryptor.encrypt_symmetric(plain, out)
    return out


def test_a_rescale_comes_to_exactly_the_scale_of_its_level() -> None:
    ring, operations, secret = rescaling()
    found = operations.rescale(encrypted(ring, secret.encryptor, ring.scale(0, 1)))
    assert found.scale == ring.scales[1] == 2.0**80 / ring.moduli[1]
    assert found.parms_id() == ring.levels[1]
    for wrong in (ring.scale(0), ring.scale(0, 1) * (1 + 1e-9), 2 * ring.scale(0, 1)):
        with pytest.raises(Rejected, match="rescaled to level 1 does not come to the scale there"):
            operations.rescale(encrypted(ring, secret.encryptor, wrong))


def test_a_rescale_that_the_program_does_not_have(world: World) -> None:
    operations = SealOperations(world.ring, None, None)
    made = encrypted(world.ring, world.client.secret.encryptor, world.ring.scale(0, 1))
    with pytest.raises(Rejected, match="rescaled to level 1 does not come to the scale there"):
        operations.rescale(made)


def test_seal_adds_in_place_only_what_it_owns(world: World) -> None:
    ring = world.ring
    operations = SealOperations(ring, None, None)
    a, b = (encrypted(ring, world.client.secret.encryptor, ring.scale(0)) for _ in "ab")
    kept = residues(ring, a), residues(ring, b)
    for sign in (1, -1):
        total = operations.add(a, b, sign, owned=False)
        assert total is not a
        assert np.array_equal(residues(ring, a), kept[0]) and np.array_equal(residues(ring, b), kept[1])
        primes = np.array(ring.primes(0), np.uint64)[:, None]
        expected = (kept[0] + (kept[1] if sign > 0 else primes - kept[1])) % primes
        assert np.array_equal(residues(ring, total), expected)
    again = operations.add(total, b, 1, owned=True)
    assert again is total and np.array_equal(residues(ring, again), kept[0])


def test_what_seal_calls_transparent_has_cancelled(world: World) -> None:
    operations = SealOperations(world.ring, None, None)
    a = encrypted(world.ring, world.client.secret.encryptor, world.ring.scale(0))
    for first, sign, owned in ((a, -1, False), (operations.negate(a), 1, True), (operations.negate(a), 1, False)):
        with pytest.raises(Cancelled) as found:
            operations.add(first, a, sign, owned=owned)
        assert found.value.rest is None
    kept = residues(world.ring, a)
    plain = world.ring.encode(np.arange(16.0), added=True)
    for owned in (False, True):
        with pytest.raises(Cancelled) as found:
            operations.add(operations.add_plain(a, plain, 1), a, -1, owned=owned)
        first, second = residues(world.ring, found.value.rest)
        assert np.array_equal(first, residues_of(world.ring, plain)) and not second.any()
        assert np.array_equal(residues(world.ring, operations.add(found.value.rest, a, 1, owned=False))[1], kept[1])
    other = encrypted(world.ring, world.client.secret.encryptor, 2 * world.ring.scale(0))
    with pytest.raises(ValueError, match="scale mismatch"):
        operations.add(a, other, 1, owned=False)


def test_products_of_seal_have_three_polynomials_until_they_are_relinearised() -> None:
    ring = Ring(PARAMETERS, SLOTS)
    maker, keys, galois = seal.KeyGenerator(ring.context), seal.RelinKeys(), seal.GaloisKeys()
    maker.create_relin_keys(keys)
    maker.create_galois_keys([3], galois)
    encryptor = seal.Encryptor(ring.context, maker.secret_key())
    decryptor = seal.Decryptor(ring.context, maker.secret_key())
    operations = SealOperations(ring, galois, keys)

    def value(cipher: Any) -> Any:
        plain = seal.Plaintext()
        decryptor.decrypt(cipher, plain)
        return np.array(ring.encoder.decode_complex(plain)[:SLOTS])

    a, b, other = (encrypted(ring, encryptor, ring.scale(0, n)) for n in (0, 0, 1))
    product = operations.multiply(a, b)
    assert product.size() == 3 and other.size() == 2
    total = operations.add(product, operations.multiply(a, a), 1, owned=False)
    for mixed in (
        operations.add(total, other, -1, owned=False),
        operations.add(operations.negate(other), total, 1, owned=True),
    ):
        assert mixed.size() == 3
        two = operations.relinearize(mixed)
        assert two.size() == 2 and mixed.size() == 3 and operations.relinearize(two) is two
        assert np.allclose(value(two), 2 * 1.5**2 - 1.5, atol=1e-6)
        assert np.allclose(value(operations.rescale(mixed)), 2 * 1.5**2 - 1.5, atol=1e-6)
    with pytest.raises(Rejected, match="before it is relinearised"):
        operations.multiply(product, a)
    with pytest.raises(Exception, match="size must be 2"):
        operations.rotate(product, 1)
    # what cancels but for a plaintext is of two polynomials
    for left, sign in ((None, -1), (ring.encode(2.0, 0, 1, added=True), -1)):
        minuend = product if left is None else operations.add_plain(product, left, 1)
        with pytest.raises(Cancelled) as found:
            operations.add(minuend, product, sign, owned=False)
        assert found.value.rest is None if left is None else found.value.rest.size() == 2
        if left is not None:
            assert np.allclose(value(operations.add(other, found.value.rest, 1, owned=False)), 3.5, atol=1e-6)
