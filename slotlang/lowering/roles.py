# Client, Server and main: the end of every emitted module. The names imported here stand above them there.
# ruff: noqa: F403, F405

from slotlang.lowering.masks import *
from slotlang.lowering.runtime import *
from slotlang.lowering.transfer import *
from slotlang.lowering.workers import *


# roles starts here
def members(places):
    """Indices of a family's members: all of a shape, or those listed."""
    return np.ndindex(places) if isinstance(places, tuple) else places


def table_of(families):
    """Every member of a table's families with what the table says of it, such as its level."""
    return {(name, *index): tuple(rest) for name, (places, *rest) in families.items() for index in members(places)}


def packed():
    """Every ciphertext the client sends, with the function that packs it and its indices."""
    return {
        (name, *index): (function, index) for name, (function, shape) in PACKING.items() for index in members(shape)
    }


def galois_elements():
    """Galois elements of the keys in use, as Python ints: with a np.int64 among them SEAL would read steps."""
    degree = PARAMETERS["degree"]
    elements = [pow(3, step, 2 * degree) for step in PARAMETERS["rotations"]]
    return [*elements, 2 * degree - 1] if PARAMETERS["conjugation"] else elements


class Client:
    """Owns the secret key: makes the evaluation keys, encrypts inputs, decrypts results."""

    def __init__(self, secret=None):
        self.ring = Ring()
        if secret is not None and not seal.is_valid_for(secret, self.ring.context):
            raise Rejected("this secret key was made for other parameters")
        self.keys = seal.KeyGenerator(self.ring.context, *([] if secret is None else [secret]))
        self.secret = self.keys.secret_key()
        self.encryptor = seal.Encryptor(self.ring.context, self.secret)
        self.decryptor = seal.Decryptor(self.ring.context, self.secret)

    def to_bytes(self):
        """The secret key, for the client's own storage: whoever has these bytes can decrypt."""
        return pack("secret key", {"secret": _saved(self.secret)})

    @classmethod
    def from_bytes(cls, data):
        """The client whose ``to_bytes`` these are."""
        record = unpack("secret key", data, ["secret"])["secret"]
        if record is None:
            raise Rejected("there is no secret key in these bytes")
        return cls(load_secret(Ring(), record))

    def evaluation_keys(self):
        """Bytes for the server: one Galois key per rotation, one for conjugation and one for products if used."""
        elements = galois_elements()
        galois = _saved(self.keys.create_galois_keys(elements)) if elements else None
        relin = _saved(self.keys.create_relin_keys()) if PARAMETERS["relinearization"] else None
        return pack("evaluation keys", {"galois": galois, "relin": relin})

    def encrypt(self, /, **inputs):
        """Bytes of the encrypted inputs, given by name; symmetric encryption, seeded: half the size."""
        if sorted(inputs) != sorted(INPUTS):
            raise Rejected(f"inputs are {', '.join(INPUTS)}, not {', '.join(inputs) or 'none'}")
        arrays = {name: check_array(name, inputs[name], shape) for name, shape in INPUTS.items()}
        records = {}
        for name, (function, indices) in packed().items():
            plain = self.ring.encode(function(arrays, *indices), added=True)
            records[name] = _saved(self.encryptor.encrypt_symmetric(self._zero() if plain is None else plain))
        return pack("inputs", records)

    def _zero(self):
        plain = seal.Plaintext()
        self.ring.encoder.encode(0.0, self.ring.scale(0), plain)
        return plain

    def decrypt(self, data):
        """Results from the server's bytes."""
        values, expected, hidden = {}, table_of(RESULTS), masked()
        for name, record in unpack("results", data, list(expected)).items():
            if record is None:
                values[name] = np.zeros(SLOTS, complex)
                continue
            level, products = expected[name]
            plain = seal.Plaintext()
            self.decryptor.decrypt(load_ciphertext(self.ring, record, level, products), plain)
            alone, _ = hidden.get(name, (None, None))
            if alone:
                values[name] = self.ring.decode(alone_doubled(self.ring, plain, level, alone)) / 2
            else:
                values[name] = self.ring.decode(plain)
        return collect(values)


class Server:
    """Holds evaluation keys and encoded weights. There is no way to hand it a secret key."""

    def __init__(self, evaluation_keys):
        self.ring = Ring()
        records = unpack("evaluation keys", evaluation_keys, ["galois", "relin"])
        self.galois_keys = self.relin_keys = self.plain = None
        elements = galois_elements()
        if elements:
            if records["galois"] is None:
                raise Rejected("these evaluation keys hold no Galois keys")
            wanted = {(element - 1) // 2 for element in elements}
            self.galois_keys = load_keys(self.ring, seal.GaloisKeys, records["galois"], PARAMETERS["degree"], wanted)
        if PARAMETERS["relinearization"]:
            if records["relin"] is None:
                raise Rejected("these evaluation keys hold no relinearization key")
            self.relin_keys = load_keys(self.ring, seal.RelinKeys, records["relin"], 1, {0})
        self.prepared = []
        # how sums of products are computed, if not by SEAL, and why not otherwise
        self.sums, self.note = None, ""
        self.counts = Counter()
        self.vanished = 0
        self.seconds = 0.0
        self.workers = None
        self.worker_seconds = []

    def encode(self, /, **weights):
        """Encode weights and scalars, given by name, once for all evaluations."""
        expected = [*WEIGHTS, *SCALARS]
        if sorted(weights) != sorted(expected):
            raise Rejected(f"weights are {', '.join(expected)}, not {', '.join(weights) or 'none'}")
        arrays = {n: check_array(n, weights[n], shape, pattern(n, shape)) for n, shape in WEIGHTS.items()}
        arrays.update({n: check_array(n, weights[n], ())[()] for n in SCALARS})
        self._take(encode(self.ring, arrays))

    def _take(self, plain):
        # workers have the weights of when they were started
        self.stop()
        self.plain = plain
        if not self.prepared:
            self.prepare()

    def prepare(self):
        """Make the masks of one more evaluation before its inputs arrive; without, it makes them itself."""
        self.prepared.append((os.getpid(), masks(self.ring)))

    def _masks(self):
        # used twice, by a forked process too, a mask would cancel in the difference of two results
        while self.prepared:
            process, made = self.prepared.pop()
            if process == os.getpid():
                return made
        return masks(self.ring)

    def weights_to_bytes(self):
        """The encoded weights."""
        records = {n: None if p is None else _saved(p) for n, p in self._encoded().items()}
        return pack("weights", records)

    def weights_from_bytes(self, data):
        """Take encoded weights that ``weights_to_bytes`` of the same program made."""
        template = table_of(PLAINTEXTS)
        ring, plain = self.ring, {}
        records = unpack("weights", data, list(template))
        with _file() as file:
            for name, record in records.items():
                plain[name] = None
                if record is not None:
                    level, products, added = template[name]
                    scale = ring.scale(level, products) if added else ring.factor(level, products)
                    plain[name] = load_plaintext(ring, record, level, scale, file)
                    if plain[name].is_zero():
                        raise Rejected(f"the plaintext {name!r} is zero, which is sent as nothing at all")
        self._take(plain)

    def _encoded(self):
        if self.plain is None:
            raise Rejected("no weights yet: call encode(...) or weights_from_bytes(...) first")
        return self.plain

    def load_inputs(self, data):
        """Ciphertexts of the client, by name."""
        records = unpack("inputs", data, list(packed()))
        if None in records.values():
            raise Rejected("an input is missing")
        with _file() as file:
            return {name: load_ciphertext(self.ring, record, 0, file=file) for name, record in records.items()}

    def compute(self, cipher):
        """Evaluate on loaded ciphertexts, and hide what is no result. Counts, seconds and how many sums vanished
        are kept."""
        return self._run(dict(cipher))

    def _run(self, cipher):
        # evaluate takes its inputs out of the dict, so that each can go after its last use
        ev = Evaluation(self.ring, self.galois_keys, self.relin_keys, self.sums)
        plain = self._encoded()
        start = time.perf_counter()
        fresh = self._masks()
        try:
            result = evaluate(ev, cipher, plain)
        except RuntimeError as problem:
            raise Rejected(f"SEAL can't evaluate these ciphertexts: {problem}") from None
        for name in result:
            result[name] = ev.hide(result[name], fresh.get(name, ()))
        self.seconds = time.perf_counter() - start
        self.counts, self.vanished = ev.counts, ev.vanished
        return result

    def evaluate(self, data):
        """Bytes of encrypted inputs in, bytes of encrypted results out."""
        self._encoded()
        result = self._run(self.load_inputs(data))
        return pack("results", {n: None if c is None else _saved(c) for n, c in result.items()})

    def start(self, workers):
        """Fork so many processes, which share keys and encoded weights, for ``evaluate_many``; they wait until there is
        work, and end by ``stop``, with other weights, or with this process. Started before inputs arrive, they get
        ready meanwhile. Raises WorkerFailed."""
        self._encoded()
        check_workers(workers)
        self.stop()
        self.workers = Workers(self._evaluated, workers, self._rehearse)

    def stop(self):
        """End the workers that ``start`` started."""
        if self.workers is not None:
            self.workers.end()
            self.workers = None

    def evaluate_many(self, uploads, workers=None, done=lambda count: None):
        """``evaluate`` of each, in order: by the workers that were started, else by this process; or by so many
        ``workers`` for this once.

        ``done`` is called with the number of results so far. ``counts``, ``seconds`` and ``vanished`` are then the sums
        over all evaluations, ``worker_seconds`` the CPU time of each worker, transfers included. Raises WorkerFailed.
        """
        self._encoded()
        uploads = list(uploads)
        chosen = self.workers
        if workers is not None:
            check_workers(workers)
            several = min(workers, len(uploads)) > 1
            chosen = Workers(self._evaluated, min(workers, len(uploads))) if several else None
        if chosen is not None:
            try:
                found, self.worker_seconds = chosen.map(uploads, done)
            finally:
                if workers is not None:
                    chosen.end()
                elif not chosen.running:
                    self.workers = None
        else:
            found, start = [], time.process_time()
            for data in uploads:
                found.append(self._evaluated(data))
                done(len(found))
            self.worker_seconds = [time.process_time() - start]
        self.counts, self.vanished, self.seconds = Counter(), 0, 0.0
        for _, (counts, vanished, seconds) in found:
            self.counts += counts
            self.vanished += vanished
            self.seconds += seconds
        return [data for data, _ in found]

    def _rehearse(self):
        """Evaluate random residues. What a forked process shares is copied when it is written to, page by page: the
        first evaluation takes a third more time than later ones."""
        with suppress(Rejected):
            self.evaluate(pack("inputs", dict.fromkeys(packed(), random_ciphertext(self.ring))))

    def _evaluated(self, data):
        return self.evaluate(data), (self.counts, self.vanished, self.seconds)


def relative_error(found, expected):
    """Rms error over the rms of what is expected (or of 1, where that is zero everywhere)."""
    found, expected = np.asarray(found), np.asarray(expected)
    size = math.sqrt(float(np.mean(np.abs(expected) ** 2)))
    return math.sqrt(float(np.mean(np.abs(found - expected) ** 2))) / (size or 1.0)


def random_data(seed):
    """Standard normal inputs, weights scaled down so that products stay near 1, and scalars of 1."""
    rng = np.random.default_rng(seed)
    inputs = {name: rng.standard_normal(shape) for name, shape in INPUTS.items()}
    weights = {name: rng.standard_normal(shape) / math.sqrt(shape[-1]) for name, shape in WEIGHTS.items()}
    for name, shape in WEIGHTS.items():
        if pattern(name, shape) is not None:
            weights[name] = weights[name] * pattern(name, shape)
    return inputs, {**weights, **dict.fromkeys(SCALARS, 1.0)}


def read_data(path, inputs, weights):
    """Put the arrays of an .npz file in the place of random ones; raises Rejected when it is no such file."""
    if Path(path).exists() and not Path(path).is_file():
        raise Rejected(f"{path} is not a regular file")
    with Path(path).open("rb") as stream:
        try:
            found = _read_arrays(stream, {**inputs, **weights})
        except Exception as problem:  # zipfile and numpy fail on damaged files in more ways than they document
            raise Rejected(f"{path} is no .npz file of arrays for this program: {problem}"[:300]) from None
    for name, array in found.items():
        (inputs if name in inputs else weights)[name] = array


def _read_arrays(stream, known):
    found = {}
    with zipfile.ZipFile(stream) as archive:
        for entry in archive.infolist():
            name = entry.filename.removesuffix(".npy")
            if name not in known:
                raise Rejected(f"it holds {name[:60]!r}; the names here are {', '.join(known)}")
            limit = 4096 + 16 * np.size(known[name])
            with archive.open(entry) as member:
                found[name] = _read_array(name, member.read(limit + 1), limit)
    return found


def _read_array(name, data, limit):
    """A .npy file that is as long as its header says."""
    if len(data) > limit:
        raise Rejected(f"{name} is larger than the array that belongs there")
    stream = io.BytesIO(data)
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, kind = read(stream)
    if kind.hasobject:
        raise Rejected(f"{name} holds Python objects")
    if math.prod(shape) * kind.itemsize != len(data) - stream.tell():
        raise Rejected(f"{name} does not have the length its header says")
    return np.load(io.BytesIO(data), allow_pickle=False)


def main(arguments=None):
    """Encrypt, evaluate and decrypt random or given data, and print the error against numpy."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0].replace("%", "%%"))
    parser.add_argument("--data", type=Path, help="an .npz file with the inputs, weights and scalars by name")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random data")
    options = parser.parse_args(arguments)
    try:
        if options.seed < 0:
            raise Rejected("--seed must not be negative")
        inputs, weights = random_data(options.seed)
        if options.data:
            read_data(options.data, inputs, weights)
        client = Client()
        server = Server(client.evaluation_keys())
        server.encode(**weights)
        found = client.decrypt(server.evaluate(client.encrypt(**inputs)))
    except (Rejected, OSError) as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 2
    expected = reference(inputs, weights)
    pairs = found.items() if isinstance(found, dict) else [("result", found)]
    for name, value in pairs:
        wanted = expected[name] if isinstance(found, dict) else expected
        print(f"{name}: shape {value.shape}, relative rms error {relative_error(value, wanted):.1e}")
    print(f"evaluation: {1000 * server.seconds:.1f} ms, {dict(server.counts)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
