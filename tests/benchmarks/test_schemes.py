"""The benchmark of schemes: what a row says is so, and tables, plot and page show the rows."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from repository import PROGRAMS, ROOT

from benchmarks import figures, pages
from benchmarks.child import Emitted, End, Row, TenSeal, Turn, Work, row, secure, wants_more
from benchmarks.schemes import QUICK, SHAPES, measured, prepare, schemes, side_by_side, weights_of
from slotlang.adapter import read_adapter
from slotlang.api import load, plan
from slotlang.show.canvas import CHARACTER

TINY = (16, 4, 4)
NAMESPACE = "{http://www.w3.org/2000/svg}"


def sample(shape: tuple[int, int, int], scheme: str, seconds: float, **fields: float) -> Row:
    return Row(shape, scheme, seconds, 3, 2, 1_500_000, 2_000_000, 3_000_000, 2e-5, **fields)


def grid() -> list[Row]:
    """Every shape and scheme, with times of its own."""
    all_rows = [(shape, scheme) for shape in SHAPES for scheme in schemes(shape)]
    return [sample(shape, scheme, 1e-3 * (n + 1) * shape[2] ** 0.6) for n, (shape, scheme) in enumerate(all_rows)]


# Measuring


def test_a_program_is_measured() -> None:
    sizes = {"d": 16, "r": 4, "batch": 4, "slots": 16}
    program = load(PROGRAMS / "rank_complex.slot", sizes)
    counts = plan(program).counts
    found = measured(program, None, (16, 4, 8), "mine")
    assert (found.scheme, found.held) == ("mine", 4)
    # 8 tokens are two evaluations
    assert found.key_switches == 2 * counts.key_switches
    assert found.ciphertexts_up == 2 * counts.ciphertexts_in
    assert found.ciphertexts_down == 2 * counts.ciphertexts_out
    assert found.upload_bytes > 2 * counts.ciphertexts_in * 10_000
    assert 0 < found.error < 1e-6
    assert found.seconds > 0 and found.load_seconds > 0 and found.save_seconds > 0
    assert found.memory_bytes > 20e6
    assert (found.security, found.modulus_bits) == (128, 180)


def test_an_error_is_seen() -> None:
    subject = Emitted(prepare((TINY, "tutorial")))
    subject.turn()
    assert 0 < subject.end().error < 1e-4
    subject.a = 2 * subject.a
    assert subject.end().error == pytest.approx(0.5, abs=1e-3)


def test_tenseal_is_measured() -> None:
    subject = TenSeal(prepare(((16, 4, 1), "TenSEAL")))
    turn, end = subject.turn(), subject.end()
    assert turn.evaluations[0] > 0
    assert 0 < end.error < 1e-4
    assert end.modulus_bits == 200
    subject.b = -subject.b
    assert subject.end().error == pytest.approx(2, abs=1e-3)


def test_processes_take_turns_and_one_that_fails_is_left_out() -> None:
    work = prepare((TINY, "fixed"))
    broken = replace(work, scheme="broken", text="raise SystemExit('no memory')")
    said: list[str] = []
    (found,) = side_by_side([broken, work], said.append)
    assert found.scheme == "fixed"
    assert found.key_switches == work.key_switches
    assert 0 < found.error < 1e-6
    assert found.evaluations >= 7
    (message,) = said
    assert "broken" in message and "no memory" in message


def test_rows_are_medians_times_groups() -> None:
    nothing = np.zeros((1, 1))
    work = Work((4, 2, 16), "s", "text", nothing, nothing, "how", "where", key_switches=5, keys=3)
    turns = [Turn([1.0, 2.0], 0.1, 0.2, 0.3), Turn([9.0, 3.0], 0.1, None, None), Turn([3.0], 0.4, 0.6, 0.5)]
    found = row(work, turns, End(8, 100, 10, 20, 4, 2, 1e-5, 7, 9))
    assert (found.seconds, found.per_token) == (6.0, 0.375)
    assert (found.key_switches, found.keys, found.key_bytes) == (10, 3, 100)
    assert (found.upload_bytes, found.download_bytes, found.ciphertexts_up, found.ciphertexts_down) == (20, 40, 8, 4)
    assert (found.mask_seconds, found.load_seconds, found.save_seconds) == pytest.approx((0.2, 0.8, 0.8))
    assert found.spread == pytest.approx(0.5 / 3)
    assert found.whole_per_token == pytest.approx((6.0 + 0.2 + 0.8 + 0.8) / 16)
    assert found.evaluations == 5


def test_long_evaluations_get_fewer_turns() -> None:
    def turns(seconds: float) -> int:
        done: list[Turn] = []
        while wants_more(done):
            done.append(Turn([seconds], 0.0, 0.0, 0.0))
        return len(done)

    assert turns(100.0) == 1
    assert 1 < turns(5.0) < turns(0.1)


def test_weak_parameters_are_refused() -> None:
    assert secure(4096, [36, 36, 37]) == 109
    with pytest.raises(AssertionError, match="110 bits"):
        secure(4096, [36, 37, 37])


# What is measured


@pytest.mark.parametrize("rank", [8, 16, 64])
def test_real_weights(rank: int) -> None:
    a, b = weights_of(384, rank)
    assert (a.shape, b.shape) == ((384, rank), (rank, 384))
    first = read_adapter(ROOT / "examples" / "minilm_adapter").modules["encoder.layer.0.attention.self.query"]
    assert np.array_equal(a[:, :8] @ b[:8], first.up @ first.down)
    assert np.linalg.matrix_rank(a @ b) == rank


def test_what_is_not_searched_is_what_the_corpus_has() -> None:
    sizes = {"d": 1024, "r": 8, "batch": 8, "slots": 4096}
    counts = plan(load(PROGRAMS / "rank_complex.slot", sizes)).counts
    assert prepare(((1024, 8, 64), "fixed")).key_switches == counts.key_switches
    dense = plan(load(PROGRAMS / "dense_ab.slot", {"d": 256, "r": 8, "steps": 16})).counts
    assert prepare(((256, 8, 1), "dense")).key_switches == dense.key_switches


def test_the_grid_is_full() -> None:
    wanted = {(d, r, tokens) for d in (384, 4096) for r in (8, 16, 64) for tokens in (1, 8, 64, 2048)}
    assert wanted | {(1024, 8, 1), (4096, 16, 512)} == set(SHAPES)
    assert set(QUICK) < set(SHAPES)
    aimed = [end for aim in figures.AIMS for end in aim[2:]]
    assert all(shape in SHAPES and scheme in schemes(shape) for shape, scheme in aimed)


# Tables


def test_ratios() -> None:
    rows = [
        sample((1024, 8, 1), "TenSEAL", 10.0),
        sample((1024, 8, 1), "synth 1e-3", 0.008),
        sample((4096, 16, 8), "fixed", 0.046),
        sample((4096, 16, 8), "synth 1e-3", 0.032, load_seconds=0.032),
        sample((4096, 16, 2048), "synth 1e-3", 1.024, save_seconds=3.072),
    ]
    head, *lines = figures.ratios(rows)
    assert head[:5] == ["d", "r", "tokens", "TenSEAL", "fixed"]
    assert lines == [
        ["1024", "8", "1", "1,250", "", "", ""],
        ["4096", "16", "8", "", "1.44", "", ""],
        ["4096", "16", "2048", "", "", "0.12", "0.25"],
    ]
    measured_aims = {tuple(line[1:]) for line in figures.aims(rows)[1:]}
    assert measured_aims == {("1024, 8, 1", "≥ 1,000", "1,250"), ("4096, 16, 2048", "≤ 0.25", "0.12")}


def test_tables_hold_every_row() -> None:
    rows = grid()
    table, compared, _ = figures.terminal_tables(rows)
    assert table.row_count == len(rows)
    assert compared.row_count == len(SHAPES)
    unknown = replace(rows[0], key_switches=None)
    head, line = figures.cells([unknown], [*figures.COLUMNS])
    assert dict(zip(head, line, strict=True))["key switches"] == ""


# The page and its plot


def test_the_page_is_rewritten_between_its_marks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- measured: begin -->\nold\n<!-- measured: end -->\nafter\n", encoding="utf-8")
    monkeypatch.setattr(figures, "PAGE", page)
    monkeypatch.setattr(figures, "PLOT", tmp_path / "plot.svg")
    rows, machine = grid(), {"processor": "a processor", "cores": 2, "tenseal": "0.3.18"}
    for _ in range(2):
        figures.write_docs(rows, {"date": "2026-01-01", "machine": machine})
    text = page.read_text(encoding="utf-8")
    assert text.startswith("before\n<!-- measured: begin -->\n") and text.endswith("<!-- measured: end -->\nafter\n")
    assert "old" not in text and "a processor, 2 cores" in text and "(plot.svg)" in text
    for heading in ("### 384 channels", "### 1024 channels", "### 4096 channels", "### Ratios"):
        assert text.count(heading) == 1
    assert all(len(re.findall(rf"^\|.*\| {name} \|", text, re.MULTILINE)) >= 7 for name in ("dense", "fixed"))
    widths = [line.count("|") for line in text.splitlines() if line.startswith("| 8 | 1 | dense")]
    assert widths and set(widths) == {len(figures.COLUMNS)}
    assert (tmp_path / "plot.svg").read_text(encoding="utf-8") == figures.plot_svg(rows)


def test_the_documented_page_has_its_marks() -> None:
    text = figures.PAGE.read_text(encoding="utf-8")
    assert (text.count("<!-- measured: begin -->"), text.count("<!-- measured: end -->")) == (1, 1)


def test_a_page_without_marks_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("nothing\n", encoding="utf-8")
    with pytest.raises(ValueError):
        pages.rewrite(page, ["new"])
    assert page.read_text(encoding="utf-8") == "nothing\n"


def labels(root: ElementTree.Element) -> list[tuple[float, float, float, float]]:
    """Where texts stand, at most, and what the legend explains."""
    found = []
    for circle in root.iter(f"{NAMESPACE}circle"):
        x, y, radius = (float(circle.get(name) or 0) for name in ("cx", "cy", "r"))
        if " token" not in (circle[0].text or ""):
            found.append((x - radius, y - radius, x + radius, y + radius))
    for text in root.iter(f"{NAMESPACE}text"):
        size = float(text.get("font-size") or 0)
        width = CHARACTER * size * len(text.text or "")
        left = float(text.get("x") or 0) - width * {"middle": 0.5, "end": 1.0}.get(text.get("text-anchor") or "", 0.0)
        base = float(text.get("y") or 0)
        found.append((left, base - size, left + width, base))
    return found


@pytest.mark.parametrize("count", [len(QUICK), len(SHAPES)])
def test_labels_of_the_plot_do_not_overlap(count: int) -> None:
    shapes = SHAPES if count == len(SHAPES) else QUICK
    rows = [r for r in grid() if r.shape in shapes]
    root = ElementTree.fromstring(figures.plot_svg(rows))
    width, height = (float(root.get(side) or 0) for side in ("width", "height"))
    found = labels(root)
    assert len(found) > 10
    for n, (left, top, right, bottom) in enumerate(found):
        assert left >= 0 and top >= 0 and right <= width and bottom <= height
        for a, b, c, d in found[:n]:
            assert right <= a or c <= left or bottom <= b or d <= top


def test_every_time_is_in_the_plot_and_more_is_higher() -> None:
    rows = grid()
    root = ElementTree.fromstring(figures.plot_svg(rows))
    places = {}
    for circle in root.iter(f"{NAMESPACE}circle"):
        tip = circle[0].text or ""
        if " token" in tip:
            places[tip] = float(circle.get("cy") or 0)
    drawn = [r for r in rows if r.shape[0] != 1024]  # a panel with one number of tokens shows nothing
    assert len(places) == len(drawn)
    line = [r for r in drawn if r.shape == (4096, 64, 8)]
    heights = [next(y for tip, y in places.items() if f", 8 tokens: {figures.ms(r.per_token)} ms" in tip) for r in line]
    assert heights == sorted(heights, reverse=True) and len(set(heights)) == len(line)
