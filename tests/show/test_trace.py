"""Where the content of a slot came from."""

from __future__ import annotations

from small_programs import MOVES

from slotlang.api import loads
from slotlang.page.parts import whole
from slotlang.proof.check import check
from slotlang.show.explained import explanation
from slotlang.show.trace import trace as steps_back
from slotlang.show.trace import trace_of

SHIFTED = """program shifted(n = 6, s = 8)
input x[n]
axes (h < s)
cipher X = x[h] else 0
Y = (X << 7) + (X << 1)
output y[h] = Y where h < n
prove y[i < n] == x[i]
"""

GIANT_STEPS = """program giant_steps(n = 16, n1 = 4)
let n2 = n / n1
input x[n]
weight M[n, n]
axes (h < n)
cipher X = x[h]
plain W[j < n2, i < n1] = M[h, (h + j*n1 + i) % n]
G[j < n2] = sum i < n1: W[j, i] * (X << i)
S = sum j < n2: G[j] << j*n1
output y[h] = S
prove y == M @ x
"""


def trace(*arguments):
    return [step.text for step in steps_back(*arguments)]


def refuted(text):
    program = loads(text)
    report = check(program)
    assert report.status == "refuted"
    return program, report


def followed(text):
    """The lines of the way back from a refuted program's wrong slot."""
    return [step.text for step in trace_of(*refuted(text))]


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


def test_an_element_beyond_its_tensor_is_not_named_as_what_a_slot_holds():
    # x has 6 elements, and X has 8 slots
    assert followed(SHIFTED) == ["Y slot 0 <- X slot 1, X slot 7 (0: x[7] is beyond x)", "X slot 1 = x[1]"]
    alone = SHIFTED.replace(" + (X << 1)", "")
    assert followed(alone) == ["Y slot 0 <- X slot 7 (0)", "X slot 7 = 0 (x[7] is beyond x)"]


def test_an_image_in_a_padded_one_has_no_pixels_outside():
    program = loads("""program image(H = 7, P = 8)
input img[H, H]
axes (r < P, c < P)
cipher X = img[r, c] else 0
Y = X << P
output y[r, c] = Y where r < H and c < H
prove y[i < H, j < H] == img[i, j]
""")
    assert trace(program, "Y", (), 47) == ["Y slot 47 <- X slot 55 (0)", "X slot 55 = 0 (img[6, 7] is beyond img)"]
    assert trace(program, "Y", (), 46) == ["Y slot 46 <- X slot 54", "X slot 54 = img[6, 6]"]


def test_what_the_client_packs_is_written_out():
    program = loads(
        """program pairs(n = 6, s = 4)
input x[n]
axes (h < s)
cipher X = x[2*h] else 0 + 1i * (x[2*h + 1] else 0)
output y[2*h] = re X where h < n/2
output y[2*h + 1] = im X where h < n/2
prove y == x
""".replace("x[2*h] else 0 +", "(x[2*h] else 0) +")
    )
    assert trace(program, "X", (), 1) == ["X slot 1 = x[2] + 1i * x[3]"]
    assert trace(program, "X", (), 3) == ["X slot 3 = 0"]


def test_a_product_that_does_not_belong_is_followed_to_where_it_came_from():
    program, report = refuted(GIANT_STEPS)
    assert report.counterexample.example_extra == "M[4, 8] * x[4]"
    # G[0] is right; slot 4 of G[1] multiplies row 4 with x[4]
    assert [step.text for step in trace_of(program, report)] == [
        "S slot 0 <- G[0] slot 0, G[1] slot 4, G[2] slot 8, G[3] slot 12",
        "G[1] slot 4 <- X slot 4, X slot 5, X slot 6, X slot 7",
        "X slot 4 = x[4]",
    ]


def test_what_is_followed_is_among_the_slots_that_are_listed():
    text = GIANT_STEPS.replace("M[h, (h + j*n1 + i) % n]", "M[(h - [j < 7]*j*n1) % n, (h + i) % n]")
    text = text.replace("n = 16, n1 = 4", "n = 16, n1 = 2").replace("[j < 7]*j*n1", "(j*n1 if j < 7 else 0)")
    lines = followed(text)
    assert lines[0] == "S slot 0 <- G[0] slot 0, G[1] slot 2, G[2] slot 4, G[7] slot 14, … (8 in all)"
    assert lines[1].startswith("G[7] slot 14 <- ")


def test_missing_products_alone_are_followed_along_the_first_operand():
    text = GIANT_STEPS.replace("sum j < n2: G[j] << j*n1", "sum j < n2 - 1: G[j] << j*n1")
    text = text.replace("M[h, (h + j*n1 + i) % n]", "M[(h - j*n1) % n, (h + i) % n]")
    _, report = refuted(text)
    assert report.counterexample.example_extra == ""
    first, second = followed(text)[:2]
    assert first.startswith("S slot 1 <- G[0] slot 1, ") and second.startswith("G[0] slot 1 <- ")


def test_a_product_is_followed_through_what_a_proved_claim_says():
    text = GIANT_STEPS.replace(
        "S = sum", "claim G[j] == sum i < n1: M[h, (h + j*n1 + i) % n] * x[(h + i) % n]\nS = sum"
    )
    assert followed(text) == followed(GIANT_STEPS)


def test_all_faces_tell_the_same_way():
    program, report = refuted(GIANT_STEPS)
    expected = [step.text for step in trace_of(program, report)]
    assert explanation(program, report, None)[1:] == [f"  {line}" for line in expected]
    found = whole(GIANT_STEPS, "g.slot", None)["programs"][0]["refutation"]
    assert found["origin"] == expected
    assert found["way"] == [["S", 0], ["G[1]", 4], ["X", 4]]
    assert "foreign" not in report.to_json()["counterexample"]


def test_a_factor_that_stands_too_often_is_followed() -> None:
    """Of `X ** 4 * (X << 1) ** 4` for `x[i] ** 5 * x[i + 1] ** 3` the way back is that of the factor in excess."""
    text = (
        "program powers(n = 8)\ninput x[n]\naxes (h < n)\ncipher X = x[h]\nZ = X ** 4 * (X << 1) ** 4\n"
        "output y[h] = Z\nprove y[i < n] == x[i] ** 5 * x[(i + 1) % n] ** 3\n"
    )
    for right, last in (("x[i] ** 5 * x[(i + 1) % n] ** 3", "x[1]"), ("x[i] ** 3 * x[(i + 1) % n] ** 5", "x[0]")):
        program = loads(text.replace("x[i] ** 5 * x[(i + 1) % n] ** 3", right))
        assert trace_of(program, check(program))[-1].text.endswith(f"= {last}")
