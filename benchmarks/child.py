"""A scheme in a process of its own, which serves an encrypted request each time it is told to.

The process holds client and server; the parent tells the processes of one shape in turn, so that what else the machine
does falls on all alike, and peak memory is that of one scheme. Imports are few for the same reason: modules are
lowered elsewhere, and come as text.
"""

from __future__ import annotations

import os
import pickle
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # idle BLAS threads burn CPU time that is not the evaluation's

import numpy as np

from benchmarks.sides import sides
from slotlang.run.runner import load_module
from slotlang_runtime.labels import module_label
from slotlang_runtime.wire import pack

SECURITY = 128
SHORT = 0.05
"""Seconds: evaluations that take less are repeated within a turn until they have taken so long together."""
ROUNDS = 7
"""Turns of a scheme at most."""
ENOUGH = 15.0
"""Seconds of evaluations beyond which a scheme gets no further turn."""
FEW = 0.5
"""Seconds of reading and writing beyond which later turns leave it out."""
TENSEAL_DEGREE, TENSEAL_PRIMES, TENSEAL_SCALE = 8192, [60, 40, 40, 60], 40


@dataclass(frozen=True)
class Work:
    """What a process measures: an emitted module, or TenSEAL's own product where ``text`` is empty. ``a``, ``b``:
    weights; ``key_switches`` of an evaluation, None where nobody knows; ``schedule`` and ``parameters`` in words."""

    shape: tuple[int, int, int]
    scheme: str
    text: str
    a: np.ndarray
    b: np.ndarray
    schedule: str
    parameters: str
    key_switches: int | None = None
    keys: int = 0


@dataclass
class Turn:
    """Seconds of CPU for one group of tokens: each of some evaluations, and, apart from them, making the masks that are
    made before inputs arrive, reading the client's bytes and writing the results', None where that was left out."""

    evaluations: list[float]
    masks: float
    load: float | None
    save: float | None


@dataclass(frozen=True)
class End:
    """What is known of a scheme when all turns are over. ``held``: tokens of one evaluation; ``error``: relative rms
    error against numpy; ``memory_bytes``: the largest size of the process before it decrypts."""

    held: int
    key_bytes: int
    upload_bytes: int
    download_bytes: int
    ciphertexts_up: int
    ciphertexts_down: int
    error: float
    memory_bytes: int
    modulus_bits: int


@dataclass(frozen=True)
class Row:
    """A scheme on a shape (d, r, tokens). Seconds of CPU, counts and bytes are of all tokens together: where an
    evaluation holds fewer, those of one evaluation times their number. ``seconds``: the median evaluation, without
    masks, reading and writing; ``spread``: half of what lies between the quartiles, relative to it; ``error``: relative
    rms error against numpy; ``memory_bytes``: the peak of a process that holds client and server, at one evaluation at
    a time."""

    shape: tuple[int, int, int]
    scheme: str
    seconds: float
    key_switches: int | None
    keys: int
    key_bytes: int
    upload_bytes: int
    download_bytes: int
    error: float
    ciphertexts_up: int = 0
    ciphertexts_down: int = 0
    held: int = 1
    spread: float = 0.0
    evaluations: int = 0
    mask_seconds: float = 0.0
    load_seconds: float = 0.0
    save_seconds: float = 0.0
    memory_bytes: int = 0
    security: int = SECURITY
    modulus_bits: int = 0
    parameters: str = ""
    schedule: str = ""

    @property
    def per_token(self) -> float:
        """Seconds of evaluation."""
        return self.seconds / self.shape[2]

    @property
    def whole_per_token(self) -> float:
        """Seconds with masks, reading and writing."""
        return (self.seconds + self.mask_seconds + self.load_seconds + self.save_seconds) / self.shape[2]


def row(work: Work, turns: list[Turn], end: End) -> Row:
    """Everything that was measured of a scheme."""
    tokens = work.shape[2]
    groups = -(-tokens // end.held)
    times = [seconds for turn in turns for seconds in turn.evaluations]
    median = statistics.median(times)
    low, _, high = statistics.quantiles(times, n=4, method="inclusive") if len(times) > 1 else (median,) * 3
    return Row(
        work.shape,
        work.scheme,
        groups * median,
        None if work.key_switches is None else groups * work.key_switches,
        work.keys,
        end.key_bytes,
        groups * end.upload_bytes,
        groups * end.download_bytes,
        end.error,
        groups * end.ciphertexts_up,
        groups * end.ciphertexts_down,
        end.held,
        (high - low) / 2 / median,
        len(times),
        groups * statistics.median(turn.masks for turn in turns),
        groups * statistics.median(turn.load for turn in turns if turn.load is not None),
        groups * statistics.median(turn.save for turn in turns if turn.save is not None),
        end.memory_bytes,
        modulus_bits=end.modulus_bits,
        parameters=work.parameters,
        schedule=work.schedule,
    )


def inputs_of(d: int, tokens: int) -> np.ndarray:
    """``x[d, tokens]``, standard normal; the first tokens are the same however many are asked for."""
    return np.random.default_rng(1).standard_normal((tokens, d)).T


def memory(kind: str) -> int:
    """Bytes of this process, now (VmRSS) or at most (VmHWM). What ``getrusage`` says of a process may be what its
    parent took: Linux keeps it when a process starts another program."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(kind))


def cpu(action: Any) -> tuple[float, Any]:
    """Seconds of CPU, and the result."""
    begun = time.process_time()
    result = action()
    return time.process_time() - begun, result


def secure(degree: int, primes: Sequence[int]) -> int:
    """Bits of modulus, which SEAL's table allows for 128-bit security at this degree."""
    import tenseal.sealapi as seal

    most = seal.CoeffModulus.MaxBitCount(degree, seal.SEC_LEVEL_TYPE.TC128)
    assert sum(primes) <= most, f"{sum(primes)} bits at degree {degree}, and {SECURITY}-bit security allows {most}"
    return sum(primes)


def relative_error(found: np.ndarray, wanted: np.ndarray) -> float:
    """Rms error over the rms of what is wanted."""
    return float(np.sqrt(np.mean(np.abs(found - wanted) ** 2) / np.mean(np.abs(wanted) ** 2)))


class Emitted:
    """The client and the server of an emitted module, on the first tokens that it holds."""

    def __init__(self, work: Work) -> None:
        self.module = module = load_module(work.text)
        ((self.name, shape),) = module.inputs.items()
        self.held = int(np.prod(shape)) // work.shape[0]
        self.x, self.a, self.b = inputs_of(work.shape[0], self.held).reshape(shape), work.a, work.b
        weights = {"A": work.a, "B": work.b, **dict.fromkeys(module.scalars, 1.0)}
        self.client, self.key_bytes, self.keys, self.server = sides(module, weights)
        self.sent = self.client.encrypt(**{self.name: self.x})
        self.cipher = self.server.load(self.sent)
        self.result = self._compute()  # fetches memory
        self.transfers = 0.0

    def turn(self) -> Turn:
        """One request, with its evaluation repeated where that is short."""
        self.result = None  # an evaluation takes the memory of results that nobody holds
        transfers = self.transfers < FEW
        load = save = None
        if transfers:
            self.answer = self.cipher = None
            load, self.cipher = cpu(lambda: self.server.load(self.sent))
        times: list[float] = []
        while not times or sum(times) < SHORT:
            self.result = None
            masks, _ = cpu(self.server.prepare)
            seconds, self.result = cpu(self._compute)
            times.append(seconds)
        if transfers:
            save, self.answer = cpu(self._save)
            self.transfers += load + save
        return Turn(times, masks, load, save)

    def _compute(self) -> Any:
        return self.server.compute(self.cipher, self.keys)[0].results

    def _save(self) -> bytes:
        """What ``Server.evaluate`` does besides reading and computing."""
        return pack("results", module_label(self.module), self.server.engine.save(self.result))

    def end(self) -> End:
        """Decrypt the last answer."""
        at_most, parameters = memory("VmHWM"), self.module.parameters
        found, wanted = self.client.decrypt(self.answer), self.a @ (self.b @ self.x)
        return End(
            self.held,
            self.key_bytes,
            len(self.sent),
            len(self.answer),
            len(self.module.packed()),
            len(self.result),
            relative_error(found, wanted),
            at_most,
            secure(parameters.degree, parameters.prime_bits),
        )


class TenSeal:
    """TenSEAL's ``CKKSVector.matmul`` twice, the way a user would write it: one token."""

    def __init__(self, work: Work) -> None:
        import tenseal as ts

        self.ts, self.a, self.b = ts, work.a, work.b
        self.context = ts.context(ts.SCHEME_TYPE.CKKS, TENSEAL_DEGREE, coeff_mod_bit_sizes=TENSEAL_PRIMES, n_threads=1)
        self.context.global_scale = 2.0**TENSEAL_SCALE
        self.context.generate_galois_keys()
        self.x = inputs_of(work.shape[0], 1)[:, 0]
        self.sent = ts.ckks_vector(self.context, self.x.tolist()).serialize()
        self.down, self.up = work.b.T.tolist(), work.a.T.tolist()

    def turn(self) -> Turn:
        """One product."""
        load, vector = cpu(lambda: self.ts.ckks_vector_from(self.context, self.sent))
        seconds, self.result = cpu(lambda: vector.matmul(self.down).matmul(self.up))
        save, self.answer = cpu(self.result.serialize)
        return Turn([seconds], 0.0, load, save)

    def end(self) -> End:
        """Decrypt the last answer."""
        at_most = memory("VmHWM")
        keys = self.context.serialize(save_public_key=False, save_secret_key=False, save_galois_keys=True)
        error = relative_error(np.array(self.result.decrypt()), self.a @ (self.b @ self.x))
        sizes = len(keys), len(self.sent), len(self.answer)
        return End(1, *sizes, 1, 1, error, at_most, secure(TENSEAL_DEGREE, TENSEAL_PRIMES))


def subject(work: Work) -> Emitted | TenSeal:
    """What is measured, ready for its first turn."""
    return Emitted(work) if work.text else TenSeal(work)


def wants_more(turns: list[Turn]) -> bool:
    """Whether a scheme gets another turn."""
    used = sum(seconds for turn in turns for seconds in turn.evaluations)
    return not turns or (len(turns) < ROUNDS and used + used / len(turns) <= ENOUGH)


class Ended(Exception):
    """A scheme's process ended by itself; the message has its last words."""


@dataclass
class Child:
    """The parent's end of such a process."""

    work: Work
    turns: list[Turn] = field(default_factory=list)

    def __post_init__(self) -> None:
        command = [sys.executable, "-m", "benchmarks.child"]
        root = Path(__file__).resolve().parent.parent
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, cwd=root, stdin=pipe, stdout=pipe, stderr=pipe)
        self._tell(self.work)

    def ready(self) -> None:
        """Wait until it may be told to take its first turn."""
        self._hear()

    def turn(self) -> None:
        """Have it take a turn."""
        self._tell("turn")
        self.turns.append(self._hear())

    def finish(self) -> Row:
        """Everything measured; the process has ended then."""
        self._tell("end")
        found = row(self.work, self.turns, self._hear())
        self.close()
        return found

    def close(self) -> None:
        """End the process, whatever it is at."""
        self.process.kill()
        self.process.communicate()

    def _tell(self, what: object) -> None:
        stream = self.process.stdin
        assert stream is not None
        try:
            pickle.dump(what, stream)
            stream.flush()
        except BrokenPipeError:
            raise self._ended() from None

    def _hear(self) -> Any:
        stream = self.process.stdout
        assert stream is not None
        try:
            return pickle.load(stream)
        except EOFError:
            raise self._ended() from None

    def _ended(self) -> Ended:
        assert self.process.stderr is not None
        said = self.process.stderr.read().decode(errors="replace").strip().splitlines()
        status = self.process.wait()
        return Ended(said[-1] if said else f"its process ended with status {status}")


def serve(orders: BinaryIO, answers: BinaryIO) -> None:
    """Take turns until the orders end."""

    def answer(what: object) -> None:
        pickle.dump(what, answers)
        answers.flush()

    measured = subject(pickle.load(orders))
    answer("ready")
    while pickle.load(orders) == "turn":
        answer(measured.turn())
    answer(measured.end())


if __name__ == "__main__":
    # pickled classes must be those of the module that the parent imported
    from benchmarks import child

    kept = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print is no answer
    child.serve(sys.stdin.buffer, kept)
