"""The parts of an emitted module that are the same in all of them, as text."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

from slotlang.planning.target import Kernel


def _text(name: str) -> str:
    return (Path(__file__).parent / f"{name}.py").read_text(encoding="utf-8")


@cache
def runtime_text(*, tables: bool = False) -> str:
    """Imports, context and operations, which every module starts with; ``tables`` adds what packed arrays need."""
    # placeholders that make runtime.py importable; the emitted settings take their place
    text = _text("runtime").replace("PARAMETERS: dict = {}\nSLOTS = 0\n\n\n", "\n")
    if tables:
        text = text.replace("import argparse\n", "import argparse\nimport base64\n", 1)
        text = text.replace("import zipfile\n", "import zipfile\nimport zlib\n", 1)
    return text


@cache
def part_text(name: str) -> str:
    """What stands behind the line that says where the part starts."""
    return _text(name).split(f"# {name} starts here\n", 1)[1]


def transfer_text() -> str:
    """Bytes and arrays that come from elsewhere, checked."""
    return part_text("transfer")


def masks_text() -> str:
    """Random plaintexts that hide what is no result."""
    return part_text("masks")


def workers_text() -> str:
    """Work split over forked processes."""
    return part_text("workers")


def roles_text(products: Kernel = "seal") -> str:
    """Client, Server and main, and what a Server needs that computes products otherwise than SEAL."""
    if products == "seal":
        return part_text("roles")
    before, after = part_text("roles").split("\n\n\ndef relative_error", 1)
    own = part_text("columns" if products == "matrix" else "fused").strip()
    return f"{before}\n\n\n{own}\n\n\ndef relative_error{after}"


@cache
def reserved_names() -> frozenset[str]:
    """Names at the top of every emitted module."""
    names = {"PARAMETERS", "SLOTS", "INPUTS", "WEIGHTS", "SCALARS", "COUNTS", "PACKING", "PLAINTEXTS", "RESULTS"}
    names |= {"FORMAT", "PROGRAM", "SIZES"}
    names |= {"encode", "evaluate", "collect", "returned", "reference", "pattern", "table", "base64", "zlib"}
    shared = runtime_text() + transfer_text() + masks_text() + workers_text()
    for node in ast.parse(shared + roles_text("matrix") + roles_text("fused")).body:
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.Import(names=imported) | ast.ImportFrom(names=imported):
                names.update((alias.asname or alias.name).split(".")[0] for alias in imported)
            case ast.Assign(targets=targets):
                names.update(target.id for target in targets if isinstance(target, ast.Name))
            case _:
                pass
    return frozenset(names)
