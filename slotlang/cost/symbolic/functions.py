"""The functions that formulas name, with their definitions: sympy knows them by name, ``value`` computes them.

``value`` is exact and made of Python's integers: what a formula says at given sizes does not depend on what sympy would
make of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Literal

import sympy
from sympy.core.function import UndefinedFunction

from slotlang.cost.theorems import TwoProducts, baby_split
from slotlang.schedule import doubling

Expr = sympy.Expr


def _ones(n: int) -> int:
    return n.bit_count()


def _log(n: int) -> int:
    """The exponent of the largest power of two that is at most n."""
    return n.bit_length() - 1


def multiples(count: int, radix: int = doubling.RADIX) -> frozenset[int]:
    """The multiples of its step that doubling rotates by."""
    return frozenset(multiple for _, multiple in doubling.turns(count, radix))


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
        "doubling_additions": doubling.additions,
        "doubling_rotations": lambda count, radix: len(doubling.turns(count, radix)),
        "doubling_steps": lambda count, radix: len(multiples(count, radix)),
        "doubling_stages": lambda count, radix: len(doubling.stages(count, radix)),
        "doubling_mod_downs": doubling.mod_downs,
    }
)

DEFINITIONS: Mapping[str, str] = MappingProxyType(
    {
        "ones": "ones(n): ones in the binary form of n",
        "log2": "log2(n): the largest e with 2^e <= n. Doubling n terms takes log2(n) + ones(n) - 1 rotations, by "
        "log2(n) different steps",
        "steps": "steps(s, n): the log2(n) steps of doubling n terms by s: with n = 2^p * m, m odd, s * m * 2^i for "
        "i < p, and s * floor(m / 2^i) for 0 < i <= log2(m). steps(s, n, k): those of doubling(k)",
        "doubling_rotations": "doubling_rotations(n, k): rotations that doubling(k) takes for n terms: k - 1 a stage, "
        'where n is a power of k (docs/language.md, "Rotate-and-add")',
        "doubling_additions": "doubling_additions(n, k): the additions of the same",
        "doubling_steps": "doubling_steps(n, k): how many different steps these rotations have",
        "doubling_stages": "doubling_stages(n, k): the stages of the same, each a decomposition",
        "doubling_mod_downs": "doubling_mod_downs(n, k): the mod-downs of the same: one a stage, and one for each "
        "rotation that two stages add",
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


Doubled = Literal["doubling_additions", "doubling_rotations", "doubling_steps", "doubling_stages", "doubling_mod_downs"]


def of_doubling(what: Doubled, count: Any, radix: Any) -> Any:
    """A number of doubling ``count`` terms. For copies two at a time it is made of ones and logarithms."""
    if radix != doubling.RADIX:
        return function(what)(count, radix)
    log = function("log2")(count)
    return log if what == "doubling_steps" else log + function("ones")(count) - 1


def steps_of(step: Any, count: Any, radix: Any) -> Any:
    """The steps of doubling ``count`` terms by ``step``."""
    return function("steps")(step, count, *(() if radix == doubling.RADIX else (radix,)))


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
                found |= {m * numbers[0] % slots for m in multiples(*numbers[1:])}
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
