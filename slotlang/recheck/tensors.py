"""Tensor expressions, multiplied out: a shape, and the terms of each element."""

# fmt: off
from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import partial, reduce
from typing import TYPE_CHECKING, Any

from .integers import unfit
from .reader import need
from .terms import Int, Term, Terms, number, times

if TYPE_CHECKING:
    from .program import Program

TENSORS, MAX_CHAINS, MAX_DIVISOR, MAX_POWER, MAX_FACTORS, MAX_EXPONENT = ("input", "weight"), 64, 120, 64, 64, 62
Form = tuple[tuple[int, ...], Callable[[Sequence[Int]], Terms]]  # shape, empty for a number, and elements

def swapped(items: Any) -> Any:
    return (*items[:-2], items[-1], items[-2])

def real(p: Program, e: Any) -> Fraction:
    """A number to divide by, made of numbers and sizes."""
    shape, f = form(p, e)
    if shape or f(()) != [Term(c := f(())[0].re)] or not c: raise unfit("a real number, not zero,", e)
    need(sum(len(t) for t in e.scan_values(bool)) <= MAX_DIVISOR, "a number to divide by is too long")
    return c

def form(p: Program, e: Any) -> Form:
    """A tensor expression, multiplied out."""
    match e.data, e.children:
        case "number", [n] if n[-1] != "i": return (), lambda _: [Term(Fraction(n))]
        case "name", [name] if p.kind(name) == "size": return (), lambda _: [Term(Fraction(p.names[name][1]))]
        case "name", [name] if p.kind(name) == "scalar": return (), lambda _: [Term(scalars=(note(p, name),))]
        case "name", [name] if p.kind(name) == "tensor": return form(p, p.names[name][1])
        case "name", [name] if p.get(name, *TENSORS): return tensor(p, name)
        case "constant", [kind, *sizes]:
            shape = tuple(map(p.constant, sizes)) * (2 if kind == "eye" else 1)
            need(min(shape) > 0 and (kind != "eye" or len(sizes) == 1), f"{kind} has no such shape")
            if kind == "eye": return shape, lambda at: [Term(where=(f"({at[0]} = {at[1]})",))]
            return shape, lambda _: [Term(Fraction(kind == "ones"))]
        case "sign", [_, inner]:
            s, f = form(p, inner)
            return s, lambda at: times([Term(Fraction(-1))], f(at))
        case "attribute", [inner, _]:
            s, f = form(p, inner)
            if len(s) == 2 or (len(s) > 2 and e.children[1] == "mT"):
                return swapped(s), lambda at: f(swapped(at))
        case "call", _: return (), partial(lambda terms, _: terms, [Term(Fraction(p.constant(e)))])
        case "binary", [a, "**", b]:
            (s, f), n = form(p, a), p.constant(b)
            if not s and 0 <= n <= 128 and f(()) == [Term(c := f(())[0].re)]: return (), lambda _: [Term(c**n)]
            return reduce(partial(entrywise, p), [form(p, a) for _ in range(exponent(p, b))])
        case "binary", [a, ("+" | "-" | "*" | "/" | "@") as op, b]:
            (s, f), (t, g) = form(p, a), form(p, b)
            if op == "/":
                inverse = [Term(1 / real(p, b))]
                return short(p, s, lambda at: times(inverse, f(at)))
            if op == "@" and s and t and s[-1] == t[-2:][0] and (min(len(s), len(t)) == 1 or s[:-2] == t[:-2]):
                (loop, new), (batch, k) = p.named([("m", s[-1])]), (max(s[:-2], t[:-2], key=len), s[-2:-1])
                m, over, rows, n = [*new.values()], [Term(loops=loop)], len(batch + k), len(batch)
                def sums(at: Sequence[Int]) -> Terms:
                    left = [*at[:rows], *m] if k else m
                    return times(over, times(f(left), g([*at[:n], *m, *at[rows:]] if len(t) > 1 else m)))
                return short(p, batch + k + (t[-1:] if len(t) > 1 else ()), sums)
            if op == "*" and (s == t or not (s and t)): return entrywise(p, (s, f), (t, g))
            if op in "+-" and s == t:
                return short(p, s, lambda at: f(at) + times([Term(Fraction(f"{op}1"))], g(at)))
    raise unfit("a tensor expression of fitting shapes", e)

def entrywise(p: Program, a: Form, b: Form) -> Form:
    """The product of the elements at the same place; a number is at all places."""
    (s, f), (t, g) = a, b
    most = [max((len(x.reads) + len(x.scalars) for x in h([number(0)] * len(u))), default=0) for u, h in (a, b)]
    need(not (s and t) or sum(most) <= MAX_FACTORS, "this is a product of too many factors")
    return short(p, s or t, lambda at: times(f(at if s else ()), g(at if t else ())))

def exponent(p: Program, e: Any) -> int:
    need(1 <= (n := p.constant(e)) <= MAX_POWER, f"an exponent is between 1 and {MAX_POWER}")
    return n

def short(p: Program, shape: tuple[int, ...], f: Callable[[Sequence[Int]], Terms]) -> Form:
    """A tensor expression of few products; like terms of a number are added up."""
    if not shape and not any(term.reads or term.where for term in f(())):
        sums: dict[tuple[str, ...], Fraction] = {}
        for term in f(()): sums[term.scalars] = sums.get(term.scalars, Fraction()) + term.re
        constants = [Term(c, scalars=names) for names, c in sums.items() if c] or [Term(Fraction())]
        return (), lambda _: constants
    need(len(f([number(0)] * len(shape))) <= MAX_CHAINS, "this multiplies out to too many products")
    return shape, f

def note(p: Program, name: str) -> str:
    if p.read is not None: p.read.add(str(name))
    return str(name)

def tensor(p: Program, name: str) -> Form:
    """A declared tensor; its elements are zero where its pattern says so."""
    (shape, indices, zeros), read = p.names[name][1], note(p, name)
    def elements(at: Sequence[Int]) -> Terms:
        where = (p.condition(zeros, dict(zip(indices, at, strict=True)), None),) if zeros else ()
        return [Term(where=where, reads=((read, tuple(at)),))]
    return shape, elements
