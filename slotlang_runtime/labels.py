"""Labels: what bytes belong to. A mismatch is an error that names both sides."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from typing import Any

from slotlang_runtime.errors import BYTES_OF_ANOTHER, DAMAGED_BYTES, INPUT_BEYOND_LIMIT, Rejected
from slotlang_runtime.limits import Limit, told_apart
from slotlang_runtime.module import Module
from slotlang_runtime.parameters import RingParameters
from slotlang_runtime.wire import Box, Label


def ring_label(ring: RingParameters) -> dict[str, Any]:
    """The label of keys."""
    return {"degree": ring.degree, "prime_bits": list(ring.prime_bits)}


def ring_of(box: Box) -> RingParameters:
    """The ring that a box's label names. Raises Rejected where it names none, or an insecure one."""
    degree, primes = box.label.get("degree"), box.label.get("prime_bits")
    if type(degree) is not int or not isinstance(primes, list):
        raise Rejected(f"these {box.kind} do not say what ring they are for", DAMAGED_BYTES)
    ring = RingParameters(degree, tuple(primes))
    ring.check()
    return ring


def check_ring(kind: str, ring: RingParameters, module: Module) -> None:
    """Raise Rejected unless a module uses this ring."""
    wanted = module.parameters.ring
    if ring != wanted:
        raise Rejected(f"these {kind} are for {ring}; {module.name} needs {wanted}", BYTES_OF_ANOTHER)


def inputs_label(module: Module) -> dict[str, Any]:
    """The label of encrypted inputs: programs with the same ring, scale and packing accept each other's inputs."""
    p = module.parameters
    return {
        **ring_label(p.ring),
        "scale_bits": p.scale_bits[0],
        "slots": module.slots,
        "shapes": {name: list(shape) for name, shape in module.inputs.items()},
        "packing": module.packing_digest,
    }


def limits_label(limits: Mapping[str, Limit]) -> dict[str, list[float | None]]:
    """Limits as JSON: norm and element of each input; None for no limit."""
    return {
        name: [value if value < math.inf else None for value in (limit.norm, limit.entry)]
        for name, limit in limits.items()
    }


def check_limits(box: Box, module: Module) -> None:
    """Raise Rejected unless inputs were encrypted under limits that are within the module's."""
    theirs = box.label.get("limits")
    for name, limit in module.limits.items():
        given = theirs.get(name) if isinstance(theirs, dict) else None
        if not isinstance(given, list) or len(given) != 2:
            raise Rejected(f"these inputs do not say how large {name} may be", DAMAGED_BYTES)
        for value, ours, what in zip(given, (limit.norm, limit.entry), ("norms", "elements"), strict=True):
            number = _is_number(value)
            if not (number and 0 <= value <= ours) and not (value is None and ours == math.inf):
                shown, allowed = "any size" if value is None else "?", f"{ours:.6g}"
                if number:
                    shown, allowed = told_apart(value, ours, 6)
                raise Rejected(
                    f"these inputs were encrypted with {what} of {name} up to {shown}; {module.name} takes {allowed}: "
                    "give the client the smallest limits of all programs that read this upload",
                    INPUT_BEYOND_LIMIT,
                )


def module_label(module: Module) -> dict[str, Any]:
    """The label of encoded weights and of results."""
    return {**ring_label(module.parameters.ring), **module.identity}


_WORDS = {
    "degree": "degree",
    "prime_bits": "bits of primes",
    "scale_bits": "bits of scale",
    "slots": "slots",
    "shapes": "input shapes",
    "packing": "packing",
    "program": "program",
    "hash": "hash of program, functions and parameters",
}


_COMPARED_ELSEWHERE = {
    "inputs": ("limits", "equalized", "upload"),
    "weights": ("equalized", "grown", "lost"),
    "results": ("grown", "lost", "upload"),
    "gates": ("kinds", "equalize"),
}


def check_label(box: Box, wanted: Label, module: Module) -> None:
    """Raise Rejected, naming both sides, unless a box belongs to what is wanted. Limits of inputs need not be equal:
    ``check_limits`` looks at them, and ``check_equalized`` at exponents."""
    for key in [*wanted, *box.label]:
        if key in _COMPARED_ELSEWHERE.get(box.kind, ()):
            continue
        theirs, ours = box.label.get(key), wanted.get(key)
        if theirs != ours:
            word = _WORDS.get(key, key[:40])
            raise Rejected(
                f"these {box.kind} are for {word} {_short(theirs)}; {module.name} needs {word} {_short(ours)}",
                BYTES_OF_ANOTHER,
            )


def grown_errors(box: Box, module: Module) -> dict[str, float]:
    """What the label of weights or results says of errors that are larger than promised: by result, how many times.
    Raises Rejected where that is not a number from 1."""
    given = box.label.get("grown", {})
    if not isinstance(given, dict) or not all(
        name in module.results and _is_number(times) and 1 <= times < math.inf for name, times in given.items()
    ):
        raise Rejected(f"these {box.kind} do not say how much larger errors are than promised", DAMAGED_BYTES)
    return given


def _is_number(value: Any) -> bool:
    """Whether a value of JSON, whose whole numbers have any size, is one that a double holds."""
    return type(value) is float or (type(value) is int and abs(value) <= sys.float_info.max)


def _short(value: Any) -> str:
    text = "nothing" if value is None else value if isinstance(value, str) else repr(value)
    return text if len(text) <= 40 else f"{text[:16]}..."
