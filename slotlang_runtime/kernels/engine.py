"""Evaluation on residues in the runtime's own arrays, by compiled kernels."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import Any
from weakref import WeakKeyDictionary

from slotlang_runtime.coding import Coder
from slotlang_runtime.engine import Ciphertexts, Evaluated, Masks, encoded_plaintexts, saved_results
from slotlang_runtime.kernels.compact import Compact, compacted, expanded
from slotlang_runtime.kernels.operations import Encoded, ResidueOperations
from slotlang_runtime.kernels.residues import ArrangedKey, Ciphertext, Plaintext, ResidueRing
from slotlang_runtime.kernels.selftest import tested
from slotlang_runtime.kernels.team import Team
from slotlang_runtime.keys import EvaluationKeys
from slotlang_runtime.masks import fresh_masks
from slotlang_runtime.module import Module, Name, Plaintexts
from slotlang_runtime.operations import Evaluation
from slotlang_runtime.records import plaintext_record, read_fresh, read_plaintext
from slotlang_runtime.residues import Words
from slotlang_runtime.seal.memory import residues_of
from slotlang_runtime.seal.ring import Ring

_ARRANGED: WeakKeyDictionary[EvaluationKeys, dict[int, ArrangedKey]] = WeakKeyDictionary()
"""Keys as kernels read them, by Galois element: made when first used, as long as a client's keys are there."""

_LOCK = threading.Lock()


def arranged_key(ring: ResidueRing, keys: EvaluationKeys, element: int) -> ArrangedKey:
    """A client's key for a Galois element."""
    with _LOCK:
        held = _ARRANGED.setdefault(keys, {})
    if element not in held:
        # two threads may both make it: the same words, of which one copy stays
        held.setdefault(element, ring.key(keys.words(element)))
    return held[element]


class ResidueEngine:
    """Compiled kernels on residues."""

    note = ""
    parallel = True

    def __init__(self, module: Module, ring: ResidueRing, plain: Mapping[Name, Encoded | None]) -> None:
        self.module, self.ring, self.plain = module, ring, plain

    @classmethod
    def encode(cls, module: Module, ring: Ring, weights: dict[str, Any]) -> ResidueEngine:
        """Encode checked weights. Raises Unavailable."""
        own, families = tested(ring), module.encoded()
        words = encoded_plaintexts(module, Coder(ring), weights)
        # each is given up when it is copied, so that weights are not held twice
        return cls(module, own, {name: _plaintext(own, families[name], words.pop(name)) for name in families})

    @classmethod
    def from_records(cls, module: Module, ring: Ring, records: Mapping[Name, memoryview | None]) -> ResidueEngine:
        """Take weights from their bytes. Raises Rejected and Unavailable."""
        own, plain = tested(ring), dict[Name, Plaintext | None]()
        for name, family in module.encoded().items():
            record, scale = records[name], ring.plaintext_scale(family.level, family.products, family.added)
            words = None if record is None else read_plaintext(record, ring, family.level, scale)
            plain[name] = _plaintext(own, family, words)
        return cls(module, own, plain)

    @property
    def zeros(self) -> int:
        """Plaintexts that are zero everywhere."""
        return sum(plain is None for plain in self.plain.values())

    @property
    def memory_bytes(self) -> int:
        """Memory of the plaintexts."""
        held = (plain for plain in self.plain.values() if plain is not None)
        return sum(p.size(self.ring.degree) if isinstance(p, Compact) else self._whole(p) for p in held)

    @property
    def expanded_bytes(self) -> int:
        """Memory of the plaintexts as residues."""
        return sum(self._whole(plain) for plain in self.plain.values() if plain is not None)

    def _whole(self, plain: Encoded) -> int:
        return 8 * self.ring.stride * self.ring.primes(plain.level)

    def compact(self) -> ResidueEngine:
        """The same weights as coefficients, which are expanded when they are used."""
        families, plain = self.module.encoded(), dict[Name, Encoded | None]()
        for name, held in self.plain.items():
            plain[name] = compacted(self.ring, held, families[name].added) if isinstance(held, Plaintext) else held
        return ResidueEngine(self.module, self.ring, plain)

    def expanded(self) -> ResidueEngine:
        """The same weights as residues."""
        ring, plain = self.ring, dict[Name, Encoded | None]()
        for name, held in self.plain.items():
            plain[name] = held
            if isinstance(held, Compact):
                plain[name] = expanded(ring, held, ring.kept_rows(ring.primes(held.level)))
        return ResidueEngine(self.module, ring, plain)

    def records(self) -> dict[str, bytes | None]:
        """The encoded weights as bytes, by name."""
        families, made = self.module.encoded(), dict[str, bytes | None]()
        for name, held in self.plain.items():
            made[repr(name)] = None
            plain = expanded(self.ring, held) if isinstance(held, Compact) else held
            if plain is not None:
                words = self.ring.plaintext_words(plain, families[name].added)
                made[repr(name)] = plaintext_record(self.ring.ring, words, plain.level, plain.scale)
        return made

    def load(self, records: Iterable[memoryview]) -> Ciphertexts:
        """Ciphertexts of the client, from their bytes."""
        return {name: self._loaded(record) for name, record in zip(self.module.packed(), records, strict=True)}

    def _loaded(self, record: memoryview) -> Ciphertext:
        ring = self.ring.ring
        made = self.ring.ciphertext(2, 0, ring.scale(0))
        held = self.ring.held(made)
        words = read_fresh(record, ring, out=held)
        return made if held is not None else self.ring.taken(words, 0, made.scale)

    def masks(self) -> Masks:
        """Fresh masks for one evaluation."""
        families, ring = self.module.returned(), self.ring.ring
        return {
            name: [
                self.ring.plaintext(residues_of(ring, plain), families[name].level, plain.scale, added=True)
                for plain in masks
            ]
            for name, masks in fresh_masks(ring, self.module).items()
        }

    def team(self) -> Team:
        """Helpers take parts of kernels."""
        return Team()

    def run(self, inputs: Ciphertexts, keys: EvaluationKeys, masks: Masks, team: Team | None = None) -> Evaluated:
        """Evaluate, and hide what is not part of the results."""
        module, ring = self.module, self.ring
        kernels = ring.kernels if team is None else team.kernels(ring.kernels)
        operations = ResidueOperations(ring, lambda element: arranged_key(ring, keys, element), kernels)
        ev = Evaluation(operations, module.parameters, module.slots)
        results = module.evaluate(ev, inputs, self.plain)
        hidden = {name: ev.hide(results[name], masks.get(name, ())) for name in results}
        settled = {name: None if a is None else operations.settled(a) for name, a in hidden.items()}
        return Evaluated(settled, ev.counts, ev.vanished)

    def save(self, results: Ciphertexts) -> dict[str, bytes | None]:
        """Results as bytes: of those of which one part is read, that half of c0, and c1."""
        # what stands in the arrays of results is used no longer than these are there
        words = {name: None if value is None else self._words(value) for name, value in results.items()}
        return saved_results(self.module, self.ring.ring, words, lambda rows, _: self.ring.untransformed(rows))

    def _words(self, value: Ciphertext) -> Words:
        held = self.ring.held(value)
        return self.ring.given(value) if held is None else held


def _plaintext(ring: ResidueRing, family: Plaintexts, words: Words | None) -> Plaintext | None:
    if words is None:
        return None
    scale = ring.ring.plaintext_scale(family.level, family.products, family.added)
    return ring.plaintext(words, family.level, scale, family.added, ring.kept_rows(ring.primes(family.level)))
