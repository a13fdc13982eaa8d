# Bytes and arrays that come from elsewhere: the part of every emitted module that checks them.
# ruff: noqa: F403, F405

from slotlang.lowering.runtime import *

# transfer starts here
# Bytes: a header, then records. SEAL sees nothing that was not checked first.

_MAGIC = b"SLOTBOX1"
_ABSENT = 0xFFFFFFFFFFFFFFFF
_LIMIT = 1 << 34
_SEAL = struct.Struct("<HBBBBHQ")
_ZSTD = 2


def _fingerprint():
    text = repr((sorted(PARAMETERS.items()), SLOTS))
    return hashlib.sha256(text.encode()).digest()


@contextmanager
def _file():
    """A new file and its path, for SEAL reads and writes paths only: in memory where the system has such files."""
    if hasattr(os, "memfd_create") and Path("/proc/self/fd").is_dir():
        with os.fdopen(os.memfd_create("seal"), "w+b") as stream:
            yield stream, f"/proc/self/fd/{stream.fileno()}"
    else:
        with tempfile.NamedTemporaryFile() as stream:
            yield stream, stream.name


def _saved(thing):
    with _file() as (stream, path):
        thing.save(path)
        return stream.read()


@cache
def _header():
    """How an uncompressed object of this SEAL starts: magic, size of the header, versions, no compression."""
    return _saved(seal.Plaintext())[:5] + bytes(3)


@cache
def _decompress():
    try:
        decompress = ctypes.CDLL(seal._sealapi_cpp.__file__).ZSTD_decompress
    except (AttributeError, OSError):
        raise Rejected("this build of TenSEAL hides its zstd, so that bytes can't be checked before SEAL") from None
    decompress.restype = ctypes.c_size_t
    decompress.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_size_t]
    return decompress


def _expanded(data, limit):
    """What zstd made ``data`` of, at most ``limit`` bytes; by the zstd in TenSEAL's own library."""
    out = np.empty(limit, np.uint8)
    size = _decompress()(out.ctypes.data, limit, np.frombuffer(data, np.uint8).ctypes.data, len(data))
    if size > limit:
        raise Rejected("an object can't be decompressed, or is larger than it may be here")
    return memoryview(out)[:size]


class Saved:
    """An object that SEAL saved, read from front to back. Every field must have the value this program expects."""

    def __init__(self, data, limit):
        if len(data) < _SEAL.size or data[:5] != _header()[:5]:
            raise Rejected("this is not an object that SEAL 4 saved, or not this version of it")
        *_, mode, reserved, size = _SEAL.unpack_from(data)
        if size != len(data):
            raise Rejected("an object's length is not what its header says: it is truncated or damaged")
        if mode not in (0, _ZSTD) or reserved:
            raise Rejected("an object's header has a compression that SEAL does not write here")
        self.body = memoryview(data)[_SEAL.size :]
        if mode:
            self.body = _expanded(self.body, limit)
        self.at = 0

    def take(self, form):
        """The next fields, as ``struct`` names them."""
        try:
            fields = struct.unpack_from(f"<{form}", self.body, self.at)
        except struct.error:
            raise Rejected("an object ends too early") from None
        self.at += struct.calcsize(f"<{form}")
        return fields

    def expect(self, what, form, *wanted):
        """The next fields have these values."""
        found = self.take(form)
        if found != wanted:
            shown = [str(f[0] if len(f) == 1 else f)[:60] for f in (found, wanted)]
            raise Rejected(f"{what} {shown[0]}, expected {shown[1]}")

    def inner(self, size=None):
        """The header of an object inside: not compressed, and of the size it must have, which is returned."""
        header, found = self.take("8sQ")
        if header != _header() or size not in (None, found):
            raise Rejected("an object inside another has a header that SEAL does not write")
        return found

    def words(self, count, moduli):
        """Residues: ``count`` polynomials modulo each prime, every residue below its prime."""
        words = np.frombuffer(self.body, "<u8", count * len(moduli) * PARAMETERS["degree"], self.at)
        words = words.reshape(count, len(moduli), PARAMETERS["degree"])
        if (words >= np.array(moduli, np.uint64)[:, None]).any():
            raise Rejected("an object holds a residue that is not below its prime")
        self.at += words.nbytes
        return words

    def plaintext(self, parms_id, moduli, scale):
        """The fields of a plaintext or a secret key."""
        self.expect("a plaintext is not at the level this program has there: its parameters are", "4Q", *parms_id)
        count = len(moduli) * PARAMETERS["degree"]
        self.expect("a plaintext has a number of residues", "Q", count)
        self.expect("a plaintext is not at the scale this program has there, but at", "d", scale)
        self.array(1, moduli)

    def ciphertext(self, parms_id, moduli, scale):
        """The fields of a ciphertext, or of one digit of a key; the second polynomial may be given by its seed."""
        self.expect("a ciphertext is not at the level this program has there: its parameters are", "4Q", *parms_id)
        shape = (1, 2, PARAMETERS["degree"], len(moduli))
        self.expect("a ciphertext has form, polynomials, degree and primes", "BQQQ", *shape)
        self.expect("a ciphertext has scale", "d", scale)
        self.expect("a ciphertext has correction factor", "Q", 1)
        if self.array(None, moduli) == 1:
            self.inner(_SEAL.size + 65)
            if self.take("B64s")[0] not in (1, 2):
                raise Rejected("a ciphertext's seed is for a generator that SEAL does not have")

    def array(self, count, moduli):
        """An array of one or two polynomials: ``count`` of them, or as many as it says."""
        size = self.inner()
        (words,) = self.take("Q")
        each = len(moduli) * PARAMETERS["degree"]
        if words not in ([each, 2 * each] if count is None else [count * each]) or size != _SEAL.size + 8 + 8 * words:
            raise Rejected("an object's array does not have the length this program expects")
        if len(self.body) - self.at < 8 * words:
            raise Rejected("an object ends too early")
        self.words(words // each, moduli)
        return words // each

    def load(self, make, context, file=None):
        """The object itself: all of it was read and checked. SEAL gets it without compression, through a ``_file()``
        that held others before, if one is given: new memory takes as long as SEAL."""
        if self.at != len(self.body):
            raise Rejected("there are bytes left over in an object")
        thing = make()
        with nullcontext(file) if file else _file() as (stream, path):
            stream.seek(0)
            stream.write(_header() + struct.pack("<Q", _SEAL.size + len(self.body)))
            stream.write(self.body)
            stream.flush()
            try:
                thing.load(context, path)
            except (RuntimeError, ValueError, MemoryError, IndexError, OverflowError) as problem:
                raise Rejected(f"SEAL does not accept an object: {problem}") from None
        return thing


def load_plaintext(ring, data, level, scale, file=None):
    """A plaintext at a level and scale; Rejected otherwise."""
    moduli = ring.primes(level)
    saved = Saved(data, 72 + 8 * len(moduli) * PARAMETERS["degree"])
    saved.plaintext(ring.levels[level], moduli, scale)
    return saved.load(seal.Plaintext, ring.context, file)


def load_secret(ring, data):
    """A secret key of these parameters; Rejected otherwise."""
    saved = Saved(data, 72 + 8 * len(ring.moduli) * PARAMETERS["degree"])
    saved.plaintext(ring.key_level, ring.moduli, 1.0)
    return saved.load(seal.SecretKey, ring.context)


def load_ciphertext(ring, data, level, products=0, file=None):
    """A ciphertext at the level and scale this program has there; Rejected otherwise."""
    moduli = ring.primes(level)
    saved = Saved(data, 121 + 81 + 16 * len(moduli) * PARAMETERS["degree"])
    saved.ciphertext(ring.levels[level], moduli, ring.scale(level, products))
    out = saved.load(seal.Ciphertext, ring.context, file)
    if out.is_transparent():
        raise Rejected("a ciphertext is not encrypted: anyone could read it")
    return out


def load_keys(ring, make, data, places, wanted):
    """Key-switching keys at exactly the ``wanted`` ones of so many places; Rejected otherwise."""
    digits = len(ring.moduli) - 1
    each = _SEAL.size + 121 + 81 + 16 * len(ring.moduli) * PARAMETERS["degree"]
    saved = Saved(data, 40 + 8 * places + len(wanted) * digits * each)
    saved.expect("keys are for parameters", "4Q", *ring.key_level)
    saved.expect("keys have a number of places", "Q", places)
    for place in range(places):
        (found,) = saved.take("Q")
        if found != (digits if place in wanted else 0):
            raise Rejected("a key is missing from these evaluation keys, or is one too many")
        for _ in range(found):
            size, start = saved.inner(), saved.at
            saved.ciphertext(ring.key_level, ring.moduli, 1.0)
            if size != _SEAL.size + saved.at - start:
                raise Rejected("an object inside another has a length that is not its own")
    return saved.load(make, ring.context)


def pack(kind, records):
    """Bytes of ``{name: bytes or None}``, bound to this program and its parameters."""
    body = [struct.pack("<I", len(records))]
    for name, data in records.items():
        key = repr(name).encode()
        body += [struct.pack("<HQ", len(key), _ABSENT if data is None else len(data)) + key, data or b""]
    digest = hashlib.sha256()
    for piece in body:
        digest.update(piece)
    head = _MAGIC + kind.encode().ljust(16, b"\0") + _fingerprint() + struct.pack("<Q", sum(map(len, body)))
    return b"".join([head, digest.digest(), *body])


def unpack(kind, data, names):
    """The records of ``pack``, exactly those named; raises Rejected for anything else."""
    try:
        data = memoryview(data).cast("B")
    except TypeError:
        raise Rejected(f"{kind} are bytes, not {type(data).__name__}") from None
    if type(data.obj) is not bytes:
        # records are parts of these bytes, and what is checked must not change before it is used
        data = memoryview(data.tobytes())
    if len(data) < 96 or data[:8] != _MAGIC:
        raise Rejected(f"these bytes are not {kind} of a slot program")
    found = bytes(data[8:24]).rstrip(b"\0").decode("ascii", "replace")
    if found != kind:
        raise Rejected(f"expected {kind}, got {found}")
    if data[24:56] != _fingerprint():
        raise Rejected(f"these {kind} were made for another program or other parameters")
    (length,) = struct.unpack_from("<Q", data, 56)
    body = data[96:]
    if length != len(body) or length > _LIMIT:
        raise Rejected(f"these {kind} are truncated: {len(body)} of {length} bytes")
    if hashlib.sha256(body).digest() != data[64:96]:
        raise Rejected(f"these {kind} are damaged: the checksum does not match")
    records, at = {}, 4
    by_key = {repr(name): name for name in names}
    try:
        (count,) = struct.unpack_from("<I", body, 0)
        for _ in range(count):
            key_size, size = struct.unpack_from("<HQ", body, at)
            key = bytes(body[at + 10 : at + 10 + key_size]).decode()
            at += 10 + key_size
            if key not in by_key or by_key[key] in records:
                raise Rejected(f"unexpected {key[:60]} among {kind}")
            if size == _ABSENT:
                records[by_key[key]] = None
                continue
            if at + size > len(body):
                raise Rejected(f"these {kind} are truncated")
            records[by_key[key]] = body[at : at + size]
            at += size
    except (struct.error, UnicodeDecodeError):
        raise Rejected(f"these {kind} are damaged") from None
    missing = [name for name in names if name not in records]
    if missing:
        raise Rejected(f"{missing[0]!r} is missing from these {kind}")
    if at != len(body):
        raise Rejected(f"there are bytes left over behind these {kind}")
    return records


def check_array(name, value, shape, limit=None):
    """A finite real array of the shape the program declares, as float64."""
    try:
        array = np.asarray(value)
    except (ValueError, TypeError) as problem:
        raise Rejected(f"{name} is no array: {problem}") from None
    if array.dtype.kind not in "fiu":
        raise Rejected(f"{name} must be real numbers, not {array.dtype}")
    if array.shape != shape:
        raise Rejected(f"{name} must have shape {shape}, not {array.shape}")
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        raise Rejected(f"{name} holds NaN or infinity")
    if limit is not None:
        bad = np.argwhere((array != 0) & ~limit)
        if bad.size:
            place = ", ".join(map(str, bad[0].tolist()))
            raise Rejected(f"{name}[{place}] is not zero, as its declared pattern says")
    return array


def element(array, index):
    """``array[index]`` for index arrays, and 0 where the index lies outside."""
    index = np.broadcast_arrays(*index)
    inside = np.logical_and.reduce([(i >= 0) & (i < n) for i, n in zip(index, array.shape, strict=True)])
    return np.where(inside, array[tuple(np.where(inside, i, 0) for i in index)], 0.0)
