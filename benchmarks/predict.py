"""Predicted against measured times of every program of the corpus: ``python -m benchmarks.predict [NAME...]``.

Measured is process CPU time of one thread, the median of repeated runs. Primitives are measured in the same run, half
of the time before the programs and half after. Both are taken over a yardstick, the time of one operation right before
and after, and given in the machine's fast moments; ``as_measured`` is the median as it was.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from slotlang.api import load, lower, plan
from slotlang.cost.calibrate import Yardstick, calibrate
from slotlang.cost.predict import predict
from slotlang.cost.profile import Profile, find_profile
from slotlang.diagnostics import SlotError
from slotlang.run.runner import load_module, random_data

ROOT = Path(__file__).resolve().parent.parent
MAX_WEIGHTS = 700_000_000
"""Bytes of encoded weights; programs with more are measured at smaller sizes."""
SECONDS = 1.0
"""Repeated runs of one program stop after so much time, and after three runs at least."""
PARTS = ("evaluation", "encoding", "encryption", "decryption")


def fitting(path: Path, most: int = MAX_WEIGHTS, given: dict[str, int] | None = None):
    """The program at its own sizes (or those given), or at smaller ones whose weights fit: its largest is halved."""
    sizes = dict(given or {})
    while True:
        program = load(path, sizes)
        made = plan(program)
        if made.counts.plaintexts * made.parameters.plaintext_bytes() <= most:
            return program, sizes
        largest = max((n for n in program.parameters if n != "slots"), key=lambda n: program.sizes[n])
        sizes = {**sizes, largest: program.sizes[largest] // 2}


def measured(path: Path, yardstick: Yardstick) -> dict[str, object]:
    """Yardsticks that each part of one program takes, its plan, and the evaluation's seconds."""
    program, sizes = fitting(path)
    made = lower(program, unproved=True)
    module = load_module(made.text)
    inputs, weights = random_data(program, 0)
    client = module.Client()
    server = module.Server(client.evaluation_keys())

    seconds: list[float] = []

    def timed(action):
        before = yardstick.now()
        start = time.process_time()
        result = action()
        seconds.append(time.process_time() - start)
        return 2 * seconds[-1] / (before + yardstick.now()), result

    encoding, _ = timed(lambda: server.encode(**weights))
    uploads = [timed(lambda: client.encrypt(**inputs)) for _ in range(3)]
    cipher = server.load_inputs(uploads[0][1])
    server.compute(cipher)
    evaluations: list[float] = []
    seconds.clear()
    while len(evaluations) < 3 or (sum(seconds) < SECONDS and len(evaluations) < 25):
        evaluations.append(timed(lambda: server.compute(cipher))[0])
    as_measured = statistics.median(seconds)
    download = server.evaluate(uploads[0][1])
    decryption = statistics.median(timed(lambda: client.decrypt(download))[0] for _ in range(3))
    return {
        "sizes": sizes,
        "plan": made.plan,
        "evaluation": statistics.median(evaluations),
        "as_measured": as_measured,
        "encoding": encoding,
        "encryption": statistics.median(s for s, _ in uploads),
        "decryption": decryption,
    }


def together(a: Profile, b: Profile) -> Profile:
    """The mean of two measurements of one machine."""
    table = {
        degree: {
            name: {k: (s + b.table[degree][name][k]) / 2 for k, s in times.items()}
            for name, times in primitives.items()
        }
        for degree, primitives in a.table.items()
    }
    return replace(a, table=table, load=max(a.load, b.load))


def compare(paths: list[Path], console: Console, given: Profile | None = None) -> dict[str, object]:
    """Measure the programs, print the table, and return it as plain data.

    Without a profile, primitives are measured in this run.
    """
    with console.status("primitives"):
        before = given or calibrate(seconds=15)
    yardstick = Yardstick()
    found = [(path, measured(path, yardstick)) for path in track(paths, "programs", console=console, transient=True)]
    with console.status("primitives"):
        profile = given or together(before, calibrate(seconds=15))
    rows = []
    for path, values in found:
        made = values["plan"]
        expected = predict(made.graph, made.parameters.degree, made.parameters.data_primes, profile)
        row: dict[str, object] = {"program": path.stem, "sizes": values["sizes"]}
        for part in PARTS:
            row[part] = {
                "predicted_seconds": getattr(expected, part),
                "measured_seconds": values[part] * yardstick.fastest,
            }
        row["as_measured_seconds"] = values["as_measured"]
        row["ratio"] = expected.evaluation / row["evaluation"]["measured_seconds"]
        rows.append(row)
    off = sorted(abs(row["ratio"] - 1) for row in rows)
    result = {
        "profile": profile.name,
        "load": max(profile.load, os.getloadavg()[0]),
        "programs": rows,
        "median_error": statistics.median(off),
        "worst_error": off[-1],
    }
    _print(result, console)
    return result


def _print(result: dict[str, object], console: Console) -> None:
    table = Table(title="predicted / measured, ms of CPU, one thread", box=None)
    table.add_column("program")
    for part in PARTS:
        table.add_column(part, justify="right")
    table.add_column("off", justify="right")
    for row in result["programs"]:
        sizes = " ".join(f"{k}={v}" for k, v in row["sizes"].items())
        cells = [f"{1e3 * row[p]['predicted_seconds']:.1f} / {1e3 * row[p]['measured_seconds']:.1f}" for p in PARTS]
        table.add_row(f"{row['program']} {sizes}".strip(), *cells, f"{100 * (row['ratio'] - 1):+.0f} %")
    console.print(table)
    console.print(
        f"evaluation off by {100 * result['median_error']:.1f} % (median), "
        f"{100 * result['worst_error']:.1f} % (worst)\n"
        f"{result['profile']}; load {result['load']:.1f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", help="programs; all of the corpus without")
    parser.add_argument("--profile", action="store_true", help="predict by the profile in use, measure none")
    options = parser.parse_args()
    paths = sorted((ROOT / "programs").rglob("*.slot"))
    chosen = [p for p in paths if p.stem in options.names] if options.names else paths
    try:
        compare(chosen, Console(), find_profile() if options.profile else None)
    except SlotError as problem:
        raise SystemExit(str(problem)) from None


if __name__ == "__main__":
    main()
