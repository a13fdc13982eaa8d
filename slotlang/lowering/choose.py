"""The fastest parameters that a precision allows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, floor, inf, log2, log10

from slotlang.cost.noise import Gains, gains
from slotlang.cost.predict import evaluation_calls, total
from slotlang.cost.profile import Profile, find_profile
from slotlang.diagnostics import SlotError, error
from slotlang.lowering.hiding import Hide
from slotlang.lowering.lower import Draft, Plan
from slotlang.lowering.parameters import HEADROOM_BITS, MAX_MODULUS_BITS, Parameters, check_slots
from slotlang.meaning.program import Program

MESSAGE_BITS = 8
"""Bits of modulus left above the root mean square of what slots hold: values up to 2^6 times as large still fit, with a
sign and the doubling of a part that is read alone. Masks need less (``hiding.MASK_MARGIN``)."""

LEAST_PRIME = 24
"""Bits of the smallest prime that is tried: below it some degrees have too few primes."""

LARGEST_PRIME = 60

LEAST_SCALE = 8
"""Bits of the smallest scale that is tried."""

MAX_PRIMES = 12
"""Most data primes that are tried."""


@dataclass(frozen=True)
class _Candidate:
    """Where to rescale, degree and number of data primes: what decides the time."""

    draft: Draft
    degree: int
    data_primes: int
    found: Gains

    @property
    def key_bytes(self) -> int:
        """Of all evaluation keys, as the server holds them."""
        keys = self.draft.counts.galois_keys + (self.draft.counts.cipher_products > 0)
        return keys * 16 * self.degree * (self.data_primes + 1) * self.data_primes

    def best(self) -> tuple[float, Parameters] | None:
        """The smallest error and its parameters; None when nothing fits."""
        draft = self.draft
        tried = self._between() if draft.keep_last else self._rescaled() if draft.rescale else self._unrescaled()
        return min(((self.found.error(p), p) for p in tried), key=lambda e: e[0], default=None)

    def _fits(self, p: Parameters) -> bool:
        """Whether every ciphertext's message fits its modulus, and its scale is one to reckon with."""
        return all(
            sum(p.primes[: p.data_primes - level]) - p.carried_bits(level, products)
            >= MESSAGE_BITS + max(log2(peak) / 2 if peak else 0.0, 0.0)
            and (level == 0 or p.carried_bits(level, 0) >= HEADROOM_BITS)
            for (level, products), peak in self.found.peaks.items()
        )

    def _unrescaled(self) -> Iterator[Parameters]:
        limit, k = MAX_MODULUS_BITS[self.degree], self.data_primes
        most = min(LARGEST_PRIME * k, limit - LEAST_PRIME)
        least = max(LEAST_PRIME * k, LARGEST_PRIME * (k - 2) + 1, min(limit - LARGEST_PRIME * 3, most))
        for bits in range(least, most + 1):
            key = min(LARGEST_PRIME, limit - bits)
            primes = (*(bits // k + (n < bits % k) for n in range(k)), key)
            found = self._shared(primes)
            if found is not None:
                yield found

    def _shared(self, primes: tuple[int, ...]) -> Parameters | None:
        """How the bits of the modulus are best shared between the scales of inputs and of each product's plaintexts."""
        built = self.draft.built
        factors = built.depth + 1
        peak = max(self.found.peaks.values(), default=1.0)
        bits = int(sum(primes[:-1]) - MESSAGE_BITS - max(log2(peak) / 2 if peak else 0.0, 0.0))

        def make(scales: tuple[int, ...]) -> Parameters:
            between = self.draft.keep_last
            own = () if len(set(scales)) == 1 and not between else scales
            return Parameters(self.degree, primes, scales[0], between, own, keep_last=between)

        if built.multiplies_ciphertexts:
            scale = bits // factors
            found = make((scale,) * factors)
            return found if scale >= LEAST_SCALE and self._fits(found) else None
        scales = tuple(bits // factors + (n < bits % factors) for n in range(factors))
        best = make(scales)
        if min(scales) < LEAST_SCALE or not self._fits(best):
            return None
        least = self.found.error(best)
        step = 8
        while step:
            moved = False
            for to in range(factors):
                for source in range(factors):
                    new = tuple(s + step * ((n == to) - (n == source)) for n, s in enumerate(scales))
                    if to == source or min(new) < LEAST_SCALE:
                        continue
                    tried = make(new)
                    value = self.found.error(tried)
                    if value < least and self._fits(tried):
                        best, least, scales, moved = tried, value, new, True
            if not moved:
                step //= 2
        return best

    def _between(self) -> Iterator[Parameters]:
        """Primes of two sizes, those that are dropped and those that stay: a coarse grid of both, then its best point
        and ever nearer neighbours of it."""
        limit, drops = MAX_MODULUS_BITS[self.degree], self.draft.built.drops
        stay = self.data_primes - drops
        known: dict[tuple[int, int], tuple[float, Parameters] | None] = {}

        def at(dropped: int, staying: int) -> float:
            """The smallest error with primes that drop, and primes that stay, of so many bits altogether."""
            place = (dropped, staying)
            if place not in known:
                key = min(LARGEST_PRIME, limit - staying - drops * dropped)
                found = None
                if (
                    min(key, dropped) >= LEAST_PRIME
                    and dropped <= LARGEST_PRIME
                    and LEAST_PRIME * stay <= staying <= LARGEST_PRIME * stay
                ):
                    first = (staying // stay + (n < staying % stay) for n in range(stay))
                    found = self._shared((*first, *[dropped] * drops, key))
                known[place] = None if found is None else (self.found.error(found), found)
            here = known[place]
            return here[0] if here else inf

        sizes = range(LEAST_PRIME, LARGEST_PRIME + 1, 9)
        best = min(((d, s * stay) for d in sizes for s in sizes), key=lambda place: at(*place))
        for step in (4, 2, 1):
            near = [(best[0] + a * step, best[1] + b * step) for a in (-1, 0, 1) for b in (-1, 0, 1)]
            best = min(near, key=lambda place: at(*place))
        if (found := known[best]) is not None:
            yield found[1]

    def _rescaled(self) -> Iterator[Parameters]:
        limit, depth = MAX_MODULUS_BITS[self.degree], self.draft.built.depth
        for scale in range(max(LEAST_PRIME, HEADROOM_BITS), LARGEST_PRIME + 1):
            for first in range(scale + MESSAGE_BITS, LARGEST_PRIME + 1):
                key = min(LARGEST_PRIME, limit - first - depth * scale)
                if key >= LEAST_PRIME:
                    found = Parameters(self.degree, (first, *[scale] * depth, key), scale, True)
                    if self._fits(found):
                        yield found
                        break


def choose(
    program: Program,
    precision: float,
    *,
    profile: Profile | None = None,
    max_key_bytes: int | None = None,
    hide: Hide = "mask",
) -> Plan:
    """The plan with the least predicted evaluation time whose predicted relative rms error is at most ``precision``
    and whose evaluation keys take at most ``max_key_bytes`` in the server's memory.

    Raises SL005 for a precision or bound that is not positive, SL451 when nothing meets them, with the best that
    does, and as ``plan`` and ``find_profile``.
    """
    if not 0 < precision < inf:
        raise error("SL005", f"a precision is a positive number such as 1e-3, not {precision:g}")
    if max_key_bytes is not None and max_key_bytes < 0:
        raise error("SL005", "--max-key-bytes must not be negative")
    check_slots(program.slots, program.syntax.statements[0].span)
    best: tuple[float, Parameters] | None = None
    smallest = inf
    for candidate in _candidates(program, profile or find_profile(), hide):
        smallest = min(smallest, candidate.key_bytes)
        if max_key_bytes is not None and candidate.key_bytes > max_key_bytes:
            continue
        found = candidate.best()
        if found is None:
            continue
        if found[0] <= precision:
            return candidate.draft.under(found[1])
        best = min(best or found, found, key=lambda e: e[0])
    raise _out_of_reach(program, precision, best, max_key_bytes, smallest)


def parameters_for(
    program: Program,
    precision: float | None,
    *,
    profile: Profile | None = None,
    max_key_bytes: int | None = None,
    hide: Hide = "mask",
) -> Parameters | None:
    """What ``choose`` chooses; None, for the fixed choice, when no precision is asked for. Raises as ``choose``."""
    if precision is not None:
        return choose(program, precision, profile=profile, max_key_bytes=max_key_bytes, hide=hide).parameters
    if max_key_bytes is not None:
        raise error("SL005", "--max-key-bytes needs --precision", hint="parameters are only searched for a precision")
    return None


class OutOfReach(SlotError):
    """SL451. ``best``: the smallest error there is, rounded up to two digits; infinite when nothing fits at all."""

    best = inf


def _out_of_reach(
    program: Program,
    precision: float,
    best: tuple[float, Parameters] | None,
    max_key_bytes: int | None,
    smallest: float,
) -> OutOfReach:
    span = program.syntax.statements[0].span
    bound = "" if max_key_bytes is None else f" with at most {max_key_bytes:,} bytes of keys"
    if best is None:
        notes = [] if max_key_bytes is None or smallest == inf else [f"the smallest keys take {smallest:,} bytes"]
        return OutOfReach(
            error("SL451", f"no 128-bit parameters hold '{program.name}'{bound}", span, notes=notes).diagnostics
        )
    reach = OutOfReach(
        error(
            "SL451",
            f"no 128-bit parameters reach a relative error of {precision:.1e} for '{program.name}'{bound}",
            span,
            notes=[f"the best is {best[0]:.1e}, with {best[1].text()}"],
            hint=f"--precision {_above(best[0]):.1e}, or fewer products in a row",
        ).diagnostics
    )
    reach.best = _above(best[0])
    return reach


def _above(value: float) -> float:
    """Rounded up to two digits, so that asking for it succeeds."""
    unit = 10.0 ** (floor(log10(value)) - 1)
    return ceil(value / unit) * unit


def _candidates(program: Program, profile: Profile, hide: Hide) -> Iterator[_Candidate]:
    """Everything that may fit, fastest first."""
    drafts = [Draft(program, hide, rescale=False)]
    if drafts[0].built.depth:
        drafts.append(Draft(program, hide, rescale=True))
    if drafts[-1].built.depth > 1 and not drafts[0].built.multiplies_ciphertexts:
        drafts.append(Draft(program, hide, rescale=True, keep_last=True))
    found: list[tuple[float, int, int, int]] = []
    for number, draft in enumerate(drafts):
        least = draft.built.drops + 1 if draft.keep_last else 1
        each = draft.rescale and not draft.keep_last
        for k in [draft.built.depth + 1] if each else range(least, MAX_PRIMES + 1):
            calls = evaluation_calls(draft.graph, k)
            for degree, limit in MAX_MODULUS_BITS.items():
                if degree >= 2 * program.slots and LEAST_PRIME * (k + 1) <= limit:
                    found.append((total(calls, degree, profile), degree, k, number))
    known: dict[tuple[int, int], Gains] = {}
    for _, degree, k, number in sorted(found):
        draft = drafts[number]
        if (number, degree) not in known:
            known[number, degree] = gains(draft.graph, degree, draft.doubled, masked=hide != "none")
        yield _Candidate(draft, degree, k, known[number, degree])
