"""Rules about permutations: behind sums and products, one network for all, plaintexts permuted back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from slotlang.optimize.rewriting import Rewrite, Subject, computed, inlined, nowhere, product, read, times
from slotlang.syntax import tree


def permutations_moved(subject: Subject) -> Iterator[Rewrite]:
    """Sums, differences and products of permuted vectors become a permutation of them, plaintexts permuted back."""
    for family, part, put in computed(subject):
        new = _outermost(subject, part)
        if new is not None:
            what = f"the permutation {new.permutation} behind the {_kind(part)} in {family}"
            yield Rewrite("permutations", what, put(new))


def _kind(e: tree.Expr) -> str:
    return "product" if isinstance(e, tree.Binary) and e.op == "*" else "sum"


def _outermost(subject: Subject, e: tree.Expr) -> tree.Permute | None:
    match e:
        case tree.Sum(_, _, body):
            inner = _outermost(subject, body) if len(product(body)) > 1 else _permute(subject, body)
            return None if inner is None else replace(inner, value=replace(e, body=inner.value, span=nowhere(e.span)))
        case tree.Binary("*"):
            factors = product(e)
            ciphers = [f for f in factors if not subject.is_plain(f)]
            found = _permute(subject, ciphers[0]) if len(ciphers) == 1 else None
            if found is None:
                return None
            return replace(found, value=times([found.value if f is ciphers[0] else _back(found, f) for f in factors]))
        case tree.Binary("+" | "-", left, right):
            sides = [None if subject.is_plain(side) else _permute(subject, side) for side in (left, right)]
            found = sides[0] or sides[1]
            if found is None:
                return None
            new = []
            for side, permuted in zip((left, right), sides, strict=True):
                if permuted is None and not subject.is_plain(side):
                    return None
                if permuted is not None and (permuted.permutation, permuted.inverse) != (
                    found.permutation,
                    found.inverse,
                ):
                    return None
                new.append(_back(found, side) if permuted is None else permuted.value)
            return replace(found, value=replace(e, left=new[0], right=new[1], span=nowhere(e.span)))
        case _:
            return None


def _permute(subject: Subject, e: tree.Expr) -> tree.Permute | None:
    """A permutation, written out where a family names it."""
    member = read(e)
    family = subject.families.get(member[0]) if member else None
    if family is not None and family.kind == "compute":
        e = inlined(e, family)
    return replace(e, span=nowhere(e.span)) if isinstance(e, tree.Permute) else None


def _back(permuted: tree.Permute, e: tree.Expr) -> tree.Expr:
    """A plaintext permuted back; a constant stays."""
    if isinstance(e, tree.Number):
        return e
    return tree.Permute(e, permuted.permutation, not permuted.inverse, nowhere(e.span))
