"""Several evaluations of a run: tokens that are split and padded, workers, and errors that are seen."""

from __future__ import annotations

import threading
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from small_programs import case

from slotlang import api
from slotlang.diagnostics import SlotError
from slotlang.planning.target import Target
from slotlang.run.runner import Batches, execute, random_data
from slotlang.run.tokens import split_tokens
from slotlang_runtime import Client, Server

SMALL = api.Parameters(4096, (36, 36, 37), 20)
PAIRS = """program pairs(d = 4, r = 4, batch = 2, slots = 8)
let R = r / 2
input x[d, batch]
weight A[d, r], B[r, d]
scalar scale
axes (h < d, t < batch)
cipher X = x[h, t]
plain W[q < R] = B[(h - q) % R, h] + 1i * B[(h - q) % R + R, h]
P[q < R] = X * W[q]
T = sum q < R by horner: P[q] << q*batch
S = sum f < d/R by doubling: T << f*R*batch
plain V[q < R] = scale * (A[h, (h + q) % R] - 1i * A[h, (h + q) % R + R])
Y = sum q < R: (S << q*batch) * V[q]
output y[h, t] = re Y
prove y == scale * A @ B @ x
"""


@cache
def lowered() -> api.Lowered:
    return api.lower(api.loads(PAIRS), SMALL)


@pytest.mark.parametrize(("tokens", "padding"), [(1, 1), (2, 0), (5, 1)])
def test_tokens_are_split_and_padded(tokens: int, padding: int, tmp_path: Path) -> None:
    made = lowered()
    values = np.random.default_rng(3).standard_normal((tokens + 2, 4))
    np.save(tmp_path / "x.npy", values)
    program = made.plan.program
    inputs, weights = random_data(program, 0)
    batches, count, held = split_tokens(program, inputs, tmp_path / "x.npy", tokens, 0)
    assert (count, held, batches.padding, len(batches.inputs)) == (tokens, tokens + 2, padding, -(-tokens // 2))
    joined = np.concatenate([b["x"] for b in batches.inputs], axis=1)
    assert np.array_equal(joined[:, :tokens], values[:tokens].T)
    assert not joined[:, tokens:].any()
    report = execute(made.text, made.plan.counts.executed(), batches, weights, workers=2)
    assert report.counts_match
    assert report.evaluations == -(-tokens // 2)
    assert len(repr(report)) < 200
    assert report.relative_error < 0.05
    assert report.max_error > 0


def test_a_refusal_names_the_evaluation() -> None:
    """A token's number in the message is one of its own evaluation."""
    made = lowered()
    inputs, weights = random_data(made.plan.program, 0)
    predicted, large = made.plan.counts.executed(), {"x": inputs["x"] * 1e3}
    with pytest.raises(SlotError, match=r"evaluation 3 of 3: the norm of token \d of x ") as refused:
        execute(made.text, predicted, Batches([inputs, inputs, large]), weights)
    (said,) = refused.value.diagnostics
    assert said.code == "SL531" and "takes norms up to" in said.message and "scale" not in said.message
    # what was typed is `run`, which lowers by itself
    assert said.hint.startswith("scale x down and the result up, or run the program with --bound-norm x=")
    with pytest.raises(SlotError, match=r"^SL531: the norm of token \d of x "):
        execute(made.text, predicted, Batches([large]), weights)


def test_a_wrong_evaluation_among_right_ones_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    made = lowered()
    inputs, weights = random_data(made.plan.program, 0)
    batches = Batches([inputs, {"x": -inputs["x"]}, inputs])
    predicted = made.plan.counts.executed()
    assert execute(made.text, predicted, batches, weights).relative_error < 0.05
    evaluate = Server.evaluate_many
    monkeypatch.setattr(Server, "evaluate_many", lambda *given: [evaluate(*given)[0]] * 3)
    wrong = execute(made.text, predicted, batches, weights)
    assert wrong.counts_match
    assert wrong.relative_error > 0.5


def test_padding_does_not_count_as_error(monkeypatch: pytest.MonkeyPatch) -> None:
    made = lowered()
    inputs, weights = random_data(made.plan.program, 0)
    kept = {"x": np.concatenate([inputs["x"][:, :1], np.zeros((4, 1))], axis=1)}
    decrypt = Client.decrypt
    monkeypatch.setattr(Client, "decrypt", lambda client, data: np.add(decrypt(client, data), [0, 1]))
    predicted = made.plan.counts.executed()
    assert execute(made.text, predicted, Batches([kept], padding=1), weights).relative_error < 0.05
    assert execute(made.text, predicted, Batches([kept]), weights).relative_error > 0.5
    assert execute(made.text, predicted, Batches([kept, kept], padding=1), weights).relative_error > 0.5


def test_a_worker_that_cannot_start_is_a_diagnostic(monkeypatch: pytest.MonkeyPatch) -> None:
    made = lowered()
    inputs, weights = random_data(made.plan.program, 0)
    start = threading.Thread.start

    def failing(thread: threading.Thread) -> None:
        if thread.name == "slotlang worker 2":
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", failing)
    with pytest.raises(SlotError) as failed:
        execute(made.text, made.plan.counts.executed(), Batches([inputs] * 3), weights, workers=2)
    assert failed.value.diagnostics[0].code == "SL511"
    assert "worker 2 can't start" in failed.value.diagnostics[0].message
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("slotlang worker")]


def test_programs_of_one_token_take_several(tmp_path: Path) -> None:
    text = PAIRS.replace("x[d, batch]", "x[d]").replace("x[h, t]", "x[h]").replace("y[h, t]", "y[h]")
    text = text.replace("batch = 2, slots = 8", "batch = 1, slots = 4")
    program = api.loads(text)
    inputs, _ = random_data(program, 0)
    batches, count, held = split_tokens(program, inputs, None, 3, 0)
    assert (count, held, batches.padding) == (3, None, 0)
    assert [b["x"].shape for b in batches.inputs] == [(4,)] * 3
    assert len({b["x"].tobytes() for b in batches.inputs}) == 3


def test_tokens_that_cannot_be_had(tmp_path: Path) -> None:
    program = lowered().plan.program
    inputs, _ = random_data(program, 0)
    np.save(tmp_path / "x.npy", np.ones((3, 4)))
    with pytest.raises(SlotError, match="4 tokens are asked for, and the file holds 3"):
        split_tokens(program, inputs, tmp_path / "x.npy", 4, 0)
    other = api.loads(case("products of ciphertexts").text)
    with pytest.raises(SlotError, match="SL506"):
        split_tokens(other, random_data(other, 0)[0], None, 4, 0)


def test_matrix_products_by_workers_and_from_the_cache(tmp_path: Path) -> None:
    parameters = api.Parameters(4096, (36, 36, 37), 24, (), (24, 20, 18))
    sizes = {"d": 8, "n": 6, "r": 3, "batch": 2048}
    states = []
    for number in range(3):
        found = api.run(
            "programs/columns.slot",
            sizes,
            parameters=parameters,
            tokens=5000,
            workers=2,
            cache=tmp_path,
            target=Target(kernel="matrix"),
        )
        assert found.lowered.plan.kernel == "matrix"
        report = found.report
        assert report.cache is not None
        states.append(report.cache.state)
        assert (report.passed, report.counts_match, report.evaluations, report.workers) == (True, True, 3, 2)
        if number == 1:
            path = Path(report.cache.file)
            path.write_bytes(path.read_bytes()[:-1])
    assert states == ["stored", "loaded", "rebuilt"]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("slotlang worker")]
