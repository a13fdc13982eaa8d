"""A module on random numbers in exact slots, against the specification in numpy."""

from __future__ import annotations

from typing import Any

import numpy as np

from slotlang.graph.numbers import result
from slotlang.meaning.program import Program, member_text
from slotlang.proof.report import WrongElement
from slotlang.validation.evaluation import Backend, evaluated
from slotlang.validation.operations import ExactSlots
from slotlang.validation.program_forms import declared
from slotlang_runtime.module import Module

WRONG = 1e-6
"""Relative error in exact slots above which a module is refuted: rounding of doubles is far below."""


def wrong_element(module: Module, program: Program) -> WrongElement | None:
    """An element that a module gets wrong on random data; None where it gets all right. Raises ``Outside`` and
    ``Failed``."""
    inputs, weights = random_data(program)
    slots = program.slots

    def filled(values: Any) -> Any:
        return np.broadcast_to(np.asarray(values, np.complex128), (slots,))

    def encoded(values: Any) -> tuple[Any, bool] | None:
        numbers = filled(values)
        constant = not numbers.imag.any() and bool((numbers == numbers[0]).all())
        return (numbers, constant) if numbers.any() else None

    backend = Backend(module, ExactSlots(slots), encoded)
    sent = evaluated(backend, inputs, {name: np.asarray(w)[()] for name, w in weights.items()}, filled)
    zeros = np.zeros(slots, np.complex128)
    results = module.collect({name: zeros if c is None else c.content for name, c in sent.items()})
    for name, wanted in specification(program, {**inputs, **weights}).items():
        found = results[name]
        size = float(np.abs(wanted).max(initial=0.0)) or 1.0
        distance = np.abs(found - wanted)
        if not (distance <= WRONG * size).all():
            at = np.unravel_index(int(np.argmax(np.where(np.isfinite(distance), distance, np.inf))), wanted.shape)
            return WrongElement(member_text(name, at), complex(found[at]), complex(wanted[at]))
    return None


def random_data(program: Program, seed: int = 1) -> tuple[dict[str, Any], dict[str, Any]]:
    """Inputs, and weights and scalars, normally distributed; sparse weights are zero outside their pattern."""
    rng = np.random.default_rng(seed)
    inputs: dict[str, Any] = {}
    weights: dict[str, Any] = {}
    for name, decl in program.tensors.items():
        values = rng.standard_normal(decl.shape)
        pattern = declared(program, name).pattern
        if pattern is not None:
            values = values * pattern
        (inputs if decl.kind == "input" else weights)[name] = values
    weights.update({name: rng.uniform(0.5, 2.0) for name in program.scalars})
    return inputs, weights


def specification(program: Program, data: dict[str, Any]) -> dict[str, Any]:
    """What each result should be."""
    return {name: result(program, theorem, data) for name, theorem in program.theorems.items()}
