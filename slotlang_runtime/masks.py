"""What of the results is hidden. Where one part is read, half of c0 is sent (``seal.halves``); slots that are not part
of the result are hidden by random plaintexts, new for every evaluation."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import tenseal.sealapi as seal

from slotlang_runtime.coding import Coder
from slotlang_runtime.module import Module, Name
from slotlang_runtime.seal.halves import Part
from slotlang_runtime.seal.memory import plaintext_of
from slotlang_runtime.seal.ring import Ring


@dataclass(frozen=True, slots=True)
class Hidden:
    """What is hidden in one result. ``read_part``: the only part that is read, or None; half of c0 is sent for
    it. ``slots``: 2 x slots, of real and imaginary parts: the slots that are masked although this part is read in
    other slots."""

    read_part: Part | None
    slots: npt.NDArray[np.bool_] = field(repr=False)


@lru_cache(maxsize=64)
def hidden_in(module: Module) -> dict[Name, Hidden]:
    """The results, by name, that hold more than outputs read."""
    masked: dict[Name, Hidden] = {}
    parts: tuple[Part, Part] = ("re", "im")
    for name, read in module.read.items():
        read_parts = [part for part, slots in zip(parts, read, strict=True) if slots.any()]
        only = read_parts[0] if len(read_parts) == 1 and name[0] not in module.parameters.doubled else None
        slots = ~read & read.any(axis=1, keepdims=True) & (module.sent[name[0]].mask_bits > 0)
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


def slot_mask(
    ring: Ring, level: int, products: int, slots: npt.NDArray[np.bool_], bits: int, coder: Coder | None = None
) -> Any:
    """A plaintext with random values, uniform up to 2^bits, in these slots (2 x slots) and zeros elsewhere: up to
    2^(bits - 52) of it shows there, where no ``coder`` encodes it with twice the digits."""
    count = ring.slots * ring.copies
    words = np.frombuffer(secrets.token_bytes(16 * count), "<u8").reshape(2, count)
    values = ((words >> np.uint64(11)) * 2.0**-52 - 1) * 2.0**bits
    re, im = values * np.tile(slots, (1, ring.copies))
    scale = ring.scale(level, products)
    if coder is not None:
        return plaintext_of(ring, coder.encode_precisely(re + 1j * im, level, scale), level, scale)
    plain = seal.Plaintext()
    ring.encoder.encode((re + 1j * im).tolist(), ring.levels[level], scale, plain)
    return plain


def fresh_masks(ring: Ring, module: Module) -> dict[Name, list[Any]]:
    """The plaintexts that hide slots that are not part of the results, for one evaluation, by the result's name."""
    masks: dict[Name, list[Any]] = {}
    families = module.returned()
    coder = Coder(ring) if any(family.precise for family in families.values()) else None
    for name, hidden in hidden_in(module).items():
        if hidden.slots.any():
            family = families[name]
            size = family.mask_bits, coder if family.precise else None
            masks[name] = [slot_mask(ring, family.level, family.products, hidden.slots, *size)]
    return masks
