"""Slot values and tensor expressions as numpy source text, in the program's own names."""

from __future__ import annotations

import builtins
import keyword
from collections.abc import Iterable
from fractions import Fraction
from typing import assert_never

from slotlang.meaning.integers import (
    SLOT,
    And,
    Cmp,
    Cond,
    Int,
    IntConst,
    IntOp,
    IntSize,
    IntVar,
    Not,
    Or,
    variables,
)
from slotlang.meaning.program import (
    Arith,
    Chain,
    Conj,
    Const,
    Element,
    FamilyRef,
    Iverson,
    Negate,
    Permuted,
    Program,
    Read,
    ScalarRef,
    Shift,
    SumOver,
    TensorForm,
    Value,
)

_OWN = frozenset(
    "PARAMETERS SLOTS Rejected make_context Ring pack unpack check_array element Evaluation Client Server main "
    "reference np seal argparse hashlib math struct sys tempfile time Counter Path self ring ev result _saved "
    "_loaded _fingerprint _MAGIC _ABSENT _LIMIT product plain encoded SOURCE STEPS WEIGHTS INPUTS".split()
)


class Names:
    """Program names as Python names: keywords, builtins and the module's own names get an underscore."""

    def __init__(self, program: Program, extra: Iterable[str] = ()) -> None:
        self._taken = {*program.families, *program.tensors, *program.sizes, *program.digits, *program.scalars, *extra}
        self._made: dict[str, str] = {}

    def __call__(self, name: str) -> str:
        if name not in self._made:
            safe = name
            while (
                keyword.iskeyword(safe)
                or keyword.issoftkeyword(safe)
                or safe in _OWN
                or hasattr(builtins, safe)
                or safe.startswith("_")
                or (safe != name and safe in self._taken)
            ):
                safe = (safe.lstrip("_") or "v") + "_"
            self._made[name] = safe
        return self._made[name]


_STRENGTH = {"+": 1, "-": 1, "*": 2, "//": 2, "%": 2}


def int_text(e: Int, names: Names, strength: int = 0) -> str:
    """An integer expression."""
    match e:
        case IntConst(value):
            return str(value) if value >= 0 or not strength else f"({value})"
        case IntSize(name) | IntVar(name):
            return names(name)
        case IntOp("-", IntConst(0), b):
            text = f"-{int_text(b, names, 3)}"
            return f"({text})" if strength else text
        case IntOp(op, a, b):
            mine = _STRENGTH[op]
            sign = f" {op} " if mine == 1 or op != "*" else "*"
            text = f"{int_text(a, names, mine)}{sign}{int_text(b, names, mine + 1)}"
            return f"({text})" if mine < strength else text
        case _:
            assert_never(e)


def cond_text(c: Cond, names: Names) -> str:
    """A condition on arrays; always in parentheses."""
    match c:
        case Cmp(op, a, b):
            return f"({int_text(a, names)} {op} {int_text(b, names)})"
        case And(parts):
            return "(" + (" & ".join(cond_text(p, names) for p in parts) or "True") + ")"
        case Or(parts):
            return "(" + (" | ".join(cond_text(p, names) for p in parts) or "False") + ")"
        case Not(part):
            return f"np.logical_not{cond_text(part, names)}"
        case _:
            assert_never(c)


def number_text(value: Fraction) -> str:
    """A rational as a Python float expression, exact where a double is."""
    if value.denominator == 1:
        return f"{value.numerator}.0" if value >= 0 else f"({value.numerator}.0)"
    return f"({value.numerator} / {value.denominator})"


def constant_text(re: Fraction, im: Fraction) -> str:
    """A complex constant."""
    if not im:
        return number_text(re)
    imaginary = f"{number_text(im)} * 1j" if im != 1 else "1j"
    return imaginary if not re else f"({number_text(re)} + {imaginary})"


class ValueText:
    """Numpy text of slot values. ``forms`` collects the tensor expressions whose elements are named."""

    def __init__(self, program: Program, names: Names) -> None:
        self.program = program
        self.names = names
        self.forms: dict[TensorForm, str] = {}
        self.permutations: set[str] = set()

    def text(self, value: Value, strength: int = 0) -> str:
        """An expression over ``slot``, the digits and loop variables; arrays over all slots."""
        match value:
            case Const(re, im):
                return constant_text(re, im)
            case ScalarRef(name):
                return self.names(name)
            case Iverson(cond):
                return f"1.0 * {cond_text(cond, self.names)}" if strength < 2 else f"(1.0 * {cond_text(cond, self.names)})"
            case Read(tensor, indices, else_zero):
                return self._read(self.names(tensor), indices, else_zero)
            case Element(form, indices, else_zero):
                name = self.forms.setdefault(form, f"product_{len(self.forms)}")
                return self._read(name, indices, else_zero)
            case FamilyRef(name, indices):
                return f"{self.names(f'plain_{name}')}(weights{''.join(', ' + int_text(i, self.names) for i in indices)})"
            case Negate(inner):
                text = f"-{self.text(inner, 3)}"
                return f"({text})" if strength else text
            case Conj(inner):
                return f"np.conj({self.text(inner)})"
            case Arith(op, left, right):
                mine = 2 if op == "*" else 1
                text = f"{self.text(left, mine)} {op} {self.text(right, mine + 1)}"
                return f"({text})" if mine < strength else text
            case Shift(inner, amount):
                return f"np.roll(np.broadcast_to({self.text(inner)}, (SLOTS,)), -({int_text(amount, self.names)}))"
            case SumOver(var, extent, _, _, body):
                return f"sum({self.text(body)} for {self.names(var)} in range({int_text(extent, self.names)}))"
            case Permuted(inner, name, inverse):
                self.permutations.add(name)
                table = self.names(f"permutation_{name}")
                where = table if inverse else f"np.argsort({table})"
                return f"np.broadcast_to({self.text(inner)}, (SLOTS,))[{where}]"
            case _:
                assert_never(value)

    def _read(self, name: str, indices: tuple[Int, ...], else_zero: bool) -> str:
        places = [int_text(i, self.names) for i in indices]
        if else_zero:
            return f"element({name}, ({', '.join(places)},), else_zero=True)"
        return f"{name}[{', '.join(places)}]"

    def form(self, form: TensorForm) -> str:
        """A tensor expression, products taken from the cheap side."""
        parts = [self._chain(chain) for chain in form.chains]
        return " + ".join(parts)

    def _chain(self, chain: Chain) -> str:
        factors = [self.names(f.tensor) + (".T" if f.transposed else "") for f in chain.factors]
        text = factors[-1]
        for position, factor in enumerate(reversed(factors[:-1])):
            # from the right, where the thin matrix is; parentheses keep it so
            text = f"{factor} @ {f'({text})' if position else text}"
        if len(factors) > 1:
            text = f"({text})"
        scale = [self.names(s) for s in chain.scalars]
        if chain.coefficient != 1:
            scale.insert(0, number_text(chain.coefficient))
        return " * ".join([*scale, text])


def uses(value_text: str, names: Iterable[str]) -> list[str]:
    """Which of the names occur in a text as whole words."""
    import re

    words = set(re.findall(r"[A-Za-z_]\w*", value_text))
    return [n for n in names if n in words]


def depends_on_slot(indices: Iterable[Int], program: Program) -> bool:
    """Whether index expressions change from slot to slot."""
    free = frozenset().union(*(variables(i) for i in indices))
    return bool(free & (program.digits.keys() | {SLOT}))
