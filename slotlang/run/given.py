"""The weights and inputs that a user gives, by an adapter or a file, before anything is planned for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from slotlang.adapter import Adapter, read_adapter
from slotlang.cost.data import UNIT, DataPowers
from slotlang.diagnostics import SlotError, error
from slotlang.meaning.bind import bind
from slotlang.meaning.program import Program
from slotlang.refusals import refused
from slotlang.run.activations import open_activations
from slotlang.run.data import read_data
from slotlang.run.equalizing import Exponents
from slotlang.run.pairing import Pair, adapter_sizes, adapter_weights, pair_modules
from slotlang.run.roles import roles, token_input
from slotlang.syntax import tree
from slotlang_runtime.equalized import divided
from slotlang_runtime.errors import BAD_ARRAY, INPUT_BEYOND_LIMIT, WEIGHTS_BREAK_BOUND, WEIGHTS_TOO_LARGE, Rejected

Arrays: TypeAlias = Mapping[str, npt.NDArray[np.float64]]

Origin: TypeAlias = Literal["adapter", "data", "random"]

MOST_SAMPLED = 1 << 24
"""Numbers of activations that errors are predicted for; of more nothing is assumed."""


@dataclass(frozen=True)
class Source:
    """Where weights come from. ``modules``: the values of --module; ``base_changed`` as in ``read_adapter``."""

    adapter: Path | None = None
    modules: Sequence[str] = ()
    base_changed: bool = False
    data: Path | None = None

    def check(self) -> None:
        """Raises SL005 for what excludes each other."""
        if self.data is not None and self.adapter is not None:
            raise error("SL005", "--data and --adapter both give weights", hint="leave out one of them")
        if self.modules and self.adapter is None:
            raise error("SL005", "--module needs --adapter")

    def named(self, problem: SlotError, activations: Path | None = None) -> SlotError:
        """What the runtime refuses of arrays, which it does not know the file of, with the file. ``activations``: that
        of the inputs, if it is another than that of the data."""
        weights = self.data or self.adapter
        files = {INPUT_BEYOND_LIMIT: activations or self.data}
        files |= dict.fromkeys((WEIGHTS_TOO_LARGE, WEIGHTS_BREAK_BOUND, BAD_ARRAY), weights)
        return SlotError(replace(d, file=d.file or str(files.get(d.code) or "")) for d in problem.diagnostics)

    @property
    def origin(self) -> Origin:
        """Where weights come from."""
        return "data" if self.data is not None else "adapter" if self.adapter is not None else "random"


@dataclass(frozen=True)
class Given:
    """A program bound to the sizes of what is given, with ``inputs`` and ``weights`` (scalars too) by name, as far as
    they are given, the ``adapter`` and its ``pairs``."""

    program: Program
    inputs: Arrays = field(default_factory=dict, repr=False)
    weights: Arrays = field(default_factory=dict, repr=False)
    adapter: Adapter | None = None
    pairs: tuple[Pair, ...] = ()

    @property
    def powers(self) -> DataPowers:
        """What errors are predicted for."""
        return DataPowers(self.weights, self.inputs) if self.weights or self.inputs else UNIT


def given(
    syntax: tree.Program,
    sizes: Mapping[str, int],
    source: Source,
    *,
    inputs: Literal["needed", "elsewhere", "optional"] = "needed",
) -> Given:
    """Read what a source gives, and bind the program. ``inputs``: whether a file of data must, may not or may hold the
    inputs too. Sizes that stand alone as a dimension of a weight follow from the adapter, unless they are given.

    Raises ``SlotError`` for anything wrong with program, adapter or arrays.
    """
    source.check()
    found, pairs, own_sizes = None, [], sizes
    if source.adapter is not None:
        found = read_adapter(source.adapter, base_changed=source.base_changed)
        pairs = pair_modules(roles(syntax), found, source.modules)
        sizes = {**adapter_sizes(syntax, pairs), **sizes}
    with _sizes_of(pairs, syntax, own_sizes):
        program = bind(syntax, sizes)
    own: Arrays = {}
    weights: Arrays = adapter_weights(program, pairs)
    if source.data is not None:
        own, weights = read_data(program, source.data, inputs=inputs)
    return Given(program, own, weights, found, tuple(pairs))


@contextmanager
def _sizes_of(pairs: Sequence[Pair], syntax: tree.Program, given: Mapping[str, int]) -> Iterator[None]:
    """Errors about sizes say which of them are the adapter's, and how the others are set."""
    try:
        yield
    except SlotError as problem:
        taken = {name: value for name, value in adapter_sizes(syntax, pairs).items() if name not in given}
        others = [size.name for size in syntax.header.sizes if size.name not in taken]
        if not taken or not others:
            raise
        values = ", ".join(f"{name} = {value}" for name, value in taken.items())
        hint = f"{values} {'are' if len(taken) > 1 else 'is'} the adapter's: choose {', '.join(others)} for that, with "
        hint += " ".join(f"--set {name}=..." for name in others[-1:])
        raise SlotError(replace(d, hint=hint) for d in problem.diagnostics) from None


def with_activations(known: Given, file: Path, tokens: int | None) -> Given:
    """With the tokens of a file, or the first of them, as a sample of the input, unless they are many."""
    name = token_input(known.program.syntax).name
    channels = known.program.tensors[name].shape[0]
    held = open_activations(file, channels, name)
    if min(held.tokens, tokens or held.tokens) * channels > MOST_SAMPLED:
        return known
    return replace(known, inputs={**known.inputs, name: held.read(tokens)})


def equalized(program: Program, powers: DataPowers, exponents: Exponents) -> DataPowers:
    """The data as it is encrypted and encoded with equalized inputs: channels divided by powers of two, and the weights
    that meet them multiplied. The exponents are those of ``check_exponents``. Whether a program can be equalized is the
    runtime's to say. Raises SL541 where that is not exact in doubles."""
    if powers is UNIT or not exponents:
        return powers
    weights, inputs = dict(powers.weights), dict(powers.inputs)
    met = {
        (chain.factors[-2], chain.factors[-1].tensor)
        for theorem in program.theorems.values()
        for chain in theorem.chains
        if len(chain.factors) > 1
    }
    try:
        for name in exponents.keys() & inputs.keys():
            inputs[name] = divided(name, inputs[name], exponents[name])
        for factor, name in sorted(met, key=str):
            array, axis = weights.get(factor.tensor), 0 if factor.transposed else 1
            if array is not None and array.ndim == 2 and name in exponents:
                if array.shape[axis] == len(exponents[name]):
                    weights[factor.tensor] = divided(factor.tensor, array, -exponents[name], axis)
    except Rejected as problem:
        raise refused(problem) from None
    return DataPowers(weights, inputs)
