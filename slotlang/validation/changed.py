"""Which constant of a module was changed, where the rest of it is what another value of that constant is emitted as.

Much of a module's text follows from few constants: the docstring and the tables say what ``PARAMETERS`` and ``LOWERED``
say. Where one of these was edited, the first text that differs from its emission is one that nobody touched.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, get_args

from slotlang.diagnostics import SlotError, error
from slotlang.meaning.program import Program
from slotlang.planning.plan import Plan
from slotlang.planning.target import HIDES
from slotlang.proof.check import METHODS
from slotlang.proof.verdict import Status
from slotlang.source import Span
from slotlang.validation.emission import emitted_anew, planned
from slotlang.validation.module_file import ModuleFile, assigned, line_span
from slotlang.validation.reemission import differing
from slotlang_runtime.module import Kernel


def changed_constant(file: ModuleFile, program: Program) -> SlotError | None:
    """SL745 about the constant that was changed; None where no single one explains what differs."""
    made: Plan | None = None
    for name, key, value, other in _others(file):
        try:
            if name == "LOWERED" and made is None:
                made = planned(file, program)
            emitted, _ = emitted_anew(other, program, made if name == "LOWERED" else None)
            alone = {_named(statement) for statement in differing(file.tree, emitted)} == {name}
        except (SlotError, RecursionError):
            continue
        if alone:
            has = file.kernel if name == "KERNEL" else _value(file, name, key)
            what = f"{key}={has!r}" if key else repr(has)
            return error(
                "SL745",
                f"this module was changed outside of the bodies that may be edited: `{name}` has {what}, and all "
                f"else is emitted for {value!r}",
                _place(file, name, key),
                hint="change the program or the options of `lower`, and lower it again",
            )
    return None


def _value(file: ModuleFile, name: str, key: str) -> Any:
    return getattr(file.parameters, key) if name == "PARAMETERS" else file.lowered[key]


def _others(file: ModuleFile) -> Iterator[tuple[str, str, Any, ModuleFile]]:
    """The module with another value of one constant: its name, the part of it, the value, and the module."""
    for hide in HIDES:
        if hide != file.parameters.hide:
            yield "PARAMETERS", "hide", hide, replace(file, parameters=replace(file.parameters, hide=hide))
    for kernel in get_args(Kernel):
        if kernel != file.kernel:
            yield "KERNEL", "", kernel, replace(file, kernel=kernel)
    by = re.search(r"Emitted by slotlang (\S+) from", ast.get_docstring(file.tree) or "")
    values = {
        "verdict": get_args(Status),
        "method": METHODS,
        "validated": (True, False),
        "by": (by[1],) if by else (),
    }
    for key, choices in values.items():
        for value in choices:
            if value != file.lowered.get(key):
                yield "LOWERED", key, value, replace(file, lowered={**file.lowered, key: value})


def _named(statement: ast.stmt | None) -> str:
    match statement:
        case ast.Assign(targets=[ast.Name(id=name)]):
            return name
    return ""


def _place(file: ModuleFile, name: str, key: str) -> Span:
    """The line of a part of a constant."""
    statement = assigned(file.tree, name)
    match statement:
        case ast.Assign(value=ast.Call(keywords=keywords)):
            nodes: list[ast.AST] = [k.value for k in keywords if k.arg == key]
        case ast.Assign(value=ast.Dict(keys=keys)):
            nodes = [k for k in keys if isinstance(k, ast.Constant) and k.value == key]
        case _:
            nodes = []
    return line_span(file.source, getattr((nodes or [statement or file.tree])[0], "lineno", 1))
