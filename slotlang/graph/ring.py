"""Plain vectors evaluated numerically, in any ring that numpy can hold.

One evaluator serves the random method (prime fields, several at once) and encoding (complex doubles).
Values are arrays whose last axis is the slot; leading axes belong to the ring.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
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


class PlainEvaluator:
    """Evaluates plain values of one program in one ring."""

    def __init__(self, program: Program, ring: Ring) -> None:
        self.program = program
        self.ring = ring
        self.all_slots = np.arange(program.slots, dtype=np.int64)
        self._digits: dict[bytes | None, dict[str, Any]] = {None: program.slot_env(self.all_slots)}

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
        return walked(self.steps(value, env, slots))

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
                family = self.program.families[name]
                inner = family.env([int(evaluate(i, self.program.sizes, env)) for i in indices])
                return (yield self.steps(family.body, inner, slots))
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

    def _holds(self, cond: Cond, env: Mapping[str, Any], slots: Slots) -> npt.NDArray[np.bool_]:
        truth = holds(cond, self.program.sizes, self._here(env, slots))
        return np.broadcast_to(np.asarray(truth, bool), slots.shape)

    def _flat(
        self,
        indices: tuple[Int, ...],
        shape: tuple[int, ...],
        env: Mapping[str, Any],
        slots: Slots,
        else_zero: bool,
    ) -> tuple[Slots, npt.NDArray[np.bool_] | None]:
        here = self._here(env, slots)
        flat: Any = 0
        inside: Any = None
        for index, size in zip(indices, shape, strict=True):
            at = evaluate(index, self.program.sizes, here)
            if else_zero:
                good = (at >= 0) & (at < size)
                inside = good if inside is None else inside & good
                at = np.where(good, at, 0)
            flat = flat * size + at
        flat = np.broadcast_to(np.asarray(flat, np.int64), slots.shape)
        return flat, None if inside is None else np.broadcast_to(np.asarray(inside, bool), slots.shape)


def evaluations(program: Program, value: Value, known: dict[str, int], reading: int = 1) -> int:
    """Operations on vectors that ``PlainEvaluator.value`` takes, about: families are evaluated through their
    definitions. ``known`` keeps those of families. A read of a tensor counts as ``reading`` operations."""
    for name in in_order(program.families, value, known):
        known[name] = _evaluations(program, program.families[name].body, known, reading)
    return _evaluations(program, value, known, reading)


def _evaluations(program: Program, value: Value, known: Mapping[str, int], reading: int) -> int:
    match value:
        case SumOver(extent=extent, body=body):
            return int(evaluate(extent, program.sizes, {})) * _evaluations(program, body, known, reading)
        case Read() | Element():
            return reading
        case FamilyRef(name):
            return known[name]
        case _:
            return 1 + sum(_evaluations(program, child, known, reading) for child in children(value))


def plain_vector(schedule: Schedule, evaluator: PlainEvaluator, family: PlainFamily, indices: tuple[int, ...]) -> Any:
    """The content of one plaintext of a schedule, shape (..., slots) or broadcastable to it."""
    env = {loop.var: v for loop, v in zip(family.loops, indices, strict=True)}
    slots = evaluator.all_slots
    ring = evaluator.ring
    value = ring.const(Fraction(1), Fraction(0)) if family.body is None else evaluator.value(family.body, env, slots)
    for mask, shift in family.masks:
        stage = schedule.networks[mask.network].stages[mask.stage]
        sizes = schedule.program.sizes
        step = stage.steps[int(evaluate(mask.index, sizes, env))]
        chosen = np.roll(stage.mask(step), -int(evaluate(shift, sizes, env)))
        value = ring.masked(value, chosen)
    return value
