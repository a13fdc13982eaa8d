"""What the server answers, request by request."""

from __future__ import annotations

from typing import Any

from lsprotocol import types
from pygls.exceptions import JsonRpcInvalidParams

from slotlang.editor.convert import (
    LEGEND,
    Converter,
    fold_of,
    hints,
    lenses,
    location,
    signature_of,
)
from slotlang.editor.engine import Document
from slotlang.editor.marks import Mark
from slotlang.editor.server import Server
from slotlang.editor.text import Text

__all__ = ["register"]


def register(server: Server) -> None:
    """All features, on a server that has not started."""
    _texts(server)
    _places(server)
    _words(server)
    _verdicts(server)


def _texts(server: Server) -> None:
    @server.feature(types.INITIALIZED)
    def initialized(_: types.InitializedParams) -> None:
        server.engine.start()
        server.watch()

    @server.feature(types.SHUTDOWN)
    def shutdown(_: None) -> None:
        server.stop()

    @server.feature(types.TEXT_DOCUMENT_DID_OPEN)
    def opened(params: types.DidOpenTextDocumentParams) -> None:
        server.opened(params)

    @server.feature(types.TEXT_DOCUMENT_DID_CHANGE)
    def changed(params: types.DidChangeTextDocumentParams) -> None:
        server.changed(params)

    @server.feature(types.TEXT_DOCUMENT_DID_CLOSE)
    def closed(params: types.DidCloseTextDocumentParams) -> None:
        server.closed(params.text_document.uri)

    @server.feature(types.TEXT_DOCUMENT_DID_SAVE)
    def saved(params: types.DidSaveTextDocumentParams) -> None:
        server.files_changed([params.text_document.uri])

    @server.feature(types.WORKSPACE_DID_CHANGE_WATCHED_FILES)
    def files(params: types.DidChangeWatchedFilesParams) -> None:
        server.files_changed([change.uri for change in params.changes])


def _places(server: Server) -> None:
    async def asked(params: Any, question: str, *more: Any, slow: bool = False) -> tuple[Text, Any] | None:
        document = server.engine.documents.get(params.text_document.uri)
        if document is None:
            return None
        text = document.text
        offset = server.offset(text, params.position)
        found = await server.engine.ask(document.key, question, offset, *more, slow=slow)
        # in a text that has changed meanwhile something else stands at the place
        return found if found is not None and found[0] is text else None

    @server.feature(types.TEXT_DOCUMENT_HOVER)
    async def hover(params: types.HoverParams) -> types.Hover | None:
        found = await asked(params, "hover", slow=True)
        if found is None or found[1] is None:
            return None
        text, about = found
        content = types.MarkupContent(types.MarkupKind.Markdown, about.text)
        return types.Hover(content, server.converter(text).range(about.start, about.end))

    @server.feature(types.TEXT_DOCUMENT_DEFINITION)
    async def definition(params: types.DefinitionParams) -> types.Location | None:
        found = await asked(params, "definition")
        if found is None or found[1] is None:
            return None
        text, (file, _, _, start, end) = found
        if file is not None:
            return location(file, start, end, server.unit)
        return types.Location(params.text_document.uri, server.converter(text).range(start, end))

    @server.feature(types.TEXT_DOCUMENT_REFERENCES)
    async def references(params: types.ReferenceParams) -> list[types.Location] | None:
        found = await asked(params, "references")
        if found is None:
            return None
        converter = server.converter(found[0])
        own = params.context.include_declaration
        return [
            types.Location(params.text_document.uri, converter.range(start, end))
            for start, end, declares in found[1]
            if own or not declares
        ]

    @server.feature(types.TEXT_DOCUMENT_DOCUMENT_HIGHLIGHT)
    async def highlight(params: types.DocumentHighlightParams) -> list[types.DocumentHighlight] | None:
        found = await asked(params, "references")
        if found is None:
            return None
        converter = server.converter(found[0])
        kinds = {True: types.DocumentHighlightKind.Write, False: types.DocumentHighlightKind.Read}
        return [
            types.DocumentHighlight(converter.range(start, end), kinds[declares]) for start, end, declares in found[1]
        ]

    @server.feature(types.TEXT_DOCUMENT_PREPARE_RENAME)
    async def prepare(params: types.PrepareRenameParams) -> types.Range | None:
        found = await asked(params, "rename", None)
        if found is None:
            return None
        text, (problem, edits) = found
        return None if problem else server.converter(text).range(*edits[0][:2])

    @server.feature(types.TEXT_DOCUMENT_RENAME, types.RenameOptions(prepare_provider=True))
    async def rename(params: types.RenameParams) -> types.WorkspaceEdit | None:
        found = await asked(params, "rename", params.new_name)
        document = server.engine.documents.get(params.text_document.uri)
        if found is None or document is None:
            return None
        text, (problem, edits) = found
        if problem:
            raise JsonRpcInvalidParams(problem)
        return _edit(server, document, text, edits) if text is document.text else None

    @server.feature(types.TEXT_DOCUMENT_SIGNATURE_HELP, types.SignatureHelpOptions(["(", ","]))
    async def signature(params: types.SignatureHelpParams) -> types.SignatureHelp | None:
        found = await asked(params, "signature")
        return None if found is None or found[1] is None else signature_of(found[1])

    @server.feature(types.TEXT_DOCUMENT_COMPLETION, types.CompletionOptions(trigger_characters=[".", '"', "/"]))
    async def completion(params: types.CompletionParams) -> types.CompletionList | None:
        document = server.engine.documents.get(params.text_document.uri)
        if document is None:
            return None
        offset = server.offset(document.text, params.position)
        found = await server.engine.ask(document.key, "completions", offset)
        if found is None:
            return None
        text, (start, proposals) = found
        snippets = server.client_can("text_document", "completion", "completion_item", "snippet_support")
        converter = server.converter(text)
        items = [converter.completion(p, start, offset, snippets) for p in proposals]
        return types.CompletionList(is_incomplete=False, items=items)


def _words(server: Server) -> None:
    @server.feature(types.TEXT_DOCUMENT_DOCUMENT_SYMBOL)
    async def symbols(params: types.DocumentSymbolParams) -> list[types.DocumentSymbol] | None:
        found = await server.engine.ask(params.text_document.uri, "outline")
        if found is None:
            return None
        converter = server.converter(found[0])
        return [converter.symbol(entry) for entry in found[1]]

    @server.feature(types.TEXT_DOCUMENT_FOLDING_RANGE)
    async def folding(params: types.FoldingRangeParams) -> list[types.FoldingRange] | None:
        found = await server.engine.ask(params.text_document.uri, "folds")
        return None if found is None else [fold_of(fold) for fold in found[1]]

    @server.feature(types.TEXT_DOCUMENT_SEMANTIC_TOKENS_FULL, LEGEND)
    async def tokens(params: types.SemanticTokensParams) -> types.SemanticTokens | None:
        found = await server.engine.ask(params.text_document.uri, "colours")
        return None if found is None else server.converter(found[0]).tokens(found[1])

    @server.feature(types.TEXT_DOCUMENT_FORMATTING)
    async def formatting(params: types.DocumentFormattingParams) -> list[types.TextEdit] | None:
        found = await server.engine.ask(params.text_document.uri, "formatted")
        if found is None or found[1] is None:
            return None
        text, new = found
        return [] if new == text.text else [types.TextEdit(server.converter(text).whole(), new)]


def _verdicts(server: Server) -> None:
    @server.feature(types.TEXT_DOCUMENT_CODE_ACTION, types.CodeActionOptions([types.CodeActionKind.QuickFix]))
    async def actions(params: types.CodeActionParams) -> list[types.CodeAction] | None:
        document = await server.engine.read(params.text_document.uri)
        if document is None:
            return None
        start = server.offset(document.text, params.range.start)
        end = server.offset(document.text, params.range.end)
        marks = [m for m in document.all_marks if m.start <= end and start <= m.end]
        return [action for mark in marks for action in _fixes(server, document, mark)]

    @server.feature(types.TEXT_DOCUMENT_CODE_LENS, types.CodeLensOptions(resolve_provider=False))
    async def code_lenses(params: types.CodeLensParams) -> list[types.CodeLens] | None:
        document = await server.engine.read(params.text_document.uri)
        if document is None:
            return None
        return lenses(document, server.converter(document.text), params.text_document.uri)

    @server.feature(types.TEXT_DOCUMENT_INLAY_HINT)
    async def inlay_hints(params: types.InlayHintParams) -> list[types.InlayHint] | None:
        document = await server.engine.read(params.text_document.uri)
        if document is None:
            return None
        first, last = params.range.start.line, params.range.end.line
        found = hints(document, server.converter(document.text))
        return [hint for hint in found if first <= hint.position.line <= last]

    @server.command("slotlang.verdict")
    def verdict(uri: str, program: str) -> None:
        server.show_verdict(uri, program)

    @server.command("slotlang.run")
    async def run(uri: str, program: str) -> None:
        await server.run_encrypted(uri, program)


def _fixes(server: Server, document: Document, mark: Mark) -> list[types.CodeAction]:
    converter = server.converter(document.text)
    diagnostic = converter.diagnostic(mark, document.key)
    return [
        types.CodeAction(
            fix.title,
            kind=types.CodeActionKind.QuickFix,
            diagnostics=[diagnostic],
            is_preferred=fix.preferred or None,
            edit=_edit(server, document, document.text, fix.edits),
        )
        for fix in mark.fixes
    ]


def _edit(
    server: Server, document: Document, text: Text, edits: tuple[tuple[int, int, str], ...] | list[tuple[int, int, str]]
) -> types.WorkspaceEdit:
    """Changes of this version of a text: a client refuses them for another one."""
    made = Converter(text, server.unit).edits(edits)
    if server.client_can("workspace", "workspace_edit", "document_changes"):
        which = types.OptionalVersionedTextDocumentIdentifier(document.key, document.version)
        return types.WorkspaceEdit(document_changes=[types.TextDocumentEdit(which, made)])
    plain = [types.TextEdit(e.range, e.new_text) for e in made if isinstance(e, types.TextEdit)]
    return types.WorkspaceEdit(changes={document.key: plain})
