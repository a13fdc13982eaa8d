"""What TenSEAL 0.3.18 and the SEAL in it do where one would expect something else. The runtime depends on it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tenseal as ts
import tenseal.sealapi as seal

DEGREE = 4096
"""Smallest ring with two data primes; each test takes milliseconds."""


class Bench:
    """A context with keys, small enough to make many of."""

    def __init__(self) -> None:
        parms = seal.EncryptionParameters(seal.SCHEME_TYPE.CKKS)
        parms.set_poly_modulus_degree(DEGREE)
        parms.set_coeff_modulus(seal.CoeffModulus.Create(DEGREE, [36, 36, 37]))
        self.context = seal.SEALContext(parms, True, seal.SEC_LEVEL_TYPE.TC128)
        self.keys = seal.KeyGenerator(self.context)
        self.encoder = seal.CKKSEncoder(self.context)
        self.evaluator = seal.Evaluator(self.context)
        self.encryptor = seal.Encryptor(self.context, self.keys.secret_key())
        self.decryptor = seal.Decryptor(self.context, self.keys.secret_key())

    def plain(self, values: list[float], scale: float = 2.0**25) -> Any:
        out = seal.Plaintext()
        self.encoder.encode(values, scale, out)
        return out

    def cipher(self, values: list[float], scale: float = 2.0**25) -> Any:
        out = seal.Ciphertext()
        self.encryptor.encrypt_symmetric(self.plain(values, scale), out)
        return out

    def values(self, cipher: Any, count: int = 4) -> list[float]:
        out = seal.Plaintext()
        self.decryptor.decrypt(cipher, out)
        return np.real(self.encoder.decode_complex(out)[:count]).round(1).tolist()

    def galois(self, numbers: list[Any]) -> Any:
        out = seal.GaloisKeys()
        self.keys.create_galois_keys(numbers, out)
        return out


@pytest.fixture(scope="module")
def bench() -> Bench:
    return Bench()


def element(step: int) -> int:
    return pow(3, step, 2 * DEGREE)


RAMP = [float(i) for i in range(DEGREE // 2)]


def saved(thing: Any) -> int:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x"
        thing.save(str(path))
        return path.stat().st_size


# keys


def test_a_list_of_small_numbers_is_taken_as_galois_elements(bench: Bench) -> None:
    keys = bench.galois([1, 5])
    assert keys.has_key(5)
    assert not keys.has_key(element(5))
    with pytest.raises((ValueError, RuntimeError)):
        bench.evaluator.rotate_vector(bench.cipher(RAMP), 5, keys, seal.Ciphertext())


def test_elements_rotate_and_conjugate(bench: Bench) -> None:
    keys = bench.galois([element(5), 2 * DEGREE - 1])
    out = seal.Ciphertext()
    bench.evaluator.rotate_vector(bench.cipher(RAMP), 5, keys, out)
    assert bench.values(out) == [5, 6, 7, 8]
    bench.evaluator.complex_conjugate(bench.cipher(RAMP), keys, out)
    assert bench.values(out) == [0, 1, 2, 3]


@pytest.mark.parametrize("numbers", [[-1, 5], [np.int64(1), np.int64(5)]], ids=["negative", "np.int64"])
def test_a_negative_number_or_a_numpy_integer_turns_the_list_into_steps(bench: Bench, numbers: list[Any]) -> None:
    keys = bench.galois(numbers)
    assert keys.has_key(element(5))
    assert not keys.has_key(5)


def test_the_default_keys_switch_once_per_digit_of_the_step(bench: Bench) -> None:
    """Keys are powers of two only; a rotation by 7 = 8 - 1 works, so it is two rotations."""
    default = seal.GaloisKeys()
    bench.keys.create_galois_keys(default)
    steps = [2**k for k in range(11)]
    assert all(default.has_key(element(k)) and default.has_key(element(-k)) for k in steps)
    assert not default.has_key(element(7))
    out, by_hand = seal.Ciphertext(), seal.Ciphertext()
    vector = bench.cipher(RAMP)
    bench.evaluator.rotate_vector(vector, 7, default, out)
    assert bench.values(out) == [7, 8, 9, 10]

    def polynomials(c: Any) -> list[int]:
        return [c[i] for i in range(0, 2 * DEGREE, 511)]

    found = polynomials(out)
    for first, second in ((8, -1), (-1, 8)):
        bench.evaluator.rotate_vector(vector, first, default, by_hand)
        bench.evaluator.rotate_vector_inplace(by_hand, second, default)
        if polynomials(by_hand) == found:
            return
    pytest.fail("rotating by 7 is not the same as rotating by 8 and -1")


# ciphertexts and plaintexts


def test_products_with_zero_plaintexts_throw(bench: Bench) -> None:
    with pytest.raises(RuntimeError, match="transparent"):
        bench.evaluator.multiply_plain(bench.cipher(RAMP), bench.plain([0.0]), seal.Ciphertext())


def test_differences_that_vanish_throw(bench: Bench) -> None:
    vector = bench.cipher(RAMP)
    with pytest.raises(RuntimeError, match="transparent"):
        bench.evaluator.sub(vector, vector, seal.Ciphertext())


def test_addition_refuses_scales_that_differ_in_the_last_bits(bench: Bench) -> None:
    a, b = bench.cipher(RAMP), bench.cipher(RAMP, 2.0**25 * (1 + 2**-40))
    with pytest.raises(ValueError, match="scale"):
        bench.evaluator.add(a, b, seal.Ciphertext())
    b.scale = a.scale
    out = seal.Ciphertext()
    bench.evaluator.add(a, b, out)
    assert bench.values(out) == [0, 2, 4, 6]


def test_seeded_objects_only_save_and_are_half_the_size(bench: Bench) -> None:
    seeded = bench.encryptor.encrypt_symmetric(bench.plain(RAMP))
    assert 0.45 < saved(seeded) / saved(bench.cipher(RAMP)) < 0.55
    with pytest.raises(TypeError):
        bench.evaluator.negate(seeded, seal.Ciphertext())
    keys = bench.keys.create_galois_keys([element(1)])
    assert 0.45 < saved(keys) / saved(bench.galois([element(1)])) < 0.55


def test_load_and_save_take_paths_only(bench: Bench, tmp_path: Path) -> None:
    vector = bench.cipher(RAMP)
    with pytest.raises(TypeError):
        vector.save()
    with pytest.raises(TypeError):
        vector.save(tmp_path / "x")
    vector.save(str(tmp_path / "x"))
    back = seal.Ciphertext()
    back.load(bench.context, str(tmp_path / "x"))
    assert bench.values(back) == [0, 1, 2, 3]


def test_there_is_no_copy_but_switching_to_the_same_level(bench: Bench) -> None:
    vector, copy = bench.cipher(RAMP), seal.Ciphertext()
    with pytest.raises(TypeError):
        seal.Ciphertext(vector)
    bench.evaluator.mod_switch_to(vector, vector.parms_id(), copy)
    bench.evaluator.negate_inplace(vector)
    assert bench.values(copy) == [0, 1, 2, 3]
    assert bench.values(vector) == [0, -1, -2, -3]


def test_matmul_of_tenseal_is_silently_wrong_when_shapes_are_large() -> None:
    context = ts.context(ts.SCHEME_TYPE.CKKS, DEGREE, coeff_mod_bit_sizes=[36, 36, 37])
    context.global_scale = 2.0**25
    context.generate_galois_keys()
    rows, columns = 4, DEGREE // 2
    x = [1.0] * rows
    found = np.array(ts.ckks_vector(context, x).matmul(np.ones((rows, columns)).tolist()).decrypt())
    assert np.abs(found - rows).max() > 1


# contexts


def test_an_insecure_context_only_says_so_when_asked() -> None:
    parms = seal.EncryptionParameters(seal.SCHEME_TYPE.CKKS)
    parms.set_poly_modulus_degree(DEGREE)
    parms.set_coeff_modulus(seal.CoeffModulus.Create(DEGREE, [60, 60]))
    context = seal.SEALContext(parms, True, seal.SEC_LEVEL_TYPE.TC128)
    assert not context.parameters_set()
    with pytest.raises((ValueError, RuntimeError)):
        seal.Evaluator(context)
