"""A syntax tree as text: one way to write each expression and statement. It has the parentheses that it needs, and
those of its author where operators of two strengths meet: `(X * W) << q`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fractions import Fraction
from typing import assert_never

from slotlang.syntax import items, tree
from slotlang.words import PARAMETER_WORDS

# Binding strength, as in the grammar: an operand that binds weaker than its place demands gets parentheses.
_CHOICE, _OR, _AND, _NOT, _COMPARE, _SHIFT, _SUM, _PRODUCT, _UNARY, _POWER, _POSTFIX = range(11)
_STRENGTH = {
    "or": _OR,
    "and": _AND,
    "<<": _SHIFT,
    ">>": _SHIFT,
    "+": _SUM,
    "-": _SUM,
    "*": _PRODUCT,
    "/": _PRODUCT,
    "//": _PRODUCT,
    "%": _PRODUCT,
    "@": _PRODUCT,
    "**": _POWER,
    "^": _POSTFIX,
}
_TIGHT_OPERATORS = ("*", "/", "//")
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?i?")


def _spelling(number: tree.Number) -> str | None:
    """The author's digits if there are any, else decimal digits; None when those would not end."""
    written = number.span.text
    if (
        len(written) <= 40
        and _NUMBER.fullmatch(written)
        and written.endswith("i") == number.imaginary
        and Fraction(written.rstrip("i")) == number.value
    ):
        return written
    for places in range(20):
        scaled = number.value * 10**places
        if scaled.denominator == 1 and scaled >= 0:
            digits = str(scaled.numerator).rjust(places + 1, "0")
            whole = f"{digits[:-places]}.{digits[-places:]}" if places else digits
            return whole + ("i" if number.imaginary else "")
    return None


def _written(e: tree.Expr) -> tree.Expr:
    """The expression itself; for a constant no literal spells (a pass made it), one of the same value."""
    if not isinstance(e, tree.Number) or _spelling(e) is not None:
        return e
    positive = tree.Number(-e.value, e.imaginary, e.span)
    if e.value < 0 and _spelling(positive) is not None:
        return tree.Unary("-", positive, e.span)
    numerator = tree.Number(Fraction(e.value.numerator), e.imaginary, e.span)
    return tree.Binary("/", numerator, tree.Number(Fraction(e.value.denominator), False, e.span), e.span)


def _strength(e: tree.Expr) -> int:
    match e:
        case tree.Choice():
            return _CHOICE
        case tree.Binary(op=op):
            return _STRENGTH[op]
        case tree.Compare():
            return _COMPARE
        case tree.Unary(op="not"):
            return _NOT
        case tree.Unary() | tree.Sum():
            return _UNARY
        case _:
            return _POSTFIX


def _is_atom(e: tree.Expr) -> bool:
    return isinstance(e, (tree.Name, tree.Number))


def _is_signed_atom(e: tree.Expr) -> bool:
    return _is_atom(e) or (isinstance(e, tree.Unary) and e.op == "-" and _is_atom(e.operand))


def _is_short_product(e: tree.Expr) -> bool:
    """``q*batch``, ``2*h*C/R``: names and numbers only.

    Inside a sum, a shift, brackets or an extent it is written without spaces, so that the eye finds the outer
    operator.
    """
    return (
        isinstance(e, tree.Binary)
        and e.op in _TIGHT_OPERATORS
        and _is_atom(_written(e.right))
        and (_is_signed_atom(_written(e.left)) or _is_short_product(e.left))
    )


_OPENED = re.compile(r"\(\s*$")
_CLOSED = re.compile(r"\s*\)")


def _in_brackets(operand: tree.Expr, of: tree.Binary) -> bool:
    """Whether the author wrote an operand in parentheses whose operator has another strength than that of ``of``."""
    if not isinstance(operand, tree.Binary) or _STRENGTH[operand.op] in (_STRENGTH[of.op], _POSTFIX):
        return False
    text, span = operand.span.source.text, operand.span
    before, after = text[max(0, span.start - 20) : span.start], text[span.end : span.end + 20]
    return _OPENED.search(before) is not None and _CLOSED.match(after) is not None


def _is_rational(e: tree.Binary) -> bool:
    """A constant such as ``3/8``, written so wherever it stands."""
    left = e.left.operand if isinstance(e.left, tree.Unary) and e.left.op == "-" else e.left
    return e.op == "/" and isinstance(left, tree.Number) and isinstance(_written(e.right), tree.Number)


def expression_text(e: tree.Expr, at_least: int = _CHOICE, *, tight: bool = False, followed: bool = False) -> str:
    """Text of an expression, with the parentheses it needs where an operand of strength ``at_least`` is due.

    ``tight`` inside something whose short products are written without spaces; ``followed`` where an operator
    comes after it, which the body of a sum that ends here would swallow.
    """
    e = _written(e)
    # x[k] else 0 + y and x[k] else 0[j] parse as meant, but read as if more than the zero came after else
    padded = isinstance(e, tree.Index) and e.else_zero and at_least > _CHOICE
    if _strength(e) < at_least or padded or (followed and isinstance(e, tree.Sum)):
        return f"({_bare(e, tight, followed=False)})"
    return _bare(e, tight, followed)


def _bare(e: tree.Expr, tight: bool, followed: bool) -> str:
    match e:
        case tree.Number():
            return _spelling(e) or str(e.value)
        case tree.Name(name):
            return name
        case tree.Index(base, indices, else_zero):
            return f"{expression_text(base, _POSTFIX)}[{_list(indices)}]{' else 0' if else_zero else ''}"
        case tree.Transpose(base, word=word):
            return f"{expression_text(base, _POSTFIX)}.{word}"
        case tree.Constant(kind, arguments):
            return f"{kind}({_list(arguments)})"
        case tree.Unary("-", operand):
            return f"-{expression_text(operand, _UNARY, tight=tight, followed=followed)}"
        case tree.Unary("not", operand):
            return f"not {expression_text(operand, _NOT, tight=tight, followed=followed)}"
        case tree.Unary(op, operand):
            return f"{op} {expression_text(operand, _UNARY, followed=followed)}"
        case tree.Binary("**", left, right):
            sign = "**" if tight else " ** "
            power = expression_text(right, _UNARY, tight=tight, followed=followed)
            return f"{expression_text(left, _POSTFIX)}{sign}{power}"
        case tree.Binary("^", left, right):
            return f"({expression_text(left, _SUM, tight=True)} ^ {expression_text(right, _SUM, tight=True)})"
        case tree.Binary():
            return _binary(e, tight, followed)
        case tree.Choice(condition, yes, no):
            then, when = [expression_text(part, _OR, tight=tight, followed=True) for part in (yes, condition)]
            if when.endswith("]"):
                when = f"({when})"  # a read would take the else for its own
            return f"{then} if {when} else {expression_text(no, tight=tight, followed=followed)}"
        case tree.Call(name, arguments):
            return f"{name}({_list(arguments)})"
        case tree.Compare(ops, operands):
            *front, last = operands
            texts = [expression_text(o, _SHIFT, tight=tight, followed=True) for o in front]
            texts.append(expression_text(last, _SHIFT, tight=tight, followed=followed))
            return texts[0] + "".join(f" {op} {text}" for op, text in zip(ops, texts[1:], strict=True))
        case tree.Bracket(condition):
            return f"[{expression_text(condition, tight=True)}]"
        case tree.Sum(binders, how, body):
            return f"sum {_binders(binders)}{_how(how)}: {expression_text(body, _SHIFT)}"
        case tree.Permute(value, permutation, inverse):
            return f"permute({expression_text(value)}, {f'inverse({permutation})' if inverse else permutation})"
        case _:
            assert_never(e)


def _binary(e: tree.Binary, tight: bool, followed: bool) -> str:
    op, strength = e.op, _STRENGTH[e.op]
    left_tight = right_tight = tight
    match op:
        case "+" | "-":
            left_tight = right_tight = True
        case "<<" | ">>":
            left_tight, right_tight = False, True
        case "@":
            left_tight = right_tight = False
    # a power binds its base more tightly than itself, and an exponent may have a sign
    below, above = (_POSTFIX, _UNARY) if op == "**" else (strength, strength + 1)
    below, above = (_POSTFIX if _in_brackets(o, e) else at for o, at in ((e.left, below), (e.right, above)))
    left = expression_text(e.left, below, tight=left_tight, followed=True)
    right = expression_text(e.right, above, tight=right_tight, followed=followed)
    if (tight and _is_short_product(e)) or _is_rational(e):
        return f"{left}{op}{right}"
    return f"{left} {op} {right}"


def _list(items: Iterable[tree.Expr]) -> str:
    return ", ".join(expression_text(item, tight=True) for item in items)


def _binders(binders: Iterable[tree.Binder]) -> str:
    return ", ".join(f"{b.name} < {expression_text(b.extent, _SHIFT, tight=True, followed=True)}" for b in binders)


def _how(how: tree.How | None) -> str:
    if how is None:
        return ""
    argument = f"({expression_text(how.argument, tight=True)})" if how.argument is not None else ""
    return f" by {how.name}{argument}"


def _where(condition: tree.Expr | None) -> str:
    return f" where {expression_text(condition)}" if condition is not None else ""


def _tensor(tensor: tree.Tensor) -> str:
    dims = [
        expression_text(extent, tight=True) if name is None else _binders([tree.Binder(name, extent, tensor.span)])
        for name, extent in zip(tensor.indices, tensor.shape, strict=True)
    ]
    sparse = f" sparse{_where(tensor.pattern)}" if tensor.sparse else ""
    return f"{tensor.name}[{', '.join(dims)}]{sparse}"


def _permutation(form: tree.PermutationForm) -> str:
    match form:
        case tree.DigitPermutation(source, target):
            return f"({', '.join(n.name for n in source)}) -> ({_list(target)})"
        case tree.SlotPermutation(source, target):
            return f"{source.name} -> {expression_text(target, tight=True)}"
        case tree.CyclePermutation(cycles):
            return "cycles " + ", ".join(f"({_list(cycle)})" for cycle in cycles)
        case _:
            assert_never(form)


def _size(size: tree.Size) -> str:
    return size.name if size.default is None else f"{size.name} = {expression_text(size.default)}"


def _padded(keyword: str) -> str:
    """Keywords that stand in columns: the short one of a pair is as wide as the long one."""
    widest = {"input": "weight", "plain": "cipher", "prove": "output"}.get(keyword, keyword)
    return keyword.ljust(len(widest)) + " "


def bounded_text(bound: tree.Bound) -> str:
    """What a bound is about: ``|x|`` or ``norm(x[:, t])``."""
    if bound.kind == "entry":
        return f"|{bound.name.name}|"
    places = ", ".join(":" if place is None else place.name for place in bound.places)
    return f"norm({bound.name.name}{f'[{places}]' if places else ''})"


def head_text(definition: items.Definition) -> str:
    """What stands before a definition's expression or statements."""
    return f"def {definition.name}({', '.join(p.name for p in definition.parameters)})"


def statement_text(statement: items.Item) -> str:
    """The statement on one line, without comments; a definition of several statements on theirs."""
    match statement:
        case tree.Header(name, sizes):
            return f"program {name}" + (f"({', '.join(map(_size, sizes))})" if sizes else "")
        case tree.Let(name, value):
            return f"let {name} = {expression_text(value)}"
        case tree.Require(condition):
            return f"require {expression_text(condition)}"
        case tree.Declare(kind, tensors):
            return _padded(kind) + ", ".join(map(_tensor, tensors))
        case tree.NameTensor(name, value):
            return f"{_padded('tensor')}{name} = {expression_text(value)}"
        case tree.Scalars(names):
            return f"scalar {', '.join(n.name for n in names)}"
        case tree.Bound():
            return f"bound {bounded_text(statement)} <= {expression_text(statement.limit, _SHIFT)}"
        case tree.Axes(name, binders):
            return f"axes {name + ' ' if name is not None else ''}({_binders(binders)})"
        case tree.Define(kind, name, binders, body):
            keyword = "" if kind == "compute" else _padded(kind)
            family = f"[{_binders(binders)}]" if binders else ""
            return f"{keyword}{name}{family} = {expression_text(body)}"
        case tree.DefinePermutation(name, form):
            return f"perm {name}: {_permutation(form)}"
        case tree.Claim(target, value, where):
            sides = expression_text(target, _SHIFT, followed=True), expression_text(value, _SHIFT)
            return f"claim {sides[0]} == {sides[1]}{_where(where)}"
        case tree.Output(name, indices, value, where):
            places = f"[{_list(indices)}]" if indices else ""
            return f"output {name}{places} = {expression_text(value)}{_where(where)}"
        case tree.Prove(name, value, binders=binders):
            family = f"[{_binders(binders)}]" if binders else ""
            return f"{_padded('prove')}{name}{family} == {expression_text(value, _SHIFT)}"
        case tree.Parameters(degree):
            lists = {word: getattr(statement, word) for word in PARAMETER_WORDS[1:]}
            parts = [f"{word} {', '.join(map(str, numbers))}" for word, numbers in lists.items() if numbers]
            return " ".join([f"parameters degree {degree}", *parts])
        case items.Definition(_, _, body):
            if isinstance(body, tuple):
                return "\n".join([f"{head_text(statement)}:", *(f"    {statement_text(s)}" for s in body), "end"])
            return f"{head_text(statement)} = {expression_text(body)}"
        case items.Import(path, alias):
            return f'import "{path}"' + (f" as {alias}" if alias is not None else "")
        case _:
            assert_never(statement)
