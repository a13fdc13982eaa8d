"""Rules about families: one in the place of another that holds the same, definitions written out, leftovers dropped."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from slotlang.optimize.rewriting import Rewrite, Subject, claim_of, inlined, mapped, nowhere, read, tidied
from slotlang.optimize.sums import joined, rotated_first
from slotlang.syntax import tree
from slotlang.syntax.walk import names


def same(subject: Subject) -> Iterator[Rewrite]:
    """A family read in the place of a later one with as many members. The proof decides whether it holds the same."""
    families = list(subject.families.values())
    for number, later in enumerate(families):
        if later.kind != "compute":
            continue
        extents = [subject.value(b.extent) for b in later.binders]
        for earlier in families[:number]:
            if earlier.kind == "plain" or [subject.value(b.extent) for b in earlier.binders] != extents:
                continue

            def change(part: Any, old: str = later.name, new: str = earlier.name) -> Any:
                return tree.Name(new, nowhere(part.span)) if isinstance(part, tree.Name) and part.name == old else part

            statements = tuple(
                s if s == later or claim_of(s) == later.name else mapped(s, change) for s in subject.program.statements
            )
            program = replace(subject.program, statements=statements)
            yield Rewrite("same", f"{earlier.name} in the place of {later.name}, which holds the same", program)


def written_out(subject: Subject) -> Iterator[Rewrite]:
    """A computed family written out where it is read: products in a row become one, rotations meet."""
    for family in subject.families.values():
        if family.kind == "compute":
            program = _without(subject, family)
            if program is not None:
                yield Rewrite("written out", f"{family.name} written out where it is read", program)
                inner = replace(subject, program=program)
                for rewritten in joined(inner):
                    yield replace(rewritten, what=f"{family.name} written out and {rewritten.what}")
                before = tuple(
                    replace(s, body=rotated_first(inner, s.body))
                    if isinstance(s, tree.Define) and s.kind == "compute"
                    else s
                    for s in program.statements
                )
                if before != program.statements:
                    what = f"{family.name} written out where it is read, rotations before the products"
                    yield Rewrite("written out", what, replace(program, statements=before))


def _without(subject: Subject, family: tree.Define) -> tree.Program | None:
    """None where an output reads the family: an output carries a family, and no expression."""
    statements: list[tree.Statement] = []
    for s in subject.program.statements:
        if isinstance(s, tree.Output) and family.name in names(s.value):
            member = read(family.body)
            if member is None or subject.families.get(member[0]) is None:
                return None
            s = replace(s, value=inlined(s.value, family))
        elif (isinstance(s, tree.Define) and s.name == family.name) or claim_of(s) == family.name:
            continue
        elif isinstance(s, tree.Define) and family.name in names(s.body):
            s = replace(s, body=inlined(s.body, family))
        statements.append(s)
    return replace(subject.program, statements=tuple(statements))


def unused(subject: Subject) -> Iterator[Rewrite]:
    """Families that no result needs are dropped; with leave to change the packing, the client's too."""
    program = tidied(subject.program, clients=subject.allow_packing)
    if program.statements != subject.program.statements:
        gone = sorted(set(subject.families) - set(replace(subject, program=program).families))
        yield Rewrite("unused", f"{', '.join(gone)} dropped, which no result needs", program)
