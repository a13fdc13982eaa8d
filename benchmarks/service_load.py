"""A service under load: adapters and sessions beyond what its memory may hold, and what HTTP adds to an evaluation.

``python -m benchmarks.service_load`` builds small adapters, starts a real service with small bounds of memory, makes
sessions of several tenants, and asks for updates at random, each compared with numpy. It prints the largest memory of
the process, throughput and latency; then, of one client that asks again and again, the CPU time of the service for an
update beside that of ``Server.evaluate`` alone. ``--adapter FOLDER``: a built adapter for this last figure.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from served import LAYERS, D, Process, build, update_of

from slotlang.client import Session
from slotlang.client.adapter import Adapter, Crypto
from slotlang.service.evaluator import Station
from slotlang.service.manifest import Manifest
from slotlang.service.programs import checked_bytes
from slotlang_runtime import EvaluationKeys, SecretKey, Server, Weights

TICKS = os.sysconf("SC_CLK_TCK")


def cpu_of(pid: int) -> float:
    """CPU seconds of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def peak_of(pid: int) -> float:
    """The largest resident memory of a process, in bytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return 1024.0 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


class Load:
    """Sessions of several tenants with a service of many adapters."""

    def __init__(self, folder: Path, adapters: int, sessions: int, tenants: int, key_sets: int) -> None:
        for number in range(adapters):
            build(folder, f"adapter-{number}", seed=number)
        self.process = Process(folder, "--weights-memory", "16M", "--keys-memory", "32M", "--rate", "1000")
        tokens = [self.process.token(f"tenant-{number}") for number in range(tenants)]
        first = httpx.get(
            f"{self.process.url}/v1/models/adapter-0/client", headers=_bearer(tokens[0]), trust_env=False
        ).content
        adapter = Adapter.from_bytes(first)
        cryptos = [Crypto(adapter, SecretKey(adapter.ring)) for _ in range(key_sets)]
        keys = [crypto.evaluation_keys() for crypto in cryptos]
        self.adapters = adapters
        self.sessions: list[tuple[str, Crypto, str]] = []
        for number in range(sessions):
            token, which = tokens[number % tenants], (number // tenants) % key_sets
            self.sessions.append((token, cryptos[which], self.session(token, keys[which])))
        self.seconds: list[float] = []
        self.problems: list[str] = []

    def session(self, token: str, keys: bytes) -> str:
        """A session with these keys."""
        with httpx.Client(base_url=self.process.url, headers=_bearer(token), trust_env=False, timeout=60) as http:
            about = {"sha256": hashlib.sha256(keys).hexdigest(), "bytes": len(keys)}
            made = http.post("/v1/sessions", json={"model": "adapter-0", "keys": about}).json()
            if not made["ready"]:
                http.put(f"/v1/sessions/{made['id']}/keys?offset=0", content=keys).raise_for_status()
            return str(made["id"])

    def work(self, seed: int, until: float) -> None:
        """Updates of adapters and sessions at random."""
        rng, numbers = random.Random(seed), np.random.default_rng(seed)
        while time.monotonic() < until and not self.problems:
            token, crypto, name = rng.choice(self.sessions)
            which, x = rng.randrange(self.adapters), numbers.standard_normal((2, D))
            with Session(self.process.url, token, model=f"adapter-{which}", secret=crypto.secret) as session:
                session._inner._session = name
                session.adapter()
                start = time.monotonic()
                y = session.update(LAYERS[0], x)
                self.seconds.append(time.monotonic() - start)
            if np.abs(y - update_of(LAYERS[0], x, which)).max() > 1e-5:
                self.problems.append("a result is wrong")


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def added_by_http(folder: Path, times: int) -> tuple[float, float]:
    """CPU seconds of an update: in a service's process, and of ``Server.evaluate``; of the first group's program."""
    name = Manifest.read(folder).name
    process = Process(folder)
    try:
        token = process.token("alice")
        with Session(process.url, token, model=name) as session:
            adapter = session.adapter()
            group = adapter.groups[0]
            x = np.random.default_rng(0).standard_normal((group.tokens, group.updates[0].columns))
            session.update(group.updates[0].name, x)
            before = cpu_of(process.process.pid)
            for _ in range(times):
                session.update(group.updates[0].name, x)
            served = (cpu_of(process.process.pid) - before) / times
            crypto: Any = session._inner._crypto
            upload = crypto.encrypt(group, x.T.copy())
            keys = EvaluationKeys.from_bytes(crypto.evaluation_keys())
    finally:
        process.stop()
        process.close()
    manifest = Manifest.read(folder)
    built = manifest.groups[0]
    program = manifest.by_id[built.program].file
    module = Station(0, 0).program(program.sha256, lambda: checked_bytes(folder, program))
    server = Server(Weights.from_bytes(module, checked_bytes(folder, built.weights)))
    server.evaluate(upload, keys)
    start = time.process_time()
    for _ in range(times):
        server.evaluate(upload, keys)
    return served, (time.process_time() - start) / times


def main() -> int:
    """Run it; 1 where a result is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("adapters", 100), ("sessions", 1000), ("tenants", 20), ("key-sets", 25), ("clients", 4)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--adapter", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="slotlang-load-") as home:
        load = Load(Path(home) / "service", options.adapters, options.sessions, options.tenants, options.key_sets)
        try:
            empty, until = peak_of(load.process.process.pid), time.monotonic() + options.seconds
            threads = [threading.Thread(target=load.work, args=(n, until)) for n in range(options.clients)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            most = peak_of(load.process.process.pid)
        finally:
            load.process.close()
        seconds = sorted(load.seconds) or [0.0]
        print(f"{options.adapters} adapters, {len(load.sessions)} sessions of {options.tenants} tenants")
        rate = len(load.seconds) / options.seconds
        print(f"{len(load.seconds)} updates by {options.clients} clients: {rate:.1f} a second")
        for share in (0.5, 0.95):
            print(f"{share:.0%} within {1000 * seconds[int(share * (len(seconds) - 1))]:.0f} ms")
        print(f"memory: {most / 1e6:.0f} MB at most, {empty / 1e6:.0f} MB before the first update")
        folder = options.adapter
        if folder is None:
            build(Path(home) / "one")
            folder = Path(home) / "one" / "tiny"
        served, alone = added_by_http(folder, 100)
        print(f"CPU time of an update: {1000 * served:.1f} ms in the service, {1000 * alone:.1f} ms evaluation alone")
    for problem in load.problems:
        print(f"WRONG: {problem}", file=sys.stderr)
    return 1 if load.problems else 0


if __name__ == "__main__":
    sys.exit(main())
