"""Programs whose families read each other many times in a row, and what they compute, told by counting."""

from __future__ import annotations

SLOTS = 8
HEAD = f"""program deep(n = {SLOTS}, slots = {SLOTS})
input x[n]
weight w[n]
axes (t < slots)
cipher X = x[t]
"""


def recursive(depth: int, *, off: int = 0, body: str = "S[k - 1] << 1") -> str:
    """A family of ``depth`` members, each the one before it turned by a slot. Its theorem is right where ``off`` is 0,
    and otherwise reads so many elements further."""
    return f"""{HEAD.replace("weight w[n]", "")}S[k < {depth}] = X if k == 0 else {body}
output y[t] = S[{depth - 1}]
prove y[i < n] == x[(i + {(depth - 1 + off) % SLOTS}) % n]
"""


def chain(depth: int, *, off: int = 0) -> str:
    """The same as ``depth`` statements, each of which uses the one before it."""
    lines = ["A0 = X", *(f"A{k} = A{k - 1} << 1" for k in range(1, depth))]
    return f"""{HEAD.replace("weight w[n]", "")}{chr(10).join(lines)}
output y[t] = A{depth - 1}
prove y[i < n] == x[(i + {(depth - 1 + off) % SLOTS}) % n]
"""


def plain(depth: int, *, off: int = 0) -> str:
    """The same of plaintexts, the last of which is multiplied in."""
    return f"""{HEAD}plain S[k < {depth}] = w[t] if k == 0 else S[k - 1] << 1
Y = X * S[{depth - 1}]
output y[t] = Y
prove y[i < n] == x[i] * w[(i + {(depth - 1 + off) % SLOTS}) % n]
"""
