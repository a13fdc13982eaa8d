"""What a run on the stand-in does not execute must be, word for word, what slotlang writes into modules."""

from __future__ import annotations

import ast
from collections import defaultdict
from functools import cache
from pathlib import Path

_PARTS = Path(__file__).resolve().parent.parent / "lowering"

_REPLACED: dict[str, tuple[str, ...]] = {
    "transfer": (),  # all of it
    "workers": (),
    "masks": ("uniform", "random_ciphertext", "from_residues", "part_mask", "alone_doubled", "slot_mask"),
    "fused": (
        *("MOST_TERMS", "STRIP", "KERNEL", "_FIRST_WORD", "_CIPHERTEXT", "_PLAINTEXT"),
        *("compiled", "_kernel", "Sums"),
    ),
    "columns": (
        *(
            "LEAST_PIECE",
            "TILE",
            "MAX_ENTRIES",
            "_FIELDS",
            "integer",
            "one_number",
            "Stage",
            "Product",
            "cut",
            "reduced",
            "Memory",
            "Matrices",
        ),
        *(
            "_BLAKE2XB",
            "_BLOCK",
            "residues_of",
            "mask_residues",
            "add_masks",
            "_library",
            "from_seed",
            "load_residues",
            "saved_residues",
        ),
    ),
}
"""Definitions that are replaced, and those that only these use, by the file they stand in."""


def _definitions(text: str) -> dict[str, list[str]]:
    """What each name at the top of a text is defined as, in order."""
    found: dict[str, list[str]] = defaultdict(list)
    for statement in ast.parse(text).body:
        match statement:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                found[name].append(ast.dump(statement))
            case ast.Assign(targets=targets):
                for name in (n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name)):
                    found[name].append(ast.dump(statement))
            case _:
                pass
    return found


@cache
def _shipped() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for part, names in _REPLACED.items():
        defined = _definitions((_PARTS / f"{part}.py").read_text(encoding="utf-8"))
        found.update({name: defined[name] for name in names or defined})
    return found


def changed(text: str) -> str | None:
    """A definition of a module that was changed and is not executed, if there is one."""
    defined = _definitions(text)
    return next((name for name, wanted in _shipped().items() if defined.get(name, wanted) != wanted), None)
