"""Counts of a graph: what the emitted program executes, and the bytes that go with it.

Keys and bytes depend on parameters, which are given as numbers so that this stage needs no parameter type.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass

from slotlang.graph.graph import Graph


@dataclass(frozen=True, slots=True)
class Counts:
    """Numbers of operations; keys of ``cost --json``.

    ``rotations``: as executed, equal ones shared. ``key_switches``: rotations, conjugations and relinearised
    products; the key set holds one key per distinct step, so each rotation is one. ``galois_keys``: distinct steps,
    one more if there are conjugations. ``hoistable``: rotations that share their operand with another.
    ``depth``: products in a row. ``rescales_by_level``: at the level they leave.
    """

    rotations: int
    conjugations: int
    key_switches: int
    galois_keys: int
    hoistable: int
    plain_products: int
    cipher_products: int
    additions: int
    negations: int
    rescales: int
    rescales_by_level: dict[int, int]
    depth: int
    ciphertexts_in: int
    ciphertexts_out: int
    plaintexts: int
    peak_ciphertexts: int

    def executed(self) -> dict[str, int]:
        """The counters that an evaluation keeps, zeros left out."""
        names = (
            "rotations",
            "conjugations",
            "plain_products",
            "cipher_products",
            "additions",
            "negations",
            "rescales",
        )
        values = asdict(self)
        return {name: values[name] for name in names if values[name]}


def count(graph: Graph) -> Counts:
    """Counts of every operation in the graph."""
    kinds = Counter(n.kind for n in graph.nodes)
    steps = {n.step for n in graph.of_kind("rotate")}
    operands = Counter(n.operands[0] for n in graph.of_kind("rotate"))
    additions = sum(len(n.operands) - 1 for n in graph.of_kind("sum")) + kinds["add_plain"]
    # a sum that starts with a negative operand negates it first
    negations = kinds["neg"] + sum(n.signs[0] < 0 for n in graph.of_kind("sum"))
    rescales: Counter[int] = Counter()
    for node, level in zip(graph.nodes, graph.levels, strict=True):
        if node.kind == "rescale":
            rescales[level - 1] += 1
    plains = {n.plain for n in graph.nodes if n.kind in ("mul_plain", "add_plain")}
    results = {o.node for o in graph.outputs}
    return Counts(
        rotations=kinds["rotate"],
        conjugations=kinds["conj"],
        key_switches=kinds["rotate"] + kinds["conj"] + kinds["mul"],
        galois_keys=len(steps) + (1 if kinds["conj"] else 0),
        hoistable=sum(n for n in operands.values() if n > 1),
        plain_products=kinds["mul_plain"],
        cipher_products=kinds["mul"],
        additions=additions,
        negations=negations,
        rescales=kinds["rescale"],
        rescales_by_level=dict(sorted(rescales.items())),
        depth=graph.schedule.depth,
        ciphertexts_in=kinds["cipher"],
        ciphertexts_out=len(results),
        plaintexts=len(plains),
        peak_ciphertexts=_peak(graph),
    )


def _peak(graph: Graph) -> int:
    """Most ciphertexts alive at once when each is dropped after its last use, in the graph's order."""
    last = list(range(len(graph.nodes)))
    for number, node in enumerate(graph.nodes):
        for operand in node.operands:
            last[operand] = number
    results = {o.node for o in graph.outputs}
    ends: Counter[int] = Counter(last[n] for n in range(len(graph.nodes)) if n not in results)
    alive = peak = 0
    for number in range(len(graph.nodes)):
        alive += 1
        peak = max(peak, alive)
        alive -= ends[number]
    return peak
