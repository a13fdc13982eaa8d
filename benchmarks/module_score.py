"""The score of the check of emitted modules: changed modules of the corpus, at small sizes, against exact slots."""

from __future__ import annotations

import ast
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from itertools import islice, zip_longest
from pathlib import Path
from random import Random

from slotlang import api
from slotlang.meaning.bind import bind
from slotlang.source import Source
from slotlang.syntax.parser import parse
from slotlang.validation.check import validate_tree
from slotlang.validation.reemission import editable

from .module_mutants import Meaning, ModuleMutation, module_mutants

SECONDS = 20
"""A module of these sizes takes less than one."""


@dataclass(frozen=True)
class ModuleResult:
    """One changed module: whether it is right, and what the check of modules says."""

    program: str
    kind: str
    change: str
    right: bool
    status: str


@cache
def lowered(text: str, sizes: tuple[tuple[str, int], ...]) -> tuple[api.Lowered, Meaning]:
    """A program's module with what decides about changes of it."""
    made = api.lower(bind(parse(Source("corpus", text)), dict(sizes)))
    return made, Meaning(made)


ModuleChoice = tuple[Path, str, tuple[tuple[str, int], ...], ModuleMutation]


def choices(programs: list[tuple[Path, str, dict[str, int]]], count: int, seed: int) -> list[ModuleChoice]:
    """``count`` changed modules, programs taking turns."""
    piles = []
    for path, text, sizes in programs:
        fixed = tuple(sizes.items())
        changed = list(module_mutants(lowered(text, fixed)[0].text))
        Random(seed).shuffle(changed)
        piles.append([(path, text, fixed, mutation) for mutation in changed])
    return list(islice((c for row in zip_longest(*piles) for c in row if c is not None), count))


def judge(choice: ModuleChoice) -> ModuleResult:
    """What is true of one changed module, and what is said of it."""
    path, text, sizes, mutation = choice
    made, meaning = lowered(text, sizes)
    right, status = False, "endless"
    with suppress(TimeoutError), limited(SECONDS):
        right = meaning.right(mutation.text)
        tree = ast.parse(mutation.text)
        status = validate_tree(tree, editable(tree), made.plan.program, proved=True, edited=True).status
    return ModuleResult(path.stem, mutation.kind, mutation.description, right, status)


@contextmanager
def limited(seconds: int) -> Iterator[None]:
    """Some changes make a loop endless; nobody would wait for such a module."""

    def late(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def wrong(results: list[ModuleResult]) -> list[str]:
    """Right modules that are refuted, and wrong ones that are proved."""
    return [
        f"module {r.program}, {r.change}: {'right' if r.right else 'wrong'} and {r.status}"
        for r in results
        if (r.right, r.status) in ((True, "refuted"), (False, "proved"))
    ]


def table(results: list[ModuleResult]) -> list[list[str]]:
    """A row for each part of the module."""
    rows = [["part of the module", "changes", "right", "proved", "refuted", "unknown", "endless"]]
    parts = sorted({r.kind.split(":")[0] for r in results})
    for name, some in [(p, [r for r in results if r.kind.startswith(f"{p}:")]) for p in parts] + [("all", results)]:
        counts = [sum(r.status == status for r in some) for status in ("proved", "refuted", "unknown", "endless")]
        rows.append([name, *map(str, (len(some), sum(r.right for r in some), *counts))])
    return rows
