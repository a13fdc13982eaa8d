"""Sums that leave a plaintext which no ciphertext hides.

In ``(X - X) + b`` and in ``(X + b) - X`` the ciphertexts cancel. What is left, and is not zero, would be sent as it is.
After a product or a rescale the runtime adds it to an input that is scaled down to less than noise. Before any product
an input has the scale of the result, so nothing can hide it, and the program is refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator
from typing import TypeAlias

from slotlang.diagnostics import SlotError, error
from slotlang.graph.graph import Graph, Node
from slotlang.schedule.ops import Schedule

Form: TypeAlias = "Counter[Hashable]"
"""How many times each thing is added."""

_PURE = ("cipher", "rotate", "conj", "sum", "neg", "add_plain")


def check_covered(graph: Graph) -> None:
    """Raise ``SlotError`` SL409 for the first value before any product that holds a plaintext and no ciphertext."""
    if all(n.kind not in ("add_plain", "plain") for n in graph.nodes):
        return
    for number in _uncovered(graph):
        raise _refused(graph, number)


def _uncovered(graph: Graph) -> Iterator[int]:
    # for each node before any product: its ciphertexts, and its plaintexts
    forms: dict[int, tuple[Form, Form]] = {}
    for number, node in enumerate(graph.nodes):
        if node.kind == "plain" and _fresh(graph.schedule, node):
            yield number
        elif node.kind in _PURE and all(operand in forms for operand in node.operands):
            ciphers, plains = forms[number] = _form(node, number, forms)
            # a sum of nothing is zero, and becomes a plaintext where one is added to it
            if plains and not ciphers:
                yield number


def _fresh(schedule: Schedule, node: Node) -> bool:
    assert node.plain is not None
    encoding = schedule.plains[node.plain[0]].encoding
    return encoding is not None and not encoding.level and not encoding.products


def _form(node: Node, number: int, forms: dict[int, tuple[Form, Form]]) -> tuple[Form, Form]:
    """What a value is the sum of, as far as residues are equal: a rotation of a sum is another ciphertext than the sum
    of the rotations."""
    if node.kind == "cipher":
        return Counter({number: 1}), Counter()
    signs = (-1,) if node.kind == "neg" else node.signs
    if node.kind in ("rotate", "conj"):
        ciphers, plains = forms[node.operands[0]]
        if not ciphers:
            return Counter(), plains.copy()
        # plaintexts in it move to other slots, so they stay a part of what is rotated
        inside = frozenset(ciphers.items()), frozenset(plains.items())
        return Counter({(node.kind, node.step, inside): 1}), Counter()
    totals: tuple[Form, Form] = (Counter(), Counter())
    for position, operand in enumerate(node.operands):
        sign = signs[position] if node.kind != "add_plain" else 1
        for total, part in zip(totals, forms[operand], strict=True):
            for thing, count in part.items():
                total[thing] += sign * count
    if node.kind == "add_plain":
        totals[1][node.plain] += signs[0]
    return _nonzero(totals[0]), _nonzero(totals[1])


def _nonzero(form: Form) -> Form:
    return Counter({thing: count for thing, count in form.items() if count})


def _refused(graph: Graph, number: int) -> SlotError:
    program = graph.schedule.program
    family = program.families.get(graph.statement[number])
    return error(
        "SL409",
        "the ciphertexts in this sum cancel, and what is left is a plaintext that nothing hides",
        program.span if family is None else family.span,
        hint="leave out what cancels, or compute this without ciphertexts: it does not depend on the inputs",
    )
