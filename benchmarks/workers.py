"""Evaluations shared by threads, and the cache of encoded weights: ``python -m benchmarks.workers``.

64 tokens of rank_complex at d = 4096, r = 16 are 8 evaluations of 8 tokens, from encrypted inputs in bytes to results
in bytes, as ``slotlang run --workers`` does them: workers are started first, and get ready while inputs are
encrypted, both timed apart; then they evaluate all, and all again. Numbers of workers take turns, so that other work
on the machine falls on all alike. Wall time needs as many free cores as there are workers; on fewer, the CPU time of
the slowest worker, which is printed beside it, is what wall time would come to, but for handing out and taking in.

One evaluation alone is measured without reading and writing of bytes, which one thread does; the other one helps it.

The ceiling is what no split can beat: the same evaluations by as many processes that have nothing in common, each
with keys, weights and inputs of its own, started long before. Cores that share caches, memory or a clock lose there
too.
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.sides import sides
from slotlang.api import load, lower
from slotlang.run.cache import encode_cached
from slotlang.run.runner import load_module, random_data
from slotlang_runtime import Answer, EvaluationKeys, Server, Weights
from slotlang_runtime.workers import Pool

ROOT = Path(__file__).resolve().parent.parent
SIZES = {"d": 4096, "r": 16, "batch": 8}
EVALUATIONS = 8
REPEATS = 9


def seconds(action) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def _alone(pipe: Connection, text: str, inputs: dict, weights: dict) -> None:
    """A process that has everything of its own, and evaluates as often as it is told to."""
    client, _, keys, server = sides(load_module(text), weights)
    upload = client.encrypt(**inputs)
    while count := pipe.recv():
        for _ in range(count):
            server.evaluate(upload, keys)
        pipe.send(count)


class One:
    """This process in place of a ``Pool``."""

    def __init__(self, server: Server, keys: EvaluationKeys) -> None:
        self.server, self.keys, self.cpu_seconds = server, keys, [0.0]

    def evaluate(self, uploads: list[bytes]) -> list[Answer]:
        start = time.process_time()
        answers = self.server.evaluate_many(uploads, self.keys)
        self.cpu_seconds = [time.process_time() - start]
        return answers

    def __enter__(self) -> One:
        return self

    def __exit__(self, *problem: object) -> None:
        pass


@contextmanager
def independent(number: int, *arguments: object) -> Iterator[list[Connection]]:
    """So many of them, by their pipes; each has evaluated once."""
    pipes, fork = [], multiprocessing.get_context("fork")
    for _ in range(number):
        ours, theirs = fork.Pipe()
        fork.Process(target=_alone, args=(theirs, *arguments), daemon=True).start()
        pipes.append(ours)
    together(pipes, 1)
    yield pipes
    for pipe in pipes:
        pipe.send(0)


def together(pipes: list[Connection], count: int) -> None:
    """Each evaluates so often."""
    for pipe in pipes:
        pipe.send(count)
    for pipe in pipes:
        pipe.recv()


def workers(console: Console, counts: tuple[int, ...] = (1, 2)) -> dict[str, object]:
    """Evaluate by so many workers each, and encode, store and load weights; print, and return as plain data."""
    program = load(ROOT / "programs" / "rank_complex.slot", SIZES)
    text = lower(program).text
    module = load_module(text)
    inputs, weights = random_data(program, 0)
    client, _, keys, server = sides(module, weights)
    with tempfile.TemporaryDirectory() as folder:
        _, used = encode_cached(module, text, weights, Path(folder))
        assert used.bytes == Path(used.file).stat().st_size
        turns = {
            "encode": lambda: Weights.encode(module, **weights),
            "store": lambda: encode_cached(module, text, weights, empty),
            "load": lambda: encode_cached(module, text, weights, Path(folder)),
        }
        times = {name: [] for name in turns}
        for number in range(REPEATS):
            empty = Path(folder) / str(number)
            for name, action in turns.items():
                times[name].append(seconds(action))
    cache = {name: statistics.median(found) for name, found in times.items()}
    cache["bytes"] = used.bytes

    uploads = [client.encrypt(**inputs) for _ in range(EVALUATIONS)]
    server.evaluate_many(uploads, keys)
    starts, encrypting, wall, again, single, slowest, total, apart = ({n: [] for n in counts} for _ in range(8))
    with independent(max(counts), text, inputs, weights) as others:
        for _ in range(REPEATS):
            for n in counts:
                evaluator: Pool | One = One(server, keys)
                begun = time.perf_counter()
                if n > 1:
                    evaluator = Pool(server, keys, n)
                starts[n].append(time.perf_counter() - begun if n > 1 else 0.0)
                with evaluator:
                    encrypting[n].append(seconds(lambda: [client.encrypt(**inputs) for _ in uploads]))
                    wall[n].append(seconds(lambda evaluator=evaluator: evaluator.evaluate(uploads)))
                    slowest[n].append(max(evaluator.cpu_seconds))
                    total[n].append(sum(evaluator.cpu_seconds))
                    again[n].append(seconds(lambda evaluator=evaluator: evaluator.evaluate(uploads)))
                    for _ in range(EVALUATIONS):
                        (answer,) = evaluator.evaluate(uploads[:1])
                        single[n].append(answer.seconds)
                apart[n].append(seconds(lambda n=n: together(others[:n], EVALUATIONS // n)))
    rows = [
        {
            "workers": n,
            "start_seconds": statistics.median(starts[n]),
            "encrypt_seconds": statistics.median(encrypting[n]),
            "wall_seconds": statistics.median(wall[n]),
            "wall_again_seconds": statistics.median(again[n]),
            "one_evaluation_seconds": statistics.median(single[n]),
            "slowest_worker_cpu_seconds": statistics.median(slowest[n]),
            "cpu_seconds": statistics.median(total[n]),
            "independent_seconds": statistics.median(apart[n]),
        }
        for n in counts
    ]
    result = {
        "sizes": SIZES,
        "tokens": EVALUATIONS * SIZES["batch"],
        "load": os.getloadavg()[0],
        "cores": os.cpu_count(),
        "evaluations": rows,
        "cache": cache,
    }
    _print(result, console)
    return result


def _print(result: dict[str, object], console: Console) -> None:
    table = Table(title=f"{result['tokens']} tokens, 8 at a time (rank_complex, d = 4096, r = 16), ms", box=None)
    for head in (
        "workers",
        "start",
        "encrypt",
        "wall",
        "again",
        "one evaluation",
        "CPU of one",
        "of all",
        "apart",
        "faster",
        "again",
        "one",
        "by CPU",
        "ceiling",
    ):
        table.add_column(head, justify="right")
    first = result["evaluations"][0]
    for row in result["evaluations"]:
        table.add_row(
            str(row["workers"]),
            *(f"{1000 * value:.0f}" for name, value in row.items() if name != "workers"),
            f"{first['wall_seconds'] / row['wall_seconds']:.2f}",
            f"{first['wall_again_seconds'] / row['wall_again_seconds']:.2f}",
            f"{first['one_evaluation_seconds'] / row['one_evaluation_seconds']:.2f}",
            f"{first['slowest_worker_cpu_seconds'] / row['slowest_worker_cpu_seconds']:.2f}",
            f"{first['independent_seconds'] / row['independent_seconds']:.2f}",
        )
    console.print(table)
    cache = result["cache"]
    console.print(
        f"weights, {cache['bytes'] / 1e6:.1f} MB: encode {1000 * cache['encode']:.0f} ms, "
        f"encode and store {1000 * cache['store']:.0f} ms, load {1000 * cache['load']:.0f} ms\n"
        f"load {result['load']:.1f} on {result['cores']} cores"
    )


def main() -> None:
    workers(Console())


if __name__ == "__main__":
    main()
