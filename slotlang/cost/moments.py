"""Gains of noise where ciphertexts that depend on the same data are multiplied: of random data, not of mean squares.

The error of ``x * x`` is ``2*x*e``: it reaches the product twice, with the same sign, and what it is multiplied with has
moments beyond its mean square. So the derivative of the results by the noise in each slot is worked out for random
inputs and weights, by one pass back. Signs drawn for each element of the results add the squares of its derivatives up.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from slotlang.cost.data import SEED, DataPowers, drawn_tensor
from slotlang.cost.noise_sources import Sources
from slotlang.cost.variances import Power
from slotlang.graph.graph import Graph, Member, Node
from slotlang.graph.kinds import KINDS
from slotlang.graph.ring import Operators, PlainEvaluator, plain_vector
from slotlang.meaning.program import Program
from slotlang.meaning.value import Element, Read, TensorForm, Value

Values: TypeAlias = npt.NDArray[Any]
"""What slots hold, real or complex: samples x 1 x slots; or a derivative by it: samples x copies x slots."""

NUMBERS = 1 << 14
"""Numbers that stand for what a ciphertext holds: slots of several samples."""

MOST_NUMBERS = 1 << 26
"""Numbers that are kept at once, and elements of tensors that are drawn."""


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


class Samples:
    """What the slots of a graph's ciphertexts hold for random data. Only what the pass back needs is kept."""

    def __init__(self, graph: Graph, data: DataPowers, count: int) -> None:
        self.graph = graph
        self.program: Program = graph.schedule.program
        self.count = count
        self._evaluator = PlainEvaluator(self.program, _Drawn(self.program, data, count))
        self._members: dict[Member, Values] = {}
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
        if member not in self._members:
            name, indices = member
            if (plain := self.graph.schedule.plains.get(name)) is not None:
                found = plain_vector(self.graph.schedule, self._evaluator, plain, indices)
            else:
                family = self.program.families[name]
                found = self._evaluator.value(family.body, family.env(indices), self._evaluator.all_slots)
            self._members[member] = found[:, None, :]
        return self._members[member]

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


def samples(graph: Graph, data: DataPowers) -> Samples | None:
    """Samples of a graph, as many as are needed; None where they would take too much memory."""
    program = graph.schedule.program
    kept = len(_factors(graph)) + len({node.plain for node in graph.nodes if node.plain is not None})
    elements = sum(math.prod(decl.shape) for decl in program.tensors.values())
    most = MOST_NUMBERS // max(kept * program.slots, elements)
    return Samples(graph, data, min(max(NUMBERS // program.slots, 1), most)) if most else None


class SampledPass:
    """Noise from the results backwards, for samples of what ciphertexts hold."""

    def __init__(self, held: Samples, sources: Sources, products: list[int], vanished: set[int]) -> None:
        self.held, self.sources = held, sources
        self.graph, self.products, self.vanished = held.graph, products, vanished
        slots, ring = held.program.slots, sources.degree // 2
        # a result reads no slots of the ring beyond those of all rotations on the way
        behind: dict[int, int] = {}
        for number in range(len(self.graph.nodes) - 1, -1, -1):
            node = self.graph.nodes[number]
            for operand in node.operands:
                behind[operand] = max(behind.get(operand, 0), behind.get(number, 0) + node.step)
        copies = 1
        while copies * slots < min(slots + max(behind.values(), default=0), ring):
            copies *= 2
        self.shape = held.count, copies, slots

    def run(self, grown: Mapping[int, Power]) -> None:
        """``grown``: the gain of the noise in each ciphertext that is returned."""
        graph = self.graph
        rng = np.random.default_rng(SEED)
        waiting = {node: self._signed(gain, rng) for node, gain in grown.items()}
        mixed: dict[int, Values] = {}
        for number in range(len(graph.nodes) - 1, -1, -1):
            gain = waiting.pop(number, None)
            if (mixing := mixed.pop(number, None)) is not None:
                self.sources.meet(number, self._power(mixing))
            if gain is None or number in self.vanished:
                continue
            node, level, carried = graph.nodes[number], graph.levels[number], self.products[number]
            power = self._power(gain)
            if node.kind == "plain" or (node.kind == "add_plain" and node.operands[0] in self.vanished):
                # the plaintext is added to a zero, which is no noisier than what the client encrypts
                self.sources.add("fresh", level, carried, power)
            before = self.products[node.operands[0]] if node.operands else 0
            opened = any(n in graph.open for n in node.operands)

            def times(content: str, number: int = number, node: Node = node, gain: Values = gain) -> Power:
                return self._power(gain * self._content(content, number, node).conj())

            self.sources.enter(node, level, (carried, before), power, times, opened=opened)
            for operand, given in zip(node.operands, self._given(node, gain), strict=True):
                waiting[operand] = waiting[operand] + given if operand in waiting else given
                if self.sources.met is not None and KINDS[node.kind].mixes:
                    mixed[operand] = mixed[operand] + given if operand in mixed else given

    def _content(self, content: str, number: int, node: Node) -> Values:
        if node.kind == "cipher":
            return self.held[number]
        operand = self.held[node.operands[0]]
        assert node.plain is not None, "a product has a plaintext"
        return operand if content == "operand" else operand * self.held.plain(node.plain)

    def _signed(self, gain: Power, rng: np.random.Generator) -> Values:
        """Roots of the gain with random signs."""
        _, copies, slots = self.shape
        roots = np.sqrt(np.broadcast_to(gain, (2, self.sources.degree // 2))[:, : copies * slots])
        real, imaginary = (row.reshape(copies, slots) * rng.choice([-1.0, 1.0], self.shape) for row in roots)
        return real + 1j * imaginary if roots[1].any() else real

    def _power(self, gain: Values) -> Power:
        """Mean squares over samples, over the ring's slots."""
        power = np.zeros((2, self.sources.degree // 2))
        columns = self.shape[1] * self.shape[2]
        for row, part in zip(power, (gain.real, gain.imag) if np.iscomplexobj(gain) else (gain,), strict=False):
            row[:columns] = np.einsum("kcs,kcs->cs", part, part).reshape(-1) / self.shape[0]
        return power

    def _given(self, node: Node, gain: Values) -> list[Values]:
        """The derivative by each operand."""
        match node.kind:
            case "rotate":
                return [np.roll(gain.reshape(self.shape[0], -1), node.step, 1).reshape(self.shape)]
            case "conj":
                return [gain.conj()]
            case "neg":
                return [-gain]
            case "mul":
                left, right = (self.held[n] for n in node.operands)
                return [gain * right.conj(), gain * left.conj()]
            case "mul_plain":
                assert node.plain is not None, "a product has a plaintext"
                return [gain * self.held.plain(node.plain).conj()]
            case "sum":
                return [gain if sign > 0 else -gain for sign in node.signs]
            case _:
                return [gain] * len(node.operands)
