"""OpenFHE: the diagonal plan with baby steps hoisted, as its examples do for rotations that share an operand."""

from __future__ import annotations

from typing import Any

import numpy as np
import openfhe

from benchmarks.peers.common import Configuration, Prepared, Task, serve
from benchmarks.peers.diagonals import Operations, diagonals, evaluate, steps

DEGREE = 8192
FEATURES = (openfhe.PKESchemeFeature.PKE, openfhe.PKESchemeFeature.KEYSWITCH, openfhe.PKESchemeFeature.LEVELEDSHE)


def candidates(task: Task) -> list[Configuration]:
    """Hybrid key switching, three digits: what 8192 has room for in OpenFHE's own count of security."""
    return [{"first": 55, "scaling": 44, "digits": 3}]


def prepare(task: Task, configuration: Configuration) -> Prepared:
    """Keys, one ciphertext per token, encoded diagonals."""
    d, r, tokens = task.shape
    slots, scaling = DEGREE // 2, configuration["scaling"]
    plan = steps(d, r, more_babies=True)  # a hoisted rotation costs half
    given = openfhe.CCParamsCKKSRNS()
    given.SetMultiplicativeDepth(2)
    given.SetFirstModSize(configuration["first"])
    given.SetScalingModSize(scaling)
    given.SetRingDim(DEGREE)
    given.SetBatchSize(slots)
    given.SetSecurityLevel(openfhe.SecurityLevel.HEStd_128_classic)
    given.SetScalingTechnique(openfhe.ScalingTechnique.FIXEDMANUAL)
    given.SetKeySwitchTechnique(openfhe.KeySwitchTechnique.HYBRID)
    given.SetNumLargeDigits(configuration["digits"])
    context = openfhe.GenCryptoContext(given)
    for feature in FEATURES:
        context.Enable(feature)
    order = context.GetCyclotomicOrder()
    keys = context.KeyGen()
    context.EvalRotateKeyGen(keys.secretKey, plan.rotations())

    def size(ciphers: list[Any]) -> int:
        return sum(len(openfhe.Serialize(c, openfhe.BINARY)) for c in ciphers)

    def encode(values: Any, level: int) -> Any:
        return context.MakeCKKSPackedPlaintext(values.tolist(), 1, level)

    repeated = [task.x[:, t].tolist() * (slots // d) for t in range(tokens)]
    uploaded = [context.Encrypt(keys.publicKey, context.MakeCKKSPackedPlaintext(values)) for values in repeated]
    weights = [
        [[encode(values, level) for values in row] for row in diagonals(matrix, plan, slots)]
        for level, matrix in enumerate((task.b, task.a))
    ]

    def babies(x: Any, count: int) -> list[Any]:
        digits = context.EvalFastRotationPrecompute(x)
        return [x, *(context.EvalFastRotation(x, s, order, digits) for s in range(1, count))]

    ops = Operations(babies, context.EvalRotate, context.EvalMult, context.EvalAdd, context.Rescale)

    def decrypt(answer: list[Any]) -> np.ndarray:
        return np.array([context.Decrypt(c, keys.secretKey).GetRealPackedValue()[:d] for c in answer]).T

    return Prepared(
        "OpenFHE, hoisted",
        f"{DEGREE}: {configuration['first']},{scaling},{scaling} + key, rescaled",
        lambda: [evaluate(ops, weights[0], weights[1], plan, x) for x in uploaded],
        decrypt,
        lambda answer: (len(answer), size(answer)),
        len(plan.rotations()),
        len(openfhe.SerializeEvalAutomorphismKeyString(openfhe.BINARY)),
        tokens,
        size(uploaded),
    )


if __name__ == "__main__":
    serve(candidates, prepare)
