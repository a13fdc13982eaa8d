"""Single changes of an emitted module, in the bodies that may be edited.

Whether a changed module is right is decided by running it on exact slots (tests/exact_slots.py) with random data:
it must run, and its decoded results must be what numpy makes of the unchanged module's specification.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import numpy as np

from slotlang import api

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from exact_slots import Run  # noqa: E402

FUNCTIONS = ("prepare", "evaluate")
PREFIXES = ("pack_", "plain_", "unpack_")
SEEDS = (0, 1)

_OPERATORS = {
    ast.Add: (ast.Sub,),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Add,),
    ast.FloorDiv: (ast.Mod,),
    ast.Mod: (ast.FloorDiv,),
    ast.MatMult: (ast.Mult,),
}
_COMPARISONS = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq}


@dataclass(frozen=True)
class ModuleMutation:
    """A module's text with one change."""

    kind: str
    line: int
    before: str
    after: str
    text: str

    @property
    def description(self) -> str:
        return f"`{self.after}` for `{self.before}` in line {self.line}"


def module_mutants(text: str) -> Iterator[ModuleMutation]:
    """Every single change, in the order of the text."""
    lines = text.splitlines(keepends=True)
    starts = [0, *accumulate(map(len, lines))]
    for where, node, names in _parts(ast.parse(text)):
        for kind, old, new in _edits(node, names):
            assert old.end_lineno is not None and old.end_col_offset is not None
            start = starts[old.lineno - 1] + _column(lines[old.lineno - 1], old.col_offset)
            end = starts[old.end_lineno - 1] + _column(lines[old.end_lineno - 1], old.end_col_offset)
            after = ast.unparse(new)
            spliced = f"({after})" if isinstance(new, ast.BinOp | ast.Compare | ast.UnaryOp) else after
            yield ModuleMutation(
                f"{where}: {kind}", old.lineno, text[start:end], after, text[:start] + spliced + text[end:]
            )


def _column(line: str, offset: int) -> int:
    """Python's syntax tree counts bytes."""
    return len(line.encode()[:offset].decode())


def _parts(module: ast.Module) -> Iterator[tuple[str, ast.AST, tuple[str, ...]]]:
    """Statements of the functions that may be edited, with the names of integers in scope."""
    digits: list[str] = []
    for statement in module.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.BinOp()):
                digits.append(name)
            case ast.FunctionDef(name=name) if name in FUNCTIONS or name.startswith(PREFIXES):
                where = name.split("_")[0]
                local = [a.arg for a in statement.args.args if a.arg not in ("inputs", "weights")]
                loops = [n.target.id for n in ast.walk(statement) if _is_loop(n)]
                scope = loops if where in FUNCTIONS else (*local, *loops, *digits)
                for part in statement.body[1:]:
                    yield where, part, tuple(dict.fromkeys(scope))
            case _:
                pass


def _is_loop(node: ast.AST) -> bool:
    return isinstance(node, ast.For | ast.comprehension) and isinstance(node.target, ast.Name)


def _edits(root: ast.AST, names: tuple[str, ...]) -> Iterator[tuple[str, ast.expr, ast.expr]]:
    """Kind, expression, and what could stand in its place."""
    for node in ast.walk(root):
        match node:
            case ast.Constant(value=bool() as value):
                yield "flag", node, ast.Constant(not value)
            case ast.Constant(value=int() as value):
                yield "number", node, ast.Constant(value + 1)
                if value > 0:
                    yield "number", node, ast.Constant(value - 1)
            case ast.Constant(value=complex() | float() as value):
                yield "sign", node, ast.UnaryOp(ast.USub(), ast.Constant(value))
                yield "number", node, ast.Constant(2 * value)
            case ast.Name(id=name, ctx=ast.Load()) if name in names:
                for other in names:
                    if other != name:
                        yield "index", node, ast.Name(other, ast.Load())
            case ast.BinOp(left=left, op=op, right=right):
                for other in _OPERATORS.get(type(op), ()):
                    yield "operator", node, ast.BinOp(left, other(), right)
                yield "operand", node, left
                yield "operand", node, right
                yield "order", node, ast.BinOp(right, op, left)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                yield "sign", node, operand
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _COMPARISONS:
                yield "bound", node, ast.Compare(left, [_COMPARISONS[type(op)]()], [right])
            case ast.Call(func=function, args=[first, *rest], keywords=keywords):
                if isinstance(function, ast.Name) and function.id == "range":
                    for amount, op in ((1, ast.Add()), (1, ast.Sub())):
                        yield "bound", node, ast.Call(function, [ast.BinOp(first, op, ast.Constant(amount))], keywords)
                elif isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
                    yield "operation", node, first
                if rest:
                    yield "order", node, ast.Call(function, [rest[0], first, *rest[1:]], keywords)
                for number, argument in enumerate(rest):
                    if isinstance(argument, ast.Name | ast.BinOp):
                        more = ast.BinOp(argument, ast.Add(), ast.Constant(1))
                        yield (
                            "step",
                            node,
                            ast.Call(function, [first, *rest[:number], more, *rest[number + 1 :]], keywords),
                        )
                for number in range(len(keywords)):
                    yield (
                        "keyword",
                        node,
                        ast.Call(function, [first, *rest], keywords[:number] + keywords[number + 1 :]),
                    )
            case ast.Subscript(value=value, slice=ast.Tuple(elts=elements), ctx=ast.Load()):
                for n in range(len(elements) - 1):
                    swapped = [*elements[:n], elements[n + 1], elements[n], *elements[n + 2 :]]
                    yield "index", node, ast.Subscript(value, ast.Tuple(swapped, ast.Load()), ast.Load())
            case _:
                pass


class Meaning:
    """Decides whether changed modules of one program are right."""

    def __init__(self, made: api.Lowered) -> None:
        self.program = made.plan.program
        self.expected = []
        for seed in SEEDS:
            run = Run(made.text, self.program, seed)
            self.expected.append(run.module.reference(run.inputs, run.weights))

    def right(self, text: str) -> bool:
        """Whether a module runs and its results are those of the unchanged module's specification."""
        for seed, expected in zip(SEEDS, self.expected, strict=True):
            try:
                run = Run(text, self.program, seed)
                found = run.module.collect(run.values)
            except TimeoutError:
                raise
            except Exception:
                return False
            if not _same(found, expected):
                return False
        return True


def _same(found: object, expected: object) -> bool:
    if isinstance(expected, dict):
        return (
            isinstance(found, dict)
            and found.keys() == expected.keys()
            and all(_same(found[name], expected[name]) for name in expected)
        )
    return np.shape(found) == np.shape(expected) and bool(np.allclose(found, expected, rtol=1e-9, atol=1e-9))
