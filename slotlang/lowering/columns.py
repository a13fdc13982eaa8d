# A server that evaluates by matrix products: the part of emitted modules whose programs only add ciphertexts up, each
# times a constant. The names imported here stand above them there.
# ruff: noqa: F403, F405

from slotlang.lowering.masks import *
from slotlang.lowering.roles import *
from slotlang.lowering.runtime import *
from slotlang.lowering.transfer import *

# columns starts here
# Matrix products. A constant is encoded as an integer c, so that each result is a sum of integers times ciphertexts,
# modulo every prime p. Residues are cut into pieces of b bits, x = sum_i x_i * 2^(b*i), and the products C @ x_i are
# float64 BLAS: integers, and exact in any order of summation, for |sum_k c_k * x_ik| < 2^b * sum_k |c_k| <= 2^53.
# With t = sum_i 2^(b*i) * (C @ x_i) as an integer modulo 2^64 and q = round(t / p) in floating point,
# t - q*p is the residue, or the residue less p: q is off by at most 1/2 and the error of its computation, below
# (pieces + 3) * 2^-53 * sum_k |c_k| <= 2^-b * (pieces + 3), which is below 1/4 for b >= LEAST_PIECE; so
# |t - q*p| < 3/4 * p < 2^63, and t - q*p is right although t itself may not fit 64 bits.

LEAST_PIECE = 7
TILE = 1 << 10, 1 << 5  # residues and rows that are worked on at once: they stay in the second cache
MAX_ENTRIES = 1 << 27
_FIELDS = struct.Struct("<4QBQQQdQ")  # of a saved ciphertext, before its array
_BLAKE2XB = 1
_BLOCK = 4096  # bytes that SEAL's generator draws at once


class Impossible(Exception):
    """Why matrix products can't compute this; SEAL's operations do."""


class Constant:
    """A number in every slot, encoded: the only coefficient of its plaintext that is not zero."""

    __slots__ = ("level", "number", "scale")

    def __init__(self, number, level, scale):
        self.number, self.level, self.scale = number, level, scale


def integer(ring, value, level, scale):
    """The integer that SEAL's encoder makes of a number at a scale: halves are rounded away from zero."""
    value = value * scale
    # as SEAL's encoder counts
    if abs(value) >= 1 and math.log2(abs(value)) + 2 >= ring.modulus_bits[level]:
        raise Rejected(f"a vector to encode holds {value / scale:.3g}: too large here")
    whole = math.trunc(value)
    return whole + int(math.copysign(abs(value - whole) >= 0.5, value))


def one_number(values):
    """The real number that a vector to encode holds in all slots."""
    if not isinstance(values, float):  # which a number of float64 is
        values = np.asarray(values)
        if not np.isfinite(values).all():
            raise Rejected("a vector to encode holds NaN or infinity")
        if values.ndim and (values == values.flat[0]).all():
            values = values.flat[0]
        if values.ndim or values.imag:
            raise Rejected("a vector to encode does not hold one real number in all slots")
    value = float(values.real)
    if not math.isfinite(value):
        raise Rejected("a vector to encode holds NaN or infinity")
    return value


class Constants(Ring):
    """The ring of a server that evaluates by matrix products: it encodes a constant as an integer."""

    def __init__(self):
        super().__init__()
        self.modulus_bits = [math.prod(self.primes(level)).bit_length() for level in range(len(self.levels))]

    def encode(self, values, level=0, products=0, added=False):
        """As ``Ring.encode``, for vectors that hold one number."""
        if added:
            raise Rejected("a vector to encode is added, and matrices only multiply")
        scale = self.factor(level, products)
        number = integer(self, one_number(values), level, scale)
        return Constant(number, level, scale) if number != 0 else None


class Sum:
    """A ciphertext to be: what it is the sum of, as (ciphertext, sign, constant or None), and how many sums deep it
    stands. An input has no terms, but a name."""

    __slots__ = ("depth", "name", "scale", "terms", "used")

    def __init__(self, terms, scale, name=None):
        self.terms, self.scale, self.name, self.used = terms, scale, name, name is not None
        self.depth = 1 + max(term[0].depth for term in terms) if terms else 0


class Recording(Evaluation):
    """Runs ``evaluate`` without ciphertexts, and keeps what each result is a sum of."""

    def multiply(self, a, plain):
        """Ciphertext times constant."""
        if a is None or plain is None:
            return None
        self.counts["plain_products"] += 1
        a.used = True
        scale = a.scale * plain.scale
        if math.log2(scale) >= self.ring.modulus_bits[plain.level]:
            raise Rejected("a product's scale is larger than the modulus")
        return Sum([(a, 1, plain)], scale)

    def negate(self, a):
        """-a."""
        if a is None:
            return None
        self.counts["negations"] += 1
        return Sum(self._terms(a, -1), a.scale)

    def _terms(self, a, sign):
        # a sum that is used once is written into what uses it, any other is computed for itself
        if a.used:
            return [(a, sign, None)]
        a.used = True
        return [(of, s * sign, constant) for of, s, constant in a.terms]

    def _total(self, signed):
        terms, scale, first = [], None, None
        for sign, a in signed:
            if a is None:
                continue
            if scale is None:
                first, scale = a, a.scale
                if sign == "-":
                    self.counts["negations"] += 1
            else:
                self.counts["additions"] += 1
                if a.scale != scale:
                    raise Rejected("the terms of a sum have different scales")
                first = None
            terms += [(a, 1 if sign == "+" else -1)]
        if first is not None and terms[0][1] == 1:
            return first
        found = [term for a, sign in terms for term in self._terms(a, sign)]
        return Sum(found, scale) if found else None


class Stage:
    """Sums that are computed together: rows are sums, columns the ciphertexts they are made of."""

    def __init__(self, sums, place):
        self.sums = sums
        self.sources = list({id(of): of for s in sums for of, _, _ in s.terms}.values())
        self.at = [place[id(of)] for of in self.sources]

    def matrix(self):
        """The coefficients. Raises ``Impossible`` where they or their sums are too large to be exact."""
        if len(self.sums) * len(self.sources) > MAX_ENTRIES:
            raise Impossible(f"a matrix of {len(self.sums)} x {len(self.sources)} coefficients")
        column = {id(of): n for n, of in enumerate(self.sources)}
        found = np.zeros((len(self.sums), len(self.sources)))
        for row, made in zip(found, self.sums, strict=True):
            size = 0
            for of, sign, constant in made.terms:
                number = 1 if constant is None else constant.number
                size += abs(number)
                row[column[id(of)]] += sign * number
            if size > 1 << 53 - LEAST_PIECE:
                raise Impossible(f"coefficients that add up to 2^{math.log2(size):.1f}")
        return found


class Plan:
    """What ``evaluate`` computes with given constants, in stages: sums of inputs, sums of those, and so on.

    Raises ``Impossible`` when it has no such form.
    """

    def __init__(self, ring, plain):
        ev = Recording(ring, None, None)
        self.inputs = [Sum([], ring.scale(0), name) for name in packed()]
        given = {value.name: value for value in self.inputs}
        self.results = evaluate(ev, given, plain)
        self.counts = ev.counts
        levels, seen = {}, set()
        waiting = [value for value in self.results.values() if value is not None]
        while waiting:
            value = waiting.pop()
            if id(value) not in seen and value.terms:
                seen.add(id(value))
                levels.setdefault(value.depth, []).append(value)
                waiting += [of for of, _, _ in value.terms]
        place = {id(value): n for n, value in enumerate(self.inputs)}
        self.stages = []
        for depth in sorted(levels):
            self.stages.append(Stage(levels[depth], place))
            for value in levels[depth]:
                place[id(value)] = len(place)
        self.at = {name: None if v is None else place[id(v)] for name, v in self.results.items()}


class Product:
    """One stage: its matrix, and how its operands are cut into pieces."""

    def __init__(self, stage):
        self.matrix, self.at = stage.matrix(), stage.at
        largest = int(np.abs(self.matrix).sum(axis=1).max())
        self.bits = min(53 - largest.bit_length(), 52)

    def run(self, taken, prime):
        """Rows modulo a prime, a tile after the other; ``taken(places)`` are residues of operands."""
        rows, columns = self.matrix.shape
        pieces = None
        for row in range(0, rows, TILE[1]):
            sums = 0
            for start in range(0, columns, TILE[1]):
                if columns > TILE[1] or pieces is None:
                    pieces = cut(taken(self.at[start : start + TILE[1]]), self.bits, prime)
                sums = sums + self.matrix[row : row + TILE[1], start : start + TILE[1]] @ pieces
            yield reduced(sums, self.bits, prime)


def cut(residues, bits, prime):
    """Residues as float64 numbers of so many bits each, the lowest first."""
    mask = np.uint64((1 << bits) - 1)
    pieces = np.empty((-(-prime.bit_length() // bits), *residues.shape))
    for n, piece in enumerate(pieces):
        np.copyto(piece, residues >> np.uint64(bits * n) & mask, casting="unsafe")
    return pieces


def reduced(sums, bits, prime):
    """``sum_i sums[i] * 2^(bits*i)`` modulo a prime, of integers in float64; ``sums`` is overwritten."""
    total, other = np.empty(sums.shape[1:], np.int64), np.empty(sums.shape[1:], np.int64)
    words = total.view(np.uint64)
    np.copyto(total, sums[-1], casting="unsafe")
    quotient = sums[-1]
    for below in sums[-2::-1]:
        words <<= np.uint64(bits)
        np.copyto(other, below, casting="unsafe")
        total += other
        quotient *= 2.0**bits
        quotient += below
    quotient *= 1 / prime
    np.rint(quotient, out=quotient)
    np.copyto(other, quotient, casting="unsafe")
    other *= prime
    total -= other
    np.right_shift(total, 63, out=other)  # -1 where negative
    other &= prime
    total += other
    return words


class Memory:
    """Room for residues: that of an earlier call, if this process made it and nobody holds a part of it any more.

    New memory costs as much as what is done with it.
    """

    def __init__(self):
        self._process = self._room = None

    def __call__(self, *shape):
        if self._process != os.getpid() or self._room.shape != shape or sys.getrefcount(self._room) > 2:
            # one array, which the system gives in large pages
            self._process, self._room = os.getpid(), np.empty(shape, "<u8")
        return self._room.view()


class Matrices:
    """A plan as matrix products. Raises ``Impossible`` where they would not be exact, or where this machine's BLAS
    is not."""

    def __init__(self, ring, plan):
        self.ring, self.plan = ring, plan
        self.products = [Product(stage) for stage in plan.stages]
        # where the sums of each stage stand among all values, inputs first
        self.first = np.cumsum([len(plan.inputs), *(len(stage.sums) for stage in plan.stages)]).tolist()
        self._memory = Memory()
        self._check()

    def __call__(self, cipher):
        """Residues of the results by name, None where they vanish, of those of the inputs."""
        inputs = [cipher[value.name] for value in self.plan.inputs]
        wanted = sorted({at for at in self.plan.at.values() if at is not None})
        primes = self.ring.primes(0)
        made = self._memory(len(wanted), 2, len(primes), PARAMETERS["degree"])
        row = {at: made[n] for n, at in enumerate(wanted)}
        for polynomial in range(2):
            for number, prime in enumerate(primes):
                for start in range(0, PARAMETERS["degree"], TILE[0]):
                    here = (polynomial, number, slice(start, start + TILE[0]))
                    operands = [value[here] for value in inputs]
                    for at in row.keys() & range(len(inputs)):
                        row[at][here] = operands[at]
                    for at, residues in self._sums(operands, prime):
                        if at in row:
                            row[at][here] = residues
        found, given = {}, set()
        for name, at in self.plan.at.items():
            value = None if at is None or not row[at][1].any() else row[at]
            # masks are added in place, so two names of one sum do not share it
            found[name] = value.copy() if value is not None and at in given else value
            given.add(at)
        return found

    def _sums(self, operands, prime):
        """Every sum's place and residues modulo a prime, of the inputs' at the same places; ``operands`` grows."""
        for number, product in enumerate(self.products):
            place = self.first[number]
            for rows in product.run(lambda at: np.stack([operands[n] for n in at]), prime):
                yield from enumerate(rows, place)
                place += len(rows)
                operands.extend(rows if number + 1 < len(self.products) else ())

    def _check(self):
        """The products against Python's integers, in a few random columns."""
        for prime in self.ring.primes(0):
            values = [uniform(prime, 2) for _ in self.plan.inputs]
            exact = [value.astype(object) for value in values]
            for product in self.products:
                operands = np.array([exact[n] for n in product.at], object)
                exact.extend(product.matrix.astype(np.int64).astype(object) @ operands % prime)
            if any((residues != exact[at]).any() for at, residues in self._sums(list(values), prime)):
                raise Impossible("matrix products that are not exact on this machine")


def residues_of(data, moduli):
    """The residues in a plaintext that SEAL saved."""
    saved = Saved(data, 72 + 8 * len(moduli) * PARAMETERS["degree"])
    saved.at = 72
    return saved.words(1, moduli)[0]


def mask_residues(ring, made):
    """Masks as residues, where they are not yet."""
    primes = ring.primes(0)

    def residues(mask):
        return mask if isinstance(mask, np.ndarray) else residues_of(_saved(mask), primes)

    return {name: [residues(mask) for mask in found] for name, found in made.items()}


def add_masks(ring, value, masks):
    """``Evaluation.hide`` on residues: masks are added to the first polynomial."""
    if value is not None:
        primes = np.array(ring.primes(0), np.uint64)[:, None]
        for mask in masks:
            total = value[0] + mask
            # of a sum below the prime, the difference wraps around and is the larger one
            np.minimum(total, total - primes, out=value[0])
    return value


@cache
def _library(name, *arguments):
    """A function of TenSEAL's own library that is not bound to Python."""
    try:
        function = getattr(ctypes.CDLL(seal._sealapi_cpp.__file__), name)
    except (AttributeError, OSError):
        raise Impossible(f"this build of TenSEAL hides its {name}") from None
    function.argtypes = arguments
    function.restype = ctypes.c_size_t
    return function


def from_seed(seed, moduli, found):
    """Fill ``found``, primes x degree, with the polynomial that SEAL makes of a seed: words of BLAKE2Xb modulo each
    prime, those too large drawn again."""
    size = ctypes.c_size_t
    generate = _library("blake2xb", ctypes.c_void_p, size, ctypes.c_char_p, size, ctypes.c_char_p, size)

    def draw(words, block):
        for at in range(0, words.nbytes, _BLOCK):
            generate(words.ctypes.data + at, _BLOCK, struct.pack("<Q", block + at // _BLOCK), 8, seed, len(seed))

    def further():
        words, block = np.empty(_BLOCK // 8, "<u8"), found.nbytes // _BLOCK
        while True:
            draw(words, block)
            yield from words
            block += 1

    draw(found, 0)
    more = further()
    for row, prime in zip(found, moduli, strict=True):
        limit = 2**64 - 1 - (2**64 - 1) % prime - 1
        for at in np.flatnonzero(row >= np.uint64(limit)):
            while row[at] >= limit:
                row[at] = next(more)
        row %= np.uint64(prime)


def load_residues(ring, data, room):
    """The residues of a client's ciphertext in ``room``, polynomials x primes x degree; Rejected as by
    ``load_ciphertext``."""
    moduli, degree = ring.primes(0), PARAMETERS["degree"]
    saved = Saved(data, 121 + 81 + 16 * len(moduli) * degree)
    saved.ciphertext(ring.levels[0], moduli, ring.scale(0))
    if saved.at != len(saved.body):
        raise Rejected("there are bytes left over in an object")
    saved.at = _FIELDS.size + _SEAL.size
    (words,) = saved.take("Q")
    # its residues were checked above
    given = np.frombuffer(saved.body, "<u8", words, saved.at).reshape(-1, len(moduli), degree)
    saved.at += given.nbytes
    if len(given) == 1:
        saved.inner()
        kind, seed = saved.take("B64s")
        if kind == _BLAKE2XB:
            room[0] = given[0]
            from_seed(seed, moduli, room[1])
        else:
            # SEAL's other generator, which its clients use only when they are built so
            whole = Saved(_saved(load_ciphertext(ring, data, 0)), 1 << 30)
            whole.at = saved.at - 81 - 8 * given.size
            room[:] = whole.words(2, moduli)
    else:
        room[:] = given
    if not room[1].any():
        raise Rejected("a ciphertext is not encrypted: anyone could read it")
    return room


def saved_residues(ring, value, level, products):
    """What SEAL would save of a ciphertext with these residues; less tightly compressed, in a fifth of the time."""
    moduli = ring.primes(level)
    shape = (1, 2, PARAMETERS["degree"], len(moduli))
    head = _FIELDS.pack(*ring.levels[level], *shape, ring.scale(level, products), 1)
    head += _header() + struct.pack("<QQ", _SEAL.size + 8 + value.nbytes, value.size)
    body = np.empty(len(head) + value.nbytes, np.uint8)
    body[: len(head)] = np.frombuffer(head, np.uint8)
    body[len(head) :] = value.astype("<u8", copy=False).reshape(-1).view(np.uint8)
    size = ctypes.c_size_t
    compress = _library("ZSTD_compress", ctypes.c_void_p, size, ctypes.c_void_p, size, ctypes.c_int)
    out = np.empty(len(body) + (len(body) >> 8) + 64, np.uint8)
    length = compress(out.ctypes.data, len(out), body.ctypes.data, len(body), 1)
    if length > len(out):
        raise Rejected("a result can't be compressed")
    head = _header()[:5] + struct.pack("<BHQ", _ZSTD, 0, _SEAL.size + length)
    return b"".join([head, memoryview(out)[:length]])


SealServer = Server


class Server(SealServer):
    """Evaluates by matrix products over residues, and by SEAL's operations where ``note`` says why."""

    def __init__(self, evaluation_keys):
        super().__init__(evaluation_keys)
        self.ring = Constants()
        self.constants = self.matrices = None
        self._memory = Memory()

    def _take(self, plain):
        self.constants = plain
        plan, at = Plan(self.ring, plain), table_of(RESULTS)
        for name, value in plan.results.items():
            if value is not None and value.scale != self.ring.scale(*at[name]):
                raise Rejected(f"the result {name!r} is not at the scale this program has there")
        try:
            self.matrices = Matrices(self.ring, plan)
        except Impossible as reason:
            self.matrices, self.note = None, f"evaluated by SEAL's operations, for matrices can't: {reason}"
            plain = {name: None if c is None else as_plaintext(self.ring, c) for name, c in plain.items()}
            # those made before may be residues
            self.prepared.clear()
        super()._take(plain)

    def weights_to_bytes(self):
        """The encoded weights: integers."""
        self._encoded()
        records = {}
        for name, constant in self.constants.items():
            number = 0 if constant is None else constant.number
            records[name] = number.to_bytes(number.bit_length() // 8 + 1, "little", signed=True) if number else None
        return pack("constants", records)

    def weights_from_bytes(self, data):
        """Take encoded weights that ``weights_to_bytes`` of the same program made."""
        template, plain = table_of(PLAINTEXTS), {}
        for name, record in unpack("constants", data, list(template)).items():
            plain[name] = None
            if record is not None:
                level, products, _ = template[name]
                number = int.from_bytes(record, "little", signed=True)
                if not number or len(record) != number.bit_length() // 8 + 1:
                    raise Rejected(f"the constant {name!r} is not written as this program writes it")
                if 2 * abs(number) >= math.prod(self.ring.primes(level)):
                    raise Rejected(f"the constant {name!r} is larger than the modulus")
                plain[name] = Constant(number, level, self.ring.factor(level, products))
        self._take(plain)

    def load_inputs(self, data):
        """Residues of the client's ciphertexts, by name."""
        if self.matrices is None:
            return super().load_inputs(data)
        records = unpack("inputs", data, list(packed()))
        if None in records.values():
            raise Rejected("an input is missing")
        rooms = self._memory(len(records), 2, len(self.ring.primes(0)), PARAMETERS["degree"])
        pairs = zip(records.items(), rooms, strict=True)
        return {name: load_residues(self.ring, record, room) for (name, record), room in pairs}

    def prepare(self):
        """Make the masks of one more evaluation before its inputs arrive; without, it makes them itself."""
        super().prepare()
        if self.matrices is not None:
            process, made = self.prepared.pop()
            self.prepared.append((process, mask_residues(self.ring, made)))

    def _run(self, cipher):
        self._encoded()
        if self.matrices is None:
            return super()._run(cipher)
        start = time.perf_counter()
        fresh = mask_residues(self.ring, self._masks())
        result = self.matrices(cipher)
        plan = self.matrices.plan
        self.counts = Counter(plan.counts)
        self.vanished = sum(result[name] is None for name, value in plan.results.items() if value is not None)
        for name, value in result.items():
            masks = fresh.get(name, ())
            if value is not None and masks:
                self.counts["masks"] += len(masks)
                result[name] = add_masks(self.ring, value, masks)
        self.seconds = time.perf_counter() - start
        return result

    def evaluate(self, data):
        """Bytes of encrypted inputs in, bytes of encrypted results out."""
        self._encoded()
        if self.matrices is None:
            return super().evaluate(data)
        at = table_of(RESULTS)
        result = self._run(self.load_inputs(data))
        return pack(
            "results",
            {n: None if v is None else saved_residues(self.ring, v, *at[n]) for n, v in result.items()},
        )


def as_plaintext(ring, constant):
    """The plaintext that SEAL's encoder makes of a constant."""
    rows = [[constant.number % prime] * PARAMETERS["degree"] for prime in ring.primes(constant.level)]
    return from_residues(ring, np.array(rows, np.uint64), constant.level, constant.scale)
