"""The random method: the graph evaluated at random points of prime fields. It refutes, and never proves."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import islice
from math import prod
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from slotlang.graph.graph import Graph
from slotlang.meaning.deep import in_order
from slotlang.meaning.integers import SLOT, holds
from slotlang.meaning.program import Claim, Program
from slotlang.meaning.value import (
    Arith,
    Const,
    Element,
    FamilyRef,
    Iverson,
    Linear,
    Read,
    ScalarRef,
    TensorForm,
    Value,
    children,
)
from slotlang.proof.field import PRIMES, Field, random_field, require_room
from slotlang.proof.goals import member
from slotlang.proof.graph_values import evaluate_graph
from slotlang.proof.points import PIECE, Points
from slotlang.proof.verdict import Goal, Outcome, Wrong

DEFAULT_SEED = 20_240_229


def degree(
    program: Program, value: Value, of: Container[str] | None = None, known: dict[str, int] | None = None
) -> int:
    """Degree of a value as a polynomial in the tensor elements and scalars, or in the elements of some tensors; an
    upper bound. ``known``: those of families, which may mention each other often."""
    known = {} if known is None else known
    for name in in_order(program.families, value, known):
        known[name] = _degree(program.families[name].body, of, known)
    return _degree(value, of, known)


def _degree(value: Value, of: Container[str] | None, known: Mapping[str, int]) -> int:
    if isinstance(value, Linear):
        (operand,) = children(value)
        return _degree(operand, of, known)
    match value:
        case Const() | Iverson():
            return 0
        case Read(name) | ScalarRef(name):
            return int(of is None or name in of)
        case Element(form):
            return form_degree(form, of)
        case FamilyRef(name):
            return known[name]
        case Arith("*", left, right):
            return _degree(left, of, known) + _degree(right, of, known)
        case Arith(_, left, right):
            return max(_degree(left, of, known), _degree(right, of, known))


def form_degree(form: TensorForm, of: Container[str] | None = None) -> int:
    """Degree of a tensor expression's elements, or in the elements of some tensors."""
    names = ([f.tensor for f in c.factors] + list(c.scalars) for c in form.chains)
    return max((sum(of is None or name in of for name in chain) for chain in names), default=0)


def error_bound(program: Program, primes: Sequence[int] = PRIMES) -> float:
    """Probability, at most, that a wrong program passes: a nonzero polynomial of degree D vanishes at a
    uniform point of GF(p) with probability at most D/p (Schwartz 1980, Zippel 1979), independently for each
    prime. It presumes that no prime divides the wrong coefficient itself."""
    degrees = [degree(program, t.value) for t in program.theorems.values()]
    known: dict[str, int] = {}
    degrees += [degree(program, o.family, known=known) for o in program.outputs]
    for step in program.steps:
        if isinstance(step, Claim):
            degrees += [degree(program, e, known=known) for e in (step.value, program.families[step.family].body)]
    bound = Fraction(1)
    for p in primes:
        bound *= min(Fraction(max([1, *degrees]), p), Fraction(1))
    return float(bound)


def test_random(
    graph: Graph, goals: Sequence[Goal], seed: int = DEFAULT_SEED, primes: Sequence[int] = PRIMES
) -> list[Outcome]:
    """``tested`` or ``refuted`` for every goal."""
    field = random_field(graph.schedule.program, primes, seed)
    return compare(graph, goals, field)


def compare(graph: Graph, goals: Sequence[Goal], field: Field) -> list[Outcome]:
    """Every goal at one point of the fields."""
    program = graph.schedule.program
    points = Points(program, field)
    keep: set[int] = set()
    for goal in goals:
        for env in goal.statement.envs():
            node = graph.values.get(member(program, goal.statement, env))
            if node is not None:
                keep.add(node)
    values = evaluate_graph(graph, field, keep)
    return [_goal(graph, points, goal, values) for goal in goals]


def _goal(graph: Graph, points: Points, goal: Goal, values: dict[int, Any]) -> Outcome:
    envs = goal.statement.envs()
    together = max(1, 8 * PIECE // len(points.all_slots))
    while some := list(islice(envs, together)):
        for env, (differs, _) in zip(some, _differing(graph, points, goal, some, values), strict=True):
            bad = np.flatnonzero(differs)
            if bad.size:
                return Outcome("refuted", Wrong(goal, env, int(bad[0])))
    return Outcome("tested")


Mask: TypeAlias = npt.NDArray[np.bool_]


def _differing(
    graph: Graph, points: Points, goal: Goal, envs: Sequence[dict[str, int]], values: dict[int, Any]
) -> Iterator[tuple[Mask, Mask]]:
    """For each of some members of a goal its wrong slots, and the slots that the goal speaks of, both as masks over all
    slots."""
    program, s = graph.schedule.program, goal.statement
    digits = program.slot_env(points.all_slots)
    heres = [{**digits, **env, SLOT: points.all_slots} for env in envs]
    where: list[Mask]
    if isinstance(s, Claim):
        every = np.ones(program.slots, bool)
        where = [
            every if s.where is None else np.broadcast_to(holds(s.where, program.sizes, here), every.shape)
            for here in heres
        ]
        said = points.vectors(s.value, envs)
    else:
        theorem = program.theorems[s.name]
        where = [program.read_slots(s, env, here) for env, here in zip(envs, heres, strict=True)]
        flats = [program.read_elements(s, env, here) for env, here in zip(envs, heres, strict=True)]
        elements = [theorem.at(np.where(here, flat, 0)) for here, flat in zip(where, flats, strict=True)]
        said = points.vectors(theorem.value, elements)
    for env, here, expected in zip(envs, where, said, strict=True):
        actual = _value(graph, points, *member(program, s, env), values)
        if not isinstance(s, Claim):
            actual = points.field.part(actual, s.part)
        differs = np.asarray((actual != expected).any(axis=(0, 1)))
        yield np.broadcast_to(differs, here.shape) & here, here


def _value(graph: Graph, evaluator: Points, name: str, indices: tuple[int, ...], values: dict[int, Any]) -> Any:
    """The value of a family's member."""
    node = graph.values.get((name, indices))
    if node is not None:
        return values[node]
    # nothing that is output depends on it, so the graph left it out
    family = graph.schedule.program.families[name]
    return evaluator.value(family.body, family.env(indices), evaluator.all_slots)


def slot_values(graph: Graph, field: Field, family: str, indices: tuple[int, ...]) -> Any:
    """What every slot of a family's member holds at one point of the fields, (primes, roots, slots)."""
    node = graph.values.get((family, indices))
    values = {} if node is None else evaluate_graph(graph, field, {node})
    value = _value(graph, Points(graph.schedule.program, field), family, indices, values)
    return np.broadcast_to(value, (*value.shape[:2], graph.schedule.program.slots))


def wrong_slots(graph: Graph, goal: Goal, binders: Mapping[str, int], field: Field) -> tuple[Mask, Mask]:
    """Every wrong slot of the member a goal speaks of at ``binders``, and every slot it speaks of.

    A slot that is called wrong is wrong; one that is not could still be, with the probability of
    ``error_bound``."""
    env = dict(binders)
    node = graph.values.get(member(graph.schedule.program, goal.statement, env))
    values = {} if node is None else evaluate_graph(graph, field, {node})
    return next(_differing(graph, Points(graph.schedule.program, field), goal, [env], values))


def confirmed(program: Program, wrong: Wrong) -> bool:
    """Direct evaluation of a counterexample: with the elements of its monomial 1 and all others 0, or, should
    that not tell, at a random point, the slot differs from what it should hold. Raises ``GaveUp``."""
    from slotlang.proof.direct import wrong_at

    statement = wrong.goal.statement
    if wrong.monomial is not None:
        point = indicator(program, wrong.monomial)
        if wrong_at(program, statement, wrong.binders, wrong.slot, point):
            return True
    point = random_field(program, PRIMES[:1], DEFAULT_SEED + 1)
    return wrong_at(program, statement, wrong.binders, wrong.slot, point)


def indicator(program: Program, monomial: tuple[Any, Any]) -> Field:
    """The point at which the elements and scalars of one monomial are 1 and all others 0. Raises ``GaveUp``."""
    require_room(program, PRIMES[:1])
    scalars, reads = monomial
    tensors = {name: np.zeros((1, prod(decl.shape)), np.uint32) for name, decl in program.tensors.items()}
    for tensor, indices in reads:
        shape = program.tensors[tensor].shape
        tensors[tensor][0, int(np.ravel_multi_index(indices, shape))] = 1
    values = {name: np.array([1 if name in scalars else 0], np.uint64) for name in program.scalars}
    return Field(program, PRIMES[:1], tensors, values)
