"""Small programs that together use every operation and every way to evaluate a sum, with the counts they need.

Each is proved, and fits any ring: its vectors are repeated to fill it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Case:
    """A program and some of its counts, worked out by hand."""

    name: str
    text: str
    counts: Mapping[str, int] = field(default_factory=dict)


def _dense(by: str, slots: int = 16) -> str:
    return f"""program dense(slots = {slots})
input x[slots]
weight A[slots, slots]
cipher X = x[slot]
plain W[q < slots] = A[slot, (slot + q) % slots]
Y = sum q < slots{by}: (X << q) * W[q]
output y[slot] = Y
prove y == A @ x
"""


def _doublings(counts: range, radix: str = "") -> str:
    lines = ["program doublings(slots = 16)", f"input {', '.join(f'x{n}[{n}]' for n in counts)}"]
    lines.append(f"weight {', '.join(f'A{n}[1, {n}]' for n in counts)}")
    for n in counts:
        lines += [
            f"cipher X{n} = x{n}[slot] else 0",
            f"plain W{n} = A{n}[0, slot] else 0",
            f"P{n} = X{n} * W{n}",
            f"S{n} = sum f < {n} by doubling{radix}: P{n} << f",
            f"output y{n}[slot] = S{n}",
            f"prove y{n} == A{n} @ x{n}",
        ]
    return "\n".join(lines) + "\n"


LORA = """program lora(d = 32, r = 4, batch = 2, slots = 16)
let C = slots / batch
let K = d / C
let R = r / 2
input x[d, batch]
weight A[d, r], B[r, d]
scalar scale
axes (h < C, t < batch)
cipher X[c < K] = x[c*C + h, t]
plain W[q < R, c < K] = B[(h - q) % R, c*C + h] + 1i * B[(h - q) % R + R, c*C + h]
P[q < R] = sum c < K: X[c] * W[q, c]
T = sum q < R by horner: P[q] << q*batch
S = sum f < C/R by doubling: T << f*R*batch
plain V[q < R, c < K] = scale * (A[c*C + h, (h + q) % R] - 1i * A[c*C + h, (h + q) % R + R])
Y[c < K] = sum q < R: (S << q*batch) * V[q, c]
output y[c*C + h, t] = re Y[c]
prove y == scale * A @ B @ x
"""


def diagonals(name: str, n: int, tokens: str) -> str:
    """A product by diagonals for two tokens, whose size is named ``tokens``."""
    return f"""program {name}(n = {n}, {tokens} = 2)
input x[n, {tokens}]
weight A[n, n]
axes (h < n, t < {tokens})
cipher X = x[h, t]
plain D[q < n] = A[h, (h + q) % n]
Y = sum q < n: (X << q*{tokens}) * D[q]
output y[h, t] = Y
prove y == A @ x
"""


# every kind of move: rotations, a mask, a permutation and its inverse
MOVES = """program p(n = 8)
input x[n]
weight w[n]
axes (h < n)
perm turn: slot -> (3*slot) % n
cipher X = x[(h + 1) % n]
plain M[q < 2] = w[h] * [h % 2 == q]
Z[q < 2] = (X << 2) * M[q]
S = sum f < 4 by doubling: Z[0] << f
T = conj S - permute(S, turn)
U = permute(T, inverse(turn))
output y[h] = U
prove y == x
"""


def _moved(body: str, perms: str, indices: str) -> str:
    return f"""program moved(slots = 16)
input x[slots]
axes (u < 4, v < 4)
{perms}
cipher X = x[slot]
Y = {body}
output y[{indices}] = Y
prove y == x
"""


CASES = [
    Case("as written", _dense(""), {"rotations": 15, "galois_keys": 1, "hoistable": 15, "plain_products": 16}),
    Case(
        "from a rotation on",
        """program windows(n = 16)
input x[n]
weight a[4], b[4]
axes (i < n)
cipher X = x[i]
Y = (sum k < 4: (X << k - 6) * a[k]) + sum k < 4: (X << 2*k + 2) * b[k]
output y[i] = Y
prove y[i < n] == (sum k < 4: x[(i + k - 6) % n] * a[k]) + sum k < 4: x[(i + 2*k + 2) % n] * b[k]
""",
        {"rotations": 8, "galois_keys": 3, "plain_products": 8},
    ),
    Case("tree", _dense(" by tree"), {"rotations": 15, "additions": 15, "depth": 1}),
    Case("bsgs that divides", _dense(" by bsgs(4)"), {"rotations": 6, "galois_keys": 2, "plain_products": 16}),
    # 16 = 3*5 + 1: four babies, two giants, and the rest turned by 15
    Case("bsgs that does not divide", _dense(" by bsgs(5)"), {"rotations": 7, "plain_products": 16}),
    Case("bsgs of all", _dense(" by bsgs(16)"), {"rotations": 15}),
    Case("bsgs of more than all", _dense(" by bsgs(20)"), {"rotations": 15}),
    Case("bsgs of one", _dense(" by bsgs(1)"), {"rotations": 15, "galois_keys": 1, "hoistable": 0}),
    Case("horner and doubling", LORA, {"rotations": 4, "galois_keys": 3, "plain_products": 16, "depth": 2}),
    Case(
        "doublings",
        _doublings(range(2, 14)),
        # floor(log2 n) and a rotation for each further one in the odd part
        {"rotations": sum(n.bit_length() - 2 + n.bit_count() for n in range(2, 14)), "plain_products": 12},
    ),
    Case(
        "doublings by three",
        _doublings(range(2, 14), "(3)"),
        # copies at a time: 2; 3; 2, 2; 3 and with 2 before; 3, 2; 2, 3 and with 1 before; 2, 2, 2; 3, 3; 2 and as 5;
        # 3, 3 and with 2 before; 3, 2, 2; 3 and with 1 before, 3 and with 1 before. Of 5 and 11 one rotation is there
        {"rotations": 1 + 2 + 2 + 3 + 3 + 4 + 3 + 4 + 4 + 5 + 4 + 6, "plain_products": 12},
    ),
    Case("doublings by sixteen", _doublings(range(2, 14), "(16)"), {"rotations": sum(range(1, 13)), "galois_keys": 12}),
    Case(
        "bsgs around sums",
        """program blocks(d = 24, e = 16, slots = 8)
let C = slots
let K = d / C
let O = e / C
input x[d]
weight A[e, d]
cipher X[c < K] = x[c*C + slot]
plain W[o < O, q < C, c < K] = A[o*C + slot, c*C + (slot + q) % C]
Y[o < O] = sum q < C by bsgs(3): sum c < K: (X[c] << q) * W[o, q, c]
output y[o*C + slot] = Y[o]
prove y == A @ x
""",
        # babies are shared by both outputs: 2 for each of 3; 8 = 2*3 + 2, so two giants for each output
        {"rotations": 6 + 4, "plain_products": 48},
    ),
    Case(
        "rotations shared by statements",
        """program shared(slots = 8)
input x[slots]
weight A[slots, slots], B[4, slots], C[1, slots]
cipher X = x[slot]
plain W[q < slots] = A[slot, (slot + q) % slots]
plain V[q < 4] = B[slot, (slot + 2*q) % slots] else 0
plain U[q < 4] = B[slot, (slot + 2*q + 1) % slots] else 0
Y = sum q < slots: (X << q) * W[q]
Z = sum q < 4: (X << 2*q) * V[q] + (X << 2*q + 1) * U[q]
output y[slot] = Y
output z[slot] = Z
prove y == A @ x
prove z == B @ x
""",
        {"rotations": 7, "galois_keys": 7, "hoistable": 7, "plain_products": 16},
    ),
    Case(
        "shifts that coincide",
        """program coincide(slots = 8)
input x[slots]
weight A[2, slots]
cipher X = x[slot]
plain W[q < 4] = A[slot // 4, (slot + (q % 2)*4) % slots] * [slot % 4 == q // 2] \
+ A[slot // 4, (slot + (q % 2)*4) % slots] * [slot % 4 == q // 2 + 2]
P[q < 4] = (X << (q % 2)*4) * W[q]
T = sum q < 4: P[q]
S = sum f < 4 by doubling: T << f
output y[slot // 4] = S where slot % 4 == 0
prove y == A @ x
""",
        # X << 4 is needed twice and made once
        {"rotations": 3, "plain_products": 4},
    ),
    Case(
        "products of ciphertexts",
        """program scores(n = 4, m = 4, slots = 16)
input q[n], k[m, n]
axes (i < m, j < n)
cipher X = q[j]
cipher Z = k[i, j]
P = X * Z
Q = Z * X
S = sum f < n by doubling: P + Q << f
Y = 1/2 * S
output y[i] = Y where j == 0
prove y == k @ q
""",
        {"cipher_products": 1, "rotations": 2, "key_switches": 3, "galois_keys": 2},
    ),
    Case(
        "conjugation",
        """program conjugate(slots = 8)
input x[slots], z[slots]
cipher X = x[slot] + 1i * z[slot]
U = 1/2 * (X + conj X)
V = 1/2 * 1i * (conj X - X)
output y[slot] = U
output w[slot] = V
prove y == x
prove w == z
""",
        {"conjugations": 1, "key_switches": 1, "galois_keys": 1, "rotations": 0},
    ),
    Case(
        "signs and plain additions",
        """program signs(slots = 8)
input x[slots], z[slots]
weight b[slots]
cipher X = x[slot]
cipher Z = z[slot]
plain B = b[slot]
Y = -(X - Z) - B
W = B - X - Z
V = -X - Z
U = X - (X - Z)
output y[slot] = Y
output w[slot] = W
output v[slot] = V
output u[slot] = U
prove y == z - x - b
prove w == b - x - z
prove v == -x - z
prove u == z
""",
        {"rotations": 0, "plain_products": 0, "depth": 0},
    ),
    Case(
        "factors merge into weights",
        """program factors(slots = 8)
input x[slots]
weight A[4, slots]
scalar scale
cipher X = x[slot]
plain W[q < slots] = A[slot % 4, (slot + q) % slots]
Y = [slot < 4] * (scale * (3/2 * (sum q < slots: (X << q) * W[q]))) * 2
output y[slot] = Y
prove y == 3 * scale * A @ x
""",
        {"depth": 1, "plain_products": 8, "rotations": 7},
    ),
    Case(
        "a factor of an outer loop stays outside",
        """program outside(slots = 8)
input x[slots]
weight A[8, slots], B[3, 8]
cipher X = x[slot]
plain W[q < slots] = A[slot, (slot + q) % slots]
plain V[c < 3] = B[c, slot]
Z[c < 3] = (sum q < slots: (X << q) * W[q]) * V[c]
Y[c < 3] = sum f < slots by doubling: Z[c] << f
output y[c] = Y[c] where slot == 0
prove y == B @ A @ x
""",
        {"depth": 2, "plain_products": 8 + 3, "rotations": 7 + 9},
    ),
    Case(
        "a permutation of one level",
        _moved("permute(X, p)", "perm p: (u, v) -> (u, (v + 1) % 4)", "u*4 + (v - 1) % 4"),
        {"depth": 1, "rotations": 2, "plain_products": 2},
    ),
    Case("a permutation of several levels", _moved("permute(X, p)", "perm p: (u, v) -> (v, u)", "v*4 + u")),
    Case("its inverse", _moved("permute(X, inverse(p))", "perm p: (u, v) -> (v, 3 - u)", "v*4 + 3 - u")),
    Case(
        "there and back",
        _moved("permute(permute(X, p), inverse(p))", "perm p: slot -> (5*slot + 3) % 16", "slot"),
    ),
    Case("cycles", _moved("permute(permute(X, p), p)", "perm p: cycles (0, 5), (9, 2)", "slot")),
    Case(
        "a pure rotation",
        _moved("permute(X, p)", "perm p: slot -> (slot + 3) % 16", "(slot - 3) % 16"),
        {"rotations": 1, "plain_products": 0, "depth": 0},
    ),
    Case(
        "sums of different depth",
        """program residual(slots = 8)
input x[slots]
weight A[slots, slots], B[slots, slots]
cipher X = x[slot]
plain W[q < slots] = A[slot, (slot + q) % slots]
plain V[q < slots] = B[slot, (slot + q) % slots]
S = sum q < slots by bsgs(3): (X << q) * W[q]
Y = X - S + (sum q < slots by bsgs(3): (S << q) * V[q])
output y[slot] = Y
prove y == x - A @ x + B @ A @ x
""",
        {"depth": 2},
    ),
    Case(
        "padding",
        """program padding(d = 11, e = 5, slots = 4)
let C = slots
let K = (d + C - 1) // C
let O = (e + C - 1) // C
input x[d]
weight A[e, d]
cipher X[c < K] = x[c*C + slot] else 0
plain W[o < O, q < C, c < K] = A[o*C + slot, c*C + (slot + q) % C] else 0
Y[o < O] = sum q < C, c < K: (X[c] << q) * W[o, q, c]
output y[o*C + slot] = Y[o]
prove y == A @ x
""",
        # the last block of columns holds 3 of 4, the last block of rows 1 of 4: A[4, 11] is outside
        {"plain_products": 24 - 1, "ciphertexts_out": 2},
    ),
    Case(
        "a sparse pattern",
        """program banded(slots = 8)
input x[slots]
weight A[i < slots, j < slots] sparse where (j - i) % slots <= 1 and i < 6
cipher X = x[slot]
plain W[q < slots] = A[slot, (slot + q) % slots]
Y = sum q < slots: (X << q) * W[q]
output y[slot] = Y
prove y == A @ x
""",
        {"plain_products": 2, "additions": 1},
    ),
    Case(
        "results of some members",
        """program some(slots = 4)
input x[slots], z[slots]
weight A[slots, slots], B[1, slots]
cipher X = x[slot]
cipher Z = z[slot]
plain W[q < 4] = A[slot, (slot + q) % 4]
P[q < 4] = (X << q) * W[q]
T[k < 5] = Z + (sum q < 4: P[q])
output y[slot] = T[3]
output w[slot] = Z
prove y == z + A @ x
prove w == z
""",
        {"ciphertexts_out": 2, "ciphertexts_in": 2},
    ),
    Case(
        "products of products",
        """program deep(slots = 4)
input x[slots]
weight A[slots, slots], B[slots, slots], C[slots, slots]
cipher X = x[slot]
plain U[q < 4] = A[slot, (slot + q) % 4]
plain V[q < 4] = B[slot, (slot + q) % 4]
plain W[q < 4] = C[slot, (slot + q) % 4]
S = sum q < 4: (X << q) * U[q]
T = sum q < 4: (S << q) * V[q]
Y = T - X + (sum q < 4: (T << q) * W[q])
output y[slot] = Y
prove y == B @ A @ x - x + C @ B @ A @ x
""",
        {"depth": 3, "rotations": 9},
    ),
    Case(
        "a ladder of a family's own members",
        """program ladder(n = 16, rows = 3)
input x[n]
weight w[rows, n]
axes (h < n)
cipher X = x[h]
plain W[r < rows] = w[r, h]
S[k < 5, r < rows] = (X * W[r] if k == 0 else S[k - 1, r] + (S[k - 1, r] << 2**(k - 1)))
claim S[2, r] == sum j < 4: (X * W[r]) << j
output y[r] = S[log2(n), r] where h == 0
prove y == w @ x
""",
        {"rotations": 4 * 3, "additions": 4 * 3, "plain_products": 3, "ciphertexts_out": 3, "depth": 1},
    ),
    Case(
        "members at different levels",
        """program powers(n = 8)
input x[n]
weight a[n, n], b[n, n]
axes (h < n)
cipher X = x[h]
plain W[k < 2, q < n] = (a[h, (h + q) % n] if k == 0 else b[h, (h + q) % n])
P[k < 3] = (X if k == 0 else (sum q < n: (P[k - 1] << q) * W[k - 1, q]))
S = sum k < 3: P[k]
output y[h] = S
prove y == x + a @ x + b @ a @ x
""",
        # x and its first product are multiplied by 1 to come to the level of the last: 2 + 1
        {"depth": 2, "rotations": 14, "plain_products": 16 + 3, "ciphertexts_out": 1},
    ),
    Case(
        "a swizzle",
        """program swizzle(n = 4, slots = 16)
input x[n, n]
axes (a < n, b < n)
cipher X = x[a, b]
perm s: slot -> a*n + (a ^ b)
Y = permute(X, s)
output y[a, (a ^ b)] = Y
prove y == x
""",
    ),
    Case(
        "functions in indices",
        """program functions(n = 8, m = 4, min = 3)
let small = n if n < m else m
require log2(max(n, m)) == min
input x[n, m]
weight w[n]
axes (h < n, t < m)
cipher X = x[min(h, n - 1), (t if t < small else 2**t)]
plain W[q < 2] = [(h ^ q) == h] + w[(h ^ q)] * [2**(t + 1) <= max(h - 8, t, 0)]
V = sum q < 2: (X * 2**2 * W[q] << 2**(q + 2) - 4)
output y[h, t] = V
prove y == 4 * x
""",
        {"ciphertexts_out": 1},
    ),
    Case(
        "packed differences",
        """program differences(slots = 8)
input x[8], z[8]
weight A[8, 3], B[3, 8]
cipher X = (x - z)[slot]
plain W[q < 8] = (A @ B)[slot, (slot + q) % 8]
Y = sum q < 8: (X << q) * W[q]
output y[slot] = Y
prove y == A @ B @ (x - z)
""",
        {"rotations": 7},
    ),
]


def case(name: str) -> Case:
    return next(c for c in CASES if c.name == name)


# two inputs and a weight, member by member; between the two stands what a test is about
GRID_HEAD = """program p(n = 8, slots = 16)
input x[n, slots], z[n, slots]
weight M[n, n, slots]
cipher X[j < n] = x[j, slot]
cipher Z[j < n] = z[j, slot]
plain W[i < n, j < n] = M[i, j, slot]
"""

GRID_FOOT = """
output y[i, slot] = Y[i]
prove y == x
"""
