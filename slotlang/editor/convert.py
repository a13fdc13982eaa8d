"""What the engine says, in the protocol's types."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from lsprotocol import types
from pygls.uris import from_fs_path

from slotlang.editor.completion import Proposal, Signature
from slotlang.editor.engine import Document
from slotlang.editor.marks import Mark, Related
from slotlang.editor.outline import KINDS, MODIFIERS, Colour, Entry, Fold
from slotlang.editor.text import Place, Text, Unit
from slotlang_runtime.amounts import count_of

LEGEND = types.SemanticTokensLegend(list(KINDS), list(MODIFIERS))

_WEIGHTS = {
    "error": types.DiagnosticSeverity.Error,
    "warning": types.DiagnosticSeverity.Warning,
    "information": types.DiagnosticSeverity.Information,
}
_SYMBOLS = {
    "program": types.SymbolKind.Module,
    "size": types.SymbolKind.Constant,
    "input": types.SymbolKind.Array,
    "weight": types.SymbolKind.Array,
    "tensor": types.SymbolKind.Array,
    "scalar": types.SymbolKind.Number,
    "digit": types.SymbolKind.Property,
    "cipher": types.SymbolKind.Variable,
    "plain": types.SymbolKind.Variable,
    "compute": types.SymbolKind.Variable,
    "permutation": types.SymbolKind.Function,
    "result": types.SymbolKind.Field,
    "definition": types.SymbolKind.Function,
    "claim": types.SymbolKind.Event,
    "theorem": types.SymbolKind.Event,
}
_PROPOSALS = {
    "keyword": types.CompletionItemKind.Keyword,
    "function": types.CompletionItemKind.Function,
    "variable": types.CompletionItemKind.Variable,
    "size": types.CompletionItemKind.Constant,
    "tensor": types.CompletionItemKind.Class,
    "digit": types.CompletionItemKind.Property,
    "loop": types.CompletionItemKind.Variable,
    "file": types.CompletionItemKind.File,
    "result": types.CompletionItemKind.Field,
}


def place_of(position: types.Position) -> Place:
    """A place of the protocol."""
    return Place(position.line, position.character)


class Converter:
    """Offsets of one text to the protocol's positions."""

    def __init__(self, text: Text, unit: Unit) -> None:
        self.text = text
        self.unit = unit

    def position(self, offset: int) -> types.Position:
        """Where an offset is."""
        place = self.text.place(offset, self.unit)
        return types.Position(place.line, place.column)

    def range(self, start: int, end: int) -> types.Range:
        """Where a part of the text is."""
        return types.Range(self.position(start), self.position(end))

    def whole(self) -> types.Range:
        """All of the text."""
        end = self.text.end(self.unit)
        return types.Range(types.Position(0, 0), types.Position(end.line, end.column))

    def edits(
        self, edits: Iterable[tuple[int, int, str]]
    ) -> list[types.TextEdit | types.AnnotatedTextEdit | types.SnippetTextEdit]:
        """Changes of the text."""
        return [types.TextEdit(self.range(start, end), new) for start, end, new in edits]

    def diagnostic(self, mark: Mark, uri: str) -> types.Diagnostic:
        """A message."""
        return types.Diagnostic(
            self.range(mark.start, mark.end),
            mark.message,
            severity=_WEIGHTS[mark.weight],
            code=mark.code,
            source="slotlang",
            tags=[types.DiagnosticTag.Unnecessary] if mark.unused else None,
            related_information=[self._related(r, uri) for r in mark.related] or None,
        )

    def _related(self, related: Related, uri: str) -> types.DiagnosticRelatedInformation:
        if related.file is None:
            where = types.Location(uri, self.range(related.start, related.end))
        else:
            where = location(related.file, related.start, related.end, self.unit)
        return types.DiagnosticRelatedInformation(where, related.text)

    def symbol(self, entry: Entry) -> types.DocumentSymbol:
        """An entry of the outline, and what is inside it."""
        return types.DocumentSymbol(
            name=entry.name or "?",
            kind=_SYMBOLS[entry.sort],
            range=self.range(entry.start, entry.end),
            selection_range=self.range(entry.name_start, entry.name_end),
            detail=entry.detail,
            children=[self.symbol(e) for e in entry.inside],
        )

    def tokens(self, colours: Sequence[Colour]) -> types.SemanticTokens:
        """Colours as the protocol's differences."""
        data: list[int] = []
        line = column = 0
        for colour in colours:
            start, end = self.position(colour.start), self.position(colour.end)
            step = start.line - line
            first = start.character - (0 if step else column)
            modifiers = sum(1 << MODIFIERS.index(m) for m in colour.modifiers)
            data += [step, first, end.character - start.character, KINDS.index(colour.kind), modifiers]
            line, column = start.line, start.character
        return types.SemanticTokens(data)

    def completion(self, proposal: Proposal, start: int, end: int, snippets: bool) -> types.CompletionItem:
        """A proposal, in place of the word that is being written."""
        snippet = snippets and proposal.snippet
        new = proposal.insert if snippet or not proposal.snippet else proposal.label
        return types.CompletionItem(
            proposal.label,
            kind=_PROPOSALS[proposal.sort],
            detail=proposal.detail,
            sort_text=f"{proposal.order}{proposal.label}",
            filter_text=proposal.label,
            insert_text_format=types.InsertTextFormat.Snippet if snippet else types.InsertTextFormat.PlainText,
            text_edit=types.TextEdit(self.range(start, end), new or proposal.label),
        )


def fold_of(fold: Fold) -> types.FoldingRange:
    """Lines that can be folded."""
    kind = types.FoldingRangeKind.Comment if fold.comment else types.FoldingRangeKind.Region
    return types.FoldingRange(fold.first, fold.last, kind=kind)


def signature_of(found: Signature) -> types.SignatureHelp:
    """A call that is being written."""
    parameters = [types.ParameterInformation(name) for name in found.parameters]
    one = types.SignatureInformation(found.label, found.text or None, parameters, found.active)
    return types.SignatureHelp([one], 0, found.active)


def location(path: str, start: int, end: int, unit: Unit) -> types.Location:
    """A place in a file that is not open; its first character where it can't be read."""
    uri = from_fs_path(path) or ""
    try:
        text = Text(Path(path).read_text(encoding="utf-8-sig"))
    except (OSError, ValueError):
        return types.Location(uri, types.Range(types.Position(0, 0), types.Position(0, 0)))
    return types.Location(uri, Converter(text, unit).range(start, end))


def lenses(document: Document, converter: Converter, uri: str) -> list[types.CodeLens]:
    """What stands above programs, claims and outputs: their verdicts, as far as there are any."""
    if document.stage == "changed" or not document.right:
        return []
    found = []

    def lens(start: int, end: int, title: str, command: str, *arguments: str) -> None:
        found.append(types.CodeLens(converter.range(start, end), types.Command(title, command, arguments=[*arguments])))

    if not document.verdicts:
        title = document.problem or "proving …"
        lens(0, 0, title, "slotlang.verdict", uri, "")
    for verdict in document.verdicts.values():
        lens(verdict.start, verdict.end, verdict.sentence, "slotlang.verdict", uri, verdict.program)
        measures = document.measures.get(verdict.program)
        if measures is not None:
            lens(verdict.start, verdict.end, measures.sentence, "slotlang.verdict", uri, verdict.program)
        # what is refused has its reason in the lens before, and it is not offered before that is known
        runs = measures is not None and measures.runs
        if verdict.status == "proved" and runs and document.folder is not None:
            lens(verdict.start, verdict.end, "run encrypted", "slotlang.run", uri, verdict.program)
        for goal in verdict.goals:
            lens(goal.start, goal.end, goal.status, "slotlang.verdict", uri, verdict.program)
    return found


def hints(document: Document, converter: Converter) -> list[types.InlayHint]:
    """Rotations, level and scale at the end of each statement, as far as they are known."""
    if document.stage == "changed":
        return []
    return [
        types.InlayHint(
            converter.position(m.end),
            m.hint,
            kind=types.InlayHintKind.Type,
            padding_left=True,
            tooltip=f"{count_of(m.plain_products, 'product')} with plaintexts, {m.cipher_products:,} of ciphertexts, "
            f"{count_of(m.additions, 'addition')}",
        )
        for measures in document.measures.values()
        for m in measures.statements
    ]
