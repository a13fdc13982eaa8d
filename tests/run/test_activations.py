"""Activations: rows of tokens from .npy, .npz and safetensors files, and one clear error for everything else."""

from __future__ import annotations

import json
import pickle
import struct
import tempfile
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from adapter_files import refusal, text_of
from amounts import examples
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save as save_safetensors

from slotlang.diagnostics import SlotError
from slotlang.run.activations import open_activations, read_activations

# a stranger's file has no business with stderr either
pytestmark = pytest.mark.filterwarnings("error")


def spoilt(array: np.ndarray[Any, Any], value: float) -> np.ndarray[Any, Any]:
    array = array.copy()
    array[-1, -1] = value
    return array


def flipped(content: bytes, bits: list[int]) -> bytes:
    damaged = bytearray(content)
    for bit in bits:
        damaged[bit // 8] ^= 1 << bit % 8
    return bytes(damaged)


def saved(folder: Path, array: object) -> Path:
    path = folder / "x.npy"
    np.save(path, array, allow_pickle=True)  # type: ignore[arg-type]
    return path


def npy(descr: str, shape: str, data: bytes, version: bytes = b"\1\0") -> bytes:
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    size = struct.pack("<H" if version == b"\1\0" else "<I", len(header))
    return b"\x93NUMPY" + version + size + header + data


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f2", "<f8", ">f8", "i1", "<i8", ">u2", "g"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_row_is_a_token(tmp_path: Path, dtype: str, order: Any) -> None:
    stored = np.array(np.arange(1, 7).reshape(2, 3), dtype=dtype, order=order)
    read = read_activations(saved(tmp_path, stored), 3, 2)
    np.testing.assert_array_equal(read, [[1, 4], [2, 5], [3, 6]])
    assert read.dtype == np.dtype(np.float64)
    assert read.flags.c_contiguous


def test_one_dimension_is_one_token_and_squares_are_rows(tmp_path: Path) -> None:
    read = read_activations(saved(tmp_path, np.array([1.0, 2.0, 3.0])), 3, 1)
    np.testing.assert_array_equal(read, [[1], [2], [3]])
    np.testing.assert_array_equal(read_activations(tmp_path / "x.npy", 3, None), [[1], [2], [3]])
    read = read_activations(saved(tmp_path, np.array([[1.0, 2.0], [3.0, 4.0]])), 2, 2)
    np.testing.assert_array_equal(read, [[1, 3], [2, 4]])


@pytest.mark.parametrize("version", [b"\1\0", b"\2\0", b"\3\0"])
def test_versions_of_the_format(tmp_path: Path, version: bytes) -> None:
    path = tmp_path / "x.npy"
    path.write_bytes(npy("'<f4'", "(1, 2)", struct.pack("<2f", 1.5, -2.0), version))
    np.testing.assert_array_equal(read_activations(path, 2, None), [[1.5], [-2.0]])


BAD_ARRAYS: list[tuple[Any, str]] = [
    (np.ones((2, 3), complex), "activations must be real numbers, not 'complex128'"),
    (np.array([[1, "a", None]], object), "activations must be real numbers, not 'object'"),
    (np.array([["1", "2", "3"]]), "activations must be real numbers, not '<U1'"),
    (np.array([[b"1", b"2", b"3"]]), "activations must be real numbers, not '|S1'"),
    (np.ones((2, 3), bool), "activations must be real numbers, not 'bool'"),
    (np.zeros((2, 3), "M8[s]"), "activations must be real numbers, not 'datetime64[s]'"),
    (np.zeros((2, 3), "V2"), "activations must be real numbers, not '|V2'"),
    (np.zeros(2, [("a", "f4"), ("b", "f4")]), "activations must be real numbers"),
    (spoilt(np.ones((2, 3)), np.nan), "the first is nan, in row 1, column 2"),
    (spoilt(np.ones((2, 3), np.float16), -np.inf), "the first is -inf, in row 1, column 2"),
    (
        np.ones((3, 2)),
        "the file holds 3 x 2 the program takes 2 x 3, a row per token a row is a token: save the",
    ),
    (
        np.ones((1, 2, 3)),
        "the file holds 1 x 2 x 3 the program takes 2 x 3, a row per token a row is a token: save array.re",
    ),
    (np.ones(()), "the file holds a single number the program takes 2 x 3"),
    (np.ones(2), "the file holds 2 the program takes 2 x 3"),
    (np.ones(3), "the file holds 3 the program takes 2 x 3"),
    (np.ones((1, 3)), "the file holds 1 x 3 the program takes 2 x 3"),
    (np.ones((4, 3)), "the file holds 4 x 3 the program takes 2 x 3"),
    (np.ones((2, 4)), "the file holds 2 x 4 the program takes 2 x 3"),
    (np.ones((0, 3)), "the file holds 0 x 3 the program takes 2 x 3"),
]


@pytest.mark.parametrize(("array", "message"), BAD_ARRAYS)
def test_arrays_that_are_not_the_input(tmp_path: Path, array: Any, message: str) -> None:
    path = saved(tmp_path, array)
    found = refusal("SL505", lambda: read_activations(path, 3, 2))
    assert message in text_of(found)
    assert found.file == str(path)


ROWS = 'save finite real numbers, a row per token: numpy.save("x.npy", x)'


@pytest.mark.parametrize(
    ("shape", "hint"),
    [
        ((3, 2), "a row is a token: save the transpose, array.T"),
        ((1, 2, 3), "a row is a token: save array.reshape(-1, 3)"),
        ((3, 2, 4), ROWS),
        ((2, 4), ROWS),
        ((1, 3), ROWS),
        ((2,), ROWS),
    ],
)
def test_the_hint_about_a_shape_proposes_what_helps(tmp_path: Path, shape: tuple[int, ...], hint: str) -> None:
    found = refusal("SL505", lambda: read_activations(saved(tmp_path, np.ones(shape)), 3, 2))
    assert found.hint == hint


def test_no_tokens_at_all(tmp_path: Path) -> None:
    found = refusal("SL505", lambda: read_activations(saved(tmp_path, np.ones((0, 3))), 3, None))
    assert "the program takes tokens x 3" in text_of(found)


class Bomb:
    """Unpickling one makes a file, so that a test sees it."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (self.path, "w"))


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    trap = tmp_path / "sprung"
    path = saved(tmp_path, np.array([Bomb(str(trap))], object))
    refusal("SL505", lambda: read_activations(path, 1, None))
    path.write_bytes(pickle.dumps(Bomb(str(trap))))
    refusal("SL505", lambda: read_activations(path, 1, None))
    assert not trap.exists()


FOREIGN: dict[str, bytes] = {
    "empty": b"",
    "magic only": b"\x93NUMPY",
    "text": b"1.0 2.0 3.0\n",
    "safetensors": save_safetensors({"x": np.ones((1, 3), np.float32)}),
    "npz": b"PK\3\4" + b"\0" * 60,
    "an unknown version": npy("'<f4'", "(1, 3)", b"\0" * 12, b"\7\0"),
    "a header that ends early": npy("'<f4'", "(1, 3)", b"")[:30],
    "a header of 4 GB": b"\x93NUMPY\2\0\xff\xff\xff\xff" + b" " * 50,
    "a header of 60 kB": npy("'<f4'", "(1, " + " " * 60_000 + "3)", b"\0" * 12),
    "a call in the header": npy("__import__('os').abort()", "(1, 3)", b"\0" * 12),
    "a deep header": npy("'<f4'", "(" * 3000 + ")" * 3000, b"\0" * 12),
    "many minus signs": npy("'<f4'", "(" + "-" * 9000 + "1, 3)", b"\0" * 12),
    "no such dtype": npy("'<q9'", "(1, 3)", b"\0" * 12),
    "a shape of text": npy("'<f4'", "'ab'", b"\0" * 12),
    "a shape of floats": npy("'<f4'", "(1.0, 3)", b"\0" * 12),
    "a dtype of nothing": npy("None", "(1, 3, ", b"\0" * 12),
    "not utf-8": npy("'<f4'", "(1, 3)", b"\0" * 12).replace(b"descr", b"d\xff\xfe\xfdr"),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_files_that_are_no_arrays(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.npy"
    path.write_bytes(FOREIGN[kind])
    found = refusal("SL505", lambda: read_activations(path, 3, None))
    assert found.message == "the file is not a .npy array, or is damaged"


def test_an_unknown_version_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.npy").write_bytes(FOREIGN["an unknown version"])
    found = refusal("SL505", lambda: read_activations(tmp_path / "x.npy", 3, None))
    assert found.notes == ("version (7, 0) of the format is unknown",)


@pytest.mark.parametrize(
    "shape",
    [
        "(9999999999999, 3)",
        "(3, 9999999999999)",
        f"({2**62}, 3)",
        f"({10**300}, 3)",
        f"({10**4000}, {10**4000})",
        "(" + "9999999999999999999, " * 400 + ")",
        "(-1, 3)",
        "(-1, -3)",
        "(2, 3)",
    ],
)
def test_a_header_that_claims_more_than_the_file_holds(tmp_path: Path, shape: str) -> None:
    path = tmp_path / "x.npy"
    path.write_bytes(npy("'<f4'", shape, b"\0" * 12))
    tracemalloc.start()
    found = refusal("SL505", lambda: read_activations(path, 3, None))
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()
    assert found.message == "the file is truncated, or is not what its header says"
    assert "the file holds 12 bytes of data" in found.notes


def test_missing_arrays(tmp_path: Path) -> None:
    assert refusal("SL505", lambda: read_activations(tmp_path / "y.npy", 3, None)).message == "y.npy is missing"
    assert "not a regular file" in refusal("SL505", lambda: read_activations(tmp_path, 3, None)).message
    assert "can't be read" in refusal("SL505", lambda: read_activations(Path("a" * 300), 3, None)).message


GOOD_ARRAY = npy("'<f4'", "(2, 3)", struct.pack("<6f", 1, 2, 3, 4, 5, 6))


def read_damaged_array(content: bytes) -> np.ndarray[Any, Any] | None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.npy"
        path.write_bytes(content)
        try:
            return read_activations(path, 3, None)
        except SlotError as refused:
            assert [diagnostic.code for diagnostic in refused.diagnostics] == ["SL505"]
            return None


@examples(100)
@given(st.integers(0, len(GOOD_ARRAY) - 1), st.binary(min_size=1, max_size=9))
def test_truncated_and_lengthened_arrays_are_refused(length: int, more: bytes) -> None:
    assert read_damaged_array(GOOD_ARRAY) is not None
    assert read_damaged_array(GOOD_ARRAY[:length]) is None
    assert read_damaged_array(GOOD_ARRAY + more) is None


@examples(400)
@given(st.lists(st.integers(0, 8 * len(GOOD_ARRAY) - 1), min_size=1, max_size=4))
def test_flipped_bits_in_an_array(bits: list[int]) -> None:
    array = read_damaged_array(flipped(GOOD_ARRAY, bits))
    if array is not None:
        assert array.shape[0] == 3
        assert array.dtype == np.dtype(np.float64)
        assert np.isfinite(array).all()


# --- other formats, and numbers that are none ---------------------------------------------------------------

ROWS = np.array([[1.5, -2.0, 0.25], [3.0, 4.0, -8.0]])


def write_npz(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


def write_tensors(path: Path, **arrays: Any) -> Path:
    path.write_bytes(save_safetensors(arrays))
    return path


def bfloat16_bits(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The upper halves of float32, as bfloat16 is stored where there is no such type."""
    return (array.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)


@pytest.mark.parametrize("name", ["x", "hidden_states"])
def test_one_array_in_npz_and_safetensors(tmp_path: Path, name: str) -> None:
    for path in (
        write_npz(tmp_path / "x.npz", **{name: ROWS}),
        write_tensors(tmp_path / "x.safetensors", **{name: ROWS.astype(np.float32)}),
    ):
        np.testing.assert_array_equal(read_activations(path, 3, None, "x"), ROWS.T)
        assert open_activations(path, 3, "x").tokens == 2
        refusal("SL505", lambda path=path: open_activations(path, 4, "x"))  # type: ignore[misc]


def test_of_several_arrays_the_one_of_the_input(tmp_path: Path) -> None:
    for path in (
        write_npz(tmp_path / "x.npz", x=ROWS, mask=np.ones(7)),
        write_tensors(tmp_path / "x.safetensors", x=ROWS, mask=np.ones(7)),
    ):
        np.testing.assert_array_equal(read_activations(path, 3, None, "x"), ROWS.T)
        assert open_activations(path, 3, "x").tokens == 2
        found = refusal("SL505", lambda path=path: read_activations(path, 3, None, "hidden"))  # type: ignore[misc]
        assert "holds 2 arrays" in found.message and "'hidden'" in found.hint


def test_bfloat16_of_safetensors(tmp_path: Path) -> None:
    bits = bfloat16_bits(ROWS)
    header = json.dumps({"x": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [0, 12]}}).encode()
    path = tmp_path / "x.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + bits.astype("<u2").tobytes())
    # these values have at most 8 bits
    np.testing.assert_array_equal(read_activations(path, 3, None), ROWS.T)


@pytest.mark.parametrize(
    "array",
    [
        bfloat16_bits(ROWS),
        bfloat16_bits(ROWS).view(np.int16),
        bfloat16_bits(1e-30 * np.abs(ROWS)),
        ROWS.astype(np.float16).view(np.uint16),
        ROWS.astype(np.float32).view(np.int32),
        ROWS.astype(np.float32).view(np.uint32),
        ROWS.view(np.int64),
        ROWS.view(np.uint64),
        np.array([[127, -3, 5]], np.int8),
    ],
    ids=lambda a: f"{a.dtype}-{a[0, 0]}",
)
@pytest.mark.parametrize("kind", ["npy", "npz", "safetensors"])
def test_bit_patterns_are_not_numbers(tmp_path: Path, array: np.ndarray[Any, Any], kind: str) -> None:
    path = tmp_path / f"x.{kind}"
    if kind == "npy":
        np.save(path, array)
    else:
        (write_npz if kind == "npz" else write_tensors)(path, x=array)
    found = refusal("SL505", lambda: read_activations(path, 3, None, "x"))
    assert "bit patterns" in found.message
    assert str(array.dtype) in found.notes[0]
    assert "float()" in found.hint and "astype" in found.hint


@pytest.mark.parametrize(
    ("dtype", "largest"), [("i1", 16), ("u1", 16), ("i2", 2048), ("u2", 2048), ("i4", 1 << 24), ("i8", 1 << 53)]
)
def test_whole_numbers_that_a_float_of_that_width_holds(tmp_path: Path, dtype: str, largest: int) -> None:
    np.save(tmp_path / "x.npy", np.array([[largest, 0, 1]], dtype))
    np.testing.assert_array_equal(read_activations(tmp_path / "x.npy", 3, None), [[largest], [0], [1]])
    # 2^53 + 1 is not even a float64, so the next one that differs is taken
    np.save(tmp_path / "x.npy", np.array([[largest + 2, 0, 1]], dtype))
    assert "bit patterns" in refusal("SL505", lambda: read_activations(tmp_path / "x.npy", 3, None)).message


def test_raw_bfloat16_of_numpy_is_named(tmp_path: Path) -> None:
    # as ml_dtypes saves it
    np.save(tmp_path / "x.npy", bfloat16_bits(ROWS).view("V2"))
    assert "bfloat16" in refusal("SL505", lambda: read_activations(tmp_path / "x.npy", 3, None)).hint


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", ["npz", "safetensors"])
def test_values_that_are_not_finite(tmp_path: Path, value: float, kind: str) -> None:
    path = (write_npz if kind == "npz" else write_tensors)(tmp_path / f"x.{kind}", x=spoilt(ROWS, value))
    found = refusal("SL505", lambda: read_activations(path, 3, None, "x"))
    assert found.message == "activations must be finite, and there are NaN or infinite values"
    assert found.notes == (f"the first is {value}, in row 1, column 2",)


GOOD_FILES = ("npz", "safetensors")


@examples(150)
@pytest.mark.parametrize("kind", GOOD_FILES)
@given(data=st.data())
def test_damaged_files_of_other_formats(kind: str, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = (write_npz if kind == "npz" else write_tensors)(Path(folder) / f"x.{kind}", x=ROWS)
        content = path.read_bytes()
        bits = data.draw(st.lists(st.integers(0, 8 * len(content) - 1), max_size=3))
        path.write_bytes(flipped(content, bits)[: data.draw(st.integers(0, len(content)))])
        try:
            found = read_activations(path, 3, None, "x")
        except SlotError as refused:
            assert [diagnostic.code for diagnostic in refused.diagnostics] == ["SL505"]
        else:
            assert np.isfinite(found).all()


def test_a_compressed_file_that_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slotlang.run.array_files.MAX_ARRAY_BYTES", 1 << 20)
    np.savez_compressed(tmp_path / "x.npz", x=np.zeros((1 << 16, 3)))
    assert (tmp_path / "x.npz").stat().st_size < 10_000
    assert "too large" in refusal("SL505", lambda: read_activations(tmp_path / "x.npz", 3, None, "x")).message


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("kind", ["npy", "npz", "compressed", "safetensors"])
def test_only_the_tokens_that_are_asked_for_are_read(tmp_path: Path, kind: str, order: Any) -> None:
    rows, features = 40_000, 24
    array = np.asarray(np.arange(rows * features, dtype=np.float32).reshape(rows, features) % 1000, order=order)
    # what is not read is not looked at
    array[7, 3], array[-1, -1] = np.inf, np.nan
    path = tmp_path / f"x.{kind.replace('compressed', 'npz')}"
    match kind:
        case "npy":
            np.save(path, array)
        case "safetensors":
            # it has rows of tensors in this order only
            write_tensors(path, mask=np.ones(7), x=np.ascontiguousarray(array))
        case _:
            save: Any = np.savez_compressed if kind == "compressed" else np.savez
            save(path, mask=np.ones(7), x=array)
    tracemalloc.start()
    held = open_activations(path, features, "x")
    found = held.read(5)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert held.tokens == rows
    np.testing.assert_array_equal(found, array[:5].T)
    assert found.flags.c_contiguous
    # the file holds 3.8 MB; a compressed one is unpacked as far as it is read
    assert most < 1_500_000
    refusal("SL505", lambda: held.read(8))
    assert "row 7, column 3" in text_of(refusal("SL505", held.read))


@pytest.mark.parametrize("kind", ["npy", "npz", "safetensors"])
def test_bit_patterns_are_looked_for_where_tokens_are_read(tmp_path: Path, kind: str) -> None:
    array = np.array([[1, 2, 3], [4, 5, 6], [9000, 1, 1]], np.int16)
    path = tmp_path / f"x.{kind}"
    if kind == "npy":
        np.save(path, array)
    else:
        (write_npz if kind == "npz" else write_tensors)(path, x=array)
    held = open_activations(path, 3, "x")
    np.testing.assert_array_equal(held.read(2), array[:2].T)
    assert "bit patterns" in refusal("SL505", held.read).message


def test_a_file_that_changes_while_it_is_read(tmp_path: Path) -> None:
    held = open_activations(saved(tmp_path, np.ones((4, 3))), 3)
    (tmp_path / "x.npy").write_bytes((tmp_path / "x.npy").read_bytes()[:-8])
    np.testing.assert_array_equal(held.read(2), np.ones((3, 2)))
    assert "ends early" in refusal("SL505", held.read).message
