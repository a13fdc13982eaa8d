"""The spread bound: equal to brute force at tiny sizes, and never above what a proved program needs."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import product
from pathlib import Path
from random import Random

import generate
import numpy as np
import pytest
from amounts import examples
from hypothesis import given
from hypothesis import strategies as st
from small_programs import CASES, Case, case

from slotlang import api
from slotlang.cost import bounds
from slotlang.cost.bounds import rotation_lower_bound
from slotlang.cost.counts import count
from slotlang.diagnostics import SlotError
from slotlang.graph.unroll import unroll
from slotlang.meaning.integers import evaluate, holds
from slotlang.meaning.program import Program
from slotlang.planning.zeros import zero_plaintexts
from slotlang.schedule.build import schedule


def polynomial(program: Program, name: str, place: tuple[int, ...]) -> Counter[tuple[tuple[str, ...], ...]]:
    """One element of a theorem, multiplied out: coefficients by monomial of (tensor, index, ...) factors."""
    total: Counter[tuple[tuple[str, ...], ...]] = Counter()
    for chain in program.theorems[name].form.chains:
        shapes = []
        for factor in chain.factors:
            shape = program.tensors[factor.tensor].shape
            shapes.append(shape[::-1] if factor.transposed else shape)
        inner = [range(s[-1] if len(s) == 2 else s[0]) for s in shapes[:-1]]
        for links in product(*inner):
            left: tuple[int, ...] = place[:1] if len(shapes[0]) == 2 else ()
            indices = list(left) + list(links)
            if len(shapes[-1]) == 2:
                indices.append(place[-1])
            monomial, at = [], 0
            alive = True
            for factor, shape in zip(chain.factors, shapes, strict=True):
                own = indices[at : at + len(shape)]
                at += len(shape) - 1
                if factor.transposed:
                    own = own[::-1]
                decl = program.tensors[factor.tensor]
                if decl.pattern is not None:
                    alive = alive and holds(decl.pattern, program.sizes, dict(zip(decl.indices, own, strict=True)))
                monomial.append((factor.tensor, *map(str, own)))
            if alive:
                key = tuple(sorted([*monomial, *((s,) for s in chain.scalars)]))
                total[key] += chain.coefficient  # type: ignore[assignment]
    return Counter({k: v for k, v in total.items() if v})


def brute_force(program: Program, slots: range | None = None) -> int:
    """The bound by its definition: over the given slots (the first that carries an element if None) of the
    first member of every output."""
    where: dict[tuple[str, ...], set[tuple[str, ...]]] = defaultdict(set)
    crowd: Counter[tuple[str, ...]] = Counter()
    for family in program.families.values():
        if family.kind != "cipher":
            continue
        for point in product(*(range(b.size) for b in family.binders)):
            owner = (family.name, *map(str, point))
            for slot in range(program.slots):
                env = {b.name: v for b, v in zip(family.binders, point, strict=True)}
                held = reads(program, family.body, env, slot)
                crowd[owner] = max(crowd[owner], len(held))
                for element in held:
                    where[element].add(owner)
    best = 0
    for output in program.outputs:
        if program.theorems[output.name].form is None:
            # the bound looks for nothing in a result by elements
            continue
        carried = []
        for slot in slots or range(program.slots):
            env = {**program.slot_env(slot), **{b.name: 0 for b in output.binders}}
            if holds(program.read_where(output), program.sizes, env):
                carried.append(tuple(int(evaluate(i, program.sizes, env)) for i in output.indices))
        for place in carried if slots else carried[:1]:
            needed = {
                factor
                for monomial in polynomial(program, output.name, place)
                for factor in monomial
                if factor[0] in program.tensors and program.tensors[factor[0]].kind == "input"
            }
            alone = Counter(next(iter(where[e])) for e in needed if len(where[e]) == 1)
            for owner, times in alone.items():
                filled = -(-times // crowd[owner])
                best = max(best, (filled - 1).bit_length())
    return best


def reads(program: Program, value: object, env: dict[str, int], slot: int) -> list[tuple[str, ...]]:
    from slotlang.meaning import value as p

    here = {**program.slot_env(slot), **env}
    match value:
        case p.Const() | p.Iverson():
            return []
        case p.Read(tensor, indices, _):
            at = [int(evaluate(i, program.sizes, here)) for i in indices]
            inside = all(0 <= i < n for i, n in zip(at, program.tensors[tensor].shape, strict=True))
            return [(tensor, *map(str, at))] if inside else []
        case p.Arith("*", p.Iverson(cond), other) | p.Arith("*", other, p.Iverson(cond)):
            return reads(program, other, env, slot) if holds(cond, program.sizes, here) else []
        case p.Arith(_, left, right):
            return reads(program, left, env, slot) + reads(program, right, env, slot)
        case p.Negate(inner) | p.Conj(inner):
            return reads(program, inner, env, slot)
        case p.Shift(inner, amount):
            return reads(program, inner, env, (slot + int(evaluate(amount, program.sizes, env))) % program.slots)
        case p.SumOver(var, extent, _, _, inner):
            size = int(evaluate(extent, program.sizes, {}))
            return [e for v in range(size) for e in reads(program, inner, {**env, var: v}, slot)]
        case p.Permuted(inner, name, inverse):
            destination = program.permutations[name].destination
            source = destination[slot] if inverse else int(np.flatnonzero(destination == slot)[0])
            return reads(program, inner, env, int(source))
        case _:
            raise AssertionError(value)


@pytest.mark.parametrize("small", CASES, ids=lambda c: c.name)
def test_brute_force(small: Case) -> None:
    program = api.loads(small.text)
    bound = rotation_lower_bound(program)
    if small.name == "packed differences":
        assert bound is None
        return
    assert bound == brute_force(program)
    assert bound <= api.plan(program).counts.rotations


@examples(30)
@given(st.integers(0, 2**32))
def test_random_programs(seed: int) -> None:
    text, sizes = generate.random_program(Random(seed))
    program = api.loads(text, sizes)
    bound = rotation_lower_bound(program)
    if bound is None:
        return
    assert bound == brute_force(program)
    if api.check(program).proved:
        try:
            made = schedule(program)
        except SlotError:
            return
        # the theorem holds at every slot, not only at the one that is looked at
        every = brute_force(program, range(program.slots))
        assert bound <= every <= count(unroll(made, zero_plaintexts(made))).rotations


@pytest.mark.parametrize(
    ("name", "bound"), [("as written", 4), ("horner and doubling", 3), ("sums of different depth", 3), ("cycles", 0)]
)
def test_known_bounds(name: str, bound: int) -> None:
    assert rotation_lower_bound(api.loads(case(name).text)) == bound


def test_the_corpus(root: Path) -> None:
    assert rotation_lower_bound(api.load(root / "programs" / "rank_complex.slot")) == 9


def bound_of(theorem: str, packing: str = "x[slot]", weights: str = "A[slots, slots]") -> int | None:
    return rotation_lower_bound(
        api.loads(f"""program p(slots = 8)
input x[slots]
weight {weights}
cipher X = {packing}
Y = X << 1
output y[slot] = Y
prove y == {theorem}
""")
    )


def test_what_cancels_is_not_needed() -> None:
    assert bound_of("A @ x") == 3
    assert bound_of("A @ x - A @ x") == 0
    assert bound_of("A @ x - A.T @ x + A.T @ x") == 3
    # element 0 needs x[1] to x[7]: the diagonal falls out, which leaves 7 slots
    assert bound_of("A @ x - A.T @ x") == 3
    assert bound_of("0 * A @ x + x") == 0


def test_patterns_cut_what_is_needed() -> None:
    band = "A[i < slots, j < slots] sparse where (j - i) % slots <= {}"
    assert [bound_of("A @ x", weights=band.format(n)) for n in range(8)] == [0, 1, 2, 2, 3, 3, 3, 3]
    assert bound_of("A @ A @ x", weights=band.format(1)) == 2


def test_packing_counts() -> None:
    assert bound_of("A @ x", "x[slot] + 1i * x[(slot + 4) % slots]") == 2
    assert bound_of("A @ x", "[slot < 4] * (x[slot] + 1i * x[(slot + 4) % slots])") == 2
    assert bound_of("A @ x", "x[slot // 2] + 1i * x[slot // 2 + 4]") == 2
    assert bound_of("A @ x", "sum k < 8: x[k]") == 0


def test_sizes_too_large_are_not_known(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = root / "programs" / "rank_complex.slot"
    assert rotation_lower_bound(api.load(path, {"d": 2**39})) is None
    monkeypatch.setattr(bounds, "MAX_PACKED", 1000)
    assert rotation_lower_bound(api.load(path)) is None
