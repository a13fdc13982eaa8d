"""The command line: exit statuses, JSON, and bad input that never ends in a traceback or half a file."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import faulty
import pytest
from amounts import examples
from command_line import slotlang
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from repository import PROGRAMS, ROOT
from typer.testing import CliRunner

from slotlang.cli import app

PROGRAM = PROGRAMS / "rank_complex.slot"
ADAPTER = ROOT / "examples" / "minilm_adapter"
SMALL = ["--set", "d=32", "--set", "r=4", "--set", "batch=2", "--set", "slots=16"]


def call(*arguments):
    return CliRunner().invoke(app.app if hasattr(app, "app") else app, [str(a) for a in arguments])


def clean(result):
    assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
    assert "Traceback" not in result.output
    return result


@pytest.fixture
def wrong(tmp_path):
    path = tmp_path / "wrong.slot"
    path.write_text(PROGRAM.read_text().replace("P[q] << q*batch", "P[q] << (q + 1)*batch"))
    return path


def test_exit_statuses(wrong, tmp_path):
    assert clean(call("check", PROGRAM, *SMALL)).exit_code == 0
    assert clean(call("check", wrong, *SMALL)).exit_code == 1
    assert clean(call("check", PROGRAM, *SMALL, "--method", "random")).exit_code == 1
    assert clean(call("check", tmp_path / "none.slot")).exit_code == 2
    assert clean(call("check", PROGRAM, wrong, *SMALL)).exit_code == 1
    assert clean(call("check", PROGRAM, wrong, tmp_path, *SMALL)).exit_code == 2


def test_check_json(wrong):
    result = clean(call("check", PROGRAM, wrong, *SMALL, "--json"))
    values = json.loads(result.stdout)
    assert values["schema"] == "slotlang.check/4"
    good, bad = values["files"]
    assert good.keys() == bad.keys() and good["report"].keys() == bad["report"].keys()
    assert (good["verdict"], bad["verdict"]) == ("proved", "refuted")
    example = bad["report"]["counterexample"]
    assert example["statement"] == "claim S" and example["confirmed"]


def test_bad_programs_are_json_too(tmp_path):
    path = tmp_path / "bad.slot"
    path.write_text("program p(n = 4)\naxes (s < m)\n")
    values = json.loads(clean(call("check", path, "--json")).stdout)
    (entry,) = values["files"]
    assert entry["verdict"] == "error" and entry["diagnostics"][0]["code"] == "SL201"
    assert entry["diagnostics"][0]["place"]["line"] == 2
    for command in ("cost", "run"):
        result = clean(call(command, path, "--json"))
        assert result.exit_code == 2
        assert json.loads(result.stdout)["diagnostics"][0]["code"] == "SL201"


def test_cost_json_has_every_count():
    values = json.loads(clean(call("cost", PROGRAM, "--json")).stdout)
    counts = values["counts"]
    assert counts["rotations"] == 20 and counts["galois_keys"] == 7 and values["rotation_lower_bound"] == 9
    expected = "key_switches plain_products cipher_products additions rescales depth ciphertexts_in ciphertexts_out"
    assert set(expected.split()) <= counts.keys()
    assert {"galois_key_bytes", "upload_bytes", "download_bytes"} <= values.keys()


def test_cost_says_that_it_proves_nothing(wrong):
    """Of a wrong program as of a right one: nobody takes counts for a verdict."""
    for path in (PROGRAM, wrong):
        said = [line for line in clean(call("cost", path, *SMALL)).stdout.splitlines() if "slotlang check" in line]
        assert said == ["not proved by cost: `slotlang check` says whether the program is right"]


def test_a_run_that_compiles_kernels_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("SLOTLANG_KERNEL_CACHE", str(tmp_path / "kernels"))

    def compiling():
        ended = faulty.call("run", PROGRAM, *SMALL)
        assert ended.returncode == 0, ended.stderr
        return [line.partition("; ")[2] for line in ended.stdout.splitlines() if "to compile kernels" in line]

    assert compiling() == ["later runs load them"]
    assert compiling() == []
    # a folder that others can open holds no code that is run
    (tmp_path / "kernels").chmod(0o755)
    (reason,) = compiling()
    assert reason.startswith("they are not kept: ")


def test_compare():
    values = json.loads(clean(call("compare", PROGRAM, PROGRAM, "--set", "d=2048", "--json")).stdout)
    assert [p["sizes"]["d"] for p in values["programs"]] == [2048, 2048]
    assert clean(call("compare", PROGRAM, "--set", "dd=3")).exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--set", "d"], "SL005"),
        (["--set", "d=x"], "SL005"),
        (["--set", "d=1.5"], "SL005"),
        (["--set", "d=1", "--set", "d=2"], "SL005"),
        (["--set", "dd=8"], "SL212"),
        (["--set", "d=1000"], "SL204"),
        (["--set", "d=-8"], "SL206"),
        (["--set", "d=1000000000000000000"], "SL206"),
        (["--set", "batch=0"], "SL205"),
        (["--method", "magic"], "SL005"),
    ],
)
def test_bad_arguments(arguments, code):
    result = clean(call("check", PROGRAM, *arguments))
    assert result.exit_code == 2 and code in result.output


@pytest.mark.parametrize("size", ["d=1073741824", "d=549755813888"])
@pytest.mark.parametrize("command", ["cost", "run"])
def test_absurd_sizes_end_before_memory_does(command, size):
    result = clean(call(command, PROGRAM, "--set", size))
    assert result.exit_code == 2 and "SL309" in result.output


def test_lower_writes_all_or_nothing(tmp_path, wrong):
    target = tmp_path / "out.py"
    target.write_text("precious")
    assert clean(call("lower", wrong, *SMALL, "-o", target)).exit_code == 1
    assert target.read_text() == "precious"
    assert clean(call("run", wrong, *SMALL)).exit_code == 1
    assert clean(call("lower", PROGRAM, *SMALL, "-o", tmp_path / "no" / "out.py")).exit_code == 2
    assert clean(call("lower", PROGRAM, *SMALL, "-o", tmp_path)).exit_code == 2
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.py", "wrong.slot"]
    assert clean(call("lower", PROGRAM, *SMALL, "-o", target)).exit_code == 0
    assert "Proved by the polyhedral method" in target.read_text()
    assert clean(call("lower", wrong, *SMALL, "-o", target, "--unproved")).exit_code == 0
    assert "NOT PROVED" in target.read_text()


def test_the_emitted_module_needs_no_slotlang(tmp_path):
    target = tmp_path / "out.py"
    assert clean(call("lower", PROGRAM, *SMALL, "--kernel", "seal", "-o", target)).exit_code == 0
    guard = (
        "import sys, runpy\n"
        "class No:\n"
        "    def find_spec(self, name, *rest):\n"
        "        if name.split('.')[0] == 'slotlang': raise ImportError('slotlang is not here')\n"
        "sys.meta_path.insert(0, No())\n"
        "sys.argv = ['out.py']\n"
        f"runpy.run_path({str(target)!r}, run_name='__main__')\n"
    )
    done = subprocess.run([sys.executable, "-c", guard], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "relative rms error" in done.stdout


def test_run_on_real_weights():
    arguments = ["run", PROGRAMS / "lora.slot", "--adapter", ADAPTER]
    arguments += ["--module", "layer.0.output.dense", "--activations", ADAPTER / "activations_1536.npy", "--json"]
    values = json.loads(clean(call(*arguments)).stdout)
    assert values["passed"] and values["counts_match"] and values["relative_error"] < 1e-6
    assert (values["sizes"]["d_in"], values["sizes"]["d_out"], values["sizes"]["r"]) == (1536, 384, 8)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--adapter", "nowhere"], "SL501"),
        (["--adapter", ADAPTER], "SL502"),
        (["--adapter", ADAPTER, "--module", "nothing"], "SL502"),
        (["--module", "x"], "SL005"),
        (["--activations", "nowhere.npy"], "SL505"),
        (["--activations", ADAPTER / "activations.npy", "--set", "d_in=384", "--tokens", "17"], "SL505"),
        (["--workers", "0"], "SL005"),
        (["--tokens", "0"], "SL005"),
        (["--cache", PROGRAM], "SL512"),
        (["--adapter", ADAPTER, "--module", "layer.0.output.dense", "--set", "d_in=512"], "SL506"),
        (["--seed", "-1"], "SL005"),
    ],
)
def test_bad_adapters_and_arrays(arguments, code):
    result = clean(call("run", PROGRAMS / "lora.slot", *arguments))
    assert result.exit_code == 2 and code in result.output


def test_a_damaged_cache_is_said(tmp_path):
    arguments = ["run", PROGRAM, *SMALL, "--cache", tmp_path / "weights", "--json"]
    assert json.loads(clean(call(*arguments)).stdout)["cache"]["state"] == "stored"
    (kept,) = (tmp_path / "weights").iterdir()
    kept.write_bytes(kept.read_bytes()[:-1])
    result = slotlang(*map(str, arguments))
    assert result.status == 0
    assert "warning[SL513]" in result.err and "truncated" in result.err and str(kept) in result.err
    found = json.loads(result.out)["cache"]
    assert (found["state"], found["file"], "truncated" in found["reason"]) == ("rebuilt", str(kept), True)
    assert "load weights from the cache" in clean(call(*arguments[:-1])).output


def test_tokens_and_workers_are_shown():
    result = clean(call("run", PROGRAM, *SMALL, "--tokens", 5, "--workers", 2))
    assert "passed" in result.output and "5 random tokens" in result.output
    assert "evaluate 3 times with transfer by 2 workers" in result.output


def test_an_interrupted_run_says_so(monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("slotlang.run.session.run", interrupted)
    result = slotlang("run", str(PROGRAM))
    assert (result.status, result.out) == (130, "")
    assert result.err.startswith("interrupted: ")


def test_fmt(tmp_path):
    path = tmp_path / "p.slot"
    path.write_text(PROGRAM.read_text().replace("let C = slots / batch ", "let C=slots/batch "))
    assert clean(call("fmt", "--check", path)).exit_code == 1
    assert clean(call("fmt", path)).exit_code == 0
    assert path.read_text() == PROGRAM.read_text()
    assert clean(call("fmt", "--check", path)).exit_code == 0
    path.write_text("program p(\n")
    assert clean(call("fmt", path)).exit_code == 2
    assert path.read_text() == "program p(\n"


def test_explain():
    assert "exact" in clean(call("explain", "sl204")).output
    assert clean(call("explain", "SL999")).exit_code == 2


@pytest.mark.parametrize("format_", ["dot", "graphml", "json"])
def test_graph_exports(format_, tmp_path):
    import io

    import networkx as nx

    result = clean(call("graph", PROGRAM, *SMALL, "--format", format_))
    assert result.exit_code == 0
    from slotlang.api import load, plan

    graph = plan(load(PROGRAM, {"d": 32, "r": 4, "batch": 2, "slots": 16})).graph
    edges = sum(len(set(n.operands)) for n in graph.nodes)
    if format_ == "json":
        view = nx.node_link_graph(json.loads(result.stdout), edges="edges")
    elif format_ == "graphml":
        view = nx.read_graphml(io.StringIO(result.stdout))
    else:
        assert result.stdout.count("[label=") >= len(graph.nodes)
        return
    assert (view.number_of_nodes(), view.number_of_edges()) == (len(graph.nodes), edges)


@examples(60, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=300) | st.text(max_size=200).map(str.encode))
def test_any_bytes_as_a_program(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("fuzz") / "p.slot"
    path.write_bytes(data)
    for command in ("check", "cost"):
        assert clean(call(command, path)).exit_code == 2
    if clean(call("fmt", path)).exit_code == 2:
        assert path.read_bytes() == data


COMMANDS = ["check", "cost", "lower", "run", "fmt", "show", "explain", "graph", "compare"]
OTHERS = ["--json", "--set", "d=8", "--set=d=0", "--method", "exact", "-o", "/", "--seed", "-3", "X", "S[9]", "nowhere"]
WORDS = st.sampled_from([*COMMANDS, *OTHERS, "--svg", "", str(PROGRAM)])
ANY = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5)
"""No process has an argument with a NUL in it."""


@examples(80, suppress_health_check=list(HealthCheck))
@given(st.lists(WORDS | ANY, max_size=6))
def test_any_arguments(words):
    if "run" in words or "lower" in words:
        words = [w for w in words if w != str(PROGRAM)]
    assert clean(call(*words)).exit_code in (0, 1, 2)


def test_large_and_strange_files(tmp_path):
    path = tmp_path / "p.slot"
    path.write_bytes(b"program p(n = 4)\n" + b"# " + b"x" * 10_000_000)
    assert "SL003" in clean(call("check", path)).output
    path.write_bytes(struct.pack("<200d", *range(200)))
    assert "SL002" in clean(call("check", path)).output
    path.write_text("")
    assert "SL108" in clean(call("check", path)).output
    path.write_text("program p(n = 4)\nlet a = " + "(" * 5000 + "1" + ")" * 5000 + "\n")
    assert "SL104" in clean(call("check", path)).output
    path.write_text("program p(n = 4)\nlet a = " + "+".join(["1"] * 5000) + "\n")
    assert clean(call("check", path)).exit_code == 2


@pytest.mark.skipif(os.name != "posix", reason="pipes")
def test_a_reader_that_leaves_is_no_error():
    command = f"{sys.executable} -m slotlang graph {PROGRAM} --format json | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, cwd=ROOT)
    assert "Traceback" not in done.stderr and done.stdout.startswith("{")


def test_check_draws_what_is_wrong(tmp_path: Path, root: Path) -> None:
    wrong, right = root / "programs/seed/rank_block.slot", root / "programs/rank_complex.slot"
    small = ["--set", "d=32", "--set", "r=4", "--set", "batch=2", "--set", "slots=16"]
    found = slotlang("check", str(wrong), *small, "--svg", str(tmp_path / "a.svg"))
    assert found.status == 1
    assert "lost for good in line 22" in found.out and "where it came from" in found.out
    assert "lost for good in line 22" in (tmp_path / "a.svg").read_text()
    assert slotlang("check", str(right), *small, "--svg", str(tmp_path / "b.svg")).status == 0
    assert not (tmp_path / "b.svg").exists()
    assert slotlang("check", str(wrong), str(right), "--svg", str(tmp_path / "c.svg")).status == 2


def test_warnings_change_no_verdict_and_no_status(tmp_path):
    path = tmp_path / "idle.slot"
    program = "program idle(n = 8, slots = 8)\ninput x[n], z[n]\ncipher X = x[slot]\nY = X << n\n"
    path.write_text(program + "output y[slot] = Y\nprove y == x\n")
    result = clean(call("check", path))
    assert result.exit_code == 0
    assert result.stdout.startswith("proved") and "warning[SL333]: no output depends on the input 'z'" in result.stderr
    (entry,) = json.loads(clean(call("check", path, "--json")).stdout)["files"]
    assert (entry["verdict"], entry["diagnostics"]) == ("proved", [])
    assert [(w["code"], w["place"]["line"], w["place"]["column"]) for w in entry["warnings"]] == [("SL333", 2, 13)]
    for more in (["--for-all", "n"], [PROGRAM]):
        found = json.loads(clean(call("check", path, *more, "--json")).stdout)["files"]
        assert [[w["code"] for w in entry["warnings"]] for entry in found] == [["SL333"]] + [[]] * (len(found) - 1)
    assert "warning[SL333]" in clean(call("check", path, PROGRAM)).stderr


def test_a_refutation_is_printed_before_it_is_explained(wrong, monkeypatch):
    monkeypatch.setattr("slotlang.proof.information_loss.find_loss", lambda _: print("LOSS"))
    monkeypatch.setattr("slotlang.mutation.repair.nearest_repairs", lambda *_: print("REPAIRS") or [])
    printed = clean(call("check", wrong, *SMALL)).stdout
    places = [printed.index(text) for text in ("refuted", "slot 0 of S", "LOSS", "REPAIRS")]
    assert places == sorted(places)


@pytest.mark.parametrize("more", [(), ("--for-all", "all")])
def test_a_proved_program_that_no_ring_can_run_says_so(tmp_path: Path, more: tuple[str, ...]) -> None:
    """``run`` refuses it (SL405), so ``check`` tells before."""
    path = tmp_path / "odd.slot"
    slotlang("new", "odd", "--template", "row", "-o", str(path))
    assert "note:" not in slotlang("check", str(path)).out
    found = slotlang("check", str(path), "--set", "d=12", *([*more[:1], "m"] if more else []))
    assert found.status == 0
    assert "  note: no ring has these 12 slots: pad to 16 to run it (SL409)\n" in found.out
    (entry,) = json.loads(slotlang("check", str(path), "--set", "d=12", "--json").out)["files"]
    assert entry["verdict"] == "proved" and [w["code"] for w in entry["warnings"]] == ["SL409"]
    assert "SL405" in slotlang("cost", str(path), "--set", "d=12").err
