"""A session in Neovim itself, without a window; skipped where there is no ``nvim``."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from editor_client import COMMAND, WRONG

SESSION = Path(__file__).parent / "neovim" / "session.lua"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("nvim") is None, reason="there is no nvim: apt-get install neovim")
def test_a_session_in_neovim(tmp_path: Path) -> None:
    """Messages, a hover, and a repair that is applied and proves."""
    path = tmp_path / "small.slot"
    path.write_text(WRONG)
    line = WRONG[: WRONG.index("Y = sum")].count("\n") + 1
    variables = {
        "SLOTLANG_COMMAND": json.dumps(COMMAND),
        "SLOTLANG_FILE": str(path),
        "SLOTLANG_LINE": str(line),
        "XDG_STATE_HOME": str(tmp_path),
        "XDG_CACHE_HOME": str(tmp_path),
        "XDG_DATA_HOME": str(tmp_path),
    }
    ended = subprocess.run(
        ["nvim", "--headless", "-u", "NONE", "-n", "-S", str(SESSION)],
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
    )
    said = dict(entry.split(": ", 1) for entry in ended.stdout.splitlines() if ": " in entry)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert said["message"] == f"{WRONG[: WRONG.index('output')].count(chr(10))}: refuted"
    assert "ciphertext" in said["hover"] or "value" in said["hover"]
    assert "this proves" in said["action"]
    assert said["verdict"] == "proved" and said["messages"] == "0"
