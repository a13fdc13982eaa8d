"""What an adapter holds, summed up: groups, names with numbers in common, and a screen that is not overrun."""

from __future__ import annotations

from pathlib import Path

import pytest
from adapter_files import PREFIX, factors_layout, write_adapter

from slotlang.adapter import read_adapter
from slotlang.adapter.summary import groups, names_together, to_json
from slotlang.cli.adapters import lines

LLAMA = {
    "self_attn.q_proj": (32, 32),
    "self_attn.k_proj": (8, 32),
    "self_attn.v_proj": (8, 32),
    "self_attn.o_proj": (32, 32),
    "mlp.gate_proj": (56, 32),
    "mlp.up_proj": (56, 32),
    "mlp.down_proj": (32, 56),
}
"""A 32-layer model's modules in small: 224 of them, of four shapes."""


def big(folder: Path, **config: object) -> Path:
    layout = {}
    for i in range(32):
        for name, (d_out, d_in) in LLAMA.items():
            layout |= factors_layout(f"model.layers.{i}.{name}", d_out, d_in, 2, "BF16")
    write_adapter(folder, layout, r=2, lora_alpha=4, **config)
    return folder


def test_224_modules_fit_on_a_screen(tmp_path: Path) -> None:
    adapter = read_adapter(big(tmp_path, alpha_pattern={"k_proj": 6}))
    found = groups(adapter)
    assert {(g.d_out, g.d_in, g.scaling, len(g.modules)) for g in found} == {
        (32, 32, 2.0, 64),
        (56, 32, 2.0, 64),
        (8, 32, 3.0, 32),
        (8, 32, 2.0, 32),
        (32, 56, 2.0, 32),
    }
    assert sum(g.bytes for g in found) == sum(2 * 2 * (a + b) for a, b in LLAMA.values()) * 32
    text = lines(adapter)
    assert len(text) < 24
    assert all(len(line) < 100 for line in text[1:])
    assert "    model.layers.{0-31}.self_attn.q_proj (32)" in text
    assert any("scaling 3 = alpha_pattern['k_proj'] / r, bfloat16" in line for line in text)


def test_a_refused_adapter_fits_on_a_screen_too(tmp_path: Path) -> None:
    text = lines(read_adapter(big(tmp_path, init_lora_weights="pissa")))
    assert len(text) < 24
    assert "224 modules can't be run: init_lora_weights is 'pissa'" in "\n".join(text)


@pytest.mark.parametrize(
    ("names", "together"),
    [
        (["a.0.q", "a.1.q", "a.2.q"], [("a.{0-2}.q", 3)]),
        (["a.0.q", "a.2.q", "a.3.q"], [("a.{0,2-3}.q", 3)]),
        (["a.7.q"], [("a.7.q", 1)]),
        (["a.0.q", "a.0.v"], [("a.0.q", 1), ("a.0.v", 1)]),
        (["a.0.b.1", "a.1.b.1"], [("a.{0-1}.b.1", 2)]),
        # a number in a name is part of the name
        (["conv1", "conv2"], [("conv1", 1), ("conv2", 1)]),
        (["a.1", "a.10"], [("a.{1,10}", 2)]),
        ([], []),
    ],
)
def test_names_together(names: list[str], together: list[tuple[str, int]]) -> None:
    assert names_together(names) == together


def test_everything_is_in_the_json(tmp_path: Path) -> None:
    layout = factors_layout("q", 8, 6) | factors_layout("v", 8, 6, 3)
    layout |= {f"{PREFIX}e.lora_embedding_A": ("F32", [4, 9]), f"{PREFIX}head.weight": ("F32", [2, 2])}
    write_adapter(tmp_path, layout, rank_pattern={"v": 3, "k": 9}, use_rslora=True, base_model_name_or_path="org/m")
    found = to_json(read_adapter(tmp_path))
    assert (found["base_model"], found["modules"]) == ("org/m", 2)
    (q, v) = found["groups"]  # type: ignore[misc]
    assert (q["rule"], q["scaling"], q["dtype"], q["bytes"]) == ("lora_alpha / sqrt(r)", 8.0, "float32", 4 * 4 * 14)
    assert (v["rule"], v["modules"]) == ("lora_alpha / sqrt(rank_pattern['v'])", ["v"])
    (e,) = found["unusable"]  # type: ignore[misc]
    assert (e["module"], e["code"]) == ("e", "SL504")
    assert found["unused_tensors"] == [f"{PREFIX}head.weight"]
    assert [w["code"] for w in found["warnings"]] == ["SL522"]  # type: ignore[attr-defined]
