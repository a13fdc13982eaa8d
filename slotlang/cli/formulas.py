"""Formulas in the terminal: the counts of a program, and where one program beats another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from slotlang.api import formulas
from slotlang.cli.output import emit_json
from slotlang.cost.symbolic.formulas import NOUNS, Formulas, Line
from slotlang.planning.target import Target, hide_named

if TYPE_CHECKING:
    from slotlang.cost.symbolic.conditions import Comparison
    from slotlang.meaning.program import Program
    from slotlang.planning.parameters import Parameters

_BYTES = {
    "galois_key_bytes": "bytes of Galois keys, in memory",
    "evaluation_key_bytes": "bytes of keys as they are sent",
    "upload_bytes": "bytes up, seeded",
    "download_bytes": "bytes down",
    "weight_bytes": "bytes of encoded weights, in memory",
}


def show_formulas(program: Program, parameters: Parameters | None, hide: str, *, latex: bool, json: bool) -> None:
    """Print the formulas of a program. Raises as ``planning.formulas.formulas``."""
    found = formulas(program, parameters, target=Target(hide=hide_named(hide)))
    if json:
        emit_json("formulas", found.to_json())
    else:
        print(formulas_latex(found) if latex else formulas_text(found))


def formulas_text(found: Formulas) -> str:
    """Every formula with its conditions, and what the names and functions in them mean."""
    lines = [f"{found.program}  in {', '.join(found.parameters)}"]
    lines += [f"  {name} = {text}" for name, text in found.definition_texts.items()]
    everywhere, numbers = _shared(line for _, line in found.lines())
    if everywhere:
        lines.append(f"where {', '.join(everywhere)}")
    for title, entries, nouns in (("", found.counts, NOUNS), ("", found.bytes, _BYTES)):
        lines.append(title)
        lines += _table((_marked(line, everywhere, numbers), nouns[name]) for name, line in entries.items())
    if found.bounds:
        lines += ["", "at least, by the theorems of docs/bounds.md:"]
        rows = []
        for bound in found.bounds:
            how = f"{bound.theorem} theorem" if bound.proved else "conjectured, not proved"
            gap = _marked(bound.gap, everywhere, numbers)
            rows.append((_marked(bound.at_least, everywhere, numbers), f"{NOUNS[bound.of]} ({how}), gap {gap}"))
        lines += _table(rows)
    lines += [f"no formula of the {name} bound: {why}" for name, why in found.missing.items()]
    notes = [f"[{number}] where {text}" for text, number in numbers.items()]
    notes += list(found.functions().values())
    notes += [f"{name}: {meaning}" for name, meaning in found.units.items()]
    return "\n".join([*lines, *([""] if notes else []), *notes])


def formulas_latex(found: Formulas) -> str:
    """An aligned block of LaTeX: a line for each formula, its conditions behind it."""
    rows = []
    for name, line in found.lines():
        where = ", ".join(c.latex for c in line.where)
        condition = rf" &&\text{{where }} {where}" if where else ""
        rows.append(rf"  \text{{{NOUNS[name]}}} &= {line.latex}{condition} \\")
    return "\n".join([r"\begin{align*}", *rows, r"\end{align*}"])


def _table(rows: Iterable[tuple[str, str]]) -> list[str]:
    known = list(rows)
    width = max((len(left) for left, _ in known), default=0)
    return [f"{left:>{width}}  {right}".rstrip() for left, right in known]


def _texts(where: Iterable[Comparison]) -> list[str]:
    return [c.text for c in where]


def _shared(lines: Iterable[Line]) -> tuple[list[str], Mapping[str, int]]:
    """The conditions that all formulas have, and a number for every set of others."""
    every = [_texts(line.where) for line in lines]
    everywhere = [text for text in every[0] if all(text in texts for texts in every)]
    numbers: dict[str, int] = {}
    for texts in every:
        rest = ", ".join(t for t in texts if t not in everywhere)
        if rest:
            numbers.setdefault(rest, len(numbers) + 1)
    return everywhere, numbers


def _marked(line: Line, everywhere: list[str], numbers: Mapping[str, int]) -> str:
    """A formula with the number of its conditions."""
    rest = ", ".join(t for t in _texts(line.where) if t not in everywhere)
    mark = f" [{numbers[rest]}]" if rest in numbers else f" [where {rest}]" if rest else ""
    return f"{line.expr}{mark}"
