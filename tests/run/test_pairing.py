"""Modules and theorems: which module gives which result, sizes that clash, and weights that share a scalar."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from slotlang import api
from slotlang.adapter import Adapter, LoraModule
from slotlang.diagnostics import SlotError
from slotlang.run.pairing import adapter_sizes, adapter_weights, pair_modules
from slotlang.run.roles import roles, token_input
from slotlang.source import Source
from slotlang.syntax import tree
from slotlang.syntax.parser import parse

ONE = """program one(d = 4, r = 2, slots = 4)
input x[d]
weight A[d, r], B[r, d]
scalar scale
cipher X = x[slot]
output y[slot] = X
prove y == scale * A @ B @ x
"""
QKV = """program qkv(d = 4, g = 2, r = 2, slots = 4)
input x[d]
weight Aq[d, r], Bq[r, d], Ak[g, r], Bk[r, d], Av[g, r], Bv[r, d]
scalar s
cipher X = x[slot]
output yq[slot] = X
output yk[slot] = X where slot < g
output yv[slot] = X where slot < g
prove yq == s * Aq @ Bq @ x
prove yk == s * Ak @ Bk @ x
prove yv == Av @ Bv @ x
"""


def module(name: str, d_out: int = 4, d_in: int = 4, rank: int = 2, scaling: float = 2.0) -> LoraModule:
    rng = np.random.default_rng(len(name))
    return LoraModule(name, rng.standard_normal((rank, d_in)), rng.standard_normal((d_out, rank)), scaling, rank)


def adapter(*modules: LoraModule) -> Adapter:
    return Adapter(Path("folder"), {m.name: m for m in modules})


def syntax_of(text: str) -> tree.Program:
    return parse(Source("p", text))


def names(text: str, held: Adapter, *wanted: str) -> dict[str, str]:
    return {p.role.output: p.module.name for p in pair_modules(roles(syntax_of(text)), held, wanted)}


LAYER = [module("l.0.q_proj"), module("l.0.k_proj", 2), module("l.0.v_proj", 2), module("l.0.o_proj")]
SECOND = [module("l.1.q_proj"), module("l.1.k_proj", 2), module("l.1.v_proj", 2)]


def test_results_take_the_modules_that_begin_as_they_do() -> None:
    expected = {"yq": "l.0.q_proj", "yk": "l.0.k_proj", "yv": "l.0.v_proj"}
    assert names(QKV, adapter(*LAYER)) == expected
    both = adapter(*LAYER, *SECOND)
    assert names(QKV, both, "l.0") == expected
    assert names(QKV, both, "1") == {key: value.replace("0", "1") for key, value in expected.items()}
    assert names(QKV, both, "l.0.v_proj", "l.0.q_proj", "l.0.k_proj") == expected
    assert names(QKV, both, "yq=l.1.q_proj", "0") == expected | {"yq": "l.1.q_proj"}
    words = QKV.replace("yq", "query").replace("yk", "key").replace("yv", "value")
    assert names(words, adapter(*LAYER)) == dict(zip(("query", "key", "value"), expected.values(), strict=True))
    bert = [module("self.query"), module("self.key", 2), module("self.value", 2)]
    assert names(QKV, adapter(*bert)) == {"yq": "self.query", "yk": "self.key", "yv": "self.value"}
    assert names(QKV, adapter(*LAYER), "yq=q_proj", "yk=v_proj", "yv=k_proj")["yk"] == "l.0.v_proj"


@pytest.mark.parametrize(
    ("text", "wanted", "code", "words"),
    [
        (QKV, (), "SL524", "2 modules have names that begin as the result's yq"),
        (QKV, ("0", "1"), "SL524", "2 modules have"),
        (QKV, ("l.0.q_proj",), "SL524", "no module has a name that begins as the result's yk"),
        (QKV, ("l.0.q_proj", "l.0.k_proj", "l.0.v_proj", "l.0.o_proj"), "SL524", "that no result takes: l.0.o_proj"),
        (QKV, ("yx=l.0.q_proj",), "SL524", "the program has no result 'yx'"),
        (QKV, ("yq=l.0.q_proj", "yq=l.1.q_proj"), "SL524", "two modules for the result yq"),
        (QKV, ("yq=l.0.q_proj", "yk=l.0.k_proj", "yv=l.0.v_proj", "l.1.q_proj"), "SL524", "is left over"),
        (QKV, ("yq=nothing",), "SL502", "no module 'nothing'"),
        (QKV, ("l",), "SL502", "no module 'l'"),
        (ONE, ("l.0.q_proj", "l.1.q_proj"), "SL524", "given 2 times, and the program has one result"),
        (ONE, (), "SL502", "modules"),
        (ONE, ("q_proj",), "SL502", "names 2 modules"),
    ],
)
def test_what_is_not_clear_is_asked_for(text: str, wanted: tuple[str, ...], code: str, words: str) -> None:
    with pytest.raises(SlotError) as refused:
        names(text, adapter(*LAYER, *SECOND), *wanted)
    (diagnostic,) = refused.value.diagnostics
    assert diagnostic.code == code
    assert words in diagnostic.message


def test_one_result() -> None:
    assert names(ONE, adapter(module("a.q"))) == {"y": "a.q"}
    assert names(ONE, adapter(*LAYER), "y=l.0.o_proj") == {"y": "l.0.o_proj"}


def test_sizes_that_would_have_two_values() -> None:
    syntax = syntax_of(ONE)
    narrow = pair_modules(roles(syntax), adapter(module("k_proj", 2)), ())
    with pytest.raises(SlotError, match="SL506: the program is square in d, and module k_proj is not") as refused:
        adapter_sizes(syntax, narrow)
    assert refused.value.diagnostics[0].notes == ("d is the rows of A and the columns of B; they would be 2 and 4",)
    syntax = syntax_of(QKV)
    uneven = [module("q_proj"), module("k_proj", 2), module("v_proj", 3)]
    with pytest.raises(SlotError, match="modules k_proj and v_proj differ where the program has one size, g"):
        adapter_sizes(syntax, pair_modules(roles(syntax), adapter(*uneven), ()))
    assert adapter_sizes(syntax, pair_modules(roles(syntax), adapter(*LAYER), ())) == {"d": 4, "g": 2, "r": 2}


@pytest.mark.parametrize("scalings", [(2.0, 2.0, 3.0), (2.0, 5.0, 3.0)])
def test_weights_give_each_module_its_update(scalings: tuple[float, ...]) -> None:
    # yq and yk share a scalar, yv has none
    held = [
        module("q", 4, scaling=scalings[0]),
        module("k", 2, scaling=scalings[1]),
        module("v", 2, scaling=scalings[2]),
    ]
    program = api.loads(QKV)
    weights = adapter_weights(program, pair_modules(roles(program.syntax), adapter(*held), ()))
    x = np.arange(4.0)
    for tag, factor, m in zip("qkv", (weights["s"], weights["s"], 1.0), held, strict=True):
        found = factor * weights[f"A{tag}"] @ weights[f"B{tag}"] @ x
        np.testing.assert_allclose(found, m.scaling * m.up @ (m.down @ x), rtol=1e-12)


@pytest.mark.parametrize(
    ("shape", "theorem", "fits"),
    [
        ("x[d]", "A @ B @ x", True),
        ("x[d]", "x * x + b", True),
        ("x[d, t]", "scale * A @ B @ x", True),
        ("x[d, t]", "A @ x - 2 * B @ x", True),
        ("x[d, t]", "x * x", True),
        ("x[d, t]", "x / 2", True),
        ("x[d, t]", "x @ W", False),
        ("x[d, t]", "A @ x + C", False),
        ("x[d, t]", "C * x", False),
        ("x[d, t]", "x.T @ x", False),
        ("x[d, t, d]", "x", False),
    ],
)
def test_tokens_are_kept_apart(shape: str, theorem: str, fits: bool) -> None:
    text = f"""program p(d = 4, t = 2, slots = 8)
input {shape}
weight A[d, d], B[d, d], C[d, t], W[t, t], b[d]
scalar scale
cipher X = x[slot]
output y[slot] = X
prove y == {theorem}
"""
    if fits:
        assert token_input(syntax_of(text)).name == "x"
    else:
        with pytest.raises(SlotError, match="SL506") as refused:
            token_input(syntax_of(text))
        # nobody gave an adapter
        assert "adapter" not in str(refused.value) and "--data" in refused.value.diagnostics[0].hint
