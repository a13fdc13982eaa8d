"""What the slots of a family's member hold: which element, repeated where, empty where."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from slotlang.diagnostics import SlotError, closest, error
from slotlang.meaning.bind_value import count
from slotlang.meaning.integers import SLOT, IntConst, IntVar
from slotlang.meaning.program import Claim, Family, Program, member_text, of_member, written_name
from slotlang.proof.field import PRIMES, random_field
from slotlang.proof.terms import Term
from slotlang.refusals import GaveUp
from slotlang.show.holding import Holding, holding, many
from slotlang.show.repetition import Repetition, repetition
from slotlang.show.symbolic import Ints, Named, Polynomials, points, polynomials
from slotlang.syntax import tree
from slotlang.syntax.printer import expression_text, statement_text
from slotlang_runtime.amounts import count_of

__all__ = ["Describer", "SlotContents", "contents", "parse_target", "resolve"]

MAX_DRAWN_SLOTS = 1 << 20
MAX_ELEMENTS = 1 << 40
MAX_EXACT_POINTS = 1 << 20
"""Products of a whole vector up to which its contents are compared exactly (about half a second)."""
MAX_UNSCHEDULED_POINTS = 1 << 14
"""Products of a slot up to which a value that no output needs is evaluated as it is defined, without a schedule."""
MAX_DESCRIBED_POINTS = 1 << 20
"""Most products that are evaluated to describe slots one by one."""

Compared: TypeAlias = Literal["exact", "random", ""]


def numbered(named: Named) -> bool:
    """Whether every element of every tensor and tensor product gets a number: there are few enough."""
    return sum(prod(shape) for shape in named.shapes.values()) <= MAX_ELEMENTS


class Describer:
    """Describes slots of one value, some or all of them at once.

    ``terms``: the value over the slot and ``binders``, expanded by ``named``; None for one too long to
    expand.
    """

    def __init__(self, named: Named, terms: Sequence[Term] | None, binders: Mapping[str, int] | None = None) -> None:
        self.named = named
        self.terms = terms
        self.binders = binders
        self.points = points(named, terms) if terms is not None else 0
        self._known: dict[int, Holding] = {}

    @property
    def exact(self) -> bool:
        """Whether every slot is multiplied out."""
        return self.terms is not None and self.points * self.named.program.slots <= MAX_EXACT_POINTS

    @property
    def affordable(self) -> int:
        """How many slots are described in a fraction of a second."""
        slots = self.named.program.slots
        if self.terms is None or self.exact or self.points > MAX_DESCRIBED_POINTS:
            return slots
        return min(slots, MAX_DESCRIBED_POINTS // self.points)

    @cached_property
    def whole(self) -> Polynomials:
        """Every slot's content; only when ``exact``."""
        assert self.terms is not None
        return polynomials(self.named, self.terms, np.arange(self.named.program.slots), self.binders)

    def holdings(self, slots: Sequence[int]) -> list[Holding]:
        """What the given slots hold."""
        new = [s for s in dict.fromkeys(slots) if s not in self._known]
        if self.terms is None:
            self._known.update((s, Holding(1, "a sum too long to write out", "?", False)) for s in new)
        elif self.exact:
            self._known.update((s, holding(self.whole, s)) for s in new)
        elif self.points > MAX_DESCRIBED_POINTS:
            self._known.update((s, many(self.points)) for s in new)
        elif new:
            some = polynomials(self.named, self.terms, np.array(new, np.int64), self.binders)
            self._known.update((s, holding(some, k)) for k, s in enumerate(new))
        return [self._known[s] for s in slots]


@dataclass(frozen=True, eq=False)
class SlotContents:
    """What the slots of one vector hold.

    ``axes``: the digits of the slot index, outermost first. ``definition``: the statement that defines the
    family; ``claims``: those that were taken at their word, with their lines. ``groups``: a number per slot,
    the same for slots that hold the same, by first appearance, -1 for empty ones; None when slots were not
    compared, for the reason in ``why``. ``compared``: ``exact`` (as polynomials in the named elements) or
    ``random`` (by their values at one point of two prime fields). ``wrong``: slots known to be wrong.
    """

    program: str
    family: str
    member: tuple[int, ...]
    kind: str
    slots: int
    axes: tuple[tuple[str, int], ...]
    definition: str
    claims: tuple[tuple[int, str], ...]
    groups: Ints | None = field(repr=False)
    compared: Compared
    why: str
    describer: Describer = field(repr=False, compare=False)
    wrong: npt.NDArray[np.bool_] | None = field(default=None, repr=False)

    @property
    def title(self) -> str:
        """``W[2, 5]``."""
        return member_text(self.family, self.member)

    def holdings(self, slots: Iterable[int]) -> list[Holding]:
        """What the given slots hold. Ask for at most ``describer.affordable`` of them."""
        return self.describer.holdings(list(slots))

    def text(self, slot: int) -> str:
        """What one slot holds: ``x[3, 0]``, ``sum of 512 products, e.g. B[0, 0] * x[0, 0]``, ``0``."""
        return self.holdings([slot])[0].text

    def digits(self, slot: int) -> dict[str, int]:
        """The digits of a slot index."""
        result = {}
        for name, extent in reversed(self.axes):
            slot, result[name] = divmod(slot, extent)
        return dict(reversed(result.items()))

    @cached_property
    def repetition(self) -> Repetition | None:
        """How contents repeat; None when they could not be compared."""
        return None if self.groups is None else repetition(self.groups, self.axes)

    def summary(self) -> str:
        """The repetition in a sentence, and how it is known."""
        repetition = self.repetition
        if repetition is None:
            return f"which slots hold the same is not known: {self.why}"
        how = " (compared by values at a random point)" if self.compared == "random" else ""
        return repetition.sentence() + how

    def wrong_sentence(self) -> str:
        """``4,032 of 4,096 slots of S are wrong``; empty when none is known to be."""
        if self.wrong is None:
            return ""
        return f"{int(self.wrong.sum()):,} of {count_of(self.slots, 'slot')} of {self.title} are wrong"

    def to_json(self, limit: int = 64) -> dict[str, object]:
        """Plain data for ``slotlang show --json``.

        Keys: ``program``, ``family``, ``member`` (index values), ``kind`` (cipher, plain, compute), ``slots``
        (their number), ``axes`` (list of ``name`` and ``extent``), ``definition``, ``claims`` (list of
        ``line`` and ``text``: claims taken at their word), ``compared`` (exact, random, or null with the
        reason in ``why``), ``distinct``, ``empty``, ``least``, ``most``, ``period``, ``stride``, ``run``, ``free`` (see
        ``Repetition``; null when not compared), ``summary``, ``wrong`` (how many slots, or null),
        ``contents``: for the first ``limit`` slots ``slot``, ``digits``, ``holds``, ``products``, ``counted``
        (false when ``products`` is an upper bound), ``group`` (-1 for empty, null when not compared),
        ``wrong`` (or null); ``truncated``: whether slots are left out.
        """
        listed = range(min(self.slots, limit, self.describer.affordable))
        repetition = self.repetition
        return {
            "program": self.program,
            "family": self.family,
            "member": list(self.member),
            "kind": self.kind,
            "slots": self.slots,
            "axes": [{"name": name, "extent": extent} for name, extent in self.axes],
            "definition": self.definition,
            "claims": [{"line": line, "text": text} for line, text in self.claims],
            "compared": self.compared or None,
            "why": self.why,
            "distinct": None if repetition is None else repetition.distinct,
            "empty": None if repetition is None else repetition.empty,
            "least": None if repetition is None else repetition.least,
            "most": None if repetition is None else repetition.most,
            "period": None if repetition is None else repetition.period,
            "stride": None if repetition is None else repetition.stride,
            "run": None if repetition is None else repetition.run,
            "free": None if repetition is None else list(repetition.free),
            "summary": self.summary(),
            "wrong": None if self.wrong is None else int(self.wrong.sum()),
            "contents": [
                {
                    "slot": slot,
                    "digits": self.digits(slot),
                    "holds": held.text,
                    "products": held.products,
                    "counted": held.counted,
                    "group": None if self.groups is None else int(self.groups[slot]),
                    "wrong": None if self.wrong is None else bool(self.wrong[slot]),
                }
                for slot, held in zip(listed, self.holdings(listed), strict=True)
            ],
            "truncated": len(listed) < self.slots,
        }


def contents(
    program: Program,
    name: str,
    member: tuple[int, ...] = (),
    *,
    claims: Sequence[Claim] | None = None,
    compare: bool = True,
    most: int | None = None,
) -> SlotContents:
    """What every slot of a member of a family holds; without ``member``, of its first one.

    ``claims``: the claims that are taken at their word, by default all of the program; a family without a claim
    is followed to its definition.
    ``most``: how many members are followed to their definitions; beyond, the value counts as too long to write out.
    ``compare``: where a vector is too long a sum to be multiplied out, its slots are compared by their values
    at a random point. Raises ``SlotError`` SL601 (no such family or member) and SL603 (too large to draw).
    """
    family, member = resolve(program, name, member)
    name = family.name
    if program.slots > MAX_DRAWN_SLOTS:
        raise _too_large(count_of(program.slots, "slot"), family)
    if claims is None:
        claims = [s for s in program.steps if isinstance(s, Claim)]
    named = Named(program, claims, most)
    terms: list[Term] | None
    try:
        terms = named.member(name, tuple(IntConst(i) for i in member), IntVar(SLOT))
    except GaveUp:
        terms = None
    if not numbered(named):
        raise _too_large("tensors of more than 2^40 elements", family)
    describer = Describer(named, terms)
    groups: Ints | None = None
    compared: Compared = ""
    why = ""
    if describer.exact:
        groups, compared = describer.whole.groups(), "exact"
    elif not compare:
        why = f"sums of up to {count_of(describer.points, 'product')} were not multiplied out"
    else:
        try:
            groups, compared = _random_groups(program, name, member, describer.points), "random"
        except GaveUp as problem:
            why = str(problem)
        except SlotError as problem:
            why = problem.diagnostics[0].message
    return SlotContents(
        program.name,
        name,
        member,
        family.kind,
        program.slots,
        tuple((axis, program.digits[axis].size) for system in program.axes[:1] for axis in system),
        definition_text(program, family),
        tuple((claim.span.line, claim_text(program, claim)) for claim in named.used),
        groups,
        compared,
        why,
        describer,
    )


def _too_large(what: str, family: Family) -> SlotError:
    return error("SL603", f"{what} are too many to draw", family.span, hint="choose smaller sizes with --set")


def _random_groups(program: Program, name: str, member: tuple[int, ...], products: int) -> Ints:
    """Slots of equal value at one random point of two fields."""
    from slotlang.graph.unroll import unroll
    from slotlang.proof.random import DEFAULT_SEED, slot_values
    from slotlang.schedule.build import schedule

    field = random_field(program, PRIMES[:2], DEFAULT_SEED)
    graph = unroll(schedule(program))
    if (name, member) not in graph.values and products > MAX_UNSCHEDULED_POINTS:
        raise GaveUp(f"a sum of up to {count_of(products, 'product')} that no output depends on")
    values = slot_values(graph, field, name, member)
    columns = np.ascontiguousarray(values.reshape(-1, program.slots).T)
    known: dict[bytes, int] = {}
    result = np.full(program.slots, -1, np.int64)
    for slot in np.flatnonzero(columns.any(axis=1)):
        result[slot] = known.setdefault(columns[slot].tobytes(), len(known))
    return result


def definition_text(program: Program, family: Family) -> str:
    """``W[q, c] = B[(h - q) % R, c*C + h]``."""
    body = next(
        (
            expression_text(s.body)
            for s in program.syntax.statements
            if isinstance(s, tree.Define) and s.name == written_name(family.name)
        ),
        family.span.text.partition("=")[2].strip(),
    )
    return f"{member_text(family.name, [b.name for b in family.binders])} = {body}"


def claim_text(program: Program, claim: Claim) -> str:
    """``S == (B @ x)[h % R, t]``."""
    for statement in program.syntax.statements:
        if isinstance(statement, tree.Claim) and statement.span == claim.span:
            return statement_text(statement).removeprefix("claim ")
    return claim.span.text.removeprefix("claim ")


_TARGET = re.compile(r"\s*([A-Za-z_][A-Za-z_0-9]*)\s*(?:\[([^\[\]]*)\])?\s*")
_INDEX = re.compile(r"\s*-?[0-9]{1,15}\s*")


def parse_target(text: str) -> tuple[str, tuple[int, ...]]:
    """``W[2, 5]`` to ("W", (2, 5)) and ``X`` to ("X", ()). Raises ``SlotError`` SL602."""
    match = _TARGET.fullmatch(text)
    inner = match[2] if match else None
    parts = [] if inner is None else inner.split(",")
    if match is None or not all(_INDEX.fullmatch(part) for part in parts):
        raise error(
            "SL602",
            f"can't tell what to draw from {text!r}",
            hint="write a family, or a member of one: X or W[2, 5]",
        )
    return match[1], tuple(int(part) for part in parts)


def resolve(program: Program, name: str, member: tuple[int, ...]) -> tuple[Family, tuple[int, ...]]:
    """The family and the member that are meant: the first one when no indices are given. Raises SL601."""
    own = program.families.get(name)
    found = (own, member) if own else of_member(program, name, member)
    family, member = found or (None, member)
    if family is None:
        families = ", ".join(program.families)
        raise error(
            "SL601",
            _what(program, name) or f"the program has no family '{name}'",
            notes=[f"its families are {families}"] if families else [],
            hint=closest(name, program.families),
        )
    if not member:
        member = (0,) * len(family.binders)
    ranges = ", ".join(f"{b.name} < {b.size}" for b in family.binders)
    wanted = member_text(family.name, ranges.split(", ") if ranges else ())
    if len(member) != len(family.binders):
        needed = count(len(family.binders), "index")
        raise error("SL601", f"'{name}' has {needed}, and {count(len(member), 'index')} given", hint=f"write {wanted}")
    for index, binder in zip(member, family.binders, strict=True):
        if not 0 <= index < binder.size:
            raise error(
                "SL601",
                f"'{name}' has no member {binder.name} = {index}",
                notes=[f"{binder.name} goes from 0 to {binder.size - 1}"],
                hint=f"members are {wanted}",
            )
    return family, member


def _what(program: Program, name: str) -> str:
    """What kind of thing a name is that is not a family's; empty for an unknown name."""
    kinds = {
        "an input": [n for n, t in program.tensors.items() if t.kind == "input"],
        "a weight": [n for n, t in program.tensors.items() if t.kind != "input"],
        "a size": program.sizes,
        "a scalar": program.scalars,
        "a permutation": program.permutations,
        "a slot digit": program.digits,
        "a result": program.theorems,
    }
    return next((f"'{name}' is {kind}, and families are drawn" for kind, names in kinds.items() if name in names), "")
