"""What a module says of itself: what it packs, what is read of its results, and how they are collected."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from slotlang_runtime.limits import Limit
from slotlang_runtime.module import Module, Output, Packing, Plaintexts, Results, members
from slotlang_runtime.parameters import Parameters

SLOTS = 8
slot = np.arange(SLOTS)


def module(**changes: Any) -> Module:
    """A small one, written by hand."""
    fields: dict[str, Any] = {
        "name": "byhand",
        "program_hash": "0" * 64,
        "parameters": Parameters(4096, (36, 36, 37), (20,)),
        "slots": SLOTS,
        "kernel": "seal",
        "inputs": {"x": (4, 2)},
        "limits": {"x": Limit(norm=8.0)},
        "weights": {"w": (4,)},
        "scalars": ["s"],
        "results": {"y": ((4, 2), float), "z": ((6,), complex)},
        "packing": {"X": Packing(lambda inputs, k: inputs["x"][slot % 4, k], (2,)), "U": Packing(lambda inputs: 1.0)},
        "plaintexts": {
            "W": Plaintexts(lambda weights, k: weights["w"][k], (2,)),
            "B": Plaintexts(lambda weights: 1.0, added=True, products=1),
        },
        "sent": {"Y": Results((2,), 0, 1), "Z": Results([(1,), (3,)], 0, 0)},
        "outputs": [
            Output("y", lambda k: (("Y", k), (slot, k)), (2,), "re"),
            Output("z", lambda: (("Z", 1), (slot,), slot >= 2)),
            Output("z", lambda: (("Z", 3), (slot,), slot < 1), part="im"),
        ],
        "evaluate": lambda ev, cipher, plain: {},
        "reference": lambda inputs, weights: {},
        "counts": {},
    }
    return Module(**{**fields, **changes})


def test_families_and_members() -> None:
    here = module()
    assert list(here.packed()) == [("X", 0), ("X", 1), ("U",)]
    assert [indices for _, indices in here.packed().values()] == [(0,), (1,), ()]
    assert {name: (f.level, f.products, f.added) for name, f in here.encoded().items()} == {
        ("W", 0): (0, 0, False),
        ("W", 1): (0, 0, False),
        ("B",): (0, 1, True),
    }
    assert {name: f.products for name, f in here.returned().items()} == {
        ("Y", 0): 1,
        ("Y", 1): 1,
        ("Z", 1): 0,
        ("Z", 3): 0,
    }
    assert list(members((2, 3))) == [(i, j) for i in range(2) for j in range(3)]
    assert list(members([(5,), (1,)])) == [(5,), (1,)] and list(members(())) == [()]


def test_what_is_read() -> None:
    read = {name: rows.astype(int).tolist() for name, rows in module().read.items()}
    nothing = [0] * SLOTS
    assert read["Y", 0] == read["Y", 1] == [[1, 1, 1, 1, 0, 0, 0, 0], nothing]
    # complex results are of both parts; slots whose element lies outside carry none
    assert read["Z", 1] == [[0, 0, 1, 1, 1, 1, 0, 0]] * 2
    assert read["Z", 3] == [nothing, [1, 0, 0, 0, 0, 0, 0, 0]]


def test_results_are_collected_from_slots() -> None:
    here = module()
    values = {name: 10 * n + slot + 1j * (slot + 100) for n, name in enumerate(here.returned())}
    found = here.collect(values)
    assert found["y"].dtype == np.float64 and found["z"].dtype == np.complex128
    assert np.array_equal(found["y"], np.stack([slot[:4], 10 + slot[:4]], axis=1))
    expected = np.array([100, 0, 22 + 102j, 23 + 103j, 24 + 104j, 25 + 105j])
    assert np.array_equal(found["z"], expected)


def test_doubled_results_are_halved() -> None:
    parameters = Parameters(4096, (36, 36, 37), (20,), hide="exact", doubled=("Y",))
    plain, doubled = module(), module(parameters=parameters)
    values = dict.fromkeys(plain.returned(), slot + 1j)
    a, b = plain.collect(values), doubled.collect(values)
    assert np.array_equal(a["y"], 2 * b["y"]) and np.array_equal(a["z"], b["z"])


def test_the_packing_digest_is_of_what_is_packed() -> None:
    base = module().packing_digest
    packing = module().packing
    assert base == module(name="other", weights={}, counts={"masks": 1}, limits={"x": Limit(2.0)}).packing_digest
    assert base == module(packing={"A": packing["X"], "B": packing["U"]}).packing_digest
    assert base == module(packing={**packing, "U": Packing(lambda inputs: np.ones(SLOTS))}).packing_digest
    others = [
        module(packing={"X": Packing(lambda inputs, k: inputs["x"][slot % 4, 1 - k], (2,)), "U": packing["U"]}),
        module(packing={"X": Packing(lambda inputs, k: inputs["x"][(slot + 4) % 4, 0], (2,)), "U": packing["U"]}),
        module(packing={**packing, "U": Packing(lambda inputs: 2.0)}),
        module(packing={"X": packing["X"]}),
        module(packing={"U": packing["U"], "X": packing["X"]}),
        module(inputs={"x": (4, 3)}),
    ]
    digests = [other.packing_digest for other in others]
    assert base not in digests and len(set(digests)) == len(digests)
    wide = module(slots=16, packing={"X": packing["U"], "U": packing["U"]})
    assert wide.packing_digest != module(packing={"X": packing["U"], "U": packing["U"]}).packing_digest


def test_the_identity_is_of_program_and_parameters() -> None:
    p = module().parameters
    base = module().identity
    assert base["program"] == "byhand" and len(base["hash"]) == 64
    assert module(kernel="compiled", counts={"masks": 1}).identity == base
    others = [
        module(program_hash="1" * 64),
        module(parameters=replace(p, scale_bits=(21,))),
        module(parameters=replace(p, prime_bits=(36, 36, 36))),
        module(parameters=replace(p, drops=(1,))),
        module(parameters=replace(p, hide="none")),
        module(parameters=replace(p, doubled=("Y",))),
        module(slots=16, packing={}, outputs=[]),
        module(limits={"x": Limit(norm=7.0)}),
        module(limits={"x": Limit(entry=8.0)}),
        module(parameters=Parameters(8192, p.prime_bits, p.scale_bits)),
    ]
    assert len({other.identity["hash"] for other in others} | {base["hash"]}) == len(others) + 1
