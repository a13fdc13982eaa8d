"""The parameters of results with the fewest bytes, against all that are near."""

from __future__ import annotations

from dataclasses import replace

import pytest
from small_programs import LORA

from slotlang import api
from slotlang.planning import choose as choosing
from slotlang.planning.modulus import Fit
from slotlang.planning.parameters import Parameters
from slotlang.planning.sending import Sending
from slotlang.planning.target import Target
from slotlang_runtime.parameters import LEAST_SENT

PROFILE = api.find_profile()
SMALL = api.loads(LORA, {"d": 1024, "r": 4, "batch": 4, "slots": 1024})


def one_by_one(sending: Sending, start: Parameters, most: float) -> Fit | None:
    """The first of those with the fewest bytes, each with as many bits cut off as can be, in order."""
    best: Fit | None = None
    for p in sending._near(start):
        if not sending.modulus.fits(p) or not sending._precise(p):
            continue
        made = [p]
        if sending.cuts and len(p.drops) == p.data_primes - 1:
            bits = range(p.primes[0] - LEAST_SENT + 1)
            second = max(b for b in bits if sending._precise(replace(p, cut=(0, b))))
            for less in range(second, max(second - 3, -1), -1):
                first = max(b for b in bits if sending._precise(replace(p, cut=(b, less))))
                made.append(replace(p, cut=(first, less)))
        found = min(made, key=sending.size)
        if sending.size(found) < most:
            best, most = Fit(sending.modulus.gains.error(found), found), sending.size(found)
    return best


@pytest.mark.parametrize("precision", [1e-1, 1e-2, pytest.param(1e-3, marks=pytest.mark.slow)])
def test_the_fewest_bytes_are_found_without_a_look_at_all(precision: float, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[Sending, Parameters, float, Fit | None]] = []
    smallest = Sending.smallest

    def noted(self: Sending, start: Parameters, most: float) -> Fit | None:
        found = smallest(self, start, most)
        seen.append((self, start, most, found))
        return found

    monkeypatch.setattr(Sending, "smallest", noted)
    assert isinstance(choosing.choose(SMALL, Target(precision=precision), profile=PROFILE), choosing.Chosen)
    assert seen
    for sending, start, most, found in seen:
        assert found == one_by_one(sending, start, most)
