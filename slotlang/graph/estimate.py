"""How large a program's graph is, about, told by the program alone: neither a schedule nor the graph is made."""

from __future__ import annotations

from itertools import pairwise
from math import prod

from slotlang.meaning.integers import evaluate
from slotlang.meaning.program import Family, Program
from slotlang.meaning.value import Arith, Element, Permuted, SumOver, Value, children, leaves, nodes


def operations(program: Program) -> int:
    """Operations on ciphertexts, each member of a family counted as it is written."""
    return sum(f.size * _count(program, f.body) for f in program.families.values() if f.kind == "compute")


def permutations(program: Program) -> int:
    """Permutations of ciphertexts that a network has to be planned for."""
    found = set()
    for family in program.families.values():
        for node in nodes(family.body):
            if isinstance(node, Permuted) and program.encrypted(node):
                found.add((node.permutation, node.inverse))
    return len(found)


def elements(program: Program) -> int:
    """Elements of all tensors, and products of two that are added up where theorems, claims and definitions name
    elements of products of matrices."""
    values: list[Value] = [theorem.value for theorem in program.theorems.values()]
    values += [step.body if isinstance(step, Family) else step.value for step in program.steps]
    forms = {leaf.form for value in values for leaf in leaves(value) if isinstance(leaf, Element)}
    total = sum(prod(tensor.shape) for tensor in program.tensors.values())
    for chain in (chain for form in forms for chain in form.chains):
        shapes = [program.tensors[f.tensor].shape[:: -1 if f.transposed else 1] for f in chain.factors]
        # a vector is a column where it comes last, and a row before that
        sides = [1 if len(shape) == 1 and n < len(shapes) - 1 else shape[0] for n, shape in enumerate(shapes)]
        sides.append(shapes[-1][1] if len(shapes[-1]) == 2 else 1)
        # multiplied from one end or the other
        total += min(end * sum(a * b for a, b in pairwise(sides)) for end in (sides[0], sides[-1]))
    return total


def _count(program: Program, value: Value) -> int:
    if not program.encrypted(value):
        return 0
    inside = sum(_count(program, child) for child in children(value))
    match value:
        case SumOver(extent=extent, how=how, argument=radix):
            size = int(evaluate(extent, program.sizes, {}))
            if how == "doubling":
                return inside + 2 * min(size, ((radix or 2) - 1) * size.bit_length())
            return size * (inside + 1)
        case Permuted():
            # a network has some stages of two rotations and as many products
            return inside + 4 * program.slots.bit_length()
        case Arith():
            return inside + 1
        case _:
            return inside + len(children(value))
