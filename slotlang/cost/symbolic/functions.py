"""The functions that formulas name, with their definitions: sympy knows them by name, ``value`` computes them.

``value`` is exact and made of Python's integers: what a formula says at given sizes does not depend on what sympy would
make of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import sympy
from sympy.core.function import UndefinedFunction

from slotlang.cost.theorems import TwoProducts, baby_split

Expr = sympy.Expr


def _ones(n: int) -> int:
    return n.bit_count()


def _log(n: int) -> int:
    """The exponent of the largest power of two that is at most n."""
    return n.bit_length() - 1


def multipliers(count: int) -> frozenset[int]:
    """The multiples of its step that doubling rotates by."""
    powers = (count & -count).bit_length() - 1
    odd = count >> powers
    return frozenset({odd << p for p in range(powers)} | {odd >> p for p in range(1, odd.bit_length())})


def _two_products(*values: int) -> int:
    return TwoProducts(*values).bound()


def _best_known(*values: int) -> int:
    return TwoProducts(*values).best_known() or 0


_VALUES: Mapping[str, Callable[..., int]] = MappingProxyType(
    {
        "ones": _ones,
        "log2": _log,
        "split": baby_split,
        "two_products": _two_products,
        "best_known": _best_known,
    }
)

DEFINITIONS: Mapping[str, str] = MappingProxyType(
    {
        "ones": "ones(n): ones in the binary form of n",
        "log2": "log2(n): the largest e with 2^e <= n. Doubling n terms takes log2(n) + ones(n) - 1 rotations, by "
        "log2(n) different steps",
        "steps": "steps(s, n): the log2(n) steps of doubling n terms by s: with n = 2^p * m, m odd, s * m * 2^i for "
        "i < p, and s * floor(m / 2^i) for 0 < i <= log2(m)",
        "range_steps": "range_steps(a, s, n): the n steps a, a + s, ..., a + (n - 1)*s",
        "numbers": "numbers(...): these numbers",
        "distinct": "distinct(...): how many different steps there are modulo slots in these sets, without 0",
        "split": "split(n, a, b): the best split of n into baby and giant steps: the least a*(k - 1) + b*(m - 1) with "
        "k*m >= n",
        "two_products": "two_products(inputs, outputs, d_in, d_out, rank, width, copies, parameters, parts_in, "
        "parts_out): the bound of the two-products theorem (docs/bounds.md)",
        "best_known": "best_known(...): the rotations of the best known structure for this packing (docs/bounds.md)",
        "clog2": "clog2(n): the least e with 2^e >= n",
    }
)
"""What formulas mean by their functions."""


def function(name: str) -> Any:
    """The function of a name as sympy has it, over the integers."""
    return UndefinedFunction(name, integer=True)


def named(expr: sympy.Basic) -> list[str]:
    """The names of the defined functions in an expression."""
    return sorted({str(f.func) for f in expr.atoms(sympy.core.function.AppliedUndef)} & DEFINITIONS.keys())


def value(expr: Any, sizes: Mapping[str, int]) -> int:
    """An expression at given sizes. Raises ``KeyError`` for a name that has no value."""
    result = _value(expr, sizes)
    if not isinstance(result, int):
        if result.denominator != 1:
            raise ValueError(f"{expr} is not an integer at {dict(sizes)}")
        result = int(result)
    return result


def _value(expr: Any, sizes: Mapping[str, int]) -> Any:
    from fractions import Fraction

    if expr.is_Integer:
        return int(expr)
    if expr.is_Rational:
        return Fraction(int(expr.p), int(expr.q))
    if expr.is_Symbol:
        return sizes[expr.name]
    name = str(expr.func) if isinstance(expr, sympy.core.function.AppliedUndef) else ""
    if name == "distinct":
        slots = value(expr.args[0], sizes)
        found: set[int] = set()
        for steps in expr.args[1:]:
            numbers = [value(a, sizes) for a in steps.args]
            if str(steps.func) == "steps":
                found |= {m * numbers[0] % slots for m in multipliers(numbers[1])}
            elif str(steps.func) == "numbers":
                found |= {n % slots for n in numbers}
            else:
                first, step, n = numbers
                found |= {(first + i * step) % slots for i in range(n)}
        return len(found - {0})
    values = [_value(a, sizes) for a in expr.args]
    if name == "clog2":
        return (int(values[0]) - 1).bit_length() if values[0] > 1 else 0
    if name:
        return _VALUES[name](*map(int, values))
    if expr.is_Add:
        return sum(values)
    if expr.is_Mul:
        product: Any = 1
        for v in values:
            product *= v
        return product
    if expr.is_Pow:
        base, power = values
        return base**power if power >= 0 else Fraction(1) / Fraction(base) ** -power
    match expr.func:
        case sympy.floor:
            return values[0] // 1
        case sympy.ceiling:
            return -(-values[0] // 1)
        case sympy.Mod:
            return values[0] % values[1]
        case sympy.Max:
            return max(values)
        case sympy.Min:
            return min(values)
    raise ValueError(f"no value of {expr}")


def latex(expr: Any) -> str:
    """An expression in LaTeX; names of several letters stand upright."""
    names = {s: rf"\mathrm{{{s.name.replace('_', chr(92) + '_')}}}" for s in expr.free_symbols if len(s.name) > 1}
    return str(sympy.latex(expr, symbol_names=names))
