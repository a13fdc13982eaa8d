"""Named tensors, ``tensor u = M @ x``, written out where something asks what a program is about."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from slotlang.syntax import tree
from slotlang.syntax.walk import rebuilt


def without_names(program: tree.Program) -> tree.Program:
    """The program with each named tensor in the place of its name. No loop variable has the name of a tensor, so none
    is captured."""
    values: dict[str, tree.Expr] = {}

    def change(node: Any) -> Any:
        if isinstance(node, tree.Name) and node.name in values:
            return values[node.name]
        return rebuilt(node, change)

    statements: list[tree.Statement] = []
    for statement in program.statements:
        new = rebuilt(statement, change)
        if isinstance(new, tree.NameTensor):
            values[new.name] = new.value
        else:
            statements.append(new)
    return replace(program, statements=tuple(statements)) if values else program
