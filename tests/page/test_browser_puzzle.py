"""A puzzle is solved in the page: what is missing, hints one by one, a sign in the end; no solution is in it."""

from __future__ import annotations

import re

from browsing import AXE, accessibility, replace_text, until_ready, until_true
from command_line import slotlang
from repository import TESTS

from slotlang.puzzles.book import PUZZLES

SCORE = next(p for p in PUZZLES if p.name == "score")
HALF = ("S = P\n", "S = sum f < C: P << f*batch\n")
WHOLE = ("S = P\n", "S = sum f < C by doubling: P << f*batch\n")


def judged(page, text):
    until_true(page, f"byId('judged').textContent.startsWith({text!r})")


def test_a_puzzle_is_solved_and_kept(puzzled):
    page = puzzled("score", command=True)
    assert page.file.read_text() == SCORE.text, "it is started"
    assert page.inner_text("#puzzle-title") == f"Puzzle score: {SCORE.goal}"
    judged(page, "Not solved yet")
    assert "refuted" in page.inner_text("#missing")
    # a refuted program opens at its wrong slot, though that is known after the first values
    until_true(page, "byId('title').textContent === 'S' && byId('held').textContent.includes('This is wrong.')")
    assert page.locator("#hints li").count() == 0
    page.click("#hint")
    assert page.locator("#hints li").all_inner_texts() == [f"Hint: {SCORE.hints['refuted'].replace('`', '')}"]
    page.click("#hint")
    assert SCORE.section in page.locator("#hints li").last.inner_text() and page.locator("#hint").is_hidden()
    # another state has another hint, and it is hidden again
    replace_text(page, SCORE.text.replace(*HALF))
    until_true(page, "byId('missing').textContent.includes('7 rotations, more than 3')")
    assert page.locator("#hints li").count() == 0 and page.locator("#hint").is_visible()
    # half of a text is no program, and says so
    replace_text(page, SCORE.text.replace("S = P\n", "S = \n"))
    until_true(page, "byId('missing').textContent.includes('not a program: SL')")
    replace_text(page, SCORE.text.replace(*WHOLE))
    judged(page, "✓ Solved")
    assert "Next: slotlang puzzle view direction" in page.inner_text("#judged")
    assert page.locator("#hint").is_hidden()
    # the file is written when that is asked for, and not before
    assert page.file.read_text() == SCORE.text
    page.click("#keep")
    until_true(page, "byId('kept').textContent === 'written into score.slot' && byId('keep').disabled")
    assert page.file.read_text() == SCORE.text.replace(*WHOLE)
    assert slotlang("puzzle", "check", str(page.file)).status == 0
    # a sign that is out of date is taken away at once
    page.focus("#editor .cm-content")
    page.keyboard.press("Control+End")
    page.keyboard.type("y")
    assert page.inner_text("#judged") == "being judged…"


def test_what_was_kept_goes_on_and_a_foreign_change_is_not_overwritten(puzzled):
    mine = "# mine\n" + SCORE.text
    page = puzzled("score", mine)
    assert page.evaluate("view.editor.text()") == mine
    page.focus("#editor .cm-content")
    page.keyboard.press("Control+Home")
    page.keyboard.type("# more\n")
    page.keyboard.press("Control+s")
    until_true(page, "byId('kept').textContent.startsWith('written')")
    assert page.file.read_text() == "# more\n" + mine
    page.keyboard.type("# again\n")
    for patience in (0, 1500):
        # whether the view has seen the other text or not
        page.file.write_text(f"# {patience}\n{SCORE.text}")
        page.wait_for_timeout(patience)
        page.keyboard.press("Control+s")
        until_true(page, "byId('kept').textContent.includes('changed meanwhile')")
        assert page.file.read_text() == f"# {patience}\n{SCORE.text}"
        page.keyboard.type("#")
    text = page.evaluate("view.editor.text()")
    page.click("#revert")
    until_true(page, "view.editor.text().startsWith('# 1500')")
    # at once after the last key, and a step of its own
    page.focus("#editor .cm-content")
    page.keyboard.press("Control+z")
    assert page.evaluate("view.editor.text()") == text
    page.keyboard.press("Control+s")
    until_true(page, "byId('kept').textContent.startsWith('written')")
    assert page.file.read_text() == text


def test_no_solution_and_no_repair_reaches_the_page(puzzled):
    page = puzzled("score")
    judged(page, "Not solved yet")
    until_ready(page)
    page.wait_for_timeout(1500)
    sent = page.evaluate("JSON.stringify([view.last, given]) + document.body.innerText")
    solution = (TESTS / "puzzles" / "solutions" / "score.slot").read_text()
    (line,) = [line for line in solution.splitlines() if line.startswith("S = ")]
    assert re.sub(r"\W", "", line) not in re.sub(r"\W", "", sent)
    assert "repair:" not in sent and page.locator("#cheaper").is_hidden()
    assert page.evaluate("state.data.marks.concat(program().verdict.mark).every((m) => !m.fixes.length)")
    assert (
        page.evaluate("post('synth', { program: 'score', precision: 0.001, objective: 'time' }).catch((p) => 'no')")
        == "no"
    )
    if AXE.exists():
        page.click("#hint")
        assert accessibility(page) == []
