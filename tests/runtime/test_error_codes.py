"""Every refusal of the runtime has a code that is explained, whatever the user's arrays and files are."""

from __future__ import annotations

import ast
import inspect
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from worlds import PAIRS, emitted

import slotlang_runtime
from slotlang.run.runner import load_module, random_data
from slotlang_runtime import Client, EvaluationKeys, Rejected, Server, Weights, errors
from slotlang_runtime.module import Module
from slotlang_runtime.script import main
from slotlang_runtime.workers import Pool

CODES = {name for name in vars(errors) if name.isupper()}
"""``test_limits`` has them with what they mean."""


def test_every_refusal_names_its_code() -> None:
    seen = 0
    for path in sorted(Path(slotlang_runtime.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.func.id != "Rejected":
                continue
            place = f"{path.name}:{node.lineno}"
            seen += 1
            if isinstance(node.args[0], ast.Starred):
                # the message and the code of another refusal, from a worker
                assert len(node.args) == 1 and path.name == "workers.py", place
                continue
            _, code, *_ = node.args
            carried = isinstance(code, ast.Attribute) and code.attr == "code"
            named = isinstance(code, ast.Name) and (
                code.id in CODES or (code.id == "code" and path.name == "version.py")
            )
            assert carried or named, place
    assert seen > 80
    # and no other way to make one without
    assert inspect.signature(Rejected).parameters["code"].default is inspect.Parameter.empty


@pytest.fixture(scope="module")
def module() -> Module:
    return load_module(emitted(PAIRS).text)


ONES = np.ones(8)
BFLOAT16 = np.full(8, 0x3F80, np.uint16)
BAD: dict[str, Any] = {
    "NaN": np.full(8, np.nan),
    "infinity": np.array([np.inf, *ONES[1:]]),
    "a long double beyond a double": np.full(8, np.longdouble("1e400")),
    "shape": np.ones(7),
    "axes": np.ones((8, 1)),
    "strings": np.full(8, "1"),
    "objects": np.full(8, None),
    "truth values": np.ones(8, bool),
    "complex": np.ones(8, complex),
    "dates": np.zeros(8, "datetime64[s]"),
    "ragged": [[1, 2], [3]],
    "masked": np.ma.masked_array(ONES, False),
    "nothing": None,
    "bfloat16": BFLOAT16,
    "bfloat16, signed": BFLOAT16.view(np.int16),
    "float16": ONES.astype(np.float16).view(np.uint16),
    "float32": ONES.astype(np.float32).view(np.int32),
    "float64": ONES.view(np.int64),
    "float64, unsigned": ONES.view(np.uint64),
    "quantized": np.full(8, 127, np.int8),
    "the smallest integer": np.full(8, np.iinfo(np.int64).min),
}


def to_weight(value: Any) -> Any:
    """The same fault in a weight of 4 x 8."""
    if isinstance(value, np.ma.MaskedArray):
        return np.ma.masked_array(np.ones((4, 8)), False)
    return np.broadcast_to(value, (4, *np.shape(value))) if isinstance(value, np.ndarray) else value


@pytest.mark.parametrize("fault", BAD)
def test_arrays(
    fault: str, module: Module, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    value = BAD[fault]
    weights = {"A": np.ones((8, 4)) / 8, "B": to_weight(value)}
    client = Client(module)
    for run in (partial(client.encrypt, x=value), partial(Weights.encode, module, **weights)):
        with pytest.raises(Rejected) as refused:
            run()
        assert refused.value.code == "SL523", refused.value
        if fault in ("bfloat16", "bfloat16, signed"):
            # one is 0x3f80
            assert "16256" in str(refused.value) and "float()" in str(refused.value)
    if fault not in ("ragged", "masked"):
        np.savez(tmp_path / "data.npz", x=value)
        assert main(module, ["--data", str(tmp_path / "data.npz")]) == 2
        assert capsys.readouterr().err.startswith("error[SL523]: ")


def test_arrays_that_convert_themselves_and_fail(module: Module) -> None:
    class Gradient:
        def __array__(self, *_: Any, **__: Any) -> Any:
            raise RuntimeError("call detach() first")

    with pytest.raises(Rejected, match=r"x is not an array: call detach\(\) first") as refused:
        Client(module).encrypt(x=Gradient())
    assert refused.value.code == "SL523"


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.int64, np.uint64])
def test_small_whole_numbers_are_numbers(module: Module, kind: Any) -> None:
    x = np.array([3, 0, 1, 2, 3, 0, 1, 2], kind) * (kind(-1) if np.issubdtype(kind, np.signedinteger) else kind(1))
    client = Client(module)
    A, B = np.ones((8, 4), kind), np.ones((4, 8), kind)
    server = Server(Weights.encode(module, A=A, B=B))
    found = client.decrypt(
        server.evaluate(client.encrypt(x=x), EvaluationKeys.from_bytes(client.evaluation_keys())).data
    )
    np.testing.assert_allclose(found, A.astype(float) @ B.astype(float) @ x.astype(float), atol=0.05)


def test_names_and_scalars(module: Module) -> None:
    client, weights = Client(module), {"A": np.ones((8, 4)), "B": np.ones((4, 8))}
    for run in (
        client.encrypt,
        partial(client.encrypt, y=ONES),
        partial(client.encrypt, x=ONES, y=ONES),
        partial(Weights.encode, module, A=weights["A"]),
        partial(Weights.encode, module, **weights, C=1.0),
    ):
        with pytest.raises(Rejected) as refused:
            run()
        assert refused.value.code == "SL523"


def test_files(module: Module, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "text.npz").write_text("no archive")
    np.savez(tmp_path / "other.npz", z=ONES)
    for name in ("text.npz", "other.npz", "nowhere.npz", ".", "a" * 300):
        assert main(module, ["--data", str(tmp_path / name)]) == 2
        assert capsys.readouterr().err.startswith("error[SL523]: "), name
    assert main(module, ["--seed", "-1"]) == 2
    assert capsys.readouterr().err.startswith("error[SL005]: ")


def test_bytes(module: Module) -> None:
    _, drawn = random_data(emitted(PAIRS).plan.program, 0)
    client = Client(module)
    weights = Weights.encode(module, **drawn)
    keys = client.evaluation_keys()
    server, own = Server(weights), EvaluationKeys.from_bytes(keys)
    upload = client.encrypt(x=ONES)
    for kept, load in (
        (keys, EvaluationKeys.from_bytes),
        (weights.to_bytes(), partial(Weights.from_bytes, module)),
        (upload, lambda data: server.evaluate(data, own)),
        (server.evaluate(upload, own).data, client.decrypt),
    ):
        damaged = bytearray(kept)
        damaged[-1] ^= 1
        for data in (b"", kept[:-1], bytes(damaged), kept + b"\0", None):
            with pytest.raises(Rejected) as refused:
                load(data)  # type: ignore[operator]
            assert refused.value.code == "SL543", refused.value
        other = upload if kept is not upload else keys
        with pytest.raises(Rejected) as refused:
            load(other)  # type: ignore[operator]
        assert refused.value.code == "SL544", refused.value


def test_a_worker_passes_the_code_on(module: Module) -> None:
    _, drawn = random_data(emitted(PAIRS).plan.program, 0)
    client = Client(module)
    keys = EvaluationKeys.from_bytes(client.evaluation_keys())
    with Pool(Server(Weights.encode(module, **drawn)), keys, 1) as pool, pytest.raises(Rejected) as refused:
        pool.evaluate([b"damaged"])
    assert refused.value.code == "SL543"
