"""The operations of an evaluation by SEAL's own functions: the reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import tenseal.sealapi as seal

from slotlang_runtime.errors import NOT_EVALUATED, Rejected
from slotlang_runtime.operations import SCALE_ROUNDING, Cancelled
from slotlang_runtime.seal.memory import ciphertext_of, polynomials_of
from slotlang_runtime.seal.ring import Ring


class SealOperations:
    """``Operations`` on ``seal.Ciphertext`` and ``seal.Plaintext``, with one client's keys (None where none are
    needed)."""

    def __init__(self, ring: Ring, galois_keys: Any, relin_keys: Any) -> None:
        self.ring = ring
        self.evaluator = seal.Evaluator(ring.context)
        self.galois_keys = galois_keys
        self.relin_keys = relin_keys

    def rotate(self, a: Any, step: int) -> Any:
        """One key switch: the key of exactly this step is there."""
        self.ring.check_rotation(step, self._level(a))
        out = seal.Ciphertext()
        self.evaluator.rotate_vector(a, step, self.galois_keys, out)
        return out

    def conjugate(self, a: Any) -> Any:
        """One key switch."""
        self.ring.check_conjugation(self._level(a))
        out = seal.Ciphertext()
        self.evaluator.complex_conjugate(a, self.galois_keys, out)
        return out

    def _level(self, a: Any) -> int:
        return self.ring.levels.index(a.parms_id())

    def multiply_plain(self, a: Any, plain: Any) -> Any:
        """The scales multiply."""
        out = seal.Ciphertext()
        self.evaluator.multiply_plain(a, plain, out)
        return out

    def multiply(self, a: Any, b: Any) -> Any:
        """Three polynomials."""
        if a.size() > 2 or b.size() > 2:
            raise Rejected(
                "a product of ciphertexts is multiplied with another before it is relinearised", NOT_EVALUATED
            )
        out = seal.Ciphertext()
        self.evaluator.multiply(a, b, out)
        return out

    def relinearize(self, a: Any) -> Any:
        """One key switch."""
        if a.size() == 2:
            return a
        self.ring.check_relinearization(self._level(a))
        out = seal.Ciphertext()
        self.evaluator.relinearize(a, self.relin_keys, out)
        return out

    def rescale(self, a: Any) -> Any:
        """Drop a prime; the scale is set to its exact value, so that sums find equal scales."""
        out, bare = seal.Ciphertext(), False
        try:
            self.evaluator.rescale_to_next(a, out)
        except RuntimeError as problem:
            if "transparent" not in str(problem):
                raise
            # the 1 of a zero is divided too; SEAL says so when the quotient is there
            bare = True
        level = self.ring.levels.index(out.parms_id())
        if level >= len(self.ring.scales) or abs(out.scale / self.ring.scales[level] - 1) > SCALE_ROUNDING:
            raise Rejected(
                f"a ciphertext that is rescaled to level {level} does not come to the scale there", NOT_EVALUATED
            )
        out.scale = self.ring.scales[level]
        if bare:
            raise self.cancelled(out)
        return out

    def negate(self, a: Any) -> Any:
        """A new ciphertext."""
        out = seal.Ciphertext()
        self.evaluator.negate(a, out)
        return out

    def add(self, total: Any, term: Any, sign: int, *, owned: bool) -> Any:
        """Into ``total`` where it is owned: half the memory traffic."""
        evaluator = self.evaluator
        out = total if owned else seal.Ciphertext()
        try:
            if owned:
                (evaluator.add_inplace if sign > 0 else evaluator.sub_inplace)(total, term)
            else:
                (evaluator.add if sign > 0 else evaluator.sub)(total, term, out)
            return out
        except RuntimeError as problem:
            if "transparent" not in str(problem):
                raise
        # SEAL says so when the sum is there
        raise self.cancelled(out)

    def cancelled(self, total: Any) -> Cancelled:
        """What to raise for a result that is zero but for its first polynomial, which holds what plaintexts left."""
        if total.size() > 2:
            total.resize(self.ring.context, total.parms_id(), 2)
        return Cancelled(total if polynomials_of(self.ring, total).any() else None)

    def dot(self, pairs: list[tuple[Any, Any]]) -> Any:
        """SEAL has no such function."""
        return None

    def add_plain(self, a: Any, plain: Any, sign: int) -> Any:
        """A new ciphertext."""
        out = seal.Ciphertext()
        (self.evaluator.add_plain if sign > 0 else self.evaluator.sub_plain)(a, plain, out)
        return out

    def zero(self, like: Any) -> Any:
        """The pair (0, 1), which decrypts to the secret key: its coefficients are -1, 0 and 1, at any scale."""
        level = self.ring.levels.index(like.parms_id())
        residues = np.zeros((2, len(self.ring.primes(level)), self.ring.degree), np.uint64)
        residues[1] = 1
        return ciphertext_of(self.ring, residues, level, like.scale)
