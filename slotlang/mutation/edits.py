"""Single changes of one expression, at every place in it.

An edit holds the changed expression up to the level where it was made; ``within`` carries it up a level. Nothing is
bound here, so an edit may be without meaning, for example read outside a tensor: binding refuses it then.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, assert_never

from slotlang.mutation.names import Names
from slotlang.source import Span
from slotlang.syntax import tree
from slotlang.syntax.printer import expression_text
from slotlang.words import CONSTANT_WORDS, SLOTWISE_WORDS


@dataclass(frozen=True, slots=True)
class Edit:
    """``after`` in the place of the text at ``span``; ``node`` is the expression that holds the change."""

    kind: str
    span: Span
    after: str
    node: Any


def within(edits: Iterable[Edit], rebuild: Callable[[Any], Any]) -> Iterator[Edit]:
    """The edits of a part as edits of the whole."""
    for edit in edits:
        yield replace(edit, node=rebuild(edit.node))


def each(parts: Sequence[Any], edits: Callable[[Any], Iterator[Edit]]) -> Iterator[Edit]:
    """The edits of every member of a tuple, as edits of the tuple."""
    for position, part in enumerate(parts):
        for edit in edits(part):
            yield replace(edit, node=(*parts[:position], edit.node, *parts[position + 1 :]))


def put(kind: str, old: tree.Expr, new: tree.Expr) -> Edit:
    """Another expression in the place of one."""
    return Edit(kind, old.span, expression_text(new, tight=True), new)


_COMMENT = re.compile(r"#[^\n]*")


def token(kind: str, left: Span, right: Span, old: str, new: str, node: Any) -> Edit:
    """Another operator in the place of the one that stands between two operands."""
    between = _COMMENT.sub(lambda comment: " " * len(comment[0]), left.source.text[left.end : right.start])
    start = left.end + between.index(old)
    return Edit(kind, Span(left.source, start, start + len(old)), new, node)


def _number(value: Fraction | int, like: tree.Expr, imaginary: bool = False) -> tree.Number:
    return tree.Number(Fraction(value), imaginary, like.span)


def _plus(e: tree.Expr, op: str, amount: int = 1) -> tree.Expr:
    return tree.Binary(op, e, _number(amount, e), e.span)


_INTEGER_OPS = {"+": "-", "-": "+", "//": "%", "%": "//", "/": "*"}
"""Other operators that bind as strongly."""
_COMPARISONS = {"<": ("<=", ">"), "<=": ("<",), ">": (">=", "<"), ">=": (">",), "==": ("!=", "<="), "!=": ("==",)}


def integer_edits(e: tree.Expr, kind: str, names: Names) -> Iterator[Edit]:
    """One more and one less, and every change inside an integer expression."""
    if not isinstance(e, tree.Number):
        yield put(kind, e, _plus(e, "+"))
        yield put(kind, e, _plus(e, "-"))
    yield from _summand(e, names)
    yield from _integer_parts(e, kind, names)


def _summand(e: tree.Expr, names: Names) -> Iterator[Edit]:
    """A variable that a person may have forgotten to add."""
    nothing = isinstance(e, tree.Number) and e.value == 0
    for variable in names.variables if names.forgotten else ():
        if nothing:
            yield put("forgotten", e, tree.Name(variable, e.span))
        for op in "" if nothing else "+-":
            yield put("forgotten", e, tree.Binary(op, e, tree.Name(variable, e.span), e.span))


def _factor(e: tree.Name, names: Names) -> Iterator[Edit]:
    """A size that a person may have forgotten to multiply a variable by, or a loop variable that is missing beside a
    size."""
    if names.forgotten:
        for other in names.loops if e.name in names.sizes else names.sizes:
            yield put("forgotten", e, tree.Binary("*", e, tree.Name(other, e.span), e.span))


def _integer_parts(e: tree.Expr, kind: str, names: Names) -> Iterator[Edit]:
    match e:
        case tree.Number(value, False):
            yield put(kind, e, _number(value + 1, e))
            if value > 0:
                yield put(kind, e, _number(value - 1, e))
        case tree.Name(name):
            for other in names.others(name):
                yield put(kind, e, tree.Name(other, e.span))
            yield from _factor(e, names)
        case tree.Unary("-", operand):
            yield put("sign", e, operand)
            yield from within(_integer_parts(operand, kind, names), lambda new: replace(e, operand=new))
        case tree.Binary(op, left, right):
            modulus = "modulus" if op == "%" else kind
            if op in _INTEGER_OPS:
                other = _INTEGER_OPS[op]
                yield token(modulus, left.span, right.span, op, other, replace(e, op=other))
            elif op == "*":
                yield put(kind, e, replace(e, op="+"))
            yield put(modulus, e, left)
            yield put(kind, e, right)
            if op in ("%", "//"):
                yield from within(_summand(left, names), lambda new: replace(e, left=new))
            if op in "-+*":
                yield put("order" if op != "-" else kind, e, replace(e, left=right, right=left))
            yield from within(_integer_parts(left, kind, names), lambda new: replace(e, left=new))
            inner = integer_edits if op == "%" else _integer_parts
            yield from within(inner(right, modulus, names), lambda new: replace(e, right=new))
        case tree.Call(name, arguments):
            if name in ("min", "max"):
                yield put(kind, e, replace(e, name="max" if name == "min" else "min"))
            for argument in arguments:
                yield put(kind, e, argument)
            parts = each(arguments, lambda argument: _integer_parts(argument, kind, names))
            yield from within(parts, lambda new: replace(e, arguments=new))
        case tree.Choice():
            yield from _choice_edits(e, kind, names, lambda branch: _integer_parts(branch, kind, names))
        case _:
            return


def _choice_edits(
    e: tree.Choice, kind: str, names: Names, edits: Callable[[tree.Expr], Iterator[Edit]]
) -> Iterator[Edit]:
    """A branch without its condition, the branches exchanged, and every change inside."""
    yield put(kind, e, e.yes)
    yield put(kind, e, e.no)
    yield put(kind, e, replace(e, yes=e.no, no=e.yes))
    yield from within(condition_edits(e.condition, kind, names), lambda new: replace(e, condition=new))
    yield from within(edits(e.yes), lambda new: replace(e, yes=new))
    yield from within(edits(e.no), lambda new: replace(e, no=new))


def condition_edits(e: tree.Expr, kind: str, names: Names) -> Iterator[Edit]:
    """Comparisons, their operands, and the words that join them."""
    match e:
        case tree.Compare(ops, operands):
            for position, op in enumerate(ops):
                for other in _COMPARISONS[op]:
                    new = replace(e, ops=(*ops[:position], other, *ops[position + 1 :]))
                    yield token(kind, operands[position].span, operands[position + 1].span, op, other, new)
            bounds = each(operands, lambda operand: _size_for(operand, kind, names))
            yield from within(bounds, lambda new: replace(e, operands=new))
            parts = each(operands, lambda operand: integer_edits(operand, kind, names))
            yield from within(parts, lambda new: replace(e, operands=new))
        case tree.Binary("and" | "or" as op, left, right):
            other = "or" if op == "and" else "and"
            yield put(kind, e, replace(e, op=other))
            yield put(kind, e, left)
            yield put(kind, e, right)
            yield from within(condition_edits(left, kind, names), lambda new: replace(e, left=new))
            yield from within(condition_edits(right, kind, names), lambda new: replace(e, right=new))
        case tree.Unary("not", operand):
            yield put(kind, e, operand)
            yield from within(condition_edits(operand, kind, names), lambda new: replace(e, operand=new))
        case _:
            return


def _size_for(e: tree.Expr, kind: str, names: Names) -> Iterator[Edit]:
    """A size in the place of a number that a person may have written for it."""
    if isinstance(e, tree.Number) and names.forgotten:
        for size in names.sizes:
            yield put(kind, e, tree.Name(size, e.span))


def where_edits(where: tree.Expr | None, kind: str, names: Names) -> Iterator[Edit]:
    """The condition of a ``where``, if there is one."""
    if where is not None:
        yield put(kind, where, tree.Unary("not", where, where.span))
        yield from condition_edits(where, kind, names)


def binder_edits(binders: tuple[tree.Binder, ...], names: Names) -> Iterator[Edit]:
    """Loop bounds, as edits of the tuple of binders."""

    def extents(binder: tree.Binder) -> Iterator[Edit]:
        return within(integer_edits(binder.extent, "bound", names), lambda new: replace(binder, extent=new))

    return each(binders, extents)


def swapped(indices: tuple[tree.Expr, ...]) -> Iterator[tuple[tree.Expr, ...]]:
    """Neighbours exchanged."""
    for p in range(len(indices) - 1):
        yield (*indices[:p], indices[p + 1], indices[p], *indices[p + 2 :])


def tensor_edits(e: tree.Expr, kind: str, names: Names) -> Iterator[Edit]:
    """A matrix expression: its tensors, transposes, signs, order and constants."""
    match e:
        case tree.Name(name) if name in names.tensors:
            for other, arity in names.tensors.items():
                if other != name and arity == names.tensors[name]:
                    yield put(kind, e, tree.Name(other, e.span))
            if names.tensors[name] >= 2:
                yield put(kind, e, tree.Transpose(e, e.span, "T" if names.tensors[name] == 2 else "mT"))
        case tree.Name() | tree.Number():
            yield put(kind, e, tree.Binary("*", _number(2, e), e, e.span))
        case tree.Transpose(base):
            yield put(kind, e, base)
            yield from within(tensor_edits(base, kind, names), lambda new: replace(e, base=new))
        case tree.Constant(word, arguments):
            for other in CONSTANT_WORDS:
                if other != word and "eye" not in (word, other):
                    yield put(kind, e, replace(e, kind=other))
            parts = each(arguments, lambda argument: integer_edits(argument, kind, names))
            yield from within(parts, lambda new: replace(e, arguments=new))
        case tree.Binary("**", left, right):
            yield put(kind, e, left)
            yield from within(tensor_edits(left, kind, names), lambda new: replace(e, left=new))
            yield from within(integer_edits(right, kind, names), lambda new: replace(e, right=new))
        case tree.Unary("-", operand):
            yield put(kind, e, operand)
            yield from within(tensor_edits(operand, kind, names), lambda new: replace(e, operand=new))
        case tree.Binary(op, left, right):
            if op in "+-":
                other = "-" if op == "+" else "+"
                yield token(kind, left.span, right.span, op, other, replace(e, op=other))
            yield put(kind, e, left)
            yield put(kind, e, right)
            yield put("order" if op in "+*" else kind, e, replace(e, left=right, right=left))
            yield from within(tensor_edits(left, kind, names), lambda new: replace(e, left=new))
            yield from within(tensor_edits(right, kind, names), lambda new: replace(e, right=new))
        case _:
            return


def _read_edits(e: tree.Index, names: Names) -> Iterator[Edit]:
    """A member of a family, or an element of a tensor or of a matrix expression."""
    family = isinstance(e.base, tree.Name) and e.base.name in names.families
    kind = "family index" if family else "index"
    parts = each(e.indices, lambda index: integer_edits(index, kind, names))
    yield from within(parts, lambda new: replace(e, indices=new))
    for indices in swapped(e.indices):
        yield put(kind, e, replace(e, indices=indices))
    if isinstance(e.base, tree.Name):
        known, what = (names.families, "family") if family else (names.tensors, "tensor")
        for other, arity in known.items():
            if other != e.base.name and arity == len(e.indices):
                yield put(what, e, replace(e, base=tree.Name(other, e.base.span)))
    else:
        yield from within(tensor_edits(e.base, "tensor", names), lambda new: replace(e, base=new))
    if family and isinstance(e.base, tree.Name) and e.base.name in names.ciphers:
        yield from _slotwise_edits(e)
    if not family:
        yield put("mask", e, replace(e, else_zero=not e.else_zero))
        for scalar in names.scalars:
            yield put("scale", e, tree.Binary("*", tree.Name(scalar, e.span), e, e.span))


def _slotwise_edits(e: tree.Expr) -> Iterator[Edit]:
    """A word put before a ciphertext."""
    for word in SLOTWISE_WORDS:
        yield put("conjugate", e, tree.Unary(word, e, e.span))


def value_edits(e: tree.Expr, names: Names) -> Iterator[Edit]:
    """Every change inside a slot value."""
    match e:
        case tree.Number(value, imaginary):
            yield put("scale", e, _number(2 * value, e, imaginary))
            yield put("scale", e, _number(value / 2, e, imaginary))
            yield put("sign", e, tree.Unary("-", e, e.span))
            if imaginary:
                yield put("conjugate", e, _number(value, e))
        case tree.Name(name):
            for other, arity in names.families.items():
                if name in names.families and other != name and arity == 0:
                    yield put("family", e, tree.Name(other, e.span))
            if name in names.ciphers:
                yield from _slotwise_edits(e)
            if name in names.scalars:
                yield put("scale", e, tree.Binary("*", _number(2, e), e, e.span))
                yield put("scale", e, _number(1, e))
        case tree.Index():
            yield from _read_edits(e, names)
        case tree.Unary(op, operand):
            yield put("sign" if op == "-" else "conjugate" if op in SLOTWISE_WORDS else "part", e, operand)
            yield from within(value_edits(operand, names), lambda new: replace(e, operand=new))
        case tree.Binary("<<" | ">>" as op, left, right):
            other = ">>" if op == "<<" else "<<"
            yield token("shift direction", left.span, right.span, op, other, replace(e, op=other))
            yield put("shift amount", e, left)
            yield from within(value_edits(left, names), lambda new: replace(e, left=new))
            shifts = integer_edits(right, "shift amount", replace(names, systems=()))
            yield from within(shifts, lambda new: replace(e, right=new))
        case tree.Binary("**", left, right):
            yield put("operand", e, left)
            yield from within(value_edits(left, names), lambda new: replace(e, left=new))
            yield from within(integer_edits(right, "operand", names), lambda new: replace(e, right=new))
        case tree.Binary(op, left, right):
            yield from _arithmetic_edits(e, names)
            yield from within(value_edits(left, names), lambda new: replace(e, left=new))
            yield from within(value_edits(right, names), lambda new: replace(e, right=new))
        case tree.Bracket(condition):
            yield put("mask", e, replace(e, condition=tree.Unary("not", condition, condition.span)))
            yield put("mask", e, _number(1, e))
            yield from within(condition_edits(condition, "mask", names), lambda new: replace(e, condition=new))
        case tree.Sum(binders, how, body):
            yield from within(binder_edits(binders, names), lambda new: replace(e, binders=new))
            if how is not None:
                yield put("evaluation", e, replace(e, how=None))
            if how is not None and how.name == "doubling":
                radix = _number(4, e) if how.argument is None else None
                yield put("evaluation", e, replace(e, how=replace(how, argument=radix)))
            if how is None or how.name != "tree":
                yield put("evaluation", e, replace(e, how=tree.How("tree", None, e.span)))
            inner = names.inside(b.name for b in binders)
            yield from within(value_edits(body, inner), lambda new: replace(e, body=new))
        case tree.Permute(value, permutation, inverse):
            yield put("permutation", e, replace(e, inverse=not inverse))
            yield put("permutation", e, value)
            for other in names.permutations:
                if other != permutation:
                    yield put("permutation", e, replace(e, permutation=other))
            yield from within(value_edits(value, names), lambda new: replace(e, value=new))
        case tree.Choice():
            yield from _choice_edits(e, "choice", names, lambda branch: value_edits(branch, names))
        case tree.Transpose() | tree.Compare() | tree.Constant() | tree.Call():
            return
        case _:
            assert_never(e)


def _arithmetic_edits(e: tree.Binary, names: Names) -> Iterator[Edit]:
    op, left, right = e.op, e.left, e.right
    if op in "+-":
        other = "-" if op == "+" else "+"
        yield token("sign", left.span, right.span, op, other, replace(e, op=other))
        yield put("operand", e, replace(e, op="*"))
    elif op == "*":
        yield put("operand", e, replace(e, op="+"))
    for kept, dropped in ((left, right), (right, left)):
        yield put(_what(dropped, names), e, kept)
    yield put("sign" if op == "-" else "order", e, replace(e, left=right, right=left))


def _what(e: tree.Expr, names: Names) -> str:
    """What is left out when an operand is."""
    if isinstance(e, tree.Bracket):
        return "mask"
    scalar = isinstance(e, tree.Number) or (isinstance(e, tree.Name) and e.name in (*names.scalars, *names.sizes))
    return "scale" if scalar else "operand"
