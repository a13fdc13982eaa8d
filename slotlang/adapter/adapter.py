"""PEFT adapters, read as numpy arrays: modules that can be run, and why the others can't.

Everything here comes from files that someone else wrote. What is wrong with the files as a whole ends in one
``SlotError``: SL501 (a file can't be read), SL503 (the configuration), SL504 (the tensors), SL521 (another method or
library). What is wrong with one module is a reason that belongs to that module: it is refused when it is asked for,
and the others can be run. Nothing is unpickled, and what is read is bounded.

The layout, the scaling and the matching of patterns are those of ``peft.tuners.lora``, as PEFT 0.21.2 has them;
tests/adapter/peft_reference.py compares them with PEFT's own output.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from slotlang.adapter.config import CONFIG_NAME, Config, Obstacle, read_config
from slotlang.adapter.folder import check_folder, read_weights
from slotlang.adapter.keys import Held, sort_keys
from slotlang.adapter.messages import listed, plain, shown, size_text
from slotlang.adapter.obstacles import find_obstacle, sort_extra, wrapping
from slotlang.adapter.patterns import match
from slotlang.adapter.values import FLOATS, Array, first_not_finite, tensor_values
from slotlang.diagnostics import Diagnostic, SlotError, closest, error
from slotlang_runtime.amounts import count_of


@dataclass(frozen=True, slots=True)
class Rule:
    """What gave a module's scaling: alpha and rank with the option that each came from, and the formula."""

    alpha: float
    alpha_from: str
    rank_from: str
    rslora: bool

    @property
    def text(self) -> str:
        """The formula in the configuration's words: ``lora_alpha / sqrt(r)``."""
        return f"{self.alpha_from} / {f'sqrt({self.rank_from})' if self.rslora else self.rank_from}"

    def to_json(self) -> dict[str, object]:
        """Plain data."""
        return {"rule": self.text, "alpha": self.alpha, "rslora": self.rslora}


@dataclass(frozen=True, slots=True, eq=False)
class LoraModule:
    """The low-rank update of one linear layer: ``scaling * up @ (down @ x)`` for x of shape (d_in,).

    ``down`` (rank x d_in) is PEFT's ``lora_A`` and ``up`` (d_out x rank) its ``lora_B``, both float64,
    finite and read-only. ``scaling`` is not multiplied into either; ``rule`` says what gave it. ``dtype`` and ``bytes``
    are those of the file.
    """

    name: str
    down: Array
    up: Array
    scaling: float
    rank: int
    rule: Rule | None = None
    dtype: str = "float64"
    bytes: int = 0

    def __repr__(self) -> str:
        return f"<LoraModule {self.name}: {self.d_in} to {self.d_out}, rank {self.rank}, scaling {self.scaling:g}>"

    @property
    def d_in(self) -> int:
        """The width of the layer's input."""
        return int(self.down.shape[1])

    @property
    def d_out(self) -> int:
        """The width of the layer's output."""
        return int(self.up.shape[0])


@dataclass(frozen=True, slots=True)
class Unusable:
    """A module that can't be run. ``shapes``: of its tensors, as text; ``file``: where the reason is."""

    name: str
    obstacle: Obstacle
    shapes: str
    file: str

    def refusal(self) -> SlotError:
        """The error when this module is asked for."""
        why = self.obstacle
        message = f"{plain(self.name)} can't be run: {why.reason}"
        return error(why.code, message, notes=why.notes, hint=why.hint, file=self.file)


@dataclass(frozen=True, slots=True, eq=False)
class Adapter:
    """The LoRA modules of a folder, keyed and sorted by their path in the base model.

    ``unusable``: modules that can't be run, with the reason. ``extra`` names tensors that were saved beside them and
    are not used: whole layers that PEFT's ``modules_to_save`` retrained, base weights, embeddings of new tokens.
    ``warnings``: what changes nothing although someone meant it to. ``notes``: forms of keys that were read.
    ``bytes``: of the ``files`` with weights.
    """

    path: Path
    modules: dict[str, LoraModule]
    extra: tuple[str, ...] = ()
    unusable: tuple[Unusable, ...] = ()
    warnings: tuple[Diagnostic, ...] = ()
    notes: tuple[str, ...] = ()
    base_model: str = ""
    init: str = "true"
    bytes: int = 0
    files: tuple[Path, ...] = ()

    def __repr__(self) -> str:
        others = f", {len(self.unusable)} that can't be run" if self.unusable else ""
        return f"<Adapter {self.path.name}: {count_of(len(self.modules), 'module')}{others}>"

    def module(self, name: str) -> LoraModule:
        """The module at the path ``name``, or the only one whose path ends in ``.name``.

        Raises SL502 when there is none, or more than one, and the module's own refusal when it can't be run.
        """
        problems = {u.name: u for u in self.unusable}
        every = [*self.modules, *problems]
        hits = [name] if name in every else [path for path in every if path.endswith(f".{name}")]
        if len(hits) == 1:
            if hits[0] in problems:
                raise problems[hits[0]].refusal()
            return self.modules[hits[0]]
        if hits:
            message = f"{shown(name)} names {count_of(len(hits), 'module')} of the adapter"
            notes, hint = [f"it could be {listed(hits)}"], "give more of the path"
        else:
            message = f"the adapter holds no module {shown(name)}"
            parts = name.count(".") + 1
            suffixes = {".".join(path.split(".")[-parts:]) for path in every}
            notes, hint = [f"it holds {listed(every)}"], closest(name, sorted(suffixes))
        raise error("SL502", message, notes=notes, hint=hint, file=str(self.path))

    def only(self) -> LoraModule:
        """The module of an adapter that has one. Raises SL502, or that module's refusal."""
        if len(self.modules) + len(self.unusable) == 1:
            return self.module(next(iter(self.modules), "") or self.unusable[0].name)
        reasons: dict[str, list[str]] = {}
        for unusable in self.unusable:
            reasons.setdefault(unusable.obstacle.reason, []).append(unusable.name)
        others = [f"{listed(names, 3)} can't be run: {reason}" for reason, names in reasons.items()]
        if not self.modules:
            first = self.unusable[0].obstacle
            raise error(first.code, "no module can be run", notes=others, hint=first.hint, file=str(self.path))
        if len(self.modules) == 1:
            (name,) = self.modules
            message = f"of this adapter's {count_of(1 + len(self.unusable), 'module')} one can be run, {plain(name)}"
            raise error("SL502", message, notes=others, hint=f"run it with --module {plain(name)}", file=str(self.path))
        notes = [f"it holds {listed(self.modules)}", *others]
        hint = f"name one with --module; slotlang adapter show {plain(str(self.path), 200)} lists them"
        raise error(
            "SL502",
            f"this adapter has {count_of(len(self.modules), 'module')}",
            notes=notes,
            hint=hint,
            file=str(self.path),
        )


def read_adapter(directory: Path, *, base_changed: bool = False) -> Adapter:
    """Read the folder of a PEFT LoRA adapter: ``adapter_config.json`` and ``adapter_model.safetensors`` or its shards.

    The scaling of a module is ``alpha / rank``, or ``alpha / sqrt(rank)`` with ``use_rslora``, at the rank
    and alpha that ``rank_pattern`` and ``alpha_pattern`` give for its path. ``base_changed``: the user says that the
    base model was changed as the adapter needs it (SL520).

    ``fan_in_fan_out`` is accepted and changes nothing. It says that the *base* layer stores its weight as
    (d_in x d_out); PEFT keeps ``lora_A`` as (r x d_in) and ``lora_B`` as (d_out x r) all the same, applies
    them as they are, and transposes only their product when it merges that into the base weight.

    Raises SL501, SL503, SL504 or SL521 as the module's docstring says.
    """
    check_folder(directory)
    config = read_config(directory / CONFIG_NAME, base_changed=base_changed)
    weights = read_weights(directory)
    keys = sort_keys(weights.tensors, weights.twice, weights.first)
    names = sorted(keys.modules)
    wrappers = wrapping(names)
    ranks, unmatched_ranks = match(config.rank_pattern, "rank_pattern", names, config.path)
    alphas, unmatched_alphas = match(config.alpha_pattern, "alpha_pattern", names, config.path)
    beside, extra = sort_extra(keys, config, base_changed=base_changed)
    modules: dict[str, LoraModule] = {}
    unusable = [
        Unusable(key, Obstacle("SL504", "the key is not one of PEFT's"), "", str(weights.first)) for key in keys.strange
    ]
    for name in names:
        rank_key, rank = ranks.get(name, ("", config.rank))
        alpha_key, alpha = alphas.get(name, ("", config.alpha))
        rule = Rule(
            alpha,
            f"alpha_pattern[{shown(alpha_key)}]" if name in alphas else "lora_alpha",
            f"rank_pattern[{shown(rank_key)}]" if name in ranks else "r",
            config.rslora,
        )
        made = _module(name, keys.modules[name], rank, rule, config, beside.get(name), wrappers)
        if isinstance(made, Obstacle):
            file = str(config.path if made.code == "SL503" or made in config.obstacles else weights.first)
            unusable.append(Unusable(name, made, _shapes(keys.modules[name]), file))
        else:
            modules[name] = made
    return Adapter(
        directory,
        modules,
        tuple(sorted(extra)),
        tuple(sorted(unusable, key=lambda u: u.name)),
        (*unmatched_ranks, *unmatched_alphas),
        (*keys.notes, *config.notes),
        config.base_model,
        config.init,
        weights.bytes,
        weights.files,
    )


def _module(
    name: str, held: Held, rank: int, rule: Rule, config: Config, beside: Obstacle | None, wrappers: frozenset[str]
) -> LoraModule | Obstacle:
    """The module, or why it can't be run."""
    obstacle = find_obstacle(name, held, config, wrappers) or beside
    if obstacle is not None:
        return obstacle
    down, up = held.sides["A"], held.sides["B"]
    if down["shape"][0] != rank or up["shape"][1] != rank:
        notes = (
            f"lora_A is {size_text(down['shape'])}, to be rank x d_in",
            f"lora_B is {size_text(up['shape'])}, to be d_out x rank",
            f"the rank is {rank}, from {rule.rank_from} in {CONFIG_NAME}",
        )
        return Obstacle("SL504", f"the matrices do not have the rank {rank} that the configuration gives", notes)
    arrays = []
    for side, tensor in (("A", down), ("B", up)):
        array = tensor_values(tensor)
        if bad := first_not_finite(array):
            return Obstacle("SL504", f"lora_{side} holds values that are not finite", (bad,))
        array.setflags(write=False)
        arrays.append(array)
    dtypes = dict.fromkeys(FLOATS[tensor["dtype"]] for tensor in (down, up))
    scaling = rule.alpha / (math.sqrt(rank) if rule.rslora else rank)
    size = len(down["data"]) + len(up["data"])
    return LoraModule(name, arrays[0], arrays[1], scaling, rank, rule, " and ".join(dtypes), size)


def _shapes(held: Held) -> str:
    return ", ".join(f"lora_{side} {size_text(held.sides[side]['shape'])}" for side in "AB" if side in held.sides)
