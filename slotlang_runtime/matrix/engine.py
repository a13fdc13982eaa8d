"""Evaluation by matrix products over residues."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from slotlang_runtime.engine import Ciphertexts, Evaluated, Masks, SealEngine, encoded_plaintexts, saved_results
from slotlang_runtime.errors import DAMAGED_BYTES, Rejected
from slotlang_runtime.keys import EvaluationKeys
from slotlang_runtime.masks import fresh_masks
from slotlang_runtime.matrix.constants import Constant, Constants, Impossible
from slotlang_runtime.matrix.products import Matrices, Memory
from slotlang_runtime.matrix.recording import Plan
from slotlang_runtime.module import Module, Name
from slotlang_runtime.records import read_fresh
from slotlang_runtime.residues import Words
from slotlang_runtime.seal.memory import residues_of
from slotlang_runtime.seal.ring import Ring


class MatrixEngine:
    """Evaluates by matrix products, and by SEAL's operations where ``note`` says why."""

    def __init__(self, module: Module, ring: Ring, constants: dict[Name, Constant | None]) -> None:
        self.module, self.ring, self.constants = module, ring, constants
        self.note = ""
        self._memory = Memory()
        self._matrices: Matrices | None = None
        self._seal: SealEngine | None = None
        self.parallel = True
        encoder = Constants(module.parameters, module.slots)
        try:
            self.plan = Plan(module, encoder, constants)
            self._matrices = Matrices(encoder, self.plan)
        except Impossible as reason:
            self.note = f"evaluated by SEAL's operations, for matrices can't: {reason}"
            plain = {name: None if c is None else encoder.plaintext(c) for name, c in constants.items()}
            self._seal, self.parallel = SealEngine(module, ring, plain), False

    @classmethod
    def encode(cls, module: Module, ring: Ring, weights: dict[str, Any]) -> MatrixEngine:
        """Encode checked weights."""
        return cls(module, ring, encoded_plaintexts(module, Constants(module.parameters, module.slots), weights))

    @classmethod
    def from_records(cls, module: Module, ring: Ring, records: Mapping[Name, memoryview | None]) -> MatrixEngine:
        """Take weights from their bytes: integers. Raises Rejected."""
        constants: dict[Name, Constant | None] = {}
        for name, family in module.encoded().items():
            record = records[name]
            constants[name] = None
            if record is not None:
                number = int.from_bytes(record, "little", signed=True)
                if not number or len(record) != number.bit_length() // 8 + 1:
                    raise Rejected(f"the constant {name!r} is not written as this program writes it", DAMAGED_BYTES)
                if 2 * abs(number) >= math.prod(ring.primes(family.level)):
                    raise Rejected(f"the constant {name!r} is larger than the modulus", DAMAGED_BYTES)
                constants[name] = Constant(number, family.level, ring.factor(family.level, family.products))
        return cls(module, ring, constants)

    @property
    def zeros(self) -> int:
        """The number of constants that are zero."""
        return sum(constant is None for constant in self.constants.values())

    @property
    def memory_bytes(self) -> int:
        """Memory of the constants: an integer each; of plaintexts, where SEAL's operations evaluate."""
        if self._seal is not None:
            return self._seal.memory_bytes
        return sum(c.number.bit_length() // 8 + 1 for c in self.constants.values() if c is not None)

    @property
    def expanded_bytes(self) -> int:
        """The same."""
        return self.memory_bytes

    def compact(self) -> MatrixEngine:
        """Itself: these are integers."""
        return self

    def expanded(self) -> MatrixEngine:
        """Itself."""
        return self

    def records(self) -> dict[str, bytes | None]:
        """The encoded weights as bytes, by name: integers."""
        records: dict[str, bytes | None] = {}
        for name, constant in self.constants.items():
            number = 0 if constant is None else constant.number
            data = number.to_bytes(number.bit_length() // 8 + 1, "little", signed=True)
            records[repr(name)] = data if number else None
        return records

    def load(self, records: Iterable[memoryview]) -> Ciphertexts:
        """Residues of the client's ciphertexts, by name."""
        if self._seal is not None:
            return self._seal.load(records)
        names = list(self.module.packed())
        rooms = self._memory(len(names), 2, len(self.ring.primes(0)), self.ring.degree)
        triples = zip(names, records, rooms, strict=True)
        return {name: read_fresh(record, self.ring, out=room) for name, record, room in triples}

    def masks(self) -> Masks:
        """Fresh masks for one evaluation, as residues."""
        made = fresh_masks(self.ring, self.module)
        if self._seal is not None:
            return made
        return {name: [residues_of(self.ring, mask) for mask in masks] for name, masks in made.items()}

    def team(self) -> None:
        """BLAS has the work in one piece."""

    def run(self, inputs: Ciphertexts, keys: EvaluationKeys, masks: Masks, team: Any = None) -> Evaluated:
        """Evaluate, and hide what is not part of the results."""
        if self._matrices is None:
            assert self._seal is not None
            return self._seal.run(inputs, keys, masks)
        results = self._matrices(inputs)
        counts = Counter(self.plan.counts)
        vanished = sum(results[name] is None for name, value in self.plan.results.items() if value is not None)
        for name, value in results.items():
            if value is not None and name in masks:
                counts["masks"] += len(masks[name])
                results[name] = add_masks(self.ring, value, masks[name])
        return Evaluated(results, counts, vanished)

    def save(self, results: Ciphertexts) -> dict[str, bytes | None]:
        """Results as bytes."""
        if self._seal is not None:
            return self._seal.save(results)
        return saved_results(self.module, self.ring, results)


def add_masks(ring: Ring, value: Words, masks: Sequence[Words]) -> Words:
    """Add masks to the first polynomial, in place."""
    primes = np.array(ring.primes(0), np.uint64)[:, None]
    for mask in masks:
        total = value[0] + mask
        # of a sum below the prime, the difference wraps around and is the larger one
        np.minimum(total, total - primes, out=value[0])
    return value
