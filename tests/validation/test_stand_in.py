"""The stand-in evaluator against TenSEAL's own, on random sequences of operations: same values, same refusals."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import tenseal.sealapi as real

from slotlang.validation.seal import Seal

SLOTS = 2048
BITS = [60, 50, 50, 60]


def context(degree: int, bits: list[int]) -> Any:
    parms = real.EncryptionParameters(real.SCHEME_TYPE.CKKS)
    parms.set_poly_modulus_degree(degree)
    parms.set_coeff_modulus(real.CoeffModulus.Create(degree, bits))
    # a short modulus chain for the degree keeps this fast; security is another test's
    return real.SEALContext(parms, True, real.SEC_LEVEL_TYPE.NONE)


NAMES = [
    *("add", "sub", "add", "sub", "add_inplace", "sub_inplace", "multiply", "multiply_plain", "multiply_plain"),
    *("add_plain", "sub_plain", "rotate_vector", "rotate_vector", "complex_conjugate", "negate"),
    *("rescale_to_next", "mod_switch_to_next", "mod_switch_to", "relinearize_inplace", "set_scale"),
]
IN_PLACE = ("add_inplace", "sub_inplace", "relinearize_inplace", "set_scale")


class Side:
    """One of the two libraries, with its keys and every ciphertext made so far."""

    def __init__(self, seal: Any, ctx: Any, steps: list[int]) -> None:
        self.seal, self.context = seal, ctx
        self.generator = seal.KeyGenerator(ctx)
        secret = self.generator.secret_key()
        elements = [pow(3, s, 4 * SLOTS) for s in steps] + [4 * SLOTS - 1]
        self.galois, self.relin = seal.GaloisKeys(), seal.RelinKeys()
        self.generator.create_galois_keys(elements, self.galois)
        self.generator.create_relin_keys(self.relin)
        self.encoder = seal.CKKSEncoder(ctx)
        self.encryptor, self.decryptor = seal.Encryptor(ctx, secret), seal.Decryptor(ctx, secret)
        self.evaluator = seal.Evaluator(ctx)
        self.levels = []
        data = ctx.first_context_data()
        while data is not None:
            self.levels.append(data.parms_id())
            data = data.next_context_data()
        self.pool: list[Any] = []

    def encode(self, values: Any, level: int, scale: float) -> Any:
        plain = self.seal.Plaintext()
        self.encoder.encode(values, self.levels[level], scale, plain)
        return plain

    def values(self, cipher: Any) -> Any:
        plain = self.seal.Plaintext()
        self.decryptor.decrypt(cipher, plain)
        return np.array(self.encoder.decode_complex(plain))

    def act(self, action: tuple[Any, ...]) -> Any:
        """Do it; the new or changed ciphertext."""
        name, *arguments = action
        out = self.seal.Ciphertext()
        ev, pool = self.evaluator, self.pool
        if name == "encrypt":
            values, level, scale = arguments
            self.encryptor.encrypt_symmetric(self.encode(values, level, scale), out)
            return out
        a = pool[arguments[0]]
        if name in IN_PLACE:
            ev.mod_switch_to(a, a.parms_id(), out)  # a copy: what is refused half-way is not used again
            a = out
        match name:
            case "add" | "sub" | "multiply":
                getattr(ev, name)(a, pool[arguments[1]], out)
            case "add_inplace" | "sub_inplace":
                getattr(ev, name)(a, pool[arguments[1]])
                return a
            case "multiply_plain" | "add_plain" | "sub_plain":
                getattr(ev, name)(a, self.encode(*arguments[1:]), out)
            case "rotate_vector":
                ev.rotate_vector(a, arguments[1], self.galois, out)
            case "complex_conjugate":
                ev.complex_conjugate(a, self.galois, out)
            case "mod_switch_to":
                ev.mod_switch_to(a, self.levels[arguments[1]], out)
            case "relinearize_inplace":
                ev.relinearize_inplace(a, self.relin)
                return a
            case "set_scale":
                a.scale = a.scale * arguments[1]
                return a
            case _:
                getattr(ev, name)(a, out)
        return out


def random_action(rng: random.Random, count: int) -> tuple[Any, ...]:
    def vector() -> Any:
        kind = rng.randrange(4)
        if kind == 0:
            return rng.choice([0.0, 1.0, -0.5, 1e40])
        if kind == 1:
            return complex(rng.uniform(-1, 1), rng.uniform(-1, 1))
        size = SLOTS if kind == 2 else rng.choice([5, SLOTS + 1])
        return [complex(rng.uniform(-1, 1), rng.uniform(-1, 1)) for _ in range(size)]

    level, scale = rng.choice([0, 0, 0, 1, 2]), 2.0 ** rng.choice([40, 40, 40, 40, 42, 100])
    if count < 3 or rng.random() < 0.15:
        return "encrypt", vector(), level, scale
    a, b = rng.randrange(count), rng.randrange(count)
    name = rng.choice(NAMES)
    match name:
        case "add" | "sub" | "multiply" | "add_inplace" | "sub_inplace":
            return name, a, b
        case "multiply_plain" | "add_plain" | "sub_plain":
            return name, a, vector(), level, scale
        case "rotate_vector":
            return name, a, rng.choice([0, 1, 7, -7, SLOTS - 1, 3, SLOTS, SLOTS + 5])
        case "mod_switch_to":
            return name, a, rng.randrange(3)
        case "set_scale":
            return name, a, rng.choice([1.0, 2.0, 0.5, 1 + 2.0**-45])
        case _:
            return name, a


@pytest.mark.parametrize("seed", range(4))
def test_random_sequences(seed: int) -> None:
    rng = random.Random(seed)
    ctx = context(2 * SLOTS, BITS)
    steps = [1, 7, SLOTS - 7, SLOTS - 1]
    sides = [Side(real, ctx, steps), Side(Seal(SLOTS), ctx, steps)]
    refused, compared = set(), 0
    for _ in range(150):
        action = random_action(rng, len(sides[0].pool))
        outcomes: list[Any] = []
        for side in sides:
            try:
                outcomes.append(side.act(action))
            except (ValueError, RuntimeError) as problem:
                outcomes.append((type(problem).__name__, str(problem)))
        ours, theirs = outcomes[1], outcomes[0]
        shown = (action[0], *(x for x in action[1:] if not isinstance(x, list)))
        if isinstance(theirs, tuple) or isinstance(ours, tuple):
            if action[0] == "rotate_vector" and isinstance(theirs, tuple):
                # without the key of a step SEAL composes it of others, and finds other things wrong first
                assert isinstance(ours, tuple), shown
            else:
                assert ours == theirs, shown
            refused.add(theirs)
            continue
        assert (ours.size(), ours.parms_id()) == (theirs.size(), theirs.parms_id()), shown
        assert ours.scale == pytest.approx(theirs.scale, rel=1e-12), shown
        expected = sides[1].values(ours)
        bits = sum(BITS[: 3 - sides[0].levels.index(theirs.parms_id())])
        size = float(np.abs(expected).max())
        if size * theirs.scale > 2.0 ** (bits - 2) or theirs.scale < 2.0**34:
            # does not fit, or drowns in noise: SEAL refuses neither, and the parameter choice rules both out
            continue
        assert np.abs(sides[0].values(theirs) - expected).max() < 1e-3 * max(size, 1.0), shown
        compared += 1
        if len(sides[0].pool) < 40:
            sides[0].pool.append(theirs)
            sides[1].pool.append(ours)
    assert compared > 40 and len(refused) >= 5


def test_keys_belong_to_a_secret() -> None:
    """What SEAL answers with noise is refused: another client's keys and ciphertexts."""
    ctx = context(2 * SLOTS, BITS)
    seal = Seal(SLOTS)
    one, other = Side(seal, ctx, [1]), Side(seal, ctx, [1])
    cipher = one.act(("encrypt", 1.0, 0, 2.0**40))
    with pytest.raises(ValueError, match="another secret key"):
        other.values(cipher)
    with pytest.raises(ValueError, match="another secret key"):
        one.evaluator.rotate_vector(cipher, 1, other.galois, seal.Ciphertext())


def test_a_list_with_a_step_in_it_is_refused() -> None:
    ctx = context(2 * SLOTS, BITS)
    generator = Seal(SLOTS).KeyGenerator(ctx)
    for elements in ([-1], [np.int64(3)], [4]):
        with pytest.raises(ValueError, match="Galois element"):
            generator.create_galois_keys(elements)
