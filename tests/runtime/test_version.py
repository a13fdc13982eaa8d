"""The hash of a runtime: of the names and contents of its Python files, and of nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

import slotlang_runtime
from slotlang_runtime.version import hash_of, source_hash

HERE = Path(slotlang_runtime.__file__).parent


def copied(folder: Path) -> Path:
    return Path(shutil.copytree(HERE, folder / "copy", ignore=shutil.ignore_patterns("__pycache__")))


def test_a_copy_has_the_same_hash(tmp_path: Path) -> None:
    copy = copied(tmp_path)
    assert hash_of(copy) == hash_of(HERE) == source_hash()
    assert len(source_hash()) == 64


def test_what_else_lies_there_is_not_hashed(tmp_path: Path) -> None:
    copy = copied(tmp_path)
    (copy / "__pycache__").mkdir()
    (copy / "__pycache__" / "wire.pyc").write_bytes(b"x")
    (copy / "notes.txt").write_text("x")
    assert hash_of(copy) == source_hash()


def test_line_ends_of_other_systems_are_the_same(tmp_path: Path) -> None:
    copy = copied(tmp_path)
    for path in copy.rglob("*.py"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert hash_of(copy) == source_hash()


def test_every_change_is_another_hash(tmp_path: Path) -> None:
    copy = copied(tmp_path)
    hashes = [source_hash()]
    for path in sorted(copy.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        path.write_text(text + "#", encoding="utf-8")
        hashes.append(hash_of(copy))
        path.write_text(text, encoding="utf-8")
    (copy / "seal" / "more.py").write_text("")
    hashes.append(hash_of(copy))
    (copy / "seal" / "more.py").rename(copy / "kernels" / "more.py")
    hashes.append(hash_of(copy))
    (copy / "kernels" / "more.py").unlink()
    (copy / "wire.py").unlink()
    hashes.append(hash_of(copy))
    assert len(set(hashes)) == len(hashes) > 30


def test_contents_that_move_between_files_are_another_hash(tmp_path: Path) -> None:
    for name, texts in (("one", ("ab", "c")), ("two", ("a", "bc"))):
        (tmp_path / name).mkdir()
        for file, text in zip("xy", texts, strict=True):
            (tmp_path / name / f"{file}.py").write_text(text)
    assert hash_of(tmp_path / "one") != hash_of(tmp_path / "two")
