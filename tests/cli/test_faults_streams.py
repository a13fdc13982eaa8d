"""Standard streams that are full, closed or read no longer."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from amounts import one_in
from faulty import PROGRAM, SMALL, call, closed, command

FULL = Path("/dev/full")
COMMANDS = {
    "check": ("check", PROGRAM, *SMALL),
    "cost --json": ("cost", PROGRAM, *SMALL, "--json"),
    "compare": ("compare", PROGRAM, PROGRAM, *SMALL),
    "graph": ("graph", PROGRAM, *SMALL),
    "explain": ("explain",),
    "help": ("--help",),
}


@pytest.mark.parametrize("name", one_in(2, COMMANDS))
def test_a_full_disk_behind_standard_output(name: str) -> None:
    with FULL.open("w") as full:
        ended = call(*COMMANDS[name], stdout=full)
    assert (ended.returncode, ended.stderr) == (
        2,
        "error[SL803]: standard output can't be written to: No space left on device\n"
        "  hint: free space on the disk, or write to another file\n",
    )


@pytest.mark.parametrize("name", ["check", pytest.param("explain", marks=pytest.mark.slow), "cost --json"])
def test_closed_standard_output(name: str) -> None:
    ended = call(*COMMANDS[name], before=closed(1))
    assert (ended.returncode, ended.stderr) == (
        2,
        "error[SL803]: standard output can't be written to: Bad file descriptor\n"
        "  hint: start the command with a standard output: a file, a pipe or a terminal\n",
    )


def test_files_are_written_without_standard_output(tmp_path: Path) -> None:
    made, other = tmp_path / "closed.py", tmp_path / "open.py"
    assert call("lower", PROGRAM, *SMALL, "-o", made, before=closed(0, 1)).returncode == 2
    assert call("lower", PROGRAM, *SMALL, "-o", other).returncode == 0
    assert made.read_text() == other.read_text()
    drawing = tmp_path / "x.svg"
    with FULL.open("w") as full:
        assert call("show", PROGRAM, "X", "--svg", drawing, *SMALL, stdout=full).returncode == 2
    assert drawing.read_text().rstrip().endswith("</svg>")


def test_a_command_that_prints_nothing_needs_no_output(tmp_path: Path) -> None:
    program = tmp_path / "p.slot"
    program.write_text(PROGRAM.read_text())
    ended = call("fmt", program, before=closed(1))
    assert (ended.returncode, ended.stderr) == (0, "")


def test_errors_go_nowhere_without_standard_error(tmp_path: Path) -> None:
    for before in (closed(2), closed(0, 2)):
        ended = call("check", tmp_path / "none.slot", before=before)
        assert (ended.returncode, ended.stdout, ended.stderr) == (2, "", "")
    with FULL.open("w") as full:
        assert call("cost", tmp_path / "none.slot", stderr=full).returncode == 2


def test_a_reader_that_leaves() -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        ended = call("explain", stdout=write)
    finally:
        os.close(write)
    assert (ended.returncode, ended.stderr) == (141, "")


def test_an_output_that_does_not_block_is_waited_for() -> None:
    read, write = os.pipe()
    os.set_blocking(write, False)
    with subprocess.Popen(command("graph", PROGRAM, "--set", "r=64", "--format", "json"), stdout=write) as process:
        os.close(write)
        data = b""
        while part := os.read(read, 1 << 12):
            data += part
        os.close(read)
        assert process.wait(30) == 0
    assert data.startswith(b"{") and data.endswith(b"}\n") and len(data) > 1 << 16
