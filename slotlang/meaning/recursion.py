"""A family that is kept whole: one value of its indices, and its cases where it reads its own members."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from slotlang.meaning.bind_value import slot_value
from slotlang.meaning.checks import check_kinds, check_tensors
from slotlang.meaning.integers import And, Not
from slotlang.meaning.kept import Case, branches, guarded
from slotlang.meaning.program import Binder, Family
from slotlang.meaning.scope import Local, Scope, condition
from slotlang.meaning.value import Arith, Const, FamilyRef, Value, leaves
from slotlang.refusals import GaveUp
from slotlang.syntax import tree


def kept_family(scope: Scope, define: tree.Define, local: Local, binders: Sequence[Binder]) -> Family:
    """The family that a statement defines, declared. Raises what ``slot_value`` raises, and ``GaveUp`` where it is a
    ciphertext or not by a choice inside its members, so that sizes decide whether these are of its kind."""
    name, kind = define.name, define.kind
    # what its own members are, for those who ask about kinds and indices
    family = Family(kind, name, tuple(binders), Const(Fraction(0), Fraction(0), define.span), define.span)
    scope.families[name] = family
    try:
        cases = _cases(scope, local, define.body)
        for case in cases:
            check_kinds(scope, kind, name, case.body, define.body.span)
            check_tensors(scope, kind, case.body)
            for yes, no in branches(case.body):
                if _encrypted(scope, yes) != _encrypted(scope, no):
                    raise GaveUp(f"a choice in '{name}' is between a ciphertext and a plaintext")
    except BaseException:
        del scope.families[name]
        raise
    body = cases[0].body if len(cases) == 1 else guarded(cases[0].condition, cases[0].body, define.span)
    for case in cases[1:]:
        body = Arith("+", body, guarded(case.condition, case.body, define.span), define.span)
    recursive = any(isinstance(leaf, FamilyRef) and leaf.name == name for leaf in leaves(body))
    scope.families[name] = replace(family, body=body, cases=tuple(cases) if recursive else ())
    return scope.families[name]


def _cases(scope: Scope, local: Local, e: tree.Expr) -> list[Case]:
    match e:
        case tree.Choice(cond, yes, no):
            test = condition(scope, local.fixed("which branch is taken"), cond)
            return _cases(scope, local.where(test), yes) + _cases(scope, local.where(Not(test)), no)
        case _:
            return [Case(And(local.given), slot_value(scope, local, e))]


def _encrypted(scope: Scope, value: Value) -> bool:
    return any(isinstance(leaf, FamilyRef) and scope.families[leaf.name].kind != "plain" for leaf in leaves(value))


__all__ = ["kept_family"]
