"""The example of a transformer at the client: MiniLM in NumPy, its updates in the clear and by a real service."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from repository import ROOT

EXAMPLE = ROOT / "examples" / "minilm_service.py"


@pytest.fixture(scope="module")
def example() -> ModuleType:
    sys.path.insert(0, str(EXAMPLE.parent))
    try:
        import minilm_service
    finally:
        sys.path.remove(str(EXAMPLE.parent))
    return minilm_service


def test_updates_at_their_places_are_the_merged_model(example: ModuleType) -> None:
    base, ids = example.drawn_base()
    sentence = ids("The nurse measured it.")
    seen: list[tuple[str, ...]] = []

    def updates(names: tuple[str, ...], x: np.ndarray) -> dict[str, np.ndarray]:
        seen.append(names)
        return example.in_the_clear(names, x)

    modules = list(example.read_adapter(example.ADAPTER).modules)
    shared = tuple(name for name in modules if "layer.0.attention" in name)
    groups = (shared, *((name,) for name in modules if name not in shared))
    assert len(shared) == 2
    expected = example.embedding(example.merged(base), sentence)
    assert np.abs(example.embedding(example.adapted(base, groups, updates), sentence) - expected).max() < 1e-9
    # each input is asked about once, the two modules of one input together
    assert sorted(seen) == sorted(groups)
    assert np.linalg.norm(example.embedding(base, sentence) - expected) > 0.1


@pytest.mark.slow
def test_embeddings_from_a_service(tmp_path: Path) -> None:
    command = [sys.executable, str(EXAMPLE), "--sentences", "1", "--out", str(tmp_path / "service")]
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "7 modules read 6 inputs" in done.stdout and "error against the merged model" in done.stdout
