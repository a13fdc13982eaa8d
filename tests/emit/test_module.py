"""The emitted module: readable, on its own, and nothing of a program's text becomes code in it."""

from __future__ import annotations

import ast
import random
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_seal import Run, meant
from slotlang.lowering.emit import emit
from small_programs import CASES, LORA, Case, case

from slotlang import api
from slotlang.diagnostics import SlotError
from slotlang.planning.parameters import Parameters
from slotlang.run.runner import execute, random_data

RESCALING = Parameters(8192, (60, 40, 40, 60), 40, (1, 2))


def emitted(text: str, parameters: Parameters | None = None) -> str:
    return api.lower(api.loads(text), parameters).text


def simulated(made: api.Lowered, seed: int = 0) -> Run:
    """Evaluated on exact slots: every result is what the program says, and what numpy says."""
    run = Run(made.text, made.plan.program, seed)
    for name, value in meant(made.plan.graph, run).items():
        assert np.allclose(run.values[name], value, rtol=1e-9, atol=1e-9), name
    found, expected = run.module.collect(run.returned), run.module.reference(run.inputs, run.weights)
    pairs = [(found[n], expected[n]) for n in expected] if isinstance(found, dict) else [(found, expected)]
    for a, b in pairs:
        assert a.shape == b.shape
        assert np.allclose(a, b, rtol=1e-9, atol=1e-9)
    assert run.counts == made.plan.counts.executed() or run.vanished
    return run


# text


@pytest.mark.parametrize("small", CASES, ids=lambda c: c.name)
def test_values_counts_and_memory(small: Case) -> None:
    made = api.lower(api.loads(small.text))
    counts = made.plan.counts
    assert {k: getattr(counts, k) for k in small.counts} == dict(small.counts)
    run = simulated(made)
    assert abs(run.peak - counts.peak_ciphertexts) <= 2


@pytest.mark.parametrize("small", CASES, ids=lambda c: c.name)
def test_clean_code(small: Case, tmp_path: Path) -> None:
    path = tmp_path / "out.py"
    path.write_text(emitted(small.text), encoding="utf-8")
    assert max(map(len, path.read_text(encoding="utf-8").split("\n"))) <= 120
    ruff = Path(sys.executable).parent / "ruff"
    if not ruff.exists():
        pytest.skip("ruff is not installed beside Python")
    command = [ruff, "check", "--isolated", "--no-cache", "--select", "E,F,W", "--line-length", "120", path]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout


def test_loops_and_names_are_kept(root: Path) -> None:
    made = api.lower(api.load(root / "programs" / "rank_complex.slot"))
    body = made.text.split("def evaluate(")[1].split("\ndef ")[0]
    for line in (
        'X = {c: cipher.pop(("X", c)) for c in range(K)}',
        'P[q] = ev.dot((X[c], plain["W", q, c]) for c in range(K))',
        "T = ev.horner((P[q] for q in reversed(range(R))), batch)",
        "S = ev.doubling(T, batch*R, C // R)",
        "S_rotated[q] = ev.rotate(S_rotated[q - 1], batch) if q else S",
        'Y[c] = ev.dot((S_rotated[q], plain["V", q, c]) for q in range(R))',
    ):
        assert line in body
    assert len(body.split("\n")) < 40
    cited = re.findall(r"# line (\d+): (.*)", body)
    source = (root / "programs" / "rank_complex.slot").read_text(encoding="utf-8").split("\n")
    assert cited
    assert all(source[int(line) - 1].startswith(text) for line, text in cited)


def test_the_header_says_what_is_known() -> None:
    text = emitted(LORA)
    assert "Proved by the polyhedral method at these sizes" in text
    assert "(d = 32, r = 4, batch = 2, slots = 16)" in text
    wrong = api.loads(LORA.replace("scale * (A", "2 * scale * (A"))
    with pytest.raises(SlotError, match="SL406"):
        api.lower(wrong)
    unproved = api.lower(wrong, unproved=True)
    assert "NOT PROVED" in unproved.text.split('"""')[1]
    assert "Proved by" not in unproved.text


def test_the_same_program_gives_the_same_text() -> None:
    assert emitted(LORA) == emitted(LORA)
    assert emitted(LORA) != emitted(LORA.replace("d = 32", "d = 16"))


# alone


ALONE = """
import sys
class Forbidden:
    def find_spec(self, name, path=None, target=None):
        package = name.split(".")[0]
        if package in ("slotlang", "lark", "islpy", "networkx", "typer", "rich", "safetensors"):
            raise AssertionError(f"{name} is imported")
        if package in ("numba", "llvmlite"):
            raise ImportError(f"{name} is not installed")
sys.meta_path.insert(0, Forbidden())
sys.argv = sys.argv[1:]
import runpy
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def run_alone(path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", "-c", ALONE, str(path), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize("name", ["horner and doubling", "its inverse", "conjugation"])
def test_it_needs_only_tenseal_and_numpy(name: str, tmp_path: Path) -> None:
    path = tmp_path / "out.py"
    path.write_text(emitted(case(name).text), encoding="utf-8")
    imported = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Import(names=names):
                imported.update(alias.name.split(".")[0] for alias in names)
            case ast.ImportFrom(module=module):
                imported.add(str(module).split(".")[0])
            case _:
                pass
    # numba makes it faster where it is there, which it is not in this run
    assert imported - sys.stdlib_module_names - {"numba", "llvmlite"} == {"numpy", "tenseal"}
    found = run_alone(path)
    assert found.returncode == 0, found.stderr
    errors = re.findall(r"relative rms error (\S+)", found.stdout)
    assert errors
    assert all(float(e) < 1e-5 for e in errors)


def test_data_from_a_file(tmp_path: Path) -> None:
    made = api.lower(api.loads(LORA))
    path, data = tmp_path / "out.py", tmp_path / "data.npz"
    path.write_text(made.text, encoding="utf-8")
    inputs, weights = random_data(made.plan.program, 5)
    np.savez(data, **inputs, **{**weights, "scale": np.array(0.5)})
    assert run_alone(path, "--data", str(data)).returncode == 0

    def refused(message: str, *arguments: str) -> None:
        found = run_alone(path, *arguments)
        assert found.returncode == 2
        assert message in found.stderr
        assert "Traceback" not in found.stderr

    np.savez(data, x=np.zeros((3, 3)))
    refused("x must have shape (32, 2), not (3, 3)", "--data", str(data))
    np.savez(data, nobody=np.zeros(3))
    refused("it holds 'nobody'; the names here are x, A, B, scale", "--data", str(data))
    np.savez(data, x=np.array([{}], dtype=object))
    refused("no .npz file of arrays", "--data", str(data))
    np.save(tmp_path / "data.npy", np.zeros(3))
    refused("no .npz file of arrays", "--data", str(tmp_path / "data.npy"))
    data.write_bytes(b"PK\x03\x04 and then nothing")
    refused("no .npz file of arrays", "--data", str(data))
    refused("No such file", "--data", str(tmp_path / "absent.npz"))
    refused("--seed must not be negative", "--seed", "-1")


# names


HOSTILE = [
    *("lambda", "None", "True", "import", "class", "match", "type", "print", "range", "sum", "float", "complex"),
    *("np", "seal", "Client", "Server", "Ring", "Rejected", "Evaluation", "main", "reference", "pattern", "members"),
    *("ring", "ev", "evaluate", "result", "results", "value", "values", "inputs", "weights", "inside", "at", "i"),
    *("slot_", "self", "name", "shape", "PARAMETERS", "SLOTS", "COUNTS", "PACKING", "table", "base64", "struct"),
    *("plain_W", "pack_X", "product_0", "axis_0", "stage_0", "X_rotated", "encode", "collect", "element", "once"),
    *("_x", "x_", "__x", "x__", "_", "__name__", "__doc__", "__file__", "__builtins__", "l", "O", "I", "_saved"),
]
NAMES = ["d", "r", "batch", "slots", "C", "K", "R", "x", "A", "B", "scale", "h", "t", "X", "W", "P", "T", "S", "V", "Y"]
NAMES += ["c", "q", "f", "y", "lora"]


def renamed(text: str, names: dict[str, str]) -> str:
    return re.sub(r"\b[A-Za-z_]\w*\b", lambda m: names.get(m[0], m[0]), text)


def hostile_lora(rng: random.Random) -> tuple[str, dict[str, str]]:
    usable = [n for n in HOSTILE if n not in ("sum",)]
    names = dict(zip(NAMES, rng.sample(usable, len(NAMES)), strict=True))
    return renamed(LORA, names), names


@pytest.mark.parametrize("seed", range(25))
def test_names_that_mean_something_in_python(seed: int) -> None:
    text, _ = hostile_lora(random.Random(seed))
    made = api.lower(api.loads(text))
    assert made.report.proved
    assert simulated(made).counts == api.lower(api.loads(LORA)).plan.counts.executed()


@pytest.mark.parametrize("seed", [100, 101])
def test_such_names_run_encrypted(seed: int, tmp_path: Path) -> None:
    text, names = hostile_lora(random.Random(seed))
    made = api.lower(api.loads(text))
    inputs, weights = random_data(made.plan.program, 0)
    report = execute(made.text, made.plan.counts.executed(), inputs, weights)
    assert report.passed
    assert set(inputs) | set(weights) == {names[n] for n in ("x", "A", "B", "scale")}
    path = tmp_path / "out.py"
    path.write_text(made.text, encoding="utf-8")
    assert run_alone(path).returncode == 0


def test_a_permutation_and_another_named_like_its_inverse() -> None:
    text = """program p(slots = 4)
input x[slots]
perm p: slot -> (slot + 1) % 4
perm p_inverse: cycles (0, 1)
cipher X = x[slot]
Y = permute(permute(X, inverse(p)), p_inverse)
Z = permute(Y, p_inverse)
output y[(slot + 1) % 4] = Z
prove y == x
"""
    simulated(api.lower(api.loads(text)))


def test_a_fresh_name_the_program_has() -> None:
    text = case("rotations shared by statements").text
    simulated(api.lower(api.loads(renamed(text, {"U": "X_rotated", "V": "X_rotated2", "Z": "Y_part"}))))
    text = case("a permutation of several levels").text
    for name in ("stage_p_0", "stage_p_0_steps", "steps_p_0", "permutation_p"):
        simulated(api.lower(api.loads(text.replace("slots = 16", f"slots = 16, {name} = 3"))))
    text = case("sums of different depth").text
    simulated(api.lower(api.loads(renamed(text, {"S": "one", "V": "Y_plain"})), RESCALING))


# hostile text


NASTY = [
    'quotes " and """ and \'\'\' and \\" and \\',
    "\\N{BULLET} \\x00 \\u2028 {} {0} %s %(x)s",
    "line\u2028separator, paragraph\u2029separator, a next line\x85, a form\x0cfeed, a\x0bvertical tab, \x1c\x1d\x1e",
    "\u202eright to left\u202c \ufeff \u200b \x00\x07\x1b[31m",
    '"""\nimport os'.replace("\n", "\r"),
    "coding: utf-7",
    "x" * 400,
]


def code_only(text: str) -> str:
    """The syntax tree without docstrings, without the program's text, and without what names that."""
    tree = ast.parse(text)
    program = next(n for n in tree.body if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == "PROGRAM")
    assert isinstance(ast.literal_eval(program.value), str)
    tree.body.remove(program)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if (
            isinstance(body, list)
            and body
            and isinstance(body[0], ast.Expr)
            and isinstance(body[0].value, ast.Constant)
        ):
            body[0].value.value = ""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node.value = re.sub(r"^[0-9a-f]{64}$", "", node.value)
    return ast.dump(tree)


def with_comments(comment: str) -> str:
    """A program with a comment inside and behind every statement that can have one."""
    return f"""# {comment}
program p(slots = 8) # {comment}
input x[slots] # {comment}
weight A[slots, # {comment}
  slots]
cipher X = (x[slot] # {comment}
)
plain W[q < slots] = (A[slot, # {comment}
  (slot + q) % slots])
Y = (sum q < slots: # {comment}
  (X << q) * W[q])
output y[slot # {comment}
] = Y
prove y == (A # {comment}
 @ x)
"""


@settings(max_examples=20, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n"), max_size=60))
def test_comments_stay_comments(comment: str) -> None:
    assert code_only(emitted(with_comments(comment))) == code_only(emitted(with_comments("")))


@pytest.mark.parametrize("comment", NASTY)
def test_nasty_comments_stay_comments(comment: str) -> None:
    text = emitted(with_comments(comment))
    assert code_only(text) == code_only(emitted(with_comments("")))
    assert max(map(len, text.split("\n"))) <= 120
    assert len(text.splitlines()) == text.count("\n")


# shapes of programs


def test_many_loops() -> None:
    """Python nests 20 blocks."""
    binders = ", ".join(f"i{n} < {2 if n % 11 == 0 else 1}" for n in range(23))
    indices = ", ".join(f"i{n}" for n in range(23))
    place = "(i0*2 + i11)*2 + i22"
    text = f"""program p(slots = 8)
input x[64]
weight A[64]
cipher X[{binders}] = x[({place})*8 + slot]
plain W[{binders}] = A[({place})*8 + slot]
Y[{binders}] = X[{indices}] + W[{indices}]
output y[({place})*8 + slot] = Y[{indices}]
prove y == x + A
"""
    simulated(api.lower(api.loads(text)))


@pytest.mark.parametrize("depth", [60, 140])
def test_deep_expressions(depth: int) -> None:
    sums = "".join(f"sum i{n} < 1: " for n in range(depth))
    text = f"""program p(slots = 4)
input x[slots]
cipher X = x[slot]
Y = {sums}X
output y[slot] = Y
prove y == x
"""
    try:
        made = api.lower(api.loads(text))
    except SlotError as problem:
        assert depth > 60
        assert {d.code for d in problem.diagnostics} <= {"SL104", "SL309"}
    else:
        simulated(made)


def test_what_does_not_fit_python_is_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    made = api.lower(api.loads(LORA))

    def refuse(*_: object, **__: object) -> None:
        raise SyntaxError("too many statically nested blocks")

    monkeypatch.setattr("builtins.compile", refuse)
    with pytest.raises(SlotError, match="SL309"):
        emit(made.plan.graph, made.plan.parameters, made.report, made.plan.counts, made.plan.hiding, "0")


def test_constants_of_every_kind() -> None:
    """Exact rationals become the nearest doubles, and none too large is encoded."""
    text = """program p(slots = 4)
input x[slots]
weight A[slots]
cipher X = x[slot]
plain W = 1/3 * A[slot] + 0.125 * A[slot] - 11/24 * A[slot] + 2
Y = (3 - 1i) * ((1/2 + 0.5i) * X) * 1/3 + -1 * X + 1 * X
output y[slot] = Y
prove y == x
"""
    program = api.loads(text.replace("output y[slot] = Y\nprove y == x", "output y[slot] = re Y\nprove y == 2/3 * x"))
    simulated(api.lower(program))
    huge = text.replace("1/3 + -1 * X + 1 * X", " * ".join(["999999999999"] * 40))
    made = api.lower(api.loads(huge), Parameters(16384, (60,) * 6, 45), unproved=True)
    inputs, weights = random_data(made.plan.program, 0)
    with pytest.raises(SlotError, match="SL507"):
        execute(made.text, made.plan.counts.executed(), inputs, weights)


def test_a_ciphertext_is_dropped_after_its_last_use() -> None:
    text = emitted(LORA)
    body = text.split("def evaluate(")[1].split("\ndef ")[0]
    dropped = re.findall(r"^    del (\w+)$", body, re.MULTILINE)
    assert dropped == ["X", "P", "T", "S", "S_rotated"]
    for name in dropped:
        after = body.split(f"del {name}\n")[1]
        assert not re.search(rf"\b{name}\b(?!\[q < )(?![^#\n]*#)", re.sub(r"#.*", "", after))


def test_results_may_be_intermediate_families() -> None:
    text = """program p(slots = 4)
input x[slots]
weight A[slots, slots]
cipher X = x[slot]
plain W[q < 4] = A[slot, (slot + q) % 4]
S = sum q < 4: (X << q) * W[q]
T = S + X
Y = T + S
output y[slot] = Y
output s[slot] = S
output x2[slot] = X
prove y == 2 * A @ x + x
prove s == A @ x
prove x2 == x
"""
    made = api.lower(api.loads(text))
    run = simulated(made)
    assert set(run.values) == {("Y",), ("S",), ("X",)}
    assert made.plan.counts.ciphertexts_out == 3
