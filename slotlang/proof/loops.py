"""Loops of a term that the polyhedral method can't take as they are: unrolled, or cut to one period."""

from __future__ import annotations

from dataclasses import replace

from slotlang.meaning.integers import (
    And,
    Cmp,
    Cond,
    Int,
    IntCall,
    IntConst,
    IntIf,
    IntOp,
    IntSize,
    IntVar,
    Not,
    Or,
    divisors,
    substitute,
    substitute_cond,
    variables,
)
from slotlang.proof.sets import Box
from slotlang.proof.terms import Term


def replaced(term: Term, name: str, e: Int) -> Term:
    """A term with an expression in place of a variable, which stays bound."""

    def get(n: str) -> Int | None:
        return e if n == name else None

    return replace(
        term,
        conds=tuple(substitute_cond(c, get) for c in term.conds),
        reads=tuple((t, tuple(substitute(i, get) for i in indices)) for t, indices in term.reads),
    )


def fixed(term: Term, name: str, value: int) -> Term:
    """The part of a term at one value of a bound variable."""
    return replace(replaced(term, name, IntConst(value)), bound=tuple(b for b in term.bound if b[0] != name))


def nonlinear(term: Term) -> set[str]:
    """Variables that a term multiplies by other variables, or that stand in powers."""
    names: set[str] = set()

    def visit(e: Int | Cond) -> None:
        match e:
            case IntOp(op, left, right):
                if op == "*" and variables(left) and variables(right):
                    names.update(variables(e))
                visit(left)
                visit(right)
            case IntCall(name, args):
                if name == "**":
                    names.update(variables(e))
                for arg in args:
                    visit(arg)
            case IntIf(cond, yes, no):
                visit(cond)
                visit(yes)
                visit(no)
            case Cmp(_, left, right):
                visit(left)
                visit(right)
            case And(parts) | Or(parts):
                for part in parts:
                    visit(part)
            case Not(part):
                visit(part)
            case IntConst() | IntSize() | IntVar():
                pass

    for cond in term.conds:
        visit(cond)
    for _, indices in term.reads:
        for index in indices:
            visit(index)
    return names


def one_period(box: Box, piece: Term) -> Term | None:
    """The sum with one loop shortened, where its body repeats: when it is the same at v + k as at v, for
    every v below E - k, and k divides the extent E, then the sum is E/k times the sum over v < k."""
    for name, extent in piece.bound:
        for k in divisors(extent)[:-1]:
            early = Cmp("<", IntVar(name), IntConst(extent - k))
            later = replaced(piece, name, IntOp("+", IntVar(name), IntConst(k)))
            here, there = (
                box.map((early, *p.conds), [i for _, indices in p.reads for i in indices]) for p in (piece, later)
            )
            if here.is_equal(there):
                bound = tuple((n, k if n == name else e) for n, e in piece.bound)
                times = extent // k
                return replace(piece, re=piece.re * times, im=piece.im * times, bound=bound)
    return None
