"""A ring in SEAL: context, levels and encoding. Holds no key."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import tenseal.sealapi as seal

from slotlang_runtime.errors import NOT_EVALUATED, WEIGHTS_TOO_LARGE, Rejected
from slotlang_runtime.parameters import Levels, Parameters, RingParameters
from slotlang_runtime.residues import Words

ParmsId: TypeAlias = list[int]
"""Four words by which SEAL names the parameters of a level."""


class Context:
    """SEAL's context of a ring: the parameters of each level, the primes, and the encoder. Never changes, so threads
    and programs share it."""

    def __init__(self, ring: RingParameters) -> None:
        ring.check()
        try:
            parms = seal.EncryptionParameters(seal.SCHEME_TYPE.CKKS)
            parms.set_poly_modulus_degree(ring.degree)
            parms.set_coeff_modulus(seal.CoeffModulus.Create(ring.degree, list(ring.prime_bits)))
        except (RuntimeError, ValueError) as problem:
            raise Rejected(f"SEAL has no such parameters: {problem}", NOT_EVALUATED) from None
        self.ring = ring
        self.context = seal.SEALContext(parms, True, seal.SEC_LEVEL_TYPE.TC128)
        if not self.context.parameters_set():
            raise Rejected("these parameters are invalid or below 128-bit security", NOT_EVALUATED)
        self.encoder = seal.CKKSEncoder(self.context)
        self.levels: list[ParmsId] = []
        data = self.context.first_context_data()
        for _ in range(len(ring.prime_bits) - 1):
            self.levels.append(data.parms_id())
            data = data.next_context_data()
        key_data = self.context.key_context_data()
        self.key_level: ParmsId = key_data.parms_id()
        self.moduli: list[int] = [m.value() for m in key_data.parms().coeff_modulus()]

    @property
    def degree(self) -> int:
        """Coefficients of a polynomial."""
        return self.ring.degree


def context_of(ring: RingParameters) -> Context:
    """The context of a ring, made once. Raises Rejected below 128-bit security."""
    # first: what was edited may not even be hashable
    ring.check()
    return cached_context(ring)


@lru_cache(maxsize=16)
def cached_context(ring: RingParameters) -> Context:
    """The context of a ring that was checked."""
    return Context(ring)


class Ring(Levels):
    """A program's levels, scales and encoding, shared by its client and its server. ``slots``: of the program; a vector
    is repeated to fill the ring."""

    def __init__(self, parameters: Parameters, slots: int) -> None:
        parameters.check(slots)
        self.shared = context_of(parameters.ring)
        super().__init__(parameters, self.shared.moduli)
        self.slots = slots
        self.degree = self.shared.degree
        self.copies = self.degree // 2 // slots
        self.context, self.encoder, self.levels = self.shared.context, self.shared.encoder, self.shared.levels

    def column(self, level: int) -> Words:
        """The primes of a level as a column, for rows of residues."""
        return np.array(self.primes(level), np.uint64)[:, None]

    def encode(self, values: Any, level: int = 0, products: int = 0, added: bool = False) -> Any:
        """The plaintext of one vector of ``slots`` values, to multiply a ciphertext at a level with this number of
        products not rescaled, or to be added to it; None when it encodes to zero. Raises Rejected."""
        values = self.checked(values)
        if values is None:
            return None
        content: Any
        if values.ndim:
            content = np.broadcast_to(values, (self.slots,)).tolist() * self.copies
        else:
            content = (1.0 * values).item()  # a Python number, never an int: SEAL would not scale that
        plain = seal.Plaintext()
        try:
            self.encoder.encode(content, self.levels[level], self.plaintext_scale(level, products, added), plain)
        except ValueError:
            raise _too_large(values) from None
        return None if plain.is_zero() else plain

    def checked(self, values: Any) -> Any:
        """A vector to encode, as real numbers where it is real, and as one number where all are equal; None for zeros.
        Raises Rejected."""
        values = np.asarray(values)
        if not np.isfinite(values).all():
            raise Rejected("a vector to encode holds NaN or infinity", WEIGHTS_TOO_LARGE)
        if not values.any():
            return None
        if np.iscomplexobj(values) and not values.imag.any():
            values = values.real
        return values.flat[0] if values.ndim and (values == values.flat[0]).all() else values

    def check_size(self, coefficient: float, level: int, values: Any) -> None:
        """Raise Rejected where the largest coefficient of encoded values does not fit the modulus, as SEAL counts."""
        bits = math.ceil(math.log2(max(coefficient, 1.0))) + 1
        if bits >= math.prod(self.primes(level)).bit_length():
            raise _too_large(values)

    def zero(self) -> Any:
        """A plaintext of zeros for an input."""
        plain = seal.Plaintext()
        self.encoder.encode(0.0, self.scale(0), plain)
        return plain

    def decode(self, plain: Any) -> npt.NDArray[np.complex128]:
        """The first ``slots`` values of a plaintext."""
        return self.decode_copies(plain)[: self.slots]

    def decode_copies(self, plain: Any) -> npt.NDArray[np.complex128]:
        """All slots of the ring: the program's, and their copies."""
        return np.array(self.encoder.decode_complex(plain))


def _too_large(values: Any) -> Rejected:
    return Rejected(f"a vector to encode holds {np.abs(values).max():.3g}: too large here", WEIGHTS_TOO_LARGE)
