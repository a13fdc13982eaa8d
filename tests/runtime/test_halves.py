"""Half of a result is the first half of the whole, by kernels and by numpy."""

from __future__ import annotations

import numpy as np
import pytest
from byte_ways import WAYS, taken

from slotlang_runtime.parameters import Parameters
from slotlang_runtime.seal import halves
from slotlang_runtime.seal.halves import Part, doubled, half_doubled
from slotlang_runtime.seal.ring import Ring


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("part", ["re", "im"])
def test_the_half_that_is_sent(part: Part, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    taken(way, halves, monkeypatch)
    ring = Ring(Parameters(8192, (60, 40, 50), (20,)), 4096)
    rng = np.random.default_rng(0)
    apart = np.zeros((2, 8192 + 24), np.uint64)
    residues = apart[:, :8192]
    for row, prime in zip(residues, ring.primes(0), strict=True):
        row[:] = rng.integers(0, prime, 8192, np.uint64)
        # what is 0 or the largest on either side of the middle, and on both
        for values, places in (((0, prime - 1), (0, -1)), ((prime - 1, prime - 1), (1, -2)), ((0, 0), (2, -3))):
            row[list(places)] = values
    sign = 1 if part == "re" else -1
    wanted = [
        [(int(row[k]) + sign * int(row[8191 - k])) % prime for k in range(4096)]
        for row, prime in zip(residues, ring.primes(0), strict=True)
    ]
    assert half_doubled(ring, residues, 0, part).tolist() == wanted
    assert doubled(ring, residues, 0, part)[:, :4096].tolist() == wanted
