"""CKKS parameters as a value, and a sound fixed choice of them."""

from __future__ import annotations

from dataclasses import dataclass

from slotlang.diagnostics import error
from slotlang.source import Span

MAX_MODULUS_BITS = {1024: 27, 2048: 54, 4096: 109, 8192: 218, 16384: 438, 32768: 881}
"""Bits of modulus, key prime included, that keep 128-bit security (homomorphicencryption.org standard, as in
SEAL's ``CoeffModulus::MaxBitCount``)."""

HEADROOM_BITS = 12
"""Bits of the last modulus left for the size of the message and the noise."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """Degree, prime sizes in bits (the last is the key prime) and scales.

    Without ``rescale`` every factor (the input, each plaintext) is encoded at ``2**scale_bits`` and scales
    multiply up. With it a prime is dropped after each product, and ``scale_bits`` is the size of those primes.
    """

    degree: int
    primes: tuple[int, ...]
    scale_bits: int
    rescale: bool

    @property
    def slots(self) -> int:
        """Slots of the ring."""
        return self.degree // 2

    @property
    def data_primes(self) -> int:
        """Primes of a fresh ciphertext."""
        return len(self.primes) - 1

    def ciphertext_bytes(self, level: int = 0, *, seeded: bool = False) -> int:
        """Residue words of a ciphertext: two polynomials, or one when the other follows from a seed."""
        return (1 if seeded else 2) * 8 * self.degree * (self.data_primes - level)

    def key_bytes(self) -> int:
        """One key-switching key, uncompressed: 16 * N * k * (k - 1) for k primes, as SEAL stores it."""
        k = len(self.primes)
        return 16 * self.degree * k * (k - 1)

    def plaintext_bytes(self, level: int = 0) -> int:
        """An encoded plaintext."""
        return 8 * self.degree * (self.data_primes - level)

    def text(self) -> str:
        """``8192: 60,60,60, scale 2^36, no rescale``."""
        mode = "rescale after each product" if self.rescale else "no rescale"
        return f"{self.degree}: {','.join(map(str, self.primes))}, scale 2^{self.scale_bits}, {mode}"


def check_security(parameters: Parameters) -> None:
    """Raises SL404 below 128 bits."""
    bits = sum(parameters.primes)
    limit = MAX_MODULUS_BITS.get(parameters.degree)
    if limit is None or bits > limit:
        raise error(
            "SL404",
            f"{bits} bits of modulus at degree {parameters.degree} fall below 128-bit security",
            notes=[f"the limit is {limit} bits" if limit else f"degrees are {', '.join(map(str, MAX_MODULUS_BITS))}"],
        )


def fixed_parameters(slots: int, depth: int, span: Span | None = None) -> Parameters:
    """Sound parameters for ``depth`` products in a row over vectors of ``slots`` slots.

    Up to two products never rescale (8192: 60,60,60); deeper programs drop a 40-bit prime after each. Raises
    SL405 when ``slots`` is no power of two, SL404 when no 128-bit parameters are deep or wide enough.
    """
    if slots & (slots - 1):
        raise error(
            "SL405",
            f"ciphertexts have a power of two of slots, and this program has {slots}",
            span,
            hint="pad the layout: choose a power of two and read with `else 0`",
        )
    least = max(2 * slots, 8192)
    if depth <= 2:
        if least in MAX_MODULUS_BITS:
            scale = min(45, (120 - HEADROOM_BITS) // (depth + 1))
            return Parameters(least, (60, 60, 60), scale, False)
    else:
        primes = (60, *([40] * depth), 60)
        for degree, limit in MAX_MODULUS_BITS.items():
            if degree >= least and sum(primes) <= limit:
                return Parameters(degree, primes, 40, True)
    raise error(
        "SL404",
        f"no 128-bit parameters hold {depth} products in a row over {slots:,} slots",
        span,
        notes=["degrees go up to 32768 (16,384 slots), with 881 bits of modulus"],
        hint="use fewer products: merge masks into weights, or choose a layout that needs no permutation",
    )
