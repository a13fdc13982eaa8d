"""Values of a graph's nodes at points of prime fields."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from slotlang.graph.graph import Graph
from slotlang.graph.ring import masked, plain_env, unary
from slotlang.proof.field import Array, Field
from slotlang.proof.points import Points

READING = ("cipher", "plain", "mul_plain", "add_plain")
"""Kinds of nodes that read a vector that is no ciphertext."""


def evaluate_graph(graph: Graph, field: Field, keep: set[int]) -> dict[int, Array]:
    """Values of the nodes in ``keep``, (primes, roots, slots); nothing else is evaluated than what they depend on, and
    every other value is dropped after its last use."""
    program = graph.schedule.program
    last = [-1] * len(graph.nodes)
    needed = sorted(graph.ancestors(keep))
    for number in needed:
        for operand in graph.nodes[number].operands:
            last[operand] = number
    values: dict[int, Array] = {}
    vectors = _Vectors(graph, field, needed)
    p = field.p
    for number in needed:
        node = graph.nodes[number]
        operands = [values[o] for o in node.operands]
        match node.kind:
            case "cipher":
                result = vectors.of(number)
            case "rotate":
                result = _rotated(operands[0], node.step)
            case "mul":
                result = field.mul(*operands)
            case "neg":
                result = (p - operands[0]) % p
            case "rescale":
                result = operands[0]
            case "sum":
                result = _total(operands, node.signs, field)
            case "mul_plain":
                result = field.mul(operands[0], vectors.of(number))
            case "add_plain" | "plain":
                plain = vectors.of(number)
                start = operands[0] if operands else np.zeros_like(plain)
                result = field.add(start, plain) if node.signs[0] > 0 else field.sub(start, plain)
            case kind:
                result = unary(field, kind, operands[0])
        if result.shape[2] != program.slots:
            result = np.broadcast_to(result, (*result.shape[:2], program.slots))
        values[number] = result
        for operand in set(node.operands):
            if last[operand] == number and operand not in keep:
                del values[operand]
    return values


class _Vectors:
    """What the nodes read that are no ciphertexts: the plaintexts, and what the client packs. Those of one family are
    evaluated side by side, in the order in which the nodes want them."""

    def __init__(self, graph: Graph, field: Field, needed: Sequence[int]) -> None:
        self._graph = graph
        self._field = field
        self._points = Points(graph.schedule.program, field)
        self._envs: dict[tuple[bool, str], list[dict[str, int]]] = {}
        self._next: dict[tuple[bool, str], Iterator[Array]] = {}
        for number in needed:
            if graph.nodes[number].kind in READING:
                self._envs.setdefault(self._family(number), []).append(self._env(number))

    def of(self, number: int) -> Array:
        """The vector that a node reads; nodes must come in order."""
        schedule, key = self._graph.schedule, self._family(number)
        packed, name = key
        body = schedule.program.families[name].body if packed else schedule.plains[name].body
        if body is None:
            value: Any = self._field.const(Fraction(1), Fraction(0))
        else:
            if key not in self._next:
                self._next[key] = self._points.vectors(body, self._envs[key])
            value = next(self._next[key])
        if not packed:
            value = masked(schedule, self._field, schedule.plains[name], self._env(number), value)
        vector: Array = value
        return vector

    def _family(self, number: int) -> tuple[bool, str]:
        node = self._graph.nodes[number]
        assert node.plain is not None
        return node.kind == "cipher", node.plain[0]

    def _env(self, number: int) -> dict[str, int]:
        plain, (packed, name) = self._graph.nodes[number].plain, self._family(number)
        assert plain is not None
        schedule = self._graph.schedule
        return schedule.program.families[name].env(plain[1]) if packed else plain_env(schedule.plains[name], plain[1])


def _rotated(values: Array, step: int) -> Array:
    """``values`` rotated to the left; ``np.roll`` takes several times as long to start."""
    step %= values.shape[2]
    return np.concatenate((values[:, :, step:], values[:, :, :step]), axis=2)


def _total(operands: Sequence[Array], signs: Sequence[int], field: Field) -> Array:
    """Signed sum; fewer than 2^32 operands below 2^31 fit 64 bits, so one remainder at the end will do."""
    total = np.array(operands[0] if signs[0] > 0 else field.p - operands[0])
    for operand, sign in zip(operands[1:], signs[1:], strict=True):
        term = operand if sign > 0 else field.p - operand
        if term.shape[1] <= total.shape[1]:
            total += term
        else:
            total = total + term
    return field.reduced(total)


__all__ = ["evaluate_graph"]
