"""A program as stages: one for each name in its text, what it costs, and what it reads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from slotlang.editor.measures import Measures
from slotlang.meaning.integers import variables
from slotlang.meaning.program import Program, written_name
from slotlang.meaning.value import FamilyRef, Permuted, Shift, Value, children

__all__ = ["edges", "stages"]


def stages(program: Program, measures: Measures | None) -> list[dict[str, Any]]:
    """Name, kind, members and rank (0: reads no other stage) of each stage, in the program's order, with its
    operations, levels and scale where they are known."""
    ranks: dict[str, int] = {}
    found: dict[str, dict[str, Any]] = {}
    costs = {m.family: m for m in measures.statements} if measures is not None else {}
    for family in program.families.values():
        name = written_name(family.name)
        reads = {written_name(r) for r, _ in _references(family.body, False)} - {name}
        ranks[name] = max([ranks.get(name, 0), *(ranks[r] + 1 for r in reads if r in ranks)])
        stage = found.setdefault(name, {"name": name, "kind": family.kind, "members": 0, "families": []})
        stage["members"] += family.size
        stage["families"].append(family.name)
        stage["rank"] = ranks[name]
        if (m := costs.get(name)) is not None:
            stage["cost"] = {
                "rotations": m.rotations,
                "plain_products": m.plain_products,
                "cipher_products": m.cipher_products,
                "additions": m.additions,
                "level": m.level,
                "scale": round(m.scale, 1),
                "steps": [list(pair) for pair in m.steps],
            }
    return list(found.values())


def edges(program: Program) -> list[list[Any]]:
    """Stages that read each other: from, to, and whether slots are moved: rotated or permuted."""
    found: dict[tuple[str, str], bool] = {}
    for family in program.families.values():
        for name, moved in _references(family.body, False):
            key = written_name(name), written_name(family.name)
            found[key] = found.get(key, False) or moved
    return [[a, b, moved] for (a, b), moved in found.items()]


def _references(value: Value, moved: bool) -> Iterator[tuple[str, bool]]:
    """The families that a value reads, and whether their slots are moved."""
    match value:
        case FamilyRef(name, _):
            yield name, moved
        case Shift(inner, amount):
            yield from _references(inner, moved or bool(variables(amount)) or str(amount) != "0")
        case Permuted(inner):
            yield from _references(inner, True)
        case _:
            for child in children(value):
                yield from _references(child, moved)
