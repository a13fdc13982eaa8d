"""Which cases of the theorems in ``docs/bounds.md`` a program falls under: its packing, how it keeps tokens apart, and
whether the theorems apply to its schedule. A program that no theorem applies to, or that is too large to inspect, has
no bound."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from slotlang.cost.bounds import MAX_ELEMENTS, MAX_PACKED, Held, Reads
from slotlang.cost.counts import Counts
from slotlang.cost.theorems import Bound, TwoProducts, products_bound, rank_dimension
from slotlang.graph.graph import Graph
from slotlang.graph.ring import PlainEvaluator
from slotlang.meaning.program import Program
from slotlang.meaning.value import (
    Chain,
    Element,
    Read,
    TensorForm,
    Value,
)
from slotlang.refusals import GaveUp
from slotlang_runtime.amounts import count_of

MAX_LABELS = 1 << 24
"""Most slots of all different patterns of tokens together."""


@dataclass(frozen=True, slots=True)
class _Spec:
    """``W @ x`` (or ``x @ W``) with W a product of different dense weights: those next to the input first."""

    weights: tuple[str, ...]
    sizes: tuple[int, ...]
    """The dimensions that the input's channels pass: d_in, ranks, d_out."""

    @property
    def dimension(self) -> int:
        return rank_dimension(self.sizes[0], self.sizes[-1], min(self.sizes))


@dataclass(frozen=True, slots=True)
class _Packing:
    """``labels``: one token of those in each slot (-1: none), by ciphertext node; ``together``: pairs of tokens that
    share a slot; ``copies``: most places of one element; ``imaginary``: slots may be complex."""

    tokens: int
    labels: dict[int, npt.NDArray[np.int64]]
    together: tuple[tuple[int, int], ...]
    copies: int
    imaginary: bool


class _Packed(Reads):
    """``Reads`` that notices imaginary constants."""

    imaginary = False

    def const(self, re: Any, im: Any) -> Held:
        self.imaginary |= bool(im)
        return Held(self.everywhere & bool(re or im))


def bounds_of(program: Program, graph: Graph, counts: Counts, spread: int | None) -> tuple[Bound, ...]:
    """Every bound that applies to the program: proved ones first, then those that are only conjectured."""
    bounds = []
    if spread is not None:
        bounds.append(_bound("rotations", "spread", spread, counts.rotations, "schedules with this packing"))
    inputs = _linear_input(program, graph)
    if inputs is None:
        return tuple(bounds)
    tensor, specs = inputs
    try:
        packing = _packing(program, graph, tensor, specs)
    except GaveUp:
        return tuple(bounds)
    groups = _groups(program.slots, graph, packing)
    apart = f"schedules that keep {count_of(groups, 'group')} of tokens apart" if groups > 1 else "linear schedules"
    least = products_bound(_dimension(specs), groups, program.slots)
    bounds.append(_bound("plain_products", "products", least, counts.plain_products, apart))
    cases = list(_two_products(program, graph, specs, packing, groups))
    if cases:
        among = f"two-product schedules, {count_of(cases[0].inputs, 'ciphertext')} in, {cases[0].outputs} out"
        among += f", {count_of(groups, 'group')} of tokens apart" if groups > 1 else ""
        spent = counts.rotations + counts.conjugations
        of = "key_switches" if counts.conjugations else "rotations"
        proved = max(case.bound() for case in cases)
        bounds.append(_bound(of, "two-products", proved, spent, among))
        known = [case.best_known() for case in cases]
        conjectured = max((k for k in known if k is not None), default=0)
        if conjectured > proved:
            bounds.append(replace(_bound(of, "two-products", conjectured, spent, among), proved=False))
    return tuple(bounds)


def _bound(of: str, theorem: str, at_least: int, spent: int, among: str) -> Bound:
    return Bound(of, theorem, True, at_least, spent - at_least, among)


def _linear_input(program: Program, graph: Graph) -> tuple[str, dict[str, _Spec]] | None:
    """The one input of a schedule that multiplies no ciphertexts, and the specification of each result."""
    live = graph.ancestors(o.node for o in graph.outputs)
    inputs = [t for t in program.tensors.values() if t.kind == "input"]
    if len(inputs) != 1 or any(graph.nodes[n].kind == "mul" for n in live):
        return None
    specs = {name: _spec(program, theorem.form) for name, theorem in program.theorems.items()}
    known = {name: spec for name, spec in specs.items() if spec is not None}
    return (inputs[0].name, known) if known and len(known) == len(specs) else None


def _spec(program: Program, form: TensorForm | None) -> _Spec | None:
    """The chain with the largest variety, among the chains that are the only term left when all weights outside them
    are zero. Terms without any weight may be left too: they move the variety and keep its dimension. None for a result
    that is no sum of products."""
    if form is None:
        return None
    weights = [{f.tensor for f in chain.factors if _is_weight(program, f.tensor)} for chain in form.chains]
    operands = []
    for number, chain in enumerate(form.chains):
        spec = _chain(program, chain)
        own = weights[number]
        if spec is not None and all(not w or w - own for n, w in enumerate(weights) if n != number):
            operands.append(spec)
    return max(operands, key=lambda s: s.dimension, default=None)


def _is_weight(program: Program, tensor: str) -> bool:
    return program.tensors[tensor].kind == "weight"


def _chain(program: Program, chain: Chain) -> _Spec | None:
    factors = chain.factors
    if not chain.coefficient or len(factors) < 2:
        return None
    if not _is_weight(program, factors[-1].tensor):
        near = factors[-2::-1]
    elif not _is_weight(program, factors[0].tensor):
        near = factors[1:]
    else:
        return None
    weights = [program.tensors[f.tensor] for f in near]
    names = tuple(w.name for w in weights)
    dense = all(w.kind == "weight" and len(w.shape) == 2 and not w.sparse for w in weights)
    if not dense or len(set(names)) < len(names):
        return None
    left = near[0] is factors[1] and not _is_weight(program, factors[0].tensor)
    sizes: list[int] = []
    for factor, weight in zip(near, weights, strict=True):
        shape = weight.shape[::-1] if factor.transposed else weight.shape
        inside, outside = shape if left else shape[::-1]
        sizes += [outside] if sizes else [inside, outside]
    return _Spec(names, tuple(sizes))


def _dimension(specs: dict[str, _Spec]) -> int:
    """The bound for all results together, which are independent when no two of them share a weight."""
    names = [w for spec in specs.values() for w in spec.weights]
    sizes = [spec.dimension for spec in specs.values()]
    return sum(sizes) if len(set(names)) == len(names) else max(sizes)


def _packing(program: Program, graph: Graph, tensor: str, specs: dict[str, _Spec]) -> _Packing:
    """How the client packs the input. Raises ``GaveUp`` for a packing too large to inspect slot by slot."""
    shape = program.tensors[tensor].shape
    live = sorted(n for n in graph.ancestors(o.node for o in graph.outputs) if graph.nodes[n].kind == "cipher")
    if prod(shape) > MAX_ELEMENTS or len(live) * program.slots > MAX_PACKED:
        raise GaveUp("the packing")
    axis = token_axis(program, tensor)
    ring = _Packed(program.slots)
    evaluator = PlainEvaluator(program, ring)
    places = np.zeros(prod(shape), np.int64)
    labels: dict[int, npt.NDArray[np.int64]] = {}
    together: set[tuple[int, int]] = set()
    for node in live:
        member = graph.nodes[node].plain
        assert member is not None
        family = program.families[member[0]]
        env = family.env(member[1])
        label = np.full(program.slots, -1, np.int64)
        for _, flat, mask in evaluator.value(family.body, env, evaluator.all_slots).reads:
            np.add.at(places, flat[mask], 1)
            token = np.zeros_like(flat) if axis is None else np.unravel_index(flat, shape)[axis]
            label = _joined(label, np.where(mask, token, -1), together)
        labels[node] = label
    tokens = 1 if axis is None else shape[axis]
    return _Packing(tokens, labels, tuple(together), int(places.max(initial=0)), ring.imaginary)


def token_axis(program: Program, tensor: str) -> int | None:
    """The axis of an input that its weights do not act on; None for a vector."""
    axes = set()
    for theorem in program.theorems.values():
        for chain in theorem.chains:
            for place, factor in enumerate(chain.factors):
                if factor.tensor == tensor:
                    axes.add((place == len(chain.factors) - 1) != factor.transposed)
    if len(program.tensors[tensor].shape) == 1:
        return None
    if len(axes) > 1:
        raise GaveUp("the input stands on both sides")
    return 1 if axes.pop() else 0


def _joined(
    a: npt.NDArray[np.int64], b: npt.NDArray[np.int64], together: set[tuple[int, int]]
) -> npt.NDArray[np.int64]:
    """One token for each slot that has any, those noted that meet."""
    meet = (a >= 0) & (b >= 0) & (a != b)
    if meet.any():
        together.update(map(tuple, np.unique(np.stack([a[meet], b[meet]], 1), axis=0).tolist()))
    return np.where(a >= 0, a, b)


def _groups(slots: int, graph: Graph, packing: _Packing) -> int:
    """The number of groups of tokens, where tokens whose slots are connected anywhere in the graph are in one group.
    Masks are ignored, which can only make groups larger and the bounds weaker."""
    together = set(packing.together)
    kept: list[npt.NDArray[np.int64]] = []
    numbers: dict[bytes, int] = {}
    memo: dict[tuple[object, ...], int | None] = {}

    def number(label: npt.NDArray[np.int64]) -> int:
        key = label.tobytes()
        if key not in numbers:
            if len(kept) * slots > MAX_LABELS:
                raise GaveUp("patterns of tokens")
            numbers[key] = len(kept)
            kept.append(label)
        return numbers[key]

    def joined(a: int | None, b: int | None) -> int | None:
        if a is None or b is None or a == b:
            return b if a is None else a
        key = ("+", a, b)
        if key not in memo:
            memo[key] = number(_joined(kept[a], kept[b], together))
        return memo[key]

    of: list[int | None] = []
    live = graph.ancestors(o.node for o in graph.outputs)
    try:
        for place, node in enumerate(graph.nodes):
            pattern: int | None = None
            if place in live and node.kind == "cipher":
                pattern = number(packing.labels[place])
            elif place in live:
                for operand in node.operands:
                    pattern = joined(pattern, of[operand])
                if node.kind == "rotate" and pattern is not None:
                    key = ("<<", pattern, node.step)
                    if key not in memo:
                        memo[key] = number(np.roll(kept[pattern], -node.step))
                    pattern = memo[key]
            of.append(pattern)
    except GaveUp:
        return 1
    return _classes(packing.tokens, together)


def _classes(tokens: int, together: Iterable[tuple[int, int]]) -> int:
    parent = list(range(tokens))

    def root(token: int) -> int:
        while parent[token] != token:
            parent[token] = parent[parent[token]]
            token = parent[token]
        return token

    for a, b in together:
        parent[root(a)] = root(b)
    return sum(parent[t] == t for t in range(tokens))


def _two_products(
    program: Program, graph: Graph, specs: dict[str, _Spec], packing: _Packing, groups: int
) -> Iterator[TwoProducts]:
    """The theorem's case for each result that is computed by exactly two products on every path, the first by
    plaintexts without the outer weight, the second without the inner one."""
    for name, spec in specs.items():
        nodes = {o.node for o in graph.outputs if o.output.name == name}
        live = graph.ancestors(nodes)
        if len(spec.weights) != 2 or not nodes or not _factored(program, graph, live, nodes, spec):
            continue
        imaginary = any(o.output.part == "im" for o in graph.outputs if o.output.name == name)
        yield TwoProducts(
            inputs=sum(n in live for n in packing.labels),
            outputs=len(nodes),
            d_in=spec.sizes[0],
            d_out=spec.sizes[2],
            rank=spec.sizes[1],
            width=-(-program.slots // groups),
            copies=packing.copies,
            parts_in=1 + packing.imaginary,
            parts_out=1 + imaginary,
        )


def _factored(program: Program, graph: Graph, live: set[int], outputs: set[int], spec: _Spec) -> bool:
    products: dict[int, int] = {}
    reads: dict[str, set[str]] = {}
    for number in sorted(live):
        node = graph.nodes[number]
        depths = {products[n] for n in node.operands if n in products}
        if node.kind == "cipher":
            products[number] = 0
        elif len(depths) > 1:
            return False
        elif depths:
            products[number] = depths.pop()
            if node.kind == "mul_plain":
                assert node.plain is not None
                family = node.plain[0]
                if family not in reads:
                    body = graph.schedule.plains[family].body
                    reads[family] = set() if body is None else set(_tensors(program, body))
                if products[number] > 1 or spec.weights[1 - products[number]] in reads[family]:
                    return False
                products[number] += 1
    return all(products.get(n) == 2 for n in outputs)


def _tensors(program: Program, value: Value) -> Iterator[str]:
    """Tensors that a value reads."""
    for leaf in program.leaves(value):
        match leaf:
            case Read(tensor):
                yield tensor
            case Element(form):
                yield from (f.tensor for chain in form.chains for f in chain.factors)
