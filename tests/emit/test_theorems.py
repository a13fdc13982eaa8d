"""What emitted modules say of theorems that are not sums of products: their references in numpy, and their runs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import worlds
from exact_slots import Run
from repository import PROGRAMS, bind_text

from slotlang import api
from slotlang.validation.numbers import specification
from slotlang_runtime import Weights
from slotlang_runtime.errors import Rejected

COLLIDING = """program t(i_ = 4, term_0 = 2)
input  x[i_], m_1[i_], result_y[i_, term_0]
weight M[i_, i_], i_1[i_]
axes (h < i_, t < term_0)
cipher X = x[h]
cipher W = m_1[h]
cipher R = result_y[h, t]
plain  D[q < i_] = M[h, (h + q) % i_]
plain  c = i_1[h]
U = sum q < i_: (X << q*term_0) * D[q]
Y = U * U
Z = R * R
V = W + c
T = sum q < i_ by doubling: X * W << q*term_0
output y[h] = Y where t == 0
output z[i_ - 1 - h, t] = Z
output v[t, h] = V
output n = T where slot == 1
prove  y == (M @ x) ** 2
prove  z[i < i_, t < term_0] == result_y[i_ - 1 - i, t] ** 2
prove  v[t < term_0, i < i_] == m_1[i] + i_1[i]
prove  n == x @ m_1
"""


def test_results_have_indices_of_their_own() -> None:
    """Several results by elements, with the names that a module makes for itself among the program's."""
    made = worlds.emitted(COLLIDING)
    run = Run(made.text, made.plan.program, 3)
    found, expected = run.module.collect(run.returned), run.module.reference(run.inputs, run.weights)
    x, w, r, bias = run.inputs["x"], run.inputs["m_1"], run.inputs["result_y"], run.weights["i_1"]
    wanted = {
        "y": (run.weights["M"] @ x) ** 2,
        "z": r[::-1] ** 2,
        "v": np.stack([w + bias, w + bias]),
        "n": x @ w,
    }
    assert found.keys() == expected.keys() == wanted.keys()
    for name, value in wanted.items():
        assert expected[name].shape == found[name].shape == np.shape(value)
        assert np.allclose(expected[name], value) and np.allclose(found[name], value)


IN_NUMPY: dict[str, Callable[[Any], Any]] = {
    "inner_product": lambda d: d["a"] @ d["b"],
    "fourth_power": lambda d: (d["M"] @ d["x"]) ** 4,
    "square_layer": lambda d: (d["M"] @ d["x"] + d["b"]) ** 2,
    "causal_scores": lambda d: d["q"] @ d["k"].T * np.tril(d["mask"]),
    "head_scores": lambda d: d["q"] @ d["k"].mT,
    "token_bias": lambda d: d["x"] + d["bias"][:, None],
    "tied_convolution": lambda d: np.convolve(d["x"], d["F"][::-1], "same"),
    "without_diagonal": lambda d: (d["M"] - np.diag(np.diag(d["M"]))) @ d["x"] - d["x"].sum(),
}


@pytest.mark.parametrize("name", [p.stem for p in sorted((PROGRAMS / "theorems").glob("*.slot"))])
def test_references_are_numpys(name: str) -> None:
    program = bind_text((PROGRAMS / "theorems" / f"{name}.slot").read_text(encoding="utf-8"))
    made = worlds.emitted(program)
    run = Run(made.text, program, 5)
    data = {**run.inputs, **run.weights}
    (found,) = run.module.reference(run.inputs, run.weights).values()
    (said,) = specification(program, data).values()
    wanted = IN_NUMPY[name](data)
    assert found.shape == said.shape == np.shape(wanted)
    assert np.allclose(found, wanted) and np.allclose(said, wanted)


def test_a_number_runs_encrypted_by_itself(tmp_path: Path) -> None:
    """A module and its standalone form on random data: the result has no dimensions."""
    program = api.load(PROGRAMS / "theorems" / "inner_product.slot", {"n": 8})
    path = tmp_path / "inner.py"
    path.write_text(api.lower(program).text, encoding="utf-8")
    ended = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "shape ()" in ended.stdout


def test_a_number_in_exact_slots_of_a_wrong_slot() -> None:
    """The slot that carries the number is the one that is read."""
    text = (PROGRAMS / "theorems" / "inner_product.slot").read_text(encoding="utf-8")
    text = text.replace("P * Q << f", "P * Q << 0").replace("slot == 0", "slot == 5")
    made = worlds.emitted(bind_text(text, {"n": 8}))
    run = Run(made.text, made.plan.program, 1)
    (found,) = run.module.collect(run.returned).values()
    assert found.shape == () and np.allclose(found, 8 * run.inputs["a"][5] * run.inputs["b"][5])


CUT = """program cut(n = 4)
input x[n]
weight A[n, n]
axes (h < n)
cipher X = x[h]
plain  D[q < n] = A[(h + {first}) % n, (h + q) % n]
Y = sum q < n: (X << q) * D[q]
output y[h] = Y where h < {count}
prove  y[i < {count}] == (A @ x)[{index}]
"""
PARTS = {
    "whole": ("4", "0", "i", lambda y: y),
    "cut": ("2", "0", "i", lambda y: y[:2]),
    "other rows": ("2", "2", "i + 2", lambda y: y[2:]),
    "rotated": ("4", "1", "(i + 1) % n", lambda y: np.roll(y, -1)),
}
"""Elements of a product: how many, the first, their indices, and how numpy says it."""


def part(name: str) -> str:
    count, first, index, _ = PARTS[name]
    return CUT.format(count=count, first=first, index=index)


@pytest.mark.parametrize("name", PARTS)
def test_elements_of_a_product_are_those_that_the_theorem_names(name: str) -> None:
    world = worlds.World(part(name), None)
    assert api.check(world.program).proved
    wanted = PARTS[name][3](world.weights["A"] @ world.inputs["x"])
    assert np.allclose(world.expected(), wanted, 1e-12) and np.allclose(world.result(), wanted, atol=1e-6)
    assert (world.program.theorems["y"].form is None) == (name != "whole")


def test_rows_that_a_result_has_are_those_whose_range_is_checked() -> None:
    """Rows 2 and 3 make up the result, and their messages wrap; rows 0 and 1 are small."""
    world = worlds.World(part("other rows"), None)
    large = world.weights["A"].copy()
    large[2:] *= 2.0**40
    with pytest.raises(Rejected, match="more than the modulus has"):
        Weights.encode(world.module, A=large)
