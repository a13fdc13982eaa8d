"""Errors by scales alone are those that the gains predict."""

from __future__ import annotations

import random
from itertools import product
from math import inf

import numpy as np
import pytest
from repository import PROGRAMS
from small_programs import LORA

from slotlang import api
from slotlang.cost.gains import gains
from slotlang.cost.noise import Gains, Place
from slotlang.cost.scale_errors import ScaleErrors, rounding_error
from slotlang.planning.modulus import LEAST_PRIME, Modulus
from slotlang.planning.parameters import MAX_MODULUS_BITS, Parameters
from slotlang.planning.plan import Draft

CONSTANTS = """program p(slots = 64)
input x[slots]
weight A[slots]
cipher X = x[slot]
Y = (X * 3/7 + 2) * A[slot] * (1 - 2i)
Z = X * A[slot] + 1/3
output y[slot] = re Y
output z[slot] = Z
prove y == x
prove z == x
"""


@pytest.mark.parametrize("drops", [(), (1,), (2,), (1, 2)])
@pytest.mark.parametrize(
    "text", [LORA, CONSTANTS, (PROGRAMS / "gated.slot").read_text()], ids=["lora", "constants", "gated"]
)
def test_errors_are_those_of_the_gains(text: str, drops: tuple[int, ...]) -> None:
    rng = random.Random(len(text) + sum(drops))
    draft = Draft.of(api.loads(text, {"d": 512} if "gated" in text else {}), "mask", drops)
    assert not draft.built.multiplies_ciphertexts
    found = gains(draft.graph, 8192, draft.doubled, masked=True, zero=draft.zero)
    made, count = tuple(draft.built.drops), draft.built.depth + 1
    for _ in range(20):
        primes = tuple(rng.randint(24, 60) for _ in range(rng.randint(len(made) + 1, 4) + 1))
        first, other = (tuple(rng.randint(8, 60) for _ in range(count)) for _ in range(2))
        equal = (first[0],) * count
        for start, scales in ((first, first), (first, other), (equal, other), (other, equal)):
            own = () if len(set(start)) == 1 and not made else start
            errors = ScaleErrors(found, Parameters(8192, primes, start[0], made, own), start, made)
            expected = found.error(Parameters(8192, primes, scales[0], made, scales))
            assert errors(scales) == pytest.approx(expected, rel=1e-12)


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_masks_beside_results_that_are_nearly_zero_are_infinitely_wrong() -> None:
    """The mean square of what shows of the masks, over that of the result, is beyond a double: no warning of numpy."""
    masks = {Place("mask", 0, 1): np.float64(1e200), Place("fresh", 0, 1): np.float64(1e200)}
    found = Gains(4096, np.float64(1e-200), masks, {(0, 1): 1.0})
    setting = Parameters(4096, (36, 36, 37), 20, scales=(20, 10))
    assert found.error(setting) == inf
    errors = ScaleErrors(found, setting, (20, 10), ())
    assert errors((20, 10)) == errors((8, 8)) == inf


@pytest.mark.parametrize("text", [LORA, CONSTANTS], ids=["lora", "constants"])
def test_no_scales_have_less_than_the_least_rounding_error(text: str) -> None:
    draft = Draft.of(api.loads(text), "mask")
    found = gains(draft.graph, 8192, draft.doubled, masked=True, zero=draft.zero)
    count = draft.built.depth + 1
    best = {}
    for scales in product(range(10, 25), repeat=count):
        error = found.error(Parameters(8192, (60, 60, 60), scales[0], (), scales))
        best[sum(scales)] = min(error, best.get(sum(scales), inf))
    for bits, error in best.items():
        least = rounding_error(found, bits)
        # key switches and what rounds known numbers come besides; scales of whole bits cost little
        assert 0 < least <= error
    assert text == CONSTANTS or rounding_error(found, 51) > 0.1 * best[51]


def test_the_least_error_of_a_modulus_is_below_its_best() -> None:
    draft = Draft.of(api.loads(LORA, {"d": 1024, "slots": 1024}), "mask")
    near = 0
    for degree, primes, largest in product((2048, 4096, 8192), (1, 2, 3), (50, 60)):
        if LEAST_PRIME * (primes + 1) <= MAX_MODULUS_BITS[degree]:
            found = gains(draft.graph, degree, draft.doubled, masked=True, zero=draft.zero)
            modulus = Modulus(draft, degree, primes, found, largest=largest)
            best, least = modulus.held(modulus.best()), modulus.least_error()
            assert best is None or 0 < least <= best.error
            near += best is not None and least > best.error / 8
    assert near > 2


@pytest.mark.parametrize("drops", [(), (1,), (2,)])
def test_least_errors_of_primes_are_below_all(drops: tuple[int, ...]) -> None:
    """Of all scales with as many bits together; near the best of them where rounding is most of it."""
    draft = Draft.of(api.loads(LORA, {"d": 256, "slots": 256}), "mask", drops)
    found = gains(draft.graph, 4096, draft.doubled, masked=True, zero=draft.zero)
    made, count, near = tuple(draft.built.drops), draft.built.depth + 1, 0
    for primes in ((36, 36, 37), (30, 30, 30), (40, 40, 24), (24, 30, 50)):
        for bits in (54, 63, 72):
            start = (bits // count,) * count
            errors = ScaleErrors(found, Parameters(4096, primes, start[0], made, start), start, made)
            shared = (s for s in product(range(12, 40), repeat=count) if sum(s) == bits)
            best = min(map(errors, shared))
            assert 0 < errors.least() <= best
            near += errors.least() > best / 4
    assert near


@pytest.mark.parametrize("drops", [(), (1,), (2,)])
def test_sizes_that_are_passed_over_are_not_the_best(drops: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    draft = Draft.of(api.loads(LORA, {"d": 256, "slots": 256}), "mask", drops)
    found = gains(draft.graph, 4096, draft.doubled, masked=True, zero=draft.zero)
    moduli = [Modulus(draft, 4096, primes, found, largest=largest) for primes in (2, 3) for largest in (50, 60)]
    fast = [modulus.best() for modulus in moduli]
    assert any(fast)
    monkeypatch.setattr(ScaleErrors, "least", lambda self: 0.0)
    assert fast == [modulus.best() for modulus in moduli]
