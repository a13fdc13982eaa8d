"""The hash of what a module's functions say: it changes with their meaning, not with their layout."""

from __future__ import annotations

import numpy as np
import pytest
from repository import bind_text

from slotlang.lower import lower
from slotlang.run.runner import load_module
from slotlang.source import Source
from slotlang.validation.check import check_module
from slotlang_runtime import Rejected, Weights
from slotlang_runtime.bodies import bodies_hash

DIAGONALS = """program diagonals(d = 8, slots = 8)
input x[d]
weight a[d, d]
axes (h < d)
cipher X = x[h]
plain W[q < d] = a[h, (h + q) % d]
Y = sum q < d: (X << q) * W[q]
output y[h] = Y
prove y == a @ x
"""


def edited(text: str) -> str:
    """The same results from plaintexts in another order."""
    assert text.count("a[h, (h + q) % d]\n\n") == 1 and text.count('plain["W", q]') == 1
    text = text.replace("a[h, (h + q) % d]\n\n", "a[h, (h + d - 1 - q) % d]\n\n")
    return text.replace('plain["W", q]', 'plain["W", d - 1 - q]')


def test_weights_of_another_body_are_refused() -> None:
    text = lower(bind_text(DIAGONALS)).text
    other = edited(text)
    assert check_module(Source("m.py", other)).validation.status == "proved"
    a, b = load_module(text), load_module(other)
    data = Weights.encode(a, a=np.eye(8)).to_bytes()
    with pytest.raises(Rejected, match="these weights are for hash of program, functions and parameters"):
        Weights.from_bytes(b, data)
    assert Weights.from_bytes(load_module(text, "again"), data).module.name == "diagonals"


def test_layout_and_comments_do_not_matter() -> None:
    text = lower(bind_text(DIAGONALS)).text
    laid_out = text.replace("    a = weights[", "    # a comment\n    a  =  weights[").replace(
        '"""line 6:', '"""line six:'
    )
    assert laid_out != text
    assert load_module(laid_out).identity == load_module(text).identity


def test_functions_without_a_source_are_told_apart() -> None:
    made = [eval(f"lambda x: x + {n}", {}) for n in (1, 2, 1)]
    first, second, third = (bodies_hash([function]) for function in made)
    assert first == third != second
    assert bodies_hash([dict]) != bodies_hash([list])
    assert bodies_hash([made[0], made[1]]) != bodies_hash([made[1], made[0]])
