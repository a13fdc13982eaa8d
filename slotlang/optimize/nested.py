"""Rules about sums of sums: which is the outer one, two that become one, and rotate-and-add in factors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from slotlang.optimize.rewriting import (
    Rewrite,
    Subject,
    binary,
    computed,
    divided,
    fresh,
    inlined,
    name,
    nowhere,
    number,
    read,
    rotated,
    shift_of,
    shifted,
    step_of,
    substituted,
    summed,
    terms,
)
from slotlang.optimize.sums import over, pushed, with_hows
from slotlang.schedule.doubling import turns
from slotlang.syntax import tree
from slotlang.syntax.walk import names, nodes, rebuilt


def nested(subject: Subject) -> Iterator[Rewrite]:
    """Sums exchanged, so that rotations follow the sum over ciphertexts; sums over several variables taken apart, each
    with its rotations; two sums as one, beside each other or, as baby and giant steps, in each other; rotate-and-add of
    a composite count in factors."""
    for family, part, put in computed(subject):
        for what, new in _nested(subject, part):
            yield Rewrite("nested sums", f"{what} in {family}", put(new))


def _nested(subject: Subject, e: tree.Expr) -> Iterator[tuple[str, tree.Expr]]:
    match e:
        case tree.Sum((_,)):
            yield from _exchanged(subject, e)
            yield from _factored(subject, e)
            one = joined_steps(subject, e)
            if one is not None:
                for how, new in with_hows(subject, one):
                    yield f"baby and giant steps as one sum over {over(one)}{f', {how}' if how else ''}", new
        case tree.Sum():
            yield from _apart(subject, e)
        case tree.Binary("+" | "-" as op, left, right):
            a, b = _sum(subject, left), _sum(subject, right)
            if a is not None and b is not None:
                yield from _together(subject, op, a, b)
        case _:
            return


def _sum(subject: Subject, e: tree.Expr) -> tree.Sum | None:
    """A sum over one variable, written out where a family names it."""
    member = read(e)
    family = subject.families.get(member[0]) if member else None
    if family is not None and family.kind == "compute":
        e = inlined(e, family)
    return e if isinstance(e, tree.Sum) and len(e.binders) == 1 else None


def _renamed(e: tree.Sum, variable: str) -> tree.Sum:
    """The sum over another variable."""
    old = e.binders[0]
    body = substituted(e.body, {old.name: name(variable, e)})
    return replace(e, binders=(replace(old, name=variable),), body=body, span=nowhere(e.span))


def _inside(binders: tuple[tree.Binder, ...], body: tree.Expr) -> tree.Expr:
    """``sum binders: body`` with the rotation that its variables do not change behind it."""
    turn = shift_of(body)
    here = nowhere(body.span)
    if turn is None:
        return tree.Sum(binders, None, body, here)
    changing, fixed = divided(turn[1], frozenset(b.name for b in binders))
    return rotated(tree.Sum(binders, None, rotated(turn[0], changing), here), fixed)


def _exchanged(subject: Subject, e: tree.Sum) -> Iterator[tuple[str, tree.Expr]]:
    inner = _sum(subject, e.body)
    outer = e.binders[0]
    if inner is None or (e.how is not None and e.how.name != "tree"):
        return
    if inner.binders[0].name == outer.name:
        inner = _renamed(inner, fresh(subject.program, "fgijk"))
    if outer.name in names(inner.binders[0].extent):
        return
    swapped = replace(inner, body=_inside(e.binders, inner.body), span=nowhere(e.span))
    for how, new in with_hows(subject, swapped):
        yield f"the sum over {over(inner)} around that over {over(e)}{f', {how}' if how else ''}", new


def _apart(subject: Subject, e: tree.Sum) -> Iterator[tuple[str, tree.Expr]]:
    if shift_of(e.body) is None:
        return
    for outer in e.binders:
        rest = tuple(b for b in e.binders if b != outer)
        if outer.name in names(tuple(b.extent for b in rest)):
            continue
        inner = _inside(rest, e.body)
        split = tree.Sum((outer,), None, inner, nowhere(e.span))
        for what, new in _stepwise(split):
            yield f"the sum over {over(e)} taken apart{what}", new


def _stepwise(e: tree.Sum) -> Iterator[tuple[str, tree.Expr]]:
    """A sum of rotations, and that in it, by each method that goes step by step."""
    turn = shift_of(e.body)
    inner = e.body if turn is None else turn[0]
    inners = [(", as written", inner)]
    if isinstance(inner, tree.Sum) and len(inner.binders) == 1 and shift_of(inner.body) is not None:
        inners += [(f", {over(inner)} by {how}", replace(inner, how=_how(how, e))) for how in ("horner", "doubling")]
    for how in (None, "horner", "doubling") if turn is not None else (None,):
        for what, new in inners:
            body = rotated(new, None if turn is None else turn[1])
            first = "" if how is None else f", {over(e)} by {how}"
            yield first + what, replace(e, how=None if how is None else _how(how, e), body=body)


def _how(text: str, like: tree.Expr) -> tree.How:
    return tree.How(text, None, nowhere(like.span))


def _together(subject: Subject, op: str, a: tree.Sum, b: tree.Sum) -> Iterator[tuple[str, tree.Expr]]:
    first, second = a.binders[0], b.binders[0]
    if subject.value(first.extent) != subject.value(second.extent) or subject.value(first.extent) is None:
        return
    b = _renamed(b, first.name)
    one, two = shift_of(a.body), shift_of(b.body)
    if one is not None and two is not None and one[1] == two[1]:
        body = shifted(binary(op, one[0], two[0]), one[1])
    else:
        body = binary(op, a.body, b.body)
    both = replace(a, how=a.how if a.how == b.how else None, body=body, span=nowhere(a.span))
    for how, new in with_hows(subject, both):
        yield f"two sums over {over(a)} as one{f', {how}' if how else ''}", new


def joined_steps(subject: Subject, e: tree.Sum) -> tree.Sum | None:
    """``sum i < a: (sum j < b: ...) << i*b`` as one sum, where everything depends on ``i*b + j``."""
    turn = shift_of(e.body)
    inner = _sum(subject, e.body if turn is None else turn[0])
    outer = e.binders[0]
    if inner is None or any(s.how is not None and s.how.name != "tree" for s in (e, inner)):
        return None
    if inner.binders[0].name == outer.name:
        inner = _renamed(inner, fresh(subject.program, "jkfgi"))
    own, width = inner.binders[0], subject.value(inner.binders[0].extent)
    if width is None or outer.name in names(own.extent):
        return None
    term = _written_out(subject, inner.body, frozenset({outer.name, own.name}))
    variable = fresh(subject.program, "qkpuv")
    whole = _as_one(subject, pushed(subject, term, turn[1]) if turn else term, outer.name, own.name, width, variable)
    if {outer.name, own.name} & names(whole):
        return None
    match outer.extent:
        case tree.Binary("/", both, few) if few == own.extent:
            count = both
        case _:
            count = binary("*", outer.extent, own.extent)
    here = nowhere(e.span)
    how = tree.How("bsgs", own.extent, here)
    return tree.Sum((tree.Binder(variable, count, here),), how, whole, here)


def _written_out(subject: Subject, e: tree.Expr, variables: frozenset[str]) -> tree.Expr:
    """An expression with the computed families written out whose members the variables choose."""
    for family in reversed(subject.families.values()):
        chosen = [p for p in nodes(e) if (member := read(p)) and member[0] == family.name and variables & names(p)]
        if family.kind == "compute" and chosen:
            e = inlined(e, family)
    return e


def _as_one(subject: Subject, e: tree.Expr, far: str, near: str, width: int, variable: str) -> tree.Expr:
    """An expression with ``far*width + near``, and multiples of it, as another variable."""

    def change(part: Any) -> Any:
        if not (isinstance(part, tree.Binary) and part.op in ("+", "-")):
            return rebuilt(part, change)
        rest, found = terms(part), None
        for sign, term in rest:
            step = step_of(term, near)
            for other, giant in rest if step is not None else ():
                giant_step = step_of(giant, far)
                small, large = (None if s is None else subject.value(s) for s in (step, giant_step))
                if sign == other and small is not None and large == small * width:
                    found = sign, term, giant, step
        if found is None:
            return rebuilt(part, change)
        sign, term, giant, step = found
        both = name(variable, part)
        rest = [t for t in rest if t not in ((sign, term), (sign, giant))]
        one = both if step is None or step == number(1, part) else binary("*", both, step)
        return summed([*((s, change(t)) for s, t in rest), (sign, one)])

    return change(e)  # type: ignore[no-any-return]


def _rotations(count: int) -> int:
    return len(turns(count))


def _factored(subject: Subject, e: tree.Sum) -> Iterator[tuple[str, tree.Expr]]:
    """``sum f < a*b by doubling`` as one over a of one over b, where that takes fewer rotations: 15 take 6 by their
    binary digits, and 3 + 2 as 5 times 3."""
    binder = e.binders[0]
    count = subject.value(binder.extent)
    turn = shift_of(e.body)
    step = step_of(turn[1], binder.name) if turn is not None else None
    if count is None or turn is None or step is None or binder.name in names(turn[0]):
        return
    if e.how is not None and e.how.argument is not None:
        return
    variable = fresh(subject.program, "gfijk")
    for width in range(2, count // 2 + 1):
        if count % width or _rotations(width) + _rotations(count // width) >= _rotations(count):
            continue
        few = number(width, e)
        inner = replace(e, binders=(replace(binder, extent=few),), how=_how("doubling", e), span=nowhere(e.span))
        far = binary("*", name(variable, e), few)
        if step != number(1, step):
            far = binary("*", far, step)
        outer = tree.Binder(variable, binary("/", binder.extent, few), nowhere(binder.span))
        new = tree.Sum((outer,), _how("doubling", e), shifted(inner, far), nowhere(e.span))
        yield f"the sum over {over(e)} by doubling, {width} at a time", new
