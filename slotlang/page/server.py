"""The page beside an editor, served to this machine alone: ``slotlang view``."""

from __future__ import annotations

import asyncio
import json
import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse

from slotlang.diagnostics import SlotError
from slotlang.page.asking import QUESTIONS
from slotlang.page.document import document
from slotlang.page.goals import goal
from slotlang.page.knobs import Knobs
from slotlang.page.sessions import NoSession, Sessions, Viewed
from slotlang.search.candidate import objective_named

__all__ = ["Viewed", "application", "serve"]

MAX_BODY = 4_000_000
"""Bytes of a request, at most."""
WAIT = 20.0
"""Seconds after which a question for news is answered without any."""

TOKEN = "X-Slotlang-Token"
"""The header in which the page says that it was opened by the address that the command printed."""

_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}


def foreign(request: Request, port: int) -> bool:
    """Whether a request comes from another page, or by another name than this server's: a name that was bound to this
    machine's address by somebody else."""
    hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
    if request.headers.getlist("host") not in [[host] for host in hosts]:
        return True
    origins = request.headers.getlist("origin")
    if any(origin not in {f"http://{host}" for host in hosts} for origin in origins):
        return True
    return request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none")


def knows(request: Request, token: str) -> bool:
    """Whether a request has the token: the page itself in its address, all that it asks for in a header. Another user
    of this machine, who can reach the port, does not have it."""
    given = request.query_params.get("token", "") if request.url.path == "/" else request.headers.get(TOKEN, "")
    return secrets.compare_digest(given.encode(), token.encode())


def application(viewed: Viewed, port: int, token: str) -> FastAPI:
    """The server of one file that is reached by ``port``, for those who know the ``token``."""
    sessions = Sessions(viewed)

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        sessions.start()
        yield
        sessions.stop()

    app = FastAPI(lifespan=life, docs_url=None, redoc_url=None, openapi_url=None)

    @app.middleware("http")
    async def guard(request: Request, following: Callable[[Request], Awaitable[Response]]) -> Response:
        if foreign(request, port):
            return JSONResponse({"error": "this server answers its own page alone"}, 403, _HEADERS)
        if not knows(request, token):
            said = "open the whole address that slotlang view has printed, with its token"
            return JSONResponse({"error": said}, 403, _HEADERS)
        if request.method == "POST" and not request.headers.get("content-type", "").startswith("application/json"):
            return JSONResponse({"error": "a question is JSON"}, 415, _HEADERS)
        answer = await following(request)
        answer.headers.update(_HEADERS)
        return answer

    @app.exception_handler(NoSession)
    async def gone(_: Request, problem: Exception) -> Response:
        return JSONResponse({"error": str(problem), "gone": True}, 404)

    @app.get("/")
    async def page() -> Response:
        about = goal(viewed.puzzle) if viewed.puzzle is not None else None
        return HTMLResponse(document("view", viewed.path.name, token=token, puzzle=about))

    @app.post("/open")
    async def opened() -> Any:
        session = sessions.open()
        return {"session": session.key, "text": session.text}

    @app.get("/wait")
    async def wait(session: str = "", after: int = 0) -> Any:
        found = sessions.session(session)
        with suppress(TimeoutError):
            await asyncio.wait_for(found.newer(after), WAIT)
        return found.state(sessions.notice, after)

    async def body(request: Request) -> dict[str, Any]:
        raw = b""
        async for chunk in request.stream():
            raw += chunk
            if len(raw) > MAX_BODY:
                raise NoSession("that text is too long")
        try:
            found = json.loads(raw)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise NoSession("a question is a JSON object")
        return found

    @app.post("/text")
    async def text(request: Request) -> Any:
        asked = await body(request)
        found = sessions.session(asked.get("session"))
        if not isinstance(asked.get("text"), str):
            return JSONResponse({"error": "there is no text"}, 400)
        sessions.change(found, asked["text"])
        return {"version": found.version}

    @app.post("/revert")
    async def revert(request: Request) -> Any:
        found = sessions.session((await body(request)).get("session"))
        sessions.revert(found)
        return {"text": found.text}

    @app.post("/keep")
    async def keep(request: Request) -> Any:
        asked = await body(request)
        found = sessions.session(asked.get("session"))
        if not isinstance(asked.get("text"), str):
            return JSONResponse({"error": "there is no text"}, 400)
        problem = sessions.keep(found, asked["text"])
        return JSONResponse({"error": problem}, 409) if problem else {"file": viewed.path.name}

    @app.post("/value")
    async def value(request: Request) -> Any:
        asked = await body(request)
        found = sessions.session(asked.get("session"))
        member = asked.get("member")
        if not isinstance(member, list) or not all(type(i) is int for i in member):
            return JSONResponse({"error": "a member's indices are whole numbers"}, 400)
        return {"value": await sessions.value(found, str(asked.get("program")), str(asked.get("family")), member)}

    @app.post("/ask")
    async def ask(request: Request) -> Any:
        asked = await body(request)
        found = sessions.session(asked.get("session"))
        text, question, units = asked.get("text"), asked.get("question"), asked.get("offset")
        if not isinstance(text, str) or question not in QUESTIONS or type(units) is not int:
            return JSONResponse({"error": f"a question is {' or '.join(QUESTIONS)}, at a place of a text"}, 400)
        return {"answer": await sessions.ask(found, text, question, units)}

    @app.post("/knobs")
    async def knobs(request: Request) -> Any:
        asked = await body(request)
        found = sessions.session(asked.get("session"))
        try:
            sessions.turn(found, Knobs.asked(asked.get("sizes"), asked.get("precision")))
        except ValueError as problem:
            return JSONResponse({"error": str(problem)}, 400)
        return {"version": found.version}

    @app.post("/synth")
    async def synth(request: Request) -> Any:
        asked = await body(request)
        found = sessions.session(asked.get("session"))
        try:
            precision = Knobs.asked({}, asked.get("precision")).precision
            objective = objective_named(str(asked.get("objective")))
        except (ValueError, SlotError) as problem:
            return JSONResponse({"error": str(problem)}, 400)
        if precision is None or not sessions.search(found, str(asked.get("program")), precision, objective):
            return JSONResponse({"error": "a search needs a program for y == scale * A @ B @ x, and a precision"}, 400)
        return {"version": found.version}

    @app.post("/stop")
    async def stop(request: Request) -> Any:
        found = sessions.session((await body(request)).get("session"))
        sessions.stop_search(found)
        return {"version": found.version}

    return app


def serve(viewed: Viewed, port: int, listening: Callable[[str], None]) -> None:
    """Serve a file on a port of 127.0.0.1, 0 for a free one, until the process is interrupted. ``listening`` gets the
    address, which has a token that is new each time. Raises ``OSError`` where the port can't be had."""
    token = secrets.token_urlsafe(16)
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        found = listener.getsockname()[1]
        config = uvicorn.Config(
            application(viewed, found, token),
            log_level="error",
            access_log=False,
            timeout_graceful_shutdown=1,
            ws="none",
        )
        listener.listen(64)
        listening(f"http://127.0.0.1:{found}/?token={token}")
        uvicorn.Server(config).run(sockets=[listener])
