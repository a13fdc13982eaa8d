"""Whole numbers for a page in few bytes: a column that repeats or rises evenly takes a few numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from slotlang.show.repetition import divisors

__all__ = ["Column", "Texts", "column", "texts"]

Column: TypeAlias = list[int]
"""``[length, period, start, step, count, start, step, count, ...]``: runs of evenly spaced numbers that fill one
period, which is repeated up to the length. ``start`` is the difference to the start of the run before."""

Texts: TypeAlias = dict[str, object]
"""``templates``: texts with ``\\0`` in place of numbers; ``which``: a column, the template of each text; ``numbers``:
for each template its columns, over the texts that it has."""

_NUMBER = re.compile(r"(?<![0-9.])(?:0|[1-9][0-9]{0,8})(?![0-9.])")


def column(values: Sequence[int] | npt.NDArray[np.int64]) -> Column:
    """The numbers as a column."""
    array = np.asarray(values, np.int64)
    length = len(array)
    if not length:
        return [0, 0]
    period = next(p for p in divisors(length) if bool((array[p:] == array[: length - p]).all()))
    part = array[:period]
    # a run ends where the next difference is another one; the step from one run to the next is in neither
    changes = (np.flatnonzero(np.diff(part, n=2)) + 2).tolist()
    result, start, before = [length, period], 0, 0
    for stop in [*changes, period]:
        if stop < min(start + 2, period):
            continue
        step = int(part[start + 1] - part[start]) if stop > start + 1 else 0
        result += [int(part[start]) - before, step, stop - start]
        before, start = int(part[start]), stop
    return result


def texts(found: Sequence[str]) -> Texts:
    """Texts that differ in their numbers alone share a template."""
    templates: dict[str, int] = {}
    which: list[int] = []
    numbers: list[list[list[int]]] = []
    for text in found:
        clean = text.replace("\0", "")
        number = templates.setdefault(_NUMBER.sub("\0", clean), len(templates))
        which.append(number)
        if number == len(numbers):
            numbers.append([])
        numbers[number].append([int(n) for n in _NUMBER.findall(clean)])
    columns = [[column(part) for part in zip(*rows, strict=True)] for rows in numbers]
    return {"templates": list(templates), "which": column(which), "numbers": columns}
