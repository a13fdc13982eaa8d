"""The hash of a runtime: of the names and contents of its Python files, and of nothing else; and modules for others."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from small_programs import LORA
from worlds import emitted

import slotlang_runtime
from slotlang.run.runner import load_module
from slotlang_runtime.errors import Rejected
from slotlang_runtime.version import FORMAT, hash_of, require, source_hash

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
    for path in sorted(copy.rglob("*.xz")):
        data = path.read_bytes()
        path.write_bytes(data + b"#")
        hashes.append(hash_of(copy))
        path.write_bytes(data)
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


def test_another_runtime_or_format_is_refused() -> None:
    require("any", FORMAT, source_hash())
    with pytest.raises(Rejected) as refused:
        require("any", FORMAT, "f" * 64)
    assert str(refused.value) == (
        f"this module was emitted for runtime ffffffffffffffff, and slotlang_runtime is {source_hash()[:16]}: "
        "it is of another version, or was edited; lower the program again"
    )
    for form in (FORMAT - 1, FORMAT + 1):
        with pytest.raises(Rejected) as refused:
            require("any", form, source_hash())
        assert str(refused.value) == (
            f"this module has emission format {form}, and slotlang_runtime runs format {FORMAT}; "
            "lower the program again"
        )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (f'RUNTIME = "{source_hash()}"', 'RUNTIME = "0"', "error[SL746]: this module was emitted for runtime 0, and "),
        (
            f"FORMAT = {FORMAT}",
            "FORMAT = 2",
            "error[SL744]: this module has emission format 2, and slotlang_runtime runs ",
        ),
        # before anything else of the module is
        (
            f"FORMAT = {FORMAT}",
            f"FORMAT = {FORMAT + 1}\nrequire(__name__, {FORMAT + 1}, '')\n1 / 0",
            f"error[SL744]: this module has emission format {FORMAT + 1}",
        ),
    ],
)
def test_a_refused_module_is_one_line_where_it_is_run(old: str, new: str, message: str, tmp_path: Path) -> None:
    text = emitted(LORA).text
    assert old in text
    path = tmp_path / "lora.py"
    path.write_text(text.replace(old, new), encoding="utf-8")
    found = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, check=False)
    assert found.returncode == 2 and found.stdout == ""
    assert found.stderr.startswith(message) and found.stderr.count("\n") == 1
    with pytest.raises(Rejected) as refused:
        load_module(path.read_text(encoding="utf-8"))
    assert found.stderr == f"error[{refused.value.code}]: {refused.value}\n"
