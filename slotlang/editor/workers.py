"""Workers as the server sees them: a job at a time, each with a future, and an end at any moment."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from typing import Any

from slotlang.editor.worker import Job, serve

__all__ = ["Ended", "Failed", "Worker"]


class Ended(Exception):
    """The worker is gone, and its job with it."""


class Failed(Exception):
    """A job that raised; the text is the traceback."""


def _context(preloaded: str) -> BaseContext:
    """Where it can be, workers are forked from a process that has imported what they need."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([preloaded])
    return context


class Worker:
    """One process, which is started when it is first needed. For one event loop. ``preloaded``: the module that the
    process which workers are forked from imports before; that of the first worker holds for all."""

    def __init__(self, name: str, preloaded: str = "slotlang.editor.preloaded") -> None:
        self.name = name
        self.preloaded = preloaded
        self.known: set[str] = set()
        """Texts that the process has, by key."""
        self._process: Any = None
        self._connection: Connection | None = None
        self._future: asyncio.Future[Any] | None = None
        self._found: Callable[[Any], None] = lambda _: None
        self._since = 0.0
        self.lasted = 0.0
        """Seconds that the last job took before its process ended."""
        self._starting = asyncio.Lock()
        self._life = 0

    @property
    def busy(self) -> float:
        """Seconds that its job has taken so far; 0 without one."""
        return time.monotonic() - self._since if self._future is not None else 0.0

    @property
    def process_id(self) -> int | None:
        """Of the process, where there is one."""
        return None if self._process is None else self._process.pid

    async def start(self) -> None:
        """Start the process, unless it runs."""
        async with self._starting:
            if self._connection is not None:
                return
            loop = asyncio.get_running_loop()
            life = self._life
            process, connection = await asyncio.to_thread(self._spawn)
            if life != self._life:
                # ended while it was starting
                connection.close()
                process.kill()
                raise Ended(self.name)
            self._process, self._connection = process, connection
            self.known = set()
            threading.Thread(target=self._read, args=(loop, connection, life), daemon=True).start()

    def _spawn(self) -> tuple[Any, Connection]:
        context = _context(self.preloaded)
        ours, theirs = context.Pipe()
        process = context.Process(target=serve, args=(theirs,), name=f"slotlang {self.name}", daemon=True)  # type: ignore[attr-defined]
        process.start()
        theirs.close()
        return process, ours

    def _read(self, loop: asyncio.AbstractEventLoop, connection: Connection, life: int) -> None:
        """In a thread: what the process sends, handed to the loop."""
        while True:
            try:
                message = connection.recv()
            except (EOFError, OSError):
                message = ("ended", None)
            except Exception as problem:
                message = ("failed", f"an answer can't be read: {problem}")
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._received, life, message)
            if message[0] == "ended":
                return

    def _received(self, life: int, message: tuple[str, Any]) -> None:
        if life != self._life:
            return
        kind, value = message
        if kind == "found":
            self._found(value)
            return
        if kind == "ended":
            self.end()
            return
        future, self._future = self._future, None
        if future is not None and not future.done():
            if kind == "done":
                future.set_result(value)
            else:
                future.set_exception(Failed(value))

    async def run(self, job: Job, found: Callable[[Any], None] = lambda _: None) -> Any:
        """Do a job. ``found`` gets what it sends on the way. Raises ``Ended`` and ``Failed``. Not for two jobs at
        once."""
        await self.start()
        if self._connection is None:
            raise Ended(self.name)
        assert self._future is None, "one job at a time"
        self._future = future = asyncio.get_running_loop().create_future()
        self._found, self._since = found, time.monotonic()
        try:
            self._connection.send(job)
        except (OSError, ValueError):
            self.end()
        try:
            return await future
        except asyncio.CancelledError:
            # who waited is gone; the process is not free before it answers, so it is ended
            if self._future is future:
                self.end()
            raise

    def end(self) -> None:
        """End the process at once; its job raises ``Ended``. The next job starts another one."""
        self.lasted = self.busy
        self._life += 1
        process, connection, future = self._process, self._connection, self._future
        self._process = self._connection = self._future = None
        self.known = set()
        if process is not None:
            process.kill()
            threading.Thread(target=process.join, daemon=True).start()
        if connection is not None and sys.platform != "win32":
            with contextlib.suppress(OSError):
                connection.close()
        if future is not None and not future.done():
            future.set_exception(Ended(self.name))
