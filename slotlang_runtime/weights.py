"""A program's weights, encoded once for all clients."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from slotlang_runtime.arrays import check_array
from slotlang_runtime.engine import Engine, SealEngine
from slotlang_runtime.equalized import checked, digests, folded
from slotlang_runtime.errors import (
    BAD_ARRAY,
    BELOW_PRECISION,
    BEYOND_PROMISE,
    DAMAGED_BYTES,
    BelowPrecision,
    BeyondPromise,
    Rejected,
)
from slotlang_runtime.expected import excess
from slotlang_runtime.kernels.engine import ResidueEngine
from slotlang_runtime.kernels.selftest import tested
from slotlang_runtime.kernels.unavailable import Unavailable
from slotlang_runtime.labels import check_label, grown_errors, module_label
from slotlang_runtime.module import Module, Name
from slotlang_runtime.ranges import Ranges, check_range, levels_of
from slotlang_runtime.seal.ring import Ring
from slotlang_runtime.wire import Box, pack, unpack


def load_kernels(module: Module) -> None:
    """Load the kernels that a module is evaluated by, or compile them, once in a process. Without this call the first
    encoding does it."""
    if module.kernel == "compiled":
        with suppress(Unavailable):
            tested(Ring(module.parameters, module.slots))


class Weights:
    """Encoded weights of one program; any number of servers, clients and threads share them. ``ranges``: the bounds of
    all messages with them; None for weights from bytes, which were bounded when they were encoded. ``equalized``:
    hashes of the exponents of the inputs that clients must have equalized. ``grown``: by result, how many times its
    error can be larger than promised, where that is noticed. ``lost``: some plaintexts are zero once they are rounded,
    and were not before. Results say both to the client."""

    def __init__(
        self,
        module: Module,
        engine: Engine,
        ranges: Ranges | None = None,
        equalized: Mapping[str, str] | None = None,
        grown: Mapping[str, float] | None = None,
        lost: bool = False,
    ) -> None:
        self.module, self.engine, self.ranges, self.lost = module, engine, ranges, lost
        self.equalized, self.grown = dict(equalized or {}), dict(grown or {})

    @property
    def note(self) -> str:
        """Why another kernel than the module's is used; mostly empty."""
        return self.engine.note

    @property
    def memory_bytes(self) -> int:
        """The memory that the encoded weights take."""
        return self.engine.memory_bytes

    @property
    def expanded_bytes(self) -> int:
        """The memory that ``expanded`` takes."""
        return self.engine.expanded_bytes

    def compact(self) -> Weights:
        """The same weights in less memory: compiled kernels keep integer coefficients, in the bits that they need, and
        expand them in each evaluation. Results are the same, bit for bit. Other kernels have one form."""
        return self._by(self.engine.compact())

    def expanded(self) -> Weights:
        """The same weights in the form that evaluations take the least time with, as ``encode`` and ``from_bytes`` make
        them."""
        return self._by(self.engine.expanded())

    def _by(self, engine: Engine) -> Weights:
        if engine is self.engine:
            return self
        return Weights(self.module, engine, self.ranges, self.equalized, self.grown, self.lost)

    @classmethod
    def encode(cls, module: Module, /, *, equalize: Any = None, **weights: Any) -> Weights:
        """Encode weights and scalars, given by name. ``equalize``: exponents by input, those of all clients; the
        weights that meet these channels are multiplied by the powers of two. Raises Rejected. Warns
        (``BelowPrecision``) of weights that are too small for the parameters, and (``BeyondPromise``) of weights with
        which errors are larger than promised."""
        if equalize is not None and "equalize" in (*module.weights, *module.scalars):
            # a program may call a weight so
            weights, equalize = {**weights, "equalize": equalize}, None
        exponents = checked(module, equalize)
        arrays = folded(module, exponents, checked_weights(module, weights))
        found = check_range(module, arrays)
        if found.coarse:
            warnings.warn(
                f"[{BELOW_PRECISION}] these weights are below the precision of these parameters: rounding "
                f"{found.coarse[0]} loses a relative error of {module.precision:.1e}, whatever the inputs are; lower "
                "the program for these weights (--data, --adapter), or scale them up and the result down",
                BelowPrecision,
                stacklevel=2,
            )
        beyond = excess(module, levels_of(module), arrays)
        if beyond.times:
            warnings.warn(f"[{BEYOND_PROMISE}] {beyond.text()}", BeyondPromise, stacklevel=2)
        engine = _engine(module, arrays, None)
        return cls(module, engine, found, digests(exponents), beyond.times, engine.zeros > found.zeros)

    @classmethod
    def from_bytes(cls, module: Module, data: bytes) -> Weights:
        """Encoded weights that ``to_bytes`` of the same program made. Raises Rejected."""
        box = unpack("weights", data)
        check_label(box, {**module_label(module), "kernel": module.kernel}, module)
        names = list(module.encoded())
        records = dict(zip(names, box.exactly(map(repr, names)), strict=True))
        engine = _engine(module, None, records)
        equalized, grown = _equalized(box, module), grown_errors(box, module)
        return cls(module, engine, equalized=equalized, grown=grown, lost=bool(box.label.get("lost")))

    def to_bytes(self) -> bytes:
        """The encoded weights."""
        label: dict[str, Any] = {**module_label(self.module), "kernel": self.module.kernel}
        if self.equalized:
            label["equalized"] = self.equalized
        if self.grown:
            label["grown"] = self.grown
        if self.lost:
            label["lost"] = True
        return pack("weights", label, self.engine.records())


def _equalized(box: Box, module: Module) -> dict[str, str]:
    """What a label says of equalized inputs, checked."""
    given = box.label.get("equalized", {})
    if not isinstance(given, dict) or not all(n in module.inputs and isinstance(d, str) for n, d in given.items()):
        raise Rejected("these weights do not say how inputs are equalized", DAMAGED_BYTES)
    return given


def checked_weights(module: Module, weights: Mapping[str, Any]) -> dict[str, Any]:
    """The arrays of a program's weights and scalars, of their shapes and patterns. Raises Rejected."""
    expected = [*module.weights, *module.scalars]
    if sorted(weights) != sorted(expected):
        raise Rejected(f"weights are {', '.join(expected)}, not {', '.join(weights) or 'none'}", BAD_ARRAY)
    arrays: dict[str, Any] = {}
    for name, shape in module.weights.items():
        pattern = module.patterns[name]() if name in module.patterns else None
        arrays[name] = check_array(name, weights[name], shape, pattern)
    return {**arrays, **{name: check_array(name, weights[name], ())[()] for name in module.scalars}}


def _engine(module: Module, arrays: dict[str, Any] | None, records: Mapping[Name, memoryview | None] | None) -> Engine:
    """The engine of the module's kernel, from checked arrays or from bytes."""
    kind: Any = SealEngine
    ring, note = Ring(module.parameters, module.slots), ""
    if module.kernel == "matrix":
        from slotlang_runtime.matrix.engine import MatrixEngine

        kind = MatrixEngine
    elif module.kernel == "compiled":
        try:
            tested(ring)
            kind = ResidueEngine
        except Unavailable as reason:
            note = f"evaluated by SEAL's operations: {reason}"
    made: Engine = kind.encode(module, ring, arrays) if records is None else kind.from_records(module, ring, records)
    made.note = made.note or note
    return made
