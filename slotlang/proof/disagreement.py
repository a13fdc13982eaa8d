"""What is raised when the verifier contradicts itself."""

from __future__ import annotations


class Disagreement(Exception):
    """Two methods contradict each other, or a module the program it was made from: a bug in slotlang, never in the
    program."""
