"""What slots of a graph's ciphertexts hold: mean squares, in one pass from the inputs to the results."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from math import gcd

import numpy as np

from slotlang.cost.data import UNIT
from slotlang.cost.members import Members
from slotlang.cost.memory import MOST_BYTES, Memory
from slotlang.cost.result_sizes import Size
from slotlang.cost.slot_classes import EACH, SlotClasses, slot_classes
from slotlang.cost.variances import Contents, Power, uniform
from slotlang.graph.graph import Graph, Member, Node
from slotlang.meaning.program import Program

MAX_PROFILE = 1 << 27
"""Slots times nodes that are followed slot by slot; beyond, slots are taken to be alike."""


def multiplied(a: Power, b: Power) -> Power:
    """Mean squares of a product, and gains of a factor from those of a product and the other factor."""
    squares = np.empty((2, max(a.shape[1], b.shape[1])))
    squares[0] = a[0] * b[0] + a[1] * b[1]
    squares[1] = a[0] * b[1] + a[1] * b[0]
    return squares


def largest_squares(graph: Graph, doubled: frozenset[str], contents: Contents) -> Mapping[tuple[int, int], float]:
    """The ``peaks`` of a graph's gains, in the smallest ring that holds its slots, without the gains."""
    with np.errstate(over="ignore", invalid="ignore"):
        degree = 2 * graph.schedule.program.slots
        return HeldSquares(graph, degree, doubled, contents).largest_squares()


class HeldSquares:
    """The pass forward over a graph in a ring of this degree, for the data of ``contents``. ``doubled``: families that
    hold twice the result."""

    def __init__(self, graph: Graph, degree: int, doubled: frozenset[str], contents: Contents) -> None:
        self.graph = graph
        self.degree = degree
        self.doubled = doubled
        self.program: Program = graph.schedule.program
        self.contents = contents
        self.members = Members(graph, contents)
        other = contents.of_unit_inputs
        same = contents.data is UNIT or (self.members.how == "each" and other is contents)
        self.unit = self.members if same else Members(graph, other, largest=True)
        self.coarse = len(graph.nodes) * degree > MAX_PROFILE
        self.classes = self._classes()
        memory = contents.memory.setdefault((self.coarse, self.classes), Memory())
        self.memory, self.powers = memory, memory.powers
        if memory.powers.bytes > MOST_BYTES:
            del contents.memory[self.coarse, self.classes]

    def _classes(self) -> SlotClasses:
        """Those of the slots. Peaks that meet, and samples, are followed slot by slot."""
        graph = self.graph
        if self.coarse or graph.schedule.routes or next(graph.of_kind("mul"), None) is not None:
            return EACH
        block = gcd(self.program.slots, *{node.step for node in graph.nodes})
        used = {node.plain: None for node in graph.nodes if node.plain is not None}
        read = {id(out.output): None for out in graph.outputs}
        key = (block, self.members.how, *read, *used)
        known = self.contents.classes
        if block > 1 and key not in known:
            outputs = (self.contents.read_slots(out.output, out.binders)[None] for out in graph.outputs)
            held = (members.power(member) for members in (self.members, self.unit) for member in used)
            known[key] = slot_classes(block, chain(outputs, held))
        return known.get(key, EACH)

    def settled(self, power: Power) -> Power:
        """Mean squares as they are followed: one column where all are alike, or are taken to be."""
        power = uniform(power)
        return power.mean(axis=1, keepdims=True) if self.coarse else power

    def member(self, member: Member) -> int:
        """Mean squares of a plaintext, or of what the client packs."""
        key = (self.members is self.unit, self.members.how, member)
        numbers = self.memory.members
        if key not in numbers:
            numbers[key] = self.powers.number(
                self.settled(self.classes.taken(self.members.power(member))), looked_up=True
            )
        return numbers[key]

    def largest_squares(self) -> Mapping[tuple[int, int], float]:
        """By state, the largest mean square of a slot for inputs of unit variance."""
        self.members = self.unit
        return self.peaks_of(*self.forward(), self.contents.sizes)

    def plain(self, node: Node) -> int:
        """The number of what a node's plaintext holds."""
        assert node.plain is not None, "the node has a plaintext"
        return self.member(node.plain)

    def peaks_of(
        self, powers: list[int], products: list[int], sizes: Mapping[str, Size]
    ) -> dict[tuple[int, int], float]:
        """The largest mean square of a slot, by the state that the ciphertext is in."""
        found: dict[tuple[int, int], float] = {}
        for level, carried, number in set(zip(self.graph.levels, products, powers, strict=True)):
            peak = float(self.powers[number].sum(axis=0).max())
            found[level, carried] = max(found.get((level, carried), 0.0), peak)
        for out in self.graph.outputs:
            # rows of products of weights may be aligned, where sums of independent terms are smaller
            largest = sizes[out.output.name].largest or 0.0
            state = self.graph.levels[out.node], products[out.node]
            times = (4.0 if out.output.family.name in self.doubled else 1.0) * (1 + (out.output.part is not None))
            found[state] = max(found[state], times * largest)
        return found

    def forward(self) -> tuple[list[int], list[int]]:
        """For each node the number of what it holds, and the products whose scale it carries."""
        graph = self.graph
        powers: list[int] = []
        products: list[int] = []
        known = self.memory.held
        for node in graph.nodes:
            of = tuple([powers[n] for n in node.operands])
            carried = max([products[n] for n in node.operands], default=0)
            match node.kind:
                case "mul_plain":
                    carried += 1
                case "mul":
                    carried = sum(products[n] for n in node.operands) + 1
                case "plain":
                    assert node.plain is not None, "a plaintext has a name"
                    carried = self._encoded(node.plain)
                case "rescale":
                    carried = 0
            if node.kind == "sum":
                of = (self.powers.sum(of),)
            plain = -1 if node.plain is None else self.member(node.plain)
            key = (node.kind, of, node.step, plain, node.kind == "sum" and self.conjugates(node.operands))
            if key not in known:
                held = self._held(node, of, plain)
                same = (n for n in (*of, plain) if n >= 0 and self.powers[n] is held)
                number = next(same, None)
                known[key] = self.powers.number(held) if number is None else number
            powers.append(known[key])
            products.append(carried)
        return powers, products

    def _held(self, node: Node, of: tuple[int, ...], plain: int) -> Power:
        """Mean squares of an operation's result, from those of its operands (of a sum: of their sum)."""
        match node.kind:
            case "cipher" | "plain":
                return self.powers[plain]
            case "rotate":
                return self.classes.rotated(self.powers[of[0]], -node.step)
            case "mul_plain":
                return self.settled(multiplied(self.powers[of[0]], self.powers[plain]))
            case "mul":
                return self.settled(multiplied(*(self.powers[n] for n in of)))
            case "add_plain":
                return self.settled(self.powers[of[0]] + self.powers[plain])
            case "sum":
                total = self.powers[of[0]]
                return self.settled(total * 2.0) if self.conjugates(node.operands) else total
            case _:
                return self.powers[of[0]]

    def _encoded(self, member: Member) -> int:
        encoding = self.graph.schedule.plains[member[0]].encoding
        assert encoding is not None, "levels are assigned"
        return encoding.products

    def conjugates(self, operands: tuple[int, ...]) -> bool:
        """Whether a sum adds a value to its own conjugate: their noise is the same in one part."""
        nodes = self.graph.nodes
        return any(nodes[n].kind == "conj" and nodes[n].operands[0] in operands for n in operands)
