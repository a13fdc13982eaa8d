"""What a wrong slot holds and what it should hold, as products of tensor elements."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from fractions import Fraction

from slotlang.meaning.integers import evaluate
from slotlang.meaning.program import Output, Program, member_text
from slotlang.proof.goals import member
from slotlang.proof.polyhedral import sides
from slotlang.proof.slot_products import SlotProducts
from slotlang.proof.terms import Expander
from slotlang.proof.verdict import Failure, Monomial, Uncovered
from slotlang.refusals import GaveUp


@dataclass(frozen=True)
class Counterexample:
    """A refutation in the program's own terms; what ``check --json`` prints.

    ``kind``: ``wrong_value``, ``not_carried`` or ``carried_twice``. Coefficients are texts, since they are exact.
    ``foreign``: a product that does not belong, where one is named; only that it may be followed back. ``excess``: its
    elements that the product that should be there has less often.
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
    foreign: Monomial | None = field(default=None, repr=False, compare=False)
    excess: tuple[tuple[str, tuple[int, ...]], ...] = field(default=(), repr=False, compare=False)

    @property
    def where(self) -> str:
        """``output y[c*C + h, t], line 22``."""
        return f"{self.statement}, line {self.line}"

    def to_json(self) -> dict[str, object]:
        """Plain data; ``foreign`` is there as a text already, ``excess`` a part of it."""
        data = {**asdict(self), "member": dict(self.member), "digits": dict(self.digits)}
        del data["foreign"], data["excess"]
        return data

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


def explain(program: Program, expander: Expander, failure: Failure, confirmed: bool) -> Counterexample:
    """A failure with everything a person needs to see it."""
    if isinstance(failure, Uncovered):
        return _uncovered(program, failure, confirmed)
    statement = failure.goal.statement
    env = {**program.slot_env(failure.slot), **failure.binders}
    digits = {name: int(env[name]) for system in program.axes[:1] for name in system}
    monomial, coefficient, expected = failure.monomial, failure.holds, failure.should
    counts: tuple[int, int, int] | None = None
    other: Monomial | None = None
    try:
        left, right, _ = sides(program, expander, failure.goal)
        products = SlotProducts(program, left, right, failure.binders, failure.slot)
        wrong = products.first(missing=True) or products.first(missing=False)
        if wrong is not None:
            if monomial is None or len(set(products.coefficients(monomial))) == 1:
                monomial = wrong
            coefficient, expected = products.coefficients(monomial)
            counts = (products.right, products.missing, products.surplus)
            other = products.first(missing=False, but=monomial)
    except (GaveUp, RecursionError):
        # the refutation stands without them
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
        monomial_text(other) if other is not None else "",
        confirmed,
        foreign=other if other is not None or expected is None or any(expected) else monomial,
        excess=tuple((Counter(other[1]) - Counter(monomial[1])).elements()) if other and monomial else (),
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
