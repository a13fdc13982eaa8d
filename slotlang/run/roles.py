"""What a program's theorems say that its tensors are: the input of tokens, and the factors of LoRA updates."""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass
from typing import Final, Literal

from slotlang.diagnostics import error
from slotlang.syntax import tree
from slotlang.syntax.tensor_names import without_names
from slotlang_runtime.amounts import count_of

FORM: Final = "adapters run with programs that prove y == scale * A @ B @ x, once or several times"


@dataclass(frozen=True)
class Roles:
    """Which of a program's tensors are the result, the input, the down- and the up-projection, and the scalar, by one
    theorem."""

    output: str
    input: tree.Tensor
    down: tree.Tensor
    up: tree.Tensor
    scalar: str | None


@dataclass(frozen=True)
class _Names:
    tensors: dict[str, tuple[str, tree.Tensor]]
    scalars: frozenset[str]
    theorems: tuple[tree.Prove, ...]

    @property
    def inputs(self) -> list[tree.Tensor]:
        return [tensor for kind, tensor in self.tensors.values() if kind == "input"]


def _names(syntax: tree.Program) -> _Names:
    tensors: dict[str, tuple[str, tree.Tensor]] = {}
    scalars: set[str] = set()
    theorems = []
    for statement in without_names(syntax).statements:
        match statement:
            case tree.Declare(kind, declared):
                tensors.update({t.name: (kind, t) for t in declared})
            case tree.Scalars(declared_scalars):
                scalars.update(n.name for n in declared_scalars)
            case tree.Prove():
                theorems.append(statement)
            case _:
                pass
    return _Names(tensors, frozenset(scalars), tuple(theorems))


def roles(syntax: tree.Program) -> tuple[Roles, ...]:
    """The roles of each theorem, ``scale * A @ B @ x``, in the program's order. Raises SL506 when one has another form,
    or when theorems share weights."""
    names = _names(syntax)
    if not names.theorems:
        raise error("SL506", "an adapter needs a program with a theorem", hint=FORM)
    found = [_of_theorem(theorem, names) for theorem in names.theorems]
    weights = [tensor.name for role in found for tensor in (role.up, role.down)]
    if len(set(weights)) != len(weights):
        raise error("SL506", "theorems share weights, and an adapter's modules do not", found[0].up.span, hint=FORM)
    return tuple(found)


def _of_theorem(theorem: tree.Prove, names: _Names) -> Roles:
    factors = _factors(theorem.value)
    tensors = [names.tensors[n] for n in factors if n in names.tensors]
    used = [n for n in factors if n in names.scalars]
    kinds = [kind for kind, _ in tensors]
    distinct = len(set(factors)) == len(tensors) + len(used)
    if kinds != ["weight", "weight", "input"] or len(used) > 1 or not distinct:
        raise error("SL506", "this program does not compute an adapter's update", theorem.span, hint=FORM)
    return Roles(theorem.name, tensors[2][1], tensors[1][1], tensors[0][1], used[0] if used else None)


def _factors(e: tree.Expr) -> list[str]:
    match e:
        case tree.Name(name):
            return [name]
        case tree.Binary("@" | "*", left, right):
            return _factors(left) + _factors(right)
        case _:
            return ["?"]


def token_input(syntax: tree.Program) -> tree.Tensor:
    """The input that holds a token per column, or one token.

    It is the program's only input. One with columns must keep them apart: no theorem may mix tokens, or treat one
    otherwise than the others. Raises SL506.
    """
    names = _names(syntax)
    hint = "--data FILE.npz gives arrays by name, in the program's shapes"
    if len(names.inputs) != 1:
        message = f"tokens go into one input, and this program has {len(names.inputs)}"
        span = names.inputs[-1].span if names.inputs else syntax.header.span
        raise error("SL506", message, span, hint=hint)
    (found,) = names.inputs
    if len(found.shape) > 2 or not found.shape:
        message = (
            f"tokens are the columns of an input, and '{found.name}' has {count_of(len(found.shape), 'dimension')}"
        )
        raise error("SL506", message, found.span, hint=hint)
    for theorem in names.theorems:
        if theorem.binders:
            kept = _apart(theorem, found)
        else:
            kept = len(found.shape) == 1 or _kind(theorem.value, found.name, names.scalars) == "tokens"
        if not kept:
            message = "this program does not compute its result token by token"
            raise error("SL506", message, theorem.span, hint=hint)
    return found


def _apart(theorem: tree.Prove, tokens: tree.Tensor) -> bool:
    """Whether a theorem by elements keeps the columns of an input apart: its last index runs over them, the input is
    read there, and nothing else mentions either. With an input of one token, whether the result is one."""
    if len(tokens.shape) == 1:
        return len(theorem.binders) == 1
    name, token = tokens.name, theorem.binders[-1].name
    if len(theorem.binders) != 2 or theorem.binders[-1].extent != tokens.shape[1]:
        return False

    def elsewhere(part: object) -> bool:
        match part:
            case tree.Index(tree.Name(read), (*indices, tree.Name(last))) if read == name and last == token:
                return any(map(elsewhere, indices))
            case tree.Name(mentioned):
                return mentioned in (name, token)
            case tuple():
                return any(map(elsewhere, part))
            case _:
                parts = [f.name for f in fields(part) if f.name != "span"] if is_dataclass(part) else []
                return any(elsewhere(getattr(part, f)) for f in parts)

    return not elsewhere(theorem.value)


_Kind = Literal["scalar", "constant", "tokens", "mixed"]


def _kind(e: tree.Expr, name: str, scalars: frozenset[str]) -> _Kind:
    """What an expression of tensors is: a number, without the input, one column for each token, or anything else."""
    match e:
        case tree.Number():
            return "scalar"
        case tree.Constant():
            return "constant"
        case tree.Name(found):
            return "tokens" if found == name else "scalar" if found in scalars else "constant"
        case tree.Unary(_, operand):
            return _kind(operand, name, scalars)
        case tree.Transpose(base):
            return "constant" if _kind(base, name, scalars) in ("scalar", "constant") else "mixed"
        case tree.Binary(op, left, right):
            return _of_pair(op, _kind(left, name, scalars), _kind(right, name, scalars))
        case _:
            return "mixed"


def _of_pair(op: str, left: _Kind, right: _Kind) -> _Kind:
    kinds = {left, right}
    if "mixed" in kinds:
        return "mixed"
    if "tokens" not in kinds:
        return "scalar" if kinds == {"scalar"} else "constant"
    if op == "@":
        return "tokens" if right == "tokens" and left != "tokens" else "mixed"
    # elementwise: by itself, or by a number
    fits = (
        kinds == {"tokens"}
        or (op == "*" and kinds == {"tokens", "scalar"})
        or (op in ("/", "**") and right == "scalar")
    )
    return "tokens" if fits else "mixed"
