"""The route of evaluation, and who asks. ASGI without what other routes need for JSON: a request of a few milliseconds
is not to spend one of them on being read. So it stands before the application that has the other routes."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from functools import partial
from typing import Any, TypeAlias

from slotlang.service.connections import GATHERED, line_of
from slotlang.service.evaluations import Run
from slotlang.service.gate import TENANT, Gate
from slotlang.service.problems import MALFORMED, NO_TOKEN, TOKENS_HINT, Refusal
from slotlang.service.protocol import ADAPTER_HEADER, BINARY, HEADER, IDEMPOTENCY_KEY, KEY_HEADER, VERSION
from slotlang.service.service import Service
from slotlang.service.tokens import Tenant

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Scope: TypeAlias = MutableMapping[str, Any]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

PATH = "/v1/sessions/{session}/evaluate"
_SESSION = re.compile(PATH.replace("{session}", "([^/]+)"))
_HEADER, _KEY, _ADAPTER = (name.lower().encode() for name in (HEADER, KEY_HEADER, ADAPTER_HEADER))


def admit(service: Service, scope: Mapping[str, Any]) -> None:
    """Find out whose request this is, by its token, and whether the protocol's version that it says is this one: it is
    the tenant's now, which counts, and is under way. Raises Refusal SL570, SL572, SL574 and SL575."""
    given = [value for name, value in scope["headers"] if name == b"authorization"]
    if len(given) > 1:
        raise Refusal(MALFORMED, "there is more than one Authorization header")
    scheme, _, token = given[0].decode("latin-1").partition(" ") if given else ("", "", "")
    if scheme.lower() != "bearer":
        hint = f"send `Authorization: Bearer TOKEN`; {TOKENS_HINT}"
        raise Refusal(NO_TOKEN, "this needs a tenant's token", hint=hint)
    tenant = service.tokens.find(token.strip())
    if tenant is None:
        hint = f"it was removed, or is another service's; {TOKENS_HINT}"
        raise Refusal(NO_TOKEN, "this token is not known here", hint=hint)
    scope["state"][TENANT] = tenant
    for name, value in scope["headers"]:
        if name == _HEADER and value != b"%d" % VERSION:
            spoken = value.decode("latin-1")
            raise Refusal(MALFORMED, f"this service speaks version {VERSION} of the protocol, not {spoken!r:.20}")
    service.request_rate.take(tenant.name, 1, "requests")
    line_of(scope).begun(tenant.name)


def tenant_of(scope: Mapping[str, Any]) -> Tenant:
    """Whose request it is that was admitted."""
    tenant: Tenant = scope["state"][TENANT]
    return tenant


def session_of(scope: Mapping[str, Any]) -> str | None:
    """The session that a request for an evaluation names; None of any other request."""
    found = _SESSION.fullmatch(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
    return None if found is None else found[1]


class Evaluating:
    """Answers ``PATH``, and asks an application for everything else."""

    path = PATH

    def __init__(self, service: Service, app: App) -> None:
        self.service, self.app = service, app
        self._gate = Gate(self._evaluate, service.limits, service.metrics, partial(admit, service))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        session = session_of(scope)
        if session is None:
            await self.app(scope, receive, send)
            return
        scope["session"] = session
        await self._gate(scope, receive, send)

    async def _evaluate(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises Refusal and Rejected before the answer begins."""
        # its path, without names, for metrics
        scope["route"] = self
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        tenant = tenant_of(scope)
        key = headers.get(_KEY, "")
        if not IDEMPOTENCY_KEY.fullmatch(key):
            raise Refusal(MALFORMED, f"{KEY_HEADER} is 16 to 100 letters, digits, - and _")
        session = self.service.session(tenant, scope["session"])
        line, length = line_of(scope), int(headers.get(b"content-length", "0"))
        with self.service.room.take(tenant.name) as room:
            line.gather()
            body = await room.body(receive, length, ahead=GATHERED)
            run = await self.service.evaluations.begin(tenant, session, key, body, room)
            await _send(run, send)
            await line.taken()


async def _send(run: Run, send: Send) -> None:
    pieces = run.frames()
    # a problem with the first item is an answer of its own
    piece = await anext(pieces)
    named = [
        (b"content-type", BINARY.encode()),
        (_ADAPTER, f"{run.adapter}@{run.version}".encode("latin-1", "replace")),
    ]
    last = len(run.parts) == 1
    if last:
        named.append((b"content-length", str(len(piece)).encode()))
    await send({"type": "http.response.start", "status": 200, "headers": named})
    await send({"type": "http.response.body", "body": piece, "more_body": not last})
    async for piece in pieces:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    if not last:
        await send({"type": "http.response.body", "body": b"", "more_body": False})
