"""``%%slot`` in an IPython shell: verdicts and names, messages with their places, no tracebacks."""

from __future__ import annotations

import pytest
from notebook_cells import run, shell
from repository import program_text

from slotlang.api import Program, SlotError
from slotlang.notebook.magic import CellError, checked

RIGHT = "program p(n = 4)\ninput  x[n]\naxes (h < n)\ncipher X = x[h]\noutput y[h] = X\nprove  y == x\n"
WRONG = RIGHT.replace("output y[h] = X", "Y = X << 1\noutput y[h] = Y")


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    with shell(tmp_path_factory.mktemp("ipython")) as made:
        made.run_line_magic("load_ext", "slotlang")
        yield made


def test_a_proved_program_gets_its_name(cells):
    result, _, (shown,) = run(cells, f"%%slot layout\n{RIGHT}")
    assert result.success
    program = cells.user_ns["layout"]
    assert isinstance(program, Program) and program.name == "p" and program.sizes["n"] == 4
    assert "proved" in shown["text/html"] and shown["text/plain"].startswith("proved  p")


def test_a_refuted_program_is_a_result_with_its_wrong_slots(cells):
    result, printed, (shown,) = run(cells, f"%%slot wrong\n{WRONG}")
    assert result.success and not printed and cells.user_ns["wrong"].name == "p"
    for form in (shown["text/html"], shown["text/plain"]):
        assert "refuted" in form and "line 7" in form
        assert "x[1]" in form and "with `0` for `1` in line 6 this proves".replace("`", "`") in form
    assert "all 4 slots of Y are wrong" in shown["text/html"]
    assert "Y slot 0 &lt;- X slot 1" in shown["text/html"]


def test_messages_have_the_lines_of_the_cell_and_no_traceback(cells):
    cells.user_ns.pop("layout", None)
    source = f"%%slot layout\n{RIGHT.replace('x[h]', 'x[k]')}"
    result, printed, shown = run(cells, source)
    assert isinstance(result.error_in_exec, CellError) and not shown and "layout" not in cells.user_ns
    line = source.splitlines().index("cipher X = x[k]") + 1
    place = f"In[{result.execution_count}]:{line}:14"
    assert printed.splitlines() == [
        "error[SL201]: 'k' is not known",
        f"  --> {place}",
        "   |",
        f" {line} | cipher X = x[k]",
        "   |              ^",
        "  hint: known here: n, h, slot",
    ]


def test_sizes_costs_and_pictures(cells):
    small = "--size d=32,r=4 --size batch=2 --size slots=16"
    result, _, (shown,) = run(
        cells, f'%%slot lora {small} --cost --show X --show "W[1, 1]"\n{program_text("rank_complex")}'
    )
    assert result.success and cells.user_ns["lora"].sizes["d"] == 32
    text = shown["text/html"]
    assert text.count("<svg") == 2 and "W[1, 1]" in text
    # 3 rotations sum 8 channels with 2 ranks to a slot, and horner and the second product take one each
    assert '<td class="number">4</td><td>rotations</td>' in text


def test_what_can_not_be_shown_leaves_the_verdict(cells):
    result, _, (shown,) = run(cells, f"%%slot --show Q\n{RIGHT}")
    assert result.success
    assert "proved" in shown["text/html"] and "SL601" in shown["text/html"] and "SL601" in shown["text/plain"]


def test_the_page_stands_in_a_frame_that_reaches_nothing(cells):
    result, _, (shown,) = run(cells, f"%%slot --page\n{RIGHT}")
    assert result.success
    text = shown["text/html"]
    assert 'sandbox="allow-scripts"' in text and text.count("<iframe") == 1
    document = text.partition("srcdoc='")[2].partition("'></iframe>")[0]
    assert "'" not in document and "<canvas" in document


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("3x", "'3x' is no name in Python"),
        ("class", "'class' is no name in Python"),
        ("a b", "unrecognized arguments: b"),
        ("--sise n=4", "unrecognized arguments: --sise"),
        ("--size n", "--size 'n' is not name=integer"),
        ("--size n=4 --size n=5", "size 'n' is set twice"),
        ("--method guess", "invalid choice"),
        ('"', "No closing quotation"),
    ],
)
def test_a_wrong_line_is_said_to_be_wrong(line, said):
    with pytest.raises(SlotError, match="SL005") as problem:
        checked(line, RIGHT)
    assert said in str(problem.value)


def test_cells_import_from_the_working_folder(tmp_path, monkeypatch):
    (tmp_path / "own.slot").write_text("def twice(v) = v + v\n")
    monkeypatch.chdir(tmp_path)
    text = 'import "./own.slot"\n' + RIGHT.replace("= x[h]", "= twice(x[h])").replace("y == x", "y == 2 * x")
    assert checked("", text)[1].report.proved
