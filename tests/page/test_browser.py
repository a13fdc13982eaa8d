"""Pages in headless Chromium: clicks, keys, sizes. ``make test-page`` brings what this needs; else it is skipped."""

from __future__ import annotations

import pytest
from browsing import AXE, accessibility, until_said
from repository import ROOT, program_text

BACKWARDS = (ROOT / "docs" / "tutorial" / "diagonals_backwards.slot").read_text()
SHIFTED = (
    "program p(n = 4096)\ninput x[n]\naxes (h < n)\ncipher X = x[h]\nS = X << 1\n"
    "output y[(h + 1) % n] = S\nprove y == x\n"
)
SUMMED = """program p(d = 16)
input x[d]
weight w[d]
axes (h < d)
cipher X = x[h]
plain W = w[h]
P = X * W
S = sum f < d by doubling: P << f
T = S >> 3
output y = T where h == 0
prove y == w @ x
"""
SMALL = {"d": 16, "r": 4, "batch": 2, "slots": 16}


def test_a_slot_is_followed_back_to_the_input(opened):
    page = opened(program_text("rank_complex"), SMALL)
    page.click("#text [role=button]:has-text('T = sum')")
    assert page.inner_text("#title") == "T"
    box = page.locator("#canvas").bounding_box()
    rows, columns = 8, 2
    page.mouse.move(box["x"] + box["width"] / columns * 1.5, box["y"] + box["height"] / rows * 2.5)
    until_said(page, "#held", "T slot 5 (h = 2, t = 1) holds")
    page.mouse.click(box["x"] + box["width"] / columns * 1.5, box["y"] + box["height"] / rows * 2.5)
    steps = page.locator("#origin li").all_inner_texts()
    assert [s.split(" slot ")[0] for s in steps] == ["T", "P[0]", "X[0]"]
    assert steps[-1] == "X[0] slot 5 = x[2, 1], packed by the client"
    page.click("#origin button:has-text('P[1] slot 7')")
    assert page.inner_text("#title") == "P[1]" and "slot 7" in page.inner_text("#held")


def test_the_slot_under_the_mouse_says_where_it_came_from(opened):
    page = opened(program_text("rank_complex"), SMALL)
    page.click("#text [role=button]:has-text('S = sum')")
    box = page.locator("#canvas").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + box["height"] * 2.5 / 8)
    until_said(page, "#held", "S slot 5 ")
    # the first ciphertext each time, as a click shows it step by step
    page.mouse.down()
    page.mouse.up()
    steps = page.locator("#origin li").all_inner_texts()
    came = page.inner_text("#came")
    assert [part.split(" slot ")[0] for part in came.removeprefix("from ").split(" = ")[0].split(" ← ")] == [
        step.split(" slot ")[0] for step in steps[1:]
    ]
    assert came.endswith(f" = {steps[-1].split(' = ')[1].removesuffix(' by the client')}") and "(1 of 2)" in came
    page.mouse.move(box["x"] + 2, box["y"] + 2)
    until_said(page, "#held", "S slot 0 ")
    assert page.inner_text("#came") != came
    assert page.locator("#came").bounding_box()["height"] < 30, "one line"


def test_rotations_are_those_that_are_executed(opened):
    page = opened(SUMMED)
    page.click("#text [role=button]:has-text('S = sum')")
    assert page.inner_text("#executed") == "Executed: << 8, << 4, << 2, << 1: 4 rotations."
    assert page.inner_text("#meant") == "It comes to: P rotated by 0, 1, … 15."
    arrows = page.locator("#move optgroup >> nth=0 >> option").all_inner_texts()
    assert arrows == ["<< 8, once", "<< 4, once", "<< 2, once", "<< 1, once"]
    assert page.inner_text("#move-text").startswith("Slot 0 takes slot 8 of what is rotated")
    page.select_option("#move", "x3")
    assert page.inner_text("#move-text").startswith("Slot 0 takes slot 1 of what is rotated")
    page.click("#text [role=button]:has-text('T = S')")
    assert page.inner_text("#executed") == "Executed: >> 3: 1 rotation."
    assert page.inner_text("#move-text").startswith("Slot 0 takes slot 13 of S")


def test_statements_without_slots_say_what_they_speak_of(opened):
    page = opened(program_text("rank_complex"), SMALL)
    for start, title, said in [
        ("input", "X[0]", "x is read by X"),
        ("weight", "V[0, 0]", "A is read by V; B is read by W"),
        ("prove", "Y[0]", "y is read from Y"),
        ("axes", "Y[0]", "h is a digit below 8, 2 slots apart; t is a digit below 2, 1 slot apart"),
        ("program", "Y[0]", "rank_complex: vectors of 16 slots"),
    ]:
        statement = page.locator(f"#text [role=button]:has-text('{start}')").first
        statement.click()
        assert page.inner_text("#title") == title
        about = page.inner_text("#about")
        assert said in about and about.startswith("Line ") and f"Shown: {title.split('[')[0]}, line" in about
        assert statement.get_attribute("aria-pressed") == "true"
    page.click("#text [role=button]:has-text('S = sum')")
    line = program_text("rank_complex").split("\nS = sum")[0].count("\n") + 2
    assert page.inner_text("#about") == f"Shown: S, line {line}."
    wrong = opened(BACKWARDS)
    wrong.select_option("#family", "X")
    wrong.click("#text [role=button]:has-text('prove')")
    assert wrong.inner_text("#title") == "S" and "This is wrong." in wrong.inner_text("#held")


def test_everything_works_by_keys(opened):
    page = opened(program_text("rank_complex"), SMALL)
    statement = page.locator("#text [role=button]:has-text('S = sum')").first
    statement.focus()
    page.keyboard.press("Enter")
    assert statement.get_attribute("aria-pressed") == "true"
    page.focus("#canvas")
    for key in ("Home", "ArrowDown", "ArrowRight"):
        page.keyboard.press(key)
    assert page.inner_text("#held").startswith("S slot 3 ")
    page.keyboard.press("Enter")
    assert page.inner_text("#title") == "T"
    page.keyboard.press("Backspace")
    assert page.inner_text("#title") == "S"
    page.focus("#flow a >> nth=0")
    page.keyboard.press("Enter")
    assert page.inner_text("#title") == "X[0]"
    page.select_option("#family", "Y")
    page.fill("[data-binder=c]", "1")
    page.keyboard.press("Tab")
    assert page.inner_text("#title") == "Y[1]"


def test_a_refuted_program_opens_at_its_wrong_slot(opened):
    page = opened(BACKWARDS)
    assert page.inner_text("#title") == "S"
    assert "This is wrong." in page.inner_text("#held")
    assert page.inner_text("#status").startswith("refuted")
    page.select_option("#family", "X")
    page.click("#wrong")
    assert page.inner_text("#title") == "S"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_has_room(opened, scheme):
    page = opened(program_text("rank_complex"), SMALL, width=390, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 24, 31)"
    assert dark == (scheme == "dark")


def test_hostile_texts_run_nothing(opened):
    bad = "# </script><script>document.title='bad'</script><img src=x onerror=\"document.title='bad'\">\n"
    page = opened(bad + program_text("rank_complex"), SMALL)
    assert page.title() == "rank_complex – slotlang"
    assert bad.strip() in page.inner_text("#text")


def test_each_of_4096_slots_can_be_pointed_at(opened):
    """How fast: benchmarks/page_frames.py."""
    page = opened(SHIFTED)
    assert page.evaluate("program().slots") == 4096
    found = page.evaluate(
        "Array.from({ length: 60 }, (_, n) => n * 79 % 4096).map((slot) => { select(slot); hovered = slot;"
        " showHovered(); return [slot, byId('held').textContent, byId('move-text').textContent]; })"
    )
    for slot, held, moved in found:
        after = (slot + 1) % 4096
        assert held == f"S slot {slot} (h = {slot}) holds x[{after}], which is proved to be y[{after}]."
        assert moved.startswith(f"Slot {slot} takes slot {after} of X.")


def test_statements_stages_and_rotations_are_chosen_by_mouse(opened):
    page = opened(program_text("rank_complex"), SMALL)
    page.click("#stages button:has-text('T')")
    assert page.inner_text("#title") == "T"
    page.click("#flow a >> nth=-1")
    assert page.inner_text("#title") == "Y[0]"
    assert page.locator("#move optgroup >> nth=-1 >> option").all_inner_texts()[0] == "S, in place"
    page.select_option("#move", "2")
    assert page.inner_text("#move-text").startswith("Slot 0 takes slot 2 of S")
    box = page.locator("#canvas").bounding_box()
    page.hover("#canvas", position={"x": 5, "y": box["height"] - 5})
    until_said(page, "#move-text", "Slot 14 takes slot 0 of S")  # arrows follow the mouse
    page.mouse.move(0, 0)
    until_said(page, "#move-text", "Slot 0 takes slot 2 of S")
    page.focus("#canvas")
    for key, slot in [("End", 15), ("PageUp", 15), ("ArrowLeft", 14), ("ArrowUp", 12), ("PageDown", 12)]:
        page.keyboard.press(key)
        assert f"Y[0] slot {slot} " in page.inner_text("#held")
    page.click("#move-text")
    page.keyboard.press("Home")
    assert page.locator("#cost table").count() == 2 and "gap" in page.inner_text("#cost")


@pytest.mark.skipif(not AXE.exists(), reason="there is no axe-core")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_serious_is_found_by_axe(opened, scheme):
    page = opened(program_text("rank_complex"), SMALL, color_scheme=scheme)
    assert accessibility(page) == []
