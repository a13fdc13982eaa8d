"""The fastest parameters that a precision allows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from heapq import heapify, heappop, heappush
from math import ceil, floor, inf, log2, log10
from typing import TypeAlias

from slotlang.cost.matrix import MatrixForm, matrix_form
from slotlang.cost.noise import Gains, gains
from slotlang.cost.predict import evaluation_calls, total
from slotlang.cost.profile import Profile, find_profile
from slotlang.diagnostics import SlotError, error
from slotlang.graph.key_selection import demand, key_set
from slotlang.meaning.program import Program
from slotlang.planning.hiding import Hide
from slotlang.planning.parameters import HEADROOM_BITS, MAX_MODULUS_BITS, Parameters, check_slots
from slotlang.planning.plan import Draft, Plan
from slotlang.schedule.build import EVERY

MESSAGE_BITS = 8
"""Bits of modulus left above the root mean square of what slots hold: values up to 2^6 times as large still fit, with a
sign and the doubling of a part that is read alone. Masks need less (``hiding.MASK_MARGIN``)."""

ROUNDING = 1e-6
"""Bits by which a message may seem not to fit: sums of products come out as 1 and a last digit."""

LEAST_PRIME = 24
"""Bits of the smallest prime that is tried: below it some degrees have too few primes."""

LARGEST_PRIME = 60

LEAST_SCALE = 8
"""Bits of the smallest scale that is tried."""

MAX_PRIMES = 12
"""Most data primes that are tried."""

MOST_SWITCHES = 1 << 16
"""Most key switches (at the top level) that keys are saved for."""


@dataclass(frozen=True)
class _Candidate:
    """Where to rescale, degree and number of data primes: what decides the time."""

    draft: Draft
    degree: int
    data_primes: int
    found: Gains

    def best(self) -> tuple[float, Parameters] | None:
        """The smallest error and its parameters; None when nothing fits."""
        tried = self._unrescaled()
        if self.draft.built.drops:
            tried = self._steady() if self.draft.built.multiplies_ciphertexts else self._dropping()
        return min(((self.found.error(p), p) for p in tried), key=lambda e: e[0], default=None)

    def _fits(self, p: Parameters) -> bool:
        """Whether every ciphertext's message fits its modulus, and its scale is one to reckon with."""
        return all(
            sum(p.primes[: p.data_primes - level]) - p.carried_bits(level, products)
            >= MESSAGE_BITS + max(log2(peak) / 2 if peak else 0.0, 0.0) - ROUNDING
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
            # without scales of their own plaintexts would take what their ciphertexts have after a dropped prime
            own = () if len(set(scales)) == 1 and not built.drops else scales
            return Parameters(self.degree, primes, scales[0], tuple(built.drops), own)

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

    def _dropping(self) -> Iterator[Parameters]:
        """Primes of two sizes, those that are dropped and those that stay: a coarse grid of both, then its best point
        and ever nearer neighbours of it."""
        limit, drops = MAX_MODULUS_BITS[self.degree], len(self.draft.built.drops)
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

    def _steady(self) -> Iterator[Parameters]:
        """Factors of products of ciphertexts have no scales of their own: primes of the size of the scale are dropped,
        which leaves it as it is."""
        limit, drops = MAX_MODULUS_BITS[self.degree], tuple(self.draft.built.drops)
        for scale in range(max(LEAST_PRIME, HEADROOM_BITS), LARGEST_PRIME + 1):
            for first in range(scale + MESSAGE_BITS, LARGEST_PRIME + 1):
                key = min(LARGEST_PRIME, limit - first - len(drops) * scale)
                if key >= LEAST_PRIME:
                    found = Parameters(self.degree, (first, *[scale] * len(drops), key), scale, drops)
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
    and whose evaluation keys take at most ``max_key_bytes`` in the server's memory. Where keys for all steps of the
    program take more, it rotates by some of them in several key switches.

    Raises SL005 for a precision or bound that is not positive, SL451 when nothing meets them, with the best that
    does, and as ``plan`` and ``find_profile``.
    """
    return chosen(program, precision, profile=profile, max_key_bytes=max_key_bytes, hide=hide)[0]


def chosen(
    program: Program,
    precision: float,
    *,
    profile: Profile | None = None,
    max_key_bytes: int | None = None,
    hide: Hide = "mask",
    wider: tuple[float, float] = (1.0, 1.0),
) -> tuple[Plan, float]:
    """As ``choose``, with the predicted error. ``wider``: for a program that is a part of another one, how many times
    as many terms the first, and later, products of that one are summed over (``Gains.widened``)."""
    if not 0 < precision < inf:
        raise error("SL005", f"a precision is a positive number such as 1e-3, not {precision:g}")
    if max_key_bytes is not None and max_key_bytes < 0:
        raise error("SL005", "--max-key-bytes must not be negative")
    check_slots(program.slots, program.syntax.statements[0].span)
    search = _Search(program, precision, max_key_bytes, profile or find_profile(), hide, wider)
    for shape, keys in search.candidates():
        found = search.best(shape, keys)
        if found is not None and found[0] <= precision:
            return search.draft(shape, keys).under(found[1]), found[0]
    raise search.out_of_reach()


def parameters_for(
    program: Program,
    precision: float | None,
    *,
    profile: Profile | None = None,
    max_key_bytes: int | None = None,
    hide: Hide = "mask",
) -> Parameters | None:
    """What ``choose`` chooses; None, for the fixed choice, when no precision is asked for. Raises as ``choose``."""
    check_bound(precision, max_key_bytes)
    if precision is None:
        return None
    return choose(program, precision, profile=profile, max_key_bytes=max_key_bytes, hide=hide).parameters


def check_bound(precision: float | None, max_key_bytes: int | None) -> None:
    """Raises SL005 for a bound on keys without a precision."""
    if max_key_bytes is not None and precision is None:
        raise error("SL005", "--max-key-bytes needs --precision", hint="parameters are only searched for a precision")


class OutOfReach(SlotError):
    """SL451. ``best``: the smallest error there is, rounded up to two digits; infinite when nothing fits at all.
    ``fewest_bytes``: of the smallest keys that would do, where it is about them."""

    best = inf
    fewest_bytes: int | None = None


def _above(value: float) -> float:
    """Rounded up to two digits, so that asking for it succeeds."""
    unit = 10.0 ** (floor(log10(value)) - 1)
    return ceil(value / unit) * unit


_Shape: TypeAlias = tuple[int, int, int]
"""Degree, data primes and number of the draft."""

_Keys: TypeAlias = tuple[int, ...]
"""Steps that have a key; none, for all."""


class _Search:
    """Everything that may fit, fastest first. Gains and key sets are found when they are first needed, for each draft:
    each way to drop primes."""

    def __init__(
        self,
        program: Program,
        precision: float,
        bound: int | None,
        profile: Profile,
        hide: Hide,
        wider: tuple[float, float],
    ) -> None:
        self.wider = wider
        self.program = program
        self.precision = precision
        self.bound = bound
        self.profile = profile
        never = Draft.of(program, hide)
        ways: list[Sequence[int]] = [EVERY] if (depth := never.built.depth) else []
        if depth > 1 and not never.built.multiplies_ciphertexts:
            # between the products, and after the last one only
            ways += [tuple(range(1, depth)), (depth,)]
        self.drafts = [never, *(Draft.of(program, hide, drops) for drops in ways)]
        self.masked = hide != "none"
        self.columns = isinstance(matrix_form(self.drafts[0].graph, [LARGEST_PRIME], [1]), MatrixForm)
        self._drafts: dict[tuple[int, _Keys], Draft] = {}
        self._gains: dict[tuple[int, int, _Keys], Gains] = {}
        self._best: dict[tuple[_Shape, _Keys], tuple[float, Parameters] | None] = {}
        self._sets: dict[tuple[int, int, tuple[float, ...]], tuple[float, _Keys]] = {}

    def candidates(self) -> Iterator[tuple[_Shape, _Keys]]:
        """By predicted time; only those whose keys take at most ``bound`` bytes."""
        waiting: list[tuple[float, _Shape, _Keys | None]] = [
            (seconds, shape, None) for seconds, shape in self._shapes()
        ]
        heapify(waiting)
        while waiting:
            seconds, shape, keys = heappop(waiting)
            room = self._room(shape)
            if keys is None and room < len(self._steps(shape)):
                # fewer keys take more time, and are no more precise
                chosen = self._key_set(shape, room) if room > 0 and self._precise(self.best(shape, ())) else None
                if chosen is not None:
                    heappush(waiting, (seconds + chosen[0], shape, chosen[1]))
            elif room >= 0:
                yield shape, keys or ()

    def draft(self, shape: _Shape, keys: _Keys) -> Draft:
        """With these keys; none, for a key for every step."""
        number = shape[2]
        if (number, keys) not in self._drafts:
            self._drafts[number, keys] = self.drafts[number].keyed(keys)
        return self._drafts[number, keys]

    def best(self, shape: _Shape, keys: _Keys) -> tuple[float, Parameters] | None:
        """The smallest error and its parameters; None when nothing fits."""
        if (shape, keys) not in self._best:
            degree, k, number = shape
            draft = self.draft(shape, keys)
            if (number, degree, keys) not in self._gains:
                own = gains(draft.graph, degree, draft.doubled, masked=self.masked)
                self._gains[number, degree, keys] = own.widened(*self.wider)
            found = _Candidate(draft, degree, k, self._gains[number, degree, keys]).best()
            self._best[shape, keys] = found and (found[0], replace(found[1], keys=keys))
        return self._best[shape, keys]

    def out_of_reach(self) -> OutOfReach:
        """Why nothing was found, and what can be had."""
        name, span = self.program.name, self.program.syntax.statements[0].span
        bound = "" if self.bound is None else f" with at most {self.bound:,} bytes of keys"
        best = self._most_precise()
        wider = None if self.bound is None else self._fewest_bytes()
        notes = [] if best is None else [f"the best is {best[0]:.1e}, with {best[1].text()}"]
        hints = [] if best is None else [f"--precision {_above(best[0]):.1e}"]
        if wider is not None:
            notes.append(f"keys for this precision take {wider:,} bytes at least")
            hints.append(f"--max-key-bytes {wider}")
        what = "hold" if best is None else f"reach a relative error of {self.precision:.1e} for"
        hint = ", or ".join([*hints, "fewer products in a row"])
        problem = OutOfReach(
            error("SL451", f"no 128-bit parameters {what} '{name}'{bound}", span, notes=notes, hint=hint).diagnostics
        )
        if best is not None:
            problem.best = _above(best[0])
        problem.fewest_bytes = wider
        return problem

    def _shapes(self) -> Iterator[tuple[float, _Shape]]:
        """Degrees and numbers of primes with the time they take when every step has a key."""
        for number, draft in enumerate(self.drafts):
            least = len(draft.built.drops) + 1
            steady = least > 1 and draft.built.multiplies_ciphertexts
            most = evaluation_calls(draft.graph, MAX_PRIMES)
            for k in range(least, least + 1 if steady else max(least, MAX_PRIMES) + 1):
                # with fewer primes every operation has as many fewer
                calls = Counter({(name, primes - MAX_PRIMES + k): times for (name, primes), times in most.items()})
                for degree, limit in MAX_MODULUS_BITS.items():
                    if degree >= 2 * self.program.slots and LEAST_PRIME * (k + 1) <= limit:
                        seconds = total(calls, degree, self.profile)
                        if self.columns and not draft.built.drops:
                            seconds = min(seconds, self._by_matrices(draft, degree, k))
                        yield seconds, (degree, k, number)

    def _by_matrices(self, draft: Draft, degree: int, k: int) -> float:
        """Seconds that matrix products take, were all primes and all scales of one size."""
        primes = [min(LARGEST_PRIME, MAX_MODULUS_BITS[degree] // (k + 1))] * k
        factors = draft.built.depth + 1
        columns = matrix_form(draft.graph, primes, [(sum(primes) - MESSAGE_BITS) // factors] * factors)
        assert isinstance(columns, MatrixForm), "whether a graph is one of matrices does not depend on parameters"
        return columns.seconds(degree, k, self.profile)

    def _steps(self, shape: _Shape) -> frozenset[int]:
        return frozenset(node.step for node in self.drafts[shape[2]].graph.of_kind("rotate"))

    def _others(self, shape: _Shape) -> int:
        """Keys that are not for rotations."""
        counts = self.drafts[shape[2]].counts
        return (counts.conjugations > 0) + (counts.cipher_products > 0)

    def _room(self, shape: _Shape) -> int:
        """Keys for rotations that the bound has room for."""
        if self.bound is None:
            return len(self._steps(shape))
        return self.bound // _key_bytes(shape) - self._others(shape)

    def _key_set(self, shape: _Shape, most: int) -> tuple[float, _Keys] | None:
        """The best set of so many keys at most, and the seconds it takes more than a key for every step."""
        degree, k, number = shape
        graph = self.drafts[number].graph
        levels = range(max(graph.levels, default=0) + 1)
        seconds = [self.profile.seconds("rotate", degree, k - level) for level in levels]
        costs = tuple(s / seconds[0] for s in seconds)
        if (number, most, costs) not in self._sets:
            wanted = demand(graph, lambda level: costs[level])
            cost, keys = key_set(wanted, most) or (inf, ())
            self._sets[number, most, costs] = cost - wanted.least, keys
        more, keys = self._sets[number, most, costs]
        return None if more > MOST_SWITCHES else (seconds[0] * more, keys)

    def _most_precise(self) -> tuple[float, Parameters] | None:
        """The smallest error within the bound."""
        best: tuple[float, Parameters] | None = None
        for _, shape in self._shapes():
            found = self._with_keys(shape, self._room(shape))
            if found is not None and (best is None or found[0] < best[0]):
                best = found
        return best

    def _fewest_bytes(self) -> int | None:
        """Bytes of the smallest keys that the precision can be had with."""
        options = []
        for _, shape in self._shapes():
            each, steps = _key_bytes(shape), len(self._steps(shape))
            options += [((most + self._others(shape)) * each, shape, most) for most in range(min(1, steps), steps + 1)]
        for size, shape, most in sorted(options):
            if self._precise(self.best(shape, ())) and self._precise(self._with_keys(shape, most)):
                return size
        return None

    def _precise(self, found: tuple[float, Parameters] | None) -> bool:
        return found is not None and found[0] <= self.precision

    def _with_keys(self, shape: _Shape, most: int) -> tuple[float, Parameters] | None:
        """The smallest error, and its parameters, with at most so many keys for rotations."""
        if most < 0:
            return None
        if most >= len(self._steps(shape)):
            return self.best(shape, ())
        chosen = self._key_set(shape, most)
        return None if chosen is None else self.best(shape, chosen[1])


def _key_bytes(shape: _Shape) -> int:
    """Of one evaluation key, as the server holds it."""
    degree, k, _ = shape
    return 16 * degree * (k + 1) * k
