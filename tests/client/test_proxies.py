"""The proxy that the environment names: for addresses of other machines, by the same rule for all requests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from certificates import certificate
from command_line import slotlang
from loopback import Loopback, whole

from slotlang.client import AsyncSession, ServiceProblem, Session
from slotlang.client.connection import Connection
from slotlang.client.network import Address, Proxy

ELSEWHERE = "https://192.0.2.1:8443"
CONNECTED = b"HTTP/1.1 200 OK\r\n\r\n"
NAMES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def by_session(url: str, **options: Any) -> Any:
    with Session(url, "token", **options) as session:
        return session.models()


def by_asyncio(url: str, **options: Any) -> Any:
    async def main() -> Any:
        async with AsyncSession(url, "token", **options) as session:
            return await session.models()

    return asyncio.run(main())


CALLS = pytest.mark.parametrize("call", [by_session, by_asyncio])


@CALLS
@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
def test_a_proxy_is_used_for_another_machine(
    call: Callable[..., Any], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = certificate(tmp_path, "IP:192.0.2.1")
    with Loopback(lambda _: whole(b'{"data": []}'), files, proxies=CONNECTED) as proxy:
        # without a scheme it is one of HTTP
        monkeypatch.setenv(name, proxy.url.removeprefix("http://"))
        assert call(ELSEWHERE, certificates=files[0]) == []
        assert [(a.method, a.path) for a in proxy.asked] == [("CONNECT", "192.0.2.1:8443"), ("GET", "/v1/models")]
        # the token is the service's
        assert "authorization" not in proxy.asked[0].headers
        # nothing goes beside it
        assert Connection(ELSEWHERE, "token").straight is None


@pytest.mark.parametrize("value", ["http://192.0.2.9:1", "garbage", "socks5://192.0.2.9:1", "://", "http://[::1"])
def test_no_proxy_stands_before_this_machine(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE"):
        monkeypatch.setenv(name, value)
    with Loopback(lambda _: whole(b'{"data": []}')) as server:
        assert by_session(server.url) == by_asyncio(server.url) == []


def test_the_proxy_of_http_is_not_that_of_https(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "garbage://")
    assert Proxy.before(Address.of(ELSEWHERE)) is None


@pytest.mark.parametrize(
    "names", ["*", "192.0.2.1", "example.org, 192.0.2.1:8443", "://,[::1,192.0.2.1", ",,192.0.2.1,"]
)
def test_no_proxy_stands_before_what_is_excepted(names: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "garbage://")
    monkeypatch.setenv("NO_PROXY", names)
    assert Proxy.before(Address.of(ELSEWHERE)) is None
    assert Connection(ELSEWHERE, "token").straight is not None
    monkeypatch.setenv("NO_PROXY", names.replace("192.0.2.1", "192.0.2.2").replace("*", "192.0.2.1:1"))
    with pytest.raises(ServiceProblem, match="SL580"):
        Connection(ELSEWHERE, "token")


@CALLS
@pytest.mark.parametrize("name", ["HTTPS_PROXY", "ALL_PROXY"])
@pytest.mark.parametrize(
    "value",
    ["ftp://user:password@192.0.2.9", "://", "http://", "http://[::1", "http://a:99999", "http://a:b", "a..b", "/ /"],
)
def test_what_is_no_proxy_is_said(
    call: Callable[..., Any], name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ServiceProblem, match=rf"SL580.*{name} is not a proxy's address") as found:
        call(ELSEWHERE)
    hint = found.value.diagnostics[0].hint
    assert "http://HOST:PORT" in hint and "NO_PROXY" in hint and "password" not in str(found.value)
    monkeypatch.setenv("SLOTLANG_TOKEN", "token")
    ended = slotlang("client", "models", ELSEWHERE)
    assert ended.status == 2 and ended.err.startswith("error[SL580]") and name in ended.err


@CALLS
def test_a_proxy_of_socks_needs_a_package(call: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    import slotlang.client.network as module

    monkeypatch.setattr(module, "find_spec", lambda _: None)
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    with pytest.raises(ServiceProblem, match=r"SL580.*ALL_PROXY names a SOCKS proxy") as found:
        call(ELSEWHERE)
    assert "httpx[socks]" in found.value.diagnostics[0].hint


@CALLS
def test_a_proxy_that_refuses_is_named(call: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
    with Loopback(lambda _: None, proxies=refusal) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("http://", "http://user:password@"))
        with pytest.raises(ServiceProblem, match=r"SL580.*through the proxy of HTTPS_PROXY.*407") as found:
            call(ELSEWHERE, tries=1)
        assert "password" not in str(found.value) and "NO_PROXY" in found.value.diagnostics[0].hint
    # nobody is there any more
    with pytest.raises(ServiceProblem, match=r"SL580.*through the proxy of HTTPS_PROXY: Connection refused"):
        call(ELSEWHERE, tries=1)


@CALLS
def test_certificates_that_the_environment_names_are_there(
    call: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", files[0])
    with Loopback(lambda _: whole(b'{"data": []}'), files) as server:
        assert call(server.url) == []
    from slotlang.diagnostics import SlotError

    for file in (f"{tmp_path}/none", files[1]):
        monkeypatch.setenv("SSL_CERT_FILE", file)
        with pytest.raises(SlotError, match=r"SL001.*the certificates of SSL_CERT_FILE") as found:
            call(ELSEWHERE)
        assert found.value.diagnostics[0].file == file
