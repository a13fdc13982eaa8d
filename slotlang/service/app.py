"""The routes of a service (docs/protocol.md). What they do is done elsewhere; here is who may ask for it."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Header, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.exceptions import HTTPException

from slotlang import __version__
from slotlang.service import messages as m
from slotlang.service.adapters import Adapter
from slotlang.service.connections import line_of
from slotlang.service.evaluating import PATH, admit, tenant_of
from slotlang.service.gate import HEALTH, Gate, Receive, Send, response_of
from slotlang.service.problems import MALFORMED, MISSING, NO_TOKEN, TOO_LARGE, Refusal
from slotlang.service.protocol import ADAPTER_HEADER, BINARY, HEADER, KEY_HEADER, VERSION
from slotlang.service.room import Taken
from slotlang.service.service import Service
from slotlang.service.sessions import Session
from slotlang.service.tokens import Tenant
from slotlang_runtime.amounts import count_of
from slotlang_runtime.keys import EvaluationKeys

_BEARER = HTTPBearer(auto_error=False, description="A tenant's token")


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


Served = Annotated[Service, Depends(_service)]


async def _tenant(
    request: Request,
    # both for the description alone: the request was admitted
    given: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)],
    protocol: Annotated[str | None, Header(alias=HEADER, description="The protocol's version, 1")] = None,
) -> Tenant:
    return tenant_of(request.scope)


Caller = Annotated[Tenant, Depends(_tenant)]


def _admin(tenant: Caller) -> Tenant:
    if not tenant.admin:
        hint = "`slotlang token add FOLDER TENANT --admin` makes one"
        raise Refusal(NO_TOKEN, f"this needs an admin's token, and that of {tenant.name} is not", hint=hint, status=403)
    return tenant


Admin = Annotated[Tenant, Depends(_admin)]

router = APIRouter(responses={"4XX": {"model": m.Refused}, "5XX": {"model": m.Refused}})
_OCTETS: dict[str, Any] = {"content": {BINARY: {"schema": {"type": "string", "format": "binary"}}}}
_BODY: dict[str, Any] = {"requestBody": {"required": True, **_OCTETS}}


@router.get(HEALTH)
async def health() -> m.Health:
    """Whether the service answers."""
    return m.Health(protocol=VERSION)


@router.get("/metrics", response_class=Response)
async def metrics(service: Served, admin: Admin) -> Response:
    """Figures for Prometheus."""
    return Response(
        await asyncio.to_thread(service.metrics.text), media_type="text/plain; version=0.0.4; charset=utf-8"
    )


@router.get("/v1/models")
async def models(service: Served, tenant: Caller) -> m.Models:
    """The adapters that the tenant may use."""
    return m.Models(data=[_model(adapter) for adapter in service.adapters.seen_by(tenant)])


def _model(adapter: Adapter) -> m.Model:
    return m.Model(
        id=adapter.name,
        created=int(adapter.loaded),
        root=adapter.root,
        parent=adapter.manifest.base_model,
        version=adapter.version,
    )


@router.get("/v1/models/{model}/client", response_class=Response, responses={200: _OCTETS})
async def client(model: str, service: Served, tenant: Caller) -> Response:
    """What a client needs of an adapter, as data: its groups, and each program's packing, unpacking, parameters and
    limits. No weight is in it, and no code."""
    adapter = service.adapters.get(tenant, model)
    room = service.room.take(tenant.name, len(adapter.client))
    return _InRoom(room, adapter.client, _named(adapter.name, adapter.version))


class _InRoom(Response):
    """Bytes that have room until the client took them."""

    def __init__(self, room: Taken, data: bytes, headers: dict[str, str], kind: str = BINARY) -> None:
        super().__init__(data, media_type=kind, headers=headers)
        self._room = room

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        with self._room:
            await super().__call__(scope, receive, send)
            await line_of(scope).taken()


def _named(name: str, version: str) -> dict[str, str]:
    return {ADAPTER_HEADER: f"{name}@{version}"}


@router.post("/v1/load_lora_adapter")
async def load_lora_adapter(wanted: m.LoadAdapter, service: Served, admin: Admin) -> m.Model:
    """Serve an adapter that lies below the service's folder. Of one that had the name before, requests under way end
    first."""
    return _model(await service.adapters.load(admin, wanted.lora_name, wanted.lora_path))


@router.post("/v1/unload_lora_adapter", status_code=204)
async def unload_lora_adapter(wanted: m.UnloadAdapter, service: Served, admin: Admin) -> None:
    """No longer serve an adapter; answers when the requests under way have ended."""
    await service.adapters.unload(admin, wanted.lora_name)


@router.post("/v1/sessions", status_code=201)
async def new_session(wanted: m.NewSession, service: Served, tenant: Caller) -> m.SessionState:
    """A session. Its keys are sent after this, unless the tenant has sent the same ones before."""
    service.adapters.get(tenant, wanted.model)
    _check_size(service, wanted.keys)
    session = await service.store.in_turn(
        tenant.name,
        lambda: service.store.create(
            tenant.name,
            wanted.model,
            wanted.keys.sha256,
            wanted.keys.bytes,
            min(wanted.lifetime or service.limits.lifetime, service.limits.lifetime),
            pin=wanted.pin,
        ),
    )
    return _state(service, session)


def _check_size(service: Service, keys: m.KeySet) -> None:
    if keys.bytes > service.limits.keys:
        raise Refusal(TOO_LARGE, f"keys have at most {count_of(service.limits.keys, 'byte')} here, not {keys.bytes}")


def _state(service: Service, session: Session) -> m.SessionState:
    received, ready = service.store.received(session), service.store.ready(session)
    return _state_of(session, ready, received)


def _state_of(session: Session, ready: bool, received: int) -> m.SessionState:
    return m.SessionState(
        id=session.id,
        model=session.model,
        created=session.created,
        expires=session.expires,
        pinned=session.pinned,
        ready=ready,
        keys=session.keys if ready else None,
        coming=None if ready else session.keys,
        received=0 if ready else received,
    )


@router.get("/v1/sessions", response_model=m.Sessions)
async def sessions(service: Served, tenant: Caller) -> Response:
    """The tenant's sessions, of adapters that the token is for."""
    data = await asyncio.to_thread(_listed, service, tenant)
    return _InRoom(service.room.take(tenant.name, len(data)), data, {}, "application/json")


def _listed(service: Service, tenant: Tenant) -> bytes:
    """A thousand sessions take a while: in a thread."""
    of = [session for session in service.store.of(tenant.name) if tenant.sees(session.model)]
    ready, coming = service.store.keys.sizes(tenant.name)
    states = [_state_of(session, session.keys in ready, coming.get(session.keys, 0)) for session in of]
    return m.Sessions(data=states).model_dump_json().encode()


@router.get("/v1/sessions/{session}")
async def session_state(session: str, service: Served, tenant: Caller) -> m.SessionState:
    """A session, and how much of its keys is here."""
    return _state(service, service.session(tenant, session))


@router.put("/v1/sessions/{session}/keys", openapi_extra=_BODY)
async def send_keys(
    session: str, request: Request, service: Served, tenant: Caller, offset: Annotated[int, Query(ge=0)] = 0
) -> m.SessionState:
    """A part of the session's evaluation keys, which begins at this offset: the number of bytes that are here. When all
    are here they are checked."""
    found = service.session(tenant, session)
    size = int(request.headers.get("Content-Length", "0"))
    needed = [p for a in service.adapters.seen_by(tenant) if a.name == found.model for p in a.programs.values()]

    def check(whole: bytes) -> None:
        keys = EvaluationKeys.from_bytes(whole)
        for module in needed:
            keys.check(module)

    store = service.store
    with service.room.take(tenant.name) as room, store.using(found):
        if store.ready(found):
            async for _ in request.stream():
                # they are here, and these are nobody's
                pass
            return _state(service, found)
        store.check_part(found, offset, size)
        data = await room.body(request.receive, size)
        async with store.turn(tenant.name):
            if last := offset + size == found.bytes:
                # all of them are read again, to be checked, when this part is written and held no longer
                room.only(found.bytes)
            await asyncio.to_thread(store.append, found, offset, data)
            del data
            if last:
                await asyncio.to_thread(store.append, found, found.bytes, b"", check)
        return _state(service, found)


@router.delete("/v1/sessions/{session}", status_code=204)
async def end_session(session: str, service: Served, tenant: Caller) -> None:
    """End a session, and delete its keys."""
    found = service.session(tenant, session)
    await service.store.in_turn(tenant.name, lambda: service.store.delete(found))


@router.post(PATH, response_class=Response, responses={200: _OCTETS}, openapi_extra=_BODY)
async def evaluate(
    session: str,
    service: Served,
    tenant: Caller,
    key: Annotated[str, Header(alias=KEY_HEADER, description="16 to 100 letters, digits, - and _")],
) -> Response:
    """Encrypted updates of several modules and tokens. The same request under the same key gets the same answer, within
    the window, and no second evaluation."""
    raise AssertionError("``Evaluating`` answers before the application is asked")


def create_app(service: Service) -> FastAPI:
    """The application of a service that was started, without ``Evaluating``, which stands before it."""
    app = FastAPI(
        title="slotlang",
        version=__version__,
        summary="Encrypted LoRA updates",
        # pages that load scripts from elsewhere
        docs_url=None,
        redoc_url=None,
        exception_handlers={RequestValidationError: _invalid, HTTPException: _http},
    )
    app.state.service = service
    app.include_router(router)
    app.add_middleware(Gate, limits=service.limits, metrics=service.metrics, admit=partial(admit, service))
    return app


async def _invalid(request: Request, problem: Exception) -> JSONResponse:
    assert isinstance(problem, RequestValidationError)
    first = problem.errors()[0]
    kind, place = first["type"], ".".join(str(part) for part in first["loc"][1:])
    if not place or kind == "json_invalid":
        hint = "send one with Content-Type: application/json (curl --json)"
        return response_of(Refusal(MALFORMED, "the body is not an object of JSON", hint=hint, status=422))
    match kind:
        case "missing":
            told = f"`{place}` is missing"
        case "extra_forbidden":
            told = f"there is no `{place}` in this request"
        case "string_type":
            told = f"`{place}` is not a text"
        case _:
            told = f"`{place}`: {first['msg']}"
    return response_of(Refusal(MALFORMED, told[:400], hint="/openapi.json describes the requests", status=422))


async def _http(request: Request, problem: Exception) -> JSONResponse:
    assert isinstance(problem, HTTPException)
    cause = problem.__cause__
    if isinstance(cause, Refusal):
        return response_of(cause)
    if problem.status_code == 404:
        hint = "the address of a service is its machine and port alone; /openapi.json describes the requests"
        return response_of(Refusal(MISSING, f"there is nothing at {request.url.path!r:.200}", hint=hint))
    return response_of(Refusal(MALFORMED, f"{problem.detail}"[:200].lower(), status=problem.status_code))
