"""Sizes, precision, searches and questions of a view, and the offsets that a browser counts in."""

from __future__ import annotations

import asyncio
import json

import pytest
from page_views import TEXT, client, settled, status, until
from repository import bind_text, program_text

from slotlang.api import cost
from slotlang.diagnostics import SlotError
from slotlang.editor.analysis import analyse
from slotlang.page import sessions as sessions_module
from slotlang.page import synthesis
from slotlang.page.knobs import Knobs, admitted_sizes, known_sizes, shape_of
from slotlang.page.offsets import character, unit
from slotlang.page.parts import merged, parts
from slotlang.page.sessions import Sessions, Viewed
from slotlang.planning.target import Target
from slotlang.source import Source

RANKS = program_text("rank_complex")
SMALL = {"d": 16, "r": 4, "batch": 2, "slots": 16}


def test_sizes_that_are_offered_are_those_that_bind_and_no_small_one_is_missing():
    analysis = analyse(RANKS, "p.slot", None, SMALL)
    found = admitted_sizes(analysis, analysis.programs[0])
    assert set(found) == set(SMALL)
    for name, values in found.items():
        assert values == sorted(set(values)) and SMALL[name] in values
        for value in range(1, 9):
            try:
                bind_text(RANKS, {**SMALL, name: value})
            except SlotError:
                assert value not in values, (name, value)
            else:
                assert value in values, (name, value)


def test_the_shape_is_that_of_the_theorem():
    analysis = analyse(RANKS, "p.slot", None, SMALL)
    assert shape_of(analysis, analysis.programs[0]) == {"d_in": 16, "d_out": 16, "rank": 4, "batch": 2}
    other = analyse(TEXT, "p.slot", None)
    assert shape_of(other, other.programs[0]) is None


def test_a_precision_and_sizes_are_those_of_the_costs():
    data = {}
    for part in parts(RANKS, "p.slot", None, SMALL, drawn=1, knobs=Knobs({"d": 32}, 1e-2)):
        data = merged(data, part)
    (program,) = data["programs"]
    expected = cost(bind_text(RANKS, {**SMALL, "d": 32}), target=Target(precision=1e-2))
    assert program["sizes"]["d"] == 32
    assert program["cost"]["primes"] == [str(p) for p in expected.parameters["primes"]]
    assert f"{expected.counts.rotations} rotations" in program["cost"]["line"]
    assert program["knobs"]["shape"]["d_in"] == 32


@pytest.mark.parametrize(
    "sizes, precision",
    [
        ([], None),
        ({"d": "4"}, None),
        ({"d": True}, None),
        ({"d": -1}, None),
        ({"d": 1 << 40}, None),
        ({str(n): 1 for n in range(65)}, None),
        ({}, 0),
        ({}, 1),
        ({}, "1e-3"),
        ({}, True),
        ({}, float("nan")),
    ],
)
def test_knobs_that_are_none_are_refused(sizes, precision):
    with pytest.raises(ValueError, match=r"size|precision"):
        Knobs.asked(sizes, precision)


def test_a_size_that_the_text_has_no_more_is_left_out():
    assert known_sizes(Source("p", TEXT), {"n": 8, "m": 2}) == {"n": 8}
    assert known_sizes(Source("p", "program p(n = 4, m\n"), {"n": 8}) in ({}, {"n": 8})
    assert known_sizes(Source("p", ""), {"n": 8}) == {}


def test_places_are_counted_as_a_browser_does():
    text = "a\U0001d538b é"
    assert [unit(text, n) for n in range(len(text) + 1)] == [0, 1, 3, 4, 5, 6]
    assert [character(text, unit(text, n)) for n in range(len(text) + 1)] == list(range(len(text) + 1))
    assert character("abc", 99) == 3 and character(text, 99) == len(text) and character(text, -1) == 0
    (first, *_) = parts("# \U0001d538\nprogram p(n = 4)\ninput x[m]\n", "p.slot", None)
    (mark,) = first[1]["marks"]
    assert (mark["line"], mark["from"], mark["to"]) == (3, 30, 31)


def test_a_view_turns_its_sizes_and_keeps_them_while_it_is_rewritten(file):
    async def go():
        sessions = Sessions(Viewed(file))
        session = sessions.open()
        await until(session, settled)
        sessions.turn(session, Knobs({"n": 8, "gone": 1}))
        await until(session, lambda s: s.current and settled(s))
        assert session.data["programs"][0]["sizes"] == {"n": 8} and not session.edited
        assert session.state("", 0)["knobs"] == {"sizes": {"n": 8, "gone": 1}, "precision": None}
        found = await sessions.value(session, "p", "S", [])
        assert found["reads"] == [["X", [], 1, 1]] and found["rows"] * found["columns"] == 8
        sessions.change(session, TEXT.replace("<< 1", "<<"))
        await until(session, lambda s: s.current and not s.data["right"])
        sessions.change(session, TEXT + "# more\n")
        await until(session, lambda s: s.current and settled(s) and s.data["right"])
        assert session.data["programs"][0]["sizes"] == {"n": 8} and status(session) == "proved"
        sessions.stop()

    asyncio.run(go())


def test_the_engine_answers_for_the_text_that_is_asked_about(file):
    async def go():
        async with client(file) as c:
            key = (await c.post("/open", json={})).json()["session"]

            async def ask(text, question, offset):
                asked = {"session": key, "text": text, "question": question, "offset": offset}
                return (await c.post("/ask", json=asked)).json()

            newer = "# \U0001d538\n" + TEXT + "Z = X"
            found = (await ask(newer, "completions", len(newer) + 1))["answer"]
            assert found["from"] == len(newer)
            labels = [p["label"] for p in found["proposals"]]
            assert {"X", "S", "sum"} <= set(labels)
            at = newer.index("S = X") + 1
            said = (await ask(newer, "hover", at))["answer"]
            assert (said["from"], said["to"]) == (at, at + 1) and "S = X << 1" in said["text"]
            assert (await ask(newer, "hover", 0))["answer"] is None
            for wrong in [(5, "hover", 0), (TEXT, "renamed", 0), (TEXT, "hover", "1"), (TEXT, "hover", True)]:
                assert "error" in await ask(*wrong)

    asyncio.run(go())


def test_a_hover_knows_the_verdict_of_the_text_alone(file):
    claimed = TEXT.replace("output", "claim S == x[(h + 1) % n]\noutput")
    file.write_text(claimed)

    async def go():
        sessions = Sessions(Viewed(file))
        session = sessions.open()
        await until(session, lambda s: settled(s) and s.known)
        place = claimed.index("S = X")
        known = await sessions.ask(session, claimed, "hover", place)
        assert ": proved" in known["text"] and "1 rotation" in known["text"]
        newer = await sessions.ask(session, claimed + "\n", "hover", place)
        assert "not decided yet" in newer["text"]
        sessions.stop()

    asyncio.run(go())


def small_search(shape, precision, objective):
    yield {"what": "comparing structures", "done": 0.1}
    yield {"best": {"name": "one"}, "program": "program found(n = 4)\n"}
    for _ in range(10_000 if objective == "keys" else 0):
        yield {"done": 0.2}
    yield {"state": "done", "what": "", "done": 1.0, "asked": [shape, precision, objective]}


def test_a_search_tells_its_progress_and_stays_when_it_is_stopped(file, monkeypatch):
    file.write_text(RANKS)
    monkeypatch.setattr(sessions_module, "searched", small_search)

    async def go():
        sessions = Sessions(Viewed(file, sizes=SMALL))
        session = sessions.open()
        assert not sessions.search(session, "rank_complex", 1e-3, "time"), "its shape is not known yet"
        await until(session, settled)
        assert not sessions.search(session, "another", 1e-3, "time")
        assert sessions.search(session, "rank_complex", 1e-3, "time")
        await until(session, lambda s: s.search["state"] == "done")
        shape = {"d_in": 16, "d_out": 16, "rank": 4, "batch": 2}
        assert session.search["asked"] == [shape, 1e-3, "time"]
        assert session.state("", 0)["search"]["program"].startswith("program found")
        assert sessions.search(session, "rank_complex", 1e-2, "keys")
        await until(session, lambda s: "best" in s.search)
        sessions.stop_search(session)
        assert session.search["state"] == "stopped" and session.search["best"] == {"name": "one"}
        await asyncio.sleep(0.05)
        assert session.search["state"] == "stopped"
        sessions.stop()

    asyncio.run(go())


def test_searches_that_can_not_be_are_refused(file):
    async def go():
        async with client(file) as c:
            key = (await c.post("/open", json={})).json()["session"]
            asked = {"session": key, "program": "p", "precision": 1e-3, "objective": "time"}
            for more in [{}, {"precision": None}, {"precision": 2}, {"objective": "beauty"}]:
                found = await c.post("/synth", json=asked | more)
                assert found.status_code == 400 and found.json()["error"], found.text
            for body in [{"sizes": {"n": "x"}}, {"sizes": {}, "precision": 0}, {}]:
                assert (await c.post("/knobs", json={"session": key, **body})).status_code == 400
            assert (await c.post("/stop", json={"session": key})).status_code == 200

    asyncio.run(go())


def test_a_real_search_finds_a_program_that_is_proved_and_costs_what_it_says(monkeypatch):
    monkeypatch.setattr(synthesis.kept, "folder", lambda: None)
    monkeypatch.setattr(synthesis, "finalists_for", lambda shape: 1)
    told = list(synthesis.searched({"d_in": 16, "d_out": 16, "rank": 2, "batch": 1}, 1e-2, "rotations"))
    assert told[-1]["state"] == "done" and json.dumps(told)
    found = merged({}, ((), {}))
    for part in parts(told[-1]["program"], "found.slot", None, drawn=1):
        found = merged(found, part)
    (program,) = found["programs"]
    assert program["verdict"]["status"] == told[-1]["best"]["verdict"] == "proved"
    rows = {noun: number for number, noun in told[-1]["best"]["rows"]}
    assert [f"{rows['rotations']}", "rotations"] in [list(row) for row in program["cost"]["rows"]]


def test_a_search_that_is_refused_says_why():
    (told,) = synthesis.searched({"d_in": 1 << 30, "d_out": 16, "rank": 2, "batch": 1}, 1e-2, "time")
    assert told["state"] == "failed" and "SL461" in told["problem"]
