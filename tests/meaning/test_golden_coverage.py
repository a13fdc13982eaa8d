"""Every code that binding can raise has a golden program under tests/diagnostics/meaning."""

from __future__ import annotations

import re
from pathlib import Path

from repository import GOLDEN

import slotlang.meaning
from slotlang.codes import EXPLANATIONS

ELSEWHERE = {"SL212": "is about overrides, which golden programs do not have: test_sizes.py"}


def raised() -> set[str]:
    """The codes SL2xx and SL3xx that occur in the text of slotlang.meaning."""
    files = Path(next(iter(slotlang.meaning.__path__))).glob("*.py")
    return {code for f in files for code in re.findall(r'"(SL[23]\d\d)"', f.read_text(encoding="utf-8"))}


def test_every_code_has_a_golden_message() -> None:
    shown = {
        code
        for err in (*(GOLDEN / "meaning").glob("*.err"), *(GOLDEN / "warnings").glob("*.err"))
        for code in re.findall(r"^(?:error|warning)\[(SL\d+)\]: ", err.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert raised() - shown == set(ELSEWHERE)


def test_every_code_of_names_sizes_and_layouts_is_raised() -> None:
    assert {code for code in EXPLANATIONS if code[:3] in ("SL2", "SL3")} == raised()


def test_every_golden_program_has_its_messages_and_every_message_its_program() -> None:
    programs = {p.stem for p in (GOLDEN / "meaning").glob("*.slot")}
    assert programs == {p.stem for p in (GOLDEN / "meaning").glob("*.err")}
    assert len(programs) >= 50
