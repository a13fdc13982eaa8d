"""``make bench``: the evaluator's floor, workers and kept weights, and the cost of proofs, in one
run, as tables and a JSON file.

The floor of an evaluation is the sum of its primitive operations, each measured in the same process on the same
keys between evaluations: median seconds of CPU times the counts executed. There are two floors: of the operations that
the module uses, sums of products in one pass among them, and of SEAL's own, one by one.
"""

from __future__ import annotations

import itertools
import json
import statistics
import time
from collections import Counter
from pathlib import Path

import tenseal.sealapi as seal
from rich.console import Console
from rich.table import Table

from benchmarks.sides import sides
from benchmarks.workers import workers
from slotlang.api import check, load, lower
from slotlang.run.runner import load_module, random_data
from slotlang_runtime.operations import Evaluation

ROOT = Path(__file__).resolve().parent.parent
OUT = Path(__file__).resolve().parent / "results.json"
REPEATS = 15


CALLS = 12
"""Of each primitive between two evaluations."""


def cpu(action) -> float:
    """Seconds of process CPU time."""
    start = time.process_time()
    action()
    return time.process_time() - start


def median(action, repeats=REPEATS) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def floor(sizes: dict[str, int]) -> dict[str, object]:
    """Evaluation of rank_complex against the sum of its primitives; seconds."""
    program = load(ROOT / "programs" / "rank_complex.slot", sizes)
    lowered = lower(program)
    dots = lowered.plan.graph.dots
    module = load_module(lowered.text)
    inputs, weights = random_data(program, 0)
    client, _, keys, server = sides(module, weights)
    cipher = server.load(client.encrypt(**inputs))
    operations = server.engine.operations(keys)
    ev, evaluator = Evaluation(operations, module.parameters, module.slots), operations.evaluator
    a = next(iter(cipher.values()))
    plains = [p for p in server.engine.plain.values() if p is not None]
    steps = module.parameters.rotations
    total, made = seal.Ciphertext(), seal.Ciphertext
    evaluator.add(a, a, total)
    actions = {
        "rotations": lambda n: evaluator.rotate_vector(a, steps[n % len(steps)], keys.galois, made()),
        "plain_products": lambda n: evaluator.multiply_plain(a, plains[n % len(plains)], made()),
        "additions": lambda _: evaluator.add_inplace(total, a),
        "masks": lambda n: evaluator.add_plain(a, plains[n % len(plains)], made()),
    }
    pairs = zip(itertools.cycle(list(cipher.values())), itertools.cycle(plains), strict=False)
    for products in set(dots.values()):
        actions[f"dot of {products}"] = lambda _, products=products: ev.dot(itertools.islice(pairs, products))
    evaluated, _ = server.compute(cipher, keys)
    evaluations: list[float] = []
    times: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(REPEATS):
        server.prepare()
        evaluations.append(cpu(lambda: server.compute(cipher, keys)))
        for name, action in actions.items():
            times[name].append(cpu(lambda action=action: [action(n) for n in range(CALLS)]) / CALLS)
    primitive = {name: statistics.median(found) for name, found in times.items()}
    counts = dict(evaluated.counts)
    in_dots = sum(dots.values())
    used = Counter(counts) - Counter(plain_products=in_dots, additions=in_dots - len(dots))
    used.update(f"dot of {products}" for products in dots.values())
    own, one_by_one = (sum(primitive[name] * n for name, n in uses.items()) for uses in (used, counts))
    evaluation = statistics.median(evaluations)
    return {
        "sizes": sizes,
        "counts": counts,
        "primitive_seconds": primitive,
        "evaluation_seconds": evaluation,
        "floor_seconds": own,
        "ratio": evaluation / own,
        "seal_floor_seconds": one_by_one,
        "seal_ratio": evaluation / one_by_one,
    }


def proof(d: int) -> dict[str, object]:
    """Binding and proving rank_complex; seconds."""
    path = ROOT / "programs" / "rank_complex.slot"
    return {"d": d, "polyhedral_seconds": median(lambda: check(load(path, {"d": d}), "polyhedral"), 5)}


def main() -> None:
    """Measure, print the table, write the JSON."""
    floors = [floor({"d": 4096, "batch": 8}), floor({"d": 4096, "batch": 1})]
    proofs = [proof(1 << 12), proof(1 << 20)]
    table = Table(title="evaluation against the sum of its primitives (rank_complex, r = 16, one thread)", box=None)
    for head in ("tokens", "evaluation ms", "floor ms", "ratio", "SEAL's floor ms", "ratio"):
        table.add_column(head, justify="right")
    for row in floors:
        sizes = row["sizes"]
        values = [f"{1000 * row[f'{name}_seconds']:.1f}" for name in ("evaluation", "floor", "seal_floor")]
        table.add_row(str(sizes["batch"]), *values[:2], f"{row['ratio']:.2f}", values[2], f"{row['seal_ratio']:.2f}")
    console = Console()
    console.print(table)
    proofs_table = Table(title="parse, bind and prove (rank_complex, polyhedral)", box=None)
    proofs_table.add_column("d", justify="right")
    proofs_table.add_column("ms", justify="right")
    for row in proofs:
        proofs_table.add_row(str(row["d"]), f"{1000 * row['polyhedral_seconds']:.1f}")
    console.print(proofs_table)
    values = {
        "schema": "slotlang.bench/3",
        "floors": floors,
        "workers": workers(console),
        "proofs": proofs,
    }
    OUT.write_text(json.dumps(values, indent=2) + "\n")
    console.print(f"written to {OUT.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
