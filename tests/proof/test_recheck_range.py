"""The checker's own bounds of results, from the bounds and parameters that a program's text has."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from amounts import one_in
from command_line import slotlang
from judging import tiny
from repository import PROGRAMS, program_text

from slotlang import api, recheck
from slotlang.planning.given_parameters import statement_of
from slotlang.planning.primes import moduli
from slotlang.planning.target import Target
from slotlang.recheck.magnitudes import prime, primes, products, range_claim
from slotlang.recheck.program import Program

PARAMETERS = "parameters degree 8192 primes 60, 60, 60 scales 35\n"
ALL = "bound |x| <= 8\nbound |A| <= 1/16\nbound |B| <= 1/64\nbound |scale| <= 2\n"
LORA = program_text("rank_complex")
SIZES = {"d": 4096, "r": 16, "batch": 8, "slots": 4096}


def claim(text: str, sizes: dict[str, int] = SIZES) -> dict[str, int] | None:
    return range_claim(Program(text, sizes))


def test_results_are_bounded_by_norms_of_rows_and_matrices() -> None:
    # 2 * norm of a row of A * Frobenius norm of B * norm of a token = 2 * 4/16 * sqrt(16 * 4096)/64 * 8 * 64 = 2^10;
    # 120 bits of primes, a little less, hold 2^(3 * 35 + 10), a sign and twice a part, and nearly 3 bits more
    assert claim(LORA + ALL + PARAMETERS) == {"result_bits": 10, "left_bits": 2}


@pytest.mark.parametrize(
    ("change", "bits"),
    [
        (("|x| <= 8", "norm(x[:, t]) <= 512"), 10),
        (("|x| <= 8", "norm(x[:, t]) <= 64"), 7),
        (("|A| <= 1/16", "norm(A[i, :]) <= 1/4"), 10),
        (("|A| <= 1/16", "norm(A[i, :]) <= 1/8"), 9),
        (("|B| <= 1/64", "norm(B[q, :]) <= 1"), 10),
        (("|B| <= 1/64", "norm(B[:, j]) <= 1/16"), 10),
        (("|B| <= 1/64", "norm(B[:, j]) <= 1/32"), 9),
        (("|scale| <= 2", "|scale| <= 1/2"), 8),
    ],
)
def test_norms_that_are_declared(change: tuple[str, str], bits: int) -> None:
    found = claim(LORA + ALL.replace(*change) + PARAMETERS)
    assert found is not None
    assert found["result_bits"] == bits


@pytest.mark.parametrize(
    "text",
    [
        LORA + ALL,
        LORA + PARAMETERS,
        LORA + ALL.replace("bound |A| <= 1/16\n", "") + PARAMETERS,
        LORA + ALL.replace("bound |x| <= 8\n", "") + PARAMETERS,
        LORA + ALL + "parameters degree 16384 primes 60, 60, 60, 60 scales 50 drops 1, 2\n",
    ],
    ids=["no parameters", "no bounds", "no bound of a weight", "no bound of an input", "primes are dropped"],
)
def test_what_is_not_claimed(text: str) -> None:
    assert claim(text) is None


def test_too_large_a_bound_is_not_called_shown(tmp_path: Path) -> None:
    path, file = tmp_path / "large.slot", tmp_path / "large.json"
    path.write_text(LORA + ALL.replace("1/16", "64") + PARAMETERS, encoding="utf-8")
    assert slotlang("check", str(path), "--certificate", str(file)).status == 0
    ended = slotlang("recheck", str(file))
    assert "range   not shown: by this looser estimate results could reach 2^20" in ended.out


def test_a_certificate_carries_it_and_no_other_number_is_taken(tmp_path: Path) -> None:
    path, file = tmp_path / "small.slot", tmp_path / "small.json"
    path.write_text(LORA + ALL + PARAMETERS, encoding="utf-8")
    assert slotlang("check", str(path), "--certificate", str(file)).status == 0
    found = json.loads(file.read_text(encoding="utf-8"))
    assert found["range"] == {"result_bits": 10, "left_bits": 2}
    ended = slotlang("recheck", str(file))
    assert "range   within the bounds results stay below 2^10, which leaves 2 bits for noise and masks" in ended.out
    assert json.loads(slotlang("recheck", str(file), "--json").out)["range"] == found["range"]
    for key in found["range"]:
        changed = {**found, "range": {**found["range"], key: found["range"][key] + 1}}
        with pytest.raises(recheck.Rejected):
            recheck.recheck((json.dumps(changed, indent=1) + "\n").encode())


@pytest.mark.parametrize(
    ("norms", "name"),
    # each program once, by its elements or by norms
    one_in(
        2,
        product([False, True], ["rank_complex", "columns", "gated", "nonsquare", "lora", "squat_tall", "two_tokens"]),
        lambda case: f"{case[1]}-{'norms' if case[0] else 'elements'}",
    ),
)
def test_it_never_leaves_more_than_the_theorem(name: str, norms: bool) -> None:
    path = PROGRAMS / f"{name}.slot"
    program = api.load(str(path), tiny(path)[1])
    bounds: dict[str, Any] = dict.fromkeys(program.scalars, "3/2")
    for tensor, decl in program.tensors.items():
        bounds[f"norm({tensor})" if norms else tensor] = "2/3" if decl.kind == "weight" else 5
    bounded = api.with_bounds(program, bounds)
    for precision in (1e-2, 1e-5):
        made = api.plan(bounded, target=Target(precision=precision))
        assert made.range.proved and made.range.room is not None
        text = f"{bounded.syntax.source.text}{statement_of(made.parameters)}\n"
        found = claim(text, {name: program.sizes[name] for name in program.parameters})
        assert (found is None) == bool(made.parameters.early)
        assert found is None or found["left_bits"] <= made.range.room + 1e-3


def test_products_in_a_row_are_never_counted_too_low() -> None:
    for path in sorted(PROGRAMS.glob("*.slot")):
        program = api.load(str(path), tiny(path)[1])
        depth = api.plan(program).counts.depth
        if program.permutations:
            continue
        own = Program(program.syntax.source.text, {name: program.sizes[name] for name in program.parameters})
        counted = max(products(own, own.names[family][1][1]) for family, *_ in own.outputs)
        assert counted >= depth, path.name


def test_primes_are_no_larger_than_those_in_use() -> None:
    for degree, bits in [(4096, [41, 41, 27]), (8192, [60, 60, 60, 30]), (32768, [24, 24, 24, 24, 60])]:
        assert primes(degree, bits) == moduli(degree, bits)[:-1]


def test_numbers_that_look_prime() -> None:
    known = {n for n in range(2, 3000) if all(n % k for k in range(2, int(n**0.5) + 1))}
    assert {n for n in range(41, 3000, 2) if prime(n)} == {n for n in known if n > 40}
    # strong pseudoprimes, and Carmichael numbers
    assert not any(map(prime, [3215031751, 3825123056546413051, 561 * 1105, 6601 * 8911, 825265, 321197185]))


@pytest.mark.parametrize(
    "parameters", ["1000 primes 60, 60", "4096 primes 55, 55", "8192 primes 61, 60", "8192 primes 60"]
)
def test_parameters_below_128_bits_are_rejected(parameters: str) -> None:
    with pytest.raises(recheck.Rejected, match="128-bit"):
        Program(f"{LORA}{ALL}parameters degree {parameters} scales 20\n", SIZES)
