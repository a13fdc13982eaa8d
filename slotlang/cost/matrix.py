"""Evaluation by matrix products: which programs it fits, and when it is predicted to be faster than compiled kernels.

Where every plaintext is a constant and ciphertexts are only added up, each times a constant, the schedule is a few
matrices of integers applied to the ciphertexts' residues (docs/columns.md). Times here are in units of SEAL's product
of one residue of a ciphertext with one of a plaintext, which every machine's profile has.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from slotlang.cost.profile import Profile
from slotlang.cost.vectors import is_constant
from slotlang.graph.graph import Graph
from slotlang.graph.kinds import KINDS
from slotlang.refusals import GaveUp

PRODUCT, ADD, DOT, DOT_PRODUCT = 0.36, 0.17, 0.13, 0.16
"""What compiled kernels take for a residue, in units: a product with a plaintext, an addition; a sum of products in one
pass, and each of its products. Near what the shipped profile has of kernels on words at degrees 4096 to 16384, where
the medians are 0.34, 0.19, 0.10 and 0.16; ratios for ``DOT`` scatter from 0 to 0.4. Small primes take less."""

GATHER, CUT, MULTIPLY, JOIN, REDUCE = 0.24, 0.39, 0.015, 0.45, 0.95
"""What a residue takes, in units: bringing an operand to where it is needed; cutting a piece off it; one multiplication
by a coefficient, of one piece; one piece of a sum put to the others; reducing a sum and writing it. Fitted to
``python -m benchmarks.columns --fit``."""

TILE = 32
"""Rows and operands that are worked on at once, as in ``lowering/columns.py``."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Sums that are computed together: ``rows`` sums over ``columns`` operands, after ``depth`` products."""

    rows: int
    columns: int
    depth: int


@dataclass(frozen=True, slots=True)
class MatrixForm:
    """A graph as matrices, and what evaluating it one operation after the other, and by matrices, takes in units for
    one residue: one prime, one place, one polynomial."""

    stages: tuple[Stage, ...]
    operations: float
    matrix: float

    @property
    def faster(self) -> bool:
        """Whether matrices are predicted to be faster."""
        return self.matrix < self.operations

    @property
    def weight_bytes(self) -> int:
        """Bytes of the coefficients, in float64."""
        return sum(8 * stage.rows * stage.columns for stage in self.stages)

    def seconds(self, degree: int, primes: int, profile: Profile) -> float:
        """Seconds of an evaluation by matrix products."""
        return self.matrix * profile.without_kernels.seconds("multiply_plain", degree, primes)


def matrix_form(graph: Graph, primes: Sequence[int], scales: Sequence[int]) -> MatrixForm | GaveUp:
    """A graph as matrices, or why it can't be evaluated so.

    ``primes``: bits of those of a fresh ciphertext. ``scales``: bits of the scales of the inputs and of the plaintexts
    of each product in a row.
    """
    for node in graph.nodes:
        kind = KINDS[node.kind]
        if not kind.adds:
            return GaveUp(f"its schedule has a '{kind.noun}', and matrices only add ciphertexts up")
    for name, family in graph.schedule.plains.items():
        if family.masks or not is_constant(graph.schedule.program, family.body):
            return GaveUp(f"plaintexts '{name}' hold more than one real number")
    if not any(graph.of_kind("mul_plain")):
        return GaveUp("there is nothing to multiply")
    stages = _stages(graph)
    work = {"mul_plain": PRODUCT, "neg": ADD}
    operations = DOT * len(graph.dots) + DOT_PRODUCT * sum(graph.dots.values())
    for number, node in enumerate(graph.nodes):
        if number not in graph.dots and number not in graph.in_dots:
            operations += work.get(node.kind, ADD * max(len(node.operands) - 1, 0))
    return weighed(stages, operations, primes, scales)


def weighed(stages: tuple[Stage, ...], operations: float, primes: Sequence[int], scales: Sequence[int]) -> MatrixForm:
    """Matrices of these sizes with their predicted work, in units; ``operations``: the work without matrices."""
    matrix = sum(_units(stage, bits, scales) for stage in stages for bits in primes) / len(primes)
    return MatrixForm(stages, operations, matrix)


def _stages(graph: Graph) -> tuple[Stage, ...]:
    """Sums of products with inputs, sums of products with those, and so on: by products behind them."""
    depth = [0] * len(graph.nodes)
    for number, node in enumerate(graph.nodes):
        depth[number] = max((depth[n] for n in node.operands), default=0) + (node.kind == "mul_plain")
    multiplied = {node.operands[0] for node in graph.of_kind("mul_plain")} | {o.node for o in graph.outputs}
    stages = []
    for level in range(1, max(depth) + 1):
        operands = {
            n.operands[0] for n, at in zip(graph.nodes, depth, strict=True) if n.kind == "mul_plain" and at == level
        }
        rows = sum(at == level and n in multiplied for n, at in enumerate(depth))
        stages.append(Stage(rows, len(operands), level))
    return tuple(stages)


def _units(stage: Stage, bits: int, scales: Sequence[int]) -> float:
    """Units for one residue modulo a prime of ``bits`` bits, for weights whose rows have norm 1."""
    size = scales[min(stage.depth, len(scales) - 1)] + math.log2(stage.columns) / 2
    pieces = math.ceil(bits / max(53 - math.ceil(size), 1))
    again = 1 if stage.columns <= TILE else math.ceil(stage.rows / TILE)
    return (
        stage.columns * (GATHER + CUT * pieces) * again
        + stage.rows * stage.columns * pieces * MULTIPLY
        + stage.rows * (pieces * JOIN + REDUCE)
    )
