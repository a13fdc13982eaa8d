"""Where the content of a slot came from: slots of the families it was made of, back to what the client packed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from slotlang.meaning.integers import SLOT, IntConst, IntVar, evaluate
from slotlang.meaning.program import Claim, Program, member_text
from slotlang.meaning.value import Read, Value
from slotlang.proof.explain import Counterexample
from slotlang.proof.goals import member as member_of
from slotlang.proof.report import Report
from slotlang.proof.verdict import Monomial, Wrong
from slotlang.refusals import GaveUp
from slotlang.show.carrying import Carriers, Place
from slotlang.show.content import Describer, numbered
from slotlang.show.origins import occurrences, vanishes
from slotlang.show.symbolic import Named
from slotlang.show.wrong import held

MAX_READS = 1 << 14
"""Most slots that one slot may read; a slot that reads more is traced no further."""
SHOWN = 4


@dataclass(frozen=True, slots=True)
class Step:
    """A slot on the way back, and what there is to say of it: ``S slot 0 <- Z[0] slot 0``."""

    place: Place
    text: str


def reads(program: Program, value: Value, env: Mapping[str, int], slot: int) -> Iterator[Place]:
    """Encrypted slots that the value of one slot is computed from, as often as they occur. Products with a bracket that
    does not hold at their slot are left out."""
    for entry in occurrences(program, value, env, np.array([slot]), np.ones(1, bool)):
        if program.families[entry.family].kind != "plain":
            yield entry.family, entry.member, int(entry.source[0])


def trace_of(program: Program, report: Report) -> list[Step]:
    """The way back from a refuted program's wrong slot: of the product that does not belong there, where the
    counterexample names one. Empty where no slot is wrong."""
    failure, example = report.failure, report.counterexample
    if not isinstance(failure, Wrong):
        return []
    family, indices = member_of(program, failure.goal.statement, failure.binders)
    foreign = example.foreign if isinstance(example, Counterexample) else None
    excess = example.excess if isinstance(example, Counterexample) else ()
    claims = [claim for claim in held(program, report.steps) if claim != failure.goal.statement]
    return trace(program, family, indices, failure.slot, foreign, claims, excess)


def trace(
    program: Program,
    family: str,
    indices: tuple[int, ...],
    slot: int,
    product: Monomial | None = None,
    claims: Sequence[Claim] = (),
    excess: Sequence[tuple[str, tuple[int, ...]]] = (),
) -> list[Step]:
    """Each step back from a slot, down to what the client packed. Of the slots that a slot is made of, the one is
    followed that holds the ``product``, or the most of it; without one, the first that does not hold 0. ``claims``:
    those that are proved, which say what the slots hold. ``excess``: elements that stand in the product too often;
    of factors that hold as much of it, one that has such an element is followed."""
    steps: list[Step] = []
    place: Place = family, indices, slot
    carriers = None if product is None else Carriers(program, claims, product, excess)
    while True:
        name, member, at = place
        definition = program.families[name]
        env = definition.env(member)
        here = _text(place)
        if definition.kind == "cipher":
            return [*steps, Step(place, f"{here} = {_packed(program, place)}")]
        made_of = list(islice(reads(program, definition.body, env, at), MAX_READS + 1))
        if not made_of or len(made_of) > MAX_READS:
            return [*steps, Step(place, f"{here} <- {'nothing' if not made_of else 'more slots than are shown'}")]
        times = Counter(made_of)
        zero, full = list[Place](), list[Place]()
        for read in times:
            (zero if _zero(program, read) else full).append(read)
        followed = (carriers.first(full) if carriers else None) or (full or zero)[0]
        if full:
            # a mask is the author's own; that a read lies beyond its tensor may be what is wrong
            beyond = [f"{_text(p)} (0: {said})" for p in zero if (said := _beyond(program, p))]
            room = max(0, SHOWN - len(full))
            listed = [_read_text(p, times[p]) for p in _shown(full, followed)] + beyond[:room]
            hidden = len(beyond) - room
        else:
            listed = [f"{_text(p)} (0)" for p in zero[:SHOWN]]
            hidden = 0
        many = len(full or zero)
        more = f", … ({many:,} in all)" if many > SHOWN else ""
        if hidden > 0:
            more += f", … ({hidden:,} more {'holds' if hidden == 1 else 'hold'} 0)"
        steps.append(Step(place, f"{here} <- {', '.join(listed)}{more}"))
        place = followed


def _shown(places: Sequence[Place], followed: Place) -> list[Place]:
    """The first few, and the one that is followed."""
    first = list(places[:SHOWN])
    return first if followed in first or followed not in places else [*first[:-1], followed]


def _text(place: Place) -> str:
    name, member, slot = place
    return f"{member_text(name, member)} slot {slot}"


def _read_text(place: Place, times: int) -> str:
    often = "" if times == 1 else f" ({'twice' if times == 2 else f'{times:,} times'})"
    return f"{_text(place)}{often}"


def _zero(program: Program, place: Place) -> bool:
    name, member, slot = place
    family = program.families[name]
    return bool(vanishes(program, family.body, family.env(member), np.array([slot]))[0])


def _beyond(program: Program, place: Place) -> str:
    """``x[7] is beyond x`` for a slot that holds 0 as the client packs an element that is not there; else empty."""
    name, member, slot = place
    family = program.families[name]
    if family.kind != "cipher" or not isinstance(family.body, Read):
        return ""
    element = _element(program, family.body, {**program.slot_env(slot), **family.env(member)})
    return f"{element} is beyond {family.body.tensor}"


def _element(program: Program, read: Read, here: Mapping[str, object]) -> str:
    return member_text(read.tensor, [int(evaluate(i, program.sizes, here)) for i in read.indices])


def _packed(program: Program, place: Place) -> str:
    """What the client packs into a slot: ``x[3]``, ``x[0] + 1i * x[1]``, ``0 (x[7] is beyond x)``."""
    name, member, slot = place
    family = program.families[name]
    if _zero(program, place) and (beyond := _beyond(program, place)):
        return f"0 ({beyond})"
    if isinstance(family.body, Read):
        return _element(program, family.body, {**program.slot_env(slot), **family.env(member)})
    try:
        named = Named(program)
        terms = named.member(name, tuple(IntConst(i) for i in member), IntVar(SLOT))
        if numbered(named):
            return Describer(named, terms).holdings([slot])[0].text
    except (GaveUp, RecursionError):
        # too long to write out
        pass
    return "packed by the client"


__all__ = ["Step", "reads", "trace", "trace_of"]
