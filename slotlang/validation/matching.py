"""Finding a program's values among those of a trace, and proving them equal.

Families are taken in the program's order. Each member has a normal form over the vectors known so far; the steps of
the trace are given theirs in the order of execution, no larger than the members looked for. Where the forms are
equal, the step and the member are the same value whatever it holds, and both go on under one new name. A member that
the module never makes on its own stays expanded on both sides.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import assert_never

from slotlang.meaning.program import Family, Program
from slotlang.meaning.value import Permuted, Value, nodes
from slotlang.refusals import GaveUp
from slotlang.validation.normal_form import Form, Forms, weight
from slotlang.validation.program_forms import Member, ProgramForms
from slotlang.validation.trace import Trace

MAX_MONOMIALS = 2_000_000
"""In all forms of a trace together: a gigabyte and half a minute. Beyond, the answer is unknown."""


@dataclass
class Matching:
    """Forms of the steps of a trace. ``found`` are members that some step computes, ``missing`` those that no step
    was found for: not an error, for a schedule may merge statements."""

    trace: Trace
    forms: Forms
    program_forms: ProgramForms
    contents: list[Form]
    found: dict[Member, int] = field(default_factory=dict)
    missing: list[Member] = field(default_factory=list)

    def __post_init__(self) -> None:
        steps = self.trace.steps
        self._values: list[Form | None] = [None] * len(steps)
        self._index: dict[int, list[int]] = defaultdict(list)
        self._atoms: dict[int, list[tuple[Form, Form]]] = defaultdict(list)
        self._total = 0
        self._users: list[list[int]] = [[] for _ in steps]
        for number, step in enumerate(steps):
            for operand in step.operands:
                self._users[operand].append(number)
        # a sum that only goes into another sum is a part of it
        self._inner = [
            step.kind == "add" and self.trace.uses[n] == 1 and steps[self._users[n][0]].kind == "add"
            for n, step in enumerate(steps)
        ]

    def run(self, program: Program) -> None:
        """Name what is common. Raises ``GaveUp``."""
        for family in program.families.values():
            if family.kind == "compute":
                self._family(family)

    def value(self, step: int) -> Form:
        """The form of a step, and of all it depends on."""
        stack = [step]
        while stack:
            number = stack[-1]
            if self._values[number] is not None:
                stack.pop()
                continue
            waiting = [leaf for leaf, _ in self._leaves(number) if self._values[leaf] is None]
            if waiting:
                stack.extend(waiting)
                continue
            self._set(number, self._evaluated(number))
            stack.pop()
        found = self._values[step]
        assert found is not None
        return found

    def _set(self, number: int, form: Form) -> None:
        self._total += len(form)
        if self._total > MAX_MONOMIALS:
            raise GaveUp(f"more than {MAX_MONOMIALS:,} monomials")
        self._values[number] = form
        self._index[_key(form)].append(number)

    def _leaves(self, number: int) -> list[tuple[int, int]]:
        """Operands with their signs; those of parts of a sum are its own."""
        step = self.trace.steps[number]
        if step.kind != "add":
            return [(o, 1) for o in step.operands]
        leaves, stack = [], list(zip(step.operands, step.signs, strict=True))
        while stack:
            operand, sign = stack.pop()
            if self._inner[operand]:
                inner = self.trace.steps[operand]
                stack.extend((o, s * sign) for o, s in zip(inner.operands, inner.signs, strict=True))
            else:
                leaves.append((operand, sign))
        return leaves

    def _evaluated(self, number: int) -> Form:
        step, forms = self.trace.steps[number], self.forms
        operands = []
        for leaf, sign in self._leaves(number):
            form = self._values[leaf]
            assert form is not None
            operands.append((form, sign))
        match step.kind:
            case "fresh":
                return self.contents[step.content]
            case "rotate":
                return forms.rotated(operands[0][0], step.amount)
            case "conj":
                return forms.conjugated(operands[0][0])
            case "neg":
                return forms.scaled(operands[0][0], -1)
            case "plain_product":
                return forms.product(operands[0][0], self.contents[step.content])
            case "product":
                if len(operands[0][0]) * len(operands[1][0]) > MAX_MONOMIALS:
                    raise GaveUp(f"more than {MAX_MONOMIALS:,} monomials")
                return forms.product(operands[0][0], operands[1][0])
            case "add" | "add_plain":
                total: Form = {}
                for form, sign in operands:
                    forms.accumulate(total, form, sign)
                if step.kind == "add_plain":
                    forms.accumulate(total, self.contents[step.content], step.signs[0])
                return total
            case _:
                assert_never(step.kind)

    def _size(self, number: int) -> int | None:
        """How large a step's form can be; None when an operand has none yet."""
        step = self.trace.steps[number]
        sizes = []
        for leaf, _ in self._leaves(number):
            form = self._values[leaf]
            if form is None:
                return None
            sizes.append(len(form))
        match step.kind:
            case "fresh":
                return len(self.contents[step.content])
            case "plain_product":
                return sizes[0] * len(self.contents[step.content])
            case "product":
                return sizes[0] * sizes[1]
            case "add_plain":
                return sizes[0] + len(self.contents[step.content])
            case "add" | "rotate" | "conj" | "neg":
                return sum(sizes)

    def _family(self, family: Family) -> None:
        wanted: dict[int, list[tuple[Member, Form]]] = defaultdict(list)
        open_ = 0
        largest = 0
        for member in self.program_forms.members(family):
            form = self.program_forms.member(member)
            largest = max(largest, weight([form]))
            if len(form) <= 1 and all(len(m) <= 1 for m in form):
                continue  # a name for something there is, or zero
            known = next((atom for other, atom in self._atoms[_key(form)] if self.forms.same(form, other)), None)
            if known is not None:
                self.program_forms.atoms[member] = known
                continue
            step = next((n for n in self._index[_key(form)] if self._is(n, form)), None)
            if step is not None:
                self._name([member], form, step)
            else:
                wanted[_key(form)].append((member, form))
                open_ += 1
        if not open_:
            return
        limit = max(largest, 1) + (2 * self.forms.slots if _permutes(family.body) else 0)
        for number in range(len(self._values)):
            if self._values[number] is not None or self._inner[number]:
                continue
            size = self._size(number)
            if size is None or size > limit:
                continue
            form = self._evaluated(number)
            self._set(number, form)
            same = [member for member, other in wanted.get(_key(form), ()) if self.forms.same(form, other)]
            if same:
                self._name(same, form, number)
                wanted[_key(form)] = [w for w in wanted[_key(form)] if w[0] not in same]
                open_ -= len(same)
            if not open_:
                return
        self.missing.extend(member for rest in wanted.values() for member, _ in rest)

    def _is(self, number: int, form: Form) -> bool:
        value = self._values[number]
        return value is not None and self.forms.same(value, form)

    def _name(self, members: list[Member], form: Form, step: int) -> None:
        """From here on step and members are one vector, about which nothing needs to be known."""
        factor = self.forms.contents.name()
        atom = self.forms.factor(factor)
        self.forms.named[factor.content] = form
        for member in members:
            self.program_forms.atoms[member] = atom
            self.found[member] = step
        self._atoms[_key(form)].append((form, atom))
        self._values[step] = atom
        # forms made from the old one are still true, and no longer look like the program's
        stack = list(self._users[step])
        while stack:
            user = stack.pop()
            if self._values[user] is not None or self._inner[user]:
                old = self._values[user]
                self._total -= len(old or ())
                self._values[user] = None
                stack.extend(self._users[user])


def _key(form: Form) -> int:
    return hash(frozenset(form))


def _permutes(value: Value) -> bool:
    return any(isinstance(node, Permuted) for node in nodes(value))
