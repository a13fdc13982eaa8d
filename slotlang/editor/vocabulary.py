"""The words of the language with what they mean, and how statements are begun."""

from __future__ import annotations

from types import MappingProxyType

WORDS = MappingProxyType(
    {
        "program": "`program NAME(size = default, ...)` starts a program and names its sizes.",
        "let": "`let NAME = value` names an integer that is computed from sizes.",
        "require": "`require condition`: what sizes must satisfy.",
        "input": "`input x[n, m]`: a tensor that the client encrypts.",
        "weight": "`weight W[n, m]`: a tensor that the server knows; `sparse where` names its nonzeros.",
        "scalar": "`scalar s`: a plaintext number.",
        "bound": "`bound |x| <= 8`, `bound norm(x[:, t]) <= 64`: what is assumed of magnitudes.",
        "norm": "`norm(x[:, t])`: the Euclidean norm of each line of a tensor.",
        "axes": "`axes (h < C, t < batch)` names the digits of a slot index, outermost first: slot = h*batch + t.",
        "cipher": "`cipher X[c < K] = ...`: ciphertexts that the client packs.",
        "plain": "`plain W[q < R] = ...`: plaintexts that the server encodes.",
        "perm": "`perm p: (h, t) -> (t, h)`: a permutation of slots.",
        "cycles": "`perm p: cycles (0, 1, 2)`: slot 0 moves to 1, 1 to 2, 2 to 0.",
        "claim": "`claim S == ... where ...`: a step that is proved, and then used in place of the definition.",
        "output": "`output y[h, t] = Y`: which element of a result each slot carries.",
        "prove": "`prove y == A @ B @ x`: the theorem that is proved of the outputs.",
        "parameters": "`parameters degree 8192 primes 60, 60, 60 scales 36`: the CKKS parameters that the program was "
        "chosen for.",
        "tensor": "`tensor u = A @ B`: a name for a tensor expression.",
        "def": "`def name(a, b) = ...`, or `def name(a, b):` with statements and an `end`: a definition.",
        "end": "closes a definition of statements.",
        "import": '`import "std/layouts.slot" as l`: the definitions of another file.',
        "as": "the name in front of what is imported: `l.diagonal(W, q)`.",
        "sum": "`sum q < R by HOW: value` adds up; its body reaches as far right as it can.",
        "by": "how a sum is evaluated: `tree`, `horner`, `doubling`, `doubling(k)` or `bsgs(n)`.",
        "tree": "`by tree`: terms are added in pairs.",
        "horner": "`by horner`: terms rotated in equal steps, one rotation each.",
        "doubling": "`by doubling`: a sum of rotations of one value in about log2 n rotations.",
        "bsgs": "`by bsgs(n)`: baby steps and giant steps, n of the one.",
        "where": "the slots, or the elements, that a statement speaks of.",
        "sparse": "weights with known zeros: `weight A[n, n] sparse where i <= j`.",
        "else": "`x[i] else 0` reads 0 outside of the tensor; `a if c else b` is a choice of integers.",
        "if": "`a if c else b`: a choice.",
        "and": "both conditions hold.",
        "or": "one of the conditions holds.",
        "not": "the condition does not hold.",
        "conj": "`conj X`: the complex conjugate of every slot.",
        "re": "`re Y`: the real part, in outputs.",
        "im": "`im Y`: the imaginary part, in outputs.",
        "permute": "`permute(X, p)`: the content of each slot s goes to p(s); `inverse(p)` is the way back.",
        "inverse": "`permute(X, inverse(p))` undoes `permute(X, p)`.",
        "slot": "the index of a slot.",
        "slots": "how many slots a vector has.",
        "ones": "`ones(n, m)`: a tensor of ones.",
        "zeros": "`zeros(n)`: a tensor of zeros.",
        "eye": "`eye(n)`: the identity matrix.",
        "min": "`min(a, b)`: the smaller integer.",
        "max": "`max(a, b)`: the larger integer.",
        "log2": "`log2(n)`: the exponent of a power of two.",
        "T": "`A.T`: the transpose of a matrix.",
        "mT": "`A.mT`: the last two dimensions exchanged.",
        "degree": "`degree 8192`: of the ring, twice the number of slots.",
        "primes": "`primes 60, 40, 60`: bits of each prime, the key prime last.",
        "scales": "`scales 36`: bits of scale, one for all factors or one for each.",
        "drops": "`drops 1, 2`: the products after which a prime is dropped.",
        "keys": "`keys 1, 8`: the steps that have a Galois key.",
    }
)
"""What a person reads on a word."""

SNIPPETS = MappingProxyType(
    {
        "program": "program ${1:name}(${2:d = 512})",
        "let": "let ${1:name} = ${2:value}",
        "require": "require ${1:condition}",
        "input": "input ${1:x}[${2:d}]",
        "weight": "weight ${1:A}[${2:d, r}]",
        "scalar": "scalar ${1:scale}",
        "bound": "bound |${1:x}| <= ${2:8}",
        "axes": "axes (${1:h < C, t < batch})",
        "cipher": "cipher ${1:X}[${2:c < K}] = ${3:x[c*C + h, t]}",
        "plain": "plain ${1:W}[${2:q < R}] = ${3:value}",
        "perm": "perm ${1:p}: (${2:h, t}) -> (${3:t, h})",
        "claim": "claim ${1:S} == ${2:value}",
        "output": "output ${1:y}[${2:h}] = ${3:Y}",
        "prove": "prove ${1:y} == ${2:A @ B @ x}",
        "parameters": "parameters degree ${1:8192} primes ${2:60, 60, 60} scales ${3:36}",
        "tensor": "tensor ${1:u} = ${2:A @ B}",
        "def": "def ${1:name}(${2:a, b}) = ${3:value}",
        "import": 'import "${1:std/layouts.slot}" as ${2:l}',
        "sum": "sum ${1:q < R}: ${2:value}",
        "permute": "permute(${1:X}, ${2:p})",
    }
)
"""Statements and expressions with places to fill in."""
