"""What TenSEAL does, held down: each test is a trap that lowering avoids, and would fail if the trap went away."""

from __future__ import annotations


import numpy as np
import pytest
import tenseal.sealapi as seal


def context(bits=(60, 60, 60), degree=8192):
    parms = seal.EncryptionParameters(seal.SCHEME_TYPE.CKKS)
    parms.set_poly_modulus_degree(degree)
    parms.set_coeff_modulus(seal.CoeffModulus.Create(degree, list(bits)))
    return seal.SEALContext(parms, True, seal.SEC_LEVEL_TYPE.TC128)


class Setup:
    def __init__(self):
        self.context = context()
        self.keys = seal.KeyGenerator(self.context)
        self.secret = self.keys.secret_key()
        self.encryptor = seal.Encryptor(self.context, self.secret)
        self.decryptor = seal.Decryptor(self.context, self.secret)
        self.encoder = seal.CKKSEncoder(self.context)
        self.evaluator = seal.Evaluator(self.context)

    def plain(self, values, scale=2.0**36):
        out = seal.Plaintext()
        self.encoder.encode(values, scale, out)
        return out

    def encrypted(self, values, scale=2.0**36):
        out = seal.Ciphertext()
        self.encryptor.encrypt_symmetric(self.plain(values, scale), out)
        return out

    def galois(self, elements):
        out = seal.GaloisKeys()
        self.keys.create_galois_keys(elements, out)
        return out

    def rotated(self, keys, step):
        out = seal.Ciphertext()
        self.evaluator.rotate_vector(self.encrypted([float(i) for i in range(4096)]), step, keys, out)
        plain = seal.Plaintext()
        self.decryptor.decrypt(out, plain)
        return np.array(self.encoder.decode_double(plain)[:4])


@pytest.fixture(scope="module")
def tenseal():
    return Setup()


def test_a_list_of_small_positive_numbers_is_taken_as_galois_elements(tenseal):
    keys = tenseal.galois([1, 5])
    assert keys.has_key(5) and not keys.has_key(pow(3, 5, 16384))
    with pytest.raises((RuntimeError, ValueError)):
        tenseal.rotated(keys, 5)


def test_the_element_of_a_step_is_a_power_of_three(tenseal):
    keys = tenseal.galois([pow(3, 5, 16384)])
    assert np.allclose(tenseal.rotated(keys, 5), [5, 6, 7, 8], atol=1e-3)


def test_one_negative_number_makes_the_list_steps(tenseal):
    keys = tenseal.galois([-1, 5])
    assert keys.has_key(pow(3, 5, 16384))


def test_a_rotation_without_its_own_key_is_made_of_others(tenseal):
    """3 = 4 - 1: two key switches where the key of 3 would need one."""
    keys = tenseal.galois([pow(3, 4, 16384), pow(3, 4095, 16384)])
    assert not keys.has_key(pow(3, 3, 16384))
    assert np.allclose(tenseal.rotated(keys, 3), [3, 4, 5, 6], atol=1e-3)


def test_a_product_with_a_zero_plaintext_throws(tenseal):
    zero = tenseal.plain([0.0])
    assert zero.is_zero()
    with pytest.raises((RuntimeError, ValueError), match="transparent"):
        tenseal.evaluator.multiply_plain(tenseal.encrypted([1.0]), zero, seal.Ciphertext())


def test_a_value_below_the_scale_encodes_to_zero(tenseal):
    assert tenseal.plain([1e-30]).is_zero()


def test_scales_that_differ_in_the_last_bits_do_not_add(tenseal):
    a, b = tenseal.encrypted([1.0]), tenseal.encrypted([2.0])
    b.scale = 2.0**36 * (1 - 2**-50)
    with pytest.raises((RuntimeError, ValueError), match="scale"):
        tenseal.evaluator.add(a, b, seal.Ciphertext())


def test_seeded_ciphertexts_and_keys_are_half_the_size(tenseal, tmp_path):
    full, seeded = tmp_path / "full", tmp_path / "seeded"
    tenseal.encrypted([1.0]).save(str(full))
    tenseal.encryptor.encrypt_symmetric(tenseal.plain([1.0])).save(str(seeded))
    assert seeded.stat().st_size < 0.55 * full.stat().st_size
    element = pow(3, 8, 16384)
    tenseal.galois([element]).save(str(full))
    tenseal.keys.create_galois_keys([element]).save(str(seeded))
    assert seeded.stat().st_size < 0.55 * full.stat().st_size


def test_an_insecure_context_only_says_so_when_asked():
    insecure = context((60, 60, 60, 60), 8192)
    assert not insecure.parameters_set()
    with pytest.raises((RuntimeError, ValueError)):
        seal.Evaluator(insecure)


def test_mod_switch_to_its_own_level_copies(tenseal):
    a, copy = tenseal.encrypted([1.0]), seal.Ciphertext()
    tenseal.evaluator.mod_switch_to(a, a.parms_id(), copy)
    tenseal.evaluator.negate_inplace(a)
    plain = seal.Plaintext()
    tenseal.decryptor.decrypt(copy, plain)
    assert abs(tenseal.encoder.decode_double(plain)[0] - 1) < 1e-3


def test_a_vector_of_ckksvector_opens_as_a_ciphertext():
    import tenseal as ts

    shared = ts.context(ts.SCHEME_TYPE.CKKS, 8192, coeff_mod_bit_sizes=[60, 40, 60])
    shared.global_scale = 2**40
    vector = ts.ckks_vector(shared, [1.0, 2.0])
    assert vector.ciphertext()[0].size() == 2


def test_tenseals_own_matmul_is_silently_wrong_past_half_the_ring():
    """in + out > N/2 + 1; the reason nothing here is built on it."""
    import tenseal as ts

    shared = ts.context(ts.SCHEME_TYPE.CKKS, 4096, coeff_mod_bit_sizes=[40, 25, 40])
    shared.global_scale = 2**25
    shared.generate_galois_keys()
    rng = np.random.default_rng(0)
    rows, columns = 2040, 24  # 2064, and N/2 + 1 is 2049
    matrix, x = rng.standard_normal((rows, columns)), rng.standard_normal(rows)
    found = np.array(ts.ckks_vector(shared, x.tolist()).matmul(matrix.tolist()).decrypt())
    wrong = np.abs(found - x @ matrix) > 0.1
    assert wrong.any()
    fits = np.array(ts.ckks_vector(shared, x[:64].tolist()).matmul(matrix[:64].tolist()).decrypt())
    assert np.allclose(fits, x[:64] @ matrix[:64], atol=0.1)
