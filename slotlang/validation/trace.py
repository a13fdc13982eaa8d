"""What an emitted module computes: one step per ciphertext operation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

StepKind: TypeAlias = Literal["fresh", "rotate", "conj", "plain_product", "product", "add", "neg", "add_plain"]


class Step(NamedTuple):
    """One operation.

    ``kind``: ``fresh`` (an encrypted plaintext), ``rotate``, ``conj``, ``plain_product``, ``product``, ``add``, ``neg``
    or ``add_plain``. ``operands`` are numbers of earlier steps, ``signs`` those of the operands of ``add`` and of the
    plaintext of ``add_plain``; ``amount`` is a rotation's, ``content`` a plaintext's number.
    """

    kind: StepKind
    operands: tuple[int, ...] = ()
    signs: tuple[int, ...] = ()
    amount: int = 0
    content: int = -1


@dataclass
class Trace:
    """Steps in the order of execution, and how many later steps use each."""

    slots: int
    steps: list[Step] = field(default_factory=list)
    uses: list[int] = field(default_factory=list)

    def add(self, step: Step) -> int:
        """The number of a new step."""
        self.steps.append(step)
        self.uses.append(0)
        for operand in step.operands:
            self.uses[operand] += 1
        return len(self.steps) - 1
