"""The view in headless Chromium: typing, knobs, searches, and a file that changes. ``make test-page`` runs it."""

from __future__ import annotations

import json
import time
import urllib.request
from itertools import groupby

import pytest
from browsing import (
    AXE,
    PATIENCE,
    accessibility,
    replace_text,
    undone,
    until_done,
    until_ready,
    until_settled,
    until_true,
)
from repository import ROOT, program_text

from slotlang.editor.tokens import tokens
from slotlang.page.server import TOKEN

RANKS = program_text("rank_complex").replace(
    "d = 4096, r = 16, batch = 8, slots = 4096", "d = 16, r = 4, batch = 2, slots = 16"
)
TEXT = (
    "program p(n = 4)\ninput x[n]\naxes (h < n)\ncipher X = x[h]\nS = X << 1\noutput y[(h + 1) % n] = S\nprove y == x\n"
)
BACKWARDS = (ROOT / "docs" / "tutorial" / "diagonals_backwards.slot").read_text()
REFUTED = TEXT.replace("(h + 1)", "(h + 2)")


def status(page):
    return page.inner_text("#status").split(" ")[0]


def until_status(page, wanted):
    until_true(page, f"!state.stale && byId('status').textContent.startsWith({json.dumps(wanted)})")


def cursor(page, line, column=0):
    """Put the cursor somewhere."""
    page.evaluate(f"view.editor.go({line})")
    for _ in range(column):
        page.keyboard.press("ArrowRight")


def post(page, path, body):
    root, _, token = page.address.partition("?token=")
    headers = {"Content-Type": "application/json", TOKEN: token}
    request = urllib.request.Request(root + path, json.dumps(body).encode(), headers)
    return json.load(urllib.request.urlopen(request, timeout=PATIENCE))


def test_messages_are_underlined_and_said_and_a_repair_is_taken(viewed):
    text = TEXT.replace("X", "packed")
    page = viewed(text)
    until_status(page, "proved")
    cursor(page, 5, 10)
    page.keyboard.type(" + packd")
    until_settled(page)
    assert page.inner_text("#editor .cm-lintRange-error") == "packd"
    assert "SL201" in page.inner_text("#marks")
    assert status(page) == "not" and "last text that was a program" in page.inner_text("#summary")
    page.hover("#editor .cm-lintRange-error")
    page.wait_for_selector(".cm-tooltip .cm-diagnostic")
    assert "packd" in page.inner_text(".cm-tooltip .cm-diagnostic")
    page.click(".cm-tooltip .cm-diagnosticAction")
    assert page.evaluate("view.editor.text()").split("\n")[4] == "S = packed + packed << 1"
    page.focus("#editor .cm-content")
    page.keyboard.press("Control+z")
    assert page.evaluate("view.editor.text()").split("\n")[4] == "S = packed + packd << 1", "a step of its own"
    undone(page, text)
    until_settled(page)
    assert status(page) == "proved" and page.locator(".cm-lintRange-error").count() == 0
    # a message leads to its line
    replace_text(page, TEXT.replace("X << 1", "X <<"))
    until_settled(page)
    page.click("#marks button")
    assert page.evaluate("view.editor.line()") in (5, 6)
    # F8 leads from message to message, and the page says so
    replace_text(page, TEXT.replace("x[h]", "nothing[h]"))
    until_settled(page)
    assert page.inner_text("#editor .cm-lintRange-error").startswith("nothing")
    cursor(page, 1)
    page.keyboard.press("F8")
    assert page.evaluate("view.editor.line()") == 4 and "F8" in page.inner_text("#editing")


def test_pictures_follow_the_cursor(viewed):
    page = viewed(RANKS)
    lines = RANKS.split("\n")
    for start, title in [
        ("S = sum", "S"),
        ("T = sum", "T"),
        ("cipher X", "X[0]"),
        ("claim S", "S"),
        ("output y", "Y[0]"),
        ("input", "X[0]"),
        ("prove", "Y[0]"),
    ]:
        cursor(page, next(n for n, text in enumerate(lines, 1) if text.startswith(start)))
        until_true(page, f"byId('title').textContent === {json.dumps(title)}")
    page.click("#editor .cm-line:has-text('P[q < R]')")
    until_true(page, "byId('title').textContent === 'P[0]'")
    page.keyboard.press("ArrowDown")
    until_true(page, "byId('title').textContent === 'T'")


def test_completions_and_hovers_are_the_engines(viewed):
    page = viewed(RANKS)
    cursor(page, RANKS[: RANKS.index("claim")].count("\n"))
    page.keyboard.type("Z = sum q < R by ho")
    proposed = "document.querySelector('.cm-tooltip-autocomplete li')?.textContent.startsWith('horner')"
    # a question that took the server too long has no answer, and is asked again
    until_done(page, proposed, lambda n: n and page.keyboard.press("Control+Space"))
    # what is proposed is taken no sooner than it can be read
    until_done(page, "view.editor.text().includes('by horner')", lambda _: page.keyboard.press("Enter"), 0.2)
    undone(page, RANKS)
    page.keyboard.press("Escape")
    word = page.locator("#editor .cm-line:has-text('T = sum')").bounding_box()
    until_done(
        page,
        "document.querySelector('.cm-tooltip .said pre')",
        lambda n: page.mouse.move(word["x"] + 8 + n % 2, word["y"] + word["height"] / 2),
    )
    assert "T = sum q < R by horner" in page.inner_text(".said pre")


def test_colours_are_those_of_the_engine(viewed):
    text = '# a\nimport "std/layouts.slot" as m\n' + RANKS + "parameters degree 8192 primes 60, 60 scales 36\n"
    page = viewed(text, ready=False)
    until_true(page, "state.data")
    page.evaluate("document.querySelector('.cm-editor').style.maxHeight = 'none'")
    coloured = (
        "[...document.querySelectorAll('#editor .cm-line span')].map((s) => [s.className, s.textContent])"
        ".filter(([kind]) => ['comment', 'keyword', 'number', 'string'].includes(kind))"
    )
    wanted = [[t.kind, t.text] for t in tokens(text) if t.kind in ("comment", "keyword", "number", "string")]
    until_true(page, f"{coloured}.length > {0.8 * len(wanted)}")
    found = page.evaluate(coloured)
    assert found == wanted[: len(found)]
    assert {kind for kind, _ in groupby(sorted(k for k, _ in found))} == {"comment", "keyword", "number", "string"}


def test_keys_of_the_editor_search_and_leave_it(viewed):
    page = viewed(TEXT)
    page.focus("#editor .cm-content")
    page.keyboard.press("Control+f")
    page.focus(".cm-search [name=search]")
    page.keyboard.type("prove")
    page.keyboard.press("Enter")
    assert page.evaluate("view.editor.line()") == 7
    page.keyboard.press("Escape")
    assert page.locator(".cm-search").count() == 0
    page.keyboard.press("Tab")
    assert not page.evaluate("byId('editor').contains(document.activeElement)")
    page.keyboard.press("Shift+Tab")
    assert page.evaluate("byId('editor').contains(document.activeElement)")


def test_sizes_are_turned_to_admitted_values_alone(viewed):
    page = viewed(RANKS)
    assert page.get_attribute("#knob-d", "aria-valuetext") == "16"
    page.focus("#knob-d")
    seen = []
    for key in ("ArrowRight", "ArrowRight", "ArrowLeft", "Home"):
        page.keyboard.press(key)
        value = page.get_attribute("#knob-d", "aria-valuetext")
        until_true(page, f"program().sizes.d === {value}")
        until_ready(page)
        seen.append(int(value))
        assert status(page) == "proved" and f"d = {value}," in page.inner_text("#sizes")
    assert seen[0] > 16 and seen[1] > seen[0] and seen[2] == seen[0] and seen[3] <= 16
    assert page.inner_text("#command") == f"slotlang cost p.slot --set d={seen[3]}"
    assert page.evaluate("view.editor.text()") == RANKS, "the text stays"
    page.click("#reset")
    until_true(page, "program().sizes.d === 16")
    assert page.locator("#command").is_hidden()


def test_a_precision_changes_parameters_and_costs(viewed):
    page = viewed(RANKS)
    before = page.inner_text("#figures")
    assert "error at most" in before and "rotations" in before and "gap" in before
    page.focus("#knob-precision")
    page.keyboard.press("ArrowRight")
    figures = "byId('figures').textContent"
    until_true(page, f"!state.stale && !{figures}.includes('counting') && {figures} !== {json.dumps(before)}")
    assert page.inner_text("label:has(#knob-precision) output") == "at most 1e-1"
    assert page.inner_text("#command").endswith("--precision 0.1")
    page.keyboard.press("Home")
    until_true(page, f"byId('figures').textContent === {json.dumps(before)}")


def test_a_search_is_stopped_and_another_is_taken_over(viewed):
    page = viewed(RANKS)
    assert page.inner_text("#shape") == "16 to 16 channels, rank 4, 2 tokens"
    page.select_option("#objective", "rotations")
    page.click("#synth")
    page.wait_for_selector("#searching:not([hidden])", state="attached")
    page.wait_for_selector("#take", timeout=60_000)
    page.click("#stop")
    until_true(page, "byId('searched').textContent.includes('stopped: the best so far')")
    assert "proved" in page.inner_text("#found") and page.locator("#found table tbody tr").count() == 7
    page.click("#found summary")
    page.evaluate("(delete byId('found').dataset.key, showSearch(searching.shown))")  # as when a better one is found
    assert "y == scale * A @ B @ x" in page.inner_text("#found pre"), "what was opened stays open"
    page.click("#take")
    until_true(page, "view.editor.text().includes('slotlang synth') && program() && program().name !== 'rank_complex'")
    until_ready(page)
    assert status(page) == "proved"
    page.keyboard.press("Control+z")
    assert page.evaluate("view.editor.text()") == RANKS


def test_a_program_of_another_form_is_not_searched(viewed):
    page = viewed(TEXT)
    assert page.locator("#synth").is_disabled() and "proves something else" in page.inner_text("#shape")


def test_a_slot_is_followed_back_though_values_come_one_by_one(viewed):
    page = viewed(RANKS)
    page.select_option("#family", "Y")
    until_true(page, "valueOf('Y[0]')")
    page.focus("#canvas")
    page.keyboard.press("ArrowRight")
    until_true(page, "byId('origin').textContent.includes('packed by the client')")
    steps = [s.split(" slot ")[0] for s in page.locator("#origin li").all_inner_texts()]
    assert steps == ["Y[0]", "S", "T", "P[0]", "X[0]"]
    page.click("#origin li >> nth=1 >> button >> nth=0")
    assert page.inner_text("#title") == "S"


def test_the_wrong_slot_its_origin_and_the_goals_are_shown(viewed):
    page = viewed(REFUTED)
    until_status(page, "refuted")
    assert page.locator("#proof td.refuted").count() >= 1
    until_true(page, "byId('title').textContent === 'S' && byId('held').textContent.includes('This is wrong.')")
    page.select_option("#family", "X")
    page.click("#wrong")
    until_true(page, "byId('title').textContent === 'S' && byId('held').textContent.includes('This is wrong.')")
    assert "Where it came from" in page.inner_text("#proof")
    replace_text(page, TEXT)
    until_status(page, "proved")
    assert page.locator("#wrong").count() == 0


def test_one_of_several_programs_is_chosen_by_list_and_by_cursor(viewed):
    page = viewed(TEXT + TEXT.replace("program p(n = 4)", "program q(n = 8)"))
    page.select_option("#programs", "1")
    assert page.inner_text("#name") == "q" and "n = 8" in page.inner_text("#sizes")
    cursor(page, 5)
    until_true(page, "program().name === 'p'")


def test_two_views_follow_the_file_and_what_was_typed_stays(viewed):
    page = viewed(TEXT, fresh=True)
    typed = page.another()
    cursor(typed, 1)
    typed.keyboard.type("# mine\n")
    until_true(typed, "!byId('revert').hidden")
    page.file.write_text(REFUTED)
    until_status(page, "refuted")
    assert page.evaluate("view.editor.text()") == REFUTED
    assert typed.evaluate("view.editor.text()") == "# mine\n" + TEXT
    typed.click("#revert")
    until_true(typed, f"view.editor.text() === {json.dumps(REFUTED)}")
    until_status(typed, "refuted")
    typed.keyboard.press("Tab")
    cursor(typed, 1)
    typed.keyboard.press("Control+z")
    assert typed.evaluate("view.editor.text()") == "# mine\n" + TEXT, "what was typed can be had back"


def test_a_file_that_vanishes_is_said_and_comes_back(viewed):
    page = viewed(TEXT, fresh=True)
    page.file.unlink()
    page.wait_for_selector("#notice:not([hidden])")
    assert "SL001" in page.inner_text("#notice") and "The file is gone" in page.inner_text("#notice")
    assert page.evaluate("view.editor.text()") == TEXT
    page.file.write_bytes(b"\xff")
    until_true(page, "byId('notice').textContent.includes('SL002')")
    page.file.write_text(REFUTED)
    until_true(page, "byId('notice').hidden")
    until_status(page, "refuted")


def test_what_was_typed_outlives_a_view_that_the_server_forgot(viewed):
    page = viewed(TEXT, fresh=True)
    cursor(page, 1)
    page.keyboard.type("# mine\n")
    until_true(page, "view.sent.startsWith('# mine') && !byId('revert').hidden")
    before = page.evaluate("view.session")
    # the view that asked least lately makes way, and this one asks whenever something of its text is known
    end = time.monotonic() + PATIENCE
    while page.evaluate("view.session") == before:
        assert time.monotonic() < end
        post(page, "open", {})
        page.wait_for_timeout(20)
    until_true(page, "!byId('revert').hidden")
    assert page.evaluate("view.editor.text()") == "# mine\n" + TEXT
    cursor(page, 2)
    page.keyboard.type("# more\n")
    until_status(page, "proved")


def test_another_page_reads_nothing(viewed, browser):
    page = viewed(TEXT, options=(), ready=False)
    root, _, token = page.address.partition("?token=")
    other = browser.new_page()
    other.goto("data:text/html,<p>another</p>")
    asked = """async ([address, token]) => {
        const said = [];
        for (const [path, more] of [["?token=" + token, {}], ["open", { method: "POST", body: "{}",
            headers: { "Content-Type": "application/json", "X-Slotlang-Token": token } }],
            ["open", { method: "POST", body: "{}", mode: "no-cors" }]]) {
            try { const a = await fetch(address + path, more); said.push(a.type + (await a.text())); }
            catch (e) { said.push("refused"); }
        }
        return said;
    }"""
    assert other.evaluate(asked, [root, token]) == ["refused"] * 3
    # a frame that is refused is loaded too, without the page
    other.evaluate(
        "(address) => new Promise((done) => { const frame = document.createElement('iframe'); frame.onload = done; "
        "frame.src = address; document.body.append(frame); })",
        page.address,
    )
    assert len(other.frames) == 2
    assert all(f.locator("#source").count() == 0 for f in other.frames[1:])
    # the address without its token, as another user of the machine would have it
    other.goto(root)
    assert "whole address" in other.inner_text("body")
    other.close()


def test_half_typed_programs_break_nothing(viewed):
    page = viewed(TEXT)
    page.focus("#editor .cm-content")
    page.keyboard.press("Control+a")
    page.keyboard.press("Delete")
    for place in range(0, len(TEXT), 9):
        page.keyboard.insert_text(TEXT[place : place + 9])
        page.wait_for_timeout(30 if place % 4 else 300)
    until_status(page, "proved")
    for odd in (
        "",
        "\0",
        "program",
        "(((((",
        '"',
        "program p(n = 4\n\n\n# \U0001d538",
        TEXT.replace("X << 1", "X \U0001d538 1"),
    ):
        replace_text(page, odd)
        page.wait_for_timeout(300)
    until_settled(page)
    assert page.inner_text("#editor .cm-lintRange-error") == "\U0001d538"


def test_sizes_that_are_too_large_to_draw_are_said(viewed):
    page = viewed(TEXT, options=("--set", "n=131072"), ready=False)
    until_true(page, "program() && program().values")
    until_true(page, "byId('summary').textContent.includes('131,072 slots are too many to draw')")
    assert page.locator("#canvas").is_hidden()


def test_a_file_of_a_megabyte_is_edited(viewed):
    page = viewed(TEXT + "# padding of a comment\n" * 40_000, ready=False, fresh=True)
    until_status(page, "proved")
    cursor(page, 5, 10)
    page.keyboard.type("+ 0")
    until_true(page, "view.sent.includes('<< 1+ 0')")
    until_status(page, "proved")
    page.keyboard.press("Control+End")
    assert page.evaluate("view.editor.line()") == 40_008
    page.file.write_text(TEXT + "# padding\n" * 110_000)
    until_true(page, "byId('notice').textContent.includes('SL003')")


@pytest.mark.skipif(not AXE.exists(), reason="there is no axe-core")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_serious_is_found_by_axe(viewed, scheme, width):
    page = viewed(BACKWARDS, color_scheme=scheme, width=width)
    cursor(page, 2)
    page.keyboard.type("# typed ")
    until_settled(page)
    assert accessibility(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") == width
