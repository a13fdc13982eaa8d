"""Modules whose rotations are composed: they compute and count what their graphs say, and hold no more in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from random import Random

import generate
import numpy as np
import pytest
from amounts import examples, one_in
from exact_slots import Run, meant
from hypothesis import given
from hypothesis import strategies as st
from small_programs import CASES, LORA, Case

from slotlang import api
from slotlang.diagnostics import SlotError
from slotlang.emit.head import Lowering
from slotlang.emit.module import emit
from slotlang.graph.key_selection import demand, key_set
from slotlang.meaning.program import Program
from slotlang.planning.hiding import Hiding
from slotlang.planning.parameters import Parameters
from slotlang.planning.plan import Draft, Plan
from slotlang.refusals import GaveUp
from slotlang.run.runner import load_module
from slotlang.schedule.build import EVERY


def keyed(program: Program, most: int, drops: Sequence[int] = ()) -> tuple[Draft, tuple[int, ...]] | None:
    """With so many keys at most; None where the program needs no more."""
    draft = Draft.of(program, "none", drops)
    wanted = demand(draft.graph, lambda level: 1.0)
    chosen = key_set(wanted, most) if len(wanted.steps) > most else None
    return chosen and (draft.keyed(chosen[1]), chosen[1])


def executed(draft: Draft, seed: int = 0) -> Run:
    program, depth, drops = draft.program, draft.built.depth, tuple(draft.built.drops)
    # where the second product is the last to be followed by a dropped prime, plaintexts have 2^80 from then on
    primes = (*[60] * (2 * depth + 2), *[40] * len(drops), 60)
    parameters = Parameters(2 * program.slots, primes, 40, drops)
    counts = draft.counts
    plan = Plan(program, draft.graph, parameters, counts, Hiding("none"), GaveUp("not asked for"), "seal")
    text = emit(plan, Lowering("0", "proved", "exact", validated=True))
    run = Run(text, program, seed)
    for name, value in meant(draft.graph, run).items():
        assert np.allclose(run.values[name], value, rtol=1e-9, atol=1e-9), name
    if not run.vanished:
        assert run.counts == counts.executed()
        # what is written more than once counts until the end, and may go before
        assert run.peak - 2 <= counts.peak_ciphertexts <= 1.5 * run.peak + 2
    return run


@pytest.mark.parametrize(
    ("small", "most", "drops"),
    # of each program's six at least one
    one_in(5, product(CASES, [1, 2], [(), EVERY, (2,)]), lambda case: f"{case[0].name}-{case[1]}-{case[2]}"),
)
def test_small_programs(small: Case, most: int, drops: Sequence[int]) -> None:
    found = keyed(api.loads(small.text), most, drops)
    if found is not None:
        draft, keys = found
        assert {n.step for n in draft.graph.of_kind("rotate")} == set(keys)
        executed(draft)


@examples(20)
@given(st.integers(0, 2**32), st.integers(1, 3), st.sampled_from([(), EVERY, (2,)]))
def test_random_programs(seed: int, most: int, drops: Sequence[int]) -> None:
    text, sizes = generate.random_program(Random(seed))
    try:
        found = keyed(api.loads(text, sizes), most, drops)
    except SlotError as problem:
        assert {d.code for d in problem.diagnostics} <= {"SL401", "SL403"}
        return
    if found is not None:
        executed(found[0], seed % 1000)


def made_with(keys: tuple[int, ...]) -> Plan:
    program = api.loads(LORA)
    return api.plan(program, replace(api.plan(program).parameters, keys=keys))


def test_a_module_names_its_keys_and_routes() -> None:
    made = made_with((2, 10))
    module = load_module(api.lower(made.program, made.parameters).text)
    assert module.parameters.rotations == (2, 10)
    assert module.parameters.routes == {step: tuple(route) for step, route in made.graph.schedule.routes.items()}
    assert module.parameters.routes


@pytest.mark.parametrize("keys", [(4,), (0, 2), (2, 16), (-2,)])
def test_keys_that_do_not_make_every_rotation(keys: tuple[int, ...]) -> None:
    with pytest.raises(SlotError, match="SL408"):
        made_with(keys)
