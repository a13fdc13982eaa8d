"""Given weights for the programs of a search: those of a part of the program stand for all."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from math import sqrt

import numpy as np
import numpy.typing as npt

from slotlang.cost.data import UNIT, DataPowers
from slotlang.search.structure import Shape
from slotlang_runtime.magnitudes import row_norms

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class GivenWeights:
    """``name`` of a module, with ``up`` (d_out x rank), ``down`` (rank x d_in) and the ``scale`` of its update."""

    name: str
    up: Floats = field(repr=False)
    down: Floats = field(repr=False)
    scale: float

    @cached_property
    def mean_square(self) -> float:
        """Of the elements of ``y`` for inputs of unit variance."""
        return float(self.scale**2 * np.mean(row_norms([self.up, self.down]) ** 2))

    def of(self, shape: Shape) -> DataPowers:
        """The data of a program of this shape, which may be a part: with some of the rows and columns, as large in sums
        over them as all are, and a result as large as that of all."""
        up, down = self.up, self.down
        if (up.shape[0], up.shape[1], down.shape[1]) != (shape.d_out, shape.rank, shape.d_in):
            ranks = _some(up.shape[1], shape.rank)
            up = up[np.ix_(_some(up.shape[0], shape.d_out), ranks)]
            down = down[np.ix_(ranks, _some(down.shape[1], shape.d_in))]
            up = up * _ratio((self.up**2).sum() / len(self.up), (up**2).sum() / len(up))
            down = down * _ratio((self.down**2).sum() / len(self.down), (down**2).sum() / len(down))
        return DataPowers({"A": up, "B": down, "scale": np.array(self.scale)}, signals={"y": self.mean_square})


def data_of(weights: GivenWeights | None, shape: Shape) -> DataPowers:
    """What is known of the data of a program of this shape."""
    return UNIT if weights is None else weights.of(shape)


def _some(count: int, wanted: int) -> npt.NDArray[np.int64]:
    """This many numbers below ``count``, evenly spread."""
    return np.arange(wanted) * count // wanted


def _ratio(whole: float, part: float) -> float:
    return sqrt(whole / part) if part else 1.0
