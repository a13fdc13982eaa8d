"""A product of two vectors is a number, so it is a value of a slot; other tensor expressions are not."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import slotlang
from judging import disagreement, verdict
from oracle import judge
from repository import bind_text

from slotlang import api
from slotlang.diagnostics import SlotError

TEXT = """program numbers(n = 4)
input x[n], z[n]
weight u[n], v[n], W[n, n]
scalar a
axes (h < n)
cipher X = x[h]
cipher Z = z[h]
plain  N = 2 * a * (u @ W @ v) * u[h]
S = sum k < n: (X * Z) << k
claim S == x @ z
R = S * N
claim R == a * (z @ x) * (u @ W @ (2 * v)) * u[h]
output y[h] = R
prove y[i < n] == 2 * (x @ z) * a * (u @ W @ v) * u[i]
"""


@pytest.mark.parametrize(
    ("old", "new", "status"),
    [
        ("", "", "proved"),
        ("claim S == x @ z", "claim S == sum k < n: x[k] * z[k]", "proved"),
        ("claim S == x @ z", "claim S == x @ x", "refuted"),
        ("claim S == x @ z", "claim S == x @ z - x[0] * z[0]", "refuted"),
        ("(z @ x) * (u @ W @ (2 * v))", "(z @ x) * (v @ W @ (2 * u))", "refuted"),
        ("2 * a * (u @ W @ v)", "2 * a * (u @ W.T @ v)", "refuted"),
    ],
)
def test_all_methods_agree_with_brute_force(old: str, new: str, status: str) -> None:
    program = bind_text(TEXT.replace(old, new))
    judged = judge(program.syntax, program.sizes)
    assert judged.correct == (status == "proved")
    for method in ("polyhedral", "exact", "random"):
        assert disagreement(program, verdict(program, method), judged) == ""
    assert api.check(program).status == status
    if judged.correct:
        # the module is validated: its plaintexts are what the program says
        assert api.lower(program).report.proved


def test_for_all_sizes_and_from_a_certificate(tmp_path: Path) -> None:
    file, certificate = tmp_path / "numbers.slot", tmp_path / "numbers.json"
    file.write_text(TEXT)
    assert slotlang("check", str(file), "--for-all", "n").status == 0
    assert slotlang("check", str(file), "--certificate", str(certificate)).status == 0
    ended = slotlang("recheck", str(certificate))
    assert ended.status == 0 and "proved  claim S" in ended.out


@pytest.mark.parametrize(
    ("said", "shape", "hint"),
    [
        ("W @ x", "4", "write (W @ x)[h]"),
        ("W.T", "4 x 4", "write (W.T)[h, ...] with an index for each ...; known here: h"),
        ("ones(3)", "3", "write (ones(3))[...] with an index for each ...; known here: h"),
        ("x", "4", "write x[h]"),
    ],
)
def test_other_tensors_are_told_with_their_shape_and_an_element(said: str, shape: str, hint: str) -> None:
    with pytest.raises(SlotError) as caught:
        bind_text(TEXT.replace("claim S == x @ z", f"claim S == {said}"))
    (found,) = caught.value.diagnostics
    assert (found.label, found.hint) == (f"its shape is {shape}", hint)
    assert found.notes == (
        "a claim says what each slot holds: elements, families, scalars and constants, with sums and products of them",
    )
