"""The plan for weights that are known: where the fixed choice of parameters leaves them too little of the modulus, its
scales are smaller."""

from __future__ import annotations

from collections.abc import Callable
from math import inf, isfinite

import numpy as np

from slotlang.cost.profile import Profile
from slotlang.emit.head import Lowering
from slotlang.emit.module import emit
from slotlang.meaning.program import Program
from slotlang.planning.parameters import Parameters
from slotlang.planning.plan import Plan
from slotlang.planning.planner import plan, with_room
from slotlang.planning.target import Target
from slotlang_runtime.errors import Rejected
from slotlang_runtime.messages import LEAST_ROOM
from slotlang_runtime.parameters import Levels

_TRIES = 3
"""How often scales are made smaller. One is enough but where noise takes a part of the modulus."""


def fitted_plan(
    program: Program,
    parameters: Parameters | None = None,
    *,
    target: Target,
    profile: Profile | None = None,
    look: Callable[[Plan], None] = lambda _: None,
) -> Plan:
    """As ``plan``. Where parameters are the fixed choice and the target has all weights, scales are as much smaller as
    these weights need to be encoded: by the runtime's own bounds of the module's messages. Where no scale is small
    enough the plan is the fixed one, which refuses the weights. ``look`` sees the plan before anything is emitted: that
    takes long for many plaintexts. It may refuse the plan. Raises as ``plan``."""
    made = fixed = plan(program, parameters, target=target, profile=profile)
    look(made)
    for _ in range(_TRIES):
        missing = _missing(made)
        if missing <= 0:
            return made
        roomier = with_room(made, missing, target) if isfinite(missing) else None
        if roomier is None:
            break
        made = roomier
    return made if made is fixed or _missing(made) <= 0 else fixed


def _missing(made: Plan) -> float:
    """Bits of modulus that the weights of the plan's data need beyond what there is; none where some weights are not
    known, or are refused for another reason."""
    weights = made.data.weights
    program = made.program
    names = [*(name for name, decl in program.tensors.items() if decl.kind == "weight"), *program.scalars]
    if made.origin != "fixed" or not names or not set(names) <= weights.keys():
        return -inf
    # a command without weights starts without tenseal
    from slotlang.emit.loaded import load_module
    from slotlang_runtime.ranges import ranges
    from slotlang_runtime.seal.ring import context_of
    from slotlang_runtime.weights import checked_weights

    # results are bounded by what the program claims: a plan is lowered when that is proved
    module = load_module(emit(made, Lowering("", "proved", "", validated=True)), "fitted")
    try:
        arrays = checked_weights(module, {name: weights[name] for name in names})
    except Rejected:
        return -inf
    levels = Levels(module.parameters, context_of(module.parameters.ring).moduli)
    with np.errstate(over="ignore", invalid="ignore"):
        return LEAST_ROOM - ranges(module, levels, arrays, module.limits).room
