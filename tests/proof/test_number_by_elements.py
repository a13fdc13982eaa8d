"""Theorems about one number that is made of elements: ``prove y == a[0] * b[0]``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from command_line import slotlang
from repository import bind_text

from slotlang import api
from slotlang.diagnostics import SlotError
from slotlang.run.runner import load_module
from slotlang_runtime import Client, EvaluationKeys, Server, Weights

TEXT = """program numbers(n = 16)
require n >= 4
input a[n]
weight b[n]
axes (h < n)
cipher P = a[h]
plain Q = b[h]
S = P * Q
T = sum f < 4 by tree: S << f
output y = S where slot == 0
output z = T where slot == 0
prove y == a[0] * b[0]
prove z == sum i < 4: a[i] * b[i]
"""


@pytest.mark.parametrize(
    ("old", "new", "verdict"),
    [
        ("", "", "proved"),
        ("b[0]", "b[1]", "refuted"),
        ("sum i < 4", "sum i < 3", "refuted"),
        ("a[0] * b[0]", "[n > 3] * a[0] * b[0]", "proved"),
        ("a[0] * b[0]", "2 * a[0] * b[0]", "refuted"),
    ],
)
def test_they_are_decided(old: str, new: str, verdict: str) -> None:
    assert api.check(bind_text(TEXT.replace(old, new))).status == verdict


def test_they_hold_for_all_sizes_and_are_rechecked_without_the_prover(tmp_path: Path) -> None:
    file, proof = tmp_path / "numbers.slot", tmp_path / "numbers.json"
    file.write_text(TEXT)
    assert slotlang("check", str(file), "--certificate", str(proof)).status == 0
    ended = slotlang("recheck", str(proof))
    assert ended.status == 0 and "proved  output z" in ended.out
    ended = slotlang("check", str(file), "--for-all", "n")
    assert ended.status == 0 and "n >= 4" in ended.out
    # a certificate says of which text it is
    proof.write_text(proof.read_text().replace("a[0] * b[0]", "a[0] * b[1]"))
    assert slotlang("recheck", str(proof)).status != 0


def test_modules_compute_them() -> None:
    module = load_module(api.lower(bind_text(TEXT)).text)
    rng = np.random.default_rng(0)
    a, b = rng.uniform(-1, 1, (2, 16))
    client = Client(module)
    answer = Server(Weights.encode(module, b=b)).evaluate(
        client.encrypt(a=a), EvaluationKeys.from_bytes(client.evaluation_keys())
    )
    found = client.decrypt(answer.data)
    assert found["y"] == pytest.approx(a[0] * b[0], abs=1e-6)
    assert found["z"] == pytest.approx(a[:4] @ b[:4], abs=1e-6)


@pytest.mark.parametrize("element", ["a[h]", "a[i]"])
def test_a_missing_index_of_the_result_is_asked_for(element: str) -> None:
    with pytest.raises(
        SlotError, match=r"(?s)SL221: .*hint: elements stand in a theorem by elements: prove y\[i < n\]"
    ):
        bind_text(TEXT.replace("prove y == a[0] * b[0]", f"prove y == {element} * b[0]"))


def test_a_result_of_many_elements_that_is_output_as_one_number() -> None:
    with pytest.raises(SlotError, match=r"(?s)SL303: .*one number is: prove y == a\[0\] \* b\[0\]"):
        bind_text(TEXT.replace("prove y ==", "prove y[i < n] =="))


def test_an_element_outside_is_told_as_such() -> None:
    with pytest.raises(SlotError, match="SL308"):
        bind_text(TEXT.replace("prove y == a[0]", "prove y == a[16]"))
