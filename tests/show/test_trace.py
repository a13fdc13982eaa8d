"""Where the content of a slot came from."""

from __future__ import annotations

from small_programs import MOVES

from slotlang.api import loads
from slotlang.show.trace import trace


def test_every_operation_is_followed_backwards():
    program = loads(MOVES)
    assert trace(program, "Z", (0,), 2) == ["Z[0] slot 2 <- X slot 4", "X slot 4 = x[5]"]
    # slots 1 and 3 of Z[0] hold 0
    assert trace(program, "S", (), 0)[0] == "S slot 0 <- Z[0] slot 0, Z[0] slot 2"
    # what is at slot 3 after the permutation was at slot 1
    assert trace(program, "T", (), 3)[0] == "T slot 3 <- S slot 3, S slot 1"
    assert trace(program, "U", (), 1)[0] == "U slot 1 <- T slot 3"


def test_a_slot_that_holds_nothing_says_so():
    assert trace(loads(MOVES), "Z", (0,), 1) == ["Z[0] slot 1 <- nothing"]
