"""The counts of a program as formulas: what is printed, evaluated and compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from slotlang.cost.symbolic.conditions import Comparison
from slotlang.cost.symbolic.functions import DEFINITIONS, latex, named, value
from slotlang.meaning.integers import Cmp, Int, evaluate, holds
from slotlang.proof.forall.condition_kinds import Conditions
from slotlang_runtime.amounts import noun_of, plural

_NOUNS: Mapping[str, tuple[str, str]] = {
    "rotations": ("rotation", ""),
    "conjugations": ("conjugation", ""),
    "key_switches": ("key switch", ""),
    "galois_keys": ("Galois key", ""),
    "plain_products": ("ciphertext-plaintext product", ""),
    "cipher_products": ("ciphertext-ciphertext product", ""),
    "relinearizations": ("relinearization", ""),
    "additions": ("addition", ""),
    "negations": ("negation", ""),
    "rescales": ("rescale", ""),
    "ciphertexts_in": ("ciphertext", " up"),
    "ciphertexts_out": ("ciphertext", " down"),
    "plaintexts": ("plaintext", ""),
    "decompositions": ("decomposition", ", where kernels take key switches apart"),
    "mod_downs": ("mod-down", ", where kernels take key switches apart"),
    "galois_key_bytes": ("byte", " of Galois keys"),
    "evaluation_key_bytes": ("byte", " of keys sent"),
    "upload_bytes": ("byte", " up"),
    "download_bytes": ("byte", " down"),
    "weight_bytes": ("byte", " of weights"),
}
"""What tables call a count: a noun, and what follows it."""

COUNTED = _NOUNS.keys()
"""Counts that have formulas, if they have one."""


def noun_text(count: str, number: int | None = None) -> str:
    """What a table calls a count: ``rotations``; of a formula that is one number, ``rotation`` where that is 1."""
    noun, rest = _NOUNS[count]
    return (plural(noun) if number is None else noun_of(number, noun)) + rest


@dataclass(frozen=True)
class Line:
    """A formula. ``conditions``: comparisons of sizes under which it holds, as they are checked; ``where``: the same,
    as a reader wants them."""

    expr: Any
    conditions: tuple[Cmp, ...]
    where: tuple[Comparison, ...]

    def holds(self, sizes: Mapping[str, int]) -> bool:
        """Whether it holds at given sizes, those of ``let`` included."""
        return all(bool(holds(c, sizes, {})) for c in self.conditions)

    @property
    def latex(self) -> str:
        """The formula in LaTeX."""
        return latex(self.expr)

    @property
    def number(self) -> int | None:
        """The formula where it is one number; None where sizes occur in it."""
        return int(self.expr) if self.expr.is_Integer else None

    def to_json(self) -> dict[str, object]:
        """Plain data: texts as Python and sympy read them, and as LaTeX does."""
        return {
            "formula": str(self.expr),
            "latex": self.latex,
            "conditions": [c.text for c in self.where],
        }


@dataclass(frozen=True)
class BoundLine:
    """A lower bound on one of the counts, as ``theorems.Bound`` has it, and the gap to it."""

    of: str
    theorem: str
    proved: bool
    at_least: Line
    gap: Line

    def to_json(self) -> dict[str, object]:
        """Plain data."""
        return {
            "of": self.of,
            "theorem": self.theorem,
            "proved": self.proved,
            "at_least": self.at_least.to_json(),
            "gap": self.gap.to_json(),
        }


@dataclass(frozen=True)
class Formulas:
    """The counts of a program in its own sizes.

    ``sizes``: those at which they were derived; ``parameters``: the sizes of the header; ``definitions``: what ``let``
    defines, in order. ``units``: what bytes are given in, with what each means; those that have a value are numbers in
    the formulas. ``missing``: counts and bounds that have no formula, and why.
    """

    program: str
    sizes: Mapping[str, int]
    parameters: tuple[str, ...]
    conditions: Conditions = field(repr=False)
    definitions: Mapping[str, Int]
    definition_texts: Mapping[str, str]
    counts: Mapping[str, Line]
    bytes: Mapping[str, Line]
    units: Mapping[str, str]
    bounds: tuple[BoundLine, ...] = ()
    missing: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<Formulas {self.program}({', '.join(self.parameters)}): {', '.join(self.counts)}>"

    def lines(self) -> Iterator[tuple[str, Line]]:
        """Every count and every number of bytes, by name."""
        yield from self.counts.items()
        yield from self.bytes.items()

    def known(self, sizes: Mapping[str, int]) -> dict[str, int]:
        """Sizes of the header with what ``let`` defines; those not given are as they were at first."""
        found = {**{name: self.sizes[name] for name in self.parameters}, **sizes}
        for name, definition in self.definitions.items():
            found[name] = int(evaluate(definition, found, {}))
        return found

    def admitted(self, sizes: Mapping[str, int]) -> dict[str, int] | None:
        """``known``, or None for sizes at which the program has no meaning."""
        given = {**{name: self.sizes[name] for name in self.parameters}, **sizes}
        return self.known(sizes) if self.conditions.hold(given) else None

    def at(self, sizes: Mapping[str, int]) -> dict[str, int | None]:
        """Every count at given sizes of the header; None where its formula does not hold."""
        found = self.known(sizes)
        return {name: value(line.expr, found) if line.holds(found) else None for name, line in self.counts.items()}

    def functions(self) -> dict[str, str]:
        """The functions that occur, with their definitions."""
        lines = [line for _, line in self.lines()]
        lines += [line for bound in self.bounds for line in (bound.at_least, bound.gap)]
        expressions = [line.expr for line in lines]
        expressions += [e for line in lines for c in line.where for e in (c.left, c.right)]
        names = {name for e in expressions for name in named(e)}
        if "steps" in names:
            names |= {"ones", "log2"}
        return {name: DEFINITIONS[name] for name in DEFINITIONS if name in names}

    def to_json(self) -> dict[str, object]:
        """Plain data; keys as in ``cost --symbolic --json``."""
        return {
            "program": self.program,
            "sizes": {name: self.sizes[name] for name in self.parameters},
            "definitions": dict(self.definition_texts),
            "counts": {name: line.to_json() for name, line in self.counts.items()},
            "bytes": {name: line.to_json() for name, line in self.bytes.items()},
            "units": dict(self.units),
            "bounds": [bound.to_json() for bound in self.bounds],
            "without_formula": dict(self.missing),
            "functions": self.functions(),
        }
