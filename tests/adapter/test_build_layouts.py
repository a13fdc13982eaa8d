"""Layouts for modules with one input: formulas against graphs, proofs, and which layouts are chosen."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from amounts import one_in
from compiled_profile import compiled_profile
from invented_prices import only, priced

from slotlang.adapter.building import choose
from slotlang.adapter.building.choose import choices
from slotlang.adapter.building.layout import GroupShape, Layout, Packing, Part, Update
from slotlang.adapter.building.text import text
from slotlang.api import check, loads, lower, parameters_named, plan
from slotlang.cost.predict import (
    decryption_calls,
    encryption_calls,
    evaluation_calls,
    reading_calls,
    saving_calls,
    total,
)
from slotlang.cost.primitives import KEY_SWITCH
from slotlang.diagnostics import SlotError

PROFILE = compiled_profile()
PARAMETERS = parameters_named("degree 4096 primes 38, 38, 25 scales 16, 16, 12")
TWO = (Update(40, 6), Update(40, 6))

LAYOUTS = {
    "pairs": Layout(GroupShape(64, 8, (Update(40, 8),)), 64, 8, "pairs", (Part((0,), 4, 2, True),)),
    "one key": Layout(GroupShape(64, 8, (Update(40, 8),)), 64, 8, "pairs", (Part((0,), 4, 4, False),)),
    "tokens": Layout(GroupShape(48, 8, (Update(40, 5),)), 64, 4, "tokens", (Part((0,), 8, 2, True),)),
    "odd tokens": Layout(GroupShape(48, 7, (Update(40, 5),)), 64, 4, "tokens", (Part((0,), 4, 2, True),)),
    "blocks": Layout(GroupShape(20, 4, (Update(9, 7),)), 64, 4, "real", (Part((0,), 2, 4, True),)),
    "columns": Layout(GroupShape(6, 64, (Update(5, 3),)), 64, 64, "real", (Part((0,), 1, 2, True),)),
    "two lanes": Layout(GroupShape(64, 4, TWO), 64, 4, "pairs", (Part((0, 1), 4, 2, True),)),
    "four lanes": Layout(GroupShape(30, 2, TWO + TWO), 64, 2, "pairs", (Part((0, 1, 2, 3), 4, 4, False),)),
    "lanes of tokens": Layout(GroupShape(30, 4, TWO), 64, 2, "tokens", (Part((0, 1), 4, 8, True),)),
    "lanes and one": Layout(
        GroupShape(64, 4, (Update(64, 8), *TWO)), 64, 4, "pairs", (Part((0,), 4, 2, True), Part((1, 2), 2, 2, True))
    ),
}


@pytest.mark.parametrize("name", one_in(2, LAYOUTS))
def test_texts_are_proved(name: str) -> None:
    layout = LAYOUTS[name]
    program = loads(text(layout, "update"))
    assert check(program).status == "proved"
    # each is a module's update of the one input
    assert set(program.theorems) == {f"y{m}" for m in range(len(layout.shape.updates))}
    assert {n: d.shape for n, d in program.tensors.items() if d.kind == "weight"} == {
        f"{side}{m}": (u.rows, u.rank) if side == "A" else (u.rank, layout.shape.columns)
        for m, u in enumerate(layout.shape.updates)
        for side in "AB"
    }


@pytest.mark.parametrize("name", LAYOUTS)
def test_formulas_are_counts_of_the_graph(name: str) -> None:
    layout = LAYOUTS[name]
    made = plan(loads(text(layout, "update")), PARAMETERS)
    assert layout.steps == {node.step for node in made.graph.of_kind("rotate")}
    assert layout.plaintexts == made.counts.plaintexts == made.counts.plain_products
    assert (layout.inputs, layout.results) == (made.counts.ciphertexts_in, made.counts.ciphertexts_out)
    seconds = total(
        evaluation_calls(made.graph, 2, parts=True)
        + reading_calls(made.graph, 2)
        + saving_calls(made.graph, 2, made.hiding),
        4096,
        PROFILE,
    )
    own = total(layout.calls(2), 4096, PROFILE)
    # where a part is read alone some results are sent whole, and a sum of one product is no sum in one pass
    assert own == pytest.approx(seconds, rel=0.15)
    switches = sum(n for (call, _), n in layout.calls(2).items() if call == "key_product")
    assert switches == made.counts.key_switches
    decompositions = sum(n for (call, _), n in layout.calls(2).items() if call == "decompose")
    assert decompositions == made.counts.decompositions


@pytest.mark.parametrize("name", LAYOUTS)
def test_what_a_client_does_is_counted_as_of_the_graph(name: str) -> None:
    layout = LAYOUTS[name]
    made = plan(loads(text(layout, "update")), PARAMETERS)
    calls = encryption_calls(made.graph, 2) + decryption_calls(made.graph, 2, made.hiding)
    # operations of numpy take little, and depend on the sizes of x and y
    expected = {call: n for call, n in calls.items() if call[0] not in ("gather", "vector", "remainder", "array_call")}
    assert dict(layout.client_calls(2)) == expected


@pytest.mark.parametrize("name", one_in(2, LAYOUTS))
def test_without_kernels_key_switches_are_whole(name: str) -> None:
    layout, rotating = LAYOUTS[name], only("rotate")
    made = plan(loads(text(layout, "update")), PARAMETERS)
    each = rotating.seconds("rotate", 2 * layout.slots, 2)
    assert layout.seconds(rotating, 2) == pytest.approx(made.counts.key_switches * each)
    assert choices({layout.shape: 3}, PROFILE.without_kernels)


def test_a_request_is_the_server_and_the_client() -> None:
    layout = LAYOUTS["two lanes"]
    server, client = only("dot_product", parts=True), only("send_real", "receive_part", parts=True)
    both = only("dot_product", "send_real", "receive_part", parts=True)
    assert layout.request_seconds(server) == layout.seconds(server) == layout.seconds(both) > 0
    assert layout.seconds(client) == 0
    assert layout.request_seconds(both) == pytest.approx(layout.seconds(server) + layout.request_seconds(client))
    # 4 ciphertexts of x and 5 of y, each as long as the other
    assert layout.request_seconds(client) == pytest.approx(9 * client.seconds("send_real", 2 * layout.slots, 2))


def test_a_lane_of_a_wrong_module_is_refuted() -> None:
    wrong = text(LAYOUTS["two lanes"], "update").replace("s1 *", "s0 *", 1)
    assert check(loads(wrong)).status == "refuted"


def test_lanes_share_rotations_and_are_chosen() -> None:
    pair, single = GroupShape(4096, 8, (Update(1024, 16),) * 2), GroupShape(4096, 8, (Update(1024, 16),))
    (both, *_) = choices({pair: 1}, PROFILE)
    (one, *_) = choices({single: 1}, PROFILE)
    (part,) = both.layouts[pair].parts
    assert part.members == (0, 1)
    assert both.seconds < 2 * one.seconds
    switches = [
        sum(n for (call, _), n in layout.calls().items() if call == "mod_down")
        for layout in (both.layouts[pair], one.layouts[single])
    ]
    assert switches[0] < 2 * switches[1]


@pytest.mark.parametrize("blocks", [1, 2, 4])
def test_ranks_lie_in_blocks_where_they_shall_be_skipped(blocks: int) -> None:
    """Of few ranks there are as many blocks as can be. Products do not get more."""
    shape, small = GroupShape(4096, 8, (Update(4096, 16),)), GroupShape(64, 8, (Update(64, 2),))
    for slots in (2048, 4096, 8192):
        plain, found = (
            next(c for c in choices({shape: 1, small: 1}, PROFILE, least) if c.slots == slots) for least in (1, blocks)
        )
        layout, free = found.layouts[shape], plain.layouts[shape]
        assert [layout.blocks(part) for part in layout.parts] == [max(blocks, *map(free.blocks, free.parts))]
        assert layout.plaintexts == plain.layouts[shape].plaintexts
        assert all(found.layouts[small].blocks(part) <= 2 for part in found.layouts[small].parts)


def test_keys_are_saved_for_time(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = {
        GroupShape(384, 8, (Update(384, 8),) * 3): 12,
        GroupShape(384, 8, (Update(1536, 16),)): 12,
        GroupShape(1536, 8, (Update(384, 6),)): 12,
    }
    found = []
    for slower in (1.0, 1.1, 2.0):
        monkeypatch.setattr(choose, "SLOWER", slower)
        found.append(next(c for c in choices(counts, PROFILE) if c.slots == 2048))
    fastest = found[0].seconds
    assert all(c.seconds <= slower * fastest * (1 + 1e-9) for c, slower in zip(found, (1.0, 1.1, 2.0), strict=True))
    keys = [len(c.steps) for c in found]
    assert keys == sorted(keys, reverse=True) and keys[-1] < keys[0]
    for c in found:
        total_seconds = sum(n * c.layouts[shape].seconds(PROFILE) for shape, n in counts.items())
        assert c.seconds == pytest.approx(total_seconds)


def test_the_fastest_ring_comes_first() -> None:
    found = choices({GroupShape(512, 8, (Update(512, 16),)): 1}, PROFILE)
    assert [c.seconds for c in found] == sorted(c.seconds for c in found)
    assert {c.slots for c in found} == {2048, 4096, 8192}


def _prices(sending: float) -> Callable[[str, int], float]:
    """1 ms for each part of a key switch, 10 us for a product with a plaintext; ``sending``: milliseconds for each
    ciphertext that a client sends."""
    each = {
        **dict.fromkeys(KEY_SWITCH, 1e-3),
        "dot_product": 1e-5,
        "send_real": sending * 1e-3,
        "send_complex": sending * 1e-3,
    }
    return lambda name, _: each.get(name, 0.0)


def test_packings_are_those_of_the_fastest_whole_requests() -> None:
    """Two ranks in a slot take the fewest key switches. Two tokens in a slot take half of the ciphertexts of x."""
    shape = GroupShape(2048, 16, (Update(512, 16),))

    def on_ring(sending: float) -> Layout:
        found = choices({shape: 1}, priced(_prices(sending), parts=True))
        return next(c for c in found if c.slots == 2048).layouts[shape]

    free, dear = on_ring(0.0), on_ring(100.0)
    assert (free.packing, dear.packing) == ("pairs", "tokens")
    assert dear.inputs == free.inputs // 2
    evaluations = priced(_prices(0.0), parts=True)
    assert free.seconds(evaluations) < dear.seconds(evaluations)


def test_rings_are_compared_by_the_time_of_the_server() -> None:
    """A client that takes a second for each ciphertext is fastest on the largest ring."""
    shape = GroupShape(2048, 16, (Update(512, 16),))
    profile = priced(_prices(1000.0), parts=True)
    found = choices({shape: 3}, profile)
    for c in found:
        assert c.seconds == pytest.approx(3 * c.layouts[shape].seconds(profile))
    assert [c.seconds for c in found] == sorted(c.seconds for c in found)
    fastest = min(found, key=lambda c: c.layouts[shape].request_seconds(profile))
    assert fastest.slots == 8192 and fastest is not found[0]


@pytest.mark.parametrize(("tokens", "packing"), [(1, "pairs"), (4096, "tokens")])
def test_extreme_numbers_of_tokens(tokens: int, packing: Packing) -> None:
    """One token leaves the imaginary parts to ranks. Of 4,096 two share a slot, so that the ring has room for them."""
    shape = GroupShape(64, tokens, (Update(48, 4),))
    layout = choices({shape: 1}, PROFILE)[0].layouts[shape]
    assert layout.side * (2 if layout.packing == "tokens" else 1) >= tokens
    assert layout.packing == packing
    assert check(loads(text(layout, "update"))).proved


def test_a_program_that_is_wrong_is_not_lowered() -> None:
    # a program of a layout says what it proves, so that an error in the generator can't pass
    layout = LAYOUTS["pairs"]
    wrong = loads(text(layout, "update").replace("(h + q) % 4 + 4", "(h + q) % 4"))
    with pytest.raises(SlotError) as caught:
        lower(wrong, PARAMETERS)
    assert caught.value.diagnostics[0].code == "SL406"
