"""Walks along what families are made of, however many families read each other in a row.

A recursive family of a thousand members is a thousand definitions deep, which is more than Python's stack holds. A walk
that keeps something for each family goes through ``in_order`` first. Any other walk is a generator, which yields the
walk that it needs the answer of, and is taken by ``walked``: the stack is then a list.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from types import GeneratorType
from typing import Any, TypeAlias, TypeVar

from slotlang.meaning.program import Family
from slotlang.meaning.value import FamilyRef, Value, leaves

T = TypeVar("T")

Steps: TypeAlias = Generator[Any, Any, T]
"""A walk that answers with a ``T``. It yields other walks, or their answers where these are known at once, and is sent
the answers."""


def walked(steps: Steps[T]) -> T:
    """The answer of a walk, or what is an answer already. What an inner walk raises is raised where the outer one waits
    for its answer."""
    if not isinstance(steps, GeneratorType):
        return steps  # type: ignore[return-value]
    waiting: list[Steps[Any]] = [steps]
    answer: Any = None
    problem: BaseException | None = None
    while True:
        try:
            if problem is None:
                inner = waiting[-1].send(answer)
            else:
                thrown, problem = problem, None
                inner = waiting[-1].throw(thrown)
        except StopIteration as end:
            waiting.pop()
            if not waiting:
                return end.value  # type: ignore[no-any-return]
            answer = end.value
        except BaseException as raised:
            waiting.pop()
            if not waiting:
                raise
            problem = raised
        else:
            if isinstance(inner, GeneratorType):
                waiting.append(inner)
                answer = None
            else:
                answer = inner


def in_order(families: Mapping[str, Family], value: Value, known: Iterable[str] = ()) -> list[str]:
    """The names of the families that a value mentions, itself or through others, each after all that it mentions;
    without those that are ``known`` and what only these mention. A family that mentions itself stands once."""
    done = set(known)
    order: list[str] = []
    entered: set[str] = set()
    waiting = _mentioned(value)
    while waiting:
        name = waiting[-1]
        if name in done:
            waiting.pop()
        elif name in entered:
            done.add(name)
            order.append(waiting.pop())
        else:
            entered.add(name)
            waiting += [n for n in _mentioned(families[name].body) if n not in entered]
    return order


def _mentioned(value: Value) -> list[str]:
    return [leaf.name for leaf in leaves(value) if isinstance(leaf, FamilyRef)]


__all__ = ["Steps", "in_order", "walked"]
