"""Transforms with twice the digits of a double, by kernels and by numpy; results beside large masks either way."""

from __future__ import annotations

from math import prod, sqrt
from types import SimpleNamespace

import mpmath
import numpy as np
import pytest
import worlds

from slotlang import api
from slotlang.diagnostics import SlotError
from slotlang.planning.planner import FIXED_ERROR
from slotlang.planning.target import Target
from slotlang.run.runner import load_module
from slotlang.source import Source
from slotlang.validation.check import check_module
from slotlang_runtime import Client, EvaluationKeys, SecretKey, Server, Weights, precise
from slotlang_runtime.coding import Coder
from slotlang_runtime.parameters import Parameters
from slotlang_runtime.seal.ring import Ring


@pytest.fixture
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Transforms by kernels, where there are any, or by numpy."""
    chosen: str = request.param
    if chosen == "numpy":
        monkeypatch.setattr(precise, "_kernels", lambda: None)
    elif precise._kernels() is None:
        pytest.skip("no kernels here")
    return chosen


def complex_numbers(count: int, seed: int) -> precise._Complex:
    rng = np.random.default_rng(seed)
    parts = rng.uniform(-1, 1, (4, count)) * np.array([1.0, 2.0**-54, 1.0, 2.0**-54])[:, None]
    return precise._Complex(precise.Two(*parts[:2]), precise.Two(*parts[2:]))


def exactly(x: precise._Complex) -> list[mpmath.mpc]:
    parts = [[mpmath.mpf(h) + mpmath.mpf(low) for h, low in zip(*part, strict=True)] for part in x]
    return [mpmath.mpc(re, im) for re, im in zip(*parts, strict=True)]


@pytest.mark.parametrize("way", ["kernels", "numpy"], indirect=True)
@pytest.mark.parametrize("count", [32, 64, 128])
def test_a_transform_is_its_definition(way: str, count: int) -> None:
    """Of all digits that two doubles have, but ten bits. 128 numbers are 8 rows of 16."""
    x = complex_numbers(count, count)
    with mpmath.workdps(60):
        given, found = exactly(x), exactly(precise._transformed(x, count))
        roots = [mpmath.expjpi(mpmath.mpf(-2 * k) / count) for k in range(count)]
        for k, value in enumerate(found):
            right = mpmath.fsum(given[j] * roots[j * k % count] for j in range(count))
            assert abs(value - right) < mpmath.mpf(2) ** -96 * sqrt(count)
        for k, value in enumerate(exactly(precise._turned(x, count))):
            assert abs(value - given[k] * mpmath.expjpi(mpmath.mpf(-k) / (2 * count))) < mpmath.mpf(2) ** -96


def test_kernels_agree_with_numpy_at_the_degrees_of_rings() -> None:
    if precise._kernels() is None:
        pytest.skip("no kernels here")
    for count in (2048, 4096):
        x = complex_numbers(count, count)
        one, other = precise._transformed(x, count), precise._by_numpy(x, count)
        for part, same in zip(one, other, strict=True):
            off = (part.high - same.high) + (part.low - same.low)
            assert np.abs(off).max() < 2.0**-94 * sqrt(count)


def test_wrong_kernels_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """As ``columns`` that leave numbers as they are."""
    if (right := precise._kernels()) is None:
        pytest.skip("no kernels here")
    wrong = SimpleNamespace(turned=right.turned, columns=lambda *words: None)
    monkeypatch.setattr(precise, "kernels", lambda kind: wrong)
    assert precise._kernels.__wrapped__() is None
    monkeypatch.setattr(precise, "kernels", lambda kind: right)
    assert precise._kernels.__wrapped__() is right


def test_digits_of_mixed_radix_are_exact() -> None:
    """Up to the 106 bits of two doubles, around 0 and far from it."""
    moduli = (1 << 52) - 47, (1 << 53) - 111
    most = prod(moduli)
    numbers = [0, 1, -1, most // 3, -(most // 3), 3 << 90, -(5 << 80) - 7, moduli[0], -moduli[0] - 1]
    digits = [[n % moduli[0] for n in numbers], [n % most // moduli[0] for n in numbers]]
    found = precise.from_digits([np.array(d, np.uint64) for d in digits], moduli)
    assert precise.to_integers(found) == numbers
    assert precise.to_integers(precise.from_integers(numbers)) == numbers


@pytest.mark.parametrize("bits", [(60, 60, 60), (40, 40, 29)])
def test_coders_with_and_without_kernels_agree(bits: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """On masks as large as the modulus has room for, beside zeros; of what is decoded too."""
    degree = 8192 if max(bits) > 50 else 4096
    ring = Ring(Parameters(degree, bits, (10,)), degree // 2)
    rng, scale = np.random.default_rng(0), 2.0**20
    # beyond 2^60 two doubles round too
    size = 2.0 ** min(sum(bits[:-1]) - 20 - 3, 60)
    values = size * (rng.uniform(-1, 1, degree // 2) + 1j * rng.uniform(-1, 1, degree // 2))
    values[::2] = 0
    coder, plain = Coder(ring), Coder(ring)
    plain._own = None
    words = coder.encode_precisely(values, 0, scale)
    found, most = coder.decode_precisely(words, 0, scale)
    with monkeypatch.context() as patch:
        patch.setattr(precise, "_kernels", lambda: None)
        assert np.array_equal(plain.encode_precisely(values, 0, scale), words)
        other, largest = plain.decode_precisely(words, 0, scale)
    # rounding to integers, and what two doubles lose: nothing near what doubles would
    zeros = np.abs(found[::2]).max()
    assert zeros < sqrt(degree) / scale + size * 2.0**-90
    assert np.abs(found - other).max() < size * 2.0**-50
    assert np.abs(found[::2] - other[::2]).max() < size * 2.0**-90
    assert np.abs(found - values).max() < size * 2.0**-50 and most == pytest.approx(largest, rel=2.0**-50)


ROW = """program row(m = 4, d = 16)
input  x[d]
weight M[m, d]
axes (h < d)
cipher X = x[h]
plain  W[i < m] = M[i, h]
P[i < m] = X * W[i]
S[i < m] = sum f < d by doubling: P[i] << f
output y[i] = S[i] where h == 0
prove  y == M @ x
"""
"""One slot of sixteen is read."""


def test_the_fixed_choice_is_in_doubles_and_promises_what_they_lose() -> None:
    """A precision that needs more than doubles has more, with a better promise; masks that doubles would show by more
    than the fixed choice may are encoded with twice the digits."""
    fixed = api.lower(api.loads(ROW))
    asked = api.lower(api.loads(ROW), target=Target(precision=1e-9))
    given = api.lower(api.loads(ROW), fixed.plan.parameters)
    assert fixed.plan.hiding.bits["S"] > 16
    assert ["precise=True" in made.text for made in (fixed, asked, given)] == [False, True, True]
    errors = [made.plan.promise.relative_error for made in (fixed, asked, given)]
    assert errors[1] <= 1e-9 and 10 * errors[2] < errors[0] <= FIXED_ERROR
    for made in (fixed, asked, given):
        assert check_module(Source("m.py", made.text)).report.proved
    # in doubles masks of the same size would show more than that
    large = ROW.replace("axes", "bound |M| <= 100\nbound norm(x) <= 1000\naxes")
    many = api.plan(api.loads(large))
    assert many.hiding.bits["S"] >= 33 and many.hiding.precise
    assert many.promise.relative_error <= FIXED_ERROR
    # and the promise of doubles can't be had without them
    edited = given.text.replace(', "precise": True', "").replace(", precise=True", "")
    with pytest.raises(SlotError, match="SL745"):
        check_module(Source("m.py", edited))


@pytest.mark.filterwarnings("ignore::slotlang_runtime.BelowPrecision")
@pytest.mark.parametrize("precision", [None, 1e-9])
def test_results_are_within_the_promise_at_the_limit(precision: float | None) -> None:
    """Of inputs of unit variance the rms error, in doubles and with twice the digits; of inputs at their limit, along a
    row of the weights, the error relative to the result."""
    made = api.lower(api.loads(ROW), target=Target(precision=precision))
    module, rng = load_module(made.text), np.random.default_rng(5)
    assert module.sent["S"].precise == (precision is not None)
    secret = SecretKey(module.parameters.ring)
    client, keys = Client(module, secret), EvaluationKeys.from_bytes(secret.evaluation_keys(module))
    weights = rng.standard_normal((4, 16)) / 4
    server = Server(Weights.encode(module, M=weights))

    def error(x: np.ndarray) -> np.ndarray:
        return np.asarray(client.decrypt(server.evaluate(client.encrypt(x=x), keys).data)) - weights @ x

    off = [error(rng.standard_normal(16)) for _ in range(4)]
    rms = float(np.sqrt(np.mean(np.abs(off) ** 2)))
    assert rms < module.error["y"]
    if precision is None:
        # masks in doubles show, by more than noise: the promise has to count them
        assert rms > 10 * api.plan(api.loads(ROW), made.plan.parameters).promise.error["y"]
    limit = module.limits["x"].norm
    assert limit
    row = weights[0] / np.linalg.norm(weights[0]) * limit * (1 - 1e-9)
    size = float(np.sqrt(np.mean(np.square(weights @ row))))
    assert np.sqrt(np.mean(np.abs(error(row)) ** 2)) < made.plan.promise.relative_error * size


MIXED = (
    ROW.replace("program row", "program mixed")
    .replace("weight M[m, d]", "weight M[m, d], v[d]")
    .replace("P[i < m]", "plain V = v[h]\nQ = X * V\nP[i < m]")
    .replace("prove", "output z[h] = Q\nprove")
    + "prove z[i < d] == v[i] * x[i]\n"
)


def test_families_beside_each_other_are_decoded_each_in_its_own_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Results at one level, of which some have masks."""
    world = worlds.World(MIXED, api.plan(api.loads(MIXED)).parameters)
    assert [world.module.sent[name].precise for name in ("S", "Q")] == [True, False]
    seen: list[int] = []
    decode = Coder.decode_precisely
    monkeypatch.setattr(Coder, "decode_precisely", lambda self, *given: (seen.append(1), decode(self, *given))[1])
    found, right = world.result(), world.expected()
    assert len(seen) == 4
    for name in ("y", "z"):
        assert np.abs(found[name] - right[name]).max() < 1e-8
