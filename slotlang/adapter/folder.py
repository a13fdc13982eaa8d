"""The files of an adapter's folder: which of them hold it, and its tensors."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from safetensors import SafetensorError

from slotlang.adapter.config import CONFIG_NAME, MAX_CONFIG_BYTES, is_pointer, pointer
from slotlang.adapter.messages import first_line, listed, plain, read_file
from slotlang.adapter.values import Tensor, parse_safetensors
from slotlang.diagnostics import SlotError, error
from slotlang_runtime.amounts import count_of

WEIGHTS_NAME: Final = "adapter_model.safetensors"
INDEX_NAME: Final = "adapter_model.safetensors.index.json"
PICKLE_NAME: Final = "adapter_model.bin"
MAX_WEIGHT_BYTES: Final = 4 << 30
"""The most bytes of weights that are read, of all files together. As float64 they take up to four times that."""
MAX_SHARDS: Final = 1000
MAX_FOLDERS: Final = 10_000

_OF_WEIGHTS: Final = (".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".gguf", ".npz")
_SHARD = re.compile(r"adapter_model-(\d{5})-of-(\d{5})\.safetensors")
_UNPICKLE: Final = (
    'where torch is installed and you trust the file, convert it: python -c "import torch, safetensors.torch as s; '
    f"s.save_file(torch.load('{PICKLE_NAME}', map_location='cpu', weights_only=True), '{WEIGHTS_NAME}')\""
)


@dataclass(frozen=True, slots=True)
class Weights:
    """The tensors of all files by name, in the files' order; ``twice``: names that more than one file has."""

    files: tuple[Path, ...]
    tensors: dict[str, Tensor]
    twice: frozenset[str]
    bytes: int

    @property
    def first(self) -> Path:
        """The file that messages about tensors name."""
        return self.files[0]


def check_folder(directory: Path) -> None:
    """Raises SL501 for what is not a folder that holds an adapter, naming the folders in it that do."""
    hint = f"give the folder that holds {CONFIG_NAME} and {WEIGHTS_NAME}"
    try:
        is_folder = directory.is_dir()
    except (OSError, ValueError):
        is_folder = False
    if not is_folder:
        raise error("SL501", "the adapter is not a folder that can be read", hint=hint, file=str(directory))
    path = directory / CONFIG_NAME
    if path.exists():
        return
    below, others = _adapters_below(directory), _other_formats(directory)
    if below:
        what = f"{CONFIG_NAME} is missing, and there {'is an adapter' if len(below) == 1 else 'are adapters'} below"
        notes = [f"in {listed(below)}"]
        raise error("SL501", what, notes=notes, hint=f"give the folder {directory / below[0]}", file=str(path))
    if others is not None:
        raise error("SL521", others[0], hint=others[1], file=str(directory))
    raise error("SL501", f"{CONFIG_NAME} is missing", hint=hint, file=str(path))


def _adapters_below(directory: Path) -> list[str]:
    """Folders that hold an adapter, one or two floors down."""
    found: list[str] = []
    try:
        for number, child in enumerate(sorted(directory.iterdir())):
            if number >= MAX_FOLDERS:
                break
            if (child / CONFIG_NAME).is_file():
                found.append(child.name)
            elif child.is_dir() and not child.is_symlink():
                found += [f"{child.name}/{c.name}" for c in sorted(child.iterdir()) if (c / CONFIG_NAME).is_file()]
    except OSError:
        return found
    return found


_FOREIGN_FILES: Final = {
    "pytorch_lora_weights.safetensors": (
        "this is a LoRA that diffusers saved, which holds no PEFT configuration",
        "load it with diffusers and save it with pipe.unet.save_pretrained or peft's save_pretrained",
    ),
    "adapters.safetensors": (
        "this looks like an adapter of MLX (mlx-lm), without its configuration",
        "convert it: lora_A = lora_a.T, lora_B = lora_b.T, keys base_model.model.PATH.lora_A.weight, with a PEFT "
        "configuration",
    ),
    "model.safetensors": (
        "this is a whole model, not an adapter",
        "give the folder of the adapter; a model into which it was merged no longer has one",
    ),
}


def _other_formats(directory: Path) -> tuple[str, str] | None:
    """What else the folder holds, and what to do about it."""
    for name, found in _FOREIGN_FILES.items():
        if (directory / name).is_file():
            return found
    return None


def read_weights(directory: Path) -> Weights:
    """The tensors of ``adapter_model.safetensors``, or of all its shards. Raises SL501."""
    whole = directory / WEIGHTS_NAME
    names = _names(directory)
    beside = [shard for name in names if (shard := _SHARD.fullmatch(name))]
    if whole.exists():
        found = _read([whole])
        if beside:
            notes = [listed([WEIGHTS_NAME, *(m[0] for m in beside)])]
            hint = "keep the one file, or the shards"
            raise error("SL501", "the weights are there twice", notes=notes, hint=hint, file=str(directory))
        return found
    named = _indexed(directory / INDEX_NAME)
    shards = _shards(directory, named, beside)
    if shards:
        found = _read(shards)
        lacking = sorted(set(named or ()) - set(found.tensors))
        if lacking:
            message = f"{INDEX_NAME} names {count_of(len(lacking), 'tensor')} that no shard holds"
            notes, hint = [listed(lacking, 6)], "fetch the adapter again"
            raise error("SL501", message, notes=notes, hint=hint, file=str(directory))
        return found
    if (directory / PICKLE_NAME).exists():
        notes = [f"only {PICKLE_NAME} is there, a pickle, which can run code when it is loaded, so it is not read"]
        raise error("SL501", f"{WEIGHTS_NAME} is missing", notes=notes, hint=_UNPICKLE, file=str(whole))
    others = [name for name in names if name.endswith(_OF_WEIGHTS)]
    notes = [f"the folder holds {listed(others)}"] if others else []
    hint = f"save the adapter with PEFT's save_pretrained, which writes {WEIGHTS_NAME}"
    raise error(
        "SL501",
        f"{WEIGHTS_NAME} is missing",
        notes=notes,
        hint=hint if others else "fetch the adapter again",
        file=str(whole),
    )


def _names(directory: Path) -> list[str]:
    """The names in a folder, sorted; none where it can't be listed."""
    try:
        return sorted(path.name for path in directory.iterdir())
    except OSError:
        return []


def _shards(directory: Path, index: dict[str, str] | None, beside: list[re.Match[str]]) -> list[Path]:
    """The shards in their order; empty where there are none. ``index``: the shard of each tensor, where there is an
    index; ``beside``: shards that lie in the folder. Raises SL501 when one is missing, or is of another set."""
    if index is None:
        counts = {m[2] for m in beside}
        if not beside:
            return []
        if len(counts) > 1:
            message = f"shards of {count_of(len(counts), 'different set')} lie beside each other"
            hint = "keep those of one adapter"
            raise error("SL501", message, notes=[listed(m[0] for m in beside)], hint=hint, file=str(directory))
        (count,) = counts
        named = [f"adapter_model-{i:05}-of-{count}.safetensors" for i in range(1, min(int(count), MAX_SHARDS) + 1)]
    else:
        named = sorted(set(index.values()))
        others = [m[0] for m in beside if m[0] not in named]
        if others:
            message = f"{count_of(len(others), 'shard')} in the folder {'is' if len(others) == 1 else 'are'} not in"
            hint = f"keep the shards that {INDEX_NAME} names, or fetch the adapter again"
            notes = [listed(others)]
            raise error("SL501", f"{message} {INDEX_NAME}", notes=notes, hint=hint, file=str(directory))
    missing = [name for name in named if not (directory / name).exists()]
    if missing:
        message = f"{len(missing)} of {count_of(len(named), 'shard')} of the weights are missing"
        notes, hint = [listed(missing)], "fetch the adapter again"
        raise error("SL501", message, notes=notes, hint=hint, file=str(directory))
    return [directory / name for name in named]


def _indexed(path: Path) -> dict[str, str] | None:
    """The shard of each tensor, as an index says, or None where there is no index. Raises SL501."""
    if not path.exists():
        return None
    raw = read_file(path, 64 * MAX_CONFIG_BYTES, "SL501")
    try:
        index: dict[str, str] = dict(json.loads(raw)["weight_map"].items())
        named = set(index.values())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as broken:
        if is_pointer(raw):
            raise pointer(path) from None
        raise error("SL501", f"{INDEX_NAME} is not an index", notes=[first_line(broken)], file=str(path)) from None
    for name in named:
        # a name leads to no other folder
        if not isinstance(name, str) or not re.fullmatch(r"[\w-][\w.-]{0,200}\.safetensors", name, re.ASCII):
            raise error("SL501", f"{INDEX_NAME} names a file that is not a shard", file=str(path))
    if not named or len(named) > MAX_SHARDS:
        raise error("SL501", f"{INDEX_NAME} names {count_of(len(named), 'file')}", file=str(path))
    return index


def _read(files: list[Path]) -> Weights:
    tensors: dict[str, Tensor] = {}
    twice: set[str] = set()
    total = 0
    for path in files:
        raw = read_file(path, MAX_WEIGHT_BYTES - total, "SL501")
        total += len(raw)
        try:
            parsed = parse_safetensors(raw)
        except SafetensorError as reason:
            raise _not_safetensors(path, raw, reason) from None
        for name, tensor in parsed:
            if name in tensors:
                twice.add(name)
            tensors[name] = tensor
    return Weights(tuple(files), tensors, frozenset(twice), total)


def _not_safetensors(path: Path, raw: bytes, reason: Exception) -> SlotError:
    if is_pointer(raw):
        return pointer(path)
    notes = [first_line(reason), f"the file holds {count_of(len(raw), 'byte')}"]
    message = f"{plain(path.name)} is not a safetensors file, or is damaged"
    return error("SL501", message, notes=notes, hint="fetch the adapter again", file=str(path))
