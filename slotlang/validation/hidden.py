"""That a module sends nothing unmasked besides results, as far as it says that it hides it."""

from __future__ import annotations

import types
from collections import defaultdict
from typing import Any

import numpy as np
import numpy.typing as npt

from slotlang.meaning.program import Program
from slotlang.validation.meaning import carried
from slotlang.validation.normal_form import Form, Sparse
from slotlang.validation.recorder import Recorder
from slotlang.validation.trace import Trace

Parts = npt.NDArray[np.bool_]
"""Two rows over slots: real and imaginary parts."""


def unmasked(
    module: types.ModuleType, program: Program, trace: Trace, recorder: Recorder, sent: dict[Any, Any]
) -> str | None:
    """A result of which more is sent than is read, without a random plaintext of its own added to that; None when
    there is none. ``sent``: ciphertexts of the answer, by family and indices."""
    if module.PARAMETERS["hide"] == "none":
        return None
    read: defaultdict[Any, Parts] = defaultdict(lambda: np.zeros((2, program.slots), bool))
    for _, (family, indices), part, inside, _ in carried(program):
        rows = {"re": [0], "im": [1], None: [0, 1]}[part]
        read[family, *indices][rows] |= inside
    spent: set[int] = set()
    for name, cipher in sent.items():
        if cipher is None:
            continue
        open_parts = ~read[name]
        # of a doubled result the other part is gone
        if name[0] in module.PARAMETERS["doubled"]:
            open_parts &= read[name].any(axis=1, keepdims=True)
        step = trace.steps[cipher.step]
        while step.kind == "add_plain" and step.content in recorder.unknowns and step.content not in spent:
            spent.add(step.content)
            open_parts &= ~_covered(recorder.contents[step.content], program.slots)
            step = trace.steps[step.operands[0]]
        if open_parts.any():
            return f"{name[0]}{list(name[1:]) if name[1:] else ''} is sent with more than is read of it, not masked"
    return None


def _covered(form: Form, slots: int) -> Parts:
    """Where a sum of unknown vectors is unknown."""
    found = np.zeros((2, slots), bool)
    for value in form.values():
        where = value.slots if isinstance(value, Sparse) else slice(None)
        values = value.values if isinstance(value, Sparse) else np.array([value])
        found[0, where] |= np.real(values) != 0
        found[1, where] |= np.imag(values) != 0
    return found
