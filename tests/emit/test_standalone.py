"""Standalone modules: one file of direct TenSEAL calls, which computes what the runtime does and what numpy says."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import types
from itertools import product
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from amounts import one_in
from command_line import slotlang
from repository import PROGRAMS
from small_programs import CASES, LORA, Case
from worlds import PAIRS, SMALL, World

from slotlang import api
from slotlang.diagnostics import SlotError
from slotlang.emit import direct
from slotlang.emit.head import Lowering
from slotlang.emit.module import emit
from slotlang.emit.standalone import emit_standalone, fixed_functions
from slotlang.planning.parameters import Parameters
from slotlang.planning.target import HIDES, Hide, Target
from slotlang.source import Source
from slotlang.validation.check import check_module

LOWERED = Lowering("0", "proved", "exact", validated=True)
RESCALING = Parameters(8192, (60, 30, 30, 60), 30, (1, 2))
"""With room for masks of parts."""

WIDE = Parameters(8192, (60, 60, 60), 28)


def standalone(text: str, parameters: Parameters | None = None, hide: Hide = "mask") -> str:
    plan = api.plan(api.loads(text), parameters, target=Target(kernel="seal", hide=hide, standalone=True))
    return emit_standalone(plan, LOWERED)


class Alone:
    """A standalone module's client and server."""

    def __init__(self, text: str, weights: dict[str, Any] | None = None, seed: int = 0) -> None:
        loaded = types.ModuleType("standalone_module")
        with patch.dict(sys.modules, {loaded.__name__: loaded}):
            # as an import would have it
            exec(compile(text, "<standalone>", "exec"), loaded.__dict__)
        self.names = loaded.__dict__
        self.module = self.names["MODULE"]
        ring = self.names["Ring"](self.module)
        self.client = self.names["Client"](ring)
        self.weights = weights or {}
        self.server = self.names["Server"](ring, self.client.evaluation_keys(), dict(self.weights))

    def results(self, inputs: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = self.client.decrypt(self.server.evaluate(self.client.encrypt(dict(inputs))))
        return found


def agrees(text: str, parameters: Parameters | None = None, hide: Hide = "mask", worst: float = 5e-5) -> None:
    world = World(text, parameters, kernel="seal", hide=hide)
    weights = {n: np.asarray(a, float)[()] for n, a in world.weights.items()}
    alone = Alone(standalone(text, parameters, hide), weights)
    # masks of parts leave less room for scales
    worst = max(worst, 4 * alone.names["PROMISE"]["relative_error"])
    found = alone.results(world.inputs)
    runtime, expected = world.result(), world.module.reference(world.inputs, world.weights)
    for name, wanted in expected.items():
        other = runtime[name] if len(expected) > 1 else runtime
        assert found[name].shape == wanted.shape and found[name].dtype == other.dtype
        # what is promised is of results of some size, and this one may be smaller
        size = max(np.sqrt(np.mean(np.abs(wanted) ** 2)), 1.0)
        for given in (wanted, other):
            assert np.sqrt(np.mean(np.abs(found[name] - given) ** 2)) <= worst * size


@pytest.mark.parametrize("small", one_in(2, CASES, lambda c: c.name))
def test_it_computes_what_the_runtime_does(small: Case) -> None:
    agrees(small.text)


@pytest.mark.parametrize(
    ("parameters", "hide"),
    # each way of hiding at least once
    one_in(2, product([None, RESCALING], HIDES), lambda case: f"{'rescale' if case[0] else 'scales grow'}-{case[1]}"),
)
def test_ways_of_hiding(hide: Hide, parameters: Parameters | None) -> None:
    agrees(LORA, parameters, hide)
    agrees(PAIRS, parameters, hide)


def test_results_that_drop_primes() -> None:
    # bits are cut off by the runtime alone
    agrees(LORA, Parameters(8192, (60, 36, 60), 21, (2,), (21, 22, 18), results=1, cut=(7, 2)), worst=1e-3)


def test_composed_rotations() -> None:
    p = api.plan(api.loads(LORA), target=Target("seal", standalone=True)).parameters
    agrees(LORA, Parameters(p.degree, p.primes, p.scale_bits, p.drops, p.scales, keys=(2, 10)))


def test_inputs_beyond_the_limit_are_refused() -> None:
    text = LORA.replace("prove y", "bound |x| <= 2\nbound norm(x[:, t]) <= 6\nprove y")
    alone = Alone(standalone(text), World(text, None).weights)
    shape = alone.module.inputs["x"]
    for values, refused in (
        (np.full(shape, 6 / np.sqrt(shape[0])), False),
        (np.full(shape, 6.06 / np.sqrt(shape[0])), True),
        (np.eye(*shape) * 2, False),
        (np.eye(*shape) * 2.02, True),
        (np.full(shape, np.nan), True),
    ):
        if refused:
            with pytest.raises(ValueError, match=r"^\[SL531\] x is beyond Limit\(norm=6.0, entry=2.0\)"):
                alone.client.encrypt({"x": values})
        else:
            alone.client.encrypt({"x": values})


# text


def test_it_is_short_and_loops_are_kept() -> None:
    plan = api.plan(api.load(PROGRAMS / "rank_complex.slot"), target=Target(kernel="seal", standalone=True))
    text = emit_standalone(plan, LOWERED)
    assert len(text.splitlines()) <= 590
    for line in (
        'X = {c: cipher.pop(("X", c)) for c in range(K)}',
        "T = ev.horner((P[q] for q in reversed(range(R))), batch)",
        "S = ev.doubling(T, batch*R, C // R)",
    ):
        assert line in text
    assert "slotlang_runtime import" not in text and "ev.dot(" not in text
    assert "Not checked: whether errors exceed the prediction, as they do with larger weights" in " ".join(text.split())


@pytest.mark.parametrize("small", CASES, ids=lambda c: c.name)
@pytest.mark.parametrize("hide", ["none", "mask"])
def test_the_program_s_own_part_is_the_same_text(small: Case, hide: Hide) -> None:
    """Bodies, tables and settings are those of a module with the runtime, but for masks of parts and what is promised
    beside them."""
    alone = api.plan(api.loads(small.text), target=Target(kernel="seal", hide=hide, standalone=True))
    plan = api.plan(api.loads(small.text), alone.parameters, target=Target(kernel="seal", hide=hide))
    ours, theirs = emit_standalone(alone, LOWERED), emit(plan, LOWERED)
    start = re.compile(r"^LOWERED = ", re.MULTILINE)
    a, b = (text[m.start() :] for text in (ours, theirs) if (m := start.search(text)))
    a, b = (re.sub(r"^LOWERED = .*?(?=\nPROGRAM)", "", text, flags=re.S | re.M) for text in (a, b))
    if hide == "none":
        assert a.replace("main(MODULE, PROMISE)", "main(MODULE)") == b
    else:
        a, b = (re.sub(r"^PROMISE = .*?(?=\nKERNEL)", "", text, flags=re.S | re.M) for text in (a, b))
        assert a[: a.index("\nMODULE = ")] == b[: b.index("\nMODULE = ")]


def test_it_imports_tenseal_and_numpy_only() -> None:
    for small in CASES:
        imported = set()
        for node in ast.walk(ast.parse(standalone(small.text))):
            match node:
                case ast.Import(names=names):
                    imported.update(alias.name.split(".")[0] for alias in names)
                case ast.ImportFrom(module=module):
                    imported.add(str(module).split(".")[0])
                case _:
                    pass
        assert imported - sys.stdlib_module_names == {"numpy", "tenseal"}


@pytest.mark.parametrize("small", CASES, ids=lambda c: c.name)
def test_clean_code(small: Case, tmp_path: Path) -> None:
    path = tmp_path / "out.py"
    path.write_text(standalone(small.text), encoding="utf-8")
    ruff = Path(sys.executable).parent / "ruff"
    if not ruff.exists():
        pytest.skip("ruff is not installed beside Python")
    command = [ruff, "check", "--isolated", "--no-cache", "--select", "E,F,W", "--line-length", "120", path]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout


def test_what_a_program_does_not_use_is_left_out() -> None:
    small = standalone("""program still(slots = 8)
input x[slots]
cipher X = x[slot]
Y = X + X
output y[slot] = Y
prove y == 2 * x
""")
    for name in ("rotate", "conj", "product", "horner", "doubling", "tree", "rescale"):
        assert f"def {name}(" not in small
    assert "def combine(" in small and "def sum_of(" in small
    assert "import zlib" not in small and "def element(" not in small and "def table(" not in small
    permuted = next(c for c in CASES if c.name == "a permutation of several levels")
    assert "def table(" in standalone(permuted.text) and "import zlib" in standalone(permuted.text)


def test_fixed_functions_are_those_of_direct() -> None:
    assert {"main", "element", "rms", "table"} == fixed_functions()
    assert all(callable(getattr(direct, name)) for name in fixed_functions())


# running


def test_it_runs_as_a_program(tmp_path: Path) -> None:
    path = tmp_path / "lora.py"
    path.write_text(standalone(LORA), encoding="utf-8")
    code = "import sys, runpy; sys.modules['slotlang_runtime'] = None; sys.modules['slotlang'] = None; "
    code += f"sys.argv = ['lora.py', '3']; runpy.run_path({str(path)!r}, run_name='__main__')"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=300)
    assert found.returncode == 0, found.stderr
    (error,) = re.findall(r"^y: shape \(32, 2\), relative rms error (\S+)$", found.stdout, re.MULTILINE)
    assert float(error) < 1e-5


@pytest.mark.parametrize("given", [["--data", "x.npz"], ["abc"], ["-1"], ["1e3"]], ids=str)
def test_a_seed_is_all_that_it_takes(given: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(sys, "argv", ["p.py", *given])
    assert direct.main(None, {}) == 2  # type: ignore[arg-type]
    assert capsys.readouterr().err.startswith("usage: p.py [SEED]")


def test_insecure_parameters_are_refused() -> None:
    text = standalone(PAIRS, SMALL, "none")
    assert "prime_bits=(36, 36, 37)" in text
    with pytest.raises(ValueError, match=r"^\[SL404\] .*invalid or below 128-bit security"):
        Alone(text.replace("prime_bits=(36, 36, 37)", "prime_bits=(60, 60, 60)"))


@pytest.mark.parametrize("zero", ["A", "B", "scale"])
def test_weights_that_are_zero_give_a_zero_answer(zero: str) -> None:
    world = World(LORA, None, kernel="seal")
    weights = {n: np.asarray(a, float)[()] for n, a in world.weights.items()}
    found = Alone(standalone(LORA), {**weights, zero: 0 * weights[zero]}).results(world.inputs)
    assert not found["y"].any()


def test_slots_that_are_not_read_are_hidden() -> None:
    """By values as large as the modulus allows, new for every evaluation."""
    world = World(PAIRS, kernel="seal", hide="none")
    weights = dict(world.weights)

    def seen(hide: Hide) -> list[Any]:
        alone = Alone(standalone(PAIRS, WIDE, hide), weights)
        values = []
        for _ in range(2):
            (cipher,) = alone.server.evaluate(alone.client.encrypt(world.inputs)).values()
            plain = direct.seal.Plaintext()
            alone.client.decryptor.decrypt(cipher, plain)
            values.append(np.array(alone.client.ring.encoder.decode_complex(plain)[:16]))
        return values

    bare, _ = seen("none")
    first, second = seen("mask")
    assert np.abs(first[:8].real - bare[:8].real).max() < 1e-2
    for values in (first, second, first - second):
        assert np.median(np.abs(values[8:].real - bare[8:].real)) > 50
        assert np.median(np.abs(values.imag - bare.imag)) > 50


# the command line


def test_the_command_line(tmp_path: Path) -> None:
    path, out = tmp_path / "pairs.slot", tmp_path / "out.py"
    path.write_text(PAIRS, encoding="utf-8")
    found = slotlang("lower", str(path), "-o", str(out), "--standalone")
    assert found.status == 0 and "validated: the module computes what the program says" in found.out
    plan = api.plan(api.loads(PAIRS), target=Target(kernel="seal", standalone=True))
    assert (
        out.read_text(encoding="utf-8").split("\nFORMAT = ")[1].split("LOWERED")[0]
        == (emit_standalone(plan, LOWERED).split("\nFORMAT = ")[1].split("LOWERED")[0])
    )
    assert slotlang("check", str(out)).status == 0
    for kernel in ("compiled", "matrix"):
        found = slotlang("lower", str(path), "-o", str(out), "--standalone", "--kernel", kernel)
        assert found.status == 2 and "SL472" in found.err
    with pytest.raises(SlotError, match="SL472"):
        api.lower(api.loads(PAIRS), target=Target(kernel="compiled"), standalone=True)


@pytest.mark.parametrize("operation", ["tree", "once"])
def test_an_edited_body_has_only_the_operations_that_were_written_down(operation: str) -> None:
    """A standalone module has the operations that its program needs: a call of another one fails when it runs."""
    text = standalone(PAIRS)
    assert f"def {operation}(" not in text
    old = "return result\n"
    edits = {"tree": "unused = ev.tree([])", "once": "unused = ev.once(ev.rotate, result, 1)"}
    edited = text.replace(old, f"{edits[operation]}\n    {old}", 1)
    assert edited != text
    found = check_module(Source("/nowhere/module.py", edited)).validation
    assert found.status == "unknown" and f"`{operation}`, which this standalone module does not have" in found.what
