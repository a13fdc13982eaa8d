"""Comparisons of sizes as a reader wants them: terms collected, common factors left out, and none twice."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import sympy

from slotlang.cost.symbolic.functions import latex
from slotlang.cost.symbolic.sizes import Decisions
from slotlang.meaning.integers import Cmp, Int, IntConst, IntOp, IntSize

_LATEX = {">=": r"\ge", ">": ">", "==": "=", "!=": r"\ne", "divides": r"\mid", "does not divide": r"\nmid"}
_REMAINDERS: dict[tuple[str, Int], str] = {("==", IntConst(0)): "divides", (">=", IntConst(1)): "does not divide"}


@dataclass(frozen=True)
class Comparison:
    """``left op right`` in sizes; ``divides`` is such an ``op`` too."""

    left: Any
    op: str
    right: Any

    @property
    def text(self) -> str:
        """For a person."""
        return f"{self.left} {self.op} {self.right}"

    @property
    def latex(self) -> str:
        """The same in LaTeX."""
        return f"{latex(self.left)} {_LATEX[self.op]} {latex(self.right)}"


def simplified(conditions: Iterable[Cmp], decisions: Decisions) -> tuple[Comparison, ...]:
    """Comparisons that together say the same, for positive sizes."""
    least: dict[Any, Any] = {}
    others: list[Comparison] = []
    for cond in conditions:
        if isinstance(cond.left, IntOp) and cond.left.op == "%" and (cond.op, cond.right) in _REMAINDERS:
            op = _REMAINDERS[cond.op, cond.right]
            others.append(Comparison(decisions.expr(cond.left.right), op, decisions.expr(cond.left.left)))
            continue
        difference = sympy.expand(decisions.expr(cond.left) - decisions.expr(cond.right))
        if cond.op in ("==", "!="):
            comparison = _split(_primitive(difference, decisions), cond.op)
            if difference != 0 and comparison not in others:
                others.append(comparison)
            continue
        if cond.op in ("<", "<="):
            difference = -difference
        strict = cond.op in ("<", ">")
        if strict:
            # whole numbers: more than 0 is at least 1, after common factors are gone
            difference = _primitive(difference, decisions) - 1
        constant, rest = difference.as_coeff_Add()
        if rest != 0 and (rest not in least or constant < least[rest]):
            least[rest] = constant
    return (*others, *(_split(rest + constant, ">=") for rest, constant in least.items()))


def _primitive(e: Any, decisions: Decisions) -> Any:
    """An expression without the positive factors that all of its terms share."""
    terms = sympy.Add.make_args(e)
    shared = terms[0]
    for term in terms[1:]:
        shared = sympy.gcd(shared, term)
    number, rest = shared.as_coeff_Mul()
    factor = abs(number)
    for part in sympy.Mul.make_args(rest):
        base = part.as_base_exp()[0]
        if base.is_Symbol and decisions.all.always(Cmp(">=", IntSize(base.name), IntConst(1))):
            factor *= part
    return e if factor == 0 else sympy.expand(e / factor)


def _split(e: Any, op: str) -> Comparison:
    """``e op 0`` with every term on the side where it is positive."""
    left, right = sympy.Integer(0), sympy.Integer(0)
    for term in sympy.Add.make_args(e):
        if term.could_extract_minus_sign():
            right -= term
        else:
            left += term
    if left == 0 and op in ("==", "!="):
        left, right = right, left
    one = sympy.Integer(1)
    if op == ">=" and left.is_Integer is not True and not right.is_Integer and right.as_coeff_Add()[0] == one:
        return Comparison(left, ">", right - one)
    return Comparison(left, op, right)
