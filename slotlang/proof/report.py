"""A verdict with what it rests on: one report for a program, for a program at all sizes, and for an emitted module."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from slotlang.displayed import Pictured
from slotlang.meaning.program import Bound, Program
from slotlang.proof.verdict import Failure, Status
from slotlang_runtime.amounts import field_count

if TYPE_CHECKING:
    from slotlang.proof.explain import Counterexample
    from slotlang.proof.forall.coverage_report import Covered

Method: TypeAlias = Literal["auto", "polyhedral", "exact", "random", "mixed-radix", "symbolic", "numeric"]
"""How a verdict is found. ``symbolic`` and ``numeric`` are about modules: their bodies on expressions, and on random
numbers in exact slots."""

METHODS: tuple[Method, ...] = ("auto", "polyhedral", "exact", "random")
"""Those that a user may ask for."""

Subject: TypeAlias = Literal["program", "all sizes", "module"]

SCOPE = "for all real inputs, weights and scalars, in ideal slot arithmetic: no CKKS noise, no claim about the library"


@dataclass(frozen=True, slots=True)
class WrongElement:
    """An element of a result that a module gets wrong, as numbers on random data in exact slots."""

    element: str
    holds: complex
    should_hold: complex

    @property
    def where(self) -> str:
        """All of it in one line."""
        values = f"is {_number(self.holds)} and should be {_number(self.should_hold)}"
        return f"{self.element} {values} on random data in exact slots"

    def to_json(self) -> dict[str, object]:
        """Plain data; numbers as texts."""
        return {
            "kind": "wrong_element",
            "element": self.element,
            "holds": _number(self.holds),
            "should_hold": _number(self.should_hold),
        }

    def lines(self) -> list[str]:
        """What there is to say besides ``where``: nothing."""
        return []


def _number(value: complex) -> str:
    return f"{value.real:.6g}" if not value.imag else f"{value:.6g}"


@dataclass(frozen=True)
class Report(Pictured):
    """The verdict on a ``subject``: a program at one choice of sizes; a program at all values of some sizes, which
    ``for_all`` names; or a module, of which the question is whether it computes what its program says.

    ``method`` is the one that decided, after ``seconds``. ``reason`` says why the status is ``unknown``;
    ``counterexample`` shows what is wrong, in the program's terms, and ``failure`` is the same as data.
    ``random_error_bound``: the probability, at most, that a wrong program passed the random test; None where it did
    not run. ``steps`` has one line per goal. ``claims`` are lines that were found and proved on the way, to be written
    into the program if one likes. ``bounds``: what the program assumes of magnitudes; no verdict on exact slots rests
    on them. ``examined``: how much was looked at, by name. ``notes``: what was left out. ``program``: the one that was
    checked, where it is one at one choice of sizes; what is wrong with it is drawn from it.
    """

    status: Status
    method: Method
    seconds: float
    random_error_bound: float | None = None
    counterexample: Counterexample | WrongElement | None = None
    failure: Failure | None = field(default=None, repr=False)
    reason: str = ""
    steps: tuple[tuple[str, Status], ...] = ()
    notes: tuple[str, ...] = ()
    claims: tuple[str, ...] = ()
    for_all: Covered | None = None
    bounds: tuple[Bound, ...] = ()
    subject: Subject = "program"
    examined: Mapping[str, int] = field(default_factory=dict)
    program: Program | None = field(default=None, repr=False, compare=False)

    def __repr__(self) -> str:
        name = f" {self.program.name}" if self.program else f" on {self.subject}" * (self.subject != "program")
        what = f": {self.what}" if self.what else ""
        return f"<Report{name}: {self.status} by the {self.method} method{what}>"

    @property
    def proved(self) -> bool:
        """Whether a deterministic method proved it."""
        return self.status == "proved"

    @property
    def what(self) -> str:
        """What is wrong, or why nothing was decided, in one line; empty when it is proved."""
        return self.counterexample.where if self.counterexample else self.reason

    def to_json(self) -> dict[str, object]:
        """Plain data: the same keys for every subject."""
        return {
            "subject": self.subject,
            "verdict": self.status,
            "method": self.method,
            "seconds": round(self.seconds, 6),
            "reason": self.reason,
            "counterexample": self.counterexample.to_json() if self.counterexample else None,
            "random_error_bound": self.random_error_bound,
            "steps": [{"goal": goal, "verdict": status} for goal, status in self.steps],
            "examined": dict(self.examined),
            "claims": list(self.claims),
            "bounds": [bound.to_json(at_all_sizes=self.for_all is not None) for bound in self.bounds],
            "for_all": self.for_all.to_json() if self.for_all else None,
            "notes": list(self.notes),
        }

    def lines(self) -> list[str]:
        """All about it, for a person."""
        found = list(self.for_all.lines(self.proved)) if self.for_all else []
        if self.subject == "module":
            found.append(self._about_module())
        elif self.counterexample:
            found.append(self.counterexample.where)
        if self.counterexample:
            found += self.counterexample.lines()
        found += [f"found and proved: {line}" for line in self.claims]
        if self.proved and self.subject != "module":
            found += [f"{status}  {goal}" for goal, status in self.steps]
            found.append(SCOPE)
        if self.bounds:
            assumed = ", ".join(bound.written if self.for_all else bound.text for bound in self.bounds)
            found.append(f"assumed of magnitudes, for the range of ciphertexts and not for this verdict: {assumed}")
        if self.random_error_bound is not None:
            chance = f"{self.random_error_bound:.0e}"
            if self.status == "tested":
                found.append("right at random points, which is no proof;")
                found.append(f"a wrong program passes with probability {chance} at most")
            elif self.status != "refuted":
                found.append(f"the unrolled schedule agrees at random points (wrong with probability {chance} at most)")
        if self.reason and self.subject != "module":
            found.append(self.reason)
        return found + [f"note: {note}" for note in self.notes]

    def _about_module(self) -> str:
        match self.status:
            case "proved":
                counted = "".join(f"{field_count(n, name)}, " for name, n in self.examined.items())
                return f"the module computes what the program says ({counted}{self.seconds:.1f} s)"
            case "refuted":
                return f"the module does not compute what the program says: {self.what}"
            case _:
                return f"not decided whether the module computes what the program says: {self.what}"
