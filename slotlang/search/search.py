"""The search: structures by formula first, then, of those that may be the best, the program, its proof, its graph, its
parameters and what it costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import ceil, floor, log10
from types import MappingProxyType

from slotlang.cost.bound_cases import bounds_of
from slotlang.cost.bounds import rotation_lower_bound
from slotlang.cost.counts import Counts
from slotlang.cost.matrix import MatrixForm
from slotlang.cost.predict import total
from slotlang.cost.profile import Profile
from slotlang.cost.theorems import Bound
from slotlang.diagnostics import SlotError, error
from slotlang.meaning.bind import bind
from slotlang.meaning.outside_bounds import Limit, with_bound_statements
from slotlang.meaning.program import Program
from slotlang.planning.plan import Plan
from slotlang.planning.planner import plan
from slotlang.planning.target import Target
from slotlang.proof.check import check
from slotlang.refusals import Unreachable
from slotlang.search.candidate import Candidate, Found, Limits, Objective
from slotlang.search.estimate import Estimate, estimate, estimated_matrix
from slotlang.search.settings import settle
from slotlang.search.space import DROPS, SLOTS, Sketch, sketches
from slotlang.search.structure import Shape, Structure
from slotlang.search.text import text
from slotlang.search.weights import GivenWeights, data_of
from slotlang.source import Source
from slotlang.syntax.formatter import format_program
from slotlang.syntax.parser import parse

LARGEST = 1 << 20
"""Channels, ranks and tokens up to which shapes are searched."""

MOST_NODES = 20_000
"""Operations beyond which a graph is not unrolled: counts and times are those of a part of it, scaled by formula."""

PER_KIND = 5
"""Candidates of each kind (see ``_finalists``) that are evaluated, by the objective asked for."""

FINALISTS = 24
"""Candidates that are evaluated in all."""


def finalists_for(shape: Shape) -> int:
    """How many structures to evaluate for a user who waits: half as many where sizes do not divide, since plaintexts
    are then cut off in many ways, and a structure takes three times as long."""
    uneven = shape.d_in % 128 or shape.d_out % 128 or shape.rank & (shape.rank - 1)
    return FINALISTS // 2 if uneven else FINALISTS


def start(shape: Shape, objective: Objective, target: Target, limits: Limits) -> Found:
    """An empty result, for a target with a precision. Raises SL461 and SL462 for demands that can be refused without a
    search."""
    for name in ("d_in", "d_out", "rank", "batch"):
        value = getattr(shape, name)
        if not 1 <= value <= LARGEST:
            option = f"--{name.replace('_', '-')}"
            raise error("SL461", f"{option} is {value:,}, and must lie between 1 and {LARGEST:,}")
    for option, given in {"--copies": limits.copies, "--max-memory": limits.memory}.items():
        if given is not None and given < (option == "--copies"):
            raise error("SL461", f"{option} is {given:,}, and that is too little for anything")
    if target.precision is None:
        raise error("SL462", "--precision is missing", hint="for example 1e-3: above 0 and below 1")
    return Found(shape, objective, target, limits)


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
        worked = work_out(s.structure, result.target, profile, result.bounds, result.weights)
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
    bound = result.target.max_key_bytes
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
    s: Structure,
    target: Target,
    profile: Profile,
    bounds: Mapping[str, Limit] = MappingProxyType({}),
    weights: GivenWeights | None = None,
) -> Candidate | Unreachable:
    """A candidate, proved and costed, at the target's precision; its keys are within the target's bound where they can
    be, and else as small as they can be. Its parameters hold the ``bounds``, which are not in its text,
    and are precise for the ``weights``."""
    source = format_program(parse(Source("synth", text(s))))
    report = check(_program(source), "polyhedral")
    if not report.proved:
        raise AssertionError(f"a synthesized program is {report.status}: {s}")
    group = s.one_group()
    part = _smaller(group)
    wider = group.shape.d_in / part.shape.d_in, group.shape.rank / part.shape.rank
    chosen = settle(_program(text(part), bounds), replace(target, data=data_of(weights, part.shape)), profile, wider)
    if isinstance(chosen, Unreachable):
        return chosen
    planned = chosen.plan
    if target.kernel == "auto" and part != group:
        planned = _kernel_of_all(planned, group)
    return _candidate(s, source, part, planned, chosen.error, profile, report.status)


def _kernel_of_all(planned: Plan, s: Structure) -> Plan:
    """The plan of a part with the matrix form, and the kernel, of the whole structure: sums of few products take longer
    for each, so that by matrices a part is no measure of the whole."""
    if not isinstance(planned.matrix, MatrixForm):
        return planned
    p = planned.parameters
    form = estimated_matrix(s, p.primes[: p.data_primes], p.factor_bits(s.depth))
    return replace(planned, matrix=form, kernel="matrix" if form.faster else "compiled")


def _program(source: str, bounds: Mapping[str, Limit] = MappingProxyType({})) -> Program:
    return bind(with_bound_statements(parse(Source("synth", source)), bounds))


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
    once = planned.predicted(profile)
    priced = profile.of_primes(p.primes) if planned.kernel == "compiled" else profile.without_kernels
    whole_calls, small_calls = (e.calls(p.data_primes, p.early, parts=bool(priced.kernels)) for e in (whole, small))
    slower = total(whole_calls, p.degree, priced) / total(small_calls, p.degree, priced)
    products, up, down = (getattr(whole, name) / getattr(small, name) for name in ("products", "inputs", "outputs"))
    counts = _counts_of_all(planned, whole, small, n)
    keys = c.galois_keys * p.key_bytes()
    masks = c.masks * profile.seconds("add_plain", p.degree, p.data_primes - len(p.drops))
    # what is done to results last goes with their number
    last = masks + sum(
        count * priced.seconds("rescale", p.degree, p.data_primes - level)
        for level, count in c.rescales_by_level.items()
        if level >= len(p.early)
    )
    # matrices are those of the whole
    evaluation = (1.0 if planned.kernel == "matrix" else slower) * (once.evaluation - last) + down * last
    weights = planned.weight_bytes if planned.kernel == "matrix" else round(products * planned.weight_bytes)
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
            reading=n * up * once.reading,
            saving=n * down * once.saving,
        ),
        counts=counts,
        key_bytes=keys,
        upload_bytes=counts.ciphertexts_in * p.sent_bytes(seeded=True),
        download_bytes=n * round(down * planned.download_bytes),
        weight_bytes=weights,
        memory_bytes=keys + weights + counts.peak_ciphertexts * p.ciphertext_bytes(),
        unrolled=part == s.one_group(),
    )


def _counts_of_all(planned: Plan, whole: Estimate, small: Estimate, groups: int) -> Counts:
    """Counts of all groups of tokens from those of the plan of a part of one: ``whole`` and ``small`` are the formulas
    for a group and for the part. Keys and plaintexts serve all groups."""
    c, p, n = planned.counts, planned.parameters, groups

    def grown(count: int, name: str) -> int:
        before = getattr(small, name)
        return round(count * getattr(whole, name) / before) if before else count

    # composed rotations are several
    composed = c.rotations / small.rotations if p.keys else 1.0
    rotations = round(composed * (whole.rotations - small.rotations))
    conjugations = whole.conjugations - small.conjugations
    rescaled, before = whole.calls(p.data_primes, p.early), small.calls(p.data_primes, p.early)
    rescales = {
        level: n
        * (
            round(count * rescaled["rescale", p.data_primes - level] / before["rescale", p.data_primes - level])
            if level < len(p.early)
            else grown(count, "outputs")
        )
        for level, count in c.rescales_by_level.items()
    }
    ciphertexts_in, ciphertexts_out = n * grown(c.ciphertexts_in, "inputs"), n * grown(c.ciphertexts_out, "outputs")
    return Counts(
        rotations=n * (c.rotations + rotations),
        conjugations=n * (c.conjugations + conjugations),
        key_switches=n * (c.key_switches + rotations + conjugations),
        decompositions=n * grown(c.decompositions, "decompositions"),
        mod_downs=n * grown(c.mod_downs, "decompositions"),
        galois_keys=c.galois_keys,
        hoistable=n * grown(c.hoistable, "rotations"),
        plain_products=n * grown(c.plain_products, "products"),
        cipher_products=n * c.cipher_products,
        relinearizations=n * c.relinearizations,
        additions=n * grown(c.additions, "additions"),
        negations=n * grown(c.negations, "additions"),
        rescales=sum(rescales.values()),
        rescales_by_level=rescales,
        depth=c.depth,
        ciphertexts_in=ciphertexts_in,
        ciphertexts_out=ciphertexts_out,
        plaintexts=grown(c.plaintexts, "products"),
        # those of other groups wait, as inputs or as results
        peak_ciphertexts=c.peak_ciphertexts + ciphertexts_in + ciphertexts_out - c.ciphertexts_in - c.ciphertexts_out,
        masks=n * grown(c.masks, "outputs"),
        composed_steps=c.composed_steps,
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
        least, most = min(c.key_bytes for c in result.refused), result.target.max_key_bytes
        if most is not None and least > most:
            return error(
                "SL464",
                f"Galois keys take {least:,} bytes at least, and --max-key-bytes is {most:,}",
                hint=f"--max-key-bytes {least}, a larger batch, or --objective keys, which looks for few keys first",
            )
        least = min(c.memory_bytes for c in result.refused)
        return error(
            "SL465",
            f"the server needs {least:,} bytes at least, and --max-memory is {result.limits.memory or 0:,}",
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
