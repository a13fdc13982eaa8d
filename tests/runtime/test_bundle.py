"""A bundle: module and runtime in one folder, which run where only tenseal and numpy are installed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import files
from pathlib import Path

import pytest
from command_line import slotlang
from repository import PROGRAMS
from worlds import PAIRS, SMALL

import slotlang_runtime
from slotlang import api
from slotlang.diagnostics import SlotError
from slotlang.lower import write_bundle
from slotlang_runtime.version import source_hash

SIZES = [argument for size in ("d=32", "batch=2", "slots=32") for argument in ("--set", size)]


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of packages with numpy and tenseal, and nothing else."""
    folder = tmp_path_factory.mktemp("packages")
    for package in ("numpy", "tenseal"):
        for file in files(package) or []:
            name = file.parts[0]
            if name not in ("..", "__pycache__") and not (folder / name).exists():
                (folder / name).symlink_to(Path(str(file.locate()).removesuffix(str(file))) / name)
    return folder


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("bundles") / "made" / "rank"
    found = slotlang("lower", str(PROGRAMS / "rank_complex.slot"), *SIZES, "--bundle", str(folder), "--json")
    assert found.status == 0
    said = json.loads(found.out)
    files = {Path(path) for path in said["files"]}
    assert said["output"] == str(folder) and files == {path for path in folder.rglob("*") if path.is_file()}
    yield folder


def alone(script: Path, packages: Path, *arguments: str, code: str = "") -> subprocess.CompletedProcess[str]:
    """Python without this environment's packages: the script's folder, ``packages``, and the standard library."""
    command = [sys.executable, "-S", "-s", *(["-c", code] if code else []), str(script), *arguments]
    env = {"PYTHONPATH": str(packages), "PYTHONDONTWRITEBYTECODE": "1", "PATH": os.environ.get("PATH", "")}
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=300, env=env, cwd=script.parent.parent
    )


def test_there_is_nothing_else(bundle: Path, packages: Path) -> None:
    code = """
import importlib.util, sys
for name in ("numba", "llvmlite", "lark", "islpy", "sympy", "networkx", "typer", "slotlang", "pytest"):
    assert importlib.util.find_spec(name) is None, name
import numpy, tenseal.sealapi
"""
    found = alone(bundle / "rank_complex.py", packages, code=code)
    assert found.returncode == 0, found.stderr


def test_it_runs_with_tenseal_and_numpy_alone(bundle: Path, packages: Path) -> None:
    assert (bundle / "slotlang_runtime" / "py.typed").exists()
    before = {path: path.read_bytes() for path in bundle.rglob("*") if path.is_file()}
    found = alone(bundle / "rank_complex.py", packages, "--seed", "3")
    assert found.returncode == 0 and found.stderr == "", found.stderr
    (error,) = re.findall(r"^y: shape \(32, 2\), relative rms error (\S+)$", found.stdout, re.MULTILINE)
    assert float(error) < 1e-6
    # the kernels need llvmlite, which is not there
    assert "evaluated by SEAL's operations: llvmlite can't be imported" in found.stdout
    assert before == {path: path.read_bytes() for path in bundle.rglob("*") if path.is_file()}


def test_its_own_runtime_is_used(bundle: Path, packages: Path) -> None:
    code = """
import sys
sys.path.insert(0, sys.argv[1].rsplit("/", 1)[0])
import rank_complex, slotlang_runtime
print(slotlang_runtime.__file__)
from slotlang_runtime import Client, EvaluationKeys, Pool, Server, Weights
"""
    found = alone(bundle / "rank_complex.py", packages, code=code)
    assert found.returncode == 0, found.stderr
    assert Path(found.stdout.strip()) == bundle / "slotlang_runtime" / "__init__.py"


@pytest.mark.parametrize("file", ["wire.py", "seal/operations.py", "masks.py", "matrix/products.py"])
def test_an_edited_runtime_is_refused(file: str, bundle: Path, packages: Path) -> None:
    path = bundle / "slotlang_runtime" / file
    whole = path.read_text(encoding="utf-8")
    path.write_text(whole + "# edited\n", encoding="utf-8")
    try:
        found = alone(bundle / "rank_complex.py", packages)
    finally:
        path.write_text(whole, encoding="utf-8")
    assert found.returncode == 2 and found.stdout == ""
    assert found.stderr.startswith(
        f"error[SL746]: this module was emitted for runtime {source_hash()[:16]}, and slotlang_runtime is "
    )
    assert found.stderr.count("\n") == 1 and "lower the program again" in found.stderr


def test_a_module_of_another_format_is_refused(bundle: Path, packages: Path) -> None:
    path = bundle / "rank_complex.py"
    whole = path.read_text(encoding="utf-8")
    path.write_text(whole.replace("FORMAT = 8\n", "FORMAT = 2\n"), encoding="utf-8")
    try:
        found = alone(path, packages)
    finally:
        path.write_text(whole, encoding="utf-8")
    assert found.returncode == 2 and found.stdout == ""
    assert found.stderr.startswith(
        "error[SL744]: this module has emission format 2, and slotlang_runtime runs format 8"
    )
    assert found.stderr.count("\n") == 1


def test_the_files_are_those_of_the_package(bundle: Path) -> None:
    home = Path(slotlang_runtime.__file__).parent
    for copy in (bundle / "slotlang_runtime").rglob("*"):
        if copy.is_file():
            assert copy.read_bytes() == (home / copy.relative_to(bundle / "slotlang_runtime")).read_bytes()


# folders


@pytest.fixture(scope="module")
def lowered() -> api.Lowered:
    return api.lower(api.loads(PAIRS), SMALL)


def refused(lowered: api.Lowered, folder: Path) -> str:
    before = sorted(folder.parent.rglob("*"))
    with pytest.raises(SlotError) as found:
        write_bundle(lowered, folder)
    assert sorted(folder.parent.rglob("*")) == before
    (diagnostic,) = found.value.diagnostics
    return diagnostic.code


def test_a_folder_that_holds_something_is_left_alone(lowered: api.Lowered, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "mine.txt").write_text("mine")
    assert refused(lowered, tmp_path / "here") == "SL007"
    assert refused(lowered, tmp_path / "here" / "mine.txt") == "SL007"
    assert (tmp_path / "here" / "mine.txt").read_text() == "mine"


def test_an_empty_folder_is_taken(lowered: api.Lowered, tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    files = write_bundle(lowered, folder)
    assert files[0] == folder / "pairs.py" and all(path.is_file() for path in files)
    assert refused(lowered, folder) == "SL007"


def test_a_write_that_fails_leaves_nothing(
    lowered: api.Lowered, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        if path.name == "server.py":
            raise OSError(28, "No space left on device", str(path))
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    assert refused(lowered, tmp_path / "new") == "SL004"
    (tmp_path / "file").write_text("x")
    monkeypatch.undo()
    assert refused(lowered, tmp_path / "file" / "below") == "SL004"


@pytest.mark.parametrize("name", ["numpy", "random", "slotlang_runtime", "tenseal", "struct"])
def test_a_program_named_like_a_module(name: str, tmp_path: Path, packages: Path) -> None:
    """The folder of a script is searched for modules first."""
    made = api.lower(api.loads(PAIRS.replace("program pairs", f"program {name}")), SMALL)
    script = write_bundle(made, tmp_path / "new")[0]
    assert script.name == f"{name}_module.py"
    if name == "random":
        found = alone(script, packages)
        assert found.returncode == 0, found.stderr


@pytest.mark.parametrize(
    "options",
    [[], ["-o", "x.py", "--bundle", "y"], ["--bundle", "y", "--standalone"], ["-o", "x.py", "--bundle", "y", "--json"]],
)
def test_one_kind_of_output(options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = slotlang("lower", str(PROGRAMS / "rank_complex.slot"), *options)
    assert found.status == 2 and "SL005" in found.err
    assert list(tmp_path.iterdir()) == []


def test_the_command_line_says_what_it_wrote(tmp_path: Path) -> None:
    path = tmp_path / "pairs.slot"
    path.write_text(PAIRS, encoding="utf-8")
    found = slotlang("lower", str(path), "--bundle", str(tmp_path / "out"))
    assert found.status == 0 and found.out.startswith(f"{tmp_path / 'out'}: pairs, proved by the ")
    again = slotlang("lower", str(path), "--bundle", str(tmp_path / "out"), "--json")
    assert again.status == 2
    assert [d["code"] for d in json.loads(again.out)["diagnostics"]] == ["SL007"]
