"""What plaintexts hold, as the normal forms that a trace's steps refer to by number."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from slotlang.validation.normal_form import Form, Forms, Sparse
from slotlang.validation.symbolic import Vector


class Recorder:
    """Forms of the contents met so far."""

    def __init__(self, forms: Forms) -> None:
        self.forms = forms
        self.contents: list[Form] = []
        self.unknowns: set[int] = set()

    def identify(self, content: Vector) -> int:
        """The number of an expression."""
        return self._add(self.forms.vector(content))

    def unknown(self, parts: tuple[tuple[complex, npt.NDArray[np.bool_]], ...]) -> int:
        """The number of a sum of real vectors of which nothing is known, each times a number in some slots and zero in
        the others."""
        form: Form = {}
        for factor, slots in parts:
            where = np.flatnonzero(slots)
            if len(where) == self.forms.slots:
                form[(self.forms.contents.name(real=True),)] = factor
            elif where.size:
                values: Any = np.full(len(where), factor, np.complex128)
                form[(self.forms.contents.name(real=True),)] = Sparse(where, values)
        number = self._add(form)
        self.unknowns.add(number)
        return number

    def _add(self, form: Form) -> int:
        self.contents.append(form)
        return len(self.contents) - 1
