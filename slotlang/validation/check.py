"""The emitted module is proved too: what it computes is what the program says.

The module runs against a stand-in for tenseal.sealapi and on expressions instead of weights; the decrypted slots it
arranges into results are compared, as normal forms, with the program's outputs read literally. With the proof of the
program this gives: what runs is the specification. Not covered: TenSEAL and SEAL themselves, noise, and a module that
acts otherwise on purpose when it is watched.
"""

from __future__ import annotations

import time
import traceback
import types
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from slotlang.diagnostics import SlotError
from slotlang.meaning.program import Program
from slotlang.proof.check import Method, Report, check
from slotlang.proof.report import WrongElement
from slotlang.proof.verdict import Status
from slotlang.source import Source
from slotlang.validation.contents import Contents
from slotlang.validation.hidden import unmasked
from slotlang.validation.meaning import Meaning, Member, carried, declared, scalar
from slotlang.validation.module import load, program_of, stand_ins
from slotlang.validation.normal_form import Form, Forms, TooLarge
from slotlang.validation.numpy_stand_in import Places
from slotlang.validation.recorder import Recorder
from slotlang.validation.seal import Seal
from slotlang.validation.sweep import Sweep
from slotlang.validation.symbolic import Unsupported
from slotlang.validation.trace import Trace
from slotlang.validation.verbatim import changed

WRONG = 1e-6
"""Relative error in exact slots above which a module is refuted: rounding of doubles is far below."""


@dataclass(frozen=True)
class ModuleReport:
    """The program that a module carries, the verdict on it, and the verdict on the module."""

    program: Program
    report: Report
    validation: Report


def check_module(source: Source, method: Method = "auto", seed: int | None = None) -> ModuleReport:
    """Check the program that an emitted module carries, and that the module computes what it says.

    The module is executed, as it would be by whoever runs it. Raises ``SlotError`` SL741 to SL742, and what ``check``
    raises.
    """
    program = program_of(load(source), source)
    report = check(program, method, seed)
    return ModuleReport(program, report, validate(source.text, program, source.name, proved=report.proved))


class _Different(Exception):
    """Not shown equal; the message says where."""


def validate(text: str, program: Program, name: str = "<module>", *, proved: bool = True) -> Report:
    """Prove that a module computes what a program says, or show an element it gets wrong.

    ``proved``: the program is known to be its specification, so that a wrong element can be told by computing that. The
    module's own program is not looked at. Raises ``SlotError`` SL741 when the text is no emitted module.
    """
    start = time.perf_counter()
    source = Source(name, text)
    steps = found = members = 0

    def ended(status: Status, reason: str = "", element: WrongElement | None = None) -> Report:
        if status == "proved" and (other := changed(text)):
            # the stand-in runs in its place, so nothing is known of it
            status, reason = "unknown", f"{other} was changed, and a run on the stand-in does not execute it"
        return Report(
            status,
            "numeric" if status == "refuted" else "symbolic",
            time.perf_counter() - start,
            counterexample=element,
            reason=reason,
            subject="module",
            examined={"operations": steps, "members_found": found, "members": members},
        )

    run = None
    try:
        run = _symbolic(load(source), program)
        steps = len(run.trace.steps)
        sweep = run.sweep(program)
        sweep.run(program)
        found, members = len(sweep.found), len(sweep.found) + len(sweep.missing)
        _compare(sweep, program, run.results, merging=False)
        return ended("unknown", run.unmasked) if run.unmasked else ended("proved")
    except (_Different, Unsupported, TooLarge) as problem:
        reason = str(problem)
    except (SlotError, TimeoutError):  # a caller's own limit is none of the module's faults
        raise
    except (Exception, SystemExit) as problem:  # whatever the module's own code raises
        reason = _where(problem, source)
    if proved:
        status, said, element = _numeric(source, program)
        if status == "refuted":
            return ended(status, said, element)
    if run is None:
        return ended("unknown", reason)
    try:
        # a module may share no values with the program, or use others than it computes: everything is multiplied out
        _compare(run.sweep(program), program, run.results, merging=True)
        return ended("unknown", run.unmasked) if run.unmasked else ended("proved")
    except (_Different, TooLarge):
        return ended("unknown", reason)


def _where(problem: BaseException, source: Source) -> str:
    lines = [f.lineno for f in traceback.extract_tb(problem.__traceback__) if f.filename == source.name]
    place = f" in line {lines[-1]} of the module" if lines and lines[-1] else ""
    return f"{type(problem).__name__}{place}: {problem}"


def _run(
    module: types.ModuleType, inputs: dict[str, Any], weights: dict[str, Any]
) -> tuple[dict[str, Any], dict[Any, Any]]:
    """The way of an evaluation from inputs and weights to results by name, and the ciphertexts that are sent back."""
    client = module.Client()
    server = module.Server(client.evaluation_keys())
    server.encode(**weights)
    answer = server.evaluate(client.encrypt(**inputs))
    found = client.decrypt(answer)
    return found if isinstance(found, dict) else {"": found}, answer[1]


@dataclass
class _Run:
    """What a run on expressions left behind."""

    trace: Trace
    recorder: Recorder
    results: dict[str, Places]
    unmasked: str | None

    def sweep(self, program: Program) -> Sweep:
        """A comparison with the program's values, from the beginning."""
        forms = self.recorder.forms
        return Sweep(self.trace, forms, Meaning(program, forms), self.recorder.contents)


def _symbolic(module: types.ModuleType, program: Program) -> _Run:
    if program.slots != module.SLOTS:
        raise _Different(f"the module has {module.SLOTS} slots, the program {program.slots}")
    recorder = Recorder(Forms(Contents(program.slots)))
    seal = Seal(program.slots, recorder)
    stand_ins(module, seal)
    tensors = {name: declared(program, name) for name in program.tensors}
    inputs = {name: t for name, t in tensors.items() if program.tensors[name].kind == "input"}
    weights: dict[str, Any] = {name: t for name, t in tensors.items() if name not in inputs}
    weights.update({name: scalar(name) for name in program.scalars})
    results, sent = _run(module, inputs, weights)
    if set(results) == {""}:
        results = dict.fromkeys(program.theorems, results[""])
    if set(results) != set(program.theorems):
        raise _Different(f"results are {', '.join(results)}, the program's {', '.join(program.theorems)}")
    for name, theorem in program.theorems.items():
        if not isinstance(results[name], Places) or results[name].shape != theorem.form.shape:
            raise _Different(f"result {name} is not made of decrypted slots, or has another shape")
    return _Run(seal.trace, recorder, results, unmasked(module, program, seal.trace, recorder, sent))


def _compare(sweep: Sweep, program: Program, results: dict[str, Places], *, merging: bool) -> None:
    """Raises ``_Different`` for the first member of an output that the results do not hold as the program says."""
    written = {name: np.zeros(found.shape, bool) for name, found in results.items()}
    for name, member, part, inside, flat in carried(program):
        found = results[name]
        written[name].reshape(-1)[flat] = True
        slots = np.flatnonzero(inside)
        steps, places = found.step.reshape(-1)[flat], found.slot.reshape(-1)[flat]
        parts = found.part.reshape(-1)[flat]
        turns, factors = (places - slots) % program.slots, found.factor.reshape(-1)[flat]
        expected = {"re": "r", "im": "i", None: "c"}[part]
        for step, turn, read, factor in _groups(steps, turns, parts, factors):
            here = slots[(steps == step) & (turns == turn) & (parts == read) & (factors == factor)]
            mask = np.zeros(program.slots, bool)
            mask[here] = True
            if step >= 0 and read != expected:
                raise _Different(f"{_member(member)}: another part of the number is read than {name} asks for")
            form = sweep.forms.scaled(sweep.forms.rotated(sweep.value(step), turn), factor) if step >= 0 else {}
            if not _equal(sweep.forms, form, sweep.meaning.member(member), mask, part, merging):
                raise _Different(
                    f"{_member(member)}, slot {here[0]}: the module's value is not shown to be the program's"
                )
    for name, there in written.items():
        if (results[name].step[~there] >= 0).any():
            raise _Different(f"an element of {name} is written that no output of the program carries")


def _groups(*columns: npt.NDArray[Any]) -> list[tuple[Any, ...]]:
    return sorted(set(zip(*(column.tolist() for column in columns), strict=True)))


def _equal(forms: Forms, a: Form, b: Form, mask: Any, part: str | None, merging: bool) -> bool:
    if forms.equal_on(a, b, mask, merging=merging):
        return True
    if part is None:
        return False
    # parts are equal when the sums (differences) with the conjugates are
    sign = 1 if part == "re" else -1
    left, right = dict(a), dict(b)
    forms.accumulate(left, forms.conjugated(a), sign)
    forms.accumulate(right, forms.conjugated(b), sign)
    return forms.equal_on(left, right, mask, merging=merging)


def _member(member: Member) -> str:
    name, indices = member
    return f"{name}[{', '.join(map(str, indices))}]" if indices else name


def _numeric(source: Source, program: Program) -> tuple[Status, str, WrongElement | None]:
    """The module on random numbers in exact slots, against the specification in numpy."""
    from slotlang.validation.numbers import random_data, specification

    module = load(source)
    seal = Seal(program.slots)
    stand_ins(module, seal)
    inputs, weights = random_data(program)
    expected = specification(program, {**inputs, **weights})
    try:
        results, _ = _run(module, inputs, weights)
    except Unsupported as problem:
        return "unknown", str(problem), None
    except TimeoutError:
        raise
    except (Exception, SystemExit) as problem:
        return "refuted", _where(problem, source), None
    if set(results) == {""}:
        results = dict.fromkeys(program.theorems, results[""])
    for name, wanted in expected.items():
        found = np.asarray(results.get(name))
        if found.shape != wanted.shape or found.dtype.kind not in "fc":
            return "refuted", f"result {name} has shape {found.shape}, not {wanted.shape}", None
        size = float(np.abs(wanted).max()) or 1.0
        distance = np.abs(found - wanted)
        if not (distance <= WRONG * size).all():
            at = np.unravel_index(int(np.argmax(np.where(np.isfinite(distance), distance, np.inf))), wanted.shape)
            place = tuple(int(i) for i in at)
            return "refuted", "", WrongElement(_member((name, place)), complex(found[at]), complex(wanted[at]))
    return "unknown", "", None
