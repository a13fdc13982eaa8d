"""Predicted times: the sum over a graph's operations of what a profile says of each.

Times are process CPU time of one thread, with weights encoded before and ciphertexts loaded, after a first run
has fetched the memory. What emitted modules do beside SEAL's operations (a few microseconds of Python for each) is
part of no primitive but encoding's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace

from slotlang.cost.profile import Profile
from slotlang.graph.graph import Graph
from slotlang.meaning.integers import SLOT, evaluate, variables
from slotlang.meaning.program import (
    Arith,
    Conj,
    Const,
    Element,
    FamilyRef,
    Iverson,
    Negate,
    Permuted,
    Program,
    Read,
    ScalarRef,
    Shift,
    SumOver,
    Value,
)

Calls = Counter[tuple[str, int]]
"""How often each primitive is used, with the number of data primes."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """Seconds. ``evaluation``: on the server, without transfer. ``encoding``: of all weights, once.
    ``encryption`` and ``decryption``: of what goes up and down, bytes to and from arrays. ``profile``: the name of
    the measurements used."""

    profile: str
    evaluation: float
    encoding: float
    encryption: float
    decryption: float

    def to_json(self) -> dict[str, object]:
        """Plain data; keys as in ``cost --json``."""
        values = asdict(self)
        return {"profile": values.pop("profile"), **{f"{name}_seconds": s for name, s in values.items()}}


def evaluation_calls(graph: Graph, data_primes: int) -> Calls:
    """Primitives that an evaluation uses. A rescale counts at the primes it starts from."""
    kinds: Counter[tuple[str, int, tuple[int, ...]]] = Counter(
        (node.kind, level, node.signs) for node, level in zip(graph.nodes, graph.levels, strict=True)
    )
    calls: Calls = Counter()
    for (kind, level, signs), nodes in kinds.items():
        for primitive, times, above in _primitives(kind, level, signs):
            calls[primitive, data_primes - level + above] += times * nodes
    return +calls


def _primitives(kind: str, level: int, signs: tuple[int, ...]) -> Iterable[tuple[str, int, int]]:
    """Of a node of a kind: primitive, how often, and primes above those of the result."""
    match kind:
        case "rotate":
            return [("rotate", 1, 0)]
        case "conj":
            return [("conjugate", 1, 0)]
        case "mul_plain":
            return [("multiply_plain", 1, 0)]
        case "mul":
            return [("multiply", 1, 0), ("relinearize", 1, 0)]
        case "add_plain":
            return [("add_plain", 1, 0)]
        case "neg":
            return [("negate", 1, 0)]
        case "rescale":
            return [("rescale", 1, 1)]
        case "sum":
            # the first addition makes a ciphertext, unless a negation has made one; later ones go into it
            first = "negate" if signs[0] < 0 else "add" if signs[1] > 0 else "sub"
            return [(first, 1, 0), ("add_inplace", len(signs) - (1 if first == "negate" else 2), 0)]
        case "plain":
            # added to a ciphertext of zero: an input, scaled down
            scaled = [("mod_switch", 1, 1), ("rescale", 1, 1)] if level else [("mod_switch", 1, 0)]
            return [*scaled, ("add_plain", 1, 0)]
        case _:
            return []


def encoding_calls(graph: Graph, data_primes: int) -> Calls:
    """Primitives that encoding every plaintext of the graph uses; zeros, which are not encoded, are left out."""
    kinds = ("mul_plain", "add_plain", "plain")
    used = {(n.plain, level) for n, level in zip(graph.nodes, graph.levels, strict=True) if n.kind in kinds}
    program = graph.schedule.program
    calls: Calls = Counter()
    for (name, level), times in Counter((member[0], level) for member, level in used if member).items():
        family = graph.schedule.plains[name]
        shape = VectorShape() if family.body is None else vector_shape(program, family.body)
        if family.masks:
            shape = replace(shape, varies=True)
        for call, once in shape.calls(data_primes - level).items():
            calls[call] += once * times
    return calls


def encryption_calls(graph: Graph, data_primes: int) -> Calls:
    """Primitives of the client before it sends: pack, encode, encrypt, save."""
    program = graph.schedule.program
    calls: Calls = Counter()
    for node in graph.of_kind("cipher"):
        assert node.plain is not None, "an input has a name"
        calls += vector_shape(program, program.families[node.plain[0]].body).calls(data_primes)
        calls["save_input", data_primes] += 1
    return calls


def decryption_calls(graph: Graph, data_primes: int) -> Calls:
    """Primitives of the client when it has received: load, decrypt, decode."""
    calls: Calls = Counter()
    for level in {o.member: graph.levels[o.node] for o in graph.outputs}.values():
        calls.update((name, data_primes - level) for name in ("load_ciphertext", "decrypt", "decode"))
    return calls


def total(calls: Calls, degree: int, profile: Profile) -> float:
    """Seconds of all calls."""
    return sum(times * profile.seconds(name, degree, primes) for (name, primes), times in calls.items())


def predict(graph: Graph, degree: int, data_primes: int, profile: Profile) -> Prediction:
    """Times of a graph at a degree and a number of primes of fresh ciphertexts (the key prime left out)."""
    parts = (evaluation_calls, encoding_calls, encryption_calls, decryption_calls)
    return Prediction(profile.name, *(total(part(graph, data_primes), degree, profile) for part in parts))


@dataclass(frozen=True, slots=True)
class VectorShape:
    """What computing and encoding a vector takes: tensors read, whether it is complex, and whether slots differ."""

    reads: int = 0
    imaginary: bool = False
    varies: bool = False

    def __or__(self, other: VectorShape) -> VectorShape:
        return VectorShape(self.reads + other.reads, self.imaginary or other.imaginary, self.varies or other.varies)

    def calls(self, primes: int) -> Calls:
        """Primitives for one vector."""
        how = "constant" if not self.varies else "complex" if self.imaginary else "real"
        return Counter({(f"encode_{how}", primes): 1, ("gather", primes): self.reads if self.varies else 0})


def is_constant(program: Program, value: Value | None) -> bool:
    """Whether a plaintext (1 when None) holds one real number in all slots, whatever the weights."""
    shape = VectorShape() if value is None else vector_shape(program, value)
    return not shape.imaginary and not shape.varies


def vector_shape(program: Program, value: Value) -> VectorShape:
    """What computing and encoding the vector of a value takes."""
    slotwise = {SLOT, *(name for name, digit in program.digits.items() if digit.size > 1)}
    match value:
        case Const(_, im):
            return VectorShape(imaginary=bool(im))
        case Read(_, indices) | Element(_, indices):
            return VectorShape(reads=1, varies=any(slotwise & variables(i) for i in indices))
        case Iverson():
            return VectorShape(varies=True)
        case ScalarRef():
            return VectorShape()
        case FamilyRef(name):
            return vector_shape(program, program.families[name].body)
        case Arith(_, left, right):
            return vector_shape(program, left) | vector_shape(program, right)
        case Negate(inner) | Conj(inner) | Shift(inner) | Permuted(inner):
            return vector_shape(program, inner)
        case SumOver(extent=extent, body=body):
            term = vector_shape(program, body)
            return VectorShape(term.reads * int(evaluate(extent, program.sizes, {})), term.imaginary, term.varies)
