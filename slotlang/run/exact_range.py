"""The range theorem for given weights, whose exact gains take the place of bounds."""

from __future__ import annotations

from slotlang.emit.loaded import load_module
from slotlang.lower import Lowered
from slotlang.planning.ranges import Range
from slotlang.planning.target import Target
from slotlang.refusals import refused
from slotlang.run.failure import with_parameters
from slotlang.run.given import Source
from slotlang_runtime.errors import Rejected
from slotlang_runtime.ranges import check_range
from slotlang_runtime.weights import checked_weights


def exact_range(made: Lowered, target: Target, source: Source) -> Range:
    """What the module's runtime finds when it encodes the target's weights; the plan's own theorem where some are not
    given. ``source``: where the weights are from.

    Raises ``SlotError`` with the runtime's code for weights that it would refuse.
    """
    weights = target.data.weights
    module = load_module(made.text)
    names = [*module.weights, *module.scalars]
    if not names or not set(names) <= weights.keys():
        return made.range
    try:
        found = check_range(module, checked_weights(module, {name: weights[name] for name in names}))
    except Rejected as problem:
        raise source.named(with_parameters(refused(problem), made.plan, target)) from None
    tightest = next(iter(found.points), None)
    return made.range.of_weights(*((None, "") if tightest is None else (tightest.room, tightest.where)))
