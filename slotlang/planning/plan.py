"""What runs for a program: its graph under parameters, with the keys, the hiding and the kernel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal, TypeAlias, get_args

from slotlang.cost.counts import Counts, count
from slotlang.cost.matrix import MatrixForm, matrix_form
from slotlang.cost.predict import Prediction, predict
from slotlang.cost.profile import Profile
from slotlang.diagnostics import error, pick
from slotlang.graph.graph import Graph
from slotlang.graph.unroll import unroll
from slotlang.meaning.program import Program
from slotlang.planning.hiding import Hide, Hiding, hiding, with_conjugates
from slotlang.planning.parameters import (
    UNRESCALED_DEPTH,
    Parameters,
    check_scales,
    check_security,
    fixed_parameters,
)
from slotlang.planning.zeros import zero_plaintexts
from slotlang.refusals import GaveUp
from slotlang.schedule.build import EVERY, schedule
from slotlang.schedule.composed_rotations import routes
from slotlang.schedule.ops import Schedule

Way: TypeAlias = Literal["seal", "fused", "matrix"]
"""How products with plaintexts are computed: by SEAL's operations, one by one; sums of them in one pass
(docs/fused.md); or all of the program as matrix products (docs/columns.md)."""

Products: TypeAlias = Literal["auto", "seal", "fused", "matrix"]
"""How ciphertexts are multiplied with plaintexts: a ``Way``, or the one that is predicted to be the fastest."""


@dataclass(frozen=True)
class Plan:
    """A program's graph under parameters: what would be executed. ``hiding``: what is hidden in its results.
    ``columns``: the graph as matrices, or why it is none; ``products``: how they are computed."""

    program: Program
    graph: Graph
    parameters: Parameters
    counts: Counts
    hiding: Hiding
    columns: MatrixForm | GaveUp
    products: Way

    @property
    def weight_bytes(self) -> int:
        """Of the encoded weights in memory; where matrices evaluate it, of their coefficients."""
        if self.products == "matrix" and isinstance(self.columns, MatrixForm):
            return self.columns.weight_bytes
        return sum(self.parameters.plaintext_bytes(level) for _, level in self.graph.plaintexts())

    @property
    def download_bytes(self) -> int:
        """Of the results as sent, without headers."""
        return sum(map(self.parameters.sent_bytes, self.graph.results().values()))

    def predicted(self, profile: Profile) -> Prediction:
        """Its times, evaluated as the plan says."""
        p, columns = self.parameters, self.columns if self.products == "matrix" else None
        matrix = columns.seconds(p.degree, p.data_primes, profile) if isinstance(columns, MatrixForm) else None
        fused = self.products == "fused"
        return predict(self.graph, p.degree, p.data_primes, profile, self.hiding, matrix, fused=fused)


def products_mode(text: str) -> Products:
    """The way of multiplying that a user names. Raises SL471."""
    ways: tuple[Products, ...] = get_args(Products)
    return pick(text, ways, "SL471", "way of multiplying", "ways")


def plan(
    program: Program,
    parameters: Parameters | None = None,
    *,
    hide: Hide = "mask",
    products: Products = "auto",
) -> Plan:
    """Schedule and unroll a program for parameters (the fixed choice when none are given).

    ``hide``: how what results carry besides the result is kept from the key holder (docs/security.md): by random
    plaintexts, exactly by adding conjugates, or not at all. ``products``: how ciphertexts are multiplied with
    plaintexts (docs/columns.md).

    Raises ``SlotError`` SL309 (too large), SL401 to SL403 (a sum or permutation can't be lowered), SL404
    (below 128 bits, or too deep), SL405 (slots not a power of two), SL407 (no room for masks), SL472 (matrices can't
    compute it).
    """
    found = Draft.of(program, hide, parameters.drops if parameters else ())
    if parameters is None:
        if found.built.depth > UNRESCALED_DEPTH:
            # scales of products of products add up; levels do not
            found = Draft.of(program, hide, EVERY)
        built = found.built
        parameters = fixed_parameters(
            program.slots,
            built.depth,
            program.syntax.statements[0].span,
            rescale=bool(found.built.drops),
            turns_fresh=built.turns_fresh and not built.multiplies_ciphertexts,
        )
    return found.keyed(parameters.keys).under(parameters, products)


@dataclass(frozen=True)
class Draft:
    """A program's schedule and graph before parameters are chosen: all that rescale alike and have the same keys share
    one. ``doubled`` as in ``Hiding``."""

    program: Program
    hide: Hide
    built: Schedule = field(repr=False)
    doubled: frozenset[str]

    @classmethod
    def of(cls, program: Program, hide: Hide, drops: Sequence[int] = ()) -> Draft:
        """With a key for each step; ``drops`` as of ``schedule``. Raises as ``plan``, and so does the graph when it is
        first asked for."""
        returned, doubled = with_conjugates(program) if hide == "exact" else (program, frozenset[str]())
        return cls(program, hide, schedule(returned, drops), doubled)

    def keyed(self, keys: tuple[int, ...]) -> Draft:
        """The same with Galois keys for these steps only, and all others composed of them; with ``()`` as it is. Raises
        SL408 where that can't be."""
        if not keys:
            return self
        slots = self.program.slots
        wanted = {node.step for node in self.graph.of_kind("rotate")}
        found = None if not all(0 < k < slots for k in keys) else routes(wanted, keys, slots)
        if found is None:
            raise error(
                "SL408",
                f"keys for rotations by {', '.join(map(str, keys))} do not make all rotations of '{self.program.name}'",
                self.program.syntax.statements[0].span,
                notes=[f"it rotates {slots:,} slots by {', '.join(map(str, sorted(wanted)))}"],
            )
        return replace(self, built=replace(self.built, routes=found))

    @cached_property
    def graph(self) -> Graph:
        """Everything unrolled."""
        return unroll(self.built, zero_plaintexts(self.built))

    @cached_property
    def counts(self) -> Counts:
        """Of the graph, without masks."""
        return count(self.graph)

    def hiding(self, parameters: Parameters) -> Hiding:
        """What is hidden in results with parameters. Raises SL407."""
        return hiding(self.graph, parameters, self.hide, self.doubled)

    def under(self, parameters: Parameters, products: Products = "auto") -> Plan:
        """The plan with parameters that rescale as this does; raises as ``plan``."""
        program, built = self.program, self.built
        check_security(parameters)
        if parameters.slots < program.slots or parameters.slots % program.slots:
            raise error(
                "SL405",
                f"degree {parameters.degree} has {parameters.slots:,} slots, and the program {program.slots:,}",
                program.syntax.statements[0].span,
            )
        check_scales(parameters, built.depth, multiplies_ciphertexts=built.multiplies_ciphertexts)
        hidden = self.hiding(parameters)
        scales = parameters.factor_bits(built.depth)
        columns = matrix_form(self.graph, parameters.primes[: parameters.data_primes], scales)
        if products == "matrix" and isinstance(columns, GaveUp):
            raise error(
                "SL472",
                f"'{program.name}' can't be evaluated by matrix products: {columns}",
                program.syntax.statements[0].span,
                hint="leave out --products: SEAL's operations evaluate every program",
            )
        if products == "fused" and not self.graph.dots:
            raise error(
                "SL472",
                f"'{program.name}' adds up no products that could be computed in one pass",
                program.syntax.statements[0].span,
                hint="leave out --products: SEAL's operations evaluate every program",
            )
        way: Way = "fused" if self.graph.dots else "seal"
        if products != "auto":
            way = products
        elif isinstance(columns, MatrixForm) and columns.faster:
            way = "matrix"
        counts = replace(self.counts, masks=hidden.masks)
        return Plan(program, self.graph, parameters, counts, hidden, columns, way)
