# Client, Server and main: the end of every emitted module. The names imported here stand above them there.
# ruff: noqa: F403, F405

from slotlang.lowering.runtime import *

# roles start here
def places(table):
    """Every member of a table's families: ``{(family, i, j): (level, products)}``."""
    return {
        (name, *index): (level, products)
        for name, (shape, level, products) in table.items()
        for index in np.ndindex(shape)
    }


def packed():
    """Every ciphertext the client sends, with the function that packs it and its indices."""
    return {(name, *i): (pack_one, i) for name, (pack_one, shape) in PACKING.items() for i in np.ndindex(shape)}


class Client:
    """Owns the secret key: makes the evaluation keys, encrypts inputs, decrypts results."""

    def __init__(self):
        self.ring = Ring()
        self.keys = seal.KeyGenerator(self.ring.context)
        secret = self.keys.secret_key()
        self.encryptor = seal.Encryptor(self.ring.context, secret)
        self.decryptor = seal.Decryptor(self.ring.context, secret)

    def evaluation_keys(self):
        """Bytes for the server: one Galois key per rotation, one for conjugation and one for products if used."""
        degree = PARAMETERS["degree"]
        # Galois elements, as Python ints: SEAL takes a list of small numbers for elements, one negative for steps
        elements = [pow(3, step, 2 * degree) for step in PARAMETERS["rotations"]]
        if PARAMETERS["conjugation"]:
            elements.append(2 * degree - 1)
        galois = _saved(self.keys.create_galois_keys(elements)) if elements else None
        relin = _saved(self.keys.create_relin_keys()) if PARAMETERS["relinearization"] else None
        return pack("evaluation keys", {"galois": galois, "relin": relin})

    def encrypt(self, **inputs):
        """Bytes of the encrypted inputs, given by name; symmetric encryption, seeded: half the size."""
        if sorted(inputs) != sorted(INPUTS):
            raise Rejected(f"inputs are {', '.join(INPUTS)}, not {', '.join(inputs) or 'none'}")
        arrays = {name: check_array(name, inputs[name], shape) for name, shape in INPUTS.items()}
        records = {}
        for name, (pack_one, indices) in packed().items():
            plain = self.ring.encode(pack_one(arrays, *indices)) or self._zero()
            records[name] = _saved(self.encryptor.encrypt_symmetric(plain))
        return pack("inputs", records)

    def _zero(self):
        plain = seal.Plaintext()
        self.ring.encoder.encode([0.0], self.ring.scale(0), plain)
        return plain

    def decrypt(self, data):
        """Results from the server's bytes."""
        values, expected = {}, places(RESULTS)
        for name, record in unpack("results", data, list(expected)).items():
            if record is None:
                values[name] = np.zeros(SLOTS, complex)
                continue
            level, products = expected[name]
            plain = seal.Plaintext()
            self.decryptor.decrypt(load_ciphertext(self.ring, record, level, products), plain)
            values[name] = self.ring.decode(plain)
        return collect(values)


def load_ciphertext(ring, data, level, products=0):
    """A ciphertext at the level and scale this program has there; Rejected otherwise."""
    out = _loaded(seal.Ciphertext, data, ring.context)
    if out.size() != 2 or out.parms_id() != ring.levels[level] or not out.is_ntt_form():
        raise Rejected("a ciphertext is not at the level this program has there")
    if out.scale != ring.scale(level, products):
        raise Rejected(f"a ciphertext has scale {out.scale}, expected {ring.scale(level, products)}")
    return out


class Server:
    """Holds evaluation keys and encoded weights. There is no way to hand it a secret key."""

    def __init__(self, evaluation_keys):
        self.ring = Ring()
        records = unpack("evaluation keys", evaluation_keys, ["galois", "relin"])
        self.galois_keys = self.relin_keys = self.plain = None
        degree = PARAMETERS["degree"]
        elements = [pow(3, step, 2 * degree) for step in PARAMETERS["rotations"]]
        elements += [2 * degree - 1] if PARAMETERS["conjugation"] else []
        if elements:
            if records["galois"] is None:
                raise Rejected("these evaluation keys hold no Galois keys")
            self.galois_keys = _loaded(seal.GaloisKeys, records["galois"], self.ring.context)
            if not all(self.galois_keys.has_key(e) for e in elements):
                raise Rejected("a Galois key is missing from these evaluation keys")
        if PARAMETERS["relinearization"]:
            if records["relin"] is None:
                raise Rejected("these evaluation keys hold no relinearization key")
            self.relin_keys = _loaded(seal.RelinKeys, records["relin"], self.ring.context)
        self.counts = Counter()
        self.seconds = 0.0

    def encode(self, **weights):
        """Encode weights and scalars, given by name, once for all evaluations."""
        expected = [*WEIGHTS, *SCALARS]
        if sorted(weights) != sorted(expected):
            raise Rejected(f"weights are {', '.join(expected)}, not {', '.join(weights) or 'none'}")
        arrays = {n: check_array(n, weights[n], shape, pattern(n, shape)) for n, shape in WEIGHTS.items()}
        arrays.update({n: float(check_array(n, weights[n], ())) for n in SCALARS})
        self.plain = encode(self.ring, arrays)

    def weights_to_bytes(self):
        """The encoded weights."""
        records = {n: None if p is None else _saved(p) for n, p in self._encoded().items()}
        return pack("weights", records)

    def weights_from_bytes(self, data):
        """Take encoded weights that ``weights_to_bytes`` of the same program made."""
        template = places(PLAINTEXTS)
        plain = {}
        for name, record in unpack("weights", data, list(template)).items():
            plain[name] = None
            if record is not None:
                level, products = template[name]
                plain[name] = _loaded(seal.Plaintext, record, self.ring.context)
                same = plain[name].parms_id() == self.ring.levels[level]
                if not same or plain[name].scale != self.ring.scale(level, products):
                    raise Rejected(f"the plaintext {name!r} is not at the level or scale this program has there")
        self.plain = plain

    def _encoded(self):
        if self.plain is None:
            raise Rejected("no weights yet: call encode(...) or weights_from_bytes(...) first")
        return self.plain

    def load_inputs(self, data):
        """Ciphertexts of the client, by name."""
        records = unpack("inputs", data, list(packed()))
        if None in records.values():
            raise Rejected("an input is missing")
        return {name: load_ciphertext(self.ring, record, 0) for name, record in records.items()}

    def compute(self, cipher):
        """Evaluate on loaded ciphertexts; counts and seconds of the evaluation are kept."""
        ev = Evaluation(self.ring, self.galois_keys, self.relin_keys)
        plain = self._encoded()
        start = time.perf_counter()
        result = evaluate(ev, cipher, plain)
        self.seconds = time.perf_counter() - start
        self.counts = ev.counts
        return result

    def evaluate(self, data):
        """Bytes of encrypted inputs in, bytes of encrypted results out."""
        result = self.compute(self.load_inputs(data))
        return pack("results", {n: None if c is None else _saved(c) for n, c in result.items()})


def relative_error(found, expected):
    """Rms error over the rms of what is expected (or of 1, where that is zero everywhere)."""
    found, expected = np.asarray(found), np.asarray(expected)
    size = math.sqrt(float(np.mean(np.abs(expected) ** 2)))
    return math.sqrt(float(np.mean(np.abs(found - expected) ** 2))) / (size or 1.0)


def main(arguments=None):
    """Encrypt, evaluate and decrypt random or given data, and print the error against numpy."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, help="an .npz file with the inputs, weights and scalars by name")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random data")
    options = parser.parse_args(arguments)
    rng = np.random.default_rng(options.seed)
    try:
        inputs = {n: rng.standard_normal(shape) for n, shape in INPUTS.items()}
        weights = {}
        for name, shape in WEIGHTS.items():
            weights[name] = rng.standard_normal(shape) / math.sqrt(shape[-1])
            if pattern(name, shape) is not None:
                weights[name] = weights[name] * pattern(name, shape)
        weights.update({n: 1.0 for n in SCALARS})
        if options.data:
            with np.load(options.data, allow_pickle=False) as data:
                for group in (inputs, weights):
                    group.update({n: data[n] for n in group if n in data})
        client = Client()
        server = Server(client.evaluation_keys())
        server.encode(**weights)
        found = client.decrypt(server.evaluate(client.encrypt(**inputs)))
    except (Rejected, OSError, ValueError) as problem:
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
