"""The site of the documents: every page has its place, every link and anchor leads somewhere, no page is all words, and
pictures are what the commands draw. It needs no network, and the site's generator is not installed."""

from __future__ import annotations

import importlib.util
import re
import sys
import tomllib
import types
import unicodedata
from pathlib import Path

import pytest
from repository import ROOT


def script(name: str) -> types.ModuleType:
    """docs/NAME.py."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


site = script("make_site")
SOURCES: dict[str, str] = site.sources()
FENCE = re.compile(r"^(```+)(\w*)\n.*?^\1$", re.MULTILINE | re.DOTALL)
PICTURE = re.compile(r"!\[([^\]]*)\]\(([^)]+)\)")


def text_of(file: str) -> str:
    """A page as it is written; of a notebook its Markdown."""
    text = (ROOT / file).read_text(encoding="utf-8")
    return site.notebook_page(text) if file.endswith(".ipynb") else text


def anchors(text: str) -> tuple[set[str], set[str]]:
    """The anchors that GitHub makes of a page's headings, and those that Python-Markdown makes."""
    github, markdown = set[str](), set[str]()
    for heading in re.findall(r"^#+ (.*)$", FENCE.sub("", text), re.MULTILINE):
        words = re.sub(r"[`*]|\]\([^)]*\)|\[", "", heading).strip()
        github.add(re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-"))
        plain = unicodedata.normalize("NFKD", words).encode("ascii", "ignore").decode()
        markdown.add(re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", plain).strip().lower()))
    return github, markdown


def wrong_links(file: str) -> list[str]:
    """Links of a page to files and anchors that are not there."""
    text = re.sub(r"`[^`\n]+`", "", FENCE.sub("", text_of(file)))
    wrong = []
    for target, anchor in re.findall(r"\]\(([^)\s#]*)((?:#[^)\s]*)?)\)", text):
        if "://" in target:
            continue
        path = (ROOT / file).parent / target if target else ROOT / file
        if not path.exists():
            wrong.append(target)
        elif anchor and not all(anchor[1:] in known for known in anchors(path.read_text(encoding="utf-8"))):
            wrong.append(target + anchor)
    return wrong


@pytest.mark.parametrize("file", SOURCES)
def test_links_and_anchors_lead_somewhere(file: str) -> None:
    assert wrong_links(file) == []


@pytest.mark.parametrize("file", [file for file in SOURCES if file.startswith("docs/")])
def test_no_page_is_without_a_picture_or_an_example(file: str) -> None:
    text = text_of(file)
    assert PICTURE.search(text) or FENCE.search(text), f"{file} has neither a picture nor an example"


def test_pictures_have_words_and_are_used() -> None:
    used = set[str]()
    for file in SOURCES:
        for words, target in PICTURE.findall(FENCE.sub("", text_of(file))):
            assert words, f"{file}: {target} says nothing to who does not see it"
            used.add(target)
    assert {f"pictures/{path.name}" for path in (ROOT / "docs" / "pictures").iterdir()} <= used
    seeing = PICTURE.findall(text_of("docs/seeing.md"))
    assert [target for _, target in seeing if target.endswith(".png")], "the page is shown"


def test_every_page_has_one_place_in_the_navigation() -> None:
    with (ROOT / "zensical.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    listed: list[str] = []
    for entry in project["nav"]:
        for inside in entry.values():
            pages = [inside] if isinstance(inside, str) else [page for part in inside for page in part.values()]
            listed += pages
    assert sorted(listed) == sorted(SOURCES.values())
    assert (ROOT / project["docs_dir"], ROOT / project["site_dir"]) == (site.PAGES, site.SITE)


@pytest.mark.parametrize("name", ["layout.svg", "diagonal.svg", "refuted.svg", "multiplexed.svg", "parties.svg"])
def test_pictures_are_what_is_drawn(name: str, tmp_path: Path) -> None:
    drawn = tmp_path / name
    script("make_pictures").draw(name, drawn)
    assert drawn.read_text(encoding="utf-8") == (ROOT / "docs" / "pictures" / name).read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_search_s_picture_is_what_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = script("make_pictures")
    words = pictures.COMMANDS["front.svg"].replace("build/found.slot", str(tmp_path / "found.slot"))
    monkeypatch.setitem(pictures.COMMANDS, "front.svg", words)
    pictures.draw("front.svg", tmp_path / "front.svg")
    assert (tmp_path / "front.svg").read_text() == (ROOT / "docs" / "pictures" / "front.svg").read_text()


# The script itself


def test_links_lead_from_page_to_page() -> None:
    wanted = set[str]()
    text = (
        "[a](../README.md#a-program) [b](cost.md) ![c](pictures/page.png) [d](../programs/rank_complex.slot)\n"
        "[e](https://example.org/x) [f](../grammar/slot.lark) `[g](cost.md)` see `docs/cost.md`\n"
    )
    assert site.converted("docs/proof.md", text, SOURCES, wanted) == (
        "[a](index.md#a-program) [b](cost.md) ![c](pictures/page.png) [d](programs/rank_complex.md)\n"
        "[e](https://example.org/x) f `[g](cost.md)` see [cost](cost.md)\n"
    )
    assert wanted == {"docs/pictures/page.png", "programs/rank_complex.slot"}


def test_a_wrong_link_anchor_or_foreign_script_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(site, "SITE", tmp_path)
    (tmp_path / "b.html").write_text("<h1 id='there'>b</h1>")
    (tmp_path / "a.html").write_text("<a href='b.html#there'></a><a href='https://example.org'></a><img src='b.html'>")
    assert site.check() == 0
    (tmp_path / "a.html").write_text(
        "<a href='b.html#gone'></a><a href='c.html'></a><script src='https://example.org/x.js'></script>"
    )
    assert site.check() == 1
    said = capsys.readouterr().out
    assert (
        "no such anchor" in said and "c.html, which is not there" in said and "loads https://example.org/x.js" in said
    )


def test_pages_are_written_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site, "PAGES", tmp_path / "pages")
    site.write()
    written = {str(path.relative_to(tmp_path / "pages")) for path in (tmp_path / "pages").rglob("*")}
    assert set(SOURCES.values()) <= written and {"programs/rank_complex.md", "pictures/page.png"} <= written
    notebook = (tmp_path / "pages" / "notebook.md").read_text(encoding="utf-8")
    assert "```slot\n%%slot layout" in notebook and '<div class="slotlang">' in notebook
    # a blank line would end the HTML
    for block in re.findall(r"^<div>.*?</div></div>$", notebook, re.MULTILINE | re.DOTALL):
        assert "\n\n" not in block


def test_a_wrong_link_in_a_document_would_be_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    (tmp_path / "a.md").write_text("# A `b` - c\n[x](#a-b---c) [y](b.md) [z](#nowhere) `[not](one.md)`\n")
    # GitHub keeps three hyphens, and the site one: neither anchor works in both
    assert wrong_links("a.md") == ["#a-b---c", "b.md", "#nowhere"]
