"""How much the random tests draw: a sixth in `make test`, the same on every run; everything in `make test-slow`,
anew on every run, which is where what no one thought of is found."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import settings

ALL = os.environ.get("SLOTLANG_EXAMPLES") == "all"

drawn = pytest.mark.drawn


def some(number: int, least: int = 10, share: int = 6) -> int:
    """How many of ``number`` are drawn: in `make test` one in ``share``. A test that calls this is marked ``drawn``."""
    return number if ALL else min(number, max(least, number // share))


def one_in(share: int, items: Iterable[Any], name: Callable[[Any], str] = str) -> list[Any]:
    """Parameters for a test that many programs pass for the same reason: one in ``share`` runs always, and the others
    are slow. Others of the program's tests run always. A tuple is several arguments."""
    slow = pytest.mark.slow
    return [
        pytest.param(*(item if isinstance(item, tuple) else (item,)), id=name(item), marks=[slow] * (n % share > 0))
        for n, item in enumerate(items)
    ]


def examples(number: int = 100, share: int = 6, **others: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Hypothesis' settings for a test of ``number`` examples, without a deadline: no test depends on a time."""
    chosen = settings(max_examples=some(number, share=share), deadline=None, derandomize=not ALL, **others)
    return lambda test: drawn(chosen(test))
