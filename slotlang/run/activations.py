"""Activations from files: rows of tokens as ``.npy``, ``.npz`` or safetensors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from slotlang.adapter.messages import plain, size_text
from slotlang.adapter.values import Array
from slotlang.diagnostics import error
from slotlang.run.array_files import StoredArray, read_array, read_npz


@dataclass(frozen=True)
class Activations:
    """The activations of a file, which are not read yet: ``tokens`` of them."""

    stored: StoredArray
    tokens: int

    def read(self, first: int | None = None) -> Array:
        """The first tokens, or all, as float64 of shape (features x tokens): a column is a token. Nothing is read or
        said of the others. Raises SL505 for something other than finite real numbers, and for bit patterns in the
        place of numbers."""
        one = len(self.stored.shape) == 1
        values = self.stored.values("activations", None if one else first)
        return np.ascontiguousarray(values.reshape(1 if one else len(values), -1).T)


def open_activations(path: Path, features: int, name: str = "", tokens: int | None = None) -> Activations:
    """The activations of a file, by its header.

    The file holds them the way numpy and transformers users store them, **a row per token**: shape
    (tokens x features), or (features,) for a single token. A square array is read as rows of tokens too.
    A ``.npz`` or safetensors file holds one array, or one called ``name`` as the program's input. ``tokens`` is the
    number of tokens required, or None for as many as there are.

    Raises SL505 when the file can't be read or has another format, and when its shape is not as above.
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
    return Activations(stored, rows[0])


def read_activations(path: Path, features: int, tokens: int | None, name: str = "") -> Array:
    """All activations of a file, as ``open_activations`` and ``Activations.read`` have it."""
    return open_activations(path, features, name, tokens).read()


def read_module_activations(path: Path) -> dict[str, Array]:
    """Activations of several modules: the arrays of a ``.npz`` file by their names, each with a row per token, as
    features x tokens. Raises SL505."""
    if path.suffix.lower() != ".npz":
        hint = "numpy.savez writes one; arrays are called as the modules whose inputs they are"
        raise error("SL505", "activations of modules are the arrays of a .npz file", hint=hint, file=str(path))
    found = {}
    for name, stored in read_npz(path, "SL505").items():
        if len(stored.shape) != 2 or 0 in stored.shape:
            notes = [f"{plain(name)} is {size_text(stored.shape)}"]
            raise error("SL505", "activations of a module are tokens x features", notes=notes, file=str(path))
        found[name] = np.ascontiguousarray(stored.values(plain(name)).T)
    return found
