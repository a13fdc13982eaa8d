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

SLOTWISE_WORDS = ("conj",)
"""Words before one slot value that make another, slot by slot."""

PART_WORDS = (*SLOTWISE_WORDS, "re", "im")
"""The words that stand before one operand, as a sign does: the terminal ``PART`` of the grammar. ``re`` and ``im`` are
for outputs alone."""

SOFT_START = re.compile(
    r"(bound)(?=[ \t]*\||[ \t]+[A-Za-z_0-9])|(parameters)(?=[ \t]+[A-Za-z_0-9])"
    r"|(tensor)(?=[ \t]+[A-Za-z_0-9])"
    r'|(def)(?=[ \t]+[A-Za-z_0-9])|(import)(?=[ \t]*"|[ \t]+[A-Za-z_0-9.])'
)
"""The words that start a statement and can be names all the same, where what follows tells that they do: the terminals
of the grammar."""

SOFT_FORMS = {
    "bound": "write bound |x| <= 8, or bound norm(x[:, t]) <= 64 for every t",
    "parameters": "write parameters degree 8192 primes 60, 60, 60 scales 36",
    "tensor": "write tensor u = M @ x, or input x[n] and weight M[n, n] for tensors with shapes",
    "def": "write def name(a, b) = a * b, or def name(a, b): and statements, and end below them",
    "import": 'write import "std/layouts.slot", or import "./mine.slot" as m',
}
"""How statements that start with these words are written."""

TRANSPOSE_WORDS = ("T", "mT")
"""What can follow a tensor's dot: the transpose of a matrix, and of the last two dimensions."""

CONSTANT_WORDS = ("ones", "eye", "zeros")
"""Tensors of ones and zeros, by their shapes; names all the same where no parenthesis follows: the terminal
``CONSTANT`` of the grammar."""

PARAMETER_WORDS = ("degree", "primes", "scales", "drops", "keys", "results", "cut")
"""What ``parameters`` gives; the first three are needed."""

ONE_NUMBER = ("degree", "results")
"""Of these, what takes one number."""

MAX_PARAMETER_DIGITS = 9
"""Longest number there: none of the parameters is beyond 2^16."""

INTEGER_FUNCTIONS = ("min", "max", "log2")
"""Functions of integers. Their names can be declared: a call is a name with a parenthesis behind it."""

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

SOFT_WORDS = frozenset(["if"])
"""Words of the grammar that can be names: no name stands where they do."""

OTHER_COMMENT = re.compile(r"(//|--)[ \t]*$")
"""What starts a comment in other languages, and is an operator here: before a word that means nothing."""

COMMENTS = '"#" starts a comment'
ONE_BRACKET = "all indices stand in one pair of brackets: x[i, j]"

RESERVED = frozenset([*STATEMENT_WORDS, *EXPRESSION_WORDS])
"""Words that can't be declared as names. ``slot`` can be read: it is the index of a slot."""

HOW_NAMES = ("tree", "horner", "doubling", "bsgs")
"""What can follow a sum's ``by``."""

HOW_WITH_NUMBER = ("doubling", "bsgs")
"""What of it can have a number in parentheses; ``bsgs`` has to."""
