"""The theorems of docs/bounds.md against every schedule there is, at tiny sizes.

Their proofs are linear algebra and hold over every field, so finite fields, where a search ends, test them too.
"""

from __future__ import annotations

from itertools import combinations_with_replacement, product

import numpy as np
import numpy.typing as npt
import pytest
from schedule_search import reached_between, rotations, wirings

from slotlang.cost.theorems import TwoProducts, products_bound, rank_dimension

Ints = npt.NDArray[np.int64]


def turned(vectors: Ints, wiring: tuple[tuple[int, ...], ...], steps: tuple[int, ...]) -> Ints:
    """All vectors of a schedule of rotations and additions, shape (vectors, inputs, shifts): the number of paths of
    each shift from each input."""
    found = list(vectors)
    for chosen, step in zip(wiring, steps, strict=True):
        total = sum((v for v, c in zip(found, chosen, strict=True) if c), np.zeros_like(vectors[0]))
        found.append(np.roll(total, step, axis=-1))
    return np.array(found)


def units(inputs: int, slots: int) -> Ints:
    vectors = np.zeros((inputs, inputs, slots), np.int64)
    vectors[range(inputs), range(inputs), 0] = 1
    return vectors


# spread


@pytest.mark.parametrize("slots", [4, 6, 8])
def test_rotations_reach_no_more_shifts_than_subsets(slots: int) -> None:
    for turns in range(4):
        # the last vector adds up everything, which reaches all that any vector of the schedule reaches
        most = 0
        for steps in combinations_with_replacement(range(1, slots), turns):
            for wiring in wirings(turns, 1):
                reached = turned(units(1, slots), wiring, steps).any(axis=0)
                most = max(most, int(reached.sum()))
        assert most == min(slots, 2**turns)


# products, over the field of three elements


def low_rank(d: int) -> set[bytes]:
    """All d x d matrices of rank at most 1 over the field of three elements."""
    vectors = [np.array(v) for v in product(range(3), repeat=d)]
    return {(np.outer(a, b) % 3).astype(np.int8).tobytes() for a in vectors for b in vectors}


def circulant(shifts: tuple[int, ...]) -> Ints:
    """The matrix of a sum of rotations."""
    n = len(shifts)
    return np.array([[shifts[(column - row) % n] for column in range(n)] for row in range(n)])


def test_dimension_of_low_rank_matrices() -> None:
    rng = np.random.default_rng(5)
    for d_in, d_out, r in product(range(1, 5), range(1, 5), range(1, 5)):
        a, b = rng.standard_normal((d_out, r)), rng.standard_normal((r, d_in))
        # derivatives of a @ b by every entry
        by_a = np.einsum("ki,lj->klij", np.eye(d_out), b).reshape(d_out * r, -1)
        by_b = np.einsum("il,mj->lmij", a, np.eye(d_in)).reshape(r * d_in, -1)
        assert np.linalg.matrix_rank(np.vstack([by_a, by_b])) == rank_dimension(d_in, d_out, r)


def test_one_product_is_too_few_for_two_channels() -> None:
    assert products_bound(rank_dimension(2, 2, 1), 1, 2, parameters=1) == 2
    wanted = low_rank(2)
    weights = [np.diag(w) for w in product(range(3), repeat=2)]
    ways = [circulant(s) for s in product(range(3), repeat=2)]
    for around, before, after in product(ways, repeat=3):
        reached = {((after @ w @ before + around) % 3).astype(np.int8).tobytes() for w in weights}
        assert not wanted <= reached
    # two are enough: x * w + (x << 1) * v
    turn = circulant((0, 1))
    assert wanted <= {((w + v @ turn) % 3).astype(np.int8).tobytes() for w, v in product(weights, repeat=2)}


def test_one_product_is_too_few_for_two_tokens_kept_apart() -> None:
    assert products_bound(rank_dimension(2, 2, 1), 2, 4, parameters=1) == 2
    wanted = {np.kron(np.frombuffer(m, np.int8).reshape(2, 2), np.eye(2, dtype=np.int8)).tobytes() for m in low_rank(2)}
    weights = np.array([np.diag(w) for w in product(range(3), repeat=4)])
    # slot = channel*2 + token: rotations by 0 and 2, or by 1 and 3, keep tokens apart
    ways = [circulant(s) for s in product(range(2), repeat=4) if not (any(s[::2]) and any(s[1::2]))]
    for around, before, after in product(ways, repeat=3):
        reached = {m.tobytes() for m in ((after @ weights @ before + around) % 3).astype(np.int8)}
        assert not wanted <= reached
    turn = circulant((0, 0, 1, 0))
    everything = (weights[:, None] + weights[None] @ turn) % 3
    assert wanted <= {m.tobytes() for m in everything.reshape(-1, 4, 4).astype(np.int8)}


def test_tokens_brought_together_need_fewer_products() -> None:
    """Strassen's algorithm: why the theorem speaks of groups that are kept apart. Two channels, two tokens, each
    pair in a ciphertext of its own."""
    assert products_bound(rank_dimension(2, 2, 2), 2, 1, parameters=1) == 8
    rng = np.random.default_rng(6)
    (a, b), (c, d) = w = rng.integers(-9, 10, (2, 2))
    (e, f), (g, h) = x = rng.integers(-9, 10, (2, 2))
    plain = (a + d, c + d, a, d, a + b, c - a, b - d)
    cipher = (e + h, e, f - h, g - e, h, e + f, g + h)
    m = [p * v for p, v in zip(plain, cipher, strict=True)]
    assert len(m) == 7
    y = [[m[0] + m[3] - m[4] + m[6], m[2] + m[4]], [m[1] + m[3], m[0] - m[1] + m[2] + m[5]]]
    assert (np.array(y) == w @ x).all()


# two products


def reached_without_between(inputs: int, outputs: int, slots: int, before: int, after: int) -> bool:
    """Whether some schedule with rotations only before the first and after the second products computes A @ B for
    generic A and B, one token. What products in between can make of slot s of vector v is any bilinear form, so it
    does iff those forms reach every (channel, output) pair independently of each other."""
    for wiring, steps in product(wirings(before, inputs), rotations(slots, before)):
        sources = turned(units(inputs, slots), wiring, steps)
        # read backwards, additions are copies: the same schedules seen from the results
        for wiring_out, steps_out in product(wirings(after, outputs), rotations(slots, after)):
            sinks = turned(units(outputs, slots), wiring_out, steps_out)
            rows = []
            for source, sink, s in product(sources, sinks, range(slots)):
                read = np.stack([np.roll(row, s) for row in source]).reshape(-1)
                given = np.stack([np.roll(row[::-1], s + 1) for row in sink]).reshape(-1)
                rows.append(np.outer(given, read).reshape(-1))
            if np.linalg.matrix_rank(np.array(rows, float)) == inputs * outputs * slots**2:
                return True
    return False


@pytest.mark.parametrize(
    ("inputs", "outputs", "slots"), [(1, 1, 2), (1, 1, 3), (1, 1, 4), (2, 1, 2), (1, 2, 2), (2, 2, 2)]
)
def test_rotations_around_both_products(inputs: int, outputs: int, slots: int) -> None:
    fewest = None
    for turns in range(3):
        for before in range(turns + 1):
            after = turns - before
            if reached_without_between(inputs, outputs, slots, before, after):
                fewest = turns if fewest is None else fewest
                for rank in (1, 2, 5):
                    case = TwoProducts(inputs, outputs, inputs * slots, outputs * slots, rank, slots, parameters=1)
                    assert case.allows(before, 0, after)
                    assert case.bound() <= turns
    # baby and giant steps, the dense structure: enough rotations here for all but two ciphertexts both ways
    dense = min(inputs * (n - 1) + outputs * (-(-slots // n) - 1) for n in range(1, slots + 1))
    assert fewest == dense


@pytest.mark.parametrize(
    ("slots", "rank", "fewest"), [(2, 1, 1), (2, 2, 2), (2, 3, 3), (3, 1, 2), (3, 2, 3), (4, 1, 2), (4, 2, 3)]
)
def test_rotations_between_the_products(slots: int, rank: int, fewest: int) -> None:
    case = TwoProducts(1, 1, slots, slots, rank, slots, parameters=1)
    for turns in range(1, fewest):
        assert not reached_between(slots, rank, turns)
    assert reached_between(slots, rank, fewest)
    assert case.allows(0, fewest, 0)
    assert not case.allows(0, fewest - 1, 0)
