"""Masks that the modulus has no room for: what would do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from slotlang.diagnostics import SlotError
from slotlang.meaning.program import Program
from slotlang.planning.hiding import no_room, without_room
from slotlang.planning.limits import assumed_values
from slotlang.planning.parameters import Parameters
from slotlang.planning.plan import Draft
from slotlang.planning.range_refusal import MOST_NODES, costliest, largest
from slotlang.planning.ranges import bounded_messages
from slotlang_runtime.messages import mask_bits


def masks_refused(
    draft: Draft, parameters: Parameters, searched: Callable[[Program], bool], asked: float
) -> SlotError | None:
    """SL407 with what would do; None where the masks have room. ``searched``: whether some parameters hold a program,
    masks included, at a relative error of ``asked``."""
    hidden, graph = draft.hiding, draft.graph
    name = without_room(hidden.bits, graph, parameters)
    if not name:
        return None
    program, own = draft.program, graph.schedule.program

    def fits(changed: Program) -> bool:
        if hidden.assumed:
            smaller = assumed_values(changed) / assumed_values(program)
            held: Mapping[str, float] = {name: size * smaller for name, size in hidden.held.items()}
        else:
            bounds = replace(own, bounds=changed.bounds)
            found = bounded_messages(graph, replace(hidden, held={}), parameters, bounds)
            held = hidden.holding(found.hidden, found.whole)
        return not without_room({name: mask_bits(size) for name, size in held.items()}, graph, parameters)

    notes, hint = [parameters.text()], ""
    bound = costliest(program)
    if bound is not None and len(graph.nodes) <= MOST_NODES:
        text = largest(program, bound, 1.0, fits)
        notes += [f"with these parameters {text} has room"] if text else []
    if searched(program):
        hint = f"--precision {asked:g} finds parameters with room for them; --hide none returns everything as it is"
    return no_room(hidden, hidden.bits[name], graph, parameters, name, notes, hint)
