"""How a server computes: the interface of kernels, and the one that uses SEAL's operations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from slotlang_runtime.cutting import Transform
from slotlang_runtime.errors import NOT_EVALUATED, Rejected
from slotlang_runtime.keys import EvaluationKeys
from slotlang_runtime.masks import fresh_masks, hidden_in
from slotlang_runtime.module import Module, Name
from slotlang_runtime.operations import Evaluation, Operations
from slotlang_runtime.records import plaintext_record, read_fresh, read_plaintext, result_record
from slotlang_runtime.residues import Words
from slotlang_runtime.seal.memory import ciphertext_of, plaintext_of, residues_at, residues_of
from slotlang_runtime.seal.operations import SealOperations
from slotlang_runtime.seal.ring import Ring

Ciphertexts: TypeAlias = dict[Name, Any]
"""An engine's own ciphertexts by name; None where one is zero everywhere."""

Masks: TypeAlias = Mapping[Name, list[Any]]


@dataclass(frozen=True, slots=True)
class Evaluated:
    """Results of one evaluation, with the operations executed and how many sums cancelled."""

    results: Ciphertexts
    counts: Counter[str]
    vanished: int


class Team(Protocol):
    """The threads that share one evaluation's work at a time: the one that evaluates, and any others that help."""

    def help(self) -> bool:
        """Do a part of the work as long as there is some; whether the evaluation goes on."""

    def leave(self) -> None:
        """Send the helpers away."""


class Engine(Protocol):
    """One program's encoded weights, and the way they are multiplied. Never changes, so threads share it. ``note``: why
    another kernel than the module's is used; empty where none is. ``parallel``: whether evaluations in several threads
    run beside each other."""

    note: str
    parallel: bool

    @property
    def zeros(self) -> int:
        """The number of plaintexts that are zero everywhere; operations on them are left out."""

    @property
    def memory_bytes(self) -> int:
        """Memory of the encoded weights."""

    @property
    def expanded_bytes(self) -> int:
        """Memory of ``expanded``."""

    def compact(self) -> Engine:
        """The same weights in a form that takes less memory, and more time when they are used; itself where there is
        none."""

    def expanded(self) -> Engine:
        """The same weights in the form that takes the least time."""

    def records(self) -> dict[str, bytes | None]:
        """The encoded weights as bytes, by name."""

    def load(self, records: Iterable[memoryview]) -> Ciphertexts:
        """Ciphertexts of the client, from their bytes, checked. Raises Rejected."""

    def masks(self) -> Masks:
        """Fresh masks for one evaluation."""

    def team(self) -> Team | None:
        """A team for one evaluation; None where helpers can do nothing."""

    def run(self, inputs: Ciphertexts, keys: EvaluationKeys, masks: Masks, team: Any = None) -> Evaluated:
        """Evaluate, and hide what is not part of the results. Takes the inputs out of their dict. ``team``: one of this
        engine, whose helpers share the work. Raises Rejected."""

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
        for name, family in module.encoded().items():
            record, scale = records[name], ring.plaintext_scale(family.level, family.products, family.added)
            words = None if record is None else read_plaintext(record, ring, family.level, scale)
            plain[name] = None if words is None else plaintext_of(ring, words, family.level, scale)
        return cls(module, ring, plain)

    def operations(self, keys: EvaluationKeys) -> Operations[Any, Any]:
        """The backend of an evaluation with a client's keys."""
        return SealOperations(self.ring, keys.galois, keys.relin)

    @property
    def zeros(self) -> int:
        """Plaintexts that are zero everywhere."""
        return sum(plain is None for plain in self.plain.values())

    @property
    def memory_bytes(self) -> int:
        """Memory of the plaintexts."""
        primes = [len(self.ring.primes(f.level)) for n, f in self.module.encoded().items() if self.plain[n] is not None]
        return 8 * self.ring.degree * sum(primes)

    @property
    def expanded_bytes(self) -> int:
        """The same."""
        return self.memory_bytes

    def compact(self) -> SealEngine:
        """SEAL multiplies by residues alone."""
        return self

    def expanded(self) -> SealEngine:
        """Itself."""
        return self

    def records(self) -> dict[str, bytes | None]:
        """The encoded weights as bytes, by name."""
        found: dict[str, bytes | None] = {}
        for name, family in self.module.encoded().items():
            plain = self.plain[name]
            found[repr(name)] = (
                None
                if plain is None
                else plaintext_record(self.ring, residues_of(self.ring, plain), family.level, plain.scale)
            )
        return found

    def load(self, records: Iterable[memoryview]) -> Ciphertexts:
        """Ciphertexts of the client, from their bytes."""
        ring, pairs = self.ring, zip(self.module.packed(), records, strict=True)
        return {name: ciphertext_of(ring, read_fresh(record, ring), 0, ring.scale(0)) for name, record in pairs}

    def masks(self) -> Masks:
        """Fresh masks for one evaluation."""
        return fresh_masks(self.ring, self.module)

    def team(self) -> None:
        """SEAL's operations hold Python's lock."""

    def run(self, inputs: Ciphertexts, keys: EvaluationKeys, masks: Masks, team: Any = None) -> Evaluated:
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
        ring, families = self.ring, self.module.returned()
        return saved_results(
            self.module,
            ring,
            {
                name: None
                if value is None
                else residues_at(
                    ring, value, families[name].level, ring.scale(families[name].level, families[name].products)
                )
                for name, value in results.items()
            },
        )


def saved_results(
    module: Module, ring: Ring, results: Mapping[Name, Words | None], back: Transform | None = None
) -> dict[str, bytes | None]:
    """The records of results, from their residues: polynomials x primes x degree; None where one is zero everywhere.
    ``back``: transforms back where bits are cut off, in place of SEAL."""
    families, hidden = module.returned(), hidden_in(module)
    records: dict[str, bytes | None] = {}
    for name, residues in results.items():
        family, part = families[name], hidden[name].read_part if name in hidden else None
        records[repr(name)] = (
            None if residues is None else result_record(ring, residues, family.level, family.products, part, back)
        )
    return records


def encoded_plaintexts(module: Module, ring: Any, weights: dict[str, Any]) -> dict[Name, Any]:
    """Every plaintext the evaluation multiplies or adds, encoded by a ring, from checked weights."""
    prepared = module.prepare(weights)
    return {
        (name, *index): ring.encode(
            family.function(prepared, *index), family.level, products=family.products, added=family.added
        )
        for (name, *index), family in module.encoded().items()
    }
