"""Tensors by their elements: what an expression, and a theorem by elements, say is what numpy says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from amounts import examples
from hypothesis import given
from hypothesis import strategies as st
from repository import bind_text

from slotlang.diagnostics import SlotError
from slotlang.graph.numbers import result

HEAD = """program t(n = 2, m = 3, slots = 4)
input v[m]
weight A[n, m], M[m, m], u[n], w[m], Q[n, m, m], K[n, m, m], T[n, n, m, n]
scalar s, z
cipher X = v[0]
"""
SHAPES = {"A": (2, 3), "M": (3, 3), "u": (2,), "v": (3,), "w": (3,), "Q": (2, 3, 3), "K": (2, 3, 3), "T": (2, 2, 3, 2)}
rng = np.random.default_rng(4)
DATA: dict[str, Any] = {name: rng.integers(-3, 4, shape).astype(np.float64) for name, shape in SHAPES.items()}
DATA |= {"s": 2.0, "z": -3.0}
CONSTANTS: dict[str, Callable[..., Any]] = {
    "ones": lambda *shape: np.ones(shape),
    "zeros": lambda *shape: np.zeros(shape),
    "eye": np.eye,
}


def bound(theorem: str, dimensions: int) -> Any:
    indices = f"[{', '.join(['slot', '0', '0', '0'][:dimensions])}]" if dimensions else ""
    return bind_text(f"{HEAD}output y{indices} = X\nprove {theorem}\n")


def value_of(theorem: str, dimensions: int) -> Any:
    """What the program proves, worked out; small whole numbers, so that doubles are exact."""
    program = bound(theorem, dimensions)
    return result(program, program.theorems["y"], DATA)


def in_numpy(text: str) -> Any:
    return eval(text, {"__builtins__": {}}, {**DATA, **CONSTANTS, "n": 2, "m": 3})


@pytest.mark.parametrize(
    "text",
    [
        "v ** 2",
        "v * w",
        "v * w * v",
        "(M @ v) * (M @ w)",
        "(M @ v) ** 3 - 2 * v",
        "-(M * M.T) @ (v * w)",
        "(v ** 2) @ M",
        "A @ (v ** 2)",
        "(A * A) @ M.T * ones(n, m)",
        "eye(m) @ v",
        "M * eye(m)",
        "(M - eye(m)) @ v",
        "ones(n, m) - A",
        "zeros(m) + v * w",
        "v @ w",
        "(v @ w) * v",
        "v @ M @ w",
        "s * (v @ v) ** 2 / 4",
        "(s + z) ** 2 * v",
        "s * (v @ w) + (w @ w)",
        "Q @ K.mT",
        "Q.mT @ K * Q",
        "Q @ K @ v",
        "v @ Q",
        "Q @ w",
        "M.mT @ v",
        "(M * M).mT",
        "(M @ M * M).T @ w",
        "T @ T.mT",
        "T.mT @ T ** 2",
        "-Q",
        "Q / 2",
        "2 ** 3 * v * v",
        "-v ** 2",
    ],
)
def test_an_expression_means_what_numpy_says(text: str) -> None:
    wanted = in_numpy(text)
    found = value_of(f"y == {text}", np.ndim(wanted))
    assert found.shape == np.shape(wanted) and (found == wanted).all()


SMALL = st.sampled_from(["2", "s", "(s - 1)"])


@st.composite
def tensors(draw: st.DrawFn, shape: tuple[int, ...], depth: int) -> str:
    """A text of the given shape that means the same in numpy."""
    named = [name for name, own in SHAPES.items() if own == shape]
    constants = [f"{kind}({', '.join(map(str, shape))})" for kind in ("ones", "zeros")] if shape else []
    constants += [f"eye({shape[0]})"] if len(shape) == 2 and shape[0] == shape[1] else []
    if not shape:
        (inner,) = draw(st.sampled_from([(2,), (3,)]))
        return f"({draw(tensors((inner,), depth - 1))} @ {draw(tensors((inner,), depth - 1))})"
    if depth <= 0:
        return draw(st.sampled_from(named * 3 + constants))
    down = depth - 1
    rule = draw(
        st.sampled_from(["add", "times", "power", "scale", "number", "product", "name"] + ["swap"] * (len(shape) > 1))
    )
    match rule:
        case "add":
            return f"({draw(tensors(shape, down))} {draw(st.sampled_from('+-'))} {draw(tensors(shape, down))})"
        case "times":
            return f"({draw(tensors(shape, down))} * {draw(tensors(shape, down))})"
        case "power":
            exponent = draw(st.sampled_from(["1", "2", "n"]))
            return f"({draw(tensors(shape, down))} ** {exponent})"
        case "scale":
            return f"({draw(SMALL)} * {draw(tensors(shape, down))})"
        case "number":
            return f"({draw(tensors((), down))} * {draw(tensors(shape, down))})"
        case "swap":
            word = "T" if len(shape) == 2 and draw(st.booleans()) else "mT"
            return f"({draw(tensors((*shape[:-2], shape[-1], shape[-2]), down))}).{word}"
        case "product":
            inner = draw(st.sampled_from([2, 3]))
            if len(shape) > 1 and draw(st.booleans()):
                left, right = (*shape[:-2], shape[-2], inner), (*shape[:-2], inner, shape[-1])
                return f"({draw(tensors(left, down))} @ {draw(tensors(right, down))})"
            return f"({draw(tensors((*shape, inner), down))} @ {draw(tensors((inner,), down))})"
        case _:
            return draw(st.sampled_from(named + constants))


@examples(120)
@given(
    st.sampled_from([(), (2,), (3,), (2, 3), (3, 3), (2, 2), (2, 3, 2)]).flatmap(
        lambda s: st.tuples(st.just(s), tensors(s, 3))
    )
)
def test_any_expression_means_what_numpy_says(case: tuple[tuple[int, ...], str]) -> None:
    shape, text = case
    try:
        found = value_of(f"y == {text}", len(shape))
    except SlotError as refused:
        # too large, or without a tensor in it
        assert {d.code for d in refused.diagnostics} <= {"SL221", "SL222"}
        return
    wanted = in_numpy(text)
    assert found.shape == shape and np.allclose(found, wanted, rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    ("theorem", "dimensions", "wanted"),
    [
        ("y[i < m, j < n] == v[i] + u[j]", 2, lambda d: d["v"][:, None] + d["u"]),
        ("y[i < n] == u[i] + sum k < m: A[i, k] * v[k]", 1, lambda d: d["u"] + d["A"] @ d["v"]),
        ("y[i < n] == sum k < m, l < m: A[i, k] * M[k, l] * v[l]", 1, lambda d: d["A"] @ d["M"] @ d["v"]),
        ("y[i < m] == (v[i + 1] else 0) - (v[i - 1] else 0)", 1, lambda d: np.gradient(np.pad(d["v"], 1))[1:-1] * 2),
        ("y[i < m] == [i >= 1 and i != 2] * v[i]", 1, lambda d: d["v"] * [0, 1, 0]),
        ("y[i < m] == (sum k < m: M[i, k] * v[k]) ** 2", 1, lambda d: (d["M"] @ d["v"]) ** 2),
        ("y[i < m] == (M @ v)[i] * w[m - 1 - i]", 1, lambda d: d["M"] @ d["v"] * d["w"][::-1]),
        ("y[i < m] == s * v[i] / 2 + m", 1, lambda d: d["s"] * d["v"] / 2 + 3),
        ("y[i < n*m] == A[i // m, i % m]", 1, lambda d: d["A"].reshape(-1)),
        ("y[i < 2] == -(sum k < m: v[k]) * u[i]", 1, lambda d: -d["v"].sum() * d["u"]),
        ("y[i < m] == ((v * w)[i - 1] else 0)", 1, lambda d: np.append(0, (d["v"] * d["w"])[:2])),
        (
            "y[i < m] == sum k < m: (M * M)[k, i] * (Q @ K.mT)[0, i, k]",
            1,
            lambda d: np.einsum("ki,ik->i", d["M"] ** 2, (d["Q"] @ d["K"].mT)[0]),
        ),
    ],
)
def test_a_theorem_by_elements_says_what_it_says(theorem: str, dimensions: int, wanted: Callable[[Any], Any]) -> None:
    found, expected = value_of(theorem, dimensions), wanted(DATA)
    assert found.shape == expected.shape and (found == expected).all()


def test_sums_of_tensors_keep_their_variables_apart() -> None:
    """The index of an element is a variable of the sum around it, whatever the sums inside are over."""

    found = value_of("y[i < m] == sum k < m: ((M @ (v * w)) * w)[k] * M[i, k]", 1)
    assert (found == DATA["M"] @ ((DATA["M"] @ (DATA["v"] * DATA["w"])) * DATA["w"])).all()


def test_an_index_may_have_the_name_of_a_digit() -> None:
    program = bind_text("""program t(n = 4, m = 2)
input x[m, n]
axes (h < n, t < m)
cipher X = x[t, h]
output y[t, h] = X
prove y[t < m, h < n] == x[t, h]
""")
    data = {"x": np.arange(8.0).reshape(2, 4)}
    assert (result(program, program.theorems["y"], data) == data["x"]).all()


@pytest.mark.parametrize("name", ["ones", "eye", "zeros", "tensor"])
def test_new_words_are_names_all_the_same(name: str) -> None:
    text = f"program {name}({name} = 4)\ninput x[{name}]\naxes (h < {name})\ncipher X = x[h] * [h < {name}]\n"
    bind_text(text + "output y[h] = X\nprove y == x\n")
    bind_text(
        f"program p(n = 4)\ninput {name}[n]\naxes (h < n)\ncipher X = {name}[h]\noutput y[h] = X\nprove y == {name}\n"
    )
    families = f"cipher {name}[c < 1] = x[h]\noutput y[h] = {name}[0]\nprove y == x\n"
    bind_text(f"program p(n = 4)\ninput x[n]\naxes (h < n)\n{families}")
