"""What is chosen in a view stays chosen while the server still answers for what was chosen before."""

from __future__ import annotations

import time

import pytest
from browsing import until_ready, until_true

FORKS = """program p(m = 4, slots = 64)
input x[m]
axes (h < slots)
cipher X = x[h] else 0
S[i < m] = X >> i
output y[i, h - i] = S[i] where i <= h and h < m + i
prove y[i < m, j < m] == x[j]
"""
SUMS = """program p(m = 4, slots = 64)
input x[m]
weight w[m]
axes (h < slots)
cipher X = x[h] else 0
plain W = w[h] else 0
P = X * W
S = sum i < m by doubling: P << i
output z = S where h == 0
prove z == w @ x
"""
PAIR = """program p(d = 16, r = 4, slots = 16)
input x[d]
weight A[d, r], B[r, d]
scalar scale
axes (h < d)
cipher X = x[h]
plain W[q < r] = B[q, h]
plain V[q < r] = scale * A[h, q]
S[q < r] = sum f < d by doubling: (X * W[q]) << f
Y = sum q < r: S[q] * V[q]
output y[h] = Y
prove y == scale * A @ B @ x
"""


@pytest.fixture
def slow(viewed):
    """A view whose questions reach the server late, so that answers for earlier choices come in between."""

    def open_slow(text, path, seconds=0.5):
        page = viewed(text)

        def later(route):
            time.sleep(seconds)
            route.continue_()

        page.route(f"**/{path}", later)
        return page

    return open_slow


def presses(page, key, count, every=200):
    """Press a key several times: what the slider said after each press, and just before the next."""
    said = []
    for _ in range(count):
        page.keyboard.press(key)
        said.append(page.evaluate("document.activeElement.getAttribute('aria-valuetext')"))
        page.wait_for_timeout(every)
        said.append(page.evaluate("document.activeElement.getAttribute('aria-valuetext')"))
    return said


@pytest.mark.parametrize("every", [60, 200, 500])
def test_no_press_of_a_key_on_a_slider_is_lost(viewed, every):
    page = viewed(SUMS)
    page.focus("#knob-m")
    said = presses(page, "ArrowRight", 6, every)
    numbers = [int(value) for value in said]
    # each press goes on from the one before, and nothing jumps back in between
    assert numbers[1::2] == numbers[::2] and numbers == sorted(numbers) and len(set(numbers)) == 6, said
    assert numbers[0] > 4
    until_true(page, f"program().sizes.m === {numbers[-1]}")
    until_ready(page)
    assert page.get_attribute("#knob-m", "aria-valuetext") == said[-1]
    page.click("#reset")
    assert page.get_attribute("#knob-m", "aria-valuetext") == "4", "at once"
    until_true(page, "program().sizes.m === 4")
    until_ready(page)
    assert page.get_attribute("#knob-m", "aria-valuetext") == "4"


def test_presses_that_reach_the_server_late_are_kept(slow):
    page = slow(SUMS, "knobs")
    page.focus("#knob-m")
    said = presses(page, "ArrowRight", 5)
    assert len(set(said)) == 5 and said[1::2] == said[::2]
    until_true(page, f"program().sizes.m === {said[-1]}")
    assert page.get_attribute("#knob-m", "aria-valuetext") == said[-1]


def test_the_precision_is_kept_too(slow):
    page = slow(SUMS, "knobs")
    page.focus("#knob-precision")
    said = presses(page, "ArrowRight", 4)
    assert len(set(said)) == 4 and said[1::2] == said[::2]
    until_true(page, f"!state.stale && view.last.knobs.precision === {page.evaluate('knobs.precision')}")


def test_a_number_that_is_being_typed_stays(viewed):
    page = viewed(FORKS)
    page.select_option("#family", "S")
    page.focus("[data-binder=i]")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    assert page.inner_text("#title") == "S[2]", "the field keeps the focus"
    page.focus("[data-binder=i]")
    page.keyboard.press("Control+a")
    page.keyboard.type("3")
    # an answer about the text comes while the field is being written
    page.evaluate("receive(view.last.data, true)")
    assert page.input_value("[data-binder=i]") == "3"
    assert page.evaluate("document.activeElement.dataset.binder") == "i"
    page.keyboard.press("Tab")
    assert page.inner_text("#title") == "S[3]"


def test_arrows_that_were_chosen_stay(viewed):
    page = viewed(SUMS)
    page.select_option("#family", "S")
    until_true(page, "valueOf('S')")
    page.select_option("#move", "3")
    assert page.inner_text("#move-text").startswith("Slot 0 takes slot 3 of P")
    page.evaluate("receive(view.last.data, true)")
    assert page.inner_text("#move-text").startswith("Slot 0 takes slot 3 of P")


def test_what_is_typed_while_a_text_is_on_its_way_stays(slow):
    page = slow(SUMS, "text")
    page.focus("#editor .cm-content")
    page.keyboard.press("Control+Home")
    for word in ("# one", " two", " three"):
        page.keyboard.type(word)
        page.wait_for_timeout(400)
    page.keyboard.press("Enter")
    until_true(page, "view.last.text.startsWith('# one two three\\n') && !state.stale")
    assert page.evaluate("view.editor.text()") == "# one two three\n" + SUMS


def test_a_text_that_did_not_arrive_is_sent_again(viewed):
    page = viewed(SUMS)
    page.route("**/text", lambda route: route.fulfill(status=404, json={"error": "busy"}))
    page.focus("#editor .cm-content")
    page.keyboard.press("Control+Home")
    page.keyboard.type("# mine ")
    until_true(page, "byId('notice').textContent === 'busy'")
    # what the server then says is of the older text, and does not take the place of this one
    page.evaluate("post('knobs', { sizes: {}, precision: 0.1 })")
    until_true(page, "view.last.knobs.precision === 0.1")
    assert page.evaluate("view.editor.text()") == "# mine " + SUMS
    page.unroute("**/text")
    until_true(page, "view.last.text.startsWith('# mine ')")


def test_a_search_that_was_asked_for_is_shown_at_once(slow):
    page = slow(PAIR, "synth")
    assert page.evaluate("program().knobs.shape") is not None
    page.click("#synth")
    assert page.locator("#stop").is_visible() and page.locator("#searching").is_visible()
    until_true(page, "view.last.search !== null")
    page.route("**/stop", lambda route: (time.sleep(0.5), route.continue_()))
    page.click("#stop")
    assert page.locator("#synth").is_visible()
    until_true(page, "view.last.search.state !== 'running'")
    assert page.locator("#synth").is_visible()
