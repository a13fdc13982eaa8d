"""Single changes of Python source, by its syntax tree: operators, comparisons, constants, conditions, returned values,
and statements that are left out."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}


@dataclass(frozen=True)
class Change:
    """One place to change: its line, what changes there, and ``apply``, which does so in the tree."""

    line: int
    what: str
    apply: Callable[[], None]


def changes(tree: ast.Module) -> list[Change]:
    """Every change of a tree, always in the same order."""
    return list(_changes(tree))


def changed(source: str, number: int) -> tuple[Change, str]:
    """The change of this number, and the source with it."""
    tree = ast.parse(source)
    change = changes(tree)[number]
    change.apply()
    return change, ast.unparse(ast.fix_missing_locations(tree)) + "\n"


def _code(tree: ast.AST) -> Iterator[ast.AST]:
    """The nodes that do something: no annotations, no docstrings, no texts of messages."""
    for name, value in ast.iter_fields(tree):
        if name in ("annotation", "returns", "decorator_list", "type_params"):
            continue
        for child in value if isinstance(value, list) else [value]:
            match child:
                case ast.JoinedStr() | ast.Expr(value=ast.Constant()):
                    continue
                case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                    continue
                case ast.Call(func=ast.Name(id="Rejected" | "WorkerFailed" | "Unavailable" | "Impossible")):
                    continue
                case ast.AST():
                    yield child
                    yield from _code(child)
                case _:
                    pass


def _changes(tree: ast.Module) -> Iterator[Change]:
    for node in _code(tree):
        yield from _of_statement(node)
        yield from _of_expression(node)


def _of_statement(node: ast.AST) -> Iterator[Change]:
    for name in ("body", "orelse", "finalbody"):
        body = getattr(node, name, None)
        if not isinstance(body, list):
            continue
        for at, statement in enumerate(body):
            match statement:
                case ast.Expr(value=ast.Call()) | ast.AugAssign() | ast.Raise() | ast.Delete() | ast.Assert():
                    what = f"without `{_short(statement)}`"
                    yield Change(statement.lineno, what, _put(body, at, ast.Pass()))
                case _:
                    pass
    match node:
        case ast.Return(value=value) if value is not None and not _is_none(value):
            yield Change(node.lineno, "returns None", _set(node, "value", ast.Constant(None)))
        case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test):
            for truth in (True, False):
                if not (isinstance(test, ast.Constant) or (isinstance(node, ast.While) and truth)):
                    what = f"`{_short(test)}` is {truth}"
                    yield Change(node.lineno, what, _set(node, "test", ast.Constant(truth)))
        case _:
            pass


def _of_expression(node: ast.AST) -> Iterator[Change]:
    match node:
        case ast.Compare(ops=ops):
            for at, op in enumerate(ops):
                other = _COMPARISONS[type(op)]
                yield Change(node.lineno, f"{type(op).__name__} -> {other.__name__}", _put(ops, at, other()))
        case ast.BinOp(op=op) | ast.AugAssign(op=op) if type(op) in _OPERATORS:
            changed_op = _OPERATORS[type(op)]
            what = f"{type(op).__name__} -> {changed_op.__name__}"
            yield Change(node.lineno, what, _set(node, "op", changed_op()))
        case ast.BoolOp(op=op):
            other_bool = ast.Or if isinstance(op, ast.And) else ast.And
            yield Change(node.lineno, f"{type(op).__name__} -> {other_bool.__name__}", _set(node, "op", other_bool()))
        case ast.UnaryOp(op=ast.Not()):
            yield Change(node.lineno, "without `not`", _set(node, "op", ast.Not(), wrap=True))
        case ast.UnaryOp(op=ast.USub()):
            yield Change(node.lineno, "without a minus", _set(node, "op", ast.UAdd()))
        case ast.Constant(value=bool(value)):
            yield Change(node.lineno, f"{value} -> {not value}", _set(node, "value", not value))
        case ast.Constant(value=int(value)):
            yield Change(node.lineno, f"{value} -> {value + 1}", _set(node, "value", value + 1))
        case ast.Constant(value=float(value)):
            yield Change(node.lineno, f"{value} -> {2 * value + 1}", _set(node, "value", 2 * value + 1))
        case _:
            pass


def _put(items: list[Any], at: int, value: ast.AST) -> Callable[[], None]:
    return lambda: items.__setitem__(at, value)


def _set(node: ast.AST, name: str, value: Any, *, wrap: bool = False) -> Callable[[], None]:
    def apply() -> None:
        if wrap:
            # not x becomes not not x, the truth of x
            operand = ast.UnaryOp(ast.Not(), node.operand)  # type: ignore[attr-defined]
            node.operand = operand  # type: ignore[attr-defined]
        setattr(node, name, value)

    return apply


def _is_none(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is None


def _short(node: ast.AST) -> str:
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= 60 else f"{text[:57]}..."
