"""Matrix products in prime fields: exact, by whichever way."""

from __future__ import annotations

import numpy as np
import pytest

from slotlang.proof import field
from slotlang.proof.field import PRIMES, matmul


@pytest.mark.parametrize("small", [0, 1 << 20])
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 5, 2), (4, 1 << 10, 3), (1, 1 << 16, 1)])
def test_products_are_those_of_python(shape: tuple[int, int, int], small: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(field, "SMALL_PRODUCT", small)
    rows, inner, columns = shape
    for p in PRIMES:
        rng = np.random.default_rng(p)
        a, b = rng.integers(0, p, (rows, inner), np.uint64), rng.integers(0, p, (inner, columns), np.uint64)
        exact = a.astype(object) @ b.astype(object) % p
        assert matmul(a, b, p).tolist() == exact.tolist()
        # the largest sums that can come up
        a[:], b[:] = p - 1, p - 1
        assert (matmul(a, b, p) == inner % p).all()
