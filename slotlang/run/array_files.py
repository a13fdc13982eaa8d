"""Arrays in files that someone else wrote: ``.npy``, ``.npz`` and safetensors, with real and finite values.

Nothing is unpickled and what is read is bounded. An array is opened by its header, and only the rows that are asked for
are read and looked at. The format is that of the file's name; any other name is taken as that
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
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, Final, Literal, NoReturn, TypeAlias

import numpy as np
from safetensors import SafetensorError, safe_open

from slotlang.adapter.messages import first_line, listed, plain, read_file, shown, size_text
from slotlang.adapter.values import FLOATS, SIZES, Array, as_float64, first_not_finite, tensor_values
from slotlang.diagnostics import error
from slotlang.files import open_regular
from slotlang_runtime.amounts import count_of
from slotlang_runtime.arrays import BIT_PATTERNS_HINT, beyond_exact

Pieces: TypeAlias = Callable[[Iterable[tuple[int, int]]], bytes]
"""Bytes of a file, or of a compressed one's content, joined: pieces by place and length, ascending."""

MAX_ARRAY_BYTES: Final = 4 << 30
"""The most bytes of an array that are read. As float64 they take up to four times that in memory."""

MAX_ARRAYS: Final = 10_000
_MAX_HEADER: Final = 1 << 17

_MAX_JSON: Final = 100_000_000
"""Bytes of the largest header of safetensors, as the format says."""

_INTEGERS: Final = {f"{kind}{8 * size}": f"<{kind.lower()}{size}" for kind in "IU" for size in (1, 2, 4, 8)}
"""Integers of safetensors, with numpy's names."""


@dataclass(frozen=True, slots=True)
class StoredArray:
    """One array of a file, whose values are not read yet. ``read`` gives the first rows as float64, or all."""

    path: Path
    code: str
    shape: tuple[int, ...]
    dtype: str
    integer_bytes: int
    read: Callable[[int | None], Array]

    def values(self, what: str, rows: int | None = None) -> Array:
        """The values; only the first ``rows`` along the first axis, where that is given. ``what`` names the array in
        messages, in the plural or as a name. Raises ``code`` for values that are not finite and for bit patterns, among
        those that are read."""
        fail = partial(error, self.code, file=str(self.path))
        array = self.read(rows)
        if self.integer_bytes and (largest := beyond_exact(self.integer_bytes, array)):
            notes = [f"they are stored as {self.dtype}, and the largest is {largest:.0f}"]
            message = f"{what} must be numbers; these are bit patterns or quantized"
            raise fail(message, notes=notes, hint=BIT_PATTERNS_HINT)
        if bad := first_not_finite(array):
            raise fail(f"{what} must be finite, and there are NaN or infinite values", notes=[bad])
        return array


def read_array(path: Path, code: str, name: str = "", what: str = "activations") -> StoredArray:
    """The array of a file; of a file with several the one that is called ``name``. Only headers are read. Raises
    ``code``."""
    match path.suffix.lower():
        case ".npz":
            return _chosen(_npz(path, code, name, what), path, code, name)
        case ".safetensors":
            return _chosen(_tensors(path, code, name, what), path, code, name)
        case _:
            return _npy(_of_file(path, code), _size(path, code), path, code, what)


def read_npz(path: Path, code: str, names: Mapping[str, object] | None = None) -> dict[str, StoredArray]:
    """All arrays of a ``.npz`` file, which may have no other names than these, where they are given. Raises
    ``code``."""
    return _npz(path, code, "", "", names, every=True)


def _chosen(arrays: Mapping[str, StoredArray], path: Path, code: str, name: str) -> StoredArray:
    if name in arrays:
        return arrays[name]
    if len(arrays) == 1:
        return next(iter(arrays.values()))
    notes = [f"it holds {listed(arrays)}" if arrays else "it holds no array at all"]
    hint = "keep one array in it, or "
    hint += f"call the one of the input {shown(name)}" if name else "name the one with a row per token: --input NAME"
    raise error(
        code, f"{plain(path.name)} holds {count_of(len(arrays), 'array')}", notes=notes, hint=hint, file=str(path)
    )


def _size(path: Path, code: str) -> int:
    """Bytes of a regular file that can be read. Raises ``code``."""
    read_file(path, 1 << 62, code, 0)
    return path.stat().st_size


def _of_file(path: Path, code: str) -> Pieces:
    def read(pieces: Iterable[tuple[int, int]]) -> bytes:
        try:
            with open_regular(path) as stream:
                return _joined(stream, pieces)
        except OSError as reason:
            raise error(code, f"{plain(path.name)} can't be read", notes=[first_line(reason)], file=str(path)) from None

    return read


def _joined(stream: IO[bytes], pieces: Iterable[tuple[int, int]]) -> bytes:
    found = []
    for start, length in pieces:
        stream.seek(start)
        found.append(stream.read(length))
    return b"".join(found)


def _first_rows(
    pieces: Pieces, start: int, shape: tuple[int, ...], item: int, rows: int | None, path: Path, code: str, order: str
) -> tuple[bytes, tuple[int, ...]]:
    """The bytes of the first rows of an array in a file, and their shape. ``item``: bytes of an element; ``order``: C,
    or F where the first axis is the innermost. Raises ``code`` for too many, and for a file that ends early."""
    held = shape[0] if shape else 1
    kept = held if rows is None else min(rows, held)
    each = math.prod(shape[1:])
    total = kept * each * item
    if total > MAX_ARRAY_BYTES:
        notes = [f"these are {count_of(total, 'byte')}; at most {MAX_ARRAY_BYTES} are read"]
        hint = "" if rows is None and len(shape) != 2 else "fewer rows are read for fewer --tokens"
        raise error(code, f"{plain(path.name)} is too large", notes=notes, hint=hint, file=str(path))
    if order == "C" or kept == held:
        raw = pieces([(start, total)])
    else:
        raw = pieces((start + column * held * item, kept * item) for column in range(each))
    if len(raw) != total:
        raise error(code, f"{plain(path.name)} ends early, or was changed while it was read", file=str(path))
    return raw, (kept, *shape[1:]) if shape else ()


# --- .npy ---------------------------------------------------------------------------------------------------


def _npy(pieces: Pieces, size: int, path: Path, code: str, what: str, broken: str = "the file is") -> StoredArray:
    fail = partial(error, code, file=str(path))
    stream = io.BytesIO(pieces([(0, min(size, _MAX_HEADER))]))
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
    held = size - start
    if math.prod(shape) * dtype.itemsize != held or any(n < 0 for n in shape):
        notes = [f"the header says {size_text(shape)} of {dtype}", f"the file holds {count_of(held, 'byte')} of data"]
        raise fail("the file is truncated, or is not what its header says", notes=notes)
    order: Literal["F", "C"] = "F" if fortran_order else "C"

    def read(rows: int | None) -> Array:
        raw, found = _first_rows(pieces, start, shape, dtype.itemsize, rows, path, code, order)
        return as_float64(np.frombuffer(raw, dtype)).reshape(found, order=order)

    return StoredArray(path, code, shape, str(dtype), dtype.itemsize if dtype.kind in "iu" else 0, read)


def _refuse_kind(path: Path, code: str, what: str, dtype: str) -> NoReturn:
    bfloat = dtype.endswith("V2") or dtype == "bfloat16"
    hint = "save them as float32 or float64"
    if bfloat:
        hint = "two bytes without a type are most often bfloat16, which .npy has no name for: save float32"
    raise error(code, f"{what} must be real numbers, not {shown(dtype)}", hint=hint, file=str(path))


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
    path: Path, code: str, wanted: str, what: str, names: Mapping[str, object] | None = None, *, every: bool = False
) -> dict[str, StoredArray]:
    """The arrays by name: with ``wanted`` that one alone, where it is there, with ``every`` all of them. ``names``: the
    only ones there may be."""
    fail = partial(error, code, file=str(path))
    arrays: dict[str, StoredArray] = {}
    _size(path, code)
    with _unzipping(path, code), zipfile.ZipFile(path) as archive:
        entries = _entries(archive)
    if wanted in entries:
        entries = {wanted: entries[wanted]}
    elif not every and len(entries) > 1:
        # the caller refuses it, by the names
        return {name: _unread(path, code) for name in entries}
    for name in entries:
        if names is not None and name not in names:
            notes = [f"the names here are {listed(names)}"]
            raise fail(f"{plain(path.name)} holds {shown(name)}, which the program does not have", notes=notes)
    if every:
        if sum(entry.file_size for entry in entries.values()) > MAX_ARRAY_BYTES:
            raise fail(f"{plain(path.name)} is too large", notes=[f"at most {MAX_ARRAY_BYTES} bytes are read"])
    for name, entry in entries.items():
        label = what or f"array {shown(name)}"
        arrays[name] = _npy(_of_entry(path, code, entry), entry.file_size, path, code, label, f"{shown(name)} is")
    return arrays


def _of_entry(path: Path, code: str, entry: zipfile.ZipInfo) -> Pieces:
    def read(pieces: Iterable[tuple[int, int]]) -> bytes:
        with _unzipping(path, code), zipfile.ZipFile(path) as archive, archive.open(entry) as member:
            return _joined(member, pieces)

    return read


@contextmanager
def _unzipping(path: Path, code: str) -> Iterator[None]:
    """Raises ``code`` for what goes wrong in a damaged archive."""
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, OSError, ValueError, NotImplementedError, RuntimeError, EOFError) as reason:
        hint = "save it with numpy.savez(path, name=array)"
        message = "the file is not a .npz file, or is damaged"
        raise error(code, message, notes=[first_line(reason)], hint=hint, file=str(path)) from None


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
    return StoredArray(path, code, (), "", 0, lambda rows: np.zeros(()))


# --- safetensors --------------------------------------------------------------------------------------------


def _tensors(path: Path, code: str, wanted: str, what: str) -> dict[str, StoredArray]:
    size, pieces = _size(path, code), _of_file(path, code)
    try:
        # it checks the header against the file, and reads no tensor
        with safe_open(path, framework="np"):
            pass
        (length,) = struct.unpack("<Q", pieces([(0, 8)]))
        if length > _MAX_JSON:
            raise ValueError("the header is too long")
        header = json.loads(pieces([(8, length)]))
        tensors = {name: _entry(entry, size - 8 - length) for name, entry in header.items() if name != "__metadata__"}
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, AttributeError, struct.error) as reason:
        message, notes = "the file is not a safetensors file, or is damaged", [first_line(reason)]
        raise error(code, message, notes=notes, file=str(path)) from None
    arrays = {}
    for name, (dtype, shape, begin) in tensors.items():
        start = 8 + length + begin
        if dtype in FLOATS:

            def floats(
                rows: int | None, start: int = start, shape: tuple[int, ...] = shape, dtype: str = dtype
            ) -> Array:
                raw, found = _first_rows(pieces, start, shape, SIZES[dtype], rows, path, code, "C")
                return tensor_values({"dtype": dtype, "shape": found, "data": raw})

            arrays[name] = StoredArray(path, code, shape, FLOATS[dtype], 0, floats)
        elif dtype in _INTEGERS:
            kind = np.dtype(_INTEGERS[dtype])

            def integers(
                rows: int | None, start: int = start, shape: tuple[int, ...] = shape, kind: np.dtype[Any] = kind
            ) -> Array:
                raw, found = _first_rows(pieces, start, shape, kind.itemsize, rows, path, code, "C")
                return as_float64(np.frombuffer(raw, kind)).reshape(found)

            arrays[name] = StoredArray(path, code, shape, kind.name, kind.itemsize, integers)
        elif len(tensors) == 1 or name == wanted:
            _refuse_kind(path, code, what, dtype)
    return arrays


def _entry(entry: Mapping[str, Any], held: int) -> tuple[str, tuple[int, ...], int]:
    """Dtype, shape and place of a tensor. Raises ValueError where they do not fit ``held`` bytes of data."""
    dtype, shape = str(entry["dtype"]), tuple(map(int, entry["shape"]))
    begin, end = map(int, entry["data_offsets"])
    item = SIZES.get(dtype) or (np.dtype(_INTEGERS[dtype]).itemsize if dtype in _INTEGERS else None)
    if not 0 <= begin <= end <= held or (item is not None and math.prod(shape) * item != end - begin):
        raise ValueError(f"a tensor of {size_text(shape)} does not fill its place")
    return dtype, shape, begin
