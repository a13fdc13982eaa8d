"""How large noise may become, as the runtime's guarantee bounds it (``slotlang_runtime.magnitudes``):
amplitudes add up where mean squares would, whatever is independent, and inputs may be chosen along what is rounded.

For each state in which messages are read: the sources of noise, each with what it is multiplied by at most.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import frexp, sqrt
from typing import NamedTuple

from slotlang.cost.mean_squares import Powers
from slotlang.cost.variances import Power
from slotlang.graph.graph import Graph, Node
from slotlang.graph.kinds import KINDS
from slotlang_runtime.noise import LARGEST_ROUNDING, ROUNDING, SIGMAS


class Source(NamedTuple):
    """A kind of noise, and the level and the products where it enters. ``terms``: how it grows with the inputs: how
    many slots of them are added up in a slot of what it is multiplied with, 0 where it does not grow. ``factors``:
    where it is multiplied with plaintexts later: level, products, and by how many bits what is rounded of one can
    exceed its largest slot, at a scale of 1."""

    kind: str
    level: int
    products: int
    terms: int = 0
    factors: tuple[tuple[int, int, int], ...] = ()


Reach = dict[Source, float]

LARGEST_NORMAL = 4.5
"""The largest of some thousand normal variables over their standard deviation."""

MOST_TERMS = 1 << 60
"""Stands for all sums that are longer, and for products of inputs."""


def reaches(
    graph: Graph,
    products: list[int],
    contents: list[int],
    powers: Powers,
    plain: Callable[[Node], int],
    coefficients: Callable[[Node], int],
    mean: Callable[[Power], float],
    *,
    known: bool,
) -> Mapping[tuple[int, int], Reach]:
    """By level and products. ``contents``: numbers of the mean squares that nodes hold for inputs of unit variance;
    ``plain``: that of a node's plaintext; ``coefficients``: how many are rounded when a node's plaintext is encoded;
    ``mean``: over all slots of mean squares of both parts together; ``known``: plaintexts are."""
    found: dict[tuple[int, int], Reach] = {}
    held: list[Reach] = []
    terms: list[int] = []
    memory: dict[tuple[object, ...], Reach] = {}

    def largest(number: int) -> float:
        power = float(powers[number].sum(axis=0).max())
        return sqrt(power) * (1.0 if known or power in (0.0, 1.0) else LARGEST_NORMAL)

    def rounded(node: Node) -> float:
        """The largest rounding over its deviation, where noise counts ``SIGMAS`` times and rounding once."""
        return sqrt(coefficients(node) * LARGEST_ROUNDING / ROUNDING) / SIGMAS

    for number, node in enumerate(graph.nodes):
        level, carried = graph.levels[number], products[number]
        of = [held[n] for n in node.operands]
        summed = [terms[n] for n in node.operands]
        match node.kind:
            case "cipher":
                terms.append(1)
            case "mul":
                terms.append(MOST_TERMS)
            case _:
                terms.append(min(sum(summed), MOST_TERMS))
        key = (node.kind, tuple(map(id, of)), level, carried, contents[number], *(contents[n] for n in node.operands))
        key += (
            *summed,
            *(n in graph.open for n in node.operands),
            -1 if node.plain is None else plain(node),
            0 if node.plain is None else coefficients(node),
        )
        if key not in memory:
            reach: Reach = {}
            match node.kind:
                case "mul_plain":
                    before = products[node.operands[0]]
                    if (size := largest(plain(node))) > 0:
                        # no slot of what is rounded exceeds the sum of its coefficients
                        factor = (level, before, frexp(coefficients(node) / 2 / size)[1])
                        later = {s._replace(factors=(*s.factors, factor)): value for s, value in of[0].items()}
                        _add(reach, later, size)
                    inside = sqrt(mean(powers[contents[node.operands[0]]]))
                    _add(reach, {Source("factor", level, before, summed[0]): inside * rounded(node)})
                case "mul":
                    sizes = [sqrt(float(powers[contents[n]].sum(axis=0).max())) for n in node.operands]
                    for part, size in zip(of, reversed(sizes), strict=True):
                        _add(reach, {s._replace(terms=MOST_TERMS): value for s, value in part.items()}, size)
                case _:
                    for part in of:
                        _add(reach, part)
            if node.kind == "cipher":
                _add(reach, {Source("fresh", level, carried): 1.0, Source("added", level, carried): rounded(node)})
            if node.kind in ("plain", "add_plain"):
                _add(reach, {Source("added", level, carried): rounded(node)})
                if not any(powers[contents[n]].any() for n in node.operands):
                    # added to a zero
                    _add(reach, {Source("fresh", level, carried): 1.0})
            if node.kind == "rescale":
                kind = "rescale open" if node.operands[0] in graph.open else "rescale"
                _add(reach, {Source(kind, level, carried): 1.0})
            if KINDS[node.kind].key is not None:
                _add(reach, {Source("switch", level, carried): 1.0, Source("spike", level, carried): 1.0})
            memory[key] = reach
        held.append(memory[key])
    read = {out.node for out in graph.outputs}
    for number in read:
        # results may be sent without their last bits
        held[number] = {**held[number], Source("cut", graph.levels[number], products[number]): 1.0}
    # a result that is complete is read at the end alone
    complete = len(graph.schedule.drops) - graph.schedule.results
    read |= {
        node.operands[0]
        for node, level in zip(graph.nodes, graph.levels, strict=True)
        if node.kind == "rescale" and level <= complete
    }
    kept = {id(reach): reach for reach in held}
    states: dict[tuple[int, int], set[int]] = {}
    for number in sorted(read):
        states.setdefault((graph.levels[number], products[number]), set()).add(id(held[number]))
    for state, numbers in states.items():
        most: Reach = {}
        for identity in numbers:
            for source, amplitude in kept[identity].items():
                most[source] = max(most.get(source, 0.0), amplitude)
        found[state] = most
    return found


def _add(reach: Reach, part: Mapping[Source, float], times: float = 1.0) -> None:
    for source, amplitude in part.items():
        reach[source] = reach.get(source, 0.0) + times * amplitude
