"""The search: structures by formula first, then, of those that may be the best, the program, its proof, its graph, its
parameters and what it costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import ceil, floor, log10

from slotlang.cost.bound_cases import bounds_of
from slotlang.cost.bounds import rotation_lower_bound
from slotlang.cost.profile import Profile
from slotlang.cost.theorems import Bound
from slotlang.diagnostics import SlotError, error
from slotlang.planning.parameters import Parameters
from slotlang.planning.planner import plan
from slotlang.planning.target import Target
from slotlang.refusals import Unreachable
from slotlang.search import costed
from slotlang.search.candidate import Candidate, Found, Limits, Objective
from slotlang.search.costed import bound_program, work_out
from slotlang.search.prices import DROPS, Prices
from slotlang.search.space import SLOTS, Sketch, bases, best_of, layouts, sketches
from slotlang.search.structure import Shape, Structure
from slotlang.search.text import text
from slotlang_runtime.amounts import count_of

LARGEST = 1 << 20
"""Channels, ranks and tokens up to which shapes are searched."""

SOME_NODES = 500
"""Operations beyond which only a part of a graph is unrolled, of all candidates but the best."""

PER_KIND = 5
"""Candidates of each kind (see ``_finalists``) that are evaluated, by the objective asked for."""

FINALISTS = 24
"""Candidates that are evaluated in all."""


def finalists_for(shape: Shape) -> int:
    """How many structures to evaluate for a user who waits: half as many where sizes do not divide, since plaintexts
    are then cut off in many ways, and a structure takes three times as long."""
    uneven = shape.d_in % 128 or shape.d_out % 128 or shape.rank & (shape.rank - 1)
    return FINALISTS // 2 if uneven else FINALISTS


def start(shape: Shape, objective: Objective, target: Target, limits: Limits) -> Found:
    """An empty result, for a target with a precision. Raises SL461 and SL462 for demands that can be refused without a
    search."""
    for name in ("d_in", "d_out", "rank", "batch"):
        value = getattr(shape, name)
        if not 1 <= value <= LARGEST:
            option = f"--{name.replace('_', '-')}"
            raise error("SL461", f"{option} is {value:,}, and must lie between 1 and {LARGEST:,}")
    for option, given in {"--copies": limits.copies, "--max-memory": limits.memory}.items():
        if given is not None and given < (option == "--copies"):
            raise error("SL461", f"{option} is {given:,}, and that is too little for anything")
    if target.precision is None:
        raise error("SL462", "--precision is missing", hint="for example 1e-3: above 0 and below 1")
    return Found(shape, objective, target, limits)


def search(
    result: Found,
    profile: Profile,
    progress: Callable[[str, float], None] = lambda what, done: None,
    improved: Callable[[Candidate], None] = lambda best: None,
    *,
    slots: Sequence[int] = SLOTS,
    finalists: int = FINALISTS,
) -> None:
    """Evaluate the ``finalists`` structures that are best by formula, with these numbers of ``slots``, and add them to
    ``result``; ``improved`` takes each that is better than all before it, the first one soon.

    An interrupted search leaves ``result`` correct and incomplete. A complete one leaves at least one candidate, or
    raises ``SlotError`` SL462, SL464 or SL465 with the reason why none is possible.
    """
    work = Work(result, profile, improved)
    prices = Prices(profile, result.objective == "latency", result.link)
    progress("comparing structures", 0.0)
    soon = _soon(result, prices, slots)
    if soon is not None:
        progress(f"proving and costing {soon.name()}", 0.0)
        work.add(soon)
    drawn = [
        s for layout in sketches(result.shape, prices, slots) for s in layout if allowed(s.structure, result.limits)
    ]
    result.sketched = len(drawn)
    chosen = [s.structure for s in _chosen(drawn, result, finalists)]
    for number, s in enumerate(chosen):
        progress(f"{count_of(len(drawn), 'structure')} compared; proving and costing {s.name()}", number / len(chosen))
        work.add(s)
    progress("counting all operations of the best", 1.0)
    work.unroll()
    result.complete = True
    if not result.candidates:
        raise _nothing(result)


class Work:
    """Works structures out, each once, and notes the best."""

    def __init__(
        self, result: Found, profile: Profile, improved: Callable[[Candidate], None] = lambda best: None
    ) -> None:
        self.result, self.profile, self.improved = result, profile, improved
        self.done: set[Structure] = set()

    def add(self, s: Structure, given: Parameters | None = None) -> None:
        """Add a structure's candidate to the result, from a part of its graph where that is large; ``given``:
        parameters that may be the right ones."""
        if s in self.done:
            return
        self.done.add(s)
        before = self._best()
        worked = self._worked(s, SOME_NODES, given)
        if isinstance(worked, Unreachable):
            self.result.best_error = min(self.result.best_error, worked.best)
            return
        self.result.add(worked)
        best = self._best()
        if best is not None and best is not before:
            self.improved(best)

    def unroll(self) -> None:
        """Work the best candidate out again from all of its graph, or a larger part, until the best one is so."""
        whole: set[Structure] = set()
        while (best := self._best()) is not None and not (best.unrolled or best.structure in whole):
            whole.add(best.structure)
            worked = self._worked(best.structure, costed.MOST_NODES, best.parameters)
            self.result.candidates.remove(best)
            if not isinstance(worked, Unreachable):
                self.result.add(worked)

    def _best(self) -> Candidate | None:
        return min(self.result.candidates, key=lambda c: c.by(self.result.objective, self.result.link), default=None)

    def _worked(self, s: Structure, most_nodes: int, given: Parameters | None = None) -> Candidate | Unreachable:
        result = self.result
        return work_out(s, result.target, self.profile, result.bounds, result.weights, most_nodes, given)


def _soon(result: Found, prices: Prices, slots: Sequence[int]) -> Structure | None:
    """A structure that is likely to be among the best, found in a moment: the fastest one that packs pairs of ranks in
    the smallest ring."""
    plain = (s for s in layouts(result.shape, slots[:1]) if s.packing == "pairs" and not s.dense)
    found = [s for layout in plain for base in bases(layout) for s in best_of(base, prices)]
    found = [s for s in found if allowed(s.structure, result.limits)]
    bound = result.target.max_key_bytes
    if bound is not None:
        found = [s for s in found if s.key_bytes <= bound]
    orders = _orders()[result.objective]
    return min(found, key=orders[0]).structure if found else None


def allowed(s: Structure, limits: Limits) -> bool:
    """Whether x takes no more ciphertexts than it may: copies stand in slots left over, or are declared."""
    return s.copies == 1 or s.inputs <= limits.copies * replace(s, copies=1).inputs


def _chosen(drawn: Sequence[Sketch], result: Found, finalists: int) -> list[Sketch]:
    """The structures to evaluate. Where key bytes are bounded, half of them fit with a key for every step, and half may
    fit with fewer keys."""
    bound = result.target.max_key_bytes
    if bound is None:
        return _finalists(drawn, result.objective)[:finalists]
    every = [s for s in drawn if s.key_bytes <= bound]
    fewer = [s for s in drawn if s.key_bytes > bound >= s.fewest_key_bytes]
    if not (every or fewer):
        return sorted(drawn, key=lambda s: (s.fewest_key_bytes, s.seconds))[:1]
    half = _finalists(fewer, result.objective)[: finalists // 2]
    return _finalists(every, result.objective)[: finalists - len(half)] + half


def _by_time(way: int) -> Callable[[Sketch], tuple[float, ...]]:
    """The order of times with one of the ``DROPS``."""
    return lambda s: (s.times[way],)


def _orders() -> dict[Objective, list[Callable[[Sketch], tuple[float, ...]]]]:
    """By objective, the orders in which structures are compared by formula."""
    return {
        "time": [_by_time(way) for way in range(len(DROPS))],
        "latency": [_by_time(way) for way in range(len(DROPS))],
        "rotations": [lambda s: (s.rotations, s.seconds)],
        "keys": [lambda s: (s.key_bytes, s.seconds)],
        "traffic": [lambda s: (s.ciphertexts, s.seconds)],
    }


def _finalists(drawn: Sequence[Sketch], objective: Objective) -> list[Sketch]:
    """The best structures by every objective, most of them by the objective asked for. These come first, the best of
    each kind before the second best of any kind. A kind is a number of slots, and whether inputs are rotated: the noise
    of rotating inputs counts at their scale, and may require more primes than formulas assume."""
    orders = _orders()
    kinds: dict[tuple[int, bool], list[Sketch]] = {}
    for s in drawn:
        kinds.setdefault((s.structure.slots, s.structure.down > 0), []).append(s)
    # formulas know SEAL's operations only; column packing may be much faster by matrix products
    columns = [s for s in drawn if s.structure.tokens == s.structure.slots and s.structure.packing == "real"]
    if objective in ("time", "latency"):
        rings = sorted({s.structure.slots for s in columns})
        best = [min((s for s in columns if s.structure.slots == n), key=orders["time"][0], default=None) for n in rings]
        chosen = {s.structure: s for s in best if s is not None and s.structure.shape.batch >= s.structure.slots // 4}
    else:
        chosen = {}
    others = {name: order for name, order in orders.items() if name != "latency"}
    for name, order in [(objective, orders[objective]), *others.items()]:
        ranked = [sorted(kinds[kind], key=key) for kind in sorted(kinds) for key in order]
        for place in range(PER_KIND if name == objective else 2):
            for s in (of_kind[place] for of_kind in ranked if place < len(of_kind)):
                chosen.setdefault(s.structure, s)
    return list(chosen.values())


def bounds(candidate: Candidate) -> tuple[Bound, ...]:
    """The bounds on a candidate's schedule for one group of tokens; empty where its graph is too large."""
    if not candidate.unrolled:
        return ()
    program = bound_program(text(candidate.structure.one_group()))
    planned = plan(program, candidate.parameters)
    return bounds_of(program, planned.graph, planned.counts, rotation_lower_bound(program))


def _nothing(result: Found) -> SlotError:
    """The reason why there is no candidate."""
    if result.refused:
        least, most = min(c.key_bytes for c in result.refused), result.target.max_key_bytes
        if most is not None and least > most:
            return error(
                "SL464",
                f"Galois keys take {count_of(least, 'byte')} at least, and --max-key-bytes is {most:,}",
                hint=f"--max-key-bytes {least}, a larger batch, or --objective keys, which looks for few keys first",
            )
        least = min(c.memory_bytes for c in result.refused)
        return error(
            "SL465",
            f"the server needs {count_of(least, 'byte')} at least, and --max-memory is {result.limits.memory or 0:,}",
            notes=["keys, encoded weights, and ciphertexts at the peak"],
            hint=f"--max-memory {least}",
        )
    notes = [] if result.best_error == float("inf") else [f"the best error found is {result.best_error:.1e}"]
    return error(
        "SL462",
        f"no structure reaches a relative error of {result.precision:.1e} with 128-bit parameters",
        notes=notes,
        hint=f"--precision {_rounded_up(result.best_error)}" if notes else "",
    )


def _rounded_up(value: float) -> str:
    power = 10.0 ** floor(log10(value))
    return f"{ceil(10 * value / power) / 10 * power:.1e}"
