"""Vectors of eight 64-bit lanes as values of numba, so that kernels read like scalar code and LLVM has nothing to
vectorise: it makes one register of them on AVX-512, and two on AVX2. Imports numba; only compilation does.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import numba
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, models, register_model

LANES = 8

DOUBLE, WORD, INDEX = ir.DoubleType(), ir.IntType(64), ir.IntType(32)
DOUBLES, WORDS = ir.VectorType(DOUBLE, LANES), ir.VectorType(WORD, LANES)
BACKWARDS = ir.Constant(ir.VectorType(INDEX, LANES), list(reversed(range(LANES))))
"""The order of lanes from the last one on."""

Build = Callable[..., Any]
"""Writes LLVM's instructions: ``build(builder, *values)``."""


class _Vector(types.Type):  # type: ignore[misc, unused-ignore]
    def __init__(self, name: str, vector: Any) -> None:
        super().__init__(name)
        self.vector = vector


def _model(manager: Any, kind: Any) -> Any:
    model: Any = models.PrimitiveModel
    return model(manager, kind, kind.vector)


register_model(_Vector)(_model)

T = TypeVar("T")

F: Any = _Vector("f64x8", DOUBLES)
U: Any = _Vector("u64x8", WORDS)
N: Any = types.intp
A: Any = types.uint64
"""An address, or a word."""
REAL: Any = types.float64

_compiled: Any = partial(numba.njit, no_cpython_wrapper=True, no_cfunc_wrapper=True, error_model="numpy")


def inlined(function: T) -> T:
    """A function that kernels call."""
    made: T = _compiled(function)
    return made


def kernel(arguments: int) -> Callable[[Any], Any]:
    """A kernel of so many words (addresses and numbers), compiled at once."""
    made: Callable[[Any], Any] = _compiled([types.void(*[A] * arguments)])
    return made


def split(arguments: int) -> Callable[[Any], Any]:
    """A kernel of so many words and of a part, which several threads do together: the function's last two arguments
    are the number of a part and how many there are. It is compiled with three words: where the others stand, and
    these two."""

    def read(b: Any, block: Any) -> Any:
        return [b.load(place(b, block, WORD(n), WORD)) for n in range(arguments)]

    tuples: Any = types.UniTuple
    words = operation(tuples(A, arguments), (A,), read)

    def made(function: Any) -> Any:
        body = inlined(function)

        def parted(block: Any, part: Any, parts: Any) -> None:
            body(*words(block), N(part), N(parts))

        parted.__name__ = function.__name__
        compiled = kernel(3)(parted)
        compiled.split = arguments
        return compiled

    return made


def operation(result: Any, arguments: Sequence[Any], build: Build) -> Any:
    """A function for kernels made of the instructions that ``build`` writes. Where it returns a list, the function
    returns a tuple."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        made = build(builder, *values)
        return context.make_tuple(builder, signature.return_type, made) if type(made) is list else made

    def typed(typing: Any, *given: Any) -> Any:
        return result(*arguments), generate

    # numba reads how many there are from the signature
    names = ["typing", *(f"a{n}" for n in range(len(arguments)))]
    positional = inspect.Parameter.POSITIONAL_OR_KEYWORD
    signature: Any = inspect.Signature([inspect.Parameter(name, positional) for name in names])
    typed.__signature__ = signature  # type: ignore[attr-defined]
    make: Any = intrinsic
    return make(typed)


def call(b: Any, name: str, result: Any, *values: Any) -> Any:
    """A call of one of LLVM's intrinsic functions."""
    kind = ir.FunctionType(result, [v.type for v in values])
    return b.call(b.module.declare_intrinsic(name, (), kind), values)


def high52(b: Any, total: Any, x: Any, y: Any) -> Any:
    """The high half of the product of the low 52 bits of x and y, added to a word: AVX-512 IFMA."""
    return call(b, "llvm.x86.avx512.vpmadd52h.uq.512", WORDS, total, x, y)


def low52(b: Any, total: Any, x: Any, y: Any) -> Any:
    """The low half of that product, added to a word."""
    return call(b, "llvm.x86.avx512.vpmadd52l.uq.512", WORDS, total, x, y)


def place(b: Any, address: Any, index: Any, kind: Any) -> Any:
    """A pointer to the word at an index from an address."""
    return b.inttoptr(b.add(address, b.shl(index, WORD(3))), ir.PointerType(kind))


def constant(kind: Any, value: float) -> Any:
    """The same number in all lanes."""
    return ir.Constant(ir.VectorType(kind, LANES), [value] * LANES)


def loaded(kind: Any) -> Build:
    """Read eight lanes, or one number."""
    return lambda b, address, index: b.load(place(b, address, index, kind), align=8)


def stored(b: Any, address: Any, index: Any, value: Any) -> Any:
    """Write lanes, or a number; returns 0."""
    b.store(value, place(b, address, index, value.type), align=8)
    return WORD(0)


def stored_back(b: Any, address: Any, index: Any, value: Any) -> Any:
    """Write lanes so that they end at an index, the first one last; returns 0."""
    return stored(b, address, b.sub(index, WORD(LANES - 1)), b.shuffle_vector(value, value, BACKWARDS))


def stored_first(b: Any, address: Any, index: Any, value: Any) -> Any:
    """Write the first lane; returns 0."""
    return stored(b, address, index, b.extract_element(value, INDEX(0)))


def without_first(kind: Any) -> Build:
    """Zero in the first lane."""
    return lambda b, x: b.insert_element(x, kind(0), INDEX(0))


def splat(b: Any, value: Any) -> Any:
    """A number in all lanes."""
    one = b.insert_element(ir.Constant(ir.VectorType(value.type, LANES), ir.Undefined), value, INDEX(0))
    return b.shuffle_vector(one, one, constant(INDEX, 0))


def moved(kind: Any, avx512: bool) -> Build:
    """Eight numbers at an index, in the order that lanes of ``order`` say. Without AVX-512 they are read one by one."""
    vector = ir.VectorType(kind, LANES)

    def build(b: Any, address: Any, index: Any, order: Any) -> Any:
        if avx512:
            value = b.load(place(b, address, index, vector), align=8)
            letter = "f" if kind is DOUBLE else "i"
            return call(b, f"llvm.x86.avx512.permvar.d{letter}.512", vector, value, order)
        out = ir.Constant(vector, ir.Undefined)
        for n in range(LANES):
            at = b.add(index, b.extract_element(order, INDEX(n)))
            out = b.insert_element(out, b.load(place(b, address, at, kind)), INDEX(n))
        return out

    return build


def prefetched(b: Any, address: Any, index: Any) -> Any:
    """Ask for a line of the cache that will be read; returns 0."""
    where = b.inttoptr(b.add(address, b.shl(index, WORD(3))), ir.PointerType())
    kind = ir.FunctionType(ir.VoidType(), [ir.PointerType(), INDEX, INDEX, INDEX])
    function = b.module.declare_intrinsic("llvm.prefetch.p0", (), kind)
    b.call(function, [where, INDEX(0), INDEX(3), INDEX(1)])
    return WORD(0)


def picked(lanes: Sequence[int]) -> Build:
    """These of the sixteen lanes of two vectors."""
    chosen = ir.Constant(ir.VectorType(INDEX, LANES), list(lanes))
    return lambda b, x, y: b.shuffle_vector(x, y, chosen)


PICKS = {
    "low4": [0, 1, 2, 3, 8, 9, 10, 11],
    "high4": [4, 5, 6, 7, 12, 13, 14, 15],
    "mixed0": [0, 8, 1, 9, 2, 10, 3, 11],
    "mixed1": [4, 12, 5, 13, 6, 14, 7, 15],
    "whole0": [0, 8, 4, 12, 1, 9, 5, 13],
    "whole1": [2, 10, 6, 14, 3, 11, 7, 15],
    "parted0": [0, 4, 8, 12, 2, 6, 10, 14],
    "parted1": [1, 5, 9, 13, 3, 7, 11, 15],
    "even": [0, 2, 4, 6, 8, 10, 12, 14],
    "odd": [1, 3, 5, 7, 9, 11, 13, 15],
}
"""Moves of lanes in the last three levels of a transform, by name."""

word: Any = operation(A, (A, N), loaded(WORD))
"""``word(address, index)``: the word there."""
ahead: Any = operation(N, (A, N), prefetched)
"""``ahead(address, index)``: ask for it."""


def four(vector: Any) -> Any:
    """The type of a tuple of four vectors."""
    tuples: Any = types.UniTuple
    return tuples(vector, 4)
