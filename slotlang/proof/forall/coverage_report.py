"""Which sizes a proof for all sizes covers, in the program's own names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from slotlang.meaning.integers import Cmp, IntConst, IntOp, IntSize
from slotlang.proof.forall.condition_kinds import Conditions, Defined, Divides, Positive, PowerOfTwo, Required
from slotlang.proof.forall.size_solver import Symbols


@dataclass(frozen=True)
class Covered:
    """Exactly the sizes that a verdict is about: those for which every text of ``conditions`` is true.

    ``sizes`` are free, ``fixed`` have the one value given. In the conditions ``/`` divides without remainder.
    ``symbols`` gives the free sizes in independent integers, a map for each family of sizes. ``checked`` are the
    concrete sizes at which the polyhedral method was asked too; ``refuted_at`` those of a counterexample.
    """

    sizes: tuple[str, ...]
    fixed: Mapping[str, int]
    conditions: tuple[str, ...]
    symbols: tuple[Mapping[str, str], ...] = ()
    checked: tuple[Mapping[str, int], ...] = field(default=())
    refuted_at: Mapping[str, int] | None = None

    def to_json(self) -> dict[str, object]:
        """Plain data."""
        return {
            "sizes": list(self.sizes),
            "fixed": dict(self.fixed),
            "conditions": list(self.conditions),
            "symbols": [dict(s) for s in self.symbols],
            "checked": [dict(c) for c in self.checked],
            "refuted_at": None if self.refuted_at is None else dict(self.refuted_at),
        }

    def lines(self, proved: bool) -> list[str]:
        """For a person."""
        if self.refuted_at is not None:
            return ["at " + values_text(self.refuted_at)]
        found = [f"{'for' if proved else 'asked for'} every {', '.join(self.sizes)} with"]
        found += [f"  {text}" for text in self.conditions]
        if self.fixed:
            found.append(f"at {values_text(self.fixed)}")
        if len(self.symbols) == 1:
            forms = [f"{name} = {text}" for name, text in self.symbols[0].items() if name != text]
            if forms:
                found.append(f"that is, {', '.join(forms)}")
        elif self.symbols:
            forms = [values_text({n: t for n, t in family.items() if n != t}) for family in self.symbols]
            found.append(f"that is, {'; '.join(forms)}")
        if self.checked:
            found.append("also proved by itself at " + "; ".join(values_text(c) for c in self.checked))
        return found


def values_text(values: Mapping[str, object]) -> str:
    """``d = 16, r = 4``."""
    return ", ".join(f"{name} = {value}" for name, value in values.items())


def condition_texts(conditions: Conditions, families: Sequence[Symbols], fixed: Mapping[str, int]) -> tuple[str, ...]:
    """The conditions as texts, without those that the others imply."""
    found: list[str] = []
    least: dict[int, list[str]] = {0: [], 1: []}
    positive = {c.value.name for c in conditions.all if isinstance(c, Positive) and isinstance(c.value, IntSize)}
    defined = {c.name for c in conditions.all if isinstance(c, Defined)}
    above = _lower_bounds(conditions)
    for name in conditions.parameters:
        if name not in defined and above.get(name, -1) < int(name in positive):
            least[int(name in positive)].append(name)
    found += [f"{', '.join(names)} >= {bound}" for bound, names in sorted(least.items(), reverse=True) if names]
    quotients = {c.value for c in conditions.all if isinstance(c, Defined)}
    whole = {
        (c.condition.left.left, c.condition.left.right)
        for c in conditions.all
        if isinstance(c, Required)
        and isinstance(c.condition, Cmp)
        and c.condition.op == "=="
        and isinstance(c.condition.left, IntOp)
        and c.condition.left.op == "%"
        and c.condition.right == IntConst(0)
    }
    for condition in conditions.all:
        match condition:
            case Defined(name, _, text) if name not in fixed:
                found.append(text)
            case PowerOfTwo(text=text):
                found.append(text)
            case Divides(a, b, text) if IntOp("//", a, b) not in quotients and (a, b) not in whole:
                found.append(text)
            case Positive(IntSize(name), _) if name in least[1] or above.get(name, 0) >= 1:
                pass
            case Required() if (bounded := _bounded(condition)) and bounded[1] < above[bounded[0]]:
                pass  # implied by a larger bound
            case Positive(text=text):
                if not families or not all(_at_least_one(s, condition) for s in families):
                    found.append(text)
            case Required(_, text, written):
                if written or not families or not all(condition in s.implied for s in families):
                    found.append(text)
            case Defined() | Divides() | Positive():
                pass  # said above, or by another condition
    return tuple(dict.fromkeys(found))


def _bounded(condition: Required) -> tuple[str, int] | None:
    """``n`` and 2 of a condition that says that n >= 2."""
    match condition.condition:
        case Cmp(">=", IntSize(name), IntConst(bound)) | Cmp("<=", IntConst(bound), IntSize(name)):
            return name, bound
        case Cmp(">", IntSize(name), IntConst(bound)) | Cmp("<", IntConst(bound), IntSize(name)):
            return name, bound + 1
        case _:
            return None


def _lower_bounds(conditions: Conditions) -> dict[str, int]:
    """The largest number that each size is at least, where conditions of its own say so."""
    found: dict[str, int] = {}
    for condition in conditions.all:
        bounded = _bounded(condition) if isinstance(condition, Required) else None
        if bounded is not None:
            found[bounded[0]] = max(bounded[1], found.get(bounded[0], 0))
    return found


def _at_least_one(symbols: Symbols, condition: Positive) -> bool:
    p = symbols.value(condition.value)
    return p is not None and bool(symbols.bare().nonnegative(p - 1))
