"""Encoded weights kept on disk between runs, found by what they are made of."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from slotlang.diagnostics import SlotError, error
from slotlang_runtime.errors import Rejected
from slotlang_runtime.module import Module
from slotlang_runtime.weights import Weights


@dataclass(frozen=True)
class CacheUse:
    """What became of the cache in a run: weights were ``loaded`` from ``file``, or encoded and ``stored`` in it, or
    ``rebuilt`` because it was damaged, with the ``reason``. ``bytes``: the file's size."""

    state: Literal["loaded", "stored", "rebuilt"]
    file: str
    bytes: int
    reason: str = ""


def cache_key(text: str, weights: Mapping[str, npt.NDArray[np.float64]]) -> str:
    """SHA-256 of the emitted module and of the weights' names, shapes and values.

    The module's text holds the program, its sizes and parameters, and how each plaintext is made of the weights: a
    compiler that makes them otherwise writes another text.
    """
    digest = hashlib.sha256(hashlib.sha256(text.encode()).digest())
    for name in sorted(weights):
        array = np.asarray(weights[name], np.float64)
        digest.update(repr((name, array.shape)).encode())
        digest.update(array.astype("<f8").tobytes())
    return digest.hexdigest()


def encode_cached(
    module: Module,
    text: str,
    weights: Mapping[str, npt.NDArray[np.float64]],
    folder: Path,
) -> tuple[Weights, CacheUse]:
    """A module's encoded weights: from the folder where they are there and whole, else encoded and stored there.

    What is read is checked like weights from a stranger, and replaced when anything is wrong with it. Raises SL512
    when the folder can't be used.
    """
    path = folder / f"{cache_key(text, weights)}.weights"
    reason = ""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if path.exists():
            data = path.read_bytes()
            try:
                return Weights.from_bytes(module, data), CacheUse("loaded", str(path), len(data))
            except Rejected as problem:
                reason = str(problem)
        encoded = Weights.encode(module, **weights)
        data = encoded.to_bytes()
        _write(path, data)
    except OSError as problem:
        raise _unusable(folder, problem) from None
    return encoded, CacheUse("rebuilt" if reason else "stored", str(path), len(data), reason)


def _unusable(folder: Path, problem: OSError) -> SlotError:
    return error(
        "SL512",
        f"the cache can't be used: {problem.strerror or problem}",
        notes=[f"while using {problem.filename or folder}"],
        hint="give --cache a folder that can be written, or leave it out",
        file=str(folder),
    )


def _write(path: Path, data: bytes) -> None:
    """The whole file or none of it; readable by its owner only, as weights may be secret."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".slotlang.", delete=False) as stream:
        temporary = Path(stream.name)
        try:
            stream.write(data)
            stream.flush()
            temporary.replace(path)
        except BaseException:
            temporary.unlink()
            raise
