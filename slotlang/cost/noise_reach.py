"""How large noise may become, as the runtime's guarantee bounds it (``slotlang_runtime.magnitudes``):
amplitudes add up where mean squares would, whatever is independent.

For each state in which messages are read: the sources of noise, each with what it is multiplied by at most.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import sqrt
from typing import TypeAlias

from slotlang.cost.mean_squares import Powers
from slotlang.graph.graph import Graph, Node
from slotlang.graph.kinds import KINDS

Source: TypeAlias = tuple[str, int, int, bool]
"""A kind of noise, the level and the products where it enters, and whether it grows with the inputs."""

Reach: TypeAlias = dict[Source, float]

LARGEST_NORMAL = 4.5
"""The largest of some thousand normal variables over their standard deviation."""


def reaches(
    graph: Graph,
    products: list[int],
    contents: list[int],
    powers: Powers,
    plain: Callable[[Node], int],
    *,
    known: bool,
) -> Mapping[tuple[int, int], Reach]:
    """By level and products. ``contents``: numbers of the mean squares that nodes hold for inputs of unit variance;
    ``plain``: that of a node's plaintext; ``known``: plaintexts are."""
    found: dict[tuple[int, int], Reach] = {}
    held: list[Reach] = []
    memory: dict[tuple[object, ...], Reach] = {}

    def largest(number: int) -> float:
        power = float(powers[number].sum(axis=0).max())
        return sqrt(power) * (1.0 if known or power in (0.0, 1.0) else LARGEST_NORMAL)

    for number, node in enumerate(graph.nodes):
        level, carried = graph.levels[number], products[number]
        of = [held[n] for n in node.operands]
        key = (node.kind, tuple(map(id, of)), level, carried, contents[number], *(contents[n] for n in node.operands))
        key += (-1 if node.plain is None else plain(node),)
        if key not in memory:
            reach: Reach = {}
            match node.kind:
                case "mul_plain":
                    _add(reach, of[0], largest(plain(node)))
                    inside = sqrt(float(powers[contents[node.operands[0]]].sum(axis=0).mean()))
                    _add(reach, {("factor", level, products[node.operands[0]], True): inside})
                case "mul":
                    sizes = [sqrt(float(powers[contents[n]].sum(axis=0).max())) for n in node.operands]
                    for part, size in zip(of, reversed(sizes), strict=True):
                        _add(reach, {(*source[:3], True): amplitude for source, amplitude in part.items()}, size)
                case _:
                    for part in of:
                        _add(reach, part)
            if node.kind == "cipher":
                _add(reach, {("fresh", level, carried, False): 1.0, ("added", level, carried, False): 1.0})
            if node.kind in ("plain", "add_plain"):
                _add(reach, {("added", level, carried, False): 1.0})
                if not any(powers[contents[n]].any() for n in node.operands):
                    # added to a zero
                    _add(reach, {("fresh", level, carried, False): 1.0})
            if node.kind == "rescale":
                _add(reach, {("rescale", level, carried, False): 1.0})
            if KINDS[node.kind].key is not None:
                _add(reach, {("switch", level, carried, False): 1.0, ("spike", level, carried, False): 1.0})
            memory[key] = reach
        held.append(memory[key])
    kept = {id(reach): reach for reach in held}
    read = {out.node for out in graph.outputs}
    read |= {node.operands[0] for node in graph.nodes if node.kind == "rescale"}
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
