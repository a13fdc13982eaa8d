"""A program's families as normal forms: every definition read literally, nothing scheduled.

Families that the emitted module was found to compute are atoms: later definitions speak of them by name, so forms
stay as small as one statement.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from functools import reduce
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from slotlang.graph.ring import Operators, PlainEvaluator, Slots
from slotlang.meaning.integers import evaluate, holds
from slotlang.meaning.program import Family, Program
from slotlang.meaning.value import Arith, Conj, FamilyRef, Negate, Permuted, Shift, SumOver, TensorForm, Value
from slotlang.validation.normal_form import Form, Forms
from slotlang.validation.symbolic import Tensor, Vector, vector

Member: TypeAlias = tuple[str, tuple[int, ...]]


def declared(program: Program, name: str) -> Tensor:
    """A declared tensor, zero outside its pattern when it is sparse."""
    decl = program.tensors[name]
    pattern = None
    if decl.pattern is not None:
        places = np.indices(decl.shape)
        env = dict(zip(decl.indices, places, strict=True))
        pattern = np.broadcast_to(np.asarray(holds(decl.pattern, program.sizes, env), bool), decl.shape)
    return Tensor(decl.shape, [(1 + 0j, (), (name,))], pattern)


def scalar(name: str) -> Tensor:
    """A declared scalar."""
    return Tensor((), [(1 + 0j, (), (name,))])


class Expressions(Operators):
    """The ring of expressions in tensor elements, for ``PlainEvaluator``."""

    def __init__(self, program: Program) -> None:
        self._tensors = {name: declared(program, name) for name in program.tensors}
        self._forms: dict[TensorForm, Tensor] = {}

    def const(self, re: Fraction, im: Fraction) -> Any:
        """A number."""
        return vector(complex(float(re), float(im)))

    def scalar(self, name: str) -> Any:
        """A scalar."""
        return scalar(name).item()

    def gather(self, tensor: str, flat: Slots) -> Any:
        """Elements of a tensor."""
        return self._tensors[tensor].at(flat)

    def element(self, form: TensorForm, flat: Slots) -> Any:
        """Elements of a tensor expression."""
        if form not in self._forms:
            total: Tensor | None = None
            for chain in form.chains:
                part: Any = None
                for factor in chain.factors:
                    tensor = self._tensors[factor.tensor]
                    tensor = tensor.T if factor.transposed else tensor
                    part = tensor if part is None else part @ tensor
                for name in chain.scalars:
                    part = scalar(name) * part
                part = part * float(chain.coefficient)
                total = part if total is None else total + part
            assert total is not None
            self._forms[form] = total
        return self._forms[form].at(flat)

    def conj(self, a: Any) -> Any:
        """Conjugate."""
        return a.conj()

    def masked(self, a: Any, mask: npt.NDArray[np.bool_]) -> Any:
        """``a`` where the mask holds, else 0."""
        return a.scaled(mask)


class ProgramForms:
    """Forms of a program's ciphertext families. ``atoms`` are members whose form is one vector by now."""

    def __init__(self, program: Program, forms: Forms) -> None:
        self.program = program
        self.forms = forms
        self.atoms: dict[Member, Form] = {}
        self._expressions = PlainEvaluator(program, Expressions(program))
        self._known: dict[Member, Form] = {}
        self._plain: dict[Member, Form] = {}

    def members(self, family: Family) -> Iterator[Member]:
        """Every member of a family."""
        return ((family.name, point) for point in family.points())

    def packed(self, member: Member) -> Vector:
        """What the client puts into a ciphertext."""
        name, indices = member
        family = self.program.families[name]
        env = family.env(indices)
        found: Vector = vector(self._expressions.value(family.body, env, self._expressions.all_slots))
        return found

    def member(self, member: Member) -> Form:
        """A member by its definition, in terms of atoms."""
        if member in self.atoms:
            return self.atoms[member]
        if member not in self._known:
            name, indices = member
            family = self.program.families[name]
            if family.kind == "cipher":
                self._known[member] = self.forms.vector(self.packed(member))
            else:
                self._known[member] = self.of_family(family, indices)
        return self._known[member]

    def of_family(self, family: Family, indices: tuple[int, ...]) -> Form:
        """A member of a family that is computed, or that is made of the program's families, by its definition."""
        if self.program.families.get(family.name) is family and (family.name, indices) in self.atoms:
            return self.atoms[family.name, indices]
        env = family.env(indices)
        return self._value(family.body, env)

    def _value(self, value: Value, env: Mapping[str, int]) -> Form:
        forms, sizes = self.forms, self.program.sizes
        if isinstance(value, FamilyRef) and self.program.families[value.name].kind != "plain":
            return self.member((value.name, tuple(int(evaluate(i, sizes, env)) for i in value.indices)))
        if not self.program.encrypted(value):
            return self._plaintext(value, env)
        match value:
            case Negate(inner):
                return forms.scaled(self._value(inner, env), -1)
            case Conj(inner):
                return forms.conjugated(self._value(inner, env))
            case Arith("*"):
                plain = [f for f in _factors(value) if not self.program.encrypted(f)]
                result = self._plaintext(reduce(_times, plain), env) if plain else None
                for factor in _factors(value):
                    if self.program.encrypted(factor):
                        other = self._value(factor, env)
                        result = other if result is None else forms.product(other, result)
                assert result is not None
                return result
            case Arith(op, left, right):
                total = dict(self._value(left, env))
                forms.accumulate(total, self._value(right, env), 1 if op == "+" else -1)
                return total
            case Shift(inner, amount):
                return forms.rotated(self._value(inner, env), int(evaluate(amount, sizes, env)))
            case SumOver(var, extent, _, _, body):
                total = {}
                for v in range(int(evaluate(extent, sizes, {}))):
                    forms.accumulate(total, self._value(body, {**env, var: v}))
                return total
            case Permuted(inner, name, inverse):
                destination = self.program.permutations[name].destination
                source = destination if inverse else np.argsort(destination)
                return forms.permuted(self._value(inner, env), source)
            case _:
                raise AssertionError(value)

    def _plaintext(self, value: Value, env: Mapping[str, int]) -> Form:
        """A plain value; members of plain families are looked up, for sums ask for each many times."""
        key: Member | None = None
        if isinstance(value, FamilyRef):
            key = value.name, tuple(int(evaluate(i, self.program.sizes, env)) for i in value.indices)
            if key in self._plain:
                return self._plain[key]
        found = self.forms.vector(vector(self._expressions.value(value, env, self._expressions.all_slots)))
        if key is not None:
            self._plain[key] = found
        return found


def _factors(value: Value) -> list[Value]:
    """Operands of a product of products; plaintexts among them are one plaintext."""
    if isinstance(value, Arith) and value.op == "*":
        return _factors(value.left) + _factors(value.right)
    return [value]


def _times(a: Value, b: Value) -> Value:
    return Arith("*", a, b, a.span)


def carried(program: Program) -> Iterator[tuple[str, Member, str | None, npt.NDArray[np.bool_], Any]]:
    """For each output statement and value of its binders: the result's name, the member, the part that is read, the
    slots that carry an element, and the flat positions of these elements."""
    at = program.slot_env(np.arange(program.slots))
    for output in program.outputs:
        for env in output.envs():
            inside = program.read_slots(output, env, at)
            member = output.family.name, tuple(int(evaluate(i, program.sizes, env)) for i in output.family.indices)
            yield output.name, member, output.part, inside, program.read_elements(output, env, at)[inside]
