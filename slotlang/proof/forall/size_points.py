"""Concrete values of the symbols that sizes are made of: those that meet every inequality known of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random

import islpy as isl

from slotlang.proof.forall.inequalities import Domain
from slotlang.proof.forall.polynomials import Poly
from slotlang.proof.sets import whole_number

SMALL = (3, 4, 6, 16)
"""Most attempts are small, so that what is done at a point is quick; some facts need larger values."""
LARGE_BITS = 12
"""Large values have up to this many bits."""
MAX_BITS = 40
"""No size is larger: the front end takes none."""
MAX_MISSES = 500
"""Draws without a point before it is looked for otherwise."""
STEPS = 200
"""Moves of one search for a point."""
SEARCHES = 8


def small(domain: Domain, names: Sequence[str], count: int, seed: int) -> Iterator[dict[str, int]]:
    """Up to ``count`` points of small values, drawn at random; by a search when no draw meets the inequalities."""
    draw = Random(seed)
    drawn = 0
    for attempt in range(64 * count):
        most = SMALL[attempt % len(SMALL)]
        point = {name: draw.randint(domain.least[name], most) for name in names}
        if _inside(domain, point):
            yield point
            drawn += 1
        if drawn == count or (not drawn and attempt == MAX_MISSES):
            break
    if not drawn:
        points = _linear(domain, names)
        if points is not None:
            corner = points.lexmin().sample_point()
            yield from () if points.is_empty() else [_values(corner, names)]
        else:
            yield from _searched(domain, names, draw)


def powered(point: dict[str, int], powers: Sequence[tuple[int, Poly, Poly]]) -> dict[str, int]:
    """Values of the symbols with those that are powers of others (base, exponent, value) made so."""
    for base, exponent, value in powers:
        if value in map(Poly.symbol, point):
            (name,) = value.names()
            point[name] = base ** int(exponent.value(point))
    return point


def large(domain: Domain, names: Sequence[str], count: int, seed: int) -> Iterator[dict[str, int]]:
    """Up to ``count`` points of values whose magnitudes are drawn at random."""
    draw = Random(seed)
    for _ in range(16 * count):
        point = {name: max(domain.least[name], int(2 ** draw.uniform(0, LARGE_BITS))) for name in names}
        if _inside(domain, point):
            yield point
            count -= 1
        if not count:
            return


def none(domain: Domain, names: Sequence[str]) -> bool:
    """Whether it is certain that no values meet the inequalities."""
    points = _linear(domain, names)
    return points is not None and bool(points.is_empty())


def _linear(domain: Domain, names: Sequence[str]) -> isl.Set | None:
    """The values that meet the inequalities; None where these are not linear."""
    if any(sum(e for _, e in monomial) > 1 for fact in domain.facts for monomial in fact.terms):
        return None
    place = {name: f"x{n}" for n, name in enumerate(names)}
    parts = [f"{place[name]} >= {domain.least[name]}" for name in names]
    for fact in domain.facts:
        clear = fact * fact.cleared()
        terms = [f"{c} {place[monomial[0][0]] if monomial else ''}" for monomial, c in clear.terms.items()]
        # an inequality that its conditions cancelled has no terms
        parts.append(f"{' + '.join(terms) or '0'} >= 0")
    return isl.Set(f"{{ [{', '.join(place.values())}] : {' and '.join(parts)} }}")


def _values(point: isl.Point, names: Sequence[str]) -> dict[str, int]:
    values = (whole_number(point.get_coordinate_val(isl.dim_type.set, n)) for n in range(len(names)))
    return dict(zip(names, values, strict=True))


def _inside(domain: Domain, point: dict[str, int]) -> bool:
    return all(fact.value(point) >= 0 for fact in domain.facts)


def _searched(domain: Domain, names: Sequence[str], draw: Random) -> Iterator[dict[str, int]]:
    """Points found by moving one value at a time, to where the inequalities fail by the least."""

    def excess(point: dict[str, int]) -> int:
        return sum(max(0, -int(fact.value(point))) for fact in domain.facts)

    for _ in range(SEARCHES):
        point = {name: domain.least[name] for name in names}
        for _ in range(STEPS):
            if not excess(point):
                yield point
                break
            moves = []
            for name, value in point.items():
                step = 1 << draw.randrange(LARGE_BITS)
                for new in (2 * value, value // 2, value + 1, value - 1, value + step, value - step):
                    if domain.least[name] <= new <= 1 << MAX_BITS and new != value:
                        moves.append({**point, name: new})
            if not moves:
                break
            # a random move now and then, against dead ends
            point = min(moves, key=excess) if draw.random() < 0.8 else draw.choice(moves)
