"""TLS of the service's connections. asyncio's own listening tells nobody of a connection before its handshake is done,
so that nothing could count it or close it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from slotlang.service.connections import Connections
from slotlang.service.lines import HTTP


def context_of(certificate: Path, key: Path | None) -> ssl.SSLContext:
    """What a server with this certificate needs. Raises OSError and ValueError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key, password=_no_password)
    return context


def _no_password() -> str:
    raise ValueError("its key needs a password")


def secured(
    http: Callable[..., HTTP], context: ssl.SSLContext, idle: float, connections: Connections
) -> type[asyncio.Protocol]:
    """The protocol of connections on which HTTP begins after TLS's handshake. That has ``idle`` seconds, and so has the
    other side for TLS's end."""

    class Handshake(asyncio.Protocol):
        def __init__(self, **named: Any) -> None:
            self._named, self._early = named, bytearray()

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            transport.pause_reading()
            connections.opened(transport)
            # asyncio itself holds it weakly
            self._task = asyncio.get_running_loop().create_task(self._secured(transport))

        def data_received(self, data: bytes) -> None:
            # what came with the handshake's end
            self._early += data

        async def _secured(self, below: asyncio.Transport) -> None:
            start, above = asyncio.get_running_loop().start_tls, None
            # no handshake, or not in time
            with suppress(OSError):
                if not below.is_closing():
                    above = await start(
                        below, self, context, server_side=True, ssl_handshake_timeout=idle, ssl_shutdown_timeout=idle
                    )
            if above is None or above.is_closing():
                # whoever gave way was closed meanwhile
                below.abort()
                connections.closed(below)
                return
            inner = http(**self._named)
            inner.below = below
            above.set_protocol(inner)
            inner.connection_made(above)
            if self._early:
                inner.data_received(bytes(self._early))

    return Handshake
