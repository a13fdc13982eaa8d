"""What the page's editor asks about a place in its text: completions and hovers, by the language server's engine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from typing import Any

from slotlang.editor.analysis import Analysis, analyse
from slotlang.editor.completion import completions
from slotlang.editor.hovering import Known, hover
from slotlang.editor.measures import Measures
from slotlang.editor.tokens import KEYWORDS
from slotlang.editor.verdicts import Verdict
from slotlang.page.offsets import character, unit
from slotlang.words import (
    CONSTANT_WORDS,
    HOW_NAMES,
    INTEGER_FUNCTIONS,
    PARAMETER_WORDS,
    SOFT_FORMS,
    SOFT_START,
    TRANSPOSE_WORDS,
)

__all__ = ["QUESTIONS", "asked", "words"]

QUESTIONS = ("completions", "hover")


def asked(
    text: str,
    name: str,
    folder: str,
    sizes: Mapping[str, int],
    question: str,
    units: int,
    known: Sequence[Verdict | Measures] = (),
) -> Iterator[dict[str, Any]]:
    """One of ``QUESTIONS`` about a place in UTF-16 units. ``known``: what was found in the background about this very
    text. Yields nothing where there is nothing to say."""
    analysis = _analysed(text, name, folder, tuple(sorted(sizes.items())))
    offset = character(text, units)
    if question == "completions":
        start, found = completions(analysis, offset)
        yield {"from": unit(text, start), "proposals": [asdict(p) for p in found]}
        return
    verdicts = tuple(k for k in known if isinstance(k, Verdict))
    measures = tuple(k for k in known if isinstance(k, Measures))
    said = hover(analysis, offset, Known(verdicts, measures))
    if said is not None:
        yield {"from": unit(text, said.start), "to": unit(text, said.end), "text": said.text}


@lru_cache(maxsize=2)
def _analysed(text: str, name: str, folder: str, sizes: tuple[tuple[str, int], ...]) -> Analysis:
    return analyse(text, name, folder, dict(sizes))


def words() -> dict[str, Any]:
    """The language's words as the editor colours them."""
    return {
        "keywords": sorted(KEYWORDS),
        "soft": sorted(SOFT_FORMS),
        "hows": list(HOW_NAMES),
        "calls": [*CONSTANT_WORDS, *INTEGER_FUNCTIONS, "norm"],
        "transposes": list(TRANSPOSE_WORDS),
        "parameters": list(PARAMETER_WORDS),
        "softStart": SOFT_START.pattern,
    }
