"""One verdict from three methods."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from slotlang.diagnostics import SlotError, pick
from slotlang.meaning.program import Claim, Program
from slotlang.proof.explain import explain
from slotlang.proof.goals import goals as goals_of
from slotlang.proof.polyhedral import MAX_OPERATIONS, Polyhedral
from slotlang.proof.report import METHODS, SCOPE, Method, Report
from slotlang.proof.terms import Expander
from slotlang.proof.verdict import Disagreement, Failure, Outcome, Status, Uncovered

if TYPE_CHECKING:
    from slotlang.graph.graph import Graph
    from slotlang.schedule.ops import Schedule

CROSS_CHECK_WORK = 18_000_000
"""Work up to which a proof is also tested at random points (about a quarter of a second)."""
OPERATION_WORK = 1 << 10
"""Slots that take as much time as it takes to have one more operation."""
ELEMENT_WORK = 3
"""Operations that take as much time as it takes to choose an element of a tensor at random."""
READING = 2
"""Operations that take as much time as it takes to look up an element of a tensor for every slot."""
FIRST_OPERATIONS = 10_000
"""isl operations for each goal before a program is tested at random points: some tenths of a second at most."""
PLANNING_WORK = 2500
"""Operations that take as much time as it takes to plan a permutation, for each slot."""


class Checker:
    """Runs methods on one program; the graph is built when a method first needs it. ``guesses`` are positions of goals
    that the program's own text does not have."""

    def __init__(self, program: Program, seed: int | None = None) -> None:
        self.program = program
        self.goals = goals_of(program)
        self.seed = seed
        self.guesses: frozenset[int] = frozenset()

    @cached_property
    def schedule(self) -> Schedule:
        """The program's schedule. Raises ``SlotError`` SL401 to SL403."""
        from slotlang.schedule.build import schedule

        return schedule(self.program)

    @cached_property
    def graph(self) -> Graph:
        """The unrolled graph of the program's schedule. Raises ``SlotError``, SL309 where it is too large."""
        from slotlang.graph.unroll import unroll

        return unroll(self.schedule)

    def work(self, *, packed: bool = True) -> int:
        """What the random method takes, about, in operations on one slot. Neither schedule nor graph is made,
        which takes as long as the method itself. What claims and theorems say is evaluated too, term by term. Not
        ``packed``: elements are drawn and looked up once for many points, and do not count."""
        from slotlang.graph.estimate import elements, operations, permutations
        from slotlang.graph.ring import Evaluations

        program, slots = self.program, self.program.slots
        reading = READING if packed else 1
        said, evaluations = 0, Evaluations(program, reading)
        for goal in self.goals:
            s = goal.statement
            value = s.value if isinstance(s, Claim) else program.theorems[s.name].value
            said += s.size * evaluations.of(value)
        families = [f for f in program.families.values() if packed and f.kind != "compute"]
        said += sum(f.size * evaluations.of(f.body) for f in families)
        planned = slots * PLANNING_WORK * permutations(program)
        drawn = (ELEMENT_WORK if packed else 1) * elements(program)
        return (slots + OPERATION_WORK) * (operations(program) + said) + planned + drawn

    def polyhedral(self, operations: int = MAX_OPERATIONS) -> tuple[list[tuple[str, Outcome]], Expander]:
        """Every goal by the polyhedral method, up to the first refuted one, with ``operations`` of isl for each."""
        prover = Polyhedral(self.program, operations)
        results: list[tuple[str, Outcome]] = []
        for goal in self.goals:
            results.append((goal.what, prover.prove(goal)))
            if results[-1][1].status == "refuted":
                return results, prover.expander
        for name in self.program.theorems:
            results.append((f"{name} complete", prover.covered(name)))
        return results, prover.expander

    def random(self) -> list[tuple[str, Outcome]]:
        """Every goal at random points; completeness of results exactly."""
        return self._random

    @cached_property
    def _random(self) -> list[tuple[str, Outcome]]:
        from slotlang.proof.coverage import covered_exact
        from slotlang.proof.random import DEFAULT_SEED, test_random

        outcomes = test_random(self.graph, self.goals, DEFAULT_SEED if self.seed is None else self.seed)
        results = [(goal.what, outcome) for goal, outcome in zip(self.goals, outcomes, strict=True)]
        for name in self.program.theorems:
            results.append((f"{name} complete", covered_exact(self.program, name)))
        return results

    def exact(self) -> list[tuple[str, Outcome]]:
        """Every goal by the exact method on the graph."""
        from slotlang.proof.coverage import covered_exact
        from slotlang.proof.exact import prove_exact

        outcomes = prove_exact(self.graph, self.goals)
        results = [(goal.what, outcome) for goal, outcome in zip(self.goals, outcomes, strict=True)]
        for name in self.program.theorems:
            results.append((f"{name} complete", covered_exact(self.program, name)))
        return results

    def together(self, before: Sequence[tuple[str, Outcome]]) -> list[tuple[str, Outcome]]:
        """Every goal by the polyhedral method, by the exact one where that can't decide. Each uses the claims that
        the other has proved. ``before``: what the polyhedral method alone has found, or nothing."""
        from slotlang.proof.coverage import covered_exact
        from slotlang.proof.exact import prove_exact

        prover = Polyhedral(self.program)
        outcomes: list[Outcome] = []
        proved: list[int] = []
        helped, too_large = False, False
        for n, goal in enumerate(self.goals):
            outcome = before[n][1] if before and not helped else prover.prove(goal)
            if isinstance(goal.statement, Claim):
                if outcome.status == "unknown" and not too_large:
                    known = [self.goals[k] for k in proved]
                    outcome = prove_exact(self.graph, [*known, goal], range(len(known)))[-1]
                    too_large = outcome.status == "unknown"
                    helped = helped or outcome.status == "proved"
                if outcome.status == "proved":
                    prover.expander.learn(goal.statement)
            if outcome.status == "proved":
                proved.append(n)
            outcomes.append(outcome)
        if any(outcome.status == "unknown" for outcome in outcomes):
            again = prove_exact(self.graph, self.goals, proved)
            outcomes = [b if a.status == "unknown" else a for a, b in zip(outcomes, again, strict=True)]
        results = [(goal.what, outcome) for goal, outcome in zip(self.goals, outcomes, strict=True)]
        for name in self.program.theorems:
            covered = prover.covered(name)
            results.append(
                (f"{name} complete", covered_exact(self.program, name) if covered.status == "unknown" else covered)
            )
        return results

    def claimed(self) -> Checker:
        """A checker of the same program with the claims written into it that the random method suggests, on the same
        graph; without any the checker itself."""
        from slotlang.proof.claim_inference import propose, with_claims
        from slotlang.refusals import GaveUp

        try:
            lines = propose(self.graph)
            program = with_claims(self.program, lines) if lines else self.program
        except (SlotError, GaveUp):
            return self
        if not lines:
            return self
        checker = Checker(program, self.seed)
        # claims are no operations: the schedule is the same
        checker.graph = self.graph
        own = [goal.span.text for goal in self.goals]
        guesses = []
        for n, goal in enumerate(checker.goals):
            # goals of one text say the same, so that it does not matter which of them is the guess
            if own and goal.span.text == own[0]:
                own.pop(0)
            else:
                guesses.append(n)
        checker.guesses = frozenset(guesses)
        return checker


def check(program: Program, method: Method = "auto", seed: int | None = None) -> Report:
    """Decide whether every claim of a program and its theorem hold.

    ``auto`` proves by the polyhedral method, tests the graph at random points beside it where that is cheap, and
    falls back to the exact method. Raises ``SlotError`` SL005 for a method that does not exist, SL309 when a method's
    graph would not fit, and ``Disagreement`` when two methods contradict each other.
    """
    pick(method, METHODS, "SL005", "method", "methods")
    return replace(_decided(program, method, seed), bounds=program.bounds, program=program)


def _decided(program: Program, method: Method, seed: int | None) -> Report:
    start = time.perf_counter()
    checker = Checker(program, seed)
    if method == "random":
        return _random_only(checker, start)
    if method == "exact":
        results = checker.exact()
        return _conclude(checker, "exact", results, Expander(program), start, None, ())
    first = FIRST_OPERATIONS if method == "auto" else MAX_OPERATIONS
    results, expander = checker.polyhedral(first)
    if first < MAX_OPERATIONS and _overall(results) == "unknown":
        # a wrong program shows it sooner at a random point than where sets grow too large
        if (report := _refuted_at_random(checker, results, start)) is not None:
            return report
        results, expander = checker.polyhedral()
    status = _overall(results)
    if method == "polyhedral":
        return _conclude(checker, "polyhedral", results, expander, start, None, ())
    if status == "proved":
        bound, notes = _cross_check(checker, results)
        return _conclude(checker, "polyhedral", results, expander, start, bound, notes)
    if status == "refuted":
        return _conclude(checker, "polyhedral", results, expander, start, None, ())
    return _fall_back(checker, results, start)


def _overall(results: list[tuple[str, Outcome]]) -> Status:
    found = {outcome.status for _, outcome in results}
    order: tuple[Status, ...] = ("refuted", "unknown", "tested", "proved")
    return next((status for status in order if status in found), "unknown")


def _agree(
    results: Sequence[tuple[str, Outcome]], method: Method, others: Sequence[tuple[str, Outcome]], other: Method
) -> None:
    """Raises ``Disagreement`` when one method proves a goal and another refutes it. Goals are compared by their places
    in the program: two claims may be about one family. A method may have stopped at a goal that it refutes."""
    for (what, ours), (_, theirs) in zip(results, others, strict=False):
        if {ours.status, theirs.status} == {"proved", "refuted"}:
            raise Disagreement(f"{what}: {ours.status} by the {method} method, {theirs.status} by the {other} one")


def _cross_check(checker: Checker, proved: list[tuple[str, Outcome]]) -> tuple[float | None, tuple[str, ...]]:
    """The random test beside a proof."""
    from slotlang.proof.random import error_bound
    from slotlang.refusals import GaveUp

    try:
        if checker.work() > CROSS_CHECK_WORK:
            return None, ("random cross-check left out at this size; --method random runs it",)
        _agree(proved, "polyhedral", checker.random(), "random")
    except SlotError as problem:
        return None, (f"not cross-checked: {problem.diagnostics[0].message}",)
    except GaveUp as problem:
        return None, (f"not cross-checked: {problem}",)
    return error_bound(checker.program), ()


def _refuted_at_random(checker: Checker, polyhedral: list[tuple[str, Outcome]], start: float) -> Report | None:
    """The refutation by the random method, where that is quick and finds one."""
    from slotlang.proof.random import error_bound
    from slotlang.refusals import GaveUp

    try:
        tested = checker.random() if checker.work() <= CROSS_CHECK_WORK else []
    except (SlotError, GaveUp):
        return None
    _agree(polyhedral, "polyhedral", tested, "random")
    if _overall(tested) != "refuted":
        return None
    program = checker.program
    return _conclude(checker, "random", tested, Expander(program), start, error_bound(program), ())


def _random_only(checker: Checker, start: float) -> Report:
    from slotlang.proof.random import error_bound
    from slotlang.refusals import GaveUp

    try:
        results = checker.random()
    except GaveUp as problem:
        return Report(
            "unknown",
            "random",
            time.perf_counter() - start,
            reason=f"too large for the random method: {problem}",
        )
    bound = error_bound(checker.program)
    return _conclude(checker, "random", results, Expander(checker.program), start, bound, ())


def _fall_back(checker: Checker, polyhedral: list[tuple[str, Outcome]], start: float) -> Report:
    """What the polyhedral method could not decide: random points to refute, the exact method to prove."""
    from slotlang.proof.random import error_bound
    from slotlang.refusals import GaveUp

    program = checker.program
    reason = next(o.reason for _, o in polyhedral if o.status == "unknown")
    bound, finder = None, checker
    try:
        tested = checker.random()
        _agree(polyhedral, "polyhedral", tested, "random")
        bound = error_bound(program)
        if _overall(tested) == "refuted":
            return _conclude(checker, "random", tested, Expander(program), start, bound, ())
        finder = checker.claimed()
    except GaveUp:
        pass
    except SlotError:
        steps = tuple((what, o.status) for what, o in polyhedral)
        return Report("unknown", "polyhedral", time.perf_counter() - start, reason=reason, steps=steps)
    notes = (f"the polyhedral method could not decide: {reason}",)
    results = finder.together(() if finder.guesses else polyhedral)
    _agree(polyhedral, "polyhedral", [r for n, r in enumerate(results) if n not in finder.guesses], "exact")
    # a guess that is not provable is forgotten
    kept = [r for n, r in enumerate(results) if n not in finder.guesses or r[1].status == "proved"]
    claims = tuple(finder.goals[n].span.text for n in sorted(finder.guesses) if results[n][1].status == "proved")
    return replace(_conclude(finder, "exact", kept, Expander(program), start, bound, notes), claims=claims)


def _conclude(
    checker: Checker,
    method: Method,
    results: list[tuple[str, Outcome]],
    expander: Expander,
    start: float,
    bound: float | None,
    notes: tuple[str, ...],
) -> Report:
    status = _overall(results)
    steps = tuple((what, outcome.status) for what, outcome in results)
    reason, failure, example = "", None, None
    for _, outcome in results:
        if outcome.status == "refuted" and failure is None:
            failure = outcome.failure
        if outcome.status == "unknown" and not reason:
            reason = outcome.reason
    if status == "refuted":
        # what was not decided beside it does not matter any more
        reason = ""
    if status == "refuted" and failure is not None:
        example = explain(checker.program, expander, failure, _confirm(checker, failure))
    return Report(status, method, time.perf_counter() - start, bound, example, failure, reason, steps, notes)


def _confirm(checker: Checker, failure: Failure) -> bool:
    """Evaluate a counterexample directly, where that fits; raises ``Disagreement`` when it is none."""
    from slotlang.proof.coverage import confirmed_uncovered
    from slotlang.proof.random import confirmed
    from slotlang.refusals import GaveUp

    if isinstance(failure, Uncovered):
        found = confirmed_uncovered(checker.program, failure)
        where = f"element {failure.element} of {failure.output}"
    else:
        where = f"{failure.goal.what}: slot {failure.slot}"
        try:
            found = confirmed(checker.program, failure)
        except (GaveUp, RecursionError):
            found = None
    if found is False:
        raise Disagreement(f"{where} was called wrong, and direct evaluation finds it right")
    return found is True


__all__ = ["METHODS", "SCOPE", "Checker", "Method", "Report", "check"]
