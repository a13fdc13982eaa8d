"""Shell completion: the scripts, and what is completed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import slotlang
from faulty import environment

SHELLS = ("bash", "zsh", "fish")
COMMAND = f'#!/bin/sh\nexec "{sys.executable}" -m slotlang "$@"\n'


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_comes(shell: str) -> None:
    ended = slotlang("--completion", shell)
    assert ended.status == 0 and not ended.err
    assert f"_SLOTLANG_COMPLETE=complete_{shell}" in ended.out and "slotlang" in ended.out
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=ended.out, text=True, check=True)


def test_a_shell_that_is_not_known() -> None:
    ended = slotlang("--completion", "tcsh")
    assert ended.status == 2 and "error[SL005]: there is no shell 'tcsh'" in ended.err
    assert "shells are bash, zsh, fish" in ended.err


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working folder with programs, and the command on the path."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "slotlang").write_text(COMMAND)
    (tmp_path / "bin" / "slotlang").chmod(0o755)
    (tmp_path / "mine.slot").write_text("")
    (tmp_path / "more.slot").write_text("")
    (tmp_path / "mine.txt").write_text("")
    return tmp_path


def completed(shell: str, words: str, folder: Path) -> list[str]:
    """What a shell gets for the last of these words."""
    variables = {"_SLOTLANG_COMPLETE": f"complete_{shell}", "_TYPER_COMPLETE_ARGS": words}
    if shell == "bash":
        variables |= {"COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1)}
    variables |= {"_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    done = subprocess.run(
        [sys.executable, "-m", "slotlang"],
        env={**environment(), **variables},
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def names(shell: str, words: str, folder: Path) -> list[str]:
    lines = completed(shell, words, folder)
    if shell == "zsh":
        return [line.removeprefix("_arguments '*: :((").split('"')[1] for line in lines]
    return [line.split("\t")[0] for line in lines]


@pytest.mark.parametrize("shell", SHELLS)
def test_names_are_completed(shell: str, folder: Path) -> None:
    assert names(shell, "slotlang puzzle show l", folder) == ["layout", "levels"]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("slotlang pu", ["puzzle"]),
        ("slotlang new mine --template co", ["column"]),
        ("slotlang check m", ["mine.slot", "more.slot"]),
        ("slotlang explain SL01", ["SL010", "SL011"]),
        ("slotlang docs syn", ["synth", "synth-grid"]),
    ],
)
def test_what_is_completed(words: str, found: list[str], folder: Path) -> None:
    assert names("fish", words, folder) == found


def test_folders_are_left_to_the_shell(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from slotlang.cli.completion import program_files

    monkeypatch.chdir(folder)
    (folder / "inside").mkdir()
    (folder / "inside" / "a.slot").write_text("")
    assert program_files("") == [] and program_files("i") == [] and program_files("no/where") == []
    assert program_files("inside/") == ["inside/a.slot"]
    assert program_files(f"{folder}/mi") == [f"{folder}/mine.slot"]


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
def test_bash_itself_completes(folder: Path) -> None:
    text = """
eval "$(slotlang --completion bash)"
complete -p slotlang
COMP_WORDS=(slotlang puzzle start sc)
COMP_CWORD=3
_slotlang_completion slotlang
echo "found: ${COMPREPLY[*]}"
"""
    path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "--norc", "-c", text], env={**environment(), "PATH": path}, cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "-F _slotlang_completion slotlang" in done.stdout and "found: score\n" in done.stdout


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("slotlang check --method p", {"polyhedral"}),
        pytest.param("slotlang optimize sized.slot --objective r", {"rotations"}, marks=pytest.mark.slow),
        ("slotlang synth --objective t", {"time", "traffic"}),
        ("slotlang check sized.slot --set ", {"n=", "m="}),
        pytest.param("slotlang cost sized.slot --set m", {"m="}, marks=pytest.mark.slow),
        ("slotlang show sized.slot ", {"X", "Y"}),
        ("slotlang show mine.slot ", set()),
    ],
)
def test_values_of_options(words: str, wanted: set[str], folder: Path) -> None:
    """What a program has is completed from its text, which may be no program at all."""
    text = "program sized(n = 4, m = 2)\ninput x[n]\naxes (h < n)\ncipher X = x[h]\nY = X << m\n"
    (folder / "sized.slot").write_text(text)
    found = {line.split("\t")[0] for line in completed("bash", words, folder) if line}
    assert found == wanted
