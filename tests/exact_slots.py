"""The operations of an evaluation on exact slots: emitted modules run on them unchanged, thousands of times a second.

What SEAL would refuse is refused here: operands at different levels or scales, scales beyond the modulus, and
ciphertexts that would be transparent. ``c1`` stands for the second polynomial of a ciphertext, so that a result is
transparent exactly when the operations make it so. ``Memory`` counts the ciphertexts that are held.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import numpy as np

from slotlang.graph.graph import Graph
from slotlang.graph.ring import PlainEvaluator
from slotlang.meaning.program import Program
from slotlang.run.runner import load_module
from slotlang_runtime.data import random_data
from slotlang_runtime.engine import encoded_plaintexts
from slotlang_runtime.errors import NOT_EVALUATED, Rejected
from slotlang_runtime.masks import hidden_in
from slotlang_runtime.module import Module
from slotlang_runtime.operations import Cancelled, Evaluation
from slotlang_runtime.parameters import Levels, Parameters

MODULUS = (1 << 61) - 1


class Memory:
    """How many ciphertexts are held, and were at most."""

    def __init__(self) -> None:
        self.alive = self.peak = 0


class Plain:
    """A plaintext: its slots, level and scale."""

    def __init__(self, values: Any, level: int, scale: float) -> None:
        self.values, self.level, self.scale = values, level, scale

    def is_zero(self) -> bool:
        return not np.abs(np.rint(self.values * self.scale)).any()


class Cipher:
    """A ciphertext: its slots, level and scale, what stands for its second polynomial, and how many it has."""

    def __init__(self, memory: Memory, values: Any, level: int, scale: float, c1: int, polynomials: int = 2) -> None:
        self.memory, self.values, self.level, self.scale, self.c1 = memory, values, level, scale, c1
        self.polynomials = polynomials
        memory.alive += 1
        memory.peak = max(memory.peak, memory.alive)

    def __del__(self) -> None:
        self.memory.alive -= 1


def _mixed(*parts: Any) -> int:
    return hash(parts) % (MODULUS - 1) + 1


class ExactRing(Levels):
    """Levels and scales, and plaintexts of vectors of ``slots`` values."""

    def __init__(self, parameters: Parameters, slots: int) -> None:
        # never exactly a power of two, so that scales after a rescale have to be set
        moduli = [(1 << b) - (1 << max(b - 12 - n, 1)) + 1 for n, b in enumerate(parameters.prime_bits)]
        super().__init__(parameters, moduli)
        self.slots, self.bits = slots, parameters.prime_bits

    def encode(self, values: Any, level: int = 0, products: int = 0, added: bool = False) -> Plain | None:
        content = np.broadcast_to(np.asarray(values, complex), self.slots).copy()
        plain = Plain(content, level, self.plaintext_scale(level, products, added))
        return None if plain.is_zero() else plain


class ExactOperations:
    """``slotlang_runtime.operations.Operations``. ``one_pass``: it adds up products in one pass."""

    def __init__(self, ring: ExactRing, memory: Memory, *, one_pass: bool = False) -> None:
        self.ring, self.memory, self.one_pass = ring, memory, one_pass

    def _made(self, values: Any, level: int, scale: float, c1: int, polynomials: int = 2) -> Cipher:
        assert np.log2(scale) < sum(self.ring.bits[: self.ring.count - level]), "scale out of bounds"
        return Cipher(self.memory, values, level, scale, c1, polynomials)

    def rotate(self, a: Cipher, step: int) -> Cipher:
        assert type(step) is int and 0 < step < self.ring.slots and a.polynomials == 2
        return self._made(np.roll(a.values, -step), a.level, a.scale, _mixed("rotate", a.c1, step))

    def conjugate(self, a: Cipher) -> Cipher:
        assert a.polynomials == 2
        return self._made(a.values.conj(), a.level, a.scale, _mixed("conj", a.c1))

    def multiply_plain(self, a: Cipher, plain: Plain) -> Cipher:
        assert a.level == plain.level, "encrypted and plain parameter mismatch"
        c1 = a.c1 * _mixed(plain.values.tobytes(), plain.scale) % MODULUS
        return self._made(a.values * plain.values, a.level, a.scale * plain.scale, c1, a.polynomials)

    def multiply(self, a: Cipher, b: Cipher) -> Cipher:
        assert a.level == b.level
        assert a.polynomials == b.polynomials == 2
        return self._made(a.values * b.values, a.level, a.scale * b.scale, _mixed(*sorted((a.c1, b.c1))), 3)

    def relinearize(self, a: Cipher) -> Cipher:
        if a.polynomials == 2:
            return a
        return self._made(a.values, a.level, a.scale, a.c1)

    def rescale(self, a: Cipher) -> Cipher:
        level = a.level + 1
        scale = a.scale / self.ring.moduli[self.ring.count - level]
        if level >= len(self.ring.scales) or abs(scale / self.ring.scales[level] - 1) > 1e-12:
            raise Rejected(
                f"a ciphertext that is rescaled to level {level} does not come to the scale there", NOT_EVALUATED
            )
        return self._made(a.values, level, self.ring.scales[level], _mixed("rescale", a.c1), a.polynomials)

    def negate(self, a: Cipher) -> Cipher:
        return self._made(-a.values, a.level, a.scale, -a.c1 % MODULUS, a.polynomials)

    def add(self, total: Cipher, term: Cipher, sign: int, *, owned: bool) -> Cipher:
        assert total.level == term.level, "encrypted1 and encrypted2 parameter mismatch"
        assert total.scale == term.scale, f"scale mismatch: {total.scale} and {term.scale}"
        c1 = (total.c1 + sign * term.c1) % MODULUS
        values = total.values + sign * term.values
        if c1 == 0:
            raise self._cancelled(values, total)
        polynomials = max(total.polynomials, term.polynomials)
        if not owned:
            return self._made(values, total.level, total.scale, c1, polynomials)
        total.values, total.c1, total.polynomials = values, c1, polynomials
        return total

    def dot(self, pairs: list[tuple[Cipher, Plain]]) -> Cipher | None:
        if not self.one_pass:
            return None
        total = self.multiply_plain(*pairs[0])
        for pair in pairs[1:]:
            try:
                total = self.add(total, self.multiply_plain(*pair), 1, owned=True)
            except Cancelled as found:
                # here a sum that vanishes on the way may go on
                total.values, total.c1 = total.values * 0 if found.rest is None else found.rest.values, 0
        if total.c1 == 0:
            raise self._cancelled(total.values, total)
        return total

    def _cancelled(self, values: Any, like: Cipher) -> Cancelled:
        bare = np.abs(values).max() > 1e-9
        return Cancelled(self._made(values, like.level, like.scale, 0) if bare else None)

    def add_plain(self, a: Cipher, plain: Plain, sign: int) -> Cipher:
        assert (a.level, a.scale) == (plain.level, plain.scale), "encrypted and plain mismatch"
        return self._made(a.values + sign * plain.values, a.level, a.scale, a.c1, a.polynomials)

    def zero(self, like: Cipher | Plain) -> Cipher:
        return self._made(like.values * 0, like.level, like.scale, 1)


def packed_ciphertexts(
    module: Module, ring: ExactRing, memory: Memory, inputs: Mapping[str, Any], rng: random.Random
) -> dict[Any, Cipher]:
    """What the client sends, by name."""
    cipher = {}
    for name, (function, indices) in module.packed().items():
        values = np.broadcast_to(np.asarray(function(inputs, *indices), complex), module.slots).copy()
        cipher[name] = Cipher(memory, values, 0, ring.scale(0), rng.randrange(1, MODULUS))
    return cipher


class Run:
    """An emitted module's evaluation on random data: values by family member, counts, and the peak."""

    def __init__(self, text: str, program: Program, seed: int = 0, *, one_pass: bool = False) -> None:
        self.module = module = load_module(text, "simulated")
        self.ring = ring = ExactRing(module.parameters, module.slots)
        self.inputs, self.weights = random_data(module, seed)
        # scalars of 1 would not show whether they are there
        self.weights.update({name: 0.5 + random.Random(f"{seed} {name}").random() for name in program.scalars})
        arrays = {n: np.asarray(a, float) for n, a in self.weights.items()}
        self.plain = encoded_plaintexts(module, ring, {n: a if a.ndim else float(a) for n, a in arrays.items()})
        memory = Memory()
        rng = random.Random(seed)
        cipher = packed_ciphertexts(module, ring, memory, self.inputs, rng)
        operations = ExactOperations(ring, memory, one_pass=one_pass)
        evaluation: Evaluation[Cipher, Plain] = Evaluation(operations, module.parameters, module.slots)
        result = module.evaluate(evaluation, cipher, self.plain)
        self.peak = memory.peak
        self.counts = {k: v for k, v in evaluation.counts.items() if v}
        self.vanished = evaluation.vanished
        # what the program's statements say, and what is returned: with masks where nothing is read
        self.values, self.returned = {}, {}
        families = module.returned()
        assert set(result) == set(families)
        for name, found in result.items():
            if found is None:
                self.values[name] = self.returned[name] = np.zeros(module.slots, complex)
                continue
            family = families[name]
            assert found.polynomials == 2
            assert found.scale == ring.scale(family.level, family.products) and found.level == family.level
            self.values[name] = found.values
            self.returned[name] = self._hidden(evaluation, name, found, rng)
        self.counts = {k: v for k, v in evaluation.counts.items() if v}

    def _hidden(self, evaluation: Evaluation[Cipher, Plain], name: Any, value: Cipher, rng: random.Random) -> Any:
        """With something else wherever the module's masks hide, and without a part that nobody reads."""
        hidden = hidden_in(self.module).get(name)
        if hidden is None:
            return value.values
        masks = []
        if hidden.slots.any():
            where = hidden.slots[0] + 1j * hidden.slots[1]
            masks.append(Plain(where * rng.uniform(1, 99), value.level, value.scale))
        masked = evaluation.hide(value, masks)
        assert masked is not None
        if hidden.read_part is None:
            return masked.values
        return masked.values.real if hidden.read_part == "re" else 1j * masked.values.imag


class Doubles:
    """The ring of complex doubles, for ``PlainEvaluator``: what a program means, on given data."""

    def __init__(self, program: Program, inputs: Mapping[str, Any], weights: Mapping[str, Any]) -> None:
        self.program = program
        self.data = {n: np.asarray(a, float) for n, a in {**inputs, **weights}.items()}

    def const(self, re: Any, im: Any) -> Any:
        return np.array(complex(re, im))

    def scalar(self, name: str) -> Any:
        return self.data[name]

    def gather(self, tensor: str, flat: Any) -> Any:
        return self.data[tensor].reshape(-1)[flat]

    def element(self, form: Any, flat: Any) -> Any:
        total: Any = 0
        for chain in form.chains:
            value: Any = None
            for factor in chain.factors:
                array = self.data[factor.tensor].T if factor.transposed else self.data[factor.tensor]
                value = array if value is None else value @ array
            for name in chain.scalars:
                value = value * self.data[name]
            total = total + float(chain.coefficient) * value
        return total.reshape(-1)[flat]

    def add(self, a: Any, b: Any) -> Any:
        return a + b

    def sub(self, a: Any, b: Any) -> Any:
        return a - b

    def mul(self, a: Any, b: Any) -> Any:
        return a * b

    def conj(self, a: Any) -> Any:
        return np.conj(a)

    def masked(self, a: Any, mask: Any) -> Any:
        return np.where(mask, a, 0)


def meant(graph: Graph, run: Run) -> dict[tuple[Any, ...], Any]:
    """What every output's family member holds by definition, on a run's data."""
    program = graph.schedule.program
    evaluator = PlainEvaluator(program, Doubles(program, run.inputs, run.weights))
    values = {}
    for name, *indices in run.values:
        family = program.families[name]
        env = {b.name: i for b, i in zip(family.binders, indices, strict=True)}
        value = evaluator.value(family.body, env, evaluator.all_slots)
        values[(name, *indices)] = np.broadcast_to(value, program.slots)
    return values
