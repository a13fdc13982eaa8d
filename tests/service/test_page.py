"""The first section of docs/serving.md, followed as it is written."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
from repository import ROOT
from served import Process

from slotlang.adapter import read_adapter

MODULE = "encoder.layer.0.attention.self.query"


def test_the_page_leads_to_updates(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "serving.md").read_text()
    section = page.partition("## To a running service")[2].partition("### An example")[0]
    first, second = re.findall(r"```sh\n(.*?)```", section, re.S)
    (python,) = re.findall(r"```py\n(.*?)```", section, re.S)
    command = tmp_path / "bin" / "slotlang"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m slotlang "$@"\n')
    command.chmod(0o755)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": f"{command.parent}:{os.environ['PATH']}"}

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        ended = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
        assert ended.returncode == 0, ended.stderr
        return ended

    *before, serve = first.strip().splitlines()
    assert serve.startswith("slotlang serve service ")
    run("sh", "-ec", "\n".join(before))
    process = Process(tmp_path / "service")
    try:
        told = run("sh", "-ec", second.replace("http://127.0.0.1:8400", process.url))
        # nothing to worry about at the first time
        assert told.stderr == "" and f"\n{MODULE}  384 x 384, rank 8" in told.stdout
        run(sys.executable, "-c", f"{python.replace('http://127.0.0.1:8400', process.url)}\nnp.save('again.npy', y)\n")
    finally:
        process.close()
    folder = ROOT / "examples" / "minilm_adapter"
    x = np.load(folder / "activations.npy")
    module = read_adapter(folder).module(MODULE)
    right = module.scaling * x @ module.down.T @ module.up.T
    for name in ("y.npy", "again.npy"):
        y = np.load(tmp_path / name)
        assert y.shape == right.shape and np.abs(y - right).max() < 1e-2 * np.abs(right).max()
