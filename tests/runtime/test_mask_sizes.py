"""Masks of slots are 2^16 times the proved bound of what they hide, whatever the bounds say; results stay precise."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from math import inf, prod

import mpmath
import numpy as np
import pytest
import worlds

from slotlang import api, recheck
from slotlang.cost.data import DataPowers
from slotlang.diagnostics import SlotError
from slotlang.planning.parameters import Parameters
from slotlang.planning.target import Target
from slotlang.proof.certificate import certificate
from slotlang.refusals import refused
from slotlang.run.runner import load_module
from slotlang.source import Source
from slotlang.validation.check import check_module
from slotlang_runtime import Rejected, Weights, embedding, precise
from slotlang_runtime.masks import slot_mask
from slotlang_runtime.messages import HIDING_BITS, mask_bits
from slotlang_runtime.records import read_result
from slotlang_runtime.wire import unpack

SCORE = worlds.SCORE.replace("axes", "bound norm(x[:, t]) <= 87100\nbound |w| <= 1\naxes")
"""One slot of sixteen holds a result, which is at most 87100 * sqrt(16); the others hold sums that cross two rows."""

LARGEST = 87100.0 * 4
"""What each slot holds for weights of 1, and rows along them at their limit."""

PRECISE = 1e-6


@cache
def score() -> worlds.World:
    plan = api.plan(api.loads(SCORE), target=Target(precision=PRECISE))
    world = worlds.World(SCORE, plan.parameters)
    world.weights = {"w": np.ones((1, 16))}
    return world


def decrypted(world: worlds.World, x: np.ndarray, times: int) -> np.ndarray:
    """All slots of what decrypts, times x copies x slots, as a client sees them that keeps nothing to itself."""
    server = worlds.Server(Weights.encode(world.module, **world.weights))
    upload, found = world.client.encrypt(x=x), []
    family, ring = world.module.sent["S"], world.ring
    for _ in range(times):
        record = unpack("results", server.evaluate(upload, world.keys).data).records[repr(("S",))]
        words = read_result(record, ring, family.level, family.products, None, world.client.coder.transformed)
        message = world.client.secret.decrypted(ring, words, family.level, ring.scale(family.level, family.products))
        slots, _ = world.client.coder.decode_precisely(message, family.level, ring.scale(family.level, family.products))
        found.append(slots.reshape(-1, 64))
    return np.array(found)


def test_bits_of_masks() -> None:
    assert [mask_bits(size) for size in (0.0, 0.01, 1.0, 1.001, 2.0, 3.0, 348_400.0)] == [16, 16, 16, 17, 17, 18, 35]
    # more than any modulus has, and no overflow
    assert mask_bits(1e308) == mask_bits(inf) == 1000
    assert mask_bits(float("nan")) == 1000


def test_masks_follow_the_bounds() -> None:
    """By the bounds of the input, and of the weight, and no smaller than for values up to 1."""

    def bits(norm: str, weight: str) -> int:
        text = SCORE.replace("<= 87100", f"<= {norm}").replace("|w| <= 1", f"|w| <= {weight}")
        (found,) = api.plan(api.loads(text), target=Target(precision=1e-2)).hiding.bits.values()
        return found

    least = bits("87100", "1")
    assert 2.0**least >= 2**HIDING_BITS * LARGEST
    # 8 tokens' worth where sums cross rows, at most
    assert 2.0**least <= 2 * 2**HIDING_BITS * 8 * 87100
    assert bits("348400", "1") == bits("87100", "4") == least + 2
    assert bits("1/1024", "1/4") == HIDING_BITS


def test_what_is_hidden_is_drowned() -> None:
    """Decrypted slots that no output reads say as little of values at their bound as of zeros, and results are there
    beside masks 2^16 times as large."""
    world = score()
    bits = world.module.sent["S"].mask_bits
    assert 2.0**bits >= 2**HIDING_BITS * LARGEST
    x = np.full((16, 4), 87100 / 4.0)
    read = np.arange(64) % 16 == 0
    shown = worlds.World(SCORE, world.plan.parameters, hide="none", secret=world.client.secret)
    shown.weights = world.weights
    # without masks all slots show what they hold
    assert np.abs(decrypted(shown, x, 1) - LARGEST).max() < 1
    sizes = {}
    for name, inputs, value in (("most", x, LARGEST), ("none", 0 * x, 0.0)):
        found = decrypted(world, inputs, 2)
        assert np.abs(found[..., read] - value).max() < LARGEST * PRECISE
        masked = found[..., ~read].ravel()
        sizes[name] = np.sort(np.concatenate([masked.real, masked.imag])) / 2.0**bits
    count = len(sizes["most"])
    assert count > 5000
    for values in sizes.values():
        # uniform up to 1: the distance of Kolmogorov and Smirnov, which is above this once in 10^6 runs
        steps = np.arange(1, count + 1) / count
        assert np.abs((values + 1) / 2 - steps).max() < 2.7 / np.sqrt(count)
        assert 0.99 < np.abs(values).max() <= 1 + 2.0**-HIDING_BITS
    # two masks are never the same
    first, second = decrypted(world, x, 2)[..., ~read].real
    assert np.abs(first - second).min() > 0


def test_results_are_as_precise_as_promised() -> None:
    """Masks of 2^36 rounded as doubles would show by some 1e-5 in the results."""
    world, rng = score(), np.random.default_rng(3)
    assert world.module.sent["S"].mask_bits == 36
    w, x = rng.uniform(-1, 1, (1, 16)), rng.standard_normal((16, 4))
    world.weights = {"w": w}
    server = worlds.Server(Weights.encode(world.module, **world.weights))
    errors = [
        world.client.decrypt(server.evaluate(world.client.encrypt(x=x), world.keys).data) - w @ x for _ in range(4)
    ]
    assert np.sqrt(np.mean(np.square(errors))) < 4 * world.module.error["y"]
    world.weights = {"w": np.ones((1, 16))}


def test_no_room_is_an_error_with_the_values() -> None:
    program = api.loads(SCORE)
    # 80 bits of modulus, and a scale of 24 + 24
    tight = Parameters(8192, (40, 40, 60), 24)
    with pytest.raises(SlotError, match="SL407") as refused:
        api.plan(program, tight)
    (found,) = refused.value.diagnostics
    assert found.notes[1:3] == (
        "32 bits are left above the scale of 'S', and 39 are needed",
        "8192: 40,40,60, scale 2^24, no rescale",
    )
    assert "may hold up to 696,800" in found.notes[0] and "2^36" in found.notes[0]
    # what it says fits does, and 5 % more does not
    limit = found.notes[3].split("<= ")[1].split()[0]
    for factor, fits in ((1.0, True), (1.05, False)):
        text = SCORE.replace("<= 87100", f"<= {float(limit) * factor:.4f}")
        if fits:
            assert api.plan(api.loads(text), tight).range.status == "proved"
        else:
            with pytest.raises(SlotError, match="SL407"):
                api.plan(api.loads(text), tight)
    assert api.plan(program, tight, target=Target(hide="none")).range.status == "proved"
    assert "--precision 0.001 finds" in (found.hint or "")


@pytest.mark.parametrize("precision", [1e-2, PRECISE])
def test_the_search_leaves_room(precision: float) -> None:
    """And the parameters that it finds are the ones that hold: with a bit less they do not."""
    made = api.plan(api.loads(SCORE), target=Target(precision=precision))
    p, state = made.parameters, made.graph.schedule.states["S"]
    room = sum(p.primes[: p.data_primes - state.level]) - p.carried_bits(state.level, state.pending)
    assert made.range.status == "proved" and room >= 36 + 3
    assert api.predicted_error(made) <= precision
    short = replace(p, primes=(p.primes[0] - 7, *p.primes[1:]))
    with pytest.raises(SlotError, match=r"SL407|SL411"):
        api.plan(api.loads(SCORE), short)


def test_out_of_reach_says_why() -> None:
    text = SCORE.replace("bound norm(x[:, t]) <= 87100\nbound |w| <= 1\n", "")
    with pytest.raises(SlotError, match="SL451") as refused:
        api.plan(api.loads(text), target=Target(precision=1e-16))
    assert "stand in the slots of 'S'" in str(refused.value) and "--hide none" in str(refused.value)


def test_a_module_with_smaller_masks_is_refused() -> None:
    """By ``check``, before anything runs, and by whoever encodes weights that these masks do not hide."""
    text = api.lower(api.loads(SCORE), target=Target(precision=PRECISE)).text
    assert text.count("mask_bits=36") == 1
    edited = text.replace("mask_bits=36", "mask_bits=16")
    with pytest.raises(SlotError, match="SL745"):
        check_module(Source("score.py", edited))
    module = load_module(edited)
    with pytest.raises(Rejected, match=r"slots of S that no output reads could hold .*masks of at most 2\^16") as found:
        Weights.encode(module, w=np.ones((1, 16)))
    assert found.value.code == "SL532"
    Weights.encode(load_module(text), w=np.ones((1, 16)))


def test_weights_without_bounds_are_checked_when_they_are_encoded() -> None:
    """Masks take the room that is left; weights with which slots could hold more are refused, and no others."""
    text = SCORE.replace("bound |w| <= 1\n", "").replace("<= 87100", "<= 16")
    made = api.lower(api.loads(text), Parameters(8192, (60, 60, 60), 40))
    assert "which is checked when weights are encoded" in " ".join(made.text.split())
    module = load_module(made.text)
    # 40 bits are left above the scale, and larger masks would show in double precision
    assert module.sent["S"].mask_bits == 32
    most = 2.0 ** (32 - HIDING_BITS)
    found = Weights.encode(module, w=np.ones((1, 16))).ranges
    assert found is not None
    allowed = most / found.hidden["S"]
    Weights.encode(module, w=np.full((1, 16), allowed * 0.999))
    with pytest.raises(Rejected, match="masks of at most"):
        Weights.encode(module, w=np.full((1, 16), allowed * 1.001))


TWO = """program two(n = 16, rows = 4, slots = 64)
input  x[n, rows]
weight w[1, n], v[1, n]
axes (t < rows, h < n)
cipher X = x[h, t]
plain  W = w[0, h]
plain  V = v[0, h]
P = X * W
S = sum f < n by doubling: P << f
Q = X * V
R = sum f < n by doubling: Q << f
output y[0, t] = S where h == 0
output z[0, t] = R where h == 0
prove  y == w @ x
prove  z == v @ x
"""


@pytest.mark.parametrize(
    ("given", "missing"), [({"w": 200}, "a bound of v, which has"), ({}, "bounds of w and v, which have")]
)
def test_weights_that_masks_do_not_hide_name_the_bounds_that_are_missing(given: dict[str, int], missing: str) -> None:
    """A weight without a bound leaves all masks as large as there is room for: what is advised for it does."""
    w = np.zeros((1, 16))
    w[0, :8] = 65.14
    weights = {"w": w, "v": np.full((1, 16), -2.711)}
    module = load_module(api.lower(api.loads(TWO, bounds=given)).text)
    with pytest.raises(Rejected, match=r"slots of S that no output reads could hold") as found:
        Weights.encode(module, **weights)
    advised = refused(found.value).diagnostics[0].hint
    assert f"with {missing} none" in advised and "scale" not in advised
    bounds = json.loads(advised.partition("in Python bounds=")[2].partition(")")[0])
    assert bounds == {name: bound for name, bound in {"w": 65.2, "v": 2.72}.items() if name not in given}
    for name, bound in bounds.items():
        assert f"--bound {name}={bound}" in advised
    followed = load_module(api.lower(api.loads(TWO, bounds={**given, **bounds})).text)
    assert Weights.encode(followed, **weights).ranges is not None


def test_certificates_have_the_size_of_the_masks() -> None:
    """By code of its own, which is no smaller than the module's; and a certificate that says less is refused."""
    text = SCORE + "parameters degree 8192 primes 60, 60, 60 scales 40\n"
    program = api.loads(text)
    proof = certificate(program, api.check(program))
    claim = json.loads(proof)["range"]
    own = api.plan(program).hiding.bits["S"]
    # 16 elements of at most 87100, where crossing sums are bounded by elements
    assert own == 36 <= claim["mask_bits"] <= 16 + 21
    assert f"at most 2^{claim['mask_bits']}" in recheck.recheck(proof.encode()).lines()[-1]
    edited = proof.replace(f'"mask_bits": {claim["mask_bits"]}', '"mask_bits": 16')
    assert edited != proof
    with pytest.raises(recheck.Rejected):
        recheck.recheck(edited.encode())


def exact(values: np.ndarray, scale: int) -> list[int]:
    """Coefficients by their definition, with 100 digits."""
    count = len(values)
    with mpmath.workdps(100):
        roots = [mpmath.expjpi(mpmath.mpf(pow(3, j, 4 * count)) / (2 * count)) for j in range(count)]
        sums = (
            mpmath.fsum(
                (mpmath.mpmathify(complex(v)) * mpmath.conj(root) ** k).real
                for v, root in zip(values, roots, strict=True)
            )
            for k in range(2 * count)
        )
        return [int(mpmath.nint(total * scale / count)) for total in sums]


def test_twice_the_digits() -> None:
    rng = np.random.default_rng(1)
    values = (rng.uniform(-1, 1, 16) + 1j * rng.uniform(-1, 1, 16)) * 2.0**60
    values[::2] = 0
    found = precise.scaled_coefficients(values, 2.0**30)
    assert precise.to_integers(found) == exact(values, 2**30)
    back = precise.values(found, 2.0**30)
    assert np.abs(back[::2]).max() < 1e-8
    assert np.abs(back - values).max() < 2.0**60 * 1e-15
    # in doubles some of the masks shows in the slots that hold zeros
    assert np.abs(embedding.values(embedding.coefficients(values))[::2]).max() > 1


@pytest.mark.parametrize("bits", [16, 20, 60])
def test_masks_are_zero_where_results_are(bits: int) -> None:
    world = score()
    family, ring = world.module.sent["S"], world.ring
    slots = np.zeros((2, 64), bool)
    slots[0, 1:] = True
    coder = world.client.coder if bits > 16 else None
    plain = slot_mask(ring, family.level, family.products, slots, bits, coder)
    words = worlds.residues_of(ring, plain)
    found, most = world.client.coder.decode_precisely(words, family.level, ring.scale(family.level, family.products))
    assert 2 * most < prod(ring.primes(family.level)) or bits == 60
    if bits < 60:
        found = found.reshape(-1, 64)
        assert np.abs(found[:, 0]).max() < 1e-3
        assert np.abs(found.imag).max() < 1e-3
        assert 0.9 * 2**bits < np.abs(found[:, 1:].real).max() <= 2**bits


def test_twice_the_digits_only_where_less_would_show() -> None:
    """They take ten times as long. What a module has is proved again; without it, masks would show in a result."""
    program = api.loads(SCORE)
    coarse, fine = (api.lower(program, target=Target(precision=p)) for p in (1e-3, 1e-9))
    assert ("precise=True" in coarse.text, "precise=True" in fine.text) == (False, True)
    assert coarse.plan.promise.relative_error <= 1e-3 and fine.plan.promise.relative_error <= 1e-9
    for made in (coarse, fine):
        assert check_module(Source("m.py", made.text)).report.proved
        world = worlds.World(SCORE, made.plan.parameters)
        off = worlds.error(world.result(), world.expected())
        assert off < 6 * made.plan.promise.error["y"]
    edited = fine.text.replace(', "precise": True', "").replace(", precise=True", "")
    with pytest.raises(SlotError, match="SL745"):
        check_module(Source("m.py", edited))


def test_masks_are_sized_by_weights_that_are_known() -> None:
    """A module says how large they are, since it does not have the weights; encoding holds others to it."""
    text = SCORE.replace("bound |w| <= 1\n", "").replace("<= 87100", "<= 16")
    large = {"w": np.full((1, 16), 3000.0)}
    made = [api.lower(api.loads(text), target=Target(precision=1e-3, data=DataPowers(w))) for w in ({}, large)]
    few, many = (load_module(m.text).sent["S"].mask_bits for m in made)
    assert few < many
    for m in made:
        assert check_module(Source("m.py", m.text)).report.proved
    Weights.encode(load_module(made[1].text), **large)
    with pytest.raises(Rejected, match="masks of at most"):
        Weights.encode(load_module(made[0].text), **large)
    # smaller ones in all places are a module of its own, which takes smaller weights
    edited = made[1].text.replace(f'"S": {many}', f'"S": {few}').replace(f"mask_bits={many}", f"mask_bits={few}")
    with pytest.raises(Rejected, match="masks of at most"):
        Weights.encode(load_module(edited), **large)
    with pytest.raises(SlotError, match="SL745"):
        check_module(Source("m.py", made[1].text.replace(f"mask_bits={many}", f"mask_bits={few}")))
