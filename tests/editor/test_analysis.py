from __future__ import annotations

from pathlib import Path

import pytest
from editor_client import SMALL
from repository import ROOT

from slotlang.diagnostics import SlotError
from slotlang.editor.analysis import analyse
from slotlang.editor.names import CantRename, apply, mentions, renamed
from slotlang.editor.questions import QUESTIONS, answer, check_text
from slotlang.editor.tokens import tokens
from slotlang.meaning.bind import bind
from slotlang.source import Source
from slotlang.syntax.parser import parse

PROGRAMS = sorted((ROOT / "programs").rglob("*.slot"))
WRONG = sorted((ROOT / "tests/diagnostics").rglob("*.slot"))


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", PROGRAMS[::9], ids=lambda path: path.stem)
def test_programs_of_the_corpus_are_right(path: Path) -> None:
    found = analyse(read(path), str(path), str(path.parent))
    assert found.right and not [m for m in found.marks if m.weight == "error"]


@pytest.mark.parametrize("path", WRONG[::11], ids=lambda path: path.stem)
def test_messages_are_those_of_the_command(path: Path) -> None:
    text = path.read_bytes().decode("utf-8", "replace").replace("\r\n", "\n")
    expected = []
    try:
        bind(parse(Source(str(path), text, str(path.parent))))
    except SlotError as problem:
        expected = [d.code for d in problem.diagnostics]
    found = analyse(text, str(path), str(path.parent))
    # an empty text is marked by nothing: who begins to write is told nothing wrong
    if not {"SL108", "SL120", "SL211"} & set(expected):
        assert set(expected) <= {m.code for m in found.marks}
    assert bool(expected) <= (not found.right)


def test_what_is_known_of_a_broken_text() -> None:
    broken = SMALL.replace("Y = sum q < n:", "Y = sum q < n: (")
    found = analyse(broken)
    assert [m.code for m in found.marks] == ["SL101"]
    (view,) = found.programs
    assert view.bound is None and view.scope is not None and view.scope.sizes == {"n": 4, "m": 2}


def test_files_of_definitions_are_right() -> None:
    for path in sorted((ROOT / "slotlang/std").glob("*.slot")):
        found = analyse(read(path), str(path), str(path.parent))
        assert found.marks == () and found.programs == ()


def test_several_programs() -> None:
    text = SMALL + "\n" + SMALL.replace("program small", "program other").replace("A @ x", "A.T @ x")
    marks, known = check_text(text)
    assert {v.program: v.status for v in known.verdicts} == {"small": "proved", "other": "refuted"}
    (mark,) = [m for m in marks if m.code == "refuted"]
    assert mark.start > text.index("program other")


def test_every_name_means_something() -> None:
    for path in PROGRAMS[::3]:
        text = read(path)
        known = {m.start for m in mentions(analyse(text, str(path), str(path.parent)))}
        for token in tokens(text):
            line = text[text.rfind("\n", 0, token.start) + 1 : token.start]
            # a norm's bound has an index of its own, and nothing uses the name of a system of digits
            if token.kind == "name" and token.text not in ("slot", "slots") and "norm(" not in line and line != "axes ":
                assert token.start in known, (path.name, token)


def test_renaming_keeps_the_meaning() -> None:
    found = analyse(SMALL)
    for mention in mentions(found):
        symbol, edits = renamed(found, mention.start, "brand_new")
        text = apply(SMALL, edits)
        assert len(edits) == sum(m.symbol == symbol for m in mentions(found))
        before, after = bind(parse(Source("s", SMALL))), bind(parse(Source("s", text)))
        assert list(before.sizes.values()) == list(after.sizes.values())
        marks, known = check_text(text)
        assert [v.status for v in known.verdicts] == ["proved"] and marks == ()


@pytest.mark.parametrize("new", ["m", "x", "q", "sum", "slot", "2a", "a b", "", "h"])
def test_names_that_are_taken(new: str) -> None:
    found = analyse(SMALL)
    with pytest.raises(CantRename):
        renamed(found, SMALL.index("n = 4"), new)


def test_names_of_a_library_stay() -> None:
    text = 'import "std/layouts.slot" as l\n' + SMALL.replace("A[h, (h + q) % n]", "l.diagonal(A, q)")
    found = analyse(text)
    with pytest.raises(CantRename, match="another file"):
        renamed(found, text.index("diagonal"), "other")
    _, edits = renamed(found, text.index("l.diagonal"), "lay")
    assert "as lay\n" in apply(text, edits) and "lay.diagonal(A, q)" in apply(text, edits)


@pytest.mark.parametrize("question", QUESTIONS)
def test_questions_about_hostile_texts(question: str) -> None:
    texts = [
        "",
        "\n",
        "program",
        "((((((",
        "))))",
        "def f(a):\n",
        '"',
        "#",
        "\0",
        "x" * 3000,
        "sum q < ",
        "𝔖 = α\n" * 5,
    ]
    texts += ["input x[" + "n, " * 400, "end\n" * 50, "program p(n = 4)\nY = " + "(" * 400 + "\n", SMALL[:-7]]
    for text in texts:
        found = analyse(text)
        for offset in {0, len(text) // 2, len(text)}:
            arguments: tuple[object, ...] = ()
            if question in ("hover", "definition", "references", "completions", "signature"):
                arguments = (offset,)
            elif question == "rename":
                arguments = (offset, "new")
            answer(found, question, *arguments)


@pytest.mark.parametrize("path", PROGRAMS[::24], ids=lambda path: path.stem)
def test_prefixes(path: Path) -> None:
    prefixes(path, 17)


@pytest.mark.slow
@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_every_prefix(path: Path) -> None:
    prefixes(path, 1)


def prefixes(path: Path, step: int) -> None:
    """Whatever is typed first: messages, and answers, but no failure; places inside of the text."""
    text = read(path)
    for end in range(0, len(text), step):
        found = analyse(text[:end], str(path), str(path.parent))
        assert all(0 <= m.start <= m.end <= end for m in found.marks), end
        for question in ("colours", "outline", "folds", "formatted"):
            answer(found, question)
        for question in ("completions", "signature", "definition"):
            answer(found, question, end)
