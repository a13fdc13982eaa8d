"""Parameters of one degree and one number of primes, which are sizes of primes and scales: the most precise ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import ceil, exp2, inf, isfinite, log2, prod
from typing import NamedTuple

from slotlang.cost.noise import MASK_MARGIN, Gains
from slotlang.cost.scale_errors import ScaleErrors, rounding_error
from slotlang.planning.limits import GUARD_BITS, largest_spread, message_bits
from slotlang.planning.messages import State, levels_of
from slotlang.planning.parameters import HEADROOM_BITS, MAX_MODULUS_BITS, Parameters
from slotlang.planning.plan import Draft
from slotlang.planning.ranges import MARGIN
from slotlang_runtime.noise import SIGMAS
from slotlang_runtime.parameters import LARGEST_PRIME

NOISE = SIGMAS * 8
"""How many standard deviations of its noise a message leaves room for: as the guarantee does, for the sign, for the
doubling of a part that is read alone, and for the half that stays empty."""

ROUNDING = 1e-6
"""Tolerance in bits when a message is compared with its modulus: rounding makes sums of products slightly larger than
1."""

LEAST_PRIME = 24
"""Bits of the smallest prime that is tried: below it some degrees have too few primes."""

SMALLEST_ROOM = MASK_MARGIN
"""Bits of modulus that a scale leaves whatever the message: SEAL refuses scales as large as the modulus."""

LEAST_SCALE = 8
"""Bits of the smallest scale that is tried."""


MORE_ROOM = (1, 2, 4)
"""Bits of modulus that are tried to be left for noise where it needs them."""


_BEATEN = Parameters(0, (), 0)
"""Stands for parameters whose error is more than that of others."""


class Fit(NamedTuple):
    """Parameters with the predicted relative rms error that they give."""

    error: float
    parameters: Parameters


@dataclass(frozen=True)
class Modulus:
    """Where to rescale (the draft), degree and number of data primes: what decides the time. ``gains``: how noise
    grows in the draft. ``needs``: the bits of modulus that messages need above their scale, by state, within the bounds
    of the program; None where it does not bound all weights, and messages are estimated. ``masks``: the bits that masks
    of slots need, by state of their results. ``more``: bits that are left besides, for noise. ``largest``: bits of the
    largest prime that is tried."""

    draft: Draft
    degree: int
    data_primes: int
    gains: Gains
    needs: Mapping[State, float] | None = None
    masks: Mapping[State, float] = field(default_factory=dict)
    more: int = 0
    largest: int = LARGEST_PRIME

    @cached_property
    def message_bits(self) -> float:
        """Bits of modulus left above the scale of a result; above the root mean square of what slots hold where
        messages are estimated."""
        if self.needs is None:
            return message_bits(self.draft.program) + self.more
        last = max((level for level, _ in self.needs), default=0)
        return max([MASK_MARGIN, *(bits + MARGIN for (level, _), bits in self.needs.items() if level == last)])

    @cached_property
    def largest_inputs(self) -> tuple[float, float]:
        """How many times as large as for inputs of unit variance a slot may be, and the root mean square of inputs."""
        program = self.draft.program
        return exp2(message_bits(program) - GUARD_BITS), largest_spread(program)

    def held(self, found: Fit | None) -> Fit | None:
        """What was ``found`` to be the best. Where messages are estimated, and do not fit with their noise, some more
        bits are left for it if that helps."""
        if found is None or self.needs is not None or self.holds_noise(found.parameters):
            return found
        roomier = (replace(self, more=more).best() for more in MORE_ROOM)
        return next((fit for fit in roomier if fit is not None and self.holds_noise(fit.parameters)), found)

    def best(self) -> Fit | None:
        """The smallest error and its parameters; None when nothing fits."""
        if not self.draft.built.drops:
            return self._unrescaled()
        tried = self._steady() if self.draft.built.multiplies_ciphertexts else self._dropping()
        return min((Fit(self.gains.error(p), p) for p in tried), key=lambda fit: fit.error, default=None)

    def room(self, peak: float) -> float:
        """Bits of modulus above the scale of messages whose largest mean square is ``peak``. Weights that are not known
        may be larger than is assumed, but not smaller."""
        least = SMALLEST_ROOM if self.gains.small else self.message_bits
        return max(self.message_bits + (log2(peak) / 2 if peak else -inf), least)

    def fits(self, p: Parameters) -> bool:
        """Whether every ciphertext's message fits its modulus, and no scale is too small."""
        if not all(
            sum(p.primes[: p.data_primes - level]) - p.carried_bits(level, products) >= bits
            for (level, products), bits in self.masks.items()
        ):
            return False
        if not all(p.carried_bits(level, 0) >= HEADROOM_BITS for level in self._later):
            return False
        if self.needs is not None:
            return self._holds(p, self.needs)
        return all(
            sum(p.primes[: p.data_primes - level]) - p.carried_bits(level, products) >= bits
            for level, products, bits in self._taken
        )

    @cached_property
    def _later(self) -> set[int]:
        """The levels of messages that have dropped primes."""
        return {level for level, _ in self.gains.peaks if level}

    @cached_property
    def _taken(self) -> list[tuple[int, int, float]]:
        """The bits of modulus above the scale that messages take where they are estimated, by level and products."""
        return [(level, products, self.room(peak) - ROUNDING) for (level, products), peak in self.gains.peaks.items()]

    def holds_noise(self, p: Parameters) -> bool:
        """Whether messages that are read fit their modulus with all their noise, as the guarantee bounds it, where
        weights are as is assumed."""
        return all(
            self.leaves(p, state, self.gains.largest_noise(p, reach, *self.largest_inputs))
            for state, reach in self.gains.reach.items()
        )

    def leaves(self, p: Parameters, state: State, noise: float) -> bool:
        """Whether the messages of a state leave room for noise of this standard deviation."""
        level, products = state
        modulus = sum(p.primes[: p.data_primes - level]) - p.carried_bits(level, products)
        # where messages are estimated a bit of the room is for larger weights, and noise may share it
        room = self.room(self.gains.peaks[state]) - 1 if self.needs is None else self.needs.get(state, 0.0)
        return modulus >= log2(exp2(room) + NOISE * noise)

    def _holds(self, p: Parameters, needs: Mapping[State, float]) -> bool:
        """Whether every message that is read has the bits it needs, with the exact primes."""
        levels = levels_of(p, p.drops)
        return all(
            log2(prod(levels.primes(level))) - log2(levels.scale(level, products)) >= bits + MARGIN
            for (level, products), bits in needs.items()
        )

    def _unrescaled(self) -> Fit | None:
        """The smallest error where no prime is dropped, for all sizes of primes."""
        limit, k = MAX_MODULUS_BITS[self.degree], self.data_primes
        most = min(self.largest * k, limit - LEAST_PRIME)
        least = max(LEAST_PRIME * k, self.largest * (k - 2) + 1, min(limit - self.largest * 3, most))
        best: Fit | None = None
        # large ones first, which are mostly better; of those that are as good the smallest
        for bits in range(most, least - 1, -1):
            key = min(self.largest, limit - bits)
            primes = (*(bits // k + (n < bits % k) for n in range(k)), key)
            found = self.shared(primes, best.error if best else inf)
            if found is not None:
                fit = Fit(self.gains.error(found), found)
                best = fit if best is None or fit.error <= best.error else best
        return best

    def shared(self, primes: tuple[int, ...], most: float = inf) -> Parameters | None:
        """How the bits of the modulus are best shared between the scales of inputs and of each product's plaintexts;
        None where they do not fit, and where it is plain that the error is more than ``most``."""
        for free in self._rooms:
            if (found := self._shared(primes, free, most)) is not None:
                return None if found is _BEATEN else found
        return None

    @cached_property
    def _rooms(self) -> tuple[float, ...]:
        """Bits of the modulus that are tried to be left above the scale of results, the fewest first."""
        if self.needs is not None:
            free = [self.message_bits]
        else:
            built, peaks = self.draft.built, self.gains.peaks
            last = [
                peak
                for (level, products), peak in peaks.items()
                if (0, *built.drops)[level] + products == built.depth and len(built.drops) == level
            ]
            needed = max(map(self.room, peaks.values()), default=self.message_bits)
            free = [max(map(self.room, last), default=needed), needed]
        return tuple(dict.fromkeys(max([bits, *self.masks.values()]) for bits in free))

    def least_error(self) -> float:
        """No more than the error of any parameters: that of rounding alone, with real numbers of bits as scales, which
        all bits of the largest modulus are shared between. 0 where primes are dropped, or ciphertexts multiplied, and
        other limits hold."""
        built, bits = self.draft.built, min(self._rooms)
        if built.drops or built.multiplies_ciphertexts:
            return 0.0
        most = min(self.largest * self.data_primes, MAX_MODULUS_BITS[self.degree] - LEAST_PRIME) - bits
        return max(rounding_error(part, most) for part in self.gains.results.values() or [self.gains])

    def _shared(self, primes: tuple[int, ...], free: float, most: float) -> Parameters | None:
        built = self.draft.built
        factors = built.depth + 1
        if not isfinite(free):
            # squares of the weights exceed doubles
            return None
        bits = int(sum(primes[:-1]) - free)

        def make(scales: tuple[int, ...]) -> Parameters:
            # without scales of their own plaintexts would take what their ciphertexts have after a dropped prime
            own = () if len(set(scales)) == 1 and not built.drops else scales
            return Parameters(self.degree, primes, scales[0], tuple(built.drops), own)

        if built.multiplies_ciphertexts:
            scale = bits // factors
            found = make((scale,) * factors)
            return found if scale >= LEAST_SCALE and self.fits(found) else None
        scales = tuple(bits // factors + (n < bits % factors) for n in range(factors))
        best = make(scales)
        if min(scales) < LEAST_SCALE or not self.fits(best):
            return None
        error = ScaleErrors(self.gains, best, scales, built.drops)
        if error.least() > most:
            return _BEATEN
        least = error(scales)
        step = 8
        while step:
            moved = False
            for to in range(factors):
                for source in range(factors):
                    if to == source or scales[source] - step < LEAST_SCALE:
                        continue
                    moved_bits = list(scales)
                    moved_bits[to] += step
                    moved_bits[source] -= step
                    new = tuple(moved_bits)
                    value = error(new)
                    if value < least and self.fits(tried := make(new)):
                        best, least, scales, moved = tried, value, new, True
            if not moved:
                step //= 2
        return best

    def _dropping(self) -> Iterator[Parameters]:
        """Primes of two sizes, those that are dropped and those that stay: a coarse grid of both, then its best point
        and ever nearer neighbours of it."""
        limit, drops = MAX_MODULUS_BITS[self.degree], len(self.draft.built.drops)
        stay = self.data_primes - drops
        known: dict[tuple[int, int], Fit] = {}

        def at(dropped: int, staying: int, most: float) -> float:
            """The smallest error with primes that drop, and primes that stay, of this many bits altogether; infinite
            where it is plain that it is more than ``most``."""
            place = (dropped, staying)
            if place not in known:
                key = min(self.largest, limit - staying - drops * dropped)
                found = None
                if (
                    min(key, dropped) >= LEAST_PRIME
                    and dropped <= self.largest
                    and LEAST_PRIME * stay <= staying <= self.largest * stay
                ):
                    first = (staying // stay + (n < staying % stay) for n in range(stay))
                    found = self.shared((*first, *[dropped] * drops, key), most)
                if found is None:
                    return inf
                known[place] = Fit(self.gains.error(found), found)
            return known[place].error

        def best_of(places: Sequence[tuple[int, int]], most: float = inf) -> tuple[int, int]:
            """The first of those with the smallest error, which is at most ``most``."""
            errors = {}
            for place in reversed(places):
                errors[place] = at(*place, most)
                most = min(most, errors[place])
            return min(places, key=lambda place: errors[place])

        sizes = range(LEAST_PRIME, self.largest + 1, 9)
        best = best_of([(d, s * stay) for d in sizes for s in sizes])
        for step in (4, 2, 1):
            near = [(best[0] + a * step, best[1] + b * step) for a in (-1, 0, 1) for b in (-1, 0, 1)]
            best = best_of(near, at(*best, inf))
        if (fit := known.get(best)) is not None:
            yield fit.parameters

    def _steady(self) -> Iterator[Parameters]:
        """The most precise ones for each size of dropped primes."""
        limit, drops = MAX_MODULUS_BITS[self.degree], self.draft.built.drops
        for scale in range(max(LEAST_PRIME, HEADROOM_BITS), self.largest + 1):
            for first in range(scale + ceil(self.message_bits), self.largest + 1):
                key = min(self.largest, limit - first - len(drops) * scale)
                found = self.steady((first, *[scale] * len(drops), key)) if key >= LEAST_PRIME else None
                if found is not None:
                    yield found
                    break

    def steady(self, primes: tuple[int, ...]) -> Parameters | None:
        """Factors of products of ciphertexts have no scales of their own: primes of the size of the scale are dropped,
        which leaves it as it is. None where messages do not fit."""
        found = Parameters(self.degree, primes, primes[1], tuple(self.draft.built.drops))
        return found if self.fits(found) else None
