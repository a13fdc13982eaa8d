"""What the measuring scripts of this folder share: their input, the clock, and the line of JSON that each result is.

A script runs in the environment of the library it measures, so this needs numpy alone and any Python from 3.10 on.
It is called as ``python -m benchmarks.peers.NAME task.npz [configurations]``: the task holds A, B, x and the number of
repeats; configurations is a JSON list, without which the script measures all that it would consider. A library that
cannot be imported ends the script with exit status 1 and the reason as its last line.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

Configuration = dict[str, Any]


@dataclass(frozen=True)
class Task:
    """A (d, r), B (r, d) and x (d, tokens); the evaluation is repeated so many times."""

    a: np.ndarray
    b: np.ndarray
    x: np.ndarray
    repeats: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """(d, r, tokens)."""
        return self.a.shape[0], self.a.shape[1], self.x.shape[1]

    def save(self, path: Path) -> None:
        np.savez(path, a=self.a, b=self.b, x=self.x, repeats=self.repeats)

    @staticmethod
    def load(path: str) -> Task:
        with np.load(path) as held:
            return Task(held["a"], held["b"], held["x"], int(held["repeats"]))


@dataclass(frozen=True)
class Prepared:
    """Encrypted inputs and encoded weights, ready to evaluate.

    ``evaluate`` returns the encrypted result of all tokens together; ``decrypt`` makes it (d, tokens); ``sent`` counts
    its ciphertexts and their bytes. ``key_bytes`` holds evaluation keys alone, as serialized.
    """

    scheme: str
    parameters: str
    evaluate: Callable[[], Any]
    decrypt: Callable[[Any], np.ndarray]
    sent: Callable[[Any], tuple[int, int]]
    keys: int
    key_bytes: int
    upload_ciphertexts: int
    upload_bytes: int


@dataclass(frozen=True)
class Result:
    """One line of a script: milliseconds of CPU for all tokens together (median), errors against numpy.

    ``threads`` is CPU time over wall time, None where it was not measured: above 1 the library used more than one.
    ``peak_memory`` is of the whole process, in bytes.
    """

    scheme: str
    configuration: Configuration
    parameters: str
    milliseconds: float
    threads: float | None
    keys: int
    key_bytes: int
    upload_ciphertexts: int
    upload_bytes: int
    download_ciphertexts: int
    download_bytes: int
    max_error: float | None
    error: float
    peak_memory: int | None


@dataclass(frozen=True)
class Failed:
    """A configuration that the library refused, and what it said."""

    configuration: Configuration
    failed: str


def peak_memory() -> int | None:
    """Bytes of this process's largest resident set; None where the system does not say."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    # ru_maxrss would start at the parent's
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM")), None)


def measure(task: Task, configuration: Configuration, made: Prepared) -> Result:
    """Evaluate ``task.repeats`` times, and compare the last result with numpy's."""
    made.evaluate()  # fetches memory
    cpu, wall = [], []
    for _ in range(task.repeats):
        began = time.process_time(), time.perf_counter()
        result = made.evaluate()
        cpu.append(time.process_time() - began[0])
        wall.append(time.perf_counter() - began[1])
    wanted = task.a @ (task.b @ task.x)
    off = made.decrypt(result) - wanted
    return Result(
        made.scheme,
        configuration,
        made.parameters,
        1e3 * statistics.median(cpu),
        statistics.median(c / w for c, w in zip(cpu, wall, strict=True)),
        made.keys,
        made.key_bytes,
        made.upload_ciphertexts,
        made.upload_bytes,
        *made.sent(result),
        float(np.abs(off).max()),
        float(np.sqrt(np.mean(off**2) / np.mean(wanted**2))),
        peak_memory(),
    )


def serve(
    candidates: Callable[[Task], Sequence[Configuration]],
    prepare: Callable[[Task, Configuration], Prepared],
    arguments: Sequence[str] | None = None,
) -> None:
    """Measure every configuration asked for, a line each."""
    path, *chosen = sys.argv[1:] if arguments is None else arguments
    task = Task.load(path)
    for configuration in json.loads(chosen[0]) if chosen else candidates(task):
        try:
            line: Result | Failed = measure(task, configuration, prepare(task, configuration))
        except Exception as problem:  # libraries raise what they like; the driver says it
            line = Failed(configuration, f"{type(problem).__name__}: {problem}".splitlines()[0])
        print(json.dumps(asdict(line)), flush=True)
