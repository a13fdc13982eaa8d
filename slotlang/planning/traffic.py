"""Bytes that are sent with parameters: counted once for a draft, and then a sum for any number of parameters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

from slotlang.planning.parameters import Parameters

if TYPE_CHECKING:
    from slotlang.planning.plan import Draft

REQUESTS = 16
"""How many requests the keys of a client are counted for, where what results are sent as is chosen."""


@dataclass(frozen=True)
class Traffic:
    """``inputs``: ciphertexts that go up. ``results``: ciphertexts that go down, by the primes that they have dropped
    and whether half of c0 is sent. ``switching``: keys by their first level."""

    inputs: int
    results: Mapping[tuple[int, bool], int]
    switching: Mapping[int, int]

    @classmethod
    def of(cls, draft: Draft) -> Traffic:
        """That of a draft."""
        halves = draft.hiding.halves
        results = Counter((level, member in halves) for member, level in draft.graph.results().items())
        return cls(draft.counts.ciphertexts_in, results, draft.key_levels.switching)

    def request(self, p: Parameters) -> int:
        """Bytes of inputs and results, without headers."""
        down = sum(count * p.result_bytes(level, halved=halved) for (level, halved), count in self.results.items())
        return self.inputs * p.sent_bytes(seeded=True) + down

    def sent(self, p: Parameters) -> int:
        """Bytes of keys, inputs and results together."""
        return self.request(p) + p.sent_keys_bytes(self.switching)

    def requests(self, most: float, p: Parameters) -> float:
        """Bytes of inputs and results of a request, and its share of those of keys; infinite where all together are
        more than ``most``."""
        request, keys = self.request(p), p.sent_keys_bytes(self.switching)
        return inf if request + keys > most else request + keys / REQUESTS
