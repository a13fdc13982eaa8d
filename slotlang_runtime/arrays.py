"""Checks of arrays that come from elsewhere, and the indexing that emitted packing functions use."""

from __future__ import annotations

import base64
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt

from slotlang_runtime.errors import Rejected


def check_array(
    name: str, value: Any, shape: tuple[int, ...], limit: npt.NDArray[np.bool_] | None = None
) -> npt.NDArray[np.float64]:
    """A finite real array of the shape the program declares, as float64. ``limit``: where it may be nonzero."""
    if isinstance(value, np.ma.MaskedArray):
        # numpy would take what is behind the mask
        raise Rejected(f"{name} is a masked array: fill it, for example with zeros")
    try:
        array = np.asarray(value)
    except (ValueError, TypeError) as problem:
        raise Rejected(f"{name} is not an array: {problem}") from None
    if array.dtype.kind not in "fiu":
        raise Rejected(f"{name} must be real numbers, not {array.dtype}")
    if array.shape != shape:
        raise Rejected(f"{name} must have shape {shape}, not {array.shape}")
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        raise Rejected(f"{name} holds NaN or infinity")
    if limit is not None:
        bad = np.argwhere((array != 0) & ~limit)
        if bad.size:
            place = ", ".join(map(str, bad[0].tolist()))
            raise Rejected(f"{name}[{place}] is not zero, as its declared pattern says")
    return array


def element(array: npt.NDArray[Any], index: tuple[Any, ...]) -> npt.NDArray[Any]:
    """``array[index]`` for index arrays, and 0 where the index lies outside."""
    places = np.broadcast_arrays(*index)
    inside = np.logical_and.reduce([(i >= 0) & (i < n) for i, n in zip(places, array.shape, strict=True)])
    return np.where(inside, array[tuple(np.where(inside, i, 0) for i in places)], 0.0)


def table(text: str) -> npt.NDArray[np.int64]:
    """An array of slot numbers, from base 85 of compressed 32-bit integers."""
    return np.frombuffer(zlib.decompress(base64.b85decode(text)), "<i4").astype(np.int64)
