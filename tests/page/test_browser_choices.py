"""What is chosen in a view stays chosen while the server still answers for what was chosen before."""

from __future__ import annotations

import json
import time

import pytest
from browsing import until_ready, until_true
from page_views import TEXT

TWO = (
    "program p(n = 16, m = 4)\ninput x[n]\naxes (h < n)\ncipher X[i < m] = x[h]\nS[i < m] = X[i] << i\n"
    "output y[i < m, (h + i) % n] = S[i]\nprove y == x[h]\n"
)
FORKS = (
    "program p(m = 4, slots = 64)\ninput x[m]\naxes (h < slots)\ncipher X = x[h % m]\nS = X << 1\n"
    "output y[(h + 1) % m] = S where h < m\nprove y == x\n"
)


@pytest.fixture
def slowed(viewed):
    """A view whose questions to the server take longer, as those of a large program do: the answers about what was
    chosen before come in between."""

    def open_slow(text, *options, seconds=0.35):
        page = viewed(text, *options)

        def later(route):
            time.sleep(seconds)
            route.continue_()

        for path in ("knobs", "text", "revert", "synth", "stop"):
            page.route(f"**/{path}", later)
        return page

    return open_slow


def presses(page, key, count, every=200):
    """Press a key several times; the values that the slider said right after each press and just before the next."""
    said = []
    for _ in range(count):
        page.keyboard.press(key)
        said.append(page.evaluate("document.activeElement.getAttribute('aria-valuetext')"))
        page.wait_for_timeout(every)
        said.append(page.evaluate("document.activeElement.getAttribute('aria-valuetext')"))
    return said


def test_no_press_of_a_key_on_a_slider_is_lost(viewed):
    page = viewed(FORKS)
    values = page.evaluate("knobs.sliders.get('m').values")
    at = values.index(4)
    wanted = [str(value) for value in values[at + 1 : at + 7]]
    assert len(wanted) == 6
    page.focus("#knob-m")
    said = presses(page, "ArrowRight", 6)
    # each press goes on from the one before, and nothing jumps back in between; an answer may bring finer steps
    numbers = [int(value) for value in said]
    assert numbers == sorted(numbers) and numbers[1::2] == numbers[::2], said
    until_true(page, f"program().sizes.m === {numbers[-1]}")
    until_ready(page)
    assert len(set(numbers)) == 6, said
    assert page.get_attribute("#knob-m", "aria-valuetext") == said[-1]
