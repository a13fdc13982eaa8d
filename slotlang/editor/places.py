"""What can stand at a place of a statement: names of which sorts, and which words."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass

from slotlang.editor.tokens import Token
from slotlang.words import CONSTANT_WORDS, INTEGER_FUNCTIONS, PART_WORDS, SLOTWISE_WORDS

__all__ = ["Place", "place_of"]


@dataclass(frozen=True, slots=True)
class Place:
    """``sorts``: of the names that can stand there; None for all but results."""

    sorts: frozenset[str] | None
    words: tuple[str, ...] = ()
    functions: tuple[str, ...] = ()


def _place(sorts: str, words: str = "", functions: Sequence[str] = ()) -> Place:
    return Place(frozenset(sorts.split()), tuple(words.split()), tuple(functions))


_VALUE = "sum where else if by"
_SIZES = _place("size", "if else", INTEGER_FUNCTIONS)
_INDICES = _place("size digit", "if else and or not", INTEGER_FUNCTIONS)
_ANYTHING = Place(
    None,
    ("sum", *PART_WORDS, "permute", "inverse", "where", "else", "if", "and", "or", "not", "by"),
    (*CONSTANT_WORDS, *INTEGER_FUNCTIONS),
)
_TENSORS = _place("input weight tensor scalar size", "sum else", CONSTANT_WORDS)
_RESULTS = _place("result")
_FAMILIES = _place("cipher plain compute", "where")
_RIGHT = {
    "cipher": _place("input size tensor", _VALUE),
    "plain": _place("weight tensor plain scalar size", _VALUE, CONSTANT_WORDS),
    "output": _place("cipher compute", " ".join([*PART_WORDS, "where"])),
    "tensor": _TENSORS,
    "let": _SIZES,
}
_COMPUTED = _place("cipher plain compute scalar size", " ".join([_VALUE, *SLOTWISE_WORDS, "permute inverse"]))
_INTEGERS = ("program", "axes", "input", "weight", "let", "require")
"""What starts a statement of sizes alone."""


def place_of(before: Sequence[Token], definitions: Container[str] = ()) -> Place:
    """What can stand behind the tokens of a statement that is being written. ``definitions``: names of what can be
    called, whose arguments can be anything."""
    if not before:
        return _ANYTHING
    first = before[0].text
    opened = _opened(before)
    for at in opened:
        name = before[at - 1].text if at else ""
        if at > 2 and before[at - 2].text == ".":
            name = f"{before[at - 3].text}.{name}"
        if before[at].text == "(" and name in definitions:
            return _ANYTHING
    if first in _INTEGERS:
        return _SIZES
    last = before[-1].text
    if last in ("<<", ">>", "**", "//", "%") or (last in ("<", "/") and not opened):
        return _SIZES
    if opened and before[opened[-1]].text == "[":
        # left of a definition indices are declared, and have extents
        declares = first in ("cipher", "plain") and not _top(before, "=")
        return _SIZES if declares else _INDICES
    if any(token.text == "where" for token in before) or first == "perm":
        return _INDICES
    if opened and before[opened[-1] - 1].text in (*INTEGER_FUNCTIONS, *CONSTANT_WORDS):
        return _SIZES
    return _side(first, before)


def _side(first: str, before: Sequence[Token]) -> Place:
    """By the side of the statement's own sign of equality."""
    if first == "prove":
        return _TENSORS if _top(before, "==") else _RESULTS
    if first == "claim":
        return _ANYTHING if _top(before, "==") else _FAMILIES
    if first == "bound":
        return _SIZES if _top(before, "<=") else _place("input weight scalar", "norm")
    if first in _RIGHT:
        return _RIGHT[first] if _top(before, "=") else _SIZES
    return _COMPUTED if _top(before, "=") else _ANYTHING


def _opened(before: Sequence[Token]) -> list[int]:
    """The numbers of the brackets that are open, outermost first."""
    found: list[int] = []
    for number, token in enumerate(before):
        if token.kind == "sign" and token.text in ("(", "["):
            found.append(number)
        elif token.kind == "sign" and token.text in (")", "]") and found:
            found.pop()
    return found


def _top(before: Sequence[Token], sign: str) -> bool:
    """Whether a sign stands outside of all brackets."""
    depth = 0
    for token in before:
        if token.kind == "sign":
            depth += (token.text in ("(", "[")) - (token.text in (")", "]"))
            if token.text == sign and not depth:
                return True
    return False
