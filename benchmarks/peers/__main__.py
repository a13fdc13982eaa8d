"""Other libraries and ours, on the same weights and inputs, one thread, at least 128 bits of security, in one run.

Every library first measures the configurations that it would consider; the fastest whose relative rms error is at
most 1e-6, and the fastest at most 1e-3 where that is another one, then take turns with what ``slotlang synth`` picks,
a process each, for so many rounds. ``python -m benchmarks.peers --quick`` measures (1024, 8, 1) only.

HElayers' licence is non-commercial: it is measured here, and nothing of slotlang needs it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from rich.console import Console

from benchmarks.pages import rewrite
from benchmarks.peers.common import Configuration, Result, Task
from benchmarks.peers.environments import ENVIRONMENTS, ROOT, Absent, Peer, last_line, python_of
from benchmarks.peers.report import Row, Shape, fastest, tables
from benchmarks.schemes import weights_of

OUT = Path(__file__).resolve().parents[1] / "peers.json"
PAGE = ROOT / "docs" / "benchmarks.md"
SHAPES: list[Shape] = [(1024, 8, 1), (4096, 16, 1), (4096, 16, 8)]
QUICK = SHAPES[:1]
PRECISIONS = (1e-6, 1e-3)
OURS = Peer("ours")
UPLOADER = "HElayers"
"""Ours may send as many ciphertexts as this scheme, in rows of their own."""
PEERS = (
    Peer(
        "helayers",
        "requirements-helayers.txt",
        ("3.11", "3.12", "3.10"),
        "pyhelayers is licensed for non-commercial use; it is measured here in an environment of its own, and nothing "
        "of slotlang needs it",
    ),
    Peer("heir_plan"),
    Peer("openfhe_hoisted", "requirements-openfhe.txt", ("3.10",)),
    Peer("desilo", "requirements-desilo.txt", ("3.11", "3.12", "3.10")),
    Peer(
        "concrete_ml",
        "requirements-concrete-ml.txt",
        ("3.11", "3.12", "3.10"),
        "concrete-ml-extensions is licensed for research; it is measured here in an environment of its own",
    ),
    Peer("orion", "requirements-orion.txt", ("3.11",), "Orion brings PyTorch, which can be gigabytes"),
    Peer(
        "fhelium",
        "requirements-fhelium.txt",
        ("3.12", "3.13"),
        "fhelium is built against PyTorch, which takes minutes and can be gigabytes",
        "requirements-fhelium-sources.txt",
    ),
)
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "GOMAXPROCS", "RAYON_NUM_THREADS"), "1"
)
MOST_THREADS = 1.1
"""CPU time over wall time; beyond, more than one thread ran."""
REPEATS = 7
SEARCH_REPEATS = 3
LONGEST = 1800
"""Seconds that one process may take."""


def run(
    peer: Peer, python: str, task: Path, configurations: Sequence[Configuration] | None = None
) -> tuple[list[Result], list[str]]:
    """The results of a script, and what failed; raises Absent where it cannot run at all."""
    command = [python, "-m", f"benchmarks.peers.{peer.script}", str(task)]
    if configurations is not None:
        command.append(json.dumps(configurations))
    environment = {**os.environ, **ONE_THREAD, "PYTHONPATH": str(ROOT)}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment, timeout=LONGEST
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise Absent(f"does not run: {problem}") from None
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    failed = [line["failed"] for line in lines if "failed" in line]
    results = [Result(**line) for line in lines if "failed" not in line]
    if not results:
        raise Absent(f"does not run: {failed[0] if failed else last_line(done.stderr)}")
    return results, failed


def chosen(results: Sequence[Result]) -> list[tuple[float, Configuration]]:
    """The fastest of every scheme for every precision; none for a coarser one where it is the same."""
    found: list[tuple[float, Configuration]] = []
    for scheme in dict.fromkeys(result.scheme for result in results):
        for precision in PRECISIONS:
            best = fastest((result for result in results if result.scheme == scheme), precision)
            if best and best.configuration not in [configuration for _, configuration in found]:
                found.append((precision, best.configuration))
    return found


def ours_asked(ups: Sequence[int]) -> list[Configuration]:
    """What is searched for: each precision, with no more ciphertexts up than x needs, and with as many as every one of
    others that send so many."""
    plain: list[Configuration] = [{"precision": precision} for precision in PRECISIONS]
    return plain + [{**asked, "most_up": min(ups)} for asked in plain if ups and min(ups) > 1]


def ours_chosen(results: Sequence[Result]) -> list[tuple[float, Configuration]]:
    """One for each search that found something of its own."""
    found: dict[tuple[float, str], Configuration] = {}
    for result in results:
        found.setdefault((result.configuration["precision"], result.configuration["text"]), result.configuration)
    return [(precision, configuration) for (precision, _), configuration in found.items()]


def measured(shape: Shape, pythons: dict[Peer, str], rounds: int, absent: dict[str, str], say: Console) -> list[Row]:
    """Every scheme on a shape, taking turns."""
    d, r, tokens = shape
    a, b = weights_of(d, r)
    x = np.random.default_rng(1).standard_normal((d, tokens))
    with tempfile.TemporaryDirectory() as folder:
        short, long = Path(folder) / "short.npz", Path(folder) / "long.npz"
        Task(a, b, x, SEARCH_REPEATS).save(short)
        Task(a, b, x, REPEATS).save(long)
        turns: list[tuple[Peer, float, Configuration]] = []
        ups: list[int] = []
        for peer in sorted(pythons, key=lambda peer: peer is OURS):
            try:
                results, failed = run(peer, pythons[peer], short, ours_asked(ups) if peer is OURS else None)
            except Absent as problem:
                absent[f"{peer.script} at {shape}"] = str(problem)
                say.print(f"{peer.script} on {shape} {problem}")
                continue
            for problem_text in failed:
                say.print(f"{peer.script} on {shape}, one configuration: {problem_text}")
            usable = ours_chosen(results) if peer is OURS else chosen(results)
            known = [configuration for _, configuration in usable]
            ups += [r.upload_ciphertexts for r in results if r.scheme.startswith(UPLOADER) and r.configuration in known]
            say.print(f"{peer.script} on {shape}: {len(results)} configurations, {len(usable)} to measure")
            turns += [(peer, precision, configuration) for precision, configuration in usable]
        held: list[list[Result]] = [[] for _ in turns]
        for number in range(rounds):
            for place, (peer, _, configuration) in enumerate(turns):
                if len(held[place]) < number:
                    continue  # it failed in an earlier round
                try:
                    (result,), _ = run(peer, pythons[peer], long, [configuration])
                except Absent as problem:
                    absent[f"{peer.script} at {shape}"] = str(problem)
                    say.print(f"{peer.script} on {shape} {problem}")
                    continue
                held[place].append(result)
                say.print(f"  round {number + 1}: {result.scheme}, {result.milliseconds:.1f} ms")
                if result.threads and result.threads > MOST_THREADS:
                    say.print(f"  {result.scheme} used {result.threads:.1f} threads, and is to use one")
    return [
        Row(shape, precision, peer is OURS, tuple(results))
        for (peer, precision, _), results in zip(turns, held, strict=True)
        if len(results) == rounds
    ]


def installed(
    peers: Sequence[Peer], absent: dict[str, str], say: Console, environments: Path = ENVIRONMENTS
) -> dict[Peer, str]:
    """The interpreter of every peer that there is; what is not there, and why, goes into ``absent``."""
    pythons = {}
    for peer in peers:
        if peer.note:
            say.print(peer.note + ".")
        try:
            pythons[peer] = python_of(peer, environments)
        except Absent as problem:
            absent[peer.script] = str(problem)
            say.print(f"{peer.script} {problem}; going on without it.")
    return pythons


def main(arguments: Sequence[str] | None = None) -> None:
    """Install what can be, measure, print the tables, write the JSON and the page."""
    options = argparse.ArgumentParser(description="Other libraries and slotlang's schedules, in one run.")
    options.add_argument("--quick", action="store_true", help="(1024, 8, 1) only; the page stays as it is")
    options.add_argument("--rounds", type=int, default=3)
    scripts = [peer.script for peer in PEERS]
    options.add_argument("--without", action="append", default=[], choices=scripts, help="leave a peer out; repeatable")
    given = options.parse_args(arguments)
    say = Console(highlight=False, markup=False, soft_wrap=True)
    absent = dict.fromkeys(given.without, "is left out")
    pythons = installed((OURS, *(peer for peer in PEERS if peer.script not in absent)), absent, say)
    rows = [row for s in (QUICK if given.quick else SHAPES) for row in measured(s, pythons, given.rounds, absent, say)]
    lines = tables(rows, absent)
    say.print("\n".join(lines))
    document = {"schema": "slotlang.peers/1", "absent": absent, "rows": [asdict(row) for row in rows]}
    OUT.write_text(json.dumps(document, indent=1) + "\n")
    if not given.quick:
        rewrite(PAGE, lines, "peers")


if __name__ == "__main__":
    main()
