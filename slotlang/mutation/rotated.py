"""Plaintexts that are rotated beforehand, for a rotation that comes after their product.

What is multiplied with a plaintext and then rotated to the left by ``a`` goes from slot h to slot ``h - a``. Where a
plaintext has row h in slot h, it needs row ``(h - a) % n`` there. The giant steps of a matrix product are so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import reduce
from typing import Any

from slotlang.mutation.edits import Edit, put
from slotlang.mutation.names import Names
from slotlang.syntax import tree
from slotlang.syntax.walk import names as names_in
from slotlang.syntax.walk import rebuilt, renamed

__all__ = ["rotated_edits"]

_Summands = list[tuple[bool, tree.Expr]]
"""Whether each summand is added; and the summand."""


def rotated_edits(definition: tree.Define, names: Names) -> Iterator[Edit]:
    """The plaintext's rows as they would be for each rotation of the program, its loop variable by the name of one of
    the plaintext's own."""
    used = names_in(definition.body)
    own = [binder.name for binder in definition.binders]
    for op, amount in names.shifts:
        for named in _over_own(amount, own, names):
            # rotations move all digits; only the outermost one takes nothing over from others
            for digit, *inner in names.systems:
                steps = _steps(named, [names.extents[d] for d in inner])
                if digit in used and steps is not None:
                    moved = _moved(definition.body, digit, names.extents[digit], op == ">>", steps)
                    yield put("rotation", definition.body, moved)


def _over_own(amount: tree.Expr, own: Sequence[str], names: Names) -> Iterator[tree.Expr]:
    """The amount of a rotation over the indices of a plaintext."""
    loops = sorted(names_in(amount) - set(names.sizes))
    if loops and set(loops) <= set(own):
        yield amount
    if len(loops) == 1:
        for other in own:
            if other != loops[0]:
                yield renamed(amount, {loops[0]: other})


def _steps(amount: tree.Expr, below: Sequence[tree.Expr]) -> tree.Expr | None:
    """How many steps of a digit an amount of slots is: the amount without its factors ``below``, the extents of the
    digits below that one. None where they are not factors of it."""
    factors = _factors(amount)
    for extent in below:
        if extent not in factors:
            return None
        factors.remove(extent)
    one: tree.Expr = tree.Number(Fraction(1), False, amount.span)
    return reduce(lambda a, b: tree.Binary("*", a, b, amount.span), factors) if factors else one


def _factors(e: tree.Expr) -> list[tree.Expr]:
    if isinstance(e, tree.Binary) and e.op == "*":
        return _factors(e.left) + _factors(e.right)
    return [e]


def _moved(node: Any, digit: str, extent: tree.Expr, add: bool, steps: tree.Expr) -> Any:
    """A tree with ``(digit - steps) % extent`` for the digit; ``add``: plus the steps."""
    match node:
        case tree.Name(name) if name == digit:
            return tree.Binary("%", tree.Binary("+" if add else "-", node, steps, node.span), extent, node.span)
        case tree.Binary("%", left, right) if right == extent and any(_is(e, digit) for _, e in _summands(left)):
            moved: _Summands = []
            for plus, e in _summands(left):
                if _is(e, digit):
                    moved.append((plus, e))
                    moved += [(plus == (add == more), step) for more, step in _summands(steps)]
                else:
                    moved.append((plus, _moved(e, digit, extent, add, steps)))
            return replace(node, left=_sum(_cancelled(moved), left))
        case _:
            return rebuilt(node, lambda part: _moved(part, digit, extent, add, steps))


def _is(e: tree.Expr, digit: str) -> bool:
    return isinstance(e, tree.Name) and e.name == digit


def _summands(e: tree.Expr, plus: bool = True) -> _Summands:
    match e:
        case tree.Binary("+" | "-" as op, left, right):
            return _summands(left, plus) + _summands(right, plus == (op == "+"))
        case tree.Unary("-", operand):
            return _summands(operand, not plus)
        case _:
            return [(plus, e)]


def _cancelled(summands: _Summands) -> _Summands:
    """Without pairs of which one is added and the other subtracted."""
    left: _Summands = []
    for plus, e in summands:
        if (not plus, e) in left:
            left.remove((not plus, e))
        else:
            left.append((plus, e))
    return left


def _sum(summands: _Summands, like: tree.Expr) -> tree.Expr:
    """The summands in their order, one that is added first."""
    first = next((entry for entry in summands if entry[0]), None)
    rest = list(summands)
    if first is None:
        zero = tree.Number(Fraction(0), False, like.span)
        result: tree.Expr = tree.Unary("-", rest.pop(0)[1], like.span) if rest else zero
    else:
        rest.remove(first)
        result = first[1]
    for plus, e in rest:
        result = tree.Binary("+" if plus else "-", result, e, like.span)
    return result
