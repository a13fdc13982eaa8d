"""Predicted times: the sum over a graph's operations of what a profile says of each.

Times are process CPU time of one thread, with weights encoded before, masks made and ciphertexts loaded, after a first
run has fetched the memory. What emitted modules do beside SEAL's operations (a few microseconds of Python for each) is
part of the primitives that encode, send and read, and of no other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass

from slotlang.cost.hidden import Hidden
from slotlang.cost.key_switching import key_switching
from slotlang.cost.primitives import FAR_MEGABYTE, FAR_MEGABYTES, KEY_SWITCH, NEAR_MEGABYTES, SLOT_BLOCK
from slotlang.cost.profile import Profile
from slotlang.cost.vectors import (
    VectorShape,
    form_work,
    forms_of,
    index_shape,
    plain_shape,
    uniform_members,
    vector_shape,
)
from slotlang.graph.graph import Graph
from slotlang.graph.kinds import KINDS
from slotlang.meaning.value import TensorForm
from slotlang_runtime.parameters import LEAST_DEGREE, SUMS_TOGETHER

Calls = Counter[tuple[str, int]]
"""How often each primitive is used, with the number of data primes (of slots, for ``BY_SLOTS`` of the profile)."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """Seconds. ``evaluation``: on the server, of what was read. ``encoding``: of all weights, once. ``masking``: making
    the random masks of one evaluation. ``encryption`` and ``decryption``: of what goes up and down, arrays to and from
    bytes. ``reading`` and ``saving``: the server's, of the bytes of inputs and of results. ``profile``: the name of the
    measurements used."""

    profile: str
    evaluation: float
    encoding: float
    masking: float
    encryption: float
    decryption: float
    reading: float
    saving: float

    @property
    def server(self) -> float:
        """The server's part of a request: from its bytes to those of the answer."""
        return self.reading + self.evaluation + self.masking + self.saving

    @property
    def request(self) -> float:
        """A whole request, without the time that bytes take on their way."""
        return self.encryption + self.server + self.decryption

    def to_json(self) -> dict[str, object]:
        """Plain data; keys as in ``cost --json``."""
        values = asdict(self)
        profile = values.pop("profile")
        values |= {"server": self.server, "request": self.request}
        return {"profile": profile, **{f"{name}_seconds": s for name, s in values.items()}}


def evaluation_calls(graph: Graph, data_primes: int, *, compiled: bool = True, parts: bool = False) -> Calls:
    """Primitives that an evaluation uses; ``compiled``, with sums of products in one pass; ``parts``, with key switches
    in their parts. A rescale counts at the primes it starts from."""
    calls: Calls = Counter()
    if parts:
        switching = key_switching(graph)
        by_part = (switching.decompositions, switching.key_products, switching.mod_downs)
        for part, by_level in zip(KEY_SWITCH, by_part, strict=True):
            calls.update({(part, data_primes - level): times for level, times in by_level.items()})
    if compiled:
        for number, products in graph.dots.items():
            calls["dot", data_primes - graph.levels[number]] += 1
            calls["dot_product", data_primes - graph.levels[number]] += products
        calls.update({("dot_operand", data_primes - level): reads for level, reads in _operands(graph).items()})
    alone = (
        number
        for number, node in enumerate(graph.nodes)
        if not (compiled and (number in graph.in_dots or number in graph.dots))
        and not (parts and KINDS[node.kind].key is not None)
    )
    return calls + _calls_of(graph, alone, data_primes)


def far_seconds(calls: Calls, degree: int, profile: Profile) -> float:
    """What an evaluation by compiled kernels takes more, as no cache holds all weights until the next one."""
    words = degree * sum(primes * times for (name, primes), times in calls.items() if name == "dot_product")
    megabytes = 8 * words / (1 << 20)
    far = (megabytes - NEAR_MEGABYTES) / (FAR_MEGABYTES - NEAR_MEGABYTES)
    if not profile.kernels or far <= 0:
        return 0.0
    return megabytes * min(far, 1.0) * profile.seconds(FAR_MEGABYTE, degree, 1)


def _operands(graph: Graph) -> Counter[int]:
    """How many ciphertexts sums of products read, by level: those of sums in a row of the same ciphertexts once for
    ``SUMS_TOGETHER`` of them."""
    reads: Counter[int] = Counter()
    before: list[int] = []
    waiting: set[int] = set()
    for number, node in enumerate(graph.nodes):
        if number in graph.dots:
            operands = list(_factors(graph, number))
            if operands != before or len(waiting) == SUMS_TOGETHER:
                reads[graph.levels[number]] += len(operands)
                before = operands
                waiting.clear()
            waiting.add(number)
            continue
        used = number not in graph.in_dots
        if used and (KINDS[node.kind].key is not None or not waiting.isdisjoint(node.operands)):
            # what a key is switched of, and what is computed of a sum, can't wait
            before = []
            waiting.clear()
    return reads


def _factors(graph: Graph, number: int) -> Iterator[int]:
    """The ciphertexts of a sum of products, in their order; those of sums inside of it too."""
    node = graph.nodes[number]
    if node.kind == "mul_plain":
        yield node.operands[0]
    else:
        for operand in node.operands:
            yield from _factors(graph, operand)


def returning_calls(graph: Graph, data_primes: int) -> Calls:
    """Primitives of an evaluation that are no operations of its schedule: the call itself, and its results."""
    calls: Calls = Counter()
    for level in graph.results().values():
        calls["return_result", data_primes - level] += 1
    return _with_call(calls, "evaluate", data_primes)


def open_calls(graph: Graph, data_primes: int) -> Calls:
    """Those of the primitives that work on three polynomials, and so take half as long again."""
    return _calls_of(graph, (n for n in graph.open if graph.nodes[n].kind != "mul"), data_primes)


def _calls_of(graph: Graph, numbers: Iterable[int], data_primes: int) -> Calls:
    calls: Calls = Counter()
    kinds: Counter[tuple[str, int, tuple[int, ...]]] = Counter(
        (graph.nodes[n].kind, graph.levels[n], graph.nodes[n].signs) for n in numbers
    )
    for (kind, level, signs), nodes in kinds.items():
        for primitive, times, above in _primitives(kind, level, signs):
            calls[primitive, data_primes - level + above] += times * nodes
    return +calls


def _primitives(kind: str, level: int, signs: tuple[int, ...]) -> Iterable[tuple[str, int, int]]:
    """Primitives of a node of a kind: name, number of calls, and primes above those of the result."""
    match kind:
        case "rescale":
            return [("rescale", 1, 1)]
        case "sum":
            # the first addition makes a ciphertext, unless a negation has made one; later ones go into it
            first = "negate" if signs[0] < 0 else "add" if signs[1] > 0 else "sub"
            return [(first, 1, 0), ("add_inplace", len(signs) - (1 if first == "negate" else 2), 0)]
        case "plain":
            # added to a ciphertext of zero, which is made of bytes
            return [("load_input", 1, 0), ("add_plain", 1, 0)]
        case _:
            return [(primitive, 1, 0) for primitive in KINDS[kind].primitives]


def vector_calls(shape: VectorShape, slots: int) -> Calls:
    """Primitives that computing a vector of ``slots`` slots uses."""
    return Calls() if shape.constant else array_calls(shape, slots)


def array_calls(shape: VectorShape, slots: int) -> Calls:
    """Primitives of numpy's operations on arrays of ``slots`` slots."""
    calls = Calls({("gather", slots): shape.reads, ("vector", slots): shape.operations})
    calls[("remainder", slots)] = shape.remainders
    return +(calls + Calls({("array_call", slots): sum(calls.values())}))


def slot_calls(primitive: str, slots: int, primes: int) -> Calls:
    """Encoding or sending a vector of ``slots`` slots: what goes with the ring, and what goes with the slots."""
    return Calls({(primitive, primes): 1, (f"{primitive}_slots", primes): max(slots // SLOT_BLOCK, 1)})


def encoding_calls(graph: Graph, data_primes: int, *, matrix: bool = False) -> Calls:
    """Primitives that encoding every plaintext of the graph uses; zeros, which are not encoded, are left out. With
    ``matrix``, for an evaluation by matrix products."""
    program = graph.schedule.program
    calls: Calls = Counter()
    forms: set[TensorForm] = set()
    members: dict[tuple[str, int], list[Sequence[int]]] = {}
    for (name, indices), level in graph.plaintexts():
        members.setdefault((name, level), []).append(indices)
    for (name, level), used in members.items():
        times = len(used)
        family = graph.schedule.plains[name]
        forms |= set() if family.body is None else forms_of(program, family.body)
        if matrix:
            calls["encode_integer", data_primes - level] += times
            continue
        shape = plain_shape(program, family)
        how = "complex" if shape.imaginary else "real"
        uniform = times if shape.constant else uniform_members(program, family, used)
        calls["encode_constant", data_primes - level] += uniform
        for call, once in slot_calls(f"encode_{how}", program.slots, data_primes - level).items():
            calls[call] += once * (times - uniform)
        for call, once in vector_calls(shape, program.slots).items():
            calls[call] += once * times
    for form in forms:
        calls["tensor_product", data_primes] += form_work(program, form)
    return _with_call(+calls, "encode", data_primes)


def _with_call(calls: Calls, name: str, data_primes: int) -> Calls:
    """With what the call itself takes, where it has anything to do."""
    return calls + Calls({(f"request_{name}", data_primes): 1}) if calls else calls


def encryption_calls(graph: Graph, data_primes: int) -> Calls:
    """Primitives of the client before it sends: pack, encode, encrypt, save."""
    program = graph.schedule.program
    calls: Calls = Counter()
    for name, times in Counter(node.plain[0] for node in graph.of_kind("cipher") if node.plain is not None).items():
        shape = vector_shape(program, program.families[name].body)
        sending = slot_calls("send_complex" if shape.imaginary else "send_real", program.slots, data_primes)
        for call, once in (sending + vector_calls(shape, program.slots)).items():
            calls[call] += once * times
    return _with_call(calls, "encrypt", data_primes)


def masking_calls(graph: Graph, data_primes: int, hidden: Hidden) -> tuple[Calls, Calls]:
    """Primitives that making the masks of an evaluation uses, and those that adding them does."""
    making: Calls = Counter()
    added: Calls = Counter()
    primitive = "mask_precise" if hidden.precise else "mask_slots"
    for member, level in graph.results().items():
        if member in hidden.slots:
            making[primitive, data_primes - level] += 1
            added["add_plain", data_primes - level] += 1
    return _with_call(making, "mask", data_primes), added


def reading_calls(graph: Graph, data_primes: int) -> Calls:
    """Primitives of the server when it reads a request."""
    inputs = sum(1 for _ in graph.of_kind("cipher"))
    return _with_call(Counter({("load_input", data_primes): inputs}), "read", data_primes)


def saving_calls(graph: Graph, data_primes: int, hidden: Hidden | None = None, *, cut: bool = False) -> Calls:
    """Primitives of the server when it writes the results. ``cut``: those at one prime without their last bits."""
    calls: Calls = Counter()
    for member, level in graph.results().items():
        primes = data_primes - level
        whole = "save_part" if hidden and member in hidden.halves else "save_ciphertext"
        calls["save_cut" if cut and primes == 1 else whole, primes] += 1
    return _with_call(calls, "save", data_primes)


def decryption_calls(graph: Graph, data_primes: int, hidden: Hidden | None = None, *, cut: bool = False) -> Calls:
    """Primitives of the client when it has received: load, decrypt, take the part that was sent, decode, and put slots
    where the results have them."""
    program = graph.schedule.program
    calls: Calls = Counter()
    # families of which some member is masked are decoded alike
    precise = set(hidden.bits) if hidden and hidden.precise else set()
    for member, level in graph.results().items():
        part, primes = "receive_part" if hidden and member in hidden.halves else "receive", data_primes - level
        part = "receive_cut" if cut and primes == 1 else part
        calls["receive_precise" if member[0] in precise else part, primes] += 1
    calls["collect", program.slots] += len(graph.outputs)
    for output, times in Counter(o.output for o in graph.outputs).items():
        for inside in (program.read_where(output), *output.indices):
            calls += array_calls(index_shape(program, inside).repeated(times), program.slots)
    return _with_call(calls, "decrypt", data_primes)


def total(calls: Calls, degree: int, profile: Profile) -> float:
    """Seconds of all calls."""
    return sum(times * profile.seconds(name, degree, primes) for (name, primes), times in calls.items())


def predict(
    graph: Graph,
    degree: int,
    data_primes: int,
    profile: Profile,
    hidden: Hidden | None = None,
    matrix: float | None = None,
    *,
    compiled: bool = True,
    cut: bool = False,
) -> Prediction:
    """Times of a graph at a degree and a number of primes of fresh ciphertexts (the key prime left out).

    ``hidden``: what is masked in results. ``matrix``: seconds of an evaluation by matrix products, where that is how it
    is done; ``compiled``, otherwise: with sums of products in one pass, and with compiled kernels where the profile has
    their times. ``cut``: results at one prime are sent without their last bits.
    """
    profile = profile if compiled and degree >= LEAST_DEGREE else profile.without_kernels

    def seconds(calls: Calls) -> float:
        return total(calls, degree, profile)

    making, adding = (Calls(), Calls()) if hidden is None else masking_calls(graph, data_primes, hidden)
    evaluation = matrix
    if evaluation is None:
        calls = evaluation_calls(graph, data_primes, compiled=compiled, parts=bool(profile.kernels))
        evaluation = seconds(calls) + seconds(open_calls(graph, data_primes)) / 2 + far_seconds(calls, degree, profile)
    return Prediction(
        profile=profile.name,
        evaluation=evaluation + seconds(adding + returning_calls(graph, data_primes)),
        encoding=seconds(encoding_calls(graph, data_primes, matrix=matrix is not None)),
        masking=seconds(making),
        encryption=seconds(encryption_calls(graph, data_primes)),
        decryption=seconds(decryption_calls(graph, data_primes, hidden, cut=cut)),
        reading=seconds(reading_calls(graph, data_primes)),
        saving=seconds(saving_calls(graph, data_primes, hidden, cut=cut)),
    )
