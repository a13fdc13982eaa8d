"""The range theorem: for all inputs and weights within the bounds no message wraps, noise and masks included.

A message wraps where a coefficient outgrows half of the modulus of the moment at which it is read. The theorem leaves
the upper half empty, where the client's tripwire looks, so each message has one bit of room at least.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isfinite
from typing import TYPE_CHECKING, Literal, TypeAlias

from slotlang.meaning.program import Program
from slotlang.planning.declared import Declared, unbounded
from slotlang.planning.limits import limits
from slotlang.planning.messages import Messages, levels_of, messages, nominal_levels
from slotlang.planning.parameters import Parameters
from slotlang.refusals import GaveUp
from slotlang_runtime.messages import LEAST_ROOM

if TYPE_CHECKING:
    from slotlang.graph.graph import Graph
    from slotlang.planning.hiding import Hiding

Status: TypeAlias = Literal["proved", "conditional", "refuted"]

TOLERANCE = 1e-6
"""Bits by which the room must exceed the least one: real weights within their bounds give a bound that differs from
this one by rounding, and must be accepted."""

MARGIN = 0.05
"""Bits of modulus that noise may take where parameters are searched; with these the theorem is proved, with noise."""


@dataclass(frozen=True)
class Range:
    """The range theorem of a plan.

    ``proved``: for all inputs, weights and scalars within ``limits`` and ``assumptions``. ``conditional``: for all
    inputs within ``limits``, and the weights that ``Weights.encode`` accepts, which it checks; ``reason`` says why no
    more is proved. ``refuted``: the bounds are not known to fit the parameters. ``room``: bits of room of the tightest
    message, at ``where``; None where it is not known. ``limits`` and ``assumptions`` as a program writes them.
    ``guarded``: whether weights are checked when they are encoded.
    """

    status: Status
    limits: tuple[str, ...]
    assumptions: tuple[str, ...]
    room: float | None = None
    where: str = ""
    reason: str = ""
    guarded: bool = True

    @property
    def proved(self) -> bool:
        """Whether weights within the bounds need no check."""
        return self.status == "proved"

    def unless_proved(self, verdict: str) -> Range:
        """The theorem for a program with this verdict: what results are proved to be bounds them."""
        return self if verdict == "proved" else self.given_up(f"the program is {verdict}")

    def given_up(self, reason: str) -> Range:
        """No more than that weights are checked when they are encoded."""
        return replace(self, status="conditional", room=None, where="", reason=reason)

    def standalone(self, *, whole: bool) -> Range:
        """The theorem for a standalone module, which does not check weights. ``whole``: it sends whole ciphertexts
        where others send the half that is read, and nothing bounds the part that is not read."""
        found = replace(self, guarded=False)
        return found.given_up("it sends parts that are not read") if whole and self.proved else found

    def of_weights(self, room: float | None, where: str) -> Range:
        """The theorem for given weights, which were accepted when they were encoded: exact gains in place of bounds."""
        return Range("proved", self.limits, ("these weights",), room, where)

    def line(self) -> str:
        """The theorem in one line."""
        inputs = ", ".join(self.limits)
        if self.status == "conditional":
            checked = (
                "weights are checked when they are encoded" if self.guarded else "a standalone module checks no weights"
            )
            return f"range: for {inputs}; {checked} ({self.reason})"
        everything = ", ".join([*self.limits, *self.assumptions])
        if self.room is None:
            return f"range: {self.status} for {everything}"
        return f"range: {self.status} for {everything}: {self.room:.1f} bits of room at {self.where}"

    def to_json(self) -> dict[str, object]:
        """Plain data; keys as in ``cost --json``."""
        return {
            "status": self.status,
            "room_bits": self.room,
            "where": self.where or None,
            "limits": list(self.limits),
            "assumptions": list(self.assumptions),
            "reason": self.reason,
        }


def limit_texts(program: Program) -> tuple[str, ...]:
    """The limits of the inputs: bounds as the program writes them, and the defaults."""
    found = []
    for name, limit in limits(program).items():
        own = [bound.text for bound in program.bounds if bound.name == name]
        found += own or [f"{limit.text(name, len(program.tensors[name].shape))} (the default)"]
    return tuple(found)


def assumption_texts(program: Program) -> tuple[str, ...]:
    """The bounds of weights and scalars, as the program writes them."""
    return tuple(
        bound.text
        for bound in program.bounds
        if bound.name in program.scalars or program.tensors[bound.name].kind == "weight"
    )


def nominal_messages(graph: Graph, hiding: Hiding) -> Messages | None:
    """The messages whatever the parameters: what they need of them, and what masks have to hide; None where some weight
    is not bounded, or the graph is too large."""
    program = graph.schedule.program
    if unbounded(program):
        return None
    try:
        return messages(graph, hiding, Declared.of(program), nominal_levels(graph.schedule), 2 * program.slots)
    except GaveUp:
        return None


def bounded_messages(
    graph: Graph, hiding: Hiding, parameters: Parameters, program: Program, *, proved: bool = True
) -> Messages:
    """The messages within what ``program`` bounds, which is the graph's or has other bounds. Raises ``GaveUp``."""
    levels = levels_of(parameters, tuple(graph.schedule.drops))
    return messages(graph, hiding, Declared.of(program, proved=proved), levels, parameters.degree)


def range_of(graph: Graph, hiding: Hiding, parameters: Parameters, *, proved: bool = True) -> Range:
    """The range theorem of a graph under parameters. ``proved``: results are what the program says, which bounds them
    better than the operations that lead to them."""
    program = graph.schedule.program
    inputs, weights = limit_texts(program), assumption_texts(program)
    free = unbounded(program)
    if free:
        names = ", ".join(free[:3]) + (", ..." if len(free) > 3 else "")
        return Range("conditional", inputs, weights, reason=f"no bound of {names}")
    try:
        found = bounded_messages(graph, hiding, parameters, program, proved=proved)
    except GaveUp as problem:
        return Range("conditional", inputs, weights, reason=problem.reason)
    fits = found.room >= LEAST_ROOM + TOLERANCE
    room = found.room if isfinite(found.room) else None
    return Range("proved" if fits else "refuted", inputs, weights, room, found.where)
