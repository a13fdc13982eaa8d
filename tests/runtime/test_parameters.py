"""Parameters: what is refused before any key is made, and the scales of every level."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from slotlang.planning import parameters as planned
from slotlang_runtime.errors import Rejected
from slotlang_runtime.parameters import MAX_MODULUS_BITS, Levels, Parameters, RingParameters

GOOD = Parameters(
    8192, (60, 40, 40, 60), (40,), (1, 2), (1, 4, 5), {6: (5, 1), 9: (4, 5)}, conjugation=True, relinearization=True
)


def test_good_parameters_are_taken() -> None:
    GOOD.check(16)
    GOOD.check(4096)
    replace(GOOD, routes={}).check(1)
    for degree, limit in MAX_MODULUS_BITS.items():
        if limit >= 54:
            RingParameters(degree, (limit - limit // 2, limit // 2) if limit < 121 else (60, 60)).check()
    Parameters(8192, (60, 60), (36,)).check(4096)


def test_limits_are_those_of_the_standard_and_of_the_compiler() -> None:
    # homomorphicencryption.org, table 1, ternary secrets, 128 bits
    assert MAX_MODULUS_BITS == {1024: 27, 2048: 54, 4096: 109, 8192: 218, 16384: 438, 32768: 881}
    assert planned.MAX_MODULUS_BITS == MAX_MODULUS_BITS


@pytest.mark.parametrize(
    ("degree", "primes", "message"),
    [
        (4096, (36, 36, 38), "110 bits of modulus at degree 4096 are below 128-bit security; the limit is 109"),
        (2048, (27, 28), "55 bits of modulus at degree 2048 are below 128-bit security; the limit is 54"),
        (8192, (60, 60, 60, 39), "219 bits of modulus at degree 8192 are below 128-bit security; the limit is 218"),
        (4095, (36, 36), "there is no ring of degree 4095; degrees are 1024, 2048, 4096, 8192, 16384, 32768"),
        (65536, (36, 36), "there is no ring of degree 65536"),
        (4096.0, (36, 36), "there is no ring of degree 4096.0"),
        (True, (36, 36), "there is no ring of degree True"),
        (4096, (36,), "prime_bits are two or more sizes of primes up to 60 bits, not (36,)"),
        (4096, (), "prime_bits are two or more sizes of primes up to 60 bits, not ()"),
        (4096, [36, 36], "prime_bits are two or more sizes of primes up to 60 bits, not [36, 36]"),
        (8192, (61, 60), "prime_bits are two or more"),
        (4096, (36, 1), "prime_bits are two or more"),
        (4096, (36, -36), "prime_bits are two or more"),
        (4096, (36, 36.0), "prime_bits are two or more"),
        (4096, (36, True), "prime_bits are two or more"),
    ],
)
def test_rings_that_do_not_exist(degree: Any, primes: Any, message: str) -> None:
    with pytest.raises(Rejected) as refused:
        RingParameters(degree, primes).check()
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize(
    ("changes", "slots", "message"),
    [
        ({"prime_bits": (60, 60, 60, 60)}, 16, "below 128-bit security"),
        ({}, 0, "no ring of degree 8192 with 0 slots"),
        ({}, 8192, "no ring of degree 8192 with 8,192 slots"),
        ({}, 12, "no ring of degree 8192 with 12 slots"),
        ({}, 16.0, "no ring of degree 8192 with 16.0 slots"),
        ({}, True, "no ring of degree 8192 with 1 slot"),
        ({"scale_bits": ()}, 16, r"scale_bits \(\) do not fit the primes"),
        ({"scale_bits": (0,)}, 16, "scale_bits"),
        ({"scale_bits": (200,)}, 16, "scale_bits"),
        ({"scale_bits": (40.0,)}, 16, "scale_bits"),
        ({"drops": (1, 2, 3)}, 16, r"drops \(1, 2, 3\) do not fit 3 primes of data"),
        ({"drops": (-1,)}, 16, "drops"),
        ({"drops": (1.5,)}, 16, "drops"),
        ({"rotations": (0, 1, 4, 5)}, 16, "rotations, or a way of hiding, that do not exist"),
        ({"rotations": (4096, 1, 4, 5)}, 16, "rotations, or a way of hiding, that do not exist"),
        ({"rotations": ("1", 4, 5)}, 16, "rotations, or a way of hiding, that do not exist"),
        ({"hide": "no"}, 16, "rotations, or a way of hiding, that do not exist"),
        ({"routes": {5: (4, 1)}}, 16, "rotation by 5 has a key, or is composed of some that have none"),
        ({"routes": {6: (3, 3)}}, 16, "rotation by 6 has a key, or is composed of some that have none"),
        ({"routes": {6: (4, 1)}}, 16, r"rotations by \(4, 1\) do not make one by 6"),
        ({"routes": {6: ()}}, 16, r"rotations by \(\) do not make one by 6"),
    ],
)
def test_parameters_that_no_compiler_writes(changes: dict[str, Any], slots: Any, message: str) -> None:
    with pytest.raises(Rejected, match=message):
        replace(GOOD, **changes).check(slots)


def test_routes_go_around() -> None:
    replace(GOOD, rotations=(12, 10), routes={6: (12, 10)}).check(16)
    with pytest.raises(Rejected, match="do not make one by 6"):
        replace(GOOD, rotations=(12, 10), routes={6: (12, 10)}).check(32)


def test_galois_elements() -> None:
    """Powers of 3, as SEAL rotates; the conjugation's is -1."""
    assert GOOD.galois_elements == tuple(sorted([3, 81, 243, 16383]))
    assert replace(GOOD, conjugation=False).galois_elements == (3, 81, 243)
    assert replace(GOOD, rotations=(9,), conjugation=False).galois_elements == (pow(3, 9) % 16384,)
    assert replace(GOOD, rotations=(), conjugation=False).galois_elements == ()
    assert all(type(e) is int for e in GOOD.galois_elements)
    assert GOOD.ring == RingParameters(8192, (60, 40, 40, 60))
    assert str(GOOD.ring) == "degree 8192 with primes of 60, 40, 40, 60 bits"


# levels

MODULI = [97, 89, 83, 101]


def test_scales_without_a_rescale() -> None:
    levels = Levels(Parameters(8192, (60, 60, 60), (20,)), MODULI)
    assert (levels.count, levels.primes(0), levels.primes(1), levels.primes(2)) == (3, [97, 89, 83], [97, 89], [97])
    assert [levels.scale(0, n) for n in range(4)] == [2.0**20, 2.0**40, 2.0**60, 2.0**80]
    assert [levels.factor(0, n) for n in range(3)] == [2.0**20] * 3
    assert levels.scales == [2.0**20]


def test_scales_of_their_own() -> None:
    levels = Levels(Parameters(8192, (60, 60, 60), (20, 12, 9)), MODULI)
    assert [levels.scale(0, n) for n in range(3)] == [2.0**20, 2.0**32, 2.0**41]
    assert [levels.factor(0, n) for n in range(2)] == [2.0**12, 2.0**9]
    assert levels.plaintext_scale(0, 1, False) == 2.0**9
    assert levels.plaintext_scale(0, 1, True) == 2.0**32


def test_scales_after_each_product() -> None:
    levels = Levels(Parameters(8192, (60, 60, 60), (20,), drops=(1, 2)), MODULI)
    first = 2.0**40 / 83
    second = first * first / 89
    assert levels.scales == [2.0**20, first, second]
    assert (levels.scale(1), levels.scale(1, 1)) == (first, first * first)
    assert levels.factor(1) == first and levels.factor(2, 5) == second
    assert levels.plaintext_scale(2, 0, True) == second


def test_scales_after_two_products_with_scales_of_their_own() -> None:
    levels = Levels(Parameters(8192, (60, 60, 60), (20, 12, 9, 7), drops=(2,)), MODULI)
    dropped = 2.0**41 / 83
    assert levels.scales == [2.0**20, dropped]
    # the third product in a row has the third plaintext scale, at whatever level it is
    assert levels.factor(1) == 2.0**7
    assert math.isclose(levels.scale(1, 1), dropped * 2.0**7)
