"""Activations from files: rows of tokens as ``.npy``, ``.npz`` or safetensors."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from slotlang.adapter.messages import size_text
from slotlang.adapter.values import Array
from slotlang.diagnostics import error
from slotlang.run.array_files import array_shape, read_array


def read_activations(path: Path, features: int, tokens: int | None, name: str = "") -> Array:
    """Activations from a file, as float64 of shape (features x tokens): a column is a token.

    The file holds them the way numpy and transformers users store them, **a row per token**: shape
    (tokens x features), or (features,) for a single token. A square array is read as rows of tokens too.
    A ``.npz`` or safetensors file holds one array, or one called ``name`` as the program's input. ``tokens`` is the
    number of tokens required, or None for as many as there are.

    Raises SL505 when the file can't be read or has another format, when it holds something other than finite
    real numbers or bit patterns in the place of numbers, or when its shape is not as above.
    """
    fail = partial(error, "SL505", file=str(path))
    stored = read_array(path, "SL505", name)
    shape = stored.shape
    rows = (1, *shape) if len(shape) == 1 else shape
    if len(rows) != 2 or 0 in rows or rows[1] != features or tokens not in (None, rows[0]):
        hint = ""
        if len(shape) == 2 and shape[0] == features:
            hint = "a row is a token: save the transpose, array.T"
        elif len(shape) > 2 and shape[-1] == features:
            hint = f"a row is a token: save array.reshape(-1, {features})"
        wanted = f"the program takes {tokens or 'tokens'} x {features}, a row per token"
        notes = [f"the file holds {size_text(shape)}", wanted]
        raise fail("the activations do not have the shape of the input", notes=notes, hint=hint)
    return np.ascontiguousarray(stored.values("activations").reshape(rows).T)


def activation_rows(path: Path, features: int, name: str = "") -> int:
    """How many tokens an array of activations holds, from headers alone; 0 for an array that ``read_activations``
    refuses, and for a single token. Raises SL505 when the file can't be read."""
    shape = array_shape(path, "SL505", name)
    return shape[0] if shape is not None and len(shape) == 2 and shape[1] == features else 0
