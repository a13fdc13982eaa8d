"""A service under load. ``python -m benchmarks.service_load`` runs two parts, each alone by ``--part``:

``replay``: clients that replay encrypted requests for the modules of MiniLM's adapter (``service_replay``), for a
capacity and for the times at 80 % of it, with the memory of the service in the last 40 seconds.

``many``: a service of more adapters and sessions than its memory may hold, under a limit of memory of its process.
Sessions of several tenants ask for updates at random, each compared with numpy, while an admin unloads and loads every
adapter in turn.

``--docs`` writes the figures to docs/serving.md. The status is 1 where a result is wrong or a bound is not kept.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import resource
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

from benchmarks.pages import rewrite
from benchmarks.service_replay import ADAPTER, Replay, flat, memory_of
from slotlang.adapter.building.build import build as build_adapter
from slotlang.adapter.building.work import Options, prepare
from slotlang.client import Session
from slotlang.client.adapter import Adapter, Crypto
from slotlang.cost.profile import find_profile
from slotlang.diagnostics import SlotError
from slotlang_runtime import SecretKey

PAGE = Path(__file__).resolve().parent.parent / "docs" / "serving.md"
CAP = 3 << 30
"""Bytes of memory that the service's process may ask the system for, in the part ``many``."""
AT, TIMES, FLAT = 0.8, 5.0, 0.02
"""The share of the capacity, how many medians 99 % may take there, and the growth of memory that counts as none."""


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def replay(home: Path, clients: int, seconds: float) -> tuple[list[str], list[str]]:
    """The part ``replay``: its figures, and what is wrong."""
    service = home / "replay"
    build_adapter(prepare(ADAPTER, Options(8, 1e-3), find_profile()), service / "minilm", "minilm", lambda *_: None)
    process = Process(service, "--rate", "1000000", "--token-rate", "1e12", "--window", "30", "--threads", "2")
    try:
        pid, tokens = process.process.pid, [process.token(f"tenant-{number}") for number in range(5)]
        clients_of = Replay(process.url, tokens, "minilm", 100)
        clients_of.run(clients, 3.0, pid)
        most = clients_of.run(clients, 12.0, pid)
        capacity = len(most.seconds) / 12.0
        seen = clients_of.run(clients, seconds, pid, AT * capacity)
        ended = process.stop()
    finally:
        process.close()
    evaluations = seen.evaluations
    clients_of.check(most)
    clients_of.check(seen)
    half, most_of_them = seen.within(0.5), seen.within(0.99)
    growth, spread = flat(seen.memory)
    wrong = [*most.problems, *seen.problems]
    wrong += [] if ended == 0 else [f"the service ended with status {ended}"]
    if most_of_them > TIMES * half:
        wrong.append(f"99 % take {most_of_them / half:.1f} medians, at most {TIMES:.0f} are wanted")
    if growth > FLAT:
        wrong.append(f"memory grew by {growth:.1%} in the last 40 s")
    return [
        f"- capacity: {capacity:.0f} requests a second of {clients} clients, each with 1 to 3 uploads of 8 tokens for "
        "modules at random;",
        f"- at {AT:.0%} of it, for {seconds:.0f} s: {len(seen.seconds):,} requests with {evaluations:,} evaluations, "
        f"{len(seen.problems)} errors or wrong answers; half are answered within {1e3 * half:.0f} ms, 99 % "
        f"within {1e3 * most_of_them:.0f} ms, {most_of_them / half:.1f} times as long;",
        f"- memory of the service: {seen.memory[-1] / 1e6:.0f} MB at the end; in the last 40 s it grew by {growth:.1%} "
        f"within a range of {spread:.1%};",
        f"- other processes took {seen.others:.0%} of the machine meanwhile, {most.others:.0%} while the capacity was "
        f"measured; the clients' own process was late by {1e3 * seen.late:.0f} ms at most.",
    ], wrong


class Many:
    """Sessions of several tenants with a service of many adapters."""

    def __init__(self, folder: Path, adapters: int, sessions: int, tenants: int, key_sets: int) -> None:
        for number in range(adapters):
            build(folder, f"adapter-{number}", layers=LAYERS[:2], seed=number)
        self.process = Process(folder, "--weights-memory", "16M", "--keys-memory", "64M", "--rate", "100000")
        resource.prlimit(self.process.process.pid, resource.RLIMIT_AS, (CAP, CAP))
        tokens = [self.process.token(f"tenant-{number}") for number in range(tenants)]
        self.admin = self.process.token("root", admin=True)
        first = httpx.get(
            f"{self.process.url}/v1/models/adapter-0/client", headers=_bearer(tokens[0]), trust_env=False
        ).content
        adapter = Adapter.from_bytes(first)
        cryptos = [Crypto(adapter, SecretKey(adapter.ring)) for _ in range(key_sets)]
        keys = [crypto.evaluation_keys() for crypto in cryptos]
        self.adapters, self.loads = adapters, 0
        self.sessions: list[tuple[str, Crypto, str]] = []
        for number in range(sessions):
            token, which = tokens[number % tenants], (number // tenants) % key_sets
            self.sessions.append((token, cryptos[which], self.session(token, keys[which])))
        self.seconds: list[float] = []
        self.problems: list[str] = []
        self.away = 0

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
            try:
                with Session(self.process.url, token, model=f"adapter-{which}", secret=crypto.secret) as session:
                    session._inner._session = name
                    session.adapter()
                    start = time.monotonic()
                    y = session.update(LAYERS[0], x)
            except SlotError as problem:
                if problem.diagnostics[0].code != "SL571":
                    self.problems.append(str(problem))
                # it is unloaded at this moment
                self.away += 1
                continue
            self.seconds.append(time.monotonic() - start)
            if np.abs(y - update_of(LAYERS[0], x, which)).max() > 1e-5:
                self.problems.append("a result is wrong")

    def change(self, until: float) -> None:
        """Unload and load every adapter in turn, at least once each."""
        with httpx.Client(base_url=self.process.url, headers=_bearer(self.admin), trust_env=False, timeout=60) as http:
            while time.monotonic() < until or self.loads < self.adapters:
                name = f"adapter-{self.loads % self.adapters}"
                asked: list[tuple[str, dict[str, Any]]] = [
                    ("unload", {"lora_name": name}),
                    ("load", {"lora_name": name, "lora_path": name}),
                ]
                for what, body in asked:
                    answer = http.post(f"/v1/{what}_lora_adapter", json=body)
                    if answer.status_code >= 300:
                        self.problems.append(f"{what} of {name}: {answer.text}")
                        return
                self.loads += 1
                time.sleep(0.1)


def many(home: Path, options: argparse.Namespace) -> tuple[list[str], list[str]]:
    """The part ``many``: its figures, and what is wrong."""
    load = Many(home / "many", options.adapters, options.sessions, options.tenants, options.key_sets)
    pid = load.process.process.pid
    try:
        stored = sum(
            len(httpx.get(f"{load.process.url}/v1/sessions", headers=_bearer(token), trust_env=False).json()["data"])
            for token in dict.fromkeys(token for token, _, _ in load.sessions)
        )
        empty, until = memory_of(pid), time.monotonic() + options.seconds / 2
        threads = [threading.Thread(target=load.work, args=(n, until)) for n in range(4)]
        threads.append(threading.Thread(target=load.change, args=(until,)))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        most = memory_of(pid, "VmHWM")
        ended = load.process.stop()
    finally:
        load.process.close()
    seconds = sorted(load.seconds) or [0.0]
    wrong = list(load.problems)
    wrong += [] if ended == 0 else [f"the service ended with status {ended}"]
    wrong += [] if stored == options.sessions else [f"{stored} sessions are stored, not {options.sessions}"]
    return [
        f"- {options.adapters} adapters, {stored:,} sessions of {options.tenants} tenants, in a process that may ask "
        f"for {CAP >> 30} GB: {len(load.seconds):,} updates by 4 clients, all of them right, while adapters were "
        f"unloaded and loaded {load.loads} times; {load.away} requests met an adapter that was away, and heard so;",
        f"- memory: {most / 1e6:.0f} MB at most, {empty / 1e6:.0f} MB before the first update; half of the updates "
        f"within {1e3 * seconds[len(seconds) // 2]:.0f} ms, 99 % within "
        f"{1e3 * seconds[int(0.99 * (len(seconds) - 1))]:.0f} ms.",
    ], wrong


def main() -> int:
    """Run it; 1 where something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("adapters", 100), ("sessions", 1000), ("tenants", 20), ("key-sets", 25), ("clients", 50)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--part", choices=("replay", "many"), action="append")
    parser.add_argument("--docs", action="store_true", help="write the figures to docs/serving.md")
    options = parser.parse_args()
    wrong = []
    with tempfile.TemporaryDirectory(prefix="slotlang-load-") as home:
        for part in options.part or ("replay", "many"):
            lines, problems = (
                replay(Path(home), options.clients, options.seconds) if part == "replay" else many(Path(home), options)
            )
            print("\n".join(lines), flush=True)
            wrong += problems
            if options.docs:
                rewrite(PAGE, ["", *lines], part)
    for problem in wrong[:20]:
        print(f"WRONG: {problem}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
