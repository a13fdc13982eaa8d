"""``tenseal.sealapi`` on exact slots: the emitted module runs on it unchanged, thousands of times a second.

What SEAL would refuse is refused here: operands at different levels or scales, rotations without a key, products
of three polynomials, ciphertexts that would be transparent. ``c1`` stands for the second polynomial of a
ciphertext, so that a result is transparent exactly when the operations make it so. ``Ciphertext.alive`` and
``Ciphertext.peak`` count ciphertexts that hold something.
"""

from __future__ import annotations

import random
import types
from collections.abc import Mapping
from typing import Any

import numpy as np

from slotlang.graph.graph import Graph
from slotlang.graph.ring import PlainEvaluator
from slotlang.meaning.program import Program

MODULUS = (1 << 61) - 1


class Plaintext:
    def __init__(self) -> None:
        self.values: Any = None
        self.level = 0
        self.scale = 0.0

    def is_zero(self) -> bool:
        return not np.abs(np.rint(self.values * self.scale)).any()

    def parms_id(self) -> list[int]:
        return [self.level, 0, 0, 0]


class Ciphertext:
    alive = peak = 0

    def __init__(self) -> None:
        self.values: Any = None
        self.level = 0
        self.scale = 0.0
        self.size = 2
        self.c1 = 0

    def set(self, values: Any, level: int, scale: float, c1: int, size: int = 2) -> None:
        if self.values is None:
            Ciphertext.alive += 1
            Ciphertext.peak = max(Ciphertext.peak, Ciphertext.alive)
        if c1 == 0:
            raise RuntimeError("result ciphertext is transparent")
        self.values, self.level, self.scale, self.c1, self.size = values, level, scale, c1, size

    def __del__(self) -> None:
        if self.values is not None:
            Ciphertext.alive -= 1

    def parms_id(self) -> list[int]:
        return [self.level, 0, 0, 0]


def _mixed(*parts: Any) -> int:
    return hash(parts) % (MODULUS - 1) + 1


class Evaluator:
    def __init__(self, context: Context) -> None:
        self.context = context

    def _same(self, a: Any, b: Any) -> None:
        assert a.level == b.level, "encrypted1 and encrypted2 parameter mismatch"
        assert a.scale == b.scale, f"scale mismatch: {a.scale} and {b.scale}"
        assert a.size == 2 and getattr(b, "size", 2) == 2

    def rotate_vector(self, a: Ciphertext, step: int, keys: Any, out: Ciphertext) -> None:
        assert type(step) is int and step in keys.steps, f"no key for {step}"
        assert a.size == 2
        out.set(np.roll(a.values, -step), a.level, a.scale, _mixed("rotate", a.c1, step))

    def complex_conjugate(self, a: Ciphertext, keys: Any, out: Ciphertext) -> None:
        assert keys.conjugation and a.size == 2
        out.set(a.values.conj(), a.level, a.scale, _mixed("conj", a.c1))

    def multiply_plain(self, a: Ciphertext, plain: Plaintext, out: Ciphertext) -> None:
        assert a.level == plain.level, "encrypted and plain parameter mismatch"
        self._fits(a.level, a.scale * plain.scale)
        factor = 0 if plain.is_zero() else _mixed(plain.values.tobytes(), plain.scale)
        out.set(a.values * plain.values, a.level, a.scale * plain.scale, a.c1 * factor % MODULUS)

    def _fits(self, level: int, scale: float) -> None:
        assert np.log2(scale) < sum(self.context.bits[: len(self.context.bits) - 1 - level]), "scale out of bounds"

    def multiply(self, a: Ciphertext, b: Ciphertext, out: Ciphertext) -> None:
        assert a.level == b.level and a.size == b.size == 2
        self._fits(a.level, a.scale * b.scale)
        out.set(a.values * b.values, a.level, a.scale * b.scale, _mixed(*sorted((a.c1, b.c1))), 3)

    def relinearize_inplace(self, a: Ciphertext, keys: Any) -> None:
        assert keys is not None
        a.size = 2

    def rescale_to_next(self, a: Ciphertext, out: Ciphertext) -> None:
        assert a.size == 2
        prime = self.context.moduli[len(self.context.bits) - 2 - a.level]
        out.set(a.values, a.level + 1, a.scale / prime, _mixed("rescale", a.c1))

    def rescale_to_next_inplace(self, a: Ciphertext) -> None:
        self.rescale_to_next(a, a)

    def mod_switch_to(self, a: Ciphertext, parms_id: list[int], out: Ciphertext) -> None:
        assert parms_id[0] >= a.level
        # values stay what they are only while the scale does; a new scale is set by whoever knows better
        out.set(a.values * 0 if a.scale else a.values, parms_id[0], a.scale, _mixed("switch", a.c1, parms_id[0]))

    def add(self, a: Ciphertext, b: Ciphertext, out: Ciphertext) -> None:
        self._same(a, b)
        out.set(a.values + b.values, a.level, a.scale, (a.c1 + b.c1) % MODULUS)

    def add_inplace(self, a: Ciphertext, b: Ciphertext) -> None:
        self.add(a, b, a)

    def sub(self, a: Ciphertext, b: Ciphertext, out: Ciphertext) -> None:
        self._same(a, b)
        out.set(a.values - b.values, a.level, a.scale, (a.c1 - b.c1) % MODULUS)

    def sub_inplace(self, a: Ciphertext, b: Ciphertext) -> None:
        self.sub(a, b, a)

    def negate(self, a: Ciphertext, out: Ciphertext) -> None:
        out.set(-a.values, a.level, a.scale, -a.c1 % MODULUS)

    def add_plain(self, a: Ciphertext, plain: Plaintext, out: Ciphertext) -> None:
        self._same(a, plain)
        out.set(a.values + plain.values, a.level, a.scale, a.c1)

    def sub_plain(self, a: Ciphertext, plain: Plaintext, out: Ciphertext) -> None:
        self._same(a, plain)
        out.set(a.values - plain.values, a.level, a.scale, a.c1)


class Encoder:
    def __init__(self, context: Context) -> None:
        self.context = context

    def encode(self, values: Any, parms_id: list[int], scale: float, plain: Plaintext) -> None:
        assert isinstance(values, list | float | complex)
        plain.values = np.broadcast_to(np.array(values, complex), self.context.slots).copy()
        plain.level, plain.scale = parms_id[0], scale


class _Prime(int):
    def value(self) -> int:
        return int(self)


class Context:
    """Also its own context data and encryption parameters."""

    def __init__(self, degree: int, bits: list[int], level: int = 0) -> None:
        self.slots, self.bits, self.level = degree // 2, bits, level
        # never exactly a power of two, so that scales after a rescale have to be set
        self.moduli = [_Prime((1 << b) - (1 << max(b - 12 - n, 1)) + 1) for n, b in enumerate(bits)]

    def first_context_data(self) -> Context:
        return self

    def next_context_data(self) -> Context:
        return Context(2 * self.slots, self.bits, self.level + 1)

    def key_context_data(self) -> Context:
        return self

    def parms(self) -> Context:
        return self

    def coeff_modulus(self) -> list[_Prime]:
        return self.moduli

    def parms_id(self) -> list[int]:
        return [self.level, 0, 0, 0]


def masks(module: Any, ring: Any, rng: random.Random) -> dict[Any, list[Plaintext]]:
    """What the module's ``masks`` makes: of a part that nothing reads, and of slots that nothing reads."""
    made: dict[Any, list[Plaintext]] = {}
    copies = module.PARAMETERS["degree"] // 2 // module.SLOTS
    for name, (alone, slots) in module.masked().items():
        level, products = module.table_of(module.RESULTS)[name]
        hidden = [slots[0] + 1j * slots[1]] if slots.any() else []
        hidden += [np.full(module.SLOTS, {"re": 1j, "im": 1.0}[alone])] if alone else []
        made[name] = [Plaintext() for _ in hidden]
        for plain, where in zip(made[name], hidden, strict=True):
            plain.values, plain.level = np.tile(where, copies) * rng.uniform(1, 99), level
            plain.scale = ring.scale(level, products)
    return made


class Run:
    """An emitted module's evaluation on random data: values by family member, counts, and the peak."""

    def __init__(self, text: str, program: Program, seed: int = 0) -> None:
        self.module = module = types.ModuleType("simulated")
        exec(compile(text, "<simulated>", "exec"), module.__dict__)
        p = module.PARAMETERS
        context = Context(p["degree"], p["prime_bits"])
        module.make_context = lambda: context
        module.seal = types.SimpleNamespace(
            CKKSEncoder=Encoder, Plaintext=Plaintext, Ciphertext=Ciphertext, Evaluator=Evaluator
        )
        self.ring = ring = module.Ring()
        keys = types.SimpleNamespace(steps=set(p["rotations"]), conjugation=p["conjugation"])
        self.inputs, self.weights = module.random_data(seed)
        # scalars of 1 would not show whether they are there
        self.weights.update({name: 0.5 + random.Random(f"{seed} {name}").random() for name in program.scalars})
        arrays = {n: np.asarray(a, float) for n, a in self.weights.items()}
        self.plain = module.encode(ring, {n: a if a.ndim else float(a) for n, a in arrays.items()})
        Ciphertext.alive = Ciphertext.peak = 0
        rng = random.Random(seed)
        cipher = {}
        for name, (function, indices) in module.packed().items():
            cipher[name] = Ciphertext()
            values = np.broadcast_to(np.asarray(function(self.inputs, *indices), complex), program.slots)
            copies = np.tile(values, context.slots // program.slots)
            cipher[name].set(copies, 0, ring.scale(0), rng.randrange(1, MODULUS))
        evaluation = module.Evaluation(ring, keys, object() if p["relinearization"] else None)
        result = module.evaluate(evaluation, cipher, self.plain)
        bare = {name: found.values[: program.slots] for name, found in result.items() if found is not None}
        added = masks(module, ring, rng)
        for name in result:
            result[name] = evaluation.hide(result[name], added.get(name, ()))
        self.peak = Ciphertext.peak
        self.counts = {k: v for k, v in evaluation.counts.items() if v}
        self.vanished = evaluation.vanished
        # what the program's statements say, and what is returned: with masks where nothing is read
        self.values, self.returned = {}, {}
        expected = module.table_of(module.RESULTS)
        assert set(result) == set(expected)
        for name, found in result.items():
            if found is None:
                self.values[name] = self.returned[name] = np.zeros(program.slots, complex)
                continue
            assert found.scale == ring.scale(*expected[name]) and found.level == expected[name][0]
            self.values[name], self.returned[name] = bare[name], found.values[: program.slots]


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
