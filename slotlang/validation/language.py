"""The small language that bodies of editable functions are written in: a list of syntax nodes, each with what it means.

Everything else is outside, whatever it would do: no conversion of a type, no attribute but those listed, no import, no
state that outlives the call, no nested function, no ``while``, ``try`` or ``with``. What is listed here still has to
be used on values it is meant for; ``interpreter`` looks at that.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping

EXPRESSIONS: Mapping[type[ast.AST], str] = {
    ast.Constant: "a number, True, False, or a string that names a family or a tensor",
    ast.Name: "a parameter, a local name, or a size, a digit, a table or a function of the module",
    ast.Tuple: "indices; a member's name",
    ast.List: "ciphertexts to add up, or steps",
    ast.Dict: "a family of ciphertexts to fill, or weights with more beside them",
    ast.Starred: "the items of a list, as arguments or in a list",
    ast.BinOp: "arithmetic on integers, index arrays, and vectors of weights",
    ast.UnaryOp: "a negative",
    ast.Compare: "one comparison of integers or index arrays",
    ast.IfExp: "a choice by an integer",
    ast.Subscript: "an element of a dict, of a table, or of weights at index arrays",
    ast.Attribute: "`.T`, or the name of a function of `np`, a method of `ev`, or `cipher.pop`",
    ast.Call: "a call of such a function, of `range`, `reversed`, `sum`, `element`, or of another plaintext's function",
    ast.GeneratorExp: "terms of a sum, over ranges",
    ast.ListComp: "a list, over ranges",
    ast.DictComp: "a family of ciphertexts, over ranges",
}
"""Expressions."""

STATEMENTS: Mapping[type[ast.AST], str] = {
    ast.Assign: "a local name is bound, or a member is put into a dict that the function made itself",
    ast.For: "a loop over a range, or over `np.ndindex`",
    ast.Delete: "a local name is given up",
    ast.Return: "the last statement",
    ast.Expr: "a docstring",
}
"""Statements."""

OPERATORS: Mapping[type[ast.AST], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.FloorDiv: "//",
    ast.Mod: "%",
    ast.MatMult: "@",
    ast.Pow: "**",
    ast.BitXor: "^",
    ast.BitAnd: "&",
    ast.BitOr: "|",
    ast.USub: "-",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Eq: "==",
    ast.NotEq: "!=",
}
"""Operators, of two operands but for the second ``-``."""

NUMPY = ("broadcast_to", "roll", "conj", "argsort", "logical_not", "ndindex", "minimum", "maximum", "where")
"""Functions of numpy that a body may call; ``arange`` too where a module defines ``slot``."""

METHODS = (
    *("rotate", "conj", "product", "relinearize", "multiply", "rescale", "negate"),
    *("sum", "sum_of", "dot", "combine", "add_plain", "tree", "horner", "doubling"),
)
"""Methods of ``slotlang_runtime.operations.Evaluation`` that a body may call, or give to ``ev.once``."""

MAX_BITS = 62
"""Largest integer, in bits: below what numpy's own integers hold."""

MAX_DEPTH = 200
"""Deepest nesting of syntax in a body; Python's own parser ends there too."""


class Outside(Exception):
    """Something that the language can't say, in a line of the module."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(f"line {line}: {what}")
        self.line = line
        self.what = what


def check_body(function: ast.FunctionDef) -> None:
    """Raise ``Outside`` for the first part of a function's body that is not listed, reached or not."""
    body = function.body
    for position, statement in enumerate(body):
        if isinstance(statement, ast.Return) and position + 1 < len(body):
            raise Outside(body[position + 1].lineno, "statements after `return`")
        _statement(statement, first=position == 0, depth=0)
    if not isinstance(body[-1], ast.Return):
        raise Outside(body[-1].lineno, "a function that does not end with `return`")


def _statement(statement: ast.stmt, *, first: bool, depth: int) -> None:
    line = statement.lineno
    if depth > MAX_DEPTH:
        raise Outside(line, "deeper nesting than is read")
    match statement:
        case ast.Expr(ast.Constant(str())) if first and depth == 0:
            pass
        case ast.Expr():
            raise Outside(line, "an expression that is not used")
        case ast.Assign(targets=[target], value=value):
            _target(target)
            _expression(value, depth)
        case ast.For(target=target, iter=iterable, body=body, orelse=[]):
            _names(target)
            _expression(iterable, depth)
            for inner in body:
                if isinstance(inner, ast.Return):
                    raise Outside(inner.lineno, "`return` inside of a loop")
                _statement(inner, first=False, depth=depth + 1)
        case ast.Delete(targets=targets):
            for target in targets:
                if not isinstance(target, ast.Name):
                    raise Outside(line, "`del` of something that is not a local name")
                _name(target.id, line)
        case ast.Return(value=ast.expr() as value):
            _expression(value, depth)
        case _:
            raise Outside(line, f"the statement `{_words(statement)}`")


def _target(target: ast.expr) -> None:
    match target:
        case ast.Name(id=name):
            _name(name, target.lineno)
        case ast.Subscript(value=value, slice=index):
            _expression(value, 0)
            _index(index, 0)
        case _:
            raise Outside(target.lineno, "an assignment to something that is not a name or a member of a dict")


def _names(target: ast.expr) -> None:
    """Loop variables."""
    match target:
        case ast.Name(id=name):
            _name(name, target.lineno)
        case ast.Tuple(elts=parts) if parts and all(isinstance(p, ast.Name) for p in parts):
            for part in parts:
                _names(part)
        case _:
            raise Outside(target.lineno, "a loop variable that is not a name")


def _name(name: str, line: int) -> None:
    if name.startswith("__"):
        raise Outside(line, f"the name `{name}`")


def _index(index: ast.expr, depth: int) -> None:
    parts = index.elts if isinstance(index, ast.Tuple) else [index]
    for part in parts:
        if isinstance(part, ast.Slice | ast.Starred):
            raise Outside(index.lineno, "a slice")
        _expression(part, depth)


def _expression(node: ast.expr, depth: int) -> None:
    line = node.lineno
    depth += 1
    if depth > MAX_DEPTH:
        raise Outside(line, "deeper nesting than is read")
    match node:
        case ast.Constant(value=value):
            _constant(value, line)
        case ast.Name(id=name):
            _name(name, line)
        case ast.Tuple(elts=parts):
            for part in parts:
                if isinstance(part, ast.Starred):
                    raise Outside(line, "`*` in a tuple")
                _expression(part, depth)
        case ast.List(elts=parts):
            _items(parts, depth)
        case ast.Dict(keys=keys, values=values):
            for key, value in zip(keys, values, strict=True):
                if key is not None:
                    _expression(key, depth)
                _expression(value, depth)
        case ast.BinOp(left=left, op=op, right=right):
            _operator(op, line)
            _expression(left, depth)
            _expression(right, depth)
        case ast.UnaryOp(op=op, operand=operand):
            _operator(op, line)
            _expression(operand, depth)
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            _operator(op, line)
            _expression(left, depth)
            _expression(right, depth)
        case ast.Compare():
            raise Outside(line, "a chain of comparisons")
        case ast.IfExp(test=test, body=body, orelse=other):
            for part in (test, body, other):
                _expression(part, depth)
        case ast.Subscript(value=value, slice=index):
            _expression(value, depth)
            _index(index, depth)
        case ast.Attribute(value=value, attr="T"):
            _expression(value, depth)
        case ast.Attribute(attr=name):
            raise Outside(line, f"the attribute `.{name}`")
        case ast.Call():
            _call(node, depth)
        case ast.GeneratorExp(elt=value, generators=loops) | ast.ListComp(elt=value, generators=loops):
            _loops(loops, line, depth)
            _expression(value, depth)
        case ast.DictComp(key=key, value=value, generators=loops):
            _loops(loops, line, depth)
            _expression(key, depth)
            _expression(value, depth)
        case _:
            raise Outside(line, f"`{_words(node)}`")


def _constant(value: object, line: int) -> None:
    if type(value) is int and value.bit_length() > MAX_BITS:
        raise Outside(line, f"an integer of more than {MAX_BITS} bits")
    if type(value) not in (int, float, complex, str, bool):
        raise Outside(line, f"the constant `{value!r}`")


def _operator(op: ast.AST, line: int) -> None:
    if type(op) not in OPERATORS:
        raise Outside(line, f"the operator `{_words(op)}`")


def _items(parts: list[ast.expr], depth: int) -> None:
    for part in parts:
        _expression(part.value if isinstance(part, ast.Starred) else part, depth)


def _loops(loops: list[ast.comprehension], line: int, depth: int) -> None:
    for loop in loops:
        if loop.ifs or loop.is_async:
            raise Outside(line, "a condition in a comprehension")
        _names(loop.target)
        _expression(loop.iter, depth)


def _call(node: ast.Call, depth: int) -> None:
    line = node.lineno
    arguments = node.args
    match node.func:
        case ast.Name(id=name):
            _name(name, line)
        case ast.Attribute(value=ast.Name(id=owner), attr="once"):
            _name(owner, line)
            match arguments:
                case [ast.Attribute(value=ast.Name(id=again), attr=method), *rest] if again == owner:
                    if method not in METHODS:
                        raise Outside(line, f"the method `{method}`")
                    arguments = rest
                case _:
                    raise Outside(line, "`once` of something that is not an operation")
        case ast.Attribute(value=ast.Name(id=owner), attr=name):
            _name(owner, line)
            if name not in (*METHODS, *NUMPY, "pop", "arange"):
                raise Outside(line, f"a call of `{owner}.{name}`")
        case _:
            raise Outside(line, "a call of something that is not a name")
    _items(arguments, depth)
    for keyword in node.keywords:
        if keyword.arg != "shared":
            raise Outside(line, f"the argument `{keyword.arg or '**'}`")
        _expression(keyword.value, depth)


def _words(node: ast.AST) -> str:
    """A node as its name in Python's grammar, for messages."""
    return type(node).__name__
