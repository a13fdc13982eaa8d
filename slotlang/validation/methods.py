"""What a body may call on ``ev``: the methods of the runtime's own ``Evaluation``, each with operands of its kinds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from slotlang.validation.operations import Cipher, Plain
from slotlang_runtime.amounts import count_of
from slotlang_runtime.operations import Evaluation

MAX_COUNT = 1 << 24
"""Largest count of a sum by doubling."""

Check: TypeAlias = Callable[[Any], Any]


class Misused(Exception):
    """An operand is not of its kind; the message says which."""


def _any(value: Any) -> Any:
    """A ciphertext or a plaintext, or None; the backend refuses anything else when it gets it, as SEAL does."""
    return value


def _of_kind(value: Any, kind: type, word: str) -> Any:
    if value is not None and not isinstance(value, kind):
        raise Misused(f"a {type(value).__name__} where a {word} is expected")
    return value


def _step(value: Any) -> Any:
    if type(value) is not int:
        raise Misused(f"a {type(value).__name__} where an integer is expected")
    return value


def _rotation(value: Any) -> Any:
    """The step of one rotation, which the runtime takes modulo the slots before anything else."""
    if isinstance(value, Cipher | Plain | dict | list | tuple | Iterator):
        raise TypeError(f"a {type(value).__name__} where an integer is expected")
    return _step(value)


def _count(value: Any) -> Any:
    if not 1 <= _step(value) <= MAX_COUNT:
        raise Misused(f"a sum of {count_of(value, 'term')} by doubling")
    return value


def _radix(value: Any) -> Any:
    if not 2 <= _step(value) <= MAX_COUNT:
        raise Misused(f"a sum by doubling, {count_of(value, 'term')} at a time")
    return value


def _sign(value: Any) -> Any:
    if _step(value) not in (1, -1):
        raise Misused(f"the sign {value}")
    return value


def _signs(value: Any) -> str:
    if not isinstance(value, str) or not set(value) <= set("+-"):
        raise Misused(f"the signs {value!r}")
    return value


def _terms(value: Any) -> Iterator[Any]:
    return iter(_several(value))


def _pair(value: Any) -> tuple[Any, Any]:
    if type(value) is not tuple or len(value) != 2:
        raise Misused(f"a {type(value).__name__} where a ciphertext and a plaintext are expected")
    return _of_kind(value[0], Cipher, "ciphertext"), _of_kind(value[1], Plain, "plaintext")


def _pairs(value: Any) -> Iterator[Any]:
    return map(_pair, _several(value))


def _several(value: Any) -> Iterable[Any]:
    if value is None or isinstance(value, int | Cipher | Plain):
        raise TypeError(f"a {type(value).__name__} where terms are expected")
    if type(value) is not list and not isinstance(value, Iterator):
        raise Misused(f"a {type(value).__name__} where terms are expected")
    items: Iterable[Any] = value
    return items


_OPERANDS: Mapping[str, tuple[Check, ...]] = {
    "rotate": (_any, _rotation),
    "conj": (_any,),
    "product": (_any, _any),
    "relinearize": (_any,),
    "multiply": (_any, _any),
    "rescale": (_any,),
    "negate": (_any,),
    "sum": (_terms,),
    "dot": (_pairs,),
    "add_plain": (_any, _any, _sign),
    "tree": (_terms,),
    "horner": (_terms, _step),
    "doubling": (_any, _step, _count, _radix),
}
"""Operands by method; ``sum_of`` and ``combine`` take any number of ciphertexts, the latter with signs before them."""

_OPTIONAL_LAST = ("add_plain", "doubling")

_SHARING = ("tree", "horner", "doubling")


class Evaluator:
    """``ev``: an ``Evaluation`` of the runtime behind the checks of its operands."""

    def __init__(self, evaluation: Evaluation[Cipher, Plain]) -> None:
        self.evaluation = evaluation

    def call(self, method: str, once: bool, arguments: list[Any], options: Mapping[str, Any]) -> Any:
        """``ev.method(...)``, or ``ev.once(ev.method, ...)``. Raises Misused, and what the runtime raises."""
        match method:
            case "sum_of":
                checks: tuple[Check, ...] = (_any,) * len(arguments)
            case "combine":
                checks = (_signs, *(_any,) * (len(arguments) - 1))
            case _ if method in _OPERANDS:
                checks = _OPERANDS[method]
            case _:
                raise Misused(f"the method `{method}`")
        if method in _OPTIONAL_LAST and len(arguments) == len(checks) - 1:
            checks = checks[:-1]
        if len(checks) != len(arguments):
            raise Misused(f"`{method}` of {count_of(len(arguments), 'operand')}")
        if options and (once or method not in _SHARING or type(options["shared"]) is not bool):
            raise Misused(f"`shared` for `{method}`")
        operands = [check(argument) for check, argument in zip(checks, arguments, strict=True)]
        operation = getattr(self.evaluation, method)
        return self.evaluation.once(operation, *operands) if once else operation(*operands, **options)
