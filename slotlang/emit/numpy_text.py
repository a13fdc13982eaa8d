"""Slot values and tensor expressions as numpy source text, in the program's own names."""

from __future__ import annotations

import builtins
import keyword
import math
import re
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import assert_never

from slotlang.meaning.integers import (
    SLOT,
    And,
    Cmp,
    Cond,
    Int,
    IntCall,
    IntConst,
    IntIf,
    IntOp,
    IntSize,
    IntVar,
    Not,
    Or,
    evaluate,
    variables,
)
from slotlang.meaning.program import Program
from slotlang.meaning.value import (
    Arith,
    Chain,
    Conj,
    Const,
    Element,
    FamilyRef,
    Iverson,
    Negate,
    Permuted,
    Read,
    ScalarRef,
    Shift,
    SumOver,
    TensorForm,
    Value,
)

LOCAL = frozenset(
    {"inputs", "weights", "ring", "plain", "value", "ev", "cipher", "result", "results", "values"}
    | {"inside", "at", "i", "name", "shape", "slot"}
)
"""Names that emitted functions use themselves."""


class Names:
    """Names of the program as Python names, and names made from them.

    ``own``: the program's names, which are distinct; ``reserved``: the module's. A name that is reserved, a keyword or
    a builtin gets an underscore. A made name, such as ``plain_W``, gets underscores until it is unique.
    ``sizes`` are the values of the program's sizes, ``digits`` the names of what is an array in the text: what differs
    from slot to slot, and the indices of theorems.
    """

    def __init__(
        self,
        own: Iterable[str],
        reserved: Iterable[str],
        sizes: Mapping[str, int] | None = None,
        digits: Iterable[str] = (),
    ) -> None:
        self.sizes = sizes or {}
        self._digits = frozenset(digits) | {SLOT}
        self._reserved = frozenset(reserved) | LOCAL
        own = list(dict.fromkeys(own))
        self._names = {name: name for name in own if name.isidentifier() and not self._unusable(name)}
        self._taken = set(self._names)
        self._made: dict[tuple[str, str], str] = {}
        for name in own:
            if name not in self._names:
                # a variable that no program can name has a sign in it
                self._names[name] = self._free(name.replace("'", "_") if "'" in name else f"{name}_")

    def _unusable(self, name: str) -> bool:
        return (
            keyword.iskeyword(name)
            or keyword.issoftkeyword(name)
            or hasattr(builtins, name)
            or name in self._reserved
            or name.startswith("__")
            or not name.isidentifier()
        )

    def slotwise(self, e: Int) -> bool:
        """Whether an expression differs from slot to slot: it is an array there, and one integer elsewhere."""
        return not self._digits.isdisjoint(variables(e))

    def _free(self, name: str) -> str:
        if not name.isidentifier():
            name = re.sub(r"\W+", "_", name).rstrip("_")  # S[2], a member of a family that is written out
        name = f"v{name}" if name.startswith("__") else name
        while name in self._taken or self._unusable(name):
            name += "_"
        self._taken.add(name)
        return name

    def __call__(self, name: str) -> str:
        """The Python name of one of the program's names."""
        return self._names[name]

    def made(self, kind: str, name: object) -> str:
        """``kind_name`` for an object that has no name in the program."""
        key = (kind, str(name))
        if key not in self._made:
            self._made[key] = self._free(f"{kind}_{name}")
        return self._made[key]

    @property
    def ambiguous(self) -> bool:
        """Whether some name reads like a number (``l``, ``O``, ``I``), which linters report."""
        return not self._taken.isdisjoint(("l", "O", "I"))


_STRENGTH = {"+": 1, "-": 1, "*": 2, "//": 2, "%": 2}


def int_text(e: Int, names: Names, strength: int = 0) -> str:
    """An integer expression."""
    match e:
        case IntConst(value):
            return str(value) if value >= 0 or not strength else f"({value})"
        case IntSize(name):
            return names(name)
        case IntVar(name):
            return "slot" if name == "slot" else names(name)
        case IntOp("-", IntConst(0), b):
            text = f"-{int_text(b, names, 3)}"
            return f"({text})" if strength else text
        case IntOp(op, a, b):
            mine = _STRENGTH[op]
            # a // n * m is written wide: a // n*m would look like a // (n*m)
            tight = op == "*" and not (isinstance(a, IntOp) and a.op in ("//", "%"))
            text = f"{int_text(a, names, mine)}{op if tight else f' {op} '}{int_text(b, names, mine + 1)}"
            return f"({text})" if mine < strength else text
        case IntCall() if not variables(e):
            return str(evaluate(e, names.sizes, {}))
        case IntCall("**" as op, (a, b)):
            exponent = int_text(b, names, 5)
            if names.slotwise(b) and not isinstance(b, IntVar):
                # in a branch that is not taken it may be negative, which numpy refuses
                exponent = f"np.maximum({int_text(b, names)}, 0)"
            text = f"{int_text(a, names, 5)}**{exponent}"
            return f"({text})" if strength > 3 else text
        case IntCall("^", (a, b)):
            text = f"{int_text(a, names, 5)} ^ {int_text(b, names, 5)}"
            return f"({text})" if strength else text
        case IntCall(name, (a, b)) if names.slotwise(e):
            return f"np.{name}imum({int_text(a, names)}, {int_text(b, names)})"
        case IntCall(name, (a, b)):
            return int_text(IntIf(Cmp("<=" if name == "min" else ">=", a, b), a, b), names, strength)
        case IntCall(name, args):
            return int_text(IntCall(name, (IntCall(name, args[:-1]), args[-1])), names, strength)
        case IntIf(cond, yes, no) if names.slotwise(e):
            return f"np.where({cond_text(cond, names)}, {int_text(yes, names)}, {int_text(no, names)})"
        case IntIf(cond, yes, no):
            return f"({int_text(yes, names)} if {cond_text(cond, names)} else {int_text(no, names)})"
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
            return f"np.logical_not({cond_text(part, names)})"
        case _:
            assert_never(c)


def number_text(value: Fraction) -> str:
    """A rational as a Python float expression, exact where a double is."""
    try:
        number = float(value)
    except OverflowError:
        number = float("inf")
    if number == value and abs(number) < 1e16:
        return repr(number) if value >= 0 else f"({number!r})"
    if max(abs(value.numerator), value.denominator) < 1 << 53:
        return f"({value.numerator} / {value.denominator})"
    # what is too large for a double is refused when it is encoded
    return f"({number!r})" if math.isfinite(number) else "float('inf')"


def constant_text(re: Fraction, im: Fraction) -> str:
    """A complex constant."""
    if not im:
        return number_text(re)
    imaginary = f"{number_text(im)} * 1j" if im != 1 else "1j"
    return imaginary if not re else f"({number_text(re)} + {imaginary})"


class ValueText:
    """Numpy text of slot values.

    The object collects what the text refers to: ``forms``, the tensor expressions whose elements are read, with a name
    for each, made of ``stem``; ``families``, the plain families called; ``permutations``, whose tables it indexes with.
    """

    def __init__(self, program: Program, names: Names, stem: str = "product") -> None:
        self.program = program
        self.names = names
        self.stem = stem
        self.forms: dict[TensorForm, str] = {}
        self.families: set[str] = set()
        self.permutations: set[str] = set()

    def text(self, value: Value, strength: int = 0) -> str:
        """An expression over ``slot``, the digits and loop variables; arrays over all slots, or one number
        where all slots hold the same."""
        match value:
            case Const(re, im):
                return constant_text(re, im)
            case ScalarRef(name):
                return self.names(name)
            case Iverson(cond):
                text = f"1.0 * {cond_text(cond, self.names)}"
                return text if strength < 2 else f"({text})"
            case Read(tensor, indices, else_zero):
                return self._read(self.names(tensor), indices, else_zero)
            case Element(form, indices, else_zero):
                if form not in self.forms:
                    self.forms[form] = self.names.made(self.stem, len(self.forms))
                return self._read(self.forms[form], indices, else_zero)
            case FamilyRef(name, indices):
                self.families.add(name)
                places = "".join(", " + int_text(i, self.names) for i in indices)
                return f"{self.names.made('plain', name)}(weights{places})"
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
                return f"np.roll({self._vector(inner)}, {int_text(_negated(amount), self.names)})"
            case SumOver(var, extent, _, _, body):
                extent_text = int_text(extent, self.names)
                return f"sum({self.text(body)} for {self.names(var)} in range({extent_text}))"
            case Permuted(inner, name, inverse):
                self.permutations.add(name)
                table = self.names.made("permutation", name)
                return f"{self._vector(inner)}[{table if inverse else f'np.argsort({table})'}]"
            case _:
                assert_never(value)

    def _vector(self, value: Value) -> str:
        return f"np.broadcast_to({self.text(value)}, SLOTS)"

    def _read(self, name: str, indices: tuple[Int, ...], else_zero: bool) -> str:
        places = ", ".join(int_text(i, self.names) for i in indices)
        if else_zero:
            return f"element({name}, ({places}{',' if len(indices) == 1 else ''}))"
        return f"{name}[{places}]"

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
        scale = [self.names(s) for s in chain.scalars]
        if chain.coefficient != 1:
            scale.insert(0, number_text(chain.coefficient))
        if scale and len(factors) > 1:
            text = f"({text})"
        return " * ".join([*scale, text])


def _negated(e: Int) -> Int:
    match e:
        case IntConst(value):
            return IntConst(-value)
        case IntOp("-", IntConst(0), inner):
            return inner
        case _:
            return IntOp("-", IntConst(0), e)
