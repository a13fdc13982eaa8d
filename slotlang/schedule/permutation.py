"""Permutations of ciphertext slots as rotations and plaintext masks.

CKKS can only rotate all slots together: ``(v << k)[s] = v[(s + k) mod n]``. A stage adds rotations of one
ciphertext under 0/1 masks; a network is a sequence of stages. ``plan`` finds the cheapest network it can.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain, pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from slotlang.schedule.benes import (
    Positions,
    benes_routes,
    bit_routes,
    matched_route,
    shift_routes,
    split_sizes,
    with_rotation,
)
from slotlang_runtime.amounts import count_of

__all__ = ["Cost", "Network", "Stage", "key_switch_cost", "plan"]

Cost = Callable[[int, int, int], float]

MOST_COUNTED = 1 << 16
"""Slots whose shifts are counted at once: what fits the caches."""
"""``cost(rotations, products, levels)`` of a network, in any unit."""


def key_switch_cost(rotations: int, products: int, levels: int) -> float:
    """``rotations * (2 + levels)**2``, a rotation without levels being 4.

    An approximation of SEAL's key switch, which is quadratic in the number of primes: one for each level,
    one that carries the result and the special prime. All rotations are priced as if before the first
    level. Products are left out: one costs about a fifteenth of a rotation.
    """
    return float(rotations * (2 + levels) ** 2)


@dataclass(frozen=True, eq=False)
class Stage:
    """``out[s] = v[source[s]]``, evaluated as the sum over ``steps`` k of ``mask(k)[s] * v[(s + k) mod n]``.

    ``source`` is int64 of shape (n,), made read-only, entries in [0, n); anything else is a ValueError.
    ``steps`` are the distinct ``(source[s] - s) mod n``, sorted. The masks are disjoint, none is empty, and
    together they cover all slots.
    """

    source: Positions
    steps: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        source = np.array(self.source, dtype=np.int64)
        n = source.size
        if source.ndim != 1 or n == 0 or source.min() < 0 or source.max() >= n:
            raise ValueError(f"a stage's source has shape (n,) and entries in [0, n); shape is {source.shape}")
        source.setflags(write=False)
        object.__setattr__(self, "source", source)
        object.__setattr__(self, "steps", _shifts(source, np.arange(n)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stage) and np.array_equal(self.source, other.source)

    def __hash__(self) -> int:
        return hash(self.source.tobytes())

    @property
    def rotations(self) -> int:
        """Key switches: one for each step but 0."""
        return len(self.steps) - (0 in self.steps)

    @property
    def products(self) -> int:
        """Plaintext products: one for each step; none for a single step, whose mask is all ones."""
        return len(self.steps) if self.levels else 0

    @property
    def levels(self) -> int:
        """Multiplicative levels: 1, or 0 for a single step."""
        return int(len(self.steps) > 1)

    def mask(self, step: int) -> NDArray[np.bool_]:
        """The 0/1 mask of shape (n,) that the ciphertext rotated by ``step`` is multiplied with."""
        n = self.source.size
        selected: NDArray[np.bool_] = (self.source - np.arange(n)) % n == step
        return selected

    def apply(self, v: NDArray[Any]) -> NDArray[Any]:
        """The sum that defines the stage, on the last axis of ``v``; shape (..., n) to (..., n)."""
        if not self.levels:
            return np.roll(v, -self.steps[0], axis=-1)
        out = np.zeros_like(v)
        for step in self.steps:
            out += self.mask(step) * np.roll(v, -step, axis=-1)
        return out


@dataclass(frozen=True)
class Network:
    """Stages on ``slots`` slots, first one first. No stage is the identity permutation."""

    slots: int
    stages: tuple[Stage, ...]

    @property
    def rotations(self) -> int:
        """Key switches in all stages."""
        return sum(stage.rotations for stage in self.stages)

    @property
    def products(self) -> int:
        """Plaintext products in all stages."""
        return sum(stage.products for stage in self.stages)

    @property
    def levels(self) -> int:
        """Multiplicative levels from the input to the output."""
        return sum(stage.levels for stage in self.stages)

    def apply(self, v: NDArray[Any]) -> NDArray[Any]:
        """Execute the rotations, products and sums; shape (..., slots) to (..., slots), same dtype.

        Raises ValueError if the last axis is not ``slots`` long.
        """
        if v.ndim == 0 or v.shape[-1] != self.slots:
            raise ValueError(f"the network permutes {count_of(self.slots, 'slot')}; the array has shape {v.shape}")
        for stage in self.stages:
            v = stage.apply(v)
        return v


def plan(destination: ArrayLike, max_levels: int, cost: Cost | None = None) -> Network:
    """A network that moves what slot s holds to slot ``destination[s]``, cheapest of those tried.

    ``destination`` is a permutation of 0..n-1, integers of shape (n,). For every number of levels up to
    ``max_levels`` the fewest rotations found decide, then ``cost`` (default: ``key_switch_cost``) decides
    between levels; ties go to fewer levels, then fewer products. More levels allowed never cost more, if
    ``cost`` grows with rotations and products. The identity has no stages; a rotation is one stage without
    products or levels. The same input gives the same network.

    Tried are one stage with a rotation for each distinct shift, and the mergers of neighbouring layers of
    log-shift networks, bit swaps, Benes networks and matched splits (``slotlang.schedule.benes``). The best
    merger of each of these is found, up to one rotation; a network of another kind may need fewer.

    Raises ValueError if ``destination`` is not a permutation, if ``max_levels`` is negative, and if it is 0
    and the permutation is not a rotation (any permutation is possible with 1).
    """
    given = np.asarray(destination)
    if given.ndim != 1 or given.size == 0 or not np.issubdtype(given.dtype, np.integer):
        raise ValueError(f"a destination has integers of shape (n,); got {given.dtype} of shape {given.shape}")
    n = given.size
    if given.min() < 0 or given.max() >= n or np.any(np.bincount(given.astype(np.int64), minlength=n) != 1):
        raise ValueError(f"destination is not a permutation of 0..{n - 1}")
    if max_levels < 0:
        raise ValueError(f"max_levels is {max_levels}; it can't be negative")
    target: Positions = given.astype(np.int64)
    shifts = _shifts(np.arange(n), target)
    if len(shifts) == 1:
        return _build([np.arange(n), target], shifts)
    if max_levels == 0:
        raise ValueError(
            f"a permutation with {count_of(len(shifts), 'distinct shift')} needs at least 1 level; max_levels is 0"
        )

    best: dict[int, _Found] = {}
    by_shift = [np.arange(n), target]
    structured = chain(shift_routes(target), with_rotation(bit_routes, target), with_rotation(benes_routes, target))
    for route in chain([by_shift], structured):
        _improve(best, route, max_levels)
    # Matching is slow, so it runs only where it can be expected to win; beyond 4 levels by a tenth at best.
    for levels in range(2, min(max_levels, 4) + 1):
        expected, sizes = split_sizes(n, levels)
        fewest = min(network.rotations for k, network in best.items() if k <= levels)
        if len(sizes) == levels - 1 and expected < fewest:
            matched = matched_route(target, sizes)
            if matched is not None:
                _improve(best, matched, max_levels)

    price = cost or key_switch_cost
    networks = [_build(best[levels].positions, best[levels].anchors) for levels in sorted(best)]
    return min(networks, key=lambda w: (price(w.rotations, w.products, w.levels), w.levels, w.products))


@dataclass(frozen=True)
class _Found:
    """The network with the fewest rotations so far for some number of levels; see ``_build``."""

    rotations: int
    positions: list[Positions]
    anchors: Sequence[int]


def _improve(best: dict[int, _Found], route: list[Positions], max_levels: int) -> None:
    """Put the best mergers of a route into ``best``, levels to network, where they save rotations."""
    for levels, (extra, cuts) in _mergers(route, max_levels).items():
        if levels not in best or extra < best[levels].rotations:
            positions = [route[i] for i in cuts]
            anchors = _anchors(positions)
            rotations = extra + (sum(anchors) % len(route[0]) != 0)
            if levels not in best or rotations < best[levels].rotations:
                best[levels] = _Found(rotations, positions, anchors)


def _shifts(before: Positions, after: Positions) -> tuple[int, ...]:
    """The distinct steps that take contents from positions ``before`` to positions ``after``, sorted."""
    n = len(before)
    counts = np.bincount((before - after) % n, minlength=n)
    return tuple(int(k) for k in np.flatnonzero(counts))


def _mergers(route: list[Positions], max_levels: int) -> dict[int, tuple[int, list[int]]]:
    """For each number of levels, the cuts of a route that add up to the fewest shifts.

    Between two cuts lies one stage. Its weight is the number of its distinct shifts less one, because all
    may be taken relative to one of them (``_anchors``); of weight 0 it takes no level. The value is the sum
    of the weights and the indices into ``route`` of the cuts, both ends included. Dynamic programming over
    the last cut.
    """
    size = len(route)
    weight = _weights(np.array(route))
    reached: list[dict[int, tuple[int, int]]] = [{0: (0, 0)}]
    for j in range(1, size):
        least: dict[int, tuple[int, int]] = {}
        for i in range(j):
            w = int(weight[i, j])
            for before, (extra, _) in reached[i].items():
                levels = before + (w > 0)
                if levels <= max_levels and (levels not in least or extra + w < least[levels][0]):
                    least[levels] = (extra + w, i)
        reached.append(least)
    result = {}
    for levels, (extra, _) in reached[-1].items():
        cuts, left = [size - 1], levels
        while cuts[0] > 0:
            j = cuts[0]
            i = reached[j][left][1]
            left -= int(weight[i, j] > 0)
            cuts.insert(0, i)
        result[levels] = (extra, cuts)
    return result


def _weights(route: Positions) -> Positions:
    """The number of distinct shifts, less one, between any two arrays of a route, (arrays, arrays); 0 below the
    diagonal. ``route``: (arrays, n)."""
    size, n = route.shape
    weight = np.zeros((size, size), dtype=np.int64)
    together = max(1, MOST_COUNTED // n)
    for i in range(size):
        for first in range(i + 1, size, together):
            shifts = route[i] - route[first : first + together]
            # a shift k below 0 is n + k; counted as it stands, it is brought there below
            seen = np.zeros((len(shifts), 2 * n), dtype=np.bool_)
            seen[np.arange(len(shifts))[:, None], shifts] = True
            weight[i, first : first + together] = np.count_nonzero(seen[:, :n] | seen[:, n:], axis=1) - 1
    return weight


def _anchors(positions: list[Positions]) -> list[int]:
    """One shift of each stage, which the others are taken relative to; their sum mod n is left to rotate.

    A rotation passes through a stage if the masks are rotated with it, so each stage may give one of its
    shifts away for nothing; they are chosen to cancel if they can, so that no rotation is left.
    """
    n = len(positions[0])
    sets = [_shifts(a, b) for a, b in pairwise(positions)]
    if all(0 in steps for steps in sets):
        return [0] * len(sets)
    # The largest set comes last: its sums with the others need not be formed.
    order = sorted(range(len(sets)), key=lambda i: (len(sets[i]), i))
    sums = [np.zeros(n, dtype=np.bool_)]
    sums[0][0] = True
    for i in order[:-1]:
        reach = np.zeros(n, dtype=np.bool_)
        for step in sets[i]:
            reach |= np.roll(sums[-1], step)
        sums.append(reach)
    anchors, wanted = [0] * len(sets), 0
    for i, reach in zip(reversed(order), reversed(sums), strict=True):
        fitting = [step for step in sets[i] if reach[(wanted - step) % n]]
        if not fitting:
            return [0 if 0 in steps else steps[0] for steps in sets]
        anchors[i] = fitting[0]
        wanted = (wanted - fitting[0]) % n
    return anchors


def _build(positions: list[Positions], anchors: Sequence[int]) -> Network:
    """The network of a route, every stage's shifts relative to its anchor, what is left rotated last.

    Last, because there the ciphertext has the fewest primes.
    """
    n = len(positions[0])
    stages, ahead = [], 0
    for before, after, anchor in zip(positions[:-1], positions[1:], anchors, strict=True):
        source = np.empty(n, dtype=np.int64)
        source[(after + ahead + anchor) % n] = (before + ahead) % n
        ahead = (ahead + anchor) % n
        stage = Stage(source)
        if stage.steps != (0,):
            stages.append(stage)
    if ahead:
        stages.append(Stage((np.arange(n) + ahead) % n))
    return Network(n, tuple(stages))
