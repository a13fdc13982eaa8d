"""What travels, to SEAL's saved objects and back. Objects that are imported are read field by field before SEAL sees
them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from slotlang_runtime.errors import BAD_ARGUMENT, DAMAGED_BYTES, Rejected
from slotlang_runtime.keys import KIND, EvaluationKeys
from slotlang_runtime.labels import check_label, inputs_label, limits_label, module_label, ring_label
from slotlang_runtime.limits import Limit
from slotlang_runtime.masks import hidden_in
from slotlang_runtime.module import Module
from slotlang_runtime.parameters import RELINEARIZATION, RingParameters
from slotlang_runtime.records import key_record, read_fresh, read_result, result_record
from slotlang_runtime.seal.memory import polynomials_of
from slotlang_runtime.seal.ring import Ring, context_of
from slotlang_runtime.seal.saved import ciphertext_bytes, load_ciphertext, saved, seeded_keys
from slotlang_runtime.wire import pack, unpack


def inputs_to_seal(module: Module, upload: bytes) -> list[bytes]:
    """A client's inputs as SEAL's ciphertexts, in the order in which the module packs them. Raises Rejected."""
    ring, box = Ring(module.parameters, module.slots), unpack("inputs", upload)
    check_label(box, inputs_label(module), module)
    records = box.exactly(str(number) for number in range(len(module.packed())))
    if None in records:
        raise Rejected("an input is missing", DAMAGED_BYTES)
    words = (read_fresh(record, ring) for record in records if record is not None)
    return [ciphertext_bytes(ring, residues, 0, ring.scale(0)) for residues in words]


def inputs_from_seal(module: Module, objects: Sequence[bytes], *, limits: Mapping[str, Limit] | None = None) -> bytes:
    """An upload of SEAL's ciphertexts, seeded or not. ``limits``: those that the inputs were checked against, if they
    are smaller than the module's. Raises Rejected."""
    ring = Ring(module.parameters, module.slots)
    if len(objects) != len(module.packed()):
        raise Rejected(f"{module.name} takes {len(module.packed())} ciphertexts, not {len(objects)}", BAD_ARGUMENT)
    held = {name: limit.meet((limits or {}).get(name)) for name, limit in module.limits.items()}
    words = (polynomials_of(ring, load_ciphertext(ring, data, 0)) for data in objects)
    records = {str(number): result_record(ring, residues, 0, 0, None) for number, residues in enumerate(words)}
    return pack("inputs", {**inputs_label(module), "limits": limits_label(held)}, records)


def results_to_seal(module: Module, data: bytes) -> dict[str, bytes | None]:
    """Results as SEAL's ciphertexts, by name; None where one is zero. Raises Rejected, also for a result of which half
    of c0 is sent: no object of SEAL holds that."""
    ring, box, hidden = Ring(module.parameters, module.slots), unpack("results", data), hidden_in(module)
    check_label(box, module_label(module), module)
    families = module.returned()
    found: dict[str, bytes | None] = {}
    for (name, family), record in zip(families.items(), box.exactly(map(repr, families)), strict=True):
        if name in hidden and hidden[name].read_part:
            raise Rejected(f"of {name[0]} half of c0 is sent, which is not a ciphertext of SEAL", BAD_ARGUMENT)
        found[repr(name)] = None
        if record is not None:
            words = read_result(record, ring, family.level, family.products, None)
            scale = ring.scale(family.level, family.products)
            found[repr(name)] = ciphertext_bytes(ring, words, family.level, scale)
    return found


def keys_to_seal(data: bytes) -> tuple[bytes | None, bytes | None]:
    """Evaluation keys as SEAL's Galois keys and relinearisation keys; None where there are none. Raises Rejected."""
    keys = EvaluationKeys.from_bytes(data)
    galois, relin = keys.galois, keys.relin
    return None if galois is None else saved(galois), None if relin is None else saved(relin)


def keys_from_seal(ring: RingParameters, elements: Sequence[int], galois: bytes | None, relin: bytes | None) -> bytes:
    """Bytes for the server, of seeded keys that SEAL saved: Galois keys of these elements, and relinearisation keys.
    Raises Rejected."""
    context, found = context_of(ring), dict[int, Any]()
    if relin is not None:
        (found[RELINEARIZATION],) = seeded_keys(context, relin, [0])
    if galois is not None:
        ordered = sorted(elements)
        keys = seeded_keys(context, galois, [(element - 1) // 2 for element in ordered])
        found.update(zip(ordered, keys, strict=True))
    records = {str(element): key_record(context, digits, 0) for element, digits in found.items()}
    made = pack(KIND, {**ring_label(ring), "keys": [[element, 0] for element in found]}, records)
    # checked as what a server gets
    EvaluationKeys.from_bytes(made)
    return made
