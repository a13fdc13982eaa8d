"""Where noise enters: what each operation of a graph adds to the sources, for the gain of what it computes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping

import numpy as np

from slotlang.cost.key_switch_peaks import Floats
from slotlang.cost.noise import Place
from slotlang.cost.slot_classes import EACH, SlotClasses
from slotlang.cost.variances import Contents, Power
from slotlang.cost.vectors import plain_shape, vector_shape
from slotlang.graph.graph import Graph, Node
from slotlang.graph.kinds import KINDS
from slotlang_runtime.noise import peak_shape


class Sources:
    """``found``: by source, what all operations so far add to the mean square error of the results when it has variance
    1. ``classes``: those of the slots, each by itself where peaks meet. ``met``: by node and state, the peaks of key
    switches that meet there (``key_switch_peaks``), where any do."""

    def __init__(self, graph: Graph, degree: int, contents: Contents, classes: SlotClasses = EACH) -> None:
        self.graph, self.degree, self.contents, self.classes = graph, degree, contents, classes
        self.program = graph.schedule.program
        self.spike = classes.means(peak_shape(degree))
        self.met: Mapping[int, Mapping[tuple[int, int], Floats]] | None = None
        self.found: defaultdict[Place, float] = defaultdict(float)
        self._vectors: dict[str, tuple[int, bool, complex | None]] = {}

    def rounded(self, name: str) -> tuple[int, bool, complex | None]:
        """Coefficients that encoding a family rounds, whether that shows in both parts, and the number that all its
        slots hold, if it is known."""
        if name not in self._vectors:
            family = self.graph.schedule.plains[name]
            shape = plain_shape(self.program, family)
            constant = None
            if shape.varies:
                coefficients = 2 * self.program.slots
            elif (constant := self.contents.constant(family)) is not None:
                coefficients = 1
            else:
                coefficients = 1 + 2 * shape.imaginary
            self._vectors[name] = coefficients, shape.imaginary, constant
        return self._vectors[name]

    def enter(
        self,
        node: Node,
        level: int,
        products: tuple[int, int],
        gain: Power,
        times: Callable[[str], Power],
        *,
        opened: bool,
    ) -> None:
        """What an operation adds whose result has this gain. ``products``: of the result, and of its first operand.
        ``times``: the gain of what is multiplied with its ``operand``, or of what is relative to its ``result``.
        ``opened``: an operand has three polynomials."""
        carried, before = products
        match node.kind:
            case "cipher":
                assert node.plain is not None, "an input has a name"
                self.add("fresh", level, carried, gain)
                self._transformed(times("result"))
                both = vector_shape(self.program, self.program.families[node.plain[0]].body).imaginary
                self.round("added", level, carried, gain, 2 * self.program.slots, both)
            case "mul_plain":
                assert node.plain is not None, "a product has a plaintext"
                rounding = self.rounded(node.plain[0])
                self.round("factor", level, before, times("operand"), *rounding)
                if rounding[0] == 2 * self.program.slots:
                    self._transformed(times("result"))
            case "add_plain" | "plain":
                assert node.plain is not None, "a sum has a plaintext"
                self.round("added", level, carried, gain, *self.rounded(node.plain[0]))
            case "rescale":
                self.add("rescale open" if opened else "rescale", level, carried, gain)
            case kind if KINDS[kind].key is not None:
                self.add("switch", level, carried, gain)
                if self.met is None:
                    self.add("spike", level, carried, gain * self.spike if gain.shape[1] > 1 else gain)

    def meet(self, node: int, gain: Power) -> None:
        """The peaks that a ciphertext has when it is multiplied, conjugated or returned, with the gain of its noise."""
        for (level, products), times in (self.met or {}).get(node, {}).items():
            if gain.shape[1] == 1 or times.size == 1:
                self.add("spike", level, products, gain * times.sum())
            else:
                there = np.fft.irfft(np.fft.rfft(times) * np.fft.rfft(self.spike), times.size)
                self.add("spike", level, products, gain * np.maximum(there, 0.0))

    def add(self, kind: str, level: int, products: int, gain: Power) -> None:
        """Noise alike in both parts."""
        self.found[Place(kind, level, products)] += self.wide(gain) / 2

    def wide(self, power: Power) -> float:
        """Sum over both parts and all slots of the ring."""
        return self.classes.mean(power) * (self.degree // 2)

    def round(
        self,
        kind: str,
        level: int,
        products: int,
        gain: Power,
        coefficients: int,
        both: bool,
        constant: complex | None = None,
    ) -> None:
        """Rounding of a plaintext, with the gain of what is rounded. A real vector's stays real."""
        spread = gain / 2 if both else gain[:1]
        self.found[Place(kind, level, products, constant)] += coefficients * self.wide(spread)

    def _transformed(self, gain: Power) -> None:
        """Encoding a vector in double precision; the gain of what is relative to what it holds, or is a factor of."""
        self.found[Place("double", 0, 0)] += self.wide(gain) / 2
