"""Concrete ML extensions on the CPU: LWE ciphertexts of integers, products with clear matrices, results packed.

A result can't be multiplied again. The client decrypts B·x, encrypts it anew and sends it back for A·(B·x): one more
round trip, whose client part is prepared and not counted.
"""

from __future__ import annotations

import json
from typing import Any

import concrete_ml_extensions as fhe
import numpy as np

from benchmarks.peers.common import Configuration, Prepared, Task, serve

LARGEST = 1024
"""Rows of A. A product takes 16 ms for each, and token."""
PRODUCT_BITS = 25
"""Of the largest result, of 27 that are kept for the computation: one more for the sign, one for larger results."""
WEIGHT_BITS = 12


def candidates(task: Task) -> list[Configuration]:
    """The only parameters that its keys are made for."""
    d, _, tokens = task.shape
    if d > LARGEST or tokens > 1:
        raise SystemExit(f"takes minutes beyond {LARGEST} channels and one token")
    return [{"weight_bits": WEIGHT_BITS}]


def scaled(values: np.ndarray, largest: float) -> tuple[np.ndarray, float]:
    """Integers up to ``largest``, and what they were multiplied by."""
    factor = largest / float(np.abs(values).max())
    return np.rint(values * factor).astype(np.int64), factor


def words(values: np.ndarray) -> np.ndarray:
    """As it takes them: two's complement."""
    return np.ascontiguousarray(values.astype(np.int64)).astype(np.uint64)


class Product:
    """One product of a vector with a clear matrix, rows x columns."""

    def __init__(
        self, keys: tuple[Any, Any], parameters: Any, matrix: np.ndarray, vector: np.ndarray, bits: int
    ) -> None:
        (self.secret, self.compression), self.parameters = keys, parameters
        weights, of_weights = scaled(matrix, 2.0**bits)
        # so that the largest sum has PRODUCT_BITS
        largest = float(np.abs(weights @ vector).max()) / float(np.abs(vector).max())
        sent, of_vector = scaled(vector, 2.0**PRODUCT_BITS / largest)
        self.factor, self.rows = of_weights * of_vector, len(matrix)
        self.weights = words(weights.T)
        self.sent = fhe.encrypt_matrix(pkey=self.secret, crypto_params=parameters, data=words(sent[None]))

    def evaluate(self) -> Any:
        return fhe.matrix_multiplication(
            encrypted_matrix=self.sent, data=self.weights, compression_key=self.compression
        )

    def decrypt(self, answer: Any) -> np.ndarray:
        last = self.rows % self.packed or self.packed
        found = fhe.decrypt_matrix(answer, self.secret, self.parameters, num_valid_glwe_values_in_last_ciphertext=last)
        return np.asarray(found).astype(np.int64)[0, : self.rows] / self.factor

    @property
    def packed(self) -> int:
        """Results that one ciphertext holds."""
        return int(json.loads(fhe.default_params())["packing_ks_polynomial_size"])


def prepare(task: Task, configuration: Configuration) -> Prepared:
    """Keys, an encrypted token, and the encrypted B·x that the client made of the first answer."""
    known = fhe.default_params()
    parameters, bits = fhe.MatmulCryptoParameters.deserialize(known), configuration["weight_bits"]
    keys = fhe.create_private_key(parameters)
    first = Product(keys, parameters, task.b, task.x[:, 0], bits)
    second = Product(keys, parameters, task.a, first.decrypt(first.evaluate()), bits)
    sizes = json.loads(known)
    return Prepared(
        "Concrete ML",
        f"{sizes['polynomial_size']}, {sizes['input_storage_ciphertext_modulus']} bits up, "
        f"{sizes['output_storage_ciphertext_modulus']} down, B x by way of the client",
        lambda: (first.evaluate(), second.evaluate()),
        lambda answers: second.decrypt(answers[1])[:, None],
        lambda answers: (2, sum(len(answer.serialize()) for answer in answers)),
        1,
        len(keys[1].serialize()),
        2,
        sum(len(product.sent.serialize()) for product in (first, second)),
    )


if __name__ == "__main__":
    serve(candidates, prepare)
