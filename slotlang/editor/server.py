"""The language server: texts come in, and what is known of them goes out, over stdio or a loopback port."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import Callable, Coroutine, Generator
from pathlib import Path
from typing import Any, cast

from lsprotocol import types
from pygls.io_ import run_async
from pygls.lsp.server import LanguageServer
from pygls.protocol import LanguageServerProtocol
from pygls.protocol.language_server import lsp_method
from pygls.uris import to_fs_path

from slotlang import __version__
from slotlang.editor.convert import Converter, place_of
from slotlang.editor.engine import Document, Engine, Stage
from slotlang.editor.text import Text, Unit

__all__ = ["STATUS", "Server", "serve_stdio", "serve_tcp"]

STATUS = "slotlang/status"
"""A notification of slotlang's own: ``{uri, version, stage, programs: [{name, verdict, method, seconds}]}``."""

_WATCHED = "**/*.slot"


class _Protocol(LanguageServerProtocol):
    """Texts are the engine's: pygls's own copies end lines where the protocol does not."""

    def _handler(self, name: str, params: Any) -> Generator[Any, Any, None]:
        handler = self.fm.features.get(name)
        if handler is not None:
            yield handler, (params,), None

    @lsp_method(types.TEXT_DOCUMENT_DID_OPEN)
    def lsp_text_document__did_open(self, params: Any) -> Generator[Any, Any, None]:
        """Only the engine's copy."""
        yield from self._handler(types.TEXT_DOCUMENT_DID_OPEN, params)

    @lsp_method(types.TEXT_DOCUMENT_DID_CHANGE)
    def lsp_text_document__did_change(self, params: Any) -> Generator[Any, Any, None]:
        """Only the engine's copy."""
        yield from self._handler(types.TEXT_DOCUMENT_DID_CHANGE, params)

    @lsp_method(types.TEXT_DOCUMENT_DID_CLOSE)
    def lsp_text_document__did_close(self, params: Any) -> Generator[Any, Any, None]:
        """Only the engine's copy."""
        yield from self._handler(types.TEXT_DOCUMENT_DID_CLOSE, params)


class Server(LanguageServer):
    """A connection with one client."""

    def __init__(self) -> None:
        super().__init__("slotlang", __version__, protocol_cls=_Protocol)
        self.engine = Engine(self.told)
        self._sent: dict[str, Any] = {}
        self._runs: set[asyncio.subprocess.Process] = set()
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def unit(self) -> Unit:
        """What the client counts on a line."""
        chosen = self.server_capabilities.position_encoding
        return cast(Unit, getattr(chosen, "value", chosen) or "utf-16")

    def converter(self, text: Text) -> Converter:
        """Of a text's offsets."""
        return Converter(text, self.unit)

    def offset(self, text: Text, position: types.Position) -> int:
        """The offset of a position."""
        return text.offset(place_of(position), self.unit)

    def client_can(self, *path: str) -> bool:
        """Whether the client has a capability, by the names on the way to it."""
        value: Any = self.client_capabilities
        for name in path:
            value = getattr(value, name, None)
        return bool(value)

    # what is told

    def told(self, document: Document, stage: Stage) -> None:
        """The engine knows more of a text."""
        uri = document.key
        if stage != "proving":
            self._publish(document)
        self._status(document, stage)
        if stage in ("proving", "verdict", "settled") and self.client_can("workspace", "code_lens", "refresh_support"):
            self._request(self.workspace_code_lens_refresh_async(None))
        if stage in ("measures", "settled") and self.client_can("workspace", "inlay_hint", "refresh_support"):
            self._request(self.workspace_inlay_hint_refresh_async(None))
        logging.getLogger(__name__).debug("%s %s %s", uri, document.version, stage)

    def _request(self, asked: Coroutine[Any, Any, Any]) -> None:
        """Ask the client for something. That it can't do it changes nothing."""

        async def wait() -> None:
            with contextlib.suppress(Exception):
                await asked

        task = asyncio.get_running_loop().create_task(wait())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _publish(self, document: Document) -> None:
        converter = self.converter(document.text)
        found = [converter.diagnostic(mark, document.key) for mark in document.all_marks]
        now = (document.revision, found)
        if self._sent.get(document.key) != now:
            self._sent[document.key] = now
            self.text_document_publish_diagnostics(
                types.PublishDiagnosticsParams(document.key, found, version=document.version)
            )

    def _status(self, document: Document, stage: Stage) -> None:
        programs = [
            {"name": v.program, "verdict": v.status, "method": v.method, "seconds": v.seconds}
            for v in document.verdicts.values()
        ]
        status = {"uri": document.key, "version": document.version, "stage": stage, "programs": programs}
        self.protocol.notify(STATUS, status)

    # texts

    def opened(self, params: types.DidOpenTextDocumentParams) -> None:
        """A text to look at."""
        item = params.text_document
        path = to_fs_path(item.uri) if item.uri.startswith("file:") else None
        self.engine.open(item.uri, Path(path) if path else None, Text(item.text), item.version)

    def changed(self, params: types.DidChangeTextDocumentParams) -> None:
        """A change of a text, in one or several steps."""
        document = self.engine.documents.get(params.text_document.uri)
        if document is None:
            return
        text = document.text
        for change in params.content_changes:
            if isinstance(change, types.TextDocumentContentChangePartial):
                start, end = place_of(change.range.start), place_of(change.range.end)
                text = text.changed(start, end, change.text, self.unit)
            else:
                text = Text(change.text)
        self.engine.change(document.key, text, params.text_document.version)

    def closed(self, uri: str) -> None:
        """A text that nobody looks at any more."""
        self.engine.close(uri)
        self._sent.pop(uri, None)
        self.text_document_publish_diagnostics(types.PublishDiagnosticsParams(uri, []))

    def files_changed(self, uris: list[str]) -> None:
        """Files on the disk are others: texts that import them are read again."""
        paths = {os.path.realpath(path) for uri in uris if (path := to_fs_path(uri))}
        for key, document in tuple(self.engine.documents.items()):
            # an import that failed is among no text's imports, and those of a text that is being read are not known
            unsure = document.marks or not document.is_read.is_set()
            if paths & set(document.imports) or (unsure and "import" in document.text.text):
                self.engine.refresh(key)

    def watch(self) -> None:
        """Ask the client to tell when files change that texts may import."""
        if not self.client_can("workspace", "did_change_watched_files", "dynamic_registration"):
            return
        options = types.DidChangeWatchedFilesRegistrationOptions([types.FileSystemWatcher(_WATCHED)])
        registration = types.Registration("slotlang-files", types.WORKSPACE_DID_CHANGE_WATCHED_FILES, options)
        self._request(self.client_register_capability_async(types.RegistrationParams([registration])))

    # commands

    def show_verdict(self, uri: str, program: str) -> None:
        """Say all that is known of a program."""
        document = self.engine.documents.get(uri)
        lines = []
        for verdict in document.verdicts.values() if document is not None else ():
            if program in ("", verdict.program):
                lines.append(f"{verdict.program}: {verdict.sentence} by the {verdict.method} method")
                lines += [f"{goal.status}: {goal.what}" for goal in verdict.goals]
                lines += [verdict.reason] if verdict.reason else []
        self._say("\n".join(lines) or "there is no verdict yet")

    def _say(self, text: str, kind: types.MessageType = types.MessageType.Info) -> None:
        self.window_show_message(types.ShowMessageParams(kind, text))

    async def run_encrypted(self, uri: str, program: str) -> None:
        """Run a program of a saved file encrypted, on random data, and say what came out."""
        path, document = to_fs_path(uri), self.engine.documents.get(uri)
        if path is None or document is None:
            return
        if await asyncio.to_thread(_read, path) != document.text.text:
            self._say("save the file first: what is run is what is on the disk", types.MessageType.Warning)
            return
        several = program and len(document.verdicts) > 1
        command = [sys.executable, "-m", "slotlang", "run", f"{path}:{program}" if several else path]
        pipe = asyncio.subprocess.PIPE
        made = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=asyncio.subprocess.STDOUT
        )
        self._runs.add(made)
        try:
            output, _ = await made.communicate()
        finally:
            self._runs.discard(made)
        kind = types.MessageType.Info if made.returncode == 0 else types.MessageType.Error
        self._say(output.decode(errors="replace").strip(), kind)

    def stop(self) -> None:
        """End all that runs."""
        self.engine.stop()
        for run in tuple(self._runs):
            with contextlib.suppress(ProcessLookupError):
                run.kill()


def _read(path: str) -> str | None:
    try:
        return Path(path).read_bytes().decode("utf-8-sig")
    except (OSError, ValueError):
        return None


def _server() -> Server:
    from slotlang.editor.features import register

    server = Server()
    register(server)
    return server


def serve_stdio() -> None:
    """Serve one client on standard input and output, until it leaves."""
    server = _server()
    # what is printed by mistake goes elsewhere: the stream is the protocol's
    stream = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    with contextlib.redirect_stdout(sys.stderr):
        try:
            server.start_io(stdout=stream)
        finally:
            server.stop()


def serve_tcp(port: int, ready: Callable[[int], None] = lambda _: None) -> None:
    """Serve clients on a port of this machine that no other machine reaches, each with its own texts, until the process
    ends. ``port`` 0 takes a free one; ``ready`` is told which. Raises ``OSError`` for a port that can't be had."""

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from threading import Event

        server = _server()
        server.protocol.set_writer(_Writer(writer))
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, SystemExit):
            await run_async(Event(), reader, server.protocol, error_handler=server.report_server_error)
        server.stop()
        with contextlib.suppress(OSError):
            writer.close()

    async def listen() -> None:
        listening = await asyncio.start_server(client, "127.0.0.1", port)
        ready(listening.sockets[0].getsockname()[1])
        async with listening:
            await listening.serve_forever()

    asyncio.run(listen())


class _Writer:
    """A client's stream. One that is gone takes nothing, and its server ends when it reads that."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    def write(self, data: bytes) -> None:
        """Send, if there is somebody."""
        if not self._writer.is_closing():
            self._writer.write(data)

    def close(self) -> None:
        """No more is sent."""
        self._writer.close()
