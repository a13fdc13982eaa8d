"""A module compared with what is emitted anew from its program and parameters: all but the editable bodies is the same.

Emission is a function of program, plan and verdicts, so everything that a module holds beside the bodies of packing,
plaintexts, ``prepare``, ``evaluate`` and unpacking is known beforehand. Comments and the layout of the text are not
part of a syntax tree; everything else is.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import zip_longest

from slotlang.diagnostics import SlotError, error
from slotlang.emit.standalone import STANDALONE, fixed_functions
from slotlang.source import Source
from slotlang.validation.module_file import assigned, line_span

_FIXED = ("reference", "patterns")
"""Arguments of ``Module`` whose functions are not interpreted, and so may not be edited."""


def editable(emitted: ast.Module) -> frozenset[str]:
    """Names of the functions whose bodies may be edited: all but those that ``MODULE`` has as ``reference`` and
    ``patterns``, and those of a standalone module's fixed part."""
    fixed: set[str] = set()
    match assigned(emitted, "MODULE"):
        case ast.Assign(value=ast.Call(keywords=keywords)):
            for keyword in keywords:
                if keyword.arg in _FIXED:
                    fixed.update(n.id for n in ast.walk(keyword.value) if isinstance(n, ast.Name))
    match assigned(emitted, "RUNTIME"):
        case ast.Assign(value=ast.Constant(value=runtime)) if runtime == STANDALONE:
            fixed |= fixed_functions()
    return frozenset(s.name for s in emitted.body if isinstance(s, ast.FunctionDef) and s.name not in fixed)


def compare(source: Source, module: ast.Module, emitted: ast.Module) -> bool:
    """Whether a module's editable bodies are those of the emission too.

    Raises ``SlotError`` SL745, with the first place, when something else in the module differs.
    """
    names = editable(emitted)
    try:
        ours, theirs = ([_form(s, names) for s in tree.body] for tree in (module, emitted))
        if ours != theirs:
            # the docstring follows from constants: where others differ too, one of these was changed
            at = int(_documented(module) and _documented(emitted) and ours[1:] != theirs[1:])
            raise _changed(source, module.body[at:], emitted.body[at:], ours[at:], theirs[at:])
    except RecursionError:
        raise error("SL745", "this module nests deeper than anything emitted", line_span(source, 1)) from None
    try:
        return ast.dump(module) == ast.dump(emitted)
    except RecursionError:
        return False


def differing(module: ast.Module, emitted: ast.Module) -> list[ast.stmt | None]:
    """The statements of a module that differ from those of an emission, but for editable bodies; None stands for one
    that is missing."""
    names = editable(emitted)
    ours, theirs = ([_form(s, names) for s in tree.body] for tree in (module, emitted))
    statements = zip_longest(module.body, ours, theirs)
    return [statement for statement, own, other in statements if own != other]


def _documented(module: ast.Module) -> bool:
    return bool(module.body) and _named(module.body[0]) == "the docstring"


def _form(statement: ast.stmt, names: frozenset[str]) -> str:
    """A statement without positions, and without its body where that may be edited."""
    if not isinstance(statement, ast.FunctionDef) or statement.name not in names:
        return ast.dump(statement)
    return "\n".join(
        str(part if isinstance(part, str) or part is None else ast.dump(part)) for part in _header(statement)
    )


def _header(function: ast.FunctionDef) -> Iterator[str | ast.AST | None]:
    for name, value in ast.iter_fields(function):
        if name != "body":
            yield name
            yield from value if isinstance(value, list) else [value]


def _changed(
    source: Source, module: list[ast.stmt], emitted: list[ast.stmt], ours: list[str], theirs: list[str]
) -> SlotError:
    """The error for the first statement that differs."""
    at = next((n for n, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), min(len(ours), len(theirs)))
    if at == len(ours):
        return _error(source, f"{_named(emitted[at])} is missing", module[-1].lineno if module else 1)
    statement = module[at]
    line = _line(statement)
    if at == len(theirs) or ours[at + 1 : at + 2] == theirs[at : at + 1]:
        return _error(source, f"{_named(statement)} was added", line)
    wanted = emitted[at]
    if theirs[at + 1 : at + 2] == ours[at : at + 1]:
        return _error(source, f"{_named(wanted)} is missing before this", line)
    if _named(wanted) == _named(statement) == "the docstring":
        what = "the docstring does not say what `LOWERED`, `PARAMETERS` and `PROMISE` say; one of these was changed"
        return _error(source, what, line)
    if _named(wanted) == _named(statement):
        line, detail = _difference(statement, wanted) or (line, "")
        return _error(source, f"{_named(statement)} was changed{detail}", line)
    return _error(source, f"{_named(statement)} stands where {_named(wanted)} is emitted", line)


def _error(source: Source, what: str, line: int) -> SlotError:
    return error(
        "SL745",
        f"this module was changed outside of the bodies that may be edited: {what}",
        line_span(source, line),
        hint="only bodies of packing, plaintexts, `prepare`, `evaluate` and unpacking may be edited; for anything else "
        "change the program or its parameters, and lower it again",
    )


def _line(statement: ast.stmt) -> int:
    decorators: list[ast.expr] = getattr(statement, "decorator_list", [])
    return min([statement.lineno, *(d.lineno for d in decorators)])


def _named(statement: ast.stmt) -> str:
    match statement:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            return f"the function `{name}`"
        case ast.ClassDef(name=name):
            return f"the class `{name}`"
        case ast.Assign(targets=[ast.Name(id=name)]):
            return f"`{name}`"
        case ast.Import(names=names):
            return f"the import of {', '.join(alias.name for alias in names)}"
        case ast.ImportFrom(module=module):
            return f"the import from {module}"
        case ast.Expr(value=ast.Constant(value=str())):
            return "the docstring"
        case ast.If():
            return "the `if` statement"
    return f"a statement ({type(statement).__name__})"


def _difference(a: ast.AST, b: ast.AST) -> tuple[int, str] | None:
    """The line of the first node of a tree that differs from another tree, and what it was where both are short."""
    line = getattr(a, "lineno", 0)
    if type(a) is not type(b):
        return line, ""
    for name in a._fields:
        mine, theirs = getattr(a, name, None), getattr(b, name, None)
        if isinstance(a, ast.FunctionDef) and name == "body":
            continue
        pairs = [(mine, theirs)]
        if isinstance(mine, list) and isinstance(theirs, list):
            if len(mine) != len(theirs):
                return line, ""
            pairs = list(zip(mine, theirs, strict=True))
        for left, right in pairs:
            if isinstance(left, ast.AST) and isinstance(right, ast.AST):
                found = _difference(left, right)
                if found is not None:
                    return found[0] or line, found[1]
            elif left != right or type(left) is not type(right):
                shown = f": {_shown(left)}, and {_shown(right)} is emitted"
                return line, shown if len(shown) < 100 else ""
    return None


def _shown(part: object) -> str:
    match part:
        case ast.AST():
            return f"`{ast.unparse(part)}`"
        case None:
            return "nothing"
    return repr(part)
