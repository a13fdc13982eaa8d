"""The layouts that PEFT writes, as recorded by peft_reference.py: every module is read with PEFT's rank and scaling, or
listed with a reason. The numbers are random ones: PEFT's own were compared when the file was written."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from adapter_files import random_safetensors

from slotlang.adapter import read_adapter
from slotlang.diagnostics import SlotError

RECORDED = json.loads(Path(__file__).with_name("peft_layouts.json").read_text(encoding="utf-8"))
LAYOUTS: list[dict[str, Any]] = RECORDED["layouts"]


def written(folder: Path, layout: dict[str, Any]) -> tuple[Path, dict[str, np.ndarray[Any, Any]]]:
    """The layout as a folder, and its tensors' values."""
    config = {key: value for key, value in RECORDED["config"].items() if key not in layout["without"]}
    (folder / "adapter_config.json").write_text(json.dumps(config | layout["config"]))
    content, values = random_safetensors(layout["tensors"])
    (folder / "adapter_model.safetensors").write_bytes(content)
    return folder, values


def test_there_are_many_layouts() -> None:
    assert len(LAYOUTS) >= 40
    assert sum(len(layout.get("modules", ())) > 0 for layout in LAYOUTS) >= 30


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout["name"])
def test_layouts(tmp_path: Path, layout: dict[str, Any]) -> None:
    folder, values = written(tmp_path, layout)
    if layout["code"]:
        with pytest.raises(SlotError) as refused:
            read_adapter(folder)
        assert [d.code for d in refused.value.diagnostics] == [layout["code"]]
        return
    found = read_adapter(folder, base_changed=layout["base_changed"])
    # PEFT doesn't use the output projection that it saves inside of an attention, so its numbers were not compared
    inner = {name for name in found.modules if ".base_layer." in name}
    assert found.modules.keys() - inner == layout["modules"].keys()
    assert [u.name for u in found.unusable] == layout["unusable"]
    for name, expected in layout["modules"].items():
        module = found.module(name)
        assert (module.rank, module.d_in, module.d_out) == (expected["rank"], expected["d_in"], expected["d_out"])
        assert math.isclose(module.scaling, expected["scaling"], rel_tol=1e-12)
        (down,) = (v for k, v in values.items() if k.replace("_orig_mod.", "").endswith(f".model.{name}.lora_A.weight"))
        (up,) = (v for k, v in values.items() if k.replace("_orig_mod.", "").endswith(f".model.{name}.lora_B.weight"))
        np.testing.assert_array_equal(module.down, down)
        np.testing.assert_array_equal(module.up, up)
    lora = {key for key in layout["tensors"] if ".lora_" in key}
    assert set(found.extra) == layout["tensors"].keys() - lora
