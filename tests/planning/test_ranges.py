"""The range theorem: nothing within the bounds exceeds it, real weights never have less room, and parameters are found
that hold what is declared."""

from __future__ import annotations

import math
import random
import re
from dataclasses import replace
from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest
from amounts import drawn, one_in, some
from exact_slots import Cipher, ExactOperations, ExactRing, Memory, packed_ciphertexts
from judging import tiny
from repository import PROGRAMS
from worlds import SCORE

from slotlang import api
from slotlang.diagnostics import SlotError
from slotlang.meaning.program import Program
from slotlang.planning import choose, range_refusal
from slotlang.planning import messages as messages_module
from slotlang.planning.declared import Declared
from slotlang.planning.messages import levels_of, messages
from slotlang.planning.parameters import Parameters
from slotlang.planning.primes import largest_primes, moduli
from slotlang.planning.target import Hide, Target
from slotlang.run.runner import load_module
from slotlang_runtime.engine import encoded_plaintexts
from slotlang_runtime.limits import shrunk
from slotlang_runtime.module import Module
from slotlang_runtime.operations import Evaluation
from slotlang_runtime.parameters import Levels, RingParameters
from slotlang_runtime.ranges import ranges

NAMES = [
    "columns",
    "conjugate",
    "dense_ab",
    "flipped",
    "gated",
    "lora",
    "nonsquare",
    "permuted",
    "rank_complex",
    "rank_first",
    "scores",
    "several_outputs",
    "sparse_heads",
    "squat_tall",
    "two_channels",
    "two_tokens",
    "seed/two_phase_fixed",
]

DROPPING = Parameters(16384, (60, 60, 40, 40, 40, 60), 40, (1, 2, 3))


def bounded(name: str, kind: str) -> Program:
    """A corpus program at small sizes, with bounds of everything: of elements, or of norms."""
    path = PROGRAMS / f"{name}.slot"
    program = api.load(str(path), tiny(path)[1])
    bounds: dict[str, Any] = dict.fromkeys(program.scalars, "3/2")
    for number, (tensor, decl) in enumerate(program.tensors.items(), 2):
        both = kind == "both" and decl.kind == "weight"
        if kind != "norms" or len(decl.shape) > 2:
            bounds[tensor] = f"1/{number}" if decl.kind == "weight" else str(number)
        if (kind == "norms" or both) and len(decl.shape) <= 2:
            bounds[f"norm({tensor})"] = "2/3" if decl.kind == "weight" else str(number)
    return api.with_bounds(program, bounds)


def extreme(module: Module, rng: np.random.Generator, kinds: list[int]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Weights and inputs at their bounds: everywhere as large as can be, in few places, or anything."""
    weights: dict[str, Any] = {}
    for name, shape in [*module.weights.items(), *((scalar, ()) for scalar in module.scalars)]:
        own = [(axis, limit) for of, axis, limit in module.assumptions if of == name]
        values = _drawn(rng, shape, kinds)
        if name in module.patterns:
            values = values * module.patterns[name]()
        values = values * 1e3
        for axis, limit in own:
            sizes = np.abs(values) if axis is None else np.sqrt((values**2).sum(axis=axis))
            values = shrunk(values, float(np.max(sizes)), limit)
        weights[name] = values
    inputs = {
        name: module.limits[name].fitted(_drawn(rng, shape, kinds) * 1e3) for name, shape in module.inputs.items()
    }
    return inputs, weights


def _drawn(rng: np.random.Generator, shape: tuple[int, ...], kinds: list[int]) -> Any:
    match rng.choice(kinds):
        case 0:
            return np.ones(shape)
        case 1:
            return rng.choice([-1.0, 1.0], size=shape)
        case 2:
            return rng.standard_normal(shape) * (rng.random(shape) < 0.2)
        case _:
            return rng.standard_normal(shape)


class Watched(ExactOperations):
    """Notes the messages that are divided: the mean over slots times the scale."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.seen: dict[str, float] = {}

    def rescale(self, a: Cipher) -> Cipher:
        self.see(f"the prime dropped before level {a.level + 1}", np.abs(a.values).mean() * a.scale)
        return super().rescale(a)

    def see(self, where: str, size: float) -> None:
        self.seen[where] = max(self.seen.get(where, 0.0), float(size))


def watch(module: Module, inputs: dict[str, Any], weights: dict[str, Any]) -> dict[str, float]:
    """The largest coefficient that each message could have, without noise and masks, by where it is read."""
    ring = ExactRing(module.parameters, module.slots)
    Levels.__init__(ring, module.parameters, moduli(module.parameters.degree, module.parameters.prime_bits))
    memory = Memory()
    cipher = packed_ciphertexts(module, ring, memory, inputs, random.Random(0))
    operations = Watched(ring, memory)
    for name, value in cipher.items():
        operations.see(f"the input {name[0]}", np.abs(value.values).mean() * value.scale)
    ev: Any = Evaluation(operations, module.parameters, module.slots)
    found = module.evaluate(ev, cipher, encoded_plaintexts(module, ring, weights))
    halves = module.parameters.hide != "none"
    for name, value in found.items():
        if value is None:
            continue
        parts = module.read[name].any(axis=1)
        content = np.abs(value.values)
        if halves and not parts.all() and name[0] not in module.parameters.doubled:
            content = 2 * np.abs(value.values.real if parts[0] else value.values.imag)
        operations.see(f"the result {name[0]}", content.mean() * value.scale)
    return operations.seen


CASES: list[tuple[str, Hide, Parameters | None]] = [
    ("elements", "mask", None),
    ("elements", "exact", None),
    ("norms", "none", DROPPING),
    ("both", "mask", DROPPING),
]


@drawn
@pytest.mark.parametrize(("kind", "hide", "parameters"), CASES, ids=["elements", "exact", "dropping", "both"])
@pytest.mark.parametrize("name", one_in(3, NAMES))
def test_nothing_within_the_bounds_exceeds_the_theorem(
    name: str, kind: str, hide: Hide, parameters: Parameters | None
) -> None:
    program = bounded(name, kind)
    made = api.lower(program, parameters, target=Target(hide=hide))
    assert made.range.proved and made.range.room is not None
    graph, hiding = made.plan.graph, made.plan.hiding
    levels = levels_of(made.plan.parameters, tuple(graph.schedule.drops))
    found = messages(graph, hiding, Declared.of(graph.schedule.program), levels, made.plan.parameters.degree)
    bits = {point.where: point.bits for point in found.points}
    module = load_module(made.text)
    ExactRing(module.parameters, module.slots)
    rng = np.random.default_rng(len(name))
    for number in range(some(12, 5)):
        # first all alike: then many results are as large as any can be
        inputs, weights = extreme(module, rng, [0, 1, 2, 3] if number else [0])
        for where, size in watch(module, inputs, weights).items():
            assert where in bits
            assert not size or math.log2(size) <= bits[where]
        # weights within the bounds are accepted, with no less room than the theorem says
        exact = ranges(module, levels, weights, module.limits)
        assert exact.room >= made.range.room - 1e-6
        assert exact.room >= 1


def aligned(program: Program, module: Module, weights: dict[str, Any]) -> dict[str, Any]:
    """The input within its limit that makes some element of the result largest."""
    (name, shape), *_ = module.inputs.items()
    unit = np.zeros(shape)
    rows = []
    for channel in range(shape[0]):
        unit[...] = 0
        unit[(channel, *(0,) * (len(shape) - 1))] = 1
        rows.append(next(iter(module.reference({name: unit}, weights).values())).reshape(-1))
    matrix = np.array(rows).real
    row = matrix[:, np.argmax((matrix**2).sum(axis=0))]
    worst = np.zeros(shape)
    worst[(slice(None), *(0,) * (len(shape) - 1))] = row * 1e6
    return {name: module.limits[name].fitted(worst)}


@pytest.mark.parametrize("name", ["columns", "rank_complex", "lora", "dense_ab"])
def test_the_theorem_is_tight_where_weights_and_inputs_can_be_worst_together(name: str) -> None:
    """All weights alike, and an input along a row: a result is as large as the theorem says, up to other slots."""
    program = bounded(name, "elements")
    made = api.lower(program)
    module = load_module(made.text)
    weights = {
        n: np.full(shape, limit)
        for n, shape in module.weights.items()
        for of, _, limit in module.assumptions
        if of == n
    }
    weights.update({n: np.array(1.5) for n in module.scalars})
    inputs = aligned(program, module, weights)
    (form,) = (theorem.form for theorem in program.theorems.values())
    largest = np.abs(next(iter(module.reference(inputs, weights).values()))).max()
    assert largest <= Declared.of(program).result(form) <= 1.001 * largest


@pytest.mark.parametrize(
    ("name", "hide", "precision"),
    one_in(
        5,
        product(
            ["rank_complex", "dense_ab", "gated", "columns", "scores", "flipped"],
            ["mask", "exact", "none"],
            [1e-2, 1e-3, 1e-4],
        ),
        lambda case: f"{case[0]}-{case[1]}-{case[2]}",
    ),
)
def test_searched_parameters_hold_the_bounds(name: str, hide: Hide, precision: float) -> None:
    for kind in ("elements", "norms"):
        made = api.plan(bounded(name, kind), target=Target(hide=hide, precision=precision))
        assert made.range.proved
        assert made.range.room is not None and made.range.room >= 1


def test_larger_bounds_take_bits_from_the_scales() -> None:
    program = bounded("rank_complex", "elements")
    sums, rooms = [], []
    for bits in (0, 10, 20, 30):
        made = api.plan(api.with_bounds(program, {"A": 2**bits}), target=Target(precision=1e-1))
        p = made.parameters
        sums.append(sum(p.primes[:-1]) - sum(p.factor_bits(2)))
        rooms.append(made.range.room)
    assert all(b - a == 10 for a, b in pairwise(sums))
    # not much more than the one bit that must stay
    assert all(1 <= room < 2.2 for room in rooms if room is not None)


def test_without_a_bound_of_every_weight_encoding_checks_them() -> None:
    program = api.with_bounds(api.load(str(PROGRAMS / "rank_complex.slot")), {"A": 1, "scale": 1})
    found = api.plan(program).range
    assert found.status == "conditional"
    assert found.reason == "no bound of B"
    assert found.limits == ("norm(x[:, t]) <= 256 (the default)",)
    assert found.assumptions == ("|A| <= 1", "|scale| <= 1")
    assert found.to_json()["room_bits"] is None


def test_an_unproved_program_has_no_more_than_the_check_of_its_weights() -> None:
    path = PROGRAMS / "seed" / "rank_summed.slot"
    program = api.load(str(path))
    program = api.with_bounds(program, dict.fromkeys(["A", "B", "scale"], "1/64"))
    made = api.lower(program, unproved=True)
    assert (made.range.status, made.range.reason) == ("conditional", "the program is refuted")
    assert '"range": "conditional"' in made.text


def test_what_takes_too_long_is_not_decided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages_module, "MAX_WORK", 1000)
    found = api.plan(bounded("rank_complex", "elements")).range
    assert found.status == "conditional"
    assert "take too long" in found.reason


@pytest.mark.parametrize("degree", [1024, 4096, 8192, 32768])
def test_primes_are_those_of_seal(degree: int) -> None:
    from slotlang_runtime.seal.ring import context_of

    for bits in ((24,) * 2, (27, 25, 27), (40, 40, 28, 40), (60, 60, 40, 60, 58)):
        if sum(bits) <= {1024: 27, 4096: 109, 8192: 218, 32768: 881}[degree]:
            assert moduli(degree, bits) == context_of(RingParameters(degree, bits)).moduli


def test_where_there_are_too_few_primes_the_least_number_of_their_size_stands_in() -> None:
    assert len(largest_primes(32768, 18, 9)) < 9
    assert moduli(32768, (18,) * 9).count(1 << 17) == 9 - len(largest_primes(32768, 18, 9))


def test_bounds_beyond_the_given_parameters_are_refused_with_the_largest_that_fit() -> None:
    given = Parameters(8192, (60, 60, 60), 36)
    program = api.with_bounds(api.load(str(PROGRAMS / "rank_complex.slot")), {"A": 1, "B": 1, "scale": 1, "x": 2000})
    with pytest.raises(SlotError) as caught:
        api.plan(program, given)
    (problem,) = caught.value.diagnostics
    assert problem.code == "SL411" and problem.span is not None
    assert "|x| <= 2000" in problem.span.text
    (largest,) = (float(note.split("<=")[1].split()[0]) for note in problem.notes if note.startswith("with these"))
    assert api.plan(api.with_bounds(program, {"x": largest}), given).range.proved
    with pytest.raises(SlotError, match="SL411"):
        api.plan(api.with_bounds(program, {"x": 1.05 * largest}), given)


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize(("primes", "near"), [(3, 1.0), pytest.param(12, range_refusal.NEAR, marks=pytest.mark.slow)])
def test_bounds_beyond_any_parameters_are_refused_with_the_largest_that_can_be_had(
    primes: int, near: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found to within some bits, among parameters of some primes: within one and of few primes sooner."""
    monkeypatch.setattr(choose, "MAX_PRIMES", primes)
    monkeypatch.setattr(range_refusal, "NEAR", near)
    # as many bits for each prime
    limit = 2 ** (127 * primes // 12)
    sizes = {"d": 64, "r": 4, "slots": 512}
    program = api.load(str(PROGRAMS / "gated.slot"), sizes)
    program = api.with_bounds(program, dict.fromkeys(["A", "B", "G", "scale", "x"], limit))
    target = Target(precision=1e-6)
    with pytest.raises(SlotError) as caught:
        api.plan(program, target=target)
    (problem,) = caught.value.diagnostics
    assert problem.code == "SL412" and problem.span is not None
    (note,) = (note for note in problem.notes if note.startswith("the largest"))
    bounds = dict(re.findall(r"\|(\w+)\| <= ([^,]+?)(?= and |$)", note))
    # of the bound that costs most, or of all
    assert problem.span.text in [f"bound |{name}| <= {limit}" for name in bounds]

    def with_them(times: int) -> Program:
        """As the note writes them, in the program's text."""
        lines = [f"bound |{name}| <= {times} * {text}" for name, text in bounds.items()]
        kept = [
            line
            for line in program.syntax.source.text.split("\n")
            if not line.startswith(tuple(f"bound |{n}|" for n in bounds))
        ]
        return api.loads("\n".join([*kept, *lines, ""]), sizes)

    assert api.plan(with_them(1), target=target).range.proved
    with pytest.raises(SlotError, match="SL412"):
        api.plan(with_them(16), target=target)


@pytest.mark.parametrize(
    "packing",
    ["x[h] * z[h]", "x[h] * x[h] + 3 * z[h]", "x[h] - 100000", "65536", "(x @ w)[h]", "2 * x[h] - 1i * z[h + 1 - h]"],
)
@pytest.mark.parametrize("largest", ["512", "1/512"])
def test_packings_that_do_not_grow_as_inputs_do(packing: str, largest: str) -> None:
    """Products of inputs, constants, and inputs with limits of their own: no slot exceeds its bound, which is reached
    where all elements are at their limits."""
    text = f"""
program packed(n = 4, slots = 4)
input v[n], z[n], w[n]
input x[n, n]
bound |v| <= 1
bound |x| <= {largest}
bound |z| <= 3
bound |w| <= 2
axes (h < n)
cipher X = {packing.replace("x[h]", "x[h, 0]")}
cipher V = v[h]
Y = X + V
output y[h] = Y
prove y == v
"""
    module = load_module(api.lower(api.loads(text), unproved=True).text)
    family = module.packing["X"]
    assert family.gain is not None
    most = max(limit.largest for limit in module.limits.values())
    reached = 0.0
    for signs in product((-1.0, 1.0), repeat=len(module.inputs)):
        extremes = zip(module.inputs.items(), signs, strict=True)
        inputs = {name: np.full(shape, sign * module.limits[name].largest) for (name, shape), sign in extremes}
        reached = max(reached, float(np.abs(family.function(inputs)).max()))
    assert family.gain * most == pytest.approx(reached, rel=1e-12)


def test_products_that_the_client_packs_need_their_bits() -> None:
    """Each input is within its limit, and four products of two of them are the modulus: equal slots would wrap to 0."""
    text = """
program packed(n = 4, slots = 4)
input x[n], z[n, n]
bound |x| <= 1024
bound |z| <= 1024
parameters degree 2048 primes 27, 27 scales 10
axes (h < n)
cipher X[k < n] = z[h, k] * x[k]
Y = sum k < n: X[k]
output y[h] = Y
prove y == z @ x
"""
    with pytest.raises(SlotError) as refused:
        api.lower(api.loads(text))
    assert [problem.code for problem in refused.value.diagnostics] == ["SL411"]
    fitting = text.replace("1024", "8", 1)
    assert api.lower(api.loads(fitting.replace("<= 1024", "<= 64"))).plan.range.proved


@pytest.mark.parametrize(("name", "status"), [("rank_complex", "conditional"), ("rank_first", "proved")])
def test_a_standalone_module_is_proved_only_where_it_sends_what_the_theorem_is_about(name: str, status: str) -> None:
    """The theorem bounds the half that is read; standalone modules send both parts, and check no weights."""
    program = bounded(name, "entry")
    module, alone = (api.lower(program, standalone=standalone) for standalone in (False, True))
    assert (module.range.status, alone.range.status) == ("proved", status)
    assert f'"range": "{status}"' in alone.text
    unbounded = api.lower(replace(program, bounds=()), standalone=True)
    assert "checked when they are encoded" not in unbounded.range.line()
    assert "a standalone module checks no weights" in unbounded.range.line()


@pytest.mark.parametrize("primes", [2, pytest.param(12, marks=pytest.mark.slow)])
def test_bounds_that_are_small_are_not_to_be_lowered(primes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Masks are as large as random values up to 2^16 at least: smaller bounds leave less beside them."""
    monkeypatch.setattr(choose, "MAX_PRIMES", primes)
    program = api.with_bounds(api.loads(SCORE), {"x": 1e-6, "w": 1e-6})
    with pytest.raises(SlotError) as caught:
        api.plan(program, target=Target(precision=1e-6))
    (problem,) = caught.value.diagnostics
    assert problem.code == "SL451" and "lower the bound" not in (problem.hint or "")
