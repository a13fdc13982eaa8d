"""Programs of a built adapter: emitted modules, executed only where their hash is the manifest's.

A module is Python. Whoever can write to the service's folder runs code in the service; nobody else does.
"""

from __future__ import annotations

import ast
import hashlib
import linecache
from pathlib import Path
from types import CodeType

from slotlang.diagnostics import SlotError, error
from slotlang.files import read_regular, reason_of
from slotlang.service.manifest import File
from slotlang_runtime.module import Module

MOST_BYTES = 1 << 26
"""Of a module, as its checker has it."""


def checked_bytes(folder: Path, file: File, limit: int | None = None) -> bytes:
    """The contents of a file that a manifest names. Raises ``SlotError`` SL001 where it can't be read, SL562 where it
    is another."""
    try:
        return held_bytes(folder, file, limit)
    except OSError as problem:
        raise _unreadable(folder, file, problem) from None


def held_bytes(folder: Path, file: File, limit: int | None = None) -> bytes:
    """The contents of a file that is known by its hash. Raises OSError where it can't be read, ``SlotError`` SL562
    where it is another, and SL001 for a path that no file can have."""
    path = folder / file.path
    try:
        if not path.resolve().is_relative_to(folder.resolve()):
            raise error("SL562", f"{file.path} leads out of the adapter's folder", file=str(path))
        data = read_regular(path, limit)
    except (ValueError, RuntimeError) as problem:
        raise _unreadable(folder, file, problem) from None
    if hashlib.sha256(data).hexdigest() != file.sha256:
        message = f"{file.path} is not the file that its manifest names: the hash differs"
        hint = "build the adapter again; what is damaged is made anew"
        raise error("SL562", message, file=str(path), hint=hint)
    return data


def _unreadable(folder: Path, file: File, problem: Exception) -> SlotError:
    return error("SL001", f"can't read {file.path}: {reason_of(problem)}", file=str(folder / file.path))


def program_of(data: bytes, sha256: str) -> Module:
    """The module of a text that has this hash. Raises ``SlotError`` SL562 for anything else, and Rejected for another
    runtime or format."""
    # the functions' text is looked up by this name, for what weights and results belong to
    name = f"<program {sha256[:32]}>"
    if hashlib.sha256(data).hexdigest() != sha256:
        raise error("SL562", f"{name} has another hash")
    try:
        text = data.decode()
        code: CodeType = compile(ast.parse(text, name), name, "exec")
    except (SyntaxError, ValueError, RecursionError):
        raise error("SL562", f"{name} is not a module") from None
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    names = {"__name__": f"slotlang_program_{sha256[:16]}", "__file__": name}
    exec(code, names)
    module = names.get("MODULE")
    if not isinstance(module, Module):
        raise error("SL562", f"{name} has no MODULE")
    return module
