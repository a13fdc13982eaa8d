"""Why a module can't be run: what its tensors are, and what was saved beside them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from slotlang.adapter.config import REFUSED, Config, Obstacle, trained_bias
from slotlang.adapter.keys import Held, Keys
from slotlang.adapter.messages import listed, shown, size_text
from slotlang.adapter.patterns import MAX_NAME
from slotlang.adapter.values import FLOATS

_PARTS: Final = {
    "lora_embedding": Obstacle(
        "SL504", "it is an embedding: its update looks up rows of a table, and is not a product with x"
    ),
    "lora_magnitude_vector": Obstacle("SL503", f"it belongs to use_dora: {REFUSED['use_dora']}"),
    "lora_A.bias": Obstacle("SL503", f"it belongs to lora_bias: {REFUSED['lora_bias']}"),
    "lora_B.bias": Obstacle("SL503", f"it belongs to lora_bias: {REFUSED['lora_bias']}"),
    "lora_E": Obstacle("SL504", "it has a lora_E: AdaLoRA puts a diagonal matrix between the factors"),
    "lora_ranknum": Obstacle("SL504", "it has a lora_ranknum, of AdaLoRA"),
}
"""Beginnings of tensors' names under which a module is not ``scaling * B @ A @ x``."""

_HARMLESS: Final = ("lora_velora",)
"""Beginnings of tensors' names that training needs, and that leave the update as it is."""

_BASE: Final = ("weight", "base_layer.", "token_adapter.", "trainable_tokens_", "modules_to_save.", "original_module.")
"""Beginnings of what PEFT saves of the base layer beside LoRA's matrices: it is not part of the update."""

_STACKED = Obstacle(
    "SL503",
    "target_parameters is not supported: several matrices (experts) are stacked in one tensor",
    ("the rows of lora_A belong to experts, and a router chooses among them for each token",),
)


def find_obstacle(name: str, held: Held, config: Config, wrappers: frozenset[str]) -> Obstacle | None:
    """Why the tensors of a module are not one ``scaling * B @ A @ x``, before ranks and values are looked at.

    ``wrappers``: modules that have LoRA modules inside."""
    for part, keys in held.parts.items():
        known = next((why for start, why in _PARTS.items() if part.startswith(start)), None)
        if known is not None:
            return known
        if not part.startswith(_HARMLESS):
            return Obstacle("SL504", f"the tensor {shown(keys[0])} is not one of LoRA's", (_UNKNOWN,))
    if _is_stacked(name, config):
        return _STACKED
    if name in wrappers:
        reason = "it wraps another LoRA module: an attention's joint projection, or stacked experts"
        return Obstacle("SL504", reason, ("its update is not a product with one x",))
    if config.obstacles:
        return config.obstacles[0]
    for side in "AB":
        if len(found := held.keys.get(side, [])) > 1:
            same = len(set(found)) == 1
            note = f"more than one shard holds {shown(found[0])}" if same else f"under {listed(found)}"
            return Obstacle("SL504", f"lora_{side} is there twice", (note,), "keep one of them")
        if side not in held.sides:
            return Obstacle("SL504", f"lora_{side} is missing")
    return _of_matrices(held)


def wrapping(names: Iterable[str]) -> frozenset[str]:
    """Paths of modules that have other LoRA modules inside, which PEFT keeps under ``base_layer``."""
    return frozenset(name[: mark.start()] for name in names for mark in re.finditer(r"\.base_layer(?=\.|$)", name))


def _of_matrices(held: Held) -> Obstacle | None:
    shapes = {side: tuple(held.sides[side]["shape"]) for side in "AB"}
    said = tuple(f"lora_{side} is {size_text(shape)}" for side, shape in shapes.items())
    if any(0 in shape for shape in shapes.values()):
        hint = (
            "save it again with gathered weights: stage3_gather_16bit_weights_on_model_save in DeepSpeed's "
            "configuration, or zero_to_fp32.py on the checkpoint"
        )
        reason = "it was saved empty, as DeepSpeed's ZeRO-3 does when weights are not gathered"
        return Obstacle("SL504", reason, said, hint)
    if all(len(shape) in (3, 4, 5) for shape in shapes.values()):
        return Obstacle("SL504", "it is a convolution: its update is not a product with x", said)
    for side, shape in shapes.items():
        if len(shape) != 2:
            return Obstacle("SL504", f"lora_{side} is not a matrix", (f"its shape is {size_text(shape)}",))
    for side in "AB":
        dtype = held.sides[side]["dtype"]
        if dtype not in FLOATS:
            notes = ("float16, bfloat16, float32 and float64 can be read",)
            return Obstacle("SL504", f"lora_{side} is stored as {shown(dtype)}", notes)
    return None


def _is_stacked(name: str, config: Config) -> bool:
    """Whether ``target_parameters`` names a parameter of this module. PEFT compares the ends of paths; a key without
    a point names a parameter of any module, so only what ``target_modules`` names is a layer of its own then."""
    if not config.target_parameters:
        return False
    path = name
    while path.endswith(".base_layer"):
        path = path.removesuffix(".base_layer")
    listed = () if isinstance(config.target_modules, str) else config.target_modules
    for key in config.target_parameters:
        parent, point, _ = key.rpartition(".")
        if point and f".{path}".endswith(f".{parent}"):
            return True
        if not point and not any(f".{path}".endswith(f".{target}") for target in listed):
            return True
    return False


_UNKNOWN: Final = "what it adds to the update is unknown"


def sort_extra(keys: Keys, config: Config, *, base_changed: bool) -> tuple[dict[str, Obstacle], list[str]]:
    """What tensors without ``lora_`` in their names mean: an obstacle for the module that they belong to, or nothing.

    Returns the obstacles by module, and the keys that are not used.
    """
    obstacles: dict[str, Obstacle] = {}
    unused = []
    for key, path in keys.extra.items():
        parts = path[:MAX_NAME].split(".")
        owner = next((o for i in range(len(parts) - 1, 0, -1) if (o := ".".join(parts[:i])) in keys.modules), None)
        rest = path.removeprefix(f"{owner}.")
        if owner is None or rest.startswith(_BASE):
            unused.append(key)
        elif rest == "bias":
            unused.append(key)
            if not base_changed:
                obstacles.setdefault(owner, trained_bias(f"a bias of its layer was saved too: {shown(key)}"))
        else:
            reason = f"it has a tensor besides its LoRA matrices: {shown(key)}"
            obstacles.setdefault(owner, Obstacle("SL504", reason, (_UNKNOWN,)))
    for held in keys.modules.values():
        unused += [key for part, found in held.parts.items() if part.startswith(_HARMLESS) for key in found]
    return obstacles, unused
