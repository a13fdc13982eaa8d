"""What travels, to SEAL's saved objects and back. Objects that are imported are read field by field before SEAL sees
them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from slotlang_runtime.amounts import count_of
from slotlang_runtime.errors import BAD_ARGUMENT, DAMAGED_BYTES, LOWER, Rejected
from slotlang_runtime.keys import KIND, EvaluationKeys
from slotlang_runtime.labels import check_label, inputs_label, limits_label, module_label, ring_label
from slotlang_runtime.limits import Limit
from slotlang_runtime.masks import hidden_in
from slotlang_runtime.module import Module
from slotlang_runtime.parameters import RELINEARIZATION, RingParameters
from slotlang_runtime.records import key_record, read_fresh, read_result, read_seeded, result_record
from slotlang_runtime.residues import Words
from slotlang_runtime.seal.memory import polynomials_of
from slotlang_runtime.seal.ring import Ring, context_of
from slotlang_runtime.seal.saved import ciphertext_bytes, load_ciphertext, objects_of, saved, seeded_keys
from slotlang_runtime.seal.written import seeded_ciphertext
from slotlang_runtime.wire import pack, unpack

Wire: TypeAlias = Literal["slotlang", "seal"]
"""What clients and servers exchange: containers of the runtime's own format, or objects that SEAL saves, one after the
other: inputs as the module packs them, results as it returns them, Galois keys and then relinearisation keys."""


def check_wire(wire: str, module: Module) -> None:
    """Raise Rejected for a wire that does not exist, or that a program's results can't be sent on."""
    if wire not in get_args(Wire):
        raise Rejected(f"a wire is one of {', '.join(get_args(Wire))}, not {wire!s:.40}", BAD_ARGUMENT)
    if wire == "seal":
        check_whole(module)


def check_whole(module: Module) -> None:
    """Raise Rejected unless every result of a program is sent as a ciphertext that SEAL has."""
    hidden, ring = hidden_in(module), module.parameters
    half = [name[0] for name, one in hidden.items() if one.read_part]
    hint = f"{LOWER} with --wire seal"
    if half:
        raise Rejected(f"of {half[0]} half of c0 is sent, which is not a ciphertext of SEAL", BAD_ARGUMENT, hint)
    if ring.cut:
        raise Rejected("results are sent without last bits, which no ciphertext of SEAL is", BAD_ARGUMENT, hint)


def inputs_to_seal(module: Module, upload: bytes) -> list[bytes]:
    """A client's inputs as SEAL's ciphertexts, in the order in which the module packs them; seeded, as far as they are.
    Raises Rejected."""
    ring, box = Ring(module.parameters, module.slots), unpack("inputs", upload)
    check_label(box, inputs_label(module), module)
    records = box.exactly(str(number) for number in range(len(module.packed())))
    found = []
    for record in records:
        if record is None:
            raise Rejected("an input is missing", DAMAGED_BYTES)
        seeded = read_seeded(record, ring)
        found.append(
            ciphertext_bytes(ring, read_fresh(record, ring), 0, ring.scale(0))
            if seeded is None
            else seeded_ciphertext(ring, *seeded)
        )
    return found


def inputs_from_seal(
    module: Module, objects: Sequence[bytes | memoryview], *, limits: Mapping[str, Limit] | None = None
) -> bytes:
    """An upload of SEAL's ciphertexts, seeded or not. ``limits``: those that the inputs were checked against, if they
    are smaller than the module's. Raises Rejected."""
    ring = Ring(module.parameters, module.slots)
    if len(objects) != len(module.packed()):
        raise Rejected(
            f"{module.name} takes {count_of(len(module.packed()), 'ciphertext')}, not {len(objects)}", BAD_ARGUMENT
        )
    held = {name: limit.meet((limits or {}).get(name)) for name, limit in module.limits.items()}
    words = (polynomials_of(ring, load_ciphertext(ring, data, 0)) for data in objects)
    records = {str(number): result_record(ring, residues, 0, 0, None) for number, residues in enumerate(words)}
    return pack("inputs", {**inputs_label(module), "limits": limits_label(held)}, records)


def results_to_seal(module: Module, data: bytes) -> dict[str, bytes | None]:
    """Results as SEAL's ciphertexts, by name; None where one is zero. Raises Rejected, also for a result of which half
    of c0 is sent: no object of SEAL holds that."""
    ring, box = Ring(module.parameters, module.slots), unpack("results", data)
    check_label(box, module_label(module), module)
    check_whole(module)
    families = module.returned()
    found: dict[str, bytes | None] = {}
    for (name, family), record in zip(families.items(), box.exactly(map(repr, families)), strict=True):
        found[repr(name)] = None
        if record is not None:
            words = read_result(record, ring, family.level, family.products, None)
            scale = ring.scale(family.level, family.products)
            found[repr(name)] = ciphertext_bytes(ring, words, family.level, scale)
    return found


def results_from_seal(module: Module, objects: Sequence[bytes | memoryview]) -> bytes:
    """Results that a client can decrypt, of SEAL's ciphertexts in the order in which the module returns them. Raises
    Rejected."""
    check_whole(module)
    ring, families = Ring(module.parameters, module.slots), module.returned()
    if len(objects) != len(families):
        raise Rejected(
            f"{module.name} returns {count_of(len(families), 'ciphertext')}, not {len(objects)}", BAD_ARGUMENT
        )
    records: dict[str, bytes | None] = {}
    for (name, family), data in zip(families.items(), objects, strict=True):
        words = polynomials_of(ring, load_ciphertext(ring, data, family.level, family.products))
        zero = np.array_equal(words, _zero(ring, family.level))
        records[repr(name)] = None if zero else result_record(ring, words, family.level, family.products, None)
    return pack("results", module_label(module), records)


def upload_to_seal(module: Module, upload: bytes) -> bytes:
    """``inputs_to_seal``, one object after the other."""
    return b"".join(inputs_to_seal(module, upload))


def upload_from_seal(module: Module, data: bytes) -> bytes:
    """``inputs_from_seal`` of objects that follow each other."""
    return inputs_from_seal(module, objects_of(data))


def answer_to_seal(module: Module, data: bytes) -> bytes:
    """``results_to_seal``, one object after the other. In place of a zero stands the pair (0, 1), which decrypts to the
    secret key: its coefficients are -1, 0 and 1, less than any noise."""
    ring, families = Ring(module.parameters, module.slots), module.returned()
    pieces = []
    for family, given in zip(families.values(), results_to_seal(module, data).values(), strict=True):
        if given is None:
            scale = ring.scale(family.level, family.products)
            given = ciphertext_bytes(ring, _zero(ring, family.level), family.level, scale)
        pieces.append(given)
    return b"".join(pieces)


def _zero(ring: Ring, level: int) -> Words:
    words = np.zeros((2, len(ring.primes(level)), ring.degree), np.uint64)
    words[1] = 1
    return words


def answer_from_seal(module: Module, data: bytes) -> bytes:
    """``results_from_seal`` of objects that follow each other."""
    return results_from_seal(module, objects_of(data))


def keys_to_seal(data: bytes) -> tuple[bytes | None, bytes | None]:
    """Evaluation keys as SEAL's Galois keys and relinearisation keys; None where there are none. Raises Rejected, also
    for keys that are used below the top only: SEAL's are for all levels."""
    keys = EvaluationKeys.from_bytes(data)
    for element, key in keys.keys.items():
        if key.level:
            raise Rejected(
                f"the key {element} has residues for level {key.level} on, and SEAL's keys are for all levels: make "
                "keys with wire='seal'",
                BAD_ARGUMENT,
            )
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
