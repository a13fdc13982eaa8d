"""Arrays of a file as inputs, weights and scalars, and results as files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slotlang import api
from slotlang.diagnostics import SlotError
from slotlang.run.data import read_data
from slotlang.run.results import check_output, joined, result_bytes

TEXT = """program affine(d = 4, slots = 4)
input x[d]
weight A[i < d, j < d] sparse where i >= j
weight b[d]
scalar s
cipher X = x[slot]
output y[slot] = X
prove y == s * A @ x + b
"""
PROGRAM = api.loads(TEXT)
ARRAYS: dict[str, Any] = {"x": np.arange(4.0), "A": np.tril(np.ones((4, 4))), "b": np.ones(4), "s": 2.0}


def saved(folder: Path, **changes: Any) -> Path:
    arrays = {name: array for name, array in (ARRAYS | changes).items() if array is not None}
    np.savez(folder / "data.npz", **arrays)
    return folder / "data.npz"


def test_arrays_by_name(tmp_path: Path) -> None:
    inputs, weights = read_data(PROGRAM, saved(tmp_path))
    assert list(inputs) == ["x"] and set(weights) == {"A", "b", "s"}
    np.testing.assert_array_equal(weights["A"], ARRAYS["A"])
    assert weights["s"] == 2.0 and weights["s"].shape == ()
    inputs, weights = read_data(PROGRAM, saved(tmp_path, x=None), inputs="elsewhere")
    assert not inputs and set(weights) == {"A", "b", "s"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"b": None}, "the file has no b"),
        ({"x": None, "s": None}, "the file has no x, s"),
        ({"c": np.ones(2)}, "holds 'c', which the program does not have"),
        ({"A": np.ones((4, 3))}, "'A' does not have the shape of the program"),
        ({"s": np.ones(1)}, "'s' does not have the shape of the program"),
        ({"A": np.ones((4, 4))}, "'A'[0, 1] is not zero, where the program declares zeros"),
        ({"b": np.array([1, np.nan, 1, 1])}, "'b' must be finite"),
        ({"b": np.array([1, np.inf, 1, 1])}, "'b' must be finite"),
        ({"b": np.full(4, 0x3F80, np.uint16)}, "'b' must be numbers; these are bit patterns"),
        ({"b": np.ones(4, complex)}, "array 'b' must be real numbers"),
        ({"b": np.array([None] * 4)}, "array 'b' must be real numbers"),
    ],
)
def test_what_is_refused(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    path = saved(tmp_path, **changes)
    with pytest.raises(SlotError) as refused:
        read_data(PROGRAM, path)
    (diagnostic,) = refused.value.diagnostics
    assert (diagnostic.code, diagnostic.file) == ("SL523", str(path))
    assert words in diagnostic.message


def test_inputs_that_come_twice(tmp_path: Path) -> None:
    with pytest.raises(SlotError, match="SL523: x is given twice"):
        read_data(PROGRAM, saved(tmp_path), inputs="elsewhere")


@pytest.mark.parametrize("content", [b"", b"PK\3\4" + b"\0" * 60, b"not a zip file"])
def test_files_that_are_not_npz(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "data.npz").write_bytes(content)
    with pytest.raises(SlotError, match=r"SL523: the file is not a \.npz file"):
        read_data(PROGRAM, tmp_path / "data.npz")
    with pytest.raises(SlotError, match=r"SL523: --data takes a \.npz file"):
        read_data(PROGRAM, tmp_path / "data.npy")
    with pytest.raises(SlotError, match=r"SL523: nothing\.npz is missing"):
        read_data(PROGRAM, tmp_path / "nothing.npz")


@pytest.mark.parametrize(
    ("name", "outputs", "code"),
    [
        ("y.npy", ["y"], ""),
        ("y.npz", ["y"], ""),
        ("y.NPZ", ["y", "z"], ""),
        ("y.npy", ["y", "z"], "SL005"),
        ("y", ["y"], "SL005"),
        ("y.txt", ["y"], "SL005"),
        ("nowhere/y.npy", ["y"], "SL004"),
        (".", ["y"], "SL004"),
        (".", ["y", "z"], "SL004"),
    ],
)
def test_outputs_are_checked_before_any_work(tmp_path: Path, name: str, outputs: list[str], code: str) -> None:
    if code:
        with pytest.raises(SlotError, match=code):
            check_output(tmp_path / name, outputs)
    else:
        check_output(tmp_path / name, outputs)
    assert not list(tmp_path.iterdir())


def test_what_is_written_is_what_numpy_reads(tmp_path: Path) -> None:
    # "file" is the name of an argument of numpy.savez
    results = {"file": np.arange(6.0).reshape(2, 3), "z": np.array(1 + 2j)}
    (tmp_path / "y.npz").write_bytes(result_bytes(tmp_path / "y.npz", results))
    with np.load(tmp_path / "y.npz") as found:
        assert set(found) == set(results)
        for name, array in results.items():
            np.testing.assert_array_equal(found[name], array)
    assert result_bytes(tmp_path / "y.npz", results) == (tmp_path / "y.npz").read_bytes()
    (tmp_path / "y.npy").write_bytes(result_bytes(tmp_path / "y.npy", {"y": results["file"]}))
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), results["file"])


def test_tokens_are_rows_and_other_results_stay_as_they_are() -> None:
    whole = np.arange(12.0).reshape(3, 4)
    np.testing.assert_array_equal(joined([whole], None), whole)
    # columns are tokens, two evaluations, and the second without its padding
    np.testing.assert_array_equal(joined([whole[:, :2], whole[:, 2:3]], 3), whole[:, :3].T)
    np.testing.assert_array_equal(joined([whole[:, 0], whole[:, 1]], 2), whole[:, :2].T)
