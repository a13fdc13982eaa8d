"""Rules about sums and rotations: how a sum is evaluated, which factors leave it, where its rotations stand."""

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
    inlined,
    mapped,
    negated,
    nowhere,
    number,
    product,
    read,
    rotated,
    shift_of,
    shifted,
    times,
)
from slotlang.schedule.doubling import RADICES, RADIX
from slotlang.syntax import tree
from slotlang.syntax.walk import names


def baby_steps(extent: int, now: int | None) -> Iterator[int]:
    """Numbers of baby steps worth a look for a sum of ``extent``: the powers of two; and, for a sum that has ``now``
    baby steps, numbers between half and twice ``now``, the smallest for each number of giant steps."""
    counts = {1 << p for p in range(extent.bit_length()) if 1 << p < extent}
    if now is not None:
        counts |= {-(-extent // giants) for giants in range(1, extent) if now <= 2 * -(-extent // giants) <= 4 * now}
    return iter(sorted(n for n in counts if n < extent))


def _hows(subject: Subject, e: tree.Sum) -> Iterator[tuple[str, tree.How | None]]:
    """Other ways to evaluate a sum over one variable. Scheduling refuses those that the sum does not allow."""
    extent = subject.value(e.binders[0].extent)
    if extent is None or extent < 2:
        return
    here = nowhere(e.span)
    now = None
    if e.how is not None and e.how.argument is not None:
        now = subject.value(e.how.argument)
    if e.how is not None and e.how.name == "doubling":
        # it takes the fewest rotations that reach all of them; steps one by one take fewer keys
        if subject.few_keys:
            yield "by horner", tree.How("horner", None, here)
        yield from ((what, how) for what, how in _doublings(subject, e) if how.argument != e.how.argument)
        return
    if e.how is not None:
        yield "as written", None
    if e.how is None or e.how.name != "horner":
        yield "by horner", tree.How("horner", None, here)
    yield from _doublings(subject, e)
    for n in baby_steps(extent, now):
        if n != now:
            yield f"by bsgs({n})", tree.How("bsgs", number(n, e), here)


def _doublings(subject: Subject, e: tree.Sum) -> Iterator[tuple[str, tree.How]]:
    """The sum by doubling; with more copies at a time only where rotations of one ciphertext share work."""
    for radix in RADICES if subject.apart else (RADIX,):
        argument = None if radix == RADIX else number(radix, e)
        yield f"by doubling{f'({radix})' if argument else ''}", tree.How("doubling", argument, nowhere(e.span))


def with_hows(subject: Subject, e: tree.Expr) -> Iterator[tuple[str, tree.Expr]]:
    """An expression and, where it is a sum over one variable, that sum evaluated otherwise."""
    yield "", e
    if isinstance(e, tree.Sum) and len(e.binders) == 1:
        for text, how in _hows(subject, e):
            yield text, replace(e, how=how)


def evaluation(subject: Subject) -> Iterator[Rewrite]:
    """Every sum evaluated in every other way; the variables of a sum over several taken apart."""
    for family, part, put in computed(subject):
        if isinstance(part, tree.Sum):
            for what, new in _evaluated(subject, part):
                yield Rewrite("evaluation", f"the sum over {over(part)} in {family} {what}", put(new))


def over(e: tree.Sum) -> str:
    """A sum's variables, as text."""
    return ", ".join(b.name for b in e.binders)


def _evaluated(subject: Subject, e: tree.Sum) -> Iterator[tuple[str, tree.Expr]]:
    if len(e.binders) == 1:
        yield from ((what, new) for what, new in with_hows(subject, e) if what)
        return
    for outer in e.binders:
        rest = tuple(b for b in e.binders if b != outer)
        if outer.name in names(tuple(b.extent for b in rest)):
            continue
        inner = tree.Sum(rest, None, e.body, nowhere(e.span))
        split = tree.Sum((outer,), None, inner, nowhere(e.span))
        for what, new in with_hows(subject, split):
            yield f"taken apart, that over {outer.name} {what or 'outermost'}", new


def taken_out(subject: Subject) -> Iterator[Rewrite]:
    """Distributivity: a rotation or a factor that does not depend on a sum's variables goes behind the sum, and the
    plaintexts that multiply one ciphertext are added first."""
    for family, part, put in computed(subject):
        for what, new in _outside(subject, part):
            for how, evaluated in _hows_inside(subject, new):
                text = f"{what} in {family}{f', that sum {how}' if how else ''}"
                yield Rewrite("distributivity", text, put(evaluated))


def _hows_inside(subject: Subject, e: tree.Expr) -> Iterator[tuple[str, tree.Expr]]:
    """The expression, and with the sum in it evaluated otherwise."""
    yield "", e
    if isinstance(e, tree.Binary) and isinstance(e.left, tree.Sum):
        for text, new in with_hows(subject, e.left):
            if text:
                yield text, replace(e, left=new)


def _outside(subject: Subject, e: tree.Expr) -> Iterator[tuple[str, tree.Expr]]:
    match e:
        case tree.Binary("+" | "-" as op, left, right):
            a, b = _turn(subject, left), _turn(subject, right)
            if a is not None and b is not None and a[1] == b[1]:
                yield "the rotation of both summands behind their sum", shifted(binary(op, a[0], b[0]), a[1])
        case tree.Sum(binders, _, body):
            own = {b.name for b in binders}
            # another evaluation may not fit what is left of the sum
            bare = replace(e, how=None, span=nowhere(e.span))
            turn = _turn(subject, body)
            if turn is not None:
                changing, fixed = divided(turn[1], frozenset(own))
                if fixed is not None:
                    inner = replace(bare, body=rotated(turn[0], changing))
                    yield f"the rotation behind the sum over {over(e)}", shifted(inner, fixed)
            factors = product(body)
            free = [f for f in factors if not own & names(f)]
            bound = [f for f in factors if own & names(f)]
            if free and bound:
                added = tree.Sum(binders, None, times(bound), nowhere(e.span))
                yield f"the factors that the sum over {over(e)} does not change behind it", times([added, *free])
        case _:
            return


def _turn(subject: Subject, e: tree.Expr) -> tuple[tree.Expr, tree.Expr] | None:
    """``v << k`` as (v, k), and so a product with one ciphertext that is rotated."""
    after = _pulled(subject, e)
    return shift_of(e if after is None else after)


def rotations_moved(subject: Subject) -> Iterator[Rewrite]:
    """Rotations of products become products of rotations, and the other way round; plaintexts are rotated when
    they are encoded, so that only ciphertexts' rotations count."""
    for family, part, put in computed(subject):
        for what, moved in _moved(subject, part):
            for how, new in with_hows(subject, moved):
                text = f"{what} in {family}{f', that sum {how}' if how else ''}"
                yield Rewrite("rotations", text, put(new))


def _moved(subject: Subject, e: tree.Expr) -> Iterator[tuple[str, tree.Expr]]:
    turn = shift_of(e)
    if turn is not None:
        before = pushed(subject, _opened(subject, turn[0]), turn[1])
        if before != e:
            yield "rotations before the products", before
    if isinstance(e, tree.Sum):
        turn = shift_of(e.body)
        if turn is not None:
            # as written: the rotations of one vector are shared, and made once for all results
            before = pushed(subject, _opened(subject, turn[0]), turn[1])
            if before != e.body:
                yield "rotations before the products", replace(e, how=None, body=before, span=nowhere(e.span))
    after = _pulled(subject, e)
    if after is not None:
        yield "rotations after the products", after


def _opened(subject: Subject, e: tree.Expr) -> tree.Expr:
    """A member of a computed family written out, where a rotation of it can reach its operands."""
    member = read(e)
    family = subject.families.get(member[0]) if member else None
    if family is None or family.kind != "compute" or not _takes_rotations(family.body):
        return e
    return inlined(e, family)


def _takes_rotations(e: tree.Expr) -> bool:
    match e:
        case tree.Sum(_, how, body):
            return (how is None or how.name == "tree") and _takes_rotations(body)
        case tree.Binary(op):
            return op in ("*", "+", "-")
        case _:
            return False


def rotated_first(subject: Subject, e: tree.Expr) -> tree.Expr:
    """An expression in which rotations stand before products and sums."""

    def change(part: Any) -> Any:
        turn = shift_of(part) if isinstance(part, tree.Binary) else None
        return part if turn is None else pushed(subject, *turn)

    return mapped(e, change)  # type: ignore[no-any-return]


def pushed(subject: Subject, e: tree.Expr, amount: tree.Expr) -> tree.Expr:
    """``e << amount`` with the rotation of each operand in place of that of a product or sum."""
    match e:
        case tree.Binary("*" | "+" | "-", left, right):
            new = pushed(subject, left, amount), pushed(subject, right, amount)
            return replace(e, left=new[0], right=new[1], span=nowhere(e.span))
        case tree.Unary(_, operand):
            return replace(e, operand=pushed(subject, operand, amount), span=nowhere(e.span))
        case tree.Sum(binders, how, body) if how is None or how.name == "tree":
            if {b.name for b in binders} & names(amount):
                return shifted(e, amount)
            return replace(e, body=pushed(subject, body, amount), span=nowhere(e.span))
        case tree.Number():
            return e
        case _:
            return shifted(e, amount)


def _pulled(subject: Subject, e: tree.Expr) -> tree.Expr | None:
    """``(v << k) * w`` as ``(v * (w >> k)) << k``."""
    if not (isinstance(e, tree.Binary) and e.op == "*"):
        return None
    factors = product(e)
    ciphers = [f for f in factors if not subject.is_plain(f)]
    turn = shift_of(ciphers[0]) if len(ciphers) == 1 else None
    if turn is None:
        return None
    back = negated(turn[1])
    moved = [turn[0] if f is ciphers[0] else pushed(subject, f, back) for f in factors]
    return shifted(times(moved), turn[1])


def joined(subject: Subject) -> Iterator[Rewrite]:
    """Rotations of rotations made one, and what undoes itself left out."""
    for family, part, put in computed(subject):
        for what, new in _joined(subject, part):
            yield Rewrite("joined", f"{what} in {family}", put(new))


def _joined(subject: Subject, e: tree.Expr) -> Iterator[tuple[str, tree.Expr]]:
    match e:
        case tree.Binary("<<" | ">>" as op, value, amount):
            turns = subject.value(amount)
            if turns is not None and turns % subject.slots == 0:
                yield "a rotation by whole turns left out", value
            elif shift_of(value) is not None:
                yield "two rotations as one", shifted(value, amount if op == "<<" else negated(amount))
        case tree.Unary("conj", tree.Unary("conj", inner)):
            yield "two conjugations left out", inner
        case tree.Permute(tree.Permute(inner, first, one), second, other) if first == second and one != other:
            yield f"the permutation {first} and its inverse left out", inner
        case _:
            return
