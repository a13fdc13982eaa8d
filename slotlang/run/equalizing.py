"""Exponents of equalized inputs, from their file or from sample activations."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from slotlang.adapter.messages import listed, plain, read_file, shown
from slotlang.diagnostics import error
from slotlang.meaning.program import Program
from slotlang.run.activations import read_activations
from slotlang.run.array_files import read_array
from slotlang.run.roles import token_input
from slotlang.syntax import tree
from slotlang_runtime.amounts import count_of
from slotlang_runtime.equalized import equalize, from_json
from slotlang_runtime.errors import Rejected

Exponents = Mapping[str, npt.NDArray[np.int64]]

MAX_BYTES = 64 << 20
"""The largest file of exponents that is read."""


def exponents_of(path: Path, name: str | None, power: float = 0.5) -> dict[str, npt.NDArray[np.int64]]:
    """Exponents of an input, found from a file of sample activations, a row per token. Without a ``name`` they are of
    x, and the file must hold one array. ``power`` as in ``equalize``. Raises SL505 for a file that is not one."""
    array = name or ""
    shape = read_array(path, "SL505", array).shape
    if len(shape) not in (1, 2) or 0 in shape:
        message = (
            f"samples are an array of tokens x channels, and the file holds an "
            f"array of {count_of(len(shape), 'dimension')}"
        )
        raise error("SL505", message, file=str(path), hint="save a row per token")
    return {name or "x": equalize(read_activations(path, shape[-1], None, array), power)}


def read_exponents(path: Path, syntax: tree.Program) -> dict[str, npt.NDArray[np.int64]]:
    """What ``--equalize`` names: a ``.json`` file of exponents, or sample activations of the program's input. Raises
    SL541 or SL505 for a file that is neither."""
    if path.suffix.lower() != ".json":
        return exponents_of(path, token_input(syntax).name)
    raw = read_file(path, MAX_BYTES, "SL541")
    try:
        return from_json(raw.decode("utf-8"))
    except (Rejected, UnicodeDecodeError) as problem:
        hint = "write one with slotlang adapter equalize, or give a .npy, .npz or .safetensors file of activations"
        text = str(problem) if isinstance(problem, Rejected) else "this is not a text file"
        raise error("SL541", text, file=str(path), hint=hint) from None


def check_exponents(exponents: Exponents, program: Program, file: Path) -> None:
    """Raises SL541 unless these are of inputs of the program, one for each channel. ``file``: what they were read from,
    as ``read_exponents`` reads it."""
    channels = {name: t.shape[0] for name, t in program.tensors.items() if t.kind == "input" and t.shape}
    of_samples = file.suffix.lower() != ".json"
    for name, found in exponents.items():
        if name not in channels:
            raise error(
                "SL541",
                f"{plain(file.name)} has exponents of {shown(name)}, which '{program.name}' has no channels of",
                notes=[f"its inputs with channels are {listed(channels)}" if channels else "it has none"],
                hint="write another file with slotlang adapter equalize FILE --input NAME",
                file=str(file),
            )
        if len(found) != channels[name]:
            held = "activations" if of_samples else "exponents"
            again = "give" if of_samples else "write exponents with slotlang adapter equalize from"
            raise error(
                "SL541",
                f"{plain(file.name)} holds {held} of {count_of(len(found), 'channel')}, "
                f"and {name} of '{program.name}' has "
                f"{channels[name]:,}",
                hint=f"{again} activations of this input: a row per token, tokens x {channels[name]}; or change the "
                "program's size with --set",
                file=str(file),
            )


def summary(exponents: Exponents) -> list[dict[str, Any]]:
    """By input: how many channels are divided by more than 1, and the largest exponent."""
    return [
        {"input": name, "channels": int((array != 0).sum()), "of": len(array), "largest": int(array.max(initial=0))}
        for name, array in exponents.items()
    ]


def summary_text(exponents: Exponents) -> str:
    """The same in words."""
    parts = [
        f"{entry['channels']:,} of {count_of(entry['of'], 'channel')} of {entry['input']} by up to 2^{entry['largest']}"
        for entry in summary(exponents)
    ]
    return ", ".join(parts)
