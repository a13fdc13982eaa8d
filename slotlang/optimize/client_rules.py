"""Rules that change what the client does: it packs what the server would have made, and reads what it would have moved.
They apply only with leave to change the packing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from math import prod

from slotlang.optimize.rewriting import (
    Rewrite,
    Subject,
    binary,
    claim_of,
    inlined,
    name,
    number,
    read,
    substituted,
    tidied,
    times,
)
from slotlang.syntax import tree
from slotlang.syntax.walk import names, nodes


def packed_by_client(subject: Subject) -> Iterator[Rewrite]:
    """What the client can do in place of the server, where it may."""
    yield from client_packs(subject)
    yield from client_reads(subject)


def why_not_packed(subject: Subject) -> str:
    """Why neither rule proposes anything."""
    if not subject.allow_packing:
        return "what the client packs and reads stays, without --allow-packing"
    return "nothing is made of one packed vector alone by moves and masks, and no permutation is only read"


def client_packs(subject: Subject) -> Iterator[Rewrite]:
    """What the server makes of one packed vector by permutations, rotations, masks and constants, and nothing else of
    that vector, made by the client before it encrypts. No more ciphertexts go up."""
    if not subject.allow_packing:
        return
    for family in subject.families.values():
        written = _of_one_vector(subject, family) if family.kind == "compute" else None
        if written is None:
            continue
        source, body = written
        for s in subject.program.statements:
            if isinstance(s, tree.Claim) and claim_of(s) == family.name and s.where is None:
                target = read(s.target)
                assert target is not None
                binders = tuple(i.name for i in target[1] if isinstance(i, tree.Name))
                if binders == tuple(b.name for b in family.binders):
                    yield from _packed(subject, replace(family, kind="cipher", body=s.value), source)
        yield from _packed(subject, replace(family, kind="cipher", body=body), source)


def _of_one_vector(subject: Subject, family: tree.Define) -> tuple[tree.Define, tree.Expr] | None:
    """The packed family that a computed one reads one member of, and its body written out; None where weights, sums or
    another vector take part, or nothing is done."""
    families = subject.families
    known = {t.name for s in subject.program.statements if isinstance(s, tree.Declare) for t in s.tensors}
    known |= {n.name for s in subject.program.statements if isinstance(s, tree.Scalars) for n in s.names}
    body = family.body
    for plain in reversed(families.values()):
        if plain.kind == "plain" and plain.name in names(body):
            body = inlined(body, plain)
    if read(body) is not None or names(body) & known or any(isinstance(p, tree.Sum | tree.Unary) for p in nodes(body)):
        return None
    vectors = [p for p in nodes(body) if isinstance(p, tree.Name) and p.name in families]
    source = families[vectors[0].name] if len(vectors) == 1 else None
    if source is None or source.kind != "cipher":
        return None
    return source, inlined(body, source)


def _packed(subject: Subject, packed: tree.Define, source: tree.Define) -> Iterator[Rewrite]:
    program = subject.put(packed)
    # a claim would say what the packing says
    rest = tuple(s for s in program.statements if claim_of(s) != packed.name)
    program = tidied(replace(program, statements=rest), clients=True)
    sent, before = (prod(subject.value(b.extent) or 0 for b in f.binders) for f in (packed, source))
    if source.name not in replace(subject, program=program).families and 0 < sent <= before:
        yield Rewrite("packing", f"the client packs {packed.name} in the place of {source.name}", program)


def client_reads(subject: Subject) -> Iterator[Rewrite]:
    """A permutation left out whose result only the client reads: it reads each element from the slot that held it
    before the permutation."""
    if not subject.allow_packing:
        return
    program = subject.program
    for family in subject.families.values():
        body = family.body
        if family.kind != "compute" or not isinstance(body, tree.Permute) or body.inverse:
            continue
        if any(family.name in names(f.body) for f in subject.families.values()):
            continue
        moved = _destination(subject, body.permutation)
        if moved is None:
            continue
        statements: list[tree.Statement] = []
        for s in program.statements:
            if isinstance(s, tree.Output) and family.name in names(s.value):
                where = None if s.where is None else substituted(s.where, moved)
                s = replace(s, indices=substituted(s.indices, moved), where=where)
            elif s == family:
                s = replace(family, body=body.value)
            if claim_of(s) != family.name:
                statements.append(s)
        what = f"the client reads {family.name} as it is before the permutation {body.permutation}"
        yield Rewrite("packing", what, replace(program, statements=tuple(statements)))


def _destination(subject: Subject, permutation: str) -> Mapping[str, tree.Expr] | None:
    """What the digits of a slot's number, and ``slot`` itself, are where the permutation moves the slot."""
    statements = subject.program.statements
    axes = [s.binders for s in statements if isinstance(s, tree.Axes)]
    form = next(s.form for s in statements if isinstance(s, tree.DefinePermutation) and s.name == permutation)
    digits: dict[str, tree.Expr] = {}
    if isinstance(form, tree.SlotPermutation):
        slot = form.target
    elif isinstance(form, tree.DigitPermutation):
        extents = {b.name: b.extent for group in axes for b in group}
        if not all(isinstance(t, tree.Name) and t.name in extents for t in form.target):
            return None
        target = [t for t in form.target if isinstance(t, tree.Name)]
        slot = _number([(t, extents[t.name]) for t in target])
        for group in axes:
            sizes = [subject.value(b.extent) for b in group]
            if sizes == [subject.value(extents[t.name]) for t in target]:
                digits |= {b.name: t for b, t in zip(group, target, strict=True)}
    else:
        return None
    for group in axes:
        inner: list[tree.Expr] = []
        for place, binder in reversed(list(enumerate(group))):
            digit = binary("//", slot, times(inner)) if inner else slot
            digits.setdefault(binder.name, binary("%", digit, binder.extent) if place else digit)
            inner.insert(0, binder.extent)
    return {"slot": slot, **digits}


def _number(digits: list[tuple[tree.Name, tree.Expr]]) -> tree.Expr:
    """The number with these digits, outermost first."""
    result: tree.Expr = number(0, digits[0][0])
    for n, (digit, extent) in enumerate(digits):
        result = name(digit.name, digit) if not n else binary("+", binary("*", result, extent), digit)
    return result
