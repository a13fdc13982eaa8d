"""Stored numbers as float64: the dtypes of safetensors, and where a value is not finite."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from safetensors import deserialize

Array: TypeAlias = NDArray[np.float64]
Tensor: TypeAlias = Mapping[str, Any]
"""As safetensors gives it: ``dtype`` (its own name), ``shape`` (list of int), ``data`` (bytes)."""


class Hash(Protocol):
    """What of ``hashlib`` is fed."""

    def update(self, data: bytes, /) -> None:
        """Feed bytes."""


FLOATS: Final = {"F16": "float16", "F32": "float32", "F64": "float64", "BF16": "bfloat16"}
"""Dtypes that are read, by safetensors' names."""

_STORED: Final = {"F16": "<f2", "F32": "<f4", "F64": "<f8", "BF16": "<u2"}

SIZES: Final = {"F16": 2, "F32": 4, "F64": 8, "BF16": 2}
"""Their bytes."""

# the package gives it no types
parse_safetensors: Callable[[bytes], list[tuple[str, Tensor]]] = deserialize
"""The tensors of a safetensors file by name. Raises ``safetensors.SafetensorError``."""


def hash_arrays(digest: Hash, arrays: Mapping[str, Any]) -> None:
    """Feed names, shapes and values to a hash of ``hashlib``, in the order of the names."""
    for name in sorted(arrays):
        array = np.asarray(arrays[name], np.float64)
        digest.update(repr((name, array.shape)).encode())
        digest.update(array.astype("<f8").tobytes())


def tensor_values(tensor: Tensor) -> Array:
    """A tensor of a dtype in ``FLOATS`` as float64, in its shape."""
    flat: NDArray[Any] = np.frombuffer(tensor["data"], dtype=_STORED[tensor["dtype"]])
    if tensor["dtype"] == "BF16":
        # bfloat16 is the upper half of a float32; numpy has no such dtype
        flat = (flat.astype(np.uint32) << 16).view(np.float32)
    return as_float64(flat).reshape(tuple(tensor["shape"]))


def as_float64(flat: NDArray[Any]) -> Array:
    """Without the warnings of numpy about a signalling NaN, or a long double out of range: callers look for both."""
    with np.errstate(all="ignore"):
        return flat.astype(np.float64)


def first_not_finite(array: Array) -> str:
    """Where the first NaN or infinity is, or an empty string."""
    finite = np.isfinite(array)
    if finite.all():
        return ""
    place = np.argwhere(~finite)[0]
    value = array[tuple(place)]
    if len(place) == 2:
        return f"the first is {value}, in row {place[0]}, column {place[1]}"
    return f"the first is {value}, at [{', '.join(map(str, place))}]" if len(place) else f"it is {value}"
