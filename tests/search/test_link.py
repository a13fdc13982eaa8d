"""The link that a latency counts: what can be said, what is refused, and what it adds."""

from __future__ import annotations

from dataclasses import replace

import pytest
from command_line import slotlang

from slotlang.cost.link import Link
from slotlang.cost.profile import find_profile
from slotlang.planning.target import Target
from slotlang.search.candidate import Limits
from slotlang.search.prices import Prices
from slotlang.search.search import search, start
from slotlang.search.structure import Shape


def test_rates_and_round_trips() -> None:
    assert Link.named(None, None) is None
    assert Link.named("100Mbit", "20ms") == Link(1e8, 0.02)
    assert Link.named("1.5 Gbit/s", None) == Link(1.5e9)
    assert Link.named(None, "3us") == Link(None, 3e-6)
    # a megabyte each way, 8 bits a byte
    assert Link(8e6, 0.5).seconds(1e6, 1e6) == pytest.approx(2.5)
    assert Link(None, 0.5).seconds(1e6, 1e6) == 0.5


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--link", "3parsecs", "--link is a rate above 0, such as 100Mbit, not '3parsecs'"),
        ("--link", "0Mbit", "--link is a rate above 0, at most 1e+09Mbit, not '0Mbit'"),
        ("--link", "-1Mbit", "--link is a rate above 0, such as 100Mbit, not '-1Mbit'"),
        ("--link", "100", "--link is a rate above 0, such as 100Mbit, not '100'"),
        ("--link", "9999999999Gbit", "--link is a rate above 0, at most 1e+06Gbit, not '9999999999Gbit'"),
        ("--rtt", "soon", "--rtt is a time above 0, such as 20ms, not 'soon'"),
        ("--rtt", "0ms", "--rtt is a time above 0, at most 3.6e+06ms, not '0ms'"),
        ("--rtt", "nan s", "--rtt is a time above 0, such as 20ms, not 'nan s'"),
    ],
)
def test_links_that_can_not_be_read(option: str, value: str, said: str) -> None:
    ended = slotlang("synth", "--d-in", "8", "--d-out", "8", "--rank", "2", f"{option}={value}")
    assert ended.status == 2 and not ended.out
    message, hint = ended.err.splitlines()
    assert message == f"error[SL466]: {said}"
    units = "bit, kbit, Mbit, Gbit" if option == "--link" else "us, ms, s"
    assert hint == f"  hint: a number with a unit: {units}"


def test_a_slow_link_is_most_of_a_latency() -> None:
    shape, link = Shape(64, 64, 4, 1), Link(1e6, 0.1)
    found = start(shape, "latency", Target(precision=1e-3), Limits())
    found.link = link
    search(found, find_profile(), slots=(2048,), finalists=2)
    best = found.ranked[0]
    sent = best.upload_bytes + best.download_bytes
    assert best.latency(link) == pytest.approx(best.predicted.request + 0.1 + 8 * sent / 1e6)
    assert best.latency(None) == best.predicted.request
    assert all(best.latency(link) <= other.latency(link) for other in found.candidates)


def test_formulas_of_latencies_count_client_and_link() -> None:
    server = Prices(find_profile())
    client = replace(server, whole=True)
    slow = replace(client, link=Link(1e6))
    for price in ("up", "down"):
        rest = () if price == "up" else (2,)
        a, b, c = (getattr(prices, price)(4096, "pairs", *rest) for prices in (server, client, slow))
        assert (a < b).all() and (b < c).all()
