"""Arrays in files that someone else wrote: ``.npy``, ``.npz`` and safetensors, with real and finite values.

Nothing is unpickled and what is read is bounded. The format is that of the file's name; any other name is taken as that
of a ``.npy`` file.
"""

from __future__ import annotations

import io
import json
import math
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, Final, NoReturn

import numpy as np
from safetensors import SafetensorError

from slotlang.adapter.messages import first_line, listed, plain, read_file, shown, size_text
from slotlang.adapter.values import FLOATS, Array, as_float64, first_not_finite, parse_safetensors, tensor_values
from slotlang.diagnostics import error

MAX_ARRAY_BYTES: Final = 4 << 30
"""The largest file, or array of a compressed file, that is read. As float64 it takes up to four times that in
memory."""

MAX_ARRAYS: Final = 10_000
_MAX_HEADER: Final = 1 << 17

_EXACT: Final = {1: 4, 2: 11, 4: 24, 8: 53}
"""Bits of the whole numbers that a float of as many bytes holds exactly. Bit patterns of floats are larger, but for
those of numbers that are as good as zero."""

_INTEGERS: Final = {f"{kind}{8 * size}": f"<{kind.lower()}{size}" for kind in "IU" for size in (1, 2, 4, 8)}
"""Integers of safetensors, with numpy's names."""


@dataclass(frozen=True, slots=True)
class StoredArray:
    """One array of a file. ``read`` gives its values as float64, or None where only the header was read."""

    path: Path
    code: str
    shape: tuple[int, ...]
    dtype: str
    integer_bytes: int
    read: Callable[[], Array]

    def values(self, what: str) -> Array:
        """The values. ``what`` names the array in messages, in the plural or as a name. Raises ``code`` for values
        that are not finite and for bit patterns."""
        fail = partial(error, self.code, file=str(self.path))
        array = self.read()
        if self.integer_bytes and array.size and (largest := np.abs(array).max()) > 2 ** _EXACT[self.integer_bytes]:
            notes = [f"they are stored as {self.dtype}, and the largest is {largest:.0f}"]
            hint = (
                "save floats as floats (in torch tensor.float().numpy()), and whole numbers that are meant as "
                "array.astype(numpy.float64)"
            )
            raise fail(f"{what} must be numbers; these are bit patterns or quantized", notes=notes, hint=hint)
        if bad := first_not_finite(array):
            raise fail(f"{what} must be finite, and there are NaN or infinite values", notes=[bad])
        return array


def read_array(path: Path, code: str, name: str = "", what: str = "activations") -> StoredArray:
    """The array of a file; of a file with several the one that is called ``name``. Raises ``code``."""
    match path.suffix.lower():
        case ".npz":
            return _chosen(_npz(path, code, name, what), path, code, name)
        case ".safetensors":
            return _chosen(_tensors(path, code, name, what), path, code, name)
        case _:
            return _npy(read_file(path, MAX_ARRAY_BYTES, code), path, code, what)


def read_npz(path: Path, code: str, names: Mapping[str, object]) -> dict[str, StoredArray]:
    """All arrays of a ``.npz`` file, which may have no other names than these. Raises ``code``."""
    return _npz(path, code, "", "", names)


def array_shape(path: Path, code: str, name: str = "") -> tuple[int, ...] | None:
    """The shape of the array that ``read_array`` gives, from headers and lengths alone; None where it would refuse
    the file. Raises ``code`` when the file can't be read at all."""
    head = read_file(path, MAX_ARRAY_BYTES, code, _MAX_HEADER)
    try:
        size = path.stat().st_size
        match path.suffix.lower():
            case ".npz":
                return _npz_shape(path, name)
            case ".safetensors":
                return _tensor_shape(head, size, name)
            case _:
                return _npy_shape(head, size)
    except Exception:
        # numpy, zipfile and json fail on damaged files in more ways than they document
        return None


def _chosen(arrays: Mapping[str, StoredArray], path: Path, code: str, name: str) -> StoredArray:
    if name in arrays:
        return arrays[name]
    if len(arrays) == 1:
        return next(iter(arrays.values()))
    notes = [f"it holds {listed(arrays)}" if arrays else "it holds no array at all"]
    hint = f"keep one array in it, or call the one of the input {shown(name)}" if name else "keep one array in it"
    raise error(code, f"{plain(path.name)} holds {len(arrays)} arrays", notes=notes, hint=hint, file=str(path))


# --- .npy ---------------------------------------------------------------------------------------------------


def _npy(raw: bytes, path: Path, code: str, what: str, broken: str = "the file is") -> StoredArray:
    fail = partial(error, code, file=str(path))
    stream = io.BytesIO(raw)
    try:
        shape, fortran_order, dtype = _npy_header(stream)
    except Exception as reason:
        # numpy evaluates the header as a Python literal, which fails in more ways than it documents
        hint = "save it with numpy.save(path, array)"
        message = f"{broken} not a .npy array, or is damaged"
        raise fail(message, notes=[first_line(reason)], hint=hint) from None
    if dtype.kind not in "fiu":
        _refuse_kind(path, code, what, str(dtype))
    start = stream.tell()
    held = len(raw) - start
    if math.prod(shape) * dtype.itemsize != held or any(n < 0 for n in shape):
        notes = [f"the header says {size_text(shape)} of {dtype}", f"the file holds {held} bytes of data"]
        raise fail("the file is truncated, or is not what its header says", notes=notes)

    def read() -> Array:
        flat = as_float64(np.frombuffer(raw, dtype, offset=start))
        return flat.reshape(shape, order="F" if fortran_order else "C")

    return StoredArray(path, code, shape, str(dtype), dtype.itemsize if dtype.kind in "iu" else 0, read)


def _refuse_kind(path: Path, code: str, what: str, dtype: str) -> NoReturn:
    bfloat = dtype.endswith("V2") or dtype == "bfloat16"
    hint = "save them as float32 or float64"
    if bfloat:
        hint = "two bytes without a type are most often bfloat16, which .npy has no name for: save float32"
    raise error(code, f"{what} must be real numbers, not {shown(dtype)}", hint=hint, file=str(path))


def _npy_shape(head: bytes, size: int) -> tuple[int, ...] | None:
    stream = io.BytesIO(head)
    shape, _, dtype = _npy_header(stream)
    return shape if math.prod(shape) * dtype.itemsize == size - stream.tell() else None


def _npy_header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    with warnings.catch_warnings(action="ignore"):
        version = np.lib.format.read_magic(stream)
        if version not in _NPY_HEADERS:
            raise ValueError(f"version {version} of the format is unknown")
        found: tuple[tuple[int, ...], bool, np.dtype[Any]] = _NPY_HEADERS[version](stream)
        return found


_NPY_HEADERS: Final[Mapping[tuple[int, int], Callable[..., Any]]] = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
    # 3.0 differs from 2.0 in the encoding of the field names of structured arrays only, which are refused
    (3, 0): np.lib.format.read_array_header_2_0,
}


# --- .npz ---------------------------------------------------------------------------------------------------


def _npz(
    path: Path, code: str, wanted: str, what: str, names: Mapping[str, object] | None = None
) -> dict[str, StoredArray]:
    """The arrays by name: with ``wanted`` that one alone, where it is there. ``names``: the only ones there may be."""
    fail = partial(error, code, file=str(path))
    arrays: dict[str, StoredArray] = {}
    read_file(path, MAX_ARRAY_BYTES, code, 0)
    total = 0
    try:
        with zipfile.ZipFile(path) as archive:
            entries = _entries(archive)
            if wanted in entries:
                entries = {wanted: entries[wanted]}
            elif names is None and len(entries) > 1:
                # the caller refuses it, by the names
                return {name: _unread(path, code) for name in entries}
            for name, entry in entries.items():
                if names is not None and name not in names:
                    notes = [f"the names here are {listed(names)}"]
                    raise fail(f"{plain(path.name)} holds {shown(name)}, which the program does not have", notes=notes)
                total += entry.file_size
                if total > MAX_ARRAY_BYTES:
                    raise fail(f"{plain(path.name)} is too large", notes=[f"at most {MAX_ARRAY_BYTES} bytes are read"])
                with archive.open(entry) as member:
                    raw = member.read(entry.file_size)
                label = what or f"array {shown(name)}"
                arrays[name] = _npy(raw, path, code, label, f"{shown(name)} is")
    except (zipfile.BadZipFile, zlib.error, OSError, ValueError, NotImplementedError, RuntimeError, EOFError) as reason:
        hint = "save it with numpy.savez(path, name=array)"
        message = "the file is not a .npz file, or is damaged"
        raise fail(message, notes=[first_line(reason)], hint=hint) from None
    return arrays


def _entries(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    entries: dict[str, zipfile.ZipInfo] = {}
    for entry in archive.infolist():
        name = entry.filename.removesuffix(".npy")
        if name in entries:
            raise ValueError(f"{plain(name)} is there twice")
        entries[name] = entry
        if len(entries) > MAX_ARRAYS:
            raise ValueError(f"it holds more than {MAX_ARRAYS} arrays")
    return entries


def _unread(path: Path, code: str) -> StoredArray:
    return StoredArray(path, code, (), "", 0, lambda: np.zeros(()))


def _npz_shape(path: Path, wanted: str) -> tuple[int, ...] | None:
    with zipfile.ZipFile(path) as archive:
        entries = _entries(archive)
        entry = entries.get(wanted) or (next(iter(entries.values())) if len(entries) == 1 else None)
        if entry is None:
            return None
        with archive.open(entry) as member:
            return _npy_shape(member.read(_MAX_HEADER), entry.file_size)


# --- safetensors --------------------------------------------------------------------------------------------


def _tensors(path: Path, code: str, wanted: str, what: str) -> dict[str, StoredArray]:
    raw = read_file(path, MAX_ARRAY_BYTES, code)
    try:
        parsed = parse_safetensors(raw)
    except SafetensorError as reason:
        message, notes = "the file is not a safetensors file, or is damaged", [first_line(reason)]
        raise error(code, message, notes=notes, file=str(path)) from None
    arrays = {}
    for name, tensor in parsed:
        dtype, shape = tensor["dtype"], tuple(tensor["shape"])
        if dtype in FLOATS:
            arrays[name] = StoredArray(path, code, shape, FLOATS[dtype], 0, partial(tensor_values, tensor))
        elif dtype in _INTEGERS:
            kind = np.dtype(_INTEGERS[dtype])

            def read(tensor: Mapping[str, Any] = tensor, kind: np.dtype[Any] = kind) -> Array:
                return as_float64(np.frombuffer(tensor["data"], kind)).reshape(tuple(tensor["shape"]))

            arrays[name] = StoredArray(path, code, shape, kind.name, kind.itemsize, read)
        elif len(parsed) == 1 or name == wanted:
            _refuse_kind(path, code, what, dtype)
    return arrays


def _tensor_shape(head: bytes, size: int, wanted: str) -> tuple[int, ...] | None:
    (length,) = struct.unpack("<Q", head[:8])
    if length > len(head) - 8:
        # more tensors than a file of activations has
        return None
    header = json.loads(head[8 : 8 + length])
    tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
    entry = tensors.get(wanted) or (next(iter(tensors.values())) if len(tensors) == 1 else None)
    whole = 8 + length + max(entry["data_offsets"][1] for entry in tensors.values()) == size
    return tuple(map(int, entry["shape"])) if entry is not None and whole else None
