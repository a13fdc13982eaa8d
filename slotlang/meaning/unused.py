"""What a program declares and does not need: warnings, which change no verdict."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from slotlang.diagnostics import Diagnostic
from slotlang.meaning.program import Claim, Family, Program
from slotlang.meaning.scope import name_span
from slotlang.meaning.value import FamilyRef, Value, leaves
from slotlang.source import Span
from slotlang.syntax import tree
from slotlang.syntax.tensor_names import without_names
from slotlang.syntax.walk import names


def unused(program: Program) -> tuple[Diagnostic, ...]:
    """Warnings about sizes, weights, scalars, named tensors and families that are never used, claims about families
    that nothing executes, and inputs that no output depends on; in the order of the text."""
    found = [*_numbers(program), *_inputs(program), *_families(program)]
    return tuple(sorted(found, key=lambda d: d.span.start if d.span else 0))


def _numbers(program: Program) -> Iterator[Diagnostic]:
    """Sizes, weights and scalars that are mentioned nowhere. To bound one is not to use it."""
    statements = program.syntax.statements
    mentioned = names(statements)
    for header in statements:
        for size in header.sizes if isinstance(header, tree.Header) else ():
            # `slots` says how long vectors are
            if size.name != "slots" and size.name not in mentioned:
                yield _never_used("size", size.name, size.span)
    used = names(tuple(s for s in statements if not isinstance(s, tree.Scalars | tree.Bound)))
    for decl in program.tensors.values():
        if decl.kind == "weight" and decl.name not in used:
            yield _never_used("weight", decl.name, decl.span)
    for statement in statements:
        for name in statement.names if isinstance(statement, tree.Scalars) else ():
            if name.name not in used:
                yield _never_used("scalar", name.name, name.span)
        if isinstance(statement, tree.NameTensor) and statement.name not in used:
            yield _never_used("named tensor", statement.name, name_span(statement.name, statement.span))


def _never_used(what: str, name: str, span: Span) -> Diagnostic:
    return Diagnostic("SL331", f"{what} '{name}' is never used", span, hint="leave it out, or use it")


def _families(program: Program) -> Iterator[Diagnostic]:
    """Families on which neither an output nor a claim about what outputs depend on depends, and claims about them."""
    used = _needed(program, claims=True)
    for families in _by_statement(program.families.values()):
        unread = [family.name for family in families if family.name not in used]
        if unread:
            first = families[0]
            what = "ciphertext" if first.kind == "cipher" else "plaintext" if first.kind == "plain" else "computed"
            whole = f"{what} family '{_base(first)}' is never used"
            yield Diagnostic(
                "SL331",
                whole if len(unread) == len(families) else f"{_members(unread, len(families))} never used",
                first.span,
                label="no output depends on it" if len(unread) in (1, len(families)) else "no output depends on them",
                hint="leave it out, or use it" if len(unread) == len(families) else "define as many as are used",
            )
    claims = (claim for claim in program.steps if isinstance(claim, Claim))
    for same in _by_statement(claims):
        about = list(dict.fromkeys(claim.family for claim in same if claim.family not in used))
        # a claim that speaks of members in use as well can't be left out: of them it may be what a proof rests on
        if about and len(about) == len(dict.fromkeys(claim.family for claim in same)):
            what = f"'{about[0]}'" if len(about) == 1 else f"'{about[0].partition('[')[0]}'"
            hint = f"leave it out, or use {what}"
            bases = {name.partition("[")[0] for name in used if "[" in name}
            if any(name.partition("[")[0] in bases for name in about):
                hint += "; a proof for all sizes may need it as an induction hypothesis"
            yield Diagnostic(
                "SL332",
                f"this claim is about {what}, which nothing executes",
                same[0].span,
                label=f"no output depends on {what}",
                hint=hint,
            )


S = TypeVar("S", Family, Claim)


def _by_statement(steps: Iterable[S]) -> Iterator[list[S]]:
    """Families, or claims, of one statement together: one that is written out has one for each of its members."""
    found: dict[tuple[int, int], list[S]] = {}
    for step in steps:
        found.setdefault((step.span.start, step.span.end), []).append(step)
    yield from found.values()


def _base(family: Family) -> str:
    """``S`` for the member ``S[2]`` of a family that is written out."""
    return family.name.partition("[")[0]


def _members(unread: list[str], of: int) -> str:
    """``59 of 100 members of 'S', the first of them 'S[41]', are``."""
    name = unread[0].partition("[")[0]
    if len(unread) == 1:
        return f"one of {of:,} members of '{name}', '{unread[0]}', is"
    return f"{len(unread):,} of {of:,} members of '{name}', the first of them '{unread[0]}', are"


def _inputs(program: Program) -> Iterator[Diagnostic]:
    """Inputs that no family reads that outputs depend on."""
    needed = _needed(program, claims=False)
    read = frozenset[str]().union(
        *(names(s) for s in without_names(program.syntax).statements if isinstance(s, tree.Define) and s.name in needed)
    )
    for decl in program.tensors.values():
        if decl.kind == "input" and decl.name not in read:
            yield Diagnostic(
                "SL333",
                f"no output depends on the input '{decl.name}'",
                decl.span,
                label="whatever it holds, the results are the same",
                hint="leave it out, or use it",
            )


def _needed(program: Program, *, claims: bool) -> set[str]:
    """The families that outputs depend on; with ``claims``, those too by which such a family is described."""
    needed: set[str] = set()
    waiting = [output.family.name for output in program.outputs]
    described: dict[str, list[Value]] = {}
    for step in program.steps:
        if isinstance(step, Claim) and claims:
            described.setdefault(step.family, []).append(step.value)
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            for value in (program.families[name].body, *described.get(name, ())):
                waiting += [leaf.name for leaf in leaves(value) if isinstance(leaf, FamilyRef)]
    return needed
