"""What operators and functions of the small language mean: Python's and numpy's own, on the values they are meant for.

Integers, numbers and index arrays are Python's and numpy's own too, so what they do is what they do when a module
runs: negative indices wrap, ``//`` rounds down, int64 overflows. What depends on the version of numpy, on the machine
or on rounding is left out: comparisons and ``//`` of floating-point numbers, integers above 2^62, sorting with equal
keys. A ``Vector`` or ``Tensor`` stands for numbers that are not known.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from slotlang.validation.language import MAX_BITS
from slotlang.validation.symbolic import Tensor, Unsupported, Vector, vector
from slotlang_runtime.amounts import count_of
from slotlang_runtime.arrays import element as numeric_element
from slotlang_runtime.arrays import table as numeric_table

MAX_ELEMENTS = 1 << 25
"""Of one array."""

MAX_READS = 1 << 26
"""Slots times terms of one vector of weights."""

_OPERATIONS: Mapping[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.MatMult: operator.matmul,
    ast.Pow: operator.pow,
    ast.BitXor: operator.xor,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}

_KINDS: Mapping[type[ast.AST], str] = {
    ast.Add: "biufcs",
    ast.Sub: "iufcs",
    ast.Mult: "biufcs",
    ast.Div: "iufcs",
    ast.FloorDiv: "i",
    ast.Mod: "i",
    ast.MatMult: "t",
    ast.Pow: "i",
    ast.BitXor: "i",
    ast.BitAnd: "b",
    ast.BitOr: "b",
}
"""Kinds of operands, as of numpy's types; ``s`` is a symbol, ``t`` a matrix of weights. Comparisons take ``i``."""


def kind(value: Any) -> str:
    """The kind of a number or an array, as numpy's types have it; ``s`` for symbols and an empty text for all else."""
    if type(value) in (bool, int, float, complex):
        return {bool: "b", int: "i", float: "f", complex: "c"}[type(value)]
    if isinstance(value, np.ndarray | np.generic):
        return value.dtype.kind if value.dtype.kind in "bifc" and value.dtype.itemsize in (1, 8, 16) else ""
    return "s" if isinstance(value, Vector | Tensor) else ""


def work(value: Any) -> int:
    """How long a value took to compute, in steps of an interpreter."""
    if isinstance(value, Vector):
        return value.size * len(value.terms) >> 8
    return value.size >> 8 if isinstance(value, np.ndarray) else 0


def is_int(value: Any) -> bool:
    """Whether a value is one integer of Python: neither a bool nor one of numpy's."""
    return type(value) is int


def described(value: Any) -> str:
    """A value's type in words, for messages."""
    if isinstance(value, Vector | Tensor):
        return "weights or inputs"
    if isinstance(value, np.ndarray | np.generic):
        return f"an array of {value.dtype}"
    return f"a {type(value).__name__}"


def binary(op: type[ast.AST], a: Any, b: Any) -> Any:
    """``a op b``. Raises ``Unsupported``, and what Python and numpy raise."""
    allowed = _KINDS.get(op, "i")
    kinds = kind(a), kind(b)
    if op is ast.MatMult:
        if not _is_matrix(a) or not _is_matrix(b):
            raise Unsupported(f"`@` of {described(a)} and {described(b)}")
    elif not all(k and k in allowed for k in kinds):
        raise Unsupported(f"an operator of {described(a)} and {described(b)}")
    if op is ast.Div and type(b) not in (int, float, complex):
        raise Unsupported(f"a division by {described(b)}")
    if op is ast.Pow and is_int(b) and not 0 <= b <= MAX_BITS:
        raise Unsupported(f"a power whose exponent is not between 0 and {MAX_BITS}")
    _check_size(a, b)
    if "s" in kinds:
        _check_terms(op, a, b)
    with np.errstate(all="ignore"):
        result = _OPERATIONS[op](a, b)
    return checked(result)


def negative(a: Any) -> Any:
    """``-a``."""
    if kind(a) not in ("i", "f", "c", "s"):
        raise Unsupported(f"the negative of {described(a)}")
    return checked(-a)


def checked(value: Any) -> Any:
    """The value, unless it is an integer that numpy's own integers do not hold, or a number that has no value."""
    if type(value) is int and value.bit_length() > MAX_BITS:
        raise Unsupported(f"an integer of more than {MAX_BITS} bits")
    return value


def transpose(a: Any) -> Any:
    """``a.T``."""
    if not _is_matrix(a) or len(a.shape) != 2:
        raise Unsupported(f"`.T` of {described(a)}")
    return a.T


def index(value: Any, places: Any) -> Any:
    """``value[places]`` for an array or weights, all axes indexed by integers or arrays of them."""
    parts = places if isinstance(places, tuple) else (places,)
    if len(parts) != len(value.shape):
        raise Unsupported(f"{count_of(len(parts), 'index')} into an array of {count_of(len(value.shape), 'axis')}")
    for part in parts:
        if kind(part) != "i":
            raise Unsupported(f"{described(part)} as an index")
    _check_size(*parts)
    return value[places]


def broadcast_to(value: Any, shape: Any) -> Any:
    """``np.broadcast_to``."""
    places = shape if isinstance(shape, tuple) else (shape,)
    if not all(map(is_int, places)) or math.prod(places) > MAX_ELEMENTS:
        raise Unsupported("a shape that is not integers, or too large")
    return _mapped(value, lambda array: np.broadcast_to(array, shape))


def roll(value: Any, shift: Any) -> Any:
    """``np.roll`` by an integer."""
    if not is_int(shift):
        raise Unsupported(f"`np.roll` by {described(shift)}")
    return _mapped(value, lambda array: np.roll(array, shift))


def conj(value: Any) -> Any:
    """``np.conj``."""
    if kind(value) == "s":
        return vector(value).conj()
    return np.conj(_number(value))


def argsort(value: Any) -> Any:
    """``np.argsort`` of a table without equal entries."""
    if not isinstance(value, np.ndarray) or value.ndim != 1 or value.dtype.kind != "i":
        raise Unsupported(f"`np.argsort` of {described(value)}")
    if len(np.unique(value)) != len(value):
        raise Unsupported("`np.argsort` of equal numbers, whose order is not defined")
    return np.argsort(value)


def ndindex(*sizes: Any) -> Any:
    """``np.ndindex`` of integers."""
    if not all(map(is_int, sizes)) or any(size > MAX_ELEMENTS for size in sizes):
        raise Unsupported("`np.ndindex` of something that is not integers, or too large")
    return np.ndindex(*sizes)


def arange(size: Any) -> Any:
    """``np.arange`` of an integer."""
    if not is_int(size) or size > MAX_ELEMENTS:
        raise Unsupported("`np.arange` of something that is not an integer, or too large")
    return np.arange(size)


def table(text: Any) -> Any:
    """``slotlang_runtime.table``."""
    if not isinstance(text, str):
        raise Unsupported(f"`table` of {described(text)}")
    return numeric_table(text)


def logical_not(value: Any) -> Any:
    """``np.logical_not`` of a condition."""
    if kind(value) != "b":
        raise Unsupported(f"`np.logical_not` of {described(value)}")
    return np.logical_not(value)


def minimum(a: Any, b: Any) -> Any:
    """``np.minimum`` of integers."""
    return _of_integers(np.minimum, a, b)


def maximum(a: Any, b: Any) -> Any:
    """``np.maximum`` of integers."""
    return _of_integers(np.maximum, a, b)


def where(condition: Any, yes: Any, no: Any) -> Any:
    """``np.where`` of integers, by a condition."""
    if kind(condition) != "b":
        raise Unsupported(f"`np.where` by {described(condition)}")
    _check_size(condition, yes, no)
    return _of_integers(lambda a, b: np.where(condition, a, b), yes, no)


def _of_integers(function: Callable[[Any, Any], Any], a: Any, b: Any) -> Any:
    for value in (a, b):
        if kind(value) != "i":
            raise Unsupported(f"{described(value)} where integers are expected")
    _check_size(a, b)
    return function(a, b)


def element(array: Any, places: Any) -> Any:
    """``slotlang_runtime.element``."""
    if isinstance(array, tuple):
        raise TypeError("element of a tuple, which has no shape")
    if not isinstance(places, tuple) or not all(kind(p) == "i" for p in places):
        raise Unsupported("`element` at something that is not a tuple of index arrays")
    if kind(array) not in ("f", "s") or not getattr(array, "shape", ()) or len(places) != len(array.shape):
        raise Unsupported(f"`element` of {described(array)} at {count_of(len(places), 'index')}")
    _check_size(*places)
    if not isinstance(array, Vector | Tensor):
        return numeric_element(array, places)
    spread = np.broadcast_arrays(*places)
    inside = np.logical_and.reduce([(i >= 0) & (i < n) for i, n in zip(spread, array.shape, strict=True)])
    return array[tuple(np.where(inside, i, 0) for i in spread)].scaled(inside)


def _is_matrix(value: Any) -> bool:
    """Whether a value is a tensor, or stands for one: at most two axes, at least one."""
    return (isinstance(value, Tensor) or (isinstance(value, np.ndarray) and value.dtype.kind == "f")) and len(
        value.shape
    ) in (1, 2)


def _number(value: Any) -> Any:
    if not kind(value):
        raise Unsupported(f"{described(value)} where a number or an array is expected")
    return value


def _mapped(value: Any, change: Callable[[Any], Any]) -> Any:
    return vector(value).map(change) if kind(value) == "s" else change(_number(value))


def _check_terms(op: type[ast.AST], a: Any, b: Any) -> None:
    """Raise Unsupported before a vector of more terms than ``MAX_READS`` says is made."""
    left, right = (len(v.terms) if isinstance(v, Vector) else 1 for v in (a, b))
    size = max((math.prod(getattr(v, "shape", ())) for v in (a, b) if not isinstance(v, Tensor)), default=1)
    terms = left * right if op is ast.Mult else left + right
    if terms * size > MAX_READS:
        raise Unsupported(f"a vector of {count_of(terms, 'term')}")


def _check_size(*values: Any) -> None:
    """Raise Unsupported before an array of more than ``MAX_ELEMENTS`` is made."""
    shapes = [tuple(getattr(value, "shape", ())) for value in values]
    longest = max(map(len, shapes))
    if longest > 2:
        raise Unsupported("an array of more than two axes")
    size = 1
    for axis in range(1, longest + 1):
        size *= max((shape[-axis] for shape in shapes if len(shape) >= axis), default=1)
    if size > MAX_ELEMENTS and not all(isinstance(v, Tensor) or not getattr(v, "shape", ()) for v in values):
        raise Unsupported(f"an array of {count_of(size, 'element')}")
