"""The three parts of a key switch, and how often an evaluation takes each.

A rotation, a conjugation and a relinearisation each switch keys, in three parts:

- *decomposition*: the polynomial that is switched is cut into digits, by inverse and forward transforms;
- *key products*: the digits times the key, in the basis with the special prime;
- *mod-down*: the division by the special prime.

Compiled kernels take the parts apart, and do the first and the last as seldom as they can:

- A ciphertext is decomposed once, however many rotations and conjugations there are of it.
- The result of a key switch is *pending*: its products are not divided yet. A pending ciphertext that is added to
  others, with a plus sign, makes a pending sum: the products of all are added up, and so are the other ciphertexts.
- Any other use *settles* a pending ciphertext, by one mod-down for all that was added up: a product, another key
  switch, a rescale, a negation, a sum with a plaintext, a mask, that it is subtracted, that it is returned. Its value
  is kept and used from then on.
- A pending ciphertext that is added a second time is settled by that, so that no products are added up twice.

So there are as many key products as key switches, as many decompositions as different ciphertexts that are switched,
and as many mod-downs as pending ciphertexts that are settled. SEAL's operations do all three parts in every key switch.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from slotlang.graph.graph import Graph
from slotlang.graph.kinds import KINDS


@dataclass(frozen=True, slots=True)
class KeySwitching:
    """How often each part is done, by level."""

    decompositions: Counter[int]
    key_products: Counter[int]
    mod_downs: Counter[int]


def key_switching(graph: Graph) -> KeySwitching:
    """The parts of all key switches of an evaluation, by the rule above, in the order of the graph."""
    return _Parts(graph).found


class _Parts:
    def __init__(self, graph: Graph) -> None:
        self.levels = graph.levels
        self.found = KeySwitching(Counter(), Counter(), Counter())
        # pending ciphertexts, and whether another sum holds them already
        self.pending: dict[int, bool] = {}
        sources: set[int] = set()
        for number, node in enumerate(graph.nodes):
            if node.kind == "sum":
                signed = zip(node.operands, node.signs, strict=True)
                # each is used, also where the first makes the sum pending
                pending = [self._added(n) if sign > 0 else self._settled(n) for n, sign in signed]
                if any(pending):
                    self.pending[number] = False
                continue
            for operand in node.operands:
                self._settled(operand)
            if KINDS[node.kind].key is not None:
                sources.update(node.operands)
                self.found.key_products[graph.levels[number]] += 1
                self.pending[number] = False
        for output in graph.outputs:
            self._settled(output.node)
        self.found.decompositions.update(graph.levels[number] for number in sources)

    def _added(self, number: int) -> bool:
        """Add a ciphertext to a sum, and whether that is pending by it."""
        held = self.pending.get(number)
        if held:
            return self._settled(number)
        if held is not None:
            self.pending[number] = True
        return held is not None

    def _settled(self, number: int) -> bool:
        if self.pending.pop(number, None) is not None:
            self.found.mod_downs[self.levels[number]] += 1
        return False
