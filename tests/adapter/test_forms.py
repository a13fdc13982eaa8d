"""Forms that adapters have outside of PEFT's own examples: read, or named with the next step."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from adapter_files import CONFIG, PREFIX, factors_layout, random_safetensors, raw_safetensors, write_adapter

from slotlang.adapter import read_adapter
from slotlang.diagnostics import Diagnostic, SlotError

QUERY = "model.layers.0.self_attn.q_proj"
LAYOUT = factors_layout(QUERY, 8, 6)
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 612\n"


def refused(folder: Path, code: str, module: str = "") -> Diagnostic:
    with pytest.raises(SlotError) as caught:
        adapter = read_adapter(folder)
        if module:
            adapter.module(module)
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == code, diagnostic
    assert diagnostic.hint
    return diagnostic


def renamed(key: str) -> dict[str, Any]:
    """The layout with this form of its keys; ``{path}`` and ``{side}`` stand for what they say."""
    return {key.format(path=QUERY, side=side): ("F32", [4, 6] if side == "A" else [8, 4]) for side in "AB"}


@pytest.mark.parametrize(
    ("key", "note"),
    [
        ("base_model.model.{path}.lora_{side}.weight", ""),
        ("base_model.model.{path}.lora_{side}.default.weight", ""),
        ("base_model.model.{path}.lora_{side}.policy.weight", "the adapter's name 'policy'"),
        ("{path}.lora_{side}.weight", "do not begin with base_model.model."),
        ("_orig_mod.base_model.model.{path}.lora_{side}.weight", "_orig_mod, which torch.compile"),
        ("base_model.model._orig_mod.{path}.lora_{side}.weight", "_orig_mod, which torch.compile"),
        ("base_model.model.{path}._orig_mod.lora_{side}.weight", "_orig_mod, which torch.compile"),
        ("module.base_model.model.{path}.lora_{side}.weight", ""),
        ("_fsdp_wrapped_module.base_model.model.{path}.lora_{side}.weight", "which FSDP put there"),
    ],
)
def test_keys_that_are_read(tmp_path: Path, key: str, note: str) -> None:
    layout = renamed(key)
    values = list(write_adapter(tmp_path, layout).values())
    adapter = read_adapter(tmp_path)
    module = adapter.module("q_proj")
    assert module.name == QUERY
    np.testing.assert_array_equal(module.down, values[0])
    np.testing.assert_array_equal(module.up, values[1])
    assert [note in text for text in adapter.notes] == ([True] if note else [])


def test_old_configurations(tmp_path: Path) -> None:
    old = {
        "enable_lora": None,
        "merge_weights": False,
        "bias": "none",
        "fan_in_fan_out": False,
        "target_modules": ["q"],
    }
    write_adapter(tmp_path, LAYOUT, **old)
    assert read_adapter(tmp_path).module("q_proj").scaling == 4.0
    # null stands for false in files of other programs
    write_adapter(tmp_path, LAYOUT, use_rslora=None, rank_pattern=None, init_lora_weights=None)
    assert read_adapter(tmp_path).module("q_proj").scaling == 4.0


def test_an_adapter_below_the_folder_is_named(tmp_path: Path) -> None:
    write_adapter(tmp_path / "run" / "checkpoint-500", LAYOUT)
    found = refused(tmp_path / "run", "SL501")
    assert found.hint == f"give the folder {tmp_path / 'run' / 'checkpoint-500'}"
    # as deep as trainers put them
    assert "run/checkpoint-500" in refused(tmp_path, "SL501").hint
    write_adapter(tmp_path / "run" / "policy", LAYOUT)
    assert refused(tmp_path / "run", "SL501").notes == ("in checkpoint-500, policy",)


def shards(folder: Path, count: int, index: bool) -> dict[str, np.ndarray[Any, Any]]:
    """An adapter with a module in each shard."""
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps(CONFIG))
    names, every = {}, {}
    for i in range(count):
        name = f"adapter_model-{i + 1:05}-of-{count:05}.safetensors"
        content, values = random_safetensors(factors_layout(f"layers.{i}.q_proj", 8, 6), i)
        (folder / name).write_bytes(content)
        names |= dict.fromkeys(values, name)
        every |= values
    if index:
        text = json.dumps({"metadata": {}, "weight_map": names})
        (folder / "adapter_model.safetensors.index.json").write_text(text)
    return every


@pytest.mark.parametrize("index", [True, False])
def test_shards(tmp_path: Path, index: bool) -> None:
    values = shards(tmp_path / "a", 3, index)
    adapter = read_adapter(tmp_path / "a")
    assert list(adapter.modules) == [f"layers.{i}.q_proj" for i in range(3)]
    for name, module in adapter.modules.items():
        np.testing.assert_array_equal(module.up, values[f"{PREFIX}{name}.lora_B.weight"])
    (tmp_path / "a" / "adapter_model-00002-of-00003.safetensors").unlink()
    found = refused(tmp_path / "a", "SL501")
    assert found.message == "1 of 3 shards of the weights are missing"
    assert "adapter_model-00002-of-00003.safetensors" in found.notes[0]


@pytest.mark.parametrize("name", ["../other.safetensors", "/etc/passwd", "", 3, "a.bin", "x/y.safetensors"])
def test_an_index_leads_nowhere_else(tmp_path: Path, name: object) -> None:
    shards(tmp_path / "a", 1, False)
    path = tmp_path / "a" / "adapter_model.safetensors.index.json"
    path.write_text(json.dumps({"weight_map": {"x": name}}))
    with pytest.raises(SlotError, match=r"SL501: .*index.json names a file that is not a shard"):
        read_adapter(tmp_path / "a")


def test_a_module_in_two_shards_is_not_read(tmp_path: Path) -> None:
    shards(tmp_path / "a", 2, False)
    first, second = sorted((tmp_path / "a").glob("*.safetensors"))
    second.write_bytes(first.read_bytes())
    with pytest.raises(SlotError, match="there twice") as found:
        read_adapter(tmp_path / "a").module("q_proj")
    assert "more than one shard holds 'base_model.model." in str(found.value)


def test_an_index_that_names_a_tensor_too_many(tmp_path: Path) -> None:
    shards(tmp_path / "a", 2, True)
    path = tmp_path / "a" / "adapter_model.safetensors.index.json"
    index = json.loads(path.read_text())
    index["weight_map"][f"{PREFIX}o_proj.lora_A.weight"] = "adapter_model-00001-of-00002.safetensors"
    path.write_text(json.dumps(index))
    found = refused(tmp_path / "a", "SL501")
    assert found.message == "adapter_model.safetensors.index.json names 1 tensor that no shard holds"
    assert found.notes == (f"{PREFIX}o_proj.lora_A.weight",)


@pytest.mark.parametrize("count", [2, 3])
def test_an_index_that_leaves_out_a_shard_of_the_folder(tmp_path: Path, count: int) -> None:
    """One of its own set, or one of another."""
    shards(tmp_path / "a", 2, True)
    path = tmp_path / "a" / "adapter_model.safetensors.index.json"
    first = "adapter_model-00001-of-00002.safetensors"
    if count == 2:
        named = json.loads(path.read_text())["weight_map"].items()
        path.write_text(json.dumps({"weight_map": {key: name for key, name in named if name == first}}))
    other = tmp_path / "a" / f"adapter_model-00002-of-{count:05}.safetensors"
    other.write_bytes((tmp_path / "a" / first).read_bytes())
    found = refused(tmp_path / "a", "SL501")
    assert "1 shard in the folder is not in" in found.message and found.notes == (other.name,)


def test_one_file_beside_shards(tmp_path: Path) -> None:
    shards(tmp_path / "a", 2, False)
    first = tmp_path / "a" / "adapter_model-00001-of-00002.safetensors"
    (tmp_path / "a" / "adapter_model.safetensors").write_bytes(first.read_bytes())
    found = refused(tmp_path / "a", "SL501")
    assert found.message == "the weights are there twice" and first.name in found.notes[0]


@pytest.mark.parametrize(
    "name", ["adapter_config.json", "adapter_model.safetensors", "adapter_model.safetensors.index.json"]
)
def test_pointers_of_git_lfs(tmp_path: Path, name: str) -> None:
    shards(tmp_path / "a", 1, True)
    (tmp_path / "a" / name).write_bytes(POINTER)
    found = refused(tmp_path / "a", "SL501")
    assert found.message == f"{name} is a git-lfs pointer, not the file itself"
    assert "git lfs pull" in found.hint


def test_a_pickle_alone(tmp_path: Path) -> None:
    write_adapter(tmp_path, LAYOUT)
    (tmp_path / "adapter_model.safetensors").rename(tmp_path / "adapter_model.bin")
    found = refused(tmp_path, "SL501")
    assert "only adapter_model.bin is there, a pickle" in found.notes[0]
    assert "torch.load('adapter_model.bin'" in found.hint


@pytest.mark.parametrize("shape", [[0], [0, 6]])
def test_what_zero_3_saves_without_gathering(tmp_path: Path, shape: list[int]) -> None:
    keys = [f"{PREFIX}{QUERY}.lora_{side}.weight" for side in "AB"]
    write_adapter(tmp_path, dict.fromkeys(keys, ("F32", shape)) | factors_layout("layers.1.q", 8, 6))
    assert list(read_adapter(tmp_path).modules) == ["layers.1.q"]
    found = refused(tmp_path, "SL504", QUERY)
    assert "ZeRO-3" in found.message
    assert "stage3_gather_16bit_weights_on_model_save" in found.hint


@pytest.mark.parametrize(
    ("config", "words", "hint"),
    [
        ({"peft_type": "ADALORA", "r": 4, "lora_alpha": 8}, "an AdaLoRA adapter", "lora_A * lora_E"),
        ({"peft_type": "LOHA", "r": 4}, "peft_type must be 'LORA', not 'LOHA'", "save_as_lora"),
        ({"fine_tune_type": "lora", "lora_parameters": {"rank": 4, "scale": 20.0}}, "one of MLX", "lora_a.T"),
        ({"model_name": "bert", "config": {"architecture": "lora", "r": 8}}, "library adapters", "save the adapter"),
        ({"model_type": "llama", "architectures": ["Llama"]}, "that of a whole model", "folder of the adapter"),
        ({"r": 4}, "not a PEFT configuration", "save_pretrained"),
        ({"peft_type": None}, "peft_type must be 'LORA', not null", "save_pretrained"),
        ({"peft_type": ["LORA"]}, "peft_type must be 'LORA', not an array", "save_pretrained"),
    ],
)
def test_configurations_of_others(tmp_path: Path, config: dict[str, object], words: str, hint: str) -> None:
    write_adapter(tmp_path, LAYOUT)
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    found = refused(tmp_path, "SL521")
    assert words in found.message
    assert hint in found.hint


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (("lora_unet_q.lora_down.weight", "lora_unet_q.lora_up.weight"), "kohya's scripts"),
        (("layers.0.q_proj.lora_a", "layers.0.q_proj.lora_b"), "MLX"),
    ],
)
def test_keys_of_others(tmp_path: Path, keys: tuple[str, ...], words: str) -> None:
    write_adapter(tmp_path, {key: ("F32", [4, 4]) for key in keys})
    assert words in refused(tmp_path, "SL521").message


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("pytorch_lora_weights.safetensors", "diffusers"),
        ("adapters.safetensors", "MLX"),
        ("model.safetensors", "a whole model"),
    ],
)
def test_folders_of_others(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / name).write_bytes(raw_safetensors({}))
    assert words in refused(tmp_path, "SL521").message


@pytest.mark.parametrize(
    ("init", "what"),
    [
        ("pissa", "path_initial_model_for_weight_conversion"),
        ("pissa_niter_16", "path_initial_model_for_weight_conversion"),
        ("PISSA", "path_initial_model_for_weight_conversion"),
        ("olora", "path_initial_model_for_weight_conversion"),
        ("corda", "path_initial_model_for_weight_conversion"),
        ("lora_ga", "path_initial_model_for_weight_conversion"),
        ("loftq", "quantized base"),
        ("something new", "find out"),
        (3, "find out"),
        ([], "find out"),
    ],
)
def test_an_update_of_a_changed_base_is_never_silent(tmp_path: Path, init: object, what: str) -> None:
    write_adapter(tmp_path, LAYOUT, init_lora_weights=init)
    assert not read_adapter(tmp_path).modules
    found = refused(tmp_path, "SL520", "q_proj")
    assert what in found.hint and "--base-changed" in found.hint
    assert list(read_adapter(tmp_path, base_changed=True).modules) == [QUERY]


@pytest.mark.parametrize("init", [True, False, None, "gaussian", "Gaussian", "eva", "orthogonal", "mica"])
def test_starts_that_leave_the_base_alone(tmp_path: Path, init: object) -> None:
    write_adapter(tmp_path, LAYOUT, init_lora_weights=init)
    assert list(read_adapter(tmp_path).modules) == [QUERY]


@pytest.mark.parametrize("bias", ["all", "lora_only", "something"])
def test_trained_biases(tmp_path: Path, bias: str) -> None:
    write_adapter(tmp_path, LAYOUT, bias=bias)
    assert f"bias is '{bias}'" in refused(tmp_path, "SL520", "q_proj").message
    assert list(read_adapter(tmp_path, base_changed=True).modules) == [QUERY]


@pytest.mark.parametrize(
    ("targets", "parameters", "unusable"),
    [
        (["q_proj"], ["mlp.experts.down_proj"], ["layers.0.mlp.experts"]),
        (["q_proj"], ["layers.1.mlp.experts.down_proj"], []),
        (["q_proj"], ["xperts.down_proj"], []),
        # a bare name may be a parameter of any module: only those that target_modules names are layers
        (["q_proj"], ["down_proj"], ["layers.0.mlp.experts"]),
        ("all-linear", ["down_proj"], ["layers.0.mlp.experts", "layers.0.q_proj"]),
    ],
)
def test_stacked_experts(tmp_path: Path, targets: object, parameters: list[str], unusable: list[str]) -> None:
    layout = factors_layout("layers.0.q_proj", 8, 6) | factors_layout("layers.0.mlp.experts", 8, 6)
    write_adapter(tmp_path, layout, target_modules=targets, target_parameters=parameters)
    assert [u.name for u in read_adapter(tmp_path).unusable] == unusable


def test_keys_of_a_pattern_that_overlap_are_said(tmp_path: Path) -> None:
    # PEFT sorts the keys when it saves, so the first one in the file need not be the first one of the training
    write_adapter(tmp_path, LAYOUT, alpha_pattern={"q_proj": 8, "self_attn.q_proj": 2, "0.self_attn.q_proj": 8})
    adapter = read_adapter(tmp_path)
    assert adapter.module("q_proj").scaling == 2.0
    (warning,) = adapter.warnings
    assert warning.code == "SL525"
    assert "'q_proj' and 'self_attn.q_proj' of alpha_pattern" in warning.message


def test_the_only_module(tmp_path: Path) -> None:
    write_adapter(tmp_path / "one", LAYOUT)
    assert read_adapter(tmp_path / "one").only().name == QUERY
    write_adapter(tmp_path / "two", LAYOUT | factors_layout("v", 8, 6))
    with pytest.raises(SlotError, match="SL502: this adapter has 2 modules"):
        read_adapter(tmp_path / "two").only()
    # one that can be run beside one that can't: nobody said which is meant
    write_adapter(tmp_path / "half", LAYOUT | {f"{PREFIX}e.lora_embedding_A": ("F32", [4, 9])})
    with pytest.raises(SlotError) as refused:
        read_adapter(tmp_path / "half").only()
    (problem,) = refused.value.diagnostics
    assert problem.code == "SL502" and problem.message == f"of this adapter's 2 modules one can be run, {QUERY}"
    assert len(problem.notes) == 1 and problem.notes[0].startswith("e can't be run: it is an embedding")
    assert problem.hint == f"run it with --module {QUERY}"
    more = {f"{PREFIX}{name}.lora_embedding_A": ("F32", [4, 9]) for name in "efgh"}
    write_adapter(tmp_path / "more", LAYOUT | factors_layout("v", 8, 6) | more)
    with pytest.raises(SlotError) as refused:
        read_adapter(tmp_path / "more").only()
    (problem,) = refused.value.diagnostics
    # one note for each reason, however many modules have it
    assert problem.message == "this adapter has 2 modules" and problem.notes[1].startswith(
        "e, f, g and 1 more can't be"
    )
    write_adapter(tmp_path / "none", LAYOUT, use_dora=True)
    with pytest.raises(SlotError, match=r"SL503: .* can't be run: use_dora"):
        read_adapter(tmp_path / "none").only()
    write_adapter(tmp_path / "none", LAYOUT | factors_layout("v", 8, 6), use_dora=True)
    with pytest.raises(SlotError, match="SL503: no module can be run"):
        read_adapter(tmp_path / "none").only()
