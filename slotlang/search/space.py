"""The structures that are tried for a shape: every layout, and for each the parts that no other beats by formula."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from slotlang.cost.keys import key_bytes
from slotlang.schedule.doubling import RADICES, RADIX
from slotlang.search.estimate import Estimate, Half, estimate, first_half, second_half
from slotlang.search.prices import ASSUMED_PRIMES, DROPS, Floats, Prices
from slotlang.search.structure import Packing, Shape, Structure

SLOTS = (2048, 4096, 8192)
"""Slots of a ciphertext that are tried: degrees 4096 to 16384. Degree 2048 has 54 bits of modulus, too few for two
products, and larger rings cost more for each slot."""

FEWER_RANKS = 8
"""By how much the ranks side by side may fall below what there are, in further blocks."""

MOST_DIRECT = 64
"""Diagonals beyond which there is no key for each of them: they take more memory than all else."""

ROWS = 128
"""Rows that are compared with each other at once."""

PACKINGS: tuple[Packing, ...] = get_args(Packing)

MOST_CIPHERTEXTS = 1 << 17
"""Ciphertexts up or down for a group of tokens beyond which a structure is not tried."""


@dataclass(frozen=True, slots=True)
class Sketch:
    """A structure with numbers by formula, all groups of tokens together: ``times`` of the server for each of
    ``DROPS``, ``rotations`` (key switches), ``keys`` and whether some are for rotations and some for conjugations, and
    ``slots`` up and down."""

    structure: Structure
    times: tuple[float, ...]
    rotations: int
    keys: int
    fewest_keys: int
    ciphertexts: int
    """Slots up and down, in units of a ciphertext of the smallest ring."""

    @property
    def counts(self) -> Estimate:
        """All counts, for one group of tokens."""
        return estimate(self.structure)

    @property
    def seconds(self) -> float:
        """Without a dropped prime."""
        return self.times[0]

    @property
    def key_bytes(self) -> int:
        """Bytes of Galois keys as the server holds them, with ``ASSUMED_PRIMES`` data primes."""
        return key_bytes(2 * self.structure.slots, ASSUMED_PRIMES + 1) * self.keys

    @property
    def fewest_key_bytes(self) -> int:
        """Bytes of keys when all rotations are composed of rotations by one step."""
        return key_bytes(2 * self.structure.slots, ASSUMED_PRIMES + 1) * self.fewest_keys


def sketches(shape: Shape, prices: Prices, slots: Sequence[int] = SLOTS) -> Iterator[list[Sketch]]:
    """For each layout, those of its schedules that may be the best for some objective."""
    for plain in layouts(shape, slots):
        for base in bases(plain):
            yield best_of(base, prices)


def layouts(shape: Shape, slots: Sequence[int]) -> Iterator[Structure]:
    """A structure with one rank for each way of packing."""
    for n in slots:
        # the last is column packing, which needs no keys even where it wastes most of every ciphertext
        for tokens in sorted({*powers(1, min(n, power_from(shape.batch))), n}):
            for packing in PACKINGS:
                if packing == "tokens" and power_from(shape.batch) <= tokens < n:
                    continue
                for dense in (False, True):
                    if dense and packing == "channels":
                        continue
                    yield Structure(shape, n, tokens, packing, dense, ranks=1)


def bases(plain: Structure) -> Iterator[Structure]:
    """The numbers of ranks side by side that are tried for a layout."""
    positions, rows = plain.positions, plain.rows
    widest = min(positions, power_from(rows))
    for ranks in powers(max(1, widest // FEWER_RANKS), widest):
        base = replace(plain, ranks=ranks)
        if ranks < widest and base.blocks * ranks >= power_from(rows):
            continue
        if max(base.inputs, base.outputs, base.blocks) <= MOST_CIPHERTEXTS:
            yield base


@dataclass(frozen=True)
class Halves:
    """The halves of structures, before or after the intermediate result: ``structures`` that differ in them, their
    ``counts``, and their seconds for each of ``DROPS``, a row each."""

    structures: list[Structure]
    counts: list[Half]
    seconds: Floats = field(repr=False)

    def of(self, chosen: npt.NDArray[np.int64]) -> Halves:
        """Some of them."""
        return Halves([self.structures[n] for n in chosen], [self.counts[n] for n in chosen], self.seconds[chosen])


def first_halves(base: Structure, prices: Prices, most_inputs: int = MOST_CIPHERTEXTS) -> Halves:
    """All ways to the intermediate result, with at most this many ciphertexts of x."""
    found = []
    for copies in powers(1, base.ranks):
        terms = base.ranks // copies
        one = replace(base, copies=copies)
        if one.inputs > most_inputs:
            break
        found += [_way(base, copies=copies, down=down) for down in _baby_steps(terms)]
        if prices.parts and 2 < terms <= MOST_DIRECT:
            found.append(_way(base, copies=copies, direct=True))
    counts = [first_half(s) for s in found]
    degree = 2 * base.slots
    return Halves(found, counts, prices.seconds(counts, degree, prices.up(degree, base.packing)))


def second_halves(base: Structure, prices: Prices) -> Halves:
    """All ways from the first products to the results."""
    found = []
    terms = max(base.positions // base.ranks, 1 if base.dense else base.ranks)
    for radix in RADICES:
        # where each rotation is a key switch of its own, more copies at a time are more rotations and nothing else
        if radix != RADIX and not (prices.parts and radix <= terms):
            continue
        if base.dense:
            found.append(_way(base, radix=radix))
            continue
        found += [
            _way(base, shares=shares, up=up, radix=radix)
            for shares in powers(1, base.ranks)
            for up in _baby_steps(base.ranks // shares)
        ]
    counts = [second_half(s) for s in found]
    degree = 2 * base.slots
    return Halves(found, counts, prices.seconds(counts, degree, prices.down(degree, base.packing, base.depth)))


def _way(
    s: Structure,
    copies: int = 1,
    down: int = 0,
    shares: int = 1,
    up: int = 0,
    radix: int = RADIX,
    direct: bool = False,
) -> Structure:
    """A structure of the layout and ranks of ``s``; what ``replace`` makes, in less time."""
    return Structure(s.shape, s.slots, s.tokens, s.packing, s.dense, s.ranks, copies, down, shares, up, radix, direct)


def best_of(base: Structure, prices: Prices) -> list[Sketch]:
    """Of the halves those are combined that no other half beats in time, rotations, keys and ciphertexts; and of these
    combinations those are kept that no other beats."""
    conjugations = base.blocks if base.packing == "channels" else 0
    down, up = first_halves(base, prices), second_halves(base, prices)
    # where the other half is the plainest
    plain_down, plain_up = down.counts[0].steps, up.counts[0].steps
    down = down.of(_optimal(_measured(down, plain_up)))
    up = up.of(_optimal(_measured(up, plain_down)))
    first, second = np.divmod(np.arange(len(down.counts) * len(up.counts)), len(up.counts))
    rotations = _rotations(down)[first] + _rotations(up)[second] + conjugations
    keys = np.array([len(d.steps | u.steps) for d in down.counts for u in up.counts], np.float64)
    # noise of rotated inputs counts at the scale of the inputs, which may take more primes than are assumed here
    measures = np.column_stack(
        [
            down.seconds[first] + up.seconds[second],
            rotations,
            keys,
            _ciphertexts(down)[first] + _ciphertexts(up)[second],
            _turned(down)[first],
        ]
    )
    groups, found = base.groups, []
    for place in _optimal(measures):
        d, u = down.structures[first[place]], up.structures[second[place]]
        *times, switches, steps, ciphertexts, _ = measures[place].tolist()
        found.append(
            Sketch(
                _way(u, d.copies, d.down, u.shares, u.up, u.radix, d.direct),
                tuple(groups * seconds for seconds in times),
                groups * int(switches),
                int(steps) + (conjugations > 0),
                (steps > 0) + (conjugations > 0),
                groups * base.slots * int(ciphertexts),
            )
        )
    return found


def fastest(base: Structure, prices: Prices) -> list[tuple[float, Structure]]:
    """For each of ``DROPS``, the least seconds for a group of tokens and the structure that takes them, with no more
    ciphertexts of x than need be."""
    down, up = first_halves(base, prices, base.inputs), second_halves(base, prices)
    found = []
    for way in range(len(DROPS)):
        n, m = int(down.seconds[:, way].argmin()), int(up.seconds[:, way].argmin())
        d, u = down.structures[n], up.structures[m]
        s = _way(u, d.copies, d.down, u.shares, u.up, u.radix, d.direct)
        found.append((float(down.seconds[n, way] + up.seconds[m, way]), s))
    return found


def _rotations(halves: Halves) -> Floats:
    return np.array([sum(stage.rotations for stage in half.stages) for half in halves.counts], np.float64)


def _ciphertexts(halves: Halves) -> Floats:
    return np.array([half.ciphertexts for half in halves.counts], np.float64)


def _turned(halves: Halves) -> Floats:
    return np.array([s.down > 0 for s in halves.structures], np.float64)


def _measured(halves: Halves, others: frozenset[int]) -> Floats:
    keys = [len(half.steps | others) for half in halves.counts]
    return np.column_stack([halves.seconds, _rotations(halves), keys, _ciphertexts(halves), _turned(halves)])


def _optimal(measures: Floats) -> npt.NDArray[np.int64]:
    """Rows that no other row is as small as in every column; of equal rows the first. By the first column."""
    order = np.lexsort(measures.T[::-1])
    kept = np.empty(0, np.int64)
    for start in range(0, len(order), ROWS):
        # what is as small everywhere comes before
        some = np.concatenate([kept, order[start : start + ROWS]])
        values = measures[some]
        smaller = (values[:, None] <= values[None]).all(axis=2)
        kept = some[~np.triu(smaller, 1).any(axis=0)]
    return kept


def front(items: Sequence[Any], measures: Callable[[Any], tuple[float, ...]]) -> list[Any]:
    """The Pareto-optimal items, sorted by the first measure; of items with equal measures, the first."""
    kept: list[Any] = []
    values: list[tuple[float, ...]] = []
    for item in sorted(items, key=measures):
        mine = measures(item)
        if not any(all(a <= b for a, b in zip(other, mine, strict=True)) for other in values):
            kept.append(item)
            values.append(mine)
    return kept


def powers(low: int, high: int) -> list[int]:
    """Powers of two between two of them."""
    return [1 << k for k in range(low.bit_length() - 1, high.bit_length())]


def power_from(count: int) -> int:
    """The least power of two that is not below ``count``."""
    return 1 << (count - 1).bit_length()


def _baby_steps(terms: int) -> list[int]:
    """Numbers of baby steps, the smallest for each number of giant steps; 0 for none."""
    return [0, *sorted({-(-terms // giants) for giants in range(2, terms)} - {1, terms})]
