"""Functions of integers: their values, as numbers and as arrays, and intervals that hold these.

Where a function has no value (a negative power, say) it is not looked at, for binding has shown so; but arrays hold
both branches of a choice, so every function gives something everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

LARGEST_POWER = 62
"""Largest exponent: 2 to it is the largest value of an integer expression."""

Range = tuple[int, int]


def _numbers(*values: Any) -> bool:
    return all(isinstance(v, int) for v in values)


def value(name: str, args: Sequence[Any]) -> Any:
    """The value of a function; arguments are ints or integer arrays that broadcast together."""
    if name == "log2":
        return int(args[0]).bit_length() - 1
    if name == "^":
        return args[0] ^ args[1]
    if _numbers(*args):
        if name == "**":
            return args[0] ** min(max(args[1], 0), LARGEST_POWER)
        return min(args) if name == "min" else max(args)
    import numpy as np

    if name == "**":
        return np.asarray(args[0], np.int64) ** np.clip(args[1], 0, LARGEST_POWER)
    function = np.minimum if name == "min" else np.maximum
    result = args[0]
    for arg in args[1:]:
        result = function(result, arg)
    return result


def chosen(truth: Any, yes: Any, no: Any) -> Any:
    """One of two values, or an array of them."""
    if isinstance(truth, bool):
        return yes if truth else no
    import numpy as np

    return np.where(truth, yes, no)


def interval(name: str, ranges: Sequence[Range]) -> Range:
    """An interval that holds the values of a function where it has one; exact when each range is one value."""
    match name:
        case "min":
            return min(low for low, _ in ranges), min(high for _, high in ranges)
        case "max":
            return max(low for low, _ in ranges), max(high for _, high in ranges)
        case "log2":
            low, high = (value("log2", [max(end, 1)]) for end in ranges[0])
            return low, high
        case "**":
            return _power(ranges[0], ranges[1])
        case _:
            return _exclusive_or(ranges[0], ranges[1])


def _power(base: Range, exponent: Range) -> Range:
    least, most = (min(max(end, 0), LARGEST_POWER) for end in exponent)
    # the largest powers of a negative base are at the last exponent of either parity
    exponents = {e for e in (least, least + 1, most - 1, most) if least <= e <= most}
    bases = {b for b in (base[0], base[1], 0) if base[0] <= b <= base[1]}
    values = [b**e for b, e in product(bases, exponents)]
    return min(values), max(values)


def _exclusive_or(a: Range, b: Range) -> Range:
    """The bits above those that vary are known."""
    (low, high), (low2, high2) = ((max(x, 0), max(y, 0)) for x, y in (a, b))
    vary = max((low ^ high).bit_length(), (low2 ^ high2).bit_length())
    known = (low >> vary ^ low2 >> vary) << vary
    return known, known + (1 << vary) - 1
