"""Threads that share the kernels of one evaluation: the one that evaluates, and helpers."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import Any

from slotlang_runtime.kernels.box import OPEN, WORDS
from slotlang_runtime.kernels.library import Kernels, kernels
from slotlang_runtime.kernels.tables import aligned

PARTS = 4
"""Parts of a call: more than two threads, so that one that is held up holds up less."""

PATIENCE = 20_000
"""How often a helper looks for work before it lets Python's other threads see it: about a millisecond."""


class Team:
    """A box in which the kernels of one evaluation wait for whoever is free. The thread that evaluates calls kernels
    through ``kernels``; any others call ``help``, which returns when they are asked to ``leave``, or have found nothing
    to do for a millisecond. Nobody has to help: a thread takes the parts that no other took."""

    def __init__(self) -> None:
        self._shared = kernels("team")
        self._words = aligned((WORDS,))
        self._box = int(self._words.ctypes.data)
        self._words[OPEN] = 1

    def kernels(self, of: Kernels) -> SharedKernels:
        """These kernels, with helpers."""
        return SharedKernels(of, self._shared.shared, self._box)

    def help(self) -> bool:
        """Take parts; whether the team still works."""
        self._shared.helped(self._box, PATIENCE)
        return bool(self._words[OPEN])

    def leave(self) -> None:
        """Send the helpers away."""
        self._words[OPEN] = 0


class SharedKernels:
    """``Kernels`` whose calls are split."""

    def __init__(self, kernels: Kernels, shared: Callable[..., Any], box: int) -> None:
        self._kernels, self._shared, self._box = kernels, shared, box

    def __getattr__(self, name: str) -> Callable[..., Any]:
        split = self._kernels.splits.get(name)
        made = getattr(self._kernels, name) if split is None else self._made(split)
        setattr(self, name, made)
        return made

    def _made(self, address: int) -> Callable[..., Any]:
        shared, box = self._shared, self._box

        def call(*given: int) -> None:
            held = array("Q", given)
            shared(box, address, held.buffer_info()[0], PARTS)

        return call
