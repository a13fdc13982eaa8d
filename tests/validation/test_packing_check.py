"""Packings that are edited hold numbers as large as the tables say, or the module is not proved."""

from __future__ import annotations

import numpy as np
import pytest

from slotlang import api
from slotlang.planning.target import Target
from slotlang.run.runner import load_module
from slotlang.source import Source
from slotlang.validation.check import check_module
from slotlang_runtime import Rejected, Weights

PROGRAM = """program packed(slots = 2)
input x[1]
weight D[1, 1]
bound |x| <= 8
bound |D| <= 1
axes (h < 2)
cipher X = PACKED
plain P = D[0, 0]
Y = (X * P) << 1
output y[h - 1] = Y
prove y == D @ x
"""

PLAIN = PROGRAM.replace("PACKED", "x[h] else 0")
CONSTANT = (
    PROGRAM.replace("PACKED", "(x[h] else 0) + 1")
    .replace("= Y\n", "= Z\n")
    .replace("output", "plain Q = D[0, 0]\nZ = Y - Q\noutput")
)

SOUND = {
    "the other order": (PLAIN, "1.0 * element(x, (h,))"),
    "i times it in a slot of its own": (PLAIN, "element(x, (h,)) - 1j * element(x, (h - 1,))"),
    "smaller where nothing is read": (CONSTANT, "element(x, (h,)) + 1.0 - 0.5 * (h == 1)"),
}

LARGE = {
    "vanishes at old probes": (
        PLAIN,
        "element(x, (h,)) + 4194304.0 * (h == 1) * (element(x, (h - 1,)) - 1.0)"
        f" * (element(x, (h - 1,)) - {float(np.random.default_rng(0).uniform(1, 2))!r})",
    ),
    "vanishes at the limits": (
        CONSTANT,
        "element(x, (h,)) + 1.0 + 4194304.0 * (h == 1) * (64.0 - element(x, (h - 1,)) * element(x, (h - 1,)))",
    ),
    "a constant": (PLAIN, "element(x, (h,)) + 4194304.0 * (h == 1)"),
    "twice an element": (PLAIN, "element(x, (h,)) + 2.0 * (h == 1) * element(x, (h - 1,))"),
    "a larger constant": (CONSTANT, "element(x, (h,)) + 1.0 + 8.5 * (h == 1)"),
}


def edited(program: str, packing: str) -> str:
    """A module whose packing is another."""
    text = api.lower(api.loads(program), target=Target(hide="none")).text
    before = "element(x, (h,)) + 1.0" if program == CONSTANT else "element(x, (h,))"
    assert text.count(f"return {before}\n") == 1
    return text.replace(f"return {before}\n", f"return {packing}\n")


@pytest.mark.parametrize("case", SOUND)
def test_packings_no_larger_than_before_are_proved(case: str) -> None:
    text = edited(*SOUND[case])
    found = check_module(Source("edited.py", text))
    assert found.validation.proved and found.range.status == "conditional"
    assert "PROMISE is not about them" in found.range.line()
    Weights.encode(load_module(text), D=np.ones((1, 1)))


@pytest.mark.parametrize("case", LARGE)
def test_packings_that_may_be_larger_are_not_proved_and_are_refused(case: str) -> None:
    """Where nothing is read of it, so that results would be right if nothing wrapped."""
    text = edited(*LARGE[case])
    found = check_module(Source("edited.py", text)).validation
    assert found.status == "unknown" and found.reason.startswith("X is not shown to be packed with")
    with pytest.raises(Rejected, match="the packing of X was edited"):
        Weights.encode(load_module(text), D=np.ones((1, 1)))
