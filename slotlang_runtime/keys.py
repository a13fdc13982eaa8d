"""A client's evaluation keys, as the server holds them. They can't decrypt."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import tenseal.sealapi as seal

from slotlang_runtime.errors import BYTES_OF_ANOTHER, DAMAGED_BYTES, Rejected
from slotlang_runtime.labels import check_ring, ring_label, ring_of
from slotlang_runtime.module import Module
from slotlang_runtime.parameters import RELINEARIZATION, Parameters, RingParameters
from slotlang_runtime.records import GivenKey, Key, key_record
from slotlang_runtime.residues import Words
from slotlang_runtime.seal.ring import Context, context_of
from slotlang_runtime.seal.saved import held_keys, objects_of
from slotlang_runtime.seal.written import keys_of
from slotlang_runtime.wire import Box, unpack

KIND = "evaluation keys"


@dataclass(frozen=True, eq=False)
class EvaluationKeys:
    """Keys for key switches, by Galois element; the one for products of ciphertexts under RELINEARIZATION. They serve
    every program of the ring that needs only these keys, in any number of threads."""

    ring: RingParameters
    keys: Mapping[int, Key | GivenKey]

    @classmethod
    def from_bytes(cls, data: bytes) -> EvaluationKeys:
        """The keys that ``SecretKey.evaluation_keys`` made, checked to be exactly what they say they are. Raises
        Rejected."""
        box = unpack(KIND, data)
        ring = ring_of(box)
        levels = _levels(box, ring)
        context, keys = context_of(ring), {}
        for (element, level), record in zip(levels.items(), box.exactly(map(str, levels)), strict=True):
            if record is None:
                raise Rejected(f"the key {element} is missing from these {KIND}", DAMAGED_BYTES)
            keys[element] = Key.read(record, context, level)
        return cls(ring, keys)

    @classmethod
    def from_seal(cls, ring: RingParameters, data: bytes | memoryview) -> EvaluationKeys:
        """Keys that SEAL saved for a ring: its Galois keys, its relinearisation keys, or both, one object after the
        other; seeded or not, checked field by field. Keys that a program does not need do no harm. Raises Rejected."""
        context, found = context_of(ring), dict[int, Key | GivenKey]()
        for one in objects_of(data):
            places, held = held_keys(context, one)
            # the key of a Galois element, which is odd, stands at half of it
            named = {RELINEARIZATION if places == 1 else 2 * place + 1: digits for place, digits in held.items()}
            if places > 1 and 0 in held:
                raise Rejected("these Galois keys have one that moves nothing", DAMAGED_BYTES)
            if not found.keys().isdisjoint(named):
                raise Rejected(f"these {KIND} have a key twice", DAMAGED_BYTES)
            found.update({element: _imported(context, digits) for element, digits in named.items()})
        return cls(ring, dict(sorted(found.items())))

    @property
    def elements(self) -> frozenset[int]:
        """The Galois elements that have a key."""
        return frozenset(self.keys) - {RELINEARIZATION}

    def words(self, element: int) -> Words:
        """The residues of a key, digits x 2 x primes x degree with the key prime last, made anew from its seeds."""
        return self.keys[element].words()

    @cached_property
    def galois(self) -> Any:
        """SEAL's object of all Galois keys, made when it is first asked for; None where there are none."""
        places = {(element - 1) // 2: key.whole for element, key in self.keys.items() if element != RELINEARIZATION}
        return keys_of(context_of(self.ring), seal.GaloisKeys, self.ring.degree, places) if places else None

    @cached_property
    def relin(self) -> Any:
        """SEAL's object of the key for products of ciphertexts; None where there is none."""
        key = self.keys.get(RELINEARIZATION)
        return None if key is None else keys_of(context_of(self.ring), seal.RelinKeys, 1, {0: key.whole})

    def check(self, module: Module) -> None:
        """Raise Rejected unless these keys serve a program."""
        check_ring(KIND, self.ring, module)
        p = module.parameters
        levels = p.first_levels
        lacking = levels.keys() - self.keys.keys()
        if lacking:
            raise Rejected(f"{module.name} needs {_named(p, lacking)}, and these {KIND} have none", BYTES_OF_ANOTHER)
        short = {element for element, level in levels.items() if self.keys[element].level > level}
        if short:
            held, used = max(self.keys[e].level for e in short), min(levels[e] for e in short)
            raise Rejected(
                f"{module.name} needs {_named(p, short)} from level {used} on, and these {KIND} have them from level "
                f"{held} on, as they were made for other programs",
                BYTES_OF_ANOTHER,
            )


def _imported(context: Context, digits: Sequence[tuple[Words, bytes | None]]) -> Key | GivenKey:
    """A key for all levels, of digits that were read: packed where it is given by seeds."""
    seeded = [(residues[0], seed) for residues, seed in digits if seed is not None]
    if len(seeded) == len(digits):
        return Key.read(key_record(context, seeded, 0), context, 0)
    if seeded:
        raise Rejected("some digits of a key have seeds and some do not", DAMAGED_BYTES)
    return GivenKey(np.stack([residues for residues, _ in digits]))


def _named(p: Parameters, elements: Collection[int]) -> str:
    """Keys in words: those for rotations, else that for conjugation, else that for products."""
    steps = [step for step in p.rotations if pow(3, step, 2 * p.degree) in elements]
    if steps:
        return f"Galois keys for rotations by {', '.join(map(str, steps[:8]))}"
    return "Galois keys for conjugation" if 2 * p.degree - 1 in elements else "a relinearization key"


def _levels(box: Box, ring: RingParameters) -> dict[int, int]:
    """Elements and levels as a label lists them, checked."""
    listed = box.label.get("keys")
    if set(box.label) != {*ring_label(ring), "keys"} or not isinstance(listed, list):
        raise Rejected("these evaluation keys do not say what they are", DAMAGED_BYTES)
    for entry in listed:
        if not isinstance(entry, list) or len(entry) != 2 or any(type(number) is not int for number in entry):
            raise Rejected("these evaluation keys do not say what they are", DAMAGED_BYTES)
        element, level = entry
        if not 0 < element < 2 * ring.degree or not element % 2:
            raise Rejected("these evaluation keys name Galois elements that do not exist", DAMAGED_BYTES)
        if not 0 <= level < len(ring.prime_bits) - 1:
            raise Rejected("these evaluation keys name levels that do not exist", DAMAGED_BYTES)
    elements = [element for element, _ in listed]
    if elements != sorted(set(elements)):
        raise Rejected("these evaluation keys name a Galois element twice, or out of order", DAMAGED_BYTES)
    return dict(listed)
