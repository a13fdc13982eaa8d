"""Mean squares of the members of families: what the client packs, and plaintexts."""

from __future__ import annotations

from collections import defaultdict
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from slotlang.cost.variances import Contents, Power, uniform
from slotlang.graph.graph import Graph, Member
from slotlang.graph.member_classes import Likeness
from slotlang.schedule.ops import PlainFamily

How: TypeAlias = Literal["alike", "each", "mean", "largest"]
"""Members that vanish in the same slots have the same mean squares where nothing is known of the weights (``alike``).
Where they are known: those of ``each`` member, or the ``mean`` or the ``largest`` of all that are alike."""

MOST_EACH = 1 << 23
"""Operations times slots up to which each member has mean squares of its own."""

MOST_MEMBERS = 1 << 12
"""Members of a family that are looked at; beyond, as many drawn at random stand for all."""


class Class(NamedTuple):
    """Members that are alike: how many, the sum of their mean squares, and the largest, slot by slot."""

    members: int
    total: Power
    largest: Power


class Members:
    """The mean squares of a graph's inputs and plaintexts for given data. What is found is kept with ``contents``, so
    that graphs of one schedule share it."""

    def __init__(self, graph: Graph, contents: Contents, *, largest: bool = False) -> None:
        self.graph, self.contents = graph, contents
        program = graph.schedule.program
        self.program = program
        if contents.data.drawn:
            self.how: How = "alike"
        elif len(graph.nodes) * program.slots <= MOST_EACH:
            self.how = "each"
        else:
            self.how = "largest" if largest else "mean"
        self._used: dict[str, dict[tuple[int, ...], None]] = {}

    def place(self, member: Member) -> tuple[object, ...]:
        """A key that is the same for members with the same mean squares."""
        name, indices = member
        return (name, indices if self.how == "each" else self._alike(name, indices))

    def power(self, member: Member) -> Power:
        """The mean squares, a column for each slot of the program or one for all."""
        known, place = self.contents.known, (self.how, *self.place(member))
        if place not in known:
            if self.how in ("alike", "each"):
                known[place] = self._own(member)
            else:
                name = member[0]
                for alike, found in self._classes(name).items():
                    known["mean", name, alike] = uniform(found.total / found.members)
                    known["largest", name, alike] = uniform(found.largest)
                if place not in known:
                    known[place] = self._own(member)
        return known[place]

    def _alike(self, name: str, indices: tuple[int, ...]) -> tuple[int, ...]:
        likeness = self.contents.likeness
        if name not in likeness:
            family = self.graph.schedule.plains.get(name) or self.program.families[name]
            likeness[name] = Likeness(self.program, family)
        return likeness[name].of(indices)

    def _own(self, member: Member) -> Power:
        name, indices = member
        family = self.graph.schedule.plains.get(name) or self.program.families[name]
        return (
            self.contents.plain(family, indices)
            if isinstance(family, PlainFamily)
            else self.contents.packed(family, indices)
        )

    def _classes(self, name: str) -> dict[tuple[int, ...], Class]:
        if not self._used:
            used: defaultdict[str, dict[tuple[int, ...], None]] = defaultdict(dict)
            for node in self.graph.nodes:
                if node.plain is not None:
                    used[node.plain[0]][node.plain[1]] = None
            self._used = used
        members = list(self._used[name])
        if len(members) > MOST_MEMBERS:
            drawn = np.random.default_rng(0).permutation(len(members))[:MOST_MEMBERS]
            members = [members[n] for n in sorted(drawn)]
        found: dict[tuple[int, ...], Class] = {}
        for indices in members:
            alike, power = self._alike(name, indices), self._own((name, indices))
            if alike in found:
                count, total, largest = found[alike]
                found[alike] = Class(count + 1, total + power, np.maximum(largest, power))
            else:
                found[alike] = Class(1, power, power)
        return found
