"""Products of tensor elements in one order: they commute, so that each has to be written one way only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice, pairwise, permutations

from slotlang.meaning.integers import And, Cmp, Cond, Int, Or
from slotlang.proof.terms import Term
from slotlang.refusals import GaveUp
from slotlang_runtime.amounts import count_of

MAX_ORDERS = 6
"""Orders of the elements of one tensor in a product, at most: those of three elements."""


def canonical(term: Term) -> list[Term]:
    """Monomials commute: reads in a fixed order, those of one tensor in ascending order of their indices.

    A term that reads a tensor several times becomes one term per order of those reads, cut by conditions.
    """
    by_tensor: dict[str, list[tuple[Int, ...]]] = {}
    for tensor, indices in sorted(term.reads, key=lambda r: r[0]):
        by_tensor.setdefault(tensor, []).append(indices)
    results = [replace(term, reads=())]
    for tensor, group in by_tensor.items():
        orders = _orders(group)
        if len(orders) > MAX_ORDERS:
            raise GaveUp(f"a product of {count_of(len(group), 'element')} of '{tensor}'")
        grown = []
        for partial in results:
            for order in orders:
                conds: list[Cond] = []
                for a, b in pairwise(order):
                    # ties keep the written order, so that every point falls into exactly one term
                    conds.append(_ascending(group[a], group[b], strict=a > b))
                grown.append(
                    replace(
                        partial,
                        reads=partial.reads + tuple((tensor, group[i]) for i in order),
                        conds=partial.conds + tuple(conds),
                    )
                )
        results = grown
    return results


def _orders(group: Sequence[tuple[Int, ...]]) -> list[tuple[int, ...]]:
    """Every order of some elements, by their positions; equal elements keep the written order. One more than
    ``MAX_ORDERS`` where there are more."""
    if len(set(group)) == 1:
        return [tuple(range(len(group)))]
    if len(group) > MAX_ORDERS:
        return [()] * (MAX_ORDERS + 1)
    every = permutations(range(len(group)))
    kept = (o for o in every if all(a < b or group[a] != group[b] for n, b in enumerate(o) for a in o[:n]))
    return list(islice(kept, MAX_ORDERS + 1))


def _ascending(a: tuple[Int, ...], b: tuple[Int, ...], strict: bool) -> Cond:
    """a < b (or <=) in lexicographic order."""
    if not a:
        return Or(()) if strict else And(())
    head, tail = Cmp("<", a[0], b[0]), _ascending(a[1:], b[1:], strict)
    return Or((head, And((Cmp("==", a[0], b[0]), tail))))
