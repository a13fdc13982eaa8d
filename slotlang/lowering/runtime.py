# What every emitted module starts with: CKKS through tenseal.sealapi, for one program's PARAMETERS.
# A ciphertext or plaintext that is zero everywhere is None: SEAL refuses products with zero plaintexts.

import argparse
import ctypes
import gc
import hashlib
import io
import math
import multiprocessing.connection
import os
import secrets
import signal
import struct
import sys
import tempfile
import time
import zipfile
from collections import Counter
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from functools import cache
from pathlib import Path

import numpy as np
import tenseal.sealapi as seal

PARAMETERS: dict = {}
SLOTS = 0


class Rejected(ValueError):
    """Bytes or arrays that do not fit this program; the message says what was expected."""


HIDING = ("mask", "exact", "none")


def check_parameters():
    """Rejected for PARAMETERS that no compiler writes: below 128-bit security, or with values of other types."""

    def whole(values, low, high):
        return all(type(v) is int and low <= v < high for v in values)

    degree, primes = PARAMETERS["degree"], PARAMETERS["prime_bits"]
    if PARAMETERS["security"] != 128:
        raise Rejected(f"security is 128 bits here, and PARAMETERS says {PARAMETERS['security']}")
    if not whole([degree], 1024, 32769) or degree & (degree - 1) or SLOTS & (SLOTS - 1) or not 0 < SLOTS <= degree // 2:
        raise Rejected(f"there is no ring of degree {degree} with {SLOTS} slots")
    if type(primes) is not list or not whole(primes, 2, 61) or len(primes) < 2:
        raise Rejected(f"prime_bits are two or more sizes of primes up to 60 bits, not {primes}")
    limit = seal.CoeffModulus.MaxBitCount(degree, seal.SEC_LEVEL_TYPE.TC128)
    if sum(primes) > limit:
        raise Rejected(
            f"{sum(primes)} bits of modulus at degree {degree} are below 128-bit security; the limit is {limit}"
        )
    if not PARAMETERS["scale_bits"] or not whole(PARAMETERS["scale_bits"], 1, sum(primes)):
        raise Rejected(f"scale_bits {PARAMETERS['scale_bits']} do not fit the primes")
    if not whole(PARAMETERS["rotations"], 1, degree // 2) or PARAMETERS["hide"] not in HIDING:
        raise Rejected("PARAMETERS holds rotations or a way of hiding that there are not")
    for step, route in PARAMETERS["routes"].items():
        if step in PARAMETERS["rotations"] or not set(route) <= set(PARAMETERS["rotations"]):
            raise Rejected(f"the rotation by {step} has a key, or is composed of some that have none")
        if sum(route) % SLOTS != step:
            raise Rejected(f"rotations by {route} do not make one by {step}")


def make_context():
    """The SEAL context of PARAMETERS; refuses anything below 128-bit security."""
    check_parameters()
    try:
        parms = seal.EncryptionParameters(seal.SCHEME_TYPE.CKKS)
        parms.set_poly_modulus_degree(PARAMETERS["degree"])
        parms.set_coeff_modulus(seal.CoeffModulus.Create(PARAMETERS["degree"], PARAMETERS["prime_bits"]))
    except (RuntimeError, ValueError) as problem:
        raise Rejected(f"SEAL has no such parameters: {problem}") from None
    context = seal.SEALContext(parms, True, seal.SEC_LEVEL_TYPE.TC128)
    if not context.parameters_set():
        raise Rejected("these parameters are invalid or below 128-bit security")
    return context


class Ring:
    """Levels, scales and encoding, shared by client and server; holds no key."""

    def __init__(self):
        self.context = make_context()
        self.encoder = seal.CKKSEncoder(self.context)
        self.levels = []
        data = self.context.first_context_data()
        for _ in range(len(PARAMETERS["prime_bits"]) - 1):
            self.levels.append(data.parms_id())
            data = data.next_context_data()
        self.moduli = [m.value() for m in self.context.key_context_data().parms().coeff_modulus()]
        self.key_level = self.context.key_context_data().parms_id()
        # of the inputs, and of the plaintexts of each product in a row where these have scales of their own
        self.factors = [2.0**bits for bits in PARAMETERS["scale_bits"]]
        # of ciphertexts that have just come to a level: products behind them, and their scale
        self.behind = [0, *PARAMETERS["drops"]]
        self.scales = self.factors[:1]
        for level, product in enumerate(PARAMETERS["drops"]):
            scale = self.scale(level, product - self.behind[level])
            self.scales.append(scale / self.moduli[len(self.levels) - 1 - level])

    def primes(self, level):
        """The primes of a ciphertext at a level."""
        return self.moduli[: len(self.levels) - level]

    def scale(self, level, products=0):
        """Scale of a ciphertext at a level with so many products not yet rescaled."""
        return math.prod([self.scales[level], *(self.factor(level, k) for k in range(products))])

    def factor(self, level, products=0):
        """Scale of a plaintext that multiplies a ciphertext at a level with so many products: its own, or that of
        the ciphertext without them, which makes scales after a rescale the same for all."""
        return self.factors[self.behind[level] + products + 1] if len(self.factors) > 1 else self.scales[level]

    def encode(self, values, level=0, products=0, added=False):
        """Encode one vector of SLOTS values, repeated to fill the ring, to multiply a ciphertext at a level with so
        many products, or to be added to it; None when it encodes to zero."""
        values = np.asarray(values)
        if not np.isfinite(values).all():
            raise Rejected("a vector to encode holds NaN or infinity")
        if not values.any():
            return None
        if np.iscomplexobj(values) and not values.imag.any():
            values = values.real
        if values.ndim and (values == values.flat[0]).all():
            values = values.flat[0]
        if values.ndim:
            values = np.broadcast_to(values, (SLOTS,)).tolist() * (PARAMETERS["degree"] // 2 // SLOTS)
        else:
            values = (1.0 * values).item()  # a Python number, never an int: SEAL would not scale that
        plain = seal.Plaintext()
        scale = self.scale(level, products) if added else self.factor(level, products)
        try:
            self.encoder.encode(values, self.levels[level], scale, plain)
        except ValueError:
            raise Rejected(f"a vector to encode holds {np.abs(values).max():.3g}: too large here") from None
        return None if plain.is_zero() else plain

    def decode(self, plain):
        """The first SLOTS values of a plaintext."""
        return np.array(self.encoder.decode_complex(plain)[:SLOTS])


class Evaluation:
    """Ciphertext operations of one evaluation, counted. None stands for zero."""

    def __init__(self, ring, galois_keys, relin_keys, sums=None):
        self.ring = ring
        self.sums = sums
        self.evaluator = seal.Evaluator(ring.context)
        self.galois_keys = galois_keys
        self.relin_keys = relin_keys
        self.counts = Counter()
        self.vanished = 0
        self.spare = None
        self._known = {}
        self.turned, self._turns = None, {}

    def once(self, operation, *operands):
        """The result of an operation that the program asks for several times, computed once."""
        name = operation.__name__
        if name == "rotate":
            operands = (operands[0], operands[1] % SLOTS)
        elif name == "product":
            operands = sorted(operands, key=id)
        key = (name, *(o if isinstance(o, (int, str)) else id(o) for o in operands))
        if key not in self._known:
            self._known[key] = (operation(*operands), operands)  # operands are kept: ids stay theirs
        return self._known[key][0]

    def rotate(self, a, step):
        """``a << step``; one key switch, for the key of exactly this step is there, or those of its route."""
        step %= SLOTS
        if a is None or step == 0:
            return a
        if not PARAMETERS["routes"]:
            return self._switch(a, step)
        if self.turned is not a:
            self.turned, self._turns = a, {}
        at = 0
        for part in PARAMETERS["routes"].get(step, [step]):
            # rotations of one ciphertext right after each other share what their routes start with
            at = (at + part) % SLOTS
            if at not in self._turns:
                self._turns[at] = self._switch(a, part)
            a = self._turns[at]
        return a

    def _switch(self, a, step):
        self.counts["rotations"] += 1
        out = seal.Ciphertext()
        self.evaluator.rotate_vector(a, step, self.galois_keys, out)
        return out

    def conj(self, a):
        """Complex conjugate; one key switch."""
        if a is None:
            return None
        self.counts["conjugations"] += 1
        out = seal.Ciphertext()
        self.evaluator.complex_conjugate(a, self.galois_keys, out)
        return out

    def multiply(self, a, plain):
        """Ciphertext times plaintext."""
        if a is None or plain is None:
            return None
        self.counts["plain_products"] += 1
        out = seal.Ciphertext()
        self.evaluator.multiply_plain(a, plain, out)
        return out

    def product(self, a, b):
        """Ciphertext times ciphertext, relinearised; one key switch."""
        if a is None or b is None:
            return None
        self.counts["cipher_products"] += 1
        out = seal.Ciphertext()
        self.evaluator.multiply(a, b, out)
        self.evaluator.relinearize_inplace(out, self.relin_keys)
        return out

    def rescale(self, a):
        """Drop a prime; the scale is set to its exact value, so that sums find equal scales."""
        if a is None:
            return None
        self.counts["rescales"] += 1
        out = seal.Ciphertext()
        self.evaluator.rescale_to_next(a, out)
        out.scale = self.ring.scales[self.ring.levels.index(out.parms_id())]
        return out

    def negate(self, a):
        """-a."""
        if a is None:
            return None
        self.counts["negations"] += 1
        out = seal.Ciphertext()
        self.evaluator.negate(a, out)
        return out

    def sum(self, terms):
        """Sum of ciphertexts; the first addition makes a new one, later ones go into it."""
        return self._total(("+", term) for term in terms)

    def sum_of(self, *terms):
        """``sum`` of its arguments."""
        return self.sum(terms)

    def dot(self, pairs):
        """Sum of ciphertexts, each times a plaintext: in one pass by ``sums`` where there is one, and otherwise by
        SEAL's operations, one by one."""
        pairs = [(a, plain) for a, plain in pairs if a is not None and plain is not None]
        total = self.sums(self.evaluator, pairs) if self.sums and len(pairs) > 1 else None
        if total is None:
            return self.sum(self.multiply(a, plain) for a, plain in pairs)
        self.counts["plain_products"] += len(pairs)
        self.counts["additions"] += len(pairs) - 1
        if total.is_transparent():
            # the terms cancel, whatever the inputs
            self.vanished += 1
            return None
        return total

    def combine(self, signs, *terms):
        """Signed sum; ``signs`` has a + or - for every term. What is subtracted from itself cancels."""
        added = [term for sign, term in zip(signs, terms, strict=True) if sign == "+" and term is not None]
        taken = []
        for term in (t for sign, t in zip(signs, terms, strict=True) if sign == "-" and t is not None):
            same = next((n for n, other in enumerate(added) if other is term), None)
            if same is None:
                taken.append(term)
            else:
                del added[same]
        return self._total([("+", term) for term in added] + [("-", term) for term in taken])

    def _total(self, signed):
        total, fresh = None, False
        for sign, term in signed:
            if term is None:
                continue
            if total is None:
                total, fresh = (term, False) if sign == "+" else (self.negate(term), True)
                continue
            self.counts["additions"] += 1
            try:
                if fresh and sign == "+":
                    self.evaluator.add_inplace(total, term)
                elif fresh:
                    self.evaluator.sub_inplace(total, term)
                else:
                    first, total, fresh = total, seal.Ciphertext(), True
                    (self.evaluator.add if sign == "+" else self.evaluator.sub)(first, term, total)
            except RuntimeError as problem:
                if "transparent" not in str(problem):
                    raise
                # the terms cancel, whatever the inputs
                self.vanished += 1
                total, fresh = None, False
        return total

    def add_plain(self, a, plain, sign=1):
        """Ciphertext plus or minus plaintext."""
        if plain is None:
            return a
        if a is None:
            a = self._nothing(plain)
        else:
            self.counts["additions"] += 1
        out = seal.Ciphertext()
        (self.evaluator.add_plain if sign > 0 else self.evaluator.sub_plain)(a, plain, out)
        return out

    def hide(self, a, masks):
        """``a`` with random plaintexts added where it carries no result; a zero that no input changes stays one."""
        if a is None:
            return None
        for plain in masks:
            self.counts["masks"] += 1
            out = seal.Ciphertext()
            self.evaluator.add_plain(a, plain, out)
            a = out
        return a

    def _nothing(self, plain):
        """A ciphertext of zero to add a plaintext to: an input, so far scaled down that it is less than noise."""
        level = self.ring.levels.index(plain.parms_id())
        out = seal.Ciphertext()
        self.evaluator.mod_switch_to(self.spare, self.ring.levels[max(level - 1, 0)], out)
        if level:
            self.evaluator.rescale_to_next_inplace(out)
        out.scale = plain.scale
        return out

    def _steps(self, shared):
        """Rotation and addition for the sums below; computed once each where the program shares them."""
        if not shared:
            return self.rotate, self.sum_of
        return (lambda a, k: self.once(self.rotate, a, k)), (lambda *terms: self.once(self.sum_of, *terms))

    def tree(self, terms, shared=False):
        """Sum by a balanced tree: neighbours first, then sums of two, and so on."""
        _, add = self._steps(shared)
        waiting = []
        for total in terms:
            size = 1
            while waiting and waiting[-1][0] == size:
                total, size = add(waiting.pop()[1], total), 2 * size
            waiting.append((size, total))
        _, total = waiting.pop()
        while waiting:
            total = add(waiting.pop()[1], total)
        return total

    def horner(self, terms, step, shared=False):
        """``sum v: term(v) << v*step``, the terms given last one first; every rotation is by ``step``."""
        rotate, add = self._steps(shared)
        terms = iter(terms)
        total = next(terms)
        for term in terms:
            total = add(rotate(total, step), term)
        return total

    def doubling(self, a, step, count, shared=False):
        """``sum f < count: a << f*step``: powers of two first, widest first, then the odd part's digits."""
        rotate, add = self._steps(shared)
        odd, powers = count, 0
        while odd % 2 == 0:
            odd, powers = odd // 2, powers + 1
        for power in reversed(range(powers)):
            a = add(a, rotate(a, (odd * step) << power))
        base, done = a, 1
        for bit in bin(odd)[3:]:
            a = add(a, rotate(a, done * step))
            done *= 2
            if bit == "1":
                a = add(base, rotate(a, step))
                done += 1
        return a
