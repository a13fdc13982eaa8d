"""Arguments of the wrong kind are refused where they are given, before anything fails far inside."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from numbers import Integral, Real
from typing import Any, ParamSpec, TypeVar

from slotlang.diagnostics import SlotError, error

__all__ = ["WrongKind", "checked"]

P = ParamSpec("P")
R = TypeVar("R")


class WrongKind(SlotError, TypeError):
    """An argument of a kind that a function does not take."""


_KINDS: Mapping[str, type | tuple[type, ...]] = {
    "None": type(None),
    "str": str,
    "int": Integral,
    "float": Real,
    "bool": bool,
    "Path": os.PathLike,
    "Mapping": Mapping,
    "Sequence": (Sequence, set, frozenset),
}
"""What annotations name. Of ``Callable``, of aliases and of what is not listed nothing is checked."""

_WORDS = {"str": "text", "int": "a whole number", "float": "a number", "bool": "True or False", "Path": "a path"}
_PROGRAM_HINT = "api.loads(text) makes a Program of a text, and api.load(path) of a file"


def checked(function: Callable[P, R], classes: Mapping[str, type]) -> Callable[P, R]:
    """The function, which raises ``WrongKind`` (SL005) for an argument that its annotation excludes. ``classes``: by
    the names that annotations have for them, besides numbers, texts, paths and mappings."""
    signature = inspect.signature(function)
    allowed = {name: _allowed(str(p.annotation), {**_KINDS, **classes}) for name, p in signature.parameters.items()}

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            given = signature.bind(*args, **kwargs).arguments
        except TypeError:
            # the function says it by itself
            return function(*args, **kwargs)
        for name, value in given.items():
            several = signature.parameters[name].kind is inspect.Parameter.VAR_POSITIONAL
            for one in value if several else (value,):
                kinds = allowed[name]
                if kinds is not None and not any(isinstance(one, kind) for kind in kinds.values()):
                    raise _wrong(function.__name__, name, one, kinds)
        return function(*args, **kwargs)

    return call


def _allowed(annotation: str, known: Mapping[str, Any]) -> dict[str, Any] | None:
    """The kinds that an annotation allows, by name; None where it is not known."""
    names = [re.sub(r"\[.*", "", part).strip() for part in re.split(r" \| (?![^\[]*\])", annotation)]
    return {name: known[name] for name in names} if all(name in known for name in names) else None


def _wrong(function: str, name: str, value: Any, kinds: Mapping[str, Any]) -> WrongKind:
    wanted = [_WORDS.get(kind, f"a {kind}") for kind in kinds if kind != "None"]
    shown = repr(value) if isinstance(value, str | int | float | None) else ""
    what = f"{type(value).__name__} {shown:.60}".strip() if value is not None else "None"
    hint = f"give {' or '.join(wanted)}{', or leave it out' if 'None' in kinds else ''}"
    if "Program" in kinds:
        hint = _PROGRAM_HINT
    problem = error("SL005", f"{function}: {name} is {' or '.join(wanted)}, and {what} is given", hint=hint)
    return WrongKind(problem.diagnostics)
