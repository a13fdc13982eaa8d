"""Programs of the corpus with a token or line changed at random: most are refused, many bind, few mean the same."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random

from slotlang.meaning.bind import bind
from slotlang.source import Source
from slotlang.syntax.parser import parse

_TOKEN = re.compile(r"[A-Za-z_]\w*|\d+(?:\.\d+)?i?|//|\*\*|<<|>>|==|!=|<=|>=|->|[^\s\w]|\n")
_OPERATORS = ("+", "-", "*", "/", "//", "%", "**", "<<", ">>", "==", "<", "@")
_NUMBERS = ("0", "1", "2", "3", "0.5", "2.0", "1i", "16")
_WORDS = """
    sum by where else and or not conj re im permute inverse cycles sparse slot input weight cipher plain perm claim
    output prove let require scalar axes program tree horner 1/2 ( ) [ ] , : = != <= .T -> if
"""
_PHRASES = (
    "else 0",
    "else 1",
    "A @ B @ x",
    "(A @ B @ x)[h, t]",
    "[h < 2] *",
    "sum z < 2:",
    "<< 1",
    "where h < 2",
    "(h ^ 1)",
)
_CHOICES = ("(1 if 1 < 2 else 0)", "(X if 1 < 2 else X)", "min(1, 2)", "log2(4)", "2**1", "if h < 1 else")
_OTHERS = (*_WORDS.split(), *_PHRASES, *_CHOICES)


def small_programs(folder: Path) -> list[tuple[str, dict[str, int]]]:
    """Every program below ``folder`` with a ``# tiny:`` line, without comments, and all its sizes as that line says.
    Definitions and imports stand in no text that is proved: programs with these are left out."""
    found = []
    for path in sorted(folder.rglob("*.slot")):
        text = path.read_text(encoding="utf-8")
        tiny = re.search(r"# tiny:(.*)", text)
        if tiny and not re.search(r"^(def|import)\b", text, re.MULTILINE):
            sizes = {name: int(n) for name, n in re.findall(r"(\w+)=(\d+)", tiny[1])}
            text = "\n".join(line for line in re.sub(r"#[^\n]*", "", text).split("\n") if line.strip()) + "\n"
            program = bind(parse(Source(path.name, text)), sizes)
            found.append((text, {name: program.sizes[name] for name in program.parameters}))
    return found


def edited_programs(folder: Path, seed: int, count: int) -> Iterator[tuple[str, Mapping[str, int]]]:
    """``count`` edited programs, with the sizes of the programs they were."""
    rng = Random(seed)
    programs = small_programs(folder)
    for _ in range(count):
        text, sizes = rng.choice(programs)
        for _ in range(rng.choice((1, 1, 1, 2))):
            text = _edited(text, rng)
        yield text, sizes


def _kind(token: str) -> str:
    if token[0].isdigit():
        return "number"
    if token in _OPERATORS:
        return "operator"
    return "name" if token[0].isalpha() else token


def _edited(text: str, rng: Random) -> str:
    """One token for another, most often of its own kind; a token less or more; a line moved, doubled or gone."""
    tokens = list(_TOKEN.finditer(text))
    place = rng.choice(tokens)
    before, old, after = text[: place.start()], place[0], text[place.end() :]
    other = rng.choice(tokens)[0] if rng.random() < 0.6 else rng.choice(_OTHERS)
    chance = rng.random()
    if chance < 0.75:
        likely = {"number": _NUMBERS, "operator": _OPERATORS}.get(_kind(old), (other,))
        alike = [t[0] for t in tokens if _kind(t[0]) == _kind(old)]
        return before + rng.choice(alike if rng.random() < 0.8 else likely) + after
    if chance < 0.85:
        return before + other + after
    if chance < 0.89:
        return before + after
    if chance < 0.93:
        return f"{before}{other} {old}{after}"
    lines = text.split("\n")
    a, b = rng.randrange(len(lines)), rng.randrange(len(lines))
    if chance < 0.96:
        lines[a], lines[b] = lines[b], lines[a]
    elif chance < 0.98:
        lines.insert(b, lines[a])
    else:
        del lines[a]
    return "\n".join(lines)
