"""Results without the last bits of their coefficients: what is sent, what comes back, and the noise that this adds."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache, partial
from typing import Any

import numpy as np
import pytest
from small_programs import LORA
from worlds import World, error

from slotlang import api
from slotlang.diagnostics import SlotError
from slotlang.planning.parameters import Parameters
from slotlang.planning.target import Target
from slotlang_runtime import Client, EvaluationKeys, Rejected, Server, Weights
from slotlang_runtime.cutting import bound, cut, half, restored, whole
from slotlang_runtime.errors import DAMAGED_BYTES
from slotlang_runtime.kernels import selftest
from slotlang_runtime.noise import cut_variance, cut_variances
from slotlang_runtime.parameters import Parameters as RuntimeParameters
from slotlang_runtime.ranges import check_range
from slotlang_runtime.records import CUT, HEAD, read_result, result_record
from slotlang_runtime.seal.coefficients import transformed, untransformed
from slotlang_runtime.seal.halves import doubled
from slotlang_runtime.seal.ring import Ring
from slotlang_runtime.wire import unpack

PRIMES = (40961, (1 << 30) - 35 * 8192 + 1, (1 << 60) - (1 << 18) + 1)

ONE = """program one(n = 512, slots = 512)
input x[n]
weight D[i < n, j < n] sparse where i == j
cipher X = x[slot]
plain W = D[slot, slot]
Y = X * W
output y[slot] = re Y
prove y == D @ x
"""

SMALL = ONE.replace("512", "8")


@pytest.mark.parametrize("bits", [0, 1, 5, 12])
@pytest.mark.parametrize("prime", PRIMES)
def test_a_coefficient_is_off_by_half_of_what_is_cut(prime: int, bits: int) -> None:
    rng = np.random.default_rng(bits)
    edges = [0, 1, prime // 2, prime - 1, prime - 2, (prime >> bits) << bits, (1 << bits) >> 1, (1 << bits) - 1]
    values = np.array([*edges, *rng.integers(0, prime, 1000)], np.uint64)
    sent = cut(values, prime, bits)
    assert int(sent.max()) < bound(prime, bits)
    assert bound(prime, bits) <= 1 << (prime.bit_length() - bits)
    back = restored(sent, bits)
    assert int(back.max()) < prime
    off = [(int(a) - int(b)) % prime for a, b in zip(values, back, strict=True)]
    assert max(min(n, prime - n) for n in off) <= (1 << bits) >> 1
    # as far off as that
    assert bits == 0 or max(min(n, prime - n) for n in off) >= (1 << bits) // 4


@pytest.mark.parametrize("bits", [1, 2, 3, 9])
def test_what_is_cut_off_is_nothing_in_the_mean(bits: int) -> None:
    """Of every residue below 2^12, each once. A mean would be a peak in the slots next to 1."""
    values = np.arange(1 << 12, dtype=np.uint64)
    off = values.astype(np.int64) - restored(cut(values, PRIMES[-1], bits), bits).astype(np.int64)
    assert off.sum() == 0 and float(np.mean(off**2)) == pytest.approx(cut_variance(bits))


def largest_share(draws: int, count: int, chance: float) -> float:
    """What part of the sum of ``draws * count`` independent exponential variables, ``draws`` for each slot, those
    of any slot exceed with a probability below ``chance``.

    The part of one slot is a beta variable of mean p = 1/count. By Chernoff it exceeds a with a probability of at most
    ``exp(-draws * count * (p ln(p/a) + (1 - p) ln((1 - p)/(1 - a))))``."""
    p, low, high = 1 / count, 1 / count, 1.0
    for _ in range(60):
        a = (low + high) / 2
        divergence = p * math.log(p / a) + (1 - p) * math.log((1 - p) / (1 - a))
        low, high = (low, a) if count * math.exp(-draws * count * divergence) < chance else (a, high)
    return high


def test_no_slot_has_more_noise_than_the_others() -> None:
    """With few bits of c1 cut off, halves are a large part of what is rounded. In a slot the error is the real part of
    e*s, of what is rounded and the secret key: both are complex normal numbers, and the size of that real part has an
    exponential distribution. Each run has keys and a ciphertext of its own, since a slot with a large s has more noise
    as long as the key is the same."""
    world, draws = World(SMALL, replace(CUTTING, cut=(0, 1)), hide="none"), 40
    sizes = np.zeros(8)
    for _ in range(draws):
        client = Client(world.module)
        keys = EvaluationKeys.from_bytes(client.evaluation_keys())
        found = client.decrypt(world.server.evaluate(client.encrypt(**world.inputs), keys).data)
        sizes += np.abs(found - world.expected())
    assert float(sizes.max() / sizes.sum()) < largest_share(draws, len(sizes), 1e-7)


@pytest.mark.parametrize("part", ["re", "im"])
def test_half_of_the_coefficients_say_the_rest(part: Any) -> None:
    prime, n = PRIMES[1], 64
    rng = np.random.default_rng(3)
    c0 = rng.integers(0, prime, n)
    # X to the power of k goes to that of -k, which is minus that of n - k
    conjugate = np.array([c0[0], *(-c0[:0:-1] % prime)])
    h = ((c0 + conjugate if part == "re" else c0 - conjugate) % prime).astype(np.uint64)[None]
    known = half(h, part)
    assert known.shape == (1, n // 2)
    assert np.array_equal(whole(known, prime, part), h)


@cache
def ring_of(cut_off: tuple[int, ...]) -> Ring:
    return Ring(RuntimeParameters(4096, (36, 37, 36), (30,), (1,), results=1, cut=cut_off), 2048)


def words(ring: Ring, seed: int = 0) -> Any:
    (prime,) = ring.primes(1)
    return np.random.default_rng(seed).integers(0, prime, (2, 1, ring.degree), np.uint64)


def test_seal_and_kernels_transform_alike() -> None:
    ring = ring_of((3, 2))
    own, polynomial = selftest.tested(ring), words(ring)[0]
    assert np.array_equal(untransformed(ring, polynomial, 1), own.untransformed(polynomial))
    assert np.array_equal(transformed(ring, polynomial, 1), own.transformed(polynomial))
    assert np.array_equal(transformed(ring, untransformed(ring, polynomial, 1), 1), polynomial)


@pytest.mark.parametrize("part", [None, "re", "im"])
@pytest.mark.parametrize("cut_off", [(0, 0), (9, 3), (28, 28)])
def test_what_comes_back(part: Any, cut_off: tuple[int, int]) -> None:
    ring = ring_of(cut_off)
    own, sent = selftest.tested(ring), words(ring, 5)
    record = result_record(ring, sent, 1, 0, part, lambda rows, _: own.untransformed(rows))
    assert record == result_record(ring, sent, 1, 0, part)
    counts = 4096 if part is None else 2048, 4096
    assert len(record) == HEAD.size + sum(n * (36 - bits) // 8 for n, bits in zip(counts, cut_off, strict=True))
    back = read_result(record, ring, 1, 0, part, lambda rows, _: own.transformed(rows))
    assert np.array_equal(back, read_result(record, ring, 1, 0, part))
    (prime,) = ring.primes(1)
    first = sent[0] if part is None else doubled(ring, sent[0], 1, part)
    for before, after, bits in zip((first, sent[1]), back, cut_off, strict=True):
        off = (own.untransformed(before).astype(object) - own.untransformed(after).astype(object)) % prime
        assert np.minimum(off, prime - off).max() <= (1 << bits) >> 1


def test_levels_with_more_primes_are_sent_whole() -> None:
    ring = ring_of((9, 3))
    residues = np.stack([words(ring)[:, 0], words(ring, 1)[:, 0]], axis=1)
    residues %= np.array(ring.primes(0), np.uint64)[:, None]
    assert np.array_equal(read_result(result_record(ring, residues, 0, 0, None), ring, 0, 0, None), residues)


def test_a_zero_that_stands_for_one_stays_hidden() -> None:
    """The pair (m, 1) is what is left where only a plaintext was added: without its last bits the 1 is 0, and m would
    be in the clear. One step of what is sent stands there instead."""
    ring = ring_of((9, 3))
    pair = words(ring)
    pair[1] = 1
    record = result_record(ring, pair, 1, 0, None)
    second = untransformed(ring, read_result(record, ring, 1, 0, None)[1], 1)
    assert second[0, 0] == 1 << 3 and not second[0, 1:].any()


def test_damaged_records_are_refused() -> None:
    ring = ring_of((9, 3))
    record = result_record(ring, words(ring), 1, 0, "re")

    def refused(data: bytes, other: Ring = ring, part: Any = "re") -> str:
        with pytest.raises(Rejected) as caught:
            read_result(data, other, 1, 0, part)
        assert caught.value.code == DAMAGED_BYTES
        return str(caught.value)

    mark = CUT["re"]
    assert record[:8] == mark + bytes([9, 3])
    for changed in (
        mark + bytes([9, 4]),
        mark + bytes([8, 3]),
        CUT["im"] + bytes([9, 3]),
        b"half re\0",
        b"whole\0\0\0",
    ):
        assert "has the mark" in refused(changed + record[8:])
    # of other numbers of bits, of another part, and of results that are sent whole
    assert "has the mark" in refused(record, ring_of((9, 4)))
    assert "has the mark" in refused(record, ring_of(()))
    assert "has the mark" in refused(record, part="im")
    for field in range(8, HEAD.size):
        refused(record[:field] + bytes([record[field] ^ 1]) + record[field + 1 :])
    for data in (record[:-1], record + b"\0", record[: HEAD.size], record[:20]):
        refused(data)
    # numbers beyond what a coefficient can be, in h and in c1
    body = record[HEAD.size :]
    for at in (0, 2048 * 27 // 8):
        beyond = body[:at] + b"\xff" * 8 + body[at + 8 :]
        assert "is not below its prime" in refused(record[: HEAD.size] + beyond)
    bare = body[: 2048 * 27 // 8] + bytes(4096 * 33 // 8)
    assert "is not encrypted" in refused(record[: HEAD.size] + bare)


CUTTING = Parameters(4096, (36, 37, 36), 30, (1,), (30, 29), results=1)


def deviation(world: World, keys: int) -> float:
    """The rms of the errors of so many requests. Each has keys of its own: a slot with a large s has more noise as long
    as the key is the same."""
    squares = []
    for _ in range(keys):
        client = Client(world.module)
        own = EvaluationKeys.from_bytes(client.evaluation_keys())
        found = client.decrypt(world.server.evaluate(client.encrypt(**world.inputs), own).data)
        squares.append(np.mean((found - world.expected()) ** 2))
    return float(np.sqrt(np.mean(squares)))


@pytest.mark.parametrize("hide", ["mask", "none"])
@pytest.mark.parametrize("cut_off", [(16, 0), (0, 10), (14, 8)], ids=["c0", "c1", "both"])
def test_noise_is_what_the_model_says(cut_off: tuple[int, int], hide: Any) -> None:
    """Of many slots at once: what is cut off is by far the largest noise here.

    Of c1 it is rounding times secret key, two complex normal numbers in a slot. The square of the real part of their
    product has a variance of 5 times its squared mean, so the rms of n slots is off by sqrt(5/n)/2 of itself: 0.05 for
    one request of 512, 0.008 for 40. A twentieth is beyond six such deviations."""
    world = World(ONE, replace(CUTTING, cut=cut_off), hide=hide)
    scale = world.ring.scale(1)
    # half of it lies in the part that is read
    expected = math.sqrt(4096 * sum(cut_variances(4096, cut_off, halved=hide == "mask")) / 2) / scale
    assert deviation(world, 40) == pytest.approx(expected, rel=0.05)
    assert world.plan.gains.expected(world.plan.parameters) * math.sqrt(
        world.plan.gains.signal / world.plan.gains.elements
    ) == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("kernel", ["seal", "compiled"])
@pytest.mark.parametrize("hide", ["mask", "exact", "none"])
@pytest.mark.parametrize(
    ("text", "parameters"),
    [
        (ONE, replace(CUTTING, cut=(9, 3))),
        (LORA, Parameters(4096, (36, 36, 37), 21, (2,), (21, 22, 18), results=1, cut=(7, 2))),
        (ONE, Parameters(4096, (54, 50), 20, (), (20, 20), cut=(14, 8))),
    ],
    ids=["product", "ranks", "one prime from the start"],
)
def test_results_are_right_and_as_large_as_predicted(text: str, parameters: Parameters, hide: Any, kernel: Any) -> None:
    world = World(text, parameters, hide=hide, kernel=kernel)
    assert error(world.result(), world.expected()) < 12 * max(world.plan.promise.error.values())
    records = [record for record in unpack("results", world.answer().data).records.values() if record]
    assert sum(len(record) - HEAD.size for record in records) == world.plan.download_bytes
    uncut = api.plan(world.program, replace(parameters, cut=()), target=Target(hide=hide))
    assert world.plan.download_bytes < uncut.download_bytes
    assert world.plan.gains.error(parameters) > uncut.gains.error(uncut.parameters)


def largest(world: World) -> float:
    """The largest number on the diagonal that ``encode`` takes."""
    low, high = 1.0, 2.0**40
    while high / low > 1 + 1e-9:
        middle = math.sqrt(low * high)
        try:
            check_range(world.module, {"D": middle * np.eye(8)})
            low = middle
        except Rejected:
            high = middle
    return low


def test_inputs_at_the_limit_are_right_and_beyond_it_refused() -> None:
    """With the largest weights that are taken, and so many bits cut off that they take a part of the room: 12
    deviations of 2^19 times what a division rounds, and half of 2^24, of a quarter of a prime of 36 bits."""
    text = SMALL.replace("cipher X", "bound |x| <= 1\ncipher X")
    world, uncut = (World(text, replace(CUTTING, cut=cut_off), hide="none") for cut_off in ((24, 19), ()))
    most = largest(world)
    taken = (12 * math.sqrt(4096 * 2 / 3 / 4) * 2**19 + 2**23) / 2**34
    assert most / largest(uncut) == pytest.approx(1 - taken, rel=1e-3)
    server = Server(Weights.encode(world.module, D=most * np.eye(8)))
    noise = 2**19 * math.sqrt(4096 / 12 * 4096 * 2 / 3) / world.ring.scale(1)
    assert 20 * noise < most
    for size in (1.0, -1.0):
        upload = world.client.encrypt(x=np.full(8, size))
        found = world.client.decrypt(server.evaluate(upload, world.keys).data)
        assert np.abs(found - size * most).max() < 6 * noise
    for refused in (
        lambda: world.client.encrypt(x=np.full(8, 1.01)),
        lambda: check_range(world.module, {"D": 1.01 * most * np.eye(8)}),
    ):
        with pytest.raises(Rejected) as caught:
            refused()
        assert caught.value.code in ("SL531", "SL532")


@pytest.mark.parametrize(
    "parameters",
    [
        replace(CUTTING, cut=(3,)),
        replace(CUTTING, cut=(3, 29)),
        Parameters(4096, (36, 37, 36), 30, (), (30, 29), cut=(3, 3)),
    ],
    ids=["one number", "too many bits", "two primes are left"],
)
def test_bits_that_can_not_be_cut_off(parameters: Parameters) -> None:
    with pytest.raises(SlotError) as refused:
        api.plan(api.loads(SMALL), parameters)
    assert [d.code for d in refused.value.diagnostics] == ["SL404"]
    own = RuntimeParameters(
        4096, parameters.primes, (30, 29), parameters.drops, results=parameters.results, cut=parameters.cut
    )
    with pytest.raises(Rejected, match="can't be cut off"):
        own.check(8)


def test_a_search_uses_what_precision_is_left() -> None:
    program = api.loads(LORA, {"d": 1024, "r": 4, "batch": 4, "slots": 1024})
    made = api.plan(program, target=Target(precision=1e-3))
    p = made.parameters
    assert p.cut and min(p.cut) >= 1
    # c1 keeps about 6 bits more: what is rounded of it is multiplied with the secret key
    assert 4 <= p.cut[0] - p.cut[1] <= 8
    error_with = partial(made.gains.error)
    assert error_with(p) <= 5e-4
    assert error_with(replace(p, cut=(p.cut[0], p.cut[1] + 1))) > 5e-4
    assert error_with(replace(p, cut=(p.cut[0] + 1, p.cut[1]))) > 5e-4
