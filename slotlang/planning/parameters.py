"""CKKS parameters as a value, and a sound fixed choice of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from math import ceil

from slotlang.cost.keys import key_bytes
from slotlang.diagnostics import error
from slotlang.source import Span
from slotlang_runtime.amounts import count_of, noun_of
from slotlang_runtime.parameters import LEAST_SENT

MAX_MODULUS_BITS = {1024: 27, 2048: 54, 4096: 109, 8192: 218, 16384: 438, 32768: 881}
"""Bits of modulus, key prime included, that keep 128-bit security (homomorphicencryption.org standard, as in
SEAL's ``CoeffModulus::MaxBitCount``)."""

PRIME_BITS = range(18, 61)
"""Sizes of primes: SEAL takes up to 60 bits, and below 18 there are none for these degrees."""

HEADROOM_BITS = 12
"""Bits of the last modulus left for the size of the message and the noise."""

MAX_MESSAGE_BITS = 1000.0
"""Stands for all that is larger: no modulus has as many bits."""

ROTATION_BITS = 6
"""By how much the scale of inputs that are rotated exceeds that of plaintexts, in bits. A key switch has some 2^12
times the noise of encoding (2^17 against 2^5 in a slot at degree 8192), but weights are smaller than inputs, by
2^6 where 4096 channels are added up."""

UNRESCALED_DEPTH = 2
"""Most products in a row that the fixed choice leaves unrescaled."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """Degree, prime sizes in bits (the last is the key prime) and scales.

    Inputs are encoded at ``2**scale_bits``, and plaintexts at the scale that their ciphertexts had when a prime was
    last dropped, or at first: scales multiply up until the next is. ``drops``: after which of the products in a row a
    prime is, counted from 1, ascending; products that a program does not have do no harm. ``scales``, for programs that
    multiply no ciphertexts, gives each factor its own scale in bits: first the inputs', then that of the plaintexts of
    each product in a row. ``keys``: the steps that have a Galois key, of which all other rotations are composed; none,
    for a key for every step that the program rotates by. ``results``: this many of the ``drops``, the last ones, are
    of results alone, as the last thing that is done to them: all of these come after the last product. ``cut``: how
    many last bits of the coefficients of results at one prime are not sent, of c0 and of c1; none, where all are.
    """

    degree: int
    primes: tuple[int, ...]
    scale_bits: int
    drops: tuple[int, ...] = ()
    scales: tuple[int, ...] = ()
    keys: tuple[int, ...] = ()
    results: int = 0
    cut: tuple[int, ...] = ()

    @property
    def early(self) -> tuple[int, ...]:
        """After which products a prime is dropped, before results are there."""
        return self.drops[: len(self.drops) - self.results]

    def factor_bits(self, depth: int) -> tuple[int, ...]:
        """Bits of scale of the inputs and of the plaintexts of each of ``depth`` products in a row."""
        return self.scales or (self.scale_bits,) * (depth + 1)

    def carried_bits(self, level: int, products: int) -> float:
        """Scale, in bits, of a ciphertext that has dropped ``level`` primes and carries this many products."""
        scale, behind = float(self.factor_bits(0)[0]), 0
        for dropped, product in enumerate(self.drops[:level]):
            scale = self._grown(scale, behind, product) - self.primes[self.data_primes - dropped - 1]
            behind = product
        return self._grown(scale, behind, behind + products)

    def plain_bits(self, level: int, products: int) -> float:
        """Scale, in bits, of a plaintext that multiplies such a ciphertext."""
        if not self.scales:
            return self.carried_bits(level, 0)
        return float(self.scales[(0, *self.drops)[level] + products + 1])

    def _grown(self, scale: float, behind: int, product: int) -> float:
        """Scale after further products, none of them followed by a dropped prime."""
        if not self.scales:
            return scale * (1 + product - behind)
        return scale + sum(self.scales[behind + 1 : product + 1])

    @property
    def slots(self) -> int:
        """Slots of the ring."""
        return self.degree // 2

    @property
    def data_primes(self) -> int:
        """Primes of a fresh ciphertext."""
        return len(self.primes) - 1

    def ciphertext_bytes(self, level: int = 0) -> int:
        """Residue words of a ciphertext in memory: two polynomials of 8 bytes for each prime."""
        return 16 * self.degree * (self.data_primes - level)

    def data_bits(self, level: int = 0) -> int:
        """Bits of a residue modulo each prime of a ciphertext, added up: what it takes where it is sent."""
        return sum(self.primes[: self.data_primes - level])

    def sent_bytes(self, level: int = 0, *, seeded: bool = False) -> int:
        """Bytes of a ciphertext that is sent, without headers; one polynomial of two where the other is a seed."""
        return (1 if seeded else 2) * self.degree * self.data_bits(level) // 8

    def cut_at(self, level: int) -> tuple[int, int]:
        """Bits of the coefficients of results at a level that are not sent, of c0 and of c1."""
        return (self.cut[0], self.cut[1]) if self.cut and level == self.data_primes - 1 else (0, 0)

    def result_bytes(self, level: int, *, halved: bool) -> int:
        """Bytes of a result that is sent, without headers; ``halved``: half of h is sent for c0."""
        bits, (first, second) = self.data_bits(level), self.cut_at(level)
        return self.degree * ((1 if halved else 2) * (bits - first) + 2 * (bits - second)) // 16

    def key_bytes(self, level: int = 0) -> int:
        """One key-switching key in memory, for ciphertexts that have dropped ``level`` primes and more."""
        return key_bytes(self.degree, len(self.primes) - level)

    def sent_key_bytes(self, level: int = 0) -> int:
        """One such key as it is sent: seeded, so one polynomial of two."""
        return self.degree * (self.data_primes - level) * (self.data_bits(level) + self.primes[-1]) // 8

    def keys_bytes(self, levels: Mapping[int, int]) -> int:
        """Keys in memory, of which there are so many from each level on."""
        return sum(count * self.key_bytes(level) for level, count in levels.items())

    def sent_keys_bytes(self, levels: Mapping[int, int]) -> int:
        """Keys as they are sent, of which there are so many from each level on."""
        return sum(count * self.sent_key_bytes(level) for level, count in levels.items())

    def plaintext_bytes(self, level: int = 0) -> int:
        """Bytes of an encoded plaintext in memory."""
        return 8 * self.degree * (self.data_primes - level)

    def to_json(self) -> dict[str, object]:
        """Plain data; the fields by name."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}

    def text(self) -> str:
        """``8192: 60,60,60, scales 2^44,32,32, no rescale, keys for 8,64``."""
        scale = f"scales 2^{','.join(map(str, self.scales))}" if self.scales else f"scale 2^{self.scale_bits}"
        keys = f", keys for {','.join(map(str, self.keys))}" if self.keys else ""
        return f"{self.degree}: {','.join(map(str, self.primes))}, {scale}, {self.rescales()}{keys}"

    def rescales(self) -> str:
        """``no rescale``, or ``rescale after products 1,2``, ``results drop 1 prime``, or both."""
        early, found = self.early, []
        if early:
            found.append(f"rescale after {noun_of(len(early), 'product')} {','.join(map(str, early))}")
        if self.results:
            found.append(f"results drop {count_of(self.results, 'prime')}")
        if self.cut:
            found.append(f"results without {' and '.join(map(str, self.cut))} bits")
        return ", ".join(found) or "no rescale"


LARGEST_MESSAGE = 60
"""Bits above its scale, at most, of what a slot may hold with fixed parameters: those of the largest prime."""


def check_security(parameters: Parameters) -> None:
    """Raises SL404 below 128 bits, and for primes that SEAL does not have."""
    bits = sum(parameters.primes)
    limit = MAX_MODULUS_BITS.get(parameters.degree)
    if limit is None:
        raise error(
            "SL404",
            f"there is no ring of degree {parameters.degree}",
            hint=f"degrees are {', '.join(map(str, MAX_MODULUS_BITS))}",
        )
    if bits > limit:
        raise error(
            "SL404",
            f"{count_of(bits, 'bit')} of modulus at degree {parameters.degree} fall below 128-bit security",
            notes=[f"the limit is {count_of(limit, 'bit')}"],
        )
    wrong = [b for b in parameters.primes if b not in PRIME_BITS]
    if wrong or len(parameters.primes) < 2:
        raise error(
            "SL404",
            f"there are no primes of {count_of(wrong[0], 'bit')}"
            if wrong
            else "a prime for data and one for keys are needed",
            notes=[parameters.text()],
            hint=f"primes have {PRIME_BITS[0]} to {PRIME_BITS[-1]} bits",
        )


def check_scales(parameters: Parameters, depth: int, *, multiplies_ciphertexts: bool = False) -> None:
    """Raises SL404 when ``depth`` products in a row do not fit: a scale outgrows its modulus, or vanishes."""
    p = parameters
    if multiplies_ciphertexts and p.scales and (p.drops or len(set(p.scales)) > 1):
        raise error(
            "SL404",
            "scales of their own can't be combined with products of ciphertexts",
            notes=[p.text()],
            hint="give one scale for all",
        )
    if any(after <= before for before, after in pairwise((0, *p.early))):
        raise error("SL404", "products after which a prime is dropped are counted from 1, ascending", notes=[p.text()])
    if p.results > len(p.drops) or any(product != depth for product in p.drops[len(p.early) :]):
        raise error(
            "SL404",
            f"results drop {count_of(p.results, 'prime')}, and not all of these are dropped last",
            notes=[p.text()],
            hint=f"the last {p.results} of the drops are {depth} here, the products in a row",
        )
    room = p.primes[0] - LEAST_SENT
    if p.cut and (
        len(p.cut) != 2 or max(p.cut) > room or len([n for n in p.early if n <= depth]) + p.results != p.data_primes - 1
    ):
        raise error(
            "SL404",
            f"bits {', '.join(map(str, p.cut))} can't be cut off the results",
            notes=[p.text()],
            hint=f"two numbers up to {room}, of c0 and of c1, where one prime is left of results",
        )
    bits = p.factor_bits(depth)
    drops = [product for product in p.early if product <= depth] + [depth] * p.results
    fits = len(bits) > depth and min(bits) > 0 and len(drops) < p.data_primes
    for level, (behind, until) in enumerate(pairwise((0, *drops, depth)) if fits else ()):
        modulus = sum(p.primes[: p.data_primes - level])
        fits = fits and p.carried_bits(level, until - behind) < modulus
        fits = fits and (level == 0 or p.carried_bits(level, 0) >= HEADROOM_BITS)
    if not fits:
        raise error(
            "SL404",
            f"{count_of(depth, 'product')} in a row do not fit these parameters",
            notes=[p.text()],
            hint="more primes, a larger degree, or smaller scales",
        )


def check_slots(slots: int, span: Span | None) -> None:
    """Raises SL405 when no ring has vectors of this many slots."""
    if slots & (slots - 1):
        raise error(
            "SL405",
            f"ciphertexts have a power of two of slots, and this program has {slots:,}",
            span,
            hint="pad the layout: choose a power of two and read with `else 0`",
        )


LEAST_MORE = 24
"""Bits of the smallest prime that is added for the masks of slots: below it some degrees have too few primes."""


def fixed_parameters(
    slots: int,
    depth: int,
    span: Span | None = None,
    *,
    rescale: bool | None = None,
    turns_fresh: bool = False,
    message_bits: float = HEADROOM_BITS,
    mask_room: float = 0.0,
) -> Parameters:
    """Sound parameters for ``depth`` products in a row over vectors of ``slots`` slots.

    Up to two products never rescale (8192: 60,60,60); deeper programs drop a 40-bit prime after each, as does
    ``rescale``. With ``turns_fresh`` inputs are rotated before any product, so their scale is larger than that of
    plaintexts, to bear the noise. ``mask_room``: bits that masks of slots need above the scale of results; where primes
    are dropped, a prime that stays is added where the first one has less. Raises SL405 when ``slots`` is not
    a power of two, SL404 when no 128-bit parameters are deep or wide enough.
    """
    check_slots(slots, span)
    least = max(2 * slots, 8192)
    if not (depth > UNRESCALED_DEPTH if rescale is None else rescale):
        room = 120 - max(ceil(message_bits), HEADROOM_BITS, ceil(mask_room))
        primes: tuple[int, ...] = (60, 60, 60)
        scale = min(45, room // (depth + 1))
        if least in MAX_MODULUS_BITS and scale >= HEADROOM_BITS:
            if not turns_fresh:
                return Parameters(least, primes, scale)
            plain = min(40, (room - ROTATION_BITS) // (depth + 1))
            fresh = min(52, room - depth * plain)
            return Parameters(least, primes, fresh, scales=(fresh, *[plain] * depth))
    else:
        more = ceil(mask_room) - HEADROOM_BITS
        primes = (60, *([max(more, LEAST_MORE)] if more > 0 else []), *([40] * depth), 60)
        for degree, limit in MAX_MODULUS_BITS.items():
            if degree >= least and sum(primes) <= limit:
                return Parameters(degree, primes, 40, tuple(range(1, depth + 1)))
    if depth <= UNRESCALED_DEPTH and message_bits > LARGEST_MESSAGE:
        raise error(
            "SL404",
            f"what slots hold is too large for fixed parameters: about 2^{ceil(message_bits)}",
            span,
            hint="scale constants, weights or bounds down and the result up, or find wider parameters by --precision",
        )
    raise error(
        "SL404",
        f"no 128-bit parameters hold {count_of(depth, 'product')} in a row over {count_of(slots, 'slot')}",
        span,
        notes=["degrees go up to 32768 (16,384 slots), with 881 bits of modulus"],
        hint="use fewer products: merge masks into weights, or choose a layout that needs no permutation",
    )
