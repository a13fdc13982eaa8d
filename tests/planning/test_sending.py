"""Results that drop primes as the last thing that is done to them: they are right, smaller, and never wrap."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from small_programs import LORA
from worlds import World, emitted, error, layer

from slotlang import api
from slotlang.diagnostics import SlotError
from slotlang.planning.given_parameters import parameters_named, statement_of
from slotlang.planning.parameters import Parameters
from slotlang.planning.target import Target
from slotlang.run.runner import load_module
from slotlang.source import Source
from slotlang.validation.check import check_module
from slotlang_runtime import EvaluationKeys, Rejected, Server, Weights
from slotlang_runtime.ranges import Ranges, check_range
from slotlang_runtime.records import HEAD
from slotlang_runtime.wire import unpack

ONCE = """program once(n = 8, slots = 8)
input x[n]
weight D[i < n, j < n] sparse where i == j
bound |x| <= 1
cipher X = x[slot]
plain W = D[slot, slot]
Y = X * W
output y[slot] = Y
prove y == D @ x
"""

DROPPED = Parameters(4096, (30, 36, 37), 30, (1,), (30, 18), results=1)
"""48 bits of scale, of which 36 go: what is left of the modulus is 18 bits above the scale."""

TWO = Parameters(8192, (34, 30, 30, 45), 40, (1, 1), (40, 38), results=2)

RANKS = Parameters(4096, (36, 36, 37), 21, (2,), (21, 22, 18), results=1)


def records(world: World) -> dict[str, Any]:
    return {name: bytes(record) for name, record in unpack("results", world.answer().data).records.items() if record}


@pytest.mark.parametrize("kernel", ["seal", "compiled"])
@pytest.mark.parametrize("hide", ["mask", "exact", "none"])
@pytest.mark.parametrize(
    ("text", "parameters"), [(ONCE, DROPPED), (ONCE, TWO), (LORA, RANKS)], ids=["one prime", "two primes", "rotations"]
)
def test_results_are_right_and_as_large_as_predicted(text: str, parameters: Parameters, hide: Any, kernel: Any) -> None:
    world = World(text, parameters, hide=hide, kernel=kernel)
    answer = world.answer()
    assert world.server.note == ""
    assert answer.counts == world.plan.counts.executed() | (
        {"masks": answer.counts["masks"]} if answer.counts["masks"] else {}
    )
    assert answer.counts["rescales"] == len(world.plan.graph.results()) * parameters.results
    assert error(world.result(), world.expected()) < 12 * max(world.plan.promise.error.values())
    sent = records(world).values()
    assert sum(len(record) - HEAD.size for record in sent) == world.plan.download_bytes
    assert all(HEAD.unpack_from(record)[6] == 1 for record in sent)
    before = api.plan(
        world.program,
        Parameters(parameters.degree, parameters.primes, 0, (), parameters.scales),
        target=Target(hide=hide),
    )
    kept = parameters.primes[0] / sum(parameters.primes[:-1])
    assert world.plan.download_bytes == pytest.approx(kept * before.download_bytes)


@pytest.mark.parametrize("parameters", [DROPPED, TWO])
def test_kernels_and_seal_send_the_same_residues(parameters: Parameters) -> None:
    one, other = (World(ONCE, parameters, kernel=kernel) for kernel in ("compiled", "seal"))
    theirs = unpack("results", other.server.evaluate(one.upload, one.keys).data).records
    assert {name: bytes(record) for name, record in theirs.items() if record} == records(one)


def largest(world: World) -> float:
    """The largest number on the diagonal that ``encode`` takes."""
    low, high = 1.0, 2.0**40
    while high / low > 1 + 1e-9:
        middle = (low * high) ** 0.5
        try:
            check_range(world.module, {"D": middle * np.eye(8)})
            low = middle
        except Rejected:
            high = middle
    return low


def test_inputs_at_the_limit_are_right_and_beyond_it_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the largest weights that are taken, results fill what is left after the drop, up to the bit of room."""
    world = World(ONCE, DROPPED)
    value = largest(world)
    # of 2^18 above the scale there are one bit for the sign, one of room, and what noise may take
    assert 0.9 * 2**16 < value < 2**16
    weights = {"D": value * np.eye(8)}
    server = Server(Weights.encode(world.module, **weights))

    def result(size: float) -> Any:
        return world.client.decrypt(server.evaluate(world.client.encrypt(x=np.full(8, size)), world.keys).data)

    for size in (1.0, -1.0):
        assert np.abs(result(size) - size * value).max() < 100
    with pytest.raises(Rejected) as caught:
        result(1.01)
    assert caught.value.code == "SL531"
    with pytest.raises(Rejected) as caught:
        Weights.encode(world.module, D=1.01 * weights["D"])
    assert caught.value.code == "SL532" and "the result Y" in str(caught.value)
    # without the guard: twice as large meets the tripwire, four times as large wraps to nothing
    monkeypatch.setattr("slotlang_runtime.weights.check_range", lambda *_: Ranges((), {}, {}, {}))
    server = Server(Weights.encode(world.module, D=2**17 * np.eye(8)))
    with pytest.raises(Rejected) as caught:
        result(0.9)
    assert caught.value.code == "SL533"
    server = Server(Weights.encode(world.module, D=2**18 * np.eye(8)))
    assert np.abs(result(1.0)).max() < 1000


def test_what_wraps_before_the_last_drop_and_fits_behind_it_is_right() -> None:
    """A division maps residues to residues: a message that fits the primes that are left is right, although primes that
    are gone made no difference to it. So nothing is read where results drop primes."""
    world = World(ONCE, DROPPED)
    assert [point.where for point in check_range(world.module, {"D": np.eye(8)}).points] == ["the result Y"]


def test_searched_parameters_drop_primes_where_that_saves_bytes() -> None:
    program = api.loads(LORA, {"d": 1024, "r": 4, "batch": 4, "slots": 1024})
    made = api.plan(program, target=Target(precision=1e-3))
    p = made.parameters
    assert p.results == 1 and p.data_primes == 2
    assert api.predicted_error(made) <= 1e-3
    whole = api.plan(program, parameters_named("degree 4096 primes 36, 36, 37 scales 22, 22, 20"))
    assert made.download_bytes < 0.6 * whole.download_bytes
    assert made.predicted(api.find_profile()).request < whole.predicted(api.find_profile()).request
    # the statement says all of it
    assert parameters_named(statement_of(p).removeprefix("parameters ")) == p
    assert "results drop 1 prime" in p.text()


def test_a_module_with_other_drops_is_refused() -> None:
    # rotations follow the last product: there a prime would be dropped before them
    made = emitted(layer("a"), Parameters(4096, (36, 36, 37), 30, (1,), (30, 20), results=1))
    assert check_module(Source("layer.py", made.text)).validation.proved
    for before, after in (("results=1", "results=0"), ("results=1", "results=2"), ("drops=(1,)", "drops=()")):
        with pytest.raises(SlotError):
            check_module(Source("layer.py", made.text.replace(before, after)))
    # evaluate can be edited: without the drop, results are at another level than the tables say
    edited = made.text.replace("ev.rescale(", "(")
    assert edited != made.text
    assert not check_module(Source("layer.py", edited)).validation.proved


REUSED = ONCE.replace("output y", "Z = Y + X * W\noutput z[slot] = Z\noutput y") + "prove z == 2 * D @ x\n"
APART = ONCE.replace("output y", "output z[slot] = X\noutput y") + "prove z == x\n"


@pytest.mark.parametrize("text", [REUSED, APART], ids=["read again", "other products behind"])
def test_results_that_can_not_drop_primes(text: str) -> None:
    with pytest.raises(SlotError) as refused:
        api.plan(api.loads(text), DROPPED)
    assert [d.code for d in refused.value.diagnostics] == ["SL404"]
    assert api.plan(api.loads(text), target=Target(precision=1e-3)).parameters.results == 0


@pytest.mark.parametrize(
    ("drops", "results"), [((2,), 1), ((1,), 2), ((), 1), ((1, 1), 1)], ids=["too late", "too many", "none", "twice"]
)
def test_drops_that_do_not_fit_the_program(drops: tuple[int, ...], results: int) -> None:
    with pytest.raises(SlotError) as refused:
        api.plan(api.loads(ONCE), Parameters(8192, (50, 40, 40, 45), 30, drops, (30, 30), results=results))
    assert [d.code for d in refused.value.diagnostics] == ["SL404"]


def test_keys_of_a_client_that_drops_nothing_serve() -> None:
    """Where results drop primes the keys are those of the ring, whatever else a program does."""
    world = World(LORA, RANKS)
    plain = load_module(emitted(LORA, Parameters(4096, RANKS.primes, 21, (), RANKS.scales)).text)
    keys = EvaluationKeys.from_bytes(world.client.secret.evaluation_keys(plain))
    found = world.client.decrypt(world.server.evaluate(world.upload, keys).data)
    assert error(found, world.expected()) < 12 * max(world.plan.promise.error.values())
