"""Connections of a service: who gives way, and what is read of whom."""

from __future__ import annotations

import asyncio
import resource
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import httpx
import numpy as np
import pytest
from served import LAYERS, D, Process, build, update_of

from slotlang.client import ServiceProblem, Session
from slotlang.service.connections import Connections
from slotlang.service.lines import HTTP

MOST = 6
EVALUATE = b"POST /v1/sessions/" + b"A" * 22 + b"/evaluate HTTP/1.1\r\nHost: x\r\n"
HEALTH = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    found = folder / "cert.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    command += ["-out", str(found[0]), "-keyout", str(found[1]), "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run(command, check=True, capture_output=True)
    return found


@pytest.fixture(scope="module", params=["plain", "TLS"])
def served(
    request: pytest.FixtureRequest, certificate: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Process]:
    """A service with few places, where nobody is given up for being slow."""
    folder = tmp_path_factory.mktemp("service") / "adapters"
    build(folder)
    options = ["--connections", str(MOST), "--idle", "1000", "--max-body", "8M"]
    if request.param == "TLS":
        options += ["--ssl-certfile", str(certificate[0]), "--ssl-keyfile", str(certificate[1])]
    process = Process(folder, *options)
    yield process
    process.close()


def dialled(process: Process) -> socket.socket:
    """A connection on which nothing was sent."""
    url = httpx.URL(process.url)
    return socket.create_connection((url.host, url.port or 0), timeout=30)


def connected(process: Process, certificate: Path) -> socket.socket:
    """After TLS's handshake, where the service has TLS."""
    line = dialled(process)
    if not process.url.startswith("https"):
        return line
    return ssl.create_default_context(cafile=str(certificate)).wrap_socket(line, server_hostname="localhost")


def until_closed(line: socket.socket) -> bytes:
    """All that comes."""
    data = b""
    with suppress(ConnectionResetError):
        while more := line.recv(1 << 16):
            data += more
    return data


def serves(session: Session) -> bool:
    """Whether an update is right."""
    x = np.random.default_rng(3).standard_normal((2, D))
    return bool(np.allclose(session.update(LAYERS[0], x), update_of(LAYERS[0], x), atol=1e-2))


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def test_silent_connections_give_way(served: Process, certificate: tuple[Path, Path]) -> None:
    """Whether or not their handshake is done; of those with a request under way none does."""
    with Session(served.url, served.token("alice"), certificates=certificate[0]) as session:
        silent = [dialled(served) for _ in range(MOST + 2)] + [connected(served, certificate[0]) for _ in range(MOST)]
        assert serves(session)
        # the first ones were closed, and nothing was said on them
        assert until_closed(silent[0]) == until_closed(silent[1]) == b""
        for line in silent:
            line.close()


def test_a_tenant_has_half_of_the_places(served: Process, certificate: tuple[Path, Path]) -> None:
    token = served.token("bob")
    head = EVALUATE + f"Authorization: Bearer {token}\r\nIdempotency-Key: {'k' * 16}\r\n".encode()
    session = head.replace(b"A" * 22, session_of(served, token, certificate[0]).encode())
    lines = [connected(served, certificate[0]) for _ in range(MOST // 2 + 1)]
    for line in lines[:-1]:
        line.sendall(session + b"Content-Length: 1000\r\nExpect: 100-continue\r\n\r\n")
        assert status(line.recv(1000)) == 100
    lines[-1].sendall(session + b"Content-Length: 1000\r\n\r\n")
    answer = lines[-1].recv(1000)
    assert status(answer) == 503 and b"SL575" in answer and b"retry-after" in answer.lower()
    # others are served, and those that hold a place keep it
    with Session(served.url, served.token("carol"), certificates=certificate[0]) as other:
        assert serves(other)
    for line in lines[:-1]:
        line.sendall(bytes(1000))
        assert status(line.recv(1000)) in (400, 422)
    for line in lines:
        line.close()


def session_of(served: Process, token: str, certificate: Path) -> str:
    with Session(served.url, token, certificates=certificate) as session:
        return str(session.keys()["id"])


REFUSED = {
    "chunks": (b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 2000, 411),
    "chunks and a length": (b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 2000, 400),
    "a long head": (b"a:\r\n" * 5000 + b"\r\n", 431),
    "a head of many lines": (b"a:\r\n" * 200 + b"\r\n", 431),
    "no HTTP": (b"\0\r\n\r\n", 400),
    "nobody's body": (b"Content-Length: 60000\r\n\r\nx", 401),
    "nobody's large body": (b"Content-Length: 1000000000\r\n\r\nx", 401),
    "nobody's body, asked for": (b"Expect: 100-continue\r\nContent-Length: 1000\r\n\r\n", 401),
    "two tokens": (b"Authorization: Bearer x\r\nAuthorization: Bearer y\r\nContent-Length: 0\r\n\r\n", 400),
    "two tokens and a body": (b"Authorization: Bearer x\r\nAuthorization: Bearer y\r\nContent-Length: 9\r\n\r\n", 400),
}


@pytest.mark.parametrize("path", [EVALUATE, b"POST /v1/sessions HTTP/1.1\r\nHost: x\r\n"], ids=["evaluate", "other"])
@pytest.mark.parametrize("name", REFUSED)
def test_requests_are_refused_by_their_head(
    name: str, path: bytes, served: Process, certificate: tuple[Path, Path]
) -> None:
    """And nothing is read of their body: the connection of nobody who is known is closed."""
    rest, expected = REFUSED[name]
    with connected(served, certificate[0]) as line:
        line.sendall(path + rest)
        answer = until_closed(line)
        assert status(answer) == expected
        head, _, body = answer.partition(b"\r\n\r\n")
        assert b"slotlang-protocol: 1" in head.lower() and b'{"error":{"code":"SL57' in body


def test_the_service_says_nothing_of_its_adapters_to_nobody(served: Process, certificate: tuple[Path, Path]) -> None:
    with connected(served, certificate[0]) as line:
        line.sendall(HEALTH.replace(b"x\r\n", b"x\r\nConnection: close\r\n"))
        assert until_closed(line).endswith(b'{"status":"ok","protocol":1}')


def test_a_silent_connection_does_not_hold_up_the_end(certificate: tuple[Path, Path], tmp_path: Path) -> None:
    """Nor does one that takes nothing, nor half a head behind a whole request."""
    folder = tmp_path / "adapters"
    build(folder, layers=LAYERS[:1])
    files = "--ssl-certfile", str(certificate[0]), "--ssl-keyfile", str(certificate[1])
    process = Process(folder, "--idle", "1000", *files)
    with closing(process), connected(process, certificate[0]) as line:
        line.sendall(HEALTH)
        assert status(line.recv(1000)) == 200
        # far more than the 30 s after which it is killed
        assert process.stop() == 0


def test_files_are_allowed_for_all_connections(tmp_path: Path) -> None:
    """Also where the limit that holds is lower, and may be raised."""
    folder, (soft, hard) = tmp_path / "adapters", resource.getrlimit(resource.RLIMIT_NOFILE)
    build(folder, layers=LAYERS[:1])
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 200), hard))
    try:
        process = Process(folder, "--connections", "300")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    with closing(process):
        allowed, _ = resource.prlimit(process.process.pid, resource.RLIMIT_NOFILE)
        assert allowed > 300


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
def test_who_takes_nothing_is_given_up(tls: bool, certificate: tuple[Path, Path], tmp_path: Path) -> None:
    """The system's end of the connection too: there are as many files as before."""
    folder = tmp_path / "adapters"
    build(folder, layers=LAYERS[:1])
    files = ("--ssl-certfile", str(certificate[0]), "--ssl-keyfile", str(certificate[1])) if tls else ()
    process = Process(folder, "--idle", "0.5", *files)
    with closing(process):
        files_of = Path(f"/proc/{process.process.pid}/fd")
        before, lines = len(list(files_of.iterdir())), list[socket.socket]()
        for rest in (b"", b"GET /he", b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 2000):
            line = connected(process, certificate[0])
            line.sendall(HEALTH + rest)
            lines.append(line)
        end = time.monotonic() + 25
        # the first one has 30 s after its answer
        while len(list(files_of.iterdir())) > before + 1 and time.monotonic() < end:
            time.sleep(0.1)
        assert len(list(files_of.iterdir())) <= before + 1
        for line in lines:
            line.close()


class Transport:
    """One that holds so many bytes; ``forgetful``: as TLS of asyncio after it was closed twice."""

    def __init__(self, held: int, *, forgetful: bool = False) -> None:
        self.held, self.forgetful, self.aborted = held, forgetful, False

    def get_write_buffer_size(self) -> int:
        if self.forgetful:
            raise AttributeError("'NoneType' object has no attribute '_get_write_buffer_size'")
        return self.held

    def abort(self) -> None:
        self.aborted = True


def line_on(above: Transport, below: Transport, all_: Connections) -> HTTP:
    line = HTTP.__new__(HTTP)
    line.transport, line.below, line.all = above, below, all_  # type: ignore[assignment]
    line.loop = asyncio.get_running_loop()
    return line


def test_an_answer_that_is_being_taken_keeps_its_place() -> None:
    async def whole() -> None:
        all_, below = Connections(2), Transport(100)
        line = line_on(below, below, all_)
        all_.opened(below)  # type: ignore[arg-type]
        all_.begun(below, "alice")  # type: ignore[arg-type]
        line._answered()
        others = [Transport(0) for _ in range(3)]
        for other in others:
            all_.opened(other)  # type: ignore[arg-type]
        assert not below.aborted and [other.aborted for other in others] == [True, True, False]
        below.held = 0
        line._answered()
        all_.opened(Transport(0))  # type: ignore[arg-type]
        # the longest without a request goes first
        assert others[-1].aborted and not below.aborted
        all_.opened(Transport(0))  # type: ignore[arg-type]
        assert below.aborted

    asyncio.run(whole())


def test_the_next_request_on_a_connection_counts_once() -> None:
    all_, line = Connections(4), Transport(0)
    all_.opened(line)  # type: ignore[arg-type]
    for tenant in ("alice", "alice", "alice", "bob"):
        all_.begun(line, tenant)  # type: ignore[arg-type]
    assert len(all_) == 1
    all_.answered(line)  # type: ignore[arg-type]
    for _ in range(2):
        all_.opened(other := Transport(0))  # type: ignore[arg-type]
        all_.begun(other, "alice")  # type: ignore[arg-type]


def test_bytes_of_a_connection_that_was_closed_twice() -> None:
    async def whole() -> int:
        return line_on(Transport(5, forgetful=True), Transport(7), Connections(2)).unsent

    assert asyncio.run(whole()) == 7


def test_a_token_that_was_removed_is_told_whatever_the_body(served: Process, certificate: tuple[Path, Path]) -> None:
    """The service closes the connection before it has read a large body."""
    token = served.token("carol")
    with Session(served.url, token, model="tiny", certificates=certificate[0]) as session:
        assert serves(session)
        served.tokens.remove("carol")
        for tokens in (2, 2000):
            with pytest.raises(ServiceProblem, match="SL570"):
                session.update(LAYERS[0], np.ones((tokens, D)))
