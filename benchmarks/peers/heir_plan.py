"""The plan that HEIR compiles a low-rank product to, written by hand on SEAL: 20 rotations per token at (4096, 16).

HEIR itself needs OpenFHE's C++ headers or Go to run what it compiles. Real weights, one token per ciphertext.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import tenseal.sealapi as seal

from benchmarks.peers.common import Configuration, Prepared, Task, serve
from benchmarks.peers.diagonals import Operations, diagonals, evaluate, steps

DEGREE = 8192
RESCALED = {"primes": [60, 40, 40, 60], "scales": [40, 40, 40], "rescale": True}
PLAIN = {"primes": [60, 60, 60], "scales": [36, 36, 36], "rescale": False}


def candidates(task: Task) -> list[Configuration]:
    """Rescaled after each matrix, as HEIR does it, and never."""
    return [dict(c, degree=DEGREE) for c in (RESCALED, PLAIN)]


def sent(thing: Any, received: Any = None, context: Any = None) -> tuple[Any, int]:
    """What arrives of a SEAL object that is sent, and its bytes; seeded objects are half as large as what arrives."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bytes"
        thing.save(str(path))
        if received is not None:
            received.load(context, str(path))
        return received, path.stat().st_size


def prepare(task: Task, configuration: Configuration) -> Prepared:
    """Keys, one ciphertext per token, encoded diagonals."""
    d, r, tokens = task.shape
    primes, scales, rescale = (configuration[name] for name in ("primes", "scales", "rescale"))
    degree = configuration["degree"]
    slots = degree // 2
    plan = steps(d, r)
    parms = seal.EncryptionParameters(seal.SCHEME_TYPE.CKKS)
    parms.set_poly_modulus_degree(degree)
    parms.set_coeff_modulus(seal.CoeffModulus.Create(degree, primes))
    context = seal.SEALContext(parms, True, seal.SEC_LEVEL_TYPE.TC128)
    if not context.parameters_set():
        raise ValueError(f"{degree}: {primes} is below 128-bit security")
    encoder, evaluator = seal.CKKSEncoder(context), seal.Evaluator(context)
    generator = seal.KeyGenerator(context)
    secret = generator.secret_key()
    elements = [pow(3, step, 2 * degree) for step in plan.rotations()]
    keys, key_bytes = sent(generator.create_galois_keys(elements), seal.GaloisKeys(), context)
    encryptor = seal.Encryptor(context, secret)
    decryptor = seal.Decryptor(context, secret)
    top = context.first_context_data()
    levels = [top, top.next_context_data() if rescale else top]

    def encode(values: np.ndarray, level: int, bits: int) -> Any:
        plain = seal.Plaintext()
        encoder.encode(values.tolist(), levels[level].parms_id(), 2.0**bits, plain)
        return plain

    def encrypt(token: np.ndarray) -> tuple[Any, int]:
        plain = encode(np.tile(token, slots // d), 0, scales[0])
        return sent(encryptor.encrypt_symmetric(plain), seal.Ciphertext(), context)

    weights = [
        [[encode(values, level, scales[1 + level]) for values in row] for row in diagonals(matrix, plan, slots)]
        for level, matrix in enumerate((task.b, task.a))
    ]

    def rotate(x: Any, step: int) -> Any:
        out = seal.Ciphertext()
        evaluator.rotate_vector(x, step, keys, out)
        return out

    def multiply(x: Any, plain: Any) -> Any:
        out = seal.Ciphertext()
        evaluator.multiply_plain(x, plain, out)
        return out

    def add(x: Any, y: Any) -> Any:
        out = seal.Ciphertext()
        evaluator.add(x, y, out)
        return out

    def drop(x: Any) -> Any:
        if rescale:
            evaluator.rescale_to_next_inplace(x)
        return x

    ops = Operations(lambda x, count: [x, *(rotate(x, s) for s in range(1, count))], rotate, multiply, add, drop)
    uploaded = [encrypt(task.x[:, t]) for t in range(tokens)]

    def decrypt(answer: list[Any]) -> np.ndarray:
        columns = []
        for cipher in answer:
            plain = seal.Plaintext()
            decryptor.decrypt(cipher, plain)
            columns.append(encoder.decode_double(plain)[:d])
        return np.array(columns).T

    return Prepared(
        "HEIR's plan on SEAL",
        f"{degree}: {','.join(map(str, primes))}" + (" rescaled" if rescale else ""),
        lambda: [evaluate(ops, weights[0], weights[1], plan, x) for x, _ in uploaded],
        decrypt,
        lambda answer: (len(answer), sum(sent(cipher)[1] for cipher in answer)),
        len(plan.rotations()),
        key_bytes,
        tokens,
        sum(size for _, size in uploaded),
    )


if __name__ == "__main__":
    serve(candidates, prepare)
