"""What other languages and typefaces write, and how that is written here."""

from __future__ import annotations

import re

FOREIGN = {
    "^": 'a power of integers is written "**"; an exclusive or of indices stands in parentheses: (a ^ b)',
    "&&": 'conditions are joined by "and"',
    "&": 'conditions are joined by "and"',
    "||": 'conditions are joined by "or"',
    "|": 'conditions are joined by "or"',
    "!": 'a condition is negated by "not"',
    "~": 'a condition is negated by "not"',
    "≤": 'write "<="',
    "≥": 'write ">="',
    "≠": 'write "!="',
    "−": 'write the "-" of the keyboard',
    "–": 'write the "-" of the keyboard',
    "—": 'write the "-" of the keyboard',
    "×": 'write "*"',
    "·": 'write "*"',
    "⋅": 'write "*"',
    "÷": 'write "/"',
    "→": 'write "->"',
    "∑": "write sum q < R: terms",
    "Σ": "write sum q < R: terms",
    ";": "statements end with their line, without a sign",
    "{": "brackets are ( ) and [ ]",
    "}": "brackets are ( ) and [ ]",
    '"': "there are no strings; a comment starts with #",
    "'": "a transpose is written A.T; a comment starts with #",
    "\\": "a statement goes on in the next line while a bracket is open",
    ".*": '"*" multiplies slot by slot already: write X * W',
    "./": '"/" divides slot by slot already: write "/", with a constant on its right',
    ".^": '"**" is taken slot by slot already: write X ** 2',
    ".**": '"**" is taken slot by slot already: write X ** 2',
    ".+": '"+" adds slot by slot already: write X + W',
    ".-": '"-" subtracts slot by slot already: write X - W',
    ":=": 'a definition uses "="',
    "=>": 'a permutation is written with "->", a comparison with ">="',
}
"""How signs are written here."""

_AFTER_SIGN = re.compile(r"(//|--)[ \t]*(\w+[ \t]*)?$")


def is_comment(text: str, at: int) -> bool:
    """Whether a statement goes wrong at ``at`` since a comment of another language stands there or just before."""
    before, rest = text[:at], text[at:]
    if rest.startswith(("//", "--", "/*")) or (before.endswith("/") and rest.startswith("*")):
        return True
    if not before.strip():
        return rest.startswith(("%", ";"))
    return (rest[:1].isalpha() or rest[:1] in "'\"!?`") and _AFTER_SIGN.search(before) is not None
