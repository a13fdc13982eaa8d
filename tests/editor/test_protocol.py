"""Every feature of the language server, through the protocol, by a client of another library."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from editor_client import PROGRAMS, ROOT, SMALL, WRONG, Client, place
from lsprotocol import types
from pygls.exceptions import JsonRpcException

from slotlang.editor.outline import KINDS, MODIFIERS

PATH = PROGRAMS / "rank_complex.slot"
URI, TEXT = PATH.as_uri(), PATH.read_text()
pytestmark = pytest.mark.asyncio(loop_scope="module")


def identifier(uri: str) -> types.TextDocumentIdentifier:
    return types.TextDocumentIdentifier(uri)


async def hovered(client: Client, uri: str, at: types.Position) -> str:
    found = await client.text_document_hover_async(types.HoverParams(identifier(uri), at))
    assert found is not None and isinstance(found.contents, types.MarkupContent)
    return found.contents.value


async def test_a_program_that_is_proved(client: Client) -> None:
    """Diagnostics, verdict, lenses, hints and hovers of one program, in one session."""
    client.open(URI, TEXT)
    assert await client.diagnosed(URI) == []
    status = await client.settled(URI)
    assert [(p.name, p.verdict) for p in status.programs] == [("rank_complex", "proved")]

    lenses = await client.text_document_code_lens_async(types.CodeLensParams(identifier(URI)))
    titles = [(lens.range.start.line, lens.command.title) for lens in lenses or () if lens.command]
    header = place(TEXT, "program").line
    assert [line for line, title in titles if title.startswith("proved in ")] == [header]
    assert (header, "run encrypted") in titles
    assert (place(TEXT, "claim S").line, "proved") in titles
    assert (place(TEXT, "output y").line, "proved") in titles

    whole = types.Range(types.Position(0, 0), types.Position(99, 0))
    hints = await client.text_document_inlay_hint_async(types.InlayHintParams(identifier(URI), whole))
    by_line = {hint.position.line: hint.label for hint in hints or ()}
    counted = sum(int(str(label).split(" rotation")[0]) for label in by_line.values() if "rotation" in str(label))
    from slotlang.api import cost, load

    assert counted == cost(load(PATH)).counts.rotations
    assert all("level 0" in str(label) for label in by_line.values())

    text = await hovered(client, URI, place(TEXT, "S = sum"))
    assert "| h \\ t |" in text and "(B@x)[0,0] + 1i*(B@x)[8,0]" in text
    assert "level 0" in text and "rotations" in text and "proved" in text
    assert "batch = 8" in await hovered(client, URI, place(TEXT, "t < batch", 5))
    assert "axes" in await hovered(client, URI, place(TEXT, "axes"))


async def test_a_program_that_is_refuted(client: Client, small: str) -> None:
    """The wrong statement, what it rests on, and a repair that proves."""
    client.open(small, WRONG)
    await client.settled(small)
    (found,) = [d for d in client.diagnostics[small] if d.code == "refuted"]
    assert found.range.start.line == place(WRONG, "output").line
    assert "carries y[" in found.message
    assert found.severity == types.DiagnosticSeverity.Error
    lines = {r.location.range.start.line for r in found.related_information or ()}
    assert place(WRONG, "Y = sum").line in lines

    context = types.CodeActionContext([found])
    params = types.CodeActionParams(identifier(small), found.range, context)
    actions = [a for a in await client.text_document_code_action_async(params) or () if isinstance(a, types.CodeAction)]
    (best,) = [a for a in actions if a.is_preferred]
    assert any("`<<` for `>>`" in action.title for action in actions)
    assert best.edit is not None and best.edit.document_changes is not None
    (change,) = best.edit.document_changes
    assert isinstance(change, types.TextDocumentEdit) and change.text_document.version == 1
    (edit,) = change.edits
    assert isinstance(edit, types.TextEdit)
    client.change(small, types.TextDocumentContentChangePartial(edit.range, edit.new_text))
    status = await client.settled(small)
    assert [p.verdict for p in status.programs] == ["proved"]
    assert not client.diagnostics[small]


async def test_messages_and_their_fixes(client: Client, small: str) -> None:
    text = SMALL.replace("cipher X = x[h, t]", "cipher X = xx[h, t]").replace("weight A", "weight B[n], A")
    client.open(small, text)
    found = {d.code: d for d in await client.diagnosed(small)}
    assert found["SL201"].range.start == place(text, "xx[")
    params = types.CodeActionParams(identifier(small), found["SL201"].range, types.CodeActionContext([]))
    (action,) = await client.text_document_code_action_async(params) or ()
    assert isinstance(action, types.CodeAction) and action.title == "change to 'x'"
    client.replace(small, text.replace("xx[", "x["))
    (unused,) = await client.diagnosed(small)
    assert (unused.code, unused.severity) == ("SL331", types.DiagnosticSeverity.Warning)
    assert list(unused.tags or ()) == [types.DiagnosticTag.Unnecessary]


async def test_places_of_names(client: Client, small: str) -> None:
    """Definition, references, highlights and renaming, in this text and in the library."""
    client.open(small, SMALL)
    params: Any = types.DefinitionParams(identifier(small), place(SMALL, "D[q]\n"))
    where = await client.text_document_definition_async(params)
    assert isinstance(where, types.Location) and where.range.start == place(SMALL, "D[q <")
    context = types.ReferenceContext(include_declaration=False)
    params = types.ReferenceParams(context, identifier(small), place(SMALL, "n = 4"))
    references = await client.text_document_references_async(params)
    assert len(references or ()) == 7
    params = types.DocumentHighlightParams(identifier(small), place(SMALL, "X = x"))
    highlights = await client.text_document_document_highlight_async(params)
    assert [h.kind for h in highlights or ()] == [types.DocumentHighlightKind.Write, types.DocumentHighlightKind.Read]

    at = place(SMALL, "q < n] =")
    prepared = await client.text_document_prepare_rename_async(types.PrepareRenameParams(identifier(small), at))
    assert isinstance(prepared, types.Range) and prepared.start == at
    edit = await client.text_document_rename_async(types.RenameParams(identifier(small), at, "p"))
    assert edit is not None and edit.document_changes is not None
    (change,) = edit.document_changes
    assert isinstance(change, types.TextDocumentEdit) and len(change.edits) == 2
    with pytest.raises(JsonRpcException, match="has a meaning already"):
        await client.text_document_rename_async(types.RenameParams(identifier(small), at, "h"))

    text = 'import "std/layouts.slot" as l\n' + SMALL.replace("A[h, (h + q) % n]", "l.diagonal(A, q)")
    client.replace(small, text)
    params = types.DefinitionParams(identifier(small), place(text, "diagonal", 2))
    where = await client.text_document_definition_async(params)
    assert isinstance(where, types.Location) and where.uri == (ROOT / "slotlang/std/layouts.slot").as_uri()
    line = (ROOT / "slotlang/std/layouts.slot").read_text().split("\n")[where.range.start.line]
    assert line.startswith("def diagonal(")


async def test_outline_folds_and_colours(client: Client, small: str) -> None:
    client.open(small, "# one\n# two\n" + SMALL.replace("(X <<", "(X\n  <<"))
    (program,) = await client.text_document_document_symbol_async(types.DocumentSymbolParams(identifier(small))) or ()
    assert isinstance(program, types.DocumentSymbol) and program.name == "small"
    assert [s.name for s in program.children or ()][:6] == ["n", "m", "x", "A", "h", "t"]
    folds = await client.text_document_folding_range_async(types.FoldingRangeParams(identifier(small)))
    assert [(f.start_line, f.end_line) for f in folds or ()] == [(0, 1), (8, 9)]
    client.replace(small, SMALL)
    tokens = await client.text_document_semantic_tokens_full_async(types.SemanticTokensParams(identifier(small)))
    assert tokens is not None
    found, line, column = {}, 0, 0
    lines = SMALL.split("\n")
    for step, first, length, kind, modifiers in zip(*[iter(tokens.data)] * 5, strict=True):
        line, column = line + step, first + (0 if step else column)
        names = {m for n, m in enumerate(MODIFIERS) if modifiers >> n & 1}
        found[line, lines[line][column : column + length]] = KINDS[kind], names
    assert found[0, "program"] == ("keyword", set())
    assert found[0, "small"] == ("namespace", {"declaration"})
    assert found[4, "X"] == ("variable", {"declaration", "encrypted"})
    assert found[6, "D"] == ("variable", {"plain"})
    assert found[6, "q"][0] == "parameter" and found[5, "A"] == ("class", {"plain"})


async def test_completions(client: Client, small: str) -> None:
    async def proposed(text: str, after: str) -> dict[str, types.CompletionItem]:
        if small not in client.versions:
            client.open(small, text)
        else:
            client.replace(small, text)
        params = types.CompletionParams(identifier(small), place(text, after, len(after)))
        found = await client.text_document_completion_async(params)
        assert isinstance(found, types.CompletionList)
        return {item.label: item for item in found.items}

    head = 'import "std/layouts.slot" as l\n' + SMALL
    names = await proposed(head + "Z = sum k < n: (X << k) * ", "(X << k) * ")
    assert names["D"].detail == "plain D[q < n]" and "A" not in names
    assert names["n"].detail == "n = 4" and names["k"].detail == "an index of this statement"
    assert names["l.diagonal"].detail == "l.diagonal(M, q)"
    assert (await proposed(head + "plain E = ", "plain E = "))["A"].detail == "weight A[n, n]"
    members = await proposed(head + "plain E = l.di", "plain E = l.di")
    assert members["diagonal"].insert_text_format == types.InsertTextFormat.Snippet
    edit = members["diagonal"].text_edit
    assert isinstance(edit, types.TextEdit) and edit.range.start.character == len("plain E = l.")
    assert set(await proposed(head + "Z = sum k < n by ", "k < n by ")) == {"tree", "horner", "doubling", "bsgs"}
    assert "std/schedules.slot" in await proposed('import "', 'import "')
    assert {"program", "cipher", "prove", "def"} <= set(await proposed(head + "\n", "A @ x\n"))
    assert not await proposed(head + "# comment", "# comment")

    text = head + "plain E = l.diagonal(A, "
    client.replace(small, text)
    params = types.SignatureHelpParams(identifier(small), place(text, "l.diagonal(A, ", 14))
    help_ = await client.text_document_signature_help_async(params)
    assert help_ is not None and help_.signatures[0].label == "l.diagonal(M, q)" and help_.active_parameter == 1


async def test_formatting(client: Client, small: str) -> None:
    from slotlang.api import fmt

    text = SMALL.replace(" = ", "   =  ")
    client.open(small, text)
    options = types.FormattingOptions(4, True)
    params = types.DocumentFormattingParams(identifier(small), options)
    (edit,) = await client.text_document_formatting_async(params) or ()
    assert edit.new_text == fmt(text)
    client.replace(small, edit.new_text)
    assert await client.text_document_formatting_async(params) == ()
    client.replace(small, "Y = (")
    assert await client.text_document_formatting_async(params) is None


async def test_what_stands_before_a_place_counts_in_pairs(client: Client, small: str) -> None:
    """UTF-16, as the protocol counts unless both agree on something else."""
    text = SMALL.replace("cipher X = x[h, t]", "cipher X = 𝔖𝔖 + zz # 𝔖")
    client.open(small, text)
    found = await client.diagnosed(small)
    starts = {(d.range.start.line, d.range.start.character) for d in found}
    assert starts == {(4, len("cipher X = "))}
    text = SMALL.replace("plain D", "# 𝔖𝔖\nplain D").replace("A[h,", "A[h, # 𝔖\n")
    client.replace(small, text)
    line = text[: text.index("# 𝔖\n ")].count("\n")
    at = types.Range(types.Position(line, 0), types.Position(line + 1, 0))
    client.change(small, types.TextDocumentContentChangePartial(at, "plain D[q < n] = A[h,\n"))
    assert await client.diagnosed(small) == []


async def test_an_import_that_changes(client: Client, tmp_path: Path) -> None:
    """A verdict does not outlive a change of what the text imports."""
    deep = tmp_path / "deep.slot"
    deep.write_text("def shifted(V, k) = V << k\n")
    (tmp_path / "mine.slot").write_text('import "./deep.slot"\ndef turned(V, k) = shifted(V, k)\n')
    text = 'import "./mine.slot"\n' + SMALL.replace("(X << q*m)", "turned(X, q*m)")
    uri = (tmp_path / "main.slot").as_uri()
    client.open(uri, text)
    status = await client.settled(uri)
    assert [p.verdict for p in status.programs] == ["proved"]
    deep.write_text("def shifted(V, k) = V >> k\n")
    client.statuses.clear()
    event = types.FileEvent(deep.as_uri(), types.FileChangeType.Changed)
    client.workspace_did_change_watched_files(types.DidChangeWatchedFilesParams([event]))
    status = await client.settled(uri)
    assert [p.verdict for p in status.programs] == ["refuted"]


async def test_an_import_that_is_saved(client: Client, tmp_path: Path) -> None:
    """A client that watches no files tells what it saves itself."""
    deep = tmp_path / "deep.slot"
    deep.write_text("def turned(V, k) = V >> k\n")
    text = 'import "./deep.slot"\n' + SMALL.replace("(X << q*m)", "turned(X, q*m)")
    uri = (tmp_path / "main.slot").as_uri()
    client.open(uri, text)
    status = await client.settled(uri)
    assert [p.verdict for p in status.programs] == ["refuted"]
    deep.write_text("def turned(V, k) = V << k\n")
    client.statuses.clear()
    client.text_document_did_save(types.DidSaveTextDocumentParams(identifier(deep.as_uri())))
    status = await client.settled(uri)
    assert [p.verdict for p in status.programs] == ["proved"]
    assert not client.diagnostics[uri]


async def run_titles(client: Client, uri: str) -> list[str]:
    found = await client.text_document_code_lens_async(types.CodeLensParams(identifier(uri)))
    return [lens.command.title for lens in found or () if lens.command and lens.command.command == "slotlang.run"]


async def run(client: Client, uri: str, name: str) -> types.ShowMessageParams:
    """What the command says in the end."""
    before = len(client.messages)
    await client.workspace_execute_command_async(types.ExecuteCommandParams("slotlang.run", [uri, name]))
    return await client.until(lambda: client.messages[before] if len(client.messages) > before else None)


async def test_what_is_run(client: Client, tmp_path: Path) -> None:
    """The lens is there for what is proved and can run; the command runs what is on the disk, and no other text."""
    path = tmp_path / "small.slot"
    path.write_text(WRONG)
    uri = path.as_uri()
    client.open(uri, SMALL)
    await client.settled(uri)
    assert await run_titles(client, uri) == ["run encrypted"]
    said = await run(client, uri, "small")
    assert said.type == types.MessageType.Warning and "save the file first" in said.message

    client.replace(uri, WRONG)
    await client.settled(uri)
    assert await run_titles(client, uri) == []
    said = await run(client, uri, "small")
    assert said.type == types.MessageType.Error and "SL406" in said.message


@pytest.mark.slow
async def test_running_encrypted(client: Client, tmp_path: Path) -> None:
    """Kernels may have to be compiled first, which takes minutes on a machine that is busy."""
    path = tmp_path / "small.slot"
    path.write_text(SMALL)
    uri = path.as_uri()
    client.open(uri, SMALL)
    await client.settled(uri)
    said = await run(client, uri, "small")
    assert said.type == types.MessageType.Info and said.message.startswith("passed  small")
    assert "relative rms error" in said.message


async def test_what_no_ring_can_run_is_not_offered(client: Client, tmp_path: Path) -> None:
    text = SMALL.replace("n = 4, m = 2", "n = 6, m = 2")
    uri = (tmp_path / "odd.slot").as_uri()
    client.open(uri, text)
    status = await client.settled(uri)
    assert [p.verdict for p in status.programs] == ["proved"]
    (note,) = client.diagnostics[uri]
    assert (note.code, note.severity) == ("SL409", types.DiagnosticSeverity.Information)
    assert note.range.start.line == 0 and "pad to 16" in note.message
    assert await run_titles(client, uri) == []


async def test_commands(client: Client, small: str) -> None:
    client.open(small, SMALL)
    await client.settled(small)
    await client.workspace_execute_command_async(types.ExecuteCommandParams("slotlang.verdict", [small, "small"]))
    assert client.messages[-1].message.startswith("small: proved in ")
    assert "proved: output y[h, t]" in client.messages[-1].message
