"""What an adapter holds, on a screen: modules that are alike in one group, names with numbers in common as one."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from slotlang.adapter.adapter import Adapter, LoraModule


@dataclass(frozen=True, slots=True)
class Group:
    """Modules of one shape, rank, scaling, rule and dtype, with the bytes of their matrices in the file."""

    d_out: int
    d_in: int
    rank: int
    scaling: float
    rule: str
    dtype: str
    modules: tuple[str, ...]
    bytes: int

    def to_json(self) -> dict[str, object]:
        """Plain data."""
        return {
            "d_out": self.d_out,
            "d_in": self.d_in,
            "rank": self.rank,
            "scaling": self.scaling,
            "rule": self.rule,
            "dtype": self.dtype,
            "bytes": self.bytes,
            "modules": list(self.modules),
        }


def groups(adapter: Adapter) -> list[Group]:
    """The usable modules by what a program for them depends on; most modules first."""
    found: dict[tuple[int, int, int, float, str, str], list[LoraModule]] = {}
    for module in adapter.modules.values():
        rule = module.rule.text if module.rule else ""
        key = (module.d_out, module.d_in, module.rank, module.scaling, rule, module.dtype)
        found.setdefault(key, []).append(module)
    made = [Group(*key, tuple(m.name for m in held), sum(m.bytes for m in held)) for key, held in found.items()]
    return sorted(made, key=lambda group: (-len(group.modules), group.modules))


def names_together(names: Iterable[str]) -> list[tuple[str, int]]:
    """Names that differ in their numbers only as one, with how many they are: ``layers.{0-31}.self_attn.q_proj``."""
    alike: dict[tuple[str, ...], list[tuple[int, ...]]] = {}
    for name in names:
        parts = re.split(r"(?<![\w-])(\d{1,9})(?![\w-])", name)
        alike.setdefault(tuple(parts[::2]), []).append(tuple(map(int, parts[1::2])))
    return [(_joined(texts, numbers), len(numbers)) for texts, numbers in alike.items()]


def _joined(texts: tuple[str, ...], numbers: list[tuple[int, ...]]) -> str:
    spans = ["", *(_span(sorted(set(column))) for column in zip(*numbers, strict=True))]
    return "".join(span + text for span, text in zip(spans, texts, strict=True))


def _span(values: list[int]) -> str:
    """Numbers as ranges: ``{0-3,8}``; one number as it is."""
    if len(values) == 1:
        return str(values[0])
    runs: list[list[int]] = []
    for value in values:
        if runs and value == runs[-1][1] + 1:
            runs[-1][1] = value
        else:
            runs.append([value, value])
    shown = [str(a) if a == b else f"{a}-{b}" for a, b in runs]
    if len(shown) > 8:
        shown = [*shown[:7], "...", shown[-1]]
    return "{" + ",".join(shown) + "}"


def to_json(adapter: Adapter) -> dict[str, object]:
    """Plain data; keys as in ``adapter show --json``."""
    return {
        "adapter": str(adapter.path),
        "base_model": adapter.base_model,
        "init_lora_weights": adapter.init,
        "bytes": adapter.bytes,
        "modules": len(adapter.modules),
        "groups": [group.to_json() for group in groups(adapter)],
        "unusable": [
            {
                "module": u.name,
                "code": u.obstacle.code,
                "reason": u.obstacle.reason,
                "shapes": u.shapes,
                "notes": list(u.obstacle.notes),
                "hint": u.obstacle.hint,
            }
            for u in adapter.unusable
        ],
        "unused_tensors": list(adapter.extra),
        "warnings": [warning.to_json() for warning in adapter.warnings],
        "notes": list(adapter.notes),
    }
