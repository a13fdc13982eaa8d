"""A real client of the language server, and what tests wait for."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from lsprotocol import types
from pygls.lsp.client import LanguageClient as PlainClient
from pytest_lsp import LanguageClient, client_capabilities
from repository import PROGRAMS, ROOT
from small_programs import diagonals

COMMAND = (sys.executable, "-m", "slotlang", "lsp")
SMALL = diagonals("small", 4, "m")
WRONG = SMALL.replace("<<", ">>")
PATIENT = 120.0
"""Seconds after which a test gives up on an answer; other processes may take the machine."""


class Client(LanguageClient):
    """Keeps everything that the server says about each text."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.said: dict[str, list[tuple[int | None, list[types.Diagnostic]]]] = {}
        self.statuses: dict[str, list[Any]] = {}
        self.news = asyncio.Event()
        self.versions: dict[str, int] = {}

        @self.feature(types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)
        def published(params: types.PublishDiagnosticsParams) -> None:
            self.said.setdefault(params.uri, []).append((params.version, list(params.diagnostics)))
            self.diagnostics[params.uri] = params.diagnostics
            self.news.set()

        @self.feature("slotlang/status")
        def status(params: Any) -> None:
            self.statuses.setdefault(params.uri, []).append(params)
            self.news.set()

        @self.feature(types.WINDOW_SHOW_MESSAGE)
        def shown(params: types.ShowMessageParams) -> None:
            self.messages.append(params)
            self.news.set()

        for name in (
            types.CLIENT_REGISTER_CAPABILITY,
            types.WORKSPACE_CODE_LENS_REFRESH,
            types.WORKSPACE_INLAY_HINT_REFRESH,
        ):

            @self.feature(name)
            def fine(_: Any) -> None:
                """Nothing to say."""

    # texts

    def open(self, uri: str, text: str) -> None:
        self.versions[uri] = 1
        item = types.TextDocumentItem(uri, "slot", 1, text)
        self.text_document_did_open(types.DidOpenTextDocumentParams(item))

    def change(self, uri: str, *changes: types.TextDocumentContentChangeEvent) -> int:
        self.versions[uri] += 1
        which = types.VersionedTextDocumentIdentifier(self.versions[uri], uri)
        self.text_document_did_change(types.DidChangeTextDocumentParams(which, list(changes)))
        return self.versions[uri]

    def replace(self, uri: str, text: str) -> int:
        return self.change(uri, types.TextDocumentContentChangeWholeDocument(text))

    # waiting

    async def until(self, condition: Any) -> Any:
        """The first value of a condition that is not None."""

        async def wait() -> Any:
            while True:
                self.news.clear()
                if (found := condition()) is not None:
                    return found
                await self.news.wait()

        return await asyncio.wait_for(wait(), PATIENT)

    async def diagnosed(self, uri: str, version: int | None = None) -> list[types.Diagnostic]:
        """The first messages about a version of a text, or a later one."""
        wanted = self.versions[uri] if version is None else version

        def found() -> list[types.Diagnostic] | None:
            return next((d for v, d in self.said.get(uri, ()) if v is not None and v >= wanted), None)

        return await self.until(found)

    async def settled(self, uri: str) -> Any:
        """The last status of the newest version, when nothing more will be found."""
        wanted = self.versions[uri]

        def found() -> Any:
            return next((s for s in self.statuses.get(uri, ()) if s.stage == "settled" and s.version >= wanted), None)

        return await self.until(found)


def place(text: str, needle: str, after: int = 0, nth: int = 0) -> types.Position:
    """Where a text stands in ASCII text, ``after`` characters from its start."""
    at = -1
    for _ in range(nth + 1):
        at = text.index(needle, at + 1)
    before = text[: at + after]
    return types.Position(before.count("\n"), len(before) - before.rfind("\n") - 1)


def capabilities() -> types.ClientCapabilities:
    return client_capabilities("visual-studio-code")


__all__ = ["COMMAND", "PATIENT", "PROGRAMS", "ROOT", "SMALL", "WRONG", "Client", "PlainClient", "capabilities", "place"]
