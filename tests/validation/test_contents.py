"""Identities of contents: the same for all rotations, found run by run."""

from __future__ import annotations

import numpy as np
import pytest

from slotlang.validation import contents


@pytest.mark.parametrize("seed", range(40))
def test_the_start_turns_with_the_marks(seed: int) -> None:
    rng = np.random.default_rng(seed)
    length = int(rng.choice([1, 2, 6, 12, 16, 24]))
    repeated = int(rng.choice([d for d in range(1, length + 1) if length % d == 0]))
    runs = int(rng.choice([1, 3]))
    marks = np.repeat(np.tile(rng.integers(0, 2, length // repeated), repeated), runs).astype(np.uint64)
    start, period = contents._start(marks)
    turned = np.roll(marks, -start)
    assert (turned == np.roll(turned, period)).all() and len(marks) % period == 0
    for smaller in range(1, period):
        assert (turned != np.roll(turned, smaller)).any()
    for amount in range(len(marks)):
        again, same = contents._start(np.roll(marks, amount))
        assert same == period and (np.roll(np.roll(marks, amount), -again) == turned).all()


def test_marks_are_compared_run_by_run(monkeypatch: pytest.MonkeyPatch) -> None:
    least, seen = contents._least, []
    monkeypatch.setattr(contents, "_least", lambda marks: seen.append(len(marks)) or least(marks))
    marks = np.repeat(np.arange(8, dtype=np.uint64)[::-1], 1024)
    start, period = contents._start(np.roll(marks, 5))
    assert seen == [8] and (start - 5) % 1024 == 0 and period == 8192
