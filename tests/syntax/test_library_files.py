"""The library's files are read only as slotlang was released with them."""

from __future__ import annotations

import hashlib
import os
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
    found = said(THROUGH)
    assert found.message == "std/more.slot is not in the list of the library's files"
    assert '"./more.slot"' in found.hint and "install slotlang again" in found.hint


def test_a_changed_file_that_another_one_imports(std: Path) -> None:
    (std / "more.slot").write_text('import "./layouts.slot" as l\ndef same(M, q) = l.diagonal(M, q)\n')
    (std / library.SUMS).write_text(library.sums_text(std))
    library._sums.cache_clear()
    parse(Source("p.slot", THROUGH))
    with (std / "layouts.slot").open("a") as file:
        file.write("# changed\n")
    assert "std/layouts.slot" in said(THROUGH).message


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, "No such file or directory"),
        ("no hash  layouts.slot\n", "line 1 is not a hash and a name"),
        (f"{'0' * 64}  a.slot\n\n", "line 2 is not a hash and a name"),
        (f"{'0' * 64}  \x00é.slot\n", "line 1 is not a hash and a name"),
        ("", "it is empty"),
        ("\n" * (1 << 17), "it has more than 65,536 bytes"),
    ],
)
def test_a_list_that_is_missing_or_damaged(std: Path, text: str | None, why: str) -> None:
    (std / library.SUMS).unlink()
    if text is not None:
        (std / library.SUMS).write_text(text)
    found = said(PREFIXED)
    assert found.message == "std/layouts.slot can't be checked: the list of the library's files is missing or damaged"
    assert found.notes == (f"{std / library.SUMS}: {why}",)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_a_list_that_is_a_pipe_is_not_waited_for(std: Path) -> None:
    (std / library.SUMS).unlink()
    os.mkfifo(std / library.SUMS)
    # a writer that writes nothing: without it a plain `open` would hang this test
    reader = os.open(std / library.SUMS, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with open(std / library.SUMS, "wb"):  # noqa: PTH123
            assert said(PREFIXED).notes == (f"{std / library.SUMS}: it is a pipe, not a regular file",)
    finally:
        os.close(reader)


@pytest.mark.parametrize("path", ["std//layouts.slot", ".///mine.slot"])
def test_two_slashes_in_a_row(path: str) -> None:
    with pytest.raises(SlotError) as caught:
        parse(Source("p.slot", PREFIXED.replace("std/layouts.slot", path), "/tmp"))
    (found,) = caught.value.diagnostics
    assert (found.code, found.message) == ("SL117", f'"{path}" is not a path that can be imported')
    once = path.replace("///", "/").replace("//", "/")
    assert found.hint == f'write import "{once}", with one slash'


def test_files_of_ones_own_are_not_compared(std: Path, tmp_path: Path) -> None:
    text = (std / "layouts.slot").read_text()
    (tmp_path / "layouts.slot").write_text(text + "# mine\n")
    own = PREFIXED.replace("std/", "./")
    assert "plain  D[q < n] = M[slot, (slot + q) % n]" in parse(Source("p.slot", own, str(tmp_path))).source.text
