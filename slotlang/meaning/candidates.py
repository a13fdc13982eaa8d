"""Names that would be right in the value that is being bound: what messages propose in the place of an unknown one."""

from __future__ import annotations

from slotlang.meaning.scope import Scope


def values(scope: Scope, name: str) -> list[str]:
    """What can stand where a value is written, in the place of ``name``, and what differs from it in case alone:
    whoever wrote it meant that."""
    return [*elements(scope, name), *_numbers(scope), *scope.sizes]


def elements(scope: Scope, name: str) -> list[str]:
    """What has members or elements and can stand there, and what differs from ``name`` in case alone."""
    alike = [other for other in (*scope.families, *scope.tensors) if other.lower() == name.lower()]
    return [*_with_slots(scope), *_with_elements(scope), *alike]


def _with_slots(scope: Scope) -> list[str]:
    """The families that can stand in the value that is being bound."""
    match scope.defining:
        case "cipher":
            return []
        case "plain":
            return [name for name, family in scope.families.items() if family.kind == "plain"]
        case _:
            return list(scope.families)


def _with_elements(scope: Scope) -> list[str]:
    """The tensors that can: ciphertexts are packed from inputs, plaintexts from weights, and what is computed reads
    families alone."""
    match scope.defining:
        case "compute":
            return []
        case "cipher":
            return [name for name, tensor in scope.tensors.items() if tensor.kind == "input"]
        case "plain":
            return [*(name for name, tensor in scope.tensors.items() if tensor.kind == "weight"), *scope.named]
        case _:
            return [*scope.tensors, *scope.named]


def _numbers(scope: Scope) -> list[str]:
    """The scalars that can: clients know none."""
    return [] if scope.defining == "cipher" else list(scope.scalars)
