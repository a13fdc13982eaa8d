"""Plain vectors evaluated numerically, in any ring that numpy can hold.

One evaluator serves the random method (prime fields, several at once) and encoding (complex doubles).
Values are arrays whose last axis is the slot; leading axes belong to the ring.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping
from fractions import Fraction
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from slotlang.meaning.deep import Steps, in_order, walked
from slotlang.meaning.integers import Cond, Int, evaluate, holds
from slotlang.meaning.program import Program
from slotlang.meaning.value import (
    Arith,
    Conj,
    Const,
    Element,
    FamilyRef,
    Iverson,
    Negate,
    Permuted,
    Read,
    ScalarRef,
    Shift,
    SumOver,
    TensorForm,
    Value,
    children,
)
from slotlang.schedule.ops import PlainFamily, Schedule

Slots = npt.NDArray[np.int64]

MAX_REMEMBERED = 1 << 29
"""Bytes of members' values that one evaluation remembers, about; of more, those read last."""


class Ring(Protocol):
    """Arithmetic on arrays of ring elements."""

    def const(self, re: Fraction, im: Fraction) -> Any:
        """A constant, broadcastable over slots."""

    def scalar(self, name: str) -> Any:
        """The value of a declared scalar."""

    def gather(self, tensor: str, flat: Slots) -> Any:
        """Elements of a declared tensor at flat positions, one per slot."""

    def element(self, form: TensorForm, flat: Slots) -> Any:
        """Elements of a tensor expression at flat positions."""

    def add(self, a: Any, b: Any) -> Any:
        """a + b."""

    def sub(self, a: Any, b: Any) -> Any:
        """a - b."""

    def mul(self, a: Any, b: Any) -> Any:
        """a * b."""

    def conj(self, a: Any) -> Any:
        """Complex conjugate."""

    def masked(self, a: Any, mask: npt.NDArray[np.bool_]) -> Any:
        """``a`` where the mask holds, else 0."""


class Operators:
    """The part of a ring whose elements have ``+ - *``."""

    def add(self, a: Any, b: Any) -> Any:
        """a + b."""
        return a + b

    def sub(self, a: Any, b: Any) -> Any:
        """a - b."""
        return a - b

    def mul(self, a: Any, b: Any) -> Any:
        """a * b."""
        return a * b


def unary(ring: Ring, kind: str, value: Any) -> Any:
    """What an operator that works slot by slot makes of one operand; ``kind`` as nodes of the graph have it."""
    match kind:
        case "neg":
            return ring.sub(ring.const(Fraction(0), Fraction(0)), value)
        case "conj":
            return ring.conj(value)
        case "relinearize":
            return value
        case _:
            raise AssertionError(kind)


class _Remembered:
    """Values of members, for as long as one evaluation lasts: the ones read last, up to ``MAX_REMEMBERED``."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._values: OrderedDict[object, Any] = OrderedDict()
        self._bytes = 0

    def get(self, key: object) -> Any:
        """A value, or None where it is not remembered."""
        if key not in self._values:
            return None
        self._values.move_to_end(key)
        return self._values[key]

    def keep(self, key: object, value: Any) -> None:
        """Remember a value, and forget those that were not read for the longest time."""
        self._values[key] = value
        self._bytes += self._size(value)
        while self._bytes > MAX_REMEMBERED and len(self._values) > 1:
            self._bytes -= self._size(self._values.popitem(last=False)[1])

    def _size(self, value: Any) -> int:
        # what is no array is taken for one complex number a slot
        return int(getattr(value, "nbytes", 16 * self._slots))


def mentions(value: Value) -> Iterator[str]:
    """Names of the families that a value mentions, once for each mention; twice inside a sum, which may read one
    member at each of its terms."""
    waiting = [(value, 1)]
    while waiting:
        part, times = waiting.pop()
        if isinstance(part, FamilyRef):
            yield from [part.name] * times
        times = 2 if isinstance(part, SumOver) else times
        waiting.extend((child, times) for child in children(part))


class PlainEvaluator:
    """Evaluates plain values of one program in one ring.

    A family that is mentioned more than once may be read along a number of ways that grows exponentially with its
    members, so each of these members is evaluated once in one evaluation.
    """

    def __init__(self, program: Program, ring: Ring) -> None:
        self.program = program
        self.ring = ring
        self.all_slots = np.arange(program.slots, dtype=np.int64)
        self._digits: dict[bytes | None, dict[str, Any]] = {None: program.slot_env(self.all_slots)}
        self._remembered = _Remembered(program.slots)

    @cached_property
    def _shared(self) -> frozenset[str]:
        """Families that are mentioned more than once."""
        bodies = (family.body for family in self.program.families.values())
        found = Counter(name for body in bodies for name in mentions(body))
        return frozenset(name for name, times in found.items() if times > 1)

    def _env(self, slots: Slots) -> Mapping[str, Any]:
        return self._digits[None] if slots is self.all_slots else self.program.slot_env(slots)

    def _here(self, env: Mapping[str, Any], slots: Slots) -> Mapping[str, Any]:
        """Loop variables, digits and the slot."""
        return {**self._env(slots), **env}

    def _elements(self, form: TensorForm, flat: Slots) -> Any:
        return self.ring.element(form, flat)

    def value(self, value: Value, env: Mapping[str, Any], slots: Slots) -> Any:
        """``value`` at the given slots, loop variables given by ``env``. Ciphertext families are evaluated
        through their definitions, so this is also the reference meaning of any value. For the value of a theorem, which
        does not depend on slots, ``env`` has an array of indices, and ``slots`` one of the same length."""
        # data may differ from one evaluation to the next
        self._remembered = _Remembered(self.program.slots)
        try:
            return walked(self.steps(value, env, slots))
        finally:
            self._remembered = _Remembered(self.program.slots)

    def steps(self, value: Value, env: Mapping[str, Any], slots: Slots) -> Any:
        """``value`` as a walk, or at once where it reads no family and computes nothing. Subclasses change it."""
        ring = self.ring
        match value:
            case Const(re, im):
                return ring.const(re, im)
            case ScalarRef(name):
                return ring.scalar(name)
            case Iverson(cond):
                return ring.masked(ring.const(Fraction(1), Fraction(0)), self._holds(cond, env, slots))
            case Read(tensor, indices, else_zero):
                shape = self.program.tensors[tensor].shape
                flat, inside = self._flat(indices, shape, env, slots, else_zero)
                elements = ring.gather(tensor, flat)
                return elements if inside is None else ring.masked(elements, inside)
            case Element(form, indices, else_zero):
                flat, inside = self._flat(indices, form.shape, env, slots, else_zero)
                elements = self._elements(form, flat)
                return elements if inside is None else ring.masked(elements, inside)
            case Shift(inner_value, amount):
                step = int(evaluate(amount, self.program.sizes, env)) % self.program.slots
                moved = slots if step == 0 else (slots + step) % self.program.slots
                return self.steps(inner_value, env, moved)
            case Permuted(inner_value, name, inverse):
                destination = self.program.permutations[name].destination
                if inverse:
                    return self.steps(inner_value, env, destination[slots])
                source = np.empty_like(destination)
                source[destination] = self.all_slots
                return self.steps(inner_value, env, source[slots])
            case _:
                return self._operation(value, env, slots)

    def _operation(self, value: Value, env: Mapping[str, Any], slots: Slots) -> Steps[Any]:
        ring = self.ring
        match value:
            case FamilyRef(name, indices):
                places = tuple(int(evaluate(i, self.program.sizes, env)) for i in indices)
                if name in self._shared:
                    return (yield from self._once(name, places, slots))
                family = self.program.families[name]
                return (yield self.steps(family.body, family.env(places), slots))
            case Negate(inner_value):
                return unary(ring, "neg", (yield self.steps(inner_value, env, slots)))
            case Conj(inner_value):
                return unary(ring, "conj", (yield self.steps(inner_value, env, slots)))
            case Arith(op, left, right):
                a = yield self.steps(left, env, slots)
                b = yield self.steps(right, env, slots)
                return (ring.add if op == "+" else ring.sub if op == "-" else ring.mul)(a, b)
            case SumOver(var, extent, _, _, body):
                total: Any = None
                for v in range(int(evaluate(extent, self.program.sizes, {}))):
                    part = yield self.steps(body, {**env, var: v}, slots)
                    total = part if total is None else ring.add(total, part)
                return total
            case _:
                raise AssertionError(value)

    def _once(self, name: str, indices: tuple[int, ...], slots: Slots) -> Steps[Any]:
        """A member at some slots, by what is remembered of it."""
        if slots is not self.all_slots and len(slots) >= self.program.slots:
            # rotations by many steps read one member at as many places: what it holds at all slots tells all of them
            whole = yield from self._once(name, indices, self.all_slots)
            if isinstance(whole, np.ndarray):
                return whole[..., slots] if whole.ndim and whole.shape[-1] > 1 else whole
        key = (name, indices, None if slots is self.all_slots else slots.tobytes())
        value = self._remembered.get(key)
        if value is None:
            family = self.program.families[name]
            value = yield self.steps(family.body, family.env(indices), slots)
            self._remembered.keep(key, value)
        return value

    def _holds(self, cond: Cond, env: Mapping[str, Any], slots: Slots) -> npt.NDArray[np.bool_]:
        truth: npt.NDArray[np.bool_] = np.asarray(holds(cond, self.program.sizes, self._here(env, slots)), bool)
        return truth if truth.shape == slots.shape else np.broadcast_to(truth, slots.shape)

    def _flat(
        self,
        indices: tuple[Int, ...],
        shape: tuple[int, ...],
        env: Mapping[str, Any],
        slots: Slots,
        else_zero: bool,
    ) -> tuple[Slots, npt.NDArray[np.bool_] | None]:
        here = self._here(env, slots)
        flat: Any = None
        inside: Any = None
        for index, size in zip(indices, shape, strict=True):
            at = evaluate(index, self.program.sizes, here)
            if else_zero:
                good = (at >= 0) & (at < size)
                inside = good if inside is None else inside & good
                at = np.where(good, at, 0)
            flat = at if flat is None else flat * size + at
        flat = _spread(np.asarray(0 if flat is None else flat, np.int64), slots)
        return flat, None if inside is None else _spread(np.asarray(inside, bool), slots)


def _spread(values: Any, slots: Slots) -> Any:
    """Values for every slot, from what may be one value for all of them."""
    return values if values.shape == slots.shape else np.broadcast_to(values, slots.shape)


class Evaluations:
    """Counts the operations on vectors that ``PlainEvaluator.value`` takes, about. A read of a tensor counts as
    ``reading`` operations."""

    def __init__(self, program: Program, reading: int = 1) -> None:
        self.program = program
        self.reading = reading
        self._known: dict[str, int] = {}
        self._every = 0

    def of(self, value: Value) -> int:
        """Operations that one value takes."""
        families = self.program.families
        for name in in_order(families, value, self._known):
            family = families[name]
            # a member that is read along many ways is evaluated once
            self._every += family.size * self._count(family.body, {})
            self._known[name] = min(self._count(family.body, self._known), self._every)
        return self._count(value, self._known)

    def _count(self, value: Value, known: Mapping[str, int]) -> int:
        match value:
            case SumOver(extent=extent, body=body):
                return int(evaluate(extent, self.program.sizes, {})) * self._count(body, known)
            case Read() | Element():
                return self.reading
            case FamilyRef(name):
                return known.get(name, 1)
            case _:
                return 1 + sum(self._count(child, known) for child in children(value))


def plain_env(family: PlainFamily, indices: tuple[int, ...]) -> dict[str, int]:
    """The loop variables of one plaintext of a schedule."""
    return {loop.var: v for loop, v in zip(family.loops, indices, strict=True)}


def plain_vector(schedule: Schedule, evaluator: PlainEvaluator, family: PlainFamily, indices: tuple[int, ...]) -> Any:
    """The content of one plaintext of a schedule, shape (..., slots) or broadcastable to it."""
    env, ring = plain_env(family, indices), evaluator.ring
    if family.body is None:
        value = ring.const(Fraction(1), Fraction(0))
    else:
        value = evaluator.value(family.body, env, evaluator.all_slots)
    return masked(schedule, ring, family, env, value)


def masked(schedule: Schedule, ring: Ring, family: PlainFamily, env: Mapping[str, int], value: Any) -> Any:
    """The content of a plaintext from what its body gives: the masks of permutations' networks."""
    for mask, shift in family.masks:
        stage = schedule.networks[mask.network].stages[mask.stage]
        sizes = schedule.program.sizes
        step = stage.steps[int(evaluate(mask.index, sizes, env))]
        chosen = np.roll(stage.mask(step), -int(evaluate(shift, sizes, env)))
        value = ring.masked(value, chosen)
    return value
