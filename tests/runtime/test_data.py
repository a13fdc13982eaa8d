"""Data of a run: random or from a file, and the error of a result."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_programs import LORA, case
from worlds import emitted

from slotlang import api
from slotlang.run import runner
from slotlang.run.runner import load_module
from slotlang_runtime import data
from slotlang_runtime.data import random_data, read_data, relative_error
from slotlang_runtime.errors import Rejected


def test_relative_errors() -> None:
    assert relative_error([3.0, 4.0], [3.0, 4.0]) == 0
    assert relative_error([2.0, 2.0], [1.0, 1.0]) == 1
    assert relative_error([3.0, 0.0], [0.0, 4.0]) == pytest.approx(5 / 4)
    assert relative_error([1j, 1.0], [1.0, 1.0]) == pytest.approx(1.0)
    # where nothing is expected, the error itself
    assert relative_error([3.0, 4.0], [0.0, 0.0]) == pytest.approx(5 / 2**0.5)
    # squares of these numbers vanish, or overflow
    assert relative_error([0.0, 1e-300], [1e-300, 1e-300]) == pytest.approx(2**-0.5)
    assert relative_error([0.0, 1e300], [1e300, 1e300]) == pytest.approx(2**-0.5)


@pytest.mark.parametrize("name", ["horner and doubling", "a sparse pattern", "products of ciphertexts"])
def test_random_data_are_those_of_a_run(name: str) -> None:
    """The same numbers by the same seed, from the module and from its program."""
    program = api.loads(case(name).text)
    module = load_module(emitted(program).text)
    for seed in (0, 5):
        inputs, weights = random_data(module, seed)
        theirs = runner.random_data(program, seed)
        for ours, others in zip((inputs, weights), theirs, strict=True):
            assert ours.keys() == others.keys()
            assert all(np.array_equal(ours[n], others[n]) for n in ours)
    again = random_data(module, 1)[0]
    assert any(not np.array_equal(again[n], inputs[n]) for n in inputs)


def test_random_weights_keep_products_near_one() -> None:
    module = load_module(emitted(LORA).text)
    _, weights = random_data(module, 0)
    assert weights["scale"] == 1.0
    for name, shape in module.weights.items():
        assert np.std(weights[name]) * shape[-1] ** 0.5 == pytest.approx(1, rel=0.3)


def test_random_data_are_as_large_as_bounds_allow() -> None:
    """Elements beyond their bound are cut off there, as the data are that promises are about: were all scaled down to
    the largest of 512, powers of them would almost vanish."""
    text = LORA + "bound |x| <= 1\nbound |A| <= 1/8\n"
    inputs, weights = runner.random_data(api.loads(text), 0)
    free_inputs, free_weights = runner.random_data(api.loads(LORA), 0)
    assert np.array_equal(inputs["x"], np.clip(free_inputs["x"], -1, 1))
    assert np.array_equal(weights["A"], np.clip(free_weights["A"], -1 / 8, 1 / 8))
    assert np.array_equal(weights["B"], free_weights["B"])


class File:
    """An .npz file to be read in the place of two arrays."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "data.npz"
        self.inputs: dict[str, Any] = {"x": np.zeros((3, 2))}
        self.weights: dict[str, Any] = {"A": np.zeros(4), "s": 1.0}

    def read(self) -> list[str]:
        return read_data(self.path, self.inputs, self.weights)

    def refused(self) -> str:
        with pytest.raises(Rejected) as found:
            self.read()
        assert not self.inputs["x"].any() and self.weights["s"] == 1.0
        return str(found.value)


@pytest.fixture
def file(tmp_path: Path) -> File:
    return File(tmp_path)


def header(shape: str, kind: str = "'<f8'", version: tuple[int, int] = (1, 0)) -> bytes:
    text = f"{{'descr': {kind}, 'fortran_order': False, 'shape': {shape}}}".ljust(117) + "\n"
    size = len(text).to_bytes(2 if version == (1, 0) else 4, "little")
    return b"\x93NUMPY" + bytes(version) + size + text.encode()


def archive(path: Path, **members: bytes) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as stream:
        for name, content in members.items():
            stream.writestr(f"{name}.npy", content)


def test_arrays_take_the_place_of_others(file: File) -> None:
    x = np.arange(6.0).reshape(3, 2)
    np.savez(file.path, x=x, s=np.array(2.5))
    assert file.read() == ["A"]
    assert np.array_equal(file.inputs["x"], x) and file.weights["s"] == 2.5
    assert not file.weights["A"].any()
    np.savez_compressed(file.path, A=np.ones(4, np.float32))
    file.read()
    assert file.weights["A"].tolist() == [1, 1, 1, 1]
    archive(file.path, A=header("(4,)", version=(2, 0)) + np.full(4, 7.0).tobytes())
    file.read()
    assert file.weights["A"].tolist() == [7, 7, 7, 7]


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"nobody": header("(4,)") + bytes(32)}, "it holds 'nobody'; the names here are x, A, s"),
        ({"x" * 99: b""}, "it holds '" + "x" * 60 + "'; the names"),
        ({"A": header("(4,)") + bytes(31)}, "A does not have the length its header says"),
        ({"A": header("(4,)") + bytes(33)}, "A does not have the length its header says"),
        ({"A": header("(1 << 40,)".replace("1 << 40", str(1 << 40))) + bytes(32)}, "A does not have the length"),
        ({"A": header("(4,)", "'|O'") + bytes(32)}, "A holds Python objects"),
        ({"A": header("(4,)") + bytes(10000)}, "A is larger than the array that belongs there"),
        ({"A": header("(4,)", "'nonsense'") + bytes(32)}, ""),
        ({"A": header("(-4,)") + bytes(32)}, ""),
        ({"A": b"no numpy"}, ""),
        ({"A": b""}, ""),
    ],
)
def test_members_that_are_not_what_belongs_there(file: File, members: dict[str, bytes], message: str) -> None:
    archive(file.path, **members)
    assert file.refused().startswith(f"{file.path} is not an .npz file of arrays for this program: {message}")


def test_a_member_that_expands_to_gigabytes_is_not_expanded(file: File, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(file.path, "w", zipfile.ZIP_DEFLATED) as stream:
        stream.writestr("A.npy", header("(4,)") + bytes(1 << 24))
    sizes: list[int] = []
    read = data._read_array

    def seen(name: str, content: bytes, limit: int) -> Any:
        sizes.append(len(content))
        return read(name, content, limit)

    monkeypatch.setattr(data, "_read_array", seen)
    assert "larger than the array that belongs there" in file.refused()
    assert sizes == [4096 + 16 * 4 + 1]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and then nothing", b"x" * 100])
def test_files_that_are_not_archives(file: File, content: bytes) -> None:
    file.path.write_bytes(content)
    message = file.refused()
    assert message.startswith(f"{file.path} is not an .npz file of arrays for this program: ") and len(message) <= 300


def test_a_single_array_is_not_an_archive(file: File) -> None:
    stream = io.BytesIO()
    np.save(stream, np.zeros(3))
    file.path.write_bytes(stream.getvalue())
    assert "is not an .npz file" in file.refused()


def test_folders_and_absent_files(file: File) -> None:
    assert file.refused() == f"{file.path} can't be read: No such file or directory"
    file.path.mkdir()
    assert file.refused() == f"{file.path} is not a regular file"
