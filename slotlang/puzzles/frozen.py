"""What a puzzle does not let anybody change: its statements are compared as syntax trees, so that spaces, comments and
the order of statements do not matter."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from slotlang.syntax import tree

_MAY_BE_ADDED = (tree.Let, tree.NameTensor, tree.Axes, tree.DefinePermutation, tree.Claim)
"""Kinds of statements that ask nothing of anybody, and claim nothing that is not proved."""


def defined_names(statement: tree.Statement) -> tuple[str, ...]:
    """The name that a statement gives a meaning; of a claim, ``claim S``."""
    match statement:
        case tree.Let() | tree.NameTensor() | tree.Define() | tree.DefinePermutation() | tree.Output():
            return (statement.name,)
        case tree.Claim(target=tree.Name(name=name)) | tree.Claim(target=tree.Index(base=tree.Name(name=name))):
            return (f"claim {name}",)
        case _:
            return ()


def is_yours(statement: tree.Statement, yours: Collection[str]) -> bool:
    """Whether a statement of the puzzle may be changed."""
    return any(name in yours for name in defined_names(statement))


def may_stand(statement: tree.Statement, yours: Collection[str]) -> bool:
    """Whether a statement that the puzzle does not have may stand in a solution. What the client packs, what is
    proved and what is assumed are the puzzle's."""
    match statement:
        case tree.Define(kind="cipher") | tree.Output():
            return is_yours(statement, yours)
        case tree.Define():
            return True
        case _:
            return isinstance(statement, _MAY_BE_ADDED)


def changed_parts(puzzle: tree.Program, solution: tree.Program, yours: Collection[str]) -> Iterator[str]:
    """What a solution changes that it must not, in words; nothing where all is as it was."""
    present = list(solution.statements)
    for statement in puzzle.statements:
        if statement in present:
            present.remove(statement)
        elif not is_yours(statement, yours):
            yield f"`{_line(statement)}` is part of the puzzle, and is changed or gone"
    for statement in present:
        if not may_stand(statement, yours):
            yield f"line {statement.span.line}: `{_line(statement)}` is not part of the puzzle, and can't be added"


def _line(statement: tree.Statement) -> str:
    return " ".join(statement.span.text.split())
