"""Formatted text means the same, keeps every comment, and is left alone by the formatter."""

from __future__ import annotations

import dataclasses
import re
from fractions import Fraction
from pathlib import Path

import pytest
from amounts import examples
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from repository import PROGRAMS, program_text

from slotlang.source import Source, Span
from slotlang.syntax import items, tree
from slotlang.syntax.formatter import MAX_WIDTH, format_program
from slotlang.syntax.parser import parse_file, read_source

NOWHERE = Span(Source("", ""), 0, 0)
SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]


def formatted(text: str) -> str:
    return format_program(parse_file(Source("t.slot", text)))


def check(program: tree.Program | items.File, text: str) -> items.File:
    """The properties of every formatted text."""
    again = parse_file(Source("formatted.slot", text))
    assert again.statements == program.statements
    assert [c.text for c in again.comments] == [c.text for c in program.comments]
    assert format_program(again) == text
    assert text.endswith("\n")
    assert not text.startswith("\n")
    assert "\n\n\n" not in text
    assert all(line == line.rstrip() for line in text.split("\n"))
    return again


# programs


def test_the_example_is_canonical() -> None:
    text = program_text("rank_complex")
    assert formatted(text) == text


@pytest.mark.parametrize("path", sorted(PROGRAMS.rglob("*.slot")), ids=lambda p: p.stem)
def test_programs(path: Path) -> None:
    program = parse_file(read_source(path))
    check(program, format_program(program))


# how things are written


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # parentheses: those that are needed, and the author's where operators of two strengths meet
        ("T = (a) + ((b) * (c[h]))", "T = a + (b * c[h])"),
        ("T = (((X * (W[q]))) << (q))", "T = (X * W[q]) << q"),
        ("T = (a + b) + (\n c * d )", "T = a + b + (c*d)"),
        ("T = (((a)))", "T = a"),
        ("T = a - (b - c)", "T = a - (b - c)"),
        ("T = (a - b) - c", "T = a - b - c"),
        ("T = (X * W) << k", "T = (X * W) << k"),
        ("T = X * W << k", "T = X * W << k"),
        ("T = X * (W << k)", "T = X * (W << k)"),
        ("T = (A @ B).T[h]", "T = (A @ B).T[h]"),
        ("T = -(a * b)", "T = -(a * b)"),
        ("T = (-a) * b", "T = -a * b"),
        ("T = conj(a + b) * re(c)", "T = conj (a + b) * re c"),
        ("require (not (a < b)) and (c or d)", "require not a < b and (c or d)"),
        ("require (a < b) == c", "require (a < b) == c"),
        ("T = (x[h] else 0)[t] + x[h] else 0", "T = (x[h] else 0)[t] + (x[h] else 0)"),
        # a sum swallows what follows it
        ("T = (sum q < R: a) + b", "T = (sum q < R: a) + b"),
        ("T = b + (sum q < R: (a))", "T = b + sum q < R: a"),
        ("T = b * (c + sum q < R: a)", "T = b * (c + sum q < R: a)"),
        ("T = (b * sum q < R: a) - c", "T = (b * sum q < R: a) - c"),
        ("claim sum q < R: a == b", "claim (sum q < R: a) == b"),
        ("T = sum q<(sum c<3: 2) by bsgs( 2*k ): a", "T = sum q < (sum c < 3: 2) by bsgs(2*k): a"),
        ("T = sum q<R by doubling( 2*k ): a<<q", "T = sum q < R by doubling(2*k): a << q"),
        # short products stand close inside something else
        ("T = P << q * batch", "T = P << q*batch"),
        ("T = P << f * R * batch", "T = P << f*R*batch"),
        ("let a = b * c", "let a = b * c"),
        ("let a = b*c+d//e", "let a = b*c + d//e"),
        ("let a = b * (c+d)", "let a = b * (c + d)"),
        ("let a = -b * c + 1", "let a = -b*c + 1"),
        ("X[c<K/2] = x[c *C+h, h*2, h%R, h*C%R]", "X[c < K/2] = x[c*C + h, h*2, h % R, h*C % R]"),
        ("T = X[c] * a + W * s", "T = X[c] * a + W*s"),
        ("prove y==W@x+s*A@B@x", "prove  y == W @ x + s * A @ B @ x"),
        ("T = 1 / 2 * X + [h*C<16]", "T = 1/2*X + [h*C < 16]"),
        ("T = 1 / 2 * X[c]", "T = 1/2 * X[c]"),
        # numbers keep their digits
        ("T = 0.50 * 1.0i + 007", "T = 0.50*1.0i + 007"),
        # statements
        ("program  p( )", "program p"),
        ("program p(d=2*4 , r,)", "program p(d = 2 * 4, r)"),
        ("input x[ d,batch ] , z[d]", "input  x[d, batch], z[d]"),
        ("weight A[i<d, k] sparse  where i<k*2, B[d]", "weight A[i < d, k] sparse where i < k * 2, B[d]"),
        ("scalar a ,b", "scalar a, b"),
        ("axes  blocks( h<C*2,t<batch, )", "axes blocks (h < C*2, t < batch)"),
        ("plain W=1", "plain  W = 1"),
        ("perm p:(h,t)->(t,h*2)", "perm p: (h, t) -> (t, h*2)"),
        ("perm p:slot->slot*3%slots", "perm p: slot -> slot*3 % slots"),
        ("perm p:cycles(0,1) ,(2 , 3)", "perm p: cycles (0, 1), (2, 3)"),
        ("T = permute( X,inverse( p ) )", "T = permute(X, inverse(p))"),
        ("output y[h,t]=re  Y  where h<16", "output y[h, t] = re Y where h < 16"),
    ],
)
def test_spelling(text: str, expected: str) -> None:
    assert formatted(text) == expected + "\n"
    check(parse_file(Source("t.slot", text)), expected + "\n")


def test_blank_lines_and_own_line_comments() -> None:
    text = "\n\n  # top\n\n\n\nlet a = 1\n # next\n\n# last but one\nlet b = 2\n\n\n#end\n\n"
    assert formatted(text) == "# top\n\nlet a = 1\n# next\n\n# last but one\nlet b = 2\n\n#end\n"


def test_trailing_comments_stand_in_one_column() -> None:
    text = "let a = 1 # one\nlet bb = 22# two\nlet c = 3\ninput x[d] # x\n"
    expected = (
        "let a = 1                        # one\n"
        "let bb = 22                      # two\n"
        "let c = 3\n"
        "input  x[d]                      # x\n"
    )
    assert formatted(text) == expected


def test_a_long_line_moves_the_comments_of_its_block() -> None:
    text = f"let a = 1 # one\nlet {'b' * 40} = 2 # two\n\nlet c = 3 # three\n"
    expected = f"let a = 1{' ' * 41}# one\nlet {'b' * 40} = 2  # two\n\nlet c = 3                        # three\n"
    assert formatted(text) == expected


def test_lines_are_joined() -> None:
    assert formatted("T = (a\n\n  +\n b)  # sum\n") == "T = a + b                        # sum\n"


def test_a_comment_inside_keeps_the_lines() -> None:
    text = "  T = (a +   # first  \n\n\n    b  \n  )#end\nlet  c=3\n"
    assert formatted(text) == ("T = (a +   # first\n\n    b\n  )                              #end\nlet c = 3\n")


def test_a_long_statement_keeps_the_authors_lines() -> None:
    names = [c * 20 for c in "abcdef"]
    text = "T = (" + "\n     + ".join(names) + ")\n"
    assert formatted(text) == text
    one_line = "T = " + " + ".join(names) + "\n"
    assert len(one_line) > MAX_WIDTH
    assert formatted(one_line) == one_line


# programs that a pass has made or changed


def test_statements_without_a_place_come_in_paragraphs() -> None:
    source = parse_file(read_source(PROGRAMS / "rank_complex.slot"))
    bare = tree.Program(Source("made", ""), source.statements, ())
    text = format_program(bare)
    paragraphs = text.split("\n\n")
    assert paragraphs[0] == "program rank_complex(d = 4096, r = 16, batch = 8, slots = 4096)"
    assert paragraphs[1].splitlines()[-1] == "require C % R == 0"
    assert paragraphs[3] == "axes (h < C, t < batch)"
    assert parse_file(Source("t", text)).statements == source.statements


def test_changed_statements_keep_the_comments() -> None:
    text = (
        "# top\nlet a = 1  # one\nT = (a  # inner\n  + b)  # tail\n\nlet gone = 2  # left over\n"
        "# before c\nlet c = 3  # three\n"
    )
    program = parse_file(Source("t.slot", text))
    a, t, gone, c = program.statements
    assert isinstance(t, tree.Define)
    new = tree.Let("new", tree.Name("a", NOWHERE), NOWHERE)
    for changed in (
        (a, dataclasses.replace(t, name="U"), c),
        (c, t, a),
        (new, a, t, new, gone, c, new),
        (new,),
        (),
    ):
        after = dataclasses.replace(program, statements=changed)
        result = format_program(after)
        assert "\n\n\n" not in result
        if changed:
            again = parse_file(Source("again.slot", result))
            assert again.statements == changed
            assert sorted(x.text for x in again.comments) == sorted(x.text for x in program.comments)
            assert format_program(again) == result
    changed_text = format_program(dataclasses.replace(program, statements=(a, dataclasses.replace(t, name="U"), c)))
    assert changed_text == (
        "# top\n"
        "let a = 1                        # one\n"
        "# inner\n"
        "U = a + b                        # tail\n\n"
        "# left over\n"
        "# before c\n"
        "let c = 3                        # three\n"
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [("1/8", "0.125"), ("1/3", "1/3"), ("-2", "-2"), ("-1/3", "-1/3"), ("5", "5"), ("-1/4", "-0.25")],
)
def test_constants_that_a_pass_made(value: str, text: str) -> None:
    number = tree.Number(Fraction(value), False, NOWHERE)
    program = tree.Program(Source("", ""), (tree.Let("a", number, NOWHERE),), ())
    assert format_program(program) == f"let a = {text}\n"
    scaled = tree.Binary("@", tree.Name("x", NOWHERE), number, NOWHERE)
    program = tree.Program(Source("", ""), (tree.Let("a", scaled, NOWHERE),), ())
    parse_file(Source("", format_program(program)))


# any tree

NAMES = st.sampled_from(
    ["x", "A", "C", "K", "R", "h", "t", "f", "T", "P2", "re_", "sums", "letter", "i", "e1", "if", "min"]
)


@st.composite
def numbers(draw: st.DrawFn) -> tree.Number:
    digits = draw(st.from_regex(r"[0-9]{1,4}(\.[0-9]{1,3})?", fullmatch=True))
    imaginary = draw(st.booleans())
    spelled = digits + "i" * imaginary
    span = draw(st.sampled_from([NOWHERE, Span(Source("", spelled), 0, len(spelled))]))
    return tree.Number(Fraction(digits), imaginary, span)


def name_nodes(names: st.SearchStrategy[str] = NAMES) -> st.SearchStrategy[tree.Name]:
    return st.builds(tree.Name, names, st.just(NOWHERE))


def tuples(elements: st.SearchStrategy, most: int = 3) -> st.SearchStrategy:
    return st.lists(elements, min_size=1, max_size=most).map(tuple)


def binders(extents: st.SearchStrategy[tree.Expr]) -> st.SearchStrategy[tree.Binder]:
    return st.builds(tree.Binder, NAMES, extents, st.just(NOWHERE))


def compounds(e: st.SearchStrategy[tree.Expr]) -> st.SearchStrategy[tree.Expr]:
    nowhere = st.just(NOWHERE)

    @st.composite
    def comparisons(draw: st.DrawFn) -> tree.Compare:
        ops = draw(tuples(st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), 2))
        return tree.Compare(ops, tuple(draw(e) for _ in range(len(ops) + 1)), NOWHERE)

    hows = st.one_of(
        st.none(),
        st.builds(tree.How, st.sampled_from(["tree", "horner", "doubling"]), st.none(), nowhere),
        st.builds(tree.How, st.just("bsgs"), e, nowhere),
    )
    binary = ["+", "-", "*", "/", "//", "%", "@", "**", "^", "<<", ">>", "and", "or"]
    return st.one_of(
        st.builds(tree.Binary, st.sampled_from(binary), e, e, nowhere),
        st.builds(tree.Binary, st.sampled_from(binary), e, e, nowhere),
        st.builds(tree.Unary, st.sampled_from(["-", "not", "conj", "re", "im"]), e, nowhere),
        st.builds(tree.Index, e, tuples(e), st.booleans(), nowhere),
        st.builds(tree.Transpose, e, nowhere, st.sampled_from(["T", "mT"])),
        st.builds(tree.Constant, st.sampled_from(["ones", "eye", "zeros"]), tuples(e), nowhere),
        comparisons(),
        st.builds(tree.Bracket, e, nowhere),
        st.builds(tree.Sum, tuples(binders(e), 2), hows, e, nowhere),
        st.builds(tree.Choice, e, e, e, nowhere),
        st.builds(tree.Permute, e, NAMES, st.booleans(), nowhere),
        st.builds(tree.Call, st.one_of(NAMES, st.just("l.f")), tuples(e), nowhere),
    )


EXPRESSIONS = st.recursive(
    st.one_of(name_nodes(st.one_of(NAMES, st.just("slot"))), numbers()), compounds, max_leaves=14
)


@st.composite
def tensors(draw: st.DrawFn) -> tree.Tensor:
    shape = draw(tuples(EXPRESSIONS))

    def names_a_position(extent: tree.Expr) -> bool:
        # the parser reads `i < r` in a shape as a named position
        return isinstance(extent, tree.Compare) and extent.ops == ("<",) and isinstance(extent.operands[0], tree.Name)

    indices = tuple(draw(NAMES if names_a_position(e) else st.one_of(st.none(), NAMES)) for e in shape)
    sparse = draw(st.booleans())
    pattern = draw(st.one_of(st.none(), EXPRESSIONS)) if sparse else None
    return tree.Tensor(draw(NAMES), shape, indices, sparse, pattern, NOWHERE)


SPANS = [st.just(NOWHERE)] * 3
PARAMETERS = tuples(name_nodes())


def whatever() -> st.SearchStrategy[items.Item]:
    """Statements, definitions and imports."""
    inner = statements().filter(lambda s: isinstance(s, tree.Let | tree.Require | tree.Claim | tree.DefinePermutation))
    family = st.builds(tree.Define, st.just("compute"), NAMES, st.just(()), EXPRESSIONS, st.just(NOWHERE))
    block = st.tuples(st.lists(inner, max_size=2), family).map(lambda parts: (*parts[0], parts[1]))
    return st.one_of(
        statements(),
        statements(),
        st.builds(items.Definition, NAMES, PARAMETERS, EXPRESSIONS, *SPANS),
        st.builds(items.Definition, NAMES, PARAMETERS, block, *SPANS),
        st.builds(items.Import, st.sampled_from(["./a.slot", "std/b c.slot"]), st.none(), *SPANS[:2]),
        st.builds(items.Import, st.just("./a-b/a.slot"), NAMES, *SPANS[:2]),
    )


def statements() -> st.SearchStrategy[tree.Statement]:
    nowhere = st.just(NOWHERE)
    maybe = st.one_of(st.none(), EXPRESSIONS)
    family = st.lists(binders(EXPRESSIONS), max_size=2).map(tuple)
    forms = st.one_of(
        st.builds(tree.DigitPermutation, tuples(name_nodes()), tuples(EXPRESSIONS), nowhere),
        st.builds(tree.SlotPermutation, name_nodes(st.just("slot")), EXPRESSIONS, nowhere),
        st.builds(tree.CyclePermutation, tuples(tuples(EXPRESSIONS)), nowhere),
    )
    sizes = st.lists(st.builds(tree.Size, NAMES, maybe, nowhere), max_size=3).map(tuple)
    indices = st.one_of(st.just(()), tuples(EXPRESSIONS))
    whole = st.integers(0, 999_999_999)
    numbers = tuples(whole)
    places = st.lists(st.one_of(st.none(), name_nodes()), max_size=3).map(tuple)
    return st.one_of(
        st.builds(tree.Header, NAMES, sizes, nowhere),
        st.builds(tree.Let, NAMES, EXPRESSIONS, nowhere),
        st.builds(tree.Require, EXPRESSIONS, nowhere),
        st.builds(tree.NameTensor, NAMES, EXPRESSIONS, nowhere),
        st.builds(tree.Declare, st.sampled_from(["input", "weight"]), tuples(tensors(), 2), nowhere),
        st.builds(tree.Scalars, tuples(name_nodes()), nowhere),
        st.builds(tree.Bound, st.just("entry"), name_nodes(), st.just(()), EXPRESSIONS, nowhere),
        st.builds(tree.Bound, st.just("norm"), name_nodes(), places, EXPRESSIONS, nowhere),
        st.builds(tree.Axes, st.one_of(st.none(), NAMES), tuples(binders(EXPRESSIONS)), nowhere),
        st.builds(tree.Define, st.sampled_from(["cipher", "plain", "compute"]), NAMES, family, EXPRESSIONS, nowhere),
        st.builds(tree.DefinePermutation, NAMES, forms, nowhere),
        st.builds(tree.Claim, EXPRESSIONS, EXPRESSIONS, maybe, nowhere),
        st.builds(tree.Output, NAMES, indices, EXPRESSIONS, maybe, nowhere),
        st.builds(tree.Parameters, whole, numbers, numbers, st.just(()), numbers, st.just(()), st.just(()), nowhere),
        st.builds(tree.Parameters, whole, numbers, numbers, numbers, st.just(()), st.tuples(whole), numbers, nowhere),
        st.builds(tree.Prove, NAMES, EXPRESSIONS, nowhere, family),
    )


@examples(200, share=6, suppress_health_check=SLOW)
@given(st.lists(whatever(), min_size=1, max_size=3))
def test_any_tree(made: list[items.Item]) -> None:
    program = items.File(Source("made", ""), tuple(made), ())
    check(program, format_program(program))


def test_the_strategies_know_every_node() -> None:
    """A node type that is added to the tree must be added here."""
    source = Path(__file__).read_text(encoding="utf-8")
    known = {**vars(tree), **vars(items)}
    nodes = {t.__name__ for t in known.values() if isinstance(t, type) and dataclasses.is_dataclass(t)}
    nodes -= {"Source", "Span", "Comment", "Program", "File", "End"}
    built = set(re.findall(r"(?:tree|items)\.([A-Z]\w+)[,(]", source[source.index("# any tree") :]))
    assert nodes - built == set()


# any layout of a text

PIECE = re.compile(r"\"[^\"]*\"|\s+|[0-9]+\.[0-9]+i?|\w+|==|!=|<=|>=|<<|>>|->|//|\*\*|\.\w+|.")
COMMENTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=12),
    st.sampled_from([" expect: proved", "", "(", ")]", "#", " let a = (", "x" * 90]),
).map(lambda text: f"#{text}".rstrip())


@st.composite
def line_ends(draw: st.DrawFn) -> str:
    """The end of a line and perhaps more lines, with comments."""
    more = st.one_of(st.just(""), st.just(" "), COMMENTS, COMMENTS.map(lambda c: f"  {c}"))
    first = draw(st.sampled_from(["", " ", "   "])) + draw(st.one_of(st.just(""), COMMENTS))
    return "".join(f"{line}\n" for line in [first, *draw(st.lists(more, max_size=3))])


@st.composite
def disarranged(draw: st.DrawFn, text: str) -> str:
    """The same program in another layout, with comments thrown in wherever one can stand."""
    pieces: list[str] = ["\n"]
    depths = [0]
    for line in text.splitlines():
        for piece in [*PIECE.findall(line.partition("#")[0].rstrip()), "\n"]:
            pieces.append(piece)
            depths.append(depths[-1] + (piece in "([") - (piece in ")]"))
    edits = st.dictionaries(
        st.integers(0, len(pieces) - 1),
        st.tuples(line_ends(), st.integers(0, 4)),
        max_size=len(pieces) // 4 + 2,
    )
    for i, (end, blanks) in draw(edits).items():
        if pieces[i] == "\n":
            pieces[i] = end + " " * blanks
        elif depths[i]:
            pieces[i] += end + " " * blanks
        elif pieces[i].isspace():
            pieces[i] += " " * blanks
    return "".join(pieces)


EXAMPLE = """program p(d = 8, r = 2)
let C = d / r
weight A[i < d, r] sparse where i < r, B[r]
axes (h < C, t < r)
cipher X[c < r] = x[c*C + h, t] else 0
plain  W[q < r] = A[(h + q) % C, q] + 1i * [h < 2]
T = sum q < r by bsgs(2): (X[q] << 2 ** q*C) * (W[q] + W[0])
S[k < 3] = (X[0] if k == 0 else S[min(k - 1, (k ^ 1))] * 2)
perm p: (h, t) -> (t, h)
claim (T + T) == permute(T, inverse(p)) where h < 2
output y[h, t] = re (T + T)
prove  y == A @ B @ x
"""


@examples(80, suppress_health_check=SLOW)
@given(disarranged(EXAMPLE))
def test_any_layout(text: str) -> None:
    program = parse_file(Source("t.slot", text))
    assert program.statements == parse_file(Source("t.slot", EXAMPLE)).statements
    check(program, format_program(program))


@examples(80, share=6, suppress_health_check=SLOW)
@given(st.data())
def test_any_layout_of_any_tree(data: st.DataObject) -> None:
    made = tuple(data.draw(st.lists(whatever(), min_size=1, max_size=2)))
    plain_text = format_program(items.File(Source("made", ""), made, ()))
    program = parse_file(Source("t.slot", data.draw(disarranged(plain_text))))
    assert program.statements == made
    check(program, format_program(program))
