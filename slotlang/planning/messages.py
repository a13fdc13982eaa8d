"""How large every message of a graph can be, for all inputs, weights and scalars within what a program bounds.

The graph is run on magnitudes in place of ciphertexts, by the operations with which the runtime bounds a module when
its weights are encoded (``slotlang_runtime.magnitudes``). Equal operations on equal magnitudes are computed once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf, log2
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from slotlang.cost.sizes import SizeRing, packing_gain
from slotlang.cost.variances import Contents
from slotlang.cost.vectors import plain_shape
from slotlang.graph.graph import Graph, Member
from slotlang.graph.member_classes import Likeness
from slotlang.graph.ring import Operators, PlainEvaluator, plain_vector
from slotlang.meaning.program import Program
from slotlang.planning.declared import Declared
from slotlang.planning.hiding import Hiding, masked_parts, read_slots
from slotlang.planning.parameters import Parameters
from slotlang.planning.primes import moduli
from slotlang.refusals import GaveUp
from slotlang.schedule.ops import PlainFamily, Schedule
from slotlang_runtime.amounts import count_of
from slotlang_runtime.magnitudes import (
    MOST_PAIRS,
    OUTWARDS,
    Floats,
    Inputs,
    Magnitude,
    MagnitudeOperations,
    Plain,
    compact,
    numbered,
)
from slotlang_runtime.messages import (
    LEAST_ROOM,
    Point,
    Reader,
    hidden_bound,
    mask_bits,
    mask_mean,
    read_sizes,
    tighten,
)
from slotlang_runtime.noise import Rounding, constant_rounding, vector_rounding
from slotlang_runtime.parameters import Levels
from slotlang_runtime.parameters import Parameters as RuntimeParameters

MAX_WORK = 1 << 29
"""Most numbers that are computed: some seconds. Larger graphs are not bounded when they are planned."""

NOMINAL_BITS = 40
"""Bits of the primes and scales of levels where only the size of slots is asked for."""

State: TypeAlias = tuple[int, int]
"""Primes dropped, and products whose scale a ciphertext still carries."""


@dataclass(frozen=True)
class Messages:
    """``points``: where messages are read, the least room first. ``needs``: for each state in which some are, the bits
    of modulus above the scale that they need for ``LEAST_ROOM``, without noise. ``hidden``: by family of results, a
    bound on what masked slots hold; ``whole``: on what any slot holds."""

    points: tuple[Point, ...]
    needs: Mapping[State, float]
    hidden: Mapping[str, float] = field(default_factory=dict)
    whole: Mapping[str, float] = field(default_factory=dict)

    @property
    def room(self) -> float:
        """Bits of room of the tightest point."""
        return self.points[0].room if self.points else inf

    @property
    def where(self) -> str:
        """Where the tightest point is, in words."""
        return self.points[0].where if self.points else ""


def levels_of(parameters: Parameters, drops: tuple[int, ...]) -> Levels:
    """Exact scales and moduli of parameters; ``drops`` as of the schedule."""
    p = parameters
    scales = p.scales or (p.scale_bits,)
    runtime = RuntimeParameters(p.degree, p.primes, scales, drops, results=p.results, cut=p.cut)
    return Levels(runtime, moduli(p.degree, p.primes))


def nominal_levels(schedule: Schedule) -> Levels:
    """Levels without parameters: messages are as large with all."""
    primes = (NOMINAL_BITS,) * (len(schedule.drops) + 2)
    runtime = RuntimeParameters(0, primes, (NOMINAL_BITS,), tuple(schedule.drops), results=schedule.results)
    return Levels(runtime, [1 << bits for bits in primes])


def messages(graph: Graph, hiding: Hiding, declared: Declared, levels: Levels, degree: int) -> Messages:
    """Bounds of all messages of a graph that are read as numbers. Raises ``GaveUp`` beyond ``MAX_WORK``."""
    with np.errstate(over="ignore", invalid="ignore"):
        return _Walk(graph, hiding, declared, levels, degree).run()


class _Elements(Operators):
    """The ring of complex numbers, for what packed families hold of inputs whose elements are numbered."""

    def __init__(self, program: Program) -> None:
        inputs = {name: decl.shape for name, decl in program.tensors.items() if decl.kind == "input"}
        self.arrays = numbered(inputs)

    def const(self, re: Any, im: Any) -> Any:
        return np.array(complex(re, im))

    def scalar(self, name: str) -> Any:
        raise AssertionError("a packed ciphertext holds no scalar")

    def gather(self, tensor: str, flat: Any) -> Any:
        return self.arrays[tensor].reshape(-1)[flat]

    def element(self, form: Any, flat: Any) -> Any:
        (chain,) = form.chains
        (factor,) = chain.factors
        array = self.arrays[factor.tensor]
        return float(chain.coefficient) * (array.T if factor.transposed else array).reshape(-1)[flat]

    def conj(self, a: Any) -> Any:
        return np.conj(a)

    def masked(self, a: Any, mask: Any) -> Any:
        return np.where(mask, a, 0)


class _Step(NamedTuple):
    """An operation on magnitudes, which several nodes may share. ``operands``: numbers of steps; ``plains``: of
    plaintexts, one for each operand of a sum of products. ``state``: of the first operand."""

    kind: str
    operands: tuple[int, ...]
    plains: tuple[Any, ...]
    turn: int
    state: State


class _Walk:
    def __init__(self, graph: Graph, hiding: Hiding, declared: Declared, levels: Levels, degree: int) -> None:
        self.graph, self.hiding, self.declared, self.levels = graph, hiding, declared, levels
        self.program = graph.schedule.program
        self.slots = self.program.slots
        self.work = 0
        self.degree = degree
        self.sizes = PlainEvaluator(self.program, SizeRing(self.program, declared.entries, declared.element))
        self.contents = Contents(graph.schedule)
        self._likeness: dict[str, Likeness] = {}
        self._plains: dict[Any, Plain] = {}
        self._first: dict[Any, Member] = {}
        self.needs: dict[State, float] = {}
        self.state: State = (0, 0)

    def run(self) -> Messages:
        steps, step_of, states = self._steps()
        self.inputs = self._inputs(steps)
        self.reader = Reader(self.inputs, self.levels)
        operations = MagnitudeOperations(self.inputs, self.levels, self.degree, self._before)
        last = {operand: number for number, step in enumerate(steps) for operand in step.operands}
        kept = {step_of[out.node] for out in self.graph.outputs}
        values: dict[int, Magnitude] = {}
        for number, step in enumerate(steps):
            values[number] = self._computed(operations, step, [values[n] for n in step.operands])
            for operand in step.operands:
                # sums over a thousand tokens hold gigabytes
                if last[operand] == number and operand not in kept:
                    values.pop(operand, None)
        returned = {out.member: out.node for out in self.graph.outputs}
        read = {member: np.array(slots) for member, slots in read_slots(self.graph).items()}
        results = {member: operations.cut(values[step_of[node]]) for member, node in returned.items()}
        hidden: dict[str, float] = {}
        whole: dict[str, float] = {}
        for member, value in results.items():
            size = self.inputs.bound(value)
            whole[member[0]] = max(whole.get(member[0], 0.0), float(np.max(size)))
            if member in self.hiding.slots:
                largest = hidden_bound(size, masked_parts(read[member]))
                hidden[member[0]] = max(hidden.get(member[0], 0.0), largest)
        bits = {name: mask_bits(max(size, self.hiding.held.get(name, 0.0))) for name, size in hidden.items()}
        proved = self._proved()
        for member, node in returned.items():
            masks = mask_mean(masked_parts(read[member]), bits[member[0]]) if member in self.hiding.slots else 0.0
            self._result(member, results[member], states[node], read[member], proved.get(member), masks)
        return Messages(self.reader.ordered(), self.needs, hidden, whole)

    # the graph, with operations that are alike only once

    def _steps(self) -> tuple[list[_Step], list[int], list[State]]:
        graph = self.graph
        steps: list[_Step] = []
        known: dict[_Step, int] = {}
        step_of: list[int] = []
        states: list[State] = []
        for number, (node, level) in enumerate(zip(graph.nodes, graph.levels, strict=True)):
            products = self._products(number, states)
            states.append((level, products))
            if node.kind == "neg":
                step_of.append(step_of[node.operands[0]])
                continue
            if number in graph.in_dots:
                # computed nowhere but in the sum
                step_of.append(-1)
                continue
            operands, plains = node.operands, () if node.plain is None else (self._alike(node.plain),)
            kind = node.kind
            if number in graph.dots:
                pairs = list(self._pairs(number))
                kind, operands, plains = "dot", tuple(n for n, _ in pairs), tuple(plain for _, plain in pairs)
            state = states[operands[0]] if operands else (level, products)
            step = _Step(kind, tuple([step_of[n] for n in operands]), plains, node.step, state)
            if step not in known:
                known[step] = len(steps)
                steps.append(step)
            step_of.append(known[step])
        return steps, step_of, states

    def _products(self, number: int, states: list[State]) -> int:
        """Products whose scale a node carries."""
        node = self.graph.nodes[number]
        behind = [states[n][1] for n in node.operands]
        match node.kind:
            case "mul_plain":
                return behind[0] + 1
            case "mul":
                return sum(behind) + 1
            case "rescale" | "cipher":
                return 0
            case "plain":
                assert node.plain is not None
                encoding = self.graph.schedule.plains[node.plain[0]].encoding
                return encoding.products if encoding else 0
            case _:
                return max(behind)

    def _pairs(self, number: int) -> list[tuple[int, Any]]:
        """The products of a sum of products, those of sums inside of it too."""
        node = self.graph.nodes[number]
        if node.kind == "mul_plain":
            assert node.plain is not None
            return [(node.operands[0], self._alike(node.plain))]
        return [pair for operand in node.operands for pair in self._pairs(operand)]

    def _alike(self, member: Member) -> Any:
        """The same for all members of a plaintext family that are equally large; a ciphertext's own name."""
        name, indices = member
        family = self.graph.schedule.plains.get(name)
        if family is None:
            return member
        if name not in self._likeness:
            self._likeness[name] = Likeness(self.program, family)
        alike = name, self._likeness[name].of(indices)
        self._first.setdefault(alike, member)
        return alike

    # magnitudes

    def _inputs(self, steps: list[_Step]) -> Inputs:
        program = self.program
        shapes = {name: decl.shape for name, decl in program.tensors.items() if decl.kind == "input"}
        used = [step.plains[0] for step in steps if step.kind == "cipher"]
        self._spend(4 * self.slots * len(used))
        evaluator = PlainEvaluator(program, _Elements(program))
        packed: dict[Any, Any] = {}
        limits = {name: limit.largest for name, limit in self.declared.limits.items()}
        gains = {name: packing_gain(program, program.families[name], limits) for name, _ in used}
        for name, indices in used:
            family, gain = program.families[name], gains[name]
            content = evaluator.value(family.body, family.env(indices), evaluator.all_slots) if gain is None else gain
            packed[(name, *indices)] = content
        return Inputs(shapes, self.slots, packed, self.declared.limits)

    def _plain(self, alike: Any) -> Plain:
        if alike not in self._plains:
            name, indices = self._first[alike]
            schedule = self.graph.schedule
            family = schedule.plains[name]
            parts = plain_vector(schedule, self.sizes, family, indices)
            encoding = family.encoding
            assert encoding is not None, "levels are assigned"
            scale = self.levels.plaintext_scale(encoding.level, encoding.products, encoding.added)
            size = compact(np.hypot(parts[0], parts[1]) * OUTWARDS)
            rounding = self._rounding(family, scale, float(size.max()))
            self._plains[alike] = Plain(size, scale, encoding.level, rounding)
            # a number that the encoder rounds, and puts into residues
            encoded = Magnitude({}, size, scale, encoding.level, 0.0)
            self.reader(encoded, f"the plaintext {name}")
        return self._plains[alike]

    def _rounding(self, family: PlainFamily, scale: float, largest: float) -> Rounding:
        """No less than the runtime has for any weights."""
        shape = plain_shape(self.program, family)
        if shape.varies:
            return vector_rounding(2 * self.slots, scale * largest)
        constant = self.contents.constant(family)
        if constant is None:
            return vector_rounding(3 if shape.imaginary else 1, scale * largest)
        return constant_rounding(constant, scale)

    def _computed(self, operations: MagnitudeOperations, step: _Step, of: list[Magnitude]) -> Magnitude:
        for value in of:
            self._spend(256 + sum(self._cost(part) for part in value.linear.values()) + 2 * value.rest.size)
        plains = [] if step.kind == "cipher" else [self._plain(alike) for alike in step.plains]
        match step.kind:
            case "cipher":
                name, indices = step.plains[0]
                value = operations.fresh(*self.inputs.values[(name, *indices)])
                self._read(value, f"the input {name}", step.state, 1.0, 0.0, self.inputs.bound(value))
                return value
            case "rotate":
                return operations.rotate(of[0], step.turn)
            case "conj":
                return operations.conjugate(of[0])
            case "mul_plain":
                return operations.multiply_plain(of[0], plains[0])
            case "mul":
                return operations.multiply(of[0], of[1])
            case "relinearize":
                return operations.relinearize(of[0])
            case "add_plain":
                return operations.add_plain(of[0], plains[0], 1)
            case "plain":
                return operations.add_plain(operations.zero(plains[0]), plains[0], 1)
            case "rescale":
                self.state = step.state
                return operations.rescale(of[0])
            case "dot":
                total = operations.dot(list(zip(of, plains, strict=True)))
                assert total is not None
                return total
            case "sum":
                total = of[0]
                for term in of[1:]:
                    total = operations.add(total, term, 1, owned=False)
                return total
            case kind:
                raise AssertionError(kind)

    def _cost(self, part: Any) -> int:
        """Numbers that are computed where a linear part is used."""
        pairs = part.codes.size * self.slots * 2
        repeated = 8 * pairs if self.inputs.repeated > 1 and pairs <= MOST_PAIRS else 0
        return int(part.codes.size + 2 * part.square.size + part.token.size + repeated)

    def _spend(self, numbers: int) -> None:
        self.work += numbers
        if self.work > MAX_WORK:
            raise GaveUp(f"bounds of its {count_of(len(self.graph.nodes), 'operation')} take too long")

    # where messages are read

    def _before(self, value: Magnitude, where: str) -> None:
        self._read(value, where, self.state, 1.0, 0.0, self.inputs.bound(value))

    def _read(self, value: Magnitude, where: str, state: State, factor: float, more: float, size: Floats) -> None:
        self.reader(value, where, factor, more, size)
        coefficient = factor * (float(np.mean(size)) + more)
        bits = 1 + LEAST_ROOM + (log2(coefficient) if 0 < coefficient < inf else inf if coefficient else -inf)
        self.needs[state] = max(self.needs.get(state, -inf), bits)

    def _result(self, member: Member, value: Magnitude, state: State, read: Any, proved: Any, masks: float) -> None:
        """As ``slotlang_runtime.ranges.ranges`` reads results."""
        half = member in self.hiding.halves
        factor = 2.0 if half else 1.0
        size = np.broadcast_to(self.inputs.bound(value), self.slots)
        if proved is not None:
            size = read_sizes(size, proved, [not half or bool(inside.any()) for inside in read])
        self._read(value, f"the result {member[0]}", state, factor, masks, size)

    def _proved(self) -> dict[Member, Any]:
        """Bounds that follow from what results are proved to be, of the real and the imaginary part of each slot (2 x
        slots); infinite where no output reads it."""
        program = self.program
        rows = {name: self.declared.result(theorem.form) for name, theorem in program.theorems.items()}
        found: dict[Member, Any] = {}
        slot = program.slot_env(np.arange(program.slots))
        for node in self.graph.outputs:
            output = node.output
            inside = program.read_slots(output, node.binders, slot)
            # of the part of doubled results that is not read only the operations tell that it is zero
            if node.member[0] not in self.hiding.doubled:
                element = np.where(inside, rows[output.name] * OUTWARDS, inf)
                tighten(found.setdefault(node.member, np.full((2, program.slots), inf)), output.part, element)
        return found
