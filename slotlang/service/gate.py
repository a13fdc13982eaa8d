"""What every request passes: limits of its body in bytes and time, answers to what goes wrong, figures, and headers."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Any, TypeAlias

from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse

from slotlang.service.connections import line_of
from slotlang.service.limits import Limits
from slotlang.service.metrics import Metrics
from slotlang.service.problems import BUSY, FAILED, MALFORMED, TOO_LARGE, Refusal, refusal
from slotlang.service.protocol import HEADER, VERSION
from slotlang_runtime.amounts import count_of

_LOG = logging.getLogger("slotlang.service")

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

_JSON_BODY = 1 << 16
"""Bytes of a body that is JSON."""
_DRAINED, _DRAINING = 8 << 20, 2.0
"""Bytes and seconds of a refused body that are read and thrown away, so that whoever sends it reads the answer."""
HEALTH = "/health"
"""What is answered to everybody."""
TENANT = "slotlang.tenant"
"""Whose request it is, in its state, as soon as that is known."""


class Late(Exception):
    """Nobody reads the answer. Raised by what sends it."""


class Gate:
    """ASGI around an application. ``admit`` raises Refusal for a request of nobody who is known, and notes the
    ``TENANT`` of others. Of a request without one no body is read, and its connection ends with the answer: strangers
    pay for a new one each time."""

    def __init__(
        self,
        app: App,
        limits: Limits,
        metrics: Metrics,
        admit: Callable[[MutableMapping[str, Any]], object],
    ) -> None:
        self.app, self.limits, self.metrics, self.admit = app, limits, metrics, admit

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        body, answer = _Body(scope, receive, self), _Answer(scope, send, self)
        try:
            told = await self._served(scope, body, answer)
            if told is not None:
                if TENANT in scope["state"]:
                    await body.drain()
                answer.last = body.unread
                await response_of(told)(scope, receive, answer.send)
        except (ClientDisconnect, Late):
            _LOG.info("a client went away")
            # what was begun can't be ended well
            line_of(scope).end()
        except asyncio.CancelledError:
            _LOG.info("a request was given up: the service stops")
            line_of(scope).end()

    async def _served(self, scope: MutableMapping[str, Any], body: _Body, answer: _Answer) -> Refusal | None:
        """Serve a request; what is left to be told. Raises ClientDisconnect and Late, and all else where the answer has
        begun."""
        try:
            body.check_head()
            if scope["path"] != HEALTH or body.unread:
                self.admit(scope)
                body.check_size()
            await self.app(scope, body.receive, answer.send)
            return None
        except (ClientDisconnect, Late):
            raise
        except Exception as problem:
            told = refusal(problem)
            if told.code == FAILED:
                _LOG.error("a request failed", exc_info=problem)
            if answer.begun:
                raise
            # frames hold what was read, whose room others have by now
            told.__traceback__ = told.__context__ = told.__cause__ = None
            return told


def response_of(told: Refusal) -> JSONResponse:
    """The answer that a refusal is."""
    headers = {} if told.retry_after is None else {"Retry-After": str(max(1, round(told.retry_after)))}
    if told.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    response = JSONResponse(told.to_json(), told.status, headers)
    response.headers["Slotlang-Code"] = told.code
    return response


class _Body:
    def __init__(self, scope: MutableMapping[str, Any], receive: Receive, gate: Gate) -> None:
        self._receive, self._limits, self._metrics = receive, gate.limits, gate.metrics
        self._most = _JSON_BODY
        if str(scope["path"]).endswith("/evaluate"):
            self._most = self._limits.body
        elif scope["method"] == "PUT":
            self._most = self._limits.keys
        self._headers = dict(scope["headers"])
        self._told, self._read, self._start = 0, 0, time.monotonic()
        self._asked = self._ended = False

    def check_head(self) -> None:
        """Refuse a body that does not say how long it is."""
        if b"transfer-encoding" in self._headers:
            self._told = 1
            raise Refusal(MALFORMED, "a body has a Content-Length here, and does not come in chunks", status=411)
        try:
            self._told = int(self._headers.get(b"content-length", b"0"))
        except ValueError:
            raise Refusal(MALFORMED, "Content-Length is not a number") from None

    def check_size(self) -> None:
        """Refuse a body that says it is too long, before any of it is read."""
        if self._told > self._most:
            raise Refusal(TOO_LARGE, f"the body is larger than {count_of(self._most, 'byte')}")

    @property
    def unread(self) -> bool:
        """Whether there is more of the body."""
        return self._read < self._told

    async def receive(self) -> Message:
        """A part of the body, within the limits."""
        self._asked = True
        if self._ended:
            # whether the client goes away, which may take long
            return await self._receive()
        left = self._start + self._limits.read - time.monotonic()
        try:
            async with asyncio.timeout(max(0.0, min(self._limits.idle, left))):
                message = await self._receive()
        except TimeoutError:
            raise Refusal(BUSY, "the body took too long to come", status=408) from None
        if message["type"] == "http.request":
            self._read += len(message.get("body", b""))
            self._ended = not message.get("more_body", False)
            if self._ended:
                self._metrics.seconds["read"].observe(time.monotonic() - self._start)
                self._metrics.bytes_in.inc(self._read)
        return message

    async def drain(self) -> None:
        """Read some of what is left, for a while, unless it only comes when it is asked for."""
        if b"expect" in self._headers and not self._asked:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(_DRAINING):
                while self.unread and self._read < self._most + _DRAINED:
                    message = await self._receive()
                    if message["type"] == "http.disconnect":
                        return
                    self._read += len(message.get("body", b""))


class _Answer:
    """``last``: of its connection, of whose request a body is left that nobody reads."""

    def __init__(self, scope: MutableMapping[str, Any], send: Send, gate: Gate) -> None:
        self._scope, self._send, self._gate = scope, send, gate
        self.begun = self.last = False

    async def send(self, message: Message) -> None:
        """Send a part of the answer."""
        metrics = self._gate.metrics
        if message["type"] == "http.response.start":
            self.begun = True
            headers = [(HEADER.lower().encode(), str(VERSION).encode()), (b"cache-control", b"no-store")]
            if self.last or TENANT not in self._scope["state"]:
                headers.append((b"connection", b"close"))
            message["headers"] = [*message.get("headers", []), *headers]
            # the route's own path, in which no name stands
            route = str(getattr(self._scope.get("route"), "path", "none"))
            metrics.requests.labels(route, str(message["status"])).inc()
            for name, value in message["headers"]:
                if name == b"slotlang-code":
                    metrics.refusals.labels(value.decode()).inc()
        else:
            metrics.bytes_out.inc(len(message.get("body", b"")))
        await self._send(message)
