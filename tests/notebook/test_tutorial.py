"""The tutorial notebook runs, and shows what it showed when it was written.

``SLOTLANG_UPDATE_GOLDEN=1 pytest tests/notebook/test_tutorial.py`` writes its outputs anew; read the difference before
keeping it. Texts and HTML are kept and SVG is not: the HTML has the pictures.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from notebook_cells import run, shell
from repository import ROOT

NOTEBOOK = ROOT / "docs" / "notebook.ipynb"
UPDATE = bool(os.environ.get("SLOTLANG_UPDATE_GOLDEN"))
KEPT = ("text/plain", "text/html")
VOLATILE = (
    # only the first run on a machine has it
    (re.compile(r"<tr><td[^>]*>[^<]*</td><td>[^<]* to compile kernels for this machine[^<]*</td></tr>"), ""),
    (re.compile(r"\b\d+(\.\d+)? (ms|s)\b"), "TIME"),
    (re.compile(r"\b\d(\.\d)?e[-+]\d\d\b"), "ERROR"),
    # which drawing of a process it is
    (re.compile(r"(slots-[\w-]+)\.\d+"), r"\1"),
    # bytes of what is encrypted: a few more or less, as compression goes
    (re.compile(r"\b\d+(\.\d+)? (kB|MB)(?=</td><td>(evaluation keys|upload|download))"), "BYTES"),
)


def plain(text: str) -> str:
    """An output without what differs from run to run."""
    for pattern, word in VOLATILE:
        text = pattern.sub(word, text)
    return text


def executed(cells: list[dict[str, Any]], folder: Path) -> list[tuple[int, list[dict[str, Any]]]]:
    """Number and outputs of every cell of code, in the notebook's format."""
    found = []
    with shell(folder) as made:
        for cell in cells:
            result, printed, shown = run(made, "".join(cell["source"]))
            number = result.execution_count
            outputs: list[dict[str, Any]] = []
            problem = result.error_before_exec or result.error_in_exec
            if problem is not None:
                assert "raises-exception" in cell["metadata"].get("tags", ()), f"{cell['id']}: {problem}"
                trace = printed.rstrip("\n").split("\n")
                name, value = type(problem).__name__, str(problem)
                outputs.append({"output_type": "error", "ename": name, "evalue": value, "traceback": trace})
            elif printed:
                outputs.append({"output_type": "stream", "name": "stdout", "text": printed.splitlines(keepends=True)})
            for data in shown:
                forms = {kind: data[kind].splitlines(keepends=True) for kind in KEPT if kind in data}
                outputs.append(
                    {"output_type": "execute_result", "execution_count": number, "data": forms, "metadata": {}}
                )
            found.append((number, outputs))
    return found


def texts(outputs: list[dict[str, Any]]) -> str:
    return plain(json.dumps(outputs, indent=1, ensure_ascii=False))


def test_the_notebook_shows_what_it_computes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    wrong = []
    for cell, (number, outputs) in zip(cells, executed(cells, tmp_path), strict=True):
        if texts(outputs) != texts(cell["outputs"]):
            wrong.append(cell["id"])
            if UPDATE:
                cell["execution_count"], cell["outputs"] = number, outputs
    if UPDATE and wrong:
        NOTEBOOK.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    assert not wrong


def test_a_reader_sees_all_of_the_way() -> None:
    text = NOTEBOOK.read_text(encoding="utf-8")
    notebook = json.loads(text)
    assert notebook["nbformat"] == 4 and len(text) < 400_000
    outputs = {
        "".join(cell["source"]).splitlines()[0]: texts(cell["outputs"])
        for cell in notebook["cells"]
        if cell["cell_type"] == "code"
    }
    assert "proved" in outputs["%%slot layout --show X"] and "x[7,1]" in outputs["%%slot layout --show X"]
    assert "slot 0 of S" in outputs["%%slot wrong"] and "this proves" in outputs["%%slot wrong"]
    assert "SL201: 'k' is not known" in outputs["%%slot"] and "Traceback" not in text
    assert "rotations" in outputs["%%slot right --cost"]
    assert "diagonals" in outputs["compare(ranks, right)"]
    assert "Pareto front" in outputs["found = synth(16, 16, 4, batch=2)"]
    ran = outputs["session = run(best)"]
    assert "passed" in ran and "rotations, as predicted" in ran
