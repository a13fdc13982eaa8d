"""Results in a notebook: escaped, readable on light and dark, bounded, and the same numbers as elsewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from xml.etree import ElementTree

import pytest
from page_reader import Reader
from repository import PROGRAMS, ROOT, program_text

from slotlang import api
from slotlang.notebook.html import DARK_HOSTS, MAX_BYTES, Html, card, palettes, picture, table, tag
from slotlang.notebook.live import page
from slotlang.show.compared import HEADS

SMALL = {"d": 32, "r": 4, "batch": 2, "slots": 16}
HOSTILE = "</pre><script>alert(1)</script><img src=x onerror=alert(1)>&amp;'\"]]>"
LONG = f"""program long(n = 65536)
input x[n]
axes (h < n)
cipher X = x[h] # {HOSTILE}
Y = X << 1
output y[h] = Y
prove y == x
"""


@pytest.fixture(scope="module")
def program() -> api.Program:
    return api.loads(f"# {HOSTILE}\n" + program_text("rank_complex"), SMALL)


@pytest.fixture(scope="module")
def wrong() -> api.Program:
    return api.loads(f"# {HOSTILE}\n" + program_text("seed/hoisted"))


@pytest.fixture(scope="module")
def results(program, wrong):
    return {
        "program": program,
        "proved": api.check(program),
        "refuted": api.check(wrong),
        "layout": api.show(program, "X"),
        "families": api.show(program),
        "refuted families": api.show(wrong),
        "large layout": api.show(wrong, "Y"),
        "cost": api.cost(program),
        "comparison": api.compare(program, api.load(PROGRAMS / "rank_first.slot", SMALL)),
        "lowered": api.lower(program),
    }


def cell_texts(html: str) -> list[list[str]]:
    """The rows of all tables."""
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", html)
    return [[re.sub(r"<[^>]*>", "", cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)] for row in rows]


def test_every_drawing_is_well_formed_and_runs_nothing(results):
    for name, result in results.items():
        drawn = Reader(result._repr_html_())
        tags = {tag for tag, _ in drawn.elements}
        assert not tags & {"script", "img", "iframe", "link", "object", "embed", "a", "form"}, name
        assert not [key for _, attributes in drawn.elements for key in attributes if key.startswith("on")], name
        assert not re.search(r"https?:", re.sub(r'xmlns="[^"]*"', "", result._repr_html_())), name
    assert HOSTILE in "".join(Reader(results["program"]._repr_html_()).of("span"))


def test_reprs_are_short(results):
    for name, result in results.items():
        assert re.fullmatch(r"<\w+ .*>|<Comparison: .*>", repr(result)) and len(repr(result)) < 160, name


def test_pictures_are_documents_of_their_own(results):
    with_picture = {name for name, result in results.items() if getattr(result, "_repr_svg_", lambda: None)()}
    assert with_picture == {
        "program",
        "refuted",
        "layout",
        "refuted families",
        "large layout",
        "cost",
        "comparison",
    }
    for name in with_picture:
        root = ElementTree.fromstring(results[name]._repr_svg_())
        assert root.tag.endswith("svg") and root.get("role") == "img"


def test_the_same_numbers_as_everywhere_else(results, program):
    cost = results["cost"]
    rows = {row[1]: row[0] for row in cell_texts(cost._repr_html_()) if len(row) == 2}
    counts = cost.counts
    assert rows["rotations"] == str(counts.rotations) and rows["additions"] == str(counts.additions)
    assert rows["products with plaintexts"] == str(counts.plain_products)
    heads, first, second = cell_texts(results["comparison"]._repr_html_())
    assert heads == list(HEADS)
    assert [first[0], second[0]] == ["rank_complex", "rank_first"] and first[1] == second[1] == "proved"
    other = api.cost(api.load(PROGRAMS / "rank_first.slot", SMALL)).counts
    assert [first[2], second[2]] == [str(counts.rotations), str(other.rotations)]
    goals = [row for row in cell_texts(results["proved"]._repr_html_()) if row[1] in ("proved", "refuted")]
    assert [tuple(row) for row in goals] == list(results["proved"].steps)


def test_what_is_wrong_is_shown_with_its_slot_and_origin(results):
    text = results["refuted"]._repr_html_()
    failure = results["refuted"].failure
    assert f"slot {failure.slot} of Y[0]" in text and "all 4,096 slots of Y[0] are wrong" in text
    assert "where it came from" in text and f"Y[0] slot {failure.slot} &lt;- S slot" in text


def test_large_results_are_bounded():
    program = api.loads(LONG)
    for result in (program, api.show(program, "X"), api.check(program), api.show(program)):
        assert len(result._repr_html_()) < MAX_BYTES + 50_000
        assert len(result._repr_svg_() or "") < MAX_BYTES
    assert "the first 8,192 slots" in api.show(program, "X")._repr_html_()
    many = table(("n",), [(str(n),) for n in range(5000)])
    assert many.count("<tr>") == 202 and "and 4,800 more" in many
    assert "too much for a notebook" in picture("<svg>" + " " * MAX_BYTES + "</svg>")
    long = api.loads("#" * 100_000 + "\n" + program_text("rank_complex"), SMALL)
    assert "more characters" in long._repr_html_() and len(long._repr_html_()) < 60_000


def test_one_drawing_stands_twice_in_a_notebook(results):
    both = results["layout"]._repr_html_() + results["layout"]._repr_html_()
    ids = re.findall(r'\bid="([^"]*)"', both)
    assert len(ids) == len(set(ids)) == 6
    used = re.findall(r"url\(#([^)]*)\)", both) + re.findall(r'aria-labelledby="([^"]*)"', both)
    assert {name for use in used for name in use.split()} <= set(ids)


def luminance(colour: str) -> float:
    """Relative luminance, https://www.w3.org/TR/WCAG21/#dfn-relative-luminance."""
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[k : k + 2], 16) / 255 for k in (0, 2, 4)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_texts_are_readable_on_light_and_dark():
    light, dark = palettes()
    assert luminance(light["paper"]) > 0.9 and luminance(dark["paper"]) < 0.1
    for palette in (light, dark):
        for name in ("ink", "pale", "wrong", "right", "unsure", "word", "number"):
            one, other = sorted((luminance(palette[name]), luminance(palette["paper"])))
            assert (other + 0.05) / (one + 0.05) >= 4.5, name
    style = Reader(card()).of("style")[0]
    # a colour is never set without the paper under it
    assert "background: var(--paper); color: var(--ink)" in style and style.count("--paper:") == 2
    assert all(f"{host} .slotlang" in style for host in DARK_HOSTS)


def test_texts_are_escaped_and_html_is_not_escaped_twice():
    assert tag("p", HOSTILE, title=HOSTILE).count("<") == 2
    assert tag("p", Html("<b>x</b>")) == "<p><b>x</b></p>"
    assert Reader(tag("p", HOSTILE, title=HOSTILE)).elements == [("p", {"title": HOSTILE})]


def test_what_a_drawing_can_not_have_is_said():
    program = api.loads("program p(n = 4)\ninput x[n]\naxes (h < n)\ncipher X = x[h]\noutput y[h] = X\nprove y == x\n")
    text = page(program)._repr_html_()
    assert text.count("<iframe") == 1 and "allow-same-origin" not in text


def test_nothing_heavy_is_imported():
    probe = (
        "import sys, slotlang; from slotlang import api\n"
        "p = api.load(sys.argv[1], {'d': 32, 'r': 4, 'batch': 2, 'slots': 16})\n"
        "assert 'slotlang.notebook' not in sys.modules\n"
        "p._repr_html_(); api.check(p)._repr_html_(); api.show(p, 'X')._repr_html_()\n"
        "loaded = {'IPython', 'tenseal', 'numba', 'fastapi', 'slotlang.search', 'slotlang.run'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
    )
    subprocess.run([sys.executable, "-c", probe, str(PROGRAMS / "rank_complex.slot")], check=True, cwd=ROOT)


def test_text_is_text_in_jupyter_too(program, monkeypatch):
    outside = str(api.show(program, "X"))
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    assert str(api.show(program, "X")) == outside and "x[3,1]" in outside


def test_bars_of_costs_are_as_long_as_their_numbers(results):
    """Times of one program, and of several the same measure: bars are in proportion, and every number is written."""
    cost, comparison = results["cost"], results["comparison"]
    root = ElementTree.fromstring(cost._repr_svg_())
    bars = {
        rect[0].text.partition(":")[0]: float(rect.get("width"))
        for rect in root.iter("{http://www.w3.org/2000/svg}rect")
        if len(rect)
    }
    longest = max(cost.galois_key_bytes, cost.upload_bytes, cost.download_bytes)
    for name, size in (("keys in memory", cost.galois_key_bytes), ("up", cost.upload_bytes)):
        assert bars[name] == pytest.approx(bars["down"] * size / cost.download_bytes, rel=1e-3, abs=1), name
        assert size <= longest
    texts = [
        text.text for text in ElementTree.fromstring(comparison._repr_svg_()).iter("{http://www.w3.org/2000/svg}text")
    ]
    for name, each in zip(comparison.names, comparison.costs, strict=True):
        assert texts.count(name) == 4 and f"{each.counts.rotations:,}" in texts
    assert len(cost._repr_svg_()) < 10_000
