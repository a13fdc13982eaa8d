"""Imports: which file a path names, what is brought, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from slotlang.diagnostics import Diagnostic, SlotError
from slotlang.meaning.bind import bind
from slotlang.source import Source
from slotlang.syntax.imports import MAX_DEEP
from slotlang.syntax.parser import MAX_BYTES, parse, read_source

HEAD = "program p(n = 8)\ninput x[n]\nweight M[n, n]\naxes (h < n)\ncipher X = x[h]\n"


def written(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder / "p.slot"


def last_line(folder: Path, files: dict[str, str]) -> str:
    """What the program's last statement becomes."""
    return parse(read_source(written(folder, files))).source.text.splitlines()[-1]


def refused(folder: Path, files: dict[str, str]) -> Diagnostic:
    with pytest.raises(SlotError) as caught:
        parse(read_source(written(folder, files)))
    (found,) = caught.value.diagnostics
    return found


def test_a_file_is_found_from_the_one_that_imports_it(tmp_path: Path) -> None:
    files = {
        "p.slot": 'import "./a/one.slot"\n' + HEAD + "Y = twice(X)\n",
        "a/one.slot": 'import "./b/../two.slot" as t\ndef twice(v) = t.add(v, v)\n',
        "a/two.slot": "def add(v, w) = v + w\n",
        "two.slot": "def add(v, w) = v * w\n",
    }
    assert last_line(tmp_path, files) == "Y = X + X"


def test_what_a_file_imports_stays_its_own(tmp_path: Path) -> None:
    files = {
        "p.slot": 'import "./one.slot"\n' + HEAD + "Y = add(X, X)\n",
        "one.slot": 'import "./two.slot"\ndef twice(v) = add(v, v)\n',
        "two.slot": "def add(v, w) = v + w\n",
    }
    parse(read_source(written(tmp_path, files | {"p.slot": files["p.slot"].replace("add(X, X)", "twice(X)")})))
    with pytest.raises(SlotError, match="SL111"):
        bind(parse(read_source(written(tmp_path, files))))


def test_two_ways_to_one_file_are_one_file(tmp_path: Path) -> None:
    files = {
        "p.slot": 'import "./a.slot" as a\nimport "./b.slot" as b\n'
        + 'import "./c.slot" as c\nimport "./d/../c.slot" as c2\n'
        + HEAD
        + "Y = a.f(X) + b.f(X) + c.f(X) + c2.f(X)\n",
        "a.slot": 'import "./c.slot" as c\ndef f(v) = c.f(v) << 1\n',
        "b.slot": 'import "./c.slot" as c\ndef f(v) = c.f(v) << 2\n',
        "c.slot": "def f(v) = 3 * v\n",
    }
    assert last_line(tmp_path, files) == "Y = (3 * X << 1) + (3 * X << 2) + 3*X + 3*X"


def test_a_template_is_imported_and_used_by_a_definition_of_the_program(tmp_path: Path) -> None:
    files = {
        "p.slot": 'import "std/schedules.slot" as s\ndef mine(V, W):\n    Y = s.horner_product(V, W, 4)\nend\n'
        + HEAD
        + "plain D[q < 4] = M[h, q]\nY = mine(X, D)\n",
    }
    text = parse(read_source(written(tmp_path, files))).source.text
    assert "Y = sum q < 4 by horner: X * (D[q] >> q) << q\nclaim Y == sum q < 4: (X << q) * D[q]\n" in text


def test_a_name_has_one_meaning(tmp_path: Path) -> None:
    library = {"a.slot": "def f(v) = v\n", "b.slot": "def f(v) = 2 * v\n"}
    for start in (
        'import "./a.slot"\nimport "./a.slot"\n',
        'import "./a.slot"\nimport "./b.slot"\n',
        'import "./a.slot" as a\nimport "./b.slot" as a\n',
        'import "./a.slot"\ndef f(v) = v\n',
        'import "./a.slot" as f\ndef f(v) = v\n',
        'import "./a.slot" as X\n',
        'import "./a.slot"\nprogram q(f = 2)\n',
    ):
        program = start if "program" in start else start + HEAD
        assert refused(tmp_path, library | {"p.slot": program}).code == "SL114", start


def test_circles_through_links_are_circles(tmp_path: Path) -> None:
    (tmp_path / "b.slot").symlink_to(tmp_path / "a.slot")
    files = {"p.slot": 'import "./a.slot"\n' + HEAD, "a.slot": 'import "./b.slot"\ndef f(v) = v\n'}
    assert refused(tmp_path, files).code == "SL119"
    assert refused(tmp_path, {"p.slot": 'import "./a.slot"\n' + HEAD, "a.slot": 'import "./p.slot"\n'}).code == "SL119"


def test_too_many_in_a_row(tmp_path: Path) -> None:
    files = {f"f{n}.slot": f'import "./f{n + 1}.slot"\ndef f{n}(v) = v\n' for n in range(MAX_DEEP + 2)}
    files |= {f"f{MAX_DEEP + 2}.slot": "def f(v) = v\n", "p.slot": 'import "./f0.slot"\n' + HEAD}
    assert refused(tmp_path, files).code == "SL119"
    assert parse(read_source(written(tmp_path, files | {"p.slot": 'import "./f10.slot"\n' + HEAD})))


@pytest.mark.parametrize(
    "path",
    [
        "/etc/a.slot",
        "../a.slot",
        "./../a.slot",
        "./b/../../a.slot",
        "std/../syntax/a.slot",
        "std/../../a.slot",
        "std/layouts",
        "layouts.slot",
        "./a.txt",
        "~/a.slot",
        "./a\\b.slot",
        "https://a.org/a.slot",
        "",
        ".",
        "./link/a.slot",
        "./link.slot",
    ],
)
def test_paths_that_lead_outside(path: str, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    written(outside, {"a.slot": "def f(v) = v\n"})
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "link").symlink_to(outside)
    (inside / "link.slot").symlink_to(outside / "a.slot")
    assert refused(inside, {"p.slot": f'import "{path}"\n' + HEAD}).code == "SL117"


def test_links_within_the_folder_are_files(tmp_path: Path) -> None:
    files = {"p.slot": 'import "./b.slot"\n' + HEAD + "Y = f(X)\n", "c/a.slot": "def f(v) = v << 1\n"}
    (tmp_path / "b.slot").symlink_to(tmp_path / "c" / "a.slot")
    assert last_line(tmp_path, files) == "Y = X << 1"


def test_files_that_can_not_be_read(tmp_path: Path) -> None:
    program = {"p.slot": 'import "./a.slot"\n' + HEAD}
    assert refused(tmp_path, program).code == "SL118"
    (tmp_path / "a.slot").mkdir()
    assert refused(tmp_path, program).code == "SL118"
    (tmp_path / "a.slot").rmdir()
    os.mkfifo(tmp_path / "a.slot")
    assert refused(tmp_path, program).code == "SL118"
    (tmp_path / "a.slot").unlink()
    (tmp_path / "a.slot").write_bytes(b"\xff\xfe")
    assert refused(tmp_path, program).code == "SL118"
    (tmp_path / "a.slot").write_bytes(b" " * (MAX_BYTES + 1))
    assert refused(tmp_path, program).code == "SL118"
    found = refused(tmp_path, program | {"a.slot": "def f(v) = v +\n"})
    assert found.code == "SL103"
    assert found.span is not None
    assert found.span.source.name == str(tmp_path / "a.slot")
    assert any("it is imported at" in note for note in found.notes)


def test_a_program_of_several_imports_once_for_all(tmp_path: Path) -> None:
    text = 'import "./a.slot"\n' + HEAD + "Y = f(X)\n" + HEAD.replace("program p", "program q") + "Z = f(X)\n"
    path = written(tmp_path, {"p.slot": text, "a.slot": "def f(v) = v << 1\n"})
    for name, expected in (("p", "Y = X << 1"), ("q", "Z = X << 1")):
        program = parse(read_source(Path(f"{path}:{name}")))
        assert program.source.text.splitlines()[-1] == expected
        assert program.header.name == name


def test_a_text_in_no_folder_reads_no_file() -> None:
    with pytest.raises(SlotError, match="SL117"):
        parse(Source("t.slot", 'import "./a.slot"\n' + HEAD))
