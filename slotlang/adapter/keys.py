"""The keys of an adapter's tensors: which module each belongs to, and what it is there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from slotlang.adapter.messages import listed, plain, shown
from slotlang.adapter.patterns import MAX_NAME
from slotlang.adapter.values import Tensor
from slotlang.diagnostics import error
from slotlang_runtime.amounts import count_of

PREFIX: Final = "base_model.model."
KEY_FORM: Final = "keys look like base_model.model.<path>.lora_A.weight"

_WRAPPERS: Final = {
    "_orig_mod": "torch.compile",
    "_fsdp_wrapped_module": "FSDP",
    "_checkpoint_wrapped_module": "activation checkpointing",
}
"""Parts of a key that stand for no module of the base model."""

_PATH: Final = r"[\w-]+(?:\.[\w-]+)*"
_LORA = re.compile(
    rf"(?P<name>{_PATH})\.lora_(?P<side>[AB])(?:\.(?P<adapter>[\w-]+))?\.(?P<what>weight|bias)", re.ASCII
)
_PART = re.compile(rf"(?P<name>{_PATH})\.(?P<part>lora_\w+)(?:\.[\w-]+)*", re.ASCII)
_KOHYA: Final = (".lora_down.", ".lora_up.")
_MLX: Final = (".lora_a", ".lora_b")


@dataclass(slots=True)
class Held:
    """The tensors of one module. ``sides``: ``A`` and ``B``; ``keys``: of each all keys, one that several shards have
    as often; ``parts``: other keys of LoRA variants, by what stands before the adapter's name
    (``lora_embedding_A``)."""

    sides: dict[str, Tensor] = field(default_factory=dict)
    keys: dict[str, list[str]] = field(default_factory=dict)
    parts: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Keys:
    """All keys of the files. ``extra``: tensors that belong to no LoRA module, by the path that they have in the base
    model; ``strange``: keys of LoRA tensors whose module can't be read off; ``notes``: what was read past."""

    modules: dict[str, Held]
    extra: dict[str, str]
    strange: tuple[str, ...]
    notes: tuple[str, ...]


def sort_keys(tensors: Mapping[str, Tensor], twice: frozenset[str], path: Path) -> Keys:
    """Sort tensors by module. ``twice``: keys that several shards have.

    The prefix ``base_model.model.`` may be missing, an adapter's name may stand behind ``lora_A``, and the parts of
    a path that wrappers of PyTorch put there (torch.compile, FSDP) are left out.

    Raises SL504 for files that hold no LoRA matrices, or those of more than one adapter, and SL521 for another
    library's keys.
    """
    modules: dict[str, Held] = {}
    extra: dict[str, str] = {}
    strange: list[str] = []
    wrapped: set[str] = set()
    bare = 0
    adapters: dict[str, None] = {}
    for key, tensor in sorted(tensors.items(), key=lambda item: item[0]):
        if len(key) > MAX_NAME:
            strange.append(key)
            continue
        outer = _unwrapped(key, wrapped)
        inner = outer.removeprefix(PREFIX)
        if found := _LORA.fullmatch(inner):
            held = modules.setdefault(found["name"], Held())
            if found["adapter"]:
                adapters[found["adapter"]] = None
            bare += inner == outer
            if found["what"] == "bias":
                held.parts.setdefault(f"lora_{found['side']}.bias", []).append(key)
            else:
                held.keys.setdefault(found["side"], []).extend([key] * (1 + (key in twice)))
                held.sides.setdefault(found["side"], tensor)
        elif part := _PART.fullmatch(inner):
            modules.setdefault(part["name"], Held()).parts.setdefault(part["part"], []).append(key)
        elif "lora_" in inner:
            strange.append(key)
        else:
            extra[key] = inner
    _check_foreign(tensors, path)
    if len(adapters) > 1:
        message = f"the weights hold {count_of(len(adapters), 'adapter')}: {listed(adapters)}"
        hint = "save one: model.save_pretrained(OUT, selected_adapters=[NAME])"
        raise error("SL504", message, hint=hint, file=str(path))
    if not any(held.sides or held.parts for held in modules.values()):
        others = [*extra, *strange]
        notes = [f"they hold {listed(others, 8)}" if others else "they hold no tensors at all"]
        if strange:
            notes.append(f"names in a path are of a-z, A-Z, 0-9, _ and -, and a key has {MAX_NAME} characters at most")
        raise error("SL504", "the weights hold no LoRA matrices", notes=notes, hint=KEY_FORM, file=str(path))
    notes_ = [f"keys hold {name}, which {_WRAPPERS[name]} put there; it is left out" for name in sorted(wrapped)]
    notes_ += [f"keys hold the adapter's name '{plain(name)}'" for name in adapters if name != "default"]
    if bare:
        notes_.append(f"keys do not begin with {PREFIX}; their paths are taken as those of the base model")
    return Keys(modules, extra, tuple(strange), tuple(notes_))


def _unwrapped(key: str, wrapped: set[str]) -> str:
    """The key without what wrappers put there; wrappers met are added to ``wrapped``."""
    parts = key.split(".")
    kept = [part for part in parts if part not in _WRAPPERS]
    wrapped.update(part for part in parts if part in _WRAPPERS)
    # what DistributedDataParallel puts in front of a whole model
    return re.sub(r"^module\.(?=base_model\.)", "", ".".join(kept))


def _check_foreign(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Raises SL521 where keys are those of another library."""
    if any(part in f"{key}." for key in tensors for part in _KOHYA):
        example = min(key for key in tensors if any(part in f"{key}." for part in _KOHYA))
        raise error(
            "SL521",
            "the keys are not PEFT's: they are those of kohya's scripts (lora_down, lora_up)",
            notes=[f"such as {shown(example)}", KEY_FORM],
            hint="load it with diffusers, which converts it, and save it with PEFT's save_pretrained",
            file=str(path),
        )
    if tensors and all(key.endswith(_MLX) for key in tensors):
        raise error(
            "SL521",
            "the keys are not PEFT's: they are those of MLX (lora_a, lora_b)",
            notes=[f"such as {shown(min(tensors))}", KEY_FORM],
            hint="convert it: lora_A = lora_a.T and lora_B = lora_b.T under PEFT's keys",
            file=str(path),
        )
