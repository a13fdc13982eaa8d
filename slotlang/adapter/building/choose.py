"""Which layout each group of modules gets: all of them on one ring, with few keys together.

On a ring, the packings are taken whose whole requests are fastest by formula: the client encrypts and decrypts as many
ciphertexts as a packing sends. Then keys are given up, while all evaluations of the adapter together take at most
``SLOWER`` times as long. Rings are compared by the server's time: a larger one sends fewer ciphertexts, and its keys
take several times the server's memory for each client.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import inf

from slotlang.adapter.building.layout import GroupShape, Layout, Packing, Part, Update
from slotlang.cost.profile import Profile
from slotlang.schedule.doubling import RADICES
from slotlang.search.space import SLOTS, power_from, powers

SLOWER = 1.03
"""How many times as long evaluations may take for fewer keys."""

FEWER = 4
"""By how much the rows side by side may fall below what there are, in further blocks."""

MOST_PLAINTEXTS = 1 << 15
"""Of a program: a larger one takes minutes to emit."""


@dataclass(frozen=True)
class Choice:
    """A layout for each shape, on one ring. ``seconds``: the server's for one request of every group, by formula."""

    slots: int
    layouts: Mapping[GroupShape, Layout]
    seconds: float

    @property
    def steps(self) -> frozenset[int]:
        """Rotations of all programs, each with a key."""
        return frozenset().union(*(layout.steps for layout in self.layouts.values()))


def choices(counts: Mapping[GroupShape, int], profile: Profile, blocks: int = 1) -> list[Choice]:
    """The best choice on each ring, the fastest first; ``counts``: how many groups have a shape; ``blocks``: into how
    many ciphertexts intermediate results are divided at least, as far as ranks and ``FEWER`` allow it: a block of which
    no rank is on is skipped."""
    found = [choice for slots in SLOTS if (choice := _on_ring(counts, slots, profile, blocks)) is not None]
    return sorted(found, key=lambda choice: choice.seconds)


def _on_ring(counts: Mapping[GroupShape, int], slots: int, profile: Profile, blocks: int) -> Choice | None:
    layouts: dict[GroupShape, Layout] = {}
    for shape in counts:
        tried = [_fastest(layout, profile, blocks) for layout in _plain(shape, slots)]
        tried = [layout for layout in tried if layout.plaintexts <= MOST_PLAINTEXTS]
        if not tried:
            return None
        layouts[shape] = min(tried, key=lambda layout: (layout.request_seconds(profile), len(layout.steps)))
    return _fewer_keys(counts, slots, layouts, profile, blocks)


@dataclass(frozen=True)
class _Option:
    part: Part
    seconds: float
    steps: frozenset[int]


def _fewer_keys(
    counts: Mapping[GroupShape, int],
    slots: int,
    layouts: Mapping[GroupShape, Layout],
    profile: Profile,
    blocks: int,
) -> Choice:
    """Give up keys, one after the other, each time the one that costs the least time for all that go with it: every
    part takes the fastest way that needs none of the given up."""
    options: dict[tuple[GroupShape, int], list[_Option]] = {}
    for shape, layout in layouts.items():
        for number, part in enumerate(layout.parts):
            ways = [replace(layout, parts=(way,)) for way in _options(layout, part.members, blocks)]
            found = [_Option(way.parts[0], counts[shape] * way.seconds(profile), way.steps) for way in ways]
            options[shape, number] = sorted(found, key=lambda option: (option.seconds, len(option.steps)))

    def without(given_up: frozenset[int]) -> dict[tuple[GroupShape, int], _Option] | None:
        chosen = {}
        for place, ways in options.items():
            way = next((way for way in ways if not way.steps & given_up), None)
            if way is None:
                return None
            chosen[place] = way
        return chosen

    def keys(chosen: Mapping[tuple[GroupShape, int], _Option]) -> frozenset[int]:
        return frozenset().union(*(way.steps for way in chosen.values()))

    def seconds(chosen: Mapping[tuple[GroupShape, int], _Option]) -> float:
        return sum(way.seconds for way in chosen.values())

    given_up: frozenset[int] = frozenset()
    chosen = without(given_up)
    assert chosen is not None, "every part has a way where all keys are there"
    most = SLOWER * seconds(chosen)
    while True:
        before, best = keys(chosen), None
        for step in before:
            tried = without(given_up | {step})
            if tried is None or seconds(tried) > most:
                continue
            saved = len(before) - len(keys(tried))
            cost = (seconds(tried) - seconds(chosen)) / saved if saved > 0 else inf
            if cost < inf and (best is None or cost < best[0]):
                best = cost, step, tried
        if best is None:
            break
        _, step, chosen = best
        given_up |= {step}
    final = {
        shape: replace(layout, parts=tuple(chosen[shape, n].part for n in range(len(layout.parts))))
        for shape, layout in layouts.items()
    }
    return Choice(slots, final, sum(counts[shape] * layout.seconds(profile) for shape, layout in final.items()))


def _plain(shape: GroupShape, slots: int) -> Iterator[Layout]:
    """Layouts whose parts are not chosen yet: every packing, with lanes and without."""
    packings: list[tuple[Packing, int]] = [("real", shape.tokens), ("pairs", shape.tokens)]
    packings.append(("tokens", -(-shape.tokens // 2)))
    for packing, tokens in packings:
        for side in sorted({power_from(tokens), slots}):
            if tokens <= side <= slots:
                for partition in _partitions(shape.updates, slots // side):
                    yield Layout(shape, slots, side, packing, tuple(Part(m, 1, 2, True) for m in partition))


def _partitions(updates: Sequence[Update], most: int) -> list[list[tuple[int, ...]]]:
    """Every module alone; and modules of equal shape in at most ``most`` lanes, a power of two each time."""
    alone: list[tuple[int, ...]] = [(m,) for m in range(len(updates))]
    alike: dict[Update, list[int]] = defaultdict(list)
    for m, update in enumerate(updates):
        alike[update].append(m)
    lanes: list[tuple[int, ...]] = []
    for members in alike.values():
        left = members
        while left:
            count = min(1 << (len(left).bit_length() - 1), most)
            lanes.append(tuple(left[:count]))
            left = left[count:]
    lanes.sort()
    return [alone] if lanes == alone else [alone, lanes]


def _options(layout: Layout, members: tuple[int, ...], blocks: int = 1) -> list[Part]:
    """The parts for these modules, of this many blocks at least, or of as many as there can be."""
    lanes = len(members)
    rows = layout.rows_of(Part(members, 1, 2, True))
    widest = min(layout.positions // lanes, power_from(rows))
    least = max(1, widest // FEWER)
    most = next((ranks for ranks in reversed(list(powers(least, widest))) if -(-rows // ranks) >= blocks), least)
    found = []
    for ranks, radix, direct in product(powers(least, most), RADICES, (True, False)):
        # of few copies every radix makes one stage
        copies = layout.positions // (ranks * lanes)
        if radix == RADICES[0] or radix <= copies:
            found.append(Part(members, ranks, radix, direct))
    return found


def _fastest(layout: Layout, profile: Profile, blocks: int) -> Layout:
    """The layout with the fastest parts, each chosen alone."""
    parts = []
    for part in layout.parts:
        options = [replace(layout, parts=(option,)) for option in _options(layout, part.members, blocks)]
        parts.append(min(options, key=lambda one: (one.seconds(profile), len(one.steps))).parts[0] if options else part)
    return replace(layout, parts=tuple(parts))
