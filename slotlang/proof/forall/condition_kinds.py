"""What a program asks of its sizes: the kinds of conditions, and whether values meet them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from slotlang.meaning.integers import And, Cmp, Cond, Int, IntSize, Not, Or, evaluate, holds, parts
from slotlang.source import Span

NUMBER = "is used as a number"
WRITTEN_OUT = "says which members or terms are written out"


@dataclass(frozen=True, slots=True)
class Defined:
    """A ``let``, or a size of the header that follows from others by its default."""

    name: str
    value: Int
    text: str


@dataclass(frozen=True, slots=True)
class Divides:
    """``dividend / divisor`` leaves nothing. Divisors are positive by a condition of their own."""

    dividend: Int
    divisor: Int
    text: str


@dataclass(frozen=True, slots=True)
class Positive:
    """``value >= 1``: an extent, a divisor."""

    value: Int
    text: str


@dataclass(frozen=True, slots=True)
class Required:
    """A ``require``, or what else must hold of sizes. ``written`` when the program says it in these words."""

    condition: Cond
    text: str
    written: bool = False


@dataclass(frozen=True, slots=True)
class PowerOfTwo:
    """``value`` is a power of two, so that its logarithm is whole."""

    value: Int
    text: str


Condition: TypeAlias = Defined | Divides | Positive | Required | PowerOfTwo


@dataclass
class Conditions:
    """The conditions of a program in the order of its text.

    ``parameters`` are the sizes of its header. ``valued`` are sizes whose value enters the program as a number and not
    only by way of indices and extents, with the places and what the number is there; so are sizes that a choice, or
    what is written out, depends on. ``undecided`` says why nothing can be said for all sizes, where that shows in the
    text.
    """

    parameters: tuple[str, ...] = ()
    all: list[Condition] = field(default_factory=list)
    valued: list[tuple[str, Span, str]] = field(default_factory=list)
    undecided: str = ""

    def names(self) -> set[str]:
        """Every size that some condition or definition mentions."""
        found: set[str] = set()
        for condition in self.all:
            match condition:
                case Defined(_, value) | Positive(value) | PowerOfTwo(value):
                    found |= sizes_in(value)
                case Divides(a, b):
                    found |= sizes_in(a) | sizes_in(b)
                case Required(cond):
                    found |= sizes_in(cond)
        return found | {name for name, _, _ in self.valued}

    def hold(self, sizes: Mapping[str, int]) -> bool:
        """Whether values of the header's sizes meet all conditions."""
        known = dict(sizes)
        if any(value < 0 for value in known.values()):
            return False
        for condition in self.all:
            match condition:
                case Defined(name, value):
                    known[name] = int(evaluate(value, known, {}))
                case Divides(a, b):
                    if evaluate(a, known, {}) % evaluate(b, known, {}):
                        return False
                case Positive(value):
                    if evaluate(value, known, {}) < 1:
                        return False
                case Required(cond):
                    if not holds(cond, known, {}):
                        return False
                case PowerOfTwo(value):
                    number = int(evaluate(value, known, {}))
                    if number < 1 or number & (number - 1):
                        return False
        return True


def sizes_in(e: Int | Cond) -> set[str]:
    """Names of the sizes in an expression or condition."""
    return {e.name} if isinstance(e, IntSize) else set[str]().union(*map(sizes_in, parts(e)))


def integer_parts(cond: Cond) -> Iterator[Cmp]:
    """The comparisons that a condition is the conjunction of, as far as it is one."""
    match cond:
        case Cmp():
            yield cond
        case And(parts):
            for part in parts:
                yield from integer_parts(part)
        case Or() | Not():
            pass
