"""The example of a transformer at the client: MiniLM in NumPy, its updates in the clear and by a real service."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
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
    """Some 30 s of CPU time: the adapter is built, with proofs; a transformer runs; kernels are compiled, where a test
    before has not done so."""
    command = [sys.executable, str(EXAMPLE), "--sentences", "1", "--out", str(tmp_path / "service")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
    printed, log = tmp_path / "printed", tmp_path / "log"
    # into files, and as a group: a service that is left behind would hold pipes open, and nobody would see the end
    with printed.open("wb") as out, log.open("wb") as err:
        example = subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=out, stderr=err, start_new_session=True
        )
        try:
            status = example.wait(900)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(example.pid, signal.SIGKILL)
            example.wait()
    text = printed.read_text()
    assert status == 0, text + log.read_text()
    assert "7 modules read 6 inputs" in text and "error against the merged model" in text
