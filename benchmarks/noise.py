"""Predicted against measured errors over the corpus and parameter sets: ``python -m benchmarks.noise``.

Every run has keys, inputs and weights of its own. Programs whose weights take much memory are run at smaller sizes.
The constants of the model were fitted to programs of the tuning half alone; ``held_out`` says which the others are.
Errors are pooled over the runs of a program with a set of parameters, over the rms of its results for many random data:
a single number exceeds its own rms in a third of runs, and the result of one run may be small by chance. Exit status 1
when a prediction is below this, or more than 8 times above.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import random
import statistics
import sys
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.columns import emitted
from benchmarks.pages import markdown, rewrite
from benchmarks.predict import fitting
from benchmarks.sides import sides
from slotlang.api import check, plan
from slotlang.cost.profile import Profile, find_profile
from slotlang.cost.promise import predicted_error
from slotlang.diagnostics import SlotError
from slotlang.meaning.program import Program
from slotlang.planning.parameters import Parameters
from slotlang.planning.plan import Plan
from slotlang.planning.target import Target
from slotlang.run.runner import load_module, random_data
from slotlang_runtime import BelowPrecision, Rejected

ROOT = Path(__file__).resolve().parent.parent
OUT = Path(__file__).resolve().parent / "noise.json"
EACH = 5
"""Runs of each program with each set of parameters, at least."""
NUMBERS = 40
"""Elements of results of all runs together, at least: the rms of 40 normal numbers is 11 % off. More than 40 runs are
never needed."""
DRAWS = 1000
"""Random data whose results say how large a result is, at most: the square of one normal number is 4 % off then."""
DRAWING = 0.5
"""Seconds of CPU time after which no more are drawn."""
MAX_WEIGHTS = 20_000_000
"""Bytes of encoded weights; programs with more are run at smaller sizes."""
SLOWEST = 1.0
"""Seconds; parameters with which an evaluation is predicted to take more are left out."""
PRECISIONS = (1e-1, 1e-3, 1e-5, 1e-8, 1e-12)
MOST = 8.0
"""How far above the rms error of several runs a prediction may be."""


def held_out(program: str) -> bool:
    """Whether a program is none of those that the model's constants are fitted to. Variants of one program, which
    have its name and more, are on one side."""
    family = program.partition("_")[0]
    return hashlib.sha256(family.encode()).digest()[0] % 2 == 1


@dataclass(frozen=True)
class Case:
    """Runs of a program with one set of parameters: the predicted relative error, and the rms error of each run over
    the rms of results."""

    program: str
    held_out: bool
    sizes: dict[str, int]
    parameters: str
    predicted_error: float
    errors: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """Predicted over measured, root mean square of all runs."""
        return self.predicted_error / math.sqrt(statistics.fmean(e * e for e in self.errors))

    @property
    def ratios(self) -> list[float]:
        """Predicted over measured, run by run."""
        return [self.predicted_error / e for e in self.errors]


def _shares(bits: int, factors: int) -> tuple[int, ...]:
    """Scales of their own, as equal as can be."""
    return tuple(bits // factors + (n < bits % factors) for n in range(factors))


def plans(program: Program, profile: Profile, sets: int | None = None) -> Iterator[Plan]:
    """The fixed choice, what tutorials do, equal scales, without a dropped prime and with one after the last product,
    and what is chosen for several precisions; or this many of these ``sets``, at random. SEAL's operations evaluate
    where they take no more than ``SLOWEST``: predictions are of their noise, and compiled kernels have less."""
    seen: set[Parameters] = set()
    depth = plan(program).counts.depth
    tried = [
        None,
        Parameters(16384, (60, *[40] * depth, 60), 40, tuple(range(1, depth + 1))),
        Parameters(8192, (60, 60, 60), 108 // (depth + 1)),
        Parameters(4096, (36, 36, 37), 63 // (depth + 1)),
        Parameters(8192, (60, 60, 60), 108 // (depth + 1), (depth,), _shares(108, depth + 1)),
        Parameters(4096, (39, 35, 35), 63 // (depth + 1), (depth,), _shares(63, depth + 1)),
    ]
    asked: list[Parameters | Target | None] = [*tried, *(Target(precision=precision) for precision in PRECISIONS)]
    if sets is not None:
        random.Random(program.name).shuffle(asked)
    for choice in asked:
        if sets is not None and len(seen) >= sets:
            return
        try:
            made = (
                plan(program, target=choice, profile=profile) if isinstance(choice, Target) else plan(program, choice)
            )
        except SlotError:
            continue
        slow = replace(made, kernel="seal")
        made = slow if slow.predicted(profile).evaluation <= SLOWEST else made
        if made.parameters not in seen and made.predicted(profile).evaluation <= SLOWEST:
            seen.add(made.parameters)
            yield made


def cases(paths: list[Path], profile: Profile, sets: int | None = None) -> Iterator[tuple[str, dict[str, int], Plan]]:
    """Proved programs at sizes that fit with every set of parameters, those of degree 4096 at half the slots too; or
    with so many ``sets``, at their own slots.
    What is refuted computes something else than its theorem, exactly."""
    for path in paths:
        for given in ({}, {"slots": 2048}) if sets is None else ({},):
            try:
                program, sizes = fitting(path, MAX_WEIGHTS, given)
            except SlotError:
                continue
            if not check(program).proved:
                continue
            for made in plans(program, profile, sets):
                if not given or made.parameters.degree == 4096:
                    yield path.stem, sizes, made


def runs(made: Plan, seed: int, each: int) -> tuple[float, ...]:
    """Rms errors over the rms of results, with new keys and new data each: ``each``, or what ``NUMBERS`` needs."""
    module = load_module(emitted(made))
    elements = sum(math.prod(theorem.shape) for theorem in made.program.theorems.values())
    errors: list[float] = []
    squares: list[float] = []
    for number in range(seed, seed + max(each, math.ceil(NUMBERS / elements))):
        inputs, weights = random_data(made.program, number)
        client, _, keys, server = sides(module, weights)
        found = client.decrypt(server.evaluate(client.encrypt(**inputs), keys).data)
        expected = module.reference(inputs, weights)
        pairs = [(found[n] if len(expected) > 1 else found, expected[n]) for n in expected]
        errors.append(sum(float((np.abs(a - b) ** 2).sum()) for a, b in pairs))
        squares.append(_square(expected))
    start = time.process_time()
    for number in range(seed + len(errors), seed + DRAWS):
        if time.process_time() - start > DRAWING:
            break
        squares.append(_square(module.reference(*random_data(made.program, number))))
    return tuple(math.sqrt(error / statistics.fmean(squares)) for error in errors)


def _square(results: Mapping[str, npt.NDArray[np.float64]]) -> float:
    return sum(float((np.abs(values) ** 2).sum()) for values in results.values())


def summary(found: Sequence[Case]) -> list[str]:
    """A row of the table: of runs, and of cases."""
    single = [r for case in found for r in case.ratios]
    together = [case.ratio for case in found]
    return [
        str(len(found)),
        str(len(single)),
        str(sum(r < 1 for r in together)),
        str(sum(r > MOST for r in together)),
        f"{min(together):.2f} to {max(together):.2f}",
        f"{statistics.median(together):.2f}",
        str(sum(r < 1 for r in single)),
        f"{min(single):.2f}",
        str(sum(r > MOST for r in single)),
    ]


HEAD = (
    "programs",
    "cases",
    "runs",
    "cases above the prediction",
    "cases more than 8 times below",
    "ratio to the rms of a case",
    "median",
    "runs above the prediction",
    "least ratio of a run",
    "runs more than 8 times below",
)


def halves(found: Sequence[Case]) -> list[list[str]]:
    """The table: programs that the model was fitted to, the others, and all."""
    parts = {
        "tuning": [c for c in found if not c.held_out],
        "held out": [c for c in found if c.held_out],
        "all": list(found),
    }
    return [[name, *summary(part)] for name, part in parts.items() if part]


def shown(found: Sequence[Case], console: Console) -> None:
    """Ratios of predicted to measured errors by program and by half."""
    table = Table(title="predicted over measured error", box=None)
    for head in HEAD:
        table.add_column(head, justify="left" if head == "programs" else "right")
    for name in dict.fromkeys(c.program for c in found):
        own = [c for c in found if c.program == name]
        table.add_row(name + (" (held out)" if own[0].held_out else ""), *summary(own))
    for row in halves(found):
        table.add_row(*row, style="bold")
    console.print(table)


def write_page(found: Sequence[Case]) -> None:
    """The measured region of docs/cost.md."""
    rewrite(ROOT / "docs" / "cost.md", markdown([HEAD, *halves(found)]), "noise")


def main() -> int:
    """Run, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", help="programs of the corpus; all if left out")
    parser.add_argument("--each", type=int, default=EACH, help="runs of each program with each set of parameters")
    parser.add_argument("--sets", type=int, help="sets of parameters of each program, at random; all if left out")
    parser.add_argument("--seconds", type=float, default=math.inf, help="start no more after so much time")
    parser.add_argument("--seed", type=int, default=0, help="of the first run's data")
    parser.add_argument("--json", type=Path, default=OUT, help="the file to write")
    parser.add_argument("--docs", action="store_true", help="rewrite the figures in docs/cost.md")
    options = parser.parse_args()
    paths = [p for p in sorted((ROOT / "programs").rglob("*.slot")) if not options.names or p.stem in options.names]
    if options.names:
        for name in sorted({*options.names} - {p.stem for p in paths}):
            parser.error(f"the corpus has no program {name}")
    console, start, profile = Console(), time.monotonic(), find_profile()
    # a run that is stopped early has cases of all kinds
    everything: Iterable[tuple[str, dict[str, int], Plan]]
    if options.sets is None:
        plans_of = cases(paths, profile)
        everything = list(track(plans_of, "plans", console=console, transient=True, total=len(paths) * 6))
        random.Random(0).shuffle(everything)
        total = len(everything)
    else:
        random.Random(0).shuffle(paths)
        everything, total = cases(paths, profile, options.sets), len(paths) * options.sets
    found: list[Case] = []
    refused: list[str] = []
    warnings.simplefilter("ignore", BelowPrecision)
    for name, sizes, made in track(everything, "runs", console=console, transient=True, total=total):
        if time.monotonic() - start > options.seconds:
            break
        try:
            errors = runs(made, options.seed, options.each)
        except Rejected:
            # parameters that were given by hand, or chosen for bounds that these weights go to the end of
            refused.append(f"{name} ({made.parameters.text()})")
            continue
        found.append(Case(name, held_out(name), sizes, made.parameters.text(), predicted_error(made), errors))
    shown(found, console)
    console.print(f"{len(refused)} of {len(found) + len(refused)} refused, as weights are too large: {refused}")
    content = {
        "schema": "slotlang.noise/3",
        "refused": refused,
        "seconds": time.monotonic() - start,
        "cases": [*map(asdict, found)],
    }
    options.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    console.print(f"{time.monotonic() - start:.0f} s")
    if options.docs:
        write_page(found)
    return 1 if any(not 1 <= c.ratio <= MOST for c in found) else 0


if __name__ == "__main__":
    sys.exit(main())
