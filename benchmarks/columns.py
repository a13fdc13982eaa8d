"""Matrix products against SEAL's operations on column packing: ``python -m benchmarks.columns``.

Both servers get the same weights and the same bytes from one client; results are compared residue by residue. Times are
process CPU time of one thread, medians of repeated evaluations, per token. Where SEAL's plaintexts would not fit memory
its part is measured at fewer channels in and out, which its time is proportional to. Shapes are channels x rank, such
as 4096x16 (which takes 2.5 GB). ``--json FILE`` writes everything, ``--fit`` fits the constants of
``slotlang/cost/matrix.py``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

from benchmarks.child import memory  # first: it keeps BLAS to one thread

# isort: split
import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.sides import in_range, sides
from slotlang import __version__
from slotlang.api import check, load, plan
from slotlang.cost.matrix import MatrixForm, Stage
from slotlang.cost.profile import find_profile, this_machine
from slotlang.emit.module import Lowering, emit
from slotlang.planning.parameters import Parameters
from slotlang.planning.plan import Plan
from slotlang.planning.target import Kernel, Target
from slotlang.run.runner import load_module, random_data
from slotlang_runtime import Client, EvaluationKeys, Module, Server, Weights
from slotlang_runtime.data import relative_error
from slotlang_runtime.labels import module_label
from slotlang_runtime.seal.ring import Ring
from slotlang_runtime.seal.saved import Saved, ciphertext_limit, saved
from slotlang_runtime.wire import pack

ROOT = Path(__file__).resolve().parent.parent
SMALL = Parameters(4096, (36, 36, 37), 24, (), (24, 20, 18))
"""Of the precision 1e-3: the error is 2e-5 or so."""
WIDE = Parameters(8192, (60, 60, 60), 36)
"""The fixed choice."""
MAX_WEIGHTS = 700_000_000


def emitted(made: Plan, *, unproved: bool = False) -> str:
    """The module of a proved program, or of any with ``unproved``. ``lower`` would validate it, which takes a minute
    where there are 100,000 products."""
    report = check(made.program)
    assert report.proved or unproved
    return emit(made, Lowering(__version__, report.status, report.method, validated=False))


class Case:
    """One shape and its modules, by matrix products and by SEAL."""

    def __init__(self, d: int, r: int, parameters: Parameters) -> None:
        self.d, self.r, self.parameters = d, r, parameters
        self.tokens = parameters.slots
        self.program = load(ROOT / "programs/columns.slot", {"d": d, "n": d, "r": r, "batch": self.tokens})
        self.plan = plan(self.program, parameters, target=Target(kernel="matrix"))

    def module(self, kernel: Kernel) -> Module:
        return load_module(emitted(plan(self.program, self.parameters, target=Target(kernel=kernel))))


def seconds(action: Any, times: int) -> tuple[float, Any]:
    """Median CPU time of repeated runs, and the last result."""
    found, result = [], None
    for _ in range(times):
        result = None
        start = time.process_time()
        result = action()
        found.append(time.process_time() - start)
    return statistics.median(found), result


def by_matrices(d: int, r: int, parameters: Parameters) -> dict[str, Any]:
    case = Case(d, r, parameters)
    module = case.module("matrix")
    inputs, weights = random_data(case.program, 0)
    weights = in_range(module, weights)
    client, _, keys, server = sides(module, weights)
    encoding, _ = seconds(lambda: Weights.encode(module, **weights), 1)
    upload = client.encrypt(**inputs)
    loading, cipher = seconds(lambda: server.load(upload), 3)
    before = memory("VmRSS")
    server.compute(cipher, keys)
    evaluation, (evaluated, _) = seconds(lambda: server.compute(cipher, keys), 5)
    more = memory("VmHWM") - before
    saving, records = seconds(lambda: server.engine.save(evaluated.results), 1)
    found = client.decrypt(pack("results", module_label(module), records))
    columns = case.plan.matrix
    assert isinstance(columns, MatrixForm)
    per_token = {"evaluation": evaluation, "load": loading, "save": saving}
    return {
        "d": d,
        "rank": r,
        "tokens": case.tokens,
        "parameters": parameters.text(),
        "pieces_bits": [product.bits for product in server.engine._matrices.products],
        "matrix_ms_per_token": {k: 1000 * s / case.tokens for k, s in per_token.items()},
        "matrix_encoding_seconds": encoding,
        "evaluation_memory_bytes": more,
        "upload_bytes": len(upload),
        "download_bytes": sum(map(len, records.values())),
        "relative_error": relative_error(found, module.reference(inputs, weights)["y"]),
        "units": {"matrix": columns.matrix, "operations": columns.operations},
        "note": server.note,
    }


def by_seal(d: int, r: int, parameters: Parameters) -> dict[str, Any]:
    """SEAL's operations, at most so many channels as fit memory, and whether both ways agree there."""
    channels = d
    while 2 * channels * r * parameters.plaintext_bytes() > MAX_WEIGHTS:
        channels //= 2
    case = Case(channels, r, parameters)
    module, other = case.module("seal"), case.module("matrix")
    inputs, weights = random_data(case.program, 1)
    weights = in_range(module, weights)
    client = Client(module)
    keys = EvaluationKeys.from_bytes(client.evaluation_keys())
    encoding, encoded = seconds(lambda: Weights.encode(module, **weights), 1)
    server, matrices = Server(encoded), Server(Weights.encode(other, **weights))
    upload = client.encrypt(**inputs)
    cipher = server.load(upload)
    server.compute(cipher, keys)
    evaluation, (evaluated, _) = seconds(lambda: server.compute(cipher, keys), 3)
    mine = matrices.compute(matrices.load(upload), keys)[0].results
    ring, families = Ring(module.parameters, module.slots), module.returned()

    def residues(name: Any) -> Any:
        level, products = families[name].level, families[name].products
        moduli = ring.primes(level)
        record = Saved(ring.shared, saved(evaluated.results[name]), ciphertext_limit(ring.shared, len(moduli)))
        return record.ciphertext(ring.levels[level], moduli, ring.scale(level, products))

    same = all(np.array_equal(residues(name), mine[name]) for name in mine)
    scale = d / channels
    return {
        "seal_channels": channels,
        "seal_ms_per_token": 1000 * scale * evaluation / case.tokens,
        "seal_encoding_seconds": scale * encoding,
        "seal_plaintext_bytes": 2 * d * r * parameters.plaintext_bytes(),
        "bit_for_bit": same,
    }


def fit() -> None:
    """Constants of ``cost/matrix.py``, in units, by least squares of relative errors."""
    from slotlang.cost.matrix import TILE

    rows, times = [], []
    shapes = [
        (d, r, p) for p in (SMALL, WIDE) for d, r in ((256, 2), (256, 8), (512, 16), (256, 32), (256, 64), (256, 128))
    ]
    for d, r, parameters in track(shapes, transient=True):
        row = by_matrices(d, r, parameters)
        unit = find_profile().seconds("multiply_plain", parameters.degree, parameters.data_primes)
        total = row["matrix_ms_per_token"]["evaluation"] * row["tokens"] / 1000 / unit
        terms = np.zeros(5)
        for stage, bits in zip((Stage(r, d, 1), Stage(d, r, 2)), row["pieces_bits"], strict=True):
            pieces = -(-parameters.primes[0] // bits)
            again = 1 if stage.columns <= TILE else -(-stage.rows // TILE)
            k, n = stage.columns * again, stage.rows
            terms += [k, k * pieces, n * stage.columns * pieces, n * pieces, n]
        rows.append(terms / total)
        times.append(total)
    found = np.maximum(np.linalg.lstsq(np.array(rows), np.ones(len(rows)), rcond=None)[0], 0)
    for _ in range(20000):  # no constant is negative: projected gradient
        found = np.maximum(
            found - 0.2 / np.linalg.norm(np.array(rows), 2) ** 2 * np.array(rows).T @ (np.array(rows) @ found - 1), 0
        )
    print(dict(zip(("GATHER", "CUT", "MULTIPLY", "JOIN", "REDUCE"), found.round(3).tolist(), strict=True)))
    print("predicted over measured:", (np.array(rows) @ found).round(2).tolist())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--fit", action="store_true", help="fit the constants of the prediction, and stop")
    parser.add_argument("shapes", nargs="*", default=["384x8", "1024x8", "1024x16", "1024x64", "4096x16"])
    options = parser.parse_args()
    if options.fit:
        fit()
        return
    shapes = [tuple(map(int, shape.split("x"))) for shape in options.shapes]
    rows = [by_matrices(d, r, SMALL) | by_seal(d, r, SMALL) for d, r in track(shapes, transient=True)]
    table = Table(title=f"Column packing, {SMALL.slots} tokens, ms per token, one thread, CPU time", box=None)
    names = ("d = n", "rank", "encode s", "matrices", "load", "save", "SEAL", "ratio", "error", "same bits")
    for name in names:
        table.add_column(name, justify="right")
    for row in rows:
        mine = row["matrix_ms_per_token"]
        table.add_row(
            *(str(row[k]) for k in ("d", "rank")),
            f"{row['matrix_encoding_seconds']:.2f}",
            *(f"{mine[k]:.2f}" for k in ("evaluation", "load", "save")),
            f"{row['seal_ms_per_token']:.2f}",
            f"{mine['evaluation'] / row['seal_ms_per_token']:.2f}",
            f"{row['relative_error']:.1e}",
            "yes" if row["bit_for_bit"] else "NO",
        )
    Console().print(table)
    machine = this_machine()
    if options.json:
        options.json.parent.mkdir(exist_ok=True)
        about = {name: getattr(machine, name) for name in machine.__slots__}
        text = json.dumps({"schema": "slotlang.benchmark.columns/1", "machine": about, "rows": rows}, indent=1)
        options.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
