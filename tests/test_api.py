"""The Python API: every command has a function, what it returns is short to print, and errors say all."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import numpy as np
import pytest
from command_line import slotlang
from repository import PROGRAMS, ROOT

import slotlang as package
from slotlang import api
from slotlang.emit.loaded import load_module

SIZES = {"d": 32, "r": 4, "batch": 2, "slots": 32}
WRONG = "program p(n = 4)\ninput  x[n]\naxes (h < n)\ncipher X = x[k]\noutput y[h] = X\nprove  y == x\n"


@pytest.fixture(scope="module")
def program() -> api.Program:
    return api.load(PROGRAMS / "rank_complex.slot", SIZES)


def test_errors_say_place_and_hint() -> None:
    with pytest.raises(api.SlotError) as problem:
        api.loads(WRONG, name="p.slot")
    assert str(problem.value) == (
        "SL201: 'k' is not known\n  --> p.slot:4:14\n   |\n 4 | cipher X = x[k]\n   |              ^\n"
        "  hint: known here: n, h, slot"
    )


def test_reprs_are_short(program: api.Program) -> None:
    lowered = api.lower(program)
    assert repr(program) == "<Program rank_complex(d = 32, r = 4, batch = 2, slots = 32)>"
    assert repr(lowered).startswith("<Lowered rank_complex: proved, 8192: ") and len(repr(lowered)) < 120
    assert repr(lowered.plan).startswith("<Plan rank_complex: 8192: ") and len(repr(lowered.plan)) < 120


def test_reprs_of_all_results_are_short(program: api.Program) -> None:
    """None prints an array, a table or a program's text."""
    adapter = api.read_adapter(ROOT / "examples" / "minilm_adapter")
    lowered = api.lower(program)
    costs = api.cost(program)
    results = [
        *(adapter, *adapter.modules.values(), lowered, lowered.plan, lowered.range),
        *(api.check(program), costs, costs.counts, costs.predicted, costs.promise, api.find_profile()),
        *(api.compare(program, program), api.formulas(program)),
        *(api.show(program), api.show(program, "X"), load_module(lowered.text), lowered.plan.parameters),
    ]
    assert [text for text in map(repr, results) if len(text) > 400 or "\n" in text] == []
    assert repr(adapter) == "<Adapter minilm_adapter: 7 modules>"


def test_dataclasses_print_no_arrays() -> None:
    """Fields of public dataclasses that hold arrays or bytes are left out of their reprs."""
    held = re.compile(r"NDArray|ndarray|\b(Array|Arrays|Floats|Ints|Words|memoryview)\b|: bytes$|dict\[str, bytes\]")
    found, seen = [], 0
    for file in [*(ROOT / "slotlang").rglob("*.py"), *(ROOT / "slotlang_runtime").rglob("*.py")]:
        for name, body in re.findall(
            r"@dataclass[^\n]*\nclass ([A-Z]\w*)[^\n]*:\n((?:(?:    [^\n]*)?\n)+)", file.read_text()
        ):
            seen += 1
            if "def __repr__" in body:
                continue
            for field in re.findall(r"^    (\w+: [^\n]+)$", body, re.MULTILINE):
                if held.search(field) and "Callable" not in field and "repr=False" not in field:
                    found.append(f"{file.name} {name}.{field}")
    assert seen > 300 and found == []


FUNCTIONS = [name for name in api.__all__ if inspect.isfunction(getattr(api, name))]
GIVEN = {"a text": "program p(n = 4)", "None": None, "a number": 3, "a list": [1]}


def test_every_public_function_is_in_the_table() -> None:
    assert {"check", "compare", "cost", "load", "loads", "lower", "plan", "read_adapter", "run", "synth"} < {*FUNCTIONS}


@pytest.mark.parametrize("given", GIVEN)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_an_argument_of_another_kind_is_one_clear_error(name: str, given: str, tmp_path: Path) -> None:
    """In place of each argument: a text, None, a number or a list. It is taken, or refused with a code and a hint."""
    function = getattr(api, name)
    needed = [
        p
        for p in inspect.signature(function).parameters.values()
        if p.default is p.empty and p.kind is not p.VAR_KEYWORD
    ]
    for wrong in needed:
        # others may be wrong too: the first one is what is said
        arguments = [GIVEN[given] if p is wrong else str(tmp_path / "nothing") for p in needed]
        if name in ("loads", "fmt", "parameters_named", "load", "read_adapter") and isinstance(GIVEN[given], str):
            arguments = [str(tmp_path / "nothing")]
        with pytest.raises(api.SlotError) as problem:
            function(*arguments)
        assert all(d.hint for d in problem.value.diagnostics), str(problem.value)


@pytest.mark.parametrize("name", ["check", "cost", "lower", "plan", "show", "formulas", "compare"])
def test_a_text_in_place_of_a_program_says_how_one_is_made(name: str) -> None:
    with pytest.raises(
        TypeError, match=rf"^SL005: {name}: programs? is a Program, and str 'program p.* is given"
    ) as problem:
        getattr(api, name)(WRONG)
    assert isinstance(problem.value, api.SlotError)
    assert problem.value.diagnostics[0].hint.startswith("api.loads(text) makes a Program")


def test_arguments_that_annotations_allow_are_taken(program: api.Program) -> None:
    assert api.cost(program, None, target=api.Target()).counts.rotations == 5
    assert api.load(str(PROGRAMS / "conjugate.slot"), sizes={"n": np.int64(8)}).sizes["n"] == 8
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        api.check()  # type: ignore[call-arg]
    with pytest.raises(api.SlotError, match=r"load: sizes is a Mapping, and list is given"):
        api.load(PROGRAMS / "rank_complex.slot", [1])  # type: ignore[arg-type]


def test_names_that_do_not_exist_are_refused(program: api.Program) -> None:
    with pytest.raises(api.SlotError, match="SL005: there is no method 'nonsense'"):
        api.check(program, "nonsense")  # type: ignore[arg-type]
    with pytest.raises(api.SlotError, match="SL463: there is no objective 'tome'"):
        api.optimize(PROGRAMS / "rank_complex.slot", SIZES, objective="tome")  # type: ignore[arg-type]
    with pytest.raises(api.SlotError, match="SL463: there is no objective 'tome'"):
        api.synth(8, 8, 2, objective="tome")  # type: ignore[arg-type]


@pytest.mark.parametrize("command", [["synth", "--d-in", "8", "--d-out", "8", "--rank", "2"], ["optimize", "p.slot"]])
def test_one_mistake_has_one_code(command: list[str]) -> None:
    ended = slotlang(*command, "--objective", "tome")
    assert ended.status == 2 and ended.err.startswith("error[SL463]: there is no objective 'tome'")


def test_show_draws_what_the_command_draws(program: api.Program) -> None:
    words = [word for name, size in SIZES.items() for word in ("--set", f"{name}={size}")]
    for names in ([], ["X"], ["W[1, 1]"]):
        assert (
            str(api.show(program, *names)) == slotlang("show", str(PROGRAMS / "rank_complex.slot"), *names, *words).out
        )
    assert max(map(len, str(api.show(program, "X", width=40)).splitlines()[2:])) <= 40


def test_fmt_and_adapters() -> None:
    text = (PROGRAMS / "rank_complex.slot").read_text(encoding="utf-8")
    assert api.fmt(text.replace("input  x", "input x")) == text
    adapter = api.read_adapter(ROOT / "examples" / "minilm_adapter")
    assert adapter.modules
    with pytest.raises(api.SlotError, match="SL501"):
        api.read_adapter(ROOT / "docs")


@pytest.mark.slow
def test_synth_writes_a_program_that_proves() -> None:
    found = api.synth(16, 16, 2)
    assert api.check(api.loads(found.text)).proved and found.ranked[0].error <= 1e-3
    assert max(map(len, map(repr, [found, *found.ranked]))) < 200


def test_rotation_steps_are_listed(program: api.Program) -> None:
    cost = api.cost(program)
    # horner rotates by batch; doubling by R*batch, 2*R*batch, 4*R*batch; the second product by batch again
    assert cost.rotation_steps == (2, 4, 8, 16) and cost.composed_rotations == {}
    assert cost.to_json()["rotation_steps"] == [2, 4, 8, 16]
    fewer = api.cost(program, api.parameters_named("degree 8192 primes 60, 60, 60 scales 36 keys 2, 8"))
    assert fewer.rotation_steps == (2, 8)
    assert {step: sum(route) for step, route in fewer.composed_rotations.items()} == {4: 4, 16: 16}


def test_version_and_programs() -> None:
    assert slotlang("--version").out == f"slotlang {package.__version__}\n"
    assert Path(PROGRAMS) == api.programs_path()
    with pytest.raises(AttributeError, match="nothing_such"):
        package.nothing_such  # noqa: B018
