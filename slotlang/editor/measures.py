"""What statements cost: rotations, products and levels of each, as they are executed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from slotlang.diagnostics import SlotError
from slotlang.editor.analysis import Analysis, ProgramView
from slotlang.editor.marks import own
from slotlang.graph.estimate import operations
from slotlang.meaning.program import Program, written_name
from slotlang.planning.plan import Plan
from slotlang.planning.planner import plan
from slotlang.planning.target import Target
from slotlang.refusals import GaveUp
from slotlang_runtime.amounts import count_of

__all__ = ["Measure", "Measures", "measure"]

MAX_OPERATIONS = 300_000
"""Ciphertext operations up to which they are counted statement by statement."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One statement. ``start``, ``end``: its place; ``levels``: the fewest and the most primes dropped in what it
    computes; ``scale``: bits of the scale of its ciphertexts; ``steps``: slots by which ciphertexts are rotated to the
    left, in [1, slots), each with how often, in the order of execution."""

    family: str
    start: int
    end: int
    rotations: int
    plain_products: int
    cipher_products: int
    additions: int
    levels: tuple[int, int]
    scale: float
    steps: tuple[tuple[int, int], ...] = ()

    @property
    def level(self) -> str:
        """``1``, or ``0 to 2``."""
        low, high = self.levels
        return str(low) if low == high else f"{low} to {high}"

    @property
    def hint(self) -> str:
        """``24 rotations, level 1, scale 2^36``."""
        rotations = f"{count_of(self.rotations, 'rotation')}, " if self.rotations else ""
        return f"{rotations}level {self.level}, scale 2^{self.scale:.0f}"


@dataclass(frozen=True, slots=True)
class Measures:
    """What a program executes, in all and by statement. ``problem``: why that is not known; ``runs``: false where
    ``run`` would refuse it for the same reason."""

    program: str
    statements: tuple[Measure, ...] = ()
    rotations: int = 0
    keys: int = 0
    primes: int = 0
    degree: int = 0
    problem: str = ""
    runs: bool = True

    @property
    def sentence(self) -> str:
        """``24 rotations with 9 keys, degree 8192``."""
        if self.problem:
            return f"cost not known: {self.problem}"
        keys = f" with {count_of(self.keys, 'key')}" if self.rotations else ""
        return f"{count_of(self.rotations, 'rotation')}{keys}, degree {self.degree}"


def measure(analysis: Analysis, view: ProgramView, target: Target = Target()) -> Measures | None:
    """What one program of a text costs for a target. None for one that is not right yet."""
    program = view.bound
    if program is None:
        return None
    try:
        if (many := operations(program)) > MAX_OPERATIONS:
            return Measures(
                program.name, problem=f"{count_of(many, 'operation')} are too many to count at every change"
            )
        made = plan(program, target=target)
        return _measures(analysis, program, made)
    except SlotError as problem:
        return Measures(program.name, problem=problem.diagnostics[0].message, runs=False)
    except GaveUp as gave_up:
        return Measures(program.name, problem=gave_up.reason)


def _measures(analysis: Analysis, program: Program, made: Plan) -> Measures:
    schedule, graph, p = made.graph.schedule, made.graph, made.parameters
    places: dict[str, tuple[int, int]] = {}
    sources: dict[tuple[int, int], str] = {}
    levels: dict[tuple[int, int], list[int]] = {}
    scales: dict[tuple[int, int], float] = {}
    for family in schedule.ciphers:
        span = family.span.written
        if not own(span, analysis.source):
            continue
        place = places[family.name] = (span.start, span.end)
        source = sources.setdefault(place, written_name(family.source))
        if written_name(family.name) == source and (state := schedule.states.get(family.name)) is not None:
            levels.setdefault(place, []).append(state.level)
            scales[place] = max(scales.get(place, 0.0), p.carried_bits(state.level, state.pending))
    kinds: dict[tuple[int, int], Counter[str]] = {place: Counter() for place in places.values()}
    steps: dict[tuple[int, int], Counter[int]] = {place: Counter() for place in places.values()}
    for node, statement in zip(graph.nodes, graph.statement, strict=True):
        if (at := places.get(statement)) is not None:
            kinds[at][node.kind] += len(node.operands) - 1 if node.kind == "sum" else 1
            if node.kind == "rotate":
                steps[at][node.step] += 1
    found = tuple(
        Measure(
            sources[place],
            *place,
            count["rotate"],
            count["mul_plain"],
            count["mul"],
            count["sum"] + count["add_plain"],
            (min(levels[place]), max(levels[place])),
            scales[place],
            tuple(steps[place].items()),
        )
        for place, count in sorted(kinds.items())
        if place in levels
    )
    return Measures(program.name, found, made.counts.rotations, made.counts.galois_keys, len(p.primes), p.degree)
