"""The library's files are read only as slotlang was released with them."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from slotlang.codes import EXPLANATIONS
from slotlang.diagnostics import Diagnostic, SlotError, render
from slotlang.source import Source
from slotlang.syntax import imports, library
from slotlang.syntax.parser import parse

HEAD = "program p(n = 8)\ninput x[n]\nweight M[n, n]\naxes (h < n)\ncipher X = x[h]\n"
PREFIXED = 'import "std/layouts.slot" as l\n' + HEAD + "plain D[q < n] = l.diagonal(M, q)\n"
BARE = 'import "std/layouts.slot"\n' + HEAD + "plain D[q < n] = diagonal(M, q)\n"
THROUGH = 'import "std/more.slot" as m\n' + HEAD + "plain D[q < n] = m.same(M, q)\n"


@pytest.fixture
def std(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the library, which is used in its place."""
    copy = tmp_path / "std"
    shutil.copytree(library.LIBRARY, copy)
    for module in (library, imports):
        monkeypatch.setattr(module, "LIBRARY", copy)
    library._sums.cache_clear()
    return copy


def said(text: str) -> Diagnostic:
    with pytest.raises(SlotError) as caught:
        parse(Source("p.slot", text))
    (found,) = caught.value.diagnostics
    assert found.code == "SL121" and "SL121" in EXPLANATIONS
    return found


def test_the_list_is_that_of_the_files() -> None:
    text = (library.LIBRARY / library.SUMS).read_text(encoding="ascii")
    assert text == library.sums_text(), "run make library"
    for line in text.splitlines():
        wanted, name = line.split("  ")
        assert hashlib.sha256((library.LIBRARY / name).read_bytes()).hexdigest() == wanted


@pytest.mark.parametrize("text", [PREFIXED, BARE])
def test_the_library_as_it_is(std: Path, text: str) -> None:
    assert "plain  D[q < n] = M[slot, (slot + q) % n]" in parse(Source("p.slot", text)).source.text


@pytest.mark.parametrize("text", [PREFIXED, BARE])
def test_a_changed_file(std: Path, text: str) -> None:
    path = std / "layouts.slot"
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    # still a file of definitions: nothing else would tell
    text_before = path.read_text()
    path.write_text(text_before.replace("(slot + q)", "(slot - q)"))
    assert path.read_text() != text_before
    found = said(text)
    shown = render(found)
    assert "std/layouts.slot is not the file that slotlang was released with" in found.message
    assert str(path) in shown and before in shown and hashlib.sha256(path.read_bytes()).hexdigest() in shown
    assert found.span is not None and found.span.line == 1
    assert "install slotlang again" in found.hint and '"./layouts.slot"' in found.hint


@pytest.mark.parametrize("text", [PREFIXED, BARE])
def test_a_missing_file(std: Path, text: str) -> None:
    (std / "layouts.slot").unlink()
    found = said(text)
    assert found.message == "std/layouts.slot is missing from the library" and "install" in found.hint


def test_a_file_that_was_put_into_the_library(std: Path) -> None:
    (std / "more.slot").write_text("def same(M, q) = M[h, q]\n")
    assert said(THROUGH).message == "std/more.slot is not a file of the library"


def test_a_changed_file_that_another_one_imports(std: Path) -> None:
    (std / "more.slot").write_text('import "./layouts.slot" as l\ndef same(M, q) = l.diagonal(M, q)\n')
    (std / library.SUMS).write_text(library.sums_text(std))
    library._sums.cache_clear()
    parse(Source("p.slot", THROUGH))
    with (std / "layouts.slot").open("a") as file:
        file.write("# changed\n")
    assert "std/layouts.slot" in said(THROUGH).message


@pytest.mark.parametrize("text", [None, "no hash  layouts.slot\n"])
def test_a_list_that_is_missing_or_damaged(std: Path, text: str | None) -> None:
    (std / library.SUMS).unlink()
    if text is not None:
        (std / library.SUMS).write_text(text)
    assert "can't be checked" in said(PREFIXED).message


def test_files_of_ones_own_are_not_compared(std: Path, tmp_path: Path) -> None:
    text = (std / "layouts.slot").read_text()
    (tmp_path / "layouts.slot").write_text(text + "# mine\n")
    own = PREFIXED.replace("std/", "./")
    assert "plain  D[q < n] = M[slot, (slot + q) % n]" in parse(Source("p.slot", own, str(tmp_path))).source.text
