"""Which parameters the programs of an adapter have in common: requests of all groups are compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from invented_prices import only

from slotlang.adapter.adapter import LoraModule
from slotlang.adapter.building import common as common_module
from slotlang.adapter.building.common import Requests, Wanted, common, least
from slotlang.adapter.building.layout import GroupShape, Layout, Part, Update
from slotlang.adapter.building.shared import groups
from slotlang.adapter.building.sizes import sizes_of
from slotlang.api import Plan, cost, loads, lower, parameters_named, plan
from slotlang.cost.profile import Profile
from slotlang.emit.loaded import load_module
from slotlang.meaning.program import Program
from slotlang.planning.choose import SLOWER, Chosen
from slotlang.planning.parameters import Parameters
from slotlang.planning.target import Target
from slotlang.planning.traffic import REQUESTS
from slotlang.refusals import Unreachable
from slotlang_runtime import SecretKey
from slotlang_runtime.module import Module

RESCALED = parameters_named("degree 8192 primes 45, 40, 40, 45 scales 38, 38, 38 drops 1")
"""Two products, with a prime dropped after the first."""

EARLY = """program early(slots = 4096)
input x[slots]
weight a[slots], b[slots]
cipher X = x[slot]
Y = a[slot] * (X << 1)
R = b[slot] * (Y + (Y << 4))
output y[slot] = R
prove y[i < slots] == b[i] * (a[i] * x[(i + 1) % slots] + a[(i + 4) % slots] * x[(i + 5) % slots])
"""
"""Rotations by 1 at the top, and by 4 after the first product."""

LATE = """program late(slots = 4096)
input x[slots], z[slots]
weight a[slots], b[slots]
cipher X = x[slot]
cipher Z = z[slot]
Y = a[slot] * (X + Z)
R = b[slot] * ((Y << 1) + (Y << 2))
output y[slot] = R
prove y[i < slots] == b[i] * (sum k < 2: a[(i + k + 1) % slots] * (x[(i + k + 1) % slots] + z[(i + k + 1) % slots]))
"""
"""Rotations by 1 and 2, both after the first product."""


SQUARED = """program squared(slots = 4096)
input x[slots]
cipher X = x[slot] + 1i * x[slot]
Y = X * conj(X)
output y[slot] = re Y
prove y[i < slots] == 2 * x[i] * x[i]
"""
"""With the keys of a conjugation and of a product of ciphertexts."""


def of(seconds: float, sent: float, *primes: int) -> Requests:
    return Requests(Parameters(4096, primes or (40, 40, 28), 20), seconds, sent)


# the least of several


def test_the_fewest_bytes_win_among_those_that_are_hardly_slower() -> None:
    fastest, fewer, fewest = of(1.0, 100), of(SLOWER, 90), of(SLOWER + 1e-6, 10)
    for given in permutations((fastest, fewer, fewest)):
        assert least(given) is fewer
    assert least([fastest, fewest]) is fastest
    assert least([fewest]) is fewest


def test_slower_is_of_the_fastest_and_not_of_a_neighbour() -> None:
    """Each is hardly slower than the one before it."""
    chain = [of(SLOWER**n, 100 - n) for n in range(4)]
    for given in permutations(chain):
        assert least(given) is chain[1]


def test_few_bits_are_not_few_bytes() -> None:
    few_bits, few_bytes = of(1.0, 100, 36, 36, 25), of(1.01, 60, 42, 42, 28)
    assert least([few_bits, few_bytes]) is few_bytes


def test_equals_are_told_apart_whatever_their_order() -> None:
    slower, faster = of(1.01, 50, 36, 36, 25), of(1.0, 50, 40, 40, 28)
    assert least([slower, faster]) is least([faster, slower]) is faster
    large, small = of(1.0, 50, 40, 40, 28), of(1.0, 50, 39, 40, 28)
    assert least([large, small]) is least([small, large]) is small


# what requests take


@pytest.fixture(scope="module")
def plans() -> tuple[Plan, Plan]:
    early, late = (plan(loads(text), RESCALED) for text in (EARLY, LATE))
    assert early.key_levels.steps == {1: 0, 4: 1} and late.key_levels.steps == {1: 1, 2: 1}
    return early, late


def test_requests_of_each_group_count(plans: tuple[Plan, Plan]) -> None:
    """The one program sends one ciphertext up, the other two; each answers with one."""
    profile = only("send_real", "receive", "receive_part", "receive_precise")
    for many, ciphertexts in (((1, 1), 2 + 3), ((3, 1), 3 * 2 + 3), ((1, 4), 2 + 4 * 3)):
        assert Requests.of(RESCALED, plans, many, profile).seconds == pytest.approx(1e-3 * ciphertexts)
    # the server's part and the client's
    evaluations = Requests.of(RESCALED, plans, (3, 1), only("rotate")).seconds
    assert evaluations == pytest.approx(1e-3 * (3 * 2 + 2))


def test_bytes_of_requests_have_a_share_of_the_keys(plans: tuple[Plan, Plan]) -> None:
    costs = [cost(loads(text), RESCALED) for text in (EARLY, LATE)]

    def sent(many: tuple[int, int]) -> float:
        return Requests.of(RESCALED, plans, many, only()).bytes

    each = [one.upload_bytes + one.download_bytes for one in costs]
    assert sent((2, 1)) - sent((1, 1)) == each[0] and sent((1, 2)) - sent((1, 1)) == each[1]
    assert each[0] != each[1]
    # of one program they are its own
    alone = Requests.of(RESCALED, plans[:1], (5,), only()).bytes
    assert alone == 5 * each[0] + costs[0].evaluation_key_bytes / REQUESTS


def test_keys_in_common_are_sent_once(plans: tuple[Plan, Plan]) -> None:
    """What a client sends for both programs: the key that they share has the residues that the first use needs."""
    modules: list[Module] = [load_module(lower(loads(t), RESCALED).text, "m") for t in (EARLY, LATE)]
    secret = SecretKey(modules[0].parameters.ring)
    for given in permutations(range(2)):
        keys = len(secret.evaluation_keys(*(modules[n] for n in given)))
        chosen = [plans[n] for n in given]
        requests = sum(made.upload_bytes + made.download_bytes for made in chosen)
        counted = (Requests.of(RESCALED, chosen, (1, 1), only()).bytes - requests) * REQUESTS
        # seeds, levels and a head beside the residues
        assert 0 <= keys - counted < 1000
        assert counted < sum(made.evaluation_key_bytes for made in chosen) - 1000


def test_keys_without_a_step_are_sent_once() -> None:
    made = plan(loads(SQUARED), parameters_named("degree 8192 primes 50, 50, 50 scales 36"))
    assert made.counts.conjugations == made.counts.relinearizations == 1
    once, twice = (Requests.of(made.parameters, [made] * n, [1] * n, only()).bytes for n in (1, 2))
    assert twice - once == made.upload_bytes + made.download_bytes
    assert once == twice - once + 2 * made.parameters.sent_key_bytes() / REQUESTS


# the parameters of all programs

WHOLE = parameters_named("degree 4096 primes 38, 38, 27 scales 20, 20, 16")
"""Results stay at two primes."""
DROPPED = parameters_named("degree 4096 primes 39, 39, 27 scales 20, 20, 16 drops 2 results 1")
"""More bits, and results at one prime."""


def wanted(name: str, columns: int = 8, rows: int = 8, many: int = 1) -> Wanted:
    """A program of one ciphertext for each 8 columns, and for each 8 rows."""
    rng = np.random.default_rng(0)
    module = LoraModule("l.0.q", rng.standard_normal((2, columns)), rng.standard_normal((rows, 2)), 2.0, 2)
    layout = Layout(GroupShape(columns, 256, (Update(rows, 2),)), 2048, 256, "real", (Part((0,), 2, 2, True),))
    return Wanted.of(layout, sizes_of(groups([module])[0]), name, many)


TWO = (wanted("first"), wanted("second"))


def found(
    monkeypatch: pytest.MonkeyPatch, candidates: list[Parameters], profile: Profile, programs: Sequence[Wanted] = TWO
) -> Parameters:
    """The parameters of programs, of which each brings a candidate."""
    given = iter(candidates)

    def chosen(program: Program, target: Target, *, profile: Profile) -> Chosen:
        return Chosen(plan(program, next(given), target=replace(target, precision=None)), 1e-4)

    monkeypatch.setattr(common_module, "choose", chosen)
    made = common(programs, 1e-2, profile)
    assert not isinstance(made, Unreachable)
    return made


def test_results_at_one_prime_are_preferred_to_few_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each program's parameters are tried for both, in whatever order they come."""
    assert sum(WHOLE.primes) < sum(DROPPED.primes)
    for candidates in ([WHOLE, DROPPED], [DROPPED, WHOLE]):
        assert found(monkeypatch, candidates, only()) == DROPPED


def test_bytes_are_not_saved_for_much_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dropping a prime of the results is all that takes time here."""
    for candidates in ([WHOLE, DROPPED], [DROPPED, WHOLE]):
        assert found(monkeypatch, candidates, only("mod_switch", "rescale")) == WHOLE


def test_programs_weigh_as_much_as_they_have_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one sends 64 ciphertexts and gets one, for which small primes are good. The other gets 8 for one, and
    of each of them one prime in place of two where one is dropped."""
    wide, tall = wanted("wide", columns=512), wanted("tall", rows=64)
    for many, expected in ((1, DROPPED), (40, WHOLE)):
        programs = replace(wide, groups=many), tall
        assert found(monkeypatch, [WHOLE, DROPPED], only(), programs) == expected
