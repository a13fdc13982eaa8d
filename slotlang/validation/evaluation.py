"""The way of an evaluation, as the runtime goes it: packing, plaintexts, the schedule, what is sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from slotlang.validation.interpreted import packed, prepared
from slotlang.validation.interpreter import Function
from slotlang.validation.language import Outside
from slotlang.validation.methods import Evaluator
from slotlang.validation.operations import Algebra, CheckedOperations, Cipher, Plain, close, nominal
from slotlang.validation.scopes import Failed, Given
from slotlang_runtime.module import Module, Name
from slotlang_runtime.operations import Evaluation


@dataclass
class Backend:
    """A module with an algebra to evaluate it in. ``encode``: what stands for a plaintext, and whether that is one real
    number in all slots; None for zero."""

    module: Module
    algebra: Algebra
    encode: Callable[[Any], tuple[Any, bool] | None]


def evaluated(
    backend: Backend, inputs: Mapping[str, Any], weights: dict[str, Any], fresh: Callable[[Any], Any]
) -> dict[Name, Cipher | None]:
    """What a server sends, by name. ``fresh``: the encryption of packed values. Raises ``Outside`` and ``Failed``."""
    module = backend.module
    levels = nominal(module.parameters)
    cipher: dict[Name, Any] = {
        name: Cipher(fresh(packed(_function(function), inputs, indices, module.slots)), 0, levels.scale(0))
        for name, (function, indices) in module.packed().items()
    }
    ready = prepared(module, weights)
    plain: dict[Name, Plain | None] = {}
    for name, family in module.encoded().items():
        found = backend.encode(packed(_function(family.function), ready, name[1:], module.slots))
        scale = levels.plaintext_scale(family.level, family.products, family.added)
        plain[name] = None if found is None else Plain(found[0], family.level, scale, found[1])
    operations = CheckedOperations(backend.algebra, levels, module.kernel)
    ev = Evaluation(operations, module.parameters, module.slots)
    evaluate = _function(module.evaluate)
    sent = evaluate(Evaluator(ev), Given(cipher, popped=True), Given(plain))
    if type(sent) is not dict:
        raise Outside(evaluate.line, "`evaluate` does not give the results by name")
    returned = module.returned()
    if set(sent) != set(returned):
        odd = sorted(map(repr, set(sent) ^ set(returned)))[0]
        raise Failed(evaluate.line, f"{odd} is missing from the results, or is one too many: Rejected")
    for name, result in sent.items():
        if result is None:
            continue
        if not isinstance(result, Cipher):
            raise Failed(evaluate.line, f"TypeError: {name!r} is sent, and not a ciphertext")
        if result.polynomials > 2:
            raise Failed(evaluate.line, f"{name!r} is sent before it is relinearised: Rejected")
        at = returned[name]
        if result.level != at.level or not close(result.scale, levels.scale(at.level, at.products)):
            raise Failed(evaluate.line, f"{name!r} is sent at another level or scale than expected: Rejected")
    return sent


def _function(function: Any) -> Function:
    assert isinstance(function, Function), "every function of these tables is interpreted"
    return function
