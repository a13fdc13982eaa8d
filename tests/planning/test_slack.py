"""The smallest primes that meet a precision, against the most precise ones and against neighbours."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import product
from pathlib import Path

import pytest
from amounts import one_in
from repository import ROOT
from small_programs import LORA
from worlds import emitted

from slotlang import api
from slotlang.cost.gains import gains
from slotlang.planning import choose as choosing
from slotlang.planning.choose import RESERVE, SLOWER, bytes_sent
from slotlang.planning.modulus import Fit, Modulus
from slotlang.planning.plan import Draft
from slotlang.planning.slack import Slack
from slotlang.planning.target import Target
from slotlang.run.runner import load_module, random_data
from slotlang_runtime import Weights

PROFILE = api.find_profile()
SMALL_LORA = api.loads(LORA, {"d": 1024, "r": 4, "batch": 4, "slots": 1024})
SQUARES = api.loads("""program squares(slots = 1024)
input x[slots], z[slots]
cipher X = x[slot]
cipher Z = z[slot]
Y = X * Z * X
output y[slot] = Y
prove y == x
""")


@cache
def program_at(name: str, slots: int | None) -> api.Program:
    """Once for all precisions: what a search knows of a program is for them all."""
    path = next(p for p in (ROOT / "programs").rglob("*.slot") if p.stem == Path(name).name)
    return api.load(path, {} if slots is None else {"slots": slots})


def most_precise_and_smallest(
    monkeypatch: pytest.MonkeyPatch, program: api.Program, target: Target
) -> tuple[api.Plan, api.Plan]:
    """The plan with the most precise parameters of its shape, and the one that is chosen, by one search."""
    seen: list[Fit] = []
    smallest = Slack.smallest

    def noted(self: Slack, precise: Fit) -> Fit:
        seen.append(precise)
        return smallest(self, precise)

    with monkeypatch.context() as patch:
        patch.setattr(Slack, "smallest", noted)
        made = api.plan(program, target=target, profile=PROFILE)
    return api.plan(program, seen[-1].parameters, target=replace(target, precision=None)), made


def sent(made: api.Plan) -> int:
    draft = Draft.of(made.program, made.hiding.mode, made.parameters.early, results=made.parameters.results).keyed(
        made.parameters.keys
    )
    return bytes_sent(draft, made.parameters)


@pytest.mark.parametrize(
    ("name", "precision"),
    one_in(
        # each precision, for another program
        7,
        product(
            ["rank_complex", "nonsquare", "several_outputs", "swapped", "seed/rank_block", "seed/column_major"],
            [1e-1, 1e-3, 1e-6],
        ),
        lambda case: f"{case[0]}-{case[1]}",
    ),
)
def test_bytes_fall_and_times_do_not_rise(name: str, precision: float, monkeypatch: pytest.MonkeyPatch) -> None:
    program = program_at(name, 2048 if name == "rank_complex" else None)
    target = Target(precision=precision)
    before, made = most_precise_and_smallest(monkeypatch, program, target)
    assert api.predicted_error(made) <= precision
    assert sent(made) <= sent(before)
    # primes that results drop take time in the evaluation, and save more elsewhere
    assert made.predicted(PROFILE).request <= SLOWER * before.predicted(PROFILE).request
    if api.predicted_error(before) < precision / 100:
        assert sent(made) < sent(before)
        assert api.predicted_error(made) > precision / 100


def test_bytes_are_those_that_cost_says(monkeypatch: pytest.MonkeyPatch) -> None:
    made = api.plan(SMALL_LORA, target=Target(precision=1e-3))
    cost = api.cost(SMALL_LORA, made.parameters)
    assert sent(made) == cost.evaluation_key_bytes + cost.upload_bytes + cost.download_bytes


def test_no_prime_can_be_a_bit_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it is found what results are sent as: that takes larger primes where it saves bytes of each request."""
    monkeypatch.setattr(choosing.Sending, "smallest", lambda *_: None)
    made = api.plan(SMALL_LORA, target=Target(precision=1e-3), profile=PROFILE)
    p = made.parameters
    draft = Draft.of(SMALL_LORA, "mask", p.early, results=p.results)
    found = gains(draft.graph, p.degree, draft.doubled, masked=True, zero=draft.zero)
    modulus = Modulus(draft, p.degree, p.data_primes, found)
    for n in range(len(p.primes)):
        fewer = tuple(bits - (k == n) for k, bits in enumerate(p.primes))
        best = modulus.shared(fewer) if min(fewer) >= 24 else None
        assert best is None or found.error(best) > 1e-3 / RESERVE


def test_products_of_ciphertexts(monkeypatch: pytest.MonkeyPatch) -> None:
    for precision in (1e-2, 1e-5):
        target = Target(precision=precision, hide="none")
        before, made = most_precise_and_smallest(monkeypatch, SQUARES, target)
        assert api.predicted_error(made) <= precision
        assert sent(made) < sent(before)


@pytest.mark.parametrize("precision", [pytest.param(1e-1, marks=pytest.mark.slow), 1e-3])
@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("lora", {}),
        ("nonsquare", {}),
        pytest.param("permuted", {"d": 256, "r": 4, "batch": 2, "slots": 512}, marks=pytest.mark.slow),
        pytest.param("seed/outer_products_broadcast", {}, marks=pytest.mark.slow),
        ("seed/lazy", {}),
        ("seed/wide_rank", {"d": 128, "r": 32, "slots": 128}),
        pytest.param("seed/wide_rank", {"d": 512, "r": 128, "slots": 512}, marks=pytest.mark.slow),
        pytest.param("seed/wide_rank", {}, marks=pytest.mark.slow),
    ],
)
def test_weights_of_unit_variance_are_accepted(name: str, sizes: dict[str, int], precision: float) -> None:
    """The guarantee bounds noise otherwise than the prediction: small primes leave room for that too."""
    program = api.load(ROOT / "programs" / f"{name}.slot", sizes)
    made = emitted(program, target=Target(precision=precision))
    _, weights = random_data(program, 5)
    Weights.encode(load_module(made.text), **weights)


@pytest.mark.parametrize("name", ["gated", "flipped", "seed/rank_block"])
def test_weights_are_accepted_where_scales_are_so_small_that_rounding_is_as_large_as_weights(name: str) -> None:
    test_weights_of_unit_variance_are_accepted(name, {}, 0.5)


def test_what_is_precise_already_stays() -> None:
    draft = Draft.of(SMALL_LORA, "mask")
    found = gains(draft.graph, 4096, draft.doubled, masked=True, zero=draft.zero)
    modulus = Modulus(draft, 4096, 2, found)
    best = modulus.best()
    assert best is not None
    slack = Slack(modulus, best.error / 2, lambda p: sum(p.primes))
    assert slack.smallest(best) == best
    free = Slack(modulus, 1.0, lambda p: sum(p.primes)).smallest(best)
    assert sum(free.parameters.primes) < sum(best.parameters.primes)
    assert isinstance(free, Fit)


def test_keys_keep_their_bound() -> None:
    free = api.plan(SMALL_LORA, target=Target(precision=1e-6))
    bound = free.counts.galois_keys * free.parameters.key_bytes() // 2
    made = api.plan(SMALL_LORA, target=Target(precision=1e-6, max_key_bytes=bound))
    assert made.parameters.keys
    assert made.counts.galois_keys * made.parameters.key_bytes() <= bound
