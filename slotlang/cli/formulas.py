"""Formulas in the terminal: the counts of a program, and where one program beats another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from slotlang.api import formulas
from slotlang.cli.output import emit_json
from slotlang.cost.symbolic.comparison import EVERY, MOST, Run, compared
from slotlang.cost.symbolic.formulas import COUNTED, Formulas, Line, noun_text
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
    every = [line for _, line in found.lines()]
    every += [line for bound in found.bounds for line in (bound.at_least, bound.gap)]
    everywhere, numbers = _shared(every)
    if everywhere:
        lines.append(f"where {', '.join(everywhere)}")
    counts = ((line, noun_text(name, line.number)) for name, line in found.counts.items())
    sizes = ((line, _BYTES[name]) for name, line in found.bytes.items())
    for entries in (counts, sizes):
        lines += ["", *_table((_marked(line, everywhere, numbers), noun) for line, noun in entries)]
    if found.bounds:
        lines += ["", "at least, by the theorems of docs/bounds.md:"]
        for bound in found.bounds:
            how = f"{bound.theorem} theorem" if bound.proved else "conjectured, not proved"
            lines.append(f"{noun_text(bound.of)} >= {_marked(bound.at_least, everywhere, numbers)}  ({how})")
            lines.append(f"  gap {_marked(bound.gap, everywhere, numbers)}")
    reasons = dict.fromkeys(found.missing.values())
    for why in reasons:
        names = " and ".join(name for name, reason in found.missing.items() if reason == why)
        what = "" if names.split(" ")[0] in COUNTED else "the bound by "
        lines += ["", f"no formula of {what}{names.replace('_', '-')}: {why}"]
    notes = [f"[{number}] where {text}" for text, number in numbers.items()]
    notes += list(found.functions().values())
    notes += [f"{name}: {meaning}" for name, meaning in found.units.items()]
    return "\n".join([*lines, *([""] if notes else []), *notes])


def show_comparison(programs: Sequence[Program], *, json: bool) -> None:
    """Print from which sizes on one of two programs has fewer operations. Raises as ``planning.formulas.formulas``."""
    first, second = map(formulas, programs)
    found = compared(first, second)
    if json:
        values = {"programs": [f.to_json() for f in (first, second)], "compared": [c.to_json() for c in found]}
        emit_json("compare-formulas", values)
        return
    sizes = ", ".join(f"{name} = {second.sizes[name]}" for name in second.parameters)
    mine = ", ".join(f"{name} = {first.sizes[name]}" for name in first.parameters)
    lines = [f"{first.program}  {mine}", f"{second.program}  {sizes}"]
    for one in found:
        x, y = ("?" if v is None else f"{v:,}" for v in one.values)
        lines += ["", f"{noun_text(one.count)}: {first.counts[one.count].expr} against {second.counts[one.count].expr}"]
        lines.append(f"  here: {x} against {y}")
        for name, runs in one.along.items():
            if len(runs) != 1 or runs[0].first != runs[0].last:
                gaps = ", where both have formulas" if name in one.gaps else ""
                said = ", ".join(_run_texts(runs, first, second, always=not gaps)) or "nothing"
                lines.append(f"  {name}: {said}{gaps}")
    functions = {**first.functions(), **second.functions()}
    looked = f"one size changes: values up to {EVERY}, and powers of two up to {MOST:,}, for which both formulas hold"
    print("\n".join([*lines, "", looked, *functions.values()]))


def _run_texts(runs: Sequence[Run], first: Formulas, second: Formulas, *, always: bool) -> list[str]:
    found = []
    for number, run in enumerate(runs):
        who = {"first": f"{first.program} has fewer", "second": f"{second.program} has fewer", "equal": "equal"}
        if number == len(runs) - 1:
            where = "always" if number == 0 and always else f"from {run.first} on"
        else:
            where = f"at {run.first}" if run.first == run.last else f"from {run.first} to {run.last}"
        found.append(f"{who[run.less]} {where}")
    return found


def formulas_latex(found: Formulas) -> str:
    """An aligned block of LaTeX: a line for each formula, its conditions behind it."""
    rows = []
    for name, line in found.lines():
        where = ", ".join(c.latex for c in line.where)
        condition = rf" &&\text{{where }} {where}" if where else ""
        rows.append(rf"  \text{{{noun_text(name)}}} &= {line.latex}{condition} \\")
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
