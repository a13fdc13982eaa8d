"""The parser's tables. Building them from ``grammar/slot.lark`` takes a tenth of a second, so they are kept beside it.

``make grammar`` writes them anew. Tables of another grammar or of another lark are not used: the parser is then built
from the grammar.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lark import Lark
from lark.grammar import Rule
from lark.lexer import TerminalDef

from slotlang.syntax.build import ParseNode

__all__ = ["grammar_path", "parser", "tables_path", "tables_text"]


def grammar_path() -> Path:
    """``slot.lark``: inside the package in a wheel, beside it in an editable install or a checkout."""
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "grammar", package.parent / "grammar"):
        if (folder / "slot.lark").is_file():
            return folder / "slot.lark"
    raise FileNotFoundError("grammar/slot.lark is neither in the package nor beside it")


def tables_path() -> Path:
    """``slot.tables.json``, beside the grammar."""
    return grammar_path().with_name("slot.tables.json")


@cache
def parser() -> Lark:
    """The parser of statements."""
    grammar = grammar_path().read_text(encoding="utf-8")
    try:
        kept = json.loads(tables_path().read_text(encoding="utf-8"), object_pairs_hook=_numbered)
        if kept["made from"] == _made_from(grammar):
            found: Lark = Lark._load_from_dict(kept["data"], kept["memo"], tree_class=ParseNode)  # type: ignore[no-untyped-call]
            return found
    except (OSError, ValueError, KeyError, TypeError):
        pass  # what is missing or damaged is built
    return _built(grammar)


def _built(grammar: str) -> Lark:
    return Lark(
        grammar,
        parser="lalr",
        start="statement",
        propagate_positions=True,
        maybe_placeholders=True,
        tree_class=ParseNode,
    )


def tables_text() -> str:
    """What ``slot.tables.json`` must hold."""
    grammar = grammar_path().read_text(encoding="utf-8")
    data, memo = _built(grammar).memo_serialize([TerminalDef, Rule])
    del data["options"]["tree_class"]
    kept = {"made from": _made_from(grammar), "data": data, "memo": memo}
    return json.dumps(kept, separators=(",", ":"), sort_keys=True) + "\n"


def _made_from(grammar: str) -> dict[str, str]:
    return {"grammar": hashlib.sha256(grammar.encode()).hexdigest(), "lark": version("lark")}


def _numbered(pairs: list[tuple[str, Any]]) -> dict[str | int, Any]:
    """JSON knows no numbers as keys; lark's tables have them."""
    return {int(key) if key.isdigit() else key: value for key, value in pairs}


if __name__ == "__main__":
    tables_path().write_text(tables_text(), encoding="utf-8")
