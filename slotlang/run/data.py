"""Arrays of a ``.npz`` file as a program's inputs, weights and scalars."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from slotlang.adapter.messages import listed, size_text
from slotlang.diagnostics import error
from slotlang.meaning.program import Program
from slotlang.run.array_files import read_npz

Arrays = dict[str, npt.NDArray[np.float64]]


def read_data(
    program: Program, path: Path, *, inputs: Literal["needed", "elsewhere", "optional"] = "needed"
) -> tuple[Arrays, Arrays]:
    """The inputs, and the weights with scalars, from a file with an array for each by its name and in its shape.

    ``inputs``: whether they must be there, come from elsewhere and may not, or may be there. Raises SL523: for a file
    that is not a ``.npz`` file, names that are missing or not the program's, other shapes, values that are not finite
    real numbers, and values where the program declares zeros."""
    fail = partial(error, "SL523", file=str(path))
    names = {**dict.fromkeys(program.tensors), **dict.fromkeys(program.scalars)}
    of_inputs = [name for name, tensor in program.tensors.items() if tensor.kind == "input"]
    needed = [name for name in names if inputs == "needed" or name not in of_inputs]
    if path.suffix.lower() != ".npz":
        hint = "save it with numpy.savez(path, name=array, ...)"
        raise fail("--data takes a .npz file, with an array for each name", hint=hint)
    stored = read_npz(path, "SL523", names)
    if missing := [name for name in needed if name not in stored]:
        notes = [f"it holds {listed(stored)}" if stored else "it holds no arrays"]
        hint = "add them with numpy.savez; nothing is made up in their place"
        raise fail(f"the file has no {listed(missing)}", notes=notes, hint=hint)
    if inputs == "elsewhere" and (twice := [name for name in stored if name not in needed]):
        hint = "leave out --activations and --tokens, or the array"
        raise fail(f"{listed(twice)} is given twice: by the file, and as tokens", hint=hint)
    arrays: Arrays = {}
    for name, array in stored.items():
        shape = program.tensors[name].shape if name in program.tensors else ()
        if array.shape != shape:
            notes = [f"the program declares {size_text(shape)}", f"the file holds {size_text(array.shape)}"]
            hint = "set the sizes with --set, or save the array in the program's shape"
            if [n for n in array.shape if n != 1] == [n for n in shape if n != 1]:
                hint = f"save {'an array of that shape' if shape else 'one number'}, array.reshape({shape})"
            elif array.shape == shape[::-1]:
                hint = "save the transpose, array.T, or set the sizes with --set"
            raise fail(f"'{name}' does not have the shape of the program", notes=notes, hint=hint)
        arrays[name] = array.values(f"'{name}'")
    _check_patterns(program, arrays, path)
    given = {name: array for name, array in arrays.items() if name in of_inputs}
    return given, {name: array for name, array in arrays.items() if name not in of_inputs}


def _check_patterns(program: Program, arrays: Arrays, path: Path) -> None:
    """Raises SL523 for a value that is not zero where the program declares zeros."""
    from slotlang.proof.field import pattern_mask

    for name, array in arrays.items():
        mask = pattern_mask(program, name) if name in program.tensors else None
        if mask is None:
            continue
        bad = np.argwhere((array != 0) & ~np.asarray(mask, bool).reshape(array.shape))
        if bad.size:
            place = ", ".join(map(str, bad[0].tolist()))
            message = f"'{name}'[{place}] is not zero, where the program declares zeros"
            raise error("SL523", message, file=str(path), hint="set it to zero, or declare another pattern")
