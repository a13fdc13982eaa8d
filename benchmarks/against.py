"""This runtime against the one of an earlier commit: ``python -m benchmarks.against``.

The earlier commit, by default the last whose modules carry a runtime of their own, lowers each program; its module and
this commit's run in one process, on one secret key, and take turns. CPU seconds of this commit over those of the
earlier one are given as medians of pairs, as are wall seconds: what else the machine does falls on both halves of a
pair alike. Evaluated on the same ciphertext objects and keys, with nothing hidden, both must give the same bytes.
Exit status 1 where bytes differ, or something takes more than ``MOST`` times as long.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # idle BLAS threads burn CPU time that is not the evaluation's

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.columns import emitted
from slotlang.api import load, plan
from slotlang.planning.target import Kernel, Target
from slotlang.run.runner import load_module
from slotlang_runtime import Client, EvaluationKeys, SecretKey, Server, Weights
from slotlang_runtime.data import random_data
from slotlang_runtime.seal.saved import saved

ROOT = Path(__file__).resolve().parent.parent
BASE = "f545c15"
"""The last commit whose modules need nothing but themselves."""
CASES: dict[str, Kernel] = {"rank_complex": "compiled", "columns": "matrix"}
MOST = 1.03
PAIRS = 30


def lowered(base: str, name: str, kernel: str, folder: Path) -> tuple[str, str]:
    """The earlier commit's modules of a program: as it is, and with nothing hidden."""
    if not (folder / "slotlang").exists():
        archive = subprocess.run(["git", "archive", base], cwd=ROOT, check=True, capture_output=True).stdout
        with tarfile.open(fileobj=io.BytesIO(archive)) as files:
            files.extractall(folder, filter="data")
    texts = []
    for hide in ("mask", "none"):
        out = folder / f"{name}_{hide}.py"
        command = ["lower", f"programs/{name}.slot", "--products", kernel, "--hide", hide, "-o", str(out)]
        environment = {**os.environ, "PYTHONPATH": str(folder)}
        subprocess.run(
            [sys.executable, "-m", "slotlang", *command], cwd=folder, env=environment, check=True, capture_output=True
        )
        texts.append(out.read_text(encoding="utf-8"))
    return texts[0], texts[1]


class Before:
    """Client and server of a module that carries its runtime."""

    def __init__(self, text: str) -> None:
        namespace: dict[str, Any] = {"__name__": "before"}
        exec(compile(text, "<before>", "exec"), namespace)
        self.module = SimpleNamespace(**namespace)
        self.client = self.module.Client()
        self.secret = self.client.secret
        self.key_bytes = self.client.evaluation_keys()
        self.server = self.module.Server(self.key_bytes)

    def encode(self, weights: dict[str, Any]) -> None:
        self.server.prepared.clear()
        self.server.encode(**weights)

    def load(self, upload: bytes) -> dict[Any, Any]:
        return self.server.load_inputs(upload)

    def prepare(self) -> None:
        self.server.prepared.clear()
        self.server.prepare()

    def compute(self, inputs: dict[Any, Any]) -> dict[Any, Any]:
        return self.server.compute(inputs)

    def evaluate(self, upload: bytes) -> bytes:
        self.server.prepared.clear()
        return self.server.evaluate(upload)


class Now:
    """This runtime's, with a secret key that is given."""

    def __init__(self, text: str, secret: Any) -> None:
        self.module = load_module(text)
        self.client = Client(self.module, SecretKey(self.module.parameters.ring, secret))
        self.key_bytes = self.client.evaluation_keys()
        self.keys = EvaluationKeys.from_bytes(self.key_bytes)

    def encode(self, weights: dict[str, Any]) -> None:
        self.server = Server(Weights.encode(self.module, **weights))

    def load(self, upload: bytes) -> dict[Any, Any]:
        return self.server.load(upload)

    def prepare(self) -> None:
        self.server._prepared.clear()
        self.server.prepare()

    def compute(self, inputs: dict[Any, Any]) -> dict[Any, Any]:
        return self.server.compute(inputs, self.keys)[0].results

    def evaluate(self, upload: bytes) -> bytes:
        self.server._prepared.clear()
        return self.server.evaluate(upload, self.keys).data


@dataclass(frozen=True)
class Figures:
    """Of one program: medians over pairs, of this commit's seconds over the earlier one's, by phase; bytes, this
    commit's and the earlier one's; and whether results are the same bit for bit."""

    program: str
    cpu_ratio: dict[str, float]
    wall_ratio: dict[str, float]
    cpu_seconds: dict[str, tuple[float, float]]
    bytes: dict[str, tuple[int, int]]
    same_results: bool


def same_results(before_text: str, now_text: str) -> bool:
    """Whether both compute the same of the same ciphertexts, keys and weights, bit for bit; nothing is hidden."""
    before = Before(before_text)
    now = Now(now_text, before.secret)
    inputs, weights = random_data(now.module, 1)
    before.encode(weights)
    now.encode(weights)
    now.keys = EvaluationKeys(
        now.module.parameters.ring,
        frozenset(now.module.parameters.galois_elements),
        before.server.galois_keys,
        before.server.relin_keys,
    )
    cipher = before.load(before.client.encrypt(**inputs))
    results, others = before.compute(cipher), now.compute(cipher)
    assert results.keys() == others.keys()
    return all(_content(results[name]) == _content(others[name]) for name in results)


def _content(value: Any) -> bytes | None:
    """A ciphertext, or its residues, as bytes."""
    if value is None or isinstance(value, np.ndarray):
        return None if value is None else value.tobytes()
    return saved(value)


def timed(action: Callable[[], Any]) -> tuple[float, float, Any]:
    """Seconds of CPU and of wall time, and the result."""
    cpu, wall = time.process_time(), time.perf_counter()
    result = action()
    return time.process_time() - cpu, time.perf_counter() - wall, result


def measured(name: str, before: Before, now: Now, pairs: Iterable[int]) -> Figures:
    """Both in turns, the first of a pair in turns too."""
    sides: tuple[Before, Now] = before, now
    inputs, weights = random_data(now.module, 0)
    uploads, ciphers, downloads = [], [], []
    for side in sides:
        side.encode(weights)
        uploads.append(side.client.encrypt(**inputs))
        downloads.append(side.evaluate(uploads[-1]))
        ciphers.append(side.load(uploads[-1]))
        side.prepare()
        side.compute(ciphers[-1])
    actions: dict[str, Callable[[int], Any]] = {
        "evaluation": lambda n: sides[n].compute(ciphers[n]),
        "request": lambda n: sides[n].evaluate(uploads[n]),
        "encryption": lambda n: sides[n].client.encrypt(**inputs),
        "decryption": lambda n: sides[n].client.decrypt(downloads[n]),
        "encoding": lambda n: sides[n].encode(weights),
        "masks": lambda n: sides[n].prepare(),
    }
    cpu: dict[str, list[tuple[float, float]]] = {phase: [] for phase in actions}
    wall: dict[str, list[tuple[float, float]]] = {phase: [] for phase in actions}
    for number in pairs:
        for phase, action in actions.items():
            both = [(0.0, 0.0), (0.0, 0.0)]
            for n in (0, 1) if number % 2 else (1, 0):
                sides[n].prepare()
                both[n] = timed(lambda action=action, n=n: action(n))[:2]
            cpu[phase].append((both[0][0], both[1][0]))
            wall[phase].append((both[0][1], both[1][1]))

    def ratios(times: dict[str, list[tuple[float, float]]]) -> dict[str, float]:
        return {phase: statistics.median(n / b for b, n in found) for phase, found in times.items()}

    return Figures(
        name,
        ratios(cpu),
        ratios(wall),
        {phase: tuple(statistics.median(pair[n] for pair in found) for n in (0, 1)) for phase, found in cpu.items()},
        {
            "keys": (len(before.key_bytes), len(now.key_bytes)),
            "upload": (len(uploads[0]), len(uploads[1])),
            "download": (len(downloads[0]), len(downloads[1])),
        },
        same_results=False,
    )


def show(row: Figures, console: Console) -> None:
    """A program's table."""
    table = Table(title=f"{row.program}, this commit against the earlier one", box=None)
    for head in ("", "before", "now", "ratio", "ratio of wall time"):
        table.add_column(head, justify="left" if not head else "right")
    for phase, ratio in row.cpu_ratio.items():
        milliseconds = [f"{1000 * seconds:.2f} ms" for seconds in row.cpu_seconds[phase]]
        table.add_row(phase, *milliseconds, f"{ratio:.3f}", f"{row.wall_ratio[phase]:.3f}")
    for what, sizes in row.bytes.items():
        table.add_row(f"bytes of {what}", *map("{:,}".format, sizes), f"{sizes[1] / sizes[0]:.5f}")
    console.print(table)
    console.print(f"results bit for bit the same: {'yes' if row.same_results else 'NO'}\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", default=[*CASES], help=f"of {', '.join(CASES)}")
    parser.add_argument("--base", default=BASE, help="the earlier commit; its modules carry their runtime")
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    console, found = Console(), []
    with tempfile.TemporaryDirectory() as folder:
        for name in options.names:
            kernel = CASES[name]
            texts = lowered(options.base, name, kernel, Path(folder))
            program = load(ROOT / "programs" / f"{name}.slot")
            plans = [plan(program, target=Target(kernel, hide)) for hide in ("mask", "none")]
            mine = [emitted(made) for made in plans]
            same = same_results(texts[1], mine[1])
            before = Before(texts[0])
            now = Now(mine[0], before.secret)
            turns = track(range(options.pairs), name, console=console, transient=True)
            found.append(Figures(**{**vars(measured(name, before, now, turns)), "same_results": same}))
            del before, now
    for row in found:
        show(row, console)
    if options.json:
        options.json.write_text(json.dumps([*map(asdict, found)], indent=1) + "\n", encoding="utf-8")
    slower = any(ratio > MOST for row in found for ratio in row.cpu_ratio.values())
    return 1 if slower or not all(row.same_results for row in found) else 0


if __name__ == "__main__":
    sys.exit(main())
