"""How a sum is written whose ``by`` stands after its body."""

from __future__ import annotations

import re

__all__ = ["how_before_colon"]

_SUM = re.compile(r"(?P<head>.*\bsum\b[^:]*):(?P<body>[^:]*)")
_HOW = re.compile(r"\s*\w+(\s*\([^()]*\))?")


def how_before_colon(ahead: str, rest: str) -> str:
    """A hint with the whole statement, ``by`` before the colon; empty where there is no such sum. ``ahead`` is the
    statement's text before its ``by``, ``rest`` what follows it, each on one line."""
    found, how = _SUM.fullmatch(ahead), _HOW.match(rest)
    if not found or not how:
        return ""
    after = rest[how.end() :]
    return f'"by" stands before the colon: {found["head"].rstrip()} by {how[0].strip()}: {found["body"].strip()}{after}'
