"""Predicted against measured times over the corpus and parameter sets: ``python -m benchmarks.predict [NAME...]``.

Measured is process CPU time of one thread: every case is visited several times, minutes apart and each time in another
order, and its time is the median of the calmer half of its runs, warm ones: the same goes before each for 10 ms. So a
moment in which the machine is slow is left out. Primitives are measured in the same run, before, between and after the
visits. Both are taken over a yardstick, the time of one operation right before and after, and given in the machine's
fast moments;
``as_measured_seconds`` is the median as it was.
Exit status 1 when a phase is off by more than 15 % in the median or 30 % at worst.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # idle BLAS threads burn CPU time that is not the phase's

from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.columns import emitted
from benchmarks.pages import markdown, rewrite
from benchmarks.sides import in_range, sides
from slotlang.api import load, plan
from slotlang.cost.profile import Profile, find_profile
from slotlang.cost.profile import Table as Times
from slotlang.diagnostics import SlotError
from slotlang.meaning.program import Program
from slotlang.planning.parameters import Parameters
from slotlang.planning.plan import Plan
from slotlang.planning.target import Target
from slotlang.run.calibrate import POINTS, Yardstick, calibrate, calm
from slotlang.run.primitives import WARM
from slotlang.run.runner import load_module, random_data
from slotlang_runtime.labels import module_label
from slotlang_runtime.seal.ring import Ring
from slotlang_runtime.weights import checked_weights
from slotlang_runtime.wire import pack

ROOT = Path(__file__).resolve().parent.parent
OUT = Path(__file__).resolve().parent / "predict.json"
MAX_WEIGHTS = 150_000_000
"""Bytes of encoded weights; programs with more are measured at smaller sizes."""
VISITS = 2
"""Times that every case is measured. Primitives are measured before, between and after them."""
SLICE_SECONDS = 10.0
SECONDS = 0.1
"""Repeated runs of one phase in one visit stop after so much time."""
SHORT = 0.05
"""Seconds; of a phase that takes less, others go before each run for a while, untimed."""
RUNS = range(2, 6)
"""Least and most runs of a phase in one visit."""
PHASES = ("encoding", "encryption", "reading", "evaluation", "masking", "saving", "decryption")
"""Encoding is done once; the others are the parts of a request."""
MEDIAN, WORST = 0.15, 0.30
"""How far off predictions of a phase may be, in the median and at worst."""


def fitting(path: Path, most: int = MAX_WEIGHTS, given: dict[str, int] | None = None) -> tuple[Program, dict[str, int]]:
    """The program at its own sizes (or those given), or at smaller ones whose weights fit: its largest is halved."""
    sizes = dict(given or {})
    while True:
        program = load(path, sizes)
        made = plan(program)
        if made.counts.plaintexts * made.parameters.plaintext_bytes() <= most:
            return program, sizes
        largest = max((n for n in program.parameters if n != "slots"), key=lambda n: program.sizes[n])
        sizes = {**sizes, largest: program.sizes[largest] // 2}


def plans(program: Program, profile: Profile) -> Iterator[Plan]:
    """The fixed choice, what tutorials do, and what is chosen for a precision of 1e-3."""
    seen: set[Parameters] = set()
    depth = plan(program).counts.depth
    tutorial = Parameters(16384, (60, *[40] * depth, 60), 40, tuple(range(1, depth + 1)))
    makers: list[Callable[[], Plan]] = [
        lambda: plan(program),
        lambda: plan(program, tutorial),
        lambda: plan(program, target=Target(precision=1e-3), profile=profile),
    ]
    for maker in makers:
        try:
            made = maker()
        except SlotError:
            continue
        if made.parameters not in seen:
            seen.add(made.parameters)
            yield made


def cases(paths: list[Path], profile: Profile) -> Iterator[tuple[str, dict[str, int], Plan]]:
    """Programs with every set of parameters, and at half the slots with what is chosen for a precision."""
    for path in paths:
        program, sizes = fitting(path)
        yield from ((path.stem, sizes, made) for made in plans(program, profile))
        try:
            program, sizes = fitting(path, given={"slots": 2048})
            made = plan(program, target=Target(precision=1e-3), profile=profile)
        except SlotError:
            continue
        if made.parameters.degree == 4096:
            yield path.stem, sizes, made


@dataclass(frozen=True)
class Measured:
    """Of each phase, what runs took in seconds, with twice the yardstick beside each."""

    runs: dict[str, list[tuple[float, float]]]

    @classmethod
    def of_visits(cls, visits: list[Measured]) -> Measured:
        """The runs of all visits of one case."""
        return cls({phase: [run for visit in visits for run in visit.runs[phase]] for phase in PHASES})

    @property
    def yardsticks(self) -> dict[str, float]:
        """Medians of the calmer half of the runs, in yardsticks."""
        return {phase: calm((yard, 2 * seconds / yard) for yard, seconds in runs) for phase, runs in self.runs.items()}

    @property
    def seconds(self) -> dict[str, float]:
        """Medians of all runs."""
        return {phase: statistics.median(seconds for _, seconds in runs) for phase, runs in self.runs.items()}


def measured(made: Plan, text: str, yardstick: Yardstick) -> Measured:
    """Run every phase of a plan's module, given as text, several times."""
    module = load_module(text)
    inputs, weights = random_data(made.program, 0)
    weights = in_range(module, weights)
    client, _, keys, server = sides(module, weights)
    ring, arrays = Ring(module.parameters, module.slots), checked_weights(module, weights)
    upload = client.encrypt(**inputs)
    cipher = server.load(upload)
    evaluated, _ = server.compute(cipher, keys)
    download = server.evaluate(upload, keys).data
    # what the first call finds out and keeps
    client.decrypt(download)

    def prepare() -> None:
        server._prepared.clear()
        server.prepare()

    actions: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
        "encoding": (lambda: None, lambda: type(server.engine).encode(module, ring, arrays)),
        "encryption": (lambda: None, lambda: client.encrypt(**inputs)),
        "reading": (lambda: None, lambda: server.load(upload)),
        "evaluation": (prepare, lambda: server.compute(cipher, keys)),
        "masking": (server._prepared.clear, server.prepare),
        "saving": (lambda: None, lambda: pack("results", module_label(module), server.engine.save(evaluated.results))),
        "decryption": (lambda: None, lambda: client.decrypt(download)),
    }
    runs: dict[str, list[tuple[float, float]]] = {name: [] for name in actions}
    for number in range(RUNS.stop):
        for name, (before, action) in actions.items():
            taken = [seconds for _, seconds in runs[name]]
            if number >= RUNS.start and sum(taken) > SECONDS:
                continue
            first = yardstick.now()
            before()
            start = time.process_time()
            # as primitives are measured: code and tables are in the caches, and the processor is as fast as it becomes
            while min(taken, default=0.0) < SHORT and time.process_time() < start + WARM:
                action()
                before()
            start = time.process_time()
            action()
            seconds = time.process_time() - start
            runs[name].append((first + yardstick.now(), seconds))
    return Measured(runs)


def together(parts: list[tuple[Profile, float]], fastest: float) -> Profile:
    """The median of several measurements of one machine, each with the yardstick's fastest time that it knew: all in
    the moments that were ``fastest`` of all."""
    first, _ = parts[0]

    def median(of: Callable[[Profile], Times]) -> Times:
        return {
            degree: {
                name: {
                    k: statistics.median(fastest / known * of(p)[degree][name][k] for p, known in parts) for k in times
                }
                for name, times in primitives.items()
            }
            for degree, primitives in of(first).items()
        }

    return replace(
        first,
        table=median(lambda p: p.table),
        kernels=median(lambda p: p.kernels),
        small={bits: median(lambda p, bits=bits: p.small[bits]) for bits in first.small},
        load=max(p.load for p, _ in parts),
    )


@dataclass(frozen=True)
class Row:
    """Predicted and measured seconds of a case, by phase. ``as_measured_seconds``: not corrected by the yardstick."""

    program: str
    sizes: dict[str, int]
    parameters: str
    predicted_seconds: dict[str, float]
    measured_seconds: dict[str, float]
    as_measured_seconds: dict[str, float]

    def ratio(self, phase: str) -> float | None:
        """Predicted over measured; None where there is nothing to do, as without weights or masks."""
        if not self.predicted_seconds[phase]:
            return None
        return self.predicted_seconds[phase] / self.measured_seconds[phase]


def off(rows: list[Row], phase: str) -> tuple[float, float, Row]:
    """By how much predictions of a phase are off, in the median and at worst, and where that is."""
    found = [(abs(ratio - 1), row) for row in rows if (ratio := row.ratio(phase)) is not None]
    worst = max(found, key=lambda f: f[0])
    return statistics.median(error for error, _ in found), *worst


def present(rows: list[Row]) -> list[str]:
    """Phases in which there is something to do: programs that were named may have no masks."""
    return [phase for phase in PHASES if any(row.ratio(phase) is not None for row in rows)]


HEAD = ("phase", "cases", "median off by", "worst off by", "which is")


def phases(rows: list[Row]) -> list[list[str]]:
    """The table: how far off predictions of each phase are."""
    table = []
    for phase in present(rows):
        count = sum(row.ratio(phase) is not None for row in rows)
        median, worst, row = off(rows, phase)
        degree = row.parameters.partition(":")[0]
        table.append([phase, str(count), f"{100 * median:.1f} %", f"{100 * worst:.1f} %", f"{row.program}, {degree}"])
    return table


def compare(
    paths: list[Path], console: Console, given: Profile | None = None, count: int = VISITS
) -> tuple[list[Row], Profile]:
    """Measure every case and the primitives; without a profile, predict by those measured in this run."""
    everything = list(
        track(cases(paths, find_profile()), "plans", console=console, transient=True, total=3 * len(paths))
    )
    degrees = sorted({made.parameters.degree for _, _, made in everything} & {*POINTS})
    texts = [
        emitted(made, unproved=True) for _, _, made in track(everything, "modules", console=console, transient=True)
    ]
    slices: list[tuple[Profile, float]] = []

    def primitives() -> None:
        if given is None:
            with console.status("primitives"):
                made = calibrate(seconds=SLICE_SECONDS, degrees=degrees, yardstick=yardstick)
                slices.append((made, yardstick.fastest))

    yardstick = Yardstick()
    primitives()
    visits: list[list[Measured]] = [[] for _ in everything]
    for visit in range(count):
        order = list(range(len(everything)))
        random.Random(visit).shuffle(order)
        for number in track(order, f"visit {visit + 1} of {count}", console=console, transient=True):
            visits[number].append(measured(everything[number][2], texts[number], yardstick))
        primitives()
    profile = given or together(slices, yardstick.fastest)
    found = map(Measured.of_visits, visits)
    rows = []
    for (name, sizes, made), times in zip(everything, found, strict=True):
        expected = made.predicted(profile)
        rows.append(
            Row(
                name,
                sizes,
                made.parameters.text() + (", matrix products" if made.kernel == "matrix" else ""),
                {phase: getattr(expected, phase) for phase in PHASES},
                {phase: yards * yardstick.fastest for phase, yards in times.yardsticks.items()},
                times.seconds,
            )
        )
    return sorted(rows, key=lambda row: row.program), profile


def shown(rows: list[Row], console: Console) -> None:
    """Every case, and how far off each phase is."""
    table = Table(title="predicted / measured, ms of CPU, one thread", box=None)
    for head in ("program", "parameters", *PHASES):
        table.add_column(head, justify="left" if head in ("program", "parameters") else "right")
    for row in rows:
        cells = [f"{1e3 * row.predicted_seconds[p]:.1f} / {1e3 * row.measured_seconds[p]:.1f}" for p in PHASES]
        sizes = " ".join(f"{k}={v}" for k, v in row.sizes.items())
        table.add_row(f"{row.program} {sizes}".strip(), row.parameters.partition(", scale")[0], *cells)
    console.print(table)
    table = Table(box=None)
    for head in HEAD:
        table.add_column(head, justify="left" if head in ("phase", "which is") else "right")
    for line in phases(rows):
        table.add_row(*line)
    console.print(table)


def main() -> int:
    """Measure, print the tables, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", help="programs; all of the corpus without")
    parser.add_argument("--profile", action="store_true", help="predict by the profile in use, measure no primitives")
    parser.add_argument("--visits", type=int, default=VISITS, help="times that every case is measured, at least 1")
    parser.add_argument("--json", type=Path, default=OUT, help="the file to write")
    parser.add_argument("--docs", action="store_true", help="rewrite the figures in docs/cost.md")
    options = parser.parse_args()
    paths = [p for p in sorted((ROOT / "programs").rglob("*.slot")) if not options.names or p.stem in options.names]
    for name in sorted({*options.names} - {p.stem for p in paths}):
        parser.error(f"the corpus has no program {name}")
    console = Console()
    try:
        rows, profile = compare(paths, console, find_profile() if options.profile else None, max(options.visits, 1))
    except SlotError as problem:
        raise SystemExit(str(problem)) from None
    shown(rows, console)
    load = max(profile.load, os.getloadavg()[0])
    console.print(f"{profile.name}; load {load:.1f}")
    content = {
        "schema": "slotlang.predict/1",
        "profile": profile.to_json(),
        "load": load,
        "cases": [*map(asdict, rows)],
    }
    options.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    if options.docs:
        rewrite(ROOT / "docs" / "cost.md", markdown([HEAD, *phases(rows)]), "predict")
    errors = [off(rows, phase) for phase in present(rows)]
    return int(any(median > MEDIAN or worst > WORST for median, worst, _ in errors))


if __name__ == "__main__":
    sys.exit(main())
