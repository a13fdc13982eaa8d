"""Decrypted results as ``.npy`` and ``.npz`` files."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from slotlang.diagnostics import error
from slotlang_runtime.amounts import count_of


def check_output(path: Path, outputs: Sequence[str]) -> None:
    """Raises SL005 for a file whose format can't hold the results, and SL004 for a folder that is not there. Both are
    known before any work."""
    try:
        is_folder = path.is_dir()
    except (OSError, ValueError) as problem:
        raise error("SL004", f"can't write {path}: {problem}", file=str(path)) from None
    if is_folder:
        raise error("SL004", f"can't write {path}: it is a folder", file=str(path))
    suffix = path.suffix.lower()
    if suffix not in (".npy", ".npz"):
        what = f"the ending of {path.name} is {suffix}" if suffix else f"{path.name} has no ending"
        hint = f"for example --output {path.with_suffix('.npy' if len(outputs) == 1 else '.npz')}"
        raise error("SL005", f"--output writes .npy and .npz files, and {what}", hint=hint)
    if suffix == ".npy" and len(outputs) != 1:
        hint = f"give --output {path.with_suffix('.npz')}"
        raise error(
            "SL005", f"a .npy file holds one array, and there are {count_of(len(outputs), 'result')}", hint=hint
        )
    try:
        if not path.parent.is_dir():
            raise error("SL004", f"can't write {path}: there is no folder {path.parent}", file=str(path))
    except (OSError, ValueError) as problem:
        raise error("SL004", f"can't write {path}: {problem}", file=str(path)) from None


def result_bytes(path: Path, results: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """What ``--output`` writes: one array, or several by the results' names."""
    if path.suffix.lower() == ".npy":
        return _npy(next(iter(results.values())))
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, array in results.items():
            # without a date, so that equal results are equal files
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), _npy(array))
    return stream.getvalue()


def _npy(array: npt.NDArray[Any]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    return stream.getvalue()


def joined(parts: Sequence[npt.NDArray[Any]], tokens: int | None) -> npt.NDArray[Any]:
    """One result of all evaluations: with ``tokens`` a row per token, as activations are, and else in the program's
    shape. A part is a number, (d,) or (d x tokens), without
    padding."""
    if tokens is None:
        (whole,) = parts
        return np.ascontiguousarray(whole)
    return np.concatenate([part.reshape(part.shape[0] if part.ndim else 1, -1).T for part in parts])
