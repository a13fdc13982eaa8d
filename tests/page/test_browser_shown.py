"""What pictures and sentences of a page say, and whether there is room for it."""

from __future__ import annotations

import pytest
from repository import bind_text, program_text

from slotlang.api import cost
from slotlang.notebook.displays import html

SMALL = {"d": 16, "r": 4, "batch": 2, "slots": 16}
MATRIX = """program product_of_a_matrix(n = 8)
input x[n]
weight M[n, n]
axes (h < n)
cipher X = x[h]
plain a_rather_long_name_of_a_diagonal[k < n] = M[h, (h + k) % n]
Y = sum k < n by bsgs(4): a_rather_long_name_of_a_diagonal[k] * (X << k)
output y[h] = Y
prove y == M @ x
"""
JUPYTER = """
:not(.jp-RenderedMarkdown).jp-RenderedHTMLCommon td, :not(.jp-RenderedMarkdown).jp-RenderedHTMLCommon th,
:not(.jp-RenderedMarkdown).jp-RenderedHTMLCommon tr { text-align: right; }
.jp-RenderedHTMLCommon td, .jp-RenderedHTMLCommon th, .jp-RenderedHTMLCommon tr { vertical-align: middle; }
"""
"""JupyterLab's own rules for tables, which pages of nbconvert have too."""


@pytest.mark.parametrize("width", [1280, 390])
def test_texts_of_the_dataflow_stay_in_their_boxes(opened, width):
    for text, sizes in ((MATRIX, None), (program_text("rank_complex"), SMALL)):
        page = opened(text, sizes, width=width)
        found = page.evaluate(
            "[...document.querySelectorAll('#flow a')].flatMap((a) => [...a.querySelectorAll('text')]"
            ".filter((t) => t.textContent).map((t) => { const b = a.querySelector('rect').getBBox(), i = t.getBBox(); "
            "return [t.textContent, i.x - b.x, b.x + b.width - i.x - i.width]; }))"
        )
        assert any("rotation" in text and "product" in text for text, _, _ in found) and len(found) >= 8
        assert all(left >= 3 and right >= 3 for _, left, right in found), found
        # boxes do not lie on each other
        boxes = page.evaluate(
            "[...document.querySelectorAll('#flow rect')].map((r) => r.getBBox())"
            ".map((b) => [b.x, b.y, b.width, b.height])"
        )
        for n, (x, y, w, h) in enumerate(boxes):
            assert all(x + w <= u or u + v <= x or y + h <= t or t + k <= y for u, t, v, k in boxes[n + 1 :])


def test_slots_say_all_that_there_is_room_for_and_what_they_are_proved_to_hold(opened):
    drawn = "[grid.cell, grid.across, byId('canvas').parentElement.clientWidth]"
    labels = "Array.from({ length: program().slots }, (_, s) => textWidth(grid.value.label(s, grid.fits)))"
    page = opened(program_text("rank_complex"), SMALL)
    for family, text in (("Y", "y[0,0] = re \u03a3"), ("T", "\u03a38 ")):
        page.select_option("#family", family)
        cell, across, width = page.evaluate(drawn)
        # of two columns each has what it needs, which is less than there is
        assert across == 2 and 84 < cell < width / 2 and max(page.evaluate(labels)) + 6 <= cell
        assert page.evaluate("grid.value.label(0, grid.fits)").startswith(text)
    page.select_option("#family", "Y")
    page.evaluate("select(5)")
    assert page.inner_text("#held").endswith(", whose real part is proved to be y[2, 1].")
    page = opened(MATRIX)
    page.select_option("#family", "Y")
    assert page.evaluate("valueOf('Y').label(1, () => true)") == "y[1] = \u03a38 M[1,0]*x[0]"
    assert page.evaluate("valueOf('Y').label(1, () => false)") == "y[1]", "what fits into a narrow cell"
    cell, across, width = page.evaluate(drawn)
    assert across == 8 and max(page.evaluate(labels)) + 6 <= cell and cell * across <= width
    assert page.evaluate("grid.value.label(7, grid.fits)") == "y[7]"
    page.evaluate("select(1)")
    said = page.inner_text("#held")
    assert said.startswith("Y slot 1 (h = 1) holds sum of 8 products") and said.endswith(
        ", which is proved to be y[1]."
    )
    # what is not an output's value, or not proved, has no such element
    page.select_option("#family", "X")
    assert page.evaluate("valueOf('X').label(1, () => true)") == "x[1]"
    wrong = opened(MATRIX.replace("output y[h]", "output y[(h + 1) % n]"))
    assert wrong.inner_text("#status").startswith("refuted") and "proved to be" not in wrong.inner_text("#held")
    assert wrong.evaluate("valueOf('Y').results") == []


def test_what_is_to_be_proved_is_a_sentence(opened):
    assert "To prove: y == M @ x, where y has 8 elements." in opened(MATRIX).inner_text("#proof")
    said = opened(program_text("rank_complex"), SMALL).inner_text("#proof")
    assert "To prove: y == scale * A @ B @ x, where y has 32 elements (16 × 2)." in said


def test_tables_in_a_notebook_keep_their_alignment(watching):
    page = watching()
    drawn = html(cost(bind_text(MATRIX)))
    page.set_content(f'<div class="jp-RenderedHTMLCommon">{drawn}</div><style>{JUPYTER}</style>')
    cells = page.evaluate(
        "[...document.querySelectorAll('td, th')].map((c) => [c.className, getComputedStyle(c).textAlign])"
    )
    assert len(cells) > 20 and {"number", ""} <= {kind for kind, _ in cells}
    assert all(align == ("right" if kind == "number" else "left") for kind, align in cells), cells
