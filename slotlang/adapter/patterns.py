"""PEFT's ``rank_pattern`` and ``alpha_pattern``: a table of regular expressions, matched in bounded time."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from slotlang.adapter.messages import first_line, listed, shown
from slotlang.diagnostics import Diagnostic, closest, error
from slotlang_runtime.amounts import count_of

T = TypeVar("T")

MAX_NAME: Final = 400
MAX_MATCH_WAYS: Final = 3 * 10**8
"""The budget for matching one pattern table with all modules: seconds, not minutes."""


def match(
    table: Mapping[str, T], option: str, names: Sequence[str], path: Path
) -> tuple[dict[str, tuple[str, T]], list[Diagnostic]]:
    """The first key that matches, with its value, for each module that one matches; and warnings: for each key that
    matches none (SL522), and for keys of different values that match the same modules (SL525).

    The match is PEFT's ``re.match(rf"(.*\\.)?({key})$", name)``. Raises SL503 for a key that is not a regular
    expression, or that could take for ever.
    """
    found: dict[str, tuple[str, T]] = {}
    warned: list[Diagnostic] = []
    overlaps: dict[tuple[str, str], list[str]] = {}
    fail = partial(error, "SL503", file=str(path))
    longest, deepest = (max(map(measure, names), default=0) for measure in (len, lambda name: name.count(".")))
    budget = MAX_MATCH_WAYS
    for key, value in table.items():
        budget -= len(names) * (deepest + 1) * ways(key, longest)
        if budget < 0:
            notes = ["repeated groups, flags and many wildcards can make a match take for ever"]
            message = f"the key {shown(key)} of {option} is too complicated for {count_of(len(names), 'module')}"
            raise fail(message, notes=notes, hint="write keys as plain module names")
        try:
            with warnings.catch_warnings(action="ignore"):
                regex = re.compile(rf"(.*\.)?({key})$")
        except (re.error, OverflowError, RecursionError) as reason:
            message = f"the key {shown(key)} of {option} is not a regular expression"
            raise fail(message, notes=[first_line(reason)]) from None
        hits = [name for name in names if regex.match(name)]
        if not hits:
            message = f"the key {shown(key)} of {option} matches no module and changes nothing"
            notes_ = (f"the adapter holds {listed(names)}",)
            warned.append(Diagnostic("SL522", message, notes=notes_, hint=closest(key, names), file=str(path)))
        for name in hits:
            first, held = found.setdefault(name, (key, value))
            if held != value:
                overlaps.setdefault((first, key), []).append(name)
    warned += [_overlap(option, *keys, hits, path) for keys, hits in overlaps.items()]
    return found, warned


def _overlap(option: str, first: str, second: str, names: Sequence[str], path: Path) -> Diagnostic:
    message = f"the keys {shown(first)} and {shown(second)} of {option} match the same modules, and the first holds"
    notes = (f"they match {listed(names, 5)}", "PEFT sorts the keys when it saves; training may have had another order")
    return Diagnostic("SL525", message, notes=notes, hint="write keys of which one matches each module", file=str(path))


def ways(key: str, length: int) -> int:
    """A bound on the ways in which ``key`` can match a name of at most ``length`` characters.

    Python's matcher backtracks, so ``(a+)+`` takes time exponential in the name's length, and a stranger's
    file chooses both. Without repeated groups, a way passes each quantifier and each ``|`` at most once and
    the choices multiply. With one, or with a flag that could hide one, the answer is over any budget.
    """
    bare = re.sub(r"\\.|\[\^?\]?(?:\\.|[^\\\]])*\]", "x", f"({key})", flags=re.DOTALL)
    bare = re.sub(r"\(\?(?::|<?[=!])", "(", bare)
    if len(key) > MAX_NAME or "(?" in bare or re.search(r"\)[*+{]", bare):
        return MAX_MATCH_WAYS + 1
    repeats, choices = len(re.findall(r"[*+{]", bare)), len(re.findall(r"[?|]", bare))
    return int((length + 1) ** repeats * 2**choices)
