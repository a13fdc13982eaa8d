"""What a wrong slot holds and what it should hold, as products of tensor elements."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np

from slotlang.meaning.integers import SLOT, evaluate, holds
from slotlang.meaning.program import Output, Program, member_text
from slotlang.proof.goals import member
from slotlang.proof.polyhedral import canonical, sides
from slotlang.proof.terms import Expander, Term
from slotlang.proof.verdict import Failure, Monomial, Uncovered
from slotlang.refusals import GaveUp

MAX_POINTS = 1 << 22
Signature: TypeAlias = tuple[tuple[str, ...], tuple[str, ...]]
Product: TypeAlias = tuple[Signature, int]
"""A monomial: its scalars and tensors, and the indices of all elements packed into one number."""
Polynomial: TypeAlias = dict[Product, tuple[Fraction, Fraction]]


@dataclass(frozen=True)
class Counterexample:
    """A refutation in the program's own terms; what ``check --json`` prints.

    ``kind``: ``wrong_value``, ``not_carried`` or ``carried_twice``. Coefficients are texts, since they are exact.
    """

    kind: str
    statement: str
    line: int
    family: str
    member: Mapping[str, int]
    slot: int | None
    digits: Mapping[str, int]
    element: str
    monomial: str = ""
    holds: str = ""
    should_hold: str = ""
    products_right: int | None = None
    products_missing: int | None = None
    products_extra: int | None = None
    example_extra: str = ""
    confirmed: bool = False
    carriers: tuple[str, ...] = ()

    @property
    def where(self) -> str:
        """``output y[c*C + h, t], line 22``."""
        return f"{self.statement}, line {self.line}"

    def to_json(self) -> dict[str, object]:
        """Plain data."""
        from dataclasses import asdict

        return {**asdict(self), "member": dict(self.member), "digits": dict(self.digits)}

    def lines(self) -> list[str]:
        """For a person."""
        if self.kind == "not_carried":
            return [
                f"{self.element} is carried by no slot",
                "every element of the result must be output once",
            ]
        if self.kind == "carried_twice":
            return [f"{self.element} is output more than once:", *(f"  {c}" for c in self.carriers)]
        digits = ", ".join(f"{k} = {v}" for k, v in self.digits.items())
        where = f"slot {self.slot} of {self.family}" + (f"  ({digits})" if digits else "")
        text = [f"{where} carries {self.element}" if self.element else where]
        if self.monomial:
            text.append(f"  product       {self.monomial}")
            text.append(f"  should occur  {_times(self.should_hold)}")
            text.append(f"  occurs        {_times(self.holds)}")
        if self.products_right is not None:
            text.append(
                f"  of the slot's products {self.products_right:,} are right, "
                f"{self.products_missing:,} are missing or have another factor, "
                f"{self.products_extra:,} do not belong"
            )
        if self.example_extra:
            text.append(f"  does not belong, for example: {self.example_extra}")
        if self.confirmed:
            text.append("  confirmed by direct evaluation at this slot")
        return text


def _times(coefficient: str) -> str:
    return {"0": "not at all", "1": "once"}.get(coefficient, f"with factor {coefficient}")


def coefficient_text(re: Fraction, im: Fraction) -> str:
    """``1``, ``-1/2``, ``2i``, ``1 - 1i``."""
    if not im:
        return str(re)
    if not re:
        return f"{im}i"
    return f"{re} {'-' if im < 0 else '+'} {abs(im)}i"


def monomial_text(monomial: Monomial) -> str:
    """``scale * A[0, 3] * x[5, 0]``."""
    scalars, reads = monomial
    parts = [*scalars, *(member_text(t, i) for t, i in reads)]
    return " * ".join(parts) or "1"


def slot_polynomial(program: Program, terms: Sequence[Term], binders: Mapping[str, int], slot: int) -> Polynomial:
    """The terms at one point, bound variables enumerated. Raises ``GaveUp`` beyond ``MAX_POINTS``."""
    base: dict[str, Any] = {**program.slot_env(slot), **binders, SLOT: slot}
    # whole arrays are added up first: a term has as many parts as its elements of one tensor have orders
    found: dict[tuple[Signature, Fraction, Fraction], list[Any]] = {}
    points = 0
    for original in terms:
        for term in canonical(original):
            signature = (term.scalars, tuple(t for t, _ in term.reads))
            points += math.prod(extent for _, extent in term.bound)
            if points > MAX_POINTS:
                raise GaveUp(f"{points:,} products")
            found.setdefault((signature, term.re, term.im), []).append(_occurrences(program, term, base))
    packed: Polynomial = {}
    for (signature, real, imaginary), keys in found.items():
        places, counts = np.unique(np.concatenate(keys), return_counts=True)
        for key, times in zip(places.tolist(), counts.tolist(), strict=True):
            value = (real, imaginary) if times == 1 else (real * times, imaginary * times)
            if (before := packed.get((signature, key))) is not None:
                value = (before[0] + value[0], before[1] + value[1])
            packed[signature, key] = value
    return {product: value for product, value in packed.items() if value[0] or value[1]}


def _occurrences(program: Program, term: Term, base: Mapping[str, Any]) -> Any:
    """Each monomial of a term, its indices packed into one integer, as often as it occurs."""
    extents = [extent for _, extent in term.bound]
    total = math.prod(extents)
    room = math.prod(size for tensor, _ in term.reads for size in program.tensors[tensor].shape)
    if room >= 1 << 62:
        raise GaveUp(f"numbers of {room:,} products")
    grid = np.indices(extents or [1]).reshape(max(1, len(extents)), -1)
    env = {**base, **{name: grid[n] for n, (name, _) in enumerate(term.bound)}}
    keep = np.ones(total, bool)
    for cond in term.conds:
        keep &= np.broadcast_to(holds(cond, program.sizes, env), keep.shape)
    packed: Any = np.zeros(total, np.int64)
    for tensor, indices in term.reads:
        for index, size in zip(indices, program.tensors[tensor].shape, strict=True):
            packed = packed * size + evaluate(index, program.sizes, env)
    return np.broadcast_to(packed, keep.shape)[keep]


def least(program: Program, polynomial: Iterable[Product]) -> Monomial | None:
    """The first monomial in the order of monomials; None where there is none."""
    # of monomials with equal signatures the packed numbers have the same order
    keys: dict[Signature, int] = {}
    for signature, key in polynomial:
        keys[signature] = min(key, keys.get(signature, key))
    return min((_unpacked(program, product) for product in keys.items()), default=None)


def _packed(program: Program, monomial: Monomial) -> Product:
    scalars, reads = monomial
    key = 0
    for tensor, indices in reads:
        for index, size in zip(indices, program.tensors[tensor].shape, strict=True):
            key = key * size + index
    return (scalars, tuple(tensor for tensor, _ in reads)), key


def _unpacked(program: Program, product: Product) -> Monomial:
    (scalars, tensors), key = product
    reads = []
    for tensor in reversed(tensors):
        indices = []
        for size in reversed(program.tensors[tensor].shape):
            key, index = divmod(key, size)
            indices.append(index)
        reads.append((tensor, tuple(reversed(indices))))
    return scalars, tuple(sorted(reads))


def explain(program: Program, expander: Expander, failure: Failure, confirmed: bool) -> Counterexample:
    """A failure with everything a person needs to see it."""
    if isinstance(failure, Uncovered):
        return _uncovered(program, failure, confirmed)
    statement = failure.goal.statement
    env = {**program.slot_env(failure.slot), **failure.binders}
    digits = {name: int(env[name]) for system in program.axes[:1] for name in system}
    monomial, coefficient, expected = failure.monomial, failure.holds, failure.should
    counts: tuple[int, int, int] | None = None
    extra = ""
    try:
        left, right, _ = sides(program, expander, failure.goal)
        actual = slot_polynomial(program, left, failure.binders, failure.slot)
        wanted = slot_polynomial(program, right, failure.binders, failure.slot)
        missing = [m for m, value in wanted.items() if actual.get(m) != value]
        surplus = [m for m in actual if m not in wanted]
        if missing or surplus:
            named = None if monomial is None else _packed(program, monomial)
            differs = named is not None and actual.get(named) != wanted.get(named)
            wrong = named if named is not None and differs else (missing or surplus)[0]
            monomial = _unpacked(program, wrong)
            zero = (Fraction(0), Fraction(0))
            coefficient, expected = actual.get(wrong, zero), wanted.get(wrong, zero)
            counts = (len(wanted) - len(missing), len(missing), len(surplus))
            first = least(program, (m for m in surplus if m != wrong))
            extra = "" if first is None else monomial_text(first)
    except GaveUp:
        pass
    element = ""
    if isinstance(statement, Output):
        at = [int(evaluate(i, program.sizes, env)) for i in statement.indices]
        element = member_text(statement.name, at)
    family = member_text(*member(program, statement, failure.binders))
    return Counterexample(
        "wrong_value",
        failure.goal.what,
        failure.goal.span.line,
        family,
        failure.binders,
        failure.slot,
        digits,
        element,
        monomial_text(monomial) if monomial is not None else "",
        coefficient_text(*coefficient) if coefficient is not None else "",
        coefficient_text(*expected) if expected is not None else "",
        counts[0] if counts else None,
        counts[1] if counts else None,
        counts[2] if counts else None,
        extra,
        confirmed,
    )


def _uncovered(program: Program, failure: Uncovered, confirmed: bool) -> Counterexample:
    element = member_text(failure.output, failure.element)
    statement = next(o for o in program.outputs if o.name == failure.output)
    carriers = tuple(_carrier(program, o, env, slot) for o, env, slot in failure.carriers)
    return Counterexample(
        "carried_twice" if carriers else "not_carried",
        f"output {failure.output}",
        statement.span.line,
        statement.family.name,
        {},
        None,
        {},
        element,
        confirmed=confirmed,
        carriers=carriers,
    )


def _carrier(program: Program, output: Output, env: Mapping[str, int], slot: int) -> str:
    return f"slot {slot} of {member_text(*member(program, output, env))}, by line {output.span.line}"
