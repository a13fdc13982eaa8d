"""The ranks of a program's results, and which of them are on. Imports neither tenseal nor numba."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple, TypeAlias

from slotlang_runtime.amounts import count_of
from slotlang_runtime.errors import BAD_RANKS, Rejected
from slotlang_runtime.module import Module

Gate: TypeAlias = tuple[tuple[str, tuple[int, ...]], ...]
"""By result, in order of their names, the ranks that are on, ascending; results with all ranks are left out."""


class Ranked(NamedTuple):
    """Of a result ``s * A @ B @ x``: the names of A and B, and the number of ranks."""

    up: str
    down: str
    ranks: int


def ranked(module: Module) -> dict[str, Ranked]:
    """The results of which ranks can be chosen: proved to be one product of scalars, A, B and an input, where no other
    result has this A or this B. None of them where a result is not proved to be a sum of products."""
    forms, scalars = module.forms, set(module.scalars)
    if any(name not in forms for name in module.results):
        return {}
    uses = Counter(f.removesuffix(".T") for chains in forms.values() for _, *factors in chains for f in factors)
    found: dict[str, Ranked] = {}
    for result in module.results:
        if len(forms[result]) != 1:
            continue
        _, *factors = forms[result][0]
        matrices = [factor for factor in factors[:-1] if factor not in scalars]
        if len(matrices) != 2 or factors[-1] not in module.inputs:
            continue
        up, down = matrices
        shapes = [module.weights.get(name, ()) for name in matrices]
        alone = all(uses[name] == 1 and name not in module.patterns for name in matrices)
        if alone and all(len(shape) == 2 for shape in shapes) and shapes[0][1] == shapes[1][0]:
            found[result] = Ranked(up, down, shapes[0][1])
    return found


def checked_ranks(what: str, given: Any, count: int) -> tuple[int, ...]:
    """Ranks that are on: whole numbers from 0 below ``count``, ascending, each once; none at all turns all off. Raises
    Rejected."""
    hint = f"ranks are whole numbers from 0 to {count - 1}, ascending, each once"
    if not isinstance(given, list | tuple):
        raise Rejected(f"the ranks of {what} are a list, not {type(given).__name__}", BAD_RANKS, hint)
    if len(given) > count:
        raise Rejected(f"{what} has {count_of(count, 'rank')}, not {len(given)}", BAD_RANKS, hint)
    for number, rank in enumerate(given):
        # a flag is not a number
        if type(rank) is not int:
            raise Rejected(f"{rank!r:.40} is not a rank of {what}", BAD_RANKS, hint)
        if not 0 <= rank < count:
            raise Rejected(f"{what} has no rank {rank!r:.40}, but {count_of(count, 'rank')}", BAD_RANKS, hint)
        if number and rank <= given[number - 1]:
            how = "twice" if rank in given[:number] else f"behind rank {given[number - 1]}"
            raise Rejected(f"rank {rank} of {what} stands {how}", BAD_RANKS, hint)
    return tuple(given)
