"""Gains of noise where ciphertexts that depend on the same data are multiplied: of random data, not of mean squares.

The error of ``x * x`` is ``2*x*e``: it reaches the product twice, with the same sign, and what it is multiplied with
has moments beyond its mean square. So the derivative of the results by the noise in each slot is worked out for random
inputs and weights, by one pass back. Random signs of the results' elements add the squares of their derivatives up.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from slotlang.cost.data import SEED, DataPowers, drawn_tensor
from slotlang.graph.graph import Graph, Member, Node
from slotlang.graph.ring import Operators, PlainEvaluator, plain_vector
from slotlang.meaning.program import Program
from slotlang.meaning.value import Element, Read, TensorForm, Value
from slotlang.schedule.ops import Schedule

if TYPE_CHECKING:
    from slotlang.cost.variances import Power

Values: TypeAlias = npt.NDArray[Any]
"""What slots hold, real or complex, or the derivative of results by it: samples x slots, or one in place of either."""

NUMBERS = 1 << 22
"""Numbers that are worked with in one pass: samples of all that is multiplied."""

MOST_NUMBERS = 1 << 25
"""The same, where the fewest samples take more."""

SAMPLES = range(4, 1 << 12)
"""Fewest and most samples. A sum may stand in all slots: then each sample is one number."""


class Dependence:
    """Which random tensors, with which degree, each ciphertext of a graph depends on, for what is known of the data.

    ``shared``: whether two ciphertexts are multiplied that depend on the same tensor. Where none are, everything is
    linear in each tensor, and mean squares of independent elements say all. ``degree``: the highest degree of a
    ciphertext in all random numbers together. ``row``: most products of ciphertexts in a row.
    """

    def __init__(self, graph: Graph, data: DataPowers) -> None:
        program = graph.schedule.program
        self.program, self.data = program, data
        self.shared, self.degree, self.row = False, 0, 0
        if next(graph.of_kind("mul"), None) is None:
            return
        known: dict[str, tuple[frozenset[str], int]] = {}
        held: list[tuple[frozenset[str], int, int]] = []
        for node in graph.nodes:
            names: frozenset[str] = frozenset().union(*(held[n][0] for n in node.operands))
            degree = max((held[n][1] for n in node.operands), default=0)
            row = max((held[n][2] for n in node.operands), default=0)
            if node.kind == "mul":
                left, right = (held[n] for n in node.operands)
                self.shared = self.shared or not left[0].isdisjoint(right[0])
                degree, row = left[1] + right[1], row + 1
            elif node.plain is not None:
                name = node.plain[0]
                if name not in known:
                    family = graph.schedule.plains.get(name) or program.families[name]
                    known[name] = (frozenset(), 0) if family.body is None else self._random(family.body)
                names |= known[name][0]
                degree = degree + known[name][1] if node.kind == "mul_plain" else max(degree, known[name][1])
            held.append((names, degree, row))
            self.degree, self.row = max(self.degree, degree), max(self.row, row)

    @property
    def bound(self) -> float:
        """By how much the mean square of an error can exceed what mean squares alone say.

        An error is multiplied by fewer than ``degree`` linear forms of normal variables. By Hoelder the mean square of
        a product of n of them is at most ``(2n - 1)!!`` times the product of their mean squares, which one variable
        reaches; and each product of ciphertexts adds two errors up, which may be the same."""
        odd = math.prod((float(n) for n in range(1, 2 * self.degree, 2)), start=1.0)
        return odd * 2.0**self.row

    def _random(self, body: Value) -> tuple[frozenset[str], int]:
        """The random tensors of a value, and a bound on its degree in them."""
        names: list[str] = []
        for leaf in self.program.leaves(body):
            if isinstance(leaf, Read):
                names.append(leaf.tensor)
            elif isinstance(leaf, Element):
                names += [factor.tensor for chain in leaf.form.chains for factor in chain.factors]
        random = [name for name in names if name not in self.data.weights]
        return frozenset(random), len(random)


class _Drawn(Operators):
    """Values for random data as a ring, samples x slots."""

    def __init__(self, program: Program, data: DataPowers, count: int) -> None:
        self.program, self.data, self.count = program, data, count
        self._tensors: dict[str, Values] = {}
        self._forms: dict[TensorForm, Values] = {}

    def tensor(self, name: str) -> Values:
        """Samples of a tensor; of one that is given, one that stands for all."""
        if name not in self._tensors:
            shape = self.program.tensors[name].shape
            if name in self.data.weights:
                self._tensors[name] = np.asarray(self.data.weights[name], np.float64).reshape(1, *shape)
            else:
                # whichever tensors are drawn before
                rng = np.random.default_rng([SEED, list(self.program.tensors).index(name)])
                self._tensors[name] = drawn_tensor(self.program, name, self.data, rng, self.count)
        return self._tensors[name]

    def const(self, re: Fraction, im: Fraction) -> Values:
        return np.full((1, 1), complex(re, im) if im else float(re))

    def scalar(self, name: str) -> Values:
        return np.full((1, 1), self.data.scalar(name))

    def gather(self, tensor: str, flat: npt.NDArray[np.int64]) -> Values:
        values = self.tensor(tensor)
        return values.reshape(len(values), -1)[:, flat]

    def element(self, form: TensorForm, flat: npt.NDArray[np.int64]) -> Values:
        if form not in self._forms:
            total: Any = 0.0
            for chain in form.chains:
                value: Any = None
                for factor in reversed(chain.factors):
                    matrix = self.tensor(factor.tensor)
                    matrix = matrix.reshape(*matrix.shape, 1) if matrix.ndim == 2 else matrix
                    matrix = matrix.swapaxes(1, 2) if factor.transposed else matrix
                    value = matrix if value is None else matrix @ value
                number = float(chain.coefficient) * math.prod(self.data.scalar(name) for name in chain.scalars)
                total = total + number * value
            self._forms[form] = np.asarray(total).reshape(len(total), -1)
        return self._forms[form][:, flat]

    def conj(self, a: Values) -> Values:
        return a.conj()

    def masked(self, a: Values, mask: npt.NDArray[np.bool_]) -> Values:
        return np.where(mask, a, 0.0)


class Vectors:
    """What plaintexts hold, and vectors that the client packs, for random data: samples x slots. Schedules of one
    program differ in where they drop primes, not in what a plaintext of some name holds."""

    def __init__(self, program: Program, data: DataPowers, count: int) -> None:
        self.count = count
        self._evaluator = PlainEvaluator(program, _Drawn(program, data, count))
        self._members: dict[Member, Values] = {}

    def of(self, schedule: Schedule, member: Member) -> Values:
        """Those of a member."""
        if member not in self._members:
            name, indices = member
            if (plain := schedule.plains.get(name)) is not None:
                found = plain_vector(schedule, self._evaluator, plain, indices)
            else:
                family = schedule.program.families[name]
                found = self._evaluator.value(family.body, family.env(indices), self._evaluator.all_slots)
            self._members[member] = found
        return self._members[member]


class Samples:
    """What the slots of a graph's ciphertexts hold for random data. Only what the pass back needs is kept."""

    def __init__(self, graph: Graph, vectors: Vectors) -> None:
        self.graph, self.count, self._vectors = graph, vectors.count, vectors
        self.slots = graph.schedule.program.slots
        self._held: dict[int, Values] = {}
        kept = _factors(graph)
        last: dict[int, int] = {}
        for number, node in enumerate(graph.nodes):
            last.update(dict.fromkeys(node.operands, number))
        for number, node in enumerate(graph.nodes):
            self._held[number] = self._result(node)
            for operand in set(node.operands):
                if last[operand] == number and operand not in kept:
                    del self._held[operand]

    def __getitem__(self, number: int) -> Values:
        return self._held[number]

    def plain(self, member: Member) -> Values:
        """What a plaintext holds, or a vector that the client packs."""
        return self._vectors.of(self.graph.schedule, member)

    def _result(self, node: Node) -> Values:
        of = [self._held[n] for n in node.operands]
        plain = 0.0 if node.plain is None else self.plain(node.plain)
        match node.kind:
            case "cipher":
                return np.asarray(plain)
            case "plain":
                return np.asarray(node.signs[0] * plain)
            case "rotate":
                return of[0] if of[0].shape[-1] == 1 else np.roll(of[0], -node.step, -1)
            case "conj":
                return of[0].conj()
            case "neg":
                return -of[0]
            case "mul":
                return of[0] * of[1]
            case "mul_plain":
                return of[0] * plain
            case "add_plain":
                return of[0] + node.signs[0] * plain
            case "sum":
                total: Values = sum((s * v for s, v in zip(node.signs[1:], of[1:], strict=True)), node.signs[0] * of[0])
                return total
            case _:
                return of[0]


def _factors(graph: Graph) -> set[int]:
    """Nodes whose values the pass back multiplies with."""
    kept = {number for number, node in enumerate(graph.nodes) if node.kind == "cipher"}
    for node in graph.nodes:
        kept.update(node.operands if node.kind in ("mul", "mul_plain") else ())
    return kept


def count_samples(graph: Graph) -> int:
    """How many samples of a graph to take; none where the fewest would take too much memory."""
    program = graph.schedule.program
    kept = len(_factors(graph)) + len({node.plain for node in graph.nodes if node.plain is not None})
    each = max(kept * program.slots, sum(math.prod(decl.shape) for decl in program.tensors.values()))
    if each * SAMPLES.start > MOST_NUMBERS:
        return 0
    return min(max(NUMBERS // each, SAMPLES.start), SAMPLES.stop)


class Totals(NamedTuple):
    """Sums over slots and parts, for an operation: the gain of its result, the gain of what is multiplied with its
    first operand, and that of what is relative to its result; 0 where these do not matter."""

    gain: float
    operand: float = 0.0
    result: float = 0.0


class Sampled:
    """The totals of a program's graphs, each worked out once for every ring."""

    def __init__(self, program: Program, data: DataPowers) -> None:
        self._program, self._data = program, data
        self._vectors: Vectors | None = None
        self._found: dict[tuple[int, str], tuple[Graph, Mapping[int, Totals]]] = {}

    def __call__(
        self, graph: Graph, name: str, grown: Mapping[int, Power], ring: int, vanished: set[int]
    ) -> Mapping[int, Totals]:
        """As ``sampled_totals``, of the result of that name."""
        if (id(graph), name) not in self._found:
            if self._vectors is None or self._vectors.count > count_samples(graph):
                self._vectors = Vectors(self._program, self._data, count_samples(graph))
            totals = sampled_totals(Samples(graph, self._vectors), grown, ring, vanished)
            # the graph is kept, so that no other one gets its identity
            self._found[id(graph), name] = graph, totals
        return self._found[id(graph), name][1]


def sampled_totals(held: Samples, grown: Mapping[int, Power], ring: int, vanished: set[int]) -> dict[int, Totals]:
    """The totals of each node that a result depends on: means over the samples, and their standard deviation on top.
    ``grown``: the gain of the noise in each ciphertext that is returned, in a ring of ``ring`` slots; what is
    ``vanished`` is not computed."""
    graph, slots = held.graph, held.slots
    rng = np.random.default_rng(SEED)
    totals: dict[int, Totals] = {}

    def signed(gain: Power) -> Values:
        roots = np.sqrt(np.broadcast_to(gain, (2, ring)).reshape(2, -1, slots).sum(axis=1))
        signs = rng.choice([-1.0, 1.0], (2, held.count, slots))
        real: Values = roots[0] * signs[0]
        return real + 1j * roots[1] * signs[1] if roots[1].any() else real

    def total(derivative: Values) -> float:
        parts = (derivative.real, derivative.imag) if np.iscomplexobj(derivative) else (derivative,)
        each = sum(np.einsum("ks,ks->k", part, part) for part in parts)
        return float(np.mean(each) + np.std(each) / math.sqrt(held.count))

    waiting = {node: signed(gain) for node, gain in grown.items()}
    for number in range(len(graph.nodes) - 1, -1, -1):
        gain = waiting.pop(number, None)
        if gain is None or number in vanished:
            continue
        node = graph.nodes[number]
        match node.kind:
            case "cipher":
                totals[number] = Totals(total(gain), result=total(gain * held[number]))
            case "mul_plain":
                assert node.plain is not None, "a product has a plaintext"
                operand = gain * held[node.operands[0]]
                totals[number] = Totals(total(gain), total(operand), total(operand * held.plain(node.plain)))
            case _:
                totals[number] = Totals(total(gain))
        for operand_number, given in zip(node.operands, _given(held, node, gain), strict=True):
            known = waiting.get(operand_number)
            waiting[operand_number] = given if known is None else known + given
    return totals


def _given(held: Samples, node: Node, gain: Values) -> list[Values]:
    """The derivative by each operand, from that by the result: conjugates, since both parts of a number count."""
    match node.kind:
        case "rotate":
            return [np.roll(gain, node.step, -1)]
        case "conj":
            return [gain.conj()]
        case "neg":
            return [-gain]
        case "mul":
            left, right = (held[n] for n in node.operands)
            return [gain * right.conj(), gain * left.conj()]
        case "mul_plain":
            assert node.plain is not None, "a product has a plaintext"
            return [gain * held.plain(node.plain).conj()]
        case "sum":
            return [gain if sign > 0 else -gain for sign in node.signs]
        case _:
            return [gain] * len(node.operands)
