"""What bodies of functions are interpreted with: names and where they are found, arguments, and steps to spend."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from slotlang.validation import arithmetic
from slotlang.validation.arithmetic import described, kind
from slotlang.validation.language import Outside

MAX_STEPS = 20_000_000
"""Expressions that one function evaluates in one call: some ten seconds."""


class Failed(Exception):
    """What raises an exception when the module runs: the line, and which."""

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(f"{problem} in line {line} of the module")
        self.line = line


@dataclass(frozen=True, eq=False)
class Given(Mapping[Any, Any]):
    """A dict that is an argument: it is looked into, and never changed but by ``pop``, where that is allowed."""

    items_: dict[Any, Any]
    popped: bool = False

    def __getitem__(self, key: Any) -> Any:
        return self.items_[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.items_)

    def __len__(self) -> int:
        return len(self.items_)


@dataclass(frozen=True, eq=False)
class Library:
    """What the name ``np`` stands for: the functions that may be called, each with the number of its arguments; None
    for any number."""

    functions: Mapping[str, tuple[Callable[..., Any], int | None]]


NUMPY = Library(
    {
        "broadcast_to": (arithmetic.broadcast_to, 2),
        "roll": (arithmetic.roll, 2),
        "conj": (arithmetic.conj, 1),
        "argsort": (arithmetic.argsort, 1),
        "logical_not": (arithmetic.logical_not, 1),
        "ndindex": (arithmetic.ndindex, None),
        "minimum": (arithmetic.minimum, 2),
        "maximum": (arithmetic.maximum, 2),
        "where": (arithmetic.where, 3),
    }
)
"""For bodies."""

BUILTINS: Mapping[str, Any] = {"range": range, "reversed": reversed, "sum": sum}
"""What every module can call."""

RANGES = (range, type(reversed(range(1))), type(reversed(range(1 << 70))), np.ndindex)
"""Types of what a loop goes through, beside lists. The last three can be gone through once."""

UNBOUND = object()
"""The value of a name that has none yet, or no longer."""


@dataclass
class Budget:
    """Steps left to a call and to what it calls."""

    steps: int = 0

    def tick(self, line: int, steps: int = 1) -> None:
        """Spend steps. Raises ``Outside``."""
        self.steps += steps
        if self.steps > MAX_STEPS:
            raise Outside(line, f"more than {MAX_STEPS:,} steps")


class Scope:
    """Names of a function or of a comprehension; ``own`` are bound here."""

    def __init__(self, own: Iterable[str], outer: Scope | None) -> None:
        self.values: dict[str, Any] = dict.fromkeys(own, UNBOUND)
        self.outer = outer


def bound_names(statements: list[ast.stmt]) -> Iterator[str]:
    """Names that statements bind, those in comprehensions left out."""
    for statement in statements:
        targets: list[ast.expr] = []
        match statement:
            case ast.Assign(targets=targets) | ast.Delete(targets=targets):
                pass
            case ast.For(target=target, body=body):
                targets = [target]
                yield from bound_names(body)
        for target in targets:
            yield from target_names(target)


def target_names(target: ast.expr) -> list[str]:
    """Names that an assignment or a loop binds."""
    match target:
        case ast.Name(id=name):
            return [name]
        case ast.Tuple(elts=parts):
            return [name for part in parts for name in target_names(part)]
    return []


def described_value(value: Any) -> str:
    """A value in words, for messages."""
    if isinstance(value, Given):
        return "an argument"
    if value is None:
        return "a ciphertext or plaintext that is zero"
    return described(value) if kind(value) or not callable(value) else "a function"
