"""How a server computes: the interface of kernels, and the one that uses SEAL's operations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from slotlang_runtime.errors import DAMAGED_BYTES, NOT_EVALUATED, Rejected
from slotlang_runtime.keys import EvaluationKeys
from slotlang_runtime.masks import fresh_masks, hidden_in
from slotlang_runtime.module import Module, Name
from slotlang_runtime.operations import Evaluation, Operations
from slotlang_runtime.residues import Words
from slotlang_runtime.seal.halves import cipher_residues, half_bytes
from slotlang_runtime.seal.operations import SealOperations
from slotlang_runtime.seal.ring import Ring
from slotlang_runtime.seal.saved import load_ciphertext, load_plaintext, memory_file, saved

Ciphertexts: TypeAlias = dict[Name, Any]
"""An engine's own ciphertexts by name; None where one is zero everywhere."""

Masks: TypeAlias = Mapping[Name, list[Any]]


@dataclass(frozen=True, slots=True)
class Evaluated:
    """Results of one evaluation, with the operations executed and how many sums cancelled."""

    results: Ciphertexts
    counts: Counter[str]
    vanished: int


class Engine(Protocol):
    """One program's encoded weights, and the way they are multiplied. Never changes, so threads share it. ``note``: why
    another kernel than the module's is used; empty where none is. ``parallel``: whether evaluations in several threads
    run beside each other."""

    note: str
    parallel: bool

    @property
    def zeros(self) -> int:
        """The number of plaintexts that are zero everywhere; operations on them are left out."""

    def records(self) -> dict[str, bytes | None]:
        """The encoded weights as bytes, by name."""

    def load(self, records: Iterable[memoryview]) -> Ciphertexts:
        """Ciphertexts of the client, from their bytes, checked. Raises Rejected."""

    def masks(self) -> Masks:
        """Fresh masks for one evaluation."""

    def run(self, inputs: Ciphertexts, keys: EvaluationKeys, masks: Masks) -> Evaluated:
        """Evaluate, and hide what is not part of the results. Takes the inputs out of their dict. Raises Rejected."""

    def save(self, results: Ciphertexts) -> dict[str, bytes | None]:
        """Results as bytes: of those of which one part is read, that half of c0, and c1."""


class SealEngine:
    """SEAL's operations, one by one."""

    note = ""
    parallel = False

    def __init__(self, module: Module, ring: Ring, plain: dict[Name, Any]) -> None:
        self.module, self.ring, self.plain = module, ring, plain

    @classmethod
    def encode(cls, module: Module, ring: Ring, weights: dict[str, Any]) -> SealEngine:
        """Encode checked weights."""
        return cls(module, ring, encoded_plaintexts(module, ring, weights))

    @classmethod
    def from_records(cls, module: Module, ring: Ring, records: Mapping[Name, memoryview | None]) -> SealEngine:
        """Take weights from their bytes. Raises Rejected."""
        plain: dict[Name, Any] = {}
        with memory_file() as file:
            for name, family in module.encoded().items():
                record = records[name]
                plain[name] = None
                if record is not None:
                    scale = ring.plaintext_scale(family.level, family.products, family.added)
                    plain[name] = load_plaintext(ring, record, family.level, scale, file)
                    if plain[name].is_zero():
                        raise Rejected(
                            f"the plaintext {name!r} is zero, which is sent as nothing at all", DAMAGED_BYTES
                        )
        return cls(module, ring, plain)

    def operations(self, keys: EvaluationKeys) -> Operations[Any, Any]:
        """The backend of an evaluation with a client's keys."""
        return SealOperations(self.ring, keys.galois, keys.relin)

    @property
    def zeros(self) -> int:
        """Plaintexts that are zero everywhere."""
        return sum(plain is None for plain in self.plain.values())

    def records(self) -> dict[str, bytes | None]:
        """The encoded weights as bytes, by name."""
        return {repr(name): None if plain is None else saved(plain) for name, plain in self.plain.items()}

    def load(self, records: Iterable[memoryview]) -> Ciphertexts:
        """Ciphertexts of the client, from their bytes."""
        with memory_file() as file:
            pairs = zip(self.module.packed(), records, strict=True)
            return {name: load_ciphertext(self.ring, record, 0, file=file) for name, record in pairs}

    def masks(self) -> Masks:
        """Fresh masks for one evaluation."""
        return fresh_masks(self.ring, self.module)

    def run(self, inputs: Ciphertexts, keys: EvaluationKeys, masks: Masks) -> Evaluated:
        """Evaluate, and hide what is not part of the results."""
        module = self.module
        ev = Evaluation(self.operations(keys), module.parameters, module.slots)
        try:
            results = module.evaluate(ev, inputs, self.plain)
        except (RuntimeError, ValueError) as problem:
            if isinstance(problem, Rejected):
                raise
            raise Rejected(f"SEAL can't evaluate these ciphertexts: {problem}", NOT_EVALUATED) from None
        hidden = {name: ev.hide(results[name], masks.get(name, ())) for name in results}
        return Evaluated(hidden, ev.counts, ev.vanished)

    def save(self, results: Ciphertexts) -> dict[str, bytes | None]:
        """Results as bytes."""
        return {repr(name): None if value is None else self._sent(name, value) for name, value in results.items()}

    def _sent(self, name: Name, value: Any) -> bytes:
        hidden = hidden_in(self.module).get(name)
        if hidden is None or hidden.read_part is None:
            return saved(value)
        family = self.module.returned()[name]
        residues = self.residues(value, family.level, family.products)
        return half_bytes(self.ring, residues, family.level, family.products, hidden.read_part)

    def residues(self, value: Any, level: int, products: int) -> Words:
        """The residues of a ciphertext, polynomials x primes x degree. Raises Rejected for another level or scale."""
        return cipher_residues(self.ring, value, level, products)


def encoded_plaintexts(module: Module, ring: Any, weights: dict[str, Any]) -> dict[Name, Any]:
    """Every plaintext the evaluation multiplies or adds, encoded by a ring, from checked weights."""
    prepared = module.prepare(weights)
    return {
        (name, *index): ring.encode(
            family.function(prepared, *index), family.level, products=family.products, added=family.added
        )
        for (name, *index), family in module.encoded().items()
    }
