"""What is sent shows the results alone: edits of bodies that keep every result and show something else."""

from __future__ import annotations

import ast
from functools import cache

import pytest

from slotlang.emit.head import Lowering
from slotlang.emit.module import emit
from slotlang.meaning.bind import bind
from slotlang.planning.planner import plan
from slotlang.planning.target import Hide, Target
from slotlang.proof.report import Report
from slotlang.source import Source
from slotlang.syntax.parser import parse
from slotlang.validation.check import check_module, validate_tree
from slotlang.validation.reemission import editable

# the left half of the slots carries results; in the other half stand products of inputs that nobody may see. After a
# rotation the weights can't take them away, so they are masked
HALF = """program half(n = 8)
let slots = 2*n
input x[n]
weight A[n, n], B[n]
cipher X = x[slot % n]
plain W = A[slot % n, slot % n]
plain V = B[slot % n]
Y = (X * W) << n
output y[slot] = re Y where slot < n
prove y == x
"""
PROGRAMS = {
    # the theorem is not what the program computes, which does not matter here
    "half": HALF,
    "real": HALF.replace(" where slot < n", ""),
    "whole": HALF.replace("re Y where", "Y where"),
    # here they are taken away by the last plaintext
    "zeros": HALF.replace("(X * W) << n", "X * W"),
}


@cache
def module(name: str, hide: Hide) -> tuple[str, object]:
    program = bind(parse(Source("t.slot", PROGRAMS[name])), {})
    text = emit(plan(program, target=Target(hide=hide)), Lowering("0.1.0", "unknown", "exact", validated=True))
    return text, program


def checked(name: str, hide: Hide, *changes: tuple[str, str]) -> Report:
    text, program = module(name, hide)
    for old, new in changes:
        assert old in text, text
        text = text.replace(old, new, 1)
    tree = ast.parse(text)
    return validate_tree(tree, editable(tree), program, proved=False, edited=True)  # type: ignore[arg-type]


@pytest.mark.parametrize("hide", ["mask", "exact", "none"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_modules_as_emitted(name: str, hide: Hide) -> None:
    assert checked(name, hide).status == "proved"


@pytest.mark.parametrize("hide", ["mask", "exact"])
def test_slots_that_masks_are_not_made_for(hide: Hide) -> None:
    """Masks in slots have 2^16 at most: what is larger shows through."""
    change = ("return A[slot % n, slot % n]", "return A[slot % n, slot % n] * (1 + 1000000.0 * (slot < n))")
    found = checked("half", hide, change)
    assert found.status == "unknown" and "masks there are made for the program's" in found.what
    assert checked("half", "none", change).status == "proved"


def test_zeros_where_nothing_is_read() -> None:
    """Zeros are not the program's values either, and show nothing."""
    change = ("return A[slot % n, slot % n]", "return A[slot % n, slot % n] * (slot >= n)")
    assert checked("half", "mask", change).status == "proved"
    assert checked("half", "none", change).status == "proved"


def test_the_part_that_a_uniform_mask_hides_may_hold_anything() -> None:
    change = ("return A[slot % n, slot % n]", "return A[slot % n, slot % n] * (1 + 1j)")
    assert checked("real", "mask", change).status == "proved"
    assert checked("whole", "mask", change).status == "unknown"


DOUBLED = [
    # twice the real part, without the conjugate that takes the imaginary part away
    ("ev.sum_of(Y, ev.conj(Y))", "ev.sum_of(Y, Y)"),
    # the imaginary part comes back in the last step
    ("ev.sum_of(Y, ev.conj(Y))", "ev.sum_of(Y, ev.conj(Y), Z, Z)"),
]


@pytest.mark.parametrize(("old", "new"), DOUBLED)
def test_a_part_that_conjugates_should_take_away(old: str, new: str) -> None:
    text, _ = module("real", "exact")
    assert 'doubled=("Y_re",)' in text
    # X carries something in its imaginary part, which no result has
    changes = [("return x[slot % n]", "return x[slot % n] * 1.0")]
    changes.append(("return A[slot % n, slot % n]", "return (1 + 1j) * A[slot % n, slot % n]"))
    if "Z" in new:
        more = '    Z = ev.multiply(X, plain["W",])\n    Z = ev.combine("+-", Z, ev.conj(Z))\n'
        changes.append(("    del X\n", f"{more}    del X\n"))
    assert checked("real", "exact", *changes).status == "proved"
    found = checked("real", "exact", *changes, (old, new))
    assert found.status == "unknown" and "not shown to be zero" in found.what


@pytest.mark.parametrize("hide", ["mask", "exact"])
def test_more_slots_are_read_to_leave_them_without_a_mask(hide: Hide) -> None:
    """They are results too where they hold the same, and refuted or not shown where they do not."""
    assert checked("half", hide, ("(slot,), (slot < n)", "(slot % n,)")).status == "proved"
    change = ("return A[slot % n, slot % n]", "return A[slot % n, (slot + slot // n) % n]")
    assert checked("half", hide, change, ("(slot,), (slot < n)", "(slot % n,)")).status == "unknown"


def test_a_ciphertext_of_which_nothing_is_read() -> None:
    PROGRAMS["two"] = HALF.replace("Y = (X", "Y[i < 2] = (X").replace(
        "output y[slot] = re Y where slot < n", "output y[slot] = re Y[i] where slot//4 == i"
    )
    assert checked("two", "mask").status == "proved"
    # all is read from the first, and the second is sent as it is, without any mask
    change = ('return ("Y", i_), ', 'return ("Y", 0), ')
    found = checked("two", "mask", change)
    assert found.status == "unknown" and "nothing of it is read" in found.what
    assert checked("two", "none", change).status == "proved"


@pytest.mark.parametrize("hide", ["mask", "exact"])
def test_zeros_in_the_last_weights(hide: Hide) -> None:
    """They are in the text, they are shown of what is sent, and edits that leave something there are not proved."""
    text, _ = module("zeros", hide)
    line = "return (1.0 * (slot < n)) * plain_W(weights)"
    assert text.count(line) == 1 and "mask_bits" not in text and "as zeros in the last weights" in text
    for new in ("plain_W(weights)", "1.0 * (slot < n + 1) * plain_W(weights)", "plain_W(weights) + 1.0 * (slot >= n)"):
        found = checked("zeros", hide, (line, f"return {new}"))
        assert found.status == "unknown" and "not shown to be zero" in found.what, new
    assert checked("zeros", hide, (line, "return 1.0 * (slot < n - 1) * plain_W(weights)")).status == "unknown"
    assert (
        checked("zeros", hide, (line, "return 1.0 * ((slot < n) & (slot >= 0)) * plain_W(weights)")).status == "proved"
    )
    text, _ = module("zeros", "none")
    assert "(slot < n) *" not in text
    text, _ = module("half", hide)
    assert "mask_bits=" in text and "(slot < n) *" not in text


def test_doubled_and_hide_are_not_believed() -> None:
    from slotlang.diagnostics import SlotError

    text, _ = module("real", "exact")
    hide, doubled = 'hide="exact"', 'doubled=("Y_re",)'
    for old, new in ((hide, 'hide="mask"'), (doubled, "doubled=()"), (hide, 'hide="none"')):
        with pytest.raises(SlotError) as problem:
            check_module(Source("/nowhere/m.py", text.replace(old, new)))
        assert problem.value.diagnostics[0].code == "SL745"


@pytest.mark.parametrize("product", ["A * (u @ v)", "(u @ v) * A"])
def test_a_product_of_vectors_is_not_that_of_their_first_elements(product: str) -> None:
    """What is left of the difference of both is not zero, and would stand in slots that nothing masks."""
    PROGRAMS["vectors"] = PROGRAMS["zeros"].replace("B[n]", "B[n], u[4], v[4]")
    old = "return (1.0 * (slot < n)) * plain_W(weights)"
    names = "".join(f'{name} = weights["{name}"]\n    ' for name in "Auv")
    other = "A[slot % n, slot % n] * u[0] * v[0]"
    changed = f"{names}return (1.0 * (slot < n)) * plain_W(weights) + (1.0 * (slot >= n)) * "
    assert checked("vectors", "mask", (old, f"{changed}({other} - {other})")).status == "proved"
    found = checked("vectors", "mask", (old, f"{changed}(({product})[slot % n, slot % n] - {other})"))
    assert found.status == "unknown" and "not shown to be zero" in found.what
