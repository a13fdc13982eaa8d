"""What ``slotlang synth`` picks, measured as benchmarks/schemes.py measures it.

A configuration that is still to be searched for has a ``precision``, and with ``most_up`` how many ciphertexts of x may
go up: copies in them save rotations (``slotlang synth --copies``).
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Any

from benchmarks.peers.common import Configuration, Result, Task, peak_memory
from benchmarks.schemes import measured
from slotlang.api import loads
from slotlang.cost.profile import find_profile
from slotlang.planning.parameters import Parameters
from slotlang.planning.target import Target
from slotlang.search.candidate import Limits
from slotlang.search.search import search, start
from slotlang.search.structure import Shape

COPIES = (2, 4, 8, 16)


def scheme(precision: float, copied: bool) -> str:
    return f"synth {precision:.0e}".replace("e-0", "e-") + (", copies" if copied else "")


def picked(task: Task, precision: float, most_up: int | None = None) -> Configuration:
    """The winner of a search, as data."""
    d, r, tokens = task.shape
    candidates = []
    for copies in (1,) if most_up is None else COPIES:
        found = start(Shape(d, d, r, tokens), "time", Target(precision=precision), Limits(copies=copies))
        search(found, find_profile())
        candidates += [c for c in found.candidates if most_up is None or c.counts.ciphertexts_in <= most_up]
    best = min(candidates, key=lambda c: c.by("time"))
    sent = {"up": best.counts.ciphertexts_in, "down": best.counts.ciphertexts_out}
    return {
        "scheme": scheme(precision, most_up is not None),
        "precision": precision,
        "text": best.text,
        "parameters": best.parameters.to_json(),
        **sent,
    }


def measure(task: Task, configuration: Configuration) -> Result:
    """The row of benchmarks/schemes.py, which holds the same weights and inputs."""
    if "text" not in configuration:
        configuration = picked(task, **configuration)
    # JSON has lists where parameters have tuples
    given: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in configuration["parameters"].items()}
    parameters = Parameters(**given)
    row = measured(loads(configuration["text"]), parameters, task.shape, configuration["scheme"])
    return Result(
        scheme=row.scheme,
        configuration=configuration,
        parameters=f"{parameters.degree}: {','.join(map(str, parameters.primes))}"
        + (f", {parameters.rescales()}" if parameters.drops or parameters.cut else ""),
        milliseconds=1e3 * row.seconds,
        threads=None,
        keys=row.keys,
        key_bytes=row.key_bytes,
        upload_ciphertexts=configuration["up"],
        upload_bytes=row.upload_bytes,
        download_ciphertexts=configuration["down"],
        download_bytes=row.download_bytes,
        max_error=None,
        error=row.error,
        peak_memory=peak_memory(),
    )


def main() -> None:
    """Print a line for each of the given configurations."""
    path, chosen = sys.argv[1:]
    task = Task.load(path)
    for configuration in json.loads(chosen):
        print(json.dumps(asdict(measure(task, configuration))), flush=True)


if __name__ == "__main__":
    main()
