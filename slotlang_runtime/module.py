"""The tables of an emitted module, which client, keys, weights and server work from."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from slotlang_runtime.bodies import bodies_hash
from slotlang_runtime.limits import Limit
from slotlang_runtime.parameters import Parameters

Array: TypeAlias = npt.NDArray[Any]
Name: TypeAlias = tuple[Any, ...]
"""A member of a family: the family's name, then its indices."""

Kernel: TypeAlias = Literal["seal", "compiled", "matrix"]
"""How a server evaluates: by SEAL's operations, by compiled kernels on residues, or by matrix products."""


@dataclass(frozen=True)
class Packing:
    """A family of ciphertexts that the client sends: ``function(inputs, *indices)`` is what a member holds, one value
    per slot; ``shape`` the sizes of its indices. ``gain`` is None where each slot holds an element of an input, or an
    element plus i times another one, or zero; otherwise |slot| is at most this many times the largest |element| that
    the module's limits allow."""

    function: Callable[..., Array]
    shape: tuple[int, ...] = ()
    gain: float | None = None


@dataclass(frozen=True)
class Plaintexts:
    """A family of plaintexts: ``function(weights, *indices)`` is what a member holds. It multiplies, or is ``added``
    to, ciphertexts at ``level`` with this number of ``products`` not yet rescaled."""

    function: Callable[..., Array]
    shape: tuple[int, ...] = ()
    level: int = 0
    products: int = 0
    added: bool = False


@dataclass(frozen=True)
class Results:
    """A family of ciphertexts that the server returns: ``members`` is the shape of its indices, or a list of the
    members that are sent; at ``level`` with this number of ``products`` not rescaled. Slots that no output reads are
    masked by values up to 2^``mask_bits``, which is 2^16 times what they may hold; 0 where they are zero, or all are
    read. ``precise``: masks are so large that they are encoded, and what is read beside them decoded, with twice the
    digits of a double."""

    members: tuple[int, ...] | Sequence[tuple[int, ...]] = ()
    level: int = 0
    products: int = 0
    mask_bits: int = 0
    precise: bool = False


@dataclass(frozen=True)
class Output:
    """Which slots carry elements of result ``name``: ``function(*binders)`` gives a member of a family, the index
    arrays of the element that each slot holds, and optionally a condition on the slots. ``part``: re, im, or None for
    the complex number itself. A slot whose element lies outside the result carries none."""

    name: str
    function: Callable[..., tuple[Any, ...]]
    shape: tuple[int, ...] = ()
    part: Literal["re", "im"] | None = None


def members(places: tuple[int, ...] | Sequence[tuple[int, ...]]) -> Iterable[tuple[int, ...]]:
    """Indices of a family's members: all of a shape, or those listed."""
    return np.ndindex(places) if isinstance(places, tuple) else places


@dataclass(frozen=True, kw_only=True, eq=False)
class Module:
    """A program as it runs. ``inputs`` and ``weights``: shapes by name. ``limits``: the largest inputs. ``results``:
    shapes and kinds (float, complex) by name. ``evaluate(ev, cipher, plain)``: the schedule. ``prepare``: weights with
    products of them, made before plaintexts. ``reference``: the results in numpy. ``assumptions``: of weights and
    scalars; each is a name, the dimension along which norms are bounded (None: each element), and the bound. ``forms``:
    results that are proved to be sums of products which end with an input; each is a number, then scalars and tensors
    (``.T``: transposed). ``patterns``: where a weight may be nonzero. ``counts``: operations of one evaluation of dense
    weights. ``error``: the rms error that each result is promised not to exceed, for the data that the module was
    lowered for and smaller inputs; ``precision``: the relative error that was asked for. ``sizes``: rms of the
    elements that may be nonzero, of what was given when the module was lowered. ``program_hash``: SHA-256 of the
    program's text and sizes."""

    name: str
    program_hash: str
    parameters: Parameters
    slots: int
    kernel: Kernel
    inputs: Mapping[str, tuple[int, ...]]
    limits: Mapping[str, Limit]
    weights: Mapping[str, tuple[int, ...]]
    scalars: Sequence[str]
    results: Mapping[str, tuple[tuple[int, ...], type]]
    packing: Mapping[str, Packing]
    plaintexts: Mapping[str, Plaintexts]
    sent: Mapping[str, Results]
    outputs: Sequence[Output]
    evaluate: Callable[..., dict[Name, Any]]
    reference: Callable[..., dict[str, Array]]
    counts: Mapping[str, int]
    error: Mapping[str, float] = field(default_factory=dict)
    precision: float = 0.0
    sizes: Mapping[str, float] = field(default_factory=dict)
    assumptions: Sequence[tuple[str, int | None, float]] = ()
    forms: Mapping[str, Sequence[tuple[Any, ...]]] = field(default_factory=dict)
    prepare: Callable[[dict[str, Array]], dict[str, Array]] = dict
    patterns: Mapping[str, Callable[[], Array]] = field(default_factory=dict)
    description: str = ""

    def __repr__(self) -> str:
        takes = ", ".join([*self.inputs, *self.weights, *self.scalars])
        return f"<Module {self.name}({takes}): {', '.join(self.results)} at {self.parameters.ring}>"

    def packed(self) -> dict[Name, tuple[Callable[..., Array], tuple[int, ...]]]:
        """Every ciphertext the client sends, with the function that packs it and its indices."""
        return {
            (name, *index): (family.function, index)
            for name, family in self.packing.items()
            for index in np.ndindex(family.shape)
        }

    def encoded(self) -> dict[Name, Plaintexts]:
        """Every plaintext, with its family."""
        return {
            (name, *index): family for name, family in self.plaintexts.items() for index in np.ndindex(family.shape)
        }

    def returned(self) -> dict[Name, Results]:
        """Every ciphertext the server returns, with its family."""
        return {(name, *index): family for name, family in self.sent.items() for index in members(family.members)}

    def placed(self) -> Iterable[tuple[Output, Name, Array, tuple[Array, ...]]]:
        """For each output and value of its binders: the member, which slots carry an element, and the index arrays of
        these elements."""
        for output in self.outputs:
            shape, _ = self.results[output.name]
            for binders in np.ndindex(output.shape):
                member, places, *condition = output.function(*binders)
                inside = np.broadcast_to(np.logical_and.reduce(condition or [True]), self.slots)
                for place, size in zip(places, shape, strict=True):
                    inside = inside & (place >= 0) & (place < size)
                yield output, member, inside, tuple(np.broadcast_to(place, self.slots)[inside] for place in places)

    @cached_property
    def read(self) -> Mapping[Name, Array]:
        """Slots of each returned ciphertext whose real and whose imaginary part an output reads: 2 x slots."""
        found = {name: np.zeros((2, self.slots), bool) for name in self.returned()}
        rows = {"re": slice(0, 1), "im": slice(1, 2), None: slice(0, 2)}
        for output, member, inside, _ in self.placed():
            found[member][rows[output.part]] |= inside
        return found

    def collect(self, values: Mapping[Name, Array]) -> dict[str, Array]:
        """Results by name, from the decrypted slots of each returned ciphertext."""
        results: dict[str, Array] = {name: np.zeros(shape, kind) for name, (shape, kind) in self.results.items()}
        for output, member, inside, places in self.placed():
            value = values[member]
            if output.part is not None:
                value = value.real if output.part == "re" else value.imag
            value = value[inside]
            results[output.name][places or ...] = value / 2 if member[0] in self.parameters.doubled else value
        return results

    @cached_property
    def packing_digest(self) -> str:
        """A hash of the packing: programs with the same digest share uploads. It covers names and shapes of the inputs,
        the number of slots, and which element each slot holds, found by packing elements that all differ."""
        probe = {}
        for name, shape in self.inputs.items():
            start = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
            count = np.arange(int(np.prod(shape, dtype=np.int64)), dtype=np.uint64)
            words = (np.uint64(start) + count) * np.uint64(0x9E3779B97F4A7C15)
            probe[name] = ((words >> np.uint64(11)) * 2.0**-53).reshape(shape)
        digest = hashlib.sha256(repr((self.slots, sorted(self.inputs.items()))).encode())
        for function, indices in self.packed().values():
            values = np.broadcast_to(np.asarray(function(probe, *indices), np.complex128), self.slots)
            digest.update(values.tobytes())
        return digest.hexdigest()

    @cached_property
    def identity(self) -> dict[str, Any]:
        """The part of the label of weights and results that names the program, and what its functions say: they may
        have been edited, and then plaintexts or results can be others of the same names."""
        p = self.parameters
        functions = [
            *(family.function for family in self.packing.values()),
            *(family.function for family in self.plaintexts.values()),
            *(output.function for output in self.outputs),
            self.prepare,
            self.evaluate,
        ]
        own = [p.degree, p.prime_bits, p.scale_bits, p.drops, p.results, p.cut, p.hide, p.doubled, self.slots]
        limits = [[name, limit.norm, limit.entry] for name, limit in self.limits.items()]
        text = json.dumps([self.program_hash, *own, limits, bodies_hash(functions)])
        return {"program": self.name, "hash": hashlib.sha256(text.encode()).hexdigest()}


def root_mean_square(values: Any) -> float:
    """Of any numbers; squares neither overflow nor vanish."""
    sizes = np.abs(np.asarray(values))
    most = float(sizes.max(initial=0.0))
    return most * float(np.sqrt(np.mean((sizes / most) ** 2))) if 0 < most < np.inf else most


class SmallResult(NamedTuple):
    """``size``: its rms; ``error``: what its rms error may be; ``least``: the least rms that has the precision."""

    name: str
    size: float
    error: float
    least: float


def small_results(
    module: Module, results: Mapping[str, Array], grown: Mapping[str, float] | None = None, *, lost: bool = False
) -> Iterable[SmallResult]:
    """Results below the precision of the module's parameters. What is exactly zero is right, unless plaintexts were
    ``lost`` when they were rounded. ``grown``: by how much the errors of some results may exceed the module's
    promise."""
    for name, value in results.items():
        size, times = root_mean_square(value), (grown or {}).get(name, 1.0)
        # of no error no multiple is known
        error = module.error.get(name, 0.0) * times or (math.inf if times > 1 else 0.0)
        least = error / module.precision if module.precision else 0.0
        if size < least and (size or lost):
            yield SmallResult(name, size, error, least)
