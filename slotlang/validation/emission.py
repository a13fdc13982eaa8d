"""What a module's program and parameters are emitted as."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import replace
from math import inf, isclose
from typing import Any, get_args

from slotlang.cost.data import Assumed
from slotlang.cost.promise import Promise
from slotlang.diagnostics import SlotError, error
from slotlang.emit.head import Lowering
from slotlang.emit.module import emit
from slotlang.emit.standalone import emit_standalone
from slotlang.meaning.program import Program
from slotlang.planning.hiding import Hiding, check_masks
from slotlang.planning.parameters import Parameters
from slotlang.planning.plan import Plan
from slotlang.planning.planner import plan
from slotlang.planning.ranges import Range
from slotlang.planning.target import Target, wire_named
from slotlang.validation.module_file import ModuleFile, assigned
from slotlang_runtime.messages import HIDING_BITS, MOST_MASK_BITS

AS_PREDICTED = 0.02
"""By how much a promise may differ from what is predicted anew: it is rounded, and machines round differently."""


def emitted_anew(file: ModuleFile, program: Program, made: Plan | None = None) -> tuple[ast.Module, Range]:
    """The syntax tree of a module emitted from what a module says of itself, and its range theorem. ``made``: its plan,
    where that is known.

    Raises what ``plan`` raises, as SL404 for parameters below 128-bit security, and ``SlotError`` SL745 where the
    verdicts that the module was lowered with are none.
    """
    emission = emit_standalone if file.standalone else emit
    made, lowering = made or planned(file, program), _lowering(file)
    # proved again, and not believed
    found = made.range.unless_proved(lowering.verdict)
    if file.standalone:
        found = found.standalone(whole=bool(made.hiding.halves))
    return ast.parse(emission(made, replace(lowering, range=found.status), _promise(file, made))), found


def planned(file: ModuleFile, program: Program) -> Plan:
    """The plan that a module says it was emitted for."""
    p = file.parameters
    scales = p.scale_bits if len(p.scale_bits) > 1 else ()
    keys = p.rotations if p.routes else ()
    parameters = Parameters(p.degree, p.prime_bits, p.scale_bits[0], p.drops, scales, keys, p.results, p.cut)
    wire = wire_named(str(file.lowered.get("wire", "slotlang")))
    target = Target(kernel=file.kernel, hide=p.hide, wire=wire, standalone=file.standalone)
    made = plan(program, parameters, target=target)
    if wire == "seal" or file.standalone:
        return made
    hidden = made.hiding
    if hidden.assumed:
        # they follow from weights, which are not in the module: `Weights.encode` refuses those that these do not hide
        hidden = replace(hidden, held=_held(file, hidden))
        check_masks(hidden, hidden.bits, made.graph, made.parameters)
    return replace(made, hiding=replace(hidden, doubles=not file.lowered.get("precise", False)))


def _held(file: ModuleFile, hidden: Hiding) -> dict[str, float]:
    """What slots that no output reads may hold, by family, from the bits of masks that a module says it has."""
    bits = file.lowered.get("masks")
    if (
        not isinstance(bits, dict)
        or list(bits) != sorted(hidden.held)
        or not all(type(number) is int and HIDING_BITS <= number <= MOST_MASK_BITS for number in bits.values())
    ):
        raise _not_lowered(file)
    return {name: 2.0 ** (number - HIDING_BITS) for name, number in bits.items()}


def _promise(file: ModuleFile, made: Plan) -> Promise:
    """What the module promises. About given weights, which are not in the module, that is read and not checked; about
    data of unit variance, or as large as bounds allow, it is what is predicted again, for any precision.

    Raises ``SlotError`` SL745 for anything else.
    """
    found = file.promise
    kinds = {"assumed": str, "relative_error": float, "precision": float, "error": dict}
    about_weights = found.get("assumed") not in ("unit", "bounds")
    if about_weights and "sizes" in found:
        kinds["sizes"] = dict
    right = list(found) == list(kinds) and all(type(found[name]) is kind for name, kind in kinds.items())
    if right:
        numbers = [found["relative_error"], found["precision"], *found["error"].values()]
        right = (
            found["assumed"] in get_args(Assumed)
            and list(found["error"]) == list(made.program.theorems)
            and all(type(number) is float and 0 <= number < inf for number in numbers)
            and 0 < found["precision"] >= found["relative_error"]
            and _are_sizes(found.get("sizes", {}), made.program)
        )
    if right and not about_weights:
        own = made.promise
        right = found["assumed"] == own.assumed and all(
            isclose(a, b, rel_tol=AS_PREDICTED)
            for a, b in zip(
                [found["relative_error"], *found["error"].values()],
                [own.relative_error, *own.error.values()],
                strict=True,
            )
        )
    if not right:
        raise error(
            "SL745",
            "this module was changed outside of the bodies that may be edited: `PROMISE` is not what is predicted for "
            "`PARAMETERS`; one of the two was changed",
            file.span(assigned(file.tree, "PROMISE") or file.tree),
            hint="lower the program again",
        )
    return Promise(**found)


def _are_sizes(sizes: Mapping[str, Any], program: Program) -> bool:
    """Whether these are sizes of tensors and scalars."""
    return set(sizes) <= {*program.tensors, *program.scalars} and all(
        type(size) is float and 0 <= size < inf for size in sizes.values()
    )


def _lowering(file: ModuleFile) -> Lowering:
    found = file.lowered
    kinds: dict[str, type] = {"by": str, "verdict": str, "method": str, "validated": bool, "range": str}
    if found.get("wire") == "seal":
        kinds["wire"] = str
    known = {name: value for name, value in found.items() if name not in ("masks", "precise")}
    if list(known) != list(kinds) or any(type(known[name]) is not kind for name, kind in kinds.items()):
        raise _not_lowered(file)
    if found.get("precise", True) is not True:
        raise _not_lowered(file)
    return Lowering(**known)


def _not_lowered(file: ModuleFile) -> SlotError:
    """SL745 about what a module says of how it was made."""
    statement = assigned(file.tree, "LOWERED")
    return error(
        "SL745",
        "this module was changed outside of the bodies that may be edited: `LOWERED` does not say who lowered it",
        file.span(statement if statement is not None else file.tree),
        hint="lower the program again",
    )
