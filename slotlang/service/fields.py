"""Plain data from outside, read field by field: a field that is missing or of another kind is said by its name."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from typing import Any


class Wrong(ValueError):
    """What is wrong with plain data, in words that fit into a sentence."""


class Fields:
    """An object of JSON; ``where``: its own place, for messages. Raises Wrong for anything that is not as asked."""

    def __init__(self, values: Any, where: str = "") -> None:
        self.where = where
        if not isinstance(values, dict):
            raise Wrong(f"{where or 'it'} is not an object")
        self.values: Mapping[str, Any] = values

    def _place(self, name: str) -> str:
        return f"{self.where}.{name}" if self.where else name

    def _of(self, name: str, kind: type | tuple[type, ...], words: str) -> Any:
        if name not in self.values:
            raise Wrong(f"`{self._place(name)}` is missing")
        value = self.values[name]
        kinds = kind if isinstance(kind, tuple) else (kind,)
        # a flag is not a number
        if type(value) not in kinds:
            raise Wrong(f"`{self._place(name)}` is not {words}")
        return value

    def text(self, name: str) -> str:
        """A text."""
        value: str = self._of(name, str, "a text")
        return value

    def optional_text(self, name: str) -> str | None:
        """A text, or None where there is none."""
        return None if self.values.get(name) is None else self.text(name)

    def whole(self, name: str) -> int:
        """A whole number, not negative."""
        value: int = self._of(name, int, "a whole number")
        if not 0 <= value < 1 << 62:
            raise Wrong(f"`{self._place(name)}` is not a whole number from 0")
        return value

    def number(self, name: str) -> float:
        """A finite number."""
        value = math.inf
        with suppress(OverflowError):
            value = float(self._of(name, (int, float), "a number"))
        if not math.isfinite(value):
            raise Wrong(f"`{self._place(name)}` is not a finite number")
        return value

    def flag(self, name: str) -> bool:
        """True or false."""
        value: bool = self._of(name, bool, "true or false")
        return value

    def part(self, name: str) -> Fields:
        """An object."""
        return Fields(self._of(name, dict, "an object"), self._place(name))

    def _list(self, name: str) -> list[Any]:
        value: list[Any] = self._of(name, list, "a list")
        return value

    def count(self, name: str) -> int:
        """The entries of a list, none of which is looked at."""
        return len(self._list(name))

    def parts(self, name: str) -> list[Fields]:
        """A list of objects."""
        return [Fields(value, f"{self._place(name)}[{n}]") for n, value in enumerate(self._list(name))]

    def wholes(self, name: str) -> list[int]:
        """A list of whole numbers."""
        values = self._list(name)
        if any(type(value) is not int or abs(value) >= 1 << 62 for value in values):
            raise Wrong(f"`{self._place(name)}` is not a list of whole numbers")
        return values

    def text_list(self, name: str) -> list[str]:
        """A list of texts."""
        values = self._list(name)
        if any(type(value) is not str for value in values):
            raise Wrong(f"`{self._place(name)}` is not a list of texts")
        return values

    def texts(self) -> dict[str, str]:
        """All fields, which are texts."""
        return {name: self.text(name) for name in self.values}

    def numbers(self) -> dict[str, float]:
        """All fields, which are finite numbers."""
        return {name: self.number(name) for name in self.values}
