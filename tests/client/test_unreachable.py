"""What is said where a service can't be reached or is none: by sessions, by asyncio, by commands, and by the client's
own connections. Each is one error with a code and a hint."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from certificates import certificate
from command_line import slotlang
from loopback import PROTOCOL, Asked, Loopback, chunked, passed_on, whole
from served import LAYERS, D, Process

import slotlang.client.connection as connections
import slotlang.client.network as network
import slotlang.client.straight as straight
from slotlang.client import AsyncSession, ServiceProblem, Session
from slotlang.client.connection import Connection
from slotlang.client.keyed import Keyed
from slotlang.service.protocol import LENGTH

X = np.random.default_rng(4).standard_normal((2, D))
DEFAULTS: dict[str, Any] = Keyed.__init__.__kwdefaults__ or {}
TRIES = 2
FRAME = LENGTH.pack(100) + bytes(100)
"""What could be a part of an answer to a request for evaluation, as long as its end is missing."""


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is tried again and again."""
    monkeypatch.setitem(DEFAULTS, "tries", TRIES)
    monkeypatch.setattr(connections, "_FIRST_WAIT", 0.001)
    monkeypatch.setenv("SLOTLANG_TOKEN", "token")
    for name in ("https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing comes, nobody waits for as long as a user would."""
    monkeypatch.setitem(DEFAULTS, "timeout", 0.5)
    for module in (connections, network, straight):
        monkeypatch.setattr(module, "CONNECT", 0.5)


def said(problem: ServiceProblem) -> str:
    (found,) = problem.diagnostics
    return f"error[{found.code}]: {found.message}\n  hint: {found.hint}\n"


def by_session(url: str, certificates: str | None = None) -> str:
    with Session(url, "token", certificates=certificates) as session, pytest.raises(ServiceProblem) as found:
        session.models()
    return said(found.value)


def by_asyncio(url: str, certificates: str | None = None) -> str:
    async def main() -> None:
        async with AsyncSession(url, "token", certificates=certificates) as session:
            await session.models()

    with pytest.raises(ServiceProblem) as found:
        asyncio.run(main())
    return said(found.value)


def by_command(url: str, certificates: str | None = None) -> str:
    ended = slotlang("client", "models", url, *(["--cacert", certificates] if certificates else []))
    assert (ended.status, ended.out) == (2, "")
    return " ".join(ended.err.split()).replace(" hint:", "\n  hint:") + "\n"


def by_own_connection(url: str, certificates: str | None = None) -> str:
    """As requests for evaluation go."""

    async def main() -> None:
        trusted = None if certificates is None else Path(certificates)
        connection = Connection(url, "token", certificates=trusted, timeout=0.5, tries=TRIES)
        asking: Any = SimpleNamespace(body=b"body", asked=(), most_bytes=1 << 20, answers=lambda found: found)
        try:
            await connection.evaluation("/v1/evaluate", lambda: asking, lambda found: found).sent()
        finally:
            await connection.close()

    with pytest.raises(ServiceProblem) as found:
        asyncio.run(main())
    return said(found.value)


WAYS = pytest.mark.parametrize("way", [by_session, by_asyncio, by_command, by_own_connection])


def check(text: str, code: str, message: str, hint: str) -> None:
    head, _, rest = text.partition("\n")
    assert head.startswith(f"error[{code}]: ") and message in head and hint in rest, text
    assert "\n" not in rest.strip() and "Traceback" not in text and len(text) < 800


@contextmanager
def listening(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """Something that takes connections; its address without the scheme."""
    listener = socket.create_server(("127.0.0.1", 0))

    def take() -> None:
        with suppress(OSError):
            while True:
                serve(listener.accept()[0])

    threading.Thread(target=take, daemon=True).start()
    yield f"127.0.0.1:{listener.getsockname()[1]}"
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


# Nobody, or something that does not answer


@WAYS
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_nobody_listens(way: Callable[..., str], scheme: str) -> None:
    with listening(socket.socket.close) as address:
        pass
    check(way(f"{scheme}://{address}"), "SL580", f"{address} can't be reached: Connection refused", "is it running?")


@WAYS
def test_a_name_is_not_known(way: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    # as the system says it; some systems of tests ask nobody, and wait
    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    check(way("https://service.invalid"), "SL580", "there is no such name here", "check the name in the address")


@pytest.mark.parametrize(
    "url", [f"https://{'a' * 64}.org", "https://a..b", "https://127.0.0.1:99999", "http://127.0.0.1:0"]
)
@pytest.mark.parametrize("part", ["", "/path"])
def test_what_can_be_nobodys_address_is_refused(url: str, part: str) -> None:
    ended = slotlang("client", "models", url + part)
    assert ended.status == 2 and ended.err.startswith("error[SL005]") and "http://127.0.0.1:8400" in ended.err


@pytest.mark.parametrize("url", ["https://me:secret@127.0.0.1", "http://127.0.0.1?a=b", "http://127.0.0.1/#a"])
def test_an_address_has_neither_a_user_nor_more_than_a_path(url: str) -> None:
    ended = slotlang("client", "models", url)
    assert ended.status == 2 and ended.err.startswith("error[SL005]") and "secret" not in ended.err


@pytest.mark.parametrize(
    ("url", "meant"),
    [
        ("127.0.0.1:8400", "http://127.0.0.1:8400"),
        ("localhost:8400/", "http://localhost:8400"),
        ("[::1]:8400", "http://[::1]:8400"),
        ("example.org", "https://example.org"),
        ("example.org:8443/a", "https://example.org:8443/a"),
        ("ftp://127.0.0.1", "for example http://127.0.0.1:8400"),
        (":", "for example http://127.0.0.1:8400"),
        ("a b", "for example http://127.0.0.1:8400"),
        ("", "for example http://127.0.0.1:8400"),
    ],
)
def test_an_address_without_its_beginning_is_said_with_it(url: str, meant: str) -> None:
    ended = slotlang("client", "models", url)
    assert ended.status == 2 and ended.err.startswith("error[SL005]") and meant in ended.err


@WAYS
def test_nothing_is_answered(way: Callable[..., str], impatient: None) -> None:
    held = list[socket.socket]()
    with listening(held.append) as address:
        check(way(f"http://{address}"), "SL580", "nothing came or was taken for 0.5 s", "ask again later")
        assert len(held) == TRIES
        # nor is there a handshake
        check(way(f"https://{address}"), "SL580", "there was no connection within", "is it running?")
    for connection in held:
        connection.close()


@WAYS
def test_an_answer_stops(way: Callable[..., str], impatient: None) -> None:
    held = list[socket.socket]()

    def serve(connection: socket.socket) -> None:
        held.append(connection)
        connection.recv(1 << 16)
        connection.sendall(whole(FRAME)[:-50])

    with listening(serve) as address:
        check(way(f"http://{address}"), "SL580", "nothing came or was taken for 0.5 s", "ask again later")
    for connection in held:
        connection.close()


# TLS


@WAYS
def test_nobody_vouches_for_a_certificate(way: Callable[..., str], tmp_path: Path) -> None:
    with Loopback(lambda _: None, certificate(tmp_path)) as server:
        check(
            way(server.url), "SL580", "its certificate is not trusted: self-signed", "--cacert FILE (certificates= in"
        )
        other, _ = certificate(tmp_path / "other")
        check(way(server.url, other), "SL580", "its certificate is not trusted: self-signed", "--cacert FILE")
        # the token was not sent, and a second try would end as the first one
        assert not server.asked


@WAYS
@pytest.mark.parametrize("names", ["DNS:service.example.org", "IP:127.0.0.2"])
def test_a_certificate_is_for_another_address(way: Callable[..., str], tmp_path: Path, names: str) -> None:
    files = certificate(tmp_path, names)
    with Loopback(lambda _: None, files) as server:
        check(
            way(server.url, files[0]), "SL580", "its certificate is not trusted", "by a name that the certificate has"
        )
        assert not server.asked


@WAYS
def test_what_is_called_by_tls_does_not_speak_it(way: Callable[..., str]) -> None:
    with Loopback(lambda _: None, greets=b"SSH-2.0-OpenSSH_9.6\r\n" * 20) as server:
        url = server.url.replace("http://", "https://")
        check(way(url), "SL580", "can't be reached: ", "is it http://?")

    def serve(connection: socket.socket) -> None:
        connection.recv(1 << 16)
        connection.sendall(whole(b"", "400 Bad Request"))
        connection.close()

    with listening(serve) as address:
        check(way(f"https://{address}"), "SL580", "TLS failed: ", "is it http://?")


@WAYS
def test_what_speaks_tls_is_called_without(way: Callable[..., str], tmp_path: Path) -> None:
    with Loopback(lambda _: None, certificate(tmp_path)) as server:
        check(way(server.url.replace("https://", "http://")), "SL580", "can't be reached: ", "is it https://?")


@WAYS
def test_a_handshake_is_cut_off(way: Callable[..., str]) -> None:
    def serve(connection: socket.socket) -> None:
        connection.recv(1 << 16)
        connection.close()

    with listening(serve) as address:
        check(way(f"https://{address}"), "SL580", "can't be reached: ", "what")


@WAYS
def test_certificates_are_no_file(way: Callable[..., str], tmp_path: Path) -> None:
    if way is by_command:
        ended = slotlang("client", "models", "https://127.0.0.1:9", "--cacert", f"{tmp_path}/none")
        assert ended.status == 2 and ended.err.startswith("error[SL001]") and f"{tmp_path}/none" in ended.err


# Answers


CUT: dict[str, bytes] = {
    "nothing": b"",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-",
    "half a body": whole(FRAME)[:-50],
    "half of pieces": b"".join(chunked([FRAME]))[:-60],
    "no HTTP": b"SSH-2.0-OpenSSH_9.6\r\n",
    "no length": b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
    "a head without end": b"HTTP/1.1 200 OK\r\n" + b"X-Name: value\r\n" * 20_000,
    "no size of a piece": b"HTTP/1.1 200 OK\r\n" + PROTOCOL + b"Transfer-Encoding: chunked\r\n\r\nmany\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
    "zeros": bytes(1000),
}


@WAYS
@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("name", CUT)
def test_a_connection_ends_in_the_middle(way: Callable[..., str], tmp_path: Path, name: str, secure: bool) -> None:
    files = certificate(tmp_path) if secure else None

    def answer(_: Asked) -> Iterator[bytes]:
        yield CUT[name]
        raise OSError

    with Loopback(answer, files) as server:
        text = way(server.url, files and files[0])
        ends_early = name.startswith("half of") or name == "half a body"
        check(text, "SL580", "its answer ended too early" if ends_early else "can't be reached: ", "")
        assert text.partition("hint: ")[2].strip()
        assert len(server.asked) == TRIES


REDIRECTIONS = ["301 Moved", "302 Found", "303 See", "307 Temporary", "308 Permanent", "300 Choices", "304 Same"]


@WAYS
@pytest.mark.parametrize("status", REDIRECTIONS)
def test_redirections_are_not_followed(way: Callable[..., str], status: str) -> None:
    with Loopback(lambda _: whole(b'{"data": []}')) as other:
        location = PROTOCOL + b"Location: %s/v1/models\r\n" % other.url.encode()
        with Loopback(lambda _: whole(b"", status, location)) as server:
            text = way(server.url)
        check(text, "SL581", f"it leads to {other.url}/v1/models", "the address of the service itself")
        assert not other.asked
    with Loopback(lambda _: whole(b"", status)) as server:
        check(way(server.url), "SL581", "it leads to nowhere", "the address of the service itself")
    # no URL, and what a terminal would obey
    with Loopback(lambda _: whole(b"", status, PROTOCOL + b"Location: http://[\x1b[31m\r\n")) as server:
        text = way(server.url)
        check(text, "SL581", "it leads to http://[ [31m", "the address of the service itself")
        assert text.replace("\n", "").isprintable()


OTHERS = {
    "a page": (whole(b"<html>", headers=b"Content-Type: text/html\r\n"), "SL581", "protocol", "slotlang serve"),
    "a page that is not there": (whole(b"<html>", "404 Not Found", b""), "SL581", "the status 404", "slotlang serve"),
    "a password": (whole(b"", "401 No", b"WWW-Authenticate: Basic\r\n"), "SL581", "the status 401", "slotlang serve"),
    "a proxy without a service": (whole(b"<html>", "502 Bad Gateway", b""), "SL580", "status 502", "ask again later"),
    "a slow service": (whole(b"<html>", "504 Timeout", b""), "SL580", "status 504", "ask again later"),
    "another protocol": (whole(b"{}", headers=b"Slotlang-Protocol: 7\r\n"), "SL581", "version 1", "slotlang serve"),
    "a code of later": (whole(b'{"error": {"code": "SL999"}}', "400 No"), "SL581", "status 400", "slotlang serve"),
}


@WAYS
@pytest.mark.parametrize("name", OTHERS)
def test_something_else_answers(way: Callable[..., str], name: str) -> None:
    answer, code, message, hint = OTHERS[name]
    with Loopback(lambda _: answer) as server:
        check(way(server.url), code, message, hint)
        assert len(server.asked) == (TRIES if code == "SL580" else 1)


# The same later on


def updated_by_session(url: str, token: str, _: Path) -> str:
    with Session(url, token) as session:
        session.keys()
        # this thread asks, and then the session's
        with pytest.raises(ServiceProblem) as found:
            session.update(LAYERS[0], X)
    return said(found.value)


def updated_by_asyncio(url: str, token: str, _: Path) -> str:
    async def main() -> None:
        async with AsyncSession(url, token) as session:
            await session.update(LAYERS[0], X)

    with pytest.raises(ServiceProblem) as found:
        asyncio.run(main())
    return said(found.value)


def updated_by_command(url: str, token: str, folder: Path) -> str:
    np.save(folder / "x.npy", X)
    (folder / "token").write_text(token)
    words = ["client", "update", url, LAYERS[0], f"{folder}/x.npy", "-o", f"{folder}/y.npy"]
    ended = slotlang(*words, "--token-file", f"{folder}/token")
    assert (ended.status, ended.out) == (2, "") and not (folder / "y.npy").exists()
    return " ".join(ended.err.split()).replace(" hint:", "\n  hint:") + "\n"


@pytest.mark.parametrize("way", [updated_by_session, updated_by_asyncio, updated_by_command])
@pytest.mark.parametrize("name", [*CUT, "a redirection", "silence", *OTHERS])
def test_an_evaluation_is_not_answered(
    served: Process, way: Callable[[str, str, Path], str], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = threading.Event()
    code = "SL581" if name == "a redirection" else OTHERS[name][1] if name in OTHERS else "SL580"
    if name != "silence":
        # keys take their time
        monkeypatch.setitem(DEFAULTS, "timeout", 60.0)
    else:
        monkeypatch.setitem(DEFAULTS, "timeout", 1.0)

    def pieces() -> Iterator[bytes]:
        yield CUT[name]
        raise OSError

    def answer(asked: Asked) -> Any:
        if not asked.path.endswith("/evaluate"):
            return passed_on(asked, served.url)
        if name == "silence":
            released.wait(60)
            return None
        if name == "a redirection":
            return whole(b"", "308 Moved", PROTOCOL + b"Location: http://192.0.2.1\r\n")
        return OTHERS[name][0] if name in OTHERS else pieces()

    with Loopback(answer) as server:
        text = way(server.url, served.token("alice"), tmp_path)
        released.set()
    check(text, code, "", "")
    assert text.partition("hint: ")[2].strip()
