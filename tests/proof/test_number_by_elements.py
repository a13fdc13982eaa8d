"""Theorems about one number that is made of elements: ``prove y == a[0] * b[0]``."""

from __future__ import annotations

import hashlib
import json
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
    with pytest.raises(SlotError, match=rf"(?s)SL221: '{element[2]}' has no value.*, .*prove y\[i < n\] == "):
        bind_text(TEXT.replace("prove y == a[0] * b[0]", f"prove y == {element} * b[0]"))


def test_a_result_of_many_elements_that_is_output_as_one_number() -> None:
    with pytest.raises(SlotError, match=r"(?s)SL303: .*one number is: prove y == a\[0\] \* b\[0\]"):
        bind_text(TEXT.replace("prove y ==", "prove y[i < n] =="))


def test_an_element_outside_is_told_as_such() -> None:
    with pytest.raises(SlotError, match="SL308"):
        bind_text(TEXT.replace("prove y == a[0]", "prove y == a[16]"))


PRODUCTS = """program products(n = 8)
input x[n]
weight b[n]
axes (h < n)
cipher X = x[h]
plain Q = b[h]
Z = X * Q
T = X + (X << 4)
U = T + (T << 2)
S = U + (U << 1) - Z
output y = S where slot == 0
prove y == (ones(n) @ x) - b[0] * x[0]
"""


@pytest.mark.parametrize(
    ("theorem", "verdict"),
    [
        ("(ones(n) @ x) - b[0] * x[0]", "proved"),
        ("-(b[0] * x[0]) + 2 * (x @ ones(n)) * 1/2", "proved"),
        ("(sum i < n: x[i]) - b[0] * (eye(n)[0, 0] * x[0])", "proved"),
        ("(ones(n) @ x) - b[0] * x[1]", "refuted"),
        ("(b @ x) - b[0] * x[0]", "refuted"),
        ("(eye(n) @ x) - b[0] * x[0]", "SL302"),
    ],
)
def test_a_product_of_vectors_is_a_number_beside_elements(theorem: str, verdict: str, tmp_path: Path) -> None:
    """By all methods, for all sizes, and from the certificate alone; a vector is refused."""
    text = PRODUCTS.replace("(ones(n) @ x) - b[0] * x[0]", theorem)
    if verdict.startswith("SL"):
        with pytest.raises(SlotError, match=verdict):
            bind_text(text)
        return
    assert api.check(bind_text(text)).status == verdict
    assert api.check(bind_text(text), "random").status == {"proved": "tested"}.get(verdict, verdict)
    if verdict == "proved":
        file, certificate = tmp_path / "products.slot", tmp_path / "products.json"
        file.write_text(text)
        assert slotlang("check", str(file), "--certificate", str(certificate)).status == 0
        assert slotlang("recheck", str(certificate)).status == 0


@pytest.mark.parametrize(
    "wrong",
    [
        "(b @ x) - b[0] * x[0]",
        "(ones(n) @ b) - b[0] * x[0]",
        "(ones(n) @ x) - b[0] * x[1]",
        "(eye(n) @ x) - b[0] * x[0]",
    ],
)
def test_a_certificate_of_another_number_is_refused(wrong: str, tmp_path: Path) -> None:
    """Whose hash was made to fit: the goals are not those of the program."""
    file, certificate = tmp_path / "products.slot", tmp_path / "products.json"
    file.write_text(PRODUCTS)
    assert slotlang("check", str(file), "--certificate", str(certificate)).status == 0
    data = json.loads(certificate.read_text())
    data["program"] = data["program"].replace("(ones(n) @ x) - b[0] * x[0]", wrong)
    sizes = ",".join(f"{name}={n}" for name, n in data["sizes"].items())
    data["sha256"] = hashlib.sha256(f"{data['program']}\n{sizes}".encode()).hexdigest()
    certificate.write_text(json.dumps(data))
    ended = slotlang("recheck", str(certificate))
    assert ended.status != 0 and "sha256" not in ended.err + ended.out


def test_a_refutation_names_nothing_that_was_not_decided() -> None:
    """Two slots carry the number: that the polyhedral method gave up on the sum does not matter any more."""
    text = PRODUCTS.replace(" where slot == 0", "").replace(
        "(ones(n) @ x) - b[0] * x[0]", "(sum i < n: x[i]) - b[0] * x[0]"
    )
    report = api.check(bind_text(text))
    assert report.status == "refuted" and report.reason == "" and "too large" not in "\n".join(report.lines())
