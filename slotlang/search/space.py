"""The structures that are tried for a shape: every layout, and for each the parts that no other beats by formula."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from slotlang.cost.keys import key_bytes
from slotlang.cost.predict import total
from slotlang.cost.profile import Profile
from slotlang.schedule.doubling import RADICES, RADIX
from slotlang.search.estimate import Estimate, estimate
from slotlang.search.structure import Packing, Shape, Structure

SLOTS = (2048, 4096, 8192)
"""Slots of a ciphertext that are tried: degrees 4096 to 16384. Degree 2048 has 54 bits of modulus, too few for two
products, and larger rings cost more for each slot."""

ASSUMED_PRIMES = 2
"""Data primes by which structures are compared before parameters are chosen: what two products in a row take."""

DROPS = ((), (1,), (2,))
"""Ways to drop a prime by which structures are compared: never, between two products, and after the last."""

FEWER_RANKS = 8
"""By how much the ranks side by side may fall below what there are, in further blocks."""

MOST_CIPHERTEXTS = 1 << 17
"""Ciphertexts up or down for a group of tokens beyond which a structure is not tried."""


@dataclass(frozen=True, slots=True)
class Sketch:
    """A structure with its counts, and its times by formula, all groups of tokens together: for each of ``DROPS``."""

    structure: Structure
    counts: Estimate
    times: tuple[float, ...]

    @property
    def seconds(self) -> float:
        """Without a dropped prime."""
        return self.times[0]

    @property
    def rotations(self) -> int:
        return self.structure.groups * self.counts.key_switches

    @property
    def ciphertexts(self) -> int:
        """Slots up and down, in units of a ciphertext of the smallest ring."""
        return self.structure.groups * self.structure.slots * (self.counts.inputs + self.counts.outputs)

    @property
    def key_bytes(self) -> int:
        """Bytes of Galois keys as the server holds them, with ``ASSUMED_PRIMES`` data primes."""
        return key_bytes(2 * self.structure.slots, ASSUMED_PRIMES + 1) * self.counts.keys

    @property
    def fewest_key_bytes(self) -> int:
        """Bytes of keys when all rotations are composed of rotations by one step."""
        keys = bool(self.counts.steps) + (self.counts.conjugations > 0)
        return self.key_bytes // max(self.counts.keys, 1) * keys


def sketch(s: Structure, profile: Profile) -> Sketch:
    """By formula."""
    counts = estimate(s)
    parts = bool(profile.kernels)
    once = (total(counts.calls(ASSUMED_PRIMES, drops, parts=parts), 2 * s.slots, profile) for drops in DROPS)
    return Sketch(s, counts, tuple(s.groups * seconds for seconds in once))


def sketches(shape: Shape, profile: Profile, slots: Sequence[int] = SLOTS) -> Iterator[list[Sketch]]:
    """For each layout, those of its schedules that may be the best for some objective."""
    for n in slots:
        # the last is column packing, which needs no keys even where it wastes most of every ciphertext
        for tokens in sorted({*_powers(1, min(n, _above(shape.batch))), n}):
            for packing in ("real", "pairs", "tokens", "channels"):
                if packing == "tokens" and _above(shape.batch) <= tokens < n:
                    continue
                for dense in (False, True):
                    if dense and packing == "channels":
                        continue
                    yield list(_layout(shape, n, tokens, packing, dense, profile))


def _layout(shape: Shape, slots: int, tokens: int, packing: Packing, dense: bool, profile: Profile) -> Iterator[Sketch]:
    plain = Structure(shape, slots, tokens, packing, dense, ranks=1)
    positions, rows = plain.positions, plain.rows
    widest = min(positions, _above(rows))
    for ranks in _powers(max(1, widest // FEWER_RANKS), widest):
        base = replace(plain, ranks=ranks)
        if ranks < widest and base.blocks * ranks >= _above(rows):
            continue
        if max(base.inputs, base.outputs, base.blocks) > MOST_CIPHERTEXTS:
            continue
        downs = [
            replace(base, copies=copies, down=down)
            for copies in _powers(1, ranks)
            for down in _baby_steps(ranks // copies)
        ]
        # whatever the radix, it takes the same of all of these
        best_down = front([sketch(s, profile) for s in downs], _measures)
        both: list[Structure] = []
        for radix in _radices(max(positions // ranks, 1 if dense else ranks), profile):
            ups = [replace(base, radix=radix)]
            if not dense:
                ups = [
                    replace(base, shares=shares, up=up, radix=radix)
                    for shares in _powers(1, ranks)
                    for up in _baby_steps(ranks // shares)
                ]
            best_up = front([sketch(s, profile) for s in ups], _measures)
            both += [
                replace(u.structure, copies=d.structure.copies, down=d.structure.down)
                for d in best_down
                for u in best_up
            ]
        yield from front([sketch(s, profile) for s in both], _measures)


def _radices(terms: int, profile: Profile) -> tuple[int, ...]:
    """How many copies sums of at most this many terms may add up at a time. Where each rotation is a key switch of its
    own, more copies at a time are more rotations and nothing else."""
    return tuple(radix for radix in RADICES if radix == RADIX or (profile.kernels and radix <= terms))


def _measures(s: Sketch) -> tuple[float, ...]:
    # noise of rotated inputs counts at the scale of the inputs, which may take more primes than are assumed here
    return (*s.times, s.rotations, s.key_bytes, s.ciphertexts, s.structure.down > 0)


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


def _powers(low: int, high: int) -> list[int]:
    """Powers of two between two of them."""
    return [1 << k for k in range(low.bit_length() - 1, high.bit_length())]


def _above(count: int) -> int:
    """The next power of two."""
    return 1 << (count - 1).bit_length()


def _baby_steps(terms: int) -> list[int]:
    """Numbers of baby steps, the smallest for each number of giant steps; 0 for none."""
    return [0, *sorted({-(-terms // giants) for giants in range(2, terms)} - {1, terms})]
