"""The runtime's own encoder and decoder: what SEAL's makes, for many vectors at once."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import pytest
from worlds import PAIRS, World, error

from slotlang_runtime import Rejected, coding
from slotlang_runtime.coding import Coder
from slotlang_runtime.embedding import values
from slotlang_runtime.kernels.unavailable import Unavailable
from slotlang_runtime.parameters import Parameters
from slotlang_runtime.seal.memory import plaintext_of, residues_of
from slotlang_runtime.seal.ring import Ring

RINGS = [
    (Parameters(4096, (36, 36, 37), (20,)), 2048),
    (Parameters(4096, (36, 36, 37), (20,)), 1),
    (Parameters(4096, (54, 55), (30,)), 2),
    (Parameters(4096, (54, 55), (30,)), 4),
    (Parameters(4096, (54, 55), (30,)), 16),
    (Parameters(8192, (60, 50, 40, 60), (40,), drops=(1,)), 512),
    (Parameters(8192, (60, 60, 60), (115,)), 4096),
]


@pytest.fixture(params=RINGS, ids=str)
def ring(request: pytest.FixtureRequest) -> Ring:
    return Ring(*request.param)


@pytest.fixture
def coder(ring: Ring) -> Coder:
    made = Coder(ring)
    if made._own is None:
        pytest.skip("there are no kernels here")
    return made


def integers(coder: Coder, words: Any) -> Any:
    """Coefficients of a plaintext around 0, by the theorem of Chinese remainders in Python's integers."""
    assert coder._own is not None
    moduli = coder.ring.moduli[: len(words)]
    product = prod(moduli)
    rows = coder._own.untransformed(words).astype(object)
    total = sum(row * (product // p * pow(product // p, -1, p)) for row, p in zip(rows, moduli, strict=True)) % product
    return np.where(total > product // 2, total - product, total)


def drawn(ring: Ring) -> list[Any]:
    rng = np.random.default_rng(ring.slots)
    real = rng.standard_normal(ring.slots)
    numbers = [0.3, -1.7, 2.5 / 2**20, -2.5 / 2**20, 1 - 2j, 3j, 7, np.float64(-0.1)]
    return [real, real + 1j * real[::-1], 1j * real, real * 0 + 2, 0.0, real * 0, *numbers, real * 1e-9]


def test_encoded_as_seal_does(ring: Ring, coder: Coder) -> None:
    """Coefficients are the same integers, but where the last bit of a double decides."""
    for number, vector in enumerate(drawn(ring)):
        plain, words = ring.encode(vector, added=True), coder.encode(vector, added=True)
        assert (plain is None) == (words is None), number
        if plain is None or words is None:
            continue
        ours, theirs = integers(coder, words), integers(coder, residues_of(ring, plain))
        largest = float(np.abs(theirs).max())
        off = np.abs(ours - theirs).astype(np.float64)
        assert off.max() <= max(1.0, 2.0**-48 * largest), number
        if largest < 2.0**45:
            assert (off > 0).sum() <= 2, number


def test_encoded_by_the_definition(ring: Ring, coder: Coder) -> None:
    rng, scale = np.random.default_rng(1), ring.scale(0)
    vector = rng.standard_normal(ring.slots) + 1j * rng.standard_normal(ring.slots)
    words = coder.encode(vector, added=True)
    assert words is not None
    found = integers(coder, words).astype(np.float64) / scale
    assert not np.delete(found.reshape(-1, ring.degree // 2 // max(ring.slots, 4)), 0, axis=1).any()
    # each of the coefficients is rounded by at most a half
    slots = values(found)[: ring.slots]
    assert np.abs(slots - vector).max() <= ring.degree / 2 / scale + 2.0**-44


def test_many_at_once_are_those_one_by_one(ring: Ring, coder: Coder) -> None:
    vectors = drawn(ring)
    for one, vector in zip(coder.encode_all(vectors, added=True), vectors, strict=True):
        alone = coder.encode(vector, added=True)
        assert (one is None) == (alone is None) and (one is None or np.array_equal(one, alone))


def test_decoded_as_seal_does(ring: Ring, coder: Coder) -> None:
    scale = ring.scale(0)
    residues = [words for words in coder.encode_all(drawn(ring), added=True) if words is not None]
    slots, most = coder.decode_all(np.array(residues), 0, scale)
    for words, row, size in zip(residues, slots, most.tolist(), strict=True):
        expected = ring.decode_copies(plaintext_of(ring, words, 0, scale))
        assert np.abs(row - expected).max() <= 2.0**-44 * np.abs(expected).max()
        assert size == pytest.approx(float(np.abs(integers(coder, words)).max()), rel=1e-15)


def test_integers_of_any_size_are_decoded_to_the_last_bit_of_a_double(ring: Ring, coder: Coder) -> None:
    rng, moduli = np.random.default_rng(3), ring.primes(0)
    product = prod(moduli)
    sizes = rng.integers(0, product.bit_length() - 1, ring.degree)
    numbers = [int(rng.integers(1 << 62)) * (1 << 140) >> (202 - int(bits)) for bits in sizes]
    most = product // 2 - product // moduli[-1]
    numbers[:6] = 0, 1, -1, most, -most, -(moduli[0] // 3)
    numbers[6:] = [n * int(s) for n, s in zip(numbers[6:], rng.choice([-1, 1], ring.degree), strict=False)]
    rows = [np.array([n % p for n in numbers], np.uint64)[None] for p in moduli]
    found = coder._integers.centred(rows, moduli)[0]
    exact = np.array([float(n) for n in numbers])
    assert (np.abs(found - exact) <= 2.0**-51 * np.abs(exact)).all()


def test_levels_and_products(coder: Coder) -> None:
    ring = coder.ring
    vector = np.random.default_rng(5).standard_normal(ring.slots)
    for level in range(len(ring.scales)):
        for products, added in ((0, False), (0, True)):
            plain, words = ring.encode(vector, level, products, added), coder.encode(vector, level, products, added)
            assert words is not None and words.shape == (len(ring.primes(level)), ring.degree)
            off = np.abs(integers(coder, words) - integers(coder, residues_of(ring, plain))).astype(np.float64)
            assert off.max() <= max(1.0, ring.plaintext_scale(level, products, added) * 2.0**-45)


@pytest.mark.parametrize("sign", [1, -1])
def test_the_same_sizes_are_refused(ring: Ring, coder: Coder, sign: int) -> None:
    room = float(prod(ring.primes(0))) / ring.scale(0)
    real = np.zeros(ring.slots)
    real[0] = sign * ring.slots
    for factor in (0.2, 0.24, 0.26, 0.3, 0.49, 0.51, 1.0, 2.0**200):
        for vector in (sign * factor * room, real * factor * room, 1j * real * factor * room):
            refused = []
            for encode in (ring.encode, coder.encode):
                try:
                    encode(vector, added=True)
                except Rejected as problem:
                    refused.append(str(problem))
            assert len(refused) in (0, 2) and len(set(refused)) <= 1, (factor, refused)
    for bad in (np.nan, np.full(ring.slots, np.inf)):
        with pytest.raises(Rejected, match="NaN or infinity"):
            coder.encode(bad, added=True)


def test_without_kernels_seal_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(ring: Ring) -> Any:
        raise Unavailable("there are none")

    with monkeypatch.context() as patch:
        patch.setattr(coding, "tested", none)
        world = World(PAIRS)
        assert world.client.coder._own is None
        upload = world.upload
        assert error(world.result(), world.expected()) < 1e-2
    other = World(PAIRS, secret=world.client.secret)
    assert error(other.result(upload), other.expected()) < 1e-2
    ring = Ring(*RINGS[0])
    vectors = drawn(ring)
    with monkeypatch.context() as patch:
        patch.setattr(coding, "tested", none)
        by_seal = Coder(ring)
        residues = [words for words in by_seal.encode_all(vectors, added=True) if words is not None]
        theirs = by_seal.decode_all(np.array(residues), 0, ring.scale(0))
    ours = Coder(ring).decode_all(np.array(residues), 0, ring.scale(0))
    assert np.abs(ours[0] - theirs[0]).max() < 1e-12
    assert np.abs(ours[1] / theirs[1] - 1).max() < 1e-9
