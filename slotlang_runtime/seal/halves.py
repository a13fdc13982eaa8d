"""Results of which one part is read: half of c0 in place of c0.

With s the secret key, (c0, c1) decrypts to d = c0 + c1 s. Let C conjugate every slot. Where only real parts are read,
the server sends h = c0 + C(c0) and c1; the client computes h + c1 s + C(c1 s) = d + C(d), twice the real part. For
imaginary parts, all signs before C are minus. In SEAL's order of the transform's points C reverses the residues, so
half of those of h say the rest. ``docs/security.md`` proves that h and c1 tell nothing else of d.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np

from slotlang_runtime.residues import Words, added, byte_kernels, negated
from slotlang_runtime.seal.ring import Ring

Part: TypeAlias = Literal["re", "im"]


def conjugated(ring: Ring, residues: Words, level: int, sign: int) -> Words:
    """The conjugate of a polynomial, primes x degree (or its negative), by its residues."""
    mirrored: Words = residues[:, ::-1]
    return mirrored if sign > 0 else negated(mirrored, ring.column(level))


def doubled(ring: Ring, residues: Words, level: int, part: Part) -> Words:
    """A polynomial plus its conjugate, or minus its conjugate for ``im``: twice the part."""
    return added(residues, conjugated(ring, residues, level, 1 if part == "re" else -1), ring.column(level))


def half_doubled(ring: Ring, residues: Words, level: int, part: Part) -> Words:
    """The half of the residues of ``doubled`` that says the rest: primes x half the degree."""
    count, primes, compiled = residues.shape[-1] // 2, ring.column(level), byte_kernels()
    if compiled is not None and residues.strides[-1] == residues.itemsize:
        out = np.empty((len(primes), count), np.uint64)
        at, to, step = residues.ctypes.data, out.ctypes.data, residues.strides[0]
        for number, prime in enumerate(ring.primes(level)):
            compiled.folded(at + step * number, to + 8 * count * number, 2 * count, prime, part == "im")
        return out
    mirrored: Words = residues[:, : count - 1 : -1]
    return added(residues[:, :count], mirrored if part == "re" else negated(mirrored, primes), primes)


def doubled_part(ring: Ring, decrypted: Words, half: Words, level: int, part: Part) -> Words:
    """Twice the part that is read, from the residues of the decrypted (h, c1) and of h: exact modulo the primes."""
    primes = ring.column(level)
    return added(doubled(ring, decrypted, level, part), negated(half, primes), primes)
