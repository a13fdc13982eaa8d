"""Why a program got no cheaper, as far as bounds and the search can tell."""

from __future__ import annotations

from collections.abc import Iterable

from slotlang.cost.theorems import Bound
from slotlang.optimize.search import LEAST_GAIN, Search


def why(search: Search, bounds: Iterable[Bound]) -> str:
    """For a search that took nothing: how near the program's counts are to their bounds, and what came of the
    rewrites.

    ``bounds`` are those of the program (``Cost.bounds``).
    """
    return "; ".join([*_bounded(bounds), *_tried(search)])


def _bounded(bounds: Iterable[Bound]) -> list[str]:
    """Counts beside the fewest that a schedule of the program's class can have: the largest proved bound, and what is
    conjectured where that is met and the proved one is not."""
    best: dict[str, Bound] = {}
    for bound in sorted(bounds, key=lambda b: b.at_least):
        if bound.proved or bound.gap == 0:
            known = best.get(bound.of)
            if known is None or known.gap:
                best[bound.of] = bound
    texts = []
    for of, bound in best.items():
        count = f"{bound.at_least + bound.gap} {of.replace('_', ' ').replace('plain products', 'products')}"
        if not bound.gap:
            texts.append(f"{count}, the {'proved' if bound.proved else 'conjectured'} bound")
        elif bound.at_least:
            texts.append(f"{count}, proved to be at least {bound.at_least}")
    return [text for text in texts if not text.startswith("0 ")]


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
    if rest.same:
        parts.append(f"{rest.same} of the same cost within {LEAST_GAIN:.0%}")
    if rest.least is not None:
        more = f"{rest.least - 1:.0%} more" if rest.least < 10 else f"{rest.least:.0f} times as much"
        parts.append(f"the cheapest of the others costs {more}" if parts else f"the cheapest costs {more}")
    if search.interrupted or not search.exhausted:
        parts.append("the search ended before all was tried")
    return [f"{many}: {', '.join(parts)}" if parts else many]
