"""The search: every rule at every place, candidates ranked by predicted cost, the best that proves taken, and again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Literal, TypeAlias, get_args

from slotlang.cost.counts import Counts
from slotlang.cost.profile import Profile
from slotlang.diagnostics import SlotError, pick
from slotlang.meaning.bind import bind
from slotlang.meaning.program import Program
from slotlang.optimize.rewriting import Rewrite, Subject, tidied
from slotlang.optimize.rules import BY_NAME, RULES, UNUSED, Rule
from slotlang.planning.parameters import Parameters
from slotlang.planning.plan import Plan
from slotlang.planning.planner import plan
from slotlang.planning.target import Target
from slotlang.proof.goals import goals
from slotlang.proof.polyhedral import Polyhedral
from slotlang.proof.verdict import Status
from slotlang.schedule.build import schedule
from slotlang.syntax import tree
from slotlang.syntax.walk import nodes

Objective: TypeAlias = Literal["time", "rotations", "keys"]
OBJECTIVES: tuple[Objective, ...] = get_args(Objective)


def objective_named(name: str) -> Objective:
    """Raises SL463."""
    return pick(name, OBJECTIVES, "SL463", "objective", "objectives")


WORK = 600_000
"""Graph nodes that a search counts, about: some seconds of processor time. Counted and not timed, so that the same
program always ends in the same one."""
CANDIDATE_WORK = 1_000
"""What a candidate counts beside its nodes: to be bound and scheduled."""
NETWORK_WORK = 5
"""What a permutation of a candidate counts for each slot: its network is planned."""
PROOF_WORK = 8_000
"""What a proof counts, about."""
CHOICE_WORK = 100
"""What choosing a candidate's parameters counts, times the fourth power of the number of scales that are shared out."""
ISL_OPERATIONS = 150_000
"""isl operations for each goal of a candidate; beyond, it is not taken."""
LEAST_GAIN = 0.01
"""A program is not changed for less of its predicted time: predictions are not that good."""

Score: TypeAlias = tuple[float, ...]
Statements: TypeAlias = tuple[tree.Statement, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """A program on the way, and what was done to reach it. ``exact``: its parameters were chosen for it, and not for
    one of equal depth before it. ``work``: what measuring it counts."""

    program: tree.Program
    score: Score
    work: int
    slots: int
    changes: tuple[Rewrite, ...] = ()
    exact: bool = True


@dataclass
class Search:
    """What a search has found so far; it may be interrupted at any time."""

    best: Step
    looked_at: int = 0
    proofs: int = 0
    work: int = 0
    interrupted: bool = False
    exhausted: bool = True
    """Whether nothing that is left to try was left out for want of work."""
    seen: dict[Statements, Step | None] = field(default_factory=dict)
    """Programs that were measured; None for those without a meaning or a schedule."""
    refused: dict[Statements, Status | None] = field(default_factory=dict)
    """Cheaper programs that are not taken, with their verdict; None where it is that they are not cheaper at
    parameters of their own."""
    around: dict[Statements, str] = field(default_factory=dict)
    """Rewrites of the best program, and of the programs that only cost no more, each with the rule."""


def score(objective: Objective, counts: Counts, seconds: float) -> Score:
    """What is made small, in order."""
    rest = (counts.key_switches, counts.galois_keys, counts.plain_products, counts.plaintexts)
    match objective:
        case "time":
            return (seconds, *rest)
        case "rotations":
            return (counts.rotations, counts.key_switches, seconds, *rest)
        case "keys":
            return (counts.galois_keys, seconds, *rest)


def _permutations(program: tree.Program) -> int:
    """Permutations of ciphertexts that a program names."""
    return len(
        {
            (part.permutation, part.inverse)
            for s in program.statements
            if isinstance(s, tree.Define) and s.kind == "compute"
            for part in nodes(s.body)
            if isinstance(part, tree.Permute)
        }
    )


class Optimizer:
    """Rewrites one program at its sizes."""

    def __init__(
        self,
        sizes: Mapping[str, int],
        objective: Objective,
        profile: Profile,
        *,
        target: Target = Target(),
        allow_packing: bool = False,
        progress: Callable[[str, float], None] = lambda what, done: None,
    ) -> None:
        self.sizes = sizes
        self.objective = objective
        self.profile = profile
        self.target = target
        self.allow_packing = allow_packing
        self.progress = progress
        self._chosen: dict[tuple[int | bool, ...], Parameters] = {}

    def measured(self, program: tree.Program, changes: tuple[Rewrite, ...] = (), *, exact: bool = True) -> Step:
        """A program with what it costs. With a precision and not ``exact``, parameters that were chosen for another
        program of its depth do where its keys fit then. Raises ``SlotError`` where it has no meaning, can't be
        scheduled, or can't reach the precision within the bound on keys."""
        planned, exact = self._planned(bind(program, self.sizes), exact)
        times = planned.predicted(self.profile)
        value = (*score(self.objective, planned.counts, times.evaluation), times.encoding)
        work = len(planned.graph.nodes)
        if self.target.precision is not None and exact:
            work += CHOICE_WORK * (planned.counts.depth + 1) ** 4
        return Step(program, value, work, planned.program.slots, changes, exact)

    def _planned(self, program: Program, exact: bool) -> tuple[Plan, bool]:
        """The plan, and whether its parameters are its own."""
        if self.target.precision is None:
            return plan(program, target=self.target), True
        built = schedule(program)
        like = (program.slots, built.depth, built.multiplies_ciphertexts, built.turns_fresh)
        if not exact and like in self._chosen:
            planned = plan(program, self._chosen[like], target=self.target)
            if self._fit(planned):
                return planned, False
        planned = plan(program, target=self.target, profile=self.profile)
        # steps that have keys are the program's own; another one needs others
        self._chosen[like] = replace(planned.parameters, keys=())
        return planned, True

    def _fit(self, planned: Plan) -> bool:
        """Whether a plan's keys are as small as they must be."""
        most = self.target.max_key_bytes
        return most is None or planned.switching_key_bytes <= most

    def search(self, program: tree.Program) -> Search:
        """From a proved program. Keeps the best so far when interrupted."""
        search = Search(self.measured(program))
        search.seen[program.statements] = search.best
        try:
            self._drop_unused(search)
            while self._round(search):
                pass
        except KeyboardInterrupt:
            search.interrupted = True
        return search

    def _drop_unused(self, search: Search) -> None:
        """Leave out what no result needs, first and whatever that gains: it costs nothing, and distracts a reader."""
        for rewrite in UNUSED.propose(self.subject(search.best)):
            if self.verdict(rewrite.program) == "proved":
                search.best = self.measured(rewrite.program, (rewrite,))

    def _round(self, search: Search) -> bool:
        """One rewrite taken; whether there was one."""
        steps: list[Step] = []
        for group in RULES:
            steps += self._costed(search, self._rewrites(search.best, group))
            if self._take(search, steps):
                return True
        for step in sorted(steps, key=lambda s: s.score):
            if BY_NAME[step.changes[-1].rule].enabling and step.score[0] <= search.best.score[0]:
                for group in RULES:
                    if self._take(search, self._costed(search, self._rewrites(step, group))):
                        return True
        return False

    def subject(self, step: Step) -> Subject:
        """A program as the rules take it."""
        bound = bind(step.program, self.sizes)
        few_keys, apart = self.objective == "keys", bool(self.profile.kernels) and self.target.kernel != "seal"
        return Subject(step.program, bound.sizes, bound.slots, self.allow_packing, few_keys, apart)

    def _rewrites(self, step: Step, group: tuple[Rule, ...]) -> Iterator[tuple[Step, Rewrite]]:
        subject = self.subject(step)
        for rule in group:
            for rewrite in rule.propose(subject):
                yield step, replace(rewrite, program=tidied(rewrite.program))

    def _costed(self, search: Search, rewrites: Iterable[tuple[Step, Rewrite]]) -> list[Step]:
        """Candidates with a meaning, cheapest first."""
        steps = []
        for step, rewrite in rewrites:
            statements = rewrite.program.statements
            if statements in search.seen:
                search.around.setdefault(statements, rewrite.rule)
                continue
            if search.work >= WORK:
                search.exhausted = False
                break
            search.around[statements] = rewrite.rule
            search.seen[statements] = None
            search.looked_at += 1
            search.work += CANDIDATE_WORK + NETWORK_WORK * step.slots * _permutations(rewrite.program)
            self.progress(f"{search.looked_at} looked at, {len(search.best.changes)} taken", search.work / WORK)
            try:
                new = self.measured(rewrite.program, (*step.changes, rewrite), exact=False)
            except SlotError:
                # a rule proposes what the language or the scheduler may not allow
                continue
            search.work += new.work
            search.seen[statements] = new
            steps.append(new)
        return sorted(steps, key=lambda s: s.score)

    def _take(self, search: Search, steps: Iterable[Step]) -> bool:
        for step in sorted(steps, key=lambda s: s.score):
            if step.program.statements in search.refused or not self._better(step, search.best):
                continue
            search.proofs += 1
            search.work += PROOF_WORK
            self.progress(f"{search.looked_at} looked at, proving one", search.work / WORK)
            verdict = self.verdict(step.program)
            if verdict == "proved":
                settled = self._settled(search, step)
                if settled is not None and self._better(settled, search.best):
                    search.best, search.around = settled, {}
                    return True
            search.refused[step.program.statements] = None if verdict == "proved" else verdict
        return False

    def _settled(self, search: Search, step: Step) -> Step | None:
        """The step at parameters of its own; None where none reach the precision."""
        if step.exact:
            return step
        try:
            step = self.measured(step.program, step.changes)
        except SlotError:
            return None
        search.work += step.work
        return step

    def _better(self, new: Step, old: Step) -> bool:
        """Whether a program is worth the change."""
        for a, b in zip(new.score, old.score, strict=True):
            if a == b:
                continue
            if isinstance(a, float) and isinstance(b, float) and abs(a - b) <= LEAST_GAIN * b:
                if a > b:
                    return False
                continue
            return a < b
        return False

    def verdict(self, program: tree.Program) -> Status:
        """What the polyhedral method says of a candidate within ``ISL_OPERATIONS``: what it can't decide so is not
        taken."""
        bound = bind(program, self.sizes)
        prover = Polyhedral(bound, ISL_OPERATIONS)
        statuses = chain(
            (prover.prove(goal).status for goal in goals(bound)),
            (prover.covered(name).status for name in bound.theorems),
        )
        return next((status for status in statuses if status != "proved"), "proved")
