"""A program bound again: after one statement has changed, or as far as its sizes go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from slotlang.diagnostics import SlotError
from slotlang.meaning.bind import Binding, bind, parts
from slotlang.meaning.program import Family, Program
from slotlang.meaning.scope import Poisoned
from slotlang.syntax import tree


class Rebinder:
    """Keeps what is known before each statement of ``program``, which has no mistakes."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.sizes: Mapping[str, int] = {name: program.sizes[name] for name in program.parameters}
        self._before: list[Binding] = []
        now = Binding(program.syntax, self.sizes)
        for statement in program.syntax.statements:
            self._before.append(now.copy())
            _all(now, statement)
        self._before.append(now)

    def bind(self, changed: tree.Program, number: int) -> Program:
        """``changed`` has another statement in the place ``number``. Nothing outside that statement is checked, so that
        this is about programs that ``bind`` takes, and may give a meaning to others. Raises ``SlotError``.

        What others see of a family is its kind, its indices and whether it is written out. Where one of these changes,
        or a statement that is neither a family, a claim nor an output, ``bind`` decides.
        """
        statements = self.program.syntax.statements
        statement = changed.statements[number] if len(changed.statements) == len(statements) else None
        if not isinstance(statement, tree.Define | tree.Claim | tree.Output):
            return bind(changed, self.sizes)
        before, after = self._before[number], self._before[number + 1]
        now = before.copy()
        try:
            _all(now, statement)
        except Poisoned:
            return bind(changed, self.sizes)
        old = {f.name: f for f in after.steps[len(before.steps) :] if isinstance(f, Family)}
        new = {f.name: f for f in now.steps[len(before.steps) :] if isinstance(f, Family)}
        if [_seen(f) for f in old.values()] != [_seen(f) for f in new.values()]:
            return bind(changed, self.sizes)
        program = self.program
        return replace(
            program,
            syntax=changed,
            steps=(*now.steps, *program.steps[len(after.steps) :]),
            families={name: new.get(name, family) for name, family in program.families.items()},
            outputs=(*now.outputs, *program.outputs[len(after.outputs) :]),
        )


def _all(binding: Binding, statement: tree.Statement) -> None:
    for part in parts(statement):
        binding.statement(part)
    if binding.problems:
        raise SlotError(binding.problems)


def _seen(family: Family) -> tuple[object, ...]:
    return family.kind, family.name, family.binders


def sizes_of(syntax: tree.Program, overrides: Mapping[str, int]) -> Mapping[str, int] | None:
    """The values of all sizes, those of ``let``s as well; None where the header, a ``let`` or a ``require`` refuses."""
    binding = Binding(syntax, overrides)
    try:
        for statement in syntax.statements:
            if isinstance(statement, tree.Header | tree.Let | tree.Require):
                binding.statement(statement)
    except (SlotError, Poisoned):
        return None
    return binding.scope.sizes
