"""A module on expressions, and its results compared with the program's outputs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from slotlang.meaning.program import Program, member_text
from slotlang.planning.hiding import with_conjugates
from slotlang.validation.contents import Contents
from slotlang.validation.evaluation import Backend, evaluated
from slotlang.validation.mask_check import part_of, unhidden
from slotlang.validation.matching import Matching
from slotlang.validation.normal_form import Form, Forms
from slotlang.validation.operations import Cipher, Steps
from slotlang.validation.program_forms import Member, ProgramForms, carried, declared, scalar
from slotlang.validation.recorder import Recorder
from slotlang.validation.symbolic import Vector, vector
from slotlang_runtime.module import Module, Name


class Different(Exception):
    """Not shown equal; the message says where."""


@dataclass
class SymbolicRun:
    """One evaluation of a module on expressions: its steps, and which of them are sent."""

    module: Module
    program: Program
    steps: Steps
    recorder: Recorder
    sent: dict[Name, Cipher | None]
    packed: dict[Name, Vector]
    figures: tuple[int, int, int] = field(default=(0, 0, 0))

    @classmethod
    def of(cls, module: Module, program: Program) -> SymbolicRun:
        """Evaluate. Raises ``Outside`` and ``Failed``."""
        recorder = Recorder(Forms(Contents(program.slots)))
        steps = Steps(program.slots)
        tensors = {name: declared(program, name) for name in program.tensors}
        inputs = {name: t for name, t in tensors.items() if program.tensors[name].kind == "input"}
        weights: dict[str, Any] = {name: t for name, t in tensors.items() if name not in inputs}
        weights.update({name: scalar(name) for name in program.scalars})
        backend = Backend(module, steps, lambda values: _identified(recorder, values))
        packed: list[Vector] = []

        def fresh(values: Any) -> int:
            packed.append(_filled(recorder, values))
            return steps.fresh(recorder.identify(packed[-1]))

        sent = evaluated(backend, inputs, weights, fresh)
        held = dict(zip(module.packed(), packed, strict=True))
        return cls(module, program, steps, recorder, sent, held, (len(steps.trace.steps), 0, 0))

    def compare(self, *, merging: bool) -> None:
        """Raise ``Different`` for the first element that is not shown to be the program's, or for what is not shown to
        be hidden; ``GaveUp`` where forms grow too large. ``merging``: everything is multiplied out."""
        program, forms = self.program, self.recorder.forms
        matching = Matching(self.steps.trace, forms, ProgramForms(program, forms), self.recorder.contents)
        if not merging:
            matching.run(program)
            found, missing = len(matching.found), len(matching.missing)
            self.figures = len(self.steps.trace.steps), found, found + missing
        values: dict[Name, Form] = {
            name: {} if cipher is None else matching.value(cipher.content) for name, cipher in self.sent.items()
        }
        self._results(matching, values, merging)
        returned = with_conjugates(program)[0] if self.module.parameters.hide == "exact" else program

        def expected(name: Name) -> Form:
            return matching.program_forms.of_family(returned.families[name[0]], name[1:])

        problem = unhidden(self.module, forms, values, expected, merging=merging)
        if problem is not None:
            raise Different(problem)

    def _results(self, matching: Matching, values: dict[Name, Form], merging: bool) -> None:
        """Every slot that is read is the element that it becomes, and every element is read somewhere."""
        module, program, forms = self.module, self.program, self.recorder.forms
        wanted = {name: _Carriers(t.shape) for name, t in program.theorems.items()}
        if {n: shape for n, (shape, _) in module.results.items()} != {n: c.shape for n, c in wanted.items()}:
            raise Different("the results are not the program's")
        for result, carrier, part, inside, flat in carried(program):
            wanted[result].add(carrier, part, np.flatnonzero(inside), flat)
        for output, name, inside, places in module.placed():
            carriers = wanted[output.name]
            slots = np.flatnonzero(inside)
            flat = np.ravel_multi_index(places, carriers.shape) if places else np.zeros(len(slots), np.int64)
            carriers.read[flat] = True
            form = values[name]
            if name[0] in module.parameters.doubled:
                form = forms.scaled(form, 0.5)
            for (member, part), amount, here in carriers.groups(flat, slots, program.slots):
                if member is None:
                    raise Different(f"an element of {output.name} is written that no output of the program carries")
                if part != output.part:
                    raise Different(f"{output.name}: another part of a number is read than the program reads")
                mask = np.zeros(program.slots, bool)
                mask[here] = True
                mine = part_of(forms, form, part)
                theirs = part_of(forms, forms.rotated(matching.program_forms.member(member), amount), part)
                # zeros in slots that are not read make other plaintexts, which are equal where they are read
                zeros = module.parameters.hide != "none" and not module.read[name].any(axis=0).all()
                if not forms.equal_on(mine, theirs, mask, merging=merging or zeros):
                    raise Different(
                        f"{_text(name)}, slot {here[0]}: the module's value is not shown to be the program's"
                    )
        for result, carriers in wanted.items():
            if (carriers.read != carriers.carried).any():
                raise Different(f"an element of {result} is not read from any result, and the program carries it")


class _Carriers:
    """For each element of a result: the member and part that carries it, by number, and its slot."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        size = int(np.prod(shape, dtype=np.int64))
        self.shape = shape
        self.members: list[tuple[Member | None, str | None]] = [(None, None)]
        self.number = np.zeros(size, np.int64)
        self.slot = np.zeros(size, np.int64)
        self.carried = np.zeros(size, bool)
        self.read = np.zeros(size, bool)

    def add(self, member: Member, part: str | None, slots: Any, flat: Any) -> None:
        """Slots of a member that carry elements."""
        self.number[flat] = len(self.members)
        self.slot[flat] = slots
        self.carried[flat] = True
        self.members.append((member, part))

    def groups(
        self, flat: npt.NDArray[np.int64], slots: npt.NDArray[np.int64], count: int
    ) -> Iterator[tuple[tuple[Member | None, str | None], int, npt.NDArray[np.int64]]]:
        """Slots that hold elements, by the member that carries them and how far it has to be rotated."""
        key = self.number[flat] * count + (self.slot[flat] - slots) % count
        for value in np.unique(key):
            number, amount = divmod(int(value), count)
            yield self.members[number], amount, slots[key == value]


def _filled(recorder: Recorder, values: Any) -> Vector:
    found, slots = vector(values), recorder.forms.slots
    return found if found.shape in ((), (slots,)) else found.map(lambda array: np.broadcast_to(array, (slots,)))


def _identified(recorder: Recorder, values: Any) -> tuple[int, bool] | None:
    """A plaintext's number, and whether it is one real number in all slots; None for zero."""
    content = _filled(recorder, values)
    number = recorder.identify(content)
    form = recorder.contents[number]
    if not form:
        return None
    constant = all(
        not t.coefficient.imag.any() and _uniform(t.coefficient) and all(_uniform(at) for _, at in t.reads)
        for t in content.terms
    )
    return number, constant


def _uniform(array: npt.NDArray[Any]) -> bool:
    flat = np.asarray(array).reshape(-1)
    return bool((flat == flat[0]).all())


def _text(name: Name) -> str:
    return member_text(str(name[0]), name[1:])
