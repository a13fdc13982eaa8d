"""A user's session with a service, for programs without asyncio: the same calls, each of which waits."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from types import TracebackType
from typing import Any, TypeVar, Unpack

import httpx

from slotlang.client.adapter import Adapter
from slotlang.client.asynchronous import AsyncSession, Options, read_once, read_one
from slotlang.client.keyed import CLOSED
from slotlang.client.problems import ServiceProblem
from slotlang.client.requests import Updates

Result = TypeVar("Result")


class Session:
    """``AsyncSession``, of which it takes all options, with calls that wait. Threads may call it at the same time.
    ``close``, or the end of a ``with``, ends its own thread and all calls, which raise RuntimeError as later ones do. A
    process that is forked opens a session of its own: here its calls raise RuntimeError."""

    def __init__(self, url: str, token: str, **options: Unpack[Options]) -> None:
        self._loop = asyncio.new_event_loop()
        self._lock, self._ended = threading.Lock(), False
        self._end, self._done = asyncio.Event(), threading.Event()
        try:
            self._inner = AsyncSession(url, token, **options)
        except BaseException:
            self._loop.close()
            raise
        self._thread = threading.Thread(target=self._run, daemon=True, name="slotlang session")
        self._thread.start()

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._until_closed())
        finally:
            self._loop.close()
            self._done.set()

    def _waited(self, work: Coroutine[Any, Any, Result]) -> Result:
        future = None
        try:
            self._inner.check_process()
            with self._lock:
                # after its last work the loop does none
                if not self._ended:
                    future = asyncio.run_coroutine_threadsafe(work, self._loop)
        finally:
            if future is None:
                work.close()
        if future is None:
            raise RuntimeError(CLOSED)
        try:
            return future.result()
        except CancelledError:
            raise RuntimeError(CLOSED) from None
        except BaseException:
            # Ctrl-C: what is under way is given up
            future.cancel()
            raise

    @property
    def url(self) -> str:
        """The service's address."""
        return self._inner.url

    def models(self) -> list[dict[str, Any]]:
        """The adapters that the token may use: ``id``, ``root``, ``parent``, ``version`` and more."""
        return self._waited(self._inner.models())

    def adapter(self) -> Adapter:
        """The adapter, with its modules in ``places``."""
        return self._waited(self._inner.adapter())

    def keys(self) -> dict[str, Any]:
        """The session with its keys, made and sent where that is needed: ``id``, ``model``, ``expires`` and more."""
        return self._waited(self._inner.keys())

    def rotate(self) -> dict[str, Any]:
        """A new secret key, and evaluation keys for it, in the place of the present ones."""
        return self._waited(self._inner.rotate())

    def end(self) -> bool:
        """End the session at the service: it deletes the keys. Whether there was a session, as far as is known here."""
        return self._waited(self._inner.end())

    def update(self, module: str, x: Any, *, ranks: Sequence[int] | None = None) -> Any:
        """A module's update of x: scaling * A @ B @ x for each token. The last axis of x holds the module's columns,
        all before it are tokens; that of the result its rows. NumPy in, NumPy out; torch in, torch out. ``ranks``:
        those that are on, from 0, which the service sees: the update is scaling * A[:, ranks] @ B[ranks] @ x."""
        return self._asked(*read_one(module, ranks), x).told()[module]

    def updates(
        self, modules: Sequence[str], x: Any, *, ranks: Mapping[str, Sequence[int] | None] | None = None
    ) -> dict[str, Any]:
        """The updates of several modules that read the same x, by name: encrypted and sent once where their programs
        allow it. ``ranks``: those that are on, by module; all of modules that are not named."""
        return self._asked(*read_once(modules, ranks), x).told()

    def _asked(self, names: Sequence[str], on: Mapping[str, Sequence[int] | None], x: Any) -> Updates:
        begun = self._inner.begun(names, x, on) if not self._ended else None
        if begun is None:
            return self._waited(self._inner.asked(names, x, on))
        try:
            # in this thread: threads that wake each other take longer than a small evaluation
            return begun.evaluation.here()
        except (ServiceProblem, httpx.HTTPError) as caught:
            problem = caught
        return self._waited(self._inner.resumed(begun, problem, names, x, on))

    def close(self) -> None:
        """Close connections. The session stays at the service: ``end`` ends it."""
        if self._inner.is_forked:
            return
        with self._lock:
            self._ended = True
            # the thread does the rest, even where the wait for it is interrupted; its loop may be closed by now
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._end.set)
        # join alone takes a thread for ended when Ctrl-C interrupts it (Python 3.11)
        self._done.wait()
        self._thread.join()

    async def _until_closed(self) -> None:
        """Then close connections, and give up what other threads wait for."""
        await self._end.wait()
        await self._inner.close()
        # who waits for them hears of the end
        await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}), return_exceptions=True)

    def __enter__(self) -> Session:
        if self._ended:
            raise RuntimeError(CLOSED)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
