"""What the rules for all sizes say, in the program's own terms."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from string import ascii_lowercase

from slotlang.meaning.program import Program
from slotlang.proof.forall.polynomials import Poly

_MADE = re.compile(r"[A-Za-z_]*\$\d+")
"""A variable that a rule has made."""


def in_own_terms(text: str, program: Program, sizes: Mapping[str, Poly], digits: Mapping[str, str]) -> str:
    """A text with names of sizes for what they are in symbols, with what ``digits`` are digits of, and with letters
    that the program does not use for other variables that rules have made."""
    while found := next((name for name in _MADE.findall(text) if name in digits), None):
        text = re.sub(rf"{re.escape(found)}(?!\d)", digits[found], text)
    for name, value in sizes.items():
        if value.names() - {name}:
            text = (
                text.replace(f"({value})", name)
                .replace(f"< {value}:", f"< {name}:")
                .replace(f"< {value},", f"< {name},")
            )
    text = re.sub(r"% \((\w+)\)", r"% \1", re.sub(r"// \((\w+)\)", r"// \1", text))
    letters = _letters({*program.sizes, *program.tensors, *program.scalars, *re.findall(r"\w+", _MADE.sub("", text))})
    for made in dict.fromkeys(_MADE.findall(text)):
        text = re.sub(rf"{re.escape(made)}(?!\d)", next(letters), text)
    return text


def _letters(taken: set[str]) -> Iterator[str]:
    number = 0
    while True:
        for letter in ascii_lowercase[8:] + ascii_lowercase[:8]:
            name = f"{letter}{number or ''}"
            if name not in taken:
                yield name
        number += 1
