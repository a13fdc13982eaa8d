"""A client's evaluation keys, as the server holds them. They can't decrypt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import tenseal.sealapi as seal

from slotlang_runtime.errors import BYTES_OF_ANOTHER, DAMAGED_BYTES, Rejected
from slotlang_runtime.labels import check_ring, ring_label, ring_of
from slotlang_runtime.module import Module
from slotlang_runtime.parameters import RingParameters
from slotlang_runtime.seal.ring import context_of
from slotlang_runtime.seal.saved import load_keys
from slotlang_runtime.wire import unpack

KIND = "evaluation keys"


@dataclass(frozen=True, eq=False)
class EvaluationKeys:
    """Keys for key switches: one for each Galois element, and one for products of ciphertexts where ``relin`` is not
    None. They serve every program of the ring that needs only these keys, in any number of threads."""

    ring: RingParameters
    elements: frozenset[int]
    galois: Any
    relin: Any

    @classmethod
    def from_bytes(cls, data: bytes) -> EvaluationKeys:
        """The keys that ``SecretKey.evaluation_keys`` made, checked to be exactly what they say they are. Raises
        Rejected."""
        box = unpack(KIND, data)
        ring = ring_of(box)
        elements, relinearization = box.label.get("elements"), box.label.get("relinearization")
        galois_record, relin_record = box.exactly(["galois", "relin"])
        if set(box.label) != {*ring_label(ring), "elements", "relinearization"} or type(relinearization) is not bool:
            raise Rejected("these evaluation keys do not say what they are", DAMAGED_BYTES)
        if not isinstance(elements, list) or not all(
            type(e) is int and e % 2 and 1 < e < 2 * ring.degree for e in elements
        ):
            raise Rejected("these evaluation keys name Galois elements that do not exist", DAMAGED_BYTES)
        if elements != sorted(set(elements)):
            raise Rejected("these evaluation keys name a Galois element twice, or out of order", DAMAGED_BYTES)
        if bool(elements) != (galois_record is not None):
            raise Rejected("these evaluation keys hold no Galois keys, or some that they do not name", DAMAGED_BYTES)
        if relinearization != (relin_record is not None):
            raise Rejected(
                "these evaluation keys hold no relinearization key, or one that they do not name", DAMAGED_BYTES
            )
        context = context_of(ring)
        galois = relin = None
        if galois_record is not None:
            wanted = {(element - 1) // 2 for element in elements}
            galois = load_keys(context, seal.GaloisKeys, galois_record, ring.degree, wanted)
        if relin_record is not None:
            relin = load_keys(context, seal.RelinKeys, relin_record, 1, {0})
        return cls(ring, frozenset(elements), galois, relin)

    def check(self, module: Module) -> None:
        """Raise Rejected unless these keys serve a program."""
        check_ring(KIND, self.ring, module)
        p = module.parameters
        if not self.elements.issuperset(p.galois_elements):
            missing = [step for step in p.rotations if pow(3, step, 2 * p.degree) not in self.elements]
            what = f"rotations by {', '.join(map(str, missing[:8]))}" if missing else "conjugation"
            raise Rejected(f"{module.name} needs Galois keys for {what}, and these {KIND} have none", BYTES_OF_ANOTHER)
        if p.relinearization and self.relin is None:
            raise Rejected(f"{module.name} needs a relinearization key, and these {KIND} have none", BYTES_OF_ANOTHER)
