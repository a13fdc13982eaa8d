"""Counts of a graph: what the emitted program executes, and the bytes that go with it.

Keys and bytes depend on parameters, which are given as numbers so that this stage needs no parameter type.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise

from slotlang.cost.key_switching import key_switching
from slotlang.graph.graph import Graph
from slotlang.graph.kinds import KINDS
from slotlang.schedule import ops

EXECUTED = (
    "rotations",
    "conjugations",
    "plain_products",
    "cipher_products",
    "relinearizations",
    "additions",
    "negations",
    "rescales",
    "masks",
)
"""The counts that an evaluation keeps while it runs."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Numbers of operations.

    ``rotations``: as executed, equal ones shared, each by a step that has a key. ``key_switches``: rotations,
    conjugations and relinearizations. ``relinearizations``: of products of ciphertexts, or of sums of them.
    ``galois_keys``: distinct steps, one more if there are conjugations. ``composed_steps``: steps of the program that
    have no key, so that several rotations stand for one. ``hoistable``: rotations that, as the program writes them,
    share their operand with another one: a ladder ``S << q`` made of rotations by one step each counts as rotations of
    S, which is what a backend with hoisting would make of it. ``plain_products`` leaves out those with plaintexts that
    are zero whatever the weights. ``depth``: most products behind one ciphertext. ``rescales_by_level``: at the level
    they leave. ``ciphertexts_in`` and ``ciphertexts_out`` are what is sent; a result that is always zero is not.
    ``plaintexts``: those used.
    ``peak_ciphertexts``: alive at once, inputs and results included, give or take the two at hand; where a program
    writes the same value several times, up to half too many. ``masks``: random plaintexts added to results, so that the
    key holder reads nothing else in them; the graph does not have them. ``decompositions`` and ``mod_downs``: the parts
    of all key switches that compiled kernels execute, by the rule of ``slotlang.cost.key_switching``.
    """

    rotations: int
    conjugations: int
    key_switches: int
    galois_keys: int
    hoistable: int
    plain_products: int
    cipher_products: int
    relinearizations: int
    additions: int
    negations: int
    rescales: int
    rescales_by_level: dict[int, int]
    depth: int
    ciphertexts_in: int
    ciphertexts_out: int
    plaintexts: int
    peak_ciphertexts: int
    decompositions: int
    mod_downs: int
    masks: int = 0
    composed_steps: int = 0

    @property
    def switching_keys(self) -> int:
        """Key-switching keys that the server needs: the Galois keys, and one if ciphertexts are multiplied."""
        return self.galois_keys + (self.cipher_products > 0)

    def executed(self) -> dict[str, int]:
        """The counts that an evaluation keeps, zeros left out."""
        return {name: getattr(self, name) for name in EXECUTED if getattr(self, name)}

    def to_json(self) -> dict[str, object]:
        """Plain data: ``counts`` of every command's ``--json``."""
        return {**asdict(self), "rescales_by_level": {str(k): n for k, n in self.rescales_by_level.items()}}


def executed_to_json(executed: Mapping[str, int]) -> dict[str, int]:
    """What an evaluation has counted, as plain data: each of ``EXECUTED``, as ``Counts.to_json`` names it."""
    return {name: executed.get(name, 0) for name in EXECUTED}


def count(graph: Graph) -> Counts:
    """Counts of every operation in the graph."""
    kinds: Counter[str] = Counter()
    rescales: Counter[int] = Counter()
    operands: Counter[int] = Counter()
    plains = set()
    additions = negations = 0
    for number, node in enumerate(graph.nodes):
        kinds[node.kind] += 1
        match node.kind:
            case "rotate":
                operands[graph.bases.get(number, node.operands[0])] += 1
            case "sum":
                additions += len(node.operands) - 1
                # a sum that starts with a negative operand negates it first
                negations += node.signs[0] < 0
            case "rescale":
                rescales[graph.levels[number] - 1] += 1
            case "mul_plain" | "add_plain" | "plain":
                plains.add(node.plain)
    executed: Counter[str | None] = Counter()
    for kind, times in kinds.items():
        executed[KINDS[kind].counter] += times
    keys = {KINDS[kind].key for kind in kinds} - {None}
    switching = key_switching(graph)
    return Counts(
        rotations=executed["rotations"],
        conjugations=executed["conjugations"],
        key_switches=sum(times for kind, times in kinds.items() if KINDS[kind].key is not None),
        galois_keys=len(rotation_steps(graph)) + len(keys - {"step", "relinearization"}),
        hoistable=sum(n for n in operands.values() if n > 1),
        plain_products=executed["plain_products"],
        cipher_products=executed["cipher_products"],
        relinearizations=executed["relinearizations"],
        additions=additions + executed["additions"],
        negations=negations + executed["negations"],
        rescales=executed["rescales"],
        rescales_by_level=dict(sorted(rescales.items())),
        depth=graph.schedule.depth,
        ciphertexts_in=executed["ciphertexts_in"],
        ciphertexts_out=len({o.member for o in graph.outputs}),
        plaintexts=len(plains),
        peak_ciphertexts=_peak(graph),
        decompositions=switching.decompositions.total(),
        mod_downs=switching.mod_downs.total(),
        composed_steps=len(graph.schedule.routes),
    )


def rotation_steps(graph: Graph) -> tuple[int, ...]:
    """The steps that ciphertexts are rotated by, each of which has a Galois key, in order."""
    return tuple(sorted({node.step for node in graph.nodes if node.kind == "rotate"}))


def _peak(graph: Graph) -> int:
    """Most ciphertexts alive at once in the emitted program.

    It keeps a family until the last statement that reads it, or a member until another one takes its place, results
    until the end, and what it computes only once until the end too; anything else goes after its last use. Sums over a
    loop are added up as their terms come.
    """
    nodes = graph.nodes
    end = len(nodes)
    groups = graph.schedule.groups
    position = {family.name: n for n, group in enumerate(groups) for family in group.families}
    statement = [position[name] for name in graph.statement]
    ends_at = [0] * len(groups)
    for number, place in enumerate(statement):
        ends_at[place] = number
    for place in range(1, len(ends_at)):
        ends_at[place] = max(ends_at[place], ends_at[place - 1])

    dies: dict[int, int] = {}
    born = list(range(end))
    named = set(graph.values.values())
    for number, node in enumerate(nodes):
        for operand in node.operands:
            dies[operand] = number
        if node.kind == "sum" and number not in graph.at_once:
            # the running sum takes the place of terms made for it, when the second of them is there
            if not named.intersection(node.operands[:2]):
                born[number] = max(node.operands[:2])
            for operand, after in pairwise(node.operands):
                dies[operand] = max(operand, after)
    for number, until in graph.held.items():
        dies[number] = max(dies.get(number, 0), until)
    for number in graph.kept:
        dies[number] = end

    last_read = dict(position)
    for family in graph.schedule.ciphers:
        if family.body is not None:
            for name in ops.references(family.body):
                last_read[name] = position[family.name]
    results = {o.member[0] for o in graph.outputs}
    for member, number in graph.values.items():
        until = end if member[0] in results else graph.replaced.get(member, ends_at[last_read[member[0]]])
        dies[number] = max(dies.get(number, 0), until)

    changes: dict[int, int] = defaultdict(int)
    for number in range(end):
        # all inputs are there from the start
        changes[0 if nodes[number].kind == "cipher" else born[number]] += 1
        changes[dies.get(number, number) + 1] -= 1
    alive = peak = 0
    for moment in sorted(changes):
        alive += changes[moment]
        peak = max(peak, alive)
    return peak
