"""The fastest parameters that a target allows, and of these the ones with the fewest bytes."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from heapq import heapify, heappop, heappush
from math import ceil, floor, inf, log2, log10
from typing import TypeAlias, TypeGuard

from slotlang.cost.data import within_bounds
from slotlang.cost.gains import gains
from slotlang.cost.keys import key_bytes
from slotlang.cost.matrix import MatrixForm, matrix_form, weighed
from slotlang.cost.noise import ITSELF, Gains, Wider
from slotlang.cost.predict import evaluation_calls, total
from slotlang.cost.profile import Profile, find_profile
from slotlang.cost.variances import Contents
from slotlang.diagnostics import Diagnostic
from slotlang.graph.key_selection import demand, key_set
from slotlang.meaning.program import Program
from slotlang.planning.messages import State
from slotlang.planning.modulus import LARGEST_PRIME, LEAST_PRIME, Fit, Modulus
from slotlang.planning.parameters import MAX_MODULUS_BITS, Parameters, check_slots
from slotlang.planning.plan import Draft, Plan
from slotlang.planning.sending import Sending
from slotlang.planning.slack import Slack
from slotlang.planning.target import Target
from slotlang.refusals import Unreachable
from slotlang.schedule.build import EVERY
from slotlang.schedule.levels import drops_results
from slotlang_runtime.parameters import DOUBLE_BITS

RESERVE = 2.0
"""How many times as precise as was asked for the smallest primes are, so that results a little smaller than expected
have the precision too."""

REQUESTS = 16
"""How many requests the keys of a client are counted for, where what results are sent as is chosen."""

ROUNDED = 1.05
"""By how much the error may grow where results take fewer bytes, and little of the precision is left."""

SLOWER = 1.02
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
    search = _Search(_known(program, target, wider, share), target, target.precision, profile or find_profile())
    for shape, keys in search.candidates():
        found = search.known.best(shape, keys)
        if search.precise(found):
            chosen = search.smallest(shape, keys, found)
            # noise may take more than its margin
            if search.holds(shape, keys, chosen):
                return search.sent(shape, keys, chosen)
    return search.unreachable()


def bytes_sent(draft: Draft, p: Parameters) -> int:
    """Bytes of keys, inputs and results together, as they are sent, without headers."""
    halves = draft.hiding.halves
    down = sum(p.result_bytes(n, halved=member in halves) for member, n in draft.graph.results().items())
    up = draft.counts.ciphertexts_in * p.sent_bytes(seeded=True)
    return up + down + p.sent_keys_bytes(draft.key_levels.switching)


def bytes_of_requests(draft: Draft, most: float, p: Parameters) -> float:
    """Bytes of inputs and results of a request, and its share of those of keys; infinite where all together are more
    than ``most``."""
    keys = p.sent_keys_bytes(draft.key_levels.switching)
    sent = bytes_sent(draft, p)
    return inf if sent > most else sent - keys + keys / REQUESTS


def _above(value: float) -> float:
    """Rounded up to two digits, so that asking for it succeeds."""
    unit = 10.0 ** (floor(log10(value)) - 1)
    return ceil(value / unit) * unit


_Shape: TypeAlias = tuple[int, int, int, int]
"""Degree, data primes, number of the draft, and bits of the largest prime: kernels on doubles take smaller ones."""

_Keys: TypeAlias = tuple[int, ...]
"""Steps that have a key; none, for all."""


class _Known:
    """What is known of a program's drafts, each a way to drop primes, whatever precision and keys are asked for: gains,
    the best parameters and key sets, found when they are first needed."""

    def __init__(self, program: Program, target: Target, wider: Wider, share: float) -> None:
        self.program = program
        self.target = target
        self.wider = wider
        self.share = share
        never = Draft.of(program, target.hide, share=share)
        form = matrix_form(never.graph, [LARGEST_PRIME], [1])
        never.kernel(form, target.kernel)
        self.matrices = form if isinstance(form, MatrixForm) and target.kernel in ("auto", "matrix") else None
        drops: list[Sequence[int]] = [EVERY] if (depth := never.built.depth) else []
        if depth > 1 and not never.built.multiplies_ciphertexts:
            # between the products, and after the last one only
            drops += [tuple(range(1, depth)), (depth,)]
        if target.kernel == "matrix":
            # matrices only add up
            drops = []
        self.drafts = [never, *(never.dropping(after) for after in drops)]
        # what is looked through; drafts whose results drop primes come behind them when they are asked for
        self.looked_through = len(self.drafts)
        self._results: dict[tuple[int, int], int] = {}
        self._drafts: dict[tuple[int, _Keys], Draft] = {}
        self._gains: dict[tuple[int, int, _Keys], Gains] = {}
        # drafts differ in where they drop primes, not in what their plaintexts hold
        self._contents = Contents(never.built, within_bounds(program, target.data))
        self._best: dict[tuple[_Shape, _Keys], Fit | None] = {}
        self.sets: dict[tuple[int, int, tuple[float, ...]], tuple[float, _Keys]] = {}

    def serves(self, program: Program, target: Target, wider: Wider, share: float) -> bool:
        """Whether it is what a search for this target would find."""
        own = self.target
        same = self.program is program and own.data is target.data
        return same and (own.hide, own.kernel, self.wider, self.share) == (target.hide, target.kernel, wider, share)

    def draft(self, shape: _Shape, keys: _Keys) -> Draft:
        """The draft with these keys; none, for a key for every step."""
        number = shape[2]
        if (number, keys) not in self._drafts:
            self._drafts[number, keys] = self.drafts[number].keyed(keys)
        return self._drafts[number, keys]

    def best(self, shape: _Shape, keys: _Keys) -> Fit | None:
        """The smallest error and its parameters; None when nothing fits."""
        if (shape, keys) not in self._best:
            fit = self.modulus(shape, keys).held()
            self._best[shape, keys] = fit and fit._replace(parameters=replace(fit.parameters, keys=keys))
        return self._best[shape, keys]

    def modulus(self, shape: _Shape, keys: _Keys) -> Modulus:
        degree, k, number, largest = shape
        draft = self.draft(shape, keys)
        if (number, degree, keys) not in self._gains:
            own = gains(
                draft.graph,
                degree,
                draft.doubled,
                masked=self.target.hide != "none",
                zero=draft.zero,
                contents=self._contents,
            )
            self._gains[number, degree, keys] = own.widened(self.wider)
        found = self._gains[number, degree, keys]
        return Modulus(draft, degree, k, found, self._needs(number), largest=largest)

    def dropping(self, shape: _Shape, results: int) -> _Shape:
        """The shape whose results drop this many primes. Raises SL404 where they can't."""
        degree, k, number, largest = shape
        if (number, results) not in self._results:
            early = tuple(self.drafts[number].built.drops)
            self.drafts.append(self.drafts[number].dropping(early, results))
            self._results[number, results] = len(self.drafts) - 1
        return degree, k, self._results[number, results], largest

    def message_bits(self, draft: Draft) -> float:
        # of sums with this many times as many terms
        wider = 0.0 if draft.needs is None else log2(self.wider.first * self.wider.later)
        return draft.message_bits + wider

    def _needs(self, number: int) -> Mapping[State, float] | None:
        """Those of a draft, whatever its keys. Where sums are longer, all terms of it may be as large as bounds say."""
        found = self.drafts[number].needs
        more = log2(self.wider.first * self.wider.later)
        return None if found is None else {state: bits + more for state, bits in found.items()}

    def steps(self, shape: _Shape) -> frozenset[int]:
        return frozenset(node.step for node in self.drafts[shape[2]].graph.of_kind("rotate"))

    def key_bytes(self, shape: _Shape, keys: _Keys, *, whole: bool) -> int:
        """Bytes of all keys with Galois keys for these steps, as the server holds them; ``whole``: for all levels."""
        levels = self.draft(shape, keys).key_levels
        held = (levels.whole() if whole else levels).switching
        return sum(count * _key_bytes(shape, level) for level, count in held.items())

    def least_key_bytes(self, shape: _Shape, most: int) -> int:
        """What keys take at least, ``most`` of them for rotations: each may be used at the last level alone."""
        levels = self.drafts[shape[2]].key_levels
        single = [level for level in (levels.conjugation, levels.relinearization) if level is not None]
        last = max(levels.steps.values(), default=0)
        return most * _key_bytes(shape, last) + sum(_key_bytes(shape, level) for level in single)


_LATELY: deque[_Known] = deque(maxlen=1)
"""What the last search knew: refusals, pages and tests ask for several precisions of one program in a row."""


def _known(program: Program, target: Target, wider: Wider, share: float) -> _Known:
    known = next((known for known in _LATELY if known.serves(program, target, wider, share)), None)
    if known is None:
        known = _Known(program, target, wider, share)
        _LATELY.append(known)
    return known


class _Search:
    """Everything that may fit, fastest first."""

    def __init__(self, known: _Known, target: Target, precision: float, profile: Profile) -> None:
        self.known = known
        self.precision = precision
        self.target = target
        self.profile = profile.without_kernels if target.kernel == "seal" else profile

    def candidates(self) -> Iterator[tuple[_Shape, _Keys]]:
        """By predicted time; only those whose keys take at most ``max_key_bytes``."""
        waiting: list[tuple[float, _Shape, _Keys | None]] = [
            (seconds, shape, None) for seconds, shape in self._shapes()
        ]
        heapify(waiting)
        while waiting:
            seconds, shape, keys = heappop(waiting)
            if keys is not None or self._fits(shape, ()):
                yield shape, keys or ()
            elif self.precise(self.known.best(shape, ())):
                # fewer keys take more time, and are no more precise
                chosen = self._within(shape)
                if chosen is not None:
                    heappush(waiting, (seconds + chosen[0], shape, chosen[1]))

    def smallest(self, shape: _Shape, keys: _Keys, precise: Fit) -> Chosen:
        """The plan of a shape with the fewest bytes sent for the precision, if it is as fast as with the most
        ``precise`` parameters."""
        draft = self.known.draft(shape, keys)
        chosen = Chosen(draft.under(precise.parameters, self.target.kernel), precise.error)

        def sent(p: Parameters) -> int:
            return bytes_sent(draft, replace(p, keys=keys))

        enough = max(self.precision / RESERVE, precise.error)
        fit = Slack(self.known.modulus(shape, keys), enough, sent).smallest(precise)
        if fit.parameters == precise.parameters:
            return chosen
        smaller = Chosen(draft.under(replace(fit.parameters, keys=keys), self.target.kernel), fit.error)
        before, after = (c.plan.predicted(self.profile).evaluation for c in (chosen, smaller))
        return smaller if after <= before and self.holds(shape, keys, smaller) else chosen

    def sent(self, shape: _Shape, keys: _Keys, chosen: Chosen) -> Chosen:
        """The plan with the fewest bytes sent whose results drop primes last, or are sent without their last bits,
        where that saves bytes and takes hardly more time of a request; else the one that was ``chosen``."""
        before, draft = chosen.plan, self.known.draft(shape, keys)
        most = bytes_sent(draft, before.parameters)
        best, least = chosen, bytes_of_requests(draft, most, before.parameters)
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
            size = partial(bytes_of_requests, dropping, most)
            cuts = self.target.wire != "seal"
            fit = Sending(modulus, results, enough, size, cuts=cuts).smallest(before.parameters, least)
            if fit is None:
                continue
            found = Chosen(dropping.under(fit.parameters, self.target.kernel), fit.error)
            if found.plan.predicted(self.profile).request <= SLOWER * request and self.holds(own, keys, found):
                best, least = found, size(fit.parameters)
        return best

    def holds(self, shape: _Shape, keys: _Keys, chosen: Chosen) -> bool:
        """Whether the range theorem holds, noise included; where weights are checked when they are encoded, whether it
        would for weights as is assumed. Of a part of a program it is not known."""
        if self.known.wider != ITSELF:
            return True
        status = chosen.plan.range.status
        return status == "proved" or (
            status == "conditional" and self.known.modulus(shape, keys).holds_noise(chosen.plan.parameters)
        )

    def precise(self, fit: Fit | None) -> TypeGuard[Fit]:
        """Whether some parameters reach the precision."""
        return fit is not None and fit.error <= self.precision

    def unreachable(self) -> Unreachable:
        """Why nothing was found, and what can be reached."""
        most = self.target.max_key_bytes
        bound = "" if most is None else f" with at most {most:,} bytes of keys"
        best = self._most_precise()
        fewest = None if most is None else self._fewest_bytes()
        notes = [] if best is None else [f"the best is {best.error:.1e}, with {best.parameters.text()}"]
        hints = [] if best is None else [f"--precision {_above(best.error):.1e}"]
        if fewest is not None:
            notes.append(f"keys for this precision take {fewest:,} bytes at least")
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

    def _shapes(self) -> Iterator[tuple[float, _Shape]]:
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
        doubles = self.profile.doubles and self.target.kernel != "matrix"
        return (LARGEST_PRIME, DOUBLE_BITS) if doubles else (LARGEST_PRIME,)

    def _priced(self, shape: _Shape) -> Profile:
        return self.profile.of_primes([shape[3]])

    def _by_matrices(self, form: MatrixForm, draft: Draft, degree: int, k: int) -> float:
        """Seconds that matrix products would take if all primes and all scales had one size."""
        primes = [min(LARGEST_PRIME, MAX_MODULUS_BITS[degree] // (k + 1))] * k
        factors = draft.built.depth + 1
        scales = [floor(sum(primes) - self.known.message_bits(draft)) // factors] * factors
        return weighed(form.stages, form.operations, primes, scales).seconds(degree, k, self.profile)

    def _fits(self, shape: _Shape, keys: _Keys) -> bool:
        """Whether keys for these steps, and those that are not for rotations, are within the bound."""
        most = self.target.max_key_bytes
        return most is None or self._key_bytes(shape, keys) <= most

    def _key_bytes(self, shape: _Shape, keys: _Keys) -> int:
        return self.known.key_bytes(shape, keys, whole=self.target.wire == "seal")

    def _within(self, shape: _Shape) -> tuple[float, _Keys] | None:
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

    def _key_set(self, shape: _Shape, most: int) -> tuple[float, _Keys] | None:
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

    def _best_within(self, shape: _Shape) -> Fit | None:
        """The smallest error of a shape within the bound, and its parameters."""
        if self._fits(shape, ()):
            return self.known.best(shape, ())
        chosen = self._within(shape)
        return None if chosen is None else self.known.best(shape, chosen[1])

    def _fewest_bytes(self) -> int | None:
        """Bytes of the smallest keys that the precision can be had with."""
        waiting: list[tuple[int, _Shape, int, bool]] = []
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

    def _largest_set(self, shape: _Shape, most: int) -> _Keys | None:
        """The best set of at most ``most`` keys; none, where there is a key for every step."""
        if most >= len(self.known.steps(shape)):
            return ()
        chosen = self._key_set(shape, most)
        return None if chosen is None else chosen[1]


def _key_bytes(shape: _Shape, level: int) -> int:
    """Bytes of one evaluation key that is used from a level on, as the server holds it."""
    degree, k, _, _ = shape
    return key_bytes(degree, k + 1 - level)
