"""Slot values: what a vector holds at every slot, every read shown to stay inside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Sized
from fractions import Fraction
from typing import assert_never

from slotlang.diagnostics import SlotError, error
from slotlang.meaning import candidates
from slotlang.meaning.constants import arithmetic, number, power
from slotlang.meaning.elements import Elements, padded
from slotlang.meaning.functions import taken
from slotlang.meaning.integers import SLOT, Int, Not, neg, variables
from slotlang.meaning.kept import choice
from slotlang.meaning.program import Binder
from slotlang.meaning.ranges import Escape, escape
from slotlang.meaning.scope import (
    DIGIT,
    Local,
    Scope,
    condition,
    integer,
    last_mention,
    text_of,
    unknown_name,
)
from slotlang.meaning.tensors import is_tensor_expression, shape_text, tensor_form
from slotlang.meaning.unroll import Unroll, at_each_value
from slotlang.meaning.value import (
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
    Value,
)
from slotlang.refusals import GaveUp
from slotlang.source import Span
from slotlang.syntax import tree
from slotlang.words import COMMENTS, ONE_BRACKET
from slotlang_runtime.amounts import count_of, plural

OF_AN_ELEMENT = "what a theorem says of an element"
"""``Local.why`` in a theorem, where nothing depends on slots."""
OF_A_SLOT = (
    "a claim says what each slot holds: elements, families, scalars and constants, with sums and products of them"
)
"""``Local.why`` in a claim."""


def slot_value(scope: Scope, local: Local, e: tree.Expr) -> Value:
    """``e`` as a slot value; loop variables are in ``local``.

    Raises SL201 to SL208 (names and integers), SL220 to SL222 (tensor expressions), SL301 to SL308.
    """
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
            half = "1/2 * (v + conj v)" if part == "re" else "1/2 * 1i * (conj v - v)"
            raise error(
                "SL301",
                f'"{part}" is only known after decryption',
                span,
                hint=f"read it in an output: output y[...] = {part} Y. On a ciphertext v it is {half}",
            )
        case tree.Binary("+" | "-" | "*" as op, left, right, span):
            return arithmetic(op, slot_value(scope, local, left), slot_value(scope, local, right), span)
        case tree.Choice(cond, yes, no, span):
            test = condition(scope, local.fixed("which branch is taken"), cond)
            if scope.kept is not None:
                here, there = local.where(test), local.where(Not(test))
                return choice(test, slot_value(scope, here, yes), slot_value(scope, there, no), span)
            if variables(test):
                raise Unroll(variables(test), cond.span)
            return slot_value(scope, local, yes if taken(scope, test) else no)
        case tree.Binary("**", left):
            return power(scope, local, slot_value(scope, local, left), e)
        case tree.Binary("^", span=span):
            raise error("SL302", '"^" does not work on slot values', span, hint="use it in indices and conditions")
        case tree.Call():
            return number(scope, local, e)
        case tree.Binary("/", left, right, span):
            return _quotient(scope, local, left, right, span)
        case tree.Binary("<<" | ">>" as op, left, right, span):
            shifted = slot_value(scope, local, left)
            amount = integer(scope, local.fixed("a shift"), right)
            return Shift(shifted, amount if op == "<<" else neg(amount), span)
        case tree.Binary("@") | tree.Transpose() | tree.Constant():
            form = tensor_form(scope, e)
            if isinstance(form, Elements) and not form.shape:
                return form.at(())
            raise error(
                "SL302",
                "this is a tensor, and a slot holds one element of it",
                e.span,
                label=f"its shape is {shape_text(form.shape)}",
                notes=[local.why] if local.why == OF_A_SLOT else [],
                hint=_element_hint(scope, local, f"({text_of(e.span)})", form.shape),
            )
        case tree.Binary("//" | "%" as op, span=span):
            hint = f"use it in indices and conditions{f'; {COMMENTS}' if op == '//' else ''}"
            raise error("SL302", f'"{op}" does not work on slot values', span, hint=hint)
        case tree.Bracket(inner):
            return Iverson(condition(scope, local, inner), e.span)
        case tree.Sum():
            return _sum(scope, local, e)
        case tree.Permute(value, name, inverse, span):
            scope.sure(name)
            if name in scope.permutations:
                return Permuted(slot_value(scope, local, value), name, inverse, span)
            place = last_mention(name, span)
            if name in scope.declared:
                raise error(
                    "SL203",
                    f"'{name}' is {scope.what_is(name)}, not a permutation",
                    place,
                    hint="declare one: perm p: slot -> ...",
                )
            raise unknown_name(scope, name, place, scope.permutations)
        case tree.Compare(span=span) | tree.Unary(span=span) | tree.Binary(span=span):
            hint = f"in brackets it is: [{text_of(span)}] is 1 or 0"
            raise error("SL302", "a condition is not a value", span, hint=hint)
        case _:
            assert_never(e)


def _quotient(scope: Scope, local: Local, left: tree.Expr, right: tree.Expr, span: Span) -> Value:
    value, divisor = slot_value(scope, local, left), slot_value(scope, local, right)
    if not isinstance(divisor, Const) or divisor.im or not divisor.re:
        raise error("SL302", 'the right side of "/" must be a nonzero real constant', right.span, hint=_DIVIDE)
    inverse = Const(1 / divisor.re, Fraction(0), right.span)
    return arithmetic("*", value, inverse, span) if isinstance(value, Const) else Arith("*", inverse, value, span)


def _name(scope: Scope, local: Local, name: str, span: Span) -> Value:
    if name not in local.extents:
        scope.sure(name)
    if scope.binders(name) is not None:
        return family_ref(scope, local, name, (), span)
    if name in scope.scalars:
        return ScalarRef(name, span)
    if name in scope.sizes:
        return Const(Fraction(scope.sizes[name]), Fraction(0), span)
    if name in scope.tensors or name in scope.named:
        shape = tensor_form(scope, tree.Name(name, span)).shape
        raise error(
            "SL303",
            f"'{name}' is a tensor, and a slot holds one element of it",
            span,
            label=f"its shape is {shape_text(shape)}",
            notes=[local.why] if local.why == OF_A_SLOT else [],
            hint=_element_hint(scope, local, name, shape),
        )
    if name in local.extents or name in scope.digits or name == SLOT:
        raise error(
            "SL302",
            f"'{name}' is an index, not a value",
            span,
            hint="use it in indices or in brackets: [h < 16]",
        )
    if name in scope.declared:
        raise error(
            "SL203",
            f"'{name}' is {scope.what_is(name)}, and a value is needed here",
            span,
            hint="values are families, elements of tensors, scalars and constants",
        )
    raise unknown_name(scope, name, span, candidates.values(scope, name))


def _element_hint(scope: Scope, local: Local, name: str, shape: tuple[int, ...]) -> str:
    """An element of a tensor, by indices that there are here and that fit its dimensions, as far as there are any."""
    sizes = {n: d.size for n, d in scope.digits.items()} if local.slotwise else {}
    sizes |= {n: extent for n, extent in local.extents.items() if n not in local.values}
    slots = scope.sizes.get("slots") if local.slotwise else None
    indices: list[str] = []
    for size in shape:
        fitting = [n for n in sizes if sizes[n] == size and n not in indices]
        indices.append(fitting[0] if fitting else SLOT if size == slots else "...")
    text = f"{name}[{', '.join(indices)}]"
    known = ", ".join([*sizes, *([SLOT] if slots else [])])
    if "..." not in indices:
        return f"write {text}"
    return f"write {text} with an index for each ...; known here: {known}" if known else f"write {text}"


def _index(
    scope: Scope,
    local: Local,
    base: tree.Expr,
    indices: tuple[tree.Expr, ...],
    else_zero: bool,
    span: Span,
) -> Value:
    if isinstance(base, tree.Name) and base.name not in local.extents:
        scope.sure(base.name)
    match base:
        case tree.Name(name) if scope.binders(name) is not None:
            if else_zero:
                raise not_padded(name, span)
            return family_ref(scope, local, name, indices, span)
        case tree.Name(name) if name in scope.tensors:
            shape = scope.tensors[name].shape
            return Read(name, _places(scope, local, name, shape, indices, else_zero, span), else_zero, span)
        case tree.Name(name, place) if name not in scope.named:
            if name in local.extents or name in scope.digits or name == SLOT:
                raise error(
                    "SL203", f"'{name}' is an index and has no elements", place, hint="write it without brackets"
                )
            if name in scope.declared:
                raise error(
                    "SL203",
                    f"'{name}' is {scope.what_is(name)} and has no elements",
                    place,
                    hint="write it without brackets",
                )
            raise unknown_name(scope, name, place, candidates.elements(scope, name))
        case _ if is_tensor_expression(scope, base):
            form = tensor_form(scope, base)
            places = _places(scope, local, text_of(base.span), form.shape, indices, else_zero, span)
            if isinstance(form, Elements):
                return padded(form, places, span) if else_zero else form.at(places)
            return Element(form, places, else_zero, span)
        case _:
            raise error(
                "SL303",
                "this has no elements; tensors, tensor expressions and families have",
                base.span,
                hint=ONE_BRACKET if isinstance(base, tree.Index) else "name the whole in a statement of its own first",
            )


def not_padded(name: str, span: Span) -> SlotError:
    """SL304 for ``else 0`` after a member of a family."""
    return error("SL304", f"'{name}' is a family of vectors, and \"else 0\" is for reads of tensors", span)


def _places(
    scope: Scope,
    local: Local,
    name: str,
    shape: tuple[int, ...],
    indices: tuple[tree.Expr, ...],
    else_zero: bool,
    span: Span,
) -> tuple[Int, ...]:
    """The indices of a read. Raises SL303 (their number) and, without ``else 0``, SL308 and SL306."""
    if len(shape) != len(indices):
        raise error(
            "SL303",
            f"'{name}' has {count(len(shape), 'dimension')}, and {given(indices)}",
            span,
            notes=[f"its shape is {shape_text(shape)}"],
        )
    places = tuple(integer(scope, local, index) for index in indices)
    if else_zero:
        return places
    for dimension, (place, index, size) in enumerate(zip(places, indices, shape, strict=True)):
        bad = _escape(scope, local, place, size, index.span, ", or `else 0` after the brackets")
        if bad is not None:
            raise error(
                "SL308",
                f"this read leaves '{name}'",
                index.span,
                label=f"is {bad.value}" + (f" at {bad.at}" if bad.at else ""),
                notes=[
                    f"index {dimension} of '{name}' goes from 0 to {size - 1}",
                    f"its shape is {shape_text(shape)}",
                ],
                hint="to read zeros outside the tensor, write `else 0` after the brackets",
            )
    return places


def _escape(scope: Scope, local: Local, index: Int, size: int, span: Span, hint: str = "") -> Escape | None:
    if scope.kept is not None:
        # shown for all sizes, and where a choice takes the branch alone
        return None
    try:
        return escape(scope, local, index, size)
    except GaveUp as problem:
        raise error(
            "SL306",
            f"can't tell whether this index stays below {size}",
            span,
            notes=[problem.reason],
            hint=f"write the index more simply{hint}",
        ) from None


def family_ref(scope: Scope, local: Local, name: str, indices: tuple[tree.Expr, ...], span: Span) -> FamilyRef:
    """A member of a family. Raises SL303 (number of indices), SL305 (leaves the family), SL306; of one that is written
    out, ``Unroll``, and SL241 where that reads itself."""
    binders = scope.binders(name)
    assert binders is not None
    if len(indices) != len(binders):
        want = f"{name}[{', '.join(b.name for b in binders)}]" if binders else name
        raise error(
            "SL303",
            f"'{name}' has {count(len(binders), 'index')}, and {given(indices)}",
            span,
            hint=f"write {want}",
        )
    fixed = local.fixed("which member of a family is meant")
    places = tuple(integer(scope, fixed, index) for index in indices)
    split = scope.splits.get(name)
    if split is not None:
        split.values(scope, places, span)
    for place, binder, index in zip(places, binders, indices, strict=True):
        bad = _escape(scope, fixed, place, binder.size, index.span)
        if bad is not None:
            raise error(
                "SL305",
                f"this index leaves the family '{name}'",
                index.span,
                label=f"is {bad.value}" + (f" at {at}" if (at := bad.at or fixed.point) else ""),
                notes=[f"'{name}' has {binder.name} from 0 to {binder.size - 1}"],
                hint=_first_members(name, binders, index) if split is not None and split.point is not None else "",
            )
    if split is None:
        return FamilyRef(name, places, span)
    own = split.point is not None
    values = split.earlier(scope, places, span) if own else split.values(scope, places, span)
    rest = tuple(place for p, place in enumerate(places) if p not in split.positions)
    return FamilyRef(split.member(values), rest, span)


def _first_members(name: str, binders: Sequence[Binder], index: tree.Expr) -> str:
    """How a family says what its first members are, which have none that many before them."""
    match index:
        case tree.Binary("-", tree.Name(own), tree.Number(step, False)) if own in [b.name for b in binders]:
            every = ", ".join(f"{b.name} < {b.size}" for b in binders)
            return f"say what the first members are: {name}[{every}] = (... if {own} < {step} else ...)"
        case _:
            return ""


_DIVIDE = (
    "multiply by a constant, a scalar or a weight that holds the reciprocal: CKKS does not divide by what is encrypted"
)


def count(n: int, what: str) -> str:
    """``no indices``, ``1 index``, ``2 dimensions``."""
    return count_of(n, what) if n else f"no {plural(what)}"


def given(indices: Sized) -> str:
    """``1 index is given``, ``2 indices are given``."""
    return f"{count(len(indices), 'index')} {'is' if len(indices) == 1 else 'are'} given"


_HOW_NUMBERS: Mapping[str, tuple[str, int, str, str]] = {
    "bsgs": ("the number of baby steps", 1, "there can't be {} baby steps", ""),
    "doubling": (
        "the radix of doubling",
        2,
        "the radix of doubling is {}, and 2 is the least",
        "`by doubling(4)` adds up four rotated copies at a time",
    ),
}
"""The number that ``by`` has in parentheses: what it is, the least it can be, what is said of less, and a hint."""


def _sum(scope: Scope, local: Local, e: tree.Sum) -> Value:
    inner = local
    binders: list[Binder] = []
    for binder in e.binders:
        # in a theorem digits mean nothing
        extent, size = binder_extent(scope, inner, binder, digits=not local.slotwise)
        inner = inner.bind(binder.name, size)
        binders.append(Binder(binder.name, extent, size))
    how = e.how.name if e.how else None
    argument = written = None
    if e.how is not None and e.how.argument is not None:
        what, least, problem, hint = _HOW_NUMBERS[e.how.name]
        written = integer(scope, Local({}, False, what), e.how.argument)
        argument = scope.value(written)
        if argument < least:
            raise error("SL107", problem.format(argument), e.how.argument.span, hint=hint)

    def term(at: Local, values: tuple[int, ...]) -> Value:
        if values and how not in (None, "tree"):
            raise error(
                "SL242",
                f"the terms of this sum differ, so they are added up one by one, and not by {how}",
                e.span,
                hint=f"drop `by {how}`, or write `by tree`",
            )
        body = slot_value(scope, at, e.body)
        for binder in reversed([b for b in binders if b.name not in at.values]):
            cut = None if scope.kept is None else scope.kept.cuts.get(binder.name)
            body = SumOver(binder.name, binder.extent, how, argument, body, e.span, written, cut)
        return body

    return _balanced(at_each_value(inner, binders, term), e.span)


def _balanced(terms: list[Value], span: Span) -> Value:
    """The sum of terms that are written out, nested as little as can be."""
    if len(terms) == 1:
        return terms[0]
    middle = (len(terms) + 1) // 2
    return Arith("+", _balanced(terms[:middle], span), _balanced(terms[middle:], span), span)


def binder_extent(scope: Scope, local: Local, binder: tree.Binder, *, digits: bool = False) -> tuple[Int, int]:
    """Extent of a loop variable, symbolic and bound; with ``digits`` it may have the name of one. Raises SL202 for a
    name in use, SL209 when empty."""
    place = Span(binder.span.source, binder.span.start, binder.span.start + len(binder.name))
    if binder.name in local.extents:
        raise error("SL202", f"'{binder.name}' is already a loop variable here", place, hint="choose another name")
    if not (digits and scope.declared.get(binder.name, ("",))[0] == DIGIT):
        scope.loop(binder.name, place)
    extent = integer(scope, local.fixed("an extent"), binder.extent)
    if scope.kept is not None:
        extent = scope.kept.loop(binder.name, extent)
    used = sorted(variables(extent))
    if used:
        raise error(
            "SL203",
            "an extent is made of sizes and constants",
            binder.extent.span,
            label=f"depends on the loop variable {used[0]}",
            hint="let the loop run further, and multiply its body by a bracket: "
            f"[{binder.name} < {text_of(binder.extent.span)}] * ...",
        )
    size = scope.value(extent)
    if size < 1:
        raise error(
            "SL209", f"'{binder.name}' would run over {count_of(size, 'value')}", binder.extent.span, label=f"is {size}"
        )
    return extent, size
