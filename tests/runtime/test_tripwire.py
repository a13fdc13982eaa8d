"""The tripwire of decryption: what it looks at, a wrap that it sees, and one that it misses."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import pytest
import tenseal.sealapi as seal
from worlds import PAIRS, World, error, layer

from slotlang_runtime import Rejected, Server, Weights
from slotlang_runtime.embedding import largest_coefficient
from slotlang_runtime.ranges import Ranges


def embedded(coefficients: Any) -> Any:
    """The slots of a real polynomial, from the definition: slot j is the value at the root with exponent 3^j."""
    degree = len(coefficients)
    root = np.exp(1j * np.pi / degree)
    points = [root ** pow(3, j, 2 * degree) for j in range(degree // 2)]
    return np.array([sum(c * point**k for k, c in enumerate(coefficients)) for point in points])


@pytest.mark.parametrize("degree", [2, 4, 16, 64])
def test_the_largest_coefficient(degree: int) -> None:
    rng = np.random.default_rng(degree)
    for _ in range(20):
        coefficients = rng.standard_normal(degree) * 10.0 ** rng.integers(-3, 12)
        assert largest_coefficient(embedded(coefficients)) == pytest.approx(np.abs(coefficients).max())
    for place in range(degree):
        one = np.zeros(degree)
        one[place] = -5.0
        assert largest_coefficient(embedded(one)) == pytest.approx(5.0)
        assert largest_coefficient(embedded(one) * 1e200) == pytest.approx(5e200)
    assert largest_coefficient(np.zeros(degree // 2)) == 0
    # equal slots are one coefficient; equal imaginary parts are many, or the one in the middle
    assert largest_coefficient(np.full(degree // 2, 3.0)) == pytest.approx(3.0)


@pytest.mark.parametrize("place", [0, 1, 2, 777, 4095])
def test_slots_are_in_the_order_of_seal(place: int) -> None:
    """A monomial of 0.7 times the modulus comes back as -0.3 of it, if SEAL sees the same monomial in these slots."""
    here = World(PAIRS)
    ring, secret = here.ring, here.client.secret
    degree, scale, modulus = ring.degree, ring.scale(0), float(prod(ring.primes(0)))
    points = np.exp(1j * np.pi / degree * np.array([pow(3, j, 2 * degree) * place % (2 * degree) for j in range(2048)]))
    plain, cipher = seal.Plaintext(), seal.Ciphertext()
    ring.encoder.encode((0.7 / 8 * modulus / scale * points).tolist(), ring.levels[0], scale, plain)
    secret.encryptor.encrypt_symmetric(plain, cipher)
    for _ in range(3):
        twice = seal.Ciphertext()
        seal.Evaluator(ring.context).add(cipher, cipher, twice)
        cipher = twice
    secret.decryptor.decrypt(cipher, plain)
    found = ring.decode_copies(plain)
    assert np.abs(found / (modulus / scale) + 0.3 * points).max() < 1e-6
    assert largest_coefficient(found) * scale / modulus == pytest.approx(0.3)


def unchecked(world: World, weights: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> World:
    """The world with weights that nobody has checked: as an owner who does not run ``Weights.encode`` has them."""
    with pytest.raises(Rejected) as refused:
        Weights.encode(world.module, **weights)
    assert refused.value.code == "SL532"
    monkeypatch.setattr("slotlang_runtime.weights.check_range", lambda *_: Ranges((), {}, {}, {}))
    world.weights, world.server = weights, Server(Weights.encode(world.module, **weights))
    return world


@pytest.mark.parametrize("bits", [14, 18, 22, 26])
def test_a_message_that_wraps_is_seen(bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the modulus the coefficients of different slots are all over it."""
    here = World(PAIRS)
    unchecked(here, {**here.weights, "A": here.weights["A"] * 2.0**bits}, monkeypatch)
    with pytest.raises(
        Rejected, match=r"the result Y has a coefficient of 2\^7\d.\d; the guarantee allows 2\^70.0: these are not"
    ) as refused:
        here.result()
    assert refused.value.code == "SL533"


@pytest.mark.parametrize(
    ("size", "found"),
    [
        (0.2, 0.2),  # larger than the guarantee allows, since the limit is larger than this x
        (0.3, None),
        (0.45, None),
        (0.7, None),
        (1.0, 0.0),  # the miss: right would be the modulus itself
        (1.2, 0.2),
        (1.4, None),
        (2.0, 0.0),
    ],
)
def test_equal_slots_can_wrap_unseen(size: float, found: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """All slots equal make one coefficient, here ``size`` times the modulus: it can wrap to about 0."""
    here = World(layer("q", 1).replace("slots = 16", "slots = 8"), hide="none")
    (family,) = here.module.returned().values()
    whole = prod(here.ring.primes(family.level)) / here.ring.scale(family.level, family.products)
    x = np.ones(8)
    weights = {"Wq": np.full((1, 8), size * whole / 8)}
    unchecked(here, weights, monkeypatch)
    upload = here.client.encrypt(x=x)
    if found is None:
        with pytest.raises(Rejected) as refused:
            here.result(upload)
        assert refused.value.code == "SL533"
    else:
        assert np.abs(here.result(upload) / whole - found).max() < 1e-2
        assert here.expected(x=x)[0] == pytest.approx(size * whole)


def test_results_at_the_limit_pass() -> None:
    """The largest input in the direction of a row of the largest weights."""
    here = World(PAIRS)
    product = here.weights["A"] @ here.weights["B"]
    size = 1.0
    while True:
        weights = {**here.weights, "A": here.weights["A"] * size}
        try:
            encoded = Weights.encode(here.module, **weights)
        except Rejected:
            break
        here.weights, here.server, size = weights, Server(encoded), size * 1.1
    assert size > 1
    row = product[np.argmax((product**2).sum(axis=1))]
    for sign in (1, -1):
        x = here.module.limits["x"].fitted(1e6 * sign * row)
        expected = here.expected(x=x)
        assert error(here.result(here.client.encrypt(x=x)), expected) < 1e-2 * np.abs(expected).max()
