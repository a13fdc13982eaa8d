"""Why a program got no cheaper, as far as bounds and the search can tell."""

from __future__ import annotations

from collections.abc import Iterable

from slotlang.cost.theorems import Bound
from slotlang.optimize.search import LEAST_GAIN, Search


def why(search: Search, bounds: Iterable[Bound]) -> str:
    """For a search that took nothing: which of the program's counts are at a bound, and what came of the rewrites.

    ``bounds`` are those of the program (``Cost.bounds``).
    """
    return "; ".join([*_met(bounds), *_tried(search)])


def _met(bounds: Iterable[Bound]) -> list[str]:
    """Counts that no schedule of the program's class can have smaller, or so it is conjectured."""
    found: dict[str, str] = {}
    for bound in bounds:
        if bound.gap == 0 and bound.at_least and (bound.proved or bound.of not in found):
            of = bound.of.replace("_", " ").replace("plain products", "products")
            kind = "proved" if bound.proved else "conjectured"
            found[bound.of] = f"{bound.at_least} {of}, the {kind} bound"
    return list(found.values())


def _tried(search: Search) -> list[str]:
    rest = search.rest
    if not rest.looked_at:
        return ["no rewrite applies"]
    many = "1 rewrite" if rest.looked_at == 1 else f"{rest.looked_at} rewrites"
    parts = []
    if rest.refuted:
        parts.append(f"{rest.refuted} cheaper and refuted")
    if rest.undecided:
        parts.append(f"{rest.undecided} cheaper and undecided")
    if rest.least is not None:
        others = "the cheapest of the others" if parts else "the cheapest"
        more = rest.least - 1
        if abs(more) <= LEAST_GAIN:
            parts.append(f"{others} costs the same within {LEAST_GAIN:.0%}")
        else:
            parts.append(
                f"{others} costs {more:.0%} more" if more < 9 else f"{others} costs {rest.least:.0f} times as much"
            )
    if search.interrupted or not search.exhausted:
        parts.append("the search ended before all was tried")
    return [f"{many}: {', '.join(parts)}" if parts else many]
