"""Stand-ins for what a module that evaluates by matrix products does with residues.

The plan such a module makes is executed as it stands, each sum by the operations it is recorded as. What is left out,
and held against TenSEAL bit for bit in the tests, is arithmetic modulo the primes: the one number that a vector holds
and the integer it is encoded as, matrix products, masks added to residues, and how residues are read and written.
"""

from __future__ import annotations

import types
from typing import Any

from slotlang.validation.seal import Ciphertext, Plaintext, Seal


def stand_ins(module: types.ModuleType, seal: Seal) -> None:
    """Put them in place; ``module`` has the other stand-ins already."""

    rejected: type[Exception] = module.Rejected

    def integer(ring: Any, value: Any, level: int, scale: float) -> Any:
        plain = Plaintext()
        ring.encoder.encode(value, ring.levels[level], scale, plain)
        return 0 if plain.is_zero() else plain

    class Matrices:
        def __init__(self, ring: Any, plan: Any) -> None:
            self.plan, self._evaluator = plan, seal.Evaluator(ring.context)

        def __call__(self, cipher: dict[Any, Any]) -> dict[Any, Any]:
            values: list[Any] = [cipher[value.name] for value in self.plan.inputs]
            for stage in self.plan.stages:
                values += [self._sum(stage, made, values) for made in stage.sums]
            return {name: None if at is None else values[at] for name, at in self.plan.at.items()}

        def _sum(self, stage: Any, made: Any, values: list[Any]) -> Any:
            at = {id(of): n for of, n in zip(stage.sources, stage.at, strict=True)}
            total = None
            for of, sign, constant in made.terms:
                term = values[at[id(of)]]
                if term is not None and constant is not None:
                    factor, term = term, Ciphertext()
                    self._evaluator.multiply_plain(factor, constant.number, term)
                total = self._added(total, term, sign)
            return total

        def _added(self, total: Any, term: Any, sign: int) -> Any:
            if term is None:
                return total
            out = Ciphertext()
            try:
                if total is not None:
                    (self._evaluator.add if sign > 0 else self._evaluator.sub)(total, term, out)
                elif sign < 0:
                    self._evaluator.negate(term, out)
                else:
                    return term
            except RuntimeError as problem:
                if "transparent" not in str(problem):
                    raise
                return None
            return out

    def one_number(values: Any) -> Any:
        values = module.np.asarray(values)
        if values.ndim and (values == values.flat[0]).all():
            values = values.flat[0]
        if values.ndim or (module.np.iscomplexobj(values) and values.imag.any()):
            raise rejected("a vector to encode does not hold one real number in all slots")
        return (1.0 * values.real).item()

    def load_residues(ring: Any, data: Any, _: Any) -> Any:
        return module.load_ciphertext(ring, data, 0)

    def saved_residues(ring: Any, value: Any, level: int, products: int) -> Any:
        return module.load_ciphertext(ring, value, level, products)

    def mask_residues(_: Any, made: Any) -> Any:
        return made

    def add_masks(ring: Any, value: Any, masks: list[Plaintext]) -> Any:
        for plain in masks:
            before, value = value, Ciphertext()
            seal.Evaluator(ring.context).add_plain(before, plain, value)
        return value

    for function in (integer, one_number, Matrices, load_residues, saved_residues, mask_residues, add_masks):
        setattr(module, function.__name__, function)
