"""What every worker has before it starts: the compiler, and tables that are built at the first use.

It is imported by the process that workers are forked from, so that a new one is there in some milliseconds.
"""

from __future__ import annotations

from slotlang.editor.analysis import analyse
from slotlang.editor.questions import answer

_SMALL = "program warm(n = 4)\ninput x[n]\naxes (h < n)\ncipher X = x[h]\noutput y[h] = X\nprove y == x\n"

answer(analyse(_SMALL), "colours")
