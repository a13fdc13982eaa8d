"""Transforms of polynomials by SEAL: residues at the transform's points to those of coefficients, and back."""

from __future__ import annotations

import numpy as np
import tenseal.sealapi as seal

from slotlang_runtime.residues import Words
from slotlang_runtime.seal.memory import ciphertext_of, residues_at
from slotlang_runtime.seal.ring import Ring
from slotlang_runtime.seal.saved import load_coefficients, saved_coefficients

_SCALE = 1.0


def untransformed(ring: Ring, words: Words, level: int) -> Words:
    """The residues of coefficients, primes x degree, of a polynomial at a level."""
    out = seal.Ciphertext()
    seal.Evaluator(ring.context).transform_from_ntt(ciphertext_of(ring, np.stack([words, words]), level, _SCALE), out)
    found: Words = saved_coefficients(ring, out, level, _SCALE)[0]
    return found


def transformed(ring: Ring, words: Words, level: int) -> Words:
    """The residues of a polynomial at a level, primes x degree, from those of its coefficients."""
    out = seal.Ciphertext()
    seal.Evaluator(ring.context).transform_to_ntt(load_coefficients(ring, np.stack([words, words]), level, _SCALE), out)
    found: Words = residues_at(ring, out, level, _SCALE)[0]
    return found
