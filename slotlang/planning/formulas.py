"""A program's counts, bytes and bounds as formulas, for a target."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import sympy

from slotlang.cost.symbolic.bounds import BoundFormula, Bounds
from slotlang.cost.symbolic.conditions import simplified
from slotlang.cost.symbolic.counting import Counting, Formula
from slotlang.cost.symbolic.formulas import BoundLine, Formulas, Line
from slotlang.cost.symbolic.nonzero import Nonzero
from slotlang.cost.symbolic.relinearization import Relinearized
from slotlang.cost.symbolic.sizes import AllSizes, Decisions, NoFormula, all_sizes, symbol
from slotlang.cost.symbolic.switching import Switching
from slotlang.cost.symbolic.walk import Walk, plain_refs
from slotlang.diagnostics import error
from slotlang.meaning.integers import IntConst, IntSize
from slotlang.meaning.program import Program
from slotlang.planning.hiding import with_conjugates
from slotlang.planning.parameters import UNRESCALED_DEPTH, Parameters
from slotlang.planning.target import Hide
from slotlang.schedule.build import EVERY, schedule
from slotlang.schedule.ops import Schedule


def formulas(program: Program, parameters: Parameters | None = None, *, hide: Hide = "mask") -> Formulas:
    """The counts that ``plan`` has, as formulas in the program's sizes, derived at the sizes it is bound to.

    ``parameters``: bytes are numbers where they are given; the program's own are taken without. Raises ``SlotError``
    SL447 for a program, or sizes, that have no formula, and SL401 to SL403.
    """
    try:
        return _Formulas(program, parameters, hide).all()
    except NoFormula as problem:
        raise error(
            "SL447",
            f"'{program.name}' has no formulas: {problem}",
            problem.span or program.span,
            notes=[f"at {', '.join(f'{name} = {program.sizes[name]}' for name in program.parameters)}"],
            hint="`slotlang cost` without --symbolic counts at these sizes",
        ) from None


class _Formulas:
    def __init__(self, program: Program, parameters: Parameters | None, hide: Hide) -> None:
        self.program, self.parameters, self.hide = program, parameters, hide
        if parameters is not None and parameters.keys:
            raise NoFormula("rotations are composed of steps that have keys, and which way is found for numbers")
        self.sizes: AllSizes = all_sizes(program)
        self.schedule = self._schedule()
        self.decisions = Decisions(self.sizes, program.sizes)
        for name, _, _ in self.sizes.conditions.valued:
            # as a number of a value it may be 1, and then nothing is multiplied
            self.decisions.compare(IntSize(name), "==", IntConst(program.sizes[name]))
        walk = Walk(self.schedule, self.decisions)
        Relinearized(walk, self.decisions).check()
        Nonzero(self.schedule, self.decisions).check([ref.family for ref in plain_refs(walk.sites)])
        self.counting = Counting(walk, self.decisions)
        self.units: dict[str, str] = {}

    def _schedule(self) -> Schedule:
        returned, self.doubled = self.program, frozenset[str]()
        if self.hide == "exact":
            returned, self.doubled = with_conjugates(self.program)
        if self.parameters is not None:
            return schedule(returned, self.parameters.early, self.parameters.results)
        built = schedule(returned)
        return schedule(returned, EVERY) if built.depth > UNRESCALED_DEPTH else built

    def all(self) -> Formulas:
        counts = self.counting.formulas()
        switching = Switching(self.counting, self.decisions)
        parts = switching.formulas()
        bounds = Bounds(self.program, self.counting, counts)
        definitions = {n: e for n, e in self.sizes.definitions.items() if n not in self.program.parameters}
        return Formulas(
            program=self.program.name,
            sizes={**self.program.sizes},
            parameters=self.program.parameters,
            conditions=self.sizes.conditions,
            definitions=definitions,
            definition_texts={name: self.sizes.texts[name] for name in definitions},
            counts={name: self.line(f) for name, f in {**counts, **parts}.items()},
            bytes={name: self.line(f) for name, f in self._bytes(counts).items()},
            units=self.units,
            bounds=tuple(map(self._bound, bounds.all())),
            missing={**switching.missing, **bounds.missing},
        )

    def _bound(self, bound: BoundFormula) -> BoundLine:
        return BoundLine(bound.of, bound.theorem, bound.proved, self.line(bound.at_least), self.line(bound.gap))

    def line(self, formula: Formula) -> Line:
        decisions = Decisions(self.sizes, self.program.sizes, shared=dict.fromkeys(formula.conditions))
        needed = decisions.without_implied(formula.conditions)
        return Line(formula.expr, formula.conditions, simplified(needed, decisions))

    # bytes

    def _bytes(self, counts: Mapping[str, Formula]) -> dict[str, Formula]:
        inputs, own = counts["ciphertexts_in"], self.decisions.branch()
        keys, relinearized = self.counting.keys_by_level(own), self.counting.relinearized()
        held = sum((count * self._key(level) for level, count in keys.items()), sympy.Integer(0))
        sent = sum((count * self._sent_key(level) for level, count in keys.items()), sympy.Integer(0))
        if relinearized is not None:
            sent += self._sent_key(relinearized)
        conditions = tuple({**self.decisions.conditions, **own.conditions})
        return {
            "galois_key_bytes": Formula(held, conditions),
            "evaluation_key_bytes": Formula(sent, conditions),
            "upload_bytes": Formula(inputs.expr * self._sent(0, seeded=True), inputs.conditions),
            "download_bytes": self._download(),
            "weight_bytes": self._weights(),
        }

    def _unit(self, name: str, meaning: str) -> Any:
        while name in self.program.sizes:
            name += "_"
        self.units[name] = meaning
        return symbol(name)

    def _degree(self) -> Any:
        return self._unit("degree", "degree of the ring, twice the slots of a ciphertext")

    def _primes(self) -> Any:
        return self._unit("primes", "number of primes, the key prime included")

    def _key(self, level: int) -> Any:
        p = self.parameters
        if p is not None:
            return sympy.Integer(p.key_bytes(level))
        primes = self._primes() - level
        return 16 * self._degree() * primes * (primes - 1)

    def _sent_key(self, level: int) -> Any:
        p = self.parameters
        if p is not None:
            return sympy.Integer(p.sent_key_bytes(level))
        dropped = f", {level} dropped" if level else ""
        bits = self._unit(f"all_bits_{level}" if level else "all_bits", f"bits of all primes{dropped}, added up")
        return self._degree() * (self._primes() - 1 - level) * bits / 8

    def _sent(self, level: int, *, seeded: bool = False) -> Any:
        p = self.parameters
        if p is not None:
            return sympy.Integer(p.sent_bytes(level, seeded=seeded))
        return (1 if seeded else 2) * self._degree() * self._data_bits(level) / 8

    def _data_bits(self, level: int) -> Any:
        dropped = f", {level} dropped" if level else ""
        return self._unit(f"bits_{level}" if level else "bits", f"bits of the data primes{dropped}, added up")

    def _half(self, level: int) -> Any:
        p = self.parameters
        if p is not None:
            return sympy.Integer(p.result_bytes(level, halved=True))
        return 3 * self._degree() * self._data_bits(level) / 16

    def _whole(self, level: int) -> Any:
        p = self.parameters
        return self._sent(level) if p is None else sympy.Integer(p.result_bytes(level, halved=False))

    def _download(self) -> Formula:
        own = self.decisions.branch()
        total: Any = sympy.Integer(0)
        for name, count in self.counting.returned(own).items():
            level = self.schedule.states[name].level
            parts = {o.part for o in self.schedule.outputs if o.family.name == name}
            half = self.hide != "none" and len(parts) == 1 and None not in parts and name not in self.doubled
            total += count * (self._half(level) if half else self._whole(level))
        return Formula(total, tuple({**self.decisions.conditions, **own.conditions}))

    def _weights(self) -> Formula:
        own = self.decisions.branch()
        levels: dict[int, Any] = defaultdict(lambda: sympy.Integer(0))
        for name, count in self.counting.used(own).items():
            encoding = self.schedule.plains[name].encoding
            levels[encoding.level if encoding else 0] += count
        total: Any = sympy.Integer(0)
        for level, count in levels.items():
            p = self.parameters
            total += count * (p.plaintext_bytes(level) if p else 8 * self._degree() * (self._primes() - 1 - level))
        return Formula(total, tuple({**self.decisions.conditions, **own.conditions}))
