"""Predicted against measured errors on given weights, large and small: ``python -m benchmarks.noise_weights``.

Programs of the corpus with weights of three sizes, as LoRA adapters have them: rows of sizes that differ, and
parameters chosen for these weights. Every run has keys and inputs of its own. Errors are pooled over runs and over the
elements of a result. Exit status 1 when a prediction is below the measured rms error, or more than 6 times above.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.columns import emitted
from benchmarks.pages import markdown, rewrite
from benchmarks.sides import sides
from slotlang.api import load, plan
from slotlang.cost.data import DataPowers
from slotlang.meaning.program import Program
from slotlang.planning.plan import Plan
from slotlang.planning.target import Target
from slotlang.run.runner import load_module, random_data

ROOT = Path(__file__).resolve().parent.parent
OUT = Path(__file__).resolve().parent / "noise_weights.json"
PROGRAMS: Mapping[str, dict[str, int]] = {
    "lora": {"d_in": 1024, "d_out": 512},
    "rank_complex": {"d": 512, "r": 8},
    "nonsquare": {},
    "several_outputs": {},
    "squat_tall": {},
    "gated": {},
    "columns": {"d": 64, "n": 32, "r": 8},
}
SCALES = (0.02, 1e-3, 1e-4)
"""Sizes of the weights that LoRA calls B; those of A, with which training starts, are 0.005 at least."""
A_SCALE = 0.005
EACH = 72
PRECISION = 1e-3
MOST = 6.0
"""How far above the measured rms error a prediction may be."""

Arrays = dict[str, npt.NDArray[np.float64]]


@dataclass(frozen=True)
class Case:
    """A result of a program with weights of one size: predicted and measured relative rms error, over all runs."""

    program: str
    scale: float
    result: str
    parameters: str
    runs: int
    predicted: float
    measured: float

    @property
    def ratio(self) -> float:
        """Predicted over measured."""
        return self.predicted / self.measured


def small_weights(program: Program, scale: float, seed: int = 5) -> Arrays:
    """Normal weights of this size, with rows whose sizes differ log-normally; scalars are 2."""
    rng = np.random.default_rng(seed)
    _, weights = random_data(program, seed)
    found: Arrays = {}
    for number, (name, array) in enumerate(weights.items()):
        if array.ndim == 0:
            found[name] = np.array(2.0)
            continue
        rows = np.exp(rng.normal(0.0, 1.0, (len(array), *[1] * (array.ndim - 1))))
        size = scale if number % 2 else max(scale, A_SCALE)
        found[name] = array * math.sqrt(array.shape[-1]) * size * rows
    return found


def measured(made: Plan, weights: Arrays, runs: int, seed: int = 100) -> dict[str, float]:
    """The relative rms error of each result, over this many runs."""
    module = load_module(emitted(made))
    off: dict[str, float] = {}
    size: dict[str, float] = {}
    for number in range(runs):
        inputs, _ = random_data(made.program, seed + number)
        client, _, keys, server = sides(module, weights)
        found = client.decrypt(server.evaluate(client.encrypt(**inputs), keys).data)
        for name, wanted in module.reference(inputs, weights).items():
            value = found[name] if len(module.results) > 1 else found
            off[name] = off.get(name, 0.0) + float((np.abs(value - wanted) ** 2).sum())
            size[name] = size.get(name, 0.0) + float((np.abs(wanted) ** 2).sum())
    return {name: math.sqrt(off[name] / size[name]) for name in off}


def cases(name: str, scale: float, runs: int) -> Iterator[Case]:
    """Of each result of a program, with parameters that are chosen for the weights."""
    (path,) = (p for p in (ROOT / "programs").rglob("*.slot") if p.stem == name)
    program = load(path, PROGRAMS[name])
    weights = small_weights(program, scale)
    made = plan(program, target=Target(precision=PRECISION, data=DataPowers(weights)))
    predicted = made.promise
    errors = measured(made, weights, runs)
    parts = made.gains.results or {next(iter(errors)): made.gains}
    assert predicted.relative_error <= PRECISION
    for result, error in errors.items():
        yield Case(name, scale, result, made.parameters.text(), runs, parts[result].error(made.parameters), error)


def main() -> int:
    """Run, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", help="programs of the corpus; all if left out")
    parser.add_argument("--each", type=int, default=EACH, help="runs of each program with weights of each size")
    parser.add_argument("--json", type=Path, default=OUT, help="the file to write")
    parser.add_argument("--docs", action="store_true", help="rewrite the figures in docs/cost.md")
    options = parser.parse_args()
    console, start = Console(), time.monotonic()
    wanted = [(name, scale) for name in options.names or PROGRAMS for scale in SCALES]
    found: list[Case] = []
    for name, scale in track(wanted, "runs", console=console, transient=True):
        found += cases(name, scale, options.each)
    head = ("program", "weights", "result", "runs", "predicted", "measured", "ratio")
    rows = [
        [c.program, f"{c.scale:g}", c.result, str(c.runs), f"{c.predicted:.1e}", f"{c.measured:.1e}", f"{c.ratio:.2f}"]
        for c in found
    ]
    table = Table(title="predicted over measured error on given weights", box=None)
    for number, name in enumerate(head):
        table.add_column(name, justify="left" if number in (0, 2) else "right")
    for row in rows:
        table.add_row(*row)
    console.print(table)
    content = {
        "schema": "slotlang.noise_weights/1",
        "seconds": time.monotonic() - start,
        "cases": [*map(asdict, found)],
    }
    options.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    if options.docs:
        rewrite(ROOT / "docs" / "cost.md", markdown([head, *rows]), "noise-weights")
    return 1 if any(not 1 <= c.ratio <= MOST for c in found) else 0


if __name__ == "__main__":
    sys.exit(main())
