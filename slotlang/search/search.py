"""The search: structures by formula first, then, of those that may be the best, the program, its proof, its graph, its
parameters and what it costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import ceil, floor, log10
from typing import Literal, TypeAlias, get_args

from slotlang.cost.bound_cases import bounds_of
from slotlang.cost.bounds import rotation_lower_bound
from slotlang.cost.matrix import MatrixForm
from slotlang.cost.predict import Prediction, total
from slotlang.cost.profile import Profile
from slotlang.cost.theorems import Bound
from slotlang.diagnostics import SlotError, error, pick
from slotlang.lowering.lower import Plan, plan
from slotlang.lowering.parameters import Parameters
from slotlang.lowering.parts import Way
from slotlang.meaning.bind import bind
from slotlang.meaning.program import Program
from slotlang.proof.check import check
from slotlang.refusals import Unreachable
from slotlang.search.estimate import estimate, estimated_matrices
from slotlang.search.settings import settle
from slotlang.search.space import DROPS, SLOTS, Sketch, front, sketches
from slotlang.search.structure import Shape, Structure
from slotlang.search.text import text
from slotlang.source import Source
from slotlang.syntax.formatter import format_program
from slotlang.syntax.parser import parse

Objective: TypeAlias = Literal["time", "rotations", "keys", "traffic"]
OBJECTIVES: tuple[Objective, ...] = get_args(Objective)

LARGEST = 1 << 20
"""Channels, ranks and tokens up to which shapes are searched."""

MOST_NODES = 20_000
"""Operations beyond which a graph is not unrolled: counts and times are those of a part of it, scaled by formula."""

PER_KIND = 5
"""Candidates of each kind (see ``_finalists``) that are evaluated, by the objective asked for."""

FINALISTS = 24
"""Candidates that are evaluated in all."""


@dataclass(frozen=True)
class Limits:
    """What a user can't go beyond. ``key_bytes``: Galois keys as the server holds them; ``memory``: those, encoded
    weights and ciphertexts at the peak; ``copies``: how many times as many ciphertexts of x as need be may go up."""

    key_bytes: int | None = None
    memory: int | None = None
    copies: int = 1


@dataclass(frozen=True)
class Candidate:
    """A proved program under parameters. Counts, times and bytes are of all groups of tokens together. ``error``:
    predicted relative rms error; ``unrolled``: False where the graph was too large, and the numbers come by formula."""

    structure: Structure
    text: str
    verdict: str
    parameters: Parameters
    error: float
    predicted: Prediction
    rotations: int
    key_switches: int
    keys: int
    products: int
    ciphertexts_in: int
    ciphertexts_out: int
    key_bytes: int
    upload_bytes: int
    download_bytes: int
    weight_bytes: int
    memory_bytes: int
    unrolled: bool

    @property
    def traffic_bytes(self) -> int:
        """Up and down."""
        return self.upload_bytes + self.download_bytes

    def measures(self) -> tuple[float, ...]:
        """What the Pareto front is about."""
        return (self.predicted.evaluation, self.key_bytes, self.traffic_bytes, self.error)

    def by(self, objective: Objective) -> tuple[float, ...]:
        """What is made small, first things first."""
        time = self.predicted.evaluation
        first = {
            "time": time,
            "rotations": self.key_switches,
            "keys": self.key_bytes,
            "traffic": self.traffic_bytes,
        }[objective]
        return (first, time, self.key_bytes, self.traffic_bytes)

    def to_json(self) -> dict[str, object]:
        """Plain data; keys as in ``synth --json``."""
        s = self.structure
        return {
            "structure": s.name(),
            "slots": s.slots,
            "tokens": s.held,
            "verdict": self.verdict,
            "parameters": self.parameters.to_json(),
            "relative_error": self.error,
            "predicted": self.predicted.to_json(),
            "rotations": self.rotations,
            "key_switches": self.key_switches,
            "galois_keys": self.keys,
            "plain_products": self.products,
            "ciphertexts_in": self.ciphertexts_in,
            "ciphertexts_out": self.ciphertexts_out,
            "galois_key_bytes": self.key_bytes,
            "upload_bytes": self.upload_bytes,
            "download_bytes": self.download_bytes,
            "weight_bytes": self.weight_bytes,
            "memory_bytes": self.memory_bytes,
            "unrolled": self.unrolled,
        }


@dataclass
class Found:
    """The result of a search so far, which stays valid when the search is interrupted."""

    shape: Shape
    objective: Objective
    precision: float
    limits: Limits
    sketched: int = 0
    candidates: list[Candidate] = field(default_factory=list)
    refused: list[Candidate] = field(default_factory=list)
    """Beyond the limits."""
    best_error: float = float("inf")
    """Smallest error of those that missed the precision."""
    complete: bool = False

    @property
    def ranked(self) -> list[Candidate]:
        """By the objective, best first."""
        return sorted(self.candidates, key=lambda c: c.by(self.objective))

    @property
    def pareto(self) -> list[Candidate]:
        """No other is as good in time, key bytes, traffic and error; by time."""
        return front(self.candidates, Candidate.measures)

    def add(self, candidate: Candidate) -> None:
        """Keep a candidate, or note that it is beyond a limit."""
        limits = self.limits
        within = (limits.key_bytes is None or candidate.key_bytes <= limits.key_bytes) and (
            limits.memory is None or candidate.memory_bytes <= limits.memory
        )
        (self.candidates if within else self.refused).append(candidate)


def finalists_for(shape: Shape) -> int:
    """How many structures to evaluate for a user who waits: half as many where sizes do not divide, since plaintexts
    are then cut off in many ways, and a structure takes three times as long."""
    uneven = shape.d_in % 128 or shape.d_out % 128 or shape.rank & (shape.rank - 1)
    return FINALISTS // 2 if uneven else FINALISTS


def objective_named(name: str) -> Objective:
    """Raises SL463."""
    return pick(name, OBJECTIVES, "SL463", "objective", "objectives")


def start(shape: Shape, objective: Objective, precision: float, limits: Limits) -> Found:
    """An empty result. Raises SL461 and SL462 for demands that can be refused without a search."""
    for name in ("d_in", "d_out", "rank", "batch"):
        value = getattr(shape, name)
        if not 1 <= value <= LARGEST:
            option = f"--{name.replace('_', '-')}"
            raise error("SL461", f"{option} is {value:,}, and must lie between 1 and {LARGEST:,}")
    bounds_given = {"--copies": limits.copies, "--max-key-bytes": limits.key_bytes, "--max-memory": limits.memory}
    for option, given in bounds_given.items():
        if given is not None and given < (option == "--copies"):
            raise error("SL461", f"{option} is {given:,}, and that is too little for anything")
    if not 0 < precision < 1:
        raise error(
            "SL462", f"--precision {precision:g} is not a relative error", hint="for example 1e-3: above 0 and below 1"
        )
    return Found(shape, objective, precision, limits)


def search(
    result: Found,
    profile: Profile,
    progress: Callable[[str, float], None] = lambda what, done: None,
    *,
    slots: Sequence[int] = SLOTS,
    finalists: int = FINALISTS,
) -> None:
    """Evaluate the ``finalists`` structures that are best by formula, with these numbers of ``slots``, and add them to
    ``result``.

    An interrupted search leaves ``result`` correct and incomplete. A complete one leaves at least one candidate, or
    raises ``SlotError`` SL462, SL464 or SL465 with the reason why none is possible.
    """
    shape = result.shape
    drawn: list[Sketch] = []
    for layout in sketches(shape, profile, slots):
        drawn += [s for s in layout if allowed(s.structure, result.limits)]
        progress("comparing structures", 0.0)
    result.sketched = len(drawn)
    chosen = _chosen(drawn, result, finalists)
    for number, s in enumerate(chosen):
        progress(f"{len(drawn):,} structures compared; proving and costing {s.structure.name()}", number / len(chosen))
        worked = work_out(s.structure, result.precision, profile, result.limits.key_bytes)
        if isinstance(worked, Unreachable):
            result.best_error = min(result.best_error, worked.best)
        else:
            result.add(worked)
    result.complete = True
    if not result.candidates:
        raise _nothing(result)


def allowed(s: Structure, limits: Limits) -> bool:
    """Whether x takes no more ciphertexts than it may: copies stand in slots left over, or are declared."""
    return s.copies == 1 or s.inputs <= limits.copies * replace(s, copies=1).inputs


def _chosen(drawn: Sequence[Sketch], result: Found, finalists: int) -> list[Sketch]:
    """The structures to evaluate. Where key bytes are bounded, half of them fit with a key for every step, and half may
    fit with fewer keys."""
    bound = result.limits.key_bytes
    if bound is None:
        return _finalists(drawn, result.objective)[:finalists]
    every = [s for s in drawn if s.key_bytes <= bound]
    fewer = [s for s in drawn if s.key_bytes > bound >= s.fewest_key_bytes]
    if not (every or fewer):
        return sorted(drawn, key=lambda s: (s.fewest_key_bytes, s.seconds))[:1]
    half = _finalists(fewer, result.objective)[: finalists // 2]
    return _finalists(every, result.objective)[: finalists - len(half)] + half


def _by_time(way: int) -> Callable[[Sketch], tuple[float, ...]]:
    """The order of times with one of the ``DROPS``."""
    return lambda s: (s.times[way],)


def _finalists(drawn: Sequence[Sketch], objective: Objective) -> list[Sketch]:
    """The best structures by every objective, most of them by the objective asked for. These come first, the best of
    each kind before the second best of any kind. A kind is a number of slots, and whether inputs are rotated: the noise
    of rotating inputs counts at their scale, and may require more primes than formulas assume."""
    orders: dict[Objective, list[Callable[[Sketch], tuple[float, ...]]]] = {
        "time": [_by_time(way) for way in range(len(DROPS))],
        "rotations": [lambda s: (s.rotations, s.seconds)],
        "keys": [lambda s: (s.key_bytes, s.seconds)],
        "traffic": [lambda s: (s.ciphertexts, s.seconds)],
    }
    kinds: dict[tuple[int, bool], list[Sketch]] = {}
    for s in drawn:
        kinds.setdefault((s.structure.slots, s.structure.down > 0), []).append(s)
    # formulas know SEAL's operations only; column packing may be much faster by matrix products
    columns = [s for s in drawn if s.structure.tokens == s.structure.slots and s.structure.packing == "real"]
    if objective == "time":
        rings = sorted({s.structure.slots for s in columns})
        best = [min((s for s in columns if s.structure.slots == n), key=orders["time"][0], default=None) for n in rings]
        chosen = {s.structure: s for s in best if s is not None and s.structure.shape.batch >= s.structure.slots // 4}
    else:
        chosen = {}
    for name, order in [(objective, orders[objective]), *orders.items()]:
        ranked = [sorted(kinds[kind], key=key) for kind in sorted(kinds) for key in order]
        for place in range(PER_KIND if name == objective else 2):
            for s in (of_kind[place] for of_kind in ranked if place < len(of_kind)):
                chosen.setdefault(s.structure, s)
    return list(chosen.values())


def work_out(
    s: Structure, precision: float, profile: Profile, max_key_bytes: int | None = None
) -> Candidate | Unreachable:
    """A candidate, proved and costed, with at most ``max_key_bytes`` of keys where that can be; or the best error that
    can be had in place of ``precision``."""
    source = format_program(parse(Source("synth", text(s))))
    report = check(_program(source), "polyhedral")
    if not report.proved:
        raise AssertionError(f"a synthesized program is {report.status}: {s}")
    group = s.one_group()
    part = _smaller(group)
    wider = group.shape.d_in / part.shape.d_in, group.shape.rank / part.shape.rank
    settled = settle(_program(text(part)), precision, profile, max_key_bytes, wider)
    if isinstance(settled, Unreachable):
        return settled
    planned, relative = settled
    return _candidate(s, source, part, planned, relative, profile, report.status)


def _program(source: str) -> Program:
    return bind(parse(Source("synth", source)))


def _smaller(s: Structure) -> Structure:
    """The structure, with fewer ciphertexts up and down where its graph would be too large."""
    while estimate(s).nodes > MOST_NODES:
        shape = s.shape
        d_in, d_out = -(-shape.d_in // 2), -(-shape.d_out // 2)
        if s.inputs >= s.outputs:
            shape = replace(shape, d_in=d_in, rank=min(shape.rank, d_in))
        else:
            shape = replace(shape, d_out=d_out, rank=min(shape.rank, d_out))
        s = replace(s, shape=shape)
    return s


def _candidate(
    s: Structure, source: str, part: Structure, planned: Plan, relative: float, profile: Profile, verdict: str
) -> Candidate:
    """Numbers of the part's graph, times the groups of tokens; of a part smaller than a group, in the proportion
    of the formulas."""
    p, c, n = planned.parameters, planned.counts, s.groups
    whole, small = estimate(s.one_group()), estimate(part)
    if isinstance(planned.columns, MatrixForm) and part != s.one_group():
        # sums of few products take longer for each: by matrices a part does not tell about the whole
        sizes = p.primes[: p.data_primes], p.factor_bits(s.depth)
        matrix = estimated_matrices(s.one_group(), *sizes)
        by_operations: Way = "fused" if planned.graph.dots else "seal"
        planned = replace(planned, columns=matrix, products="matrix" if matrix.faster else by_operations)
    once = planned.predicted(profile)
    whole_calls, small_calls = (e.calls(p.data_primes, p.drops) for e in (whole, small))
    slower = total(whole_calls, p.degree, profile) / total(small_calls, p.degree, profile)
    products, up, down = (getattr(whole, name) / getattr(small, name) for name in ("products", "inputs", "outputs"))
    # composed rotations are several
    composed = c.rotations / small.rotations if p.keys else 1.0
    more_rotations = round(composed * (whole.rotations - small.rotations))
    keys = c.galois_keys * p.key_bytes()
    masks = c.masks * profile.seconds("add_plain", p.degree, p.data_primes - len(p.drops))
    # matrices are those of the whole
    evaluation = (1.0 if planned.products == "matrix" else slower) * (once.evaluation - masks) + down * masks
    weights = planned.weight_bytes if planned.products == "matrix" else round(products * planned.weight_bytes)
    ciphertexts_in, ciphertexts_out = round(up * c.ciphertexts_in), round(down * c.ciphertexts_out)
    more = n * (ciphertexts_in + ciphertexts_out) - c.ciphertexts_in - c.ciphertexts_out
    return Candidate(
        structure=s,
        text=source,
        verdict=verdict,
        parameters=p,
        error=relative,
        predicted=replace(
            once,
            evaluation=n * evaluation,
            encoding=products * once.encoding,
            masking=n * down * once.masking,
            encryption=n * up * once.encryption,
            decryption=n * down * once.decryption,
        ),
        rotations=n * (c.rotations + more_rotations),
        key_switches=n * (c.key_switches + more_rotations + whole.conjugations - small.conjugations),
        keys=c.galois_keys,
        products=n * round(products * c.plain_products),
        ciphertexts_in=n * ciphertexts_in,
        ciphertexts_out=n * ciphertexts_out,
        key_bytes=keys,
        upload_bytes=n * ciphertexts_in * p.sent_bytes(seeded=True),
        download_bytes=n * round(down * planned.download_bytes),
        weight_bytes=weights,
        memory_bytes=keys + weights + (c.peak_ciphertexts + more) * p.ciphertext_bytes(),
        unrolled=part == s.one_group(),
    )


def bounds(candidate: Candidate) -> tuple[Bound, ...]:
    """The bounds on a candidate's schedule for one group of tokens; empty where its graph is too large."""
    if not candidate.unrolled:
        return ()
    program = _program(text(candidate.structure.one_group()))
    planned = plan(program, candidate.parameters)
    return bounds_of(program, planned.graph, planned.counts, rotation_lower_bound(program))


def _nothing(result: Found) -> SlotError:
    """The reason why there is no candidate."""
    if result.refused:
        limits = result.limits
        least = min(c.key_bytes for c in result.refused)
        if limits.key_bytes is not None and least > limits.key_bytes:
            return error(
                "SL464",
                f"Galois keys take {least:,} bytes at least, and --max-key-bytes is {limits.key_bytes:,}",
                hint=f"--max-key-bytes {least}, a larger batch, or --objective keys, which looks for few keys first",
            )
        least = min(c.memory_bytes for c in result.refused)
        return error(
            "SL465",
            f"the server needs {least:,} bytes at least, and --max-memory is {limits.memory or 0:,}",
            notes=["keys, encoded weights, and ciphertexts at the peak"],
            hint=f"--max-memory {least}",
        )
    notes = [] if result.best_error == float("inf") else [f"the best error found is {result.best_error:.1e}"]
    return error(
        "SL462",
        f"no structure reaches a relative error of {result.precision:.1e} with 128-bit parameters",
        notes=notes,
        hint=f"--precision {_rounded_up(result.best_error)}" if notes else "",
    )


def _rounded_up(value: float) -> str:
    power = 10.0 ** floor(log10(value))
    return f"{ceil(10 * value / power) / 10 * power:.1e}"
