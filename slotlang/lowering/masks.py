# Random plaintexts for what a result ciphertext carries besides the result: a part of every emitted module.
# ruff: noqa: F403, F405

from slotlang.lowering.runtime import *
from slotlang.lowering.transfer import *

# masks starts here
# What a result carries besides the result is hidden by random plaintexts, new for every evaluation.

MASK_MARGIN, MASK_BITS = 3, 16


@cache
def masked():
    """For each result that carries more than results: the one part that is read or None, and the slots to mask.

    The slots are two rows, of real and imaginary parts: those unread of a part that is read elsewhere.
    """
    found = {}
    for name, read in returned().items():
        parts = [part for part, slots in zip(("re", "im"), read, strict=True) if slots.any()]
        alone = parts[0] if len(parts) == 1 and name[0] not in PARAMETERS["doubled"] else None
        slots = ~read & read.any(axis=1, keepdims=True)
        if PARAMETERS["hide"] != "none" and (alone or slots.any()):
            found[name] = (alone, slots)
    return found


def uniform(bound, count):
    """Integers uniform below ``bound``, from the operating system's generator."""
    found = np.empty(0, np.uint64)
    while len(found) < count:
        # words of as many bits as the bound has, those beyond it thrown away
        words = np.frombuffer(secrets.token_bytes(8 * (count - len(found) + 64)), "<u8")
        words = words >> np.uint64(64 - bound.bit_length())
        found = np.concatenate([found, words[words < bound]])
    return found[:count]


def from_residues(ring, residues, level, scale):
    """The plaintext with these residues, in the order of SEAL's number-theoretic transform: primes x degree."""
    words = struct.pack("<Q", residues.size) + residues.astype("<u8").tobytes()
    head = struct.pack("<4QQd", *ring.levels[level], residues.size, scale)
    body = head + _header() + struct.pack("<Q", _SEAL.size + len(words)) + words
    data = _header() + struct.pack("<Q", _SEAL.size + len(body)) + body
    return load_plaintext(ring, data, level, scale)


def random_ciphertext(ring):
    """Bytes of a ciphertext of random residues, which nobody has encrypted."""
    primes, degree = ring.primes(0), PARAMETERS["degree"]
    residues = np.concatenate([uniform(prime, degree) for _ in range(2) for prime in primes])
    words = struct.pack("<Q", residues.size) + residues.astype("<u8").tobytes()
    head = struct.pack("<4QBQQQdQ", *ring.levels[0], 1, 2, degree, len(primes), ring.scale(0), 1)
    body = head + _header() + struct.pack("<Q", _SEAL.size + len(words)) + words
    return _header() + struct.pack("<Q", _SEAL.size + len(body)) + body


def part_mask(ring, level, scale, alone):
    """A plaintext uniform among all whose ``alone`` part is zero in every slot.

    In SEAL's order of the transform's points, the conjugate of a polynomial has the residues backwards. So it has
    no real part when they are antisymmetric, and no imaginary part when they are symmetric: half are free.
    """
    rows = []
    for prime in ring.primes(level):
        half = uniform(prime, PARAMETERS["degree"] // 2)
        other = half[::-1]
        rows.append(np.concatenate([half, other if alone == "im" else (np.uint64(prime) - other) % np.uint64(prime)]))
    return from_residues(ring, np.array(rows), level, scale)


def alone_doubled(ring, plain, level, alone):
    """Twice the real (or imaginary) part of a plaintext: exact modulo the primes, whatever the other part is."""
    primes = np.array(ring.primes(level), np.uint64)[:, None]
    saved = Saved(_saved(plain), 72 + 8 * primes.size * PARAMETERS["degree"])
    saved.at = 72
    (residues,) = saved.words(1, ring.primes(level))
    conjugate = residues[:, ::-1]
    residues = (residues + (conjugate if alone == "re" else primes - conjugate)) % primes
    return from_residues(ring, residues, level, plain.scale)


def slot_mask(ring, level, products, slots):
    """A plaintext with random values in these slots and zeros elsewhere.

    Uniform up to 2^MASK_BITS, beyond which their rounding would show in other slots, or up to what the modulus holds
    with results as large beside them.
    """
    room = math.log2(math.prod(ring.primes(level))) - math.log2(ring.scale(level, products))
    copies = PARAMETERS["degree"] // 2 // SLOTS
    words = np.frombuffer(secrets.token_bytes(16 * SLOTS * copies), "<u8").reshape(2, SLOTS * copies)
    values = ((words >> np.uint64(11)) * 2.0**-52 - 1) * 2.0 ** min(room - MASK_MARGIN, MASK_BITS)
    re, im = values * np.tile(slots, (1, copies))
    plain = seal.Plaintext()
    ring.encoder.encode((re + 1j * im).tolist(), ring.levels[level], ring.scale(level, products), plain)
    return plain


def masks(ring):
    """The plaintexts that hide what is no result, for one evaluation: lists, by name."""
    made, expected = {}, table_of(RESULTS)
    for name, (alone, slots) in masked().items():
        level, products = expected[name]
        made[name] = [part_mask(ring, level, ring.scale(level, products), alone)] if alone else []
        if slots.any():
            made[name].append(slot_mask(ring, level, products, slots))
    return made
