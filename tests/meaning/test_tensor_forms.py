"""Tensor expressions: multiplied out, their value is that of the expression in numpy."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pytest
from amounts import examples
from hypothesis import given
from hypothesis import strategies as st
from repository import bind_text

from slotlang.diagnostics import Diagnostic, SlotError
from slotlang.meaning.value import Chain, Factor, TensorForm

SIZES = {"n": 2, "m": 3}
SHAPES = {"A": (2, 3), "B": (3, 2), "M": (3, 3), "u": (2,), "v": (3,), "w": (3,)}
SCALARS = {"s": 5, "z": 7}
HEAD = """program t(n = 2, m = 3, slots = 4)
input v[m]
weight A[n, m], B[m, n], M[m, m], u[n], w[m], cube[n, n, n]
scalar s, z
cipher X = v[0]
"""

rng = np.random.default_rng(1)
ARRAYS: dict[str, npt.NDArray[np.int64]] = {k: rng.integers(-9, 10, shape) for k, shape in SHAPES.items()}


def form_of(text: str) -> TensorForm:
    # the number of indices of the output has to fit, and is not known before: try both
    for indices in ("slot", "slot, 0"):
        program = f"{HEAD}output y[{indices}] = X\nprove y == {text}\n"
        try:
            form = bind_text(program).theorems["y"].form
            assert form is not None
            return form
        except SlotError as problem:
            last = problem
            if [d.code for d in problem.diagnostics] != ["SL303"]:
                break
    raise last


def problem(text: str) -> Diagnostic:
    with pytest.raises(SlotError) as caught:
        form_of(text)
    (found,) = caught.value.diagnostics
    return found


def chain_value(chain: Chain) -> npt.NDArray[np.object_]:
    """The product of a chain, its factors multiplied from the left."""
    value: npt.NDArray[np.object_] | None = None
    for factor in chain.factors:
        array = ARRAYS[factor.tensor].astype(object)
        array = array.T if factor.transposed else array
        value = array if value is None else value @ array
    assert value is not None
    for name in chain.scalars:
        value = value * SCALARS[name]
    return value * chain.coefficient


def value_of(form: TensorForm) -> npt.NDArray[np.object_]:
    total = sum((chain_value(c) for c in form.chains), np.zeros(form.shape, dtype=object))
    assert isinstance(total, np.ndarray) and total.shape == form.shape
    return total


def in_numpy(text: str) -> npt.NDArray[np.object_]:
    names: dict[str, object] = {k: a.astype(object) * Fraction(1) for k, a in ARRAYS.items()}
    names |= {k: Fraction(v) for k, v in (SIZES | SCALARS).items()}
    result = eval(text, {"__builtins__": {}}, names)
    assert isinstance(result, np.ndarray)
    return result


numbers = st.sampled_from(["2", "-3", "n", "s", "z", "(s + 2)", "(1 - s)", "s*z", "(-z)"])


@st.composite
def tensors(draw: st.DrawFn, shape: tuple[int, ...], depth: int) -> str:
    """A text of the given shape that means the same in numpy."""
    named = [name for name, s in SHAPES.items() if s == shape]
    rules = ["name"] if named else []
    if depth:
        rules += ["add", "scale", "negate", "divide", "product"] + (["transpose"] if len(shape) == 2 else [])
    rule = draw(st.sampled_from(rules or ["product"]))
    if rule == "name":
        return draw(st.sampled_from(named))
    down = max(0, depth - 1)
    if rule == "add":
        op = draw(st.sampled_from("+-"))
        return f"({draw(tensors(shape, down))} {op} {draw(tensors(shape, down))})"
    if rule == "scale":
        pair = [draw(numbers), draw(tensors(shape, down))]
        if draw(st.booleans()):
            pair.reverse()
        return f"({pair[0]} * {pair[1]})"
    if rule == "negate":
        return f"(-{draw(tensors(shape, down))})"
    if rule == "divide":
        return f"({draw(tensors(shape, down))} / {draw(st.sampled_from(['2', 'm', '(n + m)', '(4*m - 5)']))})"
    if rule == "transpose":
        return f"{draw(tensors(shape[::-1], down))}.T"
    # A @ B ends the recursion for 2 x 2, of which no tensor is declared
    inner = draw(st.sampled_from([2, 3])) if depth else 3
    if len(shape) == 2:
        return f"({draw(tensors((shape[0], inner), down))} @ {draw(tensors((inner, shape[1]), down))})"
    if draw(st.booleans()):
        return f"({draw(tensors((*shape, inner), down))} @ {draw(tensors((inner,), down))})"
    return f"({draw(tensors((inner,), down))} @ {draw(tensors((inner, *shape), down))})"


shapes = st.sampled_from([(2,), (3,), (2, 3), (3, 2), (3, 3), (2, 2)])


@examples()
@given(shapes.flatmap(lambda shape: tensors(shape, 4)))
def test_multiplied_out_it_has_the_same_value(text: str) -> None:
    try:
        form = form_of(text)
    except SlotError as refused:
        assert [d.code for d in refused.diagnostics] == ["SL222"]
        return
    exact = in_numpy(text)
    assert form.shape == exact.shape and (value_of(form) == exact).all()


@examples()
@given(shapes.flatmap(lambda shape: tensors(shape, 3)))
def test_a_vector_stands_last_in_its_chain(text: str) -> None:
    try:
        form = form_of(text)
    except SlotError:
        return
    for chain in form.chains:
        dimensions = [len(SHAPES[f.tensor]) for f in chain.factors]
        assert dimensions[-1] == len(form.shape) and set(dimensions[:-1]) <= {2}


def f(name: str) -> Factor:
    return Factor(name.removesuffix(".T"), name.endswith(".T"))


@pytest.mark.parametrize(
    ("text", "chains"),
    [
        ("s * A @ v", [(1, "s", "A v")]),
        ("2 * s * A @ (z * v)", [(2, "s z", "A v")]),
        ("z * s * v", [(1, "s z", "v")]),
        ("(A @ M).T", [(1, "", "M.T A.T")]),
        ("((A @ M).T @ A.T.T).T", [(1, "", "A.T A M")]),
        ("(A + B.T) @ (v - w)", [(1, "", "A v"), (-1, "", "A w"), (1, "", "B.T v"), (-1, "", "B.T w")]),
        ("-(A - 3 * B.T)", [(-1, "", "A"), (3, "", "B.T")]),
        ("(s - 2 + s + n/4) * v", [(2, "s", "v"), (Fraction(-3, 2), "", "v")]),
        ("(s - 2) * v", [(1, "s", "v"), (-2, "", "v")]),
        ("v / n - v / 4", [(Fraction(1, 2), "", "v"), (Fraction(-1, 4), "", "v")]),
        ("v @ B", [(1, "", "B.T v")]),
        ("u @ A @ M", [(1, "", "M.T A.T u")]),
        ("A @ v @ A", [(1, "", "A.T A v")]),
    ],
)
def test_the_chains(text: str, chains: list[tuple[Fraction | int, str, str]]) -> None:
    expected = tuple(Chain(Fraction(c), tuple(s.split()), tuple(map(f, t.split()))) for c, s, t in chains)
    assert form_of(text).chains == expected


def test_the_text_is_kept_on_one_line_without_comments() -> None:
    assert form_of("(A   # the up-projection\n   + B.T) @ v").text == "(A + B.T) @ v"


@pytest.mark.parametrize(
    ("text", "code", "place"),
    [
        ("A @ B @ v", "SL220", "A @ B @ v"),
        ("A @ A", "SL220", "A @ A"),
        ("A + B", "SL220", "A + B"),
        ("v + s", "SL220", "v + s"),
        ("A * v", "SL220", "A * v"),
        ("v @ s", "SL220", "v @ s"),
        ("v.T", "SL220", "v.T"),
        ("s.T * v", "SL220", "s.T"),
        ("cube.T", "SL220", "cube.T"),
        ("s * 2", "SL221", "s * 2"),
        ("v * 1i", "SL221", "1i"),
        ("v / s", "SL221", "s"),
        ("v / (n - 2)", "SL221", "n - 2"),
        ("A @ X", "SL221", "X"),
        ("v[0] * v", "SL221", "v"),
        ("A @ vv", "SL201", "vv"),
    ],
)
def test_what_is_no_tensor_expression(text: str, code: str, place: str) -> None:
    found = problem(text)
    assert found.code == code and found.span is not None and found.span.text == place


def test_a_clash_shows_both_shapes() -> None:
    assert problem("(A @ M) + B").notes == ("left:  2 x 3   (A @ M)", "right: 3 x 2   (B)")
    assert problem("B @ v").notes == ("left:  3 x 2   (B)", "right: 3   (v)")
    assert problem("B @ v").label == "2 columns, 3 rows"


def test_sixty_four_chains_are_fine_and_more_are_refused() -> None:
    eight = " + ".join(["A"] * 8)
    assert len(form_of(f"({eight}) @ ({eight.replace('A', 'v')})").chains) == 64
    found = problem(f"({eight} + A) @ ({eight.replace('A', 'v')})")
    assert found.code == "SL222" and "72" in found.message
