"""Results that a notebook draws. What they look like is the business of ``slotlang.notebook``, which knows them all;
here is how they find it."""

from __future__ import annotations

from importlib import import_module
from typing import cast

__all__ = ["Displayed", "Pictured"]

_DRAWINGS = "slotlang.notebook.displays"
"""Imported when a notebook first asks for a drawing: results are made where nothing is drawn, and far below it."""


class Displayed:
    """A result with an HTML form."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        return cast("str", import_module(_DRAWINGS).html(self))


class Pictured(Displayed):
    """A result that has a picture too, or may have one."""

    __slots__ = ()

    def _repr_svg_(self) -> str | None:
        return cast("str | None", import_module(_DRAWINGS).svg(self))
