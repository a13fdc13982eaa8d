"""What a module's program and parameters are emitted as."""

from __future__ import annotations

import ast
from dataclasses import replace

from slotlang.diagnostics import error
from slotlang.emit.head import Lowering
from slotlang.emit.module import emit
from slotlang.emit.standalone import emit_standalone
from slotlang.meaning.program import Program
from slotlang.planning.parameters import Parameters
from slotlang.planning.plan import Plan
from slotlang.planning.planner import plan
from slotlang.planning.ranges import Range
from slotlang.planning.target import Target
from slotlang.validation.module_file import ModuleFile, assigned


def emitted_anew(file: ModuleFile, program: Program) -> tuple[ast.Module, Range]:
    """The syntax tree of a module emitted from what a module says of itself, and its range theorem.

    Raises what ``plan`` raises, as SL404 for parameters below 128-bit security, and ``SlotError`` SL745 where the
    verdicts that the module was lowered with are none.
    """
    emission = emit_standalone if file.standalone else emit
    made, lowering = planned(file, program), _lowering(file)
    # proved again, and not believed
    found = made.range.unless_proved(lowering.verdict)
    return ast.parse(emission(made, replace(lowering, range=found.status))), found


def planned(file: ModuleFile, program: Program) -> Plan:
    """The plan that a module says it was emitted for."""
    p = file.parameters
    scales = p.scale_bits if len(p.scale_bits) > 1 else ()
    keys = p.rotations if p.routes else ()
    parameters = Parameters(p.degree, p.prime_bits, p.scale_bits[0], p.drops, scales, keys)
    return plan(program, parameters, target=Target(kernel=file.kernel, hide=p.hide))


def _lowering(file: ModuleFile) -> Lowering:
    found = file.lowered
    kinds = {"by": str, "verdict": str, "method": str, "validated": bool, "range": str}
    if list(found) != list(kinds) or any(type(found[name]) is not kind for name, kind in kinds.items()):
        statement = assigned(file.tree, "LOWERED")
        raise error(
            "SL745",
            "this module was changed outside of the bodies that may be edited: `LOWERED` does not say who lowered it",
            file.span(statement if statement is not None else file.tree),
            hint="lower the program again",
        )
    return Lowering(**found)
