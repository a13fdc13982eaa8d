"""The words of the language and the limits of what is parsed."""

from __future__ import annotations

import re

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

PART_WORDS = ("conj", "re", "im")
"""The words that stand before one operand, as a sign does: the terminal ``PART`` of the grammar."""

SOFT_WORDS = ("bound",)
"""Words that start a statement and can be names all the same: what follows them tells which it is."""

SOFT_START = re.compile(r"bound(?=[ \t]*\||[ \t]+[A-Za-z_])")
"""A statement that starts with such a word, as the terminals of the grammar say."""

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
