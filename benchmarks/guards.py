"""What the guards cost: ``python -m benchmarks.guards``.

Seconds of CPU for the client's check of its inputs and for the tripwire of decryption, over those of a whole request:
encrypt, evaluate, decrypt, for ``rank_complex`` with 4096 channels. Medians of runs that take turns. Exit status 1
where the guards take more than 5 %.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.columns import emitted
from benchmarks.pages import markdown, rewrite
from benchmarks.sides import sides
from slotlang.api import load, plan
from slotlang.run.runner import load_module
from slotlang_runtime.data import random_data

ROOT = Path(__file__).resolve().parent.parent
MOST = 0.05
REPEATS = 15
BATCHES = (8, 1)
HEADS = ("tokens", "request ms", "check of inputs ms", "tripwire ms", "guards")


def cpu(action: Callable[[], Any]) -> float:
    """Seconds of process CPU time."""
    start = time.process_time()
    action()
    return time.process_time() - start


def measured(batch: int) -> tuple[list[str], float]:
    """A row of the table, and the share of the guards."""
    module = load_module(emitted(plan(load(ROOT / "programs" / "rank_complex.slot", {"batch": batch}))))
    inputs, weights = random_data(module, 0)
    client, _, keys, server = sides(module, weights)
    names = list(module.returned().items())
    rng = np.random.default_rng(0)
    # as decryption has them when it looks for the largest
    coefficients = rng.standard_normal((len(names), module.parameters.degree))

    def check() -> None:
        for name, limit in client.limits.items():
            limit.check(name, inputs[name])

    def tripwire() -> None:
        most = np.abs(coefficients).max(axis=1)
        for (name, family), size in zip(names, most.tolist(), strict=True):
            client._check_range(name, family, size)

    def request() -> None:
        client.decrypt(server.evaluate(client.encrypt(**inputs), keys).data)

    actions = {"request": request, "check": check, "tripwire": tripwire}
    seconds: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(REPEATS):
        server.prepare()
        for what, action in actions.items():
            seconds[what].append(cpu(action))
    found = {what: statistics.median(times[1:]) for what, times in seconds.items()}
    share = (found["check"] + found["tripwire"]) / found["request"]
    return [str(batch), *(f"{1000 * s:.2f}" for s in found.values()), f"{100 * share:.1f} %"], share


def main() -> int:
    """Measure, print, and rewrite the page where asked."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--docs", action="store_true", help="rewrite the figures in docs/numbers.md")
    options = parser.parse_args()
    rows = [measured(batch) for batch in BATCHES]
    lines = markdown([list(HEADS), *(row for row, _ in rows)])
    print("\n".join(lines))
    if options.docs:
        rewrite(ROOT / "docs" / "numbers.md", lines, "guards")
    return 1 if max(share for _, share in rows) > MOST else 0


if __name__ == "__main__":
    sys.exit(main())
