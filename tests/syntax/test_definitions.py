"""Definitions mean what a person would write in their place: each program here stands beside its expansion by hand."""

from __future__ import annotations

import re
from pathlib import Path

import oracle
import pytest
from command_line import slotlang
from repository import bind_text

from slotlang.diagnostics import SlotError
from slotlang.meaning.bind import bind
from slotlang.mutation.mutants import mutants
from slotlang.mutation.repair import nearest_repairs
from slotlang.proof.check import check
from slotlang.proof.verdict import Wrong
from slotlang.recheck import recheck
from slotlang.source import Source
from slotlang.syntax.formatter import format_program
from slotlang.syntax.parser import parse, parse_file
from slotlang.syntax.statements import MAX_DEFINITIONS

HEAD = """program p(n = 8, k = 2)
input  x[n]
weight M[n, n], u[n]
axes (h < n)
cipher X = x[h]
"""
TAIL = """Y = sum q < n: (X << q) * D[q]
output y[h] = Y
prove  y == M @ x
"""
DIAGONALS = "plain D[q < n] = M[h, (h + q) % n]\n"


def same(text: str, by_hand: str) -> None:
    """The expansion is the program by hand, says so as a text too, and forgets nothing when it is formatted first."""
    expected = parse(Source("hand.slot", by_hand)).statements
    made = parse(Source("t.slot", text))
    assert made.statements == expected
    assert parse(Source("again.slot", made.source.text)).statements == expected
    formatted = format_program(parse_file(Source("t.slot", text)))
    assert parse(Source("t.slot", formatted)).statements == expected
    assert format_program(parse_file(Source("t.slot", formatted))) == formatted


PAIRS = {
    "an expression": (
        HEAD + "def diagonal(M, q) = M[slot, (slot + q) % slots]\nplain D[q < n] = diagonal(M, q)\n" + TAIL,
        HEAD + "plain D[q < n] = M[slot, (slot + q) % n]\n" + TAIL,
    ),
    "above the program": (
        "def twice(a) = 2 * a\n" + HEAD + "Y = twice(X)\n",
        HEAD + "Y = 2 * X\n",
    ),
    "below its use": (HEAD + "Y = twice(X)\ndef twice(a) = a + a\n", HEAD + "Y = X + X\n"),
    "an argument that binds weaker": (HEAD + "def twice(a) = 2 * a\nY = twice(X + X)\n", HEAD + "Y = 2 * (X + X)\n"),
    "an argument that is a sum": (
        HEAD + "def and_more(a, b) = a + b\nY = and_more(sum q < k: X << q, X)\n",
        HEAD + "Y = (sum q < k: X << q) + X\n",
    ),
    "a definition within another": (
        HEAD + "def f(a) = g(a, 1)\ndef g(a, b) = h2(a << b)\ndef h2(a) = a * a\nY = f(X) + g(X, k)\n",
        HEAD + "Y = (X << 1) * (X << 1) + (X << k) * (X << k)\n",
    ),
    "a call within an argument": (
        HEAD + "def next(a) = a << 1\nY = next(next(next(X)))\n",
        HEAD + "Y = ((X << 1) << 1) << 1\n",
    ),
    "names of the program that are declared above": (
        HEAD + "let c = k + 1\ndef far(a) = a << c*n\nY = far(X)\n",
        HEAD + "let c = k + 1\nY = X << c*n\n",
    ),
    "a digit, a permutation, a tensor and a family as arguments": (
        HEAD + "perm p: slot -> (slot + 3) % n\n"
        "def at(T, d, r, F) = permute(F, inverse(r)) * T[d, (d + 1) % slots]\nplain W = at(M, h, p, u[h])\n",
        HEAD + "perm p: slot -> (slot + 3) % n\nplain W = permute(u[h], inverse(p)) * M[h, (h + 1) % n]\n",
    ),
    "a loop that would catch the argument's": (
        HEAD + "def total(T) = sum q < k: T << q\nplain D[q < n] = M[h, q]\nY = sum q < n: total(X * D[q])\n",
        HEAD + "plain D[q < n] = M[h, q]\nY = sum q < n: (sum q_2 < k: X * D[q] << q_2)\n",
    ),
    "a loop that would catch a declared name": (
        HEAD + "def total(T) = sum n < 2: T << n\nY = total(X)\n",
        HEAD + "Y = sum n_2 < 2: X << n_2\n",
    ),
    "a loop that would catch a name declared below": (
        HEAD + "def total(T) = sum Z < 2: T << Z\nY = total(X)\nZ = Y\n",
        HEAD + "Y = sum Z_2 < 2: X << Z_2\nZ = Y\n",
    ),
    "loops of definitions within each other": (
        HEAD + "def f(T) = sum q < 2: g(T << q)\ndef g(T) = sum q < 3: T << q\nY = f(X)\n",
        HEAD + "Y = sum q < 2: (sum q_2 < 3: X << q << q_2)\n",
    ),
    "a loop within another one, of which it needs nothing": (
        HEAD + "def f(T) = sum q < 2: g(T)\ndef g(T) = sum q < 3: T << q\nY = f(X)\n",
        HEAD + "Y = sum q < 2: (sum q_2 < 3: X << q_2)\n",
    ),
    "a loop beside the argument's own loop": (
        HEAD + "def f(T) = sum q < 2: T << q\nY = f(sum q < 3: X << q)\n",
        HEAD + "Y = sum q_2 < 2: (sum q < 3: X << q) << q_2\n",
    ),
    "a member that is given in part": (
        HEAD + "plain D[c < 2, q < n] = M[h, q]\ndef of(F, i) = F[i] * F[0]\nY = sum c < 2: X * of(D[c], 1)\n",
        HEAD + "plain D[c < 2, q < n] = M[h, q]\nY = sum c < 2: X * (D[c, 1] * D[c, 0])\n",
    ),
    "a condition": (
        HEAD + "def fits(a, b) = a % b == 0 and a > b\nrequire fits(n, k)\nY = X * [fits(h, k)]\n",
        HEAD + "require n % k == 0 and n > k\nY = X * [h % k == 0 and h > k]\n",
    ),
    "everywhere an expression stands": (
        "def one_more(a) = a + 1\nprogram p(n = 8, k = one_more(1))\nlet m = one_more(k)\n"
        "input x[one_more(n) - 1]\nweight M[i < n, j < n] sparse where one_more(i) <= j\naxes (h < one_more(n - 1))\n"
        "cipher X = x[h]\nperm p: slot -> (one_more(slot) + n - 1) % n\nclaim X == x[h] where one_more(h) > 1\n"
        "output y[one_more(h) - 1] = X where one_more(h) > 0\nbound |x| <= one_more(k)\nprove y == x\n",
        "program p(n = 8, k = 1 + 1)\nlet m = k + 1\n"
        "input x[n + 1 - 1]\nweight M[i < n, j < n] sparse where i + 1 <= j\naxes (h < n - 1 + 1)\n"
        "cipher X = x[h]\nperm p: slot -> (slot + 1 + n - 1) % n\nclaim X == x[h] where h + 1 > 1\n"
        "output y[h + 1 - 1] = X where h + 1 > 0\nbound |x| <= k + 1\nprove y == x\n",
    ),
    "slots of several digits": (
        "def last(v) = v[slots - 1]\nprogram p(n = 8)\ninput x[n]\naxes (h < n/2, t < 2)\naxes (g < n)\n"
        "cipher X = last(x)\n",
        "program p(n = 8)\ninput x[n]\naxes (h < n/2, t < 2)\naxes (g < n)\ncipher X = x[n/2*2 - 1]\n",
    ),
    "slots that are a size": (
        "def last(v) = v[slots - 1]\nprogram p(slots = 8)\ninput x[slots]\naxes (h < slots)\ncipher X = last(x)\n",
        "program p(slots = 8)\ninput x[slots]\naxes (h < slots)\ncipher X = x[slots - 1]\n",
    ),
    "a template": (
        HEAD + DIAGONALS + "def product(X, D, n):\n  G[q < n] = (X << q) * D[q]\n  Y = sum q < n: G[q]\n"
        "  claim Y == sum q < n: G[q]\nend\nZ = product(X, D, n)\n",
        HEAD + DIAGONALS + "Z_G[q < n] = (X << q) * D[q]\nZ = sum q < n: Z_G[q]\nclaim Z == sum q < n: Z_G[q]\n",
    ),
    "two uses of a template": (
        HEAD + "def next(V):\n  W = V << 1\n  Y = W + V\nend\nA = next(X)\nB = next(A)\n",
        HEAD + "A_W = X << 1\nA = A_W + X\nB_W = A << 1\nB = B_W + A\n",
    ),
    "a template with loops at its use": (
        HEAD + "def next(V):\n  W[j < 2] = V << j\n  Y = W[0] + W[1]\n  claim W[i] == V << i\nend\n"
        "P[i < 3] = X << i\nB[i < 3] = next(P[i])\n",
        HEAD + "P[i < 3] = X << i\nB_W[i < 3, j < 2] = P[i] << j\nB[i < 3] = B_W[i, 0] + B_W[i, 1]\n"
        "claim B_W[i, i_2] == P[i] << i_2\n",
    ),
    "a template within a template": (
        HEAD + "def inner(V):\n  W = V << 1\n  Y = W + V\nend\ndef outer(V, j):\n  A[j2 < 2] = inner(V << j2*j)\n"
        "  Y = A[0] + A[1]\nend\nB = outer(X, k)\n",
        HEAD + "B_A_W[j2 < 2] = (X << j2*k) << 1\nB_A[j2 < 2] = B_A_W[j2] + (X << j2*k)\nB = B_A[0] + B_A[1]\n",
    ),
    "sizes, conditions and permutations in a template": (
        HEAD
        + "def turned(V, m, d):\n  let c = m / 2\n  require c > 0\n  perm r: d -> (d + c) % slots\n"
        "  Y = permute(V, r) * [slot < c]\nend\nB = turned(X, n, slot)\n".replace("d -> (d", "slot -> (slot"),
        HEAD + "let B_c = n / 2\nrequire B_c > 0\nperm B_r: slot -> (slot + B_c) % n\n"
        "B = permute(X, B_r) * [slot < B_c]\n",
    ),
    "a template's name that is taken": (
        HEAD + "B_W = X\ndef next(V):\n  W = V << 1\n  Y = W + V\nend\nB = next(B_W)\n",
        HEAD + "B_W = X\nB_W_2 = B_W << 1\nB = B_W_2 + B_W\n",
    ),
    "plain and cipher templates": (
        HEAD + "def both(T):\n  plain A = T[slot]\n  plain Y = A + A\nend\nplain W = both(u)\n"
        "def packed(T):\n  cipher Y = T[slot]\nend\ncipher Z = packed(x)\n",
        HEAD + "plain W_A = u[slot]\nplain W = W_A + W_A\ncipher Z = x[slot]\n",
    ),
    "a definition's words are names elsewhere": (
        "program p(def = 8, import = 2)\nlet end = def / import\nlet as = end\ninput x[def]\naxes (h < def)\n"
        "def same(v) = v + 0*as\ncipher X = same(x[h])\nY = X << end - as\n",
        "program p(def = 8, import = 2)\nlet end = def / import\nlet as = end\ninput x[def]\naxes (h < def)\n"
        "cipher X = x[h] + 0*as\nY = X << end - as\n",
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_by_hand(name: str) -> None:
    same(*PAIRS[name])


def test_families_and_imports_take_the_soft_words() -> None:
    text = HEAD + "end = (\nX\n)\ndef[q < 2] = end << q\nimport = def[0] + def[1]\nas = (\nend\n+ import)\n"
    program = bind_text(text + "output y[h] = X\nprove y == x\n")
    assert {"end", "def", "import", "as"} <= set(program.families)


BSGS = """def bsgs(X, D, n, b):
    G[j < b] = X << j
    T[i < n/b] = sum j < b: G[j] * (D[i*b + j] >> i*b)
    Y = sum i < n/b: T[i] << i*b
    claim Y == sum q < n: (X << q) * D[q]
end
"""


@pytest.mark.parametrize(
    ("change", "right"), [(("", ""), True), (("i*b + j", "i*b"), False), ((">> i*b", ">> i"), False)]
)
def test_the_oracle_agrees(change: tuple[str, str], right: bool) -> None:
    use = "plain D[q < n] = M[slot, (slot + q) % n]\nY = bsgs(X, D, n, 2)\noutput y[h] = Y\nprove y == M @ x\n"
    program = parse(Source("t.slot", BSGS.replace(*change) + HEAD.replace("n = 8", "n = 4") + use))
    judged = oracle.judge(program, {})
    assert judged.correct is right
    verdict = check(bind(program))
    assert verdict.proved is right
    assert verdict.status == ("proved" if right else "refuted")


def failure(text: str, sizes: dict[str, int] | None = None) -> SlotError:
    with pytest.raises(SlotError) as caught:
        bind_text(text, sizes)
    return caught.value


def test_an_error_names_the_use_and_the_definition() -> None:
    text = "def far(T, q) = T[slot + q]\n" + HEAD + "plain D[q < n] = far(u, q)\n" + TAIL
    (found,) = failure(text).diagnostics
    assert found.code == "SL308"
    span = found.span
    assert span is not None
    assert (span.source.name, span.line, span.text) == ("t.slot", 7, "far(u, q)")
    assert "in the definition of 'far', t.slot:1:19: slot + q" in found.notes


def test_functions_of_the_language_are_no_slips_of_definitions() -> None:
    """What binding says of them is its own."""
    text = "def mine(a) = a\ndef min2(a) = a\n" + HEAD + "let c = min(n, k)\n"
    program = parse(Source("t.slot", text))
    assert "let c = min(n, k)" in program.source.text


def test_a_definition_may_have_a_function_s_name() -> None:
    text = "def min(a, b) = a - b\n" + HEAD + "Y = X << min(n, k)\n"
    assert parse(Source("t.slot", text)).source.text.endswith("Y = X << n - k\n")


def test_an_error_in_an_argument_names_the_argument() -> None:
    text = "def twice(a) = 2 * a\n" + HEAD + "Y = twice(Q) + X\n"
    (found,) = failure(text).diagnostics
    assert found.span is not None
    assert (found.code, found.span.line, found.span.text) == ("SL201", 7, "Q")
    assert not any("definition" in note for note in found.notes)


def test_an_error_through_two_definitions_names_both() -> None:
    text = "def f(a) = g(a) + 1\ndef g(a) = a << 1/2\n" + HEAD + "Y = f(X)\n"
    found = failure(text).diagnostics[0]
    assert found.span is not None
    assert found.span.text == "f(X)"
    assert [n.partition(":")[0] for n in found.notes if "definition" in n] == [
        "in the definition of 'f', t.slot",
        "in the definition of 'g', t.slot",
    ]


def test_lines_below_a_definition_keep_their_numbers() -> None:
    text = BSGS + HEAD + "plain D[q < n] = M[slot, q]\nY = bsgs(X, D, n, 2)\n\nZ = Y + Nothing\n"
    (found,) = failure(text).diagnostics
    assert found.span is not None
    assert found.span.text == "Nothing"
    assert found.span.line == text[: text.index("Nothing")].count("\n") + 1


def test_a_refutation_names_the_lines_that_were_written() -> None:
    text = (
        BSGS.replace("i*b + j", "i*b") + HEAD + DIAGONALS + "Y = bsgs(X, D, n, 2)\noutput y[h] = Y\nprove y == M @ x\n"
    )
    program = bind_text(text)
    report = check(program)
    assert report.status == "refuted"
    assert isinstance(report.failure, Wrong)
    assert report.failure.goal.span.line == text.splitlines().index("Y = bsgs(X, D, n, 2)") + 1


def test_a_repair_names_the_definition_and_the_use() -> None:
    text = BSGS.replace(">> i*b", "<< i*b").replace("    claim Y == sum q < n: (X << q) * D[q]\n", "")
    program = bind_text(text + HEAD + DIAGONALS + "Y = bsgs(X, D, n, 2)\noutput y[h] = Y\nprove y == M @ x\n")
    (repair, *_) = nearest_repairs(program, check(program), seconds=30)
    use = repair.mutation.span.line
    assert program.syntax.source.origins[0].span.source.line_text(use) == "Y = bsgs(X, D, n, 2)"
    assert repair.description() == (
        f"with `>>` for `<<` in line {use}, in the definition of 'bsgs' (t.slot:3:37) this proves"
    )
    assert repair.after() == "Y_T[i < n/2] = sum j < 2: Y_G[j] * (D[i*2 + j] >> i*2)"


def test_changes_of_an_expanded_program_are_changes_of_its_text() -> None:
    text = BSGS + HEAD + DIAGONALS + "Y = bsgs(X, D, n, 2)\noutput y[h] = Y\nprove y == M @ x\n"
    every = list(mutants(parse(Source("t.slot", text))))
    for mutation in every[::5]:
        assert parse(Source("t.slot", mutation.text())) == mutation.program, mutation.description


def test_comments_stay_and_those_of_definitions_go() -> None:
    text = "# expect: proved\ndef f(a) = a  # first\n" + HEAD + "# above\nY = f(X)  # behind\n"
    assert [c.text for c in parse(Source("t.slot", text)).comments] == ["# expect: proved", "# above", "# behind"]


def test_a_long_chain_of_definitions_is_read_and_its_end_refused() -> None:
    chain = "".join(f"def f{n}(a) = f{n - 1}(a)\n" for n in range(1, 2000))
    text = "def f0(a) = a << 1\n" + chain + HEAD + "Y = f100(X)\n"
    assert parse(Source("t.slot", text)).statements[-1] == parse(Source("t", HEAD + "Y = X << 1\n")).statements[-1]
    assert [d.code for d in failure(text.replace("f100(X)", "f1999(X)")).diagnostics] == ["SL115"]


def test_more_definitions_than_anybody_writes_are_refused_before_they_are_parsed() -> None:
    several = "".join(f"def f{n}(a) = a <<\n" for n in range(10_000))
    (found,) = failure(several + HEAD).diagnostics
    assert found.code == "SL115"
    assert found.span is not None
    assert found.span.line == MAX_DEFINITIONS + 1


def test_more_definitions_of_several_files(tmp_path: Path) -> None:
    for name in "ab":
        text = "".join(f"def {name}{n}(v) = v\n" for n in range(MAX_DEFINITIONS // 2))
        (tmp_path / f"{name}.slot").write_text(text)
    start = 'import "./a.slot"\nimport "./b.slot"\n'
    assert parse(Source("t.slot", start + HEAD, str(tmp_path)))
    with pytest.raises(SlotError, match="SL115"):
        parse(Source("t.slot", start + "def f(a) = a\n" + HEAD, str(tmp_path)))


@pytest.mark.parametrize("body", ["f{m}(a) + f{m}(a)", "f{m}(f{m}(a))", "f{m}(a) * a + f{m}(a << 1)"])
def test_what_doubles_is_refused_at_once(body: str) -> None:
    text = "def f0(a) = a + a\n" + "".join(f"def f{n}(a) = {body.format(m=n - 1)}\n" for n in range(1, 60))
    assert [d.code for d in failure(text + HEAD + "Y = f59(X)\n").diagnostics] == ["SL115"]


def test_templates_that_double_are_refused_at_once() -> None:
    text = "def f0(a):\n  Y = a\nend\n" + "".join(
        f"def f{n}(a):\n  A = f{n - 1}(a)\n  B = f{n - 1}(A)\n  Y = A + B\nend\n" for n in range(1, 40)
    )
    assert [d.code for d in failure(text + HEAD + "Y = f39(X)\n").diagnostics] == ["SL115"]


def test_certificates_and_hashes_hold_the_expanded_text(tmp_path: Path) -> None:
    path = tmp_path / "p.slot"
    path.write_text(BSGS + HEAD + DIAGONALS + "Y = bsgs(X, D, n, 2)\noutput y[h] = Y\nprove y == M @ x\n")
    certificate = tmp_path / "c.json"
    assert slotlang("check", str(path), "--certificate", str(certificate)).status == 0
    path.unlink()
    assert recheck(certificate.read_bytes()).program == "p"
    text = certificate.read_text()
    assert "Y_T" in text
    assert not re.search(r"\bdef\b|\bend\b", text)
    # a text with definitions is no certificate's: nothing would say what it was expanded to
    assert slotlang("recheck", str(certificate)).status == 0
    certificate.write_text(text.replace("input  x[n]", "def f(a) = a\\ninput  x[n]"))
    assert slotlang("recheck", str(certificate)).status == 1


def test_modules_hold_the_expanded_text(tmp_path: Path) -> None:
    path, module = tmp_path / "p.slot", tmp_path / "p.py"
    path.write_text('import "./d.slot"\n' + HEAD + "plain D[q < n] = diagonal(M, q)\n" + TAIL)
    (tmp_path / "d.slot").write_text("def diagonal(M, q) = M[slot, (slot + q) % slots]\n")
    assert slotlang("lower", str(path), "-o", str(module)).status == 0
    (tmp_path / "d.slot").unlink()
    assert slotlang("check", str(module)).status == 0
    text = module.read_text()
    assert 'import "./' not in text
    assert "edited" not in slotlang("check", str(module)).out
    # the module is that of the program by hand: its lines are those of the text that it holds
    expanded, again = tmp_path / "expanded.slot", tmp_path / "again.py"
    expanded.write_text(HEAD + "plain  D[q < n] = M[slot, (slot + q) % n]\n" + TAIL)
    assert slotlang("lower", str(expanded), "-o", str(again)).status == 0
    assert again.read_text() == text
    module.write_text(text.replace("input  x[n]", "def f(a) = a\ninput  x[n]"))
    assert slotlang("check", str(module)).status == 2
