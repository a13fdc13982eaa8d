"""What is asked for: the kernel, what is hidden, the precision, and the bound on keys."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

from slotlang.cost.data import UNIT, DataPowers
from slotlang.diagnostics import error, pick

Kernel: TypeAlias = Literal["seal", "compiled", "matrix"]
"""The kernel: how ciphertexts are multiplied with plaintexts. SEAL's operations, one by one; sums of products in one
pass (docs/kernels.md); or matrix products for the whole program (docs/columns.md)."""

KernelChoice: TypeAlias = Literal["auto", "seal", "compiled", "matrix"]
"""A ``Kernel``, or ``auto``: the one that is predicted to be the fastest."""

KERNELS: tuple[KernelChoice, ...] = get_args(KernelChoice)

Hide: TypeAlias = Literal["mask", "exact", "none"]
"""How the slots and parts that are not part of the result are hidden from the key holder (docs/security.md): by random
plaintexts, exactly by adding conjugates, or not at all."""

HIDES: tuple[Hide, ...] = get_args(Hide)


Wire: TypeAlias = Literal["slotlang", "seal"]
"""What clients and servers exchange: containers of the runtime's own format, or objects of SEAL (docs/bytes.md)."""

WIRES: tuple[Wire, ...] = get_args(Wire)


@dataclass(frozen=True, slots=True)
class Target:
    """What a plan must meet. ``precision``: the largest predicted relative rms error, for which the fastest parameters
    are searched; None for the fixed choice of parameters. ``max_key_bytes``: the most bytes of evaluation keys in the
    server's memory, which needs a precision. ``data``: the weights and inputs that errors are predicted for. ``wire``:
    seal, where every result must be a ciphertext of SEAL; keys are for all levels then. ``standalone``: one file of
    direct calls of SEAL, which sends whole ciphertexts.

    Raises ``SlotError`` SL471 for an unknown kernel, SL005 for any other value that is not as described here.
    """

    kernel: KernelChoice = "auto"
    hide: Hide = "mask"
    precision: float | None = None
    max_key_bytes: int | None = None
    data: DataPowers = field(default=UNIT, repr=False)
    wire: Wire = "slotlang"
    standalone: bool = False

    @property
    def doubles(self) -> bool:
        """Whether results are decoded in double precision, where SEAL alone does that: of large masks too much shows
        in the slots beside them then."""
        return self.standalone or self.wire == "seal"

    def __post_init__(self) -> None:
        kernel_named(self.kernel)
        hide_named(self.hide)
        wire_named(self.wire)
        if self.standalone and self.wire != "slotlang":
            raise error("SL005", "a standalone module sends nothing, so that --wire does not go with --standalone")
        precision, most = self.precision, self.max_key_bytes
        if precision is not None and not (isinstance(precision, int | float) and 0 < precision < 1):
            hint = "it is the largest relative rms error: for example 1e-3"
            raise error("SL005", f"a precision lies between 0 and 1, and {precision!s:.40} does not", hint=hint)
        if most is None:
            return
        if not isinstance(most, int) or most < 0:
            raise error("SL005", f"--max-key-bytes is a whole number from 0, not {most!s:.40}")
        if precision is None:
            hint = "parameters are only searched for a precision"
            raise error("SL005", "--max-key-bytes needs --precision", hint=hint)

    @classmethod
    def named(
        cls,
        kernel: str = "auto",
        hide: str = "mask",
        precision: float | None = None,
        max_key_bytes: int | None = None,
        wire: str = "slotlang",
    ) -> Target:
        """The target with the names that a user gives. Raises as the class."""
        return cls(kernel_named(kernel), hide_named(hide), precision, max_key_bytes, wire=wire_named(wire))


def kernel_named(text: str) -> KernelChoice:
    """The kernel of that name. Raises SL471."""
    return pick(text, KERNELS, "SL471", "kernel", "kernels")


def hide_named(text: str) -> Hide:
    """The way of hiding of that name. Raises SL005."""
    return pick(text, HIDES, "SL005", "way of hiding", "ways")


def wire_named(text: str) -> Wire:
    """The wire of that name. Raises SL005."""
    return pick(text, WIRES, "SL005", "wire", "wires")
