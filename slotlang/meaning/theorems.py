"""What a program proves: a tensor expression, or a value for each element of a result."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Any

from slotlang.diagnostics import Diagnostic, SlotError, error
from slotlang.meaning.bind_value import OF_AN_ELEMENT, binder_extent, slot_value
from slotlang.meaning.elements import Elements
from slotlang.meaning.integers import IntVar
from slotlang.meaning.program import Theorem, form_extents
from slotlang.meaning.scope import Local, Scope, text_of
from slotlang.meaning.tensors import tensor_form
from slotlang.meaning.unroll import BRANCH, Unroll
from slotlang.meaning.value import (
    Arith,
    Const,
    Element,
    Iverson,
    Negate,
    Read,
    ScalarRef,
    SumOver,
    Value,
    nodes,
    rebuilt,
    renamed,
)
from slotlang.syntax import tree
from slotlang.syntax.walk import by_elements, parts


def theorem(scope: Scope, prove: tree.Prove) -> Theorem:
    """The theorem that a statement proves.

    Raises SL201 to SL209 (names and integers), SL220 to SL222 (tensor expressions), SL301 to SL308 (values).
    """
    if not by_elements(prove):
        return _of_tensor(scope, prove)
    return _by_elements(scope, prove) if prove.binders else _number(scope, prove)


def _number(scope: Scope, prove: tree.Prove) -> Theorem:
    """One number, made of elements: ``prove y == a[0] * b[0]``. Raises SL221 where a part of it has no value without
    indices of the result: an index that is not known, a digit of the slot, a tensor as a whole."""
    try:
        return _by_elements(scope, prove)
    except SlotError as problem:
        if all(d.code in ("SL201", "SL207") or _is_whole(d) for d in problem.diagnostics):
            raise SlotError([_in_number(d, prove.name) for d in problem.diagnostics]) from None
        raise


def _is_whole(problem: Diagnostic) -> bool:
    """Whether a tensor stands where one of its elements is wanted."""
    return problem.code == "SL303" and problem.span is not None and problem.span.text.isidentifier()


def _in_number(problem: Diagnostic, result: str) -> Diagnostic:
    """What is wrong with a part of a theorem about one number."""
    assert problem.span is not None
    part = text_of(problem.span)
    indices = f"give the result indices: prove {result}[i < n] == ..."
    label, hint = {
        "SL201": ("unknown name", f"an index is one of a sum, or one of the result; {indices}"),
        "SL207": ("depends on the slot", f"add up over it, sum {part} < n: ..., or {indices}"),
        "SL303": ("a tensor as a whole", f"name one element, as in {part}[0], or {indices}"),
    }[problem.code]
    return Diagnostic("SL221", f"'{part}' has no value in a theorem about one number", problem.span, label, hint=hint)


def _of_tensor(scope: Scope, prove: tree.Prove) -> Theorem:
    tensor = tensor_form(scope, prove.value)
    indices = tuple(f"i'{n}" for n in range(1, len(tensor.shape) + 1))
    places = tuple(map(IntVar, indices))
    text = text_of(prove.value.span)
    if isinstance(tensor, Elements):
        return Theorem(prove.name, indices, tensor.extents, tensor.shape, tensor.at(places), text, prove.span)
    extents = form_extents(scope.tensors, tensor)
    value = Element(tensor, places, False, prove.value.span)
    return Theorem(prove.name, indices, extents, tensor.shape, value, text, prove.span)


def _by_elements(scope: Scope, prove: tree.Prove) -> Theorem:
    local = Local({}, False, OF_AN_ELEMENT)
    extents, shape = [], []
    for binder in prove.binders:
        extent, size = binder_extent(scope, local, binder, digits=True)
        local = local.bind(binder.name, size)
        extents.append(extent)
        shape.append(size)
    own = {binder.name for binder in (*prove.binders, *_binders(prove.value))}
    # a name in the brackets is an index of the result, and one of a sum its variable, also where a digit has it
    hidden = Scope(
        scope.sizes,
        scope.slots,
        {name: digit for name, digit in scope.digits.items() if name not in own},
        [tuple(name for name in system if name not in own) for system in scope.axes],
        scope.tensors,
        scope.scalars,
        scope.families,
        scope.permutations,
        scope.declared,
        scope.poisoned,
        scope.loops,
        scope.later,
        scope.effort,
        named=scope.named,
        kept=scope.kept,
    )
    try:
        value = slot_value(hidden, local, prove.value)
    except Unroll as needed:
        raise error(
            "SL207",
            f"{needed.what} can't depend on the element",
            needed.span,
            label=f"depends on {', '.join(sorted(needed.names))}",
            hint="add up both, each times a bracket: [i > 2] * x[i] + [i <= 2] * x[2]"
            if needed.what == BRANCH
            else "add up all, each times a bracket: sum k < 4: [i == k] * x[j] ** k",
        ) from None
    scope.effort = hidden.effort
    for node in nodes(value):
        if not isinstance(node, Read | Element | ScalarRef | Const | Iverson | Arith | Negate | SumOver):
            raise _unfit(node)
        if isinstance(node, Const) and node.im:
            raise error(
                "SL221",
                "a theorem has real constants only",
                node.span,
                hint="prove the real and the imaginary part as two outputs, of re and im",
            )
    names = {name: f"{name}'" for name in local.extents}
    value = _own_sums(value, scope.digits.keys())
    value = renamed(value, {name: IntVar(new) for name, new in names.items()})
    indices = tuple(names[binder.name] for binder in prove.binders)
    return Theorem(prove.name, indices, tuple(extents), tuple(shape), value, text_of(prove.value.span), prove.span)


def _binders(e: Any) -> Iterator[tree.Binder]:
    """What the sums in an expression run over."""
    if isinstance(e, tree.Sum):
        yield from e.binders
    for part in parts(e):
        yield from _binders(part)


def _own_sums(value: Value, digits: Collection[str]) -> Value:
    """Sums over variables that have the name of a digit, over variables of other names."""
    value = rebuilt(value, lambda part: _own_sums(part, digits))
    if isinstance(value, SumOver) and value.var in digits:
        new = f"{value.var}'"
        return replace(value, var=new, body=renamed(value.body, {value.var: IntVar(new)}))
    return value


def _unfit(node: Value) -> SlotError:
    return error(
        "SL221",
        "this can't be part of a theorem",
        node.span,
        label="speaks of slots",
        hint="a theorem by elements is built from elements of tensors, scalars, numbers and brackets with + - * ** sum",
    )
