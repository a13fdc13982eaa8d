"""Matrix products over residues: bit for bit what SEAL's operations give, and refused where they are not exact."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tenseal.sealapi as seal
import worlds
from worlds import error, input_cipher, rerecorded, residues

from slotlang.planning.parameters import Parameters
from slotlang_runtime import Client, EvaluationKeys, Rejected, Server, Weights
from slotlang_runtime.engine import SealEngine, encoded_plaintexts
from slotlang_runtime.masks import slot_mask
from slotlang_runtime.matrix import products, recording
from slotlang_runtime.matrix.constants import Constant, Constants, Impossible
from slotlang_runtime.matrix.engine import MatrixEngine, add_masks
from slotlang_runtime.matrix.products import Product
from slotlang_runtime.matrix.recording import LEAST_PIECE, Plan, Recording, Stage, Sum
from slotlang_runtime.records import read_fresh, result_record
from slotlang_runtime.seal.memory import residues_of
from slotlang_runtime.seal.saved import saved
from slotlang_runtime.wire import unpack

COLUMNS = (Path(__file__).resolve().parents[2] / "programs/columns.slot").read_text(encoding="utf-8")
SMALL = Parameters(4096, (36, 36, 37), 24, (), (24, 20, 18))
SMALL_ONE = Parameters(4096, (36, 36, 37), 18)
WIDE = Parameters(8192, (60, 60, 60), 36)
SIZES = {"d": 40, "n": 35, "r": 3, "batch": 2048}
FEW = {"d": 4, "n": 4, "r": 3, "batch": 2048}
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


class World(worlds.World):
    """A client with a server of each kind, on the same weights."""

    def __init__(self, text: str, sizes: dict[str, int], parameters: Parameters, **options: Any) -> None:
        super().__init__(text, parameters, sizes=sizes, kernel="matrix", **options)

    def encode(self, **changed: Any) -> MatrixEngine:
        """The weights again, some of them changed."""
        self.weights.update(changed)
        self.encoded = Weights.encode(self.module, **self.weights)
        self.server = Server(self.encoded)
        return self.engine

    @property
    def engine(self) -> MatrixEngine:
        engine = self.encoded.engine
        assert isinstance(engine, MatrixEngine)
        return engine

    def agree(self) -> dict[Any, Any]:
        """Both ways evaluate the same bytes: residues without masks are compared, and the counts."""
        records = unpack("inputs", self.upload).records
        arrays = {n: np.asarray(a, float) for n, a in self.weights.items()}
        weights = {n: a if a.ndim else a[()] for n, a in arrays.items()}
        reference = SealEngine(self.module, self.ring, encoded_plaintexts(self.module, self.ring, weights))
        found, expected = (
            engine.run(engine.load([r for r in records.values() if r is not None]), self.keys, {})
            for engine in (self.engine, reference)
        )
        assert self.engine.note == "" and self.engine._matrices is not None
        assert (+found.counts, found.vanished) == (+expected.counts, expected.vanished)
        assert found.results.keys() == expected.results.keys()
        for name, value in found.results.items():
            assert (value is None) == (expected.results[name] is None)
            if value is not None:
                assert np.array_equal(value, residues(self.ring, expected.results[name]))
        return dict(found.results)


@cache
def world() -> World:
    return World(COLUMNS, SIZES, SMALL)


def constants() -> Constants:
    return Constants(world().module.parameters, world().module.slots)


def record_of(here: worlds.World) -> Any:
    return next(iter(unpack("inputs", here.upload).records.values()))


@pytest.mark.parametrize("parameters", [SMALL, WIDE], ids=["36 bits", "60 bits"])
def test_bit_for_bit(parameters: Parameters) -> None:
    here = World(COLUMNS, {**SIZES, "batch": parameters.slots}, parameters)
    here.agree()
    assert here.engine._matrices is not None and len(here.engine._matrices.products) == 2


@pytest.mark.parametrize("tile", [products.TILE, (512, 2), (4096, 1), (1000, 3)])
def test_sums_of_several_depths_with_signs(tile: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """However many rows and columns are worked on at once."""
    here = World(SIGNS, {}, SMALL_ONE)
    a = here.weights["A"].copy()
    a[1] = 0
    monkeypatch.setattr(products, "TILE", tile)
    here.encode(A=a)
    here.agree()


def test_results_that_vanish() -> None:
    here = World(COLUMNS, SIZES, SMALL)
    a = here.weights["A"].copy()
    a[3] = 0
    here.encode(A=a)
    assert sum(value is None for value in here.agree().values()) == 1
    assert error(here.result(), here.expected()) < 0.1


def test_error_at_full_security() -> None:
    here = world()
    found, expected = here.result(), here.expected()
    assert np.sqrt(np.mean((found - expected) ** 2) / np.mean(expected**2)) < 1e-4


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
    seen: list[Any] = []
    decode = here.client.coder.decode_all

    def watched(*given: Any) -> Any:
        found = decode(*given)
        seen.extend(found[0])
        return found

    here.client.coder.decode_all = watched  # type: ignore[method-assign]
    answer = here.answer()
    assert error(here.client.decrypt(answer.data), here.expected()) < 1e-2
    assert len(seen) == 4 and min(np.abs(slots[1:16]).max() for slots in seen) > 100
    assert answer.counts["masks"] == here.plan.counts.masks > 0


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
    found, expected = here.result(), here.expected()
    assert here.server.note == ""
    for name in "yz":
        size = np.sqrt(np.mean(expected[name] ** 2))
        assert np.sqrt(np.mean((found[name] - expected[name]) ** 2)) < 1e-2 * size


def test_masks_are_added_as_seal_adds_plaintexts() -> None:
    for parameters in (SMALL, WIDE):
        here = World(COLUMNS, {"d": 2, "n": 2, "r": 1, "batch": parameters.slots // 2}, parameters)
        ring = here.ring
        record = record_of(here)
        shape = (2, len(ring.primes(0)), parameters.degree)
        cipher = input_cipher(ring, record)
        for count in (1, 2):
            mask = slot_mask(ring, 0, 0, np.tile(np.arange(here.module.slots) % 2 < count, (2, 1)), 16)
            out = seal.Ciphertext()
            seal.Evaluator(ring.context).add_plain(cipher, mask, out)
            value = read_fresh(record, ring, out=np.empty(shape, np.uint64))
            added = add_masks(ring, value, [residues_of(ring, mask)])
            assert added is value and np.array_equal(added, residues(ring, out))


def test_constants_are_the_integers_of_the_encoder() -> None:
    ring, encoder = constants(), world().ring.encoder
    rng = np.random.default_rng(0)
    halves = [0.5, -0.5, 1.5, 2.5, -2.5, 0.49999999999999994]
    for value in [*(rng.standard_normal(50) * 10.0 ** rng.integers(-6, 4, 50)), *halves]:
        # scale 1 for halves, 2^20 for the rest
        for scale in (1.0, 2.0**20):
            plain = seal.Plaintext()
            encoder.encode(float(value), ring.levels[0], scale, plain)
            number = ring._integer(float(value), 0, scale)
            assert (residues_of(ring, plain) == [[number % prime] for prime in ring.primes(0)]).all()
            if number:
                made = ring.plaintext(Constant(number, 0, scale))
                assert saved(made) == saved(plain)


def test_seeds_expand_as_in_seal() -> None:
    for parameters in (SMALL, WIDE):  # of 60-bit primes one draw in 16 is thrown away
        here = World(COLUMNS, {"d": 2, "n": 2, "r": 1, "batch": parameters.slots}, parameters)
        record = record_of(here)
        wanted = residues(here.ring, input_cipher(here.ring, record))
        assert np.array_equal(read_fresh(record, here.ring), wanted)


def test_memory_is_taken_again_only_when_nobody_holds_it() -> None:
    here = World(COLUMNS, {"d": 3, "n": 2, "r": 1, "batch": 2048}, SMALL)
    server, uploads = here.server, [here.client.encrypt(x=n / 2 * here.inputs["x"]) for n in range(3)]
    held = [server.load(upload) for upload in uploads]
    kept = [{name: value.copy() for name, value in cipher.items()} for cipher in held]
    results = [here.engine.run(dict(cipher), here.keys, {}).results for cipher in held]
    copied = [{name: value.copy() for name, value in result.items()} for result in results]
    again = [here.engine.run(dict(cipher), here.keys, {}).results for cipher in held]
    for a, b in zip(held + results + again, kept + copied + copied, strict=True):
        assert all(np.array_equal(value, b[name]) for name, value in a.items())
    one = next(iter(held[2].values()))
    del held, a
    server.load(uploads[0])
    assert np.array_equal(one, next(iter(kept[2].values())))
    del one
    assert len({next(iter(server.load(upload).values())).ctypes.data for upload in uploads}) == 1


@pytest.mark.parametrize("values", [np.nan, np.inf, -np.inf, 1j, [1.0, 2.0], [np.nan] * 2, np.array([1.0, np.inf])])
def test_what_is_not_a_constant_is_rejected(values: Any) -> None:
    with pytest.raises(Rejected, match=r"NaN or infinity|one real number"):
        constants().encode(values)


def test_constants_are_not_added() -> None:
    with pytest.raises(Rejected, match="added, and matrices only multiply"):
        constants().encode(1.0, added=True)


def test_numbers_are_constants_in_any_form() -> None:
    ring = constants()
    forms = [3, 3.0, np.float64(3), np.float32(3), np.array(3.0), np.full(8, 3.0), 3 + 0j, np.full(8, 3 + 0j), [3, 3]]
    assert {ring.encode(form).number for form in forms} == {3 * 2**20}
    assert all(ring.encode(form) is None for form in (0, 0.0, -0.0, np.zeros(8), 1e-30))
    second = ring.encode(3, products=1)
    assert (second.number, second.level, second.scale) == (3 * 2**18, 0, 2.0**18)


def test_numbers_beyond_the_modulus_are_rejected() -> None:
    for value in (1e16, 1e200, 1.7e308):
        with pytest.raises(Rejected, match="too large here"):
            constants().encode(value)


@pytest.mark.parametrize("what", ["coefficients", "entries", "products"])
def test_what_matrices_can_not_do_is_left_to_seal(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # weights of 50 bits, and little room above their products
    fine = Parameters(4096, (36, 36, 37), 10, (), (10, 48, 5))
    here = World(COLUMNS, FEW, fine if what == "coefficients" else SMALL)
    if what == "entries":
        monkeypatch.setattr(recording, "MAX_ENTRIES", 1)
    if what == "products":
        monkeypatch.setattr(products, "reduced", lambda sums, bits, prime: np.zeros(sums.shape[1:], np.uint64))
    engine = here.encode()
    message = {
        "coefficients": "coefficients that add up to 2^4",
        "entries": "a matrix of 3 x 4 coefficients",
        "products": "matrix products that are not exact on this machine",
    }[what]
    assert engine._matrices is None
    assert engine.note.startswith("evaluated by SEAL's operations, for matrices can't: ") and message in engine.note
    monkeypatch.undo()
    # bytes of weights, and evaluations of them, are the same either way
    answer = here.answer()
    assert answer.counts == here.plan.counts.executed()
    found, expected = here.client.decrypt(answer.data), here.expected()
    if what != "coefficients":
        assert error(found, expected) < 1e-2
    assert Weights.from_bytes(here.module, here.encoded.to_bytes()).to_bytes() == here.encoded.to_bytes()


def test_the_reference_gives_the_same_bits_where_matrices_can_not(monkeypatch: pytest.MonkeyPatch) -> None:
    here = World(COLUMNS, FEW, SMALL)
    exact = here.agree()
    monkeypatch.setattr(recording, "MAX_ENTRIES", 1)
    engine = here.encode()
    left = engine.run(here.server.load(here.upload), here.keys, {}).results
    for name, value in left.items():
        assert np.array_equal(exact[name], residues(here.ring, value))


@pytest.mark.parametrize("bits", [7, 18, 33, 46])
@pytest.mark.parametrize("prime", [(1 << 36) - 5, (1 << 60) - 93, 65537])
def test_reduction_is_exact_at_its_bound(bits: int, prime: int) -> None:
    rng = np.random.default_rng(bits)
    columns = 5
    largest = 2 ** (53 - bits) // columns
    matrix = rng.integers(-largest, largest, (6, columns), endpoint=True)
    matrix[0], matrix[1] = largest, -largest
    given = rng.integers(0, prime, (columns, 40), dtype=np.uint64)
    given[:, :2], given[:, 2] = prime - 1, 0
    inputs = [Sum([], 1.0, ("X", n)) for n in range(columns)]
    rows = [Sum([(inputs[n], 1, Constant(int(c), 0, 1.0)) for n, c in enumerate(row)], 1.0) for row in matrix]
    stage = Stage(rows, {id(value): n for n, value in enumerate(inputs)})
    product = Product(stage)
    assert product.bits >= bits - 1
    product.bits = bits
    found = np.concatenate(list(product.run(lambda at: given[at], prime)))
    assert (found == matrix.astype(object) @ given.astype(object) % prime).all()


# what is recorded


def planned(text: str, **weights: Any) -> tuple[World, Plan]:
    here = World(text, {}, SMALL_ONE)
    here.encode(**weights)
    return here, here.engine.plan


def test_what_is_recorded_is_the_linear_form() -> None:
    """Multiplied out, the stages are what numpy says of unit inputs."""
    rng = np.random.default_rng(3)
    a = rng.integers(-40, 40, (4, 4)) / 8
    plan = planned(SIGNS, A=a)[1]
    values = list(np.eye(len(plan.inputs)))
    for stage in plan.stages:
        operands = np.array([values[n] for n in stage.at])
        values.extend(stage.matrix() @ operands)
    # each of two products has a factor of 2^18: S[0] is multiplied by one
    for (_, i), at in plan.at.items():
        assert at is not None
        wanted = a[i, 0] * a[i] - a[0]
        wanted[i] -= a[i, i] ** 2
        assert np.array_equal(values[at], wanted * 2.0**36)


def test_operations_record_terms() -> None:
    operations = Recording(constants())
    x, z = (Sum([], 2.0**24, (name,)) for name in "XZ")
    w = Constant(5, 0, 2.0**20)
    product = operations.multiply_plain(x, w)
    assert (product.terms, product.scale, product.depth, product.used) == ([(x, 1, w)], 2.0**44, 1, False)
    other = operations.multiply_plain(z, Constant(7, 0, 2.0**20))
    total = operations.add(product, other, -1, owned=False)
    assert [(of.name, sign, c.number if c else None) for of, sign, c in total.terms] == [
        (("X",), 1, 5),
        (("Z",), -1, 7),
    ]
    minus = operations.negate(total)
    assert [sign for _, sign, _ in minus.terms] == [-1, 1]
    # once used, it has a place of its own
    again = operations.add(total, product, 1, owned=False)
    assert [of for of, _, _ in again.terms] == [total, product] and again.depth == 2
    grown = operations.add(again, minus, -1, owned=True)
    assert grown is again
    assert [(of.name, sign) for of, sign, _ in grown.terms[2:]] == [(("X",), 1), (("Z",), -1)]
    plain = operations.add(x, z, 1, owned=False)
    assert plain.terms == [(x, 1, None), (z, 1, None)]
    assert operations.dot([(x, w)]) is None


def test_depths_are_of_the_deepest_term() -> None:
    operations = Recording(constants())
    x = Sum([], 1.0, ("X",))
    w = Constant(1, 0, 1.0)
    first = operations.multiply_plain(x, w)
    second = operations.multiply_plain(first, w)
    total = operations.add(operations.multiply_plain(x, w), second, 1, owned=True)
    assert (first.depth, second.depth, total.depth) == (1, 2, 2)
    third = operations.multiply_plain(second, w)
    assert operations.add(total, third, 1, owned=True).depth == 3


def test_scales_are_kept_as_seal_keeps_them() -> None:
    ring = constants()
    operations = Recording(ring)
    x = Sum([], 2.0**24, ("X",))
    with pytest.raises(Rejected, match="the terms of a sum have different scales"):
        operations.add(x, Sum([], 2.0**25, ("Z",)), 1, owned=False)
    with pytest.raises(Rejected, match="a product's scale is larger than the modulus"):
        operations.multiply_plain(x, Constant(1, 0, 2.0 ** (ring.modulus_bits[0] - 24)))
    assert operations.multiply_plain(x, Constant(1, 0, 2.0 ** (ring.modulus_bits[0] - 25))).scale


def test_other_operations_are_impossible() -> None:
    operations = Recording(constants())
    x = Sum([], 1.0, ("X",))
    for name in ("rotate", "conjugate", "multiply", "rescale", "add_plain", "zero"):
        with pytest.raises(Impossible, match="neither a product with a constant nor a sum"):
            getattr(operations, name)(x, x)


def test_stages_follow_each_other() -> None:
    here, plan = planned(SIGNS)
    place = {id(value): n for n, value in enumerate(plan.inputs)}
    for stage in plan.stages:
        assert all(
            id(source) in place and place[id(source)] == at for source, at in zip(stage.sources, stage.at, strict=True)
        )
        for value in stage.sums:
            place[id(value)] = len(place)
    assert all(at is not None and at >= len(plan.inputs) for at in plan.at.values())
    assert plan.counts == Counter({k: v for k, v in here.answer().counts.items() if k != "masks"})


def test_coefficients_that_are_exact_to_the_last() -> None:
    x = Sum([], 1.0, ("X",))
    largest = 1 << 53 - LEAST_PIECE
    place = {id(x): 0}
    whole = Stage([Sum([(x, 1, Constant(largest - 1, 0, 1.0)), (x, -1, None)], 1.0)], place)
    assert whole.matrix().tolist() == [[largest - 2]]
    with pytest.raises(Impossible, match=r"coefficients that add up to 2\^46\.0"):
        Stage([Sum([(x, 1, Constant(-largest, 0, 1.0)), (x, -1, None)], 1.0)], place).matrix()


def test_a_result_at_another_scale_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    here = World(COLUMNS, FEW, SMALL)
    families = here.module.returned()
    wrong = {name: replace(family, products=family.products - 1) for name, family in families.items()}
    monkeypatch.setattr(type(here.module), "returned", lambda self: wrong)
    with pytest.raises(Rejected, match="is not at the scale this program has there"):
        here.encode()


# bytes


def test_weights_come_back_and_damaged_ones_do_not() -> None:
    here = world()
    data = here.encoded.to_bytes()
    again = Weights.from_bytes(here.module, data)
    assert again.to_bytes() == data and isinstance(again.engine, MatrixEngine)
    name = next(iter(unpack("weights", data).records))
    for wrong in (b"", b"\0", b"\1\0\0\0\0", b"\1\0", b"\xff\xff"):
        with pytest.raises(Rejected, match="is not written as this program writes it"):
            Weights.from_bytes(here.module, rerecorded("weights", data, **{name: wrong}))
    bits = constants().modulus_bits
    for wrong in (b"\1" * 40, (1 << bits[0]).to_bytes(bits[0] // 8 + 1, "little")):
        with pytest.raises(Rejected, match="is larger than the modulus"):
            Weights.from_bytes(here.module, rerecorded("weights", data, **{name: wrong}))
    with pytest.raises(Rejected):
        Weights.from_bytes(here.module, data[:-1])


def test_negative_and_zero_weights_come_back() -> None:
    here = World(COLUMNS, FEW, SMALL)
    b = here.weights["B"].copy()
    b[0], b[1, 1] = -np.abs(b[0]) * 6, 0
    here.encode(B=b)
    assert here.engine.zeros == 1
    again = Weights.from_bytes(here.module, here.encoded.to_bytes())
    assert again.engine.zeros == 1
    found = here.client.decrypt(Server(again).evaluate(here.upload, here.keys).data)
    assert error(found, here.expected()) < 1.0
    assert error(found, here.result()) < 1e-6


def test_damaged_ciphertexts_are_rejected() -> None:
    record = bytes(record_of(world()))

    def rejected(data: bytes, message: str) -> None:
        with pytest.raises(Rejected, match=message):
            next(iter(world().engine.load([memoryview(data)] * len(world().module.packed())).values()))

    for at, message in ((0, "the mark"), (8, "parameters"), (40, "degree"), (48, "primes"), (56, "scale")):
        rejected(record[:at] + bytes([record[at] ^ 1]) + record[at + 1 :], message)
    rejected(record[:-1], "bytes of residues")
    rejected(record + b"x", "bytes of residues")
    rejected(record[:-9] + b"\xff" * 9, "not below its prime")


def test_a_ciphertext_that_anyone_can_read_is_refused() -> None:
    ring = world().ring
    words = np.ones((2, len(ring.primes(0)), ring.degree), np.uint64)
    assert np.array_equal(read_fresh(result_record(ring, words, 0, 0, None), ring), words)
    words[1] = 0
    with pytest.raises(Rejected, match="not encrypted: anyone could read it"):
        read_fresh(result_record(ring, words, 0, 0, None), ring)


def test_two_clients_of_one_server() -> None:
    here = world()
    second = Client(here.module)
    keys = EvaluationKeys.from_bytes(second.evaluation_keys())
    x = here.inputs["x"] + 1
    found = second.decrypt(here.server.evaluate(second.encrypt(x=x), keys).data)
    assert error(found, here.expected(x=x)) < 1e-2
