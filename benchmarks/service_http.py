"""What HTTP adds to a request: encryption, evaluation and decryption in one process, and the same by a real service.

``python -m benchmarks.service_http`` builds one layer of Llama-3-8B's shapes (``adapter_build``) and a small adapter of
the tests, starts a service of both, and asks for updates in turns: directly, by ``Crypto.encrypt``, ``Server.evaluate``
and ``Crypto.decrypt``, and by a ``Session`` over HTTP. CPU times are those of both processes together, the least of
``--rounds``; times of the clock are medians. ``--docs`` writes them to docs/serving.md.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
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
from slotlang.client.adapter import Adapter, Crypto, Group
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


class Direct:
    """An adapter without a service: the client's and the server's objects in one process."""

    def __init__(self, folder: Path, session: Session) -> None:
        inner: Any = session._inner
        self.adapter: Adapter = session.adapter()
        session.keys()
        self.crypto = Crypto(self.adapter, inner._crypto.secret)
        self.keys = EvaluationKeys.from_bytes(inner._evaluation_keys)
        self.folder, self.manifest = folder, Manifest.read(folder)
        self._servers: dict[int, Server] = {}
        self._station = Station(0, 0)

    def server(self, group: Group) -> Server:
        """The server of a group, made once."""
        if group.number not in self._servers:
            built = self.manifest.groups[group.number]
            file = self.manifest.by_id[built.program].file
            module = self._station.program(file.sha256, lambda: checked_bytes(self.folder, file))
            self._servers[group.number] = Server(Weights.from_bytes(module, checked_bytes(self.folder, built.weights)))
        return self._servers[group.number]

    def update(self, modules: tuple[str, ...], x: Any) -> None:
        """Encrypt, evaluate and decrypt."""
        group = self.adapter.place(modules[0])[0]
        server = self.server(group)
        for start in range(0, len(x), group.tokens):
            upload = self.crypto.encrypt(group, x[start : start + group.tokens].T.copy())
            self.crypto.decrypt(group, server.evaluate(upload, self.keys).data)


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


def measured(folder: Path, rounds: int) -> list[tuple[Asked, Times, Times]]:
    """Each request directly, and over HTTP."""
    llama(folder)
    service = folder / "service"
    build(service)
    process = Process(service, "--rate", "100000", "--token-rate", "1e9", "--threads", "1")
    found = []
    try:
        token = process.token("alice")
        for asked in REQUESTS:
            with Session(process.url, token, model=asked.model) as session:
                direct = Direct(service / asked.model, session)
                columns = {name: u.columns for name, (_, u) in direct.adapter.places.items()}
                rng = np.random.default_rng(0)
                inputs = [rng.standard_normal((asked.tokens, columns[modules[0]])) for modules in asked.calls]

                def over_http(session: Session = session, asked: Asked = asked, inputs: list[Any] = inputs) -> None:
                    for modules, x in zip(asked.calls, inputs, strict=True):
                        session.updates(modules, x)

                def directly(direct: Direct = direct, asked: Asked = asked, inputs: list[Any] = inputs) -> None:
                    for modules, x in zip(asked.calls, inputs, strict=True):
                        direct.update(modules, x)

                one, other = Times(), Times()
                for _ in range(3):
                    directly()
                    over_http()
                for _ in range(rounds):
                    one.take(directly, None)
                    other.take(over_http, process.process.pid)
                found.append((asked, one, other))
    finally:
        process.stop()
        process.close()
    return found


def rows(found: list[tuple[Asked, Times, Times]]) -> list[list[str]]:
    """The figures, the first row their heads."""
    out = [
        [
            "request",
            "tokens",
            "directly, CPU ms",
            "over HTTP",
            "client",
            "service",
            "HTTP adds",
            "clock: directly, ms",
            "over HTTP",
        ]
    ]
    for asked, one, other in found:
        out.append(
            [
                asked.name,
                str(asked.tokens),
                f"{1e3 * one.cpu:.1f}",
                f"{1e3 * other.cpu:.1f}",
                f"{1e3 * min(other.client):.1f}",
                f"{1e3 * min(other.server):.1f}",
                f"{100 * (other.cpu / one.cpu - 1):.0f} %",
                f"{1e3 * statistics.median(one.clock):.1f}",
                f"{1e3 * statistics.median(other.clock):.1f}",
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
