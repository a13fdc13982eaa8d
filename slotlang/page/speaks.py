"""What the statements that have no slots of their own speak of: inputs, sizes, digits, results."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from slotlang.meaning.integers import evaluate
from slotlang.meaning.program import Program, written_name
from slotlang.meaning.value import Element, Read, ScalarRef, Value, nodes
from slotlang.syntax import tree
from slotlang_runtime.amounts import count_of

__all__ = ["spoken"]

MOST_NAMED = 6
"""Readers that are named, at most."""


def spoken(program: Program, item: object) -> tuple[str | None, str]:
    """The stage whose slots show best what a statement speaks of, and what there is to say of it, in one line; None and
    nothing where there is neither."""
    match item:
        case tree.Declare(tensors=tensors):
            return _read(program, [t.name for t in tensors])
        case tree.Scalars(names=names):
            return _read(program, [n.name for n in names])
        case tree.Bound(name=name):
            return _read(program, [name.name])
        case tree.Header():
            return None, f"{program.name}: vectors of {count_of(program.slots, 'slot')}"
        case tree.Let(name=name) if name in program.sizes:
            return None, f"{name} = {program.sizes[name]:,}"
        case tree.Axes(binders=binders):
            digits = [(b.name, program.digits[b.name]) for b in binders if b.name in program.digits]
            parts = [
                f"{name} is a digit below {d.size:,}, {_apart(int(evaluate(d.stride, program.sizes, {})))}"
                for name, d in digits
            ]
            return None, "; ".join(parts)
        case tree.Prove(name=name):
            read = list(dict.fromkeys(written_name(o.family.name) for o in program.outputs if o.name == name))
            return (read[0], f"{name} is read from {_listed(read)}") if read else (None, "")
        case _:
            return None, ""


def _apart(slots: int) -> str:
    return f"{slots:,} slot{'s' * (slots != 1)} apart"


def _read(program: Program, names: list[str]) -> tuple[str | None, str]:
    """What reads tensors or scalars: the first stage that does, and all of them in words."""
    first, parts = None, []
    for name in names:
        readers = list(
            dict.fromkeys(written_name(f.name) for f in program.families.values() if name in _tensors(f.body))
        )
        first = first or (readers[0] if readers else None)
        parts.append(f"{name} is read by {_listed(readers)}" if readers else f"{name} is read by nothing")
    return first, "; ".join(parts)


def _tensors(body: Value | None) -> Collection[str]:
    return set(_named(body)) if body is not None else ()


def _named(body: Value) -> Iterator[str]:
    for node in nodes(body):
        match node:
            case Read(tensor=name) | ScalarRef(name=name):
                yield name
            case Element(form=form):
                for chain in form.chains:
                    yield from chain.scalars
                    yield from (factor.tensor for factor in chain.factors)
            case _:
                pass


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more
