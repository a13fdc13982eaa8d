"""A standalone module: one file of direct ``tenseal.sealapi`` calls, without the runtime.

The program's own part is the same text as in other modules. Before it stands the source of ``direct``, without the
methods and functions that the program does not use.
"""

from __future__ import annotations

import ast
import re
from dataclasses import replace
from functools import cache
from pathlib import Path

from slotlang.cost.promise import Promise
from slotlang.emit.head import Lowering
from slotlang.emit.lines import paragraph
from slotlang.emit.module import ModuleText, compiled, run_text
from slotlang.planning.plan import Plan

STANDALONE = "standalone"
"""The value of ``RUNTIME`` in a standalone module."""

_START = "# direct calls start here\n"
_OPTIONAL = ("element", "table")
_ALWAYS = frozenset({"__init__", "add_plain"})
"""Methods of ``Evaluation`` that every module uses."""

_NEEDS = {"import base64\n": "base64.", "import zlib\n": "zlib.", "Iterable, ": "Iterable["}
"""Imports that not every module uses, and how the code that does looks."""


@cache
def direct_source() -> str:
    """The source of ``direct``."""
    return Path(__file__).with_name("direct.py").read_text(encoding="utf-8")


@cache
def fixed_functions() -> frozenset[str]:
    """Functions at the top of ``direct``, which may not be edited in a module."""
    return frozenset(s.name for s in ast.parse(direct_source()).body if isinstance(s, ast.FunctionDef))


def _methods_used(evaluation: ast.ClassDef, text: str) -> frozenset[str]:
    """Methods of ``Evaluation`` that a module's text calls, and those that these call."""
    calls = {
        method.name: set(re.findall(r"\bself\.(\w+)", ast.unparse(method)))
        for method in evaluation.body
        if isinstance(method, ast.FunctionDef)
    }
    waiting = list(_ALWAYS | (set(re.findall(r"\bev\.(\w+)", text)) & calls.keys()))
    used: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in used:
            used.add(name)
            waiting += calls[name] & calls.keys()
    return frozenset(used)


def _pruned(text: str) -> tuple[str, str]:
    """Imports, and the part of ``direct`` that a module with this text needs."""
    source = direct_source()
    lines = source.splitlines(keepends=True)
    start = source[: source.index(_START)].count("\n") + 1
    dropped: set[int] = set()

    def drop(node: ast.stmt, blank: int) -> None:
        assert node.end_lineno is not None
        dropped.update(range(node.lineno - blank, node.end_lineno + 1))

    for statement in ast.parse(source).body:
        match statement:
            case ast.ClassDef(name="Evaluation", body=body):
                used = _methods_used(statement, text)
                for method in body:
                    if isinstance(method, ast.FunctionDef) and method.name not in used:
                        drop(method, 1)
            case ast.FunctionDef(name=name) if name in _OPTIONAL and not re.search(rf"\b{name}\(", text):
                drop(statement, 2)
            case _:
                pass
    kept = "".join(line for number, line in enumerate(lines, 1) if number > start and number not in dropped)
    head = source[source.index("from __future__") : source.index(_START)]
    for imported, use in _NEEDS.items():
        if use not in kept:
            head = head.replace(imported, "")
    return head.strip("\n"), kept.strip("\n")


class _Standalone(ModuleText):
    def module(self) -> str:
        body = "\n\n\n".join(part.strip("\n") for part in self.parts(STANDALONE) if part.strip())
        imports, direct = _pruned(body)
        return "\n".join([self.head(), "", imports, "", "", direct, "", "", body]) + "\n"

    def call(self) -> str:
        return run_text("MODULE, PROMISE")

    def hiding_sentence(self) -> list[str]:
        if not (self.hiding.halves or self.hiding.slots):
            return super().hiding_sentence()
        doubled = ", ".join(sorted(self.hiding.doubled))
        first = f"the part not read, exactly, by adding the conjugate ({doubled}); every other" if doubled else "every"
        return paragraph(
            f"Hidden from the key holder (--hide {self.hiding.mode}): {first} slot and part that no output reads, by a "
            "random value added to it. slotlang_runtime hides a part exactly, as it sends half of c0; these values do "
            "not (docs/security.md)."
        )

    def unbounded_sentence(self) -> str:
        return "Range: NOT proved. With large weights a message could wrap, and results be wrong without a word."

    def kernel_sentence(self) -> list[str]:
        return paragraph(
            "Standalone: every ciphertext operation is a call of tenseal.sealapi, one by one. Client and server are "
            "two halves of one process. Not checked: whether errors exceed the prediction, as they do with larger "
            "weights; slotlang_runtime warns of these."
        )


def emit_standalone(plan: Plan, lowering: Lowering, promise: Promise | None = None) -> str:
    """Source text of the standalone module of a plan for a standalone target. Raises SL309 as ``emit``."""
    if not plan.standalone:
        raise ValueError("the plan is not that of a standalone module: whole ciphertexts have other masks")
    # no other weights are compared with those that it was lowered for
    made = replace(promise or plan.promise, sizes={})
    return compiled(plan, _Standalone(plan, lowering, made).module())
