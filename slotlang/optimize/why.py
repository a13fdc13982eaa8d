"""Why a program got no cheaper, as far as bounds and the search can tell."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from math import inf

from slotlang.cost.theorems import Bound
from slotlang.optimize.rewriting import Subject, tidied
from slotlang.optimize.rules import BY_NAME, Rule
from slotlang.optimize.search import LEAST_GAIN, Search, Statements
from slotlang_runtime.amounts import count_of, field_count


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
        count = field_count(bound.at_least + bound.gap, "products" if of == "plain_products" else of)
        if not bound.gap:
            texts.append(f"{count}, the {'proved' if bound.proved else 'conjectured'} bound")
        elif bound.at_least:
            texts.append(f"{count}, proved to be at least {bound.at_least}")
    return [text for text in texts if not text.startswith("0 ")]


@dataclass
class _Rest:
    """Rewrites that were not taken. ``impossible``: without a meaning or a schedule. ``refuted``, ``undecided``:
    cheaper and not proved. ``same``: of the same cost, within ``LEAST_GAIN``. ``least``: the
    smallest objective of those that cost more, over the best program's."""

    impossible: int = 0
    possible: int = 0
    refuted: int = 0
    undecided: int = 0
    same: int = 0
    least: float | None = None

    @classmethod
    def of(cls, search: Search, rules: Collection[str]) -> _Rest:
        """The rewrites of these rules around the best program."""
        rest = cls()
        for statements, rule in search.around.items():
            if rule in rules and statements != search.best.program.statements:
                rest._add(search, statements)
        return rest

    def _add(self, search: Search, statements: Statements) -> None:
        step, best = search.seen[statements], search.best.score[0]
        if step is None:
            self.impossible += 1
            return
        self.possible += 1
        change = step.score[0] - best
        if statements in search.refused:
            self.refuted += search.refused[statements] == "refuted"
            self.undecided += search.refused[statements] not in ("refuted", None)
        elif abs(change) <= LEAST_GAIN * best:
            self.same += 1
        elif change > 0:
            ratio = step.score[0] / best if best else inf
            self.least = ratio if self.least is None else min(self.least, ratio)

    def text(self) -> str:
        """What came of them."""
        parts = []
        if self.refuted:
            parts.append(f"{self.refuted} cheaper and refuted")
        if self.undecided:
            parts.append(f"{self.undecided} cheaper and undecided")
        if self.same:
            parts.append(f"{self.same} of the same cost within {LEAST_GAIN:.0%}")
        if self.least is not None:
            more = f"{self.least - 1:.0%} more" if self.least < 10 else f"{self.least:.0f} times as much"
            parts.append(f"the cheapest of the others costs {more}" if parts else f"the cheapest costs {more}")
        many = count_of(self.possible, "rewrite")
        return f"{many}: {', '.join(parts)}" if parts else many


ENDED = "the search ended before all was tried"


def _tried(search: Search) -> list[str]:
    rest = _Rest.of(search, [rule.name for rule in BY_NAME.values() if not rule.guesses])
    ended = search.interrupted or not search.exhausted
    if not rest.possible:
        return [ENDED if ended else "no rewrite applies"]
    return [f"{rest.text()}, {ENDED}" if ended else rest.text()]


def why_not(search: Search, subject: Subject) -> dict[str, str | None]:
    """By rule, in the order in which they are tried: why it was not taken; None where it was. ``subject``: the best
    program."""
    taken = {change.rule for change in search.best.changes}
    return {name: None if name in taken else _why_not(search, subject, rule) for name, rule in BY_NAME.items()}


def _why_not(search: Search, subject: Subject, rule: Rule) -> str:
    rest = _Rest.of(search, [rule.name])
    if rest.possible:
        return rest.text()
    if rest.impossible:
        many = count_of(rest.impossible, "rewrite")
        return f"{many} without a meaning or a schedule"
    if any(tidied(found.program).statements != subject.program.statements for found in rule.propose(subject)):
        return ENDED if search.interrupted or not search.exhausted else "what it makes is not proved"
    return rule.why_not(subject)
