"""A user's session with a service, for asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

from slotlang.client.adapter import Adapter, Crypto
from slotlang.client.connection import Evaluation
from slotlang.client.keyed import Anew, call
from slotlang.client.problems import ServiceProblem
from slotlang.client.requests import Answers, Asking, Call, Updates
from slotlang.client.rotation import Rotating
from slotlang.client.tokens import Tokens
from slotlang.diagnostics import error
from slotlang_runtime.client import SecretKey

_AT_A_TIME = 2
"""Requests: while one is evaluated the next one travels."""


@dataclass(frozen=True)
class Begun:
    """A call that is one request, with the adapter and the session that it was made for."""

    adapter: Adapter
    session: str
    evaluation: Evaluation[Updates]


class Options(TypedDict, total=False):
    """The options of a session, by keyword; ``AsyncSession`` says what each is."""

    model: str | None
    secret: str | Path | SecretKey | None
    certificates: str | Path | None
    timeout: float
    tries: int


class AsyncSession(Rotating):
    """Encrypted updates from a service.

    ``model``: the adapter, where the service has several. ``secret``: the file of the secret key (mode 0600; made when
    it is not there), or the key itself; without it a new one that stays in memory. With a file, a later session goes on
    with the keys that the service has. ``certificates``, ``timeout`` and ``tries``: as ``Connection`` has them. Nothing
    that is sent depends on what was decrypted: results are decrypted after the last request of a call.

    It is the event loop's that makes its first call; tasks of this loop may call it at the same time. ``close`` ends
    their calls.

    Raises ``SlotError``, of which ``ServiceProblem`` is one, ``slotlang_runtime.Rejected``, and RuntimeError where a
    session can't be used: after ``close``, in another event loop or thread, in a process that was forked.
    """

    async def update(self, module: str, x: Any, *, ranks: Sequence[int] | None = None) -> Any:
        """A module's update of x: scaling * A @ B @ x for each token. The last axis of x holds the module's columns,
        all before it are tokens; that of the result its rows. NumPy in, NumPy out; torch in, torch out. ``ranks``:
        those that are on, from 0, which the service sees: the update is scaling * A[:, ranks] @ B[ranks] @ x."""
        names, on = read_one(module, ranks)
        return (await self.asked(names, x, on)).told()[module]

    async def updates(
        self, modules: Sequence[str], x: Any, *, ranks: Mapping[str, Sequence[int] | None] | None = None
    ) -> dict[str, Any]:
        """The updates of several modules that read the same x, by name: encrypted and sent once where their programs
        allow it. ``ranks``: those that are on, by module; all of modules that are not named."""
        names, on = read_once(modules, ranks)
        return (await self.asked(names, x, on)).told()

    @call
    async def asked(self, names: Sequence[str], x: Any, ranks: Mapping[str, Sequence[int] | None]) -> Updates:
        """The updates, and what is to be said of them where the user's line is known. ``names``, ``ranks``: as
        ``read_once`` gives them."""
        if not names:
            return Updates({})

        async def once() -> Updates:
            async with self._lock:
                adapter, crypto, session = await self._ready()
            try:
                return await self._updates(adapter, crypto, session, names, x, ranks)
            except ServiceProblem as problem:
                if not await self._renewed(problem, adapter, session):
                    raise
                raise Anew(problem) from None

        return await self._anew(once)

    def begun(self, names: Sequence[str], x: Any, ranks: Mapping[str, Sequence[int] | None]) -> Begun | None:
        """The only request of a call, for a thread that sends it itself, even one without a loop; None where there are
        several, or something has to be done first. ``resumed`` goes on where sending it failed. ``names``, ``ranks``:
        as ``read_once`` gives them."""
        found = self._found
        if not names or found is None or self._connection.straight is None or self._lock.locked():
            return None
        adapter, crypto, session = found
        if self._adapter is not adapter or self._crypto is not crypto or self._session != session:
            return None
        call = _call(adapter, crypto, names, x, ranks)
        if not call.one_upload:
            return None
        return Begun(adapter, session, self._only_request(call, session))

    @call
    async def resumed(
        self,
        begun: Begun,
        problem: Exception,
        names: Sequence[str],
        x: Any,
        ranks: Mapping[str, Sequence[int] | None],
    ) -> Updates:
        """The updates of a call that was ``begun`` and whose request ended in a problem."""
        try:
            return await begun.evaluation.sent(problem)
        except ServiceProblem as last:
            if not await self._renewed(last, begun.adapter, begun.session):
                raise
        return await self.asked(names, x, ranks)

    async def _updates(
        self,
        adapter: Adapter,
        crypto: Crypto,
        session: str,
        names: Sequence[str],
        x: Any,
        ranks: Mapping[str, Sequence[int] | None],
    ) -> Updates:
        call = _call(adapter, crypto, names, x, ranks)
        if call.one_upload:
            return await self._only_request(call, session).sent()
        path, answers = _path(session), Answers()
        some = asyncio.Semaphore(_AT_A_TIME)

        async def one(request: Asking) -> None:
            async with some:
                answers.update(await self._connection.evaluation(path, lambda: request, lambda found: found).sent())

        # none is given up because another one failed: what is sent depends on x alone
        ended = await asyncio.gather(*map(one, await self._worked(call.requests)), return_exceptions=True)
        for problem in ended:
            if isinstance(problem, BaseException):
                raise problem
        return await self._worked(call.updates, answers)

    def _only_request(self, call: Call, session: str) -> Evaluation[Updates]:
        """That of a call with one upload, encrypted in the thread that sends it."""
        return self._connection.evaluation(_path(session), lambda: call.requests()[0], call.updates)


def read_once(
    modules: Sequence[str], ranks: Mapping[str, Sequence[int] | None] | None
) -> tuple[list[str], dict[str, Sequence[int] | None]]:
    """Modules, each once, and ranks by module, for a call that may start anew: an iterator would give none then, and no
    ranks are those of an update that is zero. Raises ``SlotError`` SL005 for a name in the place of several, and for
    what is no name."""
    if isinstance(modules, str) or not isinstance(modules, Iterable):
        raise error("SL005", "updates takes a list of modules", hint="update takes one module")
    names = list(modules)
    if wrong := [name for name in names if not isinstance(name, str)]:
        raise error("SL005", f"{wrong[0]!r:.100} is not the name of a module", hint="updates takes several, in a list")
    if not isinstance(ranks, Mapping | None):
        raise error("SL005", "updates takes ranks by module", hint='for example ranks={"q": [0, 2]}')
    on = {name: list(those) if isinstance(those, Iterator) else those for name, those in (ranks or {}).items()}
    return list(dict.fromkeys(names)), on


def read_one(module: str, ranks: Any) -> tuple[list[str], dict[str, Sequence[int] | None]]:
    """As ``read_once``, of one module."""
    names, _ = read_once([module], None)
    return read_once(names, {module: ranks})


def _path(session: str) -> str:
    return f"/v1/sessions/{session}/evaluate"


def _call(adapter: Adapter, crypto: Crypto, names: Sequence[str], x: Any, ranks: Mapping[str, Any]) -> Call:
    """Raises ``ServiceProblem`` and Rejected."""
    chosen = adapter.chosen(names, ranks)
    columns = {adapter.place(name)[1].columns for name in names}
    if len(columns) > 1:
        widths = " and ".join(map(str, sorted(columns)))
        hint = "one call has modules that read the same x: ask for the others in another call"
        raise ServiceProblem("SL583", f"these modules take x of {widths} columns, and there is one x", hint)
    tokens = Tokens.of(x, columns.pop(), names[0] if len(names) == 1 else "each of these modules")
    return Call(adapter, crypto, names, tokens, chosen)
