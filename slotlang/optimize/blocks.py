"""Plaintexts of several slots side by side: what a block of slots holds is what the first block would hold at another
index."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from slotlang.optimize.rewriting import (
    Subject,
    binary,
    inlined,
    mapped,
    name,
    nowhere,
    number,
    product,
    shift_of,
    step_of,
    substituted,
    summed,
    terms,
)
from slotlang.syntax import tree
from slotlang.syntax.walk import names, nodes, rebuilt


class Unmovable(Exception):
    """What can't be said for another block of slots."""


def scaled(e: tree.Expr, *factors: tree.Expr) -> tree.Expr:
    """A product, without factors of 1."""
    for factor in factors:
        if factor != number(1, factor):
            e = factor if e == number(1, e) else binary("*", e, factor)
    return e


@dataclass(frozen=True)
class Digit:
    """A name for a part of a slot's number: ``slot // weight % extent``."""

    name: tree.Name
    weight: int
    size: int
    extent: tree.Expr

    @property
    def end(self) -> int:
        """Slots after which the digit starts again."""
        return self.weight * self.size


def digits(subject: Subject) -> list[Digit]:
    """The names of parts of a slot's number, ``slot`` first, and outer ones last."""
    header, slots = subject.program.header, subject.slots
    found = [Digit(name("slot", header), 1, slots, number(slots, name("slot", header)))]
    for s in subject.program.statements:
        if isinstance(s, tree.Axes):
            weight = slots
            for binder in s.binders:
                size = subject.value(binder.extent)
                if not size:
                    raise Unmovable(f"the extent of {binder.name} is not a number")
                weight //= size
                found.append(Digit(name(binder.name, header), weight, size, binder.extent))
    return sorted(found, key=lambda digit: digit.weight)


def unrotated(subject: Subject, e: tree.Expr) -> tree.Expr:
    """A plaintext without families, its rotations written as other slots. Raises ``Unmovable``."""

    def change(part: Any) -> Any:
        turn = shift_of(part) if isinstance(part, tree.Binary) else None
        if turn is None:
            return part
        values: dict[str, tree.Expr] = {}
        for digit in digits(subject):
            if digit.name.name in names(turn[0]) and _units(subject, turn[1], digit.end) is None:
                amount = _units(subject, turn[1], digit.weight)
                if amount is None or digit.end != subject.slots:
                    raise Unmovable("a plaintext is rotated, and not by whole digits")
                values[digit.name.name] = binary("%", binary("+", digit.name, amount), digit.extent)
        return substituted(turn[0], values)

    return mapped(e, change)  # type: ignore[no-any-return]


def _units(subject: Subject, amount: tree.Expr, weight: int) -> tree.Expr | None:
    """An amount in units of ``weight`` slots; None where it may not be a whole number of them."""
    found = []
    for sign, term in terms(amount):
        factors = product(term)
        for n, factor in enumerate(factors):
            value = subject.value(factor)
            if weight == 1 or (value is not None and value % weight == 0):
                if weight > 1:
                    assert value is not None
                    factors[n] = number(value // weight, factor)
                found.append((sign, scaled(*factors)))
                break
        else:
            return None
    return summed(found)


def tidy(subject: Subject, e: tree.Expr) -> tree.Expr:
    """Remainders of remainders, and of sums of remainders, said once."""

    def change(part: Any) -> Any:
        if not (isinstance(part, tree.Binary) and part.op == "%"):
            return part
        left, modulus = part.left, subject.value(part.right)
        if isinstance(left, tree.Binary) and left.op == "%" and modulus:
            smaller = subject.value(left.right)
            if smaller and smaller <= modulus:
                return left
        flat: list[tuple[int, tree.Expr]] = []
        for sign, term in terms(left):
            inner = isinstance(term, tree.Binary) and term.op == "%" and term.right == part.right
            for other, t in terms(term.left) if inner and isinstance(term, tree.Binary) else [(1, term)]:
                opposite = (-sign * other, t)
                if opposite in flat:
                    flat.remove(opposite)
                else:
                    flat.append((sign * other, t))
        if flat == terms(left):
            return part
        return replace(part, left=summed(flat) or number(0, left), span=nowhere(part.span))

    return mapped(e, change)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Blocks:
    """Slots in blocks of ``rows*step``, numbered 0 to ``count - 1`` and again from 0.

    ``at`` takes what depends on an index and the slot, for the index r*rows + s and the slot of equal place in the
    first block, where r numbers the block that the slot is in; s is then called as the index was. ``height`` and
    ``width`` are the values of ``rows`` and ``step``. ``right``: the index counts rotations to the right, so the last
    block is number 1, and each number has one block. ``alike``: where the numbers start again, the slots are to hold
    the same again, and not what stands there.
    """

    subject: Subject
    rows: tree.Expr
    step: tree.Expr
    height: int
    width: int
    count: int
    right: bool = False
    alike: bool = True

    @property
    def turn(self) -> int:
        """Slots from a block to the next one of the same number."""
        return self.count * self.height * self.width

    @property
    def once(self) -> bool:
        """Whether every number has one block."""
        return self.turn == self.subject.slots

    @cached_property
    def _digits(self) -> list[Digit]:
        return digits(self.subject)

    def _length(self, weight: int) -> tree.Expr | None:
        """A block's slots in units of ``weight``; None where a block has no whole number of them."""
        if self.width % weight:
            whole = self.height * self.width
            return None if whole % weight else number(whole // weight, self.rows)
        if weight == 1:
            return scaled(self.rows, self.step)
        return scaled(self.rows, number(self.width // weight, self.rows))

    def _counting(self) -> list[tuple[Digit, tree.Expr]]:
        """Digits that count the blocks, with a block's length: over all slots first, then over one turn."""
        ends = (self.subject.slots, self.turn) if not self.once else (self.turn,)
        found = [(digit, self._length(digit.weight), end) for end in ends for digit in self._digits if digit.end == end]
        return [(digit, length) for digit, length, _ in found if length is not None]

    def _over(self, digit: Digit, length: tree.Expr) -> tree.Expr:
        """The number of the block, counted from the left, from a digit that counts them."""
        quotient = digit.name if length == number(1, length) else binary("//", digit.name, length)
        return quotient if digit.end == self.turn else binary("%", quotient, number(self.count, quotient))

    def number(self) -> tree.Expr:
        """Of the block that a slot is in."""
        choices = self._counting()[::-1]
        digit, length = next((c for c in choices if c[0].weight == self.width), choices[0])
        block = self._over(digit, length)
        if self.right:
            all_blocks = number(self.count, block)
            return binary("%", binary("-", all_blocks, block), all_blocks)
        return block

    def _places(self) -> dict[str, tree.Expr]:
        """Digits of the slot of equal place in the first block, by name; those that are the same are left out."""
        counting = {digit.name.name: length for digit, length in self._counting()}
        moved: dict[str, tree.Expr] = {}
        for digit in self._digits:
            name_, length = digit.name.name, counting.get(digit.name.name)
            if length is not None and not self.alike and digit.end != self.turn:
                moved[name_] = binary("-", digit.name, scaled(self._over(digit, length), length))
            elif length is not None:
                one = length == number(1, length)
                moved[name_] = number(0, length) if one else binary("%", digit.name, length)
            elif self.height * self.width % digit.end and (self.alike or digit.weight % self.turn):
                slot = moved["slot"]
                quotient = slot if digit.weight == 1 else binary("//", slot, number(digit.weight, slot))
                moved[name_] = binary("%", quotient, number(digit.size, slot))
        return moved

    def at(self, e: tree.Expr, index: str) -> tree.Expr:
        """What a plaintext without families says, for the index and place of each block."""
        if any(isinstance(p, tree.Permute) for p in nodes(e)):
            raise Unmovable("a plaintext is permuted")
        e = tidy(self.subject, unrotated(self.subject, e))
        values = {**self._places(), index: binary("+", scaled(self.number(), self.rows), name(index, e))}
        counting = {digit.name.name: digit for digit, _ in self._counting()}

        def change(part: Any, modulus: int | None = None) -> Any:
            if isinstance(part, tree.Name):
                return values.get(part.name, part)
            if isinstance(part, tree.Binary) and part.op == "%":
                left = change(part.left, self.subject.value(part.right))
                return replace(part, left=left, right=change(part.right))
            if isinstance(part, tree.Binary) and part.op in ("+", "-"):
                # h + q of a block's place and index is h + q of the slot itself; h - q to the right, up to whole turns
                parts = terms(part)
                kept = self._pair(parts, index, counting, modulus)
                new = summed([(sign, t if n in kept else change(t)) for n, (sign, t) in enumerate(parts)])
                assert new is not None
                return new
            return rebuilt(part, change)

        return tidy(self.subject, change(e))

    def _pair(
        self, parts: list[tuple[int, tree.Expr]], index: str, counting: dict[str, Digit], modulus: int | None
    ) -> tuple[int, ...]:
        """Places, among terms, of a digit and of the index times a step that count the same slots. ``modulus``: what
        the remainder of the sum is taken by."""
        for n, (sign, digit) in enumerate(parts):
            counted = counting.get(digit.name) if isinstance(digit, tree.Name) else None
            if counted is None or (self.right and (not modulus or counted.size % modulus)):
                continue
            for m, (other, term) in enumerate(parts):
                step = step_of(term, index)
                width = None if step is None else self.subject.value(step)
                if width is not None and width * counted.weight == self.width and (sign != other) is self.right:
                    return n, m
        return ()

    def guarded(self, e: tree.Expr, index: str, extent: tree.Expr) -> tree.Expr:
        """A plaintext where the index of its block is below an extent, and 0 elsewhere."""
        inside = tree.Compare(("<",), (self.at(name(index, e), index), extent), nowhere(e.span))

        def padded(part: tree.Expr) -> tree.Expr:
            return tree.Index(part.base, part.indices, True, part.span) if isinstance(part, tree.Index) else part

        return binary("*", tree.Bracket(inside, nowhere(e.span)), mapped(e, padded))


def without_families(subject: Subject, e: tree.Expr) -> tree.Expr:
    """A plaintext with the families in it written out."""
    for family in reversed(subject.families.values()):
        if family.name in names(e):
            e = inlined(e, family)
    return e
