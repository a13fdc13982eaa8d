"""Evaluation at points of prime fields in which -1 has a square root.

Tensors and scalars take field values; ``i`` is evaluated at both roots of -1, so that ``conj`` swaps the two
evaluations and the real part is half their sum. Several primes are evaluated side by side: a value is a
uint64 array (primes, roots, slots), with one root only where it is real.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import cache
from itertools import groupby, pairwise
from math import prod
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from slotlang.graph.ring import Slots
from slotlang.meaning.program import Program
from slotlang.meaning.value import Chain, TensorForm
from slotlang.refusals import GaveUp
from slotlang_runtime.amounts import count_of

Array: TypeAlias = npt.NDArray[np.uint64]

PRIMES = (2147483629, 2147483549, 2147483497, 2147483489)
"""The four largest primes below 2^31 that are 1 modulo 4."""
MAX_FORM_ELEMENTS = 1 << 26
_PIECE = 1 << 12
"""Elements that are worked out at once, where they are worked out one by one."""
SMALL_PRODUCT = 1 << 20
"""Multiplications of a matrix product below which waking BLAS's threads takes longer than the product."""
_ALL = slice(None)
MAX_VALUES = 1 << 30
"""Most elements of all tensors together, times primes."""


def _root_of_minus_one(p: int) -> int:
    for a in range(2, p):
        root = pow(a, (p - 1) // 4, p)
        if root * root % p == p - 1:
            return root
    raise ValueError(f"-1 has no square root modulo {p}")


"""The name under which ``proof.check`` still catches it."""


class Field:
    """The ring of simultaneous evaluations. ``tensors``: name to uint32 array (primes, elements)."""

    def __init__(
        self,
        program: Program,
        primes: Sequence[int],
        tensors: Mapping[str, npt.NDArray[np.uint32]],
        scalars: Mapping[str, npt.NDArray[np.uint64]],
    ) -> None:
        self.program = program
        self.primes = tuple(primes)
        self._runs = runs(self.primes)
        self.p: Array = np.array(primes, np.uint64)[:, None, None]
        roots = [_root_of_minus_one(p) for p in primes]
        self.i: Array = np.array([[r, p - r] for r, p in zip(roots, primes, strict=True)], np.uint64)[:, :, None]
        self.tensors = tensors
        self.scalars = scalars
        self._forms: dict[TensorForm, npt.NDArray[np.uint32]] = {}

    def number(self, value: Fraction) -> Array:
        """A rational in every field, shape (primes, 1, 1). Its denominator must not vanish."""
        return np.array([value.numerator * pow(value.denominator, -1, p) % p for p in self.primes], np.uint64)[
            :, None, None
        ]

    def const(self, re: Fraction, im: Fraction) -> Array:
        """``re + im*i``."""
        real = self.number(re)
        return real if not im else (real + self.number(im) * self.i) % self.p

    def scalar(self, name: str) -> Array:
        """Value of a scalar."""
        return self.scalars[name][:, None, None]

    def gather(self, tensor: str, flat: Slots) -> Array:
        """Elements of a tensor."""
        return _taken(self.tensors[tensor], flat)

    def element(self, form: TensorForm, flat: Slots) -> Array:
        """Elements of a tensor expression, which is multiplied out once."""
        return _taken(self.form(form), flat)

    def elements(self, form: TensorForm, flat: Slots) -> Array:
        """``element``, of which no others are multiplied out than these, or than those in the same rows and columns.
        Raises ``GaveUp``."""
        places = np.divmod(flat, form.shape[1]) if len(form.shape) == 2 else (flat, np.zeros_like(flat))
        (rows, row), (columns, column) = (np.unique(place, return_inverse=True) for place in places)
        if len(rows) * len(columns) > 2 * len(flat):
            parts = [self._apart(form, row, column) for row, column in zip(*map(_cut, places), strict=True)]
            return np.concatenate(parts, axis=-1)
        if len(rows) * len(columns) > MAX_FORM_ELEMENTS:
            raise GaveUp(f"{count_of(len(rows) * len(columns), 'element')} of {form.text}")
        total = np.zeros((len(self.primes), 1, len(flat)), np.uint64)
        for chain in form.chains:
            for run, p in self._runs:
                if self._across(form, chain):
                    total[run, 0] += self._product(chain, run, p, columns, rows)[:, column, row]
                else:
                    total[run, 0] += self._product(chain, run, p, rows, columns)[:, row, column]
        return self.reduced(total)

    def _apart(self, form: TensorForm, rows: Slots, columns: Slots) -> Array:
        """Elements one by one, by their rows and columns."""
        total = np.zeros((len(self.primes), 1, len(rows)), np.uint64)
        for chain in form.chains:
            first, last = (columns, rows) if self._across(form, chain) else (rows, columns)
            for run, p in self._runs:
                factor, parts = self._parts(chain, run, p)
                if len(parts) == 1:
                    value = parts[0][:, first, last].astype(np.uint64)
                else:
                    value = parts[0][:, first].astype(np.uint64)
                    for part in parts[1:-1]:
                        value = matmul(value, part.astype(np.uint64), p)
                    value *= parts[-1][:, :, last].astype(np.uint64).swapaxes(1, 2)
                    value = modulo(modulo(value, p).sum(axis=-1), p)
                total[run, 0] += modulo(value * factor[:, None], p)
        return self.reduced(total)

    def _across(self, form: TensorForm, chain: Chain) -> bool:
        """Whether a product is a vector that lies."""
        lies = len(form.shape) == 1 and len(self.program.tensors[chain.factors[0].tensor].shape) == 1
        return lies and len(chain.factors) > 1

    def reduced(self, a: Array) -> Array:
        """Numbers of any size modulo the primes; ``a`` is overwritten."""
        for rows, p in self._runs:
            modulo(a[rows], p)
        return a

    def add(self, a: Array, b: Array) -> Array:
        """a + b."""
        return _below_twice(a + b, self.p)

    def sub(self, a: Array, b: Array) -> Array:
        """a - b."""
        return _below_twice(a + (self.p - b), self.p)

    def mul(self, a: Array, b: Array) -> Array:
        """a * b; both below 2^31."""
        return self.reduced(a * b)

    def conj(self, a: Array) -> Array:
        """The other root."""
        return a[:, ::-1, :]

    def masked(self, a: Array, mask: npt.NDArray[np.bool_]) -> Array:
        """``a`` where the mask holds."""
        return a * mask.astype(np.uint64)

    def part(self, a: Array, part: str | None) -> Array:
        """What an output reads of a value: (primes, 1, slots) for re and im."""
        if part is None or (part == "re" and a.shape[1] == 1):
            return a
        if a.shape[1] == 1:
            return np.zeros_like(a)
        half = self.number(Fraction(1, 2))
        if part == "re":
            return (a[:, :1] + a[:, 1:]) % self.p * half % self.p
        difference = (a[:, :1] + (self.p - a[:, 1:])) % self.p
        inverse = np.array([pow(int(r), -1, p) for r, p in zip(self.i[:, 0, 0], self.primes, strict=True)], np.uint64)[
            :, None, None
        ]
        return difference * half % self.p * inverse % self.p

    def form(self, form: TensorForm) -> npt.NDArray[np.uint32]:
        """All elements of a tensor expression, (primes, elements)."""
        values = self._forms.get(form)
        if values is None:
            if prod(form.shape) * len(self.primes) > MAX_FORM_ELEMENTS * 4:
                raise GaveUp(f"{form.text} has {' x '.join(map(str, form.shape))} elements")
            values = np.concatenate([self._form_at(form, rows, p) for rows, p in self._runs])
            self._forms[form] = values
        return values

    def _form_at(self, form: TensorForm, run: slice, p: int) -> npt.NDArray[np.uint32]:
        total: Any = 0
        for chain in form.chains:
            product = self._product(chain, run, p)
            total = modulo(total + product.reshape(len(product), -1), p)
        return np.asarray(total, np.uint32)

    def _product(
        self, chain: Chain, run: slice, p: int, rows: Slots | slice = _ALL, columns: Slots | slice = _ALL
    ) -> Array:
        """Some rows and columns of a product of matrices, at a run of points of one prime."""
        factor, parts = self._parts(chain, run, p)
        parts[0] = parts[0][:, rows]
        parts[-1] = parts[-1][:, :, columns]
        product = _chain_product([part.astype(np.uint64) for part in parts], p)
        return modulo(product * factor[:, None, None], p)

    def _parts(self, chain: Chain, run: slice, p: int) -> tuple[Array, list[npt.NDArray[np.uint32]]]:
        """The number before a product and its matrices, at a run of points of one prime. A vector is a column where it
        comes last, and a row before that."""
        factor: Array = np.full(
            1, chain.coefficient.numerator * pow(chain.coefficient.denominator, -1, p) % p, np.uint64
        )
        for name in chain.scalars:
            factor = modulo(factor * self.scalars[name][run].astype(np.uint64), p)
        parts = []
        for f in chain.factors:
            shape = self.program.tensors[f.tensor].shape
            array = self.tensors[f.tensor][run].reshape(-1, *shape)
            if len(shape) == 1:
                array = array[:, :, None] if f is chain.factors[-1] else array[:, None, :]
            parts.append(array.swapaxes(1, 2) if f.transposed else array)
        return factor, parts


def _cut(places: Slots) -> list[Slots]:
    """Pieces of places, so that what is worked out for them fits the caches."""
    return np.split(places, range(_PIECE, len(places), _PIECE))


def runs(primes: Sequence[int]) -> list[tuple[slice, int]]:
    """Where equal primes stand side by side, and which."""
    found = []
    for p, places in groupby(range(len(primes)), lambda n: primes[n]):
        every = list(places)
        found.append((slice(every[0], every[-1] + 1), p))
    return found


@cache
def _unsigned(p: int) -> Array:
    # numpy starts sooner on an array than on a number, which it makes an array first
    return np.array(p, np.uint64)


def modulo(a: Array, p: int) -> Array:
    """``a`` modulo p, in place. numpy divides by one number some ten times faster than it takes remainders or divides
    by several."""
    divisor = _unsigned(p)
    quotient = a // divisor
    quotient *= divisor
    a -= quotient
    return a


def _taken(rows: npt.NDArray[np.uint32], flat: Slots) -> Array:
    """Elements of (primes, elements) at flat positions, (primes, 1, positions)."""
    if flat.size and int(flat.view(np.uint64).max()) >= rows.shape[1]:
        raise IndexError(f"positions {flat.min()} to {flat.max()} of {rows.shape[1]}")
    # without a test of its own, "clip" is several times faster
    return rows.take(flat, axis=1, mode="clip").astype(np.uint64)[:, None, :]


def _below_twice(a: Array, p: Array) -> Array:
    """``a`` modulo p for values below 2p: below p the difference wraps around and is the larger one."""
    reduced: Array = np.minimum(a, a - p)
    return reduced


def _chain_product(parts: list[Array], p: int) -> Array:
    """Product of stacks of matrices, cheapest neighbours first."""
    parts = list(parts)
    while len(parts) > 1:
        costs = [a.shape[-2] * a.shape[-1] * b.shape[-1] for a, b in pairwise(parts)]
        k = int(np.argmin(costs))
        parts[k : k + 2] = [matmul(parts[k], parts[k + 1], p)]
    return parts[0]


def matmul(a: Array, b: Array, p: int) -> Array:
    """Exact product, of matrices or stacks of them, modulo p < 2^31: 16-bit halves multiplied in doubles, exact below
    2^53."""
    mask = np.uint64(0xFFFF)
    halves = np.uint64(16)
    inner = a.shape[-1]
    if a.shape[-2] * inner * b.shape[-1] <= SMALL_PRODUCT and inner <= 1 << 16:
        # as integers: sums of 2^16 products of 31 and 16 bits fit 63 bits
        high = modulo(a @ (b >> halves), p)
        low: Array = a @ (b & mask)
        return modulo((high << halves) + low, p)
    result: Array = np.zeros(1, np.uint64)
    for start in range(0, inner, 1 << 20):
        x, y = a[..., start : start + (1 << 20)], b[..., start : start + (1 << 20), :]
        xl, xh = (x & mask).astype(np.float64), (x >> halves).astype(np.float64)
        yl, yh = (y & mask).astype(np.float64), (y >> halves).astype(np.float64)
        for u, v, scale in ((xl, yl, 1), (xl, yh, 1 << 16), (xh, yl, 1 << 16), (xh, yh, 1 << 32)):
            part = modulo((u @ v).astype(np.uint64), p)
            result = modulo(result + part * np.uint64(scale % p), p)
    return result


def pattern_mask(program: Program, name: str) -> npt.NDArray[np.bool_] | None:
    """Where a weight may be nonzero by its declared zero pattern, flat; None when nothing is declared."""
    from slotlang.meaning.integers import holds

    decl = program.tensors[name]
    if decl.pattern is None:
        return None
    grids = np.meshgrid(*(np.arange(s) for s in decl.shape), indexing="ij", sparse=True)
    truth = holds(decl.pattern, program.sizes, dict(zip(decl.indices, grids, strict=True)))
    return np.broadcast_to(np.asarray(truth, bool), decl.shape).reshape(-1)


def require_room(program: Program, primes: Sequence[int]) -> None:
    """Raises ``GaveUp`` when a value for every element of every tensor would not fit in memory."""
    total = sum(prod(t.shape) for t in program.tensors.values())
    if total * len(primes) > MAX_VALUES:
        raise GaveUp(f"the tensors have {count_of(total, 'element')}")


def random_field(program: Program, primes: Sequence[int], seed: int) -> Field:
    """A field with independent uniform values for every tensor element and scalar. Raises ``GaveUp``."""
    require_room(program, primes)
    rng = np.random.default_rng(seed)
    tensors = {}
    for name, decl in program.tensors.items():
        mask = pattern_mask(program, name)
        rows = []
        for p in primes:
            row = rng.integers(0, p, prod(decl.shape), dtype=np.uint32)
            rows.append(row if mask is None else row * mask)
        tensors[name] = np.stack(rows)
    scalars = {name: np.array([rng.integers(0, p) for p in primes], np.uint64) for name in program.scalars}
    return Field(program, primes, tensors, scalars)
