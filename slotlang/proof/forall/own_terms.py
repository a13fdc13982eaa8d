"""What the rules for all sizes say, in the program's own terms."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from string import ascii_lowercase

from slotlang.meaning.program import Program
from slotlang.proof.forall.polynomials import Poly

_MADE = re.compile(r"[A-Za-z_]\w*'\d+(?:[$!]\d+)?|[A-Za-z_]\w*[$!]\d+|\$\d+")
"""A variable that a rule has made, of one of the program's or of its own, or that stands for an index of a tensor
expression, ``m'1``, which has no name in the program."""

_ARTICLE = re.compile(r"\ba (?=[a-z]{2})")


def in_own_terms(text: str, program: Program, sizes: Mapping[str, Poly], digits: Mapping[str, str]) -> str:
    """A text with names of sizes for what they are in symbols, with what ``digits`` are digits of, and with the
    program's names, as ``own_names`` gives them, for other variables that rules have made."""
    while not digits.keys().isdisjoint(_MADE.findall(text)):
        text = _MADE.sub(lambda made: digits.get(made[0], made[0]), text)
    for name, value in sizes.items():
        if value.names() - {name}:
            text = (
                text.replace(f"({value})", name)
                .replace(f"< {value}:", f"< {name}:")
                .replace(f"< {value},", f"< {name},")
            )
    text = re.sub(r"% \((\w+)\)", r"% \1", re.sub(r"// \((\w+)\)", r"// \1", text))
    return own_names(text, program)


def own_names(text: str, program: Program) -> str:
    """A text with the names that the program gives to variables, for those that rules have made of them: ``k`` for
    ``k$5``. Where another variable of the text has that name, and for variables of rules alone, a letter that the
    program does not use."""
    plain = re.findall(r"[A-Za-z_]\w*", _ARTICLE.sub("", _MADE.sub("", text)))
    taken = {*program.sizes, *program.tensors, *program.scalars, *plain}
    names: dict[str, str] = {}
    for made in dict.fromkeys(_MADE.findall(text)):
        name = re.split(r"[$!]", made)[0]
        if not name or "'" in name or name in taken:
            name = next(_letters(taken))
        taken.add(name)
        names[made] = name
    return re.sub(r"\*\*\((\w+)\)", r"**\1", _MADE.sub(lambda made: names[made[0]], text))


def _letters(taken: set[str]) -> Iterator[str]:
    number = 0
    while True:
        for letter in ascii_lowercase[8:] + ascii_lowercase[:8]:
            name = f"{letter}{number or ''}"
            if name not in taken:
                yield name
        number += 1
