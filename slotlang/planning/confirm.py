"""Whether parameters that are known already reach a target for a program: what a search for them would ask, once."""

from __future__ import annotations

from dataclasses import replace

from slotlang.cost.data import within_bounds
from slotlang.cost.gains import gains
from slotlang.cost.noise import ITSELF, Wider
from slotlang.cost.variances import Contents
from slotlang.diagnostics import SlotError
from slotlang.meaning.program import Program
from slotlang.planning.choose import Chosen
from slotlang.planning.modulus import Modulus
from slotlang.planning.parameters import Parameters
from slotlang.planning.plan import Draft
from slotlang.planning.target import Target


def confirmed(
    program: Program,
    target: Target,
    parameters: Parameters,
    wider: Wider = ITSELF,
    share: float = 1.0,
    *,
    whole: bool = True,
) -> Chosen | None:
    """The plan with these parameters and its predicted relative rms error; None where the error is above the target's
    precision, which must be given, where the keys are beyond its bound, or where messages do not fit.

    ``wider`` and ``share`` as of ``choose``. ``whole``: of a part of a program it is not known whether messages fit.
    """
    assert target.precision is not None, "parameters are confirmed for a precision"
    p = parameters
    try:
        draft = Draft.meeting(target, program, p.early, share, p.results).keyed(p.keys)
        plan = replace(draft.under(p, target.kernel), wire=target.wire)
    except SlotError:
        return None
    data = within_bounds(program, target.data)
    contents = draft.contents if draft.contents.data is data else Contents(draft.built, data)
    masked = target.hide != "none"
    grown = gains(
        draft.graph,
        p.degree,
        draft.doubled,
        masked=masked,
        zero=draft.zero,
        bits=draft.hiding.bits,
        whole=draft.whole,
        doubles=draft.doubles,
        contents=contents,
    )
    error = grown.widened(wider).error(p)
    most = target.max_key_bytes
    if not error <= target.precision or (most is not None and plan.switching_key_bytes > most):
        return None
    if whole:
        modulus = Modulus(draft, p.degree, p.data_primes, grown, draft.needs, draft.mask_rooms)
        status = plan.range.status
        if status != "proved" and not (status == "conditional" and modulus.holds_noise(p)):
            return None
    return Chosen(plan, error)
