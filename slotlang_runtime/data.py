"""Random and given data for a run, and the error of a result."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any, TypeAlias

import numpy as np

from slotlang_runtime.errors import BAD_ARRAY, Rejected
from slotlang_runtime.limits import Limit, shrunk
from slotlang_runtime.module import Module, root_mean_square

Arrays: TypeAlias = dict[str, Any]


def relative_error(value: Any, expected: Any) -> float:
    """Rms error over the rms of the expected values; the rms error itself where these are all zero."""
    value, expected = np.asarray(value), np.asarray(expected)
    return root_mean_square(value - expected) / (root_mean_square(expected) or 1.0)


SCATTER = 3.0
"""By how many of its standard deviations the rms of normal numbers may exceed what is expected of it."""


def within_promise(module: Module, name: str, value: Any, expected: Any) -> tuple[bool, float, float]:
    """Whether a result is within what the module promises: its rms error, and what that may be: the absolute error, or
    for larger results the precision times their rms. The rms of few numbers scatters."""
    value, expected = np.asarray(value), np.asarray(expected)
    off = root_mean_square(value - expected)
    allowed = max(module.error.get(name, 0.0), module.precision * root_mean_square(expected))
    allowed *= 1 + SCATTER / math.sqrt(2 * max(value.size, 1))
    return bool(off <= allowed), off, allowed


def random_data(module: Module, seed: int) -> tuple[Arrays, Arrays]:
    """Inputs, and weights with scalars: standard normal inputs, weights scaled down so that products stay near 1, and
    scalars of 1; of the size of what the module was lowered for, where that was given; all scaled down further where
    the program takes smaller ones."""
    rng = np.random.default_rng(seed)
    inputs = random_inputs(module, rng)
    weights: Arrays = {}
    for name, shape in module.weights.items():
        values, size = rng.standard_normal(shape), module.sizes.get(name)
        weights[name] = values * size if size else values / math.sqrt(shape[-1])
    for name, pattern in module.patterns.items():
        weights[name] = weights[name] * pattern()
    weights.update({name: module.sizes.get(name) or 1.0 for name in module.scalars})
    return inputs, within({}, weights, module.limits, module.assumptions)[1]


def random_inputs(module: Module, rng: np.random.Generator) -> Arrays:
    """Standard normal inputs, or as large as those that the module was lowered for, scaled down to their limits."""
    inputs = {name: rng.standard_normal(shape) * module.sizes.get(name, 1.0) for name, shape in module.inputs.items()}
    return within(inputs, {}, module.limits, ())[0]


def within(
    inputs: Arrays,
    weights: Arrays,
    limits: Mapping[str, Limit],
    assumptions: Iterable[tuple[str, int | None, float]],
) -> tuple[Arrays, Arrays]:
    """Inputs within their limits, and weights within what is assumed of them (``Module.assumptions``), as promises have
    them: elements are cut off at their bound, and the whole is scaled down to bounds of norms."""
    weights = dict(weights)
    for name, axis, limit in assumptions:
        values = weights[name]
        if axis is None:
            values = np.clip(values, -limit, limit)
        sizes = np.abs(values)
        norms = sizes if axis is None else np.sqrt((sizes**2).sum(axis=axis))
        weights[name] = shrunk(values, float(np.max(norms, initial=0.0)), limit)
    fitted = {}
    for name, values in inputs.items():
        most = limits[name]
        fitted[name] = most.fitted(np.clip(values, -most.entry, most.entry))
    return fitted, weights


def read_data(path: Path, inputs: Arrays, weights: Arrays) -> list[str]:
    """Replace arrays by those of an .npz file; the names of those that it does not have. Raises Rejected when the file
    is not one, or can't be read."""
    try:
        if path.exists() and not path.is_file():
            raise Rejected(f"{path} is not a regular file", BAD_ARRAY)
        opened = path.open("rb")
    except OSError as problem:
        raise Rejected(f"{path} can't be read: {problem.strerror}", BAD_ARRAY) from None
    with opened as stream:
        try:
            arrays = _read_arrays(stream, {**inputs, **weights})
        except Exception as problem:  # zipfile and numpy fail on damaged files in more ways than they document
            raise Rejected(
                f"{path} is not an .npz file of arrays for this program: {problem}"[:300], BAD_ARRAY
            ) from None
    for name, array in arrays.items():
        (inputs if name in inputs else weights)[name] = array
    return [name for name in (*inputs, *weights) if name not in arrays]


def _read_arrays(stream: IO[bytes], known: Mapping[str, Any]) -> Arrays:
    arrays: Arrays = {}
    with zipfile.ZipFile(stream) as archive:
        for entry in archive.infolist():
            name = entry.filename.removesuffix(".npy")
            if name not in known:
                raise Rejected(f"it holds {name[:60]!r}; the names here are {', '.join(known)}", BAD_ARRAY)
            limit = 4096 + 16 * np.size(known[name])
            with archive.open(entry) as member:
                arrays[name] = _read_array(name, member.read(limit + 1), limit)
    return arrays


def _read_array(name: str, data: bytes, limit: int) -> Any:
    """A .npy file that is as long as its header says."""
    if len(data) > limit:
        raise Rejected(f"{name} is larger than the array that belongs there", BAD_ARRAY)
    stream = io.BytesIO(data)
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, kind = read(stream)
    if kind.hasobject:
        raise Rejected(f"{name} holds Python objects", BAD_ARRAY)
    if math.prod(shape) * kind.itemsize != len(data) - stream.tell():
        raise Rejected(f"{name} does not have the length its header says", BAD_ARRAY)
    return np.load(io.BytesIO(data), allow_pickle=False)
