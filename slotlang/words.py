"""The words of the language and the limits of what is parsed."""

from __future__ import annotations

MAX_DEPTH = 150
"""Deepest expression accepted, well inside Python's recursion limit."""

STATEMENT_WORDS = (
    "program",
    "let",
    "require",
    "input",
    "weight",
    "scalar",
    "axes",
    "cipher",
    "plain",
    "perm",
    "claim",
    "output",
    "prove",
)
"""The keywords a statement can start with."""

SLOTWISE_WORDS = ("conj",)
"""Words before one slot value that make another, slot by slot."""

PART_WORDS = (*SLOTWISE_WORDS, "re", "im")
"""The words that stand before one operand, as a sign does: the terminal ``PART`` of the grammar. ``re`` and ``im`` are
for outputs alone."""

EXPRESSION_WORDS = (
    "sum",
    "by",
    "where",
    "else",
    "and",
    "or",
    "not",
    *PART_WORDS,
    "permute",
    "inverse",
    "cycles",
    "sparse",
    "slot",
)

RESERVED = frozenset([*STATEMENT_WORDS, *EXPRESSION_WORDS])
"""Words that can't be declared as names. ``slot`` can be read: it is the index of a slot."""

HOW_NAMES = ("tree", "horner", "doubling", "bsgs")
"""What can follow a sum's ``by``."""
