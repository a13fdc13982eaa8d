"""Memory that runs out: in Python, in numpy, in SEAL, in a worker, and where a run is refused before it starts."""

from __future__ import annotations

import json
import resource
import textwrap
from pathlib import Path

import pytest
from command_line import slotlang
from faulty import PROGRAM, SMALL, call, limited, script

from slotlang import api
from slotlang.cli.output import problems
from slotlang.cost.rows import peak_rows
from slotlang.diagnostics import error
from slotlang.proof.verdict import Disagreement
from slotlang.run.foresight import memory_needed
from slotlang.run.room import Room, nearly_out, rooms

SEAL = """
import resource, sys
from slotlang.cli import faults

def work():
    resource.setrlimit(resource.RLIMIT_AS, (500_000_000,) * 2)
    faults.starts("run", {json})
    faults.guard_native_code()
    import tenseal.sealapi as seal
    parameters = seal.EncryptionParameters(seal.SCHEME_TYPE.CKKS)
    parameters.set_poly_modulus_degree(8192)
    parameters.set_coeff_modulus(seal.CoeffModulus.Create(8192, [60, 40, 60]))
    context = seal.SEALContext(parameters, True, seal.SEC_LEVEL_TYPE.TC128)
    encoder = seal.CKKSEncoder(context)
    faults.at_step("encode weights")
    {aside}
    kept = []
    while True:
        kept.append(seal.Plaintext())
        encoder.encode(0.5, 2.0**30, kept[-1])

faults.protected(work)
"""


@pytest.mark.parametrize("as_json", [False, True])
def test_seal_without_memory_ends(as_json: bool) -> None:
    # SEAL's memory pool spins for ever here, and Ctrl-C is not heard, unless running out ends the process
    ended = script(SEAL.format(json=as_json, aside=""), seconds=120)
    assert ended.returncode == 2
    assert ended.stderr.startswith("error[SL801]: memory ran out at this step: encode weights\n")
    assert "ulimit -v allows this process" in ended.stderr
    if as_json:
        assert json.loads(ended.stdout)["diagnostics"][0]["code"] == "SL801"


def test_cpp_that_gets_no_memory_ends() -> None:
    text = """
    import ctypes
    from slotlang.cli import faults

    def work():
        faults.starts("calibrate", False)
        faults.guard_native_code()
        new = ctypes.CDLL("libstdc++.so.6")._Znwm
        new.argtypes, new.restype = [ctypes.c_size_t], ctypes.c_void_p
        new(1 << 60)

    faults.protected(work)
    """
    ended = script(textwrap.dedent(text), seconds=120)
    assert ended.returncode == 2
    assert ended.stderr.startswith("error[SL801]: memory ran out at this step: calibrate\n")


def test_a_worker_without_memory_ends_the_command() -> None:
    # workers are threads: the address space is that of the process
    thread = textwrap.indent(
        textwrap.dedent("""
        from concurrent.futures import ThreadPoolExecutor

        def worker():
            kept = []
            while True:
                kept.append(seal.Plaintext())
                encoder.encode(0.5, 2.0**30, kept[-1])

        # as the tool does: what a worker raises is raised here, and SEAL is not called again
        ThreadPoolExecutor(1).submit(worker).result()
        """),
        "    ",
    )
    ended = script(SEAL.format(json=False, aside=thread), seconds=30)
    assert (ended.returncode, ended.stderr.count("error[")) == (2, 1)
    assert ended.stderr.startswith("error[SL801]: memory ran out at this step: encode weights\n")


@pytest.mark.parametrize("megabytes", [60, 100, 150, 200])
def test_a_process_with_little_memory(megabytes: int) -> None:
    ended = call("check", PROGRAM, before=limited(resource.RLIMIT_AS, megabytes << 20))
    if ended.returncode:
        # in libraries too, which fail to load with errors of their own
        assert ended.returncode == 2 and ended.stderr.startswith("error[SL801]: memory ran out"), ended.stderr
        assert "bug" not in ended.stderr and "Traceback" not in ended.stderr
    else:
        assert ended.stdout.startswith("proved")


def test_a_run_is_refused_before_it_starts(tmp_path: Path) -> None:
    words = ("run", PROGRAM, "--set", "d=16384", "--set", "r=64", "--cache", tmp_path)
    ended = call(*words, before=limited(resource.RLIMIT_AS, 700_000_000), seconds=20)
    assert ended.returncode == 2 and ended.stderr.startswith("error[SL802]: this run needs about ")
    assert "ulimit -v allows this process 700,000,000 bytes" in ended.stderr
    assert "for keys" in ended.stderr and "for weights" in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_many_plaintexts_are_refused_before_they_are_emitted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Emission and validation of 16,384 plaintexts take minutes; their number is known with the plan."""
    room = Room("memory", 4_000_000_000, "a test says so")
    monkeypatch.setattr("slotlang.run.foresight.rooms", lambda: [room])

    def never(*_: object, **__: object) -> object:
        raise AssertionError("nothing is emitted")

    monkeypatch.setattr("slotlang.lower.emit", never)
    ended = slotlang("run", str(PROGRAM.parent / "dense_ab.slot"), "--set", "d=16384", "--set", "r=64")
    assert ended.status == 2 and ended.err.startswith("error[SL802]: this run needs about "), ended.err


def test_what_a_run_needs_grows_with_its_parts() -> None:
    small = api.plan(api.load(PROGRAM, {"d": 1024}))
    large = api.plan(api.load(PROGRAM, {"d": 4096}))
    one, other = memory_needed(small, 1, 1, cached=False), memory_needed(large, 1, 1, cached=False)
    # four times the columns: encoded weights are as many plaintexts more
    assert other.weights == 4 * one.weights >= large.weight_bytes
    many, crowded = memory_needed(small, 50, 1, cached=True), memory_needed(small, 50, 2, cached=True)
    assert many.weights == 3 * one.weights and many.keys == one.keys
    sent = small.counts.ciphertexts_in * small.parameters.sent_bytes(seeded=True) + small.download_bytes
    assert many.ciphertexts == one.ciphertexts + 49 * sent and many.arrays > one.arrays
    # another thread has ciphertexts with digits, and a key, of its own
    p = small.parameters
    assert crowded.ciphertexts - many.ciphertexts == one.ciphertexts - sent
    assert one.ciphertexts - sent > small.counts.ciphertexts_in * p.ciphertext_bytes()
    assert crowded.keys - many.keys == p.key_bytes()


def test_digits_are_held_as_long_as_their_ciphertext() -> None:
    """One input of k primes that is rotated twice, and the sum: 2k rows, k(k + 1) digits, and 2k rows of the result."""
    text = """program turns(n = 8)
input x[n]
axes (h < n)
cipher X = x[h]
Y = (X << 1) + (X << 2)
output y[h] = Y
prove y[i < n] == x[(i + 1) % n] + x[(i + 2) % n]
"""
    plan = api.plan(api.loads(text))
    k = plan.parameters.data_primes
    meanwhile = 2 * k + 5
    assert peak_rows(plan.graph, k) == 2 * k + k * (k + 1) + 2 * k + meanwhile


def test_limits_are_known() -> None:
    text = """
    import resource
    from slotlang.run.room import nearly_out, rooms
    before = nearly_out()
    resource.setrlimit(resource.RLIMIT_AS, (200_000_000,) * 2)
    resource.setrlimit(resource.RLIMIT_DATA, (100_000_000,) * 2)
    print(before, nearly_out(), *(room.why for room in rooms()), sep="\\n")
    """
    lines = script(textwrap.dedent(text)).stdout.splitlines()
    assert lines[0] == "False"
    assert lines[2].startswith("ulimit -v allows this process 200,000,000 bytes")
    assert lines[3].startswith("ulimit -d allows this process 100,000,000 bytes")
    assert any(line.startswith("the machine has") for line in lines)


def test_control_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from slotlang.run import room

    (tmp_path / "proc").write_text("12:cpu:/a\n4:memory,pids:/a/b\n0::/c\n")
    files = {
        "memory/a/b/memory.limit_in_bytes": "9223372036854771712",
        "memory/a/b/memory.usage_in_bytes": "5",
        "memory/a/memory.limit_in_bytes": "1000",
        "memory/a/memory.usage_in_bytes": "700",
        "memory/a/memory.stat": "total_inactive_file 300\n",
        "c/memory.max": "max",
        "c/memory.current": "10",
        "memory.max": "5000",
        "memory.current": "6000",
    }
    for name, text in files.items():
        path = tmp_path / "groups" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    places = {"/sys/fs/cgroup": tmp_path / "groups", "/proc/self/cgroup": tmp_path / "proc"}
    monkeypatch.setattr(room, "Path", lambda path: places.get(path, Path(path)))
    assert [(r.kind, r.free) for r in room._group_limits()] == [("memory", 600), ("memory", 0)]


@pytest.mark.parametrize(
    "problem",
    [
        MemoryError(),
        OSError(12, "Cannot allocate memory"),
        ImportError("libx.so: failed to map segment from shared object"),
        RuntimeError("std::bad_alloc"),
        Disagreement("the module lowered from 'p' is wrong: MemoryError: Unable to allocate 1.00 GiB for an array"),
        error("SL511", "a worker failed at item 1 of 2: MemoryError: std::bad_alloc"),
    ],
    ids=lambda problem: type(problem).__name__,
)
def test_memory_errors_of_all_kinds(problem: Exception, tmp_path: Path) -> None:
    found = problems(problem)
    assert found is not None and [d.code for d in found] == ["SL801"]
    wrapped = RuntimeError("something else")
    wrapped.__cause__ = problem
    found = problems(wrapped)
    assert found is not None and [d.code for d in found] == ["SL801"]


def test_other_errors_are_not_taken_for_it() -> None:
    for problem in (RuntimeError("scale out of bounds"), ValueError("MemoryError is a word"), OSError(2, "no file")):
        assert problems(problem) is None
    found = problems(error("SL511", "a worker was ended by signal 9"))
    assert found is not None and found[0].code == "SL511"
    assert not nearly_out() and all(isinstance(room, Room) for room in rooms())


def test_numpy_says_what_it_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    import numpy as np

    def greedy(*_: object, **__: object) -> object:
        return np.empty((1 << 20, 1 << 30))

    monkeypatch.setattr("slotlang.run.session.run", greedy)
    ended = slotlang("run", str(PROGRAM), *SMALL)
    assert ended.status == 2 and ended.err.startswith("error[SL801]: memory ran out at this step: starting\n")
    assert "Unable to allocate 8.00 PiB for an array with shape (1048576, 1073741824)" in ended.err
