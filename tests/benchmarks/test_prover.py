"""The sizes that proofs are timed at."""

from __future__ import annotations

import pytest
from repository import PROGRAMS, bind_text

from benchmarks.prover import corpus, larger, seconds
from slotlang.syntax.parser import parse, read_source


@pytest.mark.parametrize("name", ["rank_complex", "scores", "nonsquare", "theorems/without_diagonal"])
def test_ten_times_the_sizes(name: str) -> None:
    syntax = parse(read_source(PROGRAMS / f"{name}.slot"))
    own, grown = bind_text(syntax.source.text), larger(syntax)
    assert grown is not None
    factors = {size: grown.sizes[size] / own.sizes[size] for size in own.parameters}
    assert set(factors.values()) <= {1.0, *map(float, range(10, 33))}
    assert max(factors.values()) >= 10


def test_every_right_program_is_timed() -> None:
    names = {path.stem for path in corpus()}
    assert {"rank_complex", "lazy_fixed", "square_layer"} <= names
    assert "hoisted" not in names
    taken, report = seconds(read_source(PROGRAMS / "conjugate.slot"), {"n": 16})
    assert report.proved
    assert taken >= 0
