"""Slot values: what a vector holds at every slot, with kinds and families checked."""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from typing import assert_never

from slotlang.diagnostics import SlotError, closest, error
from slotlang.meaning.integers import (
    Int,
    bounds,
    evaluate,
    neg,
    show,
    variables,
)
from slotlang.meaning.program import (
    Arith,
    Conj,
    Const,
    Element,
    FamilyRef,
    Iverson,
    Negate,
    Permuted,
    Read,
    ScalarRef,
    Shift,
    SumOver,
    TensorForm,
    Value,
)
from slotlang.meaning.scope import Local, Scope, condition, constant, integer, unknown_name
from slotlang.meaning.tensors import is_tensor_expression, tensor_form
from slotlang.source import Span
from slotlang.syntax import tree

MAX_INDEX_POINTS = 1 << 20


def is_cipher(scope: Scope, value: Value) -> bool:
    """Whether a ciphertext takes part in the value."""
    match value:
        case Const() | Read() | Element() | ScalarRef() | Iverson():
            return False
        case FamilyRef(name):
            return scope.families[name].kind != "plain"
        case Arith(_, left, right):
            return is_cipher(scope, left) or is_cipher(scope, right)
        case Negate(inner) | Conj(inner) | Shift(inner) | Permuted(inner):
            return is_cipher(scope, inner)
        case SumOver(body=body):
            return is_cipher(scope, body)
        case _:
            assert_never(value)


def slot_value(scope: Scope, local: Local, e: tree.Expr) -> Value:
    """``e`` as a slot value. Loop variables are in ``local``."""
    match e:
        case tree.Number(value, imaginary, span):
            return Const(Fraction(0), value, span) if imaginary else Const(value, Fraction(0), span)
        case tree.Name(name, span):
            return _name(scope, local, name, span)
        case tree.Index(base, indices, else_zero, span):
            return _index(scope, local, base, indices, else_zero, span)
        case tree.Unary("-", operand, span):
            inner = slot_value(scope, local, operand)
            return Const(-inner.re, -inner.im, span) if isinstance(inner, Const) else Negate(inner, span)
        case tree.Unary("conj", operand, span):
            return Conj(slot_value(scope, local, operand), span)
        case tree.Unary("re" | "im" as part, _, span):
            raise error(
                "SL301",
                f'"{part}" is only known after decryption',
                span,
                hint=f"read it in an output: output y[...] = {part} Y. On a ciphertext, re v is 1/2 * (v + conj v)",
            )
        case tree.Binary("+" | "-" | "*" as op, left, right, span):
            a, b = slot_value(scope, local, left), slot_value(scope, local, right)
            return Arith(op, a, b, span)
        case tree.Binary("/", left, right, span):
            return _quotient(scope, local, left, right, span)
        case tree.Binary("<<" | ">>" as op, left, right, span):
            amount = integer(scope, local.fixed("a shift"), right)
            return Shift(slot_value(scope, local, left), amount if op == "<<" else neg(amount), span)
        case tree.Binary("@", span=span) | tree.Transpose(span=span):
            raise error(
                "SL302",
                "this is a tensor, and a slot holds a number",
                span,
                hint="name an element of it: (A @ B)[i, j]",
            )
        case tree.Binary(op, span=span):
            raise error("SL302", f'"{op}" does not work on slot values', span, hint="only in indices and conditions")
        case tree.Bracket(inner):
            return Iverson(condition(scope, local, inner), e.span)
        case tree.Sum():
            return _sum(scope, local, e)
        case tree.Permute(value, name, inverse, span):
            if name not in scope.permutations:
                if name in scope.declared:
                    raise error("SL203", f"'{name}' is {scope.declared[name][0]}, not a permutation", span)
                raise unknown_name(scope, name, span)
            return Permuted(slot_value(scope, local, value), name, inverse, span)
        case tree.Compare(span=span) | tree.Unary(span=span):
            raise error("SL302", "a condition is not a value", span, hint="in brackets it is: [h < 16] is 1 or 0")
        case _:
            assert_never(e)


def _quotient(scope: Scope, local: Local, left: tree.Expr, right: tree.Expr, span: Span) -> Value:
    divisor = slot_value(scope, local, right)
    if not isinstance(divisor, Const) or divisor.im or not divisor.re:
        raise error("SL302", 'the right side of "/" must be a nonzero real constant', right.span)
    value = slot_value(scope, local, left)
    inverse = 1 / divisor.re
    if isinstance(value, Const):
        return Const(value.re * inverse, value.im * inverse, span)
    return Arith("*", Const(inverse, Fraction(0), right.span), value, span)


def _name(scope: Scope, local: Local, name: str, span: Span) -> Value:
    if name in scope.families:
        return family_ref(scope, local, name, (), span)
    if name in scope.scalars:
        return ScalarRef(name, span)
    if name in scope.sizes:
        return Const(Fraction(scope.sizes[name]), Fraction(0), span)
    if name in scope.tensors:
        shape = scope.tensors[name].shape
        raise error(
            "SL303",
            f"'{name}' is a tensor with {len(shape)} dimension{'s' if len(shape) > 1 else ''}, used without indices",
            span,
            hint=f"name an element: {name}[{', '.join('ijkl'[: len(shape)])}]",
        )
    if name in local.extents or name in scope.digits or name == "slot":
        raise error(
            "SL302", f"'{name}' is an index, not a value", span, hint="use it in indices or in brackets: [h < 16]"
        )
    if name in scope.declared:
        raise error("SL203", f"'{name}' is {scope.declared[name][0]}, and a value is needed here", span)
    raise unknown_name(scope, name, span, local.extents)


def _index(
    scope: Scope,
    local: Local,
    base: tree.Expr,
    indices: tuple[tree.Expr, ...],
    else_zero: bool,
    span: Span,
) -> Value:
    if isinstance(base, tree.Name) and base.name in scope.families:
        if else_zero:
            raise error("SL304", f"'{base.name}' is a family of vectors; \"else 0\" is for tensors", span)
        return family_ref(scope, local, base.name, indices, span)
    if isinstance(base, tree.Name) and base.name in scope.tensors:
        decl = scope.tensors[base.name]
        _arity(f"'{base.name}'", decl.shape, indices, span)
        exprs = _slot_indices(scope, local, indices)
        return Read(base.name, exprs, else_zero, span)
    if isinstance(base, tree.Name):
        if base.name in scope.declared:
            raise error("SL203", f"'{base.name}' is {scope.declared[base.name][0]} and has no elements", base.span)
        families = [*scope.families, *scope.tensors]
        hint_free = unknown_name(scope, base.name, base.span, local.extents)
        better = closest(base.name, families)
        raise error("SL201", f"'{base.name}' is not known", base.span, hint=better) if better else hint_free
    if not is_tensor_expression(scope, base):
        raise error("SL303", "only tensors, tensor expressions and families take indices", base.span)
    form = tensor_form(scope, base)
    _arity(f"'{form.text}'", form.shape, indices, span)
    return Element(form, _slot_indices(scope, local, indices), else_zero, span)


def _slot_indices(scope: Scope, local: Local, indices: tuple[tree.Expr, ...]) -> tuple[Int, ...]:
    return tuple(integer(scope, local, index) for index in indices)


def _arity(what: str, shape: tuple[int, ...], indices: tuple[tree.Expr, ...], span: Span) -> None:
    if len(shape) != len(indices):
        raise error(
            "SL303",
            f"{what} has {len(shape)} dimension{'s' if len(shape) != 1 else ''} "
            f"and {len(indices)} {'indices are' if len(indices) != 1 else 'index is'} given",
            span,
            notes=[f"its shape is {' x '.join(map(str, shape))}"],
        )


def family_ref(
    scope: Scope, local: Local, name: str, indices: tuple[tree.Expr, ...], span: Span
) -> FamilyRef:
    """A member of a family. Raises SL303 (arity), SL305 (an index leaves the family)."""
    family = scope.families[name]
    if len(indices) != len(family.binders):
        want = f"{name}[{', '.join(b.name for b in family.binders)}]" if family.binders else name
        raise error(
            "SL303",
            f"'{name}' is a family with {len(family.binders)} "
            f"{'index' if len(family.binders) == 1 else 'indices'}, and {len(indices)} given",
            span,
            hint=f"write {want}",
        )
    fixed = local.fixed("which member of a family is meant")
    exprs = tuple(integer(scope, fixed, index) for index in indices)
    for expression, binder, place in zip(exprs, family.binders, indices, strict=True):
        bad = outside(scope.sizes, local.extents, expression, binder.size, place.span)
        if bad is not None:
            at, value = bad
            raise error(
                "SL305",
                f"this index of '{name}' leaves the family",
                place.span,
                label=f"is {value}{at}",
                notes=[f"'{name}' has {binder.name} from 0 to {binder.size - 1}"],
            )
    return FamilyRef(name, exprs, span)


def outside(
    sizes: dict[str, int], extents: object, e: Int, size: int, span: Span
) -> tuple[str, int] | None:
    """Where ``e`` leaves [0, size): a text such as " at c = 7" and the value. None when it never does.

    Raises SL306 when there are too many index values to tell.
    """
    ranges: dict[str, int] = dict(extents)  # type: ignore[call-overload]
    low, high = bounds(e, sizes, ranges)
    if low >= 0 and high < size:
        return None
    names = sorted(variables(e))
    count = 1
    for name in names:
        count *= ranges[name]
    if count > MAX_INDEX_POINTS:
        raise error("SL306", f"can't tell whether this index stays below {size}", span, notes=[f"{show(e)}"])
    for point in product(*(range(ranges[name]) for name in names)):
        env = dict(zip(names, point, strict=True))
        value = evaluate(e, sizes, env)
        if not 0 <= value < size:
            at = ", ".join(f"{name} = {v}" for name, v in env.items())
            return (f" at {at}" if at else ""), int(value)
    return None


def _sum(scope: Scope, local: Local, e: tree.Sum) -> Value:
    inner = local
    binders: list[tuple[str, Int]] = []
    for binder in e.binders:
        extent, size = binder_extent(scope, inner, binder)
        inner = inner.bind(binder.name, size)
        binders.append((binder.name, extent))
    body = slot_value(scope, inner, e.body)
    how = e.how.name if e.how else None
    argument = None
    if e.how is not None and e.how.argument is not None:
        argument = constant(scope, e.how.argument, "the number of baby steps")
        if argument < 1:
            raise error("SL107", f"there can't be {argument} baby steps", e.how.argument.span)
    for name, extent in reversed(binders):
        body = SumOver(name, extent, how, argument, body, e.span)
    return body


def binder_extent(scope: Scope, local: Local, binder: tree.Binder) -> tuple[Int, int]:
    """Extent of a loop variable, symbolic and bound. Raises SL202 for a name in use, SL209 when empty."""
    if binder.name in local.extents:
        raise error("SL202", f"'{binder.name}' is already a loop variable here", binder.span, hint="choose another name")
    if binder.name in scope.declared:
        kind, first = scope.declared[binder.name]
        raise error(
            "SL202",
            f"'{binder.name}' is already {kind}",
            binder.span,
            notes=[f"declared in line {first.line}"],
            hint="choose another name",
        )
    extent = integer(scope, Local({}, False, "an extent"), binder.extent)
    size = int(evaluate(extent, scope.sizes, {}))
    if size < 1:
        raise error("SL209", f"'{binder.name}' would run over {size} values", binder.extent.span, label=f"is {size}")
    return extent, size


def no_cipher(scope: Scope, value: Value) -> SlotError | None:
    """SL307 for the first ciphertext inside a value that must be plain."""
    match value:
        case FamilyRef(name, span=span) if scope.families[name].kind != "plain":
            return error(
                "SL307",
                f"'{name}' is encrypted, and a plain family is made before anything is encrypted",
                span,
                hint="drop the keyword `plain` to define a computed family",
            )
        case Arith(_, left, right):
            return no_cipher(scope, left) or no_cipher(scope, right)
        case Negate(inner) | Conj(inner) | Shift(inner) | Permuted(inner):
            return no_cipher(scope, inner)
        case SumOver(body=body):
            return no_cipher(scope, body)
        case _:
            return None


def forms(value: Value) -> list[TensorForm]:
    """Tensor expressions whose elements the value names."""
    match value:
        case Element(form):
            return [form]
        case Arith(_, left, right):
            return forms(left) + forms(right)
        case Negate(inner) | Conj(inner) | Shift(inner) | Permuted(inner):
            return forms(inner)
        case SumOver(body=body):
            return forms(body)
        case _:
            return []

