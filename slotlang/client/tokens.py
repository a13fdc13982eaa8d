"""Arrays of any number of tokens as the batches that a program takes, and back: padding, splitting and order."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from slotlang_runtime.amounts import count_of
from slotlang_runtime.arrays import check_array
from slotlang_runtime.errors import BAD_ARRAY, Rejected

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Tokens:
    """Tokens x columns, in double precision, and what they were given as: the shape before the columns, and the array
    whose kind results shall have."""

    rows: Array = field(repr=False)
    shape: tuple[int, ...]
    like: Any

    @classmethod
    def of(cls, x: Any, columns: int, what: str) -> Tokens:
        """From an array of NumPy or torch, or nested lists: the last axis holds the columns, all before it are tokens.
        Raises Rejected for anything but finite real numbers of this many columns."""
        array = numpy_of(x)
        if array.ndim == 0 or array.shape[-1] != columns:
            raise Rejected(
                f"{what} takes tokens of {count_of(columns, 'column')}, and x has the shape {array.shape}",
                BAD_ARRAY,
                "the last axis of x holds the columns of a token, all before it are tokens",
            )
        rows = np.ascontiguousarray(check_array("x", array, array.shape)).reshape(-1, columns)
        return cls(rows, array.shape[:-1], x if _is_torch(x) else array)

    def batches(self, size: int) -> list[Array]:
        """Columns x ``size`` each; the last one is padded with zeros."""
        found = []
        for start in range(0, len(self.rows), size):
            batch = np.zeros((self.rows.shape[1], size))
            part = self.rows[start : start + size]
            batch[:, : len(part)] = part.T
            found.append(batch)
        return found

    def joined(self, parts: list[Array], rows: int) -> Any:
        """Results of all batches, each rows x size, as tokens were given: the same axes, kind and precision."""
        whole = np.concatenate([part.T for part in parts]) if parts else np.zeros((0, rows))
        values = whole[: len(self.rows)].reshape(*self.shape, rows)
        if _is_torch(self.like):
            import torch

            return torch.from_numpy(values).to(device=self.like.device, dtype=self.like.dtype)
        return values.astype(self.like.dtype if self.like.dtype.kind == "f" else np.float64)


def numpy_of(x: Any) -> npt.NDArray[Any]:
    """An array of NumPy, as it is; of torch or nested lists as one of NumPy."""
    # a masked array stays one, and is refused where values are checked
    return np.asanyarray(x.detach().cpu().double().numpy() if _is_torch(x) else x)


def _is_torch(x: Any) -> bool:
    return type(x).__module__.split(".")[0] == "torch" and hasattr(x, "detach")
