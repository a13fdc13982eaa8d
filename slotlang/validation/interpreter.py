"""Bodies of editable functions, interpreted: nothing of a module is ever executed.

A body runs on whatever its arguments hold: symbols in a proof, numbers where a wrong element is looked for. Names are
found as Python finds them: a name that a function binds anywhere is its own, comprehensions have names of their own,
and what is left is the module's. Dicts that a function makes are Python's dicts, so what is put into one is seen under
all its names; arguments and tables can't be changed. What the language can't say raises ``Outside``, and what fails
when a module runs raises ``Failed``.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from slotlang.refusals import GaveUp
from slotlang.validation import arithmetic
from slotlang.validation.arithmetic import is_int
from slotlang.validation.language import Outside, check_body
from slotlang.validation.methods import Evaluator, Misused
from slotlang.validation.operations import Cipher, Plain
from slotlang.validation.scopes import (
    RANGES,
    UNBOUND,
    Budget,
    Failed,
    Given,
    Library,
    Scope,
    bound_names,
    described_value,
    target_names,
)
from slotlang.validation.symbolic import Tensor, Unsupported, Vector
from slotlang_runtime.amounts import count_of

MAX_CALLS = 20
"""Functions that wait for each other."""


def evaluated(node: ast.expr, names: Mapping[str, Any]) -> Any:
    """The value of an expression at the top of a module. Raises ``Outside`` and ``Failed``."""
    line = node.lineno
    arguments = ast.arguments(posonlyargs=[], args=[], kwonlyargs=[], kw_defaults=[], defaults=[])
    body: list[ast.stmt] = [ast.Return(value=node, lineno=line, col_offset=0)]
    function = ast.FunctionDef(name="top", args=arguments, body=body, decorator_list=[], lineno=line, col_offset=0)
    return Function(function, names)()


@dataclass(frozen=True, eq=False)
class Function:
    """A function of the module, with the names of the module that its body may use."""

    definition: ast.FunctionDef
    names: Mapping[str, Any] = field(repr=False)
    defined: frozenset[str] = field(default=frozenset(), repr=False)
    """All names at the top of the module: one that is not among them is not there when the module runs either."""

    def __post_init__(self) -> None:
        check_body(self.definition)

    def __call__(self, *arguments: Any) -> Any:
        """Interpret the body. Raises ``Outside`` and ``Failed``."""
        return _Run(self, arguments, 0, Budget()).result()

    @cached_property
    def parameters(self) -> list[str]:
        """Names of the arguments."""
        return [a.arg for a in self.definition.args.args]

    @cached_property
    def own(self) -> list[str]:
        """Every name that the body binds."""
        return [*bound_names(self.definition.body), *self.parameters]

    @property
    def line(self) -> int:
        """Where it is defined."""
        return self.definition.lineno


class _Run:
    """One call of a function."""

    def __init__(self, function: Function, arguments: tuple[Any, ...], depth: int, budget: Budget) -> None:
        parameters = function.parameters
        if depth > MAX_CALLS:
            raise Outside(function.line, "functions that call each other without end")
        if len(parameters) != len(arguments):
            raise Failed(
                function.line, f"TypeError: {function.definition.name}() takes {count_of(len(parameters), 'argument')}"
            )
        self.function = function
        self.names = function.names
        self.depth = depth
        self.tick = budget.tick
        self.budget = budget
        self.scope = Scope(function.own, None)
        self.scope.values.update(zip(parameters, arguments, strict=True))

    def result(self) -> Any:
        try:
            for statement in self.function.definition.body:
                if isinstance(statement, ast.Return):
                    assert statement.value is not None, "check_body wants a value"
                    return self.value(statement.value, self.scope)
                self.execute(statement)
        except RecursionError:
            raise Outside(self.function.line, "deeper nesting than is read") from None
        raise AssertionError("check_body wants a return")

    # statements

    def execute(self, statement: ast.stmt) -> None:
        line = statement.lineno
        match statement:
            case ast.Assign(targets=[target], value=value):
                self.assign(target, self.value(value, self.scope))
            case ast.For(target=target, iter=iterable, body=body):
                for item in self.iterated(iterable, self.scope):
                    self.tick(line)
                    self.bind(target, item, self.scope)
                    for inner in body:
                        self.execute(inner)
            case ast.Delete(targets=targets):
                for name in (name for target in targets for name in target_names(target)):
                    if self.scope.values[name] is UNBOUND:
                        raise Failed(line, f"UnboundLocalError: '{name}'")
                    self.scope.values[name] = UNBOUND
            case ast.Expr(value=ast.Constant()):
                pass  # a docstring
            case _:
                raise AssertionError("check_body knows no other statements")

    def assign(self, target: ast.expr, value: Any) -> None:
        if not isinstance(target, ast.Subscript):
            self.bind(target, value, self.scope)
            return
        owner = self.value(target.value, self.scope)
        if type(owner) is not dict:
            raise Outside(target.lineno, f"a change of {described_value(owner)} that the function did not make itself")
        owner[self.key(target.slice, self.scope)] = value

    def bind(self, target: ast.expr, item: Any, scope: Scope) -> None:
        if isinstance(target, ast.Name):
            scope.values[target.id] = item
            return
        names = target_names(target)
        if type(item) is not tuple:
            raise Outside(target.lineno, f"several names for {described_value(item)}")
        if len(names) != len(item):
            raise Failed(
                target.lineno, f"ValueError: {count_of(len(item), 'value')} for {count_of(len(names), 'target')}"
            )
        scope.values.update(zip(names, item, strict=True))

    # expressions

    def value(self, node: ast.expr, scope: Scope) -> Any:
        self.tick(node.lineno)
        match node:
            case ast.Constant(value=constant):
                return constant
            case ast.Name(id=name):
                return self.lookup(name, scope, node.lineno)
            case ast.Call():
                return self.call(node, scope)
            case ast.Subscript(value=owner, slice=places):
                return self.subscript(self.value(owner, scope), places, scope)
            case ast.Tuple(elts=parts):
                return tuple(self.value(part, scope) for part in parts)
            case ast.BinOp(left=left, op=op, right=right) | ast.Compare(left=left, ops=[op], comparators=[right]):
                a, b = self.value(left, scope), self.value(right, scope)
                if isinstance(node, ast.BinOp) and _refused(a, b):
                    what = f"arithmetic with {described_value(a)} and {described_value(b)}"
                    raise Failed(node.lineno, f"TypeError: {what}")
                return self.computed(node, arithmetic.binary, type(op), a, b)
            case ast.UnaryOp(operand=operand):
                return self.computed(node, arithmetic.negative, self.value(operand, scope))
            case ast.IfExp(test=test, body=body, orelse=other):
                chosen = self.value(test, scope)
                if type(chosen) not in (int, bool):
                    raise Outside(node.lineno, f"a choice by {described_value(chosen)}")
                return self.value(body if chosen else other, scope)
            case ast.Attribute(value=owner):
                return self.computed(node, arithmetic.transpose, self.value(owner, scope))
            case ast.List(elts=parts):
                return self.items(parts, scope)
            case ast.Dict(keys=keys, values=values):
                return self.dict(keys, values, scope)
            case ast.ListComp(elt=value, generators=loops):
                return [self.value(value, inner) for inner in self.looped(loops, scope)]
            case ast.DictComp(key=key, value=value, generators=loops):
                return {self.key(key, inner): self.value(value, inner) for inner in self.looped(loops, scope)}
        assert isinstance(node, ast.GeneratorExp), "check_body knows no other expressions"
        return self.generated(node, scope)

    def computed(self, node: ast.expr, function: Callable[..., Any], *arguments: Any) -> Any:
        """A function's result, with its exceptions in this line."""
        try:
            result = function(*arguments)
            self.tick(node.lineno, arithmetic.work(result))
            return result
        except (Unsupported, Misused) as problem:
            raise Outside(node.lineno, str(problem)) from None
        except (Outside, Failed, GaveUp, TimeoutError, RecursionError):
            raise
        except MemoryError:
            raise Outside(node.lineno, "more memory than there is") from None
        except Exception as problem:  # what Python, numpy and the runtime raise, they raise when the module runs
            raise Failed(node.lineno, f"{type(problem).__name__}: {problem}") from None

    def lookup(self, name: str, scope: Scope, line: int) -> Any:
        inner: Scope | None = scope
        while inner is not None:
            if name in inner.values:
                found = inner.values[name]
                if found is UNBOUND:
                    raise Failed(line, f"UnboundLocalError: '{name}' has no value")
                return found
            inner = inner.outer
        if name in self.names:
            return self.names[name]
        if name not in self.function.defined and not hasattr(builtins, name):
            raise Failed(line, f"NameError: '{name}' is not defined")
        raise Outside(line, f"the name `{name}`, which is not one of the module's tables or of this function")

    def subscript(self, owner: Any, places: ast.expr, scope: Scope) -> Any:
        if isinstance(owner, dict | Given):
            key = self.key(places, scope)
            if key not in owner:
                raise Failed(places.lineno, f"KeyError: {key!r}")
            return owner[key]
        at = self.value(places, scope)
        if owner is None or isinstance(owner, int | float | complex | Cipher | Plain | Generator):
            raise Failed(places.lineno, f"TypeError: {described_value(owner)} has no elements")
        if type(owner) is list:
            if not is_int(at):
                raise Outside(places.lineno, f"{described_value(at)} as an index of a list")
            return self.computed(places, lambda: owner[at])
        if isinstance(owner, np.ndarray | Vector | Tensor):
            return self.computed(places, arithmetic.index, owner, at)
        raise Outside(places.lineno, f"an element of {described_value(owner)}")

    def key(self, node: ast.expr, scope: Scope) -> Any:
        key = self.value(node, scope)
        for part in key if isinstance(key, tuple) else (key,):
            if type(part) not in (int, str):
                raise Outside(node.lineno, f"{described_value(part)} as a key")
        return key

    def items(self, parts: list[ast.expr], scope: Scope) -> list[Any]:
        found: list[Any] = []
        for part in parts:
            if isinstance(part, ast.Starred):
                for item in self.iterated(part.value, scope):
                    self.tick(part.lineno)
                    found.append(item)
            else:
                found.append(self.value(part, scope))
        return found

    def dict(self, keys: list[ast.expr | None], values: list[ast.expr], scope: Scope) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        for key, value in zip(keys, values, strict=True):
            if key is not None:
                found[self.key(key, scope)] = self.value(value, scope)
                continue
            other = self.value(value, scope)
            if not isinstance(other, dict | Given):
                raise Outside(value.lineno, f"the items of {described_value(other)}")
            found.update(other)
        return found

    # loops

    def iterated(self, node: ast.expr, scope: Scope) -> Iterable[Any]:
        """What a loop goes through: a range, forwards or backwards, ``np.ndindex``, or a list."""
        found = self.value(node, scope)
        if not isinstance(found, RANGES) and type(found) is not list:
            raise Outside(node.lineno, f"a loop over {described_value(found)}")
        return found

    def looped(self, loops: list[ast.comprehension], scope: Scope) -> Iterator[Scope]:
        """The scope of a comprehension, once for each of its values."""
        inner = Scope([name for loop in loops for name in target_names(loop.target)], scope)
        # the first loop's range is found outside, and at once
        first = self.iterated(loops[0].iter, scope)

        def nested(number: int) -> Iterator[Scope]:
            if number == len(loops):
                yield inner
                return
            loop = loops[number]
            for item in self.iterated(loop.iter, inner) if number else first:
                self.tick(loop.iter.lineno)
                self.bind(loop.target, item, inner)
                yield from nested(number + 1)

        return nested(0)

    # calls

    def call(self, node: ast.Call, scope: Scope) -> Any:
        line = node.lineno
        match node.func:
            case ast.Name(id=name):
                return self.named(node, self.lookup(name, scope, line), scope)
            case ast.Attribute(value=ast.Name(id=owner), attr=method):
                found = self.lookup(owner, scope, line)
                if isinstance(found, Evaluator):
                    return self.operation(node, found, method, scope)
                if isinstance(found, Library) and method in found.functions:
                    operation, count = found.functions[method]
                    arguments = self.arguments(node, scope)
                    if count not in (None, len(arguments)):
                        raise Outside(line, f"`{owner}.{method}` of {count_of(len(arguments), 'argument')}")
                    return self.computed(node, operation, *arguments)
                if isinstance(found, Given) and found.popped and method == "pop":
                    return self.popped(node, found, scope)
                raise Outside(line, f"a call of `{owner}.{method}`")
        raise AssertionError("check_body knows no other calls")

    def arguments(self, node: ast.Call, scope: Scope) -> list[Any]:
        if node.keywords:
            raise Outside(node.lineno, "an argument by name")
        return self.items(node.args, scope)

    def named(self, node: ast.Call, function: Any, scope: Scope) -> Any:
        if function is sum:
            return self.total(node, scope)
        arguments = self.arguments(node, scope)
        if function is range:
            if not arguments or not all(map(is_int, arguments)):
                raise Outside(node.lineno, "a range of something that is not integers")
            return self.computed(node, range, *arguments)
        if function is reversed:
            if len(arguments) != 1 or not isinstance(arguments[0], range):
                raise Outside(node.lineno, "`reversed` of something that is not a range")
            return reversed(arguments[0])
        if isinstance(function, Function):
            return _Run(function, tuple(arguments), self.depth + 1, self.budget).result()
        if function is arithmetic.element and len(arguments) == 2:
            return self.computed(node, function, *arguments)
        if function is arithmetic.table and len(arguments) == 1:
            return self.computed(node, function, *arguments)
        raise Outside(node.lineno, f"a call of {described_value(function)}")

    def total(self, node: ast.Call, scope: Scope) -> Any:
        match node:
            case ast.Call(args=[ast.GeneratorExp(elt=value, generators=loops)], keywords=[]):
                total: Any = 0
                for inner in self.looped(loops, scope):
                    total = self.computed(node, arithmetic.binary, ast.Add, total, self.value(value, inner))
                return total
        raise Outside(node.lineno, "`sum` of something that is not a generator")

    def popped(self, node: ast.Call, owner: Given, scope: Scope) -> Any:
        if len(node.args) != 1 or node.keywords:
            raise Outside(node.lineno, "`pop` of other than one name")
        key = self.key(node.args[0], scope)
        if key not in owner:
            raise Failed(node.lineno, f"KeyError: {key!r}")
        return owner.items_.pop(key)

    def operation(self, node: ast.Call, ev: Evaluator, method: str, scope: Scope) -> Any:
        parts, once = node.args, method == "once"
        if once:
            attribute, *parts = parts
            assert isinstance(attribute, ast.Attribute), "check_body"
            method = attribute.attr
        arguments: list[Any] = []
        for part in parts:
            if isinstance(part, ast.Starred):
                arguments += self.items([part], scope)
            else:
                arguments.append(self.value(part, scope))
        options = {k.arg or "": self.value(k.value, scope) for k in node.keywords}
        if once and any(isinstance(part, ast.GeneratorExp) for part in parts):
            raise Outside(node.lineno, "`once` of a generator")
        return self.computed(node, ev.call, method, once, arguments, options)

    def generated(self, node: ast.GeneratorExp, scope: Scope) -> Iterator[Any]:
        """The terms of a generator, found when they are asked for; what it goes through is found now."""
        scopes = self.looped(node.generators, scope)
        return (self.value(node.elt, inner) for inner in scopes)


def _refused(a: Any, b: Any) -> bool:
    """Whether Python itself has no arithmetic for two values: a ciphertext or plaintext with such a one or a number."""
    kinds = (int, float, complex, Cipher, Plain)
    return isinstance(a, kinds) and isinstance(b, kinds) and any(isinstance(v, Cipher | Plain) for v in (a, b))
