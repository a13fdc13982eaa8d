"""Where things are in this repository, and programs bound from their texts: what most tests start with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from slotlang.meaning.bind import bind
from slotlang.meaning.program import Program
from slotlang.source import Source
from slotlang.syntax.parser import parse

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = ROOT / "programs"
TESTS = ROOT / "tests"
GOLDEN = TESTS / "diagnostics"
"""Bad programs beside the messages about them, by the stage that refuses them."""


def program_text(name: str) -> str:
    """The text of a program of the corpus: ``rank_complex``, ``seed/hoisted``."""
    return (PROGRAMS / f"{name}.slot").read_text(encoding="utf-8")


def bind_text(text: str, sizes: Mapping[str, int] | None = None) -> Program:
    """The program of a text; ``sizes`` override its defaults. Raises ``SlotError`` when it is wrong."""
    return bind(parse(Source("t.slot", text)), sizes)
