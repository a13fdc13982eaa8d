"""What HTTP adds to a request: encryption, evaluation and decryption without it, and the same by a real service.

``python -m benchmarks.service_http`` builds one layer of Llama-3-8B's shapes (``adapter_build``) and a small adapter of
the tests, starts a service of both, and asks for updates in turns: by ``Crypto.encrypt``, ``Server.evaluate`` and
``Crypto.decrypt`` in one process; by the same with ``Server.evaluate`` in a process of its own, which gets uploads and
gives answers through a pipe; and by a ``Session`` over HTTP. Two processes wait for each other, and what each finds in
its caches after that is not HTTP's: what HTTP adds is counted from the second. CPU times are those of all processes
together, the least of ``--rounds``; times of the clock are medians. ``--docs`` writes them to docs/serving.md.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from served import LAYERS, Process, build

from benchmarks.adapter_build import LLAMA, write_adapter
from benchmarks.pages import markdown, rewrite
from slotlang.adapter.building.build import build as build_adapter
from slotlang.adapter.building.work import Options, prepare
from slotlang.client import Session
from slotlang.client.adapter import Adapter, Crypto
from slotlang.cost.profile import find_profile
from slotlang.service.evaluator import Station
from slotlang.service.manifest import Manifest
from slotlang.service.programs import checked_bytes
from slotlang_runtime import EvaluationKeys, Server, Weights

PAGE = Path(__file__).resolve().parent.parent / "docs" / "serving.md"
LAYER = "model.layers.0."
QKV = tuple(f"{LAYER}self_attn.{name}_proj" for name in "qkv")
MOST = 0.10
"""What HTTP may add, of a request without it."""


def cpu_of(pid: int) -> float:
    """CPU seconds of the threads of a process, to the nanosecond."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            total += int((task / "schedstat").read_text().split()[0])
        except (FileNotFoundError, ProcessLookupError):
            continue
    return total / 1e9


@dataclass
class Times:
    """Seconds of the rounds of one way: ``client``, ``server`` of CPU time, ``clock``."""

    client: list[float] = field(default_factory=list)
    server: list[float] = field(default_factory=list)
    clock: list[float] = field(default_factory=list)

    def take(self, work: Callable[[], Any], server: int | None) -> None:
        """One round."""
        before = 0.0 if server is None else cpu_of(server)
        cpu, clock = time.process_time(), time.perf_counter()
        work()
        self.clock.append(time.perf_counter() - clock)
        self.client.append(time.process_time() - cpu)
        if server is not None:
            # what the service does after it has answered is its work too
            time.sleep(0.003)
            self.server.append(cpu_of(server) - before)

    @property
    def cpu(self) -> float:
        """The least of both together."""
        return min(map(sum, zip(self.client, self.server or [0.0] * len(self.client), strict=True)))


@dataclass(frozen=True)
class Asked:
    """Modules of an adapter that are asked for in one call, and the number of tokens."""

    name: str
    model: str
    calls: tuple[tuple[str, ...], ...]
    tokens: int


REQUESTS = (
    Asked("q, k and v of a layer", "llama", (QKV,), 8),
    Asked("one module (o)", "llama", ((f"{LAYER}self_attn.o_proj",),), 8),
    Asked(
        "all modules of a layer",
        "llama",
        (
            QKV,
            (f"{LAYER}self_attn.o_proj",),
            (f"{LAYER}mlp.gate_proj", f"{LAYER}mlp.up_proj"),
            (f"{LAYER}mlp.down_proj",),
        ),
        8,
    ),
    Asked("q, k and v of a layer", "llama", (QKV,), 64),
    Asked("a module of 32 x 32, rank 4", "tiny", ((LAYERS[0],),), 2),
)


class Servers:
    """The servers of an adapter's groups, and a client's keys, without a service."""

    def __init__(self, folder: Path, keys: bytes) -> None:
        self.keys = EvaluationKeys.from_bytes(keys)
        self.folder, self.manifest = folder, Manifest.read(folder)
        self._servers: dict[int, Server] = {}
        self._station = Station(0, 0)

    def _server(self, number: int) -> Server:
        if number not in self._servers:
            built = self.manifest.groups[number]
            file = self.manifest.by_id[built.program].file
            module = self._station.program(file.sha256, lambda: checked_bytes(self.folder, file))
            self._servers[number] = Server(Weights.from_bytes(module, checked_bytes(self.folder, built.weights)))
        return self._servers[number]

    def evaluate(self, number: int, upload: bytes) -> bytes:
        """The answer of a group's server, which is made once."""
        return self._server(number).evaluate(upload, self.keys).data


def _serve(pipe: Connection, folder: Path, keys: bytes) -> None:
    servers = Servers(folder, keys)
    while number := pipe.recv_bytes():
        pipe.send_bytes(servers.evaluate(int(number), pipe.recv_bytes()))


class Piped:
    """``Servers`` in a process of their own."""

    def __init__(self, folder: Path, keys: bytes) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other, folder, keys), daemon=True)
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def evaluate(self, number: int, upload: bytes) -> bytes:
        """The answer of a group's server."""
        self._pipe.send_bytes(b"%d" % number)
        self._pipe.send_bytes(upload)
        return self._pipe.recv_bytes()

    def close(self) -> None:
        """End the process."""
        self._pipe.send_bytes(b"")
        self._process.join()


def update(adapter: Adapter, crypto: Crypto, server: Servers | Piped, modules: tuple[str, ...], x: Any) -> None:
    """Encrypt, have it evaluated and decrypt."""
    group = adapter.place(modules[0])[0]
    for start in range(0, len(x), group.tokens):
        upload = crypto.encrypt(group, x[start : start + group.tokens].T.copy())
        crypto.decrypt(group, server.evaluate(group.number, upload))


def llama(folder: Path) -> None:
    """One layer of Llama-3-8B's shapes, as a folder of a service, unless it is there."""
    if not (folder / "service" / "llama" / "manifest.json").is_file():
        write_adapter(LLAMA, folder / "llama", 1)
        build_adapter(
            prepare(folder / "llama", Options(8, 1e-3), find_profile()),
            folder / "service" / "llama",
            "llama",
            lambda what, done: None,
        )


@dataclass
class Measured:
    """A request in one process, in two, and over HTTP."""

    asked: Asked
    one: Times = field(default_factory=Times)
    two: Times = field(default_factory=Times)
    http: Times = field(default_factory=Times)

    def take(self, folder: Path, session: Session, pid: int, rounds: int) -> None:
        """All three in turns. ``folder``: of the adapter; ``pid``: of the service."""
        inner: Any = session._inner
        adapter = session.adapter()
        session.keys()
        crypto, keys = Crypto(adapter, inner._crypto.secret), inner._evaluation_keys
        columns = {name: u.columns for name, (_, u) in adapter.places.items()}
        rng = np.random.default_rng(0)
        inputs = [
            (modules, rng.standard_normal((self.asked.tokens, columns[modules[0]]))) for modules in self.asked.calls
        ]
        here, piped = Servers(folder, keys), Piped(folder, keys)

        def every(ask: Callable[[tuple[str, ...], Any], Any]) -> Callable[[], None]:
            def work() -> None:
                for modules, x in inputs:
                    ask(modules, x)

            return work

        ways = (
            (self.one, every(lambda modules, x: update(adapter, crypto, here, modules, x)), None),
            (self.two, every(lambda modules, x: update(adapter, crypto, piped, modules, x)), piped.pid),
            (self.http, every(session.updates), pid),
        )
        for _, work, _ in ways * 3:
            work()
        for _ in range(rounds):
            for times, work, server in ways:
                times.take(work, server)
        piped.close()


def measured(folder: Path, rounds: int) -> list[Measured]:
    """Each request in all three ways."""
    llama(folder)
    service = folder / "service"
    build(service)
    process = Process(service, "--rate", "100000", "--token-rate", "1e9", "--threads", "1")
    found = []
    try:
        token = process.token("alice")
        for asked in REQUESTS:
            with Session(process.url, token, model=asked.model) as session:
                found.append(Measured(asked))
                found[-1].take(service / asked.model, session, process.process.pid, rounds)
    finally:
        process.stop()
        process.close()
    return found


def rows(found: list[Measured]) -> list[list[str]]:
    """The figures, the first row their heads."""
    out = [
        [
            "request",
            "tokens",
            "one process, CPU ms",
            "two",
            "over HTTP",
            "client",
            "service",
            "HTTP adds to two",
            "to one",
            "clock: one process, ms",
            "two",
            "over HTTP",
        ]
    ]
    for it in found:
        out.append(
            [
                it.asked.name,
                str(it.asked.tokens),
                *(f"{1e3 * times.cpu:.1f}" for times in (it.one, it.two, it.http)),
                f"{1e3 * min(it.http.client):.1f}",
                f"{1e3 * min(it.http.server):.1f}",
                *(f"{100 * (it.http.cpu / times.cpu - 1):.0f} %" for times in (it.two, it.one)),
                *(f"{1e3 * statistics.median(times.clock):.1f}" for times in (it.one, it.two, it.http)),
            ]
        )
    return out


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--folder", type=Path, help="keep what is built here; the next run goes on with it")
    parser.add_argument("--docs", action="store_true", help="write the table to docs/serving.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="slotlang-http-") as temporary:
        found = measured(options.folder or Path(temporary), options.rounds)
    for row in rows(found):
        print("  ".join(f"{cell:>20}" if n else f"{cell:30}" for n, cell in enumerate(row)))
    if options.docs:
        rewrite(PAGE, markdown(rows(found), ["request"]), "http")
    return 0


if __name__ == "__main__":
    sys.exit(main())
