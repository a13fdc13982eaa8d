"""What people use now against what slotlang makes, side by side in one run: same weights and inputs, 128-bit security.

- dense: A @ B multiplied out, diagonals with baby and giant steps, which the project's first design document starts
  from;
- TenSEAL: its own CKKSVector.matmul twice, the way a user would write it, a token at a time;
- tutorial: the schedule of rank_complex at the parameters of tutorials, 8192: 60,40,40,60, rescaled after products;
- fixed: the same at slotlang's fixed parameters;
- synth 1e-3, synth 1e-6: what ``slotlang synth`` picks for that precision.

Times are medians of CPU time of one thread for all tokens together; schemes that hold fewer tokens evaluate several
times. ``python -m benchmarks.schemes --quick`` measures the small shapes only.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # idle BLAS threads burn CPU time that is not the evaluation's

import numpy as np
from rich.console import Console
from rich.table import Table

from slotlang.api import load, loads, lower
from slotlang.cost.profile import find_profile
from slotlang.lowering.parameters import Parameters
from slotlang.meaning.program import Program
from slotlang.run.adapter import read_adapter
from slotlang.run.runner import load_module
from slotlang.search.search import Limits, search, start
from slotlang.search.structure import Shape

ROOT = Path(__file__).resolve().parent.parent
OUT = Path(__file__).resolve().parent / "schemes.json"
TUTORIAL = Parameters(8192, (60, 40, 40, 60), 40, True)
SHAPES = [(384, 8, 1), (384, 8, 8), (1024, 8, 1), (4096, 16, 1), (4096, 16, 8), (4096, 64, 8), (4096, 16, 64)]
QUICK = SHAPES[:2]
REPEATS = 7
LARGEST_DENSE = 1024
"""Beyond, the encoded diagonals alone take gigabytes."""
LARGEST_TENSEAL = 1024
"""Beyond, one token takes minutes."""


@dataclass(frozen=True)
class Row:
    """Seconds of CPU for all tokens; bytes as sent; ``error``: relative rms error against numpy."""

    shape: tuple[int, int, int]
    scheme: str
    seconds: float
    key_switches: int
    keys: int
    key_bytes: int
    upload_bytes: int
    download_bytes: int
    error: float


def weights_of(d: int, r: int) -> tuple[np.ndarray, np.ndarray]:
    """A real adapter's matrices where there is one of that shape (derived by SVD from a transformer), else random."""
    if d == 384 and r == 8:
        for module in read_adapter(ROOT / "examples" / "minilm_adapter").modules.values():
            if module.up.shape == (d, r) and module.down.shape == (r, d):
                return module.up, module.down
    rng = np.random.default_rng(d + r)
    return rng.standard_normal((d, r)) / math.sqrt(r), rng.standard_normal((r, d)) / math.sqrt(d)


def measured(program: Program, parameters: Parameters | None, shape: tuple[int, int, int], scheme: str) -> Row:
    """One scheme on a shape, encrypted."""
    d, r, tokens = shape
    made = lower(program, parameters)
    module = load_module(made.text)
    a, b = weights_of(d, r)
    ((name, held_shape),) = module.INPUTS.items()
    held = math.prod(held_shape) // d
    x = np.random.default_rng(1).standard_normal((d, max(tokens, held)))
    client = module.Client()
    keys = client.evaluation_keys()
    server = module.Server(keys)
    given = {n: {"A": a, "B": b, "AB": a @ b}[n] for n in module.WEIGHTS}
    server.encode(**given, **dict.fromkeys(module.SCALARS, 1.0))
    groups = -(-tokens // held)
    block = x[:, :held].reshape(held_shape)
    sent = client.encrypt(**{name: block})
    cipher = server.load_inputs(sent)
    server.compute(cipher)  # fetches memory
    times = []
    for _ in range(REPEATS):
        server.prepare()
        begun = time.process_time()
        server.compute(cipher)
        times.append(time.process_time() - begun)
    answer = server.evaluate(sent)
    found, wanted = client.decrypt(answer), a @ (b @ block)
    error = float(np.sqrt(np.mean(np.abs(found - wanted) ** 2) / np.mean(np.abs(wanted) ** 2)))
    counts = made.plan.counts
    return Row(
        shape,
        scheme,
        groups * statistics.median(times),
        groups * counts.key_switches,
        counts.galois_keys,
        len(keys),
        groups * len(sent),
        groups * len(answer),
        error,
    )


def tenseal(shape: tuple[int, int, int]) -> Row:
    """CKKSVector.matmul twice, one token."""
    import tenseal as ts

    d, r, tokens = shape
    a, b = weights_of(d, r)
    context = ts.context(ts.SCHEME_TYPE.CKKS, 8192, coeff_mod_bit_sizes=[60, 40, 40, 60])
    context.global_scale = 2.0**40
    context.generate_galois_keys()
    x = np.random.default_rng(1).standard_normal(d)
    vector = ts.ckks_vector(context, x.tolist())
    begun = time.process_time()
    result = vector.matmul(b.T.tolist()).matmul(a.T.tolist())
    seconds = time.process_time() - begun
    wanted = a @ (b @ x)
    error = float(np.sqrt(np.mean((np.array(result.decrypt()) - wanted) ** 2) / np.mean(wanted**2)))
    sizes = len(vector.serialize()), len(result.serialize())
    keys = len(context.serialize(save_public_key=False, save_secret_key=False, save_galois_keys=True))
    return Row(shape, "TenSEAL", tokens * seconds, 0, 24, keys, tokens * sizes[0], tokens * sizes[1], error)


def rows(shapes: list[tuple[int, int, int]]) -> Iterator[Row]:
    """Every scheme on every shape it can do."""
    profile = find_profile()
    for shape in shapes:
        d, r, tokens = shape
        if d <= LARGEST_DENSE and tokens == 1 and d & (d - 1) == 0:
            steps = 1 << (d.bit_length() // 2)
            program = load(ROOT / "programs" / "dense_ab.slot", {"d": d, "r": r, "steps": steps})
            yield measured(program, None, shape, "dense")
        if d <= LARGEST_TENSEAL and tokens == 1:
            yield tenseal(shape)
        if d % 512 == 0:
            batch = min(tokens, 8)
            sizes = {"d": d, "r": r, "batch": batch, "slots": min(4096, d * batch)}
            program = load(ROOT / "programs" / "rank_complex.slot", sizes)
            yield measured(program, TUTORIAL, shape, "tutorial")
            yield measured(program, None, shape, "fixed")
        for precision in (1e-3, 1e-6):
            found = start(Shape(d, d, r, tokens), "time", precision, Limits())
            search(found, profile)
            best = found.ranked[0]
            yield measured(loads(best.text), best.parameters, shape, f"synth {precision:.0e}".replace("e-0", "e-"))


def main() -> None:
    """Measure, print the table, write the JSON."""
    options = argparse.ArgumentParser(description="slotlang's schedules against what people use now.")
    options.add_argument("--quick", action="store_true", help="the small shapes only")
    given = options.parse_args()
    console = Console(highlight=False)
    table = Table(title="all tokens together, one thread, CPU time", box=None)
    for head in ("d", "r", "tokens", "scheme", "ms", "key switches", "key MB", "up MB", "down MB", "error"):
        table.add_column(head, justify="left" if head == "scheme" else "right")
    done = []
    for row in rows(QUICK if given.quick else SHAPES):
        done.append(row)
        size = [f"{n / 1e6:.1f}" for n in (row.key_bytes, row.upload_bytes, row.download_bytes)]
        cells = [*map(str, row.shape), row.scheme, f"{1000 * row.seconds:.1f}", str(row.key_switches), *size]
        table.add_row(*cells, f"{row.error:.0e}")
        console.print(f"{row.scheme} on {row.shape}: {1000 * row.seconds:.1f} ms")
    console.print(table)
    OUT.write_text(json.dumps({"schema": "slotlang.schemes/1", "rows": [asdict(r) for r in done]}, indent=1) + "\n")


if __name__ == "__main__":
    main()
