"""``slotlang optimize``: the search with its progress, the rewritten text, and what it saves."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from slotlang.api import cost
from slotlang.cli.calibration import say_where_measured
from slotlang.cli.console import console_for_tables
from slotlang.cli.faults import INTERRUPTED, may_stop
from slotlang.cli.output import FAILED, emit_json, problems, report, write_file
from slotlang.cli.progress import watched
from slotlang.cost.profile import Profile
from slotlang.cost.report import Cost
from slotlang.diagnostics import SlotError
from slotlang.files import path_text
from slotlang.optimize.optimized import Optimized, optimize_program
from slotlang.optimize.search import Objective
from slotlang.optimize.why import why
from slotlang.planning.target import Target
from slotlang.show.quantities import time_text
from slotlang.syntax import tree
from slotlang_runtime.amounts import count_of


def optimize_file(
    file: Path,
    syntax: tree.Program,
    sizes: dict[str, int],
    output: Path | None,
    objective: Objective,
    target: Target,
    allow_packing: bool,
    profile: Profile,
    as_json: bool,
) -> None:
    """Optimize, write, and say what was changed. Ends with exit status 1 when the program is not proved, and
    130 when the search was interrupted, with the best so far."""
    try:
        with may_stop(), watched() as line:
            line.fraction("proving what is given", 0.0)
            found = optimize_program(
                syntax,
                sizes,
                objective,
                profile,
                target=target,
                allow_packing=allow_packing,
                progress=line.fraction,
            )
    except SlotError as problem:
        diagnostics = problems(problem) or ()
        if all(d.code != "SL481" for d in diagnostics):
            raise
        if as_json:
            emit_json("optimize", {"diagnostics": [d.to_json() for d in diagnostics]})
        report(diagnostics)
        raise typer.Exit(FAILED) from None
    if found.search.interrupted:
        print("interrupted: what follows is the best so far", file=sys.stderr)
    costs = [cost(program, profile=profile, target=target) for program in (found.before, found.after)]
    if output is not None:
        write_file(output, found.text)
    if as_json:
        emit_json("optimize", _json(file, output, target, found, costs))
    else:
        if output is None:
            print(found.text, end="")
        console = console_for_tables(stderr=output is None)
        console.print(_table(file, output, found, costs))
        say_where_measured(profile, console)
    if found.search.interrupted:
        raise typer.Exit(INTERRUPTED)


_COST_KEYS = ("parameters", "counts", "galois_key_bytes", "predicted", "predicted_error", "promise")


def _figures(cost: Cost) -> dict[str, Any]:
    """What may change, under the keys of ``cost --json``."""
    values = cost.to_json()
    return {key: values[key] for key in _COST_KEYS}


def _why(found: Optimized, costs: list[Cost]) -> str | None:
    """Why nothing cheaper was found; None where something was."""
    return None if found.changes else why(found.search, costs[0].bounds)


def _json(
    file: Path,
    output: Path | None,
    target: Target,
    found: Optimized,
    costs: list[Cost],
) -> dict[str, Any]:
    return {
        "file": path_text(file),
        "output": None if output is None else str(output),
        "objective": found.objective,
        "precision": target.precision,
        "max_key_bytes": target.max_key_bytes,
        "verdict": found.report.status,
        "method": found.report.method,
        "profile": costs[0].predicted.profile,
        "changes": [{"rule": rule, "what": what} for rule, what in found.changes],
        "why": _why(found, costs),
        "rules": [{"rule": rule, "taken": reason is None, "why_not": reason} for rule, reason in found.why_not.items()],
        "before": _figures(costs[0]),
        "after": _figures(costs[1]),
        "candidates": found.search.looked_at,
        "proofs": found.search.proofs,
        "exhausted": found.search.exhausted,
        "interrupted": found.search.interrupted,
        "text": found.text,
    }


_ROWS = (
    "rotations",
    "key_switches",
    "galois_keys",
    "plain_products",
    "cipher_products",
    "relinearizations",
    "depth",
    "ciphertexts_in",
    "ciphertexts_out",
)


def _table(file: Path, output: Path | None, found: Optimized, costs: list[Cost]) -> RenderableType:
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("")
    table.add_column("before", justify="right", overflow="fold")
    table.add_column("after", justify="right", overflow="fold")
    table.add_row("evaluation, predicted", *(time_text(cost.predicted.evaluation) for cost in costs))
    table.add_row("encoding, predicted", *(time_text(cost.predicted.encoding) for cost in costs))
    for name in _ROWS:
        table.add_row(name.replace("_", " "), *(str(getattr(cost.counts, name)) for cost in costs))
    table.add_row("bytes of Galois keys", *(f"{cost.galois_key_bytes:,}" for cost in costs))
    parameters = [_figures(cost)["parameters"] for cost in costs]
    table.add_row("degree", *(str(p["degree"]) for p in parameters))
    table.add_row("primes, bits", *(",".join(map(str, p["primes"])) for p in parameters))
    table.add_row("relative rms error at most", *(f"{cost.predicted_error:.1e}" for cost in costs))
    lines = [f"{output or file}: {found.after.name}, {found.report.status} by the {found.report.method} method"]
    lines += [f"  {what}" for _, what in found.changes]
    if not found.changes:
        lines.append(f"  nothing cheaper was found by {found.objective}: {_why(found, costs)}")
    search = found.search
    about = "" if costs[0].promise is None else costs[0].promise.about
    tail = f"{count_of(search.looked_at, 'program')} looked at, {search.proofs} proved or refuted"
    if search.interrupted:
        tail += "; interrupted, this is the best so far"
    elif not search.exhausted:
        tail += "; the search ended before all was tried"
    return Group(
        Text("\n".join(lines)),
        table,
        Text(f"{tail}; times by the profile {costs[0].predicted.profile}, errors {about}"),
        Text("\n".join(["rules that were not taken:", *_not_taken(found)])),
    )


def _not_taken(found: Optimized) -> list[str]:
    width = max(map(len, found.why_not))
    return [f"  {rule:{width}}  {reason}" for rule, reason in found.why_not.items() if reason is not None]


__all__ = ["optimize_file"]
