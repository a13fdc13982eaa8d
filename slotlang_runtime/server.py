"""The server's side: encoded weights, and each client's keys beside its inputs.

There is no way to hand a server a secret key.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from slotlang_runtime.engine import Ciphertexts, Engine, Evaluated, Masks, Team
from slotlang_runtime.equalized import check_equalized, digests
from slotlang_runtime.errors import BAD_RANKS, BYTES_OF_ANOTHER, DAMAGED_BYTES, EQUALIZED_OTHERWISE, Rejected
from slotlang_runtime.exchange import Wire, answer_to_seal, check_wire, upload_from_seal
from slotlang_runtime.gates import Gates
from slotlang_runtime.keys import EvaluationKeys
from slotlang_runtime.labels import check_label, check_limits, inputs_label, module_label
from slotlang_runtime.module import Module
from slotlang_runtime.weights import Weights
from slotlang_runtime.wire import Box, pack, unpack


@dataclass(frozen=True, slots=True)
class Answer:
    """One evaluation: the bytes of the encrypted results, the operations executed, how many sums cancelled, and the
    seconds that evaluating took, masks added, without reading and writing of bytes. ``reading``, ``masking`` and
    ``saving``: the seconds of the other parts of a request; masks may have been made before it arrived."""

    data: bytes = field(repr=False)
    counts: Counter[str]
    vanished: int
    seconds: float
    reading: float = 0.0
    masking: float = 0.0
    saving: float = 0.0


class Server:
    """Evaluates one program for any number of clients, each with its own keys. Threads may call it at the same time.
    ``wire``: seal, for clients that exchange objects of SEAL. Such inputs do not say under which limits they were
    encrypted, which the client has to hold. ``gates``: the same weights in the clear, for evaluations with some of the
    ranks."""

    def __init__(self, weights: Weights, *, wire: Wire = "slotlang", gates: Gates | None = None) -> None:
        self.weights, self.wire, self.gates = weights, wire, gates
        if gates is not None and gates.module.identity != weights.module.identity:
            raise Rejected("these gates are of another program than the weights", BYTES_OF_ANOTHER)
        if gates is not None and digests(gates.exponents) != weights.equalized:
            raise Rejected("these gates are equalized otherwise than the weights", EQUALIZED_OTHERWISE)
        check_wire(wire, weights.module)
        self.module = weights.module
        self.engine = weights.engine
        self._prepared: list[tuple[int, Masks, float]] = []
        self._lock = threading.Lock()
        self.prepare()

    @property
    def note(self) -> str:
        """Why another kernel than the module's is used; mostly empty."""
        return self.weights.note

    def prepare(self) -> None:
        """Make the masks of one more evaluation before its inputs arrive. An evaluation without prepared masks makes
        its own."""
        made = os.getpid(), *self._made(self.engine)
        with self._lock:
            self._prepared.append(made)

    @staticmethod
    def _made(engine: Engine) -> tuple[Masks, float]:
        """Masks of one evaluation, and the seconds that making them takes."""
        start = time.perf_counter()
        return engine.masks(), time.perf_counter() - start

    def _masks(self) -> tuple[Masks, float]:
        # used twice, by a forked process too, a mask would cancel in the difference of two results
        while True:
            with self._lock:
                process, masks, seconds = self._prepared.pop() if self._prepared else (0, {}, 0.0)
            if process == os.getpid():
                return masks, seconds
            if process == 0:
                return self._made(self.engine)

    def load(self, upload: bytes) -> Ciphertexts:
        """A client's inputs, checked. Raises Rejected unless they are for this program's parameters and packing."""
        return self._load(self._opened(upload))

    def _opened(self, upload: bytes) -> Box:
        return unpack("inputs", upload_from_seal(self.module, upload) if self.wire == "seal" else upload)

    def _load(self, box: Box, engine: Engine | None = None) -> Ciphertexts:
        check_label(box, inputs_label(self.module), self.module)
        check_limits(box, self.module)
        check_equalized(self.module, box.label.get("equalized"), self.weights.equalized)
        records = box.exactly(str(number) for number in range(len(self.module.packed())))
        if None in records:
            raise Rejected("an input is missing", DAMAGED_BYTES)
        return (engine or self.engine).load(record for record in records if record is not None)

    def compute(self, inputs: Ciphertexts, keys: EvaluationKeys, team: Team | None = None) -> tuple[Evaluated, float]:
        """Evaluate on loaded inputs, and hide what is not part of the results; with the seconds this took. Raises
        Rejected."""
        _check_keys(keys, self.module)
        # an evaluation takes its inputs out of the dict, so that each can go after its last use
        evaluated, seconds, _ = self._compute(dict(inputs), keys, team)
        return evaluated, seconds

    def weights_for(self, ranks: Mapping[str, Sequence[int]] | None) -> Weights:
        """The weights with these ranks alone: by result, those that are on, ascending; all of results that are not
        named. They are encoded now where the gates do not hold them. Raises Rejected."""
        if not ranks:
            return self.weights
        if self.gates is None:
            raise Rejected("this server has no gates", BAD_RANKS, "make it with gates=Gates(module, ...)")
        gate = self.gates.gate(ranks)
        return self.gates.weights(gate) if gate else self.weights

    def evaluate(
        self,
        upload: bytes,
        keys: EvaluationKeys,
        team: Team | None = None,
        *,
        ranks: Mapping[str, Sequence[int]] | None = None,
    ) -> Answer:
        """The encrypted results of a client's encrypted inputs. ``team``: one that the engine of the weights made, and
        whose helpers share the work. ``ranks``: as ``weights_for`` takes them. Raises Rejected."""
        _check_keys(keys, self.module)
        return self.evaluate_with(self.weights_for(ranks), upload, keys, team)

    def evaluate_with(self, weights: Weights, upload: bytes, keys: EvaluationKeys, team: Team | None = None) -> Answer:
        """``evaluate`` with what ``weights_for`` gave, so that many evaluations ask for it once. ``team``: one that the
        engine of these weights made. Raises Rejected."""
        _check_keys(keys, self.module)
        start = time.perf_counter()
        box = self._opened(upload)
        inputs = self._load(box, weights.engine)
        reading = time.perf_counter() - start
        evaluated, seconds, masking = self._compute(inputs, keys, team, weights)
        start = time.perf_counter()
        # what the client needs to know of the errors: by how much weights make them larger, whether some were lost,
        # and which upload it is
        told = {
            "grown": dict(weights.grown),
            "lost": weights.lost,
            "upload": str(box.label.get("upload", ""))[:64],
        }
        label = {**module_label(self.module), **{key: value for key, value in told.items() if value}}
        data = pack("results", label, weights.engine.save(evaluated.results))
        if self.wire == "seal":
            data = answer_to_seal(self.module, data)
        saving = time.perf_counter() - start
        return Answer(data, evaluated.counts, evaluated.vanished, seconds, reading, masking, saving)

    def _compute(
        self, inputs: Ciphertexts, keys: EvaluationKeys, team: Team | None = None, weights: Weights | None = None
    ) -> tuple[Evaluated, float, float]:
        """What was evaluated, and the seconds of evaluating and of making the masks."""
        engine = self.engine if weights is None else weights.engine
        # prepared masks are as the server's own engine has them
        masks, masking = self._masks() if engine is self.engine else self._made(engine)
        start = time.perf_counter()
        evaluated = engine.run(inputs, keys, masks, team)
        return evaluated, time.perf_counter() - start, masking

    def evaluate_many(
        self,
        uploads: Iterable[bytes],
        keys: EvaluationKeys,
        done: Callable[[int], None] = lambda count: None,
        *,
        ranks: Mapping[str, Sequence[int]] | None = None,
    ) -> list[Answer]:
        """``evaluate`` of each upload, in order, all with the same ranks; ``done`` is called with the number of answers
        so far. ``Pool`` does the same in several threads. Raises Rejected."""
        answers, weights = list[Answer](), self.weights_for(ranks)
        for upload in uploads:
            answers.append(self.evaluate_with(weights, upload, keys))
            done(len(answers))
        return answers


def _check_keys(keys: EvaluationKeys, module: Module) -> None:
    """Raise Rejected for what are not keys of a program."""
    if not isinstance(keys, EvaluationKeys):
        raise Rejected(
            f"keys are {type(keys).__name__}, not EvaluationKeys",
            BYTES_OF_ANOTHER,
            "EvaluationKeys.from_bytes reads the bytes of a client",
        )
    keys.check(module)
