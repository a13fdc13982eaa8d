"""Commands start fast: they import nothing heavy that they do not use."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("tenseal", "numba", "llvmlite", "networkx", "safetensors", "rich", "sympy", "pygls", "lsprotocol")


@pytest.mark.parametrize("command", ["check", "lower", "fmt --check", "graph --format dot"])
def test_commands_import_nothing_heavy(command: str, tmp_path: Path) -> None:
    output = ["-o", str(tmp_path / "out")] if command.startswith(("lower", "graph")) else []
    arguments = [*command.split(), "programs/rank_complex.slot", *output]
    program = (
        "import sys\n"
        "from slotlang.cli import main\n"
        f"sys.argv = ['slotlang', *{arguments!r}]\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        f"print(*sorted({{m.split('.')[0] for m in sys.modules}} & set({HEAVY!r})), sep=',', file=sys.stderr)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr.splitlines()[-1] == ""
