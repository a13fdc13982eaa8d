"""Bounds that parameters do not hold: which of them costs most, and how large it could be."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from fractions import Fraction
from math import ceil, floor, inf, log2, log10, sqrt

from slotlang.diagnostics import SlotError, error
from slotlang.meaning.bounds import MAX_LIMIT_BITS
from slotlang.meaning.program import Bound, Program
from slotlang.planning.limits import DEFAULT_NORM
from slotlang.planning.plan import Plan
from slotlang.planning.ranges import TOLERANCE, bounded_messages, limit_texts
from slotlang.refusals import GaveUp
from slotlang_runtime.limits import written
from slotlang_runtime.messages import LEAST_ROOM

LOWERED_BITS = (16, 64, 256)
"""By how many bits bounds are lowered when the largest that can be had are looked for. Where one bound is lowered much
more than others, the noise of these may need more bits than messages do."""

NEAR = 0.04
"""By how many bits a bound may lie below the largest that can be had."""

MOST_NODES = 20_000
"""Of larger graphs it is not told how large the bounds could be, which takes some ten evaluations."""


def typical(program: Program, bound: Bound) -> float:
    """What a bound would be about if nobody wrote it: that of the default limit, and of weights of unit variance."""
    decl = program.tensors.get(bound.name)
    if decl is None:
        return 1.0
    lengths = 1 if bound.axis is None else decl.shape[bound.axis]
    return (DEFAULT_NORM if decl.kind == "input" else 1 / sqrt(decl.shape[-1])) * sqrt(lengths)


def costliest(program: Program) -> Bound | None:
    """The bound that lies highest above what is typical; None without bounds."""
    return max(program.bounds, key=lambda b: _log2(b.limit) - log2(typical(program, b)), default=None)


def _log2(value: Fraction) -> float:
    return log2(value.numerator) - log2(value.denominator)


def lowered(program: Program, names: Collection[str], bits: float) -> Program:
    """The program with all bounds of these tensors and scalars lowered by this many bits, to three digits."""
    bounds = (
        replace(b, limit=_below(_log2(b.limit) - bits)) if b.name in names and bits else b for b in program.bounds
    )
    return replace(program, bounds=tuple(bounds))


def _below(power: float) -> Fraction:
    """2^power, rounded down to three digits."""
    digits = floor(power * log10(2)) - 2
    leading = floor(2.0 ** (power - digits / log10(2)))
    unit: Fraction = Fraction(10) ** digits
    return Fraction(leading) * unit


def largest(program: Program, bound: Bound, missing: float, fits: Callable[[Program], bool]) -> str:
    """The largest bounds that fit, as text: of what ``bound`` is about, or else of everything, lowered by as many bits;
    empty where none fit. ``missing``: by how many bits the bounds fail, as far as that is known."""
    tried = [max(missing, 0.0) + 0.02, *(bits for bits in LOWERED_BITS if bits > missing)]
    for names in ({bound.name}, {b.name for b in program.bounds}):
        high = next((bits for bits in tried if fits(lowered(program, names, bits))), None)
        if high is not None:
            break
    else:
        return ""
    low = 0.0
    while high - low > NEAR:
        middle = (low + high) / 2
        if fits(lowered(program, names, middle)):
            high = middle
        else:
            low = middle
    found = [b for b in lowered(program, names, high).bounds if b.name in names]
    if any(b.limit < Fraction(1, 1 << MAX_LIMIT_BITS) for b in found):
        # what is nearly 0 needs no masks: no bound that can be written fits
        return ""
    return " and ".join(f"{b.written.rpartition('<=')[0].strip()} <= {written(float(b.limit), 3)}" for b in found)


def refused(plan: Plan, others: Callable[[Program], bool] | None = None, asked: float = 0.0) -> SlotError:
    """SL411: parameters do not hold the bounds. ``others``: whether some parameters hold those of a program, at a
    relative error of ``asked``."""
    program, found = plan.program, plan.range
    missing = inf if found.room is None else LEAST_ROOM - found.room
    # masks get smaller with what they hide
    graph, hiding = plan.graph, replace(plan.hiding, held={})
    own = graph.schedule.program

    def fits(changed: Program) -> bool:
        try:
            messages = bounded_messages(graph, hiding, plan.parameters, replace(own, bounds=changed.bounds))
        except GaveUp:
            return False
        return messages.room >= LEAST_ROOM + TOLERANCE

    bound = costliest(program)
    notes = [f"for {', '.join([*found.limits, *found.assumptions])}", plan.used]
    hint = "smaller scales, more primes, or bounds of the inputs, which are defaults here"
    if bound is not None:
        hint = "lower the bound that costs most, or choose parameters with more room"
        small = len(graph.nodes) <= MOST_NODES
        text = largest(program, bound, missing if missing < inf else 1.0, fits) if small else ""
        notes += [f"with these parameters {text} fits"] if text else []
        if others is not None and others(program):
            hint = f"--precision {asked:g} finds parameters that hold these bounds"
        elif others is not None and small:
            text = largest(program, bound, max(missing, 8.0) if missing < inf else 8.0, others)
            notes += [f"some parameters hold {text}, at a relative error of {asked:g}"] if text else []
    short = "more bits than there are" if missing == inf else f"{_up(missing)} bits more than the modulus has"
    return error(
        "SL411",
        f"the bounds of '{program.name}' do not fit its parameters: {found.where} could need {short}",
        program.span if bound is None else bound.span,
        label="" if bound is None else "costs most",
        notes=notes,
        hint=hint,
    )


def _up(bits: float) -> str:
    return f"{ceil(bits * 10 - 1e-6) / 10:.1f}"


def unheld(
    program: Program, holds: Callable[[Program], bool], what: str, more: Sequence[str] = (), hint: str = ""
) -> SlotError | None:
    """SL412: no parameters hold the bounds; None where that is not because of the bounds. ``what``: which parameters;
    ``more``: further notes, as what can be had with these bounds."""
    bound = costliest(program)
    text = "" if bound is None else largest(program, bound, 4.0, holds)
    if bound is None or not text:
        return None
    defaults = ", ".join(limit for limit in limit_texts(program) if limit.endswith("(the default)"))
    notes = [f"with {defaults}" if defaults else "", f"the largest that can be had: {text}", *more]
    return error(
        "SL412",
        f"no {what} hold the bounds of '{program.name}'",
        bound.span,
        label="costs most",
        notes=[note for note in notes if note],
        hint=hint or "lower the bound, and scale down what it is about",
    )
