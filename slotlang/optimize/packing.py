"""The rule that puts the sums of all ranks side by side into one ciphertext."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from slotlang.optimize.rewriting import (
    Rewrite,
    Subject,
    all_names,
    binary,
    claim_of,
    fresh,
    inlined,
    member,
    name,
    nowhere,
    number,
    places,
    product,
    read,
    shift_of,
    step_of,
    substituted,
    tidied,
    times,
)
from slotlang.syntax import tree
from slotlang.syntax.walk import names


@dataclass(frozen=True)
class _AddedUp:
    """``Z[i < r] = sum f < count by doubling: P[i] << f*step``: r sums, each over a whole turn."""

    family: tree.Define
    index: str
    ranks: tree.Expr
    body: tree.Expr
    """P[i], written out."""
    variable: str
    count: tree.Expr
    step: tree.Expr


def _added_up(subject: Subject, family: tree.Define) -> _AddedUp | None:
    body = family.body
    if len(family.binders) != 1 or not isinstance(body, tree.Sum) or body.how is None or body.how.name != "doubling":
        return None
    turn = shift_of(body.body)
    variable = body.binders[0].name
    step = step_of(turn[1], variable) if turn is not None else None
    if turn is None or step is None or variable in names(turn[0]):
        return None
    count, width, ranks = (subject.value(e) for e in (body.binders[0].extent, step, family.binders[0].extent))
    if not count or not width or not ranks or ranks < 2 or count * width != subject.slots or count % ranks:
        return None
    value = turn[0]
    member = read(value)
    inner = subject.families.get(member[0]) if member else None
    if inner is not None and inner.kind == "compute":
        value = inlined(value, inner)
    binder = family.binders[0]
    return _AddedUp(family, binder.name, binder.extent, value, variable, body.binders[0].extent, step)


def _digit(subject: Subject, step: tree.Expr) -> tree.Expr:
    """The number of the group of ``step`` slots that a slot is in: a digit's name where there is one."""
    width = subject.value(step)
    for s in subject.program.statements:
        if isinstance(s, tree.Axes):
            inner = 1
            for binder in s.binders[1:]:
                inner *= subject.value(binder.extent) or 0
            if inner == width:
                return name(s.binders[0].name, step)
    return binary("//", name("slot", step), step)


def ranks_packed(subject: Subject) -> Iterator[Rewrite]:
    """r sums over all channels, each added up on its own, become one ciphertext that holds them in turn.

    The weights are read so that a slot gets the products of the rank it stands for; the sums of the ranks' diagonals
    are brought together, and added up once. What read ``Z[i]`` reads rotations of it.
    """
    for family in subject.families.values():
        added = _added_up(subject, family) if family.kind == "compute" else None
        if added is None:
            continue
        for reader in subject.families.values():
            if reader.kind != "compute" or family.name not in names(reader.body):
                continue
            for part, put in places(reader.body):
                if isinstance(part, tree.Sum) and len(part.binders) == 1 and _sums_over(subject, added, part):
                    yield from _packed(subject, added, reader, part, put)


def _sums_over(subject: Subject, added: _AddedUp, e: tree.Sum) -> bool:
    factors = [read(f) for f in product(e.body)]
    wanted = (added.family.name, (name(e.binders[0].name, e),))
    return wanted in factors and subject.value(e.binders[0].extent) == subject.value(added.ranks)


def _packed(subject: Subject, added: _AddedUp, reader: tree.Define, part: tree.Sum, put: Any) -> Iterator[Rewrite]:
    program, here = subject.program, nowhere(part.span)
    taken: set[str] = all_names(program)
    q = fresh(program, "qpuv", taken)
    digit, ranks, step = _digit(subject, added.step), added.ranks, added.step

    def rank(op: str) -> tree.Expr:
        return binary("%", binary(op, digit, name(q, digit)), ranks)

    diagonals = _selected(subject, added.body, (), added.index, rank("-"), q, ranks, "WDU", taken)
    if diagonals is None:
        return
    terms, plains = diagonals
    index = (name(q, part),)
    binder = tree.Binder(q, ranks, here)
    p, t = fresh(program, "PQN", taken), fresh(program, "TLN", taken)
    horner, doubling = tree.How("horner", None, here), tree.How("doubling", None, here)
    turn = binary("*", name(q, step), step) if step != number(1, step) else name(q, step)
    f = name(added.variable, step)
    far = binary("*", binary("*", f, ranks), step) if step != number(1, step) else binary("*", f, ranks)
    copies = tree.Binder(added.variable, binary("/", added.count, ranks), here)
    together = tree.Sum((binder,), horner, binary("<<", member(p, index, part), turn), here)
    all_ranks = tree.Sum((copies,), doubling, binary("<<", name(t, part), far), here)
    new: list[tree.Statement] = [
        *plains,
        tree.Define("compute", p, (binder,), terms, here),
        tree.Define("compute", t, (), together, here),
    ]
    what = f"the sums {added.family.name} side by side in one ciphertext"
    if part is reader.body and not reader.binders:
        # the reader masks and adds them into such a ciphertext itself
        whole = replace(reader, body=all_ranks)
        yield Rewrite("ranks packed", what, tidied(subject.put(whole, before=reader.name, new=tuple(new))))
    s = fresh(program, "SEH", taken)
    new.append(tree.Define("compute", s, (), all_ranks, here))
    own = binary("%", digit, ranks)
    for claim in program.statements:
        if isinstance(claim, tree.Claim) and claim_of(claim) == added.family.name and claim.where is None:
            target = read(claim.target)
            if target is not None and len(target[1]) == 1 and isinstance(target[1][0], tree.Name):
                value = substituted(claim.value, {target[1][0].name: own})
                new.append(tree.Claim(name(s, part), value, None, here))
    rotated = binary("<<", name(s, part), turn)
    old = part.binders[0].name
    wanted = (added.family.name, (name(old, part),))
    factors = product(part.body)
    at = next(n for n, factor in enumerate(factors) if read(factor) == wanted)
    rest = [factor for n, factor in enumerate(factors) if n != at]
    if not rest:
        return
    loops = reader.binders
    columns = _selected(subject, times(rest), loops, old, rank("+"), q, ranks, "VZ", taken)
    if columns is None:
        return
    reads, plains = columns
    body = put(tree.Sum((binder,), None, binary("*", rotated, reads), here))
    changed = subject.put(replace(reader, body=body), before=reader.name, new=(*new, *plains))
    yield Rewrite("ranks packed", what, tidied(changed))


def _selected(
    subject: Subject,
    e: tree.Expr,
    loops: tuple[tree.Binder, ...],
    index: str,
    rank: tree.Expr,
    diagonal: str,
    ranks: tree.Expr,
    stems: str,
    taken: set[str],
) -> tuple[tree.Expr, list[tree.Statement]] | None:
    """``e`` with the plaintexts that change with ``index`` read at ``rank`` instead, as families of their own; None
    where a ciphertext changes with it."""
    plains: list[tree.Statement] = []

    def visit(part: tree.Expr, around: tuple[tree.Binder, ...]) -> tree.Expr | None:
        if index not in names(part):
            return part
        if subject.is_plain(part):
            body = part
            for family in subject.families.values():
                if family.name in names(body):
                    body = inlined(body, family)
            body = substituted(body, {index: rank})
            used = tuple(b for b in around if b.name in names(body))
            here = nowhere(part.span)
            binders = (tree.Binder(diagonal, ranks, here), *used)
            new = fresh(subject.program, stems, taken)
            plains.append(tree.Define("plain", new, binders, body, here))
            return member(new, tuple(name(b.name, part) for b in binders), part)
        match part:
            case tree.Binary("*" | "+" | "-", left, right):
                a, b = visit(left, around), visit(right, around)
                return None if a is None or b is None else replace(part, left=a, right=b, span=nowhere(part.span))
            case tree.Sum(binders, _, body):
                inner = visit(body, (*around, *binders))
                return None if inner is None else replace(part, body=inner, span=nowhere(part.span))
            case _:
                return None

    result = visit(e, loops)
    return None if result is None else (result, plains)
