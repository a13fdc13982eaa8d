"""Clients of ``benchmarks.service_faults``: each knows what the service has told it, and notices what is forgotten."""

from __future__ import annotations

import random
import secrets
import shutil
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from served import LAYERS, D, build, update_of

import slotlang.client.connection
from slotlang.client import Session
from slotlang.client.adapter import Adapter, Crypto
from slotlang.diagnostics import SlotError
from slotlang.service.protocol import Frames, Item, Request
from slotlang_runtime import SecretKey
from slotlang_runtime.wire import Box

# clients that wait for a service as long as they do by themselves would see little of one that lives for a second
slotlang.client.connection._MOST_WAIT = 0.2

ALLOWED = 1e-5
TRIES = 60


def build_once(folder: Path) -> None:
    """A built adapter in a folder, copied from the first one."""
    first = folder.parent / "built"
    if not first.is_dir():
        build(first)
    shutil.copytree(first, folder)


class Seen:
    """What was seen. ``counts``; ``wrong``: what must not be."""

    def __init__(self) -> None:
        self.counts, self.wrong = Counter[str](), list[str]()
        self._lock = threading.Lock()

    def count(self, what: str, number: int = 1) -> None:
        with self._lock:
            self.counts[what] += number

    def expect(self, holds: bool, otherwise: str) -> None:
        if not holds:
            self.wrong.append(otherwise)


def check(seen: Seen, session: Session, layers: list[str], x: Any) -> None:
    """Updates, each compared with numpy."""
    found = session.updates(layers, x)
    for layer in layers:
        seen.expect(bool(np.abs(found[layer] - update_of(layer, x)).max() <= ALLOWED), f"a result of {layer} is wrong")
    seen.count("updates that were compared with numpy", len(layers))


class Clients:
    """Threads that work with a service at a fixed address until ``over``."""

    def __init__(self, seen: Seen, url: str, token: str, over: Callable[[], bool], seed: float) -> None:
        self.seen, self.url, self.token, self._over = seen, url, token, over
        self.rng = random.Random(seed)
        self.http = httpx.Client(
            base_url=url, headers={"Authorization": f"Bearer {token}"}, trust_env=False, timeout=20
        )
        self.adapter = Adapter.from_bytes(self.http.get("/v1/models/tiny/client").content)
        self.told: set[str] = set()
        self.threads = [
            threading.Thread(target=work, daemon=True)
            for work in (self.updates, self.updates, self.replays, self.sessions)
        ]
        for thread in self.threads:
            thread.start()

    @property
    def over(self) -> bool:
        return self._over() or bool(self.seen.wrong)

    def join(self) -> None:
        for thread in self.threads:
            thread.join()
        self.http.close()

    def updates(self) -> None:
        """A client as users have it."""
        rng = np.random.default_rng(self.rng.randrange(1 << 30))
        with Session(self.url, self.token, tries=TRIES) as session:
            while not self.over:
                layers = list(LAYERS[: 1 + int(rng.integers(3))])
                try:
                    check(self.seen, session, layers, rng.standard_normal((int(rng.integers(1, 4)), D)))
                except SlotError as problem:
                    first = problem.diagnostics[0]
                    self.seen.count(f"calls that ended with {first.code}: {first.message[:60]}")

    def replays(self) -> None:
        """Requests with their answers, sent again: before and after the process has ended, the same bytes."""
        crypto = Crypto(self.adapter, SecretKey(self.adapter.ring))
        with Session(self.url, self.token, secret=crypto.secret, tries=TRIES) as session:
            name = session.keys()["id"]
        self.told.add(name)
        asked: list[tuple[str, bytes, dict[int, bytes]]] = []
        upload = crypto.encrypt(self.adapter.groups[0], np.ones((D, 2)))
        while not self.over:
            if not asked or (self.rng.random() < 0.3 and len(asked) < 200):
                items = tuple(Item("0", (layer,)) for layer in LAYERS)
                body = Request("tiny", self.adapter.version, items, {"0": upload}).to_bytes()
                asked.append((secrets.token_urlsafe(16), body, {}))
            key, body, parts = self.rng.choice(asked)
            try:
                with self.http.stream(
                    "POST", f"/v1/sessions/{name}/evaluate", content=body, headers={"Idempotency-Key": key}
                ) as response:
                    if response.status_code != 200:
                        response.read()
                        self.seen.count(f"requests with the status {response.status_code}")
                        self.seen.expect(
                            response.status_code in (429, 503), f"{response.status_code}: {response.text[:200]}"
                        )
                        continue
                    frames = Frames()
                    for data in response.iter_bytes():
                        self._take(frames.take(data), parts)
            except httpx.TransportError:
                self.seen.count("requests that were cut off")
                time.sleep(0.02)

    def _take(self, frames: list[tuple[str, Box]], parts: dict[int, bytes]) -> None:
        for kind, box in frames:
            if kind == "answer":
                number, results = int(box.label["item"]), bytes(box.records["results"] or b"")
                if number in parts:
                    self.seen.count("parts of answers that were given again")
                self.seen.expect(parts.setdefault(number, results) == results, "a part was evaluated twice")

    def sessions(self) -> None:
        """Sessions that are made and ended: those that the service has told of are there, the others are not."""
        crypto = Crypto(self.adapter, SecretKey(self.adapter.ring))
        with Session(self.url, self.token, secret=crypto.secret, tries=TRIES) as session:
            about = {"sha256": session.keys()["keys"], "bytes": len(crypto.evaluation_keys())}
        gone: set[str] = set()
        while not self.over:
            try:
                if len(self.told) < 40 or self.rng.random() < 0.5:
                    made = self.http.post("/v1/sessions", json={"model": "tiny", "keys": about})
                    if made.status_code == 201:
                        self.told.add(made.json()["id"])
                        self.seen.count("sessions made")
                        # the tenant has sent these keys
                        self.seen.expect(made.json()["ready"], "keys that were acknowledged are gone")
                elif len(self.told) > 10:
                    name = self.rng.choice(sorted(self.told))
                    if self.http.get(f"/v1/sessions/{name}").json().get("keys") == about["sha256"]:
                        # from here on nobody knows, until it is acknowledged
                        self.told.discard(name)
                        if self.http.delete(f"/v1/sessions/{name}").status_code == 204:
                            gone.add(name)
                listed = self.http.get("/v1/sessions").json()["data"]
            except (httpx.TransportError, ValueError):
                time.sleep(0.02)
                continue
            there = {state["id"] for state in listed if state["ready"]}
            self.seen.expect(self.told <= there, "a session that was acknowledged is gone")
            self.seen.expect(not gone & there, "a session that was ended is there again")
            self.seen.count("lists of sessions that were compared")
            time.sleep(0.02)


def upload(url: str, token: str, session: str, file: str, part: str) -> None:
    """Send keys in parts, from where the service is, until all are there: a client that may be killed at any time."""
    keys = Path(file).read_bytes()
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, trust_env=False, timeout=20) as http:
        state = http.get(f"/v1/sessions/{session}").json()
        while not state["ready"]:
            at = state["received"]
            data = keys[at : at + int(part)]
            # the service takes no bodies of unknown length
            length = {"Content-Length": str(len(data))}
            path = f"/v1/sessions/{session}/keys"
            answer = http.put(path, params={"offset": at}, content=_slowly(data), headers=length)
            state = answer.json() if answer.status_code == 200 else http.get(f"/v1/sessions/{session}").json()


def _slowly(data: bytes) -> Any:
    # in pieces, so that the process can be killed between two
    for start in range(0, len(data), 1 << 14):
        time.sleep(0.001)
        yield data[start : start + (1 << 14)]
