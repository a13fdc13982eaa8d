"""Where the content of a slot came from."""

from __future__ import annotations

from slotlang.api import loads
from slotlang.show.trace import trace

TEXT = """program p(n = 8)
input x[n]
weight w[n]
axes (h < n)
perm turn: slot -> (3*slot) % n
cipher X = x[(h + 1) % n]
plain M[q < 2] = w[h] * [h % 2 == q]
Z[q < 2] = (X << 2) * M[q]
S = sum f < 4 by doubling: Z[0] << f
T = conj S - permute(S, turn)
U = permute(T, inverse(turn))
output y[h] = U
prove y == x
"""


def test_every_operation_is_followed_backwards():
    program = loads(TEXT)
    assert trace(program, "Z", (0,), 2) == ["Z[0] slot 2 <- X slot 4", "X slot 4 = x[5]"]
    # slots 1 and 3 of Z[0] hold 0
    assert trace(program, "S", (), 0)[0] == "S slot 0 <- Z[0] slot 0, Z[0] slot 2"
    # what is at slot 3 after the permutation was at slot 1
    assert trace(program, "T", (), 3)[0] == "T slot 3 <- S slot 3, S slot 1"
    assert trace(program, "U", (), 1)[0] == "U slot 1 <- T slot 3"


def test_a_slot_that_holds_nothing_says_so():
    assert trace(loads(TEXT), "Z", (0,), 1) == ["Z[0] slot 1 <- nothing"]
