"""The fastest parameters that a target allows, and of these the ones with the fewest bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from heapq import heapify, heappop, heappush
from math import ceil, floor, inf, log10
from typing import TypeGuard

from slotlang.cost.matrix import MatrixForm, weighed
from slotlang.cost.noise import ITSELF, Wider
from slotlang.cost.predict import evaluation_calls, total
from slotlang.cost.profile import Profile, find_profile
from slotlang.diagnostics import Diagnostic
from slotlang.graph.key_selection import demand, key_set
from slotlang.meaning.program import Program
from slotlang.planning.known import Keys, Known, Shape, known_of
from slotlang.planning.modulus import LEAST_PRIME, Fit
from slotlang.planning.parameters import MAX_MODULUS_BITS, Parameters, check_slots
from slotlang.planning.plan import Draft, Plan
from slotlang.planning.sending import Sending
from slotlang.planning.slack import Slack
from slotlang.planning.target import Target
from slotlang.planning.traffic import Traffic
from slotlang.refusals import Unreachable
from slotlang.schedule.levels import drops_results
from slotlang_runtime.amounts import count_of
from slotlang_runtime.parameters import DOUBLE_BITS, LARGEST_PRIME

RESERVE = 2.0
"""How many times as precise as was asked for the smallest primes are, so that results a little smaller than expected
have the precision too."""

ROUNDED = 1.05
"""By how much the error may grow where results take fewer bytes, and little of the precision is left."""

SLOWER = 1.05
"""How many times as long a request may take where its results take fewer bytes."""

MAX_PRIMES = 12
"""Most data primes that are tried."""

MOST_SWITCHES = 1 << 16
"""Most key switches (at the top level) that keys are saved for."""


@dataclass(frozen=True)
class Chosen:
    """A plan with its predicted relative rms error."""

    plan: Plan
    error: float


def choose(
    program: Program,
    target: Target,
    *,
    profile: Profile | None = None,
    wider: Wider = ITSELF,
    share: float = 1.0,
) -> Chosen | Unreachable:
    """The plan with the least predicted evaluation time whose predicted relative rms error is at most the target's
    precision, which must be given, and whose evaluation keys take at most ``target.max_key_bytes`` in the server's
    memory. Its primes are the smallest that meet the precision: those with the fewest bytes sent. Where keys for all
    steps of the program take more, it rotates by some of them in several key switches.

    ``wider``: of a program that this one is a part of, which has sums of more terms (``Gains.widened``), and the
    ``share`` of its products. ``Unreachable`` (code SL451)
    names the best that can be reached.
    Raises as ``Draft`` and ``find_profile``.
    """
    if target.precision is None:
        raise ValueError("parameters are searched for a precision, and the target has none")
    check_slots(program.slots, program.span)
    search = _Search(known_of(program, target, wider, share), target, target.precision, profile or find_profile())
    for shape, keys in search.candidates():
        found = search.reached(shape, keys)
        if found is not None:
            chosen = search.smallest(shape, keys, found)
            # noise may take more than its margin
            if search.holds(shape, keys, chosen):
                return search.sent(shape, keys, chosen)
    return search.unreachable()


def bytes_sent(draft: Draft, p: Parameters) -> int:
    """Bytes of keys, inputs and results together, as they are sent, without headers."""
    return Traffic.of(draft).sent(p)


def _above(value: float) -> float:
    """Rounded up to two digits, so that asking for it succeeds."""
    unit = 10.0 ** (floor(log10(value)) - 1)
    return ceil(value / unit) * unit


class _Search:
    """Everything that may fit, fastest first."""

    def __init__(self, known: Known, target: Target, precision: float, profile: Profile) -> None:
        self.known = known
        self.precision = precision
        self.target = target
        self.profile = profile.without_kernels if target.kernel == "seal" else profile

    def candidates(self) -> Iterator[tuple[Shape, Keys]]:
        """By predicted time; only those whose keys take at most ``max_key_bytes``."""
        waiting: list[tuple[float, Shape, Keys | None]] = [(seconds, shape, None) for seconds, shape in self._shapes()]
        heapify(waiting)
        while waiting:
            seconds, shape, keys = heappop(waiting)
            if keys is not None or self._fits(shape, ()):
                yield shape, keys or ()
            elif self.reached(shape, ()) is not None:
                # fewer keys take more time, and are no more precise
                chosen = self._within(shape)
                if chosen is not None:
                    heappush(waiting, (seconds + chosen[0], shape, chosen[1]))

    def smallest(self, shape: Shape, keys: Keys, precise: Fit) -> Chosen:
        """The plan of a shape with the fewest bytes sent for the precision, if it is as fast as with the most
        ``precise`` parameters."""
        draft = self.known.draft(shape, keys)
        chosen = Chosen(draft.under(precise.parameters, self.target.kernel), precise.error)
        enough = max(self.precision / RESERVE, precise.error)
        fit = Slack(self.known.modulus(shape, keys), enough, Traffic.of(draft).sent).smallest(precise)
        if fit.parameters == precise.parameters:
            return chosen
        smaller = Chosen(draft.under(replace(fit.parameters, keys=keys), self.target.kernel), fit.error)
        before, after = (c.plan.predicted(self.profile).evaluation for c in (chosen, smaller))
        return smaller if after <= before and self.holds(shape, keys, smaller) else chosen

    def sent(self, shape: Shape, keys: Keys, chosen: Chosen) -> Chosen:
        """The plan with the fewest bytes sent whose results drop primes last, or are sent without their last bits,
        where that saves bytes and takes hardly more time of a request; else the one that was ``chosen``."""
        before, draft = chosen.plan, self.known.draft(shape, keys)
        traffic = Traffic.of(draft)
        most = traffic.sent(before.parameters)
        best, least = chosen, traffic.requests(most, before.parameters)
        request = before.predicted(self.profile).request
        enough = self.precision / RESERVE
        if chosen.error > enough:
            enough = min(self.precision, ROUNDED * chosen.error)
        stay = before.parameters.data_primes - len(draft.built.drops)
        drops = stay if before.kernel != "matrix" and drops_results(draft.built) else 1
        for results in range(int(stay > 1), drops):
            own = self.known.dropping(shape, results) if results else shape
            dropping = self.known.draft(own, keys)
            modulus = self.known.modulus(own, keys)
            size = partial(Traffic.of(dropping).requests, most)
            cuts = self.target.wire != "seal"
            fit = Sending(modulus, results, enough, size, cuts=cuts).smallest(before.parameters, least)
            if fit is None:
                continue
            found = Chosen(dropping.under(fit.parameters, self.target.kernel), fit.error)
            if found.plan.predicted(self.profile).request <= SLOWER * request and self.holds(own, keys, found):
                best, least = found, size(fit.parameters)
        return best

    def holds(self, shape: Shape, keys: Keys, chosen: Chosen) -> bool:
        """Whether the range theorem holds, noise included; where weights are checked when they are encoded, whether it
        would for weights as is assumed. Of a part of a program it is not known."""
        if self.known.wider != ITSELF:
            return True
        status = chosen.plan.range.status
        return status == "proved" or (
            status == "conditional" and self.known.modulus(shape, keys).holds_noise(chosen.plan.parameters)
        )

    def reached(self, shape: Shape, keys: Keys) -> Fit | None:
        """The smallest error of a shape and its parameters, if it is small enough."""
        if self.known.modulus(shape, keys).least_error() > self.precision:
            return None
        # more room for noise leaves less for scales
        if not self.precise(self.known.first(shape, keys)):
            return None
        found = self.known.best(shape, keys)
        return found if self.precise(found) else None

    def precise(self, fit: Fit | None) -> TypeGuard[Fit]:
        """Whether some parameters reach the precision."""
        return fit is not None and fit.error <= self.precision

    def unreachable(self) -> Unreachable:
        """Why nothing was found, and what can be reached."""
        most = self.target.max_key_bytes
        bound = "" if most is None else f" with at most {count_of(most, 'byte')} of keys"
        best = self._most_precise()
        fewest = None if most is None else self._fewest_bytes()
        notes = [] if best is None else [f"the best is {best.error:.1e}, with {best.parameters.text()}"]
        hints = [] if best is None else [f"--precision {_above(best.error):.1e}"]
        if fewest is not None:
            notes.append(f"keys for this precision take {count_of(fewest, 'byte')} at least")
            hints.append(f"--max-key-bytes {fewest}")
        what = "hold" if best is None else f"reach a relative error of {self.precision:.1e} for"
        problem = Diagnostic(
            "SL451",
            f"no 128-bit parameters {what} '{self.known.program.name}'{bound}",
            self.known.program.span,
            notes=tuple(notes),
            hint=", or ".join([*hints, "fewer products in a row"]),
        )
        return Unreachable(problem, inf if best is None else _above(best.error), fewest)

    def _shapes(self) -> Iterator[tuple[float, Shape]]:
        """Degrees and numbers of primes with the time they take when every step has a key."""
        for number, draft in enumerate(self.known.drafts[: self.known.looked_through]):
            least = len(draft.built.drops) + 1
            steady = least > 1 and draft.built.multiplies_ciphertexts
            compiled, parts = self.target.kernel != "seal", bool(self.profile.kernels)
            most = evaluation_calls(draft.graph, MAX_PRIMES, compiled=compiled, parts=parts)
            for k in range(least, least + 1 if steady else max(least, MAX_PRIMES) + 1):
                # with fewer primes every operation has as many fewer
                calls = Counter({(name, primes - MAX_PRIMES + k): times for (name, primes), times in most.items()})
                for degree, limit in MAX_MODULUS_BITS.items():
                    if degree < 2 * self.known.program.slots or LEAST_PRIME * (k + 1) > limit:
                        continue
                    for largest in self._largest:
                        shape = degree, k, number, largest
                        seconds = inf if self.target.kernel == "matrix" else total(calls, degree, self._priced(shape))
                        if largest == LARGEST_PRIME and self.known.matrices and not draft.built.drops:
                            seconds = min(seconds, self._by_matrices(self.known.matrices, draft, degree, k))
                        yield seconds, shape

    @property
    def _largest(self) -> tuple[int, ...]:
        """Bits of the largest prime, for each kind of kernels that there is."""
        small = self.profile.small and self.target.kernel != "matrix"
        return (LARGEST_PRIME, DOUBLE_BITS) if small else (LARGEST_PRIME,)

    def _priced(self, shape: Shape) -> Profile:
        return self.profile.of_primes([shape[3]])

    def _by_matrices(self, form: MatrixForm, draft: Draft, degree: int, k: int) -> float:
        """Seconds that matrix products would take if all primes and all scales had one size."""
        primes = [min(LARGEST_PRIME, MAX_MODULUS_BITS[degree] // (k + 1))] * k
        factors = draft.built.depth + 1
        scales = [floor(sum(primes) - self.known.message_bits(draft)) // factors] * factors
        return weighed(form.stages, form.operations, primes, scales).seconds(degree, k, self.profile)

    def _fits(self, shape: Shape, keys: Keys) -> bool:
        """Whether keys for these steps, and those that are not for rotations, are within the bound."""
        most = self.target.max_key_bytes
        return most is None or self._key_bytes(shape, keys) <= most

    def _key_bytes(self, shape: Shape, keys: Keys) -> int:
        return self.known.key_bytes(shape, keys, whole=self.target.wire == "seal")

    def _within(self, shape: Shape) -> tuple[float, Keys] | None:
        """As ``_key_set``, of the largest sets that the bound has room for, the largest that does fit."""
        room = len(self.known.steps(shape)) - 1
        bound = self.target.max_key_bytes
        while room > 0 and bound is not None and self.known.least_key_bytes(shape, room) > bound:
            room -= 1
        while room > 0:
            chosen = self._key_set(shape, room)
            if chosen is None or self._fits(shape, chosen[1]):
                return chosen
            # a key that is used at an earlier level too is larger
            room = len(chosen[1]) - 1
        return None

    def _key_set(self, shape: Shape, most: int) -> tuple[float, Keys] | None:
        """The best set of at most ``most`` keys, and the seconds it takes more than a key for every step."""
        degree, k, number, _ = shape
        graph = self.known.drafts[number].graph
        levels = range(max(graph.levels, default=0) + 1)
        seconds = [self._priced(shape).key_switch(degree, k - level) for level in levels]
        costs = tuple(s / seconds[0] for s in seconds)
        if (number, most, costs) not in self.known.sets:
            wanted = demand(graph, lambda level: costs[level])
            cost, keys = key_set(wanted, most) or (inf, ())
            self.known.sets[number, most, costs] = cost - wanted.least, keys
        more, keys = self.known.sets[number, most, costs]
        return None if more > MOST_SWITCHES else (seconds[0] * more, keys)

    def _most_precise(self) -> Fit | None:
        """The smallest error within the bound."""
        fits = (self._best_within(shape) for _, shape in self._shapes())
        return min((fit for fit in fits if fit is not None), key=lambda fit: fit.error, default=None)

    def _best_within(self, shape: Shape) -> Fit | None:
        """The smallest error of a shape within the bound, and its parameters."""
        if self._fits(shape, ()):
            return self.known.best(shape, ())
        chosen = self._within(shape)
        return None if chosen is None else self.known.best(shape, chosen[1])

    def _fewest_bytes(self) -> int | None:
        """Bytes of the smallest keys that the precision can be had with."""
        waiting: list[tuple[int, Shape, int, bool]] = []
        for _, shape in self._shapes():
            steps = len(self.known.steps(shape))
            waiting += [
                (self.known.least_key_bytes(shape, most), shape, most, False)
                for most in range(min(1, steps), steps + 1)
            ]
        heapify(waiting)
        while waiting:
            size, shape, most, exact = heappop(waiting)
            if exact:
                return size
            if not self.precise(self.known.best(shape, ())):
                continue
            keys = self._largest_set(shape, most)
            if keys is not None and self.precise(self.known.best(shape, keys)):
                heappush(waiting, (self._key_bytes(shape, keys), shape, most, True))
        return None

    def _largest_set(self, shape: Shape, most: int) -> Keys | None:
        """The best set of at most ``most`` keys; none, where there is a key for every step."""
        if most >= len(self.known.steps(shape)):
            return ()
        chosen = self._key_set(shape, most)
        return None if chosen is None else chosen[1]
