"""Weights in their compact form: the same residues and the same results, bit for bit, in less memory."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import pytest
from exact_residues import residue_ring
from repository import ROOT
from worlds import PAIRS, SUMS, World

from slotlang.planning.parameters import Parameters
from slotlang_runtime import Client, Rejected, Server, Weights
from slotlang_runtime.kernels.compact import Compact, compacted, expanded
from slotlang_runtime.kernels.residues import Plaintext, ResidueRing
from slotlang_runtime.kernels.tables import MOST_BITS

KINDS = {"doubles": (50, 40, 50), "words": (60, 40, 60)}
REAL = """program products(n = 32, slots = 32)
input x[n]
weight w[n, n], b[n]
axes (h < n)
cipher X = x[h]
plain W[q < n] = w[h, (h + q) % n]
plain V = b[h]
Y = (sum q < n: (X << q) * W[q]) + V
output y[h] = Y
prove y == w @ x + b
"""
"""Real weights, more than are expanded at a time, and a plaintext that is added."""

PARAMETERS = {
    "doubles, 4096": Parameters(4096, (36, 36, 37), 20),
    "doubles, 8192": Parameters(8192, (50, 40, 40, 50), 38),
    "words, 8192": Parameters(8192, (60, 40, 40, 60), 40),
}


def coefficients(degree: int, bits: int, real: bool) -> Any:
    """Integers up to the largest and the smallest of so many bits."""
    half = 1 << (bits - 1)
    found = np.random.default_rng(bits).integers(-half, half, degree)
    found[:3] = [-half, half - 1, 0]
    if real:
        # of a polynomial that X -> 1/X leaves as it is
        found[0] = half - 1
        found = np.maximum(found, 1 - half)
        found[degree // 2], found[degree // 2 + 1 :] = 0, -found[1 : degree // 2][::-1]
    return found


def plaintext(ring: ResidueRing, integers: Any, level: int = 0, added: bool = False) -> Plaintext:
    moduli = ring.ring.moduli[: ring.primes(level)]
    words = np.array([[number % p for number in integers.tolist()] for p in moduli], np.uint64)
    return ring.plaintext(ring.transformed(words), level, 1.0, added)


@pytest.mark.parametrize("added", [False, True])
@pytest.mark.parametrize(("degree", "kind"), list(product([4096, 8192, 16384], KINDS)))
def test_expanded_residues_are_those_of_the_transform(degree: int, kind: str, added: bool) -> None:
    ring = residue_ring(degree, KINDS[kind])
    for bits, real, level in [(2, False, 0), (17, True, 0), (22, False, 1), (39, True, 0), (48, False, 0)]:
        plain = plaintext(ring, coefficients(degree, bits, real), level, added)
        made = compacted(ring, plain, added)
        assert isinstance(made, Compact) and (made.half, made.added) == (real, added)
        # with one prime, of 50 bits or more, all that is known of a coefficient is what is around 0
        assert made.bits == bits
        size = bits * (degree // 2 if real else degree) // 8
        assert size < made.size(degree) == size + 64 <= made.memory.nbytes <= size + 128
        again = ring.plaintext_words(expanded(ring, made), added)
        assert np.array_equal(again, ring.plaintext_words(plain, added))


@pytest.mark.parametrize("kind", KINDS)
def test_coefficients_beyond_one_prime_and_beyond_all(kind: str) -> None:
    """Those that kernels can't expand stay residues."""
    ring, most = residue_ring(4096, KINDS[kind]), MOST_BITS[kind]
    for bits in (most, most + 1):
        plain = plaintext(ring, coefficients(4096, bits, False))
        made = compacted(ring, plain, False)
        assert isinstance(made, Compact) == (bits <= most)
        assert made is plain or np.array_equal(
            ring.plaintext_words(expanded(ring, made), False),  # type: ignore[arg-type]
            ring.plaintext_words(plain, False),
        )
    moduli, rng = ring.ring.moduli[:2], np.random.default_rng(0)
    words = np.array([rng.integers(0, p, 4096, np.uint64) for p in moduli])
    assert isinstance(compacted(ring, ring.plaintext(words, 0, 1.0, False), False), Plaintext)


@cache
def world(text: str, parameters: str) -> World:
    return World(text, PARAMETERS[parameters], hide="none", kernel="compiled")


@pytest.mark.parametrize("parameters", PARAMETERS)
@pytest.mark.parametrize("text", [REAL, PAIRS], ids=["real", "complex"])
def test_results_are_the_same(text: str, parameters: str) -> None:
    here = world(text, parameters)
    assert not here.encoded.note
    compact = here.encoded.compact()
    forms = {getattr(p, "half", None) for p in compact.engine.plain.values()}  # type: ignore[attr-defined]
    # an added plaintext has the scale of products, which may be too large for kernels
    assert forms - {None} == {text == REAL}
    answer, other = here.answer(), Server(compact).evaluate(here.upload, here.keys)
    assert other.data == answer.data and other.counts == answer.counts
    assert compact.to_bytes() == here.encoded.to_bytes() == compact.expanded().to_bytes()
    assert Server(compact.expanded()).evaluate(here.upload, here.keys).data == answer.data
    # and with helpers
    team: Any = compact.engine.team()
    with ThreadPoolExecutor(1) as pool:
        helping = pool.submit(lambda: [None for _ in range(10_000) if team.help()])
        assert Server(compact).evaluate(here.upload, here.keys, team).data == answer.data
        team.leave()
        helping.result()


def test_a_program_of_real_size() -> None:
    text = (ROOT / "programs/rank_complex.slot").read_text()
    here = World(text, Parameters(8192, (40, 40, 40, 40), 25), hide="none")
    compact = here.encoded.compact()
    assert Server(compact).evaluate(here.upload, here.keys).data == here.answer().data
    # complex weights of about 20 bits, where residues take 192
    assert here.encoded.memory_bytes / compact.memory_bytes > 5


def test_threads_expand_at_once() -> None:
    here = world(PAIRS, "doubles, 4096")
    server = Server(here.encoded.compact())
    uploads = [here.client.encrypt(x=here.inputs["x"] * number) for number in (1, 2, 3, 4)]
    want = [here.server.evaluate(upload, here.keys).data for upload in uploads]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda upload: server.evaluate(upload, here.keys).data, uploads * 3))
    assert found == want * 3


def test_memory_is_that_of_the_arrays() -> None:
    here = world(REAL, "doubles, 4096")
    compact = here.encoded.compact()
    plain: Any = here.encoded.engine.plain  # type: ignore[attr-defined]
    held: Any = compact.engine.plain  # type: ignore[attr-defined]
    whole = sum(p.rows.memory.nbytes for p in plain.values())
    small = sum(p.memory.nbytes for p in held.values())
    # rows and streams begin with a line of the cache
    assert whole - 64 * len(plain) == here.encoded.memory_bytes == here.encoded.expanded_bytes == compact.expanded_bytes
    assert small - 64 * len(held) == compact.memory_bytes
    assert compact.expanded().memory_bytes == here.encoded.memory_bytes
    # half of the coefficients, of at most 23 bits, where residues take 8 bytes modulo each of two primes
    assert here.encoded.memory_bytes / compact.memory_bytes > 2 * 64 / 12
    # expanded weights that are given up leave nothing in the ring, which compact ones go on using
    encoded = Weights.encode(here.module, **here.weights)
    kept = encoded.compact()
    del encoded
    rooms: Any = kept.engine.ring._free  # type: ignore[attr-defined]
    assert sum(memory.nbytes for free in rooms.values() for memory, _ in free) < 4 * 8 * 2 * 4200


@pytest.mark.parametrize("kernel", ["seal", "matrix"])
def test_other_kernels_have_one_form(kernel: Any) -> None:
    encoded = World(SUMS, kernel=kernel).encoded
    assert encoded.compact() is encoded is encoded.expanded()
    assert encoded.memory_bytes == encoded.expanded_bytes > 0


def test_damaged_weights_are_refused_before_they_are_compact() -> None:
    here = world(REAL, "doubles, 4096")
    data = bytearray(here.encoded.to_bytes())
    data[len(data) // 2] ^= 1
    with pytest.raises(Rejected):
        Weights.from_bytes(here.module, bytes(data)).compact()


def test_the_label_stays() -> None:
    here = world(REAL, "doubles, 4096")
    compact = here.encoded.compact()
    assert (compact.ranges, compact.grown, compact.lost) == (here.encoded.ranges, here.encoded.grown, here.encoded.lost)
    assert compact.compact().to_bytes() == compact.to_bytes() and compact.module is here.module
    client = Client(here.module, here.client.secret)
    assert client.decrypt(Server(compact).evaluate(here.upload, here.keys).data).shape == here.result().shape
