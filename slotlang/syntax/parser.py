"""From text to syntax tree, with several messages per run and no cascades."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

from lark import Lark, Token, Transformer, v_args
from lark.exceptions import UnexpectedCharacters, UnexpectedEOF, UnexpectedToken, VisitError

from slotlang.diagnostics import Diagnostic, SlotError, closest, error
from slotlang.source import Source, Span
from slotlang.syntax import tree

MAX_BYTES = 1_000_000
"""Longest program text read; real programs have some hundred lines."""
MAX_DEPTH = 150
"""Deepest expression accepted, well inside Python's recursion limit."""
MAX_ERRORS = 20

STATEMENT_WORDS = (
    "program let require input weight scalar axes cipher plain perm claim output prove".split()
)
RESERVED = frozenset(
    [*STATEMENT_WORDS, *"sum by where else and or not conj re im permute inverse cycles sparse slot".split()]
)
HOW_NAMES = ("tree", "horner", "doubling", "bsgs")


def grammar_path() -> Path:
    """``slot.lark``: inside the package in a wheel, beside it in an editable install or a checkout."""
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "grammar", package.parent / "grammar"):
        if (folder / "slot.lark").is_file():
            return folder / "slot.lark"
    raise FileNotFoundError("grammar/slot.lark is neither in the package nor beside it")


@cache
def _lark() -> Lark:
    return Lark(
        grammar_path().read_text(encoding="utf-8"),
        parser="lalr",
        start="statement",
        propagate_positions=True,
        maybe_placeholders=True,
    )


def read_source(path: Path) -> Source:
    """The text of a program file.

    Raises ``SlotError`` SL001 when it can't be read, SL002 when it is no text, SL003 when it is too long.
    """
    name = str(path)
    try:
        if path.is_dir():
            raise error("SL001", f"{name} is a folder, not a program", file=name)
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
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
            "SL002", f"{name} is not UTF-8 text (byte {problem.start})", file=name, hint="is this the right file?"
        ) from None
    if "\0" in text:
        raise error("SL002", f"{name} is not a text file: it holds NUL bytes", file=name)
    return Source(name, text.replace("\r\n", "\n").replace("\r", "\n"))


@dataclass(frozen=True, slots=True)
class _Chunk:
    start: int
    end: int


_OPEN = {"(": ")", "[": "]"}
_KEYWORD_LINE = re.compile(rf"(?:{'|'.join(STATEMENT_WORDS)})(?![A-Za-z_0-9])")


def _split(source: Source) -> tuple[list[_Chunk], list[tree.Comment], list[Diagnostic]]:
    """Statements end at newlines outside brackets. An unclosed bracket ends at the next line that starts,
    in the first column, with a statement's keyword, so that it costs one message."""
    text = source.text
    chunks: list[_Chunk] = []
    comments: list[tree.Comment] = []
    problems: list[Diagnostic] = []
    open_brackets: list[int] = []
    start: int | None = None
    line_has_code = False
    bad = False
    i = 0

    def finish(end: int) -> None:
        nonlocal start, bad
        if start is not None and not bad:
            chunks.append(_Chunk(start, end))
        start, bad = None, False
        open_brackets.clear()

    def unclosed() -> None:
        nonlocal bad
        place = open_brackets[-1]
        if not bad:
            problems.append(
                Diagnostic(
                    "SL101",
                    f'"{text[place]}" is never closed',
                    Span(source, place, place + 1),
                    hint=f'add "{_OPEN[text[place]]}" before the statement ends',
                )
            )
        bad = True

    while i < len(text):
        ch = text[i]
        if ch == "#":
            end = text.find("\n", i)
            end = len(text) if end < 0 else end
            comments.append(tree.Comment(text[i:end].rstrip(), not line_has_code, Span(source, i, end)))
            i = end
            continue
        if ch == "\n":
            line_has_code = False
            if open_brackets and _KEYWORD_LINE.match(text, i + 1):
                unclosed()
                finish(i)
            elif not open_brackets:
                finish(i)
            i += 1
            continue
        if not ch.isspace():
            line_has_code = True
            if start is None:
                start = i
            if ch in _OPEN:
                open_brackets.append(i)
                if len(open_brackets) > MAX_DEPTH and not bad:
                    problems.append(_too_deep(Span(source, i, i + 1)))
                    bad = True
            elif ch in ")]":
                if open_brackets and _OPEN[text[open_brackets[-1]]] == ch:
                    open_brackets.pop()
                elif not bad:
                    wanted = _OPEN[text[open_brackets[-1]]] if open_brackets else None
                    problems.append(
                        Diagnostic(
                            "SL101",
                            f'"{ch}" closes nothing' if wanted is None else f'"{ch}" stands where "{wanted}" is due',
                            Span(source, i, i + 1),
                        )
                    )
                    bad = True
        i += 1
    if open_brackets:
        unclosed()
    finish(len(text))
    return chunks, comments, problems


def _too_deep(span: Span) -> Diagnostic:
    return Diagnostic(
        "SL104", f"this expression is nested more than {MAX_DEPTH} deep", span, hint="name its parts in statements"
    )


_TERMINALS = {
    "NAME": "a name",
    "NUMBER": "a number",
    "COMPARE": 'a comparison',
    "EQ": '"=="',
    "LT": '"<"',
    "SHIFT": '"<<" or ">>"',
    "ADD": '"+" or "-"',
    "MUL": '"*", "/", "//", "%" or "@"',
    "PART": '"conj", "re" or "im"',
    "LPAR": '"("',
    "RPAR": '")"',
    "LSQB": '"["',
    "RSQB": '"]"',
    "EQUAL": '"="',
    "COMMA": '","',
    "COLON": '":"',
    "DOT": '"."',
    "$END": "the end of the statement",
}
_STARTS_EXPRESSION = {"NAME", "NUMBER", "LPAR", "LSQB", "ADD", "PART"}


def _terminal_text(name: str) -> str:
    if name in _TERMINALS:
        return _TERMINALS[name]
    for terminal in _lark().terminals:
        if terminal.name == name:
            return f'"{terminal.pattern.value}"'
    return name.lower()


def _expected_text(names: set[str]) -> str:
    """What could have stood here, in the language's own signs, the likeliest only."""
    shown: list[str] = []
    if names >= {"NAME", "NUMBER"}:
        shown.append("an expression")
        names = names - _STARTS_EXPRESSION - {"SUM", "PERMUTE", "NOT"}
    if "$END" in names and len(names) > 3:
        return "an operator or the end of the statement"
    operators = {"ADD", "MUL", "SHIFT", "COMPARE", "EQ", "LT", "AND", "OR", "DOT", "LSQB"}
    if len(names & operators) >= 3:
        names = names - operators
        shown.append("an operator")
    if names >= {"PROGRAM", "LET"}:
        return "a statement"
    shown.extend(sorted(_terminal_text(n) for n in names))
    return " or ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)


def _syntax_error(source: Source, base: int, chunk: str, problem: Any) -> Diagnostic:
    if isinstance(problem, UnexpectedCharacters):
        at = base + problem.pos_in_stream
        character = source.text[at]
        if character.isdigit():
            found = re.match(r"[0-9.]*[A-Za-z_0-9]*", source.text[at:])
            end = at + (found.end() if found else 1)
            word = source.text[at:end]
            return Diagnostic(
                "SL102",
                f'"{word}" is not a number',
                Span(source, at, end),
                hint="numbers are written 12, 0.125, 3/8 or 2i",
            )
        shown = f'"{character}"' if character.isprintable() else f"character U+{ord(character):04X}"
        expected = _expected_text(set(problem.allowed or ()) - {"WS", "COMMENT"})
        return Diagnostic(
            "SL102", f"{shown} can't stand here", Span(source, at, at + 1), label=f"expected {expected}"
        )
    token: Token = problem.token
    expected_names = set(problem.accepts or problem.expected) if isinstance(problem, UnexpectedToken) else set()
    expected = _expected_text(expected_names - {"WS", "COMMENT"})
    if isinstance(problem, UnexpectedEOF) or token.type == "$END":
        end = base + len(chunk.rstrip())
        return Diagnostic(
            "SL103", "this statement ends too early", Span(source, end - 1, end), label=f"expected {expected}"
        )
    at = base + (token.start_pos or 0)
    hint = ""
    first = chunk.split(None, 1)[0]
    if token.start_pos != 0 and re.fullmatch(r"[A-Za-z_]+", first) and first not in RESERVED:
        hint = closest(first, STATEMENT_WORDS)
    if not hint and str(token) == "=" and "EQ" in expected_names:
        hint = 'equality is written "=="'
    if not hint and first in ("claim", "prove") and str(token) == "=":
        hint = 'equality is written "=="'
    return Diagnostic(
        "SL102",
        f'"{token}" can\'t stand here',
        Span(source, at, at + len(token)),
        label=f"expected {expected}",
        hint=hint,
    )


class _Failed(Exception):
    """A statement that is well formed as text and wrong all the same."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(diagnostic.message)
        self.diagnostic = diagnostic


def _fail(code: str, message: str, span: Span, **more: str) -> _Failed:
    return _Failed(Diagnostic(code, message, span, label=more.get("label", ""), hint=more.get("hint", "")))


@v_args(meta=True)
class _Build(Transformer[Token, Any]):
    """Lark's parse tree to ours. Depth is kept per node so that deep nesting is an error, not a crash."""

    def __init__(self, source: Source, base: int) -> None:
        super().__init__()
        self._source = source
        self._base = base
        self._depth: dict[int, int] = {}
        self._keep: list[object] = []

    def _at(self, meta: Any) -> Span:
        return Span(self._source, self._base + meta.start_pos, self._base + meta.end_pos)

    def _token_span(self, token: Token) -> Span:
        start = self._base + (token.start_pos or 0)
        return Span(self._source, start, start + len(token))

    def _deepen(self, node: Any, *children: Any) -> Any:
        depth = 1 + max((self._depth.get(id(c), 0) for c in children), default=0)
        if depth > MAX_DEPTH:
            raise _Failed(_too_deep(node.span))
        self._depth[id(node)] = depth
        self._keep.append(node)  # ids stay unique while every node lives
        return node

    def _declared(self, token: Token) -> str:
        if str(token) in RESERVED:
            raise _fail("SL105", f'"{token}" is a word of the language and can\'t be a name', self._token_span(token))
        return str(token)

    # expressions
    def name(self, meta: Any, items: list[Any]) -> Any:
        return tree.Name(str(items[0]), self._at(meta))

    def number(self, meta: Any, items: list[Any]) -> Any:
        text = str(items[0])
        if len(text) > 40:
            raise _fail("SL102", "this number has more than 40 digits", self._at(meta))
        imaginary = text.endswith("i")
        return tree.Number(Fraction(text.rstrip("i")), imaginary, self._at(meta))

    def group(self, meta: Any, items: list[Any]) -> Any:
        return items[0]

    def bracket(self, meta: Any, items: list[Any]) -> Any:
        return self._deepen(tree.Bracket(items[0], self._at(meta)), items[0])

    def index(self, meta: Any, items: list[Any]) -> Any:
        base, *indices, otherwise = items
        return self._deepen(tree.Index(base, tuple(indices), bool(otherwise), self._at(meta)), base, *indices)

    def otherwise(self, meta: Any, items: list[Any]) -> Any:
        if Fraction(str(items[0]).rstrip("i")) != 0:
            raise _fail("SL106", 'only "else 0" can follow a read', self._token_span(items[0]))
        return True

    def attribute(self, meta: Any, items: list[Any]) -> Any:
        if str(items[1]) != "T":
            raise _fail(
                "SL106",
                f'".{items[1]}" is not known',
                self._token_span(items[1]),
                hint='".T" is the transpose of a matrix',
            )
        return self._deepen(tree.Transpose(items[0], self._at(meta)), items[0])

    def sign(self, meta: Any, items: list[Any]) -> Any:
        if str(items[0]) == "+":
            return items[1]
        return self._deepen(tree.Unary("-", items[1], self._at(meta)), items[1])

    def part(self, meta: Any, items: list[Any]) -> Any:
        return self._deepen(tree.Unary(str(items[0]), items[1], self._at(meta)), items[1])

    def negate(self, meta: Any, items: list[Any]) -> Any:
        return self._deepen(tree.Unary("not", items[0], self._at(meta)), items[0])

    def binary(self, meta: Any, items: list[Any]) -> Any:
        left, op, right = items
        return self._deepen(tree.Binary(str(op), left, right, self._at(meta)), left, right)

    def either(self, meta: Any, items: list[Any]) -> Any:
        return self._deepen(tree.Binary("or", items[0], items[1], self._at(meta)), *items)

    def both(self, meta: Any, items: list[Any]) -> Any:
        return self._deepen(tree.Binary("and", items[0], items[1], self._at(meta)), *items)

    def compare(self, meta: Any, items: list[Any]) -> Any:
        node = tree.Compare(tuple(map(str, items[1::2])), tuple(items[0::2]), self._at(meta))
        return self._deepen(node, *items[0::2])

    def sum(self, meta: Any, items: list[Any]) -> Any:
        *binders, how, body = items
        node = tree.Sum(tuple(binders), how, body, self._at(meta))
        return self._deepen(node, body, *(b.extent for b in binders))

    def by(self, meta: Any, items: list[Any]) -> Any:
        name = str(items[0])
        span = self._token_span(items[0])
        if name not in HOW_NAMES:
            raise _fail(
                "SL107",
                f'a sum can\'t be evaluated by "{name}"',
                span,
                hint=closest(name, HOW_NAMES) or "tree, horner, doubling or bsgs(n)",
            )
        if (items[1] is not None) != (name == "bsgs"):
            raise _fail(
                "SL107",
                '"bsgs" needs its number of baby steps' if name == "bsgs" else f'"{name}" takes no argument',
                span,
                hint="bsgs(4)" if name == "bsgs" else name,
            )
        return tree.How(name, items[1], span)

    def permute(self, meta: Any, items: list[Any]) -> Any:
        value, (name, inverse) = items
        return self._deepen(tree.Permute(value, name, inverse, self._at(meta)), value)

    def forward(self, meta: Any, items: list[Any]) -> Any:
        return str(items[0]), False

    def backward(self, meta: Any, items: list[Any]) -> Any:
        return str(items[0]), True

    # statements
    def statement(self, meta: Any, items: list[Any]) -> Any:
        return items[0]

    def program(self, meta: Any, items: list[Any]) -> Any:
        sizes = tuple(s for s in items[1:] if isinstance(s, tree.Size))
        return tree.Header(self._declared(items[0]), sizes, self._at(meta))

    def size(self, meta: Any, items: list[Any]) -> Any:
        # slot is reserved, slots is the usual name of a size
        return tree.Size(self._declared(items[0]), items[1], self._at(meta))

    def let(self, meta: Any, items: list[Any]) -> Any:
        return tree.Let(self._declared(items[0]), items[1], self._at(meta))

    def require(self, meta: Any, items: list[Any]) -> Any:
        return tree.Require(items[0], self._at(meta))

    def tensor(self, meta: Any, items: list[Any]) -> Any:
        token, *dims, sparse = items
        shape: list[tree.Expr] = []
        names: list[str | None] = []
        for dim in dims:
            match dim:
                case tree.Compare(("<",), (tree.Name(name), extent)):
                    if name in RESERVED:
                        raise _fail("SL105", f'"{name}" is a word of the language and can\'t be a name', dim.span)
                    shape.append(extent)
                    names.append(name)
                case _:
                    shape.append(dim)
                    names.append(None)
        is_sparse, pattern = sparse or (False, None)
        return tree.Tensor(
            self._declared(token), tuple(shape), tuple(names), is_sparse, pattern, self._at(meta)
        )

    def sparse(self, meta: Any, items: list[Any]) -> Any:
        return True, items[0]

    def input(self, meta: Any, items: list[Any]) -> Any:
        return tree.Declare("input", tuple(items), self._at(meta))

    def weight(self, meta: Any, items: list[Any]) -> Any:
        return tree.Declare("weight", tuple(items), self._at(meta))

    def scalar(self, meta: Any, items: list[Any]) -> Any:
        names = tuple(tree.Name(self._declared(t), self._token_span(t)) for t in items)
        return tree.Scalars(names, self._at(meta))

    def axes(self, meta: Any, items: list[Any]) -> Any:
        name = self._declared(items[0]) if items[0] is not None else None
        return tree.Axes(name, tuple(b for b in items[1:] if b is not None), self._at(meta))

    def binder(self, meta: Any, items: list[Any]) -> Any:
        return tree.Binder(self._declared(items[0]), items[2], self._at(meta))

    def family(self, meta: Any, items: list[Any]) -> Any:
        return tuple(items)

    def _define(self, kind: str, meta: Any, items: list[Any]) -> Any:
        return tree.Define(kind, self._declared(items[0]), items[1] or (), items[2], self._at(meta))

    def cipher(self, meta: Any, items: list[Any]) -> Any:
        return self._define("cipher", meta, items)

    def plain(self, meta: Any, items: list[Any]) -> Any:
        return self._define("plain", meta, items)

    def compute(self, meta: Any, items: list[Any]) -> Any:
        return self._define("compute", meta, items)

    def perm(self, meta: Any, items: list[Any]) -> Any:
        return tree.DefinePermutation(self._declared(items[0]), items[1], self._at(meta))

    def digits(self, meta: Any, items: list[Any]) -> Any:
        source = tuple(
            tree.Name(str(t), self._token_span(t)) for t in items if isinstance(t, Token) and t.type == "NAME"
        )
        target = tuple(t for t in items if not isinstance(t, Token))
        return tree.DigitPermutation(source, target, self._at(meta))

    def slotwise(self, meta: Any, items: list[Any]) -> Any:
        return tree.SlotPermutation(
            tree.Name(str(items[0]), self._token_span(items[0])), items[1], self._at(meta)
        )

    def cycles(self, meta: Any, items: list[Any]) -> Any:
        return tree.CyclePermutation(tuple(items), self._at(meta))

    def cycle(self, meta: Any, items: list[Any]) -> Any:
        return tuple(items)

    def claim(self, meta: Any, items: list[Any]) -> Any:
        return tree.Claim(items[0], items[2], items[3], self._at(meta))

    def output(self, meta: Any, items: list[Any]) -> Any:
        name, *indices, value, where = items
        return tree.Output(self._declared(name), tuple(indices), value, where, self._at(meta))

    def prove(self, meta: Any, items: list[Any]) -> Any:
        return tree.Prove(str(items[0]), items[2], self._at(meta))


def _statements(
    source: Source, chunks: list[_Chunk], problems: list[Diagnostic]
) -> Iterator[tree.Statement]:
    for chunk in chunks:
        text = source.text[chunk.start : chunk.end]
        try:
            parsed = _lark().parse(text)
            yield _Build(source, chunk.start).transform(parsed)
        except VisitError as problem:
            if not isinstance(problem.orig_exc, _Failed):
                raise
            problems.append(problem.orig_exc.diagnostic)
        except RecursionError:
            problems.append(_too_deep(Span(source, chunk.start, chunk.start + 1)))
        except (UnexpectedCharacters, UnexpectedToken, UnexpectedEOF) as problem:
            problems.append(_syntax_error(source, chunk.start, text, problem))
        if len(problems) >= MAX_ERRORS:
            return


def parse(source: Source) -> tree.Program:
    """The syntax tree of a program.

    Raises ``SlotError`` with every syntax error found, at most one per statement (codes SL101 to SL108).
    """
    chunks, comments, problems = _split(source)
    statements = tuple(_statements(source, chunks, problems))
    if not chunks and not problems:
        raise error(
            "SL108",
            "this program is empty",
            Span(source, 0, 0),
            hint="a program starts with `program NAME(size = default, ...)`",
        )
    if problems:
        problems.sort(key=lambda d: d.span.start if d.span else 0)
        raise SlotError(problems)
    return tree.Program(source, statements, tuple(comments))
