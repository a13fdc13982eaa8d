"""A model of a service with many workers, from measured parts: what each part would take, and which gives out first.

Nothing here is measured on many machines. Jobs are placed by the service's own function, over workers that are
pretended; the rest is multiplication.
"""

from __future__ import annotations

import heapq
import random
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from slotlang.service.dask import Memory, Scheduler, Workers
from slotlang.service.limits import Limits

THREADS = 8
"""Of each worker."""
LINK = 10e9 / 8
"""Bytes a second, each way, of a machine: 10 Gbit/s."""
DISK = 1e9
"""Bytes a second that a disk writes."""
GROUPS = 128
"""Inputs of all 32 layers of Llama-3-8B."""
SIZES = (1, 2, 16, 100, 1000)
LOAD = 0.8
"""Of all threads, in the simulation of placement."""


@dataclass(frozen=True)
class Measured:
    """CPU seconds of an evaluation in the service and on a worker, of a heartbeat and of a task of Dask's own at the
    scheduler; bytes of a look at 1,000 workers."""

    service: float
    worker: float
    heartbeat: float
    task: float
    look: int


@dataclass(frozen=True)
class Traffic:
    """Bytes by the cost model, means over the programs of a layer: of an upload, of its results, of a session's keys,
    of encoded weights in memory and in their file."""

    up: int
    down: int
    keys: int
    weights: int
    files: int


@dataclass(frozen=True)
class Placed:
    """What a simulation of placement gives: weights and key sets that a worker has at the end, on average and at most;
    seconds of the service for a placement."""

    weights: float
    most_weights: int
    keys: float
    most_keys: int
    seconds: float


def heartbeats(workers: int) -> float:
    """Heartbeats a second that Dask asks of all workers together."""
    every = 0.5 if workers <= 10 else 1.0 if workers < 50 else 2.0 if workers < 200 else workers / 200 + 1
    return workers / every


def placement(workers: int, sessions: int, jobs: int, seed: int = 0) -> Placed:
    """Place jobs of all groups and of these sessions in turn, ``LOAD`` of all threads busy, each job as long as
    another: which weights and keys meet which worker."""
    placing = Workers(Scheduler("tcp://127.0.0.1:1"), Memory(1, 1), 1.0)
    placing._threads = {f"tls://10.0.{n // 250}.{n % 250}:40000": THREADS for n in range(workers)}
    rng, running, now, spent = random.Random(seed), list[tuple[float, str]](), 0.0, 0.0
    weights, keys = defaultdict[str, set[int]](set), defaultdict[str, set[int]](set)
    for number in range(jobs):
        now += 1.0 / (LOAD * workers * THREADS)
        while running and running[0][0] <= now:
            placing._busy[heapq.heappop(running)[1]] -= 1
        group = rng.randrange(GROUPS)
        start = time.perf_counter()
        worker = placing._place(f"weights {group}", set())
        spent += time.perf_counter() - start
        assert worker is not None
        placing._busy[worker] += 1
        heapq.heappush(running, (now + rng.uniform(0.7, 1.3), worker))
        weights[worker].add(group)
        keys[worker].add(number % sessions)
    many, all_keys = [len(weights[w]) for w in placing._threads], [len(keys[w]) for w in placing._threads]
    return Placed(sum(many) / workers, max(many), sum(all_keys) / workers, max(all_keys), spent / jobs)


def capacities(measured: Measured, traffic: Traffic, workers: int) -> dict[str, tuple[float, str]]:
    """Evaluations a second that each part can do, and why."""
    limits = Limits()
    through = max(traffic.up + traffic.down, 1)
    return {
        "threads of all workers": (workers * THREADS / measured.worker, f"{1000 * measured.worker:.1f} ms of CPU each"),
        "the service's process": (1 / measured.service, f"{1000 * measured.service:.1f} ms of CPU each, one core"),
        "the service's link": (LINK / through, f"{through / 1e3:.0f} kB each way, 10 Gbit/s"),
        "its disk": (DISK / traffic.down, f"{traffic.down / 1e3:.0f} kB each, before any is sent; 1 GB/s"),
        "space for answers": (
            limits.answers / limits.window / traffic.down,
            f"--answers {limits.answers >> 30}G over --window {limits.window:.0f} s",
        ),
    }


def figure(value: float) -> str:
    """Three digits."""
    return f"{float(f'{value:.3g}'):,.10g}"


def model(measured: Measured, traffic: Traffic) -> Mapping[str, list[list[str]]]:
    """Tables: what each part can do, by the number of workers; the scheduler; placement."""
    parts = [["part", *(f"{n:,}" for n in SIZES), "why"]]
    by_size = {n: capacities(measured, traffic, n) for n in SIZES}
    for name, (_, why) in by_size[SIZES[0]].items():
        parts.append([name, *(figure(by_size[n][name][0]) for n in SIZES), why])
    least = {n: min(parts_of.items(), key=lambda part: part[1][0]) for n, parts_of in by_size.items()}
    parts.append(["**gives out first**", *(f"**{figure(least[n][1][0])}**" for n in SIZES), least[SIZES[-1]][0]])

    scheduler = [["workers", "heartbeats a second", "their CPU", "a look", "CPU were evaluations its tasks"]]
    for n in SIZES:
        rate = least[n][1][0]
        scheduler.append(
            [
                f"{n:,}",
                figure(heartbeats(n)),
                f"{100 * heartbeats(n) * measured.heartbeat:.1f} %",
                f"{measured.look * n / 1e6:.1f} kB a second",
                f"{100 * rate * measured.task:.0f} %",
            ]
        )

    placed = [["workers", "sessions", "weights of a worker", "bytes", "key sets of a worker", "bytes ", "to decide"]]
    for n, sessions in ((16, 50), (100, 300), (1000, 3000)):
        found = placement(n, sessions, 10 * n * THREADS)
        held = found.most_weights * traffic.weights
        placed.append(
            [
                f"{n:,}",
                f"{sessions:,}",
                f"{found.weights:.1f}, at most {found.most_weights}",
                f"{held / 1e9:.2f} GB",
                f"{found.keys:.0f}, at most {found.most_keys}",
                f"{found.most_keys * 3.7 * traffic.keys / 1e9:.2f} GB",
                f"{1e6 * found.seconds:.0f} µs",
            ]
        )
    return {"parts": parts, "scheduler": scheduler, "placement": placed}
