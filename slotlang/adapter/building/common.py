"""One set of parameters for several programs: precise enough for each, and within the bounds of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import inf

from slotlang.adapter.building.layout import Layout
from slotlang.adapter.building.sizes import Sizes
from slotlang.adapter.building.text import text
from slotlang.cost.profile import Profile
from slotlang.diagnostics import Diagnostic, SlotError
from slotlang.meaning.bind import bind
from slotlang.meaning.outside_bounds import with_bound_statements
from slotlang.meaning.program import Program
from slotlang.planning.choose import choose
from slotlang.planning.given_parameters import statement_of
from slotlang.planning.parameters import Parameters
from slotlang.planning.planner import tried
from slotlang.planning.target import Target
from slotlang.refusals import Unreachable
from slotlang.source import Source
from slotlang.syntax.formatter import format_program
from slotlang.syntax.parser import parse

STRICTER = (1.0, 1.25, 1.6, 2.0, 3.0)
"""How many times as precise as was asked for the parameters are that are tried for all programs."""


@dataclass(frozen=True)
class Wanted:
    """A program that parameters are looked for: its layout, and the sizes of its weights. ``source``: its text with
    bounds, formatted."""

    layout: Layout
    sizes: Sizes = field(repr=False)
    name: str
    source: str = field(repr=False)

    @classmethod
    def of(cls, layout: Layout, sizes: Sizes, name: str) -> Wanted:
        """With its text."""
        plain = Source(name, format_program(parse(Source(name, text(layout, name)))))
        return cls(layout, sizes, name, with_bound_statements(parse(plain), sizes.bounds).source.text)

    def target(self, precision: float) -> Target:
        """What the program is planned for."""
        return Target(precision=precision, data=self.sizes.data)

    def program(self, parameters: Parameters | None = None) -> Program:
        """The program, with a statement of parameters where they are given."""
        statement = "" if parameters is None else f"{statement_of(parameters)}\n"
        return bind(parse(Source(self.name, self.source + statement)))


def common(
    wanted: Sequence[Wanted],
    precision: float,
    profile: Profile,
    progress: Callable[[str], None] = lambda what: None,
) -> Parameters | Unreachable:
    """Parameters of the layouts' ring with which every program has the precision, by the predicted error, and holds its
    bounds; of those that are tried, the ones with the fewest bits.

    The parameters of each program are tried for all programs. Where none of them serves all, each program's are
    searched again for a higher precision.
    """
    programs = [one.program() for one in wanted]
    degree = 2 * wanted[0].layout.slots
    best = 0.0
    for stricter in STRICTER:
        candidates: dict[Parameters, None] = {}
        for one, program in zip(wanted, programs, strict=True):
            progress(f"parameters for {one.layout.shape.text}")
            found = choose(program, one.target(precision / stricter), profile=profile)
            if isinstance(found, Unreachable):
                return replace(found, best=max(best, found.best))
            best = max(best, found.error)
            if found.plan.parameters.degree == degree:
                candidates[replace(found.plan.parameters, keys=())] = None
        for p in sorted(candidates, key=lambda p: (len(p.primes), sum(p.primes), p.primes)):
            progress("one set of parameters for all")
            if all(_serves(p, program, one.target(precision)) for one, program in zip(wanted, programs, strict=True)):
                return p
        if not candidates:
            break
    return _none(wanted, precision)


def _serves(p: Parameters, program: Program, target: Target) -> bool:
    """Whether a program has the target's precision, which must be given, with these parameters, and its range
    theorem."""
    assert target.precision is not None
    try:
        made = tried(program, p, target)
    except SlotError:
        return False
    return made is not None and made.promise.relative_error <= target.precision and made.range.status == "proved"


def _none(wanted: Sequence[Wanted], precision: float) -> Unreachable:
    degree = 2 * wanted[0].layout.slots
    message = f"no 128-bit parameters of degree {degree} have a relative error of {precision:.1e} for all programs"
    return Unreachable(Diagnostic("SL451", message), inf)
