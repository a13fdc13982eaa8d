"""Compare what slotlang reads with what PEFT itself computes, over many configurations of LoRA.

PEFT makes an adapter, random numbers take the place of its factors, and PEFT saves it. For each of its layers the
update is then measured, as ``layer(x) - base_layer(x)`` in double precision, and compared with slotlang's ``scaling *
up @ (down @ x)``. PEFT and torch are not among slotlang's dependencies:

    python -m venv build/peft
    build/peft/bin/pip install torch==2.13.0 && build/peft/bin/pip install peft==0.21.2
    PYTHONPATH=. build/peft/bin/python tests/adapter/peft_reference.py [--write]

``--write`` writes tests/adapter/peft_layouts.json: configurations, keys, dtypes and shapes as PEFT saved them, with the
ranks and scalings of PEFT's layers. tests/adapter/test_peft_layouts.py checks the same from that file, without torch.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import peft
import torch
from peft import AdaLoraConfig, LoHaConfig, LoraConfig
from peft.tuners.lora import LoraLayer
from safetensors import safe_open
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from slotlang.adapter import read_adapter
from slotlang.diagnostics import SlotError

LAYOUTS = Path(__file__).with_name("peft_layouts.json")


class Experts(nn.Module):
    """Stacked matrices, as mixtures of experts keep them."""

    def __init__(self) -> None:
        super().__init__()
        self.gate_up_proj = nn.Parameter(torch.randn(4, 16, 24))
        self.down_proj = nn.Parameter(torch.randn(4, 12, 16))

    def forward(self, x: Any) -> Any:
        """Not used: only layers that are products with x are measured."""
        return x @ self.gate_up_proj[0]


class Mixed(nn.Module):
    """Layers of many kinds."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(20, 16)
        self.q_proj = nn.Linear(16, 16, bias=False)
        self.up_proj = nn.Linear(16, 24)
        self.conv = nn.Conv2d(3, 8, 3)
        self.conv1 = nn.Conv1d(16, 8, 1)
        self.attn = nn.MultiheadAttention(16, 2)
        self.experts = Experts()
        self.head = nn.Linear(16, 5)

    def forward(self, x: Any) -> Any:
        """Not used as a whole."""
        return self.head(self.q_proj(x))


def llama() -> Any:
    """A Llama of two layers; k and v are narrower than q."""
    sizes: dict[str, int] = {"vocab_size": 40, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2}
    return LlamaForCausalLM(LlamaConfig(**sizes, num_attention_heads=4, num_key_value_heads=2))  # type: ignore[arg-type]


def gpt2() -> Any:
    """A GPT-2 of one layer: its Conv1D stores weights as (d_in x d_out)."""
    return GPT2LMHeadModel(GPT2Config(vocab_size=40, n_embd=16, n_layer=1, n_head=2, n_positions=8))


@dataclass(frozen=True)
class Case:
    """A configuration, the model it is for, and what must become of it.

    ``unusable``: ends of the paths that must be listed as such, "*" for all; ``code``: of a refusal of the folder.
    """

    name: str
    model: Callable[[], Any]
    config: Any
    unusable: tuple[str, ...] = ()
    code: str = ""
    base_changed: bool = False
    dtype: torch.dtype = torch.float32
    save: dict[str, Any] = field(default_factory=dict)
    adapter_name: str = "default"
    compiled: bool = False
    convert: bool = False
    reload: bool = False


QV = ["q_proj", "v_proj"]
ALL = "all-linear"


def lora(targets: Any = QV, **options: Any) -> LoraConfig:
    """A configuration with r = 4 and lora_alpha = 16 unless it says otherwise."""
    return LoraConfig(**{"r": 4, "lora_alpha": 16, "target_modules": targets, **options})


CASES = [
    Case("plain", llama, lora()),
    Case("all linear layers", llama, lora(ALL)),
    Case("a regular expression as target", llama, lora(r".*self_attn\.(q|k)_proj")),
    Case("rslora", llama, lora(use_rslora=True)),
    Case("another alpha", llama, lora(lora_alpha=3, r=6)),
    Case("rank pattern", llama, lora(rank_pattern={"q_proj": 2})),
    Case("alpha pattern", llama, lora(alpha_pattern={"layers.1.self_attn.v_proj": 5})),
    Case(
        "both patterns and rslora",
        llama,
        lora(rank_pattern={"q_proj": 8}, alpha_pattern={"v_proj": 7}, use_rslora=True),
    ),
    Case(
        "patterns that are regular expressions",
        llama,
        lora(ALL, rank_pattern={r"layers\.0\..*": 3, r"layers\.1\.(self_attn|mlp).*": 5}),
    ),
    # PEFT sorts keys when it saves, so that the adapter that it loads is not the one that it saved
    Case(
        "patterns that overlap, loaded again",
        llama,
        lora(alpha_pattern={"self_attn.q_proj": 8, "q_proj": 5, "^.*j": 3}),
        reload=True,
    ),
    Case("a pattern that matches nothing", llama, lora(alpha_pattern={"gate_proj": 99})),
    Case("one layer only", llama, lora(layers_to_transform=[1])),
    Case("excluded modules", llama, lora(ALL, exclude_modules=["down_proj"])),
    Case("bfloat16", llama, lora(), dtype=torch.bfloat16, save={"keep": True}),
    Case("float16", llama, lora(), dtype=torch.float16, save={"keep": True}),
    Case("gaussian start", llama, lora(init_lora_weights="gaussian")),
    Case("orthogonal start", llama, lora(init_lora_weights="orthogonal")),
    Case("mica start", llama, lora(init_lora_weights="mica")),
    Case("no start", llama, lora(init_lora_weights=False)),
    Case("a head that is saved whole", llama, lora(modules_to_save=["lm_head"])),
    Case("a head with LoRA", llama, lora(["q_proj", "lm_head"])),
    Case("an embedding with LoRA", llama, lora(["q_proj", "embed_tokens"]), unusable=("embed_tokens",)),
    Case("new tokens", llama, lora(trainable_token_indices=[1, 2])),
    Case("embeddings saved", llama, lora(), save={"save_embedding_layers": True}),
    Case("another adapter's name", llama, lora(), adapter_name="policy"),
    Case("torch.compile", llama, lora(), compiled=True),
    Case("GPT-2's transposed weights", gpt2, lora(["c_attn", "c_fc"], fan_in_fan_out=True)),
    Case("biases of LoRA's layers", gpt2, lora(["c_attn"], bias="lora_only", fan_in_fan_out=True), unusable=("*",)),
    Case("all biases", gpt2, lora(["c_attn"], bias="all", fan_in_fan_out=True), unusable=("*",)),
    Case("all biases, and the base has them", gpt2, lora(["c_attn"], bias="all"), base_changed=True),
    Case("DoRA", llama, lora(use_dora=True), unusable=("*",)),
    Case("a bias of lora_B", gpt2, lora(["c_attn"], lora_bias=True, fan_in_fan_out=True), unusable=("*",)),
    Case("convolutions beside", Mixed, lora(["q_proj", "conv", "conv1"]), unusable=("conv", "conv1")),
    Case("an attention's joint projection", Mixed, lora(["attn", "q_proj"]), unusable=("attn",)),
    Case("stacked experts", Mixed, lora(["q_proj"], target_parameters=["experts.gate_up_proj"]), unusable=("experts",)),
    Case(
        "two stacks of experts",
        Mixed,
        lora(["q_proj"], target_parameters=["experts.gate_up_proj", "experts.down_proj"]),
        unusable=("experts", "experts.base_layer"),
    ),
    Case("experts by a bare name", Mixed, lora(["q_proj"], target_parameters=["down_proj"]), unusable=("experts",)),
    Case("PiSSA", llama, lora(init_lora_weights="pissa"), unusable=("*",)),
    Case("PiSSA, and the base is changed", llama, lora(init_lora_weights="pissa_niter_4"), base_changed=True),
    Case("PiSSA converted", llama, lora(init_lora_weights="pissa"), convert=True),
    Case("PiSSA with rslora converted", llama, lora(init_lora_weights="pissa", use_rslora=True), convert=True),
    Case("OLoRA", llama, lora(init_lora_weights="olora"), unusable=("*",)),
    Case("OLoRA converted", llama, lora(init_lora_weights="olora"), convert=True),
    Case("AdaLoRA", llama, AdaLoraConfig(target_modules=QV, total_step=10, init_r=6), code="SL521"),
    Case("LoHa", llama, LoHaConfig(target_modules=QV), code="SL521"),
]


def randomize(model: Any) -> None:
    """Random factors, so that no update is zero."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name or "modules_to_save" in name:
                parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator, dtype=torch.float32))


def made(case: Case, folder: Path) -> tuple[Any, Path]:
    """The trained model of a case, and the folder where its adapter is saved."""
    torch.manual_seed(1)
    base = case.model().to(case.dtype)
    if case.compiled:
        base = torch.compile(base)
    options = dict(case.save)
    keep = options.pop("keep", False)
    model = peft.get_peft_model(
        base, copy.deepcopy(case.config), adapter_name=case.adapter_name, autocast_adapter_dtype=not keep
    )
    if case.convert:
        # as PEFT's documentation does it: kept before training as an adapter that starts where it is
        model.peft_config["default"].init_lora_weights = True
        model.save_pretrained(str(folder / "start"))
        model.peft_config["default"].init_lora_weights = case.config.init_lora_weights
        original = case.model
        torch.manual_seed(1)
        reference = original()
    randomize(model)
    if case.convert:
        options["path_initial_model_for_weight_conversion"] = str(folder / "start")
    trained = copy.deepcopy(model) if case.convert else model
    model.save_pretrained(str(folder / "adapter"), **options)
    if case.reload:
        torch.manual_seed(1)
        model = peft.PeftModel.from_pretrained(case.model(), str(folder / "adapter"))
    if case.convert:
        trained.reference = reference
        model = trained
    saved = folder / "adapter"
    return model, saved / case.adapter_name if case.adapter_name != "default" else saved


def layers(model: Any) -> dict[str, Any]:
    """PEFT's LoRA layers by their path in the base model."""
    inner = model.base_model.model
    every = {name.replace("_orig_mod.", ""): module for name, module in inner.named_modules()}
    return {name: module for name, module in every.items() if isinstance(module, LoraLayer)}


def measured(case: Case, model: Any, name: str, layer: Any) -> tuple[Any, Any]:
    """Random tokens, and what PEFT's layer adds to them to the original base, in double precision."""
    layer = layer.double()
    x = torch.randn(3, layer.in_features, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    base = layer.base_layer
    if case.convert:
        base = model.reference.get_submodule(name).double()
    with torch.no_grad():
        return x.numpy(), (layer(x) - base(x)).numpy()


def compare(case: Case) -> dict[str, Any]:
    """Check one case; its layout. Raises AssertionError."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(action="ignore"):
        model, saved = made(case, Path(folder))
        config = json.loads((saved / "adapter_config.json").read_text(encoding="utf-8"))
        with safe_open(saved / "adapter_model.safetensors", "pt") as file:
            tensors = {key: [file.get_slice(key).get_dtype(), file.get_slice(key).get_shape()] for key in file.keys()}  # noqa: SIM118
        layout: dict[str, Any] = {"name": case.name, "config": config, "tensors": tensors}
        layout |= {"base_changed": case.base_changed, "code": case.code}
        if case.code:
            try:
                read_adapter(saved)
            except SlotError as refused:
                assert [d.code for d in refused.diagnostics] == [case.code], refused
                return layout
            raise AssertionError(f"{case.name}: it was read")
        found = read_adapter(saved, base_changed=case.base_changed)
        expected = layers(model)
        listed = {u.name for u in found.unusable}
        assert listed | set(found.modules) >= {n for n in expected if not n.startswith("attn.")}, (case.name, listed)
        meant = set(expected) if case.unusable == ("*",) else {n for n in listed if n.endswith(case.unusable or "?")}
        assert listed == meant, (case.name, listed, meant)
        worst = 0.0
        modules = {}
        for name, module in found.modules.items():
            if name.startswith("attn."):
                continue
            layer = expected[name]
            rank, scaling = layer.r[case.adapter_name], layer.scaling[case.adapter_name]
            if case.convert:
                # PEFT's conversion doubles the rank
                rank, scaling = 2 * rank, scaling
            sizes = (rank, layer.in_features, layer.out_features)
            assert (module.rank, module.d_in, module.d_out) == sizes, (case.name, name)
            assert abs(module.scaling - scaling) <= 1e-12 * abs(scaling), (case.name, name, module.scaling, scaling)
            x, update = measured(case, model, name, layer)
            mine = module.scaling * (x @ module.down.T) @ module.up.T
            # PiSSA's and OLoRA's starts are float32 of the base weights
            tolerance = 1e-5 if case.convert else 1e-12
            error = float(np.abs(mine - update).max() / np.abs(update).max())
            assert error < tolerance, (case.name, name, error)
            worst = max(worst, error)
            modules[name] = {"rank": rank, "scaling": scaling, "d_in": module.d_in, "d_out": module.d_out}
        print(f"{case.name}: {len(modules)} modules, error {worst:.1e}; {len(listed)} can't be run", flush=True)
        return layout | {"modules": modules, "unusable": sorted(listed)}


def write(layouts: list[dict[str, Any]]) -> None:
    """Write the layouts: of a configuration what differs from the first, which stands there whole."""
    common = dict(layouts[0]["config"])
    for layout in layouts:
        config = layout["config"]
        layout["without"] = sorted(common.keys() - config.keys())
        layout["config"] = {key: value for key, value in config.items() if key not in common or common[key] != value}
    text = ",\n".join(json.dumps(layout, sort_keys=True) for layout in layouts)
    head = f'"peft": "{peft.__version__}",\n"config": {json.dumps(common, sort_keys=True)},\n'
    LAYOUTS.write_text(f'{{{head}"layouts": [\n{text}\n]}}\n', encoding="utf-8")


def main() -> int:
    """Compare all cases; with --write, write the layouts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write peft_layouts.json")
    options = parser.parse_args()
    failed = []
    layouts = []
    for case in CASES:
        try:
            layouts.append(compare(case))
        except Exception as problem:
            failed.append(case.name)
            print(f"FAILED {case.name}: {type(problem).__name__}: {problem}"[:600], flush=True)
    versions = f"PEFT {peft.__version__}, torch {torch.__version__}"
    print(f"{len(layouts)} of {len(CASES)} configurations agree with {versions}")
    if options.write and not failed:
        write(layouts)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
