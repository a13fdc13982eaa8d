"""``make bench``: compiled kernels beside SEAL's operations by part of a request, workers and kept weights, and the
cost of proofs, in one run, as tables and a JSON file.

The same module is run by compiled kernels and by SEAL's operations, on the same key, weights and inputs, in one
process, in turns. Times are medians of CPU time of one thread.
"""

from __future__ import annotations

import json
import statistics
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.workers import workers
from slotlang.api import check, load, lower
from slotlang.planning.target import Target
from slotlang.run.runner import load_module, random_data
from slotlang_runtime import Client, EvaluationKeys, SecretKey, Server, Weights
from slotlang_runtime.wire import pack

ROOT = Path(__file__).resolve().parent.parent
OUT = Path(__file__).resolve().parent / "results.json"
REPEATS = 15
CASES = (({"d": 4096, "batch": 8}, 1e-3), ({"d": 4096, "batch": 8}, 1e-6), ({"d": 4096, "batch": 1}, 1e-3))
"""Sizes of rank_complex with r = 16, and the relative error."""


def cpu(action) -> float:
    """Seconds of CPU time of this thread."""
    start = time.thread_time()
    action()
    return time.thread_time() - start


def median(action, repeats=REPEATS) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def beside_seal(sizes: dict[str, int], precision: float) -> dict[str, object]:
    """Seconds of the parts of a request by compiled kernels and by SEAL's operations."""
    program = load(ROOT / "programs" / "rank_complex.slot", sizes)
    module = load_module(lower(program, target=Target(precision=precision)).text)
    inputs, weights = random_data(program, 0)
    secret = SecretKey(module.parameters.ring)
    sides = {}
    for kernel in ("compiled", "seal"):
        one = replace(module, kernel=kernel)
        client = Client(one, secret)
        server = Server(Weights.encode(one, **weights))
        sides[kernel] = client, EvaluationKeys.from_bytes(client.evaluation_keys()), server, client.encrypt(**inputs)
    times: dict[str, list[float]] = defaultdict(list)
    counts = {}
    for number in range(REPEATS + 2):
        for kernel, (client, keys, server, upload) in sides.items():
            held = {}

            def part(name: str, action, kernel=kernel, held=held, number=number) -> None:
                seconds = cpu(lambda: held.update({name: action()}))
                if number > 1:
                    times[f"{kernel} {name}"].append(seconds)

            server._prepared.clear()
            part("encryption", lambda client=client: client.encrypt(**inputs))
            part("reading", lambda server=server, upload=upload: server.load(upload))
            part("masking", server.prepare)
            part(
                "evaluation",
                lambda server=server, keys=keys, held=held: server.compute(held["reading"], keys),
            )
            evaluated, _ = held["evaluation"]
            part(
                "saving",
                lambda server=server, evaluated=evaluated: pack("results", {}, server.engine.save(evaluated.results)),
            )
            results = server.evaluate(upload, keys).data
            part("decryption", lambda client=client, results=results: client.decrypt(results))
            counts = dict(evaluated.counts)
    seconds = {name: statistics.median(found) for name, found in times.items()}
    return {
        "sizes": sizes,
        "precision": precision,
        "parameters": module.parameters.prime_bits,
        "counts": counts,
        "seconds": seconds,
        "ratio": seconds["compiled evaluation"] / seconds["seal evaluation"],
    }


def proof(d: int) -> dict[str, object]:
    """Binding and proving rank_complex; seconds."""
    path = ROOT / "programs" / "rank_complex.slot"
    return {"d": d, "polyhedral_seconds": median(lambda: check(load(path, {"d": d}), "polyhedral"), 5)}


PARTS = ("encryption", "reading", "masking", "evaluation", "saving", "decryption")


def main() -> None:
    """Measure, print the tables, write the JSON."""
    found = [beside_seal(sizes, precision) for sizes, precision in CASES]
    console = Console()
    title = "rank_complex, r = 16, d = 4096: ms of one thread by compiled kernels / by SEAL's operations"
    table = Table(title=title, box=None)
    for head in ("tokens", "precision", *PARTS, "evaluation, of SEAL's"):
        table.add_column(head, justify="right")
    for row in found:
        seconds = row["seconds"]
        parts = [f"{1e3 * seconds[f'compiled {p}']:.1f} / {1e3 * seconds[f'seal {p}']:.1f}" for p in PARTS]
        about = [str(row["sizes"]["batch"]), f"{row['precision']:.0e}"]
        table.add_row(*about, *parts, f"{row['ratio']:.2f}")
    console.print(table)
    proofs = [proof(1 << 12), proof(1 << 20)]
    proofs_table = Table(title="parse, bind and prove (rank_complex, polyhedral)", box=None)
    for head in ("d", "ms"):
        proofs_table.add_column(head, justify="right")
    for row in proofs:
        proofs_table.add_row(str(row["d"]), f"{1000 * row['polyhedral_seconds']:.1f}")
    console.print(proofs_table)
    values = {"schema": "slotlang.bench/4", "beside_seal": found, "workers": workers(console), "proofs": proofs}
    OUT.write_text(json.dumps(values, indent=2) + "\n")
    console.print(f"written to {OUT.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
