"""From a program's text to its statements, each a tree of the grammar. What is written wrongly is refused here."""

# fmt: off
from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedInput

MAX_PROGRAM, MAX_DEPTH, MAX_DIGITS = 1_000_000, 150, 40
DEEPER = re.compile("bracket|index|attribute|constant|sign|part|negate|binary|xor|either|both|compare|choice|call|sum|"
                    "permute|binder")

WORDS = ("degree", "primes", "scales", "drops", "keys", "results", "cut")

class Rejected(Exception):
    """Why a certificate proves nothing, a diagnostic's code, and an exit status."""

def need(holds: object, message: str) -> None:
    if not holds: raise Rejected(message, "SL703", 1)

class Node(Tree[Token]):
    """A tree that knows its depth, with brackets and plus signs (``raw``) and without (``deep``)."""
    def __init__(self, data: str, children: list[Any], meta: Any = None) -> None:
        super().__init__(data, children, meta)
        inner = [c for c in children if isinstance(c, Node)]
        self.raw: int = 1 + max((c.raw for c in inner), default=0)
        self.deep: int = bool(DEEPER.fullmatch(data)) + max((c.deep for c in inner), default=0)
        need(self.deep <= MAX_DEPTH and self.raw <= 4 * MAX_DEPTH, "an expression is nested too deeply")
        match data, children:
            case "attribute", [_, name]: need(name in ("T", "mT"), f"'.{name}' is not known")
            case "by", [how, argument]:
                need(how in ("tree", "horner", "doubling", "bsgs"), f"'by {how}' is not known")
                given = [False, True] if how == "doubling" else [how == "bsgs"]
                need((argument is not None) in given, f"'by {how}' takes another number of arguments")
            case "otherwise", [zero]: need(not zero.strip("0.i"), f"'else {zero}': only 0 can stand there")
            case "setting", [word, *numbers]:
                need(word in WORDS, f"'{word}' is not known of parameters")
                whole = all(re.fullmatch("[0-9]{1,9}", n) for n in numbers)
                need(whole and (word not in ("degree", "results") or len(numbers) == 1),
                     f"these are not whole numbers for '{word}'")
            case ("named" | "template" | "finish" | "imported" | "qualified"), _:
                need(False, "definitions and imports are expanded in what is proved")
            case "number", [number]: need(len(number) <= MAX_DIGITS, f"{number} is too long a number")
            case _:
                for name in (c for c in children if isinstance(c, Token) and c.type == "NAME"):
                    free = not reserved().fullmatch(name) or (name == "slot" and data in ("name", "slotwise"))
                    need(free, f"'{name}' is a word of the language, not a name")

class Signs:
    """Brackets around an expression and plus signs leave no trace but their depth."""
    def group(self, parts: list[Any]) -> Any:
        parts[-1].raw += 1
        need(parts[-1].raw <= 4 * MAX_DEPTH, "an expression is nested too deeply")
        return parts[-1]

    def sign(self, parts: list[Any]) -> Any:
        return self.group(parts) if parts[0] == "+" else Node("sign", parts)

@cache
def grammar() -> Lark:
    file = next(f for p in Path(__file__).resolve().parents if (f := p / "grammar/slot.lark").is_file())
    options: Any = {"transformer": Signs(), "tree_class": Node}
    return Lark(file.read_text("utf-8"), parser="lalr", start="statement", maybe_placeholders=True, **options)

def parts() -> list[str]:
    """The words of the terminal PART, which stand before one operand."""
    (part,) = (t.pattern.value for t in grammar().terminals if t.name == "PART")
    return re.findall("[a-z]+", part.partition("(?!")[0])

@cache
def reserved() -> re.Pattern[str]:
    """Every word that the grammar spells out, but ``if``, and ``slot``, which can be read."""
    words = [w for t in grammar().terminals if (w := t.pattern.value).isalpha() and w != "if"]
    return re.compile("|".join(["slot", *parts(), *words]))

@cache
def prefixes() -> re.Pattern[str]:
    return re.compile(rf"(?:(?:[-+]|\b(?:{'|'.join(['not', *parts()])})\b)\s*){{{MAX_DEPTH + 1}}}")

def statements(text: str) -> Iterator[tuple[int, Node]]:
    """The statements with their lines. A statement ends with its line, unless a bracket is open there."""
    need(len(text.encode()) <= MAX_PROGRAM and not re.search("\0|\r(?!\n)", text), "this is not a program's text")
    lines, depth = list[str](), 0
    for number, line in enumerate(re.sub(r"#[^\n]*", "", text).split("\n"), 1):
        if not (lines or line.strip()): continue
        lines.append(line)
        for sign in re.findall(r"[()\[\]]", line):
            depth += 1 if sign in "([" else -1
            need(0 <= depth <= MAX_DEPTH, f"line {number}: a bracket closes nothing, or is nested too deeply")
        if depth == 0:
            statement, start, lines = " ".join(lines).strip(), number + 1 - len(lines), []
            need(not prefixes().search(statement), f"line {start}: an expression is nested too deeply")
            try: parsed: Any = grammar().parse(statement).children[0]
            except (UnexpectedInput, Rejected) as problem:
                reason = problem.args[0] if isinstance(problem, Rejected) else str(problem).split("\n")[0]
                raise Rejected(f"line {start}: {reason}", "SL703", 1) from None
            yield start, parsed
    need(not lines, f"line {number + 1 - len(lines)}: a bracket is never closed")
