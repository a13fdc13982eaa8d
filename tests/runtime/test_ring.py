"""A ring in SEAL: levels, scales and encoding."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
import tenseal.sealapi as seal

from slotlang_runtime.errors import Rejected
from slotlang_runtime.parameters import Parameters, RingParameters
from slotlang_runtime.seal import ring as rings
from slotlang_runtime.seal.ring import Context, Ring, context_of
from slotlang_runtime.seal.saved import saved

PARAMETERS = Parameters(8192, (60, 40, 40, 60), (40,), (1, 2))


@pytest.fixture(scope="module")
def ring() -> Ring:
    return Ring(PARAMETERS, 16)


def test_levels_are_those_of_seal(ring: Ring) -> None:
    assert [p.bit_length() for p in ring.moduli] == [60, 40, 40, 60]
    assert len(set(ring.moduli)) == 4 and all(p % (2 * 8192) == 1 for p in ring.moduli)
    assert len(ring.levels) == 3 and len({tuple(level) for level in ring.levels}) == 3
    for level, name in enumerate(ring.levels):
        data = ring.context.get_context_data(name)
        assert [m.value() for m in data.parms().coeff_modulus()] == ring.primes(level)
    assert ring.shared.key_level == ring.context.key_parms_id()
    assert (ring.copies, ring.degree) == (256, 8192)


def test_programs_of_a_ring_share_its_context() -> None:
    one = Ring(PARAMETERS, 16)
    two = Ring(Parameters(8192, (60, 40, 40, 60), (30,)), 64)
    assert one.shared is two.shared is context_of(RingParameters(8192, (60, 40, 40, 60)))
    assert Ring(Parameters(8192, (60, 40, 60), (30,)), 64).shared is not one.shared
    assert one.scale(0) != two.scale(0) and one.slots != two.slots


@pytest.mark.parametrize(("level", "products"), [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0)])
@pytest.mark.parametrize("added", [False, True])
def test_vectors_are_repeated_and_come_back(ring: Ring, level: int, products: int, added: bool) -> None:
    values = np.arange(16) - 3.5j
    plain = ring.encode(values, level, products, added)
    assert plain.parms_id() == ring.levels[level]
    assert plain.scale == (ring.scale(level, products) if added else ring.factor(level, products))
    assert np.abs(ring.decode(plain) - values).max() < 1e-5
    whole = np.array(ring.encoder.decode_complex(plain))
    assert np.abs(whole - np.tile(values, ring.copies)).max() < 1e-5
    assert ring.decode(plain).shape == (16,)


@pytest.mark.parametrize("value", [3, 3.0, np.int64(3), np.float32(3), [3] * 16, np.full(16, 3 + 0j), np.array(3.0)])
def test_one_number_in_all_slots_is_one_coefficient(ring: Ring, value: Any) -> None:
    """Whatever form it has: an int would be encoded without a scale, and a vector with rounding in every slot."""
    expected = seal.Plaintext()
    ring.encoder.encode(3.0, ring.levels[0], ring.factor(0), expected)
    assert saved(ring.encode(value)) == saved(expected)


def test_complex_numbers(ring: Ring) -> None:
    for value in (1j, 2 - 1j, np.full(16, 1j)):
        found = ring.decode(ring.encode(value))
        assert np.abs(found - value).max() < 1e-6


@pytest.mark.parametrize("value", [0, 0.0, -0.0, np.zeros(16), np.zeros(16, complex), 1e-30, np.full(16, 1e-30)])
def test_what_encodes_to_zero_is_nothing(ring: Ring, value: Any) -> None:
    assert ring.encode(value) is None


def test_a_zero_for_an_input(ring: Ring) -> None:
    zero = ring.zero()
    assert zero.is_zero() and zero.scale == ring.scale(0) and zero.parms_id() == ring.levels[0]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, [1.0] * 15 + [np.nan], complex(0, np.inf)])
def test_what_is_not_finite_is_rejected(ring: Ring, value: Any) -> None:
    with pytest.raises(Rejected, match="a vector to encode holds NaN or infinity"):
        ring.encode(value)


def test_what_is_too_large_is_rejected(ring: Ring) -> None:
    for value in (1e40, np.linspace(0, 1e40, 16)):
        with pytest.raises(Rejected, match=r"a vector to encode holds 1e\+40: too large here"):
            ring.encode(value)
    # what fits above may be too large below, where primes are gone
    assert ring.encode(1e20) is not None
    with pytest.raises(Rejected, match=r"holds 1e\+20: too large here"):
        ring.encode(1e20, 2)


def test_a_vector_of_another_length_is_an_error(ring: Ring) -> None:
    with pytest.raises(ValueError, match="broadcast"):
        ring.encode(np.arange(15))


@pytest.mark.parametrize(
    ("degree", "primes", "message"),
    [
        (4096, (60, 60), "below 128-bit security"),
        (8192, (15, 60), "SEAL has no such parameters"),
        (1024, (13, 14), "SEAL has no such parameters|invalid or below"),
    ],
)
def test_rings_that_can_not_be(degree: int, primes: tuple[int, ...], message: str) -> None:
    with pytest.raises(Rejected, match=message):
        Context(RingParameters(degree, primes))


def test_seal_has_the_last_word_on_security(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were our own table wrong, SEAL's would still be asked."""
    monkeypatch.setattr(RingParameters, "check", lambda self: None)
    with pytest.raises(Rejected, match="invalid or below 128-bit security"):
        Context(RingParameters(4096, (60, 60)))


def test_threads_may_ask_for_a_ring_at_once() -> None:
    rings.cached_context.cache_clear()
    found: list[Ring] = []
    threads = [threading.Thread(target=lambda: found.append(Ring(PARAMETERS, 16))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    plain = saved(found[0].encode(np.arange(16)))
    assert len(found) == 8 and all(saved(ring.encode(np.arange(16))) == plain for ring in found)
