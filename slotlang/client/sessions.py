"""A tenant's sessions at a service: made, given their evaluation keys, and ended."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

from slotlang.client.connection import Connection
from slotlang.client.problems import ServiceProblem, kept_to_protocol, otherwise
from slotlang.service.fields import Fields, Wrong
from slotlang.service.problems import MALFORMED, MISSING
from slotlang.service.protocol import SESSION_ID
from slotlang_runtime.errors import BYTES_OF_ANOTHER

_CHUNK = 1 << 22
"""Bytes of keys in one request: what is lost when the network fails."""

_LAST_DAY = 253_402_300_000
"""Seconds until the end of the year 9999, the last one of calendars here."""


class Sessions:
    """Those of a connection's tenant. What is said of one has ``id``, ``model``, ``expires`` and more. Raises
    ``ServiceProblem``."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def state(self, name: str) -> dict[str, Any]:
        """What the service says of a session."""
        return _checked(await self._connection.json("GET", f"/v1/sessions/{name}"))

    async def new(self, model: str, keys: bytes) -> dict[str, Any]:
        """A new session, to which these keys are sent next. One that was made and whose answer was lost expires unused,
        or is evicted first."""
        about = {"sha256": _hash(keys), "bytes": len(keys)}
        return _checked(await self._connection.json("POST", "/v1/sessions", {"model": model, "keys": about}))

    async def send_rest(self, keys: bytes, state: dict[str, Any]) -> dict[str, Any]:
        """The state after all was sent that the service does not have; after a fault, from where it then is."""
        failures = 0
        while state["coming"]:
            offset = state["received"]
            if not 0 <= offset <= len(keys):
                raise otherwise("it has more of the keys than there are")
            # of keys that are all there the service ended before it had checked them: an empty part makes it go on
            path = f"/v1/sessions/{state['id']}/keys?offset={offset}"
            try:
                state = _checked(await self._connection.put(path, memoryview(keys)[offset : offset + _CHUNK]))
                if state["coming"] and state["received"] <= offset:
                    raise otherwise("it takes no keys")
                failures = 0
            except ServiceProblem as problem:
                failures += 1
                again = problem.code != BYTES_OF_ANOTHER and (problem.again or problem.code == MALFORMED)
                if failures >= self._connection.tries or not again:
                    raise
                await asyncio.sleep(max(0.1 * 2**failures, problem.wait or 0.0))
                state = await self.state(state["id"])
        return state

    async def end(self, name: str) -> None:
        """End a session: the service deletes its keys."""
        try:
            await self._connection.json("DELETE", f"/v1/sessions/{name}")
        except ServiceProblem as problem:
            # it has expired, or a first try ended it
            if problem.code != MISSING:
                raise

    async def with_keys(self, keys: bytes) -> list[str]:
        """The sessions that have these keys, or wait for them."""
        answer = await self._connection.json("GET", "/v1/sessions")
        with kept_to_protocol():
            found = [_checked(part.values) for part in Fields(answer).parts("data")]
        return [str(state["id"]) for state in found if _hash(keys) in (state["coming"], state.get("keys"))]


def _hash(keys: bytes) -> str:
    return hashlib.sha256(keys).hexdigest()


def _checked(value: Any) -> dict[str, Any]:
    with kept_to_protocol():
        of = Fields(value)
        if not SESSION_ID.fullmatch(of.text("id")):
            raise Wrong("its session has no name")
        checked = {"ready": of.flag("ready"), "coming": of.optional_text("coming"), "received": of.whole("received")}
        expires = of.number("expires")
        if not 0 <= expires < _LAST_DAY:
            raise Wrong("its session ends on no day that there is")
        return {**of.values, **checked, "model": of.text("model"), "expires": expires}
