"""Clients that replay encrypted requests: how many a second a service takes, and how long each waits at 80 % of that.

Requests are encrypted once, of modules and numbers of tokens at random. Each client has a connection of its own, sends
the bytes of a request under a new idempotency key, so that it is evaluated again, and keeps the answer. All answers are
decrypted and compared with numpy when the run has ended: the two cores of the machine are the service's meanwhile, but
for what sending and receiving take.

First every client asks as fast as it gets answers, for the capacity. Then each asks at moments that were fixed before,
half to one and a half times the mean pause apart, and a request's time runs from its moment on, sent or not.
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
import secrets
import statistics
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from slotlang.adapter import read_adapter
from slotlang.client import Session
from slotlang.client.adapter import Adapter, Crypto, Group
from slotlang.service.protocol import Frames, Item, Request

ADAPTER = Path(__file__).resolve().parents[1] / "examples" / "minilm_adapter"
SAMPLE = 0.5
"""Seconds between two looks at the memory."""


def memory_of(pid: int, line: str = "VmRSS") -> int:
    """Bytes that a process holds, or held at most (``VmHWM``)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return 1024 * next(int(text.split()[1]) for text in lines if text.startswith(line))


@dataclass
class Prepared:
    """A request, but for its idempotency key: what stands before and after it, what each item is, and its inputs."""

    before: bytes
    after: bytes
    items: list[tuple[Group, Any]]
    crypto: Crypto


@dataclass
class Seen:
    """What a run has seen: seconds of each request, answers with the number of their request, and what went wrong.
    ``others``: the share of the machine that other processes took meanwhile; ``late``: seconds by which the clients'
    own process was late at most, when it was looked."""

    seconds: list[float] = field(default_factory=list)
    answers: list[tuple[int, bytes]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    evaluations: int = 0
    memory: list[int] = field(default_factory=list)
    others: float = 0.0
    late: float = 0.0

    def within(self, share: float) -> float:
        """The seconds within which this share of the requests was answered."""
        return sorted(self.seconds)[min(len(self.seconds) - 1, int(share * len(self.seconds)))]


class Replay:
    """Requests of several tenants for an adapter."""

    def __init__(self, url: str, tokens: list[str], model: str, count: int, seed: int = 0) -> None:
        self.url, self.rng, self.prepared = httpx.URL(url), random.Random(seed), list[Prepared]()
        self._of = read_adapter(ADAPTER).modules
        for token in tokens:
            with Session(url, token, model=model) as session:
                adapter, name = session.adapter(), str(session.keys()["id"])
                crypto: Any = session._inner._crypto
                self.prepared += [self._request(adapter, crypto, name, token) for _ in range(count // len(tokens))]

    def _request(self, adapter: Adapter, crypto: Crypto, session: str, token: str) -> Prepared:
        """One to three uploads, of one program's tokens each, for groups at random."""
        items, uploads, asked = list[tuple[Group, Any]](), dict[str, bytes](), list[Item]()
        for number in range(self.rng.choice([1, 1, 2, 3])):
            group = self.rng.choice(adapter.groups)
            x = np.random.default_rng(self.rng.randrange(1 << 30)).standard_normal(
                (group.updates[0].columns, group.tokens)
            )
            uploads[str(number)] = crypto.encrypt(group, x)
            asked.append(Item(str(number), tuple(update.name for update in group.updates)))
            items.append((group, x))
        body = Request(adapter.name, adapter.version, tuple(asked), uploads).to_bytes()
        head = (
            f"POST /v1/sessions/{session}/evaluate HTTP/1.1\r\nHost: {self.url.host}\r\nAuthorization: Bearer {token}"
            f"\r\nContent-Length: {len(body)}\r\nIdempotency-Key: "
        )
        return Prepared(head.encode(), b"\r\n\r\n" + body, items, crypto)

    def check(self, seen: Seen) -> None:
        """Compare all answers with numpy."""
        for number, data in seen.answers:
            prepared = self.prepared[number]
            frames = Frames().take(data)
            if [kind for kind, _ in frames] != ["answer"] * len(prepared.items) + ["end"]:
                seen.problems.append(f"an answer of {[kind for kind, _ in frames]}")
                continue
            for (group, x), (_, box) in zip(prepared.items, frames, strict=False):
                (results,) = box.exactly(["results"])
                for update, y in zip(group.updates, prepared.crypto.decrypt(group, bytes(results or b"")), strict=True):
                    module = self._of[update.name]
                    want = module.scaling * module.up @ (module.down @ x)
                    off = float(np.sqrt(np.mean((y - want) ** 2) / np.mean(want**2)))
                    if not off < 2e-3:
                        seen.problems.append(f"an update of {update.name} is off by {off:.1e}")
        seen.answers.clear()

    def run(self, clients: int, seconds: float, pid: int, rate: float | None = None) -> Seen:
        """Ask for this long; ``rate``: requests a second of all clients together, as fast as answers come without."""
        # what was imported and prepared stays: a look for garbage in it would stop all clients for a second
        gc.collect()
        gc.freeze()
        before = _busy(), _own(pid), time.monotonic()
        seen = asyncio.run(self._run(clients, seconds, pid, rate))
        after = _busy(), _own(pid), time.monotonic()
        used, own, passed = (now - then for now, then in zip(after, before, strict=True))
        seen.others = max(0.0, (used - own) / passed / (os.cpu_count() or 1))
        return seen

    async def _run(self, clients: int, seconds: float, pid: int, rate: float | None) -> Seen:
        seen, start = Seen(), time.monotonic()

        async def memory() -> None:
            while True:
                seen.memory.append(memory_of(pid))
                due = time.monotonic() + SAMPLE
                await asyncio.sleep(SAMPLE)
                seen.late = max(seen.late, time.monotonic() - due)

        looking = asyncio.create_task(memory())
        pause = None if rate is None else clients / rate
        try:
            await asyncio.gather(*(self._client(n, start, start + seconds, pause, seen) for n in range(clients)))
        except (OSError, asyncio.IncompleteReadError) as problem:
            seen.problems.append(f"a connection failed: {problem!r}")
        looking.cancel()
        return seen

    async def _client(self, number: int, start: float, until: float, pause: float | None, seen: Seen) -> None:
        reader, writer = await asyncio.open_connection(self.url.host, self.url.port, limit=1 << 22)
        rng = random.Random(f"{number} {pause}")
        moment = start + rng.uniform(0, pause or 0.0)
        while not seen.problems:
            if pause is None:
                moment = time.monotonic()
            elif (early := moment - time.monotonic()) > 0:
                await asyncio.sleep(early)
            if moment >= until:
                break
            which = rng.randrange(len(self.prepared))
            prepared = self.prepared[which]
            writer.write(prepared.before + secrets.token_urlsafe(16).encode() + prepared.after)
            status, data = await _answer(reader)
            if status != 200:
                seen.problems.append(f"an answer with status {status}: {data[:300]!r}")
            seen.seconds.append(time.monotonic() - moment)
            seen.answers.append((which, data))
            seen.evaluations += len(prepared.items)
            moment += 0.0 if pause is None else pause * rng.uniform(0.5, 1.5)
        writer.close()


def _busy() -> float:
    """CPU seconds of all processes of the machine, those that were withheld from it among them."""
    user, nice, system, _, _, irq, softirq, steal = map(int, Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def _own(pid: int) -> float:
    """CPU seconds of this process and the service's."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return time.process_time() + (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Status and body of an answer."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    status = int(head.split(b" ", 2)[1])
    for line in head.split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return status, await reader.readexactly(int(line.partition(b":")[2]))
    parts = []
    while size := int((await reader.readline()).strip(), 16):
        parts.append((await reader.readexactly(size + 2))[:-2])
    await reader.readline()
    return status, b"".join(parts)


def flat(memory: list[int], seconds: float = 40.0) -> tuple[float, float]:
    """Of the last ``seconds``: the growth from the first to the last quarter, and the range, both of the mean."""
    last = memory[-int(seconds / SAMPLE) :]
    quarter, mean = max(1, len(last) // 4), statistics.mean(last)
    growth = statistics.mean(last[-quarter:]) - statistics.mean(last[:quarter])
    return growth / mean, (max(last) - min(last)) / mean
