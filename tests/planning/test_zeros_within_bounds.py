"""The range theorem holds for weights that vanish: what it is proved for is never refused when it is encoded."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from amounts import drawn, one_in, some

from slotlang import api
from slotlang.diagnostics import SlotError
from slotlang.planning.parameters import Parameters
from slotlang.run.runner import load_module
from slotlang_runtime.ranges import check_range

ADDED = """program added(d = 8, slots = 8)
input x[d]
weight D[i < d, j < d] sparse where i == j
weight E[i < d, j < d] sparse where i == j
weight v[d]
scalar k
bound |x| <= {x}
bound |D| <= 1/{D}
bound |E| <= 1/2
bound |v| <= {v}
bound |k| <= 3
axes (h < d)
cipher X = x[h]
plain P = k * D[h, h]
plain R = E[h, h]
plain Q = v[h]
{lines}
output y[h] = Y
prove y == {wanted}
"""

ADDITIONS = {
    "one product": ("Y = X * P + Q", "k * D @ x + v"),
    "two products": ("V = X * P + Q\nY = V * R - Q", "k * E @ D @ x + E @ v - v"),
    "moved": ("V = X * P\nW = V * R\nY = ((W + Q) << 3) >> 3", "k * E @ D @ x + v"),
}


@drawn
@pytest.mark.parametrize(
    ("parameters", "place"),
    # each place once
    one_in(
        2,
        product([Parameters(8192, (60, 60), 18), Parameters(8192, (50, 40, 60), 30, (1,))], ADDITIONS),
        lambda case: f"{case[1]}-{case[0].text()}",
    ),
)
def test_weights_within_the_bounds_are_never_refused(parameters: Parameters, place: str) -> None:
    """Not where they vanish, are sparse, or are encoded as zero either, for bounds that leave next to no room."""
    rng = np.random.default_rng(0)
    lines, wanted = ADDITIONS[place]
    for small, added in ((1, 1), (10**6, 1), (10**12, 8)):
        text = ADDED.format(D=small, v=added, lines=lines, wanted=wanted, x=2**100)
        with pytest.raises(SlotError) as caught:
            api.plan(api.loads(text), parameters)
        (largest,) = (
            eval(n.split("<=")[1].removesuffix(" fits"))
            for n in caught.value.diagnostics[0].notes
            if n.startswith("with these")
        )
        made = api.lower(api.with_bounds(api.loads(text), {"x": largest}), parameters)
        assert made.range.proved and made.range.room is not None and made.range.room < 1.3
        module = load_module(made.text)
        for _ in range(some(60)):
            weights: dict[str, Any] = {"k": rng.choice([0.0, 3.0, -1e-9])}
            for name, size in (("D", 1 / small), ("E", 0.5), ("v", added)):
                shape = module.weights[name]
                values = rng.uniform(-1, 1, shape) * rng.choice([0.0, 1.0, 1e-9, 1e-300])
                values = np.sign(values) if rng.random() < 0.3 else values * (rng.random(shape) < rng.random())
                weights[name] = size * values * (module.patterns[name]() if name in module.patterns else 1.0)
            assert check_range(module, weights).room >= made.range.room - 1e-6
