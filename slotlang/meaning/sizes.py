"""Declarations of sizes, tensors and slot digits: everything that stands before the first vector."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from slotlang.diagnostics import Diagnostic, SlotError, closest, error
from slotlang.meaning.integers import (
    And,
    Cmp,
    Cond,
    Int,
    IntConst,
    IntSize,
    Not,
    Or,
    holds,
    mul,
    show,
)
from slotlang.meaning.program import Digit, TensorDecl
from slotlang.meaning.scope import (
    DIGIT,
    MAX_INTEGER,
    Local,
    Poisoned,
    Scope,
    condition,
    constant,
    integer,
    name_span,
    text_of,
)
from slotlang.meaning.tensors import shape_text
from slotlang.source import Span
from slotlang.syntax import tree
from slotlang_runtime.amounts import count_of

MAX_SLOTS = 1 << 40


def bind_header(scope: Scope, header: tree.Header, overrides: Mapping[str, int]) -> None:
    """Give every size of the header its value.

    Raises, for all sizes at once, SL202, SL206, SL212 (an override of no size), SL213 (no value), and what
    ``integer`` raises.
    """
    problems: list[Diagnostic] = []
    known = [size.name for size in header.sizes]
    for name in overrides:
        if name not in known:
            computed = name in scope.later and scope.later[name].text.startswith("let")
            problems.append(
                Diagnostic(
                    "SL212",
                    f"the program has no size '{name}' to set",
                    sizes_span(header),
                    notes=(f"its sizes are {', '.join(known) or 'none'}",),
                    hint=f"'{name}' is computed in line {scope.later[name].line}" if computed else closest(name, known),
                )
            )
    for size in header.sizes:
        place = name_span(size.name, size.span)
        try:
            scope.free(size.name, place)
            value = _size(scope, size, overrides)
            scope.declare(size.name, "a size", place)
            scope.sizes[size.name] = value
            if size.name == "slots":
                set_slots(scope, size.span)
        except SlotError as problem:
            problems.extend(problem.diagnostics)
            scope.poisoned.add(size.name)
        except Poisoned:
            scope.poisoned.add(size.name)
    if problems:
        raise SlotError(problems)


def sizes_span(header: tree.Header) -> Span:
    """Where a header lists its sizes; its name where it has none."""
    if not header.sizes:
        return name_span(header.name, header.span)
    return header.sizes[0].span.to(header.sizes[-1].span)


def _size(scope: Scope, size: tree.Size, overrides: Mapping[str, int]) -> int:
    if size.name in overrides:
        value = overrides[size.name]
    elif size.default is not None:
        value = constant(scope, size.default, "a size")
    else:
        raise error(
            "SL213",
            f"size '{size.name}' has no value",
            size.span,
            hint=f"give it one with --set {size.name}=..., or a default in the header",
        )
    if not 0 <= value <= MAX_INTEGER:
        raise error("SL206", f"a size lies between 0 and 2^40, and '{size.name}' is {value}", size.span)
    return value


def set_slots(scope: Scope, span: Span) -> None:
    """Take the size ``slots`` as the number of slots. Raises SL210."""
    value = scope.sizes["slots"]
    if scope.slots is not None:
        raise error(
            "SL210",
            "the number of slots is known already",
            span,
            label=f"there are {scope.value(scope.slots)}",
            hint="define slots before the first axes",
        )
    if not 1 <= value <= MAX_SLOTS:
        scope.poisoned.add("slot")
        raise error(
            "SL210", f"there can't be {count_of(value, 'slot')}", span, notes=["a vector has between 1 and 2^40 slots"]
        )
    scope.slots = IntSize("slots")


def require(scope: Scope, statement: tree.Require, parameters: tuple[str, ...]) -> None:
    """Raises SL214, with both sides' values, when the condition does not hold."""
    e = statement.condition
    cond = condition(scope, Local({}, False, "a requirement"), e)
    if not holds(cond, scope.sizes, {}):
        facts = dict.fromkeys(_facts(scope, cond))
        sizes = ", ".join(f"{name} = {scope.sizes[name]}" for name in parameters if name in scope.sizes)
        raise error(
            "SL214",
            f"the requirement `{text_of(e.span)}` does not hold",
            e.span,
            label=", ".join(facts),
            notes=[f"sizes: {sizes}"] if sizes else [],
            hint="choose other sizes with --set" if sizes else "",
        )


def _facts(scope: Scope, cond: Cond) -> list[str]:
    """The values compared in the parts that fail."""
    match cond:
        case Cmp(_, a, b):
            return [f"{show(e)} is {scope.value(e)}" for e in (a, b) if not isinstance(e, IntConst)]
        case And(parts):
            return [f for part in parts if not holds(part, scope.sizes, {}) for f in _facts(scope, part)]
        case Or(parts):
            return [f for part in parts for f in _facts(scope, part)]
        case Not(part):
            return _facts(scope, part)


def bind_tensor(scope: Scope, kind: str, tensor: tree.Tensor) -> None:
    """Declare a tensor.

    Raises SL202, SL208 (pattern), SL209 (no elements), SL215 (a sparse input), and what ``integer`` raises.
    """
    place = name_span(tensor.name, tensor.span)
    scope.free(tensor.name, place)
    fixed = Local({}, False, "a shape")
    extents = tuple(integer(scope, fixed, e) for e in tensor.shape)
    shape = tuple(scope.value(e) for e in extents)
    for size, e in zip(shape, tensor.shape, strict=True):
        if size < 1:
            raise error("SL209", f"'{tensor.name}' would have no elements", e.span, label=f"is {size}")
    local = Local({}, False, "a zero pattern")
    names: list[str] = []
    for position, (name, size) in enumerate(zip(tensor.indices, shape, strict=True)):
        names.append(name or f"#{position}")
        if name is not None:
            at = _index_span(tensor, position, name)
            if name in local.extents or name == tensor.name:
                raise error("SL202", f"'{name}' is already in use here", at, hint="choose another name")
            scope.loop(name, at)
            local = local.bind(name, size)
    if tensor.sparse and kind == "input":
        raise error(
            "SL215",
            "an input is encrypted, so its zeros can't be known",
            tensor.span,
            hint="drop `sparse`; only weights can be sparse",
        )
    pattern = None if tensor.pattern is None else condition(scope, local, tensor.pattern)
    scope.declare(tensor.name, "an input" if kind == "input" else "a weight", place)
    scope.tensors[tensor.name] = TensorDecl(
        tensor.name, kind, shape, extents, tuple(names), tensor.sparse, pattern, tensor.span
    )


def _index_span(tensor: tree.Tensor, position: int, name: str) -> Span:
    """The place of a named index: the last mention of it before its extent."""
    extent = tensor.shape[position].span
    start = extent.source.text.rindex(name, tensor.span.start, extent.start)
    return Span(extent.source, start, start + len(name))


def bind_axes(scope: Scope, axes: tree.Axes) -> None:
    """Declare the digits of an axes statement.

    Raises SL202, SL209 (an empty digit), SL210 (too many slots), SL216 (the product is not their number).
    """
    fixed = Local({}, False, "an extent")
    places = [Span(b.span.source, b.span.start, b.span.start + len(b.name)) for b in axes.binders]
    names: list[str] = []
    for binder, place in zip(axes.binders, places, strict=True):
        scope.free(binder.name, place)
        if binder.name in names:
            raise error("SL202", f"'{binder.name}' names two digits", place, hint="choose another name")
        names.append(binder.name)
    extents = [integer(scope, fixed, b.extent) for b in axes.binders]
    sizes = [scope.value(e) for e in extents]
    for binder, size in zip(axes.binders, sizes, strict=True):
        if size < 1:
            raise error(
                "SL209",
                f"'{binder.name}' would run over {count_of(size, 'value')}",
                binder.extent.span,
                label=f"is {size}",
            )
    strides: list[Int] = [IntConst(1)]
    for extent in reversed(extents):
        strides.append(mul(extent, strides[-1]))
    _agree(scope, axes, prod(sizes), strides.pop(), sizes)
    strides.reverse()
    for i, (name, place) in enumerate(zip(names, places, strict=True)):
        scope.declare(name, DIGIT, place)
        scope.digits[name] = Digit(name, extents[i], strides[i], sizes[i], i == 0)
    scope.axes.append(tuple(names))


def _agree(scope: Scope, axes: tree.Axes, total: int, whole: Int, sizes: list[int]) -> None:
    """The digits make up the slots there are, or fix their number."""
    where = axes.binders[0].span.to(axes.binders[-1].span)
    if scope.slots is None:
        if total > MAX_SLOTS:
            raise error(
                "SL210",
                f"there can't be {count_of(total, 'slot')}",
                where,
                label=f"digits of {shape_text(tuple(sizes))}",
                notes=["a vector has between 1 and 2^40 slots"],
            )
        scope.slots = whole
    slots = scope.value(scope.slots)
    if total != slots:
        raise error(
            "SL216",
            f"these digits make {count_of(total, 'slot')}, and there are {slots}",
            where,
            label=f"{' * '.join(map(str, sizes))} = {total}",
            hint="the product of the extents is the number of slots",
        )
