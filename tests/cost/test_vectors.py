"""What computing a vector takes, counted by hand."""

from __future__ import annotations

from math import ceil

import pytest
from repository import bind_text

from slotlang.cost.vectors import (
    GUARDED,
    ORDERED,
    PRODUCT,
    TURNED,
    VectorShape,
    form_work,
    forms_of,
    index_shape,
    is_constant,
    product_work,
    vector_shape,
)
from slotlang.meaning.program import Program
from slotlang.meaning.value import Read

PROGRAM = """program p(n = 16, one = 1, slots = 16)
input x[n]
weight A[n, n], B[n, n], u[n]
scalar s
axes (h < 8, t < 2, e < one)
perm swap: (h, t, e) -> (7 - h, t, e)
cipher X = x[slot]
plain V[q < 3] = {body}
Y = X * V[0]
output y[slot] = Y
prove y == x
"""


def program(body: str) -> Program:
    return bind_text(PROGRAM.format(body=body))


SHAPES = {
    "2": VectorShape(),
    "s * 3": VectorShape(),
    "2i": VectorShape(imaginary=True),
    "u[q]": VectorShape(),
    "u[slot]": VectorShape(reads=1, varies=True),
    "u[e]": VectorShape(),
    "u[(slot + q) % n]": VectorShape(reads=1, operations=1, varies=True, remainders=1),
    "u[slot] * u[h]": VectorShape(reads=2, operations=1, varies=True),
    "A[h, t + 1] else 0": VectorShape(reads=1, operations=1 + 2 * GUARDED, varies=True),
    "u[q + 1] else 0": VectorShape(),
    "[h < 2 and t == 1]": VectorShape(operations=1 + 3, varies=True),
    "[not h < 2]": VectorShape(operations=1 + 2, varies=True),
    "u[slot] * 1i": VectorShape(reads=1, operations=2, imaginary=True, varies=True),
    "-u[slot] << 3": VectorShape(reads=1, operations=1 + TURNED, varies=True),
    "sum r < 5: u[(slot + r) % n]": VectorShape(reads=5, operations=5 + 5, varies=True, remainders=5),
    "permute(u[slot], swap)": VectorShape(reads=2, operations=ORDERED, varies=True),
    "permute(u[slot], inverse(swap))": VectorShape(reads=2, varies=True),
    "permute(u[0], swap)": VectorShape(),
}


@pytest.mark.parametrize("body", SHAPES)
def test_shapes(body: str) -> None:
    made = program(body)
    found = vector_shape(made, made.families["V"].body)
    assert found == SHAPES[body]
    assert is_constant(made, made.families["V"].body) == found.constant == (not (found.varies or found.imaginary))


def test_nothing_is_one() -> None:
    assert is_constant(program("2"), None)


def test_index_operations_count_what_depends_on_the_slot() -> None:
    body = program("u[(slot * 3 + q * 5 - 1 + n) % n]").families["V"].body
    assert isinstance(body, Read)
    # slot * 3, + q * 5 (itself the same for all slots), - 1, + n, % n
    assert index_shape(program("2"), body.indices[0]) == VectorShape(operations=4, remainders=1)


@pytest.mark.parametrize("sizes", [(1, 1, 1), (4096, 16, 8), (1000, 1000, 1000), (1 << 12, 1 << 12, 1)])
def test_product_work(sizes: tuple[int, int, int]) -> None:
    rows, inner, columns = sizes
    assert product_work(rows, inner, columns) == ceil(rows * columns * inner / PRODUCT + rows * columns * 64 / PRODUCT)


def test_chains_are_computed_from_the_right() -> None:
    """A @ (B @ u): two products with a vector. A @ B: one of matrices. A sum of chains adds up."""
    with_vector, of_matrices = product_work(16, 16, 1), product_work(16, 16, 16)
    for expression, wanted in (
        ("(A @ B @ u)[slot]", 2 * with_vector),
        ("(A @ B)[slot, 0]", of_matrices),
        ("(A @ B.T - B)[slot, 0]", of_matrices),
        ("(3 * A @ u + B @ u)[slot]", 2 * with_vector),
    ):
        made = program(expression)
        (form,) = forms_of(made, made.families["V"].body)
        assert form_work(made, form) == wanted


def test_forms_are_found_through_families_and_once() -> None:
    made = program("(A @ u)[slot] + conj (sum r < 2: (A @ u)[slot] << r) * (B @ u)[0]")
    assert len(forms_of(made, made.families["V"].body)) == 2
    assert len(forms_of(made, made.families["Y"].body)) == 2
    assert forms_of(made, made.families["X"].body) == set()
