"""HTTP to a service: one request after the other, sent again where that is safe.

What is sent again is the same bytes under the same idempotency key, or a request that changes nothing when it comes
twice. Whether and when depends on what the network and the service said, and on nothing that was decrypted.
"""

from __future__ import annotations

import asyncio
import os
import random
import secrets
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from http.cookiejar import DefaultCookiePolicy
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Generic, TypeVar

import httpx

from slotlang.client.answers import MOST_CLIENT, MOST_JSON, Held, checked, json_of, parts
from slotlang.client.network import Address, Proxy, trusted, unreachable
from slotlang.client.problems import ServiceProblem
from slotlang.client.requests import Answers, Asking
from slotlang.client.straight import CONNECT, Exchange, Straight, silent
from slotlang.diagnostics import error
from slotlang.service.protocol import BINARY, HEADER, KEY_HEADER, VERSION

Result = TypeVar("Result")

_FIRST_WAIT, _MOST_WAIT = 0.1, 5.0
_LONGEST = 1e9
"""Seconds of a timeout: the system's clocks count some more."""


class Connection:
    """A service's address with a tenant's token. ``certificates``: a file of those to trust, in place of the system's;
    ``timeout``: seconds without any byte; ``tries``: of each request."""

    def __init__(
        self, url: str, token: str, *, certificates: Path | None = None, timeout: float = 150.0, tries: int = 6
    ) -> None:
        address = Address.of(url)
        if not (_is_number(timeout, Real) and 0 < timeout <= _LONGEST):
            hint = f"a number above 0, up to {_LONGEST:.0e}"
            raise error("SL005", f"timeout is {timeout!r:.40}, which is not a number of seconds", hint=hint)
        if not _is_number(tries, Integral):
            raise error("SL005", f"tries is {tries!r:.40}, which is not a whole number", hint="for example 6")
        # of a file, with the end of its line
        token = token.strip() if isinstance(token, str) else ""
        if not token or not token.isascii() or not token.isprintable() or " " in token:
            raise error("SL570", "this is not a token", hint="`slotlang token add FOLDER TENANT` makes one")
        self.url, self.tries, self._timeout = address.text, max(tries, 1), timeout
        self._process = os.getpid()
        self._loop: asyncio.AbstractEventLoop | None = None
        headers = {"Authorization": f"Bearer {token}", HEADER: str(VERSION), "Accept-Encoding": "identity"}
        self._proxy = Proxy.before(address)
        verify = trusted(address, certificates)
        self.http = httpx.AsyncClient(
            base_url=self.url,
            headers=headers,
            timeout=httpx.Timeout(timeout, connect=CONNECT),
            verify=verify,
            # all that the environment says was asked for here
            trust_env=False,
            proxy=None if self._proxy is None else self._proxy.proxy,
            event_hooks={"response": [_refuse_redirection]},
        )
        # the protocol has no cookies: a service can make nobody hold or send any
        self.http.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self.prefix = address.prefix
        self.straight = None
        if self._proxy is None:
            security = verify if address.secure else None
            self.straight = Straight(address.host, address.port, security, [*headers.items()], timeout)

    @property
    def is_forked(self) -> bool:
        """Whether this is a process that was forked from the one that opened the connections. Requests of both would
        mix on them, and each would read the other's answers; nor are there threads here that do what is waited for."""
        return self._process != os.getpid()

    def check_process(self) -> None:
        """Raise RuntimeError where the process ``is_forked``."""
        if self.is_forked:
            raise RuntimeError("this session is another process's: a process that is forked opens one of its own")

    @property
    def is_here(self) -> bool:
        """Whether the connections are this event loop's, or nobody's yet. Raises RuntimeError where they are those of
        one that may still use them."""
        if self._loop is not None and self._loop.is_closed():
            return False
        self.check_loop()
        return True

    def check_loop(self) -> None:
        """Raise RuntimeError where another event loop has used the connections."""
        loop = asyncio.get_running_loop()
        self._loop = self._loop or loop
        if self._loop is not loop:
            raise RuntimeError(
                "this session is another event loop's: each `asyncio.run`, and each thread, opens one of its own"
            )

    async def close(self) -> None:
        """Close all connections; those of an event loop that is closed have ended with it."""
        is_here = self.is_here
        if self.straight is not None:
            self.straight.close()
        if is_here:
            await self.http.aclose()

    async def json(self, method: str, path: str, body: Any = None, *, again: bool = True) -> Any:
        """The JSON of an answer; None of one without a body. ``again``: whether it may be sent twice. Raises
        ``ServiceProblem``."""

        async def once() -> Any:
            return json_of(*await self.asked(method, path, MOST_JSON, json=body))

        return await self.tried(once, most=None if again else 1)

    async def data(self, path: str) -> bytes:
        """The bytes of an answer. Raises ``ServiceProblem``."""

        async def once() -> bytes:
            status, headers, body = await self.asked("GET", path, MOST_CLIENT)
            checked(status, headers, body)
            return body

        return await self.tried(once)

    async def put(self, path: str, data: bytes | memoryview) -> Any:
        """Send bytes, once. Raises ``ServiceProblem``."""

        async def once() -> Any:
            headers = {"Content-Type": BINARY}
            return json_of(*await self.asked("PUT", path, MOST_JSON, content=bytes(data), headers=headers))

        return await self.tried(once, most=1)

    async def asked(self, method: str, path: str, most: int, **about: Any) -> tuple[int, httpx.Headers, bytes]:
        """Status, headers and body, of at most this many bytes, of an answer."""
        try:
            async with self.http.stream(method, path, **about) as response:
                body = Held(response.status_code, response.headers, most)
                async for piece in response.aiter_raw():
                    if not body.take(piece):
                        break
                return response.status_code, response.headers, body.body()
        except httpx.TimeoutException as problem:
            raise type(problem)(silent(self._timeout)) from None
        except OSError as problem:
            # of TLS, which httpx passes on
            raise httpx.ReadError(str(problem)) from problem

    def evaluation(
        self, path: str, asking: Callable[[], Asking], then: Callable[[Answers], Result]
    ) -> Evaluation[Result]:
        """A request for evaluation that was not sent yet. ``asking`` makes it, once; ``then`` makes something of its
        answers."""
        return Evaluation(self, path, cache(asking), then)

    async def tried(
        self, once: Callable[[], Awaitable[Result]], before: Exception | None = None, most: int | None = None
    ) -> Result:
        """The result of work that may be done again: after faults of the network and where the service says so,
        ``most`` times. ``before``: how a first try ended. Raises what the last one raises, but ``ServiceProblem`` for
        ``httpx.HTTPError``."""
        self.check_process()
        self.check_loop()
        wait, tries = _FIRST_WAIT, self.tries if most is None else most
        for number in range(tries):
            last = number == tries - 1
            try:
                if before is not None and not number:
                    raise before
                return await once()
            except httpx.TransportError as problem:
                found = unreachable(self.url, problem, self._proxy)
                if last or not found.again:
                    raise found from None
                pause = wait
            except ServiceProblem as problem:
                if last or not problem.again:
                    raise
                pause = max(wait, problem.wait or 0.0)
            except (httpx.HTTPError, httpx.InvalidURL) as problem:
                raise unreachable(self.url, problem, self._proxy) from None
            # not all clients at the same moment
            await asyncio.sleep(pause * random.uniform(1.0, 1.5))
            wait = min(2 * wait, _MOST_WAIT)
        raise AssertionError("a last try returns or raises")


@dataclass(frozen=True)
class Evaluation(Generic[Result]):
    """A request for evaluation: the same bytes under the same idempotency key, however often it is sent. What makes it
    and what makes something of its answers runs in the thread that sends and reads: threads that wake each other take
    longer than a small evaluation."""

    _connection: Connection
    _path: str
    _made: Callable[[], Asking]
    _then: Callable[[Answers], Result]
    _key: str = field(default_factory=lambda: secrets.token_urlsafe(24))

    @property
    def _headers(self) -> list[tuple[str, str]]:
        return [("Content-Type", BINARY), (KEY_HEADER, self._key)]

    def _body(self) -> bytes:
        return self._made().body

    def _answers(self, status: int, headers: httpx.Headers, pieces: Iterator[bytes]) -> Answers:
        asking = self._made()
        return asking.answers(parts(len(asking.asked), asking.most_bytes, status, headers, pieces))

    def here(self) -> Result:
        """Send it once, in the caller's thread. Raises what making it and its answers raises, ``ServiceProblem``, and
        ``httpx.TransportError``; ``sent`` goes on after the last two. Only where the connection is ``straight``."""
        self._connection.check_process()
        straight = self._connection.straight
        assert straight is not None
        return straight.post_here(self._exchange)

    async def sent(self, problem: Exception | None = None) -> Result:
        """Send it in a thread until its whole answer was received. ``problem``: how ``here`` ended. Raises what making
        it and its answers raises, and ``ServiceProblem``."""
        return await self._connection.tried(self._once, problem)

    async def _once(self) -> Result:
        if self._connection.straight is not None:
            return await self._connection.straight.post(self._exchange)
        content = await asyncio.to_thread(self._body)
        most = self._made().most_bytes
        status, headers, body = await self._connection.asked(
            "POST", self._path, most, content=content, headers=self._headers
        )
        return await asyncio.to_thread(self._then, self._answers(status, headers, iter([body])))

    @property
    def _exchange(self) -> Exchange[Answers, Result]:
        path = f"{self._connection.prefix}{self._path}"
        return Exchange(path, self._body, self._headers, self._answers, self._then)


async def _refuse_redirection(response: httpx.Response) -> None:
    """Before httpx reads where it leads to."""
    if 300 <= response.status_code < 400:
        checked(response.status_code, response.headers, b"")


def _is_number(value: object, kind: type) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)
