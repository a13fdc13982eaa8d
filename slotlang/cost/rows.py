"""The most memory that an evaluation by compiled kernels holds at once, in rows: residues modulo one prime.

A ciphertext of k primes takes 2k rows, 3k before it is relinearised. Once its keys are switched it holds its digits,
k(k + 1) rows, as long as it is there. A pending sum (``slotlang.cost.key_switching``) holds what it was made of until
it is settled, and takes rows of its own only then. Rows are used again for as many rows only, so the peaks of different
numbers add up.
"""

from __future__ import annotations

from collections import Counter, defaultdict

from slotlang.graph.graph import Graph
from slotlang.graph.kinds import KINDS


def peak_rows(graph: Graph, data_primes: int) -> int:
    """Rows at the peak, those of inputs and results and what a settling needs meanwhile included."""
    nodes, levels = graph.nodes, graph.levels
    never, switched = len(nodes), set[int]()
    pending: list[bool] = []
    settling: dict[int, int] = {}
    added: dict[int, list[int]] = defaultdict(list)
    for number, node in enumerate(nodes):
        adds = [node.kind == "sum" and sign > 0 for sign in node.signs or (1,) * len(node.operands)]
        joined = False
        for operand, sign in zip(node.operands, adds, strict=True):
            if sign and pending[operand] and not added[operand]:
                joined = True
            else:
                settling.setdefault(operand, number)
            if sign:
                added[operand].append(number)
        key = KINDS[node.kind].key is not None
        pending.append(joined or key)
        switched.update(node.operands if key else ())
    for output in graph.outputs:
        settling.setdefault(output.node, never)
    # until when a node's own rows are held, from the last one on
    ends = [0] * never
    for output in graph.outputs:
        ends[output.node] = never
    changes: dict[int, Counter[int]] = defaultdict(Counter)
    for number in reversed(range(never)):
        node, primes = nodes[number], data_primes - levels[number]
        made = settling.get(number, never) if pending[number] else number
        until = max([number, *(ends[n] for n in added[number])])
        if pending[number]:
            # what it was made of
            held = max(until, settling.get(number, 0))
        else:
            held = number
        for operand in node.operands:
            ends[operand] = max(ends[operand], held)
        sizes = [(3 if number in graph.open else 2) * primes]
        if number in switched:
            sizes.append(primes * (primes + 1))
        if pending[number] and number not in settling:
            # only part of sums: these hold what it was made of
            ends[number] = max(ends[number], held)
            continue
        changes[made].update(sizes)
        changes[max(made, ends[number]) + 1].subtract(sizes)
    alive, most = Counter[int](), Counter[int]()
    for number in sorted(changes):
        alive.update(changes[number])
        most |= alive
    return sum(size * times for size, times in most.items()) + 2 * data_primes + 5
