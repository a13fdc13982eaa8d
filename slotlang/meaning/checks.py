"""Checks on the bodies of families: which of them are encrypted, and who may read which tensor."""

from __future__ import annotations

from slotlang.diagnostics import error
from slotlang.meaning.program import written_name
from slotlang.meaning.scope import Scope
from slotlang.meaning.value import (
    Element,
    FamilyRef,
    Read,
    ScalarRef,
    Value,
    leaves,
)
from slotlang.source import Span


def what_family(kind: str) -> str:
    """A kind of families, in words."""
    return "a computed family" if kind == "compute" else f"a {kind} family"


def check_kinds(scope: Scope, kind: str, name: str, body: Value, span: Span) -> None:
    """Raises SL307 when what takes part in a family is not what its keyword says."""
    families = [leaf for leaf in leaves(body) if isinstance(leaf, FamilyRef)]
    encrypted = [ref for ref in families if scope.families[ref.name].kind != "plain"]
    family = written_name(name)
    if kind == "compute" and not encrypted:
        raise error(
            "SL307",
            f"no ciphertext takes part in '{name}'",
            span,
            hint=f"write `plain {family}` (the server's) or `cipher {family}` (packed by the client)",
        )
    if kind == "plain" and encrypted:
        raise error(
            "SL307",
            f"'{encrypted[0].name}' is encrypted, and a plain family is made without ciphertexts",
            encrypted[0].span,
            hint="drop the keyword `plain` to define a computed family",
        )
    if kind == "cipher" and families:
        raise error(
            "SL307",
            f"'{families[0].name}' is {what_family(scope.families[families[0].name].kind)}; "
            "what the client packs is made from inputs alone",
            families[0].span,
            hint="drop the keyword `cipher` to define a computed family"
            if encrypted
            else "read the inputs here and multiply in a computed family",
        )


_WHO = {
    "cipher": (
        "weight",
        "the client packs inputs and knows no weights or scalars",
        "multiply by a plain family",
    ),
    "plain": (
        "input",
        "inputs are encrypted, and the server does not know them",
        "pack it: cipher X = x[...]",
    ),
    "compute": ("input", "inputs are encrypted before anything is computed", "pack it: cipher X = x[...]"),
}


def check_tensors(scope: Scope, kind: str, body: Value) -> None:
    """Raises SL313 when a family reads a tensor or scalar that its owner does not have."""
    forbidden, why, hint = _WHO[kind]
    for leaf in leaves(body):
        match leaf:
            case Read(tensor):
                read, scalars = [tensor], []
            case Element(form):
                read = [factor.tensor for chain in form.chains for factor in chain.factors]
                scalars = [name for chain in form.chains for name in chain.scalars]
            case ScalarRef(name):
                read, scalars = [], [name]
            case _:
                continue
        if kind == "cipher" and scalars:
            raise error("SL313", f"'{scalars[0]}' can't be used here", leaf.span, label=why, hint=hint)
        for tensor in read:
            if scope.tensors[tensor].kind == forbidden:
                raise error("SL313", f"'{tensor}' can't be read here", leaf.span, label=why, hint=hint)
