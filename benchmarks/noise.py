"""Predicted against measured errors over the corpus and parameter sets: ``python -m benchmarks.noise [--each N]``.

Every program and parameter set has its own keys; data go by seeds, the same ones for each set. Programs
whose weights take much memory are run at smaller sizes.
Exit status 1 when an error is above its prediction, or more than 8 times below it.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import random
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.predict import fitting
from slotlang.api import check, plan
from slotlang.cost.noise import predicted_error
from slotlang.diagnostics import SlotError
from slotlang.lowering.choose import choose
from slotlang.lowering.emit import emit
from slotlang.lowering.lower import Plan
from slotlang.lowering.parameters import Parameters
from slotlang.meaning.program import Program
from slotlang.run.runner import load_module, random_data

ROOT = Path(__file__).resolve().parent.parent
OUT = Path(__file__).resolve().parent / "noise.json"
MAX_WEIGHTS = 30_000_000
"""Bytes of encoded weights; programs with more are run at smaller sizes."""
PRECISIONS = (1e-1, 1e-3, 1e-5, 1e-8, 1e-12)
MOST = 8.0
"""How far above the error a prediction may be."""


def plans(program: Program) -> Iterator[Plan]:
    """The fixed choice, what tutorials do, equal scales, and what is chosen for several precisions."""
    seen: set[Parameters] = set()
    depth = plan(program).counts.depth
    tried = [
        None,
        Parameters(16384, (60, *[40] * depth, 60), 40, True),
        Parameters(8192, (60, 60, 60), 108 // (depth + 1), False),
        Parameters(4096, (36, 36, 37), 63 // (depth + 1), False),
    ]
    makers = [lambda p=p: plan(program, p) for p in tried]
    for maker in [*makers, *(lambda p=p: choose(program, p) for p in PRECISIONS)]:
        try:
            made = maker()
        except SlotError:
            continue
        if made.parameters not in seen:
            seen.add(made.parameters)
            yield made


def runs(made: Plan, text: str) -> Iterator[float]:
    """Relative rms errors, each with new data."""
    module = load_module(text)
    client = module.Client()
    server = module.Server(client.evaluation_keys())
    for seed in itertools.count():
        inputs, weights = random_data(made.program, seed)
        server.encode(**weights)
        found = client.decrypt(server.evaluate(client.encrypt(**inputs)))
        expected = module.reference(inputs, weights)
        pairs = [(found[n], expected[n]) for n in found] if isinstance(found, dict) else [(found, expected)]
        off, size = (
            sum(float((np.abs(v) ** 2).sum()) for v in part)
            for part in zip(*((a - b, b) for a, b in pairs), strict=True)
        )
        yield math.sqrt(off / size)


def cases(paths: list[Path]) -> Iterator[tuple[str, dict[str, int], Program]]:
    """Programs at sizes that fit, and at half their slots where they have that size."""
    for path in paths:
        for given in ({}, {"slots": 2048}):
            try:
                program, sizes = fitting(path, MAX_WEIGHTS, given)
            except SlotError:
                continue
            yield path.stem, sizes, program


def main() -> int:
    """Run, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="programs of the corpus; all if left out")
    parser.add_argument("--each", type=int, default=3, help="runs of each program with each set of parameters")
    parser.add_argument("--seconds", type=float, default=math.inf, help="start no more after so much time")
    options = parser.parse_args()
    paths = [p for p in sorted((ROOT / "programs").rglob("*.slot")) if not options.names or p.stem in options.names]
    console, start = Console(), time.monotonic()
    random.Random(0).shuffle(paths)
    rows: list[dict] = []
    for name, sizes, program in cases(paths):
        if time.monotonic() - start > options.seconds:
            break
        report = check(program)
        for made in plans(program):
            if time.monotonic() - start > options.seconds:
                break
            text = emit(made.graph, made.parameters, report, made.counts, made.hiding, "benchmark")
            predicted, errors = predicted_error(made), list(itertools.islice(runs(made, text), options.each))
            what = {"program": name, "sizes": sizes, "parameters": made.parameters.text()}
            rows.append({**what, "predicted_error": predicted, "errors": errors})
            print(rows[-1], file=sys.stderr, flush=True)
    return shown(rows, console)


def shown(rows: list[dict], console: Console) -> int:
    """Ratios of predicted to measured errors by program."""
    table = Table(title="predicted over measured error", box=None)
    for head in ("program", "runs", "least", "median", "most"):
        table.add_column(head, justify="left" if head == "program" else "right")
    found = [(row["program"], row["predicted_error"] / e) for row in rows for e in row["errors"]]
    for name in [*dict.fromkeys(n for n, _ in found), "all"]:
        ratios = [r for n, r in found if name in (n, "all")]
        values = (min(ratios), statistics.median(ratios), max(ratios))
        table.add_row(name, str(len(ratios)), *(f"{v:.2f}" for v in values))
    console.print(table)
    OUT.write_text(json.dumps({"schema": "slotlang.noise/1", "runs": rows}, indent=1) + "\n")
    outside = [(n, r) for n, r in found if not 1 <= r <= MOST]
    console.print(f"{len(outside)} of {len(found)} outside 1 to {MOST:g}; written to {OUT.relative_to(ROOT)}")
    return 1 if outside else 0


if __name__ == "__main__":
    sys.exit(main())
