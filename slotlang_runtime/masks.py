"""How slots that are not part of the result are hidden: by random plaintexts, new for every evaluation."""

from __future__ import annotations

import math
import secrets
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import tenseal.sealapi as seal

from slotlang_runtime.module import Module, Name
from slotlang_runtime.seal.ring import Ring
from slotlang_runtime.seal.saved import ciphertext_bytes, plaintext_of, residues_of

Part: TypeAlias = Literal["re", "im"]

MASK_MARGIN, MASK_BITS = 3, 16
"""Bits of the modulus that a mask in slots leaves free, and the most bits that its values have."""


@dataclass(frozen=True, slots=True)
class Hidden:
    """What is hidden in one result. ``read_part``: the only part that is read, or None; the other one is masked
    exactly. ``slots``: 2 x slots, of real and imaginary parts: the slots that are masked although this part is read in
    other slots."""

    read_part: Part | None
    slots: npt.NDArray[np.bool_]


@lru_cache(maxsize=64)
def hidden_in(module: Module) -> dict[Name, Hidden]:
    """The results, by name, that hold more than outputs read."""
    masked: dict[Name, Hidden] = {}
    parts: tuple[Part, Part] = ("re", "im")
    for name, read in module.read.items():
        read_parts = [part for part, slots in zip(parts, read, strict=True) if slots.any()]
        only = read_parts[0] if len(read_parts) == 1 and name[0] not in module.parameters.doubled else None
        slots = ~read & read.any(axis=1, keepdims=True)
        if module.parameters.hide != "none" and (only or slots.any()):
            masked[name] = Hidden(only, slots)
    return masked


def uniform(bound: int, count: int) -> npt.NDArray[np.uint64]:
    """Integers uniform below ``bound``, from the operating system's generator."""
    drawn = np.empty(0, np.uint64)
    while len(drawn) < count:
        # words of as many bits as the bound has; those beyond it are thrown away
        words = np.frombuffer(secrets.token_bytes(8 * (count - len(drawn) + 64)), "<u8")
        words = words >> np.uint64(64 - bound.bit_length())
        drawn = np.concatenate([drawn, words[words < bound]])
    return drawn[:count]


def random_ciphertext(ring: Ring) -> bytes:
    """Bytes of an input of random residues, which nobody has encrypted."""
    primes = ring.primes(0)
    residues = np.array([[uniform(prime, ring.degree) for prime in primes] for _ in range(2)])
    return ciphertext_bytes(ring, residues, 0, ring.scale(0))


def part_mask(ring: Ring, level: int, scale: float, read_part: Part) -> Any:
    """A plaintext uniform among all whose ``read_part`` is zero in every slot.

    In SEAL's order of the transform's points, the conjugate of a polynomial has the residues backwards. So it has
    no real part when they are antisymmetric, and no imaginary part when they are symmetric: half are free.
    """
    rows = []
    for prime in ring.primes(level):
        half = uniform(prime, ring.degree // 2)
        other = half[::-1]
        mirrored = other if read_part == "im" else (np.uint64(prime) - other) % np.uint64(prime)
        rows.append(np.concatenate([half, mirrored]))
    return plaintext_of(ring, np.array(rows), level, scale)


def doubled_part(ring: Ring, plain: Any, level: int, read_part: Part) -> Any:
    """Twice the real (or imaginary) part of a plaintext: exact modulo the primes, whatever the other part holds."""
    primes = np.array(ring.primes(level), np.uint64)[:, None]
    residues = residues_of(ring, plain)
    conjugate = residues[:, ::-1]
    residues = (residues + (conjugate if read_part == "re" else primes - conjugate)) % primes
    return plaintext_of(ring, residues, level, plain.scale)


def slot_mask(ring: Ring, level: int, products: int, slots: npt.NDArray[np.bool_]) -> Any:
    """A plaintext with random values in these slots (2 x slots) and zeros elsewhere.

    Uniform up to 2^MASK_BITS, beyond which their rounding would show in other slots, or up to what the modulus holds
    with results as large beside them.
    """
    room = math.log2(math.prod(ring.primes(level))) - math.log2(ring.scale(level, products))
    count = ring.slots * ring.copies
    words = np.frombuffer(secrets.token_bytes(16 * count), "<u8").reshape(2, count)
    values = ((words >> np.uint64(11)) * 2.0**-52 - 1) * 2.0 ** min(room - MASK_MARGIN, MASK_BITS)
    re, im = values * np.tile(slots, (1, ring.copies))
    plain = seal.Plaintext()
    ring.encoder.encode((re + 1j * im).tolist(), ring.levels[level], ring.scale(level, products), plain)
    return plain


def fresh_masks(ring: Ring, module: Module) -> dict[Name, list[Any]]:
    """The plaintexts that hide what is not part of the results, for one evaluation, by the result's name."""
    masks: dict[Name, list[Any]] = {}
    families = module.returned()
    for name, hidden in hidden_in(module).items():
        level, products = families[name].level, families[name].products
        masks[name] = []
        if hidden.read_part:
            masks[name].append(part_mask(ring, level, ring.scale(level, products), hidden.read_part))
        if hidden.slots.any():
            masks[name].append(slot_mask(ring, level, products, hidden.slots))
    return masks
