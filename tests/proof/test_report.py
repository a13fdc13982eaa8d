"""One report for a program, for all its sizes, and for a module: the same keys, and words of its own for each."""

from __future__ import annotations

from small_programs import LORA

from slotlang import api
from slotlang.proof.forall.check import check_for_all
from slotlang.proof.report import Report, WrongElement
from slotlang.source import Source
from slotlang.syntax.parser import parse


def test_every_subject_has_the_same_keys() -> None:
    wrong = WrongElement("y[3]", 1.5, 2j)
    reports = (
        ("program", api.check(api.loads(LORA))),
        ("all sizes", check_for_all(parse(Source("p", LORA)), ["all"])),
        (
            "module",
            Report("refuted", "numeric", 0.1, counterexample=wrong, subject="module", examined={"operations": 3}),
        ),
    )
    first = reports[0][1].to_json()
    for subject, report in reports:
        values = report.to_json()
        assert (values["subject"], values["verdict"]) == (subject, report.status)
        assert values.keys() == first.keys()


def test_what_a_person_reads() -> None:
    program = api.check(api.loads(LORA))
    assert program.what == "" and any("no CKKS noise" in line for line in program.lines())
    wrong = Report("refuted", "numeric", 0.1, counterexample=WrongElement("y[3]", 1.5, 2j), subject="module")
    assert wrong.what == "y[3] is 1.5 and should be 0+2j on random data in exact slots"
    assert wrong.lines() == [f"the module does not compute what the program says: {wrong.what}"]
    open_ = Report("unknown", "symbolic", 0.1, reason="line 7 is not understood", subject="module")
    assert open_.lines() == ["not decided whether the module computes what the program says: line 7 is not understood"]
