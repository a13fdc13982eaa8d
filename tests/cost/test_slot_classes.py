"""Slots that are alike are followed as one, and what drafts of one program share changes no gain."""

from __future__ import annotations

import numpy as np
import pytest

from slotlang import api
from slotlang.cost.gains import gains
from slotlang.cost.held_squares import largest_squares
from slotlang.cost.noise import Gains
from slotlang.cost.slot_classes import EACH, SlotClasses, slot_classes
from slotlang.cost.variances import Contents
from slotlang.planning.plan import Draft
from slotlang.schedule.build import EVERY
from slotlang.search.structure import Shape, Structure
from slotlang.search.text import text

STRUCTURES = {
    "tokens": Structure(Shape(96, 80, 8, 8), 256, 8, "pairs", False, ranks=4),
    "padded tokens": Structure(Shape(96, 80, 8, 5), 256, 8, "pairs", False, ranks=4, up=2),
    "padded channels": Structure(Shape(50, 70, 6, 7), 256, 4, "tokens", False, ranks=4, down=2),
    "columns": Structure(Shape(6, 5, 4, 200), 256, 256, "real", False, ranks=1),
    "one token": Structure(Shape(96, 80, 8, 1), 256, 1, "channels", False, ranks=4),
}


def drafts(name: str) -> list[Draft]:
    never = Draft.of(api.loads(text(STRUCTURES[name])), "mask")
    return [never, *(never.dropping(drops) for drops in (EVERY, (1,), (2,)))]


def of(draft: Draft, degree: int, contents: Contents | None = None) -> Gains:
    return gains(draft.graph, degree, draft.doubled, masked=True, zero=draft.zero, contents=contents)


def assert_same(one: Gains, other: Gains) -> None:
    assert one.sources == pytest.approx(other.sources, rel=1e-12)
    assert one.peaks == pytest.approx(other.peaks, rel=1e-12)
    assert one.signal == pytest.approx(other.signal, rel=1e-12)
    assert one.last == other.last
    assert one.reach.keys() == other.reach.keys()
    for state, reach in one.reach.items():
        assert reach == pytest.approx(other.reach[state], rel=1e-12)


@pytest.mark.parametrize("name", STRUCTURES)
def test_gains_by_classes_are_those_slot_by_slot(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = drafts(name)
    contents = Contents(found[0].built)
    degrees = (512, 1024)
    shared = [of(draft, degree, contents) for draft in found for degree in degrees]
    compressed = [classes for classes in contents.classes.values() if classes != EACH]
    assert bool(compressed) == (name != "one token")
    monkeypatch.setattr("slotlang.cost.held_squares.slot_classes", lambda block, arrays: EACH)
    alone = [of(draft, degree) for draft in found for degree in degrees]
    for one, other in zip(shared, alone, strict=True):
        assert_same(one, other)


@pytest.mark.parametrize("name", ["padded tokens", "one token"])
def test_largest_squares_are_those_of_the_gains(name: str) -> None:
    for draft in drafts(name):
        assert largest_squares(draft.graph, draft.doubled, draft.contents) == of(draft, 512).peaks


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound the next graph starts afresh, with the same gains."""
    found = drafts("padded tokens")
    monkeypatch.setattr("slotlang.cost.held_squares.MOST_BYTES", 0)
    contents = Contents(found[0].built)
    for draft in found:
        assert_same(of(draft, 512, contents), of(draft, 512))


def test_classes_of_places() -> None:
    rng = np.random.default_rng(1)
    blocks = rng.integers(0, 3, (2, 4, 2)).astype(float)
    # the first and the last two places of each block of five are alike
    power = blocks[:, :, [0, 1, 0, 1, 1]].reshape(2, -1)
    found = slot_classes(5, [np.ones((2, 1)), power])
    assert found == SlotClasses((0, 1, 0, 1, 1))
    assert found.taken(power).shape == (2, found.columns(20)) == (2, 8)
    assert found.mean(found.taken(power)) == pytest.approx(power.sum() / 20)
    assert found.taken(np.roll(power, 10, axis=1)).tolist() == found.rotated(found.taken(power), 10).tolist()
    other = rng.random(20)
    # what differs inside of a class adds up as its mean does
    weighted = found.taken(power) * found.means(other)
    assert found.mean(weighted) == pytest.approx((power * other).sum() / 20)
    assert slot_classes(5, [power, other[None]]) == EACH
    assert slot_classes(5, [np.ones((1, 20))]) == SlotClasses((0,) * 5)
