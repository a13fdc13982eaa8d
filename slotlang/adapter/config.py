"""``adapter_config.json``: rank, alpha and patterns, and what in it makes modules unusable."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from slotlang.adapter.messages import first_line, plain, read_file, shown
from slotlang.diagnostics import SlotError, error

CONFIG_NAME: Final = "adapter_config.json"
MAX_CONFIG_BYTES: Final = 1 << 20
MAX_RANK: Final = 1 << 20

REFUSED: Final[Mapping[str, str]] = {
    "use_dora": "DoRA rescales the sum of base weight and update by a norm of that sum",
    "lora_bias": "a bias is added to lora_B, so the update is not linear in x",
    "use_qalora": "QA-LoRA averages groups of the input's entries before lora_A",
    "alora_invocation_tokens": "aLoRA applies the update to some tokens only",
    "use_bdlora": "BD-LoRA stores one factor as the blocks of a block-diagonal matrix",
    "kasa_config": "KaSA puts a diagonal matrix between the factors",
    "arrow_config": "Arrow chooses between adapters for each token",
    "monteclora_config": "MonteCLoRA draws the factors at random",
    "enable_lora": "lora_B is split into groups, one for each part of a joint projection",
}
"""Options of ``LoraConfig``, of today and of old releases, under which the update is not ``scaling * B @ A @ x``."""

# fmt: off
KNOWN: Final = frozenset({
    "alora_invocation_tokens", "alpha_pattern", "arrow_config", "auto_mapping", "base_model_name_or_path", "bias",
    "corda_config", "enable_lora", "ensure_weight_tying", "eva_config", "exclude_modules", "fan_in_fan_out",
    "inference_mode", "init_lora_weights", "kasa_config", "layer_replication", "layers_pattern",
    "layers_to_transform", "loftq_config", "lora_alpha", "lora_bias", "lora_dropout", "lora_ga_config",
    "megatron_config", "megatron_core", "merge_weights", "modules_to_save", "monteclora_config", "peft_type",
    "peft_version", "qalora_group_size", "r", "rank_pattern", "revision", "runtime_config", "target_modules",
    "target_parameters", "task_type", "trainable_token_indices", "use_bdlora", "use_dora", "use_qalora",
    "use_rslora",
})
# fmt: on
"""Options of ``LoraConfig`` that are looked at here, or leave the update as it is."""

SAME_BASE: Final = ("gaussian", "eva", "orthogonal", "mica")
"""Values of ``init_lora_weights``, beside true and false, under which PEFT leaves the base weights as they are."""

CONVERT: Final = (
    "convert it where it was trained: model.save_pretrained(OUT, path_initial_model_for_weight_conversion=INITIAL), "
    "with the adapter as it was saved before training"
)
"""What turns an update of a changed base into one of the original base, in the words of PEFT."""

CHANGED_BASE: Final[Mapping[str, tuple[str, str]]] = {
    "pissa": ("PiSSA moved the main part of each base weight into the adapter", CONVERT),
    "corda": ("CorDA moved a part of each base weight into the adapter", CONVERT),
    "olora": ("OLoRA subtracted the adapter's start from each base weight", CONVERT),
    "lora_ga": ("LoRA-GA subtracted the adapter's start from each base weight", CONVERT),
    "loftq": (
        "LoftQ replaced each base weight by a quantized one that the adapter's start corrects",
        "PEFT has no conversion for it: serve the adapter with the quantized base that it was trained on",
    ),
}
"""Beginnings of ``init_lora_weights`` that change the base too: what was done, and what to do."""

BASE_CHANGED_HINT: Final = "or say --base-changed if the base model at the client is the changed one"


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a module can't be run: a sentence without the module's name, and what belongs to it in a message."""

    code: str
    reason: str
    notes: tuple[str, ...] = ()
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Config:
    """What is read of the configuration. ``obstacles`` hold for every module; ``bias``, in force, for every module
    unless the base is said to have changed."""

    path: Path
    rank: int
    alpha: float
    rslora: bool
    rank_pattern: dict[str, int]
    alpha_pattern: dict[str, float]
    target_modules: tuple[str, ...] | str
    target_parameters: tuple[str, ...]
    bias: str
    init: str
    base_model: str
    obstacles: tuple[Obstacle, ...]
    notes: tuple[str, ...] = ()


def read_config(path: Path, *, base_changed: bool = False) -> Config:
    """Read the configuration. ``base_changed``: the user says that the base was changed as the adapter needs it.

    Raises SL501, SL503 and SL521.
    """
    config = _json_object(path)
    fail = partial(error, "SL503", file=str(path), hint=f"mend {CONFIG_NAME}, or save the adapter with PEFT again")
    if config.get("peft_type") != "LORA":
        raise foreign(config, path)
    obstacles = [
        Obstacle(
            "SL503",
            f"{option} is not supported: {reason}",
            ("the update of a module must be scaling * B @ A @ x",),
        )
        for option, reason in REFUSED.items()
        if config.get(option) and config[option] != "none"
    ]
    bias, init = config.get("bias") or "none", config.get("init_lora_weights", True)
    of_base = _changed_base(init) + _trained_biases(bias)
    notes = [f"the base is said to be the changed one (--base-changed): {why.reason}" for why in of_base]
    if not base_changed:
        obstacles, notes = obstacles + of_base, []
    unknown = sorted(key for key, value in config.items() if value and key not in KNOWN)
    notes += [f"the option {shown(key)} is not known, and is not looked at: {shown(config[key])}" for key in unknown]
    for option in ("use_rslora", "fan_in_fan_out"):
        if not isinstance(config.get(option) or False, bool):
            raise fail(f"{option} must be true or false, not {shown(config[option])}")

    def rank(value: object, what: str) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_RANK:
            return value
        raise fail(f"{what} must be a whole number from 1 to {MAX_RANK}, not {shown(value)}")

    def alpha(value: object, what: str) -> float:
        if isinstance(value, int | float) and not isinstance(value, bool):
            if abs(value) <= sys.float_info.max:
                return float(value)
        raise fail(f"{what} must be a finite number, not {shown(value)}")

    def pattern(option: str) -> dict[str, object]:
        value = config.get(option)
        if value is not None and not isinstance(value, dict):
            raise fail(f"{option} must be an object, not {shown(value)}")
        return value or {}

    def names(option: str) -> tuple[str, ...]:
        value = config.get(option)
        return tuple(name for name in value if isinstance(name, str)) if isinstance(value, list) else ()

    modules, base = config.get("target_modules"), config.get("base_model_name_or_path")
    return Config(
        path=path,
        rank=rank(config.get("r"), "r"),
        alpha=alpha(config.get("lora_alpha"), "lora_alpha"),
        rslora=config.get("use_rslora") or False,
        rank_pattern={k: rank(v, f"rank_pattern[{shown(k)}]") for k, v in pattern("rank_pattern").items()},
        alpha_pattern={k: alpha(v, f"alpha_pattern[{shown(k)}]") for k, v in pattern("alpha_pattern").items()},
        target_modules=modules if isinstance(modules, str) else names("target_modules"),
        target_parameters=names("target_parameters"),
        bias=bias if isinstance(bias, str) else "?",
        init=init if isinstance(init, str) else str(bool(init)).lower(),
        base_model=base if isinstance(base, str) else "",
        obstacles=tuple(obstacles),
        notes=tuple(notes),
    )


def _json_object(path: Path) -> dict[str, Any]:
    raw = read_file(path, MAX_CONFIG_BYTES, "SL501")
    twice: list[str] = []

    def one_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for key, value in pairs:
            if key in made:
                twice.append(f"{plain(key)} is there twice: {shown(made[key])} and {shown(value)}")
            made[key] = value
        return made

    try:
        config = json.loads(raw, object_pairs_hook=one_each)
    except (ValueError, RecursionError) as broken:
        if is_pointer(raw):
            raise pointer(path) from None
        notes = [first_line(broken)]
        raise error("SL501", f"{CONFIG_NAME} is not valid JSON", notes=notes, file=str(path)) from None
    if not isinstance(config, dict):
        raise error("SL501", f"{CONFIG_NAME} is not a JSON object", file=str(path))
    if twice:
        raise error("SL503", twice[0], notes=twice[1:8], hint="keep one of them", file=str(path))
    return config


def is_pointer(raw: bytes) -> bool:
    """Whether a file is what git-lfs leaves in the place of one that it has not fetched."""
    return raw.startswith(b"version https://git-lfs")


def pointer(path: Path) -> SlotError:
    """The error about a git-lfs pointer."""
    return error(
        "SL501",
        f"{path.name} is a git-lfs pointer, not the file itself",
        notes=["git-lfs keeps large files apart, and this one was not fetched"],
        hint="run git lfs install and then git lfs pull in the folder of the repository",
        file=str(path),
    )


def _changed_base(init: object) -> list[Obstacle]:
    if init is None or isinstance(init, bool):
        return []
    if not isinstance(init, str):
        return [_of_changed_base(f"init_lora_weights is {shown(init)}, which says nothing about the base", "")]
    name = init.lower()
    if name in SAME_BASE:
        return []
    for start, (what, hint) in CHANGED_BASE.items():
        if name.startswith(start):
            return [_of_changed_base(f"init_lora_weights is {shown(init)}: {what}", hint)]
    return [_of_changed_base(f"init_lora_weights is {shown(init)}, which may have changed the base", "")]


def _of_changed_base(reason: str, hint: str) -> Obstacle:
    notes = ("the update is right on top of that changed base only",)
    return Obstacle("SL520", reason, notes, f"{hint or 'find out what it does'}; {BASE_CHANGED_HINT}")


def _trained_biases(bias: object) -> list[Obstacle]:
    return [] if bias == "none" else [trained_bias(f"bias is {shown(bias)}: biases of the base were trained too")]


def trained_bias(reason: str) -> Obstacle:
    """A bias of the base layer that was trained: the base has changed."""
    notes = ("the update is right on top of a base with these biases only",)
    return Obstacle("SL520", reason, notes, f"merge the biases into the base; {BASE_CHANGED_HINT}")


def foreign(config: Mapping[str, Any], path: Path) -> SlotError:
    """The error about a configuration of another method or another library: what it is, and what converts it."""
    kind = config.get("peft_type")
    if isinstance(kind, str) and kind.upper() == "ADALORA":
        what = "this is an AdaLoRA adapter: a diagonal matrix stands between the factors"
        notes = ["its update is lora_alpha / ranknum * lora_B @ diag(lora_E) @ lora_A @ x, and the file has no ranknum"]
        hint = (
            "make it a LoRA adapter with the model loaded in PEFT: lora_A.weight = lora_A * lora_E and lora_B.weight = "
            "lora_B of each layer, peft_type LORA, and lora_alpha = r * layer.scaling / layer.ranknum"
        )
    elif isinstance(kind, str):
        what = f"peft_type must be 'LORA', not {shown(kind)}"
        notes = ["the update of a module must be scaling * B @ A @ x"]
        hint = "where PEFT supports it, peft.save_as_lora(path, model, rank) writes a LoRA adapter near it"
        if kind.upper() == "LORA":
            hint = "PEFT writes it in capitals: LORA"
    elif "fine_tune_type" in config or "lora_parameters" in config:
        what = "this is not a PEFT configuration: it is one of MLX (mlx-lm)"
        notes = ["MLX stores lora_a as d_in x r and lora_b as r x d_out, and gives the scale itself"]
        hint = (
            "convert it: lora_A = lora_a.T, lora_B = lora_b.T, keys base_model.model.PATH.lora_A.weight, and a PEFT "
            "configuration with r = rank and lora_alpha = scale * rank"
        )
    elif isinstance(config.get("config"), dict) and "model_name" in config:
        what = "this is not a PEFT configuration: it is one of the library adapters (AdapterHub)"
        notes, hint = ["its keys and its scaling are others"], "train or save the adapter with PEFT"
    elif "architectures" in config or "model_type" in config:
        what = "this is not a PEFT configuration: it is that of a whole model"
        notes, hint = [], "give the folder of the adapter"
    else:
        what = f"this is not a PEFT configuration: peft_type must be 'LORA', not {shown(kind)}"
        notes = ["PEFT's has at least peft_type, r and lora_alpha"]
        hint = "save the adapter with PEFT's save_pretrained"
    return error("SL521", what, notes=notes, hint=hint, file=str(path))
