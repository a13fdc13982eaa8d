"""Which keys a graph switches with, and the first level at which each is used.

A key serves all levels from its first one on, and needs no residues of primes that are gone there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from slotlang.graph.graph import Graph
from slotlang.graph.kinds import KINDS


@dataclass(frozen=True)
class KeyLevels:
    """Primes that are dropped before a key is first used: by the step of a rotation, and of the keys for conjugation
    and for products of ciphertexts, None where there is no such key."""

    steps: Mapping[int, int]
    conjugation: int | None = None
    relinearization: int | None = None

    def whole(self) -> KeyLevels:
        """The same keys with the residues of all primes, as SEAL makes them."""
        single = (None if level is None else 0 for level in (self.conjugation, self.relinearization))
        return KeyLevels(dict.fromkeys(self.steps, 0), *single)

    @property
    def galois(self) -> Counter[int]:
        """Galois keys by their first level."""
        return Counter([*self.steps.values(), *([] if self.conjugation is None else [self.conjugation])])

    @property
    def switching(self) -> Counter[int]:
        """All key-switching keys by their first level."""
        return self.galois + Counter([] if self.relinearization is None else [self.relinearization])


def key_levels(graph: Graph) -> KeyLevels:
    """The keys of a graph."""
    steps: dict[int, int] = {}
    single: dict[str | None, int] = {}
    for node, level in zip(graph.nodes, graph.levels, strict=True):
        key = KINDS[node.kind].key
        if key == "step":
            steps[node.step] = min(level, steps.get(node.step, level))
        elif key is not None:
            single[key] = min(level, single.get(key, level))
    return KeyLevels(dict(sorted(steps.items())), single.get("conjugation"), single.get("relinearization"))
