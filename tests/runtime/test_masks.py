"""What the key holder decrypts besides the result: nothing that tells of anything else, and the result unchanged."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tenseal.sealapi as seal
import worlds
from amounts import one_in
from command_line import slotlang
from exact_slots import Run
from worlds import PAIRS, SMALL, decoded_twice, emitted, sent_cipher

from slotlang import api
from slotlang.diagnostics import SlotError
from slotlang.planning.hiding import read_slots
from slotlang.planning.parameters import Parameters
from slotlang.planning.target import HIDES, Hide, KernelChoice, Target
from slotlang.run.runner import execute, load_module, random_data
from slotlang_runtime import Client, Rejected, Server, Weights
from slotlang_runtime.kernels.engine import ResidueEngine
from slotlang_runtime.masks import fresh_masks, hidden_in, slot_mask, uniform
from slotlang_runtime.records import read_result, result_record
from slotlang_runtime.residues import packed_size
from slotlang_runtime.seal.halves import Part
from slotlang_runtime.seal.memory import residues_of
from slotlang_runtime.wire import unpack

ROOT = Path(__file__).resolve().parents[2]


REAL_COLUMNS = """program real(n = 4, slots = 2048)
input x[n, slots], u[n, slots]
weight A[n, n]
cipher X[k < n] = x[k, slot] + 1i * u[k, slot]
plain W[i < n, k < n] = A[i, k]
Y[i < n] = sum k < n: X[k] * W[i, k]
output y[i, slot] = re Y[i]
prove y == A @ x
"""


ROOMY = Parameters(8192, (60, 60, 60), 28)
"""With 36 bits of room above the scale of results behind two products: enough for masks of slots."""

TIGHT = Parameters(4096, (40, 40, 29), 20)
"""With 20 bits of room."""

MASKED = PAIRS.replace("sum q < r/2: S[q] * V[q]", "(sum q < r/2: S[q] * V[q]) << d")
"""After a rotation the last weights can't make slots zero. What it rotates has a period of d: results are the same."""


class World(worlds.World):
    def raw(self, name: tuple[Any, ...] = ("Y",)) -> Any:
        """What a key holder decrypts who does not do what the client does: a plaintext."""
        family = self.module.returned()[name]
        record = unpack("results", self.answer().data).records[repr(name)]
        assert record is not None
        plain = seal.Plaintext()
        part = hidden_in(self.module)[name].read_part if name in hidden_in(self.module) else None
        cipher, _ = sent_cipher(self.ring, record, family.level, family.products, part)
        self.client.secret.decryptor.decrypt(cipher, plain)
        return plain


def record_of(w: World) -> tuple[Any, int, int]:
    """The first result that is sent, with its level and products."""
    name, family = next(iter(w.module.returned().items()))
    record = unpack("results", w.answer().data).records[repr(name)]
    assert record is not None
    return record, family.level, family.products


@cache
def world(hide: Hide, text: str = MASKED) -> World:
    return World(text, ROOMY, hide=hide)


def parts(w: World) -> tuple[Any, Any]:
    """Result and what the imaginary part carries, in plain numbers."""
    a, b, x = w.weights["A"], w.weights["B"], w.inputs["x"]
    u = b @ x
    return a @ u, a[:, :2] @ u[2:] - a[:, 2:] @ u[:2]


def test_nothing_is_hidden_on_request_only() -> None:
    w = world("none")
    result, other = parts(w)
    seen = w.ring.decode(w.raw())[:8]
    assert np.abs(seen.real - result).max() < 1e-2
    assert np.abs(seen.imag - other).max() < 1e-2
    assert not w.plan.counts.masks


@pytest.mark.parametrize("kernel", ["seal", "compiled", "matrix"])
@pytest.mark.parametrize("part", ["re", "im"])
def test_half_of_c0_is_all_that_is_sent(kernel: KernelChoice, part: Part) -> None:
    """Results as if nothing were hidden, fewer bytes, and nothing of the other part, for any kernel."""
    text = PAIRS.replace("slots = 16", "slots = 8") if kernel != "matrix" else REAL_COLUMNS
    # of imaginary parts the theorem is another one, which nobody proves here
    text = text.replace("re Y", f"{part} Y")
    a = World(text, kernel=kernel)
    b = World(text, hide="none", kernel=kernel, secret=a.client.secret)
    assert a.server.note == ""
    hidden, shown = a.answer().data, b.server.evaluate(a.upload, a.keys).data
    found, expected = a.client.decrypt(hidden), b.client.decrypt(shown)
    assert np.abs(found - expected).max() < 1e-9 < np.abs(expected).max()
    records = unpack("results", hidden).records
    families = a.module.returned()
    assert set(records) == {repr(name) for name in families}
    for name, family in families.items():
        record = records[repr(name)]
        assert record is not None
        # 36 bits for each residue: half of the first polynomial, and the second
        assert len(record) == 72 + 36 * 2 * 4096 * 3 // 2 // 8
        cipher, h = sent_cipher(a.ring, record, 0, family.products, part)
        words = worlds.residues(a.ring, cipher)
        assert np.array_equal(words[0], h)
        for row, prime in zip(h, a.ring.primes(0), strict=True):
            signs = row[::-1] if part == "re" else (prime - row[::-1]) % prime
            assert np.array_equal(row, signs)


@pytest.mark.parametrize("part", ["re", "im"])
def test_what_is_sent_is_what_the_part_allows(part: Part) -> None:
    """Both directions of the proof in docs/security.md: (h, c1) follows from the ciphertext under a uniform mask of the
    other part, and the masked ciphertext is distributed as what follows from (h, c1)."""
    w = World(PAIRS, TIGHT)
    ring, rng = w.ring, np.random.default_rng(1)
    values = rng.standard_normal(16) + 1j * rng.standard_normal(16)
    cipher = seal.Ciphertext()
    w.client.secret.encryptor.encrypt_symmetric(ring.encode(values, added=True), cipher)
    words = worlds.residues(ring, cipher)
    sign = 1 if part == "re" else -1
    kernel = []
    for prime in ring.primes(0):
        row = uniform(prime, 2048)
        kernel.append(np.concatenate([row, (prime - row[::-1]) % prime if part == "re" else row[::-1]]))
    primes = np.array(ring.primes(0), np.uint64)[:, None]
    masked = np.array([(words[0] + np.array(kernel)) % primes, words[1]])
    record = result_record(ring, words, 0, 0, part)
    assert not np.array_equal(masked[0], words[0])
    assert result_record(ring, masked, 0, 0, part) == record
    # the other way: h / 2 plus the kernel is distributed as c0 plus the kernel, as their difference lies in it
    found, h = sent_cipher(ring, record, 0, 0, part)
    halved = h.astype(object) * [[pow(2, -1, prime)] for prime in ring.primes(0)]
    difference = (words[0].astype(object) - halved) % primes.astype(object)
    assert not ((difference + sign * difference[:, ::-1]) % primes.astype(object)).any()
    plain = seal.Plaintext()
    w.client.secret.decryptor.decrypt(found, plain)
    seen = decoded_twice(ring, plain, h, 0, 0, part) / 2
    read, other = (values.real, seen.imag) if part == "re" else (values.imag, seen.real)
    assert np.abs((seen.real if part == "re" else seen.imag) - read).max() < 1e-3
    assert np.abs(other).max() < 1e-9


def test_the_other_part_is_not_there_to_be_read() -> None:
    """Neither in what decrypts, nor in the result, which holds the part and nothing in the other one."""
    w = world("mask")
    result, other = parts(w)
    assert np.abs(w.result() - result).max() < 1e-2
    for _ in range(2):
        seen = w.ring.decode(w.raw())
        assert np.median(np.abs(seen.imag[:8] - other)) > 1e3


def test_halves_are_checked() -> None:
    w = World(PAIRS, TIGHT)
    ring, (name, family) = w.ring, next(iter(w.module.returned().items()))
    record = unpack("results", w.answer().data).records[repr(name)]
    assert record is not None
    good = bytes(record)
    at = family.level, family.products

    def refused(data: bytes, match: str, part: Part = "re") -> None:
        with pytest.raises(Rejected, match=match):
            read_result(data, ring, *at, part)

    read_result(good, ring, *at, "re")
    refused(good, "the mark", "im")
    refused(b"half im\0" + good[8:], "the mark")
    refused(good[:-1], f"{len(good) - 73:,} bytes of residues, expected {len(good) - 72}")
    refused(good + b"\0", "bytes of residues, expected")
    refused(b"", "has 0 bytes")
    refused(good[:71], "has 71 bytes")
    for place, what in ((8, "parameters"), (32, "parameters"), (40, "degree"), (48, "primes"), (56, "scale")):
        changed = bytearray(good)
        changed[place] ^= 1
        refused(bytes(changed), what)
    changed = bytearray(good)
    changed[64] ^= 1
    refused(bytes(changed), "bytes of residues")
    primes = ring.primes(family.level)
    half, size = packed_size(primes[:1], 2048), packed_size(primes, 2048)
    # the last residue of the half, the first of its other prime, and those of c1
    for place in (72 + half - 9, 72 + half, 72 + size, len(good) - 9):
        refused(good[:place] + b"\xff" * 9 + good[place + 9 :], "not below its prime")
    refused(good[: 72 + size] + bytes(2 * size), "not encrypted")
    with pytest.raises(Rejected, match="scale"):
        read_result(good, ring, family.level, family.products - 1, "re")
    # whole ciphertexts are not taken for halves, nor halves for whole ones
    whole = World(PAIRS, TIGHT, hide="none", secret=w.client.secret)
    other = unpack("results", whole.server.evaluate(w.upload, w.keys).data).records[repr(name)]
    assert other is not None
    refused(bytes(other), "the mark")
    with pytest.raises(Rejected, match="the mark"):
        read_result(good, ring, *at, None)


def test_slots_that_are_not_read_are_masked() -> None:
    w = world("mask")
    ring = w.ring
    (family,) = w.module.returned().values()
    slots = hidden_in(w.module)["Y",].slots
    assert slots.tolist() == [[False] * 8 + [True] * 8, [False] * 16]
    # weights have no bounds: masks take the room, less 3 bits and one for larger results
    assert family.mask_bits == 36 - 4
    plain = slot_mask(ring, family.level, family.products, slots, family.mask_bits)
    values = np.array(ring.encoder.decode_complex(plain)).reshape(-1, 16)
    assert np.abs(values[:, :8]).max() < 1e-2
    assert np.abs(values.imag).max() < 1e-2
    hidden = values.real[:, 8:].ravel()
    # 2048 values, uniform up to 2^32
    assert 0.95 * 2**32 < np.abs(hidden).max() <= 2**32 + 1
    assert np.unique(hidden.round(4)).size > 2000
    assert abs(np.abs(hidden).mean() / 2**31 - 1) < 0.2
    # and they are there in what is decrypted
    cipher, h = sent_cipher(ring, *record_of(w), "re")
    decrypted = seal.Plaintext()
    w.client.secret.decryptor.decrypt(cipher, decrypted)
    seen = decoded_twice(ring, decrypted, h, family.level, family.products, "re").real / 2
    result, _ = parts(w)
    assert np.abs(seen[:8] - result).max() < 1e-2
    assert np.median(np.abs(seen[8:] - result)) > 2**28


def test_conjugates_leave_twice_the_part_and_nothing_else() -> None:
    w = world("exact")
    result, _ = parts(w)
    assert w.plan.hiding.doubled == {"Y_re"}
    seen = w.ring.decode(w.raw(("Y_re",)))[:8]
    assert np.abs(seen.real - 2 * result).max() < 1e-1
    assert np.abs(seen.imag).max() < 1e-1
    assert np.abs(w.result() - result).max() < 1e-2


@pytest.mark.parametrize("hide", HIDES)
def test_what_is_counted_is_what_runs(hide: Hide) -> None:
    for text in (MASKED.replace("where g == 0", "where g == 1"), PAIRS, MASKED):
        made = emitted(text, None, Target(hide=hide))
        inputs, weights = random_data(made.plan.program, 0)
        report = execute(made.text, made.plan.counts.executed(), inputs, weights)
        assert report.counts_match, (report.executed, report.predicted)
        # 1.4e-6 is promised of the rms of many runs, and one of few results scatters
        assert report.relative_error < 1e-5
    counts = made.plan.counts
    module = load_module(made.text)
    assert {k: v for k, v in counts.executed().items() if v} == module.counts
    assert (counts.masks, counts.conjugations) == {"mask": (1, 0), "exact": (1, 1), "none": (0, 0)}[hide]
    assert counts.galois_keys == 4 + (hide == "exact")
    assert module.parameters.conjugation == (hide == "exact")
    assert module.parameters.hide == hide
    assert f"--hide {hide}" in re.sub(r"\s+", " ", made.text.split('"""')[1])
    cost = api.cost(made.plan.program, target=Target(hide=hide))
    assert cost.counts == counts
    assert cost.evaluation_key_bytes == counts.galois_keys * made.plan.parameters.sent_key_bytes()


def test_parts_are_hidden_by_ciphertext() -> None:
    """A ciphertext of which both parts are read is left alone, whatever is read of others of its family."""
    text = (
        "program p(n = 8, slots = 8)\ninput x[n], z[n]\naxes (h < n)\ncipher X[c < 2] = x[h] + 1i * z[h]\n"
        "output v[h] = im X[0]\noutput w[h] = re X[0]\noutput u[h] = im X[1]\n"
        "prove v == z\nprove w == x\nprove u == z\n"
    )
    made = emitted(text)
    module = load_module(made.text)
    assert {n: hidden.read_part for n, hidden in hidden_in(module).items()} == {("X", 1): "im"}
    assert made.plan.counts.masks == 0
    # conjugates are for whole families: half of c0 does it here
    exact = api.plan(made.plan.program, target=Target(hide="exact")).hiding
    assert (exact.doubled, exact.halves, exact.masks) == (set(), {("X", (1,))}, 0)
    for hide in HIDES:
        made = emitted(text, None, Target(hide=hide))
        inputs, weights = random_data(made.plan.program, 0)
        assert execute(made.text, made.plan.counts.executed(), inputs, weights).passed


def test_the_family_of_conjugates_takes_no_name_of_the_program() -> None:
    text = PAIRS.replace("weight A[d, r]", "weight Y_re[d, r]").replace("A[h", "Y_re[h").replace("== A @", "== Y_re @")
    made = emitted(text, None, Target(hide="exact"))
    assert made.plan.hiding.doubled == {"Y_re_"}
    inputs, weights = random_data(made.plan.program, 0)
    assert execute(made.text, made.plan.counts.executed(), inputs, weights).passed


def test_only_imaginary_parts() -> None:
    text = (
        "program p(n = 8, slots = 8)\ninput x[n], z[n]\naxes (h < n)\ncipher X = x[h] + 1i * z[h]\n"
        "output v[h] = im X\nprove v == z\n"
    )
    for hide in HIDES:
        w = World(text, hide=hide, parameters=Parameters(8192, (60, 60, 60), 40))
        assert np.abs(w.result() - w.inputs["z"]).max() < 1e-5  # a key switch peaks at the first slots
        values = w.ring.decode(w.raw(("X_im",) if hide == "exact" else ("X",)))[:8]
        seen = np.abs(values.real - w.inputs["x"]).max() < 1e-3
        assert seen == (hide == "none")
        if hide == "exact":
            assert np.abs(values.real).max() < 1e-3


@pytest.mark.parametrize("path", one_in(3, sorted((ROOT / "programs").glob("*.slot")), lambda p: p.stem))
def test_modules_know_what_is_read(path: Path) -> None:
    program = api.load(path)
    if program.slots * len(program.outputs) > 1 << 12 or path.stem == "columns":
        pytest.skip("as the others, and larger")
    made = emitted(program)
    read = read_slots(made.plan.graph)
    found = load_module(made.text).read
    assert {(n, *i) for n, i in read} == set(found)
    for (name, indices), slots in read.items():
        assert np.array_equal(np.array(slots), found[name, *indices])


def test_a_module_on_exact_slots_hides_too() -> None:
    made = emitted(MASKED)
    run = Run(made.text, made.plan.program)
    assert run.counts == made.plan.counts.executed()
    seen, bare = run.returned["Y",], run.values["Y",]
    assert not seen.imag.any() and bare.imag.any()
    assert np.array_equal(seen.real[:8], bare.real[:8])
    assert np.abs(seen.real - bare.real)[8:].min() >= 1
    assert np.allclose(run.module.collect(run.returned)["y"], run.module.reference(run.inputs, run.weights)["y"])


def test_uniform_numbers() -> None:
    for bound in (1, 5, 8, (1 << 60) - 93):
        found = uniform(bound, 3000)
        assert found.shape == (3000,)
        assert found.max() < bound
        assert len(np.unique(found)) == min(bound, 3000)


def test_every_evaluation_has_its_own_masks() -> None:
    w = world("mask")
    ring, server = w.ring, Server(w.encoded)
    server.prepare()
    (_, first, _), (_, second, _) = server._prepared
    engine = w.encoded.engine
    assert isinstance(engine, ResidueEngine)
    words = [engine.ring.plaintext_words(masks["Y",][0], added=True) for masks in (first, second)]
    assert not np.array_equal(*words)
    made = fresh_masks(ring, w.module)
    assert list(made) == [("Y",)] and len(made["Y",]) == 1
    w.server = server
    a, b, c = (residues_of(ring, w.raw()) for _ in range(3))
    assert not server._prepared
    assert not any(np.array_equal(*pair) for pair in ((a, b), (a, c), (b, c)))


def test_a_forked_process_does_not_use_the_masks_of_its_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(world("mask").encoded)
    ((_, prepared, _),) = server._prepared
    monkeypatch.setattr("os.getpid", lambda: -1)
    taken, _ = server._masks()
    assert taken.keys() == prepared.keys() and taken is not prepared
    assert not server._prepared


def test_masks_below_the_top_level() -> None:
    w = World(MASKED, Parameters(8192, (60, 24, 40, 40, 54), 40, (1, 2)))
    assert [family.level for family in w.module.returned().values()] == [2]
    answer = w.answer()
    assert np.abs(w.client.decrypt(answer.data) - parts(w)[0]).max() < 1e-4
    assert answer.counts["masks"] == 1


def test_a_result_of_zeros_gets_no_mask() -> None:
    """No input changes it, so that it says nothing; and a mask alone would be no ciphertext."""
    w = world("mask")
    encoded = type(w.encoded).encode(w.module, **{**w.weights, "A": 0 * w.weights["A"]})
    answer = Server(encoded).evaluate(w.upload, w.keys)
    assert answer.counts["masks"] == 0
    assert unpack("results", answer.data).records["('Y',)"] is None
    assert not w.client.decrypt(answer.data).any()


def test_masks_have_the_size_of_the_module() -> None:
    """However much room there is: the number stands in the module, and decides."""
    w = World(MASKED, Parameters(8192, (60, 60, 60), 20))
    (family,) = w.module.returned().values()
    assert w.text.count(f"mask_bits={family.mask_bits}") == 1
    for bits in (family.mask_bits, 10):
        plain = slot_mask(w.ring, family.level, family.products, np.ones((2, 16), bool), bits)
        values = np.array(w.ring.encoder.decode_complex(plain))
        assert 0.99 * 2**bits < np.abs(values.real).max() <= 2**bits + 1
        assert 0.99 * 2**bits < np.abs(values.imag).max() <= 2**bits + 1
        assert values.real.min() < 0 < values.real.max()


def test_no_room_for_masks() -> None:
    """They are never smaller because bits are short: that is an error, with the bits."""
    program = api.loads(MASKED)
    assert api.plan(program, ROOMY).counts.masks == 1
    for hide in ("mask", "exact"):
        with pytest.raises(SlotError, match="SL407") as refused:
            api.plan(program, TIGHT, target=Target(hide=hide))
        found = refused.value.diagnostics[0]
        assert "no room in the modulus to mask slots" in found.message
        name = "Y" if hide == "mask" else "Y_re"
        assert found.notes[0].startswith(f"slots of '{name}' are assumed to hold up to ")
        # 80 bits of modulus, and a scale of 3 * 20
        assert found.notes[1].startswith(f"20 bits are left above the scale of '{name}', and ")
        assert "--precision 0.001 finds parameters with room" in (found.hint or "")
    assert api.plan(program, TIGHT, target=Target(hide="none")).counts.masks == 0
    # of the same program without the rotation nothing is masked
    assert api.plan(api.loads(PAIRS), TIGHT).counts.masks == 0


def test_no_room_for_twice_a_part() -> None:
    program = api.loads(PAIRS)
    # 72 bits of modulus: 3 are left above a scale of 69, and a bit less above one of 72 - 2
    assert api.plan(program, replace(SMALL, primes=(36, 36, 37), scale_bits=23)).hiding.halves
    tight = replace(SMALL, primes=(36, 35, 37), scale_bits=23)
    with pytest.raises(SlotError, match="SL407") as refused:
        api.plan(program, tight)
    assert refused.value.diagnostics[0].notes == ("2 bits are left above the scale of 'Y', and 3 are needed",)
    assert api.plan(program, tight, target=Target(hide="none")).counts.masks == 0


@pytest.mark.parametrize("kernel", ["auto", "seal"])
def test_parameters_are_chosen_with_room_for_masks(kernel: KernelChoice) -> None:
    """The fixed choice, and the search."""
    for precision in (None, 1e-1, 1e-3):
        made = api.plan(api.loads(MASKED), target=Target(precision=precision, kernel=kernel))
        assert made.counts.masks == 1
        p, (family,) = made.parameters, made.graph.schedule.outputs
        state = made.graph.schedule.states[family.family.name]
        room = sum(p.primes[: p.data_primes - state.level]) - p.carried_bits(state.level, state.pending)
        assert room >= made.hiding.bits[family.family.name] + 3 - 1e-9
        assert 2.0 ** made.hiding.bits[family.family.name] >= 2**16 * 32


def test_zeros_take_the_place_of_masks() -> None:
    """Where weights come last, slots that nobody reads hold zeros, exactly, and nothing is added."""
    w = World(PAIRS)
    assert (w.plan.counts.masks, w.plan.hiding.zero) == (0, {"Y"})
    assert hidden_in(w.module)["Y",].slots.any() == np.False_
    assert "mask_bits" not in w.text
    result, _ = parts(w)
    cipher, h = sent_cipher(w.ring, *record_of(w), "re")
    plain = seal.Plaintext()
    w.client.secret.decryptor.decrypt(cipher, plain)
    seen = decoded_twice(w.ring, plain, h, 0, record_of(w)[2], "re") / 2
    assert np.abs(seen.real[:8] - result).max() < 1e-2
    # noise is left, and no value
    assert np.abs(seen[8:]).max() < 1e-2 < np.abs(result).min()
    none = World(PAIRS, hide="none")
    assert w.plan.counts == none.plan.counts


def test_the_command_line(tmp_path: Path) -> None:
    path, out = tmp_path / "p.slot", tmp_path / "out.py"
    path.write_text(PAIRS, encoding="utf-8")
    for hide in HIDES:
        found = slotlang("lower", str(path), "-o", str(out), "--hide", hide)
        assert found.status == 0
        assert f"--hide {hide}" in found.out
        assert load_module(out.read_text(encoding="utf-8")).parameters.hide == hide
    before = out.read_text(encoding="utf-8")
    for command in (["lower", str(path), "-o", str(out)], ["run", str(path)], ["cost", str(path)]):
        found = slotlang(*command, "--hide", "masks")
        assert found.status == 2
        assert "SL005" in found.err
        assert "mask" in found.err
    assert out.read_text(encoding="utf-8") == before


# security of parameters, where a module is loaded


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("prime_bits=(40, 40, 29)", "prime_bits=(40, 40, 30)", "below 128-bit security"),
        ("prime_bits=(40, 40, 29)", "prime_bits=(60, 60, 60, 60)", "below 128-bit security"),
        ("degree=4096", "degree=2048", "below 128-bit security"),
        ("degree=4096", "degree=5000", "no ring of degree"),
        ("degree=4096", "degree=8", "no ring of degree"),
        ("degree=4096", 'degree="4096"', "no ring of degree"),
        ("prime_bits=(40, 40, 29)", "prime_bits=(40,)", "two or more"),
        ("prime_bits=(40, 40, 29)", "prime_bits=(40, 40, -29)", "two or more"),
        ("prime_bits=(40, 40, 29)", "prime_bits=[40, 40, 29]", "two or more"),
        ('hide="mask"', 'hide="no"', "a way of hiding"),
    ],
)
def test_edited_parameters_are_refused(old: str, new: str, message: str) -> None:
    """By the client, before a key is made, and by whoever encodes weights."""
    w = World(PAIRS, TIGHT)
    assert old in w.text
    module = load_module(w.text.replace(old, new))
    for use in (lambda: Client(module), lambda: Weights.encode(module, **w.weights)):
        with pytest.raises(Rejected, match=message):
            use()


def test_the_way_of_hiding_binds_both_sides() -> None:
    """Uploads are the same; a client takes no results that were hidden in another way than it was told."""
    a = world("mask")
    b = World(MASKED, ROOMY, hide="none", secret=a.client.secret)
    answer = b.server.evaluate(a.upload, a.keys)
    with pytest.raises(Rejected, match="these results are for hash of program, functions and parameters"):
        a.client.decrypt(answer.data)
