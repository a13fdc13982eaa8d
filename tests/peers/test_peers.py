"""The comparison with other libraries, as far as it needs none of them."""

import json
import subprocess
import sys

import numpy as np
import pytest
from rich.console import Console

from benchmarks.pages import rewrite
from benchmarks.peers import __main__ as driver
from benchmarks.peers import environments, heir_plan
from benchmarks.peers.common import Result, Task, serve
from benchmarks.peers.diagonals import Operations, diagonals, evaluate, steps
from benchmarks.peers.environments import Absent, Peer, python_of
from benchmarks.peers.report import Row, fastest, ratios, tables


def task(d, r, tokens, seed=0):
    rng = np.random.default_rng(seed)
    return Task(rng.standard_normal((d, r)), rng.standard_normal((r, d)), rng.standard_normal((d, tokens)), 1)


def result(scheme, milliseconds, error, **changed):
    numbers = {"keys": 3, "key_bytes": 2_500_000, "upload_ciphertexts": 2, "upload_bytes": 1_000_000}
    numbers |= {"download_ciphertexts": 1, "download_bytes": 500_000, "max_error": None, "peak_memory": None}
    configuration = changed.pop("configuration", {"of": scheme})
    return Result(scheme, configuration, "8192: 60", milliseconds, 1.0, **(numbers | changed), error=error)


@pytest.mark.parametrize("d, r, repeats", [(16, 4, 1), (16, 4, 4), (32, 32, 2), (64, 8, 1), (8, 1, 1)])
def test_the_plan_computes_the_product_in_the_clear(d, r, repeats):
    t, slots = task(d, r, 1), d * repeats
    plan = steps(d, r)
    turned = set()

    def rotate(x, step):
        turned.add(step)
        return np.roll(x, -step)

    def babies(x, count):
        return [x, *(rotate(x, s) for s in range(1, count))]

    ops = Operations(babies, rotate, np.multiply, np.add, lambda x: x)
    b, a = (diagonals(matrix, plan, slots) for matrix in (t.b, t.a))
    y = evaluate(ops, b, a, plan, np.tile(t.x[:, 0], repeats))
    assert np.allclose(y.reshape(repeats, d), t.a @ (t.b @ t.x[:, 0]))
    assert turned == set(plan.rotations())


def test_the_plan_takes_the_rotations_that_it_is_known_for():
    plan = steps(4096, 16)
    calls = []
    ops = Operations(
        lambda x, count: [calls.append(s) for s in range(1, count)] + [None],
        lambda x, step: calls.append(step),
        lambda x, w: None,
        lambda x, y: None,
        lambda x: None,
    )
    weights = [[None] * plan.babies] * plan.giants
    evaluate(ops, weights, weights, plan, None)
    assert len(calls) == 20
    assert len(plan.rotations()) == 14


@pytest.mark.parametrize("d, r", [(24, 4), (16, 3), (8, 16)])
def test_the_plan_refuses_what_it_is_not_for(d, r):
    with pytest.raises(ValueError, match="powers of two"):
        steps(d, r)


def test_the_plan_computes_the_product_encrypted(tmp_path, capsys):
    path = tmp_path / "task.npz"
    task(64, 4, 2).save(path)
    serve(heir_plan.candidates, heir_plan.prepare, [str(path)])
    lines = [Result(**json.loads(line)) for line in capsys.readouterr().out.splitlines()]
    assert [line.configuration["rescale"] for line in lines] == [True, False]
    for line in lines:
        assert line.error < 1e-6
        assert line.upload_ciphertexts == line.download_ciphertexts == 2
        assert line.keys == len(steps(64, 4).rotations())
        assert line.key_bytes > 2 * line.upload_bytes


def test_a_configuration_that_fails_is_said_and_the_next_one_runs(tmp_path, capsys):
    path = tmp_path / "task.npz"
    task(16, 2, 1).save(path)
    insecure = {**heir_plan.PLAIN, "primes": [60, 60, 60, 60], "degree": 8192}
    fine = {**heir_plan.PLAIN, "degree": 8192}
    serve(heir_plan.candidates, heir_plan.prepare, [str(path), json.dumps([insecure, fine])])
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert "128-bit" in first["failed"]
    assert second["error"] < 1e-6


def test_a_peer_without_its_python_is_absent_and_the_run_goes_on(tmp_path, capsys):
    absent = {}
    gone = Peer("openfhe_hoisted", "requirements-openfhe.txt", ("2.1",))
    pythons = driver.installed([gone, Peer("heir_plan")], absent, Console(width=200), tmp_path)
    assert [peer.script for peer in pythons] == ["heir_plan"]
    assert absent == {"openfhe_hoisted": "needs Python 2.1, which is not installed"}
    assert "openfhe_hoisted needs Python 2.1" in capsys.readouterr().out


def test_an_installation_that_fails_says_what_pip_said_last(tmp_path, monkeypatch):
    def run(command, **_):
        return subprocess.CompletedProcess(
            command, int("pip" in command), "", "ERROR: no such thing\nERROR: it is gone\n"
        )

    monkeypatch.setattr(environments.subprocess, "run", run)
    version = ".".join(map(str, sys.version_info[:2]))
    with pytest.raises(Absent, match=r"cannot be installed: ERROR: it is gone$"):
        python_of(Peer("desilo", "requirements-desilo.txt", (version,)), tmp_path / "environments")


@pytest.mark.slow
def test_a_peer_that_cannot_be_installed_says_why(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    version = ".".join(map(str, sys.version_info[:2]))
    with pytest.raises(Absent, match=r"cannot be installed: .*desilofhe"):
        python_of(Peer("desilo", "requirements-desilo.txt", (version,)), tmp_path / "environments")


def test_what_is_built_against_others_comes_after_them_and_is_made_anew_where_it_changed(tmp_path, monkeypatch):
    first, second = tmp_path / "first.txt", tmp_path / "second.txt"
    first.write_text("torch\n")
    second.write_text("fhelium\n")
    commands = []

    def run(command, **_):
        commands.append(command)
        (tmp_path / "made" / "peer").mkdir(parents=True, exist_ok=True)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(environments, "HERE", tmp_path)
    monkeypatch.setattr(environments.subprocess, "run", run)
    peer = Peer("peer", first.name, (".".join(map(str, sys.version_info[:2])),), sources=second.name)
    python_of(peer, tmp_path / "made")
    assert [command[-1] for command in commands[1:]] == [str(first), str(second)]
    assert ["--no-build-isolation" in command for command in commands] == [False, False, True]
    python_of(peer, tmp_path / "made")
    assert len(commands) == 3
    second.write_text("fhelium==0.30.0\n")
    python_of(peer, tmp_path / "made")
    assert len(commands) == 6


@pytest.mark.parametrize("script, library", [("helayers", "pyhelayers"), ("orion", "orion"), ("fhelium", "fhelium")])
def test_a_library_that_cannot_be_imported_is_absent_with_its_reason(tmp_path, script, library):
    path = tmp_path / "task.npz"
    task(16, 2, 1).save(path)
    with pytest.raises(Absent, match=library):
        driver.run(Peer(script), sys.executable, path)


def test_of_a_scheme_the_fastest_that_is_precise_enough_is_measured():
    wrong = result("S", 1.0, 0.9, configuration={"n": 0})
    coarse = result("S", 2.0, 5e-4, configuration={"n": 1})
    fine = result("S", 3.0, 5e-8, configuration={"n": 2})
    slow = result("S", 4.0, 1e-9, configuration={"n": 3})
    assert fastest([wrong], 1e-3) is None
    assert driver.chosen([wrong, coarse, fine, slow]) == [(1e-6, {"n": 2}), (1e-3, {"n": 1})]
    assert driver.chosen([wrong, fine, slow]) == [(1e-6, {"n": 2})]


def test_ratios_are_taken_round_by_round_and_held_against_the_goals():
    shape = (4096, 16, 8)
    ours = Row(shape, 1e-6, True, tuple(result("synth 1e-6", ms, 1e-8) for ms in (10.0, 30.0, 12.0)))
    other = Row(shape, 1e-6, False, tuple(result("HElayers", ms, 1e-8) for ms in (40.0, 100.0, 30.0)))
    coarser = Row(shape, 1e-3, False, tuple(result("HElayers", ms, 1e-4) for ms in (10.0, 10.0, 10.0)))
    (found,) = ratios([ours, other, coarser])
    assert (found.other, found.ratio, found.goal) == (other, 0.3, 0.35)
    assert "0.30 | 0.35, met" in "".join(tables([ours, other], {}))
    late = [Row(shape, 1e-3, True, ours.rounds[:1]), Row(shape, 1e-6, False, other.rounds[:1])]
    assert "0.25 | 0.22, missed" in "".join(tables(late, {}))


def test_the_page_holds_the_tables_between_its_markers(tmp_path):
    page = tmp_path / "page.md"
    start, end = "<!-- peers: begin -->", "<!-- peers: end -->"
    page.write_text(f"before\n\n{start}\n\nold\n\n{end}\n\nafter\n")
    row = Row((1024, 8, 1), 1e-6, False, (result("S", 1234.56, 2e-8),))
    lines = tables([row], {"desilo": "needs Python 2.1"})
    rewrite(page, lines, "peers")
    rewrite(page, lines, "peers")
    written = page.read_text()
    assert written.startswith(f"before\n\n{start}\n") and written.endswith(f"{end}\n\nafter\n")
    assert "old" not in written and written.count("1,234.6") == 1
    assert "| 1024 | 8 | 1 | S, 1e-6 | 8192: 60 | 1,234.6 | 3 | 2.5 | 2 | 1.0 | 1 | 0.5 |  | 2e-08 |  |" in written
    assert "Not measured: desilo, which needs Python 2.1." in written
    page.write_text("no markers\n")
    with pytest.raises(ValueError):
        rewrite(page, lines, "peers")
    assert page.read_text() == "no markers\n"
