"""Encoded weights kept on disk between runs, found by what they are made of."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from slotlang.adapter.values import hash_arrays
from slotlang.diagnostics import error
from slotlang.files import read_regular, write_whole
from slotlang_runtime.equalized import Exponents
from slotlang_runtime.errors import Rejected
from slotlang_runtime.module import Module
from slotlang_runtime.weights import Weights

MAGIC = b"slotlang weights 2\n"
_HEAD = len(MAGIC) + 32
"""Bytes before the weights: ``MAGIC``, and the key that the file's name shows."""


@dataclass(frozen=True)
class CacheUse:
    """How a run used the cache: weights were ``loaded`` from ``file``, or encoded and ``stored`` in it, or ``rebuilt``
    because what was there could not be used, or are ``unsaved`` because they could not be written; with the ``reason``
    for these two. ``bytes``: the file's size, 0 when it was not written."""

    state: Literal["loaded", "stored", "rebuilt", "unsaved"]
    file: str
    bytes: int
    reason: str = ""


def check_folder(folder: Path) -> None:
    """Make the folder of a cache where it is missing. Raises SL512 when it can't be made or is not a folder."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as problem:
        raise error(
            "SL512",
            f"the cache can't be used: {getattr(problem, 'strerror', None) or problem}",
            notes=[f"while using {getattr(problem, 'filename', None) or folder}"],
            hint="give --cache a folder that can be written, or leave it out",
            file=str(folder),
        ) from None


def cache_key(text: str, weights: Mapping[str, npt.NDArray[np.float64]], equalize: Exponents | None = None) -> str:
    """SHA-256 of the emitted module, of the weights' names, shapes and values, and of the exponents of inputs.

    The module's text holds the program, its sizes and parameters, and how each plaintext is made of the weights: a
    compiler that makes them differently writes another text.
    """
    digest = hashlib.sha256(hashlib.sha256(text.encode()).digest())
    hash_arrays(digest, weights)
    for name, exponents in sorted((equalize or {}).items()):
        digest.update(repr((name, np.asarray(exponents).tolist())).encode())
    return digest.hexdigest()


def encode_cached(
    module: Module,
    text: str,
    weights: Mapping[str, npt.NDArray[np.float64]],
    folder: Path,
    equalize: Exponents | None = None,
) -> tuple[Weights, CacheUse]:
    """A module's encoded weights: read from the folder where an intact file is there, else encoded and stored.

    A file holds its own key, so that it is not taken under another file's name. A file is checked like weights from a
    stranger, and replaced when anything is wrong with it. A pipe in its place is not waited for. A file that can't be
    written is skipped. Raises SL512 when the folder can't be made.
    """
    check_folder(folder)
    key = cache_key(text, weights, equalize)
    path = folder / f"{key}.weights"
    reason = ""
    try:
        data = _read(path, bytes.fromhex(key))
        return Weights.from_bytes(module, data), CacheUse("loaded", str(path), _HEAD + len(data))
    except FileNotFoundError:
        pass
    except OSError as problem:
        reason = problem.strerror or str(problem)
    except (_Foreign, Rejected) as problem:
        reason = str(problem)
    encoded = Weights.encode(module, equalize=equalize, **weights)
    data = MAGIC + bytes.fromhex(key) + encoded.to_bytes()
    try:
        # readable by its owner only, as weights may be secret
        write_whole(path, data, 0o600)
    except OSError as problem:
        return encoded, CacheUse("unsaved", str(path), 0, problem.strerror or str(problem))
    return encoded, CacheUse("rebuilt" if reason else "stored", str(path), len(data), reason)


class _Foreign(Exception):
    """What lies in the file's place is not what was stored under this key."""


def _read(path: Path, key: bytes) -> bytes:
    data = read_regular(path)
    if not data.startswith(MAGIC):
        raise _Foreign("it is not a file of encoded weights of this version")
    if data[len(MAGIC) : _HEAD] != key:
        raise _Foreign("it is truncated" if len(data) < _HEAD else "it holds the weights of another key")
    return data[_HEAD:]
