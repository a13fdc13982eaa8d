"""What a view shows while its text becomes another one: wrong slots, repairs, texts that are no program, undo."""

from __future__ import annotations

import pytest
from browsing import replace_text, undone, until_settled, until_true
from repository import ROOT

BACKWARDS = (ROOT / "docs" / "tutorial" / "diagonals_backwards.slot").read_text()
TEXT = (
    "program p(n = 4)\ninput x[n]\naxes (h < n)\ncipher X = x[h]\nS = X << 1\noutput y[(h + 1) % n] = S\nprove y == x\n"
)
REFUTED = TEXT.replace("(h + 1)", "(h + 2)")


def shown(page):
    return page.inner_text("#title"), "This is wrong." in page.inner_text("#held")


@pytest.fixture
def held(viewed):
    """A view whose texts reach the server when they are let go."""

    def open_held(text):
        page, kept = viewed(text), []
        page.route("**/text", lambda route: kept.append(route))

        def let_go():
            until_true(page, "view.sending > 0")
            for route in kept:
                route.continue_()
            page.unroute("**/text")

        page.let_go = let_go
        return page

    return open_held


def test_what_turns_to_refuted_is_shown_at_its_wrong_slot(viewed):
    page = viewed(TEXT)
    # what was chosen before the text was changed is no choice any more
    page.select_option("#family", "X")
    replace_text(page, REFUTED)
    until_settled(page)
    assert shown(page) == ("S", True)
    # one that stays refuted leaves what somebody chose
    page.select_option("#family", "X")
    page.evaluate("receive(view.last.data, true)")
    assert shown(page) == ("X", False)
    # another program in its place, which is refuted as well
    replace_text(page, BACKWARDS)
    until_settled(page)
    assert shown(page) == ("S", True) and page.evaluate("state.slot === program().refutation.slot")
    replace_text(page, TEXT)
    until_settled(page)
    assert not shown(page)[1]
    page.keyboard.press("Control+z")
    until_settled(page)
    assert shown(page) == ("S", True)


def test_a_size_that_refutes_shows_the_wrong_slot(viewed):
    # 2 is as far forwards as backwards in 4 slots alone
    page = viewed(TEXT.replace("X << 1", "X << 2").replace("(h + 1) % n", "(h + n - 2) % n"))
    page.select_option("#family", "X")
    assert page.inner_text("#status").startswith("proved")
    page.focus("#knob-n")
    page.keyboard.press("ArrowRight")
    until_true(page, "!state.stale && program().sizes.n > 4 && program().knobs")
    assert page.inner_text("#status").startswith("refuted") and shown(page) == ("S", True)


def test_what_is_chosen_while_a_text_is_looked_at_stays(held):
    page = held(TEXT)
    replace_text(page, REFUTED)
    page.select_option("#family", "X")
    page.let_go()
    until_settled(page)
    assert page.inner_text("#status").startswith("refuted") and shown(page) == ("X", False)


def test_a_repair_stands_once_and_is_taken_by_the_keyboard_and_undone(viewed):
    page = viewed(BACKWARDS)
    page.wait_for_selector("#marks .repair button")
    said = page.inner_text("#marks")
    assert said.startswith("refuted, line 21: claim S\n") and "line 19: lost for good in line 19" not in said
    repairs = page.locator("#marks .repair")
    (line,) = [text for text in repairs.all_inner_texts() if "<< q*batch" in text]
    after = line.split(": ", 2)[2]
    assert said.count(after) == 1 and BACKWARDS.count(after) == 0
    # a repair of the text before is not taken in another one
    button = page.locator("#marks .repair button").nth(repairs.all_inner_texts().index(line))
    page.focus("#editor .cm-content")
    page.keyboard.type("#")
    assert button.is_disabled()
    undone(page, BACKWARDS)
    until_settled(page)
    page.wait_for_selector("#marks .repair button:enabled")
    assert repairs.all_inner_texts().count(line) == 1
    # from the message's line, which is a button too, to its repairs
    page.focus("#marks button")
    for _ in range(1 + repairs.all_inner_texts().index(line)):
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.parentElement.innerText") == line
    page.keyboard.press("Enter")
    until_settled(page)
    assert page.inner_text("#status").startswith("proved") and page.locator(".repair").count() == 0
    assert after in page.evaluate("view.editor.text()").split("\n")
    page.keyboard.press("Control+z")
    assert page.evaluate("view.editor.text()") == BACKWARDS, "the editor has the focus, and one step undoes it"


def test_a_text_that_is_no_program_says_so(viewed):
    page = viewed(TEXT)
    figures = page.inner_text("#figures")
    assert figures and page.inner_text("#sizes") == "n = 4"
    old = f"The text is not a program now. The last one that was: {figures}"
    for text, name in [
        ("program other(n = 4)\ninput x[n]\ncipher X = y[h]\n", "other"),
        ("program other(n = \n", "p.slot"),
        ("# nothing\n", "p.slot"),
        ("", "p.slot"),
    ]:
        replace_text(page, text)
        until_settled(page)
        assert page.inner_text("#figures") == old
        assert (page.inner_text("#name"), page.inner_text("#sizes")) == (name, ""), text
        assert page.inner_text("#status") == "not a program yet" and "SL" in page.inner_text("#marks")
    assert page.inner_text("#marks").startswith("SL108, line 1: ") and page.inner_text("#sizes") == ""
    assert page.title() == "p.slot – slotlang"
    undone(page, TEXT)
    until_settled(page)
    assert (page.inner_text("#name"), page.inner_text("#figures")) == ("p", figures)


def test_a_file_without_a_program_says_that_nothing_is_counted(viewed):
    page = viewed("", ready=False)
    until_settled(page)
    assert page.inner_text("#figures") == "The text is not a program yet: nothing is counted."
    assert page.inner_text("#marks").startswith("SL108, line 1: ") and page.inner_text("#name") == "p.slot"
    replace_text(page, TEXT)
    until_settled(page)
    assert "rotation" in page.inner_text("#figures") and page.inner_text("#name") == "p"


def test_the_files_text_is_a_step_of_its_own_to_undo(viewed):
    page = viewed(TEXT)
    page.focus("#editor .cm-content")
    page.keyboard.press("Control+Home")
    page.keyboard.insert_text("# one\n")
    page.keyboard.insert_text("# two\n")
    typed = page.evaluate("view.editor.text()")
    assert typed == "# one\n# two\n" + TEXT
    # as it is called when the server has answered, with no time after the last key
    page.evaluate("(text) => view.editor.set(text, true)", TEXT)
    assert page.evaluate("view.editor.text()") == TEXT
    page.keyboard.press("Control+z")
    assert page.evaluate("view.editor.text()") == typed
    page.keyboard.press("Control+y")
    assert page.evaluate("view.editor.text()") == TEXT
