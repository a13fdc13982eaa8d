"""Shapes of JSON: what docs/json.md shows has to be what is printed."""

from __future__ import annotations

import re
from typing import Any

from repository import ROOT

PAGE = (ROOT / "docs" / "json.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```sh\n(slotlang .*?)(?:  # exit status (\d))?\n```\n\n```json\n(.*?)\n```", PAGE, re.DOTALL)


def shape(value: Any) -> Any:
    """Keys and kinds of values; of a list its first entry. null may stand for anything."""
    if isinstance(value, dict):
        return {key: shape(v) for key, v in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    if isinstance(value, bool) or value is None:
        return type(value).__name__
    return "number" if isinstance(value, int | float) else "text"


def agrees(a: Any, b: Any) -> bool:
    """Whether two shapes are one, where both say something."""
    if "NoneType" in (a, b):
        return True
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(agrees(a[k], b[k]) for k in a)
    if isinstance(a, list) and isinstance(b, list):
        return not a or not b or agrees(a[0], b[0])
    return bool(a == b)
