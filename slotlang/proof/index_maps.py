"""Index expressions found for a table of integers: what a slot and a family's indices are mapped to.

The forms tried are the ones layouts are written in: ``sum of f_v(v)`` over the variables v, or that modulo a number M
plus an offset, each f_v affine or a mixed-radix map ``a * (v % m) + b * (v // s)``, nested. A table is fitted on the
lines through one of its entries, and what was found is compared with all of them: a wrong fit is never returned.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from slotlang.meaning.integers import Int, IntConst, IntOp, IntSize, IntVar, add, divisors, evaluate, mul
from slotlang.meaning.program import Program
from slotlang.meaning.value import Element, Read

Table = npt.NDArray[np.int64]
Known = npt.NDArray[np.bool_]


class Names:
    """Numbers by the names the program uses for them in the same place: ``h % R`` rather than ``h % 8``.

    A name counts where an index of the program uses it with the same operator; of several that do, and of
    sizes that no index uses, none is preferred, and the number stays.
    """

    def __init__(self, program: Program) -> None:
        from slotlang.meaning.value import leaves

        self.sizes = program.sizes
        self._found: dict[tuple[str, int], list[str]] = {}
        for family in program.families.values():
            for leaf in leaves(family.body):
                if isinstance(leaf, Read | Element):
                    for index in leaf.indices:
                        self._visit(index)
        for output in program.outputs:
            for index in output.indices:
                self._visit(index)

    def _visit(self, e: Int) -> None:
        if isinstance(e, IntOp):
            for side in (e.left, e.right):
                if isinstance(side, IntSize):
                    op = "%" if e.op == "//" else "+" if e.op == "-" else e.op
                    names = self._found.setdefault((op, self.sizes[side.name]), [])
                    if side.name not in names:
                        names.append(side.name)
                self._visit(side)

    def __call__(self, op: str, value: int) -> Int:
        """``value`` as the operand of ``op``."""
        names = self._found.get((op, value), [])
        if not names:
            names = sorted({n for (_, v), known in self._found.items() if v == value for n in known})
        return IntSize(names[0]) if len(names) == 1 else IntConst(value)

    def numbers(self) -> list[int]:
        """Values of all sizes above 1, ascending."""
        return sorted({v for v in self.sizes.values() if v > 1})


def fit(table: Table, known: Known, variables: Sequence[tuple[str, int]], names: Names) -> Int | None:
    """An expression in ``variables`` (name, extent; one per axis of ``table``) that gives every known entry; None
    where none of the forms does."""
    if not known.any():
        return None
    base = np.unravel_index(int(np.argmax(known)), table.shape)
    origin = int(table[base])
    low = int(table[known].min())
    span = int(table[known].max()) - low + 1
    grids = dict(
        zip(
            (n for n, _ in variables),
            np.meshgrid(*map(np.arange, table.shape), indexing="ij", sparse=True),
            strict=True,
        )
    )
    for modulus in (None, *(m for m in names.numbers() if m >= span)):
        index = _sum_of_lines(table, known, variables, names, base, origin, modulus)
        if index is None:
            continue
        if modulus is not None:
            index = add(IntOp("%", index, names("%", modulus)), _number(names, low))
        if bool((evaluate(index, names.sizes, grids) == table)[known].all()):
            return index
    return None


def _sum_of_lines(
    table: Table,
    known: Known,
    variables: Sequence[tuple[str, int]],
    names: Names,
    base: tuple[Any, ...],
    origin: int,
    modulus: int | None,
) -> Int | None:
    """``origin`` plus a function of each variable, fitted along the lines through ``base``."""
    total: Int = IntConst(0)
    constant = origin if modulus is None else origin - int(table[known].min())
    for axis, (name, extent) in enumerate(variables):
        if extent == 1:
            continue
        where = tuple(slice(None) if n == axis else base[n] for n in range(len(variables)))
        line = table[where] - origin
        part = _line(line, known[where], IntVar(name), names, modulus)
        if part is None:
            return None
        expression, at_zero = part
        constant += at_zero
        total = expression if total == IntConst(0) else _plus(total, expression)
    if modulus is not None:
        constant %= modulus
    if total == IntConst(0):
        return _number(names, constant)
    return _plus(total, _number(names, constant)) if constant >= 0 else IntOp("-", total, IntConst(-constant))


def _line(line: Table, known: Known, variable: Int, names: Names, modulus: int | None) -> tuple[Int, int] | None:
    """A function of one variable that is 0 at 0, and the constant that is missing; None where no form fits."""
    extent = len(line)
    step = _step(line, known, modulus)
    if step is not None:
        first = int(np.argmax(known)) if known.any() else 0
        return _times(step, variable, names), int(line[first]) - step * first
    radices = [n for n in sorted({*names.numbers(), *divisors(extent)}) if 1 < n < extent]
    for period in radices:
        if _periodic(line, known, period, modulus):
            head, head_known = _folded(line, known, period)
            return _line(head, head_known, IntOp("%", variable, names("%", period)), names, modulus)
    for block in reversed(radices):
        heads = line[np.arange(extent) // block * block]
        heads_known = known & known[np.arange(extent) // block * block]
        step = _step_in_blocks(line - heads, heads_known, block, modulus)
        if step is None:
            continue
        rest = _line(line[::block], known[::block], IntOp("//", variable, names("%", block)), names, modulus)
        if rest is not None:
            digit = _times(step, IntOp("%", variable, names("%", block)), names)
            return _plus(rest[0], digit), rest[1]
    return None


def _same(difference: Table, modulus: int | None) -> Known:
    return np.asarray((difference if modulus is None else difference % modulus) == 0)


def _step(line: Table, known: Known, modulus: int | None) -> int | None:
    """The slope of an affine line, of least magnitude where it counts modulo a number only."""
    places = np.flatnonzero(known)
    if places.size < 2:
        return 0
    pairs = np.flatnonzero(np.diff(places) == 1)
    if not pairs.size:
        return None
    first = int(places[pairs[0]])
    step = int(line[first + 1] - line[first])
    if modulus is not None:
        step = (step + modulus // 2) % modulus - modulus // 2
        step = modulus // 2 if 2 * step == -modulus else step
    expected = line[first] + step * (np.arange(len(line)) - first)
    return step if bool(_same(line - expected, modulus)[known].all()) else None


def _step_in_blocks(inside: Table, known: Known, block: int, modulus: int | None) -> int | None:
    place = np.arange(len(inside)) % block
    ones = np.flatnonzero(known & (place == 1))
    if not ones.size:
        return None
    step = int(inside[ones[0]])
    return step if bool(_same(inside - step * place, modulus)[known].all()) else None


def _periodic(line: Table, known: Known, period: int, modulus: int | None) -> bool:
    both = known[period:] & known[:-period]
    return bool(both.any()) and bool(_same(line[period:] - line[:-period], modulus)[both].all())


def _folded(line: Table, known: Known, period: int) -> tuple[Table, Known]:
    head, head_known = line[:period].copy(), known[:period].copy()
    for start in range(period, len(line), period):
        part, part_known = line[start : start + period], known[start : start + period]
        new = part_known & ~head_known[: len(part)]
        head[: len(part)][new] = part[new]
        head_known[: len(part)] |= new
    return head, head_known


def _times(factor: int, e: Int, names: Names) -> Int:
    if factor in (0, 1):
        return mul(IntConst(factor), e)
    if factor < 0:
        return IntOp("-", IntConst(0), _times(-factor, e, names))
    return IntOp("*", e, names("*", factor))


def _plus(a: Int, b: Int) -> Int:
    """``a + b``, a negated term subtracted."""
    if isinstance(b, IntOp) and b.op == "-" and b.left == IntConst(0):
        return IntOp("-", a, b.right)
    if isinstance(a, IntOp) and a.op == "-" and a.left == IntConst(0):
        return IntOp("-", b, a.right)
    return add(a, b) if a != IntConst(0) else b


def _number(names: Names, value: int) -> Int:
    return names("+", value) if value > 1 else IntConst(value)


__all__ = ["Names", "fit"]
