"""From a text to its statements, with several messages per run and no cascades."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import zip_longest
from pathlib import Path
from typing import TypeAlias

from lark.exceptions import UnexpectedInput, VisitError

from slotlang.diagnostics import Diagnostic, SlotError, error
from slotlang.files import STDIN_NAME, read_regular, read_stdin
from slotlang.source import Source, Span
from slotlang.syntax import items, tree
from slotlang.syntax.build import Build, FailedError, TooDeepError
from slotlang.syntax.messages import syntax_error, too_deep
from slotlang.syntax.moved import moved
from slotlang.syntax.reserved_names import without_uses
from slotlang.syntax.tables import parser
from slotlang.words import MAX_DEPTH, PART_WORDS, STATEMENT_WORDS

__all__ = [
    "MAX_BYTES",
    "MAX_DEFINITIONS",
    "MAX_ERRORS",
    "SHORT",
    "STDIN",
    "parse_broken",
    "parse_file",
    "program_path",
    "read_source",
    "too_many_definitions",
]

STDIN = Path("-")
"""The path that means standard input; a file of that name is ``./-`` in a shell, and no command reads it."""
MAX_BYTES = 1_000_000
"""Longest program text read; real programs have some hundred lines."""
MAX_DEFINITIONS = 2_000
"""Most definitions of a file and of all that it imports."""
MAX_ERRORS = 20
"""Most messages given for one program."""


def program_path(path: Path) -> tuple[Path, str | None]:
    """A file, and the name of the program in it that ``FILE:name`` means. A file of that whole name comes first."""
    name, colon, program = str(path).rpartition(":")
    if colon and name in (str(STDIN), STDIN_NAME) and program.isidentifier():
        return STDIN, program
    if colon and name and program.isidentifier() and not path.exists() and Path(name).exists():
        return Path(name), program
    return path, None


def read_source(path: Path) -> Source:
    """The text of a program file; ``FILE:name`` means one of its programs, ``-`` standard input.

    Raises ``SlotError`` SL001 when it can't be read, SL002 when it is not text, SL003 when it is too long.
    """
    path, program = program_path(path)
    name = STDIN_NAME if path == STDIN else str(path)
    try:
        if path != STDIN and path.is_dir():
            raise error("SL001", f"{name} is a folder, not a program", file=name)
        data = read_stdin(MAX_BYTES) if path == STDIN else read_regular(path, MAX_BYTES)
    except OSError as problem:
        raise error("SL001", f"can't read {name}: {problem.strerror or problem}", file=name) from None
    if len(data) > MAX_BYTES:
        raise error(
            "SL003",
            f"{name} is longer than {MAX_BYTES:,} bytes",
            file=name,
            hint="a slot program is a short text; is this the right file?",
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise error(
            "SL002",
            f"{name} is not UTF-8 text (byte {problem.start})",
            file=name,
            hint="is this the right file?",
        ) from None
    if "\0" in text:
        raise error("SL002", f"{name} is not a text file: it holds NUL bytes", file=name)
    return Source(name, text.replace("\r\n", "\n").replace("\r", "\n"), str(path.parent), program)


@dataclass(frozen=True, slots=True)
class _Chunk:
    """A statement's text, from its first sign to its last (a comment behind it not counted)."""

    start: int
    end: int


_CLOSING = {"(": ")", "[": "]"}
_KEYWORD_LINE = re.compile(
    rf"(?:{'|'.join(STATEMENT_WORDS)})(?![A-Za-z_0-9])|bound[ \t]*(?:\||norm\()|parameters[ \t]+degree"
    r"|tensor[ \t]+[A-Za-z_]\w*[ \t]*="
    r"|def[ \t]+\w+[ \t]*\(|import[ \t]*\""
)
_FAMILY_LINE = re.compile(r"[A-Za-z_][A-Za-z_0-9]*[ \t]*(?:\[[^\]=\n]*\])?[ \t]*=(?!=)")


class _Splitter:
    """Cuts a text into statements, which end at newlines outside brackets.

    An unclosed bracket ends at the next line that can only be a statement's first, so that it costs one
    message: a line that starts, in the first column, with a statement's keyword or with ``NAME[...] =``
    (a single ``=`` stands in brackets only in the program's header).
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.chunks: list[_Chunk] = []
        self.comments: list[tree.Comment] = []
        self.problems: list[Diagnostic] = []
        self._open: list[int] = []
        self._start: int | None = None
        self._end = 0
        self._bad = False

    def _problem(self, diagnostic: Diagnostic) -> None:
        """One per statement, which is then not parsed."""
        if not self._bad:
            self.problems.append(diagnostic)
        self._bad = True

    def _unclosed(self) -> None:
        place = self._open[-1]
        bracket = self.source.text[place]
        self._problem(
            Diagnostic(
                "SL101",
                f'"{bracket}" is never closed',
                Span(self.source, place, place + 1),
                label="opened here",
                hint=f'add "{_CLOSING[bracket]}" before the statement ends',
            )
        )

    def _finish(self) -> None:
        if self._open:
            self._unclosed()
        if self._start is not None and not self._bad:
            self.chunks.append(_Chunk(self._start, self._end))
        self._start, self._bad = None, False
        self._open.clear()

    def _starts_statement(self, line: int) -> bool:
        text = self.source.text
        if _KEYWORD_LINE.match(text, line):
            return True
        in_header = self._start is not None and text.startswith("program", self._start)
        return not in_header and _FAMILY_LINE.match(text, line) is not None

    def _close(self, at: int) -> None:
        sign = self.source.text[at]
        span = Span(self.source, at, at + 1)
        if not self._open:
            self._problem(Diagnostic("SL101", f'"{sign}" closes nothing', span, label="no bracket is open here"))
            return
        opening = self._open[-1]
        bracket = self.source.text[opening]
        if _CLOSING[bracket] == sign:
            self._open.pop()
            return
        place = Span(self.source, opening, opening + 1)
        wanted = _CLOSING[bracket]
        self._problem(
            Diagnostic(
                "SL101",
                f'"{sign}" stands where "{wanted}" is due',
                span,
                label=f'expected "{wanted}"',
                notes=(f'the open bracket is "{bracket}" in line {place.line}, column {place.column}',),
            )
        )

    def run(self) -> None:
        """Fills ``chunks``, ``comments`` and ``problems``; stops at ``MAX_ERRORS`` problems."""
        text = self.source.text
        line_has_code = False
        i = 0
        while i < len(text) and len(self.problems) < MAX_ERRORS:
            ch = text[i]
            if ch == "#":
                end = text.find("\n", i)
                end = len(text) if end < 0 else end
                span = Span(self.source, i, end)
                self.comments.append(tree.Comment(text[i:end].rstrip(), not line_has_code, span))
                i = end
                continue
            if ch == "\n":
                line_has_code = False
                if not self._open or self._starts_statement(i + 1):
                    self._finish()
            elif not ch.isspace():
                line_has_code = True
                if self._start is None:
                    self._start = i
                self._end = i + 1
                if ch in _CLOSING:
                    self._open.append(i)
                    if len(self._open) > MAX_DEPTH and not self._bad:
                        self._problem(too_deep(Span(self.source, i, i + 1)))
                elif ch in ")]":
                    self._close(i)
            i += 1
        self._finish()


_Line: TypeAlias = items.Item | items.End

# Operators before an operand are stacked until the operand is seen, and a plus sign leaves no trace in the
# tree: neither of the two depth checks would stop at a long run of them.
_PREFIX_RUN = re.compile(rf"(?:(?:[-+]|\b(?:not|{'|'.join(PART_WORDS)})\b)\s*){{{MAX_DEPTH + 1}}}")
_COMMENT = re.compile(r"#[^\n]*")


def _statement(source: Source, chunk: _Chunk, indented: bool, continued: bool) -> _Line | Diagnostic:
    text = source.text[chunk.start : chunk.end]
    run = _PREFIX_RUN.search(_COMMENT.sub(lambda comment: " " * len(comment[0]), text))
    if run:
        return too_deep(Span(source, chunk.start + run.start(), chunk.start + run.start() + 1))
    try:
        if len(text) <= _KEPT_TEXT:
            known: _Line = moved(_read(text), source, chunk.start)
            return known
        return _built(source, chunk.start, text)
    except (VisitError, TooDeepError, UnexpectedInput):
        return _wrong(source, chunk, text, indented, continued)


def _built(source: Source, start: int, text: str) -> _Line:
    result: _Line = Build(source, start).transform(parser().parse(text))
    return result


_KEPT_TEXT = 2000
"""Longest text of a statement whose tree is kept."""


@lru_cache(maxsize=4096)
def _read(text: str) -> _Line:
    """The statement that a text is, as if it stood alone. An edit changes one statement of a text, and what definitions
    are expanded to holds the others as they were: those are not parsed again, which takes nine tenths of the time."""
    return _built(Source("", text), 0, text)


def _wrong(source: Source, chunk: _Chunk, text: str, indented: bool, continued: bool) -> _Line | Diagnostic:
    """What is wrong with a statement, at its place in the text."""
    try:
        return _built(source, chunk.start, text)
    except VisitError as problem:
        if isinstance(problem.orig_exc, FailedError):
            return problem.orig_exc.diagnostic
        raise
    except TooDeepError as problem:
        return too_deep(Span(source, chunk.start + problem.offset, chunk.start + problem.offset + 1))
    except UnexpectedInput as problem:
        return syntax_error(source, chunk.start, chunk.end, problem, parser(), indented=indented, continued=continued)


def _statements(source: Source, chunks: list[_Chunk], problems: list[Diagnostic]) -> Iterator[_Line]:
    """The statements that are well formed; a message goes to ``problems`` for each that is not."""
    margin = Span(source, chunks[0].start, chunks[0].end).column if chunks else 1

    def indented(chunk: _Chunk | None) -> bool:
        return chunk is not None and Span(source, chunk.start, chunk.end).column > margin

    failed = False
    for chunk, following in zip_longest(chunks, chunks[1:]):
        result = _statement(source, chunk, indented(chunk), indented(following))
        if not isinstance(result, Diagnostic):
            failed = False
            yield result
            continue
        # an indented line behind a wrong one is most likely its continuation, and the same mistake
        if not (failed and indented(chunk)):
            problems.append(result)
        failed = True
        if len(problems) >= MAX_ERRORS:
            return


_OUTSIDE = (tree.Header, tree.Declare, tree.Scalars, tree.Bound, tree.Axes, tree.Output, tree.Prove, tree.Parameters)
"""Statements that only a program has: no definition says which tensors, digits or results there are."""


def _blocks(lines: Iterator[_Line], problems: list[Diagnostic]) -> Iterator[items.Item]:
    """The statements, those between the first and the last line of a definition gathered in it."""

    def wrong(span: Span, message: str, hint: str, *notes: str) -> None:
        problems.append(Diagnostic("SL110", message, span, notes=notes, hint=hint))

    head: items.Definition | None = None
    body: list[tree.Statement] = []
    for line in lines:
        match line:
            case items.End(span) if head is not None:
                place = replace(head, body=tuple(body), span=head.span.to(span), end=span)
                if not problems and not any(isinstance(s, tree.Define) for s in body):
                    wrong(head.head, f"'{head.name}' defines no family", "its last family is its result: Y = ...")
                yield place
                head, body = None, []
            case items.End(span):
                wrong(span, '"end" closes nothing', "it stands below the statements of def name(a, b):")
            case items.Definition(body=()) if head is None:
                head = line
            case items.Definition() | items.Import() if head is not None:
                note = f"'{head.name}' starts in line {head.span.line}"
                wrong(line.span, f"'{head.name}' has no \"end\" before this line", 'write "end" above it', note)
                head, body = (line, []) if isinstance(line, items.Definition) and line.body == () else (None, [])
            case items.Definition() | items.Import():
                yield line
            case _ if head is None:
                yield line
            case tree.Header():
                note = f"'{head.name}' starts in line {head.span.line}"
                wrong(line.span, f"'{head.name}' has no \"end\" before this line", 'write "end" above it', note)
                yield line
                head, body = None, []
            case _:
                if isinstance(line, _OUTSIDE):
                    hint = "a definition has let, require, perm, cipher, plain, claim and computed families"
                    wrong(line.span, "this statement can't stand in a definition", hint)
                body.append(line)
    if head is not None and not problems:
        wrong(head.head, f"'{head.name}' is never closed", 'write "end" on a line of its own below its statements')


_DEFINITION = re.compile(r"def[ \t]+\w+[ \t]*\(")


def _check_number(source: Source, chunks: list[_Chunk]) -> None:
    """Raises SL115 for too many definitions, before they are parsed."""
    places = [chunk for chunk in chunks if _DEFINITION.match(source.text, chunk.start)]
    if len(places) > MAX_DEFINITIONS:
        place = places[MAX_DEFINITIONS]
        raise too_many_definitions(Span(source, place.start, place.end))


def too_many_definitions(place: Span) -> SlotError:
    """SL115, at the first definition that is too many."""
    return error("SL115", f"there are more than {MAX_DEFINITIONS:,} definitions", place)


SHORT = 1 << 14
"""Characters of a text whose tree is kept for the next time: trees are immutable, and lowering and searching parse a
program several times."""


def parse_file(source: Source) -> items.File:
    """The statements of a text as they are written, definitions and imports among them.

    Raises ``SlotError`` with every syntax error found, at most one per statement and ``MAX_ERRORS`` in all
    (codes SL101 to SL110).
    """
    # equal texts may have different origins, which belong to the tree
    return _kept(source) if len(source.text) <= SHORT and not source.origins else _parsed(source)


@lru_cache(maxsize=128)
def _kept(source: Source) -> items.File:
    return _parsed(source)


def _parsed(source: Source) -> items.File:
    file, problems = parse_broken(source)
    if problems:
        raise SlotError(problems)
    return file


def parse_broken(source: Source) -> tuple[items.File, tuple[Diagnostic, ...]]:
    """The statements of a text that can be read, and what is wrong with the others: what ``parse_file`` raises.

    Raises ``SlotError`` SL115 alone.
    """
    splitter = _Splitter(source)
    splitter.run()
    problems = splitter.problems
    _check_number(source, splitter.chunks)
    statements = tuple(_blocks(_statements(source, splitter.chunks, problems), problems))
    if not splitter.chunks and not problems:
        hint = (
            "a program starts with `program NAME(size = default, ...)`, and a file that is imported holds definitions"
        )
        problems.append(Diagnostic("SL108", "this file holds no statement", Span(source, 0, 0), hint=hint))
    problems.sort(key=lambda d: d.span.start if d.span else 0)
    problems = without_uses(problems)
    return items.File(source, statements, tuple(splitter.comments)), tuple(problems[:MAX_ERRORS])
