"""What plaintexts hold, as the normal forms that a trace's steps refer to by number."""

from __future__ import annotations

from slotlang.validation.normal_form import Form, Forms
from slotlang.validation.symbolic import Vector


class Recorder:
    """Forms of the contents met so far."""

    def __init__(self, forms: Forms) -> None:
        self.forms = forms
        self.contents: list[Form] = []

    def identify(self, content: Vector) -> int:
        """The number of an expression."""
        self.contents.append(self.forms.vector(content))
        return len(self.contents) - 1
