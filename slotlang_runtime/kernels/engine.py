"""Evaluation by SEAL's operations, with sums of products in one pass."""

from __future__ import annotations

from typing import Any

from slotlang_runtime.engine import SealEngine
from slotlang_runtime.kernels.sums import Sums, Unavailable
from slotlang_runtime.keys import EvaluationKeys
from slotlang_runtime.module import Module, Name
from slotlang_runtime.operations import Operations
from slotlang_runtime.seal.operations import SealOperations
from slotlang_runtime.seal.ring import Ring


class SumsOperations(SealOperations):
    """SEAL's operations with a ``dot`` of its own."""

    def __init__(self, ring: Ring, galois_keys: Any, relin_keys: Any, sums: Sums) -> None:
        super().__init__(ring, galois_keys, relin_keys)
        self.sums = sums

    def dot(self, pairs: list[tuple[Any, Any]]) -> Any:
        """In one pass; None where SEAL has to do it, or to say what is wrong."""
        total = self.sums(self.evaluator, pairs)
        if total is not None and total.is_transparent():
            raise self.cancelled(total)
        return total


class SumsEngine(SealEngine):
    """Adds products up in one pass, and by SEAL's operations where ``note`` says why."""

    def __init__(self, module: Module, ring: Ring, plain: dict[Name, Any]) -> None:
        super().__init__(module, ring, plain)
        self.sums: Sums | None = None
        try:
            self.sums = Sums(ring)
        except Unavailable as reason:
            self.note = f"evaluated by SEAL's operations, one by one: {reason}"

    def operations(self, keys: EvaluationKeys) -> Operations[Any, Any]:
        """The backend of an evaluation with a client's keys."""
        if self.sums is None:
            return super().operations(keys)
        return SumsOperations(self.ring, keys.galois, keys.relin, self.sums)
