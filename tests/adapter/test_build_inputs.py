"""Which modules share an input, and how large their weights are."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from adapter_files import refusal

from slotlang.adapter.adapter import LoraModule
from slotlang.adapter.building.shared import groups, read_table
from slotlang.adapter.building.sizes import Sample, balanced, sizes_of, weights_of
from slotlang.diagnostics import SlotError


def module(
    name: str, d_out: int = 4, d_in: int = 8, rank: int = 2, size: float = 1.0, scaling: float = 2.0
) -> LoraModule:
    rng = np.random.default_rng(len(name))
    return LoraModule(name, size * rng.standard_normal((rank, d_in)), rng.standard_normal((d_out, rank)), scaling, rank)


LLAMA = [f"model.layers.{n}.{m}" for n in range(2) for m in ("self_attn.k_proj", "self_attn.q_proj", "mlp.down_proj")]


@pytest.mark.parametrize(
    ("names", "together"),
    [
        (LLAMA, [("q_proj", "k_proj"), ("down_proj",)] * 2),
        (["m.0.mlp.up_proj", "m.0.mlp.gate_proj", "m.1.mlp.up_proj"], [("gate_proj", "up_proj"), ("up_proj",)]),
        ([f"b.0.attention.self.{n}" for n in ("query", "key", "value")], [("query", "key", "value")]),
        (["h.0.attn.c_attn", "h.0.mlp.c_fc"], [("c_attn",), ("c_fc",)]),
        ([f"l.0.block_sparse_moe.experts.{e}.w{n}" for e in (0, 1) for n in (1, 2, 3)], [("w1", "w3"), ("w2",)] * 2),
        (["e.0.SelfAttention.q", "e.0.SelfAttention.v"], [("q", "v")]),
        # queries read the decoder, keys and values the encoder
        ([f"d.0.encoder_attn.{n}_proj" for n in "qkv"], [("q_proj",), ("k_proj", "v_proj")]),
        ([f"d.0.crossattention.self.{n}" for n in ("query", "key", "value")], [("query",), ("key", "value")]),
        (["q_proj", "v_proj"], [("q_proj", "v_proj")]),
    ],
)
def test_known_architectures(names: list[str], together: list[tuple[str, ...]]) -> None:
    found, warnings = groups([module(name) for name in names])
    assert [tuple(m.name.rpartition(".")[2] for m in g.modules) for g in found] == together
    assert not warnings
    inputs = [g.input for g in found]
    assert len(set(inputs)) == len(inputs)
    # a layer's modules are not those of another
    for g in found:
        assert len({m.name.rpartition(".")[0] for m in g.modules}) == 1


def test_modules_of_other_widths_do_not_share() -> None:
    found, _ = groups([module("a.q_proj", d_in=8), module("a.k_proj", d_in=16)])
    assert [len(g.modules) for g in found] == [1, 1]


def test_a_table_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "shared.json"
    path.write_text(json.dumps([["attn.a", "attn.b"], ["c", "d"]]))
    made = [module(n) for n in ("l.0.attn.a", "l.0.attn.b", "l.0.q_proj", "l.0.k_proj", "l.0.c")]
    found, warnings = groups(made, read_table(path), str(path))
    assert [len(g.modules) for g in found] == [2, 1, 1, 1]
    assert found[0].input == "l.0#in"
    (warning,) = warnings
    assert warning.code == "SL553" and "c, d" in warning.message


@pytest.mark.parametrize("content", ["[", "{}", '[["a"]]', '[["a", 1]]', '[["a", "b"], ["a", "c"]]', '[["a", "a"]]'])
def test_wrong_tables(tmp_path: Path, content: str) -> None:
    path = tmp_path / "shared.json"
    path.write_text(content)
    refusal("SL553", lambda: read_table(path))


def test_a_table_of_modules_of_other_widths(tmp_path: Path) -> None:
    made = [module("l.a", d_in=8), module("l.b", d_in=16)]
    found = refusal("SL553", lambda: groups(made, (("a", "b"),), "shared.json"))
    assert "8 channels" in found.notes[0] and "16 channels" in found.notes[1]


@pytest.mark.parametrize("size", [1e-9, 0.3, 1.0, 5e7])
def test_balancing_is_exact(size: float) -> None:
    made = module("m", size=size)
    up, down = balanced(made)
    assert np.array_equal(up @ down, made.up @ made.down)
    assert 0.7 < np.sqrt((down**2).sum(axis=1).mean()) < 1.42


def test_zero_updates_stay() -> None:
    made = LoraModule("m", np.ones((2, 8)), np.zeros((4, 2)), 2.0, 2)
    assert np.array_equal(balanced(made)[1], made.down)
    found = sizes_of(groups([made])[0])
    # nothing is known of how small they are
    assert not found.data.weights
    assert float(found.bounds["norm(A0)"]) > 0


@pytest.mark.parametrize("size", [1e60, 1e-60])
def test_weights_beyond_all_bounds_are_named(size: float) -> None:
    made = [module("l.0.q_proj"), module("l.1.q_proj", size=size**2)]
    with pytest.raises(SlotError, match="SL554") as found:
        sizes_of(groups(made)[0])
    assert "l.1.q_proj can't be built: it has rows of norm" in str(found.value)


def test_bounds_hold_for_every_layer_and_precision_for_the_smallest() -> None:
    made = [module("l.0.q_proj", size=3.0), module("l.1.q_proj", size=0.25, scaling=0.5), module("l.2.q_proj", size=40)]
    found = groups(made)[0]
    sizes = sizes_of(found)
    for group in found:
        weights = weights_of(group)
        assert np.sqrt((weights["A0"] ** 2).sum(axis=1)).max() <= float(sizes.bounds["norm(A0)"])
        assert np.sqrt((weights["B0"] ** 2).sum(axis=1)).max() <= float(sizes.bounds["norm(B0)"])
        assert weights["s0"] <= float(sizes.bounds["s0"])
    assert np.array_equal(sizes.data.weights["A0"], balanced(made[1])[0])
    assert "norm(x)" not in sizes.bounds


def test_samples_bound_the_input_and_may_be_equalized() -> None:
    (group,) = groups([module("l.0.q_proj")])[0]
    x = np.random.default_rng(0).standard_normal((8, 5))
    x[3] *= 1000
    plain, even = Sample.of(x, equalized=False), Sample.of(x, equalized=True)
    bounds = [float(sizes_of([group], {group.input: s}).bounds["norm(x)"]) for s in (plain, even)]
    norm = np.sqrt((x**2).sum(axis=0)).max()
    assert 2 * norm <= bounds[0] <= 2.02 * norm
    assert bounds[1] < bounds[0] / 4
    assert even.exponents[3] >= 4
    # the same product: B is multiplied by what x is divided by
    weights = weights_of(group, {group.input: even})
    met = np.ldexp(weights["B0"], even.exponents[None, :])
    assert np.allclose(met @ even.x, weights["B0"] @ x, rtol=1e-14)
    sizes = sizes_of([group], {group.input: even})
    assert np.sqrt((met**2).sum(axis=1)).max() <= float(sizes.bounds["norm(B0)"])
    assert np.array_equal(sizes.data.inputs["x"], even.x)
