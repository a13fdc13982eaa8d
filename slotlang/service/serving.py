"""``slotlang serve``: a service as a process."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import resource
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import uvicorn

from slotlang.diagnostics import error
from slotlang.files import reason_of
from slotlang.service.adapters import built_in
from slotlang.service.addresses import is_loopback
from slotlang.service.app import create_app
from slotlang.service.connections import Connections
from slotlang.service.evaluating import Evaluating
from slotlang.service.evaluator import Evaluator
from slotlang.service.limits import Limits
from slotlang.service.lines import protocol
from slotlang.service.securing import context_of, secured
from slotlang.service.service import STATE, Service
from slotlang.service.state import opening, state_of_one

if TYPE_CHECKING:
    from slotlang.service.dask import Scheduler


@dataclass(frozen=True)
class Address:
    """Where to listen. ``port`` 0: any that is free. Without a certificate, on the loopback alone. ``stopping``:
    seconds in which the process ends when it is told to stop; clients have all but the last two for their answers."""

    host: str = "127.0.0.1"
    port: int = 8400
    certificate: Path | None = None
    key: Path | None = None
    stopping: int = 60

    def check(self) -> None:
        """Raise ``SlotError`` SL563 for another machine's address without TLS, SL005 for half a certificate, SL565 for
        one that can't be used."""
        if (self.certificate is None) != (self.key is None):
            raise error("SL005", "--ssl-certfile and --ssl-keyfile belong together")
        if self.certificate is None:
            if not is_loopback(self.host):
                raise error(
                    "SL563",
                    f"{self.host} can be reached from other machines, and there is no certificate",
                    hint="give --ssl-certfile and --ssl-keyfile, or listen to 127.0.0.1",
                )
            return
        try:
            context_of(self.certificate, self.key)
        except (OSError, ValueError) as problem:
            files = f"{self.certificate} and {self.key}"
            hint = "give a certificate and its own key, without a password, in PEM files that you may read"
            message = f"this certificate can't be used: {reason_of(problem)}"
            raise error("SL565", message, notes=[f"the files are {files}"], hint=hint) from None

    def url(self, port: int) -> str:
        """The address as clients write it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http{'s' if self.certificate else ''}://{host}:{port}"


def bound(address: Address) -> socket.socket:
    """A socket at the address. Raises ``SlotError`` SL565."""
    try:
        family, kind, proto, _, place = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        if not address.certificate and not is_loopback(str(place[0])):
            raise error("SL563", f"{address.host} is {place[0]}, which is not on the loopback, without a certificate")
        found = socket.socket(family, kind, proto)
        try:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            found.bind(place)
        except BaseException:
            found.close()
            raise
    except (OSError, OverflowError) as problem:
        reason = reason_of(problem)
        raise error("SL565", f"can't listen to {address.host}, port {address.port}: {reason}") from None
    return found


_FILES = 256
"""Files that a service has open beside its connections."""
_TURN = 0.0002
"""Seconds after which a thread gives Python's lock to one that waits."""
_CLOSING = 2
"""Seconds of those for stopping in which clients are gone and evaluations may end."""
_INTERRUPTED = 130
"""The exit status that a shell gives to SIGINT."""


class _Server(uvicorn.Server):
    """Says when it is ready, and ends without ending the process: what it stands in has files to close."""

    def __init__(
        self, config: uvicorn.Config, connections: Connections, stopping: float, ready: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._connections, self._stopping, self._ready = connections, stopping, ready
        self.interrupted = False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop, and remember which signal it was. What lasts is whole at every moment, so that the process may end
        without waiting for threads, which nobody can end: when the time is over, and at another SIGINT."""
        if not self.should_exit:
            self.interrupted = sig == signal.SIGINT
            asyncio.get_running_loop().remove_signal_handler(signal.SIGINT)
            signal.signal(signal.SIGINT, lambda *_: os._exit(_INTERRUPTED))
            # in a thread: whatever holds up the loop, or Python's own end
            last = threading.Timer(self._stopping, os._exit, [_INTERRUPTED if self.interrupted else 0])
            last.daemon = True
            last.start()
        super().handle_exit(sig, frame)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """From here on, SIGTERM and SIGINT stop the server: requests under way end first. Until the loop is closed:
        evaluations may be under way when all connections have ended."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then say so."""
        await super().startup(sockets)
        if self.started and not self.should_exit:
            self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End connections, those too whose handshake ends or whose request is answered from now on."""
        self._connections.stopping = True
        await super().shutdown(sockets)


def serve(
    folder: Path,
    state: Path | None,
    address: Address,
    limits: Limits,
    threads: int,
    scheduler: Scheduler | None,
    ready: Callable[[str, Service], None],
) -> bool:
    """Serve a folder of built adapters until the process is told to stop (SIGTERM, SIGINT): requests under way end
    first, as far as they do in time. ``scheduler``: evaluate on its workers, in place of threads. ``ready`` is told the
    address. Whether it was SIGINT. Raises ``SlotError``."""
    address.check()
    limits.check()
    _check_readable(folder)
    # before a state is made: a wrong folder stays as it is
    built_in(folder.resolve())
    state = folder / STATE if state is None else state
    limits = replace(limits, connections=_connections(limits.connections))
    with state_of_one(state), bound(address) as listening:
        evaluator = None if scheduler is None else _workers(scheduler, limits)
        with opening(state):
            service = Service(folder, state, limits, threads, evaluator)
        app = Evaluating(service, create_app(service))
        port = listening.getsockname()[1]
        config = uvicorn.Config(
            app,
            http=_protocol(address, limits.idle, service.connections),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            # one that was accepted has time to send its head before as many are accepted that it has to give way
            backlog=max(1, min(2048, limits.connections // 2)),
            timeout_keep_alive=30,
            timeout_graceful_shutdown=max(1, address.stopping - _CLOSING),
        )
        logging.getLogger("uvicorn").setLevel(logging.WARNING)
        server = _Server(config, service.connections, address.stopping, lambda: ready(address.url(port), service))
        server.config.load()
        _run(server, service, listening)
        return server.interrupted


def _connections(wanted: int) -> int:
    """As many of these as the system allows open files for, of which it is asked to allow enough."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return wanted
    most = wanted + _FILES if hard == resource.RLIM_INFINITY else min(hard, wanted + _FILES)
    if soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return min(wanted, max(2, max(soft, most) - _FILES))


def _check_readable(folder: Path) -> None:
    """Raise ``SlotError`` SL001 for a folder that is not there, or whose files can't be listed."""
    try:
        next(folder.iterdir(), None)
    except (OSError, ValueError) as problem:
        raise error("SL001", f"can't read the folder of adapters: {reason_of(problem)}", file=str(folder)) from None


def _workers(scheduler: Scheduler, limits: Limits) -> Evaluator:
    from slotlang.service.dask import Memory, Workers

    return Workers(scheduler, Memory(limits.weights_memory, limits.keys_memory), limits.wait)


def _protocol(address: Address, idle: float, connections: Connections) -> type[asyncio.Protocol]:
    http = protocol(idle, connections)
    if address.certificate is None:
        return http
    return secured(http, context_of(address.certificate, address.key), idle, connections)


def _run(server: _Server, service: Service, listening: socket.socket) -> None:
    async def whole() -> None:
        # before anybody can connect: what is wrong with the folder ends the command
        await service.start()
        # what is there now stays: no look for garbage walks through it again
        gc.collect()
        gc.freeze()
        # evaluations hold Python's lock between kernels: who reads and answers gets it before five milliseconds
        sys.setswitchinterval(_TURN)
        try:
            await server.serve(sockets=[listening])
        finally:
            await service.close()

    asyncio.run(whole())
