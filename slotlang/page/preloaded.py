"""What every worker of a page has before it starts: what looks at a text, and tables that are built at the first use.

It is imported by the process that workers are forked from. A text that is changed while it is looked at ends its
worker: without this each new one would import for a second of processor time before it looks at anything.
"""

from __future__ import annotations

from slotlang.page.asking import asked
from slotlang.page.knobs import Knobs
from slotlang.page.sessions import DRAWN, watched

_SMALL = "program warm(n = 4)\ninput x[n]\naxes (h < n)\ncipher X = x[h]\n{}output y[h] = X\nprove y == x\n"

for _text in (_SMALL.format(""), _SMALL.format("S = X << 1\n").replace("= X\np", "= S\np")):
    # one that is proved and one that is refuted, whose repairs are not looked for
    list(watched(_text, "warm.slot", ".", {}, None, DRAWN, Knobs(), False))
list(asked(_SMALL.format(""), "warm.slot", ".", {}, "completions", 0))
