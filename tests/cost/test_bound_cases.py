"""Which bounds speak of a program, and what they take from its packing."""

from __future__ import annotations

from pathlib import Path

import pytest

from slotlang import api
from slotlang.cost.theorems import Bound, TwoProducts

PROGRAM = """program p(d = 8, r = 2, batch = 2, slots = 16)
input x[d, batch]
weight A[d, r], B[r, d], D[d, d]
axes (h < d, t < batch)
cipher X = {packing}
plain W[q < r] = {first}
plain V[q < r] = {second}
S[q < r] = sum f < d by doubling: (X * W[q]) << {step}*f
Y = sum q < r: {result}
output y[h, t] = {part} Y
prove y == {theorem}
"""


def bounds(root: Path, name: str, **sizes: int) -> dict[tuple[str, bool], Bound]:
    found = api.cost(api.load(root / "programs" / f"{name}.slot", sizes)).bounds
    assert len(found) == len({(b.theorem, b.proved) for b in found})
    return {(b.theorem, b.proved): b for b in found}


def of(
    packing: str = "x[h, t]",
    first: str = "B[q, h]",
    second: str = "A[h, q]",
    step: str = "batch",
    result: str = "S[q] * V[q]",
    part: str = "",
    theorem: str = "A @ B @ x",
) -> dict[str, int]:
    text = PROGRAM.format(
        packing=packing, first=first, second=second, step=step, result=result, part=part, theorem=theorem
    )
    return {b.theorem: b.at_least for b in api.cost(api.loads(text)).bounds if b.proved}


def test_the_example(root: Path) -> None:
    found = bounds(root, "rank_complex")
    assert {key: (b.of, b.at_least, b.gap) for key, b in found.items()} == {
        ("spread", True): ("rotations", 9, 11),
        ("products", True): ("plain_products", 128, 0),
        ("two-products", True): ("rotations", 16, 4),
        ("two-products", False): ("rotations", 20, 0),
    }
    # 8 tokens * 16 (4096 + 4096 - 16) weights, in 2*4096 real numbers a plaintext
    assert 127 * 2 * 4096 < 8 * 16 * (2 * 4096 - 16) <= 128 * 2 * 4096


def test_a_program_that_reaches_its_bounds(root: Path) -> None:
    found = bounds(root, "squat_tall", r=8, steps=2)
    assert found["two-products", True].gap == found["products", True].gap == 0
    assert ("two-products", False) not in found


def test_a_refuted_program_may_lie_below(root: Path) -> None:
    assert bounds(root, "seed/rank_block")["two-products", True].gap < 0


@pytest.mark.parametrize("name", ["dense_ab", "lora_xs", "seed/rank_contiguous_fixed", "conjugate", "scores", "gated"])
def test_programs_that_two_products_does_not_speak_of(root: Path, name: str) -> None:
    assert {theorem for theorem, _ in bounds(root, name)} <= {"spread", "products"}


def test_tokens_are_followed_through_rotations() -> None:
    # 16 slots: 2*(8 + 8 - 2) = 28 weights for each group of tokens, 32 real numbers a plaintext
    assert of()["products"] == 2
    assert of(step="1")["products"] == 1
    # both tokens in one slot
    assert of(packing="x[h, 0] + 1i * x[h, 1]")["products"] == 1


def test_plaintexts_with_the_other_weight_are_no_two_products() -> None:
    assert "two-products" in of()
    assert "two-products" not in of(first="B[q, h] + A[h, q]")
    assert "two-products" not in of(second="A[h, q] + B[q, h]")
    assert "two-products" in of(first="B[q, h] + [h == 0]")
    assert "two-products" in of(first="D[q, h] + B[q, h]")
    # scales are made equal by a product with ones
    assert "two-products" in of(result="S[q] * V[q] + X * W[q]")
    assert "two-products" not in of(result="S[q] * V[q] + X * V[q]")
    assert "two-products" not in of(result="S[q] * S[q]")


def test_specifications() -> None:
    assert of(theorem="D @ x + A @ B @ x")["products"] == 4  # 64 weights for each of two tokens
    assert of(theorem="A @ B @ x + x")["products"] == 2
    assert "products" not in of(theorem="A @ B @ x + A @ B @ x")
    assert "products" not in of(theorem="A @ B @ x + B.T @ B @ x")
    transposed = "B.T @ A.T @ x"
    assert of(theorem=transposed)["products"] == 2
    assert "two-products" not in of(theorem=transposed)
    assert "two-products" in of(theorem=transposed, first="A[h, q]", second="B[q, h]")
    assert "two-products" not in of(theorem="D @ x")


def test_more_is_allowed_to_complex_slots_and_copies() -> None:
    plain = TwoProducts(8, 8, 4096, 4096, 16, 512)
    for other in (
        TwoProducts(8, 8, 4096, 4096, 16, 512, copies=2),
        TwoProducts(8, 8, 4096, 4096, 16, 512, parts_in=2),
        TwoProducts(8, 8, 4096, 4096, 16, 512, parts_out=2),
        TwoProducts(8, 8, 4096, 4096, 8, 512),
    ):
        assert other.bound() <= plain.bound() == 16
    assert TwoProducts(8, 8, 4096, 4096, 16, 512, parameters=1).bound() > 16
