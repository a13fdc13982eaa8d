"""Lark's parse tree to the syntax tree."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

from lark import Token, Tree, v_args
from lark.visitors import Transformer_NonRecursive

from slotlang.diagnostics import Diagnostic, closest
from slotlang.source import Source, Span
from slotlang.syntax import tree
from slotlang.syntax.items import Definition, End, Import
from slotlang.syntax.messages import only_else_zero, reserved, too_deep, unknown_how
from slotlang.words import (
    HOW_NAMES,
    HOW_WITH_NUMBER,
    MAX_DEPTH,
    MAX_PARAMETER_DIGITS,
    ONE_NUMBER,
    PARAMETER_WORDS,
    RESERVED,
    SOFT_FORMS,
    TRANSPOSE_WORDS,
)

# An accepted expression of depth n has at most 3n parse tree nodes on a path: the operator, its parentheses
# and, for a sum, its `by`.
_MAX_RAW_DEPTH = 4 * MAX_DEPTH


class TooDeepError(Exception):
    """A chain of operators is far too long; ``offset`` is in the statement's text."""

    def __init__(self, offset: int) -> None:
        super().__init__(offset)
        self.offset = offset


class ParseNode(Tree[Token]):
    """Lark's node, with its depth: a megabyte of ``a + a + ...`` is given up where it gets too deep, not
    when all of it has been read."""

    def __init__(self, data: str, children: list[Any], meta: Any = None) -> None:
        super().__init__(data, children, meta)
        self.depth: int = 1 + max((c.depth for c in children if isinstance(c, ParseNode)), default=0)
        if self.depth > _MAX_RAW_DEPTH:
            last = children[-1]
            start = last.meta.start_pos if isinstance(last, Tree) else getattr(last, "start_pos", 0)
            raise TooDeepError(start or 0)


class FailedError(Exception):
    """A statement that is well formed as text and wrong all the same."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(diagnostic.message)
        self.diagnostic = diagnostic


def _imports(text: str, name: str) -> bool:
    """Whether a text gives an import this name."""
    return re.search(rf'^import[ \t]+"[^"\n]*"[ \t]+as[ \t]+{re.escape(name)}\b', text, re.MULTILINE) is not None


def _fail(code: str, message: str, span: Span, hint: str = "") -> FailedError:
    return FailedError(Diagnostic(code, message, span, hint=hint))


@v_args(meta=True)
class Build(Transformer_NonRecursive[Token, Any]):
    """Transforms the parse tree of the statement that starts at offset ``base`` of ``source``.

    Not recursive, so that the depth at which an expression is refused is ``MAX_DEPTH`` and not what is left
    of Python's stack. Raises ``FailedError`` (inside lark's ``VisitError``): SL102, SL104 to SL107.
    """

    def __init__(self, source: Source, base: int) -> None:
        super().__init__()
        self._source = source
        self._base = base
        self._depth: dict[int, int] = {}
        self._keep: list[object] = []

    def _at(self, meta: Any) -> Span:
        return Span(self._source, self._base + meta.start_pos, self._base + meta.end_pos)

    def _token_span(self, token: Token) -> Span:
        start = self._base + (token.start_pos or 0)
        return Span(self._source, start, start + len(token))

    def _deepen(self, node: Any, *children: Any) -> Any:
        depth = 1 + max((self._depth.get(id(c), 0) for c in children), default=0)
        if depth > MAX_DEPTH:
            raise FailedError(too_deep(node.span))
        self._depth[id(node)] = depth
        self._keep.append(node)  # ids stay unique while every node lives
        return node

    def _declared(self, token: Token) -> str:
        if token in RESERVED:
            raise FailedError(reserved(str(token), self._token_span(token)))
        return str(token)

    def _read(self, token: Token) -> tree.Name:
        span = self._token_span(token)
        if token in RESERVED and token != "slot":
            raise FailedError(reserved(str(token), span))
        return tree.Name(str(token), span)

    # expressions
    def name(self, meta: Any, items: list[Any]) -> Any:
        return self._read(items[0])

    def number(self, meta: Any, items: list[Any]) -> Any:
        text = str(items[0])
        if len(text) > 40:
            hint = "a plaintext slot holds about 15 significant digits"
            raise _fail("SL102", "this number has more than 40 digits", self._at(meta), hint)
        imaginary = text.endswith("i")
        return tree.Number(Fraction(text.rstrip("i")), imaginary, self._at(meta))

    def group(self, meta: Any, items: list[Any]) -> Any:
        return items[0]

    def bracket(self, meta: Any, items: list[Any]) -> Any:
        return self._deepen(tree.Bracket(items[0], self._at(meta)), items[0])

    def index(self, meta: Any, items: list[Any]) -> Any:
        base, *indices, otherwise = items
        return self._deepen(tree.Index(base, tuple(indices), bool(otherwise), self._at(meta)), base, *indices)

    def otherwise(self, meta: Any, items: list[Any]) -> Any:
        if str(items[0]).strip("0.i"):
            raise FailedError(only_else_zero(self._token_span(items[0])))
        return True

    def attribute(self, meta: Any, items: list[Any]) -> Any:
        if str(items[1]) not in TRANSPOSE_WORDS:
            hint = '".T" is the transpose of a matrix, and ".mT" of the last two dimensions'
            if isinstance(items[0], tree.Name) and _imports(self._source.text, items[0].name):
                hint = f"a definition of an import is written with its arguments: {items[0].name}.{items[1]}(a, b)"
            raise _fail("SL106", f'".{items[1]}" is not known', self._token_span(items[1]), hint)
        return self._deepen(tree.Transpose(items[0], self._at(meta), str(items[1])), items[0])

    def constant(self, meta: Any, items: list[Any]) -> Any:
        kind, *arguments = items
        return self._deepen(tree.Constant(str(kind), tuple(arguments), self._at(meta)), *arguments)

    def call(self, meta: Any, items: list[Any]) -> Any:
        name, *arguments = items
        return self._deepen(tree.Call(self._declared(name), tuple(arguments), self._at(meta)), *arguments)

    def qualified(self, meta: Any, items: list[Any]) -> Any:
        base, name, *arguments = items
        if not isinstance(base, tree.Name):
            hint = "a definition of an import is written l.name(a, b), with the import's own name before the point"
            raise _fail("SL106", f'".{name}" is not known', self._token_span(name), hint)
        call = tree.Call(f"{base.name}.{self._declared(name)}", tuple(arguments), self._at(meta))
        return self._deepen(call, *arguments)

    def sign(self, meta: Any, items: list[Any]) -> Any:
        if str(items[0]) == "+":
            return items[1]
        return self._deepen(tree.Unary("-", items[1], self._at(meta)), items[1])

    def part(self, meta: Any, items: list[Any]) -> Any:
        return self._deepen(tree.Unary(str(items[0]), items[1], self._at(meta)), items[1])

    def negate(self, meta: Any, items: list[Any]) -> Any:
        return self._deepen(tree.Unary("not", items[0], self._at(meta)), items[0])

    def binary(self, meta: Any, items: list[Any]) -> Any:
        left, op, right = items
        return self._deepen(tree.Binary(str(op), left, right, self._at(meta)), left, right)

    def either(self, meta: Any, items: list[Any]) -> Any:
        return self._deepen(tree.Binary("or", items[0], items[1], self._at(meta)), *items)

    def both(self, meta: Any, items: list[Any]) -> Any:
        return self._deepen(tree.Binary("and", items[0], items[1], self._at(meta)), *items)

    def compare(self, meta: Any, items: list[Any]) -> Any:
        node = tree.Compare(tuple(map(str, items[1::2])), tuple(items[0::2]), self._at(meta))
        return self._deepen(node, *items[0::2])

    def xor(self, meta: Any, items: list[Any]) -> Any:
        left, sign, right = items
        return self._deepen(tree.Binary(str(sign), left, right, self._at(meta)), left, right)

    def choice(self, meta: Any, items: list[Any]) -> Any:
        yes, condition, no = items
        return self._deepen(tree.Choice(condition, yes, no, self._at(meta)), *items)

    def sum(self, meta: Any, items: list[Any]) -> Any:
        *binders, how, body = items
        node = tree.Sum(tuple(binders), how, body, self._at(meta))
        return self._deepen(node, body, *binders, *([how.argument] if how else []))

    def by(self, meta: Any, items: list[Any]) -> Any:
        name = str(items[0])
        span = self._token_span(items[0])
        if name not in HOW_NAMES:
            raise FailedError(unknown_how(name, span))
        if name == "bsgs" and items[1] is None:
            raise _fail("SL107", '"bsgs" needs its number of baby steps', span, "for example by bsgs(4)")
        if name not in HOW_WITH_NUMBER and items[1] is not None:
            raise _fail("SL107", f'"{name}" takes no argument', span, f"write by {name}")
        return tree.How(name, items[1], span)

    def permute(self, meta: Any, items: list[Any]) -> Any:
        value, (name, inverse) = items
        return self._deepen(tree.Permute(value, name, inverse, self._at(meta)), value)

    def forward(self, meta: Any, items: list[Any]) -> Any:
        return self._declared(items[0]), False

    def backward(self, meta: Any, items: list[Any]) -> Any:
        return self._declared(items[0]), True

    # statements
    def statement(self, meta: Any, items: list[Any]) -> Any:
        return items[0]

    def program(self, meta: Any, items: list[Any]) -> Any:
        sizes = tuple(s for s in items[1:] if isinstance(s, tree.Size))
        return tree.Header(self._declared(items[0]), sizes, self._at(meta))

    def size(self, meta: Any, items: list[Any]) -> Any:
        return tree.Size(self._declared(items[0]), items[1], self._at(meta))

    def let(self, meta: Any, items: list[Any]) -> Any:
        return tree.Let(self._declared(items[0]), items[1], self._at(meta))

    def require(self, meta: Any, items: list[Any]) -> Any:
        return tree.Require(items[0], self._at(meta))

    def tensor(self, meta: Any, items: list[Any]) -> Any:
        token, *dims, sparse = items
        shape: list[tree.Expr] = []
        names: list[str | None] = []
        for dim in dims:
            match dim:
                case tree.Compare(("<",), (tree.Name(name, span), extent)):
                    if name in RESERVED:
                        raise FailedError(reserved(name, span))
                    shape.append(extent)
                    names.append(name)
                case _:
                    shape.append(dim)
                    names.append(None)
        is_sparse, pattern = sparse or (False, None)
        return tree.Tensor(self._declared(token), tuple(shape), tuple(names), is_sparse, pattern, self._at(meta))

    def tensor_name(self, meta: Any, items: list[Any]) -> Any:
        return tree.NameTensor(self._declared(items[0]), items[1], self._at(meta))

    def sparse(self, meta: Any, items: list[Any]) -> Any:
        return True, items[0]

    def input(self, meta: Any, items: list[Any]) -> Any:
        return tree.Declare("input", tuple(items), self._at(meta))

    def weight(self, meta: Any, items: list[Any]) -> Any:
        return tree.Declare("weight", tuple(items), self._at(meta))

    def scalar(self, meta: Any, items: list[Any]) -> Any:
        names = tuple(tree.Name(self._declared(t), self._token_span(t)) for t in items)
        return tree.Scalars(names, self._at(meta))

    def _bounded(self, token: Token) -> tree.Name:
        return tree.Name(self._declared(token), self._token_span(token))

    def entry(self, meta: Any, items: list[Any]) -> Any:
        return "entry", self._bounded(items[0]), ()

    def norm(self, meta: Any, items: list[Any]) -> Any:
        places = tuple(self._bounded(t) if t.type == "NAME" else None for t in items[1:])
        return "norm", self._bounded(items[0]), places

    def bound(self, meta: Any, items: list[Any]) -> Any:
        (kind, name, places), sign, limit = items
        if str(sign) != "<=":
            raise _fail(
                "SL102",
                f'"{sign}" can\'t stand here: a bound is an upper one that may be reached',
                self._token_span(sign),
                'write "<="',
            )
        return tree.Bound(kind, name, places, limit, self._at(meta))

    def axes(self, meta: Any, items: list[Any]) -> Any:
        name = self._declared(items[0]) if items[0] is not None else None
        return tree.Axes(name, tuple(b for b in items[1:] if b is not None), self._at(meta))

    def binder(self, meta: Any, items: list[Any]) -> Any:
        return self._deepen(tree.Binder(self._declared(items[0]), items[2], self._at(meta)), items[2])

    def family(self, meta: Any, items: list[Any]) -> Any:
        return tuple(items)

    def _define(self, kind: str, meta: Any, items: list[Any]) -> Any:
        return tree.Define(kind, self._declared(items[0]), items[1] or (), items[2], self._at(meta))

    def cipher(self, meta: Any, items: list[Any]) -> Any:
        return self._define("cipher", meta, items)

    def plain(self, meta: Any, items: list[Any]) -> Any:
        return self._define("plain", meta, items)

    def compute(self, meta: Any, items: list[Any]) -> Any:
        return self._define("compute", meta, items)

    def perm(self, meta: Any, items: list[Any]) -> Any:
        return tree.DefinePermutation(self._declared(items[0]), items[1], self._at(meta))

    def digits(self, meta: Any, items: list[Any]) -> Any:
        source = tuple(self._read(t) for t in items if isinstance(t, Token))
        target = tuple(t for t in items if not isinstance(t, Token))
        return tree.DigitPermutation(source, target, self._at(meta))

    def slotwise(self, meta: Any, items: list[Any]) -> Any:
        return tree.SlotPermutation(self._read(items[0]), items[1], self._at(meta))

    def cycles(self, meta: Any, items: list[Any]) -> Any:
        return tree.CyclePermutation(tuple(items), self._at(meta))

    def cycle(self, meta: Any, items: list[Any]) -> Any:
        return tuple(items)

    def claim(self, meta: Any, items: list[Any]) -> Any:
        return tree.Claim(items[0], items[2], items[3], self._at(meta))

    def output(self, meta: Any, items: list[Any]) -> Any:
        name, *indices, value, where = items
        indices = [index for index in indices if index is not None]
        return tree.Output(self._declared(name), tuple(indices), value, where, self._at(meta))

    def setting(self, meta: Any, items: list[Any]) -> Any:
        word, *numbers = items
        if word not in PARAMETER_WORDS:
            raise _fail(
                "SL109",
                f'"{word}" is not known of parameters',
                self._token_span(word),
                closest(word, PARAMETER_WORDS) or f"they are {', '.join(PARAMETER_WORDS)}",
            )
        for token in numbers:
            if not str(token).isdecimal() or len(token) > MAX_PARAMETER_DIGITS:
                raise _fail(
                    "SL109",
                    f'"{word}" takes whole numbers below 10^{MAX_PARAMETER_DIGITS}, not {token}',
                    self._token_span(token),
                    SOFT_FORMS["parameters"],
                )
        if word in ONE_NUMBER and len(numbers) > 1:
            what = "one degree" if word == "degree" else "one number of primes that results drop"
            raise _fail("SL109", f"parameters have {what}", self._token_span(numbers[1]), SOFT_FORMS["parameters"])
        return word, tuple(map(int, numbers))

    def parameters(self, meta: Any, items: list[Any]) -> Any:
        settings: dict[str, tuple[int, ...]] = {}
        for word, numbers in items:
            if word in settings:
                raise _fail("SL109", f'"{word}" stands twice', self._token_span(word), "keep one of them")
            settings[str(word)] = numbers
        missing = [word for word in PARAMETER_WORDS[:3] if word not in settings]
        if missing:
            raise _fail("SL109", f"these parameters have no {missing[0]}", self._at(meta), SOFT_FORMS["parameters"])
        (degree,), primes, scales, drops, keys, results, cut = (settings.get(word, ()) for word in PARAMETER_WORDS)
        return tree.Parameters(degree, primes, scales, drops, keys, results, cut, self._at(meta))

    # definitions and imports
    def _head(self, meta: Any, items: list[Any], body: Any) -> Definition:
        name, *parameters = items
        names = tuple(tree.Name(self._declared(t), self._token_span(t)) for t in parameters)
        place = self._at(meta)
        return Definition(self._declared(name), names, body, place, place, place)

    def named(self, meta: Any, items: list[Any]) -> Any:
        *head, body = items
        return self._head(meta, head, body)

    def template(self, meta: Any, items: list[Any]) -> Any:
        return self._head(meta, items, ())

    def finish(self, meta: Any, items: list[Any]) -> Any:
        return End(self._at(meta))

    def imported(self, meta: Any, items: list[Any]) -> Any:
        path, alias = items
        name = self._declared(alias) if alias is not None else None
        return Import(str(path)[1:-1], name, self._at(meta), self._token_span(path))

    def prove(self, meta: Any, items: list[Any]) -> Any:
        name, family, _, value = items
        return tree.Prove(self._declared(name), value, self._at(meta), family or ())
