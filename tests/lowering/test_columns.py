"""Matrix products over residues: bit for bit what TenSEAL computes, proved like every module, refused where inexact."""

from __future__ import annotations

import struct
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from slotlang import api
from slotlang.cost.matrix import MatrixForm
from slotlang.diagnostics import SlotError
from slotlang.planning.parameters import Parameters
from slotlang.planning.target import KernelChoice, Target
from slotlang.refusals import GaveUp
from slotlang.run.runner import load_module, random_data
from slotlang.validation.check import validate

COLUMNS = (Path(__file__).resolve().parents[2] / "programs/columns.slot").read_text()
SMALL = Parameters(4096, (36, 36, 37), 24, (), (24, 20, 18))
WIDE = Parameters(8192, (60, 60, 60), 36)
SIZES = {"d": 40, "n": 35, "r": 3, "batch": 2048}
SIGNS = """program signs(n = 4, slots = 16)
input x[n, slots]
weight A[n, n]
cipher X[k < n] = x[k, slot]
plain W[i < n, k < n] = A[i, k]
S[i < n] = sum k < n: X[k] * W[i, k]
Z[i < n] = S[i] * W[i, 0] - S[0] - X[i] * W[i, i] * W[i, i]
output y[i, slot] = Z[i]
prove y == x
"""


class World:
    """A client with a server of each kind, on the same weights."""

    def __init__(self, text: str, sizes: dict[str, int], parameters: Parameters, *, unproved: bool = False) -> None:
        program = api.loads(text, sizes)

        def made(kernel: KernelChoice) -> Any:
            return api.lower(program, parameters, target=Target(kernel=kernel), unproved=unproved)

        self.lowered = made("matrix")
        self.module: Any = load_module(self.lowered.text)
        self.inputs, weights = random_data(program, 0)
        self.weights: dict[str, Any] = dict(weights)
        self.client = self.module.Client()
        self.keys = self.client.evaluation_keys()
        self.matrix, self.seal = self.module.Server(self.keys), load_module(made("seal").text).Server(self.keys)

    def agree(self) -> dict[str, Any]:
        """Both evaluate the same bytes; residues are compared, and the counts."""
        module, upload = self.module, self.client.encrypt(**self.inputs)
        for server in (self.matrix, self.seal):
            server.encode(**self.weights)
        found = self.matrix.compute(self.matrix.load_inputs(upload))
        expected = self.seal.compute(self.seal.load_inputs(upload))
        assert self.matrix.matrices is not None, self.matrix.note
        assert +self.matrix.counts == +self.seal.counts
        assert found.keys() == expected.keys()
        for name, value in found.items():
            assert (value is None) == (expected[name] is None)
            if value is not None:
                saved = module.Saved(module._saved(expected[name]), 1 << 30)
                saved.at = 97
                assert np.array_equal(value, saved.words(2, self.matrix.ring.primes(0)))
        return dict(found)


@cache
def world() -> World:
    return World(COLUMNS, SIZES, SMALL)


@pytest.mark.parametrize("parameters", [SMALL, WIDE], ids=["36 bits", "60 bits"])
def test_bit_for_bit(parameters: Parameters) -> None:
    found = World(COLUMNS, {**SIZES, "batch": parameters.slots}, parameters)
    found.agree()
    assert len(found.matrix.matrices.products) == 2


def test_sums_of_several_depths_with_signs() -> None:
    found = World(SIGNS, {}, SMALL_ONE, unproved=True)
    assert found.lowered.validation.status == "proved"
    found.weights["A"][1] = 0
    found.matrix.prepared.clear()
    # masks are random: without them residues are equal
    for server in (found.matrix, found.seal):
        server._masks = dict
    found.agree()


SMALL_ONE = Parameters(4096, (36, 36, 37), 18)


def test_results_that_vanish() -> None:
    made = World(COLUMNS, SIZES, SMALL)
    made.weights["A"][3] = 0
    assert sum(value is None for value in made.agree().values()) == 1


def test_error_at_full_security() -> None:
    here = world()
    here.matrix.encode(**here.weights)
    found = here.client.decrypt(here.matrix.evaluate(here.client.encrypt(**here.inputs)))
    assert here.module.relative_error(found, here.module.reference(here.inputs, here.weights)) < 1e-4


def test_masks_hide_unread_slots() -> None:
    text = """program one(n = 4, slots = 16)
input x[n]
weight A[n, n]
cipher X[k < n] = x[k]
plain W[i < n, k < n] = A[i, k]
Y[i < n] = sum k < n: X[k] * W[i, k]
output y[i] = Y[i] where slot == 0
prove y == A @ x
"""
    here = World(text, {}, SMALL_ONE)
    assert here.lowered.validation.status == "proved"
    here.matrix.encode(**here.weights)
    seen: list[Any] = []
    decode = here.client.ring.decode
    here.client.ring.decode = lambda plain: (seen.append(decode(plain)), decode(plain))[1]
    found = here.client.decrypt(here.matrix.evaluate(here.client.encrypt(**here.inputs)))
    assert np.abs(found - here.module.reference(here.inputs, here.weights)).max() < 1e-2
    assert min(np.abs(slots[1:]).max() for slots in seen) > 100
    assert here.matrix.counts["masks"] == here.lowered.plan.counts.masks > 0


def test_masks_that_are_there_outlive_new_weights() -> None:
    here = World(COLUMNS, {"d": 3, "n": 2, "r": 1, "batch": 1024}, SMALL)
    server = here.matrix
    server.encode(**here.weights)
    made = list(server.prepared)
    server.encode(**here.weights)
    # also what calibration and benchmarks count on, that encoding makes masks only once
    assert len(made) == 1 and server.prepared[0] is made[0]
    server.encode(**{**here.weights, "B": here.weights["B"] * 2.0**27})
    assert server.matrices is None and server.prepared[0] is not made[0]
    found = here.client.decrypt(server.evaluate(here.client.encrypt(**here.inputs)))
    assert found.shape == (2, 1024)


def test_two_names_of_one_sum_have_masks_of_their_own() -> None:
    text = """program named_twice(n = 4, h = 1024)
input x[n, h], u[n, h]
weight A[n, n]
axes (side < 2, t < h)
cipher X[k < n] = [side == 0] * x[k, t] + [side == 1] * u[k, t]
plain W[i < n, k < n] = A[i, k]
Y[i < n] = sum k < n: X[k] * W[i, k]
Z[i < n] = Y[i]
output y[i, t] = Y[i] where side == 0
output z[i, t] = Z[i] where side == 1
prove y == A @ x
prove z == A @ u
"""
    here = World(text, {}, SMALL_ONE)
    assert here.lowered.validation.status == "proved"
    here.matrix.encode(**here.weights)
    found = here.client.decrypt(here.matrix.evaluate(here.client.encrypt(**here.inputs)))
    expected = here.module.reference(here.inputs, here.weights)
    assert here.matrix.matrices is not None
    assert all(here.module.relative_error(found[name], expected[name]) < 1e-2 for name in "yz")


def test_masks_are_added_as_seal_adds_plaintexts() -> None:
    for parameters in (SMALL, WIDE):
        here = World(COLUMNS, {"d": 2, "n": 2, "r": 1, "batch": parameters.slots // 2}, parameters)
        module, ring = here.module, here.matrix.ring
        record = next(iter(module.unpack("inputs", here.client.encrypt(**here.inputs), list(module.packed())).values()))
        shape = (2, len(ring.primes(0)), parameters.degree)
        wide = module.part_mask(ring, 0, ring.scale(0), "re")
        narrow = module.slot_mask(ring, 0, 0, np.arange(module.SLOTS) % 2 == 1)
        cipher = module.load_ciphertext(ring, record, 0)
        for mask in (wide, narrow):
            out = module.seal.Ciphertext()
            module.seal.Evaluator(ring.context).add_plain(cipher, mask, out)
            saved = module.Saved(module._saved(out), 1 << 30)
            saved.at = 97
            (residues,) = module.mask_residues(ring, {"y": [mask]})["y"]
            value = module.load_residues(ring, record, np.empty(shape, np.uint64))
            assert np.array_equal(module.add_masks(ring, value, [residues]), saved.words(2, ring.primes(0)))


def test_constants_are_the_integers_of_the_encoder() -> None:
    ring = world().matrix.ring
    rng = np.random.default_rng(0)
    values = [
        *(rng.standard_normal(50) * 10.0 ** rng.integers(-6, 4, 50)),
        0.5,
        -0.5,
        1.5,
        2.5,
        -2.5,
        0.49999999999999994,
    ]
    for value in values:
        # scale 1 for halves, 2^20 for the rest
        for scale in (1.0, 2.0**20):
            plain = world().module.seal.Plaintext()
            ring.encoder.encode(float(value), ring.levels[0], scale, plain)
            number = world().module.integer(ring, float(value), 0, scale)
            data = world().module._saved(plain)
            residues = world().module.residues_of(data, ring.primes(0))
            assert (residues == [[number % prime] for prime in ring.primes(0)]).all()


def test_seeds_expand_as_in_seal() -> None:
    for parameters in (SMALL, WIDE):  # of 60-bit primes one draw in 16 is thrown away
        here = World(COLUMNS, {"d": 2, "n": 2, "r": 1, "batch": parameters.slots}, parameters)
        module, ring = here.module, here.matrix.ring
        record = next(iter(module.unpack("inputs", here.client.encrypt(**here.inputs), list(module.packed())).values()))
        saved = module.Saved(module._saved(module.load_ciphertext(ring, record, 0)), 1 << 30)
        saved.at = 97
        wanted = saved.words(2, ring.primes(0))
        assert np.array_equal(module.load_residues(ring, record, np.empty_like(wanted)), wanted)


def test_memory_is_taken_again_only_when_nobody_holds_it() -> None:
    here = World(COLUMNS, {"d": 3, "n": 2, "r": 1, "batch": 2048}, SMALL)
    server, uploads = here.matrix, [here.client.encrypt(x=n * here.inputs["x"]) for n in range(3)]
    server.encode(**here.weights)
    held = [server.load_inputs(upload) for upload in uploads]
    kept = [{name: value.copy() for name, value in cipher.items()} for cipher in held]
    results = [server.compute(cipher) for cipher in held]
    copied = [{name: value.copy() for name, value in result.items()} for result in results]
    again = [server.compute(cipher) for cipher in held]
    for a, b in zip(held + results + again, kept + copied + copied, strict=True):
        assert all(np.array_equal(value, b[name]) for name, value in a.items())
    one = next(iter(held[2].values()))
    del held, a
    server.load_inputs(uploads[0])
    assert np.array_equal(one, next(iter(kept[2].values())))
    assert len({next(iter(server.load_inputs(upload).values())).ctypes.data for upload in uploads}) == 1


@pytest.mark.parametrize(("kernel", "used"), [("auto", None), ("seal", False), ("matrix", True)])
def test_cost_predicts_what_is_lowered(kernel: KernelChoice, used: bool | None) -> None:
    program = api.loads(COLUMNS, SIZES)
    found = api.cost(program, SMALL, target=Target(kernel=kernel))
    plan = api.plan(program, SMALL, target=Target(kernel=kernel))
    assert isinstance(plan.matrix, MatrixForm)
    used = plan.matrix.faster if used is None else used
    assert found.kernel == plan.kernel == (kernel if kernel != "auto" else "matrix" if used else "fused")
    coefficients = SIZES["r"] * (SIZES["d"] + SIZES["n"])
    assert found.weight_bytes == coefficients * (8 if used else SMALL.plaintext_bytes())
    other = api.cost(program, SMALL, target=Target(kernel="fused" if used else "matrix")).predicted
    assert (found.predicted.evaluation != other.evaluation) and (found.predicted.encoding < other.encoding) == used


@pytest.mark.parametrize("values", [np.nan, np.inf, -np.inf, 1j, [1.0, 2.0], [np.nan] * 2, np.array([1.0, np.inf])])
def test_what_is_no_constant_is_rejected(values: Any) -> None:
    with pytest.raises(world().module.Rejected, match=r"NaN or infinity|one real number"):
        world().matrix.ring.encode(values)


def test_numbers_are_constants_in_any_form() -> None:
    ring = world().matrix.ring
    forms = [3, 3.0, np.float64(3), np.float32(3), np.array(3.0), np.full(8, 3.0), 3 + 0j, np.full(8, 3 + 0j), [3, 3]]
    assert {ring.encode(form).number for form in forms} == {3 * 2**20}
    assert all(ring.encode(form) is None for form in (0, 0.0, -0.0, np.zeros(8), 1e-30))


def test_coefficients_of_a_module_must_not_be_changed() -> None:
    # the stand-in evaluates sums without the matrix they become
    text = world().lowered.text
    assert "+= sign * number" in text
    found = validate(text.replace("+= sign * number", "+= number"), world().lowered.plan.program)
    assert found.status == "unknown" and "Stage was changed" in found.what


def test_numbers_beyond_the_modulus_are_rejected() -> None:
    for value in (1e16, 1e200, 1.7e308):
        with pytest.raises(world().module.Rejected, match="too large here"):
            world().matrix.ring.encode(value)


def test_coefficients_too_large_are_left_to_seal() -> None:
    here = World(COLUMNS, {**SIZES, "d": 4, "n": 4}, SMALL)
    here.matrix.encode(**{**here.weights, "B": here.weights["B"] * 2.0**27})
    assert here.matrix.matrices is None and "coefficients that add up to 2^4" in here.matrix.note


def test_seal_evaluates_what_matrices_can_not() -> None:
    here = World(COLUMNS, {**SIZES, "d": 4, "n": 4}, SMALL)
    here.module.MAX_ENTRIES = 1
    here.matrix.encode(**here.weights)
    assert here.matrix.matrices is None and "3 x 4" in here.matrix.note
    found = here.client.decrypt(here.matrix.evaluate(here.client.encrypt(**here.inputs)))
    assert here.module.relative_error(found, here.module.reference(here.inputs, here.weights)) < 1e-4


@pytest.mark.parametrize("bits", [7, 18, 33, 46])
@pytest.mark.parametrize("prime", [(1 << 36) - 5, (1 << 60) - 93, 65537])
def test_reduction_is_exact_at_its_bound(bits: int, prime: int) -> None:
    module = world().module
    rng = np.random.default_rng(bits)
    columns = 5
    largest = 2 ** (53 - bits) // columns
    matrix = rng.integers(-largest, largest, (6, columns), endpoint=True)
    matrix[0], matrix[1] = largest, -largest
    residues = rng.integers(0, prime, (columns, 40), dtype=np.uint64)
    residues[:, :2], residues[:, 2] = prime - 1, 0
    product = module.Product(SimpleNamespace(matrix=lambda: matrix.astype(float), at=list(range(columns))))
    assert product.bits >= bits - 1
    product.bits = bits
    found = np.concatenate(list(product.run(lambda at: residues[at], prime)))
    expected = matrix.astype(object) @ residues.astype(object) % prime
    assert (found == expected).all()


def test_weights_come_back_and_damaged_ones_do_not() -> None:
    here = world()
    module = here.module
    here.matrix.encode(**here.weights)
    data = here.matrix.weights_to_bytes()
    other = module.Server(here.keys)
    other.weights_from_bytes(data)
    assert other.weights_to_bytes() == data
    records = module.unpack("constants", data, list(module.table_of(module.PLAINTEXTS)))
    name = next(iter(records))
    for wrong in (b"", b"\0", b"\1\0\0\0\0", b"\1" * 40):
        with pytest.raises(module.Rejected, match="constant"):
            other.weights_from_bytes(module.pack("constants", {**records, name: wrong}))
    with pytest.raises(module.Rejected):
        other.weights_from_bytes(data[:-1])


def test_damaged_ciphertexts_are_rejected() -> None:
    module, ring = world().module, world().matrix.ring
    record = next(
        iter(module.unpack("inputs", world().client.encrypt(**world().inputs), list(module.packed())).values())
    )
    body = bytearray(module.Saved(record, 1 << 20).body)
    room = np.empty((2, len(ring.primes(0)), module.PARAMETERS["degree"]), np.uint64)

    def rejected(change: Any) -> None:
        made = bytearray(body)
        change(made)
        data = module._header() + struct.pack("<Q", 16 + len(made)) + bytes(made)
        with pytest.raises(module.Rejected):
            module.load_residues(ring, data, room)

    rejected(lambda b: b.__setitem__(0, b[0] ^ 1))
    rejected(lambda b: b.__setitem__(slice(97, 105), b"\xff" * 8))
    rejected(lambda b: b.extend(b"x"))
    rejected(lambda b: b.__delitem__(slice(-1, None)))
    rejected(lambda b: b.__setitem__(-65, 9))
    for at in (2, 3, 5, 8, len(record) - 1):
        damaged = bytearray(record)
        damaged[at] ^= 0x41
        with pytest.raises(module.Rejected):
            module.load_residues(ring, bytes(damaged) if at != len(record) - 1 else record[:-1], room)


# Each changes what the plan computes.
WRONG = [
    ('terms += [(a, 1 if sign == "+" else -1)]', "terms += [(a, 1)]"),
    ("(of, s * sign, constant)", "(of, s, constant)"),
    ("waiting += [of for of, _, _ in value.terms]", "waiting += [value.terms[0][0]]"),
    (
        "scale = self.factor(level, products)\n        number",
        "scale = 2 * self.factor(level, products)\n        number",
    ),
    ("for depth in sorted(levels)", "for depth in sorted(levels, reverse=True)"),
]


@pytest.mark.parametrize(("old", "new"), WRONG, ids=range(len(WRONG)))
def test_a_changed_plan_is_never_proved(old: str, new: str) -> None:
    program = api.loads(SIGNS)
    text = api.lower(program, SMALL_ONE, target=Target(kernel="matrix"), unproved=True).text
    assert old in text
    found = validate(text.replace(old, new), program, proved=False)
    assert found.status != "proved"


def test_where_matrices_fit() -> None:
    def form(text: str, sizes: dict[str, int] | None = None) -> MatrixForm | GaveUp:
        return api.plan(api.loads(text, sizes)).matrix

    wide = form(COLUMNS, {"d": 384, "r": 16})
    assert isinstance(wide, MatrixForm) and wide.faster
    assert [(s.rows, s.columns) for s in wide.stages] == [(16, 384), (384, 16)]
    assert "more than one real number" in str(form(SIGNS.replace("= A[i, k]", "= A[i, k] * [slot < 3]")))
    assert "rotation" in str(form(SIGNS.replace("- S[0]", "- (S[0] << 1)")))


def test_what_has_no_matrices_is_an_error() -> None:
    with pytest.raises(SlotError) as refused:
        api.plan(api.loads(SIGNS.replace("- S[0]", "- (S[0] << 1)")), target=Target(kernel="matrix"))
    assert refused.value.diagnostics[0].code == "SL472"
