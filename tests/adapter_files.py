"""Adapters and arrays in files, by the formats' definitions and without torch."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slotlang.diagnostics import Diagnostic, SlotError, render

PREFIX = "base_model.model."
CONFIG: dict[str, object] = {"peft_type": "LORA", "r": 4, "lora_alpha": 16}
SIZES = {"F16": 2, "BF16": 2, "F32": 4, "F64": 8}


def raw_safetensors(tensors: Mapping[str, tuple[str, Sequence[int], bytes]]) -> bytes:
    """A safetensors file of these dtypes, shapes and bytes."""
    header, data = {}, b""
    for name, (dtype, shape, content) in tensors.items():
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def random_safetensors(
    layout: Mapping[str, tuple[str, Sequence[int]]], seed: int = 0
) -> tuple[bytes, dict[str, np.ndarray[Any, Any]]]:
    """Random numbers in this layout of dtypes and shapes: the file, and the values that it holds as float64."""
    rng = np.random.default_rng(seed)
    tensors: dict[str, tuple[str, Sequence[int], bytes]] = {}
    values: dict[str, np.ndarray[Any, Any]] = {}
    for name, (dtype, shape) in layout.items():
        numbers = rng.standard_normal(math.prod(shape)).astype(np.float32)
        if dtype == "BF16":
            # the upper half of a float32
            bits = numbers.view(np.uint32) >> 16
            content, numbers = bits.astype("<u2").tobytes(), (bits << 16).view(np.float32)
        else:
            numbers = numbers.astype(f"<f{SIZES[dtype]}")
            content = numbers.tobytes()
        tensors[name] = (dtype, shape, content)
        values[name] = numbers.astype(np.float64).reshape(tuple(shape))
    return raw_safetensors(tensors), values


def factors_layout(
    path: str, d_out: int, d_in: int, rank: int = 4, dtype: str = "F32"
) -> dict[str, tuple[str, list[int]]]:
    """The two matrices of a module."""
    a, b = f"{PREFIX}{path}.lora_A.weight", f"{PREFIX}{path}.lora_B.weight"
    return {a: (dtype, [rank, d_in]), b: (dtype, [d_out, rank])}


def write_adapter(
    folder: Path, layout: Mapping[str, tuple[str, Sequence[int]]], seed: int = 0, **config: object
) -> dict[str, np.ndarray[Any, Any]]:
    """An adapter's folder; the values of its tensors."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adapter_config.json").write_text(json.dumps(CONFIG | config))
    content, values = random_safetensors(layout, seed)
    (folder / "adapter_model.safetensors").write_bytes(content)
    return values


def refusal(code: str, call: Callable[[], object]) -> Diagnostic:
    """The single diagnostic of a refusal; what it prints is one printable line each, and names a file."""
    with pytest.raises(SlotError) as caught:
        call()
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == code, diagnostic
    assert diagnostic.file
    for line in render(diagnostic).splitlines():
        assert line.isprintable() or line.startswith("  --> ")  # the place is the caller's own text
        assert len(line) < 2500
    return diagnostic


def text_of(diagnostic: Diagnostic) -> str:
    return " ".join((diagnostic.message, *diagnostic.notes, diagnostic.hint))
