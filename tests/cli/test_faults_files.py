"""Files that are read and written at once, that are no files, and disks that are full."""

from __future__ import annotations

import json
import os
import resource
import shutil
import socket
from pathlib import Path

import numpy as np
import pytest
from command_line import slotlang
from faulty import PROGRAM, ROOT, SMALL, call, limited

ADAPTER = ROOT / "examples" / "minilm_adapter"


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "p.slot"
    path.write_bytes(PROGRAM.read_bytes())
    return path


WRITERS = {
    "lower": ["-o"],
    "graph": ["-o"],
    "optimize": ["-o"],
    "check": ["--svg", "--certificate"],
    "show": ["--svg"],
}


@pytest.mark.parametrize(
    ("name", "option"), [(name, option) for name, options in WRITERS.items() for option in options]
)
@pytest.mark.parametrize("kind", ["itself", "symlink", "hard link", "another way"])
def test_input_and_output_are_one_file(name: str, option: str, kind: str, program: Path) -> None:
    output = program.parent / "other.slot"
    match kind:
        case "itself":
            output = program
        case "symlink":
            output.symlink_to(program)
        case "hard link":
            output.hardlink_to(program)
        case _:
            output = program.parent / ".." / program.parent.name / program.name
    ended = slotlang(name, str(program), option, str(output))
    assert (ended.status, ended.out) == (2, "")
    assert ended.err.startswith("error[SL006]: ") and str(output) in ended.err and "is read and written" in ended.err
    assert program.read_bytes() == PROGRAM.read_bytes()
    assert {p.name for p in program.parent.iterdir()} <= {"p.slot", "other.slot"}


@pytest.mark.parametrize(
    ("name", "option"), [(name, option) for name, options in WRITERS.items() for option in options]
)
def test_what_a_program_imports_is_not_written_over(name: str, option: str, program: Path) -> None:
    inner, outer = program.parent / "inner.slot", program.parent / "outer.slot"
    inner.write_text("def twice(a) = a + a\n", encoding="utf-8")
    outer.write_text('import "./inner.slot"\ndef four(a) = twice(twice(a))\n', encoding="utf-8")
    head, rest = program.read_text(encoding="utf-8").split("\n\nlet", 1)
    program.write_text(f'{head}\nimport "./outer.slot"\n\nlet{rest}', encoding="utf-8")
    for path in (inner, outer):
        before = path.read_bytes()
        ended = slotlang(name, str(program), option, str(program.parent / "." / path.name))
        assert (ended.status, ended.out) == (2, "")
        assert ended.err.startswith(f"error[SL006]: {path} is written, and {program} imports it")
        assert path.read_bytes() == before


def test_an_adapter_is_not_written_over(tmp_path: Path) -> None:
    adapter = tmp_path / "adapter"
    shutil.copytree(ADAPTER, adapter)
    weights = adapter / "adapter_model.safetensors"
    before = weights.read_bytes()
    for command in (["lower", str(PROGRAM)], ["synth", "--module", "layer.0.attention.self.query"]):
        ended = slotlang(*command, "--adapter", str(adapter), "-o", str(weights))
        assert ended.status == 2 and ended.err.startswith(f"error[SL006]: {weights} is written, and {adapter} is read")
    assert weights.read_bytes() == before


def test_a_profile_is_not_written_over(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    profile = program.parent / "profile.json"
    profile.write_bytes(Path(os.environ["SLOTLANG_PROFILE"]).read_bytes())
    before = profile.read_bytes()
    search = ["synth", "--d-in", "8", "--d-out", "8", "--rank", "2"]
    assert "SL006" in slotlang(*search, "--profile", str(profile), "--svg", str(profile)).err
    assert "SL006" in slotlang("optimize", str(program), "--profile", str(profile), "-o", str(profile)).err
    monkeypatch.setenv("SLOTLANG_PROFILE", str(profile))
    assert "SL006" in slotlang("optimize", str(program), "-o", str(profile)).err
    assert profile.read_bytes() == before


def test_two_outputs_are_one_file(program: Path) -> None:
    output = program.parent / "made"
    other = program.parent / ".." / program.parent.name / "made"
    ended = slotlang("check", str(program), "--svg", str(output), "--certificate", str(other))
    assert ended.status == 2 and "SL006" in ended.err and "written twice" in ended.err
    assert not output.exists()


def _other_kinds(folder: Path) -> dict[str, Path]:
    os.mkfifo(folder / "pipe")
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(folder / "socket"))
    (folder / "folder").mkdir()
    (folder / "link").symlink_to("pipe")
    named = {name: folder / name for name in ("pipe", "socket", "folder", "link")}
    return {**named, "device": Path("/dev/zero"), "terminal": Path("/dev/tty")}


def test_what_is_read_is_a_regular_file(program: Path) -> None:
    for kind, path in _other_kinds(program.parent).items():
        reads = {
            "SL001": [["check"], ["cost"], ["fmt"], ["recheck"]],
            "SL441": [["cost", str(program), *SMALL, "--profile"]],
            "SL501": [["run", str(program), "--adapter"]],
            "SL505": [["run", str(program), *SMALL, "--activations"]],
        }
        for code, commands in reads.items():
            for words in commands:
                ended = slotlang(*words, str(path))
                assert ended.status == 2 and code in ended.out + ended.err, (kind, words, ended)


def test_pipes_inside_an_adapter(tmp_path: Path, program: Path) -> None:
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        folder = tmp_path / f"with {name}"
        folder.mkdir()
        for file in ADAPTER.iterdir():
            if file.name != name:
                (folder / file.name).symlink_to(file)
        os.mkfifo(folder / name)
        ended = slotlang("run", str(program), "--adapter", str(folder))
        assert ended.status == 2 and "SL501" in ended.err and "not a regular file" in ended.err


def test_a_pipe_that_nobody_reads_is_not_waited_for(program: Path) -> None:
    os.mkfifo(program.parent / "pipe")
    ended = slotlang("graph", str(program), *SMALL, "-o", str(program.parent / "pipe"))
    assert ended.status == 2 and "nobody reads from it" in ended.err


def test_a_pipe_that_is_read_is_written_to(program: Path) -> None:
    pipe = program.parent / "pipe"
    os.mkfifo(pipe)
    descriptor = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    assert slotlang("graph", str(program), *SMALL, "-o", str(pipe)).status == 0
    assert os.read(descriptor, 7) == b"digraph"
    os.close(descriptor)


def test_a_disk_that_is_full_leaves_the_old_file(program: Path) -> None:
    made = program.parent / "made"
    made.write_text("old\n")
    before = limited(resource.RLIMIT_FSIZE, 512)
    for words in (["lower", "-o"], ["graph", "-o"], ["show", "X", "--svg"]):
        name, *rest = words
        ended = call(name, program, *rest[:-1], rest[-1], made, *SMALL, before=before)
        assert ended.returncode == 2 and "error[SL004]" in ended.stderr and "File too large" in ended.stderr
        assert made.read_text() == "old\n"
        assert sorted(p.name for p in program.parent.iterdir()) == ["made", "p.slot"]
    assert slotlang("graph", str(program), *SMALL, "-o", "/dev/full").err.startswith("error[SL004]")


@pytest.fixture
def activations(tmp_path: Path) -> Path:
    """Three million tokens that take no space on the disk."""
    path = tmp_path / "x.npy"
    np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=(3_000_000, 32)).flush()
    return path


def test_some_tokens_of_many(tmp_path: Path, program: Path) -> None:
    path = tmp_path / "x.npy"
    np.save(path, np.random.default_rng(0).standard_normal((100_000, 32), np.float32))
    words = ["run", str(program), *SMALL, "--activations", str(path)]
    assert "SL514" in slotlang(*words).err
    assert slotlang(*words, "--tokens", "3").status == 0


def test_a_run_that_takes_long_asks_first(activations: Path, program: Path) -> None:
    words = ["run", str(program), *SMALL, "--activations", str(activations)]
    ended = slotlang(*words)
    assert ended.status == 2 and "error[SL514]" in ended.err
    assert "3,000,000 tokens in 1,500,000 evaluations" in ended.err
    assert "--tokens" in ended.err and "--yes" in ended.err
    (found,) = json.loads(slotlang(*words, "--json").out)["diagnostics"]
    assert found["code"] == "SL514"


def test_yes_runs_all_tokens(tmp_path: Path, program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.npy"
    np.save(path, np.random.default_rng(0).standard_normal((5, 32)))
    words = ["run", str(program), *SMALL, "--activations", str(path)]
    monkeypatch.setattr("slotlang.cli.making.MOST_SECONDS", 1e-9)
    assert slotlang(*words).status == 2
    ended = slotlang(*words, "--yes")
    assert ended.status == 0 and "5 real tokens" in ended.out


def test_files_in_memory_are_limited_too(program: Path) -> None:
    ended = call("run", program, *SMALL, before=limited(resource.RLIMIT_FSIZE, 10_000))
    assert ended.returncode == 2 and ended.stderr.startswith("error[SL804]: SEAL could not write")
