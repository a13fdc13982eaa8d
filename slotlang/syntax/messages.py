"""What to say about a statement that the grammar refuses.

Lark names the first token it could not use. A message shows the whole word or sign that a person sees there
(``==``, not its second ``=``), what could have stood in its place, and, where the mistake is a usual one,
how the thing is written.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from lark import Lark, Token
from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from slotlang.diagnostics import Diagnostic, closest
from slotlang.source import Source, Span
from slotlang.syntax.foreign import FOREIGN, is_comment
from slotlang.syntax.how_hint import how_before_colon
from slotlang.words import (
    COMMENTS,
    HOW_NAMES,
    MAX_DEPTH,
    ONE_BRACKET,
    OTHER_COMMENT,
    PART_WORDS,
    RESERVED,
    SOFT_FORMS,
    SOFT_START,
    STATEMENT_WORDS,
)


def too_deep(span: Span) -> Diagnostic:
    """SL104 for an expression at ``span``."""
    return Diagnostic(
        "SL104",
        f"this expression is nested more than {MAX_DEPTH} deep",
        span,
        hint="give its parts names in statements of their own",
    )


def reserved(word: str, span: Span) -> Diagnostic:
    """SL105 for a word of the language where a name is due."""
    hints = {
        "slot": '"slot" is the index of a slot; the number of slots is usually named "slots"',
        "not": "inside a comparison or an operator's operand, a condition is negated in parentheses: (not c)",
    }
    message = f'"{word}" is a word of the language and can\'t be a name'
    comment = OTHER_COMMENT.search(span.source.text[: span.start]) is not None
    starts = not span.source.text[: span.start].rpartition("\n")[2].strip()
    hint = _CHOICE if word == "else" and starts else hints.get(word, "choose another name")
    return Diagnostic("SL105", message, span, hint=COMMENTS if comment else hint)


def only_else_zero(span: Span) -> Diagnostic:
    """SL106 for anything but 0 after ``else``."""
    return Diagnostic(
        "SL106", 'only "else 0" can follow a read', span, hint="x[k, t] else 0 reads 0 outside the tensor"
    )


def unknown_how(name: str, span: Span) -> Diagnostic:
    """SL107 for a sum's ``by`` that is none."""
    return Diagnostic(
        "SL107",
        f'a sum can\'t be evaluated by "{name}"',
        span,
        hint=closest(name, HOW_NAMES) or "by tree, by horner, by doubling or by bsgs(n)",
    )


_PIECE = re.compile(
    r"""\#[^\n]* | (?P<number>\.?[0-9][\w.]*) | (?P<word>\w+)
      | == | != | <= | >= | => | << | >> | -> | := | [-+*/%@]= | \.\*\* | \.[-+*/^]
      | \*\* | // | && | \|\| | \.\.+ | .""",
    re.VERBOSE | re.DOTALL,
)
_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?i?")
_NAME = re.compile(r"[A-Za-z_][A-Za-z_0-9]*")

_CONTINUES = {"+", "-", "*", "**", "/", "//", "%", "@", "<<", ">>", "==", "!=", "<", "<=", ">", ">=", "=", ",", ":"}
_GOES_ON = "a statement ends with its line; to go on in the next one, open a parenthesis"
_CHOICE = "there are no if statements; a value chooses by integers: S[k < 5] = (X if k == 0 else S[k - 1])"
_LOOP = "there are no loops; a family is defined for all its indices at once: Y[k < 5] = ..."
_CONTROL = {
    "for": _LOOP,
    "while": _LOOP,
    "if": _CHOICE,
    "elif": _CHOICE,
    "else": _CHOICE,
    "return": "what a program computes is said by output y[...] = ...",
}
"""Statements of other languages."""
_STARTS = "a statement starts with a keyword, or defines a family: NAME[q < R] = ..."


def _any_of(texts: list[str]) -> str:
    """``a``, ``a or b``, ``a, b or c``."""
    return " or ".join([", ".join(texts[:-1]), texts[-1]] if len(texts) > 1 else texts)


_OPERATORS = {"ADD", "MUL", "SHIFT", "COMPARE", "AND", "OR", "DOT", "LSQB", "ELSE", "LPAR", "POWER", "XOR", "IF"}
_STARTS_EXPRESSION = {"NAME", "NUMBER", "LPAR", "LSQB", "ADD", "PART", "SUM", "PERMUTE", "NOT", "CONSTANT"}

_SIGNS = {
    "NAME": "a name",
    "NUMBER": "a number",
    "COMPARE": "a comparison",
    "UPPER": '"<="',
    "_NORM": '"norm"',
    "STRING": "a path in quotation marks",
    "_AS": '"as"',
    "EQ": '"=="',
    "LT": '"<"',
    "SHIFT": '"<<" or ">>"',
    "ADD": '"+" or "-"',
    "MUL": '"*", "/", "//", "%" or "@"',
    "PART": _any_of([f'"{word}"' for word in PART_WORDS]),
}


def _terminal_text(lark: Lark, name: str) -> str:
    if name in _SIGNS:
        return _SIGNS[name]
    for terminal in lark.terminals:
        if terminal.name == name:
            return f'"{terminal.pattern.value}"'
    return name.lower()


def _expected_text(lark: Lark, names: set[str]) -> str:
    """What could have stood here, in the language's own signs, the likeliest only."""
    if names >= {"PROGRAM", "LET"}:
        return "a statement"
    shown: list[str] = []
    ends = "$END" in names
    names = names - {"$END"}
    if names >= {"NAME", "NUMBER"}:
        shown.append("an expression")
        names = names - _STARTS_EXPRESSION
    if len(names & _OPERATORS) >= 3:
        shown.append("an operator")
        # where == or < alone is listed it is what the statement is waiting for, not one operator of many
        names = names - _OPERATORS - {"LPAR"} - ({"EQ", "LT"} if "COMPARE" in names else set())
    shown.extend(sorted(_terminal_text(lark, n) for n in names))
    if ends:
        shown.append("the end of the statement")
    return _any_of(shown)


@dataclass(frozen=True, slots=True)
class _Mistake:
    """One wrong place.

    ``first`` and ``before`` are the words or signs at the statement's start and just before the place;
    ``found`` stands there ("" at the statement's end); ``soft`` when ``first`` is a keyword here and could be a name
    elsewhere; ``second`` when there is one word or sign before it; ``indented`` when the statement looks like the
    continuation of the one before; ``expected`` are Lark's names of what could stand there; ``ahead`` and ``rest`` are
    the statement's text before and after the place, on one line each, empty where it has comments.
    """

    first: str
    before: str
    found: str
    soft: bool
    second: bool
    indented: bool
    expected: set[str]
    ahead: str = ""
    rest: str = ""

    @property
    def is_word(self) -> bool:
        return bool(_NAME.fullmatch(self.found))


_SOFT_ONLY = {"VBAR", "_NORM", "LPAR", "NAME", "COLON", "UPPER", "COMMA", "RSQB", "RPAR", "LSQB", "NUMBER", "$END"}
"""What is expected in parameters, and where a bound says what it is about."""


def _number_hint(text: str) -> str:
    if re.fullmatch(r"\.[0-9]+i?", text):
        return f"write 0{text}"
    if re.fullmatch(r"[0-9]+\.", text):
        return f"write {text[:-1]}"
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?[jJI]", text):
        return f"the imaginary unit is i: write {text[:-1]}i"
    if re.fullmatch(r"[0-9]+(_[0-9]+)+", text):
        return f"write {text.replace('_', '')}"
    if not re.match(r"[0-9.]+[eE]-?[0-9]*$|0[xXbBoO]", text):
        product = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([A-Za-z_]\w*)", text)
        if product:
            return f"a product is written {product[1]} * {product[2]}"
    return "numbers are written 12, 0.125, 3/8 or 2i"


def _start_hint(m: _Mistake) -> str:
    """For a statement that goes wrong after its first word, when that word is not of the language."""
    if m.first in _CONTROL and m.found != "=":
        return _CONTROL[m.first]
    if _NAME.fullmatch(m.first) and m.first not in RESERVED and m.expected <= {"EQUAL", "LSQB"}:
        return closest(m.first, STATEMENT_WORDS) or (_GOES_ON if m.indented else _STARTS)
    return ""


def _binder_hint(m: _Mistake) -> str:
    index = m.before if _NAME.fullmatch(m.before) and m.before not in RESERVED else "q"
    if m.first == "axes":
        return f"the names of the digits come with their extents: axes ({index} < N, ...)"
    if m.before == "for":
        return "a sum is written sum q < R: terms"
    return f"an index is declared with its extent: {index} < N"


def _hint(m: _Mistake) -> str:
    if m.soft and m.first in ("def", "import") and not m.expected >= {"NAME", "NUMBER"} and "MUL" not in m.expected:
        return SOFT_FORMS[m.first]
    if m.soft and (m.found in ("|", "||") or (m.found not in FOREIGN and m.expected <= _SOFT_ONLY)):
        return SOFT_FORMS[m.first]
    if m.found == "|" and m.second and (near := closest(m.first, SOFT_FORMS)):
        return near
    if m.found == "[" and m.before == "]":
        return ONE_BRACKET
    if m.found in FOREIGN:
        return FOREIGN[m.found]
    if unicodedata.category(m.found[0]) in ("Zs", "Cf"):
        return "write an ordinary space, or nothing"
    if len(m.found) == 2 and m.found[1] == "=" and m.found[0] in "-+*/%@":
        return "a family is defined once; a sum of many terms is written T = sum q < R: terms"
    if m.found == "=" and (m.first in ("claim", "prove", "require") or "EQ" in m.expected):
        return 'equality is written "=="'
    if m.found == "==" and m.expected & {"EQUAL"}:
        return 'a definition uses "="'
    if m.expected == {"LT"}:
        return _binder_hint(m)
    if m.found in STATEMENT_WORDS:
        return "every statement starts on a line of its own"
    if m.found == "if":
        return "a choice is a whole right side, or stands in parentheses: (a if c else b)"
    if m.found == "else":
        return "else 0 follows a read: x[k, t] else 0"
    if m.found == "where":
        condition = m.rest or "h < 16"
        return f'only claim, output and sparse take a "where"; elsewhere a bracket selects: [{condition}] * e'
    if m.found == "by" and (hint := how_before_colon(m.ahead, m.rest)):
        return hint
    if m.is_word and m.found not in RESERVED:
        words = {"where": "WHERE", "else": "ELSE", "by": "BY", "and": "AND", "or": "OR", "sparse": "SPARSE"}
        near = closest(m.found, [word for word, terminal in words.items() if terminal in m.expected])
        if near:
            return near
    if m.second and (m.is_word or m.found in ("(", ":")):
        return _start_hint(m) or _form_hint(m)
    return _form_hint(m)


def _form_hint(m: _Mistake) -> str:
    """How the statement or expression that was begun is written."""
    if "ELSE" in m.expected and m.before != "]":
        return "a choice has two branches: (a if c else b)"
    match m.first:
        case "input" | "weight" if m.expected == {"LSQB"}:
            return f"a tensor is declared with its shape: {m.first} {m.before}[d, batch]"
        case "axes" if m.expected == {"LPAR"}:
            return "axes are listed in parentheses: axes (h < C, t < batch)"
        case "output" if m.expected == {"LSQB", "EQUAL"}:
            return f"an output says which element each slot carries: output {m.before}[i, t] = ..."
        case "scalar" if m.found == "[":
            return f"a scalar is one number; several are a tensor: weight {m.before}[r]"
        case "program" if m.expected == {"LPAR", "$END"}:
            return f"sizes are listed in parentheses: program {m.before}(d = 16)"
        case "program" if m.expected == {"EQUAL", "COMMA", "RPAR"}:
            return f"a size is given as {m.before} = 16"
        case "perm" if m.expected & {"CYCLES", "COLON", "ARROW"}:
            return (
                "a permutation is written perm p: (h, t) -> (t, h), perm p: slot -> expression, "
                "or perm p: cycles (0, 1, 2)"
            )
    if m.before == "by":
        return "by tree, by horner, by doubling or by bsgs(n)"
    if "COLON" in m.expected:
        return "a sum is written sum q < R: terms"
    if m.expected == {"NAME", "INVERSE"}:
        return "permute takes the name of a permutation: permute(v, p) or permute(v, inverse(p))"
    if m.found == ":" and "RSQB" in m.expected:
        return "there are no slices: an index is an expression, x[c*C + h, t]"
    if m.is_word and m.found not in RESERVED and "MUL" in m.expected:
        return 'a product is written with "*"'
    if m.before == "[" and m.expected == {"NAME"} and m.first not in STATEMENT_WORDS:
        return f"a family is defined for all its indices at once: {m.first}[q < R] = ..."
    if m.before == "" and m.found in _CONTINUES:
        return _GOES_ON
    return _STARTS if m.before == "" else ""


@dataclass(frozen=True, slots=True)
class _Prefix:
    """What the parser makes of a statement's text up to a wrong place: its last token and the terminals that
    can follow."""

    last: Token | None
    accepted: set[str]


def _read_prefix(lark: Lark, text: str, problem: UnexpectedInput) -> _Prefix:
    """Asked of a parser that has not seen the wrong token: LALR parsers reduce on it before they refuse it,
    and then know only a part of what was possible."""
    tokens: list[Token] = []
    try:
        parser = lark.parse_interactive(text)
        tokens = parser.exhaust_lexer()
        accepted: set[str] = parser.accepts()  # type: ignore[no-untyped-call]
    except UnexpectedInput:
        # a sign of two characters whose first was read as one of its own (":=" after "sum q < R")
        accepted = set(getattr(problem, "allowed", None) or getattr(problem, "expected", None) or ())
    return _Prefix(tokens[-1] if tokens else None, accepted - {"WS", "COMMENT"})


def _offset(problem: UnexpectedInput, length: int) -> int:
    """Where in the statement the trouble is; ``length`` when it ends too early."""
    if isinstance(problem, UnexpectedCharacters):
        return int(problem.pos_in_stream or 0)
    if isinstance(problem, UnexpectedToken) and problem.token.type != "$END":
        return int(problem.token.start_pos or 0)
    return length


def syntax_error(
    source: Source,
    start: int,
    end: int,
    problem: UnexpectedInput,
    lark: Lark,
    *,
    indented: bool = False,
    continued: bool = False,
) -> Diagnostic:
    """The message for the statement at ``start:end``, which ends with its last sign (no comment).

    ``indented`` says that it looks like the continuation of the statement before, ``continued`` that the next
    line looks like its own continuation. Codes SL102 and SL103, or SL105 to SL107 where the context tells.
    """
    text = source.text[start:end]
    offset = _offset(problem, len(text))
    before = first = ""
    place = offset, len(text)
    pieces = 0
    for piece in _PIECE.finditer(text):
        if piece.end() > offset:
            place = piece.span()
            break
        if piece[0].isspace() or piece[0].startswith("#"):
            continue
        before = piece[0]
        first = first or before
        pieces += 1
    written = text[place[0] : place[1]]
    span = Span(source, start + place[0], start + place[1])

    if re.fullmatch(r"[0-9.]+\.", before):
        # the point was taken for that of ".T"
        place = text.rindex(before, 0, place[0]), place[0]
        written = before
        span = Span(source, start + place[0], start + place[0] + len(before))
    if written[:1].isdigit() or (written[:1] == "." and written[1:2].isdigit()):
        if not _NUMBER.fullmatch(written):
            return Diagnostic("SL102", f'"{written}" is not a number', span, hint=_number_hint(written))
    elif written[:1].isalpha() and not _NAME.fullmatch(written) and written not in FOREIGN:
        return Diagnostic(
            "SL102", f'"{written}" can\'t be a name', span, hint="names are written with a-z, A-Z, 0-9 and _"
        )

    prefix = _read_prefix(lark, text[: place[0]], problem)
    last = prefix.last
    if last is not None and last.type == "NAME" and last in RESERVED and last != "slot":
        # read as a name where the word itself can't stand, which no one meant
        at = start + (last.start_pos or 0)
        return reserved(str(last), Span(source, at, at + len(last)))
    soft, accepted = bool(SOFT_START.match(text)), prefix.accepted
    if soft and pieces == 1:
        # without what follows, the word was read as a name
        accepted = {"bound": {"VBAR", "_NORM"}, "import": {"STRING"}}.get(first, {"NAME"})
    elif first == "bound" and soft and accepted >= {"COMPARE", "LT", "EQ"} and "ADD" not in accepted:
        accepted = {"UPPER"}
    around = ("", "") if "#" in text else (text[: place[0]], text[place[1] :])
    ahead, rest = (" ".join(part.split()) for part in around)
    m = _Mistake(first, before, written, soft, pieces == 1, indented, accepted, ahead, rest)
    if is_comment(text, place[0]):
        return Diagnostic("SL102", f'"{written}" can\'t stand here', span, hint=COMMENTS)
    label = f"expected {_expected_text(lark, m.expected)}"
    if not written:
        hint = _start_hint(m) if m.second else _form_hint(m)
        if continued:
            hint = _GOES_ON
        span = Span(source, end - 1, end)
        return Diagnostic("SL103", "this statement ends too early", span, label=label, hint=hint)
    if before == "else" and m.expected == {"NUMBER"}:
        return only_else_zero(span)
    if before == "by" and m.expected == {"NAME"} and written[0].isdigit():
        return unknown_how(written, span)
    if m.second and first in STATEMENT_WORDS and written == "=":
        return reserved(first, Span(source, start, start + len(first)))
    shown = f'"{written}"' if written != '"' else "a quotation mark"
    if not written.isprintable() or written.isspace():
        shown = f"the character U+{ord(written[0]):04X}"
        name = unicodedata.name(written[0], "").lower()
        shown += f" ({name})" if name else ""
    return Diagnostic("SL102", f"{shown} can't stand here", span, label=label, hint=_hint(m))
