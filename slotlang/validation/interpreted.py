"""A runtime ``Module`` whose functions are interpreted: so tables, unpacking and what is read of results are the
runtime's own, and no line of a module's text is executed."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

import numpy as np

from slotlang.validation import arithmetic
from slotlang.validation.arithmetic import kind
from slotlang.validation.interpreter import Function, evaluated
from slotlang.validation.language import METHODS, Outside
from slotlang.validation.scopes import BUILTINS, NUMPY, Failed, Given, Library
from slotlang_runtime.amounts import count_of
from slotlang_runtime.limits import Limit
from slotlang_runtime.module import Module, Output, Packing, Plaintexts, Results
from slotlang_runtime.parameters import Parameters

_TABLES: Mapping[str, Any] = {
    "Module": Module,
    "Output": Output,
    "Limit": Limit,
    "Packing": Packing,
    "Plaintexts": Plaintexts,
    "Results": Results,
    "Parameters": Parameters,
    "float": float,
    "complex": complex,
}
"""What the tables at the top of a module are made of."""

_FOR_BODIES: Mapping[str, Any] = {"element": arithmetic.element}
"""What a body may use of the runtime, where the module imports it."""

_FOR_TABLES = Library({**NUMPY.functions, "arange": (arithmetic.arange, 1)})


def interpreted(tree: ast.Module, names: frozenset[str]) -> Module:
    """The tables of a module that is compared with its emission already, its editable functions interpreted.

    ``names``: the functions that may be edited. Raises ``Outside`` for a body that the language can't say.
    """
    found: dict[str, Any] = {**BUILTINS, "np": NUMPY}
    with_roles, defined = _with_roles(tree), _defined(tree)
    tables: dict[str, Any] = dict(_TABLES)
    operations: frozenset[str] | None = None
    for statement in tree.body:
        match statement:
            case ast.ImportFrom(module="slotlang_runtime", names=imported):
                found.update({a.name: _FOR_BODIES[a.name] for a in imported if a.name in _FOR_BODIES})
            case ast.ClassDef(name="Evaluation", body=body):
                operations = frozenset(s.name for s in body if isinstance(s, ast.FunctionDef))
            case ast.FunctionDef(name=name) if name in names:
                tables[name] = Function(statement, found, defined)
                if name == "evaluate" and operations is not None:
                    _check_operations(statement, operations)
                if name not in with_roles:
                    found[name] = tables[name]
            case ast.FunctionDef(name=name):
                tables[name] = _never
                # of a standalone module, which has them itself
                found.update({name: _FOR_BODIES[name]} if name in _FOR_BODIES else {})
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                if _is_table(value):
                    tables[name] = _table(value, tables)
                elif not _is_literal(value):
                    found[name] = _constant(value, found)
                else:
                    tables[name] = ast.literal_eval(value)
                    if type(tables[name]) in (int, list):
                        found[name] = tables[name]
            case _:
                pass
    module: Module = tables["MODULE"]
    return module


def _check_operations(evaluate: ast.FunctionDef, operations: frozenset[str]) -> None:
    """Raise ``Outside`` for an operation that a standalone module does not have: it has only those of its program."""
    for node in ast.walk(evaluate):
        if isinstance(node, ast.Attribute) and node.attr in (*METHODS, "once") and node.attr not in operations:
            raise Outside(node.lineno, f"the operation `{node.attr}`, which this standalone module does not have")


def _defined(tree: ast.Module) -> frozenset[str]:
    """Every name that is bound at the top of an emitted module, and those that Python puts there."""
    found = {"__name__", "__file__", "__doc__", "__spec__", "__loader__", "__package__", "__cached__", "__builtins__"}
    for statement in tree.body:
        match statement:
            case ast.Import(names=imported) | ast.ImportFrom(names=imported):
                found.update((alias.asname or alias.name).split(".")[0] for alias in imported)
            case ast.FunctionDef(name=name) | ast.Assign(targets=[ast.Name(id=name)]):
                found.add(name)
            case _:
                pass
    return frozenset(found)


def _with_roles(tree: ast.Module) -> frozenset[str]:
    """Functions with a role of their own, which no body calls: all that are in the tables but plaintexts'."""
    found: set[str] = set()
    for statement in tree.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id="MODULE")], value=ast.Call(keywords=keywords)):
                for keyword in keywords:
                    if keyword.arg != "plaintexts":
                        found.update(n.id for n in ast.walk(keyword.value) if isinstance(n, ast.Name))
    return frozenset(found)


def _never(*_: Any) -> Any:
    raise AssertionError("functions that may not be edited are not interpreted")


def _is_table(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _TABLES


def _is_literal(node: ast.expr) -> bool:
    return all(
        isinstance(n, ast.Constant | ast.Tuple | ast.List | ast.Dict | ast.UnaryOp | ast.USub | ast.Load)
        for n in ast.walk(node)
    )


def _table(node: ast.expr, names: Mapping[str, Any]) -> Any:
    match node:
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=keywords):
            options = {k.arg or "": _table(k.value, names) for k in keywords}
            return names[name](*(_table(a, names) for a in arguments), **options)
        case ast.Dict(keys=keys, values=values):
            return {_table(k, names): _table(v, names) for k, v in zip(keys, values, strict=True) if k is not None}
        case ast.Tuple(elts=parts):
            return tuple(_table(part, names) for part in parts)
        case ast.List(elts=parts):
            return [_table(part, names) for part in parts]
        case ast.Name(id=name):
            return names[name]
    return ast.literal_eval(node)


def _constant(node: ast.expr, names: Mapping[str, Any]) -> Any:
    value = evaluated(node, {**names, "np": _FOR_TABLES, "table": arithmetic.table})
    if isinstance(value, np.ndarray):
        value = np.array(value)
        value.flags.writeable = False
    return value


def packed(function: Function, inputs: Mapping[str, Any], indices: tuple[int, ...], slots: int) -> Any:
    """What a function of packing or of plaintexts gives: numbers or symbols, one for all slots or one for each."""
    found = function(Given(dict(inputs)), *indices)
    if kind(found) not in ("f", "c", "s") or getattr(found, "shape", ()) not in ((), (1,), (slots,)):
        raise Outside(function.line, f"`{function.definition.name}` does not give one floating-point number per slot")
    return found


def prepared(module: Module, weights: dict[str, Any]) -> dict[str, Any]:
    """Weights with what is computed of them before plaintexts."""
    if not isinstance(module.prepare, Function):
        return weights
    found = module.prepare(Given(weights))
    if isinstance(found, Given):
        return dict(found)
    if type(found) is not dict or not all(type(name) is str for name in found):
        raise Outside(module.prepare.line, "`prepare` does not give weights by name")
    return found


def check_outputs(module: Module) -> None:
    """Raise unless every unpacking function gives a member, index arrays and at most one condition."""
    returned = module.returned()
    for output in module.outputs:
        function = output.function
        assert isinstance(function, Function)
        axes = len(module.results[output.name][0])
        for binders in np.ndindex(output.shape):
            found = function(*binders)
            if type(found) is not tuple or len(found) not in (2, 3):
                raise Outside(function.line, f"`{function.definition.name}` does not give a member and indices")
            member, places, *condition = found
            if type(member) is not tuple or type(places) is not tuple or len(places) != axes:
                raise Outside(
                    function.line, f"`{function.definition.name}` does not give a member and {count_of(axes, 'index')}"
                )
            if any(kind(value) != "i" for value in places) or any(kind(value) != "b" for value in condition):
                raise Outside(function.line, "indices or a condition that are not integers, or true and false")
            if any(getattr(value, "shape", ()) not in ((), (module.slots,)) for value in (*places, *condition)):
                raise Outside(function.line, "indices or a condition that are not one for each slot")
            if any(isinstance(part, np.ndarray) for part in member):
                raise Failed(function.line, "TypeError: an array in the name of a ciphertext")
            if not all(type(part) in (int, str) for part in member):
                raise Outside(function.line, "something other than integers in the name of a ciphertext")
            if member not in returned:
                raise Failed(function.line, f"KeyError: {member!r} is not among the results")
            slots = int(np.broadcast_to(condition[0] if condition else True, module.slots).sum())
            if not axes and slots != 1:
                raise Failed(
                    function.line, f"ValueError: {count_of(slots, 'slot')} in place of one for a result of one number"
                )
