"""Errors and noise by the bits that are not sent are those that the gains predict for whole parameters."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from small_programs import LORA

from slotlang import api
from slotlang.cost.cut_errors import CutErrors, CutNoise, limits_of_bits
from slotlang.cost.gains import gains
from slotlang.cost.noise import Gains
from slotlang.planning.modulus import Modulus
from slotlang.planning.parameters import Parameters
from slotlang.planning.plan import Draft
from slotlang.planning.target import Hide
from slotlang.planning.zeros import same_plaintexts, zero_plaintexts

PROGRAM = api.loads(LORA, {"d": 256, "r": 4, "batch": 2, "slots": 512})


def of(hide: Hide, results: int) -> tuple[Draft, Gains, Parameters]:
    """A draft, its gains, and parameters that leave its results one prime."""
    draft = Draft.of(PROGRAM, hide, (), results=results)
    found = gains(draft.graph, 4096, draft.doubled, masked=hide != "none", zero=draft.zero)
    primes = (38, 37, 30) if results else (60, 49)
    scales = (20, 18, 17) if results else (16, 14, 12)
    return draft, found, Parameters(4096, primes, scales[0], tuple(draft.built.drops), scales, results=results)


@pytest.mark.parametrize("results", [0, 1])
@pytest.mark.parametrize("hide", ["mask", "exact", "none"])
def test_bits_change_errors_and_noise_as_whole_parameters_do(hide: Hide, results: int) -> None:
    draft, found, p = of(hide, results)
    errors, modulus, rng = CutErrors(found, p), Modulus(draft, 4096, p.data_primes, found), random.Random(results)
    cuts = [(0, 0), (0, 3), (3, 0), *((rng.randint(1, 25), rng.randint(1, 25)) for _ in range(20))]
    for bits in cuts:
        assert errors(bits) == found.error(replace(p, cut=bits))
    assert len({errors(bits) for bits in cuts}) > 10
    states = 0
    for reach in found.reach.values():
        noise = CutNoise(found, p, reach, *modulus.largest_inputs)
        states += not noise.constant
        for bits in cuts:
            assert noise(bits) == found.largest_noise(replace(p, cut=bits), reach, *modulus.largest_inputs)
    assert states


@pytest.mark.parametrize("results", [0, 1])
@pytest.mark.parametrize("hide", ["mask", "exact", "none"])
def test_no_more_bits_than_the_limits_are_ever_precise(hide: Hide, results: int) -> None:
    _, found, p = of(hide, results)
    errors, level = CutErrors(found, p), len(p.drops)
    for precision in (10 * errors((0, 0)), 100 * errors((0, 0))):
        limits = limits_of_bits(found, level, precision)
        assert limits
        for place in (0, 1):
            precise = [bits for bits in range(50) if errors((bits, 0) if place == 0 else (0, bits)) <= precision]
            most = min(p.carried_bits(level, one[0]) + one[1 + place] for one in limits)
            # so far below its limit that noise besides leaves hardly less
            assert max(precise) <= most < max(precise) + 1.1


def test_drafts_share_which_plaintexts_are_zero() -> None:
    more = LORA.replace("let K = d / C", "let K = d / C\nlet M = K + 1").replace("sum c < K", "sum c < M")
    more = more.replace("X[c < K] = x[c*C + h, t]", "X[c < M] = (x[c*C + h, t] else 0)").replace(
        "c < K] = B", "c < M] = B"
    )
    for row in ("(h - q) % R", "(h - q) % R + R"):
        more = more.replace(f"B[{row}, c*C + h]", f"(B[{row}, c*C + h] else 0)")
    program = api.loads(more)
    draft = Draft.of(program, "mask")
    own = draft._zeros
    for drops in ((1,), (2,), (1, 2)):
        other = draft.dropping(drops)
        assert other._zeros is own
        assert same_plaintexts(other.built, draft.built)
        fresh = zero_plaintexts(other.built)
        found = [(own(("W", (q, c))), fresh(("W", (q, c)))) for q in range(2) for c in range(5)]
        assert all(one == two for one, two in found)
        assert found[4] == found[9] == (True, True)
        assert found[0] == (False, False)
