"""One report for a program, for all its sizes, and for a module: the same keys, and words of its own for each."""

from __future__ import annotations

from small_programs import LORA

from slotlang import api
from slotlang.proof.forall.check import check_for_all
from slotlang.proof.report import Report, WrongElement
from slotlang.source import Source
from slotlang.syntax.parser import parse
from slotlang.validation.check import validate


def reports() -> dict[str, Report]:
    made = api.lower(api.loads(LORA))
    wrong = validate(made.text.replace("- 1j * A", "+ 1j * A"), made.plan.program)
    return {
        "program": made.report,
        "all sizes": check_for_all(parse(Source("p", LORA)), ["all"]),
        "module": made.validation,
        "wrong module": wrong,
    }


def test_every_subject_has_the_same_keys() -> None:
    found = reports()
    for name, report in found.items():
        assert report.subject == name.removeprefix("wrong ")
        values = report.to_json()
        assert values["subject"] == report.subject and values["verdict"] == report.status
        assert values.keys() == found["program"].to_json().keys()
    assert {found[name].status for name in ("program", "all sizes", "module")} == {"proved"}
    wrong = found["wrong module"]
    assert wrong.status == "refuted" and isinstance(wrong.counterexample, WrongElement)


def test_what_a_person_reads() -> None:
    program = api.check(api.loads(LORA))
    assert program.what == "" and any("no CKKS noise" in line for line in program.lines())
    wrong = Report("refuted", "numeric", 0.1, counterexample=WrongElement("y[3]", 1.5, 2j), subject="module")
    assert wrong.what == "y[3] is 1.5 and should be 0+2j on random data in exact slots"
    assert wrong.lines() == [f"the module does not compute what the program says: {wrong.what}"]
    open_ = Report("unknown", "symbolic", 0.1, reason="line 7 is not understood", subject="module")
    assert open_.lines() == ["not decided whether the module computes what the program says: line 7 is not understood"]
