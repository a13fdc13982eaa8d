"""SVG documents: well-formed, self-contained, one cell per slot, every text escaped."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from amounts import examples
from hypothesis import given
from hypothesis import strategies as st
from repository import bind_text

from slotlang.meaning.program import Program
from slotlang.proof.check import check
from slotlang.show.canvas import Canvas, fold, wrapped
from slotlang.show.colours import WRONG, content_colour
from slotlang.show.content import SlotContents, contents
from slotlang.show.svg import svg, svg_report
from slotlang.show.svg_map import MAX_CELLS
from slotlang.show.wrong import mark_wrong, refutation, wrong_slots

FOLDER = Path(__file__).resolve().parent
TEXT = (FOLDER / "rank_complex.slot").read_text(encoding="utf-8")
BROKEN = TEXT.replace("cipher X[c < K] = x[c*C + h, t]", "cipher X[c < K] = x[c*C + h, t] * [t != 3]")
SMALL = {"d": 32, "r": 4, "batch": 4, "slots": 32}
NAMESPACE = "{http://www.w3.org/2000/svg}"


def bound(text: str = TEXT, **sizes: int) -> Program:
    return bind_text(text, sizes)


def checked(text: str) -> ElementTree.Element:
    """The root of a document that is safe to open: nothing runs, nothing is fetched."""
    root = ElementTree.fromstring(text)
    assert root.tag == f"{NAMESPACE}svg"
    assert {e.tag.removeprefix(NAMESPACE) for e in root.iter()} <= {
        *("svg", "title", "desc", "defs", "pattern", "rect", "path", "text")
    }
    ids = {e.get("id") for e in root.iter() if e.get("id")}
    for element in root.iter():
        for name, value in element.attrib.items():
            assert not name.lower().startswith("on")
            assert "href" not in name
            for target in re.findall(r"url\((.*?)\)", value):
                assert target.startswith("#")
                assert target[1:] in ids
    assert root.get("role") == "img"
    titles = [e for e in root if e.tag in (f"{NAMESPACE}title", f"{NAMESPACE}desc")]
    assert [e.get("id") for e in titles] == (root.get("aria-labelledby") or "").split()
    assert all(e.text for e in titles)
    width, height = (float(root.get(side) or 0) for side in ("width", "height"))
    assert root.get("viewBox") == f"0 0 {width:g} {height:g}"
    for rect in root.iter(f"{NAMESPACE}rect"):
        if rect.get("x"):
            x, y, w, h = (float(rect.get(side) or 0) for side in ("x", "y", "width", "height"))
            assert 0 <= x <= x + w <= width
            assert 0 <= y <= y + h <= height
    for line in root.iter(f"{NAMESPACE}text"):
        assert 0 <= float(line.get("x") or -1) < width
        assert 0 < float(line.get("y") or -1) < height
    return root


def squares(root: ElementTree.Element) -> Counter[str]:
    """How many cells of each colour the maps of a document have."""
    found: Counter[str] = Counter()
    for path in root.iter(f"{NAMESPACE}path"):
        found[path.get("fill") or ""] += len(re.findall(r"M\d+ \d+h\d+v\d+h-\d+z", path.get("d") or ""))
    return +found


def tips(root: ElementTree.Element) -> list[str]:
    return [title.text or "" for rect in root.iter(f"{NAMESPACE}rect") for title in rect]


def test_a_labelled_grid_has_a_cell_and_a_label_per_slot() -> None:
    found = contents(bound(**SMALL), "W", (1, 2))
    root = checked(svg(found))
    assert tips(root) == [f"slot {s}: {found.text(s)}" for s in range(32)]
    labels = [e.text for e in root.iter(f"{NAMESPACE}text")]
    assert labels.count("B[1,16] + 1i*B[3,16]") == 4
    assert "8 distinct contents, each 4 times, the same for every t" in labels
    assert squares(root) == {}
    fills = [r.get("fill") for r in root.iter(f"{NAMESPACE}rect") if len(r)]
    assert len(set(fills)) == 8
    assert all(fills[s] == fills[s - s % 4] for s in range(32))


def test_empty_cells_are_hatched_and_bare() -> None:
    text = "program p(n = 5, slots = 8)\ninput x[n]\ncipher X = x[slot] else 0\noutput y[slot] = X\nprove y == x\n"
    root = checked(svg(contents(bound(text), "X")))
    cells = [r for r in root.iter(f"{NAMESPACE}rect") if len(r)]
    assert [(r.get("fill") or "").startswith("url(") for r in cells] == [False] * 5 + [True] * 3
    assert "0" not in [e.text for e in root.iter(f"{NAMESPACE}text")]
    assert "empty: 3 slots" in [e.text for e in root.iter(f"{NAMESPACE}text")]


@pytest.mark.parametrize("name", ["X", "W", "S", "Y", "T"])
def test_4096_slots_are_4096_cells(name: str) -> None:
    found = contents(bound(), name)
    text = svg(found)
    cells = squares(checked(text))
    assert sum(cells.values()) == 4096
    assert len(text) < 200_000
    assert found.groups is not None
    assert found.repetition is not None
    distinct = found.repetition.distinct
    assert cells == Counter(content_colour(int(g), distinct) for g in found.groups)


def test_cells_do_not_overlap() -> None:
    found = contents(bound(), "X")
    places = re.findall(r"M(\d+) (\d+)h7v7", svg(found))
    assert len(set(places)) == 4096


def test_tips_up_to_512_slots() -> None:
    root = checked(svg(contents(bound(d=1024, slots=512), "X")))
    assert sum(tip.startswith("slot ") for tip in tips(root)) >= 512
    assert squares(root) == {}


@pytest.mark.parametrize("digits", ["a < 16384, b < 8", "a < 2, b < 65536"])
def test_longer_vectors_are_cut(digits: str) -> None:
    text = f"program p(n = 131072, slots = 131072)\ninput x[n]\naxes ({digits})\ncipher X = x[slot]\n"
    root = checked(svg(contents(bound(text + "output y[slot] = X\nprove y == x\n"), "X")))
    assert sum(squares(root).values()) == MAX_CELLS
    assert any("the first 65,536 slots" in (e.text or "") for e in root.iter(f"{NAMESPACE}text"))
    assert float(root.get("width") or 0) < 1300


def test_wrong_slots_are_marked() -> None:
    program = bound(BROKEN)
    wrong = wrong_slots(program, check(program, "polyhedral").failure)
    root = checked(svg(mark_wrong(contents(program, "S"), wrong)))
    # one more in the legend
    assert squares(root)[WRONG] == 512 + 1
    assert "512 of 4,096 slots of S are wrong" in [e.text for e in root.iter(f"{NAMESPACE}text")]
    small = bound(BROKEN, **SMALL)
    wrong = wrong_slots(small, check(small, "polyhedral").failure)
    root = checked(svg(mark_wrong(contents(small, "S"), wrong)))
    cells = [r for r in root.iter(f"{NAMESPACE}rect") if len(r)]
    assert [s for s, r in enumerate(cells) if r.get("stroke") == WRONG] == list(range(3, 32, 4))


def test_refutation() -> None:
    program = bound(BROKEN)
    found = refutation(program, check(program, "polyhedral"))
    root = checked(svg_report(found))
    texts = [e.text for e in root.iter(f"{NAMESPACE}text")]
    assert "claim S is refuted" in texts
    assert "512 of 4,096 slots of S are wrong: exactly those with t = 3" in texts
    assert len(tips(root)) == len(found.around) == 7
    cells = squares(root)
    assert cells[WRONG] == 512 + 1
    assert sum(cells.values()) - cells[WRONG] == 4096
    twice = bound(TEXT.replace("prove  y", "output y[c*C + h, t] = re Y[c]\nprove  y"), **SMALL)
    checked(svg_report(refutation(twice, check(twice, "polyhedral"))))


ODD = "<script>alert('&\"')</script>]]>\x00\x1b[31m\ud800\uffff é 𝔘"


def odd_named(found: SlotContents) -> SlotContents:
    return replace(found, program=ODD, family=ODD, definition=ODD, claims=((1, ODD),), axes=((ODD, 8), (ODD, 4)))


def test_odd_names_are_escaped() -> None:
    found = odd_named(contents(bound(**SMALL), "W"))
    text = svg(found)
    text.encode()
    root = checked(text)
    assert "<script>alert('&\"')</script>]]>[31m é 𝔘" in [e.text for e in root.iter(f"{NAMESPACE}text")]
    program = bound(BROKEN, **SMALL)
    report = refutation(program, check(program, "polyhedral"))
    odd = replace(report, program=ODD, statement=ODD, lines=(ODD,), title=ODD, axes=((ODD, 8), (ODD, 4)))
    checked(svg_report(odd))


@pytest.mark.parametrize("slots", [1, 2, 13, 100, 129, 257, 1021, 1024])
def test_any_number_of_slots(slots: int) -> None:
    text = (
        f"program p(n = {slots}, slots = {slots})\ninput x[n]\ncipher X = x[slot]\noutput y[slot] = X\nprove y == x\n"
    )
    root = checked(svg(contents(bound(text), "X")))
    drawn = sum(squares(root).values()) + sum(tip.startswith("slot ") for tip in tips(root))
    assert drawn >= slots


@pytest.mark.parametrize(
    "digits", ["a < 2, b < 256", "a < 256, b < 2", "a < 4, b < 8, c < 16", "a < 512", "a < 1, b < 512"]
)
def test_any_digits(digits: str) -> None:
    text = f"program p(n = 512, slots = 512)\ninput x[n]\naxes ({digits})\ncipher X = x[slot]\n"
    root = checked(svg(contents(bound(text + "output y[slot] = X\nprove y == x\n"), "X")))
    assert sum(tip.startswith("slot ") for tip in tips(root)) >= 512


def test_not_compared() -> None:
    found = contents(bound(), "S", claims=(), compare=False)
    assert sum(squares(checked(svg(found))).values()) == 4096


@examples()
@given(st.integers(1, 300), st.integers(1, 300))
def test_folds_keep_every_cell_apart(rows: int, columns: int) -> None:
    cut = fold(rows, columns)
    places = set()
    for row in range(rows):
        for column in range(0, columns, max(1, columns // 7)):
            block, r, c = cut.place(row, column)
            assert 0 <= r < cut.rows
            assert 0 <= c < cut.columns
            assert 0 <= block < cut.blocks
            places.add((block, r, c))
    assert len(places) == rows * len(range(0, columns, max(1, columns // 7)))


@examples()
@given(st.text(st.sampled_from("ab[],*() +-"), max_size=60), st.integers(3, 20), st.integers(1, 4))
def test_wrapped(text: str, width: int, lines: int) -> None:
    parts = wrapped(text, width, lines)
    assert len(parts) <= lines
    assert all(len(part) <= width for part in parts)
    if not any("…" in part for part in parts):
        assert "".join(parts).replace(" ", "") == text.replace(" ", "")


def test_ids_are_names() -> None:
    canvas = Canvas('W[2, 5] <"é>')
    assert re.fullmatch(r"[A-Za-z0-9-]+", canvas.id)
