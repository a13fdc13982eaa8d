"""What the key holder decrypts besides the result: nothing that tells of anything else, and the result unchanged."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import slotlang
from simulated_seal import Run

from slotlang import api
from slotlang.diagnostics import SlotError
from slotlang.planning.hiding import read_slots
from slotlang.planning.parameters import Parameters
from slotlang.planning.target import HIDES, Target
from slotlang.run.runner import execute, load_module, random_data

ROOT = Path(__file__).resolve().parents[2]
SMALL = Parameters(4096, (36, 36, 37), 20)
PAIRS = """program pairs(d = 8, r = 4, slots = 16)
input x[d]
weight A[d, r], B[r, d]
axes (g < slots / d, h < d)
cipher X = x[h]
plain W[q < r/2] = B[q, h] + 1i * B[q + r/2, h]
S[q < r/2] = sum f < d by doubling: (X * W[q]) << f
plain V[q < r/2] = A[h, q] - 1i * A[h, q + r/2]
Y = sum q < r/2: S[q] * V[q]
output y[h] = re Y where g == 0
prove y == A @ B @ x
"""
"""The real part of eight slots is the result; imaginary parts and the other slots are not."""


class World:
    def __init__(self, text: str, hide: api.Hide, parameters: Parameters = SMALL) -> None:
        self.made = api.lower(api.loads(text), parameters, target=Target(hide=hide))
        self.module: Any = load_module(self.made.text)
        self.inputs, self.weights = random_data(self.made.plan.program, 0)
        self.client = self.module.Client()
        self.server = self.module.Server(self.client.evaluation_keys())
        self.server.encode(**self.weights)
        self.upload = self.client.encrypt(**self.inputs)

    def raw(self, name: tuple[Any, ...] = ("Y",)) -> Any:
        """What a key holder decrypts who does not do what the client does: a plaintext."""
        module = self.module
        record = module.unpack("results", self.server.evaluate(self.upload), list(module.table_of(module.RESULTS)))[
            name
        ]
        plain = module.seal.Plaintext()
        level, products = module.table_of(module.RESULTS)[name]
        self.client.decryptor.decrypt(module.load_ciphertext(self.client.ring, record, level, products), plain)
        return plain

    def residues(self, plain: Any) -> Any:
        module, ring = self.module, self.client.ring
        saved = module.Saved(module._saved(plain), 1 << 22)
        saved.at = 72
        return saved.words(1, ring.primes(0))[0]


@cache
def world(hide: api.Hide, text: str = PAIRS) -> World:
    return World(text, hide)


def parts(w: World) -> tuple[Any, Any]:
    """Result and what the imaginary part carries, in plain numbers."""
    a, b, x = w.weights["A"], w.weights["B"], w.inputs["x"]
    u = b @ x
    return a @ u, a[:, :2] @ u[2:] - a[:, 2:] @ u[:2]


def test_nothing_is_hidden_on_request_only() -> None:
    w = world("none")
    result, other = parts(w)
    seen = w.client.ring.decode(w.raw())[:8]
    assert np.abs(seen.real - result).max() < 1e-2
    assert np.abs(seen.imag - other).max() < 1e-2
    assert not w.made.plan.counts.masks


def test_a_mask_is_uniform_over_the_other_part() -> None:
    """By default: antisymmetric residues, which the real part, exactly, does not have."""
    w = world("mask")
    module, ring = w.module, w.client.ring
    for alone, sign in (("re", -1), ("im", 1)):
        plain = module.part_mask(ring, 0, ring.scale(0), alone)
        words = w.residues(plain)
        assert words.shape == (2, 4096)
        for row, prime in zip(words, ring.primes(0), strict=True):
            assert all((int(a) - sign * int(b)) % prime == 0 for a, b in zip(row, row[::-1], strict=True))
            low, high = np.percentile(row / prime, [25, 75])
            assert 0.2 < low < 0.3 < 0.7 < high < 0.8
        doubled = w.residues(module.alone_doubled(ring, plain, 0, alone))
        assert not doubled.any()
        assert not np.array_equal(words, w.residues(module.part_mask(ring, 0, ring.scale(0), alone)))


def test_a_mask_changes_no_bit_of_the_part_that_is_read() -> None:
    """Modulo every prime: what is decoded is what would be decoded without it."""
    w = world("mask")
    module, ring = w.module, w.client.ring
    rng = np.random.default_rng(1)
    plain = ring.encode(rng.standard_normal(16) + 1j * rng.standard_normal(16), added=True)
    for alone in ("re", "im"):
        cipher, masked, seen = (
            module.seal.Ciphertext(),
            module.seal.Ciphertext(),
            [module.seal.Plaintext() for _ in "ab"],
        )
        w.client.encryptor.encrypt_symmetric(plain, cipher)
        evaluator = module.Evaluation(ring, None, None).evaluator
        evaluator.add_plain(cipher, module.part_mask(ring, 0, ring.scale(0), alone), masked)
        for c, out in zip((cipher, masked), seen, strict=True):
            w.client.decryptor.decrypt(c, out)
        a, b = (w.residues(module.alone_doubled(ring, s, 0, alone)) for s in seen)
        assert np.array_equal(a, b)
        assert not np.array_equal(w.residues(seen[0]), w.residues(seen[1]))


def test_the_client_reads_the_result_under_the_mask() -> None:
    w = world("mask")
    result, other = parts(w)
    assert np.abs(w.client.decrypt(w.server.evaluate(w.upload)) - result).max() < 1e-2
    first, second = (w.client.ring.decode(w.raw()) for _ in range(2))
    for seen in (first, second):
        assert np.median(np.abs(seen.imag[:8] - other)) > 1e3
    assert np.median(np.abs(first.imag - second.imag)) > 1e3


def test_slots_that_are_not_read_are_masked() -> None:
    w = world("mask")
    module, ring = w.module, w.client.ring
    ((level, products),) = module.table_of(module.RESULTS).values()
    slots = ~module.returned()["Y",]
    slots[1] = False
    assert slots[0].tolist() == [False] * 8 + [True] * 8
    values = np.array(ring.encoder.decode_complex(module.slot_mask(ring, level, products, slots))).reshape(-1, 16)
    assert np.abs(values[:, :8]).max() < 1e-2
    assert np.abs(values.imag).max() < 1e-2
    hidden = values.real[:, 8:].ravel()
    # 1024 values, uniform up to 2^(72 - 60 - 3)
    assert 480 < np.abs(hidden).max() <= 512.1
    assert np.unique(hidden.round(4)).size > 1000
    assert abs(np.abs(hidden).mean() / 256 - 1) < 0.2


def test_conjugates_leave_twice_the_part_and_nothing_else() -> None:
    w = world("exact")
    result, _ = parts(w)
    assert w.made.plan.hiding.doubled == {"Y_re"}
    seen = w.client.ring.decode(w.raw(("Y_re",)))[:8]
    assert np.abs(seen.real - 2 * result).max() < 1e-1
    assert np.abs(seen.imag).max() < 1e-1
    assert np.abs(w.client.decrypt(w.server.evaluate(w.upload)) - result).max() < 1e-2


@pytest.mark.parametrize("hide", HIDES)
def test_what_is_counted_is_what_runs(hide: api.Hide) -> None:
    for text in (PAIRS, PAIRS.replace("where g == 0", "where g == 1")):
        made = api.lower(api.loads(text), target=Target(hide=hide))
        inputs, weights = random_data(made.plan.program, 0)
        report = execute(made.text, made.plan.counts.executed(), inputs, weights)
        assert report.counts_match, (report.executed, report.predicted)
        assert report.relative_error < 1e-6
    counts = made.plan.counts
    module = load_module(made.text)
    assert {k: v for k, v in counts.executed().items() if v} == module.COUNTS
    assert (counts.masks, counts.conjugations) == {"mask": (2, 0), "exact": (1, 1), "none": (0, 0)}[hide]
    assert counts.galois_keys == 3 + (hide == "exact")
    assert module.PARAMETERS["conjugation"] == (hide == "exact")
    assert module.PARAMETERS["hide"] == hide
    assert f"--hide {hide}" in re.sub(r"\s+", " ", str(module.__doc__))
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
    made = api.lower(api.loads(text))
    module = load_module(made.text)
    assert {n: alone for n, (alone, _) in module.masked().items()} == {("X", 1): "im"}
    assert made.plan.counts.masks == 1
    # conjugates are for whole families: here a mask does it
    exact = api.plan(made.plan.program, target=Target(hide="exact")).hiding
    assert (exact.doubled, exact.masks) == (set(), 1)
    for hide in HIDES:
        made = api.lower(api.loads(text), target=Target(hide=hide))
        inputs, weights = random_data(made.plan.program, 0)
        assert execute(made.text, made.plan.counts.executed(), inputs, weights).passed


def test_the_family_of_conjugates_takes_no_name_of_the_program() -> None:
    text = PAIRS.replace("weight A[d, r]", "weight Y_re[d, r]").replace("A[h", "Y_re[h").replace("== A @", "== Y_re @")
    made = api.lower(api.loads(text), target=Target(hide="exact"))
    assert made.plan.hiding.doubled == {"Y_re_"}
    inputs, weights = random_data(made.plan.program, 0)
    assert execute(made.text, made.plan.counts.executed(), inputs, weights).passed


def test_only_imaginary_parts() -> None:
    text = (
        "program p(n = 8, slots = 8)\ninput x[n], z[n]\naxes (h < n)\ncipher X = x[h] + 1i * z[h]\n"
        "output v[h] = im X\nprove v == z\n"
    )
    for hide in HIDES:
        w = World(text, hide, Parameters(8192, (60, 60, 60), 40))
        assert np.abs(w.client.decrypt(w.server.evaluate(w.upload)) - w.inputs["z"]).max() < 1e-6
        values = w.client.ring.decode(w.raw(("X_im",) if hide == "exact" else ("X",)))[:8]
        seen = np.abs(values.real - w.inputs["x"]).max() < 1e-3
        assert seen == (hide == "none")
        if hide == "exact":
            assert np.abs(values.real).max() < 1e-3


@pytest.mark.parametrize("path", sorted((ROOT / "programs").glob("*.slot")), ids=lambda p: p.stem)
def test_modules_know_what_is_read(path: Path) -> None:
    program = api.load(path)
    if program.slots * len(program.outputs) > 1 << 12 or path.stem == "columns":
        pytest.skip("as the others, and larger")
    made = api.lower(program, unproved=True)
    read = read_slots(made.plan.graph)
    found = load_module(made.text).returned()
    assert {(n, *i) for n, i in read} == set(found)
    for (name, indices), slots in read.items():
        assert np.array_equal(np.array(slots), found[name, *indices])


def test_a_module_on_exact_slots_hides_too() -> None:
    made = api.lower(api.loads(PAIRS))
    run = Run(made.text, made.plan.program)
    assert run.counts == made.plan.counts.executed()
    seen, bare = run.returned["Y",], run.values["Y",]
    assert np.abs(seen - bare).min() >= 1
    assert np.allclose(run.module.collect(run.returned), run.module.reference(run.inputs, run.weights))


def test_uniform_numbers() -> None:
    module = world("mask").module
    for bound in (1, 5, 8, (1 << 60) - 93):
        found = module.uniform(bound, 3000)
        assert found.shape == (3000,)
        assert found.max() < bound
        assert len(np.unique(found)) == min(bound, 3000)


def test_every_evaluation_has_its_own_masks() -> None:
    w = world("mask")
    w.server.prepared.clear()
    w.server.prepare()
    w.server.prepare()
    (_, first), (_, second) = w.server.prepared
    assert not np.array_equal(w.residues(first["Y",][0]), w.residues(second["Y",][0]))
    a, b, c = (w.residues(w.raw()) for _ in range(3))
    assert not w.server.prepared
    assert not any(np.array_equal(*pair) for pair in ((a, b), (a, c), (b, c)))


def test_a_forked_process_does_not_use_the_masks_of_its_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    w = world("mask")
    w.server.prepared.clear()
    w.server.prepare()
    ((_, prepared),) = w.server.prepared
    monkeypatch.setattr(w.module.os, "getpid", lambda: -1)
    assert w.server._masks() is not prepared
    assert not w.server.prepared


def test_masks_below_the_top_level() -> None:
    w = World(PAIRS, "mask", Parameters(8192, (60, 40, 40, 60), 40, (1, 2)))
    assert [level for _, level, _ in w.module.RESULTS.values()] == [2]
    found = w.client.decrypt(w.server.evaluate(w.upload))
    assert np.abs(found - parts(w)[0]).max() < 1e-4
    assert w.server.counts["masks"] == 2


def test_no_room_for_masks() -> None:
    program = api.loads(PAIRS)
    tight = replace(SMALL, primes=(36, 36, 37), scale_bits=23)
    with pytest.raises(SlotError, match="SL407") as refused:
        api.plan(program, tight)
    assert "3 bits are left above the scale, and 4 are needed" in str(refused.value.diagnostics[0].notes)
    with pytest.raises(SlotError, match="SL407"):
        api.plan(program, tight, target=Target(hide="exact"))
    assert api.plan(program, tight, target=Target(hide="none")).counts.masks == 0


def test_the_command_line(tmp_path: Path) -> None:
    path, out = tmp_path / "p.slot", tmp_path / "out.py"
    path.write_text(PAIRS, encoding="utf-8")
    for hide in HIDES:
        found = slotlang("lower", str(path), "-o", str(out), "--hide", hide)
        assert found.status == 0
        assert f"--hide {hide}" in found.out
        assert load_module(out.read_text(encoding="utf-8")).PARAMETERS["hide"] == hide
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
        ('"prime_bits": [36, 36, 37]', '"prime_bits": [36, 36, 38]', "below 128-bit security"),
        ('"prime_bits": [36, 36, 37]', '"prime_bits": [60, 60, 60, 60]', "below 128-bit security"),
        ('"degree": 4096', '"degree": 2048', "below 128-bit security"),
        ('"degree": 4096', '"degree": 5000', "no ring of degree"),
        ('"degree": 4096', '"degree": 8', "no ring of degree"),
        ('"degree": 4096', '"degree": "4096"', "no ring of degree"),
        ('"security": 128', '"security": 80', "security is 128 bits here"),
        ('"security": 128', '"security": None', "security is 128 bits here"),
        ('"prime_bits": [36, 36, 37]', '"prime_bits": [36]', "two or more"),
        ('"prime_bits": [36, 36, 37]', '"prime_bits": [36, 36, -37]', "two or more"),
        ('"hide": "mask"', '"hide": "no"', "a way of hiding"),
    ],
)
def test_edited_parameters_are_refused(old: str, new: str, message: str) -> None:
    w = world("mask")
    assert old in w.made.text
    module: Any = load_module(w.made.text.replace(old, new))
    sent = w.client.evaluation_keys(), w.client.to_bytes()
    # as if they had been made for it
    keys, secret = (data[:24] + module._fingerprint() + data[56:] for data in sent)
    for made in (module.Client, lambda: module.Server(keys), lambda: module.Client.from_bytes(secret)):
        with pytest.raises(module.Rejected, match=message):
            made()


def test_bytes_of_other_parameters_are_refused() -> None:
    w, other = world("mask"), World(PAIRS, "mask", Parameters(4096, (36, 36, 36), 20))
    for theirs, ours in ((other, w), (w, other)):
        for read, data in (
            (ours.module.Client.from_bytes, theirs.client.to_bytes()),
            (ours.module.Server, theirs.client.evaluation_keys()),
            (ours.server.evaluate, theirs.upload),
            (ours.server.weights_from_bytes, theirs.server.weights_to_bytes()),
        ):
            with pytest.raises(ours.module.Rejected, match="another program or other parameters"):
                read(data)
        with pytest.raises(ours.module.Rejected, match="made for other parameters"):
            ours.module.Client(theirs.client.secret)


def test_the_way_of_hiding_binds_both_sides() -> None:
    a, b = world("mask"), world("none")
    with pytest.raises(a.module.Rejected, match="other parameters"):
        a.server.evaluate(b.upload)
