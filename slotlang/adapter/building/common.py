"""One set of parameters for several programs: precise enough for each, and within the bounds of each.

Of those that serve all programs, the ones are taken whose requests send the fewest bytes and take hardly longer than
the fastest, as ``planning.choose`` does for one program. A request is a whole one of every group, the client's part
included.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
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
from slotlang.planning.choose import SLOWER, choose
from slotlang.planning.given_parameters import statement_of
from slotlang.planning.parameters import Parameters
from slotlang.planning.plan import Plan
from slotlang.planning.planner import tried
from slotlang.planning.target import Target
from slotlang.planning.traffic import REQUESTS
from slotlang.refusals import Unreachable
from slotlang.source import Source
from slotlang.syntax.formatter import format_program
from slotlang.syntax.parser import parse

STRICTER = (1.0, 1.25, 1.6, 2.0, 3.0)
"""How many times as precise as was asked for the parameters are that are tried for all programs."""


@dataclass(frozen=True)
class Wanted:
    """A program that parameters are looked for: its layout, and the sizes of its weights. ``source``: its text with
    bounds, formatted. ``groups``: how many inputs it serves, each with a request of its own."""

    layout: Layout
    sizes: Sizes = field(repr=False)
    name: str
    source: str = field(repr=False)
    groups: int = 1

    @classmethod
    def of(cls, layout: Layout, sizes: Sizes, name: str, groups: int = 1) -> Wanted:
        """With its text."""
        plain = Source(name, format_program(parse(Source(name, text(layout, name)))))
        return cls(layout, sizes, name, with_bound_statements(parse(plain), sizes.bounds).source.text, groups)

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
    bounds; of those that are tried, the ones with the ``least`` requests.

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
        serving: list[Requests] = []
        for p in candidates:
            progress("one set of parameters for all")
            plans = _plans(p, wanted, programs, precision)
            if plans is not None:
                serving.append(Requests.of(p, plans, [one.groups for one in wanted], profile))
        if serving:
            return least(serving).parameters
        if not candidates:
            break
    return _none(wanted, precision)


@dataclass(frozen=True, slots=True)
class Requests:
    """What requests of every group take under parameters, together. ``seconds``: predicted, of client and server.
    ``bytes``: up and down, with these requests' share of the keys, which all programs have in common."""

    parameters: Parameters
    seconds: float
    bytes: float

    @classmethod
    def of(cls, p: Parameters, plans: Sequence[Plan], groups: Sequence[int], profile: Profile) -> Requests:
        """Those of plans under the same parameters, each of which serves as many ``groups``."""
        pairs = list(zip(plans, groups, strict=True))
        seconds = sum(count * plan.predicted(profile).request for plan, count in pairs)
        sent = sum(count * (plan.upload_bytes + plan.download_bytes) for plan, count in pairs)
        return cls(p, seconds, sent + p.sent_keys_bytes(_common_keys(plans)) / REQUESTS)


def least(serving: Sequence[Requests]) -> Requests:
    """Those with the fewest bytes, of the ones that take at most ``SLOWER`` times as long as the fastest."""
    most = SLOWER * min(one.seconds for one in serving)
    return min(
        (one for one in serving if one.seconds <= most), key=lambda one: (one.bytes, one.seconds, one.parameters.primes)
    )


def _common_keys(plans: Sequence[Plan]) -> Mapping[int, int]:
    """How many keys there are from each level on, where a key serves all programs that use it."""
    levels: dict[int | str, int] = {}
    for plan in plans:
        found = plan.key_levels
        single = [("conjugation", found.conjugation), ("relinearization", found.relinearization)]
        own: list[tuple[int | str, int | None]] = [*found.steps.items(), *single]
        for key, level in own:
            if level is not None:
                levels[key] = min(level, levels.get(key, level))
    return Counter(levels.values())


def _plans(p: Parameters, wanted: Sequence[Wanted], programs: Sequence[Program], precision: float) -> list[Plan] | None:
    """Every program's plan with these parameters; None where one of them is not precise enough, or does not hold its
    bounds."""
    plans = []
    for one, program in zip(wanted, programs, strict=True):
        try:
            plan = tried(program, p, one.target(precision))
        except SlotError:
            return None
        if plan is None or plan.promise.relative_error > precision or plan.range.status != "proved":
            return None
        plans.append(plan)
    return plans


def _none(wanted: Sequence[Wanted], precision: float) -> Unreachable:
    degree = 2 * wanted[0].layout.slots
    message = f"no 128-bit parameters of degree {degree} have a relative error of {precision:.1e} for all programs"
    return Unreachable(Diagnostic("SL451", message), inf)
