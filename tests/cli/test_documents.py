"""``slotlang docs``: every page that a message names is there, as it is written and on a terminal."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest
from command_line import slotlang
from repository import ROOT
from terminal import on_terminal

from slotlang import docs
from slotlang.puzzles.book import PUZZLES

FILES = sorted((ROOT / "docs").glob("*.md"))
ALL = "# All\n\n## One [of](a.md) `two`\n\n```sh\n# no heading\n```\n\n### Deeper\n\nx\n\n## Two\n\ny\n"


def named() -> set[tuple[str, str]]:
    """The pages that texts of the packages name, with what stands behind #."""
    texts = [p.read_text(encoding="utf-8") for f in ("slotlang", "slotlang_runtime") for p in (ROOT / f).rglob("*.py")]
    return {match for text in texts for match in re.findall(r"\bdocs/([\w-]+)\.md(?:#([\w-]+))?", text)}


def test_pages_are_listed_with_their_titles() -> None:
    ended = slotlang("docs")
    rows = dict(re.findall(r"^([\w-]+)  +(.+)$", ended.out.partition("\n\n")[0], re.MULTILINE))
    first = {path.stem: path.read_text(encoding="utf-8").partition("\n")[0] for path in FILES}
    assert ended.status == 0 and {name: f"# {title}" for name, title in rows.items()} == first
    values = json.loads(slotlang("docs", "--json").out)
    assert [(p["page"], p["file"], p["title"]) for p in values["pages"]] == [
        (name, f"docs/{name}.md", title) for name, title in rows.items()
    ]
    assert all(p["text"] is None for p in values["pages"])


@pytest.mark.parametrize("name", ["proof", "proof.md", "docs/proof.md"])
def test_a_pipe_gets_the_page_as_it_is_written(name: str) -> None:
    ended = slotlang("docs", name)
    assert ended.status == 0 and ended.out == (ROOT / "docs" / "proof.md").read_text(encoding="utf-8")
    assert json.loads(slotlang("docs", name, "--json").out)["pages"][0]["text"] == ended.out


def test_every_page_that_a_text_names_is_there() -> None:
    found = named()
    assert len(found) > 10
    for name, anchor in found - {("NAME", "")}:
        # the anchor of the help's own example, too
        assert docs.found(f"docs/{name}.md#{anchor}").text
    for puzzle in PUZZLES:
        ended = slotlang("docs", puzzle.link)
        assert ended.status == 0 and ended.out.startswith(f"## {puzzle.section}\n"), puzzle.name


def test_a_section_ends_where_the_next_begins() -> None:
    page = docs.Page("all", ALL)
    assert [(h.level, h.words) for h in page.headings] == [(1, "All"), (2, "One of two"), (3, "Deeper"), (2, "Two")]
    assert page.section("one-of-two").text == ALL[ALL.index("## One") : ALL.index("\n## Two")]
    assert page.section("deeper").text == "### Deeper\n\nx\n"
    assert page.section("two").text == "## Two\n\ny\n" and page.section("two").title == "Two"
    assert page.section("all").text == ALL


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("prof", "there is no page 'prof'", "did you mean 'proof'?"),
        ("docs/Proof.md", "there is no page 'Proof'", "did you mean 'proof'?"),
        ("../README", "there is no page '../README'", "slotlang docs lists them"),
        ("", "there is no page ''", "slotlang docs lists them"),
        ("proof#what-run", "docs/proof.md has no section 'what-run'", "did you mean 'what-runs'?"),
        ("proof#" + "x" * 99, "has no section", "slotlang docs proof shows all of it"),
    ],
)
def test_what_is_not_there(name: str, message: str, hint: str) -> None:
    ended = slotlang("docs", name)
    assert ended.status == 2 and ended.out == "" and len(ended.err) < 300
    assert ended.err.startswith("error[SL005]: ") and message in ended.err and hint in ended.err
    (problem,) = json.loads(slotlang("docs", name, "--json").out)["diagnostics"]
    assert problem["code"] == "SL005" and problem["hint"] == hint


def test_an_installation_without_pages_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setattr(docs, "__file__", str(tmp_path / "slotlang" / "docs" / "__init__.py"))
    ended = slotlang("docs", "proof")
    assert ended.status == 2 and "error[SL001]" in ended.err and "install slotlang again" in ended.err


# On a terminal


@pytest.mark.parametrize("width", [60, 100])
def test_a_page_fits_a_terminal(width: int) -> None:
    ended = on_terminal("docs", "terminal", columns=width, env={"NO_COLOR": "1"})
    lines = ended.out.splitlines()
    assert ended.status == 0 and "\x1b" not in ended.out and max(map(len, lines)) <= width
    # headings, code and tables are shown as what they are, and every word of the text
    assert "Standard input" in lines and "## Standard" not in ended.out and "```" not in ended.out
    assert "|---" not in ended.out and "no colours and bold letters" in " ".join(ended.out.split())


def test_styles_and_what_a_terminal_can_not_follow() -> None:
    ended = on_terminal("docs", "seeing", columns=100)
    assert "\x1b[1" in ended.out and "\x1b]8" not in ended.out
    plain = " ".join(re.sub(r"\x1b\[[0-9;]*m", "", ended.out).split())
    assert "[picture: The page of a proved program]" in plain and ".png" not in plain
    plain = on_terminal("docs", "docs/threats.md", env={"TERM": "dumb"}).out
    assert "security.md says what the cryptography" in " ".join(plain.split()) and "security.md (" not in plain


def test_addresses_of_the_web_stay() -> None:
    from slotlang.cli.console import console_for_drawings
    from slotlang.cli.markdown import TerminalMarkdown

    console = console_for_drawings()
    with console.capture() as said:
        console.print(TerminalMarkdown("[site](https://example.org/x), [page](a.md#b), ![what](c.png) *em*"))
    assert said.get() == "site (https://example.org/x), page, [picture: what] em\n"


def test_listing_imports_no_rich() -> None:
    program = (
        "import sys\nfrom slotlang.cli import main\nsys.argv = ['slotlang', 'docs', *sys.argv[1:]]\n"
        "try: main()\nexcept SystemExit as end: assert not end.code\n"
        "assert not {'rich', 'markdown_it', 'numpy'} & set(sys.modules)\n"
    )
    for words in ((), ("proof",)):
        subprocess.run([sys.executable, "-c", program, *words], cwd=ROOT, check=True, capture_output=True)
