"""Throughput with workers on Dask, measured, and a model of many of them: ``python -m benchmarks.service_scaling``.

A layer of Llama-3-8B's shapes is built and served over HTTP: by threads of the service, and by one and two worker
processes of a real scheduler. A client asks again and again for all modules of the layer, 8 tokens a time, with several
requests under way. CPU seconds are taken per process. From them, the cost model's traffic and the service's own
placement of jobs follows what each part would take with 1,000 workers. ``--docs`` writes docs/scaling.md.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import os
import pickle
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from served import Process
from workers_of_dask import Cluster

from benchmarks.adapter_build import LLAMA, write_adapter
from benchmarks.pages import markdown, rewrite
from benchmarks.scaling_model import Measured, Traffic, heartbeats, model
from slotlang.client.adapter import Adapter, Crypto
from slotlang.service.evaluator import words_bytes
from slotlang.service.manifest import FILE, Manifest
from slotlang.service.protocol import Frames, Item, Request
from slotlang_runtime import SecretKey
from slotlang_runtime.parameters import RingParameters

ROOT = Path(__file__).resolve().parent.parent
TICKS = os.sysconf("SC_CLK_TCK")
UNDER_WAY = 6
"""Requests at a time: more than threads, so that none waits for the client."""


def cpu_of(pid: int) -> float:
    """CPU seconds of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


@dataclass
class Load:
    """What was measured of one way to evaluate: evaluations a second, and CPU seconds of each process for one."""

    name: str
    rate: float
    cpu: dict[str, float]
    milliseconds: float


class Client:
    """Asks for all modules of the adapter, over and over."""

    def __init__(self, url: str, token: str, name: str) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        self.http = httpx.AsyncClient(base_url=url, headers=headers, trust_env=False, timeout=120)
        with httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=120) as http:
            adapter = Adapter.from_bytes(http.get(f"/v1/models/{name}/client").content)
            crypto = Crypto(adapter, SecretKey(adapter.ring))
            keys = crypto.evaluation_keys()
            about = {"sha256": hashlib.sha256(keys).hexdigest(), "bytes": len(keys)}
            self.session = http.post("/v1/sessions", json={"model": name, "keys": about}).json()["id"]
            http.put(f"/v1/sessions/{self.session}/keys?offset=0", content=keys).raise_for_status()
        rng, items, uploads = np.random.default_rng(0), list[Item](), dict[str, bytes]()
        for group in adapter.groups:
            x = rng.standard_normal((group.updates[0].columns, group.tokens))
            uploads[str(group.number)] = crypto.encrypt(group, x)
            items.append(Item(str(group.number), tuple(update.name for update in group.updates)))
        self.items = len(items)
        self.body = Request(name, adapter.version, tuple(items), uploads).to_bytes()

    async def ask(self) -> float:
        """One request; its seconds."""
        start, frames, kinds = time.monotonic(), Frames(), list[str]()
        headers = {"Idempotency-Key": secrets.token_urlsafe(16)}
        path = f"/v1/sessions/{self.session}/evaluate"
        async with self.http.stream("POST", path, content=self.body, headers=headers) as response:
            async for data in response.aiter_bytes():
                kinds += [kind for kind, _ in frames.take(data)]
        if kinds != ["answer"] * self.items + ["end"]:
            raise SystemExit(f"an answer is not whole: {response.status_code} {kinds}")
        return time.monotonic() - start

    async def several(self, seconds: float) -> list[float]:
        """Requests for a while, some at a time; the seconds of each."""
        until, found = time.monotonic() + seconds, list[float]()

        async def one_after_the_other() -> None:
            while time.monotonic() < until:
                found.append(await self.ask())

        await asyncio.gather(*(one_after_the_other() for _ in range(UNDER_WAY)))
        return found


def load_of(name: str, process: Process, adapter: str, others: dict[str, list[int]], seconds: float) -> Load:
    """Measure one service."""
    client = Client(process.url, process.token("alice"), adapter)

    async def measured() -> Load:
        # until every worker holds what it needs
        await client.several(2.0)
        pids = {"service": [process.process.pid], "client": [os.getpid()], **others}
        before = {who: sum(map(cpu_of, them)) for who, them in pids.items()}
        start = time.monotonic()
        requests = await client.several(seconds)
        took, count = time.monotonic() - start, len(requests) * client.items
        cpu = {who: (sum(map(cpu_of, them)) - before[who]) / count for who, them in pids.items()}
        await client.http.aclose()
        return Load(name, count / took, cpu, 1000 * statistics.median(requests))

    return asyncio.run(measured())


@contextlib.contextmanager
def serving(folder: Path, *options: str) -> Iterator[Process]:
    """A service, until the end of the ``with``."""
    process = Process(folder, "--rate", "10000", "--token-rate", "1e9", *options)
    try:
        yield process
    finally:
        process.stop()
        process.close()


def idle_of(cluster: Cluster, seconds: float) -> float:
    """CPU seconds of the scheduler in a second, while nothing happens but heartbeats."""
    before = cpu_of(cluster.scheduler.pid)
    time.sleep(seconds)
    return (cpu_of(cluster.scheduler.pid) - before) / seconds


def tasks_of(cluster: Cluster, traffic: Traffic, count: int) -> float:
    """CPU seconds of the scheduler for one task of Dask's own with such an upload and such a result."""
    from distributed import Client as DaskClient

    async def measured() -> float:
        async with DaskClient(cluster.address, asynchronous=True, set_as_default=False) as client:
            upload = os.urandom(traffic.up)

            async def one() -> None:
                await client.submit(_pretended, upload, traffic.down, pure=False)

            await one()
            before = cpu_of(cluster.scheduler.pid)
            for _ in range(count // 4):
                await asyncio.gather(*(one() for _ in range(4)))
            return (cpu_of(cluster.scheduler.pid) - before) / count

    return asyncio.run(measured())


def _pretended(upload: bytes, size: int) -> bytes:
    return bytes(size)


def built(folder: Path) -> Path:
    """A layer of Llama-3-8B's shapes, built below this folder."""
    service = folder / "service"
    found = list(service.glob(f"*/{FILE}"))
    if not found:
        write_adapter(LLAMA, folder / "llama", 1)
        words = ["adapter", "build", str(folder / "llama"), "--tokens", "8", "--precision", "1e-3", "-o", str(service)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        subprocess.run([sys.executable, "-m", "slotlang", *words], check=True, env=environment)
        found = list(service.glob(f"*/{FILE}"))
    return found[0].parent


def ring_of(manifest: Manifest) -> RingParameters:
    """The ring of all programs."""
    return RingParameters(int(manifest.parameters["degree"]), tuple(manifest.parameters["prime_bits"]))


def measure(home: Path, adapter: Path, seconds: float) -> tuple[list[Load], Measured, Traffic]:
    """All that is measured."""
    manifest, service = Manifest.read(adapter), adapter.parent
    groups = [manifest.by_id[group.program].predicted for group in manifest.groups]
    traffic = Traffic(
        up=round(statistics.mean(p["upload_bytes"] for p in groups)),
        down=round(statistics.mean(p["download_bytes"] for p in groups)),
        keys=manifest.keys.bytes,
        # as they came, and as kernels read them: both polynomials
        keys_held=manifest.keys.bytes + 2 * words_bytes(ring_of(manifest), manifest.keys.bytes),
        weights=round(statistics.mean(p["weight_bytes"] for p in groups)),
        files=round(statistics.mean(group.weights.bytes or 0 for group in manifest.groups)),
    )
    loads = list[Load]()
    for threads in (1, 2):
        with serving(service, "--threads", str(threads)) as process:
            name = f"{threads} thread{'s' if threads > 1 else ''} of the service"
            loads.append(load_of(name, process, manifest.name, {}, seconds))
    cluster = Cluster(home)
    try:
        # until it is up
        time.sleep(5.0)
        idle = idle_of(cluster, seconds)
        for number in (1, 2):
            cluster.join()
            cluster.wait(number)
            with serving(service, *cluster.options()) as process:
                pids = {"workers": [w.pid for w in cluster.workers], "scheduler": [cluster.scheduler.pid]}
                name = f"{number} worker{'s' if number > 1 else ''}"
                loads.append(load_of(name, process, manifest.name, pids, seconds))
        # no less than what the clock of CPU time tells apart
        heartbeat = max(idle_of(cluster, 2 * seconds) - idle, 1 / TICKS / (2 * seconds))
        heartbeat /= heartbeats(len(cluster.workers))
        task = tasks_of(cluster, traffic, 120)
    finally:
        cluster.close()
    last = loads[-1]
    measured = Measured(last.cpu["service"], last.cpu["workers"], idle, heartbeat, task, pickled_threads())
    return loads, measured, traffic


def pickled_threads() -> int:
    """Bytes of what the scheduler tells of 1,000 workers at each look."""
    return len(pickle.dumps({f"tls://10.0.{n // 250}.{n % 250}:{40000 + n}": 8 for n in range(1000)}))


def rows_of(loads: Sequence[Load]) -> list[list[str]]:
    """The table of what was measured."""
    head = ["evaluated by", "a second", "service", "workers", "scheduler", "client", "request"]
    rows = [head]
    for load in loads:
        cells = [f"{1000 * load.cpu[who]:.2f} ms" if who in load.cpu else "" for who in head[2:6]]
        rows.append([load.name, f"{load.rate:.1f}", *cells, f"{load.milliseconds:.0f} ms"])
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=8.0, help="of each measurement")
    parser.add_argument("--folder", type=Path, help="where the layer is built, or was")
    parser.add_argument("--json", type=Path, help="keep what was measured in this file")
    parser.add_argument("--measured", type=Path, help="take what --json has kept, and measure nothing")
    parser.add_argument("--docs", action="store_true", help="rewrite the figures in docs/scaling.md")
    options = parser.parse_args(arguments)
    if options.measured is not None:
        kept = json.loads(options.measured.read_text())
        loads, traffic = [Load(**load) for load in kept["loads"]], Traffic(**kept["traffic"])
        measured = Measured(**kept["measured"])
    else:
        with tempfile.TemporaryDirectory(prefix="slotlang-scaling-") as home:
            adapter = built(options.folder or Path(home))
            loads, measured, traffic = measure(Path(home), adapter, options.seconds)
    if options.json is not None:
        kept = {"loads": list(map(asdict, loads)), "measured": asdict(measured), "traffic": asdict(traffic)}
        options.json.write_text(json.dumps(kept, indent=2) + "\n")
    tables: Any = {"measured": rows_of(loads), **model(measured, traffic)}
    for name, table in tables.items():
        print(f"\n{name}")
        for row in table:
            print("  " + " | ".join(row))
    if options.docs:
        for name, table in tables.items():
            rewrite(ROOT / "docs" / "scaling.md", markdown(table, ("why", "where")), name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
