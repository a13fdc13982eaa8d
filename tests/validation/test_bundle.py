"""What stands beside a module: nothing that Python would run in place of what is checked."""

from __future__ import annotations

import importlib.util
import marshal
import os
import subprocess
import sys
from pathlib import Path

import pytest
from worlds import PAIRS, SMALL

from slotlang import api
from slotlang.diagnostics import SlotError
from slotlang.lower import write_bundle
from slotlang.syntax.parser import read_source
from slotlang.validation.bundle import check_beside
from slotlang.validation.check import check_module

EVIL = 'open("run", "w").close()\n'


@pytest.fixture
def module(tmp_path: Path) -> Path:
    return write_bundle(api.lower(api.loads(PAIRS), SMALL), tmp_path / "bundle")[0]


def refused(module: Path) -> str:
    with pytest.raises(SlotError) as problem:
        check_module(read_source(module))
    (diagnostic,) = problem.value.diagnostics
    assert diagnostic.code == "SL746" and diagnostic.file
    return diagnostic.message


def runtime(module: Path) -> Path:
    return module.parent / "slotlang_runtime"


def test_a_bundle_as_written_is_proved(module: Path) -> None:
    assert check_module(read_source(module)).validation.proved


@pytest.mark.parametrize(
    "name",
    [
        *("numpy.py", "numpy/__init__.py", "tenseal/__init__.pyc", "numba.so", "hashlib.py", "secrets.pyc"),
        *("json.abi3.so", "zlib.cpython-39-x86_64-linux-gnu.so", "scipy/__init__.py", "argparse.pyd"),
        "sitecustomize.py",
    ],
)
def test_what_would_be_imported_in_place_of_a_library(name: str, module: Path) -> None:
    path = module.parent / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(EVIL)
    message = refused(module)
    top = name.split("/")[0]
    assert message == f"{top} beside this module would be imported as {top.split('.')[0]}"


@pytest.mark.parametrize("name", ["json/data.txt", "numpy.txt", "mine.py", "numpy.d/__init__.py", "data.so.txt"])
def test_what_is_not_imported(name: str, module: Path) -> None:
    path = module.parent / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(EVIL)
    check_beside(module)


def test_a_link_to_a_module_has_two_folders(module: Path, tmp_path: Path) -> None:
    link = tmp_path / "elsewhere" / "link.py"
    link.parent.mkdir()
    link.symlink_to(module)
    check_beside(link)
    (link.parent / "numpy.py").write_text(EVIL)
    assert "numpy.py" in refused(link)
    (link.parent / "numpy.py").rename(module.parent / "numpy.py")
    assert "numpy.py" in refused(link)


@pytest.mark.parametrize("kind", ["link", "folder named as a file", "pipe", "pipe named as a file", "extension", "pyc"])
def test_what_is_not_part_of_the_runtime(kind: str, module: Path, tmp_path: Path) -> None:
    place = runtime(module)
    match kind:
        case "link":
            # a package comes before a file of its name
            (tmp_path / "errors").mkdir()
            (tmp_path / "errors" / "__init__.py").write_text((place / "errors.py").read_text() + EVIL)
            (place / "errors").symlink_to(tmp_path / "errors")
        case "folder named as a file":
            (place / "more.py").mkdir()
        case "pipe":
            os.mkfifo(place / "pipe")
        case "pipe named as a file":
            os.mkfifo(place / "seal" / "pipe.py")
        case "extension":
            (place / "kernels" / "sums.so").write_bytes(b"")
        case _:
            (place / "errors").mkdir()
            (place / "errors" / "__init__.pyc").write_bytes(b"")
    assert "not part of the runtime" in refused(module)


def test_a_runtime_of_one_file(module: Path) -> None:
    (module.parent / "slotlang_runtime.py").write_text(EVIL)
    assert refused(module) == "slotlang_runtime.py beside this module would be imported as its runtime"


def compiled(source: Path, text: str, *, level: int = -1, magic: bytes = importlib.util.MAGIC_NUMBER) -> Path:
    """A compiled file that Python takes for that of a source, with the code of another text."""
    made = Path(importlib.util.cache_from_source(str(source), optimization="" if level < 1 else level))
    made.parent.mkdir(exist_ok=True)
    state = source.stat()
    stamp = int(state.st_mtime).to_bytes(4, "little") + (state.st_size & 0xFFFFFFFF).to_bytes(4, "little")
    code = compile(text, str(source), "exec", dont_inherit=True, optimize=level)
    made.write_bytes(magic + bytes(4) + stamp + marshal.dumps(code))
    return made


@pytest.mark.parametrize("level", [-1, 1, 2])
@pytest.mark.parametrize("file", ["wire.py", "matrix/products.py", "../pairs.py"])
def test_compiled_files_of_other_sources(file: str, level: int, module: Path) -> None:
    source = runtime(module).parent / file[3:] if file.startswith("..") else runtime(module) / file
    text = source.read_text(encoding="utf-8")
    made = compiled(source, text, level=level)
    check_beside(module)
    for other in (text + EVIL, text.replace("return", "pass; return", 1).replace("1", "2"), "0.0", text.upper()):
        try:
            compiled(source, other, level=level)
        except SyntaxError:
            continue
        assert made.name in refused(module) and "is not shown to be compiled from it" in refused(module)


@pytest.mark.parametrize("data", [b"", b"\x00" * 16, b"\xff" * 200])
def test_compiled_files_that_are_none(data: bytes, module: Path) -> None:
    made = compiled(runtime(module) / "wire.py", "")
    made.write_bytes(made.read_bytes()[:16] + data)
    assert made.name in refused(module)


def test_compiled_files_of_another_python(module: Path) -> None:
    made = compiled(runtime(module) / "wire.py", (runtime(module) / "wire.py").read_text(encoding="utf-8"))
    made.rename(made.with_name("wire.cpython-399.pyc"))
    assert "wire.cpython-399.pyc" in refused(module)


def test_constants_that_only_look_alike(module: Path) -> None:
    source = module.parent / "other.py"
    source.write_text("x = 0.0, 1, frozenset({1})\n")
    for text in ("x = -0.0, 1, frozenset({1})\n", "x = 0.0, True, frozenset({1})\n", "x = 0.0, 1, frozenset({2})\n"):
        from slotlang.validation.bundle import _is_compiled

        assert _is_compiled(compiled(source, source.read_text()), source, [sys.implementation.cache_tag])
        assert not _is_compiled(compiled(source, text), source, [sys.implementation.cache_tag])


def test_a_bundle_that_ran_is_proved(module: Path) -> None:
    env = {k: v for k, v in os.environ.items() if k not in ("PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX")}
    ran = subprocess.run([sys.executable, str(module)], check=False, capture_output=True, text=True, env=env)
    assert ran.returncode == 0, ran.stderr
    assert list(runtime(module).rglob("*.pyc"))
    assert check_module(read_source(module)).validation.proved


@pytest.mark.parametrize(
    "body",
    [
        "".join("    " * (depth + 1) + f"for z{depth} in range(1):\n" for depth in range(22)) + "    " * 23 + "z = 1\n",
        "    z = ev.tree([], shared=True, shared=True)\n",
    ],
)
def test_a_body_that_python_parses_and_does_not_compile(body: str, module: Path) -> None:
    text = module.read_text(encoding="utf-8")
    assert text.count("    result = {}\n") == 1 or "    return {" in text
    place = "    result = {}\n" if "    result = {}\n" in text else "    return {"
    module.write_text(text.replace(place, body + place, 1), encoding="utf-8")
    with pytest.raises(SlotError) as problem:
        check_module(read_source(module))
    assert [d.code for d in problem.value.diagnostics] == ["SL741"]


def test_only_check_executes_nothing_of_an_edited_bundle(module: Path, tmp_path: Path) -> None:
    """As docs/running.md says: what runs is what is in the folder, and the hash refuses it only afterwards."""
    edited = runtime(module) / "version.py"
    edited.write_text(edited.read_text() + EVIL)
    here = {**os.environ, "PYTHONPATH": ""}
    assert "version.py" in refused(module) or "slotlang_runtime" in refused(module)
    assert not (tmp_path / "run").exists()
    ended = subprocess.run(
        [sys.executable, module], cwd=tmp_path, env=here, capture_output=True, text=True, check=False
    )
    assert ended.returncode != 0 and "runtime" in ended.stderr
    assert (tmp_path / "run").exists()
