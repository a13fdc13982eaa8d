"""An evaluation that takes key switches apart: one decomposition of each ciphertext, one mod-down for a sum.

``LazyOperations`` puts off mod-downs as ``slotlang.cost.key_switching`` says that compiled kernels do, operation by
operation, and counts what it does. It knows nothing of graphs. What ciphertexts hold is left to other tests.
"""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import numpy as np
from exact_slots import ExactRing

from slotlang.meaning.program import Program
from slotlang.run.runner import load_module
from slotlang_runtime.data import random_data
from slotlang_runtime.engine import encoded_plaintexts
from slotlang_runtime.operations import Evaluation


class Lazy:
    """A ciphertext. ``waiting``: key products that are added up and not divided yet; ``held``: a sum has them too."""

    def __init__(self, waiting: int = 0, polynomials: int = 2) -> None:
        self.waiting, self.polynomials = waiting, polynomials
        self.held = self.decomposed = False


class LazyOperations:
    """``slotlang_runtime.operations.Operations``, counting ``decompositions``, ``key_products`` and ``mod_downs``."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.most_waiting = 0

    def settled(self, a: Lazy) -> Lazy:
        """With nothing waiting."""
        if a.waiting:
            a.waiting = 0
            self.counts["mod_downs"] += 1
        return a

    def _switched(self, a: Lazy) -> Lazy:
        self.settled(a)
        if not a.decomposed:
            a.decomposed = True
            self.counts["decompositions"] += 1
        self.counts["key_products"] += 1
        return Lazy(waiting=1)

    def rotate(self, a: Lazy, step: int) -> Lazy:
        assert a.polynomials == 2
        return self._switched(a)

    def conjugate(self, a: Lazy) -> Lazy:
        assert a.polynomials == 2
        return self._switched(a)

    def relinearize(self, a: Lazy) -> Lazy:
        return a if a.polynomials == 2 else self._switched(a)

    def multiply_plain(self, a: Lazy, plain: Any) -> Lazy:
        return Lazy(polynomials=self.settled(a).polynomials)

    def multiply(self, a: Lazy, b: Lazy) -> Lazy:
        assert a.polynomials == b.polynomials == 2
        self.settled(a), self.settled(b)
        return Lazy(polynomials=3)

    def rescale(self, a: Lazy) -> Lazy:
        return Lazy(polynomials=self.settled(a).polynomials)

    negate = rescale

    def _merged(self, a: Lazy) -> int:
        """The products that a sum takes over from one of its operands."""
        if a.held:
            self.settled(a)
        a.held = bool(a.waiting)
        return a.waiting

    def add(self, total: Lazy, term: Lazy, sign: int, *, owned: bool) -> Lazy:
        # a sum that is overwritten keeps what it has
        waiting = total.waiting if owned else self._merged(total)
        if sign > 0:
            waiting += self._merged(term)
        else:
            self.settled(term)
        self.most_waiting = max(self.most_waiting, waiting)
        polynomials = max(total.polynomials, term.polynomials)
        if not owned:
            return Lazy(waiting, polynomials)
        assert not total.held and not total.decomposed, "what is overwritten has been used before"
        total.waiting, total.polynomials = waiting, polynomials
        return total

    def dot(self, pairs: list[tuple[Lazy, Any]]) -> Lazy:
        return Lazy(polynomials=max(self.settled(a).polynomials for a, _ in pairs))

    def add_plain(self, a: Lazy, plain: Any, sign: int) -> Lazy:
        return Lazy(polynomials=self.settled(a).polynomials)

    def zero(self, like: Any) -> Lazy:
        return Lazy()


def lazy_counts(text: str, program: Program, seed: int = 0) -> dict[str, int]:
    """What the key switches of one evaluation of an emitted module take, until its results are returned."""
    module = load_module(text, "lazy")
    _, weights = random_data(module, seed)
    # scalars of 1 would not show whether they are there
    weights.update({name: 0.5 + random.Random(f"{seed} {name}").random() for name in program.scalars})
    arrays = {n: np.asarray(a, float) for n, a in weights.items()}
    ring = ExactRing(module.parameters, module.slots)
    plain = encoded_plaintexts(module, ring, {n: a if a.ndim else float(a) for n, a in arrays.items()})
    operations = LazyOperations()
    evaluation: Evaluation[Lazy, Any] = Evaluation(operations, module.parameters, module.slots)
    cipher = {name: Lazy() for name in module.packed()}
    for result in module.evaluate(evaluation, cipher, plain).values():
        if result is not None:
            operations.settled(result)
    executed = sum(evaluation.counts[name] for name in ("rotations", "conjugations", "relinearizations"))
    assert operations.counts["key_products"] == executed
    return dict(operations.counts)
