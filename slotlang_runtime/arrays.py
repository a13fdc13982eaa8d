"""Checks of arrays that come from elsewhere, and the indexing that emitted packing functions use."""

from __future__ import annotations

import base64
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt

from slotlang_runtime.errors import BAD_ARRAY, Rejected

EXACT_BITS = {1: 4, 2: 11, 4: 24, 8: 53}
"""Bits of the whole numbers that a float of as many bytes holds exactly. Bit patterns of floats are larger, but for
those of numbers that are as good as zero."""

BIT_PATTERNS_HINT = (
    "save floats as floats (in torch tensor.float().numpy()), and whole numbers that are meant as "
    "array.astype(numpy.float64)"
)


def beyond_exact(size: int, array: npt.NDArray[np.float64]) -> float:
    """The largest magnitude of integers of ``size`` bytes each, where it says that they are bit patterns of floats or
    quantized numbers; else 0."""
    largest = float(np.abs(array).max(initial=0.0))
    return largest if largest > 2 ** EXACT_BITS[size] else 0.0


def check_array(
    name: str, value: Any, shape: tuple[int, ...], limit: npt.NDArray[np.bool_] | None = None
) -> npt.NDArray[np.float64]:
    """A finite real array of the shape the program declares, as float64. ``limit``: where it may be nonzero."""
    if isinstance(value, np.ma.MaskedArray):
        # numpy would take what is behind the mask
        raise Rejected(f"{name} is a masked array: fill it, for example with zeros", BAD_ARRAY)
    try:
        array = np.asarray(value)
    except Exception as problem:  # objects convert themselves, and fail as they like
        raise Rejected(f"{name} is not an array: {problem}"[:300], BAD_ARRAY) from None
    if array.dtype.kind not in "fiu":
        raise Rejected(f"{name} must be real numbers, not {array.dtype}", BAD_ARRAY)
    if array.shape != shape:
        raise Rejected(f"{name} must have shape {shape}, not {array.shape}", BAD_ARRAY)
    kind = array.dtype
    with np.errstate(over="ignore", invalid="ignore"):
        # a long double can become infinity, which is refused below
        array = array.astype(np.float64)
    if kind.kind in "iu" and (largest := beyond_exact(kind.itemsize, array)):
        raise Rejected(
            f"{name} must be numbers; these are bit patterns or quantized: they are stored as {kind}, and the largest "
            f"is {largest:.0f}; {BIT_PATTERNS_HINT}",
            BAD_ARRAY,
        )
    if not np.isfinite(array).all():
        raise Rejected(f"{name} holds NaN or infinity", BAD_ARRAY)
    if limit is not None:
        bad = np.argwhere((array != 0) & ~limit)
        if bad.size:
            place = ", ".join(map(str, bad[0].tolist()))
            raise Rejected(f"{name}[{place}] is not zero, as its declared pattern says", BAD_ARRAY)
    return array


def element(array: npt.NDArray[Any], index: tuple[Any, ...]) -> npt.NDArray[Any]:
    """``array[index]`` for index arrays, and 0 where the index lies outside."""
    places = np.broadcast_arrays(*index)
    inside = np.logical_and.reduce([(i >= 0) & (i < n) for i, n in zip(places, array.shape, strict=True)])
    return np.where(inside, array[tuple(np.where(inside, i, 0) for i in places)], 0.0)


def table(text: str) -> npt.NDArray[np.int64]:
    """An array of slot numbers, from base 85 of compressed 32-bit integers."""
    return np.frombuffer(zlib.decompress(base64.b85decode(text)), "<i4").astype(np.int64)
