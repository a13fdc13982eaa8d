"""The header of an emitted module: what it is, what is proved of it, and what it takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from slotlang.cost.promise import Promise
from slotlang.emit.emitter import Emitter
from slotlang.emit.lines import docstring, paragraph
from slotlang.planning.plan import Plan
from slotlang.planning.ranges import Status, assumption_texts, limit_texts
from slotlang.planning.target import Kernel, Wire
from slotlang.proof.check import SCOPE

KERNELS: Mapping[Kernel, str] = {
    "matrix": (
        "The server evaluates by matrix products of integers modulo the primes, on the ciphertexts' residues: bit for "
        "bit what SEAL's operations give."
    ),
    "compiled": (
        "The server evaluates by compiled kernels on residues, where the processor and numba allow it, and else by "
        "SEAL's operations: the same results, up to the noise."
    ),
}


@dataclass(frozen=True)
class Lowering:
    """How a module was made: ``by`` which version of slotlang, the ``verdict`` on its program and the ``method`` that
    found it, whether the module was ``validated``, the status of the ``range`` theorem, and the ``wire`` that errors
    are promised on. The header's sentences follow from it."""

    by: str
    verdict: str
    method: str
    validated: bool
    range: Status = "conditional"
    wire: Wire = "slotlang"

    def entries(self) -> dict[str, object]:
        """As the module has it: without the wire where that is the runtime's own."""
        return {name: value for name, value in asdict(self).items() if (name, value) != ("wire", "slotlang")}


class HeadText(Emitter):
    """The module's docstring."""

    def __init__(self, plan: Plan, lowering: Lowering, promise: Promise | None = None) -> None:
        super().__init__(plan)
        self.lowering = lowering
        self.promise = promise or plan.promise

    def lowered(self) -> dict[str, object]:
        """What the module says of how it was made: also the sizes of masks that follow from weights, which it does not
        have, and whether they take twice the digits."""
        hidden = self.hiding
        own = self.plan.wire == "slotlang" and not self.plan.standalone
        masks = {"masks": hidden.bits} if hidden.assumed and own else {}
        return {**self.lowering.entries(), **masks, **({"precise": True} if hidden.precise else {})}

    def hiding_sentence(self) -> list[str]:
        """The header's sentence on what is hidden from the key holder, and how."""
        return paragraph(self.hiding.sentence())

    def kernel_sentence(self) -> list[str]:
        """The header's sentence on the kernel."""
        return paragraph(KERNELS[self.kernel]) if self.kernel in KERNELS else []

    def wire_sentence(self) -> list[str]:
        """The header's sentence on a wire that is not the runtime's own."""
        if self.lowering.wire == "slotlang":
            return []
        return paragraph(
            "Wire: objects that SEAL saves (--wire seal). The prediction is for clients that decode in double "
            "precision, as SEAL does: more shows of masks above 2^16 than for a client of slotlang_runtime."
        )

    def range_sentence(self) -> list[str]:
        """The header's sentences on the largest inputs, and on the range theorem."""
        taken = ", ".join(limit_texts(self.program))
        if self.lowering.range == "proved":
            weights = assumption_texts(self.program)
            within = f" and weights within {', '.join(weights)}" if weights else ""
            what = f"Range: proved. For all such inputs{within}, no message wraps, noise and masks included."
        else:
            what = self.unbounded_sentence()
        return paragraph(f"Largest inputs: {taken}. {what}")

    def unbounded_sentence(self) -> str:
        """The header's sentence where the range theorem is not proved."""
        return (
            "Range: weights are checked when they are encoded. Those for which a message of such inputs could wrap are "
            "refused."
        )

    def head(self) -> str:
        """The docstring."""
        program, lowering = self.program, self.lowering
        sizes = ", ".join(f"{n} = {program.sizes[n]}" for n in program.parameters)
        if lowering.verdict == "proved":
            verdict = f"Proved by the {lowering.method} method at these sizes: {SCOPE}."
        else:
            verdict = "NOT PROVED: lowered with --unproved; nothing is known of what this computes."
        if lowering.validated:
            validated = "Validated: what this module computes is what its program says."
        else:
            validated = "NOT VALIDATED: it is not known whether this module computes what its program says."
        theorems = "; ".join(f"{t.name} == {t.text}" for t in program.theorems.values())
        title = docstring(f"{program.name}: encrypted evaluation of {theorems}.", "")
        lines = [
            *title[:-1],
            title[-1].removesuffix('"""'),
            "",
            *paragraph(f"Emitted by slotlang {lowering.by} from program {program.name} ({sizes or 'no sizes'})."),
            *paragraph(verdict),
            *paragraph(f"{validated} `slotlang check` of this file proves both again."),
            *paragraph(f"Predicted: {self.promise.sentence}."),
            *self.range_sentence(),
            *self.hiding_sentence(),
            *self.kernel_sentence(),
            *self.wire_sentence(),
            "",
            *paragraph(
                "Run this file to see client and server at work on random data. The bodies of pack_, plain_ and "
                "unpack_ functions, of prepare and of evaluate may be edited; `slotlang check` proves or refutes "
                "what they compute then."
            ),
            '"""',
        ]
        return "\n".join([*lines, "# ruff: noqa: E741"] if self.names.ambiguous else lines)
