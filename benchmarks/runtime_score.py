"""``make mutate-runtime``: how good the tests of slotlang_runtime are.

Changes the runtime in one place at a time, in a copy, and runs the tests of what was changed against the copy. A
change that no test sees survives: it is either of no meaning, or a test is missing. Tests that take long are left out.

Exit status 0 only if the tests pass without a change.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Literal, TypeAlias

from rich.console import Console
from rich.table import Table

from .runtime_mutants import changed, changes

ROOT = Path(__file__).resolve().parent.parent
RUNTIME = ROOT / "slotlang_runtime"
OUT = ROOT / "build" / "runtime-score.json"
COUNT, SEED, SECONDS = 150, 1, 240

SLOW = "not forged and not command_line and not modules_know and not 60_bits and not WIDE"
"""Tests that take seconds and see what others see."""

TESTS = {
    "arrays.py": "arrays weights client",
    "client.py": "client keys bytes masks",
    "data.py": "data script",
    "engine.py": "weights server masks operations matrix",
    "keys.py": "keys bytes",
    "kernels/engine.py": "sums weights",
    "kernels/sums.py": "sums",
    "labels.py": "bytes keys server weights client",
    "masks.py": "masks matrix threads",
    "matrix/constants.py": "matrix",
    "matrix/engine.py": "matrix weights threads",
    "matrix/products.py": "matrix",
    "matrix/recording.py": "matrix",
    "module.py": "module masks server client",
    "operations.py": "operations sums masks",
    "parameters.py": "parameters keys masks",
    "script.py": "script",
    "seal/operations.py": "operations server masks",
    "records.py": "keys masks matrix bytes weights",
    "residues.py": "residues coding",
    "seal/memory.py": "memory masks",
    "seal/ring.py": "ring weights server",
    "seal/saved.py": "saved bytes",
    "server.py": "server threads masks workers",
    "version.py": "version",
    "weights.py": "weights sums",
    "wire.py": "wire bytes",
    "workers.py": "workers",
}
"""The tests of each file, those that see the most first."""

Outcome: TypeAlias = Literal["killed", "hung", "survived"]


@dataclass(frozen=True)
class Result:
    """What became of one change."""

    file: str
    line: int
    what: str
    outcome: Outcome
    seconds: float


def places(names: Sequence[str]) -> list[tuple[str, int]]:
    """Every place in these files, as file and number."""
    found = []
    for name in names:
        count = len(changes(ast.parse((RUNTIME / name).read_text(encoding="utf-8"))))
        found += [(name, number) for number in range(count)]
    return found


def passes(folder: Path, tests: Sequence[str], seconds: float = SECONDS) -> tuple[bool, bool, str]:
    """Whether tests pass on the runtime in a folder, whether they were ended for taking too long, and what they
    printed."""
    # the copy comes before the repository, and the folder of the process is not searched
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, [folder, ROOT, ROOT / "tests"]))}
    files = [str(ROOT / "tests" / "runtime" / f"test_{name}.py") for name in tests]
    command = [sys.executable, "-P", "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-k", SLOW, *files]
    with subprocess.Popen(
        command,
        cwd=folder,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            out, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.communicate()
            return False, True, ""
    return process.returncode == 0, False, out


def copied(folder: Path) -> Path:
    """A copy of the runtime in a folder."""
    return Path(shutil.copytree(RUNTIME, folder / "slotlang_runtime", ignore=shutil.ignore_patterns("__pycache__")))


def judged(name: str, number: int) -> Result:
    """The tests of a file against one change of it."""
    with tempfile.TemporaryDirectory() as temporary:
        copy = copied(Path(temporary))
        change, text = changed((RUNTIME / name).read_text(encoding="utf-8"), number)
        (copy / name).write_text(text, encoding="utf-8")
        start = time.perf_counter()
        passed, hung, _ = passes(Path(temporary), TESTS[name].split())
    outcome: Outcome = "hung" if hung else "survived" if passed else "killed"
    return Result(name, change.line, change.what, outcome, round(time.perf_counter() - start, 1))


def table(results: Sequence[Result]) -> Table:
    """Killed and survived, by file."""
    shown = Table("file", "changes", "killed", "hung", "survived", "score")
    for name in [*sorted({r.file for r in results}), "all"]:
        here = [r for r in results if name in (r.file, "all")]
        killed, hung = (sum(r.outcome == outcome for r in here) for outcome in ("killed", "hung"))
        score = f"{100 * (killed + hung) / len(here):.0f} %"
        shown.add_row(name, *map(str, (len(here), killed, hung, len(here) - killed - hung)), score)
    return shown


def main(arguments: Sequence[str] | None = None) -> int:
    """Change, test, and report. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=COUNT, help="changes, drawn at random")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--files", nargs="*", default=[], help="only these, such as wire.py seal/ring.py")
    parser.add_argument("--workers", type=int, default=2, help="tests at a time")
    parser.add_argument("--json", type=Path, default=OUT)
    options = parser.parse_args(arguments)
    console = Console()
    if unknown := set(options.files) - TESTS.keys():
        console.print(f"no such file of the runtime: {', '.join(sorted(unknown))}")
        return 2
    names = options.files or sorted(TESTS)
    with tempfile.TemporaryDirectory() as temporary:
        copied(Path(temporary))
        tests = sorted({test for name in names for test in TESTS[name].split()})
        passed, hung, out = passes(Path(temporary), tests, 10 * SECONDS)
    if not passed:
        console.print(out[-3000:], markup=False)
        console.print(f"the tests {'take too long' if hung else 'fail'} without a change")
        return 1
    every = places(names)
    drawn = sorted(Random(options.seed).sample(every, min(options.count, len(every))))
    results = []
    with ThreadPoolExecutor(options.workers) as pool:
        for result in pool.map(lambda place: judged(*place), drawn):
            results.append(result)
            if result.outcome == "survived":
                console.print(f"{result.file}:{result.line}: {result.what}", markup=False)
    console.print(table(results))
    options.json.parent.mkdir(parents=True, exist_ok=True)
    report = {"places": len(every), "seed": options.seed, "changes": [asdict(result) for result in results]}
    options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
