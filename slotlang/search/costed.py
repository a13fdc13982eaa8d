"""A candidate, worked out: its program, its proof, its graph, its parameters and what it costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from slotlang.cost.counts import Counts
from slotlang.cost.matrix import MatrixForm
from slotlang.cost.noise import Wider
from slotlang.cost.predict import far_seconds, total
from slotlang.cost.profile import Profile
from slotlang.meaning.bind import bind
from slotlang.meaning.outside_bounds import Limit, with_bound_statements
from slotlang.meaning.program import Program
from slotlang.planning.confirm import confirmed
from slotlang.planning.parameters import Parameters
from slotlang.planning.plan import Plan
from slotlang.planning.target import Target
from slotlang.proof.check import check
from slotlang.refusals import Unreachable
from slotlang.search.candidate import Candidate
from slotlang.search.estimate import Estimate, estimate, estimated_matrix
from slotlang.search.settings import settle
from slotlang.search.structure import Structure
from slotlang.search.text import text
from slotlang.search.weights import GivenWeights, data_of
from slotlang.source import Source
from slotlang.syntax.formatter import format_program
from slotlang.syntax.parser import parse

MOST_NODES = 8_000
"""Operations beyond which a graph is not unrolled: counts and times are those of a part of it, scaled by formula."""


def work_out(
    s: Structure,
    target: Target,
    profile: Profile,
    bounds: Mapping[str, Limit] = MappingProxyType({}),
    weights: GivenWeights | None = None,
    most_nodes: int | None = None,
    given: Parameters | None = None,
) -> Candidate | Unreachable:
    """A candidate, proved and costed, at the target's precision; its keys are within the target's bound where they can
    be, and else as small as they can be. Its parameters hold the ``bounds``, which are not in its text,
    and are precise for the ``weights``. Of a graph with more than ``most_nodes`` operations (``MOST_NODES``) a part is
    unrolled. Parameters that are ``given`` are taken where they reach the target, and no others are looked for."""
    source = format_program(parse(Source("synth", text(s))))
    program = bound_program(source)
    report = check(program, "polyhedral")
    if not report.proved:
        raise AssertionError(f"a synthesized program is {report.status}: {s}")
    group = s.one_group()
    part = _smaller(group, most_nodes or MOST_NODES)
    wider = Wider(
        group.shape.d_in / part.shape.d_in, group.shape.rank / part.shape.rank, _returned(group) / _returned(part)
    )
    share = _last_products(part) / _last_products(s)
    if part != s or bounds:
        program = bound_program(text(part), bounds)
    wanted = replace(target, data=data_of(weights, part.shape))
    chosen = confirmed(program, wanted, given, wider, share, whole=part == group) if given is not None else None
    if chosen is None:
        settled = settle(program, wanted, profile, wider, share)
        if isinstance(settled, Unreachable):
            return settled
        chosen = settled
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


def bound_program(source: str, bounds: Mapping[str, Limit] = MappingProxyType({})) -> Program:
    """A program's text, bound to its sizes, with bounds that are not in its text."""
    return bind(with_bound_statements(parse(Source("synth", source)), bounds))


def _returned(s: Structure) -> float:
    """Ciphertexts that are returned for each channel of the result: the last one may hold fewer than others."""
    return s.outputs / s.shape.d_out


def _last_products(s: Structure) -> int:
    """The products whose sums are results, of all groups of tokens."""
    return s.groups * estimate(s).stages[s.depth - 1].products


def _smaller(s: Structure, most_nodes: int) -> Structure:
    """The structure, with fewer ciphertexts up and down where its graph would be too large, as far as that helps."""
    while estimate(s).nodes > most_nodes:
        shape = s.shape
        d_in, d_out = -(-shape.d_in // 2), -(-shape.d_out // 2)
        if s.inputs >= s.outputs:
            shape = replace(shape, d_in=d_in, rank=min(shape.rank, d_in))
        else:
            shape = replace(shape, d_out=d_out, rank=min(shape.rank, d_out))
        smaller = replace(s, shape=shape)
        if estimate(smaller).nodes == estimate(s).nodes:
            break
        s = smaller
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
    keys = planned.galois_key_bytes
    masks = c.masks * profile.seconds("add_plain", p.degree, p.data_primes - len(p.drops))
    # the whole is one call
    call = priced.seconds("request_evaluate", p.degree, p.data_primes)
    returned = c.ciphertexts_out * priced.seconds("return_result", p.degree, p.data_primes - len(p.drops))
    # what is done to results last goes with their number
    last = (
        masks
        + returned
        + sum(
            count * priced.seconds("rescale", p.degree, p.data_primes - level)
            for level, count in c.rescales_by_level.items()
            if level >= len(p.early)
        )
    )
    # matrices are those of the whole
    more = 0.0 if planned.kernel == "matrix" else slower - 1
    # weights of the whole may come from the memory where those of the part do not
    far, far_whole = (far_seconds(calls, p.degree, priced) for calls in (small_calls, whole_calls))
    near = once.evaluation - far
    evaluation = near + more * (near - call - last) + (down - 1) * last + far_whole
    weights = planned.weight_bytes if planned.kernel == "matrix" else round(products * planned.weight_bytes)
    return Candidate(
        structure=s,
        text=source,
        verdict=verdict,
        parameters=p,
        error=relative,
        predicted=replace(
            once,
            evaluation=n * evaluation - (n - 1) * call,
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
