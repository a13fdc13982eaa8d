"""Each form of the language gives the expected tree; precedence is Python's; every program stands."""

from __future__ import annotations

import ast
from fractions import Fraction
from pathlib import Path

import pytest
from amounts import examples
from hypothesis import given
from hypothesis import strategies as st
from repository import PROGRAMS

from slotlang.diagnostics import SlotError
from slotlang.source import Source, Span
from slotlang.syntax import tree
from slotlang.syntax.parser import MAX_BYTES, MAX_DEPTH, MAX_ERRORS, parse, read_source
from slotlang.syntax.tables import grammar_path

NOWHERE = Span(Source("", ""), 0, 0)


def program(text: str) -> tree.Program:
    return parse(Source("t.slot", text))


def statement(text: str) -> tree.Statement:
    (only,) = program(text).statements
    return only


def expression(text: str) -> tree.Expr:
    only = statement(f"require {text}")
    assert isinstance(only, tree.Require)
    return only.condition


def codes(text: str) -> list[str]:
    with pytest.raises(SlotError) as caught:
        program(text)
    return [d.code for d in caught.value.diagnostics]


def num(value: int | str, *, imaginary: bool = False) -> tree.Number:
    return tree.Number(Fraction(value), imaginary, NOWHERE)


def name(text: str) -> tree.Name:
    return tree.Name(text, NOWHERE)


def op(sign: str, left: tree.Expr, right: tree.Expr) -> tree.Binary:
    return tree.Binary(sign, left, right, NOWHERE)


def index(base: tree.Expr, *indices: tree.Expr, else_zero: bool = False) -> tree.Index:
    return tree.Index(base, indices, else_zero, NOWHERE)


def binder(index_name: str, extent: tree.Expr) -> tree.Binder:
    return tree.Binder(index_name, extent, NOWHERE)


A, B, C, H, K, P, Q, R, T, X = map(name, ["A", "B", "C", "h", "k", "P", "q", "R", "t", "x"])


# statements


def test_program() -> None:
    size = tree.Size("d", num(8), NOWHERE)
    open_size = tree.Size("r", None, NOWHERE)
    assert statement("program p") == tree.Header("p", (), NOWHERE)
    assert statement("program p()") == tree.Header("p", (), NOWHERE)
    assert statement("program p(d = 8, r)") == tree.Header("p", (size, open_size), NOWHERE)
    assert statement("program p(\n  d = 8,\n  r,\n)") == tree.Header("p", (size, open_size), NOWHERE)


def test_let_and_require() -> None:
    assert statement("let C = h / k") == tree.Let("C", op("/", H, K), NOWHERE)
    condition = tree.Compare(("==",), (op("%", C, R), num(0)), NOWHERE)
    assert statement("require C % R == 0") == tree.Require(condition, NOWHERE)


def test_declarations() -> None:
    def tensor(text: str, *shape: tree.Expr) -> tree.Tensor:
        return tree.Tensor(text, shape, (None,) * len(shape), False, None, NOWHERE)

    assert statement("input x[h, t]") == tree.Declare("input", (tensor("x", H, T),), NOWHERE)
    assert statement("weight A[k, R*2], B[R]") == tree.Declare(
        "weight", (tensor("A", K, op("*", R, num(2))), tensor("B", R)), NOWHERE
    )
    assert statement("scalar scale, s") == tree.Scalars((name("scale"), name("s")), NOWHERE)


def test_bound() -> None:
    assert statement("bound |x| <= 8") == tree.Bound("entry", X, (), num(8), NOWHERE)
    limit = op("/", num(1), num(4))
    assert statement("bound|A|<=1/4") == tree.Bound("entry", A, (), limit, NOWHERE)
    assert statement("bound norm(x) <= h * k") == tree.Bound("norm", X, (), op("*", H, K), NOWHERE)
    assert statement("bound norm(x[:, t]) <= 8") == tree.Bound("norm", X, (None, T), num(8), NOWHERE)
    assert statement("bound norm(\n  B[q, :]\n) <= 8") == tree.Bound("norm", B, (Q, None), num(8), NOWHERE)


def test_parameters() -> None:
    expected = tree.Parameters(4096, (42, 42, 25), (25, 27, 23), (), (), (), (), NOWHERE)
    assert statement("parameters degree 4096 primes 42, 42, 25 scales 25, 27, 23") == expected
    assert statement("parameters scales 25,27,23 primes 42,42,25 degree 4096") == expected
    assert statement(
        "parameters degree 8192 primes 60 scales 36 results 1 keys 8, 64 cut 7, 2 drops 1, 2"
    ) == tree.Parameters(8192, (60,), (36,), (1, 2), (8, 64), (1,), (7, 2), NOWHERE)


WORDS = ["bound", "norm", "parameters", "degree", "primes", "scales", "drops", "keys", "results", "cut"]


@pytest.mark.parametrize("word", WORDS)
def test_words_of_bounds_and_parameters_are_names_elsewhere(word: str) -> None:
    family = name(word)
    assert statement(f"{word} = {word} + x") == tree.Define("compute", word, (), op("+", family, X), NOWHERE)
    binder = tree.Binder("q", R, NOWHERE)
    assert statement(f"{word}[q < R] = x") == tree.Define("compute", word, (binder,), X, NOWHERE)
    assert statement(f"let {word} = {word}") == tree.Let(word, family, NOWHERE)
    assert statement(f"bound |{word}| <= {word}") == tree.Bound("entry", family, (), family, NOWHERE)
    assert statement(f"bound norm({word}[{word}, :]) <= 1") == tree.Bound(
        "norm", family, (family, None), num(1), NOWHERE
    )


def test_sparse() -> None:
    assert statement("weight A[k, h] sparse, B[k]") == tree.Declare(
        "weight",
        (
            tree.Tensor("A", (K, H), (None, None), True, None, NOWHERE),
            tree.Tensor("B", (K,), (None,), False, None, NOWHERE),
        ),
        NOWHERE,
    )
    pattern = tree.Compare(("<",), (name("i"), T), NOWHERE)
    assert statement("weight A[i < k, h] sparse where i < t") == tree.Declare(
        "weight", (tree.Tensor("A", (K, H), ("i", None), True, pattern, NOWHERE),), NOWHERE
    )


def test_axes() -> None:
    binders = (binder("h", C), binder("t", name("batch")))
    assert statement("axes (h < C, t < batch)") == tree.Axes(None, binders, NOWHERE)
    assert statement("axes blocks (h < C, t < batch,)") == tree.Axes("blocks", binders, NOWHERE)


@pytest.mark.parametrize(
    ("text", "kind"), [("cipher X[c < K]", "cipher"), ("plain  X[c < K]", "plain"), ("X[c < K]", "compute")]
)
def test_definitions(text: str, kind: str) -> None:
    family = (binder("c", name("K")),)
    assert statement(f"{text} = x") == tree.Define(kind, "X", family, X, NOWHERE)
    bare = text.replace("[c < K]", "")
    assert statement(f"{bare} = x") == tree.Define(kind, "X", (), X, NOWHERE)


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("(h, t) -> (t, h)", tree.DigitPermutation((H, T), (T, H), NOWHERE)),
        ("(h) -> ((h + 1) % R)", tree.DigitPermutation((H,), (op("%", op("+", H, num(1)), R),), NOWHERE)),
        ("slot -> slot + 1", tree.SlotPermutation(name("slot"), op("+", name("slot"), num(1)), NOWHERE)),
        ("cycles (0, 1, k)", tree.CyclePermutation(((num(0), num(1), K),), NOWHERE)),
        ("cycles (0, 1), (2, 3)", tree.CyclePermutation(((num(0), num(1)), (num(2), num(3))), NOWHERE)),
    ],
)
def test_permutations(text: str, form: tree.PermutationForm) -> None:
    assert statement(f"perm p: {text}") == tree.DefinePermutation("p", form, NOWHERE)


def test_permute() -> None:
    assert expression("permute(x + t, p)") == tree.Permute(op("+", X, T), "p", False, NOWHERE)
    assert expression("permute(x, inverse(p))") == tree.Permute(X, "p", True, NOWHERE)


def test_claim_output_prove() -> None:
    where = tree.Compare(("<",), (H, num(16)), NOWHERE)
    assert statement("claim x == A @ B") == tree.Claim(X, op("@", A, B), None, NOWHERE)
    assert statement("claim x == A where h < 16") == tree.Claim(X, A, where, NOWHERE)
    real = tree.Unary("re", X, NOWHERE)
    assert statement("output y[h, t] = re x") == tree.Output("y", (H, T), real, None, NOWHERE)
    assert statement("output y[h] = re x where h < 16") == tree.Output("y", (H,), real, where, NOWHERE)
    assert statement("prove y == A @ B") == tree.Prove("y", op("@", A, B), NOWHERE)


# expressions


@pytest.mark.parametrize(
    ("text", "value", "imaginary"),
    [
        ("0", "0", False),
        ("0.125", "1/8", False),
        ("2i", "2", True),
        ("007", "7", False),
        ("1.5i", "3/2", True),
    ],
)
def test_numbers(text: str, value: str, imaginary: bool) -> None:
    number = expression(text)
    assert number == num(value, imaginary=imaginary)
    assert number.span.text == text


def test_reads() -> None:
    assert expression("x[h, t]") == index(X, H, T)
    assert expression("x[k] else 0") == index(X, K, else_zero=True)
    assert expression("x[k] else 0.0") == index(X, K, else_zero=True)
    assert expression("x[h][t]") == index(index(X, H), T)
    assert expression("(A @ B)[h]") == index(op("@", A, B), H)
    assert expression("x[k] else 0 + t") == op("+", index(X, K, else_zero=True), T)


def test_transpose_binds_tightest() -> None:
    assert expression("A @ B.T") == op("@", A, tree.Transpose(B, NOWHERE))
    assert expression("A.T[h]") == index(tree.Transpose(A, NOWHERE), H)
    assert expression("A.T.T") == tree.Transpose(tree.Transpose(A, NOWHERE), NOWHERE)


def test_unary() -> None:
    assert expression("-h * k") == op("*", tree.Unary("-", H, NOWHERE), K)
    assert expression("+h") == H
    assert expression("- -h") == tree.Unary("-", tree.Unary("-", H, NOWHERE), NOWHERE)
    assert expression("conj x * re h") == op("*", tree.Unary("conj", X, NOWHERE), tree.Unary("re", H, NOWHERE))
    assert expression("im x[h]") == tree.Unary("im", index(X, H), NOWHERE)
    assert expression("rex + conjx") == op("+", name("rex"), name("conjx"))


def test_brackets() -> None:
    condition = tree.Compare(("<",), (H, num(16)), NOWHERE)
    assert expression("[h < 16] * x") == op("*", tree.Bracket(condition, NOWHERE), X)
    assert expression("x[[h < 16]]") == index(X, tree.Bracket(condition, NOWHERE))


def test_chained_comparisons() -> None:
    assert expression("h <= k < t != R") == tree.Compare(("<=", "<", "!="), (H, K, T, R), NOWHERE)
    assert expression("h == k") == tree.Compare(("==",), (H, K), NOWHERE)
    assert expression("(h < k) == t") == tree.Compare(("==",), (tree.Compare(("<",), (H, K), NOWHERE), T), NOWHERE)


def test_boolean_operators() -> None:
    assert expression("not h and k or t") == op("or", op("and", tree.Unary("not", H, NOWHERE), K), T)
    assert expression("h or k and t") == op("or", H, op("and", K, T))
    less = tree.Compare(("<",), (H, K), NOWHERE)
    assert expression("not h < k") == tree.Unary("not", less, NOWHERE)


def test_shift_is_weaker_than_arithmetic() -> None:
    assert expression("P << q*k") == op("<<", P, op("*", Q, K))
    assert expression("x * P << k") == op("<<", op("*", X, P), K)
    assert expression("x << h >> k") == op(">>", op("<<", X, H), K)


OPERATORS = ["+", "-", "*", "/", "//", "%", "@", "<<", ">>", "<", "==", "and", "or"]


def as_python(node: ast.expr) -> tree.Expr:
    """The tree Python sees in the same text."""
    signs: dict[type, str] = {
        ast.Add: "+",
        ast.Sub: "-",
        ast.Mult: "*",
        ast.Div: "/",
        ast.FloorDiv: "//",
        ast.Mod: "%",
        ast.MatMult: "@",
        ast.LShift: "<<",
        ast.RShift: ">>",
        ast.Lt: "<",
        ast.Eq: "==",
        ast.And: "and",
        ast.Or: "or",
    }
    match node:
        case ast.Name(text):
            return name(text)
        case ast.UnaryOp(ast.USub(), operand):
            return tree.Unary("-", as_python(operand), NOWHERE)
        case ast.UnaryOp(ast.Not(), operand):
            return tree.Unary("not", as_python(operand), NOWHERE)
        case ast.BinOp(left, sign, right):
            return op(signs[type(sign)], as_python(left), as_python(right))
        case ast.BoolOp(sign, [first, *rest]):
            # Python keeps a chain in one node, ours nests to the left
            result = as_python(first)
            for operand in rest:
                result = op(signs[type(sign)], result, as_python(operand))
            return result
        case ast.Compare(left, compared, operands):
            ops = tuple(signs[type(sign)] for sign in compared)
            return tree.Compare(ops, tuple(map(as_python, [left, *operands])), NOWHERE)
    raise AssertionError(ast.dump(node))


@examples(300)
@given(
    st.lists(st.sampled_from(OPERATORS), min_size=1, max_size=8),
    st.lists(st.sampled_from(["", "", "", "-", "("]), min_size=9, max_size=9),
    st.booleans(),
)
def test_precedence_is_pythons(operators: list[str], prefixes: list[str], negated: bool) -> None:
    text = "not " if negated else ""
    depth = 0
    for i, prefix in enumerate(prefixes[: len(operators) + 1]):
        text += prefix + "abcdefghi"[i]
        depth += prefix == "("
        if depth and i % 3 == 2:
            text += ")"
            depth -= 1
        if i < len(operators):
            text += f" {operators[i]} "
    text += ")" * depth
    assert expression(text) == as_python(ast.parse(text, mode="eval").body)


# sums


def plain_sum(body: tree.Expr) -> tree.Sum:
    return tree.Sum((binder("q", R),), None, body, NOWHERE)


def test_sum_forms() -> None:
    def how(text: str, argument: tree.Expr | None = None) -> tree.How:
        return tree.How(text, argument, NOWHERE)

    assert expression("sum q < R: x") == plain_sum(X)
    for text in ("tree", "horner", "doubling"):
        assert expression(f"sum q < R by {text}: x") == tree.Sum((binder("q", R),), how(text), X, NOWHERE)
    assert expression("sum q < R by doubling(k): x") == tree.Sum((binder("q", R),), how("doubling", K), X, NOWHERE)
    expected = tree.Sum((binder("q", R), binder("t", op("/", C, R))), how("bsgs", op("*", num(2), K)), X, NOWHERE)
    assert expression("sum q < R, t < C/R by bsgs(2*k): x") == expected


def test_sum_body_reaches_as_far_as_it_can() -> None:
    assert expression("sum q < R: x * h << k") == plain_sum(op("<<", op("*", X, H), K))
    assert expression("(sum q < R: x) << k") == op("<<", plain_sum(X), K)
    assert expression("h * sum q < R: x + k") == op("*", H, plain_sum(op("+", X, K)))
    assert expression("-sum q < R: x + k") == tree.Unary("-", plain_sum(op("+", X, K)), NOWHERE)
    inner = tree.Sum((binder("t", C),), None, op("+", X, K), NOWHERE)
    assert expression("sum q < R: sum t < C: x + k") == plain_sum(inner)


def test_sum_body_ends_before_a_comparison() -> None:
    assert expression("sum q < R: x == k") == tree.Compare(("==",), (plain_sum(X), K), NOWHERE)
    claim = statement("claim sum q < R: x == k where h")
    assert claim == tree.Claim(plain_sum(X), K, H, NOWHERE)


# lines and comments


def test_statements_span_lines_inside_brackets() -> None:
    two = program("x = (h +\n  k\n\n  + t)\ny = A[h,\n  t]\n").statements
    assert two == program("x = (h + k + t)\ny = A[h, t]").statements
    assert two[0].span.text == "x = (h +\n  k\n\n  + t)"
    assert (two[1].span.line, two[1].span.column) == (5, 1)


def test_comments() -> None:
    text = "# one\nlet a = 1 # two  \n\n  # three\nx = (h +  # four\n  # five\n  k)\n#six"
    parsed = program(text)
    assert [(c.text, c.own_line) for c in parsed.comments] == [
        ("# one", True),
        ("# two", False),
        ("# three", True),
        ("# four", False),
        ("# five", True),
        ("#six", True),
    ]
    assert parsed.statements == program("let a = 1\nx = h + k").statements
    assert [c.span.start for c in parsed.comments] == [text.index(c.text) for c in parsed.comments]


def test_brackets_and_keywords_in_comments_mean_nothing() -> None:
    assert program("let a = (1 # )))\n  ) # ([\nlet b = 2 # let\n").statements == (
        tree.Let("a", num(1), NOWHERE),
        tree.Let("b", num(2), NOWHERE),
    )


def test_long_rulers_in_comments_are_no_nesting() -> None:
    assert len(program(f"let a = (1 # {'-' * 400}\n + 2)").statements) == 1


def test_names_that_begin_like_words() -> None:
    assert program("letter = re_x\nplainly = summary").statements == (
        tree.Define("compute", "letter", (), name("re_x"), NOWHERE),
        tree.Define("compute", "plainly", (), name("summary"), NOWHERE),
    )


def test_spans_cover_the_text_of_their_nodes() -> None:
    (s,) = program("T = sum q < R by horner: (P[q]) << q*batch").statements
    assert isinstance(s, tree.Define)
    body = s.body
    assert isinstance(body, tree.Sum)
    assert s.span.text == "T = sum q < R by horner: (P[q]) << q*batch"
    assert body.span.text == "sum q < R by horner: (P[q]) << q*batch"
    assert isinstance(body.body, tree.Binary)
    assert body.body.left.span.text == "P[q]"
    assert body.body.right.span.text == "q*batch"
    assert body.how is not None
    assert body.how.span.text == "horner"
    assert body.binders[0].span.text == "q < R"


# errors; what they say is in tests/diagnostics/syntax


def test_one_message_per_wrong_statement() -> None:
    assert codes("let x =\nlet y = 2\nlet sum = 3\nz = A.t\n") == ["SL103", "SL105", "SL106"]


def test_an_unclosed_bracket_does_not_hide_what_follows() -> None:
    assert codes("x = (h + k\nlet y =\nz = [3\nw[q < R] = 2 +\n") == ["SL101", "SL103", "SL101", "SL103"]


def test_sizes_of_the_header_may_start_their_lines() -> None:
    assert len(program("program p(\nd = 4,\nr = 2)\n").statements) == 1


def test_an_indented_rest_is_not_a_second_message() -> None:
    assert codes("x = h +\n  k +\n  t\nlet y =") == ["SL103", "SL103"]


def test_messages_are_in_the_order_of_the_text_and_not_too_many() -> None:
    with pytest.raises(SlotError) as caught:
        program("let x = $\nlet y = )\n" * 50)
    places = [d.span.start for d in caught.value.diagnostics if d.span]
    assert places == sorted(places)
    assert len(places) == MAX_ERRORS


@pytest.mark.parametrize(
    "shape",
    [
        lambda n: "(" * n + "h" + ")" * n,
        lambda n: "x[" * n + "h" + "]" * n,
        lambda n: "-" * n + "h",
        lambda n: "not " * n + "h",
        lambda n: "conj " * n + "h",
        lambda n: "sum q < R: " * n + "h",
        lambda n: "sum q < " * n + "R" + ": h" * n,
        lambda n: "h" + " + h" * n,
        lambda n: "h" + " < h and h" * n,
        lambda n: "A" + ".T" * n,
        lambda n: "permute(" * n + "h" + ", p)" * n,
        lambda n: "[" * n + "h" + "]" * n,
    ],
)
def test_depth(shape) -> None:  # type: ignore[no-untyped-def]
    expression(shape(MAX_DEPTH // 2))
    for n in (MAX_DEPTH + 1, 20 * MAX_DEPTH):
        assert codes(f"require {shape(n)}") == ["SL104"]


# files


def test_every_program_parses() -> None:
    paths = sorted(PROGRAMS.rglob("*.slot"))
    assert paths
    for path in paths:
        assert parse(read_source(path)).statements


def test_the_statements_of_a_whole_program() -> None:
    parsed = parse(read_source(PROGRAMS / "rank_complex.slot"))
    kinds = [type(s).__name__ for s in parsed.statements]
    assert kinds[:6] == ["Header", "Let", "Let", "Let", "Require", "Declare"]
    assert kinds[-2:] == ["Output", "Prove"]
    assert len(kinds) == 19


def test_read_source(tmp_path: Path) -> None:
    path = tmp_path / "a.slot"
    path.write_bytes(b"\xef\xbb\xbflet a = 1\r\nlet b = 2\rlet c = 3\n")
    source = read_source(path)
    assert source.text == "let a = 1\nlet b = 2\nlet c = 3\n"
    assert source.name == str(path)


@pytest.mark.parametrize(
    ("data", "code"), [(b"\xff\xfe", "SL002"), (b"let a\0", "SL002"), (b" " * (MAX_BYTES + 1), "SL003")]
)
def test_read_source_refuses(tmp_path: Path, data: bytes, code: str) -> None:
    path = tmp_path / "a.slot"
    path.write_bytes(data)
    with pytest.raises(SlotError) as caught:
        read_source(path)
    assert [d.code for d in caught.value.diagnostics] == [code]
    assert caught.value.diagnostics[0].file == str(path)


def test_read_source_without_a_file(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.slot"):
        with pytest.raises(SlotError) as caught:
            read_source(path)
        assert [d.code for d in caught.value.diagnostics] == ["SL001"]


def test_grammar_is_found() -> None:
    assert grammar_path().name == "slot.lark"


def test_a_text_that_is_parsed_again_has_the_same_tree_and_the_same_errors() -> None:
    text = "program p(n = 4)\ninput x[n]\n"
    first = parse(Source("a", text))
    assert parse(Source("a", text)) is first
    # places name the source
    assert parse(Source("b", text)).source.name == "b"
    said = []
    for _ in range(2):
        with pytest.raises(SlotError) as raised:
            parse(Source("a", text + "output\n"))
        said.append(str(raised.value))
    assert said[0] == said[1]
