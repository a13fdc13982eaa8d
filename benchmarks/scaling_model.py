"""A model of a service with many workers, from measured parts: what each part would take, and which gives out first.

Nothing here is measured on many machines. Jobs are placed by the service's own function, over workers that are
pretended; the rest is multiplication.
"""

from __future__ import annotations

import heapq
import random
import time
from collections import OrderedDict
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
    """CPU seconds of an evaluation in the service and on a worker; of the scheduler, in a second without workers, of a
    heartbeat, and of a task of Dask's own; bytes of a look at 1,000 workers."""

    service: float
    worker: float
    idle: float
    heartbeat: float
    task: float
    look: int


@dataclass(frozen=True)
class Traffic:
    """Bytes by the cost model, means over the programs of a layer: of an upload, of its results, of a session's keys as
    they are sent and as a worker holds them, of encoded weights in memory and in their file."""

    up: int
    down: int
    keys: int
    keys_held: int
    weights: int
    files: int


@dataclass(frozen=True)
class Placed:
    """What a simulation of placement gives: shares of evaluations for which a worker has to be sent weights, and keys;
    workers that hold the weights of a group, on average; seconds of the service for a placement."""

    weights: float
    keys: float
    copies: float
    seconds: float


class Held:
    """What a worker holds, the longest unused given up first."""

    def __init__(self, most: int) -> None:
        self.most, self.names = most, OrderedDict[int, None]()

    def use(self, name: int) -> bool:
        """Whether it was there; it is from now on."""
        there = name in self.names
        self.names[name] = None
        self.names.move_to_end(name)
        if len(self.names) > self.most:
            self.names.popitem(last=False)
        return there


def heartbeats(workers: int) -> float:
    """Heartbeats a second that Dask asks of all workers together."""
    every = 0.5 if workers <= 10 else 1.0 if workers < 50 else 2.0 if workers < 200 else workers / 200 + 1
    return workers / every


def placement(traffic: Traffic, workers: int, sessions: int, jobs: int, seed: int = 0) -> Placed:
    """Place jobs of random groups and sessions, ``LOAD`` of all threads busy, each job about as long as another. Of the
    second half is counted what workers do not hold, within the default bounds of memory."""
    placing, limits = Workers(Scheduler("tcp://127.0.0.1:1"), Memory(1, 1), 1.0), Limits()
    placing._threads = {f"tls://10.0.{n // 250}.{n % 250}:40000": THREADS for n in range(workers)}
    weights = {worker: Held(max(1, limits.weights_memory // traffic.weights)) for worker in placing._threads}
    keys = {worker: Held(max(1, limits.keys_memory // traffic.keys_held)) for worker in placing._threads}
    rng, running, now, spent = random.Random(seed), list[tuple[float, str]](), 0.0, 0.0
    lacking = [0, 0]
    for number in range(jobs):
        now += 1.0 / (LOAD * workers * THREADS)
        while running and running[0][0] <= now:
            placing._busy[heapq.heappop(running)[1]] -= 1
        group = rng.randrange(GROUPS)
        start = time.perf_counter()
        worker = placing._place(f"weights {group}", ())
        spent += time.perf_counter() - start
        assert worker is not None
        placing._busy[worker] += 1
        heapq.heappush(running, (now + rng.uniform(0.7, 1.3), worker))
        had = weights[worker].use(group), keys[worker].use(rng.randrange(sessions))
        if number >= jobs // 2:
            lacking = [count + (not there) for count, there in zip(lacking, had, strict=True)]
    copies = sum(len(held.names) for held in weights.values()) / GROUPS
    counted = jobs - jobs // 2
    return Placed(lacking[0] / counted, lacking[1] / counted, copies, spent / jobs)


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

    task = figure(1 / measured.task)
    why = f"{1000 * measured.task:.1f} ms of CPU each, one thread; not done here"
    parts.append(["a scheduler that passes all on as Dask's tasks", *([task] * len(SIZES)), why])

    scheduler = [["workers", "heartbeats a second", "its CPU, at most", "a look"]]
    for n in SIZES:
        scheduler.append(
            [
                f"{n:,}",
                figure(heartbeats(n)),
                f"{100 * (measured.idle + heartbeats(n) * measured.heartbeat):.1f} %",
                f"{measured.look * n / 1e6:.1f} kB a second",
            ]
        )

    placed = [["workers", "sessions", "copies of weights", "weights sent", "keys sent", "bytes for each", "to decide"]]
    for n, sessions in ((2, 50), (16, 50), (16, 500), (100, 50), (100, 500), (1000, 50), (1000, 5000)):
        found = placement(traffic, n, sessions, 40 * n * THREADS)
        sent = found.weights * traffic.files + found.keys * traffic.keys
        placed.append(
            [
                f"{n:,}",
                f"{sessions:,}",
                f"{found.copies:.1f}",
                f"{100 * found.weights:.1f} %",
                f"{100 * found.keys:.1f} %",
                f"{sent / 1e3:,.0f} kB",
                f"{1e6 * found.seconds:.0f} µs",
            ]
        )
    return {"parts": parts, "scheduler": scheduler, "placement": placed}
