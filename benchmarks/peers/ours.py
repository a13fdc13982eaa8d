"""What ``slotlang synth`` picks, measured as benchmarks/schemes.py measures it."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

from benchmarks.peers.common import Configuration, Result, Task, peak_memory
from benchmarks.schemes import measured
from slotlang.api import loads
from slotlang.cost.profile import find_profile
from slotlang.lowering.parameters import Parameters
from slotlang.search.search import Limits, search, start
from slotlang.search.structure import Shape

PRECISIONS = (1e-3, 1e-6)


def scheme(precision: float) -> str:
    return f"synth {precision:.0e}".replace("e-0", "e-")


def picked(task: Task, precision: float) -> Configuration:
    """The winner of a search, as data."""
    d, r, tokens = task.shape
    found = start(Shape(d, d, r, tokens), "time", precision, Limits())
    search(found, find_profile())
    best = found.ranked[0]
    sent = {"up": best.ciphertexts_in, "down": best.ciphertexts_out}
    return {
        "scheme": scheme(precision),
        "precision": precision,
        "text": best.text,
        "parameters": best.parameters.to_json(),
        **sent,
    }


def measure(task: Task, configuration: Configuration) -> Result:
    """The row of benchmarks/schemes.py, which holds the same weights and inputs."""
    given = configuration["parameters"]
    parameters = Parameters(**{**given, "primes": tuple(given["primes"]), "scales": tuple(given["scales"])})
    row = measured(loads(configuration["text"]), parameters, task.shape, configuration["scheme"])
    return Result(
        scheme=row.scheme,
        configuration=configuration,
        parameters=f"{parameters.degree}: {','.join(map(str, parameters.primes))}"
        + (" rescaled" if parameters.rescale else "")
        + (" but for the last product" if parameters.keep_last else ""),
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
    """Search where no configurations are given, and print a line for each."""
    path, *chosen = sys.argv[1:]
    task = Task.load(path)
    for configuration in json.loads(chosen[0]) if chosen else [picked(task, p) for p in PRECISIONS]:
        print(json.dumps(asdict(measure(task, configuration))), flush=True)


if __name__ == "__main__":
    main()
