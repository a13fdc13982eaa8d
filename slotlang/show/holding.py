"""What one slot holds, in words: the product of a layout, a complex pair, a sum of many products."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from slotlang.show.symbolic import Atoms, Polynomial, Polynomials
from slotlang_runtime.amounts import count_of

__all__ = ["MAX_WRITTEN", "Holding", "holding", "many"]

MAX_WRITTEN = 4
"""Longest sum that is written out."""


@dataclass(frozen=True, slots=True)
class Holding:
    """``text`` reads like the program, ``short`` fits a cell. ``products``: how many products are added up,
    at most that many unless ``counted``."""

    products: int
    text: str
    short: str
    counted: bool = True

    @property
    def empty(self) -> bool:
        """Whether the slot is known to hold 0."""
        return not self.products


def many(products: int) -> Holding:
    """A sum too long to be multiplied out."""
    return Holding(products, f"sum of up to {count_of(products, 'product')}", count_of(products, "product"), False)


def holding(contents: Polynomials, k: int) -> Holding:
    """What the k-th slot holds. Two slots with the same text hold the same when the sum is written out."""
    size = contents.size(k)
    if not size:
        return Holding(0, "0", "0")
    if size > MAX_WRITTEN:
        first = contents.polynomial(k, 1)
        return Holding(
            size,
            f"sum of {count_of(size, 'product')}, e.g. {_sum(contents.atoms, first, False)}",
            f"{_sum(contents.atoms, first, True)} + {size - 1:,} more",
        )
    polynomial = contents.polynomial(k)
    return Holding(size, _sum(contents.atoms, polynomial, False), _sum(contents.atoms, polynomial, True))


def _sum(atoms: Atoms, polynomial: Polynomial, compact: bool) -> str:
    """The polynomial, with the factors that all its products share in front."""
    times = "*" if compact else " * "
    if len(polynomial) == 1:
        return _product(atoms, *polynomial[0], compact)
    shared = Counter(polynomial[0][0])
    for product, _, _ in polynomial[1:]:
        shared &= Counter(product)
    number = Fraction(1)
    sizes = {abs(part) for _, re, im in polynomial for part in (re, im) if part}
    if len(sizes) == 1 and sizes != {Fraction(1)}:
        (number,) = sizes
    text = ""
    for product, re, im in polynomial:
        rest = tuple((Counter(product) - shared).elements())
        part = _product(atoms, rest, re / number, im / number, compact)
        if not text:
            text = part
        else:
            text += f" - {part[1:]}" if part.startswith("-") else f" + {part}"
    front = ([] if number == 1 else [str(number)]) + [atoms.text(a, compact) for a in sorted(shared.elements())]
    return times.join([*front, f"({text})"]) if front else text


def _product(atoms: Atoms, product: Sequence[int], re: Fraction, im: Fraction, compact: bool) -> str:
    names = [atoms.text(a, compact) for a in product]
    number = _number(re, im)
    if names and number in ("1", "-1"):
        names[0] = number[:-1] + names[0]
    elif names and re and im:
        names.insert(0, f"({number})")
    else:
        names.insert(0, number)
    return ("*" if compact else " * ").join(names)


def _number(re: Fraction, im: Fraction) -> str:
    """A constant as the language writes it: ``-1/2``, ``1i``, ``1/2 * 1i``, ``3 - 2i``."""
    if not im:
        return str(re)
    size = f"{abs(im)}i" if im.denominator == 1 else f"{abs(im)} * 1i"
    if not re:
        return f"-{size}" if im < 0 else size
    return f"{re} {'-' if im < 0 else '+'} {size}"
