"""The emitted module: short and readable, and nothing of a program's text becomes code in it."""

from __future__ import annotations

import ast
import random
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import worlds
from amounts import examples, one_in
from exact_slots import Run, meant
from hypothesis import given
from hypothesis import strategies as st
from small_programs import CASES, LORA, Case, case

from slotlang import api
from slotlang.diagnostics import SlotError
from slotlang.emit.head import KERNELS, Lowering
from slotlang.emit.module import emit
from slotlang.meaning.program import program_hash
from slotlang.planning.parameters import Parameters
from slotlang.planning.target import Target
from slotlang.run.runner import execute, load_module, random_data
from slotlang_runtime.script import main
from slotlang_runtime.version import FORMAT, source_hash

RESCALING = Parameters(8192, (60, 40, 40, 60), 40, (1, 2))


def emitted(text: str, parameters: Parameters | None = None) -> str:
    return worlds.emitted(text, parameters).text


def simulated(made: worlds.Emitted, seed: int = 0, *, one_pass: bool = False) -> Run:
    """Evaluated on exact slots: every result is what the program says, and what numpy says."""
    run = Run(made.text, made.plan.program, seed, one_pass=one_pass)
    for name, value in meant(made.plan.graph, run).items():
        assert np.allclose(run.values[name], value, rtol=1e-9, atol=1e-9), name
    found, expected = run.module.collect(run.returned), run.module.reference(run.inputs, run.weights)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].shape == value.shape
        assert np.allclose(found[name], value, rtol=1e-9, atol=1e-9)
    assert run.counts == made.plan.counts.executed() or run.vanished
    return run


# text


@pytest.mark.parametrize("small", CASES, ids=lambda c: c.name)
def test_values_counts_and_memory(small: Case) -> None:
    made = worlds.emitted(small.text)
    counts = made.plan.counts
    assert {k: getattr(counts, k) for k in small.counts} == dict(small.counts)
    run = simulated(made)
    assert abs(run.peak - counts.peak_ciphertexts) <= 2
    assert simulated(made, one_pass=True).peak <= run.peak


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
    made = worlds.emitted(api.load(root / "programs" / "rank_complex.slot"))
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
    text = api.lower(api.loads(LORA)).text
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


def test_it_imports_the_runtime_and_numpy_only() -> None:
    for small in CASES:
        imported = set()
        for node in ast.walk(ast.parse(emitted(small.text))):
            match node:
                case ast.Import(names=names):
                    imported.update(alias.name for alias in names)
                case ast.ImportFrom(module=module):
                    imported.add(str(module))
                case _:
                    pass
        assert imported == {"sys", "numpy", "slotlang_runtime"}


def test_a_module_is_what_a_person_would_write(root: Path) -> None:
    text = worlds.emitted(api.load(root / "programs" / "rank_complex.slot")).text
    assert len(text.splitlines()) <= 200
    small = worlds.emitted(api.load(root / "programs" / "rank_complex.slot", {"d": 32, "batch": 2, "slots": 32})).text
    # loops are kept, so that sizes hardly matter
    assert abs(len(text.splitlines()) - len(small.splitlines())) < 20


def test_what_is_data_is_data() -> None:
    """A checker reads it without running anything."""
    made = api.lower(api.loads(LORA))
    values = {}
    for node in ast.parse(made.text).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            with suppress(ValueError):
                values[node.targets[0].id] = ast.literal_eval(node.value)
    assert values["FORMAT"] == FORMAT and values["RUNTIME"] == source_hash()
    assert values["PROGRAM"] == LORA
    assert values["SIZES"] == {"d": 32, "r": 4, "batch": 2, "slots": 16}
    assert values["LOWERED"]["verdict"] == "proved" and values["LOWERED"]["method"] == "polyhedral"
    assert values["KERNEL"] == made.plan.kernel
    assert f'program_hash="{program_hash(made.plan.program)}"' in made.text


def test_kernels_are_named_in_the_header() -> None:
    for kernel in ("seal", "compiled"):
        made = worlds.emitted(LORA, None, Target(kernel=kernel))
        head = " ".join(made.text.split('"""')[1].split())
        assert (KERNELS["compiled"] in head) == (kernel == "compiled")
        assert made.text.count("ev.dot(") == (2 if kernel == "compiled" else 0)


# names


HOSTILE = [
    *("lambda", "None", "True", "import", "class", "match", "type", "print", "range", "sum", "float", "complex"),
    *("np", "seal", "Client", "Server", "Ring", "Rejected", "Evaluation", "main", "reference", "pattern", "members"),
    *("Module", "Output", "Packing", "Plaintexts", "Results", "MODULE", "RUNTIME", "FORMAT", "LOWERED", "SIZES"),
    *("KERNEL", "PROGRAM", "prepare", "unpack_y", "pattern_A", "product_1", "sys", "arrays", "runtime", "Parameters"),
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


@pytest.mark.parametrize("seed", one_in(3, range(25)))
def test_names_that_mean_something_in_python(seed: int) -> None:
    text, _ = hostile_lora(random.Random(seed))
    made = worlds.emitted(text)
    assert api.check(made.plan.program).proved
    assert simulated(made).counts == worlds.emitted(LORA).plan.counts.executed()


@pytest.mark.parametrize("seed", [100, 101])
def test_such_names_run_encrypted(seed: int) -> None:
    text, names = hostile_lora(random.Random(seed))
    made = worlds.emitted(text)
    inputs, weights = random_data(made.plan.program, 0)
    report = execute(made.text, made.plan.counts.executed(), inputs, weights)
    assert report.passed
    assert set(inputs) | set(weights) == {names[n] for n in ("x", "A", "B", "scale")}
    assert main(load_module(made.text), []) == 0


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
    simulated(worlds.emitted(text))


def test_a_fresh_name_the_program_has() -> None:
    text = case("rotations shared by statements").text
    simulated(worlds.emitted(renamed(text, {"U": "X_rotated", "V": "X_rotated2", "Z": "Y_part"})))
    text = case("a permutation of several levels").text
    for name in ("stage_p_0", "stage_p_0_steps", "steps_p_0", "permutation_p"):
        simulated(worlds.emitted(text.replace("slots = 16", f"slots = 16, {name} = 3")))
    text = case("sums of different depth").text
    simulated(worlds.emitted(renamed(text, {"S": "one", "V": "Y_plain"}), RESCALING))


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


@examples(20)
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
    simulated(worlds.emitted(text))


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
        made = worlds.emitted(text)
    except SlotError as problem:
        assert depth > 60
        assert {d.code for d in problem.diagnostics} <= {"SL104", "SL309"}
    else:
        simulated(made)


def test_what_does_not_fit_python_is_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    made = worlds.emitted(LORA)

    def refuse(*_: object, **__: object) -> None:
        raise SyntaxError("too many statically nested blocks")

    monkeypatch.setattr("builtins.compile", refuse)
    with pytest.raises(SlotError, match="SL309"):
        emit(made.plan, Lowering("0", "proved", "exact", validated=True))


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
    simulated(worlds.emitted(program))
    huge = text.replace("1/3 + -1 * X + 1 * X", " * ".join(["999999999999"] * 40))
    made = worlds.emitted(huge, Parameters(16384, (60,) * 6, 45))
    inputs, weights = random_data(made.plan.program, 0)
    with pytest.raises(SlotError, match="SL532"):
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
    made = worlds.emitted(text)
    run = simulated(made)
    assert set(run.values) == {("Y",), ("S",), ("X",)}
    assert made.plan.counts.ciphertexts_out == 3
