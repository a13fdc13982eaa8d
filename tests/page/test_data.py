"""What a page has of a program, compared with what the engine says."""

from __future__ import annotations

import pytest
from page_reader import expand, slot_texts
from repository import ROOT, bind_text, program_text

from slotlang.api import check, cost
from slotlang.page import values as values_module
from slotlang.page.parts import merged, one_value, parts, whole
from slotlang.page.values import chosen_members, values
from slotlang.show.content import contents
from slotlang.show.wrong import held

SMALL = {"d": 16, "r": 4, "batch": 2, "slots": 16}
BACKWARDS = (ROOT / "docs" / "tutorial" / "diagonals_backwards.slot").read_text()
TEXT = program_text("rank_complex")


@pytest.fixture(scope="module")
def page():
    return whole(TEXT, "rank_complex.slot", None, SMALL)


@pytest.fixture(scope="module")
def refuted():
    return whole(BACKWARDS, "backwards.slot", None)


def test_every_value_of_a_small_program_is_there_with_every_slot(page):
    (program,) = page["programs"]
    bound = bind_text(TEXT, SMALL)
    claims = held(bound, check(bound).steps)
    assert program["complete"]
    assert len(program["values"]) == sum(f.size for f in bound.families.values()) == 16
    for value in program["values"].values():
        found = contents(bound, value["family"], tuple(value["member"]), claims=claims)
        assert value["title"] == found.title
        assert slot_texts(value, 16) == [found.text(s) for s in range(16)]
        assert expand(value["groups"]) == found.groups.tolist()


def test_the_text_is_whole_and_its_statements_name_stages(page):
    assert "".join(piece for piece, _, _ in page["pieces"]) == TEXT
    lines = TEXT.splitlines()
    for s in page["statements"]:
        if s["kind"] == "define":
            assert (
                lines[s["first"] - 1].replace("plain ", "").replace("cipher ", "").split("[")[0].split()[0]
                == s["stage"]
            )
    claim = next(s for s in page["statements"] if s["kind"] == "claim")
    output = next(s for s in page["statements"] if s["kind"] == "output")
    assert (claim["stage"], output["stage"]) == ("S", "Y")


def test_steps_of_stages_are_those_that_are_executed(page):
    (program,) = page["programs"]
    costs = [stage["cost"] for stage in program["stages"] if "cost" in stage]
    assert any(found["steps"] for found in costs)
    for found in costs:
        assert sum(times for _, times in found["steps"]) == found["rotations"]
    assert {step for found in costs for step, _ in found["steps"]} == set(cost(bind_text(TEXT, SMALL)).rotation_steps)


def test_verdict_goals_stages_and_costs_are_the_engines(page):
    (program,) = page["programs"]
    bound = bind_text(TEXT, SMALL)
    assert program["verdict"]["status"] == check(bound).status == "proved"
    assert [(g["what"], g["status"]) for g in program["verdict"]["goals"]] == [
        ("claim S", "proved"),
        ("output y[c*C + h, t]", "proved"),
    ]
    counted = cost(bound)
    assert sum(s["cost"]["rotations"] for s in program["stages"] if "cost" in s) == counted.counts.rotations
    assert program["cost"]["rows"][0] == (str(counted.counts.rotations), "rotations")
    assert [(b["at_least"], b["gap"]) for b in program["cost"]["bounds"]] == [
        (b.at_least, b.gap) for b in counted.bounds
    ]
    assert {s["name"]: s["rank"] for s in program["stages"]} == {"X": 0, "W": 0, "V": 0, "P": 1, "T": 2, "S": 3, "Y": 4}
    assert ["T", "S", True] in program["edges"] and ["X", "P", False] in program["edges"]


def test_a_refuted_program_has_its_wrong_slot_and_where_it_came_from(refuted):
    (program,) = refuted["programs"]
    found = program["refutation"]
    assert program["verdict"]["status"] == "refuted"
    assert (found["value"], found["slot"]) == ("S", 0)
    assert found["origin"][0].startswith("S slot 0 <- T slot 0") and found["origin"][-1] == "X[0] slot 2 = x[1, 0]"
    assert next(iter(program["values"])) == "S", "the wrong value has room first"
    assert sum(expand(program["values"]["S"]["wrong"])) == 16
    assert "lost" in str(program["verdict"]["mark"]["related"])


def test_a_repair_is_said_once_and_has_what_it_changes():
    """Language servers show repairs among the related places; a page has each as a repair alone."""
    data = whole(BACKWARDS, "backwards.slot", None)
    mark = data["programs"][0]["verdict"]["mark"]
    assert mark["fixes"] and all(fix["after"] for fix in mark["fixes"])
    for fix in mark["fixes"]:
        ((start, end, new),) = fix["edits"]
        assert " ".join(new.split()) == " ".join(fix["after"].split())
        assert all(fix["title"] not in text for _, text in mark["related"])
        changed = BACKWARDS[:start] + new + BACKWARDS[end:]
        assert check(bind_text(changed)).status == "proved"
    # what a title says in full has no more to say
    (meant,) = whole(TEXT.replace("horner: P[q]", "horner: PP[q]"), "a.slot", None)["marks"]
    assert [fix["after"] for fix in meant["fixes"]] == [""]


def test_slots_of_proved_outputs_have_their_elements(page, refuted):
    (program,) = page["programs"]
    bound = bind_text(TEXT, SMALL)
    read = {}
    for title, value in program["values"].items():
        for name, part, shape, places in value["results"]:
            assert (name, part, shape) == ("y", "re", [16, 2])
            read.update({(title, s): place for s, place in enumerate(expand(places)) if place >= 0})
    # y[c*C + h, t] is the real part of slot (h, t) of Y[c], C = 8 and two tokens
    assert read == {(f"Y[{c}]", 2 * h + t): 2 * (8 * c + h) + t for c in range(2) for h in range(8) for t in range(2)}
    (one,) = one_value(TEXT, "a.slot", None, SMALL, "rank_complex", "Y", (1,), check(bound).steps)
    assert one["results"] == program["values"]["Y[1]"]["results"]
    assert all(not value["results"] for value in refuted["programs"][0]["values"].values())


def test_parts_come_one_after_another_and_make_the_whole(page):
    data, keys = {}, []
    for part in parts(TEXT, "rank_complex.slot", None, SMALL):
        keys.append(part[0][2:] or part[0])
        data = merged(data, part)
    assert keys[:2] == [(), ("verdict",)]
    assert data["programs"][0]["values"] == page["programs"][0]["values"]


def test_a_text_that_is_not_right_has_its_messages():
    for text in ("", "program p(", "program p(n = 4)\ninput x[m]\n", "\0", "# nothing"):
        data = whole(text, "a.slot", None)
        assert not data["right"]
        assert "".join(piece for piece, _, _ in data["pieces"]) == text or "\0" in text
    for text in ("", " \n\n", "# nothing"):
        assert [(m["code"], m["line"]) for m in whole(text, "a.slot", None)["marks"]] == [("SL108", 1)]
    data = whole("program p(n = 4)\ninput x[m]\n", "a.slot", None)
    assert [(m["code"], m["line"]) for m in data["marks"]] == [("SL201", 2)]


def test_of_several_programs_each_has_its_own_values_and_one_can_be_chosen():
    one = "program {}(n = {})\ninput x[n]\naxes (h < n)\ncipher X = x[h]\nS = X << 0\noutput y[h] = S\nprove y == x\n"
    text = one.format("a", 4) + "\n" + one.format("b", 8)
    data = whole(text, "ab.slot", None)
    assert [(p["name"], p["slots"], p["verdict"]["status"]) for p in data["programs"]] == [
        ("a", 4, "proved"),
        ("b", 8, "proved"),
    ]
    assert {s["program"] for s in data["statements"]} == {0, 1}
    (only,) = whole(text, "ab.slot", None, {"n": 16}, only="b")["programs"]
    assert (only["name"], only["number"], only["slots"]) == ("b", 1, 16)


def test_what_has_no_room_is_left_out_and_said_and_can_be_asked_for():
    bound = bind_text(TEXT, SMALL)
    found, complete = values(bound, (), None, 3_000)
    assert not complete and 0 < len(found) < 16
    # the first member of every family comes before any second one
    assert [name for name, _ in chosen_members(bound)][:7] == ["X", "W", "P", "T", "S", "V", "Y"]
    (value,) = one_value(TEXT, "a.slot", None, SMALL, "rank_complex", "Y", (1,), [("claim S", "proved")])
    assert value["title"] == "Y[1]" and value["claims"]
    for wrong in (("rank_complex", "Y", (9,)), ("rank_complex", "Q", ()), ("other", "Y", (1,))):
        assert list(one_value(TEXT, "a.slot", None, SMALL, *wrong)) == []


def test_vectors_that_are_too_large_are_not_drawn(monkeypatch):
    monkeypatch.setattr(values_module, "MAX_SLOTS", 8)
    assert values(bind_text(TEXT, SMALL), (), None, 10**6) == ({}, False)
    (value,) = one_value(TEXT, "a.slot", None, SMALL, "rank_complex", "Y", (1,))
    assert value["why"] == "16 slots are too many to draw" and "texts" not in value


@pytest.mark.slow
def test_a_page_of_a_large_program_stays_below_the_limit():
    from slotlang.page.document import document

    for name in ("rank_complex", "permuted", "two_tokens"):
        data = whole(program_text(name), f"{name}.slot", None)
        assert len(document("report", name, data, program_text(name))) < 1_500_000
