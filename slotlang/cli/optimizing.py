"""``slotlang optimize``: the search with its progress, the rewritten text, and what it saves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer
from rich.console import Console, Group, RenderableType
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from slotlang.api import cost
from slotlang.cli.faults import INTERRUPTED, at_step, may_stop
from slotlang.cli.output import FAILED, emit_json, problems, report, write_file
from slotlang.cli.tables import time_text
from slotlang.cost.profile import Profile
from slotlang.cost.report import Cost
from slotlang.diagnostics import SlotError, pick
from slotlang.optimize.optimized import Optimized, optimize_program
from slotlang.optimize.search import OBJECTIVES, Objective
from slotlang.optimize.why import why
from slotlang.syntax import tree


def objective_named(name: str) -> Objective:
    """The objective of that name. Raises SL005."""
    return pick(name, OBJECTIVES, "SL005", "objective", "objectives")


def optimize_file(
    file: Path,
    syntax: tree.Program,
    sizes: dict[str, int],
    output: Path | None,
    objective: Objective,
    precision: float | None,
    max_key_bytes: int | None,
    allow_packing: bool,
    profile: Profile,
    as_json: bool,
) -> None:
    """Optimize, write, and say what was changed. Ends with exit status 1 when the program is not proved, and
    130 when the search was interrupted, with the best so far."""
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), console=Console(stderr=True), transient=True, disable=as_json
    )

    def progress(what: str, done: float) -> None:
        at_step(what)
        bar.update(task, description=what, completed=done)

    try:
        with may_stop(), bar:
            task = bar.add_task("proving what is given", total=1.0)
            found = optimize_program(
                syntax,
                sizes,
                objective,
                profile,
                precision=precision,
                max_key_bytes=max_key_bytes,
                allow_packing=allow_packing,
                progress=progress,
            )
    except SlotError as problem:
        diagnostics = problems(problem) or ()
        if all(d.code != "SL481" for d in diagnostics):
            raise
        if as_json:
            emit_json("optimize", {"diagnostics": [d.to_json() for d in diagnostics]})
        report(diagnostics)
        raise typer.Exit(FAILED) from None
    costs = [
        cost(program, profile=profile, precision=precision, max_key_bytes=max_key_bytes)
        for program in (found.before, found.after)
    ]
    if output is not None:
        write_file(output, found.text)
    if as_json:
        emit_json("optimize", _json(file, output, precision, max_key_bytes, found, costs))
    else:
        if output is None:
            print(found.text, end="")
        Console(stderr=output is None, highlight=False, soft_wrap=True).print(_table(file, output, found, costs))
    if found.search.interrupted:
        raise typer.Exit(INTERRUPTED)


def _figures(cost: Cost) -> dict[str, Any]:
    c = cost.counts
    return {
        "evaluation_seconds": cost.predicted.evaluation,
        "encoding_seconds": cost.predicted.encoding,
        "rotations": c.rotations,
        "key_switches": c.key_switches,
        "galois_keys": c.galois_keys,
        "galois_key_bytes": cost.galois_key_bytes,
        "plain_products": c.plain_products,
        "cipher_products": c.cipher_products,
        "depth": c.depth,
        "ciphertexts_in": c.ciphertexts_in,
        "ciphertexts_out": c.ciphertexts_out,
        "degree": cost.parameters["degree"],
        "primes": cost.parameters["primes"],
        "predicted_error": cost.predicted_error,
    }


def _why(found: Optimized, costs: list[Cost]) -> str | None:
    """Why nothing cheaper was found; None where something was."""
    return None if found.changes else why(found.search, costs[0].bounds)


def _json(
    file: Path,
    output: Path | None,
    precision: float | None,
    max_key_bytes: int | None,
    found: Optimized,
    costs: list[Cost],
) -> dict[str, Any]:
    return {
        "file": str(file),
        "output": None if output is None else str(output),
        "objective": found.objective,
        "precision": precision,
        "max_key_bytes": max_key_bytes,
        "verdict": found.report.status,
        "method": found.report.method,
        "profile": costs[0].predicted.profile,
        "changes": [{"rule": rule, "what": what} for rule, what in found.changes],
        "why": _why(found, costs),
        "before": _figures(costs[0]),
        "after": _figures(costs[1]),
        "candidates": found.search.looked_at,
        "proofs": found.search.proofs,
        "exhausted": found.search.exhausted,
        "interrupted": found.search.interrupted,
        "text": found.text,
    }


_ROWS = ("rotations", "key_switches", "galois_keys", "plain_products", "cipher_products", "depth", "degree")


def _table(file: Path, output: Path | None, found: Optimized, costs: list[Cost]) -> RenderableType:
    before, after = (_figures(c) for c in costs)
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("")
    table.add_column("before", justify="right")
    table.add_column("after", justify="right")
    for name in ("evaluation", "encoding"):
        times = [time_text(figures[f"{name}_seconds"]) for figures in (before, after)]
        table.add_row(f"{name}, predicted", *times)
    for name in (*_ROWS, "ciphertexts_in", "ciphertexts_out"):
        table.add_row(name.replace("_", " "), str(before[name]), str(after[name]))
    keys = [f"{figures['galois_key_bytes']:,}" for figures in (before, after)]
    table.add_row("bytes of Galois keys", *keys)
    table.add_row("primes, bits", *(",".join(map(str, figures["primes"])) for figures in (before, after)))
    table.add_row("relative rms error at most", *(f"{figures['predicted_error']:.1e}" for figures in (before, after)))
    lines = [f"{output or file}: {found.after.name}, {found.report.status} by the {found.report.method} method"]
    lines += [f"  {what}" for _, what in found.changes]
    if not found.changes:
        lines.append(f"  nothing cheaper was found by {found.objective}: {_why(found, costs)}")
    search = found.search
    tail = f"{search.looked_at} programs looked at, {search.proofs} proved or refuted"
    if search.interrupted:
        tail += "; interrupted, this is the best so far"
    elif not search.exhausted:
        tail += "; the search ended before all was tried"
    return Group(Text("\n".join(lines)), table, Text(f"{tail}; times by the profile {costs[0].predicted.profile}"))


__all__ = ["objective_named", "optimize_file"]
