"""Gains of noise: what a graph does to each source of it, on the way from where it enters to the results.

One pass forward finds what slots hold, one pass back what a unit of noise in them does to the results.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from math import exp2

import numpy as np

from slotlang.cost.data import UNIT, DataPowers
from slotlang.cost.held_squares import HeldSquares, multiplied
from slotlang.cost.key_switch_peaks import peaks
from slotlang.cost.memory import AFTER, ANY, BEFORE, Effect
from slotlang.cost.moments import Dependence, Totals, count_samples
from slotlang.cost.noise import Gains, Place
from slotlang.cost.noise_reach import reaches
from slotlang.cost.noise_sources import Sources
from slotlang.cost.variances import Contents, Power, uniform
from slotlang.graph.graph import Graph, Node
from slotlang.graph.kinds import KINDS
from slotlang.meaning.program import Output
from slotlang.schedule.ops import State
from slotlang_runtime.messages import DOUBLE_MASK_BITS, HIDING_BITS
from slotlang_runtime.noise import MORE_DIGITS

LARGEST_MASK = 200
"""Bits of the largest masks that are told apart: encoding any such mask loses every digit of a result."""


def gains(
    graph: Graph,
    degree: int,
    doubled: frozenset[str],
    *,
    masked: bool,
    zero: frozenset[str] = frozenset(),
    bits: Mapping[str, int] | None = None,
    whole: bool = False,
    doubles: bool = False,
    data: DataPowers = UNIT,
    contents: Contents | None = None,
) -> Gains:
    """Gains of every source of noise in a graph, in a ring of that degree. ``doubled``: families that hold twice the
    result; ``masked``: slots that are not read are returned with random values, but for the families that are ``zero``
    there; ``bits``: of these masks, by family; ``whole``: parts that are not read are masked too; ``doubles``: results
    are decoded in double precision beside masks of any size. ``data``: what is known of it; ``contents``: of the
    graph's schedule, for calls to share."""
    with np.errstate(over="ignore", invalid="ignore"):
        return _Backwards(
            graph, degree, doubled, masked, zero, bits or {}, whole, doubles, contents or Contents(graph.schedule, data)
        ).run()


def _together(parts: Mapping[str, Gains]) -> Gains:
    """The gains of all results, from those of each."""
    first, *others = parts.values()
    if not others:
        return first
    sources: defaultdict[Place, float] = defaultdict(float)
    for part in parts.values():
        for place, gain in part.sources.items():
            sources[place] += gain
    signal, elements = (sum(getattr(part, name) for part in parts.values()) for name in ("signal", "elements"))
    return replace(first, signal=signal, elements=elements, sources=dict(sources), results=dict(parts))


_PART = {"factor": Totals._fields.index("operand"), "double": Totals._fields.index("result")}
"""Which of an operation's totals a source of noise grows with: of others, the gain of its result."""


def _ratio(sampled: float, known: float) -> float:
    return sampled / known if known else 1.0


class _Backwards(HeldSquares):
    """A pass back, after the one for what slots hold: what a unit of noise in them does to the results."""

    def __init__(
        self,
        graph: Graph,
        degree: int,
        doubled: frozenset[str],
        masked: bool,
        zero: frozenset[str],
        bits: Mapping[str, int],
        whole: bool,
        doubles: bool,
        contents: Contents,
    ) -> None:
        super().__init__(graph, degree, doubled, contents)
        self.masked, self.zero, self.bits = masked, zero, bits
        self.whole, self.doubles = whole, doubles
        self.sources = Sources(graph, degree, contents, self.classes)

    def run(self) -> Gains:
        program, data = self.program, self.contents.data
        powers, products = self.forward()
        outside, self.members = self.members, self.unit
        unit = powers if outside is self.unit else self.forward()[0]
        reach = reaches(
            self.graph,
            products,
            unit,
            self.powers,
            self.plain,
            self._coefficients,
            self.classes.mean,
            known=not data.drawn,
        )
        self.members = outside
        sizes = self.contents.sizes
        largest = self.peaks_of(unit, products, sizes)
        # without weights nothing says what vanishes
        vanished = {n for n, number in enumerate(unit) if not data.drawn and not self.powers[number].any()}
        reads = self._reads()
        if self.graph.schedule.routes:
            # a key that is used many times in a row makes peaks that meet
            self.sources.met = peaks(self.graph, products, self.degree // 2, coarse=self.coarse)
        dependence = Dependence(self.graph, data)
        by_samples = dependence.shared and count_samples(self.graph) > 0
        more = dependence.bound if dependence.shared and not by_samples else 1.0
        schedule = self.graph.schedule
        states = set(zip(self.graph.levels, products, strict=True))
        last = frozenset(state for state in states if schedule.depth_of(State(*state)) == schedule.depth)
        parts: dict[str, Gains] = {}
        for name, theorem in program.theorems.items():
            elements = int(np.prod(theorem.shape))
            self.sources.found = defaultdict(float)
            grown = self._results(name, elements, reads, products)
            for node, gain in grown.items():
                self.sources.meet(node, gain)
            totals = None
            if by_samples:
                totals = self.contents.sampled(self.graph, name, grown, self.degree // 2, vanished)
            self._back(powers, products, grown, vanished, totals)
            found = {place: more * gain for place, gain in self.sources.found.items()}
            signal = elements * sizes[name].mean_square
            small = not data.drawn
            parts[name] = Gains(self.degree, signal, found, largest, elements, small, reach=reach, last=last)
        return _together(parts)

    def _coefficients(self, node: Node) -> int:
        """How many a node's plaintext, or its vector of inputs, takes."""
        assert node.plain is not None, "the node has a plaintext"
        return 2 * self.program.slots if node.kind == "cipher" else self.sources.rounded(node.plain[0])[0]

    def _reads(self) -> dict[int, np.ndarray]:
        """Slots of each returned node, in both parts, that an output reads."""
        used: dict[int, np.ndarray] = {}
        for out in self.graph.outputs:
            rows = {"re": [0], "im": [1], None: [0, 1]}[out.output.part]
            there = used.setdefault(out.node, np.zeros((2, self.program.slots), bool))
            there[rows] |= self.contents.read_slots(out.output, out.binders)
        return used

    def _results(
        self, name: str, elements: int, used: Mapping[int, np.ndarray], products: list[int]
    ) -> dict[int, Power]:
        """The gain of the noise in each ciphertext that is returned for one theorem."""
        program = self.program
        grown: dict[int, Power] = {}
        read: list[tuple[Output, int, np.ndarray, float]] = []
        total = 0
        for out in self.graph.outputs:
            if out.output.name == name:
                inside = self.contents.read_slots(out.output, out.binders)
                share = 0.25 if out.output.family.name in self.doubled else 1.0
                read.append((out.output, out.node, inside, share))
                total += int(inside.sum())
        for output, node, inside, share in read:
            weight = share * elements / max(total, 1)
            window = np.zeros((2, self.degree // 2))
            window[:, : program.slots] = inside * weight
            if output.part is not None:
                window[1 if output.part == "re" else 0] = 0.0
            window = self.classes.taken(window)
            grown[node] = grown[node] + window if node in grown else window
            halved = self.masked and output.part is not None and used[node].any(axis=1).sum() == 1
            kind = "cut half" if halved and output.family.name not in self.doubled else "cut"
            self.sources.add(kind, self.graph.levels[node], products[node], window)
            parts = used[node].any(axis=1, keepdims=True)
            every = self.whole and output.family.name not in self.doubled
            unread = (~used[node] & (parts | every)).sum() / program.slots
            if unread and self.masked and (every or output.family.name not in self.zero):
                level, carried = self.graph.levels[node], products[node]
                self.sources.round("added", level, carried, window, self.degree, True)
                bits = min(self.bits.get(output.family.name, HIDING_BITS), LARGEST_MASK)
                lost = bits if self.doubles or bits <= DOUBLE_MASK_BITS else bits - MORE_DIGITS
                square = exp2(2 * lost) * unread
                self.sources.found[Place("mask", level, carried)] += square * self.sources.wide(window) / 2
        return {node: self.settled(power) for node, power in grown.items()}

    def _back(
        self,
        powers: list[int],
        products: list[int],
        grown: dict[int, Power],
        vanished: set[int],
        sampled: Mapping[int, Totals] | None,
    ) -> None:
        """Noise from the results backwards; what is ``vanished`` is left out when it is evaluated, and has none. Where
        totals are ``sampled``, gains are as large as these say, and differ between slots as mean squares do."""
        graph = self.graph
        waiting = {node: [self.powers.number(gain, looked_up=True)] for node, gain in grown.items()}
        mixed: defaultdict[int, list[int]] = defaultdict(list)
        effects: dict[tuple[object, ...], Effect] = {}
        known = self.memory.effects
        times: defaultdict[tuple[object, ...], np.ndarray] = defaultdict(lambda: np.zeros(len(Totals._fields)))
        for number in range(len(graph.nodes) - 1, -1, -1):
            parts = waiting.pop(number, None)
            if parts is None or number in vanished:
                continue
            gain = self.powers.sum(parts)
            node, level = graph.nodes[number], graph.levels[number]
            larger = 1.0
            if sampled is not None:
                larger = _ratio(sampled[number].gain, self.sources.wide(self.powers[gain]))
            for given in mixed.pop(number, ()):
                self.sources.meet(number, larger * self.powers[given])
            if node.kind == "plain" or (node.kind == "add_plain" and node.operands[0] in vanished):
                # the plaintext is added to a zero, which is no noisier than what the client encrypts
                self.sources.add("fresh", level, products[number], larger * self.powers[gain])
            if node.kind in ("sum", "neg"):
                if node.kind == "sum" and self.conjugates(node.operands):
                    gain = self.powers.sum([gain, gain])
                for operand in node.operands:
                    waiting.setdefault(operand, []).append(gain)
                continue
            held = tuple([powers[n] for n in (number, *node.operands)])
            plain = None if node.plain is None else (node.plain[0], self.member(node.plain))
            opened = any(n in graph.open for n in node.operands)
            alike = (self.degree, node.kind, gain, held, node.step, plain, opened, self.sources.met is None)
            state = (level, products[number], products[node.operands[0]] if node.operands else 0)
            key: tuple[object, ...] = (alike, state)
            if key not in effects:
                if alike not in known:
                    known[alike] = self._effect(node, gain, held, opened=opened)
                effects[key] = known[alike].at(*state)
            effect = effects[key]
            times[key] += 1.0 if sampled is None else list(map(_ratio, sampled[number], effect.totals))
            for operand, given in zip(node.operands, effect.given, strict=True):
                waiting.setdefault(operand, []).append(given)
                if KINDS[node.kind].mixes:
                    mixed[operand].append(given)
        for key, effect in effects.items():
            for place, amount in effect.sources.items():
                self.sources.found[place] += float(times[key][_PART.get(place.kind, 0)]) * amount

    def _effect(self, node: Node, number: int, held: tuple[int, ...], *, opened: bool) -> Effect:
        """The effect of an operation whose result has gain ``number``, whatever its level. ``held``: contents of the
        operation, then of its operands."""
        outside, self.sources.found = self.sources.found, defaultdict(float)
        gain = self.powers[number]
        own, *of = held

        asked = dict.fromkeys(Totals._fields, 0.0)

        def times(content: str) -> Power:
            product = self._product(gain, self.powers[own if content == "result" else of[0]])
            asked[content] = self.sources.wide(product)
            return product

        self.sources.enter(node, ANY, (AFTER, BEFORE), gain, times, opened=opened)
        match node.kind:
            case "rotate":
                given = [self.classes.rotated(gain, node.step)]
            case "mul_plain":
                given = [self._product(gain, self.powers[self.plain(node)])]
            case "mul":
                given = [self._product(gain, self.powers[power]) for power in reversed(of)]
            case _:
                # slot by slot, and no larger than before
                given = [gain] * len(of)
        added, self.sources.found = self.sources.found, outside
        totals = Totals(**{**asked, "gain": self.sources.wide(gain)})
        numbers = [number if power is gain else self.powers.number(uniform(power)) for power in given]
        return Effect(added, tuple(numbers), totals)

    def _product(self, gain: Power, power: Power) -> Power:
        """The gain of a factor. The other one is repeated over the ring where the gain differs between slots."""
        if power.shape[1] > 1:
            power = np.tile(power, (1, self.classes.columns(self.degree // 2) // power.shape[1]))
        return multiplied(gain, power)
