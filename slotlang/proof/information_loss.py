"""The statement of a refuted program after which no continuation computes the result.

Between two statements a program has a set of ciphertexts that later statements still use. Everything the language
can do with ciphertexts (rotations, permutations, sums, conjugates, products with plaintexts) is linear over the reals
in the real and imaginary parts of their slots, with coefficients that may be any functions of the weights; and any
such combination can be had, slot by slot, with masks and rotations. So some continuation computes the result
exactly when each of its elements, as a linear form in the inputs, is a combination of those parts over the field of
rational functions of weights and scalars. At a random point of a prime field this is a question of ranks. The first
statement after which the answer is no has lost information that the result needs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from math import prod

import numpy as np
import numpy.typing as npt

from slotlang.diagnostics import SlotError
from slotlang.graph.graph import Graph
from slotlang.graph.ring import PlainEvaluator
from slotlang.meaning.bind import bind
from slotlang.meaning.program import Family, Program, member_text
from slotlang.meaning.rebind import sizes_of
from slotlang.meaning.value import FamilyRef, leaves
from slotlang.proof.check import Checker
from slotlang.proof.field import PRIMES, Field, matmul, modulo, random_field
from slotlang.proof.graph_values import evaluate_graph
from slotlang.proof.random import degree
from slotlang.proof.size_abstraction import few, order, outline
from slotlang.refusals import GaveUp
from slotlang_runtime.amounts import count_of

MAX_INPUTS = 256
"""Most input elements of a program that is analysed as it is; a larger program is analysed at smaller sizes."""
MAX_SLOTS = 32
MAX_RESULTS = 4096
"""Most elements of results of such a program."""
MAX_WORK = 7 << 26
"""Work of the random method (``Checker.work``) at a point for each input element, at most: about half a second."""
SEED = 20_240_302

Numbers = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Loss:
    """Where a result can no longer be computed, seen at ``sizes``.

    ``before`` and ``after``: families in use on both sides of the statement. Of ``needed`` independent sums of
    inputs that the results consist of, ``left`` are determined by ``after``. ``mixed``: elements of inputs that
    ``after`` holds in one fixed combination only, or a single one that it does not hold at all; may be empty.
    """

    statement: str
    line: int
    results: tuple[str, ...]
    before: tuple[str, ...]
    after: tuple[str, ...]
    needed: int
    left: int
    mixed: tuple[str, ...]
    sizes: dict[str, int]

    def to_json(self) -> dict[str, object]:
        """Plain data, a key for each field."""
        return asdict(self)

    def lines(self) -> list[str]:
        """For a person."""
        results, after = " and ".join(self.results), _listed(self.after)
        text = [f"lost for good in line {self.line}: {self.statement}"]
        if self.before:
            text.append(f"  {_listed(self.before)} still determine{'s' * (len(self.before) == 1)} {results}; what is")
            text[-1] += f" used after this line, {after}, does not, whatever follows:"
        else:
            text.append(f"  {results} can't be computed from {after}, whatever follows:")
        sizes = ", ".join(f"{name} = {value}" for name, value in self.sizes.items())
        had = f"{self.left:,} can be had (at {sizes})"
        text.append(f"  of {count_of(self.needed, 'independent sum')} of inputs that {results} needs, {had}")
        if len(self.mixed) == 1:
            text.append(f"  {self.mixed[0]}, for example, is in none of its slots")
        elif self.mixed:
            text.append(f"  {self.mixed[0]} and {self.mixed[1]}, for example, occur in one fixed combination only")
        return text


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def find_loss(program: Program) -> Loss | None:
    """The statement at which a refuted program lost its result. None where that can't be told: because ciphertexts are
    multiplied by each other, because the result is not linear in the inputs, because no small sizes are found at which
    the program is wrong, or because every statement leaves enough for a correct continuation.

    Small sizes keep the program's outline and the order of its sizes; where no such sizes are small enough, the outline
    alone. All sizes that are tried must name the same statement.
    """
    try:
        for ordered in (True, False):
            losses = [loss for small in _smaller(program, _Alike(program, ordered)) for loss in _told_at(small)]
            if losses:
                same = len({loss and (loss.line, loss.results) for loss in losses}) == 1
                return losses[0] if same else None
    except (SlotError, GaveUp, RecursionError):
        pass
    return None


class _Alike:
    """The program at other sizes, where it stays what it is: by its outline, and by the order of its sizes where that
    is asked for."""

    def __init__(self, program: Program, ordered: bool) -> None:
        self.program = program
        self.compared = (lambda sizes: (few(sizes), order(sizes))) if ordered else few
        self.outline = outline(program)

    def at(self, sizes: Mapping[str, int]) -> Program | None:
        """None where it is another program. The sizes tell this in most cases, before the program is bound."""
        own = {name: self.program.sizes[name] for name in sizes}
        values = sizes_of(self.program.syntax, sizes) if self.compared(sizes) == self.compared(own) else None
        if values is None or self.compared(values) != self.compared(self.program.sizes):
            return None
        try:
            smaller = bind(self.program.syntax, sizes)
        except SlotError:
            return None
        return smaller if outline(smaller) == self.outline else None


def _told_at(program: Program) -> Iterator[Loss | None]:
    """What is said at these sizes; nothing where the program is not wrong at them, or takes too long."""
    checker = Checker(program)
    points = 1 + sum(prod(program.tensors[name].shape) for name in _inputs(program))
    if points * checker.work(packed=False) > MAX_WORK:
        return
    if any(outcome.status == "refuted" for _, outcome in checker.random()):
        linear = all(degree(program, t.value, _inputs(program)) < 2 for t in program.theorems.values())
        yield _loss(checker.graph) if linear and not any(checker.graph.of_kind("mul")) else None


def _inputs(program: Program) -> list[str]:
    return [name for name, decl in program.tensors.items() if decl.kind == "input"]


def _weight(program: Program) -> float:
    elements = sum(prod(program.tensors[name].shape) for name in _inputs(program))
    results = sum(prod(theorem.shape) for theorem in program.theorems.values())
    return max(1, elements / MAX_INPUTS) * max(1, program.slots / MAX_SLOTS) * max(1, results / MAX_RESULTS)


def _smaller(program: Program, alike: _Alike) -> Iterator[Program]:
    """The program at sizes small enough, the smallest first: sizes are halved where the program stays ``alike``.

    Ranks and tokens come first: with few of them, widths can be looked at whose slots mix many channels."""
    programs = [program]
    small = {name for name in program.parameters if program.sizes[name] < 64}
    while _weight(programs[-1]) > 1:
        last = programs[-1]
        smaller = next(_halved(last, [n for n in small if last.sizes[n] >= 8], alike), None)
        if smaller is None:
            every = (p for p in _halved(last, list(program.parameters), alike) if _weight(p) < _weight(last))
            smaller = next(every, None)
        if smaller is None:
            break
        programs.append(smaller)
    yield from (p for p in reversed(programs[-2:]) if _weight(p) <= 4)


def _halved(program: Program, names: Sequence[str], alike: _Alike) -> Iterator[Program]:
    sizes = {name: program.sizes[name] for name in program.parameters}
    ordered = sorted((name for name in names if sizes[name] >= 4), key=lambda name: (-sizes[name], name))
    for count in (1, 2, 3):
        for chosen in combinations(ordered, count):
            smaller = alike.at({**sizes, **{name: sizes[name] // 2 for name in chosen}})
            if smaller is not None:
                yield smaller


def _loss(graph: Graph) -> Loss | None:
    program = graph.schedule.program
    forms = _Forms(graph)
    steps = [s for s in program.steps if isinstance(s, Family) and s.kind == "compute"]
    # what is read after each of them, from the last one back
    later = [{o.family.name for o in program.outputs}]
    for step in reversed(steps):
        later.append(later[-1] | {leaf.name for leaf in leaves(step.body) if isinstance(leaf, FamilyRef)})
    available = {f.name for f in program.families.values() if f.kind == "cipher"}
    used: list[tuple[int, tuple[str, ...]]] = []
    for position in range(-1, len(steps)):
        if position >= 0:
            available.add(steps[position].name)
        both = available & later[len(steps) - 1 - position]
        live = tuple(name for name in program.families if name in both)
        if not used or live != used[-1][1]:
            used.append((position, live))

    def lost(live: _Live) -> tuple[str, ...]:
        return tuple(name for name in program.theorems if not forms.determined(name, live))

    # what is used later is computed from what was used before: a result that is lost stays lost
    first, last = 0, len(used) - 1
    values = forms.live(used[last][1])
    gone = lost(values)
    if not gone:
        return None
    while first < last:
        middle = (first + last) // 2
        here = forms.live(used[middle][1])
        there = lost(here)
        if there:
            last, values, gone = middle, here, there
        else:
            first = middle + 1
    position = used[last][0]
    ciphers = (f for f in program.families.values() if f.kind == "cipher")
    family = steps[position] if position >= 0 else next(ciphers)
    return _told(forms, family, gone, used[last - 1][1] if last else (), values)


def _told(forms: _Forms, family: Family, lost: tuple[str, ...], before: tuple[str, ...], after: _Live) -> Loss:
    program = forms.program
    wanted = np.concatenate([forms.results[name] for name in lost])
    needed = rank(wanted)
    left = needed + after.rank - rank(np.concatenate([wanted, after.rows]))
    source = family.span.source.line_text(family.span.row).partition("#")[0].strip()
    sizes = {name: program.sizes[name] for name in program.parameters}
    mixed = forms.mixed(wanted, after.rows)
    return Loss(source, family.span.line, lost, before, after.families, needed, left, mixed, sizes)


@dataclass(frozen=True, eq=False)
class _Live:
    """Families in use, rows that span what their slots hold, and the rank of these."""

    families: tuple[str, ...]
    rows: Numbers
    rank: int


class _Forms:
    """Slots and results as linear forms in the inputs, at one random point of weights and scalars modulo a prime: a
    row each, with a column for every input element."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.program = program = graph.schedule.program
        self.p = PRIMES[0]
        shapes = {name: program.tensors[name].shape for name in _inputs(program)}
        self.columns = [(name, place) for name, shape in shapes.items() for place in np.ndindex(*shape)]
        count = len(self.columns)
        point = random_field(program, [self.p], SEED)
        # every evaluation has inputs of its own: none, then one element after the other
        tensors = {name: np.repeat(values, count + 1, axis=0) for name, values in point.tensors.items()}
        start = 1
        for name, shape in shapes.items():
            tensors[name] = np.zeros((count + 1, prod(shape)), np.uint32)
            tensors[name][np.arange(start, start + prod(shape)), np.arange(prod(shape))] = 1
            start += prod(shape)
        scalars = {name: np.repeat(value, count + 1) for name, value in point.scalars.items()}
        field = Field(program, [self.p] * (count + 1), tensors, scalars)
        nodes = {key: node for key, node in graph.values.items() if key[0] in program.families}
        values = evaluate_graph(graph, field, set(nodes.values()))
        self._members: dict[str, list[Numbers]] = {}
        for (name, _), node in nodes.items():
            self._members.setdefault(name, []).append(self._linear(values[node].reshape(count + 1, -1)))
        evaluator = PlainEvaluator(program, field)
        self.results = {}
        for name, theorem in program.theorems.items():
            flat = np.arange(prod(theorem.shape))
            value = evaluator.value(theorem.value, theorem.at(flat), flat)
            every = np.broadcast_to(value, (*value.shape[:2], len(flat)))
            self.results[name] = self._linear(every[:, 0].astype(np.uint64))

    def _linear(self, values: Numbers) -> Numbers:
        """Without what does not depend on the inputs, which any continuation can add; (forms, columns)."""
        return np.asarray(((values[1:] + (np.uint64(self.p) - values[:1])) % np.uint64(self.p)).T)

    def live(self, families: tuple[str, ...]) -> _Live:
        """What the slots of some families hold."""
        rows = self.of(families)
        return _Live(families, rows, rank(rows))

    def of(self, families: Sequence[str]) -> Numbers:
        """Rows that span what the slots of some families hold: those that differ, or random combinations of them, as
        many as there are columns."""
        empty = np.zeros((0, len(self.columns)), np.uint64)
        rows = np.concatenate([empty, *(m for name in families for m in self._members.get(name, []))])
        if len(rows) > len(self.columns):
            whole = np.ascontiguousarray(rows).view(f"V{rows.itemsize * rows.shape[1]}").ravel()
            rows = rows[np.unique(whole, return_index=True)[1]]
        return self._mixed_rows(rows, len(self.columns))

    def _mixed_rows(self, rows: Numbers, count: int) -> Numbers:
        """The rows, or ``count`` random combinations of them where there are more."""
        if len(rows) <= count:
            return rows
        rng = np.random.default_rng(SEED)
        mixing = rng.integers(0, self.p, (count, len(rows)), dtype=np.uint64)
        return matmul(mixing, rows, self.p)

    def determined(self, result: str, live: _Live) -> bool:
        """Whether every element of a result is a combination of the contents of live ciphertexts. If one is not, a
        random combination of all is one by chance alone, one in 2^31; two are looked at."""
        full = live.rank == len(self.columns)
        return full or rank(np.concatenate([live.rows, self._mixed_rows(self.results[result], 2)])) == live.rank

    def mixed(self, wanted: Numbers, values: Numbers) -> tuple[str, ...]:
        """An input element that no row depends on, or two whose columns are multiples of each other, where the
        results tell them apart."""
        seen: dict[bytes, int] = {}
        for column in range(len(self.columns)):
            here, there = self._normal(values[:, column]), wanted[:, column]
            if here is None:
                if there.any():
                    return (self._name(column),)
                continue
            other = seen.setdefault(here.tobytes(), column)
            if other != column and not self._same_ratio(values, wanted, other, column):
                return self._name(other), self._name(column)
        return ()

    def _normal(self, column: Numbers) -> Numbers | None:
        places = np.flatnonzero(column)
        if not places.size:
            return None
        scale = pow(int(column[places[0]]), -1, self.p)
        return np.asarray(column * np.uint64(scale) % np.uint64(self.p))

    def _same_ratio(self, values: Numbers, wanted: Numbers, a: int, b: int) -> bool:
        row = int(np.flatnonzero(values[:, a])[0])
        ratio = int(values[row, b]) * pow(int(values[row, a]), -1, self.p) % self.p
        return bool((wanted[:, a] * np.uint64(ratio) % np.uint64(self.p) == wanted[:, b]).all())

    def _name(self, column: int) -> str:
        name, place = self.columns[column]
        return member_text(name, place)


def rank(rows: Numbers, p: int = PRIMES[0]) -> int:
    """The rank of a matrix modulo a prime below 2^31."""
    matrix, pivots = rows.copy(), 0
    for column in range(matrix.shape[1]):
        places = np.flatnonzero(matrix[pivots:, column]) + pivots
        if not places.size:
            continue
        # what is left of the column, and of the rows above, is not looked at again
        matrix[[pivots, places[0]]] = matrix[[places[0], pivots]]
        inverse = np.uint64(pow(int(matrix[pivots, column]), -1, p))
        top = modulo(matrix[pivots, column + 1 :] * inverse, p)
        rest = np.flatnonzero(matrix[pivots + 1 :, column]) + pivots + 1
        if rest.size:
            taken = modulo(matrix[rest, column, None] * top, p)
            below = matrix[rest, column + 1 :] + (np.uint64(p) - taken)
            matrix[rest, column + 1 :] = np.minimum(below, below - np.uint64(p))
        pivots += 1
    return pivots


__all__ = ["Loss", "find_loss", "rank"]
