"""Slots that no output reads, made zero in the last plaintexts: where it is done, that it is exact, where it is not."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from amounts import one_in
from exact_slots import Run
from repository import ROOT

from slotlang import api
from slotlang.planning.target import HIDES, Hide, Target
from slotlang.planning.unread import with_zeros

HEAD = """program p(n = 8, r = 4, slots = 16)
input x[n]
weight A[n, n], B[n, n], c[n]
scalar s
axes (g < slots / n, h < n)
cipher X = x[h]
cipher Z = x[h] + 1i * x[n - 1 - h]
plain W[q < r] = A[h, (h + q) % n]
plain V = B[h, (h + 1) % n]
plain K[i < n] = A[i, i]
"""
"""Everything is there twice: in slots of g = 0, and in those of g = 1."""

ZEROED = {
    "a product": ("Y = X * V", "output y[h] = re Y where g == 0"),
    "a sum of products": ("Y = sum q < r: (X << q) * W[q]", "output y[h] = re Y where g == 0"),
    "by a tree, with signs": ("Y = (sum q < r by tree: (X << q) * W[q]) - V * X", "output y[h] = re Y where g == 1"),
    "negated, conjugated": ("Y = -conj (Z * V)", "output y[h] = im Y where g == 0"),
    "a number behind it": ("Y = 1/2 * s * (sum q < r: (X << q) * W[q])", "output y[h] = re Y where g == 0"),
    "a plaintext added": ("Y = X * V + c[h]", "output y[h] = Y where g == 0"),
    "members that differ": ("Y[i < 2] = X * A[(h + i) % n, h]", "output y[h, i] = re Y[i] where g == i"),
    "a plaintext for all members": ("Y[i < 2] = (X << i) * V", "output y[h, i] = re Y[i] where g == 0"),
    "a family in between": ("T[q < r] = (X << q) * W[q]\nY = sum q < r: T[q]", "output y[h] = re Y where g == 0"),
    "several outputs": ("Y = Z * V", "output y[h] = Y where g == 0 and h < 3\noutput y[h] = Y where g == 1 and h >= 3"),
    "zeros of its own": ("Y = [g == 0] * (X + (X << n))", "output y[h] = re Y where g == 0"),
    "a narrower bracket": ("Y = ([g == 0 and h < 6] * V) * X", "output y[h] = re Y where g == 0"),
    "padding": ("Y = X * (c[slot] else 0)", "output y[slot] = re Y"),
    "padded inputs": (
        "cipher Q[i < 3] = x[3*i + h] else 0\nY[i < 3] = Q[i] * V",
        "output y[3*i + h] = re Y[i] where h < 3 and g == 0",
    ),
    "a rotated bracket": ("T = X * ([h < 2] * V)\nY = T << 3", "output y[h] = re Y where h < 7 and h > 4"),
    "a plaintext in place": ("Y = X * (A[h, h] * B[h, h])", "output y[h] = re Y where g == 0"),
}

BEFORE = ["zeros of its own", "a narrower bracket", "padding", "a rotated bracket"]
"""Cases in which the program's own zeros do it."""

MASKED = {
    "a rotation behind it": ("Y = (X * V) << n", "output y[h] = re Y where g == 0"),
    "a number in all slots": ("Y = X * K[0]", "output y[h] = re Y where g == 0"),
    "no product": ("Y = X + (X << 1)", "output y[h] = re Y where g == 0"),
    "a plaintext used twice": ("T = Z * V\nY = (X * V) + (T << n)", "output y[h] = re Y where g == 0"),
    "a result used elsewhere": ("T = X * V\nY = T\nU = T << 1", "output y[h] = re T where g == 0"),
    "one term without": ("Y = X * V + Z", "output y[h] = re Y where g == 0"),
    "a plaintext that all members use": ("Y[i < 2] = (X << i) * V", "output y[h, i] = re Y[i] where g == i"),
    "a product of ciphertexts": ("Y = X * (Z * V)", "output y[h] = re Y where g == 0"),
    "parts read in other slots": (
        "Y = Z * V",
        "output y[h] = re Y where g == 0\noutput z[h] = im Y where h < 2 and g == 0",
    ),
    "what was sent": ("Y = X", "output y[h] = re X where g == 0"),
}


def program(case: tuple[str, str]) -> api.Program:
    # theorems only say what is computed: which slots are read does not depend on them
    results = {line.split()[1].split("[")[0] for line in case[1].splitlines()}
    shape = "A" if ", i]" in case[1] else "c"
    return api.loads(HEAD + "\n".join([*case, *(f"prove {name} == {shape}" for name in sorted(results))]) + "\n")


def unread(run: Run) -> dict[str, float]:
    """The largest value of a read part in slots that no output reads, by family, before anything is masked."""
    found: dict[str, float] = {}
    for name, read in run.module.read.items():
        value = run.values[name]
        for part, slots in zip((value.real, value.imag), read, strict=True):
            if slots.any():
                found[name[0]] = max(found.get(name[0], 0.0), float(np.abs(part[~slots]).max(initial=0.0)))
    return found


def lowered(case: tuple[str, str], hide: Hide) -> api.Lowered:
    return api.lower(program(case), target=Target(hide=hide), unproved=True)


@pytest.mark.parametrize(("hide", "name"), one_in(4, product(HIDES, ZEROED), lambda case: f"{case[1]}-{case[0]}"))
def test_zeros(name: str, hide: Hide) -> None:
    made = lowered(ZEROED[name], hide)
    assert made.validation.status == "proved", made.validation.reason
    assert made.plan.counts.masks == 0
    assert len(made.plan.hiding.zero) == (hide != "none")
    # nothing is added, neither operations nor plaintexts
    bare = lowered(ZEROED[name], "none")
    if hide == "mask":
        assert made.plan.counts == bare.plan.counts
        assert made.plan.parameters == bare.plan.parameters
    run, other = (Run(one.text, one.plan.program) for one in (made, bare))
    (shown,) = unread(other).values()
    assert (shown > 1e-2) == (name not in BEFORE)
    if hide != "none":
        assert set(unread(run).values()) == {0.0}
    for result, values in other.module.collect(other.values).items():
        assert np.allclose(run.module.collect(run.values)[result], values, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", MASKED)
def test_masks(name: str) -> None:
    changed, zero = with_zeros(program(MASKED[name]))
    assert not zero
    assert changed.families == program(MASKED[name]).families
    made = lowered(MASKED[name], "mask")
    assert made.validation.status == "proved", made.validation.reason
    assert made.plan.counts.masks > 0
    # what they hide follows from the limits of the inputs, and is assumed where weights have no bounds
    bits = made.plan.hiding.bits
    assert bits and all(f"mask_bits={n}" in made.text for n in bits.values())
    assert min(bits.values()) > 16
    assert made.plan.hiding.assumed == ("checked when weights are encoded" in made.text.replace("\n", " "))


@pytest.mark.parametrize("path", ["rank_complex", "gated", "squat_tall", "two_tokens"])
def test_where_all_slots_are_read_nothing_changes(path: str) -> None:
    made = api.load(ROOT / "programs" / f"{path}.slot")
    changed, zero = with_zeros(made)
    assert (changed, zero) == (made, frozenset())


@pytest.mark.parametrize(
    ("path", "sizes"),
    [
        ("lora", {"d_in": 12, "d_out": 20, "r": 3, "pairs": 2, "batch": 2, "slots": 16}),
        ("nonsquare", {"d_in": 7, "d_out": 13, "r": 3, "R": 2, "batch": 2, "slots": 8}),
    ],
)
def test_the_corpus(path: str, sizes: dict[str, int]) -> None:
    """Where outputs do not fill the slots of their ciphertexts."""
    made = api.lower(api.load(ROOT / "programs" / f"{path}.slot", sizes))
    assert made.validation.status == "proved"
    assert made.plan.hiding.zero and not made.plan.counts.masks
    run = Run(made.text, made.plan.program)
    assert not all(read.any(axis=0).all() for read in run.module.read.values())
    assert set(unread(run).values()) == {0.0}
