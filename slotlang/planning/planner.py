"""The plan of a program for a target."""

from __future__ import annotations

from dataclasses import replace

from slotlang.cost.data import within_bounds
from slotlang.cost.profile import Profile
from slotlang.diagnostics import SlotError, error
from slotlang.meaning.program import Program
from slotlang.planning.choose import RESERVE, choose
from slotlang.planning.given_parameters import at, program_parameters
from slotlang.planning.mask_refusal import masks_refused
from slotlang.planning.parameters import UNRESCALED_DEPTH, Parameters, fixed_parameters
from slotlang.planning.plan import Draft, Plan
from slotlang.planning.range_refusal import refused, unheld
from slotlang.planning.target import Target
from slotlang.refusals import Unreachable
from slotlang.schedule.build import EVERY
from slotlang_runtime.amounts import count_of

PRECISION = 1e-3
"""The relative error at which parameters are looked for, to tell whether any hold a program's bounds."""


def plan(
    program: Program,
    parameters: Parameters | None = None,
    *,
    target: Target = Target(),
    profile: Profile | None = None,
) -> Plan:
    """Schedule and unroll a program for a target.

    ``parameters`` are taken as they are. Without ``parameters``, the fastest that the target's precision and bound on
    keys allow, by ``profile`` (or ``find_profile``'s), are taken; without a precision, those that the program names; or
    else the fixed choice.

    Raises ``SlotError`` SL309 (too large), SL401 to SL403 (a sum or permutation can't be lowered), SL404 (below 128
    bits, or too deep), SL405 (slots not a power of two), SL407 (no room for masks), SL408 (keys that do not make all
    rotations), SL411 (bounds that these parameters do not hold), SL412 (bounds that none hold), SL451 (precision or
    bound on keys out of reach), SL472 (the kernel can't compute it), SL473 (results
    that are no ciphertexts of SEAL, on its wire), and as ``find_profile``.
    """
    wanted = target if target.precision is not None else replace(target, precision=PRECISION)
    try:
        made = _about(_planned(program, parameters, target, profile), target)
    except SlotError as problem:
        raise _without_room(program, parameters, wanted, profile, problem) or problem from None
    if made.range.status == "refuted":
        raise refused(made, lambda other: _reached(other, wanted, profile), wanted.precision or PRECISION)
    return made


def _without_room(
    program: Program, given: Parameters | None, wanted: Target, profile: Profile | None, problem: SlotError
) -> SlotError | None:
    """SL407 with what would do, where a problem is that masks have no room under parameters that somebody chose."""
    p = given or program_parameters(program)
    if p is None or wanted.precision is None or [d.code for d in problem.diagnostics] != ["SL407"]:
        return None
    draft = Draft.meeting(wanted, program, p.early, results=p.results).keyed(p.keys)
    return masks_refused(draft, p, lambda other: _reached(other, wanted, profile), wanted.precision)


def check_ciphertexts(made: Plan) -> None:
    """Raises SL473 where a result is not sent as a ciphertext that SEAL has."""
    if made.hiding.halves:
        name, hidden = min(made.hiding.halves)[0], made.hiding.mode
        raise error(
            "SL473",
            f"of '{name}' one part is read, for which half of c0 is sent: SEAL has no such ciphertext",
            made.program.families[name].span if name in made.program.families else made.program.span,
            notes=[f"{count_of(len(made.hiding.halves), 'result')} are hidden so (--hide {hidden})"],
            hint="--hide exact adds the conjugate to results of which one part is read; --hide none hides nothing",
        )
    if made.parameters.cut:
        raise error(
            "SL473",
            "these parameters cut last bits off results: SEAL has no such ciphertext",
            made.program.span,
            notes=[made.parameters.text()],
            hint="leave out the bits, or search others with --precision and --wire seal",
        )


def tried(program: Program, parameters: Parameters, target: Target) -> Plan | None:
    """The plan under these parameters; None where they do not hold the program's bounds. ``plan`` looks for others that
    do, for its message; whoever tries many parameters needs none. Raises otherwise as ``plan``."""
    made = _about(_under(program, parameters, target), target)
    return None if made.range.status == "refuted" else made


def _about(made: Plan, target: Target) -> Plan:
    """A plan with what is known of the data that it is for, and of its wire."""
    data = within_bounds(made.program, target.data)
    made = replace(made, data=data, wanted=target.precision, wire=target.wire, standalone=target.standalone)
    if target.wire == "seal":
        check_ciphertexts(made)
    return _with_digits(made, target.precision)


SHOWN = 1.1
"""By how much errors may grow for masks in double precision: twice the digits take up to twice as long, and without
compiled kernels more than ten times."""

FIXED_ERROR = 1e-6
"""The largest relative error that the fixed choice may have of masks in double precision: nobody asked for a precision.
"""


def _with_digits(made: Plan, precision: float | None) -> Plan:
    """A plan whose masks are encoded, and results decoded, in double precision where little of large masks shows."""
    if not made.hiding.precise:
        return made
    by = replace(made, hiding=replace(made.hiding, doubles=True))
    allowed = precision / RESERVE if precision is not None else FIXED_ERROR if made.origin == "fixed" else 0.0
    most = max(SHOWN * made.promise.relative_error, allowed)
    return by if by.promise.relative_error <= most else made


def _planned(program: Program, parameters: Parameters | None, target: Target, profile: Profile | None) -> Plan:
    if parameters is not None:
        return _under(program, parameters, target)
    if target.precision is not None:
        chosen = choose(program, target, profile=profile)
        if isinstance(chosen, Unreachable):
            best = [f"the best with these bounds is {chosen.best:.1e}"] if chosen.best < 1 else []
            what = f"128-bit parameters for a relative error of {target.precision:.1e}"
            masks = Draft.meeting(target, program).hiding.masks_note()
            problem = chosen.error()
            raise unheld(program, lambda other: _reached(other, target, profile), what, [*best, *masks]) or SlotError(
                replace(d, notes=(*d.notes, *masks)) for d in problem.diagnostics
            )
        return replace(chosen.plan, origin="search")
    if (named := program_parameters(program)) is not None and program.chosen_parameters is not None:
        with at(program.chosen_parameters.span):
            return replace(_under(program, named, target), origin="program")
    try:
        return _fixed(program, target)
    except SlotError as problem:
        if [d.code for d in problem.diagnostics] != ["SL404"]:
            raise
        searched = _reached(program, replace(target, precision=PRECISION), profile)
        hint = f"--precision {PRECISION:g} finds parameters that hold them" if searched else ""
        raise (
            unheld(program, lambda other: _is_fixed(other, target), "fixed parameters", hint=hint) or problem
        ) from None


def _reached(program: Program, target: Target, profile: Profile | None) -> bool:
    """Whether some parameters reach the target."""
    return not isinstance(choose(program, target, profile=profile), Unreachable)


def _is_fixed(program: Program, target: Target) -> bool:
    """Whether there is a fixed choice."""
    try:
        return _fixed(program, target).range.status != "refuted"
    except SlotError:
        return False


def with_room(made: Plan, missing: float, target: Target) -> Plan | None:
    """The fixed choice with scales that leave this many bits of modulus more than a plan's. None where no scale is
    small enough, and where primes are dropped: then scales are about as large as these."""
    p, depth = made.parameters, made.graph.schedule.depth
    if made.origin != "fixed" or p.drops:
        return None
    room = sum(p.primes[: p.data_primes]) - p.carried_bits(0, depth) + missing
    try:
        found = _fixed(made.program, target, room)
    except SlotError:
        return None
    return _about(found, target)


def _fixed(program: Program, target: Target, room: float = 0.0) -> Plan:
    """The fixed choice, with as many bits of modulus above the scale of a result as its message is assumed to need, and
    with ``room`` of them at least."""
    draft = Draft.meeting(target, program)
    if draft.built.depth > UNRESCALED_DEPTH:
        # scales of products of products add up; levels do not
        draft = Draft.meeting(target, program, EVERY)
    built = draft.built
    fixed = fixed_parameters(
        program.slots,
        built.depth,
        program.span,
        rescale=bool(built.drops),
        turns_fresh=built.turns_fresh and not built.multiplies_ciphertexts,
        message_bits=max(draft.message_bits, room),
        mask_room=max(draft.mask_rooms.values(), default=0.0),
    )
    return replace(draft.under(fixed, target.kernel), origin="fixed")


def _under(program: Program, parameters: Parameters, target: Target) -> Plan:
    draft = Draft.meeting(target, program, parameters.early, results=parameters.results)
    return draft.keyed(parameters.keys).under(parameters, target.kernel)
