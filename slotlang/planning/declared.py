"""How large tensors, and products of them, can be within what a program bounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, prod, sqrt

from slotlang.cost.sizes import form_size
from slotlang.meaning.program import Program, TensorDecl
from slotlang.meaning.value import Chain, Factor, TensorForm
from slotlang.planning.limits import assumptions, limits
from slotlang.proof.field import pattern_mask
from slotlang_runtime.limits import Limit
from slotlang_runtime.magnitudes import OUTWARDS


@dataclass(frozen=True, slots=True)
class TensorSize:
    """Bounds on a tensor: on each |element|, on the Euclidean norm of each row (along its last dimension) and of each
    column (along its first), and on that of the ``whole``. Infinite where nothing is bounded."""

    entry: float
    row: float
    column: float
    whole: float

    @property
    def transposed(self) -> TensorSize:
        """The same of the transposed matrix."""
        return TensorSize(self.entry, self.column, self.row, self.whole)


def unbounded(program: Program) -> tuple[str, ...]:
    """The weights and scalars that the program does not bound: whether these fit is checked when they are encoded."""
    known = {name for name, _, _ in assumptions(program)}
    weights = [name for name, decl in program.tensors.items() if decl.kind == "weight"]
    return tuple(name for name in [*weights, *program.scalars] if name not in known)


def _weight_size(program: Program, decl: TensorDecl, bounds: Sequence[tuple[int | None, float]]) -> TensorSize:
    """``bounds``: limits of norms along a dimension, or of elements (None)."""
    mask, dimensions = pattern_mask(program, decl.name), len(decl.shape)
    rows, columns = decl.shape[0], decl.shape[-1]
    most = [decl.shape[axis] for axis in range(dimensions)]
    count = prod(decl.shape)
    if mask is not None:
        # how many elements of a line may be nonzero
        places = mask.reshape(decl.shape)
        most = [int(places.sum(axis=axis).max(initial=0)) for axis in range(dimensions)]
        count = int(mask.sum())
    entry = min((limit for _, limit in bounds), default=inf)
    norms = [
        min([entry * sqrt(most[axis]), *(limit for along, limit in bounds if along == axis)])
        for axis in range(dimensions)
    ]
    whole = entry * sqrt(count)
    if dimensions == 2:
        whole = min(whole, norms[1] * sqrt(rows), norms[0] * sqrt(columns))
    elif dimensions == 1:
        whole = norms[0]
    return TensorSize(entry, norms[-1], norms[0], whole)


@dataclass(frozen=True)
class Declared:
    """Bounds of all tensors and scalars of a program: its own, and the limits of its inputs. ``proved``: results are
    what the program says they are."""

    program: Program
    limits: Mapping[str, Limit]
    tensors: Mapping[str, TensorSize]
    scalars: Mapping[str, float]
    proved: bool = True

    @classmethod
    def of(cls, program: Program, *, proved: bool = True) -> Declared:
        """Bounds of everything in a program that bounds all weights and scalars."""
        inputs, known = limits(program), assumptions(program)
        tensors = {}
        for name, decl in program.tensors.items():
            if decl.kind == "input":
                rows, columns = decl.shape[0], prod(decl.shape[1:])
                limit = inputs[name].within(rows)
                whole = limit.norm * sqrt(columns)
                row = min(limit.largest * sqrt(decl.shape[-1]), whole)
                tensors[name] = TensorSize(limit.largest, row, limit.norm, whole)
            else:
                # weights may be this much larger when they are encoded
                own = [(axis, limit * OUTWARDS) for of, axis, limit in known if of == name]
                tensors[name] = _weight_size(program, decl, own)
        scalars = {
            name: min((limit * OUTWARDS for of, _, limit in known if of == name), default=inf)
            for name in program.scalars
        }
        return cls(program, inputs, tensors, scalars, proved)

    @property
    def entries(self) -> dict[str, float]:
        """Bounds of each |element| and each |scalar|, by name."""
        return {**{name: size.entry for name, size in self.tensors.items()}, **self.scalars}

    def _factor(self, factor: Factor) -> TensorSize:
        size = self.tensors[factor.tensor]
        return size.transposed if factor.transposed else size

    def _coefficient(self, chain: Chain) -> float:
        return abs(float(chain.coefficient)) * prod(self.scalars[name] for name in chain.scalars)

    def element(self, form: TensorForm) -> float:
        """A bound on |element| of a tensor expression: by elements, or by a row, whole matrices and a column."""
        total = 0.0
        for chain in form.chains:
            first, *others = (self._factor(factor) for factor in chain.factors)
            size = first.entry
            if others:
                size = first.row * prod(other.whole for other in others[:-1]) * others[-1].column
            by_elements = form_size(self.program, TensorForm((chain,), form.shape, form.text), self.entries)
            total += min(self._coefficient(chain) * size, by_elements)
        return total * OUTWARDS

    def result(self, form: TensorForm | None) -> float:
        """A bound on |element| of a result that is a sum of products which end with an input, as the runtime bounds it
        by the rows of its weights (``slotlang_runtime.ranges.result_sizes``); infinite for other results."""
        if form is None or not self.proved:
            return inf
        total = 0.0
        for chain in form.chains:
            *matrices, last = chain.factors
            if self.program.tensors[last.tensor].kind != "input" or last.transposed:
                return inf
            size = self._coefficient(chain) * self.tensors[last.tensor].column
            if matrices and self.program.tensors[matrices[0].tensor].kind == "weight":
                first, *matrices = matrices
                size *= self._factor(first).row
            total += size * prod(self.tensors[matrix.tensor].whole for matrix in matrices)
        return total * OUTWARDS
