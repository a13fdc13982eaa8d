"""A service that is killed again and again while clients work: every result is right, and no answer is made twice.

``make faults`` runs it. A real process serves a small adapter, is ended by SIGKILL at random moments, and started again
on the same port and state. Meanwhile clients ask for updates and compare each with numpy, and one keeps raw requests
with their answers: sent again under the same idempotency key, before and after the process has ended, they must get the
same bytes. Damage is done to the index from time to time.
"""

from __future__ import annotations

import argparse
import random
import secrets
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from served import LAYERS, D, Process, build, update_of

from slotlang.client import Session
from slotlang.client.adapter import Adapter, Crypto
from slotlang.diagnostics import SlotError
from slotlang.service.protocol import Frames, Item, Request
from slotlang_runtime import SecretKey

ALLOWED = 1e-5


class Faults:
    """One run. ``counts`` of what was seen; ``wrong``: what must not be."""

    def __init__(self, folder: Path, seconds: float, seed: int) -> None:
        build(folder)
        self.process = Process(folder)
        self.process.port = int(self.process.url.rpartition(":")[2])
        self.token = self.process.token("alice")
        self.until, self.rng = time.monotonic() + seconds, random.Random(seed)
        self.counts, self.wrong = Counter[str](), list[str]()

    @property
    def over(self) -> bool:
        return time.monotonic() > self.until or bool(self.wrong)

    def client(self, number: int) -> None:
        """Updates, each compared with numpy."""
        rng = np.random.default_rng(number)
        with Session(self.process.url, self.token, tries=30) as session:
            while not self.over:
                layers = list(LAYERS[: 1 + number % 3])
                x = rng.standard_normal((int(rng.integers(1, 6)), D))
                try:
                    found = session.updates(layers, x)
                except SlotError as problem:
                    self.counts[
                        f"a call ended with {problem.diagnostics[0].code}: {problem.diagnostics[0].message[:120]}"
                    ] += 1
                    continue
                for layer in layers:
                    if np.abs(found[layer] - update_of(layer, x)).max() > ALLOWED:
                        self.wrong.append(f"a result of {layer} is wrong")
                self.counts["updates"] += len(layers)

    def replays(self) -> None:
        """Requests with their answers, sent again."""
        http = httpx.Client(
            base_url=self.process.url, headers={"Authorization": f"Bearer {self.token}"}, trust_env=False, timeout=10
        )
        adapter = Adapter.from_bytes(http.get("/v1/models/tiny/client").content)
        crypto = Crypto(adapter, SecretKey(adapter.ring))
        with Session(self.process.url, self.token, secret=crypto.secret, tries=30) as session:
            name = session.keys()["id"]
        asked: list[tuple[str, bytes, dict[int, bytes]]] = []
        while not self.over:
            if not asked or (self.rng.random() < 0.3 and len(asked) < 50):
                items = tuple(Item("0", (layer,)) for layer in LAYERS)
                upload = crypto.encrypt(adapter.groups[0], np.ones((D, 2)))
                asked.append(
                    (secrets.token_urlsafe(16), Request("tiny", adapter.version, items, {"0": upload}).to_bytes(), {})
                )
            key, body, parts = self.rng.choice(asked)
            try:
                with http.stream(
                    "POST", f"/v1/sessions/{name}/evaluate", content=body, headers={"Idempotency-Key": key}
                ) as response:
                    if response.status_code != 200:
                        self.counts[f"a replay got {response.status_code}"] += 1
                        continue
                    frames = Frames()
                    for data in response.iter_bytes():
                        self.take(frames.take(data), parts)
            except httpx.TransportError:
                self.counts["requests that were cut off"] += 1
                time.sleep(0.05)

    def take(self, frames: list[tuple[str, Any]], parts: dict[int, bytes]) -> None:
        """Compare parts with those that were given before, whole or not."""
        for kind, box in frames:
            if kind == "answer":
                number, results = int(box.label["item"]), bytes(box.records["results"])
                self.counts["parts given again" if number in parts else "parts"] += 1
                if parts.setdefault(number, results) != results:
                    self.wrong.append("a part of an answer was evaluated twice")

    def kills(self) -> None:
        """End the process, and start it again."""
        while not self.over:
            time.sleep(self.rng.uniform(0.2, 4.0))
            self.process.process.kill()
            self.process.process.wait()
            self.counts["kills"] += 1
            if self.rng.random() < 0.2:
                index = self.process.folder / ".state" / "index.sqlite"
                index.write_bytes(index.read_bytes()[:4096] + secrets.token_bytes(4096))
                self.counts["damaged indexes"] += 1
            self.process.start()

    def run(self) -> None:
        """All of it."""
        threads = [threading.Thread(target=self.client, args=(number,)) for number in range(3)]
        threads += [threading.Thread(target=self.replays)]
        for thread in threads:
            thread.start()
        self.kills()
        for thread in threads:
            thread.join()
        self.process.close()


def main() -> int:
    """Run it; 1 where something was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="slotlang-faults-") as folder:
        faults = Faults(Path(folder) / "service", options.seconds, options.seed)
        try:
            faults.run()
        finally:
            faults.process.close()
    for what, count in sorted(faults.counts.items()):
        print(f"{count:6} {what}")
    for what in faults.wrong:
        print(f"WRONG: {what}", file=sys.stderr)
    right = not faults.wrong and faults.counts["updates"] and faults.counts["parts given again"]
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
